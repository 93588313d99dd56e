//! One entry of the table, as any reader of it can know it.

use core::net::{IpAddr, Ipv4Addr};

use crate::{Class, HelperName, L4, Protocol, Seconds, State, Status, Time, Tuple, Zone};

/// Packets and bytes of one direction (only where `nf_conntrack_acct` was on at creation).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Accounting {
    /// `packets=`
    pub packets: u64,
    /// `bytes=`
    pub bytes: u64,
}

/// One entry of the table, of a fixed size, nothing on the heap.
///
/// `None` says that the reader did not tell, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Inode of the network namespace that the entry is in.
    pub netns: Option<u64>,
    /// Tuple of the first packet.
    pub original: Tuple,
    /// Tuple of the answers.
    pub reply: Tuple,
    /// State of the protocol's machine. `Stateless` for an offloaded entry, as ctnetlink has it.
    pub state: State,
    /// Status bits. From text only SEEN_REPLY, ASSURED, OFFLOAD and HW_OFFLOAD are known.
    pub status: Status,
    /// Seconds until the entry expires, rounded down. `None` for an offloaded entry.
    pub expires: Option<Seconds>,
    /// Zone.
    pub zone: Zone,
    /// Mark. `None` where the kernel has no marks, or leaves out those that are zero (ctnetlink of some).
    pub mark: Option<u32>,
    /// Keyed hash or address of the entry: stable for its life. Only ctnetlink tells.
    pub id: Option<u32>,
    /// References held.
    pub references: Option<u32>,
    /// Original direction's packets and bytes.
    pub original_accounting: Option<Accounting>,
    /// Reply direction's packets and bytes.
    pub reply_accounting: Option<Accounting>,
    /// Creation, by the wall clock: not from text, and only with `nf_conntrack_timestamp` on.
    pub started: Option<Time>,
    /// Seconds since creation.
    pub age: Option<Seconds>,
    /// Attached helper. Not from the proc file.
    pub helper: Option<HelperName>,
    /// Label bits, as on the wire: bit n of the label is bit n % 8 of byte n / 8. Not from text.
    pub labels: Option<[u8; 16]>,
}

impl Entry {
    /// An entry before anything was read into it.
    pub const UNKNOWN: Self = {
        let nowhere = Tuple {
            source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            protocol: Protocol::Other(0),
            l4: L4::None,
        };
        Self::new(nowhere, nowhere, State::Stateless, Status::empty())
    };

    /// A entry of which only tuples, state and status are known.
    pub const fn new(original: Tuple, reply: Tuple, state: State, status: Status) -> Self {
        Self {
            netns: None,
            original,
            reply,
            state,
            status,
            expires: None,
            zone: Zone { id: 0, direction: crate::ZoneDirection::Both },
            mark: None,
            id: None,
            references: None,
            original_accounting: None,
            reply_accounting: None,
            started: None,
            age: None,
            helper: None,
            labels: None,
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

    /// Whether the source is rewritten (`snat`, masquerading): answers go elsewhere than to the source. By
    /// the tuples, which every reader tells.
    pub fn is_source_rewritten(&self) -> bool {
        self.original.source != self.reply.destination
            || match (self.original.l4, self.reply.l4) {
                (L4::Ports { source, .. }, L4::Ports { destination, .. })
                | (L4::Gre { source, .. }, L4::Gre { destination, .. }) => source != destination,
                (L4::Icmp { id, .. }, L4::Icmp { id: other, .. }) => id != other,
                _ => false,
            }
    }

    /// Whether the destination is rewritten (`dnat`, redirection): answers come from elsewhere.
    pub fn is_destination_rewritten(&self) -> bool {
        self.original.destination != self.reply.source
            || match (self.original.l4, self.reply.l4) {
                (L4::Ports { destination, .. }, L4::Ports { source, .. })
                | (L4::Gre { destination, .. }, L4::Gre { source, .. }) => destination != source,
                _ => false,
            }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    fn tuple(from: u8, to: u8, source: u16, destination: u16) -> Tuple {
        let address = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        Tuple {
            source: address(from),
            destination: address(to),
            protocol: Protocol::Tcp,
            l4: L4::Ports { source, destination },
        }
    }

    fn entry(original: Tuple, reply: Tuple) -> Entry {
        Entry::new(original, reply, State::Stateless, Status::empty())
    }

    #[test]
    fn nat_is_told_by_the_tuples() {
        let plain = entry(tuple(1, 2, 1000, 80), tuple(2, 1, 80, 1000));
        assert!(!plain.is_source_rewritten() && !plain.is_destination_rewritten());
        let snat = entry(tuple(1, 2, 1000, 80), tuple(2, 9, 80, 1000));
        assert!(snat.is_source_rewritten() && !snat.is_destination_rewritten());
        let port_only = entry(tuple(1, 2, 1000, 80), tuple(2, 1, 80, 1001));
        assert!(port_only.is_source_rewritten() && !port_only.is_destination_rewritten());
        let dnat = entry(tuple(1, 2, 1000, 80), tuple(7, 1, 8080, 1000));
        assert!(!dnat.is_source_rewritten() && dnat.is_destination_rewritten());
    }
}
