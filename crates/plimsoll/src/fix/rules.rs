//! The remedies that write rules: what they are planned on.

use std::collections::BTreeMap;

use plimsoll_ct::Protocol;
use plimsoll_diagnosis::plan::{
    self, BypassRequest, Filter, Ground, LimitRequest, Plan, RulesGround, SynProxyRequest,
};
use plimsoll_diagnosis::rules;
use plimsoll_probe::Ends;
use plimsoll_probe::live;

use super::cut;
use super::plans::{quick, target};
use crate::arguments::{Bypass, How, Lifeline, Limit, Role};

/// `bypass`.
pub fn bypass(arguments: &Bypass) -> Result<Plan, String> {
    let request = BypassRequest {
        services: arguments.services.clone(),
        role: arguments.role.map(role),
        peers: Vec::new(),
        unsure: arguments.unsure,
    };
    planned(&arguments.how, |_| Ok(request))
}

/// `lifeline`: without words it is for whoever asks for it.
pub fn lifeline(arguments: &Lifeline) -> Result<Plan, String> {
    planned(&arguments.how, |ends| {
        let session = ends.session();
        let mut peers = arguments.peers.clone();
        if peers.is_empty() {
            let (peer, _) = session.ok_or(
                "this session does not come from elsewhere; say from where you will come: --peer 192.0.2.7",
            )?;
            peers.push((peer, if peer.is_ipv4() { 32 } else { 128 }));
        }
        let mut ports = arguments.ports.clone();
        if ports.is_empty() {
            ports = ends.ssh_ports();
        }
        if ports.is_empty() {
            ports.extend(session.map(|(_, port)| port));
        }
        if ports.is_empty() {
            return Err("no SSH server listens here; say which port: --port 22".to_owned());
        }
        Ok(BypassRequest {
            services: ports.into_iter().map(|port| (Protocol::Tcp, port)).collect(),
            role: Some(rules::Role::Server),
            peers,
            unsure: arguments.unsure,
        })
    })
}

/// `limit`: so many of one source, or a SYN proxy.
pub fn limit(arguments: &Limit) -> Result<Plan, String> {
    let (protocol, port) = arguments.service;
    if arguments.synproxy && protocol != Protocol::Tcp {
        return Err(format!("a SYN proxy is for tcp, not for {}", protocol.name()));
    }
    let observation = live::observe(&live::Options { rules: true, ..quick() });
    let target = target(&observation, &arguments.how)?;
    let namespace = observation.after.namespaces.get(target).ok_or("the namespace is gone")?;
    let ends = Ends::read(namespace.inode);
    let listening = ends.listening();
    let files = BTreeMap::new();
    let ground = Ground { before: None, now: &observation.after, target, files: &files };
    let rules = RulesGround { program: &ends.program, own: &ends.own, listening: &listening };
    let Some(per_source) = arguments.per_source else {
        let wscale = arguments.timestamps.then_some(arguments.wscale);
        let request = SynProxyRequest { port, wscale };
        return Ok(plan::synproxy(request, &ends.mtu, rules, &ground));
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
    Ok(plan::limit(&request, &sources, rules, &ground))
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
    request: impl FnOnce(&Ends) -> Result<BypassRequest, String>,
) -> Result<Plan, String> {
    let observation = live::observe(&live::Options { rules: true, ..quick() });
    let target = target(&observation, how)?;
    let namespace = observation.after.namespaces.get(target).ok_or("the namespace is gone")?;
    let ends = Ends::read(namespace.inode);
    let request = request(&ends)?;
    let listening = ends.listening();
    let files = BTreeMap::new();
    let ground = Ground { before: None, now: &observation.after, target, files: &files };
    let rules = RulesGround { program: &ends.program, own: &ends.own, listening: &listening };
    Ok(plan::bypass(&request, rules, &ground))
}
