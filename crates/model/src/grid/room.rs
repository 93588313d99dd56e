//! Full tables: in which settings there is room, who goes for it, and what is noted where nobody can.

use plimsoll_ct::Counter;

use super::{Grid, gone};
use crate::table::{Probe, SEATS, Seats};

/// What is known of the room that is left.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Room {
    /// Nothing.
    #[default]
    Unknown,
    /// So many entries can come before one of the settings may be full.
    For(u64),
    /// These are full, until a number of entries changes.
    NotIn(Seats),
}

impl Room {
    /// An entry goes, from whatever settings.
    pub(super) const fn gone(&mut self) {
        if let Self::NotIn(_) = self {
            *self = Self::Unknown;
        }
    }

    /// An entry comes, in whatever settings.
    pub(super) const fn came(&mut self) {
        *self = match *self {
            Self::For(more @ 2..) => Self::For(more - 1),
            Self::For(_) | Self::Unknown | Self::NotIn(_) => Self::Unknown,
        };
    }
}

/// Packets that found no room and nobody to go, as long as the clock shows the same tick and a setting's log writes no more.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Unwritten {
    pub(super) seats: Seats,
    pub(super) packets: [u32; SEATS],
}

impl Unwritten {
    #[inline(always)]
    pub(super) fn add(&mut self, seats: Seats) {
        for (seat, packets) in self.packets.iter_mut().enumerate() {
            *packets += u32::from(seats.contains(seat));
        }
    }
}

impl Grid {
    /// The settings that hold as many entries as they may.
    #[inline(always)]
    pub(super) fn full(&mut self) -> Seats {
        match self.room {
            Room::For(_) => Seats::NONE,
            Room::NotIn(full) => full,
            Room::Unknown => self.look_who_is_full(),
        }
    }

    #[inline(never)]
    pub(super) fn look_who_is_full(&mut self) -> Seats {
        let (mut full, mut room) = (Seats::NONE, u64::MAX);
        for seat in self.all {
            let own = self.models[seat].room();
            room = room.min(own);
            if own == 0 {
                full = full.or(Seats::one(seat));
            }
        }
        self.room = if full.is_empty() { Room::For(room) } else { Room::NotIn(full) };
        full
    }

    /// The settings in which there is room for one more, and how many were evicted for it in each.
    pub(super) fn make_room(&mut self, probe: &Probe, seats: Seats) -> (Seats, [u32; SEATS]) {
        let mut evicted = [0; SEATS];
        let full = self.full().and(seats);
        if full.is_empty() {
            return (seats, evicted);
        }
        let served = self.evict(probe, full, &mut evicted);
        for seat in served {
            self.models[seat].counters.add(Counter::EarlyDrop, evicted[seat].into());
        }
        self.lose(full.without(served));
        (seats.without(full).or(served), evicted)
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
        let Self { table, models, .. } = self;
        let (first, chains) = (table.chain_for_room(probe), table.chains());
        let around = (first..first + self.buckets.min(chains))
            .map(|chain| if chain < chains { chain } else { chain - chains });
        if table.are_settled(around.clone(), now, full) {
            return Seats::NONE;
        }
        self.room.gone();
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
                |vitals, expired, victims| {
                    for seat in expired.or(victims) {
                        gone(&mut models[seat], vitals.class(), counted);
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
