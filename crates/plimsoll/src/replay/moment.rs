//! A moment within a capture: a date, or a span from its start.

use plimsoll_ct::{Nanos, Time};
use plimsoll_diagnosis::{Said, said};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A point in time.
    Absolute(Time),
    /// So long after the first packet.
    After(Nanos),
}

impl Moment {
    /// As a point in time, for a capture that begins at `first`.
    pub fn time(self, first: Time) -> Time {
        match self {
            Self::Absolute(time) => time,
            Self::After(span) => first.plus(span),
        }
    }
}

/// Seconds before and behind 1970 that nanoseconds can tell.
const MOST_SECONDS: f64 = 9.2e9;

/// Reads `+90`, `+1.5m`, `2026-11-24T03:12:04Z`, `2026-11-24 03:12:04+01:00`, or seconds since 1970 as
/// `@1795547187.5`.
pub fn parse(text: &str) -> Result<Moment, Said> {
    if let Some(span) = text.strip_prefix('+') {
        let seconds = seconds(span).ok_or_else(|| {
            said!(
                "expected a span like +90, +2m, +1h or +3d, saw {text:?}",
                "应为时间段，如 +90、+2m、+1h 或 +3d，实为 {text:?}"
            )
        })?;
        return Ok(Moment::After(Nanos((seconds * 1e9) as u64)));
    }
    if let Some(epoch) = text.strip_prefix('@') {
        let seconds = epoch.parse().ok().filter(|seconds: &f64| seconds.abs() < MOST_SECONDS);
        let seconds = seconds.ok_or_else(|| {
            said!(
                "expected @SECONDS between the years 1678 and 2262, saw {text:?}",
                "应为 @秒数，在 1678 年到 2262 年之间，实为 {text:?}"
            )
        })?;
        return Ok(Moment::Absolute(Time((seconds * 1e9) as i64)));
    }
    let time: Result<jiff::Timestamp, _> = text.parse();
    match time {
        Ok(time) => {
            let nanos = i64::try_from(time.as_nanosecond()).map_err(|_| {
                said!(
                    "expected a date up to 2262, saw {text:?}",
                    "应为 2262 年以前的日期，实为 {text:?}"
                )
            })?;
            Ok(Moment::Absolute(Time(nanos)))
        }
        Err(_) => Err(said!(
            "expected +SECONDS, @SECONDS or a date with its zone like 2026-11-24T03:12:04Z, saw {text:?}",
            "应为 +秒数、@秒数，或带时区的日期如 2026-11-24T03:12:04Z，实为 {text:?}"
        )),
    }
}

/// A point in time as [`parse`] takes it.
pub fn shown(at: Time) -> String {
    jiff::Timestamp::from_nanosecond(at.0.into()).unwrap_or_default().to_string()
}

/// A span: seconds, or with `ms`, `s`, `m`, `h`, `d` behind the number.
pub fn seconds(text: &str) -> Option<f64> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let scale = match unit {
        "" | "s" => 1.0,
        "ms" => 1e-3,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|n| n * scale).filter(|s| (0.0..1e9).contains(s))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn spans_and_dates_are_read() {
        assert_eq!(parse("+1.5m").unwrap(), Moment::After(Nanos(90_000_000_000)));
        assert_eq!(parse("@7.5").unwrap(), Moment::Absolute(Time(7_500_000_000)));
        let date = parse("2026-11-24T04:12:04+01:00").unwrap();
        assert_eq!(date, parse("2026-11-24 03:12:04Z").unwrap());
        for bad in
            ["+", "+5y", "noon", "2026-11-24", "@x", "+-3", "@nan", "@inf", "@-inf", "@1e300"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
