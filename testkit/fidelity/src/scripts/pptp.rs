//! PPTP: control connections that set up calls, in order or not, and GRE packets that could belong to them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::Hosts;
use crate::forge::{self, TcpSegment};

/// A packet of a PPTP session.
#[derive(Debug, Clone)]
pub enum Pptp {
    /// One of a control connection without a message.
    Bare {
        /// From the server.
        reply: bool,
        /// Flags.
        flags: u8,
    },
    /// A control message.
    Message {
        /// From the server.
        reply: bool,
        /// Type.
        kind: u8,
        /// Two call ids.
        calls: [u8; 2],
        /// Result.
        result: u8,
        /// So many octets too few.
        short: usize,
    },
    /// A packet of a call.
    Gre {
        /// From the server.
        reply: bool,
        /// Call id.
        call: u8,
        /// Version 1, as PPTP sends it.
        version: bool,
    },
}

/// Octets behind the header of each type.
const LENGTHS: [usize; 16] = [0, 144, 144, 4, 4, 4, 8, 156, 20, 208, 12, 16, 4, 136, 28, 12];

const fn said(reply: bool, kind: u8, calls: [u8; 2]) -> Pptp {
    Pptp::Message { reply, kind, calls, result: 1, short: 0 }
}

pub(super) fn message() -> impl Strategy<Value = Pptp> {
    let kind = prop_oneof![
        4 => prop_oneof![Just(7u8), Just(8), Just(9), Just(10), Just(11), Just(12), Just(13)],
        1 => 0u8..17,
    ];
    let calls = prop_oneof![3 => Just([7u8, 9]), 3 => Just([9, 7]), 1 => [7u8..11, 7u8..11]];
    let result = prop_oneof![6 => Just(1u8), 1 => 0u8..4];
    let short = prop_oneof![8 => Just(0usize), 1 => 1usize..20];
    (any::<bool>(), kind, calls, result, short).prop_map(|(reply, kind, calls, result, short)| {
        // Mostly from who would say it.
        let reply = match kind {
            8 | 9 | 11 | 13 => true,
            7 | 10 | 12 => false,
            _ => reply,
        };
        Pptp::Message { reply, kind, calls, result, short }
    })
}

pub(super) fn gre() -> impl Strategy<Value = Pptp> {
    let call = prop_oneof![3 => Just(7u8), 3 => Just(9), 1 => 0u8..12];
    (any::<bool>(), call, prop::bool::weighted(0.9)).prop_map(|(reply, call, version)| Pptp::Gre {
        reply,
        call,
        version,
    })
}

fn bare() -> impl Strategy<Value = Pptp> {
    let flags = prop_oneof![3 => Just(0x10u8), 1 => Just(0x11), 1 => Just(0x14), 1 => Just(0x02)];
    (any::<bool>(), flags).prop_map(|(reply, flags)| Pptp::Bare { reply, flags })
}

pub(super) fn opening() -> Vec<Pptp> {
    vec![
        Pptp::Bare { reply: false, flags: 2 },
        Pptp::Bare { reply: true, flags: 0x12 },
        Pptp::Bare { reply: false, flags: 0x10 },
        said(false, 1, [0, 0]),
        said(true, 2, [0, 0]),
    ]
}

pub(super) fn session() -> impl Strategy<Value = Vec<Pptp>> {
    let [out, into] = Pptp::calls();
    let begin =
        prop_oneof![4 => Just(out), 2 => Just(into), 2 => Just(opening()), 1 => Just(vec![])];
    (begin, vec(prop_oneof![4 => gre(), 3 => message(), 1 => bare()], 0..8)).prop_map(
        |(mut begin, rest)| {
            begin.extend(rest);
            begin
        },
    )
}

impl Pptp {
    /// Control connections that agree on a call, each side having begun: the server's id is 9, the client's 7.
    pub(crate) fn calls() -> [Vec<Self>; 2] {
        let out = [said(false, 7, [7, 0]), said(true, 8, [9, 7])];
        let into = [said(true, 9, [9, 0]), said(false, 10, [7, 9]), said(true, 11, [7, 0])];
        [&out[..], &into].map(|rest| [&opening(), rest].concat())
    }

    /// Whether it belongs to the control connection.
    pub(super) const fn is_control(&self) -> bool {
        !matches!(self, Self::Gre { .. })
    }

    /// From the server.
    pub(super) const fn reply(&self) -> bool {
        match self {
            Self::Bare { reply, .. } | Self::Message { reply, .. } | Self::Gre { reply, .. } => {
                *reply
            }
        }
    }

    pub(super) fn packet(&self, next: &mut [u32; 2], hosts: Hosts) -> Vec<u8> {
        let reply = self.reply();
        let (source, destination) = hosts.ends(reply);
        let (flags, data) = match self {
            Self::Gre { call, version, .. } => {
                let head = if *version { [0x30, 1, 0x88, 0x0b] } else { [0, 0, 8, 0] };
                let payload = [&head[..], &[0, 8, 0, *call], &[0x55; 24]].concat();
                return forge::ip(source, destination, 47, &payload);
            }
            Self::Bare { flags, .. } => (*flags, Vec::new()),
            Self::Message { kind, calls: [a, b], result, short, .. } => {
                let length = LENGTHS.get(usize::from(*kind)).copied().unwrap_or(8);
                let mut body = vec![0, *a, 0, *b, *result, 0, 0, 0];
                match kind {
                    // The result stands elsewhere, or nowhere.
                    2 => body[2] = *result,
                    4 => body[0] = *result,
                    _ => {}
                }
                body.resize(length, 0);
                let mut data = vec![0, (12 + length) as u8, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d];
                data.extend([0, *kind, 0, 0]);
                data.extend(body);
                data.truncate(data.len().saturating_sub(*short));
                (0x18, data)
            }
        };
        let me = usize::from(reply);
        let (seq, ack) = (next[me], if flags & 0x10 == 0 { 0 } else { next[1 - me] });
        if flags & 4 == 0 {
            let extra = u32::from(flags & 2 != 0) + u32::from(flags & 1 != 0);
            next[me] = seq.wrapping_add(data.len() as u32 + extra);
        }
        let ports = if reply { (1723, 4000) } else { (4000, 1723) };
        TcpSegment { ports, seq, ack, flags, window: 65_535, data, ..TcpSegment::default() }
            .packet(source, destination)
    }
}
