//! What the files will do at the next boot.

use std::collections::BTreeMap;

use plimsoll_ct::Entries;
use plimsoll_diagnosis::boot::BootFacts;
use plimsoll_diagnosis::facts::{Manager, ManagerKind, Snapshot};
use plimsoll_diagnosis::{RemedyId, Said, Verdict, plan};
use plimsoll_wire::iptables_config::IptablesConfig;

use crate::build::*;

const MAX: &str = "net.netfilter.nf_conntrack_max";
const FILE: &str = "/etc/sysctl.d/60-ct.conf";

fn raised(release: &str, max: u64) -> Snapshot {
    let mut after = host(release, 8);
    after.host.global_max = known(max);
    after.namespaces[0].max = known(Entries(max));
    after
}

#[test]
fn a_limit_that_no_file_sets_is_lost_at_boot() {
    let after = raised("6.12.117", 524_288);
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT040"]);
    assert_eq!(
        summary(&d, "CT040"),
        "net.netfilter.nf_conntrack_max is 524,288 and will be 262,144 after a boot: no file sets it."
    );
    says(&d, RemedyId::Persist, "echo nf_conntrack > /etc/modules-load.d/plimsoll.conf");
    says(
        &d,
        RemedyId::Persist,
        "printf '%s\\n' 'net.netfilter.nf_conntrack_max = 524288' > /etc/sysctl.d/90-plimsoll.conf",
    );
}

#[test]
fn a_boot_that_gives_a_higher_limit_loses_nothing_and_nothing_is_to_stay() {
    let after = raised("6.12.117", 2_000);
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), Vec::<&str>::new());
    assert_eq!(
        summary(&d, "CT040"),
        "net.netfilter.nf_conntrack_max is 2,000 and will be 262,144 after a boot: no file sets it."
    );
    assert_eq!(remedies(&d), Vec::<&str>::new(), "to keep the low limit would do harm");
    let mut facts = BootFacts::of(&after);
    facts.settings.retain(|name, _| name == "nf_conntrack_max");
    let plan = plan::persist(&[], &facts, &BTreeMap::new());
    assert!(plan.changes.is_empty());
    assert!(plan.warnings[0].contains("is 2,000 and will be 262,144 after a boot: more room"));
    let asked = ["nf_conntrack_max".to_string()];
    let plan = plan::persist(&asked, &BootFacts::of(&after), &BTreeMap::new());
    assert_eq!(plan.title, "make nf_conntrack_max = 2000 survive the boot", "who asks gets it");
    let short = ["tcp_timeout_established".to_string()];
    let plan = plan::persist(&short, &BootFacts::of(&after), &BTreeMap::new());
    assert_eq!(plan.refused, Vec::<Said>::new(), "names may be short, as for `fix timeout`");
}

#[test]
fn a_limit_that_a_file_sets_before_the_module_is_there_is_lost_as_well() {
    let mut after = raised("6.12.117", 524_288);
    sets(&mut after, &[assigns(FILE, 2, MAX, "524288")]);
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT040"]);
    assert!(
        summary(&d, "CT040").contains("does not exist yet when systemd-sysctl writes it"),
        "{}",
        summary(&d, "CT040")
    );
    early(&mut after);
    assert_eq!(ids(&judge(&after, &[])), Vec::<&str>::new());
}

#[test]
fn a_built_in_tracker_takes_its_file_without_further_ado() {
    let mut after = raised("6.18.15", 524_288);
    after.host.modular = known(false);
    after.host.modules = known(vec![]);
    sets(&mut after, &[assigns(FILE, 2, MAX, "524288")]);
    assert_eq!(ids(&judge(&after, &[])), Vec::<&str>::new());
}

#[test]
fn the_last_assignment_wins_and_is_named_when_it_differs() {
    let mut after = raised("6.12.117", 524_288);
    early(&mut after);
    sets(
        &mut after,
        &[
            assigns(FILE, 2, MAX, "524288"),
            assigns("/etc/sysctl.d/99-tuning.conf", 7, MAX, "131072"),
        ],
    );
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT040"]);
    assert_eq!(
        summary(&d, "CT040"),
        "net.netfilter.nf_conntrack_max is 524,288 and will be 131,072 after a boot: \
         /etc/sysctl.d/99-tuning.conf line 7 says 131072."
    );
    says(
        &d,
        RemedyId::Persist,
        "# /etc/sysctl.d/99-tuning.conf line 7 sets net.netfilter.nf_conntrack_max to 131072 later: \
         change it there",
    );
}

#[test]
fn what_kube_proxy_sets_again_is_no_alarm() {
    let mut after = raised("6.12.117", 524_288);
    let settings = &mut after.namespaces[0].settings;
    settings.insert("nf_conntrack_tcp_timeout_established".into(), "86400".into());
    settings.insert("nf_conntrack_tcp_timeout_close_wait".into(), "3600".into());
    assert_eq!(acts(&judge(&after, &[])), ["CT040"]);
    after.boot.managers = known(vec![Manager::new(
        ManagerKind::Kubernetes,
        "KUBE-SERVICES",
        Said::name("chain KUBE-SERVICES"),
    )]);
    let d = judge(&after, &[]);
    assert_eq!((ids(&d), d.verdict), (vec!["CT040"], Verdict::Ok));
    assert!(summary(&d, "CT040").contains("kube-proxy may set it again"));
}

#[test]
fn the_limit_that_hashsize_makes_is_not_called_lost() {
    let mut after = raised("6.12.117", 1_048_576);
    after.host.buckets = known(131_072);
    option(&mut after, "hashsize", "131072");
    assert_eq!(ids(&judge(&after, &[])), Vec::<&str>::new());
}

#[test]
fn a_key_of_a_dead_generation_has_no_effect() {
    let mut after = host("6.12.117", 8);
    let old = "net.ipv4.ip_conntrack_max";
    sets(&mut after, &[assigns("/etc/sysctl.conf", 12, old, "131072")]);
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT041"]);
    assert_eq!(
        summary(&d, "CT041"),
        "/etc/sysctl.d/99-sysctl.conf line 12 sets net.ipv4.ip_conntrack_max, a name that this kernel (6.12) does \
         not have: it has no effect; what was meant is net.netfilter.nf_conntrack_max."
    );
    says(
        &d,
        RemedyId::Persist,
        "sed -i --follow-symlinks '12s|.*|net.netfilter.nf_conntrack_max = 131072|' /etc/sysctl.d/99-sysctl.conf",
    );
    let mut el7 = host("3.10.0-1160.el7.x86_64", 8);
    sets(&mut el7, &[assigns("/etc/sysctl.conf", 12, old, "262144")]);
    early(&mut el7);
    assert_eq!(ids(&judge(&el7, &[])), Vec::<&str>::new(), "RHEL 7 has both names");
}

#[test]
fn a_young_key_on_centos_5_has_no_effect_either() {
    let mut after = host("2.6.18-398.el5", 2);
    sets(&mut after, &[assigns("/etc/sysctl.conf", 9, MAX, "131072")]);
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT041"]);
    assert!(summary(&d, "CT041").contains("what was meant is net.ipv4.netfilter.ip_conntrack_max"));
}

#[test]
fn a_dead_key_beside_its_living_twin_is_only_a_leftover() {
    let mut after = host("6.12.117", 8);
    early(&mut after);
    sets(
        &mut after,
        &[
            assigns("/etc/sysctl.conf", 12, "net.ipv4.ip_conntrack_max", "262144"),
            assigns("/etc/sysctl.conf", 13, MAX, "262144"),
        ],
    );
    let d = judge(&after, &[]);
    assert_eq!((ids(&d), d.verdict), (vec!["CT041"], Verdict::Ok));
}

#[test]
fn the_count_that_a_copied_article_sets_is_read_only() {
    let mut after = host("6.12.117", 8);
    let count = "net.netfilter.nf_conntrack_count";
    sets(&mut after, &[assigns("/etc/sysctl.conf", 5, count, "131072")]);
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT042"]);
    assert!(summary(&d, "CT042").ends_with("what was meant is net.netfilter.nf_conntrack_max."));
    says(&d, RemedyId::Persist, "sed -i --follow-symlinks '5s/^/# /' /etc/sysctl.d/99-sysctl.conf");
    let persist = |value: &str| {
        let mut after = after.clone();
        sets(&mut after, &[assigns("/etc/sysctl.conf", 5, count, value)]);
        remedy(&judge(&after, &[]), RemedyId::Persist).commands.clone()
    };
    let more = persist("524288");
    assert_eq!(
        more,
        [
            "sed -i --follow-symlinks '5s|.*|net.netfilter.nf_conntrack_max = 524288|' /etc/sysctl.d/99-sysctl.conf",
            "sysctl -w net.netfilter.nf_conntrack_max=524288"
        ],
        "the number that was meant is kept"
    );
    assert_eq!(
        persist("99999999"),
        ["sed -i --follow-symlinks '5s/^/# /' /etc/sysctl.d/99-sysctl.conf"],
        "memory cannot keep it"
    );
}

#[test]
fn centos_5_applies_its_file_again_when_the_firewall_has_started() {
    let mut after = raised("2.6.18-398.el5", 131_072);
    let max = "net.ipv4.netfilter.ip_conntrack_max";
    sets(&mut after, &[assigns("/etc/sysctl.conf", 5, max, "131072")]);
    service(
        &mut after,
        IptablesConfig {
            unload: Some(false),
            sysctl_load_list: vec![".ip_conntrack".into()],
            ..IptablesConfig::default()
        },
    );
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT040"], "nobody knows whether its init script has the list");
    let commands = &remedy(&d, RemedyId::Persist).commands;
    assert!(commands.iter().all(|c| !c.contains("IPTABLES_SYSCTL_LOAD_LIST")), "{commands:#?}");
    says(
        &d,
        RemedyId::Persist,
        "grep -q '^/sbin/sysctl -e -p' /etc/rc.d/rc.local || echo '/sbin/sysctl -e -p' >> \
         /etc/rc.d/rc.local",
    );
    sets(
        &mut after,
        &[
            assigns("/etc/sysctl.conf", 5, max, "131072"),
            assigns("/etc/rc.d/rc.local", 8, max, "131072"),
        ],
    );
    // 131072 entries in the 8192 buckets that this kernel gives itself.
    assert_eq!(ids(&judge(&after, &[])), ["CT046"], "rc.local comes after the firewall");
}

#[test]
fn buckets_could_not_be_written_before_4_9() {
    let mut after = host("3.10.0-1160.el7.x86_64", 8);
    let buckets = "net.netfilter.nf_conntrack_buckets";
    sets(&mut after, &[assigns("/etc/sysctl.conf", 5, buckets, "131072")]);
    assert_eq!(acts(&judge(&after, &[])), ["CT042"]);
    let mut young = host("6.12.117", 8);
    early(&mut young);
    sets(&mut young, &[assigns("/etc/sysctl.conf", 5, buckets, "262144")]);
    assert_eq!(ids(&judge(&young, &[])), Vec::<&str>::new());
}

#[test]
fn the_iptables_service_of_centos_6_applies_what_its_load_list_names() {
    let mut after = raised("2.6.32-754.el6.x86_64", 131_072);
    sets(&mut after, &[assigns("/etc/sysctl.conf", 5, "net.nf_conntrack_max", "131072")]);
    let mut config = IptablesConfig {
        modules: vec!["nf_conntrack_ftp".into()],
        modules_line: Some(6),
        unload: Some(true),
        sysctl_load_list: vec![],
    };
    service(&mut after, config.clone());
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT040", "CT047"]);
    assert!(summary(&d, "CT047").contains("IPTABLES_MODULES_UNLOAD = yes: each restart"));
    assert!(summary(&d, "CT040").contains("does not exist yet when rc.sysinit writes it"));
    says(
        &d,
        RemedyId::Persist,
        "sed -i 's/^IPTABLES_MODULES_UNLOAD=.*/IPTABLES_MODULES_UNLOAD=\"no\"/' \
         /etc/sysconfig/iptables-config",
    );
    config.sysctl_load_list = vec![".nf_conntrack".into()];
    service(&mut after, config);
    assert_eq!(ids(&judge(&after, &[])), Vec::<&str>::new());
}

#[test]
fn a_file_that_systemd_does_not_read_is_named_with_the_reason() {
    let mut after = raised("6.12.117", 524_288);
    early(&mut after);
    sets_unread(&mut after, 8, MAX, "524288");
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT040"]);
    assert!(
        summary(&d, "CT040").contains(
            "524288 stands in /etc/sysctl.conf line 8, which is not applied: systemd-sysctl reads only the \
             folders sysctl.d"
        ),
        "{}",
        summary(&d, "CT040")
    );
}

#[test]
fn each_kind_of_mistake_in_the_files_is_a_finding_of_its_own() {
    let of = |key: &str, value: &str| {
        let mut after = host("6.12.117", 8);
        early(&mut after);
        sets(&mut after, &[assigns(FILE, 2, key, value)]);
        judge(&after, &[])
    };
    let unknown = of("net.netfilter.nf_contrack_max", "524288");
    assert_eq!(acts(&unknown), ["CT044"]);
    assert_eq!(
        summary(&unknown, "CT044"),
        "/etc/sysctl.d/60-ct.conf line 2: net.netfilter.nf_contrack_max = 524288: no kernel has this key; the \
         nearest is net.netfilter.nf_conntrack_max."
    );
    let refused = of("net.netfilter.nf_conntrack_tcp_timeout_established", "2h");
    assert_eq!(acts(&refused), ["CT045"]);
    assert!(summary(&refused, "CT045").contains("has a unit; the kernel takes bare numbers"));
    let optioned = |name: &str, value: &str| {
        let mut after = host("6.12.117", 8);
        option(&mut after, name, value);
        judge(&after, &[])
    };
    assert_eq!(acts(&optioned("max", "524288")), ["CT047"]);
    let mut ratio = raised("6.12.117", 4_000_000);
    early(&mut ratio);
    sets(&mut ratio, &[assigns(FILE, 2, MAX, "4000000")]);
    let d = judge(&ratio, &[]);
    assert!(ids(&d).contains(&"CT046"), "{:?}", ids(&d));
    let mut twice = raised("6.12.117", 524_288);
    early(&mut twice);
    sets(
        &mut twice,
        &[assigns("/etc/sysctl.d/10-old.conf", 1, MAX, "131072"), assigns(FILE, 2, MAX, "524288")],
    );
    assert_eq!((acts(&judge(&twice, &[])), ids(&judge(&twice, &[]))), (vec![], vec!["CT043"]));
    let mut unread = host("6.12.117", 8);
    sets_unread(&mut unread, 8, MAX, "524288");
    assert_eq!(ids(&judge(&unread, &[])), ["CT048"]);
}
