//! The state of the table.

use plimsoll_ct::{Counter, Entries, TcpState};
use plimsoll_diagnosis::facts::{Fact, Owner, Reason, SeenIn, StateKey, Tracking};
use plimsoll_diagnosis::{RemedyId, Said, Severity, Value, Verdict};

use crate::build::*;
use crate::spoken::diagnose;

const RELEASES: &[&str] = &[
    "2.6.18-398.el5",
    "2.6.32-754.el6.x86_64",
    "3.10.0-1160.el7.x86_64",
    "3.16.0-4-amd64",
    "4.9.229",
    "4.19.13",
    "4.18.0-553.el8_10.x86_64",
    "5.10.0-46-generic",
    "5.14.0-427.el9.x86_64",
    "5.15.0",
    "6.1.0-56-amd64",
    "6.12.117",
    "6.18.15",
    "7.3.4",
];

#[test]
fn an_idle_ordinary_host_of_any_generation_is_well_without_a_single_finding() {
    for release in RELEASES {
        for gib in [1, 2, 3, 4, 8, 64] {
            let after = host(release, gib);
            let d = judge(&after, &[(Counter::Invalid, 3)]);
            assert_eq!(ids(&d), Vec::<&str>::new(), "{release} {gib} GiB: {:#?}", d.findings);
            assert_eq!(d.verdict, Verdict::Ok, "{release}");
            assert!(d.remedies.is_empty(), "{release}: {:?}", remedies(&d));
            assert!(d.headline.starts_with("web1 is well"), "{}", d.headline);
            let alike: Vec<_> = d.excluded.iter().map(|e| e.id).collect();
            assert_eq!(alike, ["CT060", "CT061", "CT062"], "{release}");
        }
    }
}

#[test]
fn an_idle_saved_host_is_well_and_says_that_rates_are_missing() {
    for release in RELEASES {
        let d = diagnose(None, &saved(host(release, 4)));
        assert_eq!((ids(&d), d.verdict), (vec![], Verdict::Ok), "{release}");
        let rates: Vec<_> = d.missing.iter().filter(|m| m.fact == "rates").collect();
        assert_eq!(rates.len(), 1, "{release}");
        assert!(d.namespaces[0].rates.drop.is_err(), "a rate is not invented");
    }
}

#[test]
fn a_burst_of_fifty_entries_on_an_idle_host_alarms_nobody() {
    let after = host("6.12.117", 8);
    let before = earlier(&after, |b| b.namespaces[0].count = known(Entries(100)));
    let d = diagnose(Some(&before), &after);
    assert_eq!(ids(&d), Vec::<&str>::new());
    assert_eq!(d.namespaces[0].full_in, None);
}

#[test]
fn a_centos_5_server_that_fills_with_idle_connections_is_full_and_dropping() {
    let mut after = host("2.6.18-398.el5", 2);
    fill(
        &mut after.namespaces[0],
        idle(census(&[(tcp(TcpState::Established), 65_536)]), 3_000, 60_000),
    );
    lines(&mut after, 41, 7_500, 2, None);
    let d = judge(&after, &[(Counter::Drop, 1240), (Counter::New, 0)]);
    assert_eq!(acts(&d), ["CT001", "CT004", "CT012"]);
    assert_eq!(d.verdict, Verdict::Critical);
    assert_eq!(
        d.headline,
        "web1 is dropping 1,240 packets/s: its table is full (65,536 of 65,536), 96 % ESTABLISHED \
         entries to port 443 idle for over an hour."
    );
    assert_eq!(
        summary(&d, "CT001"),
        "The table is full (65,536 of 65,536 entries) and drops 1,240 packets/s; first log line 2 h \
         5 min ago."
    );
    says(&d, RemedyId::Raise, "sysctl -w net.ipv4.netfilter.ip_conntrack_max=196608");
    says(&d, RemedyId::Raise, "echo 49152 > /sys/module/ip_conntrack/parameters/hashsize");
    says(&d, RemedyId::Persist, "echo 'options ip_conntrack hashsize=49152' >> /etc/modprobe.conf");
    says(
        &d,
        RemedyId::Timeout,
        "sysctl -w net.ipv4.netfilter.ip_conntrack_tcp_timeout_established=7440",
    );
    says(&d, RemedyId::Unload, "modprobe -r xt_state ip_conntrack");
    says(&d, RemedyId::Unload, "ls /proc/net/ip_conntrack  # must say: No such file or directory");
    assert_eq!(remedies(&d)[0], "raise", "first aid comes first");
    assert_eq!(d.drops.now, Some(1240.0));
    assert_eq!(d.drops.log_lines, Some(41));
}

#[test]
fn a_saved_centos_6_host_was_full_when_it_was_saved() {
    let mut after = saved(host("2.6.32-754.el6.x86_64", 8));
    fill(&mut after.namespaces[0], census(&[(tcp(TcpState::Established), 65_536)]));
    after.namespaces[0].counters = known(counters(&[(Counter::Drop, 91_000)]));
    lines(&mut after, 12, 4_000, 30, None);
    let d = diagnose(None, &after);
    assert_eq!(acts(&d), ["CT001", "CT004", "CT020"]);
    assert!(
        d.headline.starts_with("web1 was dropping packets: its table was full"),
        "{}",
        d.headline
    );
    says(&d, RemedyId::Raise, "sysctl -w net.nf_conntrack_max=196608");
    says(&d, RemedyId::Raise, "echo 49152 > /sys/module/nf_conntrack/parameters/hashsize");
    let persist = remedy(&d, RemedyId::Persist);
    assert!(persist.commands.iter().any(|c| c == "sysctl -p"), "{:#?}", persist.commands);
    assert!(persist.risk.contains("393,216"), "the ×8 trap is told: {}", persist.risk);
    assert_eq!(d.drops.now, None);
}

#[test]
fn a_saved_host_without_a_list_or_statistics_was_full_by_its_log() {
    let mut after = saved(host("3.10.0-1160.el7.x86_64", 8));
    let n = &mut after.namespaces[0];
    n.count = missing(Reason::NotCollected);
    n.census = missing(Reason::NotCollected);
    n.counters = missing(Reason::NotCollected);
    lines(&mut after, 5, 90_000, 80_000, None);
    let d = diagnose(None, &after);
    assert_eq!(acts(&d), ["CT002"]);
    assert_eq!(d.verdict, Verdict::Warning);
    let told: Vec<_> = d.missing.iter().map(|m| m.fact.as_str()).collect();
    assert_eq!(told, ["number of entries", "statistics", "entries", "rates"]);
}

#[test]
fn an_overflow_of_last_month_is_worth_knowing_and_no_alarm() {
    let mut after = host("6.1.0-56-amd64", 8);
    lines(&mut after, 5, 31 * 86_400, 30 * 86_400, None);
    let d = judge(&after, &[]);
    assert_eq!((ids(&d), d.verdict), (vec!["CT002"], Verdict::Ok));
}

#[test]
fn an_assured_fill_on_a_modern_kernel_is_critical_and_names_the_cause() {
    let mut after = host("6.18.15", 8);
    let full = idle(
        census(&[(tcp(TcpState::Established), 250_000), (udp(false), 11_000)]),
        10_000,
        200_000,
    );
    fill(&mut after.namespaces[0], full);
    let d = judge(&after, &[(Counter::Drop, 90)]);
    assert_eq!(acts(&d), ["CT001", "CT004", "CT012"]);
    assert!(d.findings.iter().take(2).all(|f| f.severity == Severity::Critical));
    says(&d, RemedyId::Raise, "sysctl -w net.netfilter.nf_conntrack_max=786432");
    says(&d, RemedyId::Raise, "sysctl -w net.netfilter.nf_conntrack_buckets=786432");
    says(
        &d,
        RemedyId::Timeout,
        "# or for every port of this namespace: sysctl -w \
         net.netfilter.nf_conntrack_tcp_timeout_established=7440",
    );
}

#[test]
fn a_dropping_table_that_the_collector_took_down_to_95_percent_is_still_full() {
    let mut after = host("6.12.117", 8);
    fill(&mut after.namespaces[0], census(&[(tcp(TcpState::TimeWait), 249_037)]));
    let d = judge(&after, &[(Counter::Drop, 10)]);
    assert_eq!(acts(&d), ["CT001", "CT013"]);
}

#[test]
fn time_wait_is_protected_in_effect_where_no_collector_evicts() {
    let mut after = host("3.10.0-1160.el7.x86_64", 8);
    fill(&mut after.namespaces[0], census(&[(tcp(TcpState::TimeWait), 240_000)]));
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT004", "CT013"]);
    assert!(summary(&d, "CT004").contains("cannot evict closing connections either"));
    let mut young = host("6.12.117", 8);
    fill(&mut young.namespaces[0], census(&[(tcp(TcpState::TimeWait), 240_000)]));
    assert_eq!(acts(&judge(&young, &[])), ["CT013"]);
}

#[test]
fn a_syn_flood_that_early_drop_survives_is_pressure_and_a_flood() {
    let mut after = host("6.12.117", 8);
    let flood = census(&[(syn(), 250_000), (tcp(TcpState::Established), 12_144)]);
    fill(&mut after.namespaces[0], flood);
    let d = judge(&after, &[(Counter::EarlyDrop, 48_000)]);
    assert_eq!(acts(&d), ["CT003", "CT010"]);
    assert_eq!(d.verdict, Verdict::Warning);
    assert_eq!(
        summary(&d, "CT010"),
        "250,000 unanswered TCP handshakes to port 443 from 20 sources make up 95 % of the table."
    );
    says(&d, RemedyId::Timeout, "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_syn_sent=20");
    says(&d, RemedyId::Shed, "conntrack -D -p tcp --state SYN_SENT --orig-port-dst 443");
    let chance = d.findings[0].evidence.iter().find(|e| e.what.starts_with("chance")).unwrap();
    assert!(matches!(chance.value, plimsoll_diagnosis::Value::Number(p) if p > 0.999));
}

#[test]
fn a_syn_flood_that_the_server_answers_is_a_flood_as_well() {
    let half = StateKey { assured: false, ..tcp(TcpState::SynRecv) };
    let mut after = host("6.12.117", 8);
    let flood = census(&[(half, 250_000), (tcp(TcpState::Established), 12_144)]);
    fill(&mut after.namespaces[0], flood);
    let d = judge(&after, &[(Counter::EarlyDrop, 48_000)]);
    assert_eq!(acts(&d), ["CT003", "CT010"]);
    let told = summary(&d, "CT010");
    assert!(
        told.starts_with("250,000 half-open TCP handshakes to port 443 make up 95 %"),
        "{told}"
    );
    assert!(told.contains("a SYN flood from addresses that are not its own"), "{told}");
    says(&d, RemedyId::Timeout, "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_syn_recv=10");
    says(&d, RemedyId::Shed, "conntrack -D -p tcp --state SYN_RECV --orig-port-dst 443");
    // Those of a busy minute are none.
    let mut busy = host("6.12.117", 8);
    fill(&mut busy.namespaces[0], census(&[(half, 90_000), (tcp(TcpState::Established), 110_000)]));
    assert!(!ids(&judge(&busy, &[])).contains(&"CT010"));
}

#[test]
fn a_few_drops_among_a_thousand_evictions_warn_without_shouting() {
    let mut after = host("6.12.117", 8);
    fill(&mut after.namespaces[0], census(&[(syn(), 262_144)]));
    let d = judge(&after, &[(Counter::EarlyDrop, 1998), (Counter::Drop, 2)]);
    assert_eq!(acts(&d), ["CT001", "CT010"]);
    assert_eq!(d.verdict, Verdict::Warning);
}

#[test]
fn a_full_table_that_evicts_and_drops_no_more_is_not_called_dropping() {
    let mut after = host("6.12.117", 8);
    fill(&mut after.namespaces[0], census(&[(syn(), 262_144)]));
    lines(&mut after, 9, 600, 3, None);
    let d = judge(&after, &[(Counter::EarlyDrop, 21_570), (Counter::Drop, 0)]);
    assert_eq!((acts(&d), d.verdict), (vec!["CT001", "CT010"], Verdict::Warning));
    assert!(summary(&d, "CT001").contains("reports drops, and now evictions make room"));
    assert!(d.headline.contains(" was dropping packets seconds ago: "), "{}", d.headline);
    // Where nothing is evicted it only waits for the next packet.
    let d = judge(&after, &[(Counter::EarlyDrop, 0), (Counter::Drop, 0)]);
    assert_eq!(d.verdict, Verdict::Critical);
}

#[test]
fn the_table_of_a_container_is_full_while_the_host_is_not() {
    let mut after = host("6.18.15", 8);
    let owner = Owner::Container {
        runtime: "docker".into(),
        id: "3f2a9bc1d2e4f6a8b0c2d4e6f8a0b2c4d6e8f0a2b4c6d8e0f2a4b6c8d0e2f4a6".into(),
        name: Some("nginx".into()),
    };
    let mut c = namespace(&after.host.profile, owner, Some(4_026_532_246), 262_144);
    fill(&mut c, census(&[(tcp(TcpState::Established), 262_144)]));
    c.counters = known(counters(&[(Counter::Drop, 7_000)]));
    after.namespaces.push(c);
    lines(&mut after, 9, 600, 3, Some(4_026_532_246));
    let before = earlier(&after, |b| {
        b.namespaces[1].counters = known(counters(&[(Counter::Drop, 6_500)]));
    });
    let d = diagnose(Some(&before), &after);
    assert_eq!(acts(&d), ["CT001", "CT004", "CT011"]);
    assert!(d.findings[..3].iter().all(|f| f.namespace == Some(1)), "{:#?}", d.findings);
    assert!(
        d.headline.starts_with(
            "web1 is dropping 500 packets/s: the table of docker 3f2a9bc1d2e4… (nginx) is full \
             (262,144 of 262,144)"
        ),
        "{}",
        d.headline
    );
    let raise = remedy(&d, RemedyId::Raise);
    assert!(raise.commands[0].starts_with("# on the host, in its own namespace"));
    assert_eq!(raise.memory.unwrap().0, 786_432 * 256 * 2 + 786_432 * 8);
}

#[test]
fn nameless_lines_before_6_18_point_to_the_namespace_that_drops() {
    let mut after = host("5.10.0-46-generic", 8);
    let mut web = namespace(&after.host.profile, Owner::Named("web".into()), Some(77), 262_144);
    web.counters = known(counters(&[(Counter::Drop, 400)]));
    after.namespaces.push(web);
    lines(&mut after, 9, 6_000, 4_000, None);
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT002"]);
    assert_eq!(d.findings[0].namespace, Some(1));
    assert!(summary(&d, "CT002").starts_with("The table of ip netns web was full"));
}

#[test]
fn nameless_lines_that_nothing_explains_are_nobodys() {
    let mut after = host("5.10.0-46-generic", 8);
    after.namespaces.push(namespace(
        &after.host.profile,
        Owner::Named("web".into()),
        Some(77),
        262_144,
    ));
    lines(&mut after, 9, 6_000, 4_000, None);
    let d = judge(&after, &[]);
    assert_eq!(d.findings[0].id, "CT002");
    assert_eq!(d.findings[0].namespace, None);
    assert!(d.notes.iter().any(|n| n.contains("does not say in which namespace")));
}

#[test]
fn lines_of_a_namespace_that_is_gone_are_told_as_such() {
    let mut after = host("6.18.15", 8);
    lines(&mut after, 3, 60, 50, Some(4_026_539_999));
    let d = judge(&after, &[]);
    assert!(summary(&d, "CT002").contains("namespace 4026539999, not found"), "{:#?}", d.findings);
}

#[test]
fn a_namespace_is_told_with_its_own_lines_only() {
    let mut after = host("6.18.15", 8);
    let owner = Owner::Named("web".into());
    let mut web = namespace(&after.host.profile, owner, Some(4_026_532_246), 262_144);
    fill(&mut web, census(&[(tcp(TcpState::Established), 262_144)]));
    web.counters = known(counters(&[(Counter::Drop, 7_000)]));
    after.namespaces.push(web);
    log(&mut after).table_full = Some(both(&[
        row(41, 1_440, 900, Some(4_026_539_999)),
        row(9, 90, 2, Some(4_026_532_246)),
        row(2, 700_000, 690_000, None),
    ]));
    let before = earlier(&after, |b| {
        b.namespaces[1].counters = known(counters(&[(Counter::Drop, 6_500)]));
    });
    let d = diagnose(Some(&before), &after);
    let full = d.findings.iter().find(|f| f.id == "CT001").unwrap();
    assert!(
        full.summary.ends_with("drops 500 packets/s; first log line 1 min 30 s ago."),
        "{full:#?}"
    );
    let of = |what: &str| &full.evidence.iter().find(|e| e.what == what).unwrap().value;
    assert_eq!(of("log lines"), &Value::Count(9));
    assert!(matches!(of("example"), Value::Text(text) if text.contains("4026532246")));
    assert_eq!(d.drops.log_lines, Some(52), "the whole host's");

    choose(&mut after, |n| !n.is_initial());
    let d = diagnose(Some(&before), &after);
    assert_eq!((d.drops.log_lines, d.drops.packets_at_least), (Some(9), Some(9)));
    assert_eq!(d.drops.first, log(&mut after).table_full.as_ref().unwrap().namespaces[1].first);
    assert!(d.missing.iter().all(|m| m.fact != "namespaces"), "{:#?}", d.missing);

    choose(&mut after, |_| true);
    after.namespaces = vec![host("6.18.15", 8).namespaces[0].clone()];
    let d = judge(&after, &[]);
    assert_eq!((ids(&d), d.drops.log_lines), (vec!["CT002"], Some(2)), "the host's are nameless");
    assert_eq!(d.verdict, Verdict::Ok, "eight days ago");
}

#[test]
fn a_chosen_namespace_without_lines_is_well_whatever_happened_to_others() {
    for (release, inode) in [("6.18.15", Some(4_026_539_999)), ("6.18.15", None), ("5.10.0", None)]
    {
        let mut after = host(release, 8);
        let web = namespace(&after.host.profile, Owner::Named("web".into()), Some(77), 262_144);
        after.namespaces.push(web);
        lines(&mut after, 41, 90, 2, inode);
        choose(&mut after, |n| !n.is_initial());
        let d = judge(&after, &[]);
        assert_eq!(ids(&d), Vec::<&str>::new(), "{release} {inode:?}: {:#?}", d.findings);
        assert_eq!((d.verdict, d.drops.log_lines), (Verdict::Ok, Some(0)));
        assert!(d.headline.starts_with("web1 is well"), "{}", d.headline);
    }
}

#[test]
fn an_inode_of_an_earlier_boot_is_not_that_of_today() {
    let mut after = host("6.18.15", 8);
    let owner = Owner::Named("web".into());
    let mut web = namespace(&after.host.profile, owner, Some(4_026_532_246), 262_144);
    web.counters = known(counters(&[(Counter::Drop, 7)]));
    after.namespaces.push(web);
    let old = SeenIn { earlier_boot: true, ..row(9, 90_000, 80_000, Some(4_026_532_246)) };
    log(&mut after).table_full = Some(both(&[old]));
    let d = judge(&after, &[]);
    assert_eq!((ids(&d), d.findings[0].namespace), (vec!["CT002"], None));
    assert_eq!(
        summary(&d, "CT002"),
        "The table of namespace 4026532246 of an earlier boot was full: 9 lines in the kernel log, the \
         first 1 d 1 h and the last 22 h 13 min before this reading."
    );
}

#[test]
fn lines_of_the_host_before_this_boot_are_past_with_their_dates() {
    let mut after = host("6.18.15", 8);
    let old = SeenIn { earlier_boot: true, ..row(9, 90_000, 80_000, None) };
    log(&mut after).table_full = Some(both(&[old]));
    let d = judge(&after, &[]);
    assert_eq!((acts(&d)[0], d.findings[0].namespace), ("CT002", Some(0)));
    assert!(
        summary(&d, "CT002").ends_with("22 h 13 min before this reading, all before this boot.")
    );
}

#[test]
fn what_began_last_is_told_before_an_overflow_of_last_month() {
    let mut after = host("6.12.117", 8);
    fill(&mut after.namespaces[0], census(&[(tcp(TcpState::Established), 262_144)]));
    let recent = row(1, 1_440, 2, None).since;
    log(&mut after).table_full =
        Some(both(&[SeenIn { since: recent, ..row(50, 30 * 86_400, 2, None) }]));
    let d = judge(&after, &[(Counter::Drop, 90)]);
    let told = summary(&d, "CT001");
    assert!(told.ends_with("; log lines for 24 min, the first of all 30 d ago."), "{told}");
}

#[test]
fn a_new_namespace_that_took_over_an_inode_is_not_blamed_for_the_old_ones_lines() {
    let mut after = host("6.18.15", 8);
    let owner = Owner::Named("web".into());
    after.namespaces.push(namespace(&after.host.profile, owner, Some(4_026_539_999), 262_144));
    lines(&mut after, 3, 60, 50, Some(4_026_539_999));
    let d = judge(&after, &[]);
    assert_eq!(ids(&d), ["CT002"]);
    assert_eq!(d.findings[0].namespace, None);
    assert!(
        summary(&d, "CT002").starts_with(
            "The table of an earlier namespace 4026539999 (the number is now that of ip netns web, which has dropped less than \
             the log tells) was full: 3 lines in the kernel log"
        ),
        "{}",
        summary(&d, "CT002")
    );
}

#[test]
fn drops_without_a_log_line_only_hint() {
    let mut after = host("6.12.117", 8);
    after.namespaces[0].counters = known(counters(&[(Counter::Drop, 4_000)]));
    let d = judge(&after, &[]);
    assert_eq!((ids(&d), d.verdict), (vec!["CT002"], Verdict::Ok));
    assert!(summary(&d, "CT002").contains("the log that could be read holds no line"));
    after.log = missing(Reason::NotPermitted);
    let d = judge(&after, &[]);
    assert!(summary(&d, "CT002").ends_with("that no clash explains, and no log could be read."));
    let mut clashes = host("6.12.117", 8);
    clashes.namespaces[0].counters =
        known(counters(&[(Counter::Drop, 900), (Counter::InsertFailed, 900)]));
    assert_eq!(ids(&judge(&clashes, &[])), Vec::<&str>::new(), "clashes explain them");
}

#[test]
fn a_table_that_fills_for_good_is_announced_with_the_time_left() {
    let mut after = host("6.12.117", 8);
    let filling = churn(census(&[(tcp(TcpState::Established), 150_000)]), 900, 100);
    fill(&mut after.namespaces[0], filling);
    let before = earlier(&after, |b| {
        b.namespaces[0].count = known(Entries(149_200));
        b.namespaces[0].census = missing(Reason::NotAsked);
    });
    let d = diagnose(Some(&before), &after);
    assert_eq!(acts(&d), ["CT005"]);
    assert_eq!(d.verdict, Verdict::Critical);
    let left = d.namespaces[0].full_in.unwrap();
    assert!((left - 112_144.0 / 800.0).abs() < 1.0, "{left}");
    assert_eq!(d.namespaces[0].rates.new, Ok(900.0));
}

#[test]
fn short_lived_entries_that_level_out_below_the_limit_do_not_alarm() {
    let mut after = host("6.12.117", 8);
    // 1,000 queries a second that live for 30 s can never hold more than 90,000 entries.
    let young = churn(census(&[(udp(false), 60_000), (tcp(TcpState::Established), 200)]), 1_000, 0);
    fill(&mut after.namespaces[0], young);
    let before = earlier(&after, |b| {
        b.namespaces[0].count = known(Entries(59_000));
        b.namespaces[0].census = missing(Reason::NotAsked);
    });
    let d = diagnose(Some(&before), &after);
    assert!(!ids(&d).contains(&"CT005"), "{:#?}", d.findings);
    assert_eq!(d.namespaces[0].full_in, None);
}

#[test]
fn an_unprivileged_reader_is_told_what_it_can_be_told_and_what_is_missing() {
    let mut after = host("6.12.117", 8);
    let needs = |what: &str| plimsoll_diagnosis::facts::Gap {
        reason: Reason::NotPermitted,
        detail: Said::name(what),
        needs: Some(Said::name("CAP_NET_ADMIN")),
    };
    after.host.privileged = false;
    after.log = Fact::Missing(needs("/dev/kmsg: permission denied"));
    let n = &mut after.namespaces[0];
    n.census = Fact::Missing(needs("ctnetlink: permission denied"));
    n.rules = Fact::Missing(needs("nft: permission denied"));
    n.tracking = Fact::Missing(needs("rules"));
    n.counters = Fact::Missing(needs("ctnetlink: permission denied"));
    n.count = known(Entries(262_144));
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT003", "CT020"]);
    assert!(summary(&d, "CT003").contains("could not be measured"));
    assert_eq!(d.verdict, Verdict::Critical, "it may be dropping everything");
    assert_eq!(
        d.headline,
        "web1: the table is at its limit (262,144 of 262,144 entries): a new flow evicts another entry \
         or is dropped; which of the two could not be measured."
    );
    assert_eq!(d.namespaces[0].load.protected, None, "no invented zero");
    let told: Vec<_> = d.missing.iter().map(|m| (m.fact.as_str(), m.needs.as_deref())).collect();
    let net = Some("CAP_NET_ADMIN");
    let expected =
        [("kernel log", net), ("statistics", net), ("entries", net), ("packet-filter rules", net)];
    assert_eq!(told, expected);
}

#[test]
fn a_full_table_that_evicted_nothing_is_not_said_to_live_by_it() {
    let mut after = host("6.12.117", 8);
    fill(&mut after.namespaces[0], census(&[(syn(), 262_144)]));
    let d = judge(&after, &[]);
    assert!(!d.headline.contains("lives by evicting"), "{}", d.headline);
    assert!(summary(&d, "CT003").contains("evicted or dropped for it while measured"));
    // Saved, the counters speak of the time since boot; and what may go is known.
    let mut after = saved(after);
    let d = diagnose(None, &after);
    assert!(summary(&d, "CT003").contains("evicted or dropped for it since boot"));
    assert_eq!(d.verdict, Verdict::Warning);
    after.namespaces[0].counters = known(counters(&[(Counter::EarlyDrop, 7)]));
    let d = diagnose(None, &after);
    assert!(d.headline.starts_with("web1 lives by evicting entries"), "{}", d.headline);
}

#[test]
fn a_host_of_which_nothing_could_be_read_is_unknown() {
    let mut after = host("6.12.117", 8);
    after.log = missing(Reason::NotPermitted);
    let n = &mut after.namespaces[0];
    n.count = missing(Reason::NotPermitted);
    n.max = missing(Reason::NotPermitted);
    after.host.global_max = missing(Reason::NotPermitted);
    n.counters = missing(Reason::NotPermitted);
    n.census = missing(Reason::NotPermitted);
    n.tracking = missing(Reason::NotPermitted);
    let d = diagnose(None, &after);
    assert_eq!((ids(&d), d.verdict), (vec![], Verdict::Unknown));
    assert!(d.headline.contains("too little could be read"), "{}", d.headline);
}

#[test]
fn a_host_without_conntrack_is_told_that_it_is_not_conntrack() {
    let mut after = host("6.12.117", 8);
    after.host.modules = known(vec![]);
    after.host.global_max = missing(Reason::NotLoaded);
    after.host.buckets = missing(Reason::NotLoaded);
    let n = &mut after.namespaces[0];
    n.count = missing(Reason::NotLoaded);
    n.max = missing(Reason::NotLoaded);
    n.counters = missing(Reason::NotLoaded);
    n.census = missing(Reason::NotLoaded);
    n.settings.clear();
    n.rules = known(stateless());
    n.tracking = known(Tracking::Off { because: Said::name("nf_conntrack is not loaded") });
    let d = judge(&after, &[]);
    assert_eq!((ids(&d), d.verdict), (vec!["CT031"], Verdict::Ok));
    assert_eq!(remedies(&d), ["none-needed"]);
    assert_eq!(d.headline, "web1 tracks no connections, so no table can be full.");
    assert!(d.missing.is_empty(), "what is not loaded is not missing: {:?}", d.missing);
}

#[test]
fn a_reading_of_another_boot_gives_no_rates() {
    let after = host("6.12.117", 8);
    let before = earlier(&after, |b| {
        b.host.uptime = known(plimsoll_ct::Seconds(2_000_000));
        b.namespaces[0].counters = known(counters(&[(Counter::Drop, 4_000_000_000)]));
    });
    let d = diagnose(Some(&before), &after);
    assert_eq!((d.host.interval, ids(&d)), (None, vec![]));
    assert!(d.namespaces[0].rates.drop.is_err());
}

#[test]
fn a_counter_that_wraps_while_measured_still_gives_its_rate() {
    let mut after = host("6.12.117", 8);
    fill(&mut after.namespaces[0], census(&[(tcp(TcpState::Established), 262_144)]));
    after.namespaces[0].counters = known(counters(&[(Counter::Drop, 99)]));
    let before = earlier(&after, |b| {
        b.namespaces[0].counters = known(counters(&[(Counter::Drop, u64::from(u32::MAX))]));
    });
    let d = diagnose(Some(&before), &after);
    assert_eq!(d.namespaces[0].rates.drop, Ok(100.0));
    assert_eq!(d.findings[0].id, "CT001");
}

#[test]
fn a_sample_of_the_entries_is_scaled_to_the_whole_table() {
    let mut after = host("6.12.117", 8);
    let mut part = census(&[(tcp(TcpState::Established), 4_700), (udp(false), 300)]);
    part.complete = false;
    after.namespaces[0].count = known(Entries(250_000));
    after.namespaces[0].census = known(part);
    let d = judge(&after, &[]);
    let load = d.namespaces[0].load;
    assert_eq!(load.protected, Some(Entries(235_000)));
    assert_eq!(load.evictable, Some(Entries(15_000)));
    assert_eq!((load.sampled, load.complete), (Some(Entries(5_000)), false));
    assert_eq!(acts(&d), ["CT004", "CT020"]);
    assert!(d.notes.iter().any(|n| n.contains("5,000 of 250,000 entries, scaled up")));
}

#[test]
fn a_log_that_could_not_be_read_is_told_with_what_would_help() {
    let mut after = host("6.18.15", 8);
    log(&mut after).unreadable = vec![
        ("/dev/kmsg".into(), Said::name("permission denied (needs root)")),
        ("journal".into(), Said::name("broken")),
    ];
    let d = judge(&after, &[]);
    let told: Vec<_> = d
        .missing
        .iter()
        .filter(|m| m.fact.starts_with("log "))
        .map(|m| (m.fact.as_str(), m.reason.as_str(), m.needs.as_deref()))
        .collect();
    assert_eq!(
        told,
        [("log /dev/kmsg", "permission denied", Some("root")), ("log journal", "broken", None)]
    );
}
