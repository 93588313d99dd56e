//! Which packets were dropped under which of up to eight settings that share a table.
//!
//! What several settings lose at once is one addition: packets are counted by the set of settings that lost them.

use alloc::vec::Vec;

use plimsoll_ct::Time;

use crate::distinct::{Bits, Distinct};

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Losses {
    /// By the set of settings that lost them.
    packets: Vec<Packets>,
    /// Settings that lost any.
    any: Bits,
    /// Flows that lost packets.
    flows: Distinct,
}

/// Some packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Packets {
    pub(crate) number: u64,
    pub(crate) first: Option<Time>,
    pub(crate) last: Option<Time>,
}

impl Losses {
    /// What one setting lost is what each of so many did.
    pub(crate) fn spread(&self, settings: usize) -> Self {
        self.as_of(0, ((1_u16 << settings) - 1) as Bits)
    }

    /// One setting's alone.
    pub(crate) fn one(&self, setting: usize) -> Self {
        self.as_of(setting, 1)
    }

    fn as_of(&self, setting: usize, others: Bits) -> Self {
        let packets = self.packets(setting);
        let mut copy = Self { flows: self.flows.as_of(setting, others), ..Self::default() };
        if packets.number > 0 {
            copy.packets.resize(256, Packets::default());
            copy.packets[usize::from(others)] = packets;
            copy.any = others;
        }
        copy
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
        self.flows.add(flow, settings);
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
        self.flows.count(setting)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;
    use crate::distinct::{mix, numbers};

    #[test]
    fn what_several_settings_lose_is_counted_for_each_as_if_it_were_alone() {
        let mut together = Losses::default();
        let mut alone = [0, 1, 2].map(|_| Losses::default());
        let mut all: [BTreeSet<u64>; 3] = Default::default();
        for n in 0..90_000_u64 {
            // The first loses all flows, the second some of them, the third few; now and then one again.
            let flow = mix(if n % 7 == 0 { n / 2 } else { n });
            let settings = 1 | u8::from(n % 3 != 0) << 1 | u8::from(n % 29 == 0) << 2;
            together.note(settings, Time(n as i64), flow);
            for setting in numbers(settings) {
                alone[setting].note(1, Time(n as i64), flow);
                all[setting].insert(flow);
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
        // As they are defined: the 16,384th of the hashes, where there are more.
        for (setting, all) in all.iter().enumerate() {
            let kept = 16_384;
            let expected = match all.iter().nth(kept - 1) {
                Some(last) if all.len() > kept => {
                    let share = *last as f64 / u64::MAX as f64;
                    ((kept - 1) as f64 / share) as u64
                }
                Some(_) | None => all.len() as u64,
            };
            assert_eq!(together.flows(setting), expected);
        }
        assert!(all[0].len() > 70_000 && all[2].len() < 5000);
    }
}
