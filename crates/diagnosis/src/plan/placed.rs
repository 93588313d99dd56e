//! A chain of somebody else's that rules of ours are put into: their places were chosen by the rules that it had then, so it
//! must have them still when they are put in, and around ours when they are.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_wire::filter::{Chain, Program, Rule, Table};
use serde::{Deserialize, Serialize};

use crate::Said;
use crate::rules::{Accept, family_word};

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// nft's word for the family of its table.
    pub family: String,
    /// Its table.
    pub table: String,
    /// Its name.
    pub chain: String,
    /// How many rules it had.
    pub rules: usize,
    /// What their texts, and handles where they have some, add up to.
    pub fingerprint: u64,
    /// The rules of ours by their comments, each with the number of theirs that stand ahead of it.
    pub ours: Vec<(usize, String)>,
}

impl Placed {
    /// The chains that `accepts` go into.
    pub(super) fn of<'a>(
        program: &Program,
        accepts: impl Iterator<Item = &'a Accept>,
    ) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for accept in accepts {
            let ours = (accept.before, accept.comment.clone());
            let family = family_word(accept.family);
            let known = all.iter_mut().find(|p| {
                (p.family.as_str(), &p.table, &p.chain) == (family, &accept.table, &accept.chain)
            });
            if let Some(known) = known {
                known.ours.push(ours);
                continue;
            }
            let its = |t: &&Table| {
                (t.backend, t.family, &t.name) == (accept.backend, accept.family, &accept.table)
            };
            let table = program.tables.iter().find(its);
            let chain = table.and_then(|t| t.chains.get(t.chain(&accept.chain)?));
            let Some(chain) = chain else { continue };
            all.push(Self {
                family: family.to_string(),
                table: accept.table.clone(),
                chain: accept.chain.clone(),
                rules: chain.rules.len(),
                fingerprint: fingerprint(chain.rules.iter()),
                ours: alloc::vec![ours],
            });
        }
        all
    }

    /// Why the places no longer fit the chain as it is now, before anything is put in.
    pub fn changed(&self, now: Option<&Chain>) -> Option<Said> {
        let rules = now.map_or(&[][..], |c| &c.rules);
        (rules.len() != self.rules || fingerprint(rules.iter()) != self.fingerprint).then(|| {
            self.why(&Said::of(
                "has changed since the plan was made: plan again",
                "在计划制定之后变了：请重新计划",
            ))
        })
    }

    /// Why ours do not stand where they should, after they were put in.
    pub fn misplaced(&self, now: Option<&Chain>) -> Option<Said> {
        let rules = now.map_or(&[][..], |c| &c.rules);
        let of_ours = |rule: &&Rule| self.ours.iter().any(|(_, comment)| *comment == rule.comment);
        let theirs = rules.iter().filter(|r| !of_ours(r));
        if theirs.clone().count() != self.rules || fingerprint(theirs) != self.fingerprint {
            return Some(self.why(&Said::of(
                "was changed by somebody else at the same moment",
                "在同一时刻被别人改了",
            )));
        }
        let mut ahead = 0;
        for rule in rules {
            if !of_ours(&rule) {
                ahead += 1;
            } else if !self.ours.contains(&(ahead, rule.comment.clone())) {
                return Some(self.why(&Said::of(
                    "has a rule of ours in a wrong place",
                    "里我们的一条规则位置不对",
                )));
            }
        }
        None
    }

    fn why(&self, what: &Said) -> Said {
        let Self { chain, table, .. } = self;
        said!("chain {chain} of table {table} {what}", "表 {table} 的链 {chain} {what:#}")
    }
}

/// FNV-1a over the rules in order: it tells a change by others, it does not withstand one that is meant to deceive.
fn fingerprint<'a>(rules: impl Iterator<Item = &'a Rule>) -> u64 {
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for rule in rules {
        add(&rule.handle.unwrap_or(0).to_le_bytes());
        add(rule.text.as_bytes());
        add(&[0]);
    }
    sum
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloc::format;

    use super::*;
    use plimsoll_wire::filter::{Backend, TableFamily, read_save};

    fn program(rules: &[&str]) -> Program {
        let mut text = "*filter\n:INPUT DROP [0:0]\n".to_string();
        for rule in rules {
            text += &format!("-A INPUT {rule}\n");
        }
        let mut program = Program::default();
        read_save(&(text + "COMMIT\n"), Backend::Legacy, TableFamily::Ip, &mut program);
        program
    }

    #[test]
    fn a_chain_that_others_changed_is_told_before_and_after() {
        let [ban, open, drop] = ["-s 192.0.2.66 -j DROP", "-p tcp -j ACCEPT", "-j DROP"];
        let old = program(&[open, drop]);
        let accept = Accept {
            backend: Backend::Legacy,
            family: TableFamily::Ip,
            table: "filter".to_string(),
            chain: "INPUT".to_string(),
            before: 1,
            handle: None,
            conditions: String::new(),
            action: "-j ACCEPT".to_string(),
            comment: "plimsoll: tcp/443".to_string(),
            stands_for: String::new(),
            heard_at: None,
            for_errors: false,
        };
        let placed = Placed::of(&old, core::iter::once(&accept)).remove(0);
        let chain = |rules: &[&str]| program(rules).tables.remove(0).chains.remove(0);
        let ours = "-m comment --comment \"plimsoll: tcp/443\" -j ACCEPT";
        assert_eq!(placed.changed(Some(&chain(&[open, drop]))), None);
        let why = "chain INPUT of table filter has changed since the plan was made: plan again";
        assert_eq!(placed.changed(Some(&chain(&[ban, open, drop]))).unwrap(), why);
        assert_eq!(placed.changed(Some(&chain(&[drop, open]))).unwrap(), why);
        assert_eq!(placed.changed(None).unwrap(), why);
        assert_eq!(placed.misplaced(Some(&chain(&[open, ours, drop]))), None);
        assert!(placed.misplaced(Some(&chain(&[ours, open, drop]))).unwrap().contains("wrong"));
        assert!(placed.misplaced(Some(&chain(&[ban, ours, open, drop]))).is_some());
    }
}
