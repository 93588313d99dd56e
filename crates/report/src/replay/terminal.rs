//! Occupancy over time in a terminal: bars of characters, split as the load line is; a small curve for each
//! setting below, when there are several.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_replay::{Answer, Row, Sample};

use super::chart::{Extent, columns, moment};
use super::table::{named, short};
use crate::Style;
use crate::number::{count, counted};
use crate::paint::{Line, Paint};
use crate::screen::Screen;
use crate::wrap::{left, right, width};

const ROWS: usize = 16;
/// Columns of the scale, with a blank.
const SCALE: usize = 9;

struct Glyphs {
    protected: &'static str,
    closing: &'static str,
    evictable: &'static str,
    expired: &'static str,
    limit: &'static str,
    drop: &'static str,
    steps: [&'static str; 8],
}

const UNICODE: Glyphs = Glyphs {
    protected: "█",
    closing: "▒",
    evictable: "░",
    expired: "·",
    limit: "─",
    drop: "▼",
    steps: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
};

const ASCII: Glyphs = Glyphs {
    protected: "#",
    closing: "+",
    evictable: ":",
    expired: ".",
    limit: "-",
    drop: "v",
    steps: ["_", ".", ".", "-", "-", "=", "=", "#"],
};

/// The drawing, as wide as the screen. The answer's runs must have been sampled.
pub fn replay_chart(a: &Answer, style: &Style) -> String {
    let glyphs = if style.unicode { &UNICODE } else { &ASCII };
    let mut screen = Screen::new(style);
    let language = style.language;
    let title = spoken!(language, "OCCUPANCY", "占用");
    let rows: Vec<&Row> = a.rows().filter(|r| !r.timeline.samples().is_empty()).collect();
    let Some(first) = rows.first() else {
        let nothing = spoken!(language, "nothing was sampled", "没有采样");
        screen.heading(&title, &nothing);
        return screen.finish();
    };
    let start = super::start(a, style.clock, language);
    let label = named(first, style);
    let beside =
        spoken!(language, "entries since {start}; {label}", "条目数，自{start}起；{label}");
    screen.heading(&title, &beside);
    let wide = style.columns() - SCALE - 1;
    stacked(&mut screen, a, first, wide, glyphs);
    if rows.len() > 1 {
        curves(&mut screen, a, &rows, glyphs);
    }
    screen.finish()
}

fn stacked(screen: &mut Screen<'_>, a: &Answer, row: &Row, wide: usize, glyphs: &Glyphs) {
    let style = screen.style;
    let extent = Extent::of(a, &[row], 4.0);
    let columns = columns(row, &extent, wide);
    let at = |share: f64| extent.most * share;
    let level = |value: f64| (value / extent.most * ROWS as f64 - 0.5).max(0.0);
    let limit = extent.shows(row.outcome.max).then(|| level(row.outcome.max as f64) as usize);
    let labels: Vec<(usize, f64)> =
        extent.scale().into_iter().map(|value| (level(value) as usize, value)).collect();
    for line in (0..ROWS).rev() {
        let label = labels.iter().rfind(|(place, _)| *place == line.min(ROWS - 1));
        let label = label.map_or_else(String::new, |(_, value)| short(*value as u64));
        let mut text = Line::new().with(style, Paint::Faint, &right(&label, SCALE - 1));
        text.push(style, Paint::Plain, " ");
        let middle = at((line as f64 + 0.5) / ROWS as f64);
        let mut run: Option<(Paint, String)> = None;
        for column in &columns {
            let (paint, glyph) = match (cell(column.as_ref(), middle, glyphs), limit) {
                (None, Some(limit)) if limit == line => (Paint::Bad, glyphs.limit),
                (None, _) => (Paint::Plain, " "),
                (Some(cell), _) => cell,
            };
            match &mut run {
                Some((held, text)) if *held == paint => text.push_str(glyph),
                Some(_) | None => {
                    if let Some((paint, piece)) = run.take() {
                        text.push(style, paint, &piece);
                    }
                    run = Some((paint, glyph.to_string()));
                }
            }
        }
        if let Some((paint, piece)) = run {
            text.push(style, paint, &piece);
        }
        screen.line(&text);
    }
    if row.outcome.lost > 0 {
        let marks: String = columns
            .iter()
            .map(|c| if c.is_some_and(|s| s.lost > 0) { glyphs.drop } else { " " })
            .collect();
        let line = Line::new().with(
            style,
            Paint::Bad,
            &right(&spoken!(style.language, "dropped", "丢包"), SCALE - 1),
        );
        screen.line(&line.plain(style, " ").with(style, Paint::Bad, &marks));
    }
    screen.line(&axis(style, &extent, wide));
    key(screen, row, glyphs, &extent);
}

/// What stands in a column at a height.
fn cell(sample: Option<&Sample>, height: f64, glyphs: &Glyphs) -> Option<(Paint, &'static str)> {
    let Sample { occupancy: o, most, .. } = sample?;
    let reaches = |entries: u64| entries as f64 >= height;
    if reaches(o.protected) {
        Some((Paint::Good, glyphs.protected))
    } else if reaches(o.protected + o.closing) {
        Some((Paint::Closing, glyphs.closing))
    } else if reaches(o.live) {
        Some((Paint::Evictable, glyphs.evictable))
    } else if reaches(*most) {
        Some((Paint::Faint, glyphs.expired))
    } else {
        None
    }
}

fn axis(style: &Style, extent: &Extent, wide: usize) -> Line {
    let mut text = String::new();
    for seconds in extent.moments(6.0) {
        let at = (seconds / extent.seconds * wide as f64) as usize;
        let label = moment(seconds, extent.seconds);
        if at < text.chars().count() || at + width(&label) > wide {
            continue;
        }
        text.push_str(&" ".repeat(at - text.chars().count()));
        text.push_str(&label);
        text.push(' ');
    }
    Line::new().padded(SCALE).with(style, Paint::Faint, text.trim_end())
}

fn key(screen: &mut Screen<'_>, row: &Row, glyphs: &Glyphs, extent: &Extent) {
    let style = screen.style;
    let mut items = Vec::new();
    let language = style.language;
    for (glyph, paint, name) in [
        (glyphs.protected, Paint::Good, spoken!(language, "protected", "受保护")),
        (glyphs.closing, Paint::Closing, spoken!(language, "closing", "关闭中")),
        (glyphs.evictable, Paint::Evictable, spoken!(language, "evictable", "可淘汰")),
        (
            glyphs.expired,
            Paint::Faint,
            spoken!(language, "expired or gone again", "已过期或已消失"),
        ),
    ] {
        items.push(Line::new().with(style, paint, glyph).plain(style, &format!(" {name}")));
    }
    let max = row.outcome.max;
    if max > 0 {
        let far = if extent.shows(max) {
            String::new()
        } else {
            spoken!(language, " (far above)", "（远在图外）")
        };
        let max = count(max);
        items.push(
            Line::new()
                .with(style, Paint::Bad, glyphs.limit)
                .plain(style, &spoken!(language, " limit {max}{far}", " 上限 {max}{far}")),
        );
    }
    if row.outcome.lost > 0 {
        let n = count(row.outcome.lost);
        let packets = counted(row.outcome.lost, "packet", "packets");
        let text = spoken!(language, " {packets} dropped", " 丢弃 {n} 个包");
        items.push(Line::new().with(style, Paint::Bad, glyphs.drop).plain(style, &text));
    }
    screen.flow(Line::new().padded(SCALE), SCALE, "   ", &items);
}

/// A line for each setting, all to one scale.
fn curves(screen: &mut Screen<'_>, a: &Answer, rows: &[&Row], glyphs: &Glyphs) {
    let style = screen.style;
    let extent = Extent::of(a, rows, 4.0);
    screen.gap();
    let most = rows.iter().map(|row| row.outcome.peak).max().unwrap_or(1).max(1);
    let (language, all) = (style.language, count(most));
    screen.heading(
        &spoken!(language, "EACH SETTING", "每种设置"),
        &spoken!(language, "counted entries, full height {all}", "计入的条目数，满高为 {all}"),
    );
    let named = |row: &&&Row| style.show(&named(row, style));
    // What is longer has a line of its own.
    let label = rows.iter().map(|row| width(&named(&row))).filter(|wide| *wide <= 30).max();
    let label = label.unwrap_or(0);
    let wide = style.columns().saturating_sub(label + 5 + 9).max(10);
    for row in rows {
        let columns = columns(row, &extent, wide);
        let (mut name, mut line) = (named(&row), Line::new().plain(style, "  "));
        if width(&name) > label {
            screen.paragraph(line, 4, Paint::Plain, &name);
            (name, line) = (String::new(), Line::new().plain(style, "  "));
        }
        line.push(style, Paint::Plain, &left(&name, label, style.unicode));
        line.push(style, Paint::Plain, "  ");
        for column in &columns {
            let Some(sample) = column else {
                line.push(style, Paint::Plain, " ");
                continue;
            };
            if sample.lost > 0 {
                line.push(style, Paint::Bad, glyphs.drop);
                continue;
            }
            let height = sample.most as f64 / most as f64 * 8.0;
            let step = (libm::ceil(height) as usize).clamp(1, 8) - 1;
            let glyph = if sample.most == 0 { " " } else { glyphs.steps[step] };
            line.push(style, Paint::Evictable, glyph);
        }
        line.push(style, Paint::Plain, &format!(" {}", right(&short(row.outcome.peak), 8)));
        screen.line(&line);
    }
}
