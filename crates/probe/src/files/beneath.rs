//! Finding a path inside a directory that stands for a root: nothing leads out of it.
//!
//! The kernel does this itself since 5.6 (`openat2` with `RESOLVE_IN_ROOT`): absolute link targets and
//! `..` stay inside, magic links are refused. Where it can't (older kernels, seccomp filters that refuse
//! the call), the path is walked one name at a time, each opened with `O_NOFOLLOW` from the directory before it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{self, CWD, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Links that may be followed on one path, as the kernel has it.
const LINKS: u32 = 40;

/// Names of a path that is walked by hand; a hostile tree of links can't make it longer.
const NAMES: usize = 4096;

/// A handle for looking at what is there (`O_PATH`), which neither reads nor wakes it.
pub(super) fn find(root: &Path, path: &str) -> io::Result<OwnedFd> {
    open(root, path, OFlags::PATH | OFlags::CLOEXEC)
}

/// Opens what is there for reading.
pub(super) fn open(root: &Path, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let root = root_of(root)?;
    let path = relative(path);
    match fs::openat2(&root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::TOOBIG) => {
            Ok(walk(root, path, flags)?)
        }
        result => Ok(result?),
    }
}

/// Names in a directory.
pub(super) fn list(root: &Path, path: &str, most: usize) -> io::Result<Vec<String>> {
    let directory = open(root, path, OFlags::DIRECTORY | OFlags::CLOEXEC)?;
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)?.take(most) {
        let entry = entry?;
        match entry.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => names.push(name.to_owned()),
        }
    }
    Ok(names)
}

/// Text of a link.
pub(super) fn link(root: &Path, path: &str) -> io::Result<String> {
    let (parent, name) = relative(path).rsplit_once('/').unwrap_or((".", relative(path)));
    let parent = open(root, parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC)?;
    fs::readlinkat(&parent, name, Vec::new())?
        .into_string()
        .map_err(|_| io::ErrorKind::InvalidData.into())
}

fn root_of(root: &Path) -> io::Result<OwnedFd> {
    Ok(fs::openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// The path below the root; the root itself is `.`.
fn relative(path: &str) -> &str {
    match path.trim_matches('/') {
        "" => ".",
        path => path,
    }
}

/// The same as `openat2`, name by name.
pub(super) fn walk(root: OwnedFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    // The directories passed, the root first; `..` goes back, but never before the root.
    let mut passed = vec![root];
    let mut names: VecDeque<String> = path.split('/').map(String::from).collect();
    let mut links = 0;
    let mut steps = 0;
    while let Some(name) = names.pop_front() {
        steps += 1;
        if steps > NAMES {
            return Err(Errno::NAMETOOLONG);
        }
        let here = &passed[passed.len() - 1];
        match name.as_str() {
            "" | "." => continue,
            ".." => {
                if passed.len() > 1 {
                    passed.pop();
                }
                continue;
            }
            _ => {}
        }
        let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = fs::openat(here, name.as_str(), look, Mode::empty())?;
        let kind = FileType::from_raw_mode(fs::fstat(&found)?.st_mode);
        if kind == FileType::Symlink {
            links += 1;
            if links > LINKS {
                return Err(Errno::LOOP);
            }
            let target = fs::readlinkat(&found, "", Vec::new())?;
            let target = target.to_str().map_err(|_| Errno::ILSEQ)?;
            if target.starts_with('/') {
                passed.truncate(1);
            }
            for part in target.split('/').rev() {
                names.push_front(part.to_owned());
            }
        } else if names.iter().all(|rest| matches!(rest.as_str(), "" | ".")) {
            let flags = flags | OFlags::NOFOLLOW;
            return fs::openat(here, name.as_str(), flags, Mode::empty());
        } else {
            passed.push(found);
        }
    }
    // The path ended in the root, in `..`, or in a link to a directory's parent.
    fs::openat(&passed[passed.len() - 1], ".", flags, Mode::empty())
}
