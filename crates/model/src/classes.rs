//! How many entries of each class there are.

use plimsoll_ct::Class;

/// How many entries of each class the table holds, and how many it held at most, kept while they change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Classes {
    pub(crate) evictable: u64,
    pub(crate) closing: u64,
    pub(crate) protected: u64,
    most: Most,
}

/// How many entries a table held at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Most {
    /// At once.
    pub counted: u64,
    /// At once of those that nothing but their own timeout removes.
    pub protected: u64,
}

impl Classes {
    pub(crate) const fn new(evictable: u64, closing: u64, protected: u64) -> Self {
        let most = Most { counted: evictable + closing + protected, protected };
        Self { evictable, closing, protected, most }
    }

    /// Since the last call, or the beginning; what there is now included.
    pub(crate) const fn take_most(&mut self) -> Most {
        let now = Self::new(self.evictable, self.closing, self.protected).most;
        core::mem::replace(&mut self.most, now)
    }

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

    pub(crate) fn enter(&mut self, class: Class) {
        *self.place(class) += 1;
        self.most.counted = self.most.counted.max(self.all());
        self.most.protected = self.most.protected.max(self.protected);
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
