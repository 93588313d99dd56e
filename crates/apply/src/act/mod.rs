//! Changes, one kind a file: look whether it stands, make it, take it back.
//!
//! Each kind can say at any time, also after a crash in the middle, whether the old or the new state stands:
//! each is one write, one rename, or one transaction of the kernel.

mod entries;
mod file;
mod iptables;
mod modules;
mod nft;
mod policy;
mod program;
mod setting;
mod strays;

use std::io;
use std::path::Path;

use plimsoll_diagnosis::plan::Change;
use plimsoll_diagnosis::{Said, said};

use crate::error::plain;
use crate::journal::Memo;
use crate::place::Place;
use crate::reason::Reason;
use crate::transaction::Event;
use crate::{Phase, Transaction};

pub(crate) use file::standing;

/// What stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// What stood there before the change.
    Before,
    /// What the change wrote.
    After,
    /// Of what the change wrote some is gone, and the rest is as it was written: what is gone, in words.
    Part(Said),
    /// Something else: what.
    Other(Reason),
}

/// Where changes go.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    /// The namespace.
    pub(crate) place: &'a Place,
    /// Root of files.
    pub(crate) root: &'a Path,
    /// Number of the transaction: temporary files are named by it.
    pub(crate) id: u64,
}

/// What stands there now. `memo` is what was read back when the change was made, if it is known.
pub(crate) fn look(ground: &Ground<'_>, change: &Change, memo: Option<&Memo>) -> io::Result<Seen> {
    match change {
        Change::Setting(c) => ground.place.run(|| setting::look(c, memo)),
        Change::File(c) => file::look(ground.root, c),
        Change::Nft(c) => ground.place.run(|| nft::look(c, memo)),
        Change::Iptables(c) => ground.place.run(|| iptables::look(c)),
        Change::Policy(c) => ground.place.run(|| policy::look(c, memo)),
        Change::Modules(c) => modules::look(c),
        // What was deleted can't be told from what was never there.
        Change::Delete(_) => Ok(Seen::Before),
    }
}

/// Whatever can be known to fail is found out here, before the first change.
pub(crate) fn prepare(ground: &Ground<'_>, change: &Change) -> io::Result<()> {
    match change {
        Change::Setting(c) => ground.place.run(|| setting::prepare(c)),
        Change::File(c) => file::prepare(ground.root, ground.id, c),
        Change::Nft(c) => ground.place.run(|| nft::prepare(c)),
        Change::Iptables(c) => ground.place.run(|| iptables::prepare(c)),
        Change::Policy(c) => policy::prepare(c),
        Change::Modules(_) => modules::prepare(),
        Change::Delete(c) => entries::prepare(c),
    }
}

/// What else stands there before, that [`take_back`] has to know.
pub(crate) fn before(ground: &Ground<'_>, change: &Change) -> io::Result<Memo> {
    match change {
        Change::Iptables(c) => ground.place.run(|| iptables::before(c)),
        Change::File(c) => file::before(ground.root, c),
        Change::Setting(_)
        | Change::Nft(_)
        | Change::Policy(_)
        | Change::Modules(_)
        | Change::Delete(_) => Ok(Memo::new()),
    }
}

/// Makes it, and returns what reads back.
pub(crate) fn make(
    ground: &Ground<'_>,
    change: &Change,
    tell: &mut (dyn FnMut(Event) + Send),
) -> io::Result<Memo> {
    match change {
        Change::Setting(c) => ground.place.run(|| setting::make(c)),
        Change::File(c) => file::make(ground.root, ground.id, c).map(|()| Memo::new()),
        Change::Nft(c) => ground.place.run(|| nft::make(c)),
        Change::Iptables(c) => ground.place.run(|| iptables::make(c)).map(|()| Memo::new()),
        Change::Policy(c) => ground.place.run(|| policy::make(c)),
        Change::Modules(c) => modules::make(c).map(|()| Memo::new()),
        Change::Delete(c) => ground.place.run(|| entries::delete(c, tell)),
    }
}

/// Brings back what stood there before. Only called when [`look`] said [`Seen::After`] or [`Seen::Part`].
pub(crate) fn take_back(ground: &Ground<'_>, change: &Change) -> io::Result<()> {
    match change {
        Change::Setting(c) => ground.place.run(|| setting::take_back(c)),
        Change::File(c) => file::take_back(ground.root, ground.id, c),
        Change::Nft(c) => ground.place.run(|| nft::take_back(c)),
        Change::Iptables(c) => ground.place.run(|| iptables::take_back(c)),
        Change::Policy(c) => ground.place.run(|| policy::take_back(c)),
        Change::Modules(c) => modules::take_back(c),
        Change::Delete(_) => Ok(()),
    }
}

/// Commands that take away rules of ours in a place that no transaction has made which stands there.
pub(crate) fn strays(
    place: &Place,
    inode: Option<u64>,
    path: Option<&str>,
    all: &[Transaction],
) -> Vec<String> {
    let cookie = place.cookie().ok().flatten();
    let here = all.iter().filter(|one| {
        let stands = !matches!(one.phase, Phase::Undone | Phase::UndoneInPart);
        let same = one.plan.target.inode == inode && (one.cookie.is_none() || one.cookie == cookie);
        stands && one.of_this_boot() && same
    });
    let known: Vec<&Change> = here.flat_map(|one| &one.plan.changes).collect();
    let commands = place.run(|| Ok(strays::strays(&known))).unwrap_or_default().into_iter();
    let inside = commands.map(|command| match (place, path) {
        (Place::Open(_), Some(path)) => {
            format!("nsenter --net={path} sh -c \"{}\"", command.replace('"', "\\\""))
        }
        _ => command,
    });
    inside.collect()
}

/// Removes what [`prepare`] laid ready.
pub(crate) fn tidy(ground: &Ground<'_>, change: &Change) {
    if let Change::File(c) = change {
        file::tidy(ground.root, ground.id, c);
    }
}

/// Removes what came beside the change, once it does not stand any more. `Some`: what stays, though nothing is in it, and
/// why.
pub(crate) fn tidy_around(ground: &Ground<'_>, change: &Change, before: &Memo) -> Option<Said> {
    match change {
        Change::File(_) => {
            file::tidy_directories(before);
            None
        }
        // At worst an empty table stays.
        Change::Iptables(c) => iptables::give_back(ground.place, c, before).ok()?,
        Change::Setting(_)
        | Change::Nft(_)
        | Change::Policy(_)
        | Change::Modules(_)
        | Change::Delete(_) => None,
    }
}

/// Names one after the other, and once each.
fn listed(names: &[Said]) -> Said {
    let mut all: Vec<(&Said, usize)> = Vec::new();
    for name in names {
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, times)) => *times += 1,
            None => all.push((name, 1)),
        }
    }
    let words = all.into_iter().map(|(name, times)| match times {
        1 => name.clone(),
        _ => said!("{name} ({times} of them)", "{name:#}（共 {times} 条）"),
    });
    Said::join(&words.collect::<Vec<_>>(), &Said::of(", ", "、"))
}

/// The error in words, with what it was about.
pub(crate) fn words(change: &Change, error: &io::Error) -> Said {
    let (subject, why) = (change.subject(), plain(error));
    said!("{subject}: {why}", "{subject:#}：{why:#}")
}
