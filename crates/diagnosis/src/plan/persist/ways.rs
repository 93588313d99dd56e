//! The ways in which a system keeps values over a boot, the simplest first: which files, and what stands in them.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::Setting;

use super::Wanted;
use crate::boot::BootFacts;
use crate::commands;
use crate::facts::SysctlLoader;
use crate::plan::FileState;

const SETTINGS_FILE: &str = "/etc/sysctl.d/90-plimsoll.conf";
/// Behind whatever a distribution or another program calls 99-something.
const LAST_FILE: &str = "/etc/sysctl.d/99-zz-plimsoll.conf";
const MODULES_FILE: &str = "/etc/modules-load.d/plimsoll.conf";
const MODULES_LIST: &str = "/etc/modules";
const MODULES_SCRIPT: &str = "/etc/sysconfig/modules/plimsoll.modules";
pub(super) const OPTIONS_FILE: &str = "/etc/modprobe.d/plimsoll.conf";
pub(super) const OLD_OPTIONS_FILE: &str = "/etc/modprobe.conf";
const SYSCTL_CONF: &str = "/etc/sysctl.conf";
const IPTABLES_CONFIG: &str = "/etc/sysconfig/iptables-config";

/// Every file that a plan of this kind may write: read them all for [`super::persist`].
pub const PERSIST_FILES: &[&str] = &[
    SETTINGS_FILE,
    LAST_FILE,
    MODULES_FILE,
    MODULES_LIST,
    MODULES_SCRIPT,
    OPTIONS_FILE,
    OLD_OPTIONS_FILE,
    SYSCTL_CONF,
    IPTABLES_CONFIG,
];

/// What our files say of themselves.
const HEAD: &str = "# Written by `plimsoll fix persist`: values that were in force on this host.\n\
                    # `plimsoll undo` takes them out again.\n";

/// Files by path, as they shall be.
pub(super) type Files = BTreeMap<&'static str, FileState>;
/// One of them.
type Part = (&'static str, FileState);

/// The ways, the simplest first.
pub(super) fn ways(
    wanted: &[Wanted],
    facts: &BootFacts,
    files: &BTreeMap<String, Option<FileState>>,
    loader: SysctlLoader,
) -> Vec<Files> {
    let profile = &facts.profile;
    let module = commands::module(profile);
    let modular = facts.modular.get() != Some(false);
    let lines: Vec<(&str, u64)> = wanted
        .iter()
        .filter(|w| w.setting.name != "nf_conntrack_buckets" || profile.buckets_writable)
        .map(|w| (w.key.as_str(), w.value))
        .collect();
    let buckets = wanted.iter().find(|w| w.setting.name == "nf_conntrack_buckets");
    let there = |path: &str| files.get(path).and_then(Option::as_ref);
    let own = |path: &'static str| (path, own_file(there(path), &lines));
    let mut options = Files::new();
    if let Some(buckets) = buckets.filter(|_| !profile.buckets_writable && modular) {
        let line = format!("options {module} hashsize={}\n", buckets.value);
        let old = profile.enterprise == Some(5) || profile.from < (2, 20);
        let path = if old { OLD_OPTIONS_FILE } else { OPTIONS_FILE };
        let own = if old { "" } else { HEAD };
        let state = match there(path) {
            Some(state) if old => appended(state, &line),
            Some(state) => state.with(format!("{own}{line}")),
            None => FileState::new(format!("{own}{line}")),
        };
        options.insert(path, state);
    }
    let with = |parts: &[Part]| {
        let mut way = options.clone();
        if !lines.is_empty() {
            way.extend(parts.iter().cloned());
        }
        way
    };
    let trigger = (MODULES_FILE, FileState::new(format!("{HEAD}{module}\n")));
    let listed = || {
        let list = there(MODULES_LIST).cloned().unwrap_or_else(|| FileState::new(""));
        (MODULES_LIST, appended(&list, &format!("{module}\n")))
    };
    match (loader, modular) {
        (SysctlLoader::Systemd | SysctlLoader::Procps | SysctlLoader::OpenRc, false) => {
            alloc::vec![with(&[own(SETTINGS_FILE)]), with(&[own(LAST_FILE)])]
        }
        (SysctlLoader::Systemd, true) => alloc::vec![
            with(&[own(SETTINGS_FILE), trigger.clone()]),
            with(&[own(LAST_FILE), trigger]),
        ],
        (SysctlLoader::Procps | SysctlLoader::OpenRc, true) => alloc::vec![
            with(&[own(SETTINGS_FILE), listed()]),
            with(&[own(LAST_FILE), listed()]),
            with(&[(SYSCTL_CONF, set_lines(there(SYSCTL_CONF), &lines)), listed()]),
        ],
        (SysctlLoader::RcSysinit, _) => rc_sysinit(&lines, module, modular, &there, &with),
    }
}

/// RHEL 5 and 6: sysctl.conf; a script that loads the module before it is applied; and the firewall, which
/// loses all settings when it is restarted, applies them again.
fn rc_sysinit<'f>(
    lines: &[(&str, u64)],
    module: &str,
    modular: bool,
    there: &dyn Fn(&str) -> Option<&'f FileState>,
    with: &dyn Fn(&[Part]) -> Files,
) -> Vec<Files> {
    let conf = (SYSCTL_CONF, set_lines(there(SYSCTL_CONF), lines));
    let mut parts = alloc::vec![conf];
    if modular {
        let script = format!("#!/bin/sh\n{HEAD}/sbin/modprobe {module}\n");
        let script = FileState { mode: 0o755, ..FileState::new(script) };
        parts.push((MODULES_SCRIPT, script));
    }
    if let Some(config) = there(IPTABLES_CONFIG)
        && modular
    {
        parts.push((IPTABLES_CONFIG, applied_again(config, module)));
    }
    alloc::vec![with(&parts)]
}

/// Our own file: values that an earlier call wrote stay.
fn own_file(there: Option<&FileState>, lines: &[(&str, u64)]) -> FileState {
    let old = there.map(|state| state.content.text()).unwrap_or_default();
    let kept = plimsoll_wire::sysctl::read_conf("", &old).assignments.into_iter();
    let kept = kept.filter(|a| lines.iter().all(|(key, _)| *key != a.key));
    let mut text = HEAD.to_string();
    for a in kept {
        text.push_str(&format!("{} = {}\n", a.key, a.value));
    }
    for (key, value) in lines {
        text.push_str(&format!("{key} = {value}\n"));
    }
    there.map_or_else(|| FileState::new(text.as_str()), |state| state.with(text.as_str()))
}

/// A file of somebody else's: the last line of a key gets the value, what is not there comes at the end.
fn set_lines(there: Option<&FileState>, lines: &[(&str, u64)]) -> FileState {
    let state = there.cloned().unwrap_or_else(|| FileState::new(""));
    let text = state.content.text();
    let found = plimsoll_wire::sysctl::read_conf("", &text).assignments;
    let mut all: Vec<String> = text.lines().map(ToString::to_string).collect();
    for (key, value) in lines {
        let line = format!("{key} = {value}");
        let same = |other: &str| {
            let name = |key: &str| Setting::find(key).map(|s| s.name);
            other == *key || name(other).is_some() && name(other) == name(key)
        };
        let last = found.iter().rfind(|a| same(&a.key)).map(|a| a.line as usize - 1);
        match last.and_then(|index| all.get_mut(index)) {
            Some(there) => *there = line,
            None => all.push(line),
        }
    }
    all.push(String::new());
    state.with(all.join("\n"))
}

fn appended(state: &FileState, line: &str) -> FileState {
    let mut text = state.content.text();
    if text.lines().any(|l| l.trim() == line.trim()) {
        return state.clone();
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    state.with(text)
}

/// `IPTABLES_SYSCTL_LOAD_LIST`: patterns that the service applies again once its modules are loaded.
fn applied_again(config: &FileState, module: &str) -> FileState {
    const NAME: &str = "IPTABLES_SYSCTL_LOAD_LIST";
    let text = config.content.text();
    let pattern = format!(".{module}");
    let now = plimsoll_wire::iptables_config::read(&text).sysctl_load_list;
    if now.iter().any(|p| p.contains("conntrack")) {
        return config.clone();
    }
    let mut list = now;
    list.push(pattern);
    let line = format!("{NAME}=\"{}\"", list.join(" "));
    let mut all: Vec<String> = text.lines().map(ToString::to_string).collect();
    let assigns = |l: &String| l.trim_start().starts_with(&format!("{NAME}="));
    match all.iter_mut().rfind(|l| assigns(l)) {
        Some(there) => *there = line,
        None => all.push(line),
    }
    all.push(String::new());
    config.with(all.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(state: &FileState) -> String {
        state.content.text()
    }

    #[test]
    fn our_own_file_keeps_what_an_earlier_call_wrote() {
        let first = own_file(None, &[("net.netfilter.nf_conntrack_max", 1000)]);
        let second = own_file(Some(&first), &[("net.netfilter.nf_conntrack_udp_timeout", 20)]);
        let third = own_file(Some(&second), &[("net.netfilter.nf_conntrack_max", 2000)]);
        assert_eq!(
            text(&third),
            format!(
                "{HEAD}net.netfilter.nf_conntrack_udp_timeout = 20\nnet.netfilter.nf_conntrack_max = 2000\n"
            )
        );
    }

    #[test]
    fn a_file_of_somebody_else_s_changes_in_one_line() {
        let conf = FileState::new(
            "# mine\nnet.ipv4.ip_forward = 0\nnet.netfilter.nf_conntrack_max=1\n# end\n",
        );
        let set = set_lines(
            Some(&conf),
            &[("net.netfilter.nf_conntrack_max", 7), ("net.netfilter.nf_conntrack_acct", 1)],
        );
        assert_eq!(
            text(&set),
            "# mine\nnet.ipv4.ip_forward = 0\nnet.netfilter.nf_conntrack_max = 7\n# end\n\
             net.netfilter.nf_conntrack_acct = 1\n"
        );
    }

    #[test]
    fn the_firewall_s_list_of_settings_grows_by_one() {
        let config =
            FileState::new("IPTABLES_MODULES=\"\"\nIPTABLES_SYSCTL_LOAD_LIST=\".bridge-nf\"\n");
        let set = applied_again(&config, "nf_conntrack");
        assert_eq!(
            text(&set),
            "IPTABLES_MODULES=\"\"\nIPTABLES_SYSCTL_LOAD_LIST=\".bridge-nf .nf_conntrack\"\n"
        );
        assert_eq!(applied_again(&set, "nf_conntrack"), set, "once is enough");
    }
}
