//! Hosts as the tests of all printers know them.

mod build;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use plimsoll_ct::{Bytes, Entries, Nanos, Time, TimeRange};
use plimsoll_diagnosis::facts::{Gap, Origin, Owner, Reason, Source};
use plimsoll_diagnosis::{
    Diagnosis, Drops, Groups, HostSummary, Load, MissingFact, Remedy, RemedyId, Severity, Value,
    Verdict,
};

use build::{
    FindingExt, finding, group, host, lines, load, namespace, no_rates, rates, ruled_out, secs,
};

/// 2026-11-23 01:12:07 UTC
pub(crate) const NOW: Time = Time(1_795_396_327_000_000_000);

/// (a) Nothing is wrong.
pub(crate) fn healthy() -> Diagnosis {
    let mut ns = namespace(
        "host",
        Owner::Initial,
        load(262_144, 900, 200, 104),
        rates(12.0, 11.4, 0.0, 0.0),
    );
    ns.groups.states = vec![group("tcp ESTABLISHED", 900, 0.75, 1.0, 0.0)];
    Diagnosis {
        host: host("web1", "6.18.15+deb13-cloud-amd64", "6.18"),
        verdict: Verdict::Ok,
        headline: "1,204 of at most 262,144 connections are tracked; no packet was dropped.".into(),
        namespaces: vec![ns],
        drops: Drops {
            now: Some(0.0),
            counted: Some(0),
            log_lines: Some(0),
            packets_at_least: Some(0),
            suppressed: Some(0),
            ..Drops::default()
        },
        findings: Vec::new(),
        remedies: vec![Remedy {
            id: RemedyId::NoneNeeded,
            title: "nothing to do".into(),
            findings: Vec::new(),
            fix: Vec::new(),
            commands: Vec::new(),
            memory: None,
            risk: String::new(),
            effect: String::new(),
            refused: Vec::new(),
        }],
        excluded: ruled_out(),
        missing: Vec::new(),
        notes: vec!["Reading the table removed the expired entries it met.".into()],
    }
}

/// (b) Full of idle ESTABLISHED entries and dropping, on a CentOS 6.
pub(crate) fn full() -> Diagnosis {
    let mut ns = namespace(
        "host",
        Owner::Initial,
        load(65_536, 62_233, 2_100, 1_203),
        rates(1_310.0, 70.2, 1_240.0, 3.0),
    );
    ns.totals = vec![("new", 91_233_412), ("drop", 8_123_456), ("early_drop", 1_922)];
    ns.groups = Groups {
        states: vec![
            group("tcp ESTABLISHED", 61_002, 0.931, 1.0, 0.0),
            group("tcp TIME_WAIT", 2_100, 0.032, 0.0, 0.0),
            group("udp", 1_402, 0.021, 0.2, 0.4),
            group("tcp SYN_SENT", 1_001, 0.015, 0.0, 1.0),
            group("icmp", 31, 0.0005, 0.0, 0.1),
        ],
        services: vec![
            group("80/tcp", 59_310, 0.905, 0.97, 0.0),
            group("3306/tcp", 3_702, 0.056, 1.0, 0.0),
            group("53/udp", 1_402, 0.021, 0.2, 0.4),
        ],
        sources: vec![
            group("192.0.2.0/24", 31_457, 0.48, 0.99, 0.0),
            group("2001:db8:1234:5678::/64", 8_520, 0.13, 0.95, 0.0),
            group("198.51.100.7", 655, 0.01, 0.0, 1.0),
        ],
        destinations: vec![group("203.0.113.10", 64_880, 0.99, 0.95, 0.0)],
        idle: vec![
            group("idle over 1 day", 44_120, 0.673, 1.0, 0.0),
            group("idle 1 hour to 1 day", 8_010, 0.122, 1.0, 0.0),
        ],
    };
    let stat = "/proc/net/stat/nf_conntrack";
    Diagnosis {
        host: HostSummary {
            entry_bytes: Bytes(432),
            buckets: Some(16_384),
            memory_total: Some(Bytes(8 << 30)),
            ..host("web1", "2.6.32-754.35.1.el6.x86_64", "2.6.32")
        },
        verdict: Verdict::Critical,
        headline: "The table of the host is full and drops 1,240 packets/s: 52,130 ESTABLISHED \
                   entries idle for over an hour are held by the five-day timeout."
            .into(),
        namespaces: vec![ns],
        drops: Drops {
            now: Some(1_240.0),
            counted: Some(8_123_456),
            first: Some(TimeRange::around(NOW.minus(secs(79_200)), secs(1))),
            last: Some(TimeRange::exact(NOW.minus(secs(2)))),
            log_lines: Some(418),
            packets_at_least: Some(418),
            suppressed: Some(1_209_113),
        },
        findings: vec![
            finding(
                "CT001",
                Severity::Critical,
                Some(0),
                "65,536 of 65,536 entries; 1,240 packets a second find no place and are dropped.",
            )
            .by("dropped", Value::Number(1240.0), "packets/s", stat)
            .by(
                "entries",
                Value::Count(65_536),
                "entries",
                "/proc/sys/net/netfilter/nf_conntrack_count",
            )
            .by("limit", Value::Count(65_536), "entries", "/proc/sys/net/nf_conntrack_max")
            .by("early drops", Value::Number(3.0), "entries/s", stat),
            finding(
                "CT012",
                Severity::Warning,
                Some(0),
                "52,130 ESTABLISHED entries (80 %) have seen no packet for over an hour; each may \
                 stay for 5 days after its last packet.",
            )
            .by("idle over an hour", Value::Count(52_130), "entries", "/proc/net/nf_conntrack")
            .by(
                "established timeout",
                Value::Count(432_000),
                "s",
                "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established",
            )
            .by(
                "share of the table",
                Value::Number(79.5),
                "%",
                "/proc/net/nf_conntrack",
            ),
            finding(
                "CT020",
                Severity::Warning,
                None,
                "The limit of 65,536 is what this kernel gives any host over 1 GiB; 8,192 MiB of \
                 memory would carry 1,048,576.",
            )
            .by("memory", Value::Count(8 << 30), "B", "/proc/meminfo")
            .by(
                "first line",
                Value::Time(TimeRange::around(NOW.minus(secs(79_200)), secs(1))),
                "",
                "/var/log/messages",
            ),
        ],
        remedies: vec![
            Remedy {
                id: RemedyId::Raise,
                title: "raise the limit to 262,144 and the buckets to 65,536".into(),
                findings: vec!["CT001", "CT020"],
                fix: lines("plimsoll fix raise --max 262144 --buckets 65536"),
                commands: lines(
                    "echo 65536 > /sys/module/nf_conntrack/parameters/hashsize\n\
                     sysctl -w net.nf_conntrack_max=262144",
                ),
                memory: Some(Bytes(113_770_496)),
                risk: "the resize stops the table for some milliseconds".into(),
                effect: "room for 196,608 more entries at once; drops end".into(),
                refused: Vec::new(),
            },
            Remedy {
                id: RemedyId::Timeout,
                title: "let idle connections go after 2 hours 5 minutes".into(),
                findings: vec!["CT012"],
                fix: lines("plimsoll fix timeout established=7500"),
                commands: lines(
                    "# entries that are already there keep their old time until their next packet\n\
                     sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=7500",
                ),
                memory: None,
                risk: "a connection idle for longer without keepalive loses its entry; behind NAT \
                       it is cut"
                    .into(),
                effect: "about 52,130 entries fewer once the idle ones have run out".into(),
                refused: Vec::new(),
            },
            Remedy {
                id: RemedyId::Persist,
                title: "make both survive the boot".into(),
                findings: vec!["CT020"],
                fix: lines("# once the new values run:\nplimsoll fix persist"),
                commands: lines(
                    "cat >> /etc/sysctl.conf <<'EOF'\n\
                     net.nf_conntrack_max = 262144\n\
                     net.netfilter.nf_conntrack_tcp_timeout_established = 7500\n\
                     EOF\n\
                     echo 'options nf_conntrack hashsize=65536' > /etc/modprobe.d/nf_conntrack.conf",
                ),
                memory: None,
                risk: "none".into(),
                effect: "the same after the next boot".into(),
                refused: Vec::new(),
            },
            Remedy {
                id: RemedyId::Unload,
                title: "stop tracking altogether".into(),
                findings: vec!["CT001"],
                fix: Vec::new(),
                commands: lines("service iptables stop\nmodprobe -r nf_conntrack_ipv4"),
                memory: None,
                risk: "rules that match on state fail".into(),
                effect: "no table, no drops".into(),
                refused: vec![
                    "rule filter INPUT 3 matches on state (-m state --state ESTABLISHED)".into(),
                    "the nat table has a MASQUERADE rule".into(),
                ],
            },
        ],
        excluded: ruled_out(),
        missing: vec![MissingFact {
            fact: "slab size of an entry".into(),
            reason: "/proc/slabinfo: permission denied".into(),
            needs: Some("root".into()),
        }],
        notes: vec![
            "Reading the table removed the expired entries it met (at most 31).".into(),
            "A sample of new entries counts those that live longer than the interval.".into(),
        ],
    }
}

/// (c) A container is full, the host is not.
pub(crate) fn container() -> Diagnosis {
    let mut d = healthy();
    d.namespaces[0].load = load(262_144, 20_811, 1_400, 9_300);
    let owner = Owner::Container {
        runtime: "docker".into(),
        id: "3f2a9c01d2e4".into(),
        name: Some("resolver".into()),
    };
    let mut full = namespace(
        "docker resolver",
        owner,
        load(262_144, 11_020, 0, 251_124),
        rates(9_120.0, 4_000.0, 96.5, 5_012.0),
    );
    full.inode = Some(4_026_532_246);
    full.load.sampled = Some(Entries(48_000));
    full.load.complete = false;
    full.totals = vec![("drop", 51_200), ("early_drop", 1_922_004), ("chainlength", 0)];
    full.full_in = Some(0.0);
    full.groups = Groups {
        states: vec![
            group("udp unreplied", 249_037, 0.95, 0.0, 1.0),
            group("udp ASSURED", 11_020, 0.042, 1.0, 0.0),
        ],
        services: vec![group("53/udp", 259_522, 0.99, 0.04, 0.96)],
        sources: vec![group("10.42.0.0/24", 260_571, 0.994, 0.04, 0.96)],
        ..Groups::default()
    };
    d.namespaces.push(full);
    d.namespaces.push(namespace(
        "docker 数据库",
        Owner::Container { runtime: "docker".into(), id: "77ac".into(), name: None },
        load(262_144, 120, 3, 1),
        rates(0.4, 0.0, 0.0, 0.0),
    ));
    d.verdict = Verdict::Critical;
    d.headline = "The table of docker resolver is full and drops 97 packets/s under a flood of \
                  unreplied UDP to port 53; the host's own table is at 12 %."
        .into();
    d.drops = Drops {
        now: Some(96.5),
        counted: Some(51_200),
        first: Some(TimeRange::around(NOW.minus(secs(250)), Nanos(1_000_000))),
        last: Some(TimeRange::exact(NOW)),
        log_lines: Some(12),
        packets_at_least: Some(12),
        suppressed: Some(0),
    };
    d.findings = vec![
        finding(
            "CT001",
            Severity::Critical,
            Some(1),
            "262,144 of 262,144 entries; 97 packets a second are dropped and 5,012 entries a \
             second are evicted to make room.",
        )
        .by("table full in netns 4026532246", Value::Count(12), "lines", "/dev/kmsg"),
        finding(
            "CT010",
            Severity::Warning,
            Some(1),
            "95 % of the entries are UDP that nobody answered, nearly all to port 53.",
        )
        .by(
            "share without a reply",
            Value::Number(0.95),
            "",
            "ctnetlink dump, 48,000 entries",
        ),
    ];
    d.remedies = vec![Remedy {
        id: RemedyId::Bypass,
        title: "do not track DNS in this namespace".into(),
        findings: vec!["CT010", "CT001"],
        fix: Vec::new(),
        commands: lines(
            "nsenter --net=/proc/812/ns/net nft -f - <<'EOF'\n\
             table inet plimsoll_bypass {\n  chain prerouting {\n    type filter hook prerouting \
             priority -300;\n    udp dport 53 notrack\n  }\n}\nEOF",
        ),
        memory: None,
        risk: "rules that match on state see these packets as untracked".into(),
        effect: "about 259,500 entries fewer within 30 s".into(),
        refused: Vec::new(),
    }];
    d
}

/// (d) The saved tree of a CentOS 5.
pub(crate) fn dead() -> Diagnosis {
    let mut d = full();
    d.host = HostSummary {
        origin: Origin::Tree,
        interval: None,
        name: Some("mail.example.org".into()),
        kernel: Some("2.6.18-398.el5PAE".into()),
        profile: "2.6.18",
        entry_bytes: Bytes(320),
        buckets: Some(8_192),
        memory_total: Some(Bytes(2 << 30)),
        at: NOW,
    };
    d.verdict = Verdict::Warning;
    d.headline =
        "The table was full on 22 November: 31 lines in the log from 03:12 to 03:40.".into();
    let ns = &mut d.namespaces[0];
    ns.rates = no_rates(Reason::NotCollected, "one reading of a dead host has no rates");
    ns.load = Load { count: None, max: Some(Entries(65_536)), ..Load::default() };
    ns.groups = Groups::default();
    ns.inode = None;
    ns.tracking = None;
    ns.totals.clear();
    d.drops = Drops {
        now: None,
        counted: None,
        first: Some(TimeRange::around(NOW.minus(secs(79_200)), secs(43_200))),
        last: Some(TimeRange::around(NOW.minus(secs(77_500)), secs(43_200))),
        log_lines: Some(31),
        packets_at_least: Some(31),
        suppressed: Some(122),
    };
    d.findings = vec![
        finding(
            "CT002",
            Severity::Warning,
            None,
            "31 lines say `ip_conntrack: table full, dropping packet.`; at least 31 packets were \
             dropped.",
        )
        .by("lines", Value::Count(31), "lines", "/var/log/messages, /var/log/messages.1.gz")
        .by(
            "one of them",
            Value::Text("kernel: ip_conntrack: table full, dropping packet.".into()),
            "",
            "/var/log/messages.1.gz",
        ),
    ];
    d.remedies.truncate(1);
    d.remedies[0].title = "raise the limit to 131,072".into();
    d.remedies[0].commands = lines(
        "echo 16384 > /sys/module/ip_conntrack/parameters/hashsize\n\
         sysctl -w net.ipv4.netfilter.ip_conntrack_max=131072",
    );
    d.remedies[0].findings = vec!["CT002"];
    d.excluded.clear();
    d.missing = ["entries", "statistics", "listen queues"]
        .iter()
        .map(|fact| MissingFact {
            fact: (*fact).to_string(),
            reason: "not in the tree".into(),
            needs: Some("proc/net of the host".into()),
        })
        .collect();
    d.notes = vec!["The log has no year; 2026 is that of the newest file.".into()];
    d
}

/// (e) Without rights nearly nothing can be seen.
pub(crate) fn unprivileged() -> Diagnosis {
    let mut d = healthy();
    d.verdict = Verdict::Unknown;
    d.headline =
        "1,204 of 262,144 connections are tracked; whether packets were dropped could not \
                  be seen."
            .into();
    let ns = &mut d.namespaces[0];
    ns.load = Load { count: Some(Entries(1_204)), max: Some(Entries(262_144)), ..Load::default() };
    ns.rates = no_rates(Reason::NotBuilt, "/proc/net/stat/nf_conntrack: no such file");
    ns.rates.growth = Ok(0.4);
    ns.rates.new = Err(Gap {
        reason: Reason::NotPermitted,
        detail: "ctnetlink: operation not permitted".into(),
        needs: Some("CAP_NET_ADMIN".into()),
    });
    ns.tracking = None;
    ns.totals.clear();
    ns.groups = Groups::default();
    d.drops = Drops::default();
    d.excluded.truncate(2);
    d.remedies.clear();
    let missing = |fact: &str, reason: &str, needs: Option<&str>| MissingFact {
        fact: fact.into(),
        reason: reason.into(),
        needs: needs.map(Into::into),
    };
    d.missing = vec![
        missing("entries", "ctnetlink: operation not permitted", Some("CAP_NET_ADMIN")),
        missing("rules", "nft: operation not permitted", Some("CAP_NET_ADMIN")),
        missing("statistics", "not built into this kernel", None),
        missing("kernel log", "/dev/kmsg: operation not permitted", Some("CAP_SYSLOG")),
        missing("journal", "not permitted", Some("group systemd-journal")),
        missing("other namespaces", "/proc/1/ns/net: permission denied", Some("root")),
    ];
    d
}

/// (f) Every text that comes from outside tries to break the screen.
pub(crate) fn hostile() -> Diagnosis {
    let evil = "\x1b[2J\x1b]0;owned\x07\u{202e}gnp.exe\u{200b}\n\rroot# \u{9b}31m";
    let long = "unit-".repeat(2_000);
    let mut d = container();
    d.host.name = Some(evil.into());
    d.host.kernel = Some(format!("6.1{evil}"));
    d.headline = format!("{evil} drops {long}");
    d.namespaces[0].name = evil.into();
    d.namespaces[1].name = long.clone();
    d.namespaces[1].groups.states[0].label = evil.into();
    d.namespaces[1].groups.services[0].label = long.clone();
    d.namespaces[2].name = "名前'=|名前名前名前名前名前名前名前名前".into();
    d.namespaces[2].owners = vec![Owner::Unit(long.clone())];
    d.namespaces[2].tracking = Some((false, evil.into()));
    d.findings[0].summary = format!("{evil}{long}");
    d.findings[0].evidence[0].what = evil.into();
    d.findings[0].evidence[0].source = Source::from(long.clone());
    d.findings[0].evidence[0].value = Value::Text(evil.into());
    d.remedies[0].title = evil.into();
    d.remedies[0].commands = vec![
        format!("nsenter --net=/run/netns/{evil} true"),
        format!("# remark {evil}"),
        "ls /run/netns/名前".into(),
    ];
    d.remedies[0].risk = long.clone();
    d.remedies[0].refused = Vec::new();
    d.excluded[0].because = evil.into();
    d.missing =
        vec![MissingFact { fact: evil.into(), reason: long.clone(), needs: Some(evil.into()) }];
    d.notes = vec![evil.into(), long];
    d
}

/// (g) A node of 300 namespaces, one of which matters.
pub(crate) fn crowd() -> Diagnosis {
    let mut d = healthy();
    d.verdict = Verdict::Warning;
    d.headline = "The table of pod shop/cart-217 is at 91 %, 88 % of it protected; 300 namespaces \
                  hold 1,031,310 entries."
        .into();
    for i in 1..300_u64 {
        let owner = Owner::Container {
            runtime: "containerd".into(),
            id: format!("{i:064x}"),
            name: Some(format!("shop/cart-{i}")),
        };
        let size = if i == 217 { 230_000 } else { 2_000 + i * 7 };
        let mut ns = namespace(
            &format!("pod shop/cart-{i}"),
            owner,
            load(262_144, size, i, 2 * i),
            rates(i as f64, i as f64, 0.0, 0.0),
        );
        ns.inode = Some(4_026_532_000 + i);
        if i == 40 {
            ns.load = Load::default();
        }
        d.namespaces.push(ns);
    }
    d.namespaces[217].full_in = Some(11_520.0);
    d.namespaces[217].rates.growth = Ok(2.7);
    d.findings = vec![
        finding(
            "CT004",
            Severity::Warning,
            Some(217),
            "230,000 entries that nothing may evict: 88 % of the limit.",
        )
        .by("protected", Value::Count(230_000), "entries", "ctnetlink dump"),
        finding(
            "CT021",
            Severity::Warning,
            None,
            "262,144 entries in each of 300 namespaces would take 19,200 MiB of 24,576 MiB.",
        ),
    ];
    d.remedies.clear();
    d.missing = (1..40)
        .map(|i| MissingFact {
            fact: format!("entries of pod shop/cart-{i}"),
            reason: "the budget of 1 s ran out".into(),
            needs: Some("--budget".into()),
        })
        .collect();
    d
}

/// A host whose table has no limit, and one whose count is above a lowered limit.
pub(crate) fn odd() -> Diagnosis {
    let mut d = healthy();
    d.verdict = Verdict::Warning;
    d.headline = "The table has no limit.".into();
    d.namespaces[0].load.max = Some(Entries(0));
    let mut over = d.namespaces[0].clone();
    over.name = "lowered".into();
    over.load = load(50_000, 60_000, 0, 9_000);
    d.namespaces.push(over);
    let mut empty = d.namespaces[0].clone();
    empty.name = "empty".into();
    empty.load = load(1_000, 0, 0, 0);
    let mut late = d.namespaces[0].clone();
    late.name = "expired".into();
    late.load = Load { count: Some(Entries(900)), ..load(1_000, 300, 100, 50) };
    empty.tracking = Some((false, "no rule asks for tracking".into()));
    d.namespaces.push(empty);
    d.namespaces.push(late);
    d.findings = vec![
        finding("CT023", Severity::Warning, None, "nf_conntrack_max is 0."),
        finding("CT032", Severity::Warning, Some(3), "450 entries more are counted than listed."),
    ];
    d
}

/// Every number is the largest that there is.
pub(crate) fn extreme() -> Diagnosis {
    let mut d = full();
    d.host.at = Time(i64::MAX);
    d.host.interval = Some(Nanos(1 << 53));
    for (i, max) in [u64::MAX, 1, 0].into_iter().enumerate() {
        let mut ns = d.namespaces[0].clone();
        let largest = Some(Entries(u64::MAX));
        ns.load = Load {
            count: largest,
            max: Some(Entries(max)),
            evictable: largest,
            closing: largest,
            protected: largest,
            sampled: largest,
            complete: i == 1,
        };
        ns.full_in = Some(f64::MAX);
        ns.rates = rates(f64::MAX, f64::MIN, f64::MAX, f64::MIN_POSITIVE);
        ns.rates.growth = Ok(f64::MAX);
        ns.totals = vec![("drop", u64::MAX)];
        ns.groups.states = vec![group("x", u64::MAX, f64::MAX, f64::MAX, -0.0)];
        d.namespaces.push(ns);
        d.findings.push(finding("CT001", Severity::Critical, Some(i + 1), "full").by(
            "size",
            Value::Number(f64::MAX),
            "B",
            "",
        ));
    }
    d.drops = Drops {
        now: Some(f64::MAX),
        counted: Some(u64::MAX),
        first: Some(TimeRange::exact(Time(i64::MIN))),
        last: Some(TimeRange::exact(Time(i64::MAX))),
        log_lines: Some(u64::MAX),
        packets_at_least: Some(u64::MAX),
        suppressed: Some(u64::MAX),
    };
    d.remedies[0].memory = Some(Bytes(u64::MAX));
    d
}

/// All of them.
pub(crate) fn all() -> Vec<Diagnosis> {
    vec![
        healthy(),
        full(),
        container(),
        dead(),
        unprivileged(),
        hostile(),
        crowd(),
        odd(),
        extreme(),
    ]
}
