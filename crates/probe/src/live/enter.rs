//! Visiting network namespaces: in a thread of its own, so that the caller never leaves its own.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use plimsoll_diagnosis::facts::{Gap, Reason};
use plimsoll_diagnosis::{Said, said};
use rustix::thread::{LinkNameSpaceType, gettid, move_into_link_name_space};

use super::discover::Found;
use super::text;

/// What happened at a namespace's door.
pub(crate) enum Visit<T> {
    /// It was read, from inside or through a window.
    Read(T),
    /// It exists, may not be entered, and has no window.
    Refused(Gap),
    /// It is gone.
    Gone,
}

/// Where the thread that visits finds the files of its namespace.
///
/// `/proc/net` and `/proc/self/net` are the main thread's; `/proc/sys/net` is that of whoever asks.
#[derive(Debug, Clone)]
pub(crate) struct Here {
    /// `/proc/thread-self/net`, or the same by number on kernels before 3.17; from outside, `/proc/PID/net`.
    pub net: String,
    /// Why the namespace could not be entered: then the thread is in another one, and only `net` is this one's.
    pub outside: Option<Gap>,
}

/// Visits namespaces in turn and calls `read` inside, with the place of each in the list. Answers stand in
/// the order of the questions.
pub(crate) fn each<T: Send>(
    namespaces: &[&Found],
    mut read: impl FnMut(&Here, usize) -> T + Send,
) -> Vec<Visit<T>> {
    let visits = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("namespaces".into());
        let worker = thread.spawn_scoped(scope, || {
            let mut visitor = Visitor::new();
            let visit = |(index, found): (usize, &&Found)| match visitor.enter(found) {
                Ok(()) => Visit::Read(read(&visitor.here(found), index)),
                Err(None) => Visit::Gone,
                Err(Some(gap)) => match found.windows().find(|window| is_open(window)) {
                    Some(net) => Visit::Read(read(&Here { net, outside: Some(gap) }, index)),
                    None => Visit::Refused(gap),
                },
            };
            namespaces.iter().enumerate().map(visit).collect()
        });
        worker.map(|worker| worker.join().map_err(|_| io::Error::other("the reader stopped")))
    });
    let gap = |error| Gap { reason: Reason::Failed, detail: text::plain(&error), needs: None };
    match visits {
        Ok(Ok(visits)) => visits,
        Ok(Err(stopped)) => {
            let gap = gap(stopped);
            namespaces.iter().map(|_| Visit::Refused(gap.clone())).collect()
        }
        // No thread can be started any more. The one that is here may look around, and enter nothing.
        Err(error) => {
            let (gap, visitor) = (gap(error), Visitor::new());
            let visit = |(index, found): (usize, &&Found)| match found.own {
                true => Visit::Read(read(&visitor.here(found), index)),
                false => Visit::Refused(gap.clone()),
            };
            namespaces.iter().enumerate().map(visit).collect()
        }
    }
}

/// Whether a window shows anything.
fn is_open(window: &str) -> bool {
    std::path::Path::new(&format!("{window}/dev")).exists()
}

/// The file is gone, or the process behind it is.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

struct Visitor {
    /// Inode of the namespace the thread is in.
    inode: Option<u64>,
    /// It is still in the namespace of the process.
    at_home: bool,
    /// The thread's own directory, if /proc shows this process at all: that of another process namespace does not.
    base: Option<String>,
}

impl Visitor {
    fn new() -> Self {
        let by_number = format!("/proc/self/task/{}", gettid().as_raw_nonzero());
        let base = ["/proc/thread-self".to_owned(), by_number]
            .into_iter()
            .map(|base| format!("{base}/net"))
            .find(|net| is_open(net));
        // All threads start in the process's namespace, so the process's link serves where the thread's own
        // can't be read.
        let inode = std::fs::metadata("/proc/self/ns/net").ok().map(|m| m.ino());
        Self { inode, at_home: true, base }
    }

    /// Where the files of the namespace are that the thread is in.
    fn here(&self, found: &Found) -> Here {
        let net = self.base.clone().or_else(|| found.windows().find(|window| is_open(window)));
        Here { net: net.unwrap_or_else(|| "/proc/thread-self/net".into()), outside: None }
    }

    /// `Err(None)`: no door leads there any more.
    fn enter(&mut self, found: &Found) -> Result<(), Option<Gap>> {
        if found.own && self.at_home || found.inode.is_some() && self.inode == found.inode {
            return Ok(());
        }
        let mut refused = None;
        for door in found.doors() {
            match self.through(&door, found.inode) {
                Ok(true) => {
                    self.inode = found.inode;
                    self.at_home = false;
                    return Ok(());
                }
                // Another namespace by now: the process id or the name was given anew.
                Ok(false) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => refused = Some((door, error)),
            }
        }
        Err(refused.map(|(door, error)| refusal(&door, &error)))
    }

    fn through(&self, door: &Path, inode: Option<u64>) -> io::Result<bool> {
        let file = File::open(door)?;
        if inode != Some(file.metadata()?.ino()) {
            return Ok(false);
        }
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(true)
    }
}

/// Why a door stays shut, and the right that would open it, if one would.
fn refusal(door: &Path, error: &io::Error) -> Gap {
    let right = Said::of(
        "CAP_SYS_ADMIN and CAP_SYS_PTRACE (root)",
        "CAP_SYS_ADMIN 和 CAP_SYS_PTRACE（root）",
    );
    let (reason, why, needs) = match error.kind() {
        io::ErrorKind::PermissionDenied => (Reason::NotPermitted, text::plain(error), Some(right)),
        io::ErrorKind::Unsupported => {
            (Reason::TooOld, said!("setns(2) came with Linux 3.0", "Linux 3.0 才有 setns(2)"), None)
        }
        _ => (Reason::Failed, text::plain(error), None),
    };
    let detail = said!("entering {}: {why}", "进入 {}：{why:#}", door.display());
    Gap { reason, detail, needs }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn a_right_is_named_only_where_it_would_help() {
        let shut = |errno: i32| refusal(Path::new("/door"), &io::Error::from_raw_os_error(errno));
        let forbidden = shut(Errno::PERM.raw_os_error());
        assert_eq!(forbidden.reason, Reason::NotPermitted);
        assert!(forbidden.needs.is_some_and(|right| right.contains("CAP_SYS_ADMIN")));
        let old = shut(Errno::NOSYS.raw_os_error());
        assert_eq!((old.reason, old.needs), (Reason::TooOld, None));
        assert!(old.detail.contains("Linux 3.0"), "{}", old.detail);
    }
}
