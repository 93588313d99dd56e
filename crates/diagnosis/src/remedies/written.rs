//! The limit that the host's own files ask for, and whether a boot gives it.

use crate::Said;
use crate::boot::{After, Fate, place};
use crate::case::Case;

/// A limit that stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// The limit.
    pub(crate) max: u64,
    /// Where it stands.
    pub(crate) place: Said,
}

/// What a boot writes; where nothing is written in time, the last line that asks for it. Memory must be able to keep it.
pub(super) fn limit(case: &Case<'_>) -> Option<Written> {
    let outcome = case.boot.value()?.outcome("nf_conntrack_max")?;
    let last = |fate: fn(&Fate) -> bool| outcome.attempts.iter().rfind(|a| fate(&a.fate));
    let line = outcome
        .winner()
        .or_else(|| last(|fate| matches!(fate, Fate::NotYet)))
        .or_else(|| last(|fate| matches!(fate, Fate::Dead { .. })))?;
    let a = &line.assignment;
    let max = a.value.trim().parse().ok()?;
    let memory = case.after.host.memory_total.get()?;
    let worst = case.price.worst(max, case.buckets().unwrap_or(0));
    (worst.0 <= memory.0 / 2).then(|| Written { max, place: place(&a.file, a.line) })
}

/// Whether a boot gives that much by itself, whatever the order of what has none.
pub(super) fn stays(case: &Case<'_>, setting: &str, value: u64) -> bool {
    let Some(outcome) = case.boot.value().and_then(|boot| boot.outcome(setting)) else {
        return false;
    };
    let gives = |after: &After| match after {
        After::Value(n) => u64::try_from(*n).is_ok_and(|n| n >= value),
        After::About(_) | After::Unknown(_) | After::Absent(..) => false,
    };
    gives(&outcome.after) && outcome.or.as_ref().is_none_or(|(after, _)| gives(after))
}
