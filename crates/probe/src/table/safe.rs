//! Whether ctnetlink can be asked without changing the system.
//!
//! Opening a netfilter netlink socket makes the kernel load `nfnetlink`, and a conntrack request makes it
//! load `nf_conntrack_netlink` and with it `nf_conntrack`, which on old kernels begins to track at once.

use std::io;

use plimsoll_diagnosis::facts::{Gap, Reason};
use plimsoll_diagnosis::{Said, said};

use crate::files::Files;

/// Files of which one exists wherever conntrack is in the kernel.
const CONNTRACK: &[&str] = &[
    "/proc/sys/net/netfilter/nf_conntrack_count",
    "/proc/sys/net/netfilter/nf_conntrack_max",
    "/proc/sys/net/ipv4/netfilter/ip_conntrack_count",
    "/proc/sys/net/ipv4/netfilter/ip_conntrack_max",
    "/proc/sys/net/ipv4/ip_conntrack_max",
    "/proc/net/stat/nf_conntrack",
    "/proc/net/stat/ip_conntrack",
];

const MODULES: &[&str] = &["nf_conntrack_netlink", "ip_conntrack_netlink"];

/// Whether a ctnetlink request can load nothing: conntrack is there, and its netlink part is loaded or
/// built in, or this kernel can load no module at all.
pub fn netlink_safe(files: &Files) -> Result<(), Gap> {
    if !CONNTRACK.iter().any(|path| files.exists(path)) {
        return Err(Gap {
            reason: Reason::NotLoaded,
            detail: said!(
                "no conntrack under /proc/sys/net; asking ctnetlink would load it",
                "/proc/sys/net 下没有 conntrack；向 ctnetlink 查询会加载它"
            ),
            needs: None,
        });
    }
    if can_load_nothing(files, MODULES) {
        return Ok(());
    }
    Err(Gap {
        reason: Reason::NotLoaded,
        detail: said!(
            "nf_conntrack_netlink is not loaded; asking ctnetlink would load it",
            "nf_conntrack_netlink 没有加载；向 ctnetlink 查询会加载它"
        ),
        needs: Some(Said::name("modprobe nf_conntrack_netlink")),
    })
}

/// Whether asking for what one of these modules does can load none: one is there, or built in, or this kernel can
/// load no module at all.
pub(crate) fn can_load_nothing(files: &Files, modules: &[&str]) -> bool {
    if modules.iter().any(|module| files.exists(&format!("/sys/module/{module}"))) {
        return true;
    }
    let loaded = match files.text("/proc/modules") {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return true,
        Err(_) => String::new(),
    };
    let named = |line: &str| line.split(' ').next().is_some_and(|name| modules.contains(&name));
    loaded.lines().any(named) || is_built_in(files, modules) || cannot_load(files)
}

fn is_built_in(files: &Files, modules: &[&str]) -> bool {
    let Ok(release) = files.text("/proc/sys/kernel/osrelease") else { return false };
    let path = format!("/lib/modules/{}/modules.builtin", release.trim());
    let Ok(list) = files.text(&path) else { return false };
    list.lines().any(|line| {
        let file = line.rsplit('/').next().unwrap_or(line);
        let module = file.split(".ko").next().unwrap_or(file).replace('-', "_");
        modules.contains(&module.as_str())
    })
}

fn cannot_load(files: &Files) -> bool {
    let says = |path: &str, what: &str| files.text(path).is_ok_and(|text| text.trim() == what);
    says("/proc/sys/kernel/modules_disabled", "1") || says("/proc/sys/kernel/modprobe", "")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("plimsoll-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(root)
        }
        fn verdict(&self) -> Result<(), Reason> {
            netlink_safe(&Files::Directory(self.0.clone())).map_err(|gap| gap.reason)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const COUNT: (&str, &str) = ("proc/sys/net/netfilter/nf_conntrack_count", "3\n");
    const MODPROBE: (&str, &str) = ("proc/sys/kernel/modprobe", "/sbin/modprobe\n");
    const NONE_LOADED: (&str, &str) = ("proc/modules", "nf_conntrack 1 0 - Live 0x0\n");

    #[test]
    fn without_conntrack_nothing_is_asked() {
        let tree = Tree::new("none", &[("proc/modules", "")]);
        assert_eq!(tree.verdict(), Err(Reason::NotLoaded));
    }

    #[test]
    fn conntrack_without_its_netlink_module_is_not_asked() {
        let tree = Tree::new("part", &[COUNT, MODPROBE, NONE_LOADED]);
        assert_eq!(tree.verdict(), Err(Reason::NotLoaded));
    }

    #[test]
    fn a_loaded_netlink_module_may_be_asked() {
        let modules =
            ("proc/modules", "x 1 0 - Live 0x0\nnf_conntrack_netlink 57344 0 - Live 0x0\n");
        assert_eq!(Tree::new("loaded", &[COUNT, MODPROBE, modules]).verdict(), Ok(()));
    }

    #[test]
    fn one_that_is_built_in_may_be_asked() {
        let release = ("proc/sys/kernel/osrelease", "6.1.0-9\n");
        let list = (
            "lib/modules/6.1.0-9/modules.builtin",
            "kernel/net/netfilter/nf_conntrack_netlink.ko\n",
        );
        let tree = Tree::new("builtin", &[COUNT, MODPROBE, NONE_LOADED, release, list]);
        assert_eq!(tree.verdict(), Ok(()));
    }

    #[test]
    fn a_kernel_that_cannot_load_modules_may_be_asked() {
        assert_eq!(Tree::new("nomod", &[COUNT, MODPROBE]).verdict(), Ok(()));
        let off = ("proc/sys/kernel/modules_disabled", "1\n");
        assert_eq!(Tree::new("off", &[COUNT, MODPROBE, NONE_LOADED, off]).verdict(), Ok(()));
        let empty = ("proc/sys/kernel/modprobe", "\n");
        assert_eq!(Tree::new("empty", &[COUNT, empty, NONE_LOADED]).verdict(), Ok(()));
    }
}
