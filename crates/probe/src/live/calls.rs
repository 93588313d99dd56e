//! Calls to the other readers of a running system, all in one place: the table, the rules, the log, the
//! files that take part in booting. What acts on a namespace acts on the calling thread's.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use plimsoll_ct::{CpuCounters, Entries, KernelVersion, Time};
use plimsoll_diagnosis::facts::{
    BootFiles, Census, CensusBuilder, Fact, Gap, Host, LogDigest, Namespace, Reader, Reason,
    TableSample, TcpTimeouts, Tracking,
};
use plimsoll_wire::ruleset::Ruleset;

use crate::files::Files;
use crate::rules;
use crate::table::{self, Budget, CensusOptions};

/// Rows of each grouping of a census.
const ROWS: usize = 20;

/// The per-CPU statistics.
pub(super) fn statistics() -> Fact<CpuCounters> {
    table::statistics()
}

/// A part of the table, to compare the census with.
pub(super) fn sample(kernel: Duration) -> Option<TableSample> {
    table::sample(budget(kernel), random())
}

/// Who fills the table.
pub(super) fn census(
    namespace: &Namespace,
    previous: Option<TableSample>,
    kernel: Duration,
) -> Fact<Census> {
    table::census(CensusOptions {
        budget: budget(kernel),
        previous,
        timeouts: TcpTimeouts::of(namespace),
        seed: random(),
        rows: ROWS,
    })
}

/// What reading an empty table gives, without the walk over the whole host's table.
pub(super) fn empty_census() -> Census {
    CensusBuilder::new(Reader::Ctnetlink, TcpTimeouts::DEFAULT, 0).finish(true, None, None, ROWS)
}

/// The wall clock may run three times as long: the machine may be busy with the flood itself.
fn budget(kernel: Duration) -> Budget {
    Budget { kernel, wall: kernel.saturating_mul(3) }
}

/// A number that nobody who fills the table can know.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// What is the same for all namespaces when their rules are read.
pub(super) struct Rules<'a> {
    reader: rules::Reader,
    host: &'a Host,
    boot: &'a BootFiles,
}

impl<'a> Rules<'a> {
    pub(super) fn new(host: &'a Host, boot: &'a BootFiles) -> Self {
        Self { reader: rules::Reader::new(&Files::live()), host, boot }
    }

    /// Packet-filter rules of the calling thread's namespace, and whether its packets are tracked.
    pub(super) fn here(&self, count: Option<u64>) -> (Fact<Ruleset>, Fact<Tracking>) {
        const COUNT: &str = "nf_conntrack_count";
        let found = self.reader.here();
        let count = match count {
            Some(count) => Fact::known(Entries(count), COUNT),
            None => Fact::missing(Reason::Failed, COUNT),
        };
        let tracking = rules::tracking(&rules::Signs {
            profile: &self.host.profile,
            modules: &self.host.modules,
            directives: &self.boot.modprobe,
            rules: &found,
            count: &count,
        });
        (found, tracking)
    }
}

/// What the kernel log says.
pub(super) fn log(now: Time, host: Option<&str>) -> Fact<LogDigest> {
    let ask = crate::log::Ask {
        live: true,
        now,
        boot: Some(crate::log::boot_time(now)),
        host,
        zone: None,
        extra: &[],
        limits: crate::log::Limits::default(),
    };
    crate::log::digest(&Files::live(), &ask)
}

/// What the files that take part in booting say.
pub(super) fn boot(kernel: Option<&KernelVersion>) -> BootFiles {
    crate::config::boot_files(&Files::live(), kernel, true)
}

/// Boot files of which nothing is known, for one reason.
pub(super) fn no_boot(gap: &Gap) -> BootFiles {
    BootFiles {
        sysctl: Fact::Missing(gap.clone()),
        sysctl_unapplied: Vec::new(),
        sysctl_loader: Fact::Missing(gap.clone()),
        modprobe: Fact::Missing(gap.clone()),
        modules_load: Fact::Missing(gap.clone()),
        iptables_config: Fact::Missing(gap.clone()),
        managers: Fact::Missing(gap.clone()),
    }
}
