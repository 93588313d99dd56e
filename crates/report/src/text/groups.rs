//! Who fills the table: compact tables side by side.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_diagnosis::{Diagnosis, Group, Groups, Severity};

use super::bar::chip;
use super::is_quiet;
use super::load::PERCENT;
use crate::number::{count, share};
use crate::paint::{Line, Paint};
use crate::screen::Screen;
use crate::wrap::{left, right, width};
use crate::{Language, Style};

/// Namespaces whose groups are shown unless all are asked for.
const SHOWN: usize = 2;
/// Rows of a table, normally and when everything is asked for.
const ROWS: [usize; 2] = [4, 12];
/// A table needs so many columns to show the number of entries beside the share.
const WITH_ENTRIES: usize = 34;
const GAP: usize = 2;
/// Tables of a namespace unless all are asked for.
const TABLES: usize = 4;

pub(super) fn show(screen: &mut Screen<'_>, d: &Diagnosis) {
    let style = screen.style;
    let shown: Vec<usize> = if style.verbose {
        (0..d.namespaces.len()).collect()
    } else if is_quiet(d) {
        Vec::new()
    } else {
        concerned(d)
    };
    for i in shown {
        let ns = &d.namespaces[i];
        let mut tables = tables(&ns.groups, style.language);
        if !style.verbose {
            tables.truncate(TABLES);
        }
        if tables.is_empty() {
            continue;
        }
        screen.gap();
        let title = spoken!(style.language, "WHO FILLS IT", "谁占着表");
        screen.heading(&title, style.said(&ns.name));
        grid(screen, &tables);
    }
}

/// The namespaces that findings speak of; the host's own when they speak of none.
fn concerned(d: &Diagnosis) -> Vec<usize> {
    let mut concerned = Vec::new();
    let serious = d.findings.iter().filter(|f| f.severity > Severity::Info);
    for i in serious.filter_map(|f| f.namespace).filter(|&i| i < d.namespaces.len()) {
        if !concerned.contains(&i) && concerned.len() < SHOWN {
            concerned.push(i);
        }
    }
    if concerned.is_empty() && !d.namespaces.is_empty() {
        concerned.push(0);
    }
    concerned
}

type Table<'a> = (String, &'a [Group]);

fn tables(groups: &Groups, language: Language) -> Vec<Table<'_>> {
    [
        (spoken!(language, "by state", "按状态"), &groups.states),
        (spoken!(language, "by service", "按服务"), &groups.services),
        (spoken!(language, "by source", "按来源"), &groups.sources),
        (spoken!(language, "by idle time", "按空闲时间"), &groups.idle),
        (spoken!(language, "by destination", "按目的地"), &groups.destinations),
    ]
    .into_iter()
    .filter(|(_, rows)| !rows.is_empty())
    .map(|(name, rows)| (name, rows.as_slice()))
    .collect()
}

/// As many tables side by side as fit, the others below.
fn grid(screen: &mut Screen<'_>, tables: &[Table<'_>]) {
    let style = screen.style;
    let room = style.columns() - 2;
    let across = ((room + GAP) / (WITH_ENTRIES + GAP)).max(2);
    let wide = (room + GAP) / across - GAP;
    for row in tables.chunks(across) {
        let most = ROWS[usize::from(style.verbose)];
        let height = row.iter().map(|(_, rows)| rows.len().min(most)).max().unwrap_or(0);
        for y in 0..=height {
            let mut line = Line::new().padded(2);
            for (x, (title, rows)) in row.iter().enumerate() {
                let entries = entries_column(rows, wide, style);
                let cell = if y == 0 {
                    Line::new().with(style, Paint::Faint, &format!("  {title}"))
                } else {
                    rows.get(y - 1)
                        .filter(|_| y <= most)
                        .map_or_else(Line::new, |group| group_line(group, wide, entries, style))
                };
                line = line.padded(2 + x * (wide + GAP));
                line.append(cell);
            }
            screen.line(&line);
        }
    }
}

/// Columns for the number of entries; 0 where it would cost the labels more than it tells.
fn entries_column(rows: &[Group], columns: usize, style: &Style) -> usize {
    let wide = 2 + rows.iter().map(|g| width(&count(g.entries))).max().unwrap_or(0);
    let label = rows.iter().map(|g| width(&style.show(style.said(&g.label)))).max().unwrap_or(0);
    let room = columns.saturating_sub(2 + PERCENT);
    let cuts = label + wide > room && label <= room;
    if columns < WITH_ENTRIES || cuts { 0 } else { wide }
}

/// `█ tcp ESTABLISHED   61,002   93 %`
fn group_line(group: &Group, columns: usize, entries: usize, style: &Style) -> Line {
    let chip = if group.protected_share >= 0.5 {
        chip(style, true)
    } else if group.unreplied_share >= 0.5 {
        chip(style, false)
    } else {
        (" ", Paint::Plain)
    };
    let entries = if entries > 0 { right(&count(group.entries), entries) } else { String::new() };
    let numbers = format!("{entries}{}", right(&share(group.share), PERCENT));
    let label = columns.saturating_sub(2 + width(&numbers));
    Line::new()
        .with(style, chip.1, chip.0)
        .plain(style, " ")
        .plain(style, &left(&style.show(style.said(&group.label)), label, style.unicode))
        .plain(style, &numbers)
}
