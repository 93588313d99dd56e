//! The files of a host, wherever they are: the running system, a saved tree, an archive in memory.
//!
//! Paths are absolute as the host sees them (`/etc/sysctl.conf`). Nothing read through here can leave the
//! tree: links are resolved inside it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

/// Files of a host.
#[derive(Debug)]
pub enum Files {
    /// A directory that stands for the host's root; `/` for the running host.
    Directory(PathBuf),
}

impl Files {
    /// The running host's own files.
    pub fn live() -> Self {
        Self::Directory(PathBuf::from("/"))
    }

    /// Opens a regular file for reading.
    pub fn open(&self, path: &str) -> io::Result<Box<dyn Read>> {
        match self {
            Self::Directory(root) => {
                Ok(Box::new(File::open(root.join(path.trim_start_matches('/')))?))
            }
        }
    }

    /// Opens a regular file for reading its last `limit` bytes; the number tells how many before them
    /// are left out.
    pub fn open_end(&self, path: &str, limit: u64) -> io::Result<(Box<dyn Read>, u64)> {
        match self {
            Self::Directory(root) => {
                let mut file = File::open(root.join(path.trim_start_matches('/')))?;
                let skipped = file.metadata()?.len().saturating_sub(limit);
                file.seek(SeekFrom::Start(skipped))?;
                Ok((Box::new(file), skipped))
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

    /// Names in a directory, sorted by bytes.
    pub fn list(&self, path: &str) -> io::Result<Vec<String>> {
        match self {
            Self::Directory(root) => {
                let mut names: Vec<String> =
                    std::fs::read_dir(root.join(path.trim_start_matches('/')))?
                        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                        .collect();
                names.sort();
                Ok(names)
            }
        }
    }

    /// Whether the file or directory is there.
    pub fn exists(&self, path: &str) -> bool {
        match self {
            Self::Directory(root) => root.join(path.trim_start_matches('/')).exists(),
        }
    }
}
