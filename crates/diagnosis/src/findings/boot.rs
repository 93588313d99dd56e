//! What the next boot will do to the settings (CT040), in its simple form: the files that set sysctls,
//! against what runs now.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::{Access, Bytes, Era, SETTINGS, Setting};
use plimsoll_wire::modprobe::Directive;

use super::stale::winner;
use super::{Draft, source_of};
use crate::case::Case;
use crate::commands;
use crate::facts::ManagerKind;
use crate::words;
use crate::{Severity, Value};

/// A running value that the next boot will not bring back.
pub(crate) struct Lost {
    /// Bare modern name of the setting.
    pub(crate) setting: &'static str,
    /// Value in force.
    pub(crate) running: u64,
    /// Value after boot, where it is known.
    pub(crate) after: Option<u64>,
    /// Why, for a person.
    pub(crate) why: String,
    /// A program sets it again after boot.
    pub(crate) managed: Option<&'static str>,
}

/// Settings that follow the traffic or a module parameter, so that a difference means nothing.
const NOT_JUDGED: &[&str] = &["nf_conntrack_acct", "nf_conntrack_timestamp", "nf_conntrack_events"];
/// Settings that kube-proxy writes at each start.
const KUBE_PROXY: &[&str] = &[
    "nf_conntrack_max",
    "nf_conntrack_buckets",
    "nf_conntrack_tcp_timeout_established",
    "nf_conntrack_tcp_timeout_close_wait",
];
/// Defaults that follow the memory are compared with this tolerance: the kernel sees more memory at its
/// start than MemTotal tells.
pub(super) const TOLERANCE: f64 = 0.10;

/// Finds what the next boot will lose,
pub(super) fn find(case: &Case<'_>, found: &mut Vec<Draft>) {
    found.extend(lost(case));
}

/// The running value of a setting.
fn running(case: &Case<'_>, setting: &Setting) -> Option<u64> {
    let (_, host) = case.initial()?;
    match setting.name {
        "nf_conntrack_max" => host.load.max.map(|m| m.0),
        "nf_conntrack_buckets" => case.buckets(),
        name => host.now.setting(name),
    }
}

/// `hashsize=` of the core module.
fn hashsize(case: &Case<'_>) -> Option<u64> {
    let module = commands::module(case.profile);
    case.after.boot.modprobe.value()?.iter().rev().find_map(|d| match &d.directive {
        Directive::Option { name, value } if d.module == module && name == "hashsize" => {
            value.as_deref()?.parse().ok()
        }
        Directive::Option { .. }
        | Directive::Blacklist
        | Directive::Install { .. }
        | Directive::Alias { .. }
        | Directive::Softdep { .. } => None,
    })
}

/// What the kernel gives a setting by itself at boot, and whether it follows the memory.
fn default(case: &Case<'_>, setting: &Setting) -> Option<(u64, bool)> {
    let wanted = match setting.name {
        "nf_conntrack_max" => |(_, max): (u64, u64)| max,
        "nf_conntrack_buckets" => |(buckets, _): (u64, u64)| buckets,
        "nf_conntrack_udp_timeout_stream" => return Some((case.profile.udp_stream.0, false)),
        _ => return Some((setting.default?, false)),
    };
    if let Some(n) = hashsize(case) {
        // Given at load, the limit becomes eight times the buckets, on every generation.
        let buckets = match case.profile.era {
            Era::IpConntrack => n,
            Era::Both | Era::NfConntrack => n.checked_next_multiple_of(512)?,
        };
        return Some((wanted((buckets, buckets.saturating_mul(8))), false));
    }
    if let Some(line) = case.after.log.value().and_then(|l| l.boot_line) {
        return Some((wanted(line), false));
    }
    let memory = case.after.host.memory_total.get()?;
    Some((wanted(case.profile.defaults(memory)), true))
}

/// Whether a running value is what the kernel gives by itself.
fn is_default(case: &Case<'_>, setting: &Setting, running: u64) -> Option<bool> {
    let (value, by_memory) = default(case, setting)?;
    if running == value || !by_memory {
        return Some(running == value);
    }
    let near = |d: u64| (running as f64 - d as f64).abs() <= d as f64 * TOLERANCE;
    let memory = case.after.host.memory_total.get()?;
    let more = Bytes(memory.0.saturating_add(memory.0 / 16));
    let (buckets, max) = case.profile.defaults(more);
    Some(near(value) || near(if setting.name == "nf_conntrack_max" { max } else { buckets }))
}

/// Why the files are applied before the keys exist: the module is loaded later, by the firewall.
fn loads_later(case: &Case<'_>) -> Option<String> {
    if commands::is_module(case) != Some(true) {
        return None;
    }
    let pulls = |name: &str| {
        ["nf_conntrack", "ip_conntrack", "nf_nat", "iptable_nat", "xt_conntrack", "nft_ct"]
            .iter()
            .any(|m| name.starts_with(m))
    };
    if case.after.boot.modules_load.value()?.iter().any(|m| pulls(&m.module)) {
        return None;
    }
    let reapplied = |config: &plimsoll_wire::iptables_config::IptablesConfig| {
        config.sysctl_load_list.iter().any(|p| p.contains("conntrack"))
    };
    let config = case.after.boot.iptables_config.value();
    // RHEL 5's init script is not known to have that list.
    let five = case.profile.enterprise == Some(5);
    if !five && config.is_some_and(reapplied) {
        return None;
    }
    let module = commands::module(case.profile);
    if commands::boots_with_systemd(case) {
        return Some(format!(
            "{module} is a module that no modules-load.d file names, so the key does not exist yet \
             when systemd-sysctl runs"
        ));
    }
    config?;
    if five {
        return Some(format!("{module} is loaded by the firewall after sysctl.conf was applied"));
    }
    Some(format!(
        "{module} is loaded by the firewall after sysctl.conf was applied, and \
         IPTABLES_SYSCTL_LOAD_LIST does not name it"
    ))
}

/// Running values that the next boot will not bring back.
pub(crate) fn lost_settings(case: &Case<'_>) -> Vec<Lost> {
    let mut lost = Vec::new();
    if case.after.boot.sysctl.value().is_none() {
        return lost;
    }
    let later = loads_later(case);
    let managers = case.after.boot.managers.value();
    let manages =
        |kind: ManagerKind| managers.is_some_and(|all| all.iter().any(|m| m.kind == kind));
    for setting in SETTINGS {
        let written = match setting.access {
            Access::ReadOnly => false,
            Access::Writable => true,
            // Before, buckets were set by the module's parameter; it is judged all the same.
            Access::WritableSince4_9 => true,
        };
        if !written || NOT_JUDGED.contains(&setting.name) {
            continue;
        }
        let Some(running) = running(case, setting) else { continue };
        let by_default = is_default(case, setting, running);
        let by_itself = default(case, setting).map(|(value, _)| value);
        // More buckets than now are no loss.
        if setting.name == "nf_conntrack_buckets" && by_itself.is_some_and(|b| b >= running) {
            continue;
        }
        let assigned = winner(case, setting);
        let (after, why) = match (assigned, assigned.and_then(|a| a.value.parse::<u64>().ok())) {
            (Some(a), Some(value)) => {
                let place = format!("{} line {}", words::clean(&a.file), a.line);
                // rc.local comes last, when all modules are there.
                let later = later.as_ref().filter(|_| !a.file.ends_with("/rc.local"));
                match later {
                    // Rounding up to whole pages of buckets is the kernel's doing, no difference.
                    _ if value != running && !rounds_to(setting, value, running) => match later {
                        Some(why) => (by_itself, format!("{place} says {value}, but {why}")),
                        None => (Some(value), format!("{place} says {value}")),
                    },
                    Some(why) if by_default != Some(true) => {
                        (by_itself, format!("{place} says so, but {why}"))
                    }
                    Some(_) | None => continue,
                }
            }
            (Some(_), None) => continue,
            (None, _) => match by_default {
                Some(false) => (by_itself, unset(case, setting)),
                Some(true) | None => continue,
            },
        };
        let managed = if manages(ManagerKind::Kubernetes) && KUBE_PROXY.contains(&setting.name) {
            Some("kube-proxy")
        } else if manages(ManagerKind::Tuned) {
            Some("tuned")
        } else {
            None
        };
        lost.push(Lost { setting: setting.name, running, after, why, managed });
    }
    lost
}

/// Why no file sets it: one may stand there and not be applied.
fn unset(case: &Case<'_>, setting: &Setting) -> String {
    let unapplied = case
        .after
        .boot
        .sysctl_unapplied
        .iter()
        .rfind(|u| Setting::find(&u.assignment.key).is_some_and(|s| s.name == setting.name));
    match unapplied {
        Some(u) => format!(
            "{} stands in {} line {}, which is not applied: {}",
            words::clean(&u.assignment.value),
            words::clean(&u.assignment.file),
            u.assignment.line,
            words::clean(&u.why)
        ),
        None => "no file sets it".to_string(),
    }
}

/// Whether a wanted number of buckets becomes the running one.
fn rounds_to(setting: &Setting, wanted: u64, running: u64) -> bool {
    setting.name == "nf_conntrack_buckets" && wanted.checked_next_multiple_of(512) == Some(running)
}

/// CT040: the running value will be lost at the next boot.
fn lost(case: &Case<'_>) -> Option<Draft> {
    let lost = lost_settings(case);
    let first = lost.iter().find(|l| l.managed.is_none()).or(lost.first())?;
    let all_managed = lost.iter().all(|l| l.managed.is_some());
    let severity = if all_managed { Severity::Info } else { Severity::Warning };
    let key = commands::key(case.profile, first.setting);
    let after = first.after.map_or(String::new(), |v| format!(" and will be {v} after a boot"));
    let manager = first.managed.map_or(String::new(), |m| format!("; {m} may set it again"));
    let others = match lost.len() {
        1 => String::new(),
        n => format!(" ({} more)", n - 1),
    };
    let summary = format!("{key} is {}{after}: {}{manager}{others}.", first.running, first.why);
    let mut draft = Draft::new("CT040", severity, None, summary).explains(0.05);
    for l in &lost {
        let key = commands::key(case.profile, l.setting);
        draft = draft.count(format!("{key} now"), l.running, "", "the running kernel");
        let source = source_of(&case.after.boot.sysctl);
        draft = match l.after {
            Some(after) => draft.count(format!("{key} after boot"), after, "", source),
            None => draft,
        };
        draft = draft.with(
            format!("{key}: why"),
            Value::Text(l.why.clone()),
            "",
            source_of(&case.after.boot.sysctl),
        );
    }
    Some(draft)
}
