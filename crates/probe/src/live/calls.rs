//! Calls to the other readers of a running system, all in one place: the table, the rules, the log, the
//! files that take part in booting. What acts on a namespace acts on the calling thread's.

use plimsoll_ct::{CpuCounters, Entries, KernelVersion, Time};
use plimsoll_diagnosis::facts::{
    BootFiles, Census, CensusBuilder, Fact, Host, LogDigest, Reader, Source, TableSample,
    TcpTimeouts,
};
use plimsoll_wire::modprobe::ModuleDirective;

use super::filters::Filter;
use crate::files::Files;
use crate::rules;
use crate::seed::seed;
use crate::table::{self, Budget, CensusOptions};

/// Rows of each grouping of a census.
pub(super) const ROWS: usize = 20;

/// The per-CPU statistics.
pub(super) fn statistics() -> Fact<CpuCounters> {
    table::statistics()
}

/// Which way a table of so many entries is read, on a machine with so many in all. A small one's proc file
/// costs a fiftieth of its dump; on old kernels a large one's costs the square of its length, and it walks
/// past everybody else's entries as well.
pub(super) fn reader(entries: u64, all: u64) -> Reader {
    const FEW: u64 = 500;
    const FEW_IN_ALL: u64 = 50_000;
    if entries <= FEW && all <= FEW_IN_ALL { Reader::Proc } else { Reader::Ctnetlink }
}

/// A part of the table, to compare the census with.
pub(super) fn sample(first: Reader, budget: Budget) -> Option<TableSample> {
    table::sample(first, budget, seed())
}

/// Who fills the table.
pub(super) fn census(
    timeouts: TcpTimeouts,
    previous: Option<TableSample>,
    first: Reader,
    budget: Budget,
) -> Fact<Census> {
    table::census(CensusOptions { budget, previous, timeouts, seed: seed(), rows: ROWS, first })
}

/// What reading an empty table gives, without the walk over the whole host's table.
pub(super) fn empty_census() -> Census {
    CensusBuilder::new(Reader::Ctnetlink, TcpTimeouts::DEFAULT, 0).finish(true, None, None, ROWS)
}

/// What is the same for all namespaces when their rules are read.
pub(super) struct Rules<'a> {
    reader: rules::Reader,
    host: &'a Host,
    directives: Vec<ModuleDirective>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(host: &'a Host, boot: &'a BootFiles) -> Self {
        Self { reader: rules::Reader::new(&Files::live()), host, directives: boot.directives() }
    }

    /// Packet-filter rules of the calling thread's namespace, and whether its packets are tracked.
    pub(super) fn here(&self, count: Option<u64>) -> Filter {
        const COUNT: &str = "nf_conntrack_count";
        let (rules, whole) = self.reader.here();
        let count = match count {
            Some(count) => Fact::known(Entries(count), Source::name(COUNT)),
            None => super::namespace::count_setting(),
        };
        let tracking = rules::tracking(&rules::Signs {
            profile: &self.host.profile,
            modules: &self.host.modules,
            directives: &self.directives,
            rules: &rules,
            count: &count,
        });
        Filter { rules, whole, tracking }
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
