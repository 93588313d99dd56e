//! The pages of the findings, for the terminal.
//!
//! The Markdown files of docs/findings are the only source. They keep to what [`blocks`] knows:
//! headings, paragraphs, lists of two levels, fenced code; within a line `code`, **bold** and links.

mod blocks;
mod pages;

use alloc::string::String;

use plimsoll_diagnosis::Definition;

use crate::paint::{Line, Paint};
use crate::screen::Screen;
use crate::wrap::wrap;
use crate::{Language, Style};
use blocks::{Block, blocks};
pub use pages::{PAGES, PAGES_ZH, Page};

/// The page of a finding, by id in any case or by name; `None` when there is no such finding.
///
/// Code stands at the left edge and is never broken, so that it can be pasted.
pub fn explain(id_or_name: &str, language: Language, style: &Style) -> Option<String> {
    let id = Definition::find(id_or_name)?.id;
    let pages = match language {
        Language::English => PAGES,
        Language::Chinese => PAGES_ZH,
    };
    let page = pages.iter().find(|p| p.id == id)?;
    Some(show(page.markdown, style))
}

fn show(markdown: &str, style: &Style) -> String {
    let mut screen = Screen::new(style);
    let (mut after_section, mut after_item) = (false, false);
    for block in blocks(markdown) {
        let list = matches!(block, Block::Item { .. });
        let below = after_section && !matches!(block, Block::Code(_));
        if !(below || (list && after_item)) {
            screen.gap();
        }
        (after_section, after_item) = (matches!(block, Block::Section(_)), list);
        match block {
            Block::Title(text) => {
                screen.paragraph(Line::new(), 0, Paint::Strong, &text);
            }
            Block::Section(text) => screen.heading(&text.to_uppercase(), ""),
            Block::Text(text) => {
                prose(&mut screen, Line::new().padded(2), &text);
            }
            Block::Item { level, text } => {
                let start = Line::new().padded(2 + 2 * level).with(style, Paint::Faint, "- ");
                prose(&mut screen, start, &text);
            }
            Block::Code(code) => {
                screen.command(&code);
            }
        }
    }
    screen.finish()
}

/// A paragraph with its marks: code keeps its ticks, bold and links lose theirs.
fn prose(screen: &mut Screen<'_>, start: Line, text: &str) {
    let style = screen.style;
    let hang = start.width();
    let room = style.columns().saturating_sub(hang);
    let (mut bold, mut code) = (false, false);
    let mut start = Some(start);
    for wrapped in wrap(&style.show(&without_links(text)), room, room) {
        let mut line = start.take().unwrap_or_else(|| Line::new().padded(hang));
        let mut rest = wrapped.as_str();
        while !rest.is_empty() {
            let mark = if code { rest.find('`') } else { rest.find(['`', '*']) };
            let (before, after) = rest.split_at(mark.unwrap_or(rest.len()));
            let paint = |bold, code| match (bold, code) {
                (_, true) => Paint::Code,
                (true, false) => Paint::Strong,
                (false, false) => Paint::Plain,
            };
            line.push(style, paint(bold, code), before);
            rest = after;
            if let Some(tail) = rest.strip_prefix('`') {
                line.push(style, Paint::Code, "`");
                code = !code;
                rest = tail;
            } else if let Some(tail) = rest.strip_prefix("**") {
                bold = !bold;
                rest = tail;
            } else if let Some(tail) = rest.strip_prefix('*') {
                // A single mark is emphasis: shown as it is written.
                line.push(style, paint(bold, code), "*");
                rest = tail;
            }
        }
        screen.line(&line);
    }
}

/// `[text](target)` as `text`.
fn without_links(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        match after.split_once("](").and_then(|(label, tail)| {
            let (_, tail) = tail.split_once(')')?;
            Some((label, tail)).filter(|(label, _)| !label.contains([']', '[']))
        }) {
            Some((label, tail)) => {
                out.push_str(label);
                rest = tail;
            }
            None => {
                out.push('[');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
