//! Settings files of whole hosts: what takes part in booting, and what the simulation makes of it.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use plimsoll_ct::KernelVersion;
use plimsoll_diagnosis::boot::{After, Boot, Fate, Stage, boot};
use plimsoll_diagnosis::facts::{BootFiles, Fact, ManagerKind, Origin, Source, SysctlLoader};
use plimsoll_probe::boot::saved;
use plimsoll_probe::config::{add_of_rules, boot_files};
use plimsoll_probe::files::Files;
use plimsoll_wire::modprobe::Directive;
use support::Tree;

impl Tree {
    fn files(&self, release: &str) -> BootFiles {
        let kernel = KernelVersion::parse(release);
        boot_files(&Files::Directory(self.0.clone()), kernel.as_ref(), false)
    }

    fn boot(&self, release: &str) -> Boot {
        self.add("/proc/sys/kernel/osrelease", release);
        boot(&saved(&Files::Directory(self.0.clone()), Origin::Tree), &[])
    }
}

/// `file:line key=value` of each line about the limit that is applied, in order, and of each that is not, with the reason.
fn lines(boot: &Boot) -> (Vec<String>, Vec<(String, &str)>) {
    let (mut applied, mut unapplied) = (Vec::new(), Vec::new());
    for attempt in &boot.outcome("nf_conntrack_max").unwrap().attempts {
        let a = &attempt.assignment;
        let at = format!("{}:{}", a.file, a.line);
        match &attempt.fate {
            Fate::NotRead(why) => unapplied.push((at, why.as_str())),
            _ => applied.push(format!("{at} {}={}", a.key, a.value)),
        }
    }
    (applied, unapplied)
}

const SYSTEMD: (&str, &str) = ("/usr/lib/systemd/systemd-sysctl", "");

#[test]
fn systemd_passes_over_sysctl_conf_unless_it_is_linked() {
    let main = ("/etc/sysctl.conf", "# x\nnet.netfilter.nf_conntrack_max = 262144\n");
    let boot = Tree::new(&[SYSTEMD, main]).boot("6.12.1");
    let (applied, unapplied) = lines(&boot);
    assert_eq!(applied, [""; 0]);
    assert_eq!(
        unapplied,
        [(
            "/etc/sysctl.conf:2".to_owned(),
            "systemd-sysctl reads only the folders sysctl.d, and nothing there links to it"
        )]
    );
    let link = ("/etc/sysctl.d/99-sysctl.conf", "-> ../sysctl.conf");
    let boot = Tree::new(&[SYSTEMD, main, link]).boot("6.12.1");
    let (applied, unapplied) = lines(&boot);
    assert_eq!(applied, ["/etc/sysctl.d/99-sysctl.conf:2 net.netfilter.nf_conntrack_max=262144"]);
    assert_eq!(unapplied, []);
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
    let (applied, unapplied) = lines(&boot);
    assert_eq!(
        applied,
        [
            "/run/sysctl.d/10-c.conf:1 net.nf_conntrack_max=4",
            "/etc/sysctl.d/90-a.conf:1 net.netfilter.nf_conntrack_max=2",
            "/usr/lib/sysctl.d/95-b.conf:1 net.nf_conntrack_max=3",
        ]
    );
    assert_eq!(
        unapplied,
        [
            (
                "/usr/lib/sysctl.d/90-a.conf:1".to_owned(),
                "/etc/sysctl.d/90-a.conf has the same name and comes before it"
            ),
            (
                "/usr/lib/sysctl.d/99-masked.conf:1".to_owned(),
                "/etc/sysctl.d/99-masked.conf masks it"
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
    assert_eq!(boot.loader, SysctlLoader::RcSysinit);
    assert_eq!(
        lines(&boot).0,
        [
            "/etc/sysctl.conf:1 net.ipv4.netfilter.ip_conntrack_max=131072",
            "/etc/sysctl.conf:2 net.nf_conntrack_max=5",
            "/etc/rc.d/rc.local:1 net.ipv4.ip_conntrack_max=262144",
        ]
    );
    let files = tree.files("2.6.18-398.el5");
    let directives = files.directives();
    let directive = directives.iter().find(|d| d.module == "ip_conntrack").unwrap();
    assert_eq!((directive.file.as_str(), directive.line), ("/etc/modprobe.conf", 2));
    assert!(matches!(&directive.directive, Directive::Option { name, .. } if name == "hashsize"));
    assert_eq!(files.iptables_config.value().unwrap().modules, ["ip_conntrack_netbios_ns"]);
    assert_eq!(files.managers.value().unwrap()[0].kind, ManagerKind::Fail2ban);
}

#[test]
fn what_rc_local_applies_again_is_set_by_rc_local() {
    const OWN: &str = "/etc/sysctl.conf:2 net.ipv4.netfilter.ip_conntrack_max=131072";
    const AGAIN: &str = "/etc/rc.d/rc.local:3 net.ipv4.netfilter.ip_conntrack_max=131072";
    for (line, expected) in [
        ("/sbin/sysctl -e -p", &[OWN, AGAIN][..]),
        ("sysctl -p /etc/sysctl.conf > /dev/null 2>&1", &[OWN, AGAIN]),
        ("sysctl -p 2>&1 >/dev/null", &[OWN, AGAIN]),
        ("true && sysctl -qp", &[OWN, AGAIN]),
        ("# sysctl -p", &[OWN]),
        ("sysctl -w a.b=1; sysctl -p /etc/other.conf", &[OWN]),
    ] {
        let main = "kernel.sysrq = 0\nnet.ipv4.netfilter.ip_conntrack_max = 131072\n";
        let boot = Tree::new(&[
            ("/etc/rc.d/rc.sysinit", "#!/bin/bash"),
            ("/etc/sysctl.conf", main),
            ("/etc/rc.d/rc.local", &format!("#!/bin/sh\ntouch /var/lock/subsys/local\n{line}\n")),
        ])
        .boot("2.6.18-398.el5");
        assert_eq!(lines(&boot).0, expected, "{line}");
    }
}

#[test]
fn sysvinit_reads_sysctl_conf_last() {
    let boot = Tree::new(&[
        ("/etc/init.d/procps", ""),
        ("/etc/sysctl.conf", "net.nf_conntrack_max=333"),
        ("/etc/sysctl.d/99-z.conf", "net.nf_conntrack_max=222"),
    ])
    .boot("4.19.1");
    assert_eq!(boot.loader, SysctlLoader::Procps);
    assert_eq!(lines(&boot).0.last().unwrap(), "/etc/sysctl.conf:1 net.nf_conntrack_max=333");
}

#[test]
fn kube_proxy_is_asked_by_its_config_map_of_any_name_and_by_its_process() {
    let file = ("/etc/sysctl.d/60-ct.conf", "net.netfilter.nf_conntrack_max = 524288\n");
    let early = ("/etc/modules-load.d/ct.conf", "nf_conntrack\n");
    let limit = |more: &[(&str, &str)]| {
        let boot = Tree::new(&[&[SYSTEMD, file, early], more].concat()).boot("6.12.1");
        boot.outcome("nf_conntrack_max").unwrap().after.number()
    };
    let comm = ("/proc/77/comm", "kube-proxy\n");
    let flags =
        ("/proc/77/cmdline", "kube-proxy\0--conntrack-max-per-core=1\0--conntrack-min=7000\0");
    let node = ("/etc/kubernetes/kubelet.conf", "");
    let cpus = ("/sys/devices/system/cpu/online", "0-1\n");
    assert_eq!(limit(&[comm, flags, node, cpus]), Some(7000));
    assert_eq!(limit(&[("/proc/77/comm", "other\n"), flags, node, cpus]), Some(524_288));
    const MAPS: &str = "/var/lib/kubelet/pods/u-1/volumes/kubernetes.io~configmap";
    let text = "kind: KubeProxyConfiguration\nconntrack:\n  maxPerCore: 1\n  min: 9000\n";
    for name in ["kube-proxy/config.conf", "config/config", "proxy-config/kube-proxy-config.yaml"] {
        let path = format!("{MAPS}/{name}");
        assert_eq!(limit(&[(&path, text), cpus]), Some(9000), "{name}");
        assert_eq!(limit(&[(&path, "kind: Other\n# kube-proxy\n"), cpus]), Some(524_288), "{name}");
    }
}

#[test]
fn modules_and_options_of_a_systemd_host() {
    let tree = Tree::new(&[
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
    ]);
    let (files, boot) = (tree.files("6.12.1"), tree.boot("6.12.1"));
    let directives = files.directives();
    let options = directives.iter().filter(|d| d.module == "nf_conntrack");
    let options: Vec<_> = options.map(|d| d.file.as_str()).collect();
    assert_eq!(options, ["/etc/modprobe.d/ct.conf", "/proc/cmdline"]);
    let loads = boot.steps.iter().filter(|step| step.stage == Stage::Modules);
    assert_eq!(loads.count(), 1, "the link and its target are one: {:#?}", boot.steps);
    let (applied, unapplied) = lines(&boot);
    assert_eq!(applied, ["/proc/cmdline:1 net.netfilter.nf_conntrack_max=9"]);
    assert_eq!(unapplied[0].1, "ufw is not enabled");
    let managers = files.managers.value().unwrap();
    assert_eq!((managers.len(), managers[0].kind), (1, ManagerKind::Docker));
    assert_eq!(managers[0].because, "unit docker.service is enabled");
}

#[test]
fn an_empty_tree_knows_nothing_and_says_so() {
    let tree = Tree::new(&[]);
    let files = tree.files("6.12.1");
    assert!(files.tree.value().unwrap().is_empty() && files.directives().is_empty());
    assert!(files.iptables_config.gap().is_some() && files.managers.gap().is_some());
    assert!(!tree.boot("6.12.1").outcomes.iter().any(|outcome| outcome.is_set()));
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
    let rules = Fact::known(rules, Source::name("sos_commands/networking/iptables-save"));
    let mut managers = Tree::new(&[]).files("6.12.1").managers;
    add_of_rules(&mut managers, &rules, None);
    assert_eq!(managers.value().unwrap()[0].because, "chain KUBE-POSTROUTING");
    assert_eq!(managers.source().unwrap().to_string(), "sos_commands/networking/iptables-save");
}

#[test]
fn the_file_that_ufw_is_told_to_apply_is_read_wherever_it_is_and_never_outside_the_tree() {
    let tree = Tree::new(&[
        SYSTEMD,
        ("/etc/systemd/system/multi-user.target.wants/ufw.service", ""),
        ("/etc/ufw/ufw.conf", "ENABLED=\"yes\"\n"),
        ("/etc/ufw/sysctl.conf", "net/netfilter/nf_conntrack_max=7\n"),
        ("/etc/default/ufw", "IPT_SYSCTL=/srv/ufw/my.conf\n"),
        ("/srv/ufw/my.conf", "net/netfilter/nf_conntrack_max=111111\n"),
    ]);
    let boot = tree.boot("6.12.1");
    let (applied, unapplied) = lines(&boot);
    assert_eq!(applied, ["/srv/ufw/my.conf:1 net.netfilter.nf_conntrack_max=111111"]);
    assert_eq!(unapplied, []);
    let files = tree.files("6.12.1");
    let managers = files.managers.value().unwrap();
    assert_eq!((managers.len(), managers[0].kind), (1, ManagerKind::Ufw), "quoted or not");
    // No folder, no device, and no file of this host.
    for path in ["/srv/ufw", "/dev/zero", "/proc/self/status", "/srv/../../../../../etc/passwd"] {
        tree.add("/etc/default/ufw", &format!("IPT_SYSCTL={path}\n"));
        let boot = tree.boot("6.12.1");
        assert_eq!(lines(&boot).0, [""; 0]);
        let told = format!("ufw applies {path}, which is not there");
        assert!(boot.assumed.iter().any(|a| *a == told), "{:?}", boot.assumed);
    }
    let large = "#".repeat(2 << 20);
    tree.add("/etc/default/ufw", "IPT_SYSCTL=/srv/ufw/my.conf\n");
    tree.add("/srv/ufw/my.conf", &large);
    assert!(tree.boot("6.12.1").unread[0].contains("/srv/ufw/my.conf: larger than 1 MiB"));
}

#[test]
fn shorewall_is_a_manager_and_brings_the_module() {
    let unit = "/etc/systemd/system/basic.target.wants/shorewall.service";
    let tree = Tree::new(&[SYSTEMD, (unit, "")]);
    let managers = tree.files("6.12.1").managers;
    assert_eq!(managers.value().unwrap()[0].kind, ManagerKind::Shorewall);
    let told = |boot: Boot| boot.module.contains("nf_conntrack is loaded by shorewall.service");
    assert!(told(tree.boot("6.12.1")));
    tree.add("/etc/shorewall/shorewall.conf", "STARTUP_ENABLED=No\n");
    assert!(!told(tree.boot("6.12.1")));
}

#[test]
fn what_the_kernel_keeps_of_its_own_configuration_tells_its_ticks() {
    let long = "net.netfilter.nf_conntrack_tcp_timeout_time_wait = 10000000\n";
    let tree = Tree::new(&[SYSTEMD, ("/etc/sysctl.d/1.conf", long), ("/proc/config.gz", "")]);
    let told = |tree: &Tree| {
        let boot = tree.boot("6.18.2");
        let after = boot.outcome("nf_conntrack_tcp_timeout_time_wait").unwrap().after.clone();
        (after, boot.lints.into_iter().find(|l| l.kind.finding() == "CT045").unwrap())
    };
    tree.add("/etc/modules-load.d/ct.conf", "nf_conntrack\n");
    // 1000 ticks would refuse it, 100 would take it.
    let (after, lint) = told(&tree);
    assert!(matches!(after, After::Unknown(_)), "{after:?}");
    assert_eq!(
        (lint.kind.name(), lint.mend.to_string()),
        ("value-misread", "write at most 2147483".into())
    );
    let config = std::fs::File::create(tree.0.join("proc/config.gz")).unwrap();
    let mut config = GzEncoder::new(config, Compression::fast());
    config.write_all(b"CONFIG_HZ_250=y\nCONFIG_HZ=250\nCONFIG_NF_CONNTRACK=m\n").unwrap();
    config.finish().unwrap();
    let (files, (after, lint)) = (tree.files("6.18.2"), told(&tree));
    assert_eq!((files.hz.get(), files.module.get()), (Some(250), Some(true)));
    assert_eq!(after, After::Value(120));
    assert_eq!(
        (lint.kind.name(), lint.mend.to_string()),
        ("value-refused", "write at most 8589934".into())
    );
}

#[test]
fn a_process_is_a_manager_of_the_network_namespace_that_it_runs_in() {
    if !support::root() {
        return;
    }
    let inside = support::Netns::new("manager");
    let tree = Tree::new(&[]);
    let program = tree.0.join("shorewall-lite");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut child = inside.enter(|| Command::new(&program).arg("600").spawn().unwrap());
    // The kernel lets the parent go on a moment before it names the child.
    let comm = format!("/proc/{}/comm", child.id());
    while std::fs::read_to_string(&comm).unwrap() != "shorewall-lite\n" {
        std::thread::yield_now();
    }
    let found = boot_files(&Files::live(), None, true).managers;
    child.kill().unwrap();
    child.wait().unwrap();
    let because = format!("process shorewall-lite ({})", child.id());
    let all = found.value().unwrap();
    let manager = all.iter().find(|m| m.because == because);
    let manager = manager.unwrap_or_else(|| panic!("{because}: {all:?}"));
    assert_eq!(manager.namespace, Some(inside.inode));
}

/// CentOS 5's own settings, right as they are there.
const CENTOS_5: [(&str, &str); 3] = [
    ("/etc/sysctl.conf", "net.ipv4.netfilter.ip_conntrack_max = 65536\n"),
    ("/etc/modprobe.conf", "options ip_conntrack hashsize=512\n"),
    ("/etc/rc.d/rc.sysinit", ""),
];

#[test]
fn without_a_release_the_generation_follows_from_what_is_installed() {
    for (path, text, by) in [
        ("/etc/redhat-release", "CentOS release 5.11 (Final)\n", "/etc/redhat-release"),
        ("/lib/modules/2.6.18-398.el5/modules.dep", "", "/lib/modules"),
        ("/boot/vmlinuz-2.6.18-398.el5", "", "/boot"),
        ("/proc/sys/net/ipv4/netfilter/ip_conntrack_max", "65536\n", "the names of the settings"),
    ] {
        let tree = Tree::new(&CENTOS_5);
        tree.add(path, text);
        let facts = saved(&Files::Directory(tree.0.clone()), Origin::Tree);
        assert_eq!(facts.profile.name, "2.6.18", "{path}");
        let Fact::Known { source, .. } = &facts.generation else { panic!("{path}: not told") };
        assert_eq!(source.to_string(), by);
        let boot = boot(&facts, &[]);
        assert_eq!(boot.lints.iter().map(|l| l.kind.name()).collect::<Vec<_>>(), ["no-order"]);
        let limit = boot.outcome("nf_conntrack_max").unwrap();
        assert_eq!(limit.key, "net.ipv4.netfilter.ip_conntrack_max");
    }
}

#[test]
fn the_generation_is_told_only_where_all_that_it_may_be_is_of_one() {
    let told = |files: &[(&str, &str)]| {
        let tree = Tree::new(files);
        let facts = saved(&Files::Directory(tree.0.clone()), Origin::Tree);
        facts.generation.value().map(|_| facts.profile.name)
    };
    let os = |text: &str| told(&[("/etc/os-release", text)]);
    assert_eq!(os("ID=debian\nVERSION_ID=\"12\"\n"), Some("6.1"));
    assert_eq!(os("ID=rocky\nVERSION_ID=9.3\n"), Some("el9"));
    assert_eq!(os("ID=ubuntu\nVERSION_ID=22.04\n"), Some("5.15"));
    assert_eq!(os("ID=ubuntu\nVERSION_ID=16.04\n"), None, "4.4 and 4.15");
    assert_eq!(os("ID=debian\nVERSION_ID=1\n"), None);
    assert_eq!(told(&[("/etc/debian_version", "10.13\n")]), Some("4.14"));
    assert_eq!(told(&[("/etc/debian_version", "bookworm/sid\n")]), None);
    let red_hat =
        ("/etc/redhat-release", "Red Hat Enterprise Linux Server release 6.5 (Santiago)\n");
    assert_eq!(told(&[red_hat]), Some("2.6.32"));
    assert_eq!(told(&[red_hat, ("/etc/oracle-release", "")]), None, "its own kernels are others");
    assert_eq!(told(&[("/etc/redhat-release", "Fedora release 40 (Forty)\n")]), None);
    let modules = |a, b| told(&[(a, ""), (b, "")]);
    assert_eq!(modules("/lib/modules/6.1.0-1/x", "/lib/modules/6.12.1/x"), Some("6.12"));
    assert_eq!(modules("/lib/modules/3.10.0-1160.el7/x", "/boot/config-6.5.1"), None);
    assert_eq!(told(&[]), None);
}

#[test]
fn where_nothing_tells_the_generation_what_hangs_on_it_is_not_judged() {
    let tree = Tree::new(&CENTOS_5);
    tree.add("/etc/modprobe.d/ct.conf", "options nf_conntrack nf_conntrack_helper=0\n");
    let facts = saved(&Files::Directory(tree.0.clone()), Origin::Tree);
    let b = boot(&facts, &[]);
    assert_eq!(b.lints, []);
    assert!(matches!(b.outcome("nf_conntrack_max").unwrap().after, After::Unknown(_)));
    assert!(b.assumed.iter().any(|a| a.contains("nothing tells the kernel's generation")));
    // What no generation takes is wrong all the same, and is mended by names of its own.
    for (line, mend) in [
        ("net.ipv4.netfilter.ip_conntrack_mx = 1", "net.ipv4.netfilter.ip_conntrack_max = 1"),
        ("net.netfilter.nf_conntrack_mx = 1", "net.netfilter.nf_conntrack_max = 1"),
    ] {
        tree.add("/etc/sysctl.conf", line);
        let b = boot(&saved(&Files::Directory(tree.0.clone()), Origin::Tree), &[]);
        assert_eq!(b.lints.len(), 1);
        assert_eq!(b.lints[0].mend, format!("write {mend}"));
    }
    // Switches are checked since 5.2 only.
    tree.add("/etc/sysctl.conf", "net.netfilter.nf_conntrack_acct = 2\n");
    let b = boot(&saved(&Files::Directory(tree.0.clone()), Origin::Tree), &[]);
    assert_eq!(b.lints, []);
    assert!(b.outcome("nf_conntrack_acct").unwrap().after.number().is_none());
}
