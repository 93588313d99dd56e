//! The table: entries in a slab, one node each in a chain of a virtual bucket.
//!
//! The kernel puts each entry into two of its `buckets` chains, one for each tuple. Both directions share
//! one hash here, so an entry has one node in one of `buckets / 2` chains: chains are as long as the
//! kernel's, and a packet meets as many other entries on its way, with half the memory. What a walk does
//! (reap the expired, find a victim) happens with the kernel's frequency; which entry it meets can't be
//! foretold there either, since the kernel's hash is keyed with a secret.
//!
//! Entries whose answers have another tuple (NAT, from a dump) are found by that in a side index.
//!
//! Kernel: `____nf_conntrack_find()`, `__nf_conntrack_hash_insert()`, nf_conntrack_core.c.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::entry::Slot;
use crate::key::Key;
use crate::tcp::Direction;
use crate::ticks::Jiffies;

/// Names an entry as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(u32);

impl EntryId {
    /// A small number, used again after the entry's end.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

const NONE: u32 = u32::MAX;

#[derive(Debug, Clone)]
struct Node {
    /// Next in the chain, or in the list of free ones.
    next: u32,
    slot: Option<Slot>,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    heads: Vec<u32>,
    nodes: Vec<Node>,
    free: u32,
    count: usize,
    hash_key: u64,
    replies: BTreeMap<Key, u32>,
    translated: BTreeMap<u32, Key>,
}

/// What a lookup found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: EntryId,
    pub(crate) direction: Direction,
}

impl Table {
    /// An empty table of so many of the kernel's buckets.
    pub(crate) fn new(buckets: u64, hash_key: u64) -> Self {
        let chains = (buckets / 2).clamp(1, 1 << 28) as usize;
        Self {
            heads: alloc::vec![NONE; chains],
            nodes: Vec::new(),
            free: NONE,
            count: 0,
            hash_key,
            replies: BTreeMap::new(),
            translated: BTreeMap::new(),
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn chains(&self) -> usize {
        self.heads.len()
    }

    fn chain_of(&self, key: &Key) -> usize {
        let hash = key.hash(self.hash_key);
        ((u128::from(hash) * self.heads.len() as u128) >> 64) as usize
    }

    /// The chain in which a packet of this key looks.
    pub(crate) fn chain(&self, key: &Key) -> usize {
        self.chain_of(key)
    }

    /// Looks an unexpired entry up; `reaped` is told of each expired one met on the way, and removed.
    pub(crate) fn find(
        &mut self,
        key: &Key,
        now: Jiffies,
        mut reaped: impl FnMut(EntryId, &Slot),
    ) -> Option<Found> {
        let chain = self.chain_of(key);
        let inverse = key.inverse();
        let mut before = NONE;
        let mut at = self.heads[chain];
        while at != NONE {
            let node = &self.nodes[at as usize];
            let next = node.next;
            let Some(slot) = node.slot.as_ref() else { break };
            if slot.is_expired(now) {
                reaped(EntryId(at), slot);
                self.unlink(chain, before, at);
                at = next;
                continue;
            }
            let straight = slot.key == *key;
            let back = inverse == Some(slot.key) && !self.translated.contains_key(&at);
            if straight || back {
                // A packet from an address to itself is found by its reply tuple, which stands first.
                let direction = if back { Direction::Reply } else { Direction::Original };
                return Some(Found { id: EntryId(at), direction });
            }
            before = at;
            at = next;
        }
        if self.replies.is_empty() {
            return None;
        }
        let at = *self.replies.get(key)?;
        let slot = self.nodes[at as usize].slot.as_ref()?;
        if slot.is_expired(now) {
            reaped(EntryId(at), slot);
            self.remove(EntryId(at));
            return None;
        }
        Some(Found { id: EntryId(at), direction: Direction::Reply })
    }

    /// Puts an entry in, its answers at `reply` if that is not the inverse of its key.
    pub(crate) fn insert(&mut self, slot: Slot, reply: Option<Key>) -> EntryId {
        let chain = self.chain_of(&slot.key);
        let next = self.heads[chain];
        let node = Node { next, slot: Some(slot) };
        let at = if self.free == NONE {
            self.nodes.push(node);
            (self.nodes.len() - 1) as u32
        } else {
            let at = self.free;
            self.free = self.nodes[at as usize].next;
            self.nodes[at as usize] = node;
            at
        };
        self.heads[chain] = at;
        self.count += 1;
        if let Some(reply) = reply.filter(|r| Some(*r) != slot.key.inverse()) {
            self.replies.insert(reply, at);
            self.translated.insert(at, reply);
        }
        EntryId(at)
    }

    pub(crate) fn get(&self, id: EntryId) -> Option<&Slot> {
        self.nodes.get(id.index())?.slot.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: EntryId) -> Option<&mut Slot> {
        self.nodes.get_mut(id.index())?.slot.as_mut()
    }

    /// The key of an entry's answers.
    pub(crate) fn reply(&self, id: EntryId) -> Option<Key> {
        match self.translated.get(&id.0) {
            Some(reply) => Some(*reply),
            None => self.get(id)?.key.inverse(),
        }
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, id: EntryId) -> Option<Slot> {
        let slot = *self.get(id)?;
        let chain = self.chain_of(&slot.key);
        let mut before = NONE;
        let mut at = self.heads[chain];
        while at != id.0 {
            if at == NONE {
                return None;
            }
            before = at;
            at = self.nodes[at as usize].next;
        }
        self.unlink(chain, before, at);
        Some(slot)
    }

    fn unlink(&mut self, chain: usize, before: u32, at: u32) {
        let next = self.nodes[at as usize].next;
        if before == NONE {
            self.heads[chain] = next;
        } else {
            self.nodes[before as usize].next = next;
        }
        self.nodes[at as usize] = Node { next: self.free, slot: None };
        self.free = at;
        self.count -= 1;
        if let Some(reply) = self.translated.remove(&at) {
            self.replies.remove(&reply);
        }
    }

    /// Entries of one chain, newest first.
    pub(crate) fn walk(&self, chain: usize) -> impl Iterator<Item = (EntryId, &Slot)> + '_ {
        let mut at = self.heads.get(chain).copied().unwrap_or(NONE);
        core::iter::from_fn(move || {
            let node = self.nodes.get(at as usize)?;
            let id = EntryId(at);
            at = node.next;
            Some((id, node.slot.as_ref()?))
        })
    }

    /// All entries, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (EntryId, &Slot)> + '_ {
        self.nodes
            .iter()
            .enumerate()
            .filter_map(|(i, node)| Some((EntryId(i as u32), node.slot.as_ref()?)))
    }

    /// One past the greatest number of an entry.
    pub(crate) fn end(&self) -> usize {
        self.nodes.len()
    }

    /// The entry of this number.
    pub(crate) fn nth(&self, number: usize) -> Option<EntryId> {
        self.nodes.get(number)?.slot.as_ref().map(|_| EntryId(number as u32))
    }
}
