//! One table for several settings: in which of them an entry stands, and when it expires in each.
//!
//! What a tracker makes of a packet hangs on the entry and the packet, not on limits and timeouts. So an entry that
//! was made by the same packet under several settings is the same in all of them, but for the moment at which it
//! expires, until it goes in one and stays in another. It stands once, with the set of settings in which it is still
//! there. Entries of one tuple that different packets made stand beside each other, in different settings.
//!
//! When it expires hangs on two things: the last packet that refreshed it, which is the same in all settings, and the timeout that
//! packet gave it in each. There are few such rows of timeouts, so an entry has the number of its row, and the moment at which it
//! expires in the first of its settings: with the least timeout of the row in these settings that tells the others.
//!
//! A chain holds the entries of all settings in the order in which they came. Those of one setting among them stand in the
//! order of that setting's own chain, so that what walks a chain meets the same as in a table of its own.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use plimsoll_ct::Class;

use super::aside::Aside;
use super::seats::{Expiries, SEATS, Seats, Ticks, first};
use super::slab::EntryId;
use crate::ticks::Jiffies;

/// Names a class, and how long from a moment an entry lasts in each setting: a number among those of classes that early drop takes, or
/// among those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row(u8);

impl Row {
    /// The bits of a number. The last one is of entries whose expiries no row tells.
    pub(super) const NUMBER: u8 = 31;
    const EVICTABLE: u8 = 32;
    /// Numbers of both kinds.
    const ALL: usize = 64;

    #[inline(always)]
    pub(super) const fn new(number: u8, evictable: bool) -> Self {
        Self(number & Self::NUMBER | if evictable { Self::EVICTABLE } else { 0 })
    }

    const fn odd(class: Class) -> Self {
        Self::new(Self::NUMBER, matches!(class, Class::Evictable))
    }

    #[inline(always)]
    pub(super) const fn number(self) -> u8 {
        self.0 & Self::NUMBER
    }

    #[inline(always)]
    pub(super) const fn is_evictable(self) -> bool {
        self.0 & Self::EVICTABLE != 0
    }

    #[inline(always)]
    const fn is_odd(self) -> bool {
        self.number() == Self::NUMBER
    }

    #[inline(always)]
    const fn index(self) -> usize {
        self.0 as usize % Self::ALL
    }
}

/// How long entries of a class last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lasts {
    pub(crate) ticks: Ticks,
    pub(super) row: Row,
}

/// What happens to an entry's time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Life {
    /// Nothing.
    AsBefore,
    /// It begins anew, the row being that of its class.
    Anew(Lasts),
    /// It ends at these moments.
    Until(Expiries),
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Versions {
    /// All settings have the same timeouts. Then an entry expires in all of them at once, and rows tell classes only.
    uniform: bool,
    /// Expiries that would move by less than so many ticks stay.
    least: u32,
    ticks: [Ticks; Row::ALL],
    /// By row, the least ticks in each set of settings; none where timeouts are the same.
    leasts: Vec<[u32; 1 << SEATS]>,
    classes: [Class; Row::ALL],
    /// Rows that are taken: of classes that early drop does not take, and of the one that it takes.
    taken: [u8; 2],
    /// Entries of the odd rows.
    odd: BTreeMap<u32, (Expiries, Class)>,
    /// Entries that are gone, and whose cells are still to be freed,
    dead: [EntryId; 16],
    /// and which of them came last.
    latest: usize,
}

impl Versions {
    pub(super) fn new(uniform: bool, least: u32) -> Self {
        Self {
            uniform,
            least,
            ticks: [[0; SEATS]; Row::ALL],
            leasts: Vec::new(),
            classes: [Class::Evictable; Row::ALL],
            taken: [0; 2],
            odd: BTreeMap::new(),
            dead: [EntryId::NONE; 16],
            latest: 0,
        }
    }

    /// The row of entries of a class that last so long.
    fn row(&mut self, ticks: &Ticks, class: Class) -> Row {
        let ticks = if self.uniform { &[0; SEATS] } else { ticks };
        let evictable = class == Class::Evictable;
        let taken = self.taken[usize::from(evictable)];
        let known = (0..taken).map(|number| Row::new(number, evictable)).find(|row| {
            let own = &self.ticks[row.index()];
            own[0] == ticks[0] && self.classes[row.index()] == class && own == ticks
        });
        known.unwrap_or_else(|| {
            let row = Row::new(taken, evictable);
            if row.is_odd() {
                return row;
            }
            self.taken[usize::from(evictable)] += 1;
            (self.ticks[row.index()], self.classes[row.index()]) = (*ticks, class);
            if !self.uniform {
                self.leasts.resize(self.leasts.len().max(row.index() + 1), [0; 1 << SEATS]);
                self.leasts[row.index()] = leasts(ticks);
            }
            row
        })
    }

    /// How long entries of a class last, with their row.
    pub(super) fn lasts(&mut self, ticks: Ticks, class: Class) -> Lasts {
        Lasts { ticks, row: self.row(&ticks, class) }
    }

    /// What stands aside of an entry that lasts so long from now on.
    #[inline(always)]
    pub(super) fn anew(
        &mut self,
        id: EntryId,
        seats: Seats,
        Lasts { ticks, row }: &Lasts,
        class: Class,
        now: Jiffies,
    ) -> Aside {
        let row = *row;
        if row.is_odd() {
            let expiries = Expiries(ticks.map(|ticks| now.plus(ticks)));
            return self.odd(id, seats, &expiries, class);
        }
        Aside { soonest: now.plus(self.first_of(ticks, row, seats)), seats, row }
    }

    /// The least ticks of a row, which is no odd one, in some settings; the row's ticks are these.
    #[inline(always)]
    fn first_of(&self, ticks: &Ticks, row: Row, seats: Seats) -> u32 {
        if self.uniform { first(ticks, seats) } else { self.least_of(row, seats) }
    }

    /// The same, as far as it hangs on the row.
    #[inline(always)]
    fn least_of(&self, row: Row, seats: Seats) -> u32 {
        self.leasts.get(row.index()).map_or(0, |leasts| leasts[usize::from(seats.0)])
    }

    /// The moment from which an entry lasts as its row, which is no odd one, says.
    #[inline(always)]
    fn since(&self, aside: &Aside) -> Jiffies {
        Jiffies(aside.soonest.0.wrapping_sub(self.least_of(aside.row, aside.seats)))
    }

    /// The same of one that lasts until these moments.
    pub(super) fn until(
        &mut self,
        id: EntryId,
        seats: Seats,
        expiries: &Expiries,
        class: Class,
    ) -> Aside {
        if self.uniform {
            let row = self.row(&[0; SEATS], class);
            return Aside { soonest: first(&expiries.0, seats), seats, row };
        }
        self.odd(id, seats, expiries, class)
    }

    #[cold]
    fn odd(&mut self, id: EntryId, seats: Seats, expiries: &Expiries, class: Class) -> Aside {
        self.odd.insert(id.0, (*expiries, class));
        Aside { soonest: expiries.soonest(seats), seats, row: Row::odd(class) }
    }

    /// What becomes of what stands aside of an entry.
    pub(super) fn change(
        &mut self,
        id: EntryId,
        aside: Aside,
        lasting: &Life,
        class: Class,
        now: Jiffies,
    ) -> Aside {
        let changed = match lasting {
            Life::AsBefore if aside.row.is_odd() => {
                self.odd(id, aside.seats, &self.odd_expiries(id), class)
            }
            Life::AsBefore => {
                let ticks = self.ticks[aside.row.index()];
                let row = self.row(&ticks, class);
                if row.is_odd() {
                    self.odd(id, aside.seats, &self.expiries(id, &aside), class)
                } else {
                    Aside { row, ..aside }
                }
            }
            Life::Anew(lasts) if self.least == 0 => self.anew(id, aside.seats, lasts, class, now),
            Life::Anew(lasts) => {
                let was = self.expiries(id, &aside);
                let later = was.refreshed(&lasts.ticks, now, self.least);
                let moved = was.differ(&later, aside.seats);
                // Where none moves by as much as the generation wants, or where all do.
                if moved == aside.seats {
                    self.anew(id, aside.seats, lasts, class, now)
                } else if moved.is_empty() {
                    return self.change(id, aside, &Life::AsBefore, class, now);
                } else {
                    self.until(id, aside.seats, &later, class)
                }
            }
            Life::Until(expiries) => self.until(id, aside.seats, expiries, class),
        };
        if aside.row.is_odd() && !changed.row.is_odd() {
            self.odd.remove(&id.0);
        }
        changed
    }

    /// What stands aside of an entry that a packet refreshes which changes nothing else; the row is that of its class, and no odd
    /// one.
    #[inline(always)]
    pub(super) fn refreshed(
        &mut self,
        id: EntryId,
        aside: Aside,
        lasts: &Lasts,
        now: Jiffies,
    ) -> Aside {
        let Lasts { ticks, row } = lasts;
        if self.least > 0 || aside.row.is_odd() {
            let class = self.class(id, *row);
            return self.change(id, aside, &Life::Anew(*lasts), class, now);
        }
        let soonest = now.plus(self.first_of(ticks, *row, aside.seats));
        Aside { soonest, row: *row, ..aside }
    }

    /// An entry is gone. Its cell is to be freed when it has come into the processor's cache; until then it waits, and another one's
    /// is: that one.
    #[inline(always)]
    pub(super) fn forget(&mut self, id: EntryId) -> Option<EntryId> {
        if !self.odd.is_empty() {
            self.odd.remove(&id.0);
        }
        self.latest = (self.latest + 1) % self.dead.len();
        let due = core::mem::replace(&mut self.dead[self.latest], id);
        (due != EntryId::NONE).then_some(due)
    }

    #[inline(always)]
    pub(super) fn class(&self, id: EntryId, row: Row) -> Class {
        if row.is_odd() {
            return self.odd.get(&id.0).map_or(Class::Evictable, |(_, class)| *class);
        }
        self.classes[row.index()]
    }

    /// When an entry expires, by setting.
    #[inline(always)]
    pub(super) fn expiries(&self, id: EntryId, aside: &Aside) -> Expiries {
        if aside.row.is_odd() {
            return self.odd_expiries(id);
        }
        let since = self.since(aside);
        Expiries(self.ticks_of(aside.row).map(|ticks| since.plus(ticks)))
    }

    #[cold]
    fn odd_expiries(&self, id: EntryId) -> Expiries {
        self.odd.get(&id.0).map_or(Expiries([Jiffies(0); SEATS]), |(expiries, _)| *expiries)
    }

    #[inline(always)]
    fn ticks_of(&self, row: Row) -> &Ticks {
        &self.ticks[row.index()]
    }

    /// The same in one of the settings.
    #[inline(always)]
    pub(super) fn expiry(&self, id: EntryId, aside: &Aside, seat: usize) -> Jiffies {
        if aside.row.is_odd() {
            return self.odd_expiries(id).0[seat];
        }
        self.since(aside).plus(self.ticks_of(aside.row)[seat])
    }

    /// Of some settings those in which an entry has expired.
    #[inline(always)]
    pub(super) fn expired(&self, id: EntryId, aside: &Aside, seats: Seats, now: Jiffies) -> Seats {
        if aside.row.is_odd() {
            return self.odd_expiries(id).expired(seats, now);
        }
        let past = now.0.wrapping_sub(self.since(aside).0);
        Seats::over(self.ticks_of(aside.row), past).and(seats)
    }

    /// When an entry expires first in one of some settings.
    #[inline(always)]
    pub(super) fn soonest(&self, id: EntryId, aside: &Aside, seats: Seats) -> Jiffies {
        if aside.row.is_odd() {
            return self.odd_expiries(id).soonest(seats);
        }
        self.since(aside).plus(self.least_of(aside.row, seats))
    }
}

/// The least of some ticks in each set of settings.
fn leasts(ticks: &Ticks) -> [u32; 1 << SEATS] {
    let mut leasts = [0; 1 << SEATS];
    for set in 1..leasts.len() {
        let (own, others) = (ticks[set.trailing_zeros() as usize], set & (set - 1));
        let least: u32 = leasts[others];
        let is_less = others == 0 || own.cast_signed() < least.cast_signed();
        leasts[set] = if is_less { own } else { least };
    }
    leasts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More rows than there are numbers for, and times that no row tells.
    #[test]
    fn an_entry_expires_when_it_was_told_to_whether_a_row_tells_it_or_not() {
        let (all, now) = (Seats::first(SEATS), Jiffies(u32::MAX - 50));
        let mut versions = Versions::new(false, 0);
        let ticks_of = |n: u32| core::array::from_fn(|seat| 1 + n * 3 + (seat as u32 * 7) % 5);
        let asides: Vec<Aside> = (0..100)
            .map(|n| {
                let lasts = versions.lasts(ticks_of(n), Class::Protected);
                versions.anew(EntryId(n), all, &lasts, Class::Protected, now)
            })
            .collect();
        assert!(!asides[30].row.is_odd() && asides[31].row.is_odd());
        assert!(asides.iter().all(|aside| !aside.row.is_evictable()) && versions.odd.len() == 69);
        for (n, aside) in (0..100).zip(&asides) {
            let id = EntryId(n);
            let told = Expiries(ticks_of(n).map(|ticks| now.plus(ticks)));
            assert_eq!(versions.expiries(id, aside), told);
            assert_eq!(versions.class(id, aside.row), Class::Protected);
            for seats in [Seats(0b101), all, Seats(0b1100_0000)] {
                assert_eq!(versions.soonest(id, aside, seats), told.soonest(seats));
                for later in [0, 1, 4, 60, 200, 400] {
                    let at = now.plus(later);
                    let expired = { seats }.filter(|seat| told.0[*seat].left(at) <= 0);
                    let expired = expired.map(Seats::one).fold(Seats::NONE, Seats::or);
                    assert_eq!(versions.expired(id, aside, seats, at), expired);
                }
            }
        }
        // One that is refreshed as others are is as those again.
        let then = now.plus(9);
        let life = Life::Anew(versions.lasts(ticks_of(5), Class::Protected));
        let was = versions.change(EntryId(70), asides[70], &life, Class::Protected, then);
        let soonest = Expiries(ticks_of(5).map(|ticks| then.plus(ticks))).soonest(all);
        assert_eq!((was.row, was.soonest, versions.odd.len()), (asides[5].row, soonest, 68));
        let until = Expiries(core::array::from_fn(|seat| then.plus(1 << seat)));
        let lowered = versions.change(EntryId(5), was, &Life::Until(until), Class::Closing, then);
        assert_eq!(versions.expiries(EntryId(5), &lowered), until);
        assert_eq!(versions.class(EntryId(5), lowered.row), Class::Closing);
    }
}
