//! The files that take part in booting, in the order in which this host applies them, and the programs that manage
//! the firewall.
//!
//! Simple form: which file sets what, and which assignment is the last. Whether a key exists at the
//! moment it is set (the module may come later) is not decided here.

mod kernel;
mod managers;
mod modules;
mod order;
mod sysctl;
mod tree;

pub use managers::add_of_rules;

use plimsoll_ct::KernelVersion;
use plimsoll_diagnosis::facts::{BootFiles, Fact, Reason};
use plimsoll_wire::iptables_config;

use crate::files::Files;

/// Reads them all. `kernel` tells the old RHEL boots apart, `live` whether processes are running.
pub fn boot_files(files: &Files, kernel: Option<&KernelVersion>, live: bool) -> BootFiles {
    let loader = sysctl::loader(files, kernel, live);
    let (sysctl, sysctl_unapplied) = sysctl::assignments(files, &loader, live);
    BootFiles {
        sysctl,
        sysctl_unapplied,
        sysctl_loader: loader,
        modprobe: modules::directives(files),
        modules_load: modules::to_load(files),
        iptables_config: iptables_config(files),
        managers: managers::managers(files, live),
        tree: Fact::known(tree::read(files), "/etc, /run, /usr/lib, /proc/cmdline"),
        hz: kernel::hz(files, kernel),
        module: kernel::module(files, kernel),
    }
}

/// iptables-config, and failing it ip6tables-config: the service of IPv4 is the one that unloads the modules.
fn iptables_config(files: &Files) -> Fact<iptables_config::IptablesConfig> {
    const FILES: [&str; 2] = ["/etc/sysconfig/iptables-config", "/etc/sysconfig/ip6tables-config"];
    for path in FILES {
        if let Ok(text) = files.text(path) {
            return Fact::known(iptables_config::read(&text), path);
        }
    }
    Fact::missing(Reason::NotCollected, format!("{}: not there", FILES[0]))
}
