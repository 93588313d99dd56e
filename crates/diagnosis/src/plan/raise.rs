//! Raise limit and buckets together, or one of them.

use alloc::format;
use alloc::string::{String, ToString};
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
    /// The limit may go down.
    pub allow_lower: bool,
}

/// Limit and buckets that are meant.
struct Wanted {
    max: u64,
    buckets: u64,
    /// What the load needs beyond the limit was not seen.
    unseen: bool,
}

/// The plan.
pub fn raise(request: RaiseRequest, ground: &Ground<'_>) -> Plan {
    let case = Case::new(ground.before, ground.now);
    let title = "raise the limit".to_string();
    let mut plan = Plan::new(RemedyId::Raise, title, Target::of(ground));
    let Some(host) = ground.namespace().filter(|n| n.is_initial()) else {
        plan.refused.push(
            "the limit is one value for all network namespaces and is set in the host's own: run it there"
                .into(),
        );
        return plan;
    };
    let now = host.max.get().map(|m| m.0).or(ground.now.host.global_max.get());
    let (Some(now), Some(buckets)) = (now, case.buckets()) else {
        plan.refused.push("limit and buckets could not be read".into());
        return plan;
    };
    let wanted = match wanted(request, &case, now, buckets) {
        Ok(wanted) => wanted,
        Err(reason) => {
            plan.refused.push(reason);
            return plan;
        }
    };
    plan.title = title_of(&wanted, now, buckets).into();
    plan.effect = effect(&wanted, now).into();
    plan.refused = refused(&wanted, request, &case, now);
    if wanted.max == now && wanted.buckets == buckets {
        plan.effect = "Limit and buckets are that already.".into();
        return plan;
    }
    let price = case.price.worst(wanted.max, wanted.buckets);
    plan.price = Some(price.0);
    let extra = |max| price_of_more(&case, now, buckets, max, wanted.buckets);
    let available = ground.now.host.memory_available.get();
    let steps = match available {
        Some(Bytes(available)) if wanted.max > now && extra(wanted.max) > available / 2 => {
            let steps = steps(now, wanted.max, available, &extra);
            plan.warnings.push(format!(
                "memory is tight ({} of {} available): the limit goes up in steps, each only while packets \
                 are still dropped and memory allows",
                words::bytes(Bytes(available)),
                words::bytes(ground.now.host.memory_total.get().unwrap_or_default()),
            ).into());
            steps
        }
        Some(_) | None => alloc::vec![(wanted.max, None)],
    };
    if wanted.max > now && steps.is_empty() {
        plan.refused.push(
            format!(
                "memory: the next step would take {}, and {} are available",
                words::bytes(Bytes(extra(now.saturating_mul(2).min(wanted.max)))),
                words::bytes(available.unwrap_or_default())
            )
            .into(),
        );
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
    if wanted.unseen {
        plan.warnings.push(raise::UNSEEN);
    }
    plan.warnings.extend(warnings(&case));
    plan.verify = alloc::vec![Verify::DropsEnd];
    plan
}

fn wanted(request: RaiseRequest, case: &Case<'_>, now: u64, buckets: u64) -> Result<Wanted, Said> {
    let (max, unseen) = match (request.max, request.buckets) {
        (Some(max), _) => (max, false),
        (None, Some(_)) => (now, false),
        (None, None) => {
            let (found, _) = findings::find(case);
            let size = raise::size(case, &Findings(&found))?;
            if size.max == now && size.buckets == buckets {
                return Err(format!(
                    "nothing here asks for more than {}: give --max or --buckets",
                    words::count(now)
                )
                .into());
            }
            (size.max, size.unseen)
        }
    };
    let fitting = size::buckets_for(case.profile, max, case.buckets());
    let most = case.profile.max_per_bucket.max(1);
    // As many as go with the limit, never fewer than now; a lower limit keeps its short chains.
    let by_itself = if max > buckets.saturating_mul(most) { fitting } else { buckets };
    Ok(Wanted { max, buckets: request.buckets.unwrap_or(by_itself), unseen })
}

fn refused(wanted: &Wanted, request: RaiseRequest, case: &Case<'_>, now: u64) -> Vec<Said> {
    let mut refused = Vec::new();
    let max = wanted.max;
    if max == 0 {
        refused
            .push("0 would mean no limit at all: a flood could take all memory".to_string().into());
    }
    if max > HIGHEST || wanted.buckets > HIGHEST {
        refused.push(format!("the kernel takes no more than {HIGHEST}").into());
    }
    let lower = max < now || now == 0;
    if lower && !request.allow_lower {
        let now = if now == 0 { "none".to_string() } else { now.to_string() };
        refused.push(
            format!("the limit is {now}, and {max} is lower: only with --allow-lower").into(),
        );
    }
    if lower && let Some((s, count)) = fullest(case).filter(|(_, count)| *count > max) {
        refused.push(
            format!("{s} holds {} entries now and would drop packets at once", words::count(count))
                .into(),
        );
    }
    if let Some(total) = case.after.host.memory_total.get() {
        let worst = case.price.worst(max, wanted.buckets);
        if max > now && worst.0 > total.0 / 2 {
            refused.push(
                format!(
                    "full, the {} would take {}, over half of the memory ({})",
                    tables(case),
                    words::bytes(worst),
                    words::bytes(total)
                )
                .into(),
            );
        }
    }
    refused
}

fn fullest<'a>(case: &'a Case<'_>) -> Option<(&'a str, u64)> {
    let counts = case.spaces.iter().filter_map(|s| Some((&*s.name, s.load.count?.0)));
    counts.max_by_key(|(_, count)| *count)
}

fn tables(case: &Case<'_>) -> String {
    if case.price.multiplies() {
        format!("tables of all {} namespaces", case.price.namespaces)
    } else {
        "table".to_string()
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

fn title_of(wanted: &Wanted, now: u64, buckets: u64) -> String {
    let verb = |more: bool| if more { "raise" } else { "lower" };
    let limit = format!("{} the limit from {now} to {}", verb(wanted.max > now), wanted.max);
    let heads = format!(
        "{} the buckets from {buckets} to {}",
        verb(wanted.buckets > buckets),
        wanted.buckets
    );
    match (wanted.max != now, wanted.buckets != buckets) {
        (true, true) => format!("{limit}, {heads}"),
        (true, false) => limit,
        (false, true) => heads,
        (false, false) => format!("keep the limit at {now}"),
    }
}

fn effect(wanted: &Wanted, now: u64) -> String {
    match wanted.max.checked_div(now) {
        Some(times @ 2..) => format!("There is room for {times} times the entries, at once."),
        Some(_) if wanted.max > now => "There is room for more entries, at once.".to_string(),
        Some(_) if wanted.max == now => "Chains become short again.".to_string(),
        Some(_) | None => "The table can take less memory.".to_string(),
    }
}

fn risks(case: &Case<'_>, wanted: &Wanted, buckets: u64) -> Vec<Said> {
    let price = words::bytes(case.price.worst(wanted.max, wanted.buckets));
    let full = if case.price.multiplies() { "are full" } else { "is full" };
    let mut risks =
        alloc::vec![Said::from(format!("Up to {price} of memory if the {} {full}.", tables(case)))];
    if wanted.buckets != buckets {
        risks.push(
            "Resizing the buckets re-hashes the whole table and holds up packets for that long."
                .into(),
        );
    }
    if wanted.max / wanted.buckets.max(1) >= MOST_PER_BUCKET {
        risks.push(
            format!(
                "{} entries for each bucket: chains of that length cost every packet.",
                wanted.max / wanted.buckets.max(1)
            )
            .into(),
        );
    }
    risks
}

fn warnings(case: &Case<'_>) -> Vec<Said> {
    let mut warnings =
        alloc::vec!["gone with the next boot: `plimsoll fix persist` makes it stay".into()];
    let managers = case.after.boot.managers.value().into_iter().flatten();
    for manager in managers.filter(|m| m.kind == ManagerKind::Kubernetes) {
        warnings.push(format!(
            "kube-proxy sets the limit anew whenever it starts ({}): `plimsoll fix persist` prints what to \
             set there",
            words::clean(&manager.because)
        ).into());
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
