//! /proc/PID/mountinfo, as far as it shows where network namespaces are kept alive by a mount.
//!
//! Kernel: `show_mountinfo()`, fs/proc_namespace.c; nsfs (3.19 and later) names its root `net:[INODE]`.

use alloc::string::String;
use alloc::vec::Vec;

/// A network namespace that is mounted on a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceMount {
    /// Inode of the namespace.
    pub inode: u64,
    /// The file, as the reader of that mountinfo sees it.
    pub point: String,
}

/// Network namespaces among the mounts. Lines that can't be understood are skipped.
pub fn net_namespaces(text: &str) -> Vec<NamespaceMount> {
    text.lines().filter_map(net_namespace).collect()
}

/// `36 35 0:4 net:[4026532246] /run/netns/blue rw shared:2 - nsfs nsfs rw`
fn net_namespace(line: &str) -> Option<NamespaceMount> {
    let mut words = line.split(' ').skip(3);
    let inode = words.next()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()?;
    Some(NamespaceMount { inode, point: unescaped(words.next()?) })
}

/// Space, tab, line end and backslash stand as three octal digits.
fn unescaped(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        match tail {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] if *first == b'\\' => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_namespace_tells_its_inode_and_file() {
        let text = "22 27 0:20 / /proc rw,relatime shared:5 - proc proc rw\n\
                    300 25 0:4 net:[4026532246] /run/netns/my\\040lab rw shared:150 - nsfs nsfs rw\n\
                    301 25 0:4 mnt:[4026532300] /run/snapd/ns/x.mnt rw - nsfs nsfs rw\n";
        let found = net_namespaces(text);
        assert_eq!(
            found,
            [NamespaceMount { inode: 4_026_532_246, point: "/run/netns/my lab".into() }]
        );
    }

    #[test]
    fn lines_that_are_cut_are_skipped() {
        assert!(
            net_namespaces("300 25 0:4 net:[4026532246]\n300 25 0:4 net:[x] /a\n300\n").is_empty()
        );
    }
}
