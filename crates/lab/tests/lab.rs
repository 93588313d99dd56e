//! The lab on the running kernel.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use plimsoll_ct::{Counter, Entries, Seconds};
use plimsoll_lab::*;
use std::time::Duration;

fn small() -> Options {
    Options {
        entries: Some(Entries(50_000)),
        patience: Duration::from_secs(300),
        ..Options::default()
    }
}

#[test]
fn a_lab_leaves_no_trace() {
    if !root() {
        return;
    }
    let look = || {
        (
            output("nft", &["list", "ruleset"]),
            output("iptables-save", &[]),
            std::path::Path::new("/proc/sys/net/ipv4/conf/lab0").exists(),
            std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(),
        )
    };
    let before = look();
    let lab = Lab::build(&small()).unwrap();
    let names = names(&lab);
    assert!(names.iter().all(|name| namespace_exists(name)));
    lab.fill_tcp(100, Closing::Silent, &|_| {}).unwrap();
    assert_eq!(look(), before, "a standing lab touches nothing outside");
    lab.cleanup().unwrap();
    assert!(!names.iter().any(|name| namespace_exists(name)));
    lab.cleanup().expect("the second time there is nothing to do");
    drop(lab);
    assert_eq!(look(), before);
}

#[test]
fn labs_of_one_process_do_not_disturb_each_other() {
    if !root() {
        return;
    }
    let (one, other) = (Lab::build(&small()).unwrap(), Lab::build(&small()).unwrap());
    one.fill_tcp(500, Closing::Silent, &|_| {}).unwrap();
    assert_eq!((one.count().unwrap(), other.count().unwrap()), (500, 0));
    assert_ne!(one.server().inode(), other.server().inode());
    drop(other);
    assert_eq!(one.count().unwrap(), 500);
}

#[test]
fn real_connections_leave_assured_entries_and_no_socket() {
    if !root() {
        return;
    }
    let lab = Lab::build(&small()).unwrap();
    let filled = lab.fill_tcp(3_000, Closing::Silent, &|_| {}).unwrap();
    assert_eq!((filled.made, filled.failed), (3_000, 0));
    assert_eq!(census(lab.server()), [("tcp ESTABLISHED [ASSURED]".to_owned(), 3_000)].into());
    for namespace in [lab.server(), lab.client()] {
        let sockets = namespace.run(|| output("ss", &["-Htan"])).unwrap();
        assert_eq!(sockets, "", "in {}", namespace.name());
    }
    lab.fill_tcp(2_000, Closing::Silent, &|_| {}).unwrap();
    assert_eq!(lab.count().unwrap(), 5_000, "a second fill adds to the first");
}

#[test]
fn timeouts_change_in_the_lab_only() {
    if !root() {
        return;
    }
    let name = "net.netfilter.nf_conntrack_tcp_timeout_established";
    let ours =
        std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established");
    let lab = Lab::build(&small()).unwrap();
    lab.set_timeout("tcp_timeout_established", Seconds(77)).unwrap();
    assert_eq!(lab.server().setting(name).unwrap(), "77");
    assert_eq!(lab.client().setting(name).unwrap(), "432000");
    let after =
        std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established");
    assert_eq!(after.unwrap(), ours.unwrap());
}

#[test]
fn a_full_table_drops_and_untracking_ends_it_with_nft() {
    incident(Firewall::Nft);
}

#[test]
fn a_full_table_drops_and_untracking_ends_it_with_iptables() {
    incident(Firewall::Iptables);
}

fn incident(firewall: Firewall) {
    if !root() {
        return;
    }
    let limit = Some(Entries(20_000));
    let lab = Lab::build(&Options { firewall: Some(firewall), limit, ..small() }).unwrap();
    let visitors = lab.keep_visiting(50).unwrap();
    until("a visitor being served", || visitors.visits().served > 0);
    let free = lab.limit().get().get() - lab.count().unwrap();
    lab.fill_tcp(free, Closing::Silent, &|_| {}).unwrap();

    let before = lab.reading().unwrap();
    let flood = lab.flood(Kind::Syn, Sources::Unanswered, Pace::steady(1_000)).unwrap();
    let lost = visitors.visits().lost;
    until("visitors waiting in vain", || visitors.visits().lost > lost + 20);
    until("five hundred packets of the flood", || flood.sent() > 500);
    let full = lab.reading().unwrap();
    assert!(full.entries >= 19_990 && full.entries <= 20_000, "{} entries", full.entries);
    assert!(full.grown(Counter::Drop, &before) > 300);
    assert_eq!(full.grown(Counter::InsertFailed, &before), 0);

    let steps = lab.untrack(SERVICE_PORT).unwrap();
    assert_eq!(steps.len(), 3);
    // Visitors who came before the cure may still be waiting.
    std::thread::sleep(Duration::from_secs(1));
    let (cured, visits, sent) = (lab.reading().unwrap(), visitors.visits(), flood.sent());
    until("a thousand more packets of the flood", || flood.sent() > sent + 1_000);
    let after = lab.reading().unwrap();
    let between = visitors.visits().since(visits);
    assert_eq!(after.grown(Counter::Drop, &cured), 0);
    assert_eq!(after.grown(Counter::EarlyDrop, &cured), 0);
    assert!(between.served > 10 && between.lost == 0, "{between:?}");
}

#[test]
fn udp_conversations_become_assured_after_two_seconds() {
    if !root() {
        return;
    }
    let lab = Lab::build(&small()).unwrap();
    let filled = lab.fill_udp_assured(3_000).unwrap();
    assert_eq!((filled.made, filled.failed), (3_000, 0));
    assert_eq!(census(lab.server()), [("udp - [ASSURED]".to_owned(), 3_000)].into());
}

#[test]
fn a_command_that_fails_says_what_it_was() {
    if !root() {
        return;
    }
    let error = Namespace::open("plimsoll-lab-none").unwrap_err();
    assert_eq!(
        error.to_string(),
        "opening /run/netns/plimsoll-lab-none: No such file or directory (os error 2)"
    );
}
