//! Headers that are seldom seen: ICMP of every type, protocols of every number, IP with options and reserved bits.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::forge;
use crate::scripts::{Flow, Hosts, Oddity, Step, flow};

/// A message of ICMP or ICMPv6, or a packet of a protocol.
#[derive(Debug, Clone)]
pub struct Icmp {
    /// From the server.
    pub reply: bool,
    /// A protocol, or ICMP of the flow's family.
    pub protocol: Option<u8>,
    /// Type, code.
    pub kind: (u8, u8),
    /// Identifier.
    pub id: u16,
    /// Octets behind it.
    pub body: Vec<u8>,
}

impl Icmp {
    pub(in crate::scripts) fn packet(&self, hosts: Hosts) -> Vec<u8> {
        let (source, destination) = hosts.ends(self.reply);
        let (kind, code) = self.kind;
        match self.protocol {
            // What is for every hop is judged before it is tracked.
            None | Some(0) => forge::icmp(source, destination, kind, code, self.id, &self.body),
            Some(protocol) => {
                let mut payload = vec![kind, code];
                payload.extend(self.id.to_be_bytes());
                payload.extend(&self.body);
                forge::ip(source, destination, protocol, &payload)
            }
        }
    }
}

fn icmp() -> impl Strategy<Value = Icmp> {
    let kind = prop_oneof![
        3 => prop_oneof![Just(8u8), Just(0), Just(13), Just(14), Just(15), Just(16), Just(17), Just(18)],
        4 => prop_oneof![Just(128u8), Just(129), Just(139), Just(140)],
        4 => 130u8..160,
        1 => any::<u8>(),
    ];
    let code = prop_oneof![4 => Just(0u8), 1 => any::<u8>()];
    let id = prop_oneof![3 => Just(7u16), 1 => 0u16..3];
    let protocol = prop_oneof![
        4 => Just(None),
        1 => any::<u8>().prop_map(Some),
        1 => prop_oneof![Just(1u8), Just(58), Just(0), Just(59), Just(41), Just(4), Just(255), Just(47)]
            .prop_map(Some),
    ];
    let body = prop_oneof![
        1 => vec(any::<u8>(), 0..50),
        1 => (0usize..60).prop_map(|length| vec![0; length]),
        1 => Just(vec![0; 32]),
    ];
    (any::<bool>(), protocol, (kind, code), id, body)
        .prop_map(|(reply, protocol, kind, id, body)| Icmp { reply, protocol, kind, id, body })
}

pub(super) fn messages() -> impl Strategy<Value = Vec<Step>> {
    // Mostly an answer of the same identifier follows.
    vec((icmp(), any::<bool>()), 1..6).prop_map(|all| {
        let mut steps = Vec::new();
        for (message, echoed) in all {
            let back = Icmp { reply: !message.reply, ..message.clone() };
            steps.push(Step::Icmp(message));
            if echoed {
                steps.push(Step::Icmp(back));
            }
        }
        steps
    })
}

/// What is odd about an IP header.
#[derive(Debug, Clone)]
pub enum Header {
    /// IPv4 options.
    Options(Vec<u8>),
    /// Type of service, or traffic class.
    Service(u8),
    /// IPv4: the three bits in front of the offset, but for the last.
    Bits(u8),
    /// So many octets behind the packet.
    Trailer(u8),
    /// The checksum of the UDP header is none.
    NoSum,
}

/// With these options, filled up.
pub(super) fn with_options(packet: &[u8], options: &[u8]) -> Vec<u8> {
    if packet.first() != Some(&0x45) || packet.len() < 20 {
        return packet.to_vec();
    }
    let mut options = options.to_vec();
    options.truncate(40);
    options.resize(options.len().next_multiple_of(4), 0);
    let mut out = [&packet[..20], &options, &packet[20..]].concat();
    out[0] = 0x45 + (options.len() / 4) as u8;
    renew(&mut out);
    out
}

fn renew(packet: &mut [u8]) {
    let length = (packet.len() as u16).to_be_bytes();
    packet[2..4].copy_from_slice(&length);
    sum(packet);
}

fn sum(packet: &mut [u8]) {
    let header = usize::from(packet[0] & 15) * 4;
    packet[10..12].fill(0);
    let mut sum: u32 =
        packet[..header].chunks(2).map(|p| u32::from(p[0]) << 8 | u32::from(p[1])).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    packet[10..12].copy_from_slice(&(!sum as u16).to_be_bytes());
}

impl Header {
    pub(in crate::scripts) fn apply(&self, packet: &mut Vec<u8>) {
        let Some(&first) = packet.first() else { return };
        let v6 = first >> 4 == 6;
        let header = if v6 { 40 } else { usize::from(first & 15) * 4 };
        if packet.len() < header {
            return;
        }
        match self {
            Self::Options(options) if !v6 => *packet = with_options(packet, options),
            Self::Service(service) if v6 => {
                packet[0] |= service >> 4;
                packet[1] |= service << 4;
            }
            Self::Service(service) => {
                packet[1] = *service;
                sum(packet);
            }
            Self::Bits(bits) if !v6 => {
                packet[6] |= bits & 0xc0;
                sum(packet);
            }
            Self::Trailer(octets) => packet.resize(packet.len() + usize::from(*octets), 0xee),
            Self::NoSum => {
                let protocol = packet[if v6 { 6 } else { 9 }];
                if matches!(protocol, 17 | 136) && packet.len() >= header + 8 {
                    packet[header + 6..header + 8].fill(0);
                }
            }
            Self::Options(_) | Self::Bits(_) => {}
        }
    }
}

fn header() -> impl Strategy<Value = Header> {
    // No operation, router alert, timestamp, security: none that a router would answer or follow.
    let option = prop_oneof![
        Just(vec![1u8]),
        Just(vec![148, 4, 0, 0]),
        Just(vec![1, 1, 1]),
        Just(vec![68, 4, 5, 0]),
        Just(vec![130, 3, 1]),
        Just(vec![0]),
    ];
    let options = vec(option, 1..4).prop_map(|mut all| {
        // Of two alike a router drops the packet.
        all.sort();
        all.dedup();
        Header::Options(all.concat())
    });
    prop_oneof![
        3 => options,
        1 => any::<u8>().prop_map(Header::Service),
        2 => any::<u8>().prop_map(Header::Bits),
        2 => any::<u8>().prop_map(Header::Trailer),
        2 => Just(Header::NoSum),
    ]
}

/// Any flow, with headers that are odd.
pub(super) fn flows() -> BoxedStrategy<Flow> {
    (flow(), vec((0u8..8, header()), 1..5))
        .prop_map(|(mut flow, headers)| {
            let own = headers.into_iter().map(|(at, header)| (at, Oddity::Header(header)));
            flow.odd.extend(own);
            flow
        })
        .boxed()
}
