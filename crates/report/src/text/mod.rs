//! The terminal screen: headline, load lines, drops, who fills the table, findings, remedies, what was
//! ruled out, what could not be seen.

mod bar;
mod drops;
mod findings;
mod groups;
mod head;
mod load;
mod remedies;
mod unseen;

use alloc::string::String;

use plimsoll_diagnosis::{Diagnosis, Language, Severity, Verdict};

pub use findings::with_unit;
pub use load::{load_line, load_parts};

use crate::Style;
use crate::paint::Paint;
use crate::screen::Screen;

/// The terminal screen. A healthy host's is about a dozen lines.
pub fn text(diagnosis: &Diagnosis, style: &Style) -> String {
    let mut screen = Screen::new(style);
    head::show(&mut screen, diagnosis);
    load::show(&mut screen, diagnosis);
    drops::show(&mut screen, diagnosis);
    groups::show(&mut screen, diagnosis);
    findings::show(&mut screen, diagnosis);
    remedies::show(&mut screen, diagnosis);
    unseen::show(&mut screen, diagnosis);
    screen.finish()
}

/// Whether there is nothing that a person has to look at: then the screen is short.
fn is_quiet(d: &Diagnosis) -> bool {
    d.verdict == Verdict::Ok && d.findings.iter().all(|f| f.severity == Severity::Info)
}

/// Namespaces by how much they matter, for printers with little room.
pub(crate) fn load_order(d: &Diagnosis) -> alloc::vec::Vec<usize> {
    load::that_matter(d, false)
}

/// The word of a severity in the language of the screen, and its colour.
pub const fn severity(language: Language, severity: Severity) -> (&'static str, Paint) {
    match (language, severity) {
        (Language::English, Severity::Critical) => ("CRITICAL", Paint::Bad),
        (Language::English, Severity::Warning) => ("WARNING", Paint::Warn),
        (Language::English, Severity::Info) => ("INFO", Paint::Good),
        (Language::Chinese, Severity::Critical) => ("严重", Paint::Bad),
        (Language::Chinese, Severity::Warning) => ("警告", Paint::Warn),
        (Language::Chinese, Severity::Info) => ("参考", Paint::Good),
    }
}

/// The word of a verdict, in the language of the screen.
const fn verdict_in(language: Language, verdict: Verdict) -> &'static str {
    match (language, verdict) {
        (Language::English, _) => verdict_word(verdict),
        (Language::Chinese, Verdict::Ok) => "正常",
        (Language::Chinese, Verdict::Warning) => "警告",
        (Language::Chinese, Verdict::Critical) => "严重",
        (Language::Chinese, Verdict::Unknown) => "无法判断",
    }
}

/// The word of a verdict.
pub(crate) const fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "OK",
        Verdict::Warning => "WARNING",
        Verdict::Critical => "CRITICAL",
        Verdict::Unknown => "UNKNOWN",
    }
}

#[cfg(test)]
pub(crate) mod cases;
#[cfg(test)]
mod tests;
