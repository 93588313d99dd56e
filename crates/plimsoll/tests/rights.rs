//! Without rights, without files: what can be told is told, what can't is named with the right that is
//! missing.

mod support;

use std::process::{Command, Output};

use serde_json::Value;
use support::{BINARY, Copy, NOBODY, Netns, root, text, turn};

fn parsed(out: &Output) -> Value {
    serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{e}\n{}\n{}", text(&out.stdout), text(&out.stderr)))
}

/// What stands under `missing`, as one text.
fn missing(check: &Value) -> String {
    check["missing"].to_string()
}

#[test]
fn nobody_is_told_the_count_the_limit_and_which_rights_are_missing() {
    if !root() {
        return;
    }
    let copy = Copy::new("nobody");
    let out = copy.shell(&format!("{NOBODY} {{}} check --json --interval 0.2"));
    let check = parsed(&out);
    assert!(out.status.code().is_some_and(|code| code <= 3));
    let host = &check["namespaces"][0];
    assert_eq!(host["name"], "host");
    assert!(host["count"].is_u64() && host["max"].is_u64(), "{host:#}");
    assert!(host["rates"]["drop"].is_number(), "the statistics are open to everybody");
    assert!(missing(&check).contains("CAP_SYSLOG"), "{}", missing(&check));
    let headline = check["headline"].as_str().expect("a headline");
    assert!(!headline.contains("is well"), "the log was not read: {headline}");
}

#[test]
fn without_dev_kmsg_the_ring_of_the_kernel_is_read_all_the_same() {
    if !root() {
        return;
    }
    let hidden = "for d in /dev /run /var/log; do mount -t tmpfs none $d || exit 99; done; mknod /dev/null c 1 3";
    let line = format!("{hidden}; exec {BINARY} check --json --interval 0.05");
    let out = Command::new("unshare").args(["--mount", "sh", "-c", &line]).output();
    let check = parsed(&out.expect("unshare starts"));
    let all = check["missing"].as_array().expect("a list");
    assert!(!all.iter().any(|m| m["fact"] == "kernel log"), "{all:#?}");
}

#[test]
fn what_a_container_has_in_place_of_dev_kmsg_is_not_taken_for_an_empty_log() {
    if !root() {
        return;
    }
    let line = format!(
        "mount -t tmpfs none /var/log && mount --bind /dev/null /dev/kmsg || exit 99
         exec setpriv --bounding-set=-syslog,-sys_admin --inh-caps=-syslog,-sys_admin {BINARY} check --json --interval 0.05"
    );
    let out = Command::new("unshare").args(["--mount", "sh", "-c", &line]).output();
    let check = parsed(&out.expect("unshare starts"));
    assert!(missing(&check).contains("dmesg: "), "{}", missing(&check));
    let headline = check["headline"].as_str().expect("a headline");
    assert!(!headline.contains("is well"), "the log was not read: {headline}");
}

#[test]
fn where_no_thread_can_be_started_it_looks_all_the_same() {
    if !root() {
        return;
    }
    let copy = Copy::new("threads");
    let out = copy.shell(&format!("{NOBODY} prlimit --nproc=0 {{}} check --json --interval 0.05"));
    let check = parsed(&out);
    assert!(check["namespaces"][0]["count"].is_u64(), "{check:#}");
    assert!(out.status.code().is_some_and(|code| code <= 3), "{out:?}");
}

#[test]
fn entries_that_may_not_be_read_are_null_and_never_zero() {
    if !root() {
        return;
    }
    let _turn = turn();
    let copy = Copy::new("entries");
    let busy = Netns::new("rights");
    busy.run("nft", &["add table inet t; add chain inet t c { type filter hook input priority 0; }; add rule inet t c ct state new accept"]);
    busy.send_udp("127.0.0.1", 20_000, 50);
    let out = copy.shell(&format!(
        "ip netns exec {} {NOBODY} {{}} check --json --interval 0.2 --netns own",
        busy.0
    ));
    let check = parsed(&out);
    let own = &check["namespaces"][0];
    assert_eq!(own["count"], 50, "{check:#}");
    assert_eq!(own["protected"], Value::Null);
    assert_eq!(own["evictable"], Value::Null);
    assert!(missing(&check).contains("CAP_NET_ADMIN"), "{}", missing(&check));
}

#[test]
fn a_user_namespace_reads_its_own_table() {
    if !root() {
        return;
    }
    let copy = Copy::new("userns");
    let out =
        copy.shell(&format!("{NOBODY} unshare -Urn {{}} check --json --interval 0.2 --netns own"));
    let check = parsed(&out);
    assert_eq!(check["namespaces"][0]["count"], 0, "{check:#}");
}

#[test]
fn without_the_settings_and_lists_of_conntrack_nothing_is_invented() {
    if !root() {
        return;
    }
    let copy = Copy::new("masked");
    // A mount namespace of its own, in which conntrack's files are gone; the network namespace is new too.
    let mask = "mount -t tmpfs none /proc/sys/net; \
                mkdir /tmp/plimsoll-void-$$; mount -t tmpfs none /tmp/plimsoll-void-$$; \
                for f in nf_conntrack stat/nf_conntrack; do \
                  mount --bind /tmp/plimsoll-void-$$ /proc/self/net/$f 2>/dev/null; done; \
                {} check --json --interval 0.2 --netns own; code=$?; \
                umount /tmp/plimsoll-void-$$; rmdir /tmp/plimsoll-void-$$; exit $code";
    let out = copy.shell(&format!("unshare -mn sh -c '{mask}'"));
    let check = parsed(&out);
    let own = &check["namespaces"][0];
    assert_eq!(own["max"], Value::Null, "{check:#}");
    assert_ne!(check["missing"], Value::Array(Vec::new()));
    assert_ne!(check["verdict"], "critical");
}
