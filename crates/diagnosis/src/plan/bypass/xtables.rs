//! The exemption by iptables: a chain of our own in `raw`, jumps to it, and our rules in the chains of others.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::Era;
use plimsoll_wire::filter::{Backend, Program, TableFamily};

use super::{places, short, show};
use crate::case::{Case, Space};
use crate::plan::{Change, IptablesChange, Placed, Plan};
use crate::rules::{Accept, Role, Traffic};

/// First release of the target CT with `--notrack`, and of EL 7.
const CT_SINCE: (u16, u16) = (3, 4);

/// First release whose legacy tables are driven by programs with `legacy` in their names.
const LEGACY_NAMES_SINCE: (u16, u16) = (4, 19);

/// `iptables-legacy`, `iptables`: the program that speaks to a back end.
fn program(backend: Backend, six: bool, case: &Case<'_>) -> String {
    let name = if six { "ip6tables" } else { "iptables" };
    let young = case.after.host.kernel.value().is_some_and(|k| k.rank() >= LEGACY_NAMES_SINCE);
    match backend {
        Backend::Legacy if young => format!("{name}-legacy"),
        Backend::IptablesNft => format!("{name}-nft"),
        Backend::Legacy | Backend::Nft => name.to_string(),
    }
}

/// The program of a host's own iptables.
pub(in crate::plan) fn program_of(six: bool, case: &Case<'_>) -> String {
    program(Backend::Legacy, six, case)
}

/// Our rules in chains of iptables: one transaction for each table.
pub(in crate::plan) fn accepts_by_iptables(
    accepts: &[Accept],
    rules: &Program,
    case: &Case<'_>,
    plan: &mut Plan,
) {
    let mut tables: Vec<(Backend, TableFamily, &str)> = Vec::new();
    for a in accepts.iter().filter(|a| a.backend != Backend::Nft) {
        if !tables.contains(&(a.backend, a.family, a.table.as_str())) {
            tables.push((a.backend, a.family, &a.table));
        }
    }
    for (backend, family, table) in tables {
        let is_its =
            |a: &&Accept| (a.backend, a.family, a.table.as_str()) == (backend, family, table);
        // The last place first, so that the numbers of the others hold; at one place the last one first.
        let mut ours: Vec<&Accept> = accepts.iter().filter(is_its).collect();
        ours.reverse();
        ours.sort_by_key(|a| core::cmp::Reverse(a.before));
        let program = program(backend, family == TableFamily::Ip6, case);
        let (mut apply, mut revert) = (format!("*{table}\n"), format!("*{table}\n"));
        for a in &ours {
            apply.push_str(&format!("-I {} {} {}\n", a.chain, a.before + 1, a.rule()));
            revert.push_str(&format!("-D {} {}\n", a.chain, a.rule()));
        }
        apply.push_str("COMMIT\n");
        revert.push_str("COMMIT\n");
        let marks = ours.iter().map(|a| format!("--comment \"{}\"", a.comment));
        plan.changes.push(Change::Iptables(IptablesChange {
            restore: format!("{program}-restore"),
            save: format!("{program}-save"),
            table: table.to_string(),
            apply,
            revert,
            marks: marks.collect(),
            placed: Placed::of(rules, ours.iter().copied()),
        }));
    }
}

/// The exemption by iptables: a chain of our own in `raw`, and jumps to it.
pub(super) fn xtables(
    traffic: &[Traffic],
    rules: &Program,
    case: &Case<'_>,
    space: &Space<'_>,
    plan: &mut Plan,
) {
    let chains = space.now.rules.value().map(|r| &r.chains);
    let kernel = case.after.host.kernel.value();
    let target =
        if kernel.is_some_and(|k| k.rank() < CT_SINCE) { "NOTRACK" } else { "CT --notrack" };
    let old = kernel.is_some_and(|k| k.rank() < (2, 6)) || case.profile.from < (2, 6);
    let six_is_filtered = case.profile.era != Era::IpConntrack
        && (rules.tables.iter().any(|t| t.family != TableFamily::Ip)
            || chains.is_some_and(|all| all.iter().any(|c| c.family != TableFamily::Ip)));
    for six in [false, true] {
        let ours: Vec<&Traffic> = traffic
            .iter()
            .filter(|t| t.has(if six { TableFamily::Ip6 } else { TableFamily::Ip }))
            .collect();
        if ours.is_empty() || six && !six_is_filtered {
            continue;
        }
        let program = program(Backend::Legacy, six, case);
        let (mut apply, mut revert) = ("*raw\n".to_string(), "*raw\n".to_string());
        let (mut chains, mut marks, mut unmake) = (Vec::new(), Vec::new(), String::new());
        for t in &ours {
            let mark = if t.peer.is_some() { "LIFELINE" } else { "BYPASS" };
            let chain = format!("PLIMSOLL-{mark}-{}", short(t).to_uppercase());
            if !chains.contains(&chain) {
                apply.push_str(&format!(":{chain} - [0:0]\n-A {chain} -j {target}\n"));
                unmake.push_str(&format!("-F {chain}\n-X {chain}\n"));
                marks.push(format!(":{chain} "));
                chains.push(chain.clone());
            }
            for (number, (hook, side)) in places(t.role).iter().enumerate() {
                let rule = xt_untrack(t, hook, side, old, &chain, number);
                apply.push_str(&format!("-A {rule}\n"));
                revert.push_str(&format!("-D {rule}\n"));
                marks.push(format!("--comment \"{}\"", xt_comment(t, number)));
            }
        }
        apply.push_str("COMMIT\n");
        revert.push_str(&unmake);
        revert.push_str("COMMIT\n");
        plan.changes.push(Change::Iptables(IptablesChange {
            restore: format!("{program}-restore"),
            save: format!("{program}-save"),
            table: "raw".to_string(),
            apply,
            revert,
            marks,
            placed: Vec::new(),
        }));
    }
}

fn xt_comment(t: &Traffic, number: usize) -> String {
    let way = if number == 0 { "in" } else { "back" };
    format!("plimsoll: {}, {way}", t.name())
}

fn xt_untrack(
    t: &Traffic,
    hook: &str,
    side: &str,
    old: bool,
    chain: &str,
    number: usize,
) -> String {
    let (option, address) = if hook == "output" { ("-o", "-d") } else { ("-i", "-s") };
    let lo = if old { format!("{option} ! lo") } else { format!("! {option} lo") };
    let with =
        t.peer.map_or_else(String::new, |(ip, bits)| format!("{address} {} ", show(ip, bits)));
    let local = match (t.role, hook) {
        (_, "output") => "",
        (Role::Forward, _) => "-m addrtype ! --dst-type LOCAL ",
        _ => "-m addrtype --dst-type LOCAL ",
    };
    let name = t.protocol_name();
    format!(
        "{} {with}{lo} -p {name} -m {name} --{side} {} {local}-m comment --comment \"{}\" -j {chain}",
        hook.to_uppercase(),
        t.port,
        xt_comment(t, number)
    )
}
