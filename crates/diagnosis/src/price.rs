//! What entries and buckets cost in memory, over all namespaces.
//!
//! Kernel: `nf_conntrack_alloc_hashtable()`, the slab cache of entries, `nf_ct_ext_add()`. An entry's
//! extension block is 128 bytes as soon as any extension is used; each namespace may hold `max` entries,
//! since the limit is one number that each is held to by itself.

use plimsoll_ct::{Bytes, Era, Profile};

use crate::facts::Snapshot;

/// Size of the block that carries an entry's first extensions.
const EXTENSION_BLOCK: u64 = 128;
/// Memory page on the machines whose slabs are priced here.
const PAGE: u64 = 4096;

/// Prices on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Price {
    /// One entry with its extensions and its share of the slab's waste.
    pub(crate) entry: Bytes,
    /// One entry without its extensions.
    pub(crate) object: Bytes,
    /// One bucket.
    pub(crate) bucket: u64,
    /// Namespaces that track, at least one.
    pub(crate) namespaces: u64,
    /// Hash tables: one, or one for each namespace.
    tables: u64,
    /// Whether one counter serves all namespaces.
    global_count: bool,
}

impl Price {
    /// Of a host on which so many namespaces track.
    pub(crate) fn of(snapshot: &Snapshot, tracking: u64) -> Self {
        let profile = &snapshot.host.profile;
        let namespaces = tracking.max(1);
        let object = object(snapshot, profile);
        Self {
            entry: Bytes(object.saturating_add(extensions(snapshot, profile))),
            object: Bytes(object),
            bucket: bucket(profile),
            namespaces: if profile.global_count { 1 } else { namespaces },
            tables: if profile.table_per_namespace { namespaces } else { 1 },
            global_count: profile.global_count,
        }
    }

    /// One namespace of a host of which only the generation is known.
    pub(crate) fn of_profile(profile: &Profile) -> Self {
        Self {
            entry: Bytes(profile.entry_size.0.saturating_add(profile.extension_size.0)),
            object: profile.entry_size,
            bucket: bucket(profile),
            namespaces: 1,
            tables: 1,
            global_count: profile.global_count,
        }
    }

    /// Worst case: every tracking namespace full.
    pub(crate) fn worst(self, max: u64, buckets: u64) -> Bytes {
        let entries = self.full(max).0.saturating_mul(self.namespaces);
        let heads = buckets.saturating_mul(self.bucket).saturating_mul(self.tables);
        Bytes(entries.saturating_add(heads))
    }

    /// The entries of one namespace that is full.
    pub(crate) fn full(self, max: u64) -> Bytes {
        Bytes(max.saturating_mul(self.entry.0))
    }

    /// Whether several namespaces multiply the limit.
    pub(crate) fn multiplies(self) -> bool {
        !self.global_count && self.namespaces > 1
    }
}

/// The head of a chain.
fn bucket(profile: &Profile) -> u64 {
    if profile.era == Era::IpConntrack { 16 } else { 8 }
}

/// One entry in its slab.
fn object(snapshot: &Snapshot, profile: &Profile) -> u64 {
    match snapshot.host.slab.value() {
        Some(slab) if slab.per_slab > 0 && slab.pages > 0 => {
            (u64::from(slab.pages) * PAGE / u64::from(slab.per_slab)).max(slab.object.0)
        }
        Some(slab) if slab.object.0 > 0 => slab.object.0,
        Some(_) | None => profile.entry_size.0,
    }
}

/// What an entry has beside it.
fn extensions(snapshot: &Snapshot, profile: &Profile) -> u64 {
    let Some(host) = snapshot.namespaces.iter().find(|n| n.is_initial()) else {
        return profile.extension_size.0;
    };
    let on = |name: &str| host.setting(name).is_some_and(|v| v == 1);
    // Events: 1 = a block for every entry; 0 and 2 = none by itself.
    let events = match host.setting("nf_conntrack_events") {
        Some(v) => v == 1,
        None => profile.extension_size.0 > 0,
    };
    let nat = host.rules.value().is_some_and(|r| r.has_nat());
    let extended = events || on("nf_conntrack_acct") || on("nf_conntrack_timestamp") || nat;
    if extended && profile.era != Era::IpConntrack { EXTENSION_BLOCK } else { 0 }
}
