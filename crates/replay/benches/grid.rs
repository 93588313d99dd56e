//! What eight settings cost beside one: `cargo bench -p plimsoll-replay [-- PACKETS CONNECTIONS]`.
//!
//! The traffic of `plimsoll`'s benchmark of replay, made in portions that are led through one setting and through a
//! grid in turn: through the model alone, and through the replay with what it notes of each setting. Times are those of
//! this process's CPU clock. Every setting of the grid is compared with a model that saw the same packets alone: its
//! counters, the census of its entries, and how often it lost a packet. A fast wrong answer fails. Peak memory is that of
//! processes of their own, one with a replay of one setting, one of eight, less that of one without any.

#[path = "../../plimsoll/benches/replay/capture.rs"]
#[allow(dead_code)]
mod capture;

use std::process::Command;
use std::time::Duration;

use capture::Traffic;
use plimsoll_ct::{Bytes, Profile, Time};
use plimsoll_model::{Arrival, Config, Grid, Model, Settings, Treatment};
use plimsoll_replay::Replay;
use plimsoll_wire::capture::Record;
use plimsoll_wire::packet::parse_ip;

/// Packets of one portion.
const PORTION: usize = 1 << 16;
/// Octets before the IP header.
const ETHERNET: usize = 14;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, name, settings, packets, connections] = arguments.as_slice()
        && word == "--peak"
    {
        let number = |text: &String| text.parse().expect("a number");
        return peak(name, number(settings) as usize, number(packets), number(connections));
    }
    let asked: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let only = std::env::args().skip_while(|a| a != "--only").nth(1);
    let sizes = match asked.as_slice() {
        [packets, connections, ..] => vec![(*packets, *connections)],
        _ => vec![(2_000_000, 1000), (2_000_000, 200_000)],
    };
    println!(
        "CPU ns of a packet: one setting, eight, how many times as much; MiB of a replay of one, and of eight"
    );
    for (packets, connections) in sizes {
        println!("{packets} packets, {connections} connections");
        for (name, configs) in grids(connections) {
            if only.as_ref().is_none_or(|only| name.contains(only)) {
                measure(name, &configs, packets, connections);
            }
        }
    }
}

/// One setting, and seven others: limits that are met by and by, limits that are all met early, timeouts.
fn grids(connections: u64) -> [(&'static str, Vec<Config>); 3] {
    let limit = connections + 1;
    let config = |max: u64, established: Option<u64>| {
        let profile = Profile::named("6.18").expect("a known profile");
        let mut settings = Settings::of(profile, Bytes(8 << 30));
        (settings.max, settings.buckets) = (max, limit.next_multiple_of(512));
        if let Some(seconds) = established {
            let name = "nf_conntrack_tcp_timeout_established";
            settings.set(name, seconds).expect("a known timeout");
        }
        Config::new(profile, settings)
    };
    let limits = |of: &dyn Fn(u64) -> u64| {
        let others = (1..=7).map(|n| config(of(n), None));
        [config(limit, None)].into_iter().chain(others).collect()
    };
    let timeouts = [1, 2, 5, 20, 60, 300, 3600].map(|seconds| config(limit, Some(seconds)));
    [
        ("limits met by and by", limits(&|n| connections * (n + 1) / 8)),
        ("limits met early", limits(&|n| connections * n / 50)),
        ("timeouts", [config(limit, None)].into_iter().chain(timeouts).collect()),
    ]
}

/// Frames of one portion, one behind the other.
#[derive(Default)]
struct Portion {
    bytes: Vec<u8>,
    /// When each comes, and where it ends.
    frames: Vec<(Time, usize)>,
}

impl Portion {
    fn fill(&mut self, traffic: &mut Traffic) -> bool {
        self.bytes.clear();
        self.frames.clear();
        while self.frames.len() < PORTION
            && let Some((micros, frame)) = traffic.next()
        {
            self.bytes.extend(frame);
            self.frames.push((Time(micros as i64 * 1000), self.bytes.len()));
        }
        !self.frames.is_empty()
    }

    /// Shows them 32 at a time.
    fn each<'a>(&'a self, mut then: impl FnMut(&mut dyn Iterator<Item = (Time, &'a [u8])>)) {
        let mut from = 0;
        for some in self.frames.chunks(32) {
            then(&mut some.iter().map(|&(at, to)| {
                let frame = &self.bytes[from..to];
                from = to;
                (at, frame)
            }));
        }
    }

    /// Leads them through a model or a grid.
    fn lead(&self, mut batch: impl FnMut(&[Arrival<'_>])) {
        let mut arrivals = Vec::with_capacity(32);
        self.each(|some| {
            arrivals.clear();
            arrivals.extend(some.map(|(at, frame)| {
                let packet = parse_ip(&frame[ETHERNET..]).expect("a whole header");
                Arrival { at, packet, treatment: Treatment::default() }
            }));
            batch(&arrivals);
        });
    }

    fn replay(&self, replay: &mut Replay) {
        let mut records = Vec::with_capacity(32);
        self.each(|some| {
            records.clear();
            records.extend(some.map(|(time, bytes)| Record {
                time: Some(time),
                link: 1,
                length: bytes.len() as u32,
                bytes,
            }));
            replay.feed(&records);
        });
    }
}

fn measure(name: &str, configs: &[Config], packets: u64, connections: u64) {
    let mut alone: Vec<Model> = configs.iter().cloned().map(Model::new).collect();
    let mut grid = Grid::new(configs).expect("settings of one grid");
    let (mut one, mut eight) = (replay(&configs[..1]), replay(configs));
    let mut traffic = Traffic::new(packets, connections);
    let mut portion = Portion::default();
    let mut spent = [0.0; 4];
    while portion.fill(&mut traffic) {
        let (single, others) = alone.split_first_mut().expect("a setting");
        spent[0] += timed(|| portion.lead(|some| single.batch(some, |_, _, _| {})));
        spent[1] += timed(|| portion.lead(|some| grid.batch(some, |_, _, _| {})));
        spent[2] += timed(|| portion.replay(&mut one));
        spent[3] += timed(|| portion.replay(&mut eight));
        for model in others {
            portion.lead(|some| model.batch(some, |_, _, _| {}));
        }
    }
    let [none, little, much] = [0, 1, 8].map(|settings: usize| {
        let this = std::env::current_exe().expect("our own name");
        let numbers = [settings as u64, packets, connections].map(|number| number.to_string());
        let out = Command::new(this).args(["--peak", name]).args(numbers).output();
        let text = String::from_utf8(out.expect("we can be started").stdout).expect("a number");
        let peak = text.split_whitespace().next().expect("a peak");
        peak.parse::<f64>().expect("a number") / 1024.0
    });
    let [single, together, one, all] = spent.map(|nanos| nanos / packets as f64);
    println!(
        "  {name:<22} model {single:6.1} {together:7.1} {:5.2}   replay {one:6.1} {all:7.1} {:5.2}   {:6.1} {:6.1} MiB",
        together / single,
        all / one,
        little - none,
        much - none
    );
    let outcomes = eight.outcomes();
    for (seat, model) in alone.iter().enumerate() {
        assert_eq!(grid.part(seat).counters(), model.counters(), "{name}, {seat}");
        assert_eq!(grid.occupancy(seat), model.occupancy(), "{name}, {seat}");
        assert_eq!(&outcomes[seat].counters, model.counters(), "{name}, {seat}");
    }
}

fn replay(configs: &[Config]) -> Replay {
    let named = configs.iter().map(|config| (String::new(), config.clone()));
    Replay::new(named, Treatment::default())
}

/// Prints the peak of this process's memory, in KiB, behind a replay of so many settings of a grid, and the CPU ns of a packet:
/// for a look at one replay alone, `--peak NAME SETTINGS PACKETS CONNECTIONS`.
fn peak(name: &str, settings: usize, packets: u64, connections: u64) {
    let all = grids(connections);
    let (_, configs) = all.iter().find(|grid| grid.0 == name).expect("a grid's name");
    let mut replay = replay(&configs[..settings]);
    let mut traffic = Traffic::new(packets, connections);
    let mut portion = Portion::default();
    let mut spent = 0.0;
    while portion.fill(&mut traffic) {
        spent += timed(|| portion.replay(&mut replay));
    }
    let text = std::fs::read_to_string("/proc/self/status").expect("a process's status");
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = line.expect("a peak").trim().trim_end_matches(" kB");
    println!("{peak} {:.1}", spent / packets as f64);
}

/// CPU time of this process, in ns.
fn timed(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
    };
    let began = now();
    work();
    (now() - began).as_nanos() as f64
}
