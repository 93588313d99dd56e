//! The remedies: what to do, with the exact commands of this kernel generation, the price and the risk.
//! One remedy a file. Nothing here changes anything; a remedy that must not be used here says why.

mod bypass;
mod lifeline;
mod limit;
mod lower;
mod none_needed;
mod ours;
mod persist;
mod plain;
pub(crate) mod raise;
mod shed;
mod timeout;
mod told;
mod unload;
mod written;

pub(crate) use ours::is_ours;
pub(crate) use unload::{belongs, managed, removal_order};

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_wire::ruleset::Backend;
use plimsoll_wire::shown;

use crate::Said;
use crate::case::{Case, Space};
use crate::facts::ManagerKind;
use crate::findings::Draft;
use crate::{Remedy, Severity, words};

/// A remedy and its place among the others: lower comes first.
pub(crate) struct Ranked {
    /// Place.
    pub(crate) rank: u32,
    /// The remedy.
    pub(crate) remedy: Remedy,
}

/// The findings of this host, as a remedy asks about them.
pub(crate) struct Findings<'a>(pub(crate) &'a [Draft]);

impl<'a> Findings<'a> {
    /// The first finding of an id that needs action.
    pub(crate) fn get(&self, id: &str) -> Option<&'a Draft> {
        self.0.iter().find(|d| d.finding.id == id && d.finding.severity > Severity::Info)
    }

    /// Whether there is one.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.get(id).is_some()
    }

    /// The namespace that the first of an id is about (`None` inside: the whole host).
    pub(crate) fn place(&self, id: &str) -> Option<Option<usize>> {
        self.get(id).map(|d| d.finding.namespace)
    }

    /// Whether one of an id that needs action is about this namespace.
    pub(crate) fn speaks_of(&self, case: &Case<'_>, id: &str, s: &Space<'_>) -> bool {
        self.0.iter().filter(|d| d.finding.id == id && d.finding.severity > Severity::Info).any(
            |d| {
                d.finding
                    .namespace
                    .and_then(|i| case.spaces.get(i))
                    .is_some_and(|of| core::ptr::eq(of, s))
            },
        )
    }

    /// Those of the ids that need action here, in the order asked.
    pub(crate) fn among(&self, ids: &[&'static str]) -> Vec<&'static str> {
        ids.iter().copied().filter(|id| self.has(id)).collect()
    }

    /// The namespace that the first of these findings speaks of.
    pub(crate) fn space<'b, 'c>(&self, case: &'b Case<'c>, ids: &[&str]) -> Option<&'b Space<'c>> {
        let index = ids.iter().find_map(|id| self.get(id).and_then(|d| d.finding.namespace))?;
        case.spaces.get(index)
    }
}

/// All remedies that answer a finding, best first; those that must not be used here come last.
pub(crate) fn remedies(case: &Case<'_>, found: &[Draft]) -> Vec<Remedy> {
    let findings = Findings(found);
    let mut ranked: Vec<Ranked> = [
        raise::remedy(case, &findings),
        persist::remedy(case, &findings),
        timeout::remedy(case, &findings),
        bypass::remedy(case, &findings),
        lifeline::remedy(case, &findings),
        shed::remedy(case, &findings),
        limit::remedy(case, &findings),
        lower::remedy(case, &findings),
        unload::remedy(case, &findings),
        none_needed::remedy(&findings),
    ]
    .into_iter()
    .flatten()
    .collect();
    ranked.sort_by_key(|r| (!r.remedy.refused.is_empty(), r.rank));
    ranked
        .into_iter()
        .map(|r| {
            let mut remedy = r.remedy;
            remedy.commands = remedy.commands.iter().map(|c| c.map(one_line)).collect();
            remedy.fix = remedy.fix.iter().map(|c| c.map(one_line)).collect();
            remedy
        })
        .collect()
}

/// The namespaces, by index, for which a remedy is planned on the rules in full.
pub(crate) fn asks_for_ways(case: &Case<'_>, found: &[Draft]) -> Vec<usize> {
    let findings = Findings(found);
    let places = [
        bypass::place(case, &findings),
        lifeline::place(case, &findings),
        limit::place(case, &findings),
    ];
    let mut found: Vec<usize> = Vec::new();
    for place in places.into_iter().flatten() {
        let index = case.spaces.iter().position(|s| core::ptr::eq(s, place));
        found.extend(index.filter(|i| !found.contains(i)));
    }
    found
}

/// A remark that names the other namespaces in which one of these findings asks for the same. Commands are
/// written for one namespace; whoever runs them there only would think the host cured.
pub(crate) fn same_elsewhere(
    case: &Case<'_>,
    findings: &Findings<'_>,
    s: &Space<'_>,
    ids: &[&str],
    alike: impl Fn(&Space<'_>) -> bool,
) -> Option<Said> {
    let mut names: Vec<&Said> = Vec::new();
    for draft in findings.0.iter().filter(|d| d.finding.severity > Severity::Info) {
        let other = draft.finding.namespace.and_then(|i| case.spaces.get(i));
        if let Some(other) = other
            && ids.contains(&draft.finding.id)
            && !core::ptr::eq(other, s)
            && alike(other)
            && !names.contains(&&other.name)
        {
            names.push(&other.name);
        }
    }
    const NAMED: usize = 8;
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    if names.is_empty() {
        return None;
    }
    let names = Said::join(names, &Said::of(", ", "、"));
    let more = if more == 0 {
        Said::default()
    } else {
        said!(" and {more} more", "等，另有 {more} 个")
    };
    Some(said!("# the same in: {names}{more}", "# 同样适用于：{names:#}{more:#}"))
}

/// A command is one line: what a foreign name might have smuggled in ends here.
fn one_line(command: &str) -> String {
    command.chars().map(shown).collect()
}

/// Whether the nft tool speaks to this kernel and is what the host's rules are written in.
pub(crate) fn speaks_nft(case: &Case<'_>, s: &Space<'_>) -> bool {
    let young = case.after.host.generation.value().is_none_or(|k| k.rank() >= (4, 19));
    // Legacy tables that could not be read are there: an empty one is not asked for.
    let legacy_only = s.now.rules.value().is_some_and(|r| {
        let of = |backend: Backend| r.rules.iter().any(|r| r.backend == backend);
        let unread = r.unread.iter().any(|(backend, _)| *backend == Backend::Legacy);
        (of(Backend::Legacy) || unread) && r.rules.iter().all(|r| r.backend == Backend::Legacy)
    });
    young && case.profile.hooks_on_demand && !legacy_only
}

/// Why packets that are rewritten, or that others write rules about, must stay tracked.
pub(crate) fn needs_tracking(case: &Case<'_>, s: &Space<'_>) -> Vec<Said> {
    let mut reasons = Vec::new();
    if let Some(rules) = s.now.rules.value()
        && let Some(rule) =
            rules.needing().find(|r| r.needs.contains(&plimsoll_wire::ruleset::Need::Nat))
    {
        reasons.push(said!(
            "rules rewrite addresses, and an untracked packet is not rewritten: {}",
            "有规则改写地址，而未跟踪的包不会被改写：{}",
            words::clean(&rule.text)
        ));
    } else if let Some(census) = s.now.census.value()
        && census.nat > 0
    {
        reasons.push(said!(
            "{} have rewritten addresses, and an untracked packet is not rewritten",
            "{:#}的地址被改写过，而未跟踪的包不会被改写",
            words::many(census.nat, "entry", "entries", "个条目")
        ));
    }
    for manager in case.after.boot.managers.value().into_iter().flatten() {
        let name = match manager.kind {
            ManagerKind::Docker => {
                said!("Docker needs tracking for its NAT", "Docker 的 NAT 需要跟踪")
            }
            ManagerKind::OtherContainers => {
                said!("containers need tracking for their NAT", "容器的 NAT 需要跟踪")
            }
            ManagerKind::Kubernetes => {
                said!("Kubernetes needs tracking for its services", "Kubernetes 的服务需要跟踪")
            }
            ManagerKind::Libvirt => {
                said!("libvirt needs tracking for its networks", "libvirt 的网络需要跟踪")
            }
            ManagerKind::Firewalld
            | ManagerKind::Ufw
            | ManagerKind::Shorewall
            | ManagerKind::Tuned
            | ManagerKind::Fail2ban => {
                continue;
            }
        };
        reasons.push(said!("{name} ({})", "{name:#}（{:#}）", manager.because.map(words::clean)));
    }
    reasons
}
