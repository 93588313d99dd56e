//! The test command: one line for a newcomer.

use crate::{run, tools};

/// Provides the tools, then runs every test. Tests that need root say so and skip.
pub fn run() -> Result<(), String> {
    tools::provide()?;
    // The binary is what the end-to-end tests drive.
    run::cargo(&["build", "--workspace", "--quiet"])?;
    // One failure must not hide the next.
    run::cargo(&["test", "--workspace", "--quiet", "--no-fail-fast"])
}
