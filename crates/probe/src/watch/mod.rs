//! Settings watched live: what changes, and which process changes it.
//!
//! Three means, the best that can be had first. BPF at the root of the cgroups sees every write to a sysctl on the host,
//! in whatever container, with its task (6.1 and later, CAP_BPF and CAP_NET_ADMIN). fanotify sees writes through this
//! very mount of /proc, with the process (CAP_SYS_ADMIN); a container has a /proc of its own. Failing both, the value is
//! read again and again, and what began to run shortly before a change is named as a candidate. The values are
//! read all the same: what no program wrote (a module that came or went, the module's parameter) is seen, too.

mod bpf;
mod fanotify;
mod process;

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant, SystemTime};

use plimsoll_ct::Time;
use plimsoll_diagnosis::facts::{ChangedBy, SettingChange, Writer};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::sysctl;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use process::Processes;

/// How often values are read when writes are seen by themselves, and when they are not.
const PERIOD: Duration = Duration::from_millis(250);
const PERIOD_ALONE: Duration = Duration::from_millis(100);
/// How long a write may take from the moment it is announced until the value is there.
const SETTLES: Duration = Duration::from_millis(20);

/// A setting to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Its dotted key on this kernel, whose value is read.
    pub key: String,
    /// Other keys of the same variable.
    pub aliases: Vec<String>,
    /// Whether one value serves all namespaces.
    pub global: bool,
}

/// How changes are seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Means {
    /// `bpf`, `fanotify` or `poll`.
    pub name: &'static str,
    /// Why not the better ones.
    pub lacking: Vec<Said>,
}

/// A watch in progress.
#[derive(Debug)]
pub struct Watch {
    settings: Vec<(Watched, Option<String>)>,
    bpf: Option<bpf::Writes>,
    fanotify: Option<fanotify::Marks>,
    lacking: Vec<Said>,
    processes: Processes,
    due: Instant,
}

/// A write that was seen.
#[derive(Debug)]
struct Seen {
    at: Time,
    key: String,
    asked: Option<String>,
    writer: Writer,
}

impl Watch {
    /// Begins to watch, by the best means that this kernel and these rights allow.
    pub fn begin(settings: Vec<Watched>) -> Self {
        let settings: Vec<_> = settings
            .into_iter()
            .map(|watched| {
                let value = read(&watched.key);
                (watched, value)
            })
            .collect();
        let mut lacking = Vec::new();
        let bpf = bpf::Writes::begin();
        let bpf = bpf.map_err(|why| lacking.push(said!("bpf: {why}", "bpf：{why:#}"))).ok();
        let fanotify = match &bpf {
            Some(_) => None,
            None => fanotify::Marks::begin(settings.iter().flat_map(|(w, _)| keys(w)))
                .map_err(|why| lacking.push(said!("fanotify: {why}", "fanotify：{why:#}")))
                .ok(),
        };
        let mut processes = Processes::default();
        processes.look();
        Self { settings, bpf, fanotify, lacking, processes, due: Instant::now() }
    }

    /// By what means.
    pub fn means(&self) -> Means {
        let name = match (&self.bpf, &self.fanotify) {
            (Some(_), _) => "bpf",
            (None, Some(_)) => "fanotify",
            (None, None) => "poll",
        };
        Means { name, lacking: self.lacking.clone() }
    }

    /// The watched keys and their values now.
    pub fn values(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.settings.iter().map(|(w, value)| (w.key.as_str(), value.as_deref()))
    }

    /// Waits until something happens or `most` has passed; what happened.
    ///
    /// # Errors
    /// When waiting itself fails.
    pub fn next(&mut self, most: Duration) -> io::Result<Vec<SettingChange>> {
        let end = Instant::now() + most;
        loop {
            let changes = self.step(end)?;
            if !changes.is_empty() || Instant::now() >= end {
                return Ok(changes);
            }
        }
    }

    fn step(&mut self, end: Instant) -> io::Result<Vec<SettingChange>> {
        let sees = self.bpf.is_some() || self.fanotify.is_some();
        let now = Instant::now();
        if self.due <= now {
            self.due = now + if sees { PERIOD } else { PERIOD_ALONE };
        }
        self.wait(self.due.min(end).saturating_duration_since(now))?;
        let mut seen = Vec::new();
        if let Some(bpf) = &mut self.bpf {
            bpf.read(&mut seen);
        }
        if let Some(fanotify) = &mut self.fanotify {
            fanotify.read(&mut seen);
        }
        let mut changes: Vec<SettingChange> =
            seen.into_iter().filter_map(|s| self.written(s)).collect();
        if Instant::now() >= self.due {
            changes.extend(self.unseen());
            if !sees {
                self.processes.look();
            }
        }
        Ok(changes)
    }

    fn wait(&self, most: Duration) -> io::Result<()> {
        let mut fds: Vec<PollFd<'_>> = Vec::new();
        let borrowed: [Option<BorrowedFd<'_>>; 2] = [
            self.bpf.as_ref().map(bpf::Writes::fd),
            self.fanotify.as_ref().map(fanotify::Marks::fd),
        ];
        for fd in borrowed.iter().flatten() {
            fds.push(PollFd::from_borrowed_fd(*fd, PollFlags::IN));
        }
        let most = Timespec::try_from(most).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 100_000_000 });
        match poll(&mut fds, Some(&most)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A write that was seen: what it made of the value. `None`: it is none of ours.
    fn written(&mut self, seen: Seen) -> Option<SettingChange> {
        let (watched, before) =
            self.settings.iter_mut().find(|(w, _)| keys(w).any(|key| key == seen.key))?;
        let elsewhere = seen.writer.elsewhere && !watched.global;
        // The kernel tells of a write before it takes it.
        let begun = Instant::now();
        let mut after = read(&watched.key);
        while !elsewhere && after == *before && begun.elapsed() < SETTLES {
            std::thread::sleep(Duration::from_millis(1));
            after = read(&watched.key);
        }
        let from = std::mem::replace(before, after.clone());
        Some(SettingChange {
            at: seen.at,
            key: watched.key.clone(),
            from,
            to: after,
            asked: seen.asked,
            by: ChangedBy::Process(Writer { elsewhere, ..seen.writer }),
        })
    }

    /// Values that changed without a write that was seen.
    fn unseen(&mut self) -> Vec<SettingChange> {
        let mut changes = Vec::new();
        for (watched, before) in &mut self.settings {
            let after = read(&watched.key);
            if after == *before {
                continue;
            }
            if let Some(fanotify) = &mut self.fanotify
                && before.is_none()
            {
                // Its file has just come: it can be marked now.
                keys(watched).for_each(|key| fanotify.mark(key));
            }
            changes.push(SettingChange {
                at: now(),
                key: watched.key.clone(),
                from: std::mem::replace(before, after.clone()),
                to: after,
                asked: None,
                by: ChangedBy::Candidates(self.processes.young()),
            });
        }
        changes
    }
}

/// All keys of a setting.
fn keys(watched: &Watched) -> impl Iterator<Item = &str> {
    std::iter::once(watched.key.as_str()).chain(watched.aliases.iter().map(String::as_str))
}

/// The value of a key.
fn read(key: &str) -> Option<String> {
    let text = fs::read_to_string(sysctl::path(key)).ok()?;
    Some(text.trim().chars().filter(|c| !c.is_control()).take(80).collect())
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
