//! The look-alikes: packets lost elsewhere, which look like a full table from afar
//! (CT061 to CT064; CT060 has a file of its own). Each has a counter that proves or excludes it.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::Family;
use plimsoll_wire::ruleset::{Rule, Ruleset, Verdict};

use super::{Draft, source_of};
use crate::case::{Case, Space};
use crate::facts::Seen;
use crate::words;
use crate::{Excluded, Severity, Value};

/// A log line this old still belongs to what is looked into.
pub(super) const RECENT: f64 = 86_400.0;
/// Firewall drops per second above the noise that every public address hears.
pub(super) const BACKGROUND: f64 = 10.0;

/// Finds look-alikes, and rules out what is not there.
pub(super) fn find(case: &Case<'_>, found: &mut Vec<Draft>, excluded: &mut Vec<Excluded>) {
    let drafts = [neighbours(case, excluded), memory(case, excluded), cloud(case, excluded)];
    found.extend(drafts.into_iter().flatten());
    for i in 0..case.spaces.len() {
        found.extend(firewall(case, i));
    }
}

/// A counter of the stack: now, and its growth over the interval.
pub(super) fn counter(s: &Space<'_>, name: &str) -> Option<(u64, Option<u64>)> {
    let now = *s.now.stack.value()?.counters.get(name)?;
    let then = s.then.and_then(|n| n.stack.value()).and_then(|st| st.counters.get(name));
    Some((now, then.and_then(|then| now.checked_sub(*then))))
}

/// What a counter says, for a person.
pub(super) fn says(case: &Case<'_>, name: &str, value: u64, grown: Option<u64>) -> String {
    match (grown, case.seconds()) {
        (Some(0), Some(seconds)) if value > 0 => {
            format!("{name} did not rise in {seconds:.1} s ({} since boot)", words::count(value))
        }
        _ => format!("{name} is {}", words::count(value)),
    }
}

/// Lines of the log, if the last is recent.
fn recent<'a>(case: &Case<'_>, seen: Option<&'a Seen>) -> Option<&'a Seen> {
    let seen = seen.filter(|s| s.lines > 0)?;
    case.within(seen.last, RECENT).then_some(seen)
}

/// Where the stack's counters were read.
fn stack_source(case: &Case<'_>) -> crate::facts::Source {
    case.initial()
        .map_or(crate::facts::Source::of("/proc/net/netstat"), |(_, s)| source_of(&s.now.stack))
}

/// CT061: the neighbour table overflows.
fn neighbours(case: &Case<'_>, excluded: &mut Vec<Excluded>) -> Option<Draft> {
    let (i, s) = case.initial()?;
    let lines = recent(case, case.after.log.value().and_then(|l| l.neighbour_overflow.as_ref()));
    let tables = s.now.neighbours.value();
    let then = s.then.and_then(|n| n.neighbours.value());
    let mut reasons = Vec::new();
    for table in tables.into_iter().flatten() {
        let family = match table.family {
            Family::V4 => "ARP",
            Family::V6 => "NDP",
        };
        let before = then.and_then(|t| t.iter().find(|t| t.family == table.family));
        let rose = match (table.table_fulls, before.and_then(|t| t.table_fulls)) {
            (Some(now), Some(then)) => now.checked_sub(then).filter(|by| *by > 0),
            _ => None,
        };
        if let Some(by) = rose {
            reasons.push(format!("{family}: {} refusals while measured", words::count(by)));
        } else if let (Some(entries), Some(limit)) = (table.entries, table.limit)
            && limit > 0
            && entries >= limit
        {
            reasons.push(format!("{family}: {} of {}", words::count(entries), words::count(limit)));
        }
    }
    if reasons.is_empty() && lines.is_none() {
        if let Some(all) = tables.filter(|t| !t.is_empty()) {
            let because = all
                .iter()
                .filter_map(|t| {
                    let of = match t.family {
                        Family::V4 => "gc_thresh3 of ARP",
                        Family::V6 => "gc_thresh3 of NDP",
                    };
                    Some(format!("{} entries of {} ({of})", t.entries?, t.limit?))
                })
                .collect::<Vec<_>>()
                .join(", ");
            if !because.is_empty() {
                excluded.push(Excluded { id: "CT061", because });
            }
        }
        return None;
    }
    let now = !reasons.is_empty();
    if let Some(seen) = lines {
        reasons.push(words::counted(seen.lines, "log line", "log lines"));
    }
    let severity = if now || lines.is_some() { Severity::Warning } else { Severity::Info };
    let summary = format!("The neighbour table overflows ({}).", reasons.join("; "));
    let mut draft = Draft::new("CT061", severity, Some(i), summary).explains(0.5);
    for table in tables.into_iter().flatten() {
        if let Some(entries) = table.entries {
            let source = source_of(&s.now.neighbours);
            draft = draft.count("neighbour entries", entries, "entries", source);
        }
    }
    if let Some(seen) = lines {
        let source = source_of(&case.after.log);
        draft = draft.count("log lines", seen.lines, "lines", source.clone());
        draft = draft.time("last line", seen.last, &source);
    }
    Some(draft)
}

/// CT062: TCP runs out of socket memory.
fn memory(case: &Case<'_>, excluded: &mut Vec<Excluded>) -> Option<Draft> {
    let (i, s) = case.initial()?;
    let sockets = s.now.sockets.value();
    let lines = recent(case, case.after.log.value().and_then(|l| l.socket_memory.as_ref()));
    let mut reasons = Vec::new();
    let mut healthy = Vec::new();
    if let Some(m) = sockets {
        for (what, value, limit) in [
            ("pages of TCP memory", m.tcp_pages, m.tcp_pages_limit),
            ("orphaned sockets", m.orphans, m.orphans_limit),
        ] {
            let (Some(value), Some(limit)) = (value, limit) else { continue };
            let of = format!("{} of {} {what}", words::count(value), words::count(limit));
            if limit > 0 && value >= limit { reasons.push(of) } else { healthy.push(of) }
        }
    }
    for name in ["TcpExt.TCPAbortOnMemory", "TcpExt.TCPMemoryPressures"] {
        match counter(s, name) {
            Some((_, Some(by))) if by > 0 => {
                reasons.push(format!("{name} rose by {}", words::count(by)));
            }
            Some((value, grown)) => healthy.push(says(case, name, value, grown)),
            None => {}
        }
    }
    if let Some(seen) = lines {
        reasons.push(words::counted(seen.lines, "log line", "log lines"));
    }
    if reasons.is_empty() {
        if let Some(because) = healthy.into_iter().next() {
            excluded.push(Excluded { id: "CT062", because });
        }
        return None;
    }
    let summary = format!("TCP runs out of socket memory ({}).", reasons.join("; "));
    let mut draft = Draft::new("CT062", Severity::Warning, Some(i), summary).explains(0.5);
    for reason in reasons {
        draft = draft.with("sign", Value::Text(reason), "", stack_source(case));
    }
    Some(draft)
}

/// CT063: the cloud's own tracker drops packets.
fn cloud(case: &Case<'_>, excluded: &mut Vec<Excluded>) -> Option<Draft> {
    let now = case.after.cloud.value()?;
    let then = case.before.and_then(|b| b.cloud.value());
    let mut total = 0u64;
    let mut rose: Option<u64> = None;
    let mut read = false;
    for a in now.iter().filter(|a| a.name == "conntrack_allowance_exceeded") {
        read = true;
        total = total.saturating_add(a.value);
        let before = then
            .and_then(|all| all.iter().find(|b| b.interface == a.interface && b.name == a.name));
        if let Some(by) = before.and_then(|b| a.value.checked_sub(b.value)) {
            rose = Some(rose.unwrap_or(0).saturating_add(by));
        }
    }
    if !read {
        return None;
    }
    let (severity, summary) = match (rose, case.seconds()) {
        (Some(by), Some(seconds)) if by > 0 => (
            Severity::Critical,
            format!(
                "The cloud's own connection tracker drops {} packets/s: the instance is over its \
                 allowance, whatever the kernel's limit is.",
                words::rate(by as f64 / seconds)
            ),
        ),
        (rose, _) if total > 0 => (
            if rose.is_some() { Severity::Info } else { Severity::Warning },
            format!(
                "The cloud's own connection tracker has dropped {} since the driver was loaded.",
                words::counted(total, "packet", "packets")
            ),
        ),
        _ => {
            let because = "conntrack_allowance_exceeded is 0".to_string();
            excluded.push(Excluded { id: "CT063", because });
            return None;
        }
    };
    let mut draft = Draft::new("CT063", severity, None, summary).explains(0.7);
    for a in now.iter().filter(|a| a.value > 0).take(8) {
        let what = format!("{} of {}", words::clean(&a.name), words::clean(&a.interface));
        draft = draft.count(what, a.value, "packets", source_of(&case.after.cloud));
    }
    Some(draft)
}

/// Packets that each dropping rule and policy has matched, by where it stands.
fn droppers(rules: &Ruleset) -> BTreeMap<(String, u32), u64> {
    let mut all = BTreeMap::new();
    // Rules may stand there twice, word for word.
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    let mut put = |name: String, packets: u64| {
        let nth = times.entry(name.clone()).or_default();
        all.insert((name, *nth), packets);
        *nth += 1;
    };
    let drops = |r: &&Rule| matches!(r.verdict, Verdict::Drop | Verdict::Reject);
    for rule in rules.rules.iter().filter(drops) {
        if let Some(packets) = rule.packets {
            put(format!("{:?} {} {}", rule.family, rule.chain, rule.text), packets);
        }
    }
    for chain in rules.chains.iter().filter(|c| matches!(c.policy, Verdict::Drop)) {
        if let Some(packets) = chain.packets {
            let name = format!("policy of chain {} in table {}", chain.chain, chain.table);
            put(format!("{:?} {:?} {name}", chain.backend, chain.family), packets);
        }
    }
    all
}

/// CT064: rules of the firewall drop packets, more than the usual noise.
fn firewall(case: &Case<'_>, i: usize) -> Option<Draft> {
    let s = &case.spaces[i];
    let seconds = case.seconds()?;
    let now = droppers(s.now.rules.value()?);
    let then = droppers(s.then?.rules.value()?);
    let mut grown: Vec<(&str, u64)> = now
        .iter()
        .filter_map(|(place, packets)| {
            let by = packets.checked_sub(*then.get(place)?)?;
            (by > 0).then_some((place.0.as_str(), by))
        })
        .collect();
    grown.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let all: u64 = grown.iter().fold(0, |sum: u64, (_, by)| sum.saturating_add(*by));
    let rate = all as f64 / seconds;
    if rate < BACKGROUND {
        return None;
    }
    let (heaviest, _) = grown.first()?;
    let summary = format!(
        "Firewall rules drop {} packets/s, most of them by: {}.",
        words::rate(rate),
        words::clean(heaviest)
    );
    let mut draft = Draft::new("CT064", Severity::Info, Some(i), summary).explains(0.2);
    for (place, by) in grown.iter().take(3) {
        let rate = *by as f64 / seconds;
        draft = draft.number(words::clean(place), rate, "packets/s", source_of(&s.now.rules));
    }
    Some(draft)
}
