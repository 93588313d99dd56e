//! `plimsoll boot` on this host as a whole process, beside what shows less of the same: `systemd-analyze cat-config sysctl.d`,
//! which only prints the files, and `sysctl --system --dry-run`, which only lists them. Medians of interleaved rounds.
//!
//! `cargo bench -p plimsoll --bench boot` fails when the promise of 50 ms is broken.

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 21;
const PROMISED: Duration = Duration::from_millis(50);

/// Programs with their arguments; ours first.
const PEERS: &[&[&str]] = &[
    &[env!("CARGO_BIN_EXE_plimsoll"), "boot"],
    &[env!("CARGO_BIN_EXE_plimsoll"), "boot", "--json", "nf_conntrack_max"],
    &["systemd-analyze", "cat-config", "sysctl.d"],
    &["sysctl", "--system", "--dry-run"],
];

fn once(words: &[&str]) -> Option<Duration> {
    let begun = Instant::now();
    let status = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()?;
    // Ours ends with 1 where something is wrong with the files.
    status.code().filter(|code| *code <= 1)?;
    Some(begun.elapsed())
}

fn main() -> ExitCode {
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); PEERS.len()];
    for _ in 0..ROUNDS {
        for (peer, times) in PEERS.iter().zip(&mut times) {
            times.extend(once(peer));
        }
    }
    let medians: Vec<Option<Duration>> = times
        .iter_mut()
        .map(|all| {
            all.sort();
            all.get(all.len() / 2).copied()
        })
        .collect();
    let Some(ours) = medians[0] else {
        eprintln!("plimsoll boot did not run");
        return ExitCode::FAILURE;
    };
    for (peer, median) in PEERS.iter().zip(&medians) {
        let name = peer[0].rsplit('/').next().unwrap_or(peer[0]);
        let shown = format!("{name} {}", peer[1..].join(" "));
        match median {
            Some(median) => println!(
                "{shown:44} {:8.2} ms  {:5.2} x ours",
                median.as_secs_f64() * 1e3,
                median.as_secs_f64() / ours.as_secs_f64()
            ),
            None => println!("{shown:44} not here"),
        }
    }
    if ours <= PROMISED { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
