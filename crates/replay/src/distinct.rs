//! How many different flows there were, in bounded memory.
//!
//! The smallest hashes are kept: exact up to [`KEPT`] flows, an estimate within about 2 % beyond (k minimum
//! values: when the k-th smallest of n evenly spread hashes is at a share s of the whole range, n is near
//! (k - 1) / s).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_wire::packet::Packet;

const KEPT: usize = 16_384;

/// Hashes that are known to be there at a glance.
const RECENT: usize = 4096;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Distinct {
    smallest: BTreeSet<u64>,
    /// The largest that is kept, once there are enough: what is not below it changes nothing.
    bound: Option<u64>,
    more: bool,
    /// By their lowest bits: hashes that were added. 0: none.
    recent: Vec<u64>,
}

impl Distinct {
    pub(crate) fn add(&mut self, hash: u64) {
        if let Some(bound) = self.bound.filter(|&bound| hash >= bound) {
            self.more |= hash > bound;
            return;
        }
        self.recent.resize(RECENT, 0);
        let recent = core::mem::replace(&mut self.recent[hash as usize % RECENT], hash);
        if recent == hash && hash != 0 {
            return;
        }
        if self.smallest.insert(hash) && self.smallest.len() >= KEPT {
            if self.smallest.len() > KEPT {
                self.smallest.pop_last();
                self.more = true;
            }
            self.bound = self.smallest.last().copied();
        }
    }

    pub(crate) fn count(&self) -> u64 {
        let kept = self.smallest.len() as u64;
        match self.smallest.last() {
            Some(last) if self.more => {
                let share = *last as f64 / u64::MAX as f64;
                ((kept - 1) as f64 / share) as u64
            }
            Some(_) | None => kept,
        }
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
            distinct.add(mix(n));
            distinct.add(mix(n));
        }
        assert_eq!(distinct.count(), 10_000);
        for n in 0..200_000 {
            distinct.add(mix(n));
        }
        assert!(distinct.count().abs_diff(200_000) < 6_000, "{}", distinct.count());
        assert_eq!(distinct.smallest.len(), KEPT);
    }
}
