//! A message with everything the kernel put into it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use plimsoll_ct::{Entry, Time, Tuple};

use super::GENERIC;
use super::decode::{Sink, read};
use crate::{Expected, Malformed};

/// An entry with all that ctnetlink tells of it: [`Flow::encode`] gives the message's bytes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// What every reader of the table can know.
    pub entry: Entry,
    /// What only ctnetlink tells.
    pub details: Details,
    /// Attribute numbers in the order of the message; the encoder keeps to it.
    pub order: Vec<u16>,
}

/// What only ctnetlink tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// nfgenmsg: address family, version, resource id (big-endian on the wire).
    pub generic: [u8; GENERIC],
    /// TCP tracker.
    pub tcp: Option<TcpDetails>,
    /// DCCP tracker.
    pub dccp: Option<DccpDetails>,
    /// SCTP verification tags, original and reply, in the byte order of the packet.
    pub sctp_tags: Option<[Option<u32>; 2]>,
    /// Creation, in nanoseconds since 1970.
    pub started: Option<u64>,
    /// End, in nanoseconds since 1970 (DESTROY events).
    pub stopped: Option<u64>,
    /// Time of the event, in nanoseconds since 1970.
    pub event: Option<u64>,
    /// Sequence-number adjustment of a helper, original and reply.
    pub sequence: [Option<SequenceAdjustment>; 2],
    /// Original tuple of the entry whose expectation made this one.
    pub master: Option<Tuple>,
    /// Security context.
    pub security: Option<Box<str>>,
    /// Label bits, as on the wire.
    pub labels: Option<Box<[u8]>>,
    /// SYN proxy.
    pub synproxy: Option<Synproxy>,
    /// Attributes that this build does not know, with their flag of nesting lost.
    pub unknown: Vec<(u16, Box<[u8]>)>,
}

/// What the TCP tracker tells beside its state; index 0 is the original direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpDetails {
    /// Window scale.
    pub window_scale: [Option<u8>; 2],
    /// Flags and mask.
    pub flags: [Option<[u8; 2]>; 2],
}

/// What the DCCP tracker tells beside its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DccpDetails {
    /// Role of the original side.
    pub role: Option<u8>,
    /// Handshake sequence number.
    pub handshake: Option<u64>,
}

/// How a helper moved the sequence numbers of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SequenceAdjustment {
    /// Position of the last correction.
    pub correction: u32,
    /// Offset before it.
    pub before: u32,
    /// Offset after it.
    pub after: u32,
}

/// What the SYN proxy keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Synproxy {
    /// Initial sequence number.
    pub initial_sequence: u32,
    /// Initial timestamp.
    pub initial_timestamp: u32,
    /// Timestamp offset.
    pub timestamp_offset: u32,
}

impl Flow {
    /// Everything in a message's payload. `now` turns the start timestamp into an age.
    pub fn decode(payload: &[u8], now: Option<Time>) -> Result<Self, Malformed> {
        let mut keep = Keep::default();
        let entry = read(payload, now, &mut keep)?;
        keep.details.generic = payload
            .get(..GENERIC)
            .and_then(|g| g.try_into().ok())
            .ok_or_else(|| Malformed::new("nfgenmsg", Expected::NFGENMSG, payload))?;
        Ok(Self { entry, details: keep.details, order: keep.order })
    }
}

#[derive(Default)]
struct Keep {
    details: Details,
    order: Vec<u16>,
}

impl Sink for Keep {
    fn attribute(&mut self, kind: u16) {
        self.order.push(kind);
    }
    fn details(&mut self) -> Option<&mut Details> {
        Some(&mut self.details)
    }
}
