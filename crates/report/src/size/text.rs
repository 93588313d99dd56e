//! The screen of `plimsoll size`: the answer, then each line of the arithmetic.

use alloc::string::{String, ToString};
use alloc::{format, vec};

use plimsoll_ct::Bytes;
use plimsoll_diagnosis::size::{Formula, Remark, Sizing};

use super::chinese;
use crate::number::{bytes, count, number};
use crate::paint::{Line, Paint};
use crate::screen::Screen;
use crate::wrap::{left, right};
use crate::{Language, Style};

/// Columns of the names, and of each number.
const NAME: usize = 16;
const NUMBER: usize = 10;
/// Where a remark begins.
const HANG: usize = 4;

/// The screen.
pub fn size_text(s: &Sizing, style: &Style) -> String {
    let mut screen = Screen::new(style);
    head(&mut screen, s);
    demand(&mut screen, s);
    memory(&mut screen, s);
    chains(&mut screen, s);
    others(&mut screen, s);
    screen.finish()
}

fn head(screen: &mut Screen<'_>, s: &Sizing) {
    let style = screen.style;
    let language = style.language;
    let (max, buckets, memory) = (count(s.max), count(s.buckets), bytes(s.worst));
    let text = spoken!(
        language,
        "nf_conntrack_max={max} with {buckets} buckets: {memory} when full.",
        "nf_conntrack_max={max}，{buckets} 个桶：表满时占用内存 {memory}。"
    );
    let word = spoken!(language, "SIZE", "大小");
    let start = Line::new().with(style, Paint::Strong, &word).plain(style, "  ");
    screen.paragraph(start, 6, Paint::Strong, &text);
    let (now, wanted) = (s.machine.max_now.map(count), count(s.wanted));
    let (paint, text) = match (s.enough(), now) {
        _ if s.capped => (
            Paint::Warn,
            spoken!(
                language,
                "The load asks for {wanted}, and an eighth of the memory holds no more: shorten timeouts, shed, or \
                 track less.",
                "负载需要 {wanted}，而八分之一的内存装不下更多：请缩短超时、清除条目，或者少跟踪一些。"
            ),
        ),
        (Some(true), Some(_)) if s.machine.max_now == Some(0) => (
            Paint::Warn,
            spoken!(
                language,
                "The limit in force, 0, is none at all: it holds the load, and a flood may take all memory.",
                "现行上限 0 就是不设上限：装得下负载，但一次洪水攻击就可能耗尽内存。"
            ),
        ),
        (Some(true), Some(now)) => (
            Paint::Good,
            spoken!(language, "The limit in force, {now}, is enough.", "现行上限 {now} 够用。"),
        ),
        (Some(false), Some(now)) => (
            Paint::Warn,
            spoken!(
                language,
                "The limit in force, {now}, is less than the {wanted} that the load asks for.",
                "现行上限 {now} 低于负载所需的 {wanted}。"
            ),
        ),
        (Some(_) | None, _) => return,
    };
    screen.paragraph(Line::new().padded(6), 6, paint, &text);
    if s.enough() == Some(false) {
        screen.gap();
        screen.command(&format!("plimsoll fix raise --max {} --buckets {}", s.max, s.buckets));
    }
}

/// A line of a table of numbers.
fn row(style: &Style, name: &str, cells: [&str; 3]) -> Line {
    let mut line = Line::new().plain(style, "  ").plain(style, &left(name, NAME, style.unicode));
    for cell in cells {
        line.push(style, Paint::Plain, &right(cell, NUMBER));
    }
    line
}

fn demand(screen: &mut Screen<'_>, s: &Sizing) {
    let style = screen.style;
    let language = style.language;
    let chinese = language == Language::Chinese;
    let from = if chinese { chinese::origin(&s.demand.from) } else { s.demand.from.to_string() };
    screen.gap();
    screen.heading(&spoken!(language, "DEMAND", "需求"), &from);
    let heads = match language {
        Language::English => ["new/s", "stays s", "entries"],
        Language::Chinese => ["新建/秒", "停留秒", "条目数"],
    };
    screen.line(&row(style, "", heads));
    for class in &s.demand.classes {
        let rate = class.rate.map_or_else(|| "–".to_string(), number);
        let stays = class.stays.map_or_else(|| "–".to_string(), number);
        let (name, how) = if chinese {
            (chinese::class(&class.name), chinese::how(class.how))
        } else {
            (class.name.clone(), class.how.to_string())
        };
        let mut line = row(style, &name, [&rate, &stays, &count(class.entries)]);
        line.push(style, Paint::Plain, "  ");
        let hang = line.width();
        screen.paragraph(line, hang, Paint::Faint, &how);
    }
    let peak = s.demand.peak.entries(s.demand.mean);
    let because = if chinese { chinese::because(s.demand.peak) } else { s.demand.peak.because() };
    let margin = s.margin;
    let mut sums = vec![
        (
            spoken!(language, "mean", "平均"),
            s.demand.mean,
            spoken!(language, "the sum: entries at once", "合计：同时存在的条目数"),
        ),
        (spoken!(language, "peak", "峰值"), peak, because),
        (
            spoken!(language, "margin", "余量"),
            s.wanted,
            spoken!(language, "{margin} % above the peak", "比峰值高 {margin} %"),
        ),
    ];
    if let Some(default) = s.default.filter(|d| *d > s.wanted) {
        let own = spoken!(language, "this kernel's own default", "本内核自己的默认值");
        sums.push((spoken!(language, "at least", "至少"), default, own));
    }
    let limit = if s.capped {
        spoken!(language, "what memory allows", "内存所允许的")
    } else {
        spoken!(language, "rounded up", "向上取整")
    };
    sums.push((spoken!(language, "limit", "上限"), s.max, limit));
    for (name, entries, why) in sums {
        total(screen, &name, entries, &why);
    }
    for remark in &s.demand.remarks {
        if let Remark::Command(command) = remark {
            screen.command(command);
            continue;
        }
        let text = if chinese { chinese::remark(remark) } else { remark.to_string() };
        screen.paragraph(Line::new().padded(2), HANG, Paint::Plain, &text);
    }
}

fn total(screen: &mut Screen<'_>, name: &str, entries: u64, why: &str) {
    let style = screen.style;
    let mut line = row(style, name, ["", "", &count(entries)]);
    line.push(style, Paint::Plain, "  ");
    let hang = line.width();
    screen.paragraph(line, hang, Paint::Faint, why);
}

fn memory(screen: &mut Screen<'_>, s: &Sizing) {
    let language = screen.style.language;
    let m = &s.machine;
    screen.gap();
    let of = m.memory.map_or_else(String::new, |memory| {
        let memory = bytes(memory);
        spoken!(language, "of {memory}", "共 {memory}")
    });
    screen.heading(&spoken!(language, "MEMORY", "内存"), &of);
    let extension = m.entry().0.saturating_sub(m.object.0);
    let (size, source) = (m.object.0, &m.object_source);
    let mut object =
        spoken!(language, "an entry: {size} B [{source}]", "一个条目：{size} B [{source}]");
    if extension > 0 {
        object.push_str(&spoken!(
            language,
            " + {extension} B for its extensions",
            " + 扩展 {extension} B"
        ));
    }
    let spaces = match m.namespaces() {
        1 => String::new(),
        n => spoken!(language, " × {n} namespaces that track", " × {n} 个启用跟踪的命名空间"),
    };
    let all = s.max.saturating_mul(m.entry().0).saturating_mul(m.namespaces());
    let (max, entry, entries) = (count(s.max), m.entry().0, bytes(Bytes(all)));
    let (buckets, bucket) = (count(s.buckets), m.bucket().0);
    let (rest, worst, usual) =
        (bytes(Bytes(s.worst.0.saturating_sub(all))), bytes(s.worst), bytes(s.usual));
    let lines = [
        object,
        spoken!(
            language,
            "{max} entries × {entry} B{spaces} = {entries}",
            "{max} 个条目 × {entry} B{spaces} = {entries}"
        ),
        spoken!(
            language,
            "{buckets} buckets × {bucket} B = {rest}",
            "{buckets} 个桶 × {bucket} B = {rest}"
        ),
        spoken!(
            language,
            "{worst} when every table is full; {usual} at the peak above",
            "所有的表都满时 {worst}；上述峰值时 {usual}"
        ),
    ];
    for line in lines {
        screen.paragraph(Line::new().padded(2), HANG, Paint::Plain, &line);
    }
}

fn chains(screen: &mut Screen<'_>, s: &Sizing) {
    let language = screen.style.language;
    screen.gap();
    screen.heading(
        &spoken!(language, "CHAINS", "哈希链"),
        &spoken!(language, "in a full table", "表满时"),
    );
    let (average, longest) = (number(s.chain.0), s.chain.1);
    let bound = match s.machine.profile.chain_limit {
        Some(bound) => {
            let (least, most) = (bound.least, bound.most);
            spoken!(
                language,
                "this kernel refuses a new entry over {least} to {most}",
                "本内核在链长超过 {least} 到 {most} 时拒绝新条目"
            )
        }
        None => {
            spoken!(
                language,
                "this kernel refuses none for their length",
                "本内核不因链长拒绝新条目"
            )
        }
    };
    let text = spoken!(
        language,
        "an entry hangs in two chains: {average} on average, the longest about {longest}; {bound}",
        "一个条目挂在两条链上：平均长 {average}，最长约 {longest}；{bound}"
    );
    screen.paragraph(Line::new().padded(2), HANG, Paint::Plain, &text);
}

fn others(screen: &mut Screen<'_>, s: &Sizing) {
    let style = screen.style;
    let language = style.language;
    // One that says the same needs no why.
    let others = || s.others.iter().filter(|formula| formula.max != s.max);
    if others().next().is_none() {
        return;
    }
    screen.gap();
    screen.heading(
        &spoken!(language, "OTHER FORMULAS", "其他公式"),
        &spoken!(language, "and why they say something else", "以及它们为什么得出别的数"),
    );
    for Formula { rule, max, buckets: _ } in others() {
        let (name, text) = match language {
            Language::English => {
                (rule.name().to_string(), format!("{}: {}", rule.words(), rule.why()))
            }
            Language::Chinese => chinese::rule(*rule),
        };
        let line = Line::new().plain(style, &right(&count(*max), NUMBER)).plain(style, "  ");
        screen.line(&line.with(style, Paint::Strong, &name));
        screen.paragraph(Line::new().padded(NUMBER + 2), NUMBER + 2, Paint::Plain, &text);
    }
}
