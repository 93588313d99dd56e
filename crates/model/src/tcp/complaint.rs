//! What is said of a segment that is ignored or invalid, read off what the tracker remembered before and remembers now.
//!
//! Kernel: nf_conntrack_proto_tcp.c, seen in the logs of 5.10 to 7.3.

use alloc::format;
use alloc::string::String;

use super::window::{ACK_WINDOW, Fit};
use super::{
    Class, Direction, EntryView, Flags, Next, Reset, Segment, Tcp, TcpSettings, TcpState, next,
    side,
};

impl Segment {
    /// Whether it can't open a flow, nor be of one in the middle.
    pub(crate) fn opens_nothing(&self, settings: &TcpSettings) -> bool {
        let next = next(settings.behaviour.table, false, self.class(), TcpState::None);
        matches!(next, Next::Ignore | Next::Invalid)
    }
}

/// What became of the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stumble {
    Ignored,
    Invalid,
}

impl Tcp {
    /// What is said of a segment that made `after` of this memory, if anything; `in_numbers`: with what was seen and expected.
    pub(crate) fn complaint(
        &self,
        after: &Self,
        (segment, direction): (&Segment, Direction),
        entry: EntryView,
        settings: &TcpSettings,
        stumble: Stumble,
        in_numbers: bool,
    ) -> Option<String> {
        let class = segment.class();
        let mut old = self.state;
        let of_state = |became: Stumble| match (in_numbers, became) {
            (true, _) => {
                let (index, direction) = (class as u8, direction as u8);
                let became = if became == Stumble::Ignored { "ignored" } else { "invalid" };
                format!("packet (index {index}) in dir {direction} {became}, state {}", self.state)
            }
            (false, Stumble::Ignored) => format!("invalid packet ignored in state {} ", self.state),
            (false, Stumble::Invalid) => "invalid state".into(),
        };
        let new = match next(settings.behaviour.table, direction == Direction::Reply, class, old) {
            Next::Invalid => return Some(of_state(Stumble::Invalid)),
            Next::Ignore if !self.is_answered_by(direction, class, segment) => {
                return Some(of_state(Stumble::Ignored));
            }
            Next::Ignore => {
                old = TcpState::SynSent;
                TcpState::SynRecv
            }
            Next::To(new) => new,
        };
        match new {
            TcpState::SynSent if old.number() >= TcpState::TimeWait.number() => {
                return Some(of_state(Stumble::Ignored));
            }
            TcpState::TimeWait
                if old == TcpState::LastAck
                    && self.last.flags & side::EXPECT_CHALLENGE != 0
                    && after.last.flags & side::EXPECT_CHALLENGE == 0 =>
            {
                return Some("challenge-ack ignored".into());
            }
            TcpState::Close if class == Class::Rst => {
                if matches!(self.reset(direction, segment, entry, old, settings), Reset::Invalid) {
                    return Some("invalid rst".into());
                }
            }
            _ => {}
        }
        after.misfit((segment, direction), old, settings, stumble, in_numbers)
    }

    /// What is said of a segment's place in the window, which left this memory.
    fn misfit(
        &self,
        (segment, direction): (&Segment, Direction),
        old: TcpState,
        settings: &TcpSettings,
        stumble: Stumble,
        in_numbers: bool,
    ) -> Option<String> {
        let (sender, receiver) =
            (&self.sides[direction as usize], &self.sides[direction.flip() as usize]);
        if settings.be_liberal || sender.flags & side::LIBERAL != 0 {
            return None;
        }
        let resets = segment.flags.has(Flags::RST);
        let (mut seq, mut end) = (segment.seq, segment.end());
        let mut sack = match segment.sack_edge {
            Some(edge) if receiver.flags & side::SACK_PERMITTED != 0 => edge,
            Some(_) | None => segment.ack,
        };
        if !segment.flags.has(Flags::ACK) || (resets && segment.ack.0 == 0) {
            sack = receiver.end;
        }
        if resets && seq.0 == 0 && old == TcpState::SynSent {
            (seq, end) = (sender.end, sender.end);
        }
        let Fit { fits, known, fresh, timely } = Fit::of(sender, receiver, seq, sack, end);
        if !in_numbers {
            let cause = match (fits, fresh, known, timely) {
                (false, ..) => "SEQ is over the upper bound (over the window of the receiver)",
                (_, false, ..) => "SEQ is under the lower bound (already ACKed data retransmitted)",
                (_, _, false, _) => "ACK is over the upper bound (ACKed data not seen yet)",
                (.., false) => "ACK is under the lower bound (possible overly delayed ACK)",
                _ => return None,
            };
            return Some(cause.into());
        }
        let ignored = stumble == Stumble::Ignored;
        if !fits && ignored {
            let more = end.since(sender.max_end).wrapping_add(1);
            Some(format!("{more} bytes more than expected"))
        } else if !fits {
            let bound = sender.max_end.plus(1).0;
            Some(format!("SEQ is over upper bound {bound} (over the window of the receiver)"))
        } else if !known {
            let bound = receiver.end.plus(1).0;
            Some(format!("ACK is over upper bound {bound} (ACKed data not seen yet)"))
        } else if !fresh {
            let bound = sender.end.minus(receiver.max_window).minus(1).0;
            Some(format!("SEQ is under lower bound {bound} (already ACKed data retransmitted)"))
        } else if !timely {
            let bound = receiver.end.minus(ACK_WINDOW.max(sender.max_window)).minus(1).0;
            Some(format!("ignored ACK under lower bound {bound} (possible overly delayed)"))
        } else {
            None
        }
    }

    /// What is said of the second of two closes out of their windows, from both sides, which lets the entry end sooner.
    pub(crate) fn shortened(&self, direction: Direction, segment: &Segment, ticks: u32) -> String {
        let (index, direction) = (segment.class() as u8, direction as u8);
        let last = self.last.class as u8;
        format!(
            "packet (index {index}, dir {direction}) response for index {last} lower timeout to {ticks}"
        )
    }
}
