//! Window tracking: is a segment where it may be?
//!
//! Kernel: `tcp_in_window()`, net/netfilter/nf_conntrack_proto_tcp.c, v6.18.

use plimsoll_ct::TcpState;

use super::{Class, Direction, Flags, Segment, Sequence, Side, Tcp, TcpSettings, side};

/// Acknowledgements may lag behind by this many octets at least.
pub(crate) const ACK_WINDOW: u32 = 66_000;

/// Where a segment lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Inside, or let through.
    Inside,
    /// Old or delayed: accepted without a trace.
    Ignore,
    /// Outside: invalid.
    Outside,
}

/// How a segment lies to what is known of both sides.
pub(super) struct Fit {
    /// It begins within what the receiver allows.
    pub(super) fits: bool,
    /// It acknowledges nothing that was not sent.
    pub(super) known: bool,
    /// It is not older than a window.
    pub(super) fresh: bool,
    /// Nor is what it acknowledges.
    pub(super) timely: bool,
}

impl Fit {
    #[inline(always)]
    pub(super) fn of(
        sender: &Side,
        receiver: &Side,
        seq: Sequence,
        sack: Sequence,
        end: Sequence,
    ) -> Self {
        let back = receiver.max_window;
        Self {
            fits: !seq.after(sender.max_end),
            known: !sack.after(receiver.end),
            fresh: back == 0 || end.after(sender.end.minus(back).minus(1)),
            timely: sack.after(receiver.end.minus(ACK_WINDOW.max(sender.max_window)).minus(1)),
        }
    }
}

/// What a segment within its window says.
struct Seen {
    /// If its flag is set.
    ack: Option<Sequence>,
    sack: Sequence,
    end: Sequence,
    /// Scaled.
    window: u32,
}

/// Both sides learn from a segment within its window; `ack` is what it acknowledges, or is taken to.
#[inline(always)]
fn learn(sender: &mut Side, receiver: &mut Side, ack: Sequence, seen: Seen) {
    let Seen { ack: acknowledged, sack, end, window } = seen;
    sender.max_window = sender.max_window.max(window.wrapping_add(sack.since(ack)));
    if end.after(sender.end) {
        sender.end = end;
        sender.flags |= side::DATA_UNACKNOWLEDGED;
    }
    if let Some(ack) = acknowledged {
        sender.max_ack =
            if sender.flags & side::MAX_ACK_SET == 0 { ack } else { sender.max_ack.max(ack) };
        sender.flags |= side::MAX_ACK_SET;
    }
    if receiver.max_window != 0 && end.after(sender.max_end) {
        receiver.max_window = receiver.max_window.wrapping_add(end.since(sender.max_end));
    }
    if sack.plus(window).after(receiver.max_end.minus(1)) {
        receiver.max_end = sack.plus(window);
        if window == 0 {
            receiver.max_end = receiver.max_end.plus(1);
        }
    }
    if ack == receiver.end {
        receiver.flags &= !side::DATA_UNACKNOWLEDGED;
    }
}

/// A segment that is out of its window.
#[inline(always)]
fn missed(
    fit: &Fit,
    sender: &mut Side,
    receiver: &Side,
    end: Sequence,
    settings: &TcpSettings,
) -> Window {
    let Fit { fits, known, fresh, timely } = *fit;
    let liberal = settings.be_liberal || sender.flags & side::LIBERAL != 0;
    let ignores = settings.behaviour.window_misses_are_ignored;
    let overshoot = end.since(sender.max_end).wrapping_add(1);
    let plausible =
        receiver.max_window != 0 && fresh && known && timely && overshoot <= receiver.max_window;
    let verdict = if !fits && plausible && ignores {
        sender.end = end;
        sender.flags |= side::DATA_UNACKNOWLEDGED;
        Window::Ignore
    } else if fits && known && ignores {
        Window::Ignore
    } else {
        Window::Outside
    };
    if liberal { Window::Inside } else { verdict }
}

impl Tcp {
    /// Looks, and learns from what is inside.
    #[inline]
    pub(super) fn in_window(
        &mut self,
        direction: Direction,
        class: Class,
        segment: &Segment,
        state: TcpState,
        settings: &TcpSettings,
    ) -> Window {
        let Segment { mut seq, mut ack, .. } = *segment;
        let mut end = segment.end();
        let acks = segment.flags.has(Flags::ACK);

        let mut sender = self.sides[direction as usize];
        let mut receiver = self.sides[direction.flip() as usize];
        let mut sack = match segment.sack_edge {
            Some(edge) if receiver.flags & side::SACK_PERMITTED != 0 => edge,
            Some(_) | None => ack,
        };
        let opens = (direction, state);
        if Self::introduce(opens, segment, sack, settings, &mut sender, &mut receiver) {
            self.keep(direction, sender, receiver);
            return Window::Inside;
        }

        let resets = segment.flags.has(Flags::RST);
        if !acks || (resets && ack.0 == 0) {
            ack = receiver.end;
            sack = receiver.end;
        }
        if resets && seq.0 == 0 && state == TcpState::SynSent {
            seq = sender.end;
            end = sender.end;
        }

        let fit = Fit::of(&sender, &receiver, seq, sack, end);
        if !(fit.fits && fit.known && fit.fresh && fit.timely) {
            let verdict = missed(&fit, &mut sender, &receiver, end, settings);
            // What was learnt so far stays learnt.
            self.keep(direction, sender, receiver);
            return verdict;
        }

        let raw = u32::from(segment.window);
        let window = if segment.flags.has(Flags::SYN) { raw } else { raw << sender.scale };
        let seen = Seen { ack: acks.then_some(ack), sack, end, window };
        learn(&mut sender, &mut receiver, ack, seen);
        self.keep(direction, sender, receiver);
        if class == Class::Ack {
            self.count_retransmission(direction, segment, ack, end, seq);
        }
        Window::Inside
    }

    /// What a segment says of a side that was never heard, or that opens again. `true`: it is a SYN that acknowledges
    /// nothing, and there is no more to it.
    #[inline(always)]
    fn introduce(
        (direction, state): (Direction, TcpState),
        segment: &Segment,
        sack: Sequence,
        settings: &TcpSettings,
        sender: &mut Side,
        receiver: &mut Side,
    ) -> bool {
        let end = segment.end();
        let (syn, acks) = (segment.flags.has(Flags::SYN), segment.flags.has(Flags::ACK));
        let keep = if settings.behaviour.options_keep_liberal { side::LIBERAL } else { 0 };
        if sender.max_window == 0 {
            if syn {
                Self::begin(direction, segment, keep, sender, receiver);
                return !acks;
            }
            sender.end = end;
            sender.max_window = (u32::from(segment.window) << sender.scale).max(1);
            sender.max_end = end.plus(sender.max_window);
            if receiver.max_window == 0 {
                receiver.end = sack;
                receiver.max_end = sack;
            } else if sack == receiver.end.plus(1) {
                receiver.end = receiver.end.plus(1);
            }
        } else if settings.behaviour.data_begins_anew {
            let opener = direction == Direction::Original && state == TcpState::SynSent;
            let answerer = direction == Direction::Reply && state == TcpState::SynRecv;
            if (opener || answerer) && end.after(sender.end) {
                sender.begin(segment, keep);
            }
        } else if syn
            && end.after(sender.end)
            && matches!(state, TcpState::SynSent | TcpState::SynRecv)
        {
            Self::begin(direction, segment, keep, sender, receiver);
            return direction == Direction::Reply && !acks;
        }
        false
    }

    /// A side that is new, or opens again, as its SYN describes it.
    fn begin(
        direction: Direction,
        segment: &Segment,
        keep: u8,
        sender: &mut Side,
        receiver: &mut Side,
    ) {
        sender.begin(segment, keep);
        let both = sender.flags & receiver.flags & side::WINDOW_SCALE != 0;
        if direction == Direction::Reply && !both {
            sender.scale = 0;
            receiver.scale = 0;
        }
    }

    fn keep(&mut self, direction: Direction, sender: Side, receiver: Side) {
        self.sides[direction as usize] = sender;
        self.sides[direction.flip() as usize] = receiver;
    }

    fn count_retransmission(
        &mut self,
        direction: Direction,
        segment: &Segment,
        ack: Sequence,
        end: Sequence,
        seq: Sequence,
    ) {
        let last = &mut self.last;
        let same = last.direction == direction
            && last.seq == seq
            && last.ack == ack
            && last.end == end
            && last.window == segment.window;
        if same {
            self.retransmissions = self.retransmissions.wrapping_add(1);
        } else {
            last.direction = direction;
            last.seq = seq;
            last.ack = ack;
            last.end = end;
            last.window = segment.window;
            self.retransmissions = 0;
        }
    }
}
