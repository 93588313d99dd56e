//! How big: what two readings say about rates, lifetimes and the peak.

use plimsoll_ct::{Protocol, TcpState};
use plimsoll_diagnosis::facts::{Fact, Owner, Reason, Snapshot, StateKey};
use plimsoll_diagnosis::size::{Demand, MARGIN, Machine, Peak, seen, size};
use plimsoll_diagnosis::{RemedyId, Said};

use crate::build::*;

fn demand(after: &Snapshot) -> Demand {
    let before = earlier(after, |_| {});
    seen(Some(&before), after, None).unwrap()
}

fn class(demand: &Demand, name: &str) -> (u64, Option<f64>, Option<f64>) {
    let class = demand.classes.iter().find(|c| c.name == name).unwrap();
    (class.entries, class.rate, class.stays)
}

#[test]
fn what_has_just_begun_is_sized_for_the_time_when_its_first_entries_expire() {
    // 200 connections a second for half a minute, each open for 5 s: TIME_WAIT has not levelled out yet.
    let mut after = host("6.12.117", 8);
    let states = [(tcp(TcpState::Established), 1_000), (tcp(TcpState::TimeWait), 5_000)];
    fill(&mut after.namespaces[0], churn(census(&states), 200, 0));
    let demand = demand(&after);
    assert_eq!(class(&demand, "tcp ESTABLISHED"), (1_000, Some(200.0), Some(5.0)));
    assert_eq!(class(&demand, "tcp TIME_WAIT"), (24_000, Some(200.0), Some(120.0)));
    assert_eq!((demand.mean, demand.peak), (25_000, Peak::Assumed));
}

#[test]
fn each_timeout_of_a_protocol_without_states_is_a_class_with_its_own_name() {
    let gre = |replied| StateKey { protocol: Protocol::Gre, assured: replied, ..udp(replied) };
    let mut after = host("6.12.117", 8);
    let states = [(udp(false), 20), (udp(true), 30), (gre(false), 4), (gre(true), 5)];
    fill(&mut after.namespaces[0], census(&states));
    let demand = demand(&after);
    let rows = demand.classes.iter().map(|c| (c.name.as_str(), c.entries));
    let expected = [("udp stream", 30), ("udp", 20), ("gre stream", 5), ("gre", 4)];
    assert_eq!(rows.collect::<Vec<_>>(), expected);
}

#[test]
fn endings_are_expected_in_the_proportion_in_which_they_are_seen() {
    // 100 a second: half end by RST (10 s), half by FIN (120 s).
    let mut after = host("6.12.117", 8);
    let states = [(tcp(TcpState::TimeWait), 600), (tcp(TcpState::Close), 50)];
    fill(&mut after.namespaces[0], churn(census(&states), 100, 0));
    let demand = demand(&after);
    assert_eq!(class(&demand, "tcp TIME_WAIT").0, 6_000);
    assert_eq!(class(&demand, "tcp CLOSE").0, 500);
}

#[test]
fn a_flood_sizes_no_table() {
    let mut after = host("6.12.117", 8);
    let max = after.host.global_max.get().unwrap();
    let states = [(syn(), max * 9 / 10), (tcp(TcpState::Established), 10_000)];
    fill(&mut after.namespaces[0], churn(census(&states), 50_000, 0));
    let demand = demand(&after);
    assert_eq!(demand.mean, 10_000);
    assert!(
        demand.remarks[0].to_string().contains("a flood fills any table"),
        "{:?}",
        demand.remarks
    );
}

#[test]
fn the_namespace_that_is_full_is_sized_for_and_memory_counts_all_of_them() {
    let mut after = host("6.12.117", 8);
    let max = after.host.global_max.get().unwrap();
    fill(&mut after.namespaces[0], census(&[(tcp(TcpState::Established), 100_000)]));
    let mut other = namespace(&after.host.profile, Owner::Named("web".into()), Some(7), max);
    fill(&mut other, census(&[(tcp(TcpState::Established), max)]));
    after.namespaces.push(other);
    let demand = demand(&after);
    assert!(demand.from.to_string().starts_with("ip netns web"), "{:?}", demand.from);
    assert_eq!(demand.peak, Peak::Beyond(max));
    let sizing = size(demand, &Machine::of(&after), MARGIN);
    assert_eq!((sizing.wanted, sizing.max, sizing.buckets), (3 * max, 3 * max, 3 * max));
    assert_eq!(sizing.worst.0, 2 * 3 * max * 256 + 3 * max * 8);
    assert_eq!(sizing.enough(), Some(false));
    // Both tables share the buckets: twice 2 in a chain.
    assert!((sizing.chain.0 - 4.0).abs() < 1e-9);
}

#[test]
fn other_formulas_are_computed_for_this_host() {
    let after = host("6.12.117", 8);
    let sizing = size(Demand::default(), &Machine::of(&after), MARGIN);
    let max =
        |name: &str| sizing.others.iter().find(|o| o.rule.name().starts_with(name)).unwrap().max;
    assert_eq!(max("this kernel"), 262_144);
    assert_eq!(max("RAM / 16384"), 262_144, "8 GiB / 32 KiB");
    assert_eq!(max("kube-proxy"), 131_072, "2 CPUs: the minimum");
    assert_eq!(max("module option"), 8 * 262_144);
    assert_eq!(sizing.max, 262_144, "never less than the kernel gives itself");
}

/// A host with two containers, and a line of the log about a third: whether all namespaces were seen.
fn with_a_third(seen: bool) -> Snapshot {
    let mut after = host("6.18.5", 16);
    for name in ["a", "b"] {
        let owner = Owner::Named(name.into());
        let profile = after.host.profile;
        after.namespaces.push(namespace(&profile, owner, Some(7), 262_144));
    }
    lines(&mut after, 40, 600, 60, Some(4_026_599_999));
    if !seen {
        after.namespaces_complete = Fact::missing(Reason::NotPermitted, Said::name(""));
    }
    after
}

#[test]
fn a_table_that_was_full_and_was_not_read_asks_for_more_than_the_limit() {
    let after = with_a_third(false);
    let demand = demand(&after);
    assert!(
        demand.from.to_string().starts_with("host, "),
        "of equals the first: {:?}",
        demand.from
    );
    assert_eq!(demand.peak, Peak::Beyond(after.namespaces[0].max.value().unwrap().0));
    let told = "Tables that are gone or were not read were full";
    assert!(demand.remarks.iter().any(|r| r.to_string().starts_with(told)), "{:?}", demand.remarks);
    assert!(judge(&after, &[]).remedies.iter().any(|r| r.id == RemedyId::Raise));
}

#[test]
fn a_table_that_was_full_and_has_ended_asks_for_nothing() {
    let after = with_a_third(true);
    let demand = demand(&after);
    assert_eq!(demand.peak, Peak::Assumed);
    let told = "A table that has ended was full";
    assert!(demand.remarks.iter().any(|r| r.to_string().starts_with(told)), "{:?}", demand.remarks);
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT002"], "it is told: {:#?}", d.findings);
    let raised = [RemedyId::Raise, RemedyId::Persist];
    assert!(d.remedies.iter().all(|r| !raised.contains(&r.id)), "{:#?}", d.remedies);
}
