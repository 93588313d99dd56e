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
    assert_eq!(d.v4.bytes, 0);
}

#[test]
fn a_repeated_part_is_dropped_alone_and_an_overlap_ends_the_datagram() {
    let mut d = Defragmenter::default();
    add(&mut d, 0, 16, true);
    assert_eq!(add(&mut d, 8, 8, true), None);
    assert_eq!(d.v4.queues.len(), 1);
    assert_eq!(add(&mut d, 8, 16, true), None);
    assert_eq!(d.v4.queues.len(), 0);
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
        assert_eq!(d.v4.sources.len(), 1);
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
        assert_eq!(d.v4.bytes, 0, "{values:?}: nothing waits");
    }
}

/// A part of IPv6 with octets of zero.
fn part_v6(id: u32, offset: u32, octets: &[u8], more: bool) -> Packet<'_> {
    let length = octets.len() as u32 + 48;
    Packet { addresses: Addresses::v6(&[1; 32]), length, ..part(id, offset, octets, more) }
}

type Part = fn(u32, u32, &[u8], bool) -> Packet<'_>;
const FAMILIES: [Part; 2] = [part, part_v6];

fn add_within(d: &mut Defragmenter, room: usize, packet: &Packet<'_>) -> Gathered {
    d.add(packet, &Treatment::default(), NOW, Limits { room, ..LIMITS })
}

#[test]
fn what_waits_is_bounded() {
    let mut d = Defragmenter::default();
    for id in 0..100_000u32 {
        add_within(&mut d, 1 << 20, &part(id, 65_000, &[0; 8], true));
    }
    // The one part that goes beyond it is taken.
    assert_eq!(d.v4.bytes, ((1 << 20) / 1032 + 1) * 1032);
    let held: usize = d.v4.queues.values().flat_map(|q| q.runs.values()).map(Vec::len).sum();
    assert_eq!(held, d.v4.queues.len() * 8, "a hole takes nothing");
}

#[test]
fn a_datagram_is_gathered_as_long_as_the_parts_of_all_do_not_exceed_the_limit() {
    // Parts, octets of each; the lowest threshold at which 6.18 gathers them, over IPv4, over IPv6.
    let cases: [(u32, usize, [usize; 2]); 7] = [
        (2, 8, [1032, 1016]),
        (3, 8, [1864, 1848]),
        (4, 8, [2696, 2680]),
        (3, 64, [1864, 1848]),
        (2, 1400, [2504, 2488]),
        (3, 1400, [4808, 4792]),
        (2, 4000, [8648, 8632]),
    ];
    for (parts, octets, thresholds) in cases {
        for (part, threshold) in FAMILIES.into_iter().zip(thresholds) {
            for (room, whole) in [(threshold - 1, false), (threshold, true), (0, false)] {
                let mut d = Defragmenter::default();
                let mut last = Gathered::Kept;
                for at in 0..parts {
                    let octets = alloc::vec![0; octets];
                    let offset = at * octets.len() as u32;
                    let packet = part(1, offset, &octets, at + 1 < parts);
                    last = add_within(&mut d, room, &packet);
                }
                let seen = matches!(last, Gathered::Whole(_));
                assert_eq!(seen, whole, "{parts} parts of {} at {room}", octets);
            }
        }
    }
}

#[test]
fn the_kernel_counts_for_a_part_what_its_buffer_takes() {
    // Octets of its payload, and what ipfrag's memory grew by on 6.18.
    let measured = [
        (8, 832),
        (200, 832),
        (208, 1280),
        (648, 1280),
        (656, 2304),
        (1672, 2304),
        (1680, 4352),
        (3720, 4352),
        (3728, 8448),
        (4040, 8448),
        (4048, 4928),
        (4072, 4928),
        (4080, 9024),
    ];
    for (payload, bytes) in measured {
        assert_eq!(truesize(payload + 20), bytes, "{payload}");
    }
}

#[test]
fn each_family_has_its_own_limit() {
    for (filling, other) in [(FAMILIES[0], FAMILIES[1]), (FAMILIES[1], FAMILIES[0])] {
        let mut d = Defragmenter::default();
        for id in 0..100 {
            add_within(&mut d, 10_000, &filling(id, 0, &[0; 8], true));
        }
        assert_eq!(add_within(&mut d, 10_000, &other(1, 0, &[0; 8], true)), Gathered::Kept);
        let last = add_within(&mut d, 10_000, &other(1, 8, &[0; 8], false));
        assert!(matches!(last, Gathered::Whole(_)));
    }
}

#[test]
fn what_has_waited_too_long_makes_room() {
    let mut d = Defragmenter::default();
    let mut add = |id, offset, more, now| {
        let limits = Limits { room: 1000, ..LIMITS };
        let packet = part(id, offset, &[0; 8], more);
        matches!(d.add(&packet, &Treatment::default(), now, limits), Gathered::Whole(_))
    };
    assert!(!add(1, 0, true, NOW));
    assert!(!add(2, 0, true, NOW + 29) && !add(2, 8, false, NOW + 29), "no room");
    assert!(!add(3, 0, true, NOW + 30));
    assert!(!add(3, 8, false, NOW + 30), "no room again");
    assert!(!add(4, 8, false, NOW + 60) && !add(4, 0, true, NOW + 60));
    assert_eq!((d.v4.queues.len(), d.v4.deadlines.len(), d.v4.bytes), (1, 1, 1032));
}

#[test]
fn last_parts_first_take_no_more_than_first_parts_first() {
    for last_first in [false, true] {
        let mut d = Defragmenter::default();
        let mut whole = 0;
        for step in 0..44 {
            let at = if last_first { 43 - step } else { step };
            for id in 0..41 {
                let packet = part(id, at * 1480, &[0; 1480], at < 43);
                let gathered = add_within(&mut d, 4 << 20, &packet);
                whole += u32::from(matches!(gathered, Gathered::Whole(_)));
            }
        }
        assert_eq!((whole, d.v4.bytes), (41, 0), "last first: {last_first}");
    }
}

#[test]
fn parts_that_no_header_can_say_are_refused() {
    const MOST: u32 = u32::MAX;
    let mut d = Defragmenter::default();
    for family in FAMILIES {
        let fine = family(1, 8, &[0; 8], false);
        let fragment = fine.fragment.unwrap();
        let refused = [
            Packet { fragment: Some(Fragment { offset: MOST, ..fragment }), ..fine },
            Packet { fragment: Some(Fragment { offset: MOST & !7, ..fragment }), ..fine },
            Packet { fragment: Some(Fragment { offset: 9, ..fragment }), ..fine },
            Packet { fragment: Some(Fragment { ecn: 9, ..fragment }), ..fine },
            Packet { payload_length: MOST, ..fine },
        ];
        for packet in &refused {
            assert_eq!(add_within(&mut d, 4 << 20, packet), Gathered::Kept);
        }
        assert_eq!((d.v4.bytes, d.v6.bytes), (0, 0));
        // The length is only what the headers' are taken from.
        for length in [0, MOST] {
            let packets = [
                Packet { length, ..family(2, 0, &[0; 8], true) },
                Packet { length, ..family(2, 8, &[0; 8], false) },
            ];
            let [first, last] = packets.map(|packet| add_within(&mut d, 4 << 20, &packet));
            assert_eq!((first, matches!(last, Gathered::Whole(_))), (Gathered::Kept, length == 0));
        }
    }
}
