//! Of which lines of a table that several settings share it is known that early drop would take nobody.
//!
//! A table that is full of what is assured is asked for room again and again, in vain. What was looked at once is known until an
//! entry comes to the line, or expires sooner than it did.

use alloc::vec::Vec;

use super::machine::prefetch;
use super::seats::{SEATS, Seats};
use crate::ticks::Jiffies;

/// See the module. Lines are those that chains begin in, with those behind them.
#[derive(Debug, Clone)]
pub(super) struct Settled {
    /// None as long as nothing is known of any.
    lines: Vec<Line>,
    number: usize,
}

/// In these settings all entries of the line are assured, and until then none expires.
#[derive(Debug, Clone, Copy)]
struct Line {
    until: Jiffies,
    seats: Seats,
}

impl Line {
    #[inline(always)]
    const fn at(&self, now: Jiffies) -> Seats {
        Seats(self.seats.0 & 0_u8.wrapping_sub((self.until.left(now) > 0) as u8))
    }
}

impl Settled {
    /// Of so many lines.
    pub(super) const fn new(lines: usize) -> Self {
        Self { lines: Vec::new(), number: lines }
    }

    /// The settings in which one line is settled.
    #[inline(always)]
    pub(super) fn of(&self, line: usize, now: Jiffies) -> Seats {
        self.lines.get(line).map_or(Seats::NONE, |known| known.at(now))
    }

    /// The same of all of some.
    #[inline(always)]
    pub(super) fn of_all(&self, mut lines: impl Iterator<Item = usize>, now: Jiffies) -> Seats {
        if self.lines.is_empty() {
            return Seats::NONE;
        }
        lines.by_ref().fold(Seats::first(SEATS), |seats, line| seats.and(self.of(line, now)))
    }

    /// A line was looked at: in these settings all are assured, and none expires before `until`.
    pub(super) fn add(&mut self, line: usize, now: Jiffies, seats: Seats, until: Jiffies) {
        if self.lines.is_empty() {
            self.lines.resize(self.number, Line { until: Jiffies(0), seats: Seats::NONE });
        }
        let before = self.of(line, now);
        let until = if before.is_empty() { until } else { until.earlier(self.lines[line].until) };
        self.lines[line] = Line { until, seats: before.or(seats) };
    }

    /// An entry comes to a line, or expires sooner.
    #[inline(always)]
    pub(super) fn remove(&mut self, line: usize, seats: Seats) {
        if let Some(known) = self.lines.get_mut(line) {
            known.seats = known.seats.without(seats);
        }
    }

    /// Nothing is known of any.
    pub(super) fn forget(&mut self) {
        self.lines.clear();
    }

    /// Asks for what is known of a line.
    #[inline(always)]
    pub(super) fn prefetch(&self, line: usize) {
        if let Some(known) = self.lines.get(line) {
            prefetch(known);
        }
    }
}
