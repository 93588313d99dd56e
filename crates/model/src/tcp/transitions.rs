//! The TCP tracker's transition table.
//!
//! Kernel: `tcp_conntracks`, net/netfilter/nf_conntrack_proto_tcp.c; the same from 3.10 to 7.1. KERNELS.md
//! names what older generations do otherwise.

use plimsoll_ct::TcpState;

/// The class of a packet: what its flags mean to the tracker, RST before SYN before FIN before ACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// SYN without ACK.
    Syn,
    /// SYN and ACK.
    SynAck,
    /// FIN.
    Fin,
    /// ACK alone.
    Ack,
    /// RST.
    Rst,
    /// None of them.
    None,
}

/// Where a packet leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Next {
    /// Into this state.
    To(TcpState),
    /// Accepted, but nothing changes.
    Ignore,
    /// Declared invalid.
    Invalid,
}

use Next::{Ignore as IG, Invalid as IV};
const SS: Next = Next::To(TcpState::SynSent);
const SR: Next = Next::To(TcpState::SynRecv);
const ES: Next = Next::To(TcpState::Established);
const FW: Next = Next::To(TcpState::FinWait);
const CW: Next = Next::To(TcpState::CloseWait);
const LA: Next = Next::To(TcpState::LastAck);
const TW: Next = Next::To(TcpState::TimeWait);
const CL: Next = Next::To(TcpState::Close);
const S2: Next = Next::To(TcpState::SynSent2);

type Row = [Next; 10];

/// Original direction. Columns: NONE SS SR ES FW CW LA TW CL S2.
#[rustfmt::skip]
const ORIGINAL: [Row; 6] = [
    /* SYN: opens; repeated while opening; ignored in an open flow (it may be a stray of an older one);
       re-opens a closed one. */
    [SS, SS, IG, IG, IG, IG, IG, SS, SS, S2],
    /* SYN+ACK: only answers a simultaneous open. */
    [IV, IV, SR, IV, IV, IV, IV, IV, IV, SR],
    /* FIN: begins or completes the close. */
    [IV, IV, FW, FW, LA, LA, LA, TW, CL, IV],
    /* ACK: picks up a flow; completes the handshake; acknowledges FINs. */
    [ES, IV, ES, ES, CW, CW, TW, TW, CL, IV],
    /* RST */
    [IV, CL, CL, CL, CL, CL, CL, CL, CL, CL],
    /* no class */
    [IV, IV, IV, IV, IV, IV, IV, IV, IV, IV],
];

/// Reply direction.
#[rustfmt::skip]
const REPLY: [Row; 6] = [
    /* SYN: simultaneous open; the other side re-opens. */
    [IV, S2, IV, IV, IV, IV, IV, SS, IV, S2],
    /* SYN+ACK: answers the SYN; later ones may answer a SYN that was ignored. */
    [IV, SR, IG, IG, IG, IG, IG, IG, IG, SR],
    /* FIN */
    [IV, IV, FW, FW, LA, LA, LA, TW, CL, IV],
    /* ACK: in SYN_SENT a challenge to the SYN. */
    [IV, IG, SR, ES, CW, CW, TW, TW, CL, IG],
    /* RST */
    [IV, CL, CL, CL, CL, CL, CL, CL, CL, CL],
    /* no class */
    [IV, IV, IV, IV, IV, IV, IV, IV, IV, IV],
];

/// Which generation's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generation {
    /// 2.6.18: no simultaneous open.
    Old,
    /// 2.6.32: some SYN+ACKs are treated otherwise.
    El6,
    /// 3.10 to 7.1.
    Modern,
}

/// Where a packet of `class` leads from `state`.
pub const fn next(generation: Generation, reply: bool, class: Class, state: TcpState) -> Next {
    let column = state.number() as usize;
    if column >= 10 {
        return Next::Invalid;
    }
    let closing_or_open = column >= 2 && column <= 8;
    match (generation, reply, class) {
        (Generation::El6, false, Class::SynAck) if closing_or_open => return IG,
        (Generation::El6, true, Class::SynAck) if column == 2 => return SR,
        (Generation::Old, false, Class::SynAck) | (Generation::Old, true, Class::Syn) => return IV,
        (Generation::Old, true, Class::Ack) if column == 1 => return IV,
        (Generation::Old | Generation::El6 | Generation::Modern, _, _) => {}
    }
    if reply { REPLY[class as usize][column] } else { ORIGINAL[class as usize][column] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syn_opens_and_a_syn_ack_opens_nothing() {
        assert_eq!(next(Generation::Modern, false, Class::Syn, TcpState::None), SS);
        assert_eq!(next(Generation::Modern, false, Class::SynAck, TcpState::None), IV);
    }

    #[test]
    fn simultaneous_open_is_unknown_to_2_6_18() {
        assert_eq!(next(Generation::Modern, true, Class::Syn, TcpState::SynSent), S2);
        assert_eq!(next(Generation::Old, true, Class::Syn, TcpState::SynSent), IV);
    }
}
