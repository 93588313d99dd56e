//! Assignments to conntrack keys in the order in which the boot applies them.
//!
//! Source: sysctl.d(5), sysctl(8) of procps 3.3 and 4.0, rc.sysinit and functions of RHEL's initscripts; on Debian 12
//! systemd-sysctl 252 and `sysctl --system` were run over one tree and gave 111 and 333 (tests below).

use std::collections::BTreeSet;

use plimsoll_ct::{KernelVersion, Vendor};
use plimsoll_diagnosis::facts::{Fact, Reason, SysctlLoader, Unapplied};
use plimsoll_wire::sysctl::{
    Assignment, Conf, applies_again, expand, is_conntrack, is_pattern, matches, read_command_line,
    read_conf, read_script,
};

use super::order::{conf, merged, text};
use crate::files::Files;

const MAIN: &str = "/etc/sysctl.conf";

const SYSTEMD_FOLDERS: &[&str] = &[
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
];

/// Most patterns followed: a host has a dozen.
const PATTERNS: usize = 1000;

/// Scripts that run at the end of the boot.
const LAST: &[&str] = &["/etc/rc.d/rc.local", "/etc/rc.local"];

/// What applies the files of this host, and how that was told.
pub fn loader(files: &Files, kernel: Option<&KernelVersion>, live: bool) -> Fact<SysctlLoader> {
    // What runs now decides; on a dead host, what is installed.
    let init = files.text("/proc/1/comm").ok();
    let init = init.as_deref().map(str::trim);
    if files.exists("/run/systemd/system") || init == Some("systemd") {
        return Fact::known(SysctlLoader::Systemd, "process 1 is systemd");
    }
    let old = kernel.map(|k| k.vendor);
    if matches!(old, Some(Vendor::Enterprise(..=6))) || files.exists("/etc/rc.d/rc.sysinit") {
        return Fact::known(
            SysctlLoader::RcSysinit,
            "/etc/rc.d/rc.sysinit, or a kernel of RHEL 5 or 6",
        );
    }
    let first = |paths: &'static [&'static str]| paths.iter().copied().find(|p| files.exists(p));
    let procps = first(&["/etc/init.d/procps", "/etc/init/procps.conf", "/etc/init.d/sysctl"]);
    let systemd = first(&[
        "/usr/lib/systemd/systemd-sysctl",
        "/lib/systemd/systemd-sysctl",
        "/etc/systemd/system",
    ]);
    match (systemd, procps) {
        // Debian has both; what process 1 is tells them apart.
        (Some(_), Some(path)) if init == Some("init") => Fact::known(SysctlLoader::Procps, path),
        (Some(path), _) => Fact::known(SysctlLoader::Systemd, path),
        (None, Some(path)) => Fact::known(SysctlLoader::Procps, path),
        (None, None) => Fact::missing_needs(
            Reason::NotCollected,
            if live {
                "this host was booted neither by systemd nor by sysvinit"
            } else {
                "neither systemd nor an init script for sysctl is in the tree"
            },
            "/usr/lib/systemd or /etc/init.d",
        ),
    }
}

/// All assignments to conntrack keys: those that are applied, in order, and those that are not. On a `live` host no
/// file is a fact; in a tree it may have been left out.
pub fn assignments(
    files: &Files,
    loader: &Fact<SysctlLoader>,
    live: bool,
) -> (Fact<Vec<Assignment>>, Vec<Unapplied>) {
    let mut plan = Plan { files, confs: Vec::new(), unapplied: Vec::new(), unreadable: Vec::new() };
    match loader.get() {
        Some(SysctlLoader::Systemd) => plan.systemd(),
        Some(SysctlLoader::RcSysinit) => plan.rc_sysinit(),
        // Where nothing tells, the more generous reading: nothing that stands in a file is passed over.
        Some(SysctlLoader::Procps) | None => plan.procps(),
    }
    let exclusive = loader.get() != Some(SysctlLoader::RcSysinit);
    let mut applied = Vec::new();
    if let Ok(line) = files.text("/proc/cmdline") {
        applied.extend(read_command_line(&line));
    }
    applied.extend(resolve(&plan.confs, exclusive));
    plan.ufw(&mut applied);
    for path in LAST {
        if let Ok(Some(script)) = text(files, path) {
            let mut last = read_script(path, &script);
            if let Some(line) = applies_again(&script)
                && let Ok(Some(main)) = text(files, MAIN)
            {
                // Set once more, by this line, when all modules are there.
                let again = read_conf(MAIN, &main).assignments.into_iter();
                last.extend(again.filter(|a| is_conntrack(&a.key)).map(|a| Assignment {
                    file: path.to_string(),
                    line,
                    ..a
                }));
                last.sort_by_key(|a| a.line);
            }
            applied.extend(last);
            break;
        }
    }
    let mut source = format!(
        "{}, {MAIN}{}",
        SYSTEMD_FOLDERS[0],
        if loader.get() == Some(SysctlLoader::Systemd) { " only where linked" } else { "" }
    );
    for path in &plan.unreadable {
        source.push_str(&format!(" (not read: {path})"));
    }
    let nothing = plan.confs.is_empty() && applied.is_empty() && plan.unapplied.is_empty();
    let none = SYSTEMD_FOLDERS.iter().chain([&MAIN]).all(|p| !files.exists(p));
    let fact = if nothing && none && !live {
        Fact::missing_needs(
            Reason::NotCollected,
            "no sysctl file is there",
            "/etc/sysctl.d, /etc/sysctl.conf",
        )
    } else if applied.is_empty() && !plan.unreadable.is_empty() {
        Fact::missing_needs(Reason::NotPermitted, plan.unreadable.join("; "), "root")
    } else {
        Fact::known(applied, source)
    };
    (fact, plan.unapplied)
}

/// Files in the order of their reading.
struct Plan<'a> {
    files: &'a Files,
    confs: Vec<Conf>,
    unapplied: Vec<Unapplied>,
    unreadable: Vec<String>,
}

impl Plan<'_> {
    fn read(&mut self, path: &str) -> Option<String> {
        match text(self.files, path) {
            Ok(text) => text,
            Err(why) => {
                self.unreadable.push(why);
                None
            }
        }
    }

    fn apply(&mut self, path: &str) {
        if let Some(text) = self.read(path) {
            self.confs.push(read_conf(path, &text));
        }
    }

    /// Keeps what stands in a file that the boot passes over.
    fn pass_over(&mut self, path: &str, why: &str) {
        let Ok(Some(text)) = text(self.files, path) else { return };
        let about_us =
            read_conf(path, &text).assignments.into_iter().filter(|a| is_conntrack(&a.key));
        self.unapplied.extend(about_us.map(|assignment| Unapplied { assignment, why: why.into() }));
    }

    fn folders(&mut self, folders: &[&str]) {
        for member in merged(self.files, folders, conf) {
            self.apply(&member.path);
            for hidden in &member.hides {
                let why = format!("{} has the same name and comes before it", member.path);
                self.pass_over(hidden, &why);
            }
        }
        for folder in folders {
            for name in self.files.list(folder).unwrap_or_default() {
                if !conf(&name) && !name.starts_with("README") {
                    self.pass_over(&format!("{folder}/{name}"), "its name does not end in .conf");
                }
            }
        }
    }

    fn systemd(&mut self) {
        self.folders(SYSTEMD_FOLDERS);
        // Linked as 99-sysctl.conf (Debian to 12, RHEL) it has been read under that name.
        let Ok(Some(main)) = text(self.files, MAIN) else { return };
        let linked = merged(self.files, SYSTEMD_FOLDERS, conf)
            .iter()
            .any(|member| self.files.text(&member.path).is_ok_and(|text| text == main));
        if !linked {
            self.pass_over(
                MAIN,
                "systemd-sysctl reads only the folders sysctl.d, and nothing there links to it",
            );
        }
    }

    fn procps(&mut self) {
        self.folders(SYSTEMD_FOLDERS);
        self.apply(MAIN);
    }

    /// RHEL 6 has /etc/sysctl.d; RHEL 5 has not, and nothing creates it there.
    fn rc_sysinit(&mut self) {
        for name in self.files.list("/etc/sysctl.d").unwrap_or_default() {
            let path = format!("/etc/sysctl.d/{name}");
            let ignored = [".rpmsave", ".rpmorig", ".rpmnew", "~", ".swp", ".bak"];
            if ignored.iter().any(|end| name.ends_with(end)) {
                self.pass_over(&path, "rc.sysinit passes over files with such an ending");
            } else {
                self.apply(&path);
            }
        }
        self.apply(MAIN);
    }

    /// ufw applies a file of its own as it starts, when it is enabled.
    fn ufw(&mut self, applied: &mut Vec<Assignment>) {
        const FILE: &str = "/etc/ufw/sysctl.conf";
        let enabled = self
            .files
            .text("/etc/ufw/ufw.conf")
            .is_ok_and(|t| t.lines().any(|l| l.trim().eq_ignore_ascii_case("ENABLED=yes")));
        if !enabled {
            return self.pass_over(FILE, "ufw is not enabled");
        }
        if let Some(text) = self.read(FILE) {
            let all = read_conf(FILE, &text).assignments;
            applied.extend(all.into_iter().filter(|a| is_conntrack(&a.key)));
        }
    }
}

/// Assignments in order, patterns replaced by the keys that they name. systemd and procps 4 let no pattern set a key
/// that some line names in full, or excludes.
fn resolve(confs: &[Conf], exclusive: bool) -> Vec<Assignment> {
    let named: BTreeSet<&str> = confs
        .iter()
        .flat_map(|c| c.assignments.iter().map(|a| &a.key).chain(&c.excluded))
        .map(String::as_str)
        .filter(|key| !is_pattern(key) && is_conntrack(key))
        .collect();
    let excluded: Vec<&str> = confs
        .iter()
        .flat_map(|c| &c.excluded)
        .map(String::as_str)
        .filter(|key| is_pattern(key))
        .take(PATTERNS)
        .collect();
    let mut patterns = 0;
    let mut all = Vec::new();
    for assignment in confs.iter().flat_map(|c| &c.assignments) {
        if !is_pattern(&assignment.key) {
            if is_conntrack(&assignment.key) {
                all.push(assignment.clone());
            }
        } else if exclusive && patterns < PATTERNS {
            patterns += 1;
            let keys = expand(&assignment.key).into_iter().filter(|key| {
                !named.contains(key.as_str()) && !excluded.iter().any(|p| matches(p, key))
            });
            all.extend(keys.map(|key| Assignment { key, ..assignment.clone() }));
        }
    }
    all
}
