//! The expectation table, which is another table with another limit (CT050).

use alloc::format;
use alloc::vec::Vec;

use super::{Draft, source_of};
use crate::Severity;
use crate::case::Case;
use crate::words;

/// After so long an overflow is history.
const HISTORY: f64 = 7.0 * 86_400.0;

/// Finds a full expectation table.
pub(super) fn find(case: &Case<'_>, found: &mut Vec<Draft>) {
    let mut full = false;
    for (i, s) in case.spaces.iter().enumerate() {
        let (Some(count), Some(max)) = (s.now.expectations.get(), s.now.expect_max.get()) else {
            continue;
        };
        if max.0 > 0 && count.0 >= max.0 {
            full = true;
            let summary = format!(
                "The expectation table is full ({} of {}): helpers (FTP, SIP …) cannot announce \
                 further connections.",
                words::count(count.0),
                words::count(max.0)
            );
            found.push(
                Draft::new("CT050", Severity::Warning, Some(i), summary)
                    .explains(0.5)
                    .count("expectations", count.0, "expectations", source_of(&s.now.expectations))
                    .count("limit", max.0, "expectations", source_of(&s.now.expect_max)),
            );
        }
    }
    let lines = case.after.log.value().and_then(|l| l.expectation_full.as_ref());
    if let Some(seen) = lines.filter(|s| s.lines > 0 && !full) {
        let ago = case.since_last(seen);
        let recent = ago.is_none_or(|ago| ago <= HISTORY);
        let severity = if recent { Severity::Warning } else { Severity::Info };
        let when = ago
            .map_or_else(alloc::string::String::new, |a| format!(", last {} ago", words::span(a)));
        let summary = format!(
            "The expectation table was full: {} in the kernel log{when}. It is not the table of \
             entries; raising its limit does not help.",
            words::counted(seen.lines, "line", "lines")
        );
        let source = source_of(&case.after.log);
        found.push(
            Draft::new("CT050", severity, None, summary)
                .explains(0.3)
                .count("log lines", seen.lines, "lines", source.clone())
                .time("first line", seen.first, &source)
                .time("last line", seen.last, &source),
        );
    }
}
