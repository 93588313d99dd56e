//! Make running values survive the boot, in the way that this system needs, proved by the boot simulation.
//!
//! Several ways are tried on paper, the simplest first. Each is a set of proposed files; the simulation says
//! which values would be in force after a boot with them; the first way that gives all of them is the plan.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::{Access, Setting};

use super::{Change, FileChange, FileState, Plan, Target, Verify};
use crate::boot::{self, After, Boot, BootFacts, Outcome, Stage};
use crate::facts::SysctlLoader;
use crate::{RemedyId, commands, words};

const SETTINGS_FILE: &str = "/etc/sysctl.d/90-plimsoll.conf";
/// Behind whatever a distribution or another program calls 99-something.
const LAST_FILE: &str = "/etc/sysctl.d/99-zz-plimsoll.conf";
const MODULES_FILE: &str = "/etc/modules-load.d/plimsoll.conf";
const MODULES_LIST: &str = "/etc/modules";
const MODULES_SCRIPT: &str = "/etc/sysconfig/modules/plimsoll.modules";
const OPTIONS_FILE: &str = "/etc/modprobe.d/plimsoll.conf";
const OLD_OPTIONS_FILE: &str = "/etc/modprobe.conf";
const SYSCTL_CONF: &str = "/etc/sysctl.conf";
const IPTABLES_CONFIG: &str = "/etc/sysconfig/iptables-config";

/// Every file that a plan of this kind may write: read them all for [`persist`].
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

/// A value that shall stay.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    setting: &'static Setting,
    key: String,
    value: u64,
}

/// Files by path, as they shall be.
type Files = BTreeMap<&'static str, FileState>;
/// One of them.
type Part = (&'static str, FileState);

/// The plan. `keys`: those settings only; none: all whose running value a boot would lose.
pub fn persist(
    keys: &[String],
    facts: &BootFacts,
    files: &BTreeMap<String, Option<FileState>>,
) -> Plan {
    let target = Target { name: "host".to_string(), path: None, inode: None };
    let mut plan = Plan::new(RemedyId::Persist, "make the running values survive the boot", target);
    let today = boot::boot(facts, &[]);
    let wanted = match wanted(keys, facts, &today) {
        Ok(wanted) => wanted,
        Err(reasons) => {
            plan.refused = reasons;
            return plan;
        }
    };
    if wanted.is_empty() {
        plan.effect = "Every running value is there after a boot as well.".to_string();
        return plan;
    }
    plan.title = title(&wanted);
    let (ours, theirs): (Vec<Wanted>, Vec<Wanted>) =
        wanted.into_iter().partition(|w| owner(&today, w).is_none());
    for w in &theirs {
        by_hand(&mut plan, &today, w);
    }
    if ours.is_empty() {
        plan.effect =
            "Another program sets them at each start: change its own configuration.".to_string();
        return plan;
    }
    let Some((way, after)) = best(&ours, facts, files, &today) else {
        plan.refused.push("no file that this host's boot reads could be read here".to_string());
        return plan;
    };
    let missed: Vec<&Wanted> = ours.iter().filter(|w| !holds(&after, w)).collect();
    for w in &missed {
        by_hand(&mut plan, &after, w);
    }
    plan.changes = changes(way, files);
    plan.warnings.extend(also(&today, &after, &ours));
    plan.verify = ours
        .iter()
        .filter(|w| !missed.contains(w))
        .map(|w| Verify::AfterBoot { setting: w.setting.name.to_string(), value: w.value })
        .collect();
    plan.effect = effect(&ours, &missed, &after);
    plan.risks = risks(&ours, facts, &plan.changes);
    if missed.len() == ours.len() {
        plan.changes.clear();
    }
    plan
}

/// Whether the files as they are now give a value that a plan promised: what proves it once it is done.
pub fn proved(facts: &BootFacts, setting: &str, value: u64) -> bool {
    let today = boot::boot(facts, &[]);
    let Some(outcome) = today.outcome(setting) else { return false };
    holds(&today, &Wanted { setting: outcome.setting, key: outcome.key.clone(), value })
}

/// What else will be different: a module that is loaded earlier lets lines take effect that were lost until now.
fn also(today: &Boot, after: &Boot, ours: &[Wanted]) -> Vec<String> {
    let others =
        after.outcomes.iter().filter(|o| ours.iter().all(|w| w.setting.name != o.setting.name));
    others
        .filter_map(|o| {
            let number = o.after.number()?;
            let before = today.outcome(o.setting.name)?.after.number();
            (o.is_set() && before != Some(number)).then(|| {
                format!(
                    "{} will be {number} then, as {} asks; until now that line was lost",
                    o.setting.name,
                    words::clean(&o.because)
                )
            })
        })
        .collect()
}

fn title(wanted: &[Wanted]) -> String {
    const NAMED: usize = 3;
    let named: Vec<String> =
        wanted.iter().take(NAMED).map(|w| format!("{} = {}", w.setting.name, w.value)).collect();
    let more = match wanted.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!("make {}{more} survive the boot", named.join(", "))
}

/// What shall stay, from what runs.
fn wanted(keys: &[String], facts: &BootFacts, today: &Boot) -> Result<Vec<Wanted>, Vec<String>> {
    let of = |outcome: &Outcome| {
        let value = outcome.now?;
        Some(Wanted { setting: outcome.setting, key: outcome.key.clone(), value })
    };
    if keys.is_empty() {
        if facts.settings.is_empty() {
            return Err(alloc::vec![
                "the running values of the host's own network namespace could not be read"
                    .to_string()
            ]);
        }
        // A boot that gives a higher limit is nobody's loss.
        let gains = |o: &Outcome| {
            let after = o.after.number().and_then(|n| u64::try_from(n).ok());
            o.setting.name == "nf_conntrack_max" && o.now.zip(after).is_some_and(|(n, a)| a > n)
        };
        let lost = today.outcomes.iter().filter(|o| loses(o) && !gains(o));
        return Ok(lost.filter_map(of).collect());
    }
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    for key in keys {
        match today.outcome(key) {
            None => wrong.push(format!("this kernel has no setting {:?}", words::clean(key))),
            Some(outcome) => match of(outcome) {
                None => wrong
                    .push(format!("{} is not there now, so it has no running value", outcome.key)),
                Some(wanted) if loses(outcome) => found.push(wanted),
                Some(_) => {}
            },
        }
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}

/// Whether a boot would change the running value.
fn loses(outcome: &Outcome) -> bool {
    let Some(now) = outcome.now.and_then(|n| i64::try_from(n).ok()) else { return false };
    if outcome.setting.access == Access::ReadOnly {
        return false;
    }
    let differs = |after: &After| match after {
        After::Value(n) if outcome.setting.name.ends_with("buckets") => !same_buckets(*n, now),
        After::Value(n) => *n != now,
        // It follows the memory as the kernel sees it at its start, which is known to some percent.
        After::About(n) => n.abs_diff(now) > n.unsigned_abs() / 16,
        After::Absent(_, own) => *own != Some(now),
        After::Unknown(_) => outcome.is_set() || outcome.setting.default.is_some(),
    };
    differs(&outcome.after) || outcome.or.as_ref().is_some_and(|(after, _)| differs(after))
}

/// A program that sets the value by a configuration of its own, after whatever we could write.
fn owner(boot: &Boot, w: &Wanted) -> Option<Stage> {
    let winner = boot.outcome(w.setting.name)?.winner()?;
    matches!(winner.stage, Stage::KubeProxy | Stage::Tuned | Stage::Containers)
        .then_some(winner.stage)
}

/// Whether the value is in force after that boot, whatever the order of what has none.
fn holds(boot: &Boot, w: &Wanted) -> bool {
    let Some(outcome) = boot.outcome(w.setting.name) else { return false };
    let is = |after: &After| {
        let wanted = i64::try_from(w.value).unwrap_or(i64::MAX);
        after.number().is_some_and(|n| match w.setting.name {
            "nf_conntrack_buckets" => same_buckets(n, wanted),
            _ => n == wanted,
        })
    };
    is(&outcome.after) && outcome.or.as_ref().is_none_or(|(after, _)| is(after))
}

/// Buckets come in whole pages of list heads.
const fn same_buckets(a: i64, b: i64) -> bool {
    (a + 511) / 512 == (b + 511) / 512
}

/// The first way that gives all values, or the one that gives most.
fn best(
    wanted: &[Wanted],
    facts: &BootFacts,
    files: &BTreeMap<String, Option<FileState>>,
    today: &Boot,
) -> Option<(Files, Boot)> {
    let mut best: Option<(usize, Files, Boot)> = None;
    for way in ways(wanted, facts, files, today.loader) {
        // What was not read must not be written.
        if way.is_empty() || !way.keys().all(|path| files.contains_key(*path)) {
            continue;
        }
        let proposed: Vec<boot::FileChange> = way
            .iter()
            .map(|(path, state)| boot::FileChange {
                path: (*path).to_string(),
                text: Some(state.content.text()),
            })
            .collect();
        let after = boot::boot(facts, &proposed);
        let missed = wanted.iter().filter(|w| !holds(&after, w)).count();
        if best.as_ref().is_none_or(|(least, _, _)| missed < *least) {
            best = Some((missed, way, after));
        }
        if missed == 0 {
            break;
        }
    }
    best.map(|(_, way, after)| (way, after))
}

fn ways(
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
        (SysctlLoader::Systemd | SysctlLoader::Procps, false) => {
            alloc::vec![with(&[own(SETTINGS_FILE)]), with(&[own(LAST_FILE)])]
        }
        (SysctlLoader::Systemd, true) => alloc::vec![
            with(&[own(SETTINGS_FILE), trigger.clone()]),
            with(&[own(LAST_FILE), trigger]),
        ],
        (SysctlLoader::Procps, true) => alloc::vec![
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

/// Only what differs from what is there.
fn changes(way: Files, files: &BTreeMap<String, Option<FileState>>) -> Vec<Change> {
    let differing = way.into_iter().filter_map(|(path, after)| {
        let before = files.get(path)?.clone();
        (before.as_ref() != Some(&after)).then(|| {
            Change::File(FileChange { path: path.to_string(), before, after: Some(after) })
        })
    });
    differing.collect()
}

fn effect(ours: &[Wanted], missed: &[&Wanted], after: &Boot) -> String {
    let proved: Vec<String> = ours
        .iter()
        .filter(|w| !missed.contains(w))
        .filter_map(|w| {
            let outcome = after.outcome(w.setting.name)?;
            Some(format!("{} is {} ({})", w.setting.name, w.value, words::clean(&outcome.because)))
        })
        .collect();
    let mut text = match proved.is_empty() {
        true => String::new(),
        false => format!("After the next boot, by simulation: {}.", proved.join("; ")),
    };
    if !missed.is_empty() {
        let names: Vec<&str> = missed.iter().map(|w| w.setting.name).collect();
        text.push_str(&format!(" Not so {}: see below.", names.join(", ")));
    }
    text.trim_start().to_string()
}

fn risks(wanted: &[Wanted], facts: &BootFacts, changes: &[Change]) -> Vec<String> {
    let mut risks = alloc::vec![
        "None for the running host: the files take effect at the next boot.".to_string()
    ];
    let touches =
        |path: &str| changes.iter().any(|c| matches!(c, Change::File(f) if f.path == path));
    if touches(OPTIONS_FILE) || touches(OLD_OPTIONS_FILE) {
        let buckets = wanted.iter().find(|w| w.setting.name == "nf_conntrack_buckets");
        let max = buckets.map_or(0, |w| w.value.saturating_mul(8));
        risks.push(format!(
            "hashsize makes the limit {max} (eight times the buckets) until the sysctl files are applied."
        ));
    }
    if facts.modular.get() == Some(false)
        && !facts.profile.buckets_writable
        && let Some(w) = wanted.iter().find(|w| w.setting.name == "nf_conntrack_buckets")
    {
        risks.push(format!(
            "conntrack is built in: the buckets stay only with {}.hashsize={} on the kernel's command line.",
            commands::module(&facts.profile),
            w.value
        ));
    }
    risks
}

/// What the person has to set where another program, or a file that comes later, has the last word.
fn by_hand(plan: &mut Plan, boot: &Boot, w: &Wanted) {
    let Some(outcome) = boot.outcome(w.setting.name) else { return };
    let mut lines = Vec::new();
    match outcome.winner() {
        Some(winner) => {
            let a = &winner.assignment;
            let place = if a.file.is_empty() {
                String::new()
            } else if a.line > 0 {
                format!(", {} line {}", words::clean(&a.file), a.line)
            } else {
                format!(", {}", words::clean(&a.file))
            };
            lines.push(format!(
                "# {} is set to {} by {}{place}. There:",
                w.setting.name,
                words::clean(&a.value),
                words::clean(&winner.by)
            ));
            lines.push(match winner.stage {
                Stage::KubeProxy => kube_proxy(w),
                Stage::Tuned => format!("[sysctl]\n{} = {}", w.key, w.value),
                Stage::Kernel
                | Stage::Initramfs
                | Stage::Modules
                | Stage::Sysctl
                | Stage::Firewall
                | Stage::Network
                | Stage::RcLocal
                | Stage::Containers => format!("{} = {}", w.key, w.value),
            });
        }
        None => lines.push(format!(
            "# {} will be {}: {}",
            w.setting.name,
            match outcome.after.number() {
                Some(n) => format!("{n}"),
                None => "gone".to_string(),
            },
            words::clean(&outcome.because)
        )),
    }
    for line in lines {
        if !plan.by_hand.contains(&line) {
            plan.by_hand.push(line);
        }
    }
}

/// kube-proxy's own configuration. It takes the larger of maxPerCore × CPUs and min; with maxPerCore 0 it would set
/// nothing at all.
fn kube_proxy(w: &Wanted) -> String {
    let inner = match w.setting.name {
        "nf_conntrack_tcp_timeout_established" => {
            format!("  tcpEstablishedTimeout: {}s", w.value)
        }
        "nf_conntrack_tcp_timeout_close_wait" => format!("  tcpCloseWaitTimeout: {}s", w.value),
        _ => format!("  maxPerCore: 1\n  min: {}", w.value),
    };
    format!("conntrack:\n{inner}")
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
