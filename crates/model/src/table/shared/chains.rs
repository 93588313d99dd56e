//! What walks the chains of a table that several settings share: the collector, a census.

use alloc::vec::Vec;
use core::ops::Range;

use plimsoll_ct::Class;

use crate::entry::Slot;
use crate::table::chains::Met;
use crate::table::index::At;
use crate::table::{EntryId, Expired, Leaving, Table, View};
use crate::ticks::Jiffies;

impl Table {
    /// When what stands in a line expires in a setting, and its class; if it is there in that one.
    pub(in crate::table) fn of_seat(
        &self,
        seat: usize,
        at: At,
        slot: usize,
    ) -> Option<(Jiffies, Class)> {
        let aside = self.index.asides(at)?.get(slot);
        let (versions, id) = (self.versions.as_ref()?, EntryId(self.index.id(at, slot)));
        let there = aside.seats.contains(seat);
        there.then(|| (versions.expiry(id, &aside, seat), versions.class(id, aside.row)))
    }

    /// How many entries of a class have expired in each setting. Lines in which none has are stepped over.
    pub(crate) fn expired_shared(&self, now: Jiffies) -> Expired {
        let mut all = Expired::default();
        let Some(versions) = &self.versions else { return all };
        for at in self.index.every() {
            let Some(asides) = self.index.asides(at) else { return all };
            let mut slots = asides.expired(now);
            if slots.is_empty() {
                continue;
            }
            all.begin_line();
            while let Some(slot) = slots.newest() {
                let aside = asides.get(slot);
                if aside.seats.is_empty() {
                    continue;
                }
                let id = EntryId(self.index.id(at, slot));
                let expired = versions.expired(id, &aside, aside.seats, now);
                all.add(expired, versions.class(id, aside.row));
            }
        }
        all.gather();
        all
    }

    /// One setting's part, as a table of its own.
    pub(crate) fn part(&self, seat: usize, buckets: u64, max: u64) -> Self {
        let mut part = Self::new(buckets, max, self.hash_key);
        for chain in 0..self.chains() {
            let all: Vec<(At, usize)> = self.walk_places(chain).collect();
            for &(at, place) in all.iter().rev() {
                let Some((expires, _)) = self.of_seat(seat, at, place) else { continue };
                let id = EntryId(self.index.id(at, place));
                let slot = Slot { expires, ..self.slab.unpack(id) };
                let extras = self.slab.extras(id).copied().unwrap_or_default();
                let probe = part.probe(self.slab.key(id));
                part.insert(&probe, &slot, self.slab.created(id), extras);
            }
        }
        part
    }

    /// What [`Table::sweep`] does in the setting whose table it is.
    pub(in crate::table) fn sweep_seat(
        &mut self,
        View { seat, .. }: View,
        chains: Range<usize>,
        mut goes: impl FnMut(Met<'_>, usize) -> bool,
    ) {
        let mut from = chains.start;
        while from < chains.end {
            let first = self.index.first(self.index.place_of_chain(from));
            let all = self.index.chains_of(first);
            let some = from..all.end.min(chains.end);
            from = some.end;
            let mut gone = false;
            for chain in some {
                let place = self.index.place_of_chain(chain);
                let mut line = Some(first);
                while let Some(at) = line {
                    line = self.index.next(at);
                    let own = self.index.asides(at).map(|asides| asides.of_seat(seat));
                    let Some(own) = own.filter(|own| !own.is_empty()) else { continue };
                    let mut slots = self.index.of_chain(at, place).and(own);
                    while let Some(slot) = slots.newest() {
                        let Some((expires, class)) = self.of_seat(seat, at, slot) else { continue };
                        let id = EntryId(self.index.id(at, slot));
                        let class = Some(class);
                        let leaving = Leaving { expires, class, id, table: self };
                        if goes(Met::Entry(leaving), self.len()) {
                            gone |= self.dismiss(at, slot, id);
                        }
                    }
                }
            }
            if gone {
                self.index.tidy(first);
            }
        }
    }
}
