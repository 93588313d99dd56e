//! The settings as rows.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

use plimsoll_ct::Time;
use plimsoll_replay::{Answer, Row};

use super::since_start;
use crate::number::{bytes, count};
use crate::paint::{Line, Paint};
use crate::screen::Screen;
use crate::wrap::{left, right, width};
use crate::{Language, Style};

const HEADS: [&str; 7] = ["peak", "protected", "lost", "conns", "evicted", "memory", "first drop"];
const HEADS_ZH: [&str; 7] = ["峰值", "受保护", "丢包", "连接", "淘汰", "内存", "首次丢包"];

/// Columns of the labels at least, and as many as a short one gets.
const LEAST: usize = 8;
const LABEL: usize = 20;

pub(super) fn show(screen: &mut Screen<'_>, a: &Answer) {
    screen.gap();
    let language = screen.style.language;
    let (title, beside, heads) = match language {
        Language::English => {
            ("SETTINGS", "entries at the peak; packets and connections lost", HEADS)
        }
        Language::Chinese => ("各种设置", "峰值时的条目数；丢失的包和连接", HEADS_ZH),
    };
    screen.heading(title, beside);
    let rows: Vec<(&Row, [String; 7])> =
        a.rows().map(|row| (row, cells(a, row, language))).collect();
    let widths: [usize; 7] = core::array::from_fn(|i| {
        let cells = rows.iter().map(|(_, cells)| width(&cells[i]));
        cells.chain([width(heads[i])]).max().unwrap_or(0)
    });
    for columns in parts(&widths, screen.style.columns()) {
        part(screen, &rows, &heads, &widths, columns);
    }
}

/// The columns that stand beside each other; what finds no room goes below, with the labels once more.
fn parts(widths: &[usize; 7], room: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut start, mut taken) = (0, 2 + LEAST);
    for (i, width) in widths.iter().enumerate() {
        if i > start && taken + width + 2 > room {
            parts.push(start..i);
            (start, taken) = (i, 2 + LEAST);
        }
        taken += width + 2;
    }
    parts.push(start..widths.len());
    parts
}

fn part(
    screen: &mut Screen<'_>,
    rows: &[(&Row, [String; 7])],
    heads: &[&str; 7],
    widths: &[usize; 7],
    columns: Range<usize>,
) {
    let style = screen.style;
    let taken: usize = widths[columns.clone()].iter().map(|w| w + 2).sum();
    let room = style.columns().saturating_sub(2 + taken).clamp(LEAST, 40);
    let longest = rows.iter().map(|(row, _)| width(&named(row, style))).max().unwrap_or(0);
    let label = longest.min(room).max(LABEL.min(room));
    let mut head = Line::new().padded(2 + label);
    for i in columns.clone() {
        head.push(style, Paint::Faint, &format!("  {}", right(heads[i], widths[i])));
    }
    screen.line(&head);
    for (i, (row, cells)) in rows.iter().enumerate() {
        let paint = match (row.outcome.lost, row.outcome.evicted) {
            (0, 0) => Paint::Good,
            (0, _) => Paint::Warn,
            _ => Paint::Bad,
        };
        let strong = if i == 0 { Paint::Strong } else { Paint::Plain };
        let text = style.show(&named(row, style));
        let mut line = Line::new().plain(style, "  ");
        if width(&text) > label {
            screen.paragraph(line, 4, strong, &text);
            line = Line::new().padded(2 + label);
        } else {
            line.push(style, strong, &left(&text, label, style.unicode));
        }
        for column in columns.clone() {
            let paint = if matches!(column, 2..=4) { paint } else { Paint::Plain };
            let cell = right(&style.show(&cells[column]), widths[column]);
            line.push(style, paint, &format!("  {cell}"));
        }
        screen.line(&line);
    }
}

/// What a setting is called: its changes, or what it is to the others.
pub(super) fn named(row: &Row, style: &Style) -> String {
    match (style.language, row.outcome.label.as_str()) {
        (Language::Chinese, "as set") => "现有设置".to_string(),
        (Language::Chinese, label) => label.replace("no limit", "不设上限"),
        (Language::English, label) => label.to_string(),
    }
}

fn cells(a: &Answer, row: &Row, language: Language) -> [String; 7] {
    let o = &row.outcome;
    let first = match (o.first_drop, a.span) {
        (Some(at), Some((start, _))) => since(start, at),
        (Some(_), None) | (None, _) => spoken!(language, "never", "从不"),
    };
    [
        short(o.peak),
        short(o.peak_protected),
        short(o.lost),
        if o.flows_are_estimated() {
            format!("~{}", short(o.flows_lost))
        } else {
            short(o.flows_lost)
        },
        short(o.evicted),
        bytes(o.memory),
        first,
    ]
}

/// A span since the start.
pub(super) fn since(start: Time, at: Time) -> String {
    since_start(at.0.saturating_sub(start.0) as f64 / 1e9)
}

/// Grouped, in seven columns at most.
pub(super) fn short(n: u64) -> String {
    match n {
        0..10_000_000 if n < 1_000_000 => count(n),
        0..10_000_000 => format!("{:.2} M", n as f64 / 1e6),
        10_000_000..1_000_000_000 => format!("{:.1} M", n as f64 / 1e6),
        _ => format!("{:.1} G", n as f64 / 1e9),
    }
}
