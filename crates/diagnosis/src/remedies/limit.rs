//! Limit one source, or a namespace that takes too much.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Findings, Ranked, same_elsewhere, speaks_nft};
use crate::case::Case;
use crate::commands;
use crate::findings::flood_of;
use crate::groups::{prefix_label, ratio};
use crate::words;
use crate::{Remedy, RemedyId};

/// What one source may hold of the limit: a twentieth.
const SHARE: u64 = 20;
/// … but never less than a busy client needs.
const LEAST: u64 = 200;

/// The remedy.
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
    let each = (max / SHARE).max(LEAST);
    let census = s.now.census.value();
    let top = census.and_then(|c| {
        let (prefix, tally) = c.sources.rows.first()?;
        (ratio(tally.total(), c.total.total()) > 0.5).then_some(*prefix)
    });
    let source = flood_source.or(top);
    let v6 = source.is_some_and(|p| p.address.is_ipv6());
    let old = case.after.host.kernel.value().is_some_and(|k| k.rank() < (2, 23));
    let (title, commands): (String, Vec<String>) = if speaks_nft(case, s) {
        // `limit` is a word of the language, so the chain has another name.
        let (set, kind, word) = if v6 {
            ("per_source6", "ipv6_addr", "ip6")
        } else {
            ("per_source", "ipv4_addr", "ip")
        };
        let commands = alloc::vec![
            "nft add table inet plimsoll".to_string(),
            format!(
                "nft 'add set inet plimsoll {set} {{ type {kind}; size 65535; flags dynamic; }}'"
            ),
            "nft 'add chain inet plimsoll crowd { type filter hook prerouting priority mangle; }'"
                .to_string(),
            format!(
                "nft 'add rule inet plimsoll crowd ct state new add @{set} {{ {word} saddr ct \
                 count over {each} }} counter drop'"
            ),
        ];
        (format!("let one source hold {} entries at most", words::count(each)), commands)
    } else if old {
        // connlimit came with 2.6.23.
        let source = source.filter(|_| !v6)?;
        let address = prefix_label(source);
        (
            format!("drop the packets of {address} before they are tracked"),
            alloc::vec![format!("iptables -t raw -I PREROUTING -s {address} -j DROP")],
        )
    } else {
        let (tool, mask) = if v6 { ("ip6tables", 128) } else { ("iptables", 32) };
        let command = format!(
            "{tool} -t mangle -I PREROUTING -m conntrack --ctstate NEW -m connlimit --connlimit-above \
             {each} --connlimit-mask {mask} -j DROP"
        );
        (
            format!("let one source hold {} entries at most", words::count(each)),
            alloc::vec![command],
        )
    };
    let mut commands = commands::run_inside(s, commands);
    commands.extend(same_elsewhere(case, findings, s, &answers, |_| true));
    let remedy = Remedy {
        id: RemedyId::Limit,
        title,
        findings: answers,
        commands,
        memory: None,
        risk: "A proxy, a NAT gateway or this host itself may rightly be the one source: look who it is \
               first. Counting needs 64 bytes for each connection."
            .to_string(),
        effect: "What is over the number is dropped before it becomes an entry; the others have the rest."
            .to_string(),
        refused: Vec::new(),
    };
    Some(Ranked { rank: 4, remedy })
}
