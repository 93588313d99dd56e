//! The network namespace that a plan goes to, held open so that it can't be another one later.

use std::collections::BTreeSet;
use std::fs::{DirEntry, File, metadata, read_link};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use plimsoll_diagnosis::plan::Target;
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::mountinfo;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::cookie;
use crate::error::plain;

/// That of this process.
const OWN: &str = "/proc/self/ns/net";

/// What the machine's own namespace is called.
pub(crate) const HOST: Said = Said::of("host", "主机");

/// An open namespace.
#[derive(Debug)]
pub(crate) enum Place {
    /// Where the calling thread is.
    Here,
    Open(File),
    /// It can't be entered, and may be gone: nothing is done there, for this reason.
    Shut(Said),
}

impl Place {
    /// Opens the target. `cookie`: what [`Place::cookie`] was when it was opened first. `Ok(None)`: it is gone.
    pub(crate) fn open(target: &Target, cookie: Option<u64>) -> io::Result<Option<Self>> {
        let own = metadata(OWN)?.ino();
        let Some(wanted) = target.inode else {
            return match &target.path {
                None => Ok(Some(Self::Here)),
                Some(path) => File::open(path).map(|file| Some(Self::Open(file))),
            };
        };
        if wanted == own {
            return Ok(Self::Here.is(cookie)?.then_some(Self::Here));
        }
        // Which one is named: a person can then find out why.
        let mut refused = None;
        for door in target.path.iter().map(PathBuf::from).chain(doors()) {
            match File::open(&door) {
                // Another namespace may have the name, and another process the number, by now.
                Ok(file) if file.metadata().is_ok_and(|m| m.ino() == wanted) => {
                    let place = Self::Open(file);
                    // Whoever has the number now; no two have it at once.
                    return Ok(place.is(cookie)?.then_some(place));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    let (door, why) = (door.display(), plain(&error));
                    let said = said!("{door}: {why}", "{door}：{why:#}");
                    refused.get_or_insert(io::Error::other(said));
                }
                Err(_) => {}
            }
        }
        refused.map_or(Ok(None), Err)
    }

    /// What no other namespace of this boot is called, whatever its inode. `Ok(None)`: the kernel knows no such (before 5.14).
    pub(crate) fn cookie(&self) -> io::Result<Option<u64>> {
        self.run(cookie::here)
    }

    fn is(&self, cookie: Option<u64>) -> io::Result<bool> {
        Ok(cookie.is_none() || self.cookie()? == cookie)
    }

    /// Every namespace that can be entered now, once, with what it is called. That of the caller is always among them.
    pub(crate) fn all() -> Vec<(Said, Self)> {
        let inode = |file: &File| file.metadata().map(|m| m.ino()).ok();
        let own = own_inode();
        let first = shows_the_host().then(|| PathBuf::from("/proc/1/ns/net"));
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        for door in first.into_iter().chain(doors()) {
            let Ok(file) = File::open(&door) else { continue };
            let Some(inode) = inode(&file).filter(|inode| seen.insert(*inode)) else { continue };
            let place = if own == Some(inode) { Self::Here } else { Self::Open(file) };
            all.push((called(&door), place));
        }
        if !own.is_some_and(|own| seen.contains(&own)) {
            all.push((Said::of("this namespace", "本命名空间"), Self::Here));
        }
        all
    }

    /// Runs `work` inside: on a thread of its own, unless we are there already.
    pub(crate) fn run<T: Send>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        let file = match self {
            Self::Here => return work(),
            Self::Open(file) => file,
            Self::Shut(why) => return Err(io::Error::other(why.clone())),
        };
        let result = std::thread::scope(|scope| {
            let inside = || {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
                work()
            };
            std::thread::Builder::new().spawn_scoped(scope, inside).map(|thread| thread.join())
        })?;
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Whether all processes can be seen, and with them the namespaces they are in: the second one of a host is the parent
/// of the kernel's threads; a container has none such.
pub(crate) fn shows_the_host() -> bool {
    std::fs::read_to_string("/proc/2/comm").is_ok_and(|comm| comm.trim() == "kthreadd")
}

/// That of the caller, by its number.
pub(crate) fn own_inode() -> Option<u64> {
    metadata(OWN).map(|m| m.ino()).ok()
}

/// What a namespace is called by one of its doors.
fn called(door: &Path) -> Said {
    let name = |path: &Path| path.to_string_lossy().into_owned();
    if let Ok(bare) = door.strip_prefix("/run/netns") {
        return Said::name(format!("ip netns {}", name(bare)));
    }
    let mut parts = door.strip_prefix("/proc").unwrap_or(door).components();
    let pid = parts.next().map(|pid| name(pid.as_ref())).unwrap_or_default();
    match parts.next().map(|part| part.as_os_str() == "root") {
        // Mounted somewhere: by what that place is called there.
        Some(true) => said!("namespace /{}", "命名空间 /{}", name(parts.as_path())),
        _ if pid == "1" && shows_the_host() => HOST,
        _ => {
            let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            Said::name(format!("pid {pid} ({})", comm.trim()))
        }
    }
}

/// Everything that a namespace may be entered by: names, processes, mounts.
fn doors() -> impl Iterator<Item = PathBuf> {
    let named = list("/run/netns").map(|entry| entry.path());
    named.chain(processes().map(|path| path.join("ns/net"))).chain(mounted())
}

fn list(path: &str) -> impl Iterator<Item = DirEntry> {
    std::fs::read_dir(path).into_iter().flatten().flatten()
}

/// /proc/PID of each.
fn processes() -> impl Iterator<Item = PathBuf> {
    let numbers = list("/proc").map(|entry| entry.path());
    numbers.filter(|path| {
        path.file_name().is_some_and(|n| n.as_encoded_bytes().iter().all(u8::is_ascii_digit))
    })
}

/// Files that a namespace is mounted on, in any mount namespace: container engines keep theirs so.
fn mounted() -> impl Iterator<Item = PathBuf> {
    let mut seen = BTreeSet::new();
    let one_each = processes()
        .filter(move |path| read_link(path.join("ns/mnt")).is_ok_and(|space| seen.insert(space)));
    one_each.flat_map(|path| {
        let text = std::fs::read_to_string(path.join("mountinfo")).unwrap_or_default();
        let mounts = mountinfo::net_namespaces(&text).into_iter();
        mounts.filter_map(move |mount| {
            let door = path.join("root").join(mount.point.trim_start_matches('/'));
            // Something else may be mounted over it.
            metadata(&door).is_ok_and(|m| m.ino() == mount.inode).then_some(door)
        })
    })
}
