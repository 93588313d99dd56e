//! Untrack a hot port: its packets then need no entry.

use alloc::format;
use alloc::string::ToString;

use plimsoll_ct::Protocol;

use super::ours::fix;
use super::untrack::{Role, untrack};
use super::{Findings, Ranked, needs_tracking, same_elsewhere};
use crate::case::{Case, Space};
use crate::commands;
use crate::facts::Service;
use crate::findings::{ONE_WAY, flood_of};
use crate::groups::{ratio, service_label};
use crate::words;
use crate::{Remedy, RemedyId};

/// What it answers.
const ANSWERS: &[&str] = &["CT001", "CT003", "CT004", "CT005", "CT010", "CT012", "CT013"];
/// A service that holds at least so much of the table is worth an exception.
const HOT: f64 = 0.5;

/// The service that fills the table, with its share.
fn hot(s: &Space<'_>) -> Option<(Service, f64)> {
    let (census, _) = s.census()?;
    if let Some(flood) = flood_of(s)
        && let Some(service) = flood.service
    {
        return Some((service, flood.share));
    }
    let (service, tally) = census.services.rows.first()?;
    let share = ratio(tally.total(), census.total.total());
    (share >= HOT).then_some((*service, share))
}

/// The remedy.
pub(super) fn remedy(case: &Case<'_>, findings: &Findings<'_>) -> Option<Ranked> {
    let answers = findings.among(ANSWERS);
    let s = findings.space(case, ANSWERS)?;
    let (service, share) = hot(s)?;
    if service.port == 0 {
        return None;
    }
    let protocol = match service.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Icmp
        | Protocol::Dccp
        | Protocol::Gre
        | Protocol::Icmpv6
        | Protocol::Sctp
        | Protocol::UdpLite
        | Protocol::Other(_) => return None,
    };
    let one_way = protocol == "udp" && ONE_WAY.iter().any(|(port, _)| *port == service.port);
    let role = if one_way { Role::OneWay } else { Role::Any };
    let mut commands = commands::run_inside(s, untrack(case, s, protocol, service.port, role));
    let alike = |other: &Space<'_>| hot(other).is_some_and(|(there, _)| there == service);
    commands.extend(same_elsewhere(case, findings, s, ANSWERS, alike));
    let rank = if one_way { 2 } else { 25 };
    let mut remedy = Remedy {
        id: RemedyId::Bypass,
        title: format!("do not track {}", service_label(service)),
        findings: answers,
        fix: fix(&format!("bypass {protocol}/{} --confirm 60s", service.port), s).into_iter().collect(),
        commands,
        memory: None,
        risk: "Rules by state, NAT, helpers and marks no longer apply to these packets; the ICMP \
               errors about them (path MTU) must be accepted too. The accepting rules name no address: \
               add those that the rules had before."
            .to_string(),
        effect: format!(
            "{} of the table goes away as those entries expire, and this port needs no entry any more.",
            words::share(share)
        ),
        refused: needs_tracking(case, s),
    };
    if s.now.rules.value().is_none() {
        remedy.risk.push_str(" The rules of this host could not be read: look for NAT first.");
    }
    if one_way {
        remedy.effect = format!("{} Nothing is lost by it: the service is one-way.", remedy.effect);
    }
    Some(Ranked { rank, remedy })
}
