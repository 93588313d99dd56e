//! Captures through both sides.

use std::io;
use std::path::{Path, PathBuf};

use crate::compare::Difference;
use crate::frames::plan;
use crate::generated::step_by_step;
use crate::run::{Pace, Pair};

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Files.
    pub captures: usize,
    /// Packets that a router can see.
    pub packets: usize,
    /// Entries that both sides held at the end.
    pub entries: usize,
    /// Captures that differ.
    pub differing: Vec<PathBuf>,
}

/// The captures below these paths, in order.
pub fn below(paths: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        gather(path, &mut files)?;
    }
    files.sort();
    Ok(files)
}

fn gather(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let told = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    if path.is_dir() {
        for entry in std::fs::read_dir(path).map_err(told)? {
            gather(&entry?.path(), files)?;
        }
        return Ok(());
    }
    std::fs::metadata(path).map_err(told)?;
    if path.extension().is_none_or(|e| e != "tsv" && e != "md" && e != "sh") {
        files.push(path.to_owned());
    }
    Ok(())
}

/// Sends each file through both; with `trace`, looks after each packet where one differs.
pub fn run(
    pair: &mut Pair,
    files: &[PathBuf],
    pace: Pace,
    trace: bool,
    show: &mut dyn FnMut(&str),
) -> io::Result<Outcome> {
    pair.configure(&[("nf_conntrack_checksum", 0)])?;
    let mut outcome = Outcome { captures: files.len(), ..Outcome::default() };
    for file in files {
        let plan = plan(&std::fs::read(file)?);
        pair.reset()?;
        pair.play(&plan, pace)?;
        let differences: Vec<Difference> = pair.differences()?;
        outcome.packets += plan.len();
        outcome.entries += pair.model.entries().count();
        if differences.is_empty() {
            continue;
        }
        show(&format!("=== {} ({} packets)", file.display(), plan.len()));
        for difference in differences.iter().take(3) {
            show(&format!("   {difference}"));
        }
        if trace {
            step_by_step(pair, &plan, pace, show)?;
        }
        outcome.differing.push(file.clone());
    }
    Ok(outcome)
}
