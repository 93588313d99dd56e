//! Causes: who fills it, what outlives its use, what is lost at insertion, tracking itself.

use plimsoll_ct::{Counter, Entries, TcpState};
use plimsoll_diagnosis::facts::{Fact, Owner, Prefix, Service, Snapshot, Top, Tracking};
use plimsoll_diagnosis::{RemedyId, Said, Severity, Verdict};
use plimsoll_wire::ruleset::Need;

use crate::build::*;
use crate::spoken::diagnose;

#[test]
fn a_udp_flood_from_one_source_names_the_source_and_how_to_hold_it() {
    let mut after = host("6.12.117", 8);
    fill(&mut after.namespaces[0], from_one(census(&[(udp(false), 100_000), (udp(true), 500)])));
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT010"], "one finding for one flood: {:#?}", d.findings);
    assert_eq!(ids(&d), ["CT010", "CT011"], "its source below half a table is an aside");
    assert_eq!(
        summary(&d, "CT010"),
        "100,000 unanswered UDP entries to port 53 from 198.51.100.7 make up 99 % of the table."
    );
    says(&d, RemedyId::Shed, "conntrack -D -p udp -s 198.51.100.7 --orig-port-dst 53");
    says(&d, RemedyId::Timeout, "sysctl -w net.netfilter.nf_conntrack_udp_timeout=10");
    says(
        &d,
        RemedyId::Limit,
        "iptables -t mangle -I PREROUTING -m conntrack --ctstate NEW -m connlimit --connlimit-above \
         13107 --connlimit-mask 32 -j DROP",
    );
    after.namespaces[0].rules = known(nft());
    let d = judge(&after, &[]);
    says(
        &d,
        RemedyId::Limit,
        "nft 'add rule inet plimsoll crowd ct state new add @per_source { ip saddr ct count over \
         13107 } counter drop'",
    );
}

#[test]
fn an_icmp_flood_is_told_apart() {
    let mut after = host("6.12.117", 8);
    fill(&mut after.namespaces[0], census(&[(icmp(), 60_000), (tcp(TcpState::Established), 40)]));
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT010"]);
    assert!(summary(&d, "CT010").contains("unanswered ICMP entries from 20 sources"));
    says(&d, RemedyId::Shed, "conntrack -D -p icmp");
}

#[test]
fn tunnel_packets_are_one_way_by_nature_and_need_not_be_tracked() {
    let mut after = host("6.12.117", 8);
    after.namespaces[0].rules = known(stateless());
    let mut vxlan = census(&[(udp(false), 150_000)]);
    let service = Service { port: 4789, ..vxlan.services.rows[0].0 };
    vxlan.services = Top { rows: vec![(service, vxlan.total)], error: 0 };
    fill(&mut after.namespaces[0], vxlan);
    after.namespaces[0].rules = known(stateful());
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT010"]);
    assert!(
        summary(&d, "CT010")
            .ends_with("This is VXLAN: it is one-way by nature, so tracking it serves nothing.")
    );
    assert_eq!(remedies(&d)[0], "bypass");
    for (chain, side) in
        [("PREROUTING", "d"), ("PREROUTING", "s"), ("OUTPUT", "d"), ("OUTPUT", "s")]
    {
        let commands = &remedy(&d, RemedyId::Bypass).commands;
        let exempts = |c: &&plimsoll_diagnosis::Said| {
            c.starts_with(&format!("iptables-legacy -t raw -A {chain} "))
                && c.contains(&format!(" --{side}port 4789 "))
        };
        assert_eq!(commands.iter().filter(exempts).count(), 1, "{commands:#?}");
    }
    let fix = &remedy(&d, RemedyId::Bypass).fix;
    assert_eq!(fix, &["plimsoll fix bypass udp/4789 --role server --role client --confirm 60s"]);
}

#[test]
fn a_scan_of_a_hundred_entries_is_no_flood() {
    let mut after = host("6.12.117", 8);
    fill(&mut after.namespaces[0], census(&[(syn(), 900), (tcp(TcpState::Established), 50)]));
    assert_eq!(ids(&judge(&after, &[])), Vec::<&str>::new());
}

#[test]
fn one_client_that_holds_most_of_a_half_full_table_is_named() {
    let mut after = host("6.12.117", 8);
    let one = from_one(census(&[(tcp(TcpState::Established), 150_000)]));
    fill(&mut after.namespaces[0], one);
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT011"]);
    assert_eq!(
        summary(&d, "CT011"),
        "One source, 198.51.100.7, holds 100 % of the table, mostly to 443/tcp."
    );
    assert_eq!(remedies(&d), ["limit"]);
}

#[test]
fn where_sources_can_not_be_counted_the_one_is_dropped_and_that_is_what_is_said() {
    let mut after = host("2.6.18-398.el5", 2);
    let one = from_one(census(&[(tcp(TcpState::Established), 50_000)]));
    fill(&mut after.namespaces[0], one);
    let limit = remedy(&judge(&after, &[]), RemedyId::Limit).clone();
    assert_eq!(limit.title, "drop the packets of 198.51.100.7 before they are tracked");
    assert_eq!(limit.commands, ["iptables -t raw -I PREROUTING -s 198.51.100.7 -j DROP"]);
    assert!(limit.fix.is_empty(), "`fix limit` counts: {:?}", limit.fix);
    assert!(limit.effect.starts_with("Nothing that comes from there becomes an entry"));
    assert!(limit.risk.ends_with("Its connections that are open break, too."));
}

#[test]
fn a_limit_for_each_source_is_not_offered_where_a_network_holds_the_table_by_many_of_them() {
    let mut after = host("6.12.117", 8);
    let mut many = census(&[(tcp(TcpState::Established), 150_000)]);
    let network = Prefix { address: "198.51.100.0".parse().unwrap(), length: 24 };
    many.source_networks = Top { rows: vec![(network, many.total)], error: 0 };
    fill(&mut after.namespaces[0], many);
    let d = judge(&after, &[]);
    assert_eq!(
        summary(&d, "CT011"),
        "One network, 198.51.100.0/24, holds 100 % of the table, mostly to 443/tcp."
    );
    let refused = &remedy(&d, RemedyId::Limit).refused;
    assert_eq!(refused.len(), 1, "{refused:#?}");
    assert!(refused[0].contains("no source holds more than 13,107 entries (the most: 7,500, by"));
}

#[test]
fn sources_beyond_the_rows_are_counted_by_what_each_can_hold_at_most() {
    let mut after = host("6.12.117", 8);
    let mut flood = census(&[(syn(), 48_000)]);
    for (_, tally) in &mut flood.sources.rows {
        *tally =
            plimsoll_diagnosis::facts::Tally { evictable: 1, unreplied: 1, ..Default::default() };
    }
    fill(&mut after.namespaces[0], flood);
    let d = judge(&after, &[]);
    assert!(
        summary(&d, "CT010").starts_with(
            "48,000 unanswered TCP handshakes to port 443 from at least 48,000 sources"
        ),
        "{}",
        summary(&d, "CT010")
    );
}

#[test]
fn idle_connections_that_hold_a_third_of_the_limit_are_found_before_it_is_full() {
    let mut after = host("5.10.0-46-generic", 8);
    after.namespaces[0].rules = known(nft());
    fill(
        &mut after.namespaces[0],
        idle(census(&[(tcp(TcpState::Established), 110_000)]), 20_000, 70_000),
    );
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT012"]);
    assert_eq!(
        summary(&d, "CT012"),
        "90,000 ESTABLISHED connections to port 443 have been idle for over an hour (34 % of the \
         limit); they stay for 5 d and nothing evicts them. With a timeout of 2 h 4 min \
         between 70,000 and 90,000 of them would be gone by now."
    );
    says(
        &d,
        RemedyId::Timeout,
        "nft 'add ct timeout ip plimsoll idle443 { protocol tcp; l3proto ip; policy = { established : \
         7440 }; }'",
    );
}

#[test]
fn a_kernel_without_nft_timeouts_gets_the_iptables_form() {
    let mut after = host("3.10.0-1160.el7.x86_64", 8);
    fill(
        &mut after.namespaces[0],
        idle(census(&[(tcp(TcpState::Established), 110_000)]), 20_000, 70_000),
    );
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT012"]);
    says(&d, RemedyId::Timeout, "nfct add timeout idle443 inet tcp established 7440");
    says(
        &d,
        RemedyId::Timeout,
        "iptables -t raw -I PREROUTING -p tcp --dport 443 -j CT --timeout idle443",
    );
}

#[test]
fn closed_connections_are_named_and_cured_by_the_state_that_they_pile_up_in() {
    for (state, name, old, new) in [
        (TcpState::TimeWait, "TIME_WAIT", "time_wait", 30),
        (TcpState::FinWait, "FIN_WAIT", "fin_wait", 60),
        (TcpState::CloseWait, "CLOSE_WAIT", "close_wait", 30),
        (TcpState::LastAck, "LAST_ACK", "last_ack", 15),
        (TcpState::Close, "CLOSE", "close", 5),
    ] {
        let mut after = host("6.12.117", 8);
        let piled = census(&[(tcp(state), 150_000), (tcp(TcpState::Established), 40_000)]);
        fill(&mut after.namespaces[0], piled);
        let d = judge(&after, &[]);
        assert_eq!(acts(&d), ["CT013"]);
        let told = format!("closed connections to port 443 (150,000 in {name})");
        assert!(summary(&d, "CT013").contains(&told), "{}", summary(&d, "CT013"));
        let timeout = format!("sysctl -w net.netfilter.nf_conntrack_tcp_timeout_{old}={new}");
        assert_eq!(remedy(&d, RemedyId::Timeout).commands, [timeout]);
        let shed = format!("conntrack -D -p tcp --state {name}");
        assert_eq!(remedy(&d, RemedyId::Shed).commands, [shed]);
    }
}

#[test]
fn idle_connections_in_a_roomy_table_are_nobodys_trouble() {
    let mut after = host("6.12.117", 8);
    fill(
        &mut after.namespaces[0],
        idle(census(&[(tcp(TcpState::Established), 50_000)]), 20_000, 25_000),
    );
    assert_eq!(ids(&judge(&after, &[])), Vec::<&str>::new());
}

#[test]
fn dns_races_are_clashes_and_not_a_full_table() {
    let mut after = host("5.10.0-46-generic", 8);
    let rises = [(Counter::InsertFailed, 12), (Counter::Drop, 12), (Counter::ClashResolved, 4)];
    fill(&mut after.namespaces[0], census(&[(udp(false), 600)]));
    let d = judge(&after, &rises);
    assert_eq!(acts(&d), ["CT051"]);
    assert!(summary(&d, "CT051").contains("two DNS queries (A and AAAA)"));
    assert!(d.remedies.iter().all(|r| r.id != RemedyId::Raise), "a larger table does not help");
}

#[test]
fn exhausted_nat_ports_are_told_by_the_probes_that_found_them_taken() {
    let mut after = host("6.18.15", 8);
    let mut rules = stateful();
    rules.rules.push(rule("-A POSTROUTING -j SNAT --to-source 192.0.2.1", &[Need::Nat]));
    after.namespaces[0].rules = known(rules);
    let rises = [(Counter::Found, 300), (Counter::InsertFailed, 40), (Counter::Drop, 40)];
    let d = judge(&after, &rises);
    assert_eq!((acts(&d), d.verdict), (vec!["CT052"], Verdict::Critical));
    let mut old = host("3.10.0-1160.el7.x86_64", 8);
    old.namespaces[0].rules = after.namespaces[0].rules.clone();
    assert_eq!(acts(&judge(&old, &rises)), ["CT051"], "`found` meant lookups to 4.8");
}

#[test]
fn a_single_dns_race_on_a_host_with_nat_is_a_clash() {
    let mut after = host("6.18.15", 8);
    let mut rules = stateful();
    rules.rules.push(rule("-A POSTROUTING -j MASQUERADE", &[Need::Nat]));
    after.namespaces[0].rules = known(rules);
    for (failed, found) in [(1, 1), (1, 40), (4, 500), (12, 30)] {
        let rises =
            [(Counter::Found, found), (Counter::InsertFailed, failed), (Counter::Drop, failed)];
        let d = judge(&after, &rises);
        assert_eq!(ids(&d), ["CT051"], "{failed} failures, {found} ports in use");
    }
    let elsewhere = [(Counter::Found, 900), (Counter::InsertFailed, 40), (Counter::Drop, 3)];
    assert_eq!(ids(&judge(&after, &elsewhere)), ["CT051"], "each failure drops a packet");
}

#[test]
fn a_few_connections_among_many_without_a_free_port_are_a_warning() {
    let mut after = host("6.18.15", 8);
    let mut rules = stateful();
    rules.rules.push(rule("-A POSTROUTING -j MASQUERADE", &[Need::Nat]));
    after.namespaces[0].rules = known(rules);
    let rises = |n| [(Counter::Found, n * 128), (Counter::InsertFailed, n), (Counter::Drop, n)];
    let level = |after: &plimsoll_diagnosis::facts::Snapshot, n| {
        let d = judge(after, &rises(n));
        d.findings.iter().find(|f| f.id == "CT052").expect("it is found").severity
    };
    assert_eq!(level(&after, 6), Severity::Warning, "nobody knows how many were opened");
    assert_eq!(level(&after, 97), Severity::Critical, "as on a real host whose ten ports are used");
    let busy = churn(census(&[(tcp(TcpState::Established), 20_000)]), 2_000, 2_000);
    fill(&mut after.namespaces[0], busy);
    assert_eq!(level(&after, 40), Severity::Warning, "2,000 others a second do well");
    assert_eq!(level(&after, 400), Severity::Critical);
}

#[test]
fn drops_that_clashes_explain_do_not_make_a_full_table_of_a_busy_one() {
    let mut after = host("6.12.117", 8);
    fill(&mut after.namespaces[0], census(&[(udp(true), 255_000)]));
    let d = judge(&after, &[(Counter::Drop, 30), (Counter::InsertFailed, 30)]);
    assert!(!ids(&d).contains(&"CT001"), "{:?}", ids(&d));
    assert!(ids(&d).contains(&"CT051"));
}

#[test]
fn a_host_that_tracks_without_a_rule_that_needs_it_should_not_track_at_all() {
    let mut after = host("2.6.32-754.el6.x86_64", 8);
    after.host.modules = known(vec![
        loaded("nf_defrag_ipv4", &["nf_conntrack_ipv4"]),
        loaded("nf_conntrack", &["nf_conntrack_ipv4", "xt_state"]),
        loaded("nf_conntrack_ipv4", &[]),
        loaded("xt_state", &[]),
    ]);
    let n = &mut after.namespaces[0];
    n.rules = known(stateless());
    n.tracking = known(Tracking::On { because: Said::name("nf_conntrack_ipv4 is loaded") });
    fill(n, census(&[(tcp(TcpState::Established), 30_000)]));
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT030"]);
    assert_eq!(remedies(&d)[0], "unload");
    let unload = remedy(&d, RemedyId::Unload);
    assert!(unload.refused.is_empty());
    says(
        &d,
        RemedyId::Unload,
        "modprobe -r nf_conntrack_ipv4 xt_state nf_conntrack nf_defrag_ipv4",
    );
    says(&d, RemedyId::Unload, "ls /proc/net/nf_conntrack  # must say: No such file or directory");
    after.namespaces[0].rules = known(stateful());
    assert_eq!(acts(&judge(&after, &[])), Vec::<&str>::new(), "a state rule needs it");
}

#[test]
fn tracking_that_openvswitch_asks_for_is_not_called_needless() {
    let mut after = host("6.12.117", 8);
    after.namespaces[0].rules = known(stateless());
    fill(&mut after.namespaces[0], census(&[(tcp(TcpState::Established), 90_000)]));
    assert_eq!(ids(&judge(&after, &[])), ["CT030"]);
    after.host.modules =
        known(vec![loaded("nf_conntrack", &["openvswitch"]), loaded("openvswitch", &[])]);
    assert_eq!(ids(&judge(&after, &[])), Vec::<&str>::new());
}

#[test]
fn rules_that_were_read_by_half_accuse_nobody() {
    let mut after = host("6.12.117", 8);
    let mut rules = stateless();
    rules.read.retain(|(b, _)| *b != plimsoll_wire::ruleset::Backend::Nft);
    after.namespaces[0].rules = known(rules);
    fill(&mut after.namespaces[0], census(&[(tcp(TcpState::Established), 90_000)]));
    after.host.modules = known(vec![loaded("nf_conntrack", &["nft_ct"]), loaded("nf_tables", &[])]);
    assert_eq!(ids(&judge(&after, &[])), Vec::<&str>::new());
}

#[test]
fn tracking_is_not_called_needless_where_a_back_end_could_not_be_read() {
    let mut after = host("6.12.117", 8);
    fill(&mut after.namespaces[0], census(&[(tcp(TcpState::Established), 90_000)]));
    let mut rules = stateless();
    rules.unread =
        vec![(plimsoll_wire::ruleset::Backend::Nft, "nft: Operation not permitted".into())];
    after.namespaces[0].rules = known(rules);
    assert_eq!(ids(&judge(&after, &[])), Vec::<&str>::new(), "nft could not be read");
    let mut rules = stateless();
    rules.read.retain(|(_, f)| *f != plimsoll_wire::ruleset::TableFamily::Ip6);
    after.namespaces[0].rules = known(rules);
    after.host.modules = known(vec![
        loaded("nf_conntrack", &[]),
        loaded("ip6_tables", &[]),
        loaded("ip_tables", &[]),
    ]);
    assert_eq!(ids(&judge(&after, &[])), Vec::<&str>::new(), "nobody looked at IPv6");
    after.host.modules = known(vec![loaded("nf_conntrack", &[]), loaded("ip_tables", &[])]);
    assert_eq!(ids(&judge(&after, &[])), ["CT030"], "without the module there is no IPv6 table");
}

#[test]
fn a_count_far_above_the_list_is_told_where_the_collector_cannot_explain_it() {
    let mut after = host("3.10.0-1160.el7.x86_64", 8);
    after.namespaces[0].count = known(Entries(40_000));
    let d = judge(&after, &[]);
    assert_eq!(ids(&d), ["CT032"], "timers leave no lag");
    let mut young = host("6.12.117", 8);
    young.namespaces[0].count = known(Entries(40_000));
    assert_eq!(ids(&judge(&young, &[])), Vec::<&str>::new(), "expired entries may explain it");
    young.namespaces[0].census = known(churn(census(&[(udp(false), 1_000)]), 10, 10));
    assert_eq!(ids(&judge(&young, &[])), ["CT032"], "ten a second for 60 s do not");
}

#[test]
fn causes_come_by_how_much_they_explain_after_the_state_of_the_table() {
    let mut after = host("6.12.117", 8);
    let full = census(&[(syn(), 150_000), (tcp(TcpState::Established), 112_144)]);
    fill(&mut after.namespaces[0], idle(full, 0, 90_000));
    let rises = [(Counter::Drop, 500), (Counter::EarlyDrop, 10)];
    let d = judge(&after, &rises);
    assert_eq!(acts(&d), ["CT001", "CT010", "CT012"]);
    assert!(
        d.headline.contains("idle for over an hour"),
        "what cannot be evicted kills: {}",
        d.headline
    );
    assert_eq!(remedies(&d)[..3], ["raise", "timeout", "shed"]);
}

#[test]
fn one_namespace_that_takes_nearly_all_entries_is_named() {
    let mut after = host("6.18.15", 64);
    let mut ns = namespace(&after.host.profile, Owner::Named("tenant7".into()), Some(99), 262_144);
    fill(&mut ns, census(&[(tcp(TcpState::Established), 180_000)]));
    after.namespaces.push(ns);
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT011"]);
    assert_eq!(d.findings[0].severity, Severity::Warning);
    assert!(summary(&d, "CT011").starts_with("ip netns tenant7 holds 99 % of the 180,150 entries"));
    let limit = remedy(&d, RemedyId::Limit);
    assert!(limit.commands.iter().all(|c| c.starts_with("ip netns exec tenant7 ")), "{limit:#?}");
    assert_eq!(limit.refused.len(), 1, "none of its sources holds much: {limit:#?}");
}

#[test]
fn entries_under_the_compiled_in_cap_for_unanswered_data_are_not_idle() {
    let after = host("6.12.117", 8);
    let d = diagnose(None, &after);
    assert_eq!(acts(&d), Vec::<&str>::new());
}

#[test]
fn a_limit_for_each_source_is_for_where_the_connections_end() {
    let full = |after: &mut Snapshot| {
        let all = from_one(census(&[(tcp(TcpState::Established), 180_000)]));
        fill(&mut after.namespaces[0], all);
    };
    let limit = |after: &Snapshot| remedy(&judge(after, &[]), RemedyId::Limit).clone();
    let mut server = host("6.12.117", 8);
    full(&mut server);
    server.namespaces[0].ways = ways(STATEFUL, &[443]);
    assert!(limit(&server).fix[0].ends_with("limit tcp/443 --per-source 13107 --confirm 60s"));
    // Docker's proxy listens, too, and what comes from elsewhere never gets to it.
    let dnat = "COMMIT\n*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING ! -i docker0 -p tcp --dport 443 -j DNAT --to-destination 172.17.0.2:443";
    server.namespaces[0].ways = ways(&format!("{STATEFUL}\n{dnat}"), &[443]);
    assert!(limit(&server).fix[0].contains("--per-source 13107 --forwarded "), "{server:#?}");
    // It only passes through: in the chain of what comes in a rule would never meet it.
    let mut router = host("6.12.117", 8);
    full(&mut router);
    assert!(limit(&router).fix[0].contains("--per-source 13107 --forwarded "), "{router:#?}");
    let mut client = router.clone();
    let Fact::Known { value: census, .. } = &mut client.namespaces[0].census else { panic!() };
    census.sources.rows[0].0.address = "192.0.2.10".parse().unwrap();
    assert!(limit(&client).refused[0].contains("this host's own programs open"));
}
