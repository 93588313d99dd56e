//! The host's limit: the one thing of a lab that reaches beyond it.
//!
//! Kernel: `nf_conntrack_max` is one value for all network namespaces (to 7.1 at least), so whoever
//! changes it changes it for the host, for every container and for every other lab. Therefore: a lab that
//! changes it runs alone (the limit's own file is the lock: shared by those who rely on the limit, held
//! alone by the one who changes it); it does so only when no namespace would be hurt; and the old value
//! comes back whatever happens: by us, by our guard if we are killed, by the next lab from the journal if
//! the guard was killed too. A value that somebody else set in the meantime is theirs and stays.

use crate::attempt::{Attempt, attempt};
use crate::guard::Guard;
use crate::{Harm, LabError, neighbours};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use plimsoll_ct::{Buckets, Entries};
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LIMIT: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
const BUCKETS: &str = "/proc/sys/net/netfilter/nf_conntrack_buckets";
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// There while the limit is changed: `boot-id old new`.
const JOURNAL: &str = "/run/plimsoll-lab.limit";

/// `$1` limit file, `$2` old value, `$3` the value we set, `$4` journal.
const UNDO: &str = "if [ \"$(cat \"$1\")\" = \"$3\" ]; then echo \"$2\" >\"$1\" || exit 1; fi\n\
                    rm -f \"$4\"\n";

/// The limit for the time of a lab. If it was changed, the old one comes back when this is dropped.
#[derive(Debug)]
pub struct HostLimit {
    was: Entries,
    set: Option<Entries>,
    guard: Option<Arc<Guard>>,
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
    /// The limit in force now.
    pub fn current() -> Result<Entries, LabError> {
        if !Path::new(LIMIT).exists() {
            return Err(LabError::NoConntrack);
        }
        read_number(LIMIT).map(Entries)
    }

    /// Changes the limit of the whole machine, or, without a limit, makes sure that no lab changes it.
    /// Waits for other labs, at most for `patience`.
    ///
    /// Refused: 0 (it would mean no limit at all, and newer kernels reject it), a limit below what any
    /// namespace holds now (that namespace would drop packets), and more than eight entries per bucket
    /// (packets would then be lost for another reason, long chains).
    pub fn claim(limit: Option<Entries>, patience: Duration) -> Result<Self, LabError> {
        if let Some(limit) = limit {
            sensible(limit)?;
        }
        let lock = acquire(limit.is_some(), patience)?;
        let claimed = Self { was: Self::current()?, set: None, guard: None, _lock: lock };
        match limit {
            Some(limit) => claimed.change(limit),
            None => Ok(claimed),
        }
    }

    fn change(mut self, limit: Entries) -> Result<Self, LabError> {
        if limit < self.was
            && let Some((namespace, count)) = neighbours::fullest()?
            && count.get() > limit.get() / 10 * 9
        {
            return Err(LabError::LimitRefused { limit, harm: Harm::Loss { namespace, count } });
        }
        // Order matters: first the guard, then the journal, then the change. Dying between any two of
        // them leaves nothing that the next step back would not undo.
        let held = self
            ._lock
            .try_clone()
            .map_err(LabError::system(attempt!("holding {LIMIT}", "保持打开 {LIMIT}")))?;
        let values = [LIMIT, &self.was.to_string(), &limit.to_string(), JOURNAL];
        self.guard = Some(Guard::post(UNDO, &values, Some(held))?);
        let journal = format!("{} {} {limit}\n", boot_id()?, self.was);
        std::fs::write(JOURNAL, journal)
            .map_err(LabError::system(attempt!("writing {JOURNAL}", "写入 {JOURNAL}")))?;
        std::fs::write(LIMIT, limit.to_string())
            .map_err(LabError::system(Attempt::set_limit(limit)))?;
        self.set = Some(limit);
        Ok(self)
    }

    /// The limit before.
    pub fn was(&self) -> Entries {
        self.was
    }

    /// The limit that was set, if it was changed.
    pub fn set(&self) -> Option<Entries> {
        self.set
    }

    /// The limit that the lab works with.
    pub fn get(&self) -> Entries {
        self.set.unwrap_or(self.was)
    }

    /// Brings the old limit back now; the second call does nothing.
    pub(crate) fn restore(&self) -> Result<(), LabError> {
        self.guard.as_ref().map_or(Ok(()), |guard| guard.dismiss())
    }

    /// Repairs what a lab left behind that was killed together with its guard. Every new lab does so too.
    pub fn repair(patience: Duration) -> Result<Repair, LabError> {
        if !Path::new(JOURNAL).exists() {
            return Ok(Repair::NothingToDo);
        }
        let _lock = lock_file(FlockArg::LockExclusiveNonblock, patience)?;
        repair_locked()
    }
}

impl Drop for HostLimit {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            error.tell();
        }
    }
}

fn sensible(limit: Entries) -> Result<(), LabError> {
    let refused = |harm| Err(LabError::LimitRefused { limit, harm });
    if limit == Entries(0) {
        return refused(Harm::Unlimited);
    }
    let buckets = Buckets(read_number(BUCKETS)?);
    if limit.get() / buckets.get().max(1) > 8 {
        return refused(Harm::LongChains { buckets });
    }
    Ok(())
}

/// Locks the limit's own file, alone or with others; on the way repairs what a killed lab left.
fn acquire(alone: bool, patience: Duration) -> Result<Flock<File>, LabError> {
    let lock = match lock_file(FlockArg::LockExclusiveNonblock, Duration::ZERO) {
        Err(LabError::LimitBusy) if alone => lock_file(FlockArg::LockExclusiveNonblock, patience)?,
        // Whoever shares the lock has repaired before.
        Err(LabError::LimitBusy) => return lock_file(FlockArg::LockSharedNonblock, patience),
        other => other?,
    };
    repair_locked()?;
    if !alone {
        lock.relock(FlockArg::LockShared).map_err(LabError::errno(Attempt::lock(LIMIT)))?;
    }
    Ok(lock)
}

fn lock_file(how: FlockArg, patience: Duration) -> Result<Flock<File>, LabError> {
    let started = Instant::now();
    let mut file = File::open(LIMIT).map_err(LabError::system(Attempt::open(LIMIT)))?;
    loop {
        match Flock::lock(file, how) {
            Ok(lock) => return Ok(lock),
            Err((back, Errno::EWOULDBLOCK)) if started.elapsed() < patience => {
                file = back;
                std::thread::sleep(Duration::from_millis(20));
            }
            Err((_, Errno::EWOULDBLOCK)) => return Err(LabError::LimitBusy),
            Err((_, errno)) => return Err(LabError::errno(Attempt::lock(LIMIT))(errno)),
        }
    }
}

/// Undoes what the journal speaks of, and removes it. Only for whoever holds the lock alone.
fn repair_locked() -> Result<Repair, LabError> {
    let text = match std::fs::read(JOURNAL) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Repair::NothingToDo),
        Err(e) => return Err(LabError::system(Attempt::read(JOURNAL))(e)),
    };
    let repair = match unfinished(&text, &boot_id()?) {
        // Of an earlier boot, or cut short and so never followed by a change.
        None => Repair::NothingToDo,
        Some((old, set)) => match HostLimit::current()? {
            now if now == set => {
                std::fs::write(LIMIT, old.to_string())
                    .map_err(LabError::system(Attempt::set_limit(old)))?;
                Repair::Restored(old)
            }
            now if now == old => Repair::NothingToDo,
            now => Repair::ChangedByOthers(now),
        },
    };
    std::fs::remove_file(JOURNAL)
        .map_err(LabError::system(attempt!("removing {JOURNAL}", "删除 {JOURNAL}")))?;
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

fn boot_id() -> Result<String, LabError> {
    let text = std::fs::read_to_string(BOOT).map_err(LabError::system(Attempt::read(BOOT)))?;
    Ok(text.trim().to_owned())
}

fn read_number(path: &str) -> Result<u64, LabError> {
    let text = std::fs::read_to_string(path).map_err(LabError::system(Attempt::read(path)))?;
    text.trim()
        .parse()
        .map_err(|_| LabError::Unexpected { file: path.to_owned(), saw: text.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Lets a guard undo on a file that stands for the limit; returns what is in it then.
    fn undone(name: &str, now: &str) -> String {
        let dir = std::env::temp_dir();
        let file = dir.join(format!("plimsoll-lab-test-{}-{name}", std::process::id()));
        let journal = file.with_extension("journal");
        std::fs::write(&file, now).unwrap();
        std::fs::write(&journal, "").unwrap();
        let arguments = [file.to_str().unwrap(), "262144", "20000", journal.to_str().unwrap()];
        Guard::post(UNDO, &arguments, None).unwrap().dismiss().unwrap();
        assert!(!journal.exists());
        let after = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        after.trim().to_owned()
    }

    #[test]
    fn the_guard_brings_back_the_old_limit() {
        assert_eq!(undone("ours", "20000\n"), "262144");
    }

    #[test]
    fn the_guard_leaves_a_limit_that_somebody_else_set() {
        assert_eq!(undone("theirs", "33000\n"), "33000");
    }

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
