//! What a capture says about settings: what each would have made of it, and what would have sufficed.

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::{Bytes, Era, Profile, Time};

use plimsoll_model::Occupancy;

use crate::doubts::Doubts;
use crate::outcome::Outcome;
use crate::replay::Run;
use crate::tally::Tally;
use crate::timeline::Timeline;

/// One setting that was tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What came of it.
    pub outcome: Outcome,
    /// What is different about it: name, value as set, value tried.
    pub changes: Vec<Change>,
    /// The table at the end.
    pub last: Occupancy,
    /// Occupancy over time, if it was sampled.
    pub timeline: Timeline,
}

/// One setting's change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Sysctl name, without its directory.
    pub name: &'static str,
    /// As set.
    pub from: u64,
    /// Tried.
    pub to: u64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The kernel.
    pub profile: &'static Profile,
    /// Nobody captured the traffic: it was made up.
    pub synthetic: bool,
    /// Copies of the traffic.
    pub scale: u32,
    /// So many times faster.
    pub speed: f64,
    /// First and last packet.
    pub span: Option<(Time, Time)>,
    /// What was read.
    pub tally: Tally,
    /// What may be otherwise than captured.
    pub doubts: Doubts,
    /// Packets that the capturing hosts say they lost.
    pub lost_by_capture: u64,
    /// Captures that are broken, and where.
    pub broken: Vec<String>,
    /// NOTRACK rules for one direction, with the one that is missing.
    pub one_way: Vec<(String, String)>,
    /// Timeout policies in force, as they are written.
    pub policies: Vec<String>,
    /// The setting as it is.
    pub as_set: Row,
    /// The settings that were asked for.
    pub asked: Vec<Row>,
    /// No limit; `None` where the limit was never met, so that it changed nothing.
    pub unlimited: Option<Row>,
    /// No limit, and so many buckets that no chain is too long; `None` where chains lose nothing without a limit, or that was not
    /// looked for.
    pub more_buckets: Option<Row>,
    /// Shorter timeouts that were tried unasked, since entries were lost.
    pub shorter: Vec<Row>,
    /// The smallest limit found that dropped no packet, though it evicted.
    pub enough: Option<Row>,
}

impl Row {
    /// Of a run that is over, with how full its table is.
    pub fn of(run: &Run<'_>, last: Occupancy, changes: Vec<Change>) -> Self {
        Self { outcome: Outcome::of(run), changes, last, timeline: run.timeline.clone() }
    }

    /// How far it is from what is set: the sum of the factors, each as a number of doublings.
    pub fn distance(&self) -> f64 {
        let factor = |change: &Change| {
            let (from, to) = (change.from.max(1) as f64, change.to.max(1) as f64);
            libm::fabs(libm::log2(to / from))
        };
        self.changes.iter().map(factor).sum()
    }

    /// Neither a packet was dropped nor an entry evicted.
    pub fn is_clean(&self) -> bool {
        self.outcome.lost == 0 && self.outcome.evicted == 0
    }
}

impl Answer {
    /// The run that has least in its way.
    fn freest(&self) -> &Row {
        self.more_buckets.as_ref().or(self.unlimited.as_ref()).unwrap_or(&self.as_set)
    }

    /// Entries at once that the traffic needs so that none is evicted, nor lost to chains: the peak without a limit, with
    /// enough buckets.
    pub fn needed(&self) -> u64 {
        self.freest().outcome.peak
    }

    /// Whether what is needed is known: no limit was in the way, nor a chain. Else it is more.
    pub fn needed_is_known(&self) -> bool {
        let free = self.unlimited.is_some() || self.as_set.is_clean();
        free && self.freest().outcome.lost_to_chains() == 0
    }

    /// Packets that are lost without a limit too: no limit is enough.
    pub fn lost_without_a_limit(&self) -> u64 {
        self.unlimited.as_ref().map_or(0, |row| row.outcome.lost)
    }

    /// Tells of settings that were tried alone: those that lose less are kept.
    pub fn helped_by(&mut self, rows: impl IntoIterator<Item = Row>) {
        let lost = self.as_set.outcome.lost;
        self.shorter.extend(rows.into_iter().filter(|row| row.outcome.lost < lost));
    }

    /// Every row, the setting as it is first.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        core::iter::once(&self.as_set)
            .chain(&self.asked)
            .chain(&self.enough)
            .chain(&self.shorter)
            .chain(&self.unlimited)
            .chain(&self.more_buckets)
    }

    /// Of the settings that were asked for, the nearest to what is set that dropped no packet.
    pub fn smallest_asked(&self) -> Option<&Row> {
        nearest(&self.asked)
    }

    /// Of the timeouts that were tried unasked, the nearest to what is set that dropped no packet.
    pub fn smallest_shorter(&self) -> Option<&Row> {
        nearest(&self.shorter)
    }

    /// Entries at once on average, rounded up, over the samples of the run that says what is needed; `None`: it was not sampled.
    pub fn mean(&self) -> Option<u64> {
        let samples = self.freest().timeline.samples();
        let all: u128 = samples.iter().map(|s| u128::from(s.occupancy.live)).sum();
        let number = samples.len() as u128;
        u64::try_from((number > 0).then(|| all.div_ceil(number))?).ok()
    }
}

fn nearest(rows: &[Row]) -> Option<&Row> {
    rows.iter()
        .filter(|row| row.outcome.lost == 0)
        .min_by(|a, b| a.distance().total_cmp(&b.distance()))
}

/// Memory of so many entries and buckets in the kernel: 64 bits, the profile's usual sizes.
pub(crate) fn memory(profile: &Profile, entries: u64, buckets: u64) -> Bytes {
    let entry = profile.entry_size.get() + profile.extension_size.get();
    let bucket = if profile.era == Era::IpConntrack { 16 } else { 8 };
    Bytes(entries.saturating_mul(entry).saturating_add(buckets.saturating_mul(bucket)))
}
