//! The remedies: what to do, with the exact commands of this kernel generation, the price and the risk.
//! One remedy a file. Nothing here changes anything; a remedy that must not be used here says why.

mod bypass;
mod lifeline;
mod limit;
mod none_needed;
mod persist;
mod raise;
mod shed;
mod timeout;
mod unload;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_wire::ruleset::{Backend, Hook, Verdict};

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
            remedy.commands = remedy.commands.into_iter().map(|c| one_line(&c)).collect();
            remedy
        })
        .collect()
}

/// A command is one line: what a foreign name might have smuggled in ends here.
fn one_line(command: &str) -> String {
    command.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Whether the nft tool speaks to this kernel and is what the host's rules are written in.
pub(crate) fn speaks_nft(case: &Case<'_>, s: &Space<'_>) -> bool {
    let young = case.after.host.kernel.value().is_none_or(|k| k.rank() >= (4, 19));
    let legacy_only = s.now.rules.value().is_some_and(|r| {
        r.rules.iter().any(|r| r.backend == Backend::Legacy)
            && r.rules.iter().all(|r| r.backend == Backend::Legacy)
    });
    young && case.profile.hooks_on_demand && !legacy_only
}

/// Why packets that are rewritten, or that others write rules about, must stay tracked.
pub(crate) fn needs_tracking(case: &Case<'_>, s: &Space<'_>) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(rules) = s.now.rules.value()
        && let Some(rule) =
            rules.needing().find(|r| r.needs.contains(&plimsoll_wire::ruleset::Need::Nat))
    {
        reasons.push(format!(
            "rules rewrite addresses, and an untracked packet is not rewritten: {}",
            words::clean(&rule.text)
        ));
    } else if let Some(census) = s.now.census.value()
        && census.nat > 0
    {
        reasons.push(format!(
            "{} have rewritten addresses, and an untracked packet is not rewritten",
            words::counted(census.nat, "entry", "entries")
        ));
    }
    for manager in case.after.boot.managers.value().into_iter().flatten() {
        let name = match manager.kind {
            ManagerKind::Docker => "Docker needs tracking for its NAT",
            ManagerKind::OtherContainers => "containers need tracking for their NAT",
            ManagerKind::Kubernetes => "Kubernetes needs tracking for its services",
            ManagerKind::Libvirt => "libvirt needs tracking for its networks",
            ManagerKind::Firewalld
            | ManagerKind::Ufw
            | ManagerKind::Tuned
            | ManagerKind::Fail2ban => {
                continue;
            }
        };
        reasons.push(format!("{name} ({})", words::clean(&manager.because)));
    }
    reasons
}

/// Commands that untrack one service of this host, in both directions, and accept what is untracked
/// ahead of rules that ask for a state.
pub(crate) fn untrack(case: &Case<'_>, s: &Space<'_>, protocol: &str, port: u16) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let (there, back) = (format!("--dport {port}"), format!("--sport {port}"));
    if speaks_nft(case, s) {
        commands.extend([
            "nft add table inet plimsoll".to_string(),
            "nft 'add chain inet plimsoll prerouting { type filter hook prerouting priority raw; }'"
                .to_string(),
            "nft 'add chain inet plimsoll output { type filter hook output priority raw; }'"
                .to_string(),
            format!("nft add rule inet plimsoll prerouting {protocol} dport {port} notrack"),
            format!("nft add rule inet plimsoll output {protocol} sport {port} notrack"),
        ]);
    } else {
        // CT --notrack came with 2.6.34 and RHEL 7.
        let target = if case.profile.from < (3, 4) { "NOTRACK" } else { "CT --notrack" };
        commands.extend([
            format!("iptables -t raw -I PREROUTING -p {protocol} {there} -j {target}"),
            format!("iptables -t raw -I OUTPUT -p {protocol} {back} -j {target}"),
        ]);
    }
    let mut accepts = accepts(s, protocol, port);
    if accepts.is_empty() && !speaks_nft(case, s) {
        accepts.push(format!("iptables -I INPUT -p {protocol} {there} -j ACCEPT"));
        accepts.push(format!("iptables -I OUTPUT -p {protocol} {back} -j ACCEPT"));
    }
    commands.extend(accepts);
    commands
}

/// Accepting rules at the head of each filtering chain that is there. An accept elsewhere would not
/// keep such a chain from dropping the packet.
fn accepts(s: &Space<'_>, protocol: &str, port: u16) -> Vec<String> {
    let mut commands = Vec::new();
    let Some(rules) = s.now.rules.value() else {
        return commands;
    };
    for chain in &rules.chains {
        let side = match chain.hook {
            Hook::Input => "dport",
            Hook::Output => "sport",
            Hook::Prerouting | Hook::Forward | Hook::Postrouting | Hook::Other => continue,
        };
        // A chain that lets everything pass and holds no dropping rule needs no exception.
        let may_drop = !matches!(chain.policy, Verdict::Accept)
            || rules.rules.iter().any(|r| {
                r.chain == chain.chain
                    && r.table == chain.table
                    && r.backend == chain.backend
                    && r.verdict != Verdict::Accept
                    && r.verdict != Verdict::Untrack
            });
        if chain.table == "nat" || chain.table == "raw" || !may_drop {
            continue;
        }
        let (Some(table), Some(name)) =
            (words::shell_word(&chain.table), words::shell_word(&chain.chain))
        else {
            continue;
        };
        use plimsoll_wire::ruleset::TableFamily as F;
        let command = match (chain.backend, chain.family) {
            (Backend::Nft, F::Ip | F::Ip6 | F::Inet) => {
                let family = match chain.family {
                    F::Ip => "ip",
                    F::Ip6 => "ip6",
                    F::Inet | F::Other => "inet",
                };
                format!("nft insert rule {family} {table} {name} {protocol} {side} {port} accept")
            }
            (Backend::Legacy | Backend::IptablesNft, F::Ip | F::Ip6) => {
                let tool = if chain.family == F::Ip { "iptables" } else { "ip6tables" };
                let table = if table == "filter" { String::new() } else { format!(" -t {table}") };
                format!("{tool}{table} -I {name} -p {protocol} --{side} {port} -j ACCEPT")
            }
            (Backend::Nft, F::Other)
            | (Backend::Legacy | Backend::IptablesNft, F::Inet | F::Other) => {
                continue;
            }
        };
        if !commands.contains(&command) {
            commands.push(command);
        }
    }
    commands
}
