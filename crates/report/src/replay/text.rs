//! The answer as a screen: what is needed and what would suffice first, then the numbers, then the doubts.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_replay::{Answer, Change, Row};

use super::{caveats, sizing, table};
use crate::Style;
use crate::number::{bytes, count, duration, ratio, share};
use crate::paint::{Line, Paint};
use crate::screen::Screen;

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

fn nothing(a: &Answer) -> String {
    if a.tally.frames == 0 {
        "There is no packet in the capture.".into()
    } else {
        format!("Of {} frames none is an IP packet that could be read.", count(a.tally.frames))
    }
}

/// `10 min 3 s`
fn covered(a: &Answer) -> String {
    let seconds = a.span.map_or(0.0, |(first, last)| last.0.saturating_sub(first.0) as f64 / 1e9);
    duration(seconds)
}

fn head(screen: &mut Screen<'_>, a: &Answer) {
    let style = screen.style;
    if a.tally.packets == 0 {
        let start = Line::new().with(style, Paint::Unsure, "NOTHING  ");
        screen.paragraph(start, 9, Paint::Strong, &nothing(a));
        return;
    }
    let now = &a.as_set.outcome;
    let (word, paint) = match (now.lost, now.evicted) {
        (0, 0) => ("HOLDS", Paint::Good),
        (0, _) => ("EVICTS", Paint::Warn),
        _ => ("DROPS", Paint::Bad),
    };
    let start = Line::new().with(style, paint, word).plain(style, "  ");
    let hang = start.width();
    screen.paragraph(start, hang, Paint::Strong, &verdict(a, style));
    for text in ways_out(a) {
        screen.paragraph(Line::new().padded(hang), hang, Paint::Plain, &text);
    }
    let mut about = Vec::new();
    let packets = if a.tally.packets == 1 { "packet" } else { "packets" };
    about.push(format!("{} {packets} in {}", count(a.tally.packets), covered(a)));
    if let Some((first, _)) = a.span.filter(|_| !a.synthetic) {
        about.push(format!("from {}", style.clock.show(first)));
    }
    if a.synthetic {
        about.push("made-up traffic".into());
    }
    if a.scale > 1 {
        about.push(format!("{} copies", count(a.scale.into())));
    }
    if (a.speed - 1.0).abs() > f64::EPSILON {
        about.push(format!("{} times as fast", a.speed));
    }
    about.push(format!("as Linux {}", a.profile.name));
    about.extend(a.policies.iter().map(|policy| format!("entries of {policy}")));
    let items: Vec<Line> =
        about.iter().map(|text| Line::new().with(style, Paint::Faint, &style.show(text))).collect();
    screen.flow(Line::new().padded(hang), hang, " · ", &items);
}

/// `nf_conntrack_max=32,768`
fn limit(max: u64) -> String {
    if max == 0 {
        "nf_conntrack_max=0 (no limit)".to_string()
    } else {
        format!("nf_conntrack_max={}", count(max))
    }
}

/// What is needed, and what the setting as it is makes of it.
fn verdict(a: &Answer, style: &Style) -> String {
    let now = &a.as_set.outcome;
    let search = a.unlimited.is_some() || a.as_set.is_clean();
    let entries = |n: u64| format!("{} {}", count(n), if n == 1 { "entry" } else { "entries" });
    let needs = if search {
        format!("The table needs {}", entries(a.needed()))
    } else {
        format!("The table needs more than {}", entries(now.peak))
    };
    let connections = |flows: u64| {
        format!("{} {}", count(flows), if flows == 1 { "connection" } else { "connections" })
    };
    match (now.lost, now.evicted) {
        (0, 0) => {
            let part = match ratio(now.peak, now.max) {
                None => String::new(),
                Some(r) if r < 0.01 => " (less than 1 % full)".into(),
                Some(r) => format!(" (at most {} full)", share(r)),
            };
            format!("{needs}; {} holds them{part}: no packet is lost.", limit(now.max))
        }
        (0, evicted) => format!(
            "{needs}; with {} no packet is lost, but {} not assured {} evicted to make room.",
            limit(now.max),
            count(evicted),
            if evicted == 1 { "entry is" } else { "entries are" },
        ),
        (lost, _) => {
            let from = match (now.first_drop, a.span) {
                // Made-up traffic has no date.
                (Some(at), Some((start, _))) if a.synthetic => {
                    format!(" from {} on", table::since(start, at))
                }
                (Some(at), _) => format!(" from {} on", style.clock.show(at)),
                (None, _) => String::new(),
            };
            format!(
                "{needs}; with {} it drops {} {} of {}{from}.",
                limit(now.max),
                count(lost),
                if lost == 1 { "packet" } else { "packets" },
                connections(now.flows_lost)
            )
        }
    }
}

/// What would suffice.
fn ways_out(a: &Answer) -> Vec<String> {
    let mut said = Vec::new();
    let now = &a.as_set.outcome;
    if a.as_set.is_clean() {
        return said;
    }
    if let Some(row) = a.smallest_asked() {
        let evicts = evicts(row);
        said.push(format!(
            "Of those tried, the smallest change that drops nothing: {}{evicts}.",
            changes(row)
        ));
    } else if !a.asked.is_empty() && now.lost > 0 {
        said.push("Each of the settings that were to be tried drops packets too.".into());
    }
    let needed = a.needed();
    let growth = |max: u64| {
        ratio(max.saturating_sub(now.max), now.max)
            .map_or_else(String::new, |r| format!(" ({} more)", share(r)))
    };
    match &a.enough {
        Some(row) if now.lost > 0 => said.push(format!(
            "Smallest limit that drops nothing: nf_conntrack_max={}{}{}; from {} on nothing is evicted \
             either.",
            count(row.outcome.max),
            growth(row.outcome.max),
            evicts(row),
            count(needed)
        )),
        Some(_) | None if a.unlimited.is_some() => said.push(format!(
            "Smallest limit that neither drops nor evicts: nf_conntrack_max={}{}.",
            count(needed),
            growth(needed)
        )),
        Some(_) | None => {}
    }
    if let Some(row) = a.smallest_shorter() {
        said.push(format!(
            "Without a higher limit: {} drops nothing{}.",
            changes(row),
            evicts(row)
        ));
    }
    if a.unlimited.is_some() {
        let size = sizing(a);
        said.push(format!(
            "With room to grow: nf_conntrack_max={} and {} buckets, {} when full.",
            count(size.max),
            count(size.buckets),
            bytes(size.worst)
        ));
    }
    said
}

/// `, evicting 12 entries`
fn evicts(row: &Row) -> String {
    match row.outcome.evicted {
        0 => String::new(),
        1 => ", evicting 1 entry".into(),
        n => format!(", evicting {} entries", count(n)),
    }
}

/// `nf_conntrack_max=65,536 (instead of 32,768)`; of several settings those that are not as they were.
fn changes(row: &Row) -> String {
    let others = || row.changes.iter().filter(|change| change.from != change.to);
    if others().next().is_none() {
        return "what is set".into();
    }
    let each = others().map(|Change { name, from, to }| {
        format!("{name}={} (instead of {})", count(*to), count(*from))
    });
    let all: Vec<String> = each.collect();
    all.join(" and ")
}

fn doubts(screen: &mut Screen<'_>, a: &Answer) {
    let style = screen.style;
    let caveats = caveats::caveats(a);
    if caveats.is_empty() {
        return;
    }
    screen.gap();
    screen.heading("WHAT THIS CANNOT TELL", "");
    for text in caveats {
        screen.paragraph(Line::new().plain(style, "  - "), 4, Paint::Plain, &text);
    }
}
