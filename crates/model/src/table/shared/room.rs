//! Early drop in a table that several settings share: a walk of the same chains for all of them.

use core::ops::Range;

use plimsoll_ct::Class;

use crate::plain::Way;
use crate::table::index::At;
use crate::table::line::Slots;
use crate::table::{EntryId, Probe, Seats, Spot, Table};
use crate::ticks::Jiffies;

/// Asked for room: at this moment, in these settings, and told of what goes.
struct Request<F> {
    now: Jiffies,
    wanted: Seats,
    goes: F,
}

impl Table {
    /// From so many chains, from the one on in which a packet looks for room, takes for each of some settings all that is not
    /// assured of the first that holds any there, and from the chains up to it what has expired: the settings in which somebody was taken that
    /// had not expired. `goes` is told of each entry's class, in which settings it had expired, and in which it had not. `most`: by then an
    /// entry that is assured may expire without being [put in](Table::insert_shared) or [stored](Table::store_shared) again.
    pub(crate) fn evict_shared(
        &mut self,
        probe: &Probe,
        number: usize,
        (now, most): (Jiffies, Jiffies),
        full: Seats,
        goes: impl FnMut(Class, Seats, Seats),
    ) -> Seats {
        let around = self.index.groups(self.chain_for_room(probe), number);
        let wanted = full.without(self.settled(around.clone(), now));
        if wanted.is_empty() {
            return Seats::NONE;
        }
        for (first, _) in around.clone() {
            self.index.prefetch_line(first);
            self.index.prefetch_asides(first);
        }
        let mut request = Request { now, wanted, goes };
        for (first, chains) in around.clone() {
            self.clear(first, chains, &mut request);
            if request.wanted.is_empty() {
                return wanted;
            }
        }
        for (first, _) in around {
            self.settle_shared(first, now, request.wanted, most);
        }
        wanted.without(request.wanted)
    }

    /// The settings in which it is known of some lines that nobody would go from them.
    #[inline(always)]
    fn settled(&self, around: impl Iterator<Item = (At, Range<usize>)>, now: Jiffies) -> Seats {
        let lines = around.map(|(first, _)| self.index.beginning(first));
        self.versions.as_ref().map_or(Seats::NONE, |versions| versions.settled.of_all(lines, now))
    }

    /// Takes what goes from some chains, which begin in one line; nobody wants any more where somebody was taken that had not
    /// expired.
    #[inline(always)]
    fn clear(
        &mut self,
        first: At,
        chains: Range<usize>,
        request: &mut Request<impl FnMut(Class, Seats, Seats)>,
    ) {
        let behind = self.index.next(first);
        let mut could = self.could_go(first, request);
        if could.is_empty() && behind.is_none() {
            return;
        }
        let mut gone = false;
        for chain in chains {
            let place = self.index.place_of_chain(chain);
            let mut found = Seats::NONE;
            let here = self.index.of_chain(first, place).and(could);
            if !here.is_empty() {
                found = self.take_shared(first, here, request, &mut gone);
            }
            let mut line = behind;
            while let Some(at) = line {
                let here = self.index.of_chain(at, place).and(self.could_go(at, request));
                if !here.is_empty() {
                    found = found.or(self.take_shared(at, here, request, &mut gone));
                }
                line = self.index.next(at);
            }
            request.wanted = request.wanted.without(found);
            if request.wanted.is_empty() {
                break;
            }
            if !here.is_empty() {
                could = self.could_go(first, request);
            }
        }
        if gone {
            self.index.tidy(first);
        }
    }

    /// Entries of a line that could go from a setting that wants it.
    #[inline(always)]
    fn could_go<F>(&self, at: At, request: &Request<F>) -> Slots {
        let asides = self.index.asides(at);
        asides.map_or(Slots::from_bits(0), |asides| asides.could_go(request.now, request.wanted))
    }

    /// Takes some entries of a line that could go: the settings in which one of them went that had not expired. `gone`: one stands in
    /// none now.
    #[inline(always)]
    fn take_shared(
        &mut self,
        at: At,
        mut slots: Slots,
        request: &mut Request<impl FnMut(Class, Seats, Seats)>,
        gone: &mut bool,
    ) -> Seats {
        let mut found = Seats::NONE;
        while let Some(slot) = slots.newest() {
            let (Some(versions), Some(asides)) = (&self.versions, self.index.asides(at)) else {
                break;
            };
            let (id, aside) = (EntryId(self.index.id(at, slot)), asides.get(slot));
            let class = versions.class(id, aside.row);
            let seats = aside.seats.and(request.wanted);
            let is_over = aside.soonest.left(request.now) <= 0;
            let expired = if is_over {
                versions.expired(id, &aside, seats, request.now)
            } else {
                Seats::NONE
            };
            let leaving = if class == Class::Evictable { seats } else { expired };
            if leaving.is_empty() {
                continue;
            }
            let victims = leaving.without(expired);
            (request.goes)(class, expired, victims);
            found = found.or(victims);
            *gone |= self.leave(at, slot, leaving);
        }
        found
    }

    /// Notes in which of some settings nobody would go from a line and those behind it.
    fn settle_shared(&mut self, first: At, now: Jiffies, seats: Seats, most: Jiffies) {
        let (Some(versions), line) = (&self.versions, self.index.beginning(first)) else { return };
        let mut seats = seats.without(versions.settled.of(line, now));
        let (mut until, mut behind) = (most, Some(first));
        while let (Some(at), false) = (behind, seats.is_empty()) {
            let Some(asides) = self.index.asides(at) else { return };
            let mut could = asides.could_go(now, seats);
            until = asides.soonest(now, seats, could, until);
            while let Some(slot) = could.newest() {
                let (id, aside) = (EntryId(self.index.id(at, slot)), asides.get(slot));
                let own = aside.seats.and(seats);
                let goes = if aside.row.is_evictable() {
                    own
                } else {
                    versions.expired(id, &aside, own, now)
                };
                let stays = own.without(goes);
                if !stays.is_empty() {
                    until = until.earlier(versions.soonest(id, &aside, stays));
                }
                seats = seats.without(goes);
            }
            behind = self.index.next(at);
        }
        if let Some(versions) = &mut self.versions
            && !seats.is_empty()
        {
            versions.settled.add(line, now, seats, until);
        }
    }

    /// An entry comes to the chain of `probe`, or one of it expires sooner than it did.
    #[inline(always)]
    pub(super) fn unsettle(&mut self, probe: &Probe, seats: Seats) {
        let line = self.index.beginning(self.index.first(probe.place));
        if let Some(versions) = &mut self.versions {
            versions.settled.remove(line, seats);
        }
    }

    /// Asks for what early drop will look at, for a packet that may find no entry in settings whose table is full.
    #[inline(always)]
    pub(crate) fn reach_room(&self, spot: &Spot, number: usize, full: Seats) {
        let Some(versions) = &self.versions else { return };
        let first = self.index.first(spot.place);
        let mut slots = self.index.like(first, spot.place);
        let mut absent = full;
        while let (Some(slot), Some(asides)) = (slots.newest(), self.index.asides(first)) {
            absent = absent.without(asides.seats(slot));
        }
        if spot.way == Way::Nowhere || absent.is_empty() {
            return;
        }
        // Where there are more, what is known of them often suffices.
        const MOSTLY: usize = 2;
        let around = self.index.groups(self.chain_for_room(&spot.probe(None)), number);
        for (first, _) in around.take(MOSTLY) {
            versions.settled.prefetch(self.index.beginning(first));
            self.index.prefetch_line(first);
            self.index.prefetch_asides(first);
        }
    }
}
