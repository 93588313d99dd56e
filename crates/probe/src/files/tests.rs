#![allow(clippy::unwrap_used)]

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::*;

/// A directory that is removed with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("plimsoll-files-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("root/etc/sysctl.d")).unwrap();
        std::fs::write(path.join("outside"), "outside").unwrap();
        std::fs::write(path.join("root/etc/inside"), "inside").unwrap();
        Self(path)
    }

    fn link(&self, target: &str, at: &str) {
        symlink(target, self.0.join("root").join(at)).unwrap();
    }

    fn files(&self) -> Files {
        Files::Directory(self.0.join("root"))
    }

    /// What the walk by hand reads.
    fn walked(&self, path: &str) -> io::Result<String> {
        let root = rustix::fs::openat(
            CWD,
            self.0.join("root"),
            OFlags::PATH | OFlags::DIRECTORY,
            Mode::empty(),
        )?;
        let mut text = String::new();
        File::from(beneath::walk(root, path.trim_start_matches('/'), OFlags::NONBLOCK)?)
            .read_to_string(&mut text)?;
        Ok(text)
    }

    /// What both ways read; they agree.
    fn read(&self, path: &str) -> Option<String> {
        let asked = self.files().text(path).ok();
        assert_eq!(asked, self.walked(path).ok(), "{path}");
        asked
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn an_absolute_link_is_followed_inside_the_root() {
    let dir = Scratch::new("absolute");
    dir.link("/etc/inside", "etc/absolute");
    dir.link("/etc", "lib");
    assert_eq!(dir.read("/etc/absolute").as_deref(), Some("inside"));
    assert_eq!(dir.read("/lib/absolute").as_deref(), Some("inside"));
}

#[test]
fn neither_a_link_nor_dots_lead_out_of_the_root() {
    let dir = Scratch::new("dots");
    let outside = dir.0.join("outside");
    dir.link("../../outside", "etc/up");
    dir.link(outside.to_str().unwrap(), "etc/abs");
    for path in
        ["/etc/up", "/etc/abs", "/../outside", "/etc/../../outside", "/etc/../../../outside"]
    {
        assert_eq!(dir.read(path), None, "{path}");
    }
    assert_eq!(dir.read("/../../etc/inside").as_deref(), Some("inside"));
    assert_eq!(dir.read("/etc/sysctl.d/../inside").as_deref(), Some("inside"));
}

#[test]
fn a_link_that_points_at_itself_is_an_error_and_ends() {
    let dir = Scratch::new("cycle");
    dir.link("b", "etc/a");
    dir.link("a", "etc/b");
    dir.link("deep/deep", "etc/deep");
    for path in ["/etc/a", "/etc/b", "/etc/deep"] {
        assert_eq!(dir.read(path), None, "{path}");
    }
    assert!(!dir.files().exists("/etc/a"));
}

#[test]
fn a_pipe_is_refused_at_once_and_a_device_is_never_opened() {
    let dir = Scratch::new("pipe");
    let root = dir.0.join("root");
    rustix::fs::mknodat(CWD, root.join("etc/pipe"), FileType::Fifo, Mode::from(0o600), 0).unwrap();
    let error = dir.files().read("/etc/pipe", 10).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    // A device needs a right to be made; where it is missing there is nothing to refuse.
    let null = rustix::fs::makedev(1, 3);
    let made = rustix::fs::mknodat(
        CWD,
        root.join("etc/null"),
        FileType::CharacterDevice,
        Mode::from(0o600),
        null,
    );
    if made.is_ok() {
        let error = dir.files().read("/etc/null", 10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
    assert!(dir.files().read("/etc", 10).is_err(), "a directory is not a file");
}

#[test]
fn a_listing_is_sorted_and_leaves_out_what_is_not_utf_8() {
    use std::os::unix::ffi::OsStrExt;
    let dir = Scratch::new("list");
    for name in [&b"b.conf"[..], b"a.conf", b"\xff.conf"] {
        let name = std::ffi::OsStr::from_bytes(name);
        std::fs::write(dir.0.join("root/etc/sysctl.d").join(name), "").unwrap();
    }
    assert_eq!(dir.files().list("/etc/sysctl.d").unwrap(), ["a.conf", "b.conf"]);
    assert_eq!(dir.files().list("/").unwrap(), ["etc"]);
    assert!(dir.files().list("/absent").is_err());
}

#[test]
fn the_text_of_a_link_is_read_without_following_it() {
    let dir = Scratch::new("text");
    dir.link("net:[4026531840]", "etc/net");
    assert_eq!(dir.files().link("/etc/net").unwrap(), "net:[4026531840]");
    assert!(dir.files().link("/etc/inside").is_err());
}

#[test]
fn an_unpacked_bundle_is_entered_one_level_down() {
    let dir = Scratch::new("inner");
    std::fs::rename(dir.0.join("root"), dir.0.join("sosreport-web1")).unwrap();
    let files = Files::tree(&dir.0).unwrap();
    assert_eq!(files.text("/etc/inside").unwrap(), "inside");
}

#[test]
fn the_running_host_is_read_through_its_own_links() {
    // /proc/net is a link to self/net, and self one to a number.
    let files = Files::live();
    assert!(files.text("/proc/version").unwrap().starts_with("Linux version"));
    assert!(files.exists("/proc/net/dev"));
    assert!(files.link("/proc/self/ns/net").unwrap().starts_with("net:["));
    assert!(files.read("/dev/null", 1).is_err(), "a device is no file");
}
