//! A SYN proxy before connections that pass through this host: the handshake is done here, with cookies and without an
//! entry, and the server sees only who has finished it. A flood of SYNs then leaves nothing in the table.
//!
//! Kernel: nft_synproxy.c, xt_SYNPROXY.c. It stands behind all other chains at `forward` (nft: after the last one, iptables:
//! in the table `security`), so that it answers only for what they let pass. With `nf_conntrack_tcp_loose` the client's ACK
//! would be taken for an open connection, so that is 0 as long as the proxy stands.
//! The proxy's sequence numbers are kept in the entry and outlive its rules; its timestamps do not.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::Protocol;
use plimsoll_wire::filter::{Backend, Program, TableFamily};

use super::bypass::{accepts_by_iptables, foreign, program_of, serves};
use super::{
    Change, Ground, IptablesChange, NO_NAMESPACE, NftChange, NftTable, OwnRule, Placed, Plan,
    Readback, Setting, Target, Verify, rules_read, tell_of_rules,
};
use crate::Said;
use crate::case::{Case, Space};
use crate::facts::{Fact, Tracking, Ways};
use crate::remedies::speaks_nft;
use crate::rules::{Accept, Proxied, family_word, proxied};
use crate::{RemedyId, commands, words};

/// First release of nft's statement, and of the target of iptables.
const NFT_SINCE: (u16, u16) = (5, 4);
const TARGET_SINCE: (u16, u16) = (3, 12);
/// Headers of IPv4 and TCP, and of IPv6 and TCP.
const HEADERS: [(bool, u32); 2] = [(false, 40), (true, 60)];
/// Behind the chains that others hook there.
const BEHIND: i32 = 10;
/// A packet of IPv4 has at least so many bytes of room.
const LEAST_MTU: u32 = 576;

const LOOSE: &str = "nf_conntrack_tcp_loose";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SynProxyRequest {
    /// The TCP port that clients ask for.
    pub port: u16,
    /// Large windows and selective acknowledgement, at the price of what `undo` does to open connections: the window scale
    /// that the servers announce.
    pub wscale: Option<u8>,
}

/// The plan.
pub fn synproxy(request: SynProxyRequest, rules: &Ways, ground: &Ground<'_>) -> Plan {
    let port = request.port;
    let title = said!("a SYN proxy before tcp/{port}", "在 tcp/{port} 前面放 SYN 代理");
    let mut plan = Plan::new(RemedyId::Limit, title, Target::of(ground));
    let case = Case::new(ground.before, ground.now);
    let Some(space) = ground.space(&case) else {
        plan.refused.push(NO_NAMESPACE);
        return plan;
    };
    let Some(program) = rules_read(rules, &mut plan) else { return plan };
    let nft = speaks_nft(&case, space);
    let found = proxied(program, port, rules.own.value().map(alloc::vec::Vec::as_slice));
    let mtu = match &rules.mtu {
        Fact::Known { value, source: _ } => *value,
        Fact::Missing(gap) => {
            plan.refused.push(said!(
                "the size of packets could not be read, which a proxy announces: {}",
                "读不到代理要通告的包长：{:#}",
                gap.detail.map(words::clean)
            ));
            return plan;
        }
    };
    unfit(&case, space, nft, mtu, &found, &mut plan);
    foreign::refused(&found.accepts, program, &mut plan);
    let loose = space.now.setting(LOOSE);
    if loose.is_none() {
        plan.refused.push(said!("{LOOSE} could not be read", "读不到 {LOOSE}"));
    }
    if !plan.refused.is_empty() {
        return plan;
    }
    plan.effect = said!(
        "Who opens a connection to tcp/{port} through this host is answered by it, with a cookie. Only who answers that gets \
         an entry, and comes to the server: a flood of SYNs leaves none. What is open already goes on.",
        "经过本机打开 tcp/{port} 连接的，由本机用 cookie 应答。只有答对的才得到条目、到达服务器：SYN 洪水不留下任何条目。已经打开的继续。"
    );
    plan.details.push(said!(
        "announced to clients: segments of {} bytes (IPv6: {}), {}",
        "向客户端通告：报文段 {} 字节（IPv6：{}），{:#}",
        mtu - 40,
        mtu - 60,
        match request.wscale {
            Some(scale) => said!(
                "windows in steps of {} bytes, SACK, timestamps",
                "窗口以 {} 字节为单位，SACK，时间戳",
                1u32 << scale
            ),
            None => Said::of(
                "windows of at most 65,535 bytes, no SACK",
                "窗口最多 65,535 字节，没有 SACK",
            ),
        }
    ));
    for accept in &found.accepts {
        plan.details.push(said!(
            "a rule of ours ahead of this one, for what the proxy takes and makes: {}",
            "在这条规则之前加一条我们的，用于代理收下和发出的包：{}",
            accept.stands_for
        ));
    }
    // First, so that no ACK is taken for an open connection.
    plan.changes.extend(loose.filter(|v| *v != 0).map(|value| {
        Change::Setting(Setting {
            path: commands::path(case.profile, LOOSE),
            before: value.to_string(),
            after: "0".to_string(),
            readback: Readback::Exact,
            step: None,
        })
    }));
    accepts_by_iptables(&found.accepts, program, &case, &mut plan);
    if nft {
        plan.changes.push(by_nft(request, mtu, program, &found));
    } else {
        for six in [false, true] {
            let filtered = program.tables.iter().any(|t| t.family != TableFamily::Ip);
            if !six || filtered {
                let name = program_of(six, &case);
                plan.changes.extend(by_iptables(request, mtu, &name, six));
            }
        }
    }
    tell(request, &mut plan);
    if rules.listening.value().is_some_and(|sockets| serves(Protocol::Tcp, port, sockets)) {
        plan.warnings.push(said!(
            "this host listens on tcp/{port} itself: what comes to its own addresses is not proxied (--per-source limits that)",
            "本机自己也监听 tcp/{port}：到它自己地址的不经代理（用 --per-source 限制）"
        ));
    }
    tell_of_rules(&case, space, &mut plan);
    plan.verify.push(Verify::DropsEnd);
    plan
}

/// What this host or this kernel can't do.
fn unfit(
    case: &Case<'_>,
    space: &Space<'_>,
    nft: bool,
    mtu: u32,
    found: &Proxied,
    plan: &mut Plan,
) {
    let since = if nft { NFT_SINCE } else { TARGET_SINCE };
    if let Some(kernel) = case.after.host.kernel.value().filter(|k| k.rank() < since) {
        plan.refused.push(said!(
            "this kernel ({}.{}) has no SYN proxy that {} can use: {}.{} is the first",
            "本内核（{}.{}）没有 {} 能用的 SYN 代理：{}.{} 起才有",
            kernel.rank().0,
            kernel.rank().1,
            if nft { "nft" } else { "iptables" },
            since.0,
            since.1
        ));
    }
    if let Some(Tracking::Off { because }) = space.now.tracking.value() {
        plan.refused.push(said!(
            "nothing is tracked here ({}), and a proxy would cut off every connection that is open",
            "这里什么也不跟踪（{:#}），而代理会切断每一条打开的连接",
            because.map(words::clean)
        ));
    }
    if mtu < LEAST_MTU {
        plan.refused.push(said!(
            "packets of {mtu} bytes are too short for a proxy",
            "{mtu} 字节的包对代理来说太短"
        ));
    }
    plan.refused.extend(found.refused.iter().cloned());
    let by_nft = found.accepts.iter().any(|a| a.backend == Backend::Nft);
    if !nft && (by_nft || found.is_behind_security()) {
        plan.refused.push(Said::of(
            "rules of nft and of old iptables decide together here: a proxy must stand behind all of them, and can't",
            "这里 nft 和旧 iptables 的规则一起裁决：代理必须在它们全部之后，却做不到",
        ));
    }
}

fn tell(request: SynProxyRequest, plan: &mut Plan) {
    plan.risks.push(said!(
        "{LOOSE} is 0 as long as it stands, for the whole namespace: a connection that has no entry (older than the tracking, \
         or idle beyond its timeout) is not picked up again.",
        "代理在的时候，整个命名空间的 {LOOSE} 都是 0：没有条目的连接（早于跟踪，或空闲超过超时）不会再接上。"
    ));
    plan.risks.push(match request.wscale {
        Some(_) => Said::of(
            "Connections that are opened through the proxy have timestamps that it made: when it goes (`plimsoll undo`), \
             those that are open are cut off.",
            "经代理打开的连接带着它造的时间戳：代理撤走时（`plimsoll undo`），打开着的会断。",
        ),
        None => Said::of(
            "Connections that are opened through the proxy have windows of at most 64 KiB: over long ways they are slower. \
             --timestamps lets them grow, and `plimsoll undo` then cuts off those that are open.",
            "经代理打开的连接窗口最多 64 KiB：距离远时更慢。--timestamps 让窗口变大，但 `plimsoll undo` 会切断打开着的。",
        ),
    });
    plan.warnings.push(Said::of(
        "a port that no server listens on looks open to who asks: the handshake is done before a server is asked",
        "没有服务器监听的端口，看上去也是开着的：握手在询问服务器之前就完成了",
    ));
}

/// The statement's words behind `synproxy`, or the target's options.
fn options(request: SynProxyRequest, mss: u32, nft: bool) -> String {
    match (request.wscale, nft) {
        (None, true) => format!("mss {mss}"),
        (Some(scale), true) => format!("mss {mss} wscale {scale} timestamp sack-perm"),
        (None, false) => format!("--mss {mss}"),
        (Some(scale), false) => format!("--sack-perm --timestamp --wscale {scale} --mss {mss}"),
    }
}

fn by_nft(request: SynProxyRequest, mtu: u32, program: &Program, found: &Proxied) -> Change {
    let port = request.port;
    let (name, comment) =
        (format!("plimsoll_synproxy_tcp{port}"), format!("plimsoll: SYN proxy tcp/{port}"));
    let priority = found.last.map_or(BEHIND, |last| last.saturating_add(1).max(BEHIND));
    let flags = "tcp flags & (fin|syn|rst|ack)";
    let mut apply = String::new();
    let mut rules = Vec::new();
    let ours = found.accepts.iter().filter(|a| a.backend == Backend::Nft);
    for accept in ours.clone() {
        let Accept { family, table, chain, handle, comment, .. } = accept;
        let family = family_word(*family);
        let at = match handle {
            Some(handle) => format!("insert rule {family} {table} {chain} handle {handle}"),
            None => format!("add rule {family} {table} {chain}"),
        };
        apply.push_str(&format!("{at} {}\n", accept.rule()));
        rules.push(OwnRule {
            family: family.to_string(),
            table: table.clone(),
            chain: chain.clone(),
            comment: comment.clone(),
        });
    }
    apply.push_str(&format!(
        "table inet {name} {{\n    chain prerouting {{\n        type filter hook prerouting priority -300; policy accept;\n        \
         fib daddr type != local tcp dport {port} {flags} == syn notrack comment \"{comment}\"\n    }}\n    chain forward {{\n        \
         type filter hook forward priority {priority}; policy accept;\n"
    ));
    for (six, headers) in HEADERS {
        let family = if six { "ipv6" } else { "ipv4" };
        let options = options(request, mtu - headers, true);
        for (flag, state) in [("syn", "untracked"), ("ack", "invalid")] {
            apply.push_str(&format!(
                "        meta nfproto {family} tcp dport {port} {flags} == {flag} ct state {state} synproxy {options} \
                 comment \"{comment}\"\n"
            ));
        }
    }
    apply.push_str("    }\n}\n");
    Change::Nft(NftChange {
        apply,
        tables: alloc::vec![NftTable { family: "inet".to_string(), name }],
        rules,
        placed: Placed::of(program, ours),
    })
}

/// The proxy first: a SYN that is untracked and not answered would come to the server without an entry.
fn by_iptables(request: SynProxyRequest, mtu: u32, program: &str, six: bool) -> [Change; 2] {
    let port = request.port;
    let headers = HEADERS.iter().find(|(s, _)| *s == six).map_or(60, |(_, bytes)| *bytes);
    let options = options(request, mtu - headers, false);
    let rule = |chain: &str, flag: &str, rest: &str| {
        let comment = format!("plimsoll: SYN proxy tcp/{port}, {flag}");
        let text = format!(
            "{chain} -p tcp -m tcp --dport {port} --tcp-flags FIN,SYN,RST,ACK {flag} {rest} -m comment --comment \"{comment}\""
        );
        (text, format!("--comment \"{comment}\""))
    };
    let state = |state: &str| format!("-m conntrack --ctstate {state}");
    let proxy =
        [rule("FORWARD", "SYN", &state("UNTRACKED")), rule("FORWARD", "ACK", &state("INVALID"))];
    let raw = [rule("PREROUTING", "SYN", "-m addrtype ! --dst-type LOCAL")];
    let change = |table: &str, rules: &[(String, String)], target: &str| {
        let all = |verb: &str| {
            let lines = rules.iter().map(|(rule, _)| format!("{verb} {rule} -j {target}\n"));
            format!("*{table}\n{}COMMIT\n", lines.collect::<String>())
        };
        Change::Iptables(IptablesChange {
            restore: format!("{program}-restore"),
            save: format!("{program}-save"),
            table: table.to_string(),
            apply: all("-A"),
            revert: all("-D"),
            marks: rules.iter().map(|(_, mark)| mark.clone()).collect(),
            placed: Vec::new(),
        })
    };
    [
        change("security", &proxy, &format!("SYNPROXY {options}")),
        change("raw", &raw, "CT --notrack"),
    ]
}
