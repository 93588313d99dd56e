//! Folders of `*.conf` files that are merged by name: the rule that sysctl.d, modprobe.d and modules-load.d share.

use std::collections::BTreeMap;
use std::io;

use crate::files::Files;

/// A file of a merged folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Path.
    pub path: String,
    /// The file of the same name that it stands before, if any: that one is not read.
    pub hides: Vec<String>,
}

/// Files of these folders, sorted by name; of two with one name that of the earlier folder counts.
pub fn merged(files: &Files, folders: &[&str], wanted: impl Fn(&str) -> bool) -> Vec<Member> {
    let mut by_name: BTreeMap<String, Member> = BTreeMap::new();
    for folder in folders {
        for name in files.list(folder).unwrap_or_default() {
            if !wanted(&name) {
                continue;
            }
            let path = format!("{folder}/{name}");
            match by_name.get_mut(&name) {
                Some(member) => member.hides.push(path),
                None => {
                    by_name.insert(name, Member { path, hides: Vec::new() });
                }
            }
        }
    }
    // /lib is a link to /usr/lib nowadays: the same file twice hides nothing.
    by_name
        .into_values()
        .map(|mut member| {
            let text = files.text(&member.path).ok();
            member.hides.retain(|other| {
                let twin = other.strip_prefix("/lib/").map(|rest| format!("/usr/lib/{rest}"));
                let same = twin.as_ref() == Some(&member.path) && files.text(other).ok() == text;
                !same
            });
            member
        })
        .collect()
}

/// `*.conf`
pub fn conf(name: &str) -> bool {
    name.ends_with(".conf")
}

/// Text of a file, `None` when it is not there or is a mask (a link to /dev/null), or why it can't be read.
pub fn text(files: &Files, path: &str) -> Result<Option<String>, String> {
    match files.text(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Err(format!("{path}: {e}")),
        Err(_) => Ok(None),
    }
}
