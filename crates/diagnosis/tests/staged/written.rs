//! What the operator wrote down, where a higher limit is asked for.

use plimsoll_ct::{Counter, Entries, TcpState};
use plimsoll_diagnosis::boot::BootFacts;
use plimsoll_diagnosis::facts::{Manager, ManagerKind, Snapshot};
use plimsoll_diagnosis::plan::{self, PERSIST_FILES, Verify};
use plimsoll_diagnosis::{Diagnosis, RemedyId, Said};

use crate::build::*;

const MAX: &str = "net.netfilter.nf_conntrack_max";
const BUCKETS: &str = "net.netfilter.nf_conntrack_buckets";
const FILE: &str = "/etc/sysctl.d/60-ct.conf";

/// Full at 262,144, and dropping: twice as much and half as much again is 786,432.
fn full() -> Snapshot {
    let mut after = host("6.12.117", 8);
    let max = after.host.global_max.get().unwrap();
    assert_eq!(max, 262_144);
    fill(&mut after.namespaces[0], census(&[(tcp(TcpState::Established), max)]));
    after
}

fn raised(after: &Snapshot) -> (Diagnosis, String) {
    let d = judge(after, &[(Counter::Drop, 700)]);
    let fix = remedy(&d, RemedyId::Raise).fix[0].to_string();
    (d, fix)
}

#[test]
fn a_limit_that_a_file_asks_for_in_vain_is_the_proposal_where_it_suffices() {
    let mut after = full();
    sets(&mut after, &[assigns(FILE, 2, MAX, "1048576")]);
    let (d, fix) = raised(&after);
    assert_eq!(fix, "plimsoll fix raise --max 1048576 --buckets 1048576");
    let effect = &remedy(&d, RemedyId::Raise).effect;
    assert!(
        effect.contains("/etc/sysctl.d/60-ct.conf line 2 asks for that limit already."),
        "{effect}"
    );
    let commands = &remedy(&d, RemedyId::Persist).commands;
    assert!(commands.iter().any(|c| c.contains(&format!("'{MAX} = 1048576'"))), "{commands:#?}");
}

#[test]
fn a_limit_in_a_file_that_does_not_suffice_or_that_memory_cannot_keep_is_not_the_proposal() {
    for value in ["524288", "99999999"] {
        let mut after = full();
        sets(&mut after, &[assigns(FILE, 2, MAX, value)]);
        assert_eq!(raised(&after).1, "plimsoll fix raise --max 786432 --buckets 786432", "{value}");
    }
}

#[test]
fn what_a_boot_gives_already_needs_nothing_that_makes_it_stay() {
    let mut after = full();
    early(&mut after);
    let both = [assigns(FILE, 1, BUCKETS, "1048576"), assigns(FILE, 2, MAX, "1048576")];
    sets(&mut after, &both[1..]);
    let (d, _) = raised(&after);
    let commands = &remedy(&d, RemedyId::Persist).commands;
    assert!(
        commands.iter().any(|c| c.contains(&format!("'{BUCKETS} = 1048576' > "))),
        "the buckets alone: {commands:#?}"
    );
    sets(&mut after, &both);
    let (d, fix) = raised(&after);
    assert_eq!(fix, "plimsoll fix raise --max 1048576 --buckets 1048576");
    assert!(!remedies(&d).contains(&"persist"), "{:?}", remedies(&d));
}

#[test]
fn a_line_that_comes_too_early_is_made_to_come_true_and_the_kernels_own_value_is_not_made_to_stay()
{
    let mut after = host("6.12.117", 8);
    let wait = "net.netfilter.nf_conntrack_tcp_timeout_time_wait";
    let zz = "/etc/sysctl.d/99-zz.conf";
    sets(&mut after, &[assigns(FILE, 1, MAX, "524288"), assigns(zz, 1, wait, "30")]);
    let persist = remedy(&judge(&after, &[]), RemedyId::Persist).clone();
    let applied = ["sysctl -p /etc/sysctl.d/60-ct.conf", "sysctl -p /etc/sysctl.d/99-zz.conf"];
    assert_eq!(
        persist.commands,
        ["echo nf_conntrack > /etc/modules-load.d/plimsoll.conf", applied[0], applied[1]]
    );
    assert_eq!(
        persist.fix,
        ["plimsoll fix raise --max 524288", applied[1], "plimsoll fix persist"]
    );
    // Once they run, `fix persist` makes just them stay.
    after.host.global_max = known(524_288);
    after.namespaces[0].max = known(Entries(524_288));
    after.namespaces[0].settings.insert("nf_conntrack_tcp_timeout_time_wait".into(), "30".into());
    let files = PERSIST_FILES.iter().map(|path| ((*path).to_string(), None)).collect();
    let plan = plan::persist(&[], &BootFacts::of(&after), &files);
    let of = |setting: &str, value| Verify::AfterBoot { setting: setting.into(), value };
    let proved = [of("nf_conntrack_max", 524_288), of("nf_conntrack_tcp_timeout_time_wait", 30)];
    assert!(proved.iter().all(|proof| plan.verify.contains(proof)), "{:?}", plan.verify);
}

#[test]
fn a_value_that_somebody_chose_since_is_kept_against_a_line_that_comes_too_early() {
    let mut after = host("6.12.117", 8);
    after.host.global_max = known(1_048_576);
    after.namespaces[0].max = known(Entries(1_048_576));
    sets(&mut after, &[assigns(FILE, 1, MAX, "524288")]);
    let commands = remedy(&judge(&after, &[]), RemedyId::Persist).commands.clone();
    assert!(commands.iter().any(|c| c.contains(&format!("'{MAX} = 1048576'"))), "{commands:#?}");
}

#[test]
fn the_remark_about_ufw_names_the_file_that_it_is_told_to_apply() {
    let mut after = host("6.12.117", 8);
    after.host.global_max = known(1_048_576);
    after.namespaces[0].max = known(Entries(1_048_576));
    sets(&mut after, &[assigns(FILE, 1, MAX, "524288")]);
    after.boot.managers = known(vec![Manager::new(ManagerKind::Ufw, "ufw", Said::name("staged"))]);
    for (defaults, file) in [
        ("", Some("/etc/ufw/sysctl.conf")),
        ("IPT_SYSCTL=/etc/ufw/my.conf", Some("/etc/ufw/my.conf")),
        ("IPT_SYSCTL=", None),
    ] {
        put(&mut after, "/etc/default/ufw", 1, defaults);
        let commands = remedy(&judge(&after, &[]), RemedyId::Persist).commands.clone();
        let told = commands.iter().find_map(|c| c.strip_prefix("# ufw applies "));
        assert_eq!(told.and_then(|t| t.split(' ').next()), file);
    }
}

/// As ufw's own file does, or one of sysctl.d that was written yesterday.
#[test]
fn a_line_that_was_not_applied_yet_is_not_overwritten_by_the_kernels_own_value() {
    let established = "net.netfilter.nf_conntrack_tcp_timeout_established";
    for file in [FILE, "/etc/ufw/sysctl.conf"] {
        let mut after = host("6.12.117", 8);
        early(&mut after);
        sets(&mut after, &[assigns(file, 1, established, "3600")]);
        put(&mut after, "/etc/ufw/ufw.conf", 1, "ENABLED=yes");
        put(&mut after, "/etc/systemd/system/multi-user.target.wants/ufw.service", 1, "");
        let d = judge(&after, &[]);
        let lost = summary(&d, "CT040");
        assert!(lost.contains("will be 3,600 after a boot"), "{lost}");
        assert!(lost.contains("has not been applied"), "{lost}");
        assert!(!remedies(&d).contains(&"persist"), "{file}: {:?}", remedies(&d));
        let files = PERSIST_FILES.iter().map(|path| ((*path).to_string(), None)).collect();
        let facts = BootFacts::of(&after);
        let plan = plan::persist(&[], &facts, &files);
        let name = "nf_conntrack_tcp_timeout_established";
        let kept = |plan: &plan::Plan| {
            let is = |v: &Verify| matches!(v, Verify::AfterBoot { setting, .. } if setting == name);
            plan.verify.iter().any(is)
        };
        assert!(!kept(&plan), "{:?}", plan.verify);
        let told = format!("{file} line 1 says so, and is left");
        assert!(plan.warnings.iter().any(|w| w.contains(&told)), "{:?}", plan.warnings);
        let mut quiet = BootFacts::of(&after);
        quiet.settings.retain(|setting, _| setting == name);
        let alone = plan::persist(&[], &quiet, &files);
        assert!(alone.changes.is_empty(), "{alone:?}");
        assert!(alone.effect.contains("what the files ask for"), "{}", alone.effect);
        // Asked for by name it is kept (ufw has the last word, so by hand), and so is what somebody chose.
        let asked = plan::persist(&[established.to_string()], &facts, &files);
        assert_eq!((kept(&asked), asked.by_hand.is_empty()), (file == FILE, file == FILE));
        let chosen = after.namespaces[0].settings.insert(name.into(), "86400".into());
        assert_eq!(chosen.as_deref(), Some("432000"));
        assert!(remedies(&judge(&after, &[])).contains(&"persist"));
    }
}
