//! Changing the host's limit for the time of a lab: the one thing that reaches beyond the lab.
//!
//! Kernel: `nf_conntrack_max` is one value for all network namespaces (to 7.1 at least), so whoever
//! changes it changes it for the host and for every container. Therefore: only one lab at a time (a lock),
//! only when no namespace would be hurt, and the old value comes back whatever happens: by us, by our
//! guard if we are killed, by the next lab from the journal if the guard was killed too. A value that
//! somebody else set in the meantime is theirs and stays.

use crate::guard::Guard;
use crate::{LabError, neighbours};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use plimsoll_ct::{Buckets, Entries};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LIMIT: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
const BUCKETS: &str = "/proc/sys/net/netfilter/nf_conntrack_buckets";
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// Locked while a lab may change the limit; its content is the journal: `boot-id old new`.
const JOURNAL: &str = "/run/plimsoll-lab.limit";

/// `$1` limit file, `$2` old value, `$3` the value we set, `$4` journal.
const UNDO: &str = "if [ \"$(cat \"$1\")\" = \"$3\" ]; then echo \"$2\" >\"$1\" || exit 1; fi\n\
                    rm -f \"$4\"\n";

/// The host's limit, changed; comes back when this is dropped.
#[derive(Debug)]
pub struct HostLimit {
    was: Entries,
    set: Entries,
    guard: Arc<Guard>,
    // Last: the guard is done before the lock goes. The guard holds the same lock, so that after a
    // `kill -9` nobody else gets it before the old value is back.
    _lock: Flock<File>,
}

/// What [`HostLimit::repair`] found of a lab that could not clean up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Nothing was left behind.
    NothingToDo,
    /// The limit was still the lab's, and is the host's old one again.
    Restored(Entries),
    /// Somebody had set another limit in the meantime: left alone.
    ChangedByOthers(Entries),
}

impl HostLimit {
    /// The limit in force.
    pub fn current() -> Result<Entries, LabError> {
        read_number(LIMIT).map(Entries)
    }

    /// Changes the limit of the whole machine until the returned value is dropped. Waits at most `wait`
    /// for another lab that has changed it.
    ///
    /// Refused: 0 (it would mean no limit at all, and newer kernels reject it), a limit below what any
    /// namespace holds now (that namespace would drop packets), and more than eight entries per bucket
    /// (packets would then be lost for another reason, long chains).
    pub fn change(limit: Entries, wait: Duration) -> Result<Self, LabError> {
        let refused = |reason: String| LabError::LimitRefused { limit, reason };
        if limit == Entries(0) {
            return Err(refused("0 means no limit at all".to_owned()));
        }
        let buckets = Buckets(read_number(BUCKETS)?);
        if limit.get() / buckets.get().max(1) > 8 {
            return Err(refused(format!("more than 8 entries for each of {buckets} buckets")));
        }
        let lock = acquire(wait)?;
        Self::change_locked(limit, lock).inspect_err(|_| {
            // Nothing was changed, or it was undone: no journal is needed. If it is gone already, fine.
            let _ = std::fs::remove_file(JOURNAL);
        })
    }

    fn change_locked(limit: Entries, mut lock: Flock<File>) -> Result<Self, LabError> {
        repair_from(&mut lock)?;
        let was = Self::current()?;
        if limit < was
            && let Some((namespace, count)) = neighbours::fullest()?
            && count.get() > limit.get() / 10 * 9
        {
            let reason = format!("{namespace} holds {count} entries and would lose packets");
            return Err(LabError::LimitRefused { limit, reason });
        }
        // Order matters: first the journal, then the guard, then the change. Dying between any two of
        // them leaves nothing that the next step back would not undo.
        let boot = boot_id()?;
        rewrite(&mut lock, &format!("{boot} {was} {limit}\n"))
            .map_err(LabError::system(format!("writing {JOURNAL}")))?;
        let held = lock.try_clone().map_err(LabError::system(format!("holding {JOURNAL}")))?;
        let values = [LIMIT, &was.to_string(), &limit.to_string(), JOURNAL];
        let guard = Guard::post(UNDO, &values, Some(held))?;
        let changed = Self { was, set: limit, guard, _lock: lock };
        std::fs::write(LIMIT, limit.to_string())
            .map_err(LabError::system(format!("setting nf_conntrack_max to {limit}")))?;
        Ok(changed)
    }

    /// The limit before.
    pub fn was(&self) -> Entries {
        self.was
    }

    /// The limit that was set.
    pub fn set(&self) -> Entries {
        self.set
    }

    /// Brings the old limit back now; the second call does nothing.
    pub fn restore(&self) -> Result<(), LabError> {
        self.guard.dismiss()
    }

    /// Repairs what a lab left behind that was killed together with its guard.
    pub fn repair() -> Result<Repair, LabError> {
        if !Path::new(JOURNAL).exists() {
            return Ok(Repair::NothingToDo);
        }
        let mut lock = acquire(Duration::ZERO)?;
        let repair = repair_from(&mut lock)?;
        std::fs::remove_file(JOURNAL).map_err(LabError::system(format!("removing {JOURNAL}")))?;
        Ok(repair)
    }
}

impl Drop for HostLimit {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            eprintln!("plimsoll lab: {error}");
        }
    }
}

/// Opens and locks the journal. Whoever finishes removes the file, so what we locked may be gone from
/// its path by now: then the lock means nothing, and we try again.
fn acquire(wait: Duration) -> Result<Flock<File>, LabError> {
    let started = Instant::now();
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(JOURNAL)
            .map_err(LabError::system(format!("opening {JOURNAL}")))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) if still_there(&lock) => return Ok(lock),
            Ok(_) => continue,
            Err((_, Errno::EWOULDBLOCK)) if started.elapsed() < wait => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err((_, Errno::EWOULDBLOCK)) => return Err(LabError::LimitBusy),
            Err((_, errno)) => return Err(LabError::errno(format!("locking {JOURNAL}"))(errno)),
        }
    }
}

fn still_there(file: &File) -> bool {
    let ours = file.metadata().map(|m| (m.dev(), m.ino()));
    let there = std::fs::metadata(JOURNAL).map(|m| (m.dev(), m.ino()));
    matches!((ours, there), (Ok(ours), Ok(there)) if ours == there)
}

/// Undoes what the journal speaks of, and empties it.
fn repair_from(journal: &mut File) -> Result<Repair, LabError> {
    let mut text = String::new();
    let failed = || LabError::system(format!("reading {JOURNAL}"));
    journal.seek(SeekFrom::Start(0)).map_err(failed())?;
    journal.take(1 << 10).read_to_string(&mut text).map_err(failed())?;
    let Some((old, set)) = unfinished(&text, &boot_id()?) else { return Ok(Repair::NothingToDo) };
    let now = HostLimit::current()?;
    let repair = if now == set {
        std::fs::write(LIMIT, old.to_string())
            .map_err(LabError::system(format!("setting nf_conntrack_max back to {old}")))?;
        Repair::Restored(old)
    } else if now == old {
        // Killed between journal and change.
        Repair::NothingToDo
    } else {
        Repair::ChangedByOthers(now)
    };
    rewrite(journal, "").map_err(LabError::system(format!("emptying {JOURNAL}")))?;
    Ok(repair)
}

/// The old and the new limit of a journal written since this boot. A journal of an earlier boot says
/// nothing about today's limit.
fn unfinished(text: &str, boot: &str) -> Option<(Entries, Entries)> {
    let mut words = text.split_whitespace();
    if words.next()? != boot {
        return None;
    }
    let old = words.next()?.parse().ok()?;
    let set = words.next()?.parse().ok()?;
    Some((Entries(old), Entries(set)))
}

fn rewrite(file: &mut File, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())
}

fn boot_id() -> Result<String, LabError> {
    let text =
        std::fs::read_to_string(BOOT).map_err(LabError::system(format!("reading {BOOT}")))?;
    Ok(text.trim().to_owned())
}

fn read_number(path: &str) -> Result<u64, LabError> {
    let text =
        std::fs::read_to_string(path).map_err(LabError::system(format!("reading {path}")))?;
    text.trim()
        .parse()
        .map_err(|_| LabError::Unexpected { file: path.to_owned(), saw: text.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_of_this_boot_tells_both_values() {
        let both = Some((Entries(262_144), Entries(20_000)));
        assert_eq!(unfinished("b00t 262144 20000\n", "b00t"), both);
    }

    #[test]
    fn a_journal_of_another_boot_or_cut_short_tells_nothing() {
        assert_eq!(unfinished("b00t 262144 20000\n", "another"), None);
        assert_eq!(unfinished("b00t 262144", "b00t"), None);
        assert_eq!(unfinished("", "b00t"), None);
    }
}
