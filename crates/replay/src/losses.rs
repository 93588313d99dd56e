//! Which packets were dropped under which of up to eight settings that share a table.
//!
//! What several settings lose at once is one addition: packets are counted by the set of settings that lost them.

use alloc::vec::Vec;

use plimsoll_ct::Time;

use crate::distinct::{Distinct, Recent};

/// Settings by their bits, the first one's being the lowest.
pub(crate) type Bits = u8;

/// The numbers of some settings.
pub(crate) fn numbers(bits: Bits) -> impl Iterator<Item = usize> {
    (0..8).filter(move |number| bits >> number & 1 == 1)
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Losses {
    /// By the set of settings that lost them.
    packets: Vec<Packets>,
    /// Settings that lost any.
    any: Bits,
    /// Of each setting, the flows that lost packets.
    flows: Vec<Distinct>,
    recent: Recent,
    /// Settings that know of enough flows, and the hash from which on one more changes nothing there.
    enough: Bits,
    bound: u64,
}

/// Some packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Packets {
    pub(crate) number: u64,
    pub(crate) first: Option<Time>,
    pub(crate) last: Option<Time>,
}

impl Losses {
    /// None yet, of so many settings.
    pub(crate) fn of(settings: usize) -> Self {
        Self { flows: alloc::vec![Distinct::default(); settings], ..Self::default() }
    }

    /// What one setting lost is what each of so many did.
    pub(crate) fn spread(&self, settings: usize) -> Self {
        let all = ((1_u16 << settings) - 1) as Bits;
        let mut spread = Self::of(settings);
        spread.take(all, self, 0);
        spread
    }

    /// One setting's alone.
    pub(crate) fn one(&self, setting: usize) -> Self {
        let mut one = Self::of(1);
        one.take(1, self, setting);
        one
    }

    fn take(&mut self, settings: Bits, other: &Self, setting: usize) {
        let packets = other.packets(setting);
        if packets.number > 0 {
            self.packets.resize(256, Packets::default());
            self.packets[usize::from(settings)] = packets;
            self.any = settings;
        }
        self.flows.fill(other.flows[setting].clone());
        self.look_who_has_enough();
    }

    /// Whether a setting lost any.
    pub(crate) const fn any(&self, setting: usize) -> bool {
        self.any >> setting & 1 == 1
    }

    /// A packet was dropped; `flow` is its [flow](crate::distinct::flow)'s number.
    #[inline]
    pub(crate) fn note(&mut self, settings: Bits, now: Time, flow: u64) {
        if self.packets.is_empty() {
            self.packets.resize(256, Packets::default());
        }
        let packets = &mut self.packets[usize::from(settings)];
        packets.number += 1;
        packets.first.get_or_insert(now);
        packets.last = Some(now);
        self.any |= settings;
        if settings & !self.enough != 0 || flow < self.bound {
            self.note_flow(settings, flow);
        }
    }

    #[inline(never)]
    fn note_flow(&mut self, settings: Bits, flow: u64) {
        let new = self.recent.add(flow, settings);
        for setting in numbers(new) {
            self.flows[setting].add(flow);
        }
        if new != 0 {
            self.look_who_has_enough();
        }
    }

    fn look_who_has_enough(&mut self) {
        (self.enough, self.bound) = (0, 0);
        for (setting, flows) in self.flows.iter().enumerate() {
            if let Some(bound) = flows.enough() {
                self.enough |= 1 << setting;
                self.bound = self.bound.max(bound);
            }
        }
    }

    /// Packets that a setting lost.
    pub(crate) fn packets(&self, setting: usize) -> Packets {
        let mut all = Packets::default();
        for (settings, some) in self.packets.iter().enumerate() {
            if settings >> setting & 1 == 1 && some.number > 0 {
                all.number += some.number;
                all.first = all.first.map_or(some.first, |first| some.first.map(|f| f.min(first)));
                all.last = all.last.max(some.last);
            }
        }
        all
    }

    /// Different flows among them.
    pub(crate) fn flows(&self, setting: usize) -> u64 {
        self.flows.get(setting).map_or(0, Distinct::count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distinct::mix;

    #[test]
    fn what_several_settings_lose_is_counted_for_each_as_if_it_were_alone() {
        let mut together = Losses::of(3);
        let mut alone = [0, 1, 2].map(|_| Losses::of(1));
        for n in 0..90_000_u64 {
            // The first loses all flows, the second some of them, the third few; now and then one again.
            let flow = mix(if n % 7 == 0 { n / 2 } else { n });
            let settings = 1 | u8::from(n % 3 != 0) << 1 | u8::from(n % 29 == 0) << 2;
            together.note(settings, Time(n as i64), flow);
            for setting in numbers(settings) {
                alone[setting].note(1, Time(n as i64), flow);
            }
        }
        for (setting, alone) in alone.iter().enumerate() {
            for same in [together.one(setting), together.one(setting).spread(2).one(1)] {
                assert_eq!(same.packets(0), alone.packets(0));
                assert_eq!(same.flows(0), alone.flows(0));
            }
            assert_eq!(together.packets(setting), alone.packets(0));
            assert_eq!(together.flows(setting), alone.flows(0));
        }
        assert!(together.flows(0) > 80_000 && together.flows(2) < 5000);
    }
}
