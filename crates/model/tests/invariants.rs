//! What holds whatever is sent.

use plimsoll_ct::{Bytes, PROFILES, Profile, Time};
use plimsoll_model::{Arrival, Config, Model, Settings, Step, Treatment};
use plimsoll_wire::packet::parse_ip;
use proptest::prelude::*;

/// Few hosts, few ports, all protocols: flows meet often.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let protocol = prop_oneof![
        5 => Just(6u8), 3 => Just(17), 2 => Just(1), 1 => Just(132), 1 => Just(47), 1 => 30u8..140
    ];
    let payload = proptest::collection::vec(any::<u8>(), 0..48);
    (0u8..4, 0u8..4, 0u8..4, 0u8..4, protocol, any::<u8>(), payload).prop_map(
        |(from, to, first, second, protocol, flags, mut payload)| {
            for (place, value) in payload.iter_mut().zip([0, first, 0, second]) {
                *place = value;
            }
            if protocol == 6 && payload.len() >= 20 {
                payload[12] = 0x50;
                payload[13] = flags & 0x17;
            }
            if protocol == 1 && payload.len() > 1 {
                (payload[0], payload[1]) = (flags & 15, 0);
            }
            let mut packet =
                vec![0x45, 0, 0, (20 + payload.len()) as u8, 0, 0, 0, 0, 64, protocol, 0, 0];
            packet.extend([10, 0, 0, from, 10, 0, 0, to]);
            packet.extend(payload);
            packet
        },
    )
}

fn run(profile: &'static Profile, packets: &[(u32, Vec<u8>)]) -> (Vec<Step>, Model) {
    let mut settings = Settings::of(profile, Bytes(1 << 30));
    (settings.max, settings.buckets) = (20, 8);
    let mut model = Model::new(Config::new(profile, settings));
    let mut now = 0;
    let mut steps = Vec::new();
    for (pause, bytes) in packets {
        now += i64::from(*pause) * 1_000_000;
        let Ok(packet) = parse_ip(bytes) else { continue };
        steps.push(model.packet(Time(now), &packet, &Treatment::default()));
        assert!(model.counted() <= 20, "more entries than max");
        let now = model.occupancy();
        assert!(now.live <= now.counted);
        assert_eq!(now.evictable + now.closing + now.protected, now.live);
        assert!(model.protected() >= now.protected);
    }
    (steps, model)
}

/// Many flows in few chains, so that packets of one batch move entries to lines behind the first.
#[test]
fn packets_that_come_at_once_find_what_they_would_find_one_by_one() {
    let profile = Profile::named("5.14").expect("a known profile");
    let mut settings = Settings::of(profile, Bytes(1 << 30));
    (settings.max, settings.buckets) = (1000, 64);
    let config = Config::new(profile, settings);
    let mut chance = 1_u64;
    let mut bytes = Vec::new();
    for _ in 0..20_000 {
        chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let [.., low, high] = ((chance >> 33) % 400).to_be_bytes();
        let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        packet.extend([high, low, 0, 53, 0, 8, 0, 0]);
        bytes.push(packet);
    }
    let mut arrivals = Vec::new();
    for (bytes, n) in bytes.iter().zip(0..) {
        // All that there is expires after so many packets, but stands where it is.
        let (at, packet) = (Time::from_secs(n / 160 * 31), parse_ip(bytes).expect("a packet"));
        arrivals.push(Arrival { at, packet, treatment: Treatment::default() });
    }
    let (mut together, mut alone) = (Model::new(config.clone()), Model::new(config));
    let mut expected = arrivals.iter().map(|a| alone.packet(a.at, &a.packet, &a.treatment));
    together.batch(&arrivals, |_, arrival, step| {
        assert_eq!(Some(step), expected.next(), "at {:?}", arrival.at);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn entries_stay_below_max_and_a_replay_gives_the_same_trace(
        which in 0..PROFILES.len(),
        packets in proptest::collection::vec((prop_oneof![9 => 0u32..100, 1 => 0u32..200_000], packet()), 0..120),
    ) {
        let (steps, model) = run(&PROFILES[which], &packets);
        let (again, other) = run(&PROFILES[which], &packets);
        prop_assert_eq!(steps, again);
        prop_assert_eq!(model.snapshot(), other.snapshot());
        prop_assert_eq!(model.counters(), other.counters());
    }

    #[test]
    fn no_two_entries_answer_to_one_tuple(
        packets in proptest::collection::vec((0u32..100, packet()), 0..120),
    ) {
        let (_, model) = run(&PROFILES[PROFILES.len() - 1], &packets);
        let mut tuples = Vec::new();
        for entry in model.entries() {
            tuples.push(entry.original);
            if entry.reply != entry.original {
                tuples.push(entry.reply);
            }
        }
        let all = tuples.len();
        tuples.sort();
        tuples.dedup();
        prop_assert_eq!(tuples.len(), all);
    }

    #[test]
    fn a_table_begun_with_a_snapshot_shows_the_same_entries(
        packets in proptest::collection::vec((0u32..100, packet()), 0..60),
    ) {
        let profile = &PROFILES[PROFILES.len() - 1];
        let (_, model) = run(profile, &packets);
        // What has less than a second left is shown as 0, and taken for expired.
        let mut entries = model.snapshot();
        entries.retain(|entry| entry.expires.is_some_and(|left| left.get() > 0));
        let mut settings = Settings::of(profile, Bytes(1 << 30));
        settings.buckets = 8;
        let mut restored = Model::new(Config::new(profile, settings));
        restored.restore(Time(0), entries.clone());
        let shown = |e: &plimsoll_ct::Entry| (e.original, e.reply, e.state, e.status, e.expires);
        let (a, b): (Vec<_>, Vec<_>) =
            (entries.iter().map(shown).collect(), restored.snapshot().iter().map(shown).collect());
        prop_assert_eq!(a, b);
    }
}
