//! Spans of time in a few bands, to group ages by.

use plimsoll_ct::Seconds;

/// A band of ages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Band {
    /// Under a minute.
    Minute,
    /// One to ten minutes.
    TenMinutes,
    /// Ten minutes to an hour.
    Hour,
    /// An hour to a day.
    Day,
    /// A day and more.
    Older,
}

impl Band {
    /// Every band, youngest first.
    pub const ALL: [Self; 5] = [Self::Minute, Self::TenMinutes, Self::Hour, Self::Day, Self::Older];

    /// The band of a span.
    pub const fn of(span: Seconds) -> Self {
        match span.0 {
            0..60 => Self::Minute,
            60..600 => Self::TenMinutes,
            600..3_600 => Self::Hour,
            3_600..86_400 => Self::Day,
            _ => Self::Older,
        }
    }

    /// Where it begins, and where the next one does.
    pub const fn bounds(self) -> (Seconds, Option<Seconds>) {
        let (from, to) = match self {
            Self::Minute => (0, Some(60)),
            Self::TenMinutes => (60, Some(600)),
            Self::Hour => (600, Some(3_600)),
            Self::Day => (3_600, Some(86_400)),
            Self::Older => (86_400, None),
        };
        match to {
            Some(to) => (Seconds(from), Some(Seconds(to))),
            None => (Seconds(from), None),
        }
    }

    /// How output calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "<1m",
            Self::TenMinutes => "1m-10m",
            Self::Hour => "10m-1h",
            Self::Day => "1h-1d",
            Self::Older => ">1d",
        }
    }
}
