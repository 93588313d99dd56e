//! What one setting would have made of the traffic.

use alloc::string::String;

use plimsoll_ct::{Bytes, Counters, Time};
use plimsoll_model::Step;

use crate::replay::Run;

/// What is noted of a setting on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Peaks {
    /// Most at once since the last sample, that moment included, and before it.
    counted: u64,
    before: u64,
    pub(crate) protected: u64,
    pub(crate) evicted: u64,
}

impl Peaks {
    /// A packet went its way: so many entries there are now, so many of them protected.
    #[inline(always)]
    pub(crate) fn note(&mut self, step: &Step, counted: usize, protected: u64) {
        if counted as u64 > self.counted || protected > self.protected {
            self.counted = self.counted.max(counted as u64);
            self.protected = self.protected.max(protected);
        }
        self.evicted += u64::from(step.evicted);
    }

    /// Most at once.
    pub(crate) fn most(&self) -> u64 {
        self.counted.max(self.before)
    }

    /// Most at once since the last call; so many there are now.
    pub(crate) fn take(&mut self, counted: u64) -> u64 {
        self.before = self.most();
        core::mem::replace(&mut self.counted, counted)
    }
}

/// What one setting would have made of the traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The setting, in words.
    pub label: String,
    /// Limit; 0: none.
    pub max: u64,
    /// Most entries that counted at once.
    pub peak: u64,
    /// Most of them that nothing but time removes.
    pub peak_protected: u64,
    /// Packets dropped.
    pub lost: u64,
    /// Different flows among them: exact up to 16,384, then within about 2 %.
    pub flows_lost: u64,
    /// Entries evicted to make room.
    pub evicted: u64,
    /// First drop.
    pub first_drop: Option<Time>,
    /// Last drop.
    pub last_drop: Option<Time>,
    /// Hash buckets.
    pub buckets: u64,
    /// What the entries at the peak and the buckets take in the kernel: 64 bits, the profile's usual sizes.
    pub memory: Bytes,
    /// Counters by their kernel names.
    pub counters: Counters,
}

impl Outcome {
    pub(crate) fn of(run: &Run<'_>) -> Self {
        let Run { label, max, notes, seat, .. } = *run;
        let (peaks, lost) = (notes.peaks[seat], notes.losses.packets(seat));
        let buckets = run.settings().buckets;
        Self {
            label: label.into(),
            max,
            peak: peaks.most(),
            peak_protected: peaks.protected,
            lost: lost.number,
            flows_lost: notes.losses.flows(seat),
            evicted: peaks.evicted,
            first_drop: lost.first,
            last_drop: lost.last,
            buckets,
            memory: crate::answer::memory(run.profile(), peaks.most(), buckets),
            counters: run.counters(),
        }
    }
}
