//! What holds whatever is sent.

use plimsoll_ct::{Bytes, Class, PROFILES, Profile, Time};
use plimsoll_model::{Arrival, Config, Fate, Model, Settings, Step, Treatment, Verdict, What};
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
    assert_census(&model);
    (steps, model)
}

/// A census comes to what the entries are, one by one.
fn assert_census(model: &Model) {
    let census = model.occupancy();
    let of = |class| model.entries().filter(|entry| entry.class() == class).count() as u64;
    let classes = [Class::Evictable, Class::Closing, Class::Protected].map(of);
    assert_eq!([census.evictable, census.closing, census.protected], classes);
}

/// Segments of few flows whose numbers lie close together: handshakes, data, closes, resets, out of order and
/// repeated, with options. And datagrams of some more.
fn segment() -> impl Strategy<Value = Vec<u8>> {
    let flags = prop_oneof![
        6 => Just(0x10u8), 3 => Just(2), 3 => Just(0x12), 2 => Just(0x11), 1 => Just(4),
        1 => Just(0x14), 2 => Just(0x18), 1 => any::<u8>()
    ];
    let options: [&[u8]; 5] = [
        &[],
        &[2, 4, 5, 180, 4, 2, 1, 3, 3, 7, 1, 1],
        &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
        &[1, 1, 5, 10, 0, 0, 0, 2, 0, 0, 0, 3],
        &[3, 3, 14, 0],
    ];
    let window = prop_oneof![Just(0u16), Just(1), Just(200), Just(60_000)];
    (0u8..5, any::<bool>(), flags, 0u32..6, 0u32..6, window, 0usize..5, 0usize..4).prop_map(
        move |(flow, reply, flags, seq, ack, window, which, payload)| {
            let v6 = flow == 2;
            let (client, server) = ([0, 40 + flow], [0, 80]);
            let (from, to) = if reply { (2, 1) } else { (1, 2) };
            let mut tcp = if reply { [server, client].concat() } else { [client, server].concat() };
            if flow > 2 {
                tcp.extend([0, 8 + payload as u8, 0, 0]);
                tcp.extend(&[7; 4][..payload]);
                let length = tcp.len() as u8;
                let mut packet = vec![0x45, 0, 0, 20 + length, 0, 0, 0, 0, 64, 17, 0, 0];
                packet.extend([10, 0, 0, from, 10, 0, 0, to]);
                packet.extend(tcp);
                return packet;
            }
            tcp.extend(seq.wrapping_sub(1).to_be_bytes());
            tcp.extend(ack.wrapping_sub(1).to_be_bytes());
            tcp.extend([0x50 + options[which].len() as u8 * 4, flags]);
            tcp.extend(window.to_be_bytes());
            tcp.extend([0; 4]);
            tcp.extend(options[which]);
            tcp.extend(&[7; 4][..payload]);
            let length = tcp.len() as u8;
            let mut packet = if v6 {
                let address = |last| [[0x20, 1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, last]];
                let mut header = vec![0x60, 0, 0, 0, 0, length, 6, 64];
                header.extend([address(from), address(to)].as_flattened().as_flattened());
                header
            } else {
                let mut header = vec![0x45, 0, 0, 20 + length, 0, 0, 0, 0, 64, 6, 0, 0];
                header.extend([10, 0, 0, from, 10, 0, 0, to]);
                header
            };
            packet.extend(tcp);
            packet
        },
    )
}

/// One at a time and in batches, by the short ways where they are open; and by the long way alone, which a model
/// takes that looks at checksums, only that no packet of these is asked for its own.
fn ways(profile: &'static Profile, most: u64, packets: &[(u32, Vec<u8>)]) {
    let model = |checksum| {
        let mut settings = Settings::of(profile, Bytes(1 << 30));
        (settings.max, settings.buckets, settings.checksum) = (most, 8, checksum);
        Model::new(Config::new(profile, settings))
    };
    let treatment = Treatment { local: true, ..Treatment::default() };
    let mut now = 0;
    let arrivals: Vec<Arrival<'_>> = packets
        .iter()
        .filter_map(|(pause, bytes)| {
            now += i64::from(*pause) * 10_000_000;
            Some(Arrival { at: Time(now), packet: parse_ip(bytes).ok()?, treatment })
        })
        .collect();
    let (mut single, mut batch, mut long) = (model(false), model(false), model(true));
    let mut steps = Vec::new();
    batch.batch(&arrivals, |_, _, step| steps.push(*step));
    for (Arrival { at, packet, treatment }, step) in arrivals.iter().zip(steps) {
        assert_eq!(long.packet(*at, packet, treatment), step);
        assert_eq!(single.packet(*at, packet, treatment), step);
        assert_eq!(single.snapshot(), long.snapshot(), "behind {packet:?}");
    }
    assert_eq!(batch.snapshot(), long.snapshot());
    assert_census(&batch);
    assert_eq!((single.counters(), batch.counters()), (long.counters(), long.counters()));
    assert_eq!((single.occupancy(), batch.protected()), (long.occupancy(), long.protected()));
}

/// A packet of IPv4 between two hosts, from a port to port 53 or back.
fn between(protocol: u8, port: u16, reply: bool, rest: &[u8]) -> Vec<u8> {
    let (ends, hosts) = if reply { ([53, port], [2, 1]) } else { ([port, 53], [1, 2]) };
    let length = 24 + rest.len() as u8;
    let mut packet = vec![0x45, 0, 0, length, 0, 0, 0, 0, 64, protocol, 0, 0];
    packet.extend([10, 0, 0, hosts[0], 10, 0, 0, hosts[1]]);
    packet.extend(ends.map(u16::to_be_bytes).as_flattened());
    packet.extend(rest);
    packet
}

/// What is known of an entry when a batch begins need not hold when its packet's turn comes: others of the batch have
/// moved it within its chain, and it has expired.
#[test]
fn an_entry_that_moves_and_expires_within_a_batch_is_not_refreshed() {
    let datagram = |port| (29, between(17, port, false, &[0, 8, 0, 0]));
    let segment = |reply, flags, seq: u8, ack: u8| {
        let rest = [0, 0, 0, seq, 0, 0, 0, ack, 0x50, flags, 255, 255, 0, 0, 0, 0];
        (0, between(6, 1, reply, &rest))
    };
    let handshake =
        vec![segment(false, 2, 9, 0), segment(true, 18, 9, 10), segment(false, 16, 10, 10)];
    for (before, mut own) in
        [(vec![(0, datagram(1).1)], datagram(1)), (handshake, segment(false, 16, 10, 10))]
    {
        let profile = Profile::named("6.18").expect("a known profile");
        let mut settings = Settings::of(profile, Bytes(1 << 30));
        // One chain; a line of the index holds eleven entries of it.
        (settings.max, settings.buckets) = (1000, 2);
        settings.set("nf_conntrack_tcp_timeout_established", 30).expect("a known setting");
        let config = Config::new(profile, settings);
        own.0 = 31;
        let packets: Vec<_> =
            before.into_iter().chain((100..120).map(datagram)).chain([own]).collect();
        let arrivals = packets.iter().map(|(seconds, bytes)| Arrival {
            at: Time::from_secs(*seconds),
            packet: parse_ip(bytes).expect("a packet"),
            treatment: Treatment::default(),
        });
        let arrivals: Vec<Arrival<'_>> = arrivals.collect();
        let first = arrivals.len() - 21;
        let (mut together, mut alone) = (Model::new(config.clone()), Model::new(config));
        let expected: Vec<Step> =
            arrivals.iter().map(|a| alone.packet(a.at, &a.packet, &a.treatment)).collect();
        assert_eq!(expected.last().map(|step| step.what), Some(What::Inserted), "it had expired");
        let mut steps = Vec::new();
        together.batch(&arrivals[..first], |_, _, step| steps.push(*step));
        together.batch(&arrivals[first..], |_, _, step| steps.push(*step));
        assert_eq!(steps, expected);
    }
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
    fn the_short_ways_lead_where_the_long_way_leads(
        which in 0..PROFILES.len(),
        most in prop_oneof![Just(1u64), Just(2), Just(20)],
        segments in proptest::collection::vec((prop_oneof![9 => 0u32..100, 1 => 0u32..20_000], segment()), 0..150),
        packets in proptest::collection::vec((0u32..100, packet()), 0..60),
    ) {
        ways(&PROFILES[which], most, &segments);
        let mixed: Vec<_> = segments.iter().zip(&packets).flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
        ways(&PROFILES[which], most, &mixed);
    }

    #[test]
    fn rules_that_ask_for_the_class_come_to_what_they_decide_without_asking(
        packets in proptest::collection::vec((0u32..100, prop_oneof![packet(), segment()], any::<u8>()), 0..120),
    ) {
        for profile in PROFILES {
            let mut settings = Settings::of(profile, Bytes(1 << 30));
            (settings.max, settings.buckets) = (20, 8);
            let config = Config::new(profile, settings);
            let (mut told, mut asked) = (Model::new(config.clone()), Model::new(config));
            let mut now = 0;
            for (pause, bytes, rule) in &packets {
                now += i64::from(*pause) * 1_000_000;
                let Ok(packet) = parse_ip(bytes) else { continue };
                let fate = if rule % 3 == 0 { Fate::Dropped } else { Fate::Accepted };
                let treatment = Treatment { untracked: rule % 16 == 1, ..Treatment::default() };
                let step = told.packet(Time(now), &packet, &Treatment { fate, ..treatment });
                let mut seen = Vec::new();
                let other = asked.filter(Time(now), &packet, &treatment, |info, entry| {
                    seen.push((info, entry.is_some()));
                    fate
                });
                prop_assert_eq!(step, other);
                let passes = step.verdict == Verdict::Accept;
                prop_assert!(seen.len() <= 1 && (!passes || seen.len() == 1), "{step:?}: {seen:?}");
                prop_assert!(seen.iter().all(|(info, _)| *info == step.info), "{step:?}: {seen:?}");
            }
            prop_assert_eq!(told.snapshot(), asked.snapshot());
            prop_assert_eq!(told.counters(), asked.counters());
        }
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
        let entries = model.snapshot();
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
