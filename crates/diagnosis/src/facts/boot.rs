//! The files that take part in booting, and the programs that manage the firewall.

use alloc::vec::Vec;

use plimsoll_wire::iptables_config::IptablesConfig;
use plimsoll_wire::modprobe::ModuleDirective;
use plimsoll_wire::ruleset::{Backend, Rule, Ruleset};

use super::{Fact, Gap, Host, Namespace};
use crate::Said;
use crate::boot::Tree;

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
    /// Shorewall, for IPv4 or IPv6, or the rules that it compiled for another host (lite).
    Shorewall,
    /// libvirt.
    Libvirt,
    /// tuned.
    Tuned,
    /// fail2ban.
    Fail2ban,
}

impl ManagerKind {
    /// The word used in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::OtherContainers => "containers",
            Self::Kubernetes => "kubernetes",
            Self::Firewalld => "firewalld",
            Self::Ufw => "ufw",
            Self::Shorewall => "shorewall",
            Self::Libvirt => "libvirt",
            Self::Tuned => "tuned",
            Self::Fail2ban => "fail2ban",
        }
    }

    /// By a name that such a program gives its chains or tables.
    pub fn of_chain(name: &str) -> Option<Self> {
        let (_, kind) = CHAINS.iter().find(|(start, _)| name.starts_with(start))?;
        Some(*kind)
    }

    /// By the name of a process (the kernel cuts it to 15 bytes) or of a unit without `.service`.
    pub fn of_program(name: &str) -> Option<Self> {
        let (_, kind) = PROGRAMS.iter().find(|(program, _)| *program == name)?;
        Some(*kind)
    }
}

/// How the chains and tables of each manager begin.
const CHAINS: &[(&str, ManagerKind)] = &[
    ("DOCKER", ManagerKind::Docker),
    ("docker-bridges", ManagerKind::Docker),
    ("KUBE-", ManagerKind::Kubernetes),
    ("kube-proxy", ManagerKind::Kubernetes),
    ("cali-", ManagerKind::Kubernetes),
    ("CILIUM_", ManagerKind::Kubernetes),
    ("OLD_CILIUM_", ManagerKind::Kubernetes),
    ("FLANNEL", ManagerKind::Kubernetes),
    ("flannel-", ManagerKind::Kubernetes),
    ("WEAVE", ManagerKind::Kubernetes),
    ("ANTREA-", ManagerKind::Kubernetes),
    ("AWS-SNAT-CHAIN", ManagerKind::Kubernetes),
    ("IP-MASQ-AGENT", ManagerKind::Kubernetes),
    ("CNI-", ManagerKind::OtherContainers),
    ("cni_", ManagerKind::OtherContainers),
    ("NETAVARK", ManagerKind::OtherContainers),
    ("netavark", ManagerKind::OtherContainers),
    ("LIBVIRT_", ManagerKind::Libvirt),
    ("libvirt_", ManagerKind::Libvirt),
    ("f2b-", ManagerKind::Fail2ban),
    ("fail2ban-", ManagerKind::Fail2ban),
    ("addr-set-", ManagerKind::Fail2ban),
    ("ufw-", ManagerKind::Ufw),
    ("ufw6-", ManagerKind::Ufw),
    ("shorewall", ManagerKind::Shorewall),
    ("firewalld", ManagerKind::Firewalld),
    ("INPUT_ZONES", ManagerKind::Firewalld),
    ("FORWARD_IN_ZONES", ManagerKind::Firewalld),
    ("PREROUTING_ZONES", ManagerKind::Firewalld),
    ("POSTROUTING_ZONES", ManagerKind::Firewalld),
];

/// Programs of each manager.
const PROGRAMS: &[(&str, ManagerKind)] = &[
    ("dockerd", ManagerKind::Docker),
    ("docker", ManagerKind::Docker),
    ("containerd", ManagerKind::OtherContainers),
    ("crio", ManagerKind::OtherContainers),
    ("podman", ManagerKind::OtherContainers),
    ("lxd", ManagerKind::OtherContainers),
    ("incusd", ManagerKind::OtherContainers),
    ("kube-proxy", ManagerKind::Kubernetes),
    ("kubelet", ManagerKind::Kubernetes),
    ("k3s", ManagerKind::Kubernetes),
    ("k3s-server", ManagerKind::Kubernetes),
    ("k3s-agent", ManagerKind::Kubernetes),
    ("rke2", ManagerKind::Kubernetes),
    ("calico-node", ManagerKind::Kubernetes),
    ("cilium-agent", ManagerKind::Kubernetes),
    ("flanneld", ManagerKind::Kubernetes),
    ("firewalld", ManagerKind::Firewalld),
    ("ufw", ManagerKind::Ufw),
    ("shorewall", ManagerKind::Shorewall),
    ("shorewall6", ManagerKind::Shorewall),
    ("shorewall-lite", ManagerKind::Shorewall),
    ("shorewall6-lite", ManagerKind::Shorewall),
    ("libvirtd", ManagerKind::Libvirt),
    ("virtnetworkd", ManagerKind::Libvirt),
    ("tuned", ManagerKind::Tuned),
    ("fail2ban-server", ManagerKind::Fail2ban),
    ("fail2ban", ManagerKind::Fail2ban),
];

/// Such a program, and how it was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manager {
    /// Which.
    pub kind: ManagerKind,
    /// "process dockerd (812)", "chain KUBE-SERVICES", "unit file firewalld.service enabled".
    pub because: Said,
    /// Inode of the network namespace that it runs in or was seen in. `None`: nothing tells.
    pub namespace: Option<u64>,
    /// kube-proxy itself, which sets values of conntrack, was among the signs of it.
    pub is_kube_proxy: bool,
}

/// How the names begin that kube-proxy alone gives: its program, table and chains. kubelet has KUBE-FIREWALL and its own canary.
const OF_KUBE_PROXY: &[&str] =
    &["kube-proxy", "KUBE-SERVICES", "KUBE-PROXY-", "KUBE-SVC-", "KUBE-SEP-", "KUBE-NODE"];

impl Manager {
    /// By the name that gave it away.
    pub fn new(kind: ManagerKind, name: &str, because: Said) -> Self {
        let is_kube_proxy = OF_KUBE_PROXY.iter().any(|start| name.starts_with(start));
        Self { kind, because, namespace: None, is_kube_proxy }
    }

    /// The same, of this network namespace.
    #[must_use]
    pub fn within(self, namespace: Option<u64>) -> Self {
        Self { namespace, ..self }
    }

    /// Whether it runs in a namespace, as far as anything tells.
    pub fn is_of(&self, namespace: &Namespace) -> bool {
        alike(self.namespace, namespace.inode)
    }

    /// Managers that the chains and tables of a ruleset are named after, and that its comments tell of:
    /// each kind once, by the first sign of it.
    pub fn of_rules(rules: &Ruleset) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        let mut add = |kind: Option<ManagerKind>, name: &str, because: &dyn Fn(&str) -> Said| {
            if let Some(kind) = kind {
                Self::merge(&mut found, [Self::new(kind, name, because(name))]);
            }
        };
        let table = |name: &str| said!("table {name}", "表 {name}");
        let chain = |name: &str| said!("chain {name}", "链 {name}");
        for c in &rules.chains {
            add(ManagerKind::of_chain(&c.table), &c.table, &table);
            add(ManagerKind::of_chain(&c.chain), &c.chain, &chain);
        }
        for rule in &rules.rules {
            add(ManagerKind::of_chain(&rule.table), &rule.table, &table);
            add(ManagerKind::of_chain(&rule.chain), &rule.chain, &chain);
            add(of_interface(rule), &rule.text, &|rule| said!("rule {rule}", "规则 {rule}"));
        }
        found
    }

    /// Adds those that are not known yet in their namespace.
    pub fn merge(known: &mut Vec<Self>, more: impl IntoIterator<Item = Self>) {
        for manager in more {
            let same =
                |m: &&mut Self| m.kind == manager.kind && alike(m.namespace, manager.namespace);
            match known.iter_mut().find(same) {
                Some(known) => known.is_kube_proxy |= manager.is_kube_proxy,
                None => known.push(manager),
            }
        }
    }
}

/// Whether two namespaces are one, as far as anything tells.
fn alike(a: Option<u64>, b: Option<u64>) -> bool {
    a.is_none() || b.is_none() || a == b
}

/// Older libvirt and docker put rules for their bridges into the built-in chains.
fn of_interface(rule: &Rule) -> Option<ManagerKind> {
    if rule.backend == Backend::Nft {
        return None;
    }
    let names = |interface: &str| rule.text.split([' ', '"']).any(|w| w == interface);
    if names("virbr0") {
        return Some(ManagerKind::Libvirt);
    }
    names("docker0").then_some(ManagerKind::Docker)
}

/// What applies the sysctl files of a host as it boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SysctlLoader {
    /// systemd-sysctl: each name once, /etc over /run over /usr; never /etc/sysctl.conf itself.
    Systemd,
    /// `sysctl --system` of procps (sysvinit, upstart, OpenRC): as above, and then /etc/sysctl.conf.
    Procps,
    /// Alpine's init script: folder by folder, /usr/lib, /etc, /etc/sysctl.conf, /run.
    OpenRc,
    /// rc.sysinit of RHEL 5 and 6: /etc/sysctl.conf, and on 6 the files of /etc/sysctl.d before it.
    RcSysinit,
}

impl SysctlLoader {
    /// The program, as a person would name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd-sysctl",
            Self::Procps => "sysctl --system",
            Self::OpenRc => "/etc/init.d/sysctl",
            Self::RcSysinit => "rc.sysinit",
        }
    }
}

/// What the files that take part in booting say.
#[derive(Debug, Clone, PartialEq)]
pub struct BootFiles {
    /// /etc/sysconfig/iptables-config, where there is one.
    pub iptables_config: Fact<IptablesConfig>,
    /// Programs that manage rules or settings.
    pub managers: Fact<Vec<Manager>>,
    /// All files that take part, as text: what the boot simulation reads.
    pub tree: Fact<Tree>,
    /// Ticks in a second of the kernel that boots.
    pub hz: Fact<u32>,
    /// Whether that kernel has conntrack as a module, by its own files (modules.builtin, its configuration).
    pub module: Fact<bool>,
}

impl BootFiles {
    /// None of them, for one reason.
    pub fn missing(gap: &Gap) -> Self {
        Self {
            iptables_config: Fact::Missing(gap.clone()),
            managers: Fact::Missing(gap.clone()),
            tree: Fact::Missing(gap.clone()),
            hz: Fact::Missing(gap.clone()),
            module: Fact::Missing(gap.clone()),
        }
    }

    /// `options`, `install`, `blacklist` … of all modules; of one name the last holds.
    pub fn directives(&self) -> Vec<ModuleDirective> {
        self.tree.value().map(crate::boot::directives).unwrap_or_default()
    }

    /// Whether conntrack is a module: by what is loaded, by the kernel's files, and by keys that are there without it.
    pub(crate) fn modular(&self, host: &Host, tracks: bool) -> Fact<bool> {
        let modules = host.modules.value();
        let loaded = modules.is_some_and(|all| {
            all.iter().any(|m| m.name == "nf_conntrack" || m.name == "ip_conntrack")
        });
        match (&host.modular, &self.module) {
            (Fact::Known { value: false, .. }, _) => host.modular.clone(),
            _ if loaded => Fact::known(true, said!("the list of modules", "已加载模块的列表")),
            (_, Fact::Known { .. }) => self.module.clone(),
            // Not among the loaded ones, and yet there: it is built in.
            _ if tracks && modules.is_some() => {
                Fact::known(false, said!("the list of modules", "已加载模块的列表"))
            }
            (modular, Fact::Missing(_)) => modular.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_wire::ruleset::{TableFamily, read_nft, read_save};

    use super::*;

    fn kinds(rules: &Ruleset) -> Vec<ManagerKind> {
        Manager::of_rules(rules).into_iter().map(|m| m.kind).collect()
    }

    fn saved(text: &str) -> Ruleset {
        let mut rules = Ruleset::default();
        read_save(text, TableFamily::Ip, &mut rules);
        rules
    }

    #[test]
    fn managers_are_known_by_the_names_of_their_chains_each_once() {
        let text = "*nat\n-A DOCKER -j RETURN\n-A DOCKER-USER -j RETURN\n-A KUBE-SERVICES -j RETURN\n-A f2b-sshd -j DROP\n-A cali-INPUT -j X\n";
        assert_eq!(
            kinds(&saved(text)),
            [ManagerKind::Docker, ManagerKind::Kubernetes, ManagerKind::Fail2ban]
        );
        assert_eq!(Manager::of_rules(&saved(text))[1].because, "chain KUBE-SERVICES");
    }

    #[test]
    fn firewalld_is_known_by_its_table_and_libvirt_by_its_bridge() {
        let mut rules = Ruleset::default();
        read_nft(
            "table inet firewalld {\n chain filter_INPUT {\n ct state new accept\n }\n}\n",
            &mut rules,
        );
        assert_eq!(kinds(&rules), [ManagerKind::Firewalld]);
        assert_eq!(kinds(&saved("-A INPUT -i virbr0 -p udp -j ACCEPT")), [ManagerKind::Libvirt]);
    }

    #[test]
    fn shorewall_is_known_by_its_chain_and_by_its_units() {
        assert_eq!(
            kinds(&saved("*filter\n-A shorewall -m recent --set\n")),
            [ManagerKind::Shorewall]
        );
        for unit in ["shorewall", "shorewall6", "shorewall-lite", "shorewall6-lite"] {
            assert_eq!(ManagerKind::of_program(unit), Some(ManagerKind::Shorewall));
        }
    }

    #[test]
    fn a_person_s_own_rules_have_no_manager() {
        assert_eq!(
            kinds(&saved("*filter\n-A RH-Firewall-1-INPUT -m state --state NEW -j ACCEPT\n")),
            []
        );
    }
}
