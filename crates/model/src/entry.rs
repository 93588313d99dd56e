//! One entry, as the model keeps it.

use plimsoll_ct::{Class, SctpState, State, Status};

use crate::dccp::Dccp;
use crate::sctp::Sctp;
use crate::table::Vitals;
use crate::tcp::Tcp;
use crate::ticks::Jiffies;

/// What the protocol's tracker remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Nothing: ICMP, UDP-Lite, generic.
    Nothing,
    /// The moment from which two-way traffic is a stream.
    Udp(Jiffies),
    /// Sequence numbers, windows.
    Tcp(Tcp),
    /// Verification tags.
    Sctp(Sctp),
    /// Both timeouts, in seconds, as they were at creation.
    Gre([u32; 2]),
    /// Requests that were not answered yet (2.6.18 only).
    Echo(u16),
    /// Roles, the response.
    Dccp(Dccp),
}

impl Memory {
    pub(crate) const fn state(&self) -> State {
        match self {
            Self::Nothing | Self::Udp(_) | Self::Gre(_) | Self::Echo(_) => State::Stateless,
            Self::Tcp(tcp) => State::Tcp(tcp.state),
            Self::Sctp(sctp) => State::Sctp(SctpState::from_number(sctp.state)),
            Self::Dccp(dccp) => State::Dccp(dccp.state()),
        }
    }
}

/// One entry, without its tuples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Status bits of the dump.
    pub(crate) status: Status,
    /// When it expires.
    pub(crate) expires: Jiffies,
    /// Tracker's memory.
    pub(crate) memory: Memory,
}

impl Slot {
    pub(crate) const fn vitals(&self) -> Vitals {
        Vitals { expires: self.expires, status: self.status, state: self.memory.state() }
    }

    pub(crate) const fn class(&self) -> Class {
        Class::of(self.status, self.memory.state())
    }

    pub(crate) fn set(&mut self, status: Status) {
        self.status |= status;
    }
}
