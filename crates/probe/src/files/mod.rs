//! The files of a host, wherever they are: the running system, a saved tree, an archive in memory.
//!
//! Paths are absolute as the host sees them (`/etc/sysctl.conf`). Nothing read through here can leave the
//! tree: links are resolved inside it. Only regular files are opened: a device, a pipe or a socket
//! that lies where a file should be is an error, and is never touched.

mod beneath;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use plimsoll_ct::Time;
use rustix::fs::OFlags;

use crate::archive::Archive;

use plimsoll_diagnosis::Said;

/// Most names that a listing returns.
const NAMES: usize = 1 << 18;

/// Files of a host.
#[derive(Debug)]
pub enum Files {
    /// A directory that stands for the host's root; `/` for the running host.
    Directory(PathBuf),
    /// An archive, read into memory as far as it is of interest.
    Archive(Archive),
}

impl Files {
    /// The running host's own files.
    pub fn live() -> Self {
        Self::Directory(PathBuf::from("/"))
    }

    /// A directory tree saved of a host. An unpacked bundle keeps the host's files one level down
    /// (`sosreport-web1-2026/etc`): then that level is the root.
    pub fn tree(root: &Path) -> io::Result<Self> {
        if holds_a_host(root) {
            return Ok(Self::Directory(root.into()));
        }
        let mut inner = None;
        for entry in std::fs::read_dir(root)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() && holds_a_host(&entry.path()) {
                if inner.is_some() {
                    inner = None;
                    break;
                }
                inner = Some(entry.path());
            }
        }
        Ok(Self::Directory(inner.unwrap_or_else(|| root.into())))
    }

    /// Opens a regular file for reading.
    pub fn open(&self, path: &str) -> io::Result<Box<dyn Read>> {
        match self {
            Self::Directory(root) => Ok(Box::new(open_in(root, path)?)),
            Self::Archive(archive) => archive.open_kept(path),
        }
    }

    /// Opens a regular file that another program is to read. Members of an archive are no files.
    pub fn file(&self, path: &str) -> io::Result<File> {
        match self {
            Self::Directory(root) => open_in(root, path),
            Self::Archive(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Opens a regular file for reading its last `limit` bytes; the number tells how many before them
    /// are left out.
    pub fn open_end(&self, path: &str, limit: u64) -> io::Result<(Box<dyn Read>, u64)> {
        match self {
            Self::Directory(root) => {
                let mut file = open_in(root, path)?;
                let skipped = file.metadata()?.len().saturating_sub(limit);
                file.seek(SeekFrom::Start(skipped))?;
                Ok((Box::new(file), skipped))
            }
            Self::Archive(archive) => {
                let mut file = archive.open_kept(path)?;
                let skipped = archive.length(path)?.saturating_sub(limit);
                io::copy(&mut file.by_ref().take(skipped), &mut io::sink())?;
                Ok((file, skipped))
            }
        }
    }

    /// Reads a file, at most `limit` bytes of it.
    pub fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(path)?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a small file as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self, path: &str) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&self.read(path, 4 << 20)?).into_owned())
    }

    /// Names in a directory, sorted by bytes. Names that are not UTF-8 are left out.
    pub fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = match self {
            Self::Directory(root) if is_live(root) => std::fs::read_dir(host_path(path))?
                .take(NAMES)
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .collect(),
            Self::Directory(root) => beneath::list(root, path, NAMES)?,
            Self::Archive(archive) => archive.list(path, NAMES)?,
        };
        names.sort();
        Ok(names)
    }

    /// Whether the file or directory is there.
    pub fn exists(&self, path: &str) -> bool {
        match self {
            Self::Directory(root) if is_live(root) => host_path(path).exists(),
            Self::Directory(root) => beneath::find(root, path).is_ok(),
            Self::Archive(archive) => archive.exists(path),
        }
    }

    /// Whether a file's mode lets anybody run it.
    pub fn executable(&self, path: &str) -> Option<bool> {
        let metadata = match self {
            Self::Directory(root) if is_live(root) => std::fs::metadata(host_path(path)).ok()?,
            Self::Directory(root) => File::from(beneath::find(root, path).ok()?).metadata().ok()?,
            Self::Archive(archive) => return archive.executable(path),
        };
        Some(metadata.mode() & 0o111 != 0)
    }

    /// Text of a symbolic link itself, not followed (`/proc/812/ns/net` says `net:[4026531840]`).
    pub fn link(&self, path: &str) -> io::Result<String> {
        match self {
            Self::Directory(root) if is_live(root) => std::fs::read_link(host_path(path))?
                .into_os_string()
                .into_string()
                .map_err(|_| io::ErrorKind::InvalidData.into()),
            Self::Directory(root) => beneath::link(root, path),
            Self::Archive(archive) => archive.link(path),
        }
    }

    /// When a file was last changed, as far as the tree or archive kept that. Files under /proc have
    /// no such time of their own.
    pub fn modified(&self, path: &str) -> io::Result<Time> {
        match self {
            Self::Directory(root) => {
                let metadata = if is_live(root) {
                    std::fs::metadata(host_path(path))?
                } else {
                    File::from(beneath::find(root, path)?).metadata()?
                };
                Ok(Time::from_secs(metadata.mtime()))
            }
            Self::Archive(archive) => archive.modified(path),
        }
    }

    /// Why an archive could not be read to its end, if so.
    pub fn broken_off(&self) -> Option<&Said> {
        match self {
            Self::Directory(_) => None,
            Self::Archive(archive) => archive.broken_off(),
        }
    }

    /// What of an archive was left out, one sentence each; nothing for a directory.
    pub fn notes(&self) -> &[Said] {
        match self {
            Self::Directory(_) => &[],
            Self::Archive(archive) => archive.notes(),
        }
    }

    /// Why a file is held in part only, if so: an archive keeps the ends of a huge log and the lines
    /// that matter.
    pub fn cut(&self, path: &str) -> Option<String> {
        // sosreport itself keeps only the end of what is too large for it, beside a link to that end.
        if self.link(path).is_ok_and(|target| target.ends_with(".tailed")) {
            return Some("only the end that sosreport kept".to_owned());
        }
        match self {
            Self::Directory(_) => None,
            Self::Archive(archive) => archive.cut(path),
        }
    }
}

/// Whether the directory is the running host's root.
fn is_live(root: &Path) -> bool {
    root == Path::new("/")
}

/// A path of the running host.
fn host_path(path: &str) -> PathBuf {
    Path::new("/").join(path.trim_start_matches('/'))
}

/// Whether a directory looks like the root of a host.
fn holds_a_host(directory: &Path) -> bool {
    ["etc", "proc", "var", "sos_commands"].iter().any(|name| directory.join(name).is_dir())
}

/// Opens a regular file of a directory.
fn open_in(root: &Path, path: &str) -> io::Result<File> {
    // O_NONBLOCK: should something else than a file slip in between look and open, opening it does not hang.
    const FLAGS: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
    if !is_live(root) {
        let found = File::from(beneath::find(root, path)?);
        regular(&found)?;
        let file = File::from(beneath::open(root, path, FLAGS)?);
        regular(&file)?;
        return Ok(file);
    }
    let path = host_path(path);
    if !std::fs::metadata(&path)?.is_file() {
        return Err(not_a_file());
    }
    let file = File::options().read(true).custom_flags(FLAGS.bits().cast_signed()).open(&path)?;
    regular(&file)?;
    Ok(file)
}

/// Refuses what is not a regular file.
fn regular(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { Ok(()) } else { Err(not_a_file()) }
}

/// The error for a device, a pipe, a socket or a directory.
pub(crate) fn not_a_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}
