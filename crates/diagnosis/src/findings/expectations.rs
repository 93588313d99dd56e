//! The expectation table, which is another table with another limit (CT050).

use alloc::vec::Vec;

use plimsoll_ct::Counter;

use super::{Draft, last_line, source_of};
use crate::Severity;
use crate::case::{Case, Space};
use crate::nameless::{self, Nameless};
use crate::words;

/// After so long an overflow is history.
pub(super) const HISTORY: f64 = 7.0 * 86_400.0;

/// Finds a full expectation table.
pub(super) fn find(case: &Case<'_>, found: &mut Vec<Draft>) {
    let mut full = false;
    for (i, s) in case.spaces.iter().enumerate() {
        let (Some(count), Some(max)) = (s.now.expectations.get(), s.now.expect_max.get()) else {
            continue;
        };
        if max.0 > 0 && count.0 >= max.0 {
            full = true;
            let summary = said!(
                "The expectation table is full ({} of {}): helpers (FTP, SIP …) cannot announce \
                 further connections.",
                "期望表已满（{} / {}）：helper（FTP、SIP 等）无法再登记后续连接。",
                words::count(count.0),
                words::count(max.0)
            );
            found.push(
                Draft::new("CT050", Severity::Warning, Some(i), summary)
                    .explains(0.5)
                    .count(
                        said!("expectations", "期望数"),
                        count.0,
                        "expectations",
                        source_of(&s.now.expectations),
                    )
                    .count(
                        said!("limit", "上限"),
                        max.0,
                        "expectations",
                        source_of(&s.now.expect_max),
                    ),
            );
        }
    }
    if full {
        return;
    }
    let seen = case.after.log.value().and_then(|log| log.expectation_full.as_ref());
    let Nameless { here, suspect, elsewhere } = nameless::sort(case, seen, never_full);
    if let Some(lines) = here {
        let recent = case.within(lines.last, HISTORY);
        let severity = if recent { Severity::Warning } else { Severity::Info };
        let summary = said!(
            "The expectation table was full: {} in the kernel log{}. It is not the table of entries; \
             raising its limit does not help.",
            "期望表曾经满过：内核日志里有 {:#}{:#}。它不是条目的那张表；提高条目的上限没有用。",
            words::many(lines.lines, "line", "lines", "行"),
            last_line(case, &lines)
        );
        found.push(Draft::new("CT050", severity, suspect, summary).explains(0.3).log(case, &lines));
    }
    if let Some(lines) = elsewhere {
        let summary = said!(
            "The expectation table of a namespace that is gone or was not read was full: {} in the \
             kernel log{}. Of those that were read none ever held so many.",
            "一个已经不在或没有读到的命名空间，期望表曾经满过：内核日志里有 {:#}{:#}。读到的命名空间从来没有过这么多期望。",
            words::many(lines.lines, "line", "lines", "行"),
            last_line(case, &lines)
        );
        found.push(
            Draft::new("CT050", Severity::Info, None, summary).explains(0.3).log(case, &lines),
        );
    }
}

/// Whether fewer expectations than the limit were ever made here. The limit may have been lower once.
fn never_full(s: &Space<'_>) -> bool {
    let made = s.total(Counter::ExpectCreate);
    made.is_some_and(|made| s.now.expect_max.get().is_some_and(|max| made < max.0))
}
