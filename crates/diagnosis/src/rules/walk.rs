//! A packet's way through a chain and those it calls: what may become of it, and which rules tell a tracked
//! packet from an untracked one.
//!
//! Conditions that can't be decided are taken both ways. A chain is judged once for each packet, however often
//! it is called, so the work is linear in the rules; chains deeper than [`DEPTH`] and loops (no kernel takes
//! them) count as "may do anything".

use alloc::collections::{BTreeMap, BTreeSet};

use plimsoll_wire::filter::{Action, Program, Rule, Table};

use super::counted::counts;
use super::packet::{Holds, Packet};

/// Deepest call that is followed; nft allows 16.
const DEPTH: usize = 128;
/// Elements of verdict maps looked at in one walk; beyond it a map may do anything.
const ELEMENTS: usize = 2_000_000;

/// A rule's place: chain of the table, and rule of the chain. The place after the last rule is the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Chain, by its number in the table.
    pub chain: usize,
    /// Rule, by its number in the chain.
    pub rule: usize,
}

/// Rules that would be put ahead of others: by place, in order.
pub type Inserted = BTreeMap<At, alloc::vec::Vec<Rule>>;

/// What may become of a packet in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// It may be accepted.
    pub accepted: bool,
    /// It may be dropped.
    pub dropped: bool,
    /// It may come out at the end.
    pub falls: bool,
}

/// What may become of a packet in a base chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// It may be accepted.
    pub accepted: bool,
    /// Where it may be dropped; the place after a chain's last rule is its policy.
    pub dropped: BTreeSet<At>,
    /// Of each chain that it may come to.
    pub chains: BTreeMap<usize, Outcome>,
    /// Rules that it may meet which count what meets them, and decide by that.
    pub counted: BTreeSet<At>,
}

/// One table's chains, with what would be put in.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The table.
    pub table: &'a Table,
    /// What would be put in.
    pub inserted: &'a Inserted,
}

impl<'a> Ground<'a> {
    /// Rules of a chain in order, with the place each stands at or ahead of, and whether it is put in.
    fn rules(self, chain: usize) -> impl Iterator<Item = (At, &'a Rule, bool)> {
        let own = self.table.chains.get(chain).map_or(&[][..], |c| &c.rules);
        own.iter().enumerate().flat_map(move |(rule, own)| {
            let at = At { chain, rule };
            let ahead = self.inserted.get(&at).into_iter().flatten();
            ahead.map(move |r| (at, r, true)).chain(core::iter::once((at, own, false)))
        })
    }
}

/// What becomes of a packet in a base chain.
pub fn fate(ground: Ground<'_>, chain: usize, packet: &Packet<'_>) -> Fate {
    let mut walk = Walk {
        ground,
        packet,
        known: BTreeMap::new(),
        dropped: BTreeSet::new(),
        counted: BTreeSet::new(),
        elements: 0,
    };
    let mut outcome = walk.chain(chain, 0);
    if outcome.falls {
        let base = ground.table.chains.get(chain);
        if base.and_then(|c| c.base.as_ref()).is_some_and(|b| b.drops) {
            let rule = base.map_or(0, |c| c.rules.len());
            walk.dropped.insert(At { chain, rule });
        } else {
            outcome.accepted = true;
        }
    }
    let chains = walk.known.into_iter().filter_map(|(chain, o)| Some((chain, o?))).collect();
    Fate { accepted: outcome.accepted, dropped: walk.dropped, chains, counted: walk.counted }
}

struct Walk<'a, 'p> {
    ground: Ground<'a>,
    packet: &'p Packet<'p>,
    /// `None`: being walked.
    known: BTreeMap<usize, Option<Outcome>>,
    dropped: BTreeSet<At>,
    counted: BTreeSet<At>,
    elements: usize,
}

impl Walk<'_, '_> {
    fn anything(&mut self, at: At) -> Outcome {
        self.dropped.insert(at);
        Outcome { accepted: true, dropped: true, falls: true }
    }

    fn chain(&mut self, chain: usize, depth: usize) -> Outcome {
        match self.known.get(&chain) {
            Some(Some(outcome)) => return *outcome,
            Some(None) => return self.anything(At { chain, rule: 0 }),
            None if depth > DEPTH => return self.anything(At { chain, rule: 0 }),
            None => {}
        }
        self.known.insert(chain, None);
        let mut outcome = Outcome::default();
        let mut goes_on = true;
        for (at, rule, _) in self.ground.rules(chain) {
            let holds = self.packet.meets(&rule.matches);
            if holds == Holds::No {
                continue;
            }
            let ends = self.action(&rule.action, at, holds, depth, &mut outcome);
            if counts(rule) && (self.decides(&rule.action) || rule.marks.is_some()) {
                self.counted.insert(at);
            }
            if ends {
                goes_on = false;
                break;
            }
        }
        outcome.falls |= goes_on;
        self.known.insert(chain, Some(outcome));
        outcome
    }

    /// Whether something may become of what meets a rule that does this: only to be logged decides nothing.
    fn decides(&self, action: &Action) -> bool {
        match action {
            Action::Next => false,
            Action::Jump(name) => {
                let known = self.ground.table.chain(name).and_then(|c| self.known.get(&c));
                known.is_none_or(|outcome| outcome.is_none_or(|o| o.accepted || o.dropped))
            }
            Action::Map(all) => all.iter().any(|(_, action)| self.decides(action)),
            Action::Accept | Action::Drop | Action::Return | Action::Goto(_) => true,
            Action::Queue | Action::Nat => true,
        }
    }

    /// Whether the packet surely goes no further in this chain.
    fn action(
        &mut self,
        action: &Action,
        at: At,
        holds: Holds,
        depth: usize,
        outcome: &mut Outcome,
    ) -> bool {
        let ends = match action {
            Action::Next => false,
            Action::Accept | Action::Nat | Action::Queue => {
                outcome.accepted = true;
                true
            }
            Action::Drop => {
                self.dropped.insert(at);
                outcome.dropped = true;
                true
            }
            Action::Return => {
                outcome.falls = true;
                true
            }
            Action::Jump(name) | Action::Goto(name) => {
                let Some(chain) = self.ground.table.chain(name) else { return false };
                let inner = self.chain(chain, depth + 1);
                outcome.accepted |= inner.accepted;
                outcome.dropped |= inner.dropped;
                if matches!(action, Action::Goto(_)) {
                    outcome.falls |= inner.falls;
                    true
                } else {
                    !inner.falls
                }
            }
            Action::Map(all) => {
                self.elements += all.len();
                if self.elements > ELEMENTS {
                    let any = self.anything(at);
                    outcome.accepted |= any.accepted;
                    outcome.dropped = true;
                    return false;
                }
                for (test, action) in all.iter() {
                    let key = self.packet.holds(test);
                    if key == Holds::No {
                        continue;
                    }
                    let ends = self.action(action, at, key.min(holds), depth, outcome);
                    // A map has one element for each key.
                    if key == Holds::Yes {
                        return ends && holds == Holds::Yes;
                    }
                }
                false
            }
        };
        ends && holds == Holds::Yes
    }
}

/// A rule that one of two packets meets and the other does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Where.
    pub at: At,
    /// What is done with the tracked one, if that one meets it.
    pub tracked: Option<Action>,
    /// What is done with the untracked one, if only that one meets it and the rule is not one that was put in.
    pub untracked: Option<Action>,
    /// Whether the tracked one surely meets the element of a map that this is: its condition is not among the rule's.
    pub by_map: Holds,
}

/// Rules of a base chain's reach that part a tracked packet from an untracked one, and rules that the tracked one may
/// meet.
#[derive(Debug, Default)]
pub struct Seen {
    /// Where the two part.
    pub splits: alloc::vec::Vec<Split>,
    /// Rules that the tracked one may meet, and whether surely.
    pub met: alloc::vec::Vec<(At, Holds)>,
    /// Whether the untracked one may be dropped past the first place where the tracked one fares better. What drops it
    /// before that drops both.
    pub worse: bool,
}

/// Walks both at once.
pub fn both(
    ground: Ground<'_>,
    chain: usize,
    tracked: &Packet<'_>,
    untracked: &Packet<'_>,
) -> Seen {
    let mut pair = Pair {
        ground,
        tracked,
        untracked,
        seen: Seen::default(),
        visited: BTreeMap::new(),
        elements: 0,
        parted: false,
        drops: BTreeSet::new(),
        split: BTreeSet::new(),
        put_in: false,
        marks: false,
    };
    let (_, untracked_falls) = pair.chain(chain, (Holds::Yes, Holds::Yes), 0);
    let base = ground.table.chains.get(chain).and_then(|c| c.base.as_ref());
    if untracked_falls && base.is_some_and(|b| b.drops) {
        pair.dropped();
    }
    pair.seen
}

/// Whether the tracked and the untracked packet are still under way.
type Alive = (Holds, Holds);

struct Pair<'a, 'p> {
    ground: Ground<'a>,
    tracked: &'p Packet<'p>,
    untracked: &'p Packet<'p>,
    seen: Seen,
    /// What came here before, and how each came out.
    visited: BTreeMap<usize, (Alive, (bool, bool))>,
    elements: usize,
    /// The tracked one has fared better somewhere.
    parted: bool,
    /// Chains in which the untracked one may be dropped.
    drops: BTreeSet<usize>,
    /// Where the two parted, and whether the tracked one was the one to meet the rule.
    split: BTreeSet<(At, bool, bool)>,
    /// The rule at hand is one that was put in.
    put_in: bool,
    /// It writes a mark.
    marks: bool,
}

impl Pair<'_, '_> {
    fn dropped(&mut self) {
        self.seen.worse |= self.parted;
    }

    /// Whether each may come out at the end.
    fn chain(&mut self, chain: usize, alive: (Holds, Holds), depth: usize) -> (bool, bool) {
        let (mut t, mut u) = alive;
        if let Some((before, out)) = self.visited.get(&chain) {
            if before.0 >= t && before.1 >= u {
                let out = (out.0 && t != Holds::No, out.1 && u != Holds::No);
                if u != Holds::No && self.drops.contains(&chain) {
                    self.dropped();
                }
                return out;
            }
            (t, u) = (t.max(before.0), u.max(before.1));
        }
        if depth > DEPTH {
            self.dropped();
            return (true, true);
        }
        let came = (t, u);
        self.visited.insert(chain, (came, (true, true)));
        let (mut t_out, mut u_out) = (false, false);
        for (at, rule, put_in) in self.ground.rules(chain) {
            if t == Holds::No && u == Holds::No {
                break;
            }
            let mt = if t == Holds::No { t } else { self.tracked.meets(&rule.matches) };
            let mu = if u == Holds::No { u } else { self.untracked.meets(&rule.matches) };
            if mt != Holds::No && !put_in {
                self.seen.met.push((at, mt.min(t)));
            }
            let mut ends = (false, false);
            let step = (mt, mu);
            self.put_in = put_in;
            self.marks = rule.marks.is_some();
            self.action(
                &rule.action,
                (at, Holds::Yes),
                (t, u),
                step,
                depth,
                &mut ends,
                &mut (&mut t_out, &mut u_out),
            );
            let may_end = mt == Holds::Maybe && may_end(&rule.action);
            if t != Holds::No && ends.0 {
                t = Holds::No;
            } else if may_end {
                t = t.min(Holds::Maybe);
            }
            if u != Holds::No && ends.1 {
                u = Holds::No;
            }
        }
        t_out |= t != Holds::No;
        u_out |= u != Holds::No;
        self.visited.insert(chain, (came, (t_out, u_out)));
        (t_out, u_out)
    }

    #[expect(clippy::too_many_arguments, reason = "two packets at one rule")]
    fn action(
        &mut self,
        action: &Action,
        (at, by_map): (At, Holds),
        alive: (Holds, Holds),
        meets: (Holds, Holds),
        depth: usize,
        ends: &mut (bool, bool),
        out: &mut (&mut bool, &mut bool),
    ) {
        let (mt, mu) = meets;
        if mt == Holds::No && mu == Holds::No {
            return;
        }
        if let Action::Map(all) = action {
            self.elements += all.len();
            let all = if self.elements > ELEMENTS { &[][..] } else { all };
            for (test, action) in all {
                let of = |packet: &Packet<'_>, m: Holds| m.min(packet.holds(test));
                let inner = (of(self.tracked, mt), of(self.untracked, mu));
                let key = self.tracked.holds(test);
                self.action(action, (at, key), alive, inner, depth, ends, out);
            }
            return;
        }
        if alive.0 != Holds::No
            && alive.1 != Holds::No
            && mt != mu
            && (*action != Action::Next || self.marks)
        {
            let tracked = (mt > mu).then(|| action.clone());
            let untracked = (mt < mu && !self.put_in).then(|| action.clone());
            let split = Split { at, tracked, untracked, by_map };
            self.parted |= split.tracked.is_some();
            // A chain may be walked again for what comes to it later.
            if self.split.insert((at, split.tracked.is_some(), split.untracked.is_some())) {
                self.seen.splits.push(split);
            }
        }
        let surely = (mt == Holds::Yes, mu == Holds::Yes);
        if *action == Action::Drop && mu != Holds::No && alive.1 != Holds::No {
            self.drops.insert(at.chain);
            // What drops the untracked one alone is worse in itself.
            self.parted |= mt == Holds::No && alive.0 != Holds::No;
            self.dropped();
        }
        match action {
            Action::Next | Action::Map(_) => {}
            // A rule that drops only the untracked one is walked past: what lets the tracked one pass stands below, and
            // will be asked for again above.
            Action::Drop if mt == Holds::No => {}
            Action::Accept | Action::Nat | Action::Queue | Action::Drop => {
                ends.0 |= surely.0;
                ends.1 |= surely.1;
            }
            Action::Return => {
                *out.0 |= mt != Holds::No;
                *out.1 |= mu != Holds::No;
                ends.0 |= surely.0;
                ends.1 |= surely.1;
            }
            Action::Jump(name) | Action::Goto(name) => {
                let Some(chain) = self.ground.table.chain(name) else { return };
                let came = (mt.min(alive.0), mu.min(alive.1));
                let (t, u) = self.chain(chain, came, depth + 1);
                if came.1 != Holds::No && self.drops.contains(&chain) {
                    self.drops.insert(at.chain);
                }
                if matches!(action, Action::Goto(_)) {
                    *out.0 |= t;
                    *out.1 |= u;
                    ends.0 |= surely.0;
                    ends.1 |= surely.1;
                } else {
                    ends.0 |= surely.0 && !t;
                    ends.1 |= surely.1 && !u;
                }
            }
        }
    }
}

/// Whether what meets a rule goes no further in its chain.
fn may_end(action: &Action) -> bool {
    match action {
        Action::Accept | Action::Drop | Action::Return | Action::Goto(_) => true,
        Action::Nat | Action::Queue => true,
        Action::Next | Action::Jump(_) | Action::Map(_) => false,
    }
}

/// Tables with a base chain at a hook, each with the chain's number.
pub fn base_chains(
    program: &Program,
) -> impl Iterator<Item = (usize, usize, &plimsoll_wire::filter::Base)> {
    program.tables.iter().enumerate().filter(|(_, t)| !t.dormant).flat_map(|(table, t)| {
        let chains = t.chains.iter().enumerate();
        chains.filter_map(move |(chain, c)| c.base.as_ref().map(|base| (table, chain, base)))
    })
}
