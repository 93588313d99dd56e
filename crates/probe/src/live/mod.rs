//! The running host: two readings of it, an interval apart.
//!
//! Counters and gauges are read twice, in the same order, so that their growth divides by one span. What
//! takes long (the log, the rules, the files of booting) is read meanwhile, by another thread. The tables are
//! read before the first and after the second reading: a dump removes the expired entries it meets, which
//! would show as a change of the count.
//!
//! A network namespace is entered by a thread made for it; the caller's threads stay where they are.

mod assembly;
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
mod rest;
mod select;
mod text;
mod walk;

pub use text::said_of;

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use plimsoll_ct::{Nanos, Time};
use plimsoll_diagnosis::facts::{BootFiles, Fact, Gap, Host, Owner, Reason, Snapshot, TableSample};
use plimsoll_diagnosis::said;
use plimsoll_wire::modules;

use crate::files::Files;
use crate::table::Budget;
use assembly::Assembly;
pub(crate) use budget::{Purse, order};
use discover::Discovery;
pub(crate) use discover::Found;
pub(crate) use enter::{Visit, each};
use namespace::Light;
pub(crate) use owners::{Names, owners};
pub use pulse::Pulse;
use rest::{Rest, settings_of_filled};
pub use select::NamespaceSelector;
pub(crate) use text::{cut, fact as read_fact, read as read_text};
use walk::Walk;

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

/// Whether anything on this host puts connections into a flow table.
pub fn offload() -> bool {
    let text = Files::live().text("/proc/modules");
    text.is_ok_and(|text| modules::parse(&text).is_ok_and(|loaded| modules::offload(&loaded)))
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
        let read = || Rest::read(options, &doors, &counts);
        let rest = thread::Builder::new().spawn_scoped(scope, read);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let second = watch.time("second counters", || reading(&chosen));
        // Where no thread can be started any more, it comes behind the interval.
        let rest = rest.map_or_else(|_| Ok(read()), |thread| thread.join());
        (second, rest.unwrap_or_else(|_| Rest::failed(doors.len())))
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
    let later = || Gap {
        reason: Reason::NotAsked,
        detail: said!("read once, later", "稍后读一次"),
        needs: None,
    };
    let snapshot = |stamp: Stamp, namespaces, log, boot, cloud| Snapshot {
        at: stamp.wall,
        monotonic: Some(stamp.monotonic),
        host: host.clone(),
        namespaces,
        namespaces_complete: complete.clone(),
        whole: Fact::known((), said!("the running host", "正在运行的主机")),
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

/// Every namespace that can be seen from here.
pub(crate) fn found() -> Vec<Found> {
    all().0
}

/// The same, and whether there are no others.
pub(crate) fn all() -> (Vec<Found>, Fact<()>) {
    let Discovery { namespaces, complete } = discover::discover();
    (namespaces, complete)
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
    let complete = Fact::missing(
        Reason::NotAsked,
        said!("only the chosen namespaces were read", "只读了选定的命名空间"),
    );
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
