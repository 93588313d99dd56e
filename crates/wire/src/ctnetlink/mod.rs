//! ctnetlink: conntrack's own netlink messages, to entries and statistics, and back.
//!
//! A payload is what follows the netlink header: 4 bytes of nfgenmsg, then attributes. Integers inside
//! attributes are big-endian. Attributes are found by number, never by position; unknown ones are skipped.
//!
//! Kernel: net/netfilter/nf_conntrack_netlink.c, include/uapi/linux/netfilter/nfnetlink_conntrack.h.
//! Traps: the answer to GET_STATS carries MULTI and no DONE follows it; a dump is no snapshot and never
//! says so; old kernels ignore filters in silence (so [`Filter::matches`] again); an entry's time since
//! creation is only there with `nf_conntrack_timestamp` on when it was made.

mod decode;
mod encode;
mod flow;
mod quick;
mod request;
mod statistics;
#[cfg(test)]
pub(crate) mod tests;

pub use decode::{decode, decode_into, decode_with};
pub use flow::{DccpDetails, Details, Flow, SequenceAdjustment, Synproxy, TcpDetails};
pub use request::{Filter, delete, dump, statistics as statistics_request, statistics_per_cpu};
pub use statistics::{Totals, cpu_counters, totals};

/// Message types: subsystem 1 in the high byte, command in the low one.
pub mod command {
    /// NEW: dump replies, NEW and UPDATE events.
    pub const NEW: u16 = 0x0100;
    /// GET, with DUMP the whole table.
    pub const GET: u16 = 0x0101;
    /// DELETE: also the type of DESTROY events.
    pub const DELETE: u16 = 0x0102;
    /// Per-CPU statistics (a dump; the CPU's number is nfgenmsg's res_id).
    pub const GET_STATS_CPU: u16 = 0x0104;
    /// Entries and limit.
    pub const GET_STATS: u16 = 0x0105;
}

/// Attribute numbers, as the kernel's header names them.
pub(crate) mod number {
    pub const TUPLE_ORIG: u16 = 1;
    pub const TUPLE_REPLY: u16 = 2;
    pub const STATUS: u16 = 3;
    pub const PROTOINFO: u16 = 4;
    pub const HELP: u16 = 5;
    pub const TIMEOUT: u16 = 7;
    pub const MARK: u16 = 8;
    pub const COUNTERS_ORIG: u16 = 9;
    pub const COUNTERS_REPLY: u16 = 10;
    pub const USE: u16 = 11;
    pub const ID: u16 = 12;
    pub const TUPLE_MASTER: u16 = 14;
    pub const SEQ_ADJ_ORIG: u16 = 15;
    pub const SEQ_ADJ_REPLY: u16 = 16;
    pub const ZONE: u16 = 18;
    pub const SECCTX: u16 = 19;
    pub const TIMESTAMP: u16 = 20;
    pub const MARK_MASK: u16 = 21;
    pub const LABELS: u16 = 22;
    pub const SYNPROXY: u16 = 24;
    pub const FILTER: u16 = 25;
    pub const STATUS_MASK: u16 = 26;
    pub const TIMESTAMP_EVENT: u16 = 27;
}

/// Bytes of nfgenmsg: family, version, resource id.
const GENERIC: usize = 4;
