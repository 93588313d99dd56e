//! What the kernel makes of the text that is written to a key.
//!
//! Seen on 6.18 and 5.10 with systemd-sysctl 252 and procps 4.0.2 (docs/formats/boot.md): a number in the notation of C,
//! and blanks or the end behind it; what stands behind the blanks is passed over without a word.

use alloc::format;
use alloc::string::String;
use core::ops::RangeInclusive;

use plimsoll_ct::{Profile, Setting, Unit};

use crate::Said;

/// First release whose switches refuse what they don't know (Linux commit 8f14c99c7eda; seen on 5.10).
const SWITCHES_SINCE: (u16, u16) = (5, 2);
/// First release whose small numbers are one byte each.
const BYTES_SINCE: (u16, u16) = (5, 13);

/// Ticks in a second of the kernels that take the longest and the shortest times.
const HZ: RangeInclusive<u32> = 100..=1000;

/// What became of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is this number.
    Number(i64),
    /// It is this number, which some kernels take and others refuse, by their ticks.
    ByTicks(i64),
    /// The write fails, and the old value stays: why.
    Refused(Said),
}

/// What a person would not expect of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// What.
    pub what: Said,
    /// What to write instead.
    pub mend: Said,
}

/// The number that this kernel takes for the text, and what is odd about it if it is taken all the same.
/// `hz`: ticks in a second, where known.
pub fn taken(
    setting: &Setting,
    profile: &Profile,
    rank: (u16, u16),
    hz: Option<u32>,
    text: &str,
) -> (Taken, Option<Odd>) {
    let refused = |why: Said| (Taken::Refused(why), None);
    let text = text.trim();
    let (number, rest) = match written(text) {
        Ok(read) => read,
        Err(why) => return refused(why),
    };
    if let Some(why) = out_of_range(setting, profile, rank, hz, number) {
        return refused(why);
    }
    let everywhere = surely(setting, profile, rank, hz);
    if !everywhere.contains(&number) {
        return (Taken::ByTicks(number), Some(by_ticks(number, *everywhere.end())));
    }
    let odd = oddity(text, number, rest).map(|what| Odd {
        what,
        mend: said!("write it as a plain decimal number", "写成普通的十进制数"),
    });
    (Taken::Number(number), odd)
}

/// Characters of a number, its sign and its 0x among them, from which on the kernel takes it for none.
const TOO_LONG: usize = 21;

/// The number at the beginning of a text that is written to a key of one number, and what stands behind it, which the kernel passes over;
/// or why it refuses the text, whatever the key.
pub fn written(text: &str) -> Result<(i64, &str), Said> {
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    if text.is_empty() {
        return Err(said!("no value", "没有值"));
    }
    let (number, rest) = match number(text) {
        Ok(read) => read,
        Err(Wrong::NoNumber) => return Err(said!("{} is no number", "{} 不是数", quoted(text))),
        Err(Wrong::TooLarge) => {
            return Err(said!("{text} is larger than any value", "{text} 比任何值都大"));
        }
    };
    if !rest.is_empty() && !rest.starts_with([' ', '\t', '\n']) {
        return Err(trailing(text, rest));
    }
    let length = text.len() - rest.len();
    if length >= TOO_LONG {
        return Err(said!(
            "{} has {length} characters: the kernel takes {} at the most",
            "{} 有 {length} 个字符：内核最多接受 {} 个",
            quoted(text),
            TOO_LONG - 1
        ));
    }
    Ok((number, rest))
}

/// Why a text has no number at its beginning.
enum Wrong {
    NoNumber,
    TooLarge,
}

/// A number as C writes it: 0x for hexadecimal, 0 for octal. And what stands behind it.
fn number(text: &str) -> Result<(i64, &str), Wrong> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (radix, digits) = match hexadecimal {
        Some(rest) => (16, rest),
        None if digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    let length = digits.bytes().take_while(|b| char::from(*b).is_digit(radix)).count();
    if length == 0 {
        return Err(Wrong::NoNumber);
    }
    let value = i64::from_str_radix(&digits[..length], radix).map_err(|_| Wrong::TooLarge)?;
    Ok((if negative { -value } else { value }, &digits[length..]))
}

/// What is wrong with the characters that follow the number at once.
fn trailing(text: &str, rest: &str) -> Said {
    let text = quoted(text);
    match rest.as_bytes().first() {
        Some(b',' | b'_' | b'.' | b'\'') => {
            said!("{text} has a separator in it", "{text} 里有分隔符")
        }
        Some(b'0'..=b'9') => {
            said!(
                "{text} begins with 0, so it is octal, and is no octal number",
                "{text} 以 0 开头，所以是八进制，却不是八进制数"
            )
        }
        Some(b'#' | b';') => {
            said!("{text} has a remark right behind the number", "{text} 的数后面紧跟着注释")
        }
        Some(b) if b.is_ascii_alphabetic() => {
            said!(
                "{text} has a unit; the kernel takes bare numbers",
                "{text} 带着单位；内核只认纯数字"
            )
        }
        Some(_) | None => said!("{text} is no number", "{text} 不是数"),
    }
}

/// Why this kernel does not take a number for a setting.
pub fn out_of_range(
    setting: &Setting,
    profile: &Profile,
    rank: (u16, u16),
    hz: Option<u32>,
    number: i64,
) -> Option<Said> {
    // Without the tick rate only what every kernel refuses is refused.
    let longest = hz.unwrap_or(*HZ.start());
    let range = range(setting, profile, rank, longest);
    let (least, most) = (range.start(), range.end());
    if range.contains(&number) {
        None
    } else if setting.unit == Unit::Seconds && hz.is_none() {
        Some(said!(
            "{number} s is out of range: even a kernel of {longest} ticks in a second takes {least} to {most}",
            "{number} 秒超出范围：即使每秒 {longest} 个时钟滴答的内核，也只接受 {least} 到 {most}"
        ))
    } else if setting.unit == Unit::Bytes {
        Some(said!("{number} is negative", "{number} 是负数"))
    } else {
        Some(said!(
            "{number} is out of range: this kernel takes {least} to {most}",
            "{number} 超出范围：本内核接受 {least} 到 {most}"
        ))
    }
}

/// The numbers that this kernel takes for a setting. `hz`: ticks in a second.
pub fn range(
    setting: &Setting,
    profile: &Profile,
    rank: (u16, u16),
    hz: u32,
) -> RangeInclusive<i64> {
    const ANY: RangeInclusive<i64> = i32::MIN as i64..=i32::MAX as i64;
    match setting.unit {
        Unit::Bytes => 0..=i64::MAX,
        Unit::Seconds => {
            // Kept in ticks, in an int.
            let most = i64::from(i32::MAX) / i64::from(hz.max(1));
            -most..=most
        }
        Unit::Buckets => 1..=i64::from(i32::MAX),
        Unit::Entries if setting.name == "nf_conntrack_max" && !profile.zero_is_unlimited => {
            1..=i64::from(i32::MAX)
        }
        Unit::Entries => ANY,
        Unit::Switch | Unit::Packets => {
            switch_most(setting, profile, rank).map_or(ANY, |most| 0..=most)
        }
    }
}

/// The numbers that it takes whatever its ticks are, where they are not known.
pub fn surely(
    setting: &Setting,
    profile: &Profile,
    rank: (u16, u16),
    hz: Option<u32>,
) -> RangeInclusive<i64> {
    range(setting, profile, rank, hz.unwrap_or(*HZ.end()))
}

/// The largest value of a switch that is checked.
fn switch_most(setting: &Setting, profile: &Profile, rank: (u16, u16)) -> Option<i64> {
    let bytes = rank >= BYTES_SINCE;
    match setting.name {
        "nf_conntrack_log_invalid" => Some(255),
        "nf_conntrack_tcp_max_retrans" => bytes.then_some(255),
        // Since the extension is no longer always there, 2 means "when somebody listens".
        "nf_conntrack_events" if bytes && profile.extension_size.0 == 0 => Some(2),
        _ => (rank >= SWITCHES_SINCE).then_some(1),
    }
}

/// What a person would not expect of a value that is taken.
fn oddity(text: &str, number: i64, rest: &str) -> Option<Said> {
    let rest = rest.trim();
    if !rest.is_empty() && !rest.starts_with('#') {
        return Some(said!(
            "{} has a blank in it: the kernel takes {number} and passes over the rest",
            "{} 里有空格：内核取 {number}，其余的不看",
            quoted(text)
        ));
    }
    let digits = text.trim_start_matches('-').split([' ', '\t']).next().unwrap_or("");
    if digits.len() > 1 && digits.starts_with('0') && !digits.starts_with(['x', 'X']) {
        let kind = if digits[1..].starts_with(['x', 'X']) {
            said!("hexadecimal", "十六进制")
        } else {
            said!("octal", "八进制")
        };
        return Some(said!(
            "{digits} is {kind}: the kernel takes {number}",
            "{digits} 是{kind:#}：内核取 {number}"
        ));
    }
    if number < 0 {
        return Some(said!("{number} is negative, and taken", "{number} 是负数，内核照收"));
    }
    None
}

/// A time that kernels of many ticks refuse. `most`: what all take.
fn by_ticks(number: i64, most: i64) -> Odd {
    let ticks = HZ.end();
    Odd {
        what: said!(
            "{number} s is refused by kernels of {ticks} ticks in a second, and nothing tells how many this one has",
            "{number} 秒会被每秒 {ticks} 个时钟滴答的内核拒绝，而没有什么能说明本内核有多少"
        ),
        mend: said!("write at most {most}", "最多写 {most}"),
    }
}

/// Text in quotes, with what a terminal would obey escaped, cut to a length that fits a line.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(24).collect();
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use plimsoll_ct::KernelVersion;

    use super::*;

    fn on(release: &str, key: &str, text: &str) -> (Taken, Option<Odd>) {
        let version = KernelVersion::parse(release).expect("a release");
        let setting = Setting::find(key).expect("a setting");
        taken(setting, Profile::of(&version), version.rank(), Some(250), text)
    }

    fn value(text: &str) -> Option<i64> {
        match on("6.18.2", "nf_conntrack_tcp_timeout_close_wait", text).0 {
            Taken::Number(n) => Some(n),
            Taken::ByTicks(_) | Taken::Refused(_) => None,
        }
    }

    /// Each of them was written to a running 6.18 (250 ticks) by systemd-sysctl and by procps.
    #[test]
    fn texts_are_taken_and_refused_as_the_kernel_does() {
        for (text, number) in [
            ("600", Some(600)),
            ("600s", None),
            ("1e6", None),
            ("65_536", None),
            ("65,536", None),
            ("600 # c", Some(600)),
            ("600;", None),
            ("0x10", Some(16)),
            ("010", Some(8)),
            ("-1", Some(-1)),
            ("4294967296", None),
            ("8589934", Some(8_589_934)),
            ("8589935", None),
            ("", None),
            ("600 700", Some(600)),
            ("\"600\"", None),
            ("abc", None),
            ("0", Some(0)),
            ("+5", None),
            (" 600 ", Some(600)),
            ("0X10", Some(16)),
            ("-010", Some(-8)),
            ("08", None),
            ("0x", None),
            ("- 5", None),
            ("00000000000000000010", Some(8)),
            ("000000000000000000010", None),
        ] {
            assert_eq!(value(text), number, "{text}");
        }
    }

    #[test]
    fn switches_are_checked_since_5_2_and_were_any_number_before() {
        let number = |release, key, text| match on(release, key, text).0 {
            Taken::Number(n) => Some(n),
            Taken::ByTicks(_) | Taken::Refused(_) => None,
        };
        for key in ["nf_conntrack_tcp_loose", "nf_conntrack_acct", "nf_conntrack_checksum"] {
            assert_eq!(number("6.18.2", key, "2"), None);
            assert_eq!(number("5.10.0", key, "2"), None);
            assert_eq!(number("5.1.0", key, "2"), Some(2));
        }
        assert_eq!(number("5.10.0", "nf_conntrack_events", "2"), None);
        assert_eq!(number("6.18.2", "nf_conntrack_events", "2"), Some(2));
        assert_eq!(number("6.18.2", "nf_conntrack_events", "3"), None);
        assert_eq!(number("6.18.2", "nf_conntrack_tcp_max_retrans", "256"), None);
        assert_eq!(number("5.10.0", "nf_conntrack_tcp_max_retrans", "256"), Some(256));
        assert_eq!(number("6.18.2", "nf_conntrack_log_invalid", "255"), Some(255));
    }

    #[test]
    fn a_number_with_blanks_in_it_is_only_its_first_part() {
        let (taken, odd) = on("6.12.1", "nf_conntrack_max", "262 144");
        assert_eq!(taken, Taken::Number(262));
        assert!(odd.is_some_and(|o| o.what.contains("takes 262 and passes over the rest")));
        assert_eq!(on("6.12.1", "nf_conntrack_max", "262144 # big").1, None);
        assert!(
            on("6.12.1", "nf_conntrack_max", "0262144").1.is_some_and(|o| o.what.contains("octal"))
        );
    }

    /// Written to a running 6.18 of 250 ticks: 8589934 is taken, 8589935 refused.
    #[test]
    fn how_long_a_time_may_be_hangs_on_the_ticks() {
        let version = KernelVersion::parse("6.18.2").expect("a release");
        let setting = Setting::find("nf_conntrack_udp_timeout").expect("a setting");
        let on = |hz, text| taken(setting, Profile::of(&version), version.rank(), hz, text);
        let why = |hz, text| match on(hz, text).0 {
            Taken::Refused(why) => why,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(on(Some(250), "8589934"), (Taken::Number(8_589_934), None));
        assert!(why(Some(250), "8589935").contains("this kernel takes -8589934 to 8589934"));
        assert_eq!(on(None, "2147483"), (Taken::Number(2_147_483), None));
        for text in ["2147484", "10000000", "-2147484"] {
            let (taken, odd) = on(None, text);
            assert_eq!(taken, Taken::ByTicks(text.parse().expect("a number")));
            assert!(odd.is_some_and(|o| o.mend == "write at most 2147483"));
        }
        assert!(why(None, "21474837").contains("even a kernel of 100 ticks in a second takes"));
    }

    #[test]
    fn no_limit_is_refused_where_there_must_be_one() {
        assert_eq!(on("6.18.2", "nf_conntrack_max", "0").0, Taken::Number(0));
        assert!(matches!(on("7.1.0", "nf_conntrack_max", "0").0, Taken::Refused(_)));
    }
}
