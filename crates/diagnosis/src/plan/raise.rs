//! Raise limit and buckets together, or one of them.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use plimsoll_ct::Bytes;

use super::{Change, Ground, Plan, Readback, Setting, Step, Target, Verify};
use crate::Said;
use crate::case::Case;
use crate::facts::ManagerKind;
use crate::remedies::{Findings, raise};
use crate::{RemedyId, commands, findings, size, words};

/// More entries than this for each bucket make chains that cost every packet.
const MOST_PER_BUCKET: u64 = 8;
/// The kernel keeps the number in 31 bits.
const HIGHEST: u64 = i32::MAX as u64;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RaiseRequest {
    /// The limit; `None`: as the facts ask for.
    pub max: Option<u64>,
    /// Buckets; `None`: as many as go with the limit.
    pub buckets: Option<u64>,
    /// Limit and buckets may go down.
    pub allow_lower: bool,
}

/// Limit and buckets that are meant.
struct Wanted {
    max: u64,
    buckets: u64,
    /// What the load needs beyond the limit was not seen.
    unseen: bool,
    /// The file that asks for this limit already.
    written: Option<Said>,
}

/// The plan.
pub fn raise(request: RaiseRequest, ground: &Ground<'_>) -> Plan {
    let case = Case::new(ground.before, ground.now);
    let title = Said::of("raise the limit", "提高上限");
    let mut plan = Plan::new(RemedyId::Raise, title, Target::of(ground));
    let Some(host) = ground.namespace().filter(|n| n.is_initial()) else {
        plan.refused.push(Said::of(
            "the limit is one value for all network namespaces and is set in the host's own: run it there",
            "上限对所有网络命名空间是同一个值，在主机自己的命名空间里设置：请在那里运行",
        ));
        return plan;
    };
    let now = host.max.get().map(|m| m.0).or(ground.now.host.global_max.get());
    let (Some(now), Some(buckets)) = (now, case.buckets()) else {
        plan.refused.push(Said::of("limit and buckets could not be read", "读不到上限和桶数"));
        return plan;
    };
    let wanted = match wanted(request, &case, now, buckets) {
        Ok(wanted) => wanted,
        Err(reason) => {
            plan.refused.push(reason);
            return plan;
        }
    };
    plan.title = title_of(&wanted, now, buckets);
    plan.effect = effect(&wanted, now, buckets);
    plan.refused = refused(&wanted, request, &case, (now, buckets));
    if wanted.max == now && wanted.buckets == buckets {
        plan.effect = Said::of("Limit and buckets are that already.", "上限和桶数已经是这样。");
        return plan;
    }
    let price = case.price.worst(wanted.max, wanted.buckets);
    plan.price = Some(price.0);
    let extra = |max| price_of_more(&case, now, buckets, max, wanted.buckets);
    let available = ground.now.host.memory_available.get();
    let steps = match available {
        Some(Bytes(available)) if wanted.max > now && extra(wanted.max) > available / 2 => {
            let steps = steps(now, wanted.max, available, &extra);
            plan.warnings.push(said!(
                "memory is tight ({} of {} available): the limit goes up in steps, each only while packets \
                 are still dropped and memory allows",
                "内存紧张（共 {1}，可用 {0}）：上限分步提高，每一步只在仍然丢包且内存允许时才做",
                words::bytes(Bytes(available)),
                words::bytes(ground.now.host.memory_total.get().unwrap_or_default()),
            ));
            steps
        }
        Some(_) | None => alloc::vec![(wanted.max, None)],
    };
    if wanted.max > now && steps.is_empty() {
        plan.refused.push(said!(
            "memory: the next step would take {}, and {} are available",
            "内存：下一步要占 {}，而可用 {}",
            words::bytes(Bytes(extra(now.saturating_mul(2).min(wanted.max)))),
            words::bytes(available.unwrap_or_default())
        ));
    }
    let mut from = now;
    for (index, (max, step)) in steps.into_iter().enumerate() {
        if max == now {
            continue;
        }
        plan.changes.push(limit(&case, from, max, step));
        from = max;
        if index == 0 {
            plan.changes.extend(more_buckets(&case, buckets, wanted.buckets));
        }
    }
    if wanted.max == now {
        plan.changes.extend(more_buckets(&case, buckets, wanted.buckets));
    }
    plan.risks = risks(&case, &wanted, buckets);
    if let Some(place) = &wanted.written {
        plan.warnings.push(said!(
            "{place} asks for {} already: so much it is, and no less",
            "{place:#} 要求的就是 {}：因此用它，不用更小的",
            wanted.max
        ));
    }
    if wanted.unseen {
        plan.warnings.push(raise::UNSEEN);
    }
    plan.warnings.extend(warnings(&case));
    plan.verify = alloc::vec![Verify::DropsEnd];
    plan
}

fn wanted(request: RaiseRequest, case: &Case<'_>, now: u64, buckets: u64) -> Result<Wanted, Said> {
    let (max, unseen, written) = match (request.max, request.buckets) {
        (Some(max), _) => (max, false, None),
        (None, Some(_)) => (now, false, None),
        (None, None) => {
            let (found, _) = findings::find(case);
            let size = raise::size(case, &Findings(&found))?;
            if size.max == now && size.buckets == buckets {
                return Err(said!(
                    "nothing here asks for more than {}: give --max or --buckets",
                    "本机的负载用不着超过 {}：请给出 --max 或 --buckets",
                    words::count(now)
                ));
            }
            (size.max, size.unseen, size.written.map(|w| w.place))
        }
    };
    let fitting = size::buckets_for(case.profile, max, case.buckets());
    let most = case.profile.max_per_bucket.max(1);
    // As many as go with the limit, never fewer than now; a lower limit keeps its short chains.
    let by_itself = if max > buckets.saturating_mul(most) { fitting } else { buckets };
    Ok(Wanted { max, buckets: request.buckets.unwrap_or(by_itself), unseen, written })
}

fn refused(
    wanted: &Wanted,
    request: RaiseRequest,
    case: &Case<'_>,
    (now, buckets): (u64, u64),
) -> Vec<Said> {
    let mut refused = Vec::new();
    let max = wanted.max;
    if max == 0 {
        refused.push(Said::of(
            "0 would mean no limit at all: a flood could take all memory",
            "0 表示完全没有上限：洪水可能占满内存",
        ));
    }
    if max > HIGHEST || wanted.buckets > HIGHEST {
        let most = words::count(HIGHEST);
        refused.push(said!("the kernel takes no more than {most}", "内核最多接受 {most}"));
    }
    let lower = max < now || now == 0;
    if lower && !request.allow_lower {
        let now = if now == 0 { Said::of("none", "无") } else { Said::name(words::count(now)) };
        refused.push(said!(
            "the limit is {now}, and {} is lower: only with --allow-lower",
            "现在的上限是 {now:#}，{} 更低：要加 --allow-lower 才行",
            words::count(max)
        ));
    }
    if wanted.buckets < buckets && !request.allow_lower {
        refused.push(said!(
            "there are {} buckets, and {} are fewer: only with --allow-lower",
            "现在有 {} 个桶，{} 个更少：要加 --allow-lower 才行",
            words::count(buckets),
            words::count(wanted.buckets)
        ));
    }
    if lower && let Some((s, count)) = fullest(case).filter(|(_, count)| *count > max) {
        refused.push(said!(
            "{s} holds {} entries now and would drop packets at once",
            "{s:#} 现在有 {} 个条目，会立刻丢包",
            words::count(count)
        ));
    }
    if let Some(total) = case.after.host.memory_total.get() {
        let worst = case.price.worst(max, wanted.buckets);
        if max > now && worst.0 > total.0 / 2 {
            refused.push(said!(
                "full, the {} would take {}, over half of the memory ({})",
                "{:#}满时要占 {}，超过内存（{}）的一半",
                tables(case),
                words::bytes(worst),
                words::bytes(total)
            ));
        }
    }
    refused
}

fn fullest<'a>(case: &'a Case<'_>) -> Option<(&'a Said, u64)> {
    let counts = case.spaces.iter().filter_map(|s| Some((&s.name, s.load.count?.0)));
    counts.max_by_key(|(_, count)| *count)
}

fn tables(case: &Case<'_>) -> Said {
    if case.price.multiplies() {
        said!("tables of all {} namespaces", "全部 {} 个命名空间的表", case.price.namespaces)
    } else {
        Said::of("table", "表")
    }
}

fn price_of_more(case: &Case<'_>, now: u64, buckets: u64, max: u64, more: u64) -> u64 {
    case.price.worst(max, more).0.saturating_sub(case.price.worst(now, buckets).0)
}

/// Twice as much at a time, as far as what is available reaches now. The first is taken at once.
fn steps(
    now: u64,
    max: u64,
    available: u64,
    extra: &dyn Fn(u64) -> u64,
) -> Vec<(u64, Option<Step>)> {
    let mut steps = Vec::new();
    let mut at = now.max(1);
    while at < max {
        let next = at.saturating_mul(2).min(max);
        if extra(next) > available {
            break;
        }
        let step = Step { while_dropping: true, available: extra(next) };
        steps.push((next, (!steps.is_empty()).then_some(step)));
        at = next;
    }
    steps
}

fn limit(case: &Case<'_>, before: u64, after: u64, step: Option<Step>) -> Change {
    Change::Setting(Setting {
        path: commands::path(case.profile, "nf_conntrack_max"),
        before: before.to_string(),
        after: after.to_string(),
        readback: Readback::Exact,
        step,
    })
}

fn more_buckets(case: &Case<'_>, before: u64, after: u64) -> Option<Change> {
    (after != before).then(|| {
        Change::Setting(Setting {
            path: commands::buckets_path(case.profile),
            before: before.to_string(),
            after: after.to_string(),
            readback: Readback::RoundedUp,
            step: None,
        })
    })
}

fn title_of(wanted: &Wanted, now: u64, buckets: u64) -> Said {
    let (from, from_heads) = (words::count(now), words::count(buckets));
    let verb = |more| if more { Said::of("raise", "提高") } else { Said::of("lower", "降低") };
    let limit = said!(
        "{} the limit from {from} to {}",
        "把上限从 {from} {:#}到 {}",
        verb(wanted.max > now),
        words::count(wanted.max)
    );
    let heads = said!(
        "{} the buckets from {from_heads} to {}",
        "把桶数从 {from_heads} {:#}到 {}",
        verb(wanted.buckets > buckets),
        words::count(wanted.buckets)
    );
    match (wanted.max != now, wanted.buckets != buckets) {
        (true, true) => said!("{limit}, {heads}", "{limit:#}，{heads:#}"),
        (true, false) => limit,
        (false, true) => heads,
        (false, false) => said!("keep the limit at {from}", "上限保持为 {from}"),
    }
}

fn effect(wanted: &Wanted, now: u64, buckets: u64) -> Said {
    if wanted.max == now && wanted.buckets < buckets {
        return Said::of(
            "The buckets take less memory; chains become longer.",
            "桶占用的内存变少；链变长。",
        );
    }
    match wanted.max.checked_div(now) {
        Some(times @ 2..) => said!(
            "There is room for {} times the entries, at once.",
            "马上能容纳 {} 倍的条目。",
            words::count(times)
        ),
        Some(_) if wanted.max > now => {
            Said::of("There is room for more entries, at once.", "马上能容纳更多条目。")
        }
        Some(_) if wanted.max == now => Said::of("Chains become short again.", "链又变短了。"),
        Some(_) | None => Said::of("The table can take less memory.", "表最多占用的内存变少。"),
    }
}

fn risks(case: &Case<'_>, wanted: &Wanted, buckets: u64) -> Vec<Said> {
    let price = words::bytes(case.price.worst(wanted.max, wanted.buckets));
    let full = if case.price.multiplies() { "are full" } else { "is full" };
    let tables = tables(case);
    let mut risks = alloc::vec![Said::new(
        format!("Up to {price} of memory if the {tables} {full}."),
        format!("{tables:#}满时最多占 {price} 内存。"),
    )];
    risks.extend(case.not_priced(wanted.max));
    if wanted.buckets != buckets {
        risks.push(Said::of(
            "Resizing the buckets re-hashes the whole table and holds up packets for that long.",
            "改变桶数要重新散列整张表，这段时间包会被挡住。",
        ));
    }
    if wanted.max / wanted.buckets.max(1) >= MOST_PER_BUCKET {
        risks.push(said!(
            "{} entries for each bucket: chains of that length cost every packet.",
            "每个桶 {} 个条目：这么长的链，每个包都要付出代价。",
            words::count(wanted.max / wanted.buckets.max(1))
        ));
    }
    risks
}

fn warnings(case: &Case<'_>) -> Vec<Said> {
    let mut warnings = alloc::vec![super::UNTIL_BOOT];
    let managers = case.after.boot.managers.value().into_iter().flatten();
    for manager in managers.filter(|m| m.kind == ManagerKind::Kubernetes) {
        warnings.push(said!(
            "kube-proxy sets the limit anew whenever it starts ({}): `plimsoll fix persist` prints what to \
             set there",
            "kube-proxy 每次启动都会重设上限（{:#}）：`plimsoll fix persist` 会显示那里该怎么设",
            manager.because.map(words::clean)
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_double_and_end_where_memory_ends() {
        let extra = |max: u64| max.saturating_sub(1000) * 300;
        let found = steps(1000, 16_000, 3_000_000, &extra);
        let limits: Vec<u64> = found.iter().map(|(max, _)| *max).collect();
        assert_eq!(limits, [2000, 4000, 8000]);
        assert_eq!(found[0].1, None, "the first is taken at once");
        assert_eq!(found[1].1, Some(Step { while_dropping: true, available: 900_000 }));
    }
}
