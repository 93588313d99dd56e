//! Prints everything that is read of the running host: `observe [--brief] [INTERVAL_MS] [NAMESPACE…]`.

use std::time::{Duration, Instant};

use plimsoll_probe::live::{NamespaceSelector, Options, observe};

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let brief = words.iter().position(|w| w == "--brief").map(|i| words.remove(i)).is_some();
    let mut options = Options { interval: Duration::from_millis(200), ..Options::default() };
    if let Some(millis) = words.first().and_then(|w| w.parse().ok()) {
        options.interval = Duration::from_millis(millis);
        words.remove(0);
    }
    options.only = words.iter().map(|w| NamespaceSelector::parse(w)).collect();
    let start = Instant::now();
    let observation = observe(&options);
    let whole = start.elapsed();
    if brief {
        for namespace in &observation.after.namespaces {
            println!(
                "{:?} {:?} count {:?} census {:?}",
                namespace.inode,
                namespace.owners,
                namespace.count,
                namespace.census.value().map(|c| (c.seen, c.complete, c.churn)),
            );
        }
        println!("complete: {:?}", observation.after.namespaces_complete);
    } else {
        println!("{observation:#?}");
    }
    for (part, took) in &observation.timings {
        println!("{part:<22} {took:?}");
    }
    println!("{:<22} {whole:?}", "whole");
}
