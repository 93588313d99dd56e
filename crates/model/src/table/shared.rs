//! A table that several settings share.

mod chains;
mod find;
mod room;

use alloc::boxed::Box;

use plimsoll_ct::{Class, Status};
use plimsoll_wire::packet::{Acknowledgement, Opening};

use super::aside::Aside;
use super::cell::Long;
use super::index::At;
use super::versions::{Row, Versions};
use super::{
    EntryId, Expiries, Extras, Found, Lasts, Life, Probe, SEATS, Seats, Table, Ticks, View,
};
use crate::entry::Slot;
use crate::plain::Usual;
use crate::tcp::{First, Tcp};
use crate::ticks::Jiffies;
pub(crate) use find::{Version, Versioned};

impl Table {
    /// Makes a table that several settings share, in all of which every entry that is there stands. `least`: expiries that
    /// would move by less stay.
    pub(crate) fn share(&mut self, seats: Seats, uniform: bool, least: u32) {
        const AHEAD: usize = 4;
        let mut versions = Versions::new(uniform, least);
        self.index.share();
        self.bounds = false;
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
        let nothing = Lasts { ticks, row: Row::new(0, false) };
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

    /// Changes what stands aside of an entry that was found: whether it expires sooner now than it did.
    #[inline(always)]
    fn put_aside(
        &mut self,
        version: &Version,
        change: impl FnOnce(&mut Versions, EntryId, Aside) -> Aside,
    ) -> bool {
        let Version { found: Found { id, at, .. }, slot, .. } = *version;
        let slot = self.index.slot_of(at, slot.into(), id.0);
        let (Some(versions), Some(asides)) = (&mut self.versions, self.index.asides_mut(at)) else {
            return false;
        };
        let was = asides.get(slot);
        let is = change(versions, id, was);
        asides.refresh(slot, (was, is));
        let is_sooner = is.soonest.left(was.soonest) < 0;
        if is_sooner {
            self.index.lowered(at);
        }
        is_sooner
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
        let change =
            |versions: &mut Versions, id, aside| versions.change(id, aside, life, class, now);
        if self.put_aside(version, change) {
            self.index.unsettle(probe.place, version.seats);
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

    /// The same of a TCP entry over IPv4 that begins so and has no extras; it is not assured.
    #[inline(always)]
    pub(crate) fn insert_tcp_shared(
        &mut self,
        probe: &Probe,
        status: Status,
        first: &First,
        now: Jiffies,
        lasts: (Seats, &Lasts),
    ) -> EntryId {
        let id = self.slab.add_cell(Long::first(probe.key.packed(), status, now, first), now);
        self.enter(probe, id, Class::Evictable, lasts, now);
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
        self.enter(probe, id, Class::Evictable, lasts, now);
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
            self.index.insert_aside(probe.place, id.0, aside);
        }
        self.count += 1;
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
        self.index.touched(at);
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

    /// What the answer does to the SYN that opened the flow that was found, but for its expiry. `false`: they are not that simple, and
    /// nothing has changed.
    #[inline(always)]
    pub(crate) fn answer_shared(&mut self, found: &Found, answer: &Opening) -> bool {
        self.slab.narrow_mut(found.id).is_some_and(|cell| cell.answer(answer))
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

    /// Frees the cell of an entry that is gone: a few later, when it has come.
    pub(super) fn free_later(&mut self, id: EntryId) {
        self.slab.prefetch(id);
        let freed = self.versions.as_mut().and_then(|versions| versions.forget(id));
        if let Some(freed) = freed {
            self.slab.free(freed);
        }
    }
}
