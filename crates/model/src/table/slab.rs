//! Where the entries are: cells of two sizes, for two address families, in pieces that never move.
//!
//! An entry's number tells its shelf in the lowest two bits. Cells that entries leave are used again, the
//! last one first. A shelf grows by one piece at a time, so there is no pause in which everything is copied.

use alloc::collections::BTreeMap;

use plimsoll_ct::{Class, State, Status};

use super::cell::{Beside, Head, Long, Pair, Short};
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

    #[inline(always)]
    const fn shelf(self) -> usize {
        (self.0 & (LONG | WIDE)) as usize
    }

    /// The pair of short cells that it is in, or whose room it takes, and in which half it begins.
    #[inline(always)]
    const fn pair(self) -> (usize, usize) {
        let (number, short) = (self.0 >> 2, !self.0 & LONG);
        ((number >> short) as usize, (number & short) as usize)
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
    /// By shelf: a long cell each, or two short ones. All of one type, so that whoever looks at an entry of any kind need not
    /// branch on that.
    cells: [Pieces<Pair>; 4],
    /// Short cells, by family: the last pair may have one only.
    shorts: [usize; 2],
    beside: [Pieces<Beside>; 2],
    /// IPv6 addresses beside short and long cells.
    wide: [Pieces<Wide>; 2],
    free: [u32; 4],
    extras: BTreeMap<u32, Extras>,
}

impl Slab {
    pub(super) const fn new() -> Self {
        Self {
            cells: [Pieces::new(), Pieces::new(), Pieces::new(), Pieces::new()],
            shorts: [0; 2],
            beside: [Pieces::new(), Pieces::new()],
            wide: [Pieces::new(), Pieces::new()],
            free: [NONE; 4],
            extras: BTreeMap::new(),
        }
    }

    /// Of any entry, by no branch that hangs on its protocol: that nobody can foretell.
    #[inline(always)]
    pub(super) fn head(&self, id: EntryId) -> &Head {
        let (pair, half) = id.pair();
        &self.cells[id.shelf()].get(pair).halves[half].head
    }

    #[inline(always)]
    pub(super) fn head_mut(&mut self, id: EntryId) -> &mut Head {
        let (pair, half) = id.pair();
        &mut self.cells[id.shelf()].get_mut(pair).halves[half].head
    }

    /// An entry's cell, which is a short one.
    #[inline(always)]
    fn short(&self, id: EntryId) -> &Short {
        let (pair, half) = id.pair();
        &self.cells[id.shelf()].get(pair).halves[half]
    }

    #[inline(always)]
    fn short_mut(&mut self, id: EntryId) -> &mut Short {
        let (pair, half) = id.pair();
        &mut self.cells[id.shelf()].get_mut(pair).halves[half]
    }

    /// An entry's cell, which is a long one.
    #[inline(always)]
    fn long(&self, id: EntryId) -> &Long {
        self.cells[id.shelf()].get(id.number()).as_long()
    }

    /// The head of a cell with a body, of IPv4.
    #[inline(always)]
    pub(super) fn narrow(&self, id: EntryId) -> Option<&Head> {
        let [_, narrow, _, _] = &self.cells;
        (id.0 & (LONG | WIDE) == LONG).then(|| &narrow.get(id.number()).as_long().head)
    }

    /// The head of a cell without a body, of IPv4.
    #[inline(always)]
    pub(super) fn narrow_short(&self, id: EntryId) -> Option<&Head> {
        (id.0 & (LONG | WIDE) == 0).then(|| &self.short(id).head)
    }

    /// Status and moment of a UDP entry over IPv4.
    #[inline(always)]
    pub(super) fn udp(&self, id: EntryId) -> Option<(Status, Jiffies)> {
        let cell = self.short(id);
        match cell.memory() {
            Memory::Udp(stream) => Some((cell.head.status(), stream)),
            _ => None,
        }
    }

    /// Changes the expiry of an entry; the new one.
    #[inline(always)]
    pub(super) fn extend(
        &mut self,
        id: EntryId,
        change: impl FnOnce(Jiffies) -> Jiffies,
    ) -> Jiffies {
        let expires = &mut self.head_mut(id).expires;
        *expires = change(*expires);
        *expires
    }

    /// Asks for the cell.
    #[inline(always)]
    pub(super) fn prefetch(&self, id: EntryId) {
        let octets = id.number() << (5 + (id.0 & LONG));
        if let Some(start) = self.cells[id.shelf()].starts.get(octets / PIECE) {
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
        id.number() < self.length(id.shelf()) && !self.head(id).is_free()
    }

    /// Cells of a shelf, taken or free.
    const fn length(&self, shelf: usize) -> usize {
        if shelf & LONG as usize == 0 { self.shorts[shelf >> 1] } else { self.cells[shelf].length }
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
        let memory = if id.is_long() {
            self.long(id).memory(self.beside(id))
        } else {
            self.short(id).memory()
        };
        let head = self.head(id);
        let (status, expires) = (head.status(), head.expires);
        Slot { status, expires, memory }
    }

    /// When the entry was made.
    pub(super) fn created(&self, id: EntryId) -> Jiffies {
        if id.is_long() { self.beside(id).created() } else { self.short(id).created() }
    }

    pub(super) fn vitals(&self, id: EntryId) -> Vitals {
        if id.is_long() {
            let cell = self.long(id);
            cell.head.vitals(cell.state(self.beside(id)))
        } else {
            self.short(id).head.vitals(State::Stateless)
        }
    }

    /// The cell with a body, of IPv4.
    #[inline(always)]
    pub(super) fn narrow_mut(&mut self, id: EntryId) -> Option<&mut Long> {
        let [_, narrow, _, _] = &mut self.cells;
        let is_narrow = id.0 & (LONG | WIDE) == LONG;
        if is_narrow { Some(narrow.get_mut(id.number()).as_long_mut()) } else { None }
    }

    /// The entry's cell, if it is one with a body.
    #[inline(always)]
    pub(super) fn long_mut(&mut self, id: EntryId) -> Option<&mut Long> {
        let pair = self.cells[id.shelf()].get_mut(id.pair().0);
        if id.is_long() { Some(pair.as_long_mut()) } else { None }
    }

    /// What stands beside an entry's cell, which is a long one.
    #[inline(always)]
    fn beside(&self, id: EntryId) -> &Beside {
        self.beside[id.family()].get(id.number())
    }

    /// Status and memory of a TCP entry over IPv4.
    #[inline(always)]
    pub(super) fn tcp(&self, id: EntryId) -> Option<(Status, Jiffies, Tcp)> {
        let ([_, narrow, _, _], [beside, _]) = (&self.cells, &self.beside);
        if id.0 & (LONG | WIDE) != LONG {
            return None;
        }
        let cell = narrow.get(id.number()).as_long();
        if !cell.is_tcp() {
            return None;
        }
        Some((cell.head.status(), cell.head.expires, cell.tcp(beside.get(id.number()))))
    }

    /// Changes a TCP entry over IPv4.
    #[inline(always)]
    pub(super) fn put_tcp(&mut self, id: EntryId, status: Status, expires: Jiffies, tcp: &Tcp) {
        let ([_, narrow, _, _], [beside, _]) = (&mut self.cells, &mut self.beside);
        let beside = beside.get_mut(id.number());
        narrow.get_mut(id.number()).as_long_mut().write_tcp(status, expires, tcp, beside);
    }

    /// Adds a TCP entry over IPv4, as its cell is.
    #[inline(always)]
    pub(super) fn add_cell(&mut self, cell: Long, now: Jiffies) -> EntryId {
        let free = self.free[LONG as usize];
        let ([_, narrow, _, _], [beside, _]) = (&mut self.cells, &mut self.beside);
        let id = EntryId(free);
        if free == NONE {
            let number = narrow.length as u32;
            beside.push(Beside::of(now));
            narrow.push(*cell.as_pair());
            beside.approach_next();
            narrow.approach_next();
            return EntryId(number << 2 | LONG);
        }
        let place = narrow.get_mut(id.number()).as_long_mut();
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
        let cell = self.short_mut(id);
        cell.head.set_key(key);
        cell.set_created(now);
        cell.write(&Slot { status, expires, memory: Memory::Udp(stream) });
        id
    }

    /// Shows expiry and class of all entries, in the order of their places.
    #[inline]
    pub(super) fn census(&self, mut see: impl FnMut(Jiffies, Class)) {
        for (family, beside) in self.beside.iter().enumerate() {
            let [short, long] = [0, 1].map(|long| &self.cells[family << 1 | long]);
            for cell in short.slices().flatten().flat_map(|pair| &pair.halves) {
                // The last pair's other half is as free as one that an entry left.
                if !cell.head.is_free() {
                    see(cell.head.expires, Class::of(cell.head.status(), State::Stateless));
                }
            }
            for (piece, cells) in long.slices().enumerate() {
                let beside = beside.part(piece * Pieces::<Pair>::THINGS, cells.len());
                for (at, (cell, beside)) in cells.iter().zip(beside).enumerate() {
                    let cell = cell.as_long();
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
        if id.is_long() {
            let beside = self.beside[id.family()].get_mut(id.number());
            self.cells[id.shelf()].get_mut(id.number()).as_long_mut().write(slot, beside);
        } else {
            self.short_mut(id).write(slot);
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
            self.short_mut(id).set_created(now);
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
        prefetch(self.head(id));
        if id.0 & (LONG | WIDE) == LONG {
            prefetch(self.beside(id));
        }
    }

    fn grow(&mut self, shelf: u32) -> EntryId {
        let (family, number) = ((shelf >> 1) as usize, self.length(shelf as usize));
        let cells = &mut self.cells[shelf as usize];
        if shelf & LONG != 0 {
            self.beside[family].push(Beside::EMPTY);
            cells.push(Pair::EMPTY);
            // Where no other data of the entry is asked for ahead: it would be waited for as soon as it is written.
            self.beside[family].approach_next();
            cells.approach_next();
        } else {
            if number.is_multiple_of(2) {
                cells.push(Pair::EMPTY);
                cells.approach_next();
            }
            self.shorts[family] += 1;
        }
        if shelf & WIDE != 0 {
            self.wide[(shelf & LONG) as usize].push([[0; 4]; 2]);
        }
        EntryId((number as u32) << 2 | shelf)
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
        self.length(0) + self.length(1) + self.length(2) + self.length(3)
    }

    /// All entries, in the order of their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = EntryId> + '_ {
        (0..4_u32).flat_map(move |shelf| {
            (0..self.length(shelf as usize) as u32)
                .map(move |number| EntryId(number << 2 | shelf))
                .filter(|&id| !self.head(id).is_free())
        })
    }
}
