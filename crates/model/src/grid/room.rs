//! Full tables: who goes where there is no room, and what is noted where nobody can.

use plimsoll_ct::Counter;

use super::{Grid, deleted};
use crate::table::{Probe, SEATS, Seats};

/// Packets that found no room and nobody to go, as long as the clock shows the same tick and a setting's log writes no more.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Unwritten {
    pub(super) seats: Seats,
    pub(super) packets: [u32; SEATS],
}

impl Unwritten {
    #[inline(always)]
    pub(super) fn add(&mut self, seats: Seats) {
        for (packets, one) in self.packets.iter_mut().zip(seats.ones()) {
            *packets += one;
        }
    }
}

impl Grid {
    /// The settings that hold as many entries as they may.
    #[inline(always)]
    pub(super) const fn full(&self) -> Seats {
        self.numbers.full()
    }

    /// The settings in which there is room for one more, those of them in which somebody went for it, and how many in each.
    pub(super) fn make_room(
        &mut self,
        probe: &Probe,
        seats: Seats,
    ) -> (Seats, Seats, [u32; SEATS]) {
        let mut evicted = [0; SEATS];
        let full = self.full().and(seats);
        if full.is_empty() {
            return (seats, Seats::NONE, evicted);
        }
        let served = self.evict(probe, full, &mut evicted);
        for seat in served {
            self.models[seat].counters.add(Counter::EarlyDrop, evicted[seat].into());
        }
        self.lose(full.without(served));
        (seats.without(full).or(served), served, evicted)
    }

    /// In some settings there was no room, and nobody to go.
    pub(super) fn lose(&mut self, seats: Seats) {
        let known = seats.and(self.unwritten.seats);
        self.unwritten.add(known);
        for seat in seats.without(known) {
            let model = &mut self.models[seat];
            model.counters.add(Counter::Drop, 1);
            model.note_full();
            if model.log.is_silent(model.ticks, model.behaviour.token_bucket, &model.settings) {
                self.unwritten.seats = self.unwritten.seats.or(Seats::one(seat));
            }
        }
    }

    /// Evicts in some settings what early drop would in each, from the same walk: those in which somebody went.
    pub(super) fn evict(
        &mut self,
        probe: &Probe,
        full: Seats,
        evicted: &mut [u32; SEATS],
    ) -> Seats {
        let (now, counted) = (self.now(), self.is_counted());
        let first = self.table.chain_for_room(probe);
        let full = full.without(self.table.settled(first, self.buckets, now));
        if full.is_empty() {
            return Seats::NONE;
        }
        let Self { table, models, numbers, .. } = self;
        let chains = table.chains();
        let around = (first..first + self.buckets.min(chains))
            .map(|chain| if chain < chains { chain } else { chain - chains });
        table.approach_shared(around.clone(), now, full);
        let most = now.plus(self.lasting.least);
        let mut served = Seats::NONE;
        for chain in around {
            let mut found = Seats::NONE;
            table.clear_shared(
                chain,
                now,
                most,
                full.without(served),
                |class, expired, victims| {
                    numbers.gone(expired.or(victims), class);
                    if counted {
                        deleted(models, expired.or(victims));
                    }
                    for seat in victims {
                        evicted[seat] += 1;
                    }
                    found = found.or(victims);
                },
            );
            served = served.or(found);
            if served == full {
                break;
            }
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
