//! Lines that another line, or another program, has the last word over.

use alloc::vec::Vec;

use plimsoll_wire::sysctl::Assignment;

use super::super::keys::{Meaning, place};
use super::super::outcome::{Attempt, Fate};
use super::super::plan::Stage;
use super::{LintKind, Linter};
use crate::Said;

impl Linter<'_> {
    /// Lines that are written, and then something else is.
    pub(super) fn overridden(&mut self) {
        let mut found: Vec<(LintKind, Assignment, Said, Option<&Attempt>)> = Vec::new();
        for outcome in self.outcomes {
            let holds = outcome.after.number();
            for attempt in &outcome.attempts {
                let Fate::Overridden(value, by) = &attempt.fate else { continue };
                if holds == Some(*value) {
                    // Said twice, by one program or by two.
                    let again = outcome.winner().is_some_and(|w| w.by == attempt.by);
                    if again {
                        let a = attempt.assignment.clone();
                        found.push((LintKind::Duplicate, a, by.clone(), None));
                    }
                    continue;
                }
                let winner = outcome.winner();
                // Not so on every generation.
                if winner.is_some_and(|w| w.fate == Fate::Untold) {
                    continue;
                }
                let last = winner.map_or(by.clone(), |w| {
                    said!(
                        "{} ({})",
                        "{:#}（{:#}）",
                        place(&w.assignment.file, w.assignment.line),
                        w.by
                    )
                });
                found.push((LintKind::Overridden, attempt.assignment.clone(), last, winner));
            }
        }
        for (kind, a, by, winner) in found {
            self.twice(kind, &a, &by, winner);
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
            self.twice(kind, a, by, None);
        }
    }

    fn twice(&mut self, kind: LintKind, a: &Assignment, by: &Said, winner: Option<&Attempt>) {
        let (what, mend) = match kind {
            LintKind::Duplicate => (
                said!("{by} says the same", "{by:#} 写的一样"),
                said!("keep one of the two", "两者留一个"),
            ),
            _ => {
                let vendor = a.file.starts_with("/usr/") || a.file.starts_with("/lib/");
                let mend = if vendor {
                    said!("none is needed where that is meant", "如果本意如此，就不用改")
                } else if winner.is_some_and(|w| w.stage == Stage::KubeProxy) {
                    said!(
                        "set it in kube-proxy's own configuration (conntrack.maxPerCore, conntrack.min)",
                        "在 kube-proxy 自己的配置里设（conntrack.maxPerCore、conntrack.min）"
                    )
                } else if winner.is_some_and(is_of_a_profile) {
                    said!("set it in the profile of tuned", "在 tuned 的 profile 里设")
                } else {
                    said!(
                        "change it in {by}, or remove this line",
                        "在 {by:#} 里改，或者删掉这一行"
                    )
                };
                (said!("overridden by {by}", "输给了 {by:#}"), mend)
            }
        };
        let vendor = a.file.starts_with("/usr/") || a.file.starts_with("/lib/");
        self.add(kind, a, what, mend, kind == LintKind::Duplicate || vendor);
    }
}

/// Whether it stands in a profile of tuned, which applies the sysctl files again as well.
fn is_of_a_profile(a: &Attempt) -> bool {
    a.stage == Stage::Tuned && a.assignment.file.ends_with("/tuned.conf")
}
