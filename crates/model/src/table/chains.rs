//! Chains, walked as the kernel walks them.

use alloc::vec::Vec;
use core::ops::Range;

use plimsoll_ct::Class;

use super::index::{At, Held, Index};
use super::{EntryId, Leaving, Probe, Spot, Table};
use crate::ticks::Jiffies;

/// Lines whose entries are asked for ahead of the one that is looked at.
const AHEAD: usize = 4;

impl Table {
    /// Entries of one chain, newest first.
    pub(crate) fn walk(&self, chain: usize) -> impl Iterator<Item = EntryId> + '_ {
        let all = self.walk_places(chain).filter(|&(at, slot)| self.shows(at, slot));
        all.map(|(at, slot)| EntryId(self.index.id(at, slot)))
    }

    /// Where the entries of one chain stand, of all settings that share the table.
    pub(super) fn walk_places(&self, chain: usize) -> impl Iterator<Item = (At, usize)> + '_ {
        let place = self.index.place_of_chain(chain);
        let mut at = self.index.first(place);
        let mut slots = self.index.of_chain(at, place);
        core::iter::from_fn(move || {
            loop {
                if let Some(slot) = slots.newest() {
                    return Some((at, slot));
                }
                at = self.index.next(at)?;
                slots = self.index.of_chain(at, place);
            }
        })
    }

    /// Whether a walk of a chain would find none that has expired or is not assured, as far as that is known.
    pub(crate) fn is_settled(&self, chain: usize, now: Jiffies) -> bool {
        self.bounds && self.index.is_settled(self.index.place_of_chain(chain), now)
    }

    /// All entries of a chain are assured: none ceases to be.
    pub(crate) fn settle(&mut self, chain: usize) {
        self.index.settle(self.index.place_of_chain(chain));
    }

    /// The same of so many chains from one on, the first following the last.
    pub(crate) fn settle_all(&mut self, first: usize, number: usize) {
        self.index.settle_groups(first, number);
    }

    /// Asks for the lines of so many chains, from the one on in which a packet that finds no entry looks for room.
    #[inline(never)]
    pub(crate) fn approach_room(&self, spot: &Spot, number: usize) {
        if spot.may_be_new() {
            self.index.prefetch_chains(self.chain_for_room(&spot.probe(None)), number);
        }
    }

    /// Asks for the newest entries of a chain, which is about to be walked.
    pub(crate) fn approach_chain(&self, chain: usize) {
        let place = self.index.place_of_chain(chain);
        let first = self.index.first(place);
        let mut slots = self.index.of_chain(first, place);
        while let Some(slot) = slots.newest() {
            self.slab.prefetch(EntryId(self.index.id(first, slot)));
        }
    }

    /// Entries of the chain of `probe`; counted exactly only when there are more than `enough`.
    pub(crate) fn chain_length(&self, probe: &Probe, enough: u64) -> u64 {
        let length = self.index.length(probe.place, enough);
        if self.view.is_some() && length > enough {
            return self.walk(self.chain(probe)).count() as u64;
        }
        length
    }

    /// Whether the chain of a spot, the first of its line, is that short at the most.
    #[inline(always)]
    pub(crate) fn is_short(&self, spot: &Spot, most: u64) -> bool {
        self.index.is_short(spot.place, most)
    }

    /// All entries of a table that is one setting's alone, in the order of their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = EntryId> + '_ {
        self.slab.iter()
    }

    /// Shows the class of each entry that has expired. Lines in which nothing can have are not looked into, unless they
    /// are so few that all entries in the order of memory are quicker.
    pub(crate) fn expired(&self, now: Jiffies, mut see: impl FnMut(Class)) {
        /// What a line's entries cost, in lines that are stepped over.
        const COST: usize = 4;
        debug_assert!(self.view.is_none(), "a setting's part of a table is another one");
        let lines = self.index.every();
        let looked_into = lines.filter(|&at| self.index.may_expire(at, now)).count();
        if !self.bounds || looked_into * COST > self.index.every().count() {
            self.slab.census(|expires, class| {
                if expires.left(now) <= 0 {
                    see(class);
                }
            });
            return;
        }
        for at in self.index.every() {
            if let Some(ahead) = self.index.further(at, AHEAD)
                && self.index.may_expire(ahead, now)
            {
                self.approach_line(ahead);
            }
            if !self.index.may_expire(at, now) {
                continue;
            }
            let mut slots = self.index.all(at);
            while let Some(slot) = slots.newest() {
                let vitals = self.vitals(EntryId(self.index.id(at, slot)));
                if vitals.is_expired(now) {
                    see(vitals.class());
                }
            }
        }
    }

    /// Shows every entry of some chains, chain after chain, and removes those that `goes` says yes to. With
    /// `due`, those that have not expired by then are only counted, in their turn. `goes` learns how many entries there are.
    /// Returns a time before which none of those that stay expires.
    pub(crate) fn sweep(
        &mut self,
        chains: Range<usize>,
        due: Option<Jiffies>,
        mut goes: impl FnMut(Met<'_>, usize) -> bool,
    ) -> Option<Jiffies> {
        if let Some(view) = self.view {
            self.sweep_seat(view, chains, goes);
            return None;
        }
        let mut bound = Soonest::default();
        let mut from = chains.start;
        while from < chains.end {
            let first = self.index.first(self.index.place_of_chain(from));
            let all = self.index.chains_of(first);
            let some = from..all.end.min(chains.end);
            from = some.end;
            // A line of which only a part is looked at is never known anew.
            let due = due.filter(|_| some == all);
            if some == all
                && let Some(ahead) = self.index.further(first, AHEAD)
                && due.is_none_or(|due| self.index.may_expire(ahead, due))
            {
                self.approach_line(ahead);
            }
            if some == all && self.index.is_quiet(first, due) {
                let number = self.index.all(first).number();
                if number > 0 {
                    let soonest = self.index.bound(first);
                    bound.or(soonest);
                    goes(Met::Others { number, soonest }, self.len());
                }
                continue;
            }
            let soonest = self.sweep_line(first, some.clone(), due, &mut goes);
            if let Some(soonest) = soonest {
                bound.or(soonest);
                if some == all {
                    self.index.set_bounds(first, soonest);
                }
            }
        }
        bound.0
    }

    /// Of chains, the first of which begins a line: `some` and all that share their last line, and those behind them, as long as none of
    /// what they hold can have expired by `due`: the chain behind them, and what they hold; of the setting whose table it is, if it is
    /// one's.
    pub(crate) fn quiet(
        &mut self,
        chains: Range<usize>,
        some: usize,
        due: Jiffies,
    ) -> (usize, Held) {
        let seat = self.view.map_or(0, |view| view.seat);
        self.index.quiet(chains, some, due, seat)
    }

    /// The chains of a line that begins with this one, and the entries that they hold, of all settings that share the table;
    /// if there is such a line.
    pub(crate) fn line_of(&self, chain: usize) -> Option<(Range<usize>, usize)> {
        if self.view.is_some() { None } else { self.index.begins(chain) }
    }

    /// The entries of a line that begins with this chain, of all settings that share the table; if there is such a line.
    pub(crate) fn line_from(&self, chain: usize) -> Option<usize> {
        self.index.begins(chain).map(|(_, number)| number)
    }

    /// The chains that hold an entry, in their order, where a walk over entries takes much less time than one over chains.
    pub(crate) fn few_chains(&self) -> Option<Vec<usize>> {
        const CHAINS_OF_AN_ENTRY: usize = 256;
        if self.slab.cells() * CHAINS_OF_AN_ENTRY > self.chains() {
            return None;
        }
        let chain = |id| self.chain(&self.probe(self.slab.key(id)));
        let mut chains: Vec<usize> = self.slab.iter().map(chain).collect();
        chains.sort_unstable();
        Some(chains)
    }

    /// Where chains end that begin with this one and have no entry, at most at `end`, as far as whole lines tell.
    pub(crate) fn empty_until(&self, from: usize, end: usize) -> usize {
        let mut chain = from;
        while chain < end {
            let first = self.index.first(self.index.place_of_chain(chain));
            if !self.index.is_quiet(first, None) {
                return chain;
            }
            chain = self.index.chains_of(first).end;
        }
        end
    }

    /// Where chains end that begin with this one: some, and all that share their last line.
    pub(crate) fn whole_lines(&self, from: usize, some: usize) -> usize {
        let last = (from + some - 1).min(self.chains() - 1);
        self.index.chains_of(self.index.first(self.index.place_of_chain(last))).end
    }

    /// Asks for the entries of a line.
    pub(super) fn approach_line(&self, at: At) {
        let mut slots = self.index.all(at);
        while let Some(slot) = slots.newest() {
            self.slab.prefetch(EntryId(self.index.id(at, slot)));
        }
    }

    fn sweep_line(
        &mut self,
        first: At,
        chains: Range<usize>,
        due: Option<Jiffies>,
        goes: &mut impl FnMut(Met<'_>, usize) -> bool,
    ) -> Option<Jiffies> {
        let mut soonest = Soonest::default();
        let mut gone = false;
        let is_due = |index: &Index, at| due.is_none_or(|due| index.may_expire(at, due));
        for chain in chains {
            let place = self.index.place_of_chain(chain);
            let mut next = Some(first);
            while let Some(at) = next {
                next = self.index.next(at);
                let mut slots = self.index.of_chain(at, place);
                if !slots.is_empty() && !is_due(&self.index, at) {
                    let bound = self.index.bound(at);
                    soonest.or(bound);
                    goes(Met::Others { number: slots.number(), soonest: bound }, self.len());
                    continue;
                }
                // Those that are not due, up to the next that is.
                let mut others = Others::default();
                while let Some(slot) = slots.newest() {
                    let id = EntryId(self.index.id(at, slot));
                    let expires = self.slab.head(id).expires;
                    if due.is_some_and(|due| expires.left(due) > 0) {
                        others.add(expires);
                        soonest.or(expires);
                        continue;
                    }
                    if let Some(met) = others.take() {
                        goes(met, self.len());
                    }
                    if goes(Met::Entry(self.leaving(id)), self.len()) {
                        self.index.take(at, slot);
                        self.drop_entry(id);
                        gone = true;
                        continue;
                    }
                    soonest.or(expires);
                }
                if let Some(met) = others.take() {
                    goes(met, self.len());
                }
            }
        }
        if gone {
            self.index.tidy(first);
        }
        soonest.0
    }
}

/// What a sweep meets.
#[derive(Clone, Copy)]
pub(crate) enum Met<'a> {
    /// An entry,
    Entry(Leaving<'a>),
    /// or so many that none need be looked at: the first of them expires at this time or later.
    Others { number: usize, soonest: Jiffies },
}

/// Entries met one behind the other that need not be told of each for itself.
#[derive(Default)]
struct Others {
    number: usize,
    soonest: Soonest,
}

impl Others {
    #[inline(always)]
    fn add(&mut self, expires: Jiffies) {
        self.number += 1;
        self.soonest.or(expires);
    }

    /// What is to be told of them, if there are any; none are left then.
    #[inline(always)]
    fn take(&mut self) -> Option<Met<'static>> {
        let Self { number, soonest } = core::mem::take(self);
        soonest.0.map(|soonest| Met::Others { number, soonest })
    }
}

/// The earliest of some times.
#[derive(Default)]
pub(super) struct Soonest(pub(super) Option<Jiffies>);

impl Soonest {
    pub(super) fn or(&mut self, time: Jiffies) {
        self.0 = Some(self.0.map_or(time, |soonest| soonest.earlier(time)));
    }
}
