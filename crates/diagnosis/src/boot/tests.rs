use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use plimsoll_ct::{Bytes, KernelVersion, Profile};

use super::*;
use crate::facts::{Fact, ManagerKind, Reason, Source};

const MAX: &str = "net.netfilter.nf_conntrack_max";
const NFT: &str = "table inet f {\n chain in {\n  type filter hook input priority 0;\n  ct state established accept\n }\n}\n";

fn known<T>(value: T) -> Fact<T> {
    Fact::known(value, Source::name("staged"))
}

/// A host of a release with 8 GiB, two processors, conntrack as a module that is not loaded now; a text that begins
/// with `-> ` is a link.
fn host(release: &str, files: &[(&str, &str)]) -> BootFacts {
    let version = KernelVersion::parse(release).expect("a release");
    let mut tree = Tree::default();
    if version.rank() >= (3, 10) {
        tree.put_text("/usr/lib/systemd/systemd-sysctl", "");
        tree.put_text("/etc/systemd/system/sysinit.target.wants/x.service", "");
    }
    for (path, text) in files {
        match text.strip_prefix("-> ") {
            Some(target) => tree.put(*path, Entry::Link(target.into())),
            None => tree.put_text(*path, *text),
        }
    }
    BootFacts {
        profile: *Profile::of(&version),
        generation: known(version.clone()),
        kernel: known(version),
        memory: known(Bytes(8 << 30)),
        cpus: known(2),
        modular: known(true),
        modules: known(Vec::new()),
        hz: known(250),
        settings: BTreeMap::new(),
        managers: Fact::missing(Reason::NotCollected, Said::name("staged")),
        tree,
    }
}

const ENABLED: (&str, &str) = ("/etc/systemd/system/sysinit.target.wants/nftables.service", "");
const RULES: (&str, &str) = ("/etc/nftables.conf", NFT);
const EARLY: (&str, &str) = ("/etc/modules-load.d/ct.conf", "nf_conntrack\n");

fn value(boot: &Boot, key: &str) -> Option<i64> {
    boot.outcome(key).expect("a setting of this kernel").after.number()
}

fn kinds(boot: &Boot) -> Vec<&'static str> {
    boot.lints.iter().filter(|l| !l.harmless).map(|l| l.kind.name()).collect()
}

/// As systemd-sysctl 252, procps 4.0.2 and busybox 1.35 do: they take the end of a DOS line off, and no byte order mark.
#[test]
fn a_file_of_a_dos_editor_is_read_as_the_loaders_read_it() {
    let file =
        |text: &str| boot(&host("6.12.117", &[EARLY, ("/etc/sysctl.d/60-ct.conf", text)]), &[]);
    let dos = file(&format!("# x\r\n{MAX} = 123456\r\n"));
    assert_eq!((value(&dos, MAX), kinds(&dos)), (Some(123_456), vec![]));
    let marked = file(&format!("\u{feff}{MAX} = 123456\r\n"));
    assert_eq!((value(&marked, MAX), kinds(&marked)), (Some(262_144), vec!["unknown-key"]));
    assert!(marked.lints[0].what.starts_with("a byte order mark (U+FEFF)"), "{:?}", marked.lints);
}

#[test]
fn of_three_lines_of_a_key_the_first_loses_to_the_last_and_not_to_the_second() {
    let line = |value: &str| format!("{MAX} = {value}\n");
    let facts = host(
        "6.12.117",
        &[
            EARLY,
            ("/etc/sysctl.d/50-a.conf", &line("262144")),
            ("/etc/sysctl.d/60-b.conf", &line("65536")),
            ("/etc/sysctl.d/70-c.conf", &line("262144")),
        ],
    );
    let boot = boot(&facts, &[]);
    assert_eq!(value(&boot, MAX), Some(262_144));
    let first = boot.lints.iter().find(|l| l.file.as_deref() == Some("/etc/sysctl.d/50-a.conf"));
    let what = first.map(|l| l.what.as_str());
    assert_eq!(what, Some("/etc/sysctl.d/70-c.conf line 1 says the same"));
}

fn mends(boot: &Boot) -> String {
    boot.lints.iter().map(|l| l.mend.as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_file_that_comes_before_the_module_is_lost_until_the_module_is_named() {
    let file = ("/etc/sysctl.d/60-ct.conf", "net.netfilter.nf_conntrack_max = 524288\n");
    let facts = host("6.12.1", &[ENABLED, RULES, file]);
    let b = boot(&facts, &[]);
    assert_eq!(value(&b, MAX), Some(262_144));
    assert_eq!(kinds(&b), ["module-loads-later"]);
    let change = FileChange { path: EARLY.0.into(), text: Some(EARLY.1.into()) };
    let mended = boot(&facts, &[change]);
    assert_eq!(value(&mended, MAX), Some(524_288));
    assert_eq!(kinds(&mended), [""; 0]);
    let one = mended.outcome("net/nf_conntrack_max").expect("a setting, in any notation");
    assert_eq!(one.after, After::Value(524_288));
}

/// Compared with such a script and busybox's sysctl in crates/probe/tests/boot.rs.
#[test]
fn alpines_script_goes_by_folder_and_busybox_ends_a_file_at_what_the_kernel_refuses() {
    const SCRIPT: &str = "#!/sbin/openrc-run\nstart() {\n for f in /lib/sysctl.d/*.conf /usr/lib/sysctl.d/*.conf; do\n  \
        [ -f /etc/sysctl.d/\"${f##*/}\" ] && continue\n  sysctl -p \"$f\"\n done\n for f in /etc/sysctl.d/*.conf; do\n  \
        sysctl -p \"$f\"\n done\n sysctl -p /etc/sysctl.conf\n for f in /run/sysctl.d/*.conf; do\n  sysctl -p \"$f\"\n done\n}\n";
    let max = |n: u32| format!("{MAX} = {n}\n");
    let (vendor, own, conf, late) = (max(100_001), max(100_002), max(100_003), max(100_004));
    let base = [
        ("/etc/init.d/sysctl", SCRIPT),
        ("/sbin/sysctl", "-> /bin/busybox"),
        ("/lib/sysctl.d/99-vendor.conf", vendor.as_str()),
        ("/etc/modules", "nf_conntrack\n"),
    ];
    let after = |files: &[(&str, &str)]| boot(&host("6.12.1", &[&base, files].concat()), &[]);
    let b = after(&[("/etc/sysctl.d/60-own.conf", &own)]);
    assert_eq!((b.loader, value(&b, MAX)), (crate::facts::SysctlLoader::OpenRc, Some(100_002)));
    let b =
        after(&[("/etc/sysctl.d/99-vendor.conf", ""), ("/usr/local/lib/sysctl.d/z.conf", &own)]);
    assert_eq!(value(&b, MAX), Some(65_536 * 4), "hidden, and in a folder that is not read");
    assert_eq!(kinds(&b), ["not-read"]);
    let b = after(&[("/etc/sysctl.d/60-own.conf", &own), ("/etc/sysctl.conf", &conf)]);
    assert_eq!(value(&b, MAX), Some(100_003));
    let b = after(&[("/etc/sysctl.conf", &conf), ("/run/sysctl.d/10-x.conf", &late)]);
    assert_eq!(value(&b, MAX), Some(100_004));

    let refused = format!("net.netfilter.nf_conntrack_generic_timeout = 600s\n{own}");
    let b = after(&[("/etc/sysctl.conf", &refused)]);
    assert_eq!(value(&b, MAX), Some(100_001));
    let told = "busybox's sysctl reads no further than line 1, whose value the kernel refuses";
    assert!(b.lints.iter().any(|l| l.what.contains(told)), "{:?}", b.lints);
    // The sysctl of procps goes on.
    let mut facts =
        host("6.12.1", &[&base[..], &[("/etc/sysctl.conf", refused.as_str())]].concat());
    facts.tree.put_text("/sbin/sysctl", "");
    assert_eq!(value(&boot(&facts, &[]), MAX), Some(100_002));

    let b = after(&[("/etc/runlevels/default/nftables", ""), ("/etc/nftables.nft", NFT)]);
    assert!(b.steps.iter().any(|s| s.by.contains("nftables")), "{:?}", b.steps);
}

/// As its init script says: "Do not start if there is no config file."
#[test]
fn the_iptables_service_of_rhel_does_nothing_without_a_file_of_rules() {
    let files = [
        ("/etc/rc.d/rc3.d/S08iptables", ""),
        (
            "/etc/sysconfig/iptables-config",
            "IPTABLES_MODULES=\"nf_conntrack_ftp\"\nIPTABLES_SYSCTL_LOAD_LIST=\".nf_conntrack\"\n",
        ),
        ("/etc/sysctl.conf", "net.netfilter.nf_conntrack_max = 99999\n"),
    ];
    let rules = ("/etc/sysconfig/iptables", "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n");
    let with = boot(&host("2.6.32-754.el6.x86_64", &[&files[..], &[rules]].concat()), &[]);
    assert_eq!((value(&with, MAX), with.assumed.len()), (Some(99_999), 0), "{:?}", with.assumed);
    let without = boot(&host("2.6.32-754.el6.x86_64", &files), &[]);
    assert_eq!(value(&without, MAX), None);
    let told = "iptables does nothing, and /etc/sysconfig/iptables-config counts for nothing: \
                /etc/sysconfig/iptables is not there";
    assert!(without.assumed.iter().any(|a| a.contains(told)), "{:?}", without.assumed);
}

#[test]
fn a_script_of_nft_needs_tracking_for_what_it_includes_and_not_for_what_lies_beside_it() {
    let main = ("/etc/nftables.conf", "include \"/srv/fw/*.nft\"\n");
    let plain = ("/srv/fw/a.nft", "table ip a { }\n");
    let loads = |files: &[(&str, &str)]| {
        let b = boot(&host("6.12.1", files), &[]);
        (
            b.steps.iter().any(|s| s.by.contains("nftables")),
            b.assumed.iter().map(|s| s.as_str()).collect::<Vec<_>>().join("\n"),
        )
    };
    assert_eq!(loads(&[ENABLED, main, plain, ("/srv/fw/b.nft", NFT)]), (true, String::new()));
    assert_eq!(
        loads(&[ENABLED, main, plain, ("/etc/nftables/b.nft", NFT)]),
        (false, String::new())
    );
    let (loaded, assumed) = loads(&[ENABLED, ("/etc/nftables.conf", "include \"/none.nft\"\n")]);
    assert!(
        !loaded && assumed.contains("includes /none.nft, which can't be read here"),
        "{assumed}"
    );
}

#[test]
fn a_built_in_tracker_has_its_keys_from_the_start() {
    let file = ("/etc/sysctl.d/60-ct.conf", "net.netfilter.nf_conntrack_max = 524288\n");
    let line = (
        "/proc/cmdline",
        "quiet sysctl.net.netfilter.nf_conntrack_acct=1 nf_conntrack.hashsize=1000",
    );
    let mut facts = host("6.12.1", &[file, line]);
    facts.modular = known(false);
    let b = boot(&facts, &[]);
    assert_eq!(value(&b, MAX), Some(524_288));
    assert_eq!(value(&b, "nf_conntrack_buckets"), Some(1024));
    assert_eq!(value(&b, "nf_conntrack_acct"), Some(1));
    facts.modular = known(true);
    let b = boot(&facts, &[FileChange { path: EARLY.0.into(), text: Some(EARLY.1.into()) }]);
    assert_eq!(value(&b, "nf_conntrack_acct"), Some(0), "the command line came too early");
    assert_eq!(value(&b, "nf_conntrack_buckets"), Some(1024), "modprobe hands it on");
}

#[test]
fn hashsize_makes_the_limit_eight_times_the_buckets_and_the_expectations_follow() {
    for (release, hashsize, buckets, max, expect) in [
        ("6.12.1", 4096, 4096, 32_768, 64),
        ("6.12.1", 1000, 1024, 8192, 12),
        ("3.10.0-1160.el7", 512, 512, 4096, 8),
        ("2.6.18-398.el5", 1000, 1000, 8000, 0),
    ] {
        let module = if release.starts_with("2.6.18") { "ip_conntrack" } else { "nf_conntrack" };
        let options = alloc::format!("options {module} hashsize={hashsize}\n");
        let modprobe = if release.starts_with("2.6.18") {
            "/etc/modprobe.conf"
        } else {
            "/etc/modprobe.d/ct.conf"
        };
        let facts = host(
            release,
            &[
                (modprobe, &options),
                ("/etc/modules-load.d/ct.conf", module),
                ("/etc/rc.modules", &alloc::format!("modprobe {module}\n")),
            ],
        );
        let b = boot(&facts, &[]);
        assert_eq!(value(&b, "nf_conntrack_max"), Some(max), "{release}");
        assert_eq!(value(&b, "nf_conntrack_buckets").or(Some(buckets)), Some(buckets), "{release}");
        if expect > 0 {
            assert_eq!(value(&b, "nf_conntrack_expect_max"), Some(expect), "{release}");
        }
    }
}

#[test]
fn the_last_file_by_name_wins_and_the_losers_are_told_in_order() {
    let b = boot(
        &host(
            "6.12.1",
            &[
                EARLY,
                ("/usr/lib/sysctl.d/50-vendor.conf", "net.netfilter.nf_conntrack_max=111\n"),
                ("/etc/sysctl.d/10-first.conf", "net.netfilter.nf_conntrack_max=222\n"),
                ("/etc/sysctl.conf", "net.netfilter.nf_conntrack_max=333\n"),
            ],
        ),
        &[],
    );
    let o = b.outcome(MAX).expect("the limit");
    assert_eq!(o.after, After::Value(111));
    assert_eq!(o.because, "/usr/lib/sysctl.d/50-vendor.conf line 1, by systemd-sysctl");
    let losers: Vec<_> = o.losers().map(|a| a.assignment.value.as_str()).collect();
    assert_eq!(losers, ["333", "222"]);
    assert_eq!(kinds(&b), ["not-read", "overridden"]);
    assert!(mends(&b).contains("ln -s ../sysctl.conf /etc/sysctl.d/99-sysctl.conf"));
}

#[test]
fn a_refused_value_takes_the_good_one_before_it_along_under_systemd() {
    let files = [
        EARLY,
        ("/etc/sysctl.d/10-a.conf", "net.netfilter.nf_conntrack_max=300000\n"),
        ("/etc/sysctl.d/20-b.conf", "net.netfilter.nf_conntrack_max=512k\n"),
    ];
    let b = boot(&host("6.12.1", &files), &[]);
    assert_eq!(value(&b, MAX), Some(262_144));
    let lint = b.lints.iter().find(|l| l.kind == LintKind::BadValue).expect("refused");
    assert!(lint.what.contains("10-a.conf line 1 is not written either"), "{}", lint.what);
    assert_eq!(lint.mend, "write net.netfilter.nf_conntrack_max = 524288");
    let mut procps = host("6.12.1", &files);
    procps.tree.put_text("/proc/1/comm", "init\n");
    procps.tree.put_text("/etc/init.d/procps", "");
    assert_eq!(value(&boot(&procps, &[]), MAX), Some(300_000), "procps writes line by line");
}

#[test]
fn each_mistake_is_named_with_its_mend() {
    for (line, kind, mend) in [
        (
            "net.ipv4.ip_conntrack_max = 5000",
            "dead-generation-key",
            "write net.netfilter.nf_conntrack_max = 5000",
        ),
        (
            "net.netfilter.nf_conntrack_count = 5000",
            "read-only-key",
            "remove it, or set net.netfilter.nf_conntrack_max",
        ),
        (
            "net.netfilter.nf_contrack_max = 5000",
            "unknown-key",
            "write net.netfilter.nf_conntrack_max = 5000",
        ),
        (
            "net.netfilter.nf_conntrack_tcp_timeout_established = 2h",
            "value-refused",
            "write net.netfilter.nf_conntrack_tcp_timeout_established = 7200",
        ),
        (
            "net.netfilter.nf_conntrack_max = 262 144",
            "value-misread",
            "write it as a plain decimal number",
        ),
        (
            "net.netfilter.nf_conntrack_max = 262,144",
            "value-refused",
            "write net.netfilter.nf_conntrack_max = 262144",
        ),
        ("net.netfilter.nf_conntrack_tcp_loose = 2", "value-refused", "write 0 or 1"),
        (
            "net.netfilter.nf_conntrack_max = 99999999999",
            "value-refused",
            "write at most 2147483647",
        ),
        (
            "net.netfilter.nf_conntrack_max = 4000000",
            "ratio",
            "set net.netfilter.nf_conntrack_buckets = 4000000 beside it",
        ),
        (
            "net.netfilter.nf_conntrack_max 5000",
            "malformed-line",
            "write it as `key = value`, or remove it",
        ),
    ] {
        let text = alloc::format!("{line}\n");
        let b = boot(&host("6.12.1", &[EARLY, ("/etc/sysctl.d/60-ct.conf", &text)]), &[]);
        assert_eq!(kinds(&b), [kind], "{line}");
        assert_eq!(b.lints[0].mend, mend, "{line}");
    }
}

#[test]
fn lines_of_the_module_s_files_that_do_nothing_are_named() {
    let max = ("/etc/sysctl.d/60-ct.conf", "net.netfilter.nf_conntrack_max = 5000\n");
    let lint = |files: &[(&str, &str)]| {
        let b = boot(&host("6.12.1", files), &[]);
        (kinds(&b), value(&b, MAX))
    };
    let ct = "/etc/modprobe.d/ct.conf";
    let (kinds_of, max_of) = lint(&[EARLY, max, (ct, "options nf_conntrack max=9\n")]);
    assert_eq!((kinds_of, max_of), (vec!["module-line-without-effect"], Some(5000)));
    let (kinds_of, _) = lint(&[EARLY, max, (ct, "options ip_conntrack hashsize=9\n")]);
    assert_eq!(kinds_of, ["module-line-without-effect"]);
    // The module is not loaded at all, and the file's line has no key.
    let (kinds_of, _) = lint(&[EARLY, max, (ct, "options nf_conntrack hashsize=64k\n")]);
    assert_eq!(kinds_of, ["module-never-loaded", "module-line-without-effect"]);
    let (kinds_of, _) = lint(&[EARLY, max, (ct, "install nf_conntrack /bin/false\n")]);
    assert_eq!(kinds_of, ["module-never-loaded"]);
    let (kinds_of, _) = lint(&[EARLY, max, (ct, "blacklist nf_conntrack\n")]);
    assert_eq!(kinds_of, ["module-loads-later", "module-line-without-effect"]);
    let with_options = ("/etc/modules-load.d/ct.conf", "nf_conntrack hashsize=5000\n");
    let (kinds_of, _) = lint(&[with_options, max]);
    assert_eq!(kinds_of, ["module-loads-later", "module-line-without-effect"]);
}

#[test]
fn an_unknown_option_keeps_old_kernels_from_loading_the_module() {
    let files = [
        ("/etc/modprobe.d/ct.conf", "options nf_conntrack max=9\n"),
        ("/etc/rc.modules", "modprobe nf_conntrack\n"),
        ("/etc/sysctl.conf", "net.nf_conntrack_max = 5000\n"),
    ];
    let b = boot(&host("2.6.32-754.el6.x86_64", &files), &[]);
    assert!(matches!(b.outcome(MAX).expect("the limit").after, After::Absent(..)));
}

#[test]
fn a_udev_rule_applies_the_files_when_the_firewall_loads_the_module() {
    let rule = (
        "/etc/udev/rules.d/91-ct.rules",
        "ACTION==\"add\", SUBSYSTEM==\"module\", KERNEL==\"nf_conntrack\", RUN+=\"/usr/lib/systemd/systemd-sysctl --prefix=/net/netfilter\"\n",
    );
    let file = (
        "/etc/sysctl.d/60-ct.conf",
        "net.netfilter.nf_conntrack_max = 524288\nnet.netfilter.nf_conntrack_acct = 1\n",
    );
    let b = boot(&host("6.12.1", &[ENABLED, RULES, rule, file]), &[]);
    assert_eq!(value(&b, MAX), Some(524_288));
    assert_eq!(
        kinds(&b),
        ["no-order", "no-order"],
        "lost first, and then not, if udev is not too quick"
    );
    let alias = ("/etc/sysctl.d/60-ct.conf", "net.nf_conntrack_max = 524288\n");
    let b = boot(&host("6.12.1", &[ENABLED, RULES, rule, alias]), &[]);
    assert_eq!(value(&b, MAX), Some(262_144), "the prefix does not name the alias");
}

#[test]
fn a_unit_without_order_makes_the_value_uncertain() {
    let unit = (
        "/usr/lib/systemd/system/nftables.service",
        "[Unit]\nWants=network-pre.target\nBefore=network-pre.target shutdown.target\nDefaultDependencies=no\n",
    );
    let file = ("/etc/sysctl.d/60-ct.conf", "net.netfilter.nf_conntrack_max = 524288\n");
    let b = boot(&host("6.12.1", &[ENABLED, RULES, unit, file]), &[]);
    let o = b.outcome(MAX).expect("the limit");
    assert_eq!(o.after, After::Value(262_144));
    assert_eq!(o.or.as_ref().map(|(a, _)| a.number()), Some(Some(524_288)));
    assert_eq!(kinds(&b), ["no-order"]);
    assert_eq!(
        b.module,
        "nf_conntrack is loaded by nftables.service (/etc/nftables.conf), before systemd-sysctl applies the files or \
         after it: nothing orders them"
    );
}

#[test]
fn a_copy_that_an_editor_or_a_package_left_is_not_to_be_made_a_file_that_counts() {
    let mend = |name: &str| {
        let path = format!("/etc/sysctl.d/{name}");
        let b = boot(&host("6.12.1", &[EARLY, (&path, &format!("{MAX} = 1\n"))]), &[]);
        assert_eq!(b.lints.len(), 1, "{name}");
        b.lints[0].mend.to_string()
    };
    assert_eq!(mend("70-ct"), "rename it to /etc/sysctl.d/70-ct.conf");
    for left in ["70-ct.conf.bak", "70-ct.conf~", "70-ct.conf.dpkg-old", "70-ct.conf.rpmsave"] {
        assert_eq!(mend(left), "none is needed where that is meant", "{left}");
    }
}

#[test]
fn kube_proxy_has_the_last_word_by_its_own_configuration() {
    let config = (
        "/var/lib/kubelet/pods/1/volumes/kubernetes.io~configmap/kube-proxy/config.conf",
        "kind: KubeProxyConfiguration\nconntrack:\n  maxPerCore: 100000\n  min: 131072\n  tcpEstablishedTimeout: 1h0m0s\n",
    );
    let file = ("/etc/sysctl.d/60-ct.conf", "net.netfilter.nf_conntrack_max = 524288\n");
    let b = boot(&host("6.12.1", &[EARLY, config, file]), &[]);
    assert_eq!(value(&b, MAX), Some(200_000));
    assert_eq!(value(&b, "nf_conntrack_buckets"), Some(262_144), "it never lowers them");
    assert_eq!(value(&b, "nf_conntrack_tcp_timeout_established"), Some(3600));
    assert_eq!(value(&b, "nf_conntrack_tcp_timeout_close_wait"), Some(3600), "its own value");
    assert_eq!(kinds(&b), ["overridden"]);
    assert!(mends(&b).contains("kube-proxy's own configuration"));
    let leaves = (
        config.0,
        "kind: KubeProxyConfiguration\nconntrack:\n  maxPerCore: 0\n  tcpEstablishedTimeout: 0s\n",
    );
    assert_eq!(value(&boot(&host("6.12.1", &[EARLY, leaves, file]), &[]), MAX), Some(524_288));
    let mut chains = host("6.12.1", &[EARLY, file]);
    let sign = |name| Manager::new(ManagerKind::Kubernetes, name, Said::name(name));
    let mut seen = vec![sign("kubelet")];
    chains.managers = known(seen.clone());
    assert_eq!(value(&boot(&chains, &[]), MAX), Some(524_288), "kubelet sets nothing");
    Manager::merge(&mut seen, [sign("KUBE-FIREWALL"), sign("KUBE-SERVICES")]);
    assert_eq!(seen.len(), 1);
    chains.managers = known(seen);
    let b = boot(&chains, &[]);
    assert_eq!(value(&b, MAX), Some(131_072));
    assert_eq!(b.assumed.len(), 1);
}

#[test]
fn kube_proxys_product_of_processors_ends_at_a_mebi_and_flags_are_read_from_its_process() {
    let config = |more: &str| {
        let text = format!("kind: KubeProxyConfiguration\nconntrack:\n{more}");
        host(
            "6.12.1",
            &[
                EARLY,
                ("/var/lib/kubelet/pods/1/volumes/kubernetes.io~configmap/config/config", &text),
            ],
        )
    };
    let many = "  maxPerCore: 1000000\n  min: 4000000\n";
    let b = boot(&config(many), &[]);
    assert_eq!((value(&b, MAX), b.assumed.len()), (Some(1 << 20), 1));
    let b = boot(&config("  maxPerCore: 1\n  min: 4000000\n"), &[]);
    assert_eq!((value(&b, MAX), b.assumed.len()), (Some(4_000_000), 0));
    // It runs, and shows that it is an older one.
    let mut older = config("  maxPerCore: 1000000\n");
    older.settings.insert("nf_conntrack_max".into(), "2000000".into());
    let b = boot(&older, &[]);
    assert_eq!((value(&b, MAX), b.assumed.len()), (Some(2_000_000), 1));

    let file = ("/etc/sysctl.d/60-ct.conf", "net.netfilter.nf_conntrack_max = 524288\n");
    let runs = |flags| boot(&host("6.12.1", &[EARLY, file, ("/proc/77/cmdline", flags)]), &[]);
    assert_eq!(value(&runs("kube-proxy\0--conntrack-max-per-core=0\0"), MAX), Some(524_288));
    let b = runs("kube-proxy\0--v=2\0");
    assert_eq!(value(&b, MAX), Some(131_072));
    assert_eq!(
        b.outcome(MAX).expect("it is told").because.as_str(),
        "kube-proxy's flags, by kube-proxy"
    );
    // What a file tells it is not known here.
    assert_eq!(value(&runs("kube-proxy\0--config=/x\0"), MAX), Some(524_288));
    assert_eq!(value(&runs("kube-proxy\0--config\0/x\0"), MAX), Some(524_288));
    let flags = "kube-proxy\0--config-sync-period=15m\0--conntrack-min=9000\0";
    assert_eq!(value(&runs(flags), MAX), Some(65_536), "two processors' worth");
}

/// Neither the name of the file that has the last word nor who applies it makes it a program's configuration.
#[test]
fn a_line_that_loses_to_a_file_is_mended_in_that_file_whatever_its_name() {
    let early = ("/etc/sysctl.d/10-ct.conf", "net.netfilter.nf_conntrack_max = 1000\n");
    let named = ("/etc/sysctl.d/99-kube-proxy.conf", "net.netfilter.nf_conntrack_max = 2000\n");
    let mended = |b: &Boot| mends(b).contains("change it in /etc/sysctl.d/99-kube-proxy.conf");
    assert!(mended(&boot(&host("6.12.1", &[EARLY, early, named]), &[])));
    let tuned = [
        EARLY,
        named,
        ("/etc/systemd/system/multi-user.target.wants/tuned.service", ""),
        ("/etc/tuned/active_profile", "mine\n"),
        ("/etc/tuned/mine/tuned.conf", "[sysctl]\nnet.netfilter.nf_conntrack_max = 3000\n"),
    ];
    let b = boot(&host("6.12.1", &tuned), &[]);
    assert_eq!((value(&b, MAX), mended(&b)), (Some(2000), true), "{}", mends(&b));
}

#[test]
fn tuned_sets_its_profile_and_then_the_files_of_etc_again() {
    let tuned = [
        EARLY,
        ("/etc/systemd/system/multi-user.target.wants/tuned.service", ""),
        ("/etc/tuned/active_profile", "mine\n"),
        (
            "/etc/tuned/mine/tuned.conf",
            "[main]\ninclude=base\n[sysctl]\nnet.netfilter.nf_conntrack_max=400000\n",
        ),
        (
            "/usr/lib/tuned/base/tuned.conf",
            "[sysctl]\nnet.netfilter.nf_conntrack_max=1\nnet.netfilter.nf_conntrack_acct=1\n[net]\nnf_conntrack_hashsize=300000\n",
        ),
        ("/usr/lib/sysctl.d/60-ct.conf", "net.netfilter.nf_conntrack_max = 500000\n"),
    ];
    let b = boot(&host("6.12.1", &tuned), &[]);
    assert_eq!(value(&b, MAX), Some(400_000), "the files of /usr are not applied again");
    assert_eq!(value(&b, "nf_conntrack_acct"), Some(1));
    assert_eq!(value(&b, "nf_conntrack_buckets"), Some(300_032));
    let etc = FileChange {
        path: "/etc/sysctl.d/70.conf".into(),
        text: Some("net.netfilter.nf_conntrack_max=600000\n".into()),
    };
    assert_eq!(
        value(&boot(&host("6.12.1", &tuned), core::slice::from_ref(&etc)), MAX),
        Some(600_000)
    );
    let main = FileChange {
        path: "/etc/tuned/tuned-main.conf".into(),
        text: Some("reapply_sysctl = 0\n".into()),
    };
    assert_eq!(value(&boot(&host("6.12.1", &tuned), &[etc, main]), MAX), Some(400_000));
}

#[test]
fn ufw_applies_its_own_file_when_it_is_enabled() {
    let files = [
        ("/etc/systemd/system/multi-user.target.wants/ufw.service", ""),
        ("/etc/ufw/ufw.conf", "  ENABLED=\"yes\" # on\n"),
        ("/etc/default/ufw", "IPT_SYSCTL='/etc/ufw/my.conf'\n"),
        ("/etc/ufw/my.conf", "net/netfilter/nf_conntrack_max=77777\n"),
        ("/etc/ufw/sysctl.conf", "net/netfilter/nf_conntrack_max=88888\n"),
    ];
    assert_eq!(value(&boot(&host("6.12.1", &files), &[]), MAX), Some(77_777));
    let off = FileChange { path: "/etc/ufw/ufw.conf".into(), text: Some("ENABLED=no\n".into()) };
    let b = boot(&host("6.12.1", &files), &[off]);
    assert!(matches!(b.outcome(MAX).expect("the limit").after, After::Absent(_, Some(262_144))));
    assert_eq!(kinds(&b), ["not-read"]);
    // It is on, and nothing starts it.
    let b = boot(&host("6.12.1", &files[1..]), &[]);
    assert!(matches!(b.outcome(MAX).expect("the limit").after, After::Absent(..)));
    assert_eq!(kinds(&b), ["not-read"]);
    let named = FileChange {
        path: "/etc/default/ufw".into(),
        text: Some("IPT_SYSCTL=/etc/ufw/gone.conf\n".into()),
    };
    let b = boot(&host("6.12.1", &files), &[named]);
    assert!(b.assumed.iter().any(|a| *a == "ufw applies /etc/ufw/gone.conf, which is not there"));
    let none =
        FileChange { path: "/etc/default/ufw".into(), text: Some("IPT_SYSCTL=\"\"\n".into()) };
    let b = boot(&host("6.12.1", &files), &[none]);
    assert_eq!(value(&b, MAX), Some(262_144), "it loads the module, and applies nothing");
}

#[test]
fn shorewall_brings_the_module_unless_its_files_keep_it_from_starting() {
    let absent = |facts: &BootFacts, changes: &[FileChange]| {
        matches!(boot(facts, changes).outcome(MAX).expect("the limit").after, After::Absent(..))
    };
    let says = |path: &str, text: &str| FileChange { path: path.into(), text: Some(text.into()) };
    for product in ["shorewall", "shorewall6", "shorewall-lite", "shorewall6-lite"] {
        let wants = "/etc/systemd/system/basic.target.wants";
        let unit = alloc::format!("{wants}/{product}.service");
        let facts = host("6.12.1", &[(unit.as_str(), "")]);
        let b = boot(&facts, &[]);
        let step = alloc::format!("loads nf_conntrack ({unit})");
        assert!(b.steps.iter().any(|s| s.stage == Stage::Firewall && s.what == step));
        assert_eq!(value(&b, MAX), Some(262_144));
        let conf = alloc::format!("/etc/{product}/{product}.conf");
        assert!(absent(&facts, &[says(&conf, "STARTUP_ENABLED=No\n")]));
        assert!(!absent(&facts, &[says(&conf, "STARTUP_ENABLED=\"Yes\" # on\n")]));
        // Only the init script asks /etc/default.
        let defaults = alloc::format!("/etc/default/{product}");
        assert!(!absent(&facts, &[says(&defaults, "startup=0\n")]));
        let mut script = facts.clone();
        script.tree = Tree::default();
        script.tree.put_text(alloc::format!("/etc/rcS.d/S17{product}"), "");
        assert!(absent(&script, &[says(&defaults, "startup=0\n")]));
        assert!(!absent(&script, &[says(&defaults, "startup=1\n")]));
    }
}

#[test]
fn rc_local_comes_when_the_module_is_there_and_cloud_init_only_once() {
    let files = [
        ENABLED,
        RULES,
        ("/etc/rc.local", "#!/bin/sh\nsysctl -w net.netfilter.nf_conntrack_max=70000\n"),
        (
            "/var/lib/cloud/instance/user-data.txt",
            "#cloud-config\nruncmd:\n - sysctl -w net.netfilter.nf_conntrack_max=1\nbootcmd:\n - [ sysctl, -w, net.netfilter.nf_conntrack_acct=1 ]\n",
        ),
    ];
    let mut facts = host("6.12.1", &files);
    let b = boot(&facts, &[]);
    assert_eq!(value(&b, MAX), Some(70_000));
    assert_eq!(value(&b, "nf_conntrack_acct"), Some(1));
    assert_eq!(kinds(&b), ["not-read"]);
    let text = files[2].1.to_string();
    facts.tree.put("/etc/rc.local", Entry::File { text, executable: Some(false) });
    assert_eq!(value(&boot(&facts, &[]), MAX), Some(262_144), "systemd does not run it");
}

#[test]
fn centos_6_applies_its_file_before_the_firewall_and_by_the_load_list_after_it() {
    let files = [
        ("/etc/rc.d/rc.sysinit", ""),
        ("/etc/rc.d/rc3.d/S08iptables", ""),
        ("/etc/rc.d/rc3.d/S10network", ""),
        ("/etc/sysctl.conf", "net.netfilter.nf_conntrack_max = 131072\n"),
        (
            "/etc/sysconfig/iptables",
            "*filter\n-A INPUT -m state --state ESTABLISHED -j ACCEPT\nCOMMIT\n",
        ),
        (
            "/etc/sysconfig/iptables-config",
            "IPTABLES_MODULES=\"\"\nIPTABLES_MODULES_UNLOAD=\"no\"\n",
        ),
    ];
    let facts = host("2.6.32-754.el6.x86_64", &files);
    let b = boot(&facts, &[]);
    assert_eq!((value(&b, MAX), kinds(&b)), (Some(65_536), vec!["module-loads-later"]));
    let list = FileChange {
        path: "/etc/sysconfig/iptables-config".into(),
        text: Some(
            "IPTABLES_MODULES_UNLOAD=\"no\"\nIPTABLES_SYSCTL_LOAD_LIST=\".nf_conntrack\"\n".into(),
        ),
    };
    let b = boot(&facts, &[list]);
    assert_eq!((value(&b, MAX), kinds(&b)), (Some(131_072), vec![]));
    let network = FileChange {
        path: "/etc/rc.d/init.d/network".into(),
        text: Some("#!/bin/bash\n case x in\n    # once more\n    apply_sysctl\n esac\n".into()),
    };
    let b = boot(&facts, &[network]);
    assert_eq!(
        (value(&b, MAX), kinds(&b)),
        (Some(131_072), vec![]),
        "its init script network does it"
    );
}

#[test]
fn timeouts_of_old_kernels_come_with_the_module_of_ipv4() {
    let timeout = "net.netfilter.nf_conntrack_tcp_timeout_established";
    let text = alloc::format!("{MAX} = 300000\n{timeout} = 7200\n");
    let facts = host("3.10.0-1160.el7.x86_64", &[EARLY, ("/etc/sysctl.d/60-ct.conf", &text)]);
    let b = boot(&facts, &[]);
    assert_eq!((value(&b, MAX), value(&b, timeout)), (Some(300_000), Some(432_000)));
    assert!(
        mends(&b).contains("echo nf_conntrack_ipv4 > /etc/modules-load.d/nf_conntrack_ipv4.conf")
    );
    let both = FileChange { path: EARLY.0.into(), text: Some("nf_conntrack_ipv4\n".into()) };
    assert_eq!(value(&boot(&facts, &[both]), timeout), Some(7200));
}

#[test]
fn what_is_not_known_is_not_guessed() {
    let mut facts = host("6.12.1", &[EARLY]);
    facts.memory = Fact::missing(Reason::NotCollected, Said::name("staged"));
    assert!(matches!(boot(&facts, &[]).outcome(MAX).expect("the limit").after, After::Unknown(_)));
    let script = ("/etc/rc.local", "sysctl -w net.netfilter.nf_conntrack_max=$N\n");
    let b = boot(&host("6.12.1", &[EARLY, script]), &[]);
    assert!(matches!(b.outcome(MAX).expect("the limit").after, After::Unknown(_)));
}
