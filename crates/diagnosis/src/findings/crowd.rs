//! Who fills it, where that is the trouble: unanswered floods, one source, one namespace
//! (CT010, CT011).

use alloc::format;
use alloc::string::{String, ToString};

use plimsoll_ct::{Protocol, State};

use super::{Draft, source_of};
use crate::Severity;
use crate::case::{Case, Space};
use crate::facts::{Prefix, Service};
use crate::groups::{self, prefix_label, ratio, service_label};
use crate::words;

/// Unreplied entries that make a flood of what would otherwise be a scan (half of a tiny table).
pub(super) const FLOOD_LEAST: u64 = 1000;
/// … and their share of the limit …
pub(super) const FLOOD_OF_LIMIT: f64 = 0.10;
/// … and of the table: more than what is answered.
pub(super) const FLOOD_OF_TABLE: f64 = 0.50;
/// A table without a known limit needs more to be called flooded.
pub(super) const FLOOD_UNLIMITED: u64 = 10_000;
/// Fullness from which on it matters who fills the table.
pub(super) const SOURCE_FROM: f64 = 0.25;
/// … and from which on a person should act.
pub(super) const SOURCE_WARNING: f64 = 0.50;
/// Entries from which on it matters.
pub(super) const SOURCE_LEAST: u64 = 1000;
/// More than all others together.
pub(super) const DOMINATES: f64 = 0.50;
/// A namespace that holds so much of all entries of the host …
pub(super) const NAMESPACE_DOMINATES: f64 = 0.80;
/// … and so much of its limit.
pub(super) const NAMESPACE_FROM: f64 = 0.50;

/// Services whose packets are not answered by nature, so that each entry stays unreplied: the cure is
/// not to track them.
pub(crate) const ONE_WAY: &[(u16, &str)] = &[
    (162, "SNMP traps"),
    (514, "syslog"),
    (2055, "NetFlow"),
    (4739, "IPFIX"),
    (4789, "VXLAN"),
    (6081, "Geneve"),
    (6343, "sFlow"),
    (8125, "StatsD"),
    (8472, "VXLAN"),
];

/// Finds crowds.
pub(super) fn find(case: &Case<'_>, found: &mut alloc::vec::Vec<Draft>) {
    for (i, s) in case.spaces.iter().enumerate() {
        found.extend(flood(case, i, s));
        found.extend(source(case, i, s));
    }
    found.extend(namespace(case));
}

/// The kind of packets that a flood is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Tcp,
    Udp,
    Icmp,
    Rest,
}

impl Kind {
    const fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp | Protocol::UdpLite => Self::Udp,
            Protocol::Icmp | Protocol::Icmpv6 => Self::Icmp,
            Protocol::Dccp | Protocol::Gre | Protocol::Sctp | Protocol::Other(_) => Self::Rest,
        }
    }
}

/// What a flood is made of.
pub(crate) struct Flood {
    /// The protocol that makes most of it.
    pub(crate) protocol: Protocol,
    /// Unreplied entries in the table.
    pub(crate) entries: u64,
    /// Their share of the table.
    pub(crate) share: f64,
    /// Service that most of it goes to.
    pub(crate) service: Option<Service>,
    /// The one source it comes from, if it is one.
    pub(crate) source: Option<Prefix>,
}

/// The flood of a namespace, if there is one.
pub(crate) fn flood_of(s: &Space<'_>) -> Option<Flood> {
    let (census, scale) = s.census()?;
    let unreplied = census.total.unreplied;
    let entries = scale.up(unreplied);
    let share = ratio(unreplied, census.total.total());
    let least = match s.limit() {
        Some(max) => FLOOD_LEAST.min(max / 2).max((max as f64 * FLOOD_OF_LIMIT) as u64),
        None => FLOOD_UNLIMITED,
    };
    if entries < least || share <= FLOOD_OF_TABLE {
        return None;
    }
    let of_kind = |kind: Kind| -> u64 {
        let rows = census.states.iter().filter(|(k, _)| !k.replied && Kind::of(k.protocol) == kind);
        rows.fold(0u64, |sum, (_, t)| sum.saturating_add(t.total()))
    };
    let kind =
        [Kind::Rest, Kind::Icmp, Kind::Udp, Kind::Tcp].into_iter().max_by_key(|k| of_kind(*k))?;
    let protocol = census
        .states
        .iter()
        .filter(|(k, _)| !k.replied && Kind::of(k.protocol) == kind)
        .max_by_key(|(_, t)| t.total())
        .map(|(k, _)| k.protocol)?;
    let service = census
        .services
        .rows
        .iter()
        .filter(|(svc, _)| Kind::of(svc.protocol) == kind)
        .max_by_key(|(_, t)| t.unreplied)
        .filter(|(_, t)| ratio(t.unreplied, unreplied) > 0.5)
        .map(|(service, _)| *service);
    let source = census
        .sources
        .rows
        .iter()
        .max_by_key(|(_, t)| t.unreplied)
        .filter(|(_, t)| ratio(t.unreplied, unreplied) > 0.9)
        .map(|(prefix, _)| *prefix);
    Some(Flood { protocol, entries, share, service, source })
}

/// CT010: entries that nobody answers.
fn flood(case: &Case<'_>, i: usize, s: &Space<'_>) -> Option<Draft> {
    let flood = flood_of(s)?;
    let (census, _) = s.census()?;
    let what = match Kind::of(flood.protocol) {
        Kind::Tcp => {
            let syn = census.states.iter().any(|(k, _)| {
                !k.replied && k.protocol == Protocol::Tcp && k.state != State::Stateless
            });
            if syn { "unanswered TCP handshakes" } else { "unanswered TCP entries" }
        }
        Kind::Udp => "unanswered UDP entries",
        Kind::Icmp => "unanswered ICMP entries",
        Kind::Rest => "unanswered entries",
    };
    let to = flood.service.filter(|svc| svc.port != 0).map(groups::to_service);
    let from = groups::unreplied_sources(census);
    let tail: String = [to, from].into_iter().flatten().map(|part| format!(" {part}")).collect();
    let known = one_way(flood.service);
    let nature = known.map_or(String::new(), |name| {
        format!(" This is {name}: it is one-way by nature, so tracking it serves nothing.")
    });
    let table = case.the_table(i).to_ascii_lowercase_first();
    let summary = format!(
        "{} {what}{tail} make up {} of {table}.{nature}",
        words::count(flood.entries),
        words::share(flood.share)
    );
    let source = source_of(&s.now.census);
    let mut draft = Draft::new("CT010", Severity::Warning, Some(i), summary)
        .explains(flood.share)
        .clause(format!("{} {what}{tail}", words::share(flood.share)))
        .count("unreplied entries", flood.entries, "entries", source.clone())
        .number("share of the table", flood.share, "", source.clone());
    for (label, tally) in census.sources.rows.iter().take(3) {
        let entries = s.census()?.1.up(tally.unreplied);
        if entries > 0 {
            let what = format!("unreplied from {}", prefix_label(*label));
            draft = draft.count(what, entries, "entries", source.clone());
        }
    }
    Some(draft)
}

/// The name of a service that is one-way by nature.
fn one_way(service: Option<Service>) -> Option<&'static str> {
    let service = service.filter(|s| Kind::of(s.protocol) == Kind::Udp)?;
    ONE_WAY.iter().find(|(port, _)| *port == service.port).map(|(_, name)| *name)
}

/// "The table" within a sentence.
trait LowerFirst {
    fn to_ascii_lowercase_first(self) -> String;
}

impl LowerFirst for String {
    fn to_ascii_lowercase_first(mut self) -> String {
        if let Some(first) = self.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        self
    }
}

/// CT011: one address or network holds most of the table.
fn source(case: &Case<'_>, i: usize, s: &Space<'_>) -> Option<Draft> {
    let (census, scale) = s.census()?;
    let fullness = s.fullness()?;
    if fullness < SOURCE_FROM || s.load.count?.0 < SOURCE_LEAST {
        return None;
    }
    let all = census.total.total();
    let heaviest = [&census.sources, &census.source_networks].into_iter().find_map(|top| {
        let (prefix, tally) = top.rows.first()?;
        let share = ratio(tally.total(), all);
        (share > DOMINATES).then_some((*prefix, *tally, share))
    });
    let (prefix, tally, share) = heaviest?;
    // A proxy talking to its own backends: that is the host's own load, named by its services.
    if prefix.address.is_loopback() {
        return None;
    }
    let label = prefix_label(prefix);
    let whole = if prefix.address.is_ipv4() { 32 } else { 128 };
    let kind = if prefix.length >= whole { "One source" } else { "One network" };
    let service = census
        .services
        .rows
        .first()
        .filter(|(_, t)| ratio(t.total(), all) > DOMINATES)
        .map(|(svc, _)| format!(", mostly to {}", service_label(*svc)))
        .unwrap_or_default();
    let severity = if fullness >= SOURCE_WARNING { Severity::Warning } else { Severity::Info };
    let entries = scale.up(tally.total());
    let summary = format!(
        "{kind}, {label}, holds {} of {}{service}.",
        words::share(share),
        case.the_table(i).to_ascii_lowercase_first()
    );
    let from = source_of(&s.now.census);
    Some(
        Draft::new("CT011", severity, Some(i), summary)
            .explains(share)
            .clause(format!("{} of it from {label}", words::share(share)))
            .count(format!("entries from {label}"), entries, "entries", from.clone())
            .number("share of the table", share, "", from),
    )
}

/// CT011: one namespace holds most of the host's entries and comes near its limit.
fn namespace(case: &Case<'_>) -> Option<Draft> {
    if case.profile.global_count || case.spaces.iter().filter(|s| s.tracks()).count() < 2 {
        return None;
    }
    let all = groups::sum(case.spaces.iter().filter_map(|s| s.load.count).map(|c| c.0));
    let (i, s) = case.spaces.iter().enumerate().max_by_key(|(_, s)| s.load.count)?;
    let count = s.load.count?.0;
    let share = ratio(count, all);
    if s.now.is_initial() || share <= NAMESPACE_DOMINATES || s.fullness()? < NAMESPACE_FROM {
        return None;
    }
    let summary = format!(
        "{} holds {} of the {} entries of all namespaces, {} of its limit.",
        s.name,
        words::share(share),
        words::count(all),
        words::share(s.fullness()?)
    );
    let mut draft = Draft::new("CT011", Severity::Warning, Some(i), summary)
        .explains(share)
        .count("entries of the namespace", count, "entries", source_of(&s.now.count))
        .count("entries of all namespaces", all, "entries", "sum over the namespaces");
    if let Some(max) = s.limit() {
        draft =
            draft.count("limit of each namespace", max, "entries", "nf_conntrack_max".to_string());
    }
    Some(draft)
}
