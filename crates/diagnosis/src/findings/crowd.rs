//! Who fills it, where that is the trouble: floods that nobody answers or ends, one source, one namespace
//! (CT010, CT011).

use alloc::string::{String, ToString};

use plimsoll_ct::{Protocol, State, TcpState};

use super::{Draft, source_of};
use crate::Said;
use crate::Severity;
use crate::case::{Case, Space};
use crate::facts::{Prefix, Service, Source, StateKey, Tally};
use crate::groups::{self, prefix_label, ratio, service_label, sum};
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
    /// Handshakes that this host's end answered and whoever asked never ended, more of them than unreplied ones.
    pub(crate) half_open: bool,
    /// Entries of it in the table.
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
    let half = sum(census.states.iter().filter(|(k, _)| is_half_open(k)).map(|(_, t)| t.total()));
    let half_open = half > census.total.unreplied;
    let unended = census.total.unreplied.saturating_add(half);
    let entries = scale.up(unended);
    let share = ratio(unended, census.total.total());
    let of_flood = |tally: &Tally| if half_open { tally.evictable } else { tally.unreplied };
    let least = match s.limit() {
        Some(max) => FLOOD_LEAST.min(max / 2).max((max as f64 * FLOOD_OF_LIMIT) as u64),
        None => FLOOD_UNLIMITED,
    };
    if entries < least || share <= FLOOD_OF_TABLE {
        return None;
    }
    let of_kind = |kind: Kind| -> u64 {
        let rows = census
            .states
            .iter()
            .filter(|(k, _)| (!k.replied || is_half_open(k)) && Kind::of(k.protocol) == kind);
        sum(rows.map(|(_, t)| t.total()))
    };
    let kind =
        [Kind::Rest, Kind::Icmp, Kind::Udp, Kind::Tcp].into_iter().max_by_key(|k| of_kind(*k))?;
    let protocol = census
        .states
        .iter()
        .filter(|(k, _)| (!k.replied || is_half_open(k)) && Kind::of(k.protocol) == kind)
        .max_by_key(|(_, t)| t.total())
        .map(|(k, _)| k.protocol)?;
    let service = census
        .services
        .rows
        .iter()
        .filter(|(svc, _)| Kind::of(svc.protocol) == kind)
        .max_by_key(|(_, t)| of_flood(t))
        .filter(|(_, t)| ratio(of_flood(t), unended) > 0.5)
        .map(|(service, _)| *service);
    let source = census
        .sources
        .rows
        .iter()
        .max_by_key(|(_, t)| of_flood(t))
        .filter(|(_, t)| ratio(of_flood(t), unended) > 0.9)
        .map(|(prefix, _)| *prefix);
    Some(Flood { protocol, half_open, entries, share, service, source })
}

/// A handshake of which the last packet is due.
pub(crate) fn is_half_open(key: &StateKey) -> bool {
    key.replied && key.state == State::Tcp(TcpState::SynRecv)
}

/// CT010: entries that nobody answers.
fn flood(case: &Case<'_>, i: usize, s: &Space<'_>) -> Option<Draft> {
    let flood = flood_of(s)?;
    let (census, _) = s.census()?;
    let what = match Kind::of(flood.protocol) {
        Kind::Tcp if flood.half_open => said!("half-open TCP handshakes", "半开的 TCP 握手"),
        Kind::Tcp => {
            let syn = census.states.iter().any(|(k, _)| {
                !k.replied && k.protocol == Protocol::Tcp && k.state != State::Stateless
            });
            if syn {
                said!("unanswered TCP handshakes", "没有应答的 TCP 握手")
            } else {
                said!("unanswered TCP entries", "没有应答的 TCP 条目")
            }
        }
        Kind::Udp => said!("unanswered UDP entries", "没有应答的 UDP 条目"),
        Kind::Icmp => said!("unanswered ICMP entries", "没有应答的 ICMP 条目"),
        Kind::Rest => said!("unanswered entries", "没有应答的条目"),
    };
    let to = flood.service.filter(|svc| svc.port != 0).map(groups::to_service);
    let from = groups::unreplied_sources(census).filter(|_| !flood.half_open);
    let mut tail = Said::default();
    for part in [to, from].into_iter().flatten() {
        tail.push(&said!(" {part}", "{part:#}"));
    }
    let known = one_way(flood.service);
    let nature = match known {
        Some(name) => said!(
            " This is {name}: it is one-way by nature, so tracking it serves nothing.",
            "这是 {name}：本来就是单向的，跟踪它毫无用处。"
        ),
        None if flood.half_open => said!(
            " The SYN was answered, and the answer never was: a SYN flood from addresses that are not its own, or clients that the answers do not reach.",
            "SYN 得到了应答，应答却再无回音：伪造来源的 SYN 洪水，或者应答到不了客户端。"
        ),
        None => Said::default(),
    };
    let table = case.the_table(i).map(lower_first);
    let summary = said!(
        "{} {what}{tail} make up {} of {table}.{nature}",
        "{} 个{tail:#}{what:#}占了{table:#}的 {:#}。{nature:#}",
        words::count(flood.entries),
        words::share(flood.share)
    );
    let source = source_of(&s.now.census);
    let mut draft = Draft::new("CT010", Severity::Warning, Some(i), summary)
        .explains(flood.share)
        .clause(said!("{} {what}{tail}", "{:#} 是{tail:#}{what:#}", words::share(flood.share)))
        .count(
            match flood.half_open {
                true => said!("half-open handshakes", "半开的握手"),
                false => said!("unreplied entries", "没有应答的条目"),
            },
            flood.entries,
            "entries",
            source.clone(),
        )
        .number(said!("share of the table", "占表的比例"), flood.share, "", source.clone());
    for (label, tally) in census.sources.rows.iter().take(3) {
        let entries = s.census()?.1.up(tally.unreplied);
        if entries > 0 {
            let what = said!("unreplied from {}", "来自 {} 的没有应答的条目", prefix_label(*label));
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
fn lower_first(text: &str) -> String {
    let mut text = text.to_string();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    text
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
    let kind = if prefix.length >= whole {
        said!("One source", "一个来源")
    } else {
        said!("One network", "一个网段")
    };
    let service = census
        .services
        .rows
        .first()
        .filter(|(_, t)| ratio(t.total(), all) > DOMINATES)
        .map(|(svc, _)| said!(", mostly to {}", "，多数通往 {}", service_label(*svc)))
        .unwrap_or_default();
    let severity = if fullness >= SOURCE_WARNING { Severity::Warning } else { Severity::Info };
    let entries = scale.up(tally.total());
    let summary = said!(
        "{kind}, {label}, holds {} of {}{service}.",
        "{kind:#} {label} 占了{1:#}的 {0:#}{service:#}。",
        words::share(share),
        case.the_table(i).map(lower_first)
    );
    let from = source_of(&s.now.census);
    Some(
        Draft::new("CT011", severity, Some(i), summary)
            .explains(share)
            .clause(said!("{} of it from {label}", "其中 {:#} 来自 {label}", words::share(share)))
            .count(
                said!("entries from {label}", "来自 {label} 的条目"),
                entries,
                "entries",
                from.clone(),
            )
            .number(said!("share of the table", "占表的比例"), share, "", from),
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
    let summary = said!(
        "{} holds {} of the {} entries of all namespaces, and is at {} of its limit.",
        "{:#} 占了所有命名空间 {2} 个条目的 {1:#}，达到其上限的 {3:#}。",
        s.name,
        words::share(share),
        words::count(all),
        words::share(s.fullness()?)
    );
    let mut draft = Draft::new("CT011", Severity::Warning, Some(i), summary)
        .explains(share)
        .count(
            said!("entries of the namespace", "该命名空间的条目"),
            count,
            "entries",
            source_of(&s.now.count),
        )
        .count(
            said!("entries of all namespaces", "所有命名空间的条目"),
            all,
            "entries",
            said!("sum over the namespaces", "各命名空间之和"),
        );
    if let Some(max) = s.limit() {
        draft = draft.count(
            said!("limit of each namespace", "每个命名空间的上限"),
            max,
            "entries",
            Source::name("nf_conntrack_max"),
        );
    }
    Some(draft)
}
