//! The limit, the buckets, the memory, the expectation table.

use plimsoll_ct::{Counter, Entries, TcpState};
use plimsoll_diagnosis::facts::{Fact, Owner, Reason};
use plimsoll_diagnosis::{RemedyId, Said, Severity, Verdict};

use crate::build::*;

fn limited(release: &str, gib: u64, max: u64) -> plimsoll_diagnosis::facts::Snapshot {
    let mut after = host(release, gib);
    after.host.global_max = known(max);
    after.namespaces[0].max = known(Entries(max));
    let key = "net.netfilter.nf_conntrack_max";
    sets(&mut after, &[assigns("/etc/sysctl.conf", 3, key, &max.to_string())]);
    early(&mut after);
    after
}

#[test]
fn a_low_limit_is_an_aside_while_idle_and_a_warning_in_use() {
    let mut after = limited("6.12.117", 16, 16_384);
    let d = judge(&after, &[]);
    assert_eq!((ids(&d), d.verdict), (vec!["CT020"], Verdict::Ok));
    assert!(d.remedies.is_empty(), "no action is needed");
    fill(&mut after.namespaces[0], census(&[(tcp(TcpState::Established), 9_000)]));
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT020"]);
    says(&d, RemedyId::Raise, "sysctl -w net.netfilter.nf_conntrack_max=262144");
}

#[test]
fn the_default_limit_of_a_large_host_is_small_only_when_it_is_short() {
    let mut after = host("6.12.117", 64);
    assert_eq!(ids(&judge(&after, &[])), Vec::<&str>::new());
    fill(&mut after.namespaces[0], census(&[(udp(true), 210_000)]));
    assert_eq!(acts(&judge(&after, &[])), ["CT004", "CT020"]);
}

#[test]
fn a_limit_times_many_namespaces_that_outgrows_memory_is_told_with_the_arithmetic() {
    let mut after = limited("6.12.117", 4, 1_048_576);
    after.host.buckets = known(262_144);
    for i in 0..19 {
        let owner = Owner::Named(format!("c{i}"));
        after.namespaces.push(namespace(&after.host.profile, owner, Some(i), 1_048_576));
    }
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT021"]);
    assert!(
        summary(&d, "CT021")
            .starts_with("1,048,576 entries of 256 B in each of 20 namespaces may take 5.0 GiB"),
        "{}",
        summary(&d, "CT021")
    );
}

#[test]
fn namespaces_whose_rules_were_not_read_are_counted_apart() {
    let crowded = |gib, max| {
        let mut after = limited("6.12.117", gib, max);
        after.host.buckets = known(262_144);
        for i in 0..19 {
            let owner = Owner::Named(format!("c{i}"));
            let mut space = namespace(&after.host.profile, owner, Some(i), max);
            if i >= 12 {
                space.tracking = Fact::missing(Reason::NotAsked, Said::of("not asked", "没有问"));
                space.count = known(Entries(0));
            }
            after.namespaces.push(space);
        }
        after
    };
    let d = judge(&crowded(4, 1_048_576), &[]);
    assert!(
        summary(&d, "CT021").contains("in each of 13 namespaces (and perhaps of 7 more) may take"),
        "{}",
        summary(&d, "CT021")
    );
    let limit = remedy(&d, RemedyId::Limit);
    assert_eq!(limit.title.to_string(), "lower the limit to 524,288");
    assert_eq!(
        limit.effect.to_string(),
        "The tables of the namespaces that are known to track fit into half of the memory; 7 more may track."
    );
    let mut after = crowded(64, 16_384);
    fill(&mut after.namespaces[0], census(&[(tcp(TcpState::Established), 15_000)]));
    let d = judge(&after, &[]);
    let risk = remedy(&d, RemedyId::Raise).risk.to_string();
    let (known, unknown) = (
        "if the tables of all 13 namespaces are full.",
        "7 more namespaces may track (rules not read): up to 64.0 MiB each.",
    );
    assert!(risk.contains(known) && risk.contains(unknown), "{risk}");
}

#[test]
fn a_limit_that_memory_cannot_keep_is_lowered_to_what_fits_and_what_is_protected() {
    let mut after = limited("6.12.117", 4, 1_048_576);
    after.host.buckets = known(262_144);
    for i in 0..19 {
        let owner = Owner::Named(format!("c{i}"));
        after.namespaces.push(namespace(&after.host.profile, owner, Some(i), 1_048_576));
    }
    let d = judge(&after, &[]);
    let limit = remedy(&d, RemedyId::Limit);
    assert_eq!(limit.findings, ["CT021"]);
    says(&d, RemedyId::Limit, "sysctl -w net.netfilter.nf_conntrack_max=262144");
    assert!(limit.memory.unwrap().0 <= 2 << 30, "half of 4 GiB");
    assert!(limit.commands.iter().any(|c| c.contains("fewer namespaces track")), "{limit:#?}");
    let kept = &remedy(&d, RemedyId::Persist).commands;
    assert!(kept.iter().any(|c| c.contains("nf_conntrack_max = 262144")), "{kept:#?}");
    fill(&mut after.namespaces[3], census(&[(tcp(TcpState::Established), 200_000)]));
    let d = judge(&after, &[]);
    let limit = d.remedies.iter().find(|r| r.findings == ["CT021"]).unwrap();
    assert!(limit.refused[0].starts_with("200,000 entries of ip netns c2"), "{limit:#?}");
    assert!(limit.commands.iter().all(|c| c.starts_with('#')), "{limit:#?}");
}

#[test]
fn no_remedy_spends_more_memory_than_there_is() {
    let mut after = limited("6.12.117", 1, 262_144);
    fill(&mut after.namespaces[0], census(&[(tcp(TcpState::Established), 262_144)]));
    for i in 0..9 {
        let owner = Owner::Named(format!("c{i}"));
        after.namespaces.push(namespace(&after.host.profile, owner, Some(i), 262_144));
    }
    let d = judge(&after, &[(Counter::Drop, 100)]);
    let raise = remedy(&d, RemedyId::Raise);
    assert!(raise.refused[0].starts_with("memory: 786,432 entries"), "{raise:#?}");
    assert!(raise.commands.is_empty());
    assert_ne!(remedies(&d)[0], "raise");
}

#[test]
fn chains_that_5_15_refuses_are_found_by_their_counter() {
    let mut after = limited("5.15.0", 8, 1_048_576);
    after.host.buckets = known(65_536);
    fill(&mut after.namespaces[0], census(&[(udp(true), 500_000)]));
    let rises = [(Counter::ChainTooLong, 44), (Counter::InsertFailed, 44)];
    let d = judge(&after, &rises);
    assert_eq!((acts(&d), d.verdict), (vec!["CT022"], Verdict::Critical));
    assert!(!ids(&d).contains(&"CT051"), "the refused chains explain the failed insertions");
    let raise = remedy(&d, RemedyId::Raise);
    assert_eq!(raise.commands, ["sysctl -w net.netfilter.nf_conntrack_buckets=1048576"]);
}

#[test]
fn chains_that_will_be_refused_before_the_limit_are_foretold() {
    let mut after = limited("5.15.0", 8, 1_048_576);
    after.host.buckets = known(65_536);
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT022"]);
    assert_eq!(
        summary(&d, "CT022"),
        "65,536 buckets for a limit of 1,048,576: chains of 32 entries on average when full; from \
         about 262,144 entries on packets are refused (chains over 8 to 31), long before the limit."
    );
}

#[test]
fn the_ratio_of_eight_that_hashsize_gives_is_no_finding() {
    let mut after = limited("6.12.117", 8, 524_288);
    after.host.buckets = known(65_536);
    assert!(!ids(&judge(&after, &[])).contains(&"CT022"));
}

#[test]
fn long_chains_of_an_old_kernel_only_matter_when_they_are_there() {
    let mut after = limited("3.10.0-1160.el7.x86_64", 8, 2_000_000);
    after.host.buckets = known(16_384);
    sets(&mut after, &[]);
    let d = judge(&after, &[]);
    assert!(!ids(&d).contains(&"CT022"));
    fill(&mut after.namespaces[0], census(&[(udp(true), 900_000)]));
    let d = judge(&after, &[]);
    assert!(ids(&d).contains(&"CT022"), "{:?}", ids(&d));
    says(&d, RemedyId::Raise, "echo 500000 > /sys/module/nf_conntrack/parameters/hashsize");
}

#[test]
fn no_limit_is_a_warning_with_a_limit_as_its_remedy() {
    let mut after = limited("6.12.117", 8, 0);
    fill(&mut after.namespaces[0], census(&[(udp(true), 50_000)]));
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT023"]);
    assert_eq!(d.namespaces[0].full_in, None);
    says(&d, RemedyId::Raise, "sysctl -w net.netfilter.nf_conntrack_max=262144");
}

#[test]
fn a_file_that_asks_for_no_limit_is_refused_from_6_19_on() {
    let mut after = host("7.3.4", 8);
    let key = "net.netfilter.nf_conntrack_max";
    sets(&mut after, &[assigns("/etc/sysctl.d/10-ct.conf", 4, key, "0")]);
    let d = judge(&after, &[]);
    assert!(acts(&d).contains(&"CT023"), "{:#?}", d.findings);
    assert!(summary(&d, "CT023").starts_with("/etc/sysctl.d/10-ct.conf line 4 asks for no limit"));
    let zero = || assigns("/etc/sysctl.d/10-ct.conf", 4, key, "0");
    let some = || assigns("/etc/sysctl.d/60-ct.conf", 2, key, "262144");
    sets(&mut after, &[zero(), some()]);
    assert!(!ids(&judge(&after, &[])).contains(&"CT023"), "a later line sets a limit");
    // systemd writes only the last line of a key: the one that is refused takes the good one along.
    let last = assigns("/etc/sysctl.d/90-ct.conf", 7, key, "0");
    sets(&mut after, &[some(), last]);
    let d = judge(&after, &[]);
    assert!(
        summary(&d, "CT023").ends_with("so the default will stay in force."),
        "{}",
        summary(&d, "CT023")
    );
}

#[test]
fn a_full_expectation_table_is_another_problem() {
    let mut after = host("6.12.117", 8);
    after.namespaces[0].expectations = known(Entries(1024));
    let d = judge(&after, &[]);
    assert_eq!(acts(&d), ["CT050"]);
    assert_eq!(d.findings[0].severity, Severity::Warning);
    assert!(d.remedies.iter().all(|r| r.id != RemedyId::Raise));
}

#[test]
fn a_full_expectation_table_in_the_log_is_blamed_on_who_made_so_many() {
    let mut after = host("6.18.15", 8);
    let mut ftp = namespace(&after.host.profile, Owner::Named("ftp".into()), Some(77), 262_144);
    ftp.counters = known(counters(&[(Counter::ExpectCreate, 5_000)]));
    after.namespaces.push(ftp);
    log(&mut after).expectation_full = Some(seen(3, 900, 600, None));
    let d = judge(&after, &[]);
    assert_eq!((acts(&d), d.findings[0].namespace), (vec!["CT050"], Some(1)));
    assert!(summary(&d, "CT050").starts_with("The expectation table was full: 3 lines"));
    choose(&mut after, |n| n.inode == Some(77));
    assert_eq!(ids(&judge(&after, &[])), Vec::<&str>::new(), "the line may be any other's");
}

#[test]
fn a_full_expectation_table_that_nobody_read_can_have_had_is_an_aside() {
    let mut after = host("6.18.15", 8);
    after.namespaces[0].counters = known(counters(&[(Counter::ExpectCreate, 1_023)]));
    log(&mut after).expectation_full = Some(seen(3, 900, 600, None));
    let d = judge(&after, &[]);
    assert_eq!((ids(&d), d.verdict), (vec!["CT050"], Verdict::Ok));
    assert_eq!(
        summary(&d, "CT050"),
        "The expectation table of a namespace that is gone or was not read was full: 3 lines in the \
         kernel log, the last 10 min ago. Of those that were read none ever held so many."
    );
    let mut old = row(3, 90_000, 86_400, None);
    old.earlier_boot = true;
    log(&mut after).expectation_full = Some(both(&[old]));
    assert_eq!(
        acts(&judge(&after, &[])),
        ["CT050"],
        "before this boot it may have been the host's"
    );
}

#[test]
fn the_price_counts_the_extension_block_where_every_entry_has_one() {
    let after = host("5.10.0-46-generic", 8);
    assert_eq!(judge(&after, &[]).host.entry_bytes.0, 4096 / 12 + 128);
    let mut young = host("6.12.117", 8);
    assert_eq!(judge(&young, &[]).host.entry_bytes.0, 256);
    young.namespaces[0].settings.insert("nf_conntrack_acct".into(), "1".into());
    assert_eq!(judge(&young, &[]).host.entry_bytes.0, 384);
}
