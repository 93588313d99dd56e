//! Shorten a timeout: for one port where the kernel can, else for all.
//!
//! Kernel: `nf_ct_timeout_lookup()`. A changed timeout applies at the next packet of a flow; an entry
//! that nobody refreshes keeps the expiry it has.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::{Protocol, TcpState};

use super::ours::fix;
use super::{Findings, Ranked, same_elsewhere, speaks_nft};
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
/// One-way UDP kept so long.
const UDP: u64 = 10;
/// First release whose rules can answer SYNs with cookies.
const SYN_PROXY_SINCE: (u16, u16) = (3, 12);
/// First release with policies for one port (nfnetlink_cttimeout).
const POLICIES_SINCE: (u16, u16) = (3, 4);

/// The remedy.
pub(super) fn remedy(case: &Case<'_>, findings: &Findings<'_>) -> Option<Ranked> {
    if findings.has("CT012") {
        return Some(Ranked { rank: 5, remedy: established(case, findings)? });
    }
    if findings.has("CT013") {
        let s = findings.space(case, &["CT013"])?;
        let (name, value, why) = closed(pile(s)?)?;
        let what = format!("connections in {}", pile(s)?);
        let mut remedy = one(case, s, "CT013", name, value, &what, why)?;
        also(&mut remedy, same_elsewhere(case, findings, s, &["CT013"], |o| pile(o) == pile(s)));
        return Some(Ranked { rank: 6, remedy });
    }
    if findings.has("CT010") {
        let s = findings.space(case, &["CT010"])?;
        let flood = flood_of(s)?;
        let (name, value, why) = match flood.protocol {
            Protocol::Tcp => (
                "nf_conntrack_tcp_timeout_syn_sent",
                SYN_SENT,
                "A connection whose answer takes longer than that fails.",
            ),
            Protocol::Udp | Protocol::UdpLite => (
                "nf_conntrack_udp_timeout",
                UDP,
                "An answer that comes later than that is taken for a new flow.",
            ),
            Protocol::Icmp | Protocol::Icmpv6 => {
                ("nf_conntrack_icmp_timeout", UDP, "Pings with slower answers are not matched.")
            }
            Protocol::Dccp | Protocol::Gre | Protocol::Sctp | Protocol::Other(_) => {
                ("nf_conntrack_generic_timeout", 60, "Tunnels that pause longer are tracked anew.")
            }
        };
        let mut remedy = one(case, s, "CT010", name, value, "unanswered entries", why)?;
        let same = same_elsewhere(case, findings, s, &["CT010"], |other| {
            flood_of(other).is_some_and(|f| f.protocol == flood.protocol)
        });
        also(&mut remedy, same);
        also(&mut remedy, passed_on(case, s));
        return Some(Ranked { rank: 7, remedy });
    }
    None
}

/// What a router can do about a flood of SYNs to one port.
fn passed_on(case: &Case<'_>, s: &Space<'_>) -> Option<String> {
    let flood = flood_of(s).filter(|f| f.protocol == Protocol::Tcp)?;
    let port = flood.service?.port;
    let young = case.after.host.kernel.value().is_some_and(|k| k.rank() >= SYN_PROXY_SINCE);
    let line = fix(&format!("limit tcp/{port} --synproxy"), s).filter(|_| young)?;
    Some(format!("# where this host only passes port {port} on, SYNs need no entries: {line}"))
}

/// A remark on both ways to do it.
fn also(remedy: &mut Remedy, remark: Option<String>) {
    if !remedy.fix.is_empty() {
        remedy.fix.extend(remark.clone());
    }
    remedy.commands.extend(remark);
}

/// The timeout of a state in which closed connections pile up, what it should be, and what that risks.
fn closed(state: TcpState) -> Option<(&'static str, u64, &'static str)> {
    const LATE: &str =
        "A late segment of an old connection may be taken for a new one a little earlier.";
    const HALF: &str = "A connection of which only one end has closed is forgotten if the other pauses \
                        for longer.";
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

/// One global timeout of a namespace.
fn one(
    case: &Case<'_>,
    s: &Space<'_>,
    id: &'static str,
    name: &str,
    value: u64,
    what: &str,
    risk: &str,
) -> Option<Remedy> {
    let now = s.now.setting(name).or_else(|| plimsoll_ct::Setting::find(name)?.default)?;
    if now <= value {
        return None;
    }
    let commands = commands::run_inside(s, [commands::set(case.profile, name, value)]);
    let bare = name.trim_start_matches("nf_conntrack_");
    Some(Remedy {
        id: RemedyId::Timeout,
        title: format!("keep {what} for {value} s instead of {now} s"),
        findings: alloc::vec![id],
        fix: fix(&format!("timeout {bare}={value}"), s).into_iter().collect(),
        commands,
        memory: None,
        risk: risk.to_string(),
        effect: format!(
            "At the same rate such entries take {} of the room. Those in the table keep their expiry, \
             so it shows within {now} s.",
            words::share(ratio(value, now))
        ),
        refused: Vec::new(),
    })
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
    let young = case.after.host.kernel.value().is_some_and(|k| k.rank() >= POLICIES_SINCE);
    let for_all = format!("timeout established={FLOOR}");
    let (title, ours, commands) = match service.filter(|_| young) {
        Some(service) => {
            let mut commands = for_port(case, s, service);
            commands.push(format!("# or for every port of this namespace: {all}"));
            let title = format!("let idle connections to port {} go after 2 h 4 min", service.port);
            let ours = format!("timeout --port tcp/{} established={FLOOR}", service.port);
            (title, ours, commands)
        }
        None => ("let idle connections go after 2 h 4 min".to_string(), for_all, alloc::vec![all]),
    };
    let mut remedy = Remedy {
        id: RemedyId::Timeout,
        title,
        findings: alloc::vec!["CT012"],
        fix: fix(&ours, s).into_iter().collect(),
        commands: commands::run_inside(s, commands),
        memory: None,
        risk: "A connection that stays silent for longer without keepalives is forgotten: behind NAT it \
               breaks, elsewhere it is picked up again by its next packet. Not below 2 h 4 min without \
               knowing the keepalives of both ends."
            .to_string(),
        effect: format!(
            "Connections that go silent from now on leave after 2 h 4 min instead of {}. It frees \
             nothing by itself: an entry takes the new timeout with its next packet, so those that are \
             idle now stay until their old one ends.",
            words::span(now as f64)
        ),
        refused: Vec::new(),
    };
    also(&mut remedy, same_elsewhere(case, findings, s, &["CT012"], |_| true));
    Some(remedy)
}

/// A policy for one port. It is given to a flow with its first packet, so flows that exist keep theirs.
fn for_port(case: &Case<'_>, s: &Space<'_>, service: Service) -> Vec<String> {
    let port = service.port;
    if speaks_nft(case, s) {
        let chain = |hook: &str| {
            format!(
                "nft 'add chain ip plimsoll {hook} {{ type filter hook {hook} priority -150; }}'"
            )
        };
        let rule = |hook: &str| {
            format!(
                "nft 'add rule ip plimsoll {hook} tcp dport {port} ct timeout set \"idle{port}\"'"
            )
        };
        return alloc::vec![
            "nft add table ip plimsoll".to_string(),
            format!(
                "nft 'add ct timeout ip plimsoll idle{port} {{ protocol tcp; l3proto ip; policy = {{ \
                 established : {FLOOR} }}; }}'"
            ),
            chain("prerouting"),
            chain("output"),
            rule("prerouting"),
            rule("output"),
            "# for IPv6 the same with ip6 in place of ip; undo: nft delete table ip plimsoll"
                .to_string(),
        ];
    }
    let rule = |chain: &str| -> String {
        format!("iptables -t raw -I {chain} -p tcp --dport {port} -j CT --timeout idle{port}")
    };
    alloc::vec![
        format!("nfct add timeout idle{port} inet tcp established {FLOOR}"),
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
