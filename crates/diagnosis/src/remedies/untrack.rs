//! The rules that exempt a port from tracking, and those that let its packets in without a state.
//!
//! Untracked packets are neither NEW nor ESTABLISHED. A packet passes prerouting or output, never both,
//! and the port stands on either side of it: a rule that is missing leaves an entry for ever unanswered.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::Era;
use plimsoll_wire::ruleset::{Backend, BaseChain, Hook, Rule, Ruleset, TableFamily, Verdict};

use super::speaks_nft;
use crate::case::{Case, Space};
use crate::words;

/// Where answers to this host come in: the ports it asks from by itself (`ip_local_port_range`).
const OWN_PORTS: (u16, u16) = (32_768, 60_999);

/// Who uses the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// This host serves it.
    Server,
    /// This host serves it, asks others for it, or passes it on.
    Any,
    /// As `Any`, and nobody answers.
    OneWay,
}

/// Commands that untrack a port in both directions, and accept what is untracked ahead of rules that
/// ask for a state.
pub(crate) fn untrack(
    case: &Case<'_>,
    s: &Space<'_>,
    protocol: &str,
    port: u16,
    role: Role,
) -> Vec<String> {
    let rules = s.now.rules.value();
    let mut commands: Vec<String> = Vec::new();
    let sides: &[(&str, &str)] = match role {
        Role::Server => &[("PREROUTING", "dport"), ("OUTPUT", "sport")],
        Role::Any | Role::OneWay => &[
            ("PREROUTING", "dport"),
            ("PREROUTING", "sport"),
            ("OUTPUT", "dport"),
            ("OUTPUT", "sport"),
        ],
    };
    for rule in already(rules, port) {
        commands.push(format!("# stands there already: {}", words::clean(&rule.text)));
    }
    if speaks_nft(case, s) {
        commands.push("nft add table inet plimsoll".to_string());
        for hook in ["prerouting", "output"] {
            commands.push(format!(
                "nft 'add chain inet plimsoll {hook} {{ type filter hook {hook} priority raw; }}'"
            ));
        }
        for (chain, side) in sides {
            let chain = chain.to_lowercase();
            commands.push(format!(
                "nft add rule inet plimsoll {chain} {protocol} {side} {port} notrack"
            ));
        }
    } else {
        // CT --notrack came with 2.6.34 and RHEL 7.
        let target = if case.profile.from < (3, 4) { "NOTRACK" } else { "CT --notrack" };
        for tool in tools(case, rules) {
            for (chain, side) in sides {
                commands.push(format!(
                    "{tool} -t raw -I {chain} -p {protocol} --{side} {port} -j {target}"
                ));
            }
        }
    }
    match rules {
        Some(rules) => commands.extend(accepts(rules, protocol, port, role)),
        None => commands.push(format!(
            "# the rules could not be read: where a chain drops what has no state, accept {protocol} \
             port {port} ahead of it in both directions"
        )),
    }
    commands
}

/// Rules that exempt this port as it is.
fn already(rules: Option<&Ruleset>, port: u16) -> impl Iterator<Item = &Rule> {
    rules.into_iter().flat_map(Ruleset::untracking).filter(move |r| r.ports.contains(&port)).take(4)
}

/// The tools of the families that are filtered here. The first generation tracks IPv4 only.
fn tools(case: &Case<'_>, rules: Option<&Ruleset>) -> &'static [&'static str] {
    let six = rules.is_some_and(|r| {
        let mut families =
            r.chains.iter().map(|c| c.family).chain(r.rules.iter().map(|r| r.family));
        families.any(|f| matches!(f, TableFamily::Ip6 | TableFamily::Inet))
    });
    if six && case.profile.era != Era::IpConntrack {
        &["iptables", "ip6tables"]
    } else {
        &["iptables"]
    }
}

/// What a chain must let pass: the words after the protocol for iptables and for nft.
fn passes(hook: Hook, protocol: &str, port: u16, role: Role) -> Vec<(String, String)> {
    let plain = |side: &str| {
        (format!("-p {protocol} --{side} {port}"), format!("{protocol} {side} {port}"))
    };
    // An answer is told from a question by its other port (UDP) or its flags (TCP): to accept all that
    // comes from a port would open every service to whoever sends from it.
    let answer = || {
        let (first, last) = OWN_PORTS;
        if protocol == "tcp" {
            (
                format!("-p tcp --sport {port} ! --syn"),
                format!("tcp sport {port} tcp flags & (fin|syn|rst|ack) != syn"),
            )
        } else {
            (
                format!("-p {protocol} --sport {port} --dport {first}:{last}"),
                format!("{protocol} sport {port} {protocol} dport {first}-{last}"),
            )
        }
    };
    match (hook, role) {
        (Hook::Input, Role::Server | Role::OneWay) => alloc::vec![plain("dport")],
        (Hook::Input, Role::Any) => alloc::vec![plain("dport"), answer()],
        (Hook::Output, Role::Server) => alloc::vec![plain("sport")],
        (Hook::Output, Role::OneWay) => alloc::vec![plain("dport")],
        (Hook::Output, Role::Any) => alloc::vec![plain("sport"), plain("dport")],
        (Hook::Forward, Role::Any) => alloc::vec![plain("dport"), answer()],
        (Hook::Forward, Role::OneWay) => alloc::vec![plain("dport")],
        (Hook::Forward, Role::Server) | (Hook::Prerouting | Hook::Postrouting | Hook::Other, _) => {
            Vec::new()
        }
    }
}

/// Accepting rules at the head of each filtering chain that is there. An accept elsewhere would not
/// keep such a chain from dropping the packet. What is only passed on is left to the administrator.
fn accepts(rules: &Ruleset, protocol: &str, port: u16, role: Role) -> Vec<String> {
    let mut commands = Vec::new();
    for chain in &rules.chains {
        if chain.table == "nat" || chain.table == "raw" || !may_drop(rules, chain) {
            continue;
        }
        if rules.accepts_untracked() && accepts_all_untracked(rules, chain) {
            continue;
        }
        let (Some(table), Some(name)) =
            (words::shell_word(&chain.table), words::shell_word(&chain.chain))
        else {
            continue;
        };
        if matches!(chain.hook, Hook::Input | Hook::Forward) {
            for rule in narrow(rules, chain, port) {
                let warning = format!(
                    "# opens to all what is narrower today: {}  (plimsoll fix bypass keeps it narrow)",
                    words::clean(&rule.text)
                );
                if !commands.contains(&warning) {
                    commands.push(warning);
                }
            }
        }
        use TableFamily as F;
        for (old, new) in passes(chain.hook, protocol, port, role) {
            let command = match (chain.backend, chain.family) {
                (Backend::Nft, F::Ip | F::Ip6 | F::Inet) => {
                    let family = match chain.family {
                        F::Ip => "ip",
                        F::Ip6 => "ip6",
                        F::Inet | F::Other => "inet",
                    };
                    let rule = format!("insert rule {family} {table} {name} {new} accept");
                    // The shell would take the flags for itself.
                    if new.contains('&') { format!("nft '{rule}'") } else { format!("nft {rule}") }
                }
                (Backend::Legacy | Backend::IptablesNft, F::Ip | F::Ip6) => {
                    let tool = if chain.family == F::Ip { "iptables" } else { "ip6tables" };
                    let table =
                        if table == "filter" { String::new() } else { format!(" -t {table}") };
                    format!("{tool}{table} -I {name} {old} -j ACCEPT")
                }
                (Backend::Nft, F::Other)
                | (Backend::Legacy | Backend::IptablesNft, F::Inet | F::Other) => continue,
            };
            let command = if chain.hook == Hook::Forward {
                format!("# if this host passes it on: {command}")
            } else {
                command
            };
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
    }
    commands
}

/// Rules that let only some in to the port: of this sender, this interface, this set, or so many. They may stand
/// in a chain that this one calls.
fn narrow<'a>(
    rules: &'a Ruleset,
    chain: &'a BaseChain,
    port: u16,
) -> impl Iterator<Item = &'a Rule> {
    const CONDITIONS: &[&str] = &[
        "-s",
        "-i",
        "--match-set",
        "--limit",
        "--hashlimit-upto",
        "--src-range",
        "recent",
        "connlimit",
        "saddr",
        "iif",
        "iifname",
        "limit",
    ];
    rules.rules.iter().filter(move |r| {
        r.backend == chain.backend
            && r.family == chain.family
            && r.table == chain.table
            && r.verdict == Verdict::Accept
            && r.ports.contains(&port)
            && r.text.split(' ').any(|word| CONDITIONS.contains(&word))
    })
}

/// Rules of one chain, in their order.
fn rules_of<'a>(rules: &'a Ruleset, chain: &BaseChain) -> impl Iterator<Item = &'a Rule> {
    rules.rules.iter().filter(move |r| {
        r.backend == chain.backend
            && r.family == chain.family
            && r.table == chain.table
            && r.chain == chain.chain
    })
}

/// A chain that lets everything pass and holds no dropping rule needs no exception.
fn may_drop(rules: &Ruleset, chain: &BaseChain) -> bool {
    !matches!(chain.policy, Verdict::Accept)
        || rules_of(rules, chain).any(|r| !matches!(r.verdict, Verdict::Accept | Verdict::Untrack))
}

/// Whether a chain lets every untracked packet pass before anything can drop it: then it needs no rule
/// of ours. A rule with one more condition is not taken for it.
fn accepts_all_untracked(rules: &Ruleset, chain: &BaseChain) -> bool {
    const WORDS: &[&str] = &[
        "-A",
        "-m",
        "-j",
        "ACCEPT",
        "conntrack",
        "state",
        "--ctstate",
        "--state",
        "ct",
        "accept",
        "counter",
        "packets",
        "bytes",
        "{",
        "}",
        "untracked",
        "established",
        "related",
        "new",
    ];
    let plain = |rule: &Rule| {
        let body = rule.text.split(" # handle ").next().unwrap_or(&rule.text);
        body.split([' ', ',']).filter(|w| !w.is_empty()).all(|w| {
            WORDS.iter().any(|known| known.eq_ignore_ascii_case(w))
                || w == chain.chain
                || w.bytes().all(|b| b.is_ascii_digit())
        })
    };
    rules_of(rules, chain)
        .take_while(|r| matches!(r.verdict, Verdict::Accept | Verdict::Untrack))
        .any(|r| r.accepts_untracked() && plain(r))
}
