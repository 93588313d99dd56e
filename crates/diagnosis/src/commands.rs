//! Names of settings, modules and files as this kernel generation has them, and how a command is run in
//! another namespace.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::{Era, Profile, Setting};

use crate::Said;
use crate::boot::{self, BootFacts};
use crate::case::{Case, Space};
use crate::facts::{Owner, SysctlLoader};
use crate::words;

/// First release of the generation whose `max` goes by its long name in every manual. Before, CentOS 6
/// and its like name it `net.nf_conntrack_max`; both names are the same variable.
const LONG_NAME_SINCE: (u16, u16) = (3, 4);

/// The dotted name of a setting on this generation, by its modern bare name.
pub(crate) fn key(profile: &Profile, name: &str) -> String {
    match profile.era {
        Era::IpConntrack => {
            let old = Setting::find(name).and_then(|s| s.old_name);
            format!("net.ipv4.netfilter.{}", old.unwrap_or(name))
        }
        Era::Both | Era::NfConntrack => {
            if name == "nf_conntrack_max" && profile.from < LONG_NAME_SINCE {
                "net.nf_conntrack_max".to_string()
            } else {
                format!("net.netfilter.{name}")
            }
        }
    }
}

/// The file of a setting on this generation, by its modern bare name.
pub(crate) fn path(profile: &Profile, name: &str) -> String {
    format!("/proc/sys/{}", key(profile, name).replace('.', "/"))
}

/// The file that the buckets of the running kernel are written to.
pub(crate) fn buckets_path(profile: &Profile) -> String {
    if profile.buckets_writable {
        path(profile, "nf_conntrack_buckets")
    } else {
        format!("/sys/module/{}/parameters/hashsize", module(profile))
    }
}

/// The core module.
pub(crate) const fn module(profile: &Profile) -> &'static str {
    match profile.era {
        Era::IpConntrack => "ip_conntrack",
        Era::Both | Era::NfConntrack => "nf_conntrack",
    }
}

/// The list of entries in /proc.
pub(crate) const fn list(profile: &Profile) -> &'static str {
    match profile.era {
        Era::IpConntrack => "/proc/net/ip_conntrack",
        Era::Both | Era::NfConntrack => "/proc/net/nf_conntrack",
    }
}

/// The command that sets the buckets of the running kernel.
pub(crate) fn set_buckets(profile: &Profile, buckets: u64) -> String {
    if profile.buckets_writable {
        format!("sysctl -w {}={buckets}", key(profile, "nf_conntrack_buckets"))
    } else {
        format!("echo {buckets} > /sys/module/{}/parameters/hashsize", module(profile))
    }
}

/// The command that sets a setting of the running kernel.
pub(crate) fn set(profile: &Profile, name: &str, value: u64) -> String {
    format!("sysctl -w {}={value}", key(profile, name))
}

/// What applies the sysctl files at boot.
pub(crate) fn loader(case: &Case<'_>) -> SysctlLoader {
    match case.boot.value() {
        Some(boot) => boot.loader,
        None => boot::loader(&BootFacts::of(case.after)),
    }
}

/// Whether the host's firewall is RHEL's iptables service (RHEL 5 to 7 and their rebuilds).
pub(crate) fn has_iptables_service(case: &Case<'_>) -> bool {
    case.after.boot.iptables_config.value().is_some()
        || case.profile.enterprise.is_some_and(|e| e <= 6)
}

/// Whether conntrack is a module here. `None`: not known.
pub(crate) fn is_module(case: &Case<'_>) -> Option<bool> {
    let host = &case.after.host;
    if host.modular.get() == Some(false) {
        return Some(false);
    }
    let modules = host.modules.value()?;
    if modules.iter().any(|m| m.name == "nf_conntrack" || m.name == "ip_conntrack") {
        return Some(true);
    }
    // Not among the loaded ones, and yet there: it is built in.
    case.spaces.iter().any(|s| s.load.count.is_some()).then_some(false)
}

/// What stands before a command to run it in a namespace: empty for the host's own. `Err`: a remark
/// that tells how to get there, where no exact words can be given.
pub(crate) fn inside(space: &Space<'_>) -> Result<String, Said> {
    if space.now.is_initial() {
        return Ok(String::new());
    }
    let prefix = space.now.owners.iter().find_map(|owner| match owner {
        Owner::Initial => Some(String::new()),
        // What is held by a file elsewhere is no name that ip netns knows.
        Owner::Named(path) if path.contains('/') => {
            words::shell_word(path).map(|path| format!("nsenter --net={path} "))
        }
        Owner::Named(name) => words::shell_word(name).map(|name| format!("ip netns exec {name} ")),
        Owner::Process { pid, command: _ } => Some(format!("nsenter --net=/proc/{pid}/ns/net ")),
        Owner::Container { runtime, id, name: _ } => {
            let id = words::shell_word(id)?;
            let engine = match runtime.as_str() {
                "docker" => "docker",
                "podman" => "podman",
                _ => return None,
            };
            Some(format!("nsenter -n -t $({engine} inspect -f '{{{{.State.Pid}}}}' {id}) "))
        }
        Owner::Unit(unit) => words::shell_word(unit)
            .map(|unit| format!("nsenter -n -t $(systemctl show -p MainPID --value {unit}) ")),
    });
    prefix.ok_or_else(|| {
        let inode = match space.now.inode {
            Some(inode) => said!(
                " (inode {inode}: find a process with lsns -t net)",
                "（inode {inode}：用 lsns -t net 找一个进程）"
            ),
            None => Said::default(),
        };
        said!(
            "# to be run inside the network namespace of {}{inode}:",
            "# 要在 {:#} 的网络命名空间里运行{inode:#}：",
            space.name
        )
    })
}

/// Puts commands into a namespace; remarks stay as they are. Where no words lead there the commands are
/// remarks, too: pasted as they are they would change the host's own namespace.
pub(crate) fn run_inside(space: &Space<'_>, commands: impl IntoIterator<Item = Said>) -> Vec<Said> {
    let mut run = Vec::new();
    let prefix = match inside(space) {
        Ok(prefix) => prefix,
        Err(remark) => {
            run.push(remark);
            "# ".to_string()
        }
    };
    for command in commands {
        let is_remark = command.starts_with('#');
        run.push(if is_remark {
            command
        } else {
            said!("{prefix}{command}", "{prefix}{command:#}")
        });
    }
    run
}
