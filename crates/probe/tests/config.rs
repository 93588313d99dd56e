//! Settings files of whole hosts, and what the real loaders make of the same files.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;

use plimsoll_ct::KernelVersion;
use plimsoll_diagnosis::facts::{BootFiles, Fact, ManagerKind, SysctlLoader};
use plimsoll_probe::config::{add_of_rules, boot_files};
use plimsoll_probe::files::Files;
use plimsoll_wire::modprobe::Directive;
use support::{Tree, can_load};

impl Tree {
    fn boot(&self, release: &str) -> BootFiles {
        let kernel = KernelVersion::parse(release);
        boot_files(&Files::Directory(self.0.clone()), kernel.as_ref(), false)
    }

    /// What a loader leaves of the timeouts.
    fn timeouts(&self, loader: &str) -> BTreeMap<String, String> {
        let mut settings = self.loaded_by(loader);
        settings.retain(|name, _| name.contains("timeout"));
        settings
    }
}

/// `file:line key=value` of each assignment that is applied, in order.
fn applied(boot: &BootFiles) -> Vec<String> {
    let all = boot.sysctl.value().unwrap().iter();
    all.map(|a| format!("{}:{} {}={}", a.file, a.line, a.key, a.value)).collect()
}

fn unapplied(boot: &BootFiles) -> Vec<(String, &str)> {
    let all = boot.sysctl_unapplied.iter();
    all.map(|u| (format!("{}:{}", u.assignment.file, u.assignment.line), u.why.as_str())).collect()
}

const SYSTEMD: (&str, &str) = ("/usr/lib/systemd/systemd-sysctl", "");

#[test]
fn systemd_passes_over_sysctl_conf_unless_it_is_linked() {
    let main = ("/etc/sysctl.conf", "# x\nnet.netfilter.nf_conntrack_max = 262144\n");
    let boot = Tree::new(&[SYSTEMD, main]).boot("6.12.1");
    assert_eq!(applied(&boot), [""; 0]);
    assert_eq!(
        unapplied(&boot),
        [(
            "/etc/sysctl.conf:2".to_owned(),
            "systemd-sysctl reads only the folders sysctl.d, and nothing there links to it"
        )]
    );
    let link = ("/etc/sysctl.d/99-sysctl.conf", "-> ../sysctl.conf");
    let boot = Tree::new(&[SYSTEMD, main, link]).boot("6.12.1");
    assert_eq!(
        applied(&boot),
        ["/etc/sysctl.d/99-sysctl.conf:2 net.netfilter.nf_conntrack_max=262144"]
    );
    assert_eq!(unapplied(&boot), []);
}

#[test]
fn files_of_one_name_are_one_file_and_names_decide_the_order() {
    let boot = Tree::new(&[
        SYSTEMD,
        ("/usr/lib/sysctl.d/90-a.conf", "net.netfilter.nf_conntrack_max=1"),
        ("/etc/sysctl.d/90-a.conf", "net.netfilter.nf_conntrack_max=2"),
        ("/usr/lib/sysctl.d/95-b.conf", "net/nf_conntrack_max=3\nkernel.x=1"),
        ("/run/sysctl.d/10-c.conf", "net.nf_conntrack_max=4"),
        ("/usr/lib/sysctl.d/99-masked.conf", "net.nf_conntrack_max=5"),
        ("/etc/sysctl.d/99-masked.conf", "-> /dev/null"),
        ("/etc/sysctl.d/97-x.disabled", "net.nf_conntrack_max=6"),
    ])
    .boot("6.12.1");
    assert_eq!(
        applied(&boot),
        [
            "/run/sysctl.d/10-c.conf:1 net.nf_conntrack_max=4",
            "/etc/sysctl.d/90-a.conf:1 net.netfilter.nf_conntrack_max=2",
            "/usr/lib/sysctl.d/95-b.conf:1 net.nf_conntrack_max=3",
        ]
    );
    assert_eq!(
        unapplied(&boot),
        [
            (
                "/usr/lib/sysctl.d/90-a.conf:1".to_owned(),
                "/etc/sysctl.d/90-a.conf has the same name and comes before it"
            ),
            (
                "/usr/lib/sysctl.d/99-masked.conf:1".to_owned(),
                "/etc/sysctl.d/99-masked.conf has the same name and comes before it"
            ),
            ("/etc/sysctl.d/97-x.disabled:1".to_owned(), "its name does not end in .conf"),
        ]
    );
}

#[test]
fn centos_5_reads_sysctl_conf_and_its_rules_come_with_modules() {
    let tree = Tree::new(&[
        ("/etc/redhat-release", "CentOS release 5.11 (Final)"),
        ("/etc/rc.d/rc.sysinit", "#!/bin/bash"),
        (
            "/etc/sysctl.conf",
            "net.ipv4.netfilter.ip_conntrack_max = 131072\nnet.nf_conntrack_max = 5\n",
        ),
        ("/etc/modprobe.conf", "alias eth0 e1000\noptions ip_conntrack hashsize=16384\n"),
        ("/etc/rc.modules", "#!/bin/sh\n/sbin/modprobe ip_conntrack\n"),
        ("/etc/sysconfig/iptables-config", "IPTABLES_MODULES=\"ip_conntrack_netbios_ns\"\n"),
        ("/etc/rc.d/rc3.d/S08iptables", ""),
        ("/etc/rc.d/rc3.d/S95fail2ban", ""),
        ("/etc/rc.d/rc.local", "echo 262144 > /proc/sys/net/ipv4/ip_conntrack_max\n"),
    ]);
    let boot = tree.boot("2.6.18-398.el5");
    assert_eq!(boot.sysctl_loader.get(), Some(SysctlLoader::RcSysinit));
    assert_eq!(
        applied(&boot),
        [
            "/etc/sysctl.conf:1 net.ipv4.netfilter.ip_conntrack_max=131072",
            "/etc/sysctl.conf:2 net.nf_conntrack_max=5",
            "/etc/rc.d/rc.local:1 net.ipv4.ip_conntrack_max=262144",
        ]
    );
    let directive = &boot.modprobe.value().unwrap()[0];
    assert_eq!((directive.file.as_str(), directive.line), ("/etc/modprobe.conf", 2));
    assert!(matches!(&directive.directive, Directive::Option { name, .. } if name == "hashsize"));
    assert_eq!(boot.modules_load.value().unwrap()[0].module, "ip_conntrack");
    assert_eq!(boot.iptables_config.value().unwrap().modules, ["ip_conntrack_netbios_ns"]);
    assert_eq!(boot.managers.value().unwrap()[0].kind, ManagerKind::Fail2ban);
}

#[test]
fn what_rc_local_applies_again_is_set_by_rc_local() {
    let boot = Tree::new(&[
        ("/etc/rc.d/rc.sysinit", "#!/bin/bash"),
        ("/etc/sysctl.conf", "kernel.sysrq = 0\nnet.ipv4.netfilter.ip_conntrack_max = 131072\n"),
        ("/etc/rc.d/rc.local", "#!/bin/sh\ntouch /var/lock/subsys/local\n/sbin/sysctl -e -p\n"),
    ])
    .boot("2.6.18-398.el5");
    assert_eq!(
        applied(&boot),
        [
            "/etc/sysctl.conf:2 net.ipv4.netfilter.ip_conntrack_max=131072",
            "/etc/rc.d/rc.local:3 net.ipv4.netfilter.ip_conntrack_max=131072",
        ]
    );
}

#[test]
fn sysvinit_reads_sysctl_conf_last() {
    let boot = Tree::new(&[
        ("/etc/init.d/procps", ""),
        ("/etc/sysctl.conf", "net.nf_conntrack_max=333"),
        ("/etc/sysctl.d/99-z.conf", "net.nf_conntrack_max=222"),
    ])
    .boot("4.19.1");
    assert_eq!(boot.sysctl_loader.get(), Some(SysctlLoader::Procps));
    assert_eq!(applied(&boot).last().unwrap(), "/etc/sysctl.conf:1 net.nf_conntrack_max=333");
}

#[test]
fn modules_and_options_of_a_systemd_host() {
    let boot = Tree::new(&[
        SYSTEMD,
        (
            "/proc/cmdline",
            "root=/dev/sda1 nf_conntrack.hashsize=1024 sysctl.net.netfilter.nf_conntrack_max=9\n",
        ),
        ("/etc/modprobe.d/ct.conf", "options nf_conntrack hashsize=262144\noptions kvm x=1\n"),
        ("/usr/lib/modprobe.d/ct.conf", "options nf_conntrack hashsize=1\n"),
        ("/etc/modules", "nf_conntrack\nloop\n"),
        ("/etc/modules-load.d/modules.conf", "-> ../modules"),
        ("/etc/systemd/system/multi-user.target.wants/docker.service", ""),
        ("/etc/systemd/system/multi-user.target.wants/ufw.service", ""),
        ("/etc/ufw/ufw.conf", "ENABLED=no\n"),
        ("/etc/ufw/sysctl.conf", "net/netfilter/nf_conntrack_max=7\n"),
    ])
    .boot("6.12.1");
    let options: Vec<_> = boot.modprobe.value().unwrap().iter().map(|d| d.file.as_str()).collect();
    assert_eq!(options, ["/proc/cmdline", "/etc/modprobe.d/ct.conf"]);
    assert_eq!(boot.modules_load.value().unwrap().len(), 1, "the link and its target are one");
    assert_eq!(applied(&boot), ["/proc/cmdline:1 net.netfilter.nf_conntrack_max=9"]);
    assert_eq!(unapplied(&boot)[0].1, "ufw is not enabled");
    let managers = boot.managers.value().unwrap();
    assert_eq!((managers.len(), managers[0].kind), (1, ManagerKind::Docker));
    assert_eq!(managers[0].because, "unit docker.service is enabled");
}

#[test]
fn an_empty_tree_knows_nothing_and_says_so() {
    let boot = Tree::new(&[]).boot("6.12.1");
    assert!(boot.sysctl.gap().is_some() && boot.sysctl_loader.gap().is_some());
    assert!(boot.modprobe.gap().is_some() && boot.modules_load.gap().is_some());
    assert!(boot.iptables_config.gap().is_some() && boot.managers.gap().is_some());
}

/// Files that hold every trap at once. Only timeouts: a namespace of its own may write them.
const TRAPS: &[(&str, &str)] = &[
    (
        "/usr/lib/sysctl.d/10-vendor.conf",
        "net.netfilter.nf_conntrack_tcp_timeout_* = 11\nnet.netfilter.nf_conntrack_udp_timeout=12\n",
    ),
    (
        "/usr/lib/sysctl.d/50-same.conf",
        "net.netfilter.nf_conntrack_udp_timeout=21\nnet.netfilter.nf_conntrack_icmp_timeout=22\n",
    ),
    (
        "/etc/sysctl.d/50-same.conf",
        "; remark\n# remark\nnet/netfilter/nf_conntrack_udp_timeout = 31 \nno sign here\n-net.netfilter.nf_conntrack_none = 1\n",
    ),
    ("/usr/lib/sysctl.d/60-masked.conf", "net.netfilter.nf_conntrack_generic_timeout=41\n"),
    ("/etc/sysctl.d/60-masked.conf", "-> /dev/null"),
    ("/etc/sysctl.d/70-plain", "net.netfilter.nf_conntrack_generic_timeout=42\n"),
    (
        "/etc/sysctl.d/80-named.conf",
        "net.netfilter.nf_conntrack_tcp_timeout_close=51\n-net.netfilter.nf_conntrack_udp_timeout_stream=52\n",
    ),
    (
        "/etc/sysctl.conf",
        "net.netfilter.nf_conntrack_icmpv6_timeout=61\nnet.netfilter.nf_conntrack_tcp_timeout_close=62\n",
    ),
];

fn predicted(boot: &BootFiles, untouched: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut values = untouched.clone();
    for a in boot.sysctl.value().unwrap() {
        let name = a.key.strip_prefix("net.netfilter.").unwrap();
        if let Some(value) = values.get_mut(name) {
            value.clone_from(&a.value);
        }
    }
    values
}

#[test]
fn systemd_sysctl_does_what_we_say_of_it() {
    if !can_load("/lib/systemd/systemd-sysctl") {
        return;
    }
    let tree = Tree::new(TRAPS);
    let untouched = tree.timeouts("true");
    fs::create_dir_all(tree.path("/run/systemd/system")).unwrap();
    let boot = tree.boot("6.12.1");
    assert_eq!(boot.sysctl_loader.get(), Some(SysctlLoader::Systemd));
    let observed = tree.timeouts("/lib/systemd/systemd-sysctl");
    assert_ne!(observed, untouched);
    assert_eq!(observed, predicted(&boot, &untouched));
}

#[test]
fn sysctl_of_procps_does_what_we_say_of_it() {
    if !can_load("/usr/sbin/sysctl --system") {
        return;
    }
    let tree = Tree::new(TRAPS);
    let untouched = tree.timeouts("true");
    tree.add("/etc/init.d/procps", "");
    let boot = tree.boot("6.12.1");
    assert_eq!(boot.sysctl_loader.get(), Some(SysctlLoader::Procps));
    let observed = tree.timeouts("/usr/sbin/sysctl --system");
    assert_ne!(observed, untouched);
    assert_eq!(observed, predicted(&boot, &untouched));
}

#[test]
fn this_very_host_can_be_read() {
    let boot = boot_files(&Files::live(), None, true);
    assert!(boot.managers.value().is_some(), "processes can be listed by anybody: {boot:#?}");
}

#[test]
fn the_host_s_rules_tell_of_managers_that_no_process_does() {
    let mut rules = plimsoll_wire::ruleset::Ruleset::default();
    let text = "*nat\n-A POSTROUTING -j KUBE-POSTROUTING\n-A KUBE-POSTROUTING -j MASQUERADE\n";
    plimsoll_wire::ruleset::read_save(text, plimsoll_wire::ruleset::TableFamily::Ip, &mut rules);
    let rules = Fact::known(rules, "sos_commands/networking/iptables-save");
    let mut managers = Tree::new(&[]).boot("6.12.1").managers;
    add_of_rules(&mut managers, &rules);
    assert_eq!(managers.value().unwrap()[0].because, "chain KUBE-POSTROUTING");
    assert_eq!(managers.source().unwrap().to_string(), "sos_commands/networking/iptables-save");
}
