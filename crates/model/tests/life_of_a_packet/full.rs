//! Full tables: early drop, and the collector.

use plimsoll_ct::Counter;
use plimsoll_model::{Helper, Model, Treatment, Verdict, What};

use super::{ACK, CLIENT, FIN, SERVER, SYN, Story, config, ms, packet, secs, tcp, udp};

/// A control connection of PPTP that has expired and goes for another's room looks for its call, in a chain that it may be in itself.
#[test]
fn what_goes_for_anothers_room_goes_once() {
    let control = packet(CLIENT, SERVER, 6, &{
        let mut header = vec![16, 0, 0x06, 0xbb];
        header.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, SYN, 0xff, 0xff, 0, 0, 0, 0]);
        header
    });
    let pptp = Treatment { helper: Some(Helper::Pptp), ..Treatment::default() };
    for hash_key in 0..200 {
        let mut config = config("6.18", |settings| (settings.max, settings.buckets) = (1, 8));
        config.hash_key = hash_key;
        let mut s = Story(Model::new(config));
        assert_eq!(s.with(secs(0), &control, pptp).what, What::Inserted);
        s.at(secs(120), &udp(false, 9));
        let there = s.0.entries().count() as u64;
        assert_eq!((s.0.counted() as u64, s.0.occupancy().live), (there, there), "{hash_key}");
    }
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
