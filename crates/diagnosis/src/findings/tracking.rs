//! Tracking itself: on without need, off, and a count that does not match the list
//! (CT030, CT031, CT032).
//!
//! Kernel: `nf_ct_netns_get()`. Since 4.10 packets are tracked only where a rule asks for it; before,
//! loading the module tracked everything in every namespace.

use alloc::vec::Vec;

use plimsoll_ct::Era;
use plimsoll_wire::ruleset::{Backend, Ruleset, TableFamily};

use super::{Draft, source_of};
use crate::Said;
use crate::case::{Case, Space};
use crate::facts::{Origin, Reason, Tracking};
use crate::groups::ratio;
use crate::words;
use crate::{Severity, Value};

/// Fullness from which on needless tracking is worth a person's time.
pub(super) const IN_USE: f64 = 0.10;
/// By how much count and list must differ …
pub(super) const DISAGREE: f64 = 0.20;
/// … and by how many entries.
pub(super) const DISAGREE_LEAST: u64 = 1000;
/// Kernel parts that track packets of their own accord, without a rule.
pub(super) const OWN_ACCORD: &[&str] =
    &["openvswitch", "act_ct", "ip_vs", "nf_conntrack_bridge", "nf_flow_table", "nft_flow_offload"];

/// Finds what is odd about tracking.
pub(super) fn find(case: &Case<'_>, found: &mut Vec<Draft>) {
    for (i, s) in case.spaces.iter().enumerate() {
        found.extend(without_need(case, i, s));
        found.extend(disagree(case, i, s));
    }
    found.extend(off(case));
}

/// The rules of a namespace, if every back end that there can be was read.
pub(crate) fn all_rules<'a>(case: &Case<'_>, s: &Space<'a>) -> Option<&'a Ruleset> {
    let rules = s.now.rules.value().filter(|r| r.unread.is_empty())?;
    if rules.complete() {
        return Some(rules);
    }
    let read = |wanted: &[Backend], family: TableFamily| {
        let of = |f: TableFamily| f == family || f == TableFamily::Inet;
        rules.read.iter().any(|(b, f)| wanted.contains(b) && of(*f))
    };
    let modules = case.after.host.modules.value();
    let without = |name: &str| {
        case.after.host.modular.get() == Some(true)
            && modules.is_some_and(|m| m.iter().all(|m| m.name != name))
    };
    // The first generation tracks IPv4 only.
    let four_only = case.profile.era == Era::IpConntrack;
    let legacy = (read(&[Backend::Legacy], TableFamily::Ip) || without("ip_tables"))
        && (four_only || read(&[Backend::Legacy], TableFamily::Ip6) || without("ip6_tables"));
    // nf_tables came with 3.13, and with RHEL 7.
    let too_old = case.after.host.generation.value().is_some_and(|k| k.rank() < (3, 10));
    let nft = too_old
        || read(&[Backend::Nft, Backend::IptablesNft], TableFamily::Ip)
        || without("nf_tables");
    (legacy && nft).then_some(rules)
}

/// Whether a rule of any namespace whose tracking this is needs it. `None`: not all rules are known.
fn needed(case: &Case<'_>, s: &Space<'_>) -> Option<bool> {
    if case.profile.hooks_on_demand {
        let rules = all_rules(case, s)?;
        // Of a saved namespace only some commands may have been run: what is not there was not asked.
        if case.after.host.origin != Origin::Live && !rules.complete() {
            return None;
        }
        return Some(rules.needing().next().is_some());
    }
    let mut needed = false;
    for space in &case.spaces {
        needed |= all_rules(case, space)?.needing().next().is_some();
    }
    Some(needed)
}

/// CT030: packets are tracked though no rule needs it.
fn without_need(case: &Case<'_>, i: usize, s: &Space<'_>) -> Option<Draft> {
    let Some(Tracking::On { because }) = s.now.tracking.value() else {
        return None;
    };
    let count = s.load.count?.0;
    let own_accord = case
        .after
        .host
        .modules
        .value()
        .is_some_and(|m| m.iter().any(|m| OWN_ACCORD.contains(&m.name.as_str())));
    if count == 0 || own_accord || needed(case, s)? {
        return None;
    }
    let fullness = s.fullness().unwrap_or(0.0);
    let busy = fullness >= IN_USE || case.attribution.of_space(i).is_some();
    let severity = if busy { Severity::Warning } else { Severity::Info };
    let summary = said!(
        "{} holds {}, and no rule needs tracking ({}): not tracking at all is the cure.",
        "{:#}里有 {:#}，却没有规则需要跟踪（{:#}）：办法是干脆不跟踪。",
        case.the_table(i),
        words::many(count, "entry", "entries", "个条目"),
        because.map(words::clean)
    );
    Some(
        Draft::new("CT030", severity, Some(i), summary)
            .explains(if busy { 0.95 } else { 0.1 })
            .clause(said!("no rule needs the tracking at all", "根本没有规则需要跟踪"))
            .count(said!("entries", "条目数"), count, "entries", source_of(&s.now.count))
            .count(
                said!("rules that need tracking", "需要跟踪的规则"),
                0,
                "rules",
                source_of(&s.now.rules),
            )
            .with(
                said!("why packets are tracked", "为什么在跟踪"),
                Value::Text(because.map(words::clean)),
                "",
                source_of(&s.now.tracking),
            ),
    )
}

/// CT031: nothing is tracked, so it is not conntrack.
fn off(case: &Case<'_>) -> Option<Draft> {
    let (i, s) = case.initial()?;
    let absent = |reason: Reason| matches!(reason, Reason::NotLoaded | Reason::NotBuilt);
    let empty = match s.now.count.gap() {
        None => s.load.count.is_some_and(|c| c.0 == 0),
        Some(gap) => absent(gap.reason),
    };
    let Some(Tracking::Off { because }) = s.now.tracking.value() else {
        return None;
    };
    if !empty || case.spaces.iter().any(Space::tracks) || case.full_lines().is_some() {
        return None;
    }
    let others = if case.spaces.len() > 1 {
        said!(", nor does any other namespace", "，其他命名空间也没有")
    } else {
        Said::default()
    };
    let summary = said!(
        "The host tracks no connections ({}){others}: whatever drops packets, it is not conntrack.",
        "本机没有跟踪任何连接（{:#}）{others:#}：不管什么在丢包，都不是连接跟踪。",
        because.map(words::clean)
    );
    Some(Draft::new("CT031", Severity::Info, Some(i), summary).explains(0.05).with(
        said!("why nothing is tracked", "为什么没有跟踪"),
        Value::Text(because.map(words::clean)),
        "",
        source_of(&s.now.tracking),
    ))
}

/// CT032: the count is far above what the list shows.
///
/// Expired entries stay in the count until the collector comes, so the rate of new ones times its lag is
/// allowed for; where that rate is not known on such a kernel, or list and count were saved at different
/// times, nothing is said.
fn disagree(case: &Case<'_>, i: usize, s: &Space<'_>) -> Option<Draft> {
    if case.after.host.origin != Origin::Live {
        return None;
    }
    let census = s.now.census.value().filter(|c| c.complete)?;
    let now = s.load.count?.0;
    let count = now.min(s.then.and_then(|n| n.count.get())?.0);
    let lag = case.profile.collector_lag.0 as f64;
    let uncollected = if lag > 0.0 {
        let new = *s.rates.new.as_ref().ok()?;
        let scaled = new * lag * 1.5;
        if scaled > u32::MAX as f64 { return None } else { scaled as u64 }
    } else {
        0
    };
    let listed = census.seen.saturating_add(census.malformed);
    let apart = count.saturating_sub(listed).saturating_sub(uncollected);
    if apart < DISAGREE_LEAST || ratio(apart, count) < DISAGREE {
        return None;
    }
    let summary = said!(
        "{} counts {} entries, yet its list holds {}: {} are held without being listed (a listener \
         that does not take its events, or a leak).",
        "{:#}计数为 {} 个条目，而列表里只有 {}：有 {} 个占着却没有列出（监听者没有取走事件，或者泄漏）。",
        case.the_table(i),
        words::count(count),
        words::count(listed),
        words::count(apart)
    );
    Some(
        Draft::new("CT032", Severity::Warning, Some(i), summary)
            .explains(ratio(apart, count))
            .count(said!("count", "计数"), count, "entries", source_of(&s.now.count))
            .count(said!("listed", "列出"), listed, "entries", source_of(&s.now.census))
            .count(
                said!("expired and not yet collected, at most", "已过期但还没回收，最多"),
                uncollected,
                "entries",
                said!("derived", "推算"),
            ),
    )
}
