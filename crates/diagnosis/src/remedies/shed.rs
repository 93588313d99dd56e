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
use crate::case::Case;
use crate::commands;
use crate::findings::{flood_of, pile};
use crate::groups::prefix_label;
use crate::{Remedy, RemedyId};

/// The remedy.
pub(super) fn remedy(case: &Case<'_>, findings: &Findings<'_>) -> Option<Ranked> {
    let mut commands: Vec<String> = Vec::new();
    let mut ours: Vec<String> = Vec::new();
    let mut answers = Vec::new();
    let mut what = Vec::new();
    let mut risk = String::new();
    let mut refused = Vec::new();
    let s = findings.space(case, &["CT010", "CT013", "CT011", "CT012"])?;
    if findings.has("CT010") {
        let flood = flood_of(s)?;
        answers.push("CT010");
        what.push("the unanswered entries".to_string());
        let port = flood
            .service
            .filter(|svc| svc.port != 0)
            .map_or(String::new(), |svc| format!(" --orig-port-dst {}", svc.port));
        let source = flood.source.map_or(String::new(), |p| format!(" -s {}", prefix_label(p)));
        let protocol = match flood.protocol {
            Protocol::Other(number) => number.to_string(),
            known => known.to_string(),
        };
        let mut words = format!("shed --unreplied --protocol {protocol}");
        if let Some(service) = flood.service.filter(|svc| svc.port != 0) {
            words.push_str(&format!(" --port {}", service.port));
        }
        if let Some(prefix) = flood.source {
            words.push_str(&format!(" --source {}", prefix_label(prefix)));
        }
        ours.push(words);
        match flood.protocol {
            Protocol::Tcp => {
                commands.push(format!("conntrack -D -p tcp --state SYN_SENT{source}{port}"));
            }
            Protocol::Icmp => commands.push(format!("conntrack -D -p icmp{source}")),
            Protocol::Icmpv6 => commands.push(format!("conntrack -D -f ipv6 -p icmpv6{source}")),
            Protocol::Udp => {
                commands.push(format!("conntrack -D -p udp{source}{port}"));
                commands.push(
                    "# conntrack can't tell answered UDP entries from unanswered ones when it deletes: those \
                     go as well, and come back with their next packet"
                        .to_string(),
                );
            }
            Protocol::Dccp
            | Protocol::Gre
            | Protocol::Sctp
            | Protocol::UdpLite
            | Protocol::Other(_) => {
                let number = flood.protocol.number();
                commands.push(format!("conntrack -D -p {number}{source}"));
            }
        }
    }
    if findings.has("CT013") {
        answers.push("CT013");
        let state = pile(s)?;
        what.push(format!("the connections in {state}"));
        ours.push(format!("shed --state {state}"));
        commands.push(format!("conntrack -D -p tcp --state {state}"));
    }
    if findings.has("CT012") && findings.has("CT001") {
        answers.push("CT012");
        what.push("connections that have been idle for over an hour".to_string());
        let port = s
            .now
            .census
            .value()
            .and_then(|c| c.idle_services.rows.first())
            .filter(|(svc, _)| svc.port != 0)
            .map(|(svc, _)| svc.port)?;
        commands.push(format!("conntrack -D -p tcp --state ESTABLISHED --orig-port-dst {port}"));
        ours.push(format!("shed --protocol tcp --port {port} --idle 1h"));
        commands.push(
            "# conntrack knows no idle time: connections in use go with the idle ones".to_string(),
        );
        risk.push_str(
            "A connection that still lives is picked up again by its next packet only while \
             nf_conntrack_tcp_loose is 1 and no rule drops what is new without SYN. ",
        );
        refused = needs_tracking(case, s);
    }
    if commands.is_empty() {
        return None;
    }
    let same = same_elsewhere(case, findings, s, &answers, |_| true);
    if findings.has("CT001") {
        answers.insert(0, "CT001");
    }
    if case.profile.enterprise == Some(5) {
        commands.insert(
            0,
            "# needs conntrack-tools, which CentOS 5 does not bring (EPEL does)".to_string(),
        );
    }
    risk.push_str("Entries with NAT lose their mapping.");
    let mut commands = commands::run_inside(s, commands);
    let mut fix: Vec<String> = ours.iter().filter_map(|words| fix(words, s)).collect();
    fix.extend(same.clone().filter(|_| !fix.is_empty()));
    commands.extend(same);
    let remedy = Remedy {
        id: RemedyId::Shed,
        title: format!("delete {}", what.join(" and ")),
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
