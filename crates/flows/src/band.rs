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
