//! `persist`: files under a root, killed at any step, and what stops a file from being written.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::{BINARY, repository, root, run, skipped, text};
use crate::sweep::{Stage, swept};

/// A copy of a saved host, and a state directory beside it.
pub struct Copy {
    base: PathBuf,
    state: PathBuf,
}

impl Copy {
    pub fn of(tree: &str, name: &str) -> Self {
        let base =
            std::env::temp_dir().join(format!("plimsoll-test-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        fs::create_dir_all(&base).expect("a directory");
        let from = repository("fixtures/trees").join(tree);
        let copy = Self { state: base.join("state"), base };
        run("cp", &["-a", from.to_str().expect("text"), copy.root().to_str().expect("text")]);
        copy
    }

    pub fn root(&self) -> PathBuf {
        self.base.join("root")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(arguments).arg("--state-dir").arg(&self.state).stdin(Stdio::null());
        command
    }

    pub fn persist(&self, more: &[&str]) -> Command {
        let root = self.root();
        let root = root.to_str().expect("a path of text");
        self.command(&[&["fix", "persist", "--yes", "--root", root], more].concat())
    }

    fn ok(&self, mut command: Command) -> String {
        let out = command.output().expect("it starts");
        assert!(out.status.success(), "{}{}", text(&out.stdout), text(&out.stderr));
        text(&out.stdout)
    }

    /// Every file with its bytes and mode.
    pub fn files(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut todo = vec![self.root().join("etc")];
        while let Some(directory) = todo.pop() {
            for entry in fs::read_dir(&directory).expect("a directory").flatten() {
                let meta = entry.metadata().expect("its metadata");
                if meta.is_dir() {
                    todo.push(entry.path());
                } else if meta.is_file() {
                    let bytes = fs::read(entry.path()).expect("its bytes");
                    found.insert(entry.path(), (meta.permissions().mode(), bytes));
                }
            }
        }
        found
    }
}

impl Stage for Copy {
    fn command(&self, arguments: &[&str]) -> Command {
        self.command(arguments)
    }

    fn everything(&self) -> String {
        let files = self.files().into_iter();
        let lines =
            files.map(|(path, (mode, bytes))| format!("{path:?} {mode:o}\n{}", text(&bytes)));
        lines.collect()
    }

    fn state(&self) -> &Path {
        &self.state
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

fn failed(out: &Output) -> String {
    assert_eq!(out.status.code(), Some(1), "{}{}", text(&out.stdout), text(&out.stderr));
    text(&out.stderr)
}

/// A host of RHEL 6's time and one with systemd: three files, and two.
const TREES: &[&str] = &["centos6", "kubernetes-node"];

#[test]
fn what_persist_wrote_is_proved_and_comes_back_byte_for_byte() {
    if !root() {
        return;
    }
    for tree in TREES {
        let copy = Copy::of(tree, &format!("persist-{tree}"));
        let old = copy.files();
        let said = copy.ok(copy.persist(&[]));
        assert!(
            said.contains("Proved by the boot simulation: read anew, the files give "),
            "{said}"
        );
        assert_ne!(copy.files(), old);
        let again = copy.ok(copy.persist(&[]));
        // A tree whose boot gives a higher limit than there is: that is told, and nothing is done.
        let kept = [
            "Every running value is there after a boot as well.",
            "No running value is lost by a boot.",
        ];
        assert!(kept.iter().any(|k| again.contains(k)), "{again}");
        copy.ok(copy.command(&["undo"]));
        assert_eq!(copy.files(), old, "{tree}");
    }
}

/// A limit of RHEL 5 and 7 and of Debian that runs and stands in no file: the files that each system's boot reads.
const RUNS: &[(&str, &str, &[&str])] = &[
    (
        "centos5",
        "net/ipv4/netfilter/ip_conntrack_max",
        &[
            "/etc/sysconfig/iptables-config",
            "/etc/sysconfig/modules/plimsoll.modules",
            "/etc/sysctl.conf",
        ],
    ),
    ("centos7", "net/netfilter/nf_conntrack_max", &["/etc/sysctl.d/90-plimsoll.conf"]),
    ("debian-healthy", "net/netfilter/nf_conntrack_max", &["/etc/sysctl.d/90-plimsoll.conf"]),
];

#[test]
fn a_limit_that_runs_is_written_where_each_system_boots_from() {
    if !root() {
        return;
    }
    for (tree, key, files) in RUNS {
        let copy = Copy::of(tree, &format!("runs-{tree}"));
        let proc = copy.root().join("proc/sys");
        for alias in [key, "net/nf_conntrack_max", "net/ipv4/ip_conntrack_max"] {
            if proc.join(alias).exists() {
                fs::write(proc.join(alias), "300007\n").expect("written");
            }
        }
        let old = copy.files();
        let said = copy.ok(copy.persist(&[]));
        for file in *files {
            assert!(said.contains(&format!("{file} is written.")), "{tree}, {file}: {said}");
        }
        assert!(said.contains("the files give nf_conntrack_max = 300007."), "{tree}: {said}");
        copy.ok(copy.command(&["undo"]));
        assert_eq!(copy.files(), old, "{tree}");
    }
}

#[test]
fn persist_killed_at_any_step_leaves_all_files_or_none() {
    if !root() {
        return;
    }
    for tree in TREES {
        let copy = Copy::of(tree, &format!("crash-{tree}"));
        let root = copy.root();
        swept(&copy, &["fix", "persist", "--yes", "--root", root.to_str().expect("text")]);
    }
}

#[test]
fn a_read_only_etc_stops_it_with_nothing_changed() {
    if !root() {
        return;
    }
    let copy = Copy::of("centos6", "readonly");
    let etc = copy.root().join("etc");
    let etc = etc.to_str().expect("a path of text");
    run("mount", &["--bind", etc, etc]);
    run("mount", &["-o", "remount,bind,ro", etc]);
    let old = copy.files();
    let out = copy.persist(&[]).output().expect("it starts");
    let now = copy.files();
    run("umount", &[etc]);
    let error = failed(&out);
    assert!(error.contains("read-only file system; nothing was changed"), "{error}");
    assert!(error.contains("/etc/sys"), "it says which file: {error}");
    assert_eq!(now, old);
}

#[test]
fn an_immutable_file_stops_it_with_nothing_changed() {
    if !root() {
        return;
    }
    let copy = Copy::of("centos6", "immutable");
    let conf = copy.root().join("etc/sysctl.conf");
    let conf = conf.to_str().expect("a path of text");
    if !Command::new("chattr").args(["+i", conf]).status().is_ok_and(|s| s.success()) {
        skipped("this file system has no such flag");
        return;
    }
    let old = copy.files();
    let out = copy.persist(&[]).output().expect("it starts");
    let now = copy.files();
    run("chattr", &["-i", conf]);
    let error = failed(&out);
    assert!(error.contains("/etc/sysctl.conf: the file is immutable or append-only (lsattr, chattr -i); nothing was changed"), "{error}");
    assert_eq!(now, old, "the other two files are as they were, too");
}

#[test]
fn a_full_file_system_of_the_files_stops_it_with_nothing_changed() {
    if !root() {
        return;
    }
    let copy = Copy::of("centos6", "fullfs");
    let etc = copy.root().join("etc");
    let (etc, kept) = (etc.to_str().expect("text").to_owned(), copy.base.join("kept"));
    let kept = kept.to_str().expect("text").to_owned();
    run("cp", &["-a", &etc, &kept]);
    run("mount", &["-t", "tmpfs", "-o", "size=256k", "plimsoll-test", &etc]);
    run(
        "sh",
        &[
            "-c",
            &format!(
                "cp -a {kept}/. {etc}/; dd if=/dev/zero of={etc}/fill bs=1k 2>/dev/null; true"
            ),
        ],
    );
    let old = copy.files();
    let out = copy.persist(&[]).output().expect("it starts");
    let now = copy.files();
    run("umount", &[&etc]);
    let error = failed(&out);
    assert!(error.contains("no space left on device; nothing was changed"), "{error}");
    assert_eq!(now, old);
}

#[test]
fn a_file_that_somebody_edited_since_is_named_and_left() {
    if !root() {
        return;
    }
    let copy = Copy::of("centos6", "edited");
    copy.ok(copy.persist(&[]));
    let conf = copy.root().join("etc/sysctl.conf");
    let mine = fs::read_to_string(&conf).expect("text") + "# mine\n";
    fs::write(&conf, &mine).expect("it is written");
    let error = failed(&copy.command(&["undo"]).output().expect("it starts"));
    assert!(error.contains("/etc/sysctl.conf has another content; nothing was changed"), "{error}");
    copy.ok(copy.command(&["undo", "--leave-changed"]));
    assert_eq!(fs::read_to_string(&conf).expect("text"), mine);
    assert!(!copy.root().join("etc/sysconfig/modules/plimsoll.modules").exists());
}

/// Journals of an earlier boot: the power went, and came again.
fn reboot(copy: &Copy) {
    let now = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot");
    for entry in fs::read_dir(&copy.state).expect("a directory").flatten() {
        if entry.path().extension().is_some_and(|e| e == "journal") {
            let text = fs::read_to_string(entry.path()).expect("a journal");
            let earlier = text.replace(now.trim(), "00000000-0000-4000-8000-000000000000");
            fs::write(entry.path(), earlier).expect("it is written");
        }
    }
}

#[test]
fn files_come_back_after_a_reboot_whole_or_when_the_power_went_in_the_middle() {
    if !root() {
        return;
    }
    let copy = Copy::of("centos6", "reboot");
    let old = copy.files();
    copy.ok(copy.persist(&[]));
    reboot(&copy);
    copy.ok(copy.command(&["undo"]));
    assert_eq!(copy.files(), old);
    let mut in_the_middle = 0;
    for step in 1.. {
        let mut persist = copy.persist(&[]);
        let out = persist.env("PLIMSOLL_FAULT", format!("{step}:guard")).output();
        if out.expect("it starts").status.success() {
            break;
        }
        in_the_middle += u32::from(copy.files() != old);
        reboot(&copy);
        let _ = copy.command(&["confirm"]).output().expect("it starts");
        if copy.files() != old {
            copy.ok(copy.command(&["undo"]));
        }
        assert_eq!(copy.files(), old, "{step}");
    }
    assert!(in_the_middle > 3, "{in_the_middle}");
}
