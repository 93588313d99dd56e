//! SCTP: chunks, tags, and INITs that cross.

use plimsoll_ct::Counter;
use plimsoll_model::Info;

use super::{CLIENT, SERVER, Story, packet, secs};

/// An SCTP packet of these chunks: type, four octets behind its header.
pub fn sctp(reply: bool, tag: u32, all: &[(u8, u32)]) -> Vec<u8> {
    let mut whole = if reply { vec![0, 80, 16, 0] } else { vec![16, 0, 0, 80] };
    whole.extend(tag.to_be_bytes());
    whole.extend([0; 4]);
    for (kind, value) in all {
        whole.extend([*kind, 0, 0, 20]);
        whole.extend(value.to_be_bytes());
        whole.extend([0; 12]);
    }
    if reply { packet(SERVER, CLIENT, 132, &whole) } else { packet(CLIENT, SERVER, 132, &whole) }
}

/// Linux 6.18, `cargo xtask fidelity scripts 20000 304`: a chunk has its effect, also where a heartbeat with a strange tag
/// behind it keeps the packet from refreshing the entry.
#[test]
fn a_cookie_ack_in_front_of_a_strange_heartbeat_makes_the_entry_assured() {
    let mut s = Story::on("6.18", |settings| settings.checksum = false);
    s.at(secs(0), &sctp(false, 0, &[(1, 7)]));
    s.at(secs(0), &sctp(true, 7, &[(2, 9)]));
    s.at(secs(0), &sctp(false, 9, &[(10, 0)]));
    let strange = s.at(secs(1), &sctp(false, 8, &[(11, 0), (4, 0)]));
    assert_eq!(strange.info, Info::Established);
    let entry = s.only();
    assert!(entry.is_assured());
    assert_eq!(entry.expires.map(|left| left.get()), Some(2), "not refreshed");
}

/// Linux 6.18, `cargo xtask fidelity rare 2000 2 sctp`: an INIT ACK may bring a new tag where one side opens anew what was
/// open, and not where both sides' INITs cross; an INIT that comes twice counts once.
#[test]
fn an_init_ack_brings_a_tag_where_no_other_init_is_under_way() {
    const INIT: u8 = 1;
    const INIT_ACK: u8 = 2;
    let opening =
        [(false, 0, (INIT, 1)), (true, 1, (INIT_ACK, 2)), (false, 2, (10, 0)), (true, 1, (11, 0))];
    // Packets behind so many of the opening; whether the last one, an INIT ACK, is valid.
    type Packet = (bool, u32, (u8, u32));
    let anew = [(true, 0, (INIT, 3)), (false, 3, (INIT_ACK, 4))];
    let cases: [(usize, &[Packet], bool); 7] = [
        (4, &anew, true),
        // The client's INIT comes late, once more.
        (4, &[opening[0], anew[0], anew[1]], true),
        (2, &anew, false),
        (2, &[anew[0], anew[0], anew[1]], false),
        (2, &[anew[0], (true, 0, (INIT, 5)), (false, 5, (INIT_ACK, 4))], true),
        (1, &[anew[0], opening[0], (true, 1, (INIT_ACK, 4))], false),
        (1, &[anew[0], (false, 0, (INIT, 5)), (true, 5, (INIT_ACK, 4))], true),
    ];
    for (opened, packets, valid) in cases {
        let mut s = Story::on("6.18", |settings| settings.checksum = false);
        for &(reply, tag, chunk) in opening[..opened].iter().chain(packets) {
            s.at(secs(0), &sctp(reply, tag, &[chunk]));
        }
        assert_eq!(s.counter(Counter::Invalid), u64::from(!valid), "{opened}, {packets:?}");
    }
}

/// Linux 6.18, `cargo xtask fidelity rare 20000 6 sctp`.
#[test]
fn an_init_is_as_long_as_its_packet_however_short_it_says_it_is() {
    for (octets, long_enough) in [(32, true), (28, false)] {
        let mut s = Story::on("6.18", |settings| settings.checksum = false);
        let mut init = sctp(false, 0, &[(1, 7)]);
        init.truncate(20 + octets);
        init[3] = init.len() as u8;
        init[20 + 12 + 3] = 17;
        let invalid = s.at(secs(0), &init).info == Info::Invalid;
        assert_eq!(invalid, !long_enough, "{octets}");
    }
}
