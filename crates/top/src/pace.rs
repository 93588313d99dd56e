//! When the table is read, and how much of it: so that the whole program stays within its purse.
//!
//! The purse fills with a share of one core and is emptied by what the process really used, of which the kernel tells;
//! so whatever costs time, drawing and looking for names too, makes the next reading wait. A table that is too large
//! to be read as a whole every few seconds is read in part: buckets are a keyed hash, so a part is a random sample.

use std::time::Duration;

/// The share of one core that may be used. The promise is 5 %; what is not counted in time is left.
pub const PURSE: f64 = 0.037;
/// A reading is made at least so often, if only of a part.
pub const LONGEST: Duration = Duration::from_secs(5);
/// What is in the purse at the beginning, and at most: one reading of the longest interval.
const FULL: f64 = PURSE * 5.0;
/// A question is answered at once, if only from a sample, when so much is left, in seconds.
const LEAST: f64 = 0.004;
/// A sample of fewer says too little.
const LEAST_SHARE: f64 = 0.005;
/// What an entry costs until it was measured, in seconds: BPF on a slow machine.
const ENTRY: f64 = 0.5e-6;

/// The purse, and what was learnt of costs.
#[derive(Debug, Clone)]
pub struct Pace {
    interval: Duration,
    /// Seconds of processor time that are left, and when, with how much used till then.
    left: f64,
    at: Duration,
    used: Duration,
    /// When the last reading began.
    last: Option<Duration>,
    /// Seconds that reading the whole table costs.
    whole: f64,
}

impl Pace {
    /// For a table of so many entries, to be read every `interval` if that can be afforded.
    pub fn new(interval: Duration, entries: u64) -> Self {
        Self {
            interval,
            left: FULL,
            at: Duration::ZERO,
            used: Duration::ZERO,
            last: None,
            whole: entries as f64 * ENTRY,
        }
    }

    /// Time passed: `at` since the beginning, in which the process used `used` of a processor.
    pub fn pass(&mut self, at: Duration, used: Duration) {
        let gained = at.saturating_sub(self.at).as_secs_f64() * PURSE;
        let spent = used.saturating_sub(self.used).as_secs_f64();
        self.left = (self.left + gained - spent).min(FULL);
        (self.at, self.used) = (at, used);
    }

    /// The share of the table that is to be read now; `None`: none of it yet. `asked`: a person waits for it.
    pub fn due(&self, asked: bool) -> Option<f64> {
        let share = (self.left / self.whole.max(1e-9)).min(1.0);
        if asked && self.left >= LEAST.min(self.whole) {
            return Some(share.max(LEAST_SHARE));
        }
        let waited = self.last.is_none_or(|last| self.at.saturating_sub(last) >= self.interval);
        let enough = self.left >= self.whole.min(FULL * 0.98);
        (waited && enough).then(|| share.max(LEAST_SHARE))
    }

    /// Seconds of processor time that the reading may take.
    pub fn allowance(&self) -> Duration {
        Duration::from_secs_f64(self.left.clamp(LEAST, FULL))
    }

    /// How long until there may be something to do.
    pub fn wait(&self) -> Duration {
        let lacking = (self.whole.min(FULL) - self.left).max(0.0) / PURSE;
        let interval =
            self.last.map_or(Duration::ZERO, |last| (last + self.interval).saturating_sub(self.at));
        interval.max(Duration::from_secs_f64(lacking.min(60.0)))
    }

    /// A reading of a share of the table, begun at `began`, took so much of a processor.
    pub fn learn(&mut self, began: Duration, share: f64, took: Duration) {
        let whole = took.as_secs_f64() / share.clamp(LEAST_SHARE / 10.0, 1.0);
        // A small sample tells little of the cost of the whole: what goes before and after weighs too much.
        let weight = if self.last.is_none() { 1.0 } else { share.clamp(0.05, 0.7) };
        self.whole += (whole - self.whole) * weight;
        self.last = Some(began);
    }

    /// From one reading to the next, as things are.
    pub fn every(&self) -> Duration {
        self.interval.max(Duration::from_secs_f64(self.whole.min(FULL) / PURSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Runs for so many seconds a table whose whole reading costs `whole`, with a question every `questions`
    /// milliseconds. Readings, of which whole; processor time used.
    fn run(seconds: u64, whole: Duration, questions: Option<u64>) -> (u32, u32, Duration) {
        let mut pace = Pace::new(ms(1_000), 1_000_000);
        let (mut used, mut readings, mut wholes) = (Duration::ZERO, 0, 0);
        for at in (0..seconds * 1_000).step_by(50) {
            // Drawing costs something, too.
            used += Duration::from_micros(50);
            pace.pass(ms(at), used);
            let asked = questions.is_some_and(|every| at % every == 0);
            if let Some(share) = pace.due(asked) {
                let took = whole.mul_f64(share);
                used += took;
                pace.learn(ms(at), share, took);
                readings += 1;
                wholes += u32::from(share >= 1.0);
            }
        }
        (readings, wholes, used)
    }

    #[test]
    fn a_small_table_is_read_as_a_whole_every_interval() {
        let (readings, wholes, used) = run(60, ms(2), None);
        assert!((58..=61).contains(&readings), "{readings}");
        assert!(wholes >= readings - 1, "{wholes} of {readings}");
        assert!(used < ms(1_000), "{used:?}");
    }

    #[test]
    fn a_large_table_never_costs_more_than_the_purse_and_is_read_every_five_seconds() {
        for whole in [ms(150), ms(300), ms(2_000)] {
            for questions in [None, Some(1_000), Some(200)] {
                let (readings, _, used) = run(60, whole, questions);
                let purse = Duration::from_secs_f64(60.0 * PURSE + FULL);
                // The first reading is made before the cost is known.
                assert!(used <= purse + whole.mul_f64(0.4), "{whole:?} {questions:?}: {used:?}");
                assert!(readings >= 7, "{whole:?} {questions:?}: {readings}");
            }
        }
    }

    #[test]
    fn whoever_asks_is_answered_from_what_is_left() {
        let mut pace = Pace::new(ms(1_000), 1_000_000);
        pace.learn(ms(0), 1.0, ms(300));
        pace.pass(ms(100), ms(175));
        assert_eq!(pace.due(false), None);
        assert!(pace.due(true).is_some_and(|share| share < 0.1));
        pace.pass(ms(101), ms(300));
        assert_eq!(pace.due(true), None);
        assert!(pace.wait() > ms(1_000) && pace.every() == ms(5_000), "{:?}", pace.every());
    }
}
