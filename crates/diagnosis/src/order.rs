//! The order of findings: the state of the table first, then by how much they explain.

use core::cmp::Ordering;

use crate::Severity;
use crate::findings::Draft;

/// Findings that say in which state the table is, rather than why.
const STATE: &[&str] = &["CT001", "CT002", "CT003", "CT004", "CT005"];

/// Sorts findings: state, causes, what is only worth knowing; the worst of each first, and of causes
/// as bad as each other the one that explains most.
pub(crate) fn sort(found: &mut [Draft]) {
    found.sort_by(|a, b| {
        part(a)
            .cmp(&part(b))
            .then(b.finding.severity.cmp(&a.finding.severity))
            .then_with(|| match part(a) {
                Part::State => Ordering::Equal,
                Part::Cause | Part::Aside => b.weight.total_cmp(&a.weight),
            })
            .then(a.finding.id.cmp(b.finding.id))
            .then_with(|| place(a).cmp(&place(b)))
    });
}

/// A namespace that is there comes before what is said of the whole host.
fn place(draft: &Draft) -> (bool, Option<usize>) {
    (draft.finding.namespace.is_none(), draft.finding.namespace)
}

/// Parts of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    State,
    Cause,
    Aside,
}

fn part(draft: &Draft) -> Part {
    if draft.finding.severity == Severity::Info {
        Part::Aside
    } else if STATE.contains(&draft.finding.id) {
        Part::State
    } else {
        Part::Cause
    }
}
