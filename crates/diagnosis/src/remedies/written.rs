//! What the host's own files ask for: the limit, whether a boot gives it, and what they ask for in vain.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::Said;
use crate::boot::{After, Fate, place};
use crate::case::Case;
use crate::findings::lost_settings;
use crate::words;

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

/// A value that a line asks for before the key is there, and that is meant.
pub(super) struct Vain {
    /// Bare modern name.
    pub(super) setting: &'static str,
    /// The value.
    pub(super) asked: u64,
    file: String,
}

/// What applies their files now, each once.
pub(super) fn applied<'a>(vain: impl Iterator<Item = &'a Vain>) -> Vec<Said> {
    let mut commands: Vec<Said> = Vec::new();
    for file in vain.filter_map(|v| words::shell_word(&v.file)) {
        let command = Said::name(format!("sysctl -p {file}"));
        if !commands.contains(&command) {
            commands.push(command);
        }
    }
    commands
}

/// All of them; a limit where memory can keep it.
pub(super) fn in_vain(case: &Case<'_>) -> Vec<Vain> {
    let keeps = |name: &str, value: u64| {
        let worst = || case.price.worst(value, case.buckets().unwrap_or(0)).0;
        let memory = case.after.host.memory_total.get();
        name != "nf_conntrack_max" || memory.is_some_and(|memory| worst() <= memory.0 / 2)
    };
    lost_settings(case)
        .into_iter()
        .filter(|l| l.managed.is_none())
        .filter_map(|l| {
            let (asked, file) = l.meant?;
            keeps(l.setting, asked).then_some(Vain { setting: l.setting, asked, file })
        })
        .collect()
}
