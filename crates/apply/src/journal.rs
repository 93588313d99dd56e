//! The journal of one transaction: a line for each step, on the disk before the step is taken.
//!
//! Append only; each line is JSON. A last line without an end was being written when the machine or the
//! process stopped: what it announces never began, so it does not count, and is cut off before the next.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use plimsoll_diagnosis::plan::Plan;
use plimsoll_diagnosis::{Said, said};
use rustix::fs::{FallocateFlags, fallocate};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::state::State;
use crate::{ApplyError, clock};

/// Name and version of the format.
pub(crate) const SCHEMA: &str = "plimsoll.journal/1";
/// Reserved beyond the plan itself: the steps must not fail for want of space when the plan is half done.
const RESERVED: u64 = 4 << 10;
/// Reserved for each change: four lines, and what was read back.
const RESERVED_EACH: u64 = 2 << 10;
/// No journal of ours is longer; bytes from elsewhere are not read without end.
const LONGEST: u64 = 64 << 20;

/// What was read back once a change stood: a value, the text of a table.
pub(crate) type Memo = Vec<String>;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Record {
    /// A transaction begins.
    Begin {
        /// [`SCHEMA`].
        schema: String,
        /// Which boot.
        boot: String,
        /// Seconds since 1970.
        wall: u64,
        /// Where file changes are rooted: "/" on a running host.
        root: PathBuf,
        /// What is to be done.
        plan: Box<Plan>,
        /// The cookie of the plan's namespace: its inode may be another's by now. `None`: a kernel before 5.14.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cookie: Option<u64>,
        /// Seconds to wait for a confirmation.
        window: Option<u64>,
    },
    /// The guard stands.
    Guard {
        /// Its process.
        pid: u32,
    },
    /// A change is next.
    Intent {
        /// Its index.
        change: usize,
        /// What else stood there before, that taking back has to know.
        before: Memo,
    },
    /// It stands.
    Done {
        /// Its index.
        change: usize,
        /// What was read back.
        memo: Memo,
    },
    /// It was not needed, or its condition did not hold.
    Skipped {
        /// Its index.
        change: usize,
        /// Why.
        why: Said,
    },
    /// Everything stands.
    Applied {
        /// Seconds since 1970.
        wall: u64,
        /// Time since boot, in milliseconds, until which a confirmation is waited for.
        deadline: Option<u64>,
    },
    /// It stays.
    Confirmed {
        /// Seconds since 1970.
        wall: u64,
    },
    /// It is being taken back.
    Undoing {
        /// Seconds since 1970.
        wall: u64,
        /// Why.
        why: Said,
    },
    /// The change of this index is taken back, or never stood.
    Undone(usize),
    /// It was left as it is.
    Left {
        /// Its index.
        change: usize,
        /// Why.
        why: Said,
    },
    /// Nothing more will be done.
    Closed {
        /// Seconds since 1970.
        wall: u64,
        /// Where taking back left a table that holds more than the limit: which, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        overfull: Option<Said>,
    },
}

/// A journal open for writing; only under the lock.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Begins a transaction. Everything that it will write has its place on the disk now.
    pub(crate) fn begin(
        state: &State,
        id: u64,
        begin: &Record,
        changes: usize,
        fault: &Fault,
    ) -> Result<Self, ApplyError> {
        let path = state.journal(id);
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(ApplyError::journal(&path))?;
        let line = line_of(begin).map_err(ApplyError::journal(&path))?;
        let mut journal = Self { path, file };
        // What is read back is as long as what is written, or a little longer.
        let room = line.len() as u64 * 3 + RESERVED + RESERVED_EACH * changes as u64;
        let began = match fallocate(&journal.file, FallocateFlags::KEEP_SIZE, 0, room) {
            // A file system that can't promise space may still have it.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(ApplyError::journal(&journal.path)(error.into())),
        };
        let began = began.and_then(|()| journal.write(&line, fault));
        let began = began.and_then(|()| state.sync().map_err(ApplyError::journal(&journal.path)));
        if began.is_err() {
            // Nothing has begun, so nothing shall look as if it had.
            let _ = fs::remove_file(&journal.path);
        }
        began.map(|()| journal)
    }

    /// Goes on with a transaction.
    pub(crate) fn resume(state: &State, id: u64) -> Result<Self, ApplyError> {
        let path = state.journal(id);
        let whole = read_bytes(&path)?.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        let file =
            OpenOptions::new().append(true).open(&path).map_err(ApplyError::journal(&path))?;
        file.set_len(whole as u64).map_err(ApplyError::journal(&path))?;
        Ok(Self { path, file })
    }

    /// Writes a line, and returns when it is on the disk.
    pub(crate) fn write_record(
        &mut self,
        record: &Record,
        fault: &Fault,
    ) -> Result<(), ApplyError> {
        let line = line_of(record).map_err(ApplyError::journal(&self.path))?;
        self.write(&line, fault)
    }

    fn write(&mut self, line: &[u8], fault: &Fault) -> Result<(), ApplyError> {
        fault.step();
        let written = self.file.write_all(line).and_then(|()| self.file.sync_data());
        written.map_err(ApplyError::journal(&self.path))?;
        fault.step();
        Ok(())
    }
}

/// A journal as it stands on the disk.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, ApplyError> {
    let found = fs::metadata(path).map_err(ApplyError::journal(path))?;
    let length = found.len();
    let why = if !found.is_file() {
        Some(Said::of("expected a file", "应为一个文件"))
    } else if length > LONGEST {
        Some(said!(
            "expected at most {LONGEST} bytes, saw {length}",
            "应为最多 {LONGEST} 字节，实为 {length}"
        ))
    } else {
        None
    };
    if let Some(why) = why {
        return Err(ApplyError::Unread { path: Said::name(path.display().to_string()), why });
    }
    fs::read(path).map_err(ApplyError::journal(path))
}

/// All whole lines of a journal.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Record>, Said> {
    let end = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    let lines = bytes[..end].split(|b| *b == b'\n').enumerate();
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(n, line)| {
            serde_json::from_slice(line).map_err(|e| said!("line {}: {e}", "第 {} 行：{e}", n + 1))
        })
        .collect()
}

fn line_of(record: &Record) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}

/// The time since boot in the journal's unit.
pub(crate) fn now() -> u64 {
    u64::try_from(clock::boottime().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_journal_cut_off_anywhere_has_all_its_whole_lines() {
        let records = [
            Record::Intent { change: 0, before: vec![] },
            Record::Done { change: 0, memo: vec!["1024".into()] },
            Record::Applied { wall: 1, deadline: Some(60_000) },
            Record::Closed { wall: 2, overfull: None },
        ];
        let lines: Vec<Vec<u8>> = records.iter().map(|r| line_of(r).unwrap()).collect();
        let bytes = lines.concat();
        for cut in 0..=bytes.len() {
            let mut whole = 0;
            let mut at = 0;
            for line in &lines {
                at += line.len();
                whole += usize::from(at <= cut);
            }
            assert_eq!(parse(&bytes[..cut]).unwrap(), records[..whole], "{cut}");
        }
    }

    #[test]
    fn a_line_that_is_no_record_is_named() {
        let error = parse(b"{\"undone\":0}\n{\"nonsense\":0}\n").unwrap_err();
        assert!(error.starts_with("line 2: "), "{error}");
    }
}
