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
/// A source, its objects and what sets them apart, and the file of sums beside them.
struct Set {
    source: &'static str,
    objects: &'static [(&'static str, &'static [&'static str])],
    record: &'static str,
}

const SETS: &[Set] = &[
    Set {
        source: "census.bpf.c",
        objects: &[("census-direct.bpf.o", &["-DDIRECT"]), ("census-read.bpf.o", &[])],
        record: "census.sums",
    },
    Set { source: "sysctl.bpf.c", objects: &[("sysctl.bpf.o", &[])], record: "sysctl.sums" },
];

/// Builds the objects and records what they are.
pub fn build() -> Result<(), String> {
    let here = directory();
    let compiler = compiler().ok_or("bpf: clang and llvm-strip are needed")?;
    for set in SETS {
        for (object, flags) in set.objects {
            compile(set.source, flags, &here.join(object))?;
        }
        fs::write(here.join(set.record), record(set, &here, &compiler)?)
            .map_err(|e| e.to_string())?;
    }
    eprintln!("xtask: bpf: built by {compiler}");
    Ok(())
}

/// Fails when the committed objects are not those of the source.
pub fn check() -> Result<(), String> {
    SETS.iter().try_for_each(check_set)
}

fn check_set(set: &Set) -> Result<(), String> {
    let here = directory();
    let (source, record_file) = (set.source, set.record);
    let recorded =
        fs::read_to_string(here.join(record_file)).map_err(|e| format!("{record_file}: {e}"))?;
    let made_by = recorded.lines().next().unwrap_or_default().to_owned();
    if record(set, &here, &made_by)? != recorded {
        return Err(format!(
            "bpf: {source} or an object is not what {record_file} says; run `cargo xtask bpf`"
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
    for (object, flags) in set.objects {
        compile(source, flags, &again)?;
        let same = fs::read(&again).ok() == fs::read(here.join(object)).ok();
        let _ = fs::remove_file(&again);
        if !same {
            return Err(format!("bpf: {made_by} makes another {object} of {source}"));
        }
    }
    eprintln!("xtask: bpf: {made_by} makes the objects of {source} again, byte for byte");
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

fn compile(source: &str, flags: &[&str], to: &Path) -> Result<(), String> {
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
            .args(["-c", &format!("{DIRECTORY}/{source}"), "-o"])
            .arg(to),
    )?;
    run::finish(Command::new("llvm-strip").arg("-g").arg(to))
}

fn record(set: &Set, here: &Path, compiler: &str) -> Result<String, String> {
    let mut text = format!("{compiler}\n");
    let files = [set.source].into_iter().chain(set.objects.iter().map(|(object, _)| *object));
    for file in files {
        let path = here.join(file);
        let sum = run::output("sha256sum", &[&path.display().to_string()])
            .ok_or_else(|| format!("bpf: no sum of {file}"))?;
        let sum = sum.split_ascii_whitespace().next().unwrap_or_default();
        let _ = writeln!(text, "{sum}  {file}");
    }
    Ok(text)
}
