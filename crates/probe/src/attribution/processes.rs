//! Which process holds which socket, by the links in /proc/PID/fd: one `readlink` for each open file of the host.

use std::ffi::CStr;

use rustix::fs::{CWD, Dir, Mode, OFlags, openat, readlinkat};

/// Shows each socket that a process holds, until `take` has enough. Whether the time was over before.
pub(super) fn sockets(take: &mut dyn FnMut(u32, u64) -> bool, is_over: &dyn Fn() -> bool) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |path: &str| openat(CWD, path, flags, Mode::empty());
    let Ok(mut proc) = open("/proc").and_then(Dir::new) else { return false };
    let mut buffer = Vec::with_capacity(64);
    while let Some(Ok(entry)) = proc.read() {
        let Some(pid) = number(entry.file_name()) else { continue };
        if is_over() {
            return true;
        }
        let Ok(directory) = open(&format!("/proc/{pid}/fd")) else { continue };
        let Ok(mut files) = Dir::read_from(&directory) else { continue };
        while let Some(Ok(file)) = files.read() {
            buffer.clear();
            let Ok(link) = readlinkat(&directory, file.file_name(), buffer) else {
                buffer = Vec::with_capacity(64);
                continue;
            };
            let inode = socket(&link);
            buffer = link.into_bytes();
            if let Some(inode) = inode
                && !take(pid, inode)
            {
                return false;
            }
        }
    }
    false
}

fn number(name: &CStr) -> Option<u32> {
    name.to_str().ok()?.parse().ok()
}

/// `socket:[22817]`
fn socket(link: &CStr) -> Option<u64> {
    link.to_bytes()
        .strip_prefix(b"socket:[")
        .and_then(|rest| std::str::from_utf8(rest.strip_suffix(b"]")?).ok()?.parse().ok())
}
