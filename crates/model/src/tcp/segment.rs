//! A TCP segment, as far as the tracker looks at it.

use super::{Class, Side, side};
use crate::ticks::Sequence;

/// The flag octet of the TCP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// FIN
    pub const FIN: Self = Self(1);
    /// SYN
    pub const SYN: Self = Self(2);
    /// RST
    pub const RST: Self = Self(4);
    /// ACK
    pub const ACK: Self = Self(16);
    /// URG
    pub const URG: Self = Self(32);

    /// Whether all of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the combination is one that the tracker accepts; PSH, ECE and CWR don't count.
    pub const fn are_valid(self) -> bool {
        const SYN: u8 = Flags::SYN.0;
        const ACK: u8 = Flags::ACK.0;
        const RST: u8 = Flags::RST.0;
        const FIN: u8 = Flags::FIN.0;
        const URG: u8 = Flags::URG.0;
        let counted = self.0 & (SYN | ACK | RST | FIN | URG);
        matches!(counted, SYN | ACK | RST)
            || counted == SYN | URG
            || counted == SYN | ACK
            || counted == RST | ACK
            || counted == FIN | ACK
            || counted == FIN | ACK | URG
            || counted == ACK | URG
    }
}

/// A TCP segment, as far as the tracker looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment {
    /// Sequence number.
    pub seq: Sequence,
    /// Acknowledgement number, whatever the flags say.
    pub ack: Sequence,
    /// Window, as on the wire.
    pub window: u16,
    /// Flags.
    pub flags: Flags,
    /// Octets of payload.
    pub payload: u32,
    /// The header is longer than its fixed part.
    pub has_options: bool,
    /// Window scale option, at most 14.
    pub window_scale: Option<u8>,
    /// SACK-permitted option.
    pub sack_permitted: bool,
    /// Right edge that its SACK blocks lead to, beyond the acknowledgement.
    pub sack_edge: Option<Sequence>,
}

impl Segment {
    /// One past its last octet; SYN and FIN count.
    pub const fn end(&self) -> Sequence {
        let mut length = self.payload;
        if self.flags.has(Flags::SYN) {
            length += 1;
        }
        if self.flags.has(Flags::FIN) {
            length += 1;
        }
        self.seq.plus(length)
    }

    /// Its class.
    pub const fn class(&self) -> Class {
        if self.flags.has(Flags::RST) {
            Class::Rst
        } else if self.flags.has(Flags::SYN) {
            if self.flags.has(Flags::ACK) { Class::SynAck } else { Class::Syn }
        } else if self.flags.has(Flags::FIN) {
            Class::Fin
        } else if self.flags.has(Flags::ACK) {
            Class::Ack
        } else {
            Class::None
        }
    }
}

impl Side {
    /// Nothing but what a segment says.
    pub(super) fn begin(&mut self, segment: &Segment, keep: u8) {
        self.end = segment.end();
        self.max_end = self.end;
        self.max_window = u32::from(segment.window).max(1);
        self.take_options(segment, keep);
    }

    /// What a SYN offers; of the flags so far only those in `keep` stay. A SYN without any options changes
    /// nothing.
    pub(super) fn take_options(&mut self, segment: &Segment, keep: u8) {
        if !segment.has_options {
            return;
        }
        let (scale, flags) = offers(segment.window_scale, segment.sack_permitted);
        self.scale = scale;
        self.flags = self.flags & keep | flags;
    }
}

/// Scale and flags of a side whose SYN has these options.
#[inline(always)]
pub(crate) fn offers(window_scale: Option<u8>, sack_permitted: bool) -> (u8, u8) {
    let scales = if window_scale.is_some() { side::WINDOW_SCALE } else { 0 };
    let permits = if sack_permitted { side::SACK_PERMITTED } else { 0 };
    (window_scale.unwrap_or(0).min(14), scales | permits)
}
