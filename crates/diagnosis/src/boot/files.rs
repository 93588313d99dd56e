//! The sysctl files: what each program applies, in which order, and what it passes over.
//!
//! Source: sysctl.d(5), sysctl(8) of procps 3.3 and 4.0, rc.sysinit and functions of RHEL's initscripts; systemd-sysctl
//! 252 and `sysctl --system` were run over the same trees (crates/probe/tests/boot.rs).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use plimsoll_wire::Malformed;
use plimsoll_wire::sysctl::{
    Assignment, Conf, expand, is_pattern, read_conf, read_conf_of_busybox, read_conf_of_procps,
    read_conf_of_systemd,
};

use super::keys::{Keys, Meaning, may_concern, place};
use super::openrc::{self, is_busybox};
use super::order::{conf, folders, merged};
use super::tree::Tree;
use super::unapplied::{PassedOver, Unapplied};
use super::value::written;
use crate::Said;
use crate::facts::SysctlLoader;

pub(super) const MAIN: &str = "/etc/sysctl.conf";

/// Most patterns followed: a host has a dozen.
const PATTERNS: usize = 200;

/// What a program applies.
#[derive(Debug, Clone, Default)]
pub(super) struct Applied {
    /// In order.
    pub(super) assignments: Vec<Assignment>,
    /// Not written at all: the program keeps the last line of a key only. With the place of that line.
    pub(super) replaced: Vec<(Assignment, Said)>,
    /// Standing in files that it passes over.
    pub(super) unapplied: Vec<Unapplied>,
    /// Lines that are no assignments.
    pub(super) malformed: Vec<Malformed>,
}

/// What this loader applies.
pub(super) fn of_loader(tree: &Tree, loader: SysctlLoader, keys: &Keys<'_>) -> Applied {
    let mut reading = Reading { tree, loader, confs: Vec::new(), unapplied: Vec::new() };
    match loader {
        SysctlLoader::Systemd => reading.systemd(),
        SysctlLoader::Procps => {
            reading.folders();
            reading.apply(MAIN);
        }
        SysctlLoader::OpenRc => reading.openrc(keys),
        SysctlLoader::RcSysinit => reading.rc_sysinit(),
    }
    let Reading { confs, unapplied, .. } = reading;
    let busybox = loader == SysctlLoader::OpenRc && is_busybox(tree);
    finish(confs, unapplied, (loader, busybox), keys)
}

/// What tuned applies again behind its own settings: /run over /etc by name, then the main file. Nothing of /usr.
pub(super) fn of_tuned(tree: &Tree, keys: &Keys<'_>) -> Vec<Assignment> {
    let folders = ["/run/sysctl.d", "/etc/sysctl.d"].map(String::from);
    let members = merged(tree, &folders, conf).into_iter().map(|m| m.path);
    members.chain([MAIN.to_string()]).flat_map(|path| of_file(tree, &path, keys)).collect()
}

/// What `sysctl -p FILE` applies.
pub(super) fn of_file(tree: &Tree, path: &str, keys: &Keys<'_>) -> Vec<Assignment> {
    let Some(text) = tree.text(path) else { return Vec::new() };
    let conf = read_conf_of_procps(path, text);
    finish(vec![conf], Vec::new(), (SysctlLoader::Procps, false), keys).assignments
}

struct Reading<'a> {
    tree: &'a Tree,
    loader: SysctlLoader,
    confs: Vec<Conf>,
    unapplied: Vec<Unapplied>,
}

impl Reading<'_> {
    fn apply(&mut self, path: &str) {
        let Some(text) = self.tree.text(path) else { return };
        self.confs.push(match self.loader {
            SysctlLoader::Systemd => read_conf_of_systemd(path, text),
            SysctlLoader::OpenRc if is_busybox(self.tree) => read_conf_of_busybox(path, text),
            SysctlLoader::Procps | SysctlLoader::OpenRc | SysctlLoader::RcSysinit => {
                read_conf_of_procps(path, text)
            }
        });
    }

    /// Keeps what stands in a file that the boot passes over.
    fn pass_over(&mut self, path: &str, why: &PassedOver) {
        let Some(text) = self.tree.text(path) else { return };
        let all = read_conf(path, text).assignments.into_iter().filter(|a| may_concern(&a.key));
        self.unapplied.extend(all.map(|assignment| Unapplied { assignment, why: why.clone() }));
    }

    fn folders(&mut self) {
        let folders = folders("sysctl.d");
        // sysctl of procps takes hidden files, too.
        let hidden_too = self.loader == SysctlLoader::Procps;
        let wanted = |name: &str| conf(name) || hidden_too && name.ends_with(".conf");
        for member in merged(self.tree, &folders, wanted) {
            self.apply(&member.path);
            for hidden in &member.hides {
                let why = if self.tree.is_mask(&member.path) {
                    PassedOver::Masked
                } else {
                    PassedOver::Hidden
                };
                self.pass_over(hidden, &why(member.path.clone()));
            }
        }
        for folder in &folders {
            if folder.starts_with("/lib/") && self.tree.resolve(folder).as_ref() != Some(folder) {
                continue;
            }
            for name in self.tree.list(folder) {
                if wanted(name) || name.starts_with("README") {
                    continue;
                }
                let dot = name.ends_with(".conf");
                let why = if dot { PassedOver::Dot } else { PassedOver::NoConf };
                self.pass_over(&format!("{folder}/{name}"), &why);
            }
        }
    }

    fn systemd(&mut self) {
        self.folders();
        // Linked as 99-sysctl.conf (Debian to 12, RHEL) it has been read under that name.
        let Some(main) = self.tree.text(MAIN) else { return };
        let target = self.tree.resolve(MAIN);
        let linked = merged(self.tree, &folders("sysctl.d"), conf).iter().any(|member| {
            self.tree.resolve(&member.path) == target || self.tree.text(&member.path) == Some(main)
        });
        if !linked {
            self.pass_over(MAIN, &PassedOver::NotInFolder);
        }
    }

    /// Folder by folder.
    fn openrc(&mut self, keys: &Keys<'_>) {
        let Some(script) = openrc::script(self.tree) else { return };
        let mut folders_read: Vec<String> = Vec::new();
        for step in &script.steps {
            if step == MAIN {
                self.apply(MAIN);
                self.stop_at_a_refusal(keys);
                continue;
            }
            // /lib may be a link to /usr/lib: the same files again.
            let Some(own) = self.tree.resolve(step).filter(|own| !folders_read.contains(own))
            else {
                continue;
            };
            folders_read.push(own);
            for name in self.tree.list(step).into_iter().filter(|name| conf(name)) {
                let path = format!("{step}/{name}");
                match script.hidden_by(self.tree, step, name) {
                    Some(by) => self.pass_over(&path, &PassedOver::Hidden(by)),
                    None => {
                        self.apply(&path);
                        self.stop_at_a_refusal(keys);
                    }
                }
            }
        }
        for folder in folders("sysctl.d") {
            let read = self.tree.resolve(&folder).is_none_or(|own| folders_read.contains(&own));
            for name in self.tree.list(&folder) {
                let why = if name.starts_with("README") || read && conf(name) {
                    continue;
                } else if conf(name) {
                    PassedOver::Folder(folder.clone())
                } else if name.ends_with(".conf") {
                    PassedOver::Dot
                } else {
                    PassedOver::NoConf
                };
                self.pass_over(&format!("{folder}/{name}"), &why);
            }
        }
    }

    /// Busybox's sysctl goes no further in a file in which the kernel refuses a value.
    fn stop_at_a_refusal(&mut self, keys: &Keys<'_>) {
        if !is_busybox(self.tree) {
            return;
        }
        let Some(conf) = self.confs.last_mut() else { return };
        // Larger than any of the kernel's numbers here is refused whatever the key.
        let wrong = |value: &str| written(value).map_or(true, |(n, _)| n > i64::from(u32::MAX));
        let refused = |a: &Assignment| {
            matches!(keys.meaning(&a.key), Some(Meaning::Live(_))) && wrong(&a.value)
        };
        let Some(at) = conf.assignments.iter().position(refused) else { return };
        let behind = conf.assignments.split_off(at + 1);
        let why = PassedOver::Behind(conf.assignments[at].line);
        let ours = behind.into_iter().filter(|a| may_concern(&a.key));
        self.unapplied.extend(ours.map(|assignment| Unapplied { assignment, why: why.clone() }));
    }

    /// RHEL 6 has /etc/sysctl.d; RHEL 5 has not, and nothing creates it there.
    fn rc_sysinit(&mut self) {
        for name in self.tree.list("/etc/sysctl.d") {
            let path = format!("/etc/sysctl.d/{name}");
            let ignored = [".rpmsave", ".rpmorig", ".rpmnew", "~", ".swp", ".bak"];
            if ignored.iter().any(|end| name.ends_with(end)) {
                self.pass_over(&path, &PassedOver::Ending);
            } else {
                self.apply(&path);
            }
        }
        self.apply(MAIN);
    }
}

/// A line that a program takes in.
#[derive(Clone, Copy)]
enum Line<'a> {
    Set(&'a Assignment),
    /// No pattern may set the key: file, line, key.
    Exclude(&'a str, u32, &'a str),
}

impl<'a> Line<'a> {
    fn key(self) -> &'a str {
        match self {
            Line::Set(a) => &a.key,
            Line::Exclude(_, _, key) => key,
        }
    }

    /// Who has the last word, for those that it replaces.
    fn place(self) -> Said {
        match self {
            Line::Set(a) => place(&a.file, a.line),
            Line::Exclude(file, line, _) => {
                let at = place(file, line);
                said!("{at}, which excludes the key,", "排除该参数的 {at:#} ")
            }
        }
    }
}

/// Patterns replaced by the keys that they name, and what the program keeps of several lines for one key.
fn finish(
    confs: Vec<Conf>,
    unapplied: Vec<Unapplied>,
    (loader, busybox): (SysctlLoader, bool),
    keys: &Keys<'_>,
) -> Applied {
    let mut applied = Applied { unapplied, ..Applied::default() };
    let about = |m: &&Malformed| m.seen.contains("conntrack") || m.seen.contains("contrack");
    applied.malformed = confs.iter().flat_map(|c| &c.malformed).filter(about).cloned().collect();
    let mut lines: Vec<Line<'_>> = confs.iter().flat_map(lines_of).collect();
    lines.retain(|line| is_pattern(line.key()) || may_concern(unrooted(line.key())));
    if loader == SysctlLoader::Systemd {
        lines = keep_last(&lines, &mut applied.replaced);
    }
    // No pattern sets a key that some line names in full, or excludes (systemd, procps 4), as it is spelt there. An excluded
    // pattern excludes nothing.
    let named: BTreeSet<&str> =
        lines.iter().map(|line| line.key()).filter(|key| !is_pattern(key)).collect();
    let mut followed = 0;
    let without_patterns = loader == SysctlLoader::RcSysinit || busybox;
    for line in &lines {
        let Line::Set(assignment) = line else { continue };
        if !is_pattern(&assignment.key) {
            let key = unrooted(&assignment.key).into();
            applied.assignments.push(Assignment { key, ..(*assignment).clone() });
        } else if !without_patterns && followed < PATTERNS {
            followed += 1;
            let pattern = unrooted(&assignment.key);
            let root = &assignment.key[..assignment.key.len() - pattern.len()];
            let fitting = expand(pattern).into_iter().filter(|key| {
                // A pattern names only what is there.
                matches!(keys.meaning(key), Some(Meaning::Live(_)))
                    && !named.contains(format!("{root}{key}").as_str())
            });
            applied.assignments.extend(fitting.map(|key| Assignment {
                key,
                may_fail: true,
                ..(*assignment).clone()
            }));
        }
    }
    applied
}

/// A key without the separator in front, which is another key for procps only as long as it compares.
fn unrooted(key: &str) -> &str {
    key.trim_start_matches('.')
}

/// The lines of a file in their order.
fn lines_of(conf: &Conf) -> Vec<Line<'_>> {
    let mut lines: Vec<(u32, Line<'_>)> =
        conf.assignments.iter().map(|a| (a.line, Line::Set(a))).collect();
    lines.extend(
        conf.excluded.iter().map(|(line, key)| (*line, Line::Exclude(&conf.file, *line, key))),
    );
    lines.sort_by_key(|(line, _)| *line);
    lines.into_iter().map(|(_, line)| line).collect()
}

/// systemd-sysctl collects all lines before it writes: of one key (or pattern, letter by letter) only the last counts, at its own place in
/// the order, unless it says the same as the one before; and if the kernel refuses the last, the others don't step in.
fn keep_last<'a>(lines: &[Line<'a>], replaced: &mut Vec<(Assignment, Said)>) -> Vec<Line<'a>> {
    let mut kept: Vec<Option<Line<'a>>> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut gone = Vec::new();
    for line in lines {
        let before = places.get(line.key()).and_then(|at| kept[*at]);
        let same = match (before, line) {
            (Some(Line::Set(before)), Line::Set(now)) => before.value == now.value,
            (Some(Line::Exclude(..)), Line::Exclude(..)) => true,
            (Some(Line::Set(_)), Line::Exclude(..))
            | (Some(Line::Exclude(..)), Line::Set(_))
            | (None, _) => false,
        };
        if same {
            gone.push(*line);
            continue;
        }
        let before = places.insert(line.key(), kept.len());
        gone.extend(before.and_then(|at| kept[at].take()));
        kept.push(Some(*line));
    }
    // Of three lines the last is what the first one loses to, not the second, which is not written either.
    let last = |key: &str| places.get(key).and_then(|at| kept[*at]);
    replaced.extend(gone.into_iter().filter_map(|line| match line {
        Line::Set(a) if !is_pattern(&a.key) => Some((a.clone(), last(&a.key)?.place())),
        Line::Set(_) | Line::Exclude(..) => None,
    }));
    kept.into_iter().flatten().collect()
}
