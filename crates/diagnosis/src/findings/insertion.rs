//! Packets lost when their entry was to be inserted: races and exhausted NAT ports (CT051, CT052).
//!
//! Kernel: `__nf_conntrack_confirm()`, `nf_ct_resolve_clash()`, `nf_nat_l4proto_unique_tuple()`. Both
//! raise `insert_failed` and `drop`; looking for a free port also raises `found`, which since 4.9 counts
//! nothing else.

use alloc::vec::Vec;

use plimsoll_ct::{Counter, CounterSource, Protocol};

use super::{Draft, source_text};
use crate::Said;
use crate::Severity;
use crate::case::{Case, Space};
use crate::words;

/// Fewer failures in one interval are a hiccup that no one notices.
pub(super) const HICCUP: u64 = 3;
/// Fewer failures in one interval do not show that ports have run out: two queries sent at once look alike.
pub(super) const EXHAUSTED_LEAST: u64 = 5;
/// Looking for a free port tries all that a rule allows, or 128 and more: a race tries one or two.
pub(super) const PROBES: u64 = 4;
/// Each failure is a dropped packet; the two counters are read one after the other. A full table only adds
/// drops of its own.
pub(super) const DROPPED: f64 = 0.8;
/// From this share of all attempts on it is critical …
pub(super) const EXHAUSTED_SHARE: f64 = 0.1;
/// … or, where the rate of new entries is not known, from so many failures a second.
pub(super) const EXHAUSTED_RATE: f64 = 10.0;
/// Failures since boot that are worth telling where no rate could be measured.
pub(super) const MANY: u64 = 1000;

/// Finds failed insertions.
pub(super) fn find(case: &Case<'_>, found: &mut Vec<Draft>) {
    for (i, s) in case.spaces.iter().enumerate() {
        found.extend(insertion(case, i, s));
    }
}

/// CT051 or CT052.
fn insertion(case: &Case<'_>, i: usize, s: &Space<'_>) -> Option<Draft> {
    let now = |c: Counter| s.grown(c);
    let boot = |c: Counter| s.total(c);
    let failed = |get: &dyn Fn(Counter) -> Option<u64>| -> Option<u64> {
        Some(get(Counter::InsertFailed)?.saturating_sub(get(Counter::ChainTooLong).unwrap_or(0)))
    };
    let table = case.the_table(i);
    match (failed(&now), case.seconds()) {
        (Some(0), Some(_)) => None,
        (Some(by), Some(seconds)) => {
            let rate = by as f64 / seconds;
            if exhausted(case, s, by) {
                let severity = match s.rates.new {
                    Ok(new) if rate < EXHAUSTED_SHARE * (new + rate) => Severity::Warning,
                    Err(_) if rate < EXHAUSTED_RATE => Severity::Warning,
                    Ok(_) | Err(_) => Severity::Critical,
                };
                let summary = said!(
                    "NAT finds no free port for {} packets/s: they are dropped, though {} is far \
                     from its limit or not the cause.",
                    "NAT 每秒有 {} 个包找不到空闲端口，只好丢弃；{:#}离上限还远，或者与此无关。",
                    words::rate(rate),
                    if case.spaces.len() > 1 { s.name.clone() } else { said!("the table", "表") }
                );
                let draft = Draft::new("CT052", severity, Some(i), summary)
                    .explains(0.9)
                    .clause(said!("NAT finds no free port", "NAT 找不到空闲端口"));
                return Some(evidence(s, draft));
            }
            let severity = if by >= HICCUP { Severity::Warning } else { Severity::Info };
            let cause = if asks_dns(s) {
                said!(
                    "; most likely two DNS queries (A and AAAA) sent at once from one socket",
                    "；多半是从同一个套接字同时发出的两个 DNS 查询（A 和 AAAA）"
                )
            } else {
                Said::default()
            };
            let summary = said!(
                "{table} loses {} packets/s in races to insert the same entry{cause}.",
                "{table:#}每秒有 {} 个包因抢着插入同一条目而丢失{cause:#}。",
                words::rate(rate)
            );
            let draft =
                Draft::new("CT051", severity, Some(i), summary).explains(0.6).clause(said!(
                    "{} packets/s lost in races to insert",
                    "每秒 {} 个包因抢着插入而丢失",
                    words::rate(rate)
                ));
            Some(evidence(s, draft))
        }
        (_, _) => {
            let total = failed(&boot).filter(|n| *n >= MANY)?;
            let summary = said!(
                "{table} has lost {} since boot in insertion (races, or NAT without a free port).",
                "{table:#}自启动以来有 {:#}在插入时丢失（抢着插入，或 NAT 没有空闲端口）。",
                words::many(total, "packet", "packets", "个包")
            );
            Some(evidence(s, Draft::new("CT051", Severity::Info, Some(i), summary).explains(0.1)))
        }
    }
}

/// Whether failed insertions come from NAT that finds no free port.
fn exhausted(case: &Case<'_>, s: &Space<'_>, failed: u64) -> bool {
    // To 4.8 `found` counted every lookup that hit, so it says nothing there.
    if case.profile.creation == CounterSource::Counted {
        return false;
    }
    let rules_nat = s.now.rules.value().map(|r| r.has_nat());
    let entries_nat = s.now.census.value().is_some_and(|c| c.nat > 0);
    let may_nat = rules_nat.unwrap_or(true) || entries_nat;
    let found = s.grown(Counter::Found).unwrap_or(0);
    let dropped = s.grown(Counter::Drop).unwrap_or(0);
    may_nat
        && failed >= EXHAUSTED_LEAST
        && found >= failed.saturating_mul(PROBES)
        && dropped as f64 >= failed as f64 * DROPPED
}

/// Whether DNS is among the heaviest services.
fn asks_dns(s: &Space<'_>) -> bool {
    s.now.census.value().is_some_and(|c| {
        let heaviest = c.services.rows.iter().take(5);
        heaviest.map(|(svc, _)| svc).any(|svc| svc.protocol == Protocol::Udp && svc.port == 53)
    })
}

/// The counters that tell the three misfortunes apart.
fn evidence(s: &Space<'_>, mut draft: Draft) -> Draft {
    let source = source_text(&s.now.counters, "/proc/net/stat/nf_conntrack");
    for counter in [Counter::InsertFailed, Counter::Drop, Counter::Found, Counter::ClashResolved] {
        if let Some(by) = s.grown(counter) {
            let what = said!("{} in the interval", "测量期间的 {}", counter.name());
            draft = draft.count(what, by, "packets", source.clone());
        }
        if let Some(total) = s.total(counter) {
            let what = said!("{} since boot", "启动以来的 {}", counter.name());
            draft = draft.count(what, total, "packets", source.clone());
        }
    }
    draft
}
