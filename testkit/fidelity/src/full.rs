//! Tables filled beyond the limit: whom early drop and the collector evict depends on a secret of the boot, so only
//! totals can be compared, and only within their statistical error. That error is measured: the same packets go
//! through models with different hash keys, and the kernel must not stand out among them.

use std::fs::{self, File};
use std::io::{self, Error};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use plimsoll_ct::{Bytes, Class, Counter, Counters, Entries, Entry, Profile, Time};
use plimsoll_lab::HostLimit;
use plimsoll_model::{Config, Model, Settings, Treatment};
use plimsoll_wire::packet::parse_ip;

use crate::filling::{Filling, Mix, Step};
use crate::kernel::{Kernel, sweep};
use crate::run::{Clock, running};

/// Models that a kernel is compared with.
pub const MODELS: u64 = 16;
/// Standard errors that the kernel may be off: with 16 models chance goes beyond once in a million times.
pub const BOUND: f64 = 8.0;
/// Packets between two looks at the kernel's count.
const LOOK: usize = 64;
/// The collector may come in between; then it is tried again.
const ATTEMPTS: u32 = 20;

/// Tenths of a second without a change after which the collector is done.
const STILL: u32 = 20;
/// Seconds that no test lasts.
const LONG: u64 = 600;

/// The machine's limit, ours for a while; nobody else's test changes it or relies on it meanwhile.
pub struct Turn {
    limit: HostLimit,
    /// In a router's namespace it can be written only by who opened it outside.
    written: File,
    _file: File,
}

impl Turn {
    /// Waits for others' tests. The old limit comes back when this is dropped. To be called outside of a
    /// router's namespace: in there the limit is read-only.
    pub fn take(limit: u64) -> io::Result<Self> {
        // What a killed run left behind would lose packets under a lower limit.
        sweep()?;
        // The same file as the end-to-end tests': they take turns.
        let file = File::create(std::env::temp_dir().join("plimsoll-tests.lock"))?;
        file.lock()?;
        let limit = HostLimit::claim(Some(Entries(limit)), Duration::from_secs(300));
        let limit = limit.map_err(Error::other)?;
        let written =
            File::options().write(true).open("/proc/sys/net/netfilter/nf_conntrack_max")?;
        Ok(Self { limit, written, _file: file })
    }

    /// Another limit for a while: before this is dropped it has to be the turn's own again.
    fn set(&self, limit: u64) -> io::Result<()> {
        self.written.write_all_at(limit.to_string().as_bytes(), 0)
    }

    /// The limit in force.
    pub fn limit(&self) -> u64 {
        self.limit.get().get()
    }
}

/// The machine's number of buckets, changed during a turn; what it was comes back when this is dropped. To be opened outside of a router's
/// namespace.
#[derive(Debug)]
pub struct Buckets {
    file: File,
    was: u64,
    less: bool,
}

impl Buckets {
    /// As they are.
    pub fn open(_turn: &Turn) -> io::Result<Self> {
        let path = "/proc/sys/net/netfilter/nf_conntrack_buckets";
        let was = fs::read_to_string(path)?.trim().parse().map_err(Error::other)?;
        Ok(Self { file: File::options().write(true).open(path)?, was, less: false })
    }

    /// Half of them, or all again: every entry gets another place.
    pub(crate) fn change(&mut self) -> io::Result<()> {
        self.less = !self.less;
        let number = if self.less { self.was / 2 } else { self.was };
        self.file.write_all_at(number.to_string().as_bytes(), 0)
    }
}

impl Drop for Buckets {
    fn drop(&mut self) {
        if self.less {
            // Nobody is left to be told.
            let _ = self.change();
        }
    }
}

/// What is compared, in this order.
const NAMES: [&str; 9] = [
    "entries",
    "evictable",
    "closing",
    "protected",
    "drop",
    "early_drop",
    "invalid",
    "insert_failed",
    "chaintoolong",
];

/// What came of a table, in the order of `NAMES`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Totals([f64; 9]);

impl Totals {
    fn of(counters: &Counters, before: &Counters, counted: u64, entries: &[Entry]) -> Self {
        let class = |wanted| {
            entries.iter().filter(|e| Class::of(e.status, e.state) == wanted).count() as f64
        };
        let growth = |counter| {
            let of = |c: &Counters| c.get(counter).unwrap_or(0);
            of(counters).wrapping_sub(of(before)) as f64
        };
        Self([
            counted as f64,
            class(Class::Evictable),
            class(Class::Closing),
            class(Class::Protected),
            growth(Counter::Drop),
            growth(Counter::EarlyDrop),
            growth(Counter::Invalid),
            growth(Counter::InsertFailed),
            growth(Counter::ChainTooLong),
        ])
    }
}

/// One total: the kernel's, and what the models make of the same packets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compared {
    /// Which.
    pub name: &'static str,
    /// The kernel's.
    pub kernel: f64,
    /// The models' average.
    pub mean: f64,
    /// Their standard deviation.
    pub deviation: f64,
}

impl Compared {
    /// How many standard errors the kernel is off.
    pub fn score(&self) -> f64 {
        let off = self.kernel - self.mean;
        if off == 0.0 {
            return 0.0;
        }
        off / (self.deviation * (1.0 + 1.0 / MODELS as f64).sqrt())
    }
}

/// A filling, compared.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Packets sent.
    pub packets: usize,
    /// Each total.
    pub totals: Vec<Compared>,
    /// Attempts that the collector disturbed.
    pub disturbed: u32,
}

/// Fills a table, loses a packet, and waits for the collector, which evicts in its next pass, within a minute.
pub fn collected(kernel: &mut Kernel, turn: &Turn, number: &mut u32) -> io::Result<Outcome> {
    kernel.set("nf_conntrack_udp_timeout", LONG)?;
    let filling = Filling {
        name: "",
        first: Mix { queries: 2, half_open: 1, open: 4, closed: 3 },
        then: Mix { open: 1, ..Mix::default() },
        expired: false,
        halved: false,
    };
    for disturbed in 0..ATTEMPTS {
        let steps = filling.steps(turn.limit(), number);
        let Some(mut seen) = send(kernel, turn, &filling, &steps)? else { continue };
        let clock = Clock::default();
        let full = kernel.count()?;
        let patience = Instant::now() + Duration::from_secs(180);
        let (mut last, mut still) = (full, 0);
        // It is over when the count fell, and falls no more: on a busy machine the collector is kept waiting.
        while last == full || still < STILL {
            std::thread::sleep(Duration::from_millis(100));
            let count = kernel.count()?;
            still = if count == last { still + 1 } else { 0 };
            last = count;
            if Instant::now() > patience {
                return Err(Error::other("the collector did not come within three minutes"));
            }
        }
        let pass = clock.now();
        seen.totals = Totals::of(&kernel.counters()?, &seen.before, last, &kernel.entries()?);
        let models = (0..MODELS).map(|key| model(&seen, turn.limit(), LONG, key, Some(pass)));
        let models = models.collect::<io::Result<Vec<_>>>()?;
        let totals = compare(&seen.totals, &models);
        return Ok(Outcome { packets: seen.packets.len(), totals, disturbed });
    }
    Err(Error::other("the collector came while the table was being filled each time"))
}

/// What the kernel saw: the packets with their times, and what came of them.
struct Seen {
    packets: Vec<(Time, Vec<u8>)>,
    /// Limits from a packet on.
    limits: Vec<(usize, u64)>,
    before: Counters,
    totals: Totals,
    buckets: u64,
}

/// Fills a table against the turn's limit, the kernel's and the models'.
pub fn run(
    kernel: &mut Kernel,
    turn: &Turn,
    filling: &Filling,
    number: &mut u32,
) -> io::Result<Outcome> {
    // So that the first entries can expire before the rest comes.
    let udp_timeout = if filling.expired { 1 } else { 30 };
    kernel.set("nf_conntrack_udp_timeout", udp_timeout)?;
    for disturbed in 0..ATTEMPTS {
        let steps = filling.steps(turn.limit(), number);
        let seen = send(kernel, turn, filling, &steps);
        // Whatever became of it.
        turn.set(turn.limit())?;
        let Some(seen) = seen? else {
            // Short-lived entries made its pauses short. Over an empty table they are a minute again.
            kernel.flush()?;
            std::thread::sleep(Duration::from_secs(3));
            continue;
        };
        let models = (0..MODELS).map(|key| model(&seen, turn.limit(), udp_timeout, key, None));
        let models = models.collect::<io::Result<Vec<_>>>()?;
        let totals = compare(&seen.totals, &models);
        return Ok(Outcome { packets: seen.packets.len(), totals, disturbed });
    }
    Err(Error::other(format!("{}: the collector came in between each time", filling.name)))
}

/// `None` when the kernel's collector came in between: it evicts too.
fn send(
    kernel: &mut Kernel,
    turn: &Turn,
    filling: &Filling,
    steps: &[Step],
) -> io::Result<Option<Seen>> {
    let limit = turn.limit();
    kernel.flush()?;
    let before = kernel.counters()?;
    let clock = Clock::default();
    let buckets = crate::kernel::setting("nf_conntrack_buckets")?;
    let buckets = buckets.ok_or_else(|| Error::other("no nf_conntrack_buckets"))?;
    let (mut packets, mut limits) = (Vec::new(), Vec::new());
    let mut fullest = 0;
    for step in steps {
        match step {
            Step::Wait(span) => std::thread::sleep(*span),
            Step::Limit(limit) => {
                turn.set(*limit)?;
                limits.push((packets.len(), *limit));
            }
            Step::Packet(packet) => {
                kernel.send(packet, &Treatment::default())?;
                packets.push((clock.now(), packet.clone()));
                if packets.len() % LOOK == 0 {
                    let count = kernel.count()?;
                    // Lookups and early drop take an entry or two at a time, the collector hundreds.
                    // Under half the limit early drop may take more than comes.
                    let margin = if filling.halved { limit / 8 } else { limit / 40 };
                    let sank = fullest > count + margin;
                    fullest = if filling.expired { count } else { fullest.max(count) };
                    if sank {
                        return Ok(None);
                    }
                }
            }
        }
    }
    let counted = kernel.count()?;
    let after = kernel.counters()?;
    let entries = kernel.entries()?;
    let totals = Totals::of(&after, &before, counted, &entries);
    Ok(Some(Seen { packets, limits, before, totals, buckets }))
}

/// `pass`: when the collector comes; `None`: it stays away.
fn model(
    seen: &Seen,
    limit: u64,
    udp_timeout: u64,
    hash_key: u64,
    pass: Option<Time>,
) -> io::Result<Totals> {
    let profile: &Profile = running()?;
    let mut settings = Settings::of(profile, Bytes(8 << 30));
    (settings.max, settings.buckets) = (limit, seen.buckets);
    (settings.hz, settings.udp[0]) = (Clock::default().hz(), udp_timeout as u32);
    let tick = 1_000_000_000 / i64::from(settings.hz);
    let first = seen.packets.first().map_or(Time(0), |(at, _)| *at);
    let phase = pass.map_or(u32::MAX, |pass| ((pass.0 - first.0) / tick) as u32);
    let config = Config { hash_key, collector_phase: phase, ..Config::new(profile, settings) };
    let mut model = Model::new(config);
    let mut limits = seen.limits.iter().peekable();
    for (place, (at, packet)) in seen.packets.iter().enumerate() {
        while let Some((_, limit)) = limits.next_if(|(from, _)| *from <= place) {
            model.change(|own| own.max = *limit);
        }
        if let Ok(packet) = parse_ip(packet) {
            model.packet(*at, &packet, &Treatment::default());
        }
    }
    if let Some(pass) = pass {
        model.advance(pass);
    }
    let entries: Vec<Entry> = model.entries().collect();
    Ok(Totals::of(model.counters(), &Counters::new(), model.counted() as u64, &entries))
}

fn compare(kernel: &Totals, models: &[Totals]) -> Vec<Compared> {
    let n = models.len() as f64;
    let one = |(place, name): (usize, &&'static str)| {
        let mean = models.iter().map(|m| m.0[place]).sum::<f64>() / n;
        let squares = models.iter().map(|m| (m.0[place] - mean).powi(2)).sum::<f64>();
        let deviation = (squares / (n - 1.0)).sqrt();
        Compared { name, kernel: kernel.0[place], mean, deviation }
    };
    NAMES.iter().enumerate().map(one).collect()
}
