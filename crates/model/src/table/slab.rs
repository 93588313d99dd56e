//! Where the entries are: cells of two sizes, for two address families, in pieces that never move.
//!
//! An entry's number tells its shelf in the lowest two bits. Cells that entries leave are used again, the
//! last one first. A shelf grows by one piece at a time, so there is no pause in which everything is copied.

use alloc::collections::BTreeMap;

use plimsoll_ct::{Class, State, Status};

use super::cell::{Beside, Head, Long, Short};
use super::machine::{prefetch, prefetch_at};
use super::pieces::{PIECE, Pieces};
use super::{Extras, Vitals};
use crate::entry::{Memory, Slot};
use crate::key::{Key, Packed, Wide};
use crate::tcp::Tcp;
use crate::ticks::Jiffies;

/// Names an entry as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub(super) u32);

impl EntryId {
    /// None's name.
    pub(super) const NONE: Self = Self(NONE);

    /// A number below four times the most entries there ever were, used again after the entry's end.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    #[inline]
    const fn number(self) -> usize {
        (self.0 >> 2) as usize
    }

    #[inline]
    const fn is_long(self) -> bool {
        self.0 & LONG != 0
    }

    pub(super) const fn is_wide(self) -> bool {
        self.0 & WIDE != 0
    }

    #[inline]
    const fn family(self) -> usize {
        (self.0 >> 1 & 1) as usize
    }
}

const LONG: u32 = 1;
const WIDE: u32 = 2;
const NONE: u32 = u32::MAX;

/// Cells that a census asks for ahead of the one that it looks at: a page of memory, at whose end the processor itself stops.
const AHEAD: usize = 64;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Slab {
    short: [Pieces<Short>; 2],
    long: [Pieces<Long>; 2],
    beside: [Pieces<Beside>; 2],
    /// IPv6 addresses beside short and long cells.
    wide: [Pieces<Wide>; 2],
    free: [u32; 4],
    extras: BTreeMap<u32, Extras>,
}

impl Slab {
    pub(super) const fn new() -> Self {
        Self {
            short: [Pieces::new(), Pieces::new()],
            long: [Pieces::new(), Pieces::new()],
            beside: [Pieces::new(), Pieces::new()],
            wide: [Pieces::new(), Pieces::new()],
            free: [NONE; 4],
            extras: BTreeMap::new(),
        }
    }

    #[inline]
    pub(super) fn head(&self, id: EntryId) -> &Head {
        if id.is_long() {
            &self.long[id.family()].get(id.number()).head
        } else {
            &self.short[id.family()].get(id.number()).head
        }
    }

    /// The head of a cell with a body, of IPv4.
    #[inline(always)]
    pub(super) fn narrow(&self, id: EntryId) -> Option<&Head> {
        let [narrow, _] = &self.long;
        (id.0 & (LONG | WIDE) == LONG).then(|| &narrow.get(id.number()).head)
    }

    /// The head of a cell without a body, of IPv4.
    #[inline(always)]
    pub(super) fn narrow_short(&self, id: EntryId) -> Option<&Head> {
        let [narrow, _] = &self.short;
        (id.0 & (LONG | WIDE) == 0).then(|| &narrow.get(id.number()).head)
    }

    /// Status and moment of a UDP entry over IPv4.
    #[inline(always)]
    pub(super) fn udp(&self, id: EntryId) -> Option<(Status, Jiffies)> {
        let [narrow, _] = &self.short;
        match narrow.get(id.number()).memory() {
            Memory::Udp(stream) => Some((narrow.get(id.number()).head.status(), stream)),
            _ => None,
        }
    }

    /// Changes the expiry of an entry without a body, over IPv4; the new one.
    #[inline(always)]
    pub(super) fn extend(
        &mut self,
        id: EntryId,
        change: impl FnOnce(Jiffies) -> Jiffies,
    ) -> Jiffies {
        let [narrow, _] = &mut self.short;
        let expires = &mut narrow.get_mut(id.number()).head.expires;
        *expires = change(*expires);
        *expires
    }

    pub(super) fn head_mut(&mut self, id: EntryId) -> &mut Head {
        if id.is_long() {
            &mut self.long[id.family()].get_mut(id.number()).head
        } else {
            &mut self.short[id.family()].get_mut(id.number()).head
        }
    }

    /// Asks for the cell.
    #[inline(always)]
    pub(super) fn prefetch(&self, id: EntryId) {
        // No branch that hangs on the protocol, which nobody can foretell.
        let (long, family) = (id.is_long(), id.family());
        let starts = if long { &self.long[family].starts } else { &self.short[family].starts };
        let octets = id.number() << (5 + u32::from(long));
        if let Some(start) = starts.get(octets / PIECE) {
            prefetch_at(start + octets % PIECE);
        }
    }

    /// Whether the entry's addresses are these, its digest being the same.
    #[inline]
    pub(super) fn has_addresses(&self, id: EntryId, wide: Option<&Wide>) -> bool {
        match wide {
            None => !id.is_wide(),
            Some(wide) => {
                id.is_wide() && self.wide[usize::from(id.is_long())].get(id.number()) == wide
            }
        }
    }

    /// Whether an entry of this name is there.
    pub(super) fn holds(&self, id: EntryId) -> bool {
        let (long, family, number) = (id.is_long(), id.family(), id.number());
        let length = if long { self.long[family].length } else { self.short[family].length };
        number < length && !self.head(id).is_free()
    }

    pub(super) fn key(&self, id: EntryId) -> Key {
        let long = usize::from(id.is_long());
        let wide = id.is_wide().then(|| *self.wide[long].get(id.number()));
        Key::from_parts(self.head(id).key(), wide)
    }

    pub(super) fn get(&self, id: EntryId) -> Option<Slot> {
        self.holds(id).then(|| self.unpack(id))
    }

    /// The entry, which must be there.
    #[inline]
    pub(super) fn unpack(&self, id: EntryId) -> Slot {
        let (family, number) = (id.family(), id.number());
        let memory = if id.is_long() {
            self.long[family].get(number).memory(self.beside[family].get(number))
        } else {
            self.short[family].get(number).memory()
        };
        let head = self.head(id);
        let (status, expires) = (head.status(), head.expires);
        Slot { status, expires, memory }
    }

    /// When the entry was made.
    pub(super) fn created(&self, id: EntryId) -> Jiffies {
        let (family, number) = (id.family(), id.number());
        if id.is_long() {
            self.beside[family].get(number).created()
        } else {
            self.short[family].get(number).created()
        }
    }

    pub(super) fn vitals(&self, id: EntryId) -> Vitals {
        let (family, number) = (id.family(), id.number());
        if id.is_long() {
            let cell = self.long[family].get(number);
            cell.head.vitals(cell.state(self.beside[family].get(number)))
        } else {
            self.short[family].get(number).head.vitals(State::Stateless)
        }
    }

    /// The cell with a body, of IPv4.
    #[inline(always)]
    pub(super) fn narrow_mut(&mut self, id: EntryId) -> Option<&mut Long> {
        let [narrow, _] = &mut self.long;
        if id.0 & (LONG | WIDE) == LONG { Some(narrow.get_mut(id.number())) } else { None }
    }

    /// The entry's cell, if it is one with a body.
    #[inline(always)]
    pub(super) fn long_mut(&mut self, id: EntryId) -> Option<&mut Long> {
        let [narrow, wide] = &mut self.long;
        let shelf = if id.is_wide() { wide } else { narrow };
        if id.is_long() { Some(shelf.get_mut(id.number())) } else { None }
    }

    /// Status and memory of a TCP entry over IPv4.
    #[inline(always)]
    pub(super) fn tcp(&self, id: EntryId) -> Option<(Status, Jiffies, Tcp)> {
        let ([narrow, _], [beside, _]) = (&self.long, &self.beside);
        if id.0 & (LONG | WIDE) != LONG {
            return None;
        }
        let cell = narrow.get(id.number());
        if !cell.is_tcp() {
            return None;
        }
        Some((cell.head.status(), cell.head.expires, cell.tcp(beside.get(id.number()))))
    }

    /// Changes a TCP entry over IPv4.
    #[inline(always)]
    pub(super) fn put_tcp(&mut self, id: EntryId, status: Status, expires: Jiffies, tcp: &Tcp) {
        let ([narrow, _], [beside, _]) = (&mut self.long, &mut self.beside);
        let beside = beside.get_mut(id.number());
        narrow.get_mut(id.number()).write_tcp(status, expires, tcp, beside);
    }

    /// Adds a TCP entry over IPv4, as its cell is.
    #[inline(always)]
    pub(super) fn add_cell(&mut self, cell: Long, now: Jiffies) -> EntryId {
        let free = self.free[LONG as usize];
        let ([narrow, _], [beside, _]) = (&mut self.long, &mut self.beside);
        let id = EntryId(free);
        if free == NONE {
            let number = narrow.length as u32;
            beside.push(Beside::of(now));
            narrow.push(cell);
            beside.approach_next();
            narrow.approach_next();
            return EntryId(number << 2 | LONG);
        }
        let place = narrow.get_mut(id.number());
        let next = place.head.addresses as u32;
        *place = cell;
        beside.get_mut(id.number()).set_created(now);
        self.take_free(LONG, next);
        id
    }

    /// The first free cell of a shelf is taken, behind which there is this one.
    #[inline(always)]
    fn take_free(&mut self, shelf: u32, next: u32) {
        self.free[shelf as usize] = next;
        // The next entry that comes will want it.
        if next != NONE {
            self.prefetch_free(EntryId(next));
        }
    }

    /// Adds a UDP entry over IPv4 that has no extras.
    #[inline(always)]
    pub(super) fn add_udp(
        &mut self,
        key: Packed,
        status: Status,
        expires: Jiffies,
        stream: Jiffies,
        now: Jiffies,
    ) -> EntryId {
        let id = self.room(0);
        let [narrow, _] = &mut self.short;
        let cell = narrow.get_mut(id.number());
        cell.head.set_key(key);
        cell.set_created(now);
        cell.write(&Slot { status, expires, memory: Memory::Udp(stream) });
        id
    }

    /// Shows expiry and class of all entries, in the order of their places.
    #[inline]
    pub(super) fn census(&self, mut see: impl FnMut(Jiffies, Class)) {
        for family in [0, 1] {
            for cell in self.short[family].slices().flatten() {
                if !cell.head.is_free() {
                    see(cell.head.expires, Class::of(cell.head.status(), State::Stateless));
                }
            }
            for (piece, cells) in self.long[family].slices().enumerate() {
                let beside = self.beside[family].part(piece * Pieces::<Long>::THINGS, cells.len());
                for (at, (cell, beside)) in cells.iter().zip(beside).enumerate() {
                    if let Some(ahead) = cells.get(at + AHEAD) {
                        prefetch(ahead);
                    }
                    if !cell.head.is_free() {
                        see(cell.head.expires, cell.class(beside));
                    }
                }
            }
        }
    }

    /// Changes an entry; its key and its creation stay.
    #[inline]
    pub(super) fn put(&mut self, id: EntryId, slot: &Slot) {
        let (family, number) = (id.family(), id.number());
        if id.is_long() {
            let beside = self.beside[family].get_mut(number);
            self.long[family].get_mut(number).write(slot, beside);
        } else {
            self.short[family].get_mut(number).write(slot);
        }
    }

    pub(super) fn add(
        &mut self,
        key: &Key,
        slot: &Slot,
        now: Jiffies,
        extras: Option<Extras>,
    ) -> EntryId {
        // TCP, DCCP, GRE and SCTP remember more than fits into a short cell.
        let long = matches!(key.packed().protocol(), 6 | 33 | 47 | 132);
        let long = if long { LONG } else { 0 };
        let shelf = long | if key.wide().is_some() { WIDE } else { 0 };
        let id = self.room(shelf);
        self.head_mut(id).set_key(key.packed());
        if let Some(&wide) = key.wide() {
            *self.wide[long as usize].get_mut(id.number()) = wide;
        }
        if id.is_long() {
            self.beside[id.family()].get_mut(id.number()).set_created(now);
        } else {
            self.short[id.family()].get_mut(id.number()).set_created(now);
        }
        self.put(id, slot);
        if let Some(extras) = extras {
            self.extras.insert(id.0, extras);
            self.head_mut(id).set_extras(true);
        }
        id
    }

    /// A cell for one more of a shelf.
    #[inline(always)]
    fn room(&mut self, shelf: u32) -> EntryId {
        let free = self.free[shelf as usize];
        if free == NONE {
            return self.grow(shelf);
        }
        let id = EntryId(free);
        let next = self.head(id).addresses as u32;
        *self.head_mut(id) = Head::EMPTY;
        self.take_free(shelf, next);
        id
    }

    /// Asks for a free cell, and what stands beside it.
    #[inline(always)]
    fn prefetch_free(&self, id: EntryId) {
        let ([short, _], [long, _], [beside, _]) = (&self.short, &self.long, &self.beside);
        match id.0 & (LONG | WIDE) {
            LONG => {
                prefetch(long.get(id.number()));
                prefetch(beside.get(id.number()));
            }
            0 => prefetch(short.get(id.number())),
            _ => prefetch(self.head(id)),
        }
    }

    fn grow(&mut self, shelf: u32) -> EntryId {
        let family = (shelf >> 1) as usize;
        let number = if shelf & LONG == 0 {
            self.short[family].push(Short::EMPTY);
            self.short[family].approach_next();
            self.short[family].length
        } else {
            self.beside[family].push(Beside::EMPTY);
            self.long[family].push(Long::EMPTY);
            // Where no other data of the entry is asked for ahead: it would be waited for as soon as it is written.
            self.beside[family].approach_next();
            self.long[family].approach_next();
            self.long[family].length
        };
        if shelf & WIDE != 0 {
            self.wide[(shelf & LONG) as usize].push([[0; 4]; 2]);
        }
        EntryId(((number - 1) as u32) << 2 | shelf)
    }

    pub(super) fn free(&mut self, id: EntryId) {
        if self.head(id).has_extras() {
            self.extras.remove(&id.0);
        }
        let shelf = (id.0 & 3) as usize;
        let next = core::mem::replace(&mut self.free[shelf], id.0);
        *self.head_mut(id) = Head::free(next);
    }

    pub(super) fn extras(&self, id: EntryId) -> Option<&Extras> {
        if self.head(id).has_extras() { self.extras.get(&id.0) } else { None }
    }

    /// A younger entry claims some of its packets.
    pub(super) fn outdo(&mut self, id: EntryId) {
        self.extras.entry(id.0).or_default().outdone = true;
        self.head_mut(id).set_extras(true);
    }

    pub(super) fn all_extras(&self) -> impl Iterator<Item = (EntryId, &Extras)> {
        self.extras.iter().map(|(id, extras)| (EntryId(*id), extras))
    }

    /// Places for entries, taken or free.
    pub(super) const fn cells(&self) -> usize {
        let ([a, b], [c, d]) = (&self.short, &self.long);
        a.length + b.length + c.length + d.length
    }

    /// All entries, in the order of their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = EntryId> + '_ {
        (0..4_u32).flat_map(move |shelf| {
            let family = (shelf >> 1) as usize;
            let length = if shelf & LONG == 0 {
                self.short[family].length
            } else {
                self.long[family].length
            };
            (0..length as u32)
                .map(move |number| EntryId(number << 2 | shelf))
                .filter(|&id| !self.head(id).is_free())
        })
    }
}
