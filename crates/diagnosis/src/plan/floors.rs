//! How short a timeout may be, and whom a shorter one hurts.

use crate::Said;

/// What is known of one timeout.
pub(super) struct Floor {
    /// Setting under net.netfilter, without `nf_conntrack_`.
    pub(super) name: &'static str,
    /// Shorter is refused: nothing works with it.
    pub(super) never_below: u64,
    /// Shorter is warned of.
    pub(super) hurts_below: u64,
    /// Whom it hurts.
    pub(super) why: Said,
}

const LATE: Said = Said::of(
    "a late segment of an old connection may be taken for a new one",
    "旧连接迟到的报文段可能被当成新连接",
);
const HALF: Said = Said::of(
    "a connection that only one end has closed is forgotten when the other pauses for longer",
    "只有一端关闭的连接，另一端停顿更久就会被忘掉",
);
const SLOW: Said =
    Said::of("a connection whose handshake takes longer fails", "握手更慢的连接会失败");

/// RFC 5382 REQ-5 (2 h 4 min for established connections: keepalives come every two hours where nobody chose
/// otherwise), RFC 4787 REQ-5 (2 min for UDP), RFC 9308 section 3.2 (QUIC: keepalives every 30 s at best).
const FLOORS: &[Floor] = &[
    Floor {
        name: "tcp_timeout_established",
        never_below: 60,
        hurts_below: 7440,
        why: Said::of(
            "RFC 5382 wants 2 h 4 min: keepalives come every two hours where nobody chose otherwise",
            "RFC 5382 要求 2 小时 4 分钟：没有人另行设置时，keepalive 每两小时才来一次",
        ),
    },
    Floor {
        name: "udp_timeout_stream",
        never_below: 15,
        hurts_below: 120,
        why: Said::of(
            "RFC 4787 wants 2 min; QUIC, WireGuard and the like send keepalives every 15 to 30 s at best, \
             and many not at all",
            "RFC 4787 要求 2 分钟；QUIC、WireGuard 之类最快每 15 到 30 秒发一次 keepalive，许多根本不发",
        ),
    },
    Floor {
        name: "udp_timeout",
        never_below: 2,
        hurts_below: 10,
        why: Said::of(
            "an answer that comes later is taken for a new flow (slow DNS)",
            "更晚到来的应答会被当成新流（慢的 DNS）",
        ),
    },
    Floor { name: "tcp_timeout_syn_sent", never_below: 5, hurts_below: 20, why: SLOW },
    Floor { name: "tcp_timeout_syn_recv", never_below: 5, hurts_below: 20, why: SLOW },
    Floor { name: "tcp_timeout_fin_wait", never_below: 5, hurts_below: 60, why: HALF },
    Floor { name: "tcp_timeout_close_wait", never_below: 5, hurts_below: 30, why: HALF },
    Floor { name: "tcp_timeout_last_ack", never_below: 2, hurts_below: 15, why: LATE },
    Floor { name: "tcp_timeout_time_wait", never_below: 2, hurts_below: 30, why: LATE },
    Floor { name: "tcp_timeout_close", never_below: 1, hurts_below: 5, why: LATE },
    Floor {
        name: "tcp_timeout_max_retrans",
        never_below: 10,
        hurts_below: 60,
        why: Said::of(
            "a peer that is out of reach for a moment finds its connection forgotten",
            "对端暂时不可达，连接就被忘掉了",
        ),
    },
    Floor {
        name: "tcp_timeout_unacknowledged",
        never_below: 10,
        hurts_below: 60,
        why: Said::of(
            "a peer that is out of reach for a moment finds its connection forgotten",
            "对端暂时不可达，连接就被忘掉了",
        ),
    },
    Floor {
        name: "generic_timeout",
        never_below: 5,
        hurts_below: 60,
        why: Said::of(
            "tunnels that pause for longer are tracked anew",
            "停顿更久的隧道会被重新跟踪",
        ),
    },
    Floor {
        name: "icmp_timeout",
        never_below: 1,
        hurts_below: 5,
        why: Said::of("pings with slower answers are not matched", "应答更慢的 ping 对不上"),
    },
    Floor {
        name: "sctp_timeout_established",
        never_below: 60,
        hurts_below: 210,
        why: Said::of("heartbeats come every 30 s at best", "心跳最快每 30 秒一次"),
    },
];

/// By the bare name of a setting. What no floor is known of must be one second at least.
pub(super) fn floor(name: &str) -> &'static Floor {
    const OTHER: &Floor =
        &Floor { name: "", never_below: 1, hurts_below: 1, why: Said::of("", "") };
    let short = name.strip_prefix("nf_conntrack_").unwrap_or(name);
    FLOORS.iter().find(|f| f.name == short).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_floor_is_that_of_a_setting() {
        for floor in FLOORS {
            let name = alloc::format!("nf_conntrack_{}", floor.name);
            let setting = plimsoll_ct::Setting::find(&name);
            assert!(setting.is_some_and(|s| s.unit == plimsoll_ct::Unit::Seconds), "{name}");
            assert!(floor.never_below <= floor.hurts_below, "{name}");
        }
    }
}
