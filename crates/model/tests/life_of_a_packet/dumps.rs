//! Tables that begin with a dump.

use plimsoll_ct::{Entry, Zone, ZoneDirection};
use plimsoll_model::{Info, Treatment, What};
use plimsoll_wire::listing;

use super::sctp::sctp;
use super::{ACK, CLIENT, SERVER, Story, ms, packet, secs, tcp, udp};

fn shown(line: &str) -> Entry {
    listing::parse(line.as_bytes()).unwrap().entry
}

#[test]
fn tags_of_an_association_are_learnt_from_the_next_packets_of_each_direction() {
    const DATA: u8 = 0;
    const ABORT: u8 = 6;
    let line = "sctp 132 200 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=4096 dport=80 \
                src=10.0.0.2 dst=10.0.0.1 sport=80 dport=4096 [ASSURED]";
    let begun = || {
        let mut s = Story::on("6.18", |settings| settings.checksum = false);
        assert_eq!(s.0.restore(secs(0), [shown(line)]), 1);
        s
    };
    let mut s = begun();
    for (reply, tag, info) in [
        (false, 9, Info::Established),
        (false, 8, Info::Invalid),
        (true, 5, Info::EstablishedReply),
        (true, 9, Info::Invalid),
        (false, 9, Info::Established),
    ] {
        assert_eq!(s.at(secs(1), &sctp(reply, tag, &[(DATA, 0)])).info, info, "{reply} {tag}");
    }
    // An ABORT ends it at once, by any tag; what is invalid teaches none.
    let mut s = begun();
    let crowded = sctp(false, 1, &[(DATA, 0), (11, 0)]);
    assert_eq!(s.at(secs(1), &crowded).info, Info::Invalid);
    assert_eq!(s.at(secs(1), &sctp(false, 2, &[(DATA, 0)])).info, Info::Established);
    assert_eq!(s.at(secs(1), &sctp(true, 3, &[(ABORT, 0)])).info, Info::EstablishedReply);
    // Opened anew, it knows the tags that are offered.
    let mut s = begun();
    assert_eq!(s.at(secs(1), &sctp(false, 0, &[(1, 7)])).info, Info::Established);
    assert_eq!(s.at(secs(1), &sctp(true, 6, &[(DATA, 0)])).info, Info::Invalid);
    assert_eq!(s.at(secs(1), &sctp(true, 7, &[(2, 9)])).info, Info::EstablishedReply);
}

#[test]
fn what_is_in_a_flow_table_goes_on_and_what_was_counted_is_counted_on() {
    let tuples = "src=10.0.0.1 dst=10.0.0.2 sport=4096 dport=80 packets=5 bytes=500 \
                  src=10.0.0.2 dst=10.0.0.1 sport=80 dport=4096 packets=4 bytes=400";
    let mut s = Story::on("6.18", |settings| settings.accounting = true);
    let offloaded = shown(&format!("tcp 6 {tuples} [OFFLOAD] mark=0 use=3"));
    assert_eq!(offloaded.expires, None);
    let aged = Entry { age: Some(plimsoll_ct::Seconds(70)), ..offloaded };
    assert_eq!(s.0.restore(secs(1), [aged]), 1);
    assert_eq!(s.at(secs(40_000), &tcp(false, ACK, 1, 1)).info, Info::Established);
    let entry = s.only();
    assert_eq!(entry.original_accounting.map(|a| (a.packets, a.bytes)), Some((6, 540)));
    assert_eq!(entry.reply_accounting.map(|a| (a.packets, a.bytes)), Some((4, 400)));
    assert_eq!(entry.age.map(|age| age.get()), Some(40_069));
}

#[test]
fn what_has_less_than_a_second_left_is_still_there() {
    let mut s = Story::modern();
    let line = "udp 17 0 src=10.0.0.1 dst=10.0.0.2 sport=9 dport=53 [UNREPLIED] \
                src=10.0.0.2 dst=10.0.0.1 sport=53 dport=9";
    assert_eq!(s.0.restore(secs(1), [shown(line)]), 1);
    assert_eq!(s.0.entries().count(), 1);
    assert_eq!(s.at(secs(1), &udp(true, 9)).info, Info::EstablishedReply);
}

#[test]
fn an_entry_of_two_families_is_none() {
    let mut s = Story::modern();
    let line = "udp 17 9 src=10.0.0.1 dst=10.0.0.2 sport=9 dport=53 \
                src=10.0.0.2 dst=10.0.0.1 sport=53 dport=9";
    let good = shown(line);
    let mut mixed = good;
    mixed.reply.destination = std::net::Ipv6Addr::LOCALHOST.into();
    assert_eq!(s.0.restore(secs(1), [mixed]), 0);
    assert_eq!(s.0.restore(secs(1), [good]), 1);
}

/// Two flows that ask each other's way round, one of them in a zone of its answers only, stand beside each other, as packets
/// put them there.
#[test]
fn a_zone_of_the_answers_is_not_that_of_the_questions() {
    let mut s = Story::modern();
    let answers = Zone { id: 2, direction: ZoneDirection::Reply };
    let one_way = Treatment { zone: answers, ..Treatment::default() };
    let back = packet(SERVER, CLIENT, 17, &[0, 53, 0, 9, 0, 8, 0, 0]);
    assert_eq!(s.at(ms(0), &back).what, What::Inserted);
    assert_eq!(s.with(ms(0), &udp(false, 9), one_way).what, What::Inserted);
    let entries = s.0.snapshot();
    let mut other = Story::modern();
    assert_eq!(other.0.restore(ms(0), entries.clone()), 2);
    assert_eq!(other.0.snapshot(), entries);
    assert_eq!(other.0.restore(ms(0), entries), 0, "they are there already");
}
