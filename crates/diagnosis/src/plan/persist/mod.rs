//! Make running values survive the boot, in the way that this system needs, proved by the boot simulation.
//!
//! Several ways are tried on paper, the simplest first. Each is a set of proposed files; the simulation says
//! which values would be in force after a boot with them; the first way that gives all of them is the plan.

mod by_hand;
mod ways;

pub use ways::PERSIST_FILES;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::{Access, Setting};

use super::{Change, FileChange, FileState, Plan, Target, Verify};
use crate::Said;
use crate::boot::{self, After, Boot, BootFacts, Outcome, Stage, place, volatile};
use crate::{RemedyId, commands, words};
use by_hand::by_hand;
use ways::{Files, OLD_OPTIONS_FILE, OPTIONS_FILE, ways};

/// A value that shall stay.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    setting: &'static Setting,
    key: String,
    value: u64,
}

/// Most settings that are named one by one.
const NAMED: usize = 3;

/// The plan. `keys`: those settings only; none: all whose running value a boot would lose.
pub fn persist(
    keys: &[String],
    facts: &BootFacts,
    files: &BTreeMap<String, Option<FileState>>,
) -> Plan {
    let target = Target { name: "host".to_string(), path: None, inode: None };
    let mut plan = Plan::new(
        RemedyId::Persist,
        Said::of("make the running values survive the boot", "让当前的值在重启后仍然有效"),
        target,
    );
    let today = boot::boot(facts, &[]);
    let wanted = match wanted(keys, facts, &today) {
        Ok(wanted) => wanted,
        Err(reasons) => {
            plan.refused = reasons;
            return plan;
        }
    };
    if keys.is_empty() {
        plan.warnings
            .extend(today.outcomes.iter().filter(|o| o.awaits_its_line()).take(NAMED).map(waits));
    }
    if wanted.is_empty() {
        plan.effect = Said::of(
            "Every running value is there after a boot as well.",
            "当前的每个值在启动之后也都在。",
        );
        if !plan.warnings.is_empty() {
            plan.effect = Said::of(
                "There is nothing to keep: what a boot changes is what the files ask for.",
                "没有什么要保留的：启动会改变的，都是文件要求的。",
            );
        }
        if keys.is_empty()
            && let Some((now, after)) =
                today.outcomes.iter().find_map(gain).filter(|(now, _)| *now > 0)
        {
            plan.effect =
                Said::of("No running value is lost by a boot.", "启动不会丢掉当前的任何值。");
            let (now, after) = (words::count(now), words::count(after));
            plan.warnings.push(said!(
                "nf_conntrack_max is {now} and will be {after} after a boot: more room, so it is left to come. \
                 `plimsoll fix persist nf_conntrack_max` keeps the lower limit",
                "nf_conntrack_max 现在是 {now}，启动之后会是 {after}：空间更大，所以不去改它。要保留较低的上限：`plimsoll fix persist nf_conntrack_max`"
            ));
        }
        return plan;
    }
    plan.title = title(&wanted);
    let (ours, theirs): (Vec<Wanted>, Vec<Wanted>) =
        wanted.into_iter().partition(|w| owner(&today, w).is_none());
    for w in &theirs {
        by_hand(&mut plan, &today, w);
    }
    if ours.is_empty() {
        plan.effect = Said::of(
            "Another program sets them at each start: change its own configuration.",
            "每次启动都由另一个程序设置它们：请改那个程序自己的配置。",
        );
        return plan;
    }
    let Some((way, after)) = best(&ours, facts, files, &today) else {
        plan.refused.push(Said::of(
            "no file that this host's boot reads could be read here",
            "本机启动时读的文件，这里一个也读不到",
        ));
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
fn also(today: &Boot, after: &Boot, ours: &[Wanted]) -> Vec<Said> {
    let others =
        after.outcomes.iter().filter(|o| ours.iter().all(|w| w.setting.name != o.setting.name));
    others
        .filter_map(|o| {
            let number = o.after.number()?;
            let before = today.outcome(o.setting.name)?.after.number();
            (o.is_set() && before != Some(number)).then(|| {
                said!(
                    "{} will be {number} then, as {} asks; until now that line was lost",
                    "{} 届时会是 {number}，如 {:#} 所要求；这一行到现在一直不起作用",
                    o.setting.name,
                    o.because.map(words::clean)
                )
            })
        })
        .collect()
}

/// A line that has not been applied, which no file of ours is to be written against.
fn waits(outcome: &Outcome) -> Said {
    let (key, now) = (&outcome.key, outcome.now.unwrap_or(0));
    let line = outcome.winner().map(|w| place(&w.assignment.file, w.assignment.line));
    let line = line.unwrap_or_default();
    let value = outcome.after.number().unwrap_or(0);
    said!(
        "{key} is {now}, the kernel's own value, and will be {value} after a boot: {line} says so, and is left. \
         `plimsoll fix persist {key}` keeps {now}",
        "{key} 现在是 {now}，即内核自己的值，启动之后会是 {value}：{line:#} 是这样写的，不去改它。要保留 {now}：`plimsoll fix persist {key}`"
    )
}

fn title(wanted: &[Wanted]) -> Said {
    let named: Vec<String> =
        wanted.iter().take(NAMED).map(|w| format!("{} = {}", w.setting.name, w.value)).collect();
    let more = match wanted.len().saturating_sub(NAMED) {
        0 => Said::default(),
        n => said!(" and {n} more", " 等另外 {n} 个"),
    };
    said!("make {}{more} survive the boot", "让 {}{more:#} 在重启后仍然有效", named.join(", "))
}

/// What shall stay, from what runs.
fn wanted(keys: &[String], facts: &BootFacts, today: &Boot) -> Result<Vec<Wanted>, Vec<Said>> {
    let of = |outcome: &Outcome| {
        let value = outcome.now?;
        Some(Wanted { setting: outcome.setting, key: outcome.key.clone(), value })
    };
    let not_read = || {
        Said::of(
            "the running values of the host's own network namespace could not be read",
            "读不到主机自己的网络命名空间里当前的值",
        )
    };
    if keys.is_empty() {
        if facts.settings.is_empty() {
            return Err(alloc::vec![not_read()]);
        }
        let kept = |o: &&Outcome| loses(o) && gain(o).is_none() && !o.awaits_its_line();
        let lost = today.outcomes.iter().filter(kept);
        return Ok(lost.filter_map(of).collect());
    }
    // These two are the whole machine's, and seen from any namespace: no other key is, where it is not the host's.
    let global = ["nf_conntrack_max", "nf_conntrack_buckets"];
    let elsewhere =
        facts.tracks_now() && facts.settings.keys().all(|k| global.contains(&k.as_str()));
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    for key in keys {
        match today.outcome(key) {
            None => {
                wrong.push(said!(
                    "this kernel has no setting {:?}",
                    "本内核没有设置 {:?}",
                    words::clean(key)
                ));
            }
            Some(outcome) => match of(outcome) {
                None if elsewhere => return Err(alloc::vec![not_read()]),
                None => wrong.push(said!(
                    "{} is not there now, so it has no running value",
                    "{} 现在不在，所以没有当前值",
                    outcome.key
                )),
                Some(wanted) if loses(outcome) => found.push(wanted),
                Some(_) => {}
            },
        }
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}

/// The limit now and after a boot, where the boot gives a higher one: that is nobody's loss.
fn gain(outcome: &Outcome) -> Option<(u64, u64)> {
    let after = outcome.after.number().and_then(|n| u64::try_from(n).ok())?;
    let now = outcome.now.filter(|_| outcome.setting.name == "nf_conntrack_max")?;
    (after > now && loses(outcome)).then_some((now, after))
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

fn effect(ours: &[Wanted], missed: &[&Wanted], after: &Boot) -> Said {
    let proved: Vec<Said> = ours
        .iter()
        .filter(|w| !missed.contains(w))
        .filter_map(|w| {
            let outcome = after.outcome(w.setting.name)?;
            Some(said!(
                "{} is {} ({})",
                "{} 为 {}（{:#}）",
                w.setting.name,
                w.value,
                outcome.because.map(words::clean)
            ))
        })
        .collect();
    let mut text = match proved.is_empty() {
        true => Said::default(),
        false => said!(
            "After the next boot, by simulation: {}.",
            "按模拟，下次启动之后：{:#}。",
            Said::join(&proved, &Said::of("; ", "；"))
        ),
    };
    if !missed.is_empty() {
        let names: Vec<&str> = missed.iter().map(|w| w.setting.name).collect();
        text.push(&said!(" Not so {}: see below.", "{} 不是这样：见下文。", names.join(", ")));
    }
    text.map(|words| words.trim_start().to_string())
}

fn risks(wanted: &[Wanted], facts: &BootFacts, changes: &[Change]) -> Vec<Said> {
    let mut risks = alloc::vec![Said::of(
        "None for the running host: the files take effect at the next boot.",
        "对运行中的主机没有：文件在下次启动时才起作用。",
    )];
    if let Some(kind) = volatile::in_memory(&facts.tree) {
        risks.push(said!(
            "/etc/sysctl.d lies in memory here ({kind}): the file is gone with the next boot, unless it is saved (Alpine: \
             `lbu commit`; a live system or an image: where it is built).",
            "这里的 /etc/sysctl.d 在内存里（{kind}）：除非保存下来（Alpine：`lbu commit`；live 系统或镜像：在制作它的地方），否则下次启动文件就没了。"
        ));
    }
    let touches =
        |path: &str| changes.iter().any(|c| matches!(c, Change::File(f) if f.path == path));
    if touches(OPTIONS_FILE) || touches(OLD_OPTIONS_FILE) {
        let buckets = wanted.iter().find(|w| w.setting.name == "nf_conntrack_buckets");
        let max = words::count(buckets.map_or(0, |w| w.value.saturating_mul(8)));
        risks.push(said!(
            "hashsize makes the limit {max} (eight times the buckets) until the sysctl files are applied.",
            "在应用 sysctl 文件之前，hashsize 使上限为 {max}（桶数的八倍）。"
        ));
    }
    if facts.modular.get() == Some(false)
        && !facts.profile.buckets_writable
        && let Some(w) = wanted.iter().find(|w| w.setting.name == "nf_conntrack_buckets")
    {
        risks.push(said!(
            "conntrack is built in: the buckets stay only with {}.hashsize={} on the kernel's command line.",
            "conntrack 已编译进内核：只有在内核命令行加上 {}.hashsize={}，桶数才会保留。",
            commands::module(&facts.profile),
            w.value
        ));
    }
    risks
}
