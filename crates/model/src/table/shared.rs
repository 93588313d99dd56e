//! A table that several settings share.

use alloc::boxed::Box;
use alloc::vec::Vec;

use plimsoll_wire::packet::Acknowledgement;

use super::index::At;
use super::versions::Versions;
use super::{EntryId, Expiries, Extras, Found, Probe, SEATS, Seats, Spot, Table, View, Vitals};
use crate::entry::Slot;
use crate::plain::Usual;
use crate::ticks::Jiffies;

impl Table {
    /// Makes a table that several settings share, in all of which every entry that is there stands.
    pub(crate) fn share(&mut self, seats: Seats, uniform: bool) {
        let mut versions = Versions::new(self.chains(), uniform);
        for id in self.slab.iter() {
            let expires = self.slab.head(id).expires;
            versions.enter(id, seats, &Expiries([expires; SEATS]));
        }
        self.versions = Some(Box::new(versions));
    }

    /// A stand-in for one setting's part of such a table: it knows its number of entries.
    pub(crate) fn stand_in(seat: usize, count: usize) -> Self {
        Self { view: Some(View { seat, count }), ..Self::new(2, 1, 0) }
    }

    /// Lends the table to a setting, in place of its stand-in; a second time takes it back.
    pub(crate) fn trade(&mut self, stand_in: &mut Self) {
        core::mem::swap(self, stand_in);
        core::mem::swap(&mut self.view, &mut stand_in.view);
    }

    /// The stand-in's number of entries changes.
    pub(crate) const fn recount(&mut self, more: usize, fewer: usize) {
        if let Some(View { count, .. }) = &mut self.view {
            *count = *count + more - fewer;
        }
    }

    /// The settings in which an entry stands.
    #[inline(always)]
    pub(crate) fn seats(&self, id: EntryId) -> Seats {
        self.versions.as_ref().map_or(Seats::NONE, |versions| versions.seats(id))
    }

    /// Whether all settings have the same timeouts.
    #[inline(always)]
    pub(crate) fn is_uniform(&self) -> bool {
        self.versions.as_ref().is_none_or(|versions| versions.is_uniform())
    }

    /// When an entry expires, by setting.
    #[inline(always)]
    pub(crate) fn expiries(&self, id: EntryId) -> Expiries {
        let own = self.versions.as_ref().and_then(|versions| versions.expiries(id));
        own.copied().unwrap_or_else(|| Expiries([self.slab.head(id).expires; SEATS]))
    }

    /// Changes when an entry expires in each of the settings in which it stands.
    #[inline(always)]
    pub(crate) fn expire(&mut self, found: &Found, seats: Seats, expiries: &Expiries) {
        let Some(soonest) = expiries.soonest(seats) else { return };
        if let Some(own) = self.versions.as_mut().and_then(|v| v.expiries_mut(found.id)) {
            *own = *expiries;
        }
        self.slab.head_mut(found.id).expires = soonest;
        self.index.lower(found.at, soonest);
    }

    /// Puts an entry in that several settings share.
    pub(crate) fn insert_shared(
        &mut self,
        probe: &Probe,
        slot: &Slot,
        now: Jiffies,
        extras: Extras,
        (seats, expiries): (Seats, &Expiries),
    ) -> EntryId {
        let soonest = expiries.soonest(seats).unwrap_or(slot.expires);
        let slot = Slot { expires: soonest, ..*slot };
        let id = self.insert(probe, &slot, now, extras);
        let chain = self.chain(probe);
        if let Some(versions) = &mut self.versions {
            versions.enter(id, seats, expiries);
            versions.unsettle(chain, seats);
        }
        id
    }

    /// Takes an entry out of some settings: those in which it stands still.
    pub(super) fn leave(&mut self, id: EntryId, gone: Seats) -> Seats {
        let Some(versions) = &mut self.versions else { return Seats::NONE };
        let (left, soonest) = versions.leave(id, gone);
        if let Some(soonest) = soonest {
            self.slab.head_mut(id).expires = soonest;
        }
        left
    }

    /// Takes an entry out of all settings.
    pub(crate) fn remove_shared(&mut self, id: EntryId) {
        self.leave(id, Seats::first(SEATS));
        self.remove(id);
    }

    /// The entries that a tuple leads to in some settings, in each the one that a lookup in its own table would find.
    /// What such a lookup meets and has expired is reaped, `reaped` being told in which.
    pub(crate) fn find_shared(
        &mut self,
        probe: &Probe,
        now: Jiffies,
        mut seeking: Seats,
        mut reaped: impl FnMut(usize, &Vitals),
    ) -> Versioned {
        let mut at = self.index.first(probe.place);
        let back = probe.key.packed().inverse();
        let mut found = Versioned { found: [None; SEATS], without: Seats::NONE };
        let mut number = 0;
        let mut gone = false;
        'lines: loop {
            let mut slots = self.slots(at, probe.place, now);
            while let Some(slot) = slots.newest() {
                let id = EntryId(self.index.id(at, slot));
                let mut seats = self.seats(id).and(seeking);
                if seats.is_empty() {
                    continue;
                }
                if self.slab.head(id).is_expired(now) {
                    let (vitals, expiries) = (self.slab.vitals(id), self.expiries(id));
                    let expired = |&seat: &usize| expiries.0[seat].left(now) <= 0;
                    let mut all = Seats::NONE;
                    for seat in seats.filter(expired) {
                        reaped(seat, &vitals);
                        all = all.or(Seats::one(seat));
                    }
                    seats = seats.without(all);
                    if self.leave(id, all).is_empty() {
                        self.index.take(at, slot);
                        self.drop_entry(id);
                        gone = true;
                        continue;
                    }
                }
                if seats.is_empty() {
                    continue;
                }
                if let Some(direction) = self.answers_to(id, probe, back) {
                    found.found[number] = Some((Found { id, direction, at }, seats));
                    number += 1;
                    seeking = seeking.without(seats);
                    if seeking.is_empty() {
                        break 'lines;
                    }
                }
            }
            match self.index.next(at) {
                Some(next) => at = next,
                None => break,
            }
        }
        if gone {
            let first = self.index.first(probe.place);
            self.index.tidy(first);
        }
        found.without = seeking;
        found
    }

    /// The settings in which a walk of a chain would find none that has expired or is not assured.
    pub(crate) fn settled_in(&self, chain: usize, now: Jiffies) -> Seats {
        let Some(versions) = &self.versions else { return Seats::NONE };
        let settled = versions.settled(chain);
        let first = self.index.first(self.index.place_of_chain(chain));
        if settled.is_empty() || self.line_may_expire(first, now) { Seats::NONE } else { settled }
    }

    /// Those in which that is so of all chains that early drop looks at, so many from the first on.
    pub(crate) fn settled_around(&self, probe: &Probe, range: usize, now: Jiffies) -> Seats {
        let Some(versions) = &self.versions else { return Seats::NONE };
        let (first, chains) = (self.chain_for_room(probe), self.chains());
        let around = (0..range.min(chains)).map(|step| (first + step) % chains);
        let known = around.clone().map(|chain| versions.settled(chain));
        let known = known.fold(Seats::first(SEATS), Seats::and);
        let mut last = None;
        for chain in around {
            if known.is_empty() {
                break;
            }
            let line = self.index.first(self.index.place_of_chain(chain));
            if last.replace(line) != Some(line) && self.line_may_expire(line, now) {
                return Seats::NONE;
            }
        }
        known
    }

    /// Whether an entry of a line, or of those behind it, may have expired.
    fn line_may_expire(&self, first: At, now: Jiffies) -> bool {
        let mut at = Some(first);
        while let Some(line) = at {
            if self.index.may_expire(line, now) {
                return true;
            }
            at = self.index.next(line);
        }
        false
    }

    /// What a segment that only acknowledges does to the TCP entry that was found, but for its expiry: the timeout.
    #[inline]
    pub(crate) fn acknowledge_shared(
        &mut self,
        found: &Found,
        segment: &Acknowledgement,
        usual: &Usual,
    ) -> Option<u32> {
        self.slab.long_mut(found.id)?.acknowledge(found.direction, segment, usual)
    }

    /// Shows the vitals of the entries of one setting.
    pub(crate) fn census_of(&self, seat: usize, mut see: impl FnMut(&Vitals)) {
        let Some(versions) = &self.versions else { return };
        for id in self.slab.iter().filter(|&id| versions.seats(id).contains(seat)) {
            let vitals = self.slab.vitals(id);
            see(&Vitals { expires: self.expiry(id, seat, vitals.expires), ..vitals });
        }
    }

    /// One setting's part, as a table of its own.
    pub(crate) fn part(&self, seat: usize, buckets: u64, max: u64) -> Self {
        let mut part = Self::new(buckets, max, self.hash_key);
        for chain in 0..self.chains() {
            let all: Vec<EntryId> = self.walk(chain).collect();
            for &id in all.iter().rev().filter(|&&id| self.seats(id).contains(seat)) {
                let slot = self.slab.unpack(id);
                let slot = Slot { expires: self.expiry(id, seat, slot.expires), ..slot };
                let extras = self.slab.extras(id).copied().unwrap_or_default();
                let probe = part.probe(self.slab.key(id));
                part.insert(&probe, &slot, self.slab.created(id), extras);
            }
        }
        part
    }

    /// Between the stages of a lookup: asks for what stands beside the entry that is probably the packet's own.
    #[inline(always)]
    pub(crate) fn reach_beside(&self, spot: &Spot) {
        if let Some(versions) = &self.versions {
            versions.prefetch(spot.likely);
        }
    }
}

/// What a tuple leads to in several settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Versioned {
    /// Entries, each with the settings in which it is the one.
    pub(crate) found: [Option<(Found, Seats)>; SEATS],
    /// Settings in which there is none.
    pub(crate) without: Seats,
}
