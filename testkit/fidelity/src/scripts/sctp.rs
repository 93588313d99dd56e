//! SCTP associations.

use proptest::collection::vec;
use proptest::prelude::*;

use super::Hosts;
use crate::forge;

/// A packet of an SCTP association: direction, tag choice, chunks.
#[derive(Debug, Clone)]
pub struct Sctp {
    /// From the server.
    pub reply: bool,
    /// 0: the right one, 1: the other side's, 2: zero, 3: a strange one.
    pub tag: u8,
    /// Chunk types and flags.
    pub chunks: Vec<(u8, u8)>,
}

fn packet() -> impl Strategy<Value = Sctp> {
    let kind = prop_oneof![
        10 => prop_oneof![Just(1u8), Just(2), Just(10), Just(11), Just(0), Just(3), Just(4), Just(5), Just(6), Just(7), Just(8), Just(9), Just(14)],
        1 => any::<u8>(),
    ];
    (any::<bool>(), prop_oneof![6 => Just(0u8), 1 => 1u8..4], vec((kind, 0u8..2), 1..3))
        .prop_map(|(reply, tag, chunks)| Sctp { reply, tag, chunks })
}

pub(super) fn association() -> impl Strategy<Value = Vec<Sctp>> {
    let one = |reply, kind| Sctp { reply, tag: 0, chunks: vec![(kind, 0)] };
    let open = vec![one(false, 1), one(true, 2), one(false, 10), one(true, 11)];
    let begin =
        prop_oneof![2 => Just(open.clone()), 1 => Just(open[..2].to_vec()), 1 => Just(vec![])];
    (begin, vec(packet(), 0..6)).prop_map(|(mut begin, rest)| {
        begin.extend(rest);
        begin
    })
}

/// Tags that the client and the server demand.
const TAGS: [u32; 2] = [0xc1c1_c1c1, 0x5e5e_5e5e];

impl Sctp {
    pub(super) fn packet(&self, hosts: Hosts) -> Vec<u8> {
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
        let (source, destination) = hosts.ends(self.reply);
        forge::sctp(source, destination, ports, tag, &chunks)
    }
}
