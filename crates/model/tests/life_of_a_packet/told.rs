//! What a listener of events is told, and what the kernel log says of packets.

use plimsoll_ct::{State, TcpState};
use plimsoll_model::{Arrival, EventKind, Fate, Treatment};
use plimsoll_wire::packet::{LinkType, parse_ip};

use super::{ACK, CLIENT, SERVER, SYN, Story, ms, packet, secs, tcp, udp};

/// The kinds of the events since the last call, with their states.
fn told(s: &mut Story) -> Vec<(EventKind, State)> {
    s.0.take_events().into_iter().map(|event| (event.kind, event.entry.state)).collect()
}

#[test]
fn what_dropped_packets_changed_is_told_once_with_the_next_one_that_passes() {
    let dropped = Treatment { fate: Fate::Dropped, ..Treatment::default() };
    let mut s = Story::modern();
    s.0.listen();
    s.at(ms(0), &tcp(false, SYN, 100, 0));
    s.with(ms(1), &tcp(true, SYN | ACK, 500, 101), dropped);
    s.with(ms(2), &tcp(false, ACK, 101, 501), dropped);
    assert_eq!(told(&mut s), [(EventKind::New, State::Tcp(TcpState::SynSent))]);
    // It changes nothing itself.
    s.at(ms(3), &tcp(false, ACK, 101, 501));
    assert_eq!(told(&mut s), [(EventKind::Update, State::Tcp(TcpState::Established))]);
    s.at(ms(4), &tcp(false, ACK, 101, 501));
    assert_eq!(told(&mut s), []);
}

#[test]
fn what_an_entry_owed_goes_with_it() {
    let dropped = Treatment { fate: Fate::Dropped, ..Treatment::default() };
    let mut s = complaining();
    s.0.listen();
    let gone = s.at(secs(0), &udp(false, 9)).entry;
    s.with(secs(1), &udp(true, 9), dropped);
    s.0.advance(secs(900));
    let next = s.at(secs(901), &udp(false, 8)).entry;
    assert_eq!(gone, next, "the name is used again");
    s.at(secs(902), &udp(false, 8));
    let kinds: Vec<_> = told(&mut s).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [EventKind::New, EventKind::Destroy, EventKind::New]);
}

/// A datagram whose length is a lie, from a port.
fn lie(port: u8) -> Vec<u8> {
    packet(CLIENT, SERVER, 17, &[0, port, 0, 53, 0, 99, 0, 0])
}

fn complaining() -> Story {
    Story::on("6.18", |settings| settings.log_invalid = 255)
}

fn describe(s: &mut Story, frame: &[u8]) -> bool {
    s.0.describe(LinkType::RawIp, frame, "eth0")
}

/// The ports that the lines show, in their order; `None`: the line is not whole.
fn ports(s: &mut Story) -> Vec<Option<String>> {
    let port = |text: &str| text.split(" SPT=").nth(1).map(|t| t.split(' ').next().unwrap().into());
    s.0.take_log()
        .into_iter()
        .map(|line| {
            assert_eq!(line.about_packet, !line.text.contains("SRC="), "{}", line.text);
            port(&line.text)
        })
        .collect()
}

fn some(port: &str) -> Option<String> {
    Some(port.into())
}

#[test]
fn a_line_shows_no_packet_but_its_own() {
    let mut s = complaining();
    s.at(ms(0), &lie(1));
    s.at(ms(1), &udp(false, 9));
    assert!(!describe(&mut s, &udp(false, 9)));
    assert_eq!(ports(&mut s), [None]);

    s.at(ms(2), &lie(2));
    s.at(ms(3), &lie(3));
    assert!(describe(&mut s, &lie(3)));
    assert!(!describe(&mut s, &lie(3)), "it is whole");
    s.at(ms(4), &lie(4));
    assert!(describe(&mut s, &lie(4)));
    assert_eq!(ports(&mut s), [None, some("3"), some("4")]);
    assert!(!describe(&mut s, &lie(4)), "it was taken");
}

#[test]
fn a_part_of_a_datagram_is_another_packet_and_what_it_completes_is_shown_whole() {
    let mut s = complaining();
    let mut first = lie(5);
    first[6] = 0x20;
    let mut last = packet(CLIENT, SERVER, 17, &[0; 8]);
    last[7] = 1;
    s.at(ms(0), &lie(1));
    for (part, said) in [(&first, false), (&last, true)] {
        s.at(ms(1), part);
        assert_eq!(describe(&mut s, part), said);
    }
    assert_eq!(ports(&mut s), [None, some("5")]);
}

#[test]
fn of_a_batch_the_last_packet_is_described() {
    for (last, port) in [(lie(2), some("2")), (udp(false, 9), None)] {
        let mut s = complaining();
        let frames = [lie(1), last];
        let arrivals = frames.each_ref().map(|frame| Arrival {
            at: ms(0),
            packet: parse_ip(frame).unwrap(),
            treatment: Treatment::default(),
        });
        s.0.batch(&arrivals, |_, _, _| {});
        assert_eq!(describe(&mut s, &frames[1]), port.is_some());
        assert_eq!(ports(&mut s), [None].into_iter().chain(port.map(Some)).collect::<Vec<_>>());
    }
}

#[test]
fn a_packet_that_the_log_has_no_room_for_is_described_nowhere() {
    let mut s = complaining();
    for _ in 0..10_000 {
        s.at(ms(0), &lie(1));
    }
    s.at(ms(0), &lie(2));
    assert!(!describe(&mut s, &lie(2)));
    assert_eq!(ports(&mut s), vec![None; 10_000]);
}

#[test]
fn packets_that_come_while_nobody_complains_are_others_too() {
    let mut s = complaining();
    s.at(ms(0), &lie(1));
    s.0.change(|settings| settings.log_invalid = 0);
    s.at(ms(1), &udp(false, 9));
    s.0.change(|settings| settings.log_invalid = 255);
    assert!(!describe(&mut s, &udp(false, 9)));
    assert_eq!(ports(&mut s), [None]);
}
