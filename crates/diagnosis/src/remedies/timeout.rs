//! Shorten a timeout: for one port where the kernel can, else for all.
//!
//! Kernel: `nf_ct_timeout_lookup()`. A changed timeout applies at the next packet of a flow; an entry
//! that nobody refreshes keeps the expiry it has.

use alloc::format;
use alloc::vec::Vec;

use plimsoll_ct::{Protocol, TcpState};

use super::ours::fix;
use super::{Findings, Ranked, same_elsewhere, speaks_nft};
use crate::Said;
use crate::case::{Case, Space};
use crate::commands;
use crate::facts::Service;
use crate::findings::{FLOOR, established_timeout, flood_of, pile};
use crate::groups::{ratio, sum};
use crate::words;
use crate::{Remedy, RemedyId};

/// TIME_WAIT kept so long still absorbs what is under way.
const TIME_WAIT: u64 = 30;
/// Half-closed connections send on for as long as they like; a minute of silence is much.
const FIN_WAIT: u64 = 60;
/// An application that has not closed half a minute after it was told the end forgot to.
const CLOSE_WAIT: u64 = 30;
/// The last acknowledgement is sent again for some seconds at most.
const LAST_ACK: u64 = 15;
/// After a reset nothing comes but what is under way.
const CLOSE: u64 = 5;
/// A handshake that is not answered within this is not going to be.
const SYN_SENT: u64 = 20;
/// A client answers within a round trip; one SYN-ACK or two may get lost.
const SYN_RECV: u64 = 10;
/// One-way UDP kept so long.
const UDP: u64 = 10;
/// First release whose rules can answer SYNs with cookies.
const SYN_PROXY_SINCE: (u16, u16) = (3, 12);
/// First release with policies for one port (nfnetlink_cttimeout).
const POLICIES_SINCE: (u16, u16) = (3, 4);

/// What a flood that nobody answers is made of.
const UNANSWERED: Said = Said::of("unanswered entries", "没有应答的条目");
const HALF_OPEN: Said = Said::of("half-open handshakes", "半开的握手");

/// The remedy.
pub(super) fn remedy(case: &Case<'_>, findings: &Findings<'_>) -> Option<Ranked> {
    if findings.has("CT012") {
        return Some(Ranked { rank: 5, remedy: established(case, findings)? });
    }
    if findings.has("CT013") {
        let s = findings.space(case, &["CT013"])?;
        let (name, value, risk) = closed(pile(s)?)?;
        let what = said!("connections in {}", "处于 {} 的连接", pile(s)?);
        let mut remedy =
            one(case, findings, s, "CT013", Shorter { name, value, what: &what, risk })?;
        also(&mut remedy, same_elsewhere(case, findings, s, &["CT013"], |o| pile(o) == pile(s)));
        return Some(Ranked { rank: 6, remedy });
    }
    if findings.has("CT010") {
        let s = findings.space(case, &["CT010"])?;
        let flood = flood_of(s)?;
        let (name, value, risk) = match flood.protocol {
            Protocol::Tcp if flood.half_open => (
                "nf_conntrack_tcp_timeout_syn_recv",
                SYN_RECV,
                said!(
                    "A client whose answer takes longer than that fails to connect.",
                    "回音来得比这更晚的客户端连不上。"
                ),
            ),
            Protocol::Tcp => (
                "nf_conntrack_tcp_timeout_syn_sent",
                SYN_SENT,
                said!(
                    "A connection whose answer takes longer than that fails.",
                    "应答来得比这更晚的连接会失败。"
                ),
            ),
            Protocol::Udp | Protocol::UdpLite => (
                "nf_conntrack_udp_timeout",
                UDP,
                said!(
                    "An answer that comes later than that is taken for a new flow.",
                    "比这更晚到的应答会被当作新流。"
                ),
            ),
            Protocol::Icmp | Protocol::Icmpv6 => (
                "nf_conntrack_icmp_timeout",
                UDP,
                said!("Pings with slower answers are not matched.", "应答更慢的 ping 对不上条目。"),
            ),
            Protocol::Dccp | Protocol::Gre | Protocol::Sctp | Protocol::Other(_) => (
                "nf_conntrack_generic_timeout",
                60,
                said!("Tunnels that pause longer are tracked anew.", "停顿更久的隧道会重新跟踪。"),
            ),
        };
        let what = if flood.half_open { &HALF_OPEN } else { &UNANSWERED };
        let mut remedy = one(case, findings, s, "CT010", Shorter { name, value, what, risk })?;
        let same = same_elsewhere(case, findings, s, &["CT010"], |other| {
            flood_of(other)
                .is_some_and(|f| (f.protocol, f.half_open) == (flood.protocol, flood.half_open))
        });
        also(&mut remedy, same);
        also(&mut remedy, passed_on(case, s));
        return Some(Ranked { rank: 7, remedy });
    }
    None
}

/// What a router can do about a flood of SYNs to one port.
fn passed_on(case: &Case<'_>, s: &Space<'_>) -> Option<Said> {
    let flood = flood_of(s).filter(|f| f.protocol == Protocol::Tcp)?;
    let port = flood.service?.port;
    let young = case.after.host.generation.value().is_some_and(|k| k.rank() >= SYN_PROXY_SINCE);
    let line = fix(&format!("limit tcp/{port} --synproxy"), s).filter(|_| young)?;
    Some(said!(
        "# where this host only passes port {port} on, SYNs need no entries: {line}",
        "# 如果本机只是转发端口 {port}，SYN 不需要条目：{line}"
    ))
}

/// A remark on both ways to do it.
fn also(remedy: &mut Remedy, remark: Option<Said>) {
    if !remedy.fix.is_empty() {
        remedy.fix.extend(remark.clone());
    }
    remedy.commands.extend(remark);
}

/// The timeout of a state in which closed connections pile up, what it should be, and what that risks.
fn closed(state: TcpState) -> Option<(&'static str, u64, Said)> {
    const LATE: Said = Said::of(
        "A late segment of an old connection may be taken for a new one a little earlier.",
        "旧连接迟到的报文段会早一点被当作新连接。",
    );
    const HALF: Said = Said::of(
        "A connection of which only one end has closed is forgotten if the other pauses \
                        for longer.",
        "只有一端关闭的连接，如果另一端停顿得更久，就会被忘掉。",
    );
    match state {
        TcpState::TimeWait => Some(("nf_conntrack_tcp_timeout_time_wait", TIME_WAIT, LATE)),
        TcpState::FinWait => Some(("nf_conntrack_tcp_timeout_fin_wait", FIN_WAIT, HALF)),
        TcpState::CloseWait => Some(("nf_conntrack_tcp_timeout_close_wait", CLOSE_WAIT, HALF)),
        TcpState::LastAck => Some(("nf_conntrack_tcp_timeout_last_ack", LAST_ACK, LATE)),
        TcpState::Close => Some(("nf_conntrack_tcp_timeout_close", CLOSE, LATE)),
        TcpState::None
        | TcpState::SynSent
        | TcpState::SynRecv
        | TcpState::Established
        | TcpState::SynSent2
        | TcpState::Other(_) => None,
    }
}

/// A timeout to shorten.
struct Shorter<'a> {
    /// Its setting.
    name: &'static str,
    /// Seconds.
    value: u64,
    /// The entries that it keeps.
    what: &'a Said,
    /// What that risks.
    risk: Said,
}

/// One global timeout of a namespace.
fn one(
    case: &Case<'_>,
    findings: &Findings<'_>,
    s: &Space<'_>,
    id: &'static str,
    Shorter { name, value, what, risk }: Shorter<'_>,
) -> Option<Remedy> {
    let now = s.now.setting(name).or_else(|| plimsoll_ct::Setting::find(name)?.default)?;
    if now <= value {
        return None;
    }
    let commands = commands::run_inside(s, [Said::name(commands::set(case.profile, name, value))]);
    let bare = name.trim_start_matches("nf_conntrack_");
    Some(Remedy {
        id: RemedyId::Timeout,
        title: said!(
            "keep {what} for {value} s instead of {now} s",
            "把{what:#}只留 {value} 秒，而不是 {now} 秒"
        ),
        findings: alloc::vec![id],
        fix: fix(&format!("timeout {bare}={value}"), s).into_iter().collect(),
        commands,
        memory: None,
        risk,
        effect: said!(
            "{} Those in the table keep their expiry, so it shows within {now} s.",
            "{:#}已在表里的保持原来的过期时间，所以 {now} 秒之内见效。",
            room(findings, case, s, now, value)
        ),
        refused: Vec::new(),
    })
}

/// The room that such entries will take. What a table at its limit holds is the limit, not what comes: that
/// is in the table's turnover, and in what is dropped for want of room.
fn room(findings: &Findings<'_>, case: &Case<'_>, s: &Space<'_>, now: u64, value: u64) -> Said {
    let share = words::share(ratio(value, now));
    if !["CT001", "CT003"].iter().any(|id| findings.speaks_of(case, id, s)) {
        return said!(
            "At the same rate such entries take {share} of the room.",
            "同样的速率下，这类条目只占原来的 {share:#}。"
        );
    }
    let (Ok(new), Ok(dropped), Some(limit)) = (&s.rates.new, &s.rates.drop, s.limit()) else {
        return said!(
            "At the same rate such entries take {share} of the room that they need now; a full table does not \
             show how much that is.",
            "同样的速率下，这类条目只占现在所需的 {share:#}；已满的表看不出现在需要多少。"
        );
    };
    let come = new + dropped;
    let lost = if *dropped > 0.0 {
        said!(", {} of them dropped", "，其中 {} 个被丢弃", words::rate(*dropped))
    } else {
        Said::default()
    };
    let entries = words::rounded(come * value as f64);
    let (of, left) = match entries < limit {
        true => (said!(" of {}", "，上限是 {}", words::count(limit)), Said::default()),
        false => (
            Said::default(),
            said!(
                ": the limit is {}, and the table stays full",
                "，而上限是 {}：表仍然是满的",
                words::count(limit)
            ),
        ),
    };
    said!(
        "If as many flows come as now ({} per second{lost}), they take about {}{of} entries{left}.",
        "如果新流和现在一样多（每秒 {} 个{lost:#}），大约占 {} 个条目{of:#}{left:#}。",
        words::rate(come),
        words::count(entries)
    )
}

/// ESTABLISHED: for the port that holds the idle ones, or for all.
fn established(case: &Case<'_>, findings: &Findings<'_>) -> Option<Remedy> {
    let s = findings.space(case, &["CT012"])?;
    let now = established_timeout(s);
    if now <= FLOOR {
        return None;
    }
    let all = commands::set(case.profile, "nf_conntrack_tcp_timeout_established", FLOOR);
    let service = s.now.census.value().and_then(|c| {
        let (service, tally) = c.idle_services.rows.first()?;
        let idle = sum(c.idle_services.rows.iter().map(|(_, t)| t.total()));
        (ratio(tally.total(), idle) > 0.5 && service.port != 0).then_some(*service)
    });
    let young = case.after.host.generation.value().is_some_and(|k| k.rank() >= POLICIES_SINCE);
    let for_all = format!("timeout established={FLOOR}");
    let (title, ours, commands) = match service.filter(|_| young) {
        Some(service) => {
            let mut commands = for_port(case, s, service);
            commands.push(said!(
                "# or for every port of this namespace: {all}",
                "# 或者对这个命名空间的所有端口：{all}"
            ));
            let title = said!(
                "let idle connections to port {} go after 2 h 4 min",
                "让通往端口 {} 的空闲连接 2 小时 4 分钟后离开",
                service.port
            );
            let ours = format!("timeout --port tcp/{} established={FLOOR}", service.port);
            (title, ours, commands)
        }
        None => (
            said!("let idle connections go after 2 h 4 min", "让空闲连接 2 小时 4 分钟后离开"),
            for_all,
            alloc::vec![Said::name(all)],
        ),
    };
    let mut remedy = Remedy {
        id: RemedyId::Timeout,
        title,
        findings: alloc::vec!["CT012"],
        fix: fix(&ours, s).into_iter().collect(),
        commands: commands::run_inside(s, commands),
        memory: None,
        risk: said!(
            "A connection that stays silent for longer without keepalives is forgotten: behind NAT it \
               breaks, elsewhere it is picked up again by its next packet. Not below 2 h 4 min without \
               knowing the keepalives of both ends.",
            "没有 keepalive、静默更久的连接会被忘掉：在 NAT 后面会断，在别处由下一个包重新接上。不清楚两端的 keepalive，就不要低于 2 小时 4 分钟。"
        ),
        effect: said!(
            "Connections that go silent from now on leave after 2 h 4 min instead of {}. It frees \
             nothing by itself: an entry takes the new timeout with its next packet, so those that are \
             idle now stay until their old one ends.",
            "从现在起静默下来的连接，2 小时 4 分钟后离开，而不是 {:#}。它本身不腾出地方：条目要到下一个包才换上新的超时，所以现在就空闲着的会一直留到旧的超时结束。",
            words::span(now as f64)
        ),
        refused: Vec::new(),
    };
    also(&mut remedy, same_elsewhere(case, findings, s, &["CT012"], |_| true));
    Some(remedy)
}

/// A policy for one port. It is given to a flow with its first packet, so flows that exist keep theirs.
fn for_port(case: &Case<'_>, s: &Space<'_>, service: Service) -> Vec<Said> {
    let port = service.port;
    if speaks_nft(case, s) {
        let chain = |hook: &str| -> Said {
            Said::name(format!(
                "nft 'add chain ip plimsoll {hook} {{ type filter hook {hook} priority -150; }}'"
            ))
        };
        let rule = |hook: &str| -> Said {
            Said::name(format!(
                "nft 'add rule ip plimsoll {hook} tcp dport {port} ct timeout set \"idle{port}\"'"
            ))
        };
        return alloc::vec![
            Said::name("nft add table ip plimsoll"),
            Said::name(format!(
                "nft 'add ct timeout ip plimsoll idle{port} {{ protocol tcp; l3proto ip; policy = {{ \
                 established : {FLOOR} }}; }}'"
            )),
            chain("prerouting"),
            chain("output"),
            rule("prerouting"),
            rule("output"),
            said!(
                "# for IPv6 the same with ip6 in place of ip; undo: nft delete table ip plimsoll",
                "# IPv6 同样做，把 ip 换成 ip6；撤销：nft delete table ip plimsoll"
            ),
        ];
    }
    let rule = |chain: &str| -> Said {
        Said::name(format!(
            "iptables -t raw -I {chain} -p tcp --dport {port} -j CT --timeout idle{port}"
        ))
    };
    alloc::vec![
        Said::name(format!("nfct add timeout idle{port} inet tcp established {FLOOR}")),
        rule("PREROUTING"),
        rule("OUTPUT"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_advise_the_same_seconds() {
        let flood = include_str!("../../../../docs/findings/CT010-unreplied-flood.md");
        assert!(flood.contains(&format!("_tcp_timeout_syn_sent={SYN_SENT}\n")));
        assert!(flood.contains(&format!("_tcp_timeout_syn_recv={SYN_RECV}\n")));
        assert!(flood.contains(&format!("_udp_timeout={UDP}\n")));
        let closed = include_str!("../../../../docs/findings/CT013-time-wait-pile-up.md");
        assert!(closed.contains(&format!("nf_conntrack_tcp_timeout_time_wait={TIME_WAIT}\n")));
        for (name, value) in [
            ("fin_wait", FIN_WAIT),
            ("close_wait", CLOSE_WAIT),
            ("last_ack", LAST_ACK),
            ("close", CLOSE),
        ] {
            let line = format!("nf_conntrack_tcp_timeout_{name}={value}\n");
            assert!(closed.contains(&line), "{line}");
        }
        assert!(closed.contains(&format!("ip_conntrack_tcp_timeout_time_wait={TIME_WAIT}\n")));
    }
}
