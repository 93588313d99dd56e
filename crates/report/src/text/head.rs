//! The headline, and what was looked at.

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_diagnosis::facts::Origin;
use plimsoll_diagnosis::{Diagnosis, Verdict};

use super::verdict_in;
use crate::paint::{Line, Paint};
use crate::screen::Screen;
use crate::wrap::cut;
use crate::{Style, spoken};

pub(super) fn show(screen: &mut Screen<'_>, d: &Diagnosis) {
    let style = screen.style;
    let paint = match d.verdict {
        Verdict::Ok => Paint::Good,
        Verdict::Warning => Paint::Warn,
        Verdict::Critical => Paint::Bad,
        Verdict::Unknown => Paint::Unsure,
    };
    let start =
        Line::new().with(style, paint, verdict_in(style.language, d.verdict)).plain(style, "  ");
    let hang = start.width();
    screen.paragraph(start, hang, Paint::Strong, style.said(&d.headline));
    let items: Vec<Line> = about(d, screen.style)
        .iter()
        .map(|text| {
            let text = style.show(text);
            Line::new().with(style, Paint::Faint, &cut(&text, 44, style.unicode))
        })
        .collect();
    screen.flow(Line::new().padded(hang), hang, " · ", &items);
}

/// What was looked at, how and when.
fn about(d: &Diagnosis, style: &Style) -> Vec<String> {
    let language = style.language;
    let host = &d.host;
    let mut about = Vec::new();
    if let Some(name) = &host.name {
        about.push(name.clone());
    }
    match &host.kernel {
        Some(kernel) => about.push(["Linux ", kernel].concat()),
        None => about.push(spoken!(
            language,
            "kernel not known, taken as {}",
            "内核未知，按 {} 算",
            host.profile
        )),
    }
    about.push(match host.origin {
        Origin::Live => spoken!(language, "live", "正在运行"),
        Origin::Tree => spoken!(language, "saved tree", "保存的目录树"),
        Origin::Bundle => spoken!(language, "bundle", "归档"),
    });
    about.push(style.clock.show(host.at));
    about.push(match host.interval {
        Some(span) => {
            let over = spoken::span(language, span.as_secs_f64());
            spoken!(language, "rates over {over}", "速率测了 {over}")
        }
        None => spoken!(language, "no rates", "没有速率"),
    });
    about
}
