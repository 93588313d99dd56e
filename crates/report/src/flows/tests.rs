#![allow(clippy::unwrap_used)]

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::{Accounting, Entry};
use plimsoll_flows::{Groups, Keys, Limits, Names, Order, Owner, Surroundings, Tells, View};
use plimsoll_wire::{listing, names};

use super::*;
use crate::{Language, Style};

const TABLE: &str = include_str!("../../../../fixtures/ctnetlink/dump-accounting.tool");

fn entries() -> Vec<Entry> {
    TABLE.lines().map(|line| listing::parse(line.as_bytes()).unwrap().entry).collect()
}

fn some_names() -> Names {
    Names::new(
        names::services("ftp 21/tcp\nmdns 5353/udp\nhttp-alt 8080/tcp\n"),
        names::protocols("esp 50\n"),
        Vec::new(),
    )
}

fn style(width: usize) -> Style {
    Style { width, ..Style::default() }
}

fn table(width: usize) -> String {
    let around = Surroundings::default();
    let mut out = entries_header(&style(width));
    for entry in entries() {
        entry_lines(&mut out, &View::new(&entry, &around), &some_names(), false, &style(width));
    }
    out
}

#[test]
fn entries_fit_80_columns() {
    let text = table(80);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn long_addresses_take_a_line_each_and_names_of_a_host_are_cleaned() {
    let line = "tcp 6 431999 ESTABLISHED src=2001:db8:1111:2222:3333:4444:5555:6666 \
        dst=2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff sport=40000 dport=443 \
        src=2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff dst=2001:db8:1111:2222:3333:4444:5555:6666 \
        sport=443 dport=40001 [ASSURED] mark=7 zone=3 use=1";
    let entry = listing::parse(line.as_bytes()).unwrap().entry;
    let owner = Owner {
        pid: Some(7),
        process: Some("ev\u{1b}[31mil".into()),
        unit: Some("web.service".into()),
        ..Owner::default()
    };
    let owners = [owner];
    let around = Surroundings::default();
    let view = View { owners: Some(&owners), ..View::new(&entry, &around) };
    let mut out = String::new();
    entry_lines(&mut out, &view, &some_names(), false, &style(80));
    insta::assert_snapshot!(out);
}

#[test]
fn no_line_of_entries_or_groups_is_wider_than_asked() {
    let long =
        "src=2001:db8:1111:2222:3333:4444:5555:6666 dst=2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff";
    let short = "src=255.255.255.255 dst=255.255.255.254";
    let lines = [long, short].map(|ends| {
        ["sctp 132 3 SHUTDOWN_ACK_SENT", "tcp 6 432000 ESTABLISHED", "udp 17 29"].map(|start| {
            let ports = "sport=40000 dport=50000";
            format!(
                "{start} {ends} {ports} {ends} {ports} [ASSURED] mark=4294967295 zone=65535 use=1"
            )
        })
    });
    let mut all = entries();
    all.extend(
        lines.as_flattened().iter().map(|line| listing::parse(line.as_bytes()).unwrap().entry),
    );
    all.iter_mut().for_each(|entry| entry.status |= plimsoll_ct::Status::OFFLOAD);
    let keys = "proto,dport,state,src/24,dst/24,class,service";
    let mut groups = Groups::new(Keys::parse(keys).unwrap(), Limits::default(), 1);
    let around = Surroundings::default();
    all.iter().for_each(|entry| groups.add(&View::new(entry, &around)));
    let rows: Vec<_> = groups.rows(Order::Entries, None).collect();
    let of = groups.total().entries;
    for (width, language) in
        (60..=240).flat_map(|w| [Language::English, Language::Chinese].map(|l| (w, l)))
    {
        let style = Style { language, ..style(width) };
        let mut out = entries_header(&style);
        for entry in &all {
            entry_lines(&mut out, &View::new(entry, &around), &some_names(), true, &style);
        }
        out.push_str(&groups_table(groups.keys(), &rows, of, &some_names(), &style));
        for line in out.lines() {
            assert!(crate::width(line) <= width, "{width}: {line}");
        }
    }
}

#[test]
fn groups_are_a_table_with_shares() {
    let around = Surroundings {
        tells: Tells { helper: true, ..Tells::default() },
        ..Surroundings::default()
    };
    let keys = Keys::parse("proto,dport,helper,age").unwrap();
    let mut groups = Groups::new(keys, Limits::default(), 1);
    let entries = entries();
    for entry in &entries {
        groups.add(&View::new(entry, &around));
    }
    let some: Vec<_> = groups.rows(Order::Entries, Some(6)).collect();
    let text =
        groups_table(groups.keys(), &some, groups.total().entries, &some_names(), &style(80));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text);
    let mut json = Vec::new();
    let names: Vec<String> = groups
        .keys()
        .list()
        .iter()
        .map(key_name)
        .chain(GROUP_COLUMNS.iter().map(|(name, _, _)| name.to_string()))
        .collect();
    let cells = group_cells(&some[0], groups.total().entries, &some_names());
    json_row(&mut json, names.iter().map(String::as_str).zip(cells));
    insta::assert_snapshot!(String::from_utf8(json).unwrap());
}

#[test]
fn every_column_has_the_kind_that_it_says_and_json_is_json() {
    let around = Surroundings {
        tells: Tells { status: true, ..Tells::default() },
        ..Surroundings::default()
    };
    let names = some_names();
    for mut entry in entries() {
        entry.reply_accounting = Some(Accounting { packets: u64::MAX, bytes: 1 });
        entry.labels = Some([255; 16]);
        let view = View::new(&entry, &around);
        for column in COLUMNS {
            let cell = (column.cell)(&view, &names);
            let fits = matches!(
                (&cell, column.kind),
                (Cell::Missing, _)
                    | (Cell::Flag(_), Kind::Flag)
                    | (Cell::Number(_), Kind::Number)
                    | (Cell::Text(_) | Cell::Address(_), Kind::Text)
            );
            assert!(fits, "{}: {cell:?}", column.name);
        }
        let mut line = Vec::new();
        json_row(&mut line, COLUMNS.iter().map(|c| (c.name, (c.cell)(&view, &names))));
        let object: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(object["src"], entry.original.source.to_string());
        assert_eq!(object["reply_packets"], u64::MAX);
    }
}

#[test]
fn text_is_escaped_in_json_and_quoted_in_csv() {
    let cells = || {
        [("a", Cell::Text("x\"\\\n\u{1b},y".into())), ("b", Cell::Missing), ("c", Cell::Flag(true))]
    };
    let mut out = Vec::new();
    json_row(&mut out, cells());
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"a\":\"x\\\"\\\\\\u000a\\u001b,y\",\"c\":true}\n"
    );
    let mut out = Vec::new();
    csv_row(&mut out, cells().map(|(_, cell)| cell));
    assert_eq!(String::from_utf8(out).unwrap(), "\"x\"\"\\\n\u{1b},y\",,true\n");
}

#[test]
fn every_column_stands_in_its_document() {
    let document = include_str!("../../../../docs/formats/flows.md");
    for column in COLUMNS {
        let line =
            alloc::format!("| `{}` | {} | {} |", column.name, kind(column.kind), column.about);
        assert!(document.contains(&line), "docs/formats/flows.md lacks: {line}");
    }
    for (name, of, about) in GROUP_COLUMNS {
        let line = alloc::format!("| `{name}` | {} | {about} |", kind(*of));
        assert!(document.contains(&line), "docs/formats/flows.md lacks: {line}");
    }
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Flag => "flag",
        Kind::Number => "number",
        Kind::Share => "share",
        Kind::Text => "text",
    }
}

#[test]
fn tables_and_events_are_there_in_chinese_and_as_wide() {
    let style = Style { language: Language::Chinese, ..style(80) };
    let around = Surroundings::default();
    let (mut out, mut groups) = (
        entries_header(&style),
        Groups::new(Keys::parse("class,src/24,helper").unwrap(), Limits::default(), 1),
    );
    for entry in entries() {
        let view = View::new(&entry, &around);
        entry_lines(&mut out, &view, &some_names(), false, &style);
        out.push_str(&event_line(
            "12:00:00",
            "新建",
            &view,
            &some_names(),
            true,
            true,
            style.language,
        ));
        groups.add(&view);
    }
    let rows: Vec<_> = groups.rows(Order::Entries, None).collect();
    out.push_str(&groups_table(
        groups.keys(),
        &rows,
        groups.total().entries,
        &some_names(),
        &style,
    ));
    insta::assert_snapshot!(out);
}
