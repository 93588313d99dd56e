//! The case: everything that findings and remedies look at, derived once from the snapshots.

use alloc::vec::Vec;

use plimsoll_ct::{Counter, Counters, Nanos, Profile, TimeRange};

use crate::Said;
use crate::boot::{self, Boot};
use crate::drops::Attribution;
use crate::facts::{Census, Fact, Gap, Namespace, SeenIn, Snapshot, Tracking};
use crate::groups::{self, ratio};
use crate::load::{self, Scale};
use crate::price::Price;
use crate::rates;
use crate::{Drops, Groups, Load, Rates, drops, words};

/// What is known of one namespace.
pub(crate) struct Space<'a> {
    /// Facts of the reading that is judged.
    pub(crate) now: &'a Namespace,
    /// Facts of the earlier reading.
    pub(crate) then: Option<&'a Namespace>,
    /// Shown name.
    pub(crate) name: Said,
    /// Load line.
    pub(crate) load: Load,
    /// Rates.
    pub(crate) rates: Rates,
    /// Growth of the counters over the interval.
    pub(crate) growth: Result<Counters, Gap>,
    /// Sums of the counters since boot.
    pub(crate) totals: Option<Counters>,
    /// Who fills it.
    pub(crate) groups: Groups,
}

impl<'a> Space<'a> {
    /// Count as a share of the limit, where there is a limit.
    pub(crate) fn fullness(&self) -> Option<f64> {
        let (count, max) = (self.load.count?.0, self.load.max?.0);
        (max > 0).then(|| ratio(count, max))
    }

    /// The higher fullness of the two readings: a table that drops swings just under its limit.
    pub(crate) fn peak_fullness(&self) -> Option<f64> {
        let now = self.fullness()?;
        let then = self.then.and_then(|n| n.count.get()).map_or(0, |c| c.0);
        Some(now.max(ratio(then, self.load.max?.0)))
    }

    /// The limit, where there is one.
    pub(crate) fn limit(&self) -> Option<u64> {
        self.load.max.map(|m| m.0).filter(|m| *m > 0)
    }

    /// Growth of one counter over the interval.
    pub(crate) fn grown(&self, counter: Counter) -> Option<u64> {
        self.growth.as_ref().ok()?.get(counter)
    }

    /// Sum of one counter since boot.
    pub(crate) fn total(&self, counter: Counter) -> Option<u64> {
        self.totals.as_ref()?.get(counter)
    }

    /// The census and how its numbers scale to the whole table.
    pub(crate) fn census(&self) -> Option<(&'a Census, Scale)> {
        let census = self.now.census.value()?;
        Some((census, Scale::of(census, self.load.count)?))
    }

    /// Whether packets are tracked here, as far as it is known.
    pub(crate) fn tracks(&self) -> bool {
        match self.now.tracking.value() {
            Some(Tracking::On { .. }) => true,
            // Entries stay and age out after the last rule is gone; those still take memory.
            Some(Tracking::Off { .. }) | None => self.load.count.is_some_and(|c| c.0 > 0),
        }
    }

    /// Whether nothing tells if packets are tracked here: its rules were not read, and it has no entries.
    fn may_track(&self) -> bool {
        self.now.tracking.value().is_none() && !self.tracks()
    }
}

/// Everything that findings and remedies look at.
pub(crate) struct Case<'a> {
    /// The reading that is judged.
    pub(crate) after: &'a Snapshot,
    /// An earlier reading of the same boot, a known span before.
    pub(crate) before: Option<&'a Snapshot>,
    /// That span.
    pub(crate) interval: Option<Nanos>,
    /// The kernel generation.
    pub(crate) profile: &'a Profile,
    /// Namespaces in the order of the result.
    pub(crate) spaces: Vec<Space<'a>>,
    /// Drops over the whole host.
    pub(crate) drops: Drops,
    /// Which namespace the log lines speak of.
    pub(crate) attribution: Attribution,
    /// All "table full" lines that concern the namespaces asked for.
    full: Option<SeenIn>,
    /// Whether only chosen namespaces were asked for.
    pub(crate) chosen: bool,
    /// Memory.
    pub(crate) price: Price,
    /// The next boot, where the files that take part were read.
    pub(crate) boot: Fact<Boot>,
}

impl<'a> Case<'a> {
    /// Derives everything.
    pub(crate) fn new(before: Option<&'a Snapshot>, after: &'a Snapshot) -> Self {
        let profile = &after.host.profile;
        let interval = before.and_then(|b| rates::interval(b, after));
        let before = before.filter(|_| interval.is_some());
        let mut spaces: Vec<Space<'a>> = after
            .namespaces
            .iter()
            .map(|now| {
                let then = before.and_then(|b| same_namespace(b, now));
                let measured = rates::measure(after.host.origin, profile, interval, then, now);
                let load = load::load(&after.host, now);
                Space {
                    now,
                    then,
                    name: load::name(now),
                    load,
                    rates: measured.rates,
                    growth: measured.growth,
                    totals: now.counters.value().map(|c| c.sum()),
                    groups: now
                        .census
                        .value()
                        .map_or_else(Groups::default, |c| groups::groups(c, load.count)),
                }
            })
            .collect();
        // The initial one first, then by fullness; equals keep the order in which they were read.
        spaces.sort_by(|a, b| {
            let full = |s: &Space<'_>| s.fullness().unwrap_or(-1.0);
            b.now.is_initial().cmp(&a.now.is_initial()).then(full(b).total_cmp(&full(a)))
        });
        let tracking = spaces.iter().filter(|s| s.tracks()).count() as u64;
        let attribution = Attribution::of(after, profile, &spaces);
        let chosen = drops::chosen(after);
        let seen = after.log.value().and_then(|l| l.table_full.as_ref());
        let full = if chosen { attribution.read() } else { seen.map(SeenIn::of_all) };
        let full = full.filter(|lines| lines.lines > 0);
        Self {
            after,
            before,
            interval,
            profile,
            drops: drops::drops(after, &spaces, full.as_ref()),
            attribution,
            full,
            chosen,
            price: Price::of(after, tracking),
            boot: boot::foretold(after),
            spaces,
        }
    }

    /// Namespaces of which it is not known whether they track.
    pub(crate) fn may_track(&self) -> u64 {
        self.spaces.iter().filter(|s| s.may_track()).count() as u64
    }

    /// What the price leaves out: tables of namespaces that may track, at this limit.
    pub(crate) fn not_priced(&self, max: u64) -> Option<Said> {
        let unknown = self.may_track();
        let each = self.price.full(max);
        (unknown > 0 && !self.profile.global_count).then(|| {
            said!(
                "{} may track (rules not read): up to {} each.",
                "另有 {:#}也许启用跟踪（没有读到规则）：每个最多再占 {}。",
                words::many(unknown, "more namespace", "more namespaces", "个命名空间"),
                words::bytes(each)
            )
        })
    }

    /// The span in seconds.
    pub(crate) fn seconds(&self) -> Option<f64> {
        self.interval.map(Nanos::as_secs_f64)
    }

    /// The initial namespace.
    pub(crate) fn initial(&self) -> Option<(usize, &Space<'a>)> {
        self.spaces.iter().enumerate().find(|(_, s)| s.now.is_initial())
    }

    /// Lines "table full" that concern the namespaces asked for, if the log holds any.
    pub(crate) const fn full_lines(&self) -> Option<&SeenIn> {
        self.full.as_ref()
    }

    /// Seconds between the latest of some lines and the reading; never negative.
    pub(crate) fn since_last(&self, last: Option<TimeRange>) -> Option<f64> {
        Some(self.ago(last?.latest))
    }

    /// Whether the last of some lines was written within so many seconds before the reading. A line
    /// without a time counts.
    pub(crate) fn within(&self, last: Option<TimeRange>, seconds: f64) -> bool {
        self.since_last(last).is_none_or(|ago| ago <= seconds)
    }

    /// Seconds between a point in time and the reading; never negative.
    pub(crate) fn ago(&self, time: plimsoll_ct::Time) -> f64 {
        (self.after.at.0 as f64 - time.0 as f64).max(0.0) / 1e9
    }

    /// Buckets that one namespace's entries are spread over.
    pub(crate) fn buckets(&self) -> Option<u64> {
        self.after.host.buckets.get().filter(|b| *b > 0)
    }

    /// What stands at the head of a sentence about a namespace's table.
    pub(crate) fn the_table(&self, index: usize) -> Said {
        match self.spaces.get(index) {
            Some(s) if self.spaces.len() > 1 && !s.now.is_initial() => {
                said!("The table of {}", "{:#} 的表", s.name)
            }
            Some(_) | None => said!("The table", "表"),
        }
    }

    /// Entries that nothing may evict, in effect of this kernel.
    pub(crate) fn unmovable(&self, space: &Space<'_>) -> Option<u64> {
        load::unmovable(self.profile, &space.load)
    }

    /// Whether all tables that the log calls full, beside those that were read, have ended. Neither what one of them held
    /// nor the limit it was held to can be seen any more, so it says nothing of what is needed now.
    pub(crate) fn ended(&self) -> bool {
        let complete = self.after.namespaces_complete.value().is_some();
        let gone = &self.attribution.gone;
        let ended = |row: &SeenIn| row.inode.is_some() && (row.earlier_boot || complete);
        self.attribution.unknown.is_none() && !gone.is_empty() && gone.iter().all(ended)
    }

    /// Whether a finding asks for a higher limit, if it is about this namespace (`None`: the whole host).
    pub(crate) fn asks(&self, id: &str, namespace: Option<usize>) -> bool {
        id != "CT002" || namespace.is_some() || !self.ended()
    }

    /// Whether the log proves that some table that may still be there was full within so many seconds before the reading.
    pub(crate) fn was_full_within(&self, seconds: f64) -> bool {
        let lines = if self.ended() { self.attribution.read() } else { self.full.clone() };
        lines.is_some_and(|lines| self.within(lines.last, seconds))
    }
}

/// The same namespace in another reading: by inode; without one only the initial one is known for sure.
fn same_namespace<'a>(snapshot: &'a Snapshot, namespace: &Namespace) -> Option<&'a Namespace> {
    if let Some(inode) = namespace.inode {
        return snapshot.namespaces.iter().find(|n| n.inode == Some(inode));
    }
    if namespace.is_initial() {
        return snapshot.namespaces.iter().find(|n| n.is_initial());
    }
    None
}
