//! What .ci/run calls: everything, in two lanes on two cores. Compiling and emulating never wait, the tests mostly do; so
//! while one lane waits, the other computes. The fuzz targets run last and alone: they have a time, not a task.

use std::time::Instant;

use crate::{alone, bpf, fuzz, guests, lint, reboot, tests, tools};

/// Ends at the first fault of a lane, and then waits for the other.
pub fn run() -> Result<(), String> {
    // All packages at once, and no lane finds apt at work for the other.
    bpf::provide()?;
    let every: Vec<_> = [tools::TOOLS, guests::build::TOOLS, reboot::TOOLS]
        .into_iter()
        .flatten()
        .copied()
        .collect();
    tools::provide_these(&every)?;
    beside(
        || timed("lint", lint).and_then(|()| timed("test", tests::run)),
        || {
            timed("static", || alone::run("guest"))
                .and_then(|()| timed("guests", || guests::run(&[])))
                .and_then(|()| timed("reboot", || reboot::run(&[])))
                .and_then(|()| timed("fuzz targets", || fuzz::build().map(drop)))
        },
    )?;
    timed("fuzz", || fuzz::run(5))
}

/// Both to their ends, and the faults of both.
fn beside(
    one: impl FnOnce() -> Result<(), String> + Send,
    other: impl FnOnce() -> Result<(), String> + Send,
) -> Result<(), String> {
    let results = std::thread::scope(|scope| {
        let other = scope.spawn(other);
        [one(), other.join().unwrap_or_else(|_| Err("a lane of ci ended early".into()))]
    });
    let faults: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

fn timed(step: &str, run: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let started = Instant::now();
    let result = run();
    // At once: the other lane may have long to go.
    let how = result.as_ref().map_or_else(|why| format!("FAILED, {why}"), |()| "passed".into());
    eprintln!("xtask: ci: {step}: {how}, {} s", started.elapsed().as_secs());
    result
}
