//! Counts over time, per series and namespace, of which each stretch of time gives its largest.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use plimsoll_ct::{Time, TimeRange};

use super::log::SeenIn;

/// Width of a slot at first, in nanoseconds. It doubles whenever there are too many.
const SLOT: i64 = 10_000_000_000;

/// Cells and joints kept; more make the slots wider.
const MOST: usize = 8192;

/// Namespaces told apart.
const MOST_NAMESPACES: usize = 256;

/// Lines further apart belong to two runs. A table that drops all the time is told of every few
/// seconds, however busy the limiter.
const QUIET: i64 = 300_000_000_000;

/// Lines, and what they stand for (packets, suppressed messages).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Count {
    /// Lines.
    pub(super) lines: u64,
    /// What they prove at least.
    pub(super) weight: u64,
}

/// Which namespace a line names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    /// It names none.
    Unnamed,
    /// This one.
    Inode(u64),
    /// One beyond those that are told apart.
    Another,
}

/// First and last line of a series.
type Ends = (TimeRange, TimeRange);

/// Counts of one kind of line.
#[derive(Debug)]
pub(super) struct Tally {
    width: i64,
    /// By slot, namespace, series.
    cells: BTreeMap<(i64, Whose, u16), Count>,
    /// Runs of slots that one uncertain line ties together: first to last, never touching.
    joints: BTreeMap<i64, i64>,
    names: BTreeSet<u64>,
    /// By namespace, whether it was before this boot, and series.
    ends: BTreeMap<(Whose, bool, u16), Ends>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            width: SLOT,
            cells: BTreeMap::new(),
            joints: BTreeMap::new(),
            names: BTreeSet::new(),
            ends: BTreeMap::new(),
        }
    }
}

impl Tally {
    /// Counts a line written within `at`, or at any time of `at_all` if that is not known. Returns
    /// under which namespace it was counted.
    pub(super) fn add(
        &mut self,
        series: u16,
        inode: Option<u64>,
        at: Option<TimeRange>,
        at_all: TimeRange,
        boot: Option<TimeRange>,
        count: Count,
    ) -> Whose {
        let whose = self.whose(inode);
        if let Some(at) = at {
            let earlier = boot.is_some_and(|boot| at.latest < boot.earliest);
            extend(self.ends.entry((whose, earlier, series)).or_insert((at, at)), (at, at));
        }
        let range = at.unwrap_or(at_all);
        let first = range.earliest.0.div_euclid(self.width);
        let last = range.latest.0.div_euclid(self.width).max(first);
        self.join(first, last);
        let cell = self.cells.entry((first, whose, series)).or_default();
        cell.lines = cell.lines.saturating_add(count.lines);
        cell.weight = cell.weight.saturating_add(count.weight);
        while self.cells.len() > MOST || self.joints.len() > MOST {
            if !self.widen() {
                break;
            }
        }
        whose
    }

    fn whose(&mut self, inode: Option<u64>) -> Whose {
        let Some(inode) = inode else { return Whose::Unnamed };
        if self.names.contains(&inode) {
            return Whose::Inode(inode);
        }
        if self.names.len() >= MOST_NAMESPACES {
            return Whose::Another;
        }
        self.names.insert(inode);
        Whose::Inode(inode)
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
        for ((slot, whose, series), count) in core::mem::take(&mut self.cells) {
            let cell = self.cells.entry((slot.div_euclid(2), whose, series)).or_default();
            cell.lines = cell.lines.saturating_add(count.lines);
            cell.weight = cell.weight.saturating_add(count.weight);
        }
        for (first, last) in core::mem::take(&mut self.joints) {
            self.join(first.div_euclid(2), last.div_euclid(2));
        }
        true
    }

    /// The stretch of time a slot is part of, by its first and its last slot.
    fn stretch(&self, slot: i64) -> (i64, i64) {
        match self.joints.range(..=slot).next_back() {
            Some((&first, &last)) if slot <= last => (first, last),
            _ => (slot, slot),
        }
    }

    /// By namespace and stretch: the largest lines and the largest weight of any series.
    fn largest(&self) -> BTreeMap<(Whose, (i64, i64)), Count> {
        let mut per_series: BTreeMap<(Whose, (i64, i64), u16), Count> = BTreeMap::new();
        for (&(slot, whose, series), count) in &self.cells {
            let sum = per_series.entry((whose, self.stretch(slot), series)).or_default();
            sum.lines = sum.lines.saturating_add(count.lines);
            sum.weight = sum.weight.saturating_add(count.weight);
        }
        let mut largest: BTreeMap<(Whose, (i64, i64)), Count> = BTreeMap::new();
        for ((whose, stretch, _), count) in per_series {
            let most = largest.entry((whose, stretch)).or_default();
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

    /// By namespace, before this boot and since, the most lines first.
    pub(super) fn namespaces(&self, boot: Option<TimeRange>) -> Vec<(Whose, SeenIn)> {
        let mut rows: BTreeMap<(Whose, bool), (Count, (i64, i64))> = BTreeMap::new();
        for ((whose, stretch), count) in self.largest() {
            // A stretch that reaches into this boot may be all of this boot.
            let earlier = boot.is_some_and(|boot| self.end(stretch.1) < boot.earliest);
            let (sum, run) = rows.entry((whose, earlier)).or_insert((Count::default(), stretch));
            sum.lines = sum.lines.saturating_add(count.lines);
            sum.weight = sum.weight.saturating_add(count.weight);
            let gap = self.start(stretch.0).0.saturating_sub(self.end(run.1).0);
            *run = if gap > QUIET { stretch } else { (run.0, stretch.1) };
        }
        let mut rows: Vec<_> = rows
            .into_iter()
            .map(|((whose, earlier), (count, run))| {
                let exact = |w: Whose, e: bool| w == whose && e == earlier;
                let first = self.first(exact).or_else(|| self.first(|w, _| w == whose));
                let seen = SeenIn {
                    inode: match whose {
                        Whose::Inode(inode) => Some(inode),
                        Whose::Unnamed | Whose::Another => None,
                    },
                    earlier_boot: earlier,
                    since: first.map(|first| self.begin(run.0, first)),
                    first,
                    last: self.last(exact).or_else(|| self.last(|w, _| w == whose)),
                    lines: count.lines,
                    packets_at_least: count.weight,
                    ..SeenIn::default()
                };
                (whose, seen)
            })
            .collect();
        rows.sort_by_key(|(whose, seen)| (core::cmp::Reverse(seen.lines), *whose));
        rows
    }

    /// When a slot begins.
    const fn start(&self, slot: i64) -> Time {
        Time(slot.saturating_mul(self.width))
    }

    /// When a slot ends.
    const fn end(&self, slot: i64) -> Time {
        Time(slot.saturating_add(1).saturating_mul(self.width))
    }

    /// When a run began, of which the slot is known and of all lines the first.
    fn begin(&self, slot: i64, first: TimeRange) -> TimeRange {
        let (start, end) = (self.start(slot), self.end(slot));
        if start <= first.latest {
            return first;
        }
        TimeRange { earliest: start, latest: end }
    }

    /// When the first of the lines was written that are asked for by namespace and boot.
    pub(super) fn first(&self, of: impl Fn(Whose, bool) -> bool) -> Option<TimeRange> {
        let ends = self.ends(of);
        let firsts = || ends.values().map(|(first, _)| *first);
        let bound = firsts().map(|first| first.latest).min()?;
        // Series that may hold the very first line; the best clock among them speaks.
        firsts()
            .filter(|first| first.earliest <= bound)
            .min_by_key(|first| (width(first), first.earliest))
    }

    /// When the last of them was written.
    pub(super) fn last(&self, of: impl Fn(Whose, bool) -> bool) -> Option<TimeRange> {
        let ends = self.ends(of);
        let lasts = || ends.values().map(|(_, last)| *last);
        let bound = lasts().map(|last| last.earliest).max()?;
        lasts()
            .filter(|last| last.latest >= bound)
            .min_by_key(|last| (width(last), core::cmp::Reverse(last.latest)))
    }

    /// By series: one clock puts the lines of all namespaces in order, however little it knows of the time of day.
    fn ends(&self, of: impl Fn(Whose, bool) -> bool) -> BTreeMap<u16, Ends> {
        let mut all: BTreeMap<u16, Ends> = BTreeMap::new();
        for (&(whose, earlier, series), &ends) in &self.ends {
            if of(whose, earlier) {
                extend(all.entry(series).or_insert(ends), ends);
            }
        }
        all
    }
}

/// Puts other lines of the same series to those between these ends.
fn extend(ends: &mut Ends, (first, last): Ends) {
    ends.0.earliest = ends.0.earliest.min(first.earliest);
    ends.0.latest = ends.0.latest.min(first.latest);
    ends.1.earliest = ends.1.earliest.max(last.earliest);
    ends.1.latest = ends.1.latest.max(last.latest);
}

/// How wide a range is.
const fn width(range: &TimeRange) -> u64 {
    range.latest.0.saturating_sub(range.earliest.0).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen on a live host: two namespaces, eight seconds apart, on a clock that knows the time of day to four.
    #[test]
    fn the_last_line_of_a_series_is_its_last_whichever_namespace_it_names() {
        const SECOND: i64 = 1_000_000_000;
        let mut tally = Tally::default();
        let mut at = |inode: u64, second: i64, off: i64| {
            let middle = second * SECOND;
            let at = TimeRange { earliest: Time(middle - off), latest: Time(middle + off) };
            tally.add(1, Some(inode), Some(at), at, None, Count { lines: 1, weight: 1 });
            at
        };
        // What is more certain is neither the first nor the last line.
        let first = at(7, 100, 4 * SECOND + 2);
        at(8, 105, 4 * SECOND);
        let last = at(7, 111, 4 * SECOND + 1);
        assert_eq!(tally.first(|_, _| true), Some(first));
        assert_eq!(tally.last(|_, _| true), Some(last));
    }
}
