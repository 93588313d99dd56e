//! Captures under several settings at once: each comes to what it comes to alone, of every generation. `PLIMSOLL_CAPTURES=DIRECTORY`
//! takes all that are below it as well.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use plimsoll_ct::{Bytes, Entry, PROFILES, Profile};
use plimsoll_model::{Config, Occupancy, Settings, Treatment};
use plimsoll_replay::{Doubts, Outcome, Replay, Tally, Timeline};
use plimsoll_wire::capture::{Record, Records};

/// Numbers that look drawn, the same ones each time.
struct Drawn(u64);

impl Drawn {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len() as u64) as usize]
    }
}

const TIMEOUTS: [&str; 14] = [
    "nf_conntrack_tcp_timeout_syn_sent",
    "nf_conntrack_tcp_timeout_syn_recv",
    "nf_conntrack_tcp_timeout_established",
    "nf_conntrack_tcp_timeout_fin_wait",
    "nf_conntrack_tcp_timeout_close_wait",
    "nf_conntrack_tcp_timeout_last_ack",
    "nf_conntrack_tcp_timeout_time_wait",
    "nf_conntrack_tcp_timeout_close",
    "nf_conntrack_tcp_timeout_max_retrans",
    "nf_conntrack_tcp_timeout_unacknowledged",
    "nf_conntrack_udp_timeout",
    "nf_conntrack_udp_timeout_stream",
    "nf_conntrack_icmp_timeout",
    "nf_conntrack_generic_timeout",
];
const SECONDS: [u64; 12] = [0, 1, 2, 3, 5, 10, 30, 60, 300, 3600, 432_000, 2_000_000];
const SWITCHES: [&str; 4] = [
    "nf_conntrack_tcp_loose",
    "nf_conntrack_tcp_be_liberal",
    "nf_conntrack_checksum",
    "nf_conntrack_acct",
];

/// What the settings differ in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Differ {
    /// Limits, so low that most packets meet them.
    Limits,
    Timeouts,
    Both,
    /// What no table can be shared by.
    Switches,
    Buckets,
}

const ALL: [Differ; 5] =
    [Differ::Limits, Differ::Timeouts, Differ::Both, Differ::Switches, Differ::Buckets];

fn settings(profile: &'static Profile, differ: Differ, drawn: &mut Drawn) -> Vec<(String, Config)> {
    let mut common = Settings::of(profile, Bytes(1 << 30));
    common.buckets = drawn.of(&[2, 8, 64, 1024]);
    common.max = drawn.of(&[5, 40, 1000]);
    for name in SWITCHES {
        // With accounting no table is shared.
        let value = if name == "nf_conntrack_acct" {
            u64::from(drawn.below(8) == 0)
        } else {
            drawn.below(2)
        };
        common.set(name, value).unwrap();
    }
    let number = if differ == Differ::Limits { 2 + drawn.below(10) } else { 2 + drawn.below(8) };
    let one = |n: u64| {
        let mut own = common.clone();
        if matches!(differ, Differ::Limits | Differ::Both) {
            let bound = drawn.of(&[4, 10, 51]);
            own.max = drawn.below(bound);
        }
        if matches!(differ, Differ::Timeouts | Differ::Both) {
            for _ in 0..=drawn.below(3) {
                own.set(drawn.of(&TIMEOUTS), drawn.of(&SECONDS)).unwrap();
            }
        }
        match differ {
            Differ::Switches => own.set(drawn.of(&SWITCHES), drawn.below(2)).unwrap(),
            Differ::Buckets => own.buckets = drawn.of(&[1, 2, 8, 64, 512, 4096]),
            _ => {}
        }
        (n.to_string(), Config::new(profile, own))
    };
    (0..number).map(one).collect()
}

type Came = (Outcome, Occupancy, Vec<Entry>, Timeline);

/// What comes of a capture under each, and what the first one's packets tell of the capture.
fn came(
    configs: impl IntoIterator<Item = (String, Config)>,
    records: &[Record<'_>],
    at_once: usize,
    sampled: bool,
) -> (Vec<Came>, (Tally, Doubts)) {
    let mut replay = Replay::new(configs, Treatment::default());
    if sampled {
        replay.sample();
    }
    records.chunks(at_once).for_each(|some| replay.feed(some));
    replay.finish(None);
    let runs = replay.runs();
    let each = replay.outcomes().into_iter().zip(replay.occupancies()).zip(&runs);
    let came = each.map(|((outcome, occupancy), run)| {
        (outcome, occupancy, run.snapshot(), run.timeline.clone())
    });
    (came.collect(), (*replay.tally(), *replay.doubts()))
}

fn below(place: &Path, files: &mut Vec<PathBuf>) {
    if !place.is_dir() {
        return files.push(place.into());
    }
    let mut there: Vec<_> =
        fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).collect();
    there.sort();
    there.iter().for_each(|path| below(path, files));
}

#[test]
fn every_setting_beside_others_comes_to_what_it_comes_to_alone() {
    let mut files = Vec::new();
    below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/captures"), &mut files);
    if let Some(more) = std::env::var_os("PLIMSOLL_CAPTURES") {
        below(Path::new(&more), &mut files);
    }
    let (mut compared, mut lost) = (0, 0);
    for (n, file) in (0..).zip(&files) {
        let octets = fs::read(file).unwrap();
        let records: Vec<Record<'_>> = Records::new(&octets).map_while(Result::ok).collect();
        let mut drawn = Drawn(n);
        for profile in PROFILES {
            for some in [&ALL[..], &[Differ::Limits, Differ::Both]] {
                let differ = drawn.of(some);
                let configs = settings(profile, differ, &mut drawn);
                let sampled = drawn.below(8) == 0;
                let at_once = 1 + drawn.below(300) as usize;
                let (together, seen) = came(configs.clone(), &records, at_once, sampled);
                for (n, (config, shared)) in configs.into_iter().zip(together).enumerate() {
                    let (own, name) = (&config.1.settings, profile.name);
                    let told = format!("{} {name} {differ:?} {own:?}", file.display());
                    let (alone, seen_alone) = came([config], &records, 1, sampled);
                    assert_eq!(alone[0].0, shared.0, "{told}");
                    assert!(alone[0] == shared, "{told}");
                    assert!(n > 0 || seen_alone == seen, "{seen_alone:?} {seen:?} {told}");
                    compared += usize::from(shared.0.peak > 0);
                    lost += usize::from(shared.0.lost > 0);
                }
            }
        }
    }
    assert!(compared > 1000 && lost > 150, "settings that say something: {compared}, {lost}");
}
