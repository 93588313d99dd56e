//! A file: laid ready beside its place, and put there by one rename.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Component, Path, PathBuf};

use plimsoll_diagnosis::plan::{Content, FileChange, FileState};
use plimsoll_diagnosis::{Said, said};
use rustix::fs::{IFlags, ioctl_getflags};

use super::Seen;
use crate::journal::Memo;
use crate::reason::{self, Sentence};

/// Settings files are small; what is longer is none.
const LONGEST: u64 = 16 << 20;
/// Links that may lead from one to the next.
const LINKS: usize = 16;

/// A file as it stands now: what a change of it finds.
pub(crate) fn standing(root: &Path, path: &str) -> io::Result<Option<FileState>> {
    read(&real(root, path)?)
}

pub(super) fn look(root: &Path, c: &FileChange) -> io::Result<Seen> {
    let now = read(&real(root, &c.path)?)?;
    Ok(match () {
        () if now == c.before => Seen::Before,
        () if now == c.after => Seen::After,
        () => Seen::Other(match now {
            None => reason::GONE.of(&[&c.path]),
            Some(_) if c.after.is_none() => reason::THERE_AGAIN.of(&[&c.path]),
            Some(now) => difference(&now, c.after.as_ref()).of(&[&c.path]),
        }),
    })
}

/// Lays the new file ready: a full disk, a read-only file system, or a file that may not be changed is
/// found out here.
pub(super) fn prepare(root: &Path, id: u64, c: &FileChange) -> io::Result<()> {
    let path = real(root, &c.path)?;
    let directory = parent(&path)?;
    if let Some(outermost) = missing(directory).first() {
        // What can't be laid ready yet can at least be made.
        let above = parent(outermost)?;
        rustix::fs::access(above, rustix::fs::Access::WRITE_OK)?;
        return Ok(());
    }
    for (place, what) in [
        (path.as_path(), Said::of("the file", "文件")),
        (directory, Said::of("its directory", "它的目录")),
    ] {
        if fixed(place) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                said!(
                    "{what} is immutable or append-only (lsattr, chattr -i)",
                    "{what:#}不可修改或只能追加（lsattr，chattr -i）"
                ),
            ));
        }
    }
    match &c.after {
        Some(after) => lay_ready(&path, id, after),
        // To take away needs the same rights as to make, and a place for what may have to come back.
        None => match &c.before {
            Some(before) => lay_ready(&path, id, before),
            None => Ok(()),
        },
    }
}

/// Directories that have to be made for it, outermost first: as many paths as [`tidy_directories`] takes.
pub(super) fn before(root: &Path, c: &FileChange) -> io::Result<Memo> {
    let path = real(root, &c.path)?;
    if c.after.is_none() {
        return Ok(Memo::new());
    }
    Ok(missing(parent(&path)?).iter().map(|d| d.display().to_string()).collect())
}

pub(super) fn make(root: &Path, id: u64, c: &FileChange) -> io::Result<()> {
    let path = real(root, &c.path)?;
    let directories = missing(parent(&path)?);
    if let (false, Some(after)) = (directories.is_empty(), &c.after) {
        directories.iter().try_for_each(fs::create_dir)?;
        lay_ready(&path, id, after)?;
    }
    put(root, id, &c.path, c.after.as_ref())
}

pub(super) fn take_back(root: &Path, id: u64, c: &FileChange) -> io::Result<()> {
    let path = real(root, &c.path)?;
    if let Some(before) = &c.before {
        lay_ready(&path, id, before)?;
    }
    put(root, id, &c.path, c.before.as_ref())
}

pub(super) fn tidy(root: &Path, id: u64, c: &FileChange) {
    if let Ok(path) = real(root, &c.path)
        && let Ok(ready) = ready(&path, id)
    {
        // Most often it is not there: it has become the file.
        let _ = fs::remove_file(ready);
    }
}

/// Takes directories away that were made for a file, unless somebody else has put something there.
pub(super) fn tidy_directories(before: &Memo) {
    for directory in before.iter().rev() {
        let _ = fs::remove_dir(directory);
    }
}

/// Directories that are not there, outermost first.
fn missing(directory: &Path) -> Vec<PathBuf> {
    let missing = directory.ancestors().take_while(|d| !d.exists());
    let mut missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    missing.reverse();
    missing
}

fn put(root: &Path, id: u64, path: &str, state: Option<&FileState>) -> io::Result<()> {
    let path = real(root, path)?;
    match state {
        Some(_) => fs::rename(ready(&path, id)?, &path)?,
        None => fs::remove_file(&path)?,
    }
    // The rename itself must survive a power cut.
    File::open(parent(&path)?)?.sync_all()
}

fn lay_ready(path: &Path, id: u64, state: &FileState) -> io::Result<()> {
    let ready = ready(path, id)?;
    // Of an earlier attempt that was killed.
    match fs::remove_file(&ready) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let laid = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&ready)?;
        file.write_all(&state.content.0)?;
        let meta = file.metadata()?;
        if (meta.uid(), meta.gid()) != (state.uid, state.gid) {
            fchown(&file, Some(state.uid), Some(state.gid))?;
        }
        copy_labels(path, &file);
        file.set_permissions(fs::Permissions::from_mode(state.mode))?;
        file.sync_all()
    })();
    if laid.is_err() {
        let _ = fs::remove_file(&ready);
    }
    laid
}

/// Extended attributes (an SELinux context among them) of the file that is replaced. Where there are none
/// to be had, the new file gets its directory's.
fn copy_labels(from: &Path, to: &File) {
    let Ok(from) = File::open(from) else { return };
    let mut names = vec![0u8; 4096];
    let Ok(length) = rustix::fs::flistxattr(&from, &mut names) else { return };
    for name in names[..length].split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let mut value = vec![0u8; 4096];
        if let Ok(length) = rustix::fs::fgetxattr(&from, name, &mut value) {
            let flags = rustix::fs::XattrFlags::empty();
            // Best effort: the bytes of the file matter more.
            let _ = rustix::fs::fsetxattr(to, name, &value[..length], flags);
        }
    }
}

/// A name that no reader of such directories takes: it begins with a dot and ends in a number.
fn ready(path: &Path, id: u64) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or(OsStr::new("file")).to_string_lossy();
    Ok(parent(path)?.join(format!(".{name}.plimsoll-{id}")))
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent()
        .ok_or_else(|| io::Error::other(Said::of("a file in no directory", "文件没有所在目录")))
}

fn fixed(path: &Path) -> bool {
    let flags = File::open(path).ok().and_then(|f| ioctl_getflags(&f).ok());
    flags.is_some_and(|f| f.intersects(IFlags::IMMUTABLE | IFlags::APPEND))
}

fn read(path: &Path) -> io::Result<Option<FileState>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > LONGEST {
        return Err(io::Error::other(Said::of(
            "expected an ordinary file of at most 16 MiB",
            "应为不超过 16 MiB 的普通文件",
        )));
    }
    let mut content = Vec::new();
    file.take(LONGEST).read_to_end(&mut content)?;
    let mode = meta.mode() & 0o7777;
    Ok(Some(FileState { content: Content(content), mode, uid: meta.uid(), gid: meta.gid() }))
}

fn difference(now: &FileState, after: Option<&FileState>) -> Sentence {
    match after {
        Some(after) if now.content == after.content => reason::OWNER,
        Some(_) | None => reason::CONTENT,
    }
}

/// Where a file is, links followed; each link as the system under the root means it, so that none leads
/// out of there.
fn real(root: &Path, path: &str) -> io::Result<PathBuf> {
    let mut pending: Vec<PathBuf> = vec![PathBuf::from(path)];
    let mut place = root.to_owned();
    let mut links = 0;
    while let Some(next) = pending.pop() {
        let mut parts = next.components();
        let Some(part) = parts.next() else { continue };
        let rest = parts.as_path().to_owned();
        if rest.components().next().is_some() {
            pending.push(rest);
        }
        match part {
            Component::RootDir => place = root.to_owned(),
            Component::CurDir | Component::Prefix(_) => {}
            Component::ParentDir => {
                if place != root {
                    place.pop();
                }
            }
            Component::Normal(name) => {
                let here = place.join(name);
                match fs::read_link(&here) {
                    Ok(link) => {
                        links += 1;
                        if links > LINKS {
                            return Err(io::Error::other(Said::of(
                                "too many links, one after the other",
                                "符号链接套得太多",
                            )));
                        }
                        pending.push(link);
                    }
                    Err(_) => place = here,
                }
            }
        }
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::symlink;

    fn tree(name: &str) -> PathBuf {
        let root =
            std::env::temp_dir().join(format!("plimsoll-apply-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("etc/sysctl.d")).unwrap();
        root
    }

    #[test]
    fn a_link_means_what_it_means_under_the_root() {
        let root = tree("links");
        symlink("../sysctl.conf", root.join("etc/sysctl.d/99-sysctl.conf")).unwrap();
        symlink("/etc/sysctl.d", root.join("etc/dir")).unwrap();
        symlink("../../../../../../etc/passwd", root.join("etc/out")).unwrap();
        symlink("/etc/loop", root.join("etc/loop")).unwrap();
        assert_eq!(
            real(&root, "/etc/sysctl.d/99-sysctl.conf").unwrap(),
            root.join("etc/sysctl.conf")
        );
        assert_eq!(real(&root, "/etc/dir/a.conf").unwrap(), root.join("etc/sysctl.d/a.conf"));
        assert_eq!(real(&root, "/etc/out").unwrap(), root.join("etc/passwd"));
        assert!(real(&root, "/etc/loop").is_err());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_file_comes_back_with_its_bytes_and_permissions() {
        let root = tree("back");
        let path = root.join("etc/sysctl.conf");
        fs::write(&path, b"a = 1\n\xff\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let before = read(&path).unwrap();
        let after = before.as_ref().map(|f| f.with("b = 2\n"));
        let c = FileChange { path: "/etc/sysctl.conf".into(), before: before.clone(), after };
        assert_eq!(look(&root, &c).unwrap(), Seen::Before);
        prepare(&root, 7, &c).unwrap();
        make(&root, 7, &c).unwrap();
        assert_eq!(look(&root, &c).unwrap(), Seen::After);
        take_back(&root, 7, &c).unwrap();
        assert_eq!(read(&path).unwrap(), before);
        assert_eq!(fs::read_dir(root.join("etc")).unwrap().count(), 2, "nothing is left behind");
        fs::remove_dir_all(&root).unwrap();
    }
}
