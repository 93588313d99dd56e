//! The look-alike that is met most: a listener that accepts too slowly (CT060).
//!
//! Kernel: `tcp_conn_request()`, `tcp_syn_flood_action()`, net/ipv4/tcp_input.c. A full queue of finished
//! handshakes counts `ListenOverflows`; a full queue of half-open ones logs `Possible SYN flooding`, and
//! counts `TCPReqQFullDoCookies` or `TCPReqQFullDrop`. The line names no namespace; all counters are of one.

use alloc::format;
use alloc::vec::Vec;

use super::alike::{RECENT, counter, says, stack_source};
use super::{Draft, last_line, source_of};
use crate::case::{Case, Space};
use crate::nameless::{self, Nameless};
use crate::words;
use crate::{Excluded, Severity};

/// On a host that was read once, a sum since boot of so much is worth telling.
const MANY: u64 = 1000;

/// What every kernel counts when a listener loses a connection.
const LOST: [&str; 2] = ["TcpExt.ListenOverflows", "TcpExt.ListenDrops"];

/// What is counted with a line about SYN flooding (3.x and later).
const FLOODED: [&str; 2] = ["TcpExt.TCPReqQFullDoCookies", "TcpExt.TCPReqQFullDrop"];

/// Finds a listener that accepts too slowly, or rules it out.
pub(super) fn find(case: &Case<'_>, found: &mut Vec<Draft>, excluded: &mut Vec<Excluded>) {
    let read: Vec<(&str, u64, Option<u64>)> =
        LOST.iter().filter_map(|name| counter(case, name).map(|(v, g)| (*name, v, g))).collect();
    let rising = read.iter().find(|(_, _, g)| g.is_some_and(|g| g > 0));
    let unmeasured = read.iter().find(|(_, v, g)| g.is_none() && *v >= MANY);
    let counted = match (rising, unmeasured, case.seconds()) {
        (Some((_, _, Some(by))), _, Some(seconds)) => Some((
            Severity::Warning,
            format!(
                "Listen queues overflow: {} connections/s are refused because the application \
                 accepts too slowly.",
                words::rate(*by as f64 / seconds)
            ),
        )),
        (_, Some((name, value, _)), _) => Some((
            Severity::Info,
            format!(
                "Listen queues overflowed {} times since boot ({name}); whether they do now could \
                 not be measured.",
                words::count(*value)
            ),
        )),
        _ => None,
    };
    if let Some((severity, summary)) = counted {
        let initial = case.initial().map(|(i, _)| i);
        found.push(counters(case, &read, Draft::new("CT060", severity, initial, summary)));
        return;
    }
    let floods = flooded(case);
    if floods.is_empty()
        && let Some((name, value, grown)) = read.first()
    {
        excluded.push(Excluded { id: "CT060", because: says(case, name, *value, *grown) });
    }
    found.extend(floods);
}

/// Sums and growth that are not zero.
fn counters(case: &Case<'_>, read: &[(&str, u64, Option<u64>)], mut draft: Draft) -> Draft {
    draft = draft.explains(0.5);
    for &(name, value, grown) in read.iter().filter(|(_, value, _)| *value > 0) {
        let source = stack_source(case);
        draft = draft.count(format!("{name} since boot"), value, "packets", source.clone());
        if let Some(grown) = grown.filter(|grown| *grown > 0) {
            draft = draft.count(format!("{name} in the interval"), grown, "packets", source);
        }
    }
    draft
}

/// What the log says of floods, by where they were.
fn flooded(case: &Case<'_>) -> Vec<Draft> {
    let seen = case.after.log.value().and_then(|log| log.listen_flood.as_ref());
    let seen = seen.filter(|seen| case.within(seen.last, RECENT));
    let Nameless { here, suspect, elsewhere } = nameless::sort(case, seen, never_flooded);
    let mut found = Vec::new();
    if let Some(lines) = here {
        let summary = format!(
            "The kernel log reports SYN flooding in {}{}: a listen queue was full.",
            words::counted(lines.lines, "line", "lines"),
            last_line(case, &lines)
        );
        let mut draft = Draft::new("CT060", Severity::Info, suspect, summary);
        if let Some(s) = suspect.and_then(|i| case.spaces.get(i)) {
            for (name, value) in sums(s).filter(|(_, value)| *value > 0) {
                let source = source_of(&s.now.stack);
                draft = draft.count(format!("{name} since boot"), value, "packets", source);
            }
        }
        found.push(draft.explains(0.4).log(case, &lines));
    }
    if let Some(lines) = elsewhere {
        let summary = format!(
            "The kernel log reports SYN flooding in {}{}, in a namespace that is gone or was not read: \
             those that were read never lost a connection at a listener.",
            words::counted(lines.lines, "line", "lines"),
            last_line(case, &lines)
        );
        let draft = Draft::new("CT060", Severity::Info, None, summary).explains(0.1);
        found.push(draft.log(case, &lines));
    }
    found
}

/// The counters of a namespace that a listener in trouble raises.
fn sums<'a>(s: &Space<'a>) -> impl Iterator<Item = (&'static str, u64)> + use<'a> {
    let stack = s.now.stack.value();
    let names = LOST.into_iter().chain(FLOODED);
    names.filter_map(move |name| Some((name, *stack?.counters.get(name)?)))
}

/// Whether no listener of this namespace ever lost a connection, nor a queue ran full. On kernels that do
/// not count the latter nobody knows.
fn never_flooded(s: &Space<'_>) -> bool {
    let counters: Vec<_> = sums(s).collect();
    counters.len() == LOST.len() + FLOODED.len() && counters.iter().all(|(_, value)| *value == 0)
}
