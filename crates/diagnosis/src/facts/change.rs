//! A setting that changed while it was watched, and who did it.

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::Time;

/// What happened to a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingChange {
    /// When: when it was written, or when it was noticed.
    pub at: Time,
    /// Dotted key.
    pub key: String,
    /// Value before; `None`: there was no such key.
    pub from: Option<String>,
    /// Value after; `None`: the key is gone, with its module.
    pub to: Option<String>,
    /// The text that was written, where that was seen.
    pub asked: Option<String>,
    /// Who.
    pub by: ChangedBy,
}

/// Who changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangedBy {
    /// This process: the kernel named it.
    Process(Writer),
    /// Nobody was seen writing; these began to run shortly before.
    Candidates(Vec<Writer>),
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Writer {
    /// Its id in the reader's namespace.
    pub pid: u32,
    /// Its name, as the kernel cuts it (15 bytes).
    pub command: String,
    /// User id.
    pub uid: Option<u32>,
    /// Command line, if it still ran.
    pub line: Option<String>,
    /// Its parents, nearest first: id and name.
    pub parents: Vec<(u32, String)>,
    /// Its cgroup, which names the unit or the container.
    pub cgroup: Option<String>,
    /// Inode of the network namespace that it wrote in, where that is known.
    pub netns: Option<u64>,
    /// It wrote in another network namespace, so this namespace's value is not touched unless it is global.
    pub elsewhere: bool,
}
