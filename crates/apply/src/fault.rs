//! Faults on purpose: how the tests kill a transaction at each of its steps.

use rustix::process::{Pid, Signal, getpid, kill_process};
use std::cell::Cell;

/// Kills this process, as `kill -9` does, at the nth step; 0 = never. With `guard`, the guard is killed
/// first, so that only the next call can find what is left.
#[derive(Debug, Clone, Default)]
pub struct Fault {
    at: u32,
    with_guard: bool,
    passed: Cell<u32>,
    guard: Cell<Option<i32>>,
}

impl Fault {
    /// From `N` or `N:guard`. `None` when it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let (at, with_guard) = match text.split_once(':') {
            Some((at, "guard")) => (at, true),
            Some(_) => return None,
            None => (text, false),
        };
        Some(Self { at: at.parse().ok()?, with_guard, ..Self::default() })
    }

    pub(crate) fn watch_over(&self, guard: Option<u32>) {
        self.guard.set(guard.and_then(|pid| i32::try_from(pid).ok()));
    }

    /// One step: before and after each write to the journal and each change of the system.
    pub(crate) fn step(&self) {
        if self.at == 0 {
            return;
        }
        self.passed.set(self.passed.get() + 1);
        if self.passed.get() == self.at {
            if self.with_guard
                && let Some(guard) = self.guard.get().and_then(Pid::from_raw)
            {
                let _ = kill_process(guard, Signal::KILL);
            }
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}
