//! UDP, ICMP, protocols without a tracker, and ICMP errors about what was sent.

use std::net::IpAddr;

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
    /// Where it names an address that nobody uses.
    pub nobody: Option<Nobody>,
}

/// Which address of an ICMP error is nobody's.
#[derive(Debug, Clone, Copy)]
pub enum Nobody {
    /// Its source: a router on the way, as most errors have it.
    Source,
    /// Its destination.
    Destination,
    /// The source of what it quotes.
    QuotedSource,
    /// The destination of what it quotes.
    QuotedDestination,
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
    let nobody = prop_oneof![
        8 => Just(None),
        2 => Just(Some(Nobody::Source)),
        1 => Just(Some(Nobody::Destination)),
        1 => Just(Some(Nobody::QuotedSource)),
        1 => Just(Some(Nobody::QuotedDestination)),
    ];
    (flag(), kind, flag(), proptest::bool::weighted(0.2), 0usize..40, nobody).prop_map(
        |(reply, kind, about_reply, unknown, quoted, nobody)| About {
            reply,
            kind,
            about_reply,
            unknown,
            quoted,
            nobody,
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
        let (mut source, mut destination) = hosts.ends(self.reply);
        // The second octet of a flow's address, the last but two of IPv6: no flow comes so far.
        let (from, to, place) = if hosts.v6() { (8, 24, 12) } else { (12, 16, 1) };
        match self.nobody {
            None => {}
            Some(Nobody::Source) => source = elsewhere(source),
            Some(Nobody::Destination) => destination = elsewhere(destination),
            Some(Nobody::QuotedSource) => inner[from + place] ^= ELSEWHERE,
            Some(Nobody::QuotedDestination) => inner[to + place] ^= ELSEWHERE,
        }
        Some(forge::icmp(source, destination, self.kind, 1, 0, &inner))
    }
}

/// What makes an address one that no flow comes to.
const ELSEWHERE: u8 = 0x40;

/// An address of the same network that nobody uses.
pub(super) fn elsewhere(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mut octets = v4.octets();
            octets[1] ^= ELSEWHERE;
            octets.into()
        }
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[12] ^= ELSEWHERE;
            octets.into()
        }
    }
}
