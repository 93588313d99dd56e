//! The state directory: one lock, one journal for each transaction.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plimsoll_diagnosis::{Said, said};
use rustix::fs::{FlockOperation, flock};

use crate::ApplyError;
use crate::error::plain;

/// The state directory.
#[derive(Debug, Clone)]
pub(crate) struct State(PathBuf);

/// The right to change the system. Let go when dropped, or when the process dies.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, not used")] File);

impl State {
    /// Where it is; it need not exist.
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the directory if it is not there. Only its owner may look into it: journals hold files.
    pub(crate) fn make(&self) -> Result<(), ApplyError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(|error| {
            let place = self.0.display();
            ApplyError::unfit(said!("state directory {place}", "状态目录 {place}"), plain(&error))
        })
    }

    /// Takes the lock, waiting at most so long.
    pub(crate) fn lock(&self, patience: Duration) -> Result<Lock, ApplyError> {
        let path = self.0.join("lock");
        let unfit = |error: io::Error| {
            ApplyError::unfit(Said::name(path.display().to_string()), plain(&error))
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(unfit)?;
        let started = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) if started.elapsed() < patience => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let mut pid = String::new();
                    let _ = file.read_to_string(&mut pid);
                    return Err(ApplyError::Busy { pid: pid.trim().parse().ok() });
                }
                Err(error) => return Err(unfit(error.into())),
            }
        }
        // For the message of whoever comes second; on a full disk the message says less.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Lock(file))
    }

    /// Numbers of all transactions, oldest first.
    pub(crate) fn numbers(&self) -> Result<Vec<u64>, ApplyError> {
        let directory = match fs::read_dir(&self.0) {
            Ok(directory) => directory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(ApplyError::journal(&self.0)(error)),
        };
        let mut numbers: Vec<u64> = directory
            .filter_map(|entry| {
                let name = entry.ok()?.file_name().into_string().ok()?;
                name.strip_suffix(".journal")?.parse().ok()
            })
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The journal of a transaction.
    pub(crate) fn journal(&self, id: u64) -> PathBuf {
        self.0.join(format!("{id}.journal"))
    }

    /// The file that the guard of a transaction holds locked as long as it lives.
    pub(crate) fn post(&self, id: u64) -> PathBuf {
        self.0.join(format!("{id}.guard"))
    }

    /// Whether the guard of a transaction lives.
    pub(crate) fn guarded(&self, id: u64) -> bool {
        let Ok(file) = File::open(self.post(id)) else { return false };
        flock(&file, FlockOperation::NonBlockingLockShared).is_err()
    }

    /// Makes the names in the directory survive a power cut.
    pub(crate) fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}
