//! A container that is full, on a host that is not.

use alloc::vec;
use alloc::vec::Vec;

use plimsoll_ct::{Entries, Nanos, TimeRange};
use plimsoll_diagnosis::facts::Owner;
use plimsoll_diagnosis::{
    Diagnosis, Drops, Groups, Remedy, RemedyId, Said, Severity, Value, Verdict,
};

use super::build::{FindingExt, finding, group, lines, load, namespace, rates, secs};
use super::{NOW, healthy};

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
    d.headline = Said::name(
        "The table of docker resolver is full and drops 97 packets/s under a flood of \
                  unreplied UDP to port 53; the host's own table is at 12 %.",
    );
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
        title: Said::name("do not track DNS in this namespace"),
        findings: vec!["CT010", "CT001"],
        fix: Vec::new(),
        commands: lines(
            "nsenter --net=/proc/812/ns/net nft -f - <<'EOF'\n\
             table inet plimsoll_bypass {\n  chain prerouting {\n    type filter hook prerouting \
             priority -300;\n    udp dport 53 notrack\n  }\n}\nEOF",
        ),
        memory: None,
        risk: Said::name("rules that match on state see these packets as untracked"),
        effect: Said::name("about 259,500 entries fewer within 30 s"),
        refused: Vec::new(),
    }];
    d
}
