//! Points in time as people and JSON write them.

use alloc::format;
use alloc::string::String;

use plimsoll_ct::Time;

/// Year, month, day of a day number since 1970-01-01 (proleptic Gregorian calendar).
///
/// Counts in years that begin in March, so that the leap day is the last.
const fn date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + (month <= 2) as i64;
    (year, month, day)
}

/// Day number since 1970-01-01 of a date.
const fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// `2026-11-22 03:12:07`, at an offset of so many minutes east of Greenwich, rounded down.
pub(crate) fn wall_clock(at: Time, offset_minutes: i16) -> String {
    let secs = at.secs() + i64::from(offset_minutes) * 60;
    let (year, month, day) = date(secs.div_euclid(86_400));
    let of_day = secs.rem_euclid(86_400);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// RFC 3339 in UTC: `2026-11-22T03:12:07Z`, with as many decimals of the second as it has.
pub(crate) fn rfc3339(at: Time) -> String {
    let mut out = wall_clock(at, 0).replacen(' ', "T", 1);
    let nanos = at.0.rem_euclid(1_000_000_000);
    if nanos != 0 {
        let decimals = format!(".{nanos:09}");
        out.push_str(decimals.trim_end_matches('0'));
    }
    out.push('Z');
    out
}

/// Reads what [`rfc3339`] writes; other offsets than `Z` are accepted too.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Time> {
    let number = |range: core::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    let is = |at: usize, wanted: &[u8]| text.as_bytes().get(at).is_some_and(|b| wanted.contains(b));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let day_count = day_number(year, month, day);
    if date(day_count) != (year, month, day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut nanos = 0;
    if let Some(after) = rest.strip_prefix('.') {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let (decimals, after) = after.split_at(digits);
        let decimals = decimals.get(..9).unwrap_or(decimals);
        let scale = 10_i64.pow(9 - decimals.len() as u32);
        nanos = decimals.parse::<i64>().ok()? * scale;
        rest = after;
    }
    let offset = match rest.as_bytes() {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2]
            if [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) =>
        {
            let two = |a: u8, b: u8| i64::from(a - b'0') * 10 + i64::from(b - b'0');
            let minutes = two(*h1, *h2) * 60 + two(*m1, *m2);
            if *sign == b'-' { -minutes * 60 } else { minutes * 60 }
        }
        _ => return None,
    };
    let secs = day_count * 86_400 + hour * 3600 + minute * 60 + second - offset;
    let nanos = i128::from(secs) * 1_000_000_000 + i128::from(nanos);
    i64::try_from(nanos).ok().map(Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_day_is_written_and_read() {
        let at = Time::from_secs(1_709_210_096);
        assert_eq!(rfc3339(at), "2024-02-29T12:34:56Z");
        assert_eq!(parse_rfc3339("2024-02-29T12:34:56Z"), Some(at));
    }

    #[test]
    fn decimals_of_the_second_survive() {
        let at = Time(1_709_210_096_000_000_000 + 120_000_001);
        assert_eq!(rfc3339(at), "2024-02-29T12:34:56.120000001Z");
        assert_eq!(parse_rfc3339(&rfc3339(at)), Some(at));
    }

    #[test]
    fn times_before_1970_survive() {
        for nanos in [-1, -1_500_000_000, i64::MIN, i64::MAX, 0, 951_782_400_000_000_000] {
            assert_eq!(parse_rfc3339(&rfc3339(Time(nanos))), Some(Time(nanos)), "{nanos}");
        }
    }

    #[test]
    fn an_offset_is_taken_off() {
        assert_eq!(
            parse_rfc3339("2026-11-22T04:12:07+01:00"),
            parse_rfc3339("2026-11-22T03:12:07Z")
        );
    }

    #[test]
    fn dates_that_do_not_exist_are_refused() {
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-22T25:00:00Z",
            "2026-11-22T03:12:07",
            "2026-11-22T03:12:07+é1:0",
            "9999-12-31T23:59:59Z",
            "2026-11-22",
            "",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn the_wall_clock_of_an_offset_may_be_another_day() {
        let at = Time::from_secs(1_709_164_800);
        assert_eq!(wall_clock(at, 0), "2024-02-29 00:00:00");
        assert_eq!(wall_clock(at, -90), "2024-02-28 22:30:00");
    }
}
