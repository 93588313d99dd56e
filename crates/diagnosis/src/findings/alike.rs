//! The look-alikes: packets lost elsewhere, which look like a full table from afar
//! (CT061 to CT064; CT060 has a file of its own). Each has a counter that proves or excludes it.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use plimsoll_ct::Family;
use plimsoll_wire::ruleset::{Rule, Ruleset, Verdict};

use super::{Draft, source_of};
use crate::Said;
use crate::case::{Case, Space};
use crate::facts::{Neighbours, Seen};
use crate::words;
use crate::{Excluded, Severity, Value};

/// A log line this old still belongs to what is looked into.
pub(super) const RECENT: f64 = 86_400.0;
/// Firewall drops per second above the noise that every public address hears.
pub(super) const BACKGROUND: f64 = 10.0;

/// What stands between them.
const SEMICOLON: Said = Said::of("; ", "；");

/// Signs that are told of one look-alike.
const NAMED: usize = 8;

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
pub(super) fn says(case: &Case<'_>, name: &str, value: u64, grown: Option<u64>) -> Said {
    match (grown, case.seconds()) {
        (Some(0), Some(seconds)) if value > 0 => {
            said!(
                "{name} did not rise in {seconds:.1} s ({} since boot)",
                "{name} 在 {seconds:.1} 秒内没有增长（启动以来 {}）",
                words::count(value)
            )
        }
        _ => said!("{name} is {}", "{name} 为 {}", words::count(value)),
    }
}

/// Lines of the log, if the last is recent.
fn recent<'a>(case: &Case<'_>, seen: Option<&'a Seen>) -> Option<&'a Seen> {
    let seen = seen.filter(|s| s.lines > 0)?;
    case.within(seen.last, RECENT).then_some(seen)
}

/// Where it was read, as the tail of a phrase; nothing for the host's own namespace.
fn within(case: &Case<'_>, s: &Space<'_>) -> Said {
    if s.now.is_initial() || case.spaces.len() < 2 {
        Said::default()
    } else {
        said!(" in {}", "（{:#}）", s.name)
    }
}

/// CT061: the neighbour table overflows, by what any namespace shows of it: where the initial one was not
/// read, its counters are still to be had elsewhere.
fn neighbours(case: &Case<'_>, excluded: &mut Vec<Excluded>) -> Option<Draft> {
    let lines = recent(case, case.after.log.value().and_then(|l| l.neighbour_overflow.as_ref()));
    let mut tables: Vec<(usize, Neighbours)> = Vec::new();
    for (i, s) in case.spaces.iter().enumerate() {
        let all = s.now.neighbours.value().into_iter().flatten();
        tables.extend(all.map(|table| (i, *table)));
    }
    let mut reasons: Vec<Said> = Vec::new();
    let mut first = None;
    for (family, name) in [(Family::V4, "ARP"), (Family::V6, "NDP")] {
        let of_family = || tables.iter().filter(|(_, t)| t.family == family);
        // One table for all: each namespace says the same of it, a moment later. Its limit stands in the
        // initial one only.
        let rose = of_family().filter_map(|(i, table)| {
            let then = case.spaces[*i].then?.neighbours.value()?;
            let before = then.iter().find(|t| t.family == family)?.table_fulls?;
            Some((table.table_fulls?.checked_sub(before)?, *i))
        });
        let rose = rose.filter(|(by, _)| *by > 0).max_by_key(|(by, i)| (*by, usize::MAX - i));
        let entries = of_family().filter_map(|(i, t)| Some((t.entries?, *i)));
        let entries = entries.max_by_key(|(n, i)| (*n, usize::MAX - i));
        let limit = of_family().find_map(|(_, t)| t.limit).filter(|l| *l > 0);
        let (reason, i) = match (rose, entries, limit) {
            (Some((by, i)), _, _) => (
                said!(
                    "{name}: {} refusals while measured",
                    "{name}：测量期间拒绝 {} 次",
                    words::count(by)
                ),
                i,
            ),
            (None, Some((n, i)), Some(limit)) if n >= limit => (
                said!("{name}: {} of {}", "{name}：{} / {}", words::count(n), words::count(limit)),
                i,
            ),
            (None, _, _) => continue,
        };
        reasons.push(said!("{reason}{}", "{reason:#}{:#}", within(case, &case.spaces[i])));
        first = first.or(Some(i));
    }
    let initial = case.initial();
    if reasons.is_empty() && lines.is_none() {
        if let Some((_, s)) = initial {
            let because = s
                .now
                .neighbours
                .value()
                .into_iter()
                .flatten()
                .filter_map(|t| {
                    let of = match t.family {
                        Family::V4 => said!("gc_thresh3 of ARP", "ARP 的 gc_thresh3"),
                        Family::V6 => said!("gc_thresh3 of NDP", "NDP 的 gc_thresh3"),
                    };
                    let entries = words::many(t.entries?, "entry", "entries", "个条目");
                    Some(said!(
                        "{entries} of {} ({of})",
                        "{entries:#}，{of:#} 为 {}",
                        words::count(t.limit?)
                    ))
                })
                .collect::<Vec<_>>();
            let because = Said::join(&because, &Said::of(", ", "，"));
            if !because.is_empty() {
                excluded.push(Excluded { id: "CT061", because });
            }
        }
        return None;
    }
    if let Some(seen) = lines {
        reasons.push(words::many(seen.lines, "log line", "log lines", "行日志"));
    }
    let namespace = first.or(initial.map(|(i, _)| i));
    let summary = said!(
        "The neighbour table overflows ({}).",
        "邻居表溢出（{:#}）。",
        Said::join(&reasons, &SEMICOLON)
    );
    let mut draft = Draft::new("CT061", Severity::Warning, namespace, summary).explains(0.5);
    let shown = |i: usize| case.spaces[i].now.is_initial() || namespace == Some(i);
    for (i, table) in tables.into_iter().filter(|(i, _)| shown(*i)) {
        let s = &case.spaces[i];
        if let Some(entries) = table.entries {
            let name = match table.family {
                Family::V4 => "ARP",
                Family::V6 => "NDP",
            };
            let what = said!("{name} entries{}", "{name} 条目{:#}", within(case, s));
            draft = draft.count(what, entries, "entries", source_of(&s.now.neighbours));
        }
    }
    if let Some(seen) = lines {
        let source = source_of(&case.after.log);
        draft = draft.count(said!("log lines", "日志行数"), seen.lines, "lines", source.clone());
        draft = draft.time(said!("last line", "最后一行"), seen.last, &source);
    }
    Some(draft)
}

/// CT062: TCP runs out of socket memory.
fn memory(case: &Case<'_>, excluded: &mut Vec<Excluded>) -> Option<Draft> {
    let lines = recent(case, case.after.log.value().and_then(|l| l.socket_memory.as_ref()));
    let mut reasons: Vec<(Said, crate::facts::Source)> = Vec::new();
    let mut healthy = Vec::new();
    let mut first = None;
    let mut shared: Vec<Said> = Vec::new();
    for (i, s) in case.spaces.iter().enumerate() {
        let (bad, good) = memory_of(case, s, &mut shared);
        if !bad.is_empty() {
            first = first.or(Some(i));
        }
        for (reason, source) in bad {
            if reasons.len() < NAMED {
                reasons.push((said!("{reason}{}", "{reason:#}{:#}", within(case, s)), source));
            }
        }
        if s.now.is_initial() {
            healthy = good;
        }
    }
    if let Some(seen) = lines {
        let told = words::many(seen.lines, "log line", "log lines", "行日志");
        reasons.push((told, source_of(&case.after.log)));
    }
    if reasons.is_empty() {
        if let Some(because) = healthy.into_iter().next() {
            excluded.push(Excluded { id: "CT062", because });
        }
        return None;
    }
    let summary = said!(
        "TCP runs out of socket memory ({}).",
        "TCP 的套接字内存用尽（{:#}）。",
        Said::join(reasons.iter().map(|(reason, _)| reason), &SEMICOLON)
    );
    let namespace = first.or(case.initial().map(|(i, _)| i));
    let mut draft = Draft::new("CT062", Severity::Warning, namespace, summary).explains(0.5);
    for (reason, source) in reasons {
        draft = draft.with(said!("sign", "迹象"), Value::Text(reason), "", source);
    }
    Some(draft)
}

/// Signs of short socket memory in one namespace, with where they were read, and what speaks against it.
/// Memory and orphans are counted over all namespaces: once told, they are `shared`.
fn memory_of(
    case: &Case<'_>,
    s: &Space<'_>,
    shared: &mut Vec<Said>,
) -> (Vec<(Said, crate::facts::Source)>, Vec<Said>) {
    let mut reasons = Vec::new();
    let mut healthy = Vec::new();
    if let Some(m) = s.now.sockets.value() {
        for (what, value, limit) in [
            (Said::of("pages of TCP memory", "TCP 内存页"), m.tcp_pages, m.tcp_pages_limit),
            (Said::of("orphaned sockets", "孤儿套接字"), m.orphans, m.orphans_limit),
        ] {
            let (Some(value), Some(limit)) = (value, limit) else { continue };
            let of = said!(
                "{} of {} {what}",
                "{what:#} {} / {}",
                words::count(value),
                words::count(limit)
            );
            if limit > 0 && value >= limit {
                if !shared.contains(&what) {
                    shared.push(what);
                    reasons.push((of, source_of(&s.now.sockets)));
                }
            } else {
                healthy.push(of);
            }
        }
    }
    for name in ["TcpExt.TCPAbortOnMemory", "TcpExt.TCPMemoryPressures"] {
        match counter(s, name) {
            Some((_, Some(by))) if by > 0 => {
                let rose = said!("{name} rose by {}", "{name} 增加了 {}", words::count(by));
                reasons.push((rose, source_of(&s.now.stack)));
            }
            Some((value, grown)) => healthy.push(says(case, name, value, grown)),
            None => {}
        }
    }
    (reasons, healthy)
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
            said!(
                "The cloud's own connection tracker drops {} packets/s: the instance is over its \
                 allowance, whatever the kernel's limit is.",
                "云平台自己的连接跟踪每秒丢 {} 个包：实例超出了配额，与内核的上限无关。",
                words::rate(by as f64 / seconds)
            ),
        ),
        (rose, _) if total > 0 => (
            if rose.is_some() { Severity::Info } else { Severity::Warning },
            said!(
                "The cloud's own connection tracker has dropped {} since the driver was loaded.",
                "云平台自己的连接跟踪在驱动加载以来丢了 {:#}。",
                words::many(total, "packet", "packets", "个包")
            ),
        ),
        _ => {
            let because =
                said!("conntrack_allowance_exceeded is 0", "conntrack_allowance_exceeded 为 0");
            excluded.push(Excluded { id: "CT063", because });
            return None;
        }
    };
    let mut draft = Draft::new("CT063", severity, None, summary).explains(0.7);
    for a in now.iter().filter(|a| a.value > 0).take(8) {
        let what =
            said!("{} of {}", "{1} 的 {0}", words::clean(&a.name), words::clean(&a.interface));
        draft = draft.count(what, a.value, "packets", source_of(&case.after.cloud));
    }
    Some(draft)
}

/// Packets that each dropping rule and policy has matched, by where it stands.
fn droppers(rules: &Ruleset) -> BTreeMap<(Said, u32), u64> {
    let mut all = BTreeMap::new();
    // Rules may stand there twice, word for word.
    let mut times: BTreeMap<Said, u32> = BTreeMap::new();
    let mut put = |name: Said, packets: u64| {
        let nth = times.entry(name.clone()).or_default();
        all.insert((name, *nth), packets);
        *nth += 1;
    };
    let drops = |r: &&Rule| matches!(r.verdict, Verdict::Drop | Verdict::Reject);
    for rule in rules.rules.iter().filter(drops) {
        if let Some(packets) = rule.packets {
            put(Said::name(format!("{:?} {} {}", rule.family, rule.chain, rule.text)), packets);
        }
    }
    for chain in rules.chains.iter().filter(|c| matches!(c.policy, Verdict::Drop)) {
        if let Some(packets) = chain.packets {
            let name = said!(
                "policy of chain {} in table {}",
                "表 {1} 中链 {0} 的策略",
                chain.chain,
                chain.table
            );
            let (backend, family) = (chain.backend, chain.family);
            let whole = said!("{backend:?} {family:?} {name}", "{backend:?} {family:?} {name:#}");
            put(whole, packets);
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
    let mut grown: Vec<(&Said, u64)> = now
        .iter()
        .filter_map(|(place, packets)| {
            let by = packets.checked_sub(*then.get(place)?)?;
            (by > 0).then_some((&place.0, by))
        })
        .collect();
    grown.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let all: u64 = grown.iter().fold(0, |sum: u64, (_, by)| sum.saturating_add(*by));
    let rate = all as f64 / seconds;
    if rate < BACKGROUND {
        return None;
    }
    let (heaviest, _) = grown.first()?;
    let summary = said!(
        "Firewall rules drop {} packets/s, most of them by: {}.",
        "防火墙规则每秒丢 {} 个包，其中最多的是：{:#}。",
        words::rate(rate),
        heaviest.map(words::clean)
    );
    let mut draft = Draft::new("CT064", Severity::Info, Some(i), summary).explains(0.2);
    for (place, by) in grown.iter().take(3) {
        let rate = *by as f64 / seconds;
        draft = draft.number(place.map(words::clean), rate, "packets/s", source_of(&s.now.rules));
    }
    Some(draft)
}
