//! One run: frames through both, at the same times.

use std::io;
use std::path::Path;
use std::time::Duration;

use plimsoll_ct::{Bytes, Counter, Counters, Entry, KernelVersion, Profile, Time};
use plimsoll_model::{Behaviour, Config, Fate, Model, Settings, Treatment};
use plimsoll_wire::packet::{LinkType, Packet, network_layer, parse_ip};

use crate::again::{Again, Change, Seen};
use crate::compare::{self, Difference};
use crate::frames::Planned;
use crate::full::Buckets;
use crate::kernel::{
    self, Classes, FRAGMENT_BYTES, FRAGMENT_SECONDS, Kernel, class, class_name, frame,
};
use crate::vlan::{Tag, Tags};

/// How a plan's times become real ones.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// No pause is longer.
    pub longest_pause: Duration,
    /// Pauses sum up to no more.
    pub longest_run: Duration,
}

impl Pace {
    /// Without a pause.
    pub const NONE: Self = Self { longest_pause: Duration::ZERO, longest_run: Duration::ZERO };
    /// Pauses that are long enough to tell ticks apart.
    pub const SHORT: Self =
        Self { longest_pause: Duration::from_millis(5), longest_run: Duration::from_millis(500) };
}

/// Kernel and model side by side.
pub struct Pair {
    /// The kernel.
    pub kernel: Kernel,
    /// The model.
    pub model: Model,
    settings: Vec<(String, u64)>,
    /// What the settings were before.
    defaults: Vec<(String, u64)>,
    /// What those were that changed while packets flowed.
    changed: Vec<(String, u64)>,
    clock: Clock,
    numbered: u32,
    before: (Counters, Counters),
    /// The kernel's classes of packets before, the model's since.
    classes: (Classes, Classes),
    /// They change while packets flow.
    pub(crate) buckets: Option<Buckets>,
    /// Frames come with these.
    tags: Option<Tags>,
    /// What both saw since they were emptied.
    seen: Seen,
    /// Packets that went through a grid as well.
    pub(crate) in_grids: usize,
}

/// With these settings, the collector's first run so many ticks behind the first packet.
fn fresh(settings: &[(String, u64)], phase: Option<u32>) -> io::Result<Model> {
    let mut model = Model::new(config(phase)?);
    // The router's policies were made before, of what its namespace had then.
    for (name, value) in settings {
        Change::Setting(name.clone(), *value).of(&mut model).map_err(io::Error::other)?;
    }
    Ok(model)
}

/// With the machine's settings.
fn config(phase: Option<u32>) -> io::Result<Config> {
    let profile = running()?;
    let mut own = Settings::of(profile, Bytes(8 << 30));
    own.fragment_bytes = FRAGMENT_BYTES.parse().map_err(io::Error::other)?;
    own.fragments_v4 = FRAGMENT_SECONDS.parse().map_err(io::Error::other)?;
    own.fragments_v6 = own.fragments_v4;
    own.hz = Clock::default().hz();
    own.policies = kernel::policies()?;
    // To compare is what we are here for.
    own.complaints = true;
    // The machine's: a small one's is soon full.
    if let Some(most) = kernel::setting("nf_conntrack_expect_max")? {
        own.expect_max = most;
    }
    let mut config = Config::new(profile, own);
    config.collector_phase = phase.unwrap_or(config.collector_phase);
    Ok(config)
}

/// The profile of the running kernel.
pub fn running() -> io::Result<&'static Profile> {
    let release = release();
    let version = KernelVersion::parse(&release);
    let version = version.ok_or_else(|| io::Error::other(format!("not a release: {release}")))?;
    Ok(Profile::of(&version))
}

/// The release of the running kernel.
pub fn release() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim().to_owned()
}

/// Series of kernels that were compared with their profile.
const COMPARED: &[&str] = &["6.18."];

/// Whether the running kernel is one that the model claims to equal.
pub fn is_compared() -> bool {
    let release = release();
    COMPARED.iter().any(|series| release.starts_with(series))
}

/// What a test beside the kernel needs and has not, if anything.
fn lacks() -> Option<String> {
    // SAFETY: takes no arguments.
    if unsafe { libc::geteuid() } != 0 {
        return Some("root, to make network namespaces".into());
    }
    if !Path::new("/proc/sys/net/netfilter/nf_conntrack_max").exists() {
        return Some("a kernel with conntrack".into());
    }
    let other = || format!("a kernel that a profile was compared with, not {}", release());
    (!is_compared()).then(other)
}

/// Whether a test beside the kernel can run here; says so when not.
///
/// # Panics
///
/// In CI, which must have all that is needed.
pub fn ready() -> bool {
    let Some(what) = lacks() else { return true };
    assert!(std::env::var_os("CI").is_none(), "CI must have {what}");
    eprintln!("skipped: needs {what}");
    false
}

fn clock(read: impl FnOnce(*mut libc::timespec) -> i32) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    read(&raw mut time);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

fn coarse() -> i64 {
    // SAFETY: the pointer is to a timespec that outlives the call.
    clock(|time| unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, time) })
}

fn tick() -> i64 {
    // SAFETY: the pointer is to a timespec that outlives the call.
    clock(|time| unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, time) }).max(1)
}

/// The kernel's own tick: its coarse clock steps with it, but for a jitter that is rounded away.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    tick: i64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { tick: tick() }
    }
}

impl Clock {
    /// Now, at a tick.
    pub fn now(&self) -> Time {
        Time((coarse() + self.tick / 2) / self.tick * self.tick)
    }

    /// Ticks in a second.
    pub fn hz(&self) -> u32 {
        (1_000_000_000 / self.tick) as u32
    }
}

/// A packet that the router sends to itself.
fn loopback(model: &mut Model, at: Time, packet: &Packet<'_>, treatment: &Treatment) {
    // It does not answer: a rule drops what arrives.
    let arriving = Treatment { fate: Fate::Dropped, ..*treatment };
    model.loopback(at, packet, treatment, &arriving);
}

impl Pair {
    /// Both with empty tables and these settings, by their names under net.netfilter.
    pub fn new(settings: &[(&str, u64)]) -> io::Result<Self> {
        let kernel = Kernel::new()?;
        let model = fresh(&[], None)?;
        let before = Default::default();
        let (defaults, own) = (Vec::new(), Vec::new());
        let mut pair = Self {
            kernel,
            model,
            settings: own,
            defaults,
            changed: Vec::new(),
            clock: Clock::default(),
            numbered: 0,
            before,
            classes: Default::default(),
            buckets: None,
            tags: None,
            seen: Seen::default(),
            in_grids: 0,
        };
        pair.configure(settings)?;
        Ok(pair)
    }

    /// Empties both and gives them other settings; the rest are the defaults. What this kernel has no
    /// setting for stays as it is.
    pub fn configure(&mut self, settings: &[(&str, u64)]) -> io::Result<()> {
        self.unchange()?;
        for (name, value) in self.defaults.drain(..) {
            self.kernel.set(&name, value)?;
        }
        self.settings.clear();
        for (name, value) in settings {
            let Some(before) = kernel::setting(name)? else { continue };
            self.defaults.push(((*name).to_owned(), before));
            self.kernel.set(name, *value)?;
            self.settings.push(((*name).to_owned(), *value));
        }
        self.reset()
    }

    /// Changes a setting while packets flow, until both are emptied. What this kernel has no setting for stays as it
    /// is.
    pub fn change(&mut self, name: &str, value: u64) -> io::Result<()> {
        let Some(before) = kernel::setting(name)? else { return Ok(()) };
        self.changed.push((name.to_owned(), before));
        self.kernel.set(name, value)?;
        let change = Change::Setting(name.to_owned(), value);
        change.of(&mut self.model).map_err(io::Error::other)?;
        self.seen.change(change);
        Ok(())
    }

    /// Takes both policies away while entries live by them.
    pub fn remove_policies(&mut self) -> io::Result<()> {
        self.kernel.remove_policies()?;
        Change::Policies.of(&mut self.model).map_err(io::Error::other)?;
        self.seen.change(Change::Policies);
        Ok(())
    }

    fn unchange(&mut self) -> io::Result<()> {
        // The oldest value last.
        self.changed.drain(..).rev().try_for_each(|(name, value)| self.kernel.set(&name, value))
    }

    /// From now on the number of buckets changes while packets flow.
    pub fn rehash(&mut self, buckets: Buckets) {
        self.buckets = Some(buckets);
    }

    /// From now on frames come with tags. What the kernel refused of it, if anything.
    pub fn tag(&mut self) -> io::Result<Option<io::Error>> {
        let (tags, refused) = Tags::new()?;
        self.tags = Some(tags);
        Ok(refused)
    }

    /// The tags that frames came with.
    pub const fn tags(&self) -> Option<&Tags> {
        self.tags.as_ref()
    }

    /// A number that no flow had.
    pub fn number(&mut self) -> u32 {
        self.numbered += 1;
        self.numbered
    }

    /// Empties both.
    pub fn reset(&mut self) -> io::Result<()> {
        self.unchange()?;
        self.kernel.flush()?;
        if let Some(tags) = &mut self.tags {
            tags.begin();
        }
        self.model = fresh(&self.settings, None)?;
        self.seen = Seen::default();
        self.before = (self.kernel.counters()?, *self.model.counters());
        self.classes = (self.kernel.classes()?, Classes::default());
        Ok(())
    }

    /// Empties both, at a tick of the kernel's counter, which is this time for the model: its timers ring when the kernel's do. Its
    /// collector stays away.
    pub(crate) fn begin_at(&mut self, tick: u64, time: Time) -> io::Result<()> {
        self.reset()?;
        // The first run is at a moment that every level of the wheel knows.
        let phase = (1 << 24) - (tick % (1 << 24)) as u32;
        self.model = fresh(&self.settings, Some(phase))?;
        self.model.advance(time);
        Ok(())
    }

    /// Now, at a tick of the kernel.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// One packet through both.
    pub fn feed(&mut self, packet: &[u8], treatment: &Treatment) -> io::Result<()> {
        let treatment = &self.kernel.able(treatment);
        match &mut self.tags {
            Some(tags) if !treatment.local => {
                let tags = tags.next(packet);
                self.feed_tagged(packet, treatment, tags)
            }
            Some(_) | None => {
                self.kernel.send(packet, treatment)?;
                self.tell(self.now(), packet, treatment);
                Ok(())
            }
        }
    }

    /// A copy of it with tags that lead nowhere, if there are any, through the kernel, then it with those that lead to the router through
    /// both.
    fn feed_tagged(
        &mut self,
        packet: &[u8],
        treatment: &Treatment,
        [nowhere, tags]: [&[Tag]; 2],
    ) -> io::Result<()> {
        if !nowhere.is_empty() {
            self.kernel.transmit(&frame(packet, treatment, nowhere))?;
        }
        let frame = frame(packet, treatment, tags);
        self.kernel.transmit(&frame)?;
        let at = self.now();
        if let Ok(packet) = network_layer(LinkType::Ethernet, &frame) {
            self.tell(at, packet, treatment);
        }
        Ok(())
    }

    /// The model's part of it: a packet that the kernel saw at that time.
    pub fn tell(&mut self, at: Time, packet: &[u8], treatment: &Treatment) {
        self.seen.note(at, packet, treatment);
        let Ok(packet) = parse_ip(packet) else { return };
        if treatment.local {
            loopback(&mut self.model, at, &packet, treatment);
        } else {
            let step = self.model.packet(at, &packet, treatment);
            if let Some(class) = class(&step) {
                self.classes.1[class] += 1;
            }
        }
    }

    /// All packets of a plan through both.
    pub fn play(&mut self, plan: &[Planned], pace: Pace) -> io::Result<()> {
        let mut last = 0;
        let mut slept = Duration::ZERO;
        for planned in plan {
            let pause = Duration::from_nanos((planned.at - last).max(0).unsigned_abs());
            let pause = pause.min(pace.longest_pause).min(pace.longest_run.saturating_sub(slept));
            last = planned.at;
            if !pause.is_zero() {
                slept += pause;
                std::thread::sleep(pause);
            }
            self.feed(&planned.packet, &planned.treatment)?;
        }
        Ok(())
    }

    /// What differs now.
    pub fn differences(&mut self) -> io::Result<Vec<Difference>> {
        let (mut differences, entries, now) = self.compared()?;
        differences.extend(self.again(&entries, now)?);
        Ok(differences)
    }

    /// The same of the packets as they came, one by one: it takes no longer the more there were.
    pub fn differences_one_by_one(&mut self) -> io::Result<Vec<Difference>> {
        Ok(self.compared()?.0)
    }

    /// That, the kernel's entries, and when it listed them.
    fn compared(&mut self) -> io::Result<(Vec<Difference>, Vec<Entry>, Time)> {
        // On a busy machine a dump may take longer than the comparison tolerates.
        let mut before = self.now();
        let mut entries = self.kernel.entries()?;
        while self.now().0 - before.0 > 300_000_000 {
            before = self.now();
            entries = self.kernel.entries()?;
        }
        self.model.advance(before);
        let mut differences = compare::entries(&entries, &self.model.snapshot());
        let expected = compare::expectations(&self.model);
        differences.extend(compare::expected(&self.kernel.expectations()?, &expected));
        differences.extend(self.counted()?);
        Ok((differences, entries, before))
    }

    /// What differs if the packets are led together.
    fn again(&mut self, entries: &[Entry], now: Time) -> io::Result<Vec<Difference>> {
        let mut differences = Vec::new();
        let after = self.kernel.counters()?;
        let batched = self.seen.in_batches(fresh(&self.settings, None)?, |model, arrival| {
            loopback(model, arrival.at, &arrival.packet, &arrival.treatment);
        });
        let mut config = config(None)?;
        for (name, value) in &self.settings {
            config.settings.set(name, *value).map_err(io::Error::other)?;
        }
        let timeouts = !self.settings.iter().any(|(name, _)| name.contains("_timeout"));
        let (grid, apart) = self.seen.in_grid(&config, timeouts).unzip();
        self.in_grids += grid.as_ref().map_or(0, |_| self.seen.len());
        differences.extend(apart.flatten().map(Difference::Apart));
        let batched = batched.map_err(io::Error::other)?;
        for Again { led_by, mut model, classes } in [batched].into_iter().chain(grid) {
            model.advance(now);
            let mut own = compare::entries(entries, &model.snapshot());
            own.extend(self.counted_by(&model, &classes, &after)?);
            let led = |difference| Difference::Led { led_by, difference: Box::new(difference) };
            differences.extend(own.into_iter().map(led));
        }
        Ok(differences)
    }

    /// What of that is counted.
    pub fn counted(&mut self) -> io::Result<Vec<Difference>> {
        let after = self.kernel.counters()?;
        self.counted_by(&self.model, &self.classes.1, &after)
    }

    fn counted_by(
        &self,
        model: &Model,
        classes: &Classes,
        after: &Counters,
    ) -> io::Result<Vec<Difference>> {
        let mut differences = Vec::new();
        let (kernel, begun) = &self.before;
        differences.extend(compare::counters(kernel, after, (begun, model.counters())));
        let (before, _) = &self.classes;
        let growth = self.kernel.classes()?.into_iter().zip(before).map(|(after, b)| after - b);
        let both = growth.zip(*classes).enumerate().filter(|(_, (kernel, model))| kernel != model);
        differences.extend(both.map(|(place, (kernel, model))| Difference::Class {
            class: class_name(place),
            kernel,
            model,
        }));
        let orphans = compare::orphans(model) as u64;
        differences.retain(|difference| match difference {
            Difference::Counter { counter: Counter::ExpectDelete, kernel, model } => {
                *kernel != model + orphans
            }
            _ => true,
        });
        if Behaviour::of(running()?).expectations_linger {
            // Who comes by what lingers is chance: a bucket of a hash with a secret.
            let counters = model.counters();
            let created = counters.get(Counter::ExpectCreate).unwrap_or(0);
            let most = created.saturating_sub(model.expectations().count() as u64);
            differences.retain(|difference| match difference {
                Difference::Counter { counter: Counter::ExpectDelete, kernel, model } => {
                    !(*model..=most).contains(kernel)
                }
                _ => true,
            });
        }
        Ok(differences)
    }

    /// Plays again, looking after each packet: the first that makes a difference, with it.
    pub fn first_difference(
        &mut self,
        plan: &[Planned],
        pace: Pace,
    ) -> io::Result<Option<(usize, Vec<Difference>)>> {
        self.reset()?;
        for (i, window) in plan.iter().enumerate() {
            let before = if i == 0 { window.at } else { plan[i - 1].at };
            let shifted = Planned { at: window.at - before, ..window.clone() };
            self.play(&[shifted], pace)?;
            let differences = self.differences()?;
            if !differences.is_empty() {
                return Ok(Some((i, differences)));
            }
        }
        Ok(None)
    }
}
