//! What the journals tell: which transactions there were, and where each of them stands.

use std::path::{Path, PathBuf};

use plimsoll_diagnosis::plan::{Change, Plan};
use plimsoll_diagnosis::{Language, Said, said, system};

use crate::error::{plain, several};
use crate::journal::{self, Memo, Record, SCHEMA};
use crate::place::Place;
use crate::state::State;
use crate::{ApplyError, clock, reason};

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Changes are being made, or whoever made them died.
    Applying,
    /// All stand, and are taken back unless they are confirmed in time.
    Pending {
        /// Time since boot in milliseconds.
        deadline: u64,
    },
    /// All stand and stay.
    Standing,
    /// They are being taken back, or whoever did so died.
    Undoing,
    /// Taken back.
    Undone,
    /// Taken back but for what others had changed.
    UndoneInPart,
}

impl Phase {
    /// Its name, as it stands in the JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applying => "applying",
            Self::Pending { .. } => "pending",
            Self::Standing => "standing",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
            Self::UndoneInPart => "undone-in-part",
        }
    }
}

/// Where one change stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stand {
    Untouched,
    Intended { before: Memo },
    Done { before: Memo, memo: Memo },
    Skipped(Said),
    Undone,
    Left(Said),
}

/// A transaction as its journal tells it.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// Its number.
    pub id: u64,
    /// What it was to do.
    pub plan: Plan,
    /// Where it stands.
    pub phase: Phase,
    /// When it began: seconds since 1970.
    pub began: u64,
    /// When it ended so: seconds since 1970.
    pub ended: Option<u64>,
    /// Why it was taken back, if it was.
    pub why: Option<Said>,
    pub(crate) boot: String,
    pub(crate) cookie: Option<u64>,
    pub(crate) root: PathBuf,
    pub(crate) stands: Vec<Stand>,
}

impl Transaction {
    /// What it was to do.
    pub fn title(&self) -> Said {
        titled(&self.plan)
    }

    /// Whether it belongs to this boot: what it wrote into the kernel is still there.
    pub fn of_this_boot(&self) -> bool {
        self.boot == clock::boot_id()
    }

    /// Where it was made, open. `Ok(None)`: it is gone, and with a reboot all were. `Err`: it can't be told or entered.
    pub(crate) fn place(&self) -> Result<Option<Place>, Said> {
        if !self.of_this_boot() {
            return Ok(None);
        }
        Place::open(&self.plan.target, self.cookie).map_err(|error| {
            let (name, why) = (self.plan.target.name.as_str(), plain(&error));
            said!(
                "whether network namespace {name} is still there can't be seen: {why}",
                "看不到网络命名空间 {name} 是否还在：{why:#}"
            )
        })
    }

    /// Whether somebody has to finish it before anything else is done.
    pub(crate) fn open(&self) -> bool {
        matches!(self.phase, Phase::Applying | Phase::Undoing | Phase::Pending { .. })
    }

    /// Milliseconds until it is taken back; 0: the time is over. `None`: it waits for nothing.
    pub(crate) fn left(&self) -> Option<u64> {
        let Phase::Pending { deadline } = self.phase else { return None };
        if !self.of_this_boot() {
            return Some(0);
        }
        Some(deadline.saturating_sub(journal::now()))
    }

    /// Whole seconds until it is taken back; 0 where it waits for nothing.
    pub fn seconds_left(&self) -> u64 {
        self.left().map_or(0, |left| left.div_ceil(1000))
    }

    /// What was left as it is when it was taken back, a sentence each.
    pub fn left_alone(&self) -> Vec<Said> {
        let left = self.stands.iter().filter_map(|stand| match stand {
            Stand::Left(why) => Some(why.clone()),
            _ => None,
        });
        left.collect()
    }

    /// Changes that were not made, with the reason.
    pub fn skipped(&self) -> Vec<(Said, Said)> {
        let skipped = self.plan.changes.iter().zip(&self.stands);
        let skipped = skipped.filter_map(|(change, stand)| match stand {
            Stand::Skipped(why) => Some((change.subject(), why.clone())),
            _ => None,
        });
        skipped.collect()
    }

    /// Reads one. `None`: its journal holds no beginning, so nothing ever began.
    pub(crate) fn load(state: &State, id: u64) -> Result<Option<Self>, ApplyError> {
        let path = state.journal(id);
        read_journal(id, &journal::read_bytes(&path)?)
            .map_err(|why| ApplyError::Unread { path: Said::name(path.display().to_string()), why })
    }
}

/// A transaction as the bytes of its journal tell it. `None`: nothing ever began. `Err`: where, and what is wrong.
pub fn read_journal(id: u64, bytes: &[u8]) -> Result<Option<Transaction>, Said> {
    fold(id, journal::parse(bytes)?)
}

/// All transactions that can be read, oldest first. Needs no lock.
pub fn history(state_dir: &Path) -> Result<Vec<Transaction>, ApplyError> {
    load_all(&State::at(state_dir))
}

/// Journals that hold no transaction of ours, a sentence each: another version wrote them, or a disk lost them. Nothing that they
/// began can be finished, and none of the others is to wait for that.
pub fn unreadable(state_dir: &Path) -> Vec<Said> {
    let state = State::at(state_dir);
    let numbers = state.numbers().unwrap_or_default().into_iter();
    let failed = numbers.filter_map(|id| Some((id, Transaction::load(&state, id).err()?)));
    let told = failed.filter_map(|(id, error)| match error {
        ApplyError::Unread { path, why } => Some(said!(
            "transaction {id} can't be read and is passed over, so what it changed is not known: {path}: {why}",
            "事务 {id} 读不出来，已跳过，所以不知道它改了什么：{path:#}：{why:#}"
        )),
        _ => None,
    });
    told.collect()
}

pub(crate) fn load_all(state: &State) -> Result<Vec<Transaction>, ApplyError> {
    let mut all = Vec::new();
    for id in state.numbers()? {
        match Transaction::load(state, id) {
            Ok(transaction) => all.extend(transaction),
            Err(ApplyError::Unread { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// What a plan of a journal is to do: the English as it was said; in Chinese what it changes, since a journal is English.
pub(crate) fn titled(plan: &Plan) -> Said {
    // Of several changes of one thing the last is the one that stands.
    let last = |(i, change): &(usize, &Change)| {
        plan.changes.iter().skip(i + 1).all(|later| later.subject() != change.subject())
    };
    let does = plan.changes.iter().enumerate().filter(last).map(|(_, change)| change.does());
    let does: Vec<Said> = does.collect();
    let does = Said::join(&does, &Said::of(", ", "，"));
    let chinese = format!("{}：{}", plan.remedy.name(), does.spoken(Language::Chinese));
    Said::new(plan.title.to_string(), chinese)
}

/// Why a transaction is taken back.
pub(crate) const ASKED_FOR: Said = Said::of("asked for", "应请求");
pub(crate) const INTERRUPTED: Said = Said::of("was interrupted", "中途被打断");
pub(crate) const INTERRUPTED_BACK: Said =
    Said::of("was interrupted while it was taken back", "撤销途中被打断");
pub(crate) const TOO_LATE: Said = Said::of("was not confirmed in time", "没有及时确认");
pub(crate) const UNGUARDED: Said =
    Said::of("was not confirmed yet, and its guard was gone", "尚未确认，而守护进程已不在");
pub(crate) const GUARD_ENDED: Said = Said::of(
    "was not confirmed yet when its guard was told to end",
    "尚未确认时守护进程被要求结束",
);

/// A reason as a journal has it, in English, is known again: one of those above, or what a step failed with. That begins with
/// the path it is about, or with the path and a colon.
fn again(english: Said) -> Said {
    let all = [ASKED_FOR, INTERRUPTED, INTERRUPTED_BACK, TOO_LATE, UNGUARDED, GUARD_ENDED];
    if let Some(known) = all.into_iter().find(|why| *why == english) {
        return known;
    }
    let is_path = |word: &str| word.starts_with('/') && !word.contains([' ', ':']);
    match english.split_once(": ") {
        Some((path, why)) if is_path(path) => {
            let why = reason::again_behind(why).unwrap_or_else(|| system(why.to_owned()));
            said!("{path}: {why}", "{path}：{why:#}")
        }
        _ if english.split(' ').next().is_some_and(is_path) => reason::again(english),
        _ => english,
    }
}

fn fold(id: u64, records: Vec<Record>) -> Result<Option<Transaction>, Said> {
    let mut records = records.into_iter();
    let mut it = match records.next() {
        None => return Ok(None),
        Some(Record::Begin { schema, boot, wall, root, plan, cookie, window: _ })
            if schema == SCHEMA =>
        {
            Transaction {
                id,
                stands: vec![Stand::Untouched; plan.changes.len()],
                plan: *plan,
                phase: Phase::Applying,
                began: wall,
                ended: None,
                why: None,
                boot,
                cookie,
                root,
            }
        }
        Some(_) => {
            return Err(said!(
                "line 1: expected the beginning of a {SCHEMA}",
                "第 1 行：应为 {SCHEMA} 的开头"
            ));
        }
    };
    for record in records {
        let (change, stand) = match record {
            Record::Begin { .. } => {
                return Err(Said::of("expected one beginning, saw two", "应为一个开头，实为两个"));
            }
            Record::Guard { .. } => continue,
            Record::Applied { wall, deadline } => {
                it.ended = Some(wall);
                it.phase = match deadline {
                    Some(deadline) => Phase::Pending { deadline },
                    None => Phase::Standing,
                };
                continue;
            }
            Record::Confirmed { wall } => {
                (it.phase, it.ended) = (Phase::Standing, Some(wall));
                continue;
            }
            Record::Undoing { wall, why } => {
                (it.phase, it.ended, it.why) = (Phase::Undoing, Some(wall), Some(again(why)));
                continue;
            }
            Record::Closed { wall, overfull } => {
                if let (Some(why), Some(overfull)) = (&mut it.why, overfull) {
                    *why = several(&[why.clone(), reason::again(overfull)]);
                }
                let in_part = it.stands.iter().any(|s| matches!(s, Stand::Left(_)));
                it.phase = if in_part { Phase::UndoneInPart } else { Phase::Undone };
                it.ended = Some(wall);
                continue;
            }
            Record::Intent { change, before } => (change, Stand::Intended { before }),
            Record::Done { change, memo } => {
                let before = match it.stands.get(change) {
                    Some(Stand::Intended { before }) => before.clone(),
                    _ => Memo::new(),
                };
                (change, Stand::Done { before, memo })
            }
            Record::Skipped { change, why } => (change, Stand::Skipped(why)),
            Record::Undone(change) => (change, Stand::Undone),
            Record::Left { change, why } => (change, Stand::Left(reason::again(why))),
        };
        *it.stands.get_mut(change).ok_or_else(|| {
            said!("no change has the index {change}", "没有编号为 {change} 的改动")
        })? = stand;
    }
    Ok(Some(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_failed_with_is_known_again() {
        for (english, chinese) in [
            ("was not confirmed in time", "没有及时确认"),
            ("/proc/x is 7440", "/proc/x 现在是 7440"),
            ("/proc/x: invalid argument", "/proc/x：无效的参数"),
            ("/etc/x: the file is immutable", "/etc/x：the file is immutable"),
            ("/proc/x: wrote 7, and it reads 8", "/proc/x：写的是 7，读回来是 8"),
            (
                "iptables-restore table raw: the moon is full",
                "iptables-restore table raw: the moon is full",
            ),
        ] {
            let said = again(Said::name(english));
            assert_eq!((&*said, said.spoken(Language::Chinese)), (english, chinese));
        }
    }
}
