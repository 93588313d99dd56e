//! Layer-4 protocols as conntrack names them.

use core::fmt;

/// A layer-4 protocol by its IP number, with a name where conntrack has a tracker for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// 1
    Icmp,
    /// 6
    Tcp,
    /// 17
    Udp,
    /// 33 (own tracker from 2.6.30 to 6.14)
    Dccp,
    /// 47
    Gre,
    /// 58
    Icmpv6,
    /// 132
    Sctp,
    /// 136
    UdpLite,
    /// Any other: conntrack's generic tracker, text name `unknown`.
    Other(u8),
}

impl Protocol {
    /// From the protocol number of the IP header.
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Icmp,
            6 => Self::Tcp,
            17 => Self::Udp,
            33 => Self::Dccp,
            47 => Self::Gre,
            58 => Self::Icmpv6,
            132 => Self::Sctp,
            136 => Self::UdpLite,
            other => Self::Other(other),
        }
    }

    /// The protocol number of the IP header.
    pub const fn number(self) -> u8 {
        match self {
            Self::Icmp => 1,
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Dccp => 33,
            Self::Gre => 47,
            Self::Icmpv6 => 58,
            Self::Sctp => 132,
            Self::UdpLite => 136,
            Self::Other(n) => n,
        }
    }

    /// The name that /proc/net/nf_conntrack prints: `unknown` for what has no tracker of its own.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Icmp => "icmp",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Dccp => "dccp",
            Self::Gre => "gre",
            Self::Icmpv6 => "icmpv6",
            Self::Sctp => "sctp",
            Self::UdpLite => "udplite",
            Self::Other(_) => "unknown",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(n) => write!(f, "proto-{n}"),
            named => f.write_str(named.name()),
        }
    }
}
