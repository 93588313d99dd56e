//! Lines that another line, or another program, has the last word over.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use plimsoll_wire::sysctl::Assignment;

use super::super::keys::{Meaning, place};
use super::super::outcome::Fate;
use super::{LintKind, Linter};

impl Linter<'_> {
    /// Lines that are written, and then something else is.
    pub(super) fn overridden(&mut self) {
        let mut found = Vec::new();
        for outcome in self.outcomes {
            let holds = outcome.after.number();
            for attempt in &outcome.attempts {
                let Fate::Overridden(value, by) = &attempt.fate else { continue };
                if holds == Some(*value) {
                    // Said twice, by one program or by two.
                    let again = outcome.winner().is_some_and(|w| w.by == attempt.by);
                    if again {
                        found.push((LintKind::Duplicate, attempt.assignment.clone(), by.clone()));
                    }
                    continue;
                }
                let last = outcome.winner().map_or(by.clone(), |w| {
                    format!("{} ({})", place(&w.assignment.file, w.assignment.line), w.by)
                });
                found.push((LintKind::Overridden, attempt.assignment.clone(), last));
            }
        }
        for (kind, a, by) in found {
            self.twice(kind, &a, &by);
        }
    }

    /// Lines that the loader drops for another of the same key.
    pub(super) fn replaced(&mut self) {
        for (a, by) in &self.plan.applied.replaced {
            let Some(Meaning::Live(setting)) = self.keys.meaning(&a.key) else { continue };
            let same = self.comes_true(setting, &a.value)
                || self
                    .plan
                    .applied
                    .assignments
                    .iter()
                    .any(|k| k.key == a.key && k.value == a.value);
            let kind = if same { LintKind::Duplicate } else { LintKind::Overridden };
            self.twice(kind, a, by);
        }
    }

    fn twice(&mut self, kind: LintKind, a: &Assignment, by: &str) {
        let (what, mend) = match kind {
            LintKind::Duplicate => {
                (format!("{by} says the same"), "keep one of the two".to_string())
            }
            _ => {
                let vendor = a.file.starts_with("/usr/") || a.file.starts_with("/lib/");
                let mend = if vendor {
                    "none is needed where that is meant".to_string()
                } else if by.contains("kube-proxy") {
                    "set it in kube-proxy's own configuration (conntrack.maxPerCore, conntrack.min)"
                        .to_string()
                } else if by.contains("(tuned") {
                    "set it in the profile of tuned".to_string()
                } else {
                    format!("change it in {by}, or remove this line")
                };
                (format!("overridden by {by}"), mend)
            }
        };
        let vendor = a.file.starts_with("/usr/") || a.file.starts_with("/lib/");
        self.add(kind, a, what, mend, kind == LintKind::Duplicate || vendor);
    }
}
