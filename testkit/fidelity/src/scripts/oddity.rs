//! What is special about a packet: its treatment by the rules, or the form in which it comes.

use plimsoll_ct::{Zone, ZoneDirection};
use plimsoll_model::{Fate, Treatment};
use proptest::collection::vec;
use proptest::prelude::*;

use super::rare::{Header, between};
use super::{Fragments, Sent, fragments};
use crate::forge;

/// What is special about a packet.
#[derive(Debug, Clone)]
pub enum Oddity {
    /// A rule behind conntrack drops it.
    Dropped,
    /// A rule before conntrack exempts it.
    Untracked,
    /// A rule puts it into another zone.
    Zone(Zone),
    /// It comes in parts.
    Fragments(Fragments),
    /// IPv6: extension headers stand before its payload.
    Extensions(Vec<u8>),
    /// IPv6: any headers stand there.
    Between(Vec<(u8, Vec<u8>)>),
    /// A rule gives its entry that policy, whoever made the entry.
    Policy(u8),
    /// One octet of the payload is changed, so that checksums are wrong.
    Spoilt(u8),
    /// The packet ends early, and its IP header says so.
    Short(u8),
    /// It comes twice.
    Twice,
    /// Its IP header is odd.
    Header(Header),
}

/// The authentication header.
pub(super) const AUTHENTICATION: u8 = 51;

/// A zone that is not the default one.
pub(super) fn zone() -> impl Strategy<Value = Zone> {
    let direction = prop_oneof![
        3 => Just(ZoneDirection::Both),
        2 => Just(ZoneDirection::Original),
        1 => Just(ZoneDirection::Reply)
    ];
    (1u16..4, direction).prop_map(|(id, direction)| Zone { id, direction })
}

pub(super) fn oddity() -> impl Strategy<Value = (u8, Oddity)> {
    let extension = prop_oneof![3 => Just(0u8), 3 => Just(60), 2 => Just(43), 1 => Just(AUTHENTICATION), 1 => Just(135)];
    let what = prop_oneof![
        2 => Just(Oddity::Dropped),
        2 => Just(Oddity::Untracked),
        1 => prop_oneof![1 => Just(Zone::default()), 3 => zone()].prop_map(Oddity::Zone),
        3 => fragments::fragments().prop_map(Oddity::Fragments),
        2 => vec(extension, 1..4).prop_map(Oddity::Extensions),
        1 => any::<u8>().prop_map(Oddity::Spoilt),
        1 => any::<u8>().prop_map(Oddity::Short),
        1 => (0u8..2).prop_map(Oddity::Policy),
        1 => Just(Oddity::Twice),
    ];
    (0u8..8, what)
}

const fn is_extension(kind: u8) -> bool {
    matches!(kind, 0 | 43 | 44 | AUTHENTICATION | 60 | 135)
}

impl Oddity {
    /// What becomes of packets; `id` is theirs if they are cut.
    pub(super) fn apply(&self, packets: Vec<Sent>, id: u16) -> Vec<Sent> {
        packets.into_iter().flat_map(|sent| self.one(sent, id)).collect()
    }

    fn one(&self, (mut packet, treatment): Sent, id: u16) -> Vec<Sent> {
        let v6 = packet.first().is_some_and(|b| b >> 4 == 6);
        let header = if v6 { 40 } else { 20 };
        // A rule tells packets apart by the link address of who sent them: loopback has none.
        let ruled = !treatment.local;
        match self {
            Self::Dropped if ruled => {
                vec![(packet, Treatment { fate: Fate::Dropped, ..treatment })]
            }
            Self::Untracked if ruled => vec![(packet, Treatment { untracked: true, ..treatment })],
            Self::Zone(zone) if ruled => vec![(packet, Treatment { zone: *zone, ..treatment })],
            Self::Dropped | Self::Untracked | Self::Zone(_) => vec![(packet, treatment)],
            Self::Fragments(cuts) => {
                let mut parts: Vec<_> =
                    cuts.of(&packet, id).into_iter().map(|part| (part, treatment)).collect();
                if let Some((place, zone)) = cuts.elsewhere
                    && ruled
                    && let Some((_, treatment)) = parts.get_mut(usize::from(place))
                {
                    treatment.zone = zone;
                }
                parts
            }
            Self::Extensions(kinds) if v6 => {
                let packet = forge::with_extensions(&packet, kinds);
                if kinds.contains(&AUTHENTICATION) {
                    // nft's rules do not look behind that header for the protocol.
                    return vec![(packet, Treatment { policy: None, helper: None, ..treatment })];
                }
                vec![(packet, treatment)]
            }
            Self::Between(headers) if v6 => vec![(between(&packet, headers), treatment)],
            // nft's rules ask for the protocol, and find it right behind the header of IPv6.
            Self::Policy(policy) if ruled && !(v6 && is_extension(packet[6])) => {
                vec![(packet, Treatment { policy: Some(*policy), ..treatment })]
            }
            Self::Extensions(_) | Self::Between(_) | Self::Policy(_) => vec![(packet, treatment)],
            Self::Spoilt(at) => {
                if packet.len() > header {
                    let at = header + usize::from(*at) % (packet.len() - header);
                    packet[at] ^= 0x10;
                }
                vec![(packet, treatment)]
            }
            Self::Short(left) => {
                // Who sends to himself sees options end early, and drops them where they arrive.
                let lost = v6 && !ruled && packet[6] == 0;
                if packet.len() > header && !lost {
                    let left = usize::from(*left) % (packet.len() - header);
                    packet.truncate(header + left);
                    forge::renew_length(&mut packet);
                }
                vec![(packet, treatment)]
            }
            Self::Header(odd) => {
                if ruled {
                    odd.apply(&mut packet);
                }
                vec![(packet, treatment)]
            }
            Self::Twice => vec![(packet.clone(), treatment), (packet, treatment)],
        }
    }
}
