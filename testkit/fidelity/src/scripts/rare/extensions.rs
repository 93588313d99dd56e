//! Extension headers of IPv6 as nobody sends them: routing headers with segments left, fragment headers in front of and behind others,
//! mobility, authentication, what is not known.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::forge;
use crate::scripts::{Flow, Oddity, Way, flow};

/// A header: its number, and what stands behind the number of the next one.
pub type Header = (u8, Vec<u8>);

/// A packet of IPv6 with these headers in front of its payload.
pub(in crate::scripts) fn between(packet: &[u8], headers: &[Header]) -> Vec<u8> {
    let mut out = packet[..40].to_vec();
    let mut next = 6;
    for (kind, octets) in headers {
        let before = std::mem::replace(&mut out[next], *kind);
        next = out.len();
        out.push(before);
        out.extend(octets);
    }
    out.extend(&packet[40..]);
    forge::renew_length(&mut out);
    out
}

fn header() -> impl Strategy<Value = Header> {
    let padding = || Just(vec![0u8, 1, 4, 0, 0, 0, 0]);
    let routing =
        (prop_oneof![Just(0u8), Just(2), Just(3), Just(4), any::<u8>()], 0u8..4, any::<bool>())
            .prop_map(|(kind, left, long)| {
                let mut octets = vec![if long { 2 } else { 0 }, kind, left, 0, 0, 0, 0];
                octets.extend_from_slice(if long {
                    &[0x20, 1, 0x0d, 0xb8, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 1]
                } else {
                    &[]
                });
                (43, octets)
            });
    // Mostly a datagram in one part.
    let place = prop_oneof![8 => Just(0u16), 1 => Just(1), 1 => 0u16..64];
    let fragment = (place, any::<u8>()).prop_map(|(place, id)| {
        let [a, b] = place.to_be_bytes();
        (44, vec![0, a, b, 9, 9, 9, id])
    });
    let authentication =
        Just((51, vec![4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    let other =
        (prop_oneof![Just(135u8), Just(139), Just(140), Just(253), Just(59), Just(50)], padding());
    prop_oneof![
        3 => routing,
        3 => padding().prop_map(|octets| (60, octets)),
        3 => fragment,
        1 => authentication,
        1 => other,
        // What says that it is longer than the packet, or short.
        1 => (prop_oneof![Just(60u8), Just(43)], any::<u8>()).prop_map(|(kind, length)| (kind, vec![length, 1, 4, 0, 0, 0, 0])),
    ]
}

pub(super) fn flows() -> BoxedStrategy<Flow> {
    (flow(), vec((0u8..8, vec(header(), 1..4), any::<bool>()), 1..5))
        .prop_map(|(mut flow, headers)| {
            flow.way = Way::V6;
            // nft's rules ask for the protocol, and do not look behind all of these.
            flow.policy = None;
            flow.steps.retain(|step| !step.is_helped());
            flow.odd.retain(|(_, odd)| !matches!(odd, Oddity::Policy(_)));
            for (at, headers, first) in headers {
                let odd = (at, Oddity::Between(headers));
                let place = if first { 0 } else { flow.odd.len() };
                flow.odd.insert(place, odd);
            }
            flow
        })
        .boxed()
}
