//! Raise limit and buckets now: the first aid, if memory allows.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::Bytes;

use super::written::{self, Written};
use super::{Findings, Ranked};
use crate::Said;
use crate::case::Case;
use crate::size::{self, Machine, Peak};
use crate::{Remedy, RemedyId, commands, words};

/// What asks for a higher limit.
const LIMIT: &[&str] = &["CT001", "CT002", "CT003", "CT004", "CT005", "CT020", "CT023"];
/// What asks for more buckets.
const BUCKETS: &[&str] = &["CT022"];
/// A limit and buckets, and their worst case in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Size {
    /// Limit.
    pub(crate) max: u64,
    /// Buckets.
    pub(crate) buckets: u64,
    /// Limit was asked to grow.
    pub(crate) raised: bool,
    /// Memory kept it lower than asked.
    pub(crate) capped: bool,
    /// The limit was in the way, so what the load needs beyond was not seen.
    pub(crate) unseen: bool,
    /// The file that asks for this limit already.
    pub(crate) written: Option<Written>,
}

/// What is said of a size that is a guess.
pub(crate) const UNSEEN: Said = Said::of(
    "What the load needs beyond the limit can't be seen while the limit is in its way: this is a \
                                 step, `plimsoll size` measures again once it stands.",
    "上限挡着的时候，看不到负载超出上限还需要多少：这只是一步，改好之后 `plimsoll size` 会重新测量。",
);

impl Size {
    /// Worst case over all namespaces.
    pub(crate) fn price(&self, case: &Case<'_>) -> Bytes {
        case.price.worst(self.max, self.buckets)
    }
}

/// The limit in force; the same for all.
fn current(case: &Case<'_>) -> Option<u64> {
    case.initial().and_then(|(_, s)| s.load.max).or(case.spaces.first()?.load.max).map(|m| m.0)
}

/// Those of the ids that ask for a higher limit here, in the order asked.
pub(super) fn asking(
    case: &Case<'_>,
    findings: &Findings<'_>,
    ids: &[&'static str],
) -> Vec<&'static str> {
    let asks = |id: &&str| findings.place(id).is_some_and(|namespace| case.asks(id, namespace));
    ids.iter().copied().filter(asks).collect()
}

/// The size to go for. `Err`: why there is none.
pub(crate) fn size(case: &Case<'_>, findings: &Findings<'_>) -> Result<Size, Said> {
    let now =
        current(case).ok_or(said!("the limit in force could not be read", "读不到现行上限"))?;
    let machine = Machine::in_case(case);
    if asking(case, findings, LIMIT).is_empty() {
        let max = if now == 0 { default(case) } else { now };
        let buckets = machine.buckets_for(max);
        return Ok(Size {
            max,
            buckets,
            raised: false,
            capped: false,
            unseen: false,
            written: None,
        });
    }
    let demand = size::in_case(case, &|id| findings.place(id), None).unwrap_or_default();
    let sizing = size::size(demand, &machine, size::MARGIN);
    let unseen = matches!(sizing.demand.peak, Peak::Beyond(_));
    // What the operator wrote down, where it suffices: a smaller one of ours would be lost, or stand against it, at the next boot.
    let written = written::limit(case).filter(|w| w.max >= sizing.wanted && w.max > now);
    if let Some(written) = written.filter(|_| sizing.wanted > now) {
        let (max, buckets) = (written.max, machine.buckets_for(written.max));
        return Ok(Size {
            max,
            buckets,
            raised: true,
            capped: false,
            unseen,
            written: Some(written),
        });
    }
    if now > 0 && sizing.max <= now {
        return Err(if sizing.capped {
            said!(
                "memory: {} entries in each of {} would take {}, over an eighth of what the host has",
                "内存：{1:#}各 {0} 个条目要占 {2}，超过主机内存的八分之一",
                words::count(sizing.wanted),
                words::many(case.price.namespaces, "namespace", "namespaces", "个命名空间"),
                words::bytes(case.price.worst(sizing.wanted, machine.buckets_for(sizing.wanted)))
            )
        } else {
            said!(
                "{} is more than the load asks for: {} at the peak and half as much again",
                "{} 已经超过负载所需：峰值 {}，再加一半",
                words::count(now),
                words::count(sizing.demand.peak.entries(sizing.demand.mean))
            )
        });
    }
    Ok(Size {
        max: sizing.max,
        buckets: sizing.buckets,
        raised: true,
        capped: sizing.capped,
        unseen,
        written: None,
    })
}

/// What the kernel would choose by itself.
fn default(case: &Case<'_>) -> u64 {
    case.after.host.memory_total.get().map_or(0, |m| case.profile.defaults(m).1)
}

/// The remedy.
pub(super) fn remedy(case: &Case<'_>, findings: &Findings<'_>) -> Option<Ranked> {
    let mut answers = asking(case, findings, LIMIT);
    answers.extend(findings.among(BUCKETS));
    if answers.is_empty() {
        return None;
    }
    let now = current(case)?;
    let dropping = findings.has("CT001");
    let rank = match () {
        () if dropping => 1,
        // A flood that early drop survives is cured at its cause.
        () if findings.has("CT010") && !findings.has("CT004") => 40,
        () => 20,
    };
    let size = match size(case, findings) {
        Ok(size) => size,
        Err(reason) => {
            let remedy = Remedy {
                id: RemedyId::Raise,
                title: said!("raise the limit", "提高上限"),
                findings: answers,
                fix: Vec::new(),
                commands: Vec::new(),
                memory: None,
                risk: Said::default(),
                effect: said!("More entries would fit.", "能容纳更多条目。"),
                refused: alloc::vec![reason],
            };
            return Some(Ranked { rank, remedy });
        }
    };
    let more_buckets = case.buckets().is_none_or(|b| size.buckets > b);
    let mut fix = String::from("plimsoll fix raise");
    if size.raised {
        fix.push_str(&format!(" --max {}", size.max));
    }
    if more_buckets {
        fix.push_str(&format!(" --buckets {}", size.buckets));
    }
    let remedy = Remedy {
        id: RemedyId::Raise,
        title: title(&size, more_buckets),
        findings: answers,
        fix: alloc::vec![Said::name(fix)],
        commands: commands(case, &size, more_buckets)?,
        memory: Some(size.price(case)),
        risk: risk(case, &size, more_buckets),
        effect: effect(findings, &size, now),
        refused: Vec::new(),
    };
    Some(Ranked { rank, remedy })
}

fn title(size: &Size, more_buckets: bool) -> Said {
    let (max, buckets) = (words::count(size.max), words::count(size.buckets));
    match (size.raised, more_buckets) {
        (true, true) => said!(
            "raise the limit to {max} and the buckets to {buckets}",
            "把上限提高到 {max}，桶数提高到 {buckets}"
        ),
        (true, false) => said!("raise the limit to {max}", "把上限提高到 {max}"),
        (false, _) => said!("raise the buckets to {buckets}", "把桶数提高到 {buckets}"),
    }
}

/// The plain commands; `None`: there is no namespace.
fn commands(case: &Case<'_>, size: &Size, more_buckets: bool) -> Option<Vec<Said>> {
    let mut commands = Vec::new();
    let child = case.spaces.len() > 1 || !case.after.namespaces.first()?.is_initial();
    if child {
        commands.push(said!(
            "# on the host, in its own namespace: the limit is one value for all namespaces, and a \
             container cannot set it",
            "# 在主机上，在它自己的命名空间里：上限是所有命名空间共用的一个值，容器不能设"
        ));
    }
    if size.raised {
        commands.push(Said::name(commands::set(case.profile, "nf_conntrack_max", size.max)));
    }
    if more_buckets {
        commands.push(Said::name(commands::set_buckets(case.profile, size.buckets)));
    }
    Some(commands)
}

/// What may go wrong.
fn risk(case: &Case<'_>, size: &Size, more_buckets: bool) -> Said {
    let mut risk = said!(
        "Up to {} of memory if {} full.",
        "如果{1:#}，最多占 {0} 内存。",
        words::bytes(size.price(case)),
        if case.price.multiplies() {
            said!(
                "the tables of all {} namespaces are",
                "全部 {} 个命名空间的表都满",
                case.price.namespaces
            )
        } else {
            said!("the table is", "表满")
        }
    );
    if let Some(more) = case.not_priced(size.max) {
        risk.push(&said!(" {more}", "{more:#}"));
    }
    if more_buckets {
        risk.push(&said!(
            " Resizing the buckets re-hashes the whole table and holds up packets for that long.",
            "改变桶数要重新散列整张表，这段时间包会被挡住。"
        ));
    }
    if size.capped {
        risk.push(&said!(
            " Memory keeps the limit lower than the load asks for.",
            "受内存限制，上限低于负载所需。"
        ));
    }
    if case.after.host.memory_total.get().is_none() {
        risk.push(&said!(
            " The memory of this host is not known: check it first.",
            "本机的内存大小未知：请先查明。"
        ));
    }
    risk
}

/// What will be different.
fn effect(findings: &Findings<'_>, size: &Size, now: u64) -> Said {
    if !size.raised {
        return said!(
            "Chains become short again, and no packet is refused for their length.",
            "链又变短，不再有包因链太长而被拒绝。"
        );
    }
    let times = size.max.checked_div(now).unwrap_or(0);
    let mut effect = match times {
        2.. => said!(
            "There is room for {} times the entries, at once.",
            "马上能容纳 {} 倍的条目。",
            words::count(times)
        ),
        _ if now == 0 => {
            said!("A flood can no longer take all memory.", "洪水攻击不再能耗尽内存。")
        }
        _ => said!("There is room for more entries, at once.", "马上能容纳更多条目。"),
    };
    if let Some(written) = &size.written {
        effect.push(&said!(
            " {} asks for that limit already.",
            "{:#} 要求的就是这个上限。",
            written.place
        ));
    }
    if size.unseen && findings.has("CT001") {
        effect.push(&said!(" If the load needs no more than that, the drops end: a full table does not show how much it needs.", "如果负载需要的不比这更多，丢包就此结束：已满的表看不出它需要多少。"));
    }
    if findings.has("CT010") {
        effect.push(&said!(" A flood fills that as well.", "洪水攻击连这些也会填满。"));
    }
    if findings.has("CT012") {
        effect.push(&said!(
            " Idle connections go on piling up: shorten their timeout too.",
            "空闲连接还会继续堆积：也要缩短它们的超时。"
        ));
    }
    effect
}
