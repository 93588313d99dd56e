//! Rules that need this traffic to be tracked.

use alloc::format;
use alloc::string::String;

use plimsoll_wire::filter::{Action, Base, Need, Rule, Table, Test};

use super::packet::Holds;
use super::traffic::{Kind, Leg, Pair};
use super::walk::{self, Ground, Inserted};
use super::{Judgement, named};

/// Most that are named: one is enough to stop, and nobody reads more.
const MOST: usize = 16;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeedOf {
    /// The rule, with its place.
    pub rule: String,
    /// What it needs.
    pub need: Need,
    /// Whether this traffic surely comes to it; else it depends on what is not known: an interface, an address.
    pub sure: bool,
}

impl NeedOf {
    /// Why that traffic must stay tracked, a sentence.
    pub fn sentence(&self) -> String {
        let what = match self.need {
            Need::Nat => "rewrites its addresses, which only happens to tracked packets",
            Need::Count => "counts its connections",
            Need::Helper => "gives it a helper, which reads along to let its other connections in",
            Need::Mark => "uses the mark or the counts of its connections",
            Need::SynProxy => "answers for the server (SYN proxy)",
            Need::State => "asks its connections for more than whether they are known",
            Need::Policy => "gives it a zone or timeouts of its own",
            Need::Offload => "offloads its connections",
        };
        let may = if self.sure { "" } else { "may come to a rule that " };
        if self.sure {
            format!("a rule {what}: {}", self.rule)
        } else {
            format!("it {may}{what}: {}", self.rule)
        }
    }
}

pub(super) fn find(
    (table, chain): (&Table, usize),
    pairs: &[Pair<'_>],
    leg: &Leg,
    base: &Base,
    found: &mut Judgement,
) {
    // NAT is looked up with the first packet of an entry.
    if leg.kind == Kind::TooBig || base.nat && leg.kind != Kind::Question {
        return;
    }
    let nothing = Inserted::new();
    for pair in pairs {
        let ground = Ground { table, inserted: &nothing };
        for (at, holds) in walk::both(ground, chain, &pair.tracked, &pair.untracked).met {
            let Some(chain) = table.chains.get(at.chain) else { continue };
            let Some(rule) = chain.rules.get(at.rule) else { continue };
            if rule.untracks && holds == Holds::Yes {
                let rule = named(table, &chain.name, &rule.text);
                if found.untracked.len() < MOST && !found.untracked.contains(&rule) {
                    found.untracked.push(rule);
                }
                continue;
            }
            for need in needs_of(rule, base) {
                let rule = named(table, &chain.name, &rule.text);
                take(NeedOf { rule, need, sure: holds == Holds::Yes }, found);
            }
        }
    }
}

/// What a rule needs: by what it does, and by conditions that only a tracked packet can meet.
fn needs_of<'a>(rule: &'a Rule, base: &Base) -> impl Iterator<Item = Need> + 'a {
    let nat = base.nat && rule.action == Action::Nat && !rule.needs.contains(&Need::Nat);
    let by_test = rule.matches.iter().filter_map(|m| match &m.test {
        Test::Tracked(need) => Some(*need),
        Test::Not(inner) => match **inner {
            Test::Tracked(need) => Some(need),
            _ => None,
        },
        _ => None,
    });
    let by_test = by_test.filter(|need| !rule.needs.contains(need));
    rule.needs.iter().copied().chain(by_test).chain(nat.then_some(Need::Nat))
}

fn take(need: NeedOf, found: &mut Judgement) {
    match need.need {
        Need::Policy | Need::Offload => {
            let note = format!("no longer applies to it: {}", need.rule);
            if found.notes.len() < MOST && !found.notes.contains(&note) {
                found.notes.push(note);
            }
        }
        Need::State | Need::Nat | Need::Count | Need::Helper | Need::Mark | Need::SynProxy => {
            let full = found.needs.len() >= MOST;
            let known = found.needs.iter_mut().find(|n| n.rule == need.rule && n.need == need.need);
            match known {
                Some(known) => known.sure |= need.sure,
                None if !full => found.needs.push(need),
                None => {}
            }
        }
    }
}
