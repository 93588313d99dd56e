//! The table: entries in a slab, one node each in a chain of a virtual bucket.
//!
//! The kernel puts each entry into two of its `buckets` chains, one for each tuple. Both directions share
//! one hash here, so an entry has one node in one of `buckets / 2` chains: chains are as long as the
//! kernel's, and a packet meets as many other entries on its way, with half the memory. What a walk does
//! (reap the expired, find a victim) happens with the kernel's frequency; which entry it meets can't be
//! foretold there either, since the kernel's hash is keyed with a secret.
//!
//! Entries whose answers have another tuple (NAT, from a dump; zones of one direction) are found by that in a side
//! index.
//!
//! Kernel: `____nf_conntrack_find()`, `__nf_conntrack_hash_insert()`, nf_conntrack_core.c.

mod aside;
mod cell;
mod chains;
mod expired;
mod extras;
mod find;
mod index;
mod line;
mod machine;
mod pieces;
mod seats;
mod shared;
mod short;
mod slab;
#[cfg(test)]
mod tests;
mod versions;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use plimsoll_ct::{Class, State, Status, Zone};

use crate::entry::Slot;
use crate::helper::Helper;
use crate::key::{Key, Packed, Wide, mix};
use crate::plain::Way;
use crate::step::Info;
use crate::tcp::Direction;
use crate::ticks::Jiffies;

pub(crate) use chains::Met;
pub(crate) use expired::Expired;
pub(crate) use extras::{Extras, Vitals};
pub(crate) use index::Held;
use index::{At, Index, Place};
pub(crate) use seats::{Expiries, SEATS, Seats, Ticks};
pub(crate) use shared::{Version, Versioned};
pub use slab::EntryId;
use slab::Slab;
use versions::Versions;
pub(crate) use versions::{Lasts, Life};

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    index: Index,
    slab: Slab,
    count: usize,
    hash_key: u64,
    replies: BTreeMap<Key, EntryId>,
    /// Of a table that several settings share.
    versions: Option<Box<Versions>>,
    /// Whose table it is at the moment: no entry of other settings is seen.
    view: Option<View>,
    /// Lines tell a time before which none of their entries expires.
    bounds: bool,
}

/// One setting's part of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct View {
    seat: usize,
    /// Entries.
    count: usize,
}

/// A key on its way to its entry: all that is computed once for a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) key: Key,
    place: Place,
}

/// A probe without the addresses of IPv6, which its packet knows, and what is known of its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    key: Packed,
    place: Place,
    /// The entry that is probably the packet's own,
    likely: EntryId,
    /// and where it stands in the place's first line.
    slot: u8,
    pub(crate) way: Way,
}

/// No line has it.
const NO_SLOT: u8 = u8::MAX;

impl Spot {
    /// Whether nothing in the first line looks like its entry.
    #[inline(always)]
    pub(super) fn may_be_new(&self) -> bool {
        self.likely == EntryId::NONE
    }

    /// Of a packet that has none.
    pub(crate) const fn without(way: Way) -> Self {
        let (place, slot) = (Place::NOWHERE, NO_SLOT);
        Self { key: Packed::NOTHING, place, likely: EntryId::NONE, slot, way }
    }

    /// The entry that is probably the packet's own.
    #[inline(always)]
    pub(crate) const fn likely(&self) -> EntryId {
        self.likely
    }

    #[inline(always)]
    pub(crate) const fn probe(&self, wide: Option<Wide>) -> Probe {
        Probe { key: Key::from_parts(self.key, wide), place: self.place }
    }
}

impl Probe {
    /// Whether the packet can have an answer.
    pub(crate) const fn has_inverse(&self) -> bool {
        self.key.packed().inverse().is_some()
    }
}

/// What a lookup found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: EntryId,
    pub(crate) direction: Direction,
    /// Line of the index, as long as nothing else changes.
    at: At,
}

impl Found {
    const NOTHING: Self =
        Self { id: EntryId::NONE, direction: Direction::Original, at: At::NOWHERE };

    /// The class of a packet of an entry that has seen answers.
    #[inline(always)]
    pub(crate) const fn info(&self) -> Info {
        Info::established(self.direction)
    }
}

/// What a glance shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Glance {
    /// The entry.
    Found(Found),
    /// There is none.
    Absent,
    /// It takes a walk to know.
    Unclear,
}

/// An entry with all that is known of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole {
    pub(crate) id: EntryId,
    pub(crate) slot: Slot,
    /// The key of its original direction.
    pub(crate) key: Key,
    /// When it was made.
    pub(crate) created: Jiffies,
    /// The key of its answers.
    pub(crate) reply: Option<Key>,
    /// Who reads along.
    pub(crate) helper: Option<Helper>,
    /// The entry that expected it.
    pub(crate) master: Option<Key>,
    /// Its zone.
    pub(crate) zone: Zone,
}

impl Whole {
    /// Whether a helper has to know of its end.
    pub(crate) const fn concerns_helpers(&self) -> bool {
        self.helper.is_some() || self.master.is_some()
    }
}

/// An entry that goes, or may go.
#[derive(Clone, Copy)]
pub(crate) struct Leaving<'a> {
    pub(crate) expires: Jiffies,
    /// As far as it is known: of most that a sweep meets nobody asks for it.
    class: Option<Class>,
    id: EntryId,
    table: &'a Table,
}

impl Leaving<'_> {
    pub(crate) fn class(&self) -> Class {
        self.class.unwrap_or_else(|| self.table.slab.vitals(self.id).class())
    }

    /// Whether a helper has to know of its end. There is none where several settings share the table.
    pub(crate) fn concerns_helpers(&self) -> bool {
        self.table.versions.is_none()
            && self.table.slab.extras(self.id).is_some_and(Extras::concerns_helpers)
    }

    /// All of it: for those who want to tell of it.
    pub(crate) fn whole(&self) -> Whole {
        let Self { id, table, .. } = *self;
        table.whole_as(id, &table.slab.unpack(id))
    }
}

impl Table {
    /// An empty table of so many of the kernel's buckets, meant for at most `max` entries.
    pub(crate) fn new(buckets: u64, max: u64, hash_key: u64) -> Self {
        let chains = (buckets / 2).clamp(1, 1 << 28);
        Self {
            index: Index::new(chains, max),
            slab: Slab::new(),
            count: 0,
            hash_key,
            replies: BTreeMap::new(),
            versions: None,
            view: None,
            bounds: true,
        }
    }

    /// Entries: of the setting whose table it is, if it is one's.
    pub(crate) const fn len(&self) -> usize {
        match self.view {
            Some(View { count, .. }) => count,
            None => self.count,
        }
    }

    /// Of two moments the earlier one is not known from now on: so of no line whether its entries have expired.
    pub(crate) const fn forget_bounds(&mut self) {
        self.bounds = false;
    }

    /// Whether lines tell a time before which none of their entries expires.
    pub(crate) const fn tells_bounds(&self) -> bool {
        self.bounds
    }

    /// Whether [`Table::quiet`] knows when entries expire.
    pub(crate) const fn foresees(&self) -> bool {
        self.bounds || self.view.is_some()
    }

    /// What is known of times that are past is forgotten, before it would look as if they were to come.
    pub(crate) fn renew(&mut self, now: Jiffies) {
        self.index.renew(now);
    }

    pub(crate) const fn chains(&self) -> usize {
        self.index.chains()
    }

    pub(crate) fn probe(&self, key: Key) -> Probe {
        Probe { key, place: self.index.place(key.hash(self.hash_key)) }
    }

    #[inline(always)]
    pub(crate) fn spot(&self, key: Packed, wide: Option<Wide>, way: Way) -> Spot {
        self.spot_at(key, key.hash(wide, self.hash_key), way)
    }

    /// The same for a protocol with ports over IPv4.
    #[inline(always)]
    pub(crate) fn spot_of_ports(&self, key: Packed, way: Way) -> Spot {
        self.spot_at(key, key.hash_of_ports(self.hash_key), way)
    }

    #[inline(always)]
    fn spot_at(&self, key: Packed, hash: u64, way: Way) -> Spot {
        Spot { key, place: self.index.place(hash), likely: EntryId::NONE, slot: NO_SLOT, way }
    }

    /// The chain in which a packet of this key looks.
    pub(crate) const fn chain(&self, probe: &Probe) -> usize {
        self.index.chain(probe.place)
    }

    /// The chain from which early drop looks for room. The kernel hashes each direction by itself, so that
    /// a flow's answers (they go to the higher port) look elsewhere than its questions, which begin where they
    /// were looked up.
    pub(crate) fn chain_for_room(&self, probe: &Probe) -> usize {
        let chain = self.chain(probe);
        let elsewhere = u128::from(mix(chain as u64 ^ self.hash_key));
        let elsewhere = ((elsewhere * self.chains() as u128) >> 64) as usize;
        // Without a branch: which it is nobody can foretell.
        let answers = 0_usize.wrapping_sub(usize::from(probe.key.packed().looks_like_an_answer()));
        chain ^ (chain ^ elsewhere) & answers
    }

    /// Puts an entry in; a reply that is the inverse of its key is nothing extra.
    pub(crate) fn insert(
        &mut self,
        probe: &Probe,
        slot: &Slot,
        now: Jiffies,
        extras: Extras,
    ) -> EntryId {
        let reply = extras.reply.filter(|r| Some(*r) != probe.key.inverse());
        let extras = Extras { reply, ..extras };
        if extras.zone.is_some() {
            self.outdo(&probe.key, reply.as_ref());
        }
        let id = self.slab.add(&probe.key, slot, now, (!extras.is_none()).then_some(extras));
        self.index.insert(probe.place, id.0, slot.expires);
        self.count += 1;
        if let Some(reply) = reply {
            self.replies.insert(reply, id);
        }
        id
    }

    /// The entry of this name, if there is one.
    pub(crate) fn whole(&self, id: EntryId) -> Option<Whole> {
        let slot =
            self.slab.get(id).filter(|_| self.view.is_none() || self.of_view(id).is_some())?;
        let expires = self.vitals(id).expires;
        Some(self.whole_as(id, &Slot { expires, ..slot }))
    }

    /// An entry that is there, with another memory.
    pub(crate) fn whole_as(&self, id: EntryId, slot: &Slot) -> Whole {
        let (key, created) = (self.slab.key(id), self.slab.created(id));
        let Extras { helper, master, zone, .. } = self.slab.extras(id).copied().unwrap_or_default();
        let zone = zone.unwrap_or(Zone::both(key.zone()));
        Whole { id, slot: *slot, key, created, reply: self.reply(id), helper, master, zone }
    }

    fn leaving(&self, id: EntryId) -> Leaving<'_> {
        let own = self.slab.head(id).expires;
        let expires = if self.view.is_none() { own } else { self.of_view(id).unwrap_or(own) };
        Leaving { expires, class: None, id, table: self }
    }

    /// Whether what stands in a line is of the setting whose table it is, if it is one's.
    #[inline]
    fn shows(&self, at: At, slot: usize) -> bool {
        let Some((View { seat, .. }, asides)) = self.view.zip(self.index.asides(at)) else {
            return true;
        };
        asides.seats(slot).contains(seat)
    }

    /// When an entry expires in the setting whose table it is, if it is one's and the entry one of its own.
    fn of_view(&self, id: EntryId) -> Option<Jiffies> {
        let View { seat, .. } = self.view?;
        let place = self.index.place(self.slab.key(id).hash(self.hash_key));
        let (at, slot) = self.index.locate(place, id.0)?;
        self.of_seat(seat, at, slot).map(|(expires, _)| expires)
    }

    /// An entry goes, from the setting whose table it is, if it is one's: whether it stands in none now.
    fn dismiss(&mut self, at: At, slot: usize, id: EntryId) -> bool {
        if let Some(View { seat, count }) = &mut self.view {
            *count -= 1;
            let gone = Seats::one(*seat);
            return self.leave(at, slot, gone);
        }
        self.index.take(at, slot);
        self.drop_entry(id);
        true
    }

    /// An entry that is there.
    pub(crate) fn entry(&self, id: EntryId) -> Slot {
        self.slab.unpack(id)
    }

    /// The entry that was found.
    #[inline]
    pub(crate) fn slot(&self, found: &Found) -> Slot {
        self.slab.unpack(found.id)
    }

    /// Changes the entry that was found; its key and its creation stay.
    #[inline]
    pub(crate) fn put(&mut self, found: &Found, slot: &Slot) {
        self.slab.put(found.id, slot);
        self.index.lower(found.at, slot.expires);
    }

    /// Whether the entry that was found has something that few have.
    #[inline(always)]
    pub(crate) fn has_extras(&self, found: &Found) -> bool {
        self.slab.head(found.id).has_extras()
    }

    /// Whether there are entries that another tuple than the inverse of their own leads to.
    pub(crate) fn has_translated(&self) -> bool {
        !self.replies.is_empty()
    }

    /// What few entries have, of one that is there.
    #[inline]
    pub(crate) fn extras(&self, id: EntryId) -> Option<&Extras> {
        self.slab.extras(id)
    }

    /// What few entries have, of all that have it.
    pub(crate) fn all_extras(&self) -> impl Iterator<Item = (EntryId, &Extras)> {
        self.slab.all_extras()
    }

    /// Status and state of the entry of this name, if there is one.
    pub(crate) fn condition(&self, id: EntryId) -> Option<(Status, State)> {
        let is_there = self.slab.holds(id) && (self.view.is_none() || self.of_view(id).is_some());
        is_there.then(|| {
            let Vitals { status, state, .. } = self.slab.vitals(id);
            (status, state)
        })
    }

    /// Status, state and expiry of an entry that is there.
    pub(crate) fn vitals(&self, id: EntryId) -> Vitals {
        let vitals = self.slab.vitals(id);
        match self.view {
            Some(_) => Vitals { expires: self.of_view(id).unwrap_or(vitals.expires), ..vitals },
            None => vitals,
        }
    }

    /// The key of an entry's answers.
    fn reply(&self, id: EntryId) -> Option<Key> {
        match self.slab.extras(id) {
            Some(Extras { reply: Some(reply), .. }) => Some(*reply),
            Some(Extras { reply: None, .. }) | None => self.slab.key(id).inverse(),
        }
    }

    /// Takes an entry out that is there.
    pub(crate) fn remove(&mut self, id: EntryId) -> Vitals {
        let vitals = self.vitals(id);
        let place = self.index.place(self.slab.key(id).hash(self.hash_key));
        let there = self.index.locate(place, id.0);
        debug_assert!(there.is_some(), "an entry that is in no chain");
        if let Some((at, slot)) = there
            && self.dismiss(at, slot, id)
        {
            self.index.tidy(self.index.first(place));
        }
        vitals
    }

    fn drop_entry(&mut self, id: EntryId) {
        self.count -= 1;
        if self.versions.is_some() {
            return self.free_later(id);
        }
        if let Some(Extras { reply: Some(reply), .. }) = self.slab.extras(id) {
            self.replies.remove(reply);
        }
        self.slab.free(id);
    }
}
