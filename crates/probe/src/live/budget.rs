//! One budget of kernel time, shared by the tables of many namespaces.
//!
//! A dump in any namespace walks the whole host's table (4.7 and later), so that even a small one's costs
//! what the foreign entries cost: only the sum can be bounded.

use std::time::Duration;

use crate::table::Budget;

/// A share below this is too short for anything to be learned.
const LEAST: Duration = Duration::from_micros(200);

/// How much longer than the budget of kernel time it may take by the clock on the wall, at most: the machine
/// may be busy with the flood itself.
const LATE: Duration = Duration::from_millis(300);
/// A table may always take so long by the clock, or a busy machine would show none of the small ones.
const MOMENT: Duration = Duration::from_millis(20);

impl Budget {
    /// So much kernel time, and the time by the clock that it may take.
    pub(super) fn of(kernel: Duration) -> Self {
        Self { kernel, wall: kernel + LATE.min(kernel) }
    }
}

/// What is left, and for whom.
#[derive(Debug)]
pub(crate) struct Purse {
    left: Duration,
    wall: Duration,
    entries: u64,
    namespaces: u32,
}

impl Purse {
    /// A budget for tables of so many entries.
    pub fn new(budget: Duration, counts: &[u64]) -> Self {
        let namespaces = u32::try_from(counts.len()).unwrap_or(u32::MAX);
        let entries = counts.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
        let Budget { kernel: left, wall } = Budget::of(budget);
        Self { left, wall, entries, namespaces }
    }

    /// The share of the next table, of so many entries: its part of the entries, and never less than half
    /// an equal part, so that a giant does not leave the small ones unread. `None`: too little is left.
    pub fn share(&mut self, count: u64) -> Option<Budget> {
        let by_count = match self.entries {
            0 => Duration::ZERO,
            all => self.left.mul_f64((count as f64 / all as f64).min(1.0)),
        };
        let equal = self.left / self.namespaces.max(1);
        self.entries = self.entries.saturating_sub(count);
        self.namespaces = self.namespaces.saturating_sub(1);
        let share =
            by_count.min(self.left.saturating_sub(equal / 2 * self.namespaces)).max(equal / 2);
        let enough = share >= LEAST || self.namespaces == 0 && !share.is_zero();
        (enough && !self.wall.is_zero()).then(|| {
            let part = share.as_secs_f64() / self.left.as_secs_f64();
            let wall = self.wall.mul_f64(part.min(1.0)).max(MOMENT.min(share * 3)).min(self.wall);
            Budget { kernel: share, wall }
        })
    }

    /// What the table really took.
    pub fn spend(&mut self, spent: Budget) {
        self.left = self.left.saturating_sub(spent.kernel);
        self.wall = self.wall.saturating_sub(spent.wall);
    }
}

/// Places of the tables to read, the fullest first, with their counts: empty ones are not read, those of
/// unknown count last.
pub(crate) fn order(counts: &[Option<u64>]) -> Vec<(usize, u64)> {
    let mut order: Vec<(usize, u64)> = counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count != Some(0))
        .map(|(index, count)| (index, count.unwrap_or(0)))
        .collect();
    order.sort_by_key(|(index, count)| (std::cmp::Reverse(*count), *index));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn share(purse: &mut Purse, count: u64) -> Option<Duration> {
        purse.share(count).map(|share| share.kernel)
    }

    /// The clock runs as fast as the kernel's time.
    fn spend(purse: &mut Purse, spent: Duration) {
        purse.spend(Budget { kernel: spent, wall: spent });
    }

    #[test]
    fn the_fullest_table_is_first_and_empty_ones_are_left_out() {
        assert_eq!(order(&[Some(3), Some(0), Some(9), None]), [(2, 9), (0, 3), (3, 0)]);
    }

    #[test]
    fn a_single_table_gets_all() {
        assert_eq!(share(&mut Purse::new(ms(1000), &[5]), 5), Some(ms(1000)));
    }

    #[test]
    fn a_giant_leaves_each_small_table_half_an_equal_part() {
        let mut purse = Purse::new(ms(1000), &[1_000_000, 10, 10]);
        let first = share(&mut purse, 1_000_000).expect("gets one");
        assert!(first <= ms(667) && first >= ms(600), "{first:?}");
        spend(&mut purse, first);
        assert!(share(&mut purse, 10).expect("gets one") >= ms(80));
    }

    #[test]
    fn what_one_table_saves_goes_to_the_others() {
        let mut purse = Purse::new(ms(1000), &[10, 10]);
        share(&mut purse, 10);
        spend(&mut purse, ms(2));
        assert_eq!(share(&mut purse, 10), Some(ms(998)));
    }

    #[test]
    fn the_sum_of_all_shares_never_exceeds_the_budget() {
        let counts: Vec<u64> = (0..500).map(|n| n * 37 % 1000 + 1).collect();
        let mut purse = Purse::new(ms(1000), &counts);
        let mut sum = Duration::ZERO;
        for count in counts {
            let share = share(&mut purse, count).unwrap_or_default();
            sum += share;
            spend(&mut purse, share);
        }
        assert!(sum <= ms(1000), "{sum:?}");
    }

    #[test]
    fn on_a_busy_machine_the_clock_ends_what_kernel_time_does_not() {
        let mut purse = Purse::new(ms(1000), &[10, 10]);
        let mut clock = Duration::ZERO;
        while let Some(share) = purse.share(10) {
            clock += share.wall;
            purse.spend(Budget { kernel: ms(1), wall: share.wall });
        }
        assert_eq!(clock, ms(1300));
    }

    #[test]
    fn nothing_is_shared_when_nothing_is_left() {
        let mut purse = Purse::new(ms(10), &[1, 1]);
        spend(&mut purse, ms(10));
        assert_eq!(share(&mut purse, 1), None);
    }
}
