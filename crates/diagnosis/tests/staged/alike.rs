//! Look-alikes: each proved by its own counter, and ruled out by it.

use std::collections::BTreeMap;

use plimsoll_ct::Family;
use plimsoll_diagnosis::facts::{
    CloudAllowance, Fact, Namespace, Neighbours, Owner, Snapshot, SocketMemory, Stack,
};
use plimsoll_diagnosis::{Severity, Value, Verdict};
use plimsoll_wire::ruleset::Verdict as Does;

use crate::build::*;
use crate::spoken::diagnose;

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

/// Values of all evidence of a finding that are numbers.
fn numbers(d: &plimsoll_diagnosis::Diagnosis, id: &str) -> Vec<u64> {
    let finding = d.findings.iter().find(|f| f.id == id).unwrap();
    let count = |value: &Value| match value {
        Value::Count(n) => Some(*n),
        Value::Number(_) | Value::Text(_) | Value::Time(_) => None,
    };
    finding.evidence.iter().filter_map(|e| count(&e.value)).collect()
}

#[test]
fn a_flood_in_the_log_that_no_counter_knows_was_in_a_namespace_that_is_gone() {
    let mut after = host("6.18.15", 8);
    log(&mut after).listen_flood = Some(seen(2, 900, 600, None));
    let d = judge(&after, &[]);
    assert_eq!((ids(&d), d.verdict), (vec!["CT060"], Verdict::Ok));
    assert_eq!(
        summary(&d, "CT060"),
        "The kernel log reports SYN flooding in 2 lines, the last 10 min ago, in a namespace that is \
         gone or was not read: those that were read never lost a connection at a listener."
    );
    assert_eq!(d.findings[0].namespace, None);
    assert_eq!(numbers(&d, "CT060"), [2], "no row that is zero");
}

#[test]
fn a_flood_in_the_log_is_of_the_one_namespace_whose_queue_ran_full() {
    let mut after = host("6.18.15", 8);
    let mut web = namespace(&after.host.profile, Owner::Named("web".into()), Some(77), 262_144);
    if let Fact::Known { value, .. } = &mut web.stack {
        value.counters.insert("TcpExt.TCPReqQFullDoCookies".into(), 70);
    }
    after.namespaces.push(web);
    log(&mut after).listen_flood = Some(seen(2, 900, 600, None));
    let d = judge(&after, &[]);
    assert_eq!((ids(&d), d.findings[0].namespace), (vec!["CT060"], Some(1)));
    assert_eq!(numbers(&d, "CT060"), [70, 2]);
    choose(&mut after, Namespace::is_initial);
    assert_eq!(
        ids(&judge(&after, &[])),
        Vec::<&str>::new(),
        "of another namespace than the chosen"
    );
}

#[test]
fn where_a_kernel_does_not_count_full_queues_a_flood_in_the_log_may_be_anyones() {
    let mut after = host("2.6.18-398.el5", 8);
    after.namespaces[0].stack = stack("TcpExt.ListenDrops", 0);
    log(&mut after).listen_flood = Some(seen(2, 900, 600, None));
    let d = judge(&after, &[]);
    assert!(summary(&d, "CT060").ends_with("a listen queue was full."));
    assert_eq!(numbers(&d, "CT060"), [2], "no row that is zero");
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
    // Both families are shown, each by its name.
    let d = rising(|s, n| {
        let Fact::Known { value, .. } = table(900, n) else { unreachable!("known") };
        let of_v6 = Neighbours { family: Family::V6, ..value[0] };
        s.namespaces[0].neighbours = known(vec![value[0], of_v6]);
    });
    let shown: Vec<&str> = d.findings[0].evidence.iter().map(|e| e.what.as_str()).collect();
    assert!(shown.contains(&"ARP entries") && shown.contains(&"NDP entries"), "{shown:?}");
    let d = rising(|s, _| s.namespaces[0].neighbours = table(1024, 5));
    assert_eq!(acts(&d), ["CT061"]);
    let d = rising(|s, _| {
        log(s).neighbour_overflow = Some(seen(4, 60, 60, None));
    });
    assert_eq!(acts(&d), ["CT061"]);
}

#[test]
fn what_a_namespace_shows_of_the_neighbour_table_and_of_sockets_counts_too() {
    let table = |entries, fulls, limit| {
        known(vec![Neighbours {
            family: plimsoll_ct::Family::V4,
            entries: Some(entries),
            table_fulls: Some(fulls),
            limit,
        }])
    };
    let mut after = host("6.18.15", 64);
    let owner = Owner::Named("red".into());
    after.namespaces.push(namespace(&after.host.profile, owner, Some(7), 262_144));
    let rising = |change: &dyn Fn(&mut Snapshot, u64)| {
        let mut after = after.clone();
        change(&mut after, 40);
        let mut before = earlier(&after, |_| {});
        change(&mut before, 0);
        diagnose(Some(&before), &after)
    };
    let d = rising(&|s, n| s.namespaces[1].neighbours = table(900, n, None));
    assert_eq!((acts(&d), d.findings[0].namespace), (vec!["CT061"], Some(1)));
    assert!(summary(&d, "CT061").contains("ARP: 40 refusals while measured in ip netns red"));
    let d = rising(&|s, _| s.namespaces[1].neighbours = table(1_024, 0, None));
    assert_eq!(acts(&d), ["CT061"], "the limit is the host's");
    let d = rising(&|s, n| {
        for ns in &mut s.namespaces {
            ns.neighbours = table(900, n, Some(1_024));
        }
    });
    let once = "The neighbour table overflows (ARP: 40 refusals while measured).";
    assert_eq!(summary(&d, "CT061"), once);

    let d = rising(&|s, n| {
        let Fact::Known { value: stack, .. } = &mut s.namespaces[1].stack else { panic!() };
        stack.counters.insert("TcpExt.TCPAbortOnMemory".into(), n);
    });
    assert_eq!((acts(&d), d.findings[0].namespace), (vec!["CT062"], Some(1)));
    assert!(summary(&d, "CT062").contains("TCPAbortOnMemory rose by 40 in ip netns red"));
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
