//! `plimsoll boot` against real reboots: a Debian with systemd in virtual machines, one case after the other
//! (e2e/vm/reboot, fixtures/boot). Foretold before the reboot, observed after it; the two must be the same.
//!
//! What cannot be had (no emulator, no mirror) is skipped by name with the reason.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::guests::{self, build};
use crate::{run, tools};

/// The line of kernels that is booted.
const LINE: &str = "6.12";
/// Machines at a time, each with its share of the cases.
const TOGETHER: usize = 2;
/// An emulated processor has been seen to hang.
const ATTEMPTS: u32 = 2;
/// A value that follows the memory is foretold as nearly as that.
const ABOUT: f64 = 0.05;

/// Program, and the Debian package that brings it.
pub const TOOLS: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("modprobe", "kmod"),
    ("cpio", "cpio"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("debootstrap", "debootstrap"),
    ("mkfs.ext4", "e2fsprogs"),
];

/// What a case may bring to be run, before the forecast and after the reboot.
const TRIED: &[&str] = &["run", "then"];

/// A case, and what is wrong with its forecast.
type Judged = (String, Vec<String>);

/// Boots the named cases, or all of them.
pub fn run(named: &[String]) -> Result<(), String> {
    let started = Instant::now();
    let home = run::root().join("fixtures/boot");
    let mut cases = names(&home)?;
    if !named.is_empty() {
        if let Some(unknown) = named.iter().find(|n| !cases.contains(n)) {
            return Err(format!("reboot: no case {unknown:?} in fixtures/boot"));
        }
        cases.retain(|c| named.contains(c));
    }
    let image = match prepare() {
        Ok(image) => image,
        Err(why) => {
            eprintln!("xtask: reboot: all {} cases SKIPPED, {why}", cases.len());
            return Ok(());
        }
    };
    let program = build::program()?;
    let ready = started.elapsed().as_secs();
    let shares: Vec<Vec<String>> = (0..TOGETHER)
        .map(|n| cases.iter().skip(n).step_by(TOGETHER).cloned().collect())
        .filter(|share: &Vec<String>| !share.is_empty())
        .collect();
    let results: Vec<Result<Vec<Judged>, String>> = std::thread::scope(|scope| {
        let machines: Vec<_> = shares
            .iter()
            .enumerate()
            .map(|(n, share)| {
                let (image, program, home) = (&image, &program, &home);
                scope.spawn(move || machine(n, share, image, program, home))
            })
            .collect();
        let ended = |m: std::thread::ScopedJoinHandle<'_, _>| {
            m.join().unwrap_or_else(|_| Err("a machine's thread ended early".into()))
        };
        machines.into_iter().map(ended).collect()
    });
    let mut failed = 0;
    for result in results {
        for (case, faults) in result? {
            if faults.is_empty() {
                eprintln!("xtask: reboot {case}: foretold = observed");
            } else {
                failed += 1;
                eprintln!("xtask: reboot {case}: FAILED\n  {}", faults.join("\n  "));
            }
        }
    }
    let seconds = started.elapsed().as_secs();
    eprintln!(
        "xtask: reboot: {} cases, {failed} failed, {seconds} s ({ready} s of it to build)",
        cases.len()
    );
    if failed == 0 { Ok(()) } else { Err(format!("reboot: {failed} of {} failed", cases.len())) }
}

/// Names of the cases.
fn names(home: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(home).map_err(|e| format!("{}: {e}", home.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            entry.path().join("tree").is_dir().then(|| entry.file_name().into_string().ok())?
        })
        .collect();
    names.sort();
    Ok(names)
}

/// The image, or why there is none.
fn prepare() -> Result<PathBuf, String> {
    if (std::env::consts::ARCH, std::env::consts::OS) != ("x86_64", "linux") {
        return Err(format!("the machines are x86_64, this one is {}", std::env::consts::ARCH));
    }
    tools::provide_these(TOOLS)?;
    let missing = tools::missing(TOOLS);
    if !missing.is_empty() {
        return Err(format!("missing: {}", missing.join(" ")));
    }
    let cache = guests::cache();
    let package = guests::package(&cache, LINE)?;
    run::finish(Command::new(script("root.sh")).arg(&cache))
        .map_err(|e| format!("no Debian could be had: {e}"))?;
    let out = cache.join("systemd").join(&package);
    let built = out.join("root.ext4");
    let age = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
    if age(&built) <= age(&script("image.sh")) {
        run::finish(
            Command::new(script("image.sh"))
                .arg(&cache)
                .arg(cache.join("kernels").join(&package))
                .arg(&out),
        )?;
    }
    Ok(out)
}

fn script(name: &str) -> PathBuf {
    run::root().join("e2e/vm/reboot").join(name)
}

/// One machine over its share of the cases: each with its faults.
fn machine(
    number: usize,
    cases: &[String],
    image: &Path,
    program: &Path,
    home: &Path,
) -> Result<Vec<Judged>, String> {
    let place = guests::cache().join(format!("rebooted/{number}"));
    let mut why = String::new();
    for attempt in 1..=ATTEMPTS {
        match boot(&place, cases, image, program, home) {
            Ok(()) => {
                let judge = |case: &String| {
                    let results = place.join("results").join(case);
                    (case.clone(), faults(&results, &home.join(case)))
                };
                return Ok(cases.iter().map(judge).collect());
            }
            Err(e) => {
                eprintln!("xtask: reboot: machine {number}, attempt {attempt}: {e}");
                why = e;
            }
        }
    }
    Err(why)
}

fn boot(
    place: &Path,
    cases: &[String],
    image: &Path,
    program: &Path,
    home: &Path,
) -> Result<(), String> {
    let disk = disk(place, cases, program, home)?;
    let console = place.join("console");
    let log = File::create(&console).map_err(|e| format!("{}: {e}", console.display()))?;
    let status = Command::new(script("boot.sh"))
        .args([image, &disk])
        .stdin(Stdio::null())
        .stdout(log)
        .status()
        .map_err(|e| format!("boot.sh: {e}"))?;
    let text = fs::read(&console).map_err(|e| format!("{}: {e}", console.display()))?;
    // The emulator ends well after a panic too: only the guest's last word counts.
    if !String::from_utf8_lossy(&text).contains("@@ END") {
        return Err(format!(
            "the machine did not come to its end ({status}); see {}",
            console.display()
        ));
    }
    let dump = format!("rdump /results {}", place.display());
    run::finish(Command::new("debugfs").args(["-R", &dump]).arg(&disk).stderr(Stdio::null()))
}

/// The disk of the rounds: the program, the cases and their order.
fn disk(place: &Path, cases: &[String], program: &Path, home: &Path) -> Result<PathBuf, String> {
    fn failed(what: &Path) -> impl Fn(std::io::Error) -> String + '_ {
        move |e| format!("{}: {e}", what.display())
    }
    let _ = fs::remove_dir_all(place);
    let content = place.join("rounds");
    fs::create_dir_all(content.join("results")).map_err(failed(&content))?;
    fs::copy(program, content.join("plimsoll")).map_err(failed(program))?;
    let rounds = script("rounds.sh");
    fs::copy(&rounds, content.join("rounds.sh")).map_err(failed(&rounds))?;
    fs::write(content.join("order"), cases.join("\n") + "\n").map_err(failed(&content))?;
    for case in cases {
        let folder = content.join("cases").join(case);
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        // What the machine has of its own is not brought: its kernel's files, and what does not outlive a boot.
        run::finish(
            Command::new("tar")
                .arg("-C")
                .arg(home.join(case).join("tree"))
                .args(["--owner=0", "--group=0", "--exclude=./proc", "--exclude=./run"])
                .args(["--exclude=./lib", "--exclude=./usr/lib/modules"])
                .args(["--exclude=./usr/lib/systemd/systemd-sysctl", "-cf"])
                .arg(folder.join("tree.tar"))
                .arg("."),
        )?;
        for name in TRIED {
            let script = home.join(case).join(name);
            if script.exists() {
                fs::copy(&script, folder.join(name)).map_err(failed(&script))?;
            }
        }
    }
    let disk = place.join("rounds.ext4");
    run::finish(Command::new("truncate").args(["-s", "200M"]).arg(&disk))?;
    run::finish(Command::new("mkfs.ext4").args(["-q", "-F", "-d"]).arg(&content).arg(&disk))?;
    Ok(disk)
}

/// What differs between the forecast and what came.
fn faults(results: &Path, case: &Path) -> Vec<String> {
    match compare(results, case) {
        Ok(faults) if faults.is_empty() => faults,
        Ok(mut faults) => {
            faults.push(format!("(what the machine showed: {})", results.display()));
            faults
        }
        Err(why) => vec![why],
    }
}

/// How what the case brings to be run ended, and whether its values came.
fn tried(results: &Path, case: &Path, observed: &BTreeMap<String, i64>) -> Vec<String> {
    let mut faults = Vec::new();
    for name in TRIED.iter().filter(|name| case.join(name).exists()) {
        let status = fs::read_to_string(results.join(format!("{name}.status")));
        if !status.as_ref().is_ok_and(|status| status.trim() == "0") {
            let said = fs::read_to_string(results.join(name)).unwrap_or_default();
            faults.push(format!("{name} ended with {status:?}: {said}"));
        }
    }
    let wanted = fs::read_to_string(case.join("after")).unwrap_or_default();
    for (key, value) in wanted.lines().filter_map(|line| line.split_once(' ')) {
        let came = observed.get(key);
        if came.map(ToString::to_string).as_deref() != Some(value) {
            faults.push(format!("{key}: {value} was to stay, {came:?} came"));
        }
    }
    faults
}

fn compare(results: &Path, case: &Path) -> Result<Vec<String>, String> {
    let read = |name: &str| {
        let path = results.join(name);
        fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))
    };
    let observed: BTreeMap<String, i64> = read("observed")?
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?)))
        .collect();
    let foretold: Value = serde_json::from_str(&read("foretold.json")?)
        .map_err(|e| format!("{}: {e}", results.display()))?;
    let settings = foretold["settings"].as_array().ok_or("no settings were foretold")?;
    let mut faults = tried(results, case, &observed);
    let mut exact = 0;
    for setting in settings {
        let name = setting["setting"].as_str().unwrap_or_default();
        let came = observed.get(name).copied();
        let fits = |after: &Value| {
            let value = after["value"].as_i64();
            match after["certainty"].as_str() {
                Some("exact") => value.is_some() && came == value,
                Some("about") => {
                    value.zip(came).is_some_and(|(v, c)| (v - c).abs() as f64 <= ABOUT * v as f64)
                }
                Some("absent") => came.is_none(),
                // Said not to be known; whatever comes is right.
                _ => true,
            }
        };
        exact +=
            usize::from(matches!(setting["after"]["certainty"].as_str(), Some("exact" | "absent")));
        let or = setting["or"].as_object().is_some_and(|or| fits(&or["after"]));
        if !fits(&setting["after"]) && !or {
            faults.push(format!(
                "{name}: foretold {} {} ({}), came {}",
                setting["after"]["certainty"],
                setting["after"]["value"],
                setting["because"].as_str().unwrap_or_default(),
                came.map_or("no key".to_owned(), |c| c.to_string())
            ));
        }
    }
    let known = |name: &String| settings.iter().any(|s| s["setting"].as_str() == Some(name));
    // What only shows is not foretold.
    for name in observed.keys().filter(|n| !known(n) && *n != "nf_conntrack_count") {
        faults.push(format!("{name}: came, and was not foretold"));
    }
    // A forecast that knows nothing would fit everything.
    if exact < 30 {
        faults.push(format!("only {exact} values were foretold exactly"));
    }
    Ok(faults)
}
