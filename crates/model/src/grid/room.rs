//! Full tables: who goes where there is no room, and what is noted where nobody can.

use plimsoll_ct::Counter;

use super::{Grid, deleted};
use crate::table::{Probe, SEATS, Seats};

/// What is to be added to the counters when the clock goes on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pending {
    /// Settings whose log writes no more at this tick,
    silent: Seats,
    /// and packets that found no room there, and nobody to go.
    pub(super) unwritten: [u32; SEATS],
    /// Entries evicted.
    pub(super) evicted: [u32; SEATS],
}

impl Pending {
    #[inline(always)]
    fn lose(&mut self, seats: Seats) {
        for (packets, one) in self.unwritten.iter_mut().zip(seats.ones()) {
            *packets += one;
        }
    }

    #[inline(always)]
    fn evict(&mut self, entries: &[u32; SEATS]) {
        for (all, some) in self.evicted.iter_mut().zip(entries) {
            *all += some;
        }
    }
}

impl Grid {
    /// The settings that hold as many entries as they may.
    #[inline(always)]
    pub(super) const fn full(&self) -> Seats {
        self.numbers.full()
    }

    /// The settings in which there is room for one more; what went for it is noted.
    #[inline(always)]
    pub(super) fn make_room(&mut self, probe: &Probe, seats: Seats) -> Seats {
        let full = self.full().and(seats);
        if full.is_empty() {
            return seats;
        }
        let served = self.evict(probe, full);
        let lost = full.without(served);
        if !lost.is_empty() {
            self.lose(lost);
        }
        seats.without(lost)
    }

    /// In some settings there was no room, and nobody to go.
    fn lose(&mut self, seats: Seats) {
        let known = seats.and(self.pending.silent);
        self.pending.lose(known);
        for seat in seats.without(known) {
            let model = &mut self.models[seat];
            model.counters.add(Counter::Drop, 1);
            model.note_full();
            if model.log.is_silent(model.ticks, model.behaviour.token_bucket, &model.settings) {
                self.pending.silent = self.pending.silent.or(Seats::one(seat));
            }
        }
    }

    /// Evicts in some settings what early drop would in each, from the same walk: those in which somebody went.
    fn evict(&mut self, probe: &Probe, full: Seats) -> Seats {
        let (now, counted) = (self.now(), self.is_counted());
        let most = now.plus(self.lasting.least);
        let mut evicted = [0; SEATS];
        let Self { table, models, numbers, buckets, .. } = self;
        let goes = |class, expired: Seats, victims: Seats| {
            numbers.gone(expired.or(victims), class);
            if counted {
                deleted(models, expired.or(victims));
            }
            for (all, one) in evicted.iter_mut().zip(victims.ones()) {
                *all += one;
            }
        };
        let served = table.evict_shared(probe, *buckets, (now, most), full, goes);
        if !served.is_empty() {
            self.pending.evict(&evicted);
            self.steps.evict(served, &evicted);
        }
        served
    }

    /// The settings in which the chains that an entry would join are too long.
    pub(super) fn where_too_long(&mut self, probe: &Probe, seats: Seats) -> Seats {
        let Some(limit) = self.models[0].profile.chain_limit else { return Seats::NONE };
        let least = limit.least.into();
        if self.table.chain_length(probe, least) <= least {
            return Seats::NONE;
        }
        let too_long =
            seats.filter(|&seat| self.lend(seat, |model| model.chain_is_too_long(probe)));
        too_long.map(Seats::one).fold(Seats::NONE, Seats::or)
    }
}
