//! DCCP, where a kernel has a tracker for it.

use plimsoll_ct::{Counter, DccpState, L4, State};
use plimsoll_model::{Info, Verdict};

use super::{CLIENT, SERVER, Story, ms, packet};

/// A DCCP packet with its header's first 12 octets, the rest of a sequence number, and what its type adds.
fn dccp(reply: bool, kind: u8, rest: usize) -> Vec<u8> {
    let mut header = if reply { vec![0, 80, 16, 0] } else { vec![16, 0, 0, 80] };
    header.extend([((16 + rest) / 4) as u8, 0, 0, 0, kind << 1 | 1, 0, 0, 0, 0, 0, 0, 1]);
    header.resize(header.len() + rest, 0);
    // All acknowledge number 1, the first of either side.
    if rest >= 8 {
        header[23] = 1;
    }
    if reply { packet(SERVER, CLIENT, 33, &header) } else { packet(CLIENT, SERVER, 33, &header) }
}

#[test]
fn dccp_has_states_and_ports_where_the_kernel_has_a_tracker_for_it() {
    let handshake = [dccp(false, 0, 4), dccp(true, 1, 12), dccp(false, 3, 8), dccp(true, 4, 8)];
    let play = |profile| {
        let mut s = Story::on(profile, |_| {});
        for packet in &handshake {
            assert_eq!(s.at(ms(0), packet).verdict, Verdict::Accept, "{profile}");
        }
        let e = s.only();
        (e.state, e.expires.map(|s| s.get()), e.is_assured(), e.original.l4)
    };
    let ports = L4::Ports { source: 4096, destination: 80 };
    assert_eq!(play("6.12"), (State::Dccp(DccpState::Open), Some(43_200), true, ports));
    assert_eq!(play("6.18"), (State::Stateless, Some(600), false, L4::None));
}

#[test]
fn a_dccp_packet_that_is_too_short_for_its_header_is_invalid_and_may_be_dropped() {
    let cut = dccp(false, 0, 0);
    let stub = packet(CLIENT, SERVER, 33, &[16, 0, 0, 80]);
    for (profile, packet, verdict) in [
        ("6.1", &cut, Verdict::Drop),
        ("6.1", &stub, Verdict::Drop),
        ("6.12", &cut, Verdict::Accept),
        ("6.12", &stub, Verdict::Accept),
    ] {
        let mut s = Story::on(profile, |_| {});
        let step = s.at(ms(0), packet);
        assert_eq!((step.info, step.verdict), (Info::Invalid, verdict), "{profile}");
        let dropped = u64::from(verdict == Verdict::Drop);
        let counted = (s.counter(Counter::Invalid), s.counter(Counter::Drop));
        assert_eq!(counted, (1, dropped), "{profile}");
        assert_eq!(s.0.entries().count(), 0, "{profile}");
    }
}
