//! What could not be seen, merged and without what does not matter here.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::MissingFact;
use crate::Said;
use crate::case::Case;
use crate::facts::{Fact, Gap, Origin, Reason};
use crate::words;

/// Kinds of facts that a namespace has, in the order of their weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Count,
    Limit,
    Statistics,
    Entries,
    Rates,
    Turnover,
    Tracking,
    Rules,
    RestOfRules,
    Stack,
    Neighbours,
    Sockets,
}

impl Kind {
    const fn name(self) -> Said {
        match self {
            Self::Count => Said::of("number of entries", "条目数"),
            Self::Limit => Said::of("limit", "上限"),
            Self::Statistics => Said::of("statistics", "统计"),
            Self::Entries => Said::of("entries", "条目"),
            Self::Rates => Said::of("rates", "速率"),
            Self::Turnover => Said::of("rates of new and expired entries", "新建和过期条目的速率"),
            Self::Tracking => Said::of("whether packets are tracked", "是否在跟踪包"),
            Self::Rules => Said::of("packet-filter rules", "包过滤规则"),
            Self::RestOfRules => {
                Said::of("the rest of the packet-filter rules", "其余的包过滤规则")
            }
            Self::Stack => Said::of("counters of the network stack", "网络协议栈的计数器"),
            Self::Neighbours => Said::of("neighbour tables", "邻居表"),
            Self::Sockets => Said::of("socket memory", "套接字内存"),
        }
    }
}

/// Gaps that are told together: of the same kind, for the same reason, with the same cure.
type Alike = (Kind, Reason, Option<Said>);

/// Everything that is missing and worth telling.
pub(crate) fn missing(case: &Case<'_>) -> Vec<MissingFact> {
    let after = case.after;
    let mut all = Vec::new();
    let mut one = |fact: Said, gap: Option<&Gap>| {
        if let Some(gap) = gap.filter(|g| matters(g)) {
            all.push(told(fact, gap));
        }
    };
    let release = after.host.kernel.gap().map(|gap| match &after.host.generation {
        Fact::Known { source, .. } => {
            let detail = said!(
                "by {source} taken as {}; {}",
                "根据 {source:#} 按 {} 算；{:#}",
                case.profile.name,
                gap.detail
            );
            Gap { detail, ..gap.clone() }
        }
        Fact::Missing(_) => gap.clone(),
    });
    one(said!("kernel release", "内核版本"), release.as_ref());
    one(said!("generation of the kernel", "内核属于哪一代"), after.host.generation.gap());
    one(said!("kernel log", "内核日志"), after.log.gap());
    // Who chose namespaces does not miss the others.
    one(said!("the rest of the bundle", "归档的其余部分"), after.whole.gap());
    one(said!("namespaces", "命名空间"), after.namespaces_complete.gap().filter(|_| !case.chosen));
    one(said!("memory of the host", "主机的内存"), after.host.memory_total.gap());
    one(said!("buckets", "桶数"), after.host.buckets.gap());
    one(said!("sysctl files", "sysctl 文件"), case.boot.gap());
    one(said!("programs that manage the firewall", "管理防火墙的程序"), after.boot.managers.gap());

    // What the whole kernel lacks is not missing from a namespace.
    let mut groups: BTreeMap<Alike, (Vec<&Said>, &Gap)> = BTreeMap::new();
    for s in &case.spaces {
        let n = s.now;
        let mut facts: Vec<(Kind, Option<&Gap>)> = alloc::vec![
            (Kind::Count, gap_of(&n.count)),
            (Kind::Limit, if s.load.max.is_some() { None } else { gap_of(&n.max) }),
            (Kind::Statistics, gap_of(&n.counters)),
            (Kind::Entries, gap_of(&n.census)),
            (Kind::Rules, gap_of(&n.rules)),
        ];
        // Counted once only, as of a namespace that came between the readings.
        if case.interval.is_some() && n.counters.gap().is_none() {
            let turnover = s.rates.new.as_ref().err().or(s.rates.expired.as_ref().err());
            match s.rates.drop.as_ref().err() {
                Some(gap) => facts.push((Kind::Rates, Some(gap))),
                // Their source is the list of entries: one gap is enough.
                None if n.census.gap().is_none() => facts.push((Kind::Turnover, turnover)),
                None => {}
            }
        }
        // Whether packets are tracked follows from the rules: one gap is enough.
        if n.rules.gap().is_none() {
            facts.push((Kind::RestOfRules, gap_of(&n.rules_whole)));
            facts.push((Kind::Tracking, gap_of(&n.tracking)));
        }
        if n.is_initial() {
            facts.push((Kind::Stack, gap_of(&n.stack)));
            facts.push((Kind::Neighbours, gap_of(&n.neighbours)));
            facts.push((Kind::Sockets, gap_of(&n.sockets)));
        }
        for (kind, gap) in facts {
            let Some(gap) = gap.filter(|g| matters(g)) else { continue };
            // Nobody reads the entries of a table that holds none.
            if kind == Kind::Entries && s.load.count.is_some_and(|c| c.0 == 0) {
                continue;
            }
            let group = groups
                .entry((kind, gap.reason, gap.needs.clone()))
                .or_insert_with(|| (Vec::new(), gap));
            group.0.push(&s.name);
        }
    }
    for ((kind, _, _), (names, gap)) in groups {
        let of = match names.as_slice() {
            _ if case.spaces.len() == 1 => Said::default(),
            [name] => said!(" of {name}", "（{name:#}）"),
            many => said!(" of {} namespaces", "（{} 个命名空间）", many.len()),
        };
        all.push(told(said!("{}{of}", "{:#}{of:#}", kind.name()), gap));
    }
    if let Some(log) = after.log.value() {
        for (place, reason) in &log.unreadable {
            let bare = |text: &str| words::clean(split_needs(text).map_or(text, |(bare, _)| bare));
            let needs = |text: &str| words::clean(split_needs(text).map_or("", |(_, needs)| needs));
            all.push(MissingFact {
                fact: said!("log {}", "日志 {}", words::clean(place)),
                reason: reason.map(bare),
                needs: Some(reason.map(needs)).filter(|needs| !needs.is_empty()),
            });
        }
    }
    if case.interval.is_none() && !case.spaces.is_empty() {
        let reason = match after.host.origin {
            Origin::Live => said!("only one reading was made", "只读了一次"),
            Origin::Tree | Origin::Bundle => said!(
                "a saved host was read once; rates need two readings",
                "保存下来的主机只读一次；速率需要读两次"
            ),
        };
        all.push(MissingFact { fact: said!("rates", "速率"), reason, needs: None });
    }
    all
}

/// What would help, at the end of a reason in either language.
fn split_needs(reason: &str) -> Option<(&str, &str)> {
    let english = || reason.strip_suffix(')')?.rsplit_once(" (needs ");
    let chinese = || reason.strip_suffix('）')?.rsplit_once("（需要：");
    english().or_else(chinese)
}

fn gap_of<T>(fact: &Fact<T>) -> Option<&Gap> {
    fact.gap()
}

/// A gap that no right and no file could fill is no gap in what was seen.
fn matters(gap: &Gap) -> bool {
    match gap.reason {
        Reason::NotPermitted
        | Reason::Malformed
        | Reason::NotCollected
        | Reason::NoTool
        | Reason::NotAsked
        | Reason::Failed => true,
        Reason::NotLoaded | Reason::NotBuilt | Reason::TooOld => gap.needs.is_some(),
    }
}

fn told(fact: Said, gap: &Gap) -> MissingFact {
    let detail = gap.detail.map(words::clean);
    let reason = if detail.is_empty() {
        gap.reason.name()
    } else {
        said!("{} ({detail})", "{:#}（{detail:#}）", gap.reason.name())
    };
    MissingFact { fact, reason, needs: gap.needs.as_ref().map(|needs| needs.map(words::clean)) }
}
