//! What a reading costs, and when it was.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use plimsoll_ct::Nanos;

/// How much of the machine a reading may cost. It ends early, as a sample, when either is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Kernel time of the calling thread: what the dump takes from the machine's packets.
    pub kernel: Duration,
    /// Time by the clock on the wall.
    pub wall: Duration,
}

/// A budget being spent.
#[derive(Debug)]
pub(crate) struct Meter {
    budget: Budget,
    kernel: Option<Duration>,
    wall: Instant,
}

impl Meter {
    pub(crate) fn start(budget: Budget) -> Self {
        Self { budget, kernel: kernel_time(), wall: Instant::now() }
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.wall.elapsed() >= self.budget.wall
            || self.kernel().is_some_and(|spent| spent >= self.budget.kernel)
    }

    /// Kernel time since the start.
    pub(crate) fn kernel(&self) -> Option<Duration> {
        kernel_time()?.checked_sub(self.kernel?)
    }

    pub(super) fn kernel_nanos(&self) -> Option<Nanos> {
        u64::try_from(self.kernel()?.as_nanos()).ok().map(Nanos)
    }
}

/// Kernel time of the calling thread so far.
fn kernel_time() -> Option<Duration> {
    let time = getrusage(UsageWho::RUSAGE_THREAD).ok()?.system_time();
    let seconds = u64::try_from(time.tv_sec()).ok()?;
    let micros = u64::try_from(time.tv_usec()).ok()?;
    Some(Duration::from_secs(seconds) + Duration::from_micros(micros))
}

/// The monotonic clock.
pub(crate) fn monotonic() -> Nanos {
    let since_boot = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
    Nanos(since_boot.ok().and_then(|d| u64::try_from(d.as_nanos()).ok()).unwrap_or(0))
}
