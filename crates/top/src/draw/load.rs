//! The load, the rates, the history.

use plimsoll_ct::Entries;
use plimsoll_diagnosis::Said;
use plimsoll_report::number::{count, counted, rate};
use plimsoll_report::{Line, Paint, load_line, load_parts, span, spoken, width};

use super::Canvas;
use crate::app::App;
use crate::moment::{Moment, Space};

/// A screen of so many rows has room for more than one load line.
const TALL: u16 = 32;
/// One of so many has room for parts of the load on two rows.
const ROOMY: u16 = 20;
/// A limit that is further away than this, in seconds, is nobody's worry today.
const FAR: f64 = 86_400.0;

/// Draws them from a row on; the row behind them.
pub(super) fn show(canvas: &mut Canvas<'_>, app: &App, mut row: u16) -> u16 {
    let (style, language) = (app.look.style(canvas.width()), app.look.language);
    let Some(moment) = app.moment() else {
        let text = spoken!(language, "the first reading is under way", "正在第一次读取");
        canvas.at(2, row, canvas.width(), &text);
        return row + 2;
    };
    let lines = if canvas.height() >= TALL { 4 } else { 1 };
    for space in moment.spaces.iter().take(lines) {
        canvas.line(0, row, &load_line(style.said(&space.name), &space.load, &style));
        row += 1;
    }
    let Some(first) = moment.spaces.first() else {
        let text =
            spoken!(language, "no network namespace could be read", "一个网络命名空间也读不到");
        canvas.at(2, row, canvas.width(), &text);
        return row + 2;
    };
    row = parts(canvas, moment, first, row, lines);
    rates(canvas, first, row);
    history(canvas, app, row + 1);
    row + 2
}

/// The parts of the first load line, on two rows where one is too narrow for them, and what there is beside it.
fn parts(canvas: &mut Canvas<'_>, moment: &Moment, first: &Space, row: u16, lines: usize) -> u16 {
    let style = canvas.look().style(canvas.width());
    let (mut row, mut more) = (row, canvas.height() >= ROOMY);
    let mut line = Line::new().padded(2);
    let mut all = load_parts(&first.load, &style);
    if first.load.sampled.is_some() && !first.load.complete {
        // Of how many it was read, the first row says.
        all.pop();
    }
    for part in all {
        if line.width() + 2 + part.width() > canvas.width().into() {
            if !std::mem::take(&mut more) {
                break;
            }
            canvas.line(0, row, &line);
            (row, line) = (row + 1, Line::new().padded(2));
        }
        line.append(Line::new().padded(2));
        line.append(part);
    }
    let end = canvas.line(0, row, &line);
    let others = moment.namespaces.saturating_sub(moment.spaces.len().min(lines));
    if others > 0 {
        let namespaces = counted(others as u64, "namespace", "namespaces");
        let (entries, n) = (counted(moment.entries, "entry", "entries"), count(moment.entries));
        let text = spoken!(
            canvas.language(),
            "+{namespaces}, {entries} in all",
            "另有 {others} 个命名空间，共 {n} 个条目"
        );
        let wide = width(&text) as u16;
        // Under the parts where it does not fit beside them.
        let row = if end + 2 + wide <= canvas.width() { row } else { row + 1 };
        canvas.style = canvas.paint(Paint::Faint);
        canvas.at(canvas.width().saturating_sub(wide), row, wide, &text);
        canvas.style = canvas.plain();
        return row + 1;
    }
    row + 1
}

/// Rates of the first load line; those that are not measured, or have no room, are left out.
fn rates(canvas: &mut Canvas<'_>, space: &Space, row: u16) {
    let language = canvas.language();
    let mut items = Vec::new();
    match &space.growth {
        Ok(growth) => {
            let sign = if *growth > 0.0 { "+" } else { "" };
            let growth = rate(*growth);
            let text = spoken!(language, "entries {sign}{growth}/s", "条目 {sign}{growth}/秒");
            items.push((Paint::Plain, text));
        }
        Err(_) => {
            let text = spoken!(language, "rates after the next reading", "下次读取之后才有速率");
            items.push((Paint::Faint, text));
        }
    }
    for (name, value, paint, always) in [
        (Said::of("dropped", "丢弃"), &space.drop, Paint::Bad, true),
        (Said::of("early-dropped", "提前淘汰"), &space.early_drop, Paint::Warn, true),
        (Said::of("insert failed", "插入失败"), &space.insert_failed, Paint::Bad, false),
        (Said::of("invalid", "无效"), &space.invalid, Paint::Plain, false),
    ] {
        match value {
            Ok(value) if always || *value > 0.0 => {
                let paint = if *value > 0.0 { paint } else { Paint::Plain };
                let value = rate(*value);
                let text = spoken!(language, "{name} {value}/s", "{name:#} {value}/秒");
                items.push((paint, text));
            }
            Ok(_) | Err(_) => {}
        }
    }
    // Last, and never for want of room.
    let full = space.full_in.filter(|seconds| (0.0..FAR).contains(seconds)).map(|seconds| {
        let when = span(language, seconds);
        spoken!(language, "full in {when}", "{when}后满")
    });
    let reserved = full.as_ref().map_or(0, |text| 3 + width(text));
    let mut at = 2;
    for (paint, text) in items {
        if usize::from(at) + width(&text) + reserved <= canvas.width().into() {
            canvas.style = canvas.paint(paint);
            at = canvas.at(at, row, canvas.width(), &text) + 3;
        }
    }
    if let Some(text) = full {
        canvas.style = canvas.paint(Paint::Warn);
        canvas.at(at, row, canvas.width(), &text);
    }
    canvas.style = canvas.plain();
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
    let language = canvas.language();
    let time = span(language, (last.at.0 - first.at.0).max(0) as f64 / 1e9);
    let (least, most) = (count(least), count(most));
    let text = spoken!(language, "{least} to {most} in {time}", "{time}内 {least} 到 {most}");
    canvas.style = canvas.paint(Paint::Faint);
    let wide = width(&text) as u16;
    canvas.at(canvas.width().saturating_sub(wide), row, wide, &text);
    canvas.style = canvas.plain();
}
