//! When the host was saved, and when it had been started.

use jiff::civil::DateTime;
use plimsoll_ct::{Nanos, Seconds, Time, TimeRange};
use plimsoll_diagnosis::facts::{Fact, Source};
use plimsoll_wire::log::Zone;

use super::read::{Saved, not_collected};
use crate::files::Files;
use crate::log;

const SECOND: Nanos = Nanos(1_000_000_000);

/// Files that are written until the host stops, or while it is saved. Their time of change is a lower
/// bound of the time of saving.
const LATE: &[&str] = &[
    "/proc/version",
    "/proc/meminfo",
    "/proc/slabinfo",
    "/proc/modules",
    "/var/log/messages",
    "/var/log/syslog",
    "/var/log/kern.log",
    "/var/log/dmesg",
    "/sos_commands/kernel/uname_-a",
];

/// The best guess at when the host was saved: what `date` printed, else the latest change of what is
/// written last, else now.
pub(super) fn saved_at(saved: &Saved<'_>) -> Time {
    let utc = ["/sos_commands/date/date_--utc", "/sos_commands/date/date_-u", "/date"];
    let local = ["/sos_commands/date/date", "/sos_commands/general/date", "/date"];
    for path in utc.into_iter().chain(local) {
        if let Some(date) = saved.text(path).ok().and_then(|text| Date::read(&text))
            && date.is_utc()
        {
            return date.naive();
        }
    }
    let changed = match saved.files {
        Files::Archive(archive) => archive.newest(),
        Files::Directory(_) => {
            let journal = log::journal_files(saved.files);
            let late = LATE.iter().copied().chain(journal.iter().map(String::as_str));
            late.filter_map(|path| saved.files.modified(path).ok()).max()
        }
    };
    // A tree unpacked without its times is as old as the epoch.
    changed.filter(|time| time.secs() > 86_400).unwrap_or_else(now)
}

/// How far the host's local time was from UTC, from what `date` and `date --utc` printed.
pub(super) fn offset(saved: &Saved<'_>) -> Option<Zone> {
    let date = |name: &str| Date::read(&saved.text(&format!("/sos_commands/date/{name}")).ok()?);
    let (local, utc) = (date("date")?, date("date_--utc")?);
    // The two ran one after the other; offsets are whole quarters of an hour.
    let apart = local.naive().secs() - utc.naive().secs();
    let quarters = (apart as f64 / 900.0).round() as i32;
    (quarters.abs() <= 14 * 4).then_some(Zone::Fixed(quarters * 900))
}

/// Time since boot.
pub(super) fn uptime(saved: &Saved<'_>) -> Fact<Seconds> {
    let paths = [
        "/proc/uptime",
        "/sos_commands/host/uptime",
        "/sos_commands/general/uptime",
        "/sos_commands/kernel/uptime",
    ];
    for path in paths {
        let Ok(text) = saved.text(path) else { continue };
        let seconds = match path {
            "/proc/uptime" => text.split('.').next().and_then(|n| n.trim().parse().ok()),
            _ => printed_uptime(&text),
        };
        if let Some(seconds) = seconds {
            return Fact::known(Seconds(seconds), Source::name(path));
        }
    }
    not_collected(&paths)
}

/// When the kernel's clock was zero.
pub(super) fn boot(saved: &Saved<'_>, at: Time, uptime: &Fact<Seconds>) -> Option<TimeRange> {
    if let Ok(text) = saved.text("/proc/stat")
        && let Some(line) = text.lines().find_map(|line| line.strip_prefix("btime "))
        && let Ok(secs) = line.trim().parse::<i64>()
    {
        return Some(TimeRange::around(Time::from_secs(secs), SECOND));
    }
    let seconds = uptime.get()?.0;
    let boot = at.minus(Nanos(seconds.saturating_mul(SECOND.0)));
    // `uptime` prints minutes, and the commands of a report run minutes apart.
    Some(TimeRange { earliest: boot.minus(Nanos(120 * SECOND.0)), latest: boot.plus(SECOND) })
}

/// `01:34:05 up 12 days,  3:04,  1 user,  load average: …`
fn printed_uptime(text: &str) -> Option<u64> {
    let (_, rest) = text.lines().next()?.split_once(" up ")?;
    let mut seconds = 0_u64;
    let mut found = false;
    let mut words = rest.split([' ', ',']).filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        if let Some((hours, minutes)) = word.split_once(':') {
            let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
            return Some(seconds + hours.min(1 << 20) * 3600 + minutes.min(59) * 60);
        }
        let Ok(number) = word.parse::<u64>() else { break };
        let unit = match words.next()? {
            day if day.starts_with("day") => 86_400,
            hour if hour.starts_with("hour") || hour == "hr" => 3600,
            minute if minute.starts_with("min") => 60,
            second if second.starts_with("sec") => 1,
            // `1 user`: the span is told.
            _ => break,
        };
        seconds = seconds.saturating_add(number.saturating_mul(unit));
        found = true;
    }
    found.then_some(seconds)
}

/// What `date` printed.
struct Date {
    at: DateTime,
    zone: Option<String>,
}

impl Date {
    /// `Mon Nov 23 01:34:05 UTC 2026`, and the forms of other locales that have the same words in
    /// another order (`Mon 23 Nov 2026 01:34:05 AM CET`).
    fn read(text: &str) -> Option<Self> {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        let line = text.lines().find(|line| !line.trim().is_empty())?;
        let (mut year, mut month, mut day, mut clock, mut zone) = (None, None, None, None, None);
        let mut noon = None;
        for word in line.split_whitespace().map(|word| word.trim_end_matches(',')) {
            if let Some(at) = MONTHS.iter().position(|name| *name == word) {
                month = i8::try_from(at + 1).ok();
            } else if DAYS.contains(&word) {
            } else if word.contains(':') {
                clock = Some(word);
            } else if let Ok(number) = word.parse::<i16>() {
                if word.len() == 4 { year = Some(number) } else { day = i8::try_from(number).ok() }
            } else if matches!(word, "AM" | "PM") {
                noon = Some(word == "PM");
            } else {
                zone = Some(word.to_owned());
            }
        }
        let mut parts = clock?.split(':').map(|part| part.parse::<i8>().ok());
        let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
        let hour = match noon {
            Some(after) => hour % 12 + if after { 12 } else { 0 },
            None => hour,
        };
        let at = DateTime::new(year?, month?, day?, hour, minute, second.min(59), 0).ok()?;
        Some(Self { at, zone })
    }

    fn is_utc(&self) -> bool {
        self.zone.as_deref().is_some_and(|zone| matches!(zone, "UTC" | "GMT" | "Z"))
    }

    /// The time as if it had been told in UTC.
    fn naive(&self) -> Time {
        let secs = jiff::tz::Offset::UTC.to_timestamp(self.at).map_or(0, |at| at.as_second());
        Time::from_secs(secs)
    }
}

fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Time::from_secs(since.map_or(0, |span| i64::try_from(span.as_secs()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_form_of_date_is_the_same_second() {
        for text in [
            "Mon Nov 23 01:34:05 UTC 2026\n",
            "Mon 23 Nov 2026 01:34:05 AM UTC",
            "Mon Nov 23 01:34:05 AM UTC 2026",
        ] {
            let date = Date::read(text).unwrap();
            assert!(date.is_utc());
            assert_eq!(date.naive().secs(), 1_795_397_645, "{text}");
        }
        assert!(!Date::read("Mon Nov 23 02:34:05 CET 2026").unwrap().is_utc());
        for text in [
            "",
            "date: command not found",
            "Mon Nov 99 01:34:05 UTC 2026",
            "1:2",
            "Nov 2026 1 a:b:c",
        ] {
            assert!(Date::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn every_form_of_uptime_is_read() {
        for (text, seconds) in [
            (" 01:34:05 up 57 min,  0 user,  load average: 1.88, 1.53, 0.87", 57 * 60),
            (
                " 03:12:07 up 12 days,  3:04,  1 user,  load average: 0.00",
                12 * 86_400 + 3 * 3600 + 240,
            ),
            (" 03:12:07 up 1 day, 5 min,  2 users,  load average: 0.00", 86_400 + 300),
            (" 03:12:07 up  3:04,  2 users,  load average: 0.00", 3 * 3600 + 240),
        ] {
            assert_eq!(printed_uptime(text), Some(seconds), "{text}");
        }
        assert_eq!(printed_uptime("sh: uptime: not found"), None);
    }
}
