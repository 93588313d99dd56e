//! What comes of it for each setting, in a form to be shown.

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::Setting;
use plimsoll_wire::sysctl::Assignment;

use super::BootFacts;
use super::keys::{Keys, place};
use super::plan::{Event, Plan, Stage, What};
use super::run::{Run, Stands};
use crate::Said;
use crate::facts::SysctlLoader;
use crate::words::clean;

/// The value after boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// This.
    Value(i64),
    /// About this: it follows the memory as the kernel sees it at its start.
    About(i64),
    /// It can't be told: why.
    Unknown(Said),
    /// The key will not exist: why. The number is what it would be once the module is loaded.
    Absent(Said, Option<i64>),
}

impl After {
    /// The number, if there is one.
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Value(n) | Self::About(n) => Some(*n),
            Self::Unknown(_) | Self::Absent(..) => None,
        }
    }
}

/// What becomes of a line that asks for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is what holds after boot, as this number.
    Wins(i64),
    /// It was written as this number, and then something else was: what.
    Overridden(i64, Said),
    /// The key does not exist when it is written: the module is loaded later.
    NotYet,
    /// The module can't be loaded: why.
    Never(Said),
    /// The kernel refuses the value: why.
    Refused(Said),
    /// The key only shows.
    ReadOnly,
    /// Another generation's name.
    Dead {
        /// This kernel's name for it.
        instead: Option<String>,
    },
    /// Some kernels have the name and take the value, others not, and nothing tells which this is.
    Untold,
    /// No kernel has such a key.
    Unknown {
        /// The nearest that this one has.
        nearest: Option<String>,
    },
    /// The program that reads it keeps another line of the same key: which.
    Replaced(Said),
    /// Nothing reads it at this boot: why.
    NotRead(Said),
    /// Its value stands in a variable.
    Unclear,
}

impl Fate {
    /// Whether the line gives the setting its value, known or not.
    pub(super) const fn may_hold(&self) -> bool {
        matches!(self, Self::Wins(_) | Self::Unclear | Self::Untold)
    }
}

/// A line that asks for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The line.
    pub assignment: Assignment,
    /// Who writes it.
    pub by: Said,
    /// When.
    pub stage: Stage,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The setting.
    pub setting: &'static Setting,
    /// Its dotted name on this kernel.
    pub key: String,
    /// The value now, in the initial namespace.
    pub now: Option<u64>,
    /// The value after boot.
    pub after: After,
    /// Why, in a few words.
    pub because: Said,
    /// An option of the module makes it so.
    pub by_option: bool,
    /// Everything that asks for a value of it, in order; the one that wins among them.
    pub attempts: Vec<Attempt>,
    /// Another value that it may have as well, since nothing orders two of the steps; and what must come first for it.
    pub or: Option<(After, Said)>,
}

impl Outcome {
    /// The line that wins; `None` when the kernel's own value or a module option holds.
    pub fn winner(&self) -> Option<&Attempt> {
        let wins = |a: &&Attempt| matches!(a.fate, Fate::Wins(_));
        self.attempts.iter().find(wins).or(self.attempts.iter().rfind(|a| a.fate.may_hold()))
    }

    /// Those that lose, in order.
    pub fn losers(&self) -> impl Iterator<Item = &Attempt> {
        let winner = self.winner();
        self.attempts.iter().filter(move |a| !winner.is_some_and(|w| core::ptr::eq(w, *a)))
    }

    /// Whether a line will be written that has not been applied: what runs is what every kernel has of itself, so nobody chose it
    /// against the line.
    pub fn awaits_its_line(&self) -> bool {
        let runs = self.now.is_some() && self.now == self.setting.default;
        let after = self.after.number().and_then(|n| u64::try_from(n).ok());
        runs && self.or.is_none() && self.winner().is_some() && after.is_some() && after != self.now
    }

    /// Whether anything at all asks for a value.
    pub fn is_set(&self) -> bool {
        !self.attempts.is_empty()
    }
}

/// Something that takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub stage: Stage,
    /// Who.
    pub by: Said,
    /// What: "loads nf_conntrack (/etc/nftables.conf)", "writes 3 settings".
    pub what: Said,
}

/// What comes of one setting.
pub(super) fn outcome(
    setting: &'static Setting,
    facts: &BootFacts,
    keys: &Keys<'_>,
    plan: &Plan,
    run: &Run,
    other: Option<&Run>,
) -> Outcome {
    let (after, because) = after(setting, facts, run);
    let or = other.and_then(|other| {
        let (otherwise, why) = self::after(setting, facts, other);
        (otherwise != after).then_some((otherwise, why))
    });
    let by_option = match run.stands.get(setting.name) {
        Some(Stands::Own(own)) => own.as_ref().is_some_and(|own| own.option.is_some()),
        Some(Stands::Written(_)) | None => false,
    };
    Outcome {
        setting,
        key: keys.name(setting),
        now: facts.running(setting),
        after,
        because,
        by_option,
        attempts: attempts(setting, keys, plan, run),
        or,
    }
}

fn after(setting: &Setting, facts: &BootFacts, run: &Run) -> (After, Said) {
    let Some(stands) = run.stands.get(setting.name) else {
        let why = match &run.forbidden {
            Some(why) => why.clone(),
            None => said!("nothing was found that loads {}", "没有发现什么会加载 {}", facts.core()),
        };
        let own = super::defaults::own(facts, setting, &[]);
        let number = own.and_then(|o| i64::try_from(o.value).ok());
        return (After::Absent(why.clone(), number), why);
    };
    match stands {
        Stands::Written(index) => {
            let write = &run.writes[*index];
            let at = place(&write.assignment.file, write.assignment.line);
            let because = said!("{at}, by {}", "{at:#}，由 {:#} 写入", write.by);
            match write.fate {
                Fate::Wins(value) => (After::Value(value), because),
                Fate::Untold => (
                    After::Unknown(said!(
                        "not every kernel takes {at}, and nothing tells whether this one does",
                        "{at:#} 不是每个内核都接受，而没有什么能说明本内核接受不接受"
                    )),
                    because,
                ),
                _ => (
                    After::Unknown(said!("{at} sets it from a variable", "{at:#} 用变量设它")),
                    because,
                ),
            }
        }
        Stands::Own(Some(own)) => {
            let value = i64::try_from(own.value).unwrap_or(i64::MAX);
            let after = if own.about { After::About(value) } else { After::Value(value) };
            (after, own.why.clone())
        }
        Stands::Own(None) => {
            let why = match setting.name {
                "nf_conntrack_max" | "nf_conntrack_buckets" | "nf_conntrack_expect_max" => {
                    said!(
                        "the kernel's own value follows the memory, which is not known",
                        "内核自己的值由内存决定，而内存大小未知"
                    )
                }
                _ => said!(
                    "the kernel's own value, which is not known for this generation",
                    "内核自己的值，这一代的不清楚"
                ),
            };
            (After::Unknown(why.clone()), why)
        }
    }
}

/// Every line about the setting: what is written, what is replaced or not read.
fn attempts(setting: &Setting, keys: &Keys<'_>, plan: &Plan, run: &Run) -> Vec<Attempt> {
    let holds = match run.stands.get(setting.name) {
        Some(Stands::Written(index)) => Some(*index),
        Some(Stands::Own(_)) | None => None,
    };
    let ours = |a: &Assignment| {
        use super::keys::Meaning::{Dead, Live, ReadOnly, Unknown, Untold};
        match keys.meaning(&a.key) {
            Some(Live(s) | ReadOnly(s) | Dead(s) | Untold(s)) => s.name == setting.name,
            Some(Unknown) | None => false,
        }
    };
    let mut all = Vec::new();
    let not_read = |a: &Assignment, why: &Said, fate: fn(Said) -> Fate| Attempt {
        assignment: a.clone(),
        by: Said::name(plan.loader.name()),
        stage: Stage::Sysctl,
        fate: fate(why.clone()),
    };
    for unapplied in plan.unapplied.iter().filter(|u| ours(&u.assignment)) {
        all.push(not_read(&unapplied.assignment, &unapplied.why.said(), Fate::NotRead));
    }
    for (a, by) in plan.applied.replaced.iter().filter(|(a, _)| ours(a)) {
        all.push(not_read(a, by, Fate::Replaced));
    }
    let mine: Vec<usize> = (0..run.writes.len())
        .filter(|i| run.writes[*i].setting.is_some_and(|s| s.name == setting.name))
        .collect();
    for (n, index) in mine.iter().enumerate() {
        let write = &run.writes[*index];
        let fate = match &write.fate {
            Fate::Wins(value) if holds != Some(*index) => {
                let next =
                    mine[n + 1..].iter().map(|i| &run.writes[*i]).find(|w| w.fate.may_hold());
                let by = match next {
                    Some(w) => {
                        said!(
                            "{} ({})",
                            "{:#}（{:#}）",
                            place(&w.assignment.file, w.assignment.line),
                            w.by
                        )
                    }
                    None => Said::default(),
                };
                Fate::Overridden(*value, by)
            }
            fate => fate.clone(),
        };
        all.push(Attempt {
            assignment: write.assignment.clone(),
            by: write.by.clone(),
            stage: write.stage,
            fate,
        });
    }
    all.sort_by_key(|a| a.stage);
    all
}

/// What takes part, in order.
pub(super) fn steps(plan: &Plan, run: &Run, built_in: bool) -> Vec<Step> {
    let mut all: Vec<Step> = Vec::new();
    let loads = |event: &Event| matches!(event.what, What::Load { .. });
    for event in plan.events.iter().filter(|e| !(built_in && loads(e))) {
        let what = match &event.what {
            What::Load { module, place, .. } if place.is_empty() => {
                said!("loads {}", "加载 {}", clean(module))
            }
            What::Load { module, place, .. } => {
                said!("loads {} ({})", "加载 {}（{:#}）", clean(module), place.map(clean))
            }
            What::Set(list) => {
                let n = list.len();
                let s = if n == 1 { "" } else { "s" };
                said!("writes {n} setting{s} of conntrack", "写入 {n} 个连接跟踪设置")
            }
        };
        let step = Step { stage: event.stage, by: event.by.clone(), what };
        if !all.contains(&step) {
            all.push(step);
        }
    }
    let nothing = !plan.events.iter().any(|e| e.stage == Stage::Sysctl);
    if nothing {
        let what = said!("writes no setting of conntrack", "不写任何连接跟踪设置");
        let step = Step { stage: Stage::Sysctl, by: Said::name(plan.loader.name()), what };
        let at = all.iter().position(|s| s.stage > Stage::Sysctl).unwrap_or(all.len());
        all.insert(at, step);
    }
    if !plan.udev.is_empty() && run.udev_writes {
        let stage = run.core.as_ref().map_or(Stage::Modules, |c| c.stage);
        let what =
            said!("applies the files again when the module comes", "在模块加载时再应用一次文件");
        let at = all.iter().position(|s| s.stage > stage).unwrap_or(all.len());
        all.insert(at, Step { stage, by: Said::name("udev"), what });
    }
    all
}

/// The loader's name is part of every story.
impl SysctlLoader {
    /// Whether of several lines for one key only the last is written.
    pub(crate) const fn keeps_last(self) -> bool {
        match self {
            Self::Systemd => true,
            Self::Procps | Self::OpenRc | Self::RcSysinit => false,
        }
    }
}
