//! What both drawings share: axes with round numbers, and samples as points.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::Time;
use plimsoll_replay::{Answer, Row, Sample};

use crate::number::count;

/// The rectangle of values that is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Extent {
    /// First moment.
    pub(super) start: Time,
    /// Seconds from it to the last.
    pub(super) seconds: f64,
    /// Entries at the upper edge.
    pub(super) most: f64,
    /// Distance between the lines of the scale.
    pub(super) step: f64,
}

impl Extent {
    /// Of these rows. A limit far above all of them does not count: it would flatten the curves.
    pub(super) fn of(a: &Answer, rows: &[&Row], lines: f64) -> Self {
        let start = a.span.map_or(Time(0), |(first, _)| first);
        let last = |row: &Row| row.timeline.samples().last().map(|s| s.time);
        let end = rows.iter().filter_map(|row| last(row)).max().unwrap_or(start);
        let peak = rows.iter().map(|row| row.outcome.peak).max().unwrap_or(0).max(1);
        let limits = rows.iter().map(|row| row.outcome.max).filter(|max| *max <= peak * 2);
        let most = limits.fold(peak, u64::max) as f64 * 1.05;
        let step = round_step(most / lines);
        let most = libm::ceil(most / step) * step;
        Self { start, seconds: since(start, end).max(1e-3), most, step }
    }

    /// Values of the horizontal lines, from 0 on.
    pub(super) fn scale(&self) -> Vec<f64> {
        let lines = libm::round(self.most / self.step) as usize;
        (0..=lines).map(|n| n as f64 * self.step).collect()
    }

    /// Whether a limit is within what is drawn.
    pub(super) fn shows(&self, max: u64) -> bool {
        max > 0 && max as f64 <= self.most
    }

    /// Moments of the vertical lines, in seconds since the start.
    pub(super) fn moments(&self, lines: f64) -> Vec<f64> {
        let step = round_span(self.seconds / lines);
        let lines = libm::floor(self.seconds / step) as usize;
        (0..=lines).map(|n| n as f64 * step).collect()
    }
}

pub(super) fn since(start: Time, at: Time) -> f64 {
    at.0.saturating_sub(start.0) as f64 / 1e9
}

/// 1, 2 or 5 times a power of ten, at least `least` and at least 1.
fn round_step(least: f64) -> f64 {
    let power = libm::pow(10.0, libm::floor(libm::log10(least.max(1.0))));
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| *step >= least);
    step.unwrap_or(10.0 * power)
}

/// A span that clocks show.
fn round_span(least: f64) -> f64 {
    const SPANS: [f64; 25] = [
        0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0,
        60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 21_600.0, 43_200.0,
    ];
    let span = SPANS.into_iter().find(|span| *span >= least);
    span.unwrap_or_else(|| round_step(least / 86_400.0) * 86_400.0)
}

/// A moment of the axis, in as many units as the whole needs: `0:30`, `1:05:00`, `3 d`.
pub(super) fn moment(seconds: f64, whole: f64) -> String {
    if whole < 10.0 {
        let decimals = if whole < 0.1 { 3 } else { 1 };
        return format!("{seconds:.decimals$} s");
    }
    let s = libm::round(seconds) as u64;
    match whole as u64 {
        0..100 => format!("{s} s"),
        100..5400 => format!("{}:{:02}", s / 60, s % 60),
        5400..259_200 => format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60),
        _ => format!("{} d", count(s / 86_400)),
    }
}

/// The samples as they fall into so many columns: the fullest of each, the one before where there is none.
pub(super) fn columns(row: &Row, extent: &Extent, number: usize) -> Vec<Option<Sample>> {
    let mut columns: Vec<Option<Sample>> = alloc::vec![None; number];
    for sample in row.timeline.samples() {
        let share = since(extent.start, sample.time) / extent.seconds;
        let at = ((share * number as f64) as usize).min(number.saturating_sub(1));
        let Some(place) = columns.get_mut(at) else { continue };
        match place {
            Some(held) => {
                let (lost, evicted) = (held.lost + sample.lost, held.evicted + sample.evicted);
                let most = held.most.max(sample.most);
                if sample.occupancy.counted > held.occupancy.counted {
                    *held = *sample;
                }
                (held.most, held.lost, held.evicted) = (most, lost, evicted);
            }
            None => *place = Some(*sample),
        }
    }
    let mut last: Option<Sample> = None;
    for place in &mut columns {
        match place {
            Some(sample) => last = Some(*sample),
            None => {
                *place =
                    last.map(|s| Sample { most: s.occupancy.counted, lost: 0, evicted: 0, ..s })
            }
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_have_round_numbers() {
        assert_eq!(round_step(1234.0), 2000.0);
        assert_eq!(round_step(0.2), 1.0);
        assert_eq!(round_step(9.0), 10.0);
        assert_eq!(round_span(40.0), 60.0);
        assert_eq!(round_span(200_000.0), 5.0 * 86_400.0);
    }

    #[test]
    fn moments_have_the_units_of_the_whole() {
        assert_eq!(moment(0.5, 3.0), "0.5 s");
        assert_eq!(moment(90.0, 600.0), "1:30");
        assert_eq!(moment(3700.0, 8000.0), "1:01:40");
        assert_eq!(moment(86_400.0, 900_000.0), "1 d");
    }
}
