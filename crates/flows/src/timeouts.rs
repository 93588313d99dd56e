//! How long an entry has been idle, from the seconds it has left.
//!
//! The kernel keeps no time of the last packet; it sets the remaining seconds anew to the timeout of the state. So
//! idle = timeout - remaining, as far as the timeout is known and was not changed since.
//!
//! Kernel: Documentation/networking/nf_conntrack-sysctl.rst; `nf_ct_refresh_acct()`.

use alloc::boxed::Box;
use alloc::vec::Vec;

use plimsoll_ct::{DccpState, Protocol, Row, SctpState, Seconds, State, Status, TcpState};

/// The timeouts in force in one namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeouts(Vec<(Box<str>, Seconds)>);

impl Timeouts {
    /// From sysctl names and values: `nf_conntrack_tcp_timeout_established`, 432000. The names of ip_conntrack are
    /// understood; what is no timeout is left out.
    pub fn new<'a>(settings: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let bare = |name: &'a str| {
            let name = name.rsplit('.').next().unwrap_or(name);
            name.strip_prefix("nf_conntrack_").or_else(|| name.strip_prefix("ip_conntrack_"))
        };
        let mut found: Vec<(Box<str>, Seconds)> = settings
            .into_iter()
            .filter_map(|(name, value)| Some((bare(name)?, Seconds(value))))
            .filter(|(name, _)| name.contains("timeout"))
            .map(|(name, value)| (name.into(), value))
            .collect();
        found.sort();
        Self(found)
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A timeout by its name without `nf_conntrack_`.
    pub fn get(&self, name: &str) -> Option<Seconds> {
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| *value)
    }

    /// Seconds since the last packet that refreshed the entry. `None`: not known, since the timeout is not, or was
    /// lowered since, or the entry has none (offloaded) or a fixed one.
    pub fn idle(&self, entry: &Row) -> Option<Seconds> {
        let left = entry.expires?;
        if entry.status.contains(Status::FIXED_TIMEOUT) {
            return None;
        }
        let whole = self.get(name(entry)?)?;
        if entry.state == State::Tcp(TcpState::Established) {
            // With data in flight or a zero window it gets the smaller of these, and the entry does not tell which.
            // The shorter idle time is taken: nothing is called idle that may be busy.
            let in_flight =
                self.get("tcp_timeout_unacknowledged").max(self.get("tcp_timeout_max_retrans"));
            if let Some(in_flight) = in_flight.filter(|t| *t < whole && left <= *t) {
                return Some(in_flight.saturating_sub(left));
            }
        }
        (left <= whole).then(|| whole.saturating_sub(left))
    }
}

/// Which timeout an entry got with its last packet.
fn name(entry: &Row) -> Option<&'static str> {
    let replied = entry.is_replied();
    Some(match (entry.original.protocol, entry.state) {
        (_, State::Tcp(state)) => match state {
            TcpState::SynSent | TcpState::SynSent2 => "tcp_timeout_syn_sent",
            TcpState::SynRecv => "tcp_timeout_syn_recv",
            TcpState::Established => "tcp_timeout_established",
            TcpState::FinWait => "tcp_timeout_fin_wait",
            TcpState::CloseWait => "tcp_timeout_close_wait",
            TcpState::LastAck => "tcp_timeout_last_ack",
            TcpState::TimeWait => "tcp_timeout_time_wait",
            TcpState::Close => "tcp_timeout_close",
            TcpState::None | TcpState::Other(_) => return None,
        },
        (_, State::Sctp(state)) => match state {
            SctpState::Closed => "sctp_timeout_closed",
            SctpState::CookieWait => "sctp_timeout_cookie_wait",
            SctpState::CookieEchoed => "sctp_timeout_cookie_echoed",
            SctpState::Established => "sctp_timeout_established",
            SctpState::ShutdownSent => "sctp_timeout_shutdown_sent",
            SctpState::ShutdownRecd => "sctp_timeout_shutdown_recd",
            SctpState::ShutdownAckSent => "sctp_timeout_shutdown_ack_sent",
            SctpState::HeartbeatSent => "sctp_timeout_heartbeat_sent",
            SctpState::HeartbeatAcked => "sctp_timeout_heartbeat_acked",
            SctpState::None | SctpState::Other(_) => return None,
        },
        (_, State::Dccp(state)) => match state {
            DccpState::Request => "dccp_timeout_request",
            DccpState::Respond => "dccp_timeout_respond",
            DccpState::PartOpen => "dccp_timeout_partopen",
            DccpState::Open => "dccp_timeout_open",
            DccpState::CloseReq => "dccp_timeout_closereq",
            DccpState::Closing => "dccp_timeout_closing",
            DccpState::TimeWait => "dccp_timeout_timewait",
            DccpState::None | DccpState::Ignore | DccpState::Invalid | DccpState::Other(_) => {
                return None;
            }
        },
        (Protocol::Udp, State::Stateless) if entry.is_assured() => "udp_timeout_stream",
        (Protocol::Udp, State::Stateless) => "udp_timeout",
        (Protocol::UdpLite, State::Stateless) if replied => "udplite_timeout_stream",
        (Protocol::UdpLite, State::Stateless) => "udplite_timeout",
        (Protocol::Gre, State::Stateless) if replied => "gre_timeout_stream",
        (Protocol::Gre, State::Stateless) => "gre_timeout",
        (Protocol::Icmp, State::Stateless) => "icmp_timeout",
        (Protocol::Icmpv6, State::Stateless) => "icmpv6_timeout",
        (Protocol::Other(_), State::Stateless) => "generic_timeout",
        // Trackers with states, of which the source told none.
        (Protocol::Tcp | Protocol::Sctp | Protocol::Dccp, State::Stateless) => return None,
    })
}
