//! What one setting would have made of the traffic.

use alloc::string::String;

use plimsoll_ct::{Counters, Time};

use crate::replay::Run;

/// What is noted on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Peaks {
    pub(crate) counted: u64,
    pub(crate) protected: u64,
    pub(crate) evicted: u64,
    pub(crate) lost: u64,
    pub(crate) first_drop: Option<Time>,
    pub(crate) last_drop: Option<Time>,
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
    /// Entries evicted to make room.
    pub evicted: u64,
    /// First drop.
    pub first_drop: Option<Time>,
    /// Last drop.
    pub last_drop: Option<Time>,
    /// Counters by their kernel names.
    pub counters: Counters,
}

impl Outcome {
    pub(crate) fn of(run: &Run) -> Self {
        let Run { label, model, peaks } = run;
        Self {
            label: label.clone(),
            max: model.settings().max,
            peak: peaks.counted,
            peak_protected: peaks.protected,
            lost: peaks.lost,
            evicted: peaks.evicted,
            first_drop: peaks.first_drop,
            last_drop: peaks.last_drop,
            counters: *model.counters(),
        }
    }
}

/// The first of the outcomes that lost nothing: callers order them from the smallest change on.
pub fn smallest_without_drops(outcomes: &[Outcome]) -> Option<&Outcome> {
    outcomes.iter().find(|o| o.lost == 0)
}
