//! The bar of a load line, and its textures: what says it without colour.

use plimsoll_ct::Entries;
use plimsoll_diagnosis::Load;

use crate::Style;
use crate::number::ratio;
use crate::paint::{Line, Paint};

/// Textures of the parts, the free room and the mark of the limit.
pub(super) struct Glyphs {
    pub(super) protected: &'static str,
    pub(super) closing: &'static str,
    pub(super) evictable: &'static str,
    pub(super) whole: &'static str,
    limit: &'static str,
}

pub(super) const fn glyphs(style: &Style) -> Glyphs {
    if style.unicode {
        Glyphs { protected: "█", closing: "▒", evictable: "░", whole: "═", limit: "│" }
    } else {
        Glyphs { protected: "#", closing: ":", evictable: ".", whole: "=", limit: "|" }
    }
}

/// Texture of a group of entries: protected, or evictable since nobody answered.
pub(super) const fn chip(style: &Style, protected: bool) -> (&'static str, Paint) {
    let glyphs = glyphs(style);
    if protected { (glyphs.protected, Paint::Plain) } else { (glyphs.evictable, Paint::Evictable) }
}

/// The bar with its limit mark: protected from the left, then closing, evictable, and free room.
///
/// It takes `columns + 1` columns. A count above the limit runs past the mark.
pub(super) fn bar(load: &Load, columns: usize, style: &Style) -> Line {
    let glyphs = glyphs(style);
    let count = load.count.map_or(0, Entries::get);
    let max = load.max.map_or(0, Entries::get);
    let scale = count.max(max).max(1);
    let cells = |entries: u64, rounding: u64| -> usize {
        let cells = (u128::from(entries) * columns as u128 * 2 + u128::from(scale * rounding))
            / (u128::from(scale) * 2);
        usize::try_from(cells).unwrap_or(columns).min(columns)
    };
    // What is there is seen, though it be less than half a cell; what is not full does not look full.
    let filled = match cells(count, 1) {
        0 if count > 0 => 1,
        all if all == columns && count < scale => columns - 1,
        n => n,
    };
    let [protected, closing, evictable, other] = share_out(filled, parts_of(load));
    let parts = [
        (glyphs.protected, protected, level(load)),
        (glyphs.closing, closing, Paint::Closing),
        (glyphs.evictable, evictable, Paint::Evictable),
        (glyphs.whole, other, if load.protected.is_some() { Paint::Faint } else { level(load) }),
    ];
    let mark = if max == 0 { None } else { Some(cells(max, 1).max(1)) };
    let mut line = Line::new();
    let mut at = 0;
    let drawn: usize = parts.iter().map(|p| p.1).sum();
    let mut cell = |line: &mut Line, glyph: &str, paint: Paint| {
        if mark == Some(at) {
            line.push(style, Paint::Strong, glyphs.limit);
        }
        line.push(style, paint, glyph);
        at += 1;
    };
    for (glyph, size, paint) in parts {
        for _ in 0..size {
            cell(&mut line, glyph, paint);
        }
    }
    for _ in drawn..columns {
        cell(&mut line, " ", Paint::Plain);
    }
    match mark {
        Some(at) if at >= columns => line.push(style, Paint::Strong, glyphs.limit),
        Some(_) => {}
        None => line.push(style, Paint::Plain, " "),
    }
    line
}

/// Colour of the protected part: what nothing may evict is what is dangerous.
pub(super) fn level(load: &Load) -> Paint {
    let held = load.protected.or(load.count);
    match held.zip(load.max).and_then(|(held, max)| ratio(held.get(), max.get())) {
        Some(full) if full >= 0.9 => Paint::Bad,
        Some(full) if full >= 0.7 => Paint::Warn,
        _ => Paint::Good,
    }
}

/// Protected, closing, evictable, and what of the count is none of them: expired entries that are not
/// collected yet, or all of it when the split is not known. Less than a hundredth is what came and went between the
/// readings of the two.
pub(super) fn parts_of(load: &Load) -> [u64; 4] {
    let of = |n: Option<Entries>| n.map_or(0, Entries::get);
    let parts = [of(load.protected), of(load.closing), of(load.evictable)];
    let known = parts.iter().fold(0, |sum: u64, &p| sum.saturating_add(p));
    let count = of(load.count);
    let other = count.saturating_sub(known);
    let drift = load.protected.is_some() && other < count / 100;
    [parts[0], parts[1], parts[2], if drift { 0 } else { other }]
}

/// `cells` shared out in proportion; a part that is not nothing gets a cell where there are enough.
fn share_out(cells: usize, parts: [u64; 4]) -> [usize; 4] {
    let total: u128 = parts.iter().map(|&p| u128::from(p)).sum();
    if total == 0 {
        return [0; 4];
    }
    let mut out = parts.map(|part| {
        let exact = u128::from(part) * cells as u128 / total;
        usize::try_from(exact).unwrap_or(cells).max(usize::from(part > 0))
    });
    // The largest part bears the rounding.
    let largest = (0..4).max_by_key(|&i| parts[i]).unwrap_or(0);
    let others: usize = (0..4).filter(|&i| i != largest).map(|i| out[i]).sum();
    if others >= cells {
        out = [0; 4];
    }
    out[largest] = cells - if others >= cells { 0 } else { others };
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn drawn(count: u64, max: u64, protected: u64, closing: u64, evictable: u64) -> String {
        let of = |n| Some(Entries(n));
        let load = Load {
            count: of(count),
            max: of(max),
            protected: of(protected),
            closing: of(closing),
            evictable: of(evictable),
            sampled: of(count),
            complete: true,
        };
        let style = Style { unicode: false, ..Style::default() };
        let mut out = String::new();
        bar(&load, 20, &style).write(&style, &mut out);
        out
    }

    #[test]
    fn a_full_table_reaches_the_mark() {
        assert_eq!(drawn(100, 100, 50, 25, 25), "##########:::::.....|");
    }

    #[test]
    fn a_table_that_is_not_full_does_not_look_full() {
        assert_eq!(drawn(999, 1000, 999, 0, 0), "################### |");
    }

    #[test]
    fn a_part_that_is_not_nothing_is_seen() {
        assert_eq!(drawn(1000, 1000, 998, 1, 1), "##################:.|");
        assert_eq!(drawn(1, 1_000_000, 1, 0, 0), "#                   |");
    }

    #[test]
    fn what_is_counted_and_not_listed_has_its_own_texture() {
        assert_eq!(drawn(100, 100, 50, 0, 0), "##########==========|");
    }

    #[test]
    fn a_few_that_came_between_two_readings_are_not_drawn() {
        assert_eq!(drawn(1000, 1000, 998, 0, 0), "####################|");
    }

    #[test]
    fn more_entries_than_the_limit_run_past_the_mark() {
        assert_eq!(drawn(200, 100, 200, 0, 0), "##########|##########");
    }

    #[test]
    fn no_limit_has_no_mark() {
        assert_eq!(drawn(100, 0, 100, 0, 0), "####################");
        assert_eq!(drawn(0, 0, 0, 0, 0), "");
    }
}
