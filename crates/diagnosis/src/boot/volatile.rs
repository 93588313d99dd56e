//! Files that are gone with the next boot: a root in memory (Alpine's diskless mode, live systems, images in RAM).

use super::tree::Tree;

/// Where a settings file goes.
const SETTINGS: &str = "/etc/sysctl.d";

/// Kind of the file system in memory that holds /etc/sysctl.d, by the list of mounts. `None`: it lies on a disk, or nothing tells.
pub(crate) fn in_memory(tree: &Tree) -> Option<&'static str> {
    in_memory_at(tree.text("/proc/mounts")?, SETTINGS, 0)
}

fn in_memory_at(mounts: &str, path: &str, depth: u32) -> Option<&'static str> {
    // Where several are mounted upon each other the last counts.
    let holds = |at: &str| {
        at == "/" || path == at || path.strip_prefix(at).is_some_and(|rest| rest.starts_with('/'))
    };
    let rows = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?, words.next()?))
    });
    let mut best: Option<(&str, &str, &str)> = None;
    for row in rows.filter(|(at, _, _)| holds(at)) {
        if best.is_none_or(|(at, _, _)| row.0.len() >= at.len()) {
            best = Some(row);
        }
    }
    let (_, kind, options) = best?;
    match kind {
        "tmpfs" => Some("tmpfs"),
        "ramfs" | "rootfs" => Some("ramfs"),
        // What is written goes to the upper layer.
        "overlay" if depth == 0 => {
            let upper = options.split(',').find_map(|o| o.strip_prefix("upperdir="))?;
            in_memory_at(mounts, upper, depth + 1)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn kind(mounts: &str) -> Option<&'static str> {
        let mut tree = Tree::default();
        tree.put_text("/proc/mounts", mounts);
        in_memory(&tree)
    }

    #[test]
    fn a_root_in_memory_is_told_from_one_on_a_disk() {
        assert_eq!(kind("rootfs / rootfs rw 0 0\ntmpfs / tmpfs rw,mode=755 0 0\n"), Some("tmpfs"));
        assert_eq!(kind("none / rootfs rw 0 0\n"), Some("ramfs"));
        assert_eq!(kind("rootfs / rootfs rw 0 0\n/dev/vda1 / ext4 rw 0 0\n"), None);
        assert_eq!(kind("/dev/vda1 / ext4 rw 0 0\ntmpfs /etc tmpfs rw 0 0\n"), Some("tmpfs"));
        assert_eq!(kind("tmpfs / tmpfs rw 0 0\n/dev/vda1 /etc ext4 rw 0 0\n"), None);
        assert_eq!(kind("/dev/vda1 / ext4 rw 0 0\ntmpfs /etcetera tmpfs rw 0 0\n"), None);
        let live = "overlay / overlay rw,lowerdir=/ro,upperdir=/cow/up,workdir=/cow/w 0 0\n";
        assert_eq!(kind(&format!("tmpfs /cow tmpfs rw 0 0\n{live}")), Some("tmpfs"));
        assert_eq!(kind(&format!("/dev/vdb /cow ext4 rw 0 0\n{live}")), None);
        assert_eq!(kind("broken\n"), None);
    }
}
