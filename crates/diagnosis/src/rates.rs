//! Two readings of one namespace, to rates.
//!
//! A counter of conntrack is 32 bits wide on each CPU and wraps there, so growth is taken CPU by CPU.
//! A counter that went backwards (the module was loaded anew) gives no rate: missing, not zero.

use plimsoll_ct::{Counter, CounterSource, Counters, CpuCounters, Nanos, Profile, grown};

use crate::Said;
use crate::facts::{Fact, Gap, Namespace, Origin, Reason, Snapshot};
use crate::words;
use crate::{Rate, Rates};

/// A growth of more than this on one CPU within one interval is not growth: the counter was reset. Even
/// at ten million packets a second a CPU takes over three minutes to count so far.
const BACKWARDS: u64 = 1 << 31;

/// The span between two readings, if the later one is of the same boot and later.
pub(crate) fn interval(before: &Snapshot, after: &Snapshot) -> Option<Nanos> {
    if let (Some(then), Some(now)) = (before.host.uptime.get(), after.host.uptime.get())
        && now < then
    {
        return None;
    }
    let span = after.monotonic?.0.checked_sub(before.monotonic?.0)?;
    (span > 0).then_some(Nanos(span))
}

/// Growth of each counter between two readings; absent where it cannot be told.
pub(crate) fn growth(before: &CpuCounters, after: &CpuCounters) -> Result<Counters, Gap> {
    if before.rows.len() != after.rows.len() {
        return Err(gap(
            Reason::Failed,
            said!(
                "the number of CPUs changed between the two readings of the statistics",
                "两次读取统计之间 CPU 数变了"
            ),
        ));
    }
    let mut growth = Counters::new();
    for &counter in Counter::ALL {
        let mut sum = None;
        for (then, now) in before.rows.iter().zip(&after.rows) {
            let (Some(then), Some(now)) = (then.get(counter), now.get(counter)) else {
                sum = None;
                break;
            };
            let by = grown(then as u32, now as u32);
            if by > BACKWARDS {
                sum = None;
                break;
            }
            sum = Some(sum.unwrap_or(0) + by);
        }
        if let Some(sum) = sum {
            growth.set(counter, sum);
        }
    }
    Ok(growth)
}

/// A gap without a remedy.
fn gap(reason: Reason, detail: impl Into<Said>) -> Gap {
    Gap { reason, detail: detail.into(), needs: None }
}

/// What two readings of one namespace give.
pub(crate) struct Measured {
    /// Rates.
    pub(crate) rates: Rates,
    /// Growth of the counters over the interval.
    pub(crate) growth: Result<Counters, Gap>,
}

/// Rates of one namespace.
pub(crate) fn measure(
    origin: Origin,
    profile: &Profile,
    interval: Option<Nanos>,
    before: Option<&Namespace>,
    after: &Namespace,
) -> Measured {
    let growth = counter_growth(origin, interval, before, after);
    let seconds = interval.map_or(0.0, Nanos::as_secs_f64);
    let per_second = |counter: Counter| -> Rate {
        let growth = growth.as_ref().map_err(Gap::clone)?;
        growth.get(counter).map(|by| by as f64 / seconds).ok_or_else(|| {
            gap(
                Reason::TooOld,
                said!(
                    "counter {} is absent or was reset between the readings",
                    "计数器 {} 不存在，或者在两次读取之间被清零",
                    counter.name()
                ),
            )
        })
    };
    let change = count_change(origin, interval, before, after);
    let change_rate = change.as_ref().map(|by| by / seconds).map_err(Gap::clone);
    let early_drop = per_second(Counter::EarlyDrop);

    let churn = churn_rates(after);
    let counted = counts_creation(profile, after);
    let (new, new_source, expired);
    if counted && let (Ok(made), Ok(gone)) = (per_second(Counter::New), per_second(Counter::Delete))
    {
        new = Ok(made);
        new_source = said!(
            "counted by the kernel (columns new and delete of the statistics)",
            "由内核计数（统计的 new 和 delete 列）"
        );
        expired = Ok(gone);
    } else if let Some(churn) = churn {
        new = Ok(churn.appeared);
        new_source = said!(
            "two readings of {} of the table, {:.1} s apart (entries that came and went \
             between them are not seen)",
            "表里的 {:#}读两次，相隔 {:.1} 秒（其间来了又走的条目看不到）",
            words::many(churn.compared, "entry", "entries", "个条目"),
            churn.seconds
        );
        expired = Ok(churn.vanished);
    } else if empty(after) && before.is_some_and(empty) {
        new = Ok(0.0);
        new_source = said!(
            "the table was empty at both readings (entries that came and went between them \
                      are not seen)",
            "两次读取时表都是空的（其间来了又走的条目看不到）"
        );
        expired = Ok(0.0);
    } else if let Ok(grew) = change_rate
        && grew + early_drop.as_ref().copied().unwrap_or(0.0) > 0.0
        && grew >= 0.0
    {
        new = Ok(grew + early_drop.as_ref().copied().unwrap_or(0.0));
        new_source = said!(
            "at least: growth of the count plus evictions (this kernel counts no new \
                      entries, and the table was not read twice)",
            "至少：条目数的增长加上淘汰（本内核不计新建条目，表也没有读两次）"
        );
        expired = Err(gap(Reason::NotAsked, said!("the table was not read twice", "表没有读两次")));
    } else {
        let why = match (&change_rate, counted) {
            (Err(gap), _) => gap.clone(),
            (Ok(_), true) => gap(
                Reason::Failed,
                said!("the counters were reset between the readings", "两次读取之间计数器被清零"),
            ),
            (Ok(_), false) => gap(
                Reason::NotAsked,
                said!(
                    "this kernel counts no new entries, and the table was not read twice",
                    "本内核不计新建条目，表也没有读两次"
                ),
            ),
        };
        new = Err(why.clone());
        new_source = Said::default();
        expired = Err(why);
    }
    let rates = Rates {
        new,
        new_source,
        expired,
        drop: per_second(Counter::Drop),
        early_drop,
        insert_failed: per_second(Counter::InsertFailed),
        invalid: per_second(Counter::Invalid),
        growth: change_rate,
    };
    Measured { rates, growth }
}

/// Why two readings are needed, or that one of them lacks the fact.
fn no_interval(origin: Origin) -> Gap {
    match origin {
        Origin::Live => gap(
            Reason::NotAsked,
            said!("rates need two readings; only one was made", "速率需要读两次；只读了一次"),
        ),
        Origin::Tree | Origin::Bundle => gap(
            Reason::NotCollected,
            said!(
                "a saved host was read once, and rates need two readings",
                "保存下来的主机只读一次，而速率需要读两次"
            ),
        ),
    }
}

/// The growth of the counters, or the first reason why it cannot be told.
fn counter_growth(
    origin: Origin,
    interval: Option<Nanos>,
    before: Option<&Namespace>,
    after: &Namespace,
) -> Result<Counters, Gap> {
    let now = known(&after.counters)?;
    if interval.is_none() {
        return Err(no_interval(origin));
    }
    let Some(before) = before else {
        return Err(gap(
            Reason::NotAsked,
            said!(
                "the namespace was not there at the first reading",
                "第一次读取时还没有这个命名空间"
            ),
        ));
    };
    growth(known(&before.counters)?, now)
}

/// The value, or its gap.
fn known<T>(fact: &Fact<T>) -> Result<&T, Gap> {
    match fact {
        Fact::Known { value, .. } => Ok(value),
        Fact::Missing(gap) => Err(gap.clone()),
    }
}

/// By how many entries the count changed.
fn count_change(
    origin: Origin,
    interval: Option<Nanos>,
    before: Option<&Namespace>,
    after: &Namespace,
) -> Result<f64, Gap> {
    let now = known(&after.count)?;
    if interval.is_none() {
        return Err(no_interval(origin));
    }
    let Some(before) = before else {
        return Err(gap(
            Reason::NotAsked,
            said!(
                "the namespace was not there at the first reading",
                "第一次读取时还没有这个命名空间"
            ),
        ));
    };
    Ok(now.0 as f64 - known(&before.count)?.0 as f64)
}

/// Whether this kernel counts entries as they are made. Since 4.9 the columns stand there and stay zero.
/// A count above zero proves it; a zero total beside entries disproves it, whatever the release says.
fn counts_creation(profile: &Profile, namespace: &Namespace) -> bool {
    let Some(total) = namespace.counters.value().and_then(|c| c.sum().get(Counter::New)) else {
        return false;
    };
    let entries = namespace.count.get().map_or(0, |c| c.0);
    total > 0 || (profile.creation == CounterSource::Counted && entries == 0)
}

/// Entries that came and went per second, over the whole table.
struct ChurnRates {
    appeared: f64,
    vanished: f64,
    compared: u64,
    seconds: f64,
}

/// From two readings of a part of the table, scaled to the whole of it.
fn churn_rates(namespace: &Namespace) -> Option<ChurnRates> {
    let census = namespace.census.value()?;
    let churn = census.churn?;
    let seconds = churn.interval.as_secs_f64();
    if seconds <= 0.0 {
        return None;
    }
    let whole = if census.complete { census.seen } else { namespace.count.get()?.0 };
    let scale = if churn.compared == 0 {
        // Nothing was there at the second reading: what vanished is the whole of the part read.
        if census.complete { 1.0 } else { return None }
    } else {
        (whole as f64 / churn.compared as f64).max(1.0)
    };
    Some(ChurnRates {
        appeared: churn.appeared as f64 * scale / seconds,
        vanished: churn.vanished as f64 * scale / seconds,
        compared: churn.compared,
        seconds,
    })
}

/// Whether the count is known to be 0.
fn empty(namespace: &Namespace) -> bool {
    namespace.count.get().is_some_and(|count| count.0 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn row(counter: Counter, value: u32) -> Counters {
        let mut c = Counters::new();
        c.set(counter, u64::from(value));
        c
    }

    #[test]
    fn growth_crosses_a_wrap_on_one_cpu() {
        let before =
            CpuCounters { rows: vec![row(Counter::Drop, u32::MAX - 4), row(Counter::Drop, 10)] };
        let after = CpuCounters { rows: vec![row(Counter::Drop, 5), row(Counter::Drop, 10)] };
        assert_eq!(growth(&before, &after).expect("same CPUs").get(Counter::Drop), Some(10));
    }

    #[test]
    fn a_counter_that_went_backwards_has_no_growth() {
        let before = CpuCounters { rows: vec![row(Counter::Drop, 500)] };
        let after = CpuCounters { rows: vec![row(Counter::Drop, 3)] };
        assert_eq!(growth(&before, &after).expect("same CPUs").get(Counter::Drop), None);
    }

    #[test]
    fn another_number_of_cpus_has_no_growth_and_says_so() {
        let one = CpuCounters { rows: vec![row(Counter::Drop, 1)] };
        let none = CpuCounters { rows: vec![] };
        assert!(growth(&one, &none).is_err_and(|g| g.detail.contains("CPUs")));
    }
}
