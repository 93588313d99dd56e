//! Overflows that are over, and since when one goes on, by the lines of the log (CT002).

use alloc::vec::Vec;

use plimsoll_ct::{Counter, TimeRange};

use super::Draft;
use super::state::{clashes, counter_evidence};
use crate::Said;
use crate::Severity;
use crate::case::Case;
use crate::facts::SeenIn;
use crate::words;

/// A table that drops all the time is told of every few seconds; after so long without a line it did not.
pub(super) const QUIET: f64 = 300.0;
/// After so long an overflow is history: worth knowing, no alarm. A week, so that whoever is called sees
/// what a load that comes every week did the last time; a longer alarm would outlive its cure.
pub(super) const HISTORY: f64 = 7.0 * 86_400.0;
/// The same for a namespace that is gone: whoever ran in it will hardly be asked after a day.
pub(super) const GONE: f64 = 86_400.0;
/// Unexplained drops since boot that hint at a full table when no log line does. `drop` has rarer causes.
pub(super) const HINT: u64 = 100;

/// Since when a table is full, by its lines, as the tail of a sentence. What began last comes first: it
/// is what an engineer looks for; an overflow of last month is another.
pub(super) fn beginning(case: &Case<'_>, lines: &SeenIn) -> Said {
    let ago = |at: TimeRange| words::span(case.ago(at.middle()));
    match (lines.first, lines.since, lines.last) {
        // They tell of another time than now.
        (_, _, Some(last)) if case.ago(last.latest) > QUIET => {
            said!("; last log line {} ago", "；最后一行日志在 {:#}之前", ago(last))
        }
        (Some(first), Some(since), _) if since != first => {
            said!(
                "; log lines for {}, the first of all {} ago",
                "；日志已持续 {:#}，最早一行在 {:#}之前",
                ago(since),
                ago(first)
            )
        }
        (Some(first), _, _) => {
            said!("; first log line {} ago", "；第一行日志在 {:#}之前", ago(first))
        }
        (None, _, _) => Said::default(),
    }
}

/// How long ago, as the tail of a sentence.
fn when(case: &Case<'_>, lines: &SeenIn) -> Said {
    let ago = |seen: Option<TimeRange>| seen.map(|seen| words::span(case.ago(seen.middle())));
    match (ago(lines.first), ago(lines.last)) {
        (Some(first), Some(last)) if lines.lines > 1 && first != last => said!(
            ", the first {first} and the last {last} before this reading",
            "，第一行在本次读取的 {first:#}之前，最后一行在 {last:#}之前"
        ),
        (_, Some(last)) => {
            said!(", {last} before this reading", "，在本次读取的 {last:#}之前")
        }
        (_, None) => Said::default(),
    }
}

/// Severity of an overflow that is over: an alarm while it is recent.
pub(super) fn severity_of(case: &Case<'_>, lines: &SeenIn, recent: f64) -> Severity {
    if case.within(lines.last, recent) { Severity::Warning } else { Severity::Info }
}

/// CT002 for one namespace: the log says so, or the counters hint at it.
pub(super) fn was_full(case: &Case<'_>, i: usize) -> Option<Draft> {
    let s = &case.spaces[i];
    if let Some(lines) = case.attribution.of_space(i) {
        let summary = said!(
            "{} was full: the kernel log says so in {}{}{}.",
            "{:#}曾经满过：内核日志里有 {:#}这样说{:#}{:#}。",
            case.the_table(i),
            words::many(lines.lines, "line", "lines", "行"),
            when(case, lines),
            if lines.earlier_boot {
                said!(", all before this boot", "，都在本次启动之前")
            } else {
                Said::default()
            }
        );
        let severity = severity_of(case, lines, HISTORY);
        let draft = Draft::new("CT002", severity, Some(i), summary);
        return Some(counter_evidence(s, draft.log(case, lines)));
    }
    let drop = s.total(Counter::Drop)?;
    let clashes = clashes(|c| s.total(c));
    let alone = drop.saturating_sub(clashes);
    if alone < HINT || alone < clashes.saturating_mul(10) || case.attribution.unknown.is_some() {
        return None;
    }
    let log = match case.after.log.value() {
        Some(_) => Said::of(
            "though the log that could be read holds no line about it",
            "而读得到的日志里没有提到",
        ),
        None => Said::of("and no log could be read", "而日志没能读到"),
    };
    let summary = said!(
        "{} may have been full: {} were dropped since boot that no clash explains, {log}.",
        "{:#}可能满过：启动以来有 {:#}丢失，插入冲突解释不了，{log:#}。",
        case.the_table(i),
        words::many(alone, "packet", "packets", "个包")
    );
    Some(counter_evidence(s, Draft::new("CT002", Severity::Info, Some(i), summary)))
}

/// Who has that inode now.
fn now_of<'a>(case: &'a Case<'_>, inode: u64) -> Option<&'a Said> {
    case.spaces.iter().find(|s| s.now.inode == Some(inode)).map(|s| &s.name)
}

/// CT002 for lines that no known namespace owns.
pub(super) fn was_full_somewhere(case: &Case<'_>) -> Vec<Draft> {
    let mut found = Vec::new();
    // Of a chosen namespace nothing can be said by lines that may be any other's.
    if let Some(lines) = case.attribution.unknown.as_ref().filter(|_| !case.chosen) {
        let summary = said!(
            "A table was full: the kernel log says so in {}{}; of which namespace, this kernel's log \
             does not say.",
            "有一张表曾经满过：内核日志里有 {:#}这样说{:#}；是哪个命名空间，本内核的日志不写。",
            words::many(lines.lines, "line", "lines", "行"),
            when(case, lines)
        );
        let draft = Draft::new("CT002", severity_of(case, lines, HISTORY), None, summary);
        found.push(draft.log(case, lines));
    }
    let Some(all) = case.attribution.gone() else {
        return found;
    };
    let which = match case.attribution.gone.as_slice() {
        [SeenIn { inode: Some(inode), earlier_boot: true, .. }] => {
            said!(
                "The table of namespace {inode} of an earlier boot",
                "上一次启动中命名空间 {inode} 的表"
            )
        }
        [SeenIn { inode: Some(inode), .. }] => match now_of(case, *inode) {
            // Its counters know of fewer drops than there are lines; how many of these are its own nothing tells.
            Some(s) => said!(
                "The table of an earlier namespace {inode} (the number is now that of {s}, which has dropped less than \
                 the log tells)",
                "先前一个命名空间 {inode}（这个号现在归 {s:#}，它丢的包比日志里说的少）的表"
            ),
            None => said!(
                "The table of namespace {inode}, not found among those that could be seen,",
                "命名空间 {inode}（能看到的命名空间里没有它）的表"
            ),
        },
        [_] => said!("The table of a namespace that was not read", "一个没有读到的命名空间的表"),
        many => said!(
            "The tables of {} namespaces, gone or not to be seen,",
            "{} 个已经不在或看不到的命名空间的表",
            many.len()
        ),
    };
    let were = if case.attribution.gone.len() == 1 { "was" } else { "were" };
    let summary = said!(
        "{which} {were} full: {} in the kernel log{}.",
        "{which:#}曾经满过：内核日志里有 {:#}{:#}。",
        words::many(all.lines, "line", "lines", "行"),
        when(case, &all)
    );
    let draft = Draft::new("CT002", severity_of(case, &all, GONE), None, summary);
    found.push(draft.log(case, &all));
    found
}
