//! The table: entries in a slab, one node each in a chain of a virtual bucket.
//!
//! The kernel puts each entry into two of its `buckets` chains, one for each tuple. Both directions share
//! one hash here, so an entry has one node in one of `buckets / 2` chains: chains are as long as the
//! kernel's, and a packet meets as many other entries on its way, with half the memory. What a walk does
//! (reap the expired, find a victim) happens with the kernel's frequency; which entry it meets can't be
//! foretold there either, since the kernel's hash is keyed with a secret.
//!
//! Entries whose answers have another tuple (NAT, from a dump) are found by that in a side index.
//!
//! Kernel: `____nf_conntrack_find()`, `__nf_conntrack_hash_insert()`, nf_conntrack_core.c.

mod cell;
mod index;
mod prefetch;
mod slab;
#[cfg(test)]
mod tests;
mod versions;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use plimsoll_ct::Status;
use plimsoll_wire::packet::Acknowledgement;

use crate::entry::Slot;
use crate::helper::Helper;
use crate::key::{Key, Packed, Wide, mix};
use crate::plain::{Usual, Way};
use crate::step::Info;
use crate::tcp::{Direction, Tcp};
use crate::ticks::Jiffies;

use index::{At, Index, Place};
pub use slab::EntryId;
use slab::Slab;
pub(crate) use slab::{Extras, Vitals};
use versions::Versions;
pub(crate) use versions::{Expiries, SEATS, Seats};

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
    /// The entry that is probably the packet's own.
    likely: EntryId,
    pub(crate) way: Way,
}

impl Spot {
    /// Of a packet that has none.
    pub(crate) const fn without(way: Way) -> Self {
        Self { key: Packed::NOTHING, place: Place::NOWHERE, likely: EntryId::NONE, way }
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
    /// The class of a packet of an entry that has seen answers.
    #[inline(always)]
    pub(crate) const fn info(&self) -> Info {
        match self.direction {
            Direction::Original => Info::Established,
            Direction::Reply => Info::EstablishedReply,
        }
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
    pub(crate) vitals: Vitals,
    id: EntryId,
    table: &'a Table,
}

impl Leaving<'_> {
    /// Whether a helper has to know of its end.
    pub(crate) fn concerns_helpers(&self) -> bool {
        self.table.slab.extras(self.id).is_some_and(Extras::concerns_helpers)
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
        }
    }

    /// Entries: of the setting whose table it is, if it is one's.
    pub(crate) const fn len(&self) -> usize {
        match self.view {
            Some(View { count, .. }) => count,
            None => self.count,
        }
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
        Spot { key, place: self.index.place(hash), likely: EntryId::NONE, way }
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
        if !probe.key.packed().looks_like_an_answer() {
            return chain;
        }
        let elsewhere = u128::from(mix(chain as u64 ^ self.hash_key));
        ((elsewhere * self.chains() as u128) >> 64) as usize
    }

    /// First stage of a lookup: asks for the line of the index.
    #[inline]
    pub(crate) fn approach(&self, spot: &Spot) {
        self.index.prefetch(spot.place);
    }

    /// Second stage: asks for the entries that the lookup will look at.
    #[inline(always)]
    pub(crate) fn reach(&self, spot: &mut Spot, now: Jiffies) {
        let Some(mut slots) = self.index.fresh(spot.place, now) else {
            return self.reach_all(spot);
        };
        if let Some(slot) = slots.newest() {
            spot.likely = EntryId(self.index.first_id(spot.place, slot));
            self.slab.prefetch(spot.likely);
            while let Some(slot) = slots.newest() {
                self.slab.prefetch(EntryId(self.index.first_id(spot.place, slot)));
            }
        }
    }

    #[inline(never)]
    fn reach_all(&self, spot: &mut Spot) {
        let at = self.index.first(spot.place);
        if let Some(slot) = self.index.like(at, spot.place).newest() {
            spot.likely = EntryId(self.index.id(at, slot));
        }
        let mut slots = self.index.of_chain(at, spot.place);
        while let Some(slot) = slots.newest() {
            self.slab.prefetch(EntryId(self.index.id(at, slot)));
        }
    }

    /// Whether a lookup meets nothing that has expired, as far as the first line goes.
    #[inline(always)]
    fn is_clear(&self, place: Place, now: Jiffies) -> bool {
        self.index.is_fresh(place, now) || self.chain_lives(place, now)
    }

    #[inline(never)]
    fn chain_lives(&self, place: Place, now: Jiffies) -> bool {
        let at = self.index.first(place);
        let mut slots = self.index.of_chain(at, place);
        while let Some(slot) = slots.newest() {
            if self.slab.head(EntryId(self.index.id(at, slot))).is_expired(now) {
                return false;
            }
        }
        true
    }

    /// What a walk must look at: all of the chain where one may have expired, else those alike.
    #[inline]
    fn slots(&self, at: At, place: Place, now: Jiffies) -> index::Slots {
        if self.index.may_expire(at, now) {
            self.index.of_chain(at, place)
        } else {
            self.index.like(at, place)
        }
    }

    /// Looks an entry up where nothing stands in the way that may have expired.
    #[inline]
    pub(crate) fn glance(&self, probe: &Probe, now: Jiffies) -> Glance {
        if self.view.is_some() {
            return Glance::Unclear;
        }
        let at = self.index.first(probe.place);
        let back = probe.key.packed().inverse();
        let Some(mut slots) = self.index.fresh(probe.place, now) else { return Glance::Unclear };
        while let Some(slot) = slots.newest() {
            let id = EntryId(self.index.first_id(probe.place, slot));
            if let Some(direction) = self.answers_to(id, probe, back) {
                return Glance::Found(Found { id, direction, at });
            }
        }
        if self.index.next(at).is_none() && self.replies.is_empty() {
            Glance::Absent
        } else {
            Glance::Unclear
        }
    }

    /// The same for TCP and UDP over IPv4, an entry that is translated being left out.
    #[inline(always)]
    pub(crate) fn own(&self, spot: &Spot, now: Jiffies) -> Option<Found> {
        if !self.is_clear(spot.place, now) {
            return None;
        }
        match self.names(spot.likely, spot) {
            // Packets of the same batch may have moved it since it was looked at.
            Some(direction) if self.index.is_in_first(spot.place, spot.likely.0) => {
                Some(Found { id: spot.likely, direction, at: self.index.first(spot.place) })
            }
            Some(_) | None => self.look_around(spot),
        }
    }

    /// The direction in which an entry of the kind sought has the tuple of the spot.
    #[inline(always)]
    fn names(&self, id: EntryId, spot: &Spot) -> Option<Direction> {
        let head = match spot.way {
            Way::Udp => self.slab.narrow_short(id)?,
            _ => self.slab.narrow(id)?,
        };
        head.answers_to(spot.key)
    }

    #[inline(never)]
    fn look_around(&self, spot: &Spot) -> Option<Found> {
        let at = self.index.first(spot.place);
        let mut slots = self.index.like(at, spot.place);
        while let Some(slot) = slots.newest() {
            let id = EntryId(self.index.id(at, slot));
            if let Some(direction) = self.names(id, spot) {
                return Some(Found { id, direction, at });
            }
        }
        None
    }

    /// The direction in which an entry has the tuple of the probe, whose answers have `back`.
    #[inline(always)]
    fn answers_to(&self, id: EntryId, probe: &Probe, back: Option<Packed>) -> Option<Direction> {
        let head = self.slab.head(id);
        let key = head.key();
        let (reply, original) = (back == Some(key), key == probe.key.packed());
        if !(reply || original) {
            return None;
        }
        if probe.key.wide().is_none() && !id.is_wide() && !head.has_extras() {
            // A packet from an address to itself is found by its reply tuple, which stands first.
            return Some(if reply { Direction::Reply } else { Direction::Original });
        }
        if reply && self.has_addresses(id, probe, Direction::Reply) && !self.is_translated(id) {
            return Some(Direction::Reply);
        }
        (original && self.has_addresses(id, probe, Direction::Original))
            .then_some(Direction::Original)
    }

    /// Looks an unexpired entry up; `reaped` is told of each expired one met on the way, and removed.
    pub(crate) fn find(
        &mut self,
        probe: &Probe,
        now: Jiffies,
        mut reaped: impl FnMut(&Leaving<'_>),
    ) -> Option<Found> {
        let mut at = self.index.first(probe.place);
        let back = probe.key.packed().inverse();
        let mut gone = false;
        let found = loop {
            let mut slots = self.slots(at, probe.place, now);
            let found = loop {
                let Some(slot) = slots.newest() else { break None };
                let id = EntryId(self.index.id(at, slot));
                if !self.shows(id) {
                    continue;
                }
                if self.slab.head(id).is_expired(now) && self.vitals(id).is_expired(now) {
                    reaped(&self.leaving(id));
                    self.dismiss(at, slot, id);
                    gone = true;
                    continue;
                }
                if let Some(direction) = self.answers_to(id, probe, back) {
                    break Some(Found { id, direction, at });
                }
            };
            if found.is_some() {
                break found;
            }
            match self.index.next(at) {
                Some(next) => at = next,
                None => break None,
            }
        };
        if gone {
            let first = self.index.first(probe.place);
            self.index.tidy(first);
        }
        if found.is_some() || self.replies.is_empty() {
            return found;
        }
        self.find_translated(&probe.key, now, reaped)
    }

    /// Whether an entry has the addresses of the probe, seen from this direction, its digest being the same.
    #[inline]
    fn has_addresses(&self, id: EntryId, probe: &Probe, direction: Direction) -> bool {
        match (probe.key.wide(), direction) {
            (None, _) => self.slab.has_addresses(id, None),
            (wide @ Some(_), Direction::Original) => self.slab.has_addresses(id, wide),
            (Some(&[source, destination]), Direction::Reply) => {
                self.slab.has_addresses(id, Some(&[destination, source]))
            }
        }
    }

    #[inline]
    fn is_translated(&self, id: EntryId) -> bool {
        self.slab.extras(id).is_some_and(|extras| extras.reply.is_some())
    }

    #[cold]
    fn find_translated(
        &mut self,
        key: &Key,
        now: Jiffies,
        mut reaped: impl FnMut(&Leaving<'_>),
    ) -> Option<Found> {
        let id = *self.replies.get(key)?;
        if self.slab.vitals(id).is_expired(now) {
            reaped(&self.leaving(id));
            self.remove(id);
            return None;
        }
        let place = self.index.place(self.slab.key(id).hash(self.hash_key));
        let (at, _) = self.index.locate(place, id.0)?;
        Some(Found { id, direction: Direction::Reply, at })
    }

    /// The unexpired entry that has a key, without changing anything.
    pub(crate) fn peek(&self, key: Key, now: Jiffies) -> Option<EntryId> {
        let probe = self.probe(key);
        let back = key.packed().inverse();
        let lives = |id: &EntryId| !self.vitals(*id).is_expired(now);
        self.walk(self.chain(&probe))
            .filter(lives)
            .find(|&id| self.answers_to(id, &probe, back).is_some())
            .or_else(|| self.replies.get(&key).copied().filter(lives))
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
        let slot = self.slab.get(id).filter(|_| self.shows(id))?;
        let expires = self.vitals(id).expires;
        Some(self.whole_as(id, &Slot { expires, ..slot }))
    }

    /// An entry that is there, with another memory.
    pub(crate) fn whole_as(&self, id: EntryId, slot: &Slot) -> Whole {
        let (key, created) = (self.slab.key(id), self.slab.created(id));
        let (helper, master) =
            self.slab.extras(id).map_or((None, None), |extras| (extras.helper, extras.master));
        Whole { id, slot: *slot, key, created, reply: self.reply(id), helper, master }
    }

    fn leaving(&self, id: EntryId) -> Leaving<'_> {
        Leaving { id, vitals: self.vitals(id), table: self }
    }

    /// Whether an entry is one of the setting whose table it is.
    #[inline]
    fn shows(&self, id: EntryId) -> bool {
        let Some((View { seat, .. }, versions)) = self.view.zip(self.versions.as_ref()) else {
            return true;
        };
        versions.seats(id).contains(seat)
    }

    /// An entry goes, from the setting whose table it is, if it is one's: whether it stands in none now.
    fn dismiss(&mut self, at: At, slot: usize, id: EntryId) -> bool {
        if self.leaves_others(id) {
            return false;
        }
        self.index.take(at, slot);
        self.drop_entry(id);
        true
    }

    /// Takes an entry from the setting whose table it is, if it is one's: whether it stands in others still.
    fn leaves_others(&mut self, id: EntryId) -> bool {
        let Some(View { seat, count }) = &mut self.view else { return false };
        *count -= 1;
        let gone = Seats::one(*seat);
        !self.leave(id, gone).is_empty()
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

    /// Does to a TCP entry over IPv4 what a segment does that only acknowledges. `None`: it is not that simple, and
    /// nothing has changed.
    #[inline(always)]
    pub(crate) fn acknowledge(
        &mut self,
        spot: &Spot,
        segment: &Acknowledgement,
        usual: &Usual,
        now: Jiffies,
    ) -> Option<Found> {
        if !self.is_clear(spot.place, now) {
            return None;
        }
        let at = self.index.first(spot.place);
        // Packets of the same batch may have moved it since it was looked at.
        let is_first = self.index.is_in_first(spot.place, spot.likely.0);
        let cell = self.slab.narrow_mut(spot.likely).filter(|_| is_first);
        let direction = cell.as_ref().and_then(|cell| cell.head.answers_to(spot.key));
        let (Some(cell), Some(direction)) = (cell, direction) else {
            let found = self.look_around(spot)?;
            return self.acknowledged(&found, segment, usual, now).then_some(found);
        };
        let ticks = cell.acknowledge(direction, segment, usual)?;
        let expires = usual.refreshed(cell.head.expires, now, ticks);
        cell.head.expires = expires;
        self.index.lower_first(spot.place, expires);
        Some(Found { id: spot.likely, direction, at })
    }

    /// The same to the entry that was found.
    #[inline(never)]
    pub(crate) fn acknowledged(
        &mut self,
        found: &Found,
        segment: &Acknowledgement,
        usual: &Usual,
        now: Jiffies,
    ) -> bool {
        let Some(cell) = self.slab.long_mut(found.id) else { return false };
        let Some(ticks) = cell.acknowledge(found.direction, segment, usual) else { return false };
        let expires = usual.refreshed(cell.head.expires, now, ticks);
        cell.head.expires = expires;
        self.index.lower(found.at, expires);
        true
    }

    /// What [`Table::own`] finds, and whether there is nothing else to be found.
    #[inline(always)]
    pub(crate) fn sight(&self, spot: &Spot, now: Jiffies) -> Glance {
        if !self.is_clear(spot.place, now) {
            return Glance::Unclear;
        }
        let at = self.index.first(spot.place);
        if let Some(direction) = self.names(spot.likely, spot)
            && self.index.is_in_first(spot.place, spot.likely.0)
        {
            return Glance::Found(Found { id: spot.likely, direction, at });
        }
        let alike = !self.index.like(at, spot.place).is_empty();
        if alike && let Some(found) = self.look_around(spot) {
            return Glance::Found(found);
        }
        if alike || self.index.next(at).is_some() || !self.replies.is_empty() {
            Glance::Unclear
        } else {
            Glance::Absent
        }
    }

    /// Status, expiry and memory of a TCP entry over IPv4 that was found.
    #[inline(always)]
    pub(crate) fn tcp(&self, found: &Found) -> Option<(Status, Jiffies, Tcp)> {
        self.slab.tcp(found.id)
    }

    /// Changes a TCP entry over IPv4 that was found.
    #[inline(always)]
    pub(crate) fn put_tcp(&mut self, found: &Found, status: Status, expires: Jiffies, tcp: &Tcp) {
        self.slab.put_tcp(found.id, status, expires, tcp);
        self.index.lower(found.at, expires);
    }

    /// Puts a TCP entry over IPv4 in that has no extras.
    #[inline(always)]
    pub(crate) fn insert_tcp(
        &mut self,
        spot: &Spot,
        status: Status,
        expires: Jiffies,
        tcp: &Tcp,
        now: Jiffies,
    ) -> EntryId {
        let id = self.slab.add_tcp(spot.key, status, expires, tcp, now);
        self.index.insert(spot.place, id.0, expires);
        self.count += 1;
        id
    }

    /// Puts a UDP entry over IPv4 in that has no extras.
    #[inline(always)]
    pub(crate) fn insert_udp(
        &mut self,
        spot: &Spot,
        status: Status,
        expires: Jiffies,
        stream: Jiffies,
        now: Jiffies,
    ) -> EntryId {
        let id = self.slab.add_udp(spot.key, status, expires, stream, now);
        self.index.insert(spot.place, id.0, expires);
        self.count += 1;
        id
    }

    /// Changes the status of a UDP entry over IPv4 that was found.
    #[inline(always)]
    pub(crate) fn set_status(&mut self, found: &Found, status: Status) {
        self.slab.head_mut(found.id).set_status(status);
    }

    /// Status, and moment from which it may be a stream, of a UDP entry that was found.
    #[inline(always)]
    pub(crate) fn udp(&self, found: &Found) -> Option<(Status, Jiffies)> {
        self.slab.udp(found.id)
    }

    /// Changes the expiry of a UDP entry that was found.
    #[inline(always)]
    pub(crate) fn extend(&mut self, found: &Found, change: impl FnOnce(Jiffies) -> Jiffies) {
        let expires = self.slab.extend(found.id, change);
        self.index.lower(found.at, expires);
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

    /// Status, state and expiry of an entry that is there.
    pub(crate) fn vitals(&self, id: EntryId) -> Vitals {
        let vitals = self.slab.vitals(id);
        match self.view {
            Some(View { seat, .. }) => {
                Vitals { expires: self.expiry(id, seat, vitals.expires), ..vitals }
            }
            None => vitals,
        }
    }

    /// When an entry expires in one of the settings.
    #[inline]
    fn expiry(&self, id: EntryId, seat: usize, of_head: Jiffies) -> Jiffies {
        let expiries = self.versions.as_ref().and_then(|versions| versions.expiries(id));
        expiries.map_or(of_head, |Expiries(all)| all[seat])
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
        if self.leaves_others(id) {
            return vitals;
        }
        let place = self.index.place(self.slab.key(id).hash(self.hash_key));
        let was_there = self.index.remove(place, id.0);
        debug_assert!(was_there, "an entry that is in no chain");
        self.drop_entry(id);
        vitals
    }

    fn drop_entry(&mut self, id: EntryId) {
        if let Some(Extras { reply: Some(reply), .. }) = self.slab.extras(id) {
            self.replies.remove(reply);
        }
        self.slab.free(id);
        self.count -= 1;
    }

    /// Entries of one chain, newest first.
    pub(crate) fn walk(&self, chain: usize) -> impl Iterator<Item = EntryId> + '_ {
        let place = self.index.place_of_chain(chain);
        let mut at = self.index.first(place);
        let mut slots = self.index.of_chain(at, place);
        core::iter::from_fn(move || {
            loop {
                if let Some(slot) = slots.newest() {
                    let id = EntryId(self.index.id(at, slot));
                    if self.shows(id) {
                        return Some(id);
                    }
                    continue;
                }
                at = self.index.next(at)?;
                slots = self.index.of_chain(at, place);
            }
        })
    }

    /// Whether a walk of a chain would find none that has expired or is not assured, as far as that is known.
    pub(crate) fn is_settled(&self, chain: usize, now: Jiffies) -> bool {
        match self.view {
            Some(View { seat, .. }) => self.settled_in(chain, now).contains(seat),
            None => self.index.is_settled(self.index.place_of_chain(chain), now),
        }
    }

    /// All entries of a chain are assured: none ceases to be.
    pub(crate) fn settle(&mut self, chain: usize) {
        match (self.view, &mut self.versions) {
            (Some(View { seat, .. }), Some(versions)) => versions.settle(chain, Seats::one(seat)),
            (_, _) => self.index.settle(self.index.place_of_chain(chain)),
        }
    }

    /// Asks for the entries of a chain, which is about to be walked.
    pub(crate) fn approach_chain(&self, chain: usize) {
        self.walk(chain).for_each(|id| self.slab.prefetch(id));
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

    /// All entries, in the order of their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = EntryId> + '_ {
        self.slab.iter().filter(|&id| self.shows(id))
    }

    /// Shows the vitals of all entries.
    pub(crate) fn census(&self, mut see: impl FnMut(&Vitals)) {
        match self.view {
            Some(View { seat, .. }) => self.census_of(seat, see),
            None => self.slab.census(&mut see),
        }
    }

    /// Shows every entry of some chains, chain after chain, and removes those that `goes` says yes to. With
    /// `due`, places where nothing has expired by then are left out. `goes` learns how many entries there are.
    /// Returns a time before which none of those that stay expires.
    pub(crate) fn sweep(
        &mut self,
        chains: Range<usize>,
        due: Option<Jiffies>,
        mut goes: impl FnMut(&Leaving<'_>, usize) -> bool,
    ) -> Option<Jiffies> {
        let mut bound = Soonest(None);
        let mut from = chains.start;
        while from < chains.end {
            let first = self.index.first(self.index.place_of_chain(from));
            let all = self.index.chains_of(first);
            let some = from..all.end.min(chains.end);
            from = some.end;
            if due.is_none() && some == all {
                self.prefetch_behind(first);
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

    /// Asks for the entries of a line that a sweep is about to reach.
    fn prefetch_behind(&self, first: At) {
        const AHEAD: usize = 4;
        let Some(ahead) = self.index.further(first, AHEAD) else { return };
        let mut slots = self.index.all(ahead);
        while let Some(slot) = slots.newest() {
            self.slab.prefetch(EntryId(self.index.id(ahead, slot)));
        }
    }

    fn sweep_line(
        &mut self,
        first: At,
        chains: Range<usize>,
        due: Option<Jiffies>,
        goes: &mut impl FnMut(&Leaving<'_>, usize) -> bool,
    ) -> Option<Jiffies> {
        let mut soonest = Soonest(None);
        let mut gone = false;
        let is_due = |index: &Index, at| due.is_none_or(|due| index.may_expire(at, due));
        for chain in chains {
            let place = self.index.place_of_chain(chain);
            let mut next = Some(first);
            while let Some(at) = next {
                next = self.index.next(at);
                let mut slots = self.index.of_chain(at, place);
                if !slots.is_empty() && !is_due(&self.index, at) {
                    soonest.or(self.index.bound(at));
                    continue;
                }
                while let Some(slot) = slots.newest() {
                    let id = EntryId(self.index.id(at, slot));
                    let leaving = self.leaving(id);
                    if self.shows(id) && goes(&leaving, self.len()) {
                        gone = true;
                        if self.dismiss(at, slot, id) {
                            continue;
                        }
                    }
                    soonest.or(self.slab.head(id).expires);
                }
            }
        }
        if gone {
            self.index.tidy(first);
        }
        soonest.0
    }
}

/// What a table does that several settings share.
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
    fn leave(&mut self, id: EntryId, gone: Seats) -> Seats {
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

/// The earliest of some times.
struct Soonest(Option<Jiffies>);

impl Soonest {
    fn or(&mut self, time: Jiffies) {
        self.0 = Some(self.0.map_or(time, |soonest| soonest.earlier(time)));
    }
}
