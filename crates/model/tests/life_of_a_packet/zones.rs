//! Zones, of both directions and of one.

use plimsoll_ct::{Counter, Zone, ZoneDirection};
use plimsoll_model::{Info, Treatment, Verdict, What};

use super::{ACK, CLIENT, SERVER, SYN, Story, ms, packet, secs, tcp, udp};

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
