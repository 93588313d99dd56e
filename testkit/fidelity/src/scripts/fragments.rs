//! One packet as several fragments: whole, with holes, repeated, overlapping, in any order.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use plimsoll_ct::Zone;

use super::oddity::zone;
use crate::forge;

/// How a packet is cut.
#[derive(Debug, Clone)]
pub struct Fragments {
    /// Where, in units of eight octets, modulo what there is.
    pub cuts: Vec<u8>,
    /// Last part first.
    pub backwards: bool,
    /// A part that never comes.
    pub missing: Option<u8>,
    /// A part that comes twice.
    pub twice: Option<u8>,
    /// A part that begins eight octets too early.
    pub overlapping: Option<u8>,
    /// Added to the identification: 0 in most.
    pub other_id: Option<u8>,
    /// A part that rules would treat otherwise, if they saw parts.
    pub elsewhere: Option<(u8, Zone)>,
    /// What the IP headers of the parts tell of congestion, in turn: two bits each.
    pub ecn: Vec<u8>,
}

pub(super) fn fragments() -> impl Strategy<Value = Fragments> {
    let part = |weight| option::weighted(weight, 0u8..4);
    let elsewhere = option::weighted(0.2, (0u8..4, zone()));
    let odd = (part(0.1), part(0.1), part(0.1), part(0.05));
    let ecn = prop_oneof![3 => Just(vec![0]), 1 => vec(0u8..4, 1..3), 1 => vec(1u8..4, 1..3)];
    (vec(any::<u8>(), 1..4), any::<bool>(), odd, elsewhere, ecn).prop_map(
        |(cuts, backwards, (missing, twice, overlapping, other_id), elsewhere, ecn)| Fragments {
            cuts,
            backwards,
            missing,
            twice,
            overlapping,
            other_id,
            elsewhere,
            ecn,
        },
    )
}

impl Fragments {
    /// The parts of `packet`, under an identification.
    pub(super) fn of(&self, packet: &[u8], id: u16) -> Vec<Vec<u8>> {
        let Some(first) = packet.first() else { return vec![] };
        let v6 = first >> 4 == 6;
        let header = if v6 { 40 } else { 20 };
        let Some(payload) = packet.get(header..) else { return vec![packet.to_vec()] };
        let units = payload.len().div_ceil(8);
        if units < 2 {
            return vec![packet.to_vec()];
        }
        let mut cuts: Vec<usize> =
            self.cuts.iter().map(|c| 1 + usize::from(*c) % (units - 1)).collect();
        cuts.extend([0, units]);
        cuts.sort_unstable();
        cuts.dedup();
        let mut parts = Vec::new();
        for (number, span) in cuts.windows(2).enumerate() {
            let mut from = span[0] * 8;
            let to = (span[1] * 8).min(payload.len());
            let is = |which: Option<u8>| which.is_some_and(|w| usize::from(w) == number);
            if is(self.missing) {
                continue;
            }
            if is(self.overlapping) && from >= 8 {
                from -= 8;
            }
            let id = u32::from(id) + if is(self.other_id) { 0x100 } else { 0 };
            let more = to < payload.len();
            let mut part = forge::fragment(packet, header, &payload[from..to], (id, from, more));
            part[1] |= self.ecn[number % self.ecn.len()] << if v6 { 4 } else { 0 };
            forge::renew_length(&mut part);
            if is(self.twice) {
                parts.push(part.clone());
            }
            parts.push(part);
        }
        if self.backwards {
            parts.reverse();
        }
        parts
    }
}
