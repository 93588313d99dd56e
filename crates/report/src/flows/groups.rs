//! Groups as a table for people.
//!
//! Cells are as wide as what stands in them; on a narrow screen names are cut, then columns are left out.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_flows::{Group, Key, Keys, Names, Value};

use super::columns::value_word;
use super::entries::amount;
use crate::{Style, clean, number, wrap};

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
    let mut head: Vec<String> = Vec::from(["ENTRIES".to_string(), "SHARE".to_string()]);
    if inexact {
        head.insert(1, "UP TO".to_string());
    }
    head.extend(keys.list().iter().map(|key| key.to_string().to_uppercase()));
    head.extend(["UNREPLIED", "EVICTABLE", "CLOSING"].map(String::from));
    if counted {
        head.extend(["PACKETS", "BYTES"].map(String::from));
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
        row.extend(values.map(|(key, value)| shown(*key, value, group, names)));
        row.extend([tally.unreplied, tally.evictable, tally.closing].map(number::count));
        if counted {
            row.push(number::count(tally.packets));
            row.push(amount(tally.bytes));
        }
        table.push(row);
    }
    let first = if inexact { 3 } else { 2 };
    let left = first..first + keys.list().len();
    // A narrow screen shows fewer columns; JSON has them all.
    for name in ["CLOSING", "PACKETS", "EVICTABLE", "UNREPLIED", "BYTES"] {
        let widths = widths(&table);
        let least = |(c, width): (usize, &usize)| match left.contains(&c) {
            true => (*width).min(LEAST),
            false => *width,
        };
        let whole: usize = widths.iter().enumerate().map(least).sum();
        if whole + 2 * widths.len().saturating_sub(1) <= style.columns() {
            break;
        }
        let at = table.first().and_then(|head| head.iter().position(|word| word == name));
        if let Some(at) = at.filter(|at| *at >= left.end) {
            table.iter_mut().for_each(|row| drop(row.remove(at)));
        }
    }
    print(&table, left, style)
}

/// Names are cut to so many columns at most.
const LEAST: usize = 12;

fn widths(table: &[Vec<String>]) -> Vec<usize> {
    let columns = table.first().map_or(0, Vec::len);
    let widest = |c: usize| table.iter().map(|row| wrap::width(&row[c])).max().unwrap_or(0);
    (0..columns).map(widest).collect()
}

/// A value; a port with the name of its service, as far as the group tells of which protocol it is.
fn shown(key: Key, value: &Value, group: &Group, names: &Names) -> String {
    let word = value_word(value, names);
    let of_owner = matches!(key, Key::Process | Key::Unit | Key::Container | Key::Pod);
    let word = match value {
        Value::Missing if of_owner => "(not attributed)".into(),
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
    let room = style.columns();
    loop {
        let whole: usize = widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1);
        let widest = left.clone().max_by_key(|c| widths[*c]);
        match widest {
            Some(c) if whole > room && widths[c] > LEAST => {
                widths[c] -= (whole - room).min(widths[c] - LEAST)
            }
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
