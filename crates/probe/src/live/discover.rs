//! Every network namespace that a process is in or that a mount keeps alive.
//!
//! Not found: one that only an open descriptor or a socket keeps. Cost: one `readlink` for each process.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plimsoll_diagnosis::facts::{Fact, Reason};
use plimsoll_diagnosis::said;
use plimsoll_wire::mountinfo;

use super::text;

/// Inode of the initial namespace where it is fixed (6.18 and later).
pub(super) const FIXED_INITIAL: u64 = 0xEFFF_FFF9;
/// Processes remembered of each namespace: to enter it, and to ask for its owner.
const PROCESSES: usize = 8;
/// Time for the mounts of other mount namespaces; a host with many private copies of a long list of mounts
/// holds the same namespaces in each.
const MOUNTS_BUDGET: Duration = Duration::from_millis(20);
/// Directories in which programs keep namespaces by name.
pub(super) const NAMED: &[&str] =
    &["/run/netns", "/var/run/netns", "/run/docker/netns", "/var/run/docker/netns"];

/// One namespace and the ways to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// `None`: only seen from outside, through /proc/PID/net.
    pub inode: Option<u64>,
    /// The lowest process ids in it.
    pub pids: Vec<u32>,
    /// Files that stand for it: `/run/netns/blue`.
    pub files: Vec<PathBuf>,
    pub initial: bool,
    /// The reader is in it: no door is needed.
    pub own: bool,
}

impl Found {
    /// Files whose opening leads into it, the most lasting first.
    pub fn doors(&self) -> impl Iterator<Item = PathBuf> {
        let processes = self.pids.iter().map(|pid| PathBuf::from(format!("/proc/{pid}/ns/net")));
        self.files.iter().cloned().chain(processes)
    }

    /// Directories that show a part of it to anybody, without entering.
    pub fn windows(&self) -> impl Iterator<Item = String> {
        self.pids.iter().map(|pid| format!("/proc/{pid}/net"))
    }
}

/// All that were found.
#[derive(Debug)]
pub(super) struct Discovery {
    /// The initial one first, then by inode.
    pub namespaces: Vec<Found>,
    /// Whether these are all.
    pub complete: Fact<()>,
}

/// Looks for all of them.
pub(super) fn discover() -> Discovery {
    let mut search = Search::default();
    let own = fs::metadata("/proc/self/ns/net").ok();
    search.device = own.as_ref().map(MetadataExt::dev);
    search.own = own.map(|own| own.ino());
    search.processes();
    for directory in NAMED {
        search.directory(Path::new(directory));
    }
    search.mounts();
    // The reader's own is there, even where /proc shows no process at all, not even the reader.
    let own = match search.own {
        Some(own) => search.at(own),
        None => search.outside.entry(u64::MAX).or_default(),
    };
    own.own = true;
    search.sort_refused();
    search.mark_initial();
    let complete = search.completeness();
    let mut namespaces: Vec<Found> =
        search.found.into_values().chain(search.outside.into_values()).collect();
    namespaces.sort_by_key(|n| (!n.initial, n.inode.is_none(), n.inode));
    Discovery { namespaces, complete }
}

#[derive(Default)]
struct Search {
    found: BTreeMap<u64, Found>,
    /// Namespaces whose inode may not be read, by the key of their window.
    outside: BTreeMap<u64, Found>,
    own: Option<u64>,
    /// Device of namespace files: a name under /run/netns that is no mount is on another one.
    device: Option<u64>,
    processes: usize,
    /// Processes whose link may not be read.
    refused: Vec<u32>,
    /// Those of them that show no window either.
    unseen: usize,
    /// A process of each mount namespace, by the text of its link.
    mount_namespaces: BTreeMap<String, u32>,
    mounts_skipped: usize,
    no_proc: bool,
}

impl Search {
    fn at(&mut self, inode: u64) -> &mut Found {
        self.found.entry(inode).or_insert_with(|| Found { inode: Some(inode), ..Found::default() })
    }

    fn processes(&mut self) {
        let Ok(entries) = fs::read_dir("/proc") else {
            self.no_proc = true;
            return;
        };
        let mut pids: Vec<u32> =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        pids.sort_unstable();
        self.no_proc = pids.is_empty();
        for pid in pids {
            match fs::read_link(format!("/proc/{pid}/ns/net")) {
                Ok(link) => {
                    self.processes += 1;
                    let Some(inode) = link_inode(&link) else { continue };
                    remember(&mut self.at(inode).pids, pid);
                    if let Ok(mounts) = fs::read_link(format!("/proc/{pid}/ns/mnt")) {
                        let mounts = mounts.to_string_lossy().into_owned();
                        self.mount_namespaces.entry(mounts).or_insert(pid);
                    }
                }
                Err(error) if error.kind() == ErrorKind::PermissionDenied => self.refused.push(pid),
                // It ended meanwhile, or it is a zombie.
                Err(_) => {}
            }
        }
    }

    /// Sorts the processes whose link may not be read into namespaces by their windows: /proc/PID/net is
    /// open to all, and its files have inodes of their own in each namespace.
    fn sort_refused(&mut self) {
        if self.refused.is_empty() {
            return;
        }
        let mut known: BTreeMap<u64, u64> = BTreeMap::new();
        for (inode, found) in &self.found {
            let mut windows = found.windows();
            let own = (Some(*inode) == self.own).then(|| "/proc/self/net".to_owned());
            if let Some(key) = own.or_else(|| windows.next()).and_then(|w| window_key(&w)) {
                known.insert(key, *inode);
            }
        }
        for pid in std::mem::take(&mut self.refused) {
            self.processes += 1;
            let Some(key) = window_key(&format!("/proc/{pid}/net")) else {
                // Gone meanwhile, or hidden.
                self.unseen += usize::from(Path::new(&format!("/proc/{pid}")).exists());
                continue;
            };
            let found = match known.get(&key) {
                Some(inode) => self.at(*inode),
                None => self.outside.entry(key).or_default(),
            };
            remember(&mut found.pids, pid);
        }
    }

    fn directory(&mut self, directory: &Path) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten() {
            self.file(&entry.path(), None);
        }
    }

    /// A file that may stand for a namespace; `inode`: what it must be.
    fn file(&mut self, path: &Path, inode: Option<u64>) {
        let Ok(metadata) = fs::metadata(path) else { return };
        if Some(metadata.dev()) != self.device || inode.is_some_and(|i| i != metadata.ino()) {
            return;
        }
        let known = &mut self.at(metadata.ino()).files;
        let name = path.file_name();
        // /var/run is /run: one name is enough.
        if known.len() < PROCESSES
            && !known.iter().any(|file| file.file_name() == name && named(file))
        {
            known.push(path.to_owned());
        }
    }

    fn mounts(&mut self) {
        for mount in mounts_of("/proc/self/mountinfo") {
            self.file(Path::new(&mount.point), Some(mount.inode));
        }
        let own = fs::read_link("/proc/self/ns/mnt").unwrap_or_default();
        let start = Instant::now();
        let others = std::mem::take(&mut self.mount_namespaces);
        for (link, pid) in others {
            if Path::new(&link) == own {
                continue;
            }
            if start.elapsed() > MOUNTS_BUDGET {
                self.mounts_skipped += 1;
                continue;
            }
            for mount in mounts_of(&format!("/proc/{pid}/mountinfo")) {
                let path = format!("/proc/{pid}/root{}", mount.point);
                self.file(Path::new(&path), Some(mount.inode));
            }
        }
    }

    /// Marks the host's own namespace, if it can be told for certain.
    ///
    /// Kernel threads never leave it, and the second process of a host is `kthreadd`; in a container's own
    /// process namespace there is no such process. Else the fixed inode tells (6.18 and later), or a file
    /// that stands in the initial namespace only.
    fn mark_initial(&mut self) {
        let host = shows_the_host();
        let in_initial = has_files_of_the_initial();
        let all = || self.found.values().chain(self.outside.values());
        let of_kernel = |found: &Found| host && found.pids.contains(&2);
        let fixed = |found: &Found| found.inode == Some(FIXED_INITIAL);
        let with_files = |found: &Found| found.own && in_initial;
        let test: &dyn Fn(&Found) -> bool = if all().any(of_kernel) {
            &of_kernel
        } else if all().any(fixed) {
            &fixed
        } else {
            &with_files
        };
        for found in self.found.values_mut().chain(self.outside.values_mut()) {
            found.initial = test(found);
        }
    }

    fn completeness(&self) -> Fact<()> {
        if self.no_proc {
            return Fact::missing(
                Reason::Failed,
                said!("/proc: no processes are shown there", "/proc：那里看不到进程"),
            );
        }
        if !shows_the_host() {
            let detail = said!(
                "/proc shows the processes of one container, or only the reader's own (hidepid)",
                "/proc 只显示一个容器的进程，或者只显示读者自己的（hidepid）"
            );
            return Fact::missing_needs(
                Reason::NotPermitted,
                detail,
                said!("the host's process namespace, and root", "主机的进程命名空间，以及 root"),
            );
        }
        let seen = self.outside.values().filter(|found| !found.own).count();
        if self.unseen > 0 || seen > 0 {
            let detail = match self.unseen {
                0 => said!(
                    "/proc/PID/ns/net: permission denied; {seen} seen from outside only",
                    "/proc/PID/ns/net：权限不够；有 {seen} 个只从外面看到"
                ),
                1 => said!(
                    "/proc/PID/ns/net: permission denied for 1 process",
                    "/proc/PID/ns/net：1 个进程权限不够"
                ),
                n => said!(
                    "/proc/PID/ns/net: permission denied for {n} processes",
                    "/proc/PID/ns/net：{n} 个进程权限不够"
                ),
            };
            return Fact::missing_needs(Reason::NotPermitted, detail, text::PTRACE);
        }
        if self.mounts_skipped > 0 {
            let detail = said!(
                "mounts of {} mount namespaces were not searched",
                "{} 个挂载命名空间的挂载没有查",
                self.mounts_skipped
            );
            return Fact::missing(Reason::Failed, detail);
        }
        Fact::known(
            (),
            said!(
                "/proc/PID/ns/net of {} processes, and mounts",
                "{} 个进程的 /proc/PID/ns/net，以及挂载",
                self.processes
            ),
        )
    }
}

fn mounts_of(path: &str) -> Vec<mountinfo::NamespaceMount> {
    text::read(path).map(|text| mountinfo::net_namespaces(&text)).unwrap_or_default()
}

/// Whether /proc shows the host's processes: the second of them is the parent of kernel threads.
fn shows_the_host() -> bool {
    fs::read_to_string("/proc/2/comm").is_ok_and(|comm| comm.trim() == "kthreadd")
}

/// Whether the reader's own namespace holds what only the initial one does. The alias of the limit comes with
/// conntrack; the backlog is there always: writable in the initial namespace, and in another absent (3.5 and
/// later) or read-only.
pub(super) fn has_files_of_the_initial() -> bool {
    let writable = |file: fs::Metadata| file.permissions().mode() & 0o200 != 0;
    Path::new("/proc/sys/net/nf_conntrack_max").exists()
        || fs::metadata("/proc/sys/net/core/netdev_max_backlog").is_ok_and(writable)
}

fn remember(pids: &mut Vec<u32>, pid: u32) {
    if pids.len() < PROCESSES {
        pids.push(pid);
    }
}

/// What tells the windows of two namespaces apart: the inode of a file that every namespace has.
fn window_key(window: &str) -> Option<u64> {
    fs::metadata(format!("{window}/dev")).ok().map(|file| file.ino())
}

/// Whether a file is in one of the directories of names.
pub(super) fn named(file: &Path) -> bool {
    file.parent().and_then(Path::to_str).is_some_and(|parent| NAMED.contains(&parent))
}

/// `net:[4026531833]`
fn link_inode(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}
