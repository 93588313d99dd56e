//! Tables that hold more than the limit that taking back gives them: such a one drops packets. The limit is one value for
//! all network namespaces, so the fullest of those that can be seen counts.

use std::fs;
use std::io;

use plimsoll_diagnosis::plan::{Change, Setting};
use plimsoll_diagnosis::{Said, count};

use crate::Transaction;
use crate::history::Stand;
use crate::place::{HOST, Place};
use crate::reason::{self, Reason};

/// Whether a path is the table's limit.
pub(crate) fn is_limit(path: &str) -> bool {
    path.ends_with("conntrack_max")
}

/// The limit that taking back leads to: a raise of several steps goes back to where the first one began.
pub(crate) fn old_limit(transaction: &Transaction) -> Option<(&Setting, u64)> {
    let changes = transaction.plan.changes.iter().zip(&transaction.stands);
    changes.into_iter().find_map(|(change, stand)| match (change, stand) {
        (Change::Setting(s), Stand::Done { .. } | Stand::Intended { .. }) if is_limit(&s.path) => {
            s.before.trim().parse().ok().map(|before| (s, before))
        }
        _ => None,
    })
}

/// The fullest namespace, where it holds more than so many. No limit, 0, is never too low.
pub(crate) fn fuller(setting: &Setting, limit: u64) -> Option<(Said, u64)> {
    let path = setting.path.replace("conntrack_max", "conntrack_count");
    // One may be gone meanwhile, or not count.
    let counts = Place::all().into_iter().filter_map(|(name, place)| {
        place.run(|| number(&path)).ok().map(|entries| (name, entries))
    });
    let fullest = counts.max_by_key(|(_, entries)| *entries);
    fullest.filter(|(_, entries)| limit > 0 && *entries > limit)
}

/// What is overfull once a transaction is taken back.
pub(crate) fn after(transaction: &Transaction) -> Option<Reason> {
    let (setting, _) = old_limit(transaction)?;
    let limit = number(&setting.path).ok()?;
    let (name, entries) = fuller(setting, limit)?;
    let (entries, limit) = (count(entries), count(limit));
    Some(if name == HOST {
        reason::HOST_OVERFULL.of(&[&entries, &limit])
    } else {
        reason::OVERFULL.of(&[&name, &entries, &limit])
    })
}

fn number(path: &str) -> io::Result<u64> {
    fs::read_to_string(path)?.trim().parse().map_err(io::Error::other)
}
