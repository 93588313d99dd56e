//! Shows the server's namespace on each stage, as conntrack-tools and the kernel see it.
//!
//!     cargo run -p plimsoll-lab --example stages [-- NAME...]

use plimsoll_ct::{Counter, Entries, Seconds};
use plimsoll_lab::LabError;
use plimsoll_lab::stage::{self, Stage};
use std::time::{Duration, Instant};

type Make = fn() -> Result<Stage, LabError>;

const STAGES: &[(&str, Make)] = &[
    ("idle", stage::idle),
    ("quiet", stage::quiet),
    ("untracked", stage::untracked),
    ("assured_full", || stage::assured_full(None)),
    ("assured_full_small", || stage::assured_full(Some(Entries(20_000)))),
    ("early_drop_pressure", || stage::early_drop_pressure(None)),
    ("syn_flood", stage::syn_flood),
    ("half_open_flood", stage::half_open_flood),
    ("udp_flood", stage::udp_flood),
    ("icmp_flood", stage::icmp_flood),
    ("time_wait", || stage::time_wait(50_000)),
    ("established_idle", || stage::established_idle(20_000, Seconds(86_400))),
    ("udp_conversations", || stage::udp_conversations(50_000)),
    ("nat_exhausted", || stage::nat_exhausted(None)),
    ("listen_overflow", stage::listen_overflow),
    ("expectations_full", stage::expectations_full),
];

const CENSUS: &str = "conntrack -L 2>/dev/null | sed -E 's/[0-9]+ [0-9]+ ([A-Z_]*).*(\\[UNREPLIED\\]).*/\\1 \\2/; \
     s/[0-9]+ [0-9]+ ([A-Z_]*).*(\\[ASSURED\\]).*/\\1 \\2/; s/ src=.*//' | sort | uniq -c; \
     grep -c . /proc/net/nf_conntrack_expect";

fn main() -> Result<(), LabError> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for (name, make) in STAGES {
        if !wanted.is_empty() && !wanted.iter().any(|w| w == name) {
            continue;
        }
        let started = Instant::now();
        let stage = make()?;
        println!("== {name} after {:.1?}: {}", started.elapsed(), stage.server().name());
        let before = stage.lab().reading()?;
        std::thread::sleep(Duration::from_secs(1));
        let now = stage.lab().reading()?;
        let grown: Vec<String> = Counter::ALL
            .iter()
            .filter(|&&counter| now.grown(counter, &before) > 0)
            .map(|&counter| format!("{} +{}", counter.name(), now.grown(counter, &before)))
            .collect();
        println!("entries {}, in a second: {}", now.entries, grown.join(", "));
        println!("listen overflows {}", stage::listen_overflows(stage.server())?);
        let census = stage
            .server()
            .run(|| std::process::Command::new("sh").args(["-c", CENSUS]).output())?;
        if let Ok(output) = census {
            print!("{}", String::from_utf8_lossy(&output.stdout));
        }
    }
    Ok(())
}
