//! The journal, through journalctl: it only reads, and it knows every generation of the files.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use plimsoll_diagnosis::facts::LogDigestBuilder;
use plimsoll_wire::log::Form;

use super::scan::scan;
use crate::files::Files;

const NAME: &str = "journal";

/// Bytes taken from journalctl at most.
const MOST: u64 = 256 << 20;

/// The fields that [`plimsoll_wire::log::json_line`] reads; entries hold three times as many.
const FIELDS: &str = "--output-fields=MESSAGE,_TRANSPORT,SYSLOG_FACILITY,SYSLOG_IDENTIFIER,\
                      _HOSTNAME,_SOURCE_MONOTONIC_TIMESTAMP";

/// Gives the newest kernel entries of all boots to the builder. Nothing happens where there is no
/// journal.
pub(super) fn read(builder: &mut LogDigestBuilder, files: &Files, entries: u32, deadline: Instant) {
    if !there_is_one(files) {
        return;
    }
    // Before version 236 (CentOS 7) the list of fields was not known; all are printed then.
    let result = attempt(builder, entries, deadline, Some(FIELDS))
        .or_else(|_| attempt(builder, entries, deadline, None));
    if let Err(reason) = result {
        builder.unreadable(NAME, reason);
    }
}

/// A journal is a directory named by the machine's id that holds files.
fn there_is_one(files: &Files) -> bool {
    ["/var/log/journal", "/run/log/journal"].iter().any(|root| {
        files.list(root).is_ok_and(|names| {
            names.iter().any(|name| {
                let inside = files.list(&format!("{root}/{name}"));
                inside.is_ok_and(|files| files.iter().any(|file| file.ends_with(".journal")))
            })
        })
    })
}

fn attempt(
    builder: &mut LogDigestBuilder,
    entries: u32,
    deadline: Instant,
    fields: Option<&str>,
) -> Result<(), String> {
    let mut child = Command::new("journalctl")
        .args(["_TRANSPORT=kernel", "--output=json", "--no-pager", "--quiet", "--all"])
        .arg(format!("--lines={entries}"))
        .args(fields)
        .env("LC_ALL", "C")
        .env("SYSTEMD_COLORS", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "there is a journal, but no journalctl".to_owned(),
            _ => format!("journalctl: {error}"),
        })?;
    let (Some(mut output), Some(mut errors)) = (child.stdout.take(), child.stderr.take()) else {
        return Err("journalctl: no pipe".to_owned());
    };
    // What it complains about is read aside, so that neither pipe can fill up and stop it.
    let complaint = thread::spawn(move || {
        let mut text = Vec::new();
        let _ = errors.by_ref().take(4096).read_to_end(&mut text);
        let _ = std::io::copy(&mut errors, &mut std::io::sink());
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut child = Killed(child);
    builder.begin(NAME);
    let mut paced = Paced { pipe: &mut output, deadline };
    let mut budget = MOST;
    let mut source = scan(builder, NAME, Form::Json, &mut paced, false, &mut budget, deadline);
    let ended = source.cut.is_none();
    let status = child.stop(ended);
    let complaint = complaint.join().unwrap_or_default();
    let complaint = complaint.lines().next().unwrap_or_default().trim();
    if ended && !status && source.lines == 0 {
        return Err(format!("journalctl: {complaint}"));
    }
    if source.lines >= u64::from(entries) {
        source.cut.get_or_insert_with(|| format!("only the newest {entries} entries were read"));
    } else if !complaint.is_empty() {
        // Without the right, journalctl shows the user's own entries and hints at the others.
        source.cut.get_or_insert_with(|| complaint.chars().take(200).collect());
    }
    builder.end(source);
    Ok(())
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
