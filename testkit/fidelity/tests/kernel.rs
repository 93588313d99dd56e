//! The harness as a test: real captures and generated flows through the running kernel and the model.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use plimsoll_ct::{Counter, Zone, ZoneDirection};
use plimsoll_fidelity::filling::FILLINGS;
use plimsoll_fidelity::forge::{self, TcpSegment};
use plimsoll_fidelity::kernel::Kernel;
use plimsoll_fidelity::run::{Pace, Pair, ready};
use plimsoll_fidelity::scripts::rare::RARE;
use plimsoll_fidelity::{captures, complaints, edges, full, generated};
use plimsoll_model::{Helper, Treatment};

/// One at a time: the entries of one test set the collector's pace for all namespaces.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn thousands_of_generated_flows_end_in_the_same_table_and_counters() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let mut shown = String::new();
    let mut pair = Pair::new(&[]).expect("namespaces");
    let outcome = generated::run(&mut pair, 12_000, 20_261_124, &mut |line| {
        shown.push_str(line);
        shown.push('\n');
    })
    .expect("the harness runs");
    assert_eq!((outcome.failed, outcome.unexplained), (0, 0), "{shown}");
    assert!(outcome.entries > 5_000, "flows that leave entries: {outcome:?}");
    assert!(outcome.met > 100 && outcome.calls > 20, "expected flows: {outcome:?}");
    assert!(outcome.in_grids > 20_000, "packets that went through a grid: {outcome:?}");
}

#[test]
fn flows_of_kinds_that_are_hardly_made_end_in_the_same_table_and_counters() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let mut pair = Pair::new(&[]).expect("namespaces");
    for (name, flows) in RARE {
        let mut shown = String::new();
        let outcome = generated::run_of(&mut pair, &flows(), 1200, 20_261_129, &mut |line| {
            shown.push_str(line);
            shown.push('\n');
        })
        .expect("the harness runs");
        assert_eq!((outcome.failed, outcome.unexplained), (0, 0), "{name}:\n{shown}");
        assert!(outcome.entries > 100, "{name}, flows that leave entries: {outcome:?}");
    }
}

#[test]
fn every_capture_at_hand_ends_in_the_same_table_and_counters() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let own = root.join("fixtures/captures");
    let shared = root.join("../shared/captures");
    let mut places = Vec::new();
    for place in [own, shared] {
        if place.exists() {
            places.push(place);
        } else {
            eprintln!("skipped: no captures at {}", place.display());
        }
    }
    let files = captures::below(&places).expect("readable directories");
    let mut shown = String::new();
    let mut pair = Pair::new(&[]).expect("namespaces");
    let outcome = captures::run(&mut pair, &files, Pace::NONE, false, &mut |line| {
        shown.push_str(line);
        shown.push('\n');
    })
    .expect("the harness runs");
    assert!(outcome.differing.is_empty(), "{shown}");
    assert!(outcome.captures == 0 || outcome.entries > 0, "{outcome:?}");
}

#[test]
fn full_tables_lose_and_evict_as_many_within_the_statistical_error() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let turn = full::Turn::take(3000).expect("the limit, ours for a while");
    let mut kernel = Kernel::new().expect("namespaces");
    let mut flows = 0;
    let (mut wrong, mut met) = (Vec::new(), 0);
    for filling in FILLINGS {
        let outcome = full::run(&mut kernel, &turn, filling, &mut flows).expect("the harness runs");
        for total in outcome.totals {
            met += usize::from(total.kernel > 0.0);
            if total.score().abs() > full::BOUND {
                wrong.push((filling.name, total));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(met > 15, "totals that say something: {met}");
}

#[test]
fn zones_of_one_direction_let_entries_clash_as_in_the_kernel() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let mut pair =
        Pair::new(&[("nf_conntrack_acct", 1), ("nf_conntrack_checksum", 0)]).expect("namespaces");
    let zone = |id, direction| Zone { id, direction };
    let none = Zone::default();
    let own = Zone::both(3);
    let asking = (true, zone(3, ZoneDirection::Reply));
    let answering = (false, zone(1, ZoneDirection::Original));
    let cases: [&[(bool, Zone)]; 9] = [
        // The same answers, of the same tuple in other zones.
        &[(false, zone(1, ZoneDirection::Original)), (false, zone(2, ZoneDirection::Original))],
        &[(false, zone(1, ZoneDirection::Original)), (false, none), (true, none)],
        &[(false, none), (false, zone(3, ZoneDirection::Original)), (true, none)],
        // What comes back is not in the zone of the answers, and would be answered by what came before.
        &[
            (false, zone(1, ZoneDirection::Reply)),
            (true, none),
            (true, zone(1, ZoneDirection::Reply)),
        ],
        // Two that claim what the server sends: the younger gets it.
        &[asking, answering, (true, none), (true, none)],
        &[answering, asking, (true, none), (true, none)],
        &[(false, none), (true, none), (false, none), asking, (true, none), (false, none)],
        // One's question in the zone of questions, the other's answer in that of answers: a question, whichever is older.
        &[(false, none), (true, own), (true, zone(3, ZoneDirection::Original))],
        &[(true, own), (false, none), (true, zone(3, ZoneDirection::Original))],
    ];
    let mut host = 0;
    for case in cases {
        for protocol in [6, 17, 136, 132, 33, 47, 50, 1] {
            host += 1;
            let ends = [IpAddr::from([10, 77, 0, host]), IpAddr::from([192, 0, 2, 1])];
            for &(back, zone) in case {
                let [from, to] = if back { [ends[1], ends[0]] } else { ends };
                let ports = if back { (80, 4000) } else { (4000, 80) };
                let packet = match protocol {
                    6 => TcpSegment { ports, flags: 2, window: 512, ..Default::default() }
                        .packet(from, to),
                    17 => forge::udp(from, to, ports, 8, 0),
                    136 => forge::udp_lite(from, to, ports, 8, 8),
                    132 => forge::sctp(
                        from,
                        to,
                        ports,
                        0,
                        &[(1, 0, vec![0, 0, 0, 9, 0, 0, 16, 0, 0, 1, 0, 1, 0, 0, 0, 1])],
                    ),
                    33 => forge::dccp(from, to, ports, 0, (1, 0), Default::default()),
                    1 => forge::icmp(from, to, if back { 0 } else { 8 }, 0, 7, &[]),
                    other => forge::ip(from, to, other, &[0; 16]),
                };
                pair.feed(&packet, &Treatment { zone, ..Treatment::default() }).expect("sent");
            }
            let differences = pair.differences().expect("both tables");
            assert!(differences.is_empty(), "protocol {protocol}, {case:?}: {differences:#?}");
        }
    }
    let clashes = pair.model.counters().get(Counter::InsertFailed).unwrap_or(0);
    assert_eq!(clashes, 8 * 4 - 1, "each, but for an echo's answer, which opens nothing");
}

#[test]
fn what_an_expired_entry_expected_is_no_difference() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let mut pair = Pair::new(&[
        ("nf_conntrack_checksum", 0),
        ("nf_conntrack_tcp_timeout_established", 1),
        ("nf_conntrack_tcp_timeout_unacknowledged", 1),
    ])
    .expect("namespaces");
    let ends = [IpAddr::from([10, 77, 2, 1]), IpAddr::from([192, 0, 2, 1])];
    let treatment = Treatment { helper: Some(Helper::Ftp), ..Treatment::default() };
    let (greeting, port) = (&b"USER x\r\n"[..], &b"PORT 10,77,2,1,4,1\r\n"[..]);
    let segments: [(bool, u8, u32, u32, &[u8]); 5] = [
        (false, 2, 99, 0, &[]),
        (true, 18, 199, 100, &[]),
        (false, 16, 100, 200, &[]),
        (false, 24, 100, 200, greeting),
        (false, 24, 108, 200, port),
    ];
    for (back, flags, seq, ack, data) in segments {
        let (from, to) = if back { (ends[1], ends[0]) } else { (ends[0], ends[1]) };
        let ports = if back { (21, 4000) } else { (4000, 21) };
        let data = data.to_vec();
        let segment =
            TcpSegment { ports, seq, ack, flags, window: 512, data, ..Default::default() };
        pair.feed(&segment.packet(from, to), &treatment).expect("sent");
    }
    assert_eq!(pair.model.expectations().count(), 1);
    std::thread::sleep(std::time::Duration::from_millis(1200));
    let differences = pair.differences().expect("both tables");
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn what_is_said_of_bad_packets_is_the_kernels_line_by_line() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let _turn = full::Turn::take(complaints::LIMIT).expect("the limit, ours for a while");
    let _permission = complaints::Permission::give().expect("namespaces may write to the log");
    let mut pair = Pair::new(&[]).expect("namespaces");
    let mut shown = String::new();
    let mut words = std::collections::BTreeSet::new();
    for (seed, settings) in (1..).zip(complaints::SETTINGS) {
        let flows = generated::sample(1_000, seed).expect("flows");
        let mut flows: Vec<_> = flows.iter().map(|flow| flow.packets(pair.number())).collect();
        flows.push(complaints::by_hand());
        let outcome = complaints::run(&mut pair, flows, settings, &mut |line| {
            shown.push_str(line);
            shown.push('\n');
        })
        .expect("the harness runs");
        assert_eq!(outcome.differing, 0, "{settings:?}:\n{shown}");
        words.extend(outcome.lines.into_keys());
    }
    assert!(words.len() > 20, "causes that were met: {words:#?}");
}

#[test]
fn jumbograms_that_a_host_sends_to_itself_make_the_same_entries() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let mut pair =
        Pair::new(&[("nf_conntrack_acct", 1), ("nf_conntrack_checksum", 1)]).expect("namespaces");
    let own = |host| IpAddr::from([0x2001, 0xdb8, 3, 0, 0, 0, 0, host]);
    // Options in front of the jumbo option, and behind it.
    let forms: [(&[u8], &[u8]); 3] =
        [(&[], &[]), (&[5, 2, 0, 0], &[1, 2, 0, 0]), (&[1, 2, 0, 0], &[0; 4])];
    let treatment = Treatment { local: true, ..Treatment::default() };
    let (mut host, mut packets) = (1, Vec::new());
    for (before, behind) in forms {
        for octets in [65_536 - 8, 65_536, 70_000, 100_000, 250_000] {
            for protocol in [6, 17, 58, 136, 132, 50] {
                host += 1;
                let ends = (own(host), own(1));
                for reply in [false, true] {
                    let payload = over(protocol, ends, reply, octets);
                    let (from, to) = if reply { (ends.1, ends.0) } else { ends };
                    packets.push(forge::jumbogram(from, to, protocol, &payload, [before, behind]));
                }
            }
        }
    }
    for packet in packets {
        pair.feed(&packet, &treatment).expect("sent");
        let differences = pair.differences_one_by_one().expect("both tables");
        assert!(differences.is_empty(), "{:02x?}: {differences:#?}", &packet[..80]);
    }
    assert_eq!(pair.differences().expect("both tables"), []);
    // A datagram of UDP has no length, and an INIT of SCTP would have to be the only chunk.
    assert_eq!(pair.model.entries().count(), 3 * 5 * 4);
}

/// The first packet from one end, or the other's answer, without its IP header.
fn over(protocol: u8, ends: (IpAddr, IpAddr), reply: bool, octets: usize) -> Vec<u8> {
    let (from, to) = if reply { (ends.1, ends.0) } else { ends };
    let ports = if reply { (80, 4000) } else { (4000, 80) };
    let packet = match protocol {
        6 => {
            let flags = if reply { 18 } else { 2 };
            let payload = octets - 20;
            TcpSegment { ports, ack: 1, flags, window: 512, payload, ..Default::default() }
                .packet(from, to)
        }
        // A length of 0: it does not fit in its field.
        17 => forge::udp(from, to, ports, octets - 8, i32::MIN / 2),
        58 => {
            let kind = if reply { 129 } else { 128 };
            forge::icmp(from, to, kind, 0, 7, &vec![7; octets - 8])
        }
        136 => forge::udp_lite(from, to, ports, octets - 8, 8),
        132 => {
            let init = [&[0, 0, 0, 9, 0, 0, 16, 0, 0, 1, 0, 1, 0, 0, 0, 1][..], &vec![0; 60_000]];
            let data = (0, 3, vec![0; octets - 12 - 60_020 - 4]);
            forge::sctp(from, to, ports, 0, &[(1, 0, init.concat()), data])
        }
        other => forge::ip(from, to, other, &vec![1; octets]),
    };
    packet[40..].to_vec()
}

#[test]
fn entries_whose_policy_is_removed_live_by_the_namespaces_timeouts_from_their_next_packet_on() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let mut pair = Pair::new(&[("nf_conntrack_checksum", 0)]).expect("namespaces");
    let ends = [IpAddr::from([10, 77, 3, 1]), IpAddr::from([192, 0, 2, 1])];
    let packet = |protocol: u8, port: u16, back: bool, flags: u8| {
        let (from, to) = if back { (ends[1], ends[0]) } else { (ends[0], ends[1]) };
        let ports = if back { (80, port) } else { (port, 80) };
        if protocol == 17 {
            return forge::udp(from, to, ports, 8, 0);
        }
        let (seq, ack) = (u32::from(flags == 16), u32::from(flags != 2));
        TcpSegment { ports, seq, ack, flags, window: 512, ..Default::default() }.packet(from, to)
    };
    let flows = [(6, Some(0), 0), (17, Some(1), 0), (6, None, 100)];
    let feed = |pair: &mut Pair, port: u16, steps: &[(bool, u8)]| {
        for (protocol, policy, more) in flows {
            for (back, flags) in steps {
                let treatment = Treatment { policy, ..Treatment::default() };
                pair.feed(&packet(protocol, port + more, *back, *flags), &treatment).expect("sent");
            }
        }
        let differences = pair.differences().expect("both tables");
        assert!(differences.is_empty(), "port {port}, {steps:?}: {differences:#?}");
        let mut left: Vec<u64> =
            pair.model.entries().map(|e| e.expires.map_or(0, |s| s.get())).collect();
        left.sort_unstable();
        left
    };
    // Established ones, and some that got no answer.
    feed(&mut pair, 4000, &[(false, 2), (true, 18), (false, 16)]);
    let before = feed(&mut pair, 4001, &[(false, 2)]);
    pair.remove_policies().expect("nft takes that");
    assert_eq!(feed(&mut pair, 0, &[]).len(), before.len());
    feed(&mut pair, 4000, &[(false, 16)]);
    feed(&mut pair, 4001, &[(true, 18)]);
    // A rule gives none any more.
    let after = feed(&mut pair, 4002, &[(false, 2)]);
    let about = |seconds: u64| after.iter().filter(|left| left.abs_diff(seconds) <= 2).count();
    assert_eq!([about(432_000), about(550)], [2, 0], "{before:?}, {after:?}");
}

#[test]
fn tags_that_have_a_priority_only_are_none_and_those_of_unknown_vlans_lead_nowhere() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let mut shown = String::new();
    let mut pair = Pair::new(&[]).expect("namespaces");
    // Where this kernel has VLANs, frames go through those as well.
    pair.tag().expect("the router's interfaces");
    let outcome = generated::run(&mut pair, 2_000, 20_261_129, &mut |line| {
        shown.push_str(line);
        shown.push('\n');
    })
    .expect("the harness runs");
    assert_eq!((outcome.failed, outcome.unexplained), (0, 0), "{shown}");
    let tags = pair.tags().expect("tags");
    let (tagged, nowhere) = (tags.sent[1..].iter().sum::<usize>(), tags.nowhere);
    assert!(tagged > 5_000 && nowhere > 10_000, "{tagged} with tags, {nowhere} that led nowhere");
}

#[test]
fn at_the_very_tick_an_entry_expires_as_in_the_kernel() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let mut shown = String::new();
    let mut pair = Pair::new(&[]).expect("namespaces");
    let outcome = edges::run(&mut pair, 1_000, 20_261_129, &mut |line| {
        shown.push_str(line);
        shown.push('\n');
    })
    .expect("the harness runs");
    assert_eq!(outcome.failed, 0, "{shown}");
    let known = outcome.flows - outcome.unknown;
    // A machine that is kept busy leaves few of them known.
    assert!(known > 200 && outcome.near.iter().sum::<usize>() > 30, "{outcome:?}");
}
