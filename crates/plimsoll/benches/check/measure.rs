//! Whole processes, measured from start to exit.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_lab::Namespace;

/// A command line.
#[derive(Debug)]
pub struct Program {
    pub name: &'static str,
    pub path: &'static str,
    pub arguments: Vec<&'static str>,
    /// Time that it sleeps by its nature: taken off its wall time.
    pub pause: Duration,
    /// Where it runs; here when left out.
    pub inside: Option<Namespace>,
}

/// What one program took: medians.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    pub name: &'static str,
    /// Without the pause.
    pub wall: Duration,
    /// User and system time, children included.
    pub cpu: Duration,
    /// Peak memory of the largest process, in KiB.
    pub peak: u64,
    /// Octets on standard output; `None`: it ended with another exit status than 0, or by a signal.
    pub answer: Option<u64>,
}

impl Figures {
    pub fn wall_ms(&self) -> f64 {
        self.wall.as_secs_f64() * 1e3
    }
}

/// Runs all programs in turn, `runs` times.
pub fn interleaved(programs: &[&Program], runs: usize) -> Vec<Figures> {
    let mut all: Vec<Vec<Figures>> = programs.iter().map(|_| Vec::new()).collect();
    for _ in 0..runs {
        for (program, figures) in programs.iter().zip(&mut all) {
            figures.push(program.measure());
        }
    }
    all.into_iter()
        .map(|figures| Figures {
            name: figures[0].name,
            wall: median(figures.iter().map(|f| f.wall)),
            cpu: median(figures.iter().map(|f| f.cpu)),
            peak: median(figures.iter().map(|f| f.peak)),
            // A single failure makes it one.
            answer: figures.iter().map(|f| f.answer).min().flatten(),
        })
        .collect()
}

fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values[values.len() / 2]
}

impl Program {
    /// Its standard output. An exit status other than 0 is an answer of `check`, so it is not looked at.
    pub fn output(&self) -> Vec<u8> {
        self.spawn(|child| {
            let mut bytes = Vec::new();
            child
                .stdout
                .take()
                .expect("piped")
                .read_to_end(&mut bytes)
                .expect("a pipe is readable");
            child.wait().expect("our child");
            bytes
        })
    }

    fn measure(&self) -> Figures {
        forget_peak();
        self.spawn(|child| {
            let start = Instant::now();
            let mut out = child.stdout.take().expect("piped");
            let octets = std::io::copy(&mut out, &mut std::io::sink()).expect("a pipe is readable");
            let Usage { cpu, peak, succeeded } = usage_of_ended(child);
            let wall = start.elapsed().saturating_sub(self.pause);
            Figures { name: self.name, wall, cpu, peak, answer: succeeded.then_some(octets) }
        })
    }

    fn spawn<T: Send>(&self, with: impl FnOnce(&mut Child) -> T + Send) -> T {
        let run = move || {
            let mut command = Command::new(self.path);
            command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::piped());
            let mut child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", self.path));
            with(&mut child)
        };
        match &self.inside {
            Some(namespace) => namespace.run(run).expect("a namespace of ours can be entered"),
            None => run(),
        }
    }
}

/// What an ended child took, and its own children.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// Peak memory in KiB.
    pub peak: u64,
    /// It ended with exit status 0.
    pub succeeded: bool,
}

/// Waits for the child.
///
/// Kernel: the peak that wait4(2) tells begins with that of the process that called exec(2), so it is never
/// below the starter's.
pub fn usage_of_ended(child: &Child) -> Usage {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    let pid = child.id() as libc::pid_t;
    // SAFETY: both pointers are to live variables of the right types, and all zeros is a valid rusage.
    let (ended, usage) = unsafe {
        let ended = libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr());
        (ended, usage.assume_init())
    };
    assert_eq!(ended, pid, "wait4 of our own child");
    let time = |t: libc::timeval| {
        Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64)
    };
    Usage {
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        peak: usage.ru_maxrss as u64,
        succeeded: status == 0,
    }
}

/// The peak of this process, which those that it starts begin with, is what it holds now.
fn forget_peak() {
    // SAFETY: it gives back what nobody holds.
    unsafe { libc::malloc_trim(0) };
    // Where it can't be forgotten, the peaks of what is started are too high.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Peak memory of this process, in KiB.
pub fn peak_of_this() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let row = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    row.and_then(|row| row.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
