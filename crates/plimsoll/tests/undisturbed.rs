//! Looking must not cause the disease: what `check` leaves behind is what it found.

mod support;

use std::collections::BTreeMap;
use std::fs;

use support::{Netns, check, root, run, turn};

/// All that a look could disturb, as seen from the host and from inside a namespace.
#[derive(Debug, PartialEq)]
struct World {
    modules: Option<String>,
    ip_tables: String,
    ip6_tables: String,
    nft: String,
    settings: BTreeMap<String, String>,
    entries: Vec<String>,
}

fn world(inside: &Netns) -> World {
    let listing = inside.run("cat", &["/proc/net/nf_conntrack"]);
    World {
        modules: fs::read_to_string("/proc/modules").ok(),
        ip_tables: inside.run("cat", &["/proc/net/ip_tables_names"]),
        ip6_tables: inside.run("cat", &["/proc/net/ip6_tables_names"]),
        nft: inside.run("nft", &["list", "ruleset"]),
        settings: settings(inside),
        entries: identities(&listing),
    }
}

fn settings(inside: &Netns) -> BTreeMap<String, String> {
    inside
        .run("sh", &["-c", "grep -H . /proc/sys/net/netfilter/nf_conntrack_* 2>/dev/null"])
        .lines()
        .filter(|line| !line.contains("nf_conntrack_count"))
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// Tuples of the entries: what does not tick.
fn identities(listing: &str) -> Vec<String> {
    let mut found: Vec<String> = listing
        .lines()
        .map(|line| {
            line.split_whitespace()
                .filter(|word| !word.starts_with("use=") && word.parse::<u32>().is_err())
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    found.sort();
    found
}

#[test]
fn a_namespace_that_does_not_track_does_not_begin_to() {
    if !root() {
        return;
    }
    let _turn = turn();
    let quiet = Netns::new("quiet");
    let before = world(&quiet);
    let (value, _) = check(&["--interval", "0.2", "--netns", &quiet.0]);
    assert_eq!(value["namespaces"][0]["tracking"], false, "{value:#}");
    quiet.send_udp("127.0.0.1", 20_000, 10);
    let after = world(&quiet);
    assert_eq!(before, after);
    assert_eq!(after.ip_tables, "", "no table was made by asking for it");
    assert_eq!(quiet.run("cat", &["/proc/sys/net/netfilter/nf_conntrack_count"]).trim(), "0");
}

#[test]
fn unexpired_entries_settings_and_rules_are_the_same_after_a_check() {
    if !root() {
        return;
    }
    let _turn = turn();
    let busy = Netns::new("busy");
    busy.run("nft", &["add table inet t; add chain inet t c { type filter hook input priority 0; }; add rule inet t c ct state new counter accept"]);
    busy.run(
        "iptables-legacy",
        &["-A", "INPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP"],
    );
    // Long enough that none expires while the test runs.
    busy.run("sysctl", &["-qw", "net.netfilter.nf_conntrack_udp_timeout=600"]);
    busy.send_udp("127.0.0.1", 20_000, 200);
    let before = world(&busy);
    assert_eq!(before.entries.len(), 200);
    let host_before = run(
        "sh",
        &[
            "-c",
            "nft list ruleset; cat /proc/net/ip_tables_names; sysctl -a 2>/dev/null | grep -v count | grep conntrack",
        ],
    );
    let (value, _) = check(&["--interval", "0.2"]);
    assert!(value["namespaces"].as_array().expect("namespaces").len() >= 2);
    assert_eq!(before, world(&busy));
    let host_after = run(
        "sh",
        &[
            "-c",
            "nft list ruleset; cat /proc/net/ip_tables_names; sysctl -a 2>/dev/null | grep -v count | grep conntrack",
        ],
    );
    assert_eq!(host_before, host_after);
}
