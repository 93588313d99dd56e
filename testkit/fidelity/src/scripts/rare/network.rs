//! What a network does to packets: loses, repeats, delays.

use proptest::collection::vec;
use proptest::prelude::*;

/// What happens to a packet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mishap {
    Lost,
    Twice,
    /// Behind so many others.
    Late(u8),
    /// And once more so many later.
    Again(u8),
}

pub(super) fn mishaps() -> impl Strategy<Value = Vec<(u8, Mishap)>> {
    let mishap = prop_oneof![
        2 => Just(Mishap::Lost),
        1 => Just(Mishap::Twice),
        3 => (1u8..5).prop_map(Mishap::Late),
        2 => (1u8..8).prop_map(Mishap::Again),
    ];
    vec((any::<u8>(), mishap), 0..4)
}

/// What arrives.
pub(super) fn carry<T: Clone>(mut packets: Vec<T>, mishaps: &[(u8, Mishap)]) -> Vec<T> {
    for (place, mishap) in mishaps {
        if packets.is_empty() {
            break;
        }
        let at = usize::from(*place) % packets.len();
        let later = |by: &u8| (at + usize::from(*by)).min(packets.len() - 1);
        match mishap {
            Mishap::Lost => drop(packets.remove(at)),
            Mishap::Twice => packets.insert(at, packets[at].clone()),
            Mishap::Late(by) => {
                let to = later(by);
                let packet = packets.remove(at);
                packets.insert(to, packet);
            }
            Mishap::Again(by) => packets.insert(later(by) + 1, packets[at].clone()),
        }
    }
    packets
}
