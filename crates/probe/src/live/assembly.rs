//! The two readings of each namespace, put together; the tables read into them.

use std::time::{Duration, Instant};

use plimsoll_diagnosis::facts::{Census, Fact, Namespace, Reason, TableSample, TcpTimeouts};
use plimsoll_diagnosis::said;
use plimsoll_wire::ruleset::Ruleset;

use super::budget::{Purse, order};
use super::discover::Found;
use super::enter::{self, Visit};
use super::filters::Filter;
use super::namespace::{self, Light, Static};
use super::walk::{Table, Walk};
use super::{Chosen, calls};
use crate::table::Budget;

/// The two readings of each namespace being put together.
pub(super) struct Assembly {
    parts: Vec<(Found, Namespace, Namespace)>,
    /// For each part its place in the list that was asked.
    places: Vec<usize>,
}

impl Assembly {
    pub(super) fn new(
        chosen: Vec<Chosen>,
        first: Vec<Visit<Light>>,
        second: Vec<Visit<Light>>,
        statics: Vec<Visit<Static>>,
        rules: Vec<Filter>,
    ) -> Self {
        let mut parts = Vec::new();
        let mut places = Vec::new();
        let lists = chosen.into_iter().zip(first).zip(second).zip(statics).zip(rules);
        for (place, ((((chosen, first), second), statics), filter)) in lists.enumerate() {
            let Chosen { found, owners } = chosen;
            let light = |visit: Visit<Light>| match visit {
                Visit::Read(light) => Some(light.namespace(found.inode, owners.clone())),
                Visit::Refused(gap) => Some(namespace::unread(found.inode, owners.clone(), &gap)),
                Visit::Gone => None,
            };
            // What ended meanwhile has no rates: it is left out of both.
            let (Some(mut before), Some(mut after)) = (light(first), light(second)) else {
                continue;
            };
            if let Visit::Read(statics) = statics {
                before.max = statics.max.clone();
                after.max = statics.max;
                after.expect_max = statics.expect_max;
                after.expectations = statics.expectations;
                after.settings = statics.settings;
            }
            after.rules = filter.rules;
            after.rules_whole = filter.whole;
            after.tracking = filter.tracking;
            parts.push((found, before, after));
            places.push(place);
        }
        Self { parts, places }
    }

    /// Where rules were read twice, the first reading is that of the beginning.
    pub(super) fn rules_again(&mut self, again: Vec<(usize, Fact<Ruleset>)>) {
        for (place, rules) in again {
            let Some(part) = self.places.iter().position(|p| *p == place) else { continue };
            let (_, before, after) = &mut self.parts[part];
            before.rules = std::mem::replace(&mut after.rules, rules);
        }
    }

    /// Reads the tables that are not empty, as long as the budget lasts: in one walk, where there is one.
    pub(super) fn censuses(
        &mut self,
        budget: Duration,
        mut samples: Vec<Option<TableSample>>,
        walk: Option<Walk>,
    ) {
        let counts: Vec<Option<u64>> =
            self.parts.iter().map(|(_, _, after)| after.count.get().map(|c| c.0)).collect();
        let order = order(&counts);
        let walked = walk.and_then(|walk| self.walked(walk, budget, &order, &mut samples));
        let read = walked.unwrap_or_else(|| self.each(budget, &order, samples));
        for (_, _, after) in &mut self.parts {
            // Of those that are not read, all with a count are empty: nothing is left to see.
            after.census = match &after.count {
                Fact::Known { source, .. } => Fact::known(calls::empty_census(), source.clone()),
                Fact::Missing(gap) => Fact::Missing(gap.clone()),
            };
        }
        for ((index, _), visit) in order.into_iter().zip(read) {
            self.parts[index].2.census = match visit {
                Visit::Read(census) => census,
                Visit::Refused(gap) => Fact::Missing(gap),
                Visit::Gone => Fact::missing(
                    Reason::Failed,
                    said!("the namespace is gone", "命名空间已经不在"),
                ),
            };
        }
    }

    /// All in one walk. `None`: there is no census to be had.
    fn walked(
        &self,
        mut walk: Walk,
        budget: Duration,
        order: &[(usize, u64)],
        samples: &mut [Option<TableSample>],
    ) -> Option<Vec<Visit<Fact<Census>>>> {
        let offload = super::offload();
        let tables = order.iter().map(|(index, _)| {
            let (found, _, after) = &self.parts[*index];
            let previous = samples[self.places[*index]].take();
            Some(Table { inode: found.inode?, timeouts: TcpTimeouts::of(after, offload), previous })
        });
        let censuses = walk.censuses(Budget::of(budget), tables.collect::<Option<_>>()?)?;
        Some(censuses.into_iter().map(Visit::Read).collect())
    }

    /// One after another, the fullest first.
    fn each(
        &self,
        budget: Duration,
        order: &[(usize, u64)],
        mut samples: Vec<Option<TableSample>>,
    ) -> Vec<Visit<Fact<Census>>> {
        let known: Vec<u64> = order.iter().map(|(_, count)| *count).collect();
        let all = known.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
        let mut purse = Purse::new(budget, &known);
        let offload = super::offload();
        let ordered: Vec<&Found> = order.iter().map(|(index, _)| &self.parts[*index].0).collect();
        enter::each(&ordered, |here, place| {
            if let Some(gap) = &here.outside {
                return Fact::Missing(gap.clone());
            }
            let (index, count) = order[place];
            let Some(share) = purse.share(count) else {
                return Fact::missing(
                    Reason::NotAsked,
                    said!("the time for reading tables was used up", "读表的时间用完了"),
                );
            };
            let previous = samples[self.places[index]].take();
            let start = Instant::now();
            let first = calls::reader(count, all);
            let timeouts = TcpTimeouts::of(&self.parts[index].2, offload);
            let census = calls::census(timeouts, previous, first, share);
            let measured = census.value().and_then(|c| c.kernel_time);
            let wall = start.elapsed();
            let kernel = measured.map_or(wall, |t| Duration::from_nanos(t.0));
            purse.spend(Budget { kernel, wall });
            census
        })
    }

    pub(super) fn finish(self) -> (Vec<Namespace>, Vec<Namespace>) {
        self.parts.into_iter().map(|(_, before, after)| (before, after)).unzip()
    }
}
