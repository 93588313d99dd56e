//! A plan carried out: everything checked, a guard posted, then step by step through the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_diagnosis::plan::{Change, Plan, Step};
use plimsoll_diagnosis::{Said, said};

use crate::act::{self, Ground, Seen};
use crate::error::plain;
use crate::fault::Fault;
use crate::guard::{self, GuardProgram};
use crate::history::load_all;
use crate::journal::{self, Journal, Record, SCHEMA};
use crate::overfull::is_limit;
use crate::place::Place;
use crate::recover::{Recovered, recover_locked};
use crate::state::State;
use crate::undo::{self, Stuck, unwind};
use crate::{ApplyError, Transaction, clock, watch};

/// How to carry it out.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where journals are kept.
    pub state_dir: PathBuf,
    /// Where file changes are rooted: "/" on a running host.
    pub root: PathBuf,
    /// How long to wait for a confirmation before everything goes back; `None`: it stays.
    pub confirm: Option<Duration>,
    /// A limit may be lowered.
    pub allow_lower: bool,
    /// The program of the guard.
    pub guard: GuardProgram,
    /// For tests.
    pub fault: Fault,
}

/// What happens on the way.
#[derive(Debug, Clone)]
pub enum Event {
    /// What an earlier call had left was put in order.
    Recovered(Recovered),
    /// A change is about to be made: its index.
    Change(usize),
    /// A change was not made, and why; those that would have followed it are not told.
    Skipped(usize, Said),
    /// Entries were deleted: so many of about so many.
    Deleted {
        /// Deleted so far.
        done: u64,
        /// How many there were when the plan was made.
        of: u64,
    },
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Number of the transaction.
    pub id: u64,
    /// What each change read back: the value in force, the number of entries deleted.
    pub readback: Vec<Option<String>>,
    /// Changes that were not made, by index, and why.
    pub skipped: Vec<(usize, Said)>,
    /// Seconds until it is taken back, unless it is confirmed.
    pub window: Option<u64>,
}

/// Carries a plan out. On an error the old state stands, and the error says so, or names what does not.
pub fn apply(
    plan: &Plan,
    options: &Options,
    tell: &mut (dyn FnMut(Event) + Send),
) -> Result<Applied, ApplyError> {
    if !plan.refused.is_empty() {
        return Err(ApplyError::Refused(plan.refused.clone()));
    }
    if plan.changes.is_empty() {
        return Err(ApplyError::NoSuch(Said::of("there is nothing to change", "没有要改的")));
    }
    lowers_nothing(plan, options.allow_lower)?;
    let state = State::at(&options.state_dir);
    state.make()?;
    let lock = state.lock(Duration::ZERO)?;
    let recovered = recover_locked(&state, false, &options.fault)?;
    let free = undo::none_pending(&state, &recovered);
    recovered.into_iter().for_each(|one| tell(Event::Recovered(one)));
    free?;
    let place = open(plan)?;
    let id = state.numbers()?.last().map_or(1, |last| last.saturating_add(1));
    let ground = Ground { place: &place, root: &options.root, id };
    check(&ground, plan, &load_all(&state)?)?;
    let (mut journal, guard) = begin(&state, &ground, plan, options)?;
    let made = make_all(&ground, plan, &mut journal, options, tell);
    let made = made.and_then(|applied| {
        let deadline = options.confirm.map(|window| journal::now() + millis(window));
        let record = Record::Applied { wall: clock::wall(), deadline };
        journal.write_record(&record, &options.fault).map_err(|e| e.said())?;
        Ok(applied)
    });
    match made {
        Ok(applied) => {
            // The guard reads the journal once it can have the lock.
            drop(lock);
            drop(guard);
            Ok(applied)
        }
        Err(why) => Err(take_back(&state, &place, id, why, &options.fault)),
    }
}

fn take_back(state: &State, place: &Place, id: u64, why: Said, fault: &Fault) -> ApplyError {
    let left = match unwind(state, Some(place), id, &why, Stuck::Wait, fault) {
        Ok(unwound) => unwound.left,
        Err(error) => vec![error.said()],
    };
    ApplyError::Failed { id, why, left }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn open(plan: &Plan) -> Result<Place, ApplyError> {
    let name = plan.target.name.as_str();
    match Place::open(&plan.target, None) {
        Ok(Some(place)) => Ok(place),
        Ok(None) => Err(ApplyError::unfit(
            Said::name(name),
            Said::of("this network namespace is gone", "这个网络命名空间已经不在了"),
        )),
        Err(error) => Err(ApplyError::unfit(
            said!("network namespace {name}", "网络命名空间 {name}"),
            plain(&error),
        )),
    }
}

/// Whatever else a plan says: the table's limit goes down only for somebody who wants that.
fn lowers_nothing(plan: &Plan, allowed: bool) -> Result<(), ApplyError> {
    for change in &plan.changes {
        let Change::Setting(s) = change else { continue };
        let (Ok(before), Ok(after)) = (s.before.trim().parse(), s.after.trim().parse::<u64>())
        else {
            continue;
        };
        if is_limit(&s.path) && after < before && !allowed {
            let why = said!(
                "it would be lowered from {before} to {after}: only with --allow-lower",
                "会从 {before} 降到 {after}：要加 --allow-lower 才行"
            );
            return Err(ApplyError::unfit(Said::name(s.path.as_str()), why));
        }
    }
    Ok(())
}

/// What the plan found there must be there still. Of several changes of one thing only the first meets
/// what is there now.
fn check(ground: &Ground<'_>, plan: &Plan, all: &[Transaction]) -> Result<(), ApplyError> {
    let mut subjects = BTreeSet::new();
    let mut changed = Vec::new();
    let mut there = Vec::new();
    let mut nobodys = Vec::new();
    for change in &plan.changes {
        let subject = change.subject();
        if !subjects.insert(subject.clone()) {
            continue;
        }
        let seen = act::look(ground, change, None);
        let ours = matches!(change, Change::Nft(_) | Change::Iptables(_));
        if ours && matches!(seen, Ok(Seen::After | Seen::Part(_))) {
            nobodys.push(said!("{subject} is there already", "{subject:#} 已经在了"));
        }
        match seen {
            Ok(Seen::Before) => {}
            Ok(Seen::After) => {
                there.push(said!("{subject} is there already", "{subject:#} 已经在了"));
            }
            Ok(Seen::Part(gone)) => changed.push(said!(
                "{subject} is there already, but for {gone}: plimsoll undo takes away what is left of it",
                "{subject:#} 已经在了，只缺 {gone:#}：plimsoll undo 会去掉剩下的部分"
            )),
            Ok(Seen::Other(what)) => changed.push(what.said()),
            Err(error) => return Err(ApplyError::unfit(subject, plain(&error))),
        }
    }
    if !nobodys.is_empty() {
        let commands =
            act::strays(ground.place, plan.target.inode, plan.target.path.as_deref(), all);
        if !commands.is_empty() {
            return Err(ApplyError::Nobodys { what: nobodys, commands });
        }
    }
    match (changed.is_empty(), there.is_empty()) {
        (true, true) => Ok(()),
        // Done before, not changed since.
        (true, false) => Err(ApplyError::There(there)),
        (false, _) => {
            changed.extend(there);
            Err(ApplyError::Changed(changed))
        }
    }
}

fn prepare(ground: &Ground<'_>, plan: &Plan) -> Result<(), ApplyError> {
    plan.changes.iter().try_for_each(|change| {
        act::prepare(ground, change)
            .map_err(|error| ApplyError::unfit(change.subject(), plain(&error)))
    })
}

/// From here on a crash is found by the next call: first the journal, then what is laid ready beside the files.
fn begin(
    state: &State,
    ground: &Ground<'_>,
    plan: &Plan,
    options: &Options,
) -> Result<(Journal, guard::Post), ApplyError> {
    let begin = Record::Begin {
        schema: SCHEMA.to_owned(),
        boot: clock::boot_id(),
        wall: clock::wall(),
        root: absolute(&options.root),
        plan: Box::new(plan.clone()),
        cookie: ground.place.cookie().ok().flatten(),
        window: options.confirm.map(|w| w.as_secs()),
    };
    let id = ground.id;
    let journal = Journal::begin(state, id, &begin, plan.changes.len(), &options.fault);
    let mut journal = journal.map_err(ApplyError::before_any)?;
    let posted = prepare(ground, plan).and_then(|()| {
        options.fault.step();
        let post = guard::post(&options.guard, state, id)?;
        options.fault.watch_over(Some(post.pid()));
        journal.write_record(&Record::Guard { pid: post.pid() }, &options.fault)?;
        Ok(post)
    });
    match posted {
        Ok(post) => Ok((journal, post)),
        Err(error) => {
            // Nothing was changed, so nothing shall look as if it had been.
            plan.changes.iter().for_each(|change| act::tidy(ground, change));
            let _ = std::fs::remove_file(state.journal(id));
            Err(error.before_any())
        }
    }
}

fn absolute(root: &Path) -> PathBuf {
    root.canonicalize().unwrap_or_else(|_| root.to_owned())
}

fn make_all(
    ground: &Ground<'_>,
    plan: &Plan,
    journal: &mut Journal,
    options: &Options,
    tell: &mut (dyn FnMut(Event) + Send),
) -> Result<Applied, Said> {
    let fault = &options.fault;
    let mut applied = Applied {
        id: ground.id,
        readback: Vec::new(),
        skipped: Vec::new(),
        window: options.confirm.map(|w| w.as_secs()),
    };
    // A step that was not taken is the end of its way: those behind it begin where it would have led.
    let mut ended: BTreeMap<&str, Said> = BTreeMap::new();
    for (index, change) in plan.changes.iter().enumerate() {
        let in_words = |error: std::io::Error| act::words(change, &error);
        if let Change::Setting(s) = change
            && let Some(step) = s.step
            && let Some(why) = match ended.get(s.path.as_str()) {
                Some(why) => Some(why.clone()),
                None => not_wanted(step).map_err(in_words)?,
            }
        {
            let record = Record::Skipped { change: index, why: why.clone() };
            journal.write_record(&record, fault).map_err(|e| e.said())?;
            if ended.insert(&s.path, why.clone()).is_none() {
                tell(Event::Skipped(index, why.clone()));
            }
            applied.skipped.push((index, why));
            applied.readback.push(None);
            continue;
        }
        tell(Event::Change(index));
        // Somebody may have been here since the check.
        match act::look(ground, change, None).map_err(in_words)? {
            Seen::Before => {}
            Seen::After | Seen::Part(_) => {
                let subject = change.subject();
                return Err(said!("{subject}: somebody else made it", "{subject:#}：别人已经做了"));
            }
            // It names what it is about.
            Seen::Other(what) => return Err(what.said()),
        }
        let before = act::before(ground, change).map_err(in_words)?;
        let intent = Record::Intent { change: index, before };
        journal.write_record(&intent, fault).map_err(|e| e.said())?;
        fault.step();
        let memo = act::make(ground, change, tell).map_err(in_words)?;
        fault.step();
        applied.readback.push(memo.first().cloned());
        let done = Record::Done { change: index, memo };
        journal.write_record(&done, fault).map_err(|e| e.said())?;
    }
    Ok(applied)
}

/// Why a step is not taken; `None`: it is.
fn not_wanted(step: Step) -> std::io::Result<Option<Said>> {
    if step.while_dropping {
        let flow = watch::watch_all(watch::GLANCE)?;
        if flow.drops == 0 {
            return Ok(Some(Said::of("no packet is dropped any more", "已经不再丢包")));
        }
    }
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let memory = plimsoll_wire::meminfo::parse(&text);
    let available = memory.ok().and_then(|m| m.available).map_or(u64::MAX, |b| b.0);
    Ok((available < step.available).then(|| {
        said!(
            "it may take {} MiB, and {} MiB of memory are available",
            "它可能占用 {} MiB，而可用内存是 {} MiB",
            step.available >> 20,
            available >> 20
        )
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_step_that_memory_does_not_reach_for_is_not_taken() {
        let step = |available| Step { while_dropping: false, available };
        let why = not_wanted(step(u64::MAX)).unwrap().unwrap();
        assert!(why.starts_with("it may take 17592186044415 MiB, and "), "{why}");
        assert_eq!(not_wanted(step(0)).unwrap(), None);
    }
}
