//! Which entries may have a tuple: the kernel's chains, several of them packed into one cache line.
//!
//! A line holds up to eleven entries by their number, each with a tag of eight bits of its hash: the first
//! bits say which of the line's chains it is in, the others tell it apart there. Entries stand in the order
//! in which they came, so that a chain is walked as the kernel walks it, newest first. A line that is full
//! hands its oldest on to another one behind it.
//!
//! A line also knows a time before which none of its entries expires. Until then a lookup need not look at
//! what stands in its way; the collector's pass brings the time up to date. Where several settings share the table, what stands
//! beside each line ([`super::aside`]) tells that of every entry.

mod neighbours;
mod regions;

use alloc::vec::Vec;
use core::ops::Range;

use super::aside::{Aside, Asides};
use super::line::{EMPTY, LAST, Line, ROOM, Slots};
use super::machine::{as_asides, as_asides_mut, prefetch};
use super::seats::{SEATS, Seats};
use crate::ticks::Jiffies;
pub(crate) use regions::Held;
use regions::Regions;

/// Entries that a line is meant to hold when the table is full.
const MEANT: u64 = 9;
/// Chains of a line at most: a tag has eight bits.
const MOST_CHAINS: u32 = 8;

/// Bits that tell of a line's chains whether they are settled: 2 to the power of this.
const SETTLED: u32 = 2;

/// Where a hash belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    line: u32,
    pub(super) tag: u8,
}

impl Place {
    /// Stands for none: never looked at.
    pub(super) const NOWHERE: Self = Self { line: 0, tag: 0 };
}

/// A line while it is walked: its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At(u32);

impl At {
    /// Stands for none.
    pub(super) const NOWHERE: Self = Self(0);
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// First those that chains begin in, then those behind others. Where several settings share the table, what stands beside a
    /// line takes the place that follows it: the two are neighbours in memory, and so on one page.
    lines: Vec<Line>,
    /// Where those behind others begin.
    behind: u32,
    /// First unused one of those; 0: none.
    spare: u32,
    chains: u64,
    /// Chains of a line: 2 to the power of this.
    shift: u32,
    /// From one line to the next: 2 to the power of this. 1 where several settings share the table, else 0.
    stride: u32,
    regions: Regions,
}

/// Room for so many lines, and for as many behind them as there mostly are at most: memory that nobody touches is none.
fn room_for(lines: usize) -> Vec<Line> {
    Vec::with_capacity(lines + lines / 4)
}

impl Index {
    /// Over so many chains, meant for at most `max` entries (0: as many as a kernel of today would allow).
    pub(super) fn new(chains: u64, max: u64) -> Self {
        let max = if max == 0 { chains * 2 } else { max };
        let mut shift = 0;
        while shift < MOST_CHAINS && (max << (shift + 1)) / chains <= MEANT {
            shift += 1;
        }
        let number = (chains >> shift) as usize + 1;
        let mut lines = room_for(number);
        lines.resize(number, EMPTY);
        let regions = Regions::new(number);
        Self { lines, behind: number as u32, spare: 0, chains, shift, stride: 0, regions }
    }

    /// Several settings share the table from now on. What stands beside the lines tells when entries expire; the lines themselves
    /// tell no bound any more.
    pub(super) fn share(&mut self) {
        debug_assert_eq!(self.stride, 0, "a table that is shared already");
        let mut lines = room_for(self.lines.len() * 2);
        for line in &self.lines {
            lines.extend([line.moved(), EMPTY]);
        }
        self.regions = Regions::new(self.behind as usize);
        (self.lines, self.behind, self.spare) = (lines, self.behind * 2, self.spare * 2);
        self.stride = 1;
    }

    /// What stands beside a line, where several settings share the table.
    #[inline(always)]
    pub(super) fn asides(&self, at: At) -> Option<&Asides> {
        if self.stride == 0 {
            return None;
        }
        self.lines.get(at.0 as usize + 1).map(as_asides)
    }

    #[inline(always)]
    pub(super) fn asides_mut(&mut self, at: At) -> Option<&mut Asides> {
        if self.stride == 0 {
            return None;
        }
        self.lines.get_mut(at.0 as usize + 1).map(as_asides_mut)
    }

    /// All lines, those behind others too.
    pub(super) fn every(&self) -> impl Iterator<Item = At> + use<> {
        (0..self.lines.len() as u32).step_by(1 << self.stride).map(At)
    }

    /// Asks for what stands beside a line.
    #[inline(always)]
    pub(super) fn prefetch_asides(&self, at: At) {
        if let Some(asides) = self.asides(at) {
            prefetch(asides);
        }
    }

    /// Where an entry stands in a line in which it is.
    #[inline(always)]
    pub(super) fn slot_of(&self, at: At, guess: usize, id: u32) -> usize {
        let line = self.line(at);
        // Behind its last entry a line has what stood there before.
        let right = guess < line.count() && line.ids.get(guess) == Some(&id);
        if right { guess } else { self.search_line(at, id) }
    }

    #[inline(never)]
    fn search_line(&self, at: At, id: u32) -> usize {
        let line = self.line(at);
        let known = line.ids[..line.count()].iter().position(|own| *own == id);
        known.expect("a line that an entry was found in has it")
    }

    pub(super) const fn chains(&self) -> usize {
        self.chains as usize
    }

    #[inline]
    pub(super) fn place(&self, hash: u64) -> Place {
        let product = u128::from(hash) * u128::from(self.chains);
        self.place_of((product >> 56) as u64)
    }

    /// Of a chain's number, with eight bits behind it.
    #[inline(always)]
    const fn place_of(&self, exact: u64) -> Place {
        Place {
            line: ((exact >> (8 + self.shift)) as u32) << self.stride,
            tag: (exact >> self.shift) as u8,
        }
    }

    /// The chain of a place.
    pub(super) const fn chain(&self, place: Place) -> usize {
        ((place.line >> self.stride) as usize) << self.shift
            | (place.tag as usize) >> (8 - self.shift)
    }

    /// The place of any entry of a chain, as far as the chain goes.
    pub(super) const fn place_of_chain(&self, chain: usize) -> Place {
        self.place_of((chain as u64) << 8)
    }

    const fn chain_mask(&self) -> u8 {
        (0xff00 >> self.shift) as u8
    }

    #[inline]
    fn line(&self, at: At) -> &Line {
        &self.lines[at.0 as usize]
    }

    #[inline]
    fn line_mut(&mut self, at: At) -> &mut Line {
        &mut self.lines[at.0 as usize]
    }

    #[inline]
    pub(super) fn prefetch(&self, place: Place) {
        prefetch(&self.lines[place.line as usize]);
    }

    pub(super) fn prefetch_line(&self, at: At) {
        prefetch(self.line(at));
    }

    #[inline]
    pub(super) const fn first(&self, place: Place) -> At {
        At(place.line)
    }

    /// The line with older entries.
    #[inline]
    pub(super) fn next(&self, at: At) -> Option<At> {
        let link = self.line(at).link;
        (link != 0).then_some(At(link))
    }

    #[inline]
    pub(super) fn id(&self, at: At, slot: usize) -> u32 {
        self.line(at).ids[slot]
    }

    /// The first line of a place.
    #[inline(always)]
    pub(super) fn first_line(&self, place: Place) -> &Line {
        &self.lines[place.line as usize]
    }

    #[inline(always)]
    pub(super) fn first_line_mut(&mut self, place: Place) -> &mut Line {
        &mut self.lines[place.line as usize]
    }

    /// Entries of the place's first line that may be the one sought; `None`: one of them may have expired.
    #[inline(always)]
    pub(super) fn fresh(&self, place: Place, now: Jiffies) -> Option<Slots> {
        let line = &self.lines[place.line as usize];
        line.is_fresh(now).then(|| line.same(place.tag))
    }

    /// Whether none of the entries of the place's first line has expired.
    #[inline(always)]
    pub(super) fn is_fresh(&self, place: Place, now: Jiffies) -> bool {
        self.first_line(place).is_fresh(now)
    }

    /// What [`Index::id`] says of the place's first line.
    #[inline(always)]
    pub(super) fn first_id(&self, place: Place, slot: usize) -> u32 {
        self.lines[place.line as usize].ids[slot]
    }

    /// Entries of a line that may be the one sought.
    #[inline]
    pub(super) fn like(&self, at: At, place: Place) -> Slots {
        self.line(at).same(place.tag)
    }

    /// Entries of a line that a walk of the chain meets.
    #[inline]
    pub(super) fn of_chain(&self, at: At, place: Place) -> Slots {
        self.line(at).matches(place.tag, self.chain_mask())
    }

    /// All of a line.
    pub(super) fn all(&self, at: At) -> Slots {
        self.line(at).all()
    }

    /// Entries of a chain.
    pub(super) fn length(&self, place: Place, enough: u64) -> u64 {
        let mut at = self.first(place);
        let mut total = self.line(at).count() as u64;
        while let Some(next) = self.next(at) {
            at = next;
            total += self.line(at).count() as u64;
        }
        if total <= enough {
            return total;
        }
        let mut length = 0;
        let mut at = Some(self.first(place));
        while let Some(line) = at {
            length += self.of_chain(line, place).number() as u64;
            at = self.next(line);
        }
        length
    }

    /// Whether [`Index::length`] says no more than `most`.
    #[inline(always)]
    pub(super) fn is_short(&self, place: Place, most: u64) -> bool {
        let line = &self.lines[place.line as usize];
        line.link == 0 && line.count() as u64 <= most || self.length(place, most) <= most
    }

    /// Whether an entry of the line may have expired.
    #[inline]
    pub(super) fn may_expire(&self, at: At, now: Jiffies) -> bool {
        !self.line(at).is_fresh(now)
    }

    /// For how many ticks, of a line of which that holds.
    #[inline]
    pub(super) fn may_expire_since(&self, at: At, now: Jiffies) -> u32 {
        now.0.wrapping_sub(self.line(at).bound().0)
    }

    /// An entry of the line now expires at `time`.
    #[inline]
    pub(super) fn lower(&mut self, at: At, time: Jiffies) {
        if self.line_mut(at).lower(time) {
            self.lowered(at);
        }
    }

    /// Whether a line behind which there is none has no entry, or none that has expired by `due`.
    #[inline]
    pub(super) fn is_quiet(&self, first: At, due: Option<Jiffies>) -> bool {
        let line = self.line(first);
        line.link == 0 && (line.count() == 0 || due.is_some_and(|due| line.is_fresh(due)))
    }

    /// None of the line's entries expires before.
    pub(super) fn bound(&self, at: At) -> Jiffies {
        self.line(at).bound()
    }

    /// All entries of a line were looked at: none expires before `time`.
    pub(super) fn set_bound(&mut self, at: At, time: Jiffies) {
        self.line_mut(at).set_bound(time);
    }

    /// All entries of a line and of those behind it were looked at: none expires before `time`.
    pub(super) fn set_bounds(&mut self, first: At, time: Jiffies) {
        let mut at = Some(first);
        while let Some(line) = at {
            self.line_mut(line).set_bound(time);
            at = self.next(line);
        }
    }

    /// A line that may have expired entries tells so from now on, however long ago it began to.
    pub(super) fn renew(&mut self, now: Jiffies) {
        if self.stride == 0 {
            self.lines.iter_mut().filter(|line| !line.is_fresh(now)).for_each(|l| l.set_bound(now));
        } else {
            let lines = self.lines.iter_mut().step_by(1 << self.stride);
            lines.for_each(|line| line.unsettle(Seats::first(SEATS)));
        }
        self.regions = Regions::new((self.behind >> self.stride) as usize);
    }

    /// The bit that tells whether a chain is settled; where a line has more chains than it has bits, whether all of some are.
    const fn settled(&self, place: Place) -> u32 {
        let bits = if self.shift < SETTLED { self.shift } else { SETTLED };
        1 << (28 + (place.tag as u32 >> (8 - bits)))
    }

    /// Whether a walk of the chain would find none that has expired or could be evicted.
    pub(super) fn is_settled(&self, place: Place, now: Jiffies) -> bool {
        let first = self.first(place);
        let is_known = self.line(first).watch[LAST] & self.settled(place) != 0;
        if !is_known || self.may_expire(first, now) {
            return false;
        }
        let mut at = first;
        while let Some(next) = self.next(at) {
            if self.may_expire(next, now) {
                return false;
            }
            at = next;
        }
        true
    }

    /// All entries of the chain were looked at, and none can be evicted. That holds until one more comes.
    pub(super) fn settle(&mut self, place: Place) {
        if self.shift <= SETTLED {
            let bit = self.settled(place);
            self.first_line_mut(place).watch[LAST] |= bit;
        }
    }

    /// The same of so many chains from one on, the first following the last.
    pub(super) fn settle_groups(&mut self, first: usize, number: usize) {
        let group = 1 << self.shift.saturating_sub(SETTLED);
        let mut chain = first.next_multiple_of(group);
        while chain + group <= (first + number).min(self.chains()) {
            let place = self.place_of_chain(chain);
            let bit = self.settled(place);
            self.first_line_mut(place).watch[LAST] |= bit;
            chain += group;
        }
    }

    /// Asks for the lines of so many chains from one on.
    #[inline(always)]
    pub(super) fn prefetch_chains(&self, first: usize, number: usize) {
        let line = |chain: usize| (chain >> self.shift) << self.stride;
        for line in (line(first)..=line(first + number - 1)).step_by(1 << self.stride) {
            if let Some(line) = self.lines.get(line) {
                prefetch(line);
            }
        }
    }

    /// Puts the newest entry of a place in.
    #[inline]
    pub(super) fn insert(&mut self, place: Place, id: u32, expires: Jiffies) {
        let unsettled = !self.settled(place);
        self.regions.forget(place.line);
        let line = &mut self.lines[place.line as usize];
        line.watch[LAST] &= unsettled;
        if line.count() < ROOM {
            line.join(id, place.tag, expires);
        } else {
            self.hand_on(place, id, expires, None);
        }
    }

    /// The same where several settings share the table.
    #[inline]
    pub(super) fn insert_aside(&mut self, place: Place, id: u32, aside: Aside) {
        let first = self.first(place);
        self.regions.forget(place.line >> self.stride);
        let line = &mut self.lines[place.line as usize];
        line.unsettle(aside.seats);
        let count = line.count();
        if count == ROOM {
            return self.hand_on(place, id, aside.soonest, Some(aside));
        }
        line.push(id, place.tag);
        if let Some(asides) = self.asides_mut(first) {
            asides.set(count, aside);
        }
    }

    /// Puts an entry into a line that is full: each line hands its oldest on to the one behind it.
    #[inline(never)]
    fn hand_on(&mut self, place: Place, id: u32, expires: Jiffies, aside: Option<Aside>) {
        let (mut at, mut id, mut tag, mut bound) = (self.first(place), id, place.tag, expires);
        let mut aside = aside;
        loop {
            // Bounds are of tables that are one setting's alone.
            let bounds = self.stride == 0;
            let line = self.line_mut(at);
            let count = line.count();
            let put = |line: &mut Line| match bounds {
                true => line.join(id, tag, bound),
                false => line.push(id, tag),
            };
            if count < ROOM {
                put(line);
                if let (Some(asides), Some(aside)) = (self.asides_mut(at), aside) {
                    asides.set(count, aside);
                }
                return;
            }
            let oldest = (line.ids[0], line.tag(0), line.bound());
            line.take(0);
            put(line);
            (id, tag, bound) = oldest;
            let link = line.link;
            if let (Some(asides), Some(own)) = (self.asides_mut(at), &mut aside) {
                let oldest = asides.get(0);
                asides.take(0);
                asides.set(ROOM - 1, *own);
                *own = oldest;
            }
            if link == 0 {
                let link = self.new_line();
                self.line_mut(at).link = link;
            }
            at = At(self.line(at).link);
        }
    }

    fn new_line(&mut self) -> u32 {
        if self.spare == 0 {
            let line = self.lines.len() as u32;
            self.lines.extend(core::iter::repeat_n(EMPTY, 1 << self.stride));
            return line;
        }
        let line = self.spare;
        self.spare = core::mem::replace(self.line_mut(At(line)), EMPTY).link;
        line
    }

    /// Takes out what stands there; those before it keep their slots.
    pub(super) fn take(&mut self, at: At, slot: usize) {
        self.line_mut(at).take(slot);
        if let Some(asides) = self.asides_mut(at) {
            asides.take(slot);
        }
    }

    /// Behind what was taken out of a place's lines: gives empty ones back that stand behind the first.
    pub(super) fn tidy(&mut self, first: At) {
        self.regions.forget(first.0 >> self.stride);
        let mut at = first;
        while let Some(next) = self.next(at) {
            let Line { link, .. } = *self.line(next);
            if self.line(next).count() > 0 {
                at = next;
                continue;
            }
            let number = self.line(at).link;
            self.line_mut(at).link = link;
            self.line_mut(At(number)).link = self.spare;
            self.spare = number;
        }
    }

    /// Where an entry of the place stands.
    pub(super) fn locate(&self, place: Place, id: u32) -> Option<(At, usize)> {
        let mut at = Some(self.first(place));
        while let Some(line) = at {
            let mut slots = self.like(line, place);
            while let Some(slot) = slots.newest() {
                if self.id(line, slot) == id {
                    return Some((line, slot));
                }
            }
            at = self.next(line);
        }
        None
    }

    /// See [`Line::settled`], of a line that stands behind no other.
    #[inline(always)]
    pub(super) fn settled_in(&self, first: At, now: Jiffies) -> Seats {
        self.line(first).settled(now)
    }

    /// See [`Line::settle`].
    pub(super) fn settle_in(&mut self, first: At, now: Jiffies, seats: Seats, until: Jiffies) {
        self.line_mut(first).settle(now, seats, until);
    }

    /// An entry of a place expires sooner than it did in some settings that share the table.
    #[inline(always)]
    pub(super) fn unsettle(&mut self, place: Place, seats: Seats) {
        self.first_line_mut(place).unsettle(seats);
    }

    /// The chains of a line that stands behind no other.
    pub(super) const fn chains_of(&self, first: At) -> Range<usize> {
        let start = ((first.0 >> self.stride) as usize) << self.shift;
        let end = start + (1 << self.shift);
        start..if end < self.chains() { end } else { self.chains() }
    }

    /// The line so many further than one that stands behind no other.
    pub(super) fn further(&self, first: At, lines: usize) -> Option<At> {
        let at = first.0 + ((lines as u32) << self.stride);
        (at < self.behind).then_some(At(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(index: &mut Index, place: Place, id: u32) -> bool {
        let Some((line, slot)) = index.locate(place, id) else { return false };
        index.take(line, slot);
        index.tidy(index.first(place));
        true
    }

    fn ids(index: &Index, place: Place) -> Vec<u32> {
        let mut found = Vec::new();
        let mut at = Some(index.first(place));
        while let Some(line) = at {
            let mut slots = index.of_chain(line, place);
            while let Some(slot) = slots.newest() {
                found.push(index.id(line, slot));
            }
            at = index.next(line);
        }
        found
    }

    #[test]
    fn a_chain_is_walked_newest_first_however_long_it_is() {
        let mut index = Index::new(4, 8);
        let places: Vec<Place> = (0..4).map(|c| index.place_of_chain(c)).collect();
        for id in 0..200 {
            index.insert(places[id as usize % 4], id, Jiffies(id));
        }
        for (chain, place) in places.iter().enumerate() {
            let wanted: Vec<u32> = (0..200).rev().filter(|id| *id as usize % 4 == chain).collect();
            assert_eq!(ids(&index, *place), wanted);
            assert_eq!(index.chain(*place), chain);
            assert_eq!(index.length(*place, 0), 50);
        }
        for id in (0..200).filter(|id| id % 3 != 0) {
            assert!(removed(&mut index, places[id as usize % 4], id));
            assert!(!removed(&mut index, places[id as usize % 4], id));
        }
        let left: Vec<u32> = (0..200).rev().filter(|id| id % 3 == 0 && id % 4 == 2).collect();
        assert_eq!(ids(&index, places[2]), left);
    }

    #[test]
    fn lines_that_were_emptied_are_used_again() {
        let mut index = Index::new(1, 8);
        let place = index.place(7);
        for round in 0..3 {
            for id in 0..100 {
                index.insert(place, id, Jiffies(0));
            }
            for id in 0..100 {
                assert!(removed(&mut index, place, id), "{round}");
            }
        }
        let behind = index.lines.len() - index.behind as usize;
        assert!(behind < 12, "{behind}");
    }

    #[test]
    fn a_tag_says_the_chain_exactly() {
        for (chains, max) in [(1, 1), (3, 1), (1000, 10), (1000, 2000), (1 << 20, 0), (77_777, 500)]
        {
            let index = Index::new(chains, max);
            for n in 0..5000_u64 {
                let hash = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let chain = ((u128::from(hash) * u128::from(chains)) >> 64) as usize;
                assert_eq!(index.chain(index.place(hash)), chain);
                assert_eq!(index.chain(index.place_of_chain(chain)), chain);
            }
        }
    }
}
