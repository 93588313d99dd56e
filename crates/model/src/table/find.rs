//! Looking an entry up.

use alloc::vec::Vec;

use plimsoll_ct::Zone;

use super::chains::Soonest;
use super::index::{At, Place};
use super::line::Slots;
use super::{EntryId, Found, Glance, Leaving, Probe, Spot, Table};
use crate::key::{Key, Packed};
use crate::plain::Way;
use crate::tcp::Direction;
use crate::ticks::Jiffies;

impl Table {
    /// First stage of a lookup: asks for the line of the index.
    #[inline]
    pub(crate) fn approach(&self, spot: &Spot) {
        self.index.prefetch(spot.place);
    }

    /// Second stage: asks for the entries that the lookup will look at. `true`: for the next line, since the first one has
    /// none.
    #[inline(always)]
    pub(crate) fn reach(&self, spot: &mut Spot, now: Jiffies) -> bool {
        let line = self.index.first_line(spot.place);
        if !line.is_fresh(now) {
            self.reach_all(spot, now);
            return false;
        }
        let slots = line.same(spot.place.tag);
        let Some((slot, id)) = slots.only().and_then(|slot| Some((slot, line.id(slot)?))) else {
            return self.reach_some(spot, slots);
        };
        (spot.likely, spot.slot) = (EntryId(id), slot as u8);
        self.slab.prefetch(spot.likely);
        false
    }

    /// Third stage, of the few whose line was the next one: asks for the entries there.
    #[inline(never)]
    pub(crate) fn reach_beyond(&self, spot: &Spot) {
        let Some(next) = self.index.next(self.index.first(spot.place)) else { return };
        let mut slots = self.index.like(next, spot.place);
        while let Some(slot) = slots.newest() {
            self.slab.prefetch(EntryId(self.index.id(next, slot)));
        }
    }

    #[inline(never)]
    fn reach_some(&self, spot: &mut Spot, mut slots: Slots) -> bool {
        if slots.is_empty() {
            let next = self.index.next(self.index.first(spot.place));
            next.inspect(|&next| self.index.prefetch_line(next));
            return next.is_some();
        }
        let mut next = slots.newest();
        if let Some(slot) = next {
            let id = self.index.first_id(spot.place, slot);
            (spot.likely, spot.slot) = (EntryId(id), slot as u8);
        }
        while let Some(slot) = next {
            self.slab.prefetch(EntryId(self.index.first_id(spot.place, slot)));
            next = slots.newest();
        }
        false
    }

    #[inline(never)]
    fn reach_all(&self, spot: &mut Spot, now: Jiffies) {
        let at = self.index.first(spot.place);
        if let Some(slot) = self.index.like(at, spot.place).newest() {
            spot.likely = EntryId(self.index.id(at, slot));
            spot.slot = slot as u8;
        }
        let mut slots = self.to_look_at(at, spot.place, now);
        while let Some(slot) = slots.newest() {
            self.slab.prefetch(EntryId(self.index.id(at, slot)));
        }
    }

    /// What is looked at of a line in which something may have expired: all that stands in it, so that it is known anew before
    /// when nothing will; or its chain alone, where packets come so seldom that nobody would profit, or nothing came of it.
    #[inline]
    fn to_look_at(&self, at: At, place: Place, now: Jiffies) -> Slots {
        /// In ticks: some seconds.
        const RECENTLY: u32 = 1 << 11;
        if self.index.may_expire_since(at, now) < RECENTLY {
            self.index.all(at)
        } else {
            self.index.of_chain(at, place)
        }
    }

    /// Whether a lookup meets nothing that has expired, as far as the first line goes.
    #[inline(always)]
    pub(super) fn is_clear(&mut self, place: Place, now: Jiffies) -> bool {
        self.index.is_fresh(place, now) || self.look_anew(place, now)
    }

    /// The same, by what stands in the line; when nothing in it has expired, it is known anew before when nothing will.
    #[inline(never)]
    fn look_anew(&mut self, place: Place, now: Jiffies) -> bool {
        let at = self.index.first(place);
        let (chain, mut slots) = (self.index.of_chain(at, place), self.to_look_at(at, place, now));
        let all = slots == self.index.all(at);
        let (mut soonest, mut all_live) = (Soonest::default(), true);
        while let Some(slot) = slots.newest() {
            let expires = self.slab.head(EntryId(self.index.id(at, slot))).expires;
            if expires.left(now) <= 0 {
                all_live = false;
                if chain.has(slot) {
                    return false;
                }
            }
            soonest.or(expires);
        }
        if all
            && all_live
            && let Some(soonest) = soonest.0
        {
            self.index.set_bound(at, soonest);
        }
        true
    }

    /// What a walk must look at: all of the chain where one may have expired, else those alike.
    #[inline]
    pub(super) fn slots(&self, at: At, place: Place, now: Jiffies) -> Slots {
        if !self.bounds || self.index.may_expire(at, now) {
            self.index.of_chain(at, place)
        } else {
            self.index.like(at, place)
        }
    }

    /// Looks an entry up where nothing stands in the way that may have expired.
    #[inline]
    pub(crate) fn glance(&self, probe: &Probe, now: Jiffies) -> Glance {
        if !self.bounds {
            return Glance::Unclear;
        }
        let at = self.index.first(probe.place);
        let back = probe.key.packed().inverse();
        let Some(mut slots) = self.index.fresh(probe.place, now) else { return Glance::Unclear };
        while let Some(slot) = slots.newest() {
            let id = EntryId(self.index.first_id(probe.place, slot));
            if let Some(direction) = self.answers_to(id, probe, back) {
                if self.is_outdone(id) {
                    return Glance::Unclear;
                }
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
    pub(crate) fn own(&mut self, spot: &Spot, now: Jiffies) -> Option<Found> {
        if !self.is_clear(spot.place, now) {
            return None;
        }
        match self.foreseen(spot) {
            Some(found) => Some(found),
            None => self.look_around(spot, now),
        }
    }

    /// The entry that was seen when memory was asked for. Packets of the same batch may have moved it since.
    #[inline(always)]
    pub(super) fn foreseen(&self, spot: &Spot) -> Option<Found> {
        let Spot { place, likely, slot, .. } = *spot;
        if !self.index.first_line(place).has(slot, likely.0) {
            return None;
        }
        let direction = self.names(likely, spot)?;
        Some(Found { id: likely, direction, at: self.index.first(place) })
    }

    /// The direction in which an entry of the kind sought has the tuple of the spot.
    #[inline(always)]
    pub(super) fn names(&self, id: EntryId, spot: &Spot) -> Option<Direction> {
        let head = match spot.way {
            Way::Udp => self.slab.narrow_short(id)?,
            _ => self.slab.narrow(id)?,
        };
        head.answers_to(spot.key)
    }

    /// The same among all that stand in the lines of the place, the first of which is clear; the others are looked at as
    /// far as nothing in them may have expired.
    #[inline(always)]
    pub(super) fn look_around(&self, spot: &Spot, now: Jiffies) -> Option<Found> {
        let (id, at) = self.search(spot, now);
        if id == EntryId::NONE {
            return None;
        }
        Some(Found { id, direction: self.names(id, spot)?, at })
    }

    /// Which one it is, and where. Two words, so that they come back in registers.
    #[inline(never)]
    fn search(&self, spot: &Spot, now: Jiffies) -> (EntryId, At) {
        let mut at = self.index.first(spot.place);
        loop {
            let mut slots = self.index.like(at, spot.place);
            while let Some(slot) = slots.newest() {
                let id = EntryId(self.index.id(at, slot));
                if self.names(id, spot).is_some() {
                    return (id, at);
                }
            }
            match self.index.next(at) {
                Some(next) if !self.index.may_expire(next, now) => at = next,
                _ => return (EntryId::NONE, at),
            }
        }
    }

    /// The direction in which an entry has the tuple of the probe, whose answers have `back`.
    #[inline(always)]
    pub(super) fn answers_to(
        &self,
        id: EntryId,
        probe: &Probe,
        back: Option<Packed>,
    ) -> Option<Direction> {
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

    /// Whether an entry has the tuple of the probe in this direction.
    fn answers_in(
        &self,
        direction: Direction,
        id: EntryId,
        probe: &Probe,
        back: Option<Packed>,
    ) -> bool {
        let key = self.slab.head(id).key();
        let same = match direction {
            Direction::Original => key == probe.key.packed(),
            Direction::Reply => back == Some(key) && !self.is_translated(id),
        };
        same && self.has_addresses(id, probe, direction)
    }

    /// Looks an unexpired entry up, in one direction only or in any; `reaped` is told of each expired one met on the
    /// way, and removed.
    pub(crate) fn find(
        &mut self,
        probe: &Probe,
        only: Option<Direction>,
        now: Jiffies,
        mut reaped: impl FnMut(&Leaving<'_>),
    ) -> Option<Found> {
        let mut at = self.index.first(probe.place);
        let back = probe.key.packed().inverse();
        let mut gone = false;
        let found = loop {
            let (alike, mut slots) =
                (self.index.like(at, probe.place), self.slots(at, probe.place, now));
            let found = loop {
                let Some(slot) = slots.newest() else { break None };
                let id = EntryId(self.index.id(at, slot));
                if !self.shows(at, slot) {
                    continue;
                }
                let leaving = self.leaving(id);
                if leaving.expires.left(now) <= 0 {
                    reaped(&leaving);
                    self.dismiss(at, slot, id);
                    gone = true;
                    continue;
                }
                if !alike.has(slot) {
                    continue;
                }
                let direction = match only {
                    None => self.answers_to(id, probe, back),
                    Some(only) => Some(only).filter(|&d| self.answers_in(d, id, probe, back)),
                };
                if let Some(direction) = direction {
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
        if self.replies.is_empty() || only == Some(Direction::Original) {
            return found;
        }
        match found {
            None => self.find_translated(&probe.key, now, reaped),
            Some(found) if self.is_outdone(found.id) => {
                let younger = self.find_translated(&probe.key, now, reaped);
                younger.or_else(|| {
                    // That one's end may have moved it.
                    let (at, _) = self.index.locate(probe.place, found.id.0)?;
                    Some(Found { at, ..found })
                })
            }
            found @ Some(_) => found,
        }
    }

    /// Whether a younger entry may claim its packets. The kernel's chains are walked from the youngest, so that one
    /// gets those that both claim.
    #[inline]
    fn is_outdone(&self, id: EntryId) -> bool {
        self.slab.extras(id).is_some_and(|extras| extras.outdone)
    }

    /// An entry in a zone of one direction is about to come, with answers of this key if they are in another zone: marks
    /// those that claim packets of it.
    #[cold]
    pub(super) fn outdo(&mut self, key: &Key, reply: Option<&Key>) {
        let asked = reply.into_iter().flat_map(|&key| self.having(key, Direction::Original));
        let claiming: Vec<_> = asked.chain(self.having(*key, Direction::Reply)).collect();
        claiming.into_iter().for_each(|id| self.slab.outdo(id));
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
        if self.vitals(id).is_expired(now) {
            reaped(&self.leaving(id));
            self.remove(id);
            return None;
        }
        let place = self.index.place(self.slab.key(id).hash(self.hash_key));
        let (at, _) = self.index.locate(place, id.0)?;
        Some(Found { id, direction: Direction::Reply, at })
    }

    /// The unexpired entry to which a packet belongs that has these keys in the zones of both directions, without changing
    /// anything. `scattered`: see [`Table::clashes`].
    pub(crate) fn owner(
        &self,
        original: Key,
        reply: Key,
        now: Jiffies,
        scattered: bool,
    ) -> Option<EntryId> {
        let asking = self.peek(original, Direction::Original, now);
        let answering = || self.peek(reply, Direction::Reply, now);
        match asking {
            Some(id) if !scattered => answering().map(|other| self.younger(id, other)).or(asking),
            Some(id) if original == reply && self.is_outdone(id) => answering().or(asking),
            asking => asking.or_else(answering),
        }
    }

    /// The unexpired entry that has a key in a direction, without changing anything.
    fn peek(&self, key: Key, direction: Direction, now: Jiffies) -> Option<EntryId> {
        let lives = |id: &EntryId| !self.vitals(*id).is_expired(now);
        let translated = || match direction {
            Direction::Original => None,
            Direction::Reply => self.replies.get(&key).copied(),
        };
        self.having(key, direction).find(lives).or_else(|| translated().filter(lives))
    }

    /// Entries that have a key in a direction, expired or not; none that is translated in that of the answers.
    fn having(&self, key: Key, direction: Direction) -> impl Iterator<Item = EntryId> + '_ {
        let probe = self.probe(key);
        let back = key.packed().inverse();
        let chain = self.walk(self.chain(&probe));
        chain.filter(move |&id| self.answers_in(direction, id, &probe, back))
    }

    /// The younger of two entries. Of one tick: the one with the higher number, since numbers are given in turn until one is free again.
    pub(crate) fn younger(&self, one: EntryId, other: EntryId) -> EntryId {
        let ahead = self.slab.created(one).left(self.slab.created(other));
        if (ahead, one.index()) > (0, other.index()) { one } else { other }
    }

    /// The entry, expired or not, that keeps a new one with answers of this key out of the table, either of the two being
    /// in a zone of one direction: one with the same answers; or one whose packets are the new one's answers. (Where neither
    /// is in such a zone, the new one's first packet would have met the other; or it would be translated, which no new
    /// one is.) `scattered`: chains are those of a tuple and a zone, so that one asks nobody whose zone is another than that
    /// of the answers.
    pub(crate) fn clashes(&self, reply: &Key, zone: Zone, scattered: bool) -> Option<EntryId> {
        let one_way = zone.is_one_way();
        if !one_way && self.replies.is_empty() {
            return None;
        }
        let apart = |id: &EntryId| self.extras(*id).is_some_and(|extras| extras.zone.is_some());
        let known = !scattered || zone.of_original() == zone.of_reply();
        let asking = known.then(|| {
            let back = reply.in_zone(zone.of_original());
            self.having(back, Direction::Original).next()
        });
        let answering = || {
            let same = self.having(*reply, Direction::Reply);
            self.replies.get(reply).copied().into_iter().chain(same).next()
        };
        let other = match asking.flatten() {
            Some(id) if !scattered => answering().map(|other| self.younger(id, other)).or(Some(id)),
            Some(id) if self.is_outdone(id) => answering().or(Some(id)),
            asking => asking.or_else(answering),
        };
        other.filter(|id| one_way || apart(id))
    }
}
