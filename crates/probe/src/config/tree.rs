//! The files that take part in booting, as text, for the boot simulation.
//!
//! Bounded: a file of more than [`LARGEST`] bytes is not read and is said to be so, and so is what lies beyond
//! [`MOST_FILES`] and [`MOST_BYTES`]. Links are kept as links and not followed here: what they lead to inside the list is read
//! under its own name, anything else through the link.

use std::io;

use plimsoll_diagnosis::boot::{Entry, Tree, Ufw};
use plimsoll_diagnosis::{Said, said};

use crate::files::Files;
use crate::live::said_of;

/// Largest file of settings that is read. A kernel refuses no size, and no host has one of this.
const LARGEST: u64 = 1 << 20;
/// Most files, and bytes in all.
const MOST_FILES: usize = 5000;
const MOST_BYTES: u64 = 32 << 20;
/// Most pods whose mounts are looked at.
const PODS: usize = 1000;
/// Names that kube-proxy's configuration has in its ConfigMap.
const CONFIG_MAPS: &[&str] = &["config.conf", "config", "config.yaml", "kube-proxy-config.yaml"];

/// Parents of the folders that are merged by name.
const PARENTS: &[&str] = &["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"];

/// Files that are read whole.
const TEXTS: &[&str] = &[
    "/proc/cmdline",
    "/proc/1/comm",
    "/proc/mounts",
    "/etc/sysctl.conf",
    "/etc/modules",
    "/etc/modprobe.conf",
    "/etc/rc.modules",
    "/etc/rc.local",
    "/etc/rc.d/rc.local",
    "/etc/rc.d/init.d/network",
    "/etc/init.d/network",
    "/etc/init.d/sysctl",
    "/etc/sysconfig/iptables",
    "/etc/sysconfig/ip6tables",
    "/etc/sysconfig/iptables-config",
    "/etc/sysconfig/ip6tables-config",
    "/etc/sysconfig/nftables.conf",
    "/etc/sysconfig/kube-proxy",
    "/etc/nftables.conf",
    "/etc/nftables.nft",
    "/etc/iptables/rules-save",
    "/etc/iptables/rules6-save",
    "/etc/iptables/rules.v4",
    "/etc/iptables/rules.v6",
    "/etc/ufw/ufw.conf",
    "/etc/ufw/sysctl.conf",
    "/etc/default/ufw",
    "/etc/default/kube-proxy",
    "/etc/default/shorewall",
    "/etc/default/shorewall6",
    "/etc/default/shorewall-lite",
    "/etc/default/shorewall6-lite",
    "/etc/shorewall/shorewall.conf",
    "/etc/shorewall6/shorewall6.conf",
    "/etc/initramfs-tools/modules",
    "/etc/dracut.conf",
    "/etc/tuned/active_profile",
    "/etc/tuned/tuned-main.conf",
    "/etc/cloud/cloud.cfg",
    "/var/lib/cloud/instance/user-data.txt",
    "/var/lib/kube-proxy/config.conf",
    "/var/lib/kube-proxy/config.yaml",
    "/var/lib/kube-proxy/kube-proxy-config.yaml",
    "/etc/kubernetes/kube-proxy-config.yaml",
    "/etc/kubernetes/kube-proxy.yaml",
    "/etc/kubernetes/proxy",
    "/etc/kubernetes/manifests/kube-proxy.yaml",
    "/etc/kubernetes/manifests/kube-proxy.manifest",
    "/etc/rancher/k3s/config.yaml",
    "/etc/rancher/rke2/config.yaml",
];

/// Folders whose files are read whole.
const FOLDERS: &[&str] = &[
    "/etc/sysconfig/modules",
    "/etc/dracut.conf.d",
    "/usr/lib/dracut/dracut.conf.d",
    "/etc/cloud/cloud.cfg.d",
    "/var/lib/cloud/scripts/per-boot",
];

/// Names that only matter by being there.
const SIGNS: &[&str] = &[
    "/run/systemd/system",
    "/usr/lib/systemd/systemd-sysctl",
    "/lib/systemd/systemd-sysctl",
    "/etc/rc.d/rc.sysinit",
    "/etc/init.d/procps",
    "/etc/init.d/sysctl",
    "/etc/init/procps.conf",
    "/etc/cloud/cloud-init.disabled",
];

/// Units whose order to systemd-sysctl matters.
const UNITS: &[&str] = &[
    "nftables",
    "iptables",
    "ip6tables",
    "netfilter-persistent",
    "ufw",
    "firewalld",
    "shorewall",
    "shorewall6",
    "shorewall-lite",
    "shorewall6-lite",
    "kube-proxy",
];

/// Folders of links that say what is started.
const LINKS: &[&str] = &[
    "/etc/rc.d/rc3.d",
    "/etc/rc.d/rc5.d",
    "/etc/rc.d/rc2.d",
    "/etc/rcS.d",
    "/etc/rc2.d",
    "/etc/rc3.d",
    "/etc/rc5.d",
    "/etc/runlevels/sysinit",
    "/etc/runlevels/boot",
    "/etc/runlevels/default",
];

/// Reads them.
pub(super) fn read(files: &Files) -> Tree {
    let mut reader = Reader { files, tree: Tree::default(), count: 0, bytes: 0 };
    for folder in [
        "/lib",
        "/etc/rc.d",
        "/etc/init.d",
        "/var/lib/cloud/instance",
        // Busybox's, or that of procps.
        "/sbin",
        "/sbin/sysctl",
        "/usr/sbin/sysctl",
    ] {
        if let Ok(target) = files.link(folder) {
            reader.tree.put(folder, Entry::Link(target));
        }
    }
    for kind in ["sysctl.d", "modprobe.d", "modules-load.d"] {
        for parent in PARENTS {
            reader.folder(&format!("{parent}/{kind}"), |text| text);
        }
    }
    for parent in PARENTS {
        // There are hundreds, and what they say of devices is of no interest; but a file hides others by its name.
        let about_us = |text: String| if text.contains("sysctl") { text } else { String::new() };
        reader.folder(&format!("{parent}/udev/rules.d"), about_us);
    }
    TEXTS.iter().for_each(|path| reader.file(path, |text| text));
    crate::rules::NFT_SCRIPTS.iter().for_each(|path| reader.included(path));
    FOLDERS.iter().for_each(|folder| reader.folder(folder, |text| text));
    for path in SIGNS {
        if files.exists(path) && !reader.tree.exists(path) {
            reader.tree.put_text(*path, "");
        }
    }
    reader.ufw();
    reader.units();
    reader.tuned();
    reader.pods();
    reader.kube_proxies();
    reader.tree
}

struct Reader<'a> {
    files: &'a Files,
    tree: Tree,
    count: usize,
    bytes: u64,
}

impl Reader<'_> {
    fn folder(&mut self, folder: &str, keep: impl Fn(String) -> String + Copy) {
        // A folder that is reached through a link is read under its own name.
        if self.tree.resolve(folder).is_none_or(|own| own != folder) {
            return;
        }
        let names = match self.files.list(folder) {
            Ok(names) => names,
            Err(error) if is_refusal(&error) => {
                return self.tree.put(folder, Entry::Unread(said_of(&error)));
            }
            Err(_) => return,
        };
        for name in names {
            self.file(&format!("{folder}/{name}"), keep);
        }
    }

    fn file(&mut self, path: &str, keep: impl Fn(String) -> String) {
        if self.count >= MOST_FILES {
            return self.tree.put(
                "/",
                Entry::Unread(said!(
                    "more than {MOST_FILES} files take part: the rest is not read",
                    "参与的文件多于 {MOST_FILES} 个：其余没有读"
                )),
            );
        }
        self.count += 1;
        if let Ok(target) = self.files.link(path) {
            self.tree.put(path, Entry::Link(target));
            let Some(own) = self.tree.resolve(path) else {
                return self
                    .tree
                    .put(path, Entry::Unread(Said::of("links in a ring", "链接绕成了圈")));
            };
            if own == "/dev/null"
                || self.tree.text(&own).is_some()
                || self.tree.unread(&own).is_some()
            {
                return;
            }
            // A saved tree may hold the link and not its end; the running host may lead it anywhere.
            return self.whole(path, &own, keep);
        }
        self.whole(path, path, keep);
    }

    /// Reads `path`, and puts it down as `own`.
    fn whole(&mut self, path: &str, own: &str, keep: impl Fn(String) -> String) {
        if self.bytes >= MOST_BYTES {
            let why = said!(
                "more than {} MiB in all: not read",
                "总共超过 {} MiB：没有读",
                MOST_BYTES >> 20
            );
            return self.tree.put(own, Entry::Unread(why));
        }
        let bytes = match self.files.read(path, LARGEST + 1) {
            Ok(bytes) => bytes,
            Err(error) if is_refusal(&error) => {
                // A folder among the files is no mistake.
                if self.files.list(path).is_ok() {
                    return;
                }
                return self.tree.put(own, Entry::Unread(said_of(&error)));
            }
            Err(_) => return,
        };
        self.bytes += bytes.len() as u64;
        if bytes.len() as u64 > LARGEST {
            let why = said!("larger than {} MiB: not read", "大于 {} MiB：没有读", LARGEST >> 20);
            return self.tree.put(own, Entry::Unread(why));
        }
        if let Some(cut) = self.files.cut(path) {
            return self.tree.put(
                own,
                Entry::Unread(said!("held in part only: {cut}", "只保存了一部分：{cut}")),
            );
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let executable = self.files.executable(path);
        self.tree.put(own, Entry::File { text: keep(text), executable });
    }

    /// What a script of nft includes, wherever that is.
    fn included(&mut self, path: &str) {
        let script = crate::rules::script(self.files, path);
        for path in script.iter().flat_map(|script| &script.included) {
            if self.tree.text(path).is_none() {
                self.file(path, |text| text);
            }
        }
    }

    /// The file that ufw applies, wherever that is.
    fn ufw(&mut self) {
        let ufw = Ufw::read(|path| self.tree.text(path).map(String::from));
        if let Some(path) = ufw.sysctl.filter(|path| self.tree.text(path).is_none()) {
            self.file(&path, |text| text);
        }
    }

    /// What is enabled: names only.
    fn units(&mut self) {
        const SYSTEM: &str = "/etc/systemd/system";
        for folder in self.files.list(SYSTEM).unwrap_or_default() {
            if folder.ends_with(".wants") || folder.ends_with(".requires") {
                self.names(&format!("{SYSTEM}/{folder}"));
            }
        }
        LINKS.iter().for_each(|folder| self.names(folder));
        for unit in UNITS {
            for parent in ["/etc", "/run", "/usr/lib", "/lib"] {
                let path = format!("{parent}/systemd/system/{unit}.service");
                if parent != "/lib" || self.tree.resolve("/lib").as_deref() == Some("/lib") {
                    self.file(&path, |text| text);
                }
            }
        }
    }

    fn names(&mut self, folder: &str) {
        for name in self.files.list(folder).unwrap_or_default() {
            self.tree.put(
                format!("{folder}/{name}"),
                Entry::File { text: String::new(), executable: None },
            );
        }
    }

    fn tuned(&mut self) {
        if self.tree.text("/etc/tuned/active_profile").is_none() {
            return;
        }
        for folder in
            ["/etc/tuned", "/etc/tuned/profiles", "/usr/lib/tuned", "/usr/lib/tuned/profiles"]
        {
            for name in self.files.list(folder).unwrap_or_default() {
                self.file(&format!("{folder}/{name}/tuned.conf"), |text| text);
            }
        }
    }

    /// The command lines of kube-proxy where it runs: its DaemonSet may give it flags, which stand in no file.
    fn kube_proxies(&mut self) {
        if !["/var/lib/kubelet", "/etc/kubernetes"].iter().any(|f| self.files.list(f).is_ok()) {
            return;
        }
        for process in self.files.list("/proc").unwrap_or_default() {
            let comm = self.files.read(&format!("/proc/{process}/comm"), 64);
            if comm.is_ok_and(|comm| comm.trim_ascii() == b"kube-proxy") {
                let path = format!("/proc/{process}/cmdline");
                self.whole(&path, &path, |text| text);
            }
        }
    }

    /// kube-proxy's ConfigMap as it is mounted into its pod.
    fn pods(&mut self) {
        const FOLDER: &str = "/var/lib/kubelet/pods";
        let pods = match self.files.list(FOLDER) {
            Ok(pods) => pods,
            Err(error) => {
                if is_refusal(&error) {
                    self.tree.put(FOLDER, Entry::Unread(said_of(&error)));
                }
                return;
            }
        };
        for pod in pods.iter().take(PODS) {
            let maps = &format!("{FOLDER}/{pod}/volumes/kubernetes.io~configmap");
            // kubeadm calls it kube-proxy, EKS config, OpenShift proxy-config.
            let volumes = self.files.list(maps).unwrap_or_default();
            let volumes = volumes.iter().filter(|v| v.contains("proxy") || *v == "config");
            for path in volumes.flat_map(|volume| {
                CONFIG_MAPS.iter().map(move |name| format!("{maps}/{volume}/{name}"))
            }) {
                let text = self.files.read(&path, LARGEST).unwrap_or_default();
                if String::from_utf8_lossy(&text).contains("KubeProxyConfiguration") {
                    // The mount is a link into a folder of its own; only its end is of interest.
                    self.whole(&path, &path, |text| text);
                }
            }
        }
    }
}

/// Whether something is there that this program may not read, or that is no file.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput)
        || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}
