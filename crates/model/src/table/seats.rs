//! Some of the settings that share a table, and what there is one of for each.

use super::machine::over;
use crate::ticks::Jiffies;

/// Settings of one table at most.
pub(crate) const SEATS: usize = 8;

/// Some of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
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

    /// 1 for each of them, 0 for the others.
    #[inline(always)]
    pub(crate) fn ones(self) -> &'static Ticks {
        &ONES[usize::from(self.0)]
    }

    /// Those whose number is no more than another one, as their difference is seen with a sign.
    #[inline(always)]
    pub(crate) fn over(numbers: &Ticks, number: u32) -> Self {
        Self(over(numbers, number))
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

/// Ticks by setting.
pub(crate) type Ticks = [u32; SEATS];

/// See [`Seats::ones`].
static ONES: [Ticks; 1 << SEATS] = {
    let mut all = [[0; SEATS]; 1 << SEATS];
    let mut at = 0;
    while at < all.len() * SEATS {
        all[at / SEATS][at % SEATS] = ((at / SEATS) >> (at % SEATS) & 1) as u32;
        at += 1;
    }
    all
};

/// The expiry of an entry, by setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expiries(pub(crate) [Jiffies; SEATS]);

/// The first of those of some settings.
#[inline(always)]
pub(super) fn first<T: Copy>(all: &[T; SEATS], seats: Seats) -> T {
    all[seats.0.trailing_zeros() as usize % SEATS]
}

impl Expiries {
    /// The first of those of some settings.
    pub(super) fn soonest(&self, seats: Seats) -> Jiffies {
        let own = { seats }.map(|seat| self.0[seat]);
        own.fold(first(&self.0, seats), Jiffies::earlier)
    }

    /// Of some settings those in which it has come.
    #[inline(always)]
    pub(super) fn expired(&self, seats: Seats, now: Jiffies) -> Seats {
        self.before(&Self([now.plus(1); SEATS]), seats)
    }

    /// Of some settings those in which it is before others.
    #[inline(always)]
    pub(super) fn before(&self, others: &Self, seats: Seats) -> Seats {
        let mut before = 0;
        for (seat, (own, other)) in self.0.iter().zip(&others.0).enumerate() {
            before |= u8::from(own.left(*other) < 0) << seat;
        }
        Seats(before).and(seats)
    }

    /// What a refresh makes of them.
    pub(super) fn refreshed(&self, ticks: &Ticks, now: Jiffies, least: u32) -> Self {
        let mut later = *self;
        for (expires, ticks) in later.0.iter_mut().zip(ticks) {
            *expires = crate::model::refreshed(*expires, now, *ticks, least);
        }
        later
    }

    /// Of some settings those in which they are not as others.
    pub(super) fn differ(&self, others: &Self, seats: Seats) -> Seats {
        let mut differ = 0;
        for (seat, (own, other)) in self.0.iter().zip(&others.0).enumerate() {
            differ |= u8::from(own != other) << seat;
        }
        Seats(differ).and(seats)
    }
}
