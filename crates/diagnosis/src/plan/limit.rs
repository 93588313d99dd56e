//! So many connections of one source to a port, and no more: who opens too many does not fill the table for all.
//!
//! Kernel: `nf_conncount`, by nft's `ct count` in a set that packets fill, or by the match connlimit. A connection that is
//! refused here never gets its entry confirmed. Those that are open when it begins stay and do not count: the kernel
//! counts what it has seen begin.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_ct::Protocol;
use plimsoll_wire::filter::{Program, TableFamily};

use super::bypass::{program_of, serves, show};
use super::{
    Change, Ground, IptablesChange, NO_NAMESPACE, NftChange, NftTable, Plan, Target, rules_read,
    tell_of_rules,
};
use crate::Said;
use crate::case::Case;
use crate::facts::{Fact, Tracking, Ways};
use crate::remedies::speaks_nft;
use crate::rules::{Role, Traffic, judge};
use crate::{RemedyId, words};

/// One network of IPv6 is one source: it has more addresses than anybody can count.
const SOURCE_BITS_V6: u8 = 64;
/// Sources that are counted at once; with more, the others are not limited.
const SOURCES: u32 = 65_535;
/// Sources over the limit that are named.
const NAMED: usize = 4;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRequest {
    /// The service.
    pub service: (Protocol, u16),
    /// Connections of one source.
    pub per_source: u32,
    /// It passes through this host, and the port is the one that clients ask for.
    pub forwarded: bool,
    /// Sources without a limit: proxies, offices behind one address.
    pub except: Vec<(IpAddr, u8)>,
}

/// The plan. `sources`: connections of each source to the port now, IPv6 by its network of 64 bits, the largest first.
pub fn limit(
    request: &LimitRequest,
    sources: &Fact<Vec<(IpAddr, u64)>>,
    rules: &Ways,
    ground: &Ground<'_>,
) -> Plan {
    let (protocol, port) = request.service;
    let name = format!("{}/{port}", protocol.name());
    let title = said!(
        "at most {} of one source to {name}",
        "每个来源到 {name} 最多 {:#}",
        connections(request.per_source)
    );
    let mut plan = Plan::new(RemedyId::Limit, title, Target::of(ground));
    let case = Case::new(ground.before, ground.now);
    let Some(space) = ground.space(&case) else {
        plan.refused.push(NO_NAMESPACE);
        return plan;
    };
    if !matches!(protocol, Protocol::Tcp | Protocol::Udp) {
        plan.refused.push(said!(
            "{} has no ports that rules name",
            "{} 没有规则能写的端口",
            protocol.name()
        ));
    }
    if request.per_source == 0 {
        plan.refused.push(Said::of("a limit of 0 shuts the port", "上限为 0 就关掉了这个端口"));
    }
    let Some(program) = rules_read(rules, &mut plan) else { return plan };
    untracked(request, program, rules, &mut plan);
    if !plan.refused.is_empty() {
        return plan;
    }
    if let Some(Tracking::Off { because }) = space.now.tracking.value() {
        plan.risks.push(said!(
            "Nothing is tracked here ({}), and to count connections switches tracking on.",
            "这里什么也不跟踪（{:#}），而数连接会打开跟踪。",
            because.map(words::clean)
        ));
    }
    plan.effect = match protocol {
        Protocol::Tcp => said!(
            "Who has {} to {name} is answered with a reset when it opens another. What is open already stays, and does not count.",
            "到 {name} 已有 {:#}的来源，再开新连接会收到 RST。已经打开的保留，不计在内。",
            connections(request.per_source)
        ),
        _ => said!(
            "Who has {} to {name} opens no other. What is open already stays, and does not count.",
            "到 {name} 已有 {:#}的来源，不能再开新的。已经打开的保留，不计在内。",
            connections(request.per_source)
        ),
    };
    over(request, sources, &mut plan);
    if !request.forwarded
        && plan.risks.is_empty()
        && let Some(sockets) = rules.listening.value()
        && !serves(protocol, port, sockets)
    {
        plan.risks.push(said!(
            "Nobody listens on {name} here: what passes through to a container or to another host is limited by --forwarded only.",
            "这里没有人监听 {name}：转给容器或别的主机的流量，只有加 --forwarded 才会受限。"
        ));
    }
    if speaks_nft(&case, space) {
        plan.changes.push(nft(request));
    } else {
        xtables(request, program, &case, &mut plan);
    }
    plan.warnings.push(Said::of(
        "many people may stand behind one address (an office, a mobile network, a proxy): --except PREFIX leaves it alone",
        "一个地址后面可能有很多人（办公室、移动网络、代理）：--except PREFIX 不限制它",
    ));
    tell_of_rules(&case, space, &mut plan);
    plan
}

fn connections(n: u32) -> Said {
    words::many(n.into(), "connection", "connections", "条连接")
}

/// Only what is tracked can be counted.
fn untracked(request: &LimitRequest, program: &Program, rules: &Ways, plan: &mut Plan) {
    let role = if request.forwarded { Role::Forward } else { Role::Server };
    let mut traffic = Traffic::new(request.service.0.number(), request.service.1, role);
    if let Some(own) = rules.own.value() {
        traffic = traffic.on(own);
    }
    let judged = judge(program, [&traffic]);
    if let Some(rule) = judged.sent_on().filter(|_| !request.forwarded) {
        plan.risks.push(said!(
            "A rule sends what asks for it elsewhere, and that is limited by --forwarded only: {rule}",
            "有规则把来访者转到别处，那些只有加 --forwarded 才会受限：{rule}"
        ));
    }
    for rule in judged.untracked {
        plan.refused.push(said!(
            "it is not tracked, so its connections can't be counted: {rule}",
            "它不被跟踪，所以数不了它的连接：{rule}"
        ));
    }
}

/// Whom it meets at once.
fn over(request: &LimitRequest, sources: &Fact<Vec<(IpAddr, u64)>>, plan: &mut Plan) {
    let sources = match sources {
        Fact::Known { value, source: _ } => value,
        Fact::Missing(gap) => {
            plan.warnings.push(said!(
                "whom it meets could not be seen: {}",
                "看不到会影响谁：{:#}",
                gap.detail.map(words::clean)
            ));
            return;
        }
    };
    let at_it: Vec<&(IpAddr, u64)> =
        sources.iter().filter(|(_, n)| *n >= u64::from(request.per_source)).collect();
    if at_it.is_empty() {
        plan.details.push(match sources.first() {
            Some((_, most)) => said!(
                "nobody now: no source has more than {}",
                "目前没有来源超过 {:#}",
                words::many(*most, "connection", "connections", "条连接")
            ),
            None => {
                Said::of("nobody now: no source has a connection to it", "目前没有来源与它有连接")
            }
        });
        return;
    }
    let named: Vec<Said> = at_it
        .iter()
        .take(NAMED)
        .map(|(ip, n)| {
            let net = if ip.is_ipv6() { "/64" } else { "" };
            said!("{ip}{net} with {}", "{ip}{net} 有 {} 条", words::count(*n))
        })
        .collect();
    let more = if at_it.len() > NAMED { Said::of(", …", "，…") } else { Said::default() };
    plan.details.push(said!(
        "{} at it or over it now: {}{more}",
        "现在达到或超过它的有 {:#}：{:#}{more:#}",
        words::many(at_it.len() as u64, "source is", "sources are", "个来源"),
        Said::join(&named, &Said::of(", ", "，"))
    ));
}

fn short(request: &LimitRequest) -> String {
    format!("{}{}", request.service.0.name(), request.service.1)
}

fn comment(request: &LimitRequest) -> String {
    format!("plimsoll: limit {}/{}", request.service.0.name(), request.service.1)
}

fn nft(request: &LimitRequest) -> Change {
    let (protocol, port) = (request.service.0.name(), request.service.1);
    let (name, n, comment) =
        (format!("plimsoll_limit_{}", short(request)), request.per_source, comment(request));
    let hook = if request.forwarded { "forward" } else { "input" };
    // Behind a DNAT the packet has another port than its client asked for.
    let what = if request.forwarded {
        format!("meta l4proto {protocol} ct original proto-dst {port} ct state new")
    } else {
        format!("iifname != \"lo\" {protocol} dport {port} ct state new")
    };
    let end = match request.service.0 {
        Protocol::Tcp => "reject with tcp reset",
        _ => "drop",
    };
    let mut text = format!("table inet {name} {{\n");
    for (set, kind) in [("v4", "ipv4_addr"), ("v6", "ipv6_addr")] {
        text.push_str(&format!(
            "    set {set} {{\n        type {kind}\n        size {SOURCES}\n        flags dynamic\n    }}\n"
        ));
    }
    text.push_str(&format!(
        "    chain {hook} {{\n        type filter hook {hook} priority -150; policy accept;\n"
    ));
    for (ip, bits) in &request.except {
        let header = if ip.is_ipv4() { "ip" } else { "ip6" };
        text.push_str(&format!(
            "        {header} saddr {} accept comment \"{comment}\"\n",
            show(*ip, *bits)
        ));
    }
    for (set, source, family) in
        [("v4", "ip saddr", "ipv4"), ("v6", "ip6 saddr and ffff:ffff:ffff:ffff::", "ipv6")]
    {
        text.push_str(&format!(
            "        meta nfproto {family} {what} add @{set} {{ {source} ct count over {n} }} {end} comment \"{comment}\"\n"
        ));
    }
    text.push_str("    }\n}\n");
    Change::Nft(NftChange {
        apply: text,
        tables: alloc::vec![NftTable { family: "inet".to_string(), name }],
        rules: Vec::new(),
        placed: Vec::new(),
    })
}

fn xtables(request: &LimitRequest, rules: &Program, case: &Case<'_>, plan: &mut Plan) {
    let (protocol, port) = (request.service.0.name(), request.service.1);
    let hook = if request.forwarded { "FORWARD" } else { "INPUT" };
    let chain = format!("PLIMSOLL-LIMIT-{}", short(request).to_uppercase());
    let first = match (request.forwarded, request.service.0) {
        (true, _) => format!("-m conntrack --ctorigdstport {port} --ctstate NEW"),
        (false, Protocol::Tcp) => format!("-m tcp --dport {port} -m state --state NEW"),
        (false, _) => format!("-m {protocol} --dport {port} -m state --state NEW"),
    };
    let end = match request.service.0 {
        Protocol::Tcp => "REJECT --reject-with tcp-reset",
        _ => "DROP",
    };
    let six_is_filtered = rules.tables.iter().any(|t| t.family != TableFamily::Ip);
    for six in [false, true] {
        if six && !six_is_filtered {
            continue;
        }
        let program = program_of(six, case);
        let bits = if six { SOURCE_BITS_V6 } else { 32 };
        let lo = if request.forwarded { "" } else { "! -i lo " };
        let jump = format!(
            "{lo}-p {protocol} {first} -m comment --comment \"{}\" -j {chain}\n",
            comment(request)
        );
        let mut apply = format!("*filter\n:{chain} - [0:0]\n");
        for (ip, prefix) in request.except.iter().filter(|(ip, _)| ip.is_ipv6() == six) {
            apply.push_str(&format!("-A {chain} -s {} -j RETURN\n", show(*ip, *prefix)));
        }
        apply.push_str(&format!(
            "-A {chain} -p {protocol} -m connlimit --connlimit-above {} --connlimit-mask {bits} -j {end}\n-I {hook} 1 {jump}COMMIT\n",
            request.per_source
        ));
        let revert = format!("*filter\n-D {hook} {jump}-F {chain}\n-X {chain}\nCOMMIT\n");
        plan.changes.push(Change::Iptables(IptablesChange {
            restore: format!("{program}-restore"),
            save: format!("{program}-save"),
            table: "filter".to_string(),
            apply,
            revert,
            marks: alloc::vec![format!("--comment \"{}\"", comment(request)), format!(":{chain} ")],
            placed: Vec::new(),
        }));
    }
}
