//! `cargo xtask fidelity …`: captures and generated flows through the kernel and the model.

use std::io::{self, Error};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use plimsoll_fidelity::compare::Difference;
use plimsoll_fidelity::frames::{Planned, plan};
use plimsoll_fidelity::occupancy;
use plimsoll_fidelity::run::{Pace, Pair};
use plimsoll_fidelity::scripts::{Script, script};
use plimsoll_wire::packet::parse_ip;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

const HELP: &str = "\
cargo xtask fidelity scripts [N] [SEED]     N generated flows (default 2000)
cargo xtask fidelity occupancy [SECONDS]    the count over time, and the collector's pace (default 180)
cargo xtask fidelity FILE|DIRECTORY...      captures; --pause MS the longest pause (default 5), --run MS
                                            that of all (default 500); --trace looks after each
                                            packet where a capture differs
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        None | Some("help" | "--help") => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some("scripts") => {
            let number = |at: usize, default: u64| {
                arguments.get(at).map_or(Some(default), |text| text.parse().ok())
            };
            match (number(1, 2000), number(2, 1)) {
                (Some(count), Some(seed)) => generated(count as usize, seed),
                _ => Err(Error::other("expected numbers")),
            }
        }
        Some("occupancy") => {
            let seconds = arguments.get(1).map_or(Some(180), |text| text.parse().ok());
            seconds.ok_or_else(|| Error::other("expected seconds")).and_then(over_time)
        }
        Some(_) => captures(&arguments),
    };
    match result {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fidelity: {error}");
            ExitCode::from(2)
        }
    }
}

fn over_time(seconds: u64) -> io::Result<usize> {
    let curve = occupancy::run(seconds)?;
    for sample in &curve.samples {
        println!(
            "{:.0} s: kernel {}, live {}",
            sample.at.0 as f64 / 1e9,
            sample.kernel,
            sample.live
        );
    }
    println!(
        "peak {}, {} of {} samples outside the band; with the first pass {} ticks after the first packet \
         the model is at most {} entries off",
        curve.peak,
        curve.outside,
        curve.samples.len(),
        curve.phase,
        curve.distance
    );
    Ok(curve.outside)
}

/// Flows at once in the table.
const BATCH: usize = 500;

fn generated(count: usize, seed: u64) -> io::Result<usize> {
    let mut pair = Pair::new(&[("nf_conntrack_checksum", 1)])?;
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = script();
    let mut failed = 0;
    let mut done = 0;
    while done < count {
        let mut trees = Vec::new();
        for _ in 0..BATCH.min(count - done) {
            trees.push(strategy.new_tree(&mut runner).map_err(|e| Error::other(e.to_string()))?);
        }
        let flows: Vec<_> =
            trees.iter().enumerate().map(|(n, t)| t.current().packets(n as u32)).collect();
        pair.reset()?;
        for step in 0..flows.iter().map(Vec::len).max().unwrap_or(0) {
            for packet in flows.iter().filter_map(|f| f.get(step)) {
                pair.feed(packet)?;
            }
        }
        done += trees.len();
        if pair.differences()?.is_empty() {
            continue;
        }
        for mut tree in trees {
            if differs(&mut pair, &tree.current())?.is_empty() {
                continue;
            }
            failed += 1;
            if failed <= 5 {
                for _ in 0..400 {
                    if !tree.simplify() {
                        break;
                    }
                    while differs(&mut pair, &tree.current())?.is_empty() && tree.complicate() {}
                }
                show(&mut pair, &tree.current())?;
            }
        }
    }
    println!("{done} flows, {failed} differ");
    Ok(failed)
}

fn differs(pair: &mut Pair, script: &Script) -> io::Result<Vec<Difference>> {
    pair.reset()?;
    for packet in script.packets(0) {
        pair.feed(&packet)?;
    }
    pair.differences()
}

fn show(pair: &mut Pair, script: &Script) -> io::Result<()> {
    println!("--- {script:#?}");
    let plan: Vec<_> =
        script.packets(0).into_iter().map(|packet| Planned { packet, at: 0 }).collect();
    explain(pair, &plan, Pace { longest_pause: Duration::ZERO, longest_run: Duration::ZERO })
}

fn explain(pair: &mut Pair, plan: &[Planned], pace: Pace) -> io::Result<()> {
    match pair.first_difference(plan, pace)? {
        Some((at, differences)) => {
            println!(
                "packet {at} of {}: {:02x?}",
                plan.len(),
                &plan[at].packet[..plan[at].packet.len().min(96)]
            );
            if let Ok(packet) = parse_ip(&plan[at].packet) {
                println!(
                    "   {} > {} protocol {}",
                    packet.source, packet.destination, packet.protocol
                );
            }
            for difference in differences.iter().take(4) {
                println!("   {difference}");
            }
        }
        None => println!("   no difference when looked at step by step"),
    }
    Ok(())
}

fn captures(arguments: &[String]) -> io::Result<usize> {
    let mut files = Vec::new();
    let mut pause = 5;
    let mut run = 500;
    let mut trace = false;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--pause" | "--run" => {
                let text = words.next().ok_or_else(|| Error::other("a number is missing"))?;
                let number = text.parse().map_err(Error::other)?;
                *(if word == "--run" { &mut run } else { &mut pause }) = number;
            }
            "--trace" => trace = true,
            path => gather(Path::new(path), &mut files)?,
        }
    }
    files.sort();
    let mut pair = Pair::new(&[("nf_conntrack_checksum", 0)])?;
    let pace = Pace {
        longest_pause: Duration::from_millis(pause),
        longest_run: Duration::from_millis(run),
    };
    let (mut differing, mut packets, mut entries) = (0, 0, 0);
    for file in &files {
        let plan = plan(&std::fs::read(file)?);
        pair.reset()?;
        pair.play(&plan, pace)?;
        let differences = pair.differences()?;
        packets += plan.len();
        entries += pair.model.entries().count();
        if differences.is_empty() {
            continue;
        }
        differing += 1;
        println!("=== {} ({} packets)", file.display(), plan.len());
        for difference in differences.iter().take(3) {
            println!("   {difference}");
        }
        if trace {
            explain(&mut pair, &plan, pace)?;
        }
    }
    println!(
        "{} captures, {packets} packets, {entries} entries, {differing} captures differ",
        files.len()
    );
    Ok(differing)
}

fn gather(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            gather(&entry?.path(), files)?;
        }
    } else if path.extension().is_some_and(|e| e != "tsv" && e != "md") {
        files.push(path.to_owned());
    }
    Ok(())
}
