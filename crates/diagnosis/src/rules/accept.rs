//! The rules that must be put into somebody's chain, so that untracked packets go the way of tracked ones.
//!
//! An accept in a table of our own keeps no other base chain from dropping (nft(8): a packet must be accepted by all of
//! a hook's chains), so it has to stand in the chain that drops, ahead of what drops.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use plimsoll_wire::filter::{Action, Match, Rule, States, Table, TableFamily, Test};

use super::Judgement;
use super::packet::{Holds, Packet};
use super::stand_in::{Accept, place, stand_in};
use super::traffic::{Kind, Leg, Pair, Traffic};
use super::walk::{self, At, Fate, Ground, Inserted, Split};
use crate::Said;

/// Rules put in reveal others behind them (a jump that is asked for again leads into another chain); no ruleset
/// nests deeper than this.
const ROUNDS: usize = 12;
/// More rules of ours than a person looks through are not put in.
const MOST: usize = 64;
/// So many are looked at one by one, whether they are needed.
const FEW: usize = 8;

/// Adds to `found` what must be put into a base chain and those it calls.
pub(super) fn open(
    (table, chain): (&Table, usize),
    pairs: &[Pair<'_>],
    leg: &Leg,
    traffic: &Traffic,
    inserted: &mut Inserted,
    found: &mut Judgement,
) {
    let mut work =
        Work { table, chain, leg, traffic, inserted, stood_for: BTreeSet::new(), made: Vec::new() };
    let mut blocked = Vec::new();
    for pair in pairs {
        let ft = work.fate(&pair.tracked);
        if !ft.accepted {
            if leg.kind == Kind::Question
                && let Some(at) = ft.dropped.iter().next()
            {
                let family = match (table.family, pair.tracked.family) {
                    (TableFamily::Inet, TableFamily::Ip6) => {
                        said!("over IPv6, by ", "在 IPv6 上，被")
                    }
                    (TableFamily::Inet, _) => said!("over IPv4, by ", "在 IPv4 上，被"),
                    _ => Said::default(),
                };
                push(&mut found.closed, said!("{family}{}", "{family:#}{}", place(table, *at)));
            }
            // It shall stay so.
            if leg.kind == Kind::TooBig || !work.fate(&pair.untracked).accepted {
                continue;
            }
        }
        for _ in 0..ROUNDS {
            match work.round(pair, &ft) {
                Ok(true) => {}
                Ok(false) => break,
                Err(why) => {
                    push(&mut blocked, why);
                    break;
                }
            }
        }
    }
    let whole = blocked.is_empty();
    for pair in pairs.iter().filter(|_| whole) {
        if let Some(at) = work.left(pair) {
            work.lift(pair);
            if let Some(at) = work.left(pair) {
                work.ahead(at, pair);
            }
            if work.left(pair).is_some() {
                push(
                    &mut blocked,
                    said!("it would be dropped by {}", "会被它丢弃：{}", place(table, at)),
                );
            }
        }
    }
    for pair in pairs.iter().filter(|_| leg.kind != Kind::TooBig) {
        if let Some(at) = work.wider(pair) {
            push(
                &mut blocked,
                said!(
                    "more would come through than today, by {}",
                    "进来的会比今天多，经由 {}",
                    place(table, at)
                ),
            );
        }
    }
    work.prune(pairs);
    // An error that does not come through costs path MTU discovery, no connection by itself.
    if leg.kind == Kind::TooBig && !blocked.is_empty() {
        for why in blocked {
            push(
                &mut found.notes,
                said!(
                    "ICMP errors about it, which path MTU discovery needs: {why}",
                    "关于它的 ICMP 错误，路径 MTU 发现需要这些：{why:#}"
                ),
            );
        }
        return;
    }
    found.blocked.extend(blocked);
    let made = work.made;
    for accept in made {
        take(accept, &mut found.accepts);
    }
}

fn push(list: &mut Vec<Said>, what: Said) {
    if !list.contains(&what) {
        list.push(what);
    }
}

/// Adds one once, with a comment that no other in its chain has.
fn take(mut accept: Accept, all: &mut Vec<Accept>) {
    let same = |a: &Accept| {
        (a.backend, a.family, &a.table, &a.chain)
            == (accept.backend, accept.family, &accept.table, &accept.chain)
    };
    if all.iter().any(|a| same(a) && a.before == accept.before && a.conditions == accept.conditions)
    {
        return;
    }
    let base = accept.comment.clone();
    let mut number = 1;
    while all.iter().any(|a| same(a) && a.comment == accept.comment) {
        number += 1;
        accept.comment = format!("{base} {number}");
    }
    all.push(accept);
}

struct Work<'a> {
    table: &'a Table,
    chain: usize,
    leg: &'a Leg,
    traffic: &'a Traffic,
    inserted: &'a mut Inserted,
    /// Rules that have a stand-in already.
    stood_for: BTreeSet<At>,
    made: Vec<Accept>,
}

impl Work<'_> {
    fn ground(&self) -> Ground<'_> {
        Ground { table: self.table, inserted: self.inserted }
    }

    /// What a rule of ours is written for.
    fn of(&self) -> (&Table, &Leg, &Traffic) {
        (self.table, self.leg, self.traffic)
    }

    fn fate(&self, packet: &Packet<'_>) -> Fate {
        walk::fate(self.ground(), self.chain, packet)
    }

    /// Where the untracked packet may be dropped and the tracked one may not.
    fn left(&self, pair: &Pair<'_>) -> Option<At> {
        let (ft, fu) = (self.fate(&pair.tracked), self.fate(&pair.untracked));
        if !ft.accepted {
            return None;
        }
        let left = fu.dropped.difference(&ft.dropped).next().copied();
        // A rule that drops both, though it is reached by one of them in another way, is met with `accepted`.
        left.or_else(|| (!fu.accepted).then(|| fu.dropped.iter().next().copied()).flatten())
    }

    /// Where the untracked packet may pass and the tracked one may be dropped.
    fn wider(&self, pair: &Pair<'_>) -> Option<At> {
        let (ft, fu) = (self.fate(&pair.tracked), self.fate(&pair.untracked));
        if ft.dropped.is_empty() || !fu.accepted {
            return None;
        }
        let seen = walk::both(self.ground(), self.chain, &pair.tracked, &pair.untracked);
        let passes = |action: &Action| match action {
            Action::Accept | Action::Return | Action::Queue | Action::Nat | Action::Goto(_) => true,
            Action::Jump(name) => {
                let chain = self.table.chain(name).and_then(|c| fu.chains.get(&c));
                chain.is_none_or(|o| o.accepted)
            }
            Action::Drop | Action::Next | Action::Map(_) => false,
        };
        let by = seen.splits.iter().find(|s| s.untracked.as_ref().is_some_and(passes));
        by.map(|s| s.at).or_else(|| {
            // Surely dropped as it is tracked, and yet it passes.
            (!ft.accepted).then(|| ft.dropped.iter().next().copied()).flatten()
        })
    }

    /// Puts in what the untracked packet lacks; whether that was anything.
    fn round(&mut self, pair: &Pair<'_>, ft: &Fate) -> Result<bool, Said> {
        let seen = walk::both(self.ground(), self.chain, &pair.tracked, &pair.untracked);
        let mut any = false;
        for split in seen.splits {
            let Some(action) = &split.tracked else { continue };
            // What drops some new connections shall drop the untracked ones as well.
            let matters = match action {
                // What marks a packet decides what a later rule does with it.
                Action::Next => true,
                _ if seen.worse => self.leads_on(action, ft),
                _ => self.may_drop(action, ft),
            };
            if self.stood_for.contains(&split.at) || !matters {
                continue;
            }
            if self.made.len() >= MOST {
                return Err(said!(
                    "more than {MOST} rules part it from tracked packets",
                    "它与已跟踪的包在超过 {MOST} 条规则上分道"
                ));
            }
            let accept = stand_in(self.of(), &split, action, pair)?;
            self.stood_for.insert(split.at);
            self.put(accept, split.at, action.clone(), pair);
            any = true;
        }
        Ok(any)
    }

    /// Whether what is done with the tracked packet matters: to go into a chain that does nothing does not.
    fn leads_on(&self, action: &Action, ft: &Fate) -> bool {
        match action {
            Action::Jump(name) | Action::Goto(name) => {
                let chain = self.table.chain(name).and_then(|c| ft.chains.get(&c));
                chain.is_some_and(|o| o.accepted || o.dropped)
            }
            Action::Accept | Action::Drop | Action::Return | Action::Queue | Action::Nat => true,
            Action::Next | Action::Map(_) => false,
        }
    }

    /// Where the tracked packet surely passes, the untracked one may pass right ahead of what drops it, whichever
    /// chain lets the tracked one pass.
    fn ahead(&mut self, at: At, pair: &Pair<'_>) {
        if !self.fate(&pair.tracked).dropped.is_empty() {
            return;
        }
        let split = Split { at, tracked: None, untracked: None, by_map: Holds::Yes };
        let same = || pair.untracked.clone();
        let nothing = Pair { tracked: same(), untracked: same(), later: None };
        if let Ok(accept) = stand_in(self.of(), &split, &Action::Accept, &nothing) {
            self.put(accept, at, Action::Accept, &nothing);
        }
    }

    fn may_drop(&self, action: &Action, ft: &Fate) -> bool {
        match action {
            Action::Drop => true,
            Action::Jump(name) | Action::Goto(name) => {
                let chain = self.table.chain(name).and_then(|c| ft.chains.get(&c));
                chain.is_some_and(|o| o.dropped)
            }
            // What returns may be dropped further on.
            Action::Return => !ft.dropped.is_empty(),
            Action::Accept | Action::Queue | Action::Nat | Action::Next | Action::Map(_) => false,
        }
    }

    /// Puts it ahead of a rule, for the walks to come.
    fn put(&mut self, accept: Accept, at: At, action: Action, pair: &Pair<'_>) {
        let rule = self.table.chains.get(at.chain).and_then(|c| c.rules.get(at.rule));
        let state = if self.leg.kind == Kind::TooBig { States::INVALID } else { States::UNTRACKED };
        let mut matches = alloc::vec![Match { test: Test::State(state), words: None }];
        if self.leg.kind == Kind::TooBig {
            // IPv6 has a rule of its own.
            matches.push(Match { test: Test::Family(pair.tracked.family), words: None });
        }
        let kept = rule.into_iter().flat_map(|r| &r.matches);
        matches.extend(kept.filter(|m| pair.tracked.holds(&m.test) != Holds::Yes).cloned());
        let rule = Rule {
            text: accept.rule(),
            matches,
            action,
            needs: Vec::new(),
            sends: None,
            untracks: false,
            marks: None,
            comment: accept.comment.clone(),
            handle: None,
        };
        self.inserted.entry(at).or_default().push(rule);
        self.made.push(accept);
    }

    /// Moves what was put in as far up as it may go: past rules that drop nothing of the tracked packet.
    fn lift(&mut self, pair: &Pair<'_>) {
        let ft = self.fate(&pair.tracked);
        for i in 0..self.made.len() {
            let (Some(chain), before) =
                (self.table.chain(&self.made[i].chain), self.made[i].before)
            else {
                continue;
            };
            let Some(rules) = self.table.chains.get(chain).map(|c| &c.rules) else { continue };
            let passes = |rule: &Rule| {
                pair.tracked.meets(&rule.matches) == Holds::No
                    || self.drops_nothing(&rule.action, &ft)
            };
            let above = rules.iter().take(before).rev().take_while(|r| passes(r)).count();
            let to = before - above;
            if above == 0 {
                continue;
            }
            let text = self.made[i].rule();
            let from = At { chain, rule: before };
            let rule = self
                .inserted
                .get_mut(&from)
                .and_then(|all| all.iter().position(|r| r.text == text).map(|p| all.remove(p)));
            if let Some(rule) = rule {
                self.inserted.entry(At { chain, rule: to }).or_default().push(rule);
                self.made[i].before = to;
                self.made[i].handle = rules.get(to).and_then(|r| r.handle);
            }
        }
    }

    /// Takes out what is not needed: without it nothing of what is untracked is dropped either.
    fn prune(&mut self, pairs: &[Pair<'_>]) {
        let few = if self.made.len() > FEW { 0 } else { self.made.len() };
        for i in (0..few).rev() {
            let Some(chain) = self.table.chain(&self.made[i].chain) else { continue };
            let at = At { chain, rule: self.made[i].before };
            let text = self.made[i].rule();
            let Some(all) = self.inserted.get_mut(&at) else { continue };
            let Some(place) = all.iter().position(|r| r.text == text) else { continue };
            if all[place].action != Action::Accept {
                continue;
            }
            let rule = all.remove(place);
            if pairs.iter().all(|p| self.fate(&p.untracked).dropped.is_empty()) {
                self.made.remove(i);
            } else if let Some(all) = self.inserted.get_mut(&at) {
                all.insert(place, rule);
            }
        }
    }

    fn drops_nothing(&self, action: &Action, ft: &Fate) -> bool {
        match action {
            Action::Next | Action::Accept => true,
            Action::Jump(name) => {
                let chain = self.table.chain(name).and_then(|c| ft.chains.get(&c));
                chain.is_none_or(|o| !o.dropped)
            }
            Action::Map(all) => all.iter().all(|(_, a)| matches!(a, Action::Next | Action::Accept)),
            Action::Drop | Action::Return | Action::Goto(_) | Action::Queue | Action::Nat => false,
        }
    }
}
