//! The fuzz targets, held to clippy and run for a short while, on the stable toolchain: libFuzzer's coverage needs only stable flags.

use std::fs;
use std::process::Command;

use crate::run;

const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Clink-dead-code -Cdebug-assertions -Ccodegen-units=1 -Copt-level=2";

/// The targets lie outside of the workspace: what is changed there would break them unseen.
pub fn check() -> Result<(), String> {
    cargo("clippy", &["--", "-D", "warnings"]).map(drop)
}

/// Builds all targets and runs each for `seconds`.
pub fn run(seconds: u64) -> Result<(), String> {
    let target = cargo("build", &[])?;
    let mut names: Vec<String> = fs::read_dir(run::root().join("fuzz/fuzz_targets"))
        .map_err(|e| format!("fuzz_targets: {e}"))?
        .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    names.sort();
    for name in &names {
        let corpus = run::root().join("fuzz/corpus").join(name);
        let artifacts = run::root().join("fuzz/artifacts").join(name);
        fs::create_dir_all(&artifacts).map_err(|e| format!("{}: {e}", artifacts.display()))?;
        fs::create_dir_all(&corpus).map_err(|e| format!("{}: {e}", corpus.display()))?;
        let seeds = run::root().join("fuzz/seeds").join(name);
        let binary = run::root().join("fuzz/target").join(&target).join("debug").join(name);
        let mut command = Command::new(binary);
        command.arg(&corpus);
        if seeds.is_dir() {
            command.arg(&seeds);
        }
        command.arg(format!("-max_total_time={seconds}")).args([
            "-rss_limit_mb=2048",
            "-timeout=10",
            "-verbosity=0",
            "-print_final_stats=0",
        ]);
        eprintln!("xtask: fuzz {name} for {seconds} s");
        // What it says matters only when it found something.
        let out = command.output().map_err(|e| format!("fuzz target {name}: {e}"))?;
        if !out.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&out.stderr));
            return Err(format!("fuzz target {name}: {}", out.status));
        }
    }
    eprintln!("xtask: {} fuzz targets, no crash", names.len());
    Ok(())
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
