//! What `plimsoll fix` adds to the work of the kernel and of nft: whole processes, from the plan to the last line of the
//! journal, beside the plain commands that change the same.
//!
//!     cargo bench -p plimsoll --bench fix
//!
//! Needs root, nft and sysctl. Everything is changed in a namespace of its own, and taken back. Medians of interleaved
//! rounds. Exit status 1: the promise of 200 ms is broken.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 11;
const PROMISED: Duration = Duration::from_millis(200);

/// The same as the policy for one port, by nft alone.
const POLICY: &str = "table inet bench { ct timeout slow { protocol tcp; l3proto ip; policy = { established: 600 }; }; \
                      chain pre { type filter hook prerouting priority -150; }; \
                      chain out { type filter hook output priority -150; }; }";

/// A remedy, and what does its work without us.
struct Case {
    name: &'static str,
    fix: &'static [&'static str],
    plain: &'static [&'static [&'static str]],
}

const CASES: &[Case] = &[
    Case {
        name: "timeout time_wait=30",
        fix: &["timeout", "time_wait=30"],
        plain: &[&["sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_timeout_time_wait=30"]],
    },
    Case {
        name: "timeout --port tcp/443 established=600",
        fix: &["timeout", "--port", "tcp/443", "established=600"],
        // The least: load them, and look whether they are there.
        plain: &[&["nft", POLICY], &["nft", "list", "table", "inet", "bench"]],
    },
];

/// The namespace, with a rule by state; gone when dropped.
struct Place {
    name: String,
    state: PathBuf,
}

impl Place {
    fn new() -> Self {
        let name = format!("plimsoll-bench-fix-{}", std::process::id());
        run(&["ip", "netns", "add", &name]);
        let place = Self { state: std::env::temp_dir().join(&name), name };
        let rule = "table inet site { chain in { type filter hook input priority 0; ct state established accept; }; }";
        place.inside(&["nft", rule]);
        place
    }

    fn inside(&self, words: &[&str]) -> Duration {
        run(&[&["ip", "netns", "exec", &self.name], words].concat())
    }

    fn ours(&self, words: &[&str]) -> Duration {
        let state = self.state.to_str().expect("a path of text");
        self.inside(&[&[env!("CARGO_BIN_EXE_plimsoll")], words, &["--state-dir", state]].concat())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.state);
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn run(words: &[&str]) -> Duration {
    let begun = Instant::now();
    let out = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output();
    let took = begun.elapsed();
    let out = out.unwrap_or_else(|e| panic!("{}: {e}", words[0]));
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    took
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn main() -> ExitCode {
    let place = Place::new();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load before: {}", load.trim());
    println!("{:40} {:>9} {:>9} {:>9} {:>9}", "", "plain", "fix", "its own", "undo");
    let mut worst = Duration::ZERO;
    for case in CASES {
        let (mut plain, mut ours, mut undo) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            plain.push(case.plain.iter().map(|words| place.inside(words)).sum());
            match case.plain[0][0] {
                "nft" => place.inside(&["nft", "delete table inet bench"]),
                _ => place.inside(&[
                    "sysctl",
                    "-qw",
                    "net.netfilter.nf_conntrack_tcp_timeout_time_wait=120",
                ]),
            };
            ours.push(place.ours(&[&["fix"], case.fix, &["--yes", "--watch", "0"]].concat()));
            undo.push(place.ours(&["undo"]));
        }
        let (plain, ours, undo) = (median(plain), median(ours), median(undo));
        let own = ours.saturating_sub(plain);
        worst = worst.max(own);
        let ms = |t: Duration| format!("{:6.1} ms", t.as_secs_f64() * 1e3);
        println!(
            "{:40} {:>9} {:>9} {:>9} {:>9}",
            case.name,
            ms(plain),
            ms(ours),
            ms(own),
            ms(undo)
        );
    }
    println!("promised: no more than {} ms of its own", PROMISED.as_millis());
    if worst <= PROMISED { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
