//! What two hosts say to each other before a helper, in any pieces: never more is expected than the limit and what is
//! expected has a master; the end of the master ends it all; the same again makes the same table.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_ct::{Bytes, Counter, Profile, Time, Zone};
use plimsoll_model::{Config, Helper, Model, Settings, Treatment};
use plimsoll_wire::packet::parse_ip;

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, mut rest)) = bytes.split_first() else { return };
    let profile = Profile::named("6.18").expect("a profile");
    let mut settings = Settings::of(profile, Bytes(1 << 30));
    settings.expect_max = 3;
    // The collector passes over all of them each minute of the days that go by at the end.
    settings.buckets = 64;
    let helper = Helper::ALL[usize::from(first & 0x7f) % Helper::ALL.len()];
    let v6 = first & 0x80 != 0;
    let treatment = Treatment { helper: Some(helper), ..Treatment::default() };
    let mut model = Model::new(Config::new(profile, settings));
    let mut next = [[100u32, 200]; 2];
    let mut send = |model: &mut Model, control: usize, reply: bool, flags: u8, data: &[u8]| {
        let [own, other] = if reply { [1, 0] } else { [0, 1] };
        let ports = (4000 + control as u16, helper.port());
        let (from, to) = if reply { (ports.1, ports.0) } else { ports };
        let mut tcp = [from.to_be_bytes(), to.to_be_bytes()].concat();
        tcp.extend(next[control][own].to_be_bytes());
        tcp.extend(next[control][other].to_be_bytes());
        tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(data);
        next[control][own] += data.len() as u32 + u32::from(flags & 2 != 0);
        let length = tcp.len() as u16;
        let mut packet = if v6 {
            let [a, b] = length.to_be_bytes();
            vec![0x60, 0, 0, 0, a, b, 6, 64]
        } else {
            let [a, b] = (length + 20).to_be_bytes();
            vec![0x45, 0, a, b, 0, 0, 0, 0, 64, 6, 0, 0]
        };
        for last in if reply { [2, 1] } else { [1, 2] } {
            let mut address = [10; 16];
            let length = if v6 { 16 } else { 4 };
            address[length - 1] = last;
            packet.extend(&address[..length]);
        }
        packet.extend(tcp);
        let packet = parse_ip(&packet).expect("a packet");
        model.packet(Time(0), &packet, &treatment);
    };
    for control in [0, 1] {
        send(&mut model, control, false, 2, &[]);
        send(&mut model, control, true, 0x12, &[]);
        send(&mut model, control, false, 0x10, &[]);
        send(&mut model, control, true, 0x18, b"\n");
        send(&mut model, control, false, 0x18, b"\n");
    }
    while let [how, length, tail @ ..] = rest {
        let (data, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        send(&mut model, usize::from(how & 1), how & 2 != 0, 0x18, data);
        assert!(model.expectations().count() <= 3);
        for (expectation, _) in model.expectations() {
            assert!(model.lookup(&expectation.master, Zone::default()).is_some());
        }
    }
    model.advance(Time::from_secs(10_000_000));
    assert_eq!((model.counted(), model.expectations().count()), (0, 0));
    let counter = |counter| model.counters().get(counter).unwrap_or(0);
    assert_eq!(counter(Counter::ExpectCreate), counter(Counter::ExpectDelete));
});
