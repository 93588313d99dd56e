//! What helpers expect: connections that will come, each known by all but the source's port.
//!
//! Kernel: nf_conntrack_expect.c: `nf_ct_expect_related_report()`, `nf_ct_find_expectation()`,
//! `nf_ct_remove_expectations()`, v6.18. Not modelled: permanent and inactive expectations, flags.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_ct::{Counter, L4, Protocol, Tuple, Zone};
use plimsoll_wire::listing::Expected;

use super::Helper;
use crate::key::Key;
use crate::model::Model;
use crate::table::EntryId;

/// A connection that is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expectation {
    /// Number of its protocol.
    pub protocol: u8,
    /// Zone of who expects it. What it is met by needs the same number, for whichever direction.
    pub zone: Zone,
    /// Source address.
    pub source: IpAddr,
    /// Source port (GRE: key), if it matters.
    pub source_port: Option<u16>,
    /// Destination address.
    pub destination: IpAddr,
    /// Destination port (GRE: key).
    pub destination_port: u16,
    /// Who expects it.
    pub helper: Helper,
    /// Where that was read: the original tuple of the entry.
    pub master: Tuple,
    /// Tick at which it has waited long enough.
    pub(crate) expires: u64,
    /// Tick at which its timer rings, and it is given up; the same where it has none.
    pub(crate) rings: u64,
    pub(crate) by: EntryId,
}

impl Expectation {
    /// As a tuple; a source port that does not matter is 0.
    pub fn tuple(&self) -> Tuple {
        let (source, destination) = (self.source_port.unwrap_or(0), self.destination_port);
        let protocol = Protocol::from_number(self.protocol);
        let l4 = match protocol {
            Protocol::Gre => L4::Gre { source, destination },
            _ => L4::Ports { source, destination },
        };
        Tuple { source: self.source, destination: self.destination, protocol, l4 }
    }

    /// As a listing shows it that waits so many seconds longer.
    pub fn shown(&self, left: i64) -> Expected<'static> {
        let (tuple, source_port) = (self.tuple(), self.source_port.is_some());
        Expected { left, tuple, source_port, master: self.master, helper: self.helper.name() }
    }

    /// Where the kernel's hash would put it: it is looked for by what is certain.
    const fn place(&self) -> Place {
        (self.protocol, self.zone.id, self.destination, self.destination_port)
    }

    /// Whether one connection could be meant by both.
    fn clashes(&self, other: &Self) -> bool {
        let same_port = match (self.source_port, other.source_port) {
            (Some(a), Some(b)) => a == b,
            (None, _) | (_, None) => true,
        };
        self.place() == other.place() && self.source == other.source && same_port
    }

    fn is_the_same(&self, other: &Self) -> bool {
        self.clashes(other) && self.source_port == other.source_port && self.by == other.by
    }
}

type Place = (u8, u16, IpAddr, u16);

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expectations {
    /// By number: the oldest first.
    all: BTreeMap<u64, Expectation>,
    next: u64,
    at: BTreeMap<Place, Vec<u64>>,
    by: BTreeMap<EntryId, Vec<u64>>,
    /// Given away, but still in the way: see [`Behaviour::expectations_linger`](crate::Behaviour).
    lingering: BTreeSet<u64>,
    /// No expectation ends before this tick.
    soonest: u64,
}

impl Expectations {
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn add(&mut self, expectation: Expectation) -> u64 {
        if self.all.is_empty() {
            self.soonest = u64::MAX;
        }
        let number = self.next;
        self.next += 1;
        self.at.entry(expectation.place()).or_default().push(number);
        self.by.entry(expectation.by).or_default().push(number);
        self.soonest = self.soonest.min(expectation.rings);
        self.all.insert(number, expectation);
        number
    }

    fn remove(&mut self, number: u64) -> bool {
        let Some(gone) = self.all.remove(&number) else { return false };
        self.lingering.remove(&number);
        if let Some(numbers) = self.at.get_mut(&gone.place()) {
            numbers.retain(|n| *n != number);
            if numbers.is_empty() {
                self.at.remove(&gone.place());
            }
        }
        if let Some(numbers) = self.by.get_mut(&gone.by) {
            numbers.retain(|n| *n != number);
            if numbers.is_empty() {
                self.by.remove(&gone.by);
            }
        }
        true
    }

    /// All that an entry expects, removed: how many.
    pub(crate) fn forget(&mut self, id: EntryId) -> usize {
        let numbers = self.by.get(&id).cloned().unwrap_or_default();
        for number in &numbers {
            self.remove(*number);
        }
        numbers.len()
    }

    /// Those at the place of another, the newest first, as the kernel's chain has them.
    fn at(&self, place: &Place) -> impl Iterator<Item = (u64, &Expectation)> {
        let numbers = self.at.get(place).into_iter().flatten().rev();
        numbers.filter_map(|number| Some((*number, self.all.get(number)?)))
    }
}

impl Model {
    /// The entries that somebody expected, each with the original tuple of the entry that did, which may be gone.
    pub fn masters(&self) -> impl Iterator<Item = (EntryId, Tuple)> + '_ {
        self.table.all_extras().filter_map(|(id, extras)| Some((id, extras.master?.tuple(false))))
    }

    /// What is expected now, the oldest first, each with the seconds that it still waits: less than none, once its time is over
    /// and its timer has not rung.
    pub fn expectations(&self) -> impl Iterator<Item = (Expectation, i64)> + '_ {
        let hz = i64::from(self.settings.hz);
        let expected = &self.helpers.expected;
        let waits = |(number, _): &(&u64, &Expectation)| !expected.lingering.contains(number);
        expected.all.iter().filter(waits).map(move |(_, expectation)| {
            (*expectation, expectation.expires.wrapping_sub(self.ticks).cast_signed() / hz)
        })
    }

    /// Gives up what has waited too long.
    pub(crate) fn give_up(&mut self, ticks: u64) {
        let expected = &mut self.helpers.expected;
        if expected.is_empty() || ticks < expected.soonest {
            return;
        }
        let waits = |number: &u64| !expected.lingering.contains(number);
        let late = expected.all.iter().filter(|(n, e)| waits(n) && e.rings <= ticks);
        let late: Vec<u64> = late.map(|(number, _)| *number).collect();
        late.into_iter().for_each(|number| self.give_away(number));
        let expected = &mut self.helpers.expected;
        let waiting =
            expected.all.iter().filter(|(number, _)| !expected.lingering.contains(number));
        expected.soonest = waiting.map(|(_, e)| e.rings).min().unwrap_or(u64::MAX);
    }

    pub(crate) fn count_unexpected(&mut self, gone: usize) {
        self.counters.add(Counter::ExpectDelete, gone as u64);
    }

    /// The entry that expected a flow of this key; the expectation is met, and gone.
    pub(super) fn meet(&mut self, key: &Key, zone: u16) -> Option<Key> {
        self.clear_away(&Self::place_of(key, zone));
        let (number, met) = self.awaiting(key, zone)?;
        let met = *met;
        self.unexpect(number);
        self.counters.add(Counter::ExpectNew, 1);
        if met.helper == Helper::Pptp
            && let Some(other) = Key::from_tuple(&met.tuple(), zone).inverse()
        {
            // A call's packets in either direction are the same entry.
            self.unexpect_alike(&other, zone);
        }
        Some(Key::from_tuple(&met.master, met.zone.of_original()))
    }

    /// The newest expectation that a flow of this key would meet.
    fn awaiting(&self, key: &Key, zone: u16) -> Option<(u64, &Expectation)> {
        let (source_port, _) = key.ends();
        let source = key.tuple(false).source;
        let expected = &self.helpers.expected;
        expected.at(&Self::place_of(key, zone)).find(|(number, e)| {
            e.source == source
                && e.source_port.is_none_or(|port| port == source_port)
                && !expected.lingering.contains(number)
        })
    }

    /// Where what a flow of this key would meet is looked for.
    fn place_of(key: &Key, zone: u16) -> Place {
        let (_, destination_port) = key.ends();
        (key.packed().protocol(), zone, key.tuple(false).destination, destination_port)
    }

    /// What lingers at a place goes, and is counted.
    fn clear_away(&mut self, place: &Place) {
        let expected = &self.helpers.expected;
        if expected.lingering.is_empty() {
            return;
        }
        let here = expected.at(place).map(|(number, _)| number);
        let here: Vec<u64> = here.filter(|n| expected.lingering.contains(n)).collect();
        here.into_iter().for_each(|number| self.unexpect(number));
    }

    /// A helper gives one up, or it has waited too long.
    pub(super) fn give_away(&mut self, number: u64) {
        if self.behaviour.expectations_linger {
            self.helpers.expected.lingering.insert(number);
        } else {
            self.unexpect(number);
        }
    }

    /// One is gone.
    fn unexpect(&mut self, number: u64) {
        if self.helpers.expected.remove(number) {
            self.count_unexpected(1);
        }
    }

    /// Gives up the one that a flow of this key would meet.
    pub(super) fn unexpect_alike(&mut self, key: &Key, zone: u16) {
        if let Some((number, _)) = self.awaiting(key, zone) {
            self.give_away(number);
        }
    }

    /// Notes an expectation, and names it. `None`: there is no room for it, or another flow expects the same.
    pub(super) fn expect(&mut self, new: Expectation) -> Option<u64> {
        let patience = u64::from(self.settings.ticks(new.helper.patience()));
        let expires = self.ticks + patience;
        let stamped = self.behaviour.expectations_linger;
        let rings = if stamped { expires } else { self.collector.rings(self.ticks, patience) };
        let new = Expectation { expires, rings, ..new };
        self.clear_away(&new.place());
        let expected = &mut self.helpers.expected;
        let mut same = None;
        for (number, other) in expected.at(&new.place()) {
            if other.is_the_same(&new) {
                same = Some(number);
                break;
            }
            if other.clashes(&new) {
                return None;
            }
        }
        let mut gone = 0;
        if let Some(number) = same {
            expected.remove(number);
            gone += 1;
        }
        let own = expected.by.get(&new.by).map_or(&[][..], Vec::as_slice);
        if own.len() >= new.helper.most()
            && let Some(&oldest) = own.first()
        {
            expected.remove(oldest);
            gone += 1;
        }
        let mut number = None;
        let full = expected.all.len() as u64 >= self.settings.expect_max;
        if full {
            let (ticks, bucket) = (self.ticks, self.behaviour.token_bucket);
            self.log.expectations_full(ticks, bucket, &self.settings);
        } else {
            number = Some(expected.add(new));
            self.counters.add(Counter::ExpectCreate, 1);
        }
        self.count_unexpected(gone);
        number
    }
}
