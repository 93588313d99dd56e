//! Generated flows: mostly what real stacks do, often enough what none would.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::forge::{self, TcpSegment};

/// A TCP segment relative to what its side sent and received before.
#[derive(Debug, Clone)]
pub struct Segment {
    /// From the server.
    pub reply: bool,
    /// Flags.
    pub flags: u8,
    /// Off the next sequence number.
    pub seq: i64,
    /// Off the acknowledgement of all that the other side sent.
    pub ack: i64,
    /// Window.
    pub window: u16,
    /// Octets.
    pub payload: usize,
    /// Window scale.
    pub scale: Option<u8>,
    /// SACK permitted.
    pub sack_permitted: bool,
    /// A SACK block: its left edge off the acknowledgement.
    pub sack: Option<u32>,
}

/// A step of an SCTP association: direction, tag choice, chunks.
#[derive(Debug, Clone)]
pub struct Sctp {
    /// From the server.
    pub reply: bool,
    /// 0: the right one, 1: the other side's, 2: zero, 3: a strange one.
    pub tag: u8,
    /// Chunk types and flags.
    pub chunks: Vec<(u8, u8)>,
}

/// A datagram or message.
#[derive(Debug, Clone)]
pub enum Message {
    /// UDP.
    Udp {
        /// From the server.
        reply: bool,
        /// Octets.
        payload: usize,
        /// Length field is off by.
        lie: i32,
    },
    /// ICMP query or answer.
    Icmp {
        /// From the server.
        reply: bool,
        /// Type.
        kind: u8,
    },
    /// ICMP error about the UDP or ICMP flow.
    Error {
        /// From the server.
        reply: bool,
        /// Type.
        kind: u8,
        /// It quotes what the server sent, not the client.
        about_reply: bool,
        /// It quotes an unknown flow.
        unknown: bool,
        /// Octets of the quoted packet behind its IP header.
        quoted: usize,
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

/// What a flow is made of.
#[derive(Debug, Clone)]
pub enum Script {
    /// TCP.
    Tcp {
        /// Over IPv6.
        v6: bool,
        /// Initial sequence numbers.
        initial: [u32; 2],
        /// Segments.
        segments: Vec<Segment>,
    },
    /// SCTP.
    Sctp(Vec<Sctp>),
    /// UDP, ICMP and others of one pair of hosts.
    Messages {
        /// Over IPv6.
        v6: bool,
        /// What is sent.
        messages: Vec<Message>,
    },
}

fn offset() -> impl Strategy<Value = i64> {
    prop_oneof![
        12 => Just(0i64),
        1 => Just(1),
        1 => Just(-1),
        1 => -3000i64..3000,
        1 => prop_oneof![Just(65_535i64), Just(66_000), Just(66_001), Just(-66_000), Just(-66_001), Just(-70_000)],
        1 => -140_000i64..140_000,
        1 => any::<i32>().prop_map(i64::from),
    ]
}

fn flags() -> impl Strategy<Value = u8> {
    prop_oneof![
        6 => Just(0x10u8),
        3 => Just(0x18),
        3 => Just(0x02),
        3 => Just(0x12),
        3 => Just(0x11),
        2 => Just(0x04),
        2 => Just(0x14),
        1 => any::<u8>(),
    ]
}

fn segment() -> impl Strategy<Value = Segment> {
    let window = prop_oneof![4 => Just(65_535u16), 2 => Just(502), 1 => Just(0), 1 => any::<u16>()];
    let payload = prop_oneof![3 => Just(0usize), 1 => Just(1), 1 => 1usize..1400];
    (
        (any::<bool>(), flags(), offset(), offset()),
        (window, payload),
        (option::weighted(0.3, 0u8..16), any::<bool>(), option::weighted(0.1, 0u32..3000)),
    )
        .prop_map(
            |((reply, flags, seq, ack), (window, payload), (scale, sack_permitted, sack))| {
                Segment { reply, flags, seq, ack, window, payload, scale, sack_permitted, sack }
            },
        )
}

/// A segment that a real stack would send at this point.
fn plain(reply: bool, flags: u8) -> Segment {
    Segment {
        reply,
        flags,
        seq: 0,
        ack: 0,
        window: 65_535,
        payload: 0,
        scale: (flags & 2 != 0).then_some(7),
        sack_permitted: flags & 2 != 0,
        sack: None,
    }
}

fn opening() -> impl Strategy<Value = Vec<Segment>> {
    prop_oneof![
        4 => Just(vec![plain(false, 0x02), plain(true, 0x12), plain(false, 0x10)]),
        1 => Just(vec![plain(false, 0x02)]),
        1 => Just(vec![plain(false, 0x02), plain(true, 0x12)]),
        1 => Just(vec![plain(false, 0x10), plain(true, 0x10)]),
        1 => Just(vec![
            plain(false, 0x02), plain(true, 0x12), plain(false, 0x10), plain(false, 0x11),
            plain(true, 0x11), plain(false, 0x10),
        ]),
        1 => Just(vec![plain(false, 0x02), plain(true, 0x12), plain(false, 0x10), plain(true, 0x14)]),
        1 => Just(vec![plain(false, 0x02), plain(true, 0x02), plain(true, 0x12), plain(false, 0x12)]),
        1 => Just(vec![]),
    ]
}

fn sctp() -> impl Strategy<Value = Sctp> {
    let kind = prop_oneof![
        10 => prop_oneof![Just(1u8), Just(2), Just(10), Just(11), Just(0), Just(3), Just(4), Just(5), Just(6), Just(7), Just(8), Just(9), Just(14)],
        1 => any::<u8>(),
    ];
    (any::<bool>(), prop_oneof![6 => Just(0u8), 1 => 1u8..4], vec((kind, 0u8..2), 1..3))
        .prop_map(|(reply, tag, chunks)| Sctp { reply, tag, chunks })
}

fn association() -> impl Strategy<Value = Vec<Sctp>> {
    let one = |reply, kind| Sctp { reply, tag: 0, chunks: vec![(kind, 0)] };
    let open = vec![one(false, 1), one(true, 2), one(false, 10), one(true, 11)];
    let begin =
        prop_oneof![2 => Just(open.clone()), 1 => Just(open[..2].to_vec()), 1 => Just(vec![])];
    (begin, vec(sctp(), 0..6)).prop_map(|(mut begin, rest)| {
        begin.extend(rest);
        begin
    })
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        4 => (any::<bool>(), 0usize..600, prop_oneof![8 => Just(0), 1 => -10i32..10])
            .prop_map(|(reply, payload, lie)| Message::Udp { reply, payload, lie }),
        3 => (any::<bool>(), prop_oneof![Just(8u8), Just(0), Just(128), Just(129), 0u8..20, any::<u8>()])
            .prop_map(|(reply, kind)| Message::Icmp { reply, kind }),
        2 => (any::<bool>(), prop_oneof![Just(3u8), Just(11), Just(1), Just(2), Just(4), Just(5), Just(12)], any::<bool>(), any::<bool>(), 0usize..40)
            .prop_map(|(reply, kind, about_reply, unknown, quoted)| Message::Error { reply, kind, about_reply, unknown, quoted }),
        1 => (any::<bool>(), prop_oneof![Just(47u8), Just(50), Just(4), Just(33), Just(136), Just(51), Just(103)], prop_oneof![Just([0u8; 4]), Just([0, 0, 8, 0]), Just([0x20, 1, 0x88, 0x0b]), any::<[u8; 4]>()])
            .prop_map(|(reply, protocol, head)| Message::Other { reply, protocol, head }),
    ]
}

/// Any flow.
pub fn script() -> impl Strategy<Value = Script> {
    prop_oneof![
        6 => (proptest::bool::weighted(0.2), any::<[u32; 2]>(), opening(), vec(segment(), 0..8)).prop_map(
            |(v6, initial, mut segments, rest)| {
                segments.extend(rest);
                Script::Tcp { v6, initial, segments }
            }
        ),
        2 => association().prop_map(Script::Sctp),
        2 => (any::<bool>(), vec(message(), 1..8)).prop_map(|(v6, messages)| Script::Messages { v6, messages }),
    ]
}

/// The hosts of the `n`th flow: nobody else's.
fn hosts(n: u32, v6: bool) -> (IpAddr, IpAddr) {
    if v6 {
        let client = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, (n >> 16) as u16, n as u16);
        (client.into(), Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1).into())
    } else {
        (Ipv4Addr::from(0x0a00_0000 + n + 1).into(), Ipv4Addr::new(192, 0, 2, 1).into())
    }
}

impl Script {
    /// Its packets, as flow number `n`.
    pub fn packets(&self, n: u32) -> Vec<Vec<u8>> {
        match self {
            Self::Tcp { v6, initial, segments } => {
                let (client, server) = hosts(n, *v6);
                let mut next = *initial;
                segments.iter().map(|s| s.packet(&mut next, client, server)).collect()
            }
            Self::Sctp(steps) => {
                let (client, server) = hosts(n, false);
                steps.iter().map(|s| s.packet(client, server)).collect()
            }
            Self::Messages { v6, messages } => {
                let (client, server) = hosts(n, *v6);
                messages.iter().map(|m| m.packet(client, server)).collect()
            }
        }
    }
}

fn ends(reply: bool, client: IpAddr, server: IpAddr) -> (IpAddr, IpAddr) {
    if reply { (server, client) } else { (client, server) }
}

impl Segment {
    fn packet(&self, next: &mut [u32; 2], client: IpAddr, server: IpAddr) -> Vec<u8> {
        let me = usize::from(self.reply);
        let seq = (i64::from(next[me]) + self.seq) as u32;
        let ack =
            if self.flags & 0x10 == 0 { 0 } else { (i64::from(next[1 - me]) + self.ack) as u32 };
        let mut options = Vec::new();
        if self.flags & 2 != 0 {
            if let Some(scale) = self.scale {
                options.extend_from_slice(&[1, 3, 3, scale]);
            }
            if self.sack_permitted {
                options.extend_from_slice(&[1, 1, 4, 2]);
            }
        }
        if let Some(edge) = self.sack {
            options.extend_from_slice(&[1, 1, 5, 10]);
            options.extend_from_slice(&ack.wrapping_add(edge).to_be_bytes());
            options.extend_from_slice(&ack.wrapping_add(edge + 100).to_be_bytes());
        }
        let extra = u32::from(self.flags & 2 != 0) + u32::from(self.flags & 1 != 0);
        if self.seq == 0 && self.flags & 4 == 0 {
            next[me] = seq.wrapping_add(self.payload as u32 + extra);
        }
        let ports = if self.reply { (80, 4000) } else { (4000, 80) };
        let (source, destination) = ends(self.reply, client, server);
        let (flags, window, payload) = (self.flags, self.window, self.payload);
        TcpSegment { ports, seq, ack, flags, window, options, payload }.packet(source, destination)
    }
}

/// Tags that the client and the server demand.
const TAGS: [u32; 2] = [0xc1c1_c1c1, 0x5e5e_5e5e];

impl Sctp {
    fn packet(&self, client: IpAddr, server: IpAddr) -> Vec<u8> {
        let (own, other) = if self.reply { (TAGS[0], TAGS[1]) } else { (TAGS[1], TAGS[0]) };
        let opens = self.chunks.first().is_some_and(|c| c.0 == 1);
        let tag = match self.tag {
            0 if opens => 0,
            0 => own,
            1 => other,
            2 => 0,
            _ => 0x1234_5678,
        };
        let chunks: Vec<_> = self
            .chunks
            .iter()
            .map(|(kind, flags)| {
                let mut value = vec![0; 16];
                if matches!(kind, 1 | 2) {
                    value[..4].copy_from_slice(&other.to_be_bytes());
                }
                (*kind, *flags, value)
            })
            .collect();
        let ports = if self.reply { (80, 4000) } else { (4000, 80) };
        let (source, destination) = ends(self.reply, client, server);
        forge::sctp(source, destination, ports, tag, &chunks)
    }
}

impl Message {
    fn packet(&self, client: IpAddr, server: IpAddr) -> Vec<u8> {
        let ports = |reply| if reply { (53, 4000) } else { (4000, 53) };
        match *self {
            Self::Udp { reply, payload, lie } => {
                let (source, destination) = ends(reply, client, server);
                forge::udp(source, destination, ports(reply), payload, lie)
            }
            Self::Icmp { reply, kind } => {
                let (source, destination) = ends(reply, client, server);
                forge::icmp(source, destination, kind, 0, 7, &[0x55; 16])
            }
            Self::Error { reply, kind, about_reply, unknown, quoted } => {
                let (source, destination) = ends(about_reply, client, server);
                let mut about = ports(about_reply);
                if unknown {
                    about.0 = 9;
                }
                let mut inner = forge::udp(source, destination, about, 40, 0);
                inner.truncate(if client.is_ipv6() { 40 } else { 20 } + quoted);
                let (source, destination) = ends(reply, client, server);
                forge::icmp(source, destination, kind, 1, 0, &inner)
            }
            Self::Other { reply, protocol, head } => {
                let (source, destination) = ends(reply, client, server);
                let mut payload = head.to_vec();
                payload.extend_from_slice(&[
                    0, 24, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                ]);
                forge::ip(source, destination, protocol, &payload)
            }
        }
    }
}
