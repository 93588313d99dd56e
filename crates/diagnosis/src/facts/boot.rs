//! The files that take part in booting, and the programs that manage the firewall.

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_wire::iptables_config::IptablesConfig;
use plimsoll_wire::modprobe::ModuleDirective;
use plimsoll_wire::modules_load::ModuleToLoad;
use plimsoll_wire::sysctl::Assignment;

use super::Fact;

/// A program that writes conntrack rules or settings of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ManagerKind {
    /// Docker or another engine with its own NAT.
    Docker,
    /// Podman, containerd, CRI-O.
    OtherContainers,
    /// kube-proxy, or a CNI plug-in.
    Kubernetes,
    /// firewalld.
    Firewalld,
    /// ufw.
    Ufw,
    /// libvirt.
    Libvirt,
    /// tuned.
    Tuned,
    /// fail2ban.
    Fail2ban,
}

/// Such a program, and how it was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manager {
    /// Which.
    pub kind: ManagerKind,
    /// "process dockerd (812)", "chain KUBE-SERVICES", "unit file firewalld.service enabled".
    pub because: String,
}

/// What the files that take part in booting say.
#[derive(Debug, Clone, PartialEq)]
pub struct BootFiles {
    /// Assignments to conntrack keys, in the order in which this host's boot applies them; the last
    /// one of a key wins. Each knows its file and line.
    pub sysctl: Fact<Vec<Assignment>>,
    /// `options`, `install`, `blacklist` lines about conntrack modules.
    pub modprobe: Fact<Vec<ModuleDirective>>,
    /// Conntrack modules loaded early by name.
    pub modules_load: Fact<Vec<ModuleToLoad>>,
    /// /etc/sysconfig/iptables-config, where there is one.
    pub iptables_config: Fact<IptablesConfig>,
    /// Programs that manage rules or settings.
    pub managers: Fact<Vec<Manager>>,
}
