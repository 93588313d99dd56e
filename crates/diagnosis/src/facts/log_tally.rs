//! Counts over time, per series and namespace, of which each stretch of time gives its largest.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use plimsoll_ct::TimeRange;

/// Width of a slot at first, in nanoseconds. It doubles whenever there are too many.
const SLOT: i64 = 10_000_000_000;

/// Cells and joints kept; more make the slots wider.
const MOST: usize = 8192;

/// Namespaces told apart; more are counted as unnamed.
const MOST_NAMESPACES: usize = 256;

/// Lines, and what they stand for (packets, suppressed messages).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Count {
    /// Lines.
    pub(super) lines: u64,
    /// What they prove at least.
    pub(super) weight: u64,
}

/// Counts of one kind of line.
#[derive(Debug)]
pub(super) struct Tally {
    width: i64,
    /// By slot, namespace, series.
    cells: BTreeMap<(i64, Option<u64>, u16), Count>,
    /// Runs of slots that one uncertain line ties together: first to last, never touching.
    joints: BTreeMap<i64, i64>,
    names: BTreeMap<u64, ()>,
    /// First and last line of each series.
    ends: BTreeMap<u16, (TimeRange, TimeRange)>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            width: SLOT,
            cells: BTreeMap::new(),
            joints: BTreeMap::new(),
            names: BTreeMap::new(),
            ends: BTreeMap::new(),
        }
    }
}

impl Tally {
    /// Counts a line written within `at`, or at any time of `at_all` if that is not known.
    pub(super) fn add(
        &mut self,
        series: u16,
        namespace: Option<u64>,
        at: Option<TimeRange>,
        at_all: TimeRange,
        count: Count,
    ) {
        if let Some(at) = at {
            let ends = self.ends.entry(series).or_insert((at, at));
            ends.0.earliest = ends.0.earliest.min(at.earliest);
            ends.0.latest = ends.0.latest.min(at.latest);
            ends.1.earliest = ends.1.earliest.max(at.earliest);
            ends.1.latest = ends.1.latest.max(at.latest);
        }
        let namespace = namespace.filter(|inode| {
            self.names.contains_key(inode) || {
                let room = self.names.len() < MOST_NAMESPACES;
                if room {
                    self.names.insert(*inode, ());
                }
                room
            }
        });
        let range = at.unwrap_or(at_all);
        let first = range.earliest.0.div_euclid(self.width);
        let last = range.latest.0.div_euclid(self.width).max(first);
        self.join(first, last);
        let cell = self.cells.entry((first, namespace, series)).or_default();
        cell.lines = cell.lines.saturating_add(count.lines);
        cell.weight = cell.weight.saturating_add(count.weight);
        while self.cells.len() > MOST || self.joints.len() > MOST {
            if !self.widen() {
                break;
            }
        }
    }

    /// Ties the slots from `first` to `last` together, with all runs they touch.
    fn join(&mut self, mut first: i64, mut last: i64) {
        if first == last {
            return;
        }
        while let Some((&a, &b)) = self.joints.range(..=last).next_back() {
            if b < first {
                break;
            }
            self.joints.remove(&a);
            (first, last) = (first.min(a), last.max(b));
        }
        self.joints.insert(first, last);
    }

    /// Doubles the slots. False when they can't grow.
    fn widen(&mut self) -> bool {
        let Some(width) = self.width.checked_mul(2) else { return false };
        self.width = width;
        for ((slot, namespace, series), count) in core::mem::take(&mut self.cells) {
            let cell = self.cells.entry((slot.div_euclid(2), namespace, series)).or_default();
            cell.lines = cell.lines.saturating_add(count.lines);
            cell.weight = cell.weight.saturating_add(count.weight);
        }
        for (first, last) in core::mem::take(&mut self.joints) {
            self.join(first.div_euclid(2), last.div_euclid(2));
        }
        true
    }

    /// The stretch of time a slot is part of, by its first slot.
    fn stretch(&self, slot: i64) -> i64 {
        match self.joints.range(..=slot).next_back() {
            Some((&first, &last)) if slot <= last => first,
            _ => slot,
        }
    }

    /// By stretch and namespace: the largest lines and the largest weight of any series.
    fn largest(&self) -> BTreeMap<(i64, Option<u64>), Count> {
        let mut per_series: BTreeMap<(i64, Option<u64>, u16), Count> = BTreeMap::new();
        for (&(slot, namespace, series), count) in &self.cells {
            let sum = per_series.entry((self.stretch(slot), namespace, series)).or_default();
            sum.lines = sum.lines.saturating_add(count.lines);
            sum.weight = sum.weight.saturating_add(count.weight);
        }
        let mut largest: BTreeMap<(i64, Option<u64>), Count> = BTreeMap::new();
        for ((stretch, namespace, _), count) in per_series {
            let most = largest.entry((stretch, namespace)).or_default();
            most.lines = most.lines.max(count.lines);
            most.weight = most.weight.max(count.weight);
        }
        largest
    }

    /// All stretches and namespaces together.
    pub(super) fn total(&self) -> Count {
        self.largest().values().fold(Count::default(), |sum, count| Count {
            lines: sum.lines.saturating_add(count.lines),
            weight: sum.weight.saturating_add(count.weight),
        })
    }

    /// Lines by namespace, the most first.
    pub(super) fn namespaces(&self) -> Vec<(Option<u64>, u64)> {
        let mut lines: BTreeMap<Option<u64>, u64> = BTreeMap::new();
        for ((_, namespace), count) in self.largest() {
            let sum = lines.entry(namespace).or_default();
            *sum = sum.saturating_add(count.lines);
        }
        let mut lines: Vec<_> = lines.into_iter().collect();
        lines.sort_by_key(|&(namespace, lines)| (core::cmp::Reverse(lines), namespace));
        lines
    }

    /// When the first line was written.
    pub(super) fn first(&self) -> Option<TimeRange> {
        let bound = self.ends.values().map(|(first, _)| first.latest).min()?;
        // Series that may hold the very first line; the best clock among them speaks.
        self.ends
            .values()
            .map(|(first, _)| *first)
            .filter(|first| first.earliest <= bound)
            .min_by_key(|first| (width(first), first.earliest))
    }

    /// When the last line was written.
    pub(super) fn last(&self) -> Option<TimeRange> {
        let bound = self.ends.values().map(|(_, last)| last.earliest).max()?;
        self.ends
            .values()
            .map(|(_, last)| *last)
            .filter(|last| last.latest >= bound)
            .min_by_key(|last| (width(last), core::cmp::Reverse(last.latest)))
    }
}

/// How wide a range is.
const fn width(range: &TimeRange) -> u64 {
    range.latest.0.saturating_sub(range.earliest.0).unsigned_abs()
}
