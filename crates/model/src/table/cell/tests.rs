//! What the first segments leave in a cell at once, beside what the tracker makes of them.

use alloc::vec::Vec;
use core::cell::Cell;

use plimsoll_ct::{Bytes, PROFILES};
use plimsoll_wire::packet::parse_transport;
use proptest::prelude::*;

use super::*;
use crate::Settings;
use crate::tcp::{EntryView, First, Outcome, Segment, TcpSettings, answer};
use crate::trackers::segment;

/// A TCP header, and how long what stands behind it was.
#[derive(Debug, Clone)]
struct Header {
    bytes: Vec<u8>,
    payload: u32,
}

impl Header {
    fn promised(&self) -> u32 {
        self.bytes.len() as u32 + self.payload
    }

    fn segment(&self) -> Segment {
        let transport = parse_transport(6, &self.bytes, self.promised()).expect("a whole header");
        segment(&transport).expect("a segment")
    }
}

/// Numbers about those at which something changes.
fn numbers() -> impl Strategy<Value = u32> {
    let near = |bound: u32| bound.wrapping_sub(2)..=bound.wrapping_add(2);
    prop_oneof![
        any::<u32>(),
        (-2_i32..=2).prop_map(i32::cast_unsigned),
        near(0_u32.wrapping_sub(ACK_WINDOW)),
        near(1 << 31),
        (0..=70_000_u32).prop_map(|n| 0_u32.wrapping_sub(n)),
    ]
}

/// With flags of some, numbers, and options that are there or not.
fn headers(flags: &'static [u8]) -> impl Strategy<Value = Header> {
    let payload = prop_oneof![4 => Just(0), 1 => 0..=70_000_u32];
    let window = prop_oneof![Just(0), Just(u16::MAX), any::<u16>()];
    let options =
        (proptest::option::of(0..=20_u8), any::<bool>(), any::<bool>(), 0..4_u8, numbers());
    let flags = (0..flags.len()).prop_map(|n| flags[n]);
    (numbers(), numbers(), window, flags, payload, options).prop_map(
        |(seq, ack, window, flags, payload, (scale, permitted, stamped, edge, right))| {
            let mut bytes = Vec::from([0x10, 0, 0, 80]);
            bytes.extend(seq.to_be_bytes());
            bytes.extend(ack.to_be_bytes());
            bytes.extend([0, flags]);
            bytes.extend(window.to_be_bytes());
            bytes.extend([0; 4]);
            if stamped {
                bytes.extend([1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0]);
            } else {
                scale.into_iter().for_each(|scale| bytes.extend([3, 3, scale]));
                bytes.extend(if permitted { &[4, 2][..] } else { &[] });
                if edge == 0 {
                    bytes.extend([5, 10, 0, 0, 0, 0]);
                    bytes.extend(right.to_be_bytes());
                }
                bytes.resize(bytes.len().next_multiple_of(4), 1);
            }
            bytes[12] = (bytes.len() as u8 / 4) << 4;
            Header { bytes, payload }
        },
    )
}

fn settings(profile: usize, loose: bool) -> TcpSettings {
    TcpSettings { loose, ..Settings::of(&PROFILES[profile], Bytes(1 << 30)).tcp }
}

/// What the tracker makes of a segment; `None`: it would not simply live on.
fn judged(
    mut tcp: Tcp,
    direction: Direction,
    segment: &Segment,
    settings: &TcpSettings,
) -> Option<Memory> {
    let view = EntryView { assured: false, replied: false };
    let outcome = tcp.judge_but_timeout(direction, segment, view, settings);
    matches!(outcome, Outcome::Refresh { assure: false, .. }).then_some(Memory::Tcp(tcp))
}

/// Of any flow.
fn key() -> Packed {
    Packed::of_ports(0x0a00_0001_0a00_0002, [0x10, 1, 0, 80], Packed::rest_of(0, 6))
}

fn runner() -> proptest::test_runner::TestRunner {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(8000) };
    proptest::test_runner::TestRunner::new(config)
}

#[test]
fn the_first_segments_leave_in_a_cell_what_the_tracker_leaves() {
    const FIRST: &[u8] = &[2, 2, 16, 24, 18, 17, 4, 34];
    const SECOND: &[u8] = &[18, 18, 18, 16, 2, 50, 20];
    let agrees = any::<bool>();
    let all = (headers(FIRST), headers(SECOND), agrees, 0..PROFILES.len(), any::<bool>());
    let seen = Cell::new([0; 3]);
    let count = |what: usize| {
        let mut number = seen.get();
        number[what] += 1;
        seen.set(number);
    };
    let result = runner().run(&all, |(first, mut second, agrees, profile, loose)| {
        let settings = settings(profile, loose);
        let Some(known) = First::of(&first.bytes, first.promised(), &settings) else {
            return Ok(());
        };
        count(usize::from(matches!(known, First::Met(_))));
        let (segment, created) = (first.segment(), Jiffies(7));
        let mut cell = Long::first(key(), Status::CONFIRMED, Jiffies(9), &known);
        prop_assert!(cell.head.expires == Jiffies(9) && cell.head.key() == key());
        let open = Tcp::open(&segment, &settings).expect("an entry");
        let long = judged(open, Direction::Original, &segment, &settings);
        let memory = cell.memory(&Beside::of(created));
        prop_assert_eq!(Some(memory), long);
        prop_assert_eq!(memory.state(), State::Tcp(known.state()));
        if agrees {
            second.bytes[8..12].copy_from_slice(&segment.end().0.to_be_bytes());
        }
        let Some(answer) = answer(&second.bytes, second.promised()) else { return Ok(()) };
        let Memory::Tcp(before) = memory else { unreachable!("a cell of TCP") };
        if cell.answer(&answer) {
            count(2);
            let long = judged(before, Direction::Reply, &second.segment(), &settings);
            prop_assert_eq!(Some(cell.memory(&Beside::of(created))), long);
            prop_assert_eq!(cell.head.status(), Status::CONFIRMED | Status::SEEN_REPLY);
        } else {
            prop_assert_eq!(cell.memory(&Beside::of(created)), memory);
        }
        Ok(())
    });
    result.expect("both ways are one");
    let seen = seen.get();
    assert!(seen.iter().all(|number| *number > 200), "{seen:?}");
}
