//! A table that several settings share.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use plimsoll_ct::{Class, State, Status};
use plimsoll_wire::packet::Acknowledgement;

use super::aside::Aside;
use super::expired::Expired;
use super::index::At;
use super::versions::{Lasts, Life, Row, Ticks, Versions};
use super::{EntryId, Expiries, Extras, Found, Leaving, Probe, SEATS, Seats, Spot, Table, View};
use crate::entry::Slot;
use crate::plain::{Usual, Way};
use crate::tcp::Tcp;
use crate::ticks::Jiffies;

impl Table {
    /// Makes a table that several settings share, in all of which every entry that is there stands. `least`: expiries that
    /// would move by less stay.
    pub(crate) fn share(&mut self, seats: Seats, uniform: bool, least: u32, now: Jiffies) {
        const AHEAD: usize = 4;
        let mut versions = Versions::new(self.chains(), uniform, least);
        self.index.share(now);
        for at in self.index.every() {
            if let Some(ahead) = self.index.further(at, AHEAD) {
                self.approach_line(ahead);
            }
            let mut slots = self.index.all(at);
            while let Some(slot) = slots.newest() {
                let id = EntryId(self.index.id(at, slot));
                let vitals = self.slab.vitals(id);
                let expiries = Expiries([vitals.expires; SEATS]);
                let aside = versions.until(id, seats, &expiries, vitals.class());
                if let Some(asides) = self.index.asides_mut(at) {
                    asides.set(slot, aside);
                }
            }
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

    /// How long entries of a class last that last so long in each setting.
    pub(crate) fn lasts(&mut self, ticks: Ticks, class: Class) -> Lasts {
        let nothing = Lasts { ticks, row: Row(0) };
        self.versions.as_mut().map_or(nothing, |versions| versions.lasts(ticks, class))
    }

    /// When an entry that was found expires, by setting.
    pub(crate) fn expiries(&self, version: &Version) -> Expiries {
        let Version { found: Found { id, at, .. }, slot, .. } = *version;
        let slot = self.index.slot_of(at, slot.into(), id.0);
        let aside = self.index.asides(at).map(|asides| asides.get(slot));
        let known = aside.zip(self.versions.as_ref());
        known.map_or(Expiries([Jiffies(0); SEATS]), |(aside, v)| v.expiries(id, &aside))
    }

    /// Changes what stands aside of an entry that was found.
    #[inline(always)]
    fn put_aside(
        &mut self,
        version: &Version,
        change: impl FnOnce(&mut Versions, EntryId, Aside) -> Aside,
    ) {
        let Version { found: Found { id, at, .. }, slot, .. } = *version;
        let slot = self.index.slot_of(at, slot.into(), id.0);
        let (Some(versions), Some(asides)) = (&mut self.versions, self.index.asides_mut(at)) else {
            return;
        };
        let was = asides.get(slot);
        let is = change(versions, id, was);
        asides.refresh(slot, is.soonest, is.row);
    }

    /// A packet refreshes an entry that was found, and changes nothing else of it; the row is that of its class.
    #[inline(always)]
    pub(crate) fn refresh_shared(&mut self, version: &Version, lasts: &Lasts, now: Jiffies) {
        self.put_aside(version, |versions, id, aside| versions.refreshed(id, aside, lasts, now));
    }

    /// Changes class and time of an entry that was found, in the settings in which it stands.
    pub(crate) fn store_shared(
        &mut self,
        probe: &Probe,
        version: &Version,
        life: &Life,
        class: Class,
        now: Jiffies,
    ) {
        let watches = self.versions.as_ref().is_some_and(|versions| versions.watches());
        let was = watches.then(|| self.expiries(version));
        self.put_aside(version, |versions, id, aside| versions.change(id, aside, life, class, now));
        let Some(was) = was else { return };
        let sooner = self.expiries(version).before(&was, version.seats);
        if !sooner.is_empty() {
            self.unsettle(probe, sooner);
        }
    }

    /// Puts an entry in that several settings share, and how long it lasts in each.
    pub(crate) fn insert_shared(
        &mut self,
        probe: &Probe,
        slot: &Slot,
        now: Jiffies,
        extras: Extras,
        lasts: (Seats, &Lasts),
    ) -> EntryId {
        let id = self.slab.add(&probe.key, slot, now, (!extras.is_none()).then_some(extras));
        self.enter(probe, id, slot.class(), lasts, now);
        id
    }

    /// The same of a TCP entry over IPv4 that has no extras, of a class.
    #[inline(always)]
    pub(crate) fn insert_tcp_shared(
        &mut self,
        probe: &Probe,
        status: Status,
        tcp: &Tcp,
        now: Jiffies,
        lasts: (Seats, &Lasts),
    ) -> EntryId {
        let id = self.slab.add_tcp(probe.key.packed(), status, now, tcp, now);
        let class = Class::of(status, State::Tcp(tcp.state));
        self.enter(probe, id, class, lasts, now);
        id
    }

    /// The same of a UDP entry over IPv4, which is not assured; from `stream` on it may be a stream.
    #[inline(always)]
    pub(crate) fn insert_udp_shared(
        &mut self,
        probe: &Probe,
        status: Status,
        stream: Jiffies,
        now: Jiffies,
        lasts: (Seats, &Lasts),
    ) -> EntryId {
        let id = self.slab.add_udp(probe.key.packed(), status, now, stream, now);
        self.enter(probe, id, Class::of(status, State::Stateless), lasts, now);
        id
    }

    #[inline(always)]
    fn enter(
        &mut self,
        probe: &Probe,
        id: EntryId,
        class: Class,
        (seats, lasts): (Seats, &Lasts),
        now: Jiffies,
    ) {
        if let Some(versions) = &mut self.versions {
            let aside = versions.anew(id, seats, lasts, class, now);
            self.index.insert_aside(probe.place, id.0, now, aside);
        }
        self.count += 1;
        self.unsettle(probe, seats);
    }

    /// Changes the tracker's memory of the entry that was found.
    pub(crate) fn put_shared(&mut self, version: &Version, slot: &Slot) {
        self.slab.put(version.found.id, slot);
    }

    /// The same of a TCP entry over IPv4.
    #[inline(always)]
    pub(crate) fn put_tcp_shared(&mut self, version: &Version, status: Status, tcp: &Tcp) {
        self.slab.put_tcp(version.found.id, status, Jiffies(0), tcp);
    }

    /// Takes an entry that was found out of all settings.
    pub(crate) fn remove_shared(&mut self, version: &Version) {
        let Version { found: Found { id, at, .. }, slot, .. } = *version;
        let slot = self.index.slot_of(at, slot.into(), id.0);
        let place = self.index.place(self.slab.key(id).hash(self.hash_key));
        self.index.take(at, slot);
        self.index.tidy(self.index.first(place));
        self.drop_entry(id);
    }

    /// Takes an entry out of some settings: whether it stands in none now, and is gone.
    #[inline(always)]
    pub(super) fn leave(&mut self, at: At, slot: usize, gone: Seats) -> bool {
        let id = EntryId(self.index.id(at, slot));
        if let (Some(versions), Some(asides)) = (&self.versions, self.index.asides_mut(at)) {
            let aside = asides.get(slot);
            let left = aside.seats.without(gone);
            if !left.is_empty() {
                asides.remain(slot, left, versions.soonest(id, &aside, left));
                return false;
            }
        }
        self.index.take(at, slot);
        self.drop_entry(id);
        true
    }

    /// The entries that a tuple leads to in some settings, in each the one that a lookup in its own table would find.
    /// What such a lookup meets and has expired is reaped, `reaped` being told in which, and its class.
    #[inline(always)]
    pub(crate) fn find_shared(
        &mut self,
        probe: &Probe,
        way: Way,
        now: Jiffies,
        seeking: Seats,
        versioned: &mut Versioned,
        reaped: impl FnMut(Seats, Class),
    ) {
        (versioned.number, versioned.without) = (0, seeking);
        if !self.glance_shared(probe, way, now, versioned) {
            self.walk_shared(probe, now, versioned, reaped);
        }
    }

    /// The same where the first line tells it: nothing in the way has expired. `false`: it takes a walk, and nothing was found.
    #[inline(always)]
    fn glance_shared(
        &self,
        probe: &Probe,
        way: Way,
        now: Jiffies,
        versioned: &mut Versioned,
    ) -> bool {
        let at = self.index.first(probe.place);
        let Some(asides) = self.index.asides(at) else { return false };
        if !asides.expired(now).and(self.index.of_chain(at, probe.place)).is_empty() {
            return false;
        }
        let (mut alike, ends) = (self.index.like(at, probe.place), self.index.next(at).is_none());
        let mut seeking = versioned.without;
        while let Some(slot) = alike.newest() {
            let id = EntryId(self.index.id(at, slot));
            let head = match way {
                Way::Tcp => self.slab.narrow(id),
                Way::Udp => self.slab.narrow_short(id),
                Way::WideTcp | Way::Long | Way::Nowhere | Way::Fragment => None,
            };
            let Some(direction) = head.and_then(|head| head.answers_to(probe.key.packed())) else {
                // Another tuple, most likely: the walk looks closer.
                versioned.number = 0;
                return false;
            };
            let seats = asides.seats(slot).and(seeking);
            if !seats.is_empty() {
                let found = Found { id, direction, at };
                versioned.push(Version { found, slot: slot as u8, seats });
                seeking = seeking.without(seats);
                if seeking.is_empty() {
                    break;
                }
            }
        }
        if !(ends || seeking.is_empty()) {
            versioned.number = 0;
            return false;
        }
        versioned.without = seeking;
        true
    }

    /// The same by a walk of the chain.
    #[inline(never)]
    fn walk_shared(
        &mut self,
        probe: &Probe,
        now: Jiffies,
        versioned: &mut Versioned,
        mut reaped: impl FnMut(Seats, Class),
    ) {
        let mut seeking = versioned.without;
        let first = self.index.first(probe.place);
        let back = probe.key.packed().inverse();
        let mut gone = false;
        let mut line = Some(first);
        while let Some(at) = line {
            let Some(asides) = self.index.asides(at) else { break };
            let alike = self.index.like(at, probe.place);
            let over = asides.expired(now).and(self.index.of_chain(at, probe.place));
            let mut slots = alike.or(over);
            while let Some(slot) = slots.newest() {
                let (Some(versions), Some(asides)) = (&self.versions, self.index.asides(at)) else {
                    break;
                };
                let aside = asides.get(slot);
                let mut seats = aside.seats.and(seeking);
                if seats.is_empty() {
                    continue;
                }
                let id = EntryId(self.index.id(at, slot));
                if over.has(slot) {
                    let expired = versions.expired(id, &aside, seats, now);
                    if !expired.is_empty() {
                        reaped(expired, versions.class(id, aside.row));
                        seats = seats.without(expired);
                        gone |= self.leave(at, slot, expired);
                        if seats.is_empty() {
                            continue;
                        }
                    }
                }
                if alike.has(slot)
                    && let Some(direction) = self.answers_to(id, probe, back)
                {
                    let found = Found { id, direction, at };
                    versioned.push(Version { found, slot: slot as u8, seats });
                    seeking = seeking.without(seats);
                    if seeking.is_empty() {
                        break;
                    }
                }
            }
            line = if seeking.is_empty() { None } else { self.index.next(at) };
        }
        if gone {
            self.index.tidy(first);
        }
        versioned.without = seeking;
    }

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

    /// An entry of the chain of `probe` expires sooner than it did.
    fn unsettle(&mut self, probe: &Probe, seats: Seats) {
        let chain = self.chain(probe);
        if let Some(versions) = &mut self.versions {
            versions.unsettle(chain, seats);
        }
    }

    /// What a segment that only acknowledges does to the TCP entry that was found, but for its expiry: the timeout.
    #[inline(always)]
    pub(crate) fn acknowledge_shared(
        &mut self,
        found: &Found,
        segment: &Acknowledgement,
        usual: &Usual,
    ) -> Option<u32> {
        self.slab.long_mut(found.id)?.acknowledge(found.direction, segment, usual)
    }

    /// The same of the one that completes a handshake.
    #[inline(always)]
    pub(crate) fn complete_shared(
        &mut self,
        found: &Found,
        segment: &Acknowledgement,
        usual: &Usual,
    ) -> Option<u32> {
        self.slab.long_mut(found.id)?.complete(found.direction, segment, usual)
    }

    /// When what stands in a line expires in a setting, and its class; if it is there in that one.
    pub(super) fn of_seat(&self, seat: usize, at: At, slot: usize) -> Option<(Jiffies, Class)> {
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
    pub(super) fn sweep_seat(
        &mut self,
        View { seat, .. }: View,
        chains: Range<usize>,
        mut goes: impl FnMut(&Leaving<'_>, usize) -> bool,
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
                        if goes(&Leaving { expires, class, id, table: self }, self.len()) {
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

    /// First stage of a lookup: asks for the lines of the index, and what stands beside them.
    #[inline(always)]
    pub(crate) fn approach_all(&self, spot: &Spot) {
        self.approach(spot);
        self.index.prefetch_asides(self.index.first(spot.place));
    }

    /// Second stage: asks for the entries that the lookup will look at, and for the next lines.
    #[inline(always)]
    pub(crate) fn reach_shared(&self, spot: &Spot) {
        let first = self.index.first(spot.place);
        let mut slots = self.index.like(first, spot.place);
        while let Some(slot) = slots.newest() {
            self.slab.prefetch(EntryId(self.index.id(first, slot)));
        }
        if let Some(next) = self.index.next(first) {
            self.index.prefetch_line(next);
            self.index.prefetch_asides(next);
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

    /// Frees the cell of an entry that is gone: a few later, when it has come.
    pub(super) fn free_later(&mut self, id: EntryId) {
        self.slab.prefetch(id);
        let freed = self.versions.as_mut().and_then(|versions| versions.forget(id));
        if let Some(freed) = freed {
            self.slab.free(freed);
        }
    }
}

/// An entry that a tuple leads to, and the settings in which it is the one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version {
    pub(crate) found: Found,
    /// Where it stood in its line.
    slot: u8,
    pub(crate) seats: Seats,
}

/// What a tuple leads to in several settings.
#[derive(Debug, Clone)]
pub(crate) struct Versioned {
    found: [Version; SEATS],
    number: usize,
    /// Settings in which there is none.
    pub(crate) without: Seats,
}

impl Versioned {
    pub(crate) const fn new() -> Self {
        let version = Version { found: Found::NOTHING, slot: 0, seats: Seats::NONE };
        Self { found: [version; SEATS], number: 0, without: Seats::NONE }
    }

    #[inline(always)]
    fn push(&mut self, version: Version) {
        self.found[self.number % SEATS] = version;
        self.number += 1;
    }

    /// Entries, each with the settings in which it is the one.
    #[inline(always)]
    pub(crate) fn get(&self, number: usize) -> Option<Version> {
        if number < self.number { self.found.get(number).copied() } else { None }
    }
}
