//! The run: the events in order, against keys that exist or not.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use plimsoll_ct::{Era, SETTINGS, Setting};
use plimsoll_wire::modprobe::Directive;
use plimsoll_wire::sysctl::Assignment;
use plimsoll_wire::tuned::HASHSIZE;

use super::defaults::{self, Own};
use super::keys::{Keys, Meaning};
use super::outcome::Fate;
use super::plan::{Plan, Stage, What, of_command, of_shell};
use super::value::{Odd, Taken, taken};
use super::{BootFacts, modules, tree::Tree};
use crate::Said;
use crate::facts::SysctlLoader;

/// Settings whose keys come with the core; the others' come with the protocols, where these are kept apart.
const CORE_KEYS: &[&str] = &[
    "nf_conntrack_max",
    "nf_conntrack_count",
    "nf_conntrack_buckets",
    "nf_conntrack_expect_max",
    "nf_conntrack_checksum",
    "nf_conntrack_log_invalid",
    "nf_conntrack_acct",
    "nf_conntrack_timestamp",
    "nf_conntrack_events",
    "nf_conntrack_events_retry_timeout",
    "nf_conntrack_helper",
    "nf_conntrack_generic_timeout",
];

/// Most writes that are followed.
const ATTEMPTS: usize = 20_000;

/// Most keys that no kernel has whose neighbours are looked for.
const UNKNOWN: usize = 200;

/// A write, and what became of it.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) assignment: Assignment,
    pub(super) by: Said,
    pub(super) stage: Stage,
    pub(super) setting: Option<&'static Setting>,
    pub(super) fate: Fate,
    /// What a person would not expect of the value.
    pub(super) odd: Option<Odd>,
}

/// How a setting stands.
#[derive(Debug, Clone)]
pub(super) enum Stands {
    /// By the kernel itself.
    Own(Option<Own>),
    /// By this write: its index.
    Written(usize),
}

/// How the core came.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) stage: Stage,
    pub(super) by: Said,
    pub(super) place: Said,
}

/// The result.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) writes: Vec<Write>,
    pub(super) stands: BTreeMap<&'static str, Stands>,
    pub(super) core: Option<Loaded>,
    pub(super) protocols: bool,
    /// A rule of udev applies the files when the core comes.
    pub(super) udev_writes: bool,
    /// Why it can never be loaded, if so.
    pub(super) forbidden: Option<Said>,
    /// Keys that no kernel has, so far.
    unknown: usize,
    /// Whether what nothing orders comes in its other order.
    other: bool,
    /// Whether the core is built into the kernel.
    built_in: bool,
    /// Whether nf_defrag_ipv6 is loaded, which has keys of its own.
    defrag: bool,
    /// Numbers in force.
    values: BTreeMap<&'static str, i64>,
}

/// Runs the plan. `other`: events that may happen at another moment do.
pub(super) fn run(
    plan: &Plan,
    facts: &BootFacts,
    tree: &Tree,
    keys: &Keys<'_>,
    other: bool,
) -> Run {
    // Where nothing tells whether it is a module it is taken for one, and the other way for the other.
    let built_in = match facts.modular.get() {
        Some(modular) => !modular,
        None => other,
    };
    let mut run = Run { other, built_in, ..Run::default() };
    let mut events: Vec<_> = plan
        .events
        .iter()
        .map(|e| (if other { e.or.unwrap_or(e.stage) } else { e.stage }, e))
        .collect();
    events.sort_by_key(|(stage, _)| *stage);
    let core = facts.core();
    if built_in {
        run.start(
            plan,
            facts,
            tree,
            keys,
            Loaded {
                stage: Stage::Kernel,
                by: said!("the kernel", "内核"),
                place: Said::default(),
            },
        );
        run.protocols = true;
    } else {
        run.forbidden = forbidden(plan, facts, tree);
    }
    for (stage, event) in events {
        match &event.what {
            What::Load { module, place, by_name } => {
                if built_in || wrong_era(facts, module) {
                    continue;
                }
                let stopped = *by_name
                    && plan.loader == SysctlLoader::Systemd
                    && modules::blacklisted(&plan.directives, module).is_some();
                if stopped
                    || (module != core
                        && modules::forbidden(tree, &plan.directives, module).is_some())
                {
                    continue;
                }
                // What conntrack depends on is loaded before it, and stays when it is refused.
                run.defragments(facts);
                if run.forbidden.is_some() {
                    continue;
                }
                if facts.has_separate_protocols() {
                    run.protocols |= modules::brings_protocols(module);
                } else {
                    run.protocols = true;
                }
                if run.core.is_none() {
                    let loaded = Loaded { stage, by: event.by.clone(), place: place.clone() };
                    run.start(plan, facts, tree, keys, loaded);
                }
            }
            What::Set(all) => {
                for assignment in all {
                    run.write(assignment, &event.by, stage, facts, keys);
                }
            }
        }
    }
    run
}

/// Why the core can't be loaded at all, if so.
fn forbidden(plan: &Plan, facts: &BootFacts, tree: &Tree) -> Option<Said> {
    let core = facts.core();
    if let Some((directive, why)) = modules::forbidden(tree, &plan.directives, core) {
        let at = super::keys::place(&directive.file, directive.line);
        return Some(said!("{at}: {why}", "{at:#}：{why:#}"));
    }
    let known = defaults::parameters(facts);
    let rank = facts.rank();
    defaults::options(&plan.directives, core, false).iter().find_map(|option| {
        let at = super::keys::place(&option.directive.file, option.directive.line);
        let name = crate::words::clean(option.name);
        if !known.contains(&option.name) {
            let strict = rank < defaults::FORGIVES_SINCE;
            return strict.then(|| {
                said!(
                    "{at}: this kernel refuses a module with the unknown option {name}",
                    "{at:#}：本内核拒绝带有未知参数 {name} 的模块"
                )
            });
        }
        let wrong = !defaults::is_value(option.name, option.value);
        wrong.then(|| {
            let value = crate::words::clean(option.value.unwrap_or(""));
            said!(
                "{at}: {name}={value} is no value, and the kernel refuses the module",
                "{at:#}：{name}={value} 不是有效的值，内核会拒绝这个模块"
            )
        })
    })
}

/// Whether a setting belongs to nf_defrag_ipv6.
fn is_defrag(setting: &Setting) -> bool {
    setting.name.starts_with("nf_conntrack_frag6_")
}

/// A module that this generation does not have.
fn wrong_era(facts: &BootFacts, module: &str) -> bool {
    facts.profile.era == Era::IpConntrack
        && (module.starts_with("nf_") || module.starts_with("nft_"))
}

impl Run {
    /// The core starts: the kernel's own values, and what runs when it comes.
    fn start(
        &mut self,
        plan: &Plan,
        facts: &BootFacts,
        tree: &Tree,
        keys: &Keys<'_>,
        loaded: Loaded,
    ) {
        let built_in = self.built_in;
        let stage = loaded.stage;
        self.core = Some(loaded);
        if !facts.has_separate_protocols() {
            self.protocols = true;
        }
        let options = defaults::options(&plan.directives, facts.core(), built_in);
        self.defragments(facts);
        for setting in SETTINGS.iter().filter(|s| !is_defrag(s)) {
            let own = defaults::own(facts, setting, &options);
            if let Some(own) = &own {
                self.values.insert(setting.name, i64::try_from(own.value).unwrap_or(i64::MAX));
            }
            self.stands.insert(setting.name, Stands::Own(own));
        }
        for directive in plan.directives.iter().filter(|d| d.module == facts.core()) {
            if let Directive::Install { command } = &directive.directive {
                let all =
                    of_shell(tree, keys, &directive.file, directive.line, command, plan.loader);
                for a in all {
                    self.write(
                        &a,
                        &said!("the install line of modprobe", "modprobe 的 install 一行"),
                        stage,
                        facts,
                        keys,
                    );
                }
            }
        }
        // udev hears of a module as it comes, and that is before its keys are there (`mod_sysfs_setup()` comes before
        // `do_init_module()`): mostly it is slow enough. Of what was there before it is told at its start.
        let at = stage.max(Stage::Modules);
        let hears = !self.other || built_in;
        for rule in plan.udev.iter().filter(|_| hears) {
            for command in &rule.run {
                for a in of_command(tree, keys, rule, command, plan) {
                    let by = said!(
                        "udev ({})",
                        "udev（{:#}）",
                        super::keys::place(&rule.file, rule.line)
                    );
                    let before = self.writes.len();
                    self.write(&a, &by, at, facts, keys);
                    self.udev_writes |= self.writes.len() > before;
                }
            }
        }
    }

    /// The keys of the reassembly of IPv6 come with nf_defrag_ipv6.
    fn defragments(&mut self, facts: &BootFacts) {
        if self.defrag {
            return;
        }
        self.defrag = true;
        for setting in SETTINGS.iter().filter(|s| is_defrag(s)) {
            let own = defaults::own(facts, setting, &[]);
            if let Some(own) = &own {
                self.values.insert(setting.name, i64::try_from(own.value).unwrap_or(i64::MAX));
            }
            self.stands.insert(setting.name, Stands::Own(own));
        }
    }

    fn write(
        &mut self,
        a: &Assignment,
        by: &Said,
        stage: Stage,
        facts: &BootFacts,
        keys: &Keys<'_>,
    ) {
        if self.writes.len() >= ATTEMPTS {
            return;
        }
        let Some(meaning) = keys.meaning(&a.key) else { return };
        let mut odd = None;
        let (setting, fate) = match meaning {
            Meaning::Unknown => {
                self.unknown += 1;
                let near = self.unknown <= UNKNOWN;
                let nearest = near.then(|| keys.nearest(&a.key)).flatten();
                (None, Fate::Unknown { nearest })
            }
            Meaning::Dead(setting) => {
                let instead = keys.has(setting).then(|| keys.name(setting));
                (Some(setting), Fate::Dead { instead })
            }
            Meaning::Untold(setting) => (Some(setting), Fate::Untold),
            Meaning::ReadOnly(setting) => (Some(setting), Fate::ReadOnly),
            Meaning::Live(setting) => {
                let (fate, remark) = self.live(setting, a, by, facts);
                odd = remark;
                let Some(fate) = fate else { return };
                (Some(setting), fate)
            }
        };
        // The same value under a name that may not be there changes nothing.
        let again = matches!(fate, Fate::Untold)
            && setting
                .is_some_and(|s| self.values.get(s.name).copied() == a.value.trim().parse().ok());
        if let (Some(setting), true) = (setting, fate.may_hold() && !again) {
            self.stands.insert(setting.name, Stands::Written(self.writes.len()));
            match fate {
                Fate::Wins(value) => self.values.insert(setting.name, value),
                _ => self.values.remove(setting.name),
            };
        }
        self.writes.push(Write {
            assignment: a.clone(),
            by: by.clone(),
            stage,
            setting,
            fate,
            odd,
        });
    }

    /// A write to a key that this kernel has. `None`: it is not made at all.
    fn live(
        &self,
        setting: &'static Setting,
        a: &Assignment,
        by: &Said,
        facts: &BootFacts,
    ) -> (Option<Fate>, Option<Odd>) {
        let core_key = CORE_KEYS.contains(&setting.name);
        let there = match is_defrag(setting) {
            true => self.defrag,
            false => self.core.is_some() && (core_key || self.protocols),
        };
        if !there {
            let fate = match &self.forbidden {
                Some(why) => Fate::Never(why.clone()),
                None => Fate::NotYet,
            };
            return (Some(fate), None);
        }
        let now = self.values.get(setting.name).copied();
        // tuned: `>N` raises only, `<N` lowers only.
        let text = a.value.trim();
        let (text, only) = match text.as_bytes().first() {
            Some(b'>') => (&text[1..], Some(true)),
            Some(b'<') => (&text[1..], Some(false)),
            Some(_) | None => (text, None),
        };
        if text.contains(['$', '`']) {
            return (Some(Fate::Unclear), None);
        }
        let (profile, rank) = facts.refuser();
        let (number, odd) = taken(setting, profile, rank, facts.hz.get(), text);
        let number = match number {
            Taken::Refused(why) => return (Some(Fate::Refused(why)), None),
            Taken::ByTicks(_) => return (Some(Fate::Untold), odd),
            Taken::Number(number) => number,
        };
        let assumed = taken(setting, &facts.profile, facts.rank(), facts.hz.get(), text).0;
        if matches!(assumed, Taken::Refused(_)) {
            return (Some(Fate::Untold), odd);
        }
        let number = match setting.name {
            "nf_conntrack_buckets" => (number.saturating_add(511) / 512).saturating_mul(512),
            _ => number,
        };
        let lower = now.is_some_and(|now| number <= now);
        let skipped = match only {
            Some(true) => lower,
            Some(false) => !lower,
            // kube-proxy asks for more buckets, never for fewer.
            None => by == "kube-proxy" && a.key == HASHSIZE && lower,
        };
        if skipped {
            return (None, None);
        }
        (Some(Fate::Wins(number)), odd)
    }

    /// How the keys come to be, as a sentence.
    pub(super) fn module_story(
        &self,
        other: Option<&Self>,
        facts: &BootFacts,
        plan: &Plan,
    ) -> Said {
        let core = facts.core();
        if self.built_in {
            return said!(
                "{core} is built into the kernel: its keys are there from the start",
                "{core} 已编译进内核：它的参数从一开始就在"
            );
        }
        if let Some(why) = &self.forbidden {
            return said!(
                "{core} can't be loaded ({why}): there will be no keys",
                "{core} 无法加载（{why:#}）：不会有这些参数"
            );
        }
        match &self.core {
            None => said!(
                "nothing was found that loads {core}: there will be no keys until something does",
                "没有发现什么会加载 {core}：在那之前不会有这些参数"
            ),
            Some(loaded) => {
                let place = if loaded.place.is_empty() {
                    Said::default()
                } else {
                    said!(" ({})", "（{:#}）", loaded.place.map(crate::words::clean))
                };
                let before = |stage: Stage| stage < Stage::Sysctl;
                let otherwise = other.filter(|o| !o.built_in).and_then(|o| o.core.as_ref());
                if otherwise.is_some_and(|o| before(o.stage) != before(loaded.stage)) {
                    return said!(
                        "{core} is loaded by {}{place}, before {} applies the files or after it: nothing orders them",
                        "{core} 由 {:#}{place:#} 加载，可能在 {1} 应用文件之前，也可能在之后：先后没有规定",
                        loaded.by,
                        plan.loader.name()
                    );
                }
                let when = if loaded.stage < Stage::Sysctl {
                    said!("before", "之前")
                } else {
                    said!("after", "之后")
                };
                said!(
                    "{core} is loaded by {}{place}, {when} {} applies the files",
                    "{core} 由 {:#}{place:#} 加载，在 {1} 应用文件{when:#}",
                    loaded.by,
                    plan.loader.name()
                )
            }
        }
    }
}
