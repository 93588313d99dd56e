//! What one setting would have made of the traffic.

use alloc::string::String;

use plimsoll_ct::{Bytes, Counter, Counters, Time};

use crate::distinct::KEPT;
use crate::replay::Run;

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
    /// Different flows among them: exact up to 16,384, then within about 2 %, and no more than packets.
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
    /// Whether [`Outcome::flows_lost`] is an estimate.
    pub const fn flows_are_estimated(&self) -> bool {
        self.flows_lost > KEPT as u64
    }

    /// Packets dropped since a hash chain was too long, whatever the limit.
    pub fn lost_to_chains(&self) -> u64 {
        self.counters.get(Counter::ChainTooLong).unwrap_or(0)
    }

    pub(crate) fn of(run: &Run<'_>) -> Self {
        let Run { label, max, notes, seat, .. } = *run;
        let (peaks, lost) = (&notes.peaks, notes.losses.packets(seat));
        let buckets = run.settings().buckets;
        Self {
            label: label.into(),
            max,
            peak: peaks.most(seat),
            peak_protected: peaks.protected(seat),
            lost: lost.number,
            flows_lost: notes.losses.flows(seat).min(lost.number),
            evicted: peaks.evicted(seat),
            first_drop: lost.first,
            last_drop: lost.last,
            buckets,
            memory: crate::answer::memory(run.profile(), peaks.most(seat), buckets),
            counters: run.counters(),
        }
    }
}
