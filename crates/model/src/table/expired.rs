//! How many entries have expired in each of the settings that share a table, by class.
//!
//! A census meets millions of entries, each of them in some of eight settings. The eight numbers of a class stand in the octets of
//! one word, to which an entry is one addition; before an octet could run over, they are gathered.

use plimsoll_ct::Class;

use super::line::ROOM;
use super::seats::{SEATS, Seats, Ticks};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Expired {
    /// By class, a setting's number in an octet.
    some: [u64; 3],
    /// Lines that they are of.
    lines: usize,
    gathered: [Ticks; 3],
}

/// Lines whose entries an octet can count.
const LINES: usize = u8::MAX as usize / ROOM;

/// By set of settings: 1 in the octet of each.
static OCTETS: [u64; 256] = {
    let mut all = [0; 256];
    let mut set = 0;
    while set < all.len() {
        let mut seat = 0;
        while seat < SEATS {
            all[set] |= ((set >> seat & 1) as u64) << (seat * 8);
            seat += 1;
        }
        set += 1;
    }
    all
};

impl Expired {
    /// Entries of a class, by setting.
    pub(crate) const fn of(&self, class: Class) -> &Ticks {
        &self.gathered[place(class)]
    }

    /// What is added from here on is of another line.
    #[inline(always)]
    pub(super) fn begin_line(&mut self) {
        if self.lines == LINES {
            self.gather();
        }
        self.lines += 1;
    }

    /// An entry that has expired in these settings.
    #[inline(always)]
    pub(super) const fn add(&mut self, seats: Seats, class: Class) {
        self.some[place(class)] += OCTETS[seats.0 as usize];
    }

    /// Brings together what was added.
    pub(super) fn gather(&mut self) {
        for (all, some) in self.gathered.iter_mut().zip(&mut self.some) {
            for (all, one) in all.iter_mut().zip(some.to_le_bytes()) {
                *all += u32::from(one);
            }
            *some = 0;
        }
        self.lines = 0;
    }
}

#[inline(always)]
const fn place(class: Class) -> usize {
    match class {
        Class::Evictable => 0,
        Class::Closing => 1,
        Class::Protected => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_entries_are_counted_in_each_setting_as_if_they_were_counted_there_alone() {
        let mut expired = Expired::default();
        let mut told = [[0_u32; SEATS]; 3];
        let classes = [Class::Evictable, Class::Closing, Class::Protected];
        for line in 0..2000_usize {
            expired.begin_line();
            for slot in 0..ROOM {
                // Some settings lose all, for longer than an octet lasts; of one class often all of a line.
                let seats = Seats((line * 31 + slot * 7) as u8 | 0b1000_0001);
                let class = if line % 3 == 0 { 2 } else { (line + slot) % 3 };
                expired.add(seats, classes[class]);
                seats.for_each(|seat| told[class][seat] += 1);
            }
        }
        expired.gather();
        for (class, told) in classes.into_iter().zip(&told) {
            assert_eq!(expired.of(class), told);
        }
    }
}
