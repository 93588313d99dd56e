//! The whole in one word, in one sentence, and what the reader should know of the method.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::LogWording;

use crate::case::Case;
use crate::facts::{Gap, Origin, Reader, Reason};
use crate::findings::Draft;
use crate::words;
use crate::{Severity, Verdict};

/// Findings that explain why a table is in its state; in the headline the first of them does.
const CAUSES: &[&str] = &["CT012", "CT010", "CT011", "CT013", "CT030", "CT004"];

/// The worst finding; "unknown" when nothing that could speak was read.
pub(crate) fn verdict(case: &Case<'_>, found: &[Draft]) -> Verdict {
    match found.iter().map(|d| d.finding.severity).max() {
        Some(Severity::Critical) => Verdict::Critical,
        Some(Severity::Warning) => Verdict::Warning,
        // What is not in a bundle that broke off may stand in the rest of it.
        Some(Severity::Info) | None if !anything_read(case) || case.after.whole.gap().is_some() => {
            Verdict::Unknown
        }
        Some(Severity::Info) | None => Verdict::Ok,
    }
}

/// Whether anything that could tell of drops was read. That conntrack is not there was read, too.
fn anything_read(case: &Case<'_>) -> bool {
    let log = case.after.log.value().is_some_and(|l| l.sources.iter().any(|s| s.lines > 0));
    let absent = |reason: Reason| matches!(reason, Reason::NotLoaded | Reason::NotBuilt);
    log || case.spaces.iter().any(|s| {
        s.load.count.is_some()
            || s.totals.as_ref().is_some_and(|t| !t.is_empty())
            || s.now.count.gap().is_some_and(|g| absent(g.reason))
    })
}

/// One sentence that a person can paste.
pub(crate) fn headline(case: &Case<'_>, found: &[Draft], verdict: Verdict) -> String {
    let host = match case.after.host.name.value() {
        Some(name) if !name.trim().is_empty() => words::clean(name.trim()),
        Some(_) | None => "this host".to_string(),
    };
    let top = found.iter().find(|d| d.finding.severity > Severity::Info);
    let Some(top) = top else {
        return quiet(case, &host, found, verdict);
    };
    let cause = cause(found, top);
    let because = cause.map_or(String::new(), |c| format!(": {c}"));
    let table = table(case, top);
    let full = top.finding.namespace.and_then(|i| case.spaces.get(i)).and_then(|s| {
        let (count, max) = (s.load.count?, s.load.max?);
        Some((format!("{} of {}", words::count(count.0), words::count(max.0)), s))
    });
    match (top.finding.id, full) {
        ("CT001", Some((of, s))) => match s.rates.drop {
            Ok(rate) if rate > 0.0 => format!(
                "{host} is dropping {} packets/s: {table} is full ({of}){}.",
                words::rate(rate),
                cause.map_or(String::new(), |c| format!(", {c}"))
            ),
            Ok(_) | Err(_) => format!(
                "{host} {} dropping packets: {table} {} full ({of}){}.",
                tense(case).0,
                tense(case).1,
                cause.map_or(String::new(), |c| format!(", {c}"))
            ),
        },
        ("CT002", Some((of, _))) => {
            format!(
                "{host} dropped packets: {table} was full, and holds {of} entries now{because}."
            )
        }
        ("CT002", None) => format!("{host} dropped packets: a table was full{because}."),
        ("CT003", Some((of, _))) => {
            format!("{host} lives by evicting entries: {table} is at its limit ({of}){because}.")
        }
        _ => {
            let mut sentence = lower_first(&top.finding.summary);
            if !sentence.ends_with('.') {
                sentence.push('.');
            }
            format!("{host}: {sentence}")
        }
    }
}

/// "is" of a host that runs, "was" of one that was saved.
fn tense(case: &Case<'_>) -> (&'static str, &'static str) {
    match case.after.host.origin {
        Origin::Live => ("is", "is"),
        Origin::Tree | Origin::Bundle => ("was", "was"),
    }
}

/// The words of the cause: of the same namespace, if there is one.
fn cause<'a>(found: &'a [Draft], top: &Draft) -> Option<&'a str> {
    let here =
        |d: &&Draft| d.finding.namespace == top.finding.namespace || d.finding.namespace.is_none();
    CAUSES.iter().find_map(|id| {
        let draft = found
            .iter()
            .filter(|d| d.finding.severity > Severity::Info && d.finding.id != top.finding.id)
            .filter(here)
            .find(|d| d.finding.id == *id)?;
        draft.clause.as_deref()
    })
}

/// The table of a finding within a sentence.
fn table(case: &Case<'_>, draft: &Draft) -> String {
    match draft.finding.namespace.and_then(|i| case.spaces.get(i)) {
        Some(s) if !s.now.is_initial() => format!("the table of {}", s.name),
        Some(_) | None => "its table".to_string(),
    }
}

/// A host without anything to act on.
fn quiet(case: &Case<'_>, host: &str, found: &[Draft], verdict: Verdict) -> String {
    if verdict == Verdict::Unknown && case.after.whole.gap().is_some() && anything_read(case) {
        return format!(
            "{host}: the bundle broke off, and what could be read of it says nothing of drops."
        );
    }
    if verdict == Verdict::Unknown {
        return format!("{host}: too little could be read to tell whether packets are dropped.");
    }
    if found.iter().any(|d| d.finding.id == "CT031") {
        return format!("{host} tracks no connections, so no table can be full.");
    }
    let fullest = case
        .spaces
        .iter()
        .filter_map(|s| Some((s.fullness()?, s)))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let dropped = match (case.drops.now, case.drops.counted) {
        (Some(now), _) if now > 0.0 => "some packets are dropped for other reasons",
        (Some(_), _) => "no packet is dropped",
        (None, Some(0)) => "no packet was dropped since boot",
        (None, Some(_) | None) => "nothing says that packets are dropped for it",
    };
    match fullest {
        Some((share, s)) => {
            let which = if case.spaces.len() > 1 { "the fullest table" } else { "the table" };
            let name = if case.spaces.len() > 1 { format!(" ({})", s.name) } else { String::new() };
            let of = match (s.load.count, s.load.max) {
                (Some(c), Some(m)) => {
                    format!("{} of {} entries", words::count(c.0), words::count(m.0))
                }
                _ => words::share(share),
            };
            if unseen(case) {
                format!(
                    "{host}: {which} seen{name} holds {of}, and {dropped}, as far as could be seen."
                )
            } else {
                format!("{host} is well: {which}{name} holds {of}, and {dropped}.")
            }
        }
        None => format!("{host}: {dropped}, as far as could be seen."),
    }
}

/// Whether something that tells of drops stayed hidden on a host that could have shown it: then nobody
/// may say that it is well.
fn unseen(case: &Case<'_>) -> bool {
    let refused = |gap: Option<&Gap>| gap.is_some_and(|g| g.reason == Reason::NotPermitted);
    refused(case.after.log.gap())
        || case.spaces.iter().any(|s| refused(s.now.count.gap()) || refused(s.now.counters.gap()))
        || !case.chosen && refused(case.after.namespaces_complete.gap())
}

/// A sentence within a sentence.
fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        // A name in capitals (NAT, TCP) stays.
        Some(first) if !chars.clone().next().is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        Some(_) | None => text.to_string(),
    }
}

/// What the reader should know of the method.
pub(crate) fn notes(case: &Case<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let live = case.after.host.origin == Origin::Live;
    let censuses = || case.spaces.iter().filter_map(|s| s.now.census.value());
    if live && censuses().any(|c| matches!(c.reader, Reader::Ctnetlink | Reader::Proc)) {
        notes.push(
            "Reading the entries removed the expired ones that it met; the count may have fallen by \
             them."
                .to_string(),
        );
    }
    let sampled: Vec<_> = case
        .spaces
        .iter()
        .filter(|s| s.now.census.value().is_some_and(|c| !c.complete && c.seen > 0))
        .collect();
    if let Some(s) = sampled.first() {
        let seen = s.load.sampled.map_or(0, |n| n.0);
        let of = s.load.count.map_or(String::new(), |c| format!(" of {}", words::count(c.0)));
        notes.push(format!(
            "The split and the groups of {} rest on {}{of} entries, scaled up.",
            if sampled.len() == 1 {
                s.name.clone()
            } else {
                format!("{} namespaces", sampled.len())
            },
            words::count(seen),
        ));
    }
    // One namespace speaks for all: they are read the same way.
    let measured = case.spaces.iter().filter(|s| s.rates.new.is_ok());
    if let Some(s) = measured.max_by_key(|s| s.load.count.map(|c| c.0))
        && s.load.count.is_some_and(|c| c.0 > 0)
    {
        notes.push(format!("Rate of new entries: {}.", s.rates.new_source));
    }
    if case.drops.suppressed.is_some_and(|n| n > 0) {
        notes.push(
            "Suppressed log messages are of all networking together: they do not count drops."
                .to_string(),
        );
    }
    if case.full_lines().is_some() {
        notes.push(
            "Log lines prove that the limit was hit; they are rate limited, so their number says \
             little about the packets lost."
                .to_string(),
        );
        if case.attribution.unknown.is_some()
            || (case.profile.log != LogWording::Netns && case.spaces.len() > 1)
        {
            notes.push(
                "This kernel's log line does not say in which namespace the table was full."
                    .to_string(),
            );
        }
    }
    if let Some(log) = case.after.log.value()
        && log.injected > 0
    {
        notes.push(format!(
            "{} with the kernel's words did not come from the kernel and {} not counted.",
            words::counted(log.injected, "log line", "log lines"),
            if log.injected == 1 { "is" } else { "are" }
        ));
    }
    notes
}
