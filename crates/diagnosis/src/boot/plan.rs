//! What happens at boot, in order: modules that are loaded, and values that are written.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_wire::Malformed;
use plimsoll_wire::modprobe::ModuleDirective;
use plimsoll_wire::sysctl::{Assignment, read_command_line};
use plimsoll_wire::udev_rules::ModuleRule;

use super::files::{self, Applied};
use super::keys::{Keys, place};
use super::modules;
use super::order::{folders, merged};
use super::services;
use super::unapplied::{PassedOver, Unapplied};
use super::{BootFacts, tree::Tree};
use crate::Said;
use crate::facts::SysctlLoader;

/// When something happens, earliest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The kernel itself, before init.
    Kernel,
    /// The initramfs.
    Initramfs,
    /// Modules named for loading.
    Modules,
    /// The sysctl files.
    Sysctl,
    /// The firewall.
    Firewall,
    /// The network scripts, and what cloud-init runs on every boot.
    Network,
    /// tuned.
    Tuned,
    /// rc.local.
    RcLocal,
    /// Container engines, kubelet, virtualisation.
    Containers,
    /// kube-proxy, as a pod of its node.
    KubeProxy,
}

/// Something that happens.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) stage: Stage,
    /// Another moment at which it may as well happen: nothing orders the two.
    pub(super) or: Option<Stage>,
    /// Who does it: "systemd-sysctl", "nftables.service".
    pub(super) by: Said,
    pub(super) what: What,
}

/// What is done.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// Loads a module, by name or by what needs it.
    Load {
        module: String,
        /// Where that stands.
        place: Said,
        /// By name, so that a blacklist stops it (systemd).
        by_name: bool,
    },
    /// Writes values.
    Set(Vec<Assignment>),
}

/// All of it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) loader: SysctlLoader,
    /// How the loader was told.
    pub(super) loader_because: Said,
    /// Nothing tells the loader but the kernel's age, and nothing tells that.
    pub(super) loader_assumed: bool,
    pub(super) events: Vec<Event>,
    /// What the loader itself applies.
    pub(super) applied: Applied,
    pub(super) directives: Vec<ModuleDirective>,
    /// Rules that run something when the core module comes.
    pub(super) udev: Vec<ModuleRule>,
    /// Standing in a file that nothing applies at this boot.
    pub(super) unapplied: Vec<Unapplied>,
    pub(super) malformed: Vec<Malformed>,
    /// Whether something was found that loads the core.
    pub(super) loads_core: bool,
    /// Remarks for the reader: what was assumed.
    pub(super) assumed: Vec<Said>,
}

/// Makes the plan.
pub(super) fn plan(facts: &BootFacts, tree: &Tree, keys: &Keys<'_>) -> Plan {
    let (loader, loader_because, loader_assumed) = loader(facts, tree);
    let applied = files::of_loader(tree, loader, keys);
    let mut plan = Plan {
        loader,
        loader_because,
        loader_assumed,
        events: Vec::new(),
        directives: modules::directives(tree),
        udev: Vec::new(),
        unapplied: applied.unapplied.clone(),
        malformed: applied.malformed.clone(),
        loads_core: false,
        assumed: Vec::new(),
        applied,
    };
    // The kernel applies sysctl.KEY= when all that is built in stands, and never again.
    let line = modules::command_line(tree);
    plan.set(
        Stage::Kernel,
        said!("the kernel's command line", "内核命令行"),
        read_command_line(line),
    );
    for module in modules::of_initramfs(tree) {
        let at = place(&module.file, module.line);
        plan.load(
            Stage::Initramfs,
            None,
            said!("the initramfs", "initramfs"),
            &module.module,
            at,
            true,
        );
    }
    let by = match loader {
        SysctlLoader::Systemd => Said::name("systemd-modules-load"),
        SysctlLoader::Procps => said!("the init script of kmod", "kmod 的启动脚本"),
        SysctlLoader::OpenRc => Said::name("/etc/init.d/modules"),
        SysctlLoader::RcSysinit => Said::name("rc.sysinit"),
    };
    for module in modules::to_load(tree) {
        let at = place(&module.file, module.line);
        if loader == SysctlLoader::Systemd && !module.arguments.is_empty() {
            // Looked for under the whole line as a name, and not found.
            continue;
        }
        plan.load(Stage::Modules, None, &by, &module.module, at, true);
    }
    plan.set(Stage::Sysctl, Said::name(loader.name()), plan.applied.assignments.clone());
    plan.udev = udev_rules(tree, facts);
    services::add(&mut plan, facts, tree, keys);
    let modular = facts.modular.get() != Some(false);
    let runs = facts.tracks_now();
    if modular && !plan.loads_core && runs {
        // Nothing here loads it, and yet it is loaded on the running host.
        plan.load(
            Stage::Firewall,
            None,
            said!("something that is not among the files read", "不在已读文件之中的某个程序"),
            facts.core(),
            said!("the running host has it loaded", "正在运行的主机上已加载"),
            false,
        );
    }
    if facts.modular.get().is_none() {
        plan.assumed.push(said!(
            "{} is taken for a module: nothing tells whether it is one",
            "把 {} 当作模块：没有什么能说明它是不是",
            facts.core()
        ));
    }
    if !keys.told {
        plan.assumed.push(said!(
            "nothing tells the kernel's generation: names and values that not every one takes are not judged",
            "没有什么能说明内核属于哪一代：不判断并非每一代都接受的名字和值"
        ));
    }
    if let Some(kind) = super::volatile::in_memory(tree) {
        plan.assumed.push(said!(
            "the files are read as they are now, and /etc/sysctl.d lies in memory ({kind}): a boot finds what was saved of it",
            "按现在的样子读文件，而 /etc/sysctl.d 在内存里（{kind}）：启动时看到的是保存下来的那些"
        ));
    }
    plan.events.sort_by_key(|event| event.stage);
    plan
}

impl Plan {
    pub(super) fn set(&mut self, stage: Stage, by: impl Into<Said>, assignments: Vec<Assignment>) {
        let ours: Vec<Assignment> = assignments
            .into_iter()
            .filter(|a| super::keys::may_concern(&a.key) || a.key == plimsoll_wire::tuned::HASHSIZE)
            .collect();
        if !ours.is_empty() {
            self.events.push(Event { stage, or: None, by: by.into(), what: What::Set(ours) });
        }
    }

    /// Keeps lines that stand there and are not applied.
    pub(super) fn leave(&mut self, lines: impl IntoIterator<Item = Assignment>, why: &PassedOver) {
        let lines = lines.into_iter();
        self.unapplied.extend(lines.map(|assignment| Unapplied { assignment, why: why.clone() }));
    }

    /// Adds the loading of a module, if it or what comes with it brings conntrack.
    pub(super) fn load(
        &mut self,
        stage: Stage,
        or: Option<Stage>,
        by: impl Into<Said>,
        module: &str,
        place: impl Into<Said>,
        by_name: bool,
    ) {
        let (by, place) = (by.into(), place.into());
        let all = modules::closure(&self.directives, module);
        for module in all.into_iter().filter(|m| modules::brings_core(m)) {
            self.loads_core = true;
            self.events.push(Event {
                stage,
                or,
                by: by.clone(),
                what: What::Load { module, place: place.clone(), by_name },
            });
        }
    }
}

/// What applies the files of this host, how that was told, and whether it is only assumed.
pub(super) fn loader(facts: &BootFacts, tree: &Tree) -> (SysctlLoader, Said, bool) {
    // What runs now decides; on a dead host, what is installed.
    let init = tree.text("/proc/1/comm").map(str::trim);
    if tree.exists("/run/systemd/system") || init == Some("systemd") {
        let because = said!("process 1 is systemd", "1 号进程是 systemd");
        return (SysctlLoader::Systemd, because, false);
    }
    let first = |paths: &[&'static str]| paths.iter().copied().find(|p| tree.exists(p));
    let old = facts.generation.value().map(|k| k.vendor);
    if matches!(old, Some(plimsoll_ct::Vendor::Enterprise(..=6)))
        || tree.exists("/etc/rc.d/rc.sysinit")
    {
        let because = said!(
            "/etc/rc.d/rc.sysinit, or a kernel of RHEL 5 or 6",
            "/etc/rc.d/rc.sysinit，或 RHEL 5、6 的内核"
        );
        return (SysctlLoader::RcSysinit, because, false);
    }
    if super::openrc::script(tree).is_some() {
        return (SysctlLoader::OpenRc, Said::name(super::openrc::SCRIPT), false);
    }
    let procps = first(&["/etc/init.d/procps", "/etc/init/procps.conf", "/etc/init.d/sysctl"]);
    let systemd = first(&[
        "/usr/lib/systemd/systemd-sysctl",
        "/lib/systemd/systemd-sysctl",
        "/etc/systemd/system",
    ]);
    match (systemd, procps) {
        // Debian has both; what process 1 is tells them apart.
        (Some(_), Some(path)) if init == Some("init") => {
            (SysctlLoader::Procps, Said::name(path), false)
        }
        (Some(path), _) => (SysctlLoader::Systemd, Said::name(path), false),
        (None, Some(path)) => (SysctlLoader::Procps, Said::name(path), false),
        (None, None) if facts.generation.value().is_none() => {
            let because = said!("taken for granted: nothing tells", "没有什么能说明，姑且这样假定");
            (SysctlLoader::Systemd, because, true)
        }
        (None, None) => {
            // RHEL 7 and what is younger has systemd.
            let young = facts.generation.value().is_none_or(|k| k.rank() >= (3, 10));
            let loader = if young { SysctlLoader::Systemd } else { SysctlLoader::RcSysinit };
            (loader, said!("taken from the kernel's age", "按内核的年代推断"), false)
        }
    }
}

/// udev's rules that run something when the core module is loaded.
fn udev_rules(tree: &Tree, facts: &BootFacts) -> Vec<ModuleRule> {
    let core = facts.core();
    merged(tree, &folders("udev/rules.d"), |name| name.ends_with(".rules"))
        .iter()
        .filter_map(|member| Some((&member.path, tree.text(&member.path)?)))
        .flat_map(|(path, text)| plimsoll_wire::udev_rules::read(path, text))
        .filter(|rule| plimsoll_wire::sysctl::matches(&rule.module, core))
        .collect()
}

/// What a command of a udev rule writes.
pub(super) fn of_command(
    tree: &Tree,
    keys: &Keys<'_>,
    rule: &ModuleRule,
    command: &str,
    plan: &Plan,
) -> Vec<Assignment> {
    let at = |a: &Assignment| Assignment { file: a.file.clone(), ..a.clone() };
    if command.contains("systemd-sysctl") {
        let prefixes: Vec<String> = command
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("--prefix="))
            .map(|prefix| {
                prefix.trim_matches('/').trim_start_matches("proc/sys/").replace('/', ".")
            })
            .collect();
        let named: Vec<&str> =
            command.split_whitespace().filter(|w| w.ends_with(".conf")).collect();
        let all = if named.is_empty() {
            files::of_loader(tree, SysctlLoader::Systemd, keys).assignments
        } else {
            named.iter().flat_map(|path| files::of_file(tree, path, keys)).collect()
        };
        let fits = |a: &&Assignment| {
            prefixes.is_empty()
                || prefixes.iter().any(|p| {
                    a.key
                        .strip_prefix(p.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                })
        };
        return all.iter().filter(fits).map(at).collect();
    }
    of_shell(tree, keys, &rule.file, rule.line, command, plan.loader)
}

/// What a line of shell writes: `sysctl -w`, `echo >`, `sysctl -p FILE`, `sysctl --system`.
pub(super) fn of_shell(
    tree: &Tree,
    keys: &Keys<'_>,
    file: &str,
    line: u32,
    shell: &str,
    loader: SysctlLoader,
) -> Vec<Assignment> {
    let mut found = Vec::new();
    for command in shell.split([';', '&', '|', '\n']) {
        let words: Vec<&str> =
            command.split_whitespace().map(|w| w.trim_matches(['"', '\''])).collect();
        let ends =
            |name: &str| words.iter().any(|w| *w == name || w.ends_with(&format!("/{name}")));
        if ends("systemd-sysctl") || command.contains("restart systemd-sysctl") {
            found.extend(files::of_loader(tree, SysctlLoader::Systemd, keys).assignments);
        } else if ends("sysctl") && words.contains(&"--system") {
            found.extend(files::of_loader(tree, SysctlLoader::Procps, keys).assignments);
        } else if ends("sysctl") && words.iter().any(|w| loads(w)) {
            let after = words.iter().skip_while(|w| !w.ends_with("sysctl")).skip(1);
            let named: Vec<&str> = after
                .take_while(|w| !w.contains(['>', '<']))
                .filter(|w| w.starts_with('/'))
                .copied()
                .collect();
            match named.as_slice() {
                [] => found.extend(files::of_file(tree, files::MAIN, keys)),
                paths => found.extend(paths.iter().flat_map(|p| files::of_file(tree, p, keys))),
            }
        } else if words.first() == Some(&"apply_sysctl") {
            found.extend(files::of_loader(tree, loader, keys).assignments);
        }
    }
    // Set once more, by this line.
    for assignment in &mut found {
        assignment.file = file.to_string();
        assignment.line = line;
    }
    found.extend(
        plimsoll_wire::sysctl::read_script(file, shell)
            .into_iter()
            .map(|a| Assignment { line: line + a.line.saturating_sub(1), ..a }),
    );
    found
}

/// `-p`, `-qp`, `--load`.
fn loads(word: &str) -> bool {
    word.starts_with("--load")
        || (word.starts_with('-') && !word.starts_with("--") && word.contains('p'))
}

/// What a whole script writes, line by line.
pub(super) fn of_script(
    tree: &Tree,
    keys: &Keys<'_>,
    file: &str,
    text: &str,
    loader: SysctlLoader,
) -> Vec<Assignment> {
    (1..)
        .zip(text.lines())
        .filter(|(_, content)| !content.trim_start().starts_with('#'))
        .filter(|(_, content)| content.contains("sysctl") || content.contains("/proc/sys"))
        .flat_map(|(line, content)| {
            let content = content.split(" #").next().unwrap_or("");
            of_shell(tree, keys, file, line, content, loader)
        })
        .collect()
}
