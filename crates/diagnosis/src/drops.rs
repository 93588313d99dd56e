//! Drops, past and present, over the whole host; and which namespace the log speaks of.

use alloc::vec;
use alloc::vec::Vec;

use plimsoll_ct::{Counter, LogWording, Profile};

use crate::Drops;
use crate::case::Space;
use crate::facts::Snapshot;
use crate::groups::sum;

/// A table at or over this share of its limit was the one that a nameless line speaks of.
const NEAR_FULL: f64 = 0.95;

/// Drops of the whole host.
pub(crate) fn drops(after: &Snapshot, spaces: &[Space<'_>]) -> Drops {
    let rates: Vec<f64> =
        spaces.iter().filter_map(|s| s.rates.drop.as_ref().ok().copied()).collect();
    let counts: Vec<u64> = spaces.iter().filter_map(|s| s.total(Counter::Drop)).collect();
    let mut drops = Drops {
        now: (!rates.is_empty()).then(|| rates.iter().sum()),
        counted: (!counts.is_empty()).then(|| sum(counts.iter().copied())),
        ..Drops::default()
    };
    if let Some(log) = after.log.value() {
        drops.log_lines = Some(log.table_full.as_ref().map_or(0, |s| s.lines));
        drops.packets_at_least = Some(log.table_full.as_ref().map_or(0, |s| s.packets_at_least));
        drops.first = log.table_full.as_ref().and_then(|s| s.first);
        drops.last = log.table_full.as_ref().and_then(|s| s.last);
        drops.suppressed = (log.suppression_lines > 0).then_some(log.suppressed);
    }
    drops
}

/// Which namespace the "table full" lines speak of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Attribution {
    /// Lines for each namespace, in the order of the result.
    pub(crate) lines: Vec<u64>,
    /// Lines of namespaces that are gone: inode and lines.
    pub(crate) gone: Vec<(u64, u64)>,
    /// Lines that could be any namespace's.
    pub(crate) unknown: u64,
}

impl Attribution {
    /// From the inodes that the lines name. A line without one is the initial namespace's since 6.18;
    /// before, it says nothing, and only the circumstances can tell.
    pub(crate) fn of(after: &Snapshot, profile: &Profile, spaces: &[Space<'_>]) -> Self {
        let mut this = Self { lines: vec![0; spaces.len()], ..Self::default() };
        let Some(seen) = after.log.value().and_then(|l| l.table_full.as_ref()) else {
            return this;
        };
        let named =
            sum(seen.namespaces.iter().filter(|(inode, _)| inode.is_some()).map(|(_, n)| *n));
        for &(inode, lines) in &seen.namespaces {
            let Some(inode) = inode else { continue };
            match spaces.iter().position(|s| s.now.inode == Some(inode) && may_have_dropped(s)) {
                Some(i) => this.lines[i] = this.lines[i].saturating_add(lines),
                None => this.gone.push((inode, lines)),
            }
        }
        let nameless = seen.lines.saturating_sub(named);
        if nameless == 0 {
            return this;
        }
        match nameless_owner(after, profile, spaces) {
            Some(i) => this.lines[i] = this.lines[i].saturating_add(nameless),
            None => this.unknown = nameless,
        }
        this
    }
}

/// Whether a line that names this namespace's inode can be its own. Inodes are given out again: a
/// namespace that has not dropped a packet since it was made took over the number of one that is gone.
fn may_have_dropped(space: &Space<'_>) -> bool {
    space.now.is_initial() || space.total(Counter::Drop) != Some(0)
}

/// The namespace that lines without a name speak of, where that can be told.
fn nameless_owner(after: &Snapshot, profile: &Profile, spaces: &[Space<'_>]) -> Option<usize> {
    let initial = spaces.iter().position(|s| s.now.is_initial())?;
    let all_seen = after.namespaces_complete.value().is_some();
    if profile.log == LogWording::Netns || profile.global_count || (all_seen && spaces.len() == 1) {
        return Some(initial);
    }
    let suspects: Vec<usize> = (0..spaces.len())
        .filter(|&i| {
            spaces[i].peak_fullness().is_some_and(|f| f >= NEAR_FULL)
                || spaces[i].total(Counter::Drop).is_some_and(|d| d > 0)
        })
        .collect();
    match suspects.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}
