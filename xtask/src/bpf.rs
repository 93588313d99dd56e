//! The BPF objects: built from C, committed with the sums of what they were built from, and built anew to compare.
//!
//! One compiler makes the same bytes everywhere, another makes others. So the one that is named beside the sums is looked for,
//! and installed by CI where the distribution has it. With any other the source must still build, and to objects with
//! the same programs and maps; then that is all that is said.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{run, tools};

/// The compiler of the committed objects, and any other.
const PINNED: &[(&str, &str)] = &[("clang-14", "clang-14"), ("llvm-strip-14", "llvm-14")];
const ANY: &[(&str, &str)] = &[("clang", "clang"), ("llvm-strip", "llvm")];

/// Installs what the rebuilding takes, so that it is not left out in CI.
pub fn provide() -> Result<(), String> {
    tools::provide_these(PINNED).or_else(|_| tools::provide_these(ANY))
}

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
    Set {
        source: "sysctl.bpf.c",
        objects: &[("sysctl.bpf.o", &[]), ("sysctl-netns.bpf.o", &["-DNETNS"])],
        record: "sysctl.sums",
    },
];

/// A compiler and its companions.
struct Compiler {
    /// What all their names end in: nothing, or `-14`.
    suffix: String,
    /// As it tells it.
    version: String,
}

impl Compiler {
    fn called(suffix: &str) -> Option<Self> {
        for companion in ["llvm-strip", "llvm-readelf"] {
            run::output(&format!("{companion}{suffix}"), &["--version"])?;
        }
        let version = run::output(&format!("clang{suffix}"), &["--version"])?;
        let version = version.lines().next()?.trim().to_owned();
        Some(Self { suffix: suffix.to_owned(), version })
    }

    /// The one of this version, or whichever is here.
    fn best(wanted: &str) -> Option<Self> {
        let major = wanted.split_once("version ").and_then(|(_, v)| v.split('.').next());
        let pinned = major.and_then(|major| Self::called(&format!("-{major}")));
        let any = || Self::called("");
        match pinned {
            Some(pinned) if pinned.version == wanted => Some(pinned),
            other => any().or(other),
        }
    }
}

/// Builds the objects and records what they are.
pub fn build() -> Result<(), String> {
    let here = directory();
    let major = PINNED.first().map_or("", |(program, _)| program.trim_start_matches("clang"));
    let compiler = Compiler::called(major)
        .or_else(|| Compiler::called(""))
        .ok_or("bpf: clang, llvm-strip and llvm-readelf are needed")?;
    for set in SETS {
        for (object, flags) in set.objects {
            compile(&compiler, set.source, flags, &here.join(object))?;
        }
        fs::write(here.join(set.record), record(set, &here, &compiler.version)?)
            .map_err(|e| e.to_string())?;
    }
    eprintln!("xtask: bpf: built by {}", compiler.version);
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
    let Some(compiler) = Compiler::best(&made_by) else {
        eprintln!("xtask: bpf: {source}: the sums hold; NOT BUILT ANEW: no clang here");
        return Ok(());
    };
    let again = std::env::temp_dir().join(format!("plimsoll-bpf-{}.o", std::process::id()));
    for (object, flags) in set.objects {
        compile(&compiler, source, flags, &again)?;
        let committed = here.join(object);
        let same = match compiler.version == made_by {
            true => fs::read(&again).ok() == fs::read(committed).ok(),
            false => symbols(&compiler, &again)? == symbols(&compiler, &committed)?,
        };
        let _ = fs::remove_file(&again);
        if !same {
            return Err(format!("bpf: {} makes another {object} of {source}", compiler.version));
        }
    }
    match compiler.version == made_by {
        true => {
            eprintln!("xtask: bpf: {made_by} makes the objects of {source} again, byte for byte")
        }
        false => eprintln!(
            "xtask: bpf: {source}: the sums hold; built by {} as well, with the same programs and maps; \
             NOT COMPARED byte for byte: that takes {made_by}",
            compiler.version
        ),
    }
    Ok(())
}

/// Names of an object's programs and maps, and the sizes of its data.
fn symbols(compiler: &Compiler, object: &Path) -> Result<Vec<String>, String> {
    let program = format!("llvm-readelf{}", compiler.suffix);
    let table = run::output(&program, &["-s", "--wide", &object.display().to_string()])
        .ok_or_else(|| format!("bpf: {program} can't read {}", object.display()))?;
    let mut symbols: Vec<String> = table
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words.as_slice() {
                [_, _, size, "OBJECT", "GLOBAL", .., name] => Some(format!("{name}: {size} bytes")),
                [_, _, _, "FUNC", "GLOBAL", .., name] => Some((*name).to_owned()),
                _ => None,
            }
        })
        .collect();
    symbols.sort();
    match symbols.is_empty() {
        true => Err(format!("bpf: {program}: no symbols in {}", object.display())),
        false => Ok(symbols),
    }
}

fn directory() -> PathBuf {
    run::root().join(DIRECTORY)
}

fn compile(compiler: &Compiler, source: &str, flags: &[&str], to: &Path) -> Result<(), String> {
    // -mcpu=v2: what the oldest kernels take that have the rest. The last: no path of this machine.
    let same = [
        "-O2",
        "-g",
        "-target",
        "bpf",
        "-mcpu=v2",
        "-Wall",
        "-Wextra",
        "-Wno-unused-parameter",
        "-fdebug-compilation-dir=.",
    ];
    run::finish(
        Command::new(format!("clang{}", compiler.suffix))
            .args(same)
            .args(flags)
            .args(["-c", &format!("{DIRECTORY}/{source}"), "-o"])
            .arg(to),
    )?;
    run::finish(Command::new(format!("llvm-strip{}", compiler.suffix)).arg("-g").arg(to))
}

fn record(set: &Set, here: &Path, made_by: &str) -> Result<String, String> {
    let mut text = format!("{made_by}\n");
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
