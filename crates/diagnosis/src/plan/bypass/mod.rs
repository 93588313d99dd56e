//! A port exempted from tracking, in both directions: for everybody (`bypass`), or for those who come to mend the host
//! (`lifeline`).
//!
//! Kernel: `nf_conntrack_in()` passes over what carries the UNTRACKED mark; NOTRACK must come before priority -200,
//! in prerouting for what comes in and in output for what this host sends. What the rules then lack is
//! found by walking them ([`crate::rules`]). Loopback is left tracked: there a packet passes both hooks.

pub(super) mod foreign;
mod heard;
mod helper;
mod nft;
mod xtables;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_ct::Protocol;
use plimsoll_wire::filter::Backend;

use super::shed::BATCH;
use super::{
    Change, DeleteEntries, Filter, Ground, NO_NAMESPACE, Plan, Target, Verify, rules_read,
    tell_of_rules,
};
use crate::Said;
use crate::case::{Case, Space};
use crate::facts::{Fact, Ways};
use crate::remedies::speaks_nft;
use crate::rules::{Accept, Judgement, Role, Traffic, judge};
use crate::{RemedyId, words};
use nft::{nft, nft_rules};
use xtables::xtables;
pub(super) use xtables::{accepts_by_iptables, program_of};

/// Most services, and peers, of one plan: each has rules of its own.
const MOST: usize = 16;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BypassRequest {
    /// The services.
    pub services: Vec<(Protocol, u16)>,
    /// Whose they are, more than one if it is both; empty: as the listening sockets say.
    pub roles: Vec<Role>,
    /// Only with these; empty: with everybody. With peers it is a lifeline.
    pub peers: Vec<(IpAddr, u8)>,
    /// Also where it is not sure whether a rule needs the tracking.
    pub unsure: bool,
}

/// The request of a lifeline: without ports for those that SSH listens on, without peers for the far end of the session
/// that it is asked from. `Err`: what is not known, a sentence.
pub fn lifeline_request(
    mut peers: Vec<(IpAddr, u8)>,
    mut ports: Vec<u16>,
    unsure: bool,
    ways: &Ways,
) -> Result<BypassRequest, Said> {
    if peers.is_empty() {
        let Some((peer, _)) = ways.session else {
            return Err(said!(
                "this session does not come from elsewhere; say from where you will come: --peer 192.0.2.7",
                "这个会话不是从别处来的；请说明您会从哪里来：--peer 192.0.2.7"
            ));
        };
        peers.push((peer, if peer.is_ipv4() { 32 } else { 128 }));
    }
    if ports.is_empty() {
        ports.clone_from(&ways.doors);
    }
    if ports.is_empty() {
        ports.extend(ways.session.map(|(_, port)| port));
    }
    if ports.is_empty() {
        return Err(said!(
            "no SSH server listens here; say which port: --port 22",
            "这里没有 SSH 服务器在监听；请说明端口：--port 22"
        ));
    }
    Ok(BypassRequest {
        services: ports.into_iter().map(|port| (Protocol::Tcp, port)).collect(),
        roles: alloc::vec![Role::Server],
        peers,
        unsure,
    })
}

/// What our rules in chains of others are in for, if there are any.
fn loaded_anew(accepts: &[Accept]) -> Option<Said> {
    let all_for_errors = accepts.iter().all(|accept| accept.for_errors);
    let then = match all_for_errors {
        _ if accepts.is_empty() => return None,
        true => said!(
            "ICMP errors about the port, which path MTU discovery needs, may be dropped until `plimsoll undo`.",
            "那时关于这个端口的 ICMP 错误（路径 MTU 发现需要这些）可能被丢弃，直到 `plimsoll undo`。"
        ),
        false => said!(
            "the port, still untracked, may be dropped until `plimsoll undo`: so undo this before.",
            "而这个端口仍未跟踪，可能被丢弃，直到 `plimsoll undo`：所以在那之前先撤销。"
        ),
    };
    Some(said!(
        "Our rules in your chains are gone when those are loaded anew (a reload of firewalld or ufw, some changes of their \
         settings, a firewall script), and {then}",
        "我们放进您的链里的规则，在那些链重新加载时（重载 firewalld 或 ufw、改动它们的某些设置、运行防火墙脚本）就没有了，{then:#}"
    ))
}

/// The plan.
pub fn bypass(request: &BypassRequest, rules: &Ways, ground: &Ground<'_>) -> Plan {
    let case = Case::new(ground.before, ground.now);
    match ground.space(&case) {
        Some(space) => planned(request, rules, &case, space),
        None => {
            let mut plan = Plan::new(request.remedy(), title(request), Target::of(ground));
            plan.refused.push(NO_NAMESPACE);
            plan
        }
    }
}

/// The plan for a namespace of a case.
pub(crate) fn planned(
    request: &BypassRequest,
    rules: &Ways,
    case: &Case<'_>,
    space: &Space<'_>,
) -> Plan {
    let request = &request.once();
    let mut plan = Plan::new(request.remedy(), title(request), Target::in_namespace(space.now));
    let Some(program) = rules_read(rules, &mut plan) else { return plan };
    let traffic = traffic(request, rules, &mut plan);
    if !plan.refused.is_empty() {
        return plan;
    }
    let mut judgement = judge(program, &traffic);
    foreign::without_errors(&mut judgement.accepts, program, &mut plan);
    take(&judgement, request, &mut plan);
    heard::tell(&judgement.accepts, request, rules, &mut plan);
    foreign::refused(&judgement.accepts, program, &mut plan);
    plan.refused.extend(helper::reading_along(case, space, &request.services));
    if !plan.refused.is_empty() {
        return plan;
    }
    plan.effect = effect(request, &traffic);
    plan.risks.extend(loaded_anew(&judgement.accepts));
    accepts_by_iptables(&judgement.accepts, program, case, &mut plan);
    if speaks_nft(case, space) {
        plan.changes.push(nft(request, &traffic, program, &judgement.accepts));
    } else {
        xtables(&traffic, program, case, space, &mut plan);
        let by_nft = judgement.accepts.iter().any(|a| a.backend == Backend::Nft);
        if by_nft {
            plan.changes.push(Change::Nft(nft_rules(program, &judgement.accepts)));
        }
    }
    left_over(&traffic, rules, space, &mut plan);
    tell_of_rules(case, space, &mut plan);
    plan.verify.push(Verify::DropsEnd);
    for t in &traffic {
        let verify = Verify::NoNewEntries { protocol: t.protocol, port: t.port };
        if t.role == Role::Server && !plan.verify.contains(&verify) {
            plan.verify.push(verify);
        }
    }
    plan
}

impl BypassRequest {
    /// What is named twice is meant once.
    fn once(&self) -> Self {
        fn of<T: Clone + PartialEq>(all: &[T]) -> Vec<T> {
            let mut once = Vec::new();
            for one in all {
                if !once.contains(one) {
                    once.push(one.clone());
                }
            }
            once
        }
        Self {
            services: of(&self.services),
            roles: of(&self.roles),
            peers: of(&self.peers),
            unsure: self.unsure,
        }
    }

    fn remedy(&self) -> RemedyId {
        if self.peers.is_empty() { RemedyId::Bypass } else { RemedyId::Lifeline }
    }
}

fn title(request: &BypassRequest) -> Said {
    let services: Vec<String> =
        request.services.iter().map(|(p, port)| format!("{}/{port}", p.name())).collect();
    let peers: Vec<String> = request.peers.iter().map(|(ip, bits)| show(*ip, *bits)).collect();
    let with = if peers.is_empty() {
        Said::default()
    } else {
        said!(" with {}", "（与 {}）", peers.join(", "))
    };
    said!("stop tracking {}{with}", "停止跟踪 {}{with:#}", services.join(", "))
}

pub(super) fn show(ip: IpAddr, bits: u8) -> String {
    match (ip.is_ipv4(), bits) {
        (true, 32) | (false, 128) => ip.to_string(),
        _ => format!("{ip}/{bits}"),
    }
}

/// The traffic of each service and peer, or why it can't be told whose it is.
fn traffic(request: &BypassRequest, rules: &Ways, plan: &mut Plan) -> Vec<Traffic> {
    let mut all = Vec::new();
    if request.services.is_empty() || request.services.len().max(request.peers.len()) > MOST {
        plan.refused.push(said!(
            "expected between 1 and {MOST} services and peers",
            "服务和对端应为 1 到 {MOST} 个"
        ));
    }
    for &(protocol, port) in request.services.iter().take(MOST) {
        if !matches!(protocol, Protocol::Tcp | Protocol::Udp) {
            plan.refused.push(said!(
                "{} has no ports that rules name",
                "{} 没有规则能写的端口",
                protocol.name()
            ));
            continue;
        }
        let mut roles = request.roles.clone();
        if roles.is_empty() {
            roles.extend(listens(protocol, port, rules, plan));
        }
        for role in roles {
            let mut one = Traffic::new(protocol.number(), port, role);
            if let Some(own) = rules.own.value() {
                one = one.on(own);
            }
            if let Some(range) = rules.own_ports.value() {
                one = one.from_ports(*range);
            }
            if request.peers.is_empty() {
                all.push(one);
            } else {
                let peers = request.peers.iter().take(MOST);
                all.extend(peers.map(|peer| one.clone().with(*peer)));
            }
        }
    }
    all
}

/// The role of a port that somebody listens on.
fn listens(protocol: Protocol, port: u16, rules: &Ways, plan: &mut Plan) -> Option<Role> {
    let name = format!("{}/{port}", protocol.name());
    let sockets = match &rules.listening {
        Fact::Known { value, source: _ } => value,
        Fact::Missing(gap) => {
            plan.refused.push(said!(
                "the sockets could not be read ({}); say whose {name} is: --role server, client or forward", "读不到套接字（{:#}）；请说明 {name} 是谁的：--role server、client 或 forward",
                gap.detail.map(words::clean)
            ));
            return None;
        }
    };
    if serves(protocol, port, sockets) {
        return Some(Role::Server);
    }
    if !sockets.iter().any(|(p, _, at)| *p == protocol.number() && *at == port) {
        plan.refused.push(said!(
            "nobody listens on {name} here; say whose it is: --role client (this host asks others for it), \
             --role forward (it passes through), --role server (it will be served)", "这里没有谁在监听 {name}；请说明它是谁的：--role client（本机向别人请求）、--role forward（经过本机）、--role server（将由本机提供）"
        ));
        return None;
    }
    plan.refused.push(said!(
        "{name} listens on loopback only, and loopback stays tracked: it passes both hooks",
        "{name} 只在回环上监听，而回环保持跟踪：那里的包要经过两个钩子"
    ));
    None
}

/// Whether somebody listens on a port where others reach it.
pub(crate) fn serves(protocol: Protocol, port: u16, sockets: &[(u8, IpAddr, u16)]) -> bool {
    sockets.iter().any(|(p, ip, at)| *p == protocol.number() && *at == port && !ip.is_loopback())
}

fn effect(request: &BypassRequest, traffic: &[Traffic]) -> Said {
    let what = match traffic {
        [one] => one.said(),
        _ => said!("that traffic", "这些流量"),
    };
    let end = if request.peers.is_empty() {
        said!(
            "it needs no room in the table, and a full one does not stop it.",
            "它不占表的地方，表满也拦不住它。"
        )
    } else {
        said!("a full table does not lock them out.", "表满不会把他们关在外面。")
    };
    said!(
        "Packets of {what} get no entry, in both directions: {end}",
        "{what:#} 的包在两个方向都不建条目：{end:#}"
    )
}

/// What the judgement means for the plan.
fn take(judgement: &Judgement, request: &BypassRequest, plan: &mut Plan) {
    let unsure = judgement.needs.iter().filter(|n| !n.is_sure()).count();
    for need in &judgement.needs {
        let line = need.sentence();
        if need.is_sure() || !request.unsure { &mut plan.refused } else { &mut plan.risks }
            .push(line);
    }
    if unsure > 0 && !request.unsure {
        plan.refused.push(
            said!("whether it comes to those that it may come to can't be told from the rules alone: if you know that \
             it does not, --unsure goes on", "它可能走到的那些规则是否真会走到，单凭规则看不出：如果您知道不会，--unsure 可以继续"),
        );
    }
    for why in &judgement.blocked {
        plan.refused.push(said!(
            "once untracked, the rules would not let it pass: {why}",
            "一旦不跟踪，规则就不会放它过去：{why:#}"
        ));
    }
    for rule in &judgement.untracked {
        plan.warnings.push(said!("exempted already: {rule}", "已经免于跟踪：{rule}"));
    }
    for rule in &judgement.closed {
        let text = said!(
            "new connections to it are dropped today, and stay so: {rule}",
            "通往它的新连接今天就被丢弃，以后也一样：{rule:#}"
        );
        if request.peers.is_empty() { &mut plan.warnings } else { &mut plan.refused }.push(text);
    }
    plan.warnings.extend(judgement.notes.iter().cloned());
    for accept in &judgement.accepts {
        let detail = said!(
            "a rule of ours ahead of this one, under its conditions, for what is not tracked: {}",
            "在这条规则之前加一条我们的，条件相同，用于未跟踪的包：{}",
            accept.stands_for
        );
        // More than one of ours may stand for it.
        if !plan.details.contains(&detail) {
            plan.details.push(detail);
        }
    }
}

/// `tcp443`
fn short(t: &Traffic) -> String {
    format!("{}{}", t.protocol_name(), t.port)
}

fn kind(request: &BypassRequest) -> &'static str {
    if request.peers.is_empty() { "bypass" } else { "lifeline" }
}

/// Where a packet is exempted: the hook, and which of its ports is the service's.
fn places(role: Role) -> &'static [(&'static str, &'static str)] {
    match role {
        Role::Server => &[("prerouting", "dport"), ("output", "sport")],
        Role::Client => &[("output", "dport"), ("prerouting", "sport")],
        Role::Forward => &[("prerouting", "dport"), ("prerouting", "sport")],
    }
}

/// Entries of what is not tracked any more are of no use, and stale once it is tracked again.
fn left_over(traffic: &[Traffic], rules: &Ways, space: &Space<'_>, plan: &mut Plan) {
    let own = rules.own.value();
    let loose = space.now.setting("nf_conntrack_tcp_loose").is_none_or(|v| v != 0);
    for t in traffic {
        let served_by: Vec<IpAddr> = match own {
            Some(own) if t.role == Role::Server => {
                own.iter().copied().filter(|ip| !ip.is_loopback()).collect()
            }
            Some(_) | None => Vec::new(),
        };
        if served_by.is_empty() {
            plan.warnings.push(said!(
                "entries of {} that exist stay until their time is out: `plimsoll fix shed --protocol {} --port {}` \
                 frees their room", "{:#} 的现有条目会留到过期：`plimsoll fix shed --protocol {} --port {}` 可以腾出它们的地方",
                t.said(),
                t.protocol_name(),
                t.port
            ));
            continue;
        }
        plan.changes.push(Change::Delete(DeleteEntries {
            filter: Filter {
                protocol: Some(t.protocol),
                port: Some(t.port),
                source: t.peer,
                served_by,
                ..Filter::default()
            },
            expected: 0,
            batch: BATCH,
            at_most: 0,
            left_over: true,
        }));
    }
    if traffic.iter().any(|t| t.protocol == Protocol::Tcp.number()) {
        plan.risks.push(if loose {
            said!("Rules see no state of these connections any more: a packet that fits no connection reaches the service's \
             own TCP, which answers it with a reset.", "规则看不到这些连接的状态了：不属于任何连接的包会到达服务自己的 TCP，由它用 RST 回答。")
        } else {
            said!("nf_conntrack_tcp_loose is 0: `plimsoll undo` will cut off the connections that are open then.", "nf_conntrack_tcp_loose 为 0：`plimsoll undo` 会切断那时打开的连接。")
        });
    }
}
