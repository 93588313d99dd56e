//! /etc/sysconfig/iptables-config and ip6tables-config of RHEL and its rebuilds.

use alloc::string::String;
use alloc::vec::Vec;

use crate::shell_assignments::{self, ShellAssignment};

/// What matters of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IptablesConfig {
    /// `IPTABLES_MODULES`: modules loaded with the firewall.
    pub modules: Vec<String>,
    /// Line of it, from 1, when it is set.
    pub modules_line: Option<u32>,
    /// `IPTABLES_MODULES_UNLOAD`: stop and restart unload the modules, and lose every setting.
    pub unload: Option<bool>,
    /// `IPTABLES_SYSCTL_LOAD_LIST`: patterns re-applied after start.
    pub sysctl_load_list: Vec<String>,
}

/// Reads a file: a shell script of assignments. As in the shell the last assignment of a name holds; the names of
/// ip6tables-config are the same with a 6. Nothing is evaluated.
pub fn read(text: &str) -> IptablesConfig {
    let mut config = IptablesConfig::default();
    for ShellAssignment { line, name, value } in shell_assignments::read(text) {
        let name = name.strip_prefix("IPTABLES_").or_else(|| name.strip_prefix("IP6TABLES_"));
        let list = || value.split_whitespace().map(String::from).collect();
        match name {
            Some("MODULES") => {
                config.modules = list();
                config.modules_line = Some(line);
            }
            Some("MODULES_UNLOAD") => config.unload = Some(value.eq_ignore_ascii_case("yes")),
            Some("SYSCTL_LOAD_LIST") => config.sysctl_load_list = list(),
            Some(_) | None => {}
        }
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_centos_6_unloads_the_modules_and_loads_none() {
        let c = read(include_str!("../../../fixtures/rules/centos6-iptables-config"));
        assert_eq!((c.unload, c.modules.len(), c.modules_line), (Some(true), 0, Some(6)));
        assert_eq!(c.sysctl_load_list, [] as [&str; 0], "it stands in a comment");
    }

    #[test]
    fn modules_are_words_in_either_quote_and_the_last_assignment_holds() {
        let c = read(
            "IPTABLES_MODULES='a'\nIPTABLES_MODULES=\"ip_conntrack_netbios_ns ip_conntrack_ftp\" # x\nIPTABLES_MODULES_UNLOAD=no\n",
        );
        assert_eq!(c.modules, ["ip_conntrack_netbios_ns", "ip_conntrack_ftp"]);
        assert_eq!((c.modules_line, c.unload), (Some(2), Some(false)));
    }

    #[test]
    fn the_file_of_ip6tables_has_a_6_in_its_names() {
        let c = read(
            "IP6TABLES_MODULES=nf_conntrack_ftp\nIP6TABLES_SYSCTL_LOAD_LIST=\".nf_conntrack .bridge-nf\"",
        );
        assert_eq!((c.modules.len(), c.sysctl_load_list.len()), (1, 2));
    }

    #[test]
    fn broken_quotes_cost_one_line() {
        let c = read("IPTABLES_MODULES=\"\nIPTABLES_MODULES_UNLOAD=\"yes\n=\n");
        assert_eq!((c.modules.len(), c.unload), (0, Some(true)));
    }
}
