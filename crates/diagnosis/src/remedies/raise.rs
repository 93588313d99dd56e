//! Raise limit and buckets now: the first aid, if memory allows.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::Bytes;

use super::{Findings, Ranked};
use crate::case::Case;
use crate::size::{self, Machine, Peak};
use crate::{Remedy, RemedyId, commands, words};

/// What asks for a higher limit.
const LIMIT: &[&str] = &["CT001", "CT002", "CT003", "CT004", "CT005", "CT020", "CT023"];
/// What asks for more buckets.
const BUCKETS: &[&str] = &["CT022"];
/// A limit and buckets, and their worst case in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

/// What is said of a size that is a guess.
pub(crate) const UNSEEN: &str = "What the load needs beyond the limit can't be seen while the limit is in its way: this is a \
                                 step, `plimsoll size` measures again once it stands.";

impl Size {
    /// Worst case over all namespaces.
    pub(crate) fn price(self, case: &Case<'_>) -> Bytes {
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
pub(crate) fn size(case: &Case<'_>, findings: &Findings<'_>) -> Result<Size, String> {
    let now = current(case).ok_or("the limit in force could not be read")?;
    let machine = Machine::in_case(case);
    if asking(case, findings, LIMIT).is_empty() {
        let max = if now == 0 { default(case) } else { now };
        let buckets = machine.buckets_for(max);
        return Ok(Size { max, buckets, raised: false, capped: false, unseen: false });
    }
    let demand = size::in_case(case, &|id| findings.place(id), None).unwrap_or_default();
    let sizing = size::size(demand, &machine, size::MARGIN);
    if now > 0 && sizing.max <= now {
        return Err(if sizing.capped {
            format!(
                "memory: {} entries in each of {} would take {}, over an eighth of what the host has",
                words::count(sizing.wanted),
                words::counted(case.price.namespaces, "namespace", "namespaces"),
                words::bytes(case.price.worst(sizing.wanted, machine.buckets_for(sizing.wanted)))
            )
        } else {
            format!(
                "{} is more than the load asks for: {} at the peak and half as much again",
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
        unseen: matches!(sizing.demand.peak, Peak::Beyond(_)),
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
                title: "raise the limit".to_string(),
                findings: answers,
                fix: Vec::new(),
                commands: Vec::new(),
                memory: None,
                risk: String::new(),
                effect: "More entries would fit.".to_string(),
                refused: alloc::vec![reason],
            };
            return Some(Ranked { rank, remedy });
        }
    };
    let mut commands = Vec::new();
    let child = case.spaces.len() > 1 || !case.after.namespaces.first()?.is_initial();
    if child {
        commands.push(
            "# on the host, in its own namespace: the limit is one value for all namespaces, and a \
             container cannot set it"
                .to_string(),
        );
    }
    if size.raised {
        commands.push(commands::set(case.profile, "nf_conntrack_max", size.max));
    }
    if case.buckets().is_none_or(|b| size.buckets > b) {
        commands.push(commands::set_buckets(case.profile, size.buckets));
    }
    let more_buckets = case.buckets().is_none_or(|b| size.buckets > b);
    let title = if size.raised && more_buckets {
        format!("raise the limit to {} and the buckets to {}", size.max, size.buckets)
    } else if size.raised {
        format!("raise the limit to {}", size.max)
    } else {
        format!("raise the buckets to {}", size.buckets)
    };
    let effect = effect(findings, size, now);
    let mut risk = format!(
        "Up to {} of memory if {} full.",
        words::bytes(size.price(case)),
        if case.price.multiplies() {
            format!("the tables of all {} namespaces are", case.price.namespaces)
        } else {
            "the table is".to_string()
        }
    );
    if case.buckets().is_none_or(|b| size.buckets > b) {
        risk.push_str(
            " Resizing the buckets re-hashes the whole table and holds up packets for that long.",
        );
    }
    if size.capped {
        risk.push_str(" Memory keeps the limit lower than the load asks for.");
    }
    if case.after.host.memory_total.get().is_none() {
        risk.push_str(" The memory of this host is not known: check it first.");
    }
    let mut fix = String::from("plimsoll fix raise");
    if size.raised {
        fix.push_str(&format!(" --max {}", size.max));
    }
    if more_buckets {
        fix.push_str(&format!(" --buckets {}", size.buckets));
    }
    let remedy = Remedy {
        id: RemedyId::Raise,
        title,
        findings: answers,
        fix: alloc::vec![fix],
        commands,
        memory: Some(size.price(case)),
        risk,
        effect,
        refused: Vec::new(),
    };
    Some(Ranked { rank, remedy })
}

/// What will be different.
fn effect(findings: &Findings<'_>, size: Size, now: u64) -> String {
    if !size.raised {
        return "Chains become short again, and no packet is refused for their length.".to_string();
    }
    let times = size.max.checked_div(now).unwrap_or(0);
    let mut effect = match times {
        2.. => format!("There is room for {times} times the entries, at once."),
        _ if now == 0 => "A flood can no longer take all memory.".to_string(),
        _ => "There is room for more entries, at once.".to_string(),
    };
    if size.unseen && findings.has("CT001") {
        effect.push_str(" If the load needs no more than that, the drops end: a full table does not show how much it needs.");
    }
    if findings.has("CT010") {
        effect.push_str(" A flood fills that as well.");
    }
    if findings.has("CT012") {
        effect.push_str(" Idle connections go on piling up: shorten their timeout too.");
    }
    effect
}
