//! What is wrong with the files, each with its mend.

mod kind;
mod lines;
mod modules;
mod twice;

pub use kind::LintKind;

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::Setting;
use plimsoll_wire::sysctl::Assignment;

use super::keys::{Keys, Meaning};
use super::outcome::{After, Outcome};
use super::plan::{Plan, Stage};
use super::run::Run;
use super::unapplied::{PassedOver, Unapplied};
use super::{BootFacts, tree::Tree};
use crate::Said;
use crate::facts::SysctlLoader;
use crate::words::{clean, count};

/// Entries for each bucket above which looking one up is slow; `hashsize=` at load makes it 8.
const MOST_PER_BUCKET: i64 = 8;
/// Most lints that are kept.
const MOST: usize = 200;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// Which kind.
    pub kind: LintKind,
    /// File, where it stands in one.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// The key as it is written, or the module's option.
    pub key: Option<String>,
    /// The value as it is written.
    pub value: Option<String>,
    /// What is wrong.
    pub what: Said,
    /// Why, where `what` says besides what comes of it.
    because: Option<Said>,
    /// What to do about it.
    pub mend: Said,
    /// The name that this kernel has for what was meant, and takes a value by.
    pub meant: Option<String>,
    /// Nothing is lost by it: another line does what was meant.
    pub harmless: bool,
}

impl Lint {
    /// Why it is so, for who has said already what comes of it.
    pub fn why(&self) -> &Said {
        self.because.as_ref().unwrap_or(&self.what)
    }
}

/// All of them, the worst first.
pub(super) fn lints(
    facts: &BootFacts,
    tree: &Tree,
    keys: &Keys<'_>,
    plan: &Plan,
    run: &Run,
    outcomes: &[Outcome],
) -> Vec<Lint> {
    let mut linter = Linter { facts, tree, keys, plan, run, outcomes, found: Vec::new() };
    for write in &run.writes {
        linter.write(write);
    }
    linter.overridden();
    linter.replaced();
    linter.not_read();
    linter.modules();
    linter.ratio();
    linter.no_order();
    linter.unloads();
    for malformed in &plan.malformed {
        linter.found.push(Lint {
            kind: LintKind::Malformed,
            file: None,
            line: None,
            key: None,
            value: None,
            what: Said::from(malformed).map(clean),
            because: None,
            mend: said!("write it as `key = value`, or remove it", "写成 `key = value`，或者删掉"),
            meant: None,
            harmless: false,
        });
    }
    let mut found = linter.found;
    found.sort_by_key(|l| (l.harmless, l.kind));
    // What a file says once is told once, though several programs apply it.
    let mut told = BTreeSet::new();
    found.retain(|l| told.insert((l.kind, l.file.clone(), l.line, l.key.clone(), l.what.clone())));
    found.truncate(MOST);
    found
}

struct Linter<'a> {
    facts: &'a BootFacts,
    tree: &'a Tree,
    keys: &'a Keys<'a>,
    plan: &'a Plan,
    run: &'a Run,
    outcomes: &'a [Outcome],
    found: Vec<Lint>,
}

impl Linter<'_> {
    fn add(&mut self, kind: LintKind, a: &Assignment, what: Said, mend: Said, harmless: bool) {
        self.found.push(Lint {
            kind,
            file: Some(a.file.clone()),
            line: Some(a.line),
            key: Some(a.key.clone()),
            value: Some(a.value.clone()),
            what,
            because: None,
            mend,
            meant: None,
            harmless,
        });
    }

    /// Why it is so, of the line that was just added.
    fn because(&mut self, why: Said) {
        if let Some(lint) = self.found.last_mut() {
            lint.because = Some(why);
        }
    }

    /// The name that is meant by the line that was just added.
    fn meant(&mut self, name: Option<String>) {
        if let Some(lint) = self.found.last_mut() {
            lint.meant = name;
        }
    }

    /// The outcome of a setting; none for one that this kernel does not have.
    fn outcome(&self, setting: &Setting) -> Option<&Outcome> {
        self.outcomes.iter().find(|o| o.setting.name == setting.name)
    }

    /// Whether what was meant comes true all the same.
    fn comes_true(&self, setting: &Setting, value: &str) -> bool {
        let Some(outcome) = self.outcome(setting) else { return false };
        let number = value.split_whitespace().next().and_then(|v| v.parse::<i64>().ok());
        number.is_some() && outcome.after.number() == number
    }

    /// How to have the module early on this system.
    fn early(&self, stage: Stage, setting: &Setting) -> Said {
        let core = self.facts.core();
        if stage == Stage::Kernel {
            return said!(
                "the kernel applies it before modules can be loaded: set {} in /etc/sysctl.d",
                "内核在能加载模块之前就应用它：请在 /etc/sysctl.d 里设 {}",
                self.keys.name(setting)
            );
        }
        let module = if self.facts.has_separate_protocols()
            && self.run.core.as_ref().is_some_and(|l| l.stage <= stage)
        {
            "nf_conntrack_ipv4"
        } else {
            core
        };
        match self.plan.loader {
            SysctlLoader::Systemd => {
                Said::name(format!("echo {module} > /etc/modules-load.d/{module}.conf"))
            }
            SysctlLoader::Procps | SysctlLoader::OpenRc => {
                Said::name(format!("echo {module} >> /etc/modules"))
            }
            SysctlLoader::RcSysinit => said!(
                "load it before: `modprobe {module}` in /etc/sysconfig/modules/{module}.modules, mode 755",
                "提前加载：在 /etc/sysconfig/modules/{module}.modules（权限 755）里写 `modprobe {module}`"
            ),
        }
    }

    /// Lines that nothing applies. That systemd leaves /etc/sysctl.conf out is not told of a loader that is only assumed.
    fn not_read(&mut self) {
        let assumed = self.plan.loader_assumed;
        let told = |u: &&Unapplied| !assumed || u.why != PassedOver::NotInFolder;
        for unapplied in self.plan.unapplied.iter().filter(told) {
            let a = &unapplied.assignment;
            let setting = match self.keys.meaning(&a.key) {
                Some(
                    Meaning::Live(s) | Meaning::Dead(s) | Meaning::Untold(s) | Meaning::ReadOnly(s),
                ) => Some(s),
                Some(Meaning::Unknown) | None => None,
            };
            let name = a.file.rsplit('/').next().unwrap_or("");
            let kept =
                ["bak", "old", "orig", "disabled", "rpmsave", "rpmnew", "dpkg", "ucf", "save", "~"]
                    .iter()
                    .any(|end| name.contains(end));
            let hidden = matches!(unapplied.why, PassedOver::Masked(_) | PassedOver::Hidden(_));
            let harmless = hidden || kept || setting.is_some_and(|s| self.comes_true(s, &a.value));
            let mend = match &unapplied.why {
                PassedOver::NotInFolder => {
                    Said::name("ln -s ../sysctl.conf /etc/sysctl.d/99-sysctl.conf")
                }
                PassedOver::NoConf if !kept => {
                    said!("rename it to {}.conf", "改名为 {}.conf", clean(&a.file))
                }
                PassedOver::NotExecutable => Said::name(format!("chmod +x {}", clean(&a.file))),
                PassedOver::Behind(line) => said!(
                    "write a number in line {line}, or take it out",
                    "在第 {line} 行写一个数，或者删掉它"
                ),
                PassedOver::Folder(_) => {
                    said!("move it to /etc/sysctl.d", "把它移到 /etc/sysctl.d")
                }
                PassedOver::FirstBoot => said!(
                    "write the value into /etc/sysctl.d there, or use bootcmd",
                    "把值写进那里的 /etc/sysctl.d，或者用 bootcmd"
                ),
                PassedOver::Masked(_)
                | PassedOver::Hidden(_)
                | PassedOver::Dot
                | PassedOver::NoConf
                | PassedOver::Ending
                | PassedOver::UfwIsOff
                | PassedOver::TunedIsOff => {
                    said!("none is needed where that is meant", "如果本意如此，就不用改")
                }
            };
            self.add(
                LintKind::NotRead,
                a,
                said!("not read: {}", "没有被读：{:#}", unapplied.why.said()),
                mend,
                harmless,
            );
        }
    }

    /// Limit and buckets after boot. What a kernel gives itself, and how the buckets are set, hangs on its generation.
    fn ratio(&mut self) {
        if !self.keys.told {
            return;
        }
        let find = |name: &str| self.outcomes.iter().find(|o| o.setting.name == name);
        let (Some(limit), Some(buckets)) = (find("nf_conntrack_max"), find("nf_conntrack_buckets"))
        else {
            return;
        };
        let (Some(max), Some(size)) = (limit.after.number(), buckets.after.number()) else {
            return;
        };
        if size <= 0 || max <= size.saturating_mul(MOST_PER_BUCKET) || limit.winner().is_none() {
            return;
        }
        let own = i64::try_from(self.facts.profile.max_per_bucket).unwrap_or(1);
        let usual = (max / own.max(1)).max(1);
        let what = said!(
            "the limit will be {} with {} buckets: {} entries in each when full (this kernel gives itself {own})",
            "上限将是 {}，桶数 {}：表满时每个桶 {} 个条目（本内核自己取 {own}）",
            count(u64::try_from(max).unwrap_or(0)),
            count(u64::try_from(size).unwrap_or(0)),
            max / size,
        );
        let mend = if self.facts.profile.buckets_writable {
            said!("set {} = {usual} beside it", "同时设 {} = {usual}", buckets.key)
        } else {
            let core = self.facts.core();
            said!(
                "put `options {core} hashsize={usual}` into /etc/modprobe.d",
                "在 /etc/modprobe.d 里写 `options {core} hashsize={usual}`"
            )
        };
        let at = limit.winner().map(|w| w.assignment.clone());
        if let Some(a) = at {
            self.add(LintKind::Ratio, &a, what, mend, false);
        }
    }

    /// Values that hang on the order of two steps that nothing orders.
    fn no_order(&mut self) {
        let mut found = Vec::new();
        for outcome in self.outcomes {
            let Some((or, if_so)) = &outcome.or else { continue };
            let Some(attempt) = outcome.attempts.last() else { continue };
            if outcome.after.number().or(or.number()).is_none() {
                continue;
            }
            let shown = |after: &After| match after.number() {
                Some(n) => Said::name(u64::try_from(n).map_or_else(|_| n.to_string(), count)),
                None => said!("unknown", "未知"),
            };
            let values = said!(
                "{} or {} ({if_so})",
                "{:#} 或 {:#}（{if_so:#}）",
                shown(&outcome.after),
                shown(or)
            );
            let loads = self.plan.events.iter().find(|e| e.or.is_some());
            let why = match loads {
                Some(event) => said!(
                    "nothing orders {}, which loads the module, and {}",
                    "加载模块的 {:#} 与 {} 之间没有先后",
                    event.by,
                    self.plan.loader.name()
                ),
                None if self.facts.modular.get().is_none() => said!(
                    "nothing tells whether {} is a module or built into the kernel",
                    "没有什么能说明 {} 是模块还是编译进了内核",
                    self.facts.core()
                ),
                None => said!(
                    "the kernel tells udev of a module before its keys are there, so udev's rule comes too \
                     early if it is quick",
                    "内核在参数出现之前就把模块告诉 udev，所以 udev 如果够快，它的规则就来得太早"
                ),
            };
            found.push((
                attempt.assignment.clone(),
                said!("{values}: {why}", "{values:#}：{why:#}"),
                why,
                self.early(Stage::Sysctl, outcome.setting),
            ));
        }
        for (a, what, why, mend) in found {
            self.add(LintKind::NoOrder, &a, what, mend, false);
            self.because(why);
        }
    }
}
