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
use crate::case::{Case, Space};
use crate::commands;
use crate::findings::{flood_of, pile};
use crate::groups::prefix_label;
use crate::{Remedy, RemedyId};

/// What may go for one cause.
struct Part {
    answers: &'static str,
    what: String,
    /// Words of `plimsoll fix`.
    ours: String,
    commands: Vec<String>,
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
    let (mut risk, mut refused) = (String::new(), Vec::new());
    if findings.has("CT012") && findings.has("CT001") {
        parts.push(idle(s)?);
        risk.push_str(
            "A connection that still lives is picked up again by its next packet only while \
             nf_conntrack_tcp_loose is 1 and no rule drops what is new without SYN. ",
        );
        refused = needs_tracking(case, s);
    }
    if parts.is_empty() {
        return None;
    }
    risk.push_str("Entries with NAT lose their mapping.");
    let mut answers: Vec<&'static str> = parts.iter().map(|part| part.answers).collect();
    let same = same_elsewhere(case, findings, s, &answers, |_| true);
    if findings.has("CT001") {
        answers.insert(0, "CT001");
    }
    let what: Vec<&str> = parts.iter().map(|part| part.what.as_str()).collect();
    let title = format!("delete {}", what.join(" and "));
    let mut fix: Vec<String> = parts.iter().filter_map(|part| fix(&part.ours, s)).collect();
    fix.extend(same.clone().filter(|_| !fix.is_empty()));
    let mut plain: Vec<String> = Vec::new();
    if case.profile.enterprise == Some(5) {
        plain
            .push("# needs conntrack-tools, which CentOS 5 does not bring (EPEL does)".to_string());
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
        effect: "Room at once; it fills again as long as the cause is there.".to_string(),
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
    let ours = format!(
        "shed --unreplied --protocol {protocol}{}{}",
        with("--port", port.map(|port| port.to_string())),
        with("--source", source.clone())
    );
    let port = with("--orig-port-dst", port.map(|port| port.to_string()));
    let source = with("-s", source);
    let mut commands = Vec::from([match flood.protocol {
        Protocol::Tcp => format!("conntrack -D -p tcp --state SYN_SENT{source}{port}"),
        Protocol::Icmp => format!("conntrack -D -p icmp{source}"),
        Protocol::Icmpv6 => format!("conntrack -D -f ipv6 -p icmpv6{source}"),
        Protocol::Udp => format!("conntrack -D -p udp{source}{port}"),
        Protocol::Dccp
        | Protocol::Gre
        | Protocol::Sctp
        | Protocol::UdpLite
        | Protocol::Other(_) => format!("conntrack -D -p {}{source}", flood.protocol.number()),
    }]);
    if flood.protocol == Protocol::Udp {
        commands.push(
            "# conntrack can't tell answered UDP entries from unanswered ones when it deletes: those \
             go as well, and come back with their next packet"
                .to_string(),
        );
    }
    Some(Part { answers: "CT010", what: "the unanswered entries".to_string(), ours, commands })
}

/// Connections in one state that pile up.
fn piled_up(s: &Space<'_>) -> Option<Part> {
    let state = pile(s)?;
    Some(Part {
        answers: "CT013",
        what: format!("the connections in {state}"),
        ours: format!("shed --state {state}"),
        commands: Vec::from([format!("conntrack -D -p tcp --state {state}")]),
    })
}

/// Connections that nobody uses.
fn idle(s: &Space<'_>) -> Option<Part> {
    let (service, _) = s.now.census.value()?.idle_services.rows.first()?;
    let port = Some(service.port).filter(|port| *port != 0)?;
    Some(Part {
        answers: "CT012",
        what: "connections that have been idle for over an hour".to_string(),
        ours: format!("shed --protocol tcp --port {port} --idle 1h"),
        commands: Vec::from([
            format!("conntrack -D -p tcp --state ESTABLISHED --orig-port-dst {port}"),
            "# conntrack knows no idle time: connections in use go with the idle ones".to_string(),
        ]),
    })
}
