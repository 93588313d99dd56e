//! How many entries of each class there are.

use plimsoll_ct::Class;

/// How many entries of each class the table holds, kept while they change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Classes {
    pub(crate) evictable: u64,
    pub(crate) closing: u64,
    pub(crate) protected: u64,
}

impl Classes {
    /// All of them.
    pub(crate) const fn all(&self) -> u64 {
        self.evictable + self.closing + self.protected
    }

    const fn place(&mut self, class: Class) -> &mut u64 {
        match class {
            Class::Evictable => &mut self.evictable,
            Class::Closing => &mut self.closing,
            Class::Protected => &mut self.protected,
        }
    }

    pub(crate) const fn enter(&mut self, class: Class) {
        *self.place(class) += 1;
    }

    pub(crate) const fn leave(&mut self, class: Class) {
        *self.place(class) -= 1;
    }

    /// An entry has changed.
    #[inline(always)]
    pub(crate) fn change(&mut self, was: Class, is: Class) {
        if was != is {
            self.leave(was);
            self.enter(is);
        }
    }
}
