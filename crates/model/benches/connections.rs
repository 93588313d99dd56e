//! What a packet costs: `cargo bench -p plimsoll-model [-- CONNECTIONS]`. CPU time of this thread.
//!
//! Opens that many TCP connections, then sends acknowledgements in both directions, picked uniformly at
//! random: the worst case for caches. Parsing is part of it. A wrong answer fails.

use std::time::Duration;

use plimsoll_ct::{Bytes, Profile, State, TcpState, Time};
use plimsoll_model::{Arrival, Config, Info, Model, Settings, Treatment};
use plimsoll_wire::packet::parse_ip;

const SYN: u8 = 2;
const ACK: u8 = 16;

fn segment(n: u32, reply: bool, flags: u8, seq: u32, ack: u32, window: u16) -> [u8; 40] {
    let (address, port) = (0x0a00_0000 + n / 28_000, 1024 + (n % 28_000) as u16);
    let server = 0xc0a8_0000 + n % 64;
    let (source, destination) = if reply { (server, address) } else { (address, server) };
    let ports = if reply { (443, port) } else { (port, 443) };
    let mut p = [0; 40];
    p[0] = 0x45;
    p[3] = 40;
    p[8] = 64;
    p[9] = 6;
    p[12..16].copy_from_slice(&source.to_be_bytes());
    p[16..20].copy_from_slice(&destination.to_be_bytes());
    p[20..22].copy_from_slice(&u16::to_be_bytes(ports.0));
    p[22..24].copy_from_slice(&u16::to_be_bytes(ports.1));
    p[24..28].copy_from_slice(&seq.to_be_bytes());
    p[28..32].copy_from_slice(&ack.to_be_bytes());
    p[32] = 0x50;
    p[33] = flags;
    p[34..36].copy_from_slice(&window.to_be_bytes());
    p
}

/// CPU time of this process, from its accounting in /proc: fine enough for runs of seconds.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanos)
}

fn main() {
    let asked = std::env::args().find_map(|a| a.parse().ok());
    let connections: u32 = asked.unwrap_or(1_000_000);
    let profile = Profile::named("6.18").expect("a known profile");
    let mut settings = Settings::of(profile, Bytes(8 << 30));
    settings.max = 0;
    settings.buckets = u64::from(connections).next_power_of_two();
    let mut model = Model::new(Config::new(profile, settings));
    let mut wrong = 0;
    let mut feed = |segments: &mut dyn Iterator<Item = ([u8; 40], Info)>| {
        loop {
            let some: Vec<_> = segments.take(32).collect();
            if some.is_empty() {
                return;
            }
            let arrival = |packet| Arrival {
                at: Time(1_000_000_000),
                packet: parse_ip(packet).expect("a whole header"),
                treatment: Treatment::default(),
            };
            let arrivals: Vec<_> = some.iter().map(|(p, _)| arrival(p)).collect();
            let mut expected = some.iter();
            model.batch(&arrivals, |_, _, step| {
                wrong += u32::from(expected.next().is_none_or(|e| e.1 != step.info));
            });
        }
    };
    let began = cpu();
    feed(&mut (0..connections).map(|n| (segment(n, false, SYN, 1, 0, 60_000), Info::New)));
    let opened = cpu();
    feed(&mut (0..connections).flat_map(|n| {
        [
            (segment(n, true, SYN | ACK, 1, 2, 60_000), Info::EstablishedReply),
            (segment(n, false, ACK, 2, 2, 60_000), Info::Established),
        ]
    }));
    let established = cpu();
    let packets = 4_000_000u32;
    let mut chance = 1u64;
    feed(&mut (0..packets).map(|i| {
        chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let n = (((chance >> 32) * u64::from(connections)) >> 32) as u32;
        let reply = chance & (1 << 20) != 0;
        let expected = if reply { Info::EstablishedReply } else { Info::Established };
        (segment(n, reply, ACK, 2, 2, 50_000 + (i % 1000) as u16), expected)
    }));
    let ended = cpu();
    let each = |from: Duration, to: Duration, n: u32| (to - from).as_nanos() as f64 / f64::from(n);
    println!("new connection   {:7.1} ns", each(began, opened, connections));
    println!("in order         {:7.1} ns", each(opened, established, 2 * connections));
    println!("random           {:7.1} ns", each(established, ended, packets));
    let state = State::Tcp(TcpState::Established);
    let good = model.entries().filter(|e| e.state == state && e.is_assured()).count();
    assert_eq!((wrong, good), (0, connections as usize), "a fast wrong answer");
}
