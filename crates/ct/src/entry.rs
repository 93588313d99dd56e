//! One entry of the table, as any reader of it can know it.

use alloc::boxed::Box;

use crate::{Class, Seconds, State, Status, Tuple, Zone, ZoneDirection};

/// Packets and bytes of one direction (only where `nf_conntrack_acct` was on at creation).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Accounting {
    /// `packets=`
    pub packets: u64,
    /// `bytes=`
    pub bytes: u64,
}

/// One entry of the table.
///
/// `None` says that the source did not tell (a proc file has no id; accounting may be off), never zero.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Tuple of the first packet.
    pub original: Tuple,
    /// Tuple of the answers; differs from the inverted original under NAT.
    pub reply: Tuple,
    /// State of the protocol's machine.
    pub state: State,
    /// Status bits. From text only SEEN_REPLY, ASSURED, OFFLOAD and HW_OFFLOAD are known.
    pub status: Status,
    /// Seconds until the entry expires, rounded down. `None` for offloaded entries, or unknown.
    pub expires: Option<Seconds>,
    /// Zone.
    pub zone: Zone,
    /// `mark=`
    pub mark: Option<u32>,
    /// Keyed hash (>= 5.x) or address of the entry: stable for its life.
    pub id: Option<u32>,
    /// `use=`: references held on the entry.
    pub references: Option<u32>,
    /// Original direction's counters.
    pub original_accounting: Option<Accounting>,
    /// Reply direction's counters.
    pub reply_accounting: Option<Accounting>,
    /// Seconds since creation (`delta-time=`, or from the start timestamp).
    pub age: Option<Seconds>,
    /// Name of the attached helper.
    pub helper: Option<Box<str>>,
}

impl Entry {
    /// An entry of which only tuples, state and status are known.
    pub const fn new(original: Tuple, reply: Tuple, state: State, status: Status) -> Self {
        Self {
            original,
            reply,
            state,
            status,
            expires: None,
            zone: Zone { id: 0, direction: ZoneDirection::Both },
            mark: None,
            id: None,
            references: None,
            original_accounting: None,
            reply_accounting: None,
            age: None,
            helper: None,
        }
    }

    /// Whether an answer was seen.
    pub const fn is_replied(&self) -> bool {
        self.status.contains(Status::SEEN_REPLY)
    }

    /// Whether the entry is `[ASSURED]`.
    pub const fn is_assured(&self) -> bool {
        self.status.contains(Status::ASSURED)
    }

    /// What a full table may do with it.
    pub const fn class(&self) -> Class {
        Class::of(self.status, self.state)
    }
}
