//! Occupancy over time, in a bounded number of samples however long the capture is.
//!
//! Sampling begins with 10 ms between samples. Whenever twice as many as wanted are kept, neighbours
//! are merged and the interval doubles, so that what is kept is spread evenly over the whole capture.

use alloc::vec::Vec;

use plimsoll_ct::{Nanos, Time};
use plimsoll_model::Occupancy;

/// Samples of one setting that are kept at least, once there were so many.
const WANTED: usize = 240;

/// The table at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub time: Time,
    /// How full. Of samples that were merged, the fullest.
    pub occupancy: Occupancy,
    /// Most entries that counted at once since the sample before, this one included: what came and went in between shows here.
    pub most: u64,
    /// Packets dropped since the sample before.
    pub lost: u64,
    /// Entries evicted since the sample before.
    pub evicted: u64,
}

/// One setting's samples, in the order of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timeline {
    samples: Vec<Sample>,
    lost: u64,
    evicted: u64,
}

impl Timeline {
    /// The samples.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// One more: losses and evictions are those since the beginning, `most` is since the sample before.
    pub(crate) fn add(
        &mut self,
        time: Time,
        occupancy: Occupancy,
        most: u64,
        lost: u64,
        evicted: u64,
    ) {
        let most = most.max(occupancy.counted);
        let (since, gone) = (lost - self.lost, evicted - self.evicted);
        let sample = Sample { time, occupancy, most, lost: since, evicted: gone };
        (self.lost, self.evicted) = (lost, evicted);
        self.samples.push(sample);
    }

    fn merge(&mut self, clock: &Clock) {
        let mut merged: Vec<Sample> = Vec::with_capacity(self.samples.len());
        for sample in &self.samples {
            match merged.last_mut() {
                Some(last) if clock.place(last.time) == clock.place(sample.time) => {
                    if sample.occupancy.counted > last.occupancy.counted {
                        last.occupancy = sample.occupancy;
                        last.time = sample.time;
                    }
                    last.most = last.most.max(sample.most);
                    last.lost += sample.lost;
                    last.evicted += sample.evicted;
                }
                Some(_) | None => merged.push(*sample),
            }
        }
        self.samples = merged;
    }
}

/// When to take the next sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    first: Time,
    every: u64,
    pub(crate) next: Time,
}

impl Clock {
    pub(crate) const fn new(first: Time) -> Self {
        Self { first, every: 10_000_000, next: first }
    }

    const fn place(&self, time: Time) -> u64 {
        time.0.saturating_sub(self.first.0).unsigned_abs() / self.every
    }

    /// Before the samples up to `to` are taken: makes room for them.
    pub(crate) fn make_room<'a>(
        &mut self,
        to: Time,
        timelines: impl Iterator<Item = &'a mut Timeline>,
    ) {
        let mut wider = *self;
        while wider.place(to) >= 2 * WANTED as u64 {
            wider.every *= 2;
        }
        if wider != *self {
            *self = wider;
            timelines.for_each(|timeline| timeline.merge(self));
            let place = self.place(self.next);
            let last = self.first.plus(Nanos(place * self.every));
            self.next = if last < self.next { last.plus(Nanos(self.every)) } else { last };
        }
    }

    pub(crate) fn step(&mut self) {
        self.next = self.next.plus(Nanos(self.every));
    }
}
