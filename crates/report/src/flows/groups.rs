//! Groups as a table for people.
//!
//! Cells are as wide as what stands in them; on a narrow screen names are cut, then columns are left out.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::Bytes;
use plimsoll_flows::{Group, Key, KeySpan, Keys, Names, Value};

use super::columns::value_word;
use crate::{Language, Style, clean, number, wrap};

/// The table of some groups. `all`: the entries of all groups, of which the shares are taken.
pub fn groups_table(
    keys: &Keys,
    groups: &[Group],
    all: u64,
    names: &Names,
    style: &Style,
) -> String {
    let counted = groups.iter().any(|group| group.tally.accounted > 0);
    let inexact = groups.iter().any(|group| group.error > 0);
    let mut table: Vec<Vec<String>> = Vec::new();
    let column = |name| column(name, style.language).to_string();
    let mut head: Vec<String> = Vec::from(["ENTRIES", "SHARE"].map(column));
    if inexact {
        head.insert(1, column("UP TO"));
    }
    head.extend(keys.list().iter().map(|key| key_head(key, style.language)));
    head.extend(["UNREPLIED", "EVICTABLE", "CLOSING"].map(column));
    if counted {
        head.extend(["PACKETS", "BYTES"].map(column));
    }
    table.push(head);
    for group in groups {
        let tally = &group.tally;
        let mut row = Vec::from([number::count(tally.entries)]);
        if inexact {
            row.push(number::count(tally.entries + group.error));
        }
        row.push(number::ratio(tally.entries, all).map_or_else(|| "-".into(), number::share));
        let values = keys.list().iter().zip(&group.values);
        row.extend(values.map(|(key, value)| shown(*key, value, group, names, style.language)));
        row.extend([tally.unreplied, tally.evictable, tally.closing].map(number::count));
        if counted {
            row.push(number::count(tally.packets));
            row.push(number::bytes(Bytes(tally.bytes)));
        }
        table.push(row);
    }
    let first = if inexact { 3 } else { 2 };
    let mut left = first..first + keys.list().len();
    // A narrow screen shows fewer columns; JSON has them all.
    for name in ["CLOSING", "PACKETS", "EVICTABLE", "UNREPLIED", "BYTES", "SHARE"] {
        let widths = widths(&table);
        let least = |(c, width): (usize, &usize)| match left.contains(&c) {
            true => (*width).min(LEAST),
            false => *width,
        };
        let whole: usize = widths.iter().enumerate().map(least).sum();
        if whole + 2 * widths.len().saturating_sub(1) <= style.columns() {
            break;
        }
        let at = table.first().and_then(|head| head.iter().position(|word| *word == column(name)));
        if let Some(at) = at.filter(|at| !left.contains(at)) {
            table.iter_mut().for_each(|row| drop(row.remove(at)));
            if at < left.start {
                left = left.start - 1..left.end - 1;
            }
        }
    }
    print(&table, left, style)
}

/// The head of a column.
fn column(name: &'static str, language: Language) -> &'static str {
    match (language, name) {
        (Language::English, name) => name,
        (Language::Chinese, "ENTRIES") => "条目数",
        (Language::Chinese, "SHARE") => "占比",
        (Language::Chinese, "UP TO") => "至多",
        (Language::Chinese, "UNREPLIED") => "未应答",
        (Language::Chinese, "EVICTABLE") => "可淘汰",
        (Language::Chinese, "CLOSING") => "关闭中",
        (Language::Chinese, "PACKETS") => "包数",
        (Language::Chinese, "BYTES") => "字节数",
        (Language::Chinese, other) => other,
    }
}

/// The head of a key's column: in English its word, with the prefix that an address is cut to.
fn key_head(key: &Key, language: Language) -> String {
    let word = key.to_string();
    let chinese = match (language, key) {
        (Language::English, _) => return word.to_uppercase(),
        (_, Key::Protocol) => "协议",
        (_, Key::Family) => "地址族",
        (_, Key::State) => "状态",
        (_, Key::Class) => "类别",
        (_, Key::Service) => "服务",
        (_, Key::SourcePort) => "源端口",
        (_, Key::DestinationPort) => "目的端口",
        (_, Key::Source(_)) => "来源",
        (_, Key::Destination(_)) => "目的",
        (_, Key::ReplySource(_)) => "回程来源",
        (_, Key::ReplyDestination(_)) => "回程目的",
        (_, Key::Direction) => "方向",
        (_, Key::Netns) => "命名空间",
        (_, Key::Process) => "进程",
        (_, Key::Unit) => "单元",
        (_, Key::Container) => "容器",
        (_, Key::Pod) => "pod",
        (_, Key::Zone) => "zone",
        (_, Key::Mark) => "标记",
        (_, Key::Helper) => "helper",
        (_, Key::Band(KeySpan::Age)) => "存活",
        (_, Key::Band(KeySpan::Idle)) => "空闲",
        (_, Key::Band(KeySpan::Expires)) => "剩余",
    };
    match word.split_once('/') {
        Some((_, cut)) => format!("{chinese}/{cut}"),
        None => chinese.to_string(),
    }
}

/// Columns are left out before names are cut to fewer than so many.
const LEAST: usize = 12;

fn widths(table: &[Vec<String>]) -> Vec<usize> {
    let columns = table.first().map_or(0, Vec::len);
    let widest = |c: usize| table.iter().map(|row| wrap::width(&row[c])).max().unwrap_or(0);
    (0..columns).map(widest).collect()
}

/// A value; a port with the name of its service, as far as the group tells of which protocol it is.
fn shown(key: Key, value: &Value, group: &Group, names: &Names, language: Language) -> String {
    let word = value_word(value, names, language);
    let of_owner = matches!(key, Key::Process | Key::Unit | Key::Container | Key::Pod);
    let word = match value {
        Value::Missing if of_owner => spoken!(language, "(not attributed)", "（找不到归属）"),
        Value::Port(port) => {
            let named = group.values.iter().find_map(|other| match other {
                Value::Protocol(protocol) => Some(*protocol),
                Value::State(plimsoll_ct::State::Tcp(_)) => Some(plimsoll_ct::Protocol::Tcp),
                Value::State(plimsoll_ct::State::Sctp(_)) => Some(plimsoll_ct::Protocol::Sctp),
                _ => None,
            });
            // Of no protocol in particular: TCP's name, which mostly is UDP's as well.
            let protocol = named.unwrap_or(plimsoll_ct::Protocol::Tcp);
            match names.service(protocol, *port) {
                Some(name) => format!("{word} {name}"),
                None => word,
            }
        }
        _ => word,
    };
    clean(&word).into_owned()
}

/// Columns as wide as what stands in them; `left`: those that begin at the left.
fn print(table: &[Vec<String>], left: core::ops::Range<usize>, style: &Style) -> String {
    let columns = table.first().map_or(0, Vec::len);
    let mut widths = widths(table);
    // Names give way, the widest first, until the line fits.
    let whole: usize = widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1);
    for _ in style.columns()..whole {
        match left.clone().max_by_key(|c| widths[*c]) {
            Some(c) if widths[c] > 1 => widths[c] -= 1,
            _ => break,
        }
    }
    let mut out = String::new();
    for row in table {
        let mut line = String::new();
        for (c, text) in row.iter().enumerate() {
            if c > 0 {
                line.push_str("  ");
            }
            let text = wrap::cut(text, widths[c], style.unicode);
            let blanks = " ".repeat(widths[c].saturating_sub(wrap::width(&text)));
            if left.contains(&c) {
                line.push_str(&text);
                line.push_str(&blanks);
            } else {
                line.push_str(&blanks);
                line.push_str(&text);
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
