//! What a ruleset makes of traffic that is not tracked: which rules need its tracking, and where it would be
//! dropped for want of a state.
//!
//! Pure: a [`Program`] (the rules) and a [`Traffic`] enter, a [`Judgement`] leaves. The rules are walked once with the
//! packets of the traffic as tracking sees them, and once as untracked; where the two part, the rule that
//! lets the tracked one pass is asked for again, for the untracked one, under the same conditions. So nothing is let
//! in that is not let in today.
//! Not modelled: what a rule remembers (rates, sets that packets fill): such a rule is named and never repeated.

mod accept;
mod counted;
mod needs;
mod packet;
mod proxy;
mod stand_in;
mod traffic;
mod walk;

pub use needs::{By, NeedOf};
pub use proxy::{Proxied, proxied};
pub use stand_in::Accept;
pub use traffic::{Role, Traffic};

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_wire::filter::{Action, Backend, Hook, Need, Program, Rule, Table, TableFamily};

use crate::Said;
use crate::words;
use traffic::Leg;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judgement {
    /// Rules that need its tracking.
    pub needs: Vec<NeedOf>,
    /// Rules that must be put in, so that what passes today still passes.
    pub accepts: Vec<Accept>,
    /// Why no rule can be put in, a sentence each.
    pub blocked: Vec<Said>,
    /// What drops all of it today, a sentence each.
    pub closed: Vec<Said>,
    /// Rules that exempt it from tracking already.
    pub untracked: Vec<String>,
    /// What would be different and stops nothing, a sentence each.
    pub notes: Vec<Said>,
}

impl Judgement {
    /// The rule that may send what asks for the port elsewhere (DNAT, as Docker and kube-proxy publish ports): then it passes
    /// through, whoever else listens on the port.
    pub fn sent_on(&self) -> Option<&str> {
        self.needs.iter().find(|need| sends_on(need)).map(|n| n.rule.as_str())
    }
}

fn sends_on(need: &NeedOf) -> bool {
    need.need == Need::Nat
        && matches!(need.by, By::Chance | By::Surely)
        && need.rule.to_ascii_lowercase().contains("dnat")
}

/// Judges traffic by the rules.
pub fn judge<'a>(program: &Program, traffic: impl IntoIterator<Item = &'a Traffic>) -> Judgement {
    let mut found = Judgement::default();
    let traffic: Vec<&Traffic> = traffic.into_iter().collect();
    let alone = without_others(program, &traffic);
    let program = alone.as_ref().unwrap_or(program);
    for traffic in traffic {
        let (needs, closed) = (found.needs.len(), found.closed.len());
        for leg in traffic.legs() {
            judge_leg(program, traffic, &leg, &mut found);
        }
        for (number, chain, base) in walk::base_chains(program) {
            let Some(table) = program.tables.get(number) else { continue };
            if !base.nat || !matches!(base.hook, Hook::Prerouting | Hook::Output) {
                continue;
            }
            for family in families(table, traffic) {
                needs::find_sent((table, chain), traffic, family, base.hook, &mut found);
            }
        }
        // What is sent elsewhere does not come to the rules that would drop it.
        if found.needs[needs..].iter().any(sends_on) {
            found.closed.truncate(closed);
        }
    }
    found
}

/// The rules as if those that other remedies of ours put in let nothing pass, where there are any: each remedy stands on
/// rules of its own, so that one can be taken back without the others.
fn without_others(program: &Program, traffic: &[&Traffic]) -> Option<Program> {
    let of_another = |rule: &Rule| {
        let name =
            rule.comment.strip_prefix("plimsoll: ").filter(|_| rule.action == Action::Accept);
        name.is_some_and(|name| {
            !traffic.iter().any(|t| {
                // Of several in a chain each but the first has a number.
                let rest = name.strip_prefix(&t.name());
                rest.is_some_and(|n| {
                    n.is_empty() || n.starts_with(' ') && n[1..].parse::<u32>().is_ok()
                })
            })
        })
    };
    let mut all = program.tables.iter().flat_map(|t| &t.chains).flat_map(|c| &c.rules);
    if !all.any(of_another) {
        return None;
    }
    let mut alone = program.clone();
    let chains = alone.tables.iter_mut().flat_map(|t| &mut t.chains);
    for rule in chains.flat_map(|c| &mut c.rules).filter(|rule| of_another(rule)) {
        rule.action = Action::Next;
    }
    Some(alone)
}

fn judge_leg(program: &Program, traffic: &Traffic, leg: &Leg, found: &mut Judgement) {
    let mut put_in = BTreeMap::new();
    for (number, chain, base) in walk::base_chains(program) {
        let Some(table) = program.tables.get(number) else { continue };
        if !leg.hooks.contains(&base.hook) {
            continue;
        }
        for family in families(table, traffic) {
            let pairs = traffic.pairs(leg, family, base.hook);
            needs::find((table, chain), &pairs, leg, base, found);
            if !base.nat && base.priority > RAW {
                let inserted = put_in.entry(number).or_default();
                accept::open((table, chain), &pairs, leg, traffic, inserted, found);
                counted::find((table, chain), &pairs, leg, inserted, found);
            }
        }
    }
}

/// Families of a traffic that a table sees.
fn families<'a>(table: &'a Table, traffic: &'a Traffic) -> impl Iterator<Item = TableFamily> + 'a {
    let ours =
        move |family: &TableFamily| table.family == *family || table.family == TableFamily::Inet;
    let both = [TableFamily::Ip, TableFamily::Ip6].into_iter();
    both.filter(move |family| ours(family) && traffic.has(*family))
}

/// Chains at or before this priority see no state at all.
const RAW: i32 = -200;

/// A rule with its place: `iptables filter INPUT: -A INPUT …`.
pub(crate) fn named(table: &Table, chain: &str, text: &str) -> String {
    let text = words::clean(text);
    let (table_, chain) = (words::clean(&table.name), words::clean(chain));
    match (table.backend, table.family) {
        (Backend::Nft, family) => format!("nft {} {table_} {chain}: {text}", family_word(family)),
        (Backend::Legacy | Backend::IptablesNft, TableFamily::Ip6) => {
            format!("ip6tables {table_}: {text}")
        }
        (Backend::Legacy | Backend::IptablesNft, _) => format!("iptables {table_}: {text}"),
    }
}

/// nft's word for a family.
pub(crate) const fn family_word(family: TableFamily) -> &'static str {
    match family {
        TableFamily::Ip => "ip",
        TableFamily::Ip6 => "ip6",
        TableFamily::Inet | TableFamily::Other => "inet",
    }
}
