//! What the first segments of a TCP flow leave in its cell, on the packed words.

use plimsoll_ct::{Status, TcpState};
use plimsoll_wire::packet::Opening;

use super::{CLASS, EXTRAS, Head, KIND, Long, ODD, OPENING, PLAIN_TCP, REPLY, STATE};
use crate::key::Packed;
use crate::tcp::{Class, First, Sequence, offers, side};
use crate::ticks::Jiffies;

/// State, class and direction of the last segment, as they stand in the cell.
const fn manner(state: TcpState, class: Class, direction: u8) -> u8 {
    state.number() << STATE | (class as u8) << CLASS | direction
}

const SYN: u8 = manner(TcpState::SynSent, Class::Syn, 0);
const ANSWERED: u8 = manner(TcpState::SynRecv, Class::SynAck, REPLY);
const MET: u8 = manner(TcpState::Established, Class::Ack, 0);

impl Long {
    /// The cell of a flow over IPv4 that begins so.
    #[inline(always)]
    pub(in crate::table) fn first(
        key: Packed,
        status: Status,
        expires: Jiffies,
        first: &First,
    ) -> Self {
        let (sides, traits) = match first {
            First::Syn(syn) => {
                let (end, window) = (syn.end(), u32::from(syn.window).max(1));
                let (scale, flags) = offers(syn.options.window_scale, syn.options.sack_permitted);
                ([[end, end, window, 0], [0, window, 0, 0]], [flags, 0, scale, SYN])
            }
            First::Met(met) => {
                const FLAGS: u8 = side::SACK_PERMITTED | side::LIBERAL;
                let (end, window) = (met.end(), u32::from(met.window).max(1));
                let max_end = end.wrapping_add(window);
                ([[end, max_end, window, 0], [0; 4]], [FLAGS, FLAGS, 0, MET])
            }
        };
        let head = Head {
            addresses: key.addresses,
            rest: key.rest | PLAIN_TCP | OPENING,
            expires,
            status: status.0 as u16,
            small: 0,
        };
        Self { head, sides, traits, wire: 0 }
    }

    /// Does what the tracker does to the answer of the SYN that opened the flow, where both are what they mostly are; its
    /// [`Opening::end`] is not 0. `false`: they are not, and nothing has changed.
    #[inline(always)]
    pub(in crate::table) fn answer(&mut self, answer: &Opening) -> bool {
        const OTHER: u32 = Status::ASSURED.0 | Status::EXPECTED.0 | Status::FIXED_TIMEOUT.0;
        let [[end, max_end, max_window, max_ack], [other_end, _, other_window, acked]] = self.sides;
        let [flags, other_flags, scales, manner] = self.traits;
        let is_opening = self.head.rest & (KIND | OPENING | ODD | EXTRAS) == PLAIN_TCP | OPENING;
        // Nothing is known of the one that answers but what may be sent to it.
        let differs = other_end
            | other_window
            | acked
            | u32::from(other_flags | scales >> 4 | manner ^ SYN)
            | u32::from(self.head.small | self.head.status & OTHER as u16)
            | answer.payload
            | answer.ack ^ end;
        if !is_opening || differs != 0 || answer.options.sack_edge.is_some() {
            return false;
        }
        let (new_end, window) = (answer.end(), u32::from(answer.window).max(1));
        let (scale, offered) = offers(answer.options.window_scale, answer.options.sack_permitted);
        let both = flags & offered & side::WINDOW_SCALE != 0;
        let scales = if both { scales | scale << 4 } else { 0 };
        let limit = Sequence(answer.ack).plus(window);
        let further = limit.after(Sequence(max_end));
        self.sides = [
            [end, if further { limit.0 } else { max_end }, max_window, max_ack],
            [new_end, new_end, window, answer.ack],
        ];
        self.traits =
            [flags & !side::DATA_UNACKNOWLEDGED, offered | side::MAX_ACK_SET, scales, ANSWERED];
        self.head.status |= Status::SEEN_REPLY.0 as u16;
        true
    }
}
