//! Packet-filter rules of all namespaces, within a budget of time; read again where rules that drop count
//! their packets, since only their growth says that they drop now.

use std::time::{Duration, Instant};

use plimsoll_diagnosis::facts::{BootFiles, Fact, Gap, Host, Reason, Tracking};
use plimsoll_diagnosis::said;
use plimsoll_wire::ruleset::{Ruleset, Verdict};

use super::calls;
use super::discover::Found;
use super::enter::{self, Visit};

/// Rules of a namespace, whether these are all, and whether its packets are tracked.
pub(super) struct Filter {
    pub(super) rules: Fact<Ruleset>,
    pub(super) whole: Fact<()>,
    pub(super) tracking: Fact<Tracking>,
}

impl Filter {
    /// One that was not read.
    pub(super) fn missing(gap: &Gap) -> Self {
        Self {
            rules: Fact::Missing(gap.clone()),
            whole: Fact::Missing(gap.clone()),
            tracking: Fact::Missing(gap.clone()),
        }
    }
}

/// Namespaces whose rules are read a second time, at most.
const AGAIN: usize = 8;

/// Rules of each namespace: the first one's, then the fullest ones', as long as the budget lasts.
pub(super) fn read(
    host: &Host,
    boot: &BootFiles,
    budget: Duration,
    doors: &[&Found],
    counts: &[Option<u64>],
) -> Vec<Filter> {
    let reader = calls::Rules::new(host, boot);
    let mut order: Vec<usize> = (0..doors.len()).collect();
    order.sort_by_key(|&i| (i != 0, std::cmp::Reverse(counts[i].unwrap_or(0)), i));
    let ordered: Vec<&Found> = order.iter().map(|&i| doors[i]).collect();
    let deadline = Instant::now() + budget;
    let read = enter::each(&ordered, |here, place| {
        if let Some(gap) = &here.outside {
            return Filter::missing(gap);
        }
        if place > 0 && Instant::now() > deadline {
            let detail = said!("the time for reading rules ran out", "读规则的时间用完了");
            return Filter::missing(&Gap { reason: Reason::NotAsked, detail, needs: None });
        }
        reader.here(counts[order[place]])
    });
    let mut rules: Vec<Option<Filter>> = doors.iter().map(|_| None).collect();
    for (index, visit) in order.into_iter().zip(read) {
        rules[index] = Some(match visit {
            Visit::Read(rules) => rules,
            Visit::Refused(gap) => Filter::missing(&gap),
            Visit::Gone => gone(),
        });
    }
    rules.into_iter().map(|rules| rules.unwrap_or_else(gone)).collect()
}

fn gone() -> Filter {
    let detail = said!("the namespace is gone", "命名空间已经不在");
    Filter::missing(&Gap { reason: Reason::Failed, detail, needs: None })
}

/// The second reading, by place: of those whose first one holds counted rules or policies that drop.
pub(super) fn again(
    host: &Host,
    boot: &BootFiles,
    doors: &[&Found],
    first: &[Filter],
) -> Vec<(usize, Fact<Ruleset>)> {
    let places: Vec<usize> = (0..doors.len())
        .filter(|&i| first[i].rules.value().is_some_and(counts_drops))
        .take(AGAIN)
        .collect();
    if places.is_empty() {
        return Vec::new();
    }
    let reader = calls::Rules::new(host, boot);
    let ordered: Vec<&Found> = places.iter().map(|&i| doors[i]).collect();
    let read = enter::each(&ordered, |_, _| reader.here(None).rules);
    places
        .into_iter()
        .zip(read)
        .filter_map(|(place, visit)| match visit {
            Visit::Read(rules) => Some((place, rules)),
            Visit::Refused(_) | Visit::Gone => None,
        })
        .collect()
}

/// Whether a rule or a policy drops and counts.
fn counts_drops(rules: &Ruleset) -> bool {
    rules
        .rules
        .iter()
        .any(|r| matches!(r.verdict, Verdict::Drop | Verdict::Reject) && r.packets.is_some())
        || rules.chains.iter().any(|c| matches!(c.policy, Verdict::Drop) && c.packets.is_some())
}
