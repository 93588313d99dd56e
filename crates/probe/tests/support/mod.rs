//! What the tests of the reader share: namespaces, trees of files, commands.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Whether the tests may make namespaces; says so where not.
pub fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root to make a network namespace");
    }
    root
}

/// Whether the BPF census may be had here at all.
pub fn has_bpf() -> bool {
    let there = Path::new("/sys/kernel/btf/vmlinux").exists();
    if !there {
        eprintln!("skipped in part: this kernel has no BTF");
    }
    there
}

/// What a command prints; its failure fails the test.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A name of this process that no other call gets.
pub fn unique(word: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("probe-{word}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A named network namespace with its loopback up; it goes with its value.
pub struct Netns {
    pub name: String,
    pub inode: u64,
}

impl Netns {
    pub fn new(word: &str) -> Self {
        let name = unique(word);
        run("ip", &["netns", "add", &name]);
        let inode = fs::metadata(format!("/run/netns/{name}")).unwrap().ino();
        run("ip", &["-n", &name, "link", "set", "lo", "up"]);
        Self { name, inode }
    }

    /// Calls `body` in a thread that is in the namespace, as the reader of live hosts does.
    pub fn enter<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let door = File::open(format!("/run/netns/{}", self.name)).unwrap();
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(door.as_fd(), kind).unwrap();
                body()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A command inside, whether it succeeds or not.
    pub fn try_run(&self, program: &str, arguments: &[&str]) -> Output {
        let inside = ["netns", "exec", &self.name, program];
        Command::new("ip").args(inside).args(arguments).output().unwrap()
    }

    /// What a command inside prints; its failure fails the test.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        run("ip", &[&["netns", "exec", &self.name, program], arguments].concat())
    }

    /// What `conntrack -L` prints there.
    pub fn list(&self, arguments: &[&str]) -> String {
        self.run("conntrack", &[&["-L"], arguments].concat())
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// Files of a host below a directory of their own, all gone with the value. A text `-> target` makes a link.
pub struct Tree(pub PathBuf);

impl Tree {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let tree = Self(std::env::temp_dir().join(unique("tree")));
        fs::create_dir_all(&tree.0).unwrap();
        for (path, text) in files {
            tree.add(path, text);
        }
        tree
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    pub fn add(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match text.strip_prefix("-> ") {
            Some(target) => symlink(target, path).unwrap(),
            None => fs::write(path, text).unwrap(),
        }
    }

    /// Runs a loader of settings over the tree's files, in namespaces of its own; file and value of each setting of
    /// conntrack afterwards.
    pub fn loaded_by(&self, loader: &str) -> BTreeMap<String, String> {
        let script = format!(
            "set -e; cd {root}\n\
             mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /usr/local/lib\n\
             for folder in etc run usr/local/lib usr/lib; do\n\
               mkdir -p $folder/sysctl.d /$folder/sysctl.d; mount --bind $folder/sysctl.d /$folder/sysctl.d\n\
             done\n\
             mount --bind etc/sysctl.conf /etc/sysctl.conf\n\
             {loader} >/dev/null 2>&1 || true\n\
             cd /proc/sys/net/netfilter; grep -H . nf_conntrack_*",
            root = self.0.display()
        );
        let text = run("unshare", &["-m", "-n", "sh", "-c", &script]);
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether a loader of settings can be run here; says so where not.
pub fn can_load(loader: &str) -> bool {
    let program = loader.split(' ').next().unwrap_or(loader);
    let needed = [program, "/etc/sysctl.conf", "/proc/sys/net/netfilter/nf_conntrack_max"];
    let all = root() && needed.iter().all(|path| Path::new(path).exists());
    if !all {
        eprintln!("skipped: needs root, {}", needed.join(", "));
    }
    all
}
