//! Too few buckets for so many entries (CT022).
//!
//! Kernel: `__nf_conntrack_confirm()`. Each entry hangs in two chains. Since 5.15 a new entry whose
//! chain is longer than a random bound is refused and its packet lost, with `chaintoolong` and
//! `insert_failed`, without `drop` and without a log line.

use alloc::vec::Vec;

use plimsoll_ct::Counter;

use super::{Draft, source_of, source_text};
use crate::Severity;
use crate::case::Case;
use crate::words;

/// Entries for each bucket at the limit from which on chains come near the bound (2 × 8 in a chain).
pub(super) const PER_BUCKET: u64 = 8;
/// Average chain from which on each packet pays for the walk, on kernels without a bound.
pub(super) const SLOW_CHAIN: f64 = 24.0;

/// Finds chains that are too long.
pub(super) fn find(case: &Case<'_>, found: &mut Vec<Draft>) {
    let mut refusing = false;
    for i in 0..case.spaces.len() {
        let draft = refused(case, i);
        refusing |= draft.is_some();
        found.extend(draft);
    }
    if !refusing {
        found.extend(predicted(case));
    }
}

/// Entries of the fullest table, or of the one table that all share.
fn entries(case: &Case<'_>) -> u64 {
    let counts = case.spaces.iter().filter_map(|s| s.load.count).map(|c| c.0);
    if case.profile.table_per_namespace {
        counts.max().unwrap_or(0)
    } else {
        counts.fold(0, u64::saturating_add)
    }
}

/// Packets were refused.
fn refused(case: &Case<'_>, i: usize) -> Option<Draft> {
    let s = &case.spaces[i];
    let total = s.total(Counter::ChainTooLong)?;
    let grown = s.grown(Counter::ChainTooLong);
    if total == 0 && grown.unwrap_or(0) == 0 {
        return None;
    }
    let (severity, rate) = match (grown, case.seconds()) {
        (Some(by), Some(seconds)) if by > 0 => (Severity::Critical, Some(by as f64 / seconds)),
        // Refused long ago, and since then somebody gave it buckets enough.
        _ if cured(case) && grown.is_some() => (Severity::Info, None),
        _ => (Severity::Warning, None),
    };
    let table = case.the_table(i);
    let since = words::many(total, "packet", "packets", "个包");
    let summary = match rate {
        Some(rate) => said!(
            "{table} refuses {} packets/s since their hash chains are too long ({since} since \
             boot), without a log line.",
            "{table:#}因为哈希链太长，每秒拒绝 {} 个包（启动以来{since:#}），日志里一行也没有。",
            words::rate(rate)
        ),
        None => said!(
            "{table} has refused {since} since boot because their hash chains were too long, \
             without a log line.",
            "{table:#}启动以来因为哈希链太长拒绝了{since:#}，日志里一行也没有。"
        ),
    };
    let mut draft = Draft::new("CT022", severity, Some(i), summary)
        .explains(if rate.is_some() { 0.9 } else { 0.3 })
        .clause(said!("hash chains too long for the bucket count", "桶太少，哈希链太长"))
        .count(
            said!("refused since boot", "启动以来拒绝"),
            total,
            "packets",
            source_text(&s.now.counters, "/proc/net/stat/nf_conntrack"),
        );
    if let Some(rate) = rate {
        draft = draft.number(
            said!("refused", "拒绝"),
            rate,
            "packets/s",
            said!("two readings of the statistics", "统计读两次"),
        );
    }
    if let Some(buckets) = case.buckets() {
        draft = draft
            .count(
                said!("buckets", "桶数"),
                buckets,
                "buckets",
                source_of(&case.after.host.buckets),
            )
            .number(
                said!("average chain", "平均链长"),
                2.0 * entries(case) as f64 / buckets as f64,
                "entries",
                said!("derived: each entry hangs in two chains", "推算：每个条目挂在两条链上"),
            );
    }
    Some(draft)
}

/// Whether there are buckets enough for the limit now.
fn cured(case: &Case<'_>) -> bool {
    let max = case.initial().and_then(|(_, s)| s.limit());
    matches!((case.buckets(), max), (Some(buckets), Some(max)) if max / buckets <= PER_BUCKET)
}

/// Packets will be refused, or every packet pays.
fn predicted(case: &Case<'_>) -> Option<Draft> {
    let buckets = case.buckets()?;
    let max = case.initial().and_then(|(_, s)| s.limit()).or_else(|| case.spaces.first()?.limit());
    let now = 2.0 * entries(case) as f64 / buckets as f64;
    let summary = match (case.profile.chain_limit, max) {
        (Some(bound), Some(max)) if max / buckets > PER_BUCKET => {
            let at_limit = 2.0 * max as f64 / buckets as f64;
            let from = u64::from(bound.least).saturating_mul(buckets) / 2;
            let end = if from < max {
                said!(
                    "from about {} entries on packets are refused (chains over {} to {}), long \
                     before the limit",
                    "大约从 {} 个条目起就有包被拒绝（链长超过 {} 到 {}），远没到上限",
                    words::count(from),
                    bound.least,
                    bound.most
                )
            } else {
                said!("near the limit the longest chains are refused", "接近上限时最长的链会被拒绝")
            };
            said!(
                "{} buckets for a limit of {}: chains of {at_limit:.0} entries on average when full; \
                 {end}.",
                "上限 {1}，却只有 {0} 个桶：表满时每条链平均 {at_limit:.0} 个条目；{end:#}。",
                words::count(buckets),
                words::count(max)
            )
        }
        (None, _) if now > SLOW_CHAIN => said!(
            "{} entries in {} buckets: every lookup walks a chain of {now:.0} entries on average.",
            "{} 个条目放在 {} 个桶里：每次查找平均要走过一条 {now:.0} 个条目的链。",
            words::count(entries(case)),
            words::count(buckets)
        ),
        (Some(_) | None, Some(_) | None) => return None,
    };
    let mut draft = Draft::new("CT022", Severity::Warning, None, summary)
        .explains(0.15)
        .count(said!("buckets", "桶数"), buckets, "buckets", source_of(&case.after.host.buckets))
        .number(
            said!("average chain now", "现在的平均链长"),
            now,
            "entries",
            said!("derived: each entry hangs in two chains", "推算：每个条目挂在两条链上"),
        );
    if let Some(max) = max {
        draft = draft.count(
            said!("limit", "上限"),
            max,
            "entries",
            source_of(&case.after.host.global_max),
        );
    }
    Some(draft)
}
