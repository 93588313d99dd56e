//! Packets whose classes are known before: what both tables are fed.

use plimsoll_ct::{Bytes, Profile, Time};
use plimsoll_model::{Arrival, Config, Info, Model, Settings, Treatment};
use plimsoll_wire::packet::parse_ip;

use crate::baseline::Baseline;

pub const SYN: u8 = 2;
pub const ACK: u8 = 16;
/// Packets of one round of random ones.
pub const ROUND: usize = 2_000_000;
/// Packets that go through the model together.
const AT_ONCE: usize = 128;
/// Octets of a packet in memory.
const STEP: usize = 40;

/// A packet's bytes, and what conntrack must make of it.
fn segment(n: u32, reply: bool, flags: u8, numbers: (u32, u32), window: u16) -> [u8; STEP] {
    let (address, port) = (0x0a00_0000 + n / 28_000, 1024 + (n % 28_000) as u16);
    let server = 0xc0a8_0000 + n % 64;
    let (source, destination) = if reply { (server, address) } else { (address, server) };
    let ports = if reply { (443, port) } else { (port, 443) };
    let mut p = [0; STEP];
    p[0] = 0x45;
    p[3] = 40;
    p[8] = 64;
    p[9] = 6;
    p[12..16].copy_from_slice(&source.to_be_bytes());
    p[16..20].copy_from_slice(&destination.to_be_bytes());
    p[20..22].copy_from_slice(&u16::to_be_bytes(ports.0));
    p[22..24].copy_from_slice(&u16::to_be_bytes(ports.1));
    p[24..28].copy_from_slice(&numbers.0.to_be_bytes());
    p[28..32].copy_from_slice(&numbers.1.to_be_bytes());
    p[32] = 0x50;
    p[33] = flags;
    p[34..36].copy_from_slice(&window.to_be_bytes());
    p
}

/// A table for so many connections.
pub fn empty(connections: u32) -> (Model, Settings) {
    let profile = Profile::named("6.18").expect("a known profile");
    let mut settings = Settings::of(profile, Bytes(8 << 30));
    settings.max = u64::from(connections) + 1;
    settings.buckets = u64::from(connections).next_multiple_of(512);
    (Model::new(Config::new(profile, settings.clone())), settings)
}

/// Numbers of connections, from and to, in portions whose packets take little memory.
pub fn portions(connections: u32) -> Vec<(u32, u32)> {
    let all = (0..connections).step_by(1 << 16);
    all.map(|from| (from, (from + (1 << 16)).min(connections))).collect()
}

/// Packets of one round, made before the clock runs.
#[derive(Default)]
pub struct Round {
    pub bytes: Vec<[u8; STEP]>,
    expected: Vec<Info>,
}

impl Round {
    fn of(packets: impl Iterator<Item = ([u8; STEP], Info)>) -> Self {
        let (bytes, expected) = packets.unzip();
        Self { bytes, expected }
    }

    /// The first packets of some connections.
    pub fn opening(from: u32, to: u32) -> Self {
        Self::of((from..to).map(|n| (segment(n, false, SYN, (1, 0), 60_000), Info::New)))
    }

    /// The rest of their handshakes.
    pub fn handshakes(from: u32, to: u32) -> Self {
        Self::of((from..to).flat_map(|n| {
            [
                (segment(n, true, SYN | ACK, (1, 2), 60_000), Info::EstablishedReply),
                (segment(n, false, ACK, (2, 2), 60_000), Info::Established),
            ]
        }))
    }

    /// Acknowledgements on connections picked at random; no two of them are repetitions.
    pub fn random(connections: u32, chance: &mut u64) -> Self {
        Self::of((0..ROUND as u32).map(|i| {
            *chance =
                chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let n = (((*chance >> 32) * u64::from(connections)) >> 32) as u32;
            let reply = *chance & (1 << 20) != 0;
            let expected = if reply { Info::EstablishedReply } else { Info::Established };
            (segment(n, reply, ACK, (2, 2), 50_000 + (i % 1000) as u16), expected)
        }))
    }

    /// Through the model; how many steps were wrong.
    pub fn feed(&self, model: &mut Model) -> usize {
        let mut wrong = 0;
        let mut expected = self.expected.iter();
        let mut some = Vec::with_capacity(AT_ONCE);
        for bytes in self.bytes.chunks(AT_ONCE) {
            some.clear();
            some.extend(bytes.iter().map(|bytes| {
                let packet = parse_ip(bytes).expect("a whole header");
                Arrival { at: Time(1_000_000_000), packet, treatment: Treatment::default() }
            }));
            model.batch(&some, |_, _, step| {
                wrong += usize::from(expected.next() != Some(&step.info));
            });
        }
        wrong
    }

    /// Through the other; how many steps were wrong.
    pub fn feed_baseline(&self, baseline: &mut Baseline, settings: &Settings) -> usize {
        let mut wrong = 0;
        for (bytes, expected) in self.bytes.iter().zip(&self.expected) {
            let packet = parse_ip(bytes).expect("a whole header");
            wrong += usize::from(baseline.packet(&packet, settings, 250) != *expected);
        }
        wrong
    }
}
