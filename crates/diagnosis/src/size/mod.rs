//! How big the table has to be: what the load needs, what it costs, and the arithmetic in between.
//!
//! Entries at once = new entries per second × seconds that each stays (Little's law), class by class. A
//! [`Demand`] (measured, replayed or given) and a [`Machine`] enter [`size`]; a [`Sizing`] with every step of
//! the way leaves. This is the only place where a limit is chosen.

mod chains;
mod demand;
mod formulas;
mod given;
mod machine;

pub(crate) use demand::in_case;
pub use demand::{ClassDemand, Demand, How, Origin, Peak, Remark, seen};
pub use formulas::{Formula, Rule};
pub use given::{GivenClass, given};
pub use machine::Machine;

use alloc::vec::Vec;

use plimsoll_ct::{Bytes, Profile};

/// Share of the memory that all tables together may take at worst.
const BUDGET: u64 = 8;
/// The kernel keeps the number in 31 bits.
const HIGHEST: u64 = i32::MAX as u64;
/// Room above the peak, in percent: growth until somebody looks again.
pub const MARGIN: u32 = 50;

/// A size, and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Sizing {
    /// What the load needs.
    pub demand: Demand,
    /// What it is for.
    pub machine: Machine,
    /// Room above the peak, in percent.
    pub margin: u32,
    /// Peak and margin.
    pub wanted: u64,
    /// What this kernel would give itself: never less is recommended.
    pub default: Option<u64>,
    /// Limit to set.
    pub max: u64,
    /// Buckets for it.
    pub buckets: u64,
    /// Memory kept the limit below what is wanted.
    pub capped: bool,
    /// Worst case: every tracking namespace full, and the buckets.
    pub worst: Bytes,
    /// Entries of the peak in one namespace, and the buckets.
    pub usual: Bytes,
    /// Entries in a chain on average in a full table, and in the longest one to be expected.
    pub chain: (f64, u64),
    /// What others would say.
    pub others: Vec<Formula>,
}

impl Sizing {
    /// Whether the limit in force is at least what is wanted. `None`: it is not known.
    pub fn enough(&self) -> Option<bool> {
        let now = self.machine.max_now?;
        Some(now == 0 && self.machine.profile.zero_is_unlimited || now >= self.wanted)
    }
}

/// The size for a demand on a machine. Limits are rounded up to a sixteenth of the next power of two: close,
/// and easy to remember.
pub fn size(demand: Demand, machine: &Machine, margin: u32) -> Sizing {
    let peak = demand.peak.entries(demand.mean);
    let wanted = peak
        .saturating_add(peak / 100 * u64::from(margin))
        .saturating_add(peak % 100 * u64::from(margin) / 100);
    let default = machine.memory.map(|m| machine.profile.defaults(m).1);
    let asked = round_up(wanted).max(default.unwrap_or(0)).clamp(1, HIGHEST);
    let most = machine.most(BUDGET);
    let max = most.map_or(asked, |most| asked.min(round_down(most))).max(1);
    let buckets = machine.buckets_for(max);
    Sizing {
        wanted,
        default,
        max,
        buckets,
        capped: max < asked && max < wanted,
        worst: machine.worst(max, buckets),
        usual: machine.one(peak.min(max), buckets),
        chain: chains::at(machine.shared(max), buckets),
        others: formulas::others(machine),
        demand,
        machine: machine.clone(),
        margin,
    }
}

/// Buckets that go with a limit: as many as this generation gives itself, never fewer than now.
pub fn buckets_for(profile: &Profile, max: u64, now: Option<u64>) -> u64 {
    let by_ratio = if profile.max_per_bucket == 1 { max } else { max / 4 };
    by_ratio.max(now.unwrap_or(0)).max(1)
}

fn step(n: u64) -> u64 {
    (n.checked_next_power_of_two().unwrap_or(1 << 63) / 16).max(256)
}

fn round_up(n: u64) -> u64 {
    n.checked_next_multiple_of(step(n)).unwrap_or(u64::MAX)
}

fn round_down(n: u64) -> u64 {
    n / step(n) * step(n)
}
