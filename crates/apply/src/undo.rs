//! Taking back, and keeping.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use plimsoll_diagnosis::plan::Change;
use plimsoll_diagnosis::{Said, count, said};

use crate::act::{self, Ground, Seen};
use crate::error::{plain, several};
use crate::fault::Fault;
use crate::history::{ASKED_FOR, Stand, load_all};
use crate::journal::{Journal, Memo, Record};
use crate::overfull::{self, is_limit};
use crate::place::{Place, own_inode};
use crate::reason::{self, Reason};
use crate::recover::{Recovered, recover_locked};
use crate::saved;
use crate::sight;
use crate::state::State;
use crate::{ApplyError, Phase, Transaction, clock};

/// How long a person's call waits for another that is at work.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `undo` does with what others have changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftover {
    /// Refuse, and touch nothing.
    Refuse,
    /// Leave it as it is, and take the rest back.
    Leave,
}

/// What becomes of a change that can't be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stuck {
    /// The transaction stays open for the next call.
    Wait,
    /// It is left, and the transaction ends.
    Leave,
}

/// What taking back left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Unwound {
    /// As others had made it, a sentence each.
    pub(crate) left: Vec<Said>,
    /// A table that holds more than the limit that came back.
    pub(crate) overfull: Option<Said>,
}

/// What was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// Number of the transaction.
    pub id: u64,
    /// Its title.
    pub title: Said,
    /// What was left as it is, a sentence each.
    pub left: Vec<Said>,
    /// A table that holds more than the limit that came back, in words.
    pub overfull: Option<Said>,
    /// What others had taken away already, a sentence each.
    pub gone: Vec<Said>,
    /// What of it had ended with the boot it belonged to.
    pub gone_with_reboot: bool,
    /// Tables of old iptables that came with it and stay, empty: `raw of iptables-save (why)`.
    pub emptied: Vec<Said>,
    /// Files that firewalls load their rules from, and the lines of it that were saved there.
    pub saved: Vec<Said>,
    /// What an earlier call had left.
    pub recovered: Vec<Recovered>,
}

/// Refuses while a transaction waits for its confirmation, but for those that could not be taken back.
pub(crate) fn none_pending(state: &State, recovered: &[Recovered]) -> Result<(), ApplyError> {
    let stuck = |id| recovered.iter().any(|r| r.id == id && r.left.is_err());
    for transaction in load_all(state)? {
        if let Some(left) = transaction.left()
            && !stuck(transaction.id)
        {
            return Err(ApplyError::Pending { id: transaction.id, left: left.div_ceil(1000) });
        }
    }
    Ok(())
}

/// Keeps what waits for its confirmation; returns its number and title. `id`: that one only.
pub fn confirm(
    state_dir: &Path,
    id: Option<u64>,
    fault: &Fault,
) -> Result<(u64, Said, Vec<Recovered>), ApplyError> {
    let state = State::at(state_dir);
    let nothing =
        || ApplyError::NoSuch(Said::of("nothing waits for a confirmation", "没有等待确认的事务"));
    if state.numbers()?.is_empty() {
        return Err(nothing());
    }
    let _lock = state.lock(PATIENCE)?;
    let recovered = recover_locked(&state, true, fault)?;
    if let Some(late) = recovered.iter().find(|r| id.is_none_or(|id| id == r.id)) {
        return Err(ApplyError::NoSuch(late.said()));
    }
    let all = load_all(&state)?;
    let waiting = all.into_iter().find(|t| t.left().is_some() && id.is_none_or(|id| id == t.id));
    let waiting = waiting.ok_or_else(nothing)?;
    let mut journal = Journal::resume(&state, waiting.id)?;
    journal.write_record(&Record::Confirmed { wall: clock::wall() }, fault)?;
    Ok((waiting.id, waiting.title(), recovered))
}

/// Takes a transaction back: that one, or the latest that stands.
pub fn undo(
    state_dir: &Path,
    id: Option<u64>,
    leftover: Leftover,
    allow_lower: bool,
    fault: &Fault,
) -> Result<Undone, ApplyError> {
    let state = State::at(state_dir);
    if state.numbers()?.is_empty() {
        return Err(nothing(&[]));
    }
    let _lock = state.lock(PATIENCE)?;
    let recovered = recover_locked(&state, true, fault)?;
    let all = load_all(&state)?;
    let stuck = |id| recovered.iter().any(|r| r.id == id && r.left.is_err());
    let stands = |t: &&Transaction| {
        matches!(t.phase, Phase::Standing | Phase::Pending { .. }) || stuck(t.id)
    };
    let transaction = match id {
        // What can't be taken back at all is not meant.
        // Nor is what is stuck, unless nothing else stands.
        None => match all
            .iter()
            .rev()
            .filter(|t| !only_deletes(t))
            .filter(stands)
            .min_by_key(|t| stuck(t.id))
        {
            Some(found) => found,
            // It was on its way back already, and this call has finished that.
            None => match recovered.iter().rfind(|r| r.left.is_ok()) {
                Some(last) => {
                    return Ok(Undone {
                        id: last.id,
                        title: last.title.clone(),
                        left: last.left.clone().unwrap_or_default(),
                        overfull: last.overfull.clone(),
                        gone: Vec::new(),
                        gone_with_reboot: false,
                        emptied: Vec::new(),
                        saved: all
                            .iter()
                            .find(|t| t.id == last.id)
                            .map(saved::saved)
                            .unwrap_or_default(),
                        recovered,
                    });
                }
                None => return Err(nothing(&all)),
            },
        },
        Some(id) => {
            let Some(found) = all.iter().find(|t| t.id == id) else {
                if state.numbers()?.contains(&id) {
                    // It is there, and says why it can't be read.
                    Transaction::load(&state, id)?;
                }
                return Err(no_such(id));
            };
            if !stands(&found) {
                return Err(ApplyError::NoSuch(said!(
                    "transaction {id} is taken back already",
                    "事务 {id} 已经撤销了"
                )));
            }
            found
        }
    };
    let place = match (transaction.place(), leftover) {
        (Ok(place), _) => place,
        (Err(why), Leftover::Leave) => Some(Place::Shut(why)),
        (Err(why), Leftover::Refuse) => return Err(ApplyError::Stuck { id: transaction.id, why }),
    };
    let end = stuck(transaction.id) || matches!(place, Some(Place::Shut(_)));
    let end = if end && leftover == Leftover::Leave { Stuck::Leave } else { Stuck::Wait };
    let gone = refuse(transaction, place.as_ref(), leftover, end, allow_lower)?;
    let unwound = unwind(&state, place.as_ref(), transaction.id, &ASKED_FOR, end, fault)?;
    let emptied = place.as_ref().map(|place| emptied(transaction, place)).unwrap_or_default();
    Ok(Undone {
        id: transaction.id,
        title: transaction.title(),
        left: unwound.left,
        overfull: unwound.overfull,
        gone,
        gone_with_reboot: !transaction.of_this_boot()
            && transaction.plan.changes.iter().any(Change::volatile),
        emptied,
        saved: saved::saved(transaction),
        recovered,
    })
}

/// Nothing stands; rules of ours may, where they were saved while something did.
fn nothing(all: &[Transaction]) -> ApplyError {
    let what = Said::of("there is nothing to undo", "没有可以撤销的");
    let commands = act::strays(&Place::Here, own_inode(), None, all);
    match commands.is_empty() {
        true => ApplyError::NoSuch(what),
        false => ApplyError::Nobodys { what: vec![what], commands },
    }
}

pub(crate) fn no_such(id: u64) -> ApplyError {
    ApplyError::NoSuch(said!("there is no transaction {id}", "没有事务 {id}"))
}

fn emptied(transaction: &Transaction, place: &Place) -> Vec<Said> {
    if !transaction.of_this_boot() {
        return Vec::new();
    }
    let ground = Ground { place, root: &transaction.root, id: transaction.id };
    let changes = transaction.plan.changes.iter().zip(&transaction.stands);
    let stays = changes.filter_map(|(change, stand)| match stand {
        Stand::Done { before, .. } => act::tidy_around(&ground, change, before),
        _ => None,
    });
    stays.collect()
}

fn only_deletes(transaction: &Transaction) -> bool {
    transaction.plan.changes.iter().all(|change| matches!(change, Change::Delete(_)))
}

/// What stands in the way, before anything is touched; what is gone already is not.
fn refuse(
    transaction: &Transaction,
    place: Option<&Place>,
    leftover: Leftover,
    end: Stuck,
    allow_lower: bool,
) -> Result<Vec<Said>, ApplyError> {
    let done = |stand: &Stand| matches!(stand, Stand::Done { .. });
    if only_deletes(transaction) && transaction.stands.iter().any(done) {
        let why = said!(
            "transaction {} deleted entries: they can't be brought back",
            "事务 {} 删除了条目：无法恢复",
            transaction.id
        );
        return Err(ApplyError::NoSuch(why));
    }
    let (mut changed, mut missing) = (Vec::new(), Vec::new());
    for (change, memo, seen) in sight::look(transaction, place, &mut BTreeSet::new()) {
        match seen {
            Ok(Seen::Other(what)) => changed.push(difference(change, memo, what).said()),
            Ok(Seen::Part(gone)) => missing.push(gone),
            Ok(Seen::Before) => missing.push(sight::gone(change)),
            Ok(Seen::After) if !allow_lower => lowered(transaction, change)?,
            Ok(Seen::After) => {}
            Err(_) if end == Stuck::Leave => {}
            Err(error) => return Err(ApplyError::unfit(change.subject(), plain(&error))),
        }
    }
    if changed.is_empty() || leftover == Leftover::Leave {
        return Ok(missing);
    }
    Err(ApplyError::Changed(changed))
}

/// Taking back a raised limit lowers it, which hurts where a table has grown beyond it.
fn lowered(transaction: &Transaction, change: &Change) -> Result<(), ApplyError> {
    let Change::Setting(s) = change else { return Ok(()) };
    let Some((_, before)) = overfull::old_limit(transaction).filter(|_| is_limit(&s.path)) else {
        return Ok(());
    };
    let Some((name, entries)) = overfull::fuller(s, before) else { return Ok(()) };
    let (entries, before) = (count(entries), count(before));
    let why = said!(
        "{name} holds {entries} entries, and {before} would drop packets: only with --allow-lower",
        "{name:#} 有 {entries} 个条目，上限 {before} 会丢包：要加 --allow-lower 才行"
    );
    Err(ApplyError::unfit(Said::name(s.path.as_str()), why))
}

/// What stands there, what we wrote, and what stood there before.
pub(crate) fn difference(change: &Change, memo: &Memo, what: Reason) -> Reason {
    match change {
        Change::Setting(s) => {
            let ours = memo.first().map_or(s.after.as_str(), String::as_str);
            what.within(reason::WRITTEN, &[ours, s.before.trim()])
        }
        Change::File(_)
        | Change::Nft(_)
        | Change::Iptables(_)
        | Change::Policy(_)
        | Change::Modules(_)
        | Change::Delete(_) => what,
    }
}

/// Whether a change has ended by itself: with the boot, or with the namespace it was made in.
pub(crate) fn ended(transaction: &Transaction, change: &Change, place: Option<&Place>) -> bool {
    change.volatile() && (!transaction.of_this_boot() || place.is_none())
}

/// Takes back whatever of a transaction stands, the last first, and goes on past an error. On an error the transaction stays open, and the next call goes on.
pub(crate) fn unwind(
    state: &State,
    place: Option<&Place>,
    id: u64,
    why: &Said,
    end: Stuck,
    fault: &Fault,
) -> Result<Unwound, ApplyError> {
    let Some(transaction) = Transaction::load(state, id)? else { return Ok(Unwound::default()) };
    let mut journal = Journal::resume(state, id)?;
    // A journal that can't be written any more does not keep the old state from coming back.
    let mut unwritten = None;
    let mut write = |record: Record| {
        if let Err(error) = journal.write_record(&record, fault) {
            unwritten.get_or_insert(error);
        }
    };
    write(Record::Undoing { wall: clock::wall(), why: why.clone() });
    let here = Place::Here;
    let ground = Ground { place: place.unwrap_or(&here), root: &transaction.root, id };
    let (mut left, mut failed) = (Vec::new(), Vec::new());
    for (index, change) in transaction.plan.changes.iter().enumerate().rev() {
        let (before, memo) = match &transaction.stands[index] {
            Stand::Intended { before } => (before, None),
            Stand::Done { before, memo } => (before, Some(memo)),
            Stand::Left(what) => {
                left.push(what.clone());
                continue;
            }
            Stand::Untouched | Stand::Skipped(_) | Stand::Undone => continue,
        };
        if ended(&transaction, change, place) {
            write(Record::Undone(index));
            continue;
        }
        if let Change::Delete(d) = change {
            if d.left_over {
                write(Record::Undone(index));
                continue;
            }
            let what = reason::DELETED.of(&[]).said();
            left.push(what.clone());
            write(Record::Left { change: index, why: what });
            continue;
        }
        match back(&ground, change, memo, fault) {
            Ok(None) => {
                act::tidy(&ground, change);
                act::tidy_around(&ground, change, before);
                write(Record::Undone(index));
            }
            Ok(Some(what)) => {
                let what = what.said();
                left.push(what.clone());
                write(Record::Left { change: index, why: what });
            }
            Err(error) if end == Stuck::Leave => {
                let what = act::words(change, &error);
                left.push(what.clone());
                write(Record::Left { change: index, why: what });
            }
            Err(error) => failed.push(act::words(change, &error)),
        }
    }
    transaction.plan.changes.iter().for_each(|change| act::tidy(&ground, change));
    if !failed.is_empty() {
        let failed = several(&failed);
        let what = said!("transaction {id}, taking back", "撤销事务 {id}");
        let why = said!(
            "{failed}; the next call of plimsoll tries again",
            "{failed:#}；下次调用 plimsoll 会再试"
        );
        return Err(ApplyError::Journal { path: what, why });
    }
    let overfull = overfull::after(&transaction).map(|overfull| overfull.said());
    write(Record::Closed { wall: clock::wall(), overfull: overfull.clone() });
    match unwritten {
        Some(error) => Err(error),
        None => Ok(Unwound { left, overfull }),
    }
}

/// Takes one back. `Some`: somebody else has changed it, so it was left.
fn back(
    ground: &Ground<'_>,
    change: &Change,
    memo: Option<&Memo>,
    fault: &Fault,
) -> std::io::Result<Option<Reason>> {
    match act::look(ground, change, memo)? {
        Seen::Before => return Ok(None),
        Seen::After | Seen::Part(_) => {}
        // Modules come and go one by one: the middle of it is ours as well.
        Seen::Other(_) if matches!(change, Change::Modules(_)) => {}
        Seen::Other(what) => {
            return Ok(Some(difference(change, memo.unwrap_or(&Memo::new()), what)));
        }
    }
    fault.step();
    act::take_back(ground, change)?;
    fault.step();
    match act::look(ground, change, memo)? {
        Seen::Before => Ok(None),
        Seen::After => Err(std::io::Error::other(Said::of(
            "it was taken back, and is there again",
            "已撤销，却又出现了",
        ))),
        Seen::Part(_) => Err(std::io::Error::other(Said::of(
            "it was taken back, and some of it is there again",
            "已撤销，却又出现了一部分",
        ))),
        Seen::Other(what) => Err(std::io::Error::other(what.said())),
    }
}
