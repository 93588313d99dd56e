//! Frames of any bytes under several limits and timeouts at once: what comes of them is what comes of them under each
//! alone, step by step.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_ct::{Bytes, CollectorKind, PROFILES, Time};
use plimsoll_model::{Arrival, Config, Grid, Model, Settings, Step, Treatment};
use plimsoll_wire::packet::{LinkType, network_layer, parse_ip};

fuzz_target!(|bytes: &[u8]| {
    let [which, chains, seats @ ..] = bytes else { return };
    let Some((&[a, b, c, d], mut rest)) = seats.split_first_chunk::<4>() else { return };
    let profiles: Vec<_> =
        PROFILES.iter().filter(|p| p.collector != CollectorKind::Timers).collect();
    let profile = profiles[usize::from(*which) % profiles.len()];
    let config = |seat: u8| {
        let mut settings = Settings::of(profile, Bytes(1 << 30));
        (settings.max, settings.buckets) = (u64::from(seat & 7), 2 << (chains & 7));
        settings.checksum = chains & 0x80 != 0;
        settings.udp = [u32::from(seat >> 5 & 3), 10];
        settings.tcp_timeouts.states[3] = 1 << (seat >> 3 & 3);
        Config::new(profile, settings)
    };
    let configs = [a, b, c, d].map(config);
    let mut arrivals = Vec::new();
    let mut now = 0i64;
    while let [pause, length, tail @ ..] = rest {
        now += i64::from(*pause) * 100_000_000;
        let (frame, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        let Ok(packet) = network_layer(LinkType::RawIp, frame).and_then(parse_ip) else { continue };
        arrivals.push(Arrival { at: Time(now), packet, treatment: Treatment::default() });
    }
    let bare = |step: &Step| Step { entry: None, ..*step };
    let mut alone = configs.clone().map(Model::new);
    let mut grid = Grid::new(&configs).expect("settings of one grid");
    grid.batch(&arrivals, |grid, arrival, steps| {
        for (setting, model) in alone.iter_mut().enumerate() {
            let step = model.packet(arrival.at, &arrival.packet, &arrival.treatment);
            assert_eq!(bare(&steps.of(setting)), bare(&step));
            assert_eq!(grid.counted(setting), model.counted());
            assert_eq!(grid.occupancy(setting), model.occupancy());
        }
    });
    for (setting, model) in alone.iter().enumerate() {
        let part = grid.part(setting);
        assert_eq!(part.snapshot(), model.snapshot());
        assert_eq!(part.counters(), model.counters());
    }
});
