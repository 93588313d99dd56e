//! The files that take part in booting, as text, and the programs that manage the firewall. What they come to is
//! `plimsoll_diagnosis::boot`'s.

mod kernel;
mod managers;
mod tree;

pub use kernel::hz;
pub use managers::add_of_rules;

use plimsoll_ct::KernelVersion;
use plimsoll_diagnosis::facts::{BootFiles, Fact, Reason, Source};
use plimsoll_diagnosis::said;
use plimsoll_wire::iptables_config;

use crate::files::Files;

/// Reads them all. `kernel` is the one that boots, `live` tells whether processes are running.
pub fn boot_files(files: &Files, kernel: Option<&KernelVersion>, live: bool) -> BootFiles {
    BootFiles {
        iptables_config: iptables_config(files),
        managers: managers::managers(files, live),
        tree: Fact::known(
            tree::read(files),
            Source::names(["/etc", "/run", "/usr/lib", "/proc/cmdline"]),
        ),
        hz: kernel::hz(files, kernel),
        module: kernel::module(files, kernel),
    }
}

/// iptables-config, and failing it ip6tables-config: the service of IPv4 is the one that unloads the modules.
fn iptables_config(files: &Files) -> Fact<iptables_config::IptablesConfig> {
    const FILES: [&str; 2] = ["/etc/sysconfig/iptables-config", "/etc/sysconfig/ip6tables-config"];
    for path in FILES {
        if let Ok(text) = files.text(path) {
            return Fact::known(iptables_config::read(&text), Source::name(path));
        }
    }
    Fact::missing(Reason::NotCollected, said!("{}: not there", "{}：不存在", FILES[0]))
}
