//! What `plimsoll check` costs as a whole process, beside what people type today, and whether it keeps
//! its promises.
//!
//!     cargo bench -p plimsoll --bench check -- [--entries N] [--namespaces N] [--runs N]
//!
//! Needs root, `conntrack` and a machine that may be busy for two minutes. Three stages, all made of real
//! traffic in throw-away namespaces: an ordinary table, a million entries (for which the machine's limit
//! is raised, and put back whatever happens), many namespaces. Runs are interleaved, figures are medians:
//! wall time beside the interval, processor time of the process and all its children, and the peak memory
//! of the largest of them. Exit status 1: a promise is broken.

mod measure;
mod stages;

use std::process::ExitCode;
use std::time::Duration;

use measure::{Figures, Program, interleaved};
use plimsoll_lab::{LabError, Namespace};

/// Time between the two readings of `check`.
const INTERVAL: Duration = Duration::from_millis(1000);
/// The default of `--budget`.
const BUDGET: Duration = Duration::from_millis(1000);
/// The most memory at any size, in KiB.
const MEMORY: u64 = 64 << 10;

/// What is run.
const CHECK: &str = "plimsoll check";
const NO_TABLE: &str = "plimsoll check --budget 0";
const PIPELINE: &str = "conntrack -L | awk | sort | uniq -c | sort | head";
const LINES: &str = "cat /proc/net/nf_conntrack | wc -l";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let sizes = Sizes {
        entries: number("--entries", 1_000_000),
        namespaces: number("--namespaces", 200),
        runs: number("--runs", 5).max(1) as usize,
    };
    let mut promises = Promises::default();
    let done = plimsoll_lab::install_signal_cleanup().and_then(|()| all(&sizes, &mut promises));
    match done {
        Ok(()) if promises.broken == 0 => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

struct Sizes {
    entries: u64,
    namespaces: u64,
    runs: usize,
}

fn all(sizes: &Sizes, promises: &mut Promises) -> Result<(), LabError> {
    stages::sweep();
    let floor = measure::peak_of_this();
    println!("a process started from here shows at least {floor} KiB, this benchmark's own");
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    println!("load before: {}, {processors} processors\n", load.trim());
    let small = ordinary(sizes.runs, promises)?;
    let many = million(sizes, promises)?;
    crowd(sizes, promises)?;
    // What does not read the table must not feel it.
    let (small, large) = (small.wall_ms(), many.wall_ms());
    promises.hold(
        &format!("without reading tables: {small:.0} ms at 5,000 entries, {large:.0} ms at most"),
        large < small * 1.5 + 20.0,
    );
    Ok(())
}

/// An ordinary server: 5,000 entries.
fn ordinary(runs: usize, promises: &mut Promises) -> Result<Figures, LabError> {
    let stage = stages::ordinary()?;
    println!("an ordinary host: {} entries", stage.count()?);
    let programs = [check(CHECK, &[]), check(NO_TABLE, &["--budget", "0"])];
    let peers = peers(stage.server());
    let figures = interleaved(&programs.iter().chain(&peers).collect::<Vec<_>>(), runs);
    table(&figures);
    promises.quick("ordinary host", &figures[0], Duration::from_millis(100));
    Ok(figures[1])
}

/// A table that takes longer to read than the budget allows.
fn million(sizes: &Sizes, promises: &mut Promises) -> Result<Figures, LabError> {
    let stage = stages::large(sizes.entries)?;
    println!("a large table: {} entries, {} ASSURED", stage.lab.count()?, stage.assured);
    let programs = [check(CHECK, &["--json"]), check(NO_TABLE, &["--budget", "0"])];
    let figures = interleaved(&programs.iter().collect::<Vec<_>>(), sizes.runs.min(3));
    // The peers hold the processor for many seconds: once is enough, while the machine's limit is raised.
    let peers = interleaved(&peers(stage.lab.server()).iter().collect::<Vec<_>>(), 1);
    table(&figures.iter().chain(&peers).copied().collect::<Vec<_>>());
    promises.quick("large table", &figures[0], BUDGET + Duration::from_secs(1));
    accuracy(&stage, promises)?;
    Ok(figures[1])
}

/// A node with many pods: each a namespace, one in ten tracks.
fn crowd(sizes: &Sizes, promises: &mut Promises) -> Result<(), LabError> {
    let crowd = stages::Crowd::build(sizes.namespaces)?;
    println!("many namespaces: {}, of which {} track", sizes.namespaces, crowd.tracking());
    let programs = [check(CHECK, &[]), check(NO_TABLE, &["--budget", "0"])];
    let figures = interleaved(&programs.iter().collect::<Vec<_>>(), sizes.runs);
    table(&figures);
    promises.quick("many namespaces", &figures[0], Duration::from_millis(500));
    Ok(())
}

/// Whether the split that is shown, of a sample, is the table's.
fn accuracy(stage: &stages::Large, promises: &mut Promises) -> Result<(), LabError> {
    let output = check(CHECK, &["--json"]).output();
    let shown: serde_json::Value = serde_json::from_slice(&output).unwrap_or_default();
    let inode = stage.lab.server().inode();
    let found = shown["namespaces"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["inode"].as_u64() == Some(inode)))
        .cloned()
        .unwrap_or_default();
    let seen = found["sampled"].as_u64().map_or_else(|| "all".into(), |seen| seen.to_string());
    let count = stage.lab.count()? as f64;
    let assured = stage.assured as f64;
    for (part, truth) in [("evictable", count - assured), ("protected", assured)] {
        let value = found[part].as_f64().unwrap_or(f64::NAN);
        let error = (value - truth) / count * 100.0;
        let line = format!("{part}: shown {value}, true {truth}, off by {error:+.2} % of all");
        promises.hold(&format!("{line}, {seen} entries seen"), error.abs() < 1.0);
    }
    println!();
    Ok(())
}

fn check(name: &'static str, arguments: &[&'static str]) -> Program {
    let all = ["check", "--color", "never"].iter().chain(arguments).copied().collect();
    Program {
        name,
        path: env!("CARGO_BIN_EXE_plimsoll"),
        arguments: all,
        pause: INTERVAL,
        inside: None,
    }
}

/// What people use now, in the namespace of the table.
fn peers(namespace: &Namespace) -> [Program; 2] {
    let shell = |name, line| Program {
        name,
        path: "/bin/sh",
        arguments: vec!["-c", line],
        pause: Duration::ZERO,
        inside: Some(namespace.clone()),
    };
    [
        shell(
            PIPELINE,
            "conntrack -L 2>/dev/null | awk '{print $1, $4, $5}' | sort | uniq -c | sort -rn | head",
        ),
        shell(LINES, "cat /proc/net/nf_conntrack | wc -l"),
    ]
}

/// One line for each, and how it compares with the first.
fn table(figures: &[Figures]) {
    println!("{:<52} {:>9} {:>9} {:>9}   wall beside ours", "", "wall ms", "cpu ms", "peak KiB");
    for figure in figures {
        println!(
            "{:<52} {:>9.0} {:>9.0} {:>9}   {:.2}",
            figure.name,
            figure.wall_ms(),
            figure.cpu.as_secs_f64() * 1e3,
            figure.peak,
            figure.wall_ms() / figures[0].wall_ms(),
        );
    }
    println!();
}

#[derive(Default)]
struct Promises {
    broken: usize,
}

impl Promises {
    fn hold(&mut self, what: &str, kept: bool) {
        println!("{} {what}", if kept { "pass" } else { "FAIL" });
        self.broken += usize::from(!kept);
    }

    fn quick(&mut self, what: &str, figures: &Figures, most: Duration) {
        let (wall, most) = (figures.wall_ms(), most.as_millis());
        self.hold(
            &format!("{what}: {wall:.0} ms beside the interval, promised < {most} ms"),
            wall < most as f64,
        );
        let peak = figures.peak;
        self.hold(&format!("{what}: {peak} KiB, promised < {MEMORY} KiB"), peak < MEMORY);
        println!();
    }
}
