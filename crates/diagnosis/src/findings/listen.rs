//! The look-alike that is met most: a listener that accepts too slowly (CT060).
//!
//! Kernel: `tcp_conn_request()`, `tcp_syn_flood_action()`, net/ipv4/tcp_input.c. A full queue of finished
//! handshakes counts `ListenOverflows`; a full queue of half-open ones logs `Possible SYN flooding`, and
//! counts `TCPReqQFullDoCookies` or `TCPReqQFullDrop`. The line names no namespace; all counters are of one.

use alloc::vec::Vec;

use super::alike::{RECENT, counter, says};
use super::{Draft, last_line, source_of};
use crate::Said;
use crate::case::{Case, Space};
use crate::nameless::{self, Nameless};
use crate::words;
use crate::{Excluded, Severity};

/// On a host that was read once, a sum since boot of so much is worth telling.
pub(super) const MANY: u64 = 1000;

/// The accept queue was full: the application is too slow.
const OVERFLOWS: &str = "TcpExt.ListenOverflows";

/// What every kernel counts when a listener loses a connection; the second for every reason.
const LOST: [&str; 2] = [OVERFLOWS, "TcpExt.ListenDrops"];

/// What is counted with a line about SYN flooding (3.x and later).
const FLOODED: [&str; 2] = ["TcpExt.TCPReqQFullDoCookies", "TcpExt.TCPReqQFullDrop"];

/// Finds listeners that accept too slowly, namespace by namespace, or rules them out.
pub(super) fn find(case: &Case<'_>, found: &mut Vec<Draft>, excluded: &mut Vec<Excluded>) {
    let counted: Vec<Draft> =
        case.spaces.iter().enumerate().filter_map(|(i, s)| overflow(case, i, s)).collect();
    if !counted.is_empty() {
        found.extend(counted);
        return;
    }
    let floods = flooded(case);
    // The namespace that lost most since boot speaks for all: none of them loses any now.
    let quiet = case
        .spaces
        .iter()
        .filter_map(|s| LOST.iter().find_map(|name| Some((*name, counter(s, name)?))))
        .max_by_key(|(_, (value, _))| *value);
    if floods.is_empty()
        && let Some((name, (value, grown))) = quiet
    {
        excluded.push(Excluded { id: "CT060", because: says(case, name, value, grown) });
    }
    found.extend(floods);
}

/// Overflowing listen queues of one namespace.
fn overflow(case: &Case<'_>, i: usize, s: &Space<'_>) -> Option<Draft> {
    let read: Vec<(&str, u64, Option<u64>)> =
        LOST.iter().filter_map(|name| counter(s, name).map(|(v, g)| (*name, v, g))).collect();
    let rising = read.iter().find(|(_, _, g)| g.is_some_and(|g| g > 0));
    let accepted = rising.is_none_or(|(name, _, _)| *name != OVERFLOWS);
    let unmeasured = read.iter().find(|(_, v, g)| g.is_none() && *v >= MANY);
    let here = if s.now.is_initial() { Said::default() } else { said!("{}: ", "{:#}：", s.name) };
    let (severity, summary) = match (rising, unmeasured, case.seconds()) {
        (Some((_, _, Some(by))), _, Some(seconds)) if accepted => (
            Severity::Info,
            said!(
                "{here}Listeners drop {} packets/s though their accept queues have room: the queue \
                 of half-open connections is full, as in a SYN flood.",
                "{here:#}accept 队列还有空位，监听者每秒却丢 {} 个包：半开连接的队列满了，就像 SYN 洪水那样。",
                words::rate(*by as f64 / seconds)
            ),
        ),
        (Some((_, _, Some(by))), _, Some(seconds)) => (
            Severity::Warning,
            said!(
                "{here}Listen queues overflow: {} connections/s are refused because the application \
                 accepts too slowly.",
                "{here:#}监听队列溢出：应用 accept 太慢，每秒拒绝 {} 个连接。",
                words::rate(*by as f64 / seconds)
            ),
        ),
        (_, Some((name, value, _)), _) => (
            Severity::Info,
            said!(
                "{here}Listen queues overflowed {} times since boot ({name}); whether they do now \
                 could not be measured.",
                "{here:#}监听队列启动以来溢出 {} 次（{name}）；现在是否还在溢出，没能测量。",
                words::count(*value)
            ),
        ),
        _ => return None,
    };
    let mut draft = Draft::new("CT060", severity, Some(i), summary).explains(0.5);
    for &(name, value, grown) in read.iter().filter(|(_, value, _)| *value > 0) {
        let source = source_of(&s.now.stack);
        draft = draft.count(
            said!("{name} since boot", "启动以来的 {name}"),
            value,
            "packets",
            source.clone(),
        );
        if let Some(grown) = grown.filter(|grown| *grown > 0) {
            draft = draft.count(
                said!("{name} in the interval", "测量期间的 {name}"),
                grown,
                "packets",
                source,
            );
        }
    }
    Some(draft)
}

/// What the log says of floods, by where they were.
fn flooded(case: &Case<'_>) -> Vec<Draft> {
    let seen = case.after.log.value().and_then(|log| log.listen_flood.as_ref());
    let seen = seen.filter(|seen| case.within(seen.last, RECENT));
    let Nameless { here, suspect, elsewhere } = nameless::sort(case, seen, never_flooded);
    let mut found = Vec::new();
    if let Some(lines) = here {
        let summary = said!(
            "The kernel log reports SYN flooding in {}{}: a listen queue was full.",
            "内核日志里有 {:#}报告 SYN 洪水{:#}：有一个监听队列满了。",
            words::many(lines.lines, "line", "lines", "行"),
            last_line(case, &lines)
        );
        let mut draft = Draft::new("CT060", Severity::Info, suspect, summary);
        if let Some(s) = suspect.and_then(|i| case.spaces.get(i)) {
            for (name, value) in sums(s).filter(|(_, value)| *value > 0) {
                let source = source_of(&s.now.stack);
                draft = draft.count(
                    said!("{name} since boot", "启动以来的 {name}"),
                    value,
                    "packets",
                    source,
                );
            }
        }
        found.push(draft.explains(0.4).log(case, &lines));
    }
    if let Some(lines) = elsewhere {
        let summary = said!(
            "The kernel log reports SYN flooding in {}{}, in a namespace that is gone or was not read: \
             those that were read never lost a connection at a listener.",
            "内核日志里有 {:#}报告 SYN 洪水{:#}，发生在一个已经不在或没有读到的命名空间：读到的命名空间从未在监听者那里丢过连接。",
            words::many(lines.lines, "line", "lines", "行"),
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
