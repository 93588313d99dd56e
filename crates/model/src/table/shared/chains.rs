//! What walks the chains of a table that several settings share: early drop, the collector, a census.

use alloc::vec::Vec;
use core::ops::Range;

use plimsoll_ct::Class;

use crate::entry::Slot;
use crate::plain::Way;
use crate::table::chains::Met;
use crate::table::index::At;
use crate::table::{EntryId, Expired, Leaving, Seats, Spot, Table, View};
use crate::ticks::Jiffies;

impl Table {
    /// The settings in which none of so many chains from one on could lose an entry to [`Table::clear_shared`], as far as that
    /// is known.
    #[inline]
    pub(crate) fn settled(&self, first: usize, number: usize, now: Jiffies) -> Seats {
        let versions = self.versions.as_ref();
        versions.map_or(Seats::NONE, |versions| versions.all_settled(first, number, now))
    }

    /// Asks for the lines of some chains, one behind the other, that [`Table::clear_shared`] is about to walk.
    pub(crate) fn approach_shared(
        &self,
        chains: impl Iterator<Item = usize>,
        now: Jiffies,
        seats: Seats,
    ) {
        let Some(versions) = &self.versions else { return };
        for chain in chains {
            if !seats.without(versions.settled(chain, now)).is_empty() {
                let first = self.index.first(self.index.place_of_chain(chain));
                self.index.prefetch_line(first);
                self.index.prefetch_asides(first);
            }
        }
    }

    /// Takes from some settings all of a chain that has expired there, or is not assured; `goes` is told of each entry's class,
    /// in which settings it had expired, and in which it had not. `most`: by then an entry that is assured may expire
    /// without being [put in](Table::insert_shared) or [stored](Table::store_shared) again.
    pub(crate) fn clear_shared(
        &mut self,
        chain: usize,
        now: Jiffies,
        most: Jiffies,
        seats: Seats,
        mut goes: impl FnMut(Class, Seats, Seats),
    ) {
        let known = self.versions.as_ref().map_or(seats, |versions| versions.settled(chain, now));
        let seats = seats.without(known);
        if seats.is_empty() {
            return;
        }
        let place = self.index.place_of_chain(chain);
        let first = self.index.first(place);
        let (mut until, mut gone) = (most, false);
        let mut line = Some(first);
        while let Some(at) = line {
            let Some(asides) = self.index.asides(at) else { break };
            let over = asides.expired(now);
            let mut slots = self.index.of_chain(at, place);
            while let Some(slot) = slots.newest() {
                let (Some(versions), Some(asides)) = (&self.versions, self.index.asides(at)) else {
                    break;
                };
                let aside = asides.get(slot);
                let seats = aside.seats.and(seats);
                if seats.is_empty() {
                    continue;
                }
                let id = EntryId(self.index.id(at, slot));
                let class = versions.class(id, aside.row);
                if class != Class::Evictable && !over.has(slot) {
                    until = until.earlier(aside.soonest);
                    continue;
                }
                let expired = versions.expired(id, &aside, seats, now);
                let stays = match class {
                    Class::Evictable => Seats::NONE,
                    Class::Closing | Class::Protected => seats.without(expired),
                };
                if !stays.is_empty() {
                    until = until.earlier(versions.soonest(id, &aside, stays));
                }
                let leaving = seats.without(stays);
                if !leaving.is_empty() {
                    goes(class, expired, leaving.without(expired));
                    gone |= self.leave(at, slot, leaving);
                }
            }
            line = self.index.next(at);
        }
        if gone {
            self.index.tidy(first);
        }
        if let Some(versions) = &mut self.versions {
            versions.settle(chain, now, seats, until);
        }
    }

    /// Asks for what early drop will look at, for a packet that may find no entry in settings whose table is full.
    #[inline(always)]
    pub(crate) fn reach_room(&self, spot: &Spot, full: Seats) {
        let Some(versions) = &self.versions else { return };
        let first = self.index.first(spot.place);
        let mut slots = self.index.like(first, spot.place);
        let mut absent = full;
        while let (Some(slot), Some(asides)) = (slots.newest(), self.index.asides(first)) {
            absent = absent.without(asides.seats(slot));
        }
        if spot.way != Way::Nowhere && !absent.is_empty() {
            versions.prefetch_settled(self.chain_for_room(&spot.probe(None)));
        }
    }

    /// When what stands in a line expires in a setting, and its class; if it is there in that one.
    pub(in crate::table) fn of_seat(
        &self,
        seat: usize,
        at: At,
        slot: usize,
    ) -> Option<(Jiffies, Class)> {
        let aside = self.index.asides(at)?.get(slot);
        let (versions, id) = (self.versions.as_ref()?, EntryId(self.index.id(at, slot)));
        let there = aside.seats.contains(seat);
        there.then(|| (versions.expiry(id, &aside, seat), versions.class(id, aside.row)))
    }

    /// How many entries of a class have expired in each setting. Lines in which none has are stepped over.
    pub(crate) fn expired_shared(&self, now: Jiffies) -> Expired {
        let mut all = Expired::default();
        let Some(versions) = &self.versions else { return all };
        for at in self.index.every() {
            let Some(asides) = self.index.asides(at) else { return all };
            let mut slots = asides.expired(now);
            if slots.is_empty() {
                continue;
            }
            all.begin_line();
            while let Some(slot) = slots.newest() {
                let aside = asides.get(slot);
                if aside.seats.is_empty() {
                    continue;
                }
                let id = EntryId(self.index.id(at, slot));
                let expired = versions.expired(id, &aside, aside.seats, now);
                all.add(expired, versions.class(id, aside.row));
            }
        }
        all.gather();
        all
    }

    /// One setting's part, as a table of its own.
    pub(crate) fn part(&self, seat: usize, buckets: u64, max: u64) -> Self {
        let mut part = Self::new(buckets, max, self.hash_key);
        for chain in 0..self.chains() {
            let all: Vec<(At, usize)> = self.walk_places(chain).collect();
            for &(at, place) in all.iter().rev() {
                let Some((expires, _)) = self.of_seat(seat, at, place) else { continue };
                let id = EntryId(self.index.id(at, place));
                let slot = Slot { expires, ..self.slab.unpack(id) };
                let extras = self.slab.extras(id).copied().unwrap_or_default();
                let probe = part.probe(self.slab.key(id));
                part.insert(&probe, &slot, self.slab.created(id), extras);
            }
        }
        part
    }

    /// What [`Table::sweep`] does in the setting whose table it is.
    pub(in crate::table) fn sweep_seat(
        &mut self,
        View { seat, .. }: View,
        chains: Range<usize>,
        mut goes: impl FnMut(Met<'_>, usize) -> bool,
    ) {
        let mut from = chains.start;
        while from < chains.end {
            let first = self.index.first(self.index.place_of_chain(from));
            let all = self.index.chains_of(first);
            let some = from..all.end.min(chains.end);
            from = some.end;
            let mut gone = false;
            for chain in some {
                let place = self.index.place_of_chain(chain);
                let mut line = Some(first);
                while let Some(at) = line {
                    line = self.index.next(at);
                    let own = self.index.asides(at).map(|asides| asides.of_seat(seat));
                    let Some(own) = own.filter(|own| !own.is_empty()) else { continue };
                    let mut slots = self.index.of_chain(at, place).and(own);
                    while let Some(slot) = slots.newest() {
                        let Some((expires, class)) = self.of_seat(seat, at, slot) else { continue };
                        let id = EntryId(self.index.id(at, slot));
                        let class = Some(class);
                        let leaving = Leaving { expires, class, id, table: self };
                        if goes(Met::Entry(leaving), self.len()) {
                            gone |= self.dismiss(at, slot, id);
                        }
                    }
                }
            }
            if gone {
                self.index.tidy(first);
            }
        }
    }
}
