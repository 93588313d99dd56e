//! How short a timeout may be, and whom a shorter one hurts.

/// What is known of one timeout.
pub(super) struct Floor {
    /// Setting under net.netfilter, without `nf_conntrack_`.
    pub(super) name: &'static str,
    /// Shorter is refused: nothing works with it.
    pub(super) never_below: u64,
    /// Shorter is warned of.
    pub(super) hurts_below: u64,
    /// Whom it hurts.
    pub(super) why: &'static str,
}

const LATE: &str = "a late segment of an old connection may be taken for a new one";
const HALF: &str =
    "a connection that only one end has closed is forgotten when the other pauses for longer";
const SLOW: &str = "a connection whose handshake takes longer fails";

/// RFC 5382 REQ-5 (2 h 4 min for established connections: keepalives come every two hours where nobody chose
/// otherwise), RFC 4787 REQ-5 (2 min for UDP), RFC 9308 section 3.2 (QUIC: keepalives every 30 s at best).
const FLOORS: &[Floor] = &[
    Floor {
        name: "tcp_timeout_established",
        never_below: 60,
        hurts_below: 7440,
        why: "RFC 5382 wants 2 h 4 min: keepalives come every two hours where nobody chose otherwise",
    },
    Floor {
        name: "udp_timeout_stream",
        never_below: 15,
        hurts_below: 120,
        why: "RFC 4787 wants 2 min; QUIC, WireGuard and the like send keepalives every 15 to 30 s at best, \
              and many not at all",
    },
    Floor {
        name: "udp_timeout",
        never_below: 2,
        hurts_below: 10,
        why: "an answer that comes later is taken for a new flow (slow DNS)",
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
        why: "a peer that is out of reach for a moment finds its connection forgotten",
    },
    Floor {
        name: "tcp_timeout_unacknowledged",
        never_below: 10,
        hurts_below: 60,
        why: "a peer that is out of reach for a moment finds its connection forgotten",
    },
    Floor {
        name: "generic_timeout",
        never_below: 5,
        hurts_below: 60,
        why: "tunnels that pause for longer are tracked anew",
    },
    Floor {
        name: "icmp_timeout",
        never_below: 1,
        hurts_below: 5,
        why: "pings with slower answers are not matched",
    },
    Floor {
        name: "sctp_timeout_established",
        never_below: 60,
        hurts_below: 210,
        why: "heartbeats come every 30 s at best",
    },
];

/// By the bare name of a setting. What no floor is known of must be one second at least.
pub(super) fn floor(name: &str) -> &'static Floor {
    const OTHER: &Floor = &Floor { name: "", never_below: 1, hurts_below: 1, why: "" };
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
