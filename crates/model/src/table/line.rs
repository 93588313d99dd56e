//! One line of the index: up to eleven entries, in the order in which they came.

use super::machine;
use super::seats::Seats;
use crate::ticks::Jiffies;

/// Entries of one line.
pub(super) const ROOM: usize = 11;
/// One cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line {
    pub(super) ids: [u32; ROOM],
    /// Line with older entries behind this one; 0: none.
    pub(super) link: u32,
    /// A time before which none of the entries expires, or what several settings that share the table know of the line
    /// ([`Line::settled`]), and three words of tags, from the lowest octet up. The highest
    /// octet is the number of entries; its upper half tells of which of up to four chains, or quarters of them, it is known that
    /// nothing but their own time takes their entries away.
    pub(super) watch: [u32; 4],
}

pub(super) const EMPTY: Line = Line { ids: [0; ROOM], link: 0, watch: [0; 4] };
/// The word that counts.
pub(super) const LAST: usize = 3;
/// Ticks that make no difference to what is known of a line.
const UNIT: u32 = 0xff;

/// A set of the places within a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slots(u16);

impl Slots {
    /// A bit for each, the first one's being the lowest.
    pub(super) const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    pub(super) const fn bits(self) -> u16 {
        self.0
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many.
    pub(super) const fn number(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(super) const fn has(self, slot: usize) -> bool {
        self.0 >> slot & 1 != 0
    }

    /// The one, if there is exactly one.
    #[inline(always)]
    pub(super) const fn only(self) -> Option<usize> {
        let one = self.0 != 0 && self.0 & (self.0 - 1) == 0;
        if one { Some(self.0.trailing_zeros() as usize) } else { None }
    }

    /// Takes the newest out.
    #[inline]
    pub(super) fn newest(&mut self) -> Option<usize> {
        let last = 15_u32.checked_sub(self.0.leading_zeros())?;
        self.0 ^= 1 << last;
        Some(last as usize)
    }
}

impl Line {
    /// Whether none of its entries has expired.
    #[inline(always)]
    pub(super) const fn is_fresh(&self, now: Jiffies) -> bool {
        self.bound().left(now) > 0
    }

    #[inline(always)]
    pub(super) const fn bound(&self) -> Jiffies {
        Jiffies(self.watch[0])
    }

    #[inline(always)]
    pub(super) const fn set_bound(&mut self, bound: Jiffies) {
        self.watch[0] = bound.0;
    }

    /// As it is where several settings share the table, and what stands beside a line follows it.
    pub(super) const fn moved(&self) -> Self {
        let mut moved = *self;
        moved.link *= 2;
        moved.watch[0] = 0;
        moved
    }

    /// Where several settings share the table: those in which early drop is known to find nobody to take in this line and those
    /// behind it. All entries are assured there, and none has expired.
    #[inline(always)]
    pub(super) const fn settled(&self, now: Jiffies) -> Seats {
        // The lowest octet tells the settings, the others until when that holds, in units.
        let left = (self.watch[0] & !UNIT).wrapping_sub(now.0 & !UNIT).cast_signed();
        // Without a branch.
        Seats(self.watch[0] as u8 & !((left as i64 - 1) >> 63) as u8)
    }

    /// In these settings all are assured, and none expires before `until`.
    pub(super) fn settle(&mut self, now: Jiffies, seats: Seats, until: Jiffies) {
        let before = self.settled(now);
        let known = Jiffies(self.watch[0] & !UNIT);
        let until = if before.is_empty() { until } else { until.earlier(known) };
        self.watch[0] = until.0 & !UNIT | u32::from(before.or(seats).0);
    }

    /// An entry comes, or expires sooner.
    #[inline(always)]
    pub(super) fn unsettle(&mut self, seats: Seats) {
        self.watch[0] &= !u32::from(seats.0);
    }

    /// Whether an entry stands at this place of it.
    #[inline(always)]
    pub(super) fn has(&self, slot: u8, id: u32) -> bool {
        self.ids.get(usize::from(slot)) == Some(&id)
    }

    /// The entry at a place of it, if it has so many.
    #[inline(always)]
    pub(super) fn id(&self, slot: usize) -> Option<u32> {
        self.ids.get(slot).copied()
    }

    /// An entry now expires at `time`: whether that is sooner than was known of any.
    #[inline(always)]
    pub(super) const fn lower(&mut self, time: Jiffies) -> bool {
        let is_sooner = self.bound().left(time) > 0;
        if is_sooner {
            self.set_bound(time);
        }
        is_sooner
    }

    #[inline]
    pub(super) const fn count(&self) -> usize {
        (self.watch[LAST] >> 24 & 15) as usize
    }

    pub(super) fn tag(&self, slot: usize) -> u8 {
        (self.watch[1 + slot / 4] >> (slot % 4 * 8)) as u8
    }

    fn set_tag(&mut self, slot: usize, tag: u8) {
        let (word, shift) = (&mut self.watch[1 + slot / 4], slot % 4 * 8);
        *word = *word & !(0xff << shift) | u32::from(tag) << shift;
    }

    fn set_count(&mut self, count: usize) {
        self.watch[LAST] = self.watch[LAST] & !(15 << 24) | (count as u32) << 24;
    }

    #[inline]
    pub(super) const fn all(&self) -> Slots {
        Slots(((1_u32 << self.count()) - 1) as u16)
    }

    /// Where tags are `tag`.
    #[inline(always)]
    pub(super) fn same(&self, tag: u8) -> Slots {
        self.matches(tag, 0xff)
    }

    /// Where tags agree with `tag` in the bits of `mask`.
    #[inline(always)]
    pub(super) fn matches(&self, tag: u8, mask: u8) -> Slots {
        // With the word in front of them, so that it is one load.
        Slots((machine::equal(self.watch, tag, mask) >> 4) as u16 & self.all().0)
    }

    /// Of entries whose tags are from one on up to another the least tag, and which they are; `of`: of no others.
    #[inline(always)]
    pub(super) fn least(&self, of: Slots, (from, to): (u8, u8)) -> Option<u8> {
        let some = (machine::between(self.watch, from, to) >> 4) as u16 & of.0 & self.all().0;
        (some != 0).then(|| machine::least(self.watch, some << 4))
    }

    pub(super) fn take(&mut self, slot: usize) {
        let count = self.count();
        self.ids.copy_within(slot + 1.., slot);
        let [_, a, b, c] = self.watch;
        let tags = u128::from(a) | u128::from(b) << 32 | u128::from(c & 0xff_ffff) << 64;
        let below = (1_u128 << (slot * 8)) - 1;
        let tags = tags & below | tags >> 8 & !below;
        (self.watch[1], self.watch[2]) = (tags as u32, (tags >> 32) as u32);
        self.watch[LAST] = c & !0xff_ffff | (tags >> 64) as u32;
        self.set_count(count - 1);
    }

    /// An entry comes to it that expires then.
    pub(super) fn join(&mut self, id: u32, tag: u8, bound: Jiffies) {
        self.set_bound(if self.count() == 0 { bound } else { self.bound().earlier(bound) });
        self.push(id, tag);
    }

    /// An entry comes to it.
    pub(super) fn push(&mut self, id: u32, tag: u8) {
        let count = self.count();
        self.ids[count] = id;
        self.set_tag(count, tag);
        self.set_count(count + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_all_at_once_as_they_are_one_by_one() {
        let mut line = EMPTY;
        for tag in [7, 0, 7, 255, 128, 7, 0, 1, 127, 7, 7] {
            // Whatever stands beside the tags must not be taken for one.
            line.join(u32::from(tag), tag, Jiffies(0x0707_0707));
            for (sought, mask) in (0..=255).flat_map(|s| [(s, 0xff), (s, 0xc0)]) {
                let one = |slot: &usize| (line.tag(*slot) ^ sought) & mask == 0;
                let wanted = (0..line.count()).filter(one).fold(0, |all, slot| all | 1 << slot);
                assert_eq!(line.matches(sought, mask).0, wanted);
                assert!(mask != 0xff || line.same(sought).0 == wanted);
            }
        }
    }

    #[test]
    fn what_is_settled_is_so_until_something_comes_or_expires() {
        let mut line = EMPTY;
        for now in [0, 1000, u32::MAX - 3000].map(Jiffies) {
            line.unsettle(Seats(0xff));
            assert_eq!(line.settled(now), Seats::NONE);
            line.settle(now, Seats(0b0110), now.plus(3000));
            assert_eq!([0, 2700].map(|past| line.settled(now.plus(past))), [Seats(0b0110); 2]);
            assert_eq!(line.settled(now.plus(3000)), Seats::NONE);
            line.unsettle(Seats(0b1100));
            assert_eq!(line.settled(now), Seats(0b0010));
            // What was known holds no longer than both do.
            line.settle(now, Seats(0b1000), now.plus(1000));
            assert_eq!(line.settled(now.plus(700)), Seats(0b1010));
            assert_eq!(line.settled(now.plus(1000)), Seats::NONE);
            line.settle(now.plus(1000), Seats(1), now.plus(9000));
            assert_eq!(
                line.settled(now.plus(8700)),
                Seats(1),
                "what is past is not known any more"
            );
        }
    }
}
