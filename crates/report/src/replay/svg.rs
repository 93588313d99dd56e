//! Occupancy over time as an SVG drawing: one panel for the setting as it is, split by what a full table may do
//! with an entry; a second one with a curve for each setting, when there are several.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use plimsoll_replay::{Answer, Row, Sample};

use super::chart::{self, Extent, since};
use super::table::named;
use crate::number::{count, counted};
use crate::wrap::{width, wrap};
use crate::{Language, Style, clean};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
/// Height of a panel's drawing.
const HEIGHT: f64 = 300.0;
/// Columns of text that half of the width holds.
const HALF: usize = 54;
/// That the whole of it holds.
const WHOLE: usize = 112;
/// Of a line of the legend.
const KEY: f64 = 18.0;
/// Of the strip with drops below it.
const DROPS: f64 = 26.0;

const PROTECTED: &str = "#35618e";
const CLOSING: &str = "#e3a33c";
const EVICTABLE: &str = "#b9d7a8";
const LIMIT: &str = "#b3261e";
const INK: &str = "#222222";
const FAINT: &str = "#777777";

/// Curves of several settings: told apart by dashes too.
const CURVES: [(&str, &str); 8] = [
    ("#000000", ""),
    ("#0072b2", "8 3"),
    ("#d55e00", "2 3"),
    ("#009e73", "8 3 2 3"),
    ("#cc79a7", "14 4"),
    ("#8a6d00", "5 5"),
    ("#56b4e9", "16 3 2 3 2 3"),
    ("#666666", "1 5"),
];

/// The drawing, 960 units wide. The answer's runs must have been sampled.
pub fn replay_svg(a: &Answer, style: &Style) -> String {
    let language = style.language;
    let rows: Vec<&Row> = a.rows().filter(|r| !r.timeline.samples().is_empty()).collect();
    let several = rows.len() > 1;
    let upper = 58.0;
    let lower = upper + HEIGHT + DROPS + 100.0;
    let legend: Vec<String> = rows.iter().map(|row| fate(row, style)).collect();
    // Two beside each other, if all of them have the room; one that has not enough even so takes several lines.
    let beside = if legend.iter().all(|text| width(text) <= HALF) { 2 } else { 1 };
    let legend: Vec<Vec<String>> = legend.iter().map(|text| wrap(text, WHOLE, WHOLE)).collect();
    let lines: usize = legend.chunks(beside).map(|keys| keys[0].len()).sum();
    let lines = lines as f64 * KEY;
    let height =
        if several { lower + HEIGHT + 52.0 + lines } else { upper + HEIGHT + DROPS + 84.0 };
    let mut svg = Svg { out: String::new() };
    svg.line(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"DejaVu Sans, Helvetica, Arial, Noto Sans CJK SC, sans-serif\" font-size=\"12\" \
         fill=\"{INK}\">"
    ));
    svg.line(format_args!("<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>"));
    let title = if a.synthetic {
        spoken!(
            language,
            "Made-up traffic: entries in the table over time",
            "模拟流量：连接跟踪表中的条目数随时间的变化"
        )
    } else {
        spoken!(
            language,
            "Captured traffic: entries in the table over time",
            "抓到的流量：连接跟踪表中的条目数随时间的变化"
        )
    };
    svg.text(LEFT, 24.0, "start", 16, INK, &title);
    let Some(first) = rows.first() else {
        svg.text(
            LEFT,
            60.0,
            "start",
            12,
            INK,
            &spoken!(language, "nothing was sampled", "没有采样"),
        );
        svg.out.push_str("</svg>\n");
        return svg.out;
    };
    let start = super::start(a, style.clock, language);
    let axis = spoken!(language, "time since {start}", "自{start}起的时间");
    stacked(&mut svg, a, first, upper, &axis, style);
    if several {
        curves(&mut svg, a, &rows, lower, &axis, language);
        keys(&mut svg, &legend, beside, lower + HEIGHT + 58.0);
    }
    svg.out.push_str("</svg>\n");
    svg.out
}

/// Where values go on the page.
struct Panel {
    extent: Extent,
    top: f64,
}

impl Panel {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + seconds / self.extent.seconds * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, entries: f64) -> f64 {
        self.top + HEIGHT * (1.0 - entries / self.extent.most)
    }

    fn points<'a>(
        &'a self,
        samples: &'a [Sample],
        value: impl Fn(&Sample) -> u64 + 'a,
    ) -> impl DoubleEndedIterator<Item = (f64, f64)> + 'a {
        samples
            .iter()
            .map(move |s| (self.x(since(self.extent.start, s.time)), self.y(value(s) as f64)))
    }

    /// Scale, grid and the frame.
    fn axes(&self, svg: &mut Svg, below: f64, axis: &str, language: Language) {
        let right = WIDTH - RIGHT;
        for value in self.extent.scale() {
            let y = self.y(value);
            svg.stroke(LEFT, y, right, y, "#e2e2e2", 1.0, "");
            svg.text(LEFT - 8.0, y + 4.0, "end", 11, INK, &count(value as u64));
        }
        let foot = self.top + HEIGHT + below;
        for seconds in self.extent.moments(8.0) {
            let x = self.x(seconds);
            svg.stroke(x, self.top, x, foot + 5.0, "#eeeeee", 1.0, "");
            let label = chart::moment(seconds, self.extent.seconds);
            svg.text(x, foot + 18.0, "middle", 11, INK, &label);
        }
        svg.text((LEFT + right) / 2.0, foot + 36.0, "middle", 11, FAINT, axis);
        let middle = self.top + HEIGHT / 2.0;
        svg.line(format_args!(
            "<text x=\"18\" y=\"{middle:.1}\" text-anchor=\"middle\" font-size=\"11\" fill=\"{FAINT}\" \
             transform=\"rotate(-90 18 {middle:.1})\">{}</text>",
            spoken!(language, "entries", "条目数")
        ));
    }

    fn limit(&self, svg: &mut Svg, max: u64, language: Language) {
        let n = count(max);
        let right = WIDTH - RIGHT;
        if self.extent.shows(max) {
            let y = self.y(max as f64);
            svg.stroke(LEFT, y, right, y, LIMIT, 1.5, "7 4");
            svg.text(
                LEFT + 6.0,
                y - 5.0,
                "start",
                11,
                LIMIT,
                &spoken!(language, "limit {n}", "上限 {n}"),
            );
        } else if max > 0 {
            let text = spoken!(language, "limit {n}, far above", "上限 {n}，远在图外");
            svg.text(right - 4.0, self.top - 6.0, "end", 11, LIMIT, &text);
        }
    }
}

fn stacked(svg: &mut Svg, a: &Answer, row: &Row, top: f64, axis: &str, style: &Style) {
    let language = style.language;
    let panel = Panel { extent: Extent::of(a, &[row], 6.0), top };
    let samples = row.timeline.samples();
    panel.axes(svg, DROPS, axis, language);
    type Height = fn(&Sample) -> u64;
    let layers: [(&str, Height, Height); 3] = [
        (PROTECTED, |_| 0, |s| s.occupancy.protected),
        (CLOSING, |s| s.occupancy.protected, |s| s.occupancy.protected + s.occupancy.closing),
        (EVICTABLE, |s| s.occupancy.protected + s.occupancy.closing, |s| s.occupancy.live),
    ];
    for (colour, from, to) in layers {
        let mut path = String::new();
        for (i, (x, y)) in
            panel.points(samples, to).chain(panel.points(samples, from).rev()).enumerate()
        {
            let command = if i == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{x:.1} {y:.1}");
        }
        svg.line(format_args!("<path d=\"{path}Z\" fill=\"{colour}\" stroke=\"none\"/>"));
    }
    svg.curve(panel.points(samples, |s| s.occupancy.live), INK, 1.2, "");
    svg.curve(panel.points(samples, |s| s.most), INK, 1.2, "3 2");
    panel.limit(svg, row.outcome.max, language);
    drops(svg, &panel, row, language);
    legend(svg, &panel, row, style);
}

/// A strip of bars: packets dropped between two samples.
fn drops(svg: &mut Svg, panel: &Panel, row: &Row, language: Language) {
    let top = panel.top + HEIGHT;
    let foot = top + DROPS;
    svg.stroke(LEFT, top, WIDTH - RIGHT, top, INK, 1.0, "");
    svg.stroke(LEFT, foot, WIDTH - RIGHT, foot, "#cccccc", 1.0, "");
    let samples = row.timeline.samples();
    let most = samples.iter().map(|s| s.lost).max().unwrap_or(0);
    svg.text(LEFT - 8.0, foot - 9.0, "end", 11, LIMIT, &spoken!(language, "dropped", "丢包"));
    if most == 0 {
        let none = spoken!(language, "no packet was dropped", "没有丢包");
        svg.text(LEFT + 6.0, foot - 9.0, "start", 11, FAINT, &none);
        return;
    }
    for sample in samples.iter().filter(|s| s.lost > 0) {
        let x = panel.x(since(panel.extent.start, sample.time));
        // A single packet must be seen too.
        let height = (sample.lost as f64 / most as f64 * (DROPS - 4.0)).max(3.0);
        svg.stroke(x, foot, x, foot - height, LIMIT, 2.0, "");
    }
}

fn legend(svg: &mut Svg, panel: &Panel, row: &Row, style: &Style) {
    let language = style.language;
    let y = panel.top + HEIGHT + DROPS + 58.0;
    let mut x = LEFT;
    let fills = [
        (EVICTABLE, spoken!(language, "evictable", "可淘汰")),
        (CLOSING, spoken!(language, "closing", "关闭中")),
        (PROTECTED, spoken!(language, "protected: only time removes it", "受保护：只有超时才离开")),
    ];
    for (colour, name) in fills {
        svg.line(format_args!(
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"14\" height=\"12\" fill=\"{colour}\"/>",
            y - 10.0
        ));
        svg.text(x + 19.0, y, "start", 12, INK, &name);
        x += 40.0 + width(&name) as f64 * 7.0;
    }
    let lines = [
        ("", spoken!(language, "live", "存活")),
        ("3 2", spoken!(language, "counted, at most: with expired ones", "计入的最大值：含已过期")),
    ];
    for (dash, name) in lines {
        svg.stroke(x, y - 4.0, x + 22.0, y - 4.0, INK, 1.2, dash);
        svg.text(x + 28.0, y, "start", 12, INK, &name);
        x += 48.0 + width(&name) as f64 * 7.0;
    }
    let mut label = named(row, style);
    if row.outcome.lost > 0 {
        let n = count(row.outcome.lost);
        let packets = counted(row.outcome.lost, "packet", "packets");
        label = spoken!(language, "{label}: {packets} dropped", "{label}：丢弃 {n} 个包");
    }
    svg.text(LEFT, panel.top - 12.0, "start", 12, INK, &label);
}

/// One curve for each setting.
fn curves(svg: &mut Svg, a: &Answer, rows: &[&Row], top: f64, axis: &str, language: Language) {
    let panel = Panel { extent: Extent::of(a, rows, 6.0), top };
    let title = spoken!(
        language,
        "Counted entries, each setting; x marks drops",
        "每种设置计入的条目数；x 表示丢包"
    );
    svg.text(LEFT, top - 12.0, "start", 12, INK, &title);
    panel.axes(svg, 0.0, axis, language);
    svg.stroke(LEFT, top + HEIGHT, WIDTH - RIGHT, top + HEIGHT, INK, 1.0, "");
    for (i, row) in rows.iter().enumerate() {
        let (colour, dash) = look(i);
        let samples = row.timeline.samples();
        let points: Vec<_> = panel.points(samples, |s| s.most).collect();
        svg.curve(points.iter().copied(), colour, 1.8, dash);
        for ((x, y), _) in points.iter().zip(samples).filter(|(_, s)| s.lost > 0) {
            svg.stroke(x - 3.0, y - 3.0, x + 3.0, y + 3.0, colour, 1.2, "");
            svg.stroke(x - 3.0, y + 3.0, x + 3.0, y - 3.0, colour, 1.2, "");
        }
    }
}

/// Colour and dashes: of 64 curves no two have both in common.
fn look(curve: usize) -> (&'static str, &'static str) {
    let all = CURVES.len();
    (CURVES[curve % all].0, CURVES[(curve + 3 * (curve / all)) % all].1)
}

/// What the curves are, so many beside each other.
fn keys(svg: &mut Svg, texts: &[Vec<String>], beside: usize, top: f64) {
    let mut y = top;
    for (i, lines) in texts.iter().enumerate() {
        let (colour, dash) = look(i);
        let at = LEFT + (i % beside) as f64 * (WIDTH - LEFT) / 2.0;
        svg.stroke(at, y - 4.0, at + 30.0, y - 4.0, colour, 1.8, dash);
        for (n, line) in lines.iter().enumerate() {
            svg.text(at + 36.0, y + n as f64 * KEY, "start", 12, INK, line);
        }
        if i % beside == beside - 1 {
            y += lines.len() as f64 * KEY;
        }
    }
}

/// A setting, and what became of it.
fn fate(row: &Row, style: &Style) -> String {
    let language = style.language;
    let o = &row.outcome;
    let (peak, evicted, lost) = (count(o.peak), count(o.evicted), count(o.lost));
    let packets = counted(o.lost, "packet", "packets");
    let fate = match (o.lost, o.evicted) {
        (0, 0) => spoken!(language, "peak {peak}", "峰值 {peak}"),
        (0, _) => {
            spoken!(language, "peak {peak}, {evicted} evicted", "峰值 {peak}，淘汰 {evicted}")
        }
        (_, _) => {
            spoken!(language, "peak {peak}, {packets} dropped", "峰值 {peak}，丢弃 {lost} 个包")
        }
    };
    let name = named(row, style);
    spoken!(language, "{name}: {fate}", "{name}：{fate}")
}

struct Svg {
    out: String,
}

impl Svg {
    fn line(&mut self, line: core::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.out.write_fmt(line);
        self.out.push('\n');
    }

    #[allow(clippy::too_many_arguments)]
    fn stroke(&mut self, x: f64, y: f64, to_x: f64, to_y: f64, ink: &str, wide: f64, dash: &str) {
        self.line(format_args!(
            "<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{to_x:.1}\" y2=\"{to_y:.1}\" stroke=\"{ink}\" \
             stroke-width=\"{wide}\"{}/>",
            dashes(dash)
        ));
    }

    fn curve(
        &mut self,
        points: impl Iterator<Item = (f64, f64)>,
        ink: &str,
        wide: f64,
        dash: &str,
    ) {
        let mut path = String::new();
        for (x, y) in points {
            let _ = write!(path, "{x:.1},{y:.1} ");
        }
        self.line(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{ink}\" stroke-width=\"{wide}\" \
             stroke-linejoin=\"round\"{}/>",
            path.trim_end(),
            dashes(dash)
        ));
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, size: u32, ink: &str, text: &str) {
        let text = clean(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        self.line(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" \
             fill=\"{ink}\">{text}</text>"
        ));
    }
}

fn dashes(dash: &str) -> String {
    if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") }
}
