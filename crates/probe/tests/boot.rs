//! The boot simulation against the real programs: systemd-sysctl and procps' sysctl over the same files, in namespaces of their own.
#![allow(clippy::unwrap_used)]

mod made_trees;
mod support;

use std::collections::BTreeMap;

use plimsoll_ct::KernelVersion;
use plimsoll_diagnosis::boot::{After, BootFacts, boot};
use plimsoll_diagnosis::facts::{Fact, Source};
use plimsoll_probe::boot::{live, saved};
use plimsoll_probe::files::Files;
use support::{Tree, can_load};

/// Files with every trap at once. Only settings that a namespace of its own may write.
const FILES: &[(&str, &str)] = &[
    (
        "usr/lib/sysctl.d/10-vendor.conf",
        "net.netfilter.nf_conntrack_tcp_timeout_* = 11\nnet.netfilter.nf_conntrack_udp_timeout=12\n",
    ),
    ("usr/lib/sysctl.d/50-same.conf", "net.netfilter.nf_conntrack_icmp_timeout=22\n"),
    (
        "etc/sysctl.d/50-same.conf",
        "net/netfilter/nf_conntrack_udp_timeout = 31 \nno sign here\n-net.netfilter.nf_conntrack_none = 1\n",
    ),
    ("usr/lib/sysctl.d/60-masked.conf", "net.netfilter.nf_conntrack_generic_timeout=41\n"),
    ("etc/sysctl.d/60-masked.conf", "-> /dev/null"),
    ("etc/sysctl.d/70-plain", "net.netfilter.nf_conntrack_generic_timeout=42\n"),
    (
        "etc/sysctl.d/80-named.conf",
        "net.netfilter.nf_conntrack_tcp_timeout_close=51\n-net.netfilter.nf_conntrack_udp_timeout_stream=52\n",
    ),
    // Refused last lines, odd numbers, units, switches.
    (
        "etc/sysctl.d/90-values.conf",
        "net.netfilter.nf_conntrack_tcp_timeout_close_wait = 61\nnet.netfilter.nf_conntrack_tcp_timeout_close_wait = 62s\nnet.netfilter.nf_conntrack_tcp_timeout_time_wait = 63 64\nnet.netfilter.nf_conntrack_tcp_timeout_last_ack = 0x10\nnet.netfilter.nf_conntrack_tcp_timeout_fin_wait = 010\nnet.netfilter.nf_conntrack_tcp_loose = 2\nnet.netfilter.nf_conntrack_acct = 1 # on\nnet.netfilter.nf_conntrack_tcp_max_retrans = 256\nnet.netfilter.nf_conntrack_log_invalid = 255\nnet.netfilter.nf_conntrack_gre_timeout = 1,000\nnet.netfilter.nf_conntrack_tcp_timeout_syn_recv =\n",
    ),
    (
        "etc/sysctl.conf",
        "net.netfilter.nf_conntrack_icmpv6_timeout=71\nnet.netfilter.nf_conntrack_tcp_timeout_close=72\n",
    ),
];

/// A namespace may not write these.
const GLOBAL: [&str; 3] = ["nf_conntrack_max", "nf_conntrack_buckets", "nf_conntrack_expect_max"];

/// What is foretold of the tree on this kernel, with conntrack there already.
fn foretold(tree: &Tree, here: &BootFacts) -> BTreeMap<String, String> {
    let there = saved(&Files::Directory(tree.0.clone()), plimsoll_diagnosis::facts::Origin::Tree);
    let facts = BootFacts {
        tree: there.tree,
        modular: Fact::known(false, Source::name("test")),
        ..here.clone()
    };
    let b = boot(&facts, &[]);
    b.outcomes
        .iter()
        .filter_map(|o| match &o.after {
            After::Value(n) => Some((o.setting.name.to_owned(), n.to_string())),
            After::About(_) | After::Unknown(_) | After::Absent(..) => None,
        })
        .collect()
}

/// `changes`: how many settings the loader changes at least.
fn compare(loader: &str, sign: (&str, &str), changes: usize) {
    if !can_load(loader) {
        return;
    }
    let here = live();
    let tree = Tree::new(FILES);
    let untouched = tree.loaded_by("true");
    tree.add(sign.0, sign.1);
    let observed = tree.loaded_by(loader);
    let foretold = foretold(&tree, &here);
    let mut compared = 0;
    for (key, value) in foretold.iter().filter(|(key, _)| !GLOBAL.contains(&key.as_str())) {
        assert_eq!(observed.get(key), Some(value), "{key}, untouched {:?}", untouched.get(key));
        compared += 1;
    }
    assert!(compared > 25, "only {compared}");
    let changed = observed.iter().filter(|(key, value)| untouched.get(*key) != Some(value)).count();
    assert!(changed >= changes, "the loader changed only {changed}");
}

#[test]
fn systemd_sysctl_leaves_what_was_foretold() {
    compare("/lib/systemd/systemd-sysctl", ("proc/1/comm", "systemd\n"), 10);
}

#[test]
fn sysctl_of_procps_leaves_what_was_foretold() {
    compare("/usr/sbin/sysctl --system", ("etc/init.d/procps", ""), 10);
}

/// A script in the order of Alpine's, for busybox's sysctl.
const ALPINE: &str = r#"#!/sbin/openrc-run
set_all() {
    for file in /lib/sysctl.d/*.conf /usr/lib/sysctl.d/*.conf; do
        [ -f /etc/sysctl.d/"${file##*/}" ] && continue
        [ -f /run/sysctl.d/"${file##*/}" ] && continue
        [ -f "$file" ] && busybox sysctl -q -p "$file"
    done
    for file in /etc/sysctl.d/*.conf; do
        [ -f /run/sysctl.d/"${file##*/}" ] && continue
        [ -f "$file" ] && busybox sysctl -q -p "$file"
    done
    [ -f /etc/sysctl.conf ] && busybox sysctl -q -p /etc/sysctl.conf
    for file in /run/sysctl.d/*.conf; do
        [ -f "$file" ] && busybox sysctl -q -p "$file"
    done
    true
}
set_all
"#;

/// The script as a loader: a file that goes with the tests' process.
fn alpine() -> String {
    let path = std::env::temp_dir().join(support::unique("alpine.sh"));
    std::fs::write(&path, ALPINE).unwrap();
    format!("/bin/busybox sh {}", path.display())
}

#[test]
fn alpines_script_leaves_what_was_foretold() {
    let loader = alpine();
    // It knows no patterns.
    compare(&loader, ("etc/init.d/sysctl", ALPINE), 5);
    let _ = std::fs::remove_file(&loader["/bin/busybox sh ".len()..]);
}

#[test]
fn alpines_script_leaves_what_was_foretold_of_trees_made_at_random() {
    let loader = alpine();
    compare_made(&loader, ("etc/init.d/sysctl", ALPINE), 1);
    let _ = std::fs::remove_file(&loader["/bin/busybox sh ".len()..]);
}

/// `PLIMSOLL_TREES=500` for so many. `each`: settings written at least in each, on average.
fn compare_made(loader: &str, sign: (&str, &str), each: usize) {
    if !can_load(loader) {
        return;
    }
    let number = std::env::var("PLIMSOLL_TREES").ok().and_then(|n| n.parse().ok()).unwrap_or(50);
    let here = live();
    let mut wrong = Vec::new();
    let mut written = 0;
    for seed in 0..number {
        let files = made_trees::files(seed);
        let tree = Tree::new(&[("lib", "-> usr/lib"), sign]);
        files.iter().for_each(|(path, text)| tree.add(path, text));
        let observed = tree.loaded_by(loader);
        let foretold = foretold(&tree, &here);
        // frag6's two bounds hold each other; nobody writes them by a pattern.
        let ours = |key: &str| !GLOBAL.contains(&key) && !key.contains("frag6");
        for (key, value) in foretold.iter().filter(|(key, _)| ours(key)) {
            let seen = &observed[key];
            written += usize::from(made_trees::is_made(seen));
            if seen != value {
                wrong
                    .push(format!("tree {seed}, {key}: foretold {value}, seen {seen}: {files:#?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {number}, the first:\n{}", wrong.len(), wrong[0]);
    assert!(written > number as usize * each, "only {written} settings were written");
}

#[test]
fn systemd_sysctl_leaves_what_was_foretold_of_trees_made_at_random() {
    compare_made("/lib/systemd/systemd-sysctl", ("proc/1/comm", "systemd\n"), 3);
}

#[test]
fn sysctl_of_procps_leaves_what_was_foretold_of_trees_made_at_random() {
    compare_made("/usr/sbin/sysctl --system", ("etc/init.d/procps", ""), 3);
}

#[test]
fn this_kernel_is_of_a_known_generation() {
    assert!(live().kernel.value().is_some_and(|k: &KernelVersion| k.major >= 2));
}
