//! Delete what may go, now: by a filter, in bounded batches, with what it would cut counted first.

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
    let (those, entries) = (filter.said(), words::many(number, "entry", "entries", "个条目"));
    let title = said!("delete {entries} ({those})", "删除 {entries:#}（{those:#}）");
    let mut plan = Plan::new(RemedyId::Shed, title, Target::of(ground));
    if filter.is_empty() {
        plan.title = Said::of("delete entries", "删除条目");
        plan.refused.push(Said::of(
            "say which: --unreplied is the safest; --idle, --oldest, --state, --port, --protocol, --source",
            "请说明哪些：--unreplied 最安全；还有 --idle、--oldest、--state、--port、--protocol、--source",
        ));
        return plan;
    }
    if number == 0 {
        plan.effect = Said::of("No entry is like that.", "没有这样的条目。");
        return plan;
    }
    plan.effect = said!(
        "{} of {} go at once; it fills again as long as the cause is there.",
        "{1:#}中的 {0} 个马上删掉；原因还在，它就会再填满。",
        words::count(number),
        words::many(cut.total, "entry", "entries", "个条目")
    );
    if !cut.complete {
        plan.warnings.push(Said::of(
            "the table was not read to its end: there may be more",
            "表没有读完：可能还有更多",
        ));
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
    let line = |what: Said, rows: &[Group]| {
        let shown: Vec<Said> = rows
            .iter()
            .filter(|g| g.share >= WORTH_A_WORD)
            .take(ROWS)
            .map(|g| said!("{} {}", "{} {:#}", words::count(g.entries), g.label))
            .collect();
        let more =
            if rows.len() > shown.len() { Said::of(", …", "，…") } else { Said::default() };
        let list = Said::join(&shown, &Said::of(", ", "，"));
        (!shown.is_empty()).then(|| said!("{what}: {list}{more}", "{what:#}：{list:#}{more:#}"))
    };
    let idle = line(Said::of("idle", "空闲"), &groups.idle);
    let all = [
        line(Said::of("by state", "按状态"), &groups.states),
        line(Said::of("to", "通往"), &groups.services),
        line(Said::of("from", "来自"), &groups.sources),
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
            Said::of(
                "the next packet picks them up again (nf_conntrack_tcp_loose is on), unless a rule drops what is \
                 new without SYN",
                "下一个包会重新接上（nf_conntrack_tcp_loose 开着），除非有规则丢弃没有 SYN 的新包",
            )
        } else {
            Said::of(
                "nf_conntrack_tcp_loose is 0, so they are cut off",
                "nf_conntrack_tcp_loose 为 0，所以它们会断开",
            )
        };
        let answered =
            words::many(cut.assured, "connection was", "connections were", "条连接已有应答");
        plan.risks.push(said!("{answered} answered: {then}.", "{answered:#}：{then:#}。"));
        if !loose {
            plan.warnings.push(Said::of(
                "`sysctl -w net.netfilter.nf_conntrack_tcp_loose=1` first lets them be picked up",
                "先 `sysctl -w net.netfilter.nf_conntrack_tcp_loose=1`，它们就能重新接上",
            ));
        }
    }
    if cut.rewritten > 0 {
        plan.risks.push(said!(
            "{} with rewritten addresses: what they carry breaks.",
            "{:#}的地址经过改写（NAT）：它们承载的连接会断。",
            words::many(cut.rewritten, "entry", "entries", "个条目")
        ));
    }
    if plan.risks.is_empty() {
        plan.risks.push(Said::of(
            "An answer that is still under way meets no entry, and is new.",
            "还在路上的应答找不到条目，会算作新的。",
        ));
    }
}
