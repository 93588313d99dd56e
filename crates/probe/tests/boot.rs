//! The boot simulation against the real programs: systemd-sysctl and procps' sysctl over the same files, in namespaces of their own.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_ct::KernelVersion;
use plimsoll_diagnosis::boot::{After, BootFacts, boot};
use plimsoll_diagnosis::facts::Fact;
use plimsoll_probe::boot::{live, saved};
use plimsoll_probe::files::Files;

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

struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("boot-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for (path, text) in FILES {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text.strip_prefix("-> ") {
                Some(target) => symlink(target, path).unwrap(),
                None => fs::write(path, text).unwrap(),
            }
        }
        Self(root)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a loader over the tree's files in namespaces of its own; every key afterwards.
fn observed(tree: &Tree, loader: &str) -> BTreeMap<String, i64> {
    let script = format!(
        "set -e; cd {root}\n\
         mount --bind etc/sysctl.d /etc/sysctl.d; mount --bind usr/lib/sysctl.d /usr/lib/sysctl.d\n\
         mount --bind etc/sysctl.conf /etc/sysctl.conf\n\
         {loader} >/dev/null 2>&1 || true\n\
         cd /proc/sys/net/netfilter; grep -H . nf_conntrack_*",
        root = tree.0.display()
    );
    let output = Command::new("unshare").args(["-m", "-n", "sh", "-c", &script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|l| l.split_once(':'))
        .filter_map(|(k, v)| Some((k.to_owned(), v.parse().ok()?)))
        .collect()
}

/// What is foretold of the tree on this kernel, with conntrack there already.
fn foretold(tree: &Tree) -> BTreeMap<String, i64> {
    let here = live();
    let there = saved(&Files::Directory(tree.0.clone()), plimsoll_diagnosis::facts::Origin::Tree);
    let facts = BootFacts { tree: there.tree, modular: Fact::known(false, "test"), ..here };
    let b = boot(&facts, &[]);
    b.outcomes
        .iter()
        .filter_map(|o| match &o.after {
            After::Value(n) => Some((o.setting.name.to_owned(), *n)),
            After::About(_) | After::Unknown(_) | After::Absent(..) => None,
        })
        .collect()
}

fn compare(name: &str, program: &str, loader: &str, sign: (&str, &str)) {
    let root = rustix::process::geteuid().is_root();
    if !root || !Path::new(program).exists() || !Path::new("/etc/sysctl.conf").exists() {
        eprintln!("skipped: needs root, {program} and /etc/sysctl.conf");
        return;
    }
    if !Path::new("/proc/sys/net/netfilter/nf_conntrack_max").exists() {
        eprintln!("skipped: nf_conntrack is not there");
        return;
    }
    let tree = Tree::new(name);
    let untouched = observed(&tree, "true");
    let path = tree.0.join(sign.0);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, sign.1).unwrap();
    let observed = observed(&tree, loader);
    let foretold = foretold(&tree);
    // A namespace may not write these, and has its own count.
    let global = ["nf_conntrack_max", "nf_conntrack_buckets", "nf_conntrack_expect_max"];
    let mut compared = 0;
    for (key, value) in foretold.iter().filter(|(key, _)| !global.contains(&key.as_str())) {
        assert_eq!(observed.get(key), Some(value), "{key}, untouched {:?}", untouched.get(key));
        compared += 1;
    }
    assert!(compared > 25, "only {compared}");
    let changed = observed.iter().filter(|(key, value)| untouched.get(*key) != Some(value)).count();
    assert!(changed >= 10, "the loader changed only {changed}");
}

#[test]
fn systemd_sysctl_leaves_what_was_foretold() {
    let program = "/lib/systemd/systemd-sysctl";
    compare("systemd", program, program, ("proc/1/comm", "systemd\n"));
}

#[test]
fn sysctl_of_procps_leaves_what_was_foretold() {
    compare("procps", "/usr/sbin/sysctl", "/usr/sbin/sysctl --system", ("etc/init.d/procps", ""));
}

#[test]
fn this_kernel_is_of_a_known_generation() {
    assert!(live().kernel.value().is_some_and(|k: &KernelVersion| k.major >= 2));
}
