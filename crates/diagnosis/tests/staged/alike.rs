//! Look-alikes: each proved by its own counter, and ruled out by it.

use std::collections::BTreeMap;

use plimsoll_ct::{Family, Time, TimeRange};
use plimsoll_diagnosis::facts::{
    CloudAllowance, Fact, Neighbours, Seen, Snapshot, SocketMemory, Stack,
};
use plimsoll_diagnosis::{Severity, Verdict, diagnose};
use plimsoll_wire::ruleset::Verdict as Does;

use crate::build::*;

fn stack(name: &str, value: u64) -> Fact<Stack> {
    known(Stack { counters: BTreeMap::from([(name.into(), value)]) })
}

fn rising(change: impl Fn(&mut Snapshot, u64)) -> plimsoll_diagnosis::Diagnosis {
    let mut after = host("6.12.117", 8);
    change(&mut after, 400);
    let before = earlier(&after, |b| change(b, 100));
    diagnose(Some(&before), &after)
}

#[test]
fn a_listen_queue_that_overflows_is_not_conntrack() {
    let d = rising(|s, n| s.namespaces[0].stack = stack("TcpExt.ListenOverflows", n));
    assert_eq!((acts(&d), d.verdict), (vec!["CT060"], Verdict::Warning));
    assert!(summary(&d, "CT060").contains("300 connections/s are refused"));
    assert_eq!(remedies(&d), ["none-needed"]);
}

#[test]
fn an_old_overflow_that_does_not_rise_is_ruled_out_with_its_number() {
    let mut after = host("6.12.117", 8);
    after.namespaces[0].stack = stack("TcpExt.ListenOverflows", 5_000);
    let d = judge(&after, &[]);
    assert_eq!(ids(&d), Vec::<&str>::new());
    let because = &d.excluded.iter().find(|e| e.id == "CT060").unwrap().because;
    assert_eq!(because, "TcpExt.ListenOverflows did not rise in 1.0 s (5,000 since boot)");
    let d = diagnose(None, &saved(after));
    assert_eq!((ids(&d), d.verdict), (vec!["CT060"], Verdict::Ok), "a saved host tells it aside");
}

#[test]
fn the_neighbour_table_overflows_by_counter_limit_or_log() {
    let table = |entries, fulls| {
        known(vec![Neighbours {
            family: Family::V4,
            entries: Some(entries),
            table_fulls: Some(fulls),
            limit: Some(1024),
        }])
    };
    let d = rising(|s, n| s.namespaces[0].neighbours = table(900, n));
    assert_eq!(acts(&d), ["CT061"]);
    let d = rising(|s, _| s.namespaces[0].neighbours = table(1024, 5));
    assert_eq!(acts(&d), ["CT061"]);
    let d = rising(|s, _| {
        let Fact::Known { value: log, .. } = &mut s.log else { panic!("the log is there") };
        let at = Some(TimeRange::exact(Time::from_secs(NOW - 60)));
        log.neighbour_overflow = Some(Seen {
            first: at,
            last: at,
            lines: 4,
            packets_at_least: 4,
            namespaces: vec![(None, 4)],
            example: "neighbour: arp_cache: neighbor table overflow!".into(),
        });
    });
    assert_eq!(acts(&d), ["CT061"]);
}

#[test]
fn tcp_out_of_memory_is_told_by_its_pages() {
    let d = rising(|s, _| {
        s.namespaces[0].sockets = known(SocketMemory {
            tcp_pages: Some(190_001),
            tcp_pages_limit: Some(190_000),
            orphans: None,
            orphans_limit: None,
        });
    });
    assert_eq!(acts(&d), ["CT062"]);
    assert!(summary(&d, "CT062").contains("190,001 of 190,000 pages of TCP memory"));
}

#[test]
fn the_clouds_own_tracker_is_critical_while_it_drops_and_an_aside_after() {
    let cloud = |n| {
        known(vec![CloudAllowance {
            interface: "ens5".into(),
            name: "conntrack_allowance_exceeded".into(),
            value: n,
        }])
    };
    let d = rising(|s, n| s.cloud = cloud(n));
    assert_eq!((acts(&d), d.verdict), (vec!["CT063"], Verdict::Critical));
    let d = rising(|s, _| s.cloud = cloud(9));
    assert_eq!((ids(&d), d.verdict), (vec!["CT063"], Verdict::Ok));
    let d = rising(|s, _| s.cloud = cloud(0));
    assert!(d.excluded.iter().any(|e| e.id == "CT063"));
}

#[test]
fn firewall_drops_are_an_aside_above_the_noise_of_a_public_address() {
    let dropping = |packets| {
        let mut rules = stateful();
        let mut drop = rule("-A INPUT -s 203.0.113.0/24 -j DROP", &[]);
        drop.verdict = Does::Drop;
        drop.packets = Some(packets);
        rules.rules.push(drop);
        known(rules)
    };
    let d = rising(|s, n| s.namespaces[0].rules = dropping(n));
    assert_eq!(ids(&d), ["CT064"]);
    assert_eq!(d.findings[0].severity, Severity::Info);
    let d = rising(|s, n| s.namespaces[0].rules = dropping(n / 60));
    assert_eq!(ids(&d), Vec::<&str>::new(), "five a second are the usual scans");
}

#[test]
fn a_missing_counter_neither_proves_nor_rules_out() {
    let mut after = host("6.12.117", 8);
    after.namespaces[0].stack = missing(plimsoll_diagnosis::facts::Reason::NotPermitted);
    after.namespaces[0].neighbours = missing(plimsoll_diagnosis::facts::Reason::NotPermitted);
    after.namespaces[0].sockets = missing(plimsoll_diagnosis::facts::Reason::NotPermitted);
    let d = judge(&after, &[]);
    assert!(d.excluded.is_empty(), "{:?}", d.excluded);
    assert_eq!(ids(&d), Vec::<&str>::new());
}
