//! The answer as a screen: what is needed and what would suffice first, then the numbers, then the doubts.

use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

use plimsoll_replay::{Answer, Change, Row};

use super::{caveats, sizing, table};
use crate::number::{bytes, count, counted, ratio, share};
use crate::paint::{Line, Paint};
use crate::screen::Screen;
use crate::spoken::span;
use crate::{Language, Style};

/// The whole screen.
pub fn replay_text(a: &Answer, style: &Style) -> String {
    let mut screen = Screen::new(style);
    head(&mut screen, a);
    if a.tally.packets > 0 {
        table::show(&mut screen, a);
    }
    doubts(&mut screen, a);
    screen.finish()
}

fn nothing(a: &Answer, language: Language) -> String {
    if a.tally.frames == 0 {
        return spoken!(language, "There is no packet in the capture.", "抓包文件里没有包。");
    }
    let n = count(a.tally.frames);
    let frames = counted(a.tally.frames, "frame was", "frames were");
    if a.tally.truncated > 0 {
        return spoken!(
            language,
            "{frames} read, and of no packet was enough captured to read its headers.",
            "读了 {n} 个帧，没有一个包抓到的内容够读出包头。"
        );
    }
    spoken!(
        language,
        "{frames} read, and no IP packet is among them.",
        "读了 {n} 个帧，其中没有一个是能读出的 IP 包。"
    )
}

/// `10 min 3 s`
fn covered(a: &Answer, language: Language) -> String {
    let seconds = a.span.map_or(0.0, |(first, last)| last.0.saturating_sub(first.0) as f64 / 1e9);
    if seconds > 0.0 && seconds < 0.05 {
        return spoken!(language, "less than 0.1 s", "不到 0.1 秒");
    }
    span(language, seconds)
}

fn head(screen: &mut Screen<'_>, a: &Answer) {
    let style = screen.style;
    let language = style.language;
    if a.tally.packets == 0 {
        let word = spoken!(language, "NOTHING", "没有数据");
        let start = Line::new().with(style, Paint::Unsure, &word).plain(style, "  ");
        let hang = start.width();
        screen.paragraph(start, hang, Paint::Strong, &nothing(a, language));
        return;
    }
    let now = &a.as_set.outcome;
    let (word, paint) = match (now.lost, now.evicted) {
        (0, 0) if caveats::lacks_many(a) => (spoken!(language, "UNSURE", "不确定"), Paint::Unsure),
        (0, 0) => (spoken!(language, "HOLDS", "够用"), Paint::Good),
        (0, _) => (spoken!(language, "EVICTS", "淘汰"), Paint::Warn),
        _ => (spoken!(language, "DROPS", "丢包"), Paint::Bad),
    };
    let start = Line::new().with(style, paint, &word).plain(style, "  ");
    let hang = start.width();
    screen.paragraph(start, hang, Paint::Strong, &verdict(a, style));
    for text in ways_out(a, language) {
        screen.paragraph(Line::new().padded(hang), hang, Paint::Plain, &text);
    }
    let items: Vec<Line> = about(a, style)
        .iter()
        .map(|text| Line::new().with(style, Paint::Faint, &style.show(text)))
        .collect();
    screen.flow(Line::new().padded(hang), hang, " · ", &items);
}

/// What was replayed, and as what.
fn about(a: &Answer, style: &Style) -> Vec<String> {
    let language = style.language;
    let (n, covered) = (count(a.tally.packets), covered(a, language));
    let packets = counted(a.tally.packets, "packet", "packets");
    let mut about = vec![spoken!(language, "{packets} in {covered}", "{covered}内 {n} 个包")];
    if let Some((first, _)) = a.span.filter(|_| !a.synthetic) {
        let first = style.clock.show(first);
        about.push(spoken!(language, "from {first}", "始于 {first}"));
    }
    if a.synthetic {
        about.push(spoken!(language, "made-up traffic", "模拟流量"));
    }
    if a.scale > 1 {
        let copies = count(a.scale.into());
        about.push(spoken!(language, "{copies} copies", "{copies} 份"));
    }
    if (a.speed - 1.0).abs() > f64::EPSILON {
        let speed = a.speed;
        about.push(spoken!(language, "{speed} times as fast", "{speed} 倍速"));
    }
    let kernel = a.profile.name;
    about.push(spoken!(language, "as Linux {kernel}", "按 Linux {kernel}"));
    let entries = |policy: &String| spoken!(language, "entries of {policy}", "条目按 {policy}");
    about.extend(a.policies.iter().map(entries));
    about
}

/// `nf_conntrack_max=32,768`
fn limit(max: u64, language: Language) -> String {
    if max == 0 {
        spoken!(language, "nf_conntrack_max=0 (no limit)", "nf_conntrack_max=0（不设上限）")
    } else {
        format!("nf_conntrack_max={}", count(max))
    }
}

/// What is needed, and what the setting as it is makes of it.
fn verdict(a: &Answer, style: &Style) -> String {
    let language = style.language;
    let now = &a.as_set.outcome;
    let needed = a.needed();
    let (n, entries) = (count(needed), counted(needed, "entry", "entries"));
    let (chains, buckets) = (now.lost_to_chains(), count(now.buckets));
    let needs = if a.needed_is_known() && caveats::lacks_many(a) {
        spoken!(
            language,
            "The packets that could be read need {entries}",
            "读得出的包需要 {n} 个条目"
        )
    } else if a.needed_is_known() && (chains > 0 || a.more_buckets.is_some()) {
        spoken!(
            language,
            "The table needs {entries} and more than {buckets} buckets",
            "连接跟踪表需要 {n} 个条目，桶要多于 {buckets} 个"
        )
    } else if a.needed_is_known() {
        spoken!(language, "The table needs {entries}", "连接跟踪表需要 {n} 个条目")
    } else {
        spoken!(language, "The table needs more than {entries}", "连接跟踪表需要的条目多于 {n} 个")
    };
    let limit = limit(now.max, language);
    match (now.lost, now.evicted) {
        (0, 0) => {
            let part = match ratio(now.peak, now.max) {
                None => String::new(),
                Some(r) if r < 0.01 => {
                    spoken!(language, " (less than 1 % full)", "（占用不到 1 %）")
                }
                Some(r) => {
                    let r = share(r);
                    spoken!(language, " (at most {r} full)", "（最多占用 {r}）")
                }
            };
            let them = if needed == 1 { "it" } else { "them" };
            spoken!(
                language,
                "{needs}; {limit} holds {them}{part}: no packet is lost.",
                "{needs}；{limit} 装得下{part}：一个包也不丢。"
            )
        }
        (0, evicted) => {
            let entries = if evicted == 1 { "entry is" } else { "entries are" };
            let evicted = count(evicted);
            spoken!(
                language,
                "{needs}; with {limit} no packet is lost, but {evicted} not assured {entries} evicted to make room.",
                "{needs}；{limit} 时不丢包，但为了腾地方，提前淘汰了 {evicted} 个未 ASSURED 的条目。"
            )
        }
        (lost, _) => {
            let at = match (now.first_drop, a.span) {
                // Made-up traffic has no date.
                (Some(at), Some((start, _))) if a.synthetic => Some(table::since(start, at)),
                (Some(at), _) => Some(style.clock.show(at)),
                (None, _) => None,
            };
            let from =
                at.map_or_else(String::new, |at| spoken!(language, " from {at} on", "从 {at} 起"));
            let packets = counted(lost, "packet", "packets");
            let connections = counted(now.flows_lost, "connection", "connections");
            let (n, flows) = (count(lost), count(now.flows_lost));
            let (about, about_zh) =
                if now.flows_are_estimated() { ("about ", "约 ") } else { ("", " ") };
            let why = match chains {
                0 => String::new(),
                _ if chains == lost => spoken!(
                    language,
                    ": hash chains get too long, whatever the limit",
                    "：哈希链太长，与上限无关"
                ),
                _ => {
                    let chains = count(chains);
                    spoken!(
                        language,
                        ", {chains} of them since hash chains get too long with {buckets} buckets",
                        "，其中 {chains} 个是因为只有 {buckets} 个桶，哈希链太长"
                    )
                }
            };
            let with =
                if chains == lost { format!("nf_conntrack_buckets={buckets}") } else { limit };
            spoken!(
                language,
                "{needs}; with {with} it drops {packets} of {about}{connections}{from}{why}.",
                "{needs}；{with} 时{from}丢弃 {n} 个包，涉及{about_zh}{flows} 条连接{why}。"
            )
        }
    }
}

/// What would suffice.
fn ways_out(a: &Answer, language: Language) -> Vec<String> {
    let mut said = Vec::new();
    let now = &a.as_set.outcome;
    if a.as_set.is_clean() {
        return said;
    }
    if let Some(row) = a.smallest_asked() {
        let (changes, evicts) = (changes(row, language), evicts(row, language));
        said.push(spoken!(
            language,
            "Of those tried, the smallest change that drops nothing: {changes}{evicts}.",
            "试过的设置里，不丢包的最小改动：{changes}{evicts}。"
        ));
    } else if !a.asked.is_empty() && now.lost > 0 {
        said.push(spoken!(
            language,
            "Each of the settings that were to be tried drops packets too.",
            "要试的每一种设置也都丢包。"
        ));
    }
    let needed = a.needed();
    let growth = |max: u64| {
        ratio(max.saturating_sub(now.max), now.max)
            .map(share)
            .map_or_else(String::new, |more| spoken!(language, " ({more} more)", "（增加 {more}）"))
    };
    match &a.enough {
        Some(row) if now.lost > 0 => {
            let (max, growth) = (count(row.outcome.max), growth(row.outcome.max));
            let (evicts, needed) = (evicts(row, language), count(needed));
            said.push(spoken!(
                language,
                "Smallest limit that drops nothing: about nf_conntrack_max={max}{growth}{evicts}. Whom early drop finds is \
                 chance, another boot's another; from {needed} on nothing has to be evicted, and only that is certain.",
                "不丢包的最小上限：大约 nf_conntrack_max={max}{growth}{evicts}。会淘汰到谁要看运气，每次启动\
                 都不一样；从 {needed} 起不必淘汰任何条目，只有这一点是确定的。"
            ));
        }
        Some(_) | None if a.lost_without_a_limit() > 0 => said.push(no_limit_helps(a, language)),
        Some(_) | None if a.unlimited.is_some() => {
            let (max, growth) = (count(needed), growth(needed));
            said.push(spoken!(
                language,
                "Smallest limit that neither drops nor evicts: nf_conntrack_max={max}{growth}.",
                "既不丢包也不淘汰的最小上限：nf_conntrack_max={max}{growth}。"
            ));
        }
        Some(_) | None => {}
    }
    if let Some(row) = a.smallest_shorter() {
        let (changes, evicts) = (changes(row, language), evicts(row, language));
        said.push(spoken!(
            language,
            "Without a higher limit: {changes} drops nothing{evicts}.",
            "不提高上限：{changes} 就不丢包{evicts}。"
        ));
    }
    if a.needed_is_known() {
        let size = sizing(a);
        let (max, buckets, memory) = (count(size.max), count(size.buckets), bytes(size.worst));
        said.push(spoken!(
            language,
            "With room to grow: nf_conntrack_max={max} and {buckets} buckets, {memory} when full.",
            "留出增长的余地：nf_conntrack_max={max}，{buckets} 个桶，表满时占用内存 {memory}。"
        ));
    }
    said
}

/// What is lost without a limit too, and what would help.
fn no_limit_helps(a: &Answer, language: Language) -> String {
    let lost = a.lost_without_a_limit();
    let (n, packets) = (count(lost), counted(lost, "packet is", "packets are"));
    let lost = counted(lost, "packet", "packets");
    let chains = a.unlimited.as_ref().map_or(0, |row| row.outcome.lost_to_chains());
    if chains == 0 {
        return spoken!(
            language,
            "No limit is enough: {packets} lost without one too.",
            "上限设多高都不够：不设上限也会丢 {n} 个包。"
        );
    }
    let alone = spoken!(
        language,
        "A higher limit alone does not help: without one, hash chains that are too long lose {lost}.",
        "光提高上限没有用：不设上限也会因哈希链太长而丢 {n} 个包。"
    );
    let Some(row) = a.more_buckets.as_ref().filter(|row| row.outcome.lost == 0) else {
        return alone;
    };
    let (buckets, max) = (count(row.outcome.buckets), count(row.outcome.peak));
    spoken!(
        language,
        "{alone} With {buckets} buckets nf_conntrack_max={max} neither drops nor evicts.",
        "{alone}有 {buckets} 个桶时，nf_conntrack_max={max} 既不丢包也不淘汰。"
    )
}

/// `, evicting 12 entries`
fn evicts(row: &Row, language: Language) -> String {
    let n = row.outcome.evicted;
    if n == 0 {
        return String::new();
    }
    let (entries, n) = (counted(n, "entry", "entries"), count(n));
    spoken!(language, ", evicting {entries}", "，淘汰 {n} 个条目")
}

/// `nf_conntrack_max=65,536 (instead of 32,768)`; of several settings those that are not as they were.
fn changes(row: &Row, language: Language) -> String {
    let others = || row.changes.iter().filter(|change| change.from != change.to);
    if others().next().is_none() {
        return spoken!(language, "what is set", "现有设置");
    }
    let each = others().map(|Change { name, from, to }| {
        let (from, to) = (count(*from), count(*to));
        spoken!(language, "{name}={to} (instead of {from})", "{name}={to}（原为 {from}）")
    });
    let all: Vec<String> = each.collect();
    all.join(&spoken!(language, " and ", " 并且 "))
}

fn doubts(screen: &mut Screen<'_>, a: &Answer) {
    let style = screen.style;
    let caveats = caveats::caveats(a, style.language);
    if caveats.is_empty() {
        return;
    }
    screen.gap();
    screen.heading(&spoken!(style.language, "WHAT THIS CANNOT TELL", "说不准的地方"), "");
    for text in caveats {
        screen.paragraph(Line::new().plain(style, "  - "), 4, Paint::Plain, &text);
    }
}
