//! One entry in a form of fixed size: what the readers of large tables hand out, one at a time.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr};

use crate::{Accounting, Class, Entry, L4, Protocol, Seconds, State, Status, Time, Tuple, Zone};

/// A name of at most 15 bytes, as the kernel keeps that of a helper (`NF_CT_HELPER_NAME_LEN`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HelperName {
    bytes: [u8; 16],
    length: u8,
}

impl HelperName {
    /// The first bytes of `name`, up to a NUL; what is no UTF-8, or longer than 16 bytes, is cut off there.
    pub fn new(name: &[u8]) -> Self {
        let end = name.iter().position(|&b| b == 0).unwrap_or(name.len()).min(16);
        let name = name.get(..end).unwrap_or_default();
        let valid = match core::str::from_utf8(name) {
            Ok(_) => name.len(),
            Err(error) => error.valid_up_to(),
        };
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(name.iter().take(valid)) {
            *to = *from;
        }
        Self { bytes, length: valid as u8 }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Debug for HelperName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for HelperName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One entry, without anything on the heap.
///
/// `None` says that the reader did not tell, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
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

impl Row {
    /// A row before anything was read into it.
    pub const UNKNOWN: Self = {
        let nowhere = Tuple {
            source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            protocol: Protocol::Other(0),
            l4: L4::None,
        };
        Self::new(nowhere, nowhere, State::Stateless, Status::empty())
    };

    /// A row of which only tuples, state and status are known.
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

    /// The same entry with its helper's name on the heap.
    pub fn entry(&self) -> Entry {
        Entry {
            original: self.original,
            reply: self.reply,
            state: self.state,
            status: self.status,
            expires: self.expires,
            zone: self.zone,
            mark: self.mark,
            id: self.id,
            references: self.references,
            original_accounting: self.original_accounting,
            reply_accounting: self.reply_accounting,
            age: self.age,
            helper: self.helper.map(|name| name.as_str().into()),
        }
    }
}

impl From<&Entry> for Row {
    fn from(entry: &Entry) -> Self {
        Self {
            netns: None,
            original: entry.original,
            reply: entry.reply,
            state: entry.state,
            status: entry.status,
            expires: entry.expires,
            zone: entry.zone,
            mark: entry.mark,
            id: entry.id,
            references: entry.references,
            original_accounting: entry.original_accounting,
            reply_accounting: entry.reply_accounting,
            started: None,
            age: entry.age,
            helper: entry.helper.as_deref().map(|name| HelperName::new(name.as_bytes())),
            labels: None,
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

    fn row(original: Tuple, reply: Tuple) -> Row {
        Row::new(original, reply, State::Stateless, Status::empty())
    }

    #[test]
    fn nat_is_told_by_the_tuples() {
        let plain = row(tuple(1, 2, 1000, 80), tuple(2, 1, 80, 1000));
        assert!(!plain.is_source_rewritten() && !plain.is_destination_rewritten());
        let snat = row(tuple(1, 2, 1000, 80), tuple(2, 9, 80, 1000));
        assert!(snat.is_source_rewritten() && !snat.is_destination_rewritten());
        let port_only = row(tuple(1, 2, 1000, 80), tuple(2, 1, 80, 1001));
        assert!(port_only.is_source_rewritten() && !port_only.is_destination_rewritten());
        let dnat = row(tuple(1, 2, 1000, 80), tuple(7, 1, 8080, 1000));
        assert!(!dnat.is_source_rewritten() && dnat.is_destination_rewritten());
    }

    #[test]
    fn a_helpers_name_ends_at_its_nul_and_at_what_is_no_text() {
        assert_eq!(HelperName::new(b"ftp\0\0").as_str(), "ftp");
        assert_eq!(HelperName::new(b"a\xffb").as_str(), "a");
        assert_eq!(HelperName::new(&[b'x'; 40]).as_str(), "xxxxxxxxxxxxxxxx");
    }
}
