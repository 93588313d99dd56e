//! The left side of a condition, and what the values at its right mean.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde_json::Value;

use super::text;
use crate::filter::numbers::{self, Numbers};
use crate::filter::{Side, TableFamily, Test, icmp, protocol};

/// The left side of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Protocol,
    /// The header that names the next one: of IPv4 or IPv6 only.
    ProtocolOf(TableFamily),
    Family,
    EtherType,
    /// With the protocol that the port is of; `None`: any (`th dport`).
    Port(Side, Option<u128>),
    Address(Side, TableFamily),
    Iif,
    Oif,
    State,
    Status,
    TcpFlags,
    IcmpType(bool),
    IcmpCode(bool),
    Local(Side),
}

impl What {
    pub(super) fn of(left: &Value) -> Option<Self> {
        if let Some(key) = left.get("meta").map(|m| text(m, "key")) {
            return Some(match key {
                "l4proto" => Self::Protocol,
                "nfproto" => Self::Family,
                "protocol" => Self::EtherType,
                "iif" | "iifname" => Self::Iif,
                "oif" | "oifname" => Self::Oif,
                _ => return None,
            });
        }
        if let Some(ct) = left.get("ct") {
            return match text(ct, "key") {
                "state" => Some(Self::State),
                "status" => Some(Self::Status),
                _ => None,
            };
        }
        if let Some(fib) = left.get("fib") {
            let flags = fib.get("flags").and_then(Value::as_array)?;
            return match (text(fib, "result"), flags.first().and_then(Value::as_str)?) {
                ("type", "daddr") => Some(Self::Local(Side::Destination)),
                ("type", "saddr") => Some(Self::Local(Side::Source)),
                _ => None,
            };
        }
        use TableFamily::{Ip, Ip6};
        let (header, name) = field(left);
        let transport = match header {
            "th" => Some(None),
            "tcp" | "udp" | "sctp" | "dccp" | "udplite" => Some(protocol(header)),
            _ => None,
        };
        Some(match (header, name) {
            ("tcp", "flags") => Self::TcpFlags,
            (_, "sport") => Self::Port(Side::Source, transport?),
            (_, "dport") => Self::Port(Side::Destination, transport?),
            ("ip", "saddr") => Self::Address(Side::Source, Ip),
            ("ip", "daddr") => Self::Address(Side::Destination, Ip),
            ("ip6", "saddr") => Self::Address(Side::Source, Ip6),
            ("ip6", "daddr") => Self::Address(Side::Destination, Ip6),
            ("ip", "protocol") => Self::ProtocolOf(Ip),
            ("ip6", "nexthdr") => Self::ProtocolOf(Ip6),
            ("icmp", "type") => Self::IcmpType(false),
            ("icmp", "code") => Self::IcmpCode(false),
            ("icmpv6", "type") => Self::IcmpType(true),
            ("icmpv6", "code") => Self::IcmpCode(true),
            _ => return None,
        })
    }

    pub(super) fn test(self, numbers: Arc<Numbers>) -> Test {
        let all = |first, second| Test::All([first, second].into());
        let protocol = |n| Test::Protocol(Arc::new(Numbers::one(n)));
        let every = || Arc::new(Numbers::new(alloc::vec![(0, 255)]));
        match self {
            Self::Protocol => Test::Protocol(numbers),
            Self::ProtocolOf(family) => all(Test::Family(family), Test::Protocol(numbers)),
            Self::Family | Self::EtherType => match (numbers.has(4), numbers.has(6)) {
                (true, true) => Test::Always,
                (true, false) => Test::Family(TableFamily::Ip),
                (false, true) => Test::Family(TableFamily::Ip6),
                (false, false) => Test::Not(Arc::new(Test::Always)),
            },
            Self::Port(side, None) => Test::Port(side, numbers),
            Self::Port(side, Some(of)) => all(protocol(of), Test::Port(side, numbers)),
            Self::Address(side, family) => all(Test::Family(family), Test::Address(side, numbers)),
            Self::IcmpType(six) => {
                all(protocol(if six { 58 } else { 1 }), Test::Icmp(numbers, None))
            }
            Self::IcmpCode(six) => {
                all(protocol(if six { 58 } else { 1 }), Test::Icmp(every(), Some(numbers)))
            }
            Self::Iif
            | Self::Oif
            | Self::State
            | Self::Status
            | Self::TcpFlags
            | Self::Local(_) => Test::Unknown,
        }
    }
}

/// Protocol and field of a payload.
pub(super) fn field(left: &Value) -> (&str, &str) {
    left.get("payload").map_or(("", ""), |p| (text(p, "protocol"), text(p, "field")))
}
/// The range of one value.
pub(super) fn range(what: &What, value: &Value) -> Option<(u128, u128)> {
    if let Some([first, last]) = value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        return Some((number(what, first)?.0, number(what, last)?.1));
    }
    if let Some(prefix) = value.get("prefix") {
        let bits = u32::try_from(prefix.get("len")?.as_u64()?).ok()?;
        let width = match what {
            What::Address(_, TableFamily::Ip6) => 128,
            _ => 32,
        };
        let ip = number(what, prefix.get("addr")?)?.0;
        return (bits <= width).then(|| numbers::span(ip, bits, width));
    }
    number(what, value)
}

fn number(what: &What, value: &Value) -> Option<(u128, u128)> {
    let one = |n| Some((n, n));
    match (what, value) {
        (_, Value::Number(n)) => one(u128::from(n.as_u64()?)),
        (What::Protocol | What::ProtocolOf(_), Value::String(word)) => one(protocol(word)?),
        (What::Family, Value::String(word)) => match word.as_str() {
            "ipv4" => one(4),
            "ipv6" => one(6),
            _ => None,
        },
        (What::EtherType, Value::String(word)) => match word.as_str() {
            "ip" => one(4),
            "ip6" => one(6),
            _ => None,
        },
        (What::Port(..), Value::String(word)) => numbers::ports(word),
        (What::Address(..), Value::String(word)) => numbers::prefix(word),
        (What::IcmpType(six), Value::String(word)) => one(icmp(word, *six)?.0),
        (What::IcmpCode(false), Value::String(word)) => match word.as_str() {
            "net-unreachable" => one(0),
            "host-unreachable" => one(1),
            "prot-unreachable" => one(2),
            "port-unreachable" => one(3),
            "frag-needed" => one(4),
            _ => None,
        },
        _ => None,
    }
}
