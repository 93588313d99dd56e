//! The time at the head of a line, as it is written there.

use plimsoll_ct::{Nanos, TimeRange};

use super::bytes::{fixed, fraction, number, word};

/// A date and time of day without a zone, and maybe without a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Year; old syslog writes none.
    pub year: Option<i16>,
    /// 1 to 12.
    pub month: i8,
    /// 1 to 31.
    pub day: i8,
    /// 0 to 23.
    pub hour: i8,
    /// 0 to 59.
    pub minute: i8,
    /// 0 to 60.
    pub second: i8,
    /// Nanoseconds of the second.
    pub nanos: u32,
    /// The unit of the last digit written: a stamp in whole seconds says nothing finer.
    pub unit: Nanos,
}

/// The time at the head of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// `[  123.456789]`, or the microseconds of a /dev/kmsg record: the kernel's own clock, which
    /// started at boot, stands still while the machine sleeps, and is not steered by NTP.
    SinceBoot(Nanos),
    /// Told with its zone, or as seconds since 1970.
    Known(TimeRange),
    /// Told in the host's local time.
    Local(Civil),
    /// `dmesg -T`: since-boot stamps turned into local time when dmesg ran.
    Computed(Civil),
}

/// A stamp that a log keeper writes before a line, and the rest after one blank.
///
/// RFC 3339 in all its relatives, `Nov 22 03:12:07` with or without a year, `Sun Nov 22 03:12:07 2026`
/// (BusyBox), `Sun 2026-11-22 03:12:07 UTC` (journalctl -o short-full), seconds since 1970.
pub(super) fn keeper(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let (stamp, rest) = iso(text)
        .or_else(|| traditional(text))
        .or_else(|| with_weekday(text))
        .or_else(|| unix(text))?;
    Some((stamp, rest.strip_prefix(b" ")?))
}

/// `Sun Nov 22 03:12:07 2026`, as between the brackets of `dmesg -T`.
pub(super) fn ctime(text: &[u8]) -> Option<(Civil, &[u8])> {
    let (_, rest) = weekday(text)?;
    let (mut civil, rest) = month_day_time(rest)?;
    let (year, rest) = fixed(rest.strip_prefix(b" ")?, 4)?;
    civil.year = Some(i16::try_from(year).ok()?);
    Some((civil, rest))
}

/// `2026-11-22T03:12:07.123456+01:00`; `T` may be a blank, the point a comma, the zone `Z`, `+0100`
/// or absent.
pub(super) fn iso(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let (civil, rest) = date_and_time(text)?;
    if let Some(rest) = rest.strip_prefix(b"Z") {
        return Some((Stamp::Known(super::clock::at_offset(&civil, 0)?), rest));
    }
    let sign = match rest.first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return Some((Stamp::Local(civil), rest)),
    };
    let (hours, rest) = fixed(&rest[1..], 2)?;
    let (minutes, rest) = fixed(rest.strip_prefix(b":").unwrap_or(rest), 2)?;
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    Some((Stamp::Known(super::clock::at_offset(&civil, sign * seconds)?), rest))
}

/// `Nov 22 03:12:07`, `Nov 22 2026 03:12:07`, `2026 Nov 22 03:12:07`.
fn traditional(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let (year, rest) = match fixed(text, 4) {
        Some((year, rest)) => (Some(i16::try_from(year).ok()?), rest.strip_prefix(b" ")?),
        None => (None, text),
    };
    let (mut civil, rest) = month_day_time(rest)?;
    if year.is_some() {
        civil.year = year;
    }
    Some((Stamp::Local(civil), rest))
}

/// `Sun Nov 22 03:12:07 2026` or `Sun 2026-11-22 03:12:07 CET`.
fn with_weekday(text: &[u8]) -> Option<(Stamp, &[u8])> {
    if let Some((civil, rest)) = ctime(text) {
        return Some((Stamp::Local(civil), rest));
    }
    let (_, rest) = weekday(text)?;
    let (civil, rest) = date_and_time(rest)?;
    let rest = rest.strip_prefix(b" ")?;
    let (zone, _) = word(rest);
    let rest = &rest[zone.len()..];
    // Other abbreviations are ambiguous over the world; the host's own zone decides.
    let stamp = match zone {
        b"UTC" | b"GMT" => Stamp::Known(super::clock::at_offset(&civil, 0)?),
        _ => Stamp::Local(civil),
    };
    Some((stamp, rest))
}

/// `1763780000.123456` (journalctl -o short-unix).
fn unix(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let (secs, rest) = number(text)?;
    let (nanos, unit, rest) = fraction(rest.strip_prefix(b".")?)?;
    if !(100_000_000..=9_999_999_999).contains(&secs) {
        return None;
    }
    let start = plimsoll_ct::Time::from_secs(i64::try_from(secs).ok()?).plus(Nanos(nanos));
    Some((Stamp::Known(TimeRange { earliest: start, latest: start.plus(Nanos(unit - 1)) }), rest))
}

fn date_and_time(text: &[u8]) -> Option<(Civil, &[u8])> {
    let (year, rest) = fixed(text, 4)?;
    let (month, rest) = fixed(rest.strip_prefix(b"-")?, 2)?;
    let (day, rest) = fixed(rest.strip_prefix(b"-")?, 2)?;
    let rest = rest.strip_prefix(b"T").or_else(|| rest.strip_prefix(b" "))?;
    let (mut civil, rest) = time_of_day(rest)?;
    civil.year = Some(i16::try_from(year).ok()?);
    civil.month = i8::try_from(month).ok()?;
    civil.day = i8::try_from(day).ok()?;
    Some((civil, rest))
}

/// `Nov 22 03:12:07`, `Nov  2 03:12:07`, `Nov 2 2026 03:12:07`.
fn month_day_time(text: &[u8]) -> Option<(Civil, &[u8])> {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let name = text.get(..3)?;
    let month = MONTHS.chunks(3).position(|month| month == name)?;
    let rest = text[3..].strip_prefix(b" ")?.trim_ascii_start();
    let (day, rest) = number(rest)?;
    let rest = rest.strip_prefix(b" ")?;
    let (year, rest) = match fixed(rest, 4) {
        Some((year, rest)) => (Some(i16::try_from(year).ok()?), rest.strip_prefix(b" ")?),
        None => (None, rest),
    };
    let (mut civil, rest) = time_of_day(rest)?;
    civil.year = year;
    civil.month = i8::try_from(month).ok()? + 1;
    civil.day = i8::try_from(day).ok()?;
    Some((civil, rest))
}

fn time_of_day(text: &[u8]) -> Option<(Civil, &[u8])> {
    let (hour, rest) = fixed(text, 2)?;
    let (minute, rest) = fixed(rest.strip_prefix(b":")?, 2)?;
    let (second, rest) = fixed(rest.strip_prefix(b":")?, 2)?;
    let point = rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b","));
    let (nanos, unit, rest) = match point.and_then(fraction) {
        Some((nanos, unit, rest)) => (nanos, unit, rest),
        None => (0, 1_000_000_000, rest),
    };
    let civil = Civil {
        year: None,
        month: 1,
        day: 1,
        hour: i8::try_from(hour).ok()?,
        minute: i8::try_from(minute).ok()?,
        second: i8::try_from(second).ok()?,
        nanos: u32::try_from(nanos).ok()?,
        unit: Nanos(unit),
    };
    Some((civil, rest))
}

fn weekday(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (day, rest) = word(text);
    let known: &[&[u8]] = &[b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
    known.contains(&day).then_some((day, rest))
}

/// Seconds with a fraction, `123.456789`, of the kernel's clock.
pub(super) fn since_boot(text: &[u8]) -> Option<(Nanos, &[u8])> {
    let (secs, rest) = number(text)?;
    let (nanos, _, rest) = fraction(rest.strip_prefix(b".")?)?;
    Some((Nanos(secs.checked_mul(1_000_000_000)?.checked_add(nanos)?), rest))
}
