//! What was ruled out, what could not be seen, and notes on method.

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_diagnosis::{Definition, Diagnosis, MissingFact};

use super::is_quiet;
use crate::Style;
use crate::number::count;
use crate::paint::{Line, Paint};
use crate::screen::Screen;
use crate::wrap::cut;

/// Facts named in one line before the rest is counted.
const NAMED: usize = 4;
/// Lines of missing facts.
const SHOWN: usize = 6;

pub(super) fn show(screen: &mut Screen<'_>, d: &Diagnosis) {
    excluded(screen, d);
    missing(screen, d);
    notes(screen, d);
}

fn excluded(screen: &mut Screen<'_>, d: &Diagnosis) {
    let style = screen.style;
    if d.excluded.is_empty() {
        return;
    }
    let title = spoken!(style.language, "RULED OUT", "已排除");
    let name = |id: &str| Definition::find(id).map_or("", |def| def.name);
    if is_quiet(d) && !style.verbose {
        let start = Line::new().with(style, Paint::Strong, &title).plain(style, "  ");
        let hang = start.width();
        let items: Vec<Line> =
            d.excluded.iter().map(|e| Line::new().plain(style, name(e.id))).collect();
        screen.flow(start, hang, " · ", &items);
        return;
    }
    screen.gap();
    screen.heading(&title, "");
    for e in &d.excluded {
        let start = Line::new().plain(style, "  ").plain(style, name(e.id)).padded(22);
        let start = start.plain(style, " ");
        let hang = start.width();
        screen.paragraph(start, hang, Paint::Faint, style.said(&e.because));
    }
}

/// Facts with the same want and the same reason.
struct Want<'a> {
    needs: Option<&'a str>,
    reason: &'a str,
    facts: Vec<&'a str>,
}

fn wants<'a>(missing: &'a [MissingFact], style: &Style) -> Vec<Want<'a>> {
    let mut wants: Vec<Want<'_>> = Vec::new();
    for m in missing {
        let needs = m.needs.as_ref().map(|needs| style.said(needs));
        let (reason, fact) = (style.said(&m.reason), style.said(&m.fact));
        match wants.iter_mut().find(|w| w.needs == needs && w.reason == reason) {
            Some(want) => want.facts.push(fact),
            None => wants.push(Want { needs, reason, facts: alloc::vec![fact] }),
        }
    }
    // What a right would show comes first.
    wants.sort_by_key(|w| w.needs.is_none());
    wants
}

fn missing(screen: &mut Screen<'_>, d: &Diagnosis) {
    let style = screen.style;
    if d.missing.is_empty() {
        return;
    }
    screen.gap();
    let language = style.language;
    screen.heading(&spoken!(language, "NOT SEEN", "没有看到"), "");
    let wants = wants(&d.missing, style);
    // The line that counts one left out would take the room of the fact itself.
    let shown = if style.verbose || wants.len() == SHOWN + 1 { wants.len() } else { SHOWN };
    for want in wants.iter().take(shown) {
        let named = if style.verbose { want.facts.len() } else { NAMED };
        let facts: Vec<String> =
            want.facts.iter().take(named).map(|f| cut(&style.show(f), 60, style.unicode)).collect();
        let mut text = facts.join(&spoken!(language, ", ", "、"));
        if want.facts.len() > named {
            let more = count((want.facts.len() - named) as u64);
            text.push_str(&spoken!(language, " and {more} more", "等，另有 {more} 项"));
        }
        text.push_str(&spoken!(language, ": ", "："));
        // Half of a paragraph at most, so that what is needed is read whole: it may be a command.
        text.push_str(&cut(&style.show(want.reason), 4 * style.columns(), style.unicode));
        if let Some(needs) = want.needs {
            text.push_str(&spoken!(language, " (needs {needs})", "（需要：{needs}）"));
        }
        let start = Line::new().plain(style, "  ").with(style, Paint::Faint, "- ");
        screen.paragraph(start, 4, Paint::Plain, &text);
    }
    let rest: usize = wants.iter().skip(shown).map(|w| w.facts.len()).sum();
    if rest > 0 {
        let text = spoken!(
            language,
            "  and {} more facts; -v names them",
            "  另有 {} 项；-v 逐一列出",
            count(rest as u64)
        );
        screen.line(&Line::new().with(style, Paint::Faint, &text));
    }
}

fn notes(screen: &mut Screen<'_>, d: &Diagnosis) {
    let style = screen.style;
    // On a healthy host's screen there is nothing that a note could qualify.
    if d.notes.is_empty() || (is_quiet(d) && !style.verbose) {
        return;
    }
    screen.gap();
    screen.heading(&spoken!(style.language, "NOTES", "说明"), "");
    for note in &d.notes {
        let start = Line::new().plain(style, "  ").with(style, Paint::Faint, "- ");
        screen.paragraph(start, 4, Paint::Faint, style.said(note));
    }
}
