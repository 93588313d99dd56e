//! The heaviest keys of a stream, in memory that does not grow with the stream.
//!
//! Every key gets a slot while there are some. When none is left, the median weight is taken from all
//! slots and those that fall to nothing are given up (Misra and Gries' idea, cleaning many at once, so
//! that a key costs one look-up on average). A key can thus lose what it had when it was given up: its
//! total is a lower bound, too small by at most what was taken so far ([`Heavy::error`]). In a table read
//! in hash order a truly heavy key is met early and keeps its slot, so that its count is exact or nearly so.
//!
//! Keys are chosen by whoever sends packets: the hash is seeded by the caller.

use alloc::vec::Vec;
use core::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use plimsoll_ct::Class;

use super::{Tally, Top};

/// The heaviest keys of a stream.
#[derive(Debug, Clone)]
pub struct Heavy<K> {
    slots: HashMap<K, Slot, FixedState>,
    capacity: usize,
    error: u64,
    scratch: Vec<u32>,
}

/// Tallies are 32 bits wide: a table holds at most 2^31 entries.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    evictable: u32,
    closing: u32,
    protected: u32,
    unreplied: u32,
    /// What decides who is given up: the total, less what was taken.
    weight: u32,
}

impl Slot {
    const fn tally(&self) -> Tally {
        Tally {
            evictable: self.evictable as u64,
            closing: self.closing as u64,
            protected: self.protected as u64,
            unreplied: self.unreplied as u64,
        }
    }
}

impl<K: Copy + Eq + Hash + Ord> Heavy<K> {
    /// Room for `capacity` keys (at least one), all of it taken at once.
    pub fn new(capacity: usize, seed: u64) -> Self {
        let capacity = capacity.max(1);
        let slots = HashMap::with_capacity_and_hasher(capacity, FixedState::with_seed(seed));
        Self { slots, capacity, error: 0, scratch: Vec::new() }
    }

    /// Counts one entry for a key.
    pub fn add(&mut self, key: K, class: Class, unreplied: bool) {
        if self.slots.len() >= self.capacity {
            if let Some(slot) = self.slots.get_mut(&key) {
                slot.count(class, unreplied);
                return;
            }
            self.make_room();
        }
        self.slots.entry(key).or_default().count(class, unreplied);
    }

    /// How much any total may be too small.
    pub const fn error(&self) -> u64 {
        self.error
    }

    /// Adds what another one counted of another part of the stream.
    pub fn merge(&mut self, other: Self) {
        self.error += other.error;
        for (key, more) in other.slots {
            if !self.slots.contains_key(&key) {
                self.make_room();
            }
            let slot = self.slots.entry(key).or_default();
            slot.evictable = slot.evictable.saturating_add(more.evictable);
            slot.closing = slot.closing.saturating_add(more.closing);
            slot.protected = slot.protected.saturating_add(more.protected);
            slot.unreplied = slot.unreplied.saturating_add(more.unreplied);
            slot.weight = slot.weight.saturating_add(more.weight);
        }
    }

    /// The heaviest `rows` keys, heaviest first; equal ones by key.
    pub fn top(&self, rows: usize) -> Top<K> {
        let mut all: Vec<(K, Tally)> = self.slots.iter().map(|(k, s)| (*k, s.tally())).collect();
        let order = |a: &(K, Tally), b: &(K, Tally)| {
            b.1.total().cmp(&a.1.total()).then_with(|| a.0.cmp(&b.0))
        };
        if all.len() > rows && rows > 0 {
            all.select_nth_unstable_by(rows - 1, order);
        }
        all.truncate(rows);
        all.sort_unstable_by(order);
        Top { rows: all, error: self.error }
    }

    /// Gives up the lighter half of the slots if none is free.
    fn make_room(&mut self) {
        if self.slots.len() < self.capacity {
            return;
        }
        self.scratch.clear();
        self.scratch.extend(self.slots.values().map(|slot| slot.weight));
        let middle = self.scratch.len() / 2;
        let (_, &mut median, _) = self.scratch.select_nth_unstable(middle);
        self.error += u64::from(median);
        self.slots.retain(|_, slot| {
            slot.weight = slot.weight.saturating_sub(median);
            slot.weight > 0
        });
    }
}

impl Slot {
    fn count(&mut self, class: Class, unreplied: bool) {
        let place = match class {
            Class::Evictable => &mut self.evictable,
            Class::Closing => &mut self.closing,
            Class::Protected => &mut self.protected,
        };
        *place = place.saturating_add(1);
        self.unreplied = self.unreplied.saturating_add(unreplied.into());
        self.weight = self.weight.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(heavy: &mut Heavy<u64>, key: u64) {
        heavy.add(key, Class::Evictable, true);
    }

    #[test]
    fn with_a_slot_for_every_key_all_totals_are_exact() {
        let mut heavy = Heavy::new(100, 1);
        for n in 0..5050u64 {
            count(&mut heavy, n % 100);
        }
        let top = heavy.top(200);
        assert_eq!((top.error, top.rows.len()), (0, 100));
        assert_eq!(top.rows.iter().map(|r| r.1.total()).sum::<u64>(), 5050);
        assert!(top.rows.iter().all(|r| r.1.evictable == r.1.unreplied));
        assert_eq!(top.rows[0], (0, Tally { evictable: 51, unreplied: 51, ..Tally::default() }));
    }

    #[test]
    fn a_heavy_key_is_found_among_a_million_that_come_once() {
        let mut heavy = Heavy::new(1000, 7);
        for n in 0..1_000_000u64 {
            count(&mut heavy, 1_000_000 + n);
            if n % 100 == 0 {
                count(&mut heavy, 42);
            }
        }
        let top = heavy.top(3);
        let (key, tally) = top.rows[0];
        assert_eq!(key, 42);
        assert!(tally.total() <= 10_000 && tally.total() + top.error >= 10_000, "{tally:?}");
        assert!(top.error <= 1_010_000 / 500, "{}", top.error);
        assert!(heavy.slots.capacity() < 4000, "{}", heavy.slots.capacity());
    }

    #[test]
    fn every_total_lies_within_the_error_of_the_truth() {
        let mut heavy = Heavy::new(64, 3);
        let mut truth = [0u64; 1000];
        let mut x = 88172645463325252u64;
        for _ in 0..200_000 {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            let key = (x % 1000) * (x >> 32 & 1023) / 1023;
            truth[key as usize] += 1;
            count(&mut heavy, key);
        }
        for (key, tally) in heavy.top(64).rows {
            let true_total = truth[key as usize];
            assert!(tally.total() <= true_total && tally.total() + heavy.error() >= true_total);
        }
    }

    #[test]
    fn two_halves_merged_know_what_one_whole_knows() {
        let mut a = Heavy::new(100, 1);
        let mut b = Heavy::new(100, 2);
        for n in 0..1000u64 {
            count(if n % 2 == 0 { &mut a } else { &mut b }, n % 10);
        }
        a.merge(b);
        let top = a.top(10);
        assert!(top.rows.iter().all(|r| r.1.total() == 100));
        assert_eq!((top.rows.len(), top.error), (10, 0));
    }

    #[test]
    fn room_for_nothing_is_room_for_one() {
        let mut heavy = Heavy::new(0, 1);
        for n in 0..10 {
            count(&mut heavy, n);
        }
        assert_eq!(heavy.top(5).rows.len(), 1);
        assert_eq!(heavy.top(0).rows.len(), 0);
    }
}
