//! The garbage collector: when an expired entry leaves the count.
//!
//! Kernel: `gc_worker()`, nf_conntrack_core.c, by generation (docs/KERNELS.md, 4.12). A pass is taken to
//! last no time. Not modelled: entries of other namespaces, which set the pace too.

use alloc::vec::Vec;

use plimsoll_ct::{Class, CollectorKind, Counter, CounterSource};

use crate::model::Model;
use crate::table::Vitals;
use crate::ticks::Jiffies;

/// Parts of the table, one of which a run of the slicing collector looks at.
const SLICES: u64 = 128;
/// Removals in one run of it.
const SLICE_REMOVALS: usize = 256;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    kind: CollectorKind,
    /// Tick of the next run; `None`: counted from the first packet on.
    next: u64,
    /// Where the slicing collector goes on.
    place: usize,
    /// Its pause.
    pause: u64,
    /// A packet found no room since the last pass.
    early_drop: bool,
}

impl Collector {
    pub(crate) const fn new(kind: CollectorKind, hz: u32, phase: u32) -> Self {
        Self { kind, next: phase as u64, place: 0, pause: hz as u64, early_drop: false }
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
    /// Runs the collector at each of its times up to `ticks`.
    pub(crate) fn collect_until(&mut self, ticks: u64) {
        if self.collector.kind == CollectorKind::Timers {
            self.ticks = ticks;
            self.expire_all();
            return;
        }
        while self.collector.next <= ticks {
            if self.table.len() == 0 {
                self.skip_idle(ticks);
                return;
            }
            self.ticks = self.collector.next.max(self.ticks);
            self.collector.next = self.ticks + self.run_collector().max(1);
        }
    }

    /// Over an empty table only the phase matters.
    fn skip_idle(&mut self, ticks: u64) {
        let hz = u64::from(self.settings.hz);
        let pause = match self.collector.kind {
            CollectorKind::Timers => return,
            CollectorKind::Slices => (16 * hz / SLICES).max(1),
            CollectorKind::FullScan => 120 * hz,
            CollectorKind::Adaptive => 60 * hz,
        };
        let behind = ticks - self.collector.next;
        self.collector.next += (behind / pause + 1) * pause;
        self.collector.early_drop = false;
    }

    /// One run; the ticks until the next.
    fn run_collector(&mut self) -> u64 {
        let hz = u64::from(self.settings.hz);
        match self.collector.kind {
            CollectorKind::Timers => u64::MAX,
            CollectorKind::Slices => {
                let (seen, gone) = self.collect_slice();
                let pause = if seen > 0 && gone * 100 / seen > 50 {
                    1
                } else {
                    (self.collector.pause + 1).min(16 * hz / SLICES).max(1)
                };
                self.collector.pause = pause;
                pause
            }
            CollectorKind::FullScan => {
                self.collect_all();
                120 * hz
            }
            CollectorKind::Adaptive => self.collect_all(),
        }
    }

    /// A full pass; the pause by the average remaining lifetime, in ticks.
    fn collect_all(&mut self) -> u64 {
        let hz = i64::from(self.settings.hz);
        let now = self.now();
        // The average begins at 60 s with the weight of a hundred entries; each entry is met twice.
        let mut average = 60 * hz;
        let mut weight = 100;
        let floor = self.settings.max / 100 * 95;
        let evicts = self.collector.early_drop && self.profile.collector_evicts && floor != 0;
        self.sweep(0..self.table.chains(), None, |vitals, count| {
            let left = i64::from(vitals.expires.left(now));
            if left <= 0 {
                return true;
            }
            for _ in 0..2 {
                weight += 1;
                average += (left.clamp(hz, 300 * hz) - average) / weight;
            }
            evicts && vitals.class() != Class::Protected && count as u64 >= floor
        });
        self.collector.early_drop = false;
        average.clamp(hz, 60 * hz) as u64
    }

    /// One slice: (entries seen, entries removed).
    fn collect_slice(&mut self) -> (usize, usize) {
        let now = self.now();
        let chains = self.table.chains();
        let floor = self.settings.max / 100 * 95;
        let evicts = self.collector.early_drop && self.profile.collector_evicts && floor != 0;
        let (mut seen, mut gone) = (0, 0);
        for _ in 0..chains.div_ceil(SLICES as usize) {
            if self.collector.place >= chains {
                self.collector.place = 0;
                self.collector.early_drop = false;
            }
            let chain = self.collector.place;
            self.collector.place += 1;
            self.sweep(chain..chain + 1, None, |vitals, count| {
                seen += 1;
                let full = evicts && count as u64 >= floor;
                let expendable = full && vitals.class() != Class::Protected;
                let goes = (vitals.is_expired(now) || expendable) && gone < SLICE_REMOVALS;
                gone += usize::from(goes);
                goes
            });
            if gone >= SLICE_REMOVALS {
                break;
            }
        }
        (seen, gone)
    }

    /// Timers: what has expired is gone.
    fn expire_all(&mut self) {
        let now = self.now();
        if self.ticks < self.collector.next {
            return;
        }
        let chains = 0..self.table.chains();
        let soonest = self.sweep(chains, Some(now), |vitals, _| vitals.is_expired(now));
        // An entry that is made meanwhile lives a second at least.
        let most = self.settings.hz / 10;
        let pause = soonest.map_or(most, |s| s.left(now).unsigned_abs().min(most));
        self.collector.next = self.ticks.saturating_add(pause.max(1).into());
    }

    /// [`Table::sweep`](crate::table::Table::sweep), and what belongs to each removal.
    fn sweep(
        &mut self,
        chains: core::ops::Range<usize>,
        due: Option<Jiffies>,
        mut goes: impl FnMut(&Vitals, usize) -> bool,
    ) -> Option<Jiffies> {
        let counted = self.profile.creation == CounterSource::Counted;
        let listening = self.events.is_some();
        let (classes, counters) = (&mut self.classes, &mut self.counters);
        let mut ended = Vec::new();
        let soonest = self.table.sweep(chains, due, |leaving, count| {
            let gone = goes(&leaving.vitals, count);
            if gone {
                classes.leave(leaving.vitals.class());
                if counted {
                    counters.add(Counter::Delete, 1);
                }
                if listening || leaving.concerns_helpers() {
                    ended.push(leaving.whole());
                }
            }
            gone
        });
        for whole in ended {
            self.ended(&whole);
        }
        soonest
    }
}
