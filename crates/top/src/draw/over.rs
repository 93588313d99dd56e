//! The foot of the screen, and what lies over the groups.

use plimsoll_flows::Complaint;
use plimsoll_report::number::count;
use plimsoll_report::{Paint, clean, severity};

use super::canvas::cut;
use super::groups::wrapped;
use super::{Canvas, scrolled};
use crate::app::{App, Typed};
use crate::line::Line;
use crate::presets::PRESETS;

/// The worst finding, or that there is none.
pub(super) fn found(canvas: &mut Canvas<'_>, app: &App, row: u16) {
    if let Some(notice) = &app.notice {
        canvas.style = canvas.strong();
        canvas.row(row, notice);
        canvas.style = canvas.plain();
        return;
    }
    let Some(findings) = &app.findings else {
        canvas.style = canvas.paint(Paint::Faint);
        canvas.row(row, "FINDINGS  this host is being checked");
        canvas.style = canvas.plain();
        return;
    };
    let Some(worst) = findings.first() else {
        canvas.row(row, "FINDINGS  none");
        return;
    };
    let (word, paint) = severity(worst.severity);
    canvas.style = canvas.paint(paint);
    let at = canvas.at(0, row, canvas.width(), &format!("{} {word}", worst.id));
    canvas.style = canvas.plain();
    let more = match findings.len() - 1 {
        0 => String::new(),
        more => format!("+{more} "),
    };
    let room = canvas.width().saturating_sub(at + 3 + more.len() as u16);
    let text = cut(&clean(&worst.summary), room.into());
    canvas.at(at + 2, row, room, &text);
    let column = canvas.width() - (more.len() as u16).min(canvas.width());
    canvas.at(column, row, canvas.width(), &more);
}

/// What keys there are.
pub(super) fn hints(canvas: &mut Canvas<'_>, app: &App, row: u16) {
    let back = if app.depth() > 0 { "Esc back" } else { "" };
    let pause = if app.is_live() { "p pause" } else { "p go on" };
    // With each how soon it is left out where there is no room; all stand in the help.
    let mut hints = vec![
        ("Enter into", 0),
        (back, 0),
        ("Tab by", 0),
        ("/ filter", 0),
        ("s sort", 3),
        ("[ ] time", 1),
        (pause, 2),
        ("f findings", 0),
        ("n netns", 4),
        ("? help", 0),
        ("q quit", 0),
    ];
    hints.retain(|(hint, _)| !hint.is_empty());
    let wide =
        |hints: &[(&str, u8)]| hints.iter().map(|(hint, _)| hint.len() + 2).sum::<usize>() - 2;
    while wide(&hints) > canvas.width().into() {
        let first = hints.iter().enumerate().max_by_key(|(place, (_, soon))| (*soon, *place));
        let Some((place, _)) = first.filter(|_| hints.len() > 1) else { break };
        hints.remove(place);
    }
    let text = hints.iter().map(|(hint, _)| *hint).collect::<Vec<_>>().join("  ");
    canvas.style = canvas.paint(Paint::Faint);
    canvas.row(row, &text);
    canvas.style = canvas.plain();
}

/// What is typed; what is wrong with it, with a caret. Where the cursor stands.
pub(super) fn prompt(
    canvas: &mut Canvas<'_>,
    what: Typed,
    line: &Line,
    complaint: Option<&Complaint>,
    row: u16,
) -> (u16, u16) {
    let (label, hint) = match what {
        Typed::Filter => (
            "/ ",
            "FILTER  such as: tcp and dport 443 and not assured. Enter applies, Esc leaves it",
        ),
        Typed::Keys => {
            ("by ", "GROUP BY  keys with commas between: state,dport or src/24. Enter applies")
        }
    };
    let label_width = label.len() as u16;
    let room = usize::from(canvas.width().saturating_sub(label_width + 1)).max(1);
    let before = line.before().chars().count();
    // The place that matters is on the screen.
    let place = complaint.map_or(before, |complaint| complaint.column() - 1);
    let skipped = (place + 1).saturating_sub(room);
    let shown: String = line.text().chars().skip(skipped).take(room).collect();
    canvas.style = canvas.strong();
    match complaint {
        Some(complaint) => {
            canvas.style = canvas.paint(Paint::Bad);
            canvas.row(row, complaint.heading().english());
        }
        None => canvas.row(row, hint),
    }
    canvas.style = canvas.plain();
    canvas.row(row + 1, &format!("{label}{shown}"));
    canvas.row(row + 2, "");
    if let Some(complaint) = complaint {
        let meant = complaint.text.get(complaint.at..complaint.at + complaint.length);
        let carets = "^".repeat(meant.unwrap_or("").chars().count().clamp(1, room));
        let column = label_width + (place - skipped) as u16;
        canvas.style = canvas.paint(Paint::Bad);
        let at = canvas.at(column, row + 2, canvas.width(), &carets);
        if let Some(hint) = complaint.hint() {
            canvas.at(at + 1, row + 2, canvas.width(), hint.english());
        }
        canvas.style = canvas.plain();
    }
    (label_width + (before.saturating_sub(skipped)).min(room) as u16, row + 1)
}

fn title(canvas: &mut Canvas<'_>, left: &str, right: &str) {
    canvas.style = canvas.strong();
    canvas.both(0, left, right);
    canvas.style = canvas.plain();
}

/// Rows of a list with one of them chosen, from a row on.
fn list(canvas: &mut Canvas<'_>, rows: &[String], selected: usize, from: u16, end: u16) {
    let room = usize::from(end.saturating_sub(from));
    let top = scrolled(0, selected, room, rows.len());
    for ((index, text), row) in rows.iter().enumerate().skip(top).take(room).zip(from..) {
        if index == selected {
            canvas.style = canvas.reversed();
            canvas.row(row, &format!("> {text}"));
            canvas.style = canvas.plain();
        } else {
            canvas.at(2, row, canvas.width(), text);
        }
    }
}

/// The namespaces.
pub(super) fn places(canvas: &mut Canvas<'_>, app: &App, selected: usize) {
    title(canvas, "NETWORK NAMESPACES", "Enter chooses, Esc goes back");
    let mut rows = vec!["all of them".to_owned()];
    rows.extend(app.places.iter().map(|place| {
        let entries = place.entries.map_or_else(|| "?".into(), count);
        format!("{entries:>13}  {}  net:[{}]", clean(&place.name), place.inode)
    }));
    let end = canvas.height();
    list(canvas, &rows, selected, 2, end);
}

/// The findings: each in one line, the chosen one in full below.
pub(super) fn findings(canvas: &mut Canvas<'_>, app: &App, selected: usize) {
    title(canvas, "FINDINGS", "Enter explains, Esc goes back");
    let Some(findings) = &app.findings else {
        canvas.at(2, 2, canvas.width(), "this host is being checked");
        return;
    };
    if findings.is_empty() {
        canvas.at(2, 2, canvas.width(), "none: nothing is wrong with this host's table");
        return;
    }
    let rows: Vec<String> = findings
        .iter()
        .map(|finding| {
            format!("{} {:<8}  {}", finding.id, severity(finding.severity).0, finding.name)
        })
        .collect();
    let half = 2 + (rows.len() as u16).min(canvas.height() / 2);
    list(canvas, &rows, selected, 2, half);
    let Some(finding) = findings.get(selected) else { return };
    let summary = clean(&finding.summary).into_owned();
    let width = canvas.width().saturating_sub(4).into();
    let mut row = half + 1;
    for line in wrapped(&summary, width) {
        canvas.at(2, row, canvas.width(), &line);
        row += 1;
    }
    row += 1;
    canvas.style = canvas.paint(Paint::Faint);
    for evidence in &finding.evidence {
        let value = match &evidence.value {
            plimsoll_diagnosis::Value::Count(n) => count(*n),
            plimsoll_diagnosis::Value::Number(n) => plimsoll_report::number::number(*n),
            plimsoll_diagnosis::Value::Text(text) => clean(text).into_owned(),
            plimsoll_diagnosis::Value::Time(range) => app.look.clock.time(range.middle()),
        };
        canvas.at(
            2,
            row,
            canvas.width(),
            &format!("- {}: {value} {}", clean(&evidence.what), evidence.unit),
        );
        row += 1;
    }
    canvas.style = canvas.plain();
}

/// A page of text.
pub(super) fn page(canvas: &mut Canvas<'_>, lines: &[String], top: usize) {
    title(canvas, "EXPLAIN", "arrows scroll, Esc goes back");
    for (row, line) in (2..canvas.height()).zip(lines.iter().skip(top)) {
        canvas.at(1, row, canvas.width(), line);
    }
}

/// What keys do.
pub(super) fn help(canvas: &mut Canvas<'_>) {
    title(canvas, "KEYS", "any key goes back");
    let rows = [
        ("Enter, Esc", "look into the chosen group; back"),
        ("Tab, Shift-Tab", "group by something else"),
        ("1 to 9, 0", ""),
        ("g", "group by keys that you type: state,dport or src/24"),
        ("/", "only entries that a filter lets through (plimsoll flows has the same)"),
        ("s", "sort by entries, unreplied, evictable, closing, protected, packets, bytes"),
        ("← → or [ ]", "back and on in time; { } by 60 readings; l is now"),
        ("p or Space", "pause, go on"),
        ("f, e", "the findings; what the worst one means"),
        ("n", "another network namespace, or all of them"),
        ("m", "hear the mouse or leave it to the terminal (click, wheel, right button)"),
        ("q", "quit"),
    ];
    let mut row = 2;
    for (keys, text) in rows {
        canvas.style = canvas.strong();
        canvas.at(2, row, 15, keys);
        canvas.style = canvas.plain();
        let text = match text {
            "" => {
                let named = PRESETS.iter().take(10).zip((1..=9).chain([0]));
                named.map(|(by, key)| format!("{key}={by}")).collect::<Vec<_>>().join(" ")
            }
            text => text.to_owned(),
        };
        for line in wrapped(&text, canvas.width().saturating_sub(19).into()) {
            canvas.at(18, row, canvas.width(), &line);
            row += 1;
        }
    }
    canvas.style = canvas.paint(Paint::Faint);
    for line in wrapped(
        "The bar: protected entries leave only by their timeout, a full table takes closing ones within a minute, \
         evictable ones at once. A ~ is an estimate: a part of the table was read, so that top stays below 5 % of one \
         processor. ! in the history: packets were lost.",
        canvas.width().saturating_sub(4).into(),
    ) {
        row += u16::from(row == 2);
        canvas.at(2, row + 1, canvas.width(), &line);
        row += 1;
    }
    canvas.style = canvas.plain();
}
