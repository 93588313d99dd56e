//! What a stamp means in wall-clock time, and how sure one can be.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use plimsoll_ct::{Nanos, Time, TimeRange};

use super::stamp::{Civil, Stamp};

const SECOND: Nanos = Nanos(1_000_000_000);

/// A keeper stamps a kernel line when it reads it, and stamps are cut to the unit: the line itself may
/// be up to this much older.
const KEEPER_LAG: Nanos = SECOND;

/// The kernel's clock is not steered: it may run fast or slow by one part in this many (50 ppm).
pub(super) const DRIFT: u64 = 20_000;

/// How far east and west of Greenwich local time may be.
const EASTMOST: i64 = 14 * 3600;
const WESTMOST: i64 = 12 * 3600;

/// The zone of a host's local time.
#[derive(Debug, Clone, Default)]
pub enum Zone {
    /// Not known: a local stamp may be off by up to fourteen hours.
    #[default]
    Unknown,
    /// Seconds east of Greenwich, always.
    Fixed(i32),
    /// With its rules of summer time.
    Rules(TimeZone),
}

impl Zone {
    /// From a TZif file (/etc/localtime). `None` when it is none.
    pub fn from_tzif(bytes: &[u8]) -> Option<Self> {
        TimeZone::tzif("host", bytes).ok().map(Self::Rules)
    }

    /// `UTC`
    pub const fn utc() -> Self {
        Self::Fixed(0)
    }

    fn resolve(&self, civil: &Civil) -> Option<TimeRange> {
        match self {
            Self::Unknown => {
                let utc = at_offset(civil, 0)?;
                Some(TimeRange {
                    earliest: utc.earliest.minus(Nanos(EASTMOST.unsigned_abs() * SECOND.0)),
                    latest: utc.latest.plus(Nanos(WESTMOST.unsigned_abs() * SECOND.0)),
                })
            }
            Self::Fixed(seconds) => at_offset(civil, *seconds),
            Self::Rules(rules) => {
                let ambiguous = rules.to_ambiguous_timestamp(date_time(civil)?);
                match ambiguous.offset() {
                    AmbiguousOffset::Unambiguous { offset } => at_offset(civil, offset.seconds()),
                    // The hour that comes twice in autumn, or the one that spring skips.
                    AmbiguousOffset::Fold { before, after }
                    | AmbiguousOffset::Gap { before, after } => Some(hull(
                        at_offset(civil, before.seconds())?,
                        at_offset(civil, after.seconds())?,
                    )),
                }
            }
        }
    }
}

/// What is known of a host's clocks when its log is read.
#[derive(Debug, Clone)]
pub struct Clock {
    /// The time of reading; of a dead host: when it was saved. No line is younger.
    pub now: Time,
    /// When the kernel's clock was zero. The range covers what sleep does to it: from "now less the
    /// time since boot" to "now less the time since boot that the machine was awake".
    pub boot: Option<TimeRange>,
    /// Zone of local stamps.
    pub zone: Zone,
}

impl Clock {
    /// When a line was written. `None` when nothing can be said: a stamp since boot without the time
    /// of boot, or no date at all (the 31st of February).
    pub fn resolve(&self, stamp: &Stamp) -> Option<TimeRange> {
        let range = match stamp {
            Stamp::SinceBoot(span) => {
                let boot = self.boot?;
                let drift = Nanos(span.0 / DRIFT);
                TimeRange {
                    earliest: boot.earliest.plus(*span).minus(drift),
                    latest: boot.latest.plus(*span).plus(drift),
                }
            }
            Stamp::Known(range) => lagging(*range),
            Stamp::Local(civil) => lagging(self.local(civil)?),
            Stamp::Computed(civil) => {
                // dmesg added the stamp to "now less uptime": right but for drift, and early by the
                // sleep between the line and the moment dmesg ran.
                let at = self.local(civil)?;
                let (slept, drift) = match self.boot {
                    Some(boot) => {
                        let age = at.latest.0.saturating_sub(boot.earliest.0).unsigned_abs();
                        (boot.slack().0.saturating_mul(2), age / DRIFT)
                    }
                    None => (0, 60 * SECOND.0),
                };
                TimeRange {
                    earliest: at.earliest.minus(Nanos(drift)).minus(SECOND),
                    latest: at.latest.plus(Nanos(drift)).plus(Nanos(slept)),
                }
            }
        };
        // What is in the log has happened: `now` bounds the range, unless it contradicts the stamp.
        let latest =
            if range.earliest <= self.now { range.latest.min(self.now) } else { range.latest };
        Some(TimeRange { earliest: range.earliest, latest })
    }

    /// A local stamp; one without a year is of the latest year that does not lie in the future.
    fn local(&self, civil: &Civil) -> Option<TimeRange> {
        if civil.year.is_some() {
            return self.zone.resolve(civil);
        }
        let now = Offset::UTC.to_datetime(timestamp(self.now)?);
        let horizon = self.now.plus(SECOND);
        // Nine years back: the 29th of February may be eight years away (1896 to 1904, 2096 to 2104).
        (0..=9)
            .map(|back| now.year().saturating_add(1).saturating_sub(back))
            .filter_map(|year| self.zone.resolve(&Civil { year: Some(year), ..*civil }))
            .find(|range| range.earliest <= horizon)
    }
}

/// The span in which a line may have been written that its keeper stamped so.
fn lagging(range: TimeRange) -> TimeRange {
    TimeRange { earliest: range.earliest.minus(KEEPER_LAG), latest: range.latest }
}

fn hull(a: TimeRange, b: TimeRange) -> TimeRange {
    TimeRange { earliest: a.earliest.min(b.earliest), latest: a.latest.max(b.latest) }
}

/// A civil time so many seconds east of Greenwich: from the stamp to the end of its last unit.
pub(super) fn at_offset(civil: &Civil, seconds: i32) -> Option<TimeRange> {
    let at = date_time(civil)?;
    let offset = Offset::from_seconds(seconds).ok()?;
    // Years beyond 1677 and 2262 stop at the ends of `Time`.
    let secs = offset.to_timestamp(at).ok()?.as_second();
    let earliest = Time::from_secs(secs).plus(Nanos(u64::from(civil.nanos)));
    Some(TimeRange { earliest, latest: earliest.plus(Nanos(civil.unit.0.saturating_sub(1))) })
}

fn date_time(civil: &Civil) -> Option<DateTime> {
    // A leap second is the second before it, once more.
    let second = civil.second.min(59);
    if civil.second > 60 {
        return None;
    }
    DateTime::new(civil.year?, civil.month, civil.day, civil.hour, civil.minute, second, 0).ok()
}

fn timestamp(time: Time) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(time.secs()).ok()
}
