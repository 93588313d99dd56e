//! Which timeout an entry got with its last packet.
//!
//! Kernel: `tcp_timeouts[]`, `sctp_timeouts[]`, `udp_timeouts[]` …, Documentation/networking/nf_conntrack-sysctl.rst.

use crate::{DccpState, Protocol, SctpState, Seconds, State, TcpState};

/// Name of the timeout without `nf_conntrack_`: `tcp_timeout_time_wait`. `None`: the source told no state of a
/// protocol that has states, or one that this build does not know.
pub const fn timeout_name(
    protocol: Protocol,
    state: State,
    assured: bool,
    replied: bool,
) -> Option<&'static str> {
    Some(match (protocol, state) {
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
        (Protocol::Udp, State::Stateless) if assured => "udp_timeout_stream",
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
/// What an entry gets as it goes into a flow table, and again whenever half of it is gone.
pub const OFFLOADED: Seconds = Seconds(86_400);

/// How long an ESTABLISHED entry has been idle at least, if it may have come out of a flow table: its seconds then tell when it
/// went in, not when its last packet came. `None`: it has more seconds left than it could have after that.
///
/// Kernel: `nf_flow_table_core.c`, `nf_conntrack_core.c`; seen on 6.12, 6.18 and 7.3 (6.1 lets go of it with the timeout of its state).
pub const fn idle_behind_flow_table(established: Seconds, left: Seconds) -> Option<Seconds> {
    if established.get() <= OFFLOADED.get() || left.get() > OFFLOADED.get() {
        return None;
    }
    Some(Seconds((OFFLOADED.get() / 2).saturating_sub(left.get())))
}
