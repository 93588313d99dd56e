//! The table and its statistics, as the calling thread's network namespace shows them.
//!
//! Everything here acts in the namespace of the *thread* that calls: enter another with setns(2) first.
//! The files are read under /proc/thread-self/net, since /proc/net is the main thread's.
//!
//! Reading must not change what is read. So ctnetlink is opened only where that can't load a module
//! ([`netlink_safe`]), a dump ends when its budget is spent, and no answer is waited for without end. What
//! cannot be avoided: a dump, and reading /proc/net/nf_conntrack, removes the expired entries it meets.

mod clock;
mod dump;
mod listing;
mod proc;
mod safe;
mod socket;

use std::fs;
use std::time::Duration;

use plimsoll_ct::{Buckets, CpuCounters};
use plimsoll_diagnosis::facts::{
    Census, CensusBuilder, Comparison, Fact, Gap, Reader, Reason, SampleBuilder, Source,
    TableSample, TcpTimeouts,
};
use plimsoll_diagnosis::{Language, Said, said};
use plimsoll_wire::statistics::parse_proc;

pub use clock::Budget;
pub(crate) use clock::{Meter, monotonic};
pub(crate) use dump::{DUMP, Dump, Step, answers};
pub use listing::{VisitLine, census_of_listing, each_of_listing};
pub(crate) use proc::{entries as proc_entries, gap_of, net_file};
pub(crate) use safe::can_load_nothing;
pub use safe::netlink_safe;
pub(crate) use socket::Part;

use crate::files::Files;

/// How many entries a [`sample`] holds at most: enough that a rate of 1 % is known to about a tenth, and
/// 20 ms of kernel time.
pub const SAMPLE_ENTRIES: u32 = 10_000;

/// What a census is taken with.
#[derive(Debug)]
pub struct CensusOptions {
    /// How much of the machine it may cost.
    pub budget: Budget,
    /// An earlier reading to compare with, for the rate of new entries.
    pub previous: Option<TableSample>,
    /// The namespace's timeouts, for idle times.
    pub timeouts: TcpTimeouts,
    /// Random number that keys the hash tables.
    pub seed: u64,
    /// Rows of each grouping.
    pub rows: usize,
    /// Which way is tried first, unless the previous reading went another.
    pub first: Reader,
}

/// The per-CPU statistics: world-readable, and independent of the table's size.
pub fn statistics() -> Fact<CpuCounters> {
    let mut gap = None;
    for name in ["stat/nf_conntrack", "stat/ip_conntrack"] {
        match fs::read(proc::net_file(name)) {
            Ok(text) => {
                return match parse_proc(&text) {
                    Ok(found) => Fact::known(found.cpus, Source::name(format!("/proc/net/{name}"))),
                    Err(e) => Fact::missing(Reason::Malformed, {
                        let why = Said::from(e);
                        said!("/proc/net/{name}, {why}", "/proc/net/{name}，{why:#}")
                    }),
                };
            }
            Err(error) => {
                gap.get_or_insert(proc::gap_of(Said::name(format!("/proc/net/{name}")), &error));
            }
        }
    }
    let asked = netlink_safe(&Files::live()).and_then(|()| {
        dump::cpu_counters().map_err(|t| t.gap(Said::name("ctnetlink GET_STATS_CPU")))
    });
    match asked {
        Ok(counters) => Fact::known(counters, Source::name("ctnetlink GET_STATS_CPU")),
        Err(second) => Fact::Missing(both(gap, second)),
    }
}

/// The first reading for a rate of new entries; the second is the census that gets it as `previous`.
/// `None` when the table can't be read: the census then says why.
pub fn sample(first: Reader, budget: Budget, seed: u64) -> Option<TableSample> {
    let mut builder = SampleBuilder::new(SAMPLE_ENTRIES, clock::monotonic(), buckets(), seed);
    let mut full = false;
    let outcome = read(first, budget, &mut |entry| {
        if let Ok(entry) = entry {
            full = !builder.add(entry);
        }
        !full
    });
    let (reader, outcome) = outcome.ok()?;
    Some(builder.finish(outcome.complete && !full).read_by(reader))
}

/// Who fills the table.
pub fn census(options: CensusOptions) -> Fact<Census> {
    let CensusOptions { budget, previous, timeouts, seed, rows, first } = options;
    let before = previous.as_ref().and_then(TableSample::reader);
    let mut comparison =
        previous.and_then(|first| Comparison::new(first, clock::monotonic(), buckets()));
    // Which reader it will be is known only behind the first entry or the end.
    let mut builder = CensusBuilder::new(Reader::Ctnetlink, timeouts, seed);
    let read = read(before.unwrap_or(first), budget, &mut |entry| {
        match entry {
            Ok(entry) => {
                builder.add(entry);
                if let Some(comparison) = &mut comparison {
                    comparison.add(entry);
                }
            }
            Err(_) => builder.malformed(),
        }
        true
    });
    match read {
        Ok((reader, outcome)) => {
            let alike = before.is_none_or(|before| before == reader);
            let churn = comparison.filter(|_| alike).and_then(|c| c.finish(outcome.complete));
            let mut census = builder.finish(outcome.complete, outcome.kernel_time, churn, rows);
            census.reader = reader;
            let source = match reader {
                Reader::Ctnetlink => DUMP,
                Reader::Bpf => Said::of("BPF census", "BPF 普查"),
                Reader::Proc | Reader::Listing => Said::name("/proc/net/nf_conntrack"),
            };
            Fact::known(census, source)
        }
        Err(gap) => Fact::Missing(gap),
    }
}

/// Shows every entry to `visit`, one way, or where that can't be had the other.
///
/// They differ in what they cost. ctnetlink takes a lock for each bucket, of which a machine has some
/// hundred thousand: 11 ms for an empty table of 262,144 (6.18). The proc file walks it in 0.2 ms, but it
/// shows no ids, and on old kernels (no more on 6.18) it begins anew at each page.
fn read(
    first: Reader,
    budget: Budget,
    visit: dump::Visit<'_>,
) -> Result<(Reader, dump::Outcome), Gap> {
    let order = match first {
        Reader::Ctnetlink | Reader::Bpf => [Reader::Ctnetlink, Reader::Proc],
        Reader::Proc | Reader::Listing => [Reader::Proc, Reader::Ctnetlink],
    };
    let mut gap = None;
    for reader in order {
        match read_by(reader, budget, visit) {
            Ok(outcome) => return Ok((reader, outcome)),
            Err(this) => gap = Some(both(gap, this)),
        }
    }
    Err(gap.unwrap_or_else(|| Gap {
        reason: Reason::Failed,
        detail: said!("the table was not read", "没有读表"),
        needs: None,
    }))
}

fn read_by(reader: Reader, budget: Budget, visit: dump::Visit<'_>) -> Result<dump::Outcome, Gap> {
    match reader {
        Reader::Ctnetlink | Reader::Bpf => {
            netlink_safe(&Files::live())?;
            dump::entries(budget, visit).map_err(|trouble| trouble.gap(DUMP))
        }
        Reader::Proc | Reader::Listing => proc::entries(budget, visit),
    }
}

/// What two tries say, each reason once.
fn both_details(first: &Said, second: &Said) -> Said {
    let of = |language, between: &str| {
        let (first, second) = (first.spoken(language), second.spoken(language));
        let more = second.split(between).filter(|reason| !first.contains(reason));
        [first].into_iter().chain(more).collect::<Vec<_>>().join(between)
    };
    Said::new(of(Language::English, "; "), of(Language::Chinese, "；"))
}

/// Two ways were tried: the reason of the one that a right or a module would open.
pub(crate) fn both(first: Option<Gap>, second: Gap) -> Gap {
    let Some(mut first) = first else { return second };
    let detail = both_details(&first.detail, &second.detail);
    // A module alone helps nobody who lacks the right as well.
    let lacks_right = second.reason == Reason::NotPermitted;
    let helps = !lacks_right && (first.needs.is_some() || second.needs.is_none());
    if !helps {
        first.reason = second.reason;
        first.needs = second.needs.or(first.needs);
    }
    first.detail = detail;
    first
}

/// Buckets of the hash table: a resize moves every entry.
pub(crate) fn buckets() -> Option<Buckets> {
    let text = fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_buckets").ok()?;
    text.trim().parse().ok().map(Buckets)
}

/// A reasonable cost for one namespace: a second of kernel time.
impl Default for Budget {
    fn default() -> Self {
        Self { kernel: Duration::from_secs(1), wall: Duration::from_secs(3) }
    }
}
