//! Kernel profiles: what differs between generations, in one table.
//!
//! Source: the trees and live kernels named in docs/KERNELS.md. A profile is chosen by release, since
//! that is all a dead host may tell; what can be probed (a statistics header, the mode of a key, a
//! default) is probed and wins over the profile.

use crate::{Bytes, KernelVersion, Seconds, Vendor};

/// Which names the settings go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Era {
    /// `ip_conntrack`: net.ipv4.netfilter.ip_conntrack_*, module ip_conntrack, IPv4 only (to 2.6.19).
    IpConntrack,
    /// `nf_conntrack` with the old names beside the new (2.6.20 to 4.8).
    Both,
    /// `nf_conntrack` only (4.9 and later).
    NfConntrack,
}

/// Whom a full table evicts (KERNELS.md, early drop).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EarlyDrop {
    /// The oldest not-ASSURED entry of the new tuple's bucket.
    OneBucket,
    /// One entry, walking on until at least 8 entries were seen.
    EightEntries,
    /// All not-ASSURED entries of one bucket; the 8 tries nearly always hit the same one.
    SameBucket,
    /// All not-ASSURED entries of the first of 8 neighbouring buckets that holds any.
    EightBuckets,
}

/// How expired entries leave the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CollectorKind {
    /// One timer per entry: at once.
    Timers,
    /// A worker that scans slices of the table.
    Slices,
    /// A full scan each 120 s.
    FullScan,
    /// A full scan each 1 to 60 s, by the average remaining lifetime.
    Adaptive,
}

/// Bound on the length of a chain at confirm: a random value in this range, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainLimit {
    /// Shortest chain that may be refused.
    pub least: u32,
    /// Longest chain that may be accepted.
    pub most: u32,
}

/// The words of the "table full" line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogWording {
    /// `ip_conntrack: table full, dropping packet.`
    IpConntrack,
    /// `nf_conntrack: table full, dropping packet.`
    FullStop,
    /// `nf_conntrack: table full, dropping packet`
    Plain,
    /// `nf_conntrack: nf_conntrack: table full, dropping packet`
    Doubled,
    /// As `Doubled`, with ` in netns N` outside the initial namespace.
    Netns,
}

/// What the `new`, `insert` and `delete` columns hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CounterSource {
    /// Every created entry is counted.
    Counted,
    /// Always zero: the rate of new entries must come from elsewhere.
    Dead,
}

/// What differs between kernel generations for a reader of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Short name: `2.6.18`, `el6`, `6.18`.
    pub name: &'static str,
    /// First release it stands for, as [`KernelVersion::rank`].
    pub from: (u16, u16),
    /// Enterprise major release it stands for, if it is a vendor's.
    pub enterprise: Option<u8>,
    /// Names of the settings.
    pub era: Era,
    /// Whether one counter serves all namespaces (2.6.18); otherwise each namespace counts.
    pub global_count: bool,
    /// Whether each namespace has a hash table of its own.
    pub table_per_namespace: bool,
    /// Default `max` per bucket when no `hashsize` was given.
    pub max_per_bucket: u64,
    /// Default buckets with more than 1 GiB of memory.
    pub buckets_over_1g: u64,
    /// Default buckets with more than 4 GiB on 64 bits.
    pub buckets_over_4g: u64,
    /// Least default buckets.
    pub buckets_least: u64,
    /// Whether `nf_conntrack_buckets` can be written.
    pub buckets_writable: bool,
    /// Whether `max` = 0 means "no limit"; otherwise 0 is refused or takes effect as a limit of 0.
    pub zero_is_unlimited: bool,
    /// Whether hooks are registered per namespace and only when a rule asks (4.10 and later).
    pub hooks_on_demand: bool,
    /// Eviction in a full table.
    pub early_drop: EarlyDrop,
    /// Whether the collector also evicts, down to 95 % (4.12 and later).
    pub collector_evicts: bool,
    /// Collection of expired entries.
    pub collector: CollectorKind,
    /// Longest time an expired entry may stay in the count.
    pub collector_lag: Seconds,
    /// Bound on chains, if any.
    pub chain_limit: Option<ChainLimit>,
    /// Default `udp_timeout_stream`.
    pub udp_stream: Seconds,
    /// The log line.
    pub log: LogWording,
    /// The `new` / `insert` / `delete` columns.
    pub creation: CounterSource,
    /// Usual slab size of an entry, where slabinfo can't be read.
    pub entry_size: Bytes,
    /// Extension block that every entry carries by default (events on: 128).
    pub extension_size: Bytes,
}

impl Profile {
    /// The youngest and the oldest release that a profile was held against, as [`KernelVersion::rank`] (docs/KERNELS.md).
    pub const SEEN: [(u16, u16); 2] = [(2, 18), (7, 3)];

    /// The profile of a release: a vendor's own where there is one, else the youngest not younger.
    ///
    /// A vendor's profile stands for the kernel that the vendor ships with that major release. Others
    /// build mainline kernels for it under the same suffix (`6.5.1-1.el7.elrepo`, `5.15.0-….el8uek`):
    /// those are upstream's.
    pub fn of(version: &KernelVersion) -> &'static Self {
        if let Vendor::Enterprise(major) = version.vendor
            && Self::enterprise_base(major) == Some(version.rank())
            && let Some(p) = PROFILES.iter().find(|p| p.enterprise == Some(major))
        {
            return p;
        }
        PROFILES
            .iter()
            .filter(|p| p.enterprise.is_none_or(|e| e == 5))
            .rfind(|p| p.from <= version.rank())
            .unwrap_or(&PROFILES[0])
    }

    /// Release of the kernel that an enterprise distribution is built on, and patches.
    const fn enterprise_base(major: u8) -> Option<(u16, u16)> {
        match major {
            5 => Some((2, 18)),
            6 => Some((2, 32)),
            7 => Some((3, 10)),
            8 => Some((4, 18)),
            9 => Some((5, 14)),
            _ => None,
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|p| p.name == name)
    }

    /// Buckets and limit that this generation gives itself by default, for `memory` bytes of RAM.
    ///
    /// Kernel: `nf_conntrack_init_start()`; 64-bit, 4 KiB pages.
    pub const fn defaults(&self, memory: Bytes) -> (u64, u64) {
        const GIB: u64 = 1 << 30;
        let head = match self.era {
            Era::IpConntrack => 16,
            Era::Both | Era::NfConntrack => 8,
        };
        let buckets = if memory.0 > 4 * GIB {
            self.buckets_over_4g
        } else if memory.0 > GIB {
            self.buckets_over_1g
        } else {
            let by_memory = memory.0 / 16384 / head;
            if by_memory < self.buckets_least { self.buckets_least } else { by_memory }
        };
        let buckets = match self.era {
            Era::IpConntrack => buckets,
            Era::Both | Era::NfConntrack => buckets.next_multiple_of(512),
        };
        (buckets, buckets * self.max_per_bucket)
    }
}

const OLD: Profile = Profile {
    name: "2.6.18",
    from: (2, 0),
    enterprise: Some(5),
    era: Era::IpConntrack,
    global_count: true,
    table_per_namespace: false,
    max_per_bucket: 8,
    buckets_over_1g: 8192,
    buckets_over_4g: 8192,
    buckets_least: 16,
    buckets_writable: false,
    zero_is_unlimited: true,
    hooks_on_demand: false,
    early_drop: EarlyDrop::OneBucket,
    collector_evicts: false,
    collector: CollectorKind::Timers,
    collector_lag: Seconds(0),
    chain_limit: None,
    udp_stream: Seconds(180),
    log: LogWording::IpConntrack,
    creation: CounterSource::Counted,
    entry_size: Bytes(320),
    extension_size: Bytes(0),
};

const EL6: Profile = Profile {
    name: "2.6.32",
    from: (2, 20),
    enterprise: Some(6),
    era: Era::Both,
    global_count: false,
    table_per_namespace: true,
    max_per_bucket: 4,
    buckets_over_1g: 16384,
    buckets_over_4g: 16384,
    buckets_least: 32,
    early_drop: EarlyDrop::EightEntries,
    log: LogWording::FullStop,
    entry_size: Bytes(304),
    extension_size: Bytes(128),
    ..OLD
};

const EL7: Profile = Profile {
    name: "3.10",
    from: (3, 4),
    enterprise: Some(7),
    buckets_over_4g: 65536,
    log: LogWording::Plain,
    ..EL6
};

const V4_9: Profile = Profile {
    name: "4.9",
    from: (4, 9),
    enterprise: None,
    era: Era::NfConntrack,
    table_per_namespace: false,
    buckets_writable: true,
    early_drop: EarlyDrop::SameBucket,
    collector: CollectorKind::Slices,
    // 64 slices, each within 2 s, and at most 256 removals for each.
    collector_lag: Seconds(128),
    log: LogWording::Doubled,
    creation: CounterSource::Dead,
    entry_size: Bytes(320),
    ..EL7
};

const V4_14: Profile = Profile {
    name: "4.14",
    from: (4, 12),
    hooks_on_demand: true,
    // 128 slices, in 16 s at the most.
    collector_lag: Seconds(16),
    early_drop: EarlyDrop::EightBuckets,
    collector_evicts: true,
    ..V4_9
};

const V5_4: Profile = Profile { name: "5.4", from: (5, 0), udp_stream: Seconds(120), ..V4_14 };

// What its trackers have learnt from later kernels stands in the model's table.
const V5_10: Profile = Profile { name: "5.10", from: (5, 10), ..V5_4 };

// Collects all in one cycle; size, chains and the rest as before.
const V5_14: Profile = Profile {
    name: "5.14",
    from: (5, 14),
    collector: CollectorKind::FullScan,
    collector_lag: Seconds(120),
    ..V5_10
};

const V5_15: Profile = Profile {
    name: "5.15",
    from: (5, 15),
    max_per_bucket: 1,
    buckets_over_1g: 65536,
    buckets_over_4g: 262_144,
    buckets_least: 1024,
    chain_limit: Some(ChainLimit { least: 8, most: 31 }),
    ..V5_14
};

const V6_1: Profile = Profile {
    name: "6.1",
    from: (5, 18),
    collector: CollectorKind::Adaptive,
    collector_lag: Seconds(60),
    chain_limit: Some(ChainLimit { least: 50, most: 79 }),
    entry_size: Bytes(256),
    extension_size: Bytes(0),
    ..V5_15
};

const V6_18: Profile = Profile { name: "6.18", from: (6, 18), log: LogWording::Netns, ..V6_1 };

const V6_19: Profile = Profile { name: "6.19", from: (6, 19), zero_is_unlimited: false, ..V6_18 };

/// All profiles, oldest first.
pub const PROFILES: &[Profile] = &[
    OLD,
    EL6,
    // Upstream of the same age. 3.2 still ended the line with a full stop.
    Profile { enterprise: None, ..EL6 },
    EL7,
    // 65536 buckets over 4 GiB came to mainline between 3.16 and 4.1; Red Hat carried it back to 3.10.
    Profile { name: "3.4", enterprise: None, buckets_over_4g: 16384, ..EL7 },
    Profile { name: "4.1", enterprise: None, from: (4, 1), ..EL7 },
    // One table for all namespaces.
    Profile { name: "4.7", enterprise: None, from: (4, 7), table_per_namespace: false, ..EL7 },
    V4_9,
    // Between the on-demand hooks (4.10) and the eviction by the collector (4.12).
    Profile {
        name: "4.10",
        from: (4, 10),
        hooks_on_demand: true,
        collector_lag: Seconds(16),
        ..V4_9
    },
    V4_14,
    Profile { name: "el8", enterprise: Some(8), from: (4, 18), udp_stream: Seconds(120), ..V4_14 },
    V5_4,
    V5_10,
    V5_14,
    V5_15,
    Profile { name: "el9", enterprise: Some(9), from: (5, 14), ..V6_1 },
    V6_1,
    Profile { name: "6.12", from: (6, 12), ..V6_1 },
    V6_18,
    V6_19,
    Profile { name: "7.1", from: (7, 1), ..V6_19 },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(release: &str) -> &'static Profile {
        Profile::of(&KernelVersion::parse(release).expect("a release"))
    }

    #[test]
    fn profiles_stand_in_the_order_of_their_releases_among_upstream() {
        let upstream = || PROFILES.iter().filter(|p| p.enterprise.is_none_or(|e| e == 5));
        assert!(upstream().zip(upstream().skip(1)).all(|(a, b)| a.from < b.from));
    }

    #[test]
    fn the_names_of_enterprise_kernels_choose_their_own_profiles() {
        assert_eq!(of("2.6.18-398.el5").era, Era::IpConntrack);
        assert_eq!(of("2.6.32-754.el6.x86_64").log, LogWording::FullStop);
        assert_eq!(of("3.10.0-1160.el7.x86_64").buckets_over_4g, 65536);
        assert_eq!(of("4.18.0-553.el8_10.x86_64").name, "el8");
        assert_eq!(of("5.14.0-427.el9.x86_64").name, "el9");
    }

    #[test]
    fn a_mainline_kernel_built_for_an_enterprise_host_is_upstreams() {
        assert_eq!(of("6.5.1-1.el7.elrepo.x86_64").name, "6.1");
        assert_eq!(of("5.15.0-101.103.2.1.el8uek.x86_64").name, "5.15");
    }

    #[test]
    fn a_steady_line_of_releases_changes_where_the_trees_changed() {
        assert!(!of("4.9.229").hooks_on_demand && of("4.10.17").hooks_on_demand);
        assert!(of("4.4.0-210-generic").table_per_namespace && !of("4.8.0").table_per_namespace);
        assert!(!of("4.10.17").collector_evicts && of("4.14.177").collector_evicts);
        assert_eq!(of("5.10.0-46-generic").max_per_bucket, 4);
        assert_eq!((of("5.9.16").name, of("5.10.0-46-amd64").name), ("5.4", "5.10"));
        assert_eq!((of("7.0.9").name, of("7.3.4+deb13-amd64").name), ("6.19", "7.1"));
        assert_eq!(of("6.1.0-56-amd64").max_per_bucket, 1);
        assert_eq!(of("6.12.117").log, LogWording::Doubled);
        assert_eq!(of("6.18.15+deb13-cloud-amd64").log, LogWording::Netns);
        assert!(of("6.18.2").zero_is_unlimited && !of("7.1.5").zero_is_unlimited);
        assert_eq!(of("4.9.229").collector_lag, Seconds(128));
        assert_eq!(of("4.19.13").collector_lag, Seconds(16));
        assert_eq!(of("5.13.19").collector_lag, Seconds(16));
        let fourteen = of("5.14.21-150400-default");
        assert_eq!(
            (fourteen.collector, fourteen.collector_lag),
            (CollectorKind::FullScan, Seconds(120))
        );
        assert!(fourteen.chain_limit.is_none() && of("5.15.0").chain_limit.is_some());
    }

    #[test]
    fn defaults_are_what_each_generation_chose() {
        let gib = |n: u64| Bytes(n << 30);
        assert_eq!(of("2.6.18-398.el5").defaults(gib(2)), (8192, 65_536));
        assert_eq!(of("2.6.32-754.el6").defaults(gib(16)), (16_384, 65_536));
        assert_eq!(of("3.10.0-1160.el7").defaults(gib(16)), (65_536, 262_144));
        assert_eq!(of("3.13.0-170-generic").defaults(gib(16)), (16_384, 65_536));
        assert_eq!(of("4.4.0-210-generic").defaults(gib(16)), (65_536, 262_144));
        assert_eq!(of("6.1.0").defaults(gib(2)), (65_536, 65_536));
        assert_eq!(of("6.1.0").defaults(gib(16)), (262_144, 262_144));
        // User-Mode Linux 6.1 with 240 MB.
        assert_eq!(of("6.1.176").defaults(Bytes(240 << 20)), (2048, 2048));
    }
}
