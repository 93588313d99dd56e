//! What a decoder says when it can't go on.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::shown;

/// Input that could not be understood: where, what was expected, what was seen. `{}` says it in English, `{:#}` in Chinese.
///
/// ```
/// let malformed = plimsoll_wire::statistics::parse_proc(b"entries drop\n1 zz\n").unwrap_err();
/// assert_eq!(malformed.to_string(), "line 2, column `drop`: expected hexadecimal, saw \"zz\"");
/// assert_eq!(format!("{malformed:#}"), "第 2 行 `drop` 列：应为十六进制数，实为 \"zz\"");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Where.
    pub place: Place,
    /// What should stand there.
    pub expected: Expected,
    /// What stands there, cut to a readable length and cleaned of control characters.
    pub seen: String,
}

/// A place in what was read. Lines count from 1, bytes from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The whole input, which who read it names.
    Whole,
    /// A part that has a name: an attribute, a field, an option.
    Name(&'static str),
    /// A part that is told of in words, English and Chinese.
    Words(&'static [&'static str; 2]),
    /// A line.
    Line(usize),
    /// A line's column, by its heading.
    Column(usize, Box<str>),
    /// A line's column, from 1.
    Nth(usize, usize),
    /// A line's `key=`.
    Key(usize, Box<str>),
    /// A line of a file.
    File(Box<str>, u32),
    /// Two rows, by their names.
    Rows(Box<[String; 2]>),
    /// A byte of a netlink datagram.
    Byte(usize),
}

/// What should have stood there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// Something that has a name: an attribute, a word of the format.
    Name(&'static str),
    /// What is told of in words, English and Chinese.
    Words(&'static [&'static str; 2]),
    /// So many bytes.
    Bytes(usize),
}

impl Expected {
    /// A decimal number.
    pub const NUMBER: Self = Self::Words(&["a number", "数字"]);
    /// A number in hexadecimal.
    pub const HEXADECIMAL: Self = Self::Words(&["hexadecimal", "十六进制数"]);
    pub(crate) const TEXT: Self = Self::Words(&["text", "文本"]);
    pub(crate) const ONE_FAMILY: Self = Self::Words(&["one family", "同一地址族"]);
    pub(crate) const PROTOCOL: Self = Self::Words(&["a protocol's name", "协议名"]);
    pub(crate) const NFGENMSG: Self = Self::Words(&["4 bytes of nfgenmsg", "nfgenmsg 的 4 个字节"]);
}

impl Malformed {
    /// Cuts and cleans `seen`.
    pub fn new(place: impl Into<Place>, expected: Expected, seen: &[u8]) -> Self {
        let seen =
            String::from_utf8_lossy(&seen[..seen.len().min(60)]).chars().map(shown).collect();
        Self { place: place.into(), expected, seen }
    }
}

/// A name.
impl From<&'static str> for Place {
    fn from(name: &'static str) -> Self {
        Self::Name(name)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, f.alternate()) {
            (Self::Whole, _) => Ok(()),
            (Self::Name(name), _)
            | (Self::Words([name, _]), false)
            | (Self::Words([_, name]), true) => f.write_str(name),
            (Self::Line(line), false) => write!(f, "line {line}"),
            (Self::Line(line), true) => write!(f, "第 {line} 行"),
            (Self::Column(line, name), false) => write!(f, "line {line}, column `{name}`"),
            (Self::Column(line, name), true) => write!(f, "第 {line} 行 `{name}` 列"),
            (Self::Nth(line, column), false) => write!(f, "line {line}, column {column}"),
            (Self::Nth(line, column), true) => write!(f, "第 {line} 行第 {column} 列"),
            (Self::Key(line, key), false) => write!(f, "line {line}, `{key}`"),
            (Self::Key(line, key), true) => write!(f, "第 {line} 行 `{key}`"),
            (Self::File(file, line), false) => write!(f, "{file}, line {line}"),
            (Self::File(file, line), true) => write!(f, "{file} 第 {line} 行"),
            (Self::Rows(rows), false) => write!(f, "rows `{}` and `{}`", rows[0], rows[1]),
            (Self::Rows(rows), true) => write!(f, "`{}` 和 `{}` 两行", rows[0], rows[1]),
            (Self::Byte(at), false) => write!(f, "netlink datagram, byte {at}"),
            (Self::Byte(at), true) => write!(f, "netlink 数据报第 {at} 字节"),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, f.alternate()) {
            (Self::Name(name), _)
            | (Self::Words([name, _]), false)
            | (Self::Words([_, name]), true) => f.write_str(name),
            (Self::Bytes(1), false) => f.write_str("1 byte"),
            (Self::Bytes(n), false) => write!(f, "{n} bytes"),
            (Self::Bytes(n), true) => write!(f, "{n} 个字节"),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, expected, seen } = self;
        let whole = *place == Place::Whole;
        if f.alternate() {
            let colon = if whole { "" } else { "：" };
            // Latin letters and digits stand apart.
            let latin = match expected {
                Expected::Name(_) | Expected::Bytes(_) => true,
                Expected::Words([_, chinese]) => chinese.starts_with(|c: char| c.is_ascii()),
            };
            let blank = if latin { " " } else { "" };
            return write!(f, "{place:#}{colon}应为{blank}{expected:#}，实为 {seen:?}");
        }
        let colon = if whole { "" } else { ": " };
        write!(f, "{place}{colon}expected {expected}, saw {seen:?}")
    }
}

impl core::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn where_what_was_expected_and_what_was_seen_are_there_in_both_languages() {
        let column = |line, name: &str| Place::Column(line, name.into());
        let rows = Place::Rows(Box::new(["a".into(), "b".into()]));
        for (place, expected, english, chinese) in [
            (
                column(3, "found"),
                Expected::HEXADECIMAL,
                "line 3, column `found`: expected hexadecimal",
                "第 3 行 `found` 列：应为十六进制数",
            ),
            (
                Place::Nth(3, 2),
                Expected::NUMBER,
                "line 3, column 2: expected a number",
                "第 3 行第 2 列：应为数字",
            ),
            (
                Place::Key(1, "drop".into()),
                Expected::NUMBER,
                "line 1, `drop`: expected a number",
                "第 1 行 `drop`：应为数字",
            ),
            (
                Place::File("/etc/sysctl.conf".into(), 7),
                Expected::Name("`key = value`"),
                "/etc/sysctl.conf, line 7: expected `key = value`",
                "/etc/sysctl.conf 第 7 行：应为 `key = value`",
            ),
            (
                Place::Byte(16),
                Expected::Bytes(4),
                "netlink datagram, byte 16: expected 4 bytes",
                "netlink 数据报第 16 字节：应为 4 个字节",
            ),
            (
                "CTA_ID".into(),
                Expected::Bytes(1),
                "CTA_ID: expected 1 byte",
                "CTA_ID：应为 1 个字节",
            ),
            (
                rows,
                Expected::Words(&["equal sizes", "相同的大小"]),
                "rows `a` and `b`: expected equal sizes",
                "`a` 和 `b` 两行：应为相同的大小",
            ),
            (
                Place::Whole,
                Expected::Words(&["a line `TCP:`", "`TCP:` 一行"]),
                "expected a line `TCP:`",
                "应为 `TCP:` 一行",
            ),
        ] {
            let malformed = Malformed::new(place, expected, b"z\x1bz");
            assert_eq!(format!("{malformed}"), format!("{english}, saw \"z\u{fffd}z\""));
            assert_eq!(format!("{malformed:#}"), format!("{chinese}，实为 \"z\u{fffd}z\""));
        }
    }
}
