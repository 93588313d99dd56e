//! The remedies that write rules: what they are planned on.

use std::collections::BTreeMap;

use plimsoll_ct::Protocol;
use plimsoll_diagnosis::facts::Ways;
use plimsoll_diagnosis::plan::{
    self, BypassRequest, Filter, Ground, LimitRequest, Plan, SynProxyRequest, lifeline_request,
};
use plimsoll_diagnosis::{Said, rules, said};
use plimsoll_probe::{live, ways};

use super::arguments::{Bypass, How, Lifeline, Limit, Role};
use super::cut;
use super::plans::{GONE, target, with_rules};

/// `bypass`.
pub fn bypass(arguments: &Bypass) -> Result<Plan, Said> {
    let request = BypassRequest {
        services: arguments.services.clone(),
        roles: arguments.roles.iter().copied().map(role).collect(),
        peers: Vec::new(),
        unsure: arguments.unsure,
    };
    planned(&arguments.how, false, |_| Ok(request))
}

/// `lifeline`: without words it is for whoever asks for it.
pub fn lifeline(arguments: &Lifeline) -> Result<Plan, Said> {
    planned(&arguments.how, arguments.ports.is_empty(), |ways| {
        let (peers, ports) = (arguments.peers.clone(), arguments.ports.clone());
        lifeline_request(peers, ports, arguments.unsure, ways)
    })
}

/// `limit`: so many of one source, or a SYN proxy.
pub fn limit(arguments: &Limit) -> Result<Plan, Said> {
    let (protocol, port) = arguments.service;
    if arguments.synproxy && protocol != Protocol::Tcp {
        return Err(said!(
            "a SYN proxy is for tcp, not for {}",
            "SYN 代理只用于 tcp，不用于 {}",
            protocol.name()
        ));
    }
    let observation = live::observe(&with_rules(&arguments.how));
    let target = target(&observation, &arguments.how)?;
    let namespace = observation.after.namespaces.get(target).ok_or(GONE)?;
    let ways = ways(namespace.inode, false);
    let files = BTreeMap::new();
    let ground = Ground { before: None, now: &observation.after, target, files: &files };
    let Some(per_source) = arguments.per_source else {
        let wscale = arguments.timestamps.then_some(arguments.wscale);
        return Ok(plan::synproxy(SynProxyRequest { port, wscale }, &ways, &ground));
    };
    let request = LimitRequest {
        service: arguments.service,
        per_source,
        forwarded: arguments.forwarded,
        except: arguments.except.clone(),
    };
    let filter = Filter {
        protocol: Some(protocol.number()),
        port: Some(port),
        with_nat: true,
        ..Filter::default()
    };
    let sources = cut::by_source(namespace.inode, &filter);
    Ok(plan::limit(&request, &sources, &ways, &ground))
}

fn role(role: Role) -> rules::Role {
    match role {
        Role::Server => rules::Role::Server,
        Role::Client => rules::Role::Client,
        Role::Forward => rules::Role::Forward,
    }
}

fn planned(
    how: &How,
    doors: bool,
    request: impl FnOnce(&Ways) -> Result<BypassRequest, Said>,
) -> Result<Plan, Said> {
    let observation = live::observe(&with_rules(how));
    let target = target(&observation, how)?;
    let namespace = observation.after.namespaces.get(target).ok_or(GONE)?;
    let ways = ways(namespace.inode, doors);
    let request = request(&ways)?;
    let files = BTreeMap::new();
    let ground = Ground { before: None, now: &observation.after, target, files: &files };
    Ok(plan::bypass(&request, &ways, &ground))
}
