//! What the processor can do and safe Rust can't say: asking for memory before it is needed, and comparing sixteen octets
//! or eight numbers or eleven moments at once; and seeing a room of 64 octets as either of two things that are kept in it.
//! All that is `unsafe` in the model.
//!
//! Why: a random lookup costs two cache misses. One after the other they take 150 to 400 ns; asked for ahead,
//! for many packets at once, they take 25. And the eleven tags of a line are compared in a third of the time
//! (docs/speed.md).
#![allow(unsafe_code)]

use super::aside::Asides;
use super::cell::{Long, Pair, Short};
use super::line::Line;

/// Begins to load the cache line of `place`. Changes nothing but the time that a later access takes.
#[inline(always)]
pub(super) fn prefetch<T>(place: &T) {
    prefetch_at(core::ptr::from_ref(place).addr());
}

/// The same of what is at an address, should anything be there.
#[inline(always)]
pub(super) fn prefetch_at(address: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of every x86-64; a prefetch reads nothing that the program could see and
        // can't fault, wherever the address points.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(core::ptr::without_provenance(address)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// What stands beside a line, where the place behind it is kept for that.
#[inline(always)]
pub(super) const fn as_asides(place: &Line) -> &Asides {
    // SAFETY: both are 64 octets at a border of 64, of integers that may have any value, without gaps.
    unsafe { &*core::ptr::from_ref(place).cast() }
}

/// The same, to be changed.
#[inline(always)]
pub(super) const fn as_asides_mut(place: &mut Line) -> &mut Asides {
    // SAFETY: as above; whatever is written is a line's too.
    unsafe { &mut *core::ptr::from_mut(place).cast() }
}

/// A long cell, in the room that is kept for one or for two short ones.
#[inline(always)]
pub(super) const fn as_long(pair: &Pair) -> &Long {
    // SAFETY: both are 64 octets at a border of 64, of integers that may have any value, without gaps.
    unsafe { &*core::ptr::from_ref(pair).cast() }
}

/// The same, to be changed.
#[inline(always)]
pub(super) const fn as_long_mut(pair: &mut Pair) -> &mut Long {
    // SAFETY: as above; whatever is written may be two short cells too.
    unsafe { &mut *core::ptr::from_mut(pair).cast() }
}

/// The other way round.
#[inline(always)]
pub(super) const fn as_pair(long: &Long) -> &Pair {
    // SAFETY: as above.
    unsafe { &*core::ptr::from_ref(long).cast() }
}

const _: () = assert!(size_of::<Long>() == 64 && size_of::<Pair>() == 64);
const _: () = assert!(align_of::<Long>() == 64 && align_of::<Pair>() == 64);
const _: () = assert!(size_of::<Short>() == 32 && core::mem::offset_of!(Long, head) == 0);
const _: () = assert!(size_of::<Line>() == 64 && size_of::<Asides>() == 64);
const _: () = assert!(align_of::<Line>() == 64 && align_of::<Asides>() == 64);
const _: () = assert!(Asides::SEATS == 48 + 5);

/// Which octets of four words are `octet` in the bits of `mask`: a bit for each, the lowest one of the first word first.
#[inline(always)]
pub(super) fn equal(words: [u32; 4], octet: u8, mask: u8) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{
            _mm_and_si128, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi32, _mm_set1_epi8,
        };
        let [a, b, c, d] = words.map(u32::cast_signed);
        // SAFETY: SSE2 is part of every x86-64, and none of these touches memory.
        let mask = unsafe {
            let octets = _mm_and_si128(_mm_set_epi32(d, c, b, a), _mm_set1_epi8(mask as i8));
            _mm_movemask_epi8(_mm_cmpeq_epi8(octets, _mm_set1_epi8((octet & mask) as i8)))
        };
        mask.cast_unsigned()
    }
    #[cfg(not(target_arch = "x86_64"))]
    each_octet(words, |found| (found ^ octet) & mask == 0)
}

/// Which octets of four words are `from` at least and `to` at most: a bit for each, as [`equal`] has them.
#[inline(always)]
pub(super) fn between(words: [u32; 4], from: u8, to: u8) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{
            _mm_cmpeq_epi8, _mm_max_epu8, _mm_min_epu8, _mm_movemask_epi8, _mm_set_epi32,
            _mm_set1_epi8,
        };
        let [a, b, c, d] = words.map(u32::cast_signed);
        // SAFETY: SSE2 is part of every x86-64, and none of these touches memory.
        let mask = unsafe {
            let octets = _mm_set_epi32(d, c, b, a);
            let (from, to) = (_mm_set1_epi8(from as i8), _mm_set1_epi8(to as i8));
            let bound = _mm_min_epu8(_mm_max_epu8(octets, from), to);
            _mm_movemask_epi8(_mm_cmpeq_epi8(octets, bound))
        };
        mask.cast_unsigned()
    }
    #[cfg(not(target_arch = "x86_64"))]
    each_octet(words, |octet| (from..=to).contains(&octet))
}

/// The least octet of those of four words that a bit tells of, as [`equal`] has them; 255 if there are none.
#[inline(always)]
pub(super) fn least(words: [u32; 4], bits: u16) -> u8 {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{
            _mm_and_si128, _mm_andnot_si128, _mm_cmpeq_epi8, _mm_cvtsi32_si128, _mm_cvtsi128_si32,
            _mm_min_epu8, _mm_or_si128, _mm_set_epi32, _mm_set1_epi8, _mm_set1_epi64x,
            _mm_shufflelo_epi16, _mm_srli_si128, _mm_unpacklo_epi8, _mm_unpacklo_epi32,
        };
        let [a, b, c, d] = words.map(u32::cast_signed);
        // SAFETY: as above.
        let least = unsafe {
            // The lower eight bits in each of the lower eight octets, and the upper ones in the others.
            let pairs = _mm_cvtsi32_si128(bits.into());
            let pairs = _mm_shufflelo_epi16::<0b01_01_00_00>(_mm_unpacklo_epi8(pairs, pairs));
            let each = _mm_unpacklo_epi32(pairs, pairs);
            let own = _mm_set1_epi64x(0x8040_2010_0804_0201_u64.cast_signed());
            let told = _mm_cmpeq_epi8(_mm_and_si128(each, own), own);
            let others = _mm_andnot_si128(told, _mm_set1_epi8(-1));
            let mut least = _mm_or_si128(_mm_set_epi32(d, c, b, a), others);
            least = _mm_min_epu8(least, _mm_srli_si128::<8>(least));
            least = _mm_min_epu8(least, _mm_srli_si128::<4>(least));
            least = _mm_min_epu8(least, _mm_srli_si128::<2>(least));
            _mm_cvtsi128_si32(_mm_min_epu8(least, _mm_srli_si128::<1>(least)))
        };
        least as u8
    }
    #[cfg(not(target_arch = "x86_64"))]
    least_by_octet(words, bits)
}

/// Of the entries that stand beside a line, those that are in one of some settings: a bit for each, the first one's being the lowest.
#[inline(always)]
pub(super) fn in_any(asides: &Asides, seats: u8) -> u16 {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{
            __m128i, _mm_and_si128, _mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8,
            _mm_set1_epi8, _mm_setzero_si128,
        };
        // SAFETY: SSE2 is part of every x86-64; what is read are the last sixteen of the 64 octets at a border of 64.
        let absent = unsafe {
            let last: *const __m128i = core::ptr::from_ref(asides).byte_add(48).cast();
            let common = _mm_and_si128(_mm_load_si128(last), _mm_set1_epi8(seats as i8));
            _mm_movemask_epi8(_mm_cmpeq_epi8(common, _mm_setzero_si128()))
        };
        !(absent >> 5) as u16 & 0x7ff
    }
    #[cfg(not(target_arch = "x86_64"))]
    in_any_one_by_one(asides, seats)
}

/// What [`in_any`] says, on any machine.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn in_any_one_by_one(asides: &Asides, seats: u8) -> u16 {
    let is_in = |slot: usize| u16::from(asides.seats(slot).0 & seats != 0);
    (0..11).rev().fold(0, |all, slot| all << 1 | is_in(slot))
}

/// Which of eight numbers of ticks are no more than `past`, as their difference is seen with a sign: a bit for each, the first one's being the
/// lowest.
#[inline(always)]
pub(super) fn over(ticks: &[u32; 8], past: u32) -> u8 {
    #[cfg(target_arch = "x86_64")]
    {
        !(beyond(ticks, 0, past) | beyond(ticks, 4, past) << 4) as u8
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        one_by_one(ticks, past) as u8
    }
}

/// Which of eleven moments have come by `now`, as their difference is seen with a sign: a bit for each, the first one's being the
/// lowest.
#[inline(always)]
pub(super) fn past(moments: &[u32; 11], now: u32) -> u16 {
    #[cfg(target_arch = "x86_64")]
    {
        // The eighth is seen twice.
        let to_come =
            beyond(moments, 0, now) | beyond(moments, 4, now) << 4 | beyond(moments, 7, now) << 7;
        !to_come as u16 & 0x7ff
    }
    #[cfg(not(target_arch = "x86_64"))]
    one_by_one(moments, now)
}

/// Which of four numbers, from one on, are more than `limit`, as their difference is seen with a sign.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn beyond<const N: usize>(numbers: &[u32; N], from: usize, limit: u32) -> i32 {
    use core::arch::x86_64::{
        __m128i, _mm_castsi128_ps, _mm_cmpgt_epi32, _mm_loadu_si128, _mm_movemask_ps,
        _mm_set1_epi32, _mm_setzero_si128, _mm_sub_epi32,
    };
    let four: *const __m128i = numbers[from..from + 4].as_ptr().cast();
    // SAFETY: SSE2 is part of every x86-64; what is read are four of the numbers, wherever they stand.
    unsafe {
        let left = _mm_sub_epi32(_mm_loadu_si128(four), _mm_set1_epi32(limit.cast_signed()));
        _mm_movemask_ps(_mm_castsi128_ps(_mm_cmpgt_epi32(left, _mm_setzero_si128())))
    }
}

/// What [`over`] and [`past`] say, on any machine.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn one_by_one(numbers: &[u32], limit: u32) -> u16 {
    let is_past = |number: &u32| u16::from(number.wrapping_sub(limit).cast_signed() <= 0);
    numbers.iter().rev().fold(0, |mask, number| mask << 1 | is_past(number))
}

/// What [`equal`] and [`between`] say, on any machine.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn each_octet(words: [u32; 4], holds: impl Fn(u8) -> bool) -> u32 {
    let octets = words.map(u32::to_le_bytes);
    let octets = octets.as_flattened().iter().rev();
    octets.fold(0, |all, octet| all << 1 | u32::from(holds(*octet)))
}

/// The same as [`least`].
#[cfg(any(test, not(target_arch = "x86_64")))]
fn least_by_octet(words: [u32; 4], bits: u16) -> u8 {
    let octets = words.map(u32::to_le_bytes);
    let octets = octets.as_flattened().iter().enumerate();
    let told = octets.filter(|(n, _)| bits >> n & 1 != 0).map(|(_, octet)| *octet);
    told.min().unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_compared_all_at_once_as_they_are_one_by_one() {
        let ticks = [0, 1, 5, 250, i32::MAX as u32, 1 << 31, u32::MAX - 1, u32::MAX];
        for past in ticks.iter().flat_map(|t| [t.wrapping_sub(1), *t, t.wrapping_add(1)]) {
            assert_eq!(over(&ticks, past), one_by_one(&ticks, past) as u8, "{past}");
        }
        assert_eq!(over(&ticks, 5), 0b1100_0111, "from the lowest bit up");
    }

    #[test]
    fn moments_are_compared_all_at_once_as_they_are_one_by_one() {
        let moments: [u32; 11] =
            core::array::from_fn(|n| (n as u32).wrapping_mul(0x3333_3333).wrapping_add(7));
        for now in moments.iter().flat_map(|m| [m.wrapping_sub(1), *m, m.wrapping_add(1)]) {
            assert_eq!(past(&moments, now), one_by_one(&moments, now), "{now}");
        }
        let moments = [5, 9, 9, 9, 9, 4, 9, 5, 9, 9, 1];
        assert_eq!(past(&moments, 5), 0b100_1010_0001, "from the lowest bit up");
    }

    #[test]
    fn octets_are_compared_all_at_once_as_they_are_one_by_one() {
        let words = [0x0102_0304, 0xff00_0104, 0x7f80_8001, 0x0100_ff01];
        for (octet, mask) in (0..=255).flat_map(|o| [0xff, 0x80, 0xf0, 0].map(|m| (o, m))) {
            let wanted = each_octet(words, |found| (found ^ octet) & mask == 0);
            assert_eq!(equal(words, octet, mask), wanted, "{octet} {mask}");
        }
        assert_eq!(equal(words, 1, 0xff), 0b1001_0001_0010_1000, "from the lowest octet up");
    }

    #[test]
    fn the_least_of_some_octets_and_those_within_bounds_are_found_as_they_are_one_by_one() {
        let words = [0x0102_0304, 0xff00_0104, 0x7f80_8001, 0x0100_ff01];
        let bits = (0..=u16::MAX).step_by(7);
        assert!(bits.clone().any(|bits| least(words, bits) == 4));
        for bits in bits {
            assert_eq!(least(words, bits), least_by_octet(words, bits), "{bits:x}");
        }
        assert_eq!([least(words, 0), least(words, 0b1001)], [u8::MAX, 1]);
        let bounds = [0, 1, 3, 127, 128, 254, 255];
        for (from, to) in bounds.iter().flat_map(|f| bounds.map(|t| (*f, t))) {
            if from <= to {
                let wanted = each_octet(words, |octet| (from..=to).contains(&octet));
                assert_eq!(between(words, from, to), wanted, "{from} {to}");
            }
        }
        assert_eq!(between(words, 2, 4), 0b1_0111, "from the lowest octet up");
    }

    #[test]
    fn what_is_in_a_setting_is_seen_of_all_at_once_as_of_one_by_one() {
        use super::super::line::EMPTY;
        use super::super::seats::Seats;
        use crate::ticks::Jiffies;

        let mut place = EMPTY;
        let asides = as_asides_mut(&mut place);
        for slot in 0..11 {
            asides.remain(slot, Seats((slot as u8).wrapping_mul(37) & 0b1011_0110), Jiffies(0));
        }
        for seats in 0..=255 {
            assert_eq!(in_any(asides, seats), in_any_one_by_one(asides, seats), "{seats:b}");
        }
        assert_eq!(in_any(asides, 0b100), 0b010_0101_1010);
    }
}
