//! A table that several settings share.

use alloc::boxed::Box;
use alloc::vec::Vec;

use plimsoll_ct::Status;
use plimsoll_wire::packet::Acknowledgement;

use super::versions::Versions;
use super::{EntryId, Expiries, Extras, Found, Probe, SEATS, Seats, Spot, Table, View, Vitals};
use crate::entry::Slot;
use crate::plain::{Usual, Way};
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

    /// A stand-in knows another number of entries.
    pub(crate) const fn recount(&mut self, entries: usize) {
        if let Some(View { count, .. }) = &mut self.view {
            *count = entries;
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
        if let Some(versions) = &mut self.versions {
            versions.enter(id, seats, expiries);
        }
        self.unsettle(probe, seats);
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
        mut reaped: impl FnMut(Seats, &Vitals),
    ) -> Versioned {
        let mut at = self.index.first(probe.place);
        let back = probe.key.packed().inverse();
        let mut found = Versioned { found: [None; SEATS], number: 0, without: Seats::NONE };
        let mut gone = false;
        'lines: loop {
            let mut slots = self.slots(at, probe.place, now);
            while let Some(slot) = slots.newest() {
                let id = EntryId(self.index.id(at, slot));
                let mut seats = self.seats(id).and(seeking);
                if seats.is_empty() {
                    continue;
                }
                let expired = self.expired(id, seats, now);
                if !expired.is_empty() {
                    reaped(expired, &self.slab.vitals(id));
                    seats = seats.without(expired);
                    if self.leave(id, expired).is_empty() {
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
                    found.found[found.number] = Some((Found { id, direction, at }, seats));
                    found.number += 1;
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

    /// Of some settings those in which a tuple plainly leads to nothing: nothing stands in the way that may have expired.
    #[inline]
    pub(crate) fn absent(&mut self, probe: &Probe, seats: Seats, now: Jiffies) -> Seats {
        let mut absent = seats;
        if absent.is_empty() || !self.is_clear(probe.place, now) {
            return Seats::NONE;
        }
        let back = probe.key.packed().inverse();
        let mut at = self.index.first(probe.place);
        loop {
            let mut slots = self.index.like(at, probe.place);
            while let Some(slot) = slots.newest() {
                let id = EntryId(self.index.id(at, slot));
                let there = self.seats(id).and(absent);
                if !there.is_empty() && self.answers_to(id, probe, back).is_some() {
                    absent = absent.without(there);
                }
            }
            match self.index.next(at) {
                None => return absent,
                Some(next) if self.index.may_expire(next, now) => return Seats::NONE,
                Some(next) => at = next,
            }
        }
    }

    /// The settings in which none of so many chains from one on could lose an entry to [`Table::clear_shared`], as far as that
    /// is known.
    #[inline]
    pub(crate) fn settled(&self, first: usize, number: usize, now: Jiffies) -> Seats {
        let versions = self.versions.as_ref();
        versions.map_or(Seats::NONE, |versions| versions.all_settled(first, number, now))
    }

    /// Asks for the entries of some chains, one behind the other, that [`Table::clear_shared`] is about to walk.
    pub(crate) fn approach_shared(
        &self,
        chains: impl Iterator<Item = usize>,
        now: Jiffies,
        seats: Seats,
    ) {
        let Some(versions) = &self.versions else { return };
        for chain in chains {
            if !seats.without(versions.settled(chain, now)).is_empty() {
                self.approach_chain(chain);
            }
        }
    }

    /// Takes from some settings all of a chain that has expired there, or is not assured; `goes` is told of each entry,
    /// in which settings it had expired, and in which it had not. `most`: by then an entry that is assured may expire
    /// without being [put in](Table::insert_shared) or [stored](Table::unsettle) again.
    pub(crate) fn clear_shared(
        &mut self,
        chain: usize,
        now: Jiffies,
        most: Jiffies,
        seats: Seats,
        mut goes: impl FnMut(&Vitals, Seats, Seats),
    ) {
        let known = self.versions.as_ref().map_or(seats, |versions| versions.settled(chain, now));
        let seats = seats.without(known);
        if seats.is_empty() {
            return;
        }
        let place = self.index.place_of_chain(chain);
        let first = self.index.first(place);
        let (mut until, mut gone) = (most, false);
        let mut at = Some(first);
        while let Some(line) = at {
            let mut slots = self.index.of_chain(line, place);
            while let Some(slot) = slots.newest() {
                let id = EntryId(self.index.id(line, slot));
                let seats = self.seats(id).and(seats);
                if seats.is_empty() {
                    continue;
                }
                let head = self.slab.head(id);
                let assured = head.status().contains(Status::ASSURED);
                if assured && !head.is_expired(now) {
                    until = until.earlier(self.soonest(id, seats));
                    continue;
                }
                let vitals = self.slab.vitals(id);
                let expired = self.expired(id, seats, now);
                let evicted = if assured { Seats::NONE } else { seats.without(expired) };
                let gone_from = expired.or(evicted);
                goes(&vitals, expired, evicted);
                if self.leave(id, gone_from).is_empty() {
                    self.index.take(line, slot);
                    self.drop_entry(id);
                    gone = true;
                } else if !seats.without(gone_from).is_empty() {
                    until = until.earlier(self.soonest(id, seats.without(gone_from)));
                }
            }
            at = self.index.next(line);
        }
        if gone {
            self.index.tidy(first);
        }
        if let Some(versions) = &mut self.versions {
            versions.settle(chain, now, seats, until);
        }
    }

    /// When an entry expires first in one of some settings in which it stands.
    #[inline(always)]
    fn soonest(&self, id: EntryId, seats: Seats) -> Jiffies {
        let own = self.versions.as_ref().and_then(|versions| versions.expiries(id));
        own.and_then(|own| own.soonest(seats)).unwrap_or(self.slab.head(id).expires)
    }

    /// Of some settings in which an entry stands, those in which it has expired.
    fn expired(&self, id: EntryId, seats: Seats, now: Jiffies) -> Seats {
        if !self.slab.head(id).is_expired(now) {
            return Seats::NONE;
        }
        match self.versions.as_ref().and_then(|versions| versions.expiries(id)) {
            Some(own) => own.expired(seats, now),
            None => seats,
        }
    }

    /// An entry of the chain of `probe` expires sooner than it did.
    pub(crate) fn unsettle(&mut self, probe: &Probe, seats: Seats) {
        let chain = self.chain(probe);
        if let Some(versions) = &mut self.versions {
            versions.unsettle(chain, seats);
        }
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

    /// Between the stages of a lookup: asks for what stands beside the entries that it will look at.
    #[inline(always)]
    pub(crate) fn reach_beside(&self, spot: &Spot, now: Jiffies) {
        let Some(versions) = &self.versions else { return };
        if self.index.is_fresh(spot.place, now) {
            return versions.prefetch(spot.likely);
        }
        let at = self.index.first(spot.place);
        let mut slots = self.index.of_chain(at, spot.place);
        while let Some(slot) = slots.newest() {
            versions.prefetch(EntryId(self.index.id(at, slot)));
        }
    }
}

impl Table {
    /// Asks for what early drop will look at, for packets that are not known in all of the settings whose table is full.
    pub(crate) fn reach_room(&self, spots: &[Spot], full: Seats) {
        let Some(versions) = &self.versions else { return };
        for spot in spots {
            if spot.way != Way::Nowhere && !full.without(versions.seats(spot.likely)).is_empty() {
                versions.prefetch_settled(self.chain_for_room(&spot.probe(None)));
            }
        }
    }
}

/// What a tuple leads to in several settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Versioned {
    found: [Option<(Found, Seats)>; SEATS],
    number: usize,
    /// Settings in which there is none.
    pub(crate) without: Seats,
}

impl Versioned {
    /// Entries, each with the settings in which it is the one.
    pub(crate) fn found(&self) -> impl Iterator<Item = &(Found, Seats)> {
        self.found[..self.number].iter().flatten()
    }
}
