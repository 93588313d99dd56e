//! Reads the kernel's log wherever a host keeps it, and digests it.
//!
//! Live: /dev/kmsg or the call behind dmesg, the journal, and the files of syslog. Dead: the files of syslog and of the
//! journal. What could not be read is told in the digest, with the right that is missing; what was not read to its end says so.

mod compressed;
mod dev_kmsg;
mod journal;
mod journalctl;
mod places;
mod ring;
mod scan;

use std::io;
use std::time::{Duration, Instant};

use plimsoll_ct::{Nanos, Time, TimeRange};
use plimsoll_diagnosis::facts::{Fact, LogDigest, LogDigestBuilder, Reason, Source};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::log::{Clock, Zone};

use crate::files::Files;
use crate::said_of;
pub(crate) use journal::all as journal_files;

/// How to read a log.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// The host runs: /dev/kmsg and the journal can be read. `files` are its own files.
    pub live: bool,
    /// The time of reading; of a dead host: when it was saved.
    pub now: Time,
    /// When the kernel's clock was zero: [`boot_time`] tells it of the running host. Without it, lines
    /// stamped in seconds since boot have no date.
    pub boot: Option<TimeRange>,
    /// Name of the host: in the files of a log server, lines of other hosts are not counted.
    pub host: Option<&'a str>,
    /// Zone of local stamps. `None`: that of the host's own /etc/localtime.
    pub zone: Option<Zone>,
    /// More files to read, as a bundle holds them (`/sos_commands/kernel/dmesg_-T`). What a name says
    /// decides the form: `dmesg` in it, or `journalctl`.
    pub extra: &'a [String],
    /// Bounds.
    pub limits: Limits,
}

/// Bounds of time and size.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes read of one file: the last ones of a plain file, the first ones of a compressed one.
    pub file: u64,
    /// Bytes read of all files.
    pub total: u64,
    /// Time for everything; files not begun by then are told as not read.
    pub time: Duration,
    /// Entries asked of the journal, or of each file of a saved one: the newest.
    pub journal_entries: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file: 64 << 20,
            total: 512 << 20,
            time: Duration::from_secs(2),
            journal_entries: 50_000,
        }
    }
}

/// What the log says. Missing only when no place at all could be read.
pub fn digest(files: &Files, ask: &Ask<'_>) -> Fact<LogDigest> {
    let deadline = Instant::now() + ask.limits.time;
    let zone = ask.zone.clone().unwrap_or_else(|| zone_of(files));
    let clock = Clock { now: ask.now, boot: ask.boot, zone };
    let mut builder = LogDigestBuilder::new(clock, ask.host);
    if ask.live {
        dev_kmsg::read(&mut builder, deadline);
        journal::live(&mut builder, files, &ask.limits, deadline);
    }
    places::read(&mut builder, files, ask.extra, &ask.limits, deadline);
    if !ask.live {
        // Last, so that a journal made to be read for ever hides no other log.
        journal::saved(&mut builder, files, &ask.limits, deadline);
    }
    let digest = builder.finish();
    if !digest.sources.is_empty() {
        let names: Vec<&str> = digest.sources.iter().map(|source| source.name.as_str()).collect();
        let source = names.join(", ");
        return Fact::known(digest, Source::name(source));
    }
    let detail = match digest.unreadable.as_slice() {
        [] => said!("no kernel log in any of the usual places", "常见的地方都没有内核日志"),
        tried => {
            let tried = tried.iter();
            let tried = tried.map(|(name, reason)| said!("{name}: {reason}", "{name}：{reason:#}"));
            Said::join(&tried.collect::<Vec<_>>(), &Said::of("; ", "；"))
        }
    };
    if ask.live && rustix::process::geteuid().is_root() {
        Fact::missing(Reason::Failed, detail)
    } else if ask.live {
        Fact::missing_needs(
            Reason::NotPermitted,
            detail,
            said!("root, or CAP_SYSLOG and group adm", "root，或者 CAP_SYSLOG 和 adm 组"),
        )
    } else {
        Fact::missing(Reason::NotCollected, detail)
    }
}

/// The kernel's own ring is closed where `kernel.dmesg_restrict` is 1 and the reader has no CAP_SYSLOG.
fn explain(error: &io::Error) -> Said {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            said!(
                "permission denied (needs root or CAP_SYSLOG; kernel.dmesg_restrict)",
                "权限不够，kernel.dmesg_restrict 只放行 root 和 CAP_SYSLOG"
            )
        }
        _ => said_of(error),
    }
}

/// The zone that a host's local time is in, from its own /etc/localtime.
pub fn zone_of(files: &Files) -> Zone {
    let tzif = |path: &str| Zone::from_tzif(&files.read(path, 64 << 10).ok()?);
    if let Some(zone) = tzif("/etc/localtime") {
        return zone;
    }
    // A saved tree often holds the name of the zone but not its rules: those of this machine will do.
    let named = files.text("/etc/timezone").ok().or_else(|| {
        let text = files.text("/etc/sysconfig/clock").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("ZONE="))?;
        Some(line.trim_matches(['"', '\'']).to_owned())
    });
    let Some(name) = named else { return Zone::Unknown };
    let name = name.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
    if name.is_empty() || name.starts_with('/') || !name.chars().all(plain) {
        return Zone::Unknown;
    }
    let path = format!("/usr/share/zoneinfo/{name}");
    tzif(&path)
        .or_else(|| Zone::from_tzif(&Files::live().read(&path, 64 << 10).ok()?))
        .unwrap_or_default()
}

/// When the running kernel's clock was zero, as wall-clock time.
///
/// The clock of log stamps stands still while the machine sleeps. If it slept before a line was
/// written, the line's zero lies at "now less the time awake", if after, at "now less the time since
/// boot": the range holds both.
pub fn boot_time(now: Time) -> TimeRange {
    use rustix::time::{ClockId, clock_gettime};
    let span = |id| {
        let at = clock_gettime(id);
        let secs = u64::try_from(at.tv_sec).unwrap_or(0);
        Nanos(secs.saturating_mul(1_000_000_000).saturating_add(at.tv_nsec.unsigned_abs()))
    };
    let (booted, awake) = (span(ClockId::Boottime), span(ClockId::Monotonic));
    // The clocks are read one after the other, and the log's own clock starts a little before theirs.
    const SLACK: Nanos = Nanos(50_000_000);
    TimeRange { earliest: now.minus(booted).minus(SLACK), latest: now.minus(awake).plus(SLACK) }
}

#[cfg(test)]
mod tests;
