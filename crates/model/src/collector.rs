//! The garbage collector: when an expired entry leaves the count.
//!
//! Kernel: `gc_worker()`, nf_conntrack_core.c, by generation (docs/KERNELS.md, 4.12). It sleeps by a timer of the
//! kernel's wheel, which rings late: at the next of the moments that its level knows. Not modelled: entries of other
//! namespaces, which set the pace too, and runs that are cut since they took ten milliseconds.

mod outlook;
mod timers;

use alloc::vec::Vec;
use core::ops::Range;

use plimsoll_ct::{Class, CollectorKind, Counter, CounterSource, Time};

use crate::far::FAR;
use crate::model::Model;
use crate::table::{Held, Met, Whole};
use crate::ticks::Jiffies;
use outlook::Outlook;

/// Parts of the table, one of which a run of the slicing collector looks at.
const SLICES: u64 = 128;
/// Removals in one run of it.
const SLICE_REMOVALS: usize = 256;

/// Removals in one run of a full pass, times the ticks of a second.
const RUN_REMOVALS: u64 = 64_000;
/// The weight with which an average begins.
const FIRST: i32 = 100;
/// The longest lifetime that counts in one, in seconds.
const LONGEST: i32 = 300;
/// Chains between two looks at how many a run has removed.
const BLOCK: usize = 16;
/// Ticks that a level of the timer wheel reaches; each next one reaches eight times as far, in steps eight times as long.
const WHEEL_LEVEL: u64 = 63;
/// Steps of a level that the next one makes in one.
const WHEEL_STEPS: u64 = 8;
/// A moment that every level of the wheel knows.
const WHEEL_ROUND: u64 = WHEEL_STEPS.pow(8);

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    kind: CollectorKind,
    /// Tick of the next run.
    next: u64,
    /// Ticks that the wheel's clock is ahead of the model's: its first run is at a moment that every level knows.
    ahead: u64,
    /// Where it goes on: the slicing collector, or a pass that had too much to remove.
    place: usize,
    /// The slicing collector's pause.
    pause: u64,
    /// What a pass has seen so far.
    pass: Pass,
    /// One that saw the longest lifetimes alone, as soon as these move it no more.
    steady: Pass,
    /// A packet found no room since the last pass.
    early_drop: bool,
}

/// A full pass under way.
#[derive(Debug, Clone, Copy)]
struct Pass {
    /// Tick of its first run.
    began: u64,
    /// Average of the remaining lifetimes, in ticks.
    average: i32,
    /// Lifetimes in it.
    weight: i32,
}

impl Pass {
    /// The average begins at a minute with the weight of a hundred entries.
    const fn begin(tick: u64, hz: u32) -> Self {
        Self { began: tick, average: 60 * hz as i32, weight: FIRST }
    }

    /// One more lifetime, of so many ticks.
    #[inline(always)]
    const fn add(&mut self, left: i32) {
        self.weight += 1;
        let off = left - self.average;
        // With many in it none moves it, and nothing need be divided.
        if off.unsigned_abs() >= self.weight.unsigned_abs() {
            self.average += off / self.weight;
        }
    }

    /// So many more, all of them the longest that counts; `steady` is what such lifetimes alone come to.
    #[inline]
    fn add_longest(&mut self, number: i32, longest: i32, steady: &Self) {
        if self.weight == FIRST && FIRST + number >= steady.weight {
            (self.average, self.weight) = (steady.average, FIRST + number);
            return;
        }
        for done in 0..number {
            if self.is_steady(longest) {
                self.weight += number - done;
                return;
            }
            self.add(longest);
        }
    }

    /// Whether the longest lifetimes move it no more.
    const fn is_steady(&self, longest: i32) -> bool {
        longest - self.average <= self.weight
    }

    /// Whether no lifetime between these moves it any more.
    const fn is_settled(&self, shortest: i32, longest: i32) -> bool {
        self.is_steady(longest) && self.average - shortest <= self.weight
    }

    /// What it comes to by the longest lifetimes alone.
    const fn steady(hz: u32) -> Self {
        let (mut pass, longest) = (Self::begin(0, hz), LONGEST * hz as i32);
        while !pass.is_steady(longest) {
            pass.add(longest);
        }
        pass
    }
}

impl Collector {
    pub(crate) const fn new(kind: CollectorKind, hz: u32, phase: u32) -> Self {
        Self {
            kind,
            next: phase as u64,
            ahead: WHEEL_ROUND - phase as u64 % WHEEL_ROUND,
            place: 0,
            pause: hz as u64,
            pass: Pass::begin(0, hz),
            steady: Pass::steady(hz),
            early_drop: false,
        }
    }

    /// When a timer rings that is set at a tick for so many ticks: at the step of its level behind that; to 4.8, then.
    pub(crate) fn rings(&self, tick: u64, wait: u64) -> u64 {
        if self.kind == CollectorKind::Timers {
            return tick + wait;
        }
        let (mut reach, mut step) = (WHEEL_LEVEL, 1);
        while wait >= reach && step < WHEEL_ROUND {
            (reach, step) = (reach * WHEEL_STEPS, step * WHEEL_STEPS);
        }
        let due = tick + self.ahead + wait;
        (due / step + 1) * step - self.ahead
    }

    /// Whether it runs at this tick, or has to before.
    pub(crate) const fn is_due(&self, ticks: u64) -> bool {
        self.next <= ticks
    }

    pub(crate) const fn wish_early_drop(&mut self) {
        self.early_drop = true;
    }
}

impl Model {
    /// Runs the collector at this moment, and from now on only when told to: for who knows when it came, from a trace of the
    /// machine that is modelled.
    pub fn collect(&mut self, at: Time) {
        self.advance(at);
        self.collector.next = u64::MAX;
        self.run_collector(&mut Outlook::default());
    }

    /// Runs the collector at each of its times up to `ticks`.
    pub(crate) fn collect_until(&mut self, ticks: u64) {
        if self.collector.kind == CollectorKind::Timers {
            // Never so far at once that what expired meanwhile would come again as a time to come.
            while ticks - self.ticks > FAR && self.table.len() > 0 {
                self.ticks += FAR;
                self.expire_all();
            }
            self.ticks = ticks;
            self.expire_all();
            return;
        }
        while ticks / FAR > self.ticks / FAR && self.table.len() > 0 {
            let round = (self.ticks / FAR + 1) * FAR;
            self.run_until(round);
            self.ticks = round;
            self.table.renew(self.now());
        }
        self.run_until(ticks);
    }

    /// The same, where what is past will not come again as a time to come.
    fn run_until(&mut self, ticks: u64) {
        let mut outlook = Outlook::default();
        while self.collector.next <= ticks {
            if self.table.len() == 0 {
                self.skip_idle(ticks);
                return;
            }
            self.ticks = self.collector.next.max(self.ticks);
            let pause = self.run_collector(&mut outlook).max(1);
            self.collector.next = self.collector.rings(self.ticks, pause);
            self.skip_quiet(&mut outlook, ticks);
        }
    }

    /// One run; the ticks until the next.
    fn run_collector(&mut self, outlook: &mut Outlook) -> u64 {
        let hz = u64::from(self.settings.hz);
        match self.collector.kind {
            CollectorKind::Timers => u64::MAX,
            CollectorKind::Slices => {
                let (seen, gone) = self.collect_slice(outlook);
                let pause = if seen > 0 && gone * 100 / seen > 50 {
                    1
                } else {
                    (self.collector.pause + 1).min(self.collector.longest(hz))
                };
                self.collector.pause = pause;
                pause
            }
            CollectorKind::FullScan => self.collect_all(outlook).map_or(1, |_| 120 * hz),
            CollectorKind::Adaptive => self.collect_all(outlook).unwrap_or(1),
        }
    }

    /// A full pass, or what a run may remove of one. What it ends with: the pause by the average remaining lifetime, in ticks;
    /// `None`: it goes on at the next tick.
    fn collect_all(&mut self, outlook: &mut Outlook) -> Option<u64> {
        let hz = self.settings.hz;
        let now = self.now();
        if self.collector.place == 0 {
            self.collector.pass = Pass::begin(self.ticks, hz);
        }
        let mut pass = self.collector.pass;
        let floor = self.settings.max / 100 * 95;
        let evicts = self.collector.early_drop && self.profile.collector_evicts && floor != 0;
        let (seconds, most) = (hz as i32, RUN_REMOVALS / u64::from(hz));
        let longest = LONGEST * seconds;
        // What expires later than that need not be looked at: it counts as that long.
        let mut due = match self.collector.kind {
            _ if evicts || !self.table.foresees() => None,
            CollectorKind::Adaptive => Some(now.plus(longest.unsigned_abs())),
            CollectorKind::Timers | CollectorKind::Slices | CollectorKind::FullScan => Some(now),
        };
        let steady = self.collector.steady;
        let (first, chains) = (self.collector.place, self.table.chains());
        let (mut place, mut gone, mut least) = (first, 0, i32::MAX);
        let (occupied, block) = (self.table.few_chains(), self.table.whole_lines(0, BLOCK));
        while place < chains && gone <= most {
            // Once there are so many that it does not matter how long they last, only what has expired is looked at.
            if pass.is_settled(seconds, longest) {
                due = due.map(|_| now);
            }
            // Blocks without an entry change nothing.
            if let Some(occupied) = &occupied {
                let Some(next) = occupied.get(occupied.partition_point(|&chain| chain < place))
                else {
                    place = chains;
                    break;
                };
                place = place.max(next / block * block);
            } else if let Some(due) = due {
                let (behind, Held { number, soonest, .. }) =
                    self.table.quiet(place..chains, BLOCK, due);
                pass.add_longest(2 * number as i32, longest, &steady);
                least = soonest.map_or(least, |soonest| least.min(soonest.left(now)));
                place = behind;
                if place == chains {
                    break;
                }
            }
            let end = self.end_of_block(place, most.saturating_sub(gone));
            self.sweep(place..end, due, |met, count| {
                let leaving = match met {
                    Met::Entry(leaving) => leaving,
                    Met::Others { number, soonest } => {
                        pass.add_longest(2 * number as i32, longest, &steady);
                        least = least.min(soonest.left(now));
                        return false;
                    }
                };
                let left = leaving.expires.left(now);
                if left <= 0 {
                    gone += 1;
                    return true;
                }
                // Each entry is met twice.
                for _ in 0..2 {
                    pass.add(left.clamp(seconds, longest));
                }
                least = least.min(left);
                evicts && leaving.class() != Class::Protected && count as u64 >= floor
            });
            place = end;
        }
        outlook.add(place - first, self.ticks, least);
        if place < chains {
            self.collector.place = place;
            self.collector.pass = pass;
            return None;
        }
        (self.collector.place, self.collector.early_drop) = (0, false);
        let took = (self.ticks - pass.began).max(1);
        Some((pass.average.clamp(seconds, 60 * seconds) as u64).saturating_sub(took).max(1))
    }

    /// Where a block ends that begins with this chain: with a line, but where that has more chains, and more entries than a run may
    /// still remove. So runs end with the same chain however the table is laid out.
    fn end_of_block(&self, chain: usize, most: u64) -> usize {
        let end = self.table.whole_lines(chain, BLOCK);
        let fits = |number: usize| number as u64 <= most;
        if end - chain <= BLOCK || self.table.line_from(chain).is_some_and(fits) {
            end
        } else {
            chain / BLOCK * BLOCK + BLOCK
        }
    }

    /// One slice: (entries seen, entries removed).
    fn collect_slice(&mut self, outlook: &mut Outlook) -> (usize, usize) {
        let now = self.now();
        let chains = self.table.chains();
        let floor = self.settings.max / 100 * 95;
        let evicts = self.collector.early_drop && self.profile.collector_evicts && floor != 0;
        let (mut seen, mut gone, mut least) = (0, 0, i32::MAX);
        let (mut walked, slice) = (0, self.slice());
        let due = (self.table.foresees() && !evicts).then_some(now);
        while walked < slice && gone < SLICE_REMOVALS {
            if self.collector.place >= chains {
                self.collector.place = 0;
                self.collector.early_drop = false;
            }
            let from = self.collector.place;
            let end = chains.min(from + slice - walked);
            let known = due.map(|due| self.table.quiet(from..end, 1, due));
            let (behind, Held { number, soonest, .. }) = known.unwrap_or((from, Held::default()));
            seen += number;
            least = soonest.map_or(least, |soonest| least.min(soonest.left(now)));
            let chain = self.table.empty_until(behind, end);
            // Chain after chain; all of a line at once, where no removal in it is the last one.
            let line = self
                .table
                .line_of(chain)
                .filter(|(line, number)| line.end <= end && gone + number < SLICE_REMOVALS);
            self.collector.place = line.map_or(end.min(chain + 1), |(line, _)| line.end);
            walked += self.collector.place - from;
            self.sweep(chain..self.collector.place, due, |met, count| {
                let leaving = match met {
                    Met::Entry(leaving) => leaving,
                    Met::Others { number, soonest } => {
                        seen += number;
                        least = least.min(soonest.left(now));
                        return false;
                    }
                };
                seen += 1;
                let left = leaving.expires.left(now);
                let full = evicts && count as u64 >= floor;
                let expendable = full && leaving.class() != Class::Protected;
                let goes = (left <= 0 || expendable) && gone < SLICE_REMOVALS;
                gone += usize::from(goes);
                least = if goes { least } else { least.min(left) };
                goes
            });
        }
        outlook.add(walked, self.ticks, least);
        (seen, gone)
    }

    /// [`Table::sweep`](crate::table::Table::sweep), and what belongs to each removal.
    fn sweep(
        &mut self,
        chains: Range<usize>,
        due: Option<Jiffies>,
        goes: impl FnMut(Met<'_>, usize) -> bool,
    ) {
        let mut ended = Vec::new();
        self.sweep_into(chains, due, &mut ended, goes);
        ended.iter().for_each(|whole| self.ended(whole));
    }

    /// The same, but those who have to know of an end are not told yet. Returns a time before which none of those that stay expires.
    fn sweep_into(
        &mut self,
        chains: Range<usize>,
        due: Option<Jiffies>,
        ended: &mut Vec<Whole>,
        mut goes: impl FnMut(Met<'_>, usize) -> bool,
    ) -> Option<Jiffies> {
        let counted = self.profile.creation == CounterSource::Counted;
        let listening = self.events.is_some();
        let (classes, counters) = (&mut self.classes, &mut self.counters);
        self.table.sweep(chains, due, |met, count| {
            let gone = goes(met, count);
            if gone && let Met::Entry(leaving) = met {
                classes.leave(leaving.class());
                if counted {
                    counters.add(Counter::Delete, 1);
                }
                if listening || leaving.concerns_helpers() {
                    ended.push(leaving.whole());
                }
            }
            gone
        })
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_ct::{Bytes, Profile};
    use plimsoll_wire::packet::parse_ip;

    use super::*;
    use crate::{Config, Settings, Treatment};

    /// Timers of a running 6.18 with 250 ticks a second, as its tracer tells them: set at a tick, for how many, when they rang.
    const SEEN: &[(u64, u64, u64)] = &[
        (4_305_339_948, 50, 4_305_339_999),
        (4_305_339_752, 248, 4_305_340_008),
        (4_305_339_752, 500, 4_305_340_256),
        (4_305_339_978, 14_927, 4_305_355_264),
        (4_305_355_264, 14_999, 4_305_370_624),
    ];

    #[test]
    fn a_timer_rings_at_the_next_step_of_its_level() {
        for (set, wait, rang) in SEEN {
            let clock =
                Collector { ahead: *set, ..Collector::new(CollectorKind::Adaptive, 250, 0) };
            assert_eq!(clock.rings(0, *wait), rang - set, "for {wait} ticks");
        }
    }

    #[test]
    fn the_average_of_a_pass_is_divided_only_while_that_moves_it() {
        let mut pass = Pass::begin(0, 250);
        let (mut average, mut weight) = (i64::from(pass.average), i64::from(pass.weight));
        let mut left = 1_u32;
        for _ in 0..100_000 {
            left = left.wrapping_mul(0x19_660d).wrapping_add(0x3c6e_f35f);
            let ticks = (left >> 8) % 75_000;
            pass.add(ticks as i32);
            weight += 1;
            average += (i64::from(ticks) - average) / weight;
            assert_eq!((i64::from(pass.average), i64::from(pass.weight)), (average, weight));
        }
    }

    #[test]
    fn the_longest_lifetimes_count_all_at_once_as_they_do_one_by_one() {
        for hz in [100, 250, 1000] {
            let longest = LONGEST * hz as i32;
            let (mut at_once, mut by_and_by) = (Pass::begin(0, hz), Pass::begin(0, hz));
            let steady = Pass::steady(hz);
            for first in [0, 1, steady.weight - FIRST - 1, steady.weight - FIRST, 90_000] {
                let (mut at_once, mut by_and_by) = (Pass::begin(0, hz), Pass::begin(0, hz));
                at_once.add_longest(first, longest, &steady);
                (0..first).for_each(|_| by_and_by.add(longest));
                let of = |pass: &Pass| (pass.average, pass.weight);
                assert_eq!(of(&at_once), of(&by_and_by), "{hz}, {first}");
            }
            for number in [1, 3, 700, 0, 90_000, 5] {
                // Some that are shorter move it again.
                for left in [hz as i32, 70 * hz as i32] {
                    at_once.add(left);
                    by_and_by.add(left);
                }
                at_once.add_longest(number, longest, &steady);
                (0..number).for_each(|_| by_and_by.add(longest));
                let of = |pass: &Pass| (pass.average, pass.weight);
                assert_eq!(of(&at_once), of(&by_and_by), "{hz}, {number}");
            }
        }
    }

    /// The clock of 32 bits begins anew meanwhile, once or several times.
    #[test]
    fn nothing_outlives_a_silence_of_any_length() {
        for profile in plimsoll_ct::PROFILES {
            for days in [20, 35, 55, 120, 170, 250, 9000] {
                let mut model =
                    Model::new(Config::new(profile, Settings::of(profile, Bytes(1 << 30))));
                let mut query = [0; 28];
                query[..10].copy_from_slice(&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17]);
                query[20..].copy_from_slice(&[16, 0, 0, 53, 0, 8, 0, 0]);
                let packet = parse_ip(&query).expect("a query");
                model.packet(Time::from_secs(0), &packet, &Treatment::default());
                model.advance(Time::from_secs(days * 86_400));
                assert_eq!(model.counted(), 0, "{}, {days} days", profile.name);
            }
        }
    }

    #[test]
    fn a_collector_that_is_told_when_to_run_runs_then_and_at_no_other_time() {
        let profile = Profile::named("6.18").expect("a profile");
        let mut model = Model::new(Config::new(profile, Settings::of(profile, Bytes(1 << 30))));
        let mut query = [0; 28];
        query[..20]
            .copy_from_slice(&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        query[20..].copy_from_slice(&[16, 0, 0, 53, 0, 8, 0, 0]);
        model.collect(Time::from_secs(0));
        for port in 0..3 {
            query[21] = port;
            let packet = parse_ip(&query).expect("a query");
            model.packet(Time::from_secs(i64::from(port) * 20), &packet, &Treatment::default());
        }
        // Each lives for 30 s.
        let mut counted = |told: Option<i64>, at: i64| {
            told.into_iter().for_each(|at| model.collect(Time::from_secs(at)));
            model.advance(Time::from_secs(at));
            (model.counted(), model.occupancy().live)
        };
        assert_eq!(counted(None, 49), (3, 2));
        assert_eq!(counted(Some(60), 60), (1, 1));
        assert_eq!(counted(None, 1_000), (1, 0));
        assert_eq!(counted(Some(1_001), 1_001), (0, 0));
    }
}
