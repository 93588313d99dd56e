//! Folders of `*.conf` files that are merged by name: the rule that sysctl.d, modprobe.d, modules-load.d and
//! udev's rules share.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::tree::Tree;

/// A file of a merged folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Path.
    pub(super) path: String,
    /// Files of the same name that it stands before: these are not read.
    pub(super) hides: Vec<String>,
}

/// Folders of one kind, the strongest first.
pub(super) fn folders(kind: &str) -> Vec<String> {
    ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"]
        .iter()
        .map(|parent| format!("{parent}/{kind}"))
        .collect()
}

/// Files of these folders, sorted by name; of two with one name that of the earlier folder counts.
pub(super) fn merged(
    tree: &Tree,
    folders: &[String],
    wanted: impl Fn(&str) -> bool,
) -> Vec<Member> {
    let mut by_name: BTreeMap<String, Member> = BTreeMap::new();
    for folder in folders {
        for name in tree.list(folder).into_iter().filter(|name| wanted(name)) {
            let path = format!("{folder}/{name}");
            match by_name.get_mut(name) {
                Some(member) => member.hides.push(path),
                None => {
                    by_name.insert(name.to_string(), Member { path, hides: Vec::new() });
                }
            }
        }
    }
    // /lib is a link to /usr/lib nowadays, and is copied as a folder by some: the same file twice hides nothing.
    by_name
        .into_values()
        .map(|mut member| {
            let text = tree.text(&member.path);
            member.hides.retain(|other| {
                let twin = other.strip_prefix("/lib/").map(|rest| format!("/usr/lib/{rest}"));
                !(twin.as_ref() == Some(&member.path) && tree.text(other) == text)
            });
            member
        })
        .collect()
}

/// `*.conf`, and not hidden: `._x.conf` of a foreign archive, `.#x.conf` of an editor.
pub(super) fn conf(name: &str) -> bool {
    name.ends_with(".conf") && !name.starts_with('.')
}
