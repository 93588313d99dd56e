//! The grouping itself.

use alloc::vec::Vec;

use super::key::Keys;
use super::slots::{Slots, Tally};
use super::value::{Texts, Value};
use crate::View;

/// How much memory a grouping may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all slots; beyond them the counts of small groups become estimates.
    pub bytes: usize,
}

impl Default for Limits {
    /// 24 MiB: some 300,000 groups.
    fn default() -> Self {
        Self { bytes: 24 << 20 }
    }
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The most entries.
    #[default]
    Entries,
    /// The most bytes.
    Bytes,
    /// The most packets.
    Packets,
    /// The most that no answer was seen of.
    Unreplied,
    /// The most that a full table may evict at once.
    Evictable,
    /// The most that are closing.
    Closing,
    /// The most that nothing but their timeout removes.
    Protected,
}

impl Order {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Entries,
        Self::Unreplied,
        Self::Evictable,
        Self::Closing,
        Self::Protected,
        Self::Packets,
        Self::Bytes,
    ];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Bytes => "bytes",
            Self::Packets => "packets",
            Self::Unreplied => "unreplied",
            Self::Evictable => "evictable",
            Self::Closing => "closing",
            Self::Protected => "protected",
        }
    }
}

/// Entries added up by keys.
#[derive(Debug)]
pub struct Groups {
    keys: Keys,
    texts: Texts,
    slots: Slots,
    total: Tally,
    scratch: Vec<u8>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The values of the keys, in their order.
    pub values: Vec<Value>,
    /// What was counted.
    pub tally: Tally,
    /// How many entries more it may have, since it had no slot all the time. 0: exact.
    pub error: u64,
}

impl Groups {
    /// No group yet. `seed` keys the hash table: keys are chosen by whoever sends packets.
    pub fn new(keys: Keys, limits: Limits, seed: u64) -> Self {
        let slots = Slots::new(keys.width(), limits.bytes, seed);
        Self { keys, texts: Texts::new(seed), slots, total: Tally::default(), scratch: Vec::new() }
    }

    /// Counts an entry.
    pub fn add(&mut self, view: &View<'_>) {
        self.keys.encode(view, &mut self.texts, &mut self.scratch);
        self.slots.add(&self.scratch, view.entry);
        self.total.count(view.entry);
    }

    /// Adds what another one counted, by the same keys, of another part of the table. Together they may take the memory of
    /// both.
    pub fn merge(&mut self, other: &Self) {
        let (keys, texts) = (&self.keys, &mut self.texts);
        self.slots.merge(&other.slots, |key, ours| {
            ours.clear();
            ours.extend_from_slice(key);
            keys.translate(ours, &other.texts, texts);
        });
        self.total.add(&other.total);
    }

    /// The keys.
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// All entries of all groups.
    pub const fn total(&self) -> Tally {
        self.total
    }

    /// How many groups there are; when not exact, at least so many.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.slots.len() == 0
    }

    /// How many entries a group that is not shown may have at most, and a shown one more than is said. 0: all is exact.
    pub fn error(&self) -> u64 {
        self.slots.error()
    }

    /// The groups, the heaviest first, at most `top` of them. Equal ones stand in the order of their keys.
    pub fn rows(&self, order: Order, top: Option<usize>) -> impl Iterator<Item = Group> + '_ {
        let mut sorted: Vec<u32> = (0..self.slots.len() as u32).collect();
        let weight = |slot: &u32| {
            let slot = self.slots.slot(*slot);
            match order {
                Order::Entries => u64::from(slot.entries()),
                Order::Bytes => slot.bytes,
                Order::Packets => slot.packets,
                Order::Unreplied => slot.unreplied.into(),
                Order::Evictable => slot.evictable.into(),
                Order::Closing => slot.closing.into(),
                Order::Protected => slot.protected.into(),
            }
        };
        let compare = |a: &u32, b: &u32| {
            weight(b).cmp(&weight(a)).then_with(|| self.slots.key(*a).cmp(self.slots.key(*b)))
        };
        let top = top.unwrap_or(usize::MAX);
        if top > 0 && top < sorted.len() {
            sorted.select_nth_unstable_by(top - 1, compare);
        }
        sorted.truncate(top);
        sorted.sort_unstable_by(compare);
        sorted.into_iter().map(|slot| {
            let found = self.slots.slot(slot);
            Group {
                values: self.keys.decode(self.slots.key(slot), &self.texts),
                tally: found.tally(),
                error: found.error.into(),
            }
        })
    }
}
