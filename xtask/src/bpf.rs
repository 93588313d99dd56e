//! The BPF objects: built from C, committed with the sums of what they were built from, and built anew to compare.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run;

/// What CI installs for it, so that the rebuilding is not left out there.
pub const TOOLS: &[(&str, &str)] = &[("clang", "clang"), ("llvm-strip", "llvm")];

/// From the workspace's root: the compiler writes the path into the object, so it must be everybody's.
const DIRECTORY: &str = "crates/probe/bpf";
const SOURCE: &str = "census.bpf.c";
/// Objects and what sets them apart.
const OBJECTS: &[(&str, &[&str])] =
    &[("census-direct.bpf.o", &["-DDIRECT"]), ("census-read.bpf.o", &[])];
/// Sums and compiler, beside the objects.
const RECORD: &str = "census.sums";

/// Builds the objects and records what they are.
pub fn build() -> Result<(), String> {
    let here = directory();
    let compiler = compiler().ok_or("bpf: clang and llvm-strip are needed")?;
    for (object, flags) in OBJECTS {
        compile(flags, &here.join(object))?;
    }
    fs::write(here.join(RECORD), record(&here, &compiler)?).map_err(|e| e.to_string())?;
    eprintln!("xtask: bpf: built by {compiler}");
    Ok(())
}

/// Fails when the committed objects are not those of the source.
pub fn check() -> Result<(), String> {
    let here = directory();
    let recorded = fs::read_to_string(here.join(RECORD)).map_err(|e| format!("{RECORD}: {e}"))?;
    let made_by = recorded.lines().next().unwrap_or_default().to_owned();
    if record(&here, &made_by)? != recorded {
        return Err(format!(
            "bpf: {SOURCE} or an object is not what {RECORD} says; run `cargo xtask bpf`"
        ));
    }
    match compiler() {
        Some(compiler) if compiler == made_by => {}
        Some(other) => {
            eprintln!("xtask: bpf: sums hold; not rebuilt: made by {made_by}, here is {other}");
            return Ok(());
        }
        None => {
            eprintln!("xtask: bpf: sums hold; not rebuilt: no clang here");
            return Ok(());
        }
    }
    let again = std::env::temp_dir().join(format!("plimsoll-bpf-{}.o", std::process::id()));
    for (object, flags) in OBJECTS {
        compile(flags, &again)?;
        let same = fs::read(&again).ok() == fs::read(here.join(object)).ok();
        let _ = fs::remove_file(&again);
        if !same {
            return Err(format!("bpf: {made_by} makes another {object} of {SOURCE}"));
        }
    }
    eprintln!("xtask: bpf: {made_by} makes the same objects again, byte for byte");
    Ok(())
}

fn directory() -> PathBuf {
    run::root().join(DIRECTORY)
}

/// The compiler's version, if it is there with its companion.
fn compiler() -> Option<String> {
    run::output("llvm-strip", &["--version"])?;
    run::output("clang", &["--version"])?.lines().next().map(|line| line.trim().to_owned())
}

fn compile(flags: &[&str], to: &Path) -> Result<(), String> {
    // -mcpu=v2: what the oldest kernels take that have the rest. The last: no path of this machine.
    let same = [
        "-O2",
        "-g",
        "-target",
        "bpf",
        "-mcpu=v2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unused-parameter",
        "-fdebug-compilation-dir=.",
    ];
    run::finish(
        Command::new("clang")
            .args(same)
            .args(flags)
            .args(["-c", &format!("{DIRECTORY}/{SOURCE}"), "-o"])
            .arg(to),
    )?;
    run::finish(Command::new("llvm-strip").arg("-g").arg(to))
}

fn record(here: &Path, compiler: &str) -> Result<String, String> {
    let mut text = format!("{compiler}\n");
    let files = [SOURCE].into_iter().chain(OBJECTS.iter().map(|(object, _)| *object));
    for file in files {
        let path = here.join(file);
        let sum = run::output("sha256sum", &[&path.display().to_string()])
            .ok_or_else(|| format!("bpf: no sum of {file}"))?;
        let sum = sum.split_ascii_whitespace().next().unwrap_or_default();
        let _ = writeln!(text, "{sum}  {file}");
    }
    Ok(text)
}
