//! What `plimsoll replay` costs as a whole process, and whether it keeps its promises.
//!
//!     cargo bench -p plimsoll --bench replay -- [--packets N] [--runs N] [--large]
//!
//! Captures are made in a directory for temporary files, and deleted: TCP, UDP and echoes over so many
//! connections, half of the packets on the newest 4,096, half on any. Times are the CPU's, user and system, medians
//! and least of interleaved runs; captures are read once before, so that they come from the page cache, and memory is touched before
//! each run, so that no host has to give it first. First the
//! answer is compared with the one that packets fed one at a time make: every entry as a dump shows it, and every
//! counter; each setting of a grid with what comes of it alone; a program that fails or says nothing ends the run.
//! How fast memory is differs from machine to machine, and from hour to hour where others share it: many connections are held
//! to nanoseconds, and to a share of what the baseline of the model's bench takes in the same run as well. Exit status 1: a
//! promise is broken, or the answer is wrong. `--large`: ten million connections too, in 30 million packets (2.4 GB), all in the
//! table at once, and over five minutes.

#[path = "../../../model/benches/connections/baseline.rs"]
mod baseline;
mod capture;
#[path = "../check/measure.rs"]
#[allow(dead_code)]
mod measure;
#[path = "../../src/memory.rs"]
mod memory;
#[path = "../../../model/benches/connections/round.rs"]
#[allow(dead_code)]
mod round;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use baseline::Baseline;
use capture::APART;
use measure::Program;
use plimsoll_ct::{Bytes, Counter, Entry, Profile};
use plimsoll_model::{Config, Model, Settings, Treatment};
use plimsoll_wire::capture::Records;
use plimsoll_wire::listing::{Dialect, Line, write};
use plimsoll_wire::packet::LinkType;
use round::Round;

#[global_allocator]
static MEMORY: memory::Memory = memory::Memory::new();

const PLIMSOLL: &str = env!("CARGO_BIN_EXE_plimsoll");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, file, limit] = arguments.as_slice()
        && word == "--exact"
    {
        exact(Path::new(file), limit.parse().expect("a limit"));
        return ExitCode::SUCCESS;
    }
    if let [_, word, connections] = arguments.as_slice()
        && word == "--baseline"
    {
        println!("{}", a_random_round(connections.parse().expect("a number")));
        return ExitCode::SUCCESS;
    }
    let number = |name: &str, default: u64| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let packets = number("--packets", 10_000_000);
    let runs = number("--runs", 5).max(1) as usize;
    let mut kept = true;
    few(packets, runs, &mut kept);
    let promise = Promise { nanos: 75.0, baseline: 131.0, in_nanos: true };
    many(packets, packets / 10, APART, &promise, runs, &mut kept);
    if arguments.iter().any(|a| a == "--large") {
        // All of them in the table at once; and over five minutes, in which a third of them go again.
        let promise = Promise { nanos: 110.0, baseline: 184.0, in_nanos: true };
        many(packets * 3, packets, 1, &promise, runs, &mut kept);
        let promise = Promise { in_nanos: false, ..promise };
        many(packets * 3, packets, APART, &promise, runs, &mut kept);
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn hold(kept: &mut bool, what: &str, holds: bool) {
    *kept &= holds;
    println!("  {} {what}", if holds { "kept:  " } else { "BROKEN:" });
}

/// A capture that is deleted in the end.
struct Capture {
    path: PathBuf,
    packets: u64,
}

impl Capture {
    /// Of so many packets, so many microseconds apart.
    fn of(packets: u64, connections: u64, apart: u64) -> Self {
        let name = format!("plimsoll-bench-{}-{connections}-{packets}.pcap", std::process::id());
        let path = std::env::temp_dir().join(name);
        capture::make(&path, packets, connections, apart).expect("a capture can be written");
        Self { path, packets }
    }

    fn name(&self) -> &'static str {
        self.path.display().to_string().leak()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // What can't be deleted is in a directory for temporary files.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// `plimsoll replay`, with a limit and buckets for it, and what else is asked.
fn replay(name: &'static str, file: &'static str, limit: u64, more: &[&'static str]) -> Program {
    let set = |key: &str, value: u64| -> &'static str { format!("{key}={value}").leak() };
    let mut arguments = vec!["replay", "--profile", "6.18", "--no-search", "--set"];
    arguments.push(set("nf_conntrack_max", limit));
    arguments.extend(["--set", set("nf_conntrack_buckets", buckets(limit))]);
    arguments.extend(more);
    arguments.push(file);
    Program { name, path: PLIMSOLL, arguments, pause: Duration::ZERO, inside: None }
}

const fn buckets(limit: u64) -> u64 {
    limit.next_multiple_of(512)
}

/// A thousand connections: beside tcpdump, and the memory of short and long captures.
fn few(packets: u64, runs: usize, kept: &mut bool) {
    let (long, short) = (Capture::of(packets, 1000, APART), Capture::of(packets / 10, 1000, APART));
    println!("{packets} packets, 1000 connections");
    check(&long, 4096, kept);
    let copy = Program {
        name: "tcpdump -r F -w /dev/null",
        path: "tcpdump",
        arguments: vec!["-r", long.name(), "-w", "/dev/null"],
        pause: Duration::ZERO,
        inside: None,
    };
    let long_run = replay("replay", long.name(), 4096, &[]);
    let short_run = replay("replay, a tenth of it", short.name(), 4096, &[]);
    read(&long, runs);
    let figures = timed(&[&long_run, &copy], packets, runs);
    let ratio = figures[0].0 / figures[1].0;
    hold(kept, &format!("{ratio:.2} of tcpdump's time, less than 1"), ratio < 1.0);
    let short_peak = timed(&[&short_run], short.packets, 1)[0].1;
    let long_peak = figures[0].1;
    let what = format!(
        "peak memory {:.1} MiB, {:.1} with a tenth of the packets; 16 at most",
        long_peak as f64 / 1024.0,
        short_peak as f64 / 1024.0
    );
    hold(kept, &what, long_peak <= 16 << 10 && long_peak <= short_peak + 1024);
    grids(&long, 1000, runs, kept);
}

/// What a packet may take, and what the baseline took on the machine for which that was said: their ratio holds elsewhere too.
struct Promise {
    nanos: f64,
    baseline: f64,
    /// Whether it was said in nanoseconds, and not only follows as a ratio.
    in_nanos: bool,
}

/// So many connections: the time of a packet beside the baseline's, a limit that is met, and a grid.
fn many(
    packets: u64,
    connections: u64,
    apart: u64,
    promise: &Promise,
    runs: usize,
    kept: &mut bool,
) {
    let capture = Capture::of(packets, connections, apart);
    println!("{packets} packets, {apart} µs apart, {connections} connections");
    let limit = connections + 1;
    check(&capture, limit, kept);
    check(&capture, connections / 2, kept);
    read(&capture, runs);
    let one = replay("replay", capture.name(), limit, &[]);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        ours.extend(measure::interleaved(&[&one], 1));
        theirs.push(beside(connections));
    }
    let (nanos, _) = show(ours, packets);
    theirs.sort_by(f64::total_cmp);
    let (middle, least) = (theirs[theirs.len() / 2], theirs[0]);
    println!("  {:<28} {middle:7.1} ns a packet (least {least:.1})", "baseline, at random");
    let what = format!("{nanos:.1} ns a packet, {} at most", promise.nanos);
    if promise.in_nanos {
        hold(kept, &what, nanos <= promise.nanos);
    }
    let (ratio, most) = (nanos / middle, promise.nanos / promise.baseline);
    let what = format!(
        "{ratio:.2} of the baseline's time, {most:.2} at most: {} ns where it takes {}",
        promise.nanos, promise.baseline
    );
    hold(kept, &what, ratio <= most);
    grids(&capture, connections, runs, kept);
}

/// What the baseline of the model's bench takes for a packet, in a process of its own: a table of hashbrown's with two keys of
/// each connection, a slab and the same tracker of TCP, packets from memory over connections picked at random.
fn beside(connections: u64) -> f64 {
    let this = std::env::current_exe().expect("our own name");
    let mut command = Command::new(this);
    let out = command.args(["--baseline", &connections.to_string()]).output();
    let out = out.expect("we can be started");
    assert!(out.status.success(), "the baseline: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().parse().expect("nanoseconds")
}

fn a_random_round(connections: u32) -> f64 {
    let (_, settings) = round::empty(connections);
    let mut baseline = Baseline::default();
    let mut wrong = 0;
    for (from, to) in round::portions(connections) {
        wrong += Round::opening(from, to).feed_baseline(&mut baseline, &settings);
        wrong += Round::handshakes(from, to).feed_baseline(&mut baseline, &settings);
    }
    let round = Round::random(connections, &mut u64::from(connections));
    let began = cpu();
    wrong += round.feed_baseline(&mut baseline, &settings);
    let nanos = (cpu() - began).as_nanos() as f64;
    assert_eq!(wrong, 0, "steps of the wrong class");
    nanos / round::ROUND as f64
}

/// CPU time of this process.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// What the machine takes for no more than reading the file from the page cache, in blocks as `replay` reads them.
fn read(capture: &Capture, runs: usize) {
    let mut block = vec![0; 256 << 10];
    let mut all: Vec<f64> = (0..runs)
        .map(|_| {
            let mut file = File::open(&capture.path).expect("our own file");
            let began = cpu();
            while file.read(&mut block).expect("it can be read") > 0 {}
            (cpu() - began).as_nanos() as f64 / capture.packets as f64
        })
        .collect();
    all.sort_by(f64::total_cmp);
    let (middle, least) = (all[all.len() / 2], all[0]);
    println!("  {:<28} {middle:7.1} ns a packet (least {least:.1})", "read(2), nothing else");
}

/// Eight settings beside one: limits that are met by and by, limits that are all met early, timeouts.
fn grids(capture: &Capture, connections: u64, runs: usize, kept: &mut bool) {
    let limit = connections + 1;
    let limits =
        |of: &dyn Fn(u64) -> u64| (1..=7).map(|n| ("nf_conntrack_max", of(n))).collect::<Vec<_>>();
    let timeouts =
        [1, 2, 5, 20, 60, 300, 3600].map(|s| ("nf_conntrack_tcp_timeout_established", s));
    let all = [
        ("8 limits, 7 of them met", limits(&|n| connections * (n + 1) / 8)),
        ("8 limits, 7 met early", limits(&|n| connections * n / 50)),
        ("8 timeouts", timeouts.to_vec()),
    ];
    let one = replay("replay", capture.name(), limit, &[]);
    for (name, settings) in all {
        let values: Vec<String> = settings.iter().map(|(_, value)| value.to_string()).collect();
        let grid: &'static str = format!("{}={}", settings[0].0, values.join(",")).leak();
        let eight = replay(name, capture.name(), limit, &["--what-if", grid]);
        let figures = timed(&[&one, &eight], capture.packets, runs);
        let ratio = figures[1].0 / figures[0].0;
        let mib = |kib: u64| kib as f64 / 1024.0;
        let what = format!(
            "{name} take {ratio:.2} times one, 3 at most; {:.1} MiB beside {:.1}",
            mib(figures[1].1),
            mib(figures[0].1)
        );
        hold(kept, &what, ratio <= 3.0);
        check_grid(capture, limit, grid, &settings, kept);
    }
}

/// Compares what came of each setting of a grid with what comes of it alone.
fn check_grid(
    capture: &Capture,
    limit: u64,
    grid: &'static str,
    settings: &[(&str, u64)],
    kept: &mut bool,
) {
    let runs = |more: &[&'static str]| -> Vec<serde_json::Value> {
        let text = replay("answer", capture.name(), limit, more).output();
        let answer: serde_json::Value = serde_json::from_slice(&text).expect("an answer in JSON");
        let runs = answer["runs"].as_array().expect("runs").clone();
        // What is called otherwise when it is asked for alone.
        let bare = |mut run: serde_json::Value| {
            let fields = run.as_object_mut().expect("an object");
            for name in ["changes", "role", "setting"] {
                fields.remove(name);
            }
            run
        };
        runs.into_iter().map(bare).collect()
    };
    let together = runs(&["--json", "--what-if", grid]);
    let alone = settings.iter().map(|(key, value)| {
        let set: &'static str = format!("{key}={value}").leak();
        runs(&["--json", "--set", set]).remove(0)
    });
    let equal = alone.zip(&together[1..]).filter(|(alone, together)| alone == *together).count();
    let what = format!("{equal} of {} settings as each alone", settings.len());
    hold(kept, &what, equal == settings.len() && together.len() == settings.len() + 1);
}

/// CPU time of a packet (median), and peak memory in KiB, of each in turn.
fn timed(programs: &[&Program], packets: u64, runs: usize) -> Vec<(f64, u64)> {
    let mut all = vec![Vec::new(); programs.len()];
    for _ in 0..runs {
        for (figures, program) in all.iter_mut().zip(programs) {
            warm(packets);
            figures.extend(measure::interleaved(&[program], 1));
        }
    }
    all.into_iter().map(|figures| show(figures, packets)).collect()
}

/// Touches more memory than a program takes for so many packets, and gives it back. A machine that is lent waits for its host
/// at the first touch, ten times as long as the program takes for it, and some hosts take what is free back within seconds.
fn warm(packets: u64) {
    const OCTETS: u64 = 26;
    std::hint::black_box(vec![1_u8; (packets * OCTETS) as usize]);
}

/// Says, and returns, CPU time of a packet (median) and peak memory in KiB.
fn show(mut figures: Vec<measure::Figures>, packets: u64) -> (f64, u64) {
    for of in &figures {
        // tcpdump writes none: its copy goes to /dev/null.
        let answers = of.answer.is_some_and(|octets| octets > 0 || of.name.starts_with("tcpdump"));
        assert!(answers, "{}: it failed, or gave no answer", of.name);
    }
    figures.sort_by_key(|f| f.cpu);
    let of = |f: &measure::Figures| f.cpu.as_nanos() as f64 / packets as f64;
    let (middle, least) = (figures[figures.len() / 2], figures[0]);
    println!(
        "  {:<28} {:7.1} ns a packet (least {:.1}), {:.1} MiB",
        middle.name,
        of(&middle),
        of(&least),
        middle.peak as f64 / 1024.0
    );
    (of(&middle), middle.peak)
}

/// Compares the program's answer with that of packets fed one at a time, by a process of its own.
fn check(capture: &Capture, limit: u64, kept: &mut bool) {
    let this = std::env::current_exe().expect("our own name");
    let out = Command::new(this)
        .args(["--exact", capture.name(), &limit.to_string()])
        .output()
        .expect("we can be started");
    let exact: Vec<u64> =
        String::from_utf8_lossy(&out.stdout).lines().filter_map(|l| l.parse().ok()).collect();
    let dump = replay("dump", capture.name(), limit, &["--dump"]).output();
    let (mut entries, mut sum) = (0, 0);
    for line in dump.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        (entries, sum) = (entries + 1, hash(line).wrapping_add(sum));
    }
    let mut seen = vec![entries, sum];
    let text = replay("stats", capture.name(), limit, &["--stats"]).output();
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let by_name: BTreeMap<_, _> = names.into_iter().zip(values).collect();
    let value = |counter: &Counter| {
        by_name.get(counter.name()).and_then(|text| u64::from_str_radix(text, 16).ok())
    };
    seen.extend(COUNTERS.iter().filter_map(value));
    let what = format!(
        "limit {limit}: {entries} entries, {} packets dropped, as one at a time",
        seen.get(2).copied().unwrap_or_default()
    );
    hold(kept, &what, exact == seen && entries > 0);
}

/// Compared by their names.
const COUNTERS: [Counter; 5] = [
    Counter::Drop,
    Counter::EarlyDrop,
    Counter::Invalid,
    Counter::InsertFailed,
    Counter::ChainTooLong,
];

/// Packets fed one at a time: number of entries, sum of their lines' hashes, counters.
fn exact(file: &Path, limit: u64) {
    let bytes = std::fs::read(file).expect("a capture");
    let profile = Profile::named("6.18").expect("a known profile");
    let mut settings = Settings::of(profile, Bytes(8 << 30));
    (settings.max, settings.buckets) = (limit, buckets(limit));
    let mut model = Model::new(Config::new(profile, settings));
    for record in Records::new(&bytes) {
        let record = record.expect("a whole capture");
        let time = record.time.expect("a time");
        let step = model.frame(time, LinkType::Ethernet, record.bytes, &Treatment::default());
        step.expect("a packet");
    }
    let (mut entries, mut sum) = (0_u64, 0_u64);
    let mut text = String::new();
    for entry in model.entries() {
        text.clear();
        let entry = Entry { age: None, mark: Some(0), references: Some(2), ..entry };
        let line = Line { zone_shown: true, ..Line::from(entry) };
        write(&mut text, &line, Dialect::Proc).expect("a string takes all");
        (entries, sum) = (entries + 1, hash(text.as_bytes()).wrapping_add(sum));
    }
    println!("{entries}\n{sum}");
    for counter in COUNTERS {
        println!("{}", model.counters().get(counter).unwrap_or(0));
    }
}

/// FNV-1a.
fn hash(line: &[u8]) -> u64 {
    line.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
