//! One network namespace: its table, its rules, its network stack.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::{CpuCounters, Entries};
use plimsoll_wire::ruleset::Ruleset;

use super::{Census, Fact, Neighbours, SocketMemory, Stack, Ways};
use crate::Said;

/// Who a namespace belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The host's own.
    Initial,
    /// `ip netns` name.
    Named(String),
    /// Container: runtime and short id or name.
    Container {
        /// `docker`, `containerd`, `crio`, `podman`, `lxc`, `nspawn`, `libvirt`.
        runtime: String,
        /// Full id, or name.
        id: String,
        /// Human name or Kubernetes `namespace/pod` where the node's own files tell it.
        name: Option<String>,
    },
    /// systemd unit of a process in it.
    Unit(String),
    /// Just a process in it.
    Process {
        /// Process id, as the reader sees it.
        pid: u32,
        /// `comm`.
        command: String,
    },
}

/// Whether packets of a namespace are tracked, as far as could be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tracking {
    /// Hooks are there.
    On {
        /// What proves it: "rule inet filter input: ct state", "nf_conntrack_ipv4 loaded".
        because: Said,
    },
    /// Nothing asks for tracking.
    Off {
        /// What proves it.
        because: Said,
    },
}

/// One network namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Namespace {
    /// Inode of the namespace file: the number in the kernel's log line. `None` on most dead hosts.
    pub inode: Option<u64>,
    /// Owners, the most telling first. The initial namespace has `Initial` first.
    pub owners: Vec<Owner>,
    /// `nf_conntrack_count`: entries, expired but uncollected and unconfirmed ones included.
    pub count: Fact<Entries>,
    /// The limit this namespace is held to.
    pub max: Fact<Entries>,
    /// Entries of the expectation table.
    pub expectations: Fact<Entries>,
    /// Limit of the expectation table.
    pub expect_max: Fact<Entries>,
    /// Every conntrack key that could be read here: bare name (`nf_conntrack_udp_timeout`, or
    /// `ip_conntrack_…` where only that exists) to its text.
    pub settings: BTreeMap<String, String>,
    /// Per-CPU statistics.
    pub counters: Fact<CpuCounters>,
    /// Whether packets are tracked.
    pub tracking: Fact<Tracking>,
    /// Packet-filter rules.
    pub rules: Fact<Ruleset>,
    /// That the rules are all there are; else what of them could not be read, or not to its end.
    pub rules_whole: Fact<()>,
    /// The ways of packets; read where a remedy asks for it.
    pub ways: Ways,
    /// Who fills it.
    pub census: Fact<Census>,
    /// Counters of the network stack.
    pub stack: Fact<Stack>,
    /// Neighbour tables.
    pub neighbours: Fact<Vec<Neighbours>>,
    /// Socket memory.
    pub sockets: Fact<SocketMemory>,
}

impl Namespace {
    /// Whether this is the host's own namespace.
    pub fn is_initial(&self) -> bool {
        self.owners.first() == Some(&Owner::Initial)
    }

    /// A setting as a number, by its bare modern name; the old name is tried too.
    pub fn setting(&self, name: &str) -> Option<u64> {
        let old = plimsoll_ct::Setting::find(name).and_then(|s| s.old_name);
        self.settings
            .get(name)
            .or_else(|| old.and_then(|o| self.settings.get(o)))
            .and_then(|text| text.trim().parse().ok())
    }
}
