//! Profiles of tuned: what `tuned.conf` sets by its plug-ins sysctl and net.
//!
//! Source: tuned.conf(5), and what TuneD 2.20 does. A profile may include others, whose settings come first.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::sysctl::{Assignment, dotted};

/// The key that stands for writing the module's parameter.
pub const HASHSIZE: &str = "/sys/module/nf_conntrack/parameters/hashsize";

/// A profile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// Profiles included (`[main] include=`), in order.
    pub include: Vec<String>,
    /// Assignments, in order; the key of a hash size is [`HASHSIZE`].
    pub assignments: Vec<Assignment>,
    /// Scripts that it runs.
    pub scripts: Vec<String>,
}

/// Reads a profile. Variables (`${x}`) are kept as they are.
pub fn read(file: &str, text: &str) -> Profile {
    let mut profile = Profile::default();
    // The plug-in of the section: its name, unless `type=` says another.
    let mut plugin = String::new();
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            plugin = name.trim().to_string();
            continue;
        }
        let Some((key, value)) = content.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        // An inline remark of tuned's is a blank and a number sign.
        let value = value.split(" #").next().unwrap_or("").trim();
        let mut add = |key: String, value: &str| {
            profile.assignments.push(Assignment {
                file: file.into(),
                line,
                key,
                value: value.trim_matches('"').into(),
                may_fail: true,
            });
        };
        match (plugin.as_str(), key) {
            (_, "type") => plugin = value.into(),
            ("main", "include") => {
                profile
                    .include
                    .extend(value.split([',', ' ']).filter(|n| !n.is_empty()).map(Into::into));
            }
            ("script", "script") => profile.scripts.push(value.into()),
            // `replace=`, `enabled=`, `priority=`, `devices=` belong to every section.
            ("sysctl", key) if key.contains(['.', '/']) => add(dotted(key), value),
            ("net", "nf_conntrack_hashsize") => add(HASHSIZE.into(), value),
            _ => {}
        }
    }
    profile
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sections_of_sysctl_and_net_set_values() {
        let text = "# x\n[main]\nsummary=y\ninclude=throughput-performance, network-latency\n\n[sysctl]\nnet.netfilter.nf_conntrack_max = 1048576 # big\nreplace=1\nvm.x=1\n[net]\nnf_conntrack_hashsize=131072\n[mine]\ntype=sysctl\nnet/nf_conntrack_max=5\n";
        let profile = read("f", text);
        assert_eq!(profile.include, ["throughput-performance", "network-latency"]);
        let about: Vec<_> = profile
            .assignments
            .iter()
            .map(|a| (a.line, a.key.as_str(), a.value.as_str()))
            .collect();
        assert_eq!(
            about,
            [
                (7, "net.netfilter.nf_conntrack_max", "1048576"),
                (9, "vm.x", "1"),
                (11, HASHSIZE, "131072"),
                (14, "net.nf_conntrack_max", "5"),
            ]
        );
    }
}
