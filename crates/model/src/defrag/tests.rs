//! Parts, and what becomes of them.
#![allow(clippy::unwrap_used)]
use plimsoll_wire::packet::Addresses;

use super::*;

const NOW: u64 = 1000;
const LIMITS: Limits = Limits { timeouts: (30, 60), room: 1 << 20, mixed_ecn_ends: true };

fn add(d: &mut Defragmenter, offset: u32, length: usize, more: bool) -> Option<Datagram> {
    add_of(d, 1, offset, length, more)
}

fn part(id: u32, offset: u32, octets: &[u8], more: bool) -> Packet<'_> {
    Packet {
        addresses: Addresses::v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()),
        protocol: 17,
        hop_limit: 64,
        fragment: Some(Fragment { id, offset, more, protocol: 17, ecn: 0 }),
        payload: octets,
        payload_length: octets.len() as u32,
        length: octets.len() as u32 + 20,
    }
}

fn add_of(
    d: &mut Defragmenter,
    id: u32,
    offset: u32,
    length: usize,
    more: bool,
) -> Option<Datagram> {
    let octets = alloc::vec![7; length];
    let packet = part(id, offset, &octets, more);
    match d.add(&packet, &Treatment::default(), NOW, LIMITS) {
        Gathered::Whole(datagram) => Some(datagram),
        Gathered::Kept => None,
        Gathered::Alone => unreachable!("IPv4 passes no part alone"),
    }
}

#[test]
fn a_datagram_is_whole_with_its_last_part_in_any_order() {
    let mut d = Defragmenter::default();
    assert_eq!(add(&mut d, 16, 5, false), None);
    assert_eq!(add(&mut d, 8, 8, true), None);
    let whole = add(&mut d, 0, 8, true).unwrap();
    assert_eq!(whole.octets.len(), 21);
    assert_eq!(d.bytes, 0);
}

#[test]
fn a_repeated_part_is_dropped_alone_and_an_overlap_ends_the_datagram() {
    let mut d = Defragmenter::default();
    add(&mut d, 0, 16, true);
    assert_eq!(add(&mut d, 8, 8, true), None);
    assert_eq!(d.queues.len(), 1);
    assert_eq!(add(&mut d, 8, 16, true), None);
    assert_eq!(d.queues.len(), 0);
    assert_eq!(add(&mut d, 16, 8, false), None);
}

/// As a running 6.18 does (each of these, both families).
#[test]
fn a_part_within_two_neighbours_is_dropped_alone_only_where_the_later_came_last() {
    for (before, whole) in [([0, 8], true), ([8, 0], false)] {
        let mut d = Defragmenter::default();
        for offset in before {
            assert_eq!(add(&mut d, offset, 8, true), None);
        }
        assert_eq!(add(&mut d, 0, 16, true), None);
        assert_eq!(add(&mut d, 16, 8, false).is_some(), whole, "{before:?}");
    }
}

/// As a running 6.18 does.
#[test]
fn a_part_beyond_the_longest_datagram_is_dropped_alone_over_ipv6_and_waits_over_ipv4() {
    let [v4, v6] =
        [Addresses::v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()), Addresses::v6(&[1; 32])];
    for (addresses, length, waits) in [(v4, 8, true), (v6, 8, false), (v6, 9, false)] {
        let mut d = Defragmenter::default();
        let mut add = |offset, length, more| {
            let octets = alloc::vec![7; length];
            let packet = Packet { addresses, ..part(1, offset, &octets, more) };
            matches!(d.add(&packet, &Treatment::default(), NOW, LIMITS), Gathered::Whole(_))
        };
        assert!(!add(65_528, length, true));
        assert!(!add(0, 8, true));
        // Over IPv4 it contradicts the end that the long one named.
        assert_eq!(add(8, 8, false), !waits);
    }
}

#[test]
fn the_head_is_that_of_the_first_part_that_was_taken() {
    let mut d = Defragmenter::default();
    for head in [[1], [2]] {
        // The second of them is there already.
        assert_eq!(add(&mut d, 0, 8, true), None);
        d.remember(&part(1, 0, &[7; 8], true), head.to_vec());
    }
    assert_eq!(add(&mut d, 8, 8, false).unwrap().head, [1]);
}

#[test]
fn a_part_that_comes_too_late_begins_its_datagram_anew() {
    for (others, whole) in [(63, true), (64, false)] {
        let mut d = Defragmenter::default();
        assert_eq!(add(&mut d, 0, 8, true), None);
        for id in 0..others {
            assert_eq!(add_of(&mut d, 100 + id, 8, 8, false), None);
        }
        assert_eq!(add(&mut d, 8, 8, false).is_some(), whole, "{others} others in between");
        // Of what begins anew the last part is there.
        assert_eq!(add(&mut d, 0, 8, true).is_some(), !whole);
        assert_eq!(d.sources.len(), 1);
    }
}

#[test]
fn a_part_that_contradicts_the_end_ends_its_datagram_over_ipv4_and_not_over_ipv6() {
    let source = [(10, 4, false), (11, 6, true)];
    for (id, version, goes_on) in source {
        let mut d = Defragmenter::default();
        let mut add = |offset, length: usize, more| {
            let octets = alloc::vec![7; length];
            let addresses = match version {
                4 => Addresses::v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()),
                _ => Addresses::v6(&[1; 32]),
            };
            let packet = Packet {
                addresses,
                protocol: 17,
                hop_limit: 64,
                fragment: Some(Fragment { id, offset, more, protocol: 17, ecn: 0 }),
                payload: &octets,
                payload_length: length as u32,
                length: length as u32 + 48,
            };
            d.add(&packet, &Treatment::default(), NOW, LIMITS)
        };
        assert_eq!(add(8, 8, false), Gathered::Kept);
        assert_eq!(add(8, 16, false), Gathered::Kept, "another end");
        let whole = matches!(add(0, 8, true), Gathered::Whole(_));
        assert_eq!(whole, goes_on, "IPv{version}");
    }
}

#[test]
fn parts_that_know_congestion_and_parts_that_do_not_make_no_datagram() {
    // Values of the parts; whether they make one, and whether it is congested where its first part is not.
    let cases: [(&[u8], bool, bool); 7] = [
        (&[0, 0], true, false),
        (&[0, 2], false, false),
        (&[3, 0], false, false),
        (&[2, 1], true, false),
        (&[2, 3], true, true),
        (&[1, 2, 3], true, true),
        (&[3, 3], true, false),
    ];
    for (values, whole, congested) in cases {
        let mut last = Gathered::Kept;
        let mut d = Defragmenter::default();
        for (offset, &ecn) in (0..).step_by(8).zip(values) {
            let more = offset as usize / 8 + 1 < values.len();
            let packet = Packet {
                addresses: Addresses::v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()),
                protocol: 17,
                hop_limit: 64,
                fragment: Some(Fragment { id: 1, offset, more, protocol: 17, ecn }),
                payload: &[7; 8],
                payload_length: 8,
                length: 28,
            };
            last = d.add(&packet, &Treatment::default(), NOW, LIMITS);
        }
        let seen = match last {
            Gathered::Whole(datagram) => (true, datagram.congested),
            Gathered::Kept | Gathered::Alone => (false, false),
        };
        assert_eq!(seen, (whole, congested), "{values:?}");
        assert_eq!(d.bytes, 0, "{values:?}: nothing waits");
    }
}

#[test]
fn what_waits_is_bounded() {
    let mut d = Defragmenter::default();
    for id in 0..100_000u32 {
        let packet = Packet {
            addresses: Addresses::v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()),
            protocol: 17,
            hop_limit: 64,
            fragment: Some(Fragment { id, offset: 65_000, more: true, protocol: 17, ecn: 0 }),
            payload: &[0; 8],
            payload_length: 8,
            length: 28,
        };
        d.add(&packet, &Treatment::default(), NOW, LIMITS);
    }
    assert!(d.bytes < (1 << 20) + 66_000, "{}", d.bytes);
}
