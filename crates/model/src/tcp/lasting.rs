//! How long a flow lasts that a segment refreshed.

use plimsoll_ct::TcpState;

use super::{Class, EntryView, Tcp, TcpSettings, Timeouts, side};

impl Tcp {
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
