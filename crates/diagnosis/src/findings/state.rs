//! The state of the table: full, living by eviction, protected, filling (CT001, CT003 to CT005); what is over: `past`.
//!
//! Kernel: `__nf_conntrack_alloc()`, `early_drop()`, `gc_worker()`. A packet is lost only when the
//! table is at its limit *and* no entry near its bucket may be evicted; `drop` also counts clashes, which
//! raise `insert_failed` with it.

use alloc::vec::Vec;

use plimsoll_ct::{Counter, EarlyDrop, Profile};

use super::forecast::forecast;
use super::past::{beginning, was_full, was_full_somewhere};
use super::{Draft, source_of, source_text};
use crate::Said;
use crate::Severity;
use crate::case::{Case, Space};
use crate::groups::ratio;
use crate::words;

/// At the limit. Not 100 %: the count is read beside the packets, which come and go.
pub(super) const FULL: f64 = 0.98;
/// Since 4.12 the collector takes a full table down to 95 %, so a dropping one swings between the two.
pub(super) const FULL_AFTER_COLLECTION: f64 = 0.95;
/// Protected entries of so much of the limit leave next to nothing to evict.
pub(super) const ALL_PROTECTED: f64 = 0.95;
/// Evictions for one drop, from which on nearly every new flow still finds room.
pub(super) const SURVIVABLE: u64 = 50;
/// A log line this near a live reading says "now"; lines are rate limited to some per 5 s.
pub(super) const NOW_LIVE: f64 = 10.0;
/// A log line this near the saving of a host says that it was full then.
pub(super) const NOW_SAVED: f64 = 600.0;
/// Protected occupancy to warn at: a third more load fills the table.
pub(super) const PROTECTED_WARNING: f64 = 0.75;
/// Protected occupancy from which on a burst of a ninth of the load drops packets.
pub(super) const PROTECTED_CRITICAL: f64 = 0.90;
/// Fewest entries in a sample for its split to be spoken of (±5 % at 75 %).
pub(super) const SAMPLE: u64 = 200;
/// Below this share of the limit growth is daily business, unless the limit is minutes away.
pub(super) const FILLING_FROM: f64 = 0.20;
/// Time to the limit to warn at: what a person needs to come and act.
pub(super) const FILLING_WARNING: f64 = 1800.0;
/// Time to the limit that nobody can act within.
pub(super) const FILLING_CRITICAL: f64 = 300.0;

/// Finds the state of each table.
pub(super) fn find(case: &Case<'_>, found: &mut Vec<Draft>) {
    let mut any_full = false;
    for i in 0..case.spaces.len() {
        let full = full(case, i);
        let is_full = full.is_some();
        any_full |= is_full;
        found.extend(full);
        if !is_full {
            found.extend(was_full(case, i));
            found.extend(pressure(case, i));
            found.extend(filling(case, i));
        }
        found.extend(protected(case, i));
    }
    if !any_full {
        found.extend(was_full_somewhere(case));
    }
}

/// Drops that no failed insertion explains, over the interval or since boot: `insert_failed` also counts
/// refused chains, which do not raise `drop`.
fn full_drops(value: impl Fn(Counter) -> Option<u64>) -> Option<u64> {
    Some(value(Counter::Drop)?.saturating_sub(clashes(value)))
}

/// Failed insertions that raise `drop` as well.
pub(super) fn clashes(value: impl Fn(Counter) -> Option<u64>) -> u64 {
    let failed = value(Counter::InsertFailed).unwrap_or(0);
    failed.saturating_sub(value(Counter::ChainTooLong).unwrap_or(0))
}

/// CT001: full, and packets are lost.
fn full(case: &Case<'_>, i: usize) -> Option<Draft> {
    let s = &case.spaces[i];
    let (count, max) = (s.load.count?.0, s.limit()?);
    let fullness = s.peak_fullness()?;
    let unmovable = case.unmovable(s).filter(|_| well_sampled(s));
    let near = if case.profile.collector_evicts { FULL_AFTER_COLLECTION } else { FULL };
    let lines = case.attribution.of_space(i);
    let limit = if case.interval.is_some() { NOW_LIVE } else { NOW_SAVED };
    let near_lines =
        lines.and_then(|lines| case.since_last(lines.last)).is_some_and(|ago| ago <= limit);
    let at_limit = said!(
        "{} is full ({} of {} entries)",
        "{:#}已满（{} / {} 个条目）",
        case.the_table(i),
        words::count(count),
        words::count(max)
    );
    let (severity, mut summary) = match (full_drops(|c| s.grown(c)), s.rates.drop.as_ref()) {
        (Some(dropped), Ok(rate)) if dropped > 0 && fullness >= near => {
            let evicted = s.grown(Counter::EarlyDrop).unwrap_or(0);
            let drops = said!(
                "{at_limit} and drops {} packets/s",
                "{at_limit:#}，每秒丢 {} 个包",
                words::rate(*rate)
            );
            if evicted >= dropped.saturating_mul(SURVIVABLE) {
                let evictions = s.rates.early_drop.as_ref().map_or(0.0, |r| *r);
                let room = said!(
                    "{drops}, beside {} evictions/s",
                    "{drops:#}，同时每秒淘汰 {} 个条目",
                    words::rate(evictions)
                );
                (
                    Severity::Warning,
                    said!("{room} that make room for the others", "{room:#}，为其他流腾出地方"),
                )
            } else {
                (Severity::Critical, drops)
            }
        }
        // They were a moment ago; now there is room by evictions.
        (Some(0), _) if fullness >= FULL && near_lines && s.grown(Counter::EarlyDrop) > Some(0) => {
            (
                Severity::Warning,
                said!(
                    "{at_limit}; the kernel log reports drops, and now evictions make room",
                    "{at_limit:#}，内核日志说丢过包，现在靠淘汰腾出地方"
                ),
            )
        }
        _ if fullness >= FULL && near_lines => (
            Severity::Critical,
            said!(
                "{at_limit} and the kernel log reports drops",
                "{at_limit:#}，内核日志也说在丢包"
            ),
        ),
        (None, _)
            if fullness >= FULL && unmovable.is_some_and(|u| ratio(u, max) >= ALL_PROTECTED) =>
        {
            let none = said!(
                "{at_limit} of entries that nothing may evict: new flows are lost",
                "{at_limit:#}，而且都不可淘汰：新流进不来"
            );
            (Severity::Critical, none)
        }
        _ => return None,
    };
    if let Some(lines) = lines {
        summary.push(&beginning(case, lines));
    }
    summary.push(&Said::of(".", "。"));
    let draft = Draft::new("CT001", severity, Some(i), summary).explains(1.0);
    let draft = occupancy(case, s, draft);
    let draft = counter_evidence(s, draft);
    Some(match lines {
        Some(lines) => draft.log(case, lines),
        None => draft,
    })
}

/// Count and limit, and the split.
fn occupancy(case: &Case<'_>, s: &Space<'_>, mut draft: Draft) -> Draft {
    if let Some(count) = s.load.count {
        draft =
            draft.count(said!("entries", "条目数"), count.0, "entries", source_of(&s.now.count));
    }
    if let Some(max) = s.load.max {
        let source = match s.now.max.source() {
            Some(source) => source.clone(),
            None => source_of(&case.after.host.global_max),
        };
        draft = draft.count(said!("limit", "上限"), max.0, "entries", source);
    }
    if let Some(unmovable) = case.unmovable(s) {
        draft = draft.count(
            said!("cannot be evicted", "不可淘汰"),
            unmovable,
            "entries",
            source_of(&s.now.census),
        );
    }
    draft
}

/// Rates and sums of `drop` and `early_drop`.
pub(super) fn counter_evidence(s: &Space<'_>, mut draft: Draft) -> Draft {
    let source = source_text(&s.now.counters, "/proc/net/stat/nf_conntrack");
    for (what, rate) in
        [(said!("drops", "丢包"), &s.rates.drop), (said!("evictions", "淘汰"), &s.rates.early_drop)]
    {
        if let Ok(rate) = rate {
            let unit = if what == "drops" { "packets/s" } else { "entries/s" };
            draft = draft.number(what, *rate, unit, source.clone());
        }
    }
    for (what, counter, unit) in [
        (said!("drops since boot", "启动以来丢包"), Counter::Drop, "packets"),
        (said!("evictions since boot", "启动以来淘汰"), Counter::EarlyDrop, "entries"),
    ] {
        if let Some(total) = s.total(counter) {
            draft = draft.count(what, total, unit, source.clone());
        }
    }
    draft
}

/// CT003: at the limit, and new flows live by evicting others.
fn pressure(case: &Case<'_>, i: usize) -> Option<Draft> {
    let s = &case.spaces[i];
    let (count, max) = (s.load.count?.0, s.limit()?);
    let fullness = s.peak_fullness()?;
    let table = case.the_table(i);
    let of = said!("{} of {} entries", "{} / {} 个条目", words::count(count), words::count(max));
    let summary = match (s.grown(Counter::EarlyDrop), s.total(Counter::EarlyDrop)) {
        (Some(evicted), _) if evicted > 0 => {
            let rate = s.rates.early_drop.as_ref().map_or(0.0, |r| *r);
            said!(
                "{table} is at its limit ({of}) and makes room by evicting {} entries/s; no packet \
                 was dropped for it while measured.",
                "{table:#}已到上限（{of:#}），靠每秒淘汰 {} 个条目腾地方；测量期间没有因此丢包。",
                words::rate(rate)
            )
        }
        (None, Some(total)) if total > 0 && fullness >= FULL_AFTER_COLLECTION => said!(
            "{table} is at its limit ({of}), and {} were evicted since boot to make room.",
            "{table:#}已到上限（{of:#}），启动以来为腾地方淘汰了 {:#}。",
            words::many(total, "entry", "entries", "个条目")
        ),
        _ if fullness >= FULL => match untouched(s) {
            Some(when) => said!(
                "{table} is at its limit ({of}): a new flow gets in only by evicting another, though \
                 none was evicted or dropped for it {when}.",
                "{table:#}已到上限（{of:#}）：新流要进来，只能淘汰别的条目，不过{when:#}没有淘汰，也没有因此丢包。"
            ),
            None => said!(
                "{table} is at its limit ({of}): a new flow evicts another entry or is dropped; which \
                 of the two could not be measured.",
                "{table:#}已到上限（{of:#}）：新流要么淘汰别的条目，要么被丢弃；是哪一种，没能测量。"
            ),
        },
        _ => return None,
    };
    let blind = s.grown(Counter::Drop).is_none() && untouched(s).is_none() && !well_sampled(s);
    // Nobody sleeps on over a full table that may be dropping everything.
    let severity = if blind && !evicts(s) { Severity::Critical } else { Severity::Warning };
    let mut draft = Draft::new("CT003", severity, Some(i), summary).explains(1.0);
    draft = counter_evidence(s, occupancy(case, s, draft));
    if let (Some(evictable), Some(buckets)) = (s.load.evictable, case.buckets())
        && well_sampled(s)
    {
        let chance = room_found(case.profile, evictable.0, count, buckets);
        draft = draft.number(
            said!("chance that a new flow finds an entry to evict", "新流找到可淘汰条目的概率"),
            chance,
            "",
            said!(
                "derived from the share of evictable entries and the buckets",
                "由可淘汰条目的比例和桶数推算"
            ),
        );
    }
    Some(draft)
}

/// Whether entries are evicted, as far as the counters tell: over the interval, else since boot.
pub(crate) fn evicts(s: &Space<'_>) -> bool {
    s.grown(Counter::EarlyDrop).or_else(|| s.total(Counter::EarlyDrop)) > Some(0)
}

/// When nothing was evicted or dropped, as far as both counters tell: over the interval, else since boot.
fn untouched(s: &Space<'_>) -> Option<Said> {
    let none = |value: &dyn Fn(Counter) -> Option<u64>| {
        value(Counter::EarlyDrop) == Some(0) && full_drops(value) == Some(0)
    };
    if none(&|c| s.grown(c)) {
        return Some(Said::of("while measured", "测量期间"));
    }
    none(&|c| s.total(c)).then_some(Said::of("since boot", "启动以来"))
}

/// Chance that the walk of an early drop meets an entry that it may take. Each entry hangs in two
/// chains, so a bucket holds 2 × entries / buckets of them.
fn room_found(profile: &Profile, evictable: u64, count: u64, buckets: u64) -> f64 {
    let missed_in = |walked: f64| {
        words::power((1.0 - walked / buckets as f64).max(0.0), evictable.saturating_mul(2))
    };
    1.0 - match profile.early_drop {
        EarlyDrop::OneBucket | EarlyDrop::SameBucket => missed_in(1.0),
        EarlyDrop::EightBuckets => missed_in(8.0),
        EarlyDrop::EightEntries => words::power(1.0 - ratio(evictable, count.max(evictable)), 8),
    }
}

/// Whether the split was read from enough entries.
fn well_sampled(s: &Space<'_>) -> bool {
    s.load.complete || s.load.sampled.is_some_and(|n| n.0 >= SAMPLE)
}

/// CT004: entries that nothing may evict come near the limit.
fn protected(case: &Case<'_>, i: usize) -> Option<Draft> {
    let s = &case.spaces[i];
    let max = s.limit()?;
    let unmovable = case.unmovable(s).filter(|_| well_sampled(s))?;
    let share = ratio(unmovable, max);
    let severity = match share {
        s if s >= PROTECTED_CRITICAL => Severity::Critical,
        s if s >= PROTECTED_WARNING => Severity::Warning,
        _ => return None,
    };
    let closing = if case.profile.collector_evicts || s.load.closing.is_none_or(|n| n.0 == 0) {
        Said::default()
    } else {
        said!(
            " (this kernel cannot evict closing connections either)",
            "（本内核也不能淘汰关闭中的连接）"
        )
    };
    let then = if unmovable < max {
        said!("when the rest is used up, new flows are dropped", "其余的用完，新流就会被丢弃")
    } else {
        said!("new flows are dropped", "新流会被丢弃")
    };
    let summary = said!(
        "{} of {} entries ({} of the limit) cannot be evicted{closing}: {then}.",
        "{} / {} 个条目（占上限的 {:#}）不可淘汰{closing:#}：{then:#}。",
        words::count(unmovable),
        words::count(max),
        words::share(share)
    );
    let summary = if case.spaces.len() > 1 && !s.now.is_initial() {
        said!("{}: {summary}", "{:#}：{summary:#}", s.name)
    } else {
        summary
    };
    let draft = Draft::new("CT004", severity, Some(i), summary).explains(share);
    let draft = draft.clause(said!(
        "{} of the limit are entries that nothing may evict",
        "占上限 {:#} 的条目不可淘汰",
        words::share(share)
    ));
    Some(occupancy(case, s, draft))
}

/// CT005: the limit will be reached soon.
fn filling(case: &Case<'_>, i: usize) -> Option<Draft> {
    let s = &case.spaces[i];
    let forecast = forecast(case, s)?;
    let fullness = s.fullness()?;
    if forecast.seconds > FILLING_WARNING
        || (fullness < FILLING_FROM && forecast.seconds > FILLING_CRITICAL)
    {
        return None;
    }
    let severity = if forecast.sure && forecast.seconds < FILLING_CRITICAL {
        Severity::Critical
    } else {
        Severity::Warning
    };
    let summary = said!(
        "{} will be full in about {} if {} go on growing by {} a second.",
        "如果{2:#}继续每秒增加 {3} 个，{0:#}大约再过 {1:#}就会满。",
        case.the_table(i),
        words::span(forecast.seconds),
        forecast.of,
        words::rate(forecast.growth)
    );
    let mut draft = Draft::new("CT005", severity, Some(i), summary).explains(fullness);
    draft = occupancy(case, s, draft)
        .number(
            said!("growth of {}", "{:#}的增长", forecast.of),
            forecast.growth,
            "entries/s",
            said!("two readings", "读两次"),
        )
        .number(
            said!("time to the limit", "到上限的时间"),
            forecast.seconds,
            "s",
            said!("derived", "推算"),
        );
    if let Ok(new) = s.rates.new {
        draft = draft.number(
            said!("new entries", "新建条目"),
            new,
            "entries/s",
            s.rates.new_source.clone(),
        );
    }
    Some(draft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_ct::PROFILES;

    #[test]
    fn a_tenth_evictable_at_one_to_one_finds_room_four_times_in_five() {
        let modern = PROFILES.iter().find(|p| p.name == "6.18").expect("there is one");
        let chance = room_found(modern, 26_214, 262_144, 262_144);
        assert!((chance - 0.80).abs() < 0.01, "{chance}");
    }

    #[test]
    fn nothing_evictable_finds_no_room() {
        for profile in PROFILES {
            assert!(room_found(profile, 0, 65_536, 16_384).abs() < 1e-9, "{}", profile.name);
        }
    }
}
