//! The exemption by nftables: a table of our own, and our rules in the chains of others.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_wire::filter::{Backend, Program};

use super::{BypassRequest, kind, places, short, show};
use crate::plan::{Change, NftChange, NftTable, OwnRule, Placed};
use crate::rules::{Accept, Role, Traffic, family_word};

/// The table of our own, and in the same transaction our rules in the chains of others.
pub(super) fn nft(
    request: &BypassRequest,
    traffic: &[Traffic],
    program: &Program,
    accepts: &[Accept],
) -> Change {
    let mut name = format!("plimsoll_{}", kind(request));
    for t in traffic {
        let short = format!("_{}", short(t));
        if !name.ends_with(&short) {
            name.push_str(&short);
        }
    }
    let mut text = format!("table inet {name} {{\n");
    for hook in ["prerouting", "output"] {
        let mut rules = String::new();
        for t in traffic {
            for (_, side) in places(t.role).iter().filter(|(h, _)| *h == hook) {
                rules.push_str(&format!("        {}\n", nft_untrack(t, hook, side)));
            }
        }
        if !rules.is_empty() {
            text.push_str(&format!(
                "    chain {hook} {{\n        type filter hook {hook} priority -300; policy accept;\n{rules}    }}\n"
            ));
        }
    }
    text.push_str("}\n");
    let mut change = nft_rules(program, accepts);
    change.apply.push_str(&text);
    change.tables.push(NftTable { family: "inet".to_string(), name });
    Change::Nft(change)
}

/// Our rules in the chains of others.
pub(super) fn nft_rules(program: &Program, accepts: &[Accept]) -> NftChange {
    let mut change = NftChange {
        apply: String::new(),
        tables: Vec::new(),
        rules: Vec::new(),
        placed: Placed::of(program, accepts.iter().filter(|a| a.backend == Backend::Nft)),
    };
    for accept in accepts.iter().filter(|a| a.backend == Backend::Nft) {
        let Some(handle) = accept.handle else { continue };
        let family = family_word(accept.family);
        let (table, chain) = (&accept.table, &accept.chain);
        change.apply.push_str(&format!(
            "insert rule {family} {table} {chain} handle {handle} {}\n",
            accept.rule()
        ));
        change.rules.push(OwnRule {
            family: family.to_string(),
            table: table.clone(),
            chain: chain.clone(),
            comment: accept.comment.clone(),
        });
    }
    change
}

fn nft_untrack(t: &Traffic, hook: &str, side: &str) -> String {
    let (lo, address) = match hook {
        "output" => ("oifname != \"lo\"", "daddr"),
        _ => ("iifname != \"lo\"", "saddr"),
    };
    let with = t.peer.map_or_else(String::new, |(ip, bits)| {
        let header = if ip.is_ipv4() { "ip" } else { "ip6" };
        format!(" {header} {address} {}", show(ip, bits))
    });
    let local = match (t.role, hook) {
        (_, "output") => "",
        (Role::Forward, _) => " fib daddr type != local",
        _ => " fib daddr type local",
    };
    format!(
        "{lo}{with}{local} {} {side} {} notrack comment \"plimsoll: {}\"",
        t.protocol_name(),
        t.port,
        t.name()
    )
}
