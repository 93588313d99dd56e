//! The test command: one line for a newcomer.

use crate::{run, tools};

/// Tests of a binary that run at a time: most wait for the kernel, and not for a processor.
const TOGETHER: &str = "4";

/// Provides the tools, then runs every test. Tests that need root say so and skip.
pub fn run() -> Result<(), String> {
    tools::provide()?;
    // One failure must not hide the next. The binary that the end-to-end tests drive is built with them.
    run::cargo_with(
        &["test", "--workspace", "--quiet", "--no-fail-fast"],
        &[("RUST_TEST_THREADS", TOGETHER)],
    )
}
