//! Who fills it: the census as tables for people.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::{Entries, Protocol, State};

use crate::Said;
use crate::facts::{AgeBand, Census, Prefix, Service, Tally, Top};
use crate::load::Scale;
use crate::words;
use crate::{Group, Groups};

/// Rows of each table: what fits a screen beside the rest.
const ROWS: usize = 8;
/// An address of less than this share says less than its network.
const ADDRESS_SAYS: f64 = 0.10;

/// The tables of a census.
pub(crate) fn groups(census: &Census, count: Option<Entries>) -> Groups {
    let Some(scale) = Scale::of(census, count) else {
        return Groups::default();
    };
    let all = census.total.total();
    let row = |label: Said, tally: &Tally| group(label, tally, all, scale);

    let mut states: BTreeMap<(Protocol, State), Tally> = BTreeMap::new();
    for (key, tally) in &census.states {
        add(states.entry((key.protocol, key.state)).or_default(), tally);
    }
    let mut states: Vec<Group> =
        states.iter().map(|((p, s), tally)| row(Said::name(state_label(*p, *s)), tally)).collect();
    heaviest_first(&mut states);

    let services = census
        .services
        .rows
        .iter()
        .map(|(k, t)| row(Said::name(service_label(*k)), t))
        .collect::<Vec<_>>();
    let idle = census
        .established_idle
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(band, n)| {
            let tally = Tally { protected: *n, ..Tally::default() };
            row(idle_label(*band), &tally)
        })
        .collect();
    Groups {
        states: cut(states),
        services: cut(services),
        sources: prefixes(&census.sources, &census.source_networks, all, scale),
        destinations: prefixes(&census.destinations, &census.destination_networks, all, scale),
        idle,
    }
}

/// Addresses where one of them says something, else networks.
fn prefixes(single: &Top<Prefix>, networks: &Top<Prefix>, all: u64, scale: Scale) -> Vec<Group> {
    let heaviest = |top: &Top<Prefix>| top.rows.first().map_or(0.0, |(_, t)| ratio(t.total(), all));
    let rows = if heaviest(single) < ADDRESS_SAYS && heaviest(networks) > heaviest(single) {
        networks
    } else {
        single
    };
    cut(rows.rows.iter().map(|(p, t)| group(Said::name(prefix_label(*p)), t, all, scale)).collect())
}

fn cut(mut rows: Vec<Group>) -> Vec<Group> {
    rows.truncate(ROWS);
    rows
}

fn heaviest_first(rows: &mut [Group]) {
    rows.sort_by(|a, b| b.entries.cmp(&a.entries).then_with(|| a.label.cmp(&b.label)));
}

fn group(label: Said, tally: &Tally, all: u64, scale: Scale) -> Group {
    let total = tally.total();
    Group {
        label,
        entries: scale.up(total),
        share: ratio(total, all).min(1.0),
        protected_share: ratio(tally.protected, total),
        unreplied_share: ratio(tally.unreplied, total),
    }
}

/// A share; of nothing it is nothing.
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A sum that stops at the largest value: what a forged file claims must not wrap.
pub(crate) fn sum(numbers: impl IntoIterator<Item = u64>) -> u64 {
    numbers.into_iter().fold(0, u64::saturating_add)
}

/// Adds up tallies.
pub(crate) fn add(sum: &mut Tally, tally: &Tally) {
    sum.evictable = sum.evictable.saturating_add(tally.evictable);
    sum.closing = sum.closing.saturating_add(tally.closing);
    sum.protected = sum.protected.saturating_add(tally.protected);
    sum.unreplied = sum.unreplied.saturating_add(tally.unreplied);
}

/// `tcp TIME_WAIT`; protocols without states by their name alone.
pub(crate) fn state_label(protocol: Protocol, state: State) -> String {
    match state {
        State::Stateless => protocol.to_string(),
        State::Tcp(_) | State::Sctp(_) | State::Dccp(_) => format!("{protocol} {state}"),
    }
}

/// `443/tcp`; protocols without ports by their name alone.
pub(crate) fn service_label(service: Service) -> String {
    match service.port {
        0 => service.protocol.to_string(),
        port => format!("{port}/{}", service.protocol),
    }
}

/// An address, or a network with its length.
pub(crate) fn prefix_label(prefix: Prefix) -> String {
    let whole = if prefix.address.is_ipv4() { 32 } else { 128 };
    if prefix.length >= whole {
        prefix.address.to_string()
    } else {
        format!("{}/{}", prefix.address, prefix.length)
    }
}

fn idle_label(band: AgeBand) -> Said {
    match band {
        AgeBand::Minute => said!("idle under 1 min", "空闲不到 1 分钟"),
        AgeBand::TenMinutes => said!("idle 1 to 10 min", "空闲 1 到 10 分钟"),
        AgeBand::Hour => said!("idle 10 min to 1 h", "空闲 10 分钟到 1 小时"),
        AgeBand::Day => said!("idle 1 h to 1 day", "空闲 1 小时到 1 天"),
        AgeBand::Older => said!("idle over 1 day", "空闲超过 1 天"),
    }
}

/// A service as a sentence names it: `to port 443`, `(icmp)`.
pub(crate) fn to_service(service: Service) -> Said {
    match service.port {
        0 => said!("({})", "{} 的", service.protocol),
        port => said!("to port {port}", "通往端口 {port} 的"),
    }
}

/// Where the unreplied entries come from, as a sentence names it: one source, or how many at least. The
/// rows are the heaviest only; of the others each holds at most what the last row and the sketch's error
/// allow, so there are at least so many more.
pub(crate) fn unreplied_sources(census: &Census) -> Option<Said> {
    let all = census.total.unreplied;
    let top = &census.sources;
    let (first, heaviest) = top.rows.iter().max_by_key(|(_, t)| t.unreplied)?;
    if all == 0 || heaviest.unreplied == 0 {
        return None;
    }
    if ratio(heaviest.unreplied, all) >= 0.9 {
        return Some(said!("from {}", "来自 {} 的", prefix_label(*first)));
    }
    let listed = sum(top.rows.iter().map(|(_, t)| t.unreplied));
    let named = top.rows.iter().filter(|(_, t)| t.unreplied > 0).count() as u64;
    let rest = all.saturating_sub(listed);
    let each = top.rows.iter().map(|(_, t)| t.total()).min().unwrap_or(0).saturating_add(top.error);
    let more = rest.checked_div(each).unwrap_or(0);
    let least = if rest > 0 || top.error > 0 || !census.complete {
        said!("at least ", "至少 ")
    } else {
        Said::default()
    };
    let many = words::many(named.saturating_add(more), "source", "sources", "个来源");
    Some(said!("from {least}{many}", "来自{least:#}{many:#}的"))
}
