//! Choosing namespaces, as a person names them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use plimsoll_diagnosis::facts::Owner;

use super::discover::Found;

/// One choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespaceSelector {
    /// The host's own.
    Host,
    /// The reader's own.
    Own,
    /// By inode.
    Inode(u64),
    /// That of a process.
    Pid(u32),
    /// By a file that stands for it.
    Path(PathBuf),
    /// `ip netns` name; name of a container, pod or unit; or at least 6 digits of a container's id.
    Name(String),
}

impl NamespaceSelector {
    /// From what a person types: `host`, `own`, a path, `net:[4026532246]`, a number (an inode when it is too
    /// large for a process id), anything else a name.
    pub fn parse(text: &str) -> Self {
        let bare = text.strip_prefix("net:[").and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        match text {
            "host" => Self::Host,
            "own" => Self::Own,
            _ if text.contains('/') && Path::new(text).exists() => Self::Path(text.into()),
            _ => match bare.parse::<u64>() {
                // Process ids end at 2^22.
                Ok(number) => match u32::try_from(number) {
                    Ok(pid) if pid <= 1 << 22 => Self::Pid(pid),
                    _ => Self::Inode(number),
                },
                Err(_) => Self::Name(text.into()),
            },
        }
    }

    /// Whether it chooses this namespace.
    pub(super) fn matches(&self, found: &Found, owners: &[Owner]) -> bool {
        let is_at =
            |path: &Path| fs::metadata(path).is_ok_and(|file| Some(file.ino()) == found.inode);
        match self {
            Self::Host => found.initial,
            Self::Own => is_at(Path::new("/proc/self/ns/net")),
            Self::Inode(inode) => Some(*inode) == found.inode,
            Self::Pid(pid) => {
                found.pids.contains(pid) || is_at(Path::new(&format!("/proc/{pid}/ns/net")))
            }
            Self::Path(path) => is_at(path),
            Self::Name(name) => owners.iter().any(|owner| is_called(owner, name)),
        }
    }
}

fn is_called(owner: &Owner, wanted: &str) -> bool {
    match owner {
        Owner::Initial => false,
        Owner::Named(name) => name == wanted,
        Owner::Unit(unit) => unit == wanted || unit.strip_suffix(".service") == Some(wanted),
        Owner::Container { id, name, .. } => {
            let by_name = name.as_deref().is_some_and(|name| {
                name == wanted || name.split_once('/').is_some_and(|(_, pod)| pod == wanted)
            });
            by_name || id == wanted || wanted.len() >= 6 && id.starts_with(wanted)
        }
        Owner::Process { command, .. } => command == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_process_or_an_inode_by_its_size() {
        assert_eq!(NamespaceSelector::parse("812"), NamespaceSelector::Pid(812));
        let inode = NamespaceSelector::Inode(4_026_532_246);
        assert_eq!(NamespaceSelector::parse("4026532246"), inode);
        assert_eq!(NamespaceSelector::parse("net:[4026532246]"), inode);
    }

    #[test]
    fn a_word_is_a_name_and_a_file_is_a_path() {
        assert_eq!(NamespaceSelector::parse("host"), NamespaceSelector::Host);
        assert_eq!(NamespaceSelector::parse("blue"), NamespaceSelector::Name("blue".into()));
        let path = "/proc/self/ns/net";
        assert_eq!(NamespaceSelector::parse(path), NamespaceSelector::Path(path.into()));
        let pod = NamespaceSelector::Name("shop/cart-0".into());
        assert_eq!(NamespaceSelector::parse("shop/cart-0"), pod);
    }

    #[test]
    fn a_container_is_called_by_its_name_pod_or_the_beginning_of_its_id() {
        let owner = Owner::Container {
            runtime: "containerd".into(),
            id: "3f4a1d1c0b5e".into(),
            name: Some("shop/cart-0".into()),
        };
        for name in ["shop/cart-0", "cart-0", "3f4a1d"] {
            assert!(is_called(&owner, name), "{name}");
        }
        for name in ["3f4", "cart", ""] {
            assert!(!is_called(&owner, name), "{name}");
        }
    }
}
