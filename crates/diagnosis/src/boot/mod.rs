//! The boot simulation: which value each setting will have after the next boot, and why.
//!
//! Knows: who reads which file, in what order, what the kernel takes, and when the keys exist. Does not know how the
//! files were read. Files enter as text ([`Tree`]), so that a proposed change can be judged before it is made: the same
//! facts with other files are another boot. Pure: the same facts and changes give the same answer.
//!
//! Kernel: `nf_conntrack_init_start()`, `nf_conntrack_standalone_init_sysctl()`, net/netfilter; `proc_dointvec()`,
//! kernel/sysctl.c; `do_sysctl_args()`, fs/proc/proc_sysctl.c.

mod defaults;
mod files;
mod keys;
mod kube_proxy;
mod lint;
mod modules;
mod openrc;
mod order;
mod outcome;
mod plan;
mod run;
mod services;
#[cfg(test)]
mod tests;
mod tree;
mod ufw;
mod unapplied;
mod value;
pub(crate) mod volatile;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::{
    Access, Bytes, Era, KernelVersion, PROFILES, Profile, SETTINGS, Setting, Vendor,
};
use plimsoll_wire::modules::Module;

use crate::Said;
use crate::facts::{BootFiles, Fact, Host, Manager, Origin, Reason, Snapshot, SysctlLoader};
use keys::Keys;

pub(crate) use keys::place;
pub(crate) use kube_proxy::FLAGS;
pub use lint::{Lint, LintKind};
pub(crate) use modules::directives;
pub use outcome::{After, Attempt, Fate, Outcome, Step};
pub use plan::Stage;
pub use services::rule_files;
pub use tree::{Entry, FileChange, Tree};
pub use ufw::Ufw;
pub(crate) use value::out_of_range;
pub use value::written;

/// What the simulation starts from.
#[derive(Debug, Clone, PartialEq)]
pub struct BootFacts {
    /// The kernel that will boot: the running one, or the only one whose modules are there.
    pub kernel: Fact<KernelVersion>,
    /// The release that its generation was told by, as [`Host::generation`].
    pub generation: Fact<KernelVersion>,
    /// Its generation.
    pub profile: Profile,
    /// Memory, which decides the defaults of limit and buckets.
    pub memory: Fact<Bytes>,
    /// Processors, which kube-proxy's limit follows.
    pub cpus: Fact<u32>,
    /// Whether conntrack is a module (and not built in).
    pub modular: Fact<bool>,
    /// Modules that are loaded now.
    pub modules: Fact<Vec<Module>>,
    /// Ticks in a second, which bound the timeouts.
    pub hz: Fact<u32>,
    /// Settings of the initial namespace as they are now, by bare name.
    pub settings: BTreeMap<String, String>,
    /// Programs that manage rules or settings.
    pub managers: Fact<Vec<Manager>>,
    /// The files.
    pub tree: Tree,
}

/// The next boot.
#[derive(Debug, Clone, PartialEq)]
pub struct Boot {
    /// The kernel's release, or the generation that was taken where it is not known.
    pub kernel: Said,
    /// One for each setting that this kernel has, in the order of the kernel's listing.
    pub outcomes: Vec<Outcome>,
    /// What is wrong, the worst first.
    pub lints: Vec<Lint>,
    /// What takes part, in order.
    pub steps: Vec<Step>,
    /// What applies the sysctl files.
    pub loader: SysctlLoader,
    /// How that was told.
    pub loader_because: Said,
    /// When the keys begin to exist: "built into the kernel", "loaded by nftables.service, after systemd-sysctl".
    pub module: Said,
    /// What was taken for granted.
    pub assumed: Vec<Said>,
    /// What could not be read.
    pub unread: Vec<Said>,
}

impl Boot {
    /// The outcome of a setting, by a key in any notation, old or new.
    pub fn outcome(&self, key: &str) -> Option<&Outcome> {
        let setting =
            Setting::find(key).or_else(|| Setting::find(&format!("nf_conntrack_{key}")))?;
        self.outcomes.iter().find(|o| o.setting.name == setting.name)
    }
}

impl BootFacts {
    /// Of a host that was read as a whole.
    pub fn of(snapshot: &Snapshot) -> Self {
        let initial = snapshot.namespaces.iter().find(|n| n.is_initial());
        let mut settings = initial.map(|n| n.settings.clone()).unwrap_or_default();
        for (name, value) in [
            ("nf_conntrack_max", initial.and_then(|n| n.max.get()).map(|m| m.0)),
            ("nf_conntrack_expect_max", initial.and_then(|n| n.expect_max.get()).map(|m| m.0)),
        ] {
            if let Some(value) = value {
                settings.entry(name.into()).or_insert_with(|| format!("{value}"));
            }
        }
        Self::of_host(&snapshot.host, &snapshot.boot, settings)
    }

    /// From the parts. `settings`: those of the initial namespace, by bare name.
    pub fn of_host(host: &Host, boot: &BootFiles, mut settings: BTreeMap<String, String>) -> Self {
        if let Some(max) = host.global_max.get() {
            settings.insert("nf_conntrack_max".into(), format!("{max}"));
        }
        // The parameter is right where the key may lag behind a resize (4.9, 4.19).
        if let Some(buckets) = host.buckets.get() {
            settings.insert("nf_conntrack_buckets".into(), format!("{buckets}"));
        }
        Self {
            kernel: host.kernel.clone(),
            generation: host.generation.clone(),
            profile: host.profile,
            memory: host.memory_total.clone(),
            cpus: host.cpus.clone(),
            modular: boot.modular(host, settings.contains_key("nf_conntrack_max")),
            modules: host.modules.clone(),
            hz: boot.hz.clone(),
            managers: boot.managers.clone(),
            tree: boot.tree.value().cloned().unwrap_or_default(),
            settings,
        }
    }

    /// The core module's name.
    pub(crate) fn core(&self) -> &'static str {
        crate::commands::module(&self.profile)
    }

    /// Whether conntrack is there on the running host.
    pub(crate) fn tracks_now(&self) -> bool {
        let loaded =
            self.modules.value().is_some_and(|all| all.iter().any(|m| m.name == self.core()));
        loaded
            || self
                .settings
                .keys()
                .any(|k| k.ends_with("conntrack_count") || k.ends_with("conntrack_max"))
    }

    /// Whether the protocols' timeouts come with a module of their own, nf_conntrack_ipv4 (2.6.20 to 4.18).
    pub(crate) fn has_separate_protocols(&self) -> bool {
        let merged = match self.generation.value() {
            Some(k) => k.rank() >= (4, 19) || k.vendor == Vendor::Enterprise(8),
            None => self.profile.from >= (4, 19) || self.profile.enterprise == Some(8),
        };
        self.profile.era != Era::IpConntrack && !merged
    }

    /// The release that counts for what came and went with releases.
    fn rank(&self) -> (u16, u16) {
        self.generation.value().map_or(self.profile.from, KernelVersion::rank)
    }

    /// The kernel that values are refused by. Where nothing tells the generation it is the oldest, which refuses the
    /// least: what that one refuses, none takes.
    fn refuser(&self) -> (&Profile, (u16, u16)) {
        match self.generation {
            Fact::Known { .. } => (&self.profile, self.rank()),
            Fact::Missing(_) => (&PROFILES[0], PROFILES[0].from),
        }
    }

    /// The running value of a setting.
    pub(crate) fn running(&self, setting: &Setting) -> Option<u64> {
        let by = |name: &str| self.settings.get(name)?.trim().parse().ok();
        by(setting.name).or_else(|| by(setting.old_name?))
    }

    /// The key of this kernel that is nearest to a wrong one.
    pub fn nearest(&self, key: &str) -> Option<String> {
        self.keys().nearest(key)
    }

    /// Other keys of the same variable on this kernel.
    pub fn aliases(&self, setting: &'static Setting) -> Vec<String> {
        let own = self.keys().name(setting);
        let modern = format!("net.netfilter.{}", setting.name);
        let root = setting.name.ends_with("conntrack_max").then(|| format!("net.{}", setting.name));
        let old = setting.old_name.map(|name| format!("net.ipv4.netfilter.{name}"));
        let old_root = root.is_some().then(|| "net.ipv4.ip_conntrack_max".into());
        let live = |key: &String| matches!(self.keys().meaning(key), Some(keys::Meaning::Live(_)));
        [Some(modern), root, old, old_root]
            .into_iter()
            .flatten()
            .filter(|key| *key != own && live(key))
            .collect()
    }

    fn keys(&self) -> Keys<'_> {
        Keys {
            profile: &self.profile,
            told: self.generation.value().is_some(),
            version: self.kernel.value(),
            running: &self.settings,
        }
    }
}

/// Simulates the next boot of a host, with these changes made to its files.
///
/// ```
/// # use plimsoll_diagnosis::boot::{boot, BootFacts, FileChange, After};
/// # fn judge(facts: &BootFacts) -> bool {
/// let persist = [
///     FileChange { path: "/etc/modules-load.d/plimsoll.conf".into(), text: Some("nf_conntrack\n".into()) },
///     FileChange {
///         path: "/etc/sysctl.d/90-plimsoll.conf".into(),
///         text: Some("net.netfilter.nf_conntrack_max = 524288\n".into()),
///     },
/// ];
/// let after = boot(facts, &persist);
/// after.outcome("net.netfilter.nf_conntrack_max").is_some_and(|o| o.after == After::Value(524_288))
/// # }
/// ```
pub fn boot(facts: &BootFacts, changes: &[FileChange]) -> Boot {
    let changed;
    let tree = if changes.is_empty() {
        &facts.tree
    } else {
        changed = facts.tree.with(changes);
        &changed
    };
    let keys = facts.keys();
    let plan = plan::plan(facts, tree, &keys);
    let run = run::run(&plan, facts, tree, &keys, false);
    let open = !plan.udev.is_empty()
        || facts.modular.get().is_none()
        || plan.events.iter().any(|e| e.or.is_some());
    let other = open.then(|| run::run(&plan, facts, tree, &keys, true));
    let settings = SETTINGS.iter().filter(|s| s.access != Access::ReadOnly && keys.has(s));
    let outcomes: Vec<Outcome> = settings
        .map(|setting| outcome::outcome(setting, facts, &keys, &plan, &run, other.as_ref()))
        .collect();
    let lints = lint::lints(facts, tree, &keys, &plan, &run, &outcomes);
    let unread = tree.all_unread().map(|(path, why)| {
        let (path, why) = (crate::words::clean(path), why.map(crate::words::clean));
        said!("{path}: {why}", "{path}：{why:#}")
    });
    Boot {
        kernel: match facts.kernel.value() {
            Some(kernel) => Said::name(crate::words::clean(&kernel.release)),
            None => taken_for(&facts.profile, &facts.generation),
        },
        steps: outcome::steps(&plan, &run, facts.modular.get() == Some(false)),
        module: run.module_story(other.as_ref(), facts, &plan),
        loader: plan.loader,
        loader_because: plan.loader_because,
        assumed: plan.assumed,
        unread: unread.collect(),
        outcomes,
        lints,
    }
}

/// The generation that is taken where the release is not known, and what it was told by.
fn taken_for(profile: &Profile, generation: &Fact<KernelVersion>) -> Said {
    match generation {
        Fact::Known { source, .. } => {
            let by = source.0.map(crate::words::clean);
            said!(
                "kernel not known, by {by} taken as {}",
                "内核未知，根据 {by:#} 按 {} 算",
                profile.name
            )
        }
        Fact::Missing(_) => {
            said!("kernel not known, taken as {}", "内核未知，按 {} 算", profile.name)
        }
    }
}

/// The next boot of a host that was read as a whole. Where no file of settings could be read, and nothing else asks for
/// a value, nothing is foretold: of what was saved they may all have been left out.
pub(crate) fn foretold(snapshot: &Snapshot) -> Fact<Boot> {
    let (tree, source) = match &snapshot.boot.tree {
        Fact::Known { value, source } => (value, source.clone()),
        Fact::Missing(gap) => return Fact::Missing(gap.clone()),
    };
    let boot = boot(&BootFacts::of(snapshot), &[]);
    if boot.outcomes.iter().any(Outcome::is_set) {
        return Fact::known(boot, source);
    }
    let mut places = order::folders("sysctl.d");
    places.push(files::MAIN.into());
    let unread = tree.all_unread().filter(|(path, _)| places.iter().any(|p| path.starts_with(p)));
    let unread: Vec<Said> =
        unread.map(|(path, why)| said!("{path}: {why}", "{path}：{why:#}")).collect();
    if !unread.is_empty() {
        return Fact::missing(Reason::Failed, Said::join(&unread, &Said::of("; ", "；")));
    }
    if snapshot.host.origin != Origin::Live && !places.iter().any(|path| tree.exists(path)) {
        return Fact::missing_needs(
            Reason::NotCollected,
            said!("no sysctl file is there", "没有任何 sysctl 文件"),
            Said::of("/etc/sysctl.d, /etc/sysctl.conf", "/etc/sysctl.d、/etc/sysctl.conf"),
        );
    }
    Fact::known(boot, source)
}

/// What applies the sysctl files of a host; where nothing tells, by its age.
pub(crate) fn loader(facts: &BootFacts) -> SysctlLoader {
    plan::loader(facts, &facts.tree).0
}

/// Something that loads a module at boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loader {
    /// The module.
    pub module: String,
    /// Who: "nftables.service".
    pub by: Said,
    /// Where that stands.
    pub place: Said,
}

/// What will load modules of a kind at the next boot, with these changes made to the files, on a host that has none of
/// them loaded now.
pub fn loaders(
    facts: &BootFacts,
    changes: &[FileChange],
    kind: &dyn Fn(&str) -> bool,
) -> Vec<Loader> {
    let mut facts = facts.clone();
    facts.tree = facts.tree.with(changes);
    facts.settings.clear();
    if let Fact::Known { value, .. } = &mut facts.modules {
        value.retain(|m| !kind(&m.name));
    }
    let plan = plan::plan(&facts, &facts.tree, &facts.keys());
    let mut found: Vec<Loader> = Vec::new();
    for event in &plan.events {
        if let plan::What::Load { module, place, .. } = &event.what
            && kind(&module.replace('-', "_"))
        {
            let loader =
                Loader { module: module.clone(), by: event.by.clone(), place: place.clone() };
            if !found.iter().any(|l| l.by == loader.by && l.place == loader.place) {
                found.push(loader);
            }
        }
    }
    found
}
