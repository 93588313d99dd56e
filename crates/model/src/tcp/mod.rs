//! The TCP tracker: what one segment does to an entry.
//!
//! Kernel: `nf_conntrack_tcp_packet()`, `tcp_new()`, net/netfilter/nf_conntrack_proto_tcp.c, v6.18.
//! Sequence numbers: [`Sequence`]; windows: octets, unscaled on the wire; timeouts: seconds.

mod complaint;
mod first;
mod judge;
mod lasting;
mod segment;
mod settings;
mod transitions;
mod window;

pub use segment::{Flags, Segment};
pub use settings::{Behaviour, TcpSettings, Timeouts};
pub use transitions::{Class, Generation, Next, next};

use plimsoll_ct::TcpState;

pub use crate::ticks::Sequence;
pub(crate) use complaint::Stumble;
pub(crate) use first::{First, answer};
use judge::Reset;
pub(crate) use lasting::{Open, Plainly};
pub(crate) use segment::offers;
pub(crate) use window::ACK_WINDOW;

/// Direction of a packet within its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The way of the first packet.
    Original,
    /// The way of the answers.
    Reply,
}

impl Direction {
    /// The other one.
    pub const fn flip(self) -> Self {
        match self {
            Self::Original => Self::Reply,
            Self::Reply => Self::Original,
        }
    }
}

/// What is remembered of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Side {
    /// One past the highest octet sent.
    pub end: Sequence,
    /// One past the highest octet that the other side allows.
    pub max_end: Sequence,
    /// Largest window advertised, scaled.
    pub max_window: u32,
    /// Highest acknowledgement sent.
    pub max_ack: Sequence,
    /// Window scale.
    pub scale: u8,
    /// Bits of the `side` module.
    pub flags: u8,
}

/// Flags of a [`Side`].
pub mod side {
    /// Offered window scaling.
    pub const WINDOW_SCALE: u8 = 1;
    /// Offered selective acknowledgements.
    pub const SACK_PERMITTED: u8 = 2;
    /// Its FIN began the close.
    pub const CLOSE_INIT: u8 = 4;
    /// Out-of-window segments are let through.
    pub const LIBERAL: u8 = 8;
    /// Has octets in flight.
    pub const DATA_UNACKNOWLEDGED: u8 = 16;
    /// `max_ack` is set.
    pub const MAX_ACK_SET: u8 = 32;
    /// (Of the remembered SYN) a challenge ACK is to be expected.
    pub const EXPECT_CHALLENGE: u8 = 64;
    /// (Of the remembered SYN) both sides open at once.
    pub const SIMULTANEOUS_OPEN: u8 = 128;
}

/// The tracker's memory of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp {
    /// By direction: original, reply.
    pub sides: [Side; 2],
    /// State.
    pub state: TcpState,
    pub(crate) last: Last,
    pub(crate) retransmissions: u8,
}

/// The last segment that left a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Last {
    direction: Direction,
    class: Class,
    pub(crate) seq: Sequence,
    pub(crate) ack: Sequence,
    pub(crate) end: Sequence,
    pub(crate) window: u16,
    scale: u8,
    flags: u8,
}

/// As the table packs it.
impl Last {
    pub(crate) const fn new(
        reply: bool,
        class: u32,
        [seq, ack, end]: [Sequence; 3],
        window: u32,
        options: u16,
    ) -> Self {
        let direction = if reply { Direction::Reply } else { Direction::Original };
        let class = match class & 7 {
            0 => Class::Syn,
            1 => Class::SynAck,
            2 => Class::Fin,
            3 => Class::Ack,
            4 => Class::Rst,
            _ => Class::None,
        };
        let [scale, flags] = options.to_be_bytes();
        Self { direction, class, seq, ack, end, window: window as u16, scale, flags }
    }

    pub(crate) const fn is_reply(&self) -> bool {
        matches!(self.direction, Direction::Reply)
    }

    pub(crate) const fn class_number(&self) -> u8 {
        self.class as u8
    }

    /// Whether nothing is known but class and direction.
    pub(crate) fn is_bare(&self) -> bool {
        let numbers = self.seq.0 | self.ack.0 | self.end.0;
        numbers | u32::from(self.window) | u32::from(self.options()) == 0
    }

    /// Scale and flags of a remembered SYN.
    pub(crate) const fn options(&self) -> u16 {
        u16::from_be_bytes([self.scale, self.flags])
    }
}

/// What the tracker needs to know of the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryView {
    /// `[ASSURED]`
    pub assured: bool,
    /// A reply was seen before this segment.
    pub replied: bool,
}

/// What a segment does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Accepted, accounted; the entry now expires in so many seconds.
    Refresh {
        /// Seconds.
        timeout: u32,
        /// The entry becomes assured.
        assure: bool,
        /// A listener is told of the state: it changed, or the flow was brought back in step.
        moved: bool,
    },
    /// Accepted; neither refreshed nor accounted.
    Ignore,
    /// Invalid.
    Invalid {
        /// The expiry is lowered to the unacknowledged timeout: an unacceptable close in both directions.
        lower: bool,
    },
    /// The entry is killed, and this segment starts a new one.
    Reopen,
    /// The entry is killed; the segment is accepted.
    Delete,
}

impl Tcp {
    /// The memory that a first segment makes, or `None` when it makes no entry.
    pub fn open(segment: &Segment, settings: &TcpSettings) -> Option<Self> {
        let class = segment.class();
        let mut sender = Side::default();
        let mut receiver = Side::default();
        match next(settings.behaviour.table, false, class, TcpState::None) {
            Next::To(TcpState::SynSent) => {
                sender.end = segment.end();
                sender.max_end = sender.end;
                sender.max_window = u32::from(segment.window).max(1);
                sender.take_options(segment, 0);
            }
            Next::To(_) if settings.loose => {
                sender.end = segment.end();
                sender.max_window = u32::from(segment.window).max(1);
                sender.max_end = sender.end.plus(sender.max_window);
                sender.flags = side::SACK_PERMITTED | side::LIBERAL;
                receiver.flags = side::SACK_PERMITTED | side::LIBERAL;
            }
            Next::To(_) | Next::Ignore | Next::Invalid => return None,
        }
        Some(Self {
            sides: [sender, receiver],
            state: TcpState::None,
            last: Last {
                direction: Direction::Original,
                class: Class::None,
                seq: Sequence(0),
                ack: Sequence(0),
                end: Sequence(0),
                window: 0,
                scale: 0,
                flags: 0,
            },
            retransmissions: 0,
        })
    }

    /// The memory of an entry of which only the state is known: its windows are learnt anew.
    pub(crate) fn resumed(state: TcpState) -> Self {
        let unknown = Side { flags: side::SACK_PERMITTED | side::LIBERAL, ..Side::default() };
        let last = Last {
            direction: Direction::Original,
            class: Class::None,
            seq: Sequence(0),
            ack: Sequence(0),
            end: Sequence(0),
            window: 1,
            scale: 0,
            flags: 0,
        };
        Self { sides: [unknown; 2], state, last, retransmissions: 0 }
    }
}
