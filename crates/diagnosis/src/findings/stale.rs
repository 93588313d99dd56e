//! Assignments in the sysctl files that this kernel will not take (CT041, CT042): names of another
//! generation, and names that only read. The boot simulation finds them ([`crate::boot`]); here they are told.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_wire::sysctl::Assignment;

use super::Draft;
use crate::boot::{Fate, Lint, LintKind};
use crate::case::Case;
use crate::words;
use crate::{Severity, Value};

/// Finds what the files ask in vain.
pub(super) fn find(case: &Case<'_>, found: &mut Vec<Draft>) {
    found.extend(draft(case, LintKind::DeadKey, "CT041"));
    found.extend(draft(case, LintKind::ReadOnlyKey, "CT042"));
}

/// The last assignment of the limit, if this kernel refuses its value for being no limit; and the one that then holds.
pub(super) fn refused_limit<'a>(
    case: &'a Case<'_>,
) -> Option<(&'a Assignment, Option<&'a Assignment>)> {
    let outcome = case.boot.value()?.outcome("nf_conntrack_max")?;
    let last = outcome.attempts.last()?;
    let none = last.assignment.value.parse::<i64>().is_ok_and(|v| v <= 0);
    let refused = none && matches!(last.fate, Fate::Refused(_) | Fate::NotYet);
    refused.then(|| (&last.assignment, outcome.winner().map(|w| &w.assignment)))
}

/// Assignments that this kernel will not take.
pub(crate) fn stale_assignments<'a>(case: &'a Case<'_>) -> Vec<&'a Lint> {
    let lints = case.boot.value().into_iter().flat_map(|boot| &boot.lints);
    lints.filter(|l| matches!(l.kind, LintKind::DeadKey | LintKind::ReadOnlyKey)).collect()
}

fn place(lint: &Lint) -> String {
    let file = lint.file.as_deref().map(words::clean).unwrap_or_default();
    match lint.line {
        Some(line) => format!("{file} line {line}"),
        None => file,
    }
}

/// One kind of them, with all its places.
fn draft(case: &Case<'_>, kind: LintKind, id: &'static str) -> Option<Draft> {
    let mine: Vec<&Lint> = stale_assignments(case).into_iter().filter(|l| l.kind == kind).collect();
    let worst = mine.iter().find(|l| !l.harmless).or(mine.first())?;
    let severity = if worst.harmless { Severity::Info } else { Severity::Warning };
    let text = |part: &Option<String>| part.as_deref().map(words::clean).unwrap_or_default();
    let why = if kind == LintKind::ReadOnlyKey {
        "which this kernel only lets read".into()
    } else {
        format!("a name that this kernel ({}) does not have", case.profile.name)
    };
    let meant = match (&worst.meant, worst.harmless) {
        (_, true) => "; another line sets what was meant".into(),
        (Some(name), false) => format!("; what was meant is {name}"),
        (None, false) => String::new(),
    };
    let others = match mine.len() {
        1 => String::new(),
        n => format!(" ({} more)", n - 1),
    };
    let summary = format!(
        "{} sets {}, {why}: it has no effect{meant}{others}.",
        place(worst),
        text(&worst.key)
    );
    let mut draft = Draft::new(id, severity, None, summary).explains(0.04);
    for lint in mine {
        let said = format!("{} = {}", text(&lint.key), text(&lint.value));
        draft = draft.with("assignment", Value::Text(said), "", place(lint));
    }
    Some(draft)
}
