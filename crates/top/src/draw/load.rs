//! The load, the rates, the history.

use plimsoll_ct::Entries;
use plimsoll_report::number::{count, duration, rate};
use plimsoll_report::{Line, Paint, load_line, load_parts};

use super::Canvas;
use crate::app::App;
use crate::moment::{Moment, Space};

/// A screen of so many rows has room for more than one load line.
const TALL: u16 = 32;
/// A limit that is further away than this, in seconds, is nobody's worry today.
const FAR: f64 = 86_400.0;

/// Draws them from a row on; the row behind them.
pub(super) fn show(canvas: &mut Canvas<'_>, app: &App, mut row: u16) -> u16 {
    let style = app.look.style(canvas.width());
    let Some(moment) = app.moment() else {
        canvas.at(2, row, canvas.width(), "the first reading is under way");
        return row + 2;
    };
    let lines = if canvas.height() >= TALL { 4 } else { 1 };
    for space in moment.spaces.iter().take(lines) {
        canvas.line(0, row, &load_line(&space.name, &space.load, &style));
        row += 1;
    }
    let Some(first) = moment.spaces.first() else {
        canvas.at(2, row, canvas.width(), "no network namespace could be read");
        return row + 2;
    };
    row = parts(canvas, moment, first, row, lines);
    rates(canvas, first, row);
    history(canvas, app, row + 1);
    row + 2
}

/// The parts of the first load line, and what there is beside it.
fn parts(canvas: &mut Canvas<'_>, moment: &Moment, first: &Space, row: u16, lines: usize) -> u16 {
    let style = canvas.look().style(canvas.width());
    let mut line = Line::new().padded(2);
    for part in load_parts(&first.load, &style) {
        if line.width() + 2 + part.width() > canvas.width().into() {
            break;
        }
        line.append(Line::new().padded(2));
        line.append(part);
    }
    let end = canvas.line(0, row, &line);
    let others = moment.namespaces.saturating_sub(moment.spaces.len().min(lines));
    if others > 0 {
        let text = format!("+{others} namespaces, {} entries in all", count(moment.entries));
        let wide = text.chars().count() as u16;
        // Under the parts where it does not fit beside them.
        let row = if end + 2 + wide <= canvas.width() { row } else { row + 1 };
        canvas.style = canvas.paint(Paint::Faint);
        canvas.at(canvas.width().saturating_sub(wide), row, wide, &text);
        canvas.style = canvas.plain();
        return row + 1;
    }
    row + 1
}

/// Rates of the first load line; those that are not measured are left out.
fn rates(canvas: &mut Canvas<'_>, space: &Space, row: u16) {
    let mut at = 2;
    let mut item = |canvas: &mut Canvas<'_>, paint: Paint, text: &str| {
        if at > 2 {
            at += 3;
        }
        canvas.style = canvas.paint(paint);
        at = canvas.at(at, row, canvas.width(), text);
        canvas.style = canvas.plain();
    };
    match &space.growth {
        Ok(growth) => {
            let sign = if *growth > 0.0 { "+" } else { "" };
            item(canvas, Paint::Plain, &format!("entries {sign}{}/s", rate(*growth)));
        }
        Err(_) => item(canvas, Paint::Faint, "rates after the next reading"),
    }
    for (name, value, paint, always) in [
        ("dropped", &space.drop, Paint::Bad, true),
        ("early-dropped", &space.early_drop, Paint::Warn, true),
        ("insert failed", &space.insert_failed, Paint::Bad, false),
        ("invalid", &space.invalid, Paint::Plain, false),
    ] {
        match value {
            Ok(value) if always || *value > 0.0 => {
                let paint = if *value > 0.0 { paint } else { Paint::Plain };
                item(canvas, paint, &format!("{name} {}/s", rate(*value)));
            }
            Ok(_) | Err(_) => {}
        }
    }
    if let Some(seconds) = space.full_in.filter(|seconds| (0.0..FAR).contains(seconds)) {
        item(canvas, Paint::Warn, &format!("full in {}", duration(seconds)));
    }
}

const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII_BARS: [&str; 4] = ["_", ".", "-", "="];

/// Counts of the moments up to the one that is looked at; `!` where packets were dropped.
fn history(canvas: &mut Canvas<'_>, app: &App, row: u16) {
    const LABEL: u16 = 34;
    let room = canvas.width().saturating_sub(2 + LABEL).max(10);
    let moments: Vec<&Moment> = app.history.until(app.now(), room.into()).collect();
    let (Some(first), Some(last)) = (moments.first(), moments.last()) else { return };
    // Of another namespace, before this one was chosen, is another history.
    let of = |moment: &Moment| (moment.namespaces, moment.spaces.first().and_then(|s| s.inode));
    let value = |moment: &Moment| match (moment.namespaces, of(moment) == of(last)) {
        (1, true) => moment.spaces.first()?.load.count.map(Entries::get),
        (2.., _) if last.namespaces > 1 => Some(moment.entries),
        _ => None,
    };
    let (least, most) = moments
        .iter()
        .filter_map(|m| value(m))
        .fold((u64::MAX, 0), |(l, m), n| (l.min(n), m.max(n)));
    if least > most {
        return;
    }
    let bars: &[&str] = if canvas.look().unicode { &BARS } else { &ASCII_BARS };
    for (column, moment) in (2..).zip(&moments) {
        let lost = moment.spaces.first().is_some_and(|space| {
            [&space.drop, &space.insert_failed].iter().any(|r| r.as_ref().is_ok_and(|r| *r > 0.0))
        });
        let glyph = match value(moment) {
            _ if lost => "!",
            None => " ",
            Some(n) => {
                let level =
                    (n - least) as usize * (bars.len() - 1) / ((most - least) as usize).max(1);
                bars.get(level).copied().unwrap_or(" ")
            }
        };
        canvas.style = canvas.paint(if lost { Paint::Bad } else { Paint::Code });
        canvas.at(column, row, 1, glyph);
    }
    let span = (last.at.0 - first.at.0).max(0) as f64 / 1e9;
    let text = format!("{} to {} in {}", count(least), count(most), duration(span));
    canvas.style = canvas.paint(Paint::Faint);
    let wide = text.chars().count() as u16;
    canvas.at(canvas.width().saturating_sub(wide), row, wide, &text);
    canvas.style = canvas.plain();
}
