//! The screen of `plimsoll size`: the answer, then each line of the arithmetic.

use alloc::format;
use alloc::string::{String, ToString};

use plimsoll_ct::Bytes;
use plimsoll_diagnosis::size::{Formula, Sizing};

use crate::Style;
use crate::number::{bytes, count, number};
use crate::paint::{Line, Paint};
use crate::screen::Screen;
use crate::wrap::{left, right};

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
    let text = format!(
        "nf_conntrack_max={} with {} buckets: {} when full.",
        count(s.max),
        count(s.buckets),
        bytes(s.worst)
    );
    screen.paragraph(Line::new().with(style, Paint::Strong, "SIZE  "), 6, Paint::Strong, &text);
    let now = s.machine.max_now.map(count);
    let (paint, text) = match (s.enough(), now) {
        _ if s.capped => (
            Paint::Warn,
            format!(
                "The load asks for {}, and an eighth of the memory holds no more: shorten timeouts, shed, or \
                 track less.",
                count(s.wanted)
            ),
        ),
        (Some(true), Some(now)) => (Paint::Good, format!("The limit in force, {now}, is enough.")),
        (Some(false), Some(now)) => (
            Paint::Warn,
            format!(
                "The limit in force, {now}, is less than the {} that the load asks for.",
                count(s.wanted)
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
    screen.gap();
    screen.heading("DEMAND", &s.demand.from);
    let head = row(style, "", ["new/s", "stays s", "entries"]);
    screen.line(&head);
    for class in &s.demand.classes {
        let rate = class.rate.map_or_else(|| "–".to_string(), number);
        let stays = class.stays.map_or_else(|| "–".to_string(), number);
        let mut line = row(style, &class.name, [&rate, &stays, &count(class.entries)]);
        line.push(style, Paint::Plain, "  ");
        let hang = line.width();
        screen.paragraph(line, hang, Paint::Faint, &class.how);
    }
    let peak = s.demand.peak.entries(s.demand.mean);
    let sums = [
        ("mean", s.demand.mean, "the sum: entries at once".to_string()),
        ("peak", peak, s.demand.peak.because()),
        ("margin", s.wanted, format!("{} % above the peak", s.margin)),
    ];
    for (name, entries, why) in sums {
        total(screen, name, entries, &why);
    }
    if let Some(default) = s.default.filter(|d| *d > s.wanted) {
        total(screen, "at least", default, "this kernel's own default");
    }
    total(screen, "limit", s.max, if s.capped { "what memory allows" } else { "rounded up" });
    for remark in &s.demand.remarks {
        screen.paragraph(Line::new().padded(2), HANG, Paint::Plain, remark);
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
    let m = &s.machine;
    screen.gap();
    screen.heading("MEMORY", &of_host(m.memory));
    let extension = m.entry().0.saturating_sub(m.object.0);
    let mut object = format!("an entry: {} B [{}]", m.object.0, m.object_source);
    if extension > 0 {
        object.push_str(&format!(" + {extension} B for its extensions"));
    }
    let spaces = match m.namespaces() {
        1 => String::new(),
        n => format!(" × {n} namespaces that track"),
    };
    let entries = s.max.saturating_mul(m.entry().0).saturating_mul(m.namespaces());
    let lines = [
        object,
        format!("{} entries × {} B{spaces} = {}", count(s.max), m.entry().0, bytes(Bytes(entries))),
        format!(
            "{} buckets × {} B = {}",
            count(s.buckets),
            m.bucket().0,
            bytes(Bytes(s.worst.0.saturating_sub(entries)))
        ),
        format!(
            "{} when every table is full; {} at the peak above",
            bytes(s.worst),
            bytes(s.usual)
        ),
    ];
    for line in lines {
        screen.paragraph(Line::new().padded(2), HANG, Paint::Plain, &line);
    }
}

fn of_host(memory: Option<Bytes>) -> String {
    memory.map_or_else(String::new, |m| format!("of {}", bytes(m)))
}

fn chains(screen: &mut Screen<'_>, s: &Sizing) {
    screen.gap();
    screen.heading("CHAINS", "in a full table");
    let (average, longest) = s.chain;
    let bound = match s.machine.profile.chain_limit {
        Some(bound) => {
            format!("this kernel refuses a new entry over {} to {}", bound.least, bound.most)
        }
        None => "this kernel refuses none for their length".to_string(),
    };
    let text = format!(
        "an entry hangs in two chains: {} on average, the longest about {longest}; {bound}",
        number(average)
    );
    screen.paragraph(Line::new().padded(2), HANG, Paint::Plain, &text);
}

fn others(screen: &mut Screen<'_>, s: &Sizing) {
    let style = screen.style;
    screen.gap();
    screen.heading("OTHER FORMULAS", "and why they say something else");
    for Formula { name, rule, max, buckets: _, why } in &s.others {
        let line = Line::new().plain(style, &right(&count(*max), NUMBER)).plain(style, "  ").with(
            style,
            Paint::Strong,
            name,
        );
        screen.line(&line);
        screen.paragraph(
            Line::new().padded(NUMBER + 2),
            NUMBER + 2,
            Paint::Plain,
            &format!("{rule}: {why}"),
        );
    }
}
