//! Assignments in the sysctl files that this kernel will not take (CT041, CT042): names of another
//! generation, and names that only read.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::{Access, Era, Setting};
use plimsoll_wire::sysctl::Assignment;

use super::Draft;
use crate::case::Case;
use crate::commands;
use crate::words;
use crate::{Severity, Value};

/// Fewest settings that were read for the absence of one to mean that the kernel lacks it.
const WELL_READ: usize = 10;

/// An assignment that this kernel will not take.
pub(crate) struct Stale<'a> {
    /// The assignment.
    pub(crate) assignment: &'a Assignment,
    /// The name that this kernel has for what was meant.
    pub(crate) instead: Option<String>,
    /// Not a wrong name, but one that can only be read.
    pub(crate) read_only: bool,
    /// Another assignment sets what was meant, so nothing is lost.
    pub(crate) superseded: bool,
}

/// Finds what the files ask in vain.
pub(super) fn find(case: &Case<'_>, found: &mut Vec<Draft>) {
    let stale = stale_assignments(case);
    found.extend(stale_draft(case, &stale, false));
    found.extend(stale_draft(case, &stale, true));
}

/// The assignment of a setting that holds after boot: the last one that this kernel takes.
pub(super) fn winner<'a>(case: &Case<'a>, setting: &Setting) -> Option<&'a Assignment> {
    case.after
        .boot
        .sysctl
        .value()?
        .iter()
        .rfind(|a| is_of(a, setting) && !is_stale(case, a) && !is_refused(case, a))
}

/// Whether it assigns to a setting, under whichever of its names.
fn is_of(a: &Assignment, setting: &Setting) -> bool {
    Setting::find(&a.key).is_some_and(|s| s.name == setting.name)
}

/// Whether the key is right and this kernel refuses the value: no limit, where there must be one.
fn is_refused(case: &Case<'_>, a: &Assignment) -> bool {
    !case.profile.zero_is_unlimited
        && Setting::find(&a.key).is_some_and(|s| s.name == "nf_conntrack_max")
        && a.value.parse::<i64>().is_ok_and(|v| v <= 0)
}

/// The last assignment of the limit, if this kernel refuses its value; and the one that then holds.
pub(super) fn refused_limit<'a>(
    case: &Case<'a>,
) -> Option<(&'a Assignment, Option<&'a Assignment>)> {
    let max = Setting::find("nf_conntrack_max")?;
    let all = case.after.boot.sysctl.value()?;
    let last = all.iter().rfind(|a| is_of(a, max) && !is_stale(case, a))?;
    is_refused(case, last).then(|| (last, winner(case, max)))
}

/// Whether this kernel does not take an assignment.
fn is_stale(case: &Case<'_>, a: &Assignment) -> bool {
    judge(case, a).is_some()
}

/// `Some(read_only)` for an assignment that this kernel does not take.
fn judge(case: &Case<'_>, a: &Assignment) -> Option<bool> {
    let bare = a.key.rsplit(['.', '/']).next().unwrap_or(&a.key);
    let ours = bare.starts_with("nf_conntrack") || bare.starts_with("ip_conntrack");
    if !ours {
        return None;
    }
    let setting = Setting::find(bare);
    match setting.map(|s| s.access) {
        Some(Access::ReadOnly) => return Some(true),
        Some(Access::WritableSince4_9) if !case.profile.buckets_writable => return Some(true),
        Some(Access::Writable | Access::WritableSince4_9) | None => {}
    }
    let settings = case.initial().map(|(_, s)| &s.now.settings);
    if settings.is_some_and(|s| s.contains_key(bare)) {
        return None;
    }
    let old = bare.starts_with("ip_conntrack");
    let dead = match case.profile.era {
        Era::IpConntrack => !old,
        Era::Both => false,
        Era::NfConntrack => old,
    };
    let misplaced = a.key.contains("netfilter.ip_conntrack") && !a.key.contains("ipv4")
        || a.key.contains("ipv4.netfilter.nf_conntrack");
    if dead || misplaced {
        return Some(false);
    }
    let rank = case.after.host.kernel.value().map(|k| k.rank())?;
    let well_read = settings.is_some_and(|s| s.len() >= WELL_READ);
    let gone = match setting {
        // Vendors carry keys over; only a listing of what runs shows that one is gone.
        Some(s) => {
            // `since` is the age of the modern name.
            let unborn = s.since > rank && !(old && s.old_name.is_some());
            well_read && (unborn || s.until.is_some_and(|until| until < rank))
        }
        None => well_read && !old,
    };
    gone.then_some(false)
}

/// Assignments that this kernel will not take.
pub(crate) fn stale_assignments<'a>(case: &Case<'a>) -> Vec<Stale<'a>> {
    let Some(all) = case.after.boot.sysctl.value() else {
        return Vec::new();
    };
    let unapplied = case.after.boot.sysctl_unapplied.iter().map(|u| &u.assignment);
    all.iter()
        .chain(unapplied)
        .filter_map(|assignment| {
            let read_only = judge(case, assignment)?;
            let meant = match Setting::find(&assignment.key)? {
                // Whoever writes a count means the limit.
                s if s.name == "nf_conntrack_count" => Setting::find("nf_conntrack_max")?,
                s => s,
            };
            let exists = judge_name(case, meant);
            let instead = exists.then(|| commands::key(case.profile, meant.name));
            let superseded = winner(case, meant).is_some();
            Some(Stale { assignment, instead, read_only, superseded })
        })
        .collect()
}

/// Whether this kernel has a setting under some name and takes a value for it.
fn judge_name(case: &Case<'_>, setting: &Setting) -> bool {
    let writable = match setting.access {
        Access::ReadOnly => false,
        Access::Writable => true,
        Access::WritableSince4_9 => case.profile.buckets_writable,
    };
    let Some(rank) = case.after.host.kernel.value().map(|k| k.rank()) else {
        return writable;
    };
    let born = setting.since <= rank || setting.old_name.is_some();
    writable && born && setting.until.is_none_or(|until| until >= rank)
}

/// CT041 and CT042: assignments that this kernel will not take.
fn stale_draft(case: &Case<'_>, stale: &[Stale<'_>], read_only: bool) -> Option<Draft> {
    let mine: Vec<&Stale<'_>> = stale.iter().filter(|s| s.read_only == read_only).collect();
    let worst = mine
        .iter()
        .find(|s| !s.superseded && !s.assignment.may_fail)
        .copied()
        .or_else(|| mine.first().copied())?;
    let harmless = worst.superseded || worst.assignment.may_fail;
    let severity = if harmless { Severity::Info } else { Severity::Warning };
    let a = worst.assignment;
    let key = words::clean(&a.key);
    let place = format!("{} line {}", words::clean(&a.file), a.line);
    let why = if read_only {
        "which this kernel only lets read".to_string()
    } else {
        format!("a name that this kernel ({}) does not have", case.profile.name)
    };
    let meant = match (&worst.instead, worst.superseded) {
        (_, true) => "; another line sets what was meant".to_string(),
        (Some(name), false) => format!("; what was meant is {name}"),
        (None, false) => String::new(),
    };
    let others = match mine.len() {
        1 => String::new(),
        n => format!(" ({} more)", n - 1),
    };
    let id = if read_only { "CT042" } else { "CT041" };
    let summary = format!("{place} sets {key}, {why}: it has no effect{meant}{others}.");
    let mut draft = Draft::new(id, severity, None, summary).explains(0.04);
    for s in mine {
        let a = s.assignment;
        let text = format!("{} = {}", words::clean(&a.key), words::clean(&a.value));
        let place = format!("{} line {}", words::clean(&a.file), a.line);
        draft = draft.with("assignment", Value::Text(text), "", place);
    }
    Some(draft)
}
