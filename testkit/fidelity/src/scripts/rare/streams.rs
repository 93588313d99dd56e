//! TCP whose numbers are fixed before the network has them: a segment that is lost, late or repeated is the same segment.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use plimsoll_model::Helper;

use super::network::{carry, mishaps};
use crate::forge::TcpSegment;
use crate::scripts::{Hosts, Step};

/// A segment whose numbers count from each side's first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Octets {
    /// From the server.
    pub reply: bool,
    /// Port of the client, of the server.
    pub ports: (u16, u16),
    /// Flags.
    pub flags: u8,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Window.
    pub window: u16,
    /// Options.
    pub options: Vec<u8>,
    /// Left and right edges of SACK blocks: of the other side's numbers.
    pub blocks: Vec<(u32, u32)>,
    /// Octets.
    pub data: Vec<u8>,
    /// Who reads it.
    pub helper: Option<Helper>,
}

impl Octets {
    pub(in crate::scripts) fn packet(&self, initial: [u32; 2], hosts: Hosts) -> Vec<u8> {
        let me = usize::from(self.reply);
        let mut options = self.options.clone();
        for blocks in self.blocks.chunks(2) {
            options.extend([1, 1, 5, 2 + 8 * blocks.len() as u8]);
            for (left, right) in blocks {
                options.extend(initial[1 - me].wrapping_add(*left).to_be_bytes());
                options.extend(initial[1 - me].wrapping_add(*right).to_be_bytes());
            }
        }
        options.resize(options.len().next_multiple_of(4), 0);
        let (client, server) = self.ports;
        let ack = initial[1 - me].wrapping_add(self.ack);
        let (source, destination) = hosts.ends(self.reply);
        TcpSegment {
            ports: if self.reply { (server, client) } else { (client, server) },
            seq: initial[me].wrapping_add(self.seq),
            ack: if self.flags & ACK == 0 { 0 } else { ack },
            flags: self.flags,
            window: self.window,
            options,
            payload: 0,
            data: self.data.clone(),
        }
        .packet(source, destination)
    }
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// What sides do.
#[derive(Debug, Clone)]
enum Act {
    /// Opens: the scales offered, octets in the SYN, and of these so many acknowledged.
    Open {
        by: bool,
        scales: [Option<u8>; 2],
        early: u16,
        all: bool,
    },
    /// Both open at once, and one sends at once.
    Both {
        scales: [Option<u8>; 2],
        early: u16,
    },
    Send {
        by: bool,
        length: u16,
        times: u8,
    },
    Acknowledge {
        by: bool,
        less: u16,
    },
    Selectively {
        by: bool,
        left: u16,
        long: u16,
    },
    /// Blocks that end so far from the acknowledgement, in two options if there are many.
    Edges {
        by: bool,
        edges: Vec<i32>,
    },
    KeepAlive {
        by: bool,
        octet: bool,
    },
    Window {
        by: bool,
        window: u16,
    },
    Probe {
        by: bool,
    },
    Finish {
        by: bool,
    },
    Reset {
        by: bool,
        off: i32,
        ack: bool,
    },
    /// The same ports begin anew.
    Anew {
        ahead: u32,
    },
    /// As if it had been lost.
    Forget {
        by: bool,
        octets: u16,
    },
    /// A segment of the flags, off by so much.
    Stray {
        by: bool,
        flags: u8,
        seq: i32,
        ack: i32,
        length: u16,
    },
    /// A SYN in the middle.
    Syn {
        by: bool,
        ahead: i32,
        ack: bool,
        scale: Option<u8>,
    },
}

#[derive(Debug, Clone, Copy)]
struct Peer {
    next: u32,
    window: u16,
    acknowledged: u32,
}

fn options(scale: Option<u8>, rest: &[u8]) -> Vec<u8> {
    let mut options = vec![2, 4, 5, 180];
    if let Some(scale) = scale {
        options.extend([1, 3, 3, scale]);
    }
    options.extend(rest);
    options
}

const SACK_PERMITTED: &[u8] = &[4, 2, 1, 1];
const STAMPS: &[u8] = &[8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1];
const COOKIE: &[u8] = &[34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 4, 2];

fn play(acts: &[Act]) -> Vec<Octets> {
    let mut peers = [Peer { next: 0, window: 65_535, acknowledged: 0 }; 2];
    let mut all = Vec::new();
    for act in acts {
        act.play(&mut peers, &mut all);
    }
    all
}

fn segment(peers: &[Peer; 2], reply: bool, flags: u8) -> Octets {
    let (me, other) = (usize::from(reply), usize::from(!reply));
    Octets {
        reply,
        ports: (4000, 80),
        flags,
        seq: peers[me].next,
        ack: peers[other].next,
        window: peers[me].window,
        options: vec![],
        blocks: vec![],
        data: vec![],
        helper: None,
    }
}

impl Act {
    #[expect(clippy::too_many_lines, reason = "a line or two for each act")]
    fn play(&self, peers: &mut [Peer; 2], all: &mut Vec<Octets>) {
        match self.clone() {
            Self::Open { by, scales, early, all: whole } => {
                let (me, other) = (usize::from(by), usize::from(!by));
                let mut syn = segment(peers, by, SYN);
                syn.options = options(scales[0], if early > 0 { COOKIE } else { SACK_PERMITTED });
                syn.data = vec![7; early.into()];
                all.push(syn);
                peers[me].next = peers[me].next.wrapping_add(1 + u32::from(early));
                let mut answer = segment(peers, !by, SYN | ACK);
                answer.options = options(scales[1], SACK_PERMITTED);
                if !whole {
                    answer.ack = answer.ack.wrapping_sub(early.into());
                    peers[me].next = answer.ack;
                }
                all.push(answer);
                peers[other].next = peers[other].next.wrapping_add(1);
                all.push(segment(peers, by, ACK));
            }
            Self::Both { scales, early } => {
                for by in [false, true] {
                    let mut syn = segment(peers, by, SYN);
                    syn.options = options(scales[usize::from(by)], SACK_PERMITTED);
                    all.push(syn);
                }
                peers.iter_mut().for_each(|peer| peer.next = peer.next.wrapping_add(1));
                for by in [true, false] {
                    let mut answer = segment(peers, by, SYN | ACK);
                    answer.seq = answer.seq.wrapping_sub(1);
                    answer.options = options(scales[usize::from(by)], SACK_PERMITTED);
                    answer.data = vec![7; early.into()];
                    peers[usize::from(by)].next =
                        peers[usize::from(by)].next.wrapping_add(early.into());
                    all.push(answer);
                }
            }
            Self::Send { by, length, times } => {
                for _ in 0..times {
                    let mut data = segment(peers, by, ACK | PSH);
                    data.data = vec![7; length.into()];
                    data.options = STAMPS.to_vec();
                    all.push(data);
                    let next = &mut peers[usize::from(by)].next;
                    *next = next.wrapping_add(length.into());
                }
            }
            Self::Acknowledge { by, less } => {
                let mut ack = segment(peers, by, ACK);
                ack.ack = ack.ack.wrapping_sub(less.into());
                peers[usize::from(by)].acknowledged = ack.ack;
                all.push(ack);
            }
            Self::Selectively { by, left, long } => {
                let mut ack = segment(peers, by, ACK);
                ack.ack = peers[usize::from(by)].acknowledged;
                let left = ack.ack.wrapping_add(left.into());
                ack.blocks = vec![(left, left.wrapping_add(long.into()))];
                all.push(ack);
            }
            Self::Edges { by, edges } => {
                let mut ack = segment(peers, by, ACK);
                let block = |edge: &i32| {
                    let right = ack.ack.wrapping_add_signed(*edge);
                    (right.wrapping_sub(100), right)
                };
                ack.blocks = edges.iter().map(block).collect();
                all.push(ack);
            }
            Self::KeepAlive { by, octet } => {
                let mut probe = segment(peers, by, ACK);
                probe.seq = probe.seq.wrapping_sub(1);
                probe.data = vec![0; octet.into()];
                all.push(probe);
                all.push(segment(peers, !by, ACK));
            }
            Self::Window { by, window } => {
                peers[usize::from(by)].window = window;
                all.push(segment(peers, by, ACK));
            }
            Self::Probe { by } => {
                let mut probe = segment(peers, by, ACK);
                probe.data = vec![7];
                all.push(probe);
            }
            Self::Finish { by } => {
                all.push(segment(peers, by, FIN | ACK));
                let next = &mut peers[usize::from(by)].next;
                *next = next.wrapping_add(1);
            }
            Self::Reset { by, off, ack } => {
                let mut reset = segment(peers, by, if ack { RST | ACK } else { RST });
                reset.seq = reset.seq.wrapping_add_signed(off);
                all.push(reset);
            }
            Self::Anew { ahead } => {
                peers.iter_mut().for_each(|peer| peer.next = peer.next.wrapping_add(ahead));
            }
            Self::Forget { by, octets } => {
                let next = &mut peers[usize::from(by)].next;
                *next = next.wrapping_sub(octets.into());
            }
            Self::Stray { by, flags, seq, ack, length } => {
                let mut stray = segment(peers, by, flags);
                stray.seq = stray.seq.wrapping_add_signed(seq);
                stray.ack = stray.ack.wrapping_add_signed(ack);
                stray.data = vec![7; length.into()];
                all.push(stray);
            }
            Self::Syn { by, ahead, ack, scale } => {
                let mut syn = segment(peers, by, if ack { SYN | ACK } else { SYN });
                syn.seq = syn.seq.wrapping_add_signed(ahead);
                syn.options = options(scale, SACK_PERMITTED);
                all.push(syn);
            }
        }
    }
}

fn scale() -> impl Strategy<Value = Option<u8>> + Clone {
    option::weighted(0.8, prop_oneof![4 => 0u8..15, 1 => any::<u8>()])
}

fn opening() -> impl Strategy<Value = Act> {
    let open = (proptest::bool::weighted(0.1), [scale(), scale()], early(), any::<bool>())
        .prop_map(|(by, scales, early, all)| Act::Open { by, scales, early, all });
    let both =
        ([scale(), scale()], early()).prop_map(|(scales, early)| Act::Both { scales, early });
    prop_oneof![5 => open, 1 => both]
}

fn early() -> impl Strategy<Value = u16> + Clone {
    prop_oneof![3 => Just(0u16), 1 => 1u16..1400]
}

fn window() -> impl Strategy<Value = u16> {
    prop_oneof![2 => Just(0u16), 2 => 1u16..600, 1 => any::<u16>()]
}

fn act() -> impl Strategy<Value = Act> {
    let by = any::<bool>;
    prop_oneof![
        6 => (by(), prop_oneof![Just(1u16), 1u16..1400, Just(1400)], 1u8..8)
            .prop_map(|(by, length, times)| Act::Send { by, length, times }),
        4 => (by(), prop_oneof![3 => Just(0u16), 1 => 0u16..4000])
            .prop_map(|(by, less)| Act::Acknowledge { by, less }),
        2 => (by(), any::<u16>(), 0u16..4000)
            .prop_map(|(by, left, long)| Act::Selectively { by, left, long }),
        1 => (by(), any::<bool>()).prop_map(|(by, octet)| Act::KeepAlive { by, octet }),
        2 => (by(), window()).prop_map(|(by, window)| Act::Window { by, window }),
        1 => by().prop_map(|by| Act::Probe { by }),
        2 => by().prop_map(|by| Act::Finish { by }),
        1 => (by(), prop_oneof![3 => Just(0i32), 1 => -3i32..4, 1 => any::<i32>()], any::<bool>())
            .prop_map(|(by, off, ack)| Act::Reset { by, off, ack }),
        2 => (by(), 1u16..3000).prop_map(|(by, octets)| Act::Forget { by, octets }),
    ]
}

fn again() -> impl Strategy<Value = Vec<Act>> {
    let ahead = prop_oneof![2 => 1u32..100_000, 1 => any::<u32>(), 1 => Just(0)];
    let anew = (ahead, opening(), vec(act(), 0..4)).prop_map(|(ahead, open, acts)| {
        let mut all = vec![Act::Anew { ahead }, open];
        all.extend(acts);
        all
    });
    prop_oneof![2 => Just(vec![]), 1 => anew]
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let opened = prop_oneof![8 => opening().prop_map(|act| vec![act]), 1 => Just(vec![])];
    let closing = prop_oneof![
        2 => Just(vec![]),
        2 => any::<bool>().prop_map(|by| vec![
            Act::Finish { by },
            Act::Acknowledge { by: !by, less: 0 },
            Act::Finish { by: !by },
            Act::Acknowledge { by, less: 0 },
        ]),
        1 => any::<bool>().prop_map(|by| vec![Act::Finish { by }, Act::Finish { by: !by }]),
        1 => any::<bool>().prop_map(|by| vec![Act::Reset { by, off: 0, ack: true }]),
    ];
    (opened, vec(act(), 0..8), closing, again())
        .prop_map(|(opened, acts, closing, again)| [opened, acts, closing, again].concat())
}

fn steps(segments: Vec<Octets>) -> Vec<Step> {
    segments.into_iter().map(Step::Octets).collect()
}

pub(super) fn connection() -> impl Strategy<Value = Vec<Step>> {
    (acts(), mishaps()).prop_map(|(acts, mishaps)| steps(carry(play(&acts), &mishaps)))
}

/// What does not belong there.
fn intruder() -> impl Strategy<Value = Act> {
    let off = || {
        prop_oneof![
            4 => Just(0i32), 2 => -2i32..3, 2 => -2000i32..2000, 1 => -70_000i32..70_000,
            1 => any::<i32>(),
        ]
    };
    let flags = prop_oneof![
        4 => Just(ACK), 2 => Just(ACK | PSH), 2 => Just(RST), 2 => Just(RST | ACK),
        2 => Just(FIN | ACK), 1 => any::<u8>(),
    ];
    let length = prop_oneof![2 => Just(0u16), 1 => 1u16..1400];
    prop_oneof![
        3 => (any::<bool>(), flags, off(), off(), length).prop_map(|(by, flags, seq, ack, length)| {
            Act::Stray { by, flags, seq, ack, length }
        }),
        2 => (any::<bool>(), off(), any::<bool>(), scale())
            .prop_map(|(by, ahead, ack, scale)| Act::Syn { by, ahead, ack, scale }),
        1 => (any::<bool>(), vec(prop_oneof![3 => off(), 1 => Just(i32::MIN)], 1..4))
            .prop_map(|(by, edges)| Act::Edges { by, edges }),
    ]
}

pub(super) fn disturbed() -> impl Strategy<Value = Vec<Step>> {
    (acts(), vec((any::<u8>(), intruder()), 1..6)).prop_map(|(mut acts, intruders)| {
        for (place, act) in intruders {
            let at = usize::from(place) % (acts.len() + 1);
            acts.insert(at, act);
        }
        steps(play(&acts))
    })
}
