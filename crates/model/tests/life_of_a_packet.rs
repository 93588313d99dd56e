//! The life of packets, told as stories. What they say was seen on Linux 6.18; `cargo xtask fidelity`
//! holds the model to a running kernel.
#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;

use plimsoll_ct::{
    Bytes, Counter, DccpState, Entry, L4, Profile, State, Status, TcpState, Time, Zone,
    ZoneDirection,
};
use plimsoll_model::{Config, Fate, Info, Model, Settings, Step, Treatment, Verdict, What};
use plimsoll_wire::packet::{LinkType, parse_ip};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

fn ms(n: i64) -> Time {
    Time(n * 1_000_000)
}

fn secs(n: i64) -> Time {
    Time::from_secs(n)
}

fn packet(from: [u8; 4], to: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, (20 + payload.len()) as u8, 0, 0, 0, 0, 64, protocol, 0, 0];
    packet.extend(from);
    packet.extend(to);
    packet.extend(payload);
    packet
}

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];

fn udp(reply: bool, port: u16) -> Vec<u8> {
    let [a, b] = port.to_be_bytes();
    if reply {
        packet(SERVER, CLIENT, 17, &[0, 53, a, b, 0, 8, 0, 0])
    } else {
        packet(CLIENT, SERVER, 17, &[a, b, 0, 53, 0, 8, 0, 0])
    }
}

fn tcp(reply: bool, flags: u8, seq: u32, ack: u32) -> Vec<u8> {
    let mut header = if reply { vec![0, 80, 16, 0] } else { vec![16, 0, 0, 80] };
    header.extend(seq.to_be_bytes());
    header.extend(ack.to_be_bytes());
    header.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    if reply { packet(SERVER, CLIENT, 6, &header) } else { packet(CLIENT, SERVER, 6, &header) }
}

struct Story(Model);

impl Story {
    fn on(profile: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let profile = Profile::named(profile).unwrap();
        let mut settings = Settings::of(profile, Bytes(8 << 30));
        change(&mut settings);
        Self(Model::new(Config::new(profile, settings)))
    }

    fn modern() -> Self {
        Self::on("6.18", |_| {})
    }

    fn at(&mut self, time: Time, packet: &[u8]) -> Step {
        self.with(time, packet, Treatment::default())
    }

    fn with(&mut self, time: Time, packet: &[u8], treatment: Treatment) -> Step {
        self.0.packet(time, &parse_ip(packet).unwrap(), &treatment)
    }

    fn only(&self) -> Entry {
        let mut entries = self.0.entries();
        let entry = entries.next().expect("an entry");
        assert!(entries.next().is_none(), "one entry only");
        entry
    }

    fn only_of(&self, id: Option<plimsoll_model::EntryId>) -> Entry {
        id.and_then(|id| self.0.entry(id)).expect("an entry")
    }

    fn shows(&self, state: TcpState, seconds: u64, assured: bool) {
        let entry = self.only();
        let seen = (entry.state, entry.expires.map(|s| s.get()), entry.is_assured());
        assert_eq!(seen, (State::Tcp(state), Some(seconds), assured));
    }

    fn counter(&self, counter: Counter) -> u64 {
        self.0.counters().get(counter).unwrap_or(0)
    }
}

#[test]
fn a_handshake_makes_the_entry_assured() {
    let mut s = Story::modern();
    assert_eq!(s.at(ms(0), &tcp(false, SYN, 100, 0)).info, Info::New);
    s.shows(TcpState::SynSent, 120, false);
    assert_eq!(s.at(ms(1), &tcp(true, SYN | ACK, 500, 101)).info, Info::EstablishedReply);
    s.shows(TcpState::SynRecv, 60, false);
    assert_eq!(s.at(ms(2), &tcp(false, ACK, 101, 501)).info, Info::Established);
    s.shows(TcpState::Established, 432_000, true);
}

#[test]
fn a_flow_that_ends_in_order_waits_two_minutes_and_may_be_opened_again() {
    let mut s = Story::modern();
    s.at(ms(0), &tcp(false, SYN, 100, 0));
    s.at(ms(1), &tcp(true, SYN | ACK, 500, 101));
    s.at(ms(2), &tcp(false, ACK, 101, 501));
    s.at(ms(3), &tcp(false, FIN | ACK, 101, 501));
    s.shows(TcpState::FinWait, 120, true);
    s.at(ms(4), &tcp(true, FIN | ACK, 501, 102));
    s.shows(TcpState::LastAck, 30, true);
    s.at(ms(5), &tcp(false, ACK, 102, 502));
    s.shows(TcpState::TimeWait, 120, true);
    let again = s.at(ms(6), &tcp(false, SYN, 9, 0));
    assert!(again.reopened && again.what == What::Inserted);
    s.shows(TcpState::SynSent, 120, false);
}

#[test]
fn a_refused_connection_leaves_nothing() {
    let mut s = Story::modern();
    s.at(ms(0), &tcp(false, SYN, 100, 0));
    assert_eq!(s.at(ms(1), &tcp(true, RST | ACK, 0, 101)).what, What::Removed);
    assert_eq!(s.0.entries().count(), 0);
}

#[test]
fn a_syn_ack_out_of_the_blue_is_invalid_and_makes_no_entry() {
    let mut s = Story::modern();
    assert_eq!(s.at(ms(0), &tcp(true, SYN | ACK, 1, 1)).info, Info::Invalid);
    assert_eq!((s.0.counted(), s.counter(Counter::Invalid)), (0, 1));
}

#[test]
fn a_packet_that_the_rules_drop_never_gets_into_the_table() {
    let mut s = Story::modern();
    let dropped = Treatment { fate: Fate::Dropped, ..Treatment::default() };
    assert_eq!(s.with(ms(0), &udp(false, 9), dropped).what, What::NotConfirmed);
    assert_eq!(s.0.counted(), 0);
}

#[test]
fn two_zones_hold_two_entries_of_one_tuple_and_untracked_packets_none() {
    let mut s = Story::modern();
    s.with(ms(0), &udp(false, 9), Treatment { zone: Zone::both(1), ..Treatment::default() });
    s.with(ms(0), &udp(false, 9), Treatment { zone: Zone::both(2), ..Treatment::default() });
    let untracked = Treatment { untracked: true, ..Treatment::default() };
    assert_eq!(s.with(ms(0), &udp(false, 77), untracked).info, Info::Untracked);
    assert_eq!(s.0.counted(), 2);
}

#[test]
fn a_zone_of_one_direction_is_shared_by_the_answers_of_all() {
    let mut s = Story::modern();
    let zone = |id, direction| Treatment { zone: Zone { id, direction }, ..Treatment::default() };
    let tenant = |id| zone(id, ZoneDirection::Original);
    assert_eq!(s.with(ms(0), &udp(false, 9), tenant(1)).what, What::Inserted);
    // Its answers come without a zone, or in the same one.
    assert_eq!(s.at(ms(1), &udp(true, 9)).info, Info::EstablishedReply);
    assert_eq!(s.with(ms(2), &udp(true, 9), tenant(1)).info, Info::EstablishedReply);
    assert_eq!(s.with(ms(3), &udp(false, 9), tenant(1)).info, Info::Established);
    // Another tenant's would have the same answers; nobody could tell whose they are.
    let other = s.with(ms(4), &udp(false, 9), tenant(2));
    assert_eq!((other.what, other.verdict), (What::Clashed, Verdict::Drop));
    assert_eq!(s.at(ms(5), &udp(false, 9)).what, What::Clashed);
    assert_eq!(s.with(ms(6), &udp(false, 9), zone(2, ZoneDirection::Reply)).what, What::Inserted);
    let counters = s.0.counters();
    assert_eq!(counters.get(Counter::InsertFailed), Some(2));
    assert_eq!(counters.get(Counter::Drop), Some(2));
    let entries = s.0.snapshot();
    assert_eq!(entries.len(), 2);
    for entry in &entries {
        let id = s.0.lookup(&entry.original, entry.zone);
        assert!(id.is_some() && s.0.lookup(&entry.reply, entry.zone) == id, "{entry:?}");
    }
    // What a dump shows of them is enough to know them again.
    let mut other = Story::modern();
    assert_eq!(other.0.restore(ms(6), entries.clone()), 2);
    assert_eq!(other.at(ms(7), &udp(true, 9)).info, Info::EstablishedReply);
    assert_eq!(other.0.restore(ms(8), entries), 0, "they are there already");
}

#[test]
fn a_packet_in_a_zone_of_one_direction_is_a_question_before_it_is_an_answer() {
    let own = Treatment { zone: Zone::both(5), ..Treatment::default() };
    let one_way = Zone { id: 5, direction: ZoneDirection::Original };
    let none = Treatment::default();
    // The client asks in no zone; the server asks in one, and is the older or the younger.
    for order in [[(false, none), (true, own)], [(true, own), (false, none)]] {
        let mut s = Story::modern();
        for (back, treatment) in order {
            assert_eq!(s.with(ms(0), &udp(back, 9), treatment).what, What::Inserted);
        }
        let id = s.0.entries().find(|entry| entry.zone.id == 5);
        let tuple = id.unwrap().original;
        let asked = s.0.lookup(&tuple, own.zone);
        assert_eq!(s.0.lookup(&tuple, one_way), asked);
        let step = s.with(ms(1), &udp(true, 9), Treatment { zone: one_way, ..none });
        assert_eq!((step.entry, step.info), (asked, Info::New), "{order:?}");
    }
}

#[test]
fn of_two_entries_that_claim_a_packet_the_younger_gets_it() {
    let zone = |id, direction| Treatment { zone: Zone { id, direction }, ..Treatment::default() };
    let none = Treatment::default();
    let asking = (true, zone(7, ZoneDirection::Reply));
    let answering = (false, zone(5, ZoneDirection::Original));
    let plain = (false, none);
    // Who comes first, who second, and whether packets to the client are the second one's answers.
    for (first, second, answers) in
        [(asking, answering, true), (answering, asking, false), (plain, asking, false)]
    {
        let mut s = Story::modern();
        let ids = [first, second].map(|(back, treatment)| {
            let step = s.with(ms(0), &udp(back, 9), treatment);
            assert_eq!(step.what, What::Inserted);
            step.entry
        });
        let step = s.at(ms(1), &udp(true, 9));
        let info = if answers { Info::EstablishedReply } else { Info::New };
        assert_eq!((step.entry, step.info), (ids[1], info), "{first:?} {second:?}");
        let tuple = s.0.entry(ids[1].unwrap()).unwrap();
        let tuple = if answers { tuple.reply } else { tuple.original };
        assert_eq!(s.0.lookup(&tuple, Zone::default()), ids[1]);
        // Once it is gone the older one gets them. The collector leaves both alone for as long.
        s.0.change(|settings| settings.udp = [1000, 1000]);
        s.with(ms(2), &udp(first.0, 9), first.1);
        let step = s.at(secs(200), &udp(true, 9));
        assert_eq!(step.entry, ids[0], "{first:?} {second:?}");
    }
}

#[test]
fn a_datagram_in_another_ones_way_is_lost_on_6_12_and_joins_it_on_6_1() {
    let zone = |id| {
        let zone = Zone { id, direction: ZoneDirection::Original };
        Treatment { zone, ..Treatment::default() }
    };
    for (profile, joins) in [("6.12", false), ("6.1", true), ("5.10", true)] {
        let mut s = Story::on(profile, |settings| settings.accounting = true);
        let first = s.with(ms(0), &udp(false, 9), zone(1)).entry;
        let step = s.with(ms(1), &udp(false, 9), zone(2));
        let verdict = if joins { Verdict::Accept } else { Verdict::Drop };
        let own = if joins { first } else { None };
        assert_eq!(
            (step.what, step.verdict, step.entry),
            (What::Clashed, verdict, own),
            "{profile}"
        );
        let counted = [Counter::ClashResolved, Counter::InsertFailed, Counter::Drop];
        let seen = counted.map(|counter| s.counter(counter));
        assert_eq!(seen, if joins { [1, 0, 0] } else { [0, 1, 1] }, "{profile}");
        let packets = s.only().original_accounting.map(|a| a.packets);
        assert_eq!(packets, Some(if joins { 2 } else { 1 }), "{profile}");
        // So does what has no tracker; a connection's SYN is lost everywhere.
        let esp = packet(CLIENT, SERVER, 50, &[0; 8]);
        s.with(ms(2), &esp, zone(1));
        assert_eq!(s.with(ms(3), &esp, zone(2)).verdict, verdict, "{profile}");
        s.with(ms(2), &tcp(false, SYN, 99, 0), zone(1));
        assert_eq!(s.with(ms(3), &tcp(false, SYN, 99, 0), zone(2)).verdict, Verdict::Drop);
    }
}

#[test]
fn on_5_10_a_zone_does_not_keep_questions_and_answers_apart() {
    // What the server asks in the zone of the client's questions would be answered by them, but for the zone of its answers.
    let zone = |id, direction| Treatment { zone: Zone { id, direction }, ..Treatment::default() };
    for (profile, what) in [("6.1", What::Inserted), ("5.10", What::Clashed)] {
        let mut s = Story::on(profile, |_| {});
        s.with(ms(0), &tcp(false, SYN, 99, 0), zone(1, ZoneDirection::Both));
        let step = s.with(ms(1), &tcp(true, SYN, 99, 0), zone(1, ZoneDirection::Original));
        assert_eq!(step.what, what, "{profile}");
    }
}

/// Linux 5.10.0-46, `cargo xtask fidelity --guest 5.10 zones 3 17`.
#[test]
fn on_5_10_the_younger_of_question_and_answer_gets_a_packet_in_a_zone_of_one_direction() {
    let zone = |id, direction| Treatment { zone: Zone { id, direction }, ..Treatment::default() };
    let (own, none) = (zone(1, ZoneDirection::Both), Treatment::default());
    let asks_in_own = zone(1, ZoneDirection::Original);
    // The last one is a question of the first, and an answer to the second.
    let claimed = |profile| {
        let mut s = Story::on(profile, |_| {});
        let asked = s.with(ms(0), &udp(false, 9), own).entry;
        let answered = s.with(ms(0), &udp(true, 9), none).entry;
        let tuple = s.only_of(asked).original;
        let step = s.with(ms(1), &udp(false, 9), asks_in_own);
        assert_eq!(s.0.lookup(&tuple, asks_in_own.zone), step.entry, "{profile}");
        (step.entry == asked, step.entry == answered)
    };
    assert_eq!(claimed("6.1"), (true, false));
    assert_eq!(claimed("5.10"), (false, true));
    // The last one makes no entry: it clashes with the first's question, and with the answers of the second.
    let mut s = Story::on("5.10", |_| {});
    s.with(ms(0), &udp(true, 9), own);
    let younger = s.with(ms(0), &udp(false, 9), none).entry;
    let step = s.with(ms(1), &udp(false, 9), asks_in_own);
    assert_eq!((step.what, step.entry), (What::Clashed, younger));
}

#[test]
fn an_established_connection_loses_its_answers_to_a_younger_entry() {
    let mut s = Story::modern();
    s.at(ms(0), &tcp(false, SYN, 99, 0));
    s.at(ms(1), &tcp(true, SYN | ACK, 199, 100));
    s.at(ms(2), &tcp(false, ACK, 100, 200));
    let old = s.at(ms(3), &tcp(true, ACK, 200, 100)).entry;
    let zone = Zone { id: 7, direction: ZoneDirection::Reply };
    let young =
        s.with(ms(4), &tcp(true, ACK, 200, 100), Treatment { zone, ..Treatment::default() });
    assert_eq!(young.what, What::Inserted);
    let step = s.at(ms(5), &tcp(true, ACK, 200, 100));
    assert_eq!((step.entry, step.info), (young.entry, Info::New));
    assert_eq!(s.at(ms(6), &tcp(false, ACK, 100, 200)).entry, old);
}

#[test]
fn a_dns_lookup_stays_evictable_on_6_18_and_is_protected_on_3_10() {
    for (profile, assured, seconds) in [("6.18", false, 30), ("5.4", true, 30), ("3.10", true, 180)]
    {
        let mut s = Story::on(profile, |_| {});
        s.at(ms(0), &udp(false, 9));
        s.at(ms(1), &udp(true, 9));
        // 3.10 does not move an expiry by less than a second.
        s.at(ms(1500), &udp(false, 9));
        let entry = s.only();
        let seen = (entry.is_assured(), entry.expires.map(|e| e.get()));
        assert_eq!(seen, (assured, Some(seconds)), "{profile}");
    }
}

#[test]
fn udp_that_goes_on_after_two_seconds_is_a_stream() {
    let mut s = Story::modern();
    s.at(ms(0), &udp(false, 9));
    s.at(ms(1), &udp(true, 9));
    s.at(ms(2100), &udp(false, 9));
    let entry = s.only();
    assert_eq!((entry.is_assured(), entry.expires.map(|e| e.get())), (true, Some(120)));
}

#[test]
fn a_full_table_evicts_what_is_not_assured() {
    let mut s = Story::on("6.18", |settings| {
        settings.max = 4;
        settings.buckets = 2;
    });
    for port in 1..=4 {
        s.at(ms(0), &udp(false, port));
    }
    let fifth = s.at(ms(1), &udp(false, 5));
    assert_eq!((fifth.verdict, fifth.what), (Verdict::Accept, What::Inserted));
    assert!(fifth.evicted > 0);
    assert_eq!(s.counter(Counter::EarlyDrop), u64::from(fifth.evicted));
    assert_eq!(s.counter(Counter::Drop), 0);
    assert!(s.0.take_log().is_empty());
}

#[test]
fn a_table_full_of_assured_entries_drops_and_says_so() {
    let mut s = Story::on("6.18", |settings| settings.max = 1);
    s.at(ms(0), &tcp(false, SYN, 100, 0));
    s.at(ms(1), &tcp(true, SYN | ACK, 500, 101));
    s.at(ms(2), &tcp(false, ACK, 101, 501));
    assert_eq!(s.at(ms(3), &udp(false, 5)).verdict, Verdict::Drop);
    assert_eq!(s.at(ms(4), &tcp(false, ACK, 101, 501)).verdict, Verdict::Accept);
    assert_eq!((s.counter(Counter::Drop), s.counter(Counter::EarlyDrop)), (1, 0));
    let log = s.0.take_log();
    assert_eq!(log[0].text, "nf_conntrack: nf_conntrack: table full, dropping packet");
}

#[test]
fn a_max_of_zero_is_no_limit_up_to_6_18_and_a_closed_door_after() {
    let mut s = Story::on("6.18", |settings| settings.max = 0);
    assert_eq!(s.at(ms(0), &udp(false, 5)).what, What::Inserted);
    let mut s = Story::on("6.19", |settings| settings.max = 0);
    assert_eq!(s.at(ms(0), &udp(false, 5)).what, What::TableFull);
}

#[test]
fn an_expired_entry_counts_until_the_collector_comes() {
    let mut s = Story::on("6.18", |settings| settings.udp[0] = 3);
    s.at(secs(0), &udp(false, 5));
    s.0.advance(secs(10));
    assert_eq!((s.0.counted(), s.0.entries().count()), (1, 0));
    s.0.advance(secs(130));
    assert_eq!(s.0.counted(), 0);

    let mut s = Story::on("2.6.18", |settings| settings.udp[0] = 3);
    s.at(secs(0), &udp(false, 5));
    s.0.advance(secs(4));
    assert_eq!(s.0.counted(), 0, "a timer for each entry");
}

/// 64,000 a second at most: 256 and what else is in the chains that it looks at then, each second tick of 250.
#[test]
fn a_pass_with_much_to_remove_goes_on_at_the_next_ticks() {
    let mut s = Story::on("6.18", |settings| settings.udp[0] = 3);
    for port in 1..=2000 {
        s.at(secs(0), &udp(false, port));
    }
    let (mut runs, mut was) = (Vec::new(), 2000);
    for tick in 0..250 * 70 {
        s.0.advance(ms(tick * 4));
        let counted = s.0.counted();
        if counted != was {
            runs.push((tick, was - counted));
            was = counted;
        }
    }
    assert_eq!(was, 0);
    let (last, whole) = runs.split_last().unwrap();
    assert!((6..8).contains(&whole.len()) && last.1 <= 256, "{runs:?}");
    for (n, (tick, removed)) in whole.iter().enumerate() {
        assert!((257..300).contains(removed), "{runs:?}");
        assert_eq!(runs[n + 1].0, tick + 2, "{runs:?}");
    }
}

#[test]
fn the_collector_takes_a_full_table_down_to_95_percent() {
    let mut s = Story::on("6.18", |settings| settings.max = 200);
    for port in 1..=200u16 {
        let [a, b] = port.to_be_bytes();
        let mut flow = |reply: bool, flags, seq, ack, at| {
            let mut p = tcp(reply, flags, seq, ack);
            let place = if reply { 22 } else { 20 };
            p[place..place + 2].copy_from_slice(&[a, b]);
            s.at(ms(at), &p)
        };
        flow(false, SYN, 1, 0, 0);
        flow(true, SYN | ACK, 1, 2, 1);
        flow(false, ACK, 2, 2, 2);
        flow(false, FIN | ACK, 2, 2, 3);
    }
    assert_eq!(s.at(ms(10), &udp(false, 5)).verdict, Verdict::Drop);
    s.0.advance(secs(61));
    // Each pass stops as soon as 95 % is left.
    assert_eq!(s.0.counted(), 189);
    assert_eq!(s.counter(Counter::EarlyDrop), 0);
    assert_eq!(s.at(secs(61), &udp(false, 5)).verdict, Verdict::Accept);
}

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

#[test]
fn a_fragmented_datagram_makes_its_entry_with_the_last_fragment() {
    let mut s = Story::modern();
    let mut first = packet(CLIENT, SERVER, 17, &[0, 9, 0, 53, 0, 16, 0, 0]);
    first[6] = 0x20;
    let mut last = packet(CLIENT, SERVER, 17, &[0; 8]);
    last[7] = 1;
    assert_eq!(s.at(ms(0), &last).verdict, Verdict::Stolen);
    assert_eq!(s.0.counted(), 0);
    assert_eq!(s.at(ms(1), &first).what, What::Inserted);
}

#[test]
fn a_table_begun_with_a_dump_knows_its_flows_and_their_translation() {
    let mut before = Story::modern();
    before.at(ms(0), &udp(false, 9));
    let mut dump = before.0.snapshot();
    // As if the client had been masqueraded behind 192.0.2.1:7777.
    let masked = Ipv4Addr::new(192, 0, 2, 1);
    dump[0].reply.destination = masked.into();
    dump[0].reply.l4 = plimsoll_ct::L4::Ports { source: 53, destination: 7777 };
    dump[0].status |= Status::SRC_NAT;

    let mut after = Story::modern();
    assert_eq!(after.0.restore(ms(0), dump.clone()), 1);
    assert_eq!(after.0.restore(ms(0), dump), 0, "it is there already");
    let answer = packet(SERVER, masked.octets(), 17, &[0, 53, 0x1e, 0x61, 0, 8, 0, 0]);
    assert_eq!(after.at(ms(1), &answer).info, Info::EstablishedReply);
    assert_eq!(after.only().reply.destination, masked);
    assert_eq!(after.at(ms(2), &udp(true, 9)).info, Info::New, "not by that tuple");
}

#[test]
fn an_entry_is_accounted_as_long_as_it_lives_if_it_was_made_while_that_was_on() {
    let mut s = Story::on("6.18", |settings| settings.accounting = true);
    s.at(ms(0), &tcp(false, SYN, 0, 0));
    s.at(ms(1), &tcp(true, SYN | ACK, 0, 1));
    s.at(ms(2), &tcp(false, ACK, 1, 1));
    s.at(ms(3), &tcp(true, ACK, 1, 1));
    let packets = |s: &Story| s.only().reply_accounting.map(|a| a.packets);
    assert_eq!(packets(&s), Some(2));
    s.0.change(|settings| settings.accounting = false);
    s.at(ms(4), &tcp(true, ACK, 1, 1));
    assert_eq!(packets(&s), Some(3));
    // One that comes meanwhile is not, nor when it is on again.
    s.at(ms(5), &tcp(true, RST, 1, 1));
    s.at(ms(6), &udp(false, 9));
    s.0.change(|settings| settings.accounting = true);
    s.at(ms(7), &udp(false, 9));
    let shown: Vec<_> = s.0.entries().map(|e| e.original_accounting.map(|a| a.packets)).collect();
    assert!(shown.contains(&Some(2)) && shown.contains(&None), "{shown:?}");
}

#[test]
fn accounting_counts_what_refreshes() {
    let mut s = Story::on("6.18", |settings| settings.accounting = true);
    s.at(ms(0), &udp(false, 9));
    s.at(ms(1), &udp(true, 9));
    s.at(ms(2), &udp(true, 9));
    let entry = s.only();
    let bytes = |a: Option<plimsoll_ct::Accounting>| a.map(|a| (a.packets, a.bytes));
    assert_eq!(bytes(entry.original_accounting), Some((1, 28)));
    assert_eq!(bytes(entry.reply_accounting), Some((2, 56)));
}

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

/// An SCTP packet of these chunks: type, four octets behind its header.
fn sctp(reply: bool, tag: u32, all: &[(u8, u32)]) -> Vec<u8> {
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

#[test]
fn what_a_host_sends_to_itself_is_told_of_as_it_goes_and_as_it_comes() {
    let mut story = Story::on("6.18", |settings| settings.log_invalid = 255);
    // A datagram whose length is a lie.
    let frame = packet(CLIENT, CLIENT, 17, &[16, 0, 0, 53, 0, 99, 0, 0]);
    let treatment = Treatment::default();
    story.0.loopback(ms(0), &parse_ip(&frame).unwrap(), &treatment, &treatment);
    assert!(story.0.describe(LinkType::RawIp, &frame, "lo"));
    let lines: Vec<_> = story.0.take_log().into_iter().map(|line| line.text).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains(" packet IN= OUT=lo SRC=10.0.0.1 "), "{lines:?}");
    assert!(lines[1].contains(" packet IN=lo OUT= MAC= SRC=10.0.0.1 "), "{lines:?}");
}
