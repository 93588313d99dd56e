//! What a PPTP control connection says about calls: two call ids, by which the GRE packets of a call are told apart.
//!
//! Kernel: nf_conntrack_pptp.c, the key map in nf_conntrack_proto_gre.c, v6.18; RFC 2637. Who opened the connection is
//! taken for the one that dials (PNS), the other for the concentrator (PAC). Messages out of order change nothing.

use core::net::Ipv4Addr;

use plimsoll_wire::packet::Packet;

use crate::tcp::Direction;

/// What is remembered of a control connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Pptp {
    session: Session,
    call: Call,
    /// Call id of the one that dials.
    pub(super) pns: u16,
    /// Call id of the concentrator.
    pub(super) pac: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Session {
    #[default]
    None,
    Requested,
    Confirmed,
    StopRequested,
    Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Call {
    #[default]
    None,
    OutRequested,
    OutConfirmed,
    InRequested,
    InReplied,
    InConfirmed,
    ClearRequested,
}

/// What a message leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing beside the connection's own state.
    Nothing,
    /// A call begins, with these ids.
    Begins { pac: u16, pns: u16 },
    /// A call ends.
    Ends,
}

/// A control message: its type, and what stands behind its header.
type Message<'a> = (u16, &'a [u8]);

/// Octets behind the header that each type has at least, by its number; 0 is none.
const LENGTHS: [usize; 16] = [0, 144, 144, 4, 4, 4, 8, 156, 20, 208, 12, 16, 4, 136, 28, 12];

/// The control message that a TCP packet begins with.
pub(super) fn message<'a>(packet: &Packet<'a>) -> Option<Message<'a>> {
    const CONTROL: u16 = 1;
    const COOKIE: u32 = 0x1a2b_3c4d;
    let begin = usize::from(packet.payload.get(12)? >> 4) * 4;
    let (header, rest) = packet.payload.get(begin..)?.split_first_chunk::<12>()?;
    let [_, _, kind, low, a, b, c, d, message, number, ..] = *header;
    let right = u16::from_be_bytes([kind, low]) == CONTROL;
    if !right || u32::from_be_bytes([a, b, c, d]) != COOKIE {
        return None;
    }
    let message = u16::from_be_bytes([message, number]);
    let least = LENGTHS.get(usize::from(message)).filter(|_| message != 0)?;
    (rest.len() >= *least).then_some((message, rest))
}

impl Pptp {
    /// Takes a message in.
    pub(super) fn read(&mut self, direction: Direction, (kind, body): Message<'_>) -> Said {
        let number = |at: usize| {
            let octets = body.get(at..at + 2).and_then(|two| two.try_into().ok());
            octets.map_or(0, u16::from_be_bytes)
        };
        let octet = |at: usize| body.get(at).copied().unwrap_or(0);
        const DONE: u8 = 1;
        match (direction, kind, self.session, self.call) {
            (Direction::Original, 1, Session::None, _) => self.session = Session::Requested,
            (Direction::Original, 3, _, _) => self.session = Session::StopRequested,
            (Direction::Original, 7, Session::Confirmed, _) => {
                (self.call, self.pns) = (Call::OutRequested, number(0));
            }
            (Direction::Original, 10, _, Call::InRequested | Call::InReplied)
                if number(2) == self.pac =>
            {
                if octet(4) == DONE {
                    (self.call, self.pns) = (Call::InReplied, number(0));
                } else {
                    self.call = Call::None;
                }
            }
            (Direction::Original, 12, Session::Confirmed, _) => self.call = Call::ClearRequested,
            (Direction::Reply, 2, Session::Requested | Session::Confirmed, _) => {
                self.session = if octet(2) == DONE { Session::Confirmed } else { Session::Error };
            }
            (Direction::Reply, 4, Session::StopRequested, _) => {
                self.session = if octet(0) == DONE { Session::None } else { Session::Error };
            }
            (Direction::Reply, 8, Session::Confirmed, Call::OutRequested | Call::OutConfirmed)
                if number(2) == self.pns =>
            {
                if octet(4) == DONE {
                    (self.call, self.pac) = (Call::OutConfirmed, number(0));
                    return Said::Begins { pac: self.pac, pns: self.pns };
                }
                self.call = Call::None;
            }
            (Direction::Reply, 9, Session::Confirmed, _) => {
                (self.call, self.pac) = (Call::InRequested, number(0));
            }
            (Direction::Reply, 11, Session::Confirmed, Call::InReplied | Call::InConfirmed)
                if number(0) == self.pns =>
            {
                self.call = Call::InConfirmed;
                return Said::Begins { pac: self.pac, pns: self.pns };
            }
            (Direction::Reply, 13, _, _) => {
                self.call = Call::None;
                return Said::Ends;
            }
            (_, _, _, _) => {}
        }
        Said::Nothing
    }
}

/// The source's call id, of GRE packets that name the destination's only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallId {
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    /// What the packets name.
    pub(crate) named: u16,
    /// What they mean as well.
    pub(crate) meant: u16,
}
