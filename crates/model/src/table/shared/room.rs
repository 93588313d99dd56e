//! Early drop in a table that several settings share: a walk of the same chains for all of them.

use core::ops::Range;

use plimsoll_ct::Class;

use crate::table::index::At;
use crate::table::line::Slots;
use crate::table::{EntryId, Probe, SEATS, Seats, Spot, Table};
use crate::ticks::Jiffies;

/// Lines with which what stands beside them is asked for ahead. Where there are more, what is known of them often suffices.
const REACHED: usize = 3;

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
        let chain = self.chain_for_room(probe);
        let wanted = full.without(self.settled(chain, number, now));
        if wanted.is_empty() {
            return Seats::NONE;
        }
        for first in self.index.around(chain, number).skip(REACHED) {
            self.index.prefetch_asides(first);
        }
        let mut request = Request { now, wanted, goes };
        for (first, chains) in self.index.groups(chain, number) {
            self.clear(first, &chains, &mut request);
            if request.wanted.is_empty() {
                return wanted;
            }
        }
        if self.remembers(number) {
            for first in self.index.around(chain, number) {
                self.settle_shared(first, now, request.wanted, most);
            }
        }
        wanted.without(request.wanted)
    }

    /// Whether what a look at so many chains has shown is noted: where they stand in a few lines, another look is as quick.
    #[inline(always)]
    fn remembers(&self, number: usize) -> bool {
        self.index.around(0, number).len() > REACHED
    }

    /// The settings in which it is known of so many chains from one on that nobody would go from them.
    #[inline(always)]
    fn settled(&self, chain: usize, number: usize, now: Jiffies) -> Seats {
        if !self.remembers(number) {
            return Seats::NONE;
        }
        let around = self.index.around(chain, number);
        around.fold(Seats::first(SEATS), |all, first| all.and(self.index.settled_in(first, now)))
    }

    /// Takes what goes from some chains, which begin in one line; nobody wants any more where somebody was taken that had not
    /// expired.
    #[inline(always)]
    fn clear(
        &mut self,
        first: At,
        chains: &Range<usize>,
        request: &mut Request<impl FnMut(Class, Seats, Seats)>,
    ) {
        let (mut from, to) = self.index.tags(chains);
        let mut gone = false;
        loop {
            let could = self.could_go(first, request);
            let Some(tag) = self.next_to_clear(first, could, (from, to), request) else { break };
            let (place, next) = self.index.tagged(first, tag);
            let here = self.index.of_chain(first, place).and(could);
            let mut found = self.take_shared(first, here, request, &mut gone);
            let mut behind = self.index.next(first);
            while let Some(at) = behind {
                let here = self.index.of_chain(at, place).and(self.could_go(at, request));
                found = found.or(self.take_shared(at, here, request, &mut gone));
                behind = self.index.next(at);
            }
            request.wanted = request.wanted.without(found);
            match next.filter(|next| *next <= to && !request.wanted.is_empty()) {
                Some(next) => from = next,
                None => break,
            }
        }
        if gone {
            self.index.tidy(first);
        }
    }

    /// The least tag within bounds of entries that could go, of a line, where those are known, and those behind it.
    #[inline(always)]
    fn next_to_clear<F>(
        &self,
        first: At,
        could: Slots,
        bounds: (u8, u8),
        request: &Request<F>,
    ) -> Option<u8> {
        let mut tag = self.index.least(first, could, bounds);
        let mut behind = self.index.next(first);
        while let Some(at) = behind {
            let least = self.index.least(at, self.could_go(at, request), bounds);
            tag = tag.into_iter().chain(least).min();
            behind = self.index.next(at);
        }
        tag
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
        let Some(versions) = &self.versions else { return };
        let mut seats = seats.without(self.index.settled_in(first, now));
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
        if !seats.is_empty() {
            self.index.settle_in(first, now, seats, until);
        }
    }

    /// Asks for what early drop will look at, for a packet that finds no entry.
    #[inline(always)]
    pub(super) fn reach_room(&self, spot: &Spot, number: usize) {
        let around = self.index.around(self.chain_for_room(&spot.probe(None)), number);
        for (n, first) in around.enumerate() {
            self.index.prefetch_line(first);
            if n < REACHED {
                self.index.prefetch_asides(first);
            }
        }
    }
}
