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
const START: &str = "events/workqueue/workqueue_execute_start/enable";
/// All work of a machine for some minutes, on each CPU.
const BUFFER_KIB: &str = "16384";

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
        for (file, value) in [("trace_clock", "mono"), ("buffer_size_kb", BUFFER_KIB), (START, "1")]
        {
            fs::write(this.instance.join(file), value)
                .map_err(|e| Error::new(e.kind(), format!("tracefs, {file}: {e}")))?;
        }
        Ok(this)
    }

    /// Ends it: the moments at which the collector began to run.
    pub fn finish(self) -> io::Result<Vec<Time>> {
        fs::write(self.instance.join(START), "0")?;
        let text = fs::read_to_string(self.instance.join("trace"))?;
        let nanos = |clock| -> io::Result<i64> {
            let time = clock_gettime(clock)?;
            Ok(time.tv_sec() * 1_000_000_000 + time.tv_nsec())
        };
        let ahead = nanos(ClockId::CLOCK_REALTIME)? - nanos(ClockId::CLOCK_MONOTONIC)?;
        let runs: Vec<Time> =
            text.lines().filter_map(run).map(|nanos| Time(nanos + ahead)).collect();
        if runs.is_empty() { Err(Error::other("no run of the collector in it")) } else { Ok(runs) }
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

/// `kworker/0:1-33 [000] ..... 12.345678: workqueue_execute_start: work struct …: function gc_worker [nf_conntrack]`:
/// nanoseconds, if it is the collector that runs.
fn run(line: &str) -> Option<i64> {
    let (before, work) = line.split_once(": workqueue_execute_start: ")?;
    let (_, function) = work.split_once("function ")?;
    if function.split_whitespace().next() != Some(WORK) {
        return None;
    }
    let (seconds, below) = before.rsplit_once(' ')?.1.split_once('.')?;
    let micros: i64 = below.parse().ok().filter(|_| below.len() == 6)?;
    Some((seconds.parse::<i64>().ok()? * 1_000_000 + micros) * 1000)
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    fn only_runs_of_the_collector_are_taken() {
        let line = |function: &str| {
            format!(
                "     kworker/u8:3-4711    [001] .....  5230.000042: workqueue_execute_start: \
                 work struct 00000000cafe: function {function}"
            )
        };
        assert_eq!(run(&line("gc_worker")), Some(5_230_000_042_000));
        assert_eq!(run(&line("gc_worker [nf_conntrack]")), Some(5_230_000_042_000));
        assert_eq!(run(&line("tree_gc_worker [nf_conncount]")), None);
        assert_eq!(run("# tracer: nop"), None);
    }
}
