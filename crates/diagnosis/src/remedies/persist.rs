//! Make settings survive the boot, where this host's boot will read them.
//!
//! The key does not exist until the module is loaded, so the module is named for early loading; the
//! module option `hashsize` makes the limit eight times the buckets until the sysctl file is applied.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::{Era, Setting};

use super::written::{self, Vain, applied, in_vain};
use super::{Findings, Ranked, lower, raise};
use crate::Said;
use crate::boot::{Attempt, Fate, LintKind, Ufw, place};
use crate::case::Case;
use crate::commands;
use crate::facts::{ManagerKind, SysctlLoader};
use crate::findings::{lost_settings, stale_assignments};
use crate::words;
use crate::{Remedy, RemedyId};

/// What asks for it.
const ANSWERS: &[&str] = &["CT040", "CT041", "CT042"];
/// What asks for new values that should then stay.
const RAISED: &[&str] = &["CT001", "CT002", "CT003", "CT004", "CT005", "CT020", "CT022", "CT023"];
/// Our file: after the vendor's, before what an administrator puts last.
const FILE: &str = "/etc/sysctl.d/90-plimsoll.conf";

/// The remedy.
pub(super) fn remedy(case: &Case<'_>, findings: &Findings<'_>) -> Option<Ranked> {
    let mut answers = findings.among(ANSWERS);
    let raised = raise::asking(case, findings, RAISED);
    if answers.is_empty() && raised.is_empty() && !findings.has("CT021") {
        return None;
    }
    let Kept { values, buckets, meant } = kept(case, findings, !raised.is_empty());
    if findings.has("CT021") && lower::lowered(case).is_ok() {
        answers.push("CT021");
    }
    let vain: Vec<Vain> = in_vain(case)
        .into_iter()
        .filter(|v| values.iter().all(|(name, _)| *name != v.setting))
        .filter(|v| v.setting != "nf_conntrack_max" || meant.is_none())
        .collect();
    let mut commands = stale_lines(case, meant);
    if values.is_empty() && buckets.is_none() && commands.is_empty() && vain.is_empty() {
        return None;
    }
    let mut fix = Vec::new();
    let limit = vain.iter().find(|v| v.setting == "nf_conntrack_max").map(|v| v.asked);
    let meant = meant.map(|(_, max)| max).or(limit);
    if let Some(max) = meant {
        fix.push(Said::name(format!("plimsoll fix raise --max {max}")));
    }
    // `fix raise` looks at memory and buckets, too.
    let others = |v: &&Vain| v.setting != "nf_conntrack_max";
    fix.extend(applied(vain.iter().filter(others)));
    if !values.is_empty() || buckets.is_some() || meant.is_some() || !vain.is_empty() {
        if !raised.is_empty() {
            fix.push(said!("# once the new values run:", "# 等新的值生效之后："));
        }
        fix.push(Said::name("plimsoll fix persist"));
    }
    answers.extend(raised);
    let mut risk = write(case, &values, buckets, &mut commands);
    // The lines are there; what they lack is the key.
    if !vain.is_empty() {
        if values.is_empty() {
            commands.extend(early(case).map(Said::name));
        }
        commands.extend(applied(vain.iter()));
    }
    commands.extend(remarks(case, &values));
    if risk.is_empty() && !vain.is_empty() {
        risk = said!(
            "The values of these files take effect at once, not only at the next boot.",
            "这些文件里的值马上生效，不只是在下次启动时。"
        );
    }
    if risk.is_empty() {
        risk = said!(
            "None for the running host; the files take effect at the next boot.",
            "对正在运行的主机没有；文件在下次启动时生效。"
        );
    }
    let remedy = Remedy {
        id: RemedyId::Persist,
        title: said!("make the values survive the boot", "让这些值在重启后仍然有效"),
        findings: answers,
        fix,
        commands,
        memory: None,
        risk,
        effect: effect(meant, &vain),
        refused: Vec::new(),
    };
    // What is to stay has to be there first.
    Some(Ranked { rank: 42, remedy })
}

/// What is to stay.
struct Kept {
    /// Settings by name, to be written into a file of ours.
    values: Vec<(&'static str, u64)>,
    buckets: Option<u64>,
    /// The limit that a line means which sets the count: where it stands, and what it is.
    meant: Option<(u32, u64)>,
}

/// What is to stay: new values, should the limit be `raised`, and those of today that a boot would lose.
fn kept(case: &Case<'_>, findings: &Findings<'_>, raised: bool) -> Kept {
    let mut values: Vec<(&'static str, u64)> = Vec::new();
    let mut buckets = None;
    if raised && let Ok(size) = raise::size(case, findings) {
        if size.raised {
            values.push(("nf_conntrack_max", size.max));
        }
        // What a boot gives needs no file of ours.
        values.retain(|(name, value)| !written::stays(case, name, *value));
        buckets = Some(size.buckets).filter(|b| !written::stays(case, "nf_conntrack_buckets", *b));
    }
    if findings.has("CT021")
        && let Ok(max) = lower::lowered(case)
    {
        values.push(("nf_conntrack_max", max));
    }
    let meant = meant_limit(case, &values);
    if meant.is_some() {
        values.retain(|(name, _)| *name != "nf_conntrack_max");
    }
    for lost in lost_settings(case).iter().filter(|l| l.is_ours_to_keep()) {
        match lost.setting {
            "nf_conntrack_buckets" => buckets = buckets.or(Some(lost.running)),
            "nf_conntrack_max" if meant.is_some() => {}
            name if values.iter().all(|(n, _)| *n != name) => values.push((name, lost.running)),
            _ => {}
        }
    }
    Kept { values, buckets, meant }
}

/// What will be different: with the limit that was meant, and what the files ask for in vain.
fn effect(meant: Option<u64>, vain: &[Vain]) -> Said {
    match meant {
        Some(max) => said!(
            "The limit is {}, as it was meant, now and after a boot.",
            "上限为 {}，和本意一样，现在和启动之后都是。",
            words::count(max)
        ),
        None if !vain.is_empty() => said!(
            "What the files ask for and is lost today takes effect, now and after a boot.",
            "文件里要求而今天不起作用的值会生效，现在和启动之后都是。"
        ),
        None => said!("After a boot the values are the same as now.", "启动之后的值与现在相同。"),
    }
}

/// A line that sets the count and means the limit, and the number that it means: where that is more than
/// there is, more than we would set, and memory can keep it.
fn meant_limit(case: &Case<'_>, values: &[(&'static str, u64)]) -> Option<(u32, u64)> {
    let now = case.initial()?.1.limit()?;
    let ours = values.iter().find(|(name, _)| *name == "nf_conntrack_max").map_or(0, |(_, v)| *v);
    let memory = case.after.host.memory_total.get()?;
    stale_assignments(case)
        .iter()
        .filter(|l| l.kind == LintKind::ReadOnlyKey && !l.harmless && l.meant.is_some())
        .filter(|l| {
            let key = l.key.as_deref().and_then(Setting::find);
            key.is_some_and(|s| s.name == "nf_conntrack_count")
        })
        .filter_map(|l| Some((l.line?, l.value.as_deref()?.parse::<u64>().ok()?)))
        .rfind(|(_, max)| {
            let worst = case.price.worst(*max, case.buckets().unwrap_or(0));
            *max > now && *max > ours && worst.0 <= memory.0 / 2
        })
}

/// Lines that have no effect: what was meant in their place, or nothing.
fn stale_lines(case: &Case<'_>, meant: Option<(u32, u64)>) -> Vec<Said> {
    let mut commands = Vec::new();
    // 99-sysctl.conf is a link on many hosts, and a plain -i would put a file in its place. The sed of
    // CentOS 5 does not know the option, nor does it have such links.
    let sed = match case.profile.era {
        Era::IpConntrack => "sed -i",
        Era::Both | Era::NfConntrack => "sed -i --follow-symlinks",
    };
    for lint in stale_assignments(case).into_iter().filter(|l| !l.harmless) {
        let file = lint.file.as_deref().and_then(words::shell_word);
        let (Some(file), Some(line)) = (file, lint.line) else { continue };
        let value = lint.value.as_deref().and_then(|v| v.parse::<u64>().ok());
        let read_only = lint.kind == LintKind::ReadOnlyKey;
        match (&lint.meant, value) {
            (Some(key), Some(value)) if read_only && meant == Some((line, value)) => {
                commands.push(Said::name(format!("{sed} '{line}s|.*|{key} = {value}|' {file}")));
                commands.push(Said::name(commands::set(case.profile, "nf_conntrack_max", value)));
            }
            (Some(key), Some(value)) if !read_only => {
                commands.push(Said::name(format!("{sed} '{line}s|.*|{key} = {value}|' {file}")));
            }
            (Some(_) | None, _) => {
                commands.push(Said::name(format!("{sed} '{line}s/^/# /' {file}")))
            }
        }
    }
    commands
}

/// The commands that write the files; what may go wrong with it.
fn write(
    case: &Case<'_>,
    values: &[(&'static str, u64)],
    buckets: Option<u64>,
    commands: &mut Vec<Said>,
) -> Said {
    let profile = case.profile;
    let module = commands::module(profile);
    let loader = commands::loader(case);
    let mut lines: Vec<String> =
        values.iter().map(|(name, v)| format!("{} = {v}", commands::key(profile, name))).collect();
    let mut risk = Said::default();
    if let Some(buckets) = buckets {
        if profile.buckets_writable {
            lines.push(format!("{} = {buckets}", commands::key(profile, "nf_conntrack_buckets")));
        } else if commands::is_module(case) == Some(false) {
            commands.push(said!(
                "# {module} is built in: add {module}.hashsize={buckets} to the kernel's command line", "# {module} 已编译进内核：在内核命令行里加上 {module}.hashsize={buckets}"
            ));
        } else {
            // RHEL 5 reads modprobe.conf; a file in modprobe.d works from RHEL 6 on.
            let target = if profile.enterprise == Some(5) || profile.from < (2, 20) {
                ">> /etc/modprobe.conf"
            } else {
                "> /etc/modprobe.d/plimsoll.conf"
            };
            commands
                .push(Said::name(format!("echo 'options {module} hashsize={buckets}' {target}")));
            risk = said!(
                "hashsize makes the limit {} (eight times the buckets) until the sysctl file is \
                 applied.",
                "在 sysctl 文件生效之前，hashsize 使上限成为 {}（桶数的八倍）。",
                words::count(buckets.saturating_mul(8))
            );
        }
    }
    if !lines.is_empty() {
        commands.extend(early(case).map(Said::name));
    }
    if !lines.is_empty() {
        if loader != SysctlLoader::RcSysinit {
            let quoted: Vec<String> = lines.iter().map(|l| format!("'{l}'")).collect();
            commands.push(Said::name(format!("printf '%s\\n' {} > {FILE}", quoted.join(" "))));
            commands.push(Said::name(format!("sysctl -p {FILE}")));
        } else {
            for line in &lines {
                let key = line.split(" = ").next().unwrap_or(line);
                commands.push(Said::name(format!(
                    "grep -q '^{key} *=' /etc/sysctl.conf && sed -i 's|^{key} *=.*|{line}|' \
                     /etc/sysctl.conf || echo '{line}' >> /etc/sysctl.conf"
                )));
            }
            commands.push(Said::name("sysctl -p"));
        }
    }
    if commands::has_iptables_service(case) && !lines.is_empty() {
        iptables_service(case, commands);
    }
    risk
}

/// The module is loaded before the settings are applied.
fn early(case: &Case<'_>) -> Option<String> {
    if commands::is_module(case) == Some(false) {
        return None;
    }
    let module = commands::module(case.profile);
    match commands::loader(case) {
        SysctlLoader::Systemd => Some(format!("echo {module} > /etc/modules-load.d/plimsoll.conf")),
        SysctlLoader::Procps | SysctlLoader::OpenRc => {
            Some(format!("grep -qx {module} /etc/modules || echo {module} >> /etc/modules"))
        }
        // The firewall loads it, and applies the settings again.
        SysctlLoader::RcSysinit => None,
    }
}

/// RHEL's iptables service unloads the modules on each restart, and every setting with them.
fn iptables_service(case: &Case<'_>, commands: &mut Vec<Said>) {
    const CONFIG: &str = "/etc/sysconfig/iptables-config";
    let config = case.after.boot.iptables_config.value();
    if config.is_none_or(|c| c.unload != Some(false)) {
        commands.push(Said::name(format!(
            "sed -i 's/^IPTABLES_MODULES_UNLOAD=.*/IPTABLES_MODULES_UNLOAD=\"no\"/' {CONFIG}"
        )));
    }
    // RHEL 5's init script is not known to have IPTABLES_SYSCTL_LOAD_LIST.
    if case.profile.enterprise == Some(5) {
        commands.push(
            said!("# the keys exist only once the firewall has loaded ip_conntrack, long after sysctl.conf was \
             applied: rc.local comes last", "# 防火墙加载 ip_conntrack 之后才有这些参数，那时 sysctl.conf 早已应用过了：rc.local 最后运行"),
        );
        commands.push(Said::name(
            "grep -q '^/sbin/sysctl -e -p' /etc/rc.d/rc.local || echo '/sbin/sysctl -e -p' >> \
             /etc/rc.d/rc.local",
        ));
        return;
    }
    let named = |c: &plimsoll_wire::iptables_config::IptablesConfig| {
        c.sysctl_load_list.iter().any(|p| p.contains("conntrack"))
    };
    if !config.is_some_and(named) {
        let pattern = format!(".{}", commands::module(case.profile));
        commands.push(Said::name(format!(
            "grep -q '^IPTABLES_SYSCTL_LOAD_LIST=' {CONFIG} && sed -i \
             's/^IPTABLES_SYSCTL_LOAD_LIST=.*/IPTABLES_SYSCTL_LOAD_LIST=\"{pattern}\"/' {CONFIG} || \
             echo 'IPTABLES_SYSCTL_LOAD_LIST=\"{pattern}\"' >> {CONFIG}"
        )));
    }
}

/// Who else writes the values.
fn remarks(case: &Case<'_>, values: &[(&'static str, u64)]) -> Vec<Said> {
    let mut remarks = Vec::new();
    for (name, value) in values {
        let outcome = case.boot.value().and_then(|boot| boot.outcome(name));
        let written = |a: &&Attempt| {
            !matches!(a.fate, Fate::Replaced(_) | Fate::NotRead(_) | Fate::Dead { .. })
        };
        let later = outcome.and_then(|o| o.attempts.iter().rfind(written)).map(|a| &a.assignment);
        let Some(a) =
            later.filter(|a| a.file != FILE && a.value != value.to_string() && overrides(&a.file))
        else {
            continue;
        };
        let (file, line, at) = (words::clean(&a.file), a.line, place(&a.file, a.line));
        let (key, value) = (words::clean(&a.key), words::clean(&a.value));
        remarks.push(said!(
            "# {file} line {line} sets {key} to {value} later: change it there",
            "# {at:#}随后把 {key} 设为 {value}：请在那里改"
        ));
    }
    for manager in case.after.boot.managers.value().into_iter().flatten() {
        let remark = match manager.kind {
            ManagerKind::Kubernetes => {
                said!(
                    "# kube-proxy sets limit and buckets at each start: set conntrack.maxPerCore: 0 and \
                 conntrack.min: 0 in its configuration, or the wanted values",
                    "# kube-proxy 每次启动都会设上限和桶数：在它的配置里写 conntrack.maxPerCore: 0 和 conntrack.min: 0，或者写想要的值"
                )
            }
            ManagerKind::Tuned => said!(
                "# tuned may set them too: look at the active profile",
                "# tuned 也可能设它们：看一下现用的 profile"
            ),
            ManagerKind::Ufw => {
                let tree = case.after.boot.tree.value();
                let ufw = Ufw::read(|path| Some(tree?.text(path)?.into()));
                let Some(file) = ufw.sysctl.map(|file| words::clean(&file)) else { continue };
                said!(
                    "# ufw applies {file} after the boot: look there too",
                    "# ufw 在启动之后应用 {file}：那里也要看一下"
                )
            }
            ManagerKind::Docker
            | ManagerKind::OtherContainers
            | ManagerKind::Firewalld
            | ManagerKind::Shorewall
            | ManagerKind::Libvirt
            | ManagerKind::Fail2ban => continue,
        };
        if remarks.iter().all(|r| *r != remark) {
            remarks.push(remark);
        }
    }
    remarks
}

/// Whether a file is applied after ours: sysctl.d goes by base name, and sysctl.conf comes last where it
/// is read at all.
fn overrides(file: &str) -> bool {
    let base = file.rsplit('/').next().unwrap_or(file);
    base == "sysctl.conf" || base > "90-plimsoll.conf"
}
