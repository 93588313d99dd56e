//! The running host: two readings of it, an interval apart.
//!
//! Counters and gauges are read twice, in the same order, so that their growth divides by one span. What
//! takes long (the log, the rules, the files of booting) is read meanwhile, by another thread. The tables are
//! read before the first and after the second reading: a dump removes the expired entries it meets, which
//! would show as a change of the count.
//!
//! A network namespace is entered by a thread made for it; the caller's threads stay where they are.

mod budget;
mod calls;
mod cloud;
mod discover;
mod enter;
mod filters;
mod host;
mod namespace;
mod owners;
mod pulse;
mod select;
mod text;
mod walk;

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use plimsoll_ct::{Nanos, Time};
use plimsoll_diagnosis::facts::{
    BootFiles, Census, Fact, Gap, Host, LogDigest, Namespace, Owner, Reason, Snapshot, TableSample,
    TcpTimeouts,
};
use plimsoll_wire::ruleset::Ruleset;

use crate::table::Budget;
pub(crate) use budget::{Purse, order};
use discover::Discovery;
pub(crate) use discover::Found;
pub(crate) use enter::{Visit, each};
use filters::Filter;
use namespace::{Light, Static};
pub(crate) use owners::{Names, owners};
pub use pulse::Pulse;
pub use select::NamespaceSelector;
pub(crate) use text::{cut, read as read_text};
use walk::{Table, Walk};

/// What to read of the running host.
#[derive(Debug, Clone)]
pub struct Options {
    /// Time between the two readings.
    pub interval: Duration,
    /// Kernel time for reading tables, over all namespaces.
    pub dump_budget: Duration,
    /// Time for reading rules, over all namespaces.
    pub rules_budget: Duration,
    /// Namespaces to read; empty: all.
    pub only: Vec<NamespaceSelector>,
    /// Whether tables are read.
    pub census: bool,
    /// Whether rules are read.
    pub rules: bool,
    /// Whether the log is read.
    pub log: bool,
    /// Whether the files that take part in booting are read.
    pub boot: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            dump_budget: Duration::from_secs(1),
            rules_budget: Duration::from_secs(2),
            only: Vec::new(),
            census: true,
            rules: true,
            log: true,
            boot: true,
        }
    }
}

/// Two readings of the running host.
#[derive(Debug)]
pub struct Observation {
    /// The first: counters and gauges of each namespace.
    pub before: Snapshot,
    /// The second: everything.
    pub after: Snapshot,
    /// Choices that no namespace answers to.
    pub unmatched: Vec<NamespaceSelector>,
    /// What each part took. Parts overlap: the log is read while the interval passes.
    pub timings: Vec<(&'static str, Duration)>,
}

/// The host without its tables: kernel, memory, modules.
pub(crate) fn host_alone() -> Host {
    host::read()
}

/// Settings of the calling thread's namespace.
pub(crate) fn settings_here() -> std::collections::BTreeMap<String, String> {
    namespace::all_settings()
}

/// Whether the calling thread is in the initial namespace.
pub(crate) fn in_initial_namespace() -> bool {
    discover::has_files_of_the_initial()
}

/// Reads the running host.
pub fn observe(options: &Options) -> Observation {
    let mut watch = Watch::default();
    let (chosen, complete, unmatched) = watch.time("find namespaces", || choose(&options.only));
    let doors: Vec<&Found> = chosen.iter().map(|c| &c.found).collect();

    let counts = watch.time("counts", || counts(&doors));
    let mut walk = Walk::over(&counts).filter(|_| options.census);
    let samples = match options.census {
        true => watch.time("first table reading", || {
            let budget = options.dump_budget / 10;
            let walked = walk.as_mut().and_then(|w| w.samples(Budget::of(budget), &doors, &counts));
            walked.unwrap_or_else(|| {
                walk = None;
                samples(budget, &doors, &counts)
            })
        }),
        false => doors.iter().map(|_| None).collect(),
    };

    let first_cloud = watch.time("cloud", cloud::allowances);
    let (first_at, first) = watch.time("first counters", || reading(&chosen));
    let due = Instant::now() + options.interval;
    let (second, rest) = thread::scope(|scope| {
        let rest = scope.spawn(|| Rest::read(options, &doors, &counts));
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let second = watch.time("second counters", || reading(&chosen));
        (second, rest.join().unwrap_or_else(|_| Rest::failed(doors.len())))
    });
    let (second_at, second) = second;
    let second_cloud = watch.time("cloud again", cloud::allowances);
    watch.parts.extend(&rest.timings);
    // What took longer than the interval has no rate by it.
    let again = match due.elapsed() < options.interval / 10 {
        true => watch
            .time("rules again", || filters::again(&rest.host, &rest.boot, &doors, &rest.rules)),
        false => Vec::new(),
    };
    let mut statics = rest.statics;
    settings_of_filled(&doors, &second, &mut statics);

    let mut assembly = Assembly::new(chosen, first, second, statics, rest.rules);
    assembly.rules_again(again);
    if options.census {
        let budget = options.dump_budget - options.dump_budget / 10;
        watch.time("table reading", || assembly.censuses(budget, samples, walk));
    }
    let (before, after) = assembly.finish();

    let mut host = rest.host;
    host.profile = host::corrected(&host.profile, after.first().and_then(|n| n.counters.value()));
    let later = || Gap { reason: Reason::NotAsked, detail: "read once, later".into(), needs: None };
    let snapshot = |stamp: Stamp, namespaces, log, boot, cloud| Snapshot {
        at: stamp.wall,
        monotonic: Some(stamp.monotonic),
        host: host.clone(),
        namespaces,
        namespaces_complete: complete.clone(),
        whole: Fact::known((), "the running host"),
        log,
        boot,
        cloud,
    };
    let (log, boot) = (Fact::Missing(later()), BootFiles::missing(&later()));
    Observation {
        before: snapshot(first_at, before, log, boot, first_cloud),
        after: snapshot(second_at, after, rest.log, rest.boot, second_cloud),
        unmatched,
        timings: watch.parts,
    }
}

/// Every namespace there is.
pub(crate) fn found() -> Vec<Found> {
    discover::discover().namespaces
}

/// Namespaces that answer to a choice, with their owners, and the choices that none answers to.
pub(crate) fn chosen(
    only: &[NamespaceSelector],
) -> (Vec<(Found, Vec<Owner>)>, Vec<NamespaceSelector>) {
    let (chosen, _, unmatched) = choose(only);
    (chosen.into_iter().map(|c| (c.found, c.owners)).collect(), unmatched)
}

/// Entries of the calling thread's namespace, as it counts them.
pub(crate) fn count_here() -> Option<u64> {
    namespace::count_setting().get().map(|count| count.0)
}

/// A namespace that is to be read.
#[derive(Debug)]
struct Chosen {
    found: Found,
    owners: Vec<Owner>,
}

fn choose(only: &[NamespaceSelector]) -> (Vec<Chosen>, Fact<()>, Vec<NamespaceSelector>) {
    let Discovery { namespaces, complete } = discover::discover();
    let mut names = Names::default();
    let all = namespaces.into_iter().map(|found| {
        let owners = owners(&found, &mut names);
        Chosen { found, owners }
    });
    if only.is_empty() {
        return (all.collect(), complete, Vec::new());
    }
    let mut matched = vec![false; only.len()];
    let mut chosen = Vec::new();
    for one in all {
        let mut wanted = false;
        for (selector, matched) in only.iter().zip(&mut matched) {
            let hit = selector.matches(&one.found, &one.owners);
            *matched |= hit;
            wanted |= hit;
        }
        if wanted {
            chosen.push(one);
        }
    }
    let unmatched = only.iter().zip(matched).filter(|(_, hit)| !hit).map(|(s, _)| s.clone());
    let complete = Fact::missing(Reason::NotAsked, "only the chosen namespaces were read");
    (chosen, complete, unmatched.collect())
}

/// When a reading was made.
#[derive(Clone, Copy)]
struct Stamp {
    wall: Time,
    monotonic: Nanos,
}

impl Stamp {
    fn now() -> Self {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let seconds = u64::try_from(clock.tv_sec).unwrap_or(0);
        let nanos =
            seconds.saturating_mul(1_000_000_000).saturating_add(clock.tv_nsec.unsigned_abs());
        let wall = i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX);
        Self { wall: Time(wall), monotonic: Nanos(nanos) }
    }
}

fn reading(chosen: &[Chosen]) -> (Stamp, Vec<Visit<Light>>) {
    let doors: Vec<&Found> = chosen.iter().map(|c| &c.found).collect();
    let at = Stamp::now();
    (at, enter::each(&doors, |here, index| Light::read(here, &chosen[index].found)))
}

/// Time for the settings of empty tables: nothing hangs on them yet, and a node may have a thousand.
const EMPTY_SETTINGS: Duration = Duration::from_millis(50);

/// Limits and settings of each namespace.
fn statics(doors: &[&Found], counts: &[Option<u64>]) -> Vec<Visit<Static>> {
    let mut left = EMPTY_SETTINGS;
    enter::each(doors, |here, place| {
        let empty = counts[place] == Some(0) && !doors[place].initial;
        let start = Instant::now();
        let statics = Static::read(here, !empty || !left.is_zero());
        if empty {
            left = left.saturating_sub(start.elapsed());
        }
        statics
    })
}

/// The settings that were left out of tables that were empty before the interval and are not any more.
fn settings_of_filled(doors: &[&Found], second: &[Visit<Light>], statics: &mut [Visit<Static>]) {
    let filled = |&place: &usize| match &second[place] {
        Visit::Read(light) => light.count.get().is_some_and(|count| count.0 > 0),
        Visit::Refused(_) | Visit::Gone => false,
    };
    let places: Vec<usize> = (0..doors.len())
        .filter(|&place| matches!(&statics[place], Visit::Read(read) if read.settings.is_empty()))
        .filter(filled)
        .collect();
    if places.is_empty() {
        return;
    }
    let again: Vec<&Found> = places.iter().map(|&place| doors[place]).collect();
    let read = enter::each(&again, |here, _| Static::read(here, true));
    for (place, visit) in places.into_iter().zip(read) {
        statics[place] = visit;
    }
}

/// `None`: not to be had.
pub(crate) fn counts(doors: &[&Found]) -> Vec<Option<u64>> {
    enter::each(doors, |here, index| namespace::count(here, doors[index]))
        .into_iter()
        .map(|visit| match visit {
            Visit::Read(count) => count,
            Visit::Refused(_) | Visit::Gone => None,
        })
        .collect()
}

/// A part of each table, the fullest first, as long as the budget lasts.
fn samples(budget: Duration, doors: &[&Found], counts: &[Option<u64>]) -> Vec<Option<TableSample>> {
    let order = order(counts);
    let known: Vec<u64> = order.iter().map(|(_, count)| *count).collect();
    let all = known.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
    let mut purse = Purse::new(budget, &known);
    let ordered: Vec<&Found> = order.iter().map(|(index, _)| doors[*index]).collect();
    let taken = enter::each(&ordered, |here, place| {
        if here.outside.is_some() {
            return None;
        }
        let count = order[place].1;
        let share = purse.share(count)?;
        let start = Instant::now();
        let sample = calls::sample(calls::reader(count, all), share);
        let spent = start.elapsed();
        purse.spend(Budget { kernel: spent, wall: spent });
        sample
    });
    let mut samples: Vec<Option<TableSample>> = doors.iter().map(|_| None).collect();
    for ((index, _), visit) in order.into_iter().zip(taken) {
        if let Visit::Read(sample) = visit {
            samples[index] = sample;
        }
    }
    samples
}

/// What is read while the interval passes.
struct Rest {
    host: Host,
    log: Fact<LogDigest>,
    boot: BootFiles,
    /// Rules and tracking of each namespace.
    rules: Vec<Filter>,
    /// Limits and settings of each namespace.
    statics: Vec<Visit<Static>>,
    timings: Vec<(&'static str, Duration)>,
}

impl Rest {
    fn read(options: &Options, doors: &[&Found], counts: &[Option<u64>]) -> Self {
        let mut watch = Watch::default();
        let unasked = |what: &str| Gap {
            reason: Reason::NotAsked,
            detail: format!("{what}: not asked for"),
            needs: None,
        };
        let host = watch.time("host", host::read);
        let mut boot = match options.boot {
            true => watch.time("boot files", || calls::boot(host.kernel.value())),
            false => BootFiles::missing(&unasked("boot files")),
        };
        // The rules first: they are read again right after the interval.
        let rules = match options.rules {
            true => watch
                .time("rules", || filters::read(&host, &boot, options.rules_budget, doors, counts)),
            false => doors
                .iter()
                .map(|_| (Fact::Missing(unasked("rules")), Fact::Missing(unasked("tracking"))))
                .collect(),
        };
        if let Some((rules, _)) = rules.first() {
            crate::config::add_of_rules(&mut boot.managers, rules);
        }
        let log = match options.log {
            true => watch.time("log", || {
                calls::log(Stamp::now().wall, host.name.value().map(String::as_str))
            }),
            false => Fact::Missing(unasked("log")),
        };
        let statics = watch.time("settings", || statics(doors, counts));
        Self { host, log, boot, rules, statics, timings: watch.parts }
    }

    /// The thread stopped: what it would have read is missing.
    fn failed(namespaces: usize) -> Self {
        let gap =
            || Gap { reason: Reason::Failed, detail: "the reader stopped".into(), needs: None };
        Self {
            host: host::read(),
            log: Fact::Missing(gap()),
            boot: BootFiles::missing(&gap()),
            rules: (0..namespaces).map(|_| (Fact::Missing(gap()), Fact::Missing(gap()))).collect(),
            statics: (0..namespaces).map(|_| Visit::Refused(gap())).collect(),
            timings: Vec::new(),
        }
    }
}

/// The two readings of each namespace being put together.
struct Assembly {
    parts: Vec<(Found, Namespace, Namespace)>,
    /// For each part its place in the list that was asked.
    places: Vec<usize>,
}

impl Assembly {
    fn new(
        chosen: Vec<Chosen>,
        first: Vec<Visit<Light>>,
        second: Vec<Visit<Light>>,
        statics: Vec<Visit<Static>>,
        rules: Vec<Filter>,
    ) -> Self {
        let mut parts = Vec::new();
        let mut places = Vec::new();
        let lists = chosen.into_iter().zip(first).zip(second).zip(statics).zip(rules);
        for (place, ((((chosen, first), second), statics), (rules, tracking))) in lists.enumerate()
        {
            let Chosen { found, owners } = chosen;
            let light = |visit: Visit<Light>| match visit {
                Visit::Read(light) => Some(light.namespace(found.inode, owners.clone())),
                Visit::Refused(gap) => Some(namespace::unread(found.inode, owners.clone(), &gap)),
                Visit::Gone => None,
            };
            // What ended meanwhile has no rates: it is left out of both.
            let (Some(mut before), Some(mut after)) = (light(first), light(second)) else {
                continue;
            };
            if let Visit::Read(statics) = statics {
                before.max = statics.max.clone();
                after.max = statics.max;
                after.expect_max = statics.expect_max;
                after.expectations = statics.expectations;
                after.settings = statics.settings;
            }
            after.rules = rules;
            after.tracking = tracking;
            parts.push((found, before, after));
            places.push(place);
        }
        Self { parts, places }
    }

    /// Where rules were read twice, the first reading is that of the beginning.
    fn rules_again(&mut self, again: Vec<(usize, Fact<Ruleset>)>) {
        for (place, rules) in again {
            let Some(part) = self.places.iter().position(|p| *p == place) else { continue };
            let (_, before, after) = &mut self.parts[part];
            before.rules = std::mem::replace(&mut after.rules, rules);
        }
    }

    /// Reads the tables that are not empty, as long as the budget lasts: in one walk, where there is one.
    fn censuses(
        &mut self,
        budget: Duration,
        mut samples: Vec<Option<TableSample>>,
        walk: Option<Walk>,
    ) {
        let counts: Vec<Option<u64>> =
            self.parts.iter().map(|(_, _, after)| after.count.get().map(|c| c.0)).collect();
        let order = order(&counts);
        let walked = walk.and_then(|walk| self.walked(walk, budget, &order, &mut samples));
        let read = walked.unwrap_or_else(|| self.each(budget, &order, samples));
        for (_, _, after) in &mut self.parts {
            // Of those that are not read, all with a count are empty: nothing is left to see.
            after.census = match &after.count {
                Fact::Known { source, .. } => Fact::known(calls::empty_census(), source.clone()),
                Fact::Missing(gap) => Fact::Missing(gap.clone()),
            };
        }
        for ((index, _), visit) in order.into_iter().zip(read) {
            self.parts[index].2.census = match visit {
                Visit::Read(census) => census,
                Visit::Refused(gap) => Fact::Missing(gap),
                Visit::Gone => Fact::missing(Reason::Failed, "the namespace is gone"),
            };
        }
    }

    /// All in one walk. `None`: there is no census to be had.
    fn walked(
        &self,
        mut walk: Walk,
        budget: Duration,
        order: &[(usize, u64)],
        samples: &mut [Option<TableSample>],
    ) -> Option<Vec<Visit<Fact<Census>>>> {
        let tables = order.iter().map(|(index, _)| {
            let (found, _, after) = &self.parts[*index];
            let previous = samples[self.places[*index]].take();
            Some(Table { inode: found.inode?, timeouts: TcpTimeouts::of(after), previous })
        });
        let censuses = walk.censuses(Budget::of(budget), tables.collect::<Option<_>>()?)?;
        Some(censuses.into_iter().map(Visit::Read).collect())
    }

    /// One after another, the fullest first.
    fn each(
        &self,
        budget: Duration,
        order: &[(usize, u64)],
        mut samples: Vec<Option<TableSample>>,
    ) -> Vec<Visit<Fact<Census>>> {
        let known: Vec<u64> = order.iter().map(|(_, count)| *count).collect();
        let all = known.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
        let mut purse = Purse::new(budget, &known);
        let ordered: Vec<&Found> = order.iter().map(|(index, _)| &self.parts[*index].0).collect();
        enter::each(&ordered, |here, place| {
            if let Some(gap) = &here.outside {
                return Fact::Missing(gap.clone());
            }
            let (index, count) = order[place];
            let Some(share) = purse.share(count) else {
                return Fact::missing(Reason::NotAsked, "the time for reading tables was used up");
            };
            let previous = samples[self.places[index]].take();
            let start = Instant::now();
            let first = calls::reader(count, all);
            let census = calls::census(&self.parts[index].2, previous, first, share);
            let measured = census.value().and_then(|c| c.kernel_time);
            let wall = start.elapsed();
            let kernel = measured.map_or(wall, |t| Duration::from_nanos(t.0));
            purse.spend(Budget { kernel, wall });
            census
        })
    }

    fn finish(self) -> (Vec<Namespace>, Vec<Namespace>) {
        self.parts.into_iter().map(|(_, before, after)| (before, after)).unzip()
    }
}

/// What each part took.
#[derive(Default)]
struct Watch {
    parts: Vec<(&'static str, Duration)>,
}

impl Watch {
    fn time<T>(&mut self, part: &'static str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let value = work();
        self.parts.push((part, start.elapsed()));
        value
    }
}
