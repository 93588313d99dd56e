//! The DCCP tracker (RFC 4340) of the kernels that have one.
//!
//! Kernel: `nf_conntrack_dccp_packet()`, nf_conntrack_proto_dccp.c, 2.6.30 to 6.14. The table was measured: every
//! packet in every state, from both sides, on 6.1, with which generated connections agree (docs/model.md).
//! `nf_conntrack_dccp_loose` changes nothing: no packet but a REQUEST makes an entry.

use plimsoll_ct::DccpState;
use plimsoll_wire::packet::{DccpHeader, Packet};

use crate::tcp::Direction;

const REQUEST: u8 = 0;
const RESPONSE: u8 = 1;
const DATA: u8 = 2;
const ACK: u8 = 3;
const DATA_ACK: u8 = 4;
const CLOSE_REQ: u8 = 5;
const CLOSE: u8 = 6;
const RESET: u8 = 7;
const SYNC: u8 = 8;
const SYNC_ACK: u8 = 9;

/// REQUEST.
const RQ: u8 = 1;
/// RESPOND.
const RS: u8 = 2;
/// PARTOPEN.
const PO: u8 = 3;
/// OPEN.
const OP: u8 = 4;
/// CLOSEREQ.
const CR: u8 = 5;
/// CLOSING.
const CG: u8 = 6;
/// TIMEWAIT.
const TW: u8 = 7;
/// Ignored: accepted without a refresh.
const IG: u8 = 8;
/// Invalid.
const IV: u8 = 9;

/// Columns: REQUEST RESPOND PARTOPEN OPEN CLOSEREQ CLOSING TIMEWAIT.
type Row = [u8; 7];

/// By packet: from the client, from the server.
#[rustfmt::skip]
const fn rows(kind: u8) -> [Row; 2] {
    match kind {
        // Asks again; a connection that is open may have been forgotten by its client.
        REQUEST               => [[RQ, RS, IG, IG, IG, IG, RQ], [IG, IG, IG, IG, IG, IG, RQ]],
        RESPONSE              => [[IG, IG, IG, IG, IG, IG, IV], [RS, RS, IG, IG, IG, IG, IV]],
        // The server's first packet behind its response opens the connection.
        DATA                  => [[IV, IV, IV, OP, CR, CG, IV], [IV, IV, OP, OP, IV, CG, IV]],
        ACK | DATA_ACK        => [[IV, PO, PO, OP, CR, CG, IV], [IV, IV, OP, OP, IV, CG, IV]],
        // Only a server asks its client to close, and has said all then.
        CLOSE_REQ             => [[IV, IV, IV, IV, IV, IV, IV], [IV, IV, CR, CR, CR, CR, IV]],
        CLOSE                 => [[IV, IV, CG, CG, CG, IV, IV], [IV, IV, CG, CG, IV, CG, IV]],
        RESET                 => [[TW, TW, TW, TW, TW, TW, IG], [TW, TW, TW, TW, TW, TW, TW]],
        // Ends that lost each other may be out of step with the tracker as well.
        SYNC | SYNC_ACK       => [[IG, IG, IG, IG, IG, IG, IG], [IG, IG, IG, IG, IG, IG, IG]],
        _                     => [[IV; 7], [IV; 7]],
    }
}

/// What the tracker remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dccp {
    /// By its number in [`DccpState`].
    state: u8,
    /// Which direction is the client's.
    client: Direction,
    /// The last packet that was not invalid: who sent it, its type.
    last: (Direction, u8),
    /// Sequence number of the response: who acknowledges it has shaken hands.
    response: u64,
}

/// What a packet does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Refresh with the timeout of this state.
    Refresh { state: u8, assure: bool, moved: bool },
    /// Accepted without a refresh.
    Ignore,
    /// Invalid.
    Invalid,
    /// The entry goes.
    Delete,
}

impl Dccp {
    /// The memory that a first packet makes, or `None` when it makes no entry.
    pub(crate) fn open(header: &DccpHeader) -> Option<Self> {
        (header.kind == REQUEST).then_some(Self::resumed(RQ))
    }

    /// The memory of an entry of which only the state is known: its first direction is the client's.
    pub(crate) const fn resumed(state: u8) -> Self {
        let client = Direction::Original;
        Self { state, client, last: (client, REQUEST), response: 0 }
    }

    pub(crate) const fn state(&self) -> DccpState {
        DccpState::from_number(self.state)
    }

    /// As the table packs it.
    pub(crate) const fn pack(&self) -> [u32; 3] {
        let (from, kind) = self.last;
        let sides = self.client as u32 | (from as u32) << 1;
        let rest = self.state as u32 | (kind as u32) << 8 | sides << 16;
        [rest, (self.response >> 32) as u32, self.response as u32]
    }

    pub(crate) const fn unpack([rest, high, low]: [u32; 3]) -> Self {
        const fn side(bit: u32) -> Direction {
            if bit & 1 == 0 { Direction::Original } else { Direction::Reply }
        }
        Self {
            state: rest as u8,
            client: side(rest >> 16),
            last: (side(rest >> 17), (rest >> 8) as u8),
            response: (high as u64) << 32 | low as u64,
        }
    }

    /// Judges a packet; the first one too, after [`Dccp::open`]. `replied`: an answer was seen before.
    pub(crate) fn judge(
        &mut self,
        direction: Direction,
        header: &DccpHeader,
        replied: bool,
    ) -> Outcome {
        let DccpHeader { kind, sequence, acknowledgement, .. } = *header;
        if kind == RESET && !replied {
            return Outcome::Delete;
        }
        let by_server = usize::from(direction != self.client);
        let Some(column) = usize::from(self.state).checked_sub(1) else { return Outcome::Invalid };
        let old = self.state;
        let mut new = rows(kind)[by_server].get(column).copied().unwrap_or(IV);
        let mut assure = false;
        match new {
            IV => return Outcome::Invalid,
            IG => {
                // A request that the tracker took for a stray one is answered: who answers is the server.
                if (kind, self.last) != (RESPONSE, (direction.flip(), REQUEST)) {
                    self.last = (direction, kind);
                    return Outcome::Ignore;
                }
                self.client = direction.flip();
                self.response = sequence;
                new = RS;
            }
            // After the end either side may begin, as the client.
            RQ if old == TW => self.client = direction,
            RS if old == RQ => self.response = sequence,
            PO if old == RS => assure = kind == ACK && acknowledgement == self.response,
            _ => {}
        }
        self.last = (direction, kind);
        self.state = new;
        Outcome::Refresh { state: new, assure, moved: new != old }
    }
}

/// What is wrong with a packet whatever the table holds, in words; `bad`: its checksum.
pub(crate) fn flaw(packet: &Packet<'_>, bad: bool) -> Option<&'static str> {
    let header: &[u8; 12] = packet.payload.first_chunk()?;
    let [_, _, _, _, words, coverage, _, _, kind, ..] = *header;
    let covered = u32::from(coverage & 15).saturating_sub(1) * 4;
    let length = u32::from(words) * 4;
    if !(12..=packet.payload_length).contains(&length) {
        return Some("nf_ct_dccp: truncated/malformed packet ");
    }
    if covered > packet.payload_length {
        return Some("nf_ct_dccp: bad checksum coverage ");
    }
    let (extended, kind) = (kind & 1 != 0, kind >> 1 & 15);
    match kind {
        _ if bad => Some("nf_ct_dccp: bad checksum "),
        10.. => Some("nf_ct_dccp: reserved packet type "),
        DATA | ACK | DATA_ACK => None,
        _ if extended => None,
        _ => Some("nf_ct_dccp: type lacks 48bit sequence numbers"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use Direction::{Original, Reply};

    const fn packet(kind: u8, sequence: u64, acknowledgement: u64) -> DccpHeader {
        DccpHeader { source: 1, destination: 2, kind, sequence, acknowledgement, whole: true }
    }

    fn refresh(state: u8, assure: bool, moved: bool) -> Outcome {
        Outcome::Refresh { state, assure, moved }
    }

    /// Plays packets of a type, from the client or the server, none of which is invalid.
    fn after(packets: &[(Direction, u8)]) -> Dccp {
        let mut dccp = Dccp::open(&packet(REQUEST, 0, 0)).unwrap();
        for (direction, kind) in packets {
            let outcome = dccp.judge(*direction, &packet(*kind, 7, 7), true);
            assert!(!matches!(outcome, Outcome::Invalid | Outcome::Delete), "{kind}: {outcome:?}");
        }
        dccp
    }

    #[test]
    fn only_who_acknowledges_the_response_is_assured() {
        let mut dccp = after(&[]);
        assert_eq!(dccp.judge(Reply, &packet(RESPONSE, 70, 10), false), refresh(RS, false, true));
        assert_eq!(dccp.judge(Reply, &packet(RESPONSE, 71, 10), true), refresh(RS, false, false));
        let mut other = dccp;
        assert_eq!(dccp.judge(Original, &packet(ACK, 11, 70), true), refresh(PO, true, true));
        assert_eq!(other.judge(Original, &packet(ACK, 11, 71), true), refresh(PO, false, true));
        assert_eq!(dccp.judge(Reply, &packet(DATA, 71, 0), true), refresh(OP, false, true));
    }

    #[test]
    fn a_reset_without_an_answer_ends_the_entry() {
        assert_eq!(after(&[]).judge(Reply, &packet(RESET, 1, 1), false), Outcome::Delete);
        assert_eq!(after(&[]).judge(Reply, &packet(RESET, 1, 1), true), refresh(TW, false, true));
    }

    #[test]
    fn after_the_end_the_server_may_begin_as_the_client() {
        let closed = [(Reply, RESPONSE), (Original, ACK), (Original, CLOSE), (Reply, RESET)];
        let mut dccp = after(&closed);
        assert_eq!(dccp.judge(Reply, &packet(REQUEST, 1, 0), true), refresh(RQ, false, true));
        assert_eq!(dccp.judge(Original, &packet(RESPONSE, 1, 1), true), refresh(RS, false, true));
        assert_eq!(dccp.judge(Original, &packet(ACK, 2, 1), true), Outcome::Invalid);
        assert_eq!(dccp.judge(Reply, &packet(ACK, 2, 1), true), refresh(PO, true, true));
    }

    #[test]
    fn a_forgotten_connection_begins_anew_when_the_request_is_answered() {
        let mut dccp = after(&[(Reply, RESPONSE), (Original, ACK), (Reply, DATA)]);
        assert_eq!(dccp.judge(Reply, &packet(RESPONSE, 5, 5), true), Outcome::Ignore);
        assert_eq!(dccp.judge(Original, &packet(REQUEST, 5, 5), true), Outcome::Ignore);
        assert_eq!(dccp.judge(Reply, &packet(RESPONSE, 5, 5), true), refresh(RS, false, true));
    }

    #[test]
    fn what_is_packed_comes_back() {
        let mut dccp = after(&[(Reply, RESPONSE), (Original, ACK), (Original, CLOSE)]);
        dccp.response = 0xfedc_ba98_7654;
        dccp.client = Reply;
        assert_eq!(Dccp::unpack(dccp.pack()), dccp);
    }
}
