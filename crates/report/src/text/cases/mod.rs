//! Hosts as the tests of all printers know them.

mod build;
mod container;
mod full;

pub(crate) use container::container;
pub(crate) use full::full;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use plimsoll_ct::{Bytes, Entries, Nanos, Time, TimeRange};
use plimsoll_diagnosis::facts::{Gap, Origin, Owner, Reason, Source};
use plimsoll_diagnosis::{
    Diagnosis, Drops, Groups, HostSummary, Load, MissingFact, Remedy, RemedyId, Said, Severity,
    Value, Verdict,
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
        headline: Said::name(
            "1,204 of at most 262,144 connections are tracked; no packet was dropped.",
        ),
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
            title: Said::name("nothing to do"),
            findings: Vec::new(),
            fix: Vec::new(),
            commands: Vec::new(),
            memory: None,
            risk: Said::name(String::new()),
            effect: Said::name(String::new()),
            refused: Vec::new(),
        }],
        excluded: ruled_out(),
        missing: Vec::new(),
        notes: vec![Said::name("Reading the table removed the expired entries it met.")],
    }
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
        Said::name("The table was full on 22 November: 31 lines in the log from 03:12 to 03:40.");
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
            Value::Text(Said::name("kernel: ip_conntrack: table full, dropping packet.")),
            "",
            "/var/log/messages.1.gz",
        ),
    ];
    d.remedies.truncate(1);
    d.remedies[0].title = Said::name("raise the limit to 131,072");
    d.remedies[0].commands = lines(
        "echo 16384 > /sys/module/ip_conntrack/parameters/hashsize\n\
         sysctl -w net.ipv4.netfilter.ip_conntrack_max=131072",
    );
    d.remedies[0].findings = vec!["CT002"];
    d.excluded.clear();
    d.missing = ["entries", "statistics", "listen queues"]
        .iter()
        .map(|fact| MissingFact {
            fact: Said::name((*fact).to_string()),
            reason: Said::name("not in the tree"),
            needs: Some(Said::name("proc/net of the host")),
        })
        .collect();
    d.notes = vec![Said::name("The log has no year; 2026 is that of the newest file.")];
    d
}

/// (e) Without rights nearly nothing can be seen.
pub(crate) fn unprivileged() -> Diagnosis {
    let mut d = healthy();
    d.verdict = Verdict::Unknown;
    d.headline = Said::name(
        "1,204 of 262,144 connections are tracked; whether packets were dropped could not \
                  be seen.",
    );
    let ns = &mut d.namespaces[0];
    ns.load = Load { count: Some(Entries(1_204)), max: Some(Entries(262_144)), ..Load::default() };
    ns.rates = no_rates(Reason::NotBuilt, "/proc/net/stat/nf_conntrack: no such file");
    ns.rates.growth = Ok(0.4);
    ns.rates.new = Err(Gap {
        reason: Reason::NotPermitted,
        detail: Said::name("ctnetlink: operation not permitted"),
        needs: Some(Said::name("CAP_NET_ADMIN")),
    });
    ns.tracking = None;
    ns.totals.clear();
    ns.groups = Groups::default();
    d.drops = Drops::default();
    d.excluded.truncate(2);
    d.remedies.clear();
    let missing = |fact: &str, reason: &str, needs: Option<&str>| MissingFact {
        fact: Said::name(fact),
        reason: Said::name(reason),
        needs: needs.map(Said::name),
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
    d.headline = Said::name(format!("{evil} drops {long}"));
    d.namespaces[0].name = Said::name(evil);
    d.namespaces[1].name = Said::name(long.clone());
    d.namespaces[1].groups.states[0].label = Said::name(evil);
    d.namespaces[1].groups.services[0].label = Said::name(long.clone());
    d.namespaces[2].name = Said::name("名前'=|名前名前名前名前名前名前名前名前");
    d.namespaces[2].owners = vec![Owner::Unit(long.clone())];
    d.namespaces[2].tracking = Some((false, Said::name(evil)));
    d.findings[0].summary = Said::name(format!("{evil}{long}"));
    d.findings[0].evidence[0].what = Said::name(evil);
    d.findings[0].evidence[0].source = Source::name(long.clone());
    d.findings[0].evidence[0].value = Value::Text(Said::name(evil));
    d.remedies[0].title = Said::name(evil);
    d.remedies[0].commands = vec![
        Said::name(format!("nsenter --net=/run/netns/{evil} true")),
        Said::name(format!("# remark {evil}")),
        Said::name("ls /run/netns/名前"),
    ];
    d.remedies[0].risk = Said::name(long.clone());
    d.remedies[0].refused = Vec::new();
    d.excluded[0].because = Said::name(evil);
    d.missing = vec![MissingFact {
        fact: Said::name(evil),
        reason: Said::name(long.clone()),
        needs: Some(Said::name(evil)),
    }];
    d.notes = vec![Said::name(evil), Said::name(long)];
    d
}

/// (g) A node of 300 namespaces, one of which matters.
pub(crate) fn crowd() -> Diagnosis {
    let mut d = healthy();
    d.verdict = Verdict::Warning;
    d.headline = Said::name(
        "The table of pod shop/cart-217 is at 91 %, 88 % of it protected; 300 namespaces \
                  hold 1,031,310 entries.",
    );
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
            "262,144 entries in each of 300 namespaces would take 18.8 GiB of 24.0 GiB.",
        ),
    ];
    d.remedies.clear();
    d.missing = (1..40)
        .map(|i| MissingFact {
            fact: Said::name(format!("entries of pod shop/cart-{i}")),
            reason: Said::name("the budget of 1 s ran out"),
            needs: Some(Said::name("--budget")),
        })
        .collect();
    d
}

/// A host whose table has no limit, and one whose count is above a lowered limit.
pub(crate) fn odd() -> Diagnosis {
    let mut d = healthy();
    d.verdict = Verdict::Warning;
    d.headline = Said::name("The table has no limit.");
    d.namespaces[0].load.max = Some(Entries(0));
    let mut over = d.namespaces[0].clone();
    over.name = Said::name("lowered");
    over.load = load(50_000, 60_000, 0, 9_000);
    d.namespaces.push(over);
    let mut empty = d.namespaces[0].clone();
    empty.name = Said::name("empty");
    empty.load = load(1_000, 0, 0, 0);
    let mut late = d.namespaces[0].clone();
    late.name = Said::name("expired");
    late.load = Load { count: Some(Entries(900)), ..load(1_000, 300, 100, 50) };
    empty.tracking = Some((false, Said::name("no rule asks for tracking")));
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
