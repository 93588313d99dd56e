//! The fuzz targets, held to clippy and run for a short while, on the stable toolchain: libFuzzer's coverage needs only stable flags.

use std::fs;
use std::process::Command;
use std::sync::Mutex;

use crate::run;

const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Clink-dead-code -Cdebug-assertions -Ccodegen-units=1 -Copt-level=2";

/// Targets that run at a time.
const TOGETHER: usize = 2;

/// The targets lie outside of the workspace: what is changed there would break them unseen.
pub fn check() -> Result<(), String> {
    cargo("clippy", &["--", "-D", "warnings"]).map(drop)
}

/// Builds all targets, for a named machine, which is returned.
pub fn build() -> Result<String, String> {
    cargo("build", &[])
}

/// Builds all targets and runs each for `seconds`.
pub fn run(seconds: u64) -> Result<(), String> {
    let target = build()?;
    let mut names: Vec<String> = fs::read_dir(run::root().join("fuzz/fuzz_targets"))
        .map_err(|e| format!("fuzz_targets: {e}"))?
        .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    names.sort();
    let waiting = Mutex::new(names.iter());
    let next = || waiting.lock().ok()?.next();
    let faults: Vec<String> = std::thread::scope(|scope| {
        let one_after_the_other = || -> Result<(), String> {
            while let Some(name) = next() {
                hunt(name, &target, seconds)?;
            }
            Ok(())
        };
        let threads: Vec<_> = (0..TOGETHER).map(|_| scope.spawn(one_after_the_other)).collect();
        let ended = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err("a thread of fuzz ended early".into()))
        };
        threads.into_iter().filter_map(|thread| ended(thread).err()).collect()
    });
    if !faults.is_empty() {
        return Err(faults.join("\n"));
    }
    eprintln!("xtask: {} fuzz targets, no crash", names.len());
    Ok(())
}

/// Runs one target for `seconds`.
fn hunt(name: &str, target: &str, seconds: u64) -> Result<(), String> {
    let home = run::root().join("fuzz");
    let (corpus, artifacts) = (home.join("corpus").join(name), home.join("artifacts").join(name));
    for directory in [&corpus, &artifacts] {
        fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    }
    let mut command = Command::new(home.join("target").join(target).join("debug").join(name));
    command.arg(&corpus);
    let seeds = home.join("seeds").join(name);
    if seeds.is_dir() {
        command.arg(&seeds);
    }
    command.arg(format!("-max_total_time={seconds}"));
    // What made it crash is kept there.
    command.arg(format!("-artifact_prefix={}/", artifacts.display())).args([
        "-rss_limit_mb=2048",
        "-timeout=10",
        "-verbosity=0",
        "-print_final_stats=0",
    ]);
    eprintln!("xtask: fuzz {name} for {seconds} s");
    // What it says matters only when it found something.
    let out = command.output().map_err(|e| format!("fuzz target {name}: {e}"))?;
    if out.status.success() {
        return Ok(());
    }
    eprintln!("{}", String::from_utf8_lossy(&out.stderr));
    Err(format!("fuzz target {name}: {}", out.status))
}

/// `cargo` with all targets, for a named machine, which is returned: so the coverage flags stay away from build scripts.
/// One set of flags for all, so that libFuzzer is compiled once.
fn cargo(task: &str, more: &[&str]) -> Result<String, String> {
    let target = run::output("rustc", &["-vV"])
        .and_then(|text| text.lines().find_map(|l| l.strip_prefix("host: ").map(str::to_owned)))
        .ok_or("rustc -vV names no host")?;
    let mut command =
        vec![task, "--quiet", "--manifest-path", "fuzz/Cargo.toml", "--target", &target, "--bins"];
    command.extend(more);
    run::cargo_with(&command, &[("RUSTFLAGS", FLAGS)])?;
    Ok(target)
}
