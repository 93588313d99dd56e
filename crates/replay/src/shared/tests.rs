//! Settings that share a table come to what each comes to alone.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};

use plimsoll_ct::{Bytes, Entry, Profile};
use plimsoll_model::{Settings, Treatment};
use plimsoll_wire::capture::Record;

use super::*;
use crate::{HelperRule, Outcome, Replay, Rules, Synthetic, Workload, ZoneRule};

/// What it comes to with so many packets at once: outcome, entries in the end, and timeline of each.
fn fed(configs: Vec<Config>, at_once: usize) -> Vec<(Outcome, Vec<Entry>, Timeline)> {
    fed_under(&Rules::default(), configs, at_once)
}

fn fed_under(
    rules: &Rules,
    configs: Vec<Config>,
    at_once: usize,
) -> Vec<(Outcome, Vec<Entry>, Timeline)> {
    let workload = Workload { rate: 20.0, span: 20.0, ..Workload::default() };
    let mut synthetic = Synthetic::new(workload);
    let mut kept = Vec::new();
    while let Some(Record { bytes, time, link, length }) = synthetic.next_record() {
        kept.push((bytes.to_vec(), time, link, length));
    }
    let configs = configs.into_iter().map(|c| (c.settings.max.to_string(), c));
    let mut replay = Replay::new(configs, rules.clone());
    replay.sample();
    let records: Vec<_> = kept
        .iter()
        .map(|(bytes, time, link, length)| Record {
            time: *time,
            link: *link,
            bytes,
            length: *length,
        })
        .collect();
    records.chunks(at_once).for_each(|records| replay.feed(records));
    replay.finish(None);
    let of = |run: crate::Run<'_>| (Outcome::of(&run), run.snapshot(), run.timeline.clone());
    replay.runs().into_iter().map(of).collect()
}

#[test]
fn settings_that_share_a_table_come_to_what_each_comes_to_alone() {
    // One for each way of collecting.
    for name in ["2.6.18", "4.9", "5.14", "6.18"] {
        let profile = Profile::named(name).expect("a known profile");
        let of = |max: u64| {
            let mut settings = Settings::of(profile, Bytes(1 << 30));
            (settings.max, settings.buckets) = (max, 64);
            Config::new(profile, settings)
        };
        let limits = [120, 7, 100_000, 0, 200, 120, 199];
        let together = fed(limits.map(of).to_vec(), 1000);
        let peaks: BTreeSet<u64> = together.iter().map(|(outcome, _, _)| outcome.peak).collect();
        assert!(peaks.len() >= 5, "the limits made too little of a difference: {peaks:?}");
        for (max, shared) in limits.iter().zip(&together) {
            let alone = fed(Vec::from([of(*max)]), 1);
            assert!(alone[0] == *shared, "{name} with {max}");
        }
    }
}

/// What a search relies on: it goes no further in a pass where each limit is too small.
#[test]
fn all_lose_as_soon_as_each_setting_has_lost_a_packet_and_not_before() {
    let profile = Profile::named("6.18").expect("a known profile");
    let of = |max: u64| {
        let mut settings = Settings::of(profile, Bytes(1 << 30));
        (settings.max, settings.buckets) = (max, 64);
        (max.to_string(), Config::new(profile, settings))
    };
    for (limits, ends) in [(&[60][..], true), (&[60, 120], true), (&[60, 120, 100_000], false)] {
        let workload = Workload { rate: 20.0, span: 20.0, ..Workload::default() };
        let mut synthetic = Synthetic::new(workload);
        let mut replay = Replay::new(limits.iter().map(|max| of(*max)), Treatment::default());
        let (mut first, mut fed) = (None, 0);
        while let Some(record) = synthetic.next_record() {
            replay.feed(&[record]);
            fed += 1;
            let each = replay.outcomes().iter().all(|outcome| outcome.lost > 0);
            assert_eq!(replay.all_lose(), each, "{limits:?}, packet {fed}");
            first = first.or(each.then_some(fed));
        }
        assert_eq!(first.is_some(), ends, "{limits:?}");
        assert!(first.is_none_or(|first| first > 100), "{limits:?}: at once");
    }
}

#[test]
fn rules_that_no_grid_knows_come_to_the_same_under_each_limit() {
    let profile = Profile::named("6.18").expect("a known profile");
    let of = |max: u64| {
        let mut settings = Settings::of(profile, Bytes(1 << 30));
        (settings.max, settings.buckets) = (max, 64);
        Config::new(profile, settings)
    };
    let zones = Vec::from([ZoneRule::parse("orig=3").expect("a rule")]);
    let rules = Rules { zones, ..Rules::default() };
    let limits = [120, 100_000, 60];
    let together = fed_under(&rules, limits.map(of).to_vec(), 1000);
    assert!(together[2].0.lost > 0 && together[1].0.lost == 0, "no limit was met");
    for (max, shared) in limits.into_iter().zip(&together) {
        assert!(fed_under(&rules, Vec::from([of(max)]), 1)[0] == *shared, "{max}");
    }
}

#[test]
fn what_no_grid_knows_leads_to_tables_of_their_own_and_the_same_answers() {
    let profile = Profile::named("6.18").expect("a known profile");
    let helpers = Vec::from([HelperRule::parse("tcp ftp").expect("a rule")]);
    let zones = Vec::from([ZoneRule::parse("reply=3").expect("a rule")]);
    let none = Rules::default();
    for (what, rules) in [
        ("nothing", none.clone()),
        ("nf_conntrack_acct", none.clone()),
        ("nf_conntrack_log_invalid", none.clone()),
        ("a helper", Rules { helpers, ..none.clone() }),
        ("a zone of one direction", Rules { zones, ..none }),
    ] {
        let of = |(max, udp): (u64, u64)| {
            let mut settings = Settings::of(profile, Bytes(1 << 30));
            (settings.max, settings.buckets) = (max, 64);
            if what.starts_with("nf_") {
                settings.set(what, 1).expect("a known switch");
            }
            settings.set("nf_conntrack_udp_timeout", udp).expect("a known timeout");
            Config::new(profile, settings)
        };
        let all = [(100_000, 30), (60, 30), (100_000, 2), (60, 2)];
        let configs = all.map(|one| (String::new(), of(one)));
        let mut replay = Replay::new(configs, rules.clone());
        let mut synthetic = Synthetic::new(Workload { rate: 20.0, span: 20.0, ..<_>::default() });
        while let Some(record) = synthetic.next_record() {
            replay.feed(&[record]);
        }
        assert_eq!(replay.tables() > 1, what != "nothing", "{what}: {} tables", replay.tables());
        let together = fed_under(&rules, all.map(of).to_vec(), 1000);
        assert!(together[1].0.lost > 0 && together[2].0.peak < together[0].0.peak, "{what}");
        for (one, shared) in all.into_iter().zip(&together) {
            assert!(fed_under(&rules, Vec::from([of(one)]), 1)[0] == *shared, "{what}, {one:?}");
        }
    }
}

#[test]
fn timeouts_and_limits_in_one_grid_come_to_what_each_comes_to_alone() {
    for name in ["2.6.18", "4.9", "5.14", "6.18"] {
        let profile = Profile::named(name).expect("a known profile");
        let of = |max: u64, udp: u64, established: u64| {
            let mut settings = Settings::of(profile, Bytes(1 << 30));
            (settings.max, settings.buckets) = (max, 64);
            settings.set("nf_conntrack_udp_timeout", udp).expect("a known timeout");
            let key = "nf_conntrack_tcp_timeout_established";
            settings.set(key, established).expect("a known timeout");
            Config::new(profile, settings)
        };
        // More than one grid holds.
        let configs: Vec<Config> = [100_000, 120, 60]
            .into_iter()
            .flat_map(|max| [(30, 600), (3, 600), (30, 4), (2, 2)].map(|(u, e)| of(max, u, e)))
            .collect();
        let together = fed(configs.clone(), 1000);
        let peaks: BTreeSet<u64> = together.iter().map(|(outcome, _, _)| outcome.peak).collect();
        assert!(peaks.len() >= 5, "the settings made too little of a difference: {peaks:?}");
        for (config, shared) in configs.into_iter().zip(&together) {
            let settings = config.settings.clone();
            assert!(fed(Vec::from([config]), 1)[0] == *shared, "{name} with {settings:?}");
        }
    }
}

#[test]
fn the_first_setting_of_a_grid_can_be_listened_to_and_goes_on_alone() {
    let profile = Profile::named("6.18").expect("a known profile");
    let of = |udp: u64| {
        let mut settings = Settings::of(profile, Bytes(1 << 30));
        settings.set("nf_conntrack_udp_timeout", udp).expect("a known timeout");
        (udp.to_string(), Config::new(profile, settings))
    };
    let mut synthetic = Synthetic::new(Workload { rate: 20.0, ..Workload::default() });
    let mut grid = Replay::new([of(30), of(3)], Treatment::default());
    let mut alone = Replay::new([of(30)], Treatment::default());
    let mut fed = 0;
    while let Some(record) = synthetic.next_record() {
        grid.feed(&[record]);
        alone.feed(&[record]);
        fed += 1;
        if fed == 100 {
            grid.first_mut().expect("a model").listen();
            alone.first_mut().expect("a model").listen();
        }
    }
    let events = |replay: &mut Replay| replay.first_mut().expect("a model").take_events();
    let told = events(&mut grid);
    assert!(told.len() > 10 && told == events(&mut alone));
    assert_eq!(grid.outcomes()[0], alone.outcomes()[0]);
}
