//! Occupancy over time: a steady stream of short UDP flows while the kernel's count is sampled, then the same
//! packets through models whose collectors began at other moments.

use std::io;
use std::time::Duration;

use plimsoll_ct::{Bytes, Profile, Time};
use plimsoll_model::{Config, Model, Settings, Treatment};
use plimsoll_wire::packet::parse_ip;

use crate::forge;
use crate::run::Pair;

/// Seconds that a flow lives.
const TIMEOUT: u64 = 3;
/// New flows in each tenth of a second.
const RATE: u32 = 20;

/// One moment.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// When.
    pub at: Time,
    /// The kernel's count.
    pub kernel: u64,
    /// Flows that have not expired.
    pub live: u64,
}

/// What was seen, and how well the best phase of the collector explains it.
#[derive(Debug, Clone)]
pub struct Curve {
    /// Samples, one a second.
    pub samples: Vec<Sample>,
    /// Samples outside the band: below live less 1 %, or above all that expired within a minute.
    pub outside: usize,
    /// Ticks from the first packet to the first pass of the collector that fits best.
    pub phase: u32,
    /// Greatest distance between model and kernel with it, in entries.
    pub distance: u64,
    /// Greatest count of the kernel.
    pub peak: u64,
}

/// Runs it for so many seconds.
pub fn run(seconds: u64) -> io::Result<Curve> {
    let settings = [("nf_conntrack_checksum", 0), ("nf_conntrack_udp_timeout", TIMEOUT)];
    let mut pair = Pair::new(&settings)?;
    let mut sent: Vec<(Time, Vec<u8>)> = Vec::new();
    let mut samples = Vec::new();
    let start = pair.now();
    for tenth in 0..seconds * 10 {
        for n in 0..RATE {
            let n = tenth as u32 * RATE + n;
            let client = std::net::Ipv4Addr::from(0x0a00_0000 + n);
            let server = std::net::Ipv4Addr::new(192, 0, 2, 1);
            let packet = forge::udp(client.into(), server.into(), (4000, 53), 0, 0);
            pair.feed(&packet, &Treatment::default())?;
            sent.push((pair.now(), packet));
        }
        if tenth % 10 == 9 {
            pair.model.advance(pair.now());
            let live = pair.model.occupancy().live;
            samples.push(Sample { at: pair.now(), kernel: pair.kernel.count()?, live });
        }
        let due = Duration::from_millis((tenth + 1) * 100);
        let passed = Duration::from_nanos((pair.now().0 - start.0).unsigned_abs());
        std::thread::sleep(due.saturating_sub(passed));
    }
    let peak = samples.iter().map(|s| s.kernel).max().unwrap_or(0);
    let hz = pair.model.settings().hz;
    let mut best = (0, u64::MAX);
    // The first pass comes within a minute; half seconds are fine enough.
    for step in 0..120 {
        let phase = step * hz / 2;
        let distance = distance(&sent, &samples, phase, hz)?;
        if distance < best.1 {
            best = (phase, distance);
        }
    }
    let minute = 60 * u64::from(RATE) * 10;
    let outside = samples
        .iter()
        .filter(|s| s.kernel * 100 < s.live * 99 || s.kernel * 100 > (s.live + minute) * 101)
        .count();
    Ok(Curve { samples, outside, phase: best.0, distance: best.1, peak })
}

fn distance(sent: &[(Time, Vec<u8>)], samples: &[Sample], phase: u32, hz: u32) -> io::Result<u64> {
    let profile = Profile::named("6.18").ok_or_else(|| io::Error::other("no profile 6.18"))?;
    let mut settings = Settings::of(profile, Bytes(8 << 30));
    (settings.max, settings.hz) = (0, hz);
    settings.udp[0] = TIMEOUT as u32;
    let mut model = Model::new(Config { collector_phase: phase, ..Config::new(profile, settings) });
    let mut rest = samples.iter().peekable();
    let mut worst = 0;
    for (at, packet) in sent {
        while let Some(sample) = rest.next_if(|s| s.at < *at) {
            model.advance(sample.at);
            worst = worst.max(sample.kernel.abs_diff(model.counted() as u64));
        }
        if let Ok(packet) = parse_ip(packet) {
            model.packet(*at, &packet, &Treatment::default());
        }
    }
    Ok(worst)
}
