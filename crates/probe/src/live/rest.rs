//! What is read while the interval passes: the host, its log, its rules, its settings.

use std::time::{Duration, Instant};

use plimsoll_diagnosis::facts::{BootFiles, Fact, Gap, Host, LogDigest, Reason};
use plimsoll_diagnosis::said;

use super::discover::Found;
use super::enter::{self, Visit};
use super::filters::{self, Filter};
use super::namespace::{self, Light, Static};
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
            detail: said!("{what}: not asked for", "{what}：没有要求读"),
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
            false => doors.iter().map(|_| Filter::missing(&unasked("rules"))).collect(),
        };
        if let (Some(first), Some(door)) = (rules.first(), doors.first()) {
            crate::config::add_of_rules(&mut boot.managers, &first.rules, door.inode);
        }
        let log = match options.log {
            true => watch.time("log", || {
                calls::log(Stamp::now().wall, host.name.value().map(String::as_str))
            }),
            false => Fact::Missing(unasked("log")),
        };
        let statics = watch
            .time("settings", || statics(doors, counts, options.only.is_empty(), EMPTY_SETTINGS));
        Self { host, log, boot, rules, statics, timings: watch.parts }
    }

    /// The thread stopped: what it would have read is missing.
    pub(super) fn failed(namespaces: usize) -> Self {
        let gap = || Gap {
            reason: Reason::Failed,
            detail: said!("the reader stopped", "读取中途停了"),
            needs: None,
        };
        Self {
            host: host::read(),
            log: Fact::Missing(gap()),
            boot: BootFiles::missing(&gap()),
            rules: (0..namespaces).map(|_| Filter::missing(&gap())).collect(),
            statics: (0..namespaces).map(|_| Visit::Refused(gap())).collect(),
            timings: Vec::new(),
        }
    }
}

/// Time for the settings of empty tables: nothing hangs on them yet, and a node may have a thousand.
const EMPTY_SETTINGS: Duration = Duration::from_millis(50);

/// Limits and settings of each namespace. `all`: nobody named these; then the settings of empty tables may take so long, but
/// for the reader's own and the host's.
fn statics(
    doors: &[&Found],
    counts: &[Option<u64>],
    all: bool,
    mut left: Duration,
) -> Vec<Visit<Static>> {
    enter::each(doors, |here, place| {
        let empty = all && counts[place] == Some(0) && namespace::is_one_of_many(doors[place]);
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// Here, in the namespace that the test is in, as the reader's own or as one of many, with no time left.
    fn read(own: bool, all: bool) -> bool {
        let inode = std::fs::metadata("/proc/self/ns/net").ok().map(|m| m.ino());
        let found = Found { inode, own, pids: vec![std::process::id()], ..Found::default() };
        match &statics(&[&found], &[Some(0)], all, Duration::ZERO)[..] {
            [Visit::Read(read)] => !read.settings.is_empty(),
            _ => false,
        }
    }

    #[test]
    fn settings_of_the_namespace_that_is_meant_are_read_however_long_that_takes() {
        if !std::path::Path::new("/proc/sys/net/netfilter/nf_conntrack_max").exists()
            || !rustix::process::geteuid().is_root()
        {
            eprintln!("skipped: needs root and nf_conntrack");
            return;
        }
        assert!(read(true, true), "the reader's own");
        assert!(read(false, false), "one that was named");
        assert!(!read(false, true), "one of many, with an empty table");
    }
}
