//! Asks journalctl: it only reads, and it knows every generation of the journal's files.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use plimsoll_diagnosis::facts::{LogDigestBuilder, LogSource};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::log::Form;

use super::scan::scan;
use crate::said_of;

/// The fields that [`plimsoll_wire::log::json_line`] reads; entries hold three times as many.
const FIELDS: &str = "--output-fields=MESSAGE,_TRANSPORT,SYSLOG_FACILITY,SYSLOG_IDENTIFIER,\
                      _HOSTNAME,_SOURCE_MONOTONIC_TIMESTAMP";

/// Under this name journalctl finds the file that it is given.
const GIVEN: &str = "/proc/self/fd/0";

/// What to ask for.
pub(super) struct Query<'a> {
    /// How the log is called that it reads.
    pub(super) name: &'a str,
    /// A file of a journal; `None`: the journal of the running host.
    pub(super) file: Option<File>,
    /// Entries of the kernel, the newest ones.
    pub(super) entries: u32,
}

/// Gives the kernel's entries to the builder. `budget` is lowered by the bytes that it printed. An error
/// only if nothing was given.
pub(super) fn read(
    builder: &mut LogDigestBuilder,
    query: &Query<'_>,
    budget: &mut u64,
    deadline: Instant,
) -> Result<LogSource, Said> {
    // Before version 236 (CentOS 7) the list of fields was not known; all are printed then.
    attempt(builder, query, Some(FIELDS), budget, deadline)
        .or_else(|_| attempt(builder, query, None, budget, deadline))
}

fn attempt(
    builder: &mut LogDigestBuilder,
    query: &Query<'_>,
    fields: Option<&str>,
    budget: &mut u64,
    deadline: Instant,
) -> Result<LogSource, Said> {
    let mut command = Command::new("journalctl");
    command
        .args(["_TRANSPORT=kernel", "--output=json", "--no-pager", "--quiet"])
        .arg(format!("--lines={}", query.entries))
        .args(fields)
        .env("LC_ALL", "C")
        .env("SYSTEMD_COLORS", "0")
        .env_remove("SYSTEMD_LOG_LEVEL")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    match &query.file {
        // The file is handed over open: journalctl follows no link, and looks for nothing beside it. Long
        // fields are left out, which may be packed a thousandfold; the kernel's lines are short.
        Some(file) => {
            let file = file.try_clone().map_err(|error| said_of(&error))?;
            command.arg(format!("--file={GIVEN}")).stdin(Stdio::from(file));
        }
        None => {
            command.arg("--all");
        }
    }
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            said!(
                "there is a journal, but no journalctl here (needs the package systemd)",
                "有 journal，却没有 journalctl（需要：systemd 软件包）"
            )
        }
        _ => {
            let why = said_of(&error);
            said!("journalctl: {why}", "journalctl：{why:#}")
        }
    })?;
    let (Some(mut output), Some(mut errors)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(said!("journalctl: no pipe", "journalctl：没有管道"));
    };
    // What it complains about is read aside, so that neither pipe can fill up and stop it.
    let mut child = Killed(child);
    let complaint = thread::Builder::new().spawn(move || {
        let mut text = Vec::new();
        let _ = errors.by_ref().take(4096).read_to_end(&mut text);
        let _ = std::io::copy(&mut errors, &mut std::io::sink());
        String::from_utf8_lossy(&text).into_owned()
    });
    let complaint = complaint.map_err(|error| {
        let why = said_of(&error);
        said!("journalctl: {why}", "journalctl：{why:#}")
    })?;
    let mut paced = Paced { pipe: &mut output, deadline };
    let mut source = scan(builder, query.name, Form::Json, &mut paced, false, budget, deadline);
    let ended = source.cut.is_none();
    let status = child.stop(ended);
    let complaint = complaint.join().unwrap_or_default().replace(GIVEN, query.name);
    let complaint = complaint.lines().next().unwrap_or_default().trim();
    let complaint: String = complaint.chars().take(200).collect();
    if ended && !status && source.lines == 0 {
        return Err(Said::name(format!("journalctl: {complaint}")));
    }
    if source.lines >= u64::from(query.entries) {
        let entries = query.entries;
        source.cut.get_or_insert_with(|| format!("only the newest {entries} entries were read"));
    } else if !complaint.is_empty() {
        // Without the right, journalctl shows the user's own entries and hints at the others.
        source.cut.get_or_insert(complaint);
    }
    Ok(source)
}

/// A child that does not outlive its reader.
struct Killed(Child);

impl Killed {
    /// Waits for a child that closed its output, ends one that did not. Whether it succeeded.
    fn stop(&mut self, ended: bool) -> bool {
        if !ended {
            let _ = self.0.kill();
        }
        self.0.wait().is_ok_and(|status| status.success())
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A pipe that gives up at the deadline instead of waiting for ever.
struct Paced<'a> {
    pipe: &'a mut std::process::ChildStdout,
    deadline: Instant,
}

impl Read for Paced<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let left = self.deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(std::io::Error::other)?;
        let mut waiting = [PollFd::new(&*self.pipe, PollFlags::IN)];
        match poll(&mut waiting, Some(&left)) {
            Ok(0) => Err(std::io::Error::other("journalctl took too long")),
            Ok(_) => self.pipe.read(buffer),
            Err(error) => Err(error.into()),
        }
    }
}
