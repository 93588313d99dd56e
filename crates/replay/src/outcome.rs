//! What one setting would have made of the traffic.

use alloc::string::String;

use plimsoll_ct::{Bytes, Counters, Time};
use plimsoll_model::{Model, Step, Verdict};

use crate::distinct::Distinct;
use crate::replay::Run;

/// What is noted on the way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Peaks {
    pub(crate) counted: u64,
    pub(crate) protected: u64,
    pub(crate) evicted: u64,
    pub(crate) lost: u64,
    pub(crate) first_drop: Option<Time>,
    pub(crate) last_drop: Option<Time>,
    pub(crate) flows: Distinct,
}

impl Peaks {
    /// A packet went its way; `flow` is its [flow](crate::distinct::flow)'s number.
    #[inline]
    pub(crate) fn note(
        &mut self,
        now: Time,
        flow: impl FnOnce() -> u64,
        step: &Step,
        model: &Model,
    ) {
        self.counted = self.counted.max(model.counted() as u64);
        self.protected = self.protected.max(model.protected());
        self.evicted += u64::from(step.evicted);
        if step.verdict == Verdict::Drop {
            self.lose(now, flow());
        }
    }

    /// A packet was dropped.
    fn lose(&mut self, now: Time, flow: u64) {
        self.lost += 1;
        self.first_drop.get_or_insert(now);
        self.last_drop = Some(now);
        self.flows.add(flow);
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
        let Run { label, max, peaks, .. } = *run;
        let buckets = run.settings().buckets;
        Self {
            label: label.into(),
            max,
            peak: peaks.counted,
            peak_protected: peaks.protected,
            lost: peaks.lost,
            flows_lost: peaks.flows.count(),
            evicted: peaks.evicted,
            first_drop: peaks.first_drop,
            last_drop: peaks.last_drop,
            buckets,
            memory: crate::answer::memory(run.profile(), peaks.counted, buckets),
            counters: *run.counters(),
        }
    }
}
