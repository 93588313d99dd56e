//! Limit one source, or a namespace that takes too much.

use alloc::format;
use alloc::vec::Vec;

use plimsoll_ct::Protocol;

use super::bypass::roles;
use super::ours::fix;
use super::{Findings, Ranked, same_elsewhere, speaks_nft};
use crate::Said;
use crate::case::{Case, Space};
use crate::commands;
use crate::facts::Service;
use crate::findings::flood_of;
use crate::groups::{prefix_label, ratio};
use crate::rules::{Role, Traffic, judge};
use crate::words;
use crate::{Remedy, RemedyId};

/// What one source may hold of the limit: a twentieth.
const SHARE: u64 = 20;
/// … but never less than a busy client needs.
const LEAST: u64 = 200;
/// A table that holds fewer such shares is too small to be divided.
const TINY: u64 = 4;

/// The remedy against a source or a namespace that takes too much.
pub(super) fn remedy(case: &Case<'_>, findings: &Findings<'_>) -> Option<Ranked> {
    let flooded = findings.space(case, &["CT010"]);
    let flood_source = flooded.and_then(flood_of).and_then(|f| f.source);
    let mut answers = findings.among(&["CT011"]);
    if flood_source.is_some() {
        answers.push("CT010");
    }
    if answers.is_empty() {
        return None;
    }
    let s = findings.space(case, &["CT011", "CT010"])?;
    let max = s.limit().unwrap_or(0);
    // In a table this small a share for each source is no help: it must grow first.
    if max > 0 && max < LEAST * TINY {
        return None;
    }
    let each = (max / SHARE).max(LEAST);
    let census = s.now.census.value();
    let top = census.and_then(|c| {
        let (prefix, tally) = c.sources.rows.first()?;
        (ratio(tally.total(), c.total.total()) > 0.5).then_some(*prefix)
    });
    let source = flood_source.or(top);
    // One service can be limited by itself.
    let hot = census.and_then(|c| {
        let (service, tally) = c.services.rows.first()?;
        let tcp = service.protocol == Protocol::Tcp && service.port != 0;
        (tcp && ratio(tally.total(), c.total.total()) > 0.5).then_some(*service)
    });
    let role = hot.and_then(|service| roles(s, service, false)?.first().copied());
    let v6 = source.is_some_and(|p| p.address.is_ipv6());
    let old = case.after.host.generation.value().is_some_and(|k| k.rank() < (2, 23));
    let nft = speaks_nft(case, s);
    // Without a count all of the source's packets go.
    let all = old && !nft;
    let (title, commands) = if nft {
        (at_most(each), by_nft(each, v6))
    } else if all {
        // connlimit came with 2.6.23.
        let address = prefix_label(source.filter(|_| !v6)?);
        let title = said!(
            "drop the packets of {address} before they are tracked",
            "在跟踪之前丢弃 {address} 的包"
        );
        let command = format!("iptables -t raw -I PREROUTING -s {address} -j DROP");
        (title, alloc::vec![Said::name(command)])
    } else {
        (at_most(each), alloc::vec![by_connlimit(each, v6)])
    };
    let mut commands = commands::run_inside(s, commands);
    commands.extend(same_elsewhere(case, findings, s, &answers, |_| true));
    let mut refused: Vec<Said> = none_is_over(s, each).into_iter().collect();
    if let (Some(service), Some(Role::Client)) = (hot, role) {
        refused.push(said!(
            "the connections to port {} are those that this host's own programs open: nothing that comes in is too much",
            "通往端口 {} 的连接是本机自己的程序打开的：进来的并不多",
            service.port
        ));
    }
    // Where nobody listens, or a rule sends it on, it ends behind this host.
    let on = hot.is_some_and(|service| sent_on(s, service));
    let through = on || matches!(role, Some(Role::Forward | Role::Server));
    let forwarded = if through { " --forwarded" } else { "" };
    let remedy = Remedy {
        id: RemedyId::Limit,
        title,
        findings: answers,
        fix: hot
            .filter(|_| !all)
            .and_then(|Service { port, .. }| {
                let ours = format!("limit tcp/{port} --per-source {each}{forwarded} --confirm 60s");
                fix(&ours, s)
            })
            .into_iter()
            .collect(),
        commands,
        memory: None,
        risk: if all {
            said!(
                "A proxy, a NAT gateway or this host itself may rightly be the one source: look who it is \
                 first. Its connections that are open break, too.",
                "代理、NAT 网关或本机自己可能就应该是那一个来源：先看清楚是谁。它已经打开的连接也会断。"
            )
        } else {
            said!(
                "A proxy, a NAT gateway or this host itself may rightly be the one source: look who it is \
                 first. Counting needs 64 bytes for each connection.",
                "代理、NAT 网关或本机自己可能就应该是那一个来源：先看清楚是谁。计数要为每条连接占 64 字节。"
            )
        },
        effect: if all {
            said!(
                "Nothing that comes from there becomes an entry any more; the entries that are there age out.",
                "从那里来的不再成为条目；现有的条目会自行过期。"
            )
        } else {
            said!(
                "What is over the number is dropped before it becomes an entry; the others have the rest.",
                "超出的在成为条目之前就被丢弃；其余的地方归别人用。"
            )
        },
        refused,
    };
    Some(Ranked { rank: 4, remedy })
}

fn at_most(each: u64) -> Said {
    let each = words::count(each);
    said!("let one source hold {each} entries at most", "让一个来源最多占 {each} 个条目")
}

fn by_nft(each: u64, v6: bool) -> Vec<Said> {
    // `limit` is a word of the language, so the chain has another name.
    let (set, kind, word) =
        if v6 { ("per_source6", "ipv6_addr", "ip6") } else { ("per_source", "ipv4_addr", "ip") };
    alloc::vec![
        Said::name("nft add table inet plimsoll"),
        Said::name(format!(
            "nft 'add set inet plimsoll {set} {{ type {kind}; size 65535; flags dynamic; }}'"
        )),
        Said::name(
            "nft 'add chain inet plimsoll crowd { type filter hook prerouting priority mangle; }'"
        ),
        Said::name(format!(
            "nft 'add rule inet plimsoll crowd ct state new add @{set} {{ {word} saddr ct \
             count over {each} }} counter drop'"
        )),
    ]
}

fn by_connlimit(each: u64, v6: bool) -> Said {
    let (tool, mask) = if v6 { ("ip6tables", 128) } else { ("iptables", 32) };
    Said::name(format!(
        "{tool} -t mangle -I PREROUTING -m conntrack --ctstate NEW -m connlimit --connlimit-above \
         {each} --connlimit-mask {mask} -j DROP"
    ))
}

/// Whether a rule sends what asks for a port elsewhere.
fn sent_on(s: &Space<'_>, service: Service) -> bool {
    let Some(program) = s.now.ways.program.value() else { return false };
    let mut traffic = Traffic::new(service.protocol.number(), service.port, Role::Server);
    if let Some(own) = s.now.ways.own.value() {
        traffic = traffic.on(own);
    }
    judge(program, [&traffic]).sent_on().is_some()
}

/// The namespace that it is for.
pub(super) fn place<'a, 'c>(case: &'a Case<'c>, findings: &Findings<'_>) -> Option<&'a Space<'c>> {
    findings.space(case, &["CT011"])
}

/// Why a limit for each source would change nothing: a network may hold all of the table by many addresses, each of
/// which stays below it.
fn none_is_over(s: &Space<'_>, each: u64) -> Option<Said> {
    let (census, scale) = s.census()?;
    let (prefix, tally) = census.sources.rows.first()?;
    let most = scale.up(tally.total().saturating_add(census.sources.error));
    (most <= each).then(|| {
        said!(
            "no source holds more than {} entries (the most: {}, by {}), so none would be limited",
            "没有哪个来源超过 {} 个条目（最多的 {2} 有 {1} 个），所以谁也不会受限",
            words::count(each),
            words::count(most),
            prefix_label(*prefix)
        )
    })
}
