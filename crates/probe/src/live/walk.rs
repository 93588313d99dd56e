//! The tables of all namespaces in one walk by the BPF census, where there is enough to read.
//!
//! ctnetlink writes a message about every entry, and walks past everybody's for each namespace. The census walks
//! once. Both readings for a rate of new entries cover the same buckets, in slices that both take whole.

use std::collections::BTreeMap;

use plimsoll_ct::{Entry, Nanos};
use plimsoll_diagnosis::Said;
use plimsoll_diagnosis::facts::{
    Census, CensusBuilder, Comparison, Fact, Reader, SampleBuilder, TableSample, TcpTimeouts,
};

use super::{Found, calls};
use crate::entries::{Ask, Entries, Outcome, Scope, Share, Sink, Which};
use crate::seed::seed;
use crate::table::{self, Budget, SAMPLE_ENTRIES};

/// Entries on the whole machine from which it pays: loading takes some 20 ms, what ctnetlink takes for 10,000.
const WORTH: u64 = 20_000;
/// Buckets that the census takes at once: it never reads across a multiple of them.
const SLICE: u64 = crate::entries::SLICE;

/// Loaded programs, and what the first reading covered.
pub(super) struct Walk {
    entries: Entries,
    /// By inode: the bucket at which the first reading of the namespace ended.
    ends: BTreeMap<u64, u64>,
}

/// A namespace's table as the walk sees it.
pub(super) struct Table {
    /// The namespace.
    pub inode: u64,
    /// For idle times.
    pub timeouts: TcpTimeouts,
    /// What the first reading saw.
    pub previous: Option<TableSample>,
}

impl Walk {
    /// A walk over so many tables, if they hold enough for it.
    pub fn over(counts: &[Option<u64>]) -> Option<Self> {
        let all = counts.iter().flatten().fold(0u64, |sum, count| sum.saturating_add(*count));
        (all >= WORTH).then(|| Self { entries: Entries::default(), ends: BTreeMap::new() })
    }

    /// A part of each table, to compare the census with. `None`: there is no census to be had.
    pub fn samples(
        &mut self,
        budget: Budget,
        doors: &[&Found],
        counts: &[Option<u64>],
    ) -> Option<Vec<Option<TableSample>>> {
        let buckets = table::buckets()?;
        let (at, seed) = (table::monotonic(), seed());
        let mut places = BTreeMap::new();
        let mut builders: Vec<Option<(u64, SampleBuilder)>> = Vec::new();
        for (place, (door, count)) in doors.iter().zip(counts).enumerate() {
            let some = door.inode.zip(count.filter(|count| *count > 0));
            builders.push(some.map(|(inode, count)| {
                places.insert(inode, place);
                let end = end(buckets.0, count);
                self.ends.insert(inode, end);
                (end, SampleBuilder::new(u32::MAX, at, Some(buckets), seed))
            }));
        }
        let last = builders.iter().flatten().map(|(end, _)| *end).max()?;
        let mut sampling = Sampling { places, builders, bucket: 0, last };
        let outcome = self.read(&places_of(&sampling.places), budget, &mut sampling)?;
        let whole = outcome.share == Share::Whole;
        let finish = |(end, builder): (u64, SampleBuilder)| {
            let complete = (whole || sampling.bucket >= end) && !outcome.resized;
            builder.finish(complete).read_by(Reader::Bpf)
        };
        Some(sampling.builders.into_iter().map(|builder| builder.map(finish)).collect())
    }

    /// Who fills the tables, in their order; and what it took. `None`: there is no census to be had.
    pub fn censuses(&mut self, budget: Budget, tables: Vec<Table>) -> Option<Vec<Fact<Census>>> {
        let (at, buckets) = (table::monotonic(), table::buckets());
        let mut places = BTreeMap::new();
        let mut counting = Vec::new();
        for (place, table) in tables.into_iter().enumerate() {
            places.insert(table.inode, place);
            let comparison = table
                .previous
                .filter(|previous| previous.reader() == Some(Reader::Bpf))
                .and_then(|previous| Comparison::new(previous, at, buckets));
            counting.push(Counting {
                builder: CensusBuilder::new(Reader::Bpf, table.timeouts, seed()),
                comparison,
                end: self.ends.get(&table.inode).copied().unwrap_or(0),
            });
        }
        let mut counts = Counts { places, counting, bucket: 0 };
        let outcome = self.read(&places_of(&counts.places), budget, &mut counts)?;
        let rows = outcome.rows.max(1) as f64;
        let census = |counting: Counting| {
            let Counting { builder, comparison, end } = counting;
            let covered = outcome.share == Share::Whole || counts.bucket >= end;
            let churn = comparison.filter(|_| !outcome.resized).and_then(|c| c.finish(covered));
            let part = builder.seen() as f64 / rows;
            let kernel = outcome.kernel_time.map(|time| Nanos((time.0 as f64 * part) as u64));
            let census = builder.finish(outcome.is_complete(), kernel, churn, calls::ROWS);
            Fact::known(census, Said::of("BPF census", "BPF 普查"))
        };
        Some(counts.counting.into_iter().map(census).collect())
    }

    fn read(&mut self, inodes: &[u64], budget: Budget, sink: &mut impl Sink) -> Option<Outcome> {
        let ask = Ask {
            which: Which::Bpf,
            scope: Scope::Some(inodes.to_vec()),
            budget: Some(budget),
            ..Ask::default()
        };
        self.entries.read(&ask, std::slice::from_mut(sink)).ok()
    }
}

fn places_of(places: &BTreeMap<u64, usize>) -> Vec<u64> {
    places.keys().copied().collect()
}

/// The bucket at which the first reading of a table may end: whole slices that hold some [`SAMPLE_ENTRIES`] of it.
fn end(buckets: u64, count: u64) -> u64 {
    let share = f64::from(SAMPLE_ENTRIES) / count.max(1) as f64;
    let slices = (buckets as f64 * share / SLICE as f64) as u64;
    slices.saturating_mul(SLICE).clamp(SLICE, buckets.max(SLICE))
}

/// Takes the first reading of all.
struct Sampling {
    places: BTreeMap<u64, usize>,
    builders: Vec<Option<(u64, SampleBuilder)>>,
    bucket: u64,
    last: u64,
}

impl Sink for Sampling {
    fn take(&mut self, entry: &Entry) -> bool {
        if let Some(place) = entry.netns.and_then(|inode| self.places.get(&inode))
            && let Some((end, builder)) = &mut self.builders[*place]
            && self.bucket < *end
        {
            builder.add(entry);
        }
        self.bucket < self.last
    }

    fn reach_bucket(&mut self, bucket: u64) {
        self.bucket = bucket;
    }
}

/// One table being counted.
struct Counting {
    builder: CensusBuilder,
    comparison: Option<Comparison>,
    end: u64,
}

/// Counts all.
struct Counts {
    places: BTreeMap<u64, usize>,
    counting: Vec<Counting>,
    bucket: u64,
}

impl Sink for Counts {
    fn take(&mut self, entry: &Entry) -> bool {
        if let Some(place) = entry.netns.and_then(|inode| self.places.get(&inode)) {
            let Counting { builder, comparison, end } = &mut self.counting[*place];
            builder.add(entry);
            if let Some(comparison) = comparison
                && self.bucket < *end
            {
                comparison.add(entry);
            }
        }
        true
    }

    fn reach_bucket(&mut self, bucket: u64) {
        self.bucket = bucket;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_reading_takes_whole_slices_of_some_ten_thousand_entries() {
        assert_eq!(end(262_144, 100), 262_144);
        assert_eq!(end(262_144, 1_000_000), 2_048);
        assert_eq!(end(1 << 20, 4_000_000), 2_048);
        assert_eq!(end(65_536, 4_000_000), SLICE);
        assert_eq!(end(512, 25_000), SLICE);
    }

    #[test]
    fn a_machine_with_few_entries_is_not_worth_the_loading() {
        assert!(Walk::over(&[Some(WORTH / 2), None, Some(100)]).is_none());
        assert!(Walk::over(&[Some(WORTH / 2), None, Some(WORTH / 2)]).is_some());
    }
}
