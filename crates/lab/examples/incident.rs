//! The whole incident: a table fills up, packets are dropped, a cure, and nothing is left behind.
//!
//!     cargo run -p plimsoll-lab --example incident [-- MAX]

use plimsoll_ct::{Counter, Entries, Seconds};
use plimsoll_lab::*;
use std::time::{Duration, Instant};

fn main() {
    if let Err(error) = incident() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn incident() -> Result<(), LabError> {
    let started = Instant::now();
    install_signal_cleanup()?;
    let repaired = HostLimit::repair(Duration::from_secs(5))?;
    println!("left behind by others: {repaired:?}, {:?}", sweep()?);
    let limit = std::env::args().nth(1).and_then(|max| max.parse().ok()).map(Entries);
    let lab = Lab::build(&Options { limit, ..Options::default() })?;
    let max = lab.limit().get().get();
    println!(
        "{:6.2?} built {} (inode {})",
        started.elapsed(),
        lab.server().name(),
        lab.server().inode()
    );

    let visitors = lab.keep_visiting(50)?;
    let watch = |title: &str, seconds: u32| -> Result<(), LabError> {
        println!("{title}");
        let (mut reading, mut visits) = (lab.reading()?, visitors.visits());
        for _ in 0..seconds {
            std::thread::sleep(Duration::from_secs(1));
            let (now, came) = (lab.reading()?, visitors.visits());
            let between = came.since(visits);
            println!(
                "{:6.2?}   {:>7}/{max} entries  drop +{:<5} early_drop +{:<5} visitors: {} served, {} lost",
                started.elapsed(),
                now.entries,
                now.grown(Counter::Drop, &reading),
                now.grown(Counter::EarlyDrop, &reading),
                between.served,
                between.lost,
            );
            (reading, visits) = (now, came);
        }
        Ok(())
    };
    watch("a quiet day", 2)?;
    let wanted = (max - max / 200).saturating_sub(lab.count()?);
    let filled = lab.fill_tcp(wanted, Closing::Silent, &|_| {})?;
    println!("{:6.2?} connections that are never closed: {filled:?}", started.elapsed());
    watch("nearly full", 2)?;
    let flood = lab.flood(Kind::Syn, Sources::Unanswered, Pace::steady(2000))?;
    watch("and a SYN flood", 5)?;
    lab.set_timeout("tcp_timeout_established", Seconds(3600))?;
    for step in lab.untrack(SERVICE_PORT)? {
        println!("{:6.2?} {step}", started.elapsed());
    }
    watch("cured, the flood goes on", 4)?;
    println!("flood sent {}", flood.stop()?);
    drop(visitors);
    drop(lab);
    println!("{:6.2?} end", started.elapsed());
    Ok(())
}
