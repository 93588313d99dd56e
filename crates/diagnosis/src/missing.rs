//! What could not be seen, merged and without what does not matter here.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::MissingFact;
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
    Stack,
    Neighbours,
    Sockets,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Count => "number of entries",
            Self::Limit => "limit",
            Self::Statistics => "statistics",
            Self::Entries => "entries",
            Self::Rates => "rates",
            Self::Turnover => "rates of new and expired entries",
            Self::Tracking => "whether packets are tracked",
            Self::Rules => "packet-filter rules",
            Self::Stack => "counters of the network stack",
            Self::Neighbours => "neighbour tables",
            Self::Sockets => "socket memory",
        }
    }
}

/// Gaps that are told together: of the same kind, for the same reason, with the same cure.
type Alike = (Kind, Reason, Option<String>);

/// Everything that is missing and worth telling.
pub(crate) fn missing(case: &Case<'_>) -> Vec<MissingFact> {
    let after = case.after;
    let mut all = Vec::new();
    let mut one = |fact: &str, gap: Option<&Gap>| {
        if let Some(gap) = gap.filter(|g| matters(g)) {
            all.push(told(fact.to_string(), gap));
        }
    };
    one("kernel release", after.host.kernel.gap());
    one("kernel log", after.log.gap());
    // Who chose namespaces does not miss the others.
    one("the rest of the bundle", after.whole.gap());
    one("namespaces", after.namespaces_complete.gap().filter(|_| !case.chosen));
    one("memory of the host", after.host.memory_total.gap());
    one("buckets", after.host.buckets.gap());
    one("sysctl files", case.boot.gap());
    one("programs that manage the firewall", after.boot.managers.gap());

    // What the whole kernel lacks is not missing from a namespace.
    let mut groups: BTreeMap<Alike, (Vec<&str>, &Gap)> = BTreeMap::new();
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
            _ if case.spaces.len() == 1 => String::new(),
            [name] => format!(" of {name}"),
            many => format!(" of {} namespaces", many.len()),
        };
        all.push(told(format!("{}{of}", kind.name()), gap));
    }
    if let Some(log) = after.log.value() {
        for (place, reason) in &log.unreadable {
            let told = reason.strip_suffix(')').and_then(|reason| reason.rsplit_once(" (needs "));
            let (reason, needs) = told.map_or((reason.as_str(), None), |(r, n)| (r, Some(n)));
            all.push(MissingFact {
                fact: format!("log {}", words::clean(place)),
                reason: words::clean(reason),
                needs: needs.map(words::clean),
            });
        }
    }
    if case.interval.is_none() && !case.spaces.is_empty() {
        let reason = match after.host.origin {
            Origin::Live => "only one reading was made",
            Origin::Tree | Origin::Bundle => "a saved host was read once; rates need two readings",
        };
        all.push(MissingFact {
            fact: "rates".to_string(),
            reason: reason.to_string(),
            needs: None,
        });
    }
    all
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

fn told(fact: String, gap: &Gap) -> MissingFact {
    let detail = words::clean(&gap.detail);
    let reason = if detail.is_empty() {
        gap.reason.name().to_string()
    } else {
        format!("{} ({detail})", gap.reason.name())
    };
    MissingFact { fact, reason, needs: gap.needs.as_deref().map(words::clean) }
}
