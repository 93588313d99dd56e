//! Untrack a hot port: its packets then need no entry.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_ct::Protocol;

use super::ours::fix;
use super::told::{joined, told};
use super::{Findings, Ranked, same_elsewhere};
use crate::Said;
use crate::case::{Case, Space};
use crate::facts::{Prefix, Service, Top};
use crate::findings::{ONE_WAY, flood_of};
use crate::groups::{ratio, service_label};
use crate::plan::{BypassRequest, serves};
use crate::rules::Role;
use crate::words;
use crate::{Remedy, RemedyId};

/// What it answers.
const ANSWERS: &[&str] = &["CT001", "CT003", "CT004", "CT005", "CT010", "CT012", "CT013"];
/// A service that holds at least so much of the table is worth an exception.
const HOT: f64 = 0.5;
/// Why a program that this host's own programs ask stays tracked.
const LOOPBACK: Said = Said::of(
    "its connections are this host's own, over loopback, which stays tracked: a packet passes both hooks there",
    "这些连接是本机自己经回环的，回环保持跟踪：那里的包要经过两个钩子",
);

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

/// The namespace that it is for.
pub(super) fn place<'a, 'c>(case: &'a Case<'c>, findings: &Findings<'_>) -> Option<&'a Space<'c>> {
    findings.space(case, &findings.among(ANSWERS)).filter(|s| hot(s).is_some())
}

/// Whose the port is: as the sockets say, else as the ends of its entries do. Empty: as the sockets say; `None`: it is
/// not known.
pub(super) fn roles(s: &Space<'_>, service: Service, one_way: bool) -> Option<Vec<Role>> {
    let ways = &s.now.ways;
    if one_way {
        return Some(alloc::vec![Role::Server, Role::Client]);
    }
    if serves(service.protocol, service.port, ways.listening.value()?) {
        return Some(Vec::new());
    }
    let (own, (census, _)) = (ways.own.value()?, s.census()?);
    let ours = |top| most(s, top, |address| own.contains(address));
    Some(alloc::vec![match () {
        () if ours(&census.destinations) => Role::Server,
        () if ours(&census.sources) => Role::Client,
        () => Role::Forward,
    }])
}

/// Whether most of the table's entries have such an address at one end.
fn most(s: &Space<'_>, end: &Top<Prefix>, is: impl Fn(&IpAddr) -> bool) -> bool {
    let Some((census, _)) = s.census() else { return false };
    let rows = end.rows.iter().filter(|(prefix, _)| is(&prefix.address));
    let all = rows.fold(0u64, |sum, (_, tally)| sum.saturating_add(tally.total()));
    ratio(all, census.total.total()) > HOT
}

/// `--role client`
fn role_words(roles: &[Role]) -> String {
    let word = |role: &Role| match role {
        Role::Server => " --role server",
        Role::Client => " --role client",
        Role::Forward => " --role forward",
    };
    roles.iter().map(word).collect()
}

/// The remedy.
pub(super) fn remedy(case: &Case<'_>, findings: &Findings<'_>) -> Option<Ranked> {
    let answers = findings.among(ANSWERS);
    let s = place(case, findings)?;
    let (service, share) = hot(s)?;
    if service.port == 0 || !matches!(service.protocol, Protocol::Tcp | Protocol::Udp) {
        return None;
    }
    let protocol = service.protocol.name();
    let one_way =
        service.protocol == Protocol::Udp && ONE_WAY.iter().any(|(port, _)| *port == service.port);
    let roles = roles(s, service, one_way);
    let words = role_words(roles.as_deref().unwrap_or_default());
    let mut commands = Vec::new();
    if roles.is_none() {
        commands.push(said!(
            "# for the host that serves {protocol}/{}; one that asks others for it, or passes it on: plimsoll fix \
             bypass {protocol}/{} --role client, or forward", "# 适用于提供 {protocol}/{} 的主机；向别人请求它的，或者转发它的：plimsoll fix bypass {protocol}/{} --role client，或 forward",
            service.port, service.port
        ));
    }
    let request = BypassRequest {
        services: alloc::vec![(service.protocol, service.port)],
        roles: roles.unwrap_or_else(|| alloc::vec![Role::Server]),
        peers: Vec::new(),
        unsure: false,
    };
    let mut told = told(&request, case, s);
    let (census, _) = s.census()?;
    if most(s, &census.destinations, IpAddr::is_loopback) {
        commands.clear();
        told.commands.clear();
        told.refused = alloc::vec![LOOPBACK];
    }
    commands.extend(told.commands);
    let alike = |other: &Space<'_>| hot(other).is_some_and(|(there, _)| there == service);
    commands.extend(same_elsewhere(case, findings, s, ANSWERS, alike));
    let rank = if one_way { 2 } else { 25 };
    let ours = format!("bypass {protocol}/{}{words} --confirm 60s", service.port);
    let mut remedy = Remedy {
        id: RemedyId::Bypass,
        title: said!("do not track {}", "不跟踪 {}", service_label(service)),
        findings: answers,
        fix: fix(&ours, s).into_iter().collect(),
        commands,
        memory: None,
        risk: joined(
            said!(
                "Rules by state, NAT, helpers and marks no longer apply to these packets.",
                "按状态匹配的规则、NAT、helper 和标记对这些包不再起作用。"
            ),
            &told.risks,
        ),
        effect: if told.deletes {
            said!(
                "{} of the table goes away at once: those entries are deleted, and this port needs none any more.",
                "表马上空出 {:#}：这些条目会被删除，这个端口从此不再需要条目。",
                words::share(share)
            )
        } else {
            said!(
                "{} of the table goes away as those entries expire, and this port needs no entry any more.",
                "这些条目过期后，表会空出 {:#}，这个端口从此不再需要条目。",
                words::share(share)
            )
        },
        refused: told.refused,
    };
    if one_way {
        remedy.effect = said!(
            "{} Nothing is lost by it: the service is one-way.",
            "{:#}不会因此丢失什么：这个服务是单向的。",
            remedy.effect
        );
    }
    Some(Ranked { rank, remedy })
}
