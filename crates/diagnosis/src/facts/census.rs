//! Who fills the table: what a (perhaps partial) reading of the entries added up to.

use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_ct::{Nanos, Protocol, State};

/// Which way the table was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reader {
    /// BPF programs that walk the table in place. They tell neither ids, counters nor helpers.
    Bpf,
    /// ctnetlink dump.
    Ctnetlink,
    /// /proc/net/nf_conntrack or /proc/net/ip_conntrack.
    Proc,
    /// A saved listing (`conntrack -L`, or a saved proc file).
    Listing,
}

/// A number of entries, split by what a full table may do with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Tally {
    /// Not ASSURED.
    pub evictable: u64,
    /// ASSURED and closing.
    pub closing: u64,
    /// The rest.
    pub protected: u64,
    /// Of all three: those without a reply.
    pub unreplied: u64,
}

impl Tally {
    /// All entries counted.
    pub const fn total(&self) -> u64 {
        self.evictable + self.closing + self.protected
    }
}

/// Group key of the smallest table: at most a few dozen combinations exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey {
    /// Protocol.
    pub protocol: Protocol,
    /// State of its machine.
    pub state: State,
    /// `[ASSURED]`.
    pub assured: bool,
    /// A reply was seen.
    pub replied: bool,
}

/// A service: protocol and destination port of the original direction (0 where it has no ports).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// Protocol.
    pub protocol: Protocol,
    /// Port.
    pub port: u16,
}

/// An address prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// Address with the bits beyond `length` cleared.
    pub address: IpAddr,
    /// Prefix length in bits.
    pub length: u8,
}

/// The heaviest keys of a stream, found in bounded memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Top<K> {
    /// Key and its tally, heaviest first.
    pub rows: Vec<(K, Tally)>,
    /// Each total is a lower bound, too small by at most this many entries, and no key beyond the rows
    /// that were asked for has more than the last row's total and this; 0 when every key had a slot: then
    /// the totals are exact.
    pub error: u64,
}

impl<K> Default for Top<K> {
    fn default() -> Self {
        Self { rows: Vec::new(), error: 0 }
    }
}

/// Entries by time since their last refreshing packet (full timeout of the state minus what is left).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AgeBand {
    /// Under 1 minute.
    Minute,
    /// 1 to 10 minutes.
    TenMinutes,
    /// 10 minutes to 1 hour.
    Hour,
    /// 1 hour to 1 day.
    Day,
    /// Over 1 day.
    Older,
}

/// What changed between two readings of the same part of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Churn {
    /// Time between the readings.
    pub interval: Nanos,
    /// Entries of the second reading within the part that both covered.
    pub compared: u64,
    /// Of those, entries that the first reading did not have.
    pub appeared: u64,
    /// Of those, TCP's.
    pub appeared_tcp: u64,
    /// And UDP's.
    pub appeared_udp: u64,
    /// Entries of the first reading that the second no longer had.
    pub vanished: u64,
}

/// What a reading of the entries added up to. Entries whose time had run out are not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// Reader.
    pub reader: Reader,
    /// Entries read.
    pub seen: u64,
    /// Whether the reading reached the table's end; otherwise it is a sample, random by the keyed
    /// hash for a table read bucket by bucket.
    pub complete: bool,
    /// Kernel time spent, where it was measured.
    pub kernel_time: Option<Nanos>,
    /// All entries read.
    pub total: Tally,
    /// By protocol, state, assured, replied: exact.
    pub states: Vec<(StateKey, Tally)>,
    /// By service port.
    pub services: Top<Service>,
    /// By source of the original direction: single addresses.
    pub sources: Top<Prefix>,
    /// By source: /24 and /64.
    pub source_networks: Top<Prefix>,
    /// By destination of the original direction: single addresses.
    pub destinations: Top<Prefix>,
    /// By destination: /24 and /64.
    pub destination_networks: Top<Prefix>,
    /// ESTABLISHED TCP entries by idle time, every band in order; those whose seconds left are not known
    /// are not in it.
    pub established_idle: Vec<(AgeBand, u64)>,
    /// Of those, the ones idle for over an hour, by service.
    pub idle_services: Top<Service>,
    /// Entries with a rewritten source or destination.
    pub nat: u64,
    /// Change between two readings, if two were made.
    pub churn: Option<Churn>,
    /// Lines or messages that could not be understood.
    pub malformed: u64,
}
