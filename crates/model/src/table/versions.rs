//! One table for several settings: in which of them an entry stands, and when it expires in each.
//!
//! What a tracker makes of a packet hangs on the entry and the packet, not on limits and timeouts. So an entry that
//! was made by the same packet under several settings is the same in all of them, but for the moment at which it
//! expires, until it goes in one and stays in another. It stands once, with the set of settings in which it is still
//! there. Entries of one tuple that different packets made stand beside each other, in different settings.
//!
//! A chain holds the entries of all settings in the order in which they came. Those of one setting among them stand in the
//! order of that setting's own chain, so that what walks a chain meets the same as in a table of its own.

use alloc::vec::Vec;

use super::machine::prefetch;
use super::slab::{EntryId, Pieces};
use crate::ticks::Jiffies;

/// Settings of one table at most.
pub(crate) const SEATS: usize = 8;

/// Some of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seats(pub(crate) u8);

impl Seats {
    pub(crate) const NONE: Self = Self(0);

    /// The first so many.
    pub(crate) const fn first(number: usize) -> Self {
        Self((0xff_u16 >> (SEATS - if number < SEATS { number } else { SEATS })) as u8)
    }

    pub(crate) const fn one(seat: usize) -> Self {
        Self(1 << seat)
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn contains(self, seat: usize) -> bool {
        self.0 & 1 << seat != 0
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl Iterator for Seats {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let seat = self.0.trailing_zeros() as usize;
        self.0 &= self.0.wrapping_sub(1);
        (seat < SEATS).then_some(seat)
    }
}

/// The expiry of an entry, by setting.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
pub(crate) struct Expiries(pub(crate) [Jiffies; SEATS]);

/// See the module. What belongs to an entry stands in the order of the slab's places.
#[derive(Debug, Clone)]
pub(super) struct Versions {
    seats: [Vec<Seats>; 4],
    /// Left empty where all settings have the same timeouts: an entry expires in all of them as it does in one.
    expiries: Option<[Pieces<Expiries>; 4]>,
    /// By chain.
    settled: Vec<Settled>,
    /// Whether any ever was.
    watches: bool,
}

/// What is known of a chain: in these settings all entries of it are assured, and until then none expires.
#[derive(Debug, Clone, Copy)]
struct Settled {
    until: Jiffies,
    seats: Seats,
}

impl Settled {
    #[inline(always)]
    const fn seats_at(&self, now: Jiffies) -> Seats {
        Seats(self.seats.0 & 0_u8.wrapping_sub((self.until.left(now) > 0) as u8))
    }
}

impl Versions {
    pub(super) fn new(chains: usize, uniform: bool) -> Self {
        Self {
            seats: Default::default(),
            expiries: (!uniform).then_some([const { Pieces::new() }; 4]),
            settled: alloc::vec![Settled { until: Jiffies(0), seats: Seats::NONE }; chains],
            watches: false,
        }
    }

    pub(super) const fn is_uniform(&self) -> bool {
        self.expiries.is_none()
    }

    #[inline(always)]
    pub(super) fn seats(&self, id: EntryId) -> Seats {
        let (shelf, number) = id.split();
        self.seats[shelf].get(number).copied().unwrap_or_default()
    }

    /// `None`: as in the entry's head.
    #[inline(always)]
    pub(super) fn expiries(&self, id: EntryId) -> Option<&Expiries> {
        let (shelf, number) = id.split();
        Some(self.expiries.as_ref()?[shelf].get(number))
    }

    #[inline(always)]
    pub(super) fn expiries_mut(&mut self, id: EntryId) -> Option<&mut Expiries> {
        let (shelf, number) = id.split();
        Some(self.expiries.as_mut()?[shelf].get_mut(number))
    }

    pub(super) fn enter(&mut self, id: EntryId, seats: Seats, expiries: &Expiries) {
        let (shelf, number) = id.split();
        let own = &mut self.seats[shelf];
        own.resize(own.len().max(number + 1), Seats::NONE);
        own[number] = seats;
        if let Some(all) = &mut self.expiries {
            let own = &mut all[shelf];
            while own.length() <= number {
                own.push(*expiries);
            }
            *own.get_mut(number) = *expiries;
        }
    }

    /// An entry is gone from some settings. Those that are left, and when it expires first in one of them, where that
    /// is not what its head says.
    pub(super) fn leave(&mut self, id: EntryId, gone: Seats) -> (Seats, Option<Jiffies>) {
        let (shelf, number) = id.split();
        let Some(seats) = self.seats[shelf].get_mut(number) else { return (Seats::NONE, None) };
        *seats = seats.without(gone);
        let left = *seats;
        (left, self.expiries(id).and_then(|expiries| expiries.soonest(left)))
    }

    /// The settings in which a walk of a chain would find none that has expired or is not assured.
    #[inline(always)]
    pub(super) fn settled(&self, chain: usize, now: Jiffies) -> Seats {
        self.settled[chain].seats_at(now)
    }

    /// The same of so many chains from one on, the first following the last.
    #[inline(always)]
    pub(super) fn all_settled(&self, first: usize, number: usize, now: Jiffies) -> Seats {
        let all = &self.settled;
        let behind = (first + number).saturating_sub(all.len()).min(first);
        let some = &all[first..(first + number).min(all.len())];
        let known = |seats: Seats, one: &Settled| seats.and(one.seats_at(now));
        all[..behind].iter().fold(some.iter().fold(Seats::first(SEATS), known), known)
    }

    /// A walk of a chain found none, nor one that expires before `until`.
    pub(super) fn settle(&mut self, chain: usize, now: Jiffies, seats: Seats, until: Jiffies) {
        self.watches = true;
        let before = self.settled(chain, now);
        let settled = &mut self.settled[chain];
        settled.until = if before.is_empty() { until } else { until.earlier(settled.until) };
        settled.seats = before.or(seats);
    }

    /// Asks for what is known of a chain and its neighbours.
    #[inline(always)]
    pub(super) fn prefetch_settled(&self, chain: usize) {
        for chain in [chain, chain + 7] {
            if let Some(settled) = self.settled.get(chain) {
                prefetch(settled);
            }
        }
    }

    /// An entry comes into a chain.
    #[inline(always)]
    pub(super) fn unsettle(&mut self, chain: usize, seats: Seats) {
        if !self.watches {
            return;
        }
        let settled = &mut self.settled[chain];
        settled.seats = settled.seats.without(seats);
    }

    /// Asks for what belongs to an entry.
    #[inline(always)]
    pub(super) fn prefetch(&self, id: EntryId) {
        let (shelf, number) = id.split();
        // Of no entry there is nothing.
        if let Some(seats) = self.seats[shelf].get(number) {
            prefetch(seats);
            if let Some(expiries) = self.expiries(id) {
                prefetch(expiries);
            }
        }
    }
}

impl Expiries {
    /// The first of those of some settings.
    #[inline(always)]
    pub(crate) fn soonest(&self, seats: Seats) -> Option<Jiffies> {
        let first = *self.0.get(seats.0.trailing_zeros() as usize)?;
        let mut least = 0;
        for (seat, expires) in self.0.iter().enumerate() {
            let later = expires.left(first);
            least = least.min(if seats.contains(seat) { later } else { 0 });
        }
        Some(first.plus(least.cast_unsigned()))
    }

    /// Of some settings those in which it has come.
    #[inline(always)]
    pub(super) fn expired(&self, seats: Seats, now: Jiffies) -> Seats {
        self.before(&Self([now.plus(1); SEATS]), seats)
    }

    /// Of some settings those in which it is before others.
    #[inline(always)]
    pub(crate) fn before(&self, others: &Self, seats: Seats) -> Seats {
        let mut before = 0;
        for (seat, (own, other)) in self.0.iter().zip(&others.0).enumerate() {
            before |= u8::from(own.left(*other) < 0) << seat;
        }
        Seats(before).and(seats)
    }

    /// In some settings, as others have it.
    #[inline(always)]
    pub(crate) fn with(&self, others: &Self, seats: Seats) -> Self {
        let mut all = *self;
        for (seat, (own, other)) in all.0.iter_mut().zip(&others.0).enumerate() {
            *own = if seats.contains(seat) { *other } else { *own };
        }
        all
    }
}
