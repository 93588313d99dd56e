//! The core without a system below it: checked for a microcontroller, so that no dependency brings the standard library back, and nothing
//! takes a pointer for 64 bits.

use crate::run;

/// 32 bits, no system, no atomics of 64 bits.
const TARGET: &str = "thumbv7em-none-eabihf";
/// It knows the whole core (docs/ARCHITECTURE.md).
const TOP: &str = "plimsoll-report";

/// Passes it over, and says so, where the target is not installed and can't be.
pub fn check() -> Result<(), String> {
    let installed = run::output("rustup", &["target", "list", "--installed"]).unwrap_or_default();
    let is_there = installed.lines().any(|line| line == TARGET);
    if !is_there && run::output("rustup", &["target", "add", TARGET]).is_none() {
        eprintln!("xtask: bare: not checked: `rustup target add {TARGET}` failed");
        return Ok(());
    }
    run::cargo(&["check", "--quiet", "--package", TOP, "--target", TARGET])
}
