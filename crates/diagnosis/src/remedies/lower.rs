//! Lower the limit, where memory cannot keep it.

use alloc::format;
use alloc::vec::Vec;

use super::{Findings, Ranked};
use crate::Said;
use crate::case::{Case, Space};
use crate::commands;
use crate::facts::ManagerKind;
use crate::words;
use crate::{Remedy, RemedyId};

/// A limit that fits into memory by this share: the half from which on it is too much (CT021).
const FITS: u64 = 2;
/// Entries that nothing may evict must stay below this share of a lower limit; from there on they would be
/// the next trouble (CT004).
const PROTECTED: (u64, u64) = (3, 4);

/// The lower limit that makes the worst case fit into memory. `Err`: why there is none.
pub(crate) fn lowered(case: &Case<'_>) -> Result<u64, Said> {
    let s = case.initial().map(|(_, s)| s).or(case.spaces.first());
    let now = s
        .and_then(Space::limit)
        .ok_or(said!("the limit in force could not be read", "读不到现行上限"))?;
    let memory = case
        .after
        .host
        .memory_total
        .get()
        .ok_or(said!("the memory is not known", "内存大小未知"))?;
    let buckets = case.buckets().unwrap_or(0);
    // The largest power of two below the present one that fits.
    let mut max = 1u64 << now.ilog2();
    if max == now {
        max /= 2;
    }
    while max > 1 && case.price.worst(max, buckets).0 > memory.0 / FITS {
        max /= 2;
    }
    let peak = case
        .spaces
        .iter()
        .filter_map(|s| Some((case.unmovable(s).or(s.load.count.map(|c| c.0))?, &s.name)))
        .max_by_key(|(n, _)| *n);
    if let Some((entries, name)) = peak
        && entries.saturating_mul(PROTECTED.1) >= max.saturating_mul(PROTECTED.0)
    {
        return Err(said!(
            "{} entries of {name} cannot be evicted: a limit of {}, which would fit, leaves no room \
             for new ones",
            "{name:#} 有 {} 个条目不可淘汰：放得下的上限 {} 没有给新条目留出地方",
            words::count(entries),
            words::count(max)
        ));
    }
    Ok(max)
}

/// Against a limit that memory cannot keep: a lower one, and fewer namespaces that track.
pub(super) fn remedy(case: &Case<'_>, findings: &Findings<'_>) -> Option<Ranked> {
    if !findings.has("CT021") {
        return None;
    }
    let mut commands = Vec::new();
    if case.price.multiplies() {
        commands.push(said!(
            "# the limit is one value, and each of the {} namespaces that track may fill it: none can be \
             given one of its own", "# 上限只有一个值，启用跟踪的 {} 个命名空间每个都可能占满它：不能单独给其中一个另设",
            case.price.namespaces
        ));
    }
    let mut ours = Vec::new();
    let (title, refused, price) = match lowered(case) {
        Ok(max) => {
            ours.push(Said::name(format!("plimsoll fix raise --max {max} --allow-lower")));
            commands.push(Said::name(commands::set(case.profile, "nf_conntrack_max", max)));
            let price = case.price.worst(max, case.buckets().unwrap_or(0));
            let to = words::count(max);
            (said!("lower the limit to {to}", "把上限降到 {to}"), Vec::new(), Some(price))
        }
        Err(reason) => (said!("lower the limit", "降低上限"), alloc::vec![reason], None),
    };
    if case.price.multiplies() {
        let limit = case.initial().and_then(|(_, s)| s.limit()).unwrap_or(0);
        commands.push(said!(
            "# or let fewer namespaces track: each that has no rule by state and no NAT takes {} off the \
             worst case", "# 或者少让几个命名空间跟踪：每一个没有按状态匹配的规则、也没有 NAT 的，可使最坏情况少 {}",
            words::bytes(case.price.full(limit))
        ));
    }
    let kube = case.after.boot.managers.value().into_iter().flatten();
    if kube.into_iter().any(|m| m.kind == ManagerKind::Kubernetes) {
        commands.push(
            said!("# kube-proxy sets it at each start: conntrack.maxPerCore: 0 and conntrack.min: 0 leave it \
             alone", "# kube-proxy 每次启动都会设它：conntrack.maxPerCore: 0 和 conntrack.min: 0 可让它不动"),
        );
    }
    let remedy = Remedy {
        id: RemedyId::Limit,
        title,
        findings: alloc::vec!["CT021"],
        fix: ours,
        commands,
        memory: price,
        risk: said!(
            "A table that needs more than that drops new flows: compare with the busiest hour.",
            "需要更多条目的表会丢掉新流：请与最忙的时段比较。"
        ),
        effect: match case.may_track() {
            0 => said!(
                "The tables of all namespaces together fit into half of the memory.",
                "所有命名空间的表合起来不超过一半内存。"
            ),
            unknown => said!(
                "The tables of the namespaces that are known to track fit into half of the memory; {} more \
                 may track.",
                "已知启用跟踪的命名空间的表合起来不超过一半内存；另有 {} 个也许也启用跟踪。",
                words::count(unknown)
            ),
        },
        refused,
    };
    Some(Ranked { rank: 35, remedy })
}
