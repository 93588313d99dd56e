//! The limit, and making room in a full table by evicting an entry that is not assured.
//!
//! Kernel: `__nf_conntrack_alloc()`, `early_drop()`, `early_drop_list()`, nf_conntrack_core.c, v6.18; older
//! generations: docs/KERNELS.md, 1.3. Not modelled: entries of other namespaces in the same table.

use alloc::vec::Vec;

use plimsoll_ct::{Counter, EarlyDrop, Status};

use crate::model::Model;
use crate::table::{EntryId, Probe, Spot};
use crate::ticks::Jiffies;

/// Neighbouring buckets, or entries, that are looked at.
const RANGE: usize = 8;

/// The neighbouring buckets of which the first that holds any who could go is cleared; `None`: this generation evicts
/// single entries.
pub(crate) const fn buckets(kind: EarlyDrop) -> Option<usize> {
    match kind {
        EarlyDrop::OneBucket | EarlyDrop::EightEntries => None,
        EarlyDrop::SameBucket => Some(1),
        EarlyDrop::EightBuckets => Some(RANGE),
    }
}

impl Model {
    /// Room for one more: how many were evicted for it, or `None` when there is none.
    pub(crate) fn make_room(&mut self, probe: &Probe) -> Option<u32> {
        if self.has_room() {
            return Some(0);
        }
        let victims = self.evict(probe);
        if victims == 0 {
            self.note_full();
            return None;
        }
        self.counters.add(Counter::EarlyDrop, victims.into());
        Some(victims)
    }

    /// Whether nobody need go.
    #[inline(always)]
    pub(crate) const fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// So many more can come before somebody has to go.
    #[inline(always)]
    pub(crate) const fn room(&self) -> u64 {
        match self.limit() {
            None => u64::MAX,
            Some(limit) => limit.saturating_sub(self.table.len() as u64),
        }
    }

    /// So many at most, if there is a limit.
    #[inline(always)]
    pub(crate) const fn limit(&self) -> Option<u64> {
        let max = self.settings.max;
        if max == 0 && self.profile.zero_is_unlimited { None } else { Some(max) }
    }

    /// There was no room, and nobody to go.
    pub(crate) fn note_full(&mut self) {
        self.collector.wish_early_drop();
        self.log.table_full(self.ticks, self.behaviour.token_bucket, &self.settings);
    }

    /// So many packets more found none, while the log was silent, and so many entries more were evicted.
    pub(crate) fn note_pending(&mut self, packets: u32, evicted: u32) {
        if packets > 0 {
            self.counters.add(Counter::Drop, packets.into());
            self.log.miss(packets);
        }
        if evicted > 0 {
            self.counters.add(Counter::EarlyDrop, evicted.into());
        }
    }

    /// Asks for what early drop will look at, for a packet that may find no entry and no room.
    #[inline(always)]
    pub(crate) fn reach_room(&self, spot: &Spot) {
        if self.profile.early_drop == EarlyDrop::EightBuckets {
            self.table.approach_room(spot, RANGE);
        }
    }

    fn evict(&mut self, probe: &Probe) -> u32 {
        let first = self.table.chain_for_room(probe);
        let chains = self.table.chains();
        let assured = |id: EntryId| self.table.vitals(id).status.contains(Status::ASSURED);
        match self.profile.early_drop {
            EarlyDrop::OneBucket => {
                let oldest = self.table.walk(first).filter(|&id| !assured(id)).last();
                self.take(oldest.as_slice())
            }
            EarlyDrop::EightEntries => {
                let newest = self.profile.from >= (3, 4);
                let mut victim = None;
                let mut seen = 0;
                for step in 0..chains {
                    for id in self.table.walk((first + step) % chains) {
                        seen += 1;
                        if !assured(id) && (victim.is_none() || !newest) {
                            victim = Some(id);
                        }
                    }
                    if victim.is_some() || seen >= RANGE {
                        break;
                    }
                }
                self.take(victim.as_slice())
            }
            EarlyDrop::SameBucket => self.clear(first),
            EarlyDrop::EightBuckets => {
                let range = RANGE.min(chains);
                let now = self.now();
                let around = (0..range).map(|step| (first + step) % chains);
                let mut unsettled = 0_u8;
                for (step, chain) in around.clone().enumerate() {
                    if !self.is_settled(chain, now) {
                        self.table.approach_chain(chain);
                        unsettled |= 1 << step;
                    }
                }
                if unsettled == 0 {
                    return 0;
                }
                for (step, chain) in around.enumerate() {
                    let victims = if unsettled >> step & 1 != 0 { self.clear(chain) } else { 0 };
                    if victims > 0 {
                        return victims;
                    }
                }
                self.table.settle_all(first, range);
                0
            }
        }
    }

    /// Whether it is known of a chain that nobody would go from it.
    #[inline(always)]
    fn is_settled(&self, chain: usize, now: Jiffies) -> bool {
        let is_settled = self.table.is_settled(chain, now);
        let stays = |id| {
            let vitals = self.table.vitals(id);
            vitals.status.contains(Status::ASSURED) && !vitals.is_expired(now)
        };
        debug_assert!(!is_settled || self.table.walk(chain).all(stays), "one would go");
        is_settled
    }

    /// Evicts all of a chain that is not assured; what has expired is reaped, and is no success.
    fn clear(&mut self, chain: usize) -> u32 {
        let now = self.now();
        if self.is_settled(chain, now) {
            return 0;
        }
        let mut victims = Vec::new();
        let mut expired = Vec::new();
        for id in self.table.walk(chain) {
            let vitals = self.table.vitals(id);
            if vitals.is_expired(now) {
                expired.push(id);
            } else if !vitals.status.contains(Status::ASSURED) {
                victims.push(id);
            }
        }
        self.take(&expired);
        let evicted = self.take(&victims);
        self.table.settle(chain);
        evicted
    }

    fn take(&mut self, victims: &[EntryId]) -> u32 {
        for &id in victims {
            // One may have gone with another, whose call it was.
            if self.table.whole(id).is_some() {
                self.remove(id);
            }
        }
        victims.len() as u32
    }

    /// Whether the chains that an entry would join are longer than this generation bears.
    pub(crate) fn chain_is_too_long(&mut self, probe: &Probe) -> bool {
        let Some(limit) = self.profile.chain_limit else { return false };
        let length = self.table.chain_length(probe, limit.least.into());
        // The common case draws no chance.
        if length <= limit.least.into() {
            return false;
        }
        self.chance =
            self.chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let span = u64::from(limit.most - limit.least) + 1;
        length > u64::from(limit.least) + (self.chance >> 33) % span
    }
}
