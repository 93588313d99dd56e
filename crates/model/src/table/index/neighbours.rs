//! Chains beside each other, in which early drop looks for room: the lines that they begin in, and their entries there, chain after chain.

use core::ops::Range;

use super::{At, Index, Place};
use crate::table::line::Slots;

impl Index {
    /// So many chains from one on, the first following the last: the lines in which they begin, and which of the line's chains they are.
    #[inline(always)]
    pub(in crate::table) fn groups(
        &self,
        first: usize,
        number: usize,
    ) -> impl Iterator<Item = (At, Range<usize>)> + use<> {
        let (chains, shift, stride) = (self.chains(), self.shift, self.stride);
        let (mut chain, mut left) = (first, number.min(chains));
        core::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let line = chain >> shift;
            let end = ((line + 1) << shift).min(chains).min(chain + left);
            let some = chain..end;
            left -= end - chain;
            chain = if end == chains { 0 } else { end };
            Some((At((line as u32) << stride), some))
        })
    }

    /// The lines of these alone; the last one of them more than once, so that there are always as many.
    #[inline(always)]
    pub(in crate::table) fn around(
        &self,
        first: usize,
        number: usize,
    ) -> impl ExactSizeIterator<Item = At> + use<> {
        let (chains, shift, stride) = (self.chains(), self.shift, self.stride);
        let last = number.min(chains).saturating_sub(1);
        // The last line may have fewer chains than others.
        let goes_on = first + last < chains;
        let (lines, step) = if goes_on { ((last >> shift) + 2, 1 << shift) } else { (last + 1, 1) };
        (0..lines).map(move |n| {
            let chain = first + (n * step).min(last);
            let chain = if chain < chains { chain } else { chain - chains };
            At(((chain >> shift) as u32) << stride)
        })
    }

    /// The tags of some chains of a line, from the first one's on up to the last one's.
    #[inline(always)]
    pub(in crate::table) const fn tags(&self, chains: &Range<usize>) -> (u8, u8) {
        let last = self.place_of_chain(chains.end - 1).tag;
        (self.place_of_chain(chains.start).tag, last | !self.chain_mask())
    }

    /// The least tag of some entries of a line within bounds.
    #[inline(always)]
    pub(in crate::table) fn least(&self, at: At, of: Slots, bounds: (u8, u8)) -> Option<u8> {
        self.line(at).least(of, bounds)
    }

    /// The place of entries with a tag, whose chain begins in a line, and the next chain's least tag; `None`: it is the line's last one.
    #[inline(always)]
    pub(in crate::table) const fn tagged(&self, first: At, tag: u8) -> (Place, Option<u8>) {
        (Place { line: first.0, tag }, (tag | !self.chain_mask()).checked_add(1))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn neighbouring_chains_are_told_by_their_lines_wherever_they_begin() {
        for (chains, max) in
            [(1, 1), (3, 1), (5, 100), (23, 7), (150, 650), (151, 650), (1000, 2000)]
        {
            let index = Index::new(chains, max);
            for (first, number) in (0..index.chains()).flat_map(|c| [(c, 1), (c, 8), (c, 13)]) {
                let wanted = (0..number.min(index.chains())).map(|n| (first + n) % index.chains());
                let told = index.groups(first, number).flat_map(|(_, chains)| chains);
                assert!(told.eq(wanted.clone()), "{chains}, {max}: {number} from {first}");
                for (at, chains) in index.groups(first, number) {
                    let (from, to) = index.tags(&chains);
                    let places = chains.map(|chain| index.place_of_chain(chain));
                    assert!(places.clone().all(|place| index.first(place) == at));
                    assert!(places.clone().all(|p| (from..=to).contains(&p.tag)));
                    let tag = from + (to - from) / 2;
                    let (place, next) = index.tagged(at, tag);
                    assert_eq!((place.line, place.tag), (at.0, tag));
                    assert!(next.is_none_or(
                        |next| index.chain(index.tagged(at, next).0) > index.chain(place)
                    ));
                }
                let lines = |mut all: Vec<u32>| {
                    all.sort_unstable();
                    all.dedup();
                    all
                };
                let groups = index.groups(first, number).map(|(at, _)| at.0).collect();
                let around = index.around(first, number).map(|at| at.0).collect();
                assert_eq!(lines(groups), lines(around), "{chains}, {max}: {number} from {first}");
            }
        }
    }
}
