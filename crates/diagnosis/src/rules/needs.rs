//! Rules that need this traffic to be tracked.

use alloc::string::String;

use plimsoll_wire::filter::{Action, Base, Hook, Need, Rule, Table, TableFamily, Test, Written};

use super::packet::Holds;
use super::traffic::{Kind, Leg, Pair, Traffic};
use super::walk::{self, Ground, Inserted};
use super::{Judgement, named};
use crate::Said;

/// Most that are named: one is enough to stop, and nobody reads more.
const MOST: usize = 16;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeedOf {
    /// The rule, with its place.
    pub rule: String,
    /// What it needs.
    pub need: Need,
    /// How this traffic comes to it.
    pub by: By,
}

/// How traffic has to do with a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// The rule may send other connections to this port: whereto it sends was not understood, or whose that address is.
    MaySend,
    /// It may come to the rule: that depends on what is not known: an interface, an address.
    Chance,
    /// The rule sends other connections to this port.
    Sends,
    /// It comes to the rule.
    Surely,
}

impl NeedOf {
    /// Why that traffic must stay tracked, a sentence.
    pub fn sentence(&self) -> Said {
        let what = match self.need {
            Need::Nat => said!(
                "rewrites its addresses, which only happens to tracked packets",
                "改写它的地址，而只有已跟踪的包才会被改写"
            ),
            Need::Count => said!("counts its connections", "数它的连接"),
            Need::Helper => said!(
                "gives it a helper, which reads along to let its other connections in",
                "给它一个 helper，由 helper 看着内容放行它的其他连接"
            ),
            Need::Mark => {
                said!("uses the mark or the counts of its connections", "使用它的连接的标记或计数")
            }
            Need::SynProxy => {
                said!("answers for the server (SYN proxy)", "替服务器应答（SYN 代理）")
            }
            Need::State => said!(
                "asks its connections for more than whether they are known",
                "问的不只是它的连接是否已知"
            ),
            Need::Policy => {
                said!("gives it a zone or timeouts of its own", "给它单独的 zone 或超时")
            }
            Need::Offload => said!("offloads its connections", "卸载（offload）它的连接"),
        };
        match self.by {
            By::Surely => said!("a rule {what}: {}", "有规则{what:#}：{}", self.rule),
            By::Chance => said!(
                "it may come to a rule that {what}: {}",
                "它可能走到一条规则，那条规则{what:#}：{}",
                self.rule
            ),
            By::Sends => said!(
                "a rule sends other connections to it, and only tracked answers find their way back: {}",
                "有规则把别的连接送到它那里，只有已跟踪的应答才找得到回去的路：{}",
                self.rule
            ),
            By::MaySend => said!(
                "a rule may send other connections to it, and only tracked answers find their way back: {}",
                "可能有规则把别的连接送到它那里，只有已跟踪的应答才找得到回去的路：{}",
                self.rule
            ),
        }
    }

    /// Whether nothing that is not known could make it harmless.
    pub fn is_sure(&self) -> bool {
        matches!(self.by, By::Sends | By::Surely)
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
                let by = if holds == Holds::Yes { By::Surely } else { By::Chance };
                take(NeedOf { rule, need, by }, found);
            }
        }
    }
}

/// Rules that send other connections to the port of this traffic: what answers them comes from that port, and is untracked
/// with the rest of it.
pub(super) fn find_sent(
    (table, chain): (&Table, usize),
    traffic: &Traffic,
    family: TableFamily,
    hook: Hook,
    found: &mut Judgement,
) {
    let nothing = Inserted::new();
    for port in [Some(traffic.port), None] {
        let packet = traffic.sent(family, hook, port);
        let ground = Ground { table, inserted: &nothing };
        for (at, _) in walk::both(ground, chain, &packet, &packet).met {
            let Some(chain) = table.chains.get(at.chain) else { continue };
            let Some(rule) = chain.rules.get(at.rule) else { continue };
            let Some(to) = rule.sends.as_deref() else { continue };
            // One that keeps the port sends there what was bound for it.
            let keeps = to.port == Written::Nothing;
            let by = match traffic.is_sent_by(to, family) {
                _ if keeps != port.is_some() => continue,
                Holds::No => continue,
                Holds::Maybe => By::MaySend,
                Holds::Yes => By::Sends,
            };
            let rule = named(table, &chain.name, &rule.text);
            take(NeedOf { rule, need: Need::Nat, by }, found);
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
            let note = if need.need == Need::Offload {
                said!(
                    "its connections are not offloaded any more, so each of their packets goes through the rules: {}",
                    "它的连接不再卸载到流表，所以它们的每个包都要走一遍规则：{}",
                    need.rule
                )
            } else {
                said!("no longer applies to it: {}", "不再对它起作用：{}", need.rule)
            };
            if found.notes.len() < MOST && !found.notes.contains(&note) {
                found.notes.push(note);
            }
        }
        Need::State | Need::Nat | Need::Count | Need::Helper | Need::Mark | Need::SynProxy => {
            let full = found.needs.len() >= MOST;
            let known = found.needs.iter_mut().find(|n| n.rule == need.rule && n.need == need.need);
            match known {
                Some(known) => known.by = known.by.max(need.by),
                None if !full => found.needs.push(need),
                None => {}
            }
        }
    }
}
