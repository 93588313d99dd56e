//! Occupancy over time: the kernel's count beside two lines of the model. What is *live* has not expired; what is *counted*
//! waits for the collector too, and depends on when that came first, its phase.

use std::io;
use std::time::Duration;

use plimsoll_ct::{Bytes, Profile, Time};
use plimsoll_model::{Config, Model, Settings, Treatment};
use plimsoll_wire::packet::parse_ip;

use crate::forge;
use crate::run::{Clock, Pair, running};
use crate::trace::{Pass, Trace};

/// Seconds that a made-up flow lives.
const TIMEOUT: u64 = 3;
/// New flows in each tenth of a second.
const RATE: u32 = 20;
/// Nanoseconds within which the collector comes (kernels from 5.18): a minute, until its timer rings.
const PASS: i64 = 61_440_000_000;

/// The kernel's count at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Count {
    /// When.
    pub at: Time,
    /// Entries.
    pub kernel: u64,
}

/// A packet and when it was seen.
pub type Seen = (Time, Vec<u8>);

/// A moment with the model's lines.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// When, and the kernel's count.
    pub count: Count,
    /// Entries that have not expired.
    pub live: u64,
    /// These, and all that expired since the collector must have come.
    pub upper: u64,
    /// What the model counts, with the phase that fits best.
    pub counted: u64,
    /// The least and the most that it and models with other hash keys count: a pass's pause hangs on the order in which it
    /// meets the entries, and that on the key.
    pub keys: (u64, u64),
    /// The least and the most that the model counts whose collector ran whenever the kernel's did, where that was traced: a pass
    /// of the kernel's takes a while, and where the count was taken meanwhile some had gone and others had not.
    pub traced: Option<(u64, u64)>,
}

/// What was seen, and how well the best phase of the collector explains it.
#[derive(Debug, Clone)]
pub struct Curve {
    /// Samples in the order of time.
    pub samples: Vec<Sample>,
    /// Packets.
    pub packets: usize,
    /// Ticks from the first packet to the first pass of the collector that fits best.
    pub phase: u32,
    /// Passes of the kernel's collector from the first packet on, or why they are not known.
    pub passes: Result<usize, String>,
}

impl Curve {
    /// Samples outside the band: below live less 1 %, or above the upper line and 1 %. A sample's count and its time are read one
    /// after the other: a packet between them is one entry.
    pub fn outside(&self) -> usize {
        let outside = |s: &&Sample| {
            let kernel = s.count.kernel * 100;
            kernel + 100 < s.live * 99 || kernel > s.upper * 101 + 100
        };
        self.samples.iter().filter(outside).count()
    }

    /// Greatest count of the kernel.
    pub fn peak(&self) -> u64 {
        self.samples.iter().map(|s| s.count.kernel).max().unwrap_or(0)
    }

    /// Distances between the kernel's count and the model's, smallest first.
    pub fn distances(&self) -> Vec<u64> {
        self.sorted(|s| s.count.kernel.abs_diff(s.counted))
    }

    /// Distances between the kernel's count and what models with different hash keys count, smallest first.
    pub fn distances_from_any(&self) -> Vec<u64> {
        self.sorted(|s| s.count.kernel.abs_diff(s.count.kernel.clamp(s.keys.0, s.keys.1)))
    }

    /// Distances between the kernel's count and that of the model whose passes come when the kernel's came.
    pub fn distances_traced(&self) -> Vec<u64> {
        let kernel = |s: &Sample| s.count.kernel;
        self.sorted(|s| {
            s.traced
                .map_or(u64::MAX, |(least, most)| kernel(s).abs_diff(kernel(s).clamp(least, most)))
        })
    }

    fn sorted(&self, distance: impl Fn(&Sample) -> u64) -> Vec<u64> {
        let mut all: Vec<u64> = self.samples.iter().map(distance).collect();
        all.sort_unstable();
        all
    }
}

/// Sends 200 new UDP flows a second for so many seconds, and looks once a second.
pub fn made_up(seconds: u64) -> io::Result<Curve> {
    let settings = [("nf_conntrack_checksum", 0), ("nf_conntrack_udp_timeout", TIMEOUT)];
    let mut pair = Pair::new(&settings)?;
    let trace = Trace::begin();
    let mut sent: Vec<Seen> = Vec::new();
    let mut counts = Vec::new();
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
            counts.push(Count { at: pair.now(), kernel: pair.kernel.count()? });
        }
        let due = Duration::from_millis((tenth + 1) * 100);
        let passed = Duration::from_nanos((pair.now().0 - start.0).unsigned_abs());
        std::thread::sleep(due.saturating_sub(passed));
    }
    fit(&sent, &counts, &settings, trace.and_then(Trace::finish))
}

/// Buckets in which hardly an entry has a neighbour.
const MANY: u64 = 1 << 22;

/// Models with hash keys of their own.
const KEYS: u64 = 16;

/// How far off the counted line is in all, with which phase, and both lines.
type Tried = (u64, u32, Vec<(u64, u64)>);

/// The model's lines beside counts of the kernel that saw the same packets.
pub fn fit(
    sent: &[Seen],
    counts: &[Count],
    settings: &[(&str, u64)],
    passes: io::Result<Vec<Pass>>,
) -> io::Result<Curve> {
    let hz = Clock::default().hz();
    // How many expired entries a lookup meets, and so takes away, hangs on the length of the chains.
    let buckets = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_buckets")?;
    let buckets = buckets.trim().parse().map_err(io::Error::other)?;
    // Without a collector, and in chains so short that a lookup meets nobody else, nothing leaves: all that ever
    // expired is known.
    let bare = lines(sent, counts, settings, When::First(u32::MAX), MANY, 0)?;
    let expired: Vec<u64> = bare.iter().map(|(live, counted)| counted - live).collect();
    let try_phase = |phase: u32| -> io::Result<Tried> {
        let lines = lines(sent, counts, settings, When::First(phase), buckets, 0)?;
        let off = counts.iter().zip(&lines).map(|(c, (_, counted))| c.kernel.abs_diff(*counted));
        Ok((off.sum(), phase, lines))
    };
    let best_of = |phases: &mut dyn Iterator<Item = u32>| {
        let tried = phases.map(try_phase).collect::<io::Result<Vec<_>>>()?;
        let best = tried.into_iter().min_by_key(|(distance, _, _)| *distance);
        best.ok_or_else(|| io::Error::other("no phase to try"))
    };
    // The first pass comes within a minute: to the second, then to the twentieth part of it.
    let (_, near, _) = best_of(&mut (0..60).map(|second| second * hz))?;
    let around = (0..40).map(|step| (near + step * hz / 20).saturating_sub(hz));
    let (_, phase, best) = best_of(&mut around.into_iter())?;
    let mut keys: Vec<(u64, u64)> = best.iter().map(|(_, counted)| (*counted, *counted)).collect();
    for key in 1..=KEYS {
        let other = lines(sent, counts, settings, When::First(phase), buckets, key)?;
        for (range, (_, counted)) in keys.iter_mut().zip(other) {
            *range = (range.0.min(counted), range.1.max(counted));
        }
    }
    let first = sent.first().map_or(Time(i64::MAX), |(at, _)| *at);
    let passes =
        passes.map(|passes| passes.into_iter().filter(|p| p.began >= first).collect::<Vec<_>>());
    let edges = passes.as_deref().unwrap_or_default();
    let at = |edge: fn(&Pass) -> Time| {
        let moments: Vec<Time> = edges.iter().map(edge).collect();
        lines(sent, counts, settings, When::Each(&moments), buckets, 0)
    };
    let traced = match &passes {
        Ok(_) => Some([at(|pass| pass.began)?, at(|pass| pass.ended)?]),
        Err(_) => None,
    };
    let mut samples = Vec::new();
    for (place, (count, (live, counted))) in counts.iter().zip(best).enumerate() {
        let minute_ago = counts[..place].iter().rposition(|c| c.at.0 <= count.at.0 - PASS);
        let upper = live + expired[place] - minute_ago.map_or(0, |then| expired[then]);
        let traced = traced.as_ref().map(|both| {
            let [one, other] = [0, 1].map(|edge| both[edge][place].1);
            (one.min(other), one.max(other))
        });
        samples.push(Sample { count: *count, live, upper, counted, keys: keys[place], traced });
    }
    let passes = passes.map(|passes| passes.len()).map_err(|error| error.to_string());
    Ok(Curve { samples, packets: sent.len(), phase, passes })
}

/// When the model's collector runs.
#[derive(Debug, Clone, Copy)]
enum When<'a> {
    /// So many ticks after the first packet; then when it thinks fit.
    First(u32),
    /// At each of these moments.
    Each(&'a [Time]),
}

/// At each count: what is live, and what is counted.
fn lines(
    sent: &[Seen],
    counts: &[Count],
    values: &[(&str, u64)],
    when: When<'_>,
    buckets: u64,
    hash_key: u64,
) -> io::Result<Vec<(u64, u64)>> {
    let (collector_phase, runs) = match when {
        When::First(phase) => (phase, &[][..]),
        When::Each(runs) => (u32::MAX, runs),
    };
    let profile: &Profile = running()?;
    let mut settings = Settings::of(profile, Bytes(8 << 30));
    settings.hz = Clock::default().hz();
    settings.buckets = buckets;
    for (name, value) in values {
        settings.set(name, *value).map_err(io::Error::other)?;
    }
    let mut model =
        Model::new(Config { collector_phase, hash_key, ..Config::new(profile, settings) });
    let (mut packets, mut runs) = (sent.iter().peekable(), runs.iter().peekable());
    let mut lines = Vec::new();
    for count in counts {
        while let Some((at, packet)) = packets.next_if(|(at, _)| *at <= count.at) {
            while let Some(run) = runs.next_if(|run| *run <= at) {
                model.collect(*run);
            }
            if let Ok(packet) = parse_ip(packet) {
                model.packet(*at, &packet, &Treatment::default());
            }
        }
        while let Some(run) = runs.next_if(|run| **run <= count.at) {
            model.collect(*run);
        }
        model.advance(count.at);
        let occupancy = model.occupancy();
        lines.push((occupancy.live, occupancy.counted));
    }
    Ok(lines)
}
