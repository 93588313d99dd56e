//! What walks the chains of a table that several settings share: the collector, a census.

use alloc::vec::Vec;
use core::ops::Range;

use plimsoll_ct::Class;

use crate::entry::Slot;
use crate::table::chains::Met;
use crate::table::index::At;
use crate::table::line::Slots;
use crate::table::{EntryId, Expired, Leaving, Table, View};
use crate::ticks::Jiffies;

/// Chains of a line that are swept at once.
const AT_ONCE: usize = 4;
/// The last of a line's places, with a bit for each.
const LAST: usize = 15;

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
            if self.index.next(first).is_some() {
                for chain in some {
                    let mut line = Some(first);
                    while let Some(at) = line {
                        line = self.index.next(at);
                        gone |= self.sweep_chains(seat, at, chain..chain + 1, &mut goes);
                    }
                }
            } else {
                for chain in some.clone().step_by(AT_ONCE) {
                    let some = chain..some.end.min(chain + AT_ONCE);
                    gone |= self.sweep_chains(seat, first, some, &mut goes);
                }
            }
            if gone {
                self.index.tidy(first);
            }
        }
    }

    /// The same for the entries of a few chains in one line, without those behind it: whether one stands in no setting now.
    #[inline(always)]
    fn sweep_chains(
        &mut self,
        seat: usize,
        at: At,
        chains: Range<usize>,
        goes: &mut impl FnMut(Met<'_>, usize) -> bool,
    ) -> bool {
        let mut left = self.in_order(seat, at, &chains);
        let mut gone = false;
        while left != 0 {
            let place = left.trailing_zeros();
            left &= left - 1;
            let slot = LAST - place as usize % (LAST + 1);
            let Some((expires, class)) = self.of_seat(seat, at, slot) else { continue };
            let id = EntryId(self.index.id(at, slot));
            let leaving = Leaving { expires, class: Some(class), id, table: self };
            if goes(Met::Entry(leaving), self.len()) && self.dismiss(at, slot, id) {
                gone = true;
                // Those that came later have moved up.
                left = self.in_order(seat, at, &chains) & (!1 << place);
            }
        }
        gone
    }

    /// A setting's entries in some chains of a line, a bit for each, in the order in which they are met: chain after chain,
    /// the newest of each first.
    #[inline(always)]
    fn in_order(&self, seat: usize, at: At, chains: &Range<usize>) -> u64 {
        let Some(own) = self.index.asides(at).map(|asides| asides.of_seat(seat)) else { return 0 };
        let own_of = |chain| self.index.of_chain(at, self.index.place_of_chain(chain)).and(own);
        let newest_first = |slots: Slots| u64::from(slots.bits().reverse_bits());
        let each = chains.clone().map(|chain| newest_first(own_of(chain)));
        each.enumerate().fold(0, |all, (n, bits)| all | bits << (n * (LAST + 1)))
    }
}
