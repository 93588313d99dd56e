//! Modules at boot: which are named, with what options, and what forbids them.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use plimsoll_wire::modprobe::{self, Directive, ModuleDirective};
use plimsoll_wire::modules_load::{self, ModuleToLoad};

use super::order::{conf, folders, merged};
use super::tree::Tree;
use crate::Said;

/// Scripts that load modules on RHEL 5 and 6.
const SCRIPTS: &str = "/etc/sysconfig/modules";

/// `options`, `install`, `blacklist` … of all modules, the kernel's command line last: that is the order in which
/// modprobe hands the options over, and of one name the last holds.
pub(crate) fn directives(tree: &Tree) -> Vec<ModuleDirective> {
    let mut all = Vec::new();
    // module-init-tools (RHEL 5) read every file of the folder, and one beside it.
    let old = tree.text("/etc/modprobe.conf");
    let wanted = |name: &str| conf(name) || (old.is_some() && !name.contains(".rpm"));
    for member in merged(tree, &folders("modprobe.d"), wanted) {
        if let Some(text) = tree.text(&member.path) {
            all.extend(modprobe::read_conf(&member.path, text));
        }
    }
    if let Some(text) = old {
        all.extend(modprobe::read_conf("/etc/modprobe.conf", text));
    }
    all.extend(modprobe::read_command_line(command_line(tree)));
    all
}

/// The kernel's command line.
pub(super) fn command_line(tree: &Tree) -> &str {
    tree.text("/proc/cmdline").unwrap_or("")
}

/// Modules named for loading before the settings are applied, whoever loads them.
pub(super) fn to_load(tree: &Tree) -> Vec<ModuleToLoad> {
    let mut all = Vec::new();
    for word in command_line(tree).split_whitespace() {
        let list = word
            .strip_prefix("modules-load=")
            .or_else(|| word.strip_prefix("modules_load="))
            .unwrap_or("");
        for module in list.split(',').filter(|m| !m.is_empty()) {
            all.extend(modules_load::read_list("/proc/cmdline", module));
        }
    }
    let mut modules_read = false;
    let target = tree.resolve("/etc/modules");
    for member in merged(tree, &folders("modules-load.d"), conf) {
        if let Some(text) = tree.text(&member.path) {
            // systemd reads /etc/modules by a link in modules-load.d, sysvinit by itself.
            modules_read |=
                tree.resolve(&member.path) == target || tree.text("/etc/modules") == Some(text);
            all.extend(modules_load::read_list(&member.path, text));
        }
    }
    if !modules_read && let Some(text) = tree.text("/etc/modules") {
        all.extend(modules_load::read_list("/etc/modules", text));
    }
    let scripts = tree.list(SCRIPTS).into_iter().filter(|name| name.ends_with(".modules"));
    let scripts = scripts.map(|name| format!("{SCRIPTS}/{name}"));
    for path in scripts.chain(["/etc/rc.modules".to_string()]) {
        if let Some(text) = tree.text(&path) {
            all.extend(modules_load::read_script(&path, text));
        }
    }
    all
}

/// Modules that the initramfs loads, by the files that it is built from. What it holds now is not looked into.
pub(super) fn of_initramfs(tree: &Tree) -> Vec<ModuleToLoad> {
    let mut all = Vec::new();
    if let Some(text) = tree.text("/etc/initramfs-tools/modules") {
        all.extend(modules_load::read_list("/etc/initramfs-tools/modules", text));
    }
    let mut dracut = vec!["/etc/dracut.conf".to_string()];
    let folders: Vec<String> =
        ["/etc/dracut.conf.d", "/usr/lib/dracut/dracut.conf.d"].map(Into::into).to_vec();
    dracut.extend(merged(tree, &folders, conf).into_iter().map(|m| m.path));
    for path in dracut {
        let Some(text) = tree.text(&path) else { continue };
        for (line, content) in (1..).zip(text.lines()) {
            let Some((name, value)) = content.split_once('=') else { continue };
            // add_drivers only puts a module in; force_drivers loads it.
            if name.trim().trim_end_matches('+') == "force_drivers" {
                for module in value.trim_matches(['"', '\'', ' ']).split_whitespace() {
                    all.extend(
                        modules_load::read_list(&path, module)
                            .into_iter()
                            .map(|m| ModuleToLoad { line, ..m }),
                    );
                }
            }
        }
    }
    all
}

/// Why a module can't be loaded at all, if so; and which directive says it.
pub(super) fn forbidden<'a>(
    tree: &Tree,
    directives: &'a [ModuleDirective],
    module: &str,
) -> Option<(&'a ModuleDirective, Said)> {
    let by_kernel = command_line(tree).split_whitespace().any(|word| {
        word.strip_prefix("module_blacklist=")
            .is_some_and(|list| list.split(',').any(|m| m.replace('-', "_") == module))
    });
    directives.iter().filter(|d| d.module == module).find_map(|d| match &d.directive {
        Directive::Blacklist if by_kernel && d.file == "/proc/cmdline" => {
            Some((d, said!("the kernel's command line forbids it", "内核命令行禁止它")))
        }
        Directive::Install { command } if !loads_itself(command) => Some((
            d,
            said!(
                "an install line runs something else in its place",
                "install 一行运行了别的东西来代替它"
            ),
        )),
        Directive::Alias { target } if target == "off" => {
            Some((d, said!("an alias switches it off", "alias 一行把它关掉了")))
        }
        Directive::Blacklist
        | Directive::Install { .. }
        | Directive::Option { .. }
        | Directive::Alias { .. }
        | Directive::Softdep { .. } => None,
    })
}

/// Whether a blacklist line names a module: then systemd does not load it by name, while what depends on it still
/// brings it in.
pub(super) fn blacklisted<'a>(
    directives: &'a [ModuleDirective],
    module: &str,
) -> Option<&'a ModuleDirective> {
    directives.iter().find(|d| d.module == module && d.directive == Directive::Blacklist)
}

/// Whether an install command loads the module after all.
fn loads_itself(command: &str) -> bool {
    command.contains("--ignore-install") || command.split_whitespace().any(|w| w == "-i")
}

/// Modules that come with one by softdep lines.
pub(super) fn softdeps<'a>(
    directives: &'a [ModuleDirective],
    module: &str,
) -> impl Iterator<Item = &'a str> {
    let module = module.to_string();
    directives.iter().filter(move |d| d.module == module).flat_map(|d| match &d.directive {
        Directive::Softdep { pre, post } => {
            pre.iter().chain(post).map(String::as_str).collect::<Vec<_>>()
        }
        Directive::Option { .. }
        | Directive::Blacklist
        | Directive::Install { .. }
        | Directive::Alias { .. } => Vec::new(),
    })
}

/// Modules that bring the core of conntrack in, by name; and those that bring the protocols of IPv4 on kernels that keep
/// them apart.
pub(super) fn brings_core(module: &str) -> bool {
    // nf_defrag_* is what conntrack needs, not the other way round.
    modprobe::is_conntrack(module) && !module.starts_with("nf_defrag_")
}

/// Whether a module brings the protocols' timeouts, too, where they are kept apart (2.6.20 to 4.18).
pub(super) fn brings_protocols(module: &str) -> bool {
    const CORE_ONLY: [&str; 3] = ["nf_conntrack", "nf_conntrack_netlink", "nf_nat"];
    brings_core(module)
        && !CORE_ONLY.contains(&module)
        // Helpers and matches need the core alone; the tables and nat of IPv4 need its part.
        && (module.contains("ipv4") || module.contains("ipv6") || module.ends_with("table_nat") || module.starts_with("ipt_"))
}

/// Every module that loading one brings, itself first, by the softdep lines.
pub(super) fn closure(directives: &[ModuleDirective], module: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    let mut todo = vec![module.to_string()];
    while let Some(module) = todo.pop() {
        if seen.insert(module.clone()) && seen.len() < 200 {
            todo.extend(softdeps(directives, &module).map(Into::into));
            all.push(module);
        }
    }
    all
}
