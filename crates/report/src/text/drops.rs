//! Drops, past and present.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::{Time, TimeRange};
use plimsoll_diagnosis::Diagnosis;
use plimsoll_diagnosis::facts::Origin;

use crate::number::{count, duration, rate};
use crate::paint::{Line, Paint};
use crate::screen::Screen;

/// Where the values begin.
const COLUMN: usize = 16;

pub(super) fn show(screen: &mut Screen<'_>, d: &Diagnosis) {
    let style = screen.style;
    let drops = &d.drops;
    let lines = drops.log_lines.unwrap_or(0);
    let none_now = drops.now.is_none_or(|n| n <= 0.0);
    screen.gap();
    if none_now && drops.counted.unwrap_or(0) == 0 && lines == 0 {
        let known = [
            drops.now.map(|_| "none now"),
            drops.counted.map(|_| "none since boot"),
            drops.log_lines.map(|_| "no line in the log"),
        ];
        let unknown = [
            (drops.now.is_none(), "now"),
            (drops.counted.is_none(), "since boot"),
            (drops.log_lines.is_none(), "in the log"),
        ];
        let unknown: Vec<&str> = unknown.iter().filter(|u| u.0).map(|u| u.1).collect();
        let mut said: Vec<String> = known.into_iter().flatten().map(ToString::to_string).collect();
        if !unknown.is_empty() {
            said.push(format!("not known: {}", unknown.join(", ")));
        }
        let start = Line::new().with(style, Paint::Strong, "DROPS").plain(style, "  ");
        screen.paragraph(start, 7, Paint::Plain, &said.join(&style.dot()));
        return;
    }
    screen.heading("DROPS", "");
    let row = |name: &str| Line::new().plain(style, "  ").plain(style, name).padded(COLUMN);
    if let Some(now) = drops.now {
        let paint = if now > 0.0 { Paint::Bad } else { Paint::Plain };
        let text = if now > 0.0 { format!("{} packets/s", rate(now)) } else { "none".into() };
        screen.paragraph(row("now"), COLUMN, paint, &text);
    }
    if let Some(counted) = drops.counted {
        let causes =
            if counted > 0 { " (full table, clashes, NAT and others together)" } else { "" };
        let text = format!("{} packets{causes}", count(counted));
        screen.paragraph(row("since boot"), COLUMN, Paint::Plain, &text);
    }
    match drops.log_lines {
        Some(0) => screen.paragraph(row("in the log"), COLUMN, Paint::Plain, "no line"),
        Some(lines) => {
            let word = if lines == 1 { "line" } else { "lines" };
            let proof = match drops.packets_at_least {
                Some(1) => ": at least 1 packet".to_string(),
                Some(n) => format!(": at least {} packets", count(n)),
                None => String::new(),
            };
            let text = format!("{} {word}{proof}", count(lines));
            screen.paragraph(row("in the log"), COLUMN, Paint::Plain, &text);
        }
        None => screen.paragraph(row("in the log"), COLUMN, Paint::Faint, "not known"),
    }
    for (name, at) in [("first", drops.first), ("last", drops.last)] {
        if let Some(at) = at {
            let mut text = style.clock.show_range(at);
            if let Some(ago) = ago(at, d.host.at) {
                let since = if d.host.origin == Origin::Live { "ago" } else { "before the end" };
                text.push_str(&format!(" ({ago} {since})"));
            }
            screen.paragraph(row(&format!("  {name}")), COLUMN, Paint::Plain, &text);
        }
    }
    if let Some(n) = drops.suppressed.filter(|&n| n > 0) {
        let text = format!(
            "{} messages of all networking, swallowed by the kernel's rate limit",
            count(n)
        );
        screen.paragraph(row("  suppressed"), COLUMN, Paint::Faint, &text);
    }
}

/// How long before the reading, where that is surely in the past.
fn ago(at: TimeRange, now: Time) -> Option<String> {
    let nanos = now.0.checked_sub(at.middle().0)?;
    (nanos >= 0).then(|| duration(nanos as f64 / 1e9))
}
