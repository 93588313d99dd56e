//! What is wrong with the files, each with its mend.

mod modules;

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::Setting;
use plimsoll_wire::sysctl::Assignment;

use super::keys::{Keys, Meaning, place};
use super::outcome::{After, Fate, Outcome};
use super::plan::{Plan, Stage};
use super::run::{Run, Write};
use super::{BootFacts, tree::Tree};
use crate::facts::SysctlLoader;
use crate::words::{clean, count};

/// Entries for each bucket above which looking one up is slow; `hashsize=` at load makes it 8.
const MOST_PER_BUCKET: i64 = 8;
/// Most lints that are kept.
const MOST: usize = 200;

/// Kinds of mistakes, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LintKind {
    /// The line is written before the module is there.
    LoadsLater,
    /// The module can't be loaded at all.
    NeverLoaded,
    /// The kernel refuses the value.
    BadValue,
    /// The kernel takes another value than the one that is meant.
    OddValue,
    /// No kernel has the key.
    UnknownKey,
    /// Another generation's name.
    DeadKey,
    /// The key only shows.
    ReadOnlyKey,
    /// A file that nothing reads.
    NotRead,
    /// A line of modprobe.d or modules-load.d that does nothing.
    ModuleLine,
    /// Limit and buckets don't fit each other.
    Ratio,
    /// Another line, or another program, has the last word.
    Overridden,
    /// Nothing orders the module and the line.
    NoOrder,
    /// A restart of the firewall throws the values away.
    Unloads,
    /// A line that is no assignment.
    Malformed,
    /// The same line twice.
    Duplicate,
}

impl LintKind {
    /// Its name, as it stands in the JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoadsLater => "module-loads-later",
            Self::NeverLoaded => "module-never-loaded",
            Self::BadValue => "value-refused",
            Self::OddValue => "value-misread",
            Self::UnknownKey => "unknown-key",
            Self::DeadKey => "dead-generation-key",
            Self::ReadOnlyKey => "read-only-key",
            Self::NotRead => "not-read",
            Self::ModuleLine => "module-line-without-effect",
            Self::Ratio => "ratio",
            Self::Overridden => "overridden",
            Self::NoOrder => "no-order",
            Self::Unloads => "unloads",
            Self::Malformed => "malformed-line",
            Self::Duplicate => "duplicate",
        }
    }

    /// The finding that `check` makes of it.
    pub const fn finding(self) -> &'static str {
        match self {
            Self::LoadsLater | Self::NeverLoaded | Self::NoOrder => "CT040",
            Self::DeadKey => "CT041",
            Self::ReadOnlyKey => "CT042",
            Self::Overridden | Self::Duplicate => "CT043",
            Self::UnknownKey => "CT044",
            Self::BadValue | Self::OddValue | Self::Malformed => "CT045",
            Self::Ratio => "CT046",
            Self::ModuleLine | Self::Unloads => "CT047",
            Self::NotRead => "CT048",
        }
    }
}

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
    pub what: String,
    /// What to do about it.
    pub mend: String,
    /// The name that this kernel has for what was meant, and takes a value by.
    pub meant: Option<String>,
    /// Nothing is lost by it: another line does what was meant.
    pub harmless: bool,
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
            what: format!(
                "{}: expected {}, saw {:?}",
                clean(&malformed.place),
                malformed.expected,
                malformed.seen
            ),
            mend: "write it as `key = value`, or remove it".to_string(),
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
    fn add(&mut self, kind: LintKind, a: &Assignment, what: String, mend: String, harmless: bool) {
        self.found.push(Lint {
            kind,
            file: Some(a.file.clone()),
            line: Some(a.line),
            key: Some(a.key.clone()),
            value: Some(a.value.clone()),
            what,
            mend,
            meant: None,
            harmless,
        });
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

    fn write(&mut self, write: &Write) {
        let a = &write.assignment;
        match &write.fate {
            Fate::Wins(_) | Fate::Overridden(..) | Fate::Unclear => {
                if let Some(odd) = &write.odd {
                    let mend = "write it as a plain decimal number".to_string();
                    self.add(LintKind::OddValue, a, odd.clone(), mend, false);
                }
            }
            Fate::NotYet => {
                let Some(setting) = write.setting else { return };
                // With another order it is not lost: told as such.
                if self.outcome(setting).is_some_and(|o| o.or.is_some()) {
                    return;
                }
                // Set once more by somebody, when the module is there.
                let harmless = self.comes_true(setting, &a.value)
                    || a.may_fail
                    || self.outcome(setting).is_some_and(|o| o.winner().is_some());
                let (what, mend) = self.later(write, setting);
                self.add(LintKind::LoadsLater, a, what, mend, harmless);
            }
            Fate::Never(why) => {
                let what = format!("lost: {why}");
                let mend = "remove that line, or the settings with it".to_string();
                self.add(LintKind::NeverLoaded, a, what, mend, a.may_fail);
            }
            Fate::Refused(why) => {
                let mut what = format!("the kernel refuses the value: {why}");
                if write.stage == Stage::Sysctl && self.plan.loader.keeps_last() {
                    let earlier = self
                        .plan
                        .applied
                        .replaced
                        .iter()
                        .find(|(old, _)| old.key == a.key && old.value != a.value);
                    if let Some((old, _)) = earlier {
                        let at = place(&old.file, old.line);
                        what.push_str(&format!(
                            "; {at} is not written either, since only the last line of a key is"
                        ));
                    }
                }
                let mend = match write.setting.and_then(|s| bare_number(s, &a.value)) {
                    Some(number) => format!("write {} = {number}", clean(&a.key)),
                    None => "write a plain decimal number".to_string(),
                };
                self.add(LintKind::BadValue, a, what, mend, a.may_fail);
            }
            Fate::ReadOnly => {
                let meant = match write.setting {
                    // Whoever writes a count means the limit.
                    Some(s) if s.name == "nf_conntrack_count" => Setting::find("nf_conntrack_max"),
                    Some(s) => Some(s),
                    None => None,
                };
                let mend = match meant {
                    Some(s) if s.name == "nf_conntrack_buckets" => format!(
                        "put `options {} hashsize={}` into /etc/modprobe.d",
                        self.facts.core(),
                        clean(&a.value)
                    ),
                    Some(s) => format!("remove it, or set {}", self.keys.name(s)),
                    None => "remove it".to_string(),
                };
                let what = "this kernel only lets it be read".to_string();
                let harmless = a.may_fail || meant.is_some_and(|s| self.comes_true(s, &a.value));
                self.add(LintKind::ReadOnlyKey, a, what, mend, harmless);
                // A value of another name does what was meant; buckets need the module's option.
                self.meant(
                    meant.filter(|s| s.name == "nf_conntrack_max").map(|s| self.keys.name(s)),
                );
            }
            Fate::Dead { instead } => {
                let release =
                    self.facts.kernel.value().map_or(self.facts.profile.name, |k| &k.release);
                let what = format!("this kernel ({}) does not have the name", clean(release));
                let mend = match instead {
                    Some(name) => format!("write {name} = {}", clean(&a.value)),
                    None => "remove it".to_string(),
                };
                let set = write
                    .setting
                    .is_some_and(|s| self.outcome(s).is_some_and(|o| o.winner().is_some()));
                self.add(LintKind::DeadKey, a, what, mend, a.may_fail || set);
                self.meant(instead.clone());
            }
            Fate::Unknown { nearest } => {
                let (what, mend) = match nearest {
                    Some(name) => (
                        format!("no kernel has this key; the nearest is {name}"),
                        format!("write {name} = {}", clean(&a.value)),
                    ),
                    None => ("no kernel has this key".to_string(), "remove it".to_string()),
                };
                let set = nearest
                    .as_deref()
                    .and_then(Setting::find)
                    .is_some_and(|s| self.comes_true(s, &a.value));
                self.add(LintKind::UnknownKey, a, what, mend, a.may_fail || set);
            }
            Fate::Replaced(_) | Fate::NotRead(_) => {}
        }
    }

    /// Why the key is not there yet, and what makes it be.
    fn later(&self, write: &Write, setting: &Setting) -> (String, String) {
        let core = self.facts.core();
        let who = match &self.run.core {
            Some(loaded) if loaded.stage > write.stage => {
                format!("{core} is loaded later, by {}", loaded.by)
            }
            Some(_) if self.facts.has_separate_protocols() => {
                "nf_conntrack_ipv4, which brings this key, is loaded later".to_string()
            }
            Some(loaded) => format!("{core} is loaded by {}", loaded.by),
            None => format!("nothing loads {core} before"),
        };
        let what = format!("lost: the key does not exist yet when {} writes it; {who}", write.by);
        (what, self.early(write.stage, setting))
    }

    /// How to have the module early on this system.
    fn early(&self, stage: Stage, setting: &Setting) -> String {
        let core = self.facts.core();
        if stage == Stage::Kernel {
            return format!(
                "the kernel applies it before modules can be loaded: set {} in /etc/sysctl.d",
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
                format!("echo {module} > /etc/modules-load.d/{module}.conf")
            }
            SysctlLoader::Procps => format!("echo {module} >> /etc/modules"),
            SysctlLoader::RcSysinit => format!(
                "load it before: `modprobe {module}` in /etc/sysconfig/modules/{module}.modules, mode 755"
            ),
        }
    }

    /// Lines that are written, and then something else is.
    fn overridden(&mut self) {
        let mut found = Vec::new();
        for outcome in self.outcomes {
            let holds = outcome.after.number();
            for attempt in &outcome.attempts {
                let Fate::Overridden(value, by) = &attempt.fate else { continue };
                if holds == Some(*value) {
                    // Said twice, by one program or by two.
                    let again = outcome.winner().is_some_and(|w| w.by == attempt.by);
                    if again {
                        found.push((LintKind::Duplicate, attempt.assignment.clone(), by.clone()));
                    }
                    continue;
                }
                let last = outcome.winner().map_or(by.clone(), |w| {
                    format!("{} ({})", place(&w.assignment.file, w.assignment.line), w.by)
                });
                found.push((LintKind::Overridden, attempt.assignment.clone(), last));
            }
        }
        for (kind, a, by) in found {
            self.twice(kind, &a, &by);
        }
    }

    /// Lines that the loader drops for another of the same key.
    fn replaced(&mut self) {
        for (a, by) in &self.plan.applied.replaced {
            let Some(Meaning::Live(setting)) = self.keys.meaning(&a.key) else { continue };
            let same = self.comes_true(setting, &a.value)
                || self
                    .plan
                    .applied
                    .assignments
                    .iter()
                    .any(|k| k.key == a.key && k.value == a.value);
            let kind = if same { LintKind::Duplicate } else { LintKind::Overridden };
            self.twice(kind, a, by);
        }
    }

    fn twice(&mut self, kind: LintKind, a: &Assignment, by: &str) {
        let (what, mend) = match kind {
            LintKind::Duplicate => {
                (format!("{by} says the same"), "keep one of the two".to_string())
            }
            _ => {
                let vendor = a.file.starts_with("/usr/") || a.file.starts_with("/lib/");
                let mend = if vendor {
                    "none is needed where that is meant".to_string()
                } else if by.contains("kube-proxy") {
                    "set it in kube-proxy's own configuration (conntrack.maxPerCore, conntrack.min)"
                        .to_string()
                } else if by.contains("(tuned") {
                    "set it in the profile of tuned".to_string()
                } else {
                    format!("change it in {by}, or remove this line")
                };
                (format!("overridden by {by}"), mend)
            }
        };
        let vendor = a.file.starts_with("/usr/") || a.file.starts_with("/lib/");
        self.add(kind, a, what, mend, kind == LintKind::Duplicate || vendor);
    }

    fn not_read(&mut self) {
        for unapplied in &self.plan.unapplied {
            let a = &unapplied.assignment;
            let setting = match self.keys.meaning(&a.key) {
                Some(Meaning::Live(s) | Meaning::Dead(s) | Meaning::ReadOnly(s)) => Some(s),
                Some(Meaning::Unknown) | None => None,
            };
            let name = a.file.rsplit('/').next().unwrap_or("");
            let kept =
                ["bak", "old", "orig", "disabled", "rpmsave", "rpmnew", "dpkg", "ucf", "save", "~"]
                    .iter()
                    .any(|end| name.contains(end));
            let hidden = unapplied.why.contains("same name") || unapplied.why.contains("masks it");
            let harmless = hidden || kept || setting.is_some_and(|s| self.comes_true(s, &a.value));
            let mend = if a.file == super::files::MAIN {
                "ln -s ../sysctl.conf /etc/sysctl.d/99-sysctl.conf".to_string()
            } else if unapplied.why.contains(".conf") && !hidden {
                format!("rename it to {}.conf", clean(&a.file))
            } else if unapplied.why.contains("executable") {
                format!("chmod +x {}", clean(&a.file))
            } else if unapplied.why.contains("first boot") {
                "write the value into /etc/sysctl.d there, or use bootcmd".to_string()
            } else {
                "none is needed where that is meant".to_string()
            };
            self.add(LintKind::NotRead, a, format!("not read: {}", unapplied.why), mend, harmless);
        }
    }

    /// Limit and buckets after boot.
    fn ratio(&mut self) {
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
        let what = format!(
            "the limit will be {} with {} buckets: {} entries in each when full (this kernel gives itself {own})",
            count(u64::try_from(max).unwrap_or(0)),
            count(u64::try_from(size).unwrap_or(0)),
            max / size,
        );
        let mend = if self.facts.profile.buckets_writable {
            format!("set {} = {usual} beside it", buckets.key)
        } else {
            let core = self.facts.core();
            format!("put `options {core} hashsize={usual}` into /etc/modprobe.d")
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
            let Some((or, why)) = &outcome.or else { continue };
            let Some(attempt) = outcome.attempts.last() else { continue };
            let shown = |after: &After| match after.number() {
                Some(n) => n.to_string(),
                None => "unknown".to_string(),
            };
            let values = format!("{} or {} ({why})", shown(&outcome.after), shown(or));
            let loads = self.plan.events.iter().find(|e| e.or.is_some());
            let what = match loads {
                Some(event) => format!(
                    "{values}: nothing orders {}, which loads the module, and {}",
                    event.by,
                    self.plan.loader.name()
                ),
                None if self.facts.modular.get().is_none() => format!(
                    "{values}: nothing tells whether {} is a module or built into the kernel",
                    self.facts.core()
                ),
                None => format!(
                    "{values}: the kernel tells udev of a module before its keys are there, so udev's rule comes too \
                     early if it is quick"
                ),
            };
            found.push((
                attempt.assignment.clone(),
                what,
                self.early(Stage::Sysctl, outcome.setting),
            ));
        }
        for (a, what, mend) in found {
            self.add(LintKind::NoOrder, &a, what, mend, false);
        }
    }
}

/// The number that a refused text means: a time with a unit in seconds, a number with separators or a multiplier.
fn bare_number(setting: &Setting, text: &str) -> Option<u64> {
    let text = text.trim().trim_matches(['"', '\'']);
    let digits: String =
        text.chars().filter(|c| !matches!(c, ',' | '_' | '.' | '\'' | ';')).collect();
    if let Ok(number) = digits.parse() {
        return Some(number);
    }
    if setting.unit == plimsoll_ct::Unit::Seconds {
        return match text.strip_suffix('d').and_then(|n| n.parse::<u64>().ok()) {
            Some(days) => days.checked_mul(86_400),
            None => plimsoll_wire::kube_proxy::seconds(text),
        };
    }
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = number.parse().ok()?;
    match unit {
        "k" | "K" | "Ki" => number.checked_mul(1024),
        "m" | "M" | "Mi" => number.checked_mul(1 << 20),
        _ => None,
    }
}
