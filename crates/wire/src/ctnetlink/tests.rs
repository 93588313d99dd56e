#![allow(clippy::unwrap_used)]
//! Messages of a 6.18 kernel, captured as fixtures/ctnetlink/RECIPE.md tells.

use alloc::vec::Vec;

use plimsoll_ct::{
    Counter, Entries, HelperName, L4, Protocol, State, Status, TcpState, Time, ZoneDirection,
};

use super::*;
use crate::netlink::{Message, Messages, flag};

const DEFAULTS: &str = include_str!("../../../../fixtures/ctnetlink/dump-defaults.hex");
const ACCOUNTING: &str = include_str!("../../../../fixtures/ctnetlink/dump-accounting.hex");
const EVENTS: &str = include_str!("../../../../fixtures/ctnetlink/events.hex");
const TOTALS: &str = include_str!("../../../../fixtures/ctnetlink/stats.hex");
const PER_CPU: &str = include_str!("../../../../fixtures/ctnetlink/stats-cpu.hex");

/// Payloads of all data messages, with their types.
fn payloads(hex: &str) -> Vec<(u16, Vec<u8>)> {
    let mut all = Vec::new();
    for line in hex.lines() {
        let datagram: Vec<u8> = (0..line.len() / 2)
            .map(|i| u8::from_str_radix(&line[2 * i..2 * i + 2], 16).unwrap())
            .collect();
        for message in Messages::new(&datagram) {
            if let Message::Data { header, payload } = message.unwrap() {
                all.push((header.kind, payload.to_vec()));
            }
        }
    }
    all
}

/// The entries that messages of a fixture tell of.
pub(crate) fn flows(hex: &str) -> Vec<Flow> {
    payloads(hex).iter().map(|(_, p)| Flow::decode(p, None).unwrap()).collect()
}

#[test]
fn every_captured_message_encodes_to_the_bytes_it_was_decoded_from() {
    let mut seen = 0;
    for hex in [DEFAULTS, ACCOUNTING, EVENTS] {
        for (_, payload) in payloads(hex) {
            let flow = Flow::decode(&payload, None).unwrap();
            assert_eq!(flow.encode(), payload, "{flow:?}");
            assert_eq!(flow.details.unknown, [], "an attribute that we do not know");
            seen += 1;
        }
    }
    assert!(seen > 70, "{seen}");
}

#[test]
fn an_entry_of_a_dump_encodes_in_the_kernels_order_by_itself() {
    for (_, payload) in payloads(ACCOUNTING) {
        let mut flow = Flow::decode(&payload, None).unwrap();
        flow.order.clear();
        assert_eq!(flow.encode(), payload);
    }
}

#[test]
fn the_quick_decoder_and_the_full_one_agree() {
    let now = Some(Time(1_795_400_000_000_000_000));
    for hex in [DEFAULTS, ACCOUNTING, EVENTS] {
        for (_, payload) in payloads(hex) {
            assert_eq!(decode(&payload, now).unwrap(), Flow::decode(&payload, now).unwrap().entry);
        }
    }
}

#[test]
fn the_usual_messages_are_read_quickly_and_say_the_same() {
    let now = Some(Time(1_795_400_000_000_000_000));
    // What was there before must not show through.
    let before = flows(ACCOUNTING).iter().map(|flow| flow.entry).next_back().unwrap();
    for hex in [DEFAULTS, ACCOUNTING, EVENTS] {
        for (_, payload) in payloads(hex) {
            let (mut entry, mut full) = (before, before);
            decode_into(&payload, now, &mut entry).unwrap();
            decode_with(&payload, now, &mut full, &mut Details::default()).unwrap();
            assert_eq!(entry, full);
        }
    }
    for (_, payload) in [payloads(DEFAULTS), payloads(ACCOUNTING)].concat() {
        let mut entry = before;
        let is_quick = quick::entry(&payload, now, &mut entry);
        let full = Flow::decode(&payload, now).unwrap();
        let zone = full.entry.zone.direction != ZoneDirection::Both;
        let nothing = [full.entry.original.l4, full.entry.reply.l4].contains(&L4::None);
        let rare = zone || nothing || full.entry.helper.is_some() || full.details.dccp.is_some();
        assert_eq!(is_quick, !rare, "{full:?}");
    }
}

#[test]
fn a_masqueraded_helped_or_zoned_flow_shows_it() {
    let all = flows(ACCOUNTING);
    let ftp = all.iter().find(|f| f.entry.original.destination_port() == Some(21)).unwrap();
    assert_eq!(ftp.entry.helper, Some(HelperName::new(b"ftp")));
    assert_eq!(ftp.entry.state, State::Tcp(TcpState::Established));
    assert!(ftp.details.tcp.unwrap().window_scale[0].is_some());
    let data = all.iter().find(|f| f.entry.original.destination_port() == Some(51210)).unwrap();
    assert!(data.entry.status.contains(Status::EXPECTED));
    assert_eq!(data.details.master, Some(ftp.entry.original));
    let redirected =
        all.iter().find(|f| f.entry.original.destination_port() == Some(8081)).unwrap();
    assert!(redirected.entry.status.contains(Status::DST_NAT));
    assert_eq!(redirected.entry.reply.source_port(), Some(8080));
    let zoned = |id| all.iter().find(|f| f.entry.zone.id == id).unwrap().entry.zone.direction;
    assert_eq!(zoned(7), ZoneDirection::Both);
    assert_eq!(zoned(8), ZoneDirection::Original);
    let labelled = all.iter().find(|f| f.entry.original.destination_port() == Some(6001)).unwrap();
    assert_eq!(labelled.details.labels.as_ref().unwrap()[0], 1 << 3);
}

#[test]
fn an_icmp_query_is_told_by_type_code_and_id_and_esp_by_addresses_alone() {
    let all = flows(DEFAULTS);
    let of = |p| all.iter().find(|f| f.entry.original.protocol == p).unwrap().entry.original.l4;
    assert_eq!(of(Protocol::Icmp), L4::Icmp { kind: 8, code: 0, id: 77 });
    assert_eq!(of(Protocol::Icmpv6), L4::Icmp { kind: 128, code: 0, id: 77 });
    assert_eq!(of(Protocol::Gre), L4::Gre { source: 0, destination: 0 });
    assert_eq!(of(Protocol::Other(50)), L4::None);
}

#[test]
fn without_accounting_there_are_no_counters_and_without_timestamps_there_is_no_age() {
    let now = Some(Time(1_795_400_000_000_000_000));
    for (_, payload) in payloads(DEFAULTS) {
        let entry = decode(&payload, now).unwrap();
        assert_eq!((entry.original_accounting, entry.age), (None, None));
    }
    for (_, payload) in payloads(ACCOUNTING) {
        let entry = decode(&payload, now).unwrap();
        assert!(entry.original_accounting.unwrap().packets > 0);
        assert!(entry.age.is_some());
        assert_eq!(decode(&payload, None).unwrap().age, None);
    }
}

#[test]
fn the_death_of_an_entry_tells_its_own_age() {
    let dead: Vec<_> = payloads(EVENTS)
        .into_iter()
        .filter(|(kind, _)| *kind == command::DELETE)
        .map(|(_, p)| Flow::decode(&p, None).unwrap())
        .collect();
    assert!(!dead.is_empty());
    assert!(dead.iter().all(|f| f.details.stopped.is_some() && f.entry.age.is_some()));
}

#[test]
fn the_statistics_are_read_by_number_and_belong_to_a_cpu() {
    let (_, payload) = &payloads(TOTALS)[0];
    let found = totals(payload).unwrap();
    assert_eq!((found.entries, found.max), (Entries(17), Some(Entries(262_144))));
    let cpus: Vec<_> = payloads(PER_CPU).iter().map(|(_, p)| cpu_counters(p).unwrap()).collect();
    assert_eq!(cpus.iter().map(|c| c.0).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(cpus[0].1.get(Counter::IcmpError), Some(4));
    assert_eq!(cpus[0].1.get(Counter::Searched), None, "a dead counter is absent, not zero");
}

#[test]
fn the_answer_about_totals_says_multi_though_nothing_follows() {
    let line = TOTALS.lines().next().unwrap();
    let flags = u16::from_str_radix(&line[12..14], 16).unwrap();
    assert_eq!(flags & flag::MULTI, flag::MULTI);
    assert_eq!(TOTALS.lines().count(), 1);
}

#[test]
fn a_message_cut_anywhere_is_refused_or_smaller_but_never_a_panic() {
    for (_, payload) in payloads(ACCOUNTING) {
        for cut in 0..payload.len() {
            let _ = Flow::decode(&payload[..cut], None);
        }
        for at in 0..payload.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bent = payload.clone();
                bent[at] = value;
                if let Ok(flow) = Flow::decode(&bent, None) {
                    let _ = flow.encode();
                }
            }
        }
    }
}

#[test]
fn a_filter_that_the_kernel_ignored_is_applied_here() {
    let all: Vec<_> = flows(ACCOUNTING).into_iter().map(|f| f.entry).collect();
    let count = |f: Filter| all.iter().filter(|e| f.matches(e)).count();
    assert_eq!(count(Filter::default()), 17);
    assert_eq!(count(Filter { family: Some(plimsoll_ct::Family::V6), ..Filter::default() }), 3);
    assert_eq!(count(Filter { mark: Some((42, 0xff)), ..Filter::default() }), 1);
    assert_eq!(count(Filter { zone: Some(7), ..Filter::default() }), 1);
    assert_eq!(count(Filter { zone: Some(8), ..Filter::default() }), 0, "one direction only");
    let assured = Some((Status::ASSURED, Status::ASSURED));
    assert_eq!(count(Filter { status: assured, ..Filter::default() }), 6);
}
