//! Tables that several settings share.
//!
//! Settings that differ in their limit alone make the same of all packets until a packet comes when the table
//! holds as many entries as the lowest of the limits. Until then they share one table; there it parts with a copy.

use alloc::vec::Vec;

use plimsoll_ct::Time;
use plimsoll_model::{Arrival, Config, Model, Step};

use crate::outcome::Peaks;
use crate::timeline::Timeline;

/// A table, and what was noted of it.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) model: Model,
    pub(crate) peaks: Peaks,
    pub(crate) timeline: Timeline,
    /// Who shares it: from the lowest limit, which is the model's, to the highest.
    sharers: Vec<Sharer>,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
struct Sharer {
    /// Its number.
    run: usize,
    /// As it is set: 0 may mean none.
    max: u64,
    /// Entries at which it may matter.
    limit: u64,
}

/// The tables of so many settings, by the number of each.
pub(crate) fn tables(configs: impl IntoIterator<Item = Config>) -> Vec<Shared> {
    let mut groups: Vec<(Config, Vec<Sharer>)> = Vec::new();
    for (run, config) in configs.into_iter().enumerate() {
        let max = config.settings.max;
        let unlimited = max == 0 && config.profile.zero_is_unlimited;
        let sharer = Sharer { run, max, limit: if unlimited { u64::MAX } else { max } };
        match groups.iter_mut().find(|(other, _)| differ_in_limit_alone(other, &config)) {
            Some((_, sharers)) => sharers.push(sharer),
            None => groups.push((config, Vec::from([sharer]))),
        }
    }
    let table = |(mut config, mut sharers): (Config, Vec<Sharer>)| {
        sharers.sort_by_key(|sharer| sharer.limit);
        // Laid out for the highest, since it is that one's in the end.
        config.settings.max = sharers.last().map_or(0, |sharer| sharer.max);
        let mut table = Shared {
            model: Model::new(config),
            peaks: Peaks::default(),
            timeline: Timeline::default(),
            sharers,
        };
        table.set_limit();
        table
    };
    groups.into_iter().map(table).collect()
}

fn differ_in_limit_alone(a: &Config, b: &Config) -> bool {
    let mut settings = b.settings.clone();
    settings.max = a.settings.max;
    core::ptr::eq(a.profile, b.profile)
        && a.settings == settings
        && (a.hash_key, a.collector_phase, a.netns) == (b.hash_key, b.collector_phase, b.netns)
}

impl Shared {
    /// Whether a setting has its entries here.
    pub(crate) fn is_of(&self, run: usize) -> bool {
        self.sharers.iter().any(|sharer| sharer.run == run)
    }

    /// A setting's limit, if its entries are here.
    pub(crate) fn max(&self, run: usize) -> Option<u64> {
        self.sharers.iter().find(|sharer| sharer.run == run).map(|sharer| sharer.max)
    }

    /// Takes a sample.
    pub(crate) fn sample(&mut self, now: Time) {
        let Peaks { lost, evicted, .. } = self.peaks;
        self.timeline.add(now, self.model.occupancy(), lost, evicted);
    }

    fn set_limit(&mut self) {
        if let Some(&Sharer { max, .. }) = self.sharers.first() {
            self.model.change(|settings| settings.max = max);
        }
    }

    /// The entries at which the lowest limit parts with the others, if there are any.
    fn parting(&self) -> Option<u64> {
        let (lowest, highest) = (self.sharers.first()?.limit, self.sharers.last()?.limit);
        (lowest < highest).then_some(lowest)
    }

    /// Leads packets through the table: all, or so many until those with a higher limit leave it with the copy.
    pub(crate) fn pass<'a>(
        &mut self,
        arrivals: &[Arrival<'a>],
        mut each: impl FnMut(&Model, &Arrival<'a>, &Step, &Peaks),
    ) -> (usize, Option<Self>) {
        let mut seen = 0;
        while seen < arrivals.len() {
            let rest = arrivals.len() - seen;
            let at_once = match self.parting().map(|limit| (limit, self.model.counted() as u64)) {
                Some((limit, counted)) if counted >= limit => {
                    return (seen, Some(self.part(limit)));
                }
                // Near the limit each may be the one.
                Some((limit, counted)) if counted + rest as u64 > limit => 1,
                Some(_) | None => rest,
            };
            let peaks = &mut self.peaks;
            self.model.batch(&arrivals[seen..seen + at_once], |model, arrival, step| {
                each(model, arrival, &step, peaks);
                peaks.note(arrival.at, &arrival.packet, &step, model);
            });
            seen += at_once;
        }
        (seen, None)
    }

    /// Takes those with a higher limit out, into a copy.
    fn part(&mut self, limit: u64) -> Self {
        let higher = self.sharers.partition_point(|sharer| sharer.limit <= limit);
        let sharers = self.sharers.split_off(higher);
        let mut copy = Self { sharers, ..self.clone() };
        copy.set_limit();
        copy
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::string::ToString;

    use plimsoll_ct::{Bytes, Entry, Profile};
    use plimsoll_model::{Settings, Treatment};
    use plimsoll_wire::capture::Record;

    use super::*;
    use crate::{Outcome, Replay, Synthetic, Workload};

    /// What it comes to with so many packets at once: outcome, entries in the end, and timeline of each.
    fn fed(configs: Vec<Config>, at_once: usize) -> Vec<(Outcome, Vec<Entry>, Timeline)> {
        let workload = Workload { rate: 20.0, span: 20.0, ..Workload::default() };
        let mut synthetic = Synthetic::new(workload);
        let mut kept = Vec::new();
        while let Some(Record { bytes, time, link, length }) = synthetic.next_record() {
            kept.push((bytes.to_vec(), time, link, length));
        }
        let configs = configs.into_iter().map(|c| (c.settings.max.to_string(), c));
        let mut replay = Replay::new(configs, Treatment::default());
        replay.sample();
        let records: Vec<_> = kept
            .iter()
            .map(|(bytes, time, link, length)| Record {
                time: *time,
                link: *link,
                bytes,
                length: *length,
            })
            .collect();
        records.chunks(at_once).for_each(|records| replay.feed(records));
        replay.finish();
        let of =
            |run: crate::Run<'_>| (Outcome::of(&run), run.model.snapshot(), run.timeline.clone());
        replay.runs().into_iter().map(of).collect()
    }

    #[test]
    fn settings_that_share_a_table_come_to_what_each_comes_to_alone() {
        // One for each way of collecting.
        for name in ["2.6.18", "4.9", "5.14", "6.18"] {
            let profile = Profile::named(name).expect("a known profile");
            let of = |max: u64| {
                let mut settings = Settings::of(profile, Bytes(1 << 30));
                (settings.max, settings.buckets) = (max, 64);
                Config::new(profile, settings)
            };
            let limits = [120, 7, 100_000, 0, 200, 120, 199];
            let together = fed(limits.map(of).to_vec(), 1000);
            let peaks: BTreeSet<u64> =
                together.iter().map(|(outcome, _, _)| outcome.peak).collect();
            assert!(peaks.len() >= 5, "the limits made too little of a difference: {peaks:?}");
            for (max, shared) in limits.iter().zip(&together) {
                let alone = fed(Vec::from([of(*max)]), 1);
                assert!(alone[0] == *shared, "{name} with {max}");
            }
        }
    }
}
