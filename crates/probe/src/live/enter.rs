//! Visiting network namespaces: in a thread of its own, so that the caller never leaves its own.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use plimsoll_diagnosis::facts::{Gap, Reason};
use rustix::thread::{LinkNameSpaceType, gettid, move_into_link_name_space};

use super::discover::Found;
use super::text;

/// What happened at a namespace's door.
pub(super) enum Visit<T> {
    /// It was entered and read.
    Read(T),
    /// It exists and may not be entered.
    Refused(Gap),
    /// It is gone.
    Gone,
}

/// Where the thread that visits finds the files of its namespace.
///
/// `/proc/net` and `/proc/self/net` are the main thread's; `/proc/sys/net` is that of whoever asks.
#[derive(Debug, Clone)]
pub(super) struct Here {
    /// `/proc/thread-self/net`, or the same by number on kernels before 3.17.
    pub net: String,
}

/// Visits each namespace in turn and calls `read` inside. Answers stand in the order of the questions.
pub(super) fn each<K: Sync, T: Send>(
    namespaces: &[(&Found, K)],
    read: impl Fn(&Here, &Found, &K) -> T + Sync,
) -> Vec<Visit<T>> {
    let visits = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("namespaces".into());
        let worker = thread.spawn_scoped(scope, || {
            let mut visitor = Visitor::new();
            namespaces
                .iter()
                .map(|(found, key)| match visitor.enter(found) {
                    Ok(()) => Visit::Read(read(&visitor.here, found, key)),
                    Err(None) => Visit::Gone,
                    Err(Some(gap)) => Visit::Refused(gap),
                })
                .collect()
        });
        worker.and_then(|worker| worker.join().map_err(|_| io::Error::other("the reader stopped")))
    });
    visits.unwrap_or_else(|error| {
        let gap = Gap { reason: Reason::Failed, detail: text::plain(&error), needs: None };
        namespaces.iter().map(|_| Visit::Refused(gap.clone())).collect()
    })
}

/// The file is gone, or the process behind it is.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

struct Visitor {
    /// Inode of the namespace the thread is in.
    inode: Option<u64>,
    here: Here,
}

impl Visitor {
    fn new() -> Self {
        let thread = "/proc/thread-self";
        let base = if std::path::Path::new(thread).exists() {
            thread.to_owned()
        } else {
            format!("/proc/self/task/{}", gettid().as_raw_nonzero())
        };
        // All threads start in the process's namespace, so the process's link serves where the thread's own
        // can't be read.
        let inode = std::fs::metadata("/proc/self/ns/net").ok().map(|m| m.ino());
        Self { inode, here: Here { net: format!("{base}/net") } }
    }

    /// `Err(None)`: no door leads there any more.
    fn enter(&mut self, found: &Found) -> Result<(), Option<Gap>> {
        if self.inode == Some(found.inode) {
            return Ok(());
        }
        let mut refused = None;
        for door in found.doors() {
            match self.through(&door, found.inode) {
                Ok(true) => {
                    self.inode = Some(found.inode);
                    return Ok(());
                }
                // Another namespace by now: the process id or the name was given anew.
                Ok(false) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => refused = Some((door, error)),
            }
        }
        Err(refused.map(|(door, error)| Gap {
            reason: match error.kind() {
                io::ErrorKind::PermissionDenied => Reason::NotPermitted,
                _ => Reason::Failed,
            },
            detail: format!("entering {}: {}", door.display(), text::plain(&error)),
            needs: Some("CAP_SYS_ADMIN and CAP_SYS_PTRACE (root)".into()),
        }))
    }

    fn through(&self, door: &std::path::Path, inode: u64) -> io::Result<bool> {
        let file = File::open(door)?;
        if file.metadata()?.ino() != inode {
            return Ok(false);
        }
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(true)
    }
}
