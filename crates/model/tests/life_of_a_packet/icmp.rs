//! Errors and redirects.

use plimsoll_ct::Counter;
use plimsoll_model::Info;

use super::{CLIENT, SERVER, Story, ms, packet, udp};

#[test]
fn an_icmp_error_about_a_flow_is_related_and_about_none_an_icmp_error() {
    let mut s = Story::modern();
    s.at(ms(0), &udp(false, 9));
    let mut unreachable = vec![3, 3, 0, 0, 0, 0, 0, 0];
    unreachable.extend(udp(false, 9));
    assert_eq!(s.at(ms(1), &packet(SERVER, CLIENT, 1, &unreachable)).info, Info::RelatedReply);
    unreachable[29] ^= 1;
    assert_eq!(s.at(ms(2), &packet(SERVER, CLIENT, 1, &unreachable)).info, Info::Invalid);
    assert_eq!((s.counter(Counter::IcmpError), s.counter(Counter::Invalid)), (1, 0));
    assert!(!s.only().is_replied(), "an error is no reply");
}

/// An IPv6 packet between addresses of which only the first and the last octet are not 0.
fn wide(from: [u8; 2], to: [u8; 2], hop_limit: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, payload.len() as u8, protocol, hop_limit];
    for [first, last] in [from, to] {
        packet.extend([first, if first == 0xfe { 0x80 } else { 0 }]);
        packet.extend([0; 13]);
        packet.push(last);
    }
    packet.extend(payload);
    packet
}

/// As a running 6.18 does (a packet that was shorter when it was sent, and is quoted with headers that its length does not count).
#[test]
fn what_an_error_quotes_over_ipv6_may_be_longer_than_it_says() {
    let (client, server) = ([0xfd, 1], [0xfd, 2]);
    let udp = [0, 9, 0, 53, 0, 8, 0, 0];
    let asked = wide(client, server, 64, 17, &udp);
    let mut quoted = wide(client, server, 64, 60, &[&[17, 0, 1, 4, 0, 0, 0, 0][..], &udp].concat());
    for length in [16, 8, 0, 200] {
        let mut s = Story::modern();
        s.at(ms(0), &asked);
        quoted[5] = length;
        let error = [&[1, 4, 0, 0, 0, 0, 0, 0][..], &quoted].concat();
        let seen = s.at(ms(1), &wide(server, client, 64, 58, &error)).info;
        assert_eq!(seen, Info::RelatedReply, "{length}");
    }
}

/// Linux 6.18, `cargo xtask fidelity rare 1000 1 redirects`.
#[test]
fn a_redirect_of_its_own_link_is_related_to_the_flow_that_its_first_option_quotes() {
    let (client, server, router) = ([0xfd, 1], [0xfd, 2], [0xfe, 3]);
    let asked = wide(client, server, 64, 17, &[0, 9, 0, 53, 0, 8, 0, 0]);
    let quoted = [&[4, 7, 0, 0, 0, 0, 0, 0][..], &asked].concat();
    let link_address = [2, 1, 2, 0, 0, 0, 0, 9];
    let redirect = |from, hop_limit, options: &[u8]| {
        let message = [&[137, 0, 0, 0, 0, 0, 0, 0][..], &[0; 32], options].concat();
        wide(from, client, hop_limit, 58, &message)
    };
    let mut s = Story::modern();
    s.at(ms(0), &asked);
    assert_eq!(s.at(ms(1), &redirect(router, 255, &quoted)).info, Info::RelatedReply);
    let no_flow = [&link_address[..], &quoted].concat();
    assert_eq!(s.at(ms(2), &redirect(router, 255, &no_flow)).info, Info::Invalid);
    assert_eq!((s.counter(Counter::IcmpError), s.counter(Counter::Invalid)), (0, 1));
    for elsewhere in [
        redirect(router, 254, &quoted),
        redirect(server, 255, &quoted),
        redirect(router, 255, &[]),
        redirect(router, 255, &[4, 0]),
    ] {
        assert_eq!(s.at(ms(3), &elsewhere).info, Info::Invalid);
    }
    assert_eq!((s.counter(Counter::IcmpError), s.counter(Counter::Invalid)), (4, 1));
}
