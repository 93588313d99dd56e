//! Processes, as far as they can still be looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use plimsoll_diagnosis::facts::Writer;

/// How long before a change a process may have begun to be a candidate.
const YOUNG: Duration = Duration::from_secs(2);
/// Most candidates named, and parents of a process.
const MOST: usize = 8;
const PARENTS: usize = 4;

/// Fills in what /proc tells of a process, if it is still there.
pub(super) fn describe(writer: &mut Writer) {
    let folder = format!("/proc/{}", writer.pid);
    if writer.command.is_empty() {
        writer.command = name(writer.pid).unwrap_or_default();
    }
    writer.line = command_line(writer.pid);
    if writer.uid.is_none() {
        writer.uid =
            status(writer.pid, "Uid:").and_then(|v| v.split_whitespace().next()?.parse().ok());
    }
    if writer.cgroup.is_none() {
        writer.cgroup = cgroup(writer.pid);
    }
    let mut pid = writer.pid;
    while writer.parents.len() < PARENTS {
        let parent = status(pid, "PPid:").and_then(|v| v.trim().parse::<u32>().ok());
        let Some(parent) = parent.filter(|p| *p > 1) else { break };
        writer.parents.push((parent, name(parent).unwrap_or_default()));
        pid = parent;
    }
    if let Ok(theirs) = fs::metadata(format!("{folder}/ns/net")) {
        written_in(writer, theirs.ino());
    }
}

/// The network namespace that it wrote in, by its inode.
pub(super) fn written_in(writer: &mut Writer, netns: u64) {
    if let Ok(ours) = fs::metadata("/proc/self/ns/net") {
        writer.netns = Some(netns);
        writer.elsewhere = netns != ours.ino();
    }
}

fn name(pid: u32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned())
}

fn command_line(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line: String = String::from_utf8_lossy(&bytes)
        .trim_end_matches('\0')
        .chars()
        .take(200)
        .map(|c| if c == '\0' { ' ' } else { c })
        .collect();
    (!line.is_empty()).then_some(line)
}

fn status(pid: u32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(text.lines().find_map(|l| l.strip_prefix(field))?.trim().to_owned())
}

/// The unified cgroup, or that of systemd where there are several.
fn cgroup(pid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = |start: &str| text.lines().find_map(|l| l.strip_prefix(start));
    let named = text.lines().find_map(|l| l.split_once(":name=systemd:").map(|(_, path)| path));
    let found = path("0::").filter(|p| *p != "/").or(named)?;
    (found != "/").then(|| found.to_owned())
}

/// Processes that began to run lately.
#[derive(Debug, Default)]
pub(super) struct Processes {
    known: BTreeSet<u32>,
    /// Those that were not there at the look before, with the time they were first seen.
    young: BTreeMap<u32, (Instant, Writer)>,
}

impl Processes {
    /// Looks who is there.
    pub(super) fn look(&mut self) {
        let first = self.known.is_empty();
        let now = Instant::now();
        let pids: BTreeSet<u32> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        if !first {
            for pid in pids.difference(&self.known) {
                let mut writer = Writer { pid: *pid, ..Writer::default() };
                describe(&mut writer);
                self.young.insert(*pid, (now, writer));
            }
        }
        self.young.retain(|_, (seen, _)| now.duration_since(*seen) < YOUNG);
        self.known = pids;
    }

    /// The youngest, the last to come first.
    pub(super) fn young(&mut self) -> Vec<Writer> {
        self.look();
        let own = std::process::id();
        let mut all: Vec<_> = self.young.values().filter(|(_, w)| w.pid != own).collect();
        all.sort_by_key(|(seen, writer)| (std::cmp::Reverse(*seen), std::cmp::Reverse(writer.pid)));
        all.into_iter().take(MOST).map(|(_, writer)| writer.clone()).collect()
    }
}
