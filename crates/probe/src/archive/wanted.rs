//! Which members of a bundle are of interest, and where on the host they belong.

use std::collections::BTreeSet;

/// What is to be kept of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interest {
    /// Nothing.
    None,
    /// Its first bytes, as many as that.
    Small(u64),
    /// A log: see [`super::excerpt`].
    Log,
}

use Interest::{Log, Small};
use plimsoll_diagnosis::{Said, said};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A listing of the table is as long as the table; [`super::Bounds::member`] holds it.
const LISTING: Interest = Small(u64::MAX);

/// Every file that the probe may ask for. `*` stands for any part of a name, a last `**` for anything
/// below. The first that fits decides.
const WANTED: &[(&str, Interest)] = &[
    // What the kernel shows. A saved /proc/net may hang below self, a number, or thread-self.
    ("proc/net/nf_conntrack", LISTING),
    ("proc/net/ip_conntrack", LISTING),
    ("proc/*/net/nf_conntrack", LISTING),
    ("proc/*/net/ip_conntrack", LISTING),
    ("proc/net/stat/*", Small(4 * MIB)),
    ("proc/*/net/stat/*", Small(4 * MIB)),
    ("proc/net/*_conntrack_expect", Small(4 * MIB)),
    ("proc/*/net/*_conntrack_expect", Small(4 * MIB)),
    ("proc/net/ip*_tables_names", Small(64 * KIB)),
    ("proc/*/net/ip*_tables_names", Small(64 * KIB)),
    ("proc/net/netstat", Small(256 * KIB)),
    ("proc/*/net/netstat", Small(256 * KIB)),
    ("proc/net/snmp*", Small(256 * KIB)),
    ("proc/*/net/snmp*", Small(256 * KIB)),
    ("proc/net/sockstat*", Small(64 * KIB)),
    ("proc/*/net/sockstat*", Small(64 * KIB)),
    ("proc/net/arp", Small(4 * MIB)),
    ("proc/*/net/arp", Small(4 * MIB)),
    ("proc/sys/net/netfilter/**", Small(4 * KIB)),
    ("proc/sys/net/ipv4/**", Small(4 * KIB)),
    ("proc/sys/net/ipv6/neigh/**", Small(4 * KIB)),
    ("proc/sys/net/core/**", Small(4 * KIB)),
    ("proc/sys/net/*", Small(4 * KIB)),
    ("proc/sys/kernel/**", Small(4 * KIB)),
    ("proc/modules", Small(MIB)),
    ("proc/slabinfo", Small(4 * MIB)),
    ("proc/cpuinfo", Small(8 * MIB)),
    ("proc/stat", Small(8 * MIB)),
    ("proc/version", Small(64 * KIB)),
    ("proc/cmdline", Small(64 * KIB)),
    ("proc/uptime", Small(64 * KIB)),
    ("proc/meminfo", Small(64 * KIB)),
    ("proc/loadavg", Small(64 * KIB)),
    ("proc/*/comm", Small(64)),
    ("proc/*/cmdline", Small(4 * KIB)),
    ("proc/*/cgroup", Small(4 * KIB)),
    ("sys/module/*conntrack*/**", Small(4 * KIB)),
    ("sys/module/nf_*/**", Small(4 * KIB)),
    ("sys/kernel/slab/nf_conntrack*/**", Small(4 * KIB)),
    ("sys/devices/system/cpu/online", Small(4 * KIB)),
    // What takes part in booting, and who manages the firewall.
    ("etc/sysctl.conf", Small(MIB)),
    ("etc/sysctl.d/*", Small(MIB)),
    ("etc/sysconfig/**", Small(MIB)),
    ("etc/modprobe.conf", Small(MIB)),
    ("etc/modprobe.conf.*", Small(MIB)),
    ("etc/modprobe.d/*", Small(MIB)),
    ("etc/conf.modules", Small(MIB)),
    ("etc/modules.conf", Small(MIB)),
    ("etc/modules", Small(MIB)),
    ("etc/modules-load.d/*", Small(MIB)),
    ("etc/rc.modules", Small(MIB)),
    ("etc/rc.local", Small(MIB)),
    ("etc/rc.d/rc.*", Small(MIB)),
    ("etc/default/*", Small(256 * KIB)),
    ("etc/ufw/**", Small(MIB)),
    ("etc/shorewall*/*.conf", Small(MIB)),
    ("etc/firewalld/**", Small(MIB)),
    ("etc/nftables.conf", Small(4 * MIB)),
    ("etc/nftables/**", Small(4 * MIB)),
    ("etc/iptables/**", Small(4 * MIB)),
    ("etc/iptables*", Small(4 * MIB)),
    ("etc/tuned/**", Small(256 * KIB)),
    ("etc/udev/rules.d/*", Small(256 * KIB)),
    ("etc/docker/daemon.json", Small(256 * KIB)),
    ("etc/kubernetes/**", Small(256 * KIB)),
    ("etc/fail2ban/*", Small(256 * KIB)),
    ("etc/libvirt/*", Small(256 * KIB)),
    ("etc/systemd/system/**", Small(64 * KIB)),
    ("usr/lib/systemd/system/*", Small(64 * KIB)),
    ("usr/lib/systemd/system/ssh*.socket.d/*", Small(64 * KIB)),
    ("lib/systemd/system/*", Small(64 * KIB)),
    ("lib/systemd/system/ssh*.socket.d/*", Small(64 * KIB)),
    ("usr/lib/systemd/systemd-sysctl", Small(64)),
    ("lib/systemd/systemd-sysctl", Small(64)),
    ("run/systemd/system/*", Small(64 * KIB)),
    ("run/systemd/*/ssh*.socket.d/*", Small(64 * KIB)),
    ("etc/ssh/sshd_config", Small(MIB)),
    ("etc/ssh/sshd_config.d/*", Small(MIB)),
    ("etc/init/*", Small(4 * KIB)),
    ("etc/init.d/network", Small(MIB)),
    ("etc/init.d/*", Small(4 * KIB)),
    ("etc/rc*.d/*", Small(4 * KIB)),
    ("etc/rc.d/init.d/network", Small(MIB)),
    ("etc/rc.d/**", Small(4 * KIB)),
    ("etc/initramfs-tools/modules", Small(64 * KIB)),
    ("etc/dracut.conf", Small(64 * KIB)),
    ("etc/dracut.conf.d/*", Small(64 * KIB)),
    ("usr/lib/dracut/dracut.conf.d/*", Small(64 * KIB)),
    ("etc/cloud/cloud.cfg", Small(MIB)),
    ("etc/cloud/cloud.cfg.d/*", Small(MIB)),
    ("etc/cloud/cloud-init.disabled", Small(64)),
    ("var/lib/cloud/instance/user-data.txt", Small(MIB)),
    ("var/lib/cloud/scripts/per-boot/*", Small(MIB)),
    ("etc/rancher/*/config.yaml", Small(MIB)),
    ("var/lib/kube-proxy/*", Small(MIB)),
    ("var/lib/kubelet/pods/*/volumes/kubernetes.io~configmap/kube-proxy/config.conf", Small(MIB)),
    ("var/lib/kubelet/pods/*/volumes/kubernetes.io~configmap/config/config", Small(MIB)),
    (
        "var/lib/kubelet/pods/*/volumes/kubernetes.io~configmap/proxy-config/kube-proxy-config.yaml",
        Small(MIB),
    ),
    ("run/udev/rules.d/*", Small(256 * KIB)),
    ("usr/local/lib/udev/rules.d/*", Small(256 * KIB)),
    ("usr/lib/udev/rules.d/*", Small(256 * KIB)),
    ("lib/udev/rules.d/*", Small(256 * KIB)),
    ("boot/config-*", Small(MIB)),
    ("proc/config.gz", Small(MIB)),
    ("lib/modules/*/modules.builtin", Small(MIB)),
    ("usr/lib/modules/*/modules.builtin", Small(MIB)),
    ("lib/modules/*/modules.dep", Small(4 * MIB)),
    ("usr/lib/modules/*/modules.dep", Small(4 * MIB)),
    ("var/lib/iptables/rules-save", Small(4 * MIB)),
    ("usr/lib/sysctl.d/*", Small(MIB)),
    ("usr/local/lib/sysctl.d/*", Small(MIB)),
    ("lib/sysctl.d/*", Small(MIB)),
    ("run/sysctl.d/*", Small(MIB)),
    ("usr/lib/modprobe.d/*", Small(MIB)),
    ("usr/local/lib/modprobe.d/*", Small(MIB)),
    ("lib/modprobe.d/*", Small(MIB)),
    ("run/modprobe.d/*", Small(MIB)),
    ("usr/lib/modules-load.d/*", Small(MIB)),
    ("usr/local/lib/modules-load.d/*", Small(MIB)),
    ("lib/modules-load.d/*", Small(MIB)),
    ("run/modules-load.d/*", Small(MIB)),
    ("usr/lib/tuned/**", Small(64 * KIB)),
    ("var/lib/tuned/*", Small(64 * KIB)),
    // Which host it is, and which time it keeps.
    ("etc/hostname", Small(4 * KIB)),
    ("etc/HOSTNAME", Small(4 * KIB)),
    ("etc/os-release", Small(64 * KIB)),
    ("usr/lib/os-release", Small(64 * KIB)),
    ("etc/*release", Small(64 * KIB)),
    ("etc/debian_version", Small(64 * KIB)),
    ("etc/*version", Small(64 * KIB)),
    ("etc/localtime", Small(64 * KIB)),
    ("etc/timezone", Small(4 * KIB)),
    ("etc/adjtime", Small(4 * KIB)),
    ("usr/share/zoneinfo/**", Small(16 * KIB)),
    // What somebody saved by hand beside the host's files.
    ("version.txt", Small(4 * KIB)),
    ("date", Small(4 * KIB)),
    ("uname", Small(4 * KIB)),
    ("lsmod", Small(MIB)),
    ("ps", Small(8 * MIB)),
    ("sysctl-a", Small(8 * MIB)),
    ("iptables*", Small(8 * MIB)),
    ("ip6tables*", Small(8 * MIB)),
    ("nft*", Small(8 * MIB)),
    ("dmesg*", Log),
    // Logs; the rotated and compressed ones are kept as they are.
    ("var/log/*.gz", Small(16 * MIB)),
    ("var/log/*.xz", Small(16 * MIB)),
    ("var/log/*.bz2", Small(16 * MIB)),
    ("var/log/*.zst", Small(16 * MIB)),
    ("var/log/messages*", Log),
    ("var/log/syslog*", Log),
    ("var/log/kern*", Log),
    ("var/log/dmesg*", Log),
    ("var/log/boot*", Log),
    // Not read; that it is there is told.
    ("var/log/journal/*/*.journal", Small(8)),
    ("run/log/journal/*/*.journal", Small(8)),
    ("sos_strings/*/var.log.*", Log),
    ("sos_strings/*/*dmesg*", Log),
    ("sos_strings/*/*journalctl*", Log),
    ("sos_strings/*/*conntrack*", LISTING),
    // What sosreport's commands said.
    ("sos_commands/logs/*", Log),
    ("sos_commands/kernel/dmesg*", Log),
    ("sos_commands/general/dmesg*", Log),
    ("sos_commands/conntrack/**", LISTING),
    ("sos_commands/networking/**", Small(8 * MIB)),
    ("sos_commands/networkmanager/hostname*", Small(64 * KIB)),
    ("sos_commands/firewall_tables/**", Small(8 * MIB)),
    ("sos_commands/firewalld/**", Small(8 * MIB)),
    ("sos_commands/iptables/**", Small(8 * MIB)),
    ("sos_commands/nftables/**", Small(8 * MIB)),
    ("sos_commands/kernel/modinfo*", Interest::None),
    ("sos_commands/kernel/*", Small(8 * MIB)),
    ("sos_commands/host/*", Small(MIB)),
    ("sos_commands/general/*", Small(MIB)),
    ("sos_commands/date/*", Small(64 * KIB)),
    ("sos_commands/memory/*", Small(MIB)),
    ("sos_commands/processor/lscpu", Small(64 * KIB)),
    ("sos_commands/process/ps*", Small(8 * MIB)),
    ("sos_commands/systemd/systemctl_list*", Small(4 * MIB)),
    ("sos_commands/systemd/timedatectl", Small(64 * KIB)),
    ("sos_commands/services/*", Small(MIB)),
    ("sos_commands/release/*", Small(64 * KIB)),
];

/// Names that stand at a host's root, or at a sosreport's.
const TOPS: &[&str] = &[
    "bin",
    "boot",
    "dev",
    "etc",
    "home",
    "lib",
    "lib64",
    "mnt",
    "opt",
    "proc",
    "root",
    "run",
    "sbin",
    "sos_commands",
    "sos_logs",
    "sos_reports",
    "sos_strings",
    "srv",
    "sys",
    "tmp",
    "usr",
    "var",
];

/// What is to be kept of the file of this path.
pub(super) fn interest(path: &str) -> Interest {
    WANTED
        .iter()
        .find(|(pattern, _)| fits(pattern, path))
        .map_or(Interest::None, |&(_, interest)| interest)
}

/// Whether a directory or a link of this path may lead to a file of interest.
pub(super) fn is_of_interest(path: &str) -> bool {
    interest(path) != Interest::None
        || ["lib", "usr/lib", "var/run"].contains(&path)
        || (path.starts_with("lib/modules/") && path.split('/').count() == 3)
        || WANTED.iter().any(|(pattern, _)| leads_to(pattern, path))
}

/// Whether a path fits a pattern.
fn fits(pattern: &str, path: &str) -> bool {
    // Nearly all pairs are told apart by their first letter.
    if pattern.as_bytes().first() != path.as_bytes().first() {
        return false;
    }
    let mut names = path.split('/');
    for part in pattern.split('/') {
        let Some(name) = names.next() else { return false };
        if part == "**" {
            return true;
        }
        if !name_fits(part, name) {
            return false;
        }
    }
    names.next().is_none()
}

/// Whether a path is a beginning of one that fits.
fn leads_to(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('/');
    path.split('/').all(|name| parts.next().is_some_and(|part| name_fits(part, name)))
}

/// Whether a name fits a part of a pattern, where `*` stands for anything.
fn name_fits(part: &str, name: &str) -> bool {
    let Some((start, rest)) = part.split_once('*') else { return part == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return name.ends_with(piece);
        }
        let Some(at) = name.find(piece) else { return false };
        name = &name[at + piece.len()..];
    }
    true
}

/// Finds a member's place on the host: below what, if anything, the bundle's files stand.
#[derive(Debug, Default)]
pub(super) struct Placing {
    /// The directory that all of them share (`sosreport-web1-2026`); `Some("")` if none.
    prefix: Option<String>,
    /// Other such directories: a bundle of several hosts.
    others: BTreeSet<String>,
    /// Names that no host would be asked for: `..` in them, control characters, not UTF-8.
    refused: u64,
}

impl Placing {
    /// The path on the host, without a leading `/`.
    pub(super) fn place(&mut self, path: &[u8]) -> Option<String> {
        let Some(clean) = clean(path) else {
            self.refused += 1;
            return None;
        };
        let (first, rest) = clean.split_once('/').unwrap_or((&clean, ""));
        if TOPS.contains(&first) && self.prefix.as_ref().is_none_or(String::is_empty) {
            self.prefix.get_or_insert_default();
            return Some(clean);
        }
        let second = rest.split('/').next().unwrap_or(rest);
        if self.prefix.is_none() && TOPS.contains(&second) {
            self.prefix = Some(first.to_owned());
        }
        match &self.prefix {
            Some(prefix) if prefix == first && !rest.is_empty() => Some(rest.to_owned()),
            Some(prefix) if prefix != first && TOPS.contains(&second) => {
                if self.others.len() < 100 {
                    self.others.insert(first.to_owned());
                }
                None
            }
            Some(_) | None => None,
        }
    }

    /// What was left out.
    pub(super) fn notes(&self) -> Vec<Said> {
        let mut notes = Vec::new();
        if !self.others.is_empty() {
            notes.push(said!(
                "the bundle holds {} more hosts, which were not read: {}",
                "归档里另有 {} 台主机，没有读：{}",
                self.others.len(),
                self.others.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ")
            ));
        }
        if self.refused > 0 {
            notes.push(said!(
                "{} members of the bundle have names that no host's files have",
                "归档里有 {} 个成员的名字是任何主机都没有的文件",
                self.refused
            ));
        }
        notes
    }
}

/// A path without `.`, empty names and a leading `/`. `None` where it has `..`, control characters,
/// or is not UTF-8.
fn clean(path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    if path.len() > 4096 || path.chars().any(char::is_control) {
        return None;
    }
    let mut clean = String::with_capacity(path.len());
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => return None,
            name => {
                if !clean.is_empty() {
                    clean.push('/');
                }
                clean.push_str(name);
            }
        }
    }
    Some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(paths: &[&str]) -> Vec<Option<String>> {
        let mut placing = Placing::default();
        paths.iter().map(|path| placing.place(path.as_bytes())).collect()
    }

    #[test]
    fn the_directory_that_all_members_share_is_taken_off() {
        let paths =
            ["sos-web1", "sos-web1/etc/hostname", "sos-web1/version.txt", "sos-db2/etc/hostname"];
        assert_eq!(
            placed(&paths),
            [None, Some("etc/hostname".into()), Some("version.txt".into()), None]
        );
    }

    #[test]
    fn a_tree_without_such_a_directory_is_taken_as_it_is() {
        assert_eq!(
            placed(&["./", "./etc/hostname", "/proc/version"]),
            [None, Some("etc/hostname".into()), Some("proc/version".into())]
        );
    }

    #[test]
    fn names_that_climb_or_carry_control_characters_have_no_place() {
        let mut placing = Placing::default();
        for path in [&b"a/../../etc/shadow"[..], b"etc/\x1b[2J", b"etc/\xff", b".."] {
            assert_eq!(placing.place(path), None);
        }
        assert_eq!(placing.notes().len(), 1);
    }

    #[test]
    fn stars_stand_for_parts_of_one_name() {
        assert!(name_fits("ip*_tables_names", "ip6_tables_names"));
        assert!(name_fits("*conntrack*", "nf_conntrack_netlink"));
        assert!(!name_fits("*.gz", "messages.1"));
        assert!(!fits("etc/sysctl.d/*", "etc/sysctl.d/a/b"));
        assert!(fits("etc/ufw/**", "etc/ufw/a/b"));
    }

    #[test]
    fn what_a_host_keeps_to_itself_is_not_kept() {
        for path in [
            "etc/shadow",
            "etc/ssh/ssh_host_rsa_key",
            "root/.ssh/id_rsa",
            "var/log/audit/audit.log",
        ] {
            assert_eq!(interest(path), Interest::None, "{path}");
        }
        assert_eq!(interest("var/log/messages-20261122"), Log);
        assert_eq!(interest("var/log/messages-20261122.gz"), Small(16 * MIB));
        assert_eq!(interest("proc/net/nf_conntrack"), LISTING);
    }
}
