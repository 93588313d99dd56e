//! Frames of any bytes through the model: entries stay below the limit, classes sum up, nothing panics.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_ct::{Bytes, PROFILES, Time};
use plimsoll_model::{Config, Model, Settings, Treatment};
use plimsoll_wire::packet::LinkType;

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, mut rest)) = bytes.split_first() else { return };
    let profile = &PROFILES[usize::from(first) % PROFILES.len()];
    let mut settings = Settings::of(profile, Bytes(1 << 30));
    (settings.max, settings.buckets, settings.checksum) = (6, 4, first & 0x80 != 0);
    let mut model = Model::new(Config::new(profile, settings));
    let mut now = 0i64;
    while let [pause, length, tail @ ..] = rest {
        now += i64::from(*pause) * 100_000_000;
        let (frame, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        let _ = model.frame(Time(now), LinkType::RawIp, frame, &Treatment::default());
        assert!(model.counted() <= 6);
        let o = model.occupancy();
        assert_eq!(o.live, o.evictable + o.closing + o.protected);
        rest = tail;
    }
});
