//! ICMP errors that quote what is odd: fragments, errors, less than a header, another's addresses.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{headers, multihomed, streams};
use crate::forge;
use crate::scripts::{Hosts, Step, message};

/// An ICMP error about a packet that was sent before.
#[derive(Debug, Clone)]
pub struct Quote {
    /// The server sends it.
    pub reply: bool,
    /// Type, code.
    pub kind: (u8, u8),
    /// About which of the packets so far, from the last.
    pub about: u8,
    /// How the quotation is changed, in order.
    pub changes: Vec<Change>,
}

/// How a quotation differs from what was sent.
#[derive(Debug, Clone)]
pub enum Change {
    /// It ends after so many octets.
    Cut(u8),
    /// It is a part of a datagram: offset in units of eight, whether more follow.
    Fragment(u8, bool),
    /// Of another protocol.
    Protocol(u8),
    /// Its length field says this.
    Length(u16),
    /// Another version, or length of the header.
    First(u8),
    /// It is itself such an error about itself.
    Nested(u8),
    /// Extension headers (IPv6), or octets of options (IPv4).
    Extended(Vec<u8>),
    /// An octet is another.
    Octet(u8, u8),
    /// Source and destination change places.
    Turned,
}

impl Change {
    pub(super) fn apply(&self, inner: &mut Vec<u8>, hosts: Hosts) {
        let v6 = hosts.v6();
        let header = if v6 { 40 } else { 20 };
        match self {
            Self::Cut(left) => inner.truncate(usize::from(*left)),
            Self::Octet(at, value) => {
                if let Some(octet) = inner.get_mut(usize::from(*at)) {
                    *octet = *value;
                }
            }
            _ if inner.len() < header => {}
            Self::Fragment(offset, more) => {
                let rest = inner.split_off(header);
                *inner =
                    forge::fragment(inner, header, &rest, (9, usize::from(*offset) * 8, *more));
            }
            Self::Protocol(protocol) => inner[if v6 { 6 } else { 9 }] = *protocol,
            Self::Length(length) => {
                let at = if v6 { 4 } else { 2 };
                inner[at..at + 2].copy_from_slice(&length.to_be_bytes());
            }
            Self::First(first) => inner[0] = *first,
            Self::Nested(kind) => {
                let (source, destination) = hosts.ends(false);
                *inner = forge::icmp(source, destination, *kind, 1, 0, inner);
            }
            Self::Extended(kinds) if v6 => *inner = forge::with_extensions(inner, kinds),
            Self::Extended(kinds) => *inner = headers::with_options(inner, kinds),
            Self::Turned => {
                let from = if v6 { 8 } else { 12 };
                let half = if v6 { 16 } else { 4 };
                inner[from..from + 2 * half].rotate_left(half);
            }
        }
    }
}

impl Quote {
    pub(in crate::scripts) fn packet(&self, sent: &[Vec<u8>], hosts: Hosts) -> Option<Vec<u8>> {
        let place = sent.len().checked_sub(1 + usize::from(self.about))?;
        let mut inner = sent.get(place)?.clone();
        self.changes.iter().for_each(|change| change.apply(&mut inner, hosts));
        let (source, destination) = hosts.ends(self.reply);
        let (kind, code) = self.kind;
        Some(forge::icmp(source, destination, kind, code, 0, &inner))
    }
}

pub(super) fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => any::<u8>().prop_map(Change::Cut),
        2 => (prop_oneof![2 => Just(0u8), 1 => any::<u8>()], any::<bool>())
            .prop_map(|(offset, more)| Change::Fragment(offset, more)),
        1 => prop_oneof![Just(1u8), Just(58), Just(6), Just(17), Just(44), Just(47), any::<u8>()]
            .prop_map(Change::Protocol),
        1 => any::<u16>().prop_map(Change::Length),
        1 => prop_oneof![Just(0x46u8), Just(0x4f), Just(0x40), Just(0x60), any::<u8>()]
            .prop_map(Change::First),
        2 => prop_oneof![Just(3u8), Just(11), Just(1), Just(8), Just(128)].prop_map(Change::Nested),
        1 => vec(prop_oneof![Just(0u8), Just(60), Just(43), Just(51), Just(44), Just(59)], 1..4)
            .prop_map(Change::Extended),
        1 => (0u8..64, any::<u8>()).prop_map(|(at, value)| Change::Octet(at, value)),
        1 => Just(Change::Turned),
    ]
}

pub(super) fn quote() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        Just(3u8),
        Just(11),
        Just(1),
        Just(2),
        Just(4),
        Just(5),
        Just(12),
        Just(137),
        Just(100),
        Just(127)
    ];
    let code = prop_oneof![2 => Just(1u8), 1 => Just(0), 1 => Just(4), 1 => any::<u8>()];
    let about = prop_oneof![3 => Just(0u8), 1 => 0u8..6];
    (any::<bool>(), kind, code, about, vec(change(), 0..3)).prop_map(
        |(reply, kind, code, about, changes)| {
            Step::Quote(Quote { reply, kind: (kind, code), about, changes })
        },
    )
}

pub(super) fn conversation() -> impl Strategy<Value = Vec<Step>> {
    let messages = vec(message::message().prop_map(Step::Message), 1..5);
    let spoken = prop_oneof![
        3 => messages.boxed(),
        2 => streams::connection().boxed(),
        1 => multihomed::association().boxed(),
        1 => headers::messages().boxed(),
    ];
    (spoken, vec((any::<u8>(), quote()), 1..8)).prop_map(|(mut steps, quotes)| {
        for (place, quote) in quotes {
            let at = 1 + usize::from(place) % steps.len().max(1);
            steps.insert(at.min(steps.len()), quote);
        }
        steps
    })
}
