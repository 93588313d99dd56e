//! An entry in memory: 64 octets for a protocol with windows or tags, 32 for another, in one cache line each.
//!
//! [`Slot`] is what the rest of the model works with; packing and unpacking one is all that happens here. What
//! a packet in good order reads and writes is in the line. Beside it: 16 octets for what only odd packets
//! need (of TCP: the last segment, when it was not the newest of its side), 32 for the addresses of IPv6.

mod handshake;
#[cfg(test)]
mod tests;

use plimsoll_ct::{Class as EntryClass, State, Status, TcpState};
use plimsoll_wire::packet::Acknowledgement;

use super::Vitals;
use super::machine::{as_long, as_long_mut, as_pair};
use crate::dccp::Dccp;
use crate::entry::{Memory, Slot};
use crate::key::Packed;
use crate::plain::Usual;
use crate::sctp::Sctp;
use crate::tcp::{ACK_WINDOW, Class, Direction, Last, Sequence, Side, Tcp, side};
use crate::ticks::Jiffies;

/// What every cell begins with.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Head {
    /// Addresses; of a free cell: the next free one.
    pub(super) addresses: u64,
    /// The rest of the key; the highest octet says what is in the cell.
    rest: u64,
    pub(super) expires: Jiffies,
    status: u16,
    /// TCP: retransmissions. 2.6.18's ICMP: requests without an answer.
    small: u16,
}

/// A cell of 32 octets.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct Short {
    pub(super) head: Head,
    created: Jiffies,
    /// UDP: the moment from which it may be a stream.
    moment: Jiffies,
}

/// A cell of 64 octets.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Long {
    pub(super) head: Head,
    /// TCP: both sides' end, its maximum, largest window, highest acknowledgement.
    sides: [[u32; 4]; 2],
    /// TCP: flags of both sides; their scales, the original direction's in the lower half; state, class of the last segment
    /// and whose it was;
    traits: [u8; 4],
    /// and its window and length.
    wire: u32,
}

/// The room of a cell of 64 octets, or of two of 32. A long cell begins with its head, as a short one does: that of the first half.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Pair {
    pub(super) halves: [Short; 2],
}

impl Pair {
    pub(super) const EMPTY: Self = Self { halves: [Short::EMPTY; 2] };

    #[inline(always)]
    pub(super) const fn as_long(&self) -> &Long {
        as_long(self)
    }

    #[inline(always)]
    pub(super) const fn as_long_mut(&mut self) -> &mut Long {
        as_long_mut(self)
    }
}

/// What stands beside a cell of 64 octets.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Beside {
    created: Jiffies,
    /// Sequence number, acknowledgement and end of the last TCP segment, if the cell does not tell.
    last: [u32; 3],
}

// What the highest octet of `rest` says: the kind in its lower half.
const KIND: u64 = 7 << 56;
/// No segment has left more behind than its class and direction: so it is until a handshake is complete.
const OPENING: u64 = 1 << 59;
/// Beside the cell stands the last segment.
const ODD: u64 = 1 << 60;
/// The side table knows more.
const EXTRAS: u64 = 1 << 61;
const OF_KEY: u64 = (1 << 56) - 1;

const FREE: u64 = 0;
const NOTHING: u64 = 1;
const UDP: u64 = 2;
const TCP: u64 = 3;
const SCTP: u64 = 4;
const GRE: u64 = 5;
const ECHO: u64 = 6;
const DCCP: u64 = 7;
/// The upper octet of a TCP flow that has nothing beside its cell.
const PLAIN_TCP: u64 = TCP << 56;

impl Head {
    pub(super) const EMPTY: Self =
        Self { addresses: 0, rest: 0, expires: Jiffies(0), status: 0, small: 0 };

    /// A free cell, before another one in the list.
    pub(super) const fn free(next: u32) -> Self {
        Self { addresses: next as u64, ..Self::EMPTY }
    }

    pub(super) const fn is_free(&self) -> bool {
        self.kind() == FREE
    }

    const fn kind(&self) -> u64 {
        (self.rest & KIND) >> 56
    }

    /// The key, of IPv6 with only a digest of the addresses.
    #[inline]
    pub(super) const fn key(&self) -> Packed {
        Packed { addresses: self.addresses, rest: self.rest & OF_KEY }
    }

    /// The direction in which the entry, which is not of IPv6, has a key; `None`: in neither, or it is translated.
    #[inline(always)]
    pub(super) fn answers_to(&self, key: Packed) -> Option<Direction> {
        // Whatever stands above the key is the kind, with no mark of a translation. Which direction it is nobody can
        // foretell, so there is no branch.
        let (rest, back) = (self.rest & (OF_KEY | EXTRAS), key.mirrored());
        let original = self.addresses ^ key.addresses | rest ^ key.rest;
        let reply = self.addresses ^ back.addresses | rest ^ back.rest;
        // A packet from an address to itself is found by its reply tuple, which stands first.
        let answers = reply == 0;
        if original.min(reply) != 0 {
            return None;
        }
        Some(if answers { Direction::Reply } else { Direction::Original })
    }

    /// The same of a TCP flow that has nothing beside its cell; `None` of every other one.
    #[inline(always)]
    pub(super) fn answers_plainly_to(&self, key: Packed) -> Option<Direction> {
        let (rest, back) = (key.rest | PLAIN_TCP, key.mirrored());
        let original = self.addresses ^ key.addresses | self.rest ^ rest;
        let reply = self.addresses ^ back.addresses | self.rest ^ (back.rest | PLAIN_TCP);
        // A packet from an address to itself is found by its reply tuple, which stands first.
        let answers = reply == 0;
        if original.min(reply) != 0 {
            return None;
        }
        Some(if answers { Direction::Reply } else { Direction::Original })
    }

    pub(super) const fn status(&self) -> Status {
        Status(self.status as u32)
    }

    pub(super) const fn set_status(&mut self, status: Status) {
        self.status = status.0 as u16;
    }

    /// With a state that stands elsewhere in the cell.
    #[inline]
    pub(super) const fn vitals(&self, state: State) -> Vitals {
        Vitals { expires: self.expires, status: self.status(), state }
    }

    pub(super) const fn has_extras(&self) -> bool {
        self.rest & EXTRAS != 0
    }

    pub(super) const fn set_extras(&mut self, some: bool) {
        self.rest = self.rest & !EXTRAS | if some { EXTRAS } else { 0 };
    }

    pub(super) const fn set_key(&mut self, key: Packed) {
        (self.addresses, self.rest) = (key.addresses, key.rest);
    }

    #[inline]
    const fn write(&mut self, status: Status, expires: Jiffies, kind: u64, small: u16) {
        self.rest = self.rest & (OF_KEY | EXTRAS) | kind << 56;
        self.expires = expires;
        self.status = status.0 as u16;
        self.small = small;
    }
}

impl Short {
    pub(super) const EMPTY: Self =
        Self { head: Head::EMPTY, created: Jiffies(0), moment: Jiffies(0) };

    pub(super) const fn memory(&self) -> Memory {
        match self.head.kind() {
            UDP => Memory::Udp(self.moment),
            ECHO => Memory::Echo(self.head.small),
            _ => Memory::Nothing,
        }
    }

    pub(super) const fn created(&self) -> Jiffies {
        self.created
    }

    pub(super) const fn set_created(&mut self, created: Jiffies) {
        self.created = created;
    }

    #[inline]
    pub(super) fn write(&mut self, slot: &Slot) {
        let (kind, small, moment) = match slot.memory {
            Memory::Udp(moment) => (UDP, 0, moment),
            Memory::Echo(waiting) => (ECHO, waiting, Jiffies(0)),
            // The others are kept in long cells.
            Memory::Nothing
            | Memory::Tcp(_)
            | Memory::Sctp(_)
            | Memory::Gre(_)
            | Memory::Dccp(_) => (NOTHING, 0, Jiffies(0)),
        };
        self.head.write(slot.status, slot.expires, kind, small);
        self.moment = moment;
    }
}

impl Long {
    #[inline(always)]
    pub(super) const fn as_pair(&self) -> &Pair {
        as_pair(self)
    }

    /// The tracker's memory; `beside` is read only where it is needed.
    #[inline]
    pub(super) fn memory(&self, beside: &Beside) -> Memory {
        match self.head.kind() {
            TCP => Memory::Tcp(self.tcp(beside)),
            SCTP => {
                let [[a, b, c, _], _] = self.sides;
                Memory::Sctp(Sctp::unpack([a, b, c]))
            }
            GRE => Memory::Gre([self.sides[0][0], self.sides[0][1]]),
            DCCP => {
                let [[a, b, c, _], _] = self.sides;
                Memory::Dccp(Dccp::unpack([a, b, c]))
            }
            _ => Memory::Nothing,
        }
    }

    pub(super) fn write(&mut self, slot: &Slot, beside: &mut Beside) {
        match slot.memory {
            Memory::Tcp(ref tcp) => self.write_tcp(slot.status, slot.expires, tcp, beside),
            Memory::Sctp(ref sctp) => {
                self.head.write(slot.status, slot.expires, SCTP, 0);
                let [a, b, c] = sctp.pack();
                self.sides[0] = [a, b, c, 0];
            }
            Memory::Gre(timeouts) => {
                self.head.write(slot.status, slot.expires, GRE, 0);
                let [a, b] = timeouts;
                self.sides[0] = [a, b, 0, 0];
            }
            Memory::Dccp(ref dccp) => {
                self.head.write(slot.status, slot.expires, DCCP, 0);
                let [a, b, c] = dccp.pack();
                self.sides[0] = [a, b, c, 0];
            }
            // The others are kept in short cells.
            Memory::Nothing | Memory::Udp(_) | Memory::Echo(_) => {
                self.head.write(slot.status, slot.expires, NOTHING, 0);
            }
        }
    }

    /// The state; `beside` is read only where it is needed.
    #[inline]
    pub(super) fn state(&self, beside: &Beside) -> State {
        match self.head.kind() {
            TCP => State::Tcp(TcpState::from_number(self.traits[3] >> STATE)),
            _ => self.memory(beside).state(),
        }
    }

    /// Does what the tracker does to a segment that acknowledges, in an assured flow in ESTABLISHED: where it lies in
    /// its window and is the newest of its side. Its timeout in ticks; `None`: segment or entry are of another kind, and
    /// nothing has changed.
    #[inline(always)]
    pub(super) fn acknowledge(
        &mut self,
        direction: Direction,
        segment: &Acknowledgement,
        usual: &Usual,
    ) -> Option<u32> {
        let is_plain = self.head.rest & (KIND | OPENING | ODD | EXTRAS) == PLAIN_TCP;
        if is_plain { self.acknowledge_plain(direction, segment, usual) } else { None }
    }

    /// Does what the tracker does to the acknowledgement that completes a handshake: the entry becomes assured. `None`: as
    /// [`Self::acknowledge`] says.
    #[inline(always)]
    pub(super) fn complete(
        &mut self,
        direction: Direction,
        segment: &Acknowledgement,
        usual: &Usual,
    ) -> Option<u32> {
        let is_opening = self.head.rest & (KIND | OPENING | ODD | EXTRAS) == PLAIN_TCP | OPENING;
        if !is_opening {
            return None;
        }
        let ticks = self.acknowledge_as::<true>(direction, segment, usual)?;
        self.head.rest &= !OPENING;
        self.head.status |= Status::ASSURED.0 as u16;
        Some(ticks)
    }

    /// The same, where the key has shown that it is a TCP flow with nothing beside it.
    ///
    /// The same rules as in [`crate::tcp`], on the packed words, for this one case. What speaks against it is
    /// gathered first, as far as the sign of a difference tells it, so that there is one branch for all of it.
    #[inline(always)]
    pub(super) fn acknowledge_plain(
        &mut self,
        direction: Direction,
        segment: &Acknowledgement,
        usual: &Usual,
    ) -> Option<u32> {
        self.acknowledge_as::<false>(direction, segment, usual)
    }

    /// The same, or (`FIRST`) that of the acknowledgement which completes a handshake.
    #[inline(always)]
    fn acknowledge_as<const FIRST: bool>(
        &mut self,
        direction: Direction,
        segment: &Acknowledgement,
        usual: &Usual,
    ) -> Option<u32> {
        const REPLIED: u16 = Status::SEEN_REPLY.0 as u16;
        const OPEN: u16 = Status::ASSURED.0 as u16 | REPLIED;
        const NOTED: u16 = OPEN | Status::FIXED_TIMEOUT.0 as u16;
        // Flags, scales and manner as one number.
        const MANNER: u32 = 24;
        const ESTABLISHED: u32 = (TcpState::Established.number() as u32) << STATE << MANNER;
        // Behind the answer to a SYN.
        const ANSWERED: u32 = ((TcpState::SynRecv.number() as u32) << STATE
            | (Class::SynAck as u32) << CLASS
            | REPLY as u32)
            << MANNER;
        const ACK: u32 = ESTABLISHED | (Class::Ack as u32) << CLASS << MANNER;
        const UNACKNOWLEDGED: u32 = side::DATA_UNACKNOWLEDGED as u32;
        const MAX_ACK_SET: u32 = side::MAX_ACK_SET as u32;
        const SIGN: u32 = 1 << 31;
        let Acknowledgement { seq, ack, window, payload } = *segment;
        let own = direction as u32;
        let (this, that) = (own as usize & 1, own as usize & 1 ^ 1);
        let (of_this, of_that) = (own * 8, (own ^ 1) * 8);
        let [end, max_end, max_window, max_ack] = self.sides[this];
        let [other_end, other_max_end, other_window, _] = self.sides[that];
        let traits = u32::from_le_bytes(self.traits);
        let new_end = seq.wrapping_add(payload);
        let further = new_end.wrapping_sub(end);
        let newer = ack.wrapping_sub(max_ack);
        let lag = other_end.wrapping_sub(ack);
        // It is not the newest of its side,
        let against = further | if FIRST { 0 } else { newer }
            // or lies beyond what the other side allows, or tells of what that never sent, or of what is too old,
            | max_end.wrapping_sub(seq) | lag
            | !lag.wrapping_sub(max_window.max(ACK_WINDOW)).wrapping_sub(1)
            // or a window was never seen, or is beyond all bounds: then the long way knows more.
            | further.wrapping_add(other_window)
            | max_window.wrapping_sub(1) | other_window.wrapping_sub(1);
        let acked = traits >> of_this & MAX_ACK_SET;
        let differs = if FIRST {
            traits & 0xff << MANNER ^ ANSWERED | acked | own
        } else {
            traits & 15 << STATE << MANNER ^ ESTABLISHED | acked ^ MAX_ACK_SET
        };
        let status = if FIRST { REPLIED } else { OPEN };
        let differs =
            differs | u32::from(self.head.status & NOTED ^ status) | against & SIGN | payload >> 16;
        if differs != 0 {
            return None;
        }
        let wire = u32::from(window) << 16 | payload;
        // No branch that hangs on the direction, which nobody can foretell.
        let changes = further | newer | wire ^ self.wire | (traits >> MANNER ^ own) & 1;
        let scaled = u32::from(window) << (traits >> (16 + own * 4) & 15);
        let beyond = max_end.wrapping_sub(new_end) as i32;
        let limit = ack.wrapping_add(scaled);
        let stays = other_max_end.wrapping_sub(1).wrapping_sub(limit) as i32 >= 0;
        self.sides[this] = [new_end, max_end, max_window.max(scaled), ack];
        let other = &mut self.sides[that];
        other[1] = if stays { other_max_end } else { limit.wrapping_add((scaled == 0).into()) };
        other[2] = other_window.wrapping_add(if beyond < 0 { beyond.unsigned_abs() } else { 0 });
        let traits = (traits & 0xff_ffff
            | ACK
            | own << MANNER
            | if FIRST { MAX_ACK_SET << of_this } else { 0 }
            | (u32::from(further != 0) * UNACKNOWLEDGED) << of_this)
            & !((u32::from(lag == 0) * UNACKNOWLEDGED) << of_that);
        self.traits = traits.to_le_bytes();
        self.wire = wire;
        let unacknowledged = traits & (UNACKNOWLEDGED | UNACKNOWLEDGED << 8) != 0;
        if changes == 0 && !FIRST {
            self.head.small = (self.head.small + 1) & 0xff;
            return Some(usual.repeated(unacknowledged, window == 0, self.head.small as u8));
        }
        self.head.small = 0;
        Some(usual.established(unacknowledged, window == 0))
    }

    /// The class; `beside` is read only where it is needed.
    #[inline(always)]
    pub(super) fn class(&self, beside: &Beside) -> EntryClass {
        let status = self.head.status();
        if self.head.kind() != TCP {
            return EntryClass::of(status, self.memory(beside).state());
        }
        // What a census asks of nearly all entries: a bit for each state in place of the states by name.
        let closing = CLOSING >> (self.traits[3] >> STATE) & 1 != 0;
        if !status.contains(Status::ASSURED) {
            EntryClass::Evictable
        } else if closing {
            EntryClass::Closing
        } else {
            EntryClass::Protected
        }
    }

    /// Whether the cell is a TCP flow's.
    #[inline(always)]
    pub(super) const fn is_tcp(&self) -> bool {
        self.head.kind() == TCP
    }

    #[inline(always)]
    pub(super) fn tcp(&self, beside: &Beside) -> Tcp {
        let Self { sides, traits: [own, other, scales, manner], wire, .. } = *self;
        let flags = [own, other];
        let side = |which: usize| {
            let [end, max_end, max_window, max_ack] = sides[which];
            Side {
                end: Sequence(end),
                max_end: Sequence(max_end),
                max_window,
                max_ack: Sequence(max_ack),
                scale: scales >> (which * 4) & 15,
                flags: flags[which],
            }
        };
        let sides = [side(0), side(1)];
        let reply = manner & REPLY != 0;
        let class = u32::from(manner >> CLASS);
        let low = wire as u16;
        let last = match self.head.rest & (ODD | OPENING) {
            0 => {
                let side = &sides[usize::from(reply)];
                let (ack, end) = (side.max_ack, side.end);
                Last::new(reply, class, [end.minus(low.into()), ack, end], wire >> 16, 0)
            }
            OPENING => Last::new(reply, class, [Sequence(0); 3], 0, 0),
            _ => {
                let [seq, ack, end] = beside.last;
                Last::new(reply, class, [seq, ack, end].map(Sequence), wire >> 16, low)
            }
        };
        let state = TcpState::from_number(manner >> STATE);
        Tcp { sides, state, last, retransmissions: self.head.small as u8 }
    }

    #[inline(always)]
    pub(super) fn write_tcp(
        &mut self,
        status: Status,
        expires: Jiffies,
        tcp: &Tcp,
        beside: &mut Beside,
    ) {
        self.head.write(status, expires, TCP, tcp.retransmissions.into());
        let [own, other] = &tcp.sides;
        let last = &tcp.last;
        let reply = last.is_reply();
        let side = &tcp.sides[usize::from(reply)];
        let length = last.end.since(last.seq);
        let newest = last.end == side.end
            && last.ack == side.max_ack
            && length <= u16::MAX.into()
            && last.options() == 0;
        let low = if newest {
            length
        } else if last.is_bare() {
            self.head.rest |= OPENING;
            0
        } else {
            self.head.rest |= ODD;
            beside.last = [last.seq.0, last.ack.0, last.end.0];
            last.options().into()
        };
        let scales = own.scale & 15 | other.scale << 4;
        let manner =
            tcp.state.number().min(15) << STATE | last.class_number() << CLASS | u8::from(reply);
        self.traits = [own.flags & SIDE_FLAGS, other.flags & SIDE_FLAGS, scales, manner];
        let words = |s: &Side| [s.end.0, s.max_end.0, s.max_window, s.max_ack.0];
        self.sides = [words(own), words(other)];
        self.wire = u32::from(last.window) << 16 | low;
    }
}

// Places in the manner of a TCP entry.
const REPLY: u8 = 1;
const CLASS: u32 = 1;
const STATE: u32 = 4;
/// Of a side; the two higher flags are the last segment's.
const SIDE_FLAGS: u8 = 63;

/// States of TCP in which an assured entry is closing, a bit for each by its number.
const CLOSING: u16 = {
    let (mut bits, mut number) = (0, 0);
    while number < 16 {
        let state = State::Tcp(TcpState::from_number(number));
        if let EntryClass::Closing = EntryClass::of(Status::ASSURED, state) {
            bits |= 1 << number;
        }
        number += 1;
    }
    bits
};

impl Beside {
    pub(super) const EMPTY: Self = Self::of(Jiffies(0));

    pub(super) const fn of(created: Jiffies) -> Self {
        Self { created, last: [0; 3] }
    }

    pub(super) const fn created(&self) -> Jiffies {
        self.created
    }

    pub(super) const fn set_created(&mut self, created: Jiffies) {
        self.created = created;
    }
}

const _: () = assert!(size_of::<Short>() == 32 && size_of::<Long>() == 64);
const _: () = assert!(size_of::<Beside>() == 16);
