//! How many different flows there were, of each of up to eight settings, in bounded memory.
//!
//! The smallest hashes are kept: exact up to [`KEPT`] flows, an estimate within about 2 % beyond (k minimum
//! values: when the k-th smallest of n evenly spread hashes is at a share s of the whole range, n is near
//! (k - 1) / s). A hash stands once, with the settings among whose smallest it is.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_wire::packet::Packet;

/// Hashes of one setting that are kept.
const KEPT: usize = 16_384;

/// Hashes that are known to be there at a glance.
const RECENT: usize = 1 << 14;

/// Settings by their bits, the first one's being the lowest.
pub(crate) type Bits = u8;

/// The numbers of some settings.
pub(crate) fn numbers(mut bits: Bits) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let number = bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
        (number < 8).then_some(number)
    })
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Distinct {
    smallest: BTreeMap<u64, Bits>,
    /// By setting: hashes that are kept,
    kept: [usize; 8],
    /// and the largest of them, once there are enough.
    bounds: [Option<u64>; 8],
    /// Settings that had more.
    more: Bits,
    /// From here on one more changes nothing in those.
    highest: u64,
    /// By their lowest bits: hashes that were added, and in place of those of these bits that go without saying, to
    /// which settings. 0: none.
    recent: Vec<u64>,
}

impl Distinct {
    #[inline]
    pub(crate) fn add(&mut self, hash: u64, settings: Bits) {
        if settings & !self.more != 0 || hash < self.highest {
            self.add_small(hash, settings);
        }
    }

    #[inline(never)]
    fn add_small(&mut self, hash: u64, settings: Bits) {
        let mut new = self.look_who_forgot(hash, settings);
        let more = self.more;
        for setting in numbers(new) {
            if self.bounds[setting].is_some_and(|bound| hash > bound) {
                new &= !(1 << setting);
                self.more |= 1 << setting;
            }
        }
        if self.more != more {
            self.look_who_is_highest();
        }
        if new == 0 {
            return;
        }
        let there = self.smallest.entry(hash).or_default();
        new &= !*there;
        *there |= new;
        for setting in numbers(new) {
            self.kept[setting] += 1;
            if self.kept[setting] > KEPT {
                self.drop_largest(setting);
            } else if self.kept[setting] == KEPT {
                self.bounds[setting] = self.largest(setting, u64::MAX);
            }
        }
        self.look_who_is_highest();
    }

    fn look_who_is_highest(&mut self) {
        let bounds = numbers(self.more).filter_map(|setting| self.bounds[setting]);
        self.highest = bounds.max().unwrap_or(0);
    }

    /// Of some settings those of which it is not known that the hash was added there; it is now.
    fn look_who_forgot(&mut self, hash: u64, settings: Bits) -> Bits {
        const SETTINGS: u64 = Bits::MAX as u64;
        self.recent.resize(RECENT, 0);
        let recent = &mut self.recent[hash as usize % RECENT];
        let known = if *recent & !SETTINGS == hash & !SETTINGS { *recent as Bits } else { 0 };
        *recent = hash & !SETTINGS | u64::from(known | settings);
        settings & !known
    }

    fn drop_largest(&mut self, setting: usize) {
        let Some(bound) = self.bounds[setting] else { return };
        self.more |= 1 << setting;
        self.kept[setting] -= 1;
        if let Some(there) = self.smallest.get_mut(&bound) {
            *there &= !(1 << setting);
            if *there == 0 {
                self.smallest.remove(&bound);
            }
        }
        // What is passed here on the way is never passed again: the bound only sinks.
        self.bounds[setting] = self.largest(setting, bound);
    }

    /// The largest hash of a setting up to one.
    fn largest(&self, setting: usize, most: u64) -> Option<u64> {
        let mut below = self.smallest.range(..=most).rev();
        below.find(|(_, settings)| **settings >> setting & 1 == 1).map(|(hash, _)| *hash)
    }

    /// How many there were of one setting.
    pub(crate) fn count(&self, setting: usize) -> u64 {
        let kept = self.kept[setting] as u64;
        match self.bounds[setting] {
            Some(last) if self.more >> setting & 1 == 1 => {
                let share = last as f64 / u64::MAX as f64;
                ((kept - 1) as f64 / share) as u64
            }
            Some(_) | None => kept,
        }
    }

    /// The same as it would be if what one setting has were all that some others have.
    pub(crate) fn as_of(&self, setting: usize, others: Bits) -> Self {
        let own = self.smallest.iter().filter(|(_, settings)| **settings >> setting & 1 == 1);
        let mut copy =
            Self { smallest: own.map(|(hash, _)| (*hash, others)).collect(), ..Self::default() };
        for other in numbers(others) {
            (copy.kept[other], copy.bounds[other]) = (self.kept[setting], self.bounds[setting]);
        }
        if self.more >> setting & 1 == 1 {
            copy.more = others;
            copy.highest = self.bounds[setting].unwrap_or(0);
        }
        copy
    }
}

/// A number for the flow of a packet, the same in both directions.
pub(crate) fn flow(packet: &Packet<'_>) -> u64 {
    let ports = match packet.payload.first_chunk::<4>() {
        Some(&[a, b, c, d]) if matches!(packet.protocol, 6 | 17 | 33 | 132 | 136) => {
            (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
        }
        Some(_) | None => (0, 0),
    };
    let end = |address: IpAddr, port: u16| {
        let bits = match address {
            IpAddr::V4(a) => u128::from(a.to_bits()),
            IpAddr::V6(a) => a.to_bits(),
        };
        mix(mix(bits as u64) ^ mix((bits >> 64) as u64 ^ 0x9e37) ^ (u64::from(port) << 17))
    };
    let both = end(packet.source(), ports.0).wrapping_add(end(packet.destination(), ports.1));
    mix(both ^ u64::from(packet.protocol))
}

/// Spreads a number over all bits (the finalizer of splitmix64).
pub(crate) const fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_counted_exactly_and_many_within_three_percent() {
        let mut distinct = Distinct::default();
        for n in 0..10_000 {
            distinct.add(mix(n), 1);
            distinct.add(mix(n), 1);
        }
        assert_eq!(distinct.count(0), 10_000);
        for n in 0..200_000 {
            distinct.add(mix(n), 1);
        }
        assert!(distinct.count(0).abs_diff(200_000) < 6_000, "{}", distinct.count(0));
        assert_eq!(distinct.smallest.len(), KEPT);
    }
}
