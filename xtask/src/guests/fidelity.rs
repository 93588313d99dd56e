//! The fidelity harness in a guest: another kernel as the model's oracle.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{build, cache, package, script};
use crate::run;

/// What the harness starts when it watches real servers.
const SERVERS: &[&str] = &["nginx", "dnsmasq", "tcpdump"];

fn real_servers(arguments: &[String]) -> bool {
    let has = |word: &str| arguments.iter().any(|a| a == word);
    has("occupancy") && !has("--made-up")
}

/// The harness, as guests run it.
pub fn program() -> Result<PathBuf, String> {
    build::linked_statically("plimsoll-fidelity", "guest")
}

/// Boots the newest kernel of a line and runs the harness in it; its output is shown.
pub fn run(line: &str, arguments: &[String]) -> Result<(), String> {
    build::able()?;
    let program = program()?;
    let cache = cache();
    let package = package(&cache, line)?;
    let base = build::base(&cache, &package)?;
    let guest = cache.join("fidelity").join(line);
    fs::create_dir_all(&guest).map_err(|e| format!("{}: {e}", guest.display()))?;
    let initrd = guest.join("initrd");
    let told = guest.join("arguments");
    fs::write(&told, arguments.join(" ")).map_err(|e| format!("{}: {e}", told.display()))?;
    run::finish(
        Command::new(script("overlay.sh"))
            .arg(program)
            .arg(script("fidelity.sh"))
            .arg(base.join("base.cpio.gz"))
            .arg(&initrd)
            .arg(&told)
            .args(if real_servers(arguments) { SERVERS } else { &[] }),
    )?;
    eprintln!("xtask: guest {line}: {package}, harness {}", arguments.join(" "));
    let console = guest.join("console");
    boot(&base.join("vmlinuz"), &initrd, &guest, &console)?;
    let text = fs::read(&console).map_err(|e| format!("{}: {e}", console.display()))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let said = text.split_once("@@ BEGIN ").map_or(text.as_str(), |(_, said)| said);
    println!("{}", said.split("@@ STATUS").next().unwrap_or_default().trim_end());
    match said.split_once("@@ STATUS ").and_then(|(_, rest)| rest.split_whitespace().next()) {
        Some("0") => Ok(()),
        Some(status) => Err(format!("guest {line}: the harness ended with status {status}")),
        None => Err(format!("guest {line}: did not come to its end; see {}", console.display())),
    }
}

fn boot(vmlinuz: &Path, initrd: &Path, guest: &Path, console: &Path) -> Result<(), String> {
    let log = File::create(console).map_err(|e| format!("{}: {e}", console.display()))?;
    let status = Command::new(script("boot.sh"))
        .args([vmlinuz, initrd, &guest.join("second")])
        .stdin(Stdio::null())
        .stdout(log)
        .status()
        .map_err(|e| format!("boot.sh: {e}"))?;
    // The console tells whether it came to its end.
    if status.success() { Ok(()) } else { Err(format!("boot.sh: {status}")) }
}
