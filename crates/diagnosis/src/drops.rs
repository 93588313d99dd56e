//! Drops, past and present, over what was asked for; and which namespace the log speaks of.

use alloc::vec;
use alloc::vec::Vec;

use plimsoll_ct::{Counter, LogWording, Profile};

use crate::Drops;
use crate::case::Space;
use crate::facts::{Reason, SeenIn, Snapshot};
use crate::groups::sum;

/// A table at or over this share of its limit was the one that a nameless line speaks of.
const NEAR_FULL: f64 = 0.95;

/// Whether the reader was told which namespaces to look at: then those of others are nobody's business.
pub(crate) fn chosen(after: &Snapshot) -> bool {
    after.namespaces_complete.gap().is_some_and(|gap| gap.reason == Reason::NotAsked)
}

/// Drops of the whole host, or of the namespaces that were chosen.
pub(crate) fn drops(after: &Snapshot, spaces: &[Space<'_>], lines: Option<&SeenIn>) -> Drops {
    let rates: Vec<f64> =
        spaces.iter().filter_map(|s| s.rates.drop.as_ref().ok().copied()).collect();
    let counts: Vec<u64> = spaces.iter().filter_map(|s| s.total(Counter::Drop)).collect();
    let mut drops = Drops {
        now: (!rates.is_empty()).then(|| rates.iter().sum()),
        counted: (!counts.is_empty()).then(|| sum(counts.iter().copied())),
        ..Drops::default()
    };
    if let Some(log) = after.log.value() {
        drops.log_lines = Some(lines.map_or(0, |s| s.lines));
        drops.packets_at_least = Some(lines.map_or(0, |s| s.packets_at_least));
        drops.first = lines.and_then(|s| s.first);
        drops.last = lines.and_then(|s| s.last);
        // The limiter swallows the messages of all namespaces alike.
        drops.suppressed = (log.suppression_lines > 0 && !chosen(after)).then_some(log.suppressed);
    }
    drops
}

/// Which namespace the "table full" lines speak of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Attribution {
    /// Lines of each namespace, in the order of the result.
    pub(crate) lines: Vec<Option<SeenIn>>,
    /// Lines of namespaces that are gone or were not read. Empty where namespaces were chosen.
    pub(crate) gone: Vec<SeenIn>,
    /// Lines that could be any namespace's.
    pub(crate) unknown: Option<SeenIn>,
}

impl Attribution {
    /// From the inodes that the lines name. A line without one is the initial namespace's since 6.18;
    /// before, it says nothing, and only the circumstances can tell.
    pub(crate) fn of(after: &Snapshot, profile: &Profile, spaces: &[Space<'_>]) -> Self {
        let mut this = Self { lines: vec![None; spaces.len()], ..Self::default() };
        let Some(seen) = after.log.value().and_then(|l| l.table_full.as_ref()) else {
            return this;
        };
        for row in seen.namespaces.iter().filter(|row| row.lines > 0) {
            let owner = match row.inode {
                Some(inode) => spaces
                    .iter()
                    .position(|s| s.now.inode == Some(inode) && may_be_of(row, s))
                    .map_or(Owner::Gone, Owner::Space),
                None => nameless_owner(after, profile, spaces),
            };
            match owner {
                Owner::Space(i) => add(&mut this.lines[i], row),
                Owner::Gone => this.gone.push(row.clone()),
                Owner::Unknown => add(&mut this.unknown, row),
            }
        }
        let listed = sum(seen.namespaces.iter().map(|row| row.lines));
        if seen.lines > listed {
            let lines = seen.lines - listed;
            let rest = SeenIn { first: seen.first, last: seen.last, lines, ..SeenIn::default() };
            this.gone.push(SeenIn { example: seen.example.clone(), ..rest });
        }
        if chosen(after) {
            this.gone.clear();
        }
        this
    }

    /// Lines of one namespace.
    pub(crate) fn of_space(&self, index: usize) -> Option<&SeenIn> {
        self.lines.get(index)?.as_ref()
    }

    /// Lines of namespaces that are gone or were not read, together.
    pub(crate) fn gone(&self) -> Option<SeenIn> {
        let mut all = None;
        self.gone.iter().for_each(|row| add(&mut all, row));
        all
    }

    /// All lines of the namespaces that were read.
    pub(crate) fn read(&self) -> Option<SeenIn> {
        let mut all = None;
        self.lines.iter().flatten().for_each(|row| add(&mut all, row));
        all
    }
}

/// Whose lines.
enum Owner {
    Space(usize),
    Gone,
    Unknown,
}

/// Puts lines to others.
pub(crate) fn add(sum: &mut Option<SeenIn>, row: &SeenIn) {
    let Some(sum) = sum else {
        *sum = Some(row.clone());
        return;
    };
    let younger = row.last.map(|t| t.latest) > sum.last.map(|t| t.latest);
    if younger {
        (sum.last, sum.since) = (row.last, row.since);
        sum.example.clone_from(&row.example);
    }
    if let Some(first) = row.first
        && sum.first.is_none_or(|f| first.earliest < f.earliest)
    {
        sum.first = Some(first);
    }
    sum.earlier_boot &= row.earlier_boot;
    sum.lines = sum.lines.saturating_add(row.lines);
    sum.packets_at_least = sum.packets_at_least.saturating_add(row.packets_at_least);
}

/// Whether lines that name this namespace's inode can be its own. Inodes are given out again: with
/// every boot, and in one boot to a namespace that was made later. Each line proves a drop that no failed
/// insertion explains, so a namespace with fewer of those than lines has inherited some.
fn may_be_of(row: &SeenIn, space: &Space<'_>) -> bool {
    let clashes = space.total(Counter::InsertFailed).unwrap_or(0);
    let inherited =
        space.total(Counter::Drop).is_some_and(|all| all.saturating_sub(clashes) < row.lines);
    !row.earlier_boot && (space.now.is_initial() || !inherited)
}

/// The namespace that lines without a name speak of, where that can be told.
fn nameless_owner(after: &Snapshot, profile: &Profile, spaces: &[Space<'_>]) -> Owner {
    let initial = spaces.iter().position(|s| s.now.is_initial());
    if profile.log == LogWording::Netns || profile.global_count {
        return initial.map_or(Owner::Gone, Owner::Space);
    }
    let all_seen = after.namespaces_complete.value().is_some();
    if let (true, [_], Some(i)) = (all_seen, spaces, initial) {
        return Owner::Space(i);
    }
    let suspects: Vec<usize> = (0..spaces.len())
        .filter(|&i| {
            spaces[i].peak_fullness().is_some_and(|f| f >= NEAR_FULL)
                || spaces[i].total(Counter::Drop).is_some_and(|d| d > 0)
        })
        .collect();
    match suspects.as_slice() {
        [only] if initial.is_some() || chosen(after) => Owner::Space(*only),
        _ => Owner::Unknown,
    }
}
