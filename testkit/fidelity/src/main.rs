//! `cargo xtask fidelity …`: captures and generated flows through the kernel and the model.

use std::io::{self, Error};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use plimsoll_fidelity::filling::FILLINGS;
use plimsoll_fidelity::kernel::Kernel;
use plimsoll_fidelity::run::{Pace, Pair};
use plimsoll_fidelity::scripts::rare::RARE;
use plimsoll_fidelity::{
    captures, complaints, edges, expected, full, generated, occupancy, printed, segments, servers,
    settings, zones,
};

const HELP: &str = "\
cargo xtask fidelity scripts [N] [SEED]     N generated flows (default 2000)
cargo xtask fidelity rare [N] [SEED] [KIND] N flows (default 2000) of each kind that these hardly make, or of one
cargo xtask fidelity rehash [N] [SEED]      N flows (default 2000) of each of these kinds, while the machine's number of buckets changes
cargo xtask fidelity vlan [N] [SEED]        N flows (default 2000) of each of these kinds, in frames with tags: 802.1Q, 802.1ad, VLANs upon VLANs
cargo xtask fidelity edges [N] [SEED]       N flows (default 2000) with packets at the very ticks at which entries expire
cargo xtask fidelity expected [N] [SEED]    N flows (default 600) that helpers expect, about when they are waited for no longer: 320 s
cargo xtask fidelity segments FLOW [/ FLOW] TCP by hand, segment by segment: `>S0 <SA0,1 >A1,1 >R5`
cargo xtask fidelity log [N] [SEED]         what each says of every packet of N flows (default 2000): nf_conntrack_log_invalid
cargo xtask fidelity printed [N] [SEED]     /proc/net/nf_conntrack, `conntrack -L` and `-E` of the DCCP among N flows (default 2000)
cargo xtask fidelity settings               which values each setting takes
cargo xtask fidelity zones [N] [PROTOCOL]   every run of N packets (default 3) in zones of one direction, of the other, both or none
cargo xtask fidelity full [LIMIT] [ROUNDS]  tables filled beyond a limit, and the collector (default 8000 1)
cargo xtask fidelity occupancy [SECONDS]    the count over time (default 180): nginx, dnsmasq and their clients,
                                            or --made-up flows
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
        Some("scripts") => scripts(&arguments[1..]),
        Some("rare") => rare(arguments.get(1..).unwrap_or_default()),
        Some("rehash") => rehash(&arguments),
        Some("vlan") => vlan(&arguments),
        Some("edges") => at_edges(&arguments),
        Some("expected") => expected(&arguments),
        Some("segments") => by_hand(&arguments[1..].join(" ")),
        Some("log") => log(&arguments),
        Some("printed") => printed(&arguments),
        Some("settings") => settings(),
        Some("zones") => by_zone(&arguments),
        Some("full") => full(&arguments),
        Some("occupancy") => over_time(&arguments),
        Some(_) => replay(&arguments),
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

fn number(arguments: &[String], at: usize, default: u64) -> io::Result<u64> {
    let Some(text) = arguments.get(at) else { return Ok(default) };
    text.parse().map_err(|_| Error::other(format!("expected a number, saw {text:?}")))
}

fn show(line: &str) {
    println!("{line}");
}

/// Both sides; what the kernel refused is said.
fn pair() -> io::Result<Pair> {
    let pair = Pair::new(&[])?;
    for what in pair.kernel.left_out() {
        println!("left out, this kernel refuses it: {what}");
    }
    Ok(pair)
}

fn scripts(arguments: &[String]) -> io::Result<usize> {
    let (count, seed) = (number(arguments, 0, 2000)?, number(arguments, 1, 1)?);
    let outcome = generated::run(&mut pair()?, count as usize, seed, &mut show)?;
    Ok(tell("", &outcome))
}

/// Prints what came of it: how much of it differs.
fn tell(name: &str, outcome: &generated::Outcome) -> usize {
    println!(
        "{name}{} flows, {} packets, {} of them through a grid too, {} entries, {} expected, {} calls, {} flows differ, {} batches unexplained",
        outcome.flows,
        outcome.packets,
        outcome.in_grids,
        outcome.entries,
        outcome.met,
        outcome.calls,
        outcome.failed,
        outcome.unexplained
    );
    outcome.failed + outcome.unexplained
}

fn rare(arguments: &[String]) -> io::Result<usize> {
    let (count, seed) = (number(arguments, 0, 2000)?, number(arguments, 1, 1)?);
    each_rare(&mut pair()?, arguments.get(2), count, seed)
}

fn rehash(arguments: &[String]) -> io::Result<usize> {
    let (count, seed) = (number(arguments, 1, 2000)?, number(arguments, 2, 1)?);
    let turn = full::Turn::take(complaints::LIMIT)?;
    let buckets = full::Buckets::open(&turn)?;
    let mut pair = pair()?;
    pair.rehash(buckets);
    let outcome = generated::run(&mut pair, count as usize, seed, &mut show)?;
    Ok(tell("any: ", &outcome) + each_rare(&mut pair, None, count, seed)?)
}

fn vlan(arguments: &[String]) -> io::Result<usize> {
    let (count, seed) = (number(arguments, 1, 2000)?, number(arguments, 2, 1)?);
    let mut pair = pair()?;
    if let Some(refused) = pair.tag()? {
        println!("left out, this kernel refuses it: VLANs: {refused}");
    }
    let outcome = generated::run(&mut pair, count as usize, seed, &mut show)?;
    let differing = tell("any: ", &outcome) + each_rare(&mut pair, None, count, seed)?;
    if let Some(tags) = pair.tags() {
        println!(
            "frames by their tags' number: {:?}; that led nowhere: {}",
            tags.sent, tags.nowhere
        );
    }
    Ok(differing)
}

fn each_rare(pair: &mut Pair, only: Option<&String>, count: u64, seed: u64) -> io::Result<usize> {
    let mut differing = 0;
    for (name, flows) in RARE.iter().filter(|(name, _)| only.is_none_or(|only| only == name)) {
        let outcome = generated::run_of(pair, &flows(), count as usize, seed, &mut show)?;
        differing += tell(&format!("{name}: "), &outcome);
    }
    Ok(differing)
}

fn at_edges(arguments: &[String]) -> io::Result<usize> {
    let (count, seed) = (number(arguments, 1, 2000)?, number(arguments, 2, 1)?);
    let outcome = edges::run(&mut pair()?, count as usize, seed, &mut show)?;
    let edges::Outcome { flows, packets, near, unknown, failed } = outcome;
    println!("{flows} flows, {packets} packets, {unknown} flows left out, {failed} differ");
    println!("packets whole seconds apart, from three ticks less to three more: {near:?}");
    Ok(failed)
}

fn expected(arguments: &[String]) -> io::Result<usize> {
    let (count, seed) = (number(arguments, 1, 600)?, number(arguments, 2, 1)?);
    let outcome = expected::run(&mut pair()?, count as usize, seed, &mut show)?;
    let expected::Outcome { flows, near: [over, rings], met, unknown, failed } = outcome;
    println!("{flows} flows, {met} expected, {unknown} left out, {failed} differ");
    println!("within three ticks of the end of the span {over}, of the timer's ring {rings}");
    Ok(failed)
}

/// Flows of TCP, apart by `/`.
fn by_hand(flows: &str) -> io::Result<usize> {
    let mut pair = pair()?;
    let mut differing = 0;
    for flow in flows.split('/') {
        differing += usize::from(!segments::run(&mut pair, flow.trim(), &mut show)?);
    }
    Ok(differing)
}

fn log(arguments: &[String]) -> io::Result<usize> {
    let (count, seed) = (number(arguments, 1, 2000)?, number(arguments, 2, 1)?);
    let _turn = full::Turn::take(complaints::LIMIT)?;
    let _permission = complaints::Permission::give()?;
    let mut pair = pair()?;
    let mut differing = 0;
    for (seed, settings) in (seed..).zip(complaints::SETTINGS) {
        let flows = generated::sample(count as usize / complaints::SETTINGS.len(), seed)?;
        let mut flows: Vec<_> = flows.iter().map(|flow| flow.packets(pair.number())).collect();
        flows.push(complaints::by_hand());
        let outcome = complaints::run(&mut pair, flows, settings, &mut show)?;
        println!("{settings:?}: {} packets, {} differ", outcome.packets, outcome.differing);
        for (words, lines) in outcome.lines {
            println!("  {lines:6} {words}");
        }
        differing += outcome.differing;
    }
    Ok(differing)
}

fn printed(arguments: &[String]) -> io::Result<usize> {
    let (count, seed) = (number(arguments, 1, 2000)?, number(arguments, 2, 1)?);
    let (lines, differing) = printed::dccp(&mut pair()?, count as usize, seed, &mut show)?;
    println!("{lines} lines, {differing} differ");
    Ok(differing)
}

fn settings() -> io::Result<usize> {
    let outcome = settings::run(&pair()?.kernel, &mut show)?;
    let settings::Outcome { settings, values, failed } = outcome;
    println!("{settings} settings, {values} values, {failed} differ");
    Ok(failed)
}

fn by_zone(arguments: &[String]) -> io::Result<usize> {
    let length = number(arguments, 1, 3)? as u32;
    let only = arguments.get(2).map(|_| number(arguments, 2, 0)).transpose()?;
    let protocols: Vec<u8> = match only {
        Some(only) => vec![u8::try_from(only).map_err(Error::other)?],
        None => zones::PROTOCOLS.to_vec(),
    };
    let outcome = zones::run(&mut pair()?, &protocols, length, &mut show)?;
    println!("{} runs, {} differ", outcome.runs, outcome.differing.len());
    Ok(outcome.differing.len())
}

/// Each filling so many times; the scores of a total are added up, so that a small bias shows as well.
fn full(arguments: &[String]) -> io::Result<usize> {
    let (limit, rounds) = (number(arguments, 1, 8000)?, number(arguments, 2, 1)?);
    let turn = full::Turn::take(limit)?;
    let mut kernel = Kernel::new()?;
    let mut flows = 0;
    let mut wrong = 0;
    for filling in FILLINGS.iter().map(Some).chain([None]) {
        let mut sums: Vec<(full::Compared, f64)> = Vec::new();
        let mut packets = 0;
        for _ in 0..rounds {
            let outcome = match filling {
                Some(filling) => full::run(&mut kernel, &turn, filling, &mut flows)?,
                None => full::collected(&mut kernel, &turn, &mut flows)?,
            };
            packets += outcome.packets;
            sums.resize(outcome.totals.len(), (outcome.totals[0], 0.0));
            for (sum, total) in sums.iter_mut().zip(&outcome.totals) {
                wrong += usize::from(total.score().abs() > full::BOUND);
                *sum = (*total, sum.1 + total.score());
            }
        }
        println!(
            "{}: {packets} packets",
            filling.map_or("the collector in a full table", |f| f.name)
        );
        for (last, score) in &sums {
            let full::Compared { name, kernel, mean, deviation } = last;
            if *kernel != 0.0 || *mean != 0.0 {
                println!(
                    "  {name:14} kernel {kernel:7}  models {mean:9.1} ± {deviation:6.1}  {:+.2} standard errors over {rounds}",
                    score / (rounds as f64).sqrt()
                );
            }
        }
    }
    println!("{wrong} totals beyond {} standard errors", full::BOUND);
    Ok(wrong)
}

fn over_time(arguments: &[String]) -> io::Result<usize> {
    let seconds = number(arguments, 1, 180)?;
    let curve = if arguments.iter().any(|a| a == "--made-up") {
        occupancy::made_up(seconds)?
    } else {
        let watched = servers::watch(seconds)?;
        let [answered, not] = watched.answered;
        println!("{answered} requests and queries answered, {not} not");
        occupancy::fit(&watched.packets(), &watched.counts, servers::SETTINGS, watched.runs)?
    };
    let first = curve.samples.first().map_or(0, |s| s.count.at.0);
    for sample in &curve.samples {
        let at = (sample.count.at.0 - first) as f64 / 1e9;
        let occupancy::Sample { count, live, upper, counted, keys: (least, most), traced } = sample;
        let traced = traced.map_or("?".to_owned(), |(least, most)| format!("{least} to {most}"));
        println!(
            "{at:6.1} s: kernel {}, live {live}, upper {upper}, counted {counted}, with other hash keys {least} to {most}, \
             with the kernel's passes {traced}",
            count.kernel
        );
    }
    let peak = curve.peak();
    let say = |which: &str, distances: &[u64]| {
        let at = |share: usize| {
            let place = distances.len().saturating_sub(1) * share / 100;
            distances.get(place).map_or(0.0, |d| *d as f64 / peak as f64 * 100.0)
        };
        let beyond = distances.iter().filter(|d| **d * 20 > peak).count();
        println!(
            "{which}: half of the samples are at most {:.1} % of the peak off, 95 % at most {:.1} %, all at most {:.1} %; \
             {beyond} more than 5 %",
            at(50),
            at(95),
            at(100),
        );
    };
    println!(
        "{} packets, peak {peak}, {} of {} samples outside the band",
        curve.packets,
        curve.outside(),
        curve.samples.len(),
    );
    let phase = curve.phase;
    say(&format!("with the first pass {phase} ticks after the first packet"), &curve.distances());
    say("at best of models with other hash keys", &curve.distances_from_any());
    match &curve.runs {
        Ok(runs) => {
            let which =
                format!("with each of the {runs} runs of the kernel's collector at its time");
            say(&which, &curve.distances_traced());
        }
        Err(why) => println!("the kernel's collector was not traced: {why}"),
    }
    let far = curve.distances_traced().iter().filter(|d| **d * 20 > peak).count();
    Ok(curve.outside() + if curve.runs.is_ok() { far } else { 0 })
}

fn replay(arguments: &[String]) -> io::Result<usize> {
    let mut paths = Vec::new();
    let mut pace = Pace::SHORT;
    let mut trace = false;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--pause" | "--run" => {
                let text = words.next().ok_or_else(|| Error::other("a number is missing"))?;
                let span = Duration::from_millis(text.parse().map_err(Error::other)?);
                *(if word == "--run" { &mut pace.longest_run } else { &mut pace.longest_pause }) =
                    span;
            }
            "--trace" => trace = true,
            path => paths.push(PathBuf::from(path)),
        }
    }
    let files = captures::below(&paths)?;
    let outcome = captures::run(&mut pair()?, &files, pace, trace, &mut show)?;
    println!(
        "{} captures, {} packets, {} entries, {} captures differ",
        outcome.captures,
        outcome.packets,
        outcome.entries,
        outcome.differing.len()
    );
    Ok(outcome.differing.len())
}
