//! What the short and the middle ways of packets ask of the table: entries in place, on their packed words.

use plimsoll_ct::Status;
use plimsoll_wire::packet::{Acknowledgement, Opening};

use super::cell::Long;
use super::{EntryId, Found, Glance, Spot, Table};
use crate::plain::Usual;
use crate::tcp::{Direction, First, Tcp};
use crate::ticks::Jiffies;

impl Table {
    /// Does to the TCP entry over IPv4 that was foreseen what a segment does that only acknowledges. `None`: it is not
    /// that simple, and nothing has changed.
    #[inline(always)]
    pub(crate) fn acknowledge(
        &mut self,
        spot: &Spot,
        segment: &Acknowledgement,
        usual: &Usual,
        now: Jiffies,
    ) -> Option<Direction> {
        let Spot { key, place, likely, slot, .. } = *spot;
        let line = self.index.first_line_mut(place);
        // Packets of the same batch may have moved it since it was looked at.
        if !line.is_fresh(now) || !line.has(slot, likely.0) {
            return None;
        }
        let cell = self.slab.narrow_mut(likely)?;
        let direction = cell.head.answers_plainly_to(key)?;
        let ticks = cell.acknowledge_plain(direction, segment, usual)?;
        let expires = usual.refreshed(cell.head.expires, now, ticks);
        cell.head.expires = expires;
        if line.lower(expires) {
            self.index.lowered(self.index.first(place));
        }
        Some(direction)
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
        self.refreshed(found, usual, now, |cell| cell.acknowledge(found.direction, segment, usual))
    }

    /// Does to the entry that was found what the acknowledgement does that completes a handshake: it is assured then.
    #[inline(always)]
    pub(crate) fn completed(
        &mut self,
        found: &Found,
        segment: &Acknowledgement,
        usual: &Usual,
        now: Jiffies,
    ) -> bool {
        self.refreshed(found, usual, now, |cell| cell.complete(found.direction, segment, usual))
    }

    /// Does to the entry that was found what the answer does to the SYN that opened it. `false`: they are not that simple, and
    /// nothing has changed.
    #[inline(always)]
    pub(crate) fn answer(
        &mut self,
        found: &Found,
        answer: &Opening,
        usual: &Usual,
        now: Jiffies,
    ) -> bool {
        let Some(cell) = self.slab.narrow_mut(found.id) else { return false };
        if !cell.answer(answer) {
            return false;
        }
        let expires = usual.refreshed(cell.head.expires, now, usual.answered);
        cell.head.expires = expires;
        self.index.lower(found.at, expires);
        true
    }

    /// Refreshes an entry with a body by what is done to it. `false`: nothing is.
    #[inline(always)]
    fn refreshed(
        &mut self,
        found: &Found,
        usual: &Usual,
        now: Jiffies,
        act: impl FnOnce(&mut Long) -> Option<u32>,
    ) -> bool {
        let Some(cell) = self.slab.long_mut(found.id) else { return false };
        let Some(ticks) = act(cell) else { return false };
        let expires = usual.refreshed(cell.head.expires, now, ticks);
        cell.head.expires = expires;
        self.index.lower(found.at, expires);
        true
    }

    /// What [`Table::own`] finds, and whether there is nothing else to be found.
    #[inline(always)]
    pub(crate) fn sight(&mut self, spot: &Spot, now: Jiffies) -> Glance {
        if !self.is_clear(spot.place, now) {
            return Glance::Unclear;
        }
        let at = self.index.first(spot.place);
        if let Some(found) = self.foreseen(spot) {
            return Glance::Found(found);
        }
        let alike = !self.index.like(at, spot.place).is_empty();
        let more = self.index.next(at).is_some();
        if (alike || more)
            && let Some(found) = self.look_around(spot, now)
        {
            return Glance::Found(found);
        }
        if alike || more || !self.replies.is_empty() { Glance::Unclear } else { Glance::Absent }
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

    /// Puts the TCP entry over IPv4 in that begins so, without extras.
    #[inline(always)]
    pub(crate) fn insert_tcp(
        &mut self,
        spot: &Spot,
        status: Status,
        expires: Jiffies,
        first: &First,
        now: Jiffies,
    ) -> EntryId {
        let id = self.slab.add_cell(Long::first(spot.key, status, expires, first), now);
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

    /// Status of an entry that was found.
    #[inline(always)]
    pub(crate) fn status(&self, found: &Found) -> Status {
        self.slab.head(found.id).status()
    }

    /// Changes the status of an entry that was found.
    #[inline(always)]
    pub(crate) fn set_status(&mut self, found: &Found, status: Status) {
        self.slab.head_mut(found.id).set_status(status);
    }

    /// Status, and moment from which it may be a stream, of a UDP entry that was found.
    #[inline(always)]
    pub(crate) fn udp(&self, found: &Found) -> Option<(Status, Jiffies)> {
        self.slab.udp(found.id)
    }

    /// Changes the expiry of an entry over IPv4 that was found and has no body.
    #[inline(always)]
    pub(crate) fn extend(&mut self, found: &Found, change: impl FnOnce(Jiffies) -> Jiffies) {
        let expires = self.slab.extend(found.id, change);
        self.index.lower(found.at, expires);
    }
}
