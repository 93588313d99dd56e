//! Each stage is what it says, on the running kernel.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use plimsoll_ct::{Counter, Entries, Seconds};
use plimsoll_lab::stage::{self, Stage};
use plimsoll_lab::{Firewall, LabError};
use std::time::Duration;

/// Growth of the counters that matter over half a second: drop, early drop, insert failed.
fn half_a_second(stage: &Stage) -> [u64; 3] {
    let before = stage.lab().reading().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let now = stage.lab().reading().unwrap();
    [Counter::Drop, Counter::EarlyDrop, Counter::InsertFailed].map(|c| now.grown(c, &before))
}

fn most(stage: &Stage) -> (String, usize) {
    census(stage.server()).into_iter().max_by_key(|(_, count)| *count).unwrap_or_default()
}

#[test]
fn idle_and_untracked_tables_are_empty() {
    if !root() {
        return;
    }
    let idle = stage::idle().unwrap();
    assert_eq!((idle.lab().count().unwrap(), half_a_second(&idle)), (0, [0, 0, 0]));
    let untracked = stage::untracked().unwrap();
    until("a visitor", || untracked.visitors().unwrap().visits().served > 0);
    assert_eq!(untracked.lab().count().unwrap(), 0);
}

#[test]
fn a_quiet_server_tracks_and_loses_nobody() {
    if !root() {
        return;
    }
    let quiet = stage::quiet().unwrap();
    until("ten visitors", || quiet.visitors().unwrap().visits().served > 10);
    assert_eq!(quiet.visitors().unwrap().visits().lost, 0);
    assert!(quiet.lab().count().unwrap() > 5);
    assert_eq!(half_a_second(&quiet), [0, 0, 0]);
}

#[test]
fn a_table_full_of_assured_entries_drops_all_that_is_new() {
    if !root() {
        return;
    }
    let full = stage::assured_full(Some(Entries(20_000))).unwrap();
    assert_eq!(most(&full), ("tcp ESTABLISHED [ASSURED]".to_owned(), 20_000));
    let [drop, early, failed] = half_a_second(&full);
    assert!(drop > 200, "{drop}");
    assert_eq!((early, failed), (0, 0));
}

#[test]
fn a_table_full_of_unreplied_entries_evicts() {
    if !root() {
        return;
    }
    let pressed = stage::early_drop_pressure(None).unwrap();
    let [drop, early, failed] = half_a_second(&pressed);
    assert!(early > 1_000, "{early}");
    assert!(drop < early / 100, "{drop}");
    assert_eq!(failed, 0);
}

#[test]
fn floods_leave_the_entries_they_promise() {
    if !root() {
        return;
    }
    type Make = fn() -> Result<Stage, LabError>;
    let floods: [(Make, &str); 4] = [
        (stage::syn_flood, "tcp SYN_SENT [UNREPLIED]"),
        (stage::half_open_flood, "tcp SYN_RECV "),
        (stage::udp_flood, "udp - [UNREPLIED]"),
        (stage::icmp_flood, "icmp - [UNREPLIED]"),
    ];
    for (make, expected) in floods {
        let flood = make().unwrap();
        let (kind, count) = most(&flood);
        assert_eq!(kind, expected);
        assert!(count >= 40_000, "{count} {kind}");
        assert_eq!(half_a_second(&flood), [0, 0, 0]);
    }
}

#[test]
fn closed_connections_pile_up_in_time_wait() {
    if !root() {
        return;
    }
    let piled = stage::time_wait(10_000).unwrap();
    assert_eq!(piled.lab().count().unwrap(), 10_000);
    let (kind, count) = most(&piled);
    assert_eq!(kind, "tcp TIME_WAIT [ASSURED]");
    assert!(count > 9_950, "{:?}", census(piled.server()));
}

#[test]
fn idle_connections_look_as_old_as_told() {
    if !root() {
        return;
    }
    let idle = stage::established_idle(1_000, Seconds(86_400)).unwrap();
    let table = idle
        .server()
        .run(|| std::fs::read_to_string("/proc/thread-self/net/nf_conntrack"))
        .unwrap()
        .unwrap();
    assert_eq!(table.lines().count(), 1_000);
    for line in table.lines() {
        let left: u64 = line.split_whitespace().nth(4).unwrap().parse().unwrap();
        assert!((345_500..=345_600).contains(&left), "{line}");
    }
    let timeout = idle.server().setting("net.netfilter.nf_conntrack_tcp_timeout_established");
    assert_eq!(timeout.unwrap(), "432000");
}

#[test]
fn an_exhausted_nat_drops_in_a_nearly_empty_table() {
    if !root() {
        return;
    }
    for firewall in [Firewall::Nft, Firewall::Iptables] {
        let nat = stage::nat_exhausted(Some(firewall)).unwrap();
        let [drop, early, failed] = half_a_second(&nat);
        assert!(drop > 10 && drop == failed, "{drop} dropped, {failed} not inserted");
        assert_eq!(early, 0);
        assert!(nat.lab().count().unwrap() < 50);
    }
}

#[test]
fn an_overflowing_listen_queue_leaves_conntrack_alone() {
    if !root() {
        return;
    }
    let deaf = stage::listen_overflow().unwrap();
    let before = stage::listen_overflows(deaf.server()).unwrap();
    assert_eq!(half_a_second(&deaf), [0, 0, 0]);
    assert!(stage::listen_overflows(deaf.server()).unwrap() > before);
    assert_eq!(deaf.visitors().unwrap().visits().served, 0);
}

#[test]
fn the_table_of_expectations_fills_up() {
    if !root() {
        return;
    }
    let full = stage::expectations_full().unwrap();
    let max: usize =
        full.server().setting("net.netfilter.nf_conntrack_expect_max").unwrap().parse().unwrap();
    let file = "/proc/thread-self/net/nf_conntrack_expect";
    let expected = full.server().run(|| std::fs::read_to_string(file)).unwrap().unwrap();
    assert_eq!(expected.lines().count(), max);
}
