//! An entry in memory: 64 octets for a protocol with windows or tags, 32 for another, in one cache line each.
//!
//! [`Slot`] is what the rest of the model works with; packing and unpacking one is all that happens here. What
//! a packet in good order reads and writes is in the line. Beside it: 16 octets for what only odd packets
//! need (of TCP: the last segment, when it was not the newest of its side), 32 for the addresses of IPv6.

use plimsoll_ct::{DccpState, State, Status, TcpState};

use super::Vitals;
use crate::entry::{Memory, Slot};
use crate::key::Packed;
use crate::sctp::Sctp;
use crate::tcp::{
    Class, Direction, Last, Plain, Segment, Sequence, Side, Tcp, TcpSettings, Timeouts,
};
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
    body: [u32; 10],
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

    pub(super) const fn status(&self) -> Status {
        Status(self.status as u32)
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

    #[inline]
    pub(super) const fn is_expired(&self, now: Jiffies) -> bool {
        self.expires.left(now) <= 0
    }

    pub(super) const fn set_key(&mut self, key: Packed) {
        (self.addresses, self.rest) = (key.addresses, key.rest);
    }

    #[inline]
    const fn write(&mut self, slot: &Slot, kind: u64, small: u16) {
        self.rest = self.rest & (OF_KEY | EXTRAS) | kind << 56;
        self.expires = slot.expires;
        self.status = slot.status.0 as u16;
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
        self.head.write(slot, kind, small);
        self.moment = moment;
    }
}

impl Long {
    pub(super) const EMPTY: Self = Self { head: Head::EMPTY, body: [0; 10] };

    /// The tracker's memory; `beside` is read only where it is needed.
    #[inline]
    pub(super) fn memory(&self, beside: &Beside) -> Memory {
        match self.head.kind() {
            TCP => Memory::Tcp(self.tcp(beside)),
            SCTP => Memory::Sctp(Sctp::unpack([self.body[0], self.body[1], self.body[2]])),
            GRE => Memory::Gre([self.body[0], self.body[1]]),
            DCCP => Memory::Dccp(DccpState::from_number(self.body[0] as u8)),
            _ => Memory::Nothing,
        }
    }

    pub(super) fn write(&mut self, slot: &Slot, beside: &mut Beside) {
        match slot.memory {
            Memory::Tcp(ref tcp) => {
                self.head.write(slot, TCP, tcp.retransmissions.into());
                self.write_tcp(tcp, beside);
            }
            Memory::Sctp(ref sctp) => {
                self.head.write(slot, SCTP, 0);
                [self.body[0], self.body[1], self.body[2]] = sctp.pack();
            }
            Memory::Gre(timeouts) => {
                self.head.write(slot, GRE, 0);
                [self.body[0], self.body[1]] = timeouts;
            }
            Memory::Dccp(state) => {
                self.head.write(slot, DCCP, 0);
                self.body[0] = state.number().into();
            }
            // The others are kept in short cells.
            Memory::Nothing | Memory::Udp(_) | Memory::Echo(_) => {
                self.head.write(slot, NOTHING, 0);
            }
        }
    }

    /// The state; `beside` is read only where it is needed.
    #[inline]
    pub(super) fn state(&self, beside: &Beside) -> State {
        match self.head.kind() {
            TCP => State::Tcp(TcpState::from_number((self.body[8] >> STATE) as u8 & 15)),
            _ => self.memory(beside).state(),
        }
    }

    /// Does what a plain segment in good order does ([`Plain`]), in place, and tells the timeout in seconds. `None`:
    /// the segment or the entry is of another kind, and nothing has changed.
    #[inline(always)]
    pub(super) fn plain(
        &mut self,
        direction: Direction,
        segment: &Segment,
        settings: &TcpSettings,
        timeouts: &Timeouts,
    ) -> Option<u32> {
        const OPEN: u16 = (Status::ASSURED.0 | Status::SEEN_REPLY.0) as u16;
        const NOTED: u16 = OPEN | Status::FIXED_TIMEOUT.0 as u16;
        const ESTABLISHED: u32 = TcpState::Established.number() as u32;
        let packed = self.body[8];
        let wire = self.body[9];
        let own = direction as usize;
        let plain = self.head.rest & (KIND | ODD | EXTRAS) == TCP << 56
            && self.head.status & NOTED == OPEN
            && packed >> STATE & 15 == ESTABLISHED;
        if !plain {
            return None;
        }
        let side = |which: usize| {
            let words = &self.body[which * 4..which * 4 + 4];
            Side {
                end: Sequence(words[0]),
                max_end: Sequence(words[1]),
                max_window: words[2],
                max_ack: Sequence(words[3]),
                scale: (packed >> SCALES[which]) as u8 & 15,
                flags: (packed >> FLAGS[which]) as u8 & SIDE_FLAGS,
            }
        };
        let mut plain = Plain {
            sender: side(own),
            receiver: side(1 - own),
            is_senders: (packed >> REPLY & 1) as usize == own,
            length: wire as u16,
            window: (wire >> 16) as u16,
            retransmissions: self.head.small as u8,
        };
        let timeout = plain.judge(segment, settings, timeouts)?;
        let Plain { sender, receiver, length, window, retransmissions, .. } = plain;
        let words = &mut self.body[own * 4..own * 4 + 4];
        (words[0], words[2], words[3]) = (sender.end.0, sender.max_window, sender.max_ack.0);
        let words = &mut self.body[4 - own * 4..8 - own * 4];
        (words[1], words[2]) = (receiver.max_end.0, receiver.max_window);
        let flags = u32::from(SIDE_FLAGS);
        self.body[8] = packed & !(flags << FLAGS[0] | flags << FLAGS[1] | 7 << CLASS | 1 << REPLY)
            | u32::from(sender.flags) << FLAGS[own]
            | u32::from(receiver.flags) << FLAGS[1 - own]
            | (Class::Ack as u32) << CLASS
            | (own as u32) << REPLY;
        self.body[9] = u32::from(window) << 16 | u32::from(length);
        self.head.small = retransmissions.into();
        Some(timeout)
    }

    #[inline]
    fn tcp(&self, beside: &Beside) -> Tcp {
        let [a, b, c, d, e, f, g, h, packed, wire] = self.body;
        let side = |[end, max_end, max_window, max_ack]: [u32; 4], flags: u32, scale: u32| Side {
            end: Sequence(end),
            max_end: Sequence(max_end),
            max_window,
            max_ack: Sequence(max_ack),
            scale: (packed >> scale) as u8 & 15,
            flags: (packed >> flags) as u8 & SIDE_FLAGS,
        };
        let sides =
            [side([a, b, c, d], FLAGS[0], SCALES[0]), side([e, f, g, h], FLAGS[1], SCALES[1])];
        let reply = packed >> REPLY & 1 != 0;
        let low = wire as u16;
        let last = if self.head.rest & ODD == 0 {
            let side = &sides[usize::from(reply)];
            let (ack, end) = (side.max_ack, side.end);
            Last::new(reply, packed >> CLASS, [end.minus(low.into()), ack, end], wire >> 16, 0)
        } else {
            let [seq, ack, end] = beside.last;
            Last::new(reply, packed >> CLASS, [seq, ack, end].map(Sequence), wire >> 16, low)
        };
        let state = TcpState::from_number((packed >> STATE) as u8 & 15);
        Tcp { sides, state, last, retransmissions: self.head.small as u8 }
    }

    #[inline]
    fn write_tcp(&mut self, tcp: &Tcp, beside: &mut Beside) {
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
        } else {
            self.head.rest |= ODD;
            beside.last = [last.seq.0, last.ack.0, last.end.0];
            last.options().into()
        };
        let packed = u32::from(own.flags & SIDE_FLAGS) << FLAGS[0]
            | u32::from(other.flags & SIDE_FLAGS) << FLAGS[1]
            | u32::from(own.scale & 15) << SCALES[0]
            | u32::from(other.scale & 15) << SCALES[1]
            | u32::from(tcp.state.number().min(15)) << STATE
            | u32::from(last.class_number()) << CLASS
            | u32::from(reply) << REPLY;
        self.body = [
            own.end.0,
            own.max_end.0,
            own.max_window,
            own.max_ack.0,
            other.end.0,
            other.max_end.0,
            other.max_window,
            other.max_ack.0,
            packed,
            u32::from(last.window) << 16 | low,
        ];
    }
}

// Places in the ninth word of a TCP entry.
const FLAGS: [u32; 2] = [0, 6];
const SCALES: [u32; 2] = [12, 16];
const STATE: u32 = 20;
const CLASS: u32 = 24;
const REPLY: u32 = 27;
/// Of a side; the two higher flags are the last segment's.
const SIDE_FLAGS: u8 = 63;

impl Beside {
    pub(super) const EMPTY: Self = Self { created: Jiffies(0), last: [0; 3] };

    pub(super) const fn created(&self) -> Jiffies {
        self.created
    }

    pub(super) const fn set_created(&mut self, created: Jiffies) {
        self.created = created;
    }
}

const _: () = assert!(size_of::<Short>() == 32 && size_of::<Long>() == 64);
const _: () = assert!(size_of::<Beside>() == 16);
