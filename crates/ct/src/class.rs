//! What a full table may do with an entry: the split behind the load line.
//!
//! Kernel: `early_drop_list()`, `gc_worker_can_early_drop()`, `tcp_can_early_drop()`,
//! `sctp_can_early_drop()`, `dccp_can_early_drop()`.

use crate::{DccpState, SctpState, State, Status, TcpState};

/// What a full table may do with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Not ASSURED: a packet that needs room may evict it at once.
    Evictable,
    /// ASSURED but closing: since 4.12 the garbage collector may take it in a full table, within a
    /// minute; the packet path never does. Before 4.12 such an entry is protected in effect.
    Closing,
    /// The rest: nothing but its own timeout removes it.
    Protected,
}

impl Class {
    /// The class of an entry of this status and state.
    pub const fn of(status: Status, state: State) -> Self {
        if !status.contains(Status::ASSURED) {
            return Self::Evictable;
        }
        let closing = match state {
            State::Tcp(s) => matches!(
                s,
                TcpState::FinWait
                    | TcpState::CloseWait
                    | TcpState::LastAck
                    | TcpState::TimeWait
                    | TcpState::Close
            ),
            State::Sctp(s) => matches!(
                s,
                SctpState::ShutdownSent | SctpState::ShutdownRecd | SctpState::ShutdownAckSent
            ),
            State::Dccp(s) => {
                matches!(s, DccpState::CloseReq | DccpState::Closing | DccpState::TimeWait)
            }
            State::Stateless => false,
        };
        if closing { Self::Closing } else { Self::Protected }
    }

    /// The word used in output: `evictable`, `closing`, `protected`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evictable => "evictable",
            Self::Closing => "closing",
            Self::Protected => "protected",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_is_not_assured_is_evictable_in_every_state() {
        assert_eq!(Class::of(Status::SEEN_REPLY, State::Tcp(TcpState::TimeWait)), Class::Evictable);
        assert_eq!(Class::of(Status::empty(), State::Stateless), Class::Evictable);
    }

    #[test]
    fn assured_time_wait_is_closing_and_assured_established_is_protected() {
        let assured = Status::SEEN_REPLY | Status::ASSURED;
        assert_eq!(Class::of(assured, State::Tcp(TcpState::TimeWait)), Class::Closing);
        assert_eq!(Class::of(assured, State::Tcp(TcpState::Established)), Class::Protected);
        assert_eq!(Class::of(assured, State::Tcp(TcpState::SynSent)), Class::Protected);
        assert_eq!(Class::of(assured, State::Stateless), Class::Protected);
    }
}
