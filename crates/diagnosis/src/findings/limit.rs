//! The limit itself: too low, too high for the memory, none (CT020, CT021, CT023).

use alloc::format;
use alloc::vec::Vec;

use plimsoll_ct::Bytes;

use super::{Draft, source_of};
use crate::Said;
use crate::Severity;
use crate::case::Case;
use crate::groups::sum;
use crate::words;

/// A limit under half of what the kernel would choose by itself.
pub(super) const LOW: f64 = 0.5;
/// A table that takes less than this share of memory may well be larger …
pub(super) const CHEAP: f64 = 0.01;
/// … if it is short of room: at this share of its limit.
pub(super) const SHORT_OF_ROOM: f64 = 0.75;
/// A low limit matters from this fullness on; below, it is worth knowing.
pub(super) const IN_USE: f64 = 0.25;
/// Worst case of all tables against the memory.
pub(super) const TOO_MUCH: f64 = 0.5;
/// Findings that say why a table is full: then a limit that is the kernel's own is not the cause.
const CAUSES: &[&str] = &["CT010", "CT011", "CT012", "CT013", "CT030", "CT040", "CT041"];
/// An overflow so long ago still speaks about the limit.
pub(super) const REMEMBERED: f64 = 7.0 * 86_400.0;

/// Finds what is wrong with the limit. Comes after the causes: only where none of them explains the lack
/// of room, a limit that is the kernel's own default is too low.
pub(super) fn find(case: &Case<'_>, found: &mut Vec<Draft>) {
    let explained = found.iter().any(|d| CAUSES.contains(&d.finding.id));
    found.extend(low(case, explained));
    found.extend(worst_case(case));
    found.extend(unlimited(case));
}

/// The limit, which is one value for all.
fn limit(case: &Case<'_>) -> Option<u64> {
    case.initial().and_then(|(_, s)| s.load.max).or(case.spaces.first()?.load.max).map(|m| m.0)
}

/// CT020: the limit is far under what memory and the kernel's own default would give.
fn low(case: &Case<'_>, explained: bool) -> Option<Draft> {
    let max = limit(case).filter(|m| *m > 0)?;
    let memory = case.after.host.memory_total.get()?;
    let (buckets, default) = case.profile.defaults(memory);
    let peak = case.spaces.iter().filter_map(|s| s.peak_fullness()).fold(0.0, f64::max);
    let was_full = case.was_full_within(REMEMBERED);
    let worst = case.price.worst(max, case.buckets().unwrap_or(buckets));
    let cheap = (worst.0 as f64) < memory.0 as f64 * CHEAP;
    let (severity, summary) = if (max as f64) < default as f64 * LOW {
        let severity = if was_full || peak >= IN_USE { Severity::Warning } else { Severity::Info };
        let summary = said!(
            "The limit is {}; this kernel would give itself {} on a host with {} of memory.",
            "上限是 {}；内存为 {2} 的主机上，本内核自己会取 {1}。",
            words::count(max),
            words::count(default),
            words::bytes(memory)
        );
        (severity, summary)
    } else if !explained && cheap && (was_full || peak >= SHORT_OF_ROOM) {
        let summary = said!(
            "The limit of {} entries is small for this host: even when full in every namespace, the \
             table takes {} of {} of memory.",
            "{} 个条目的上限对本机来说偏小：即使每个命名空间都满，表也只占 {2} 内存中的 {1}。",
            words::count(max),
            words::bytes(worst),
            words::bytes(memory)
        );
        (Severity::Warning, summary)
    } else {
        return None;
    };
    Some(
        Draft::new("CT020", severity, None, summary)
            .explains(if was_full || peak >= SHORT_OF_ROOM { 0.5 } else { 0.1 })
            .count(said!("limit", "上限"), max, "entries", limit_source(case))
            .count(
                said!("the kernel's own default", "本内核自己的默认值"),
                default,
                "entries",
                said!("derived from the memory", "由内存推算"),
            )
            .count(said!("memory", "内存"), memory.0, "B", source_of(&case.after.host.memory_total))
            .count(
                said!("worst case of the table", "表最坏情况下占用"),
                worst.0,
                "B",
                said!("derived", "推算"),
            ),
    )
}

/// Where the limit was read.
fn limit_source(case: &Case<'_>) -> crate::facts::Source {
    match case.initial().and_then(|(_, s)| s.now.max.source()) {
        Some(source) => source.clone(),
        None => source_of(&case.after.host.global_max),
    }
}

/// CT021: the limit times the namespaces would not fit into memory.
fn worst_case(case: &Case<'_>) -> Option<Draft> {
    let max = limit(case).filter(|m| *m > 0)?;
    let memory = case.after.host.memory_total.get()?;
    let worst = case.price.worst(max, case.buckets().unwrap_or(0));
    if (worst.0 as f64) <= memory.0 as f64 * TOO_MUCH {
        return None;
    }
    let (tracking, unknown) = (case.price.namespaces, case.may_track());
    let times = if !case.price.multiplies() {
        Said::default()
    } else if unknown > 0 {
        said!(
            " in each of {} namespaces (and perhaps of {} more)",
            "（{} 个命名空间各自，也许另有 {} 个）",
            words::count(tracking),
            words::count(unknown)
        )
    } else {
        said!(" in each of {} namespaces", "（{} 个命名空间各自）", words::count(tracking))
    };
    let summary = said!(
        "{} entries of {}{times} may take {} of {} of memory; the kernel would run out of it before \
         the limit.",
        "上限 {} 个条目、每个 {}{times:#}，最多可占 {3} 内存中的 {2}；没到上限，内核就会先耗尽内存。",
        words::count(max),
        words::bytes(case.price.entry),
        words::bytes(worst),
        words::bytes(memory)
    );
    Some(
        Draft::new("CT021", Severity::Warning, None, summary)
            .explains(0.2)
            .count(said!("limit", "上限"), max, "entries", limit_source(case))
            .count(
                said!("namespaces that track", "启用跟踪的命名空间"),
                tracking,
                "",
                said!("the namespaces found", "找到的命名空间"),
            )
            .count(
                said!("memory of an entry", "一个条目的内存"),
                case.price.entry.0,
                "B",
                source_of(&case.after.host.slab),
            )
            .count(said!("worst case", "最坏情况"), worst.0, "B", said!("derived", "推算"))
            .count(
                said!("memory", "内存"),
                memory.0,
                "B",
                source_of(&case.after.host.memory_total),
            ),
    )
}

/// CT023: no limit at all, or a file that asks for none on a kernel that refuses it.
fn unlimited(case: &Case<'_>) -> Option<Draft> {
    if limit(case) == Some(0) {
        let entries = sum(case.spaces.iter().filter_map(|s| s.load.count).map(|c| c.0));
        let (severity, summary) = if case.profile.zero_is_unlimited {
            let taken = Bytes(entries.saturating_mul(case.price.entry.0));
            let summary = said!(
                "The limit is 0, which this kernel takes for none: {} entries take {} now, and a \
                 flood may take all memory.",
                "上限是 0，本内核当作没有上限：现在 {} 个条目占用 {}，一次洪水攻击就可能耗尽内存。",
                words::count(entries),
                words::bytes(taken)
            );
            (Severity::Warning, summary)
        } else {
            let summary = said!(
                "The limit reads 0, and this kernel ({}) knows no unlimited table: it admits nothing.",
                "上限读出来是 0，而本内核（{}）没有“不设上限”这回事：什么条目也进不来。",
                case.profile.name
            );
            (Severity::Critical, summary)
        };
        return Some(
            Draft::new("CT023", severity, None, summary)
                .explains(0.3)
                .count(said!("limit", "上限"), 0, "entries", limit_source(case))
                .count(
                    said!("entries", "条目数"),
                    entries,
                    "entries",
                    said!("sum over the namespaces", "各命名空间之和"),
                ),
        );
    }
    if case.profile.zero_is_unlimited {
        return None;
    }
    let (refused, holds) = super::stale::refused_limit(case)?;
    let place = said!("{} line {}", "{} 第 {} 行", words::clean(&refused.file), refused.line);
    let stays = match holds {
        Some(a) => {
            let (file, line, at) =
                (words::clean(&a.file), a.line, crate::boot::place(&a.file, a.line));
            let value = words::clean(&a.value);
            said!(
                "what {file} line {line} says ({value}) will stay",
                "仍以{at:#}的值（{value}）为准"
            )
        }
        None => said!("the default will stay", "仍以默认值为准"),
    };
    let summary = said!(
        "{place} asks for no limit ({} = {}); this kernel refuses values under 1, so {stays} in force.",
        "{place:#}：想取消上限（{} = {}）；本内核拒绝小于 1 的值，{stays:#}。",
        words::clean(&refused.key),
        words::clean(&refused.value)
    );
    Some(Draft::new("CT023", Severity::Warning, None, summary).explains(0.1).with(
        said!("assignment", "赋值"),
        crate::Value::Text(Said::name(format!(
            "{} = {}",
            words::clean(&refused.key),
            words::clean(&refused.value)
        ))),
        "",
        place,
    ))
}
