//! `plimsoll check` on other kernels, in virtual machines: fetch, build, boot, judge (e2e/vm/README.md).
//!
//! A line of kernels that cannot be had is skipped by name with the reason; one that was booted is judged.

pub mod build;
mod drift;
pub mod fidelity;
mod judge;
mod outcome;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use crate::run;

use outcome::Outcome;

/// Lines of kernels that Debian still serves, one for each generation of docs/KERNELS.md from 5.10 on.
const LINES: &[&str] = &["5.10", "6.1", "6.12", "6.18", "7.3"];
/// Guests at a time.
const TOGETHER: usize = 2;
/// A stalled guest is started once more: an emulated processor has been seen to hang.
const ATTEMPTS: u32 = 2;

/// A kernel that can be booted.
struct Kernel {
    line: String,
    package: String,
}

/// A line, and what became of it.
type Judged = (String, Verdict);

/// What became of a line.
enum Verdict {
    Passed(String),
    Failed(Vec<String>),
    Skipped(String),
}

/// Boots the named lines, or all of them.
pub fn run(named: &[String]) -> Result<(), String> {
    let started = Instant::now();
    let lines: Vec<String> =
        if named.is_empty() { LINES.iter().map(|&l| l.into()).collect() } else { named.to_vec() };
    let verdicts = match look_at_lines(&lines) {
        Ok(verdicts) => verdicts,
        Err(Stop::Skip(why)) => {
            lines.iter().map(|line| (line.clone(), Verdict::Skipped(why.clone()))).collect()
        }
        Err(Stop::Fail(why)) => return Err(why),
    };
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (line, verdict) in &verdicts {
        match verdict {
            Verdict::Passed(how) => {
                passed += 1;
                eprintln!("xtask: guest {line}: passed, {how}");
            }
            Verdict::Failed(faults) => {
                failed += 1;
                eprintln!("xtask: guest {line}: FAILED\n  {}", faults.join("\n  "));
            }
            Verdict::Skipped(why) => {
                skipped += 1;
                eprintln!("xtask: guest {line}: SKIPPED, {why}");
            }
        }
    }
    let seconds = started.elapsed().as_secs();
    eprintln!("xtask: guests: {passed} passed, {failed} failed, {skipped} skipped, {seconds} s");
    if failed == 0 { Ok(()) } else { Err(format!("guests: {failed} of {} failed", lines.len())) }
}

/// Why nothing was booted.
enum Stop {
    /// This machine cannot.
    Skip(String),
    /// Something of ours is wrong.
    Fail(String),
}

fn look_at_lines(lines: &[String]) -> Result<Vec<Judged>, Stop> {
    build::able().map_err(Stop::Skip)?;
    let program = build::program().map_err(Stop::Fail)?;
    let harness = fidelity::program().map_err(Stop::Fail)?;
    let cache = cache();
    fs::create_dir_all(&cache).map_err(|e| Stop::Fail(format!("{}: {e}", cache.display())))?;
    let (kernels, mut verdicts) = kernels(&cache, lines)?;
    let waiting = Mutex::new(VecDeque::from(kernels));
    let done = Mutex::new(&mut verdicts);
    let next = || waiting.lock().ok()?.pop_front();
    std::thread::scope(|scope| {
        for _ in 0..TOGETHER {
            scope.spawn(|| {
                while let Some(kernel) = next() {
                    let verdict = look_at(&kernel, [&program, &harness], &cache);
                    if let Ok(mut done) = done.lock() {
                        done.push((kernel.line, verdict));
                    }
                }
            });
        }
    });
    let place = |line: &String| lines.iter().position(|l| l == line);
    verdicts.sort_by_key(|(line, _)| place(line));
    if verdicts.len() == lines.len() {
        Ok(verdicts)
    } else {
        Err(Stop::Fail(format!("{} of {} lines came back", verdicts.len(), lines.len())))
    }
}

/// Where kernels and images are kept.
pub fn cache() -> PathBuf {
    run::root().join("target/guests")
}

/// A script of e2e/vm.
fn script(name: &str) -> PathBuf {
    run::root().join("e2e/vm").join(name)
}

/// The kernels that are here now, and the lines that could not be had.
fn kernels(cache: &Path, lines: &[String]) -> Result<(Vec<Kernel>, Vec<Judged>), Stop> {
    eprintln!("xtask: fetching kernels {}", lines.join(" "));
    let output = Command::new(script("kernels.sh"))
        .arg(cache)
        .args(lines)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| Stop::Fail(format!("kernels.sh: {e}")))?;
    if !output.status.success() {
        return Err(Stop::Skip(format!("kernels.sh: {}", output.status)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let (mut kernels, mut skipped) = (Vec::new(), Vec::new());
    for told in text.lines() {
        let mut words = told.splitn(3, ' ');
        let (Some(line), Some(package), Some(how)) = (words.next(), words.next(), words.next())
        else {
            return Err(Stop::Fail(format!("kernels.sh: expected three words, saw {told:?}")));
        };
        if package == "-" {
            skipped.push((line.into(), Verdict::Skipped(how.into())));
        } else {
            eprintln!("xtask: guest {line}: {package} {how}");
            kernels.push(Kernel { line: line.into(), package: package.into() });
        }
    }
    Ok((kernels, skipped))
}

/// The package of the newest kernel of a line, unpacked below `cache`; or why it cannot be had.
pub fn package(cache: &Path, line: &str) -> Result<String, String> {
    fs::create_dir_all(cache).map_err(|e| format!("{}: {e}", cache.display()))?;
    match kernels(cache, &[line.to_owned()]) {
        Ok((mut kernels, skipped)) => match (kernels.pop(), skipped.into_iter().next()) {
            (Some(kernel), _) => Ok(kernel.package),
            (None, Some((_, Verdict::Skipped(why)))) => Err(format!("no kernel {line}: {why}")),
            (None, _) => Err(format!("no kernel {line}")),
        },
        Err(Stop::Skip(why) | Stop::Fail(why)) => Err(why),
    }
}

/// Boots one kernel and judges what it showed.
fn look_at(kernel: &Kernel, programs: [&Path; 2], cache: &Path) -> Verdict {
    let started = Instant::now();
    let outcome = match boot(kernel, programs, cache) {
        Ok(outcome) => outcome,
        Err(why) => return Verdict::Failed(vec![why]),
    };
    let mut faults = judge::faults(&kernel.line, &outcome);
    let (differs, compared) = drift::from_the_tree(&kernel.line, &outcome);
    faults.extend(differs);
    if faults.is_empty() {
        let seconds = started.elapsed().as_secs();
        Verdict::Passed(format!("{} in {seconds} s, {compared}", kernel.package))
    } else {
        faults.push(format!("(what the guest showed: {})", outcome.place().display()));
        Verdict::Failed(faults)
    }
}

fn boot(kernel: &Kernel, [program, harness]: [&Path; 2], cache: &Path) -> Result<Outcome, String> {
    let guest = cache.join("booted").join(&kernel.line);
    let base = build::base(cache, &kernel.package)?;
    fs::create_dir_all(&guest).map_err(|e| format!("{}: {e}", guest.display()))?;
    let initrd = guest.join("initrd");
    run::finish(
        Command::new(script("overlay.sh"))
            .arg(program)
            .arg(script("scene.sh"))
            .arg(base.join("base.cpio.gz"))
            .arg(&initrd)
            .arg(harness),
    )?;
    let mut why = String::new();
    for attempt in 1..=ATTEMPTS {
        match try_boot(&base.join("vmlinuz"), &initrd, &guest) {
            Ok(outcome) => return Ok(outcome),
            Err(e) => {
                eprintln!("xtask: guest {}: attempt {attempt}: {e}", kernel.line);
                why = e;
            }
        }
    }
    Err(why)
}

fn try_boot(vmlinuz: &Path, initrd: &Path, guest: &Path) -> Result<Outcome, String> {
    let at = |path: &Path| path.display().to_string();
    let (console, archive, shown) =
        (guest.join("console"), guest.join("shown.tar.gz"), guest.join("shown"));
    let log = File::create(&console).map_err(|e| format!("{}: {e}", at(&console)))?;
    let status = Command::new(script("boot.sh"))
        .args([vmlinuz, initrd, &archive])
        .stdin(Stdio::null())
        .stdout(log)
        .status()
        .map_err(|e| format!("boot.sh: {e}"))?;
    let text = fs::read(&console).map_err(|e| format!("{}: {e}", at(&console)))?;
    // The emulator ends well after a panic too: only the guest's last word counts.
    if !String::from_utf8_lossy(&text).contains("@@ END") {
        return Err(format!("the guest did not come to its end ({status}); see {}", at(&console)));
    }
    let _ = fs::remove_dir_all(&shown);
    fs::create_dir_all(&shown).map_err(|e| format!("{}: {e}", at(&shown)))?;
    run::finish(Command::new("tar").arg("-C").arg(&shown).arg("-xzf").arg(&archive))?;
    Outcome::read(&shown)
}
