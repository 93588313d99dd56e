//! Counted keys, as many as there is room for.
//!
//! While there is room every key has a slot, and all is exact. Then a new key takes the slot of one that has the fewest
//! entries (the space-saving algorithm: Metwally, Agrawal, El Abbadi, 2005): what that one had is the error of the new
//! one, so that `entries - error <= true <= entries` holds for each key, and every key with more than
//! (all entries / slots) entries has a slot. The one to give way is found by a scan that gathers all of the fewest at
//! once; the fewest only grows, at most to (all entries / slots), so the scans cost about one step for each entry.

use alloc::vec::Vec;

use core::hash::BuildHasher;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use plimsoll_ct::{Class, Entry};

/// What was added up of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Entries that were counted.
    pub entries: u64,
    /// Those of them that no answer was seen of.
    pub unreplied: u64,
    /// Those of them that a full table may evict at once.
    pub evictable: u64,
    /// Those of them that are closing.
    pub closing: u64,
    /// The rest.
    pub protected: u64,
    /// Those of them that carry counters.
    pub accounted: u64,
    /// Packets of those, both directions.
    pub packets: u64,
    /// Bytes of those, both directions.
    pub bytes: u64,
}

impl Tally {
    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.entries += other.entries;
        self.unreplied += other.unreplied;
        self.evictable += other.evictable;
        self.closing += other.closing;
        self.protected += other.protected;
        self.accounted += other.accounted;
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// Counts an entry.
    pub fn count(&mut self, entry: &Entry) {
        let mut slot = Slot::default();
        slot.count(entry);
        self.entries += 1;
        self.unreplied += u64::from(slot.unreplied);
        self.evictable += u64::from(slot.evictable);
        self.closing += u64::from(slot.closing);
        self.protected += u64::from(slot.protected);
        self.accounted += u64::from(slot.accounted);
        self.packets = self.packets.saturating_add(slot.packets);
        self.bytes = self.bytes.saturating_add(slot.bytes);
    }
}

/// A table holds at most 2^31 entries.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slot {
    /// Entries that may belong to whoever had the slot before.
    pub error: u32,
    pub unreplied: u32,
    pub evictable: u32,
    pub closing: u32,
    pub protected: u32,
    pub accounted: u32,
    pub packets: u64,
    pub bytes: u64,
}

impl Slot {
    fn count(&mut self, entry: &Entry) {
        self.unreplied += u32::from(!entry.is_replied());
        match entry.class() {
            Class::Evictable => self.evictable += 1,
            Class::Closing => self.closing += 1,
            Class::Protected => self.protected += 1,
        }
        if let (Some(original), Some(reply)) = (entry.original_accounting, entry.reply_accounting) {
            self.accounted += 1;
            self.packets =
                self.packets.saturating_add(original.packets).saturating_add(reply.packets);
            self.bytes = self.bytes.saturating_add(original.bytes).saturating_add(reply.bytes);
        }
    }

    fn add(&mut self, other: &Self) {
        self.error = self.error.saturating_add(other.error);
        self.unreplied += other.unreplied;
        self.evictable += other.evictable;
        self.closing += other.closing;
        self.protected += other.protected;
        self.accounted += other.accounted;
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// Entries that were counted since the key has the slot.
    pub fn entries(&self) -> u32 {
        self.evictable + self.closing + self.protected
    }

    /// What decides who gives way.
    fn weight(&self) -> u32 {
        self.entries().saturating_add(self.error)
    }

    pub fn tally(&self) -> Tally {
        Tally {
            entries: self.entries().into(),
            unreplied: self.unreplied.into(),
            evictable: self.evictable.into(),
            closing: self.closing.into(),
            protected: self.protected.into(),
            accounted: self.accounted.into(),
            packets: self.packets,
            bytes: self.bytes,
        }
    }
}

#[derive(Debug)]
pub(super) struct Slots {
    /// Index of a key's slot.
    index: HashTable<u32>,
    /// Keys, `width` bytes each.
    keys: Vec<u8>,
    width: usize,
    slots: Vec<Slot>,
    most: usize,
    hasher: FixedState,
    /// Slots that had the fewest entries when they were last looked for, and how many that was.
    fewest: Vec<u32>,
    least: u32,
    /// Whether a key had to give way.
    gave_way: bool,
    /// What a key without a slot may have had where parts of the table were counted apart.
    apart: Option<u64>,
}

impl Slots {
    /// Room for as many keys as fit into so many bytes (one at least).
    pub fn new(width: usize, bytes: usize, seed: u64) -> Self {
        // A slot, its key, its number among the fewest, and in the hash table 5 bytes of at most 16/7 places.
        let each = size_of::<Slot>() + width + 4 + 12;
        let most = (bytes / each).clamp(1, 1 << 28);
        Self {
            index: HashTable::new(),
            keys: Vec::new(),
            width,
            slots: Vec::new(),
            most,
            hasher: FixedState::with_seed(seed),
            fewest: Vec::new(),
            least: 0,
            gave_way: false,
            apart: None,
        }
    }

    /// Adds what was counted of another part of the table. `translate` makes a key of the other one ours. There is room for
    /// all slots of both from now on.
    pub fn merge(&mut self, other: &Self, mut translate: impl FnMut(&[u8], &mut Vec<u8>)) {
        let (ours, theirs) = (self.error(), other.error());
        let mut met = alloc::vec![false; self.slots.len()];
        let mut key = Vec::new();
        self.most += other.most;
        for (number, slot) in other.slots.iter().enumerate() {
            translate(other.key(number as u32), &mut key);
            let hash = self.hasher.hash_one(&*key);
            let (keys, width) = (&self.keys, self.width);
            match self.index.find(hash, |slot| *at(keys, width, *slot) == *key).copied() {
                Some(place) => {
                    if let Some(met) = met.get_mut(place as usize) {
                        *met = true;
                    }
                    if let Some(own) = self.slots.get_mut(place as usize) {
                        own.add(slot);
                    }
                }
                None => {
                    let place = self.slots.len() as u32;
                    // Here it may have had what any key without a slot may have had.
                    let error = slot.error.saturating_add(u32::try_from(ours).unwrap_or(u32::MAX));
                    self.slots.push(Slot { error, ..*slot });
                    self.keys.extend_from_slice(&key);
                    self.insert(hash, place);
                }
            }
        }
        if theirs > 0 {
            let more = u32::try_from(theirs).unwrap_or(u32::MAX);
            for (slot, _) in self.slots.iter_mut().zip(&met).filter(|(_, met)| !**met) {
                slot.error = slot.error.saturating_add(more);
            }
        }
        self.apart = (ours + theirs > 0).then_some(ours + theirs);
        self.fewest.clear();
    }

    pub fn add(&mut self, key: &[u8], entry: &Entry) {
        let hash = self.hasher.hash_one(key);
        let (keys, width) = (&self.keys, self.width);
        let found = self.index.find(hash, |slot| at(keys, width, *slot) == key).copied();
        let slot = match found {
            Some(slot) => slot,
            None if self.slots.len() < self.most => {
                let slot = self.slots.len() as u32;
                self.slots.push(Slot::default());
                self.keys.extend_from_slice(key);
                self.insert(hash, slot);
                slot
            }
            None => {
                let slot = self.make_room();
                let start = slot as usize * self.width;
                if let Some(place) = self.keys.get_mut(start..start + self.width) {
                    place.copy_from_slice(key);
                }
                self.insert(hash, slot);
                slot
            }
        };
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.count(entry);
        }
    }

    fn insert(&mut self, hash: u64, slot: u32) {
        let (keys, width, hasher) = (&self.keys, self.width, &self.hasher);
        self.index.insert_unique(hash, slot, |slot| hasher.hash_one(at(keys, width, *slot)));
    }

    /// The slot of a key with the fewest entries, which is forgotten.
    fn make_room(&mut self) -> u32 {
        self.gave_way = true;
        let slot = loop {
            let Some(slot) = self.fewest.pop() else {
                self.look_for_fewest();
                continue;
            };
            if self.slots.get(slot as usize).is_some_and(|s| s.weight() == self.least) {
                break slot;
            }
        };
        let hash = self.hasher.hash_one(at(&self.keys, self.width, slot));
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Slot { error: self.least, ..Slot::default() };
        }
        slot
    }

    fn look_for_fewest(&mut self) {
        self.least = self.slots.iter().map(Slot::weight).min().unwrap_or(0);
        let least = self.least;
        let of_them = self.slots.iter().enumerate().filter(|(_, slot)| slot.weight() == least);
        self.fewest.extend(of_them.map(|(index, _)| index as u32));
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// By how much an entry count may be too small at most: what a key without a slot may have had.
    pub fn error(&self) -> u64 {
        if let Some(apart) = self.apart {
            return apart;
        }
        if !self.gave_way {
            return 0;
        }
        self.slots.iter().map(Slot::weight).min().unwrap_or(0).into()
    }

    pub fn key(&self, slot: u32) -> &[u8] {
        at(&self.keys, self.width, slot)
    }

    pub fn slot(&self, slot: u32) -> Slot {
        self.slots.get(slot as usize).copied().unwrap_or_default()
    }
}

fn at(keys: &[u8], width: usize, slot: u32) -> &[u8] {
    let start = slot as usize * width;
    keys.get(start..start + width).unwrap_or(&[])
}
