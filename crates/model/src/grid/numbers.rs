//! How many entries each setting has, and how many more it can take.
//!
//! An entry comes, goes and changes in several settings at once: what is counted stands by setting, and is added to in all of them
//! without a branch.

use plimsoll_ct::Class;

use crate::classes::Classes;
use crate::model::Model;
use crate::table::{Expired, SEATS, Seats};

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Numbers {
    evictable: Each,
    closing: Each,
    protected: Each,
    /// How many more can come, where there may be as many as [`MOST`] at most, more than there can be; or how many there are too many,
    /// below 0.
    left: [u32; SEATS],
    full: Seats,
}

/// Entries by setting.
type Each = [u32; SEATS];

/// A table names its entries with 30 bits and a kind.
const MOST: i64 = i32::MAX as i64;

impl Numbers {
    /// Of models that share a table, by what each says of itself.
    pub(super) fn of(models: &[Model]) -> Self {
        let mut numbers = Self { left: [MOST as u32; SEATS], ..Self::default() };
        for (seat, model) in models.iter().enumerate() {
            numbers.set(seat, model);
        }
        numbers
    }

    /// What a model says of itself, which has its entries by class and a limit.
    pub(super) fn set(&mut self, seat: usize, model: &Model) {
        let Classes { evictable, closing, protected, .. } = model.classes;
        self.evictable[seat] = evictable as u32;
        self.closing[seat] = closing as u32;
        self.protected[seat] = protected as u32;
        let all = (evictable + closing + protected) as i64;
        let limit = model.limit().and_then(|limit| i64::try_from(limit).ok());
        let left = limit.unwrap_or(MOST).min(MOST) - all;
        self.left[seat] = left.max(i32::MIN.into()) as u32;
        self.look();
    }

    /// One setting's.
    pub(super) fn classes(&self, seat: usize) -> Classes {
        let number = |of: &Each| of[seat].into();
        Classes::new(number(&self.evictable), number(&self.closing), number(&self.protected))
    }

    /// Entries of one setting.
    #[inline(always)]
    pub(super) const fn all(&self, seat: usize) -> usize {
        (self.evictable[seat] + self.closing[seat] + self.protected[seat]) as usize
    }

    /// Those of them that nothing but time takes.
    #[inline(always)]
    pub(super) const fn protected(&self, seat: usize) -> u64 {
        self.protected[seat] as u64
    }

    /// What [`Numbers::all`] says of each.
    #[inline(always)]
    pub(super) fn all_of_each(&self) -> Each {
        let mut all = self.evictable;
        for (all, (closing, protected)) in
            all.iter_mut().zip(self.closing.iter().zip(&self.protected))
        {
            *all += closing + protected;
        }
        all
    }

    /// What [`Numbers::protected`] says of each.
    #[inline(always)]
    pub(super) const fn protected_of_each(&self) -> Each {
        self.protected
    }

    /// The settings that hold as many as they may.
    #[inline(always)]
    pub(super) const fn full(&self) -> Seats {
        self.full
    }

    /// An entry comes into some settings.
    #[inline(always)]
    pub(super) fn came(&mut self, seats: Seats, class: Class) {
        let ones = seats.ones();
        for (number, one) in self.place(class).iter_mut().zip(ones) {
            *number += one;
        }
        for (left, one) in self.left.iter_mut().zip(ones) {
            *left = left.wrapping_sub(*one);
        }
        self.look();
    }

    /// The same without those that have expired; what room there is stays.
    pub(super) fn without(&self, expired: &Expired) -> Self {
        let mut left = *self;
        for class in [Class::Evictable, Class::Closing, Class::Protected] {
            let numbers = left.place(class).iter_mut().zip(expired.of(class));
            numbers.for_each(|(number, expired)| *number -= expired);
        }
        left
    }

    /// An entry goes from some settings.
    #[inline(always)]
    pub(super) fn gone(&mut self, seats: Seats, class: Class) {
        let ones = seats.ones();
        for (number, one) in self.place(class).iter_mut().zip(ones) {
            *number -= one;
        }
        for (left, one) in self.left.iter_mut().zip(ones) {
            *left = left.wrapping_add(*one);
        }
        self.look();
    }

    /// An entry changes in some settings.
    #[inline(always)]
    pub(super) fn change(&mut self, seats: Seats, was: Class, is: Class) {
        let ones = seats.ones();
        for (number, one) in self.place(was).iter_mut().zip(ones) {
            *number -= one;
        }
        for (number, one) in self.place(is).iter_mut().zip(ones) {
            *number += one;
        }
    }

    #[inline(always)]
    const fn place(&mut self, class: Class) -> &mut Each {
        match class {
            Class::Evictable => &mut self.evictable,
            Class::Closing => &mut self.closing,
            Class::Protected => &mut self.protected,
        }
    }

    #[inline(always)]
    fn look(&mut self) {
        self.full = Seats::over(&self.left, 0);
    }
}
