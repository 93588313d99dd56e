//! What a segment of a flow that is there does to it.

use plimsoll_ct::TcpState;

use super::window::Window;
use super::{
    Class, Direction, EntryView, Next, Outcome, Segment, Side, Tcp, TcpSettings, Timeouts, next,
    side,
};

impl Tcp {
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
    pub(super) fn is_answered_by(
        &self,
        direction: Direction,
        class: Class,
        segment: &Segment,
    ) -> bool {
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
    pub(super) fn reset(
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
}

enum Ignored {
    Resynchronised,
    Remembered,
}

pub(super) enum Reset {
    Invalid,
    Checked,
    Unchecked,
    StateStays,
    StateStaysUnchecked,
}
