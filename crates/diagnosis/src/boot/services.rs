//! Services that take part: firewalls, which load the module and may set values; tuned, cloud-init, rc.local, container
//! engines, kube-proxy.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use plimsoll_wire::cloud_init;
use plimsoll_wire::iptables_config;
use plimsoll_wire::ruleset::{Ruleset, TableFamily, read_nft, read_save, read_script};
use plimsoll_wire::shell_assignments;
use plimsoll_wire::sysctl::{Assignment, read_conf};
use plimsoll_wire::tuned;

use super::files;
use super::keys::{Keys, place};
use super::kube_proxy;
use super::plan::{Plan, Stage, of_script, of_shell};
use super::ufw::Ufw;
use super::unapplied::PassedOver;
use super::{BootFacts, tree::Tree};
use crate::Said;
use crate::facts::SysctlLoader;

/// Firewalls whose rules stand in files: unit, files, whether they are nft's.
const RULES: &[(&str, &[&str], bool)] = &[
    (
        "nftables",
        &["/etc/nftables.conf", "/etc/sysconfig/nftables.conf", "/etc/nftables.nft"],
        true,
    ),
    ("iptables", &["/etc/sysconfig/iptables", "/etc/iptables/rules-save"], false),
    ("ip6tables", &["/etc/sysconfig/ip6tables", "/etc/iptables/rules6-save"], false),
    ("netfilter-persistent", &["/etc/iptables/rules.v4", "/etc/iptables/rules.v6"], false),
];

/// Files that firewalls load their rules from.
pub fn rule_files() -> impl Iterator<Item = &'static str> {
    RULES.iter().flat_map(|(_, paths, _)| *paths).copied()
}

/// Programs that bring conntrack whatever their settings are: unit, when.
const ALWAYS: &[(&str, Stage)] = &[
    ("firewalld", Stage::Firewall),
    ("docker", Stage::Containers),
    ("k3s", Stage::Containers),
    ("k3s-agent", Stage::Containers),
    ("kubelet", Stage::Containers),
    ("libvirtd", Stage::Containers),
    ("virtnetworkd", Stage::Containers),
    ("lxd", Stage::Containers),
    ("lxc-net", Stage::Containers),
];

/// Shorewall's products. Each writes rules by state, after the sysctl files (its unit comes after network-online.target).
const SHOREWALL: &[&str] = &["shorewall", "shorewall6", "shorewall-lite", "shorewall6-lite"];

/// OpenRC's runlevels of a boot.
const LEVELS: [&str; 3] =
    ["/etc/runlevels/sysinit", "/etc/runlevels/boot", "/etc/runlevels/default"];

/// Profiles of tuned that are followed from one to the next.
const PROFILES: usize = 30;

/// Most files that a script includes and that are not there are named.
const LACKING: usize = 3;

/// Adds what the services do.
pub(super) fn add(plan: &mut Plan, facts: &BootFacts, tree: &Tree, keys: &Keys<'_>) {
    let core = facts.core();
    for (unit, paths, nft) in RULES {
        let ours: Vec<&&str> = paths.iter().filter(|p| tree.text(p).is_some()).collect();
        let mut lacking = Vec::new();
        let needing = ours.iter().find(|path| needs_tracking(tree, path, *nft, &mut lacking));
        let Some(enabled) = enabled(plan, tree, unit, !ours.is_empty()) else { continue };
        // RHEL's service loads the modules of its configuration besides; without a file of rules it does nothing at all.
        let mut config = config_of(tree, unit);
        if let Some((at, _)) = &config
            && !paths.iter().any(|path| tree.exists(path))
        {
            plan.assumed.push(said!(
                "{} does nothing, and {at} counts for nothing: {} is not there",
                "{:#} 什么也不做，{at} 也不起作用：{} 不存在",
                enabled.by,
                paths[0]
            ));
            config = None;
        }
        let named = config.as_ref().map_or(&[][..], |(_, c)| &c.modules[..]);
        for module in named {
            let at = config
                .as_ref()
                .map_or_else(Said::default, |(p, c)| place(p, c.modules_line.unwrap_or(0)));
            plan.load(Stage::Firewall, enabled.or, &enabled.by, module, at, false);
        }
        if needing.is_none() {
            plan.assumed.extend(lacking);
        }
        if let Some(path) = needing {
            plan.load(Stage::Firewall, enabled.or, &enabled.by, core, Said::name(**path), false);
            if facts.has_separate_protocols() {
                plan.load(
                    Stage::Firewall,
                    enabled.or,
                    &enabled.by,
                    "nf_conntrack_ipv4",
                    Said::name(**path),
                    false,
                );
            }
        }
        if let Some((path, config)) = &config {
            load_list(plan, facts, tree, keys, path, config, &enabled.by);
        }
    }
    ufw(plan, core, tree, keys);
    let shorewall = SHOREWALL.iter().map(|unit| (*unit, Stage::Firewall));
    for (unit, stage) in ALWAYS.iter().copied().chain(shorewall) {
        if let Some(enabled) = enabled(plan, tree, unit, false)
            && (!SHOREWALL.contains(&unit) || shorewall_starts(tree, unit, &enabled))
        {
            // A container engine and rc.local are in no order to each other.
            let or = if stage == Stage::Containers { Some(Stage::Tuned) } else { enabled.or };
            plan.load(stage, or, &enabled.by, core, enabled.because, false);
            if facts.has_separate_protocols() {
                plan.load(stage, or, &enabled.by, "nf_conntrack_ipv4", Said::default(), false);
            }
        }
    }
    network_scripts(plan, tree, keys);
    cloud(plan, tree, keys);
    tuned_profiles(plan, tree, keys);
    rc_local(plan, tree, keys);
    kube_proxy::add(plan, facts, tree);
}

/// A service that starts at boot.
struct Enabled {
    by: Said,
    because: Said,
    /// It is in no order to systemd-sysctl, so it may come first.
    or: Option<Stage>,
    /// An init script, and no unit.
    script: bool,
}

/// Whether a service starts at boot. `configured`: its own files are there, which decides where nothing tells
/// what is enabled (a tree without the folders of links).
fn enabled(plan: &mut Plan, tree: &Tree, unit: &str, configured: bool) -> Option<Enabled> {
    let file = format!("{unit}.service");
    let mut any = false;
    for folder in tree.list("/etc/systemd/system") {
        if !folder.ends_with(".wants") && !folder.ends_with(".requires") {
            continue;
        }
        any = true;
        let path = format!("/etc/systemd/system/{folder}/{file}");
        if tree.exists(&path) {
            return Some(Enabled {
                by: Said::name(file.as_str()),
                because: Said::name(path),
                or: unordered(tree, &file),
                script: false,
            });
        }
    }
    for folder in [
        "/etc/rc.d/rc3.d",
        "/etc/rc.d/rc5.d",
        "/etc/rcS.d",
        "/etc/rc2.d",
        "/etc/rc3.d",
        "/etc/rc5.d",
    ] {
        let links = tree.list(folder);
        any |= !links.is_empty();
        let started = links.into_iter().find(|link| {
            link.strip_prefix('S').map(|n| n.trim_start_matches(|c: char| c.is_ascii_digit()))
                == Some(unit)
        });
        if let Some(link) = started {
            return Some(Enabled {
                by: said!("the init script {unit}", "启动脚本 {unit}"),
                because: Said::name(format!("{folder}/{link}")),
                or: None,
                script: true,
            });
        }
    }
    for level in LEVELS {
        any |= !tree.list(level).is_empty();
        let link = format!("{level}/{unit}");
        if tree.exists(&link) {
            return Some(Enabled {
                by: said!("the init script {unit}", "启动脚本 {unit}"),
                because: Said::name(link),
                or: None,
                script: true,
            });
        }
    }
    if any || !configured {
        return None;
    }
    let by = match plan.loader {
        SysctlLoader::Systemd => Said::name(file),
        SysctlLoader::Procps | SysctlLoader::OpenRc | SysctlLoader::RcSysinit => {
            said!("the init script {unit}", "启动脚本 {unit}")
        }
    };
    plan.assumed.push(said!(
        "{by} is taken to be enabled: its rules are there, and no list of services is",
        "假定 {by:#} 已启用：它的规则在，而服务列表不在"
    ));
    let script = plan.loader != SysctlLoader::Systemd;
    Some(Enabled { by, because: Said::default(), or: None, script })
}

/// A unit that drops the default dependencies and names nothing that comes after systemd-sysctl may run before it.
fn unordered(tree: &Tree, file: &str) -> Option<Stage> {
    let text = ["/etc", "/run", "/usr/lib", "/lib"]
        .iter()
        .find_map(|parent| tree.text(&format!("{parent}/systemd/system/{file}")))?;
    let values = |name: &str| {
        let name = format!("{name}=");
        text.lines()
            .filter_map(move |l| l.trim().strip_prefix(name.as_str()).map(ToString::to_string))
    };
    let drops =
        values("DefaultDependencies").any(|v| matches!(v.trim(), "no" | "false" | "off" | "0"));
    let late = [
        "systemd-sysctl.service",
        "sysinit.target",
        "basic.target",
        "network.target",
        "network-pre.target",
    ];
    let after = values("After").any(|v| v.split_whitespace().any(|unit| late.contains(&unit)));
    (drops && !after).then_some(Stage::Modules)
}

/// Whether the rules of a file need tracking, and what it includes that is not there to tell.
fn needs_tracking(tree: &Tree, path: &str, nft: bool, lacking: &mut Vec<Said>) -> bool {
    let mut rules = Ruleset::default();
    if nft {
        let names = |folder: &str| tree.list(folder).into_iter().map(String::from).collect();
        let script = read_script(path, &names, &|path| tree.text(path).map(String::from));
        let script = script.unwrap_or_default();
        read_nft(&script.text, &mut rules);
        for name in script.lacking.iter().take(LACKING) {
            let name = crate::words::clean(name);
            lacking.push(said!(
                "{path} includes {name}, which can't be read here: it is taken to need no connection tracking",
                "{path} 包含 {name}，这里读不到它：假定它不需要连接跟踪"
            ));
        }
    } else {
        read_save(tree.text(path).unwrap_or(""), TableFamily::Ip, &mut rules);
    }
    rules.needing().next().is_some() || rules.has_nat()
}

/// The configuration of RHEL's iptables service.
fn config_of(tree: &Tree, unit: &str) -> Option<(String, iptables_config::IptablesConfig)> {
    if !matches!(unit, "iptables" | "ip6tables") {
        return None;
    }
    let path = format!("/etc/sysconfig/{unit}-config");
    let config = iptables_config::read(tree.text(&path)?);
    Some((path, config))
}

/// `IPTABLES_SYSCTL_LOAD_LIST`: lines of the files that hold one of its words are applied again.
fn load_list(
    plan: &mut Plan,
    facts: &BootFacts,
    tree: &Tree,
    keys: &Keys<'_>,
    path: &str,
    config: &iptables_config::IptablesConfig,
    by: &Said,
) {
    // RHEL 5's init script is not known to have that list.
    if config.sysctl_load_list.is_empty() || facts.profile.enterprise == Some(5) {
        return;
    }
    let mut again = Vec::new();
    let mut paths: Vec<String> = vec![files::MAIN.into()];
    if plan.loader == SysctlLoader::Systemd {
        paths =
            tree.list("/etc/sysctl.d").into_iter().map(|n| format!("/etc/sysctl.d/{n}")).collect();
        paths.push(files::MAIN.into());
    }
    for word in &config.sysctl_load_list {
        for path in &paths {
            let all = files::of_file(tree, path, keys);
            again.extend(all.into_iter().filter(|a| a.key.contains(word.as_str())));
        }
    }
    let list = place(path, 0);
    plan.set(
        Stage::Firewall,
        said!(
            "{by} (IPTABLES_SYSCTL_LOAD_LIST in {list})",
            "{by:#}（{list:#} 里的 IPTABLES_SYSCTL_LOAD_LIST）"
        ),
        again,
    );
}

/// ufw loads the modules, then applies a file of its own, where it is on and its service starts.
fn ufw(plan: &mut Plan, core: &str, tree: &Tree, keys: &Keys<'_>) {
    if !tree.exists(Ufw::CONF) {
        return;
    }
    let ufw = Ufw::read(|path| tree.text(path).map(String::from));
    let enabled = if ufw.enabled { enabled(plan, tree, "ufw", true) } else { None };
    let Some(enabled) = enabled else {
        let file = ufw.sysctl.and_then(|file| Some((tree.text(&file)?, file)));
        let all = file.map(|(text, file)| read_conf(&file, text).assignments).unwrap_or_default();
        let ours = all.into_iter().filter(|a| super::keys::may_concern(&a.key));
        plan.leave(ours, &PassedOver::UfwIsOff);
        return;
    };
    plan.load(Stage::Firewall, enabled.or, Said::name("ufw"), core, Said::name(Ufw::CONF), false);
    let Some(file) = ufw.sysctl else { return };
    if tree.text(&file).is_none() && tree.unread(&file).is_none() {
        let file = crate::words::clean(&file);
        plan.assumed
            .push(said!("ufw applies {file}, which is not there", "ufw 要应用 {file}，而它不存在"));
    }
    plan.set(Stage::Firewall, Said::name("ufw"), files::of_file(tree, &file, keys));
}

/// Whether Shorewall starts when it is told to. It asks its own configuration, and the init script asks /etc/default as well.
///
/// Source: get_config(), lib.cli-std, and Debian's init script, shorewall 5.2.8.
fn shorewall_starts(tree: &Tree, product: &str, enabled: &Enabled) -> bool {
    let says = |path: &str, name: &str| shell_assignments::last(tree.text(path)?, name);
    let refused = says(&format!("/etc/{product}/{product}.conf"), "STARTUP_ENABLED")
        .is_some_and(|v| v.eq_ignore_ascii_case("no"));
    let asleep = enabled.script
        && says(&format!("/etc/default/{product}"), "startup").is_some_and(|v| v != "1");
    !refused && !asleep
}

/// Init scripts of the network that apply the files again (RHEL to 7).
fn network_scripts(plan: &mut Plan, tree: &Tree, keys: &Keys<'_>) {
    for path in ["/etc/rc.d/init.d/network", "/etc/init.d/network"] {
        let Some(text) = tree.text(path) else { continue };
        let started =
            ["/etc/rc.d/rc3.d", "/etc/rc3.d", "/etc/rc.d/rc2.d", "/etc/rc2.d", "/etc/rc.d/rc5.d"]
                .iter()
                .any(|folder| {
                    tree.list(folder).iter().any(|l| l.starts_with('S') && l.ends_with("network"))
                });
        if started {
            let again = of_script(tree, keys, path, text, plan.loader);
            plan.set(Stage::Network, said!("the init script network", "启动脚本 network"), again);
        }
        return;
    }
}

/// cloud-init: `bootcmd` and per-boot scripts run each time, `runcmd` and `write_files` only on the first boot.
fn cloud(plan: &mut Plan, tree: &Tree, keys: &Keys<'_>) {
    const DATA: &str = "/var/lib/cloud/instance/user-data.txt";
    const BOOT: &str = "/var/lib/cloud/scripts/per-boot";
    if tree.exists("/etc/cloud/cloud-init.disabled") {
        return;
    }
    let folder = tree.list("/etc/cloud/cloud.cfg.d").into_iter();
    let folder =
        folder.filter(|n| n.ends_with(".cfg")).map(|n| format!("/etc/cloud/cloud.cfg.d/{n}"));
    let configs = ["/etc/cloud/cloud.cfg".to_string()].into_iter().chain(folder);
    for path in configs.chain([DATA.to_string()]) {
        let Some(text) = tree.text(&path) else { continue };
        for command in cloud_init::read(text) {
            let all = of_shell(tree, keys, &path, command.line, &command.shell, plan.loader);
            match command.module {
                cloud_init::Module::BootCommand => {
                    plan.set(Stage::Network, Said::name("cloud-init (bootcmd)"), all)
                }
                cloud_init::Module::RunCommand => {
                    let ours = all.into_iter().filter(|a| super::keys::may_concern(&a.key));
                    plan.leave(ours, &PassedOver::FirstBoot);
                }
            }
        }
    }
    for name in tree.list(BOOT) {
        let path = format!("{BOOT}/{name}");
        if let Some(text) = tree.text(&path) {
            let all = of_script(tree, keys, &path, text, plan.loader);
            plan.set(Stage::Network, Said::name("cloud-init (per-boot)"), all);
        }
    }
}

/// tuned applies the active profile, and then (unless told otherwise) the sysctl files again.
fn tuned_profiles(plan: &mut Plan, tree: &Tree, keys: &Keys<'_>) {
    let on = enabled(plan, tree, "tuned", false).is_some();
    let Some(active) = tree.text("/etc/tuned/active_profile") else { return };
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    for name in active.split_whitespace() {
        profile(tree, name, &mut seen, &mut all);
    }
    // Of one option the last section holds.
    let ours: Vec<Assignment> = all
        .into_iter()
        .filter(|a| super::keys::may_concern(&a.key) || a.key == tuned::HASHSIZE)
        .collect();
    if ours.is_empty() {
        return;
    }
    if !on {
        plan.leave(ours, &PassedOver::TunedIsOff);
        return;
    }
    let main = tree.text("/etc/tuned/tuned-main.conf").unwrap_or("");
    let setting = main.lines().filter_map(|l| l.trim().strip_prefix("reapply_sysctl")).next_back();
    let no = setting
        .is_some_and(|v| matches!(v.trim_start_matches([' ', '=']).trim(), "0" | "no" | "false"));
    plan.set(Stage::Tuned, Said::name("tuned"), ours);
    if !no {
        plan.set(Stage::Tuned, Said::name("tuned (reapply_sysctl)"), files::of_tuned(tree, keys));
    }
}

/// A profile, its includes first.
fn profile(tree: &Tree, name: &str, seen: &mut BTreeSet<String>, all: &mut Vec<Assignment>) {
    if seen.len() >= PROFILES || !seen.insert(name.to_string()) || name.contains("..") {
        return;
    }
    let found = ["/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned"]
        .iter()
        .map(|folder| format!("{folder}/{name}/tuned.conf"))
        .find_map(|path| Some((tree.text(&path)?, path)));
    let Some((text, path)) = found else { return };
    let profile_of = tuned::read(&path, text);
    for include in &profile_of.include {
        profile(tree, include, seen, all);
    }
    all.extend(profile_of.assignments);
}

/// rc.local, where it can be run.
fn rc_local(plan: &mut Plan, tree: &Tree, keys: &Keys<'_>) {
    for path in ["/etc/rc.d/rc.local", "/etc/rc.local"] {
        let Some(text) = tree.text(path) else { continue };
        let all = of_script(tree, keys, path, text, plan.loader);
        if plan.loader == SysctlLoader::Systemd && tree.executable(path) == Some(false) {
            let ours = all.into_iter().filter(|a| super::keys::may_concern(&a.key));
            plan.leave(ours, &PassedOver::NotExecutable);
        } else {
            let loads = plimsoll_wire::modules_load::read_script(path, text);
            for module in loads {
                let at = place(path, module.line);
                plan.load(Stage::RcLocal, None, Said::name("rc.local"), &module.module, at, false);
            }
            plan.set(Stage::RcLocal, Said::name("rc.local"), all);
        }
        return;
    }
}
