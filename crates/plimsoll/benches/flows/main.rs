//! What `plimsoll flows` costs as a whole process, beside what people type today, and whether it keeps its promises.
//!
//!     cargo bench -p plimsoll --bench flows -- [--entries N] [--lines N] [--runs N]
//!
//! Needs root and conntrack. First a table of a million entries of real traffic in a throw-away namespace (the machine's
//! limit is raised for it, and put back whatever happens): listing and grouping beside `conntrack -L` and the pipe behind
//! it, interleaved, medians. Then the memory of groupings on a listing of four million entries, nearly all different.
//! Exit status 1: a promise is broken.

#[path = "../check/measure.rs"]
#[allow(dead_code)]
mod measure;
#[path = "../check/stages.rs"]
#[allow(dead_code)]
mod stages;

use std::io::{BufWriter, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use measure::{Program, interleaved};
use plimsoll_lab::{LabError, Namespace};

const PLIMSOLL: &str = env!("CARGO_BIN_EXE_plimsoll");
const LISTING: &str = "conntrack -L >/dev/null 2>&1";
const PIPELINE: &str = "conntrack -L 2>/dev/null | awk '{ s = $4 ~ /^src=/ ? \"-\" : $4; \
    for (i = 4; i <= NF; i++) if ($i ~ /^dport=/) { print s, $i; break } }' \
    | sort | uniq -c | sort -rn | head -20";

/// Most memory of a grouping, and of a listing, in KiB.
const GROUPING: u64 = 64 << 10;
const STREAMING: u64 = 32 << 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let runs = number("--runs", 5).max(1) as usize;
    let mut kept = true;
    memory(number("--lines", 4_000_000), &mut kept);
    let done = plimsoll_lab::install_signal_cleanup()
        .and_then(|()| speed(number("--entries", 1_000_000), runs, &mut kept));
    match done {
        Ok(()) if kept => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn hold(kept: &mut bool, what: &str, holds: bool) {
    *kept &= holds;
    println!("  {} {what}", if holds { "kept:  " } else { "BROKEN:" });
}

fn shell(name: &'static str, line: String, namespace: &Namespace) -> Program {
    let line: &'static str = line.leak();
    Program {
        name,
        path: "/bin/sh",
        arguments: vec!["-c", line],
        pause: Duration::ZERO,
        inside: Some(namespace.clone()),
    }
}

fn speed(entries: u64, runs: usize, kept: &mut bool) -> Result<(), LabError> {
    let large = stages::large(entries)?;
    let inside = large.lab.server();
    let by =
        |reader: &str| format!("{PLIMSOLL} flows -q --by state,dport --top 20 --reader {reader}");
    let programs = [
        shell("conntrack -L >/dev/null", LISTING.into(), inside),
        shell(
            "flows -o conntrack >/dev/null",
            format!("{PLIMSOLL} flows -q -o conntrack >/dev/null"),
            inside,
        ),
        shell("conntrack -L | awk | sort | uniq -c | sort | head", PIPELINE.into(), inside),
        shell("flows --by state,dport --top 20 (bpf)", by("bpf"), inside),
        shell("flows --by state,dport --top 20 (netlink)", by("netlink"), inside),
        shell(
            "flows -o json >/dev/null",
            format!("{PLIMSOLL} flows -q -o json >/dev/null"),
            inside,
        ),
        shell(
            "flows -o parquet >/dev/null",
            format!("{PLIMSOLL} flows -q -o parquet >/dev/null"),
            inside,
        ),
        shell("flows >/dev/null", format!("{PLIMSOLL} flows -q >/dev/null"), inside),
    ];
    let all: Vec<&Program> = programs.iter().collect();
    let figures = interleaved(&all, runs);
    println!("\n{} entries, medians of {runs} runs", large.lab.count()?);
    for figure in &figures {
        println!(
            "  {:<52} {:>8.0} ms wall {:>8.0} ms CPU {:>7.1} MiB",
            figure.name,
            figure.wall_ms(),
            figure.cpu.as_secs_f64() * 1e3,
            figure.peak as f64 / 1024.0
        );
    }
    let ratio = |a: usize, b: usize| figures[a].wall.as_secs_f64() / figures[b].wall.as_secs_f64();
    let listing = ratio(1, 0);
    hold(
        kept,
        &format!("the listing takes {listing:.2} of conntrack's time, 0.80 at most"),
        listing <= 0.8,
    );
    let bpf = ratio(2, 3);
    hold(
        kept,
        &format!("grouping by bpf is {bpf:.1} times as fast as the pipe, 25 at least"),
        bpf >= 25.0,
    );
    let netlink = ratio(2, 4);
    hold(
        kept,
        &format!("grouping by netlink is {netlink:.1} times as fast as the pipe, 1.6 at least"),
        netlink >= 1.6,
    );
    for figure in &figures[1..] {
        if figure.name.contains('|') {
            continue;
        }
        let most = if figure.name.contains("--by") { GROUPING } else { STREAMING };
        let what = format!(
            "{}: {:.1} MiB, {} at most",
            figure.name,
            figure.peak as f64 / 1024.0,
            most >> 10
        );
        hold(kept, &what, figure.peak <= most);
    }
    Ok(())
}

/// Groupings that have nearly as many groups as there are entries, and all others in one.
const GROUPINGS: [&str; 8] = [
    "state,dport",
    "src",
    "src,dst,sport,dport,reply-src,reply-dst,service,state",
    "src/24,dst/16",
    "sport,dport",
    "mark",
    "helper",
    "proto,family,class,direction,netns,zone,age,idle",
];

fn memory(lines: u64, kept: &mut bool) {
    println!("{lines} entries from a listing");
    for keys in GROUPINGS {
        let (peak, took) = grouped(lines, &["--by", keys, "--json"]);
        let what = format!(
            "--by {keys}: {:.1} MiB, 64 at most ({:.1} s)",
            peak as f64 / 1024.0,
            took.as_secs_f64()
        );
        hold(kept, &what, peak <= GROUPING);
    }
    for form in ["table", "json", "csv", "parquet", "conntrack"] {
        let (peak, took) = grouped(lines / 4, &["-o", form]);
        let what = format!(
            "-o {form}: {:.1} MiB, 32 at most ({:.1} s)",
            peak as f64 / 1024.0,
            took.as_secs_f64()
        );
        hold(kept, &what, peak <= STREAMING);
    }
}

/// Feeds a listing to the program; its peak memory in KiB.
// It is waited for by wait4, which tells that memory.
#[allow(clippy::zombie_processes)]
fn grouped(lines: u64, arguments: &[&str]) -> (u64, Duration) {
    let start = Instant::now();
    let mut child = Command::new(PLIMSOLL)
        .args(["flows", "-q", "--from", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut out = BufWriter::with_capacity(1 << 20, child.stdin.take().expect("a pipe"));
    // Numbers that look like chance, each once.
    for n in 0..lines {
        let x = (n as u32).wrapping_mul(2_654_435_761);
        let [a, b, c, d] = x.to_be_bytes();
        let port = x >> 16;
        writeln!(
            out,
            "tcp      6 {} ESTABLISHED src={a}.{b}.{c}.{d} dst=10.{d}.{c}.{b} sport={port} dport={} \
             src=10.{d}.{c}.{b} dst={a}.{b}.{c}.{d} sport={} dport={port} [ASSURED] mark={x} helper=h{x} use=1",
            x % 432_000,
            x & 0xffff,
            x & 0xffff
        )
        .expect("the program reads");
    }
    drop(out);
    let peak = measure::usage_of_ended(&child).peak;
    (peak, start.elapsed())
}
