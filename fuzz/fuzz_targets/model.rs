//! Frames of any bytes through the model: entries stay below the limit, classes sum up, both tuples of an entry
//! lead to it (or to one that shares it), and the same packets give the same trace, however many of them come at once, and by the short ways or
//! the long one. Packets are in no zone, in one, or in one for one of their directions.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_ct::{Bytes, PROFILES, Time, Zone, ZoneDirection};
use plimsoll_model::{Arrival, Config, Model, Settings, Step, Treatment};
use plimsoll_wire::packet::{LinkType, network_layer, parse_ip};

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, mut rest)) = bytes.split_first() else { return };
    let profile = &PROFILES[usize::from(first) % PROFILES.len()];
    let mut settings = Settings::of(profile, Bytes(1 << 30));
    (settings.max, settings.buckets, settings.checksum) = (6, 4, first & 0x80 != 0);
    let config = Config::new(profile, settings);
    let mut model = Model::new(config.clone());
    let mut now = 0i64;
    let mut arrivals = Vec::new();
    let mut frames = Vec::new();
    let mut steps: Vec<Step> = Vec::new();
    while let [pause, length, tail @ ..] = rest {
        now += i64::from(pause & 0x3f) * 400_000_000;
        let zone = match pause >> 6 {
            0 => Zone::default(),
            1 => Zone::both(1),
            2 => Zone { id: 1, direction: ZoneDirection::Original },
            _ => Zone { id: 1, direction: ZoneDirection::Reply },
        };
        let (frame, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        let Ok(packet) = network_layer(LinkType::RawIp, frame).and_then(parse_ip) else { continue };
        let (at, treatment) = (Time(now), Treatment { zone, ..Treatment::default() });
        arrivals.push(Arrival { at, packet, treatment });
        frames.push(frame);
        steps.push(model.packet(at, &packet, &treatment));
        assert!(model.counted() <= 6);
        let o = model.occupancy();
        assert_eq!(o.live, o.evictable + o.closing + o.protected);
        // Where a zone is one direction's, another entry may have the same tuple, and either is met by it.
        let shared = model.entries().any(|entry| entry.zone.is_one_way());
        for entry in model.entries() {
            let [forth, back] = [entry.original, entry.reply].map(|tuple| {
                let id = model.lookup(&tuple, entry.zone).expect("its own, at least");
                let met = model.entry(id).expect("an entry");
                assert!([met.original, met.reply].contains(&tuple));
                id
            });
            assert!(shared || forth == back);
        }
    }
    // A model that looks at checksums takes the long way; of packets that were made on the host it looks at none.
    let mut ways = [false, true].map(|checksum| {
        let mut config = config.clone();
        config.settings.checksum = checksum;
        config.settings.log_invalid = if checksum { 255 } else { 0 };
        Model::new(config)
    });
    for (Arrival { at, packet, treatment }, frame) in arrivals.iter().zip(frames) {
        let treatment = Treatment { local: true, ..*treatment };
        let [short, long] = ways.each_mut().map(|model| model.packet(*at, packet, &treatment));
        assert_eq!(short, long);
        ways[1].describe(LinkType::RawIp, frame, "lo");
        assert!(ways[1].take_log().iter().all(|line| !line.about_packet));
    }
    assert_eq!(ways[0].snapshot(), ways[1].snapshot());
    assert_eq!(ways[0].counters(), ways[1].counters());
    let mut again = Model::new(config);
    let mut trace = Vec::new();
    again.batch(&arrivals, |_, _, step| trace.push(*step));
    assert_eq!(steps, trace);
    assert_eq!(model.snapshot(), again.snapshot());
    assert_eq!(model.counters(), again.counters());
});
