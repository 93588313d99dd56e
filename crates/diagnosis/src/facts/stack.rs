//! The network stack around conntrack: the counters that prove or exclude the look-alikes.

use alloc::collections::BTreeMap;
use alloc::string::String;

use plimsoll_ct::Family;

/// Counters of /proc/net/netstat and /proc/net/snmp, as `TcpExt.ListenOverflows`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stack {
    /// Name to value since boot (or since the namespace was made).
    pub counters: BTreeMap<String, u64>,
}

/// A neighbour table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbours {
    /// ARP or NDISC.
    pub family: Family,
    /// Entries, over all namespaces (the table is global).
    pub entries: Option<u64>,
    /// `table_fulls` summed over CPUs (absent before 3.x).
    pub table_fulls: Option<u64>,
    /// `gc_thresh3`: the hard limit.
    pub limit: Option<u64>,
}

/// TCP memory and orphans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SocketMemory {
    /// Pages used by TCP (`sockstat`, `mem`).
    pub tcp_pages: Option<u64>,
    /// Third number of `tcp_mem`: the hard limit in pages.
    pub tcp_pages_limit: Option<u64>,
    /// Orphaned sockets.
    pub orphans: Option<u64>,
    /// `tcp_max_orphans`.
    pub orphans_limit: Option<u64>,
}

/// An allowance of the cloud's own connection tracker (ENA: `ethtool -S`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudAllowance {
    /// Interface.
    pub interface: String,
    /// Statistic: `conntrack_allowance_exceeded`.
    pub name: String,
    /// Value since the driver was loaded.
    pub value: u64,
}
