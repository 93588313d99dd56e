//! Which entries to delete: a few words that a person can check against what they know.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use plimsoll_ct::{Entry, Protocol, Seconds, State, TcpState};
use serde::{Deserialize, Serialize};

use crate::Said;
use crate::facts::TcpTimeouts;

/// Entries that fulfil every condition. One without a condition matches nothing: there is no blind flush.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Filter {
    /// No answer was seen.
    pub unreplied: bool,
    /// IP protocol number.
    pub protocol: Option<u8>,
    /// Destination port of the original direction.
    pub port: Option<u16>,
    /// State of TCP, as conntrack(8) names it.
    pub state: Option<String>,
    /// Source address of the original direction, with the length of the prefix in bits.
    pub source: Option<(IpAddr, u8)>,
    /// ESTABLISHED TCP without a packet for so many seconds, or more.
    pub idle: Option<Idle>,
    /// The destination of the original direction is one of these addresses, and its source is none of them: connections
    /// from elsewhere to a host with these addresses. Empty: no condition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub served_by: Vec<IpAddr>,
    /// Also assured entries whose addresses are rewritten: their connections break. No condition by itself.
    pub with_nat: bool,
}

/// Idle time, with the timeouts that tell it from the time an entry has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idle {
    /// Seconds.
    pub at_least: u64,
    /// `nf_conntrack_tcp_timeout_established` of the namespace, in seconds.
    pub established: u64,
    /// The larger of `…_unacknowledged` and `…_max_retrans`, in seconds.
    pub in_flight: u64,
    /// Whether entries may come out of a flow table: then less is certain of their idle time.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub offload: bool,
}

impl Idle {
    /// With the timeouts of a namespace.
    pub const fn new(at_least: u64, timeouts: TcpTimeouts) -> Self {
        Self {
            at_least,
            established: timeouts.established.get(),
            in_flight: timeouts.in_flight.get(),
            offload: timeouts.offload,
        }
    }

    /// How long an entry has been idle. `None`: not ESTABLISHED, or it can't be told.
    pub fn of(self, entry: &Entry) -> Option<u64> {
        if entry.state != State::Tcp(TcpState::Established) {
            return None;
        }
        let timeouts = TcpTimeouts {
            established: Seconds(self.established),
            in_flight: Seconds(self.in_flight),
            offload: self.offload,
        };
        Some(timeouts.idle(entry.expires?).get())
    }
}

impl Filter {
    /// Whether it has a condition at all.
    pub fn is_empty(&self) -> bool {
        Self { with_nat: false, ..self.clone() } == Self::default()
    }

    /// Whether an entry is one of those.
    pub fn matches(&self, entry: &Entry) -> bool {
        let rewritten = entry.is_source_rewritten() || entry.is_destination_rewritten();
        let spared = rewritten && entry.is_assured() && !self.with_nat;
        let answered = self.unreplied && entry.is_replied();
        if self.is_empty() || spared || answered {
            return false;
        }
        let state = |name: &str| match entry.state {
            State::Tcp(state) => state.name() == Some(name),
            State::Stateless | State::Dccp(_) | State::Sctp(_) => false,
        };
        self.protocol.is_none_or(|p| entry.original.protocol.number() == p)
            && self.port.is_none_or(|p| entry.original.destination_port() == Some(p))
            && self.state.as_deref().is_none_or(state)
            && self.source.is_none_or(|(net, bits)| within(entry.original.source, net, bits))
            && self.idle.is_none_or(|i| i.of(entry).is_some_and(|idle| idle >= i.at_least))
            && (self.served_by.is_empty()
                || self.served_by.contains(&entry.original.destination)
                    && !self.served_by.contains(&entry.original.source))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said())
    }
}

impl Filter {
    /// Its conditions in words.
    pub fn said(&self) -> Said {
        let mut words: Vec<Said> = Vec::new();
        if self.unreplied {
            words.push(Said::of("unreplied", "没有应答"));
        }
        if let Some(number) = self.protocol {
            words.push(match Protocol::from_number(number) {
                Protocol::Other(n) => said!("protocol {n}", "协议 {n}"),
                known => Said::name(known.name()),
            });
        }
        if let Some(state) = &self.state {
            words.push(Said::name(state.as_str()));
        }
        if let Some(port) = self.port {
            words.push(said!("to port {port}", "通往端口 {port}"));
        }
        if let Some((net, bits)) = self.source {
            words.push(said!("from {net}/{bits}", "来自 {net}/{bits}"));
        }
        if !self.served_by.is_empty() {
            words.push(Said::of("to this host from elsewhere", "从别处到本机"));
        }
        if let Some(idle) = self.idle {
            words.push(said!(
                "ESTABLISHED and idle for {} s or more",
                "ESTABLISHED 且空闲 {} 秒以上",
                idle.at_least
            ));
        }
        Said::join(&words, &Said::of(", ", "，"))
    }
}

fn within(address: IpAddr, net: IpAddr, bits: u8) -> bool {
    let (address, net, width) = match (address, net) {
        (IpAddr::V4(a), IpAddr::V4(n)) => (u128::from(a.to_bits()), u128::from(n.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => (a.to_bits(), n.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let cut = width - u32::from(bits).min(width);
    address.checked_shr(cut).unwrap_or(0) == net.checked_shr(cut).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use plimsoll_ct::{L4, Status, Tuple};

    #[test]
    fn a_prefix_holds_its_own_addresses_only() {
        let net = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(within(net("192.0.2.77"), net("192.0.2.0"), 24));
        assert!(!within(net("192.0.3.77"), net("192.0.2.0"), 24));
        assert!(within(net("203.0.113.9"), net("0.0.0.0"), 0));
        assert!(within(net("2001:db8::1"), net("2001:db8::"), 32));
        assert!(!within(net("192.0.2.1"), net("::"), 0), "another family");
        assert!(within(net("::1"), net("::1"), 200), "a length beyond the address is all of it");
    }

    #[test]
    fn assured_entries_with_rewritten_addresses_are_spared() {
        let address = |last| IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, last));
        let tuple = |from, to, source, destination| Tuple {
            source: address(from),
            destination: address(to),
            protocol: Protocol::Tcp,
            l4: L4::Ports { source, destination },
        };
        let state = State::Tcp(TcpState::Established);
        let assured = Status::SEEN_REPLY | Status::ASSURED;
        let plain = Entry::new(tuple(1, 2, 1000, 80), tuple(2, 1, 80, 1000), state, assured);
        let nat = Entry::new(tuple(1, 2, 1000, 80), tuple(2, 9, 80, 1000), state, assured);
        let filter = Filter { port: Some(80), ..Filter::default() };
        assert!(filter.matches(&plain) && !filter.matches(&nat));
        assert!(Filter { with_nat: true, ..filter }.matches(&nat));
        let nothing = Filter { with_nat: true, ..Filter::default() };
        assert!(nothing.is_empty() && !nothing.matches(&nat), "it is no condition");
    }

    #[test]
    fn a_filter_without_a_condition_has_no_words_and_is_empty() {
        let filter = Filter::default();
        assert!(filter.is_empty());
        assert_eq!(filter.to_string(), "");
        let filter = Filter { unreplied: true, protocol: Some(6), port: Some(443), ..filter };
        assert_eq!(filter.to_string(), "unreplied, tcp, to port 443");
    }
}
