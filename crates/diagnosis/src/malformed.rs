//! What a decoder could not understand, in both languages. Names of fields and structures stay as they are.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_wire::Malformed;

use crate::Said;

impl From<&Malformed> for Said {
    fn from(malformed: &Malformed) -> Self {
        let Malformed { place, expected, seen } = malformed;
        let place: Vec<String> = place.split(", ").map(part).collect();
        let expected = chinese(expected);
        let place = place.join(" ");
        let colon = if place.is_empty() { "" } else { "：" };
        let chinese = format!("{}{colon}应为{expected}，实为 {seen:?}", place.trim_start());
        Self::new(malformed.to_string(), chinese)
    }
}

impl From<Malformed> for Said {
    fn from(malformed: Malformed) -> Self {
        (&malformed).into()
    }
}

/// A part of a place: `line 3`, ``column `found` ``, `byte 12`; all else is a name.
fn part(english: &str) -> String {
    match english.split_once(' ') {
        Some(("line", n)) => format!("第 {n} 行"),
        Some(("column", name)) => format!("{name} 列"),
        Some(("byte", n)) => format!("第 {n} 字节"),
        Some(_) | None => match english {
            "addresses" => "地址".into(),
            "attribute" => "属性".into(),
            "protocol" => "协议".into(),
            "protocol number" => "协议号".into(),
            "listing line" => "列表中的一行".into(),
            "conntrack -A line" => "conntrack -A 的一行".into(),
            "ctnetlink message" => "ctnetlink 消息".into(),
            "netlink datagram" => "netlink 数据报".into(),
            name => name.into(),
        },
    }
}

/// What was expected. Of what is not in here the English is shown: a name, as of an attribute.
fn chinese(expected: &str) -> String {
    let known = match expected {
        "hexadecimal" => "十六进制数",
        "a number" => "数字",
        "text" => "文本",
        "an entry" => "条目",
        "a protocol" => "协议",
        "a protocol's name" => "协议名",
        "one family" => "同一地址族",
        "two tuples" => "两个元组",
        "the line's end" => "行尾",
        "table name and colon" => "表名和冒号",
        "slabinfo version 2" => "slabinfo 第 2 版",
        "nft's JSON" => "nft 的 JSON",
        "module name and size" => "模块名和大小",
        "equal sizes" => "相同的大小",
        "column names" => "列名",
        "column names, `entries` among them" => "列名，其中有 `entries`",
        "a value for each column" => "每列一个值",
        "as many values as names" => "与名字一样多的值",
        "a row of values" => "一行值",
        "a line of values below" => "下面一行值",
        "a line `TCP:`" => "`TCP:` 一行",
        "a line `MemTotal: N kB`" => "`MemTotal: N kB` 一行",
        "an address in hexadecimal" => "十六进制的地址",
        "two addresses in hexadecimal" => "两个十六进制的地址",
        "`cpu=` or a counter's name" => "`cpu=` 或计数器名",
        "a known kind" => "已知的种类",
        "the magic number eb9f in this machine's byte order" => "本机字节序的魔数 eb9f",
        "4 bytes and a fitting length" => "4 个字节和相符的长度",
        "4 bytes of nfgenmsg" => "nfgenmsg 的 4 个字节",
        other => match other.split_once(" byte") {
            Some((n, "" | "s")) => return format!(" {n} 个字节"),
            Some(_) | None => return format!(" {other}"),
        },
    };
    if known.starts_with(|c: char| c.is_ascii()) { format!(" {known}") } else { known.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Language;

    #[test]
    fn where_what_was_expected_and_what_was_seen_are_there_in_chinese() {
        for (place, expected, chinese) in [
            (
                "line 3, column `found`",
                "hexadecimal",
                "第 3 行 `found` 列：应为十六进制数，实为 \"zz\"",
            ),
            (
                "/etc/sysctl.conf, line 7",
                "`key = value`",
                "/etc/sysctl.conf 第 7 行：应为 `key = value`，实为 \"zz\"",
            ),
            (
                "netlink datagram, byte 16",
                "4 bytes",
                "netlink 数据报第 16 字节：应为 4 个字节，实为 \"zz\"",
            ),
            ("CTA_ID", "1 byte", "CTA_ID：应为 1 个字节，实为 \"zz\""),
            ("", "a line `MemTotal: N kB`", "应为 `MemTotal: N kB` 一行，实为 \"zz\""),
        ] {
            let malformed = Malformed::new(place, expected, b"zz");
            let said = Said::from(&malformed);
            assert_eq!(said, malformed.to_string());
            assert_eq!(said.spoken(Language::Chinese), chinese);
        }
    }
}
