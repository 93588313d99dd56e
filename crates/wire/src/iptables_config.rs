//! /etc/sysconfig/iptables-config of RHEL and its rebuilds.

use alloc::string::String;
use alloc::vec::Vec;

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
