//! Entries that outlive their use: idle ESTABLISHED, TIME_WAIT and its like (CT012, CT013).
//!
//! Kernel: `tcp_timeouts[]`. An ESTABLISHED entry whose peers vanished without a FIN stays for five
//! days by default, and nothing evicts it.

use alloc::vec::Vec;

use crate::Said;
use plimsoll_ct::{DccpState, Protocol, SctpState, Setting, State, TcpState};

use super::{Draft, source_of};
use crate::Severity;
use crate::case::{Case, Space};
use crate::facts::{AgeBand, Census, Source};
use crate::groups::{self, ratio, sum};
use crate::words;

/// Shortest ESTABLISHED timeout that keeps connections alive which send a keepalive each two hours, as
/// hosts do by default: 2 h 4 min (RFC 5382, REQ-5).
pub(crate) const FLOOR: u64 = 7440;
/// Compiled-in ESTABLISHED timeout.
pub(super) const FIVE_DAYS: u64 = 432_000;
/// Idle entries of so much of the limit are worth a cure whatever else there is.
pub(super) const IDLE_OF_LIMIT: f64 = 0.30;
/// … or of so much of what cannot be evicted, in a table that is half full.
pub(super) const IDLE_OF_PROTECTED: f64 = 0.50;
/// Fewer than this never matter.
pub(super) const IDLE_LEAST: u64 = 100;
/// Half full: below, nothing is short of room.
pub(super) const HALF_FULL: f64 = 0.50;
/// Closing entries that make up more than half of a table.
pub(super) const CLOSING_SHARE: f64 = 0.50;

/// Finds what outlives its use.
pub(super) fn find(case: &Case<'_>, found: &mut Vec<Draft>) {
    for (i, s) in case.spaces.iter().enumerate() {
        found.extend(idle(case, i, s));
        found.extend(closing(i, s));
    }
}

/// The ESTABLISHED timeout in force in a namespace.
pub(crate) fn established_timeout(s: &Space<'_>) -> u64 {
    s.now.setting("nf_conntrack_tcp_timeout_established").unwrap_or(FIVE_DAYS)
}

/// CT012: connections idle for over an hour.
fn idle(case: &Case<'_>, i: usize, s: &Space<'_>) -> Option<Draft> {
    let (census, scale) = s.census()?;
    let max = s.limit()?;
    let band = |wanted: AgeBand| -> u64 {
        let rows = census.established_idle.iter().filter(|(b, _)| *b == wanted);
        rows.fold(0u64, |sum, (_, n)| sum.saturating_add(*n))
    };
    let (day, older) = (scale.up(band(AgeBand::Day)), scale.up(band(AgeBand::Older)));
    let idle = day.saturating_add(older);
    let unmovable = case.unmovable(s)?;
    let of_limit = ratio(idle, max);
    let of_protected = ratio(idle, unmovable).min(1.0);
    let half_full = s.fullness()? >= HALF_FULL;
    if idle < IDLE_LEAST
        || !(of_limit > IDLE_OF_LIMIT || (half_full && of_protected > IDLE_OF_PROTECTED))
    {
        return None;
    }
    let total = scale.up(census.total.total());
    let to = census
        .idle_services
        .rows
        .first()
        .filter(|(_, t)| ratio(scale.up(t.total()), idle) > 0.5)
        .map(|(svc, _)| said!(" {}", "{:#}", groups::to_service(*svc)))
        .unwrap_or_default();
    let timeout = established_timeout(s);
    let freed = if timeout > FLOOR {
        let (least, most) = (words::count(older), words::count(idle));
        let many = if older == idle {
            Said::name(most)
        } else {
            said!("between {least} and {most}", "{least} 到 {most}")
        };
        said!(
            " With a timeout of 2 h 4 min {many} of them would be gone by now.",
            "如果超时是 2 小时 4 分钟，其中 {many:#} 条现在已经不在。"
        )
    } else {
        said!(" The timeout is {} already.", "超时已经是 {:#}。", words::span(timeout as f64))
    };
    let summary = said!(
        "{} ESTABLISHED connections{to} have been idle for over an hour ({} of the limit); they \
         stay for {} and nothing evicts them.{freed}",
        "{0} 条{to:#} ESTABLISHED 连接已空闲超过一小时（占上限的 {1:#}）；它们会留 {2:#}，并且不可淘汰。{freed:#}",
        words::count(idle),
        words::share(of_limit),
        words::span(timeout as f64)
    );
    let source = source_of(&s.now.census);
    let mut draft = Draft::new("CT012", Severity::Warning, Some(i), summary)
        .explains(ratio(idle, total))
        .clause(said!(
            "{} ESTABLISHED entries{to} idle for over an hour",
            "{:#} 是{to:#}空闲超过一小时的 ESTABLISHED 条目",
            words::share(ratio(idle, total).min(1.0))
        ))
        .count(said!("idle 1 h to 1 day", "空闲 1 小时到 1 天"), day, "entries", source.clone())
        .count(said!("idle over 1 day", "空闲超过 1 天"), older, "entries", source.clone())
        .count(
            said!("timeout of ESTABLISHED", "ESTABLISHED 的超时"),
            timeout,
            "s",
            Source::name("nf_conntrack_tcp_timeout_established"),
        );
    for (service, tally) in census.idle_services.rows.iter().take(3) {
        let what = said!("idle {}", "{:#}空闲条目", groups::to_service(*service));
        draft = draft.count(what, scale.up(tally.total()), "entries", source.clone());
    }
    Some(draft)
}

/// The closed connections among the entries that were read, by state.
struct Closing {
    /// All of them.
    all: u64,
    /// The state that most of them are in.
    state: TcpState,
    /// Those.
    of_state: u64,
}

impl Closing {
    /// Counts them. `None`: there are none.
    fn of(census: &Census) -> Option<Self> {
        const STATES: [TcpState; 5] = [
            TcpState::TimeWait,
            TcpState::FinWait,
            TcpState::CloseWait,
            TcpState::LastAck,
            TcpState::Close,
        ];
        let count = |state: TcpState| {
            let rows = census
                .states
                .iter()
                .filter(|(k, _)| k.protocol == Protocol::Tcp && k.state == State::Tcp(state));
            (state, sum(rows.map(|(_, t)| t.total())))
        };
        let counts = STATES.map(count);
        let mut most = counts[0];
        for other in counts {
            if other.1 > most.1 {
                most = other;
            }
        }
        let all = sum(counts.into_iter().map(|(_, n)| n));
        (all > 0).then_some(Self { all, state: most.0, of_state: most.1 })
    }
}

/// The state that most of the closed connections of a namespace are in.
pub(crate) fn pile(s: &Space<'_>) -> Option<TcpState> {
    Some(Closing::of(s.now.census.value()?)?.state)
}

/// CT013: closed connections waiting out their timeout.
fn closing(i: usize, s: &Space<'_>) -> Option<Draft> {
    let (census, scale) = s.census()?;
    let fullness = s.fullness()?;
    if fullness < HALF_FULL {
        return None;
    }
    let Closing { all: closing, state, of_state } = Closing::of(census)?;
    let all = census.total.total();
    let share = ratio(closing, all);
    if share <= CLOSING_SHARE {
        return None;
    }
    let to = census
        .services
        .rows
        .first()
        .filter(|(_, t)| ratio(t.total(), all) > 0.5)
        .map(|(svc, _)| said!(" {}", "{:#}", groups::to_service(*svc)))
        .unwrap_or_default();
    let summary = said!(
        "{} closed connections{to} ({} in {state}) wait out their timeout: {} of a table that is \
         {} full.",
        "{} 条{to:#}已关闭连接（{} 条在 {state}）正在等超时：占了表的 {:#}，而表已用 {:#}。",
        words::count(scale.up(closing)),
        words::count(scale.up(of_state)),
        words::share(share),
        words::share(fullness)
    );
    let source = source_of(&s.now.census);
    Some(
        Draft::new("CT013", Severity::Warning, Some(i), summary)
            .explains(share)
            .clause(said!(
                "{} closed connections{to} waiting out their timeout",
                "{:#} 是{to:#}正在等超时的已关闭连接",
                words::share(share)
            ))
            .count(
                said!("closing entries", "关闭中的条目"),
                scale.up(closing),
                "entries",
                source.clone(),
            )
            .count(said!("in {state}", "处于 {state}"), scale.up(of_state), "entries", source),
    )
}

/// How long an entry of this kind lives from its last packet on, in seconds, by the settings in force
/// or the compiled-in default. `None`: as long as somebody talks (ESTABLISHED and what is not known).
pub(crate) fn lifetime(
    case: &Case<'_>,
    s: &Space<'_>,
    protocol: Protocol,
    state: State,
    replied: bool,
) -> Option<u64> {
    let named = |name: &str| -> Option<u64> {
        s.now.setting(name).or_else(|| Setting::find(name).and_then(|known| known.default))
    };
    match (protocol, state) {
        (_, State::Tcp(state)) => match state {
            TcpState::SynSent | TcpState::SynSent2 => named("nf_conntrack_tcp_timeout_syn_sent"),
            TcpState::SynRecv => named("nf_conntrack_tcp_timeout_syn_recv"),
            // Never answered: capped since 2.6.3x by the time for unacknowledged data.
            TcpState::Established if !replied => named("nf_conntrack_tcp_timeout_unacknowledged"),
            TcpState::Established | TcpState::None | TcpState::Other(_) => None,
            TcpState::FinWait => named("nf_conntrack_tcp_timeout_fin_wait"),
            TcpState::CloseWait => named("nf_conntrack_tcp_timeout_close_wait"),
            TcpState::LastAck => named("nf_conntrack_tcp_timeout_last_ack"),
            TcpState::TimeWait => named("nf_conntrack_tcp_timeout_time_wait"),
            TcpState::Close => named("nf_conntrack_tcp_timeout_close"),
        },
        (_, State::Sctp(state)) => match state {
            SctpState::Closed => named("nf_conntrack_sctp_timeout_closed"),
            SctpState::CookieWait => named("nf_conntrack_sctp_timeout_cookie_wait"),
            SctpState::CookieEchoed => named("nf_conntrack_sctp_timeout_cookie_echoed"),
            SctpState::ShutdownSent
            | SctpState::ShutdownRecd
            | SctpState::ShutdownAckSent
            | SctpState::HeartbeatSent
            | SctpState::HeartbeatAcked => Some(30),
            SctpState::Established | SctpState::None | SctpState::Other(_) => None,
        },
        (_, State::Dccp(state)) => match state {
            DccpState::CloseReq | DccpState::Closing => Some(64),
            DccpState::TimeWait => Some(240),
            DccpState::None
            | DccpState::Request
            | DccpState::Respond
            | DccpState::PartOpen
            | DccpState::Open
            | DccpState::Ignore
            | DccpState::Invalid
            | DccpState::Other(_) => None,
        },
        (Protocol::Udp | Protocol::UdpLite, State::Stateless) => {
            if replied {
                Some(
                    s.now
                        .setting("nf_conntrack_udp_timeout_stream")
                        .unwrap_or(case.profile.udp_stream.0),
                )
            } else {
                named("nf_conntrack_udp_timeout")
            }
        }
        (Protocol::Icmp, State::Stateless) => named("nf_conntrack_icmp_timeout"),
        (Protocol::Icmpv6, State::Stateless) => named("nf_conntrack_icmpv6_timeout"),
        (Protocol::Gre, State::Stateless) => Some(if replied { 180 } else { 30 }),
        (
            Protocol::Tcp | Protocol::Sctp | Protocol::Dccp | Protocol::Other(_),
            State::Stateless,
        ) => named("nf_conntrack_generic_timeout"),
    }
}
