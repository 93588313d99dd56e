//! Alpine's init script, which applies the sysctl files folder by folder: a name decides within its folder only, and what comes
//! from /run comes last, behind /etc/sysctl.conf.
//!
//! Source: aports, main/openrc/sysctl.initd and the patches before it; crates/probe/tests/boot.rs runs such a script
//! with busybox's sysctl over trees made at random.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::files::MAIN;
use super::tree::Tree;

/// The script.
pub(super) const SCRIPT: &str = "/etc/init.d/sysctl";

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    /// Folders, and /etc/sysctl.conf, in the order in which they are applied.
    pub(super) steps: Vec<String>,
    /// Folders whose files hide those of the same name in the folders before them.
    hiding: Vec<String>,
}

/// The script of a tree, if it is one that goes through the folders itself. OpenRC's own calls `sysctl --system`.
pub(super) fn script(tree: &Tree) -> Option<Script> {
    let text = tree.text(SCRIPT)?;
    let head = text.lines().next().unwrap_or_default();
    if !head.ends_with("openrc-run") && !head.ends_with("runscript") {
        return None;
    }
    // Alpine's patches up to 3.14 left a function for BSD in it.
    let text = text.split_once("Linux_sysctl()").map_or(text, |(_, behind)| behind);
    let mut found = Script { steps: Vec::new(), hiding: Vec::new() };
    for word in text.split_whitespace().map(|w| w.trim_matches(['"', ';', '\''])) {
        let (step, hides) = match word.split_once("/sysctl.d/") {
            Some((parent, "*.conf")) => (format!("{parent}/sysctl.d"), false),
            Some((parent, name)) if name.contains("${") => (format!("{parent}/sysctl.d"), true),
            Some(_) | None if word == MAIN => (MAIN.to_string(), false),
            Some(_) | None => continue,
        };
        let list = if hides { &mut found.hiding } else { &mut found.steps };
        if step.starts_with('/') && !list.contains(&step) {
            list.push(step);
        }
    }
    (!found.steps.is_empty()).then_some(found)
}

impl Script {
    /// The file that keeps this one from being applied.
    pub(super) fn hidden_by(&self, tree: &Tree, folder: &str, name: &str) -> Option<String> {
        let at = |wanted: &str| self.steps.iter().position(|step| step == wanted);
        let later = self.hiding.iter().filter(|hiding| at(hiding) > at(folder));
        later.map(|hiding| format!("{hiding}/{name}")).find(|path| tree.text(path).is_some())
    }
}

/// Whether `sysctl` is busybox's here, and not that of procps in its place.
pub(super) fn is_busybox(tree: &Tree) -> bool {
    let at = ["/sbin/sysctl", "/usr/sbin/sysctl"].into_iter().find(|path| tree.exists(path));
    at.is_none_or(|path| tree.resolve(path).is_some_and(|end| end.ends_with("/busybox")))
}
