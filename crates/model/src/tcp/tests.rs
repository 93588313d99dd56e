//! What is made of first segments at once, beside what the tracker makes of them.

use plimsoll_ct::{Bytes, PROFILES};
use proptest::prelude::*;

use super::*;
use crate::Settings;

/// Numbers about those at which something changes.
fn numbers() -> impl Strategy<Value = Sequence> {
    let near = |bound: u32| (bound.wrapping_sub(2)..=bound.wrapping_add(2)).prop_map(Sequence);
    prop_oneof![
        any::<u32>().prop_map(Sequence),
        (-2_i32..=2).prop_map(|n| Sequence(n.cast_unsigned())),
        near(0_u32.wrapping_sub(ACK_WINDOW)),
        near(1 << 31),
        (0..=70_000_u32).prop_map(|n| Sequence(0_u32.wrapping_sub(n))),
    ]
}

fn segments() -> impl Strategy<Value = Segment> {
    const FLAGS: [u8; 7] = [2, 16, 16, 24, 18, 17, 4];
    let flags = (0..FLAGS.len()).prop_map(|n| Flags(FLAGS[n]));
    let payload = prop_oneof![Just(0), 0..=70_000_u32];
    let window = prop_oneof![Just(0), Just(u16::MAX), any::<u16>()];
    let options = (any::<bool>(), proptest::option::of(0..=14_u8), any::<bool>());
    let edge = proptest::option::of(numbers());
    (numbers(), numbers(), window, flags, payload, options, edge).prop_map(
        |(seq, ack, window, flags, payload, (has_options, scale, permitted), edge)| Segment {
            seq,
            ack,
            window,
            flags,
            payload,
            has_options,
            window_scale: scale.filter(|_| has_options),
            sack_permitted: permitted && has_options,
            sack_edge: edge.filter(|_| has_options),
        },
    )
}

#[test]
fn a_first_segment_that_is_known_at_once_leaves_what_the_tracker_leaves() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let all = (segments(), 0..PROFILES.len(), any::<bool>());
    let known = core::cell::Cell::new([0; 2]);
    let result = runner.run(&all, |(segment, profile, loose)| {
        let mut settings = Settings::of(&PROFILES[profile], Bytes(1 << 30)).tcp;
        settings.loose = loose;
        let view = EntryView { assured: false, replied: false };
        let ways = [Tcp::opened(&segment), Tcp::picked_up(&segment, &settings)];
        for (way, short) in ways.into_iter().enumerate() {
            let Some(short) = short else { continue };
            let mut long = Tcp::open(&segment, &settings).expect("an entry");
            let outcome = long.judge_but_timeout(Direction::Original, &segment, view, &settings);
            prop_assert!(matches!(outcome, Outcome::Refresh { assure: false, .. }), "{outcome:?}");
            prop_assert_eq!(short, long);
            let mut number = known.get();
            number[way] += 1;
            known.set(number);
        }
        Ok(())
    });
    result.expect("both ways are one");
    let known = known.get();
    assert!(known.iter().all(|number| *number > 100), "{known:?}");
}
