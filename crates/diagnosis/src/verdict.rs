//! The whole in one word, in one sentence, and what the reader should know of the method.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::LogWording;

use crate::case::Case;
use crate::facts::{Gap, Origin, Reader, Reason};
use crate::findings::{Draft, evicts};
use crate::words;
use crate::{Said, Severity, Verdict};

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
pub(crate) fn headline(case: &Case<'_>, found: &[Draft], verdict: Verdict) -> Said {
    let host = match case.after.host.name.value() {
        Some(name) if !name.trim().is_empty() => Said::name(words::clean(name.trim())),
        Some(_) | None => Said::of("this host", "本机"),
    };
    let top = found.iter().find(|d| d.finding.severity > Severity::Info);
    let Some(top) = top else {
        return quiet(case, &host, found, verdict);
    };
    let cause = cause(found, top);
    let because = cause.map_or_else(Said::default, |c| said!(": {c}", "：{c:#}"));
    let comma = cause.map_or_else(Said::default, |c| said!(", {c}", "，{c:#}"));
    let table = table(case, top);
    let full = top.finding.namespace.and_then(|i| case.spaces.get(i)).and_then(|s| {
        let (count, max) = (s.load.count?, s.load.max?);
        Some((said!("{} of {}", "{} / {}", words::count(count.0), words::count(max.0)), s))
    });
    match (top.finding.id, full) {
        ("CT001", Some((of, s))) => match s.rates.drop {
            Ok(rate) if rate > 0.0 => said!(
                "{host} is dropping {} packets/s: {table} is full ({of}){comma}.",
                "{host:#} 正在丢包，每秒 {} 个：{table:#}已满（{of:#}）{comma:#}。",
                words::rate(rate)
            ),
            Ok(_) if case.after.host.origin == Origin::Live => said!(
                "{host} was dropping packets seconds ago: {table} is full ({of}){comma}.",
                "{host:#} 几秒前还在丢包：{table:#}已满（{of:#}）{comma:#}。"
            ),
            // A host that was saved is spoken of in the past.
            Ok(_) | Err(_) => match case.after.host.origin {
                Origin::Live => said!(
                    "{host} is dropping packets: {table} is full ({of}){comma}.",
                    "{host:#} 正在丢包：{table:#}已满（{of:#}）{comma:#}。"
                ),
                Origin::Tree | Origin::Bundle => said!(
                    "{host} was dropping packets: {table} was full ({of}){comma}.",
                    "{host:#} 当时正在丢包：{table:#}已满（{of:#}）{comma:#}。"
                ),
            },
        },
        ("CT002", Some((of, _))) => {
            said!(
                "{host} dropped packets: {table} was full, and holds {of} entries now{because}.",
                "{host:#} 丢过包：{table:#}曾经满过，现在有 {of:#} 个条目{because:#}。"
            )
        }
        ("CT002", None) => said!(
            "{host} dropped packets: a table was full{because}.",
            "{host:#} 丢过包：有一张表曾经满过{because:#}。"
        ),
        ("CT003", Some((of, s))) if evicts(s) => {
            said!(
                "{host} lives by evicting entries: {table} is at its limit ({of}){because}.",
                "{host:#} 靠淘汰条目维持：{table:#}已到上限（{of:#}）{because:#}。"
            )
        }
        _ => {
            let mut sentence = top.finding.summary.map(lower_first);
            if !sentence.ends_with('.') {
                sentence.push(&Said::of(".", "。"));
            }
            said!("{host}: {sentence}", "{host:#}：{sentence:#}")
        }
    }
}

/// The words of the cause: of the same namespace, if there is one.
fn cause<'a>(found: &'a [Draft], top: &Draft) -> Option<&'a Said> {
    let here =
        |d: &&Draft| d.finding.namespace == top.finding.namespace || d.finding.namespace.is_none();
    CAUSES.iter().find_map(|id| {
        let draft = found
            .iter()
            .filter(|d| d.finding.severity > Severity::Info && d.finding.id != top.finding.id)
            .filter(here)
            .find(|d| d.finding.id == *id)?;
        draft.clause.as_ref()
    })
}

/// The table of a finding within a sentence.
fn table(case: &Case<'_>, draft: &Draft) -> Said {
    match draft.finding.namespace.and_then(|i| case.spaces.get(i)) {
        Some(s) if !s.now.is_initial() => said!("the table of {}", "{:#} 的表", s.name),
        Some(_) | None => Said::of("its table", "连接跟踪表"),
    }
}

/// A host without anything to act on.
fn quiet(case: &Case<'_>, host: &Said, found: &[Draft], verdict: Verdict) -> Said {
    if verdict == Verdict::Unknown && case.after.whole.gap().is_some() && anything_read(case) {
        return said!(
            "{host}: the bundle broke off, and what could be read of it says nothing of drops.",
            "{host:#}：归档不完整，读到的部分没有提到丢包。"
        );
    }
    if verdict == Verdict::Unknown {
        return said!(
            "{host}: too little could be read to tell whether packets are dropped.",
            "{host:#}：读到的太少，无法判断是否在丢包。"
        );
    }
    if found.iter().any(|d| d.finding.id == "CT031") {
        return said!(
            "{host} tracks no connections, so no table can be full.",
            "{host:#} 没有跟踪任何连接，所以不会有表满。"
        );
    }
    let fullest = case
        .spaces
        .iter()
        .filter_map(|s| Some((s.fullness()?, s)))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let dropped = match (case.drops.now, case.drops.counted) {
        (Some(now), _) if now > 0.0 => {
            Said::of("some packets are dropped for other reasons", "有些包因别的原因被丢弃")
        }
        (Some(_), _) => Said::of("no packet is dropped", "没有丢包"),
        (None, Some(0)) => Said::of("no packet was dropped since boot", "启动以来没有丢包"),
        (None, Some(_) | None) => Said::of(
            "nothing says that packets are dropped for a full table",
            "没有迹象表明因表满而丢包",
        ),
    };
    match fullest {
        Some((share, s)) => {
            let which = match case.spaces.len() > 1 {
                true => Said::of("the fullest table", "最满的表"),
                false => Said::of("the table", "表"),
            };
            let name = match case.spaces.len() > 1 {
                true => said!(" ({})", "（{:#}）", s.name),
                false => Said::default(),
            };
            let of = match (s.load.count, s.load.max) {
                (Some(c), Some(m)) => {
                    said!(
                        "{} of {} entries",
                        "{} / {} 个条目",
                        words::count(c.0),
                        words::count(m.0)
                    )
                }
                _ => words::share(share),
            };
            if unseen(case) {
                said!(
                    "{host}: {which} seen{name} holds {of}, and {dropped}, as far as could be seen.",
                    "{host:#}：看到的{which:#}{name:#}里有 {of:#}，就所能看到的，{dropped:#}。"
                )
            } else {
                said!(
                    "{host} is well: {which}{name} holds {of}, and {dropped}.",
                    "{host:#} 正常：{which:#}{name:#}里有 {of:#}，{dropped:#}。"
                )
            }
        }
        None => said!(
            "{host}: {dropped}, as far as could be seen.",
            "{host:#}：就所能看到的，{dropped:#}。"
        ),
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
pub(crate) fn notes(case: &Case<'_>) -> Vec<Said> {
    let mut notes = Vec::new();
    let live = case.after.host.origin == Origin::Live;
    let censuses = || case.spaces.iter().filter_map(|s| s.now.census.value());
    if live && censuses().any(|c| matches!(c.reader, Reader::Ctnetlink | Reader::Proc)) {
        notes.push(
            Said::of(
            "Reading the entries removed the expired ones that it met; the count may have fallen by \
             them.",
            "读取条目时，遇到的过期条目被删除了；条目数可能因此减少。",
        ),
        );
    }
    let sampled: Vec<_> = case
        .spaces
        .iter()
        .filter(|s| s.now.census.value().is_some_and(|c| !c.complete && c.seen > 0))
        .collect();
    if let Some(s) = sampled.first() {
        let seen = s.load.sampled.map_or(0, |n| n.0);
        let of = s
            .load
            .count
            .map_or_else(Said::default, |c| said!(" of {}", "（共 {} 个）", words::count(c.0)));
        notes.push(said!(
            "The split and the groups of {} rest on {}{of} entries, scaled up.",
            "{:#} 的构成和分组由 {} 个条目{of:#}按比例推算。",
            if sampled.len() == 1 {
                s.name.clone()
            } else {
                said!("{} namespaces", "{} 个命名空间", sampled.len())
            },
            words::count(seen),
        ));
    }
    // One namespace speaks for all: they are read the same way.
    let measured = case.spaces.iter().filter(|s| s.rates.new.is_ok());
    if let Some(s) = measured.max_by_key(|s| s.load.count.map(|c| c.0))
        && s.load.count.is_some_and(|c| c.0 > 0)
    {
        notes.push(said!("Rate of new entries: {}.", "新建条目的速率：{:#}。", s.rates.new_source));
    }
    if case.drops.suppressed.is_some_and(|n| n > 0) {
        notes.push(Said::of(
            "Suppressed log messages are of all networking together: they do not count drops.",
            "被抑制的日志消息是全部网络消息合在一起的：不能用来数丢包。",
        ));
    }
    if case.full_lines().is_some() {
        notes.push(Said::of(
            "Log lines prove that the limit was hit; they are rate limited, so their number says \
             little about the packets lost.",
            "日志行证明到过上限；内核对它们限速，所以行数说明不了丢了多少包。",
        ));
        if case.attribution.unknown.is_some()
            || (case.profile.log != LogWording::Netns && case.spaces.len() > 1)
        {
            notes.push(Said::of(
                "This kernel's log line does not say in which namespace the table was full.",
                "本内核的日志行不写是哪个命名空间的表满了。",
            ));
        }
    }
    if let Some(log) = case.after.log.value()
        && log.injected > 0
    {
        notes.push(said!(
            "{} with the kernel's words did not come from the kernel and {} not counted.",
            "{:#}带有内核的措辞却不是内核写的{:#}，没有计入。",
            words::many(log.injected, "log line", "log lines", "行日志"),
            if log.injected == 1 { Said::of("is", "") } else { Said::of("are", "") }
        ));
    }
    notes
}
