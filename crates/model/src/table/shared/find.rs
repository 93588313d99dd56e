//! Lookups for several settings at once.

use plimsoll_ct::Class;

use crate::plain::Way;
use crate::table::index::At;
use crate::table::{EntryId, Found, Probe, SEATS, Seats, Spot, Table};
use crate::ticks::Jiffies;

impl Table {
    /// First stage of a lookup: asks for the lines of the index, and what stands beside them.
    #[inline(always)]
    pub(crate) fn approach_all(&self, spot: &Spot) {
        self.approach(spot);
        self.index.prefetch_asides(self.index.first(spot.place));
    }

    /// Second stage: asks for the entries that the lookup will look at, and for the next lines; and for those of so many
    /// chains in which early drop would look for room, if the packet may find no entry in one of the settings that are full.
    #[inline(always)]
    pub(crate) fn reach_shared(&self, spot: &Spot, full: Seats, chains: usize) {
        let first = self.index.first(spot.place);
        let Some(asides) = self.index.asides(first) else { return };
        let (mut slots, mut absent) = (self.index.like(first, spot.place), full);
        while let Some(slot) = slots.newest() {
            self.slab.prefetch(EntryId(self.index.id(first, slot)));
            absent = absent.without(asides.seats(slot));
        }
        if let Some(next) = self.index.next(first) {
            self.index.prefetch_line(next);
            self.index.prefetch_asides(next);
        }
        if !absent.is_empty() && spot.way != Way::Nowhere {
            self.reach_room(spot, chains);
        }
    }

    /// The entries that a tuple leads to in some settings, in each the one that a lookup in its own table would find.
    /// What such a lookup meets and has expired is reaped, `reaped` being told in which, and its class.
    #[inline(always)]
    pub(crate) fn find_shared(
        &mut self,
        probe: &Probe,
        way: Way,
        now: Jiffies,
        seeking: Seats,
        versioned: &mut Versioned,
        mut reaped: impl FnMut(Seats, Class),
    ) {
        (versioned.number, versioned.without) = (0, seeking);
        if !self.glance_shared(probe, way, now, versioned, &mut reaped) {
            (versioned.number, versioned.without) = (0, seeking);
            self.walk_shared(probe, now, versioned, reaped);
        }
    }

    /// The same where the first line has the whole chain, or as much of it as is met. `false`: it takes a walk; what was
    /// reaped is gone.
    #[inline(always)]
    fn glance_shared(
        &mut self,
        probe: &Probe,
        way: Way,
        now: Jiffies,
        versioned: &mut Versioned,
        reaped: &mut impl FnMut(Seats, Class),
    ) -> bool {
        let at = self.index.first(probe.place);
        let Some(asides) = self.index.asides(at) else { return false };
        let over = asides.expired(now).and(self.index.of_chain(at, probe.place));
        let (alike, ends) = (self.index.like(at, probe.place), self.index.next(at).is_none());
        if !(over.is_empty() || ends) {
            return false;
        }
        let mut slots = alike.or(over);
        let mut seeking = versioned.without;
        while let Some(slot) = slots.newest() {
            if over.has(slot) && self.reap(at, slot, seeking, now, reaped) {
                versioned.move_up();
                continue;
            }
            if !alike.has(slot) {
                continue;
            }
            let id = EntryId(self.index.id(at, slot));
            let head = match way {
                Way::Tcp => self.slab.narrow(id),
                Way::Udp => self.slab.narrow_short(id),
                Way::Icmp | Way::WideTcp | Way::Long | Way::Nowhere | Way::Fragment => {
                    return false;
                }
            };
            // One of another protocol or family.
            let Some(head) = head else { continue };
            let Some(direction) = head.answers_to(probe.key.packed()) else {
                if head.has_extras() {
                    return false;
                }
                continue;
            };
            let Some(asides) = self.index.asides(at) else { return false };
            let seats = asides.seats(slot).and(seeking);
            if !seats.is_empty() {
                let found = Found { id, direction, at };
                versioned.push(Version { found, slot: slot as u8, seats });
                seeking = seeking.without(seats);
                if seeking.is_empty() {
                    break;
                }
            }
        }
        versioned.without = seeking;
        ends || seeking.is_empty()
    }

    /// Takes an entry out of those of some settings in which it has expired: whether it is gone.
    #[inline(never)]
    fn reap(
        &mut self,
        at: At,
        slot: usize,
        seeking: Seats,
        now: Jiffies,
        reaped: &mut impl FnMut(Seats, Class),
    ) -> bool {
        let (Some(versions), Some(asides)) = (&self.versions, self.index.asides(at)) else {
            return false;
        };
        let (id, aside) = (EntryId(self.index.id(at, slot)), asides.get(slot));
        let seats = aside.seats.and(seeking);
        let expired = versions.expired(id, &aside, seats, now);
        if expired.is_empty() {
            return false;
        }
        reaped(expired, versions.class(id, aside.row));
        self.leave(at, slot, expired)
    }

    /// The same by a walk of the chain.
    #[inline(never)]
    fn walk_shared(
        &mut self,
        probe: &Probe,
        now: Jiffies,
        versioned: &mut Versioned,
        mut reaped: impl FnMut(Seats, Class),
    ) {
        let mut seeking = versioned.without;
        let first = self.index.first(probe.place);
        let back = probe.key.packed().inverse();
        let mut gone = false;
        let mut line = Some(first);
        while let Some(at) = line {
            let Some(asides) = self.index.asides(at) else { break };
            let alike = self.index.like(at, probe.place);
            let over = asides.expired(now).and(self.index.of_chain(at, probe.place));
            let mut slots = alike.or(over);
            while let Some(slot) = slots.newest() {
                if over.has(slot) && self.reap(at, slot, seeking, now, &mut reaped) {
                    gone = true;
                    continue;
                }
                let Some(asides) = self.index.asides(at) else { break };
                let seats = asides.seats(slot).and(seeking);
                let id = EntryId(self.index.id(at, slot));
                if alike.has(slot)
                    && !seats.is_empty()
                    && let Some(direction) = self.answers_to(id, probe, back)
                {
                    let found = Found { id, direction, at };
                    versioned.push(Version { found, slot: slot as u8, seats });
                    seeking = seeking.without(seats);
                    if seeking.is_empty() {
                        break;
                    }
                }
            }
            line = if seeking.is_empty() { None } else { self.index.next(at) };
        }
        if gone {
            self.index.tidy(first);
        }
        versioned.without = seeking;
    }
}

/// An entry that a tuple leads to, and the settings in which it is the one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version {
    pub(crate) found: Found,
    /// Where it stood in its line.
    pub(super) slot: u8,
    pub(crate) seats: Seats,
}

/// What a tuple leads to in several settings.
#[derive(Debug, Clone)]
pub(crate) struct Versioned {
    found: [Version; SEATS],
    number: usize,
    /// Settings in which there is none.
    pub(crate) without: Seats,
}

impl Versioned {
    pub(crate) const fn new() -> Self {
        let version = Version { found: Found::NOTHING, slot: 0, seats: Seats::NONE };
        Self { found: [version; SEATS], number: 0, without: Seats::NONE }
    }

    #[inline(always)]
    fn push(&mut self, version: Version) {
        self.found[self.number % SEATS] = version;
        self.number += 1;
    }

    /// An entry went from the line, which stood in front of those found so far.
    #[inline(always)]
    fn move_up(&mut self) {
        for version in &mut self.found[..self.number] {
            version.slot -= 1;
        }
    }

    /// Entries, each with the settings in which it is the one.
    #[inline(always)]
    pub(crate) fn get(&self, number: usize) -> Option<Version> {
        if number < self.number { self.found.get(number).copied() } else { None }
    }
}
