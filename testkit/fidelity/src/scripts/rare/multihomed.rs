//! SCTP whose endpoints have several addresses and several lives.

use proptest::collection::vec;
use proptest::prelude::*;

use super::network::{carry, mishaps};
use crate::forge;
use crate::scripts::message::elsewhere;
use crate::scripts::{Hosts, Step};

/// A packet of an SCTP association.
#[derive(Debug, Clone)]
pub struct Chunks {
    /// From the server.
    pub reply: bool,
    /// From and to the second address of each.
    pub path: [bool; 2],
    /// Verification tag.
    pub tag: u32,
    /// Chunks: type, flags, the tag that an INIT offers, octets of its value.
    pub chunks: Vec<(u8, u8, u32, u8)>,
}

impl Chunks {
    pub(in crate::scripts) fn packet(&self, hosts: Hosts) -> Vec<u8> {
        let (mut source, mut destination) = hosts.ends(self.reply);
        if self.path[usize::from(self.reply)] {
            source = elsewhere(source);
        }
        if self.path[usize::from(!self.reply)] {
            destination = elsewhere(destination);
        }
        let chunks: Vec<_> = self
            .chunks
            .iter()
            .map(|&(kind, flags, tag, length)| {
                let mut value = vec![0; length.into()];
                if let Some(front) = value.first_chunk_mut() {
                    *front = tag.to_be_bytes();
                }
                (kind, flags, value)
            })
            .collect();
        let ports = if self.reply { (80, 4000) } else { (4000, 80) };
        forge::sctp(source, destination, ports, self.tag, &chunks)
    }
}

/// What happens.
#[derive(Debug, Clone)]
enum Act {
    /// So many of the four packets of an opening, by whom; both lives are new.
    Open {
        by: bool,
        steps: u8,
        data: bool,
    },
    /// Both send an INIT.
    Both,
    Data {
        by: bool,
        chunks: Vec<u8>,
    },
    Heartbeat {
        by: bool,
        answered: bool,
    },
    /// The other address of a side from now on.
    Path {
        of: bool,
    },
    Shutdown {
        by: bool,
        steps: u8,
    },
    Abort {
        by: bool,
        reflected: bool,
    },
    /// Tag of the last life, or a strange one.
    Old {
        by: bool,
        kind: u8,
        strange: bool,
    },
    /// Any chunks.
    Odd {
        by: bool,
        chunks: Vec<(u8, u8, u8)>,
    },
}

#[derive(Debug, Clone, Copy)]
struct Ends {
    /// Tags that each demands now, and that it demanded before.
    tags: [u32; 2],
    before: [u32; 2],
    path: [bool; 2],
    lives: u32,
}

impl Ends {
    fn renew(&mut self, of: bool) {
        self.lives += 1;
        let me = usize::from(of);
        self.before[me] = self.tags[me];
        self.tags[me] = 0xa000_0000 + self.lives;
    }

    fn say(&self, by: bool, kind: u8) -> Chunks {
        self.say_all(by, &[kind])
    }

    fn say_all(&self, by: bool, kinds: &[u8]) -> Chunks {
        let chunks = kinds.iter().map(|kind| (*kind, 0, self.tags[usize::from(by)], 16)).collect();
        let tag = if kinds.first() == Some(&1) { 0 } else { self.tags[usize::from(!by)] };
        Chunks { reply: by, path: self.path, tag, chunks }
    }
}

impl Act {
    fn play(&self, ends: &mut Ends, all: &mut Vec<Chunks>) {
        match self {
            Self::Open { by, steps, data } => {
                let by = *by;
                ends.renew(by);
                let init = ends.say(by, 1);
                ends.renew(!by);
                let echo: &[u8] = if *data { &[10, 0] } else { &[10] };
                let opening = [init, ends.say(!by, 2), ends.say_all(by, echo), ends.say(!by, 11)];
                all.extend(opening.into_iter().take(usize::from(*steps)));
            }
            Self::Both => {
                ends.renew(false);
                ends.renew(true);
                for (by, kind) in
                    [(false, 1), (true, 1), (true, 2), (false, 2), (false, 10), (true, 11)]
                {
                    all.push(ends.say(by, kind));
                }
            }
            Self::Data { by, chunks } => all.push(ends.say_all(*by, chunks)),
            Self::Heartbeat { by, answered } => {
                all.push(ends.say(*by, 4));
                if *answered {
                    all.push(ends.say(!by, 5));
                }
            }
            Self::Path { of } => ends.path[usize::from(*of)] ^= true,
            Self::Shutdown { by, steps } => {
                let parts = [(*by, 7), (!by, 8), (*by, 14)];
                all.extend(
                    parts.into_iter().take((*steps).into()).map(|(by, kind)| ends.say(by, kind)),
                );
            }
            Self::Abort { by, reflected } => {
                let mut abort = ends.say(*by, 6);
                if *reflected {
                    abort.chunks[0].1 = 1;
                    abort.tag = ends.tags[usize::from(*by)];
                }
                all.push(abort);
            }
            Self::Old { by, kind, strange } => {
                let mut old = ends.say(*by, *kind);
                old.tag = if *strange { 0x1234_5678 } else { ends.before[usize::from(!by)] };
                all.push(old);
            }
            Self::Odd { by, chunks } => {
                let mut odd = ends.say(*by, 0);
                let tag = ends.tags[usize::from(*by)];
                odd.chunks = chunks
                    .iter()
                    .map(|&(kind, flags, length)| (kind, flags, tag, length))
                    .collect();
                all.push(odd);
            }
        }
    }
}

fn act() -> impl Strategy<Value = Act> {
    let by = any::<bool>;
    let kind = || {
        prop_oneof![
            8 => prop_oneof![Just(0u8), Just(3), Just(4), Just(5), Just(6), Just(7), Just(8), Just(9), Just(10), Just(11), Just(14)],
            2 => prop_oneof![Just(1u8), Just(2), Just(12), Just(13), Just(15), Just(64), Just(128), Just(130), Just(192), Just(193)],
            1 => any::<u8>(),
        ]
    };
    prop_oneof![
        3 => (by(), 1u8..5, any::<bool>()).prop_map(|(by, steps, data)| Act::Open { by, steps, data }),
        1 => Just(Act::Both),
        2 => (by(), vec(prop_oneof![Just(0u8), Just(3), Just(192), Just(64)], 1..4))
            .prop_map(|(by, chunks)| Act::Data { by, chunks }),
        3 => (by(), any::<bool>()).prop_map(|(by, answered)| Act::Heartbeat { by, answered }),
        2 => by().prop_map(|of| Act::Path { of }),
        2 => (by(), 1u8..4).prop_map(|(by, steps)| Act::Shutdown { by, steps }),
        1 => (by(), any::<bool>()).prop_map(|(by, reflected)| Act::Abort { by, reflected }),
        2 => (by(), kind(), any::<bool>()).prop_map(|(by, kind, strange)| Act::Old { by, kind, strange }),
        2 => (by(), vec((kind(), 0u8..4, prop_oneof![4 => Just(16u8), 1 => 0u8..20]), 0..4))
            .prop_map(|(by, chunks)| Act::Odd { by, chunks }),
    ]
}

pub(super) fn association() -> impl Strategy<Value = Vec<Step>> {
    let begin = prop_oneof![
        3 => Just(vec![Act::Open { by: false, steps: 4, data: false }]),
        1 => Just(vec![Act::Both]),
        1 => Just(vec![]),
    ];
    (begin, vec(act(), 1..8), mishaps()).prop_map(|(begin, acts, mishaps)| {
        let mut ends = Ends { tags: [0; 2], before: [0; 2], path: [false; 2], lives: 0 };
        let mut all = Vec::new();
        begin.iter().chain(&acts).for_each(|act| act.play(&mut ends, &mut all));
        carry(all, &mishaps).into_iter().map(Step::Chunks).collect()
    })
}
