//! A host that is full of idle ESTABLISHED entries and drops packets.

use alloc::vec;
use alloc::vec::Vec;

use plimsoll_ct::{Bytes, TimeRange};
use plimsoll_diagnosis::facts::Owner;
use plimsoll_diagnosis::{
    Diagnosis, Drops, Finding, Groups, HostSummary, MissingFact, Remedy, RemedyId, Said, Severity,
    Value, Verdict,
};

use super::NOW;
use super::build::{
    FindingExt, finding, group, host, lines, load, namespace, rates, ruled_out, secs,
};

/// (b) Full of idle ESTABLISHED entries and dropping, on a CentOS 6.
pub(crate) fn full() -> Diagnosis {
    let mut ns = namespace(
        "host",
        Owner::Initial,
        load(65_536, 62_233, 2_100, 1_203),
        rates(1_310.0, 70.2, 1_240.0, 3.0),
    );
    ns.totals = vec![("new", 91_233_412), ("drop", 8_123_456), ("early_drop", 1_922)];
    ns.groups = groups();
    Diagnosis {
        host: HostSummary {
            entry_bytes: Bytes(432),
            buckets: Some(16_384),
            memory_total: Some(Bytes(8 << 30)),
            ..host("web1", "2.6.32-754.35.1.el6.x86_64", "2.6.32")
        },
        verdict: Verdict::Critical,
        headline: Said::name(
            "The table of the host is full and drops 1,240 packets/s: 52,130 ESTABLISHED \
                   entries idle for over an hour are held by the five-day timeout.",
        ),
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
        findings: findings(),
        remedies: remedies(),
        excluded: ruled_out(),
        missing: vec![MissingFact {
            fact: Said::name("slab size of an entry"),
            reason: Said::name("/proc/slabinfo: permission denied"),
            needs: Some(Said::name("root")),
        }],
        notes: vec![
            Said::name("Reading the table removed the expired entries it met (at most 31)."),
            Said::name("A sample of new entries counts those that live longer than the interval."),
        ],
    }
}

fn groups() -> Groups {
    Groups {
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
    }
}

fn findings() -> Vec<Finding> {
    let stat = "/proc/net/stat/nf_conntrack";
    vec![
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
                 stay for 5 d after its last packet.",
        )
        .by("idle over an hour", Value::Count(52_130), "entries", "/proc/net/nf_conntrack")
        .by(
            "established timeout",
            Value::Count(432_000),
            "s",
            "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established",
        )
        .by("share of the table", Value::Number(79.5), "%", "/proc/net/nf_conntrack"),
        finding(
            "CT020",
            Severity::Warning,
            None,
            "The limit of 65,536 is what this kernel gives any host over 1 GiB; 8.0 GiB of \
                 memory would carry 1,048,576.",
        )
        .by("memory", Value::Count(8 << 30), "B", "/proc/meminfo")
        .by(
            "first line",
            Value::Time(TimeRange::around(NOW.minus(secs(79_200)), secs(1))),
            "",
            "/var/log/messages",
        ),
    ]
}

fn remedies() -> Vec<Remedy> {
    vec![
        Remedy {
            id: RemedyId::Raise,
            title: Said::name("raise the limit to 262,144 and the buckets to 65,536"),
            findings: vec!["CT001", "CT020"],
            fix: lines("plimsoll fix raise --max 262144 --buckets 65536"),
            commands: lines(
                "echo 65536 > /sys/module/nf_conntrack/parameters/hashsize\n\
                     sysctl -w net.nf_conntrack_max=262144",
            ),
            memory: Some(Bytes(113_770_496)),
            risk: Said::name("the resize stops the table for some milliseconds"),
            effect: Said::name("room for 196,608 more entries at once; drops end"),
            refused: Vec::new(),
        },
        Remedy {
            id: RemedyId::Timeout,
            title: Said::name("let idle connections go after 2 hours 5 minutes"),
            findings: vec!["CT012"],
            fix: lines("plimsoll fix timeout established=7500"),
            commands: lines(
                "# entries that are already there keep their old time until their next packet\n\
                     sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=7500",
            ),
            memory: None,
            risk: Said::name(
                "a connection idle for longer without keepalive loses its entry; behind NAT \
                       it is cut",
            ),
            effect: Said::name("about 52,130 entries fewer once the idle ones have run out"),
            refused: Vec::new(),
        },
        Remedy {
            id: RemedyId::Persist,
            title: Said::name("make both survive the boot"),
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
            risk: Said::name("none"),
            effect: Said::name("the same after the next boot"),
            refused: Vec::new(),
        },
        Remedy {
            id: RemedyId::Unload,
            title: Said::name("stop tracking altogether"),
            findings: vec!["CT001"],
            fix: Vec::new(),
            commands: lines("service iptables stop\nmodprobe -r nf_conntrack_ipv4"),
            memory: None,
            risk: Said::name("rules that match on state fail"),
            effect: Said::name("no table, no drops"),
            refused: vec![
                Said::name("rule filter INPUT 3 matches on state (-m state --state ESTABLISHED)"),
                Said::name("the nat table has a MASQUERADE rule"),
            ],
        },
    ]
}
