//! What a size is for: the kernel, its memory, and what entries and buckets cost there.

use alloc::string::{String, ToString};

use plimsoll_ct::{Bytes, Profile};

use crate::case::Case;
use crate::facts::{Fact, Snapshot};
use crate::price::Price;

/// A host as a size sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// Kernel release, if known.
    pub kernel: Option<String>,
    /// Its generation.
    pub profile: Profile,
    /// Memory.
    pub memory: Option<Bytes>,
    /// CPUs.
    pub cpus: Option<u32>,
    /// Limit in force.
    pub max_now: Option<u64>,
    /// Buckets in force.
    pub buckets_now: Option<u64>,
    /// An entry without extensions, its share of the slab's waste included.
    pub object: Bytes,
    /// Where that was read.
    pub object_source: String,
    /// Prices.
    pub(crate) price: Price,
}

impl Machine {
    /// Of what was read.
    pub fn of(snapshot: &Snapshot) -> Self {
        Self::in_case(&Case::new(None, snapshot))
    }

    /// A host of which only the generation and the buckets are known.
    pub fn of_profile(profile: &Profile, buckets: u64) -> Self {
        let price = Price::of_profile(profile);
        Self {
            kernel: None,
            profile: *profile,
            memory: None,
            cpus: None,
            max_now: None,
            buckets_now: Some(buckets),
            object: price.object,
            object_source: usual(profile),
            price,
        }
    }

    pub(crate) fn in_case(case: &Case<'_>) -> Self {
        let host = &case.after.host;
        let initial = case.initial().map(|(_, s)| s);
        let max_now = initial.or(case.spaces.first()).and_then(|s| s.load.max).map(|m| m.0);
        let object_source = match &host.slab {
            Fact::Known { source, .. } => source.0.to_string(),
            Fact::Missing(_) => usual(&host.profile),
        };
        Self {
            kernel: host.kernel.value().map(|k| k.release.clone()),
            profile: host.profile,
            memory: host.memory_total.get(),
            cpus: host.cpus.get(),
            max_now: max_now.or(host.global_max.get()),
            buckets_now: case.buckets(),
            object: case.price.object,
            object_source,
            price: case.price,
        }
    }

    /// An entry with its extensions.
    pub const fn entry(&self) -> Bytes {
        self.price.entry
    }

    /// One bucket.
    pub const fn bucket(&self) -> Bytes {
        Bytes(self.price.bucket)
    }

    /// Namespaces that may each fill a table of their own up to the limit.
    pub const fn namespaces(&self) -> u64 {
        self.price.namespaces
    }

    /// Worst case: every tracking namespace full.
    pub(crate) fn worst(&self, max: u64, buckets: u64) -> Bytes {
        self.price.worst(max, buckets)
    }

    /// So many entries in all, and the buckets.
    pub(crate) fn one(&self, entries: u64, buckets: u64) -> Bytes {
        Bytes(
            entries
                .saturating_mul(self.price.entry.0)
                .saturating_add(buckets.saturating_mul(self.price.bucket)),
        )
    }

    /// Entries that share the buckets when every tracking namespace is full.
    pub(crate) const fn shared(&self, max: u64) -> u64 {
        if self.profile.table_per_namespace {
            max
        } else {
            max.saturating_mul(self.price.namespaces)
        }
    }

    /// Buckets for a limit.
    pub(crate) fn buckets_for(&self, max: u64) -> u64 {
        super::buckets_for(&self.profile, max, self.buckets_now)
    }

    /// The largest limit whose worst case takes no more than so large a share of the memory.
    pub(crate) fn most(&self, share: u64) -> Option<u64> {
        let room = self.memory?.0 / share;
        let fits = |max: u64| self.worst(max, self.buckets_for(max)).0 <= room;
        let (mut low, mut high) = (0, super::HIGHEST);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if fits(middle) { low = middle } else { high = middle - 1 }
        }
        Some(low)
    }
}

fn usual(profile: &Profile) -> String {
    alloc::format!("usual on Linux {}; slabinfo was not read", profile.name)
}
