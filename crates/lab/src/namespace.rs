//! A network namespace with a name, and code that runs inside it.

use crate::LabError;
use crate::attempt::{Attempt, attempt};
use crate::command::Step;
use crate::reading::Reading;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where `ip netns` keeps the named namespaces.
pub(crate) const DIRECTORY: &str = "/run/netns";

/// A named network namespace. Cloning it clones the handle; dropping it removes nothing.
#[derive(Debug, Clone)]
pub struct Namespace {
    name: String,
    inode: u64,
    file: Arc<File>,
}

impl Namespace {
    /// Makes a new one under /run/netns, as `ip netns add` does, since `ip` does it.
    pub(crate) fn create(name: &str) -> Result<Self, LabError> {
        Step::new("ip", &format!("netns add {name}")).run(None)?;
        Self::open(name)
    }

    /// Opens one that is there.
    pub fn open(name: &str) -> Result<Self, LabError> {
        let path = path_of(name);
        let failed = || LabError::system(Attempt::open(path.display()));
        let file = File::open(&path).map_err(failed())?;
        let inode = file.metadata().map_err(failed())?.ino();
        Ok(Self { name: name.to_owned(), inode, file: Arc::new(file) })
    }

    /// Its name in /run/netns.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its inode: the number that the kernel's log and `readlink /proc/PID/ns/net` show.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Runs `work` on a thread of its own inside the namespace and waits for it. A panic goes on here.
    ///
    /// Programs started from `work` are in the namespace too. `/proc/net` is not (it follows the process,
    /// not the thread): read `/proc/thread-self/net`.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        let result =
            std::thread::scope(|scope| scope.spawn(|| self.enter().map(|()| work())).join());
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Moves the calling thread for good; only for threads that are ours.
    pub(crate) fn enter(&self) -> Result<(), LabError> {
        setns(&*self.file, CloneFlags::CLONE_NEWNET).map_err(LabError::errno(attempt!(
            "entering the namespace {}",
            "进入命名空间 {}",
            self.name
        )))
    }

    /// The value of a setting of this namespace, named as in `net.netfilter.nf_conntrack_count`.
    pub fn setting(&self, name: &str) -> Result<String, LabError> {
        let path = sysctl_path(name);
        let text = self.run(|| std::fs::read_to_string(&path))?;
        Ok(text.map_err(LabError::system(Attempt::read(path.display())))?.trim().to_owned())
    }

    /// Changes a setting of this namespace.
    pub fn set(&self, name: &str, value: impl ToString) -> Result<(), LabError> {
        let path = sysctl_path(name);
        let value = value.to_string();
        let doing = attempt!(
            "setting {name} = {value} in {}",
            "把 {name} 设为 {value}，在 {} 里",
            self.name
        );
        self.run(|| std::fs::write(&path, &value))?.map_err(LabError::system(doing))
    }

    /// Entries in its table now.
    pub fn count(&self) -> Result<u64, LabError> {
        let name = "net.netfilter.nf_conntrack_count";
        let saw = self.setting(name)?;
        saw.parse().map_err(|_| LabError::Unexpected { file: name.to_owned(), saw })
    }

    /// Count and per-CPU statistics of its table.
    pub fn reading(&self) -> Result<Reading, LabError> {
        let text = self.run(|| std::fs::read(crate::reading::FILE))?;
        Reading::parse(&text.map_err(LabError::system(Attempt::read(crate::reading::FILE)))?)
    }
}

pub(crate) fn path_of(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// Names of all named namespaces; none when the directory does not exist.
pub(crate) fn names() -> Result<Vec<String>, LabError> {
    match std::fs::read_dir(DIRECTORY) {
        Ok(entries) => {
            Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(LabError::system(Attempt::list(DIRECTORY))(e)),
    }
}

fn sysctl_path(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name.replace('.', "/"))
}
