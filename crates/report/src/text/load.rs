//! The load lines: how far each namespace's table is loaded, in three parts, and how fast it moves.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_diagnosis::facts::Origin;
use plimsoll_diagnosis::{Diagnosis, Load, NamespaceReport, Rate, Rates, Said, Severity};

use super::bar::{bar, glyphs, level, parts_of};
use crate::Style;
use crate::number::{count, counted, rate, ratio, share};
use crate::paint::{Line, Paint};
use crate::screen::Screen;
use crate::spoken::span;
use crate::wrap::{cut, left, right, width};

/// Namespaces shown one by one unless all are asked for.
const SHOWN: usize = 8;
/// A limit that is further away than this, in seconds, is nobody's worry today.
const FAR: f64 = 86_400.0;
/// From this fullness on a namespace is shown though no finding speaks of it.
const NOTABLE: f64 = 0.5;

/// Share of the limit that is in use.
pub(super) fn fullness(load: &Load) -> Option<f64> {
    ratio(load.count?.get(), load.max?.get())
}

/// Which namespaces are shown one by one, by index, in the order given.
pub(crate) fn that_matter(d: &Diagnosis, all: bool) -> Vec<usize> {
    let mut ranked: Vec<(usize, Option<Severity>, f64)> = d
        .namespaces
        .iter()
        .enumerate()
        .map(|(i, ns)| {
            let worst =
                d.findings.iter().filter(|f| f.namespace == Some(i)).map(|f| f.severity).max();
            (i, worst, fullness(&ns.load).unwrap_or(0.0))
        })
        .filter(|&(i, worst, full)| all || i == 0 || worst.is_some() || full >= NOTABLE)
        .collect();
    if !all {
        ranked.sort_by(|a, b| {
            (b.0 == 0).cmp(&(a.0 == 0)).then(b.1.cmp(&a.1)).then(b.2.total_cmp(&a.2))
        });
        // A handful is no crowd: then the quiet ones are shown too.
        if ranked.len() < SHOWN && d.namespaces.len() <= 4 {
            ranked = (0..d.namespaces.len()).map(|i| (i, None, 0.0)).collect();
        }
        ranked.truncate(SHOWN);
    }
    let mut shown: Vec<usize> = ranked.into_iter().map(|(i, ..)| i).collect();
    shown.sort_unstable();
    shown
}

pub(super) fn show(screen: &mut Screen<'_>, d: &Diagnosis) {
    let style = screen.style;
    screen.gap();
    let title = spoken!(style.language, "LOAD", "负载");
    if d.namespaces.is_empty() {
        let none = spoken!(
            style.language,
            "no network namespace could be read",
            "没有读到任何网络命名空间"
        );
        screen.heading(&title, &none);
        return;
    }
    let shown = that_matter(d, style.verbose);
    let beside = spoken!(
        style.language,
        "entries / limit of each network namespace",
        "每个网络命名空间的条目数 / 上限"
    );
    screen.heading(&title, &beside);
    let columns = Columns::of(
        shown.iter().map(|&i| (style.said(&d.namespaces[i].name), &d.namespaces[i].load)),
        style,
    );
    for &i in &shown {
        let ns = &d.namespaces[i];
        screen.line(&columns.line(style.said(&ns.name), &ns.load, style));
        let found = d.findings.iter().any(|f| f.namespace == Some(i));
        if i == 0 || found || style.verbose {
            details(screen, d, ns);
        }
    }
    if shown.len() < d.namespaces.len() {
        folded(screen, d, &shown);
    }
}

/// The load line of one namespace: name, bar, numbers, per cent.
pub fn load_line(name: &str, load: &Load, style: &Style) -> Line {
    Columns::of([(name, load)], style).line(name, load, style)
}

/// Widths of the columns, the same in all load lines.
struct Columns {
    name: usize,
    bar: usize,
    numbers: usize,
}

pub(super) const PERCENT: usize = 6;

impl Columns {
    fn of<'a>(lines: impl IntoIterator<Item = (&'a str, &'a Load)>, style: &Style) -> Self {
        let (mut names, mut widest) = (0, 0);
        for (name, load) in lines {
            names = names.max(width(&style.show(name)));
            widest = widest.max(width(&numbers(load, style)));
        }
        let least = 2 + 4 + 1 + 6 + 1 + 1 + PERCENT;
        let numbers = widest.min(style.columns() - least);
        // What the screen has beyond 80 columns is a long name's before it is the bar's.
        let most = if style.columns() < 80 { 16 } else { style.columns() - 56 };
        let most = most.min(style.columns() - least - numbers + 4);
        let name = names.clamp(4, most);
        let used = 2 + name + 1 + 1 + 1 + numbers + PERCENT;
        Self { name, bar: style.columns().saturating_sub(used).max(6), numbers }
    }

    fn line(&self, name: &str, load: &Load, style: &Style) -> Line {
        let name = left(&style.show(name), self.name, style.unicode);
        let percent = fullness(load).map_or_else(String::new, share);
        let paint = match fullness(load) {
            Some(full) if full >= 0.95 => Paint::Bad,
            Some(full) if full >= 0.8 => Paint::Warn,
            _ => Paint::Plain,
        };
        let mut line = Line::new().plain(style, "  ").with(style, Paint::Strong, &name);
        line.push(style, Paint::Plain, " ");
        line.append(bar(load, self.bar, style));
        line.push(style, Paint::Plain, " ");
        line.push(
            style,
            Paint::Plain,
            &right(&cut(&numbers(load, style), self.numbers, style.unicode), self.numbers),
        );
        line.push(style, paint, &right(&percent, PERCENT));
        line
    }
}

/// `65,536 / 65,536`
fn numbers(load: &Load, style: &Style) -> String {
    let of = |n: Option<plimsoll_ct::Entries>| n.map_or_else(|| "?".into(), |n| count(n.get()));
    let max = match load.max {
        Some(max) if max.get() == 0 => spoken!(style.language, "no limit", "不设上限"),
        max => of(max),
    };
    style.show(&format!("{} / {max}", of(load.count)))
}

/// Parts and rates of a namespace.
fn details(screen: &mut Screen<'_>, d: &Diagnosis, ns: &NamespaceReport) {
    let style = screen.style;
    let language = style.language;
    match &ns.tracking {
        Some((false, because)) => {
            let word = spoken!(language, "not tracking: ", "没有跟踪：");
            let start = Line::new().plain(style, "    ").with(style, Paint::Strong, &word);
            screen.paragraph(start, 6, Paint::Plain, style.said(because));
        }
        Some((true, because)) if style.verbose => {
            let word = spoken!(language, "    tracking: ", "    正在跟踪：");
            screen.paragraph(Line::new().plain(style, &word), 6, Paint::Plain, style.said(because));
        }
        _ => {}
    }
    let parts = load_parts(&ns.load, style);
    if !parts.is_empty() {
        screen.flow(Line::new().padded(4), 4, "   ", &parts);
    }
    let rates = rates(&ns.rates, style, d.host.origin == Origin::Live);
    if !rates.is_empty() {
        screen.flow(Line::new().padded(4), 4, "   ", &rates);
    }
    if let Some(full_in) = ns.full_in.filter(|&s| s > 0.0 && (s < FAR || style.verbose)) {
        // By what growth is for the finding to say: that of the count is not the one that fills the table for good.
        let time = span(language, full_in);
        let text = spoken!(language, "full in {time}", "再过 {time} 就满");
        let line = Line::new().plain(style, "    ").with(style, Paint::Warn, &text);
        screen.line(&line);
    }
    if style.verbose {
        verbose(screen, ns);
    }
}

/// Where rates come from and what was counted since boot.
fn verbose(screen: &mut Screen<'_>, ns: &NamespaceReport) {
    let style = screen.style;
    let language = style.language;
    if !ns.rates.new_source.is_empty() {
        let word = spoken!(language, "    rate of new entries: ", "    新建条目的速率：");
        let start = Line::new().with(style, Paint::Faint, &word);
        screen.paragraph(start, 6, Paint::Faint, style.said(&ns.rates.new_source));
    }
    for (name, value) in named(&ns.rates) {
        if let Err(gap) = value {
            let name = style.said(&name);
            let start = spoken!(language, "    {name}: ", "    {name}：");
            let start = Line::new().with(style, Paint::Faint, &start);
            let (reason, detail) = (gap.reason.name(), style.said(&gap.detail));
            let text = spoken!(language, "{}: {detail}", "{}：{detail}", style.said(&reason));
            screen.paragraph(start, 6, Paint::Faint, &text);
        }
    }
    if !ns.totals.is_empty() {
        let items: Vec<Line> = ns
            .totals
            .iter()
            .map(|(name, value)| {
                Line::new().with(style, Paint::Faint, &format!("{name} {}", count(*value)))
            })
            .collect();
        let start = Line::new().with(
            style,
            Paint::Faint,
            &spoken!(language, "    since boot: ", "    启动以来："),
        );
        screen.flow(start, 6, "  ", &items);
    }
}

/// `█ protected 62,233 (95 %)` and so on; empty when the split is not known.
pub fn load_parts(load: &Load, style: &Style) -> Vec<Line> {
    let glyphs = glyphs(style);
    let mut parts = Vec::new();
    for (glyph, paint, name, part) in [
        (glyphs.protected, level(load), Said::of("protected", "受保护"), load.protected),
        (glyphs.closing, Paint::Closing, Said::of("closing", "关闭中"), load.closing),
        (glyphs.evictable, Paint::Evictable, Said::of("evictable", "可淘汰"), load.evictable),
    ] {
        if let Some(part) = part {
            let mut line = Line::new().with(style, paint, glyph);
            let about = load.sampled.is_some() && !load.complete;
            line.push(
                style,
                Paint::Plain,
                &format!(
                    " {} {}{}",
                    style.said(&name),
                    if about { "~" } else { "" },
                    count(part.get())
                ),
            );
            let whole = load.max.filter(|m| m.get() > 0);
            let of_limit = whole.and_then(|w| ratio(part.get(), w.get()));
            if let Some(share) = of_limit.filter(|&s| s >= 0.01).map(self::share) {
                line.push(
                    style,
                    Paint::Faint,
                    &spoken!(style.language, " ({share})", "（{share}）"),
                );
            }
            parts.push(line);
        }
    }
    let other = parts_of(load)[3];
    if parts.is_empty() && other > 0 {
        let mut line = Line::new().with(style, level(load), glyphs.whole);
        line.push(
            style,
            Paint::Faint,
            &spoken!(style.language, " what may be evicted is not known", " 不知道哪些可以淘汰"),
        );
        parts.push(line);
    } else if other > 0 {
        let mut line = Line::new().with(style, Paint::Faint, glyphs.whole);
        line.push(
            style,
            Paint::Faint,
            &spoken!(
                style.language,
                " expired or not listed {}",
                " 已过期或没有列出 {}",
                count(other)
            ),
        );
        parts.push(line);
    }
    if !load.complete
        && let Some((sampled, count_now)) = load.sampled.zip(load.count)
    {
        let of = count_now.get().max(sampled.get());
        parts.push(Line::new().with(
            style,
            Paint::Faint,
            &spoken!(
                style.language,
                "from a sample of {} of {}",
                "由 {1} 个里的 {0} 个推算",
                count(sampled.get()),
                count(of)
            ),
        ));
    }
    parts
}

/// The rates with the words of the screen.
fn named(rates: &Rates) -> [(Said, &Rate); 6] {
    [
        (Said::of("new", "新建"), &rates.new),
        (Said::of("expired", "过期"), &rates.expired),
        (Said::of("dropped", "丢弃"), &rates.drop),
        (Said::of("early-dropped", "提前淘汰"), &rates.early_drop),
        (Said::of("insert failed", "插入失败"), &rates.insert_failed),
        (Said::of("invalid", "无效"), &rates.invalid),
    ]
}

/// The first three always, the others when they move; missing ones are named together.
fn rates(rates: &Rates, style: &Style, live: bool) -> Vec<Line> {
    let mut items = Vec::new();
    let mut unknown = Vec::new();
    for (i, (name, value)) in named(rates).into_iter().enumerate() {
        match value {
            Ok(value) if i < 3 || *value > 0.0 || style.verbose => {
                let paint = match &*name {
                    "dropped" | "insert failed" if *value > 0.0 => Paint::Bad,
                    "early-dropped" if *value > 0.0 => Paint::Warn,
                    _ => Paint::Plain,
                };
                items.push(Line::new().with(
                    style,
                    paint,
                    &spoken!(
                        style.language,
                        "{} {}/s",
                        "{} {}/秒",
                        style.said(&name),
                        rate(*value)
                    ),
                ));
            }
            Ok(_) => {}
            Err(_) => unknown.push(name),
        }
    }
    // On a dead host that none was measured is said once, in the head.
    if !unknown.is_empty() && (live || !items.is_empty()) {
        let text = if unknown.len() == named(rates).len() {
            spoken!(style.language, "rates not measured", "没有测量速率")
        } else {
            {
                let names = Said::join(&unknown, &Said::of(", ", "、"));
                spoken!(style.language, "not measured: {}", "没有测量：{}", style.said(&names))
            }
        };
        items.push(Line::new().with(style, Paint::Faint, &text));
    }
    items
}

/// One line for all the namespaces that are not shown.
fn folded(screen: &mut Screen<'_>, d: &Diagnosis, shown: &[usize]) {
    let style = screen.style;
    let rest = || d.namespaces.iter().enumerate().filter(|(i, _)| !shown.contains(i));
    let entries: u64 =
        rest().filter_map(|(_, ns)| ns.load.count).fold(0, |sum, c| sum.saturating_add(c.get()));
    let fullest = rest()
        .filter_map(|(_, ns)| fullness(&ns.load).map(|full| (full, ns)))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let unread = rest().filter(|(_, ns)| ns.load.count.is_none()).count();
    let mut items = Vec::new();
    let mut item = |text: &str| items.push(Line::new().with(style, Paint::Faint, text));
    let others = d.namespaces.len() - shown.len();
    let language = style.language;
    item(&spoken!(language, "and {} more", "另有 {} 个", count(others as u64)));
    let (held, n) = (counted(entries, "entry", "entries"), count(entries));
    item(&spoken!(language, "{held} in them", "其中共 {n} 个条目"));
    if let Some((full, ns)) = fullest {
        let room = style.columns() / 2;
        let name = cut(&style.show(style.said(&ns.name)), room, style.unicode);
        item(&spoken!(language, "fullest {} ({name})", "最满的 {}（{name}）", share(full)));
    }
    if unread > 0 {
        item(&spoken!(language, "{} could not be read", "{} 个没能读到", count(unread as u64)));
    }
    item(&spoken!(language, "-v shows all", "-v 显示全部"));
    screen.flow(Line::new().padded(2), 4, &spoken!(language, ", ", "，"), &items);
}
