//! `persist` where another program sets the value at each start: its own configuration is printed, and nothing of ours is
//! written; where a program only loads the module, our file is enough.

use std::fs;

use crate::files::Copy;
use crate::support::{root, text};

/// The running limit of the tree is this, and its files give another.
const MAX: &str = "nf_conntrack_max";

/// A saved Debian with these files besides, which runs with a limit of 400,000.
fn host(name: &str, files: &[(&str, &str)]) -> Copy {
    let copy = Copy::of("debian-lost-at-boot", name);
    for (path, content) in
        files.iter().chain(&[("proc/sys/net/netfilter/nf_conntrack_max", "400000\n")])
    {
        let path = copy.root().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
        fs::write(path, content).expect("it is written");
    }
    copy
}

/// What `fix persist nf_conntrack_max` says, and whether it wrote anything.
fn persist(copy: &Copy) -> (String, bool) {
    let old = copy.files();
    let out = copy.persist(&[MAX]).output().expect("it starts");
    let said = text(&out.stdout);
    assert!(out.status.success(), "{said}{}", text(&out.stderr));
    (said, copy.files() != old)
}

#[test]
fn kube_proxys_own_configuration_is_printed() {
    if !root() {
        return;
    }
    let config = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n\
                  conntrack:\n  maxPerCore: 32768\n  min: 131072\n";
    let copy = host("kube", &[("var/lib/kube-proxy/config.conf", config)]);
    let (said, wrote) = persist(&copy);
    assert!(!wrote, "{said}");
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("by kube-proxy, # /var/lib/kube-proxy/config.conf line 5"), "{said}");
    assert!(words.contains("Another program sets them at each start"), "{said}");
    let printed = "conntrack:\n  maxPerCore: 1\n  min: 400000\n";
    assert!(said.contains(printed), "{said}");
    // With these lines it is so.
    let (head, _) = config.split_once("conntrack:").expect("it has them");
    let path = copy.root().join("var/lib/kube-proxy/config.conf");
    fs::write(path, format!("{head}{printed}")).expect("it is written");
    let root = copy.root();
    let boot = crate::support::plimsoll(&[
        "boot",
        "--json",
        "--root",
        root.to_str().expect("a path of text"),
        MAX,
    ]);
    let value: serde_json::Value = serde_json::from_slice(&boot.stdout).expect("JSON");
    assert_eq!(value["settings"][0]["after"]["value"], 400_000);
}

#[test]
fn kube_proxys_flags_are_printed_where_it_runs_by_them() {
    if !root() {
        return;
    }
    let node = [
        ("etc/kubernetes/kubelet.conf", ""),
        ("proc/77/comm", "kube-proxy\n"),
        ("proc/77/cmdline", "kube-proxy\0--conntrack-max-per-core=1\0--conntrack-min=9000\0"),
    ];
    let (said, wrote) = persist(&host("kube-flags", &node));
    assert!(!wrote, "{said}");
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("is set to 9000 by kube-proxy, kube-proxy's flags"), "{said}");
    assert!(words.contains("--conntrack-max-per-core=1 --conntrack-min=400000"), "{said}");
}

#[test]
fn the_profile_of_tuned_is_named_and_its_lines_are_printed() {
    if !root() {
        return;
    }
    let wants = "etc/systemd/system/multi-user.target.wants/tuned.service";
    let copy = host(
        "tuned",
        &[
            (wants, "[Service]\nExecStart=/usr/sbin/tuned\n"),
            ("etc/tuned/active_profile", "web\n"),
            ("etc/tuned/web/tuned.conf", "[sysctl]\nnet.netfilter.nf_conntrack_max=500000\n"),
            ("etc/tuned/tuned-main.conf", "reapply_sysctl = 0\n"),
        ],
    );
    let (said, wrote) = persist(&copy);
    assert!(!wrote, "{said}");
    assert!(said.contains("500000 by tuned, /etc/tuned/web/tuned.conf line 2"), "{said}");
    assert!(said.contains("\n[sysctl]\nnet.netfilter.nf_conntrack_max = 400000\n"), "{said}");
}

#[test]
fn tuned_that_applies_the_files_again_leaves_the_last_word_to_ours() {
    if !root() {
        return;
    }
    let wants = "etc/systemd/system/multi-user.target.wants/tuned.service";
    let copy = host(
        "tuned-again",
        &[
            (wants, "[Service]\nExecStart=/usr/sbin/tuned\n"),
            ("etc/tuned/active_profile", "web\n"),
            ("etc/tuned/web/tuned.conf", "[sysctl]\nnet.netfilter.nf_conntrack_max=500000\n"),
        ],
    );
    let (said, wrote) = persist(&copy);
    // Either our file is proved to win, or the profile is printed: never a file that loses.
    let proved = said.contains("Proved by the boot simulation");
    let printed = said.contains("\n[sysctl]\nnet.netfilter.nf_conntrack_max = 400000\n");
    assert!(proved == wrote && (proved || printed), "{said}");
}

#[test]
fn firewalls_and_engines_that_only_load_the_module_need_a_file_of_ours() {
    if !root() {
        return;
    }
    for unit in ["firewalld", "docker"] {
        let wants = format!("etc/systemd/system/multi-user.target.wants/{unit}.service");
        let copy = host(unit, &[(&wants, "[Service]\nExecStart=/usr/bin/true\n")]);
        let (said, wrote) = persist(&copy);
        assert!(wrote, "{said}");
        assert!(
            said.contains("Proved by the boot simulation: read anew, the files give"),
            "{said}"
        );
    }
}

#[test]
fn what_ufw_applies_after_the_files_is_told_or_beaten() {
    if !root() {
        return;
    }
    let wants = "etc/systemd/system/multi-user.target.wants/ufw.service";
    let copy = host(
        "ufw",
        &[
            (wants, "[Service]\nExecStart=/usr/lib/ufw/ufw-init start quiet\n"),
            ("etc/default/ufw", "IPT_SYSCTL=/etc/ufw/sysctl.conf\n"),
            ("etc/ufw/ufw.conf", "ENABLED=yes\n"),
            ("etc/ufw/sysctl.conf", "net/netfilter/nf_conntrack_max=300000\n"),
        ],
    );
    let (said, wrote) = persist(&copy);
    let proved = said.contains("Proved by the boot simulation");
    assert!(proved == wrote, "{said}");
    assert!(proved || said.contains("/etc/ufw/sysctl.conf"), "{said}");
}
