//! What is to be seen of a transaction that stands: others may have changed it, or taken some of it away.

use std::collections::BTreeSet;
use std::io;

use plimsoll_diagnosis::plan::Change;
use plimsoll_diagnosis::{Said, said};

use crate::act::{self, Ground, Seen};
use crate::history::Stand;
use crate::journal::Memo;
use crate::place::Place;
use crate::saved::saved;
use crate::undo::{difference, ended};
use crate::{Phase, Transaction};

/// What is to be seen of a transaction, a sentence or a name each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sight {
    /// What others have taken away.
    pub gone: Vec<Said>,
    /// What others have changed since.
    pub changed: Vec<Said>,
    /// What could not be looked at, and why.
    pub unseen: Vec<Said>,
    /// Whether something of it is left.
    pub stands: bool,
    /// Of one that is taken back: files that firewalls load their rules from, and the lines of it that were saved there.
    pub saved: Vec<Said>,
}

/// Looks at those that stand, of all that there are, the oldest first; of the others only what was saved of them can be seen. What a
/// later one has written over is not theirs any more, and lines that it would have saved too are its own.
pub fn sights(all: &[Transaction]) -> Vec<Sight> {
    let (mut later, mut told) = (BTreeSet::new(), BTreeSet::new());
    let seen = all.iter().rev().map(|transaction| {
        let mut saved = saved(transaction);
        saved.retain(|lines| told.insert(lines.clone()));
        match transaction.phase {
            Phase::Standing | Phase::Pending { .. } => {}
            Phase::Undone | Phase::UndoneInPart => return Sight { saved, ..Sight::default() },
            Phase::Applying | Phase::Undoing => return Sight::default(),
        }
        let place = match transaction.place() {
            Ok(place) => place,
            Err(why) => return Sight { unseen: vec![why], stands: true, ..Sight::default() },
        };
        let mut sight = Sight::default();
        if place.is_none() && transaction.of_this_boot() {
            let name = &transaction.plan.target.name;
            sight.gone.push(said!("network namespace {name}", "网络命名空间 {name}"));
        }
        for one in look(transaction, place.as_ref(), &mut later) {
            sight.add(one);
        }
        sight
    });
    let mut seen: Vec<Sight> = seen.collect();
    seen.reverse();
    seen
}

impl Sight {
    fn add(&mut self, (change, memo, seen): Looked<'_>) {
        self.stands |= !matches!(seen, Ok(Seen::Before));
        match seen {
            Ok(Seen::After) => {}
            Ok(Seen::Before) => self.gone.push(gone(change)),
            Ok(Seen::Part(gone)) => self.gone.push(gone),
            Ok(Seen::Other(what)) => self.changed.push(difference(change, memo, what).said()),
            Err(error) => self.unseen.push(act::words(change, &error)),
        }
    }
}

/// A change that was made, what read back then, and what stands there now.
pub(crate) type Looked<'a> = (&'a Change, &'a Memo, io::Result<Seen>);

/// Looks at each change that was made and has not ended by itself, the last first. `over`: values and files, by namespace,
/// that a later change has written over.
pub(crate) fn look<'a>(
    transaction: &'a Transaction,
    place: Option<&Place>,
    over: &mut BTreeSet<([Option<u64>; 2], Said)>,
) -> Vec<Looked<'a>> {
    // What is left to look at where the namespace is gone lies in none.
    let here = Place::Here;
    let ground =
        Ground { place: place.unwrap_or(&here), root: &transaction.root, id: transaction.id };
    let mut all = Vec::new();
    for (change, stand) in transaction.plan.changes.iter().zip(&transaction.stands).rev() {
        let Stand::Done { memo, .. } = stand else { continue };
        // What was deleted can't be told from what was never there.
        if matches!(change, Change::Delete(_)) || ended(transaction, change, place) {
            continue;
        }
        let written_over = matches!(change, Change::Setting(_) | Change::File(_))
            && !over
                .insert(([transaction.plan.target.inode, transaction.cookie], change.subject()));
        if !written_over {
            all.push((change, memo, act::look(&ground, change, Some(memo))));
        }
    }
    all
}

/// A change that somebody else has taken back, in a few words.
pub(crate) fn gone(change: &Change) -> Said {
    match change {
        Change::Setting(_) => change.does(),
        Change::File(f) if f.after.is_none() => {
            said!("the removal of {}", "对 {} 的删除", f.path)
        }
        Change::Iptables(i) => {
            let table = format!("{} {}", i.restore.trim_end_matches("-restore"), i.table);
            said!("our rules in {table}", "{table} 里我们的规则")
        }
        Change::File(_)
        | Change::Nft(_)
        | Change::Policy(_)
        | Change::Modules(_)
        | Change::Delete(_) => change.subject(),
    }
}
