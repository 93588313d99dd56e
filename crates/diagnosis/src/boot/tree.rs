//! The files that take part in booting, as text: what the simulation reads in place of a disk.
//!
//! Links are kept as links and followed inside the tree, so that a change to a file is seen through every name that
//! leads to it.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::Said;

/// Links followed on one path, as the kernel has it.
const LINKS: usize = 40;

/// What a path holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file.
    File {
        /// Its text.
        text: String,
        /// Whether its mode lets it be run; unknown in archives.
        executable: Option<bool>,
    },
    /// A symbolic link, with the text of the link.
    Link(String),
    /// It is there and was not read.
    Unread(Said),
}

/// A proposed change of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Absolute path as the host knows it. Where a link stands the file that it leads to is changed.
    pub path: String,
    /// New text; `None` removes the file (or the link itself).
    pub text: Option<String>,
}

/// Files by absolute path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// Adds a file or link, in place of what was there.
    pub fn put(&mut self, path: impl Into<String>, entry: Entry) {
        self.entries.insert(path.into(), entry);
    }

    /// Adds a file of text.
    pub fn put_text(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.put(path, Entry::File { text: text.into(), executable: None });
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The same tree after these changes.
    #[must_use]
    pub fn with(&self, changes: &[FileChange]) -> Self {
        let mut tree = self.clone();
        for change in changes {
            match &change.text {
                Some(text) => {
                    let path = tree.resolve(&change.path).unwrap_or_else(|| change.path.clone());
                    let executable = match tree.entries.get(&path) {
                        Some(Entry::File { executable, .. }) => *executable,
                        Some(Entry::Link(_) | Entry::Unread(_)) | None => None,
                    };
                    tree.put(path, Entry::File { text: text.clone(), executable });
                }
                None => {
                    tree.entries.remove(&change.path);
                }
            }
        }
        tree
    }

    /// Text of a file, links followed. `None`: not there, not read, or a link out of the tree.
    pub fn text(&self, path: &str) -> Option<&str> {
        match self.entries.get(&self.resolve(path)?) {
            Some(Entry::File { text, .. }) => Some(text),
            Some(Entry::Link(_) | Entry::Unread(_)) | None => None,
        }
    }

    /// Why a file that is there was not read.
    pub fn unread(&self, path: &str) -> Option<&Said> {
        match self.entries.get(&self.resolve(path)?) {
            Some(Entry::Unread(why)) => Some(why),
            Some(Entry::File { .. } | Entry::Link(_)) | None => None,
        }
    }

    /// All that is there and was not read, with the reasons.
    pub fn all_unread(&self) -> impl Iterator<Item = (&str, &Said)> {
        self.entries.iter().filter_map(|(path, entry)| match entry {
            Entry::Unread(why) => Some((path.as_str(), why)),
            Entry::File { .. } | Entry::Link(_) => None,
        })
    }

    /// Whether a file may be run, as far as that is known.
    pub fn executable(&self, path: &str) -> Option<bool> {
        match self.entries.get(&self.resolve(path)?) {
            Some(Entry::File { executable, .. }) => *executable,
            Some(Entry::Link(_) | Entry::Unread(_)) | None => None,
        }
    }

    /// Whether the path itself is there: a file, a link (wherever it leads), or a directory with something in it.
    pub fn exists(&self, path: &str) -> bool {
        let path = self.parent_resolved(path);
        self.entries.contains_key(&path) || self.below(&path).next().is_some()
    }

    /// Whether a file is a mask: a link to /dev/null, or empty.
    pub fn is_mask(&self, path: &str) -> bool {
        match self.resolve(path) {
            Some(target) if target == "/dev/null" => true,
            Some(_) | None => self.text(path).is_some_and(str::is_empty),
        }
    }

    /// Names in a directory, sorted by bytes.
    pub fn list(&self, folder: &str) -> Vec<&str> {
        let Some(folder) = self.resolve(folder) else { return Vec::new() };
        let mut names: Vec<&str> = self
            .below(&folder)
            .filter_map(|path| path[folder.len()..].trim_start_matches('/').split('/').next())
            .collect();
        names.dedup();
        names
    }

    /// Every path below a directory, however deep.
    pub fn files_below(&self, folder: &str) -> Vec<&str> {
        match self.resolve(folder) {
            Some(folder) => self.below(&folder).collect(),
            None => Vec::new(),
        }
    }

    /// The path that a path leads to, links followed. `None` for links in a ring.
    pub fn resolve(&self, path: &str) -> Option<String> {
        let mut links = 0;
        let mut done: Vec<&str> = Vec::new();
        let mut todo: Vec<&str> = parts(path).rev().collect();
        while let Some(part) = todo.pop() {
            if part == ".." {
                done.pop();
                continue;
            }
            done.push(part);
            if let Some(Entry::Link(target)) = self.entries.get(&joined(&done)) {
                links += 1;
                if links > LINKS {
                    return None;
                }
                if target.starts_with('/') {
                    done.clear();
                } else {
                    done.pop();
                }
                todo.extend(parts(target).rev());
            }
        }
        Some(joined(&done))
    }

    /// The path with the links in its directory followed, but not the last one.
    fn parent_resolved(&self, path: &str) -> String {
        match path.trim_end_matches('/').rsplit_once('/') {
            Some((parent, name)) if !parent.is_empty() => match self.resolve(parent) {
                Some(parent) => joined(&[parent.trim_matches('/'), name]),
                None => path.to_owned(),
            },
            Some(_) | None => path.to_owned(),
        }
    }

    fn below<'a>(&'a self, folder: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut start = folder.trim_end_matches('/').to_owned();
        start.push('/');
        self.entries
            .range(start.clone()..)
            .map(|(path, _)| path.as_str())
            .take_while(move |path| path.starts_with(&start))
    }
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

fn joined(parts: &[&str]) -> String {
    let mut path = String::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        path.push('/');
        path.push_str(part);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in files {
            match text.strip_prefix("-> ") {
                Some(target) => tree.put(*path, Entry::Link(target.into())),
                None => tree.put_text(*path, *text),
            }
        }
        tree
    }

    #[test]
    fn a_change_is_seen_through_every_link() {
        let t = tree(&[
            ("/etc/sysctl.conf", "a=1"),
            ("/etc/sysctl.d/99-sysctl.conf", "-> ../sysctl.conf"),
            ("/lib", "-> usr/lib"),
            ("/usr/lib/sysctl.d/50-x.conf", "b=1"),
        ]);
        assert_eq!(t.text("/etc/sysctl.d/99-sysctl.conf"), Some("a=1"));
        assert_eq!(t.text("/lib/sysctl.d/50-x.conf"), Some("b=1"));
        assert_eq!(t.list("/lib/sysctl.d"), ["50-x.conf"]);
        let change = |path: &str, text: Option<&str>| FileChange {
            path: path.into(),
            text: text.map(Into::into),
        };
        let t = t.with(&[
            change("/etc/sysctl.d/99-sysctl.conf", Some("a=2")),
            change("/lib/sysctl.d/60-y.conf", Some("c=1")),
        ]);
        assert_eq!(t.text("/etc/sysctl.conf"), Some("a=2"));
        assert_eq!(t.list("/usr/lib/sysctl.d"), ["50-x.conf", "60-y.conf"]);
        let t = t.with(&[change("/etc/sysctl.d/99-sysctl.conf", None)]);
        assert!(t.list("/etc/sysctl.d").is_empty() && t.text("/etc/sysctl.conf").is_some());
    }

    #[test]
    fn links_in_a_ring_and_out_of_the_tree_end() {
        let t = tree(&[
            ("/etc/a", "-> b"),
            ("/etc/b", "-> a"),
            ("/etc/c", "-> ../../../../x"),
            ("/etc/d", "-> d/d/d"),
            ("/etc/m", "-> /dev/null"),
        ]);
        assert_eq!(t.text("/etc/a"), None);
        assert_eq!(t.resolve("/etc/c").as_deref(), Some("/x"));
        assert_eq!(t.resolve("/etc/d"), None);
        assert!(t.is_mask("/etc/m") && t.exists("/etc/m") && !t.is_mask("/etc/a"));
    }
}
