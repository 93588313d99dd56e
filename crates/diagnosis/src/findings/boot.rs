//! What the next boot will do to the settings (CT040): the simulation ([`crate::boot`]) against what runs now; and what is
//! wrong with the files (CT043 to CT048), whatever runs now.

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::{Bytes, Setting};

use super::{Draft, source_of};
use crate::Said;
use crate::boot::{After, Attempt, Fate, Lint, LintKind, Outcome, place};
use crate::case::Case;
use crate::commands;
use crate::facts::{ManagerKind, SysctlLoader};
use crate::words;
use crate::{Severity, Value};

/// A running value that the next boot will not bring back.
pub(crate) struct Lost {
    /// Bare modern name of the setting.
    pub(crate) setting: &'static str,
    /// Value in force.
    pub(crate) running: u64,
    /// Value after boot, where it is known.
    pub(crate) after: Option<u64>,
    /// Why, for a person.
    pub(crate) why: Said,
    /// A program sets it again after boot.
    pub(crate) managed: Option<&'static str>,
    /// The boot gives more room than there is now: worth knowing, and nothing that should be made to stay.
    pub(crate) gain: bool,
    /// A line asks for the other value and has not been applied; what runs was chosen by nobody.
    pub(crate) waits: bool,
    /// A line asks for the other value, and comes before the key is there, or may.
    pub(crate) vain: bool,
    /// What that line asks for, and its file, where what runs instead is the kernel's own, or a lower limit.
    pub(crate) meant: Option<(u64, String)>,
    /// It depends on an order that nothing gives.
    open: bool,
}

impl Lost {
    /// Whether our files are to keep the running value.
    pub(crate) fn is_ours_to_keep(&self) -> bool {
        self.managed.is_none() && !self.gain && !self.waits && self.meant.is_none()
    }
}

/// Settings that follow the traffic or a module parameter, so that a difference means nothing.
const NOT_JUDGED: &[&str] = &["nf_conntrack_acct", "nf_conntrack_timestamp", "nf_conntrack_events"];
/// Settings that kube-proxy writes at each start.
const KUBE_PROXY: &[&str] = &[
    "nf_conntrack_max",
    "nf_conntrack_buckets",
    "nf_conntrack_tcp_timeout_established",
    "nf_conntrack_tcp_timeout_close_wait",
];
/// Defaults that follow the memory are compared with this tolerance: the kernel sees more memory at its
/// start than MemTotal tells.
pub(super) const TOLERANCE: f64 = 0.10;

/// Finds what the next boot will lose,
pub(super) fn find(case: &Case<'_>, found: &mut Vec<Draft>) {
    found.extend(lost(case));
    found.extend(mistakes(case));
}

/// The running value of a setting.
fn running(case: &Case<'_>, setting: &Setting) -> Option<u64> {
    let (_, host) = case.initial()?;
    match setting.name {
        "nf_conntrack_max" => host.load.max.map(|m| m.0),
        "nf_conntrack_buckets" => case.buckets(),
        name => host.now.setting(name),
    }
}

/// Whether a running value is what the kernel gives by itself, though it is not quite what the memory that was read
/// foretells: the kernel sees more of it at its start, and its log may tell what it chose.
fn is_own(case: &Case<'_>, setting: &Setting, foretold: u64, running: u64) -> bool {
    let of = |(buckets, max): (u64, u64)| match setting.name {
        "nf_conntrack_max" => Some(max),
        "nf_conntrack_buckets" => Some(buckets),
        _ => None,
    };
    let logged = case.after.log.value().and_then(|l| l.boot_line).and_then(of);
    let more = case.after.host.memory_total.get().and_then(|memory| {
        of(case.profile.defaults(Bytes(memory.0.saturating_add(memory.0 / 16))))
    });
    let near = |d: u64| (running as f64 - d as f64).abs() <= d as f64 * TOLERANCE;
    logged == Some(running) || more.is_some_and(|d| near(foretold) || near(d))
}

/// Running values that the next boot will not bring back.
pub(crate) fn lost_settings(case: &Case<'_>) -> Vec<Lost> {
    let Some(boot) = case.boot.value() else { return Vec::new() };
    boot.outcomes.iter().filter_map(|outcome| lost_setting(case, outcome)).collect()
}

fn lost_setting(case: &Case<'_>, outcome: &Outcome) -> Option<Lost> {
    let setting = outcome.setting;
    if NOT_JUDGED.contains(&setting.name) {
        return None;
    }
    let running = running(case, setting)?;
    let winner = outcome.winner();
    let number = |after: &After| after.number().and_then(|n| u64::try_from(n).ok());
    // Of two values that are possible the one that is not running.
    let after = match outcome.or.as_ref() {
        Some((or, _)) if number(&outcome.after) == Some(running) => or,
        Some(_) | None => &outcome.after,
    };
    let after = match after {
        After::Value(_) | After::About(_) => Some(number(after)?),
        After::Absent(..) => None,
        // What is not known is no loss; but what was set by hand and is in no file is.
        After::Unknown(_) => return None,
    };
    if let Some(after) = after {
        if after == running && !in_vain(case, outcome) {
            return None;
        }
        // More buckets than now are no loss.
        if setting.name == "nf_conntrack_buckets" && after >= running && !in_vain(case, outcome) {
            return None;
        }
        let by_itself = winner.is_none() && !outcome.by_option;
        let sure = outcome.or.is_none() && !in_vain(case, outcome);
        if sure && by_itself && is_own(case, setting, after, running) && !asked(outcome, running) {
            return None;
        }
    }
    let why = match winner {
        Some(w) => {
            let a = &w.assignment;
            let place = place(&a.file, a.line);
            let or = match &outcome.or {
                Some(_) if after == Some(running) => {
                    said!(
                        ", if nothing comes in between: the order is open",
                        "，如果中间没有别的动作：先后不定"
                    )
                }
                Some(_) | None => Said::default(),
            };
            let waits = if outcome.awaits_its_line() {
                said!(
                    ", and has not been applied: what runs is the kernel's own value",
                    "，但还没有生效：现在是内核自己的值"
                )
            } else {
                Said::default()
            };
            let value = words::clean(&a.value);
            said!("{place} says {value}{or}{waits}", "{place:#} 写的是 {value}{or:#}{waits:#}")
        }
        None => unset(case, outcome, running),
    };
    // None at all (0) is more than any number.
    let gain =
        setting.name == "nf_conntrack_max" && running != 0 && after.is_some_and(|a| a > running);
    Some(Lost {
        setting: setting.name,
        running,
        after,
        why,
        managed: managed(case, setting),
        gain,
        waits: outcome.awaits_its_line(),
        vain: outcome.or.is_some() || in_vain(case, outcome),
        meant: meant(case, outcome, running),
        open: outcome.or.is_some(),
    })
}

/// What the last line that comes too early asks for, where nobody chose what runs instead. RHEL's old scripts have no place
/// where the module is loaded early.
fn meant(case: &Case<'_>, outcome: &Outcome, running: u64) -> Option<(u64, String)> {
    let boot = case.boot.value().filter(|boot| boot.loader != SysctlLoader::RcSysinit)?;
    let lost = |a: &Attempt| {
        let a = &a.assignment;
        let is = |l: &Lint| {
            matches!(l.kind, LintKind::LoadsLater | LintKind::NoOrder)
                && l.file.as_ref() == Some(&a.file)
                && l.line == Some(a.line)
        };
        boot.lints.iter().any(is)
    };
    let line = outcome.attempts.iter().rfind(|a| a.fate == Fate::NotYet && lost(a))?;
    let asked: u64 = line.assignment.value.parse().ok()?;
    let own = outcome.after.number().and_then(|n| u64::try_from(n).ok()) == Some(running);
    let higher = outcome.setting.name == "nf_conntrack_max" && running != 0 && asked > running;
    let chosen = outcome.winner().is_some() || asked == running || !(own || higher);
    (!chosen).then(|| (asked, line.assignment.file.clone()))
}

/// Whether a line asks for another value than the one that runs, and comes before the key exists.
fn in_vain(case: &Case<'_>, outcome: &Outcome) -> bool {
    let lost = |a: &Attempt| {
        a.fate == Fate::NotYet
            && case.boot.value().is_some_and(|boot| {
                boot.lints.iter().any(|l| {
                    l.kind == LintKind::LoadsLater
                        && !l.harmless
                        && l.file.as_ref() == Some(&a.assignment.file)
                        && l.line == Some(a.assignment.line)
                })
            })
    };
    outcome.attempts.iter().any(lost)
}

/// Whether a line asks for the running value, in vain.
fn asked(outcome: &Outcome, running: u64) -> bool {
    outcome.attempts.iter().any(|a| {
        matches!(a.fate, Fate::NotYet | Fate::NotRead(_))
            && a.assignment.value.parse() == Ok(running)
    })
}

/// A program that sets it again after boot.
fn managed(case: &Case<'_>, setting: &Setting) -> Option<&'static str> {
    let managers = case.after.boot.managers.value();
    let manages =
        |kind: ManagerKind| managers.is_some_and(|all| all.iter().any(|m| m.kind == kind));
    if manages(ManagerKind::Kubernetes) && KUBE_PROXY.contains(&setting.name) {
        Some("kube-proxy")
    } else if manages(ManagerKind::Tuned) {
        Some("tuned")
    } else {
        None
    }
}

/// Why no file sets it: one may stand there and come too early, or not be read.
fn unset(case: &Case<'_>, outcome: &Outcome, running: u64) -> Said {
    let told = |a: &plimsoll_wire::sysctl::Assignment| place(&a.file, a.line);
    let mut vain: Vec<_> = outcome
        .attempts
        .iter()
        .filter(|a| {
            matches!(a.fate, Fate::NotYet | Fate::Never(_) | Fate::Refused(_) | Fate::NotRead(_))
        })
        .collect();
    // That which says what runs explains it best.
    vain.sort_by_key(|a| a.assignment.value.parse() == Ok(running));
    let Some(attempt) = vain.last() else {
        return match &outcome.after {
            After::Absent(why, _) => why.clone(),
            _ if outcome.by_option => outcome.because.clone(),
            _ => said!("no file sets it", "没有文件设它"),
        };
    };
    let a = &attempt.assignment;
    match &attempt.fate {
        Fate::NotRead(why) => said!(
            "{} stands in {}, which is not applied: {}",
            "{} 写在 {:#}，但那里不生效：{:#}",
            words::clean(&a.value),
            told(a),
            why.map(words::clean)
        ),
        Fate::Refused(why) => said!(
            "{} says {}, and {why}",
            "{:#} 写的是 {}，但 {why:#}",
            told(a),
            words::clean(&a.value)
        ),
        Fate::Never(why) => said!(
            "{} says {}, but {why}",
            "{:#} 写的是 {}，但 {why:#}",
            told(a),
            words::clean(&a.value)
        ),
        _ => {
            let lint = case.boot.value().and_then(|boot| {
                boot.lints.iter().find(|l| {
                    matches!(l.kind, LintKind::LoadsLater | LintKind::NoOrder)
                        && l.file.as_ref() == Some(&a.file)
                        && l.line == Some(a.line)
                })
            });
            let why = lint
                .map_or(Said::of("the key does not exist yet", "那时参数还不存在"), |l| {
                    l.why().clone()
                });
            said!(
                "{} says {}, but {why}",
                "{:#} 写的是 {}，但 {why:#}",
                told(a),
                words::clean(&a.value)
            )
        }
    }
}

/// CT040: the running value will be lost at the next boot.
fn lost(case: &Case<'_>) -> Option<Draft> {
    let lost = lost_settings(case);
    let first = lost.iter().find(|l| l.is_ours_to_keep()).or(lost.first())?;
    let ours = lost.iter().any(|l| l.is_ours_to_keep() || l.vain && l.managed.is_none());
    let severity = if ours { Severity::Warning } else { Severity::Info };
    let key = commands::key(case.profile, first.setting);
    let after = match first.after {
        None => Said::default(),
        Some(v) if v == first.running => {
            said!(", and the same after a boot", "，启动之后也是这个值")
        }
        Some(v) if first.open => {
            said!(" and may be {} after a boot", "，启动之后可能是 {}", words::count(v))
        }
        Some(v) => {
            let v = words::count(v);
            said!(" and will be {v} after a boot", "，启动之后会是 {v}")
        }
    };
    let manager = first
        .managed
        .map_or_else(Said::default, |m| said!("; {m} may set it again", "；{m} 可能会再设一次"));
    let others = match lost.len() {
        1 => Said::default(),
        n => said!(" ({} more)", "（另有 {} 个）", n - 1),
    };
    let summary = said!(
        "{key} is {}{after}: {}{manager}{others}.",
        "{key} 现在是 {}{after:#}：{:#}{manager:#}{others:#}。",
        words::count(first.running),
        first.why
    );
    let mut draft = Draft::new("CT040", severity, None, summary).explains(0.05);
    for l in &lost {
        let key = commands::key(case.profile, l.setting);
        draft = draft.count(
            said!("{key} now", "{key} 现在"),
            l.running,
            "",
            said!("the running kernel", "正在运行的内核"),
        );
        let source = source_of(&case.after.boot.tree);
        draft = match l.after {
            Some(after) => {
                draft.count(said!("{key} after boot", "{key} 启动之后"), after, "", source)
            }
            None => draft,
        };
        draft = draft.with(
            said!("{key}, the reason", "{key} 的原因"),
            Value::Text(l.why.clone()),
            "",
            source_of(&case.after.boot.tree),
        );
    }
    Some(draft)
}

/// Kinds of mistakes that have a finding of their own here; CT041 and CT042 have theirs in `stale`.
const KINDS: &[(&str, &[LintKind])] = &[
    ("CT043", &[LintKind::Overridden, LintKind::Duplicate]),
    ("CT044", &[LintKind::UnknownKey]),
    ("CT045", &[LintKind::BadValue, LintKind::OddValue, LintKind::Malformed]),
    ("CT046", &[LintKind::Ratio]),
    ("CT047", &[LintKind::ModuleLine, LintKind::NeverLoaded, LintKind::Unloads]),
    ("CT048", &[LintKind::NotRead]),
];

/// What costs nothing today, or may be meant, is only worth knowing.
const ONLY_TOLD: &[&str] = &["CT043", "CT046", "CT048"];

/// CT043 to CT048: each kind of mistake once, with all its places.
fn mistakes(case: &Case<'_>) -> Vec<Draft> {
    let Some(boot) = case.boot.value() else { return Vec::new() };
    let lints = |kinds: &[LintKind]| -> Vec<&Lint> {
        boot.lints.iter().filter(|l| kinds.contains(&l.kind) && is_told(l)).collect()
    };
    KINDS.iter().filter_map(|(id, kinds)| mistake(id, &lints(kinds))).collect()
}

/// What costs nothing is told by `plimsoll boot`; but of two lines that say the same one is changed one day, and the
/// other holds.
fn is_told(lint: &Lint) -> bool {
    let vendor =
        lint.file.as_ref().is_some_and(|f| f.starts_with("/usr/") || f.starts_with("/lib/"));
    !lint.harmless || lint.kind == LintKind::Duplicate && !vendor
}

fn mistake(id: &'static str, lints: &[&Lint]) -> Option<Draft> {
    let first = lints.first()?;
    let severity = if ONLY_TOLD.contains(&id) { Severity::Info } else { Severity::Warning };
    let place = |lint: &Lint| match &lint.file {
        Some(file) => place(file, lint.line.unwrap_or(0)),
        None => Said::default(),
    };
    let said = |lint: &Lint| {
        let key = match (&lint.key, &lint.value) {
            (Some(key), Some(value)) if !value.is_empty() => {
                said!("{} = {}: ", "{} = {}：", words::clean(key), words::clean(value))
            }
            (Some(key), _) => said!("{}: ", "{}：", words::clean(key)),
            (None, _) => Said::default(),
        };
        said!("{key}{}", "{key:#}{:#}", lint.what.map(words::clean))
    };
    let others = match lints.len() {
        1 => Said::default(),
        n => said!(" ({} more)", "（另有 {} 处）", n - 1),
    };
    let at = place(first);
    let at = if at.is_empty() { at } else { said!("{at}: ", "{at:#}：") };
    let summary = said!("{at}{}{others}.", "{at:#}{:#}{others:#}。", said(first));
    let mut draft = Draft::new(id, severity, None, summary).explains(0.03);
    for lint in lints {
        draft = draft.with(said!("line", "行"), Value::Text(said(lint)), "", place(lint));
        draft = draft.with(
            said!("mend", "改法"),
            Value::Text(lint.mend.map(words::clean)),
            "",
            said!("the boot simulation", "启动模拟"),
        );
    }
    Some(draft)
}
