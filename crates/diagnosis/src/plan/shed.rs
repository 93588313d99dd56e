//! Delete what may go, now: by a filter, in bounded batches, with what it would cut counted first.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Change, DeleteEntries, Filter, Ground, Plan, Target, Verify};
use crate::Said;
use crate::facts::Census;
use crate::{Group, RemedyId, groups, words};

/// Entries in one call into the kernel: some tenths of a millisecond, in which packets are served as always.
pub(super) const BATCH: u32 = 256;
/// Rows shown of each grouping.
const ROWS: usize = 4;

/// Groups of a smaller share say nothing.
const WORTH_A_WORD: f64 = 0.01;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShedRequest {
    /// Which entries.
    pub filter: Filter,
    /// Never more than so many; 0: no bound.
    pub at_most: u64,
}

/// What the filter matches now.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    /// Entries in the table.
    pub total: u64,
    /// Entries that match.
    pub matching: u64,
    /// Of those, assured entries without rewritten addresses: connections that were answered.
    pub assured: u64,
    /// Of those, entries with rewritten addresses.
    pub rewritten: u64,
    /// Whether the whole table was read.
    pub complete: bool,
    /// Who they are.
    pub census: Census,
}

/// The plan.
pub fn shed(request: &ShedRequest, cut: &Cut, ground: &Ground<'_>) -> Plan {
    let filter = &request.filter;
    let number = match request.at_most {
        0 => cut.matching,
        most => cut.matching.min(most),
    };
    let title = format!("delete {} ({filter})", words::counted(number, "entry", "entries"));
    let mut plan = Plan::new(RemedyId::Shed, title, Target::of(ground));
    if filter.is_empty() {
        plan.title = "delete entries".into();
        plan.refused.push(
            "say which: --unreplied is the safest; --idle, --oldest, --state, --port, --protocol, --source"
                .into(),
        );
        return plan;
    }
    if number == 0 {
        plan.effect = "No entry is like that.".into();
        return plan;
    }
    plan.effect = format!(
        "{} of {} go at once; it fills again as long as the cause is there.",
        words::count(number),
        words::counted(cut.total, "entry", "entries")
    )
    .into();
    if !cut.complete {
        plan.warnings.push("the table was not read to its end: there may be more".into());
    }
    plan.details = details(&cut.census);
    risks(&mut plan, cut, ground);
    plan.changes.push(Change::Delete(DeleteEntries {
        filter: filter.clone(),
        expected: number,
        batch: BATCH,
        at_most: request.at_most,
        left_over: false,
    }));
    plan.verify = alloc::vec![Verify::DropsEnd];
    plan
}

fn details(census: &Census) -> Vec<Said> {
    let groups = groups::groups(census, None);
    let line = |what: &str, rows: &[Group]| {
        let shown: Vec<String> = rows
            .iter()
            .filter(|g| g.share >= WORTH_A_WORD)
            .take(ROWS)
            .map(|g| format!("{} {}", words::count(g.entries), g.label))
            .collect();
        let more = if rows.len() > shown.len() { ", …" } else { "" };
        (!shown.is_empty()).then(|| format!("{what}: {}{more}", shown.join(", ")).into())
    };
    let idle = line("idle", &groups.idle);
    let all = [
        line("by state", &groups.states),
        line("to", &groups.services),
        line("from", &groups.sources),
        idle,
    ];
    all.into_iter().flatten().collect()
}

fn risks(plan: &mut Plan, cut: &Cut, ground: &Ground<'_>) {
    if cut.assured > 0 {
        let loose = ground
            .namespace()
            .and_then(|n| n.setting("nf_conntrack_tcp_loose"))
            .is_none_or(|value| value != 0);
        let then = if loose {
            "the next packet picks them up again (nf_conntrack_tcp_loose is on), unless a rule drops what is \
             new without SYN"
        } else {
            "nf_conntrack_tcp_loose is 0, so they are cut off"
        };
        plan.risks.push(
            format!(
                "{} answered: {then}.",
                match cut.assured {
                    1 => "1 connection was".to_string(),
                    n => format!("{} connections were", words::count(n)),
                }
            )
            .into(),
        );
        if !loose {
            plan.warnings.push(
                "`sysctl -w net.netfilter.nf_conntrack_tcp_loose=1` first lets them be picked up"
                    .into(),
            );
        }
    }
    if cut.rewritten > 0 {
        plan.risks.push(
            format!(
                "{} with rewritten addresses: what they carry breaks.",
                words::counted(cut.rewritten, "entry", "entries")
            )
            .into(),
        );
    }
    if plan.risks.is_empty() {
        plan.risks.push("An answer that is still under way meets no entry, and is new.".into());
    }
}
