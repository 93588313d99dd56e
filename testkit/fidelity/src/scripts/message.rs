//! UDP, ICMP, protocols without a tracker, and ICMP errors about what was sent.

use proptest::prelude::*;

use super::Hosts;
use crate::forge;

/// A datagram or message.
#[derive(Debug, Clone)]
pub enum Message {
    /// UDP or UDP-Lite.
    Udp {
        /// From the server.
        reply: bool,
        /// UDP-Lite.
        lite: bool,
        /// Octets.
        payload: usize,
        /// Length field is off by; for UDP-Lite the octets that the checksum covers, less 8.
        lie: i32,
    },
    /// ICMP query or answer.
    Icmp {
        /// From the server.
        reply: bool,
        /// Type.
        kind: u8,
        /// Identifier.
        id: u16,
    },
    /// Another protocol.
    Other {
        /// From the server.
        reply: bool,
        /// Protocol.
        protocol: u8,
        /// First octets.
        head: [u8; 4],
    },
}

/// An ICMP error about the last packet of one side.
#[derive(Debug, Clone)]
pub struct About {
    /// The server sends it.
    pub reply: bool,
    /// Type.
    pub kind: u8,
    /// It quotes what the server sent, not the client.
    pub about_reply: bool,
    /// What it quotes was changed in its first octet behind the IP header: an unknown flow.
    pub unknown: bool,
    /// Octets of the quoted packet behind its IP header.
    pub quoted: usize,
}

pub(super) fn message() -> impl Strategy<Value = Message> {
    let lie = || prop_oneof![8 => Just(0), 1 => -10i32..10];
    let kind = prop_oneof![
        3 => Just(8u8), 2 => Just(0), 2 => Just(128), 2 => Just(129), 1 => 0u8..20, 1 => 130u8..155, 1 => any::<u8>()
    ];
    let protocol = prop_oneof![
        Just(50u8),
        Just(4),
        Just(41),
        Just(33),
        Just(51),
        Just(103),
        Just(2),
        Just(97)
    ];
    prop_oneof![
        4 => (any::<bool>(), proptest::bool::weighted(0.2), 0usize..600, lie())
            .prop_map(|(reply, lite, payload, lie)| Message::Udp { reply, lite, payload, lie }),
        3 => (any::<bool>(), kind, prop_oneof![4 => Just(7u16), 1 => any::<u16>()])
            .prop_map(|(reply, kind, id)| Message::Icmp { reply, kind, id }),
        1 => (any::<bool>(), protocol, prop_oneof![Just([0u8; 4]), any::<[u8; 4]>()])
            .prop_map(|(reply, protocol, head)| Message::Other { reply, protocol, head }),
    ]
}

pub(super) fn about() -> impl Strategy<Value = About> {
    let kind =
        prop_oneof![Just(3u8), Just(11), Just(1), Just(2), Just(4), Just(5), Just(12), Just(137)];
    let flag = || any::<bool>();
    (flag(), kind, flag(), proptest::bool::weighted(0.2), 0usize..40).prop_map(
        |(reply, kind, about_reply, unknown, quoted)| About {
            reply,
            kind,
            about_reply,
            unknown,
            quoted,
        },
    )
}

impl Message {
    pub(super) const fn reply(&self) -> bool {
        match self {
            Self::Udp { reply, .. } | Self::Icmp { reply, .. } | Self::Other { reply, .. } => {
                *reply
            }
        }
    }

    pub(super) fn packet(&self, hosts: Hosts) -> Vec<u8> {
        let (source, destination) = hosts.ends(self.reply());
        match *self {
            Self::Udp { reply, lite, payload, lie } => {
                let ports = if reply { (53, 4000) } else { (4000, 53) };
                if lite {
                    forge::udp_lite(source, destination, ports, payload, lie)
                } else {
                    forge::udp(source, destination, ports, payload, lie)
                }
            }
            Self::Icmp { kind, id, .. } => {
                forge::icmp(source, destination, kind, 0, id, &[0x55; 16])
            }
            Self::Other { protocol, head, .. } => {
                let mut payload = head.to_vec();
                payload.extend_from_slice(&[1; 20]);
                forge::ip(source, destination, protocol, &payload)
            }
        }
    }
}

impl About {
    pub(super) fn packet(&self, last: &[Option<Vec<u8>>; 2], hosts: Hosts) -> Option<Vec<u8>> {
        let mut inner = last[usize::from(self.about_reply)].clone()?;
        let header = if hosts.v6() { 40 } else { 20 };
        if let (true, Some(octet)) = (self.unknown, inner.get_mut(header)) {
            *octet ^= 0x80;
        }
        inner.truncate(header + self.quoted);
        let (source, destination) = hosts.ends(self.reply);
        Some(forge::icmp(source, destination, self.kind, 1, 0, &inner))
    }
}
