//! Assignments in the sysctl files that this kernel will not take (CT041, CT042): names of another
//! generation, and names that only read. The boot simulation finds them ([`crate::boot`]); here they are told.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_wire::sysctl::Assignment;

use super::Draft;
use crate::Said;
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

fn place(lint: &Lint) -> Said {
    let file = lint.file.as_deref().map(words::clean).unwrap_or_default();
    match lint.line {
        Some(line) => said!("{file} line {line}", "{file} 第 {line} 行"),
        None => Said::name(file),
    }
}

/// One kind of them, with all its places.
fn draft(case: &Case<'_>, kind: LintKind, id: &'static str) -> Option<Draft> {
    let mine: Vec<&Lint> = stale_assignments(case).into_iter().filter(|l| l.kind == kind).collect();
    let worst = mine.iter().find(|l| !l.harmless).or(mine.first())?;
    let severity = if worst.harmless { Severity::Info } else { Severity::Warning };
    let text = |part: &Option<String>| part.as_deref().map(words::clean).unwrap_or_default();
    let why = if kind == LintKind::ReadOnlyKey {
        said!("which can only be read", "它只能读")
    } else {
        said!(
            "a name that this kernel ({}) does not have",
            "本内核（{}）没有这个参数",
            case.profile.name
        )
    };
    let meant = match (&worst.meant, worst.harmless) {
        (_, true) => said!("; another line sets what was meant", "；本意要设的由另一行设了"),
        (Some(name), false) => said!("; what was meant is {name}", "；本意是 {name}"),
        (None, false) => Said::default(),
    };
    let others = match mine.len() {
        1 => Said::default(),
        n => said!(" ({} more)", "（另有 {} 处）", n - 1),
    };
    let summary = said!(
        "{} sets {}, {why}: it has no effect{meant}{others}.",
        "{0:#} 设了 {1}，{why:#}：不起作用{meant:#}{others:#}。",
        place(worst),
        text(&worst.key)
    );
    let mut draft = Draft::new(id, severity, None, summary).explains(0.04);
    for lint in mine {
        let said = format!("{} = {}", text(&lint.key), text(&lint.value));
        draft =
            draft.with(said!("assignment", "赋值"), Value::Text(Said::name(said)), "", place(lint));
    }
    Some(draft)
}
