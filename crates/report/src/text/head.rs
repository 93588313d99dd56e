//! The headline, and what was looked at.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_diagnosis::facts::Origin;
use plimsoll_diagnosis::{Diagnosis, Verdict};

use super::verdict_word;
use crate::number;
use crate::paint::{Line, Paint};
use crate::screen::Screen;
use crate::wrap::cut;

pub(super) fn show(screen: &mut Screen<'_>, d: &Diagnosis) {
    let style = screen.style;
    let paint = match d.verdict {
        Verdict::Ok => Paint::Good,
        Verdict::Warning => Paint::Warn,
        Verdict::Critical => Paint::Bad,
        Verdict::Unknown => Paint::Unsure,
    };
    let start = Line::new().with(style, paint, verdict_word(d.verdict)).plain(style, "  ");
    let hang = start.width();
    screen.paragraph(start, hang, Paint::Strong, &d.headline);
    let items: Vec<Line> = about(d, &screen.style.clock)
        .iter()
        .map(|text| {
            let text = style.show(text);
            Line::new().with(style, Paint::Faint, &cut(&text, 44, style.unicode))
        })
        .collect();
    screen.flow(Line::new().padded(hang), hang, " · ", &items);
}

/// What was looked at, how and when.
fn about(d: &Diagnosis, clock: &crate::Clock) -> Vec<String> {
    let host = &d.host;
    let mut about = Vec::new();
    if let Some(name) = &host.name {
        about.push(name.clone());
    }
    match &host.kernel {
        Some(kernel) => about.push(format!("Linux {kernel}")),
        None => about.push(format!("kernel not known, taken as {}", host.profile)),
    }
    about.push(
        match host.origin {
            Origin::Live => "live",
            Origin::Tree => "saved tree",
            Origin::Bundle => "bundle",
        }
        .into(),
    );
    about.push(clock.show(host.at));
    about.push(match host.interval {
        Some(span) => format!("rates over {}", number::duration(span.as_secs_f64())),
        None => "no rates".into(),
    });
    about
}
