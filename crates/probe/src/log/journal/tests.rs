#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use plimsoll_diagnosis::facts::LogDigest;

use super::super::tests::{INCIDENT, Tree};
use super::*;
use crate::archive::{Archive, Bounds};

const DIRECTORY: &str = "var/log/journal/3d5f0c9e7a1b4d2c8e6f0a1b2c3d4e5f";

/// A file of a journal, as fixtures/journal/RECIPE.md makes it.
fn journal(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/journal")
        .join(format!("{name}.journal.xz"));
    let mut bytes = Vec::new();
    lzma_rust2::XzReader::new(fs::File::open(path).unwrap(), true).read_to_end(&mut bytes).unwrap();
    bytes
}

fn in_directory(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

/// Whether journalctl is there; without it the test that asks is skipped.
fn there_is_journalctl() -> bool {
    let there = Command::new("journalctl").arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: journalctl is not installed");
    }
    there
}

/// Inode, whether before this boot, and lines.
fn rows(digest: &LogDigest) -> Vec<(Option<u64>, bool, u64)> {
    let seen = digest.table_full.as_ref().unwrap();
    seen.namespaces.iter().map(|n| (n.inode, n.earlier_boot, n.lines)).collect()
}

#[test]
fn a_saved_journal_is_read_over_all_its_files_and_boots() {
    if !there_is_journalctl() {
        return;
    }
    let tree = Tree::new("journal");
    tree.put(&in_directory("system.journal"), &journal("now"));
    tree.put(&in_directory("system@0005-0006.journal~"), &journal("before"));
    // A user's journal holds no line of the kernel, and that of another machine none of this kernel.
    tree.put(&in_directory("user-1000.journal"), b"not looked at");
    tree.put("etc/machine-id", b"3d5f0c9e7a1b4d2c8e6f0a1b2c3d4e5f\n");
    tree.put("var/log/journal/00000000000000000000000000000000/system.journal", &journal("now"));
    let digest = tree.read();
    assert_eq!(digest.unreadable, []);
    let [source] = digest.sources.as_slice() else { panic!("{:#?}", digest.sources) };
    assert_eq!((source.name.as_str(), source.lines, &source.cut), ("/var/log/journal", 9, &None));
    assert_eq!(
        rows(&digest),
        [(Some(4_026_532_246), false, 3), (None, true, 2), (None, false, 1)],
        "the line that a program wrote is not the kernel's"
    );
    let seen = digest.table_full.unwrap();
    assert_eq!(seen.last.unwrap().latest.secs(), INCIDENT + 1);
    assert_eq!(seen.first.unwrap().latest.secs(), INCIDENT - 20 * 86_400);
    assert_eq!((digest.suppressed, digest.suppression_lines), (209, 1));
}

#[test]
fn a_host_of_which_only_the_journal_is_left_was_saved_when_that_was_last_written() {
    if !there_is_journalctl() {
        return;
    }
    let tree = Tree::new("journal-only");
    tree.put(&in_directory("system.journal"), &journal("now"));
    let file = fs::File::options().write(true).open(tree.0.join(in_directory("system.journal")));
    let written = UNIX_EPOCH + Duration::from_secs(INCIDENT.unsigned_abs() + 60);
    file.unwrap().set_modified(written).unwrap();
    let (files, origin) = crate::dead::open(&tree.0).unwrap();
    let host = crate::dead::snapshot(&files, origin);
    assert_eq!(host.at.secs(), INCIDENT + 60);
    assert_eq!(host.log.value().unwrap().table_full.as_ref().unwrap().lines, 4);
}

#[test]
fn a_line_that_syslog_holds_too_counts_once() {
    if !there_is_journalctl() {
        return;
    }
    let tree = Tree::new("journal-twice");
    tree.put(&in_directory("system.journal"), &journal("now"));
    let line =
        "Nov 22 03:12:02 web kernel: nf_conntrack: nf_conntrack: table full, dropping packet\n";
    tree.put("var/log/kern.log", line.as_bytes());
    assert_eq!(rows(&tree.read()), [(Some(4_026_532_246), false, 3), (None, false, 1)]);
}

#[test]
fn a_broken_file_hides_none_beside_it() {
    if !there_is_journalctl() {
        return;
    }
    let tree = Tree::new("journal-broken");
    let whole = journal("now");
    tree.put(&in_directory("system.journal"), &whole);
    tree.put(&in_directory("system@a.journal"), b"no journal at all");
    tree.put(&in_directory("system@b.journal"), &whole[..3000]);
    let mut damaged = whole.clone();
    damaged[300..4096].fill(0xff);
    tree.put(&in_directory("system@c.journal"), &damaged);
    let digest = tree.read();
    assert_eq!(rows(&digest), [(Some(4_026_532_246), false, 3), (None, false, 1)]);
    let mut broken: Vec<_> = digest.unreadable.iter().map(|(name, _)| name.as_str()).collect();
    broken.sort_unstable();
    let names = ["system@a.journal", "system@b.journal"].map(|n| format!("/{}", in_directory(n)));
    assert_eq!(broken[..2], names, "{:#?}", digest.unreadable);
    assert!(digest.unreadable.iter().all(|(_, reason)| reason.starts_with("journalctl: ")));
}

#[test]
fn nothing_outside_the_tree_is_read_and_nothing_is_waited_for() {
    let outside = Tree::new("journal-outside");
    outside.put("system.journal", &journal("now"));
    let tree = Tree::new("journal-links");
    tree.put("var/log/messages", b"");
    fs::create_dir_all(tree.0.join(DIRECTORY)).unwrap();
    symlink(outside.0.join("system.journal"), tree.0.join(in_directory("a.journal"))).unwrap();
    symlink(&outside.0, tree.0.join("var/log/journal/linked")).unwrap();
    let pipe = tree.0.join(in_directory("b.journal"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let digest = tree.read();
    assert_eq!(digest.table_full, None);
    let mut told: Vec<_> = digest.unreadable.iter().map(|(_, reason)| reason.as_str()).collect();
    told.sort_unstable();
    assert_eq!(told, ["No such file or directory (os error 2)", "not a regular file"]);
}

#[test]
fn a_journal_in_a_bundle_is_told_and_not_read() {
    let mut bundle = tar::Builder::new(Vec::new());
    for (path, bytes) in
        [(in_directory("system.journal"), journal("now")), ("var/log/messages".into(), vec![])]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        bundle.append_data(&mut header, format!("web/{path}"), bytes.as_slice()).unwrap();
    }
    let bundle = bundle.into_inner().unwrap();
    let archive = Archive::read(bundle.as_slice(), &Bounds::default()).unwrap();
    let mut builder = LogDigestBuilder::new(
        plimsoll_wire::log::Clock {
            now: plimsoll_ct::Time::from_secs(INCIDENT),
            boot: None,
            zone: plimsoll_wire::log::Zone::utc(),
        },
        None,
    );
    let end = Instant::now() + Duration::from_secs(10);
    saved(&mut builder, &Files::Archive(archive), &Limits::default(), end);
    let digest = builder.finish();
    assert_eq!(digest.sources, []);
    let [(place, reason)] = digest.unreadable.as_slice() else { panic!("{digest:#?}") };
    assert_eq!(place, "/var/log/journal");
    assert!(reason.contains("needs the bundle unpacked"), "{reason}");
}

#[test]
fn without_journalctl_the_package_is_named_that_has_it() {
    // The search for programs is one for the whole process: this test runs itself again with another.
    const AGAIN: &str = "PLIMSOLL_TEST_WITHOUT_PROGRAMS";
    if std::env::var_os(AGAIN).is_none() {
        let name = "log::journal::tests::without_journalctl_the_package_is_named_that_has_it";
        let test = std::env::current_exe().unwrap();
        let status = Command::new(test)
            .args(["--exact", name])
            .env(AGAIN, "1")
            .env("PATH", "/nowhere")
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let tree = Tree::new("journal-no-tool");
    tree.put("var/log/messages", b"");
    tree.put(&in_directory("system.journal"), &journal("now"));
    let digest = tree.read();
    let [(path, reason)] = digest.unreadable.as_slice() else { panic!("{digest:#?}") };
    assert!(path.ends_with("system.journal"));
    assert!(reason.contains("no journalctl here (needs the package systemd)"), "{reason}");
}
