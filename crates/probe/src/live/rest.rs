//! What is read while the interval passes: the host, its log, its rules, its settings.

use std::time::{Duration, Instant};

use plimsoll_diagnosis::facts::{BootFiles, Fact, Gap, Host, LogDigest, Reason};

use super::discover::Found;
use super::enter::{self, Visit};
use super::filters::{self, Filter};
use super::namespace::{Light, Static};
use super::{Options, Stamp, Watch, calls, host};

/// What is read while the interval passes.
pub(super) struct Rest {
    pub(super) host: Host,
    pub(super) log: Fact<LogDigest>,
    pub(super) boot: BootFiles,
    /// Rules and tracking of each namespace.
    pub(super) rules: Vec<Filter>,
    /// Limits and settings of each namespace.
    pub(super) statics: Vec<Visit<Static>>,
    pub(super) timings: Vec<(&'static str, Duration)>,
}

impl Rest {
    pub(super) fn read(options: &Options, doors: &[&Found], counts: &[Option<u64>]) -> Self {
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
    pub(super) fn failed(namespaces: usize) -> Self {
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
pub(super) fn settings_of_filled(
    doors: &[&Found],
    second: &[Visit<Light>],
    statics: &mut [Visit<Static>],
) {
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
