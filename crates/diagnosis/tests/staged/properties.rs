//! Whatever is read of a host, the diagnosis comes back, says nothing twice, and speaks no control
//! characters.

use plimsoll_ct::{Bytes, Counter, Entries, Nanos, Seconds, TcpState, Time, TimeRange};
use plimsoll_diagnosis::facts::{
    AgeBand, Churn, CloudAllowance, Fact, Manager, ManagerKind, Neighbours, Origin, Owner, Reason,
    Seen, SeenIn, SlabSize, Snapshot, SocketMemory, Stack, Tracking,
};
use plimsoll_diagnosis::{CATALOGUE, Diagnosis, Said, Severity, Verdict, diagnose};
use plimsoll_wire::ruleset::Need;
use proptest::prelude::*;
use proptest::sample::select;

use crate::build::*;

/// Numbers where arithmetic breaks, and ordinary ones.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => 0..2_000_000u64,
        1 => select(vec![0, 1, 511, 65_536, 262_144, u64::from(u32::MAX), u64::MAX / 2, u64::MAX]),
    ]
}

/// A fact that may be missing.
fn fact<T: Clone + std::fmt::Debug>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Fact<T>> {
    let reasons = vec![
        Reason::NotPermitted,
        Reason::NotBuilt,
        Reason::NotLoaded,
        Reason::TooOld,
        Reason::Malformed,
        Reason::NotCollected,
        Reason::NotAsked,
    ];
    prop_oneof![4 => value.prop_map(known), 1 => select(reasons).prop_map(missing)]
}

/// Text as a hostile host would choose it.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "web".to_string(),
            "a b".into(),
            "\u{1b}[2J".into(),
            "x\ny".into(),
            "'; reboot #".into(),
            "\u{202e}gpj".into(),
            String::new(),
            "é".repeat(300),
        ]),
        any::<String>(),
    ]
}

fn owner() -> impl Strategy<Value = Owner> {
    prop_oneof![
        text().prop_map(Owner::Named),
        text().prop_map(Owner::Unit),
        (any::<u32>(), text()).prop_map(|(pid, command)| Owner::Process { pid, command }),
        (text(), text(), proptest::option::of(text()))
            .prop_map(|(runtime, id, name)| Owner::Container { runtime, id, name }),
    ]
}

prop_compose! {
    fn table()(
        kinds in proptest::collection::vec((0..6u8, number()), 0..5),
        complete in any::<bool>(),
        hours in number(),
        days in number(),
        churn in proptest::option::of((number(), number(), number(), number())),
        error in number(),
        seen in number(),
        one in any::<bool>(),
    ) -> plimsoll_diagnosis::facts::Census {
        let states: Vec<_> = kinds
            .iter()
            .map(|(kind, n)| {
                let key = match kind {
                    0 => syn(),
                    1 => tcp(TcpState::Established),
                    2 => tcp(TcpState::TimeWait),
                    3 => udp(false),
                    4 => udp(true),
                    _ => icmp(),
                };
                // The sums of a census fit their type: at most so many entries fit a memory.
                (key, n % (1 << 40))
            })
            .collect();
        let mut census = idle(census(&states), hours % (1 << 40), days % (1 << 40));
        if one {
            census = from_one(census);
        }
        census.complete = complete;
        census.seen = seen;
        census.sources.error = error;
        census.services.error = error;
        census.established_idle.push((AgeBand::Minute, 3));
        census.churn = churn.map(|(interval, compared, appeared, vanished)| Churn {
            interval: Nanos(interval),
            compared,
            appeared: appeared % (1 << 40),
            appeared_tcp: appeared % (1 << 39),
            appeared_udp: 0,
            vanished: vanished % (1 << 40),
        });
        census
    }
}

prop_compose! {
    fn any_host()(
        release in select(vec![
            "2.4.32", "2.6.18-398.el5", "2.6.32-754.el6", "3.10.0-1160.el7", "4.4.0", "4.9.229",
            "4.18.0-553.el8", "5.15.0", "6.12.117", "6.18.15", "7.3.4",
        ]),
        (count, max, buckets, memory) in (
            fact(number().prop_map(Entries)),
            fact(number().prop_map(Entries)),
            fact(number()),
            fact(number().prop_map(Bytes)),
        ),
        (drop, early, failed, long) in (number(), number(), number(), number()),
        tables in proptest::collection::vec((fact(table()), owner(), any::<Option<u64>>()), 0..3),
        own in fact(table()),
        name in fact(text()),
        log in proptest::option::of((any::<i64>(), any::<i64>(), number(), any::<Option<u64>>())),
        settings in proptest::collection::btree_map(
            select(vec![
                "nf_conntrack_tcp_timeout_established", "nf_conntrack_events", "nf_conntrack_max",
            ]).prop_map(String::from),
            text(),
            0..3,
        ),
        assigned in proptest::collection::vec(
            (text(), 1u32..99, select(vec![
                "net.netfilter.nf_conntrack_max", "net.ipv4.ip_conntrack_max",
                "net.netfilter.nf_conntrack_count", "net.netfilter.nf_conntrack_buckets",
                "net.netfilter.nf_conntrack_\u{1b}[2J", "net.netfilter.nf_conntrack_udp_timeout",
            ]), text()),
            0..4,
        ),
        hashsize in proptest::option::of(number()),
        (needs_nat, rule_text, because) in (any::<bool>(), text(), text()),
        (slab, cloud, neighbour) in ((number(), any::<u32>(), any::<u32>()), number(), number()),
        (origin, privileged, modular) in (
            select(vec![Origin::Live, Origin::Tree, Origin::Bundle]), any::<bool>(), any::<bool>(),
        ),
    ) -> Box<Snapshot> {
        let mut s = host(release, 8);
        s.host.origin = origin;
        s.host.privileged = privileged;
        s.host.modular = known(modular);
        s.host.name = name;
        s.host.memory_total = memory;
        s.host.buckets = buckets;
        s.host.slab = known(SlabSize {
            object: Bytes(slab.0), per_slab: slab.1, pages: slab.2, in_use: None,
        });
        let n = &mut s.namespaces[0];
        (n.count, n.max, n.census) = (count, max, own);
        n.counters = known(counters(&[
            (Counter::Drop, drop), (Counter::EarlyDrop, early),
            (Counter::InsertFailed, failed), (Counter::ChainTooLong, long),
        ]));
        n.settings.extend(settings);
        n.tracking = known(Tracking::On { because: Said::name(because.clone()) });
        let mut rules = stateful();
        rules.rules.push(rule(&rule_text, if needs_nat { &[Need::Nat] } else { &[] }));
        rules.chains[0].chain = rule_text.clone();
        n.rules = known(rules);
        n.stack = known(Stack { counters: [("TcpExt.ListenDrops".to_string(), drop)].into() });
        n.neighbours = known(vec![Neighbours {
            family: plimsoll_ct::Family::V6, entries: Some(neighbour), table_fulls: Some(early),
            limit: Some(cloud),
        }]);
        n.sockets = known(SocketMemory { tcp_pages: Some(drop), tcp_pages_limit: Some(early), ..SocketMemory::default() });
        for (census, owner, inode) in tables {
            let mut more = namespace(&s.host.profile, owner, inode, 65_536);
            more.count = census.value().map_or(missing(Reason::NotPermitted), |c| known(Entries(c.seen)));
            more.census = census;
            s.namespaces.push(more);
        }
        s.cloud = known(vec![CloudAllowance {
            interface: because.clone(), name: "conntrack_allowance_exceeded".into(), value: cloud,
        }]);
        if let Some((first, last, lines, netns)) = log
            && let Fact::Known { value, .. } = &mut s.log
        {
            let at = |t: i64| Some(TimeRange { earliest: Time(t), latest: Time(t) });
            value.table_full = Some(Seen {
                first: at(first), last: at(last), lines, packets_at_least: lines,
                namespaces: vec![SeenIn {
                    inode: netns, earlier_boot: lines % 2 == 1, first: at(first), last: at(last),
                    since: at(last), lines, packets_at_least: lines, example: because.clone(),
                }],
                example: because.clone(),
            });
        }
        let of = |(file, line, key, value): &(String, u32, &str, String)| {
            assigns(&format!("/etc/sysctl.d/{file}.conf"), *line, key, value)
        };
        let all: Vec<_> = assigned.iter().map(of).collect();
        sets(&mut s, &all);
        hashsize.into_iter().for_each(|n| option(&mut s, "hashsize", &n.to_string()));
        s.boot.managers = known(vec![Manager::new(ManagerKind::Ufw, "ufw", Said::name(because))]);
        Box::new(s)
    }
}

fn clean(what: &str, text: &str) {
    assert!(!text.chars().any(char::is_control), "{what}: {text:?}");
}

fn sound(d: &Diagnosis) {
    clean("headline", &d.headline);
    assert!(!d.headline.is_empty());
    for f in &d.findings {
        assert!(CATALOGUE.iter().any(|c| c.id == f.id && c.name == f.name), "{}", f.id);
        assert!(f.namespace.is_none_or(|i| i < d.namespaces.len()));
        clean(f.id, &f.summary);
        for e in &f.evidence {
            clean(f.id, &e.what);
        }
    }
    let mut once: Vec<_> = d.findings.iter().map(|f| (f.id, f.namespace, &f.summary)).collect();
    once.sort();
    let all = once.len();
    once.dedup();
    assert_eq!(once.len(), all, "a finding stands there once");
    for r in &d.remedies {
        clean("title", &r.title);
        clean("risk", &r.risk);
        clean("effect", &r.effect);
        r.commands.iter().chain(&r.refused).for_each(|c| clean(r.id.name(), c));
    }
    for n in &d.namespaces {
        clean("name", &n.name);
        let load = n.load;
        assert!(n.full_in.is_none_or(|t| t >= 0.0 && !t.is_nan()), "{:?}", n.full_in);
        assert!(load.protected.is_none() || load.sampled.is_some(), "a split was read");
    }
    for m in &d.missing {
        clean("missing", &m.fact);
        clean("missing", &m.reason);
    }
    d.notes.iter().for_each(|n| clean("note", n));
    let worst = d.findings.iter().map(|f| f.severity).max();
    match d.verdict {
        Verdict::Critical => assert_eq!(worst, Some(Severity::Critical)),
        Verdict::Warning => assert_eq!(worst, Some(Severity::Warning)),
        Verdict::Ok | Verdict::Unknown => assert!(worst <= Some(Severity::Info)),
    }
}

proptest! {
    #[test]
    fn any_one_reading_gives_a_sound_diagnosis(after in any_host().boxed()) {
        sound(&diagnose(None, &after));
    }

    #[test]
    fn any_two_readings_give_a_sound_diagnosis_and_the_same_one_again(
        before in any_host().boxed(),
        after in any_host().boxed(),
        span in select(vec![0, 1, 1_000_000_000, 60_000_000_000]),
    ) {
        let mut after = after;
        after.host.uptime = known(Seconds(1_000_001));
        after.monotonic = before.monotonic.map(|m| Nanos(m.0 + span));
        let d = diagnose(Some(&before), &after);
        sound(&d);
        prop_assert_eq!(format!("{d:?}"), format!("{:?}", diagnose(Some(&before), &after)));
    }
}
