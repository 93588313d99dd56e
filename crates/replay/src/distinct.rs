//! How many different flows there were, of each of up to eight settings, in bounded memory.
//!
//! The smallest hashes are kept: exact up to [`KEPT`] flows, an estimate within about 2 % beyond (k minimum
//! values: when the k-th smallest of n evenly spread hashes is at a share s of the whole range, n is near
//! (k - 1) / s). A hash stands once, with the settings that had it, in one table that a packet looks at once. There may be half
//! as many more of a setting than are kept; then those that are too large go, all at once.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_wire::packet::Packet;

/// Hashes of one setting that say how many there were.
pub(crate) const KEPT: usize = 16_384;

/// Hashes that wait until they are looked up at once.
const AT_ONCE: usize = 32;

/// Hashes of one setting at which the largest go.
const MOST: usize = KEPT + KEPT / 2;

/// Settings by their bits, the first one's being the lowest.
pub(crate) type Bits = u8;

/// Settings stand in the bits of a hash that these are of.
const SETTINGS: u64 = Bits::MAX as u64;

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
    /// Hashes with their settings, each at the first free place from the one that it names on. 0: free. A power of two of
    /// them, or none.
    places: Vec<u64>,
    /// Those that are not free.
    used: usize,
    /// Hashes by setting,
    held: [usize; 8],
    /// and the largest that matters, where larger ones went.
    bounds: [Option<u64>; 8],
    /// Settings that have such a bound.
    bounded: Bits,
    /// The largest of the bounds.
    highest: u64,
    /// Hashes with settings that are still to be looked up: many at once, so that the processor waits for memory once.
    waiting: Vec<u64>,
}

impl Distinct {
    /// A flow of some settings. The lowest eight bits of its hash are left out.
    #[inline]
    pub(crate) fn add(&mut self, hash: u64, settings: Bits) {
        let hash = hash & !SETTINGS;
        if settings & !self.bounded != 0 || hash <= self.highest {
            self.waiting.push(hash | u64::from(settings));
            if self.waiting.len() == AT_ONCE {
                self.look_up();
            }
        }
    }

    /// Looks those up that wait.
    #[inline(never)]
    fn look_up(&mut self) {
        let mut waiting = core::mem::take(&mut self.waiting);
        if (self.used + waiting.len()) * 8 >= self.places.len() * 7 {
            self.lay_out((self.places.len() * 2).max(AT_ONCE * 4));
        }
        // Begins to load all of them. Nothing hangs on what is there.
        let first = |one: &u64| self.places[self.first_place(*one)];
        core::hint::black_box(waiting.iter().map(first).fold(0, |all, there| all | there));
        for one in waiting.drain(..) {
            self.enter(one & !SETTINGS, one as Bits);
        }
        self.waiting = waiting;
    }

    fn enter(&mut self, hash: u64, settings: Bits) {
        let mut new = settings;
        for setting in numbers(settings & self.bounded) {
            if self.bounds[setting].is_some_and(|bound| hash > bound) {
                new &= !(1 << setting);
            }
        }
        if new == 0 {
            return;
        }
        let at = self.place(hash);
        let there = self.places[at];
        new &= !(there as Bits);
        if new == 0 {
            return;
        }
        self.used += usize::from(there == 0);
        self.places[at] = there | hash | u64::from(new);
        let mut most = 0;
        for setting in numbers(new) {
            self.held[setting] += 1;
            most = most.max(self.held[setting]);
        }
        if most >= MOST {
            self.drop_largest();
        }
    }

    /// Where a hash is looked for first: not by the highest bits, of which small ones have few.
    #[inline]
    fn first_place(&self, hash: u64) -> usize {
        (hash >> 8) as usize & (self.places.len() - 1)
    }

    /// Where a hash stands, or would.
    #[inline]
    fn place(&self, hash: u64) -> usize {
        let mask = self.places.len() - 1;
        let mut at = self.first_place(hash);
        while self.places[at] != 0 && self.places[at] & !SETTINGS != hash {
            at = (at + 1) & mask;
        }
        at
    }

    /// Puts all that are there into so many places.
    fn lay_out(&mut self, places: usize) {
        let all = core::mem::replace(&mut self.places, alloc::vec![0; places]);
        self.used = 0;
        for one in all.into_iter().filter(|one| one & SETTINGS != 0) {
            let at = self.place(one & !SETTINGS);
            self.places[at] = one;
            self.used += 1;
        }
    }

    /// Leaves no more than are needed of the settings that have most.
    #[cold]
    fn drop_largest(&mut self) {
        for setting in 0..8 {
            if self.held[setting] >= MOST {
                (self.bounds[setting], self.held[setting]) = (self.largest_kept(setting), KEPT);
                self.bounded |= 1 << setting;
            }
        }
        let bounds = self.bounds.map(|bound| bound.unwrap_or(u64::MAX));
        for place in &mut self.places {
            for setting in numbers(*place as Bits) {
                *place &= !(u64::from(*place & !SETTINGS > bounds[setting]) << setting);
            }
        }
        self.highest = self.bounds.iter().flatten().copied().max().unwrap_or(0);
        self.lay_out(self.places.len());
    }

    fn all(&self, setting: usize) -> impl Iterator<Item = u64> {
        self.places.iter().filter(move |one| *one >> setting & 1 == 1).map(|one| one & !SETTINGS)
    }

    /// Of a setting that has more than are needed, or as many, the largest that is.
    fn largest_kept(&self, setting: usize) -> Option<u64> {
        let mut all: Vec<u64> = self.all(setting).collect();
        (all.len() >= KEPT).then(|| *all.select_nth_unstable(KEPT - 1).1)
    }

    /// The same, none waiting.
    fn settled(&self) -> Cow<'_, Self> {
        if self.waiting.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut own = self.clone();
        own.look_up();
        Cow::Owned(own)
    }

    /// How many there were of one setting.
    pub(crate) fn count(&self, setting: usize) -> u64 {
        self.settled().count_held(setting)
    }

    fn count_held(&self, setting: usize) -> u64 {
        let exact = self.held[setting] <= KEPT && self.bounds[setting].is_none();
        match self.largest_kept(setting).filter(|_| !exact) {
            Some(last) => {
                let share = last as f64 / u64::MAX as f64;
                // There are more than are kept, that is certain.
                (((KEPT - 1) as f64 / share) as u64).max(KEPT as u64 + 1)
            }
            None => self.held[setting] as u64,
        }
    }

    /// The same as it would be if what one setting has were all that some others have.
    pub(crate) fn as_of(&self, setting: usize, others: Bits) -> Self {
        self.settled().held_as_of(setting, others)
    }

    fn held_as_of(&self, setting: usize, others: Bits) -> Self {
        let own = self.all(setting).map(|hash| hash | u64::from(others));
        let mut copy = Self { places: own.collect(), ..Self::default() };
        for other in numbers(others) {
            (copy.held[other], copy.bounds[other]) = (self.held[setting], self.bounds[setting]);
        }
        if let Some(bound) = self.bounds[setting] {
            (copy.bounded, copy.highest) = (others, bound);
        }
        copy.lay_out((copy.places.len() * 2).next_power_of_two());
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
    let end = |address: IpAddr, port: u16| match address {
        IpAddr::V4(a) => fold(u64::from(a.to_bits()) | u64::from(port) << 32),
        IpAddr::V6(a) => {
            let bits = a.to_bits();
            fold(bits as u64 ^ fold((bits >> 64) as u64 ^ u64::from(port) << 24))
        }
    };
    let both = end(packet.source(), ports.0).wrapping_add(end(packet.destination(), ports.1));
    mix(both ^ u64::from(packet.protocol))
}

/// Spreads a number over all bits: one product, of which both halves count.
const fn fold(x: u64) -> u64 {
    let product = (x ^ 0x9e37_79b9_7f4a_7c15) as u128 * 0xd6e8_feb8_6659_fd93;
    product as u64 ^ (product >> 64) as u64
}

/// The same, bit by bit better (the finalizer of splitmix64).
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
        assert!(distinct.used < MOST && distinct.places.len() == 1 << 15);
    }

    #[test]
    fn an_estimate_is_never_taken_for_an_exact_number() {
        let mut distinct = Distinct::default();
        for n in 0..KEPT as u64 {
            distinct.add(mix(n), 1);
        }
        assert_eq!(distinct.count(0), KEPT as u64);
        for n in KEPT as u64..KEPT as u64 + 400 {
            distinct.add(mix(n), 1);
            assert!(distinct.count(0) > KEPT as u64, "{n}");
        }
    }

    #[test]
    fn settings_that_lost_other_flows_each_take_two_mebibytes_at_most() {
        let mut distinct = Distinct::default();
        for n in 0..400_000 {
            distinct.add(mix(n), 1 << (n % 8));
        }
        assert_eq!(distinct.places.len(), 1 << 18);
        for setting in 0..8 {
            assert!(distinct.count(setting).abs_diff(50_000) < 1500);
        }
    }
}
