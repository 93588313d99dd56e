//! How full the tables of up to eight settings were at most, and whom early drop evicted.
//!
//! A packet may change all of them. They stand beside each other, so that what is noted of eight takes no longer than of one.

use plimsoll_model::Grid;

/// Entries by setting: a table names them with 32 bits.
type Each = [u32; Grid::MOST];

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Peaks {
    /// Most at once since the last sample, that moment included, and before it.
    counted: Each,
    before: Each,
    protected: Each,
    evicted: [u64; Grid::MOST],
}

impl Peaks {
    /// So many there are now of each setting, and so many of them that are protected.
    #[inline(always)]
    pub(crate) fn note(&mut self, counted: Each, protected: Each) {
        for (most, now) in self.counted.iter_mut().zip(counted) {
            *most = (*most).max(now);
        }
        for (most, now) in self.protected.iter_mut().zip(protected) {
            *most = (*most).max(now);
        }
    }

    /// The same of one setting.
    #[inline(always)]
    pub(crate) fn note_one(&mut self, setting: usize, counted: u64, protected: u64) {
        let (most, most_protected) = (&mut self.counted[setting], &mut self.protected[setting]);
        (*most, *most_protected) =
            ((*most).max(counted as u32), (*most_protected).max(protected as u32));
    }

    /// So many more were evicted.
    #[inline(always)]
    pub(crate) fn evict(&mut self, entries: &Each) {
        for (all, some) in self.evicted.iter_mut().zip(entries) {
            *all += u64::from(*some);
        }
    }

    /// The same of one setting.
    #[inline(always)]
    pub(crate) fn evict_one(&mut self, setting: usize, entries: u32) {
        self.evicted[setting] += u64::from(entries);
    }

    /// Most at once.
    pub(crate) fn most(&self, setting: usize) -> u64 {
        self.counted[setting].max(self.before[setting]).into()
    }

    /// Most that were protected at once.
    pub(crate) fn protected(&self, setting: usize) -> u64 {
        self.protected[setting].into()
    }

    /// Entries evicted.
    pub(crate) const fn evicted(&self, setting: usize) -> u64 {
        self.evicted[setting]
    }

    /// Most at once since the last call; so many there are now.
    pub(crate) fn take(&mut self, setting: usize, counted: u64) -> u64 {
        self.before[setting] = self.counted[setting].max(self.before[setting]);
        core::mem::replace(&mut self.counted[setting], counted as u32).into()
    }

    /// One setting's, as if they were those of each.
    pub(crate) const fn of(&self, setting: usize) -> Self {
        Self {
            counted: [self.counted[setting]; Grid::MOST],
            before: [self.before[setting]; Grid::MOST],
            protected: [self.protected[setting]; Grid::MOST],
            evicted: [self.evicted[setting]; Grid::MOST],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_is_that_since_the_last_sample_and_all_of_it_is_kept_in_each_setting() {
        let mut peaks = Peaks::default();
        peaks.note([5, 9, 0, 0, 0, 0, 0, 1], [2, 1, 0, 0, 0, 0, 0, 1]);
        peaks.note([4, 12, 0, 0, 0, 0, 0, 1], [3, 0, 0, 0, 0, 0, 0, 1]);
        peaks.evict(&[0, 2, 0, 0, 0, 0, 0, 0]);
        peaks.evict_one(1, 1);
        assert_eq!([0, 1, 7].map(|setting| peaks.most(setting)), [5, 12, 1]);
        assert_eq!([0, 1, 7].map(|setting| peaks.protected(setting)), [3, 1, 1]);
        assert_eq!([0, 1, 7].map(|setting| peaks.evicted(setting)), [0, 3, 0]);
        // A sample begins anew with what is there, and what was more before counts on.
        assert_eq!((peaks.take(1, 8), peaks.take(1, 8), peaks.most(1)), (12, 8, 12));
        peaks.note_one(1, 10, 4);
        let own = peaks.of(1);
        for setting in 0..Grid::MOST {
            assert_eq!(
                (own.most(setting), own.protected(setting), own.evicted(setting)),
                (12, 4, 3)
            );
        }
        assert_eq!((peaks.most(0), { peaks }.take(1, 0)), (5, 10));
    }
}
