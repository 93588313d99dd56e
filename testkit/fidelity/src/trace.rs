//! When the kernel's collector really ran, as the tracepoints of its work queue tell.
//!
//! Its passes set each other's times by what each of them meets, so that one packet's place in a pass may move the next. Who
//! knows their times can judge all else that a model makes of them.

use std::fs;
use std::io::{self, Error};
use std::path::PathBuf;
use std::process::Command;

use nix::time::{ClockId, clock_gettime};
use plimsoll_ct::Time;

/// The function of the work, in net/netfilter/nf_conntrack_core.c.
const WORK: &str = "gc_worker";
const EVENTS: [&str; 2] = [
    "events/workqueue/workqueue_execute_start/enable",
    "events/workqueue/workqueue_execute_end/enable",
];
/// All work of a machine for some minutes, on each CPU.
const BUFFER_KIB: &str = "16384";

/// A pass of the collector through the table: one run, or several, since none works for longer than 10 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// When its first run began.
    pub began: Time,
    /// When its last one ended.
    pub ended: Time,
}

/// A trace under way: a tracefs and an instance of its own, gone when dropped.
#[derive(Debug)]
pub struct Trace {
    mount: PathBuf,
    instance: PathBuf,
}

impl Trace {
    /// Begins one. Needs root and a kernel with tracepoints.
    pub fn begin() -> io::Result<Self> {
        let name = format!("plimsoll-{}", std::process::id());
        let mount = std::env::temp_dir().join(format!("{name}-trace"));
        fs::create_dir_all(&mount)?;
        let this = Self { instance: mount.join("instances").join(name), mount };
        let mut mount = Command::new("mount");
        if !mount.args(["-t", "tracefs", "tracefs"]).arg(&this.mount).status()?.success() {
            return Err(Error::other("tracefs cannot be mounted"));
        }
        fs::create_dir(&this.instance)?;
        let set = [("trace_clock", "mono"), ("buffer_size_kb", BUFFER_KIB)];
        for (file, value) in set.into_iter().chain(EVENTS.map(|event| (event, "1"))) {
            fs::write(this.instance.join(file), value)
                .map_err(|e| Error::new(e.kind(), format!("tracefs, {file}: {e}")))?;
        }
        Ok(this)
    }

    /// Ends it: the collector's passes.
    pub fn finish(self) -> io::Result<Vec<Pass>> {
        for event in EVENTS {
            fs::write(self.instance.join(event), "0")?;
        }
        let text = fs::read_to_string(self.instance.join("trace"))?;
        let nanos = |clock| -> io::Result<i64> {
            let time = clock_gettime(clock)?;
            Ok(time.tv_sec() * 1_000_000_000 + time.tv_nsec())
        };
        let ahead = nanos(ClockId::CLOCK_REALTIME)? - nanos(ClockId::CLOCK_MONOTONIC)?;
        let passes = passes(&text, ahead);
        if passes.is_empty() {
            return Err(Error::other("no run of the collector in it"));
        }
        Ok(passes)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // What was not made cannot be taken away.
        let _ = fs::remove_dir(&self.instance);
        let _ = Command::new("umount").arg(&self.mount).status();
        let _ = fs::remove_dir(&self.mount);
    }
}

/// Nanoseconds between two runs of one pass at most: one that has worked for 10 ms is cut, and goes on at once.
const CUT: i64 = 20_000_000;

/// The passes of a trace whose clock is so many nanoseconds behind.
fn passes(text: &str, ahead: i64) -> Vec<Pass> {
    let mut passes: Vec<Pass> = Vec::new();
    for (begins, nanos) in text.lines().filter_map(edge) {
        let at = Time(nanos + ahead);
        match passes.last_mut() {
            Some(last) if !begins || at.0 - last.ended.0 < CUT => last.ended = at,
            _ if begins => passes.push(Pass { began: at, ended: at }),
            // It began before the trace did.
            _ => {}
        }
    }
    passes
}

/// `kworker/0:1-33 [000] ..... 12.345678: workqueue_execute_start: work struct …: function gc_worker [nf_conntrack]`:
/// whether it begins, and nanoseconds, if it is the collector that runs.
fn edge(line: &str) -> Option<(bool, i64)> {
    let (before, work) = line.split_once(": workqueue_execute_")?;
    let (edge, work) = work.split_once(": ")?;
    let (_, function) = work.split_once("function ")?;
    if function.split_whitespace().next() != Some(WORK) {
        return None;
    }
    let (seconds, below) = before.rsplit_once(' ')?.1.split_once('.')?;
    let micros: i64 = below.parse().ok().filter(|_| below.len() == 6)?;
    Some((edge == "start", (seconds.parse::<i64>().ok()? * 1_000_000 + micros) * 1000))
}

#[cfg(test)]
mod tests {
    use plimsoll_ct::Time;

    use super::{Pass, edge, passes};

    fn line(edge: &str, at: &str, function: &str) -> String {
        format!(
            "     kworker/u8:3-4711    [001] .....  {at}: workqueue_execute_{edge}: \
             work struct 00000000cafe: function {function}"
        )
    }

    #[test]
    fn only_runs_of_the_collector_are_taken() {
        let at = "5230.000042";
        let seen = Some((true, 5_230_000_042_000));
        assert_eq!(edge(&line("start", at, "gc_worker")), seen);
        assert_eq!(edge(&line("start", at, "gc_worker [nf_conntrack]")), seen);
        assert_eq!(edge(&line("end", at, "gc_worker")), Some((false, 5_230_000_042_000)));
        assert_eq!(edge(&line("start", at, "tree_gc_worker [nf_conncount]")), None);
        assert_eq!(edge("# tracer: nop"), None);
    }

    #[test]
    fn runs_that_follow_at_once_are_one_pass() {
        let edges = [
            ("end", "0.000500"),
            ("start", "1.000000"),
            ("end", "1.012000"),
            ("start", "1.012100"),
            ("end", "1.014000"),
            ("start", "3.000000"),
            ("end", "3.001000"),
        ];
        let text: String =
            edges.iter().map(|(edge, at)| line(edge, at, "gc_worker") + "\n").collect();
        let pass = |began, ended| Pass { began: Time(began), ended: Time(ended) };
        let expected = vec![pass(1_000_000_007, 1_014_000_007), pass(3_000_000_007, 3_001_000_007)];
        assert_eq!(passes(&text, 7), expected);
    }
}
