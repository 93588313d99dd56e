//! The TCP tracker: what one segment does to an entry.
//!
//! Kernel: `nf_conntrack_tcp_packet()`, `tcp_new()`, net/netfilter/nf_conntrack_proto_tcp.c, v6.18.
//! Sequence numbers: [`Sequence`]; windows: octets, unscaled on the wire; timeouts: seconds.

mod complaint;
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
pub(crate) use window::ACK_WINDOW;
use window::Window;

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

    /// What [`Tcp::open`] and [`Tcp::judge`] make of a SYN that opens a flow; `None`: it is another segment.
    #[inline(always)]
    pub(crate) fn opened(segment: &Segment) -> Option<Self> {
        if segment.class() != Class::Syn {
            return None;
        }
        let (end, window) = (segment.end(), u32::from(segment.window).max(1));
        let mut sender = Side { end, max_end: end, max_window: window, ..Side::default() };
        sender.take_options(segment, 0);
        let receiver = Side { max_end: Sequence(window), ..Side::default() };
        let nothing = [Sequence(0); 3];
        let last = Last::new(false, Class::Syn as u32, nothing, 0, 0);
        Some(Self { sides: [sender, receiver], state: TcpState::SynSent, last, retransmissions: 0 })
    }

    /// Does what [`Tcp::judge`] does to the answer of a SYN, where both are what they mostly are. `false`: they are not, and
    /// nothing has changed.
    #[inline(always)]
    pub(crate) fn answered(&mut self, direction: Direction, segment: &Segment) -> bool {
        let [opener, answerer] = &mut self.sides;
        let usual = direction == Direction::Reply
            && self.state == TcpState::SynSent
            && segment.class() == Class::SynAck
            && self.last.is_bare()
            && self.retransmissions == 0
            && *answerer == Side { max_end: answerer.max_end, ..Side::default() }
            && segment.payload == 0
            && segment.sack_edge.is_none()
            && segment.ack == opener.end;
        if !usual {
            return false;
        }
        let window = u32::from(segment.window);
        answerer.begin(segment, 0);
        let both = answerer.flags & opener.flags & side::WINDOW_SCALE != 0;
        if !both {
            (answerer.scale, opener.scale) = (0, 0);
        }
        answerer.max_ack = segment.ack;
        answerer.flags |= side::MAX_ACK_SET;
        let limit = segment.ack.plus(window.max(1));
        if limit.after(opener.max_end) {
            opener.max_end = limit;
        }
        opener.flags &= !side::DATA_UNACKNOWLEDGED;
        self.state = TcpState::SynRecv;
        (self.last.class, self.last.direction) = (Class::SynAck, Direction::Reply);
        true
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

    /// Judges a segment; the first one too, after [`Tcp::open`].
    #[inline]
    pub fn judge(
        &mut self,
        direction: Direction,
        segment: &Segment,
        entry: EntryView,
        settings: &TcpSettings,
        timeouts: &Timeouts,
    ) -> Outcome {
        let outcome = self.judge_but_timeout(direction, segment, entry, settings);
        match outcome {
            Outcome::Refresh { assure, moved, .. } => {
                Outcome::Refresh { timeout: self.lasts(entry, settings, timeouts), assure, moved }
            }
            other => other,
        }
    }

    /// The same, but that a timeout is 0: [`Tcp::lasts`] says which.
    #[inline]
    pub(crate) fn judge_but_timeout(
        &mut self,
        direction: Direction,
        segment: &Segment,
        entry: EntryView,
        settings: &TcpSettings,
    ) -> Outcome {
        let class = segment.class();
        let mut old = self.state;
        let mut check_window = true;
        let mut new =
            match next(settings.behaviour.table, direction == Direction::Reply, class, old) {
                Next::Invalid => return Outcome::Invalid { lower: false },
                Next::Ignore => match self.ignored(direction, class, segment, old, settings) {
                    Ignored::Resynchronised => {
                        old = TcpState::SynSent;
                        TcpState::SynRecv
                    }
                    Ignored::Remembered => return Outcome::Ignore,
                },
                Next::To(state) => state,
            };
        match new {
            // Re-opening a flow that is over. The simultaneous open never comes here.
            TcpState::SynSent if old.number() >= TcpState::TimeWait.number() => {
                let closed = (self.sides[0].flags | self.sides[1].flags) & side::CLOSE_INIT != 0;
                let reset = self.last.direction == direction && self.last.class == Class::Rst;
                if closed || reset {
                    return Outcome::Reopen;
                }
                match self.ignored(direction, class, segment, old, settings) {
                    Ignored::Resynchronised | Ignored::Remembered => return Outcome::Ignore,
                }
            }
            TcpState::TimeWait
                if old == TcpState::LastAck
                    && class == Class::Ack
                    && self.last.direction != direction
                    && self.last.class == Class::Syn
                    && self.last.flags & side::EXPECT_CHALLENGE != 0 =>
            {
                self.last.flags &= !side::EXPECT_CHALLENGE;
                return Outcome::Ignore;
            }
            TcpState::SynSent2 => self.last.flags |= side::SIMULTANEOUS_OPEN,
            TcpState::SynRecv
                if direction == Direction::Reply
                    && class == Class::Ack
                    && self.last.flags & side::SIMULTANEOUS_OPEN != 0 =>
            {
                new = TcpState::Established;
            }
            TcpState::Close if class == Class::Rst => {
                match self.reset(direction, segment, entry, old, settings) {
                    Reset::Invalid => return Outcome::Invalid { lower: false },
                    Reset::Unchecked => check_window = false,
                    Reset::Checked => {}
                    Reset::StateStays => new = old,
                    Reset::StateStaysUnchecked => (new, check_window) = (old, false),
                }
            }
            TcpState::None
            | TcpState::SynSent
            | TcpState::SynRecv
            | TcpState::Established
            | TcpState::FinWait
            | TcpState::CloseWait
            | TcpState::LastAck
            | TcpState::TimeWait
            | TcpState::Close
            | TcpState::Other(_) => {}
        }
        if check_window {
            match self.in_window(direction, class, segment, old, settings) {
                Window::Inside => {}
                Window::Ignore => return Outcome::Ignore,
                Window::Outside => return self.outside(direction, class, entry, settings),
            }
        }
        self.commit(direction, class, (old, new), entry, settings)
    }

    /// Whether a SYN/ACK answers the SYN that was ignored.
    fn is_answered_by(&self, direction: Direction, class: Class, segment: &Segment) -> bool {
        class == Class::SynAck
            && self.last.class == Class::Syn
            && self.last.direction != direction
            && segment.ack == self.last.end
    }

    /// A segment that the table ignores may still be the key to what follows.
    fn ignored(
        &mut self,
        direction: Direction,
        class: Class,
        segment: &Segment,
        old: TcpState,
        settings: &TcpSettings,
    ) -> Ignored {
        if self.is_answered_by(direction, class, segment) {
            // The flow is a new one after all.
            let opener = &mut self.sides[self.last.direction as usize];
            opener.end = self.last.end;
            opener.max_end = self.last.end;
            opener.max_window = u32::from(self.last.window).max(1);
            opener.scale = self.last.scale;
            self.last.flags &= !side::EXPECT_CHALLENGE;
            opener.flags = self.last.flags;
            let keep = if settings.behaviour.options_keep_liberal { side::LIBERAL } else { 0 };
            let answerer = &mut self.sides[direction as usize];
            *answerer = Side { flags: answerer.flags & keep, ..Side::default() };
            return Ignored::Resynchronised;
        }
        self.last.class = class;
        self.last.direction = direction;
        self.last.seq = segment.seq;
        self.last.end = segment.end();
        self.last.window = segment.window;
        if class == Class::Ack && direction == Direction::Reply && old == TcpState::SynSent {
            self.last.ack = segment.ack;
        }
        if class == Class::Syn && direction == Direction::Original {
            let mut offered = Side::default();
            offered.take_options(segment, 0);
            self.last.scale = offered.scale;
            self.last.flags = offered.flags;
            if old == TcpState::LastAck {
                self.last.flags |= side::EXPECT_CHALLENGE;
            }
        }
        Ignored::Remembered
    }

    /// An RST: does it close, and must its place in the window be looked at?
    fn reset(
        &self,
        direction: Direction,
        segment: &Segment,
        entry: EntryView,
        old: TcpState,
        settings: &TcpSettings,
    ) -> Reset {
        let closing = matches!(
            old,
            TcpState::FinWait
                | TcpState::CloseWait
                | TcpState::LastAck
                | TcpState::TimeWait
                | TcpState::Close
        );
        if closing && settings.behaviour.closing_reset_unchecked {
            return Reset::Unchecked;
        }
        let other = &self.sides[direction.flip() as usize];
        let open = old == TcpState::Established && entry.assured;
        let excused = self.last.class == Class::Syn && settings.behaviour.syn_excuses_reset;
        let mut stays = false;
        if other.flags & side::MAX_ACK_SET != 0 && !excused {
            if segment.seq.0 == 0 && !open && settings.behaviour.zero_reset_passes {
                return Reset::Checked;
            }
            if segment.seq.before(other.max_ack) && !settings.ignore_invalid_rst {
                return Reset::Invalid;
            }
            if !settings.behaviour.exact_reset || !open || segment.seq == other.max_ack {
                return Reset::Checked;
            }
            if self.last.class == Class::Ack
                && self.last.direction == direction
                && segment.seq == self.last.end
            {
                return Reset::Checked;
            }
            stays = true;
        }
        let other_side =
            self.last.direction != direction || !settings.behaviour.reset_answers_other_side;
        let answers_ignored_syn = entry.replied && self.last.class == Class::Syn && other_side;
        let answers_last_ack = !entry.assured && self.last.class == Class::Ack;
        if (answers_ignored_syn || answers_last_ack) && segment.ack == self.last.end {
            return if stays { Reset::StateStaysUnchecked } else { Reset::Unchecked };
        }
        if settings.behaviour.reset_answers_challenge
            && direction == Direction::Original
            && old == TcpState::SynSent
            && self.last.class == Class::Ack
            && self.last.direction == Direction::Reply
            && segment.seq == self.last.ack
        {
            return Reset::Unchecked;
        }
        if stays { Reset::StateStays } else { Reset::Checked }
    }

    /// A segment out of its window; an unacceptable close from both sides shortens the entry's life.
    fn outside(
        &mut self,
        direction: Direction,
        class: Class,
        entry: EntryView,
        settings: &TcpSettings,
    ) -> Outcome {
        let closes = matches!(class, Class::Fin | Class::Rst);
        if !settings.behaviour.invalid_close_lowers || !closes || !entry.assured {
            return Outcome::Invalid { lower: false };
        }
        let both =
            self.last.direction != direction && matches!(self.last.class, Class::Fin | Class::Rst);
        if !both {
            self.last.class = class;
            self.last.direction = direction;
        }
        Outcome::Invalid { lower: both }
    }

    #[inline(always)]
    fn commit(
        &mut self,
        direction: Direction,
        class: Class,
        (old, new): (TcpState, TcpState),
        entry: EntryView,
        settings: &TcpSettings,
    ) -> Outcome {
        self.last.class = class;
        self.last.direction = direction;
        self.state = new;
        if old != new && new == TcpState::FinWait {
            self.sides[direction as usize].flags |= side::CLOSE_INIT;
        }
        let mut assure = false;
        if !entry.replied {
            if class == Class::Rst {
                return Outcome::Delete;
            }
            let repeated = class == Class::Syn && old == TcpState::SynSent;
            if repeated && !settings.behaviour.syn_retransmission_refreshes {
                return Outcome::Ignore;
            }
        } else if !entry.assured
            && matches!(old, TcpState::SynRecv | TcpState::Established)
            && new == TcpState::Established
        {
            assure = true;
        }
        Outcome::Refresh { timeout: 0, assure, moved: old != new }
    }

    /// The timeout, in seconds, of a flow that its last segment refreshed; `entry` as it was before.
    pub(crate) fn lasts(
        &self,
        entry: EntryView,
        settings: &TcpSettings,
        timeouts: &Timeouts,
    ) -> u32 {
        let flags = self.sides[0].flags | self.sides[1].flags;
        let open = Open { flags, retransmissions: self.retransmissions, window: self.last.window };
        let timeout = open.timeout(self.last.class, self.state, settings, timeouts);
        let unanswered = !entry.replied && self.state == TcpState::Established;
        if unanswered { timeout.min(timeouts.unacknowledged) } else { timeout }
    }

    /// What the timeout that [`Tcp::lasts`] gives hangs on. `None`: on more.
    #[inline(always)]
    pub(crate) fn lasts_plainly(
        &self,
        entry: EntryView,
        settings: &TcpSettings,
    ) -> Option<Plainly> {
        let flags = self.sides[0].flags | self.sides[1].flags;
        let odd = self.retransmissions >= settings.max_retrans || self.last.class == Class::Rst;
        let plainly = Plainly {
            state: self.state,
            unanswered: !entry.replied && self.state == TcpState::Established,
            unacknowledged: flags & side::DATA_UNACKNOWLEDGED != 0
                && settings.behaviour.unacknowledged_timeout,
            closed: self.last.window == 0 && settings.behaviour.zero_window_timeout,
        };
        if odd { None } else { Some(plainly) }
    }
}

/// What a timeout hangs on where neither retransmissions nor a reset matter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plainly {
    pub(crate) state: TcpState,
    /// Nobody has answered an established flow: it lasts no longer than data that are unacknowledged.
    pub(crate) unanswered: bool,
    /// Nor does one that has such data,
    pub(crate) unacknowledged: bool,
    /// or else one whose window is closed longer than that allows.
    pub(crate) closed: bool,
}

/// What a timeout hangs on, besides state and class.
pub(crate) struct Open {
    /// Of both sides.
    pub(crate) flags: u8,
    pub(crate) retransmissions: u8,
    /// Of the last segment that left a trace.
    pub(crate) window: u16,
}

impl Open {
    pub(crate) fn timeout(
        &self,
        class: Class,
        new: TcpState,
        settings: &TcpSettings,
        timeouts: &Timeouts,
    ) -> u32 {
        let of_state = timeouts.states[usize::from(new.number()).min(9)];
        let reset = class == Class::Rst && settings.behaviour.exact_reset;
        let as_others = settings.behaviour.vain_reset_is_unacknowledged;
        let vain = reset && new != TcpState::Close && as_others;
        let unacknowledged = vain || self.flags & side::DATA_UNACKNOWLEDGED != 0;
        if self.retransmissions >= settings.max_retrans && of_state > timeouts.max_retrans {
            timeouts.max_retrans
        } else if reset && !as_others {
            timeouts.states[usize::from(TcpState::Close.number())]
        } else if unacknowledged
            && settings.behaviour.unacknowledged_timeout
            && of_state > timeouts.unacknowledged
        {
            timeouts.unacknowledged
        } else if self.window == 0
            && settings.behaviour.zero_window_timeout
            && of_state > timeouts.max_retrans
        {
            timeouts.max_retrans
        } else {
            of_state
        }
    }
}

enum Ignored {
    Resynchronised,
    Remembered,
}

enum Reset {
    Invalid,
    Checked,
    Unchecked,
    StateStays,
    StateStaysUnchecked,
}
