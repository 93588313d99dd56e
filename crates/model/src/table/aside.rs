//! What stands beside a line of the index where several settings share a table: in which settings each of its entries is, when
//! it expires in the first of them, and how its time is reckoned in the others.
//!
//! One cache line beside one of the index. A chain is walked, and a collector's pass made, with these two and without a look at the
//! entries; which of a line's entries have expired anywhere is one comparison.

use super::line::{ROOM, Slots};
use super::machine;
use super::seats::Seats;
use super::versions::Row;
use crate::ticks::Jiffies;

/// What is known of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Aside {
    /// When it expires in the first of its settings.
    pub(super) soonest: Jiffies,
    pub(super) seats: Seats,
    pub(super) row: Row,
}

/// See the module. Places in which the line has no entry are of no setting.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Asides {
    soonest: [u32; ROOM],
    /// The row's number among those of its kind: five bits for each, from the lowest up. Behind them, in two octets, a bit for each whose
    /// row says that early drop may take it.
    rows: [u8; EVICTABLE + 2],
    seats: [Seats; ROOM],
}

const BITS: usize = 5;
const EVICTABLE: usize = 7;

impl Asides {
    /// Where the settings stand.
    pub(super) const SEATS: usize = core::mem::offset_of!(Self, seats);

    #[inline(always)]
    pub(super) fn get(&self, slot: usize) -> Aside {
        let (soonest, seats) = (Jiffies(self.soonest[slot]), self.seats[slot]);
        Aside { soonest, seats, row: self.row(slot) }
    }

    #[inline(always)]
    pub(super) fn set(&mut self, slot: usize, aside: Aside) {
        (self.seats[slot], self.soonest[slot]) = (aside.seats, aside.soonest.0);
        self.set_row(slot, aside.row);
    }

    /// The entry expires at another moment.
    #[inline(always)]
    pub(super) fn refresh(&mut self, slot: usize, (was, is): (Aside, Aside)) {
        self.soonest[slot] = is.soonest.0;
        if was.row != is.row {
            self.set_row(slot, is.row);
        }
    }

    #[inline(always)]
    fn set_row(&mut self, slot: usize, row: Row) {
        let (at, shift) = (slot * BITS / 8, slot * BITS % 8);
        let mut two = u16::from_le_bytes([self.rows[at], self.rows[at + 1]]);
        two = two & !(u16::from(Row::NUMBER) << shift) | u16::from(row.number()) << shift;
        [self.rows[at], self.rows[at + 1]] = two.to_le_bytes();
        let evictable = self.evictable() & !(1 << slot) | u16::from(row.is_evictable()) << slot;
        self.set_evictable(evictable);
    }

    #[inline(always)]
    fn evictable(&self) -> u16 {
        u16::from_le_bytes([self.rows[EVICTABLE], self.rows[EVICTABLE + 1]])
    }

    #[inline(always)]
    fn set_evictable(&mut self, evictable: u16) {
        [self.rows[EVICTABLE], self.rows[EVICTABLE + 1]] = evictable.to_le_bytes();
    }

    #[inline(always)]
    pub(super) fn seats(&self, slot: usize) -> Seats {
        self.seats[slot]
    }

    /// Where something has expired in one of its settings, and perhaps where there is nothing.
    #[inline(always)]
    pub(super) fn expired(&self, now: Jiffies) -> Slots {
        Slots::from_bits(machine::past(&self.soonest, now.0))
    }

    /// Entries that may be evicted from some settings, or have expired in one of theirs.
    #[inline(always)]
    pub(super) fn could_go(&self, now: Jiffies, seats: Seats) -> Slots {
        let there = Slots::from_bits(machine::in_any(self, seats.0));
        Slots::from_bits(self.evictable()).or(self.expired(now)).and(there)
    }

    /// Entries that have expired in one of their settings.
    #[inline(always)]
    pub(super) fn over(&self, now: Jiffies) -> Slots {
        self.expired(now).and(Slots::from_bits(machine::in_any(self, u8::MAX)))
    }

    /// When the first entry of some settings expires, seen from `now`, but for some; `most`, if none does before.
    #[inline(always)]
    pub(super) fn soonest(&self, now: Jiffies, seats: Seats, but: Slots, most: Jiffies) -> Jiffies {
        let mut least = most.left(now);
        for (slot, (soonest, own)) in self.soonest.iter().zip(&self.seats).enumerate() {
            let counts = !own.and(seats).is_empty() && !but.has(slot);
            let left = Jiffies(*soonest).left(now);
            least = if counts && left < least { left } else { least };
        }
        Jiffies(now.0.wrapping_add(least.cast_unsigned()))
    }

    /// Which of the entries are in a setting.
    #[inline(always)]
    pub(super) fn of_seat(&self, seat: usize) -> Slots {
        let [a, b, c, d, e, f, g, h, i, j, k] = self.seats.map(|seats| seats.0);
        let words = [[a, b, c, d, e, f, g, h], [i, j, k, 0, 0, 0, 0, 0]].map(u64::from_le_bytes);
        // Brings the bits of eight octets together: bit 8n goes to 56 + n.
        const ONE: u64 = 0x0101_0101_0101_0101;
        let bits = |word: u64| (word >> seat & ONE).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        Slots::from_bits((bits(words[0]) | bits(words[1]) << 8) as u16)
    }

    /// An entry is in these settings still, and expires in the first of them at `soonest`.
    #[inline(always)]
    pub(super) fn remain(&mut self, slot: usize, seats: Seats, soonest: Jiffies) {
        (self.seats[slot], self.soonest[slot]) = (seats, soonest.0);
    }

    #[inline(always)]
    fn row(&self, slot: usize) -> Row {
        let (at, shift) = (slot * BITS / 8, slot * BITS % 8);
        let two = u16::from_le_bytes([self.rows[at], self.rows[at + 1]]);
        Row::new((two >> shift) as u8 & Row::NUMBER, self.evictable() >> slot & 1 != 0)
    }

    /// An entry goes from the line: those behind it move up.
    pub(super) fn take(&mut self, slot: usize) {
        self.soonest.copy_within(slot + 1.., slot);
        self.seats.copy_within(slot + 1.., slot);
        self.seats[ROOM - 1] = Seats::NONE;
        let evictable = self.evictable();
        let mut rows = [0; 8];
        rows[..EVICTABLE].copy_from_slice(&self.rows[..EVICTABLE]);
        let (rows, below) = (u64::from_le_bytes(rows), (1 << (slot * BITS)) - 1);
        let rows = (rows & below | rows >> BITS & !below).to_le_bytes();
        self.rows[..EVICTABLE].copy_from_slice(&rows[..EVICTABLE]);
        let below = (1 << slot) - 1;
        self.set_evictable(evictable & below | evictable >> 1 & !below);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::super::line::EMPTY;
    use super::super::machine::as_asides_mut;
    use super::*;

    #[test]
    fn a_line_keeps_what_it_was_told_of_each_entry_whoever_goes() {
        let aside = |n: usize| Aside {
            soonest: Jiffies(n as u32 * 1000),
            seats: Seats(n as u8 + 1),
            row: Row::new((n * 37 % 32) as u8, n.is_multiple_of(3)),
        };
        for gone in 0..ROOM {
            let mut place = EMPTY;
            let line = as_asides_mut(&mut place);
            (0..ROOM).for_each(|n| line.set(n, aside(n)));
            line.take(gone);
            let left: Vec<usize> = (0..ROOM).filter(|n| *n != gone).collect();
            for (slot, n) in left.into_iter().enumerate() {
                assert_eq!(line.get(slot), aside(n));
            }
            assert_eq!(line.seats(ROOM - 1), Seats::NONE);
            for now in [0, 1000, 4999, 5000, 10_000].map(Jiffies) {
                for slot in 0..ROOM - 1 {
                    let is_over = line.get(slot).soonest.left(now) <= 0;
                    assert_eq!(line.expired(now).has(slot), is_over);
                }
            }
            for (now, seats) in [0, 4000, 8000].map(Jiffies).into_iter().zip([1, 0b110, 0xff]) {
                let seats = Seats(seats);
                let there: Vec<usize> =
                    (0..ROOM - 1).filter(|&slot| !line.seats(slot).and(seats).is_empty()).collect();
                let could = line.could_go(now, seats);
                let goes = |n: &usize| {
                    line.get(*n).row.is_evictable() || line.get(*n).soonest.left(now) <= 0
                };
                for slot in 0..ROOM {
                    assert_eq!(could.has(slot), there.contains(&slot) && goes(&slot));
                }
                let most = now.plus(5000);
                let stays = there.iter().filter(|&n| !goes(n)).map(|&n| line.get(n).soonest);
                let first = stays.fold(most, Jiffies::earlier);
                assert_eq!(line.soonest(now, seats, could, most), first);
            }
            for seat in 0..8 {
                let mut slots = line.of_seat(seat);
                let mut there = Vec::new();
                while let Some(slot) = slots.newest() {
                    there.push(slot);
                }
                let wanted = (0..ROOM).rev().filter(|&slot| line.seats(slot).contains(seat));
                assert!(wanted.eq(there));
            }
        }
    }
}
