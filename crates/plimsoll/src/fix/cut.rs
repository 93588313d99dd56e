//! What `shed` would cut: the table read through its filter.

use std::collections::BTreeMap;
use std::net::IpAddr;

use plimsoll_ct::Entry;
use plimsoll_diagnosis::facts::{CensusBuilder, Gap, Namespace, Reader, Source, TcpTimeouts};
use plimsoll_diagnosis::plan::{self, Cut, Filter, Ground, Idle, Plan, ShedRequest, Target};
use plimsoll_diagnosis::{RemedyId, Said, said};
use plimsoll_probe::entries::{self, Ask, Scope};
use plimsoll_probe::live::{self, Observation};

use super::arguments::Shed;
use super::plans::{GONE, quick, target};

/// Nothing younger is taken for idle.
const A_MINUTE: u64 = 60;
/// Rows of each grouping that are counted.
const ROWS: usize = 10;

/// `shed`: reads the table once, or twice to find the oldest.
pub fn shed(arguments: &Shed) -> Result<Plan, Said> {
    let observation = live::observe(&quick());
    let target = target(&observation, &arguments.how)?;
    let namespace = observation.after.namespaces.get(target).ok_or(GONE)?;
    let timeouts = TcpTimeouts::of(namespace, live::offload());
    let mut request = ShedRequest {
        filter: Filter {
            unreplied: arguments.unreplied,
            protocol: arguments.protocol.map(|p| p.number()),
            port: arguments.port,
            state: arguments.state.clone(),
            source: arguments.source,
            idle: arguments.idle.map(|span| Idle::new(span.as_secs(), timeouts)),
            served_by: Vec::new(),
            with_nat: arguments.with_nat,
        },
        at_most: 0,
    };
    if let Some(oldest) = arguments.oldest {
        request.at_most = oldest;
        request.filter.idle = Some(Idle::new(A_MINUTE, timeouts));
        let at_least = match idle_of_oldest(namespace, &request.filter, oldest) {
            Ok(at_least) => at_least,
            Err(gap) => return Ok(not_read(gap, &observation, target)),
        };
        request.filter.idle = Some(Idle::new(at_least, timeouts));
    }
    let cut = match cut(namespace, &request.filter, timeouts) {
        Ok(cut) => cut,
        Err(gap) => return Ok(not_read(gap, &observation, target)),
    };
    let files = BTreeMap::new();
    let ground = Ground { before: None, now: &observation.after, target, files: &files };
    Ok(plan::shed(&request, &cut, &ground))
}

/// Entries that a filter matches, by source: IPv6 by its network of 64 bits, the largest first.
pub fn by_source(
    namespace: Option<u64>,
    filter: &Filter,
) -> plimsoll_diagnosis::facts::Fact<Vec<(IpAddr, u64)>> {
    use plimsoll_diagnosis::facts::Fact;
    let scope = namespace.map_or(Scope::Here, |inode| Scope::Some(vec![inode]));
    let mut counts: BTreeMap<IpAddr, u64> = BTreeMap::new();
    let take = |entry: &Entry| {
        if filter.matches(entry) && !entry.original.source.is_loopback() {
            let source = match entry.original.source {
                IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
                v4 => v4,
            };
            *counts.entry(source).or_default() += 1;
        }
        true
    };
    if let Err(gap) = entries::read(&Ask { scope, ..Ask::default() }, &mut [take]) {
        return Fact::Missing(gap);
    }
    let mut all: Vec<(IpAddr, u64)> = counts.into_iter().collect();
    all.sort_by_key(|(ip, n)| (std::cmp::Reverse(*n), *ip));
    Fact::known(all, Source::name("the table"))
}

/// Entries of a namespace that a filter matches.
pub fn counted(namespace: Option<u64>, filter: &Filter) -> Result<u64, Said> {
    let scope = namespace.map_or(Scope::Here, |inode| Scope::Some(vec![inode]));
    let mut found = 0;
    let take = |entry: &Entry| {
        found += u64::from(filter.matches(entry));
        true
    };
    entries::read(&Ask { scope, ..Ask::default() }, &mut [take]).map_err(why)?;
    Ok(found)
}

/// The plan where the table can't be read: a host that does not let us is no wrong usage.
fn not_read(gap: Gap, observation: &Observation, target: usize) -> Plan {
    let files = BTreeMap::new();
    let ground = Ground { before: None, now: &observation.after, target, files: &files };
    let title = Said::of("delete entries", "删除条目");
    let mut plan = Plan::new(RemedyId::Shed, title, Target::of(&ground));
    plan.refused.push(why(gap));
    plan
}

fn why(gap: Gap) -> Said {
    said!("the table could not be read: {}", "读不到表：{:#}", gap.detail)
}

fn ask(namespace: &Namespace) -> Ask {
    let scope = namespace.inode.map_or(Scope::Here, |inode| Scope::Some(vec![inode]));
    Ask { scope, ..Ask::default() }
}

/// How long the youngest of the n oldest has been idle.
fn idle_of_oldest(namespace: &Namespace, filter: &Filter, n: u64) -> Result<u64, Gap> {
    let Some(idle) = filter.idle else { return Ok(A_MINUTE) };
    let mut by_idle: BTreeMap<u64, u64> = BTreeMap::new();
    let take = |entry: &Entry| {
        if filter.matches(entry)
            && let Some(seconds) = idle.of(entry)
        {
            *by_idle.entry(seconds).or_default() += 1;
        }
        true
    };
    entries::read(&ask(namespace), &mut [take])?;
    let mut left = n;
    for (seconds, count) in by_idle.iter().rev() {
        if *count >= left {
            return Ok(*seconds);
        }
        left -= count;
    }
    Ok(A_MINUTE)
}

fn cut(namespace: &Namespace, filter: &Filter, timeouts: TcpTimeouts) -> Result<Cut, Gap> {
    let seed = u64::from(std::process::id());
    let mut builder = CensusBuilder::new(Reader::Ctnetlink, timeouts, seed);
    let (mut total, mut matching, mut assured, mut rewritten) = (0, 0, 0, 0);
    let take = |entry: &Entry| {
        total += 1;
        if filter.matches(entry) {
            matching += 1;
            let nat = entry.is_source_rewritten() || entry.is_destination_rewritten();
            rewritten += u64::from(nat);
            assured += u64::from(entry.is_assured() && !nat);
            builder.add(entry);
        }
        true
    };
    let outcome = entries::read(&ask(namespace), &mut [take])?;
    let complete = outcome.is_complete();
    let census = builder.finish(complete, None, None, ROWS);
    Ok(Cut { total, matching, assured, rewritten, complete, census })
}
