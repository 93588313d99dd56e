//! Delete what may go, now.
//!
//! conntrack(8) walks the table once for each command, so only filters that one command can express are
//! used here. Its `--status` cannot ask for the absence of a reply: `UNREPLIED` and `UNSET` match answered
//! entries too (seen with 1.4.7), so they are never used.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::Protocol;

use super::ours::fix;
use super::{Findings, Ranked, needs_tracking, same_elsewhere};
use crate::Said;
use crate::case::{Case, Space};
use crate::commands;
use crate::findings::{flood_of, pile};
use crate::groups::prefix_label;
use crate::{Remedy, RemedyId};

/// What may go for one cause.
struct Part {
    answers: &'static str,
    what: Said,
    /// Words of `plimsoll fix`.
    ours: String,
    commands: Vec<Said>,
}

/// The remedy.
pub(super) fn remedy(case: &Case<'_>, findings: &Findings<'_>) -> Option<Ranked> {
    let s = findings.space(case, &["CT010", "CT013", "CT011", "CT012"])?;
    let mut parts = Vec::new();
    if findings.has("CT010") {
        parts.push(unanswered(s)?);
    }
    if findings.has("CT013") {
        parts.push(piled_up(s)?);
    }
    let (mut risk, mut refused) = (Said::default(), Vec::new());
    if findings.has("CT012") && findings.has("CT001") {
        parts.push(idle(s)?);
        risk.push(&said!("A connection that still lives is picked up again by its next packet only while \
             nf_conntrack_tcp_loose is 1 and no rule drops what is new without SYN. ", "只有 nf_conntrack_tcp_loose 为 1，并且没有规则丢弃不带 SYN 的新包，仍然活着的连接才会被它的下一个包重新接上。"),
        );
        refused = needs_tracking(case, s);
    }
    if parts.is_empty() {
        return None;
    }
    risk.push(&said!("Entries with NAT lose their mapping.", "带 NAT 的条目会失去映射。"));
    let mut answers: Vec<&'static str> = parts.iter().map(|part| part.answers).collect();
    let same = same_elsewhere(case, findings, s, &answers, |_| true);
    if findings.has("CT001") {
        answers.insert(0, "CT001");
    }
    let title = said!(
        "delete {}",
        "删除{:#}",
        Said::join(parts.iter().map(|part| &part.what), &Said::of(" and ", "，以及"))
    );
    let mut fix: Vec<Said> = parts.iter().filter_map(|part| fix(&part.ours, s)).collect();
    fix.extend(same.clone().filter(|_| !fix.is_empty()));
    let mut plain: Vec<Said> = Vec::new();
    if case.profile.enterprise == Some(5) {
        plain.push(said!(
            "# needs conntrack-tools, which CentOS 5 does not bring (EPEL does)",
            "# 需要 conntrack-tools，CentOS 5 不自带（EPEL 有）"
        ));
    }
    plain.extend(parts.into_iter().flat_map(|part| part.commands));
    let mut commands = commands::run_inside(s, plain);
    commands.extend(same);
    let remedy = Remedy {
        id: RemedyId::Shed,
        title,
        findings: answers,
        fix,
        commands,
        memory: None,
        risk,
        effect: said!(
            "Room at once; it fills again as long as the cause is there.",
            "马上腾出地方；只要原因还在，又会填满。"
        ),
        refused,
    };
    Some(Ranked { rank: if findings.has("CT001") { 8 } else { 45 }, remedy })
}

/// A flood that nobody answers.
fn unanswered(s: &Space<'_>) -> Option<Part> {
    let flood = flood_of(s)?;
    let port = flood.service.filter(|service| service.port != 0).map(|service| service.port);
    let source = flood.source.map(prefix_label);
    let protocol = match flood.protocol {
        Protocol::Other(number) => number.to_string(),
        known => known.to_string(),
    };
    let with = |option: &str, value: Option<String>| {
        value.map_or_else(String::new, |value| format!(" {option} {value}"))
    };
    let which = match flood.half_open {
        true => "--state SYN_RECV".to_string(),
        false => format!("--unreplied --protocol {protocol}"),
    };
    let ours = format!(
        "shed {which}{}{}",
        with("--port", port.map(|port| port.to_string())),
        with("--source", source.clone())
    );
    let port = with("--orig-port-dst", port.map(|port| port.to_string()));
    let source = with("-s", source);
    let state = if flood.half_open { "SYN_RECV" } else { "SYN_SENT" };
    let mut commands = Vec::from([match flood.protocol {
        Protocol::Tcp => Said::name(format!("conntrack -D -p tcp --state {state}{source}{port}")),
        Protocol::Icmp => Said::name(format!("conntrack -D -p icmp{source}")),
        Protocol::Icmpv6 => Said::name(format!("conntrack -D -f ipv6 -p icmpv6{source}")),
        Protocol::Udp => Said::name(format!("conntrack -D -p udp{source}{port}")),
        Protocol::Dccp
        | Protocol::Gre
        | Protocol::Sctp
        | Protocol::UdpLite
        | Protocol::Other(_) => {
            Said::name(format!("conntrack -D -p {}{source}", flood.protocol.number()))
        }
    }]);
    if flood.protocol == Protocol::Udp {
        commands.push(
            said!("# conntrack can't tell answered UDP entries from unanswered ones when it deletes: those \
             go as well, and come back with their next packet", "# conntrack 删除时分不清有应答和没有应答的 UDP 条目：有应答的也会一起删掉，下一个包到来时再建"),
        );
    }
    Some(Part {
        answers: "CT010",
        what: match flood.half_open {
            true => said!("the half-open handshakes", "半开的握手"),
            false => said!("the unanswered entries", "没有应答的条目"),
        },
        ours,
        commands,
    })
}

/// Connections in one state that pile up.
fn piled_up(s: &Space<'_>) -> Option<Part> {
    let state = pile(s)?;
    Some(Part {
        answers: "CT013",
        what: said!("the connections in {state}", "处于 {state} 的连接"),
        ours: format!("shed --state {state}"),
        commands: Vec::from([Said::name(format!("conntrack -D -p tcp --state {state}"))]),
    })
}

/// Connections that nobody uses.
fn idle(s: &Space<'_>) -> Option<Part> {
    let (service, _) = s.now.census.value()?.idle_services.rows.first()?;
    let port = Some(service.port).filter(|port| *port != 0)?;
    Some(Part {
        answers: "CT012",
        what: said!("connections that have been idle for over an hour", "空闲超过一小时的连接"),
        ours: format!("shed --protocol tcp --port {port} --idle 1h"),
        commands: Vec::from([
            Said::name(format!("conntrack -D -p tcp --state ESTABLISHED --orig-port-dst {port}")),
            said!(
                "# conntrack knows no idle time: connections in use go with the idle ones",
                "# conntrack 不知道空闲时间：正在使用的连接会和空闲的一起删掉"
            ),
        ]),
    })
}
