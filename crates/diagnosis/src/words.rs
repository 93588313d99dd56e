//! Numbers and foreign words as they stand in a sentence.
//!
//! Text from outside (names, rules, log lines) passes through [`clean`] before it enters a sentence or
//! a command: a control character there could write on somebody's terminal or start a second command.

use alloc::format;
use alloc::string::{String, ToString};

use plimsoll_ct::Bytes;
use plimsoll_wire::{is_hidden, shown};

use crate::Said;

/// `65536` as `65,536`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

/// A count with its noun: `1 packet`, `3 packets`.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// A count with its noun in both languages: `3 packets`, `3 个包`.
pub(crate) fn many(n: u64, one: &str, many: &str, chinese: &str) -> Said {
    Said::new(counted(n, one, many), format!("{} {chinese}", count(n)))
}

/// `0.973` as `97 %`; a share that is not quite all never reads as 100 %.
pub(crate) fn share(part: f64) -> Said {
    let percent = part * 100.0;
    if percent > 0.0 && percent < 1.0 {
        return Said::of("under 1 %", "不到 1 %");
    }
    if percent > 99.0 && percent < 100.0 {
        return Said::name("99 %");
    }
    Said::name(format!("{percent:.0} %"))
}

/// A rate: `0.4`, `7.0`, `1,240`.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second < 9.95 { format!("{per_second:.1}") } else { count(rounded(per_second)) }
}

/// Seconds as a person says them, in two units at most: `0.4 s`, `45 s`, `4 min 10 s`, `3 h 12 min`, `5 d 3 h`; `–` for
/// what is no span.
pub fn span(seconds: f64) -> Said {
    if !seconds.is_finite() || seconds < 0.0 {
        return Said::name("–");
    }
    if seconds < 9.95 {
        let decimals = if seconds < 0.1 { 2 } else { 1 };
        let s = format!("{seconds:.decimals$}");
        let s = s.trim_end_matches(".00").trim_end_matches(".0");
        return said!("{s} s", "{s} 秒");
    }
    let s = rounded(seconds);
    let (minutes, hours, days) = (s / 60, s / 3600, count(s / 86_400));
    match (s, s % 60, minutes % 60, hours % 24) {
        (0..60, ..) => said!("{s} s", "{s} 秒"),
        (60..3600, 0, ..) => said!("{minutes} min", "{minutes} 分钟"),
        (60..3600, s, ..) => said!("{minutes} min {s} s", "{minutes} 分钟 {s} 秒"),
        (3600..86_400, _, 0, _) => said!("{hours} h", "{hours} 小时"),
        (3600..86_400, _, minutes, _) => {
            said!("{hours} h {minutes} min", "{hours} 小时 {minutes} 分钟")
        }
        (.., 0) => said!("{days} d", "{days} 天"),
        (.., hours) => said!("{days} d {hours} h", "{days} 天 {hours} 小时"),
    }
}

/// Bytes in binary units, in at most four digits: `512 B`, `19.9 MiB`, `204 MiB`, `2.0 GiB`.
pub fn bytes(Bytes(n): Bytes) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    // What would be rounded to 1024 is one of the next.
    while value >= 1023.5
        && let Some(next) = units.next()
    {
        (value, unit) = (value / 1024.0, Some(next));
    }
    let decimals = usize::from(value < 99.95);
    format!("{value:.decimals$} {}", unit.unwrap_or(&""))
}

/// Nearest whole number of a value that is not negative; `core` has no `round`.
pub(crate) fn rounded(value: f64) -> u64 {
    (value + 0.5) as u64
}

/// `base` to the power of a whole number, by squaring; `core` has no `powf`.
pub(crate) fn power(base: f64, exponent: u64) -> f64 {
    let (mut result, mut square, mut n) = (1.0, base, exponent);
    while n > 0 {
        if n & 1 == 1 {
            result *= square;
        }
        square *= square;
        n >>= 1;
    }
    result
}

/// Foreign text without what could steer a terminal or hide.
pub(crate) fn clean(text: &str) -> String {
    const LONGEST: usize = 400;
    text.chars().take(LONGEST).map(shown).collect()
}

/// Foreign text as one word of a POSIX shell; `None` when no word can stand for it safely.
pub fn shell_word(text: &str) -> Option<String> {
    if text.is_empty() || text.starts_with('-') || text.len() > 255 || text.chars().any(is_hidden) {
        return None;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@%+=,".contains(c);
    if text.chars().all(plain) {
        return Some(text.to_string());
    }
    Some(format!("'{}'", text.replace('\'', "'\\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(65_536), "65,536");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(rate(0.44), "0.4");
        assert_eq!(rate(1239.6), "1,240");
        assert_eq!(share(0.973), "97 %");
        assert_eq!(share(0.999), "99 %");
        assert_eq!(share(1.0), "100 %");
        assert_eq!(share(0.004), "under 1 %");
        for (n, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (64 << 20, "64.0 MiB"),
            (20_866_662, "19.9 MiB"),
            ((100 << 20) - 1, "100 MiB"),
            ((1 << 30) - 1, "1.0 GiB"),
            (2011 << 20, "2.0 GiB"),
            (64 << 40, "64.0 TiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(Bytes(n)), text);
        }
    }

    #[test]
    fn spans_read_in_two_units_at_most() {
        for (seconds, english, chinese) in [
            (0.0, "0 s", "0 秒"),
            (0.05, "0.05 s", "0.05 秒"),
            (0.44, "0.4 s", "0.4 秒"),
            (3.0, "3 s", "3 秒"),
            (52.4, "52 s", "52 秒"),
            (61.0, "1 min 1 s", "1 分钟 1 秒"),
            (250.0, "4 min 10 s", "4 分钟 10 秒"),
            (1800.0, "30 min", "30 分钟"),
            (3600.0, "1 h", "1 小时"),
            (11_520.0, "3 h 12 min", "3 小时 12 分钟"),
            (90_000.0, "1 d 1 h", "1 天 1 小时"),
            (432_000.0, "5 d", "5 天"),
            (f64::NAN, "–", "–"),
        ] {
            let said = span(seconds);
            assert_eq!((&*said, &*format!("{said:#}")), (english, chinese));
        }
    }

    #[test]
    fn a_power_by_squaring_is_the_product() {
        assert!((power(0.5, 10) - 1.0 / 1024.0).abs() < 1e-12);
        assert!((power(3.0, 0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_hostile_name_is_quoted_or_refused() {
        assert_eq!(shell_word("web-1").as_deref(), Some("web-1"));
        assert_eq!(shell_word("a b").as_deref(), Some("'a b'"));
        assert_eq!(shell_word("a'; reboot #").as_deref(), Some("'a'\\''; reboot #'"));
        assert_eq!(shell_word("-rf"), None);
        assert_eq!(shell_word("a\nreboot"), None);
        assert_eq!(shell_word("web\u{200b}1"), None, "what is not seen is not typed");
        assert_eq!(clean("a\u{1b}[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
    }
}
