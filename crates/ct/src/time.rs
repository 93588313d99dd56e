//! Points in wall-clock time, and how sure one is of them.

/// A span in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The span as seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

/// A point in time: nanoseconds since 1970-01-01 00:00:00 UTC, without leap seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// From whole seconds since 1970. Saturates at the years 1677 and 2262.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// Later by `span`.
    pub const fn plus(self, span: Nanos) -> Self {
        Self(self.0.saturating_add_unsigned(span.0))
    }

    /// Earlier by `span`.
    pub const fn minus(self, span: Nanos) -> Self {
        Self(self.0.saturating_sub_unsigned(span.0))
    }
}

/// A point in time known to lie between two others: `earliest <= t <= latest`.
///
/// A log line stamped "Nov 22 03:12:07" without a year or zone, or a kernel-log line stamped in
/// seconds since boot, is one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeRange {
    /// Not before this.
    pub earliest: Time,
    /// Not after this.
    pub latest: Time,
}

impl TimeRange {
    /// A point that is known exactly.
    pub const fn exact(at: Time) -> Self {
        Self { earliest: at, latest: at }
    }

    /// `at`, give or take `slack`.
    pub const fn around(at: Time, slack: Nanos) -> Self {
        Self { earliest: at.minus(slack), latest: at.plus(slack) }
    }

    /// The middle of the range.
    pub const fn middle(self) -> Time {
        Time(self.earliest.0.midpoint(self.latest.0))
    }

    /// Half the width: the "±" of the time.
    pub const fn slack(self) -> Nanos {
        Nanos(self.latest.0.abs_diff(self.earliest.0) / 2)
    }
}
