//! Drops, past and present.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::{Time, TimeRange};
use plimsoll_diagnosis::Diagnosis;
use plimsoll_diagnosis::facts::Origin;

use crate::Language;
use crate::number::{self, count, rate};
use crate::paint::{Line, Paint};
use crate::screen::Screen;
use crate::spoken::span;

/// Where the values begin.
const COLUMN: usize = 16;

pub(super) fn show(screen: &mut Screen<'_>, d: &Diagnosis) {
    let style = screen.style;
    let drops = &d.drops;
    let lines = drops.log_lines.unwrap_or(0);
    let none_now = drops.now.is_none_or(|n| n <= 0.0);
    let language = style.language;
    let title = spoken!(language, "DROPS", "丢包");
    screen.gap();
    if none_now && drops.counted.unwrap_or(0) == 0 && lines == 0 {
        let known = [
            drops.now.map(|_| spoken!(language, "none now", "现在没有")),
            drops.counted.map(|_| spoken!(language, "none since boot", "启动以来没有")),
            drops.log_lines.map(|_| spoken!(language, "no line in the log", "日志里没有")),
        ];
        let unknown = [
            drops.now.is_none().then(|| spoken!(language, "now", "现在")),
            drops.counted.is_none().then(|| spoken!(language, "since boot", "启动以来")),
            drops.log_lines.is_none().then(|| spoken!(language, "in the log", "日志里")),
        ];
        let unknown: Vec<String> = unknown.into_iter().flatten().collect();
        let mut said: Vec<String> = known.into_iter().flatten().collect();
        if !unknown.is_empty() {
            let what = unknown.join(&spoken!(language, ", ", "、"));
            said.push(spoken!(language, "not known: {what}", "不知道：{what}"));
        }
        let start = Line::new().with(style, Paint::Strong, &title).plain(style, "  ");
        let hang = start.width();
        screen.paragraph(start, hang, Paint::Plain, &said.join(&style.dot()));
        return;
    }
    screen.heading(&title, "");
    let row = |name: &str| Line::new().plain(style, "  ").plain(style, name).padded(COLUMN);
    if let Some(now) = drops.now {
        let paint = if now > 0.0 { Paint::Bad } else { Paint::Plain };
        let text = if now > 0.0 {
            spoken!(language, "{} packets/s", "每秒 {} 个包", rate(now))
        } else {
            spoken!(language, "none", "没有")
        };
        screen.paragraph(row(&spoken!(language, "now", "现在")), COLUMN, paint, &text);
    }
    if let Some(counted) = drops.counted {
        let causes = match counted {
            0 => String::new(),
            _ => spoken!(
                language,
                " (full table, clashes, NAT and others together)",
                "（表满、插入冲突、NAT 等合计）"
            ),
        };
        let packets = number::counted(counted, "packet", "packets");
        let n = count(counted);
        let text = spoken!(language, "{packets}{causes}", "{n} 个包{causes}");
        let row = row(&spoken!(language, "since boot", "启动以来"));
        screen.paragraph(row, COLUMN, Paint::Plain, &text);
    }
    let (paint, text) = match drops.log_lines {
        Some(0) => (Paint::Plain, spoken!(language, "no line", "没有")),
        Some(lines) => {
            let word = if lines == 1 { "line" } else { "lines" };
            let proof = match drops.packets_at_least {
                Some(1) => spoken!(language, ": at least 1 packet", "：至少 1 个包"),
                Some(n) => {
                    spoken!(language, ": at least {} packets", "：至少 {} 个包", count(n))
                }
                None => String::new(),
            };
            let n = count(lines);
            (Paint::Plain, spoken!(language, "{n} {word}{proof}", "{n} 行{proof}"))
        }
        None => (Paint::Faint, spoken!(language, "not known", "不知道")),
    };
    screen.paragraph(row(&spoken!(language, "in the log", "日志里")), COLUMN, paint, &text);
    for (name, at) in [
        (spoken!(language, "first", "最早"), drops.first),
        (spoken!(language, "last", "最近"), drops.last),
    ] {
        if let Some(at) = at {
            let mut text = style.clock.show_range(at, language);
            if let Some(ago) = ago(at, d.host.at, language) {
                text.push_str(&match d.host.origin {
                    Origin::Live => spoken!(language, " ({ago} ago)", "（{ago}之前）"),
                    Origin::Tree | Origin::Bundle => {
                        spoken!(language, " ({ago} before the end)", "（保存之前 {ago}）")
                    }
                });
            }
            screen.paragraph(row(&format!("  {name}")), COLUMN, Paint::Plain, &text);
        }
    }
    if let Some(n) = drops.suppressed.filter(|&n| n > 0) {
        let (messages, n) = (number::counted(n, "message", "messages"), count(n));
        let text = spoken!(
            language,
            "{messages} of all networking, swallowed by the kernel's rate limit",
            "全部网络消息共 {n} 条，因内核限速没有写出"
        );
        let row = row(&spoken!(language, "  suppressed", "  被抑制"));
        screen.paragraph(row, COLUMN, Paint::Faint, &text);
    }
}

/// How long before the reading, where that is surely in the past.
fn ago(at: TimeRange, now: Time, language: Language) -> Option<String> {
    let nanos = now.0.checked_sub(at.middle().0)?;
    (nanos >= 0).then(|| span(language, nanos as f64 / 1e9))
}
