//! What identifies one direction of an entry.

use core::net::IpAddr;

use crate::Protocol;

/// Layer-3 family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4 (`ipv4`, 2)
    V4,
    /// IPv6 (`ipv6`, 10)
    V6,
}

/// What a tracker keeps of the layer-4 header to tell flows of one host pair apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum L4 {
    /// TCP, UDP, UDP-Lite, SCTP, DCCP.
    Ports {
        /// `sport=`
        source: u16,
        /// `dport=`
        destination: u16,
    },
    /// ICMP and ICMPv6 queries.
    Icmp {
        /// `type=`
        kind: u8,
        /// `code=`
        code: u8,
        /// `id=`
        id: u16,
    },
    /// GRE: keys of PPTP, 0 otherwise.
    Gre {
        /// `srckey=`
        source: u16,
        /// `dstkey=`
        destination: u16,
    },
    /// Generic tracker: all flows of a host pair share one entry.
    None,
}

/// One direction of an entry, without its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tuple {
    /// `src=`
    pub source: IpAddr,
    /// `dst=`; always of the same family as `source`.
    pub destination: IpAddr,
    /// Layer-4 protocol.
    pub protocol: Protocol,
    /// Ports, ICMP identity or keys.
    pub l4: L4,
}

impl Tuple {
    /// The family of the addresses.
    pub const fn family(&self) -> Family {
        match self.source {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// Source port, where the protocol has ports.
    pub const fn source_port(&self) -> Option<u16> {
        match self.l4 {
            L4::Ports { source, .. } => Some(source),
            L4::Icmp { .. } | L4::Gre { .. } | L4::None => None,
        }
    }

    /// Destination port, where the protocol has ports.
    pub const fn destination_port(&self) -> Option<u16> {
        match self.l4 {
            L4::Ports { destination, .. } => Some(destination),
            L4::Icmp { .. } | L4::Gre { .. } | L4::None => None,
        }
    }
}

/// Which directions of an entry its zone applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ZoneDirection {
    /// `zone=`
    #[default]
    Both,
    /// `zone-orig=`
    Original,
    /// `zone-reply=`
    Reply,
}

/// Conntrack zone: part of the key, so that one tuple may stand in several zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Zone {
    /// 0 is the default zone.
    pub id: u16,
    /// Directions it applies to.
    pub direction: ZoneDirection,
}

impl Zone {
    /// A zone of both directions.
    pub const fn both(id: u16) -> Self {
        Self { id, direction: ZoneDirection::Both }
    }

    /// The zone of the original direction's tuple; a direction that a zone does not apply to is in zone 0.
    pub const fn of_original(self) -> u16 {
        match self.direction {
            ZoneDirection::Both | ZoneDirection::Original => self.id,
            ZoneDirection::Reply => 0,
        }
    }

    /// The zone of the reply direction's tuple.
    pub const fn of_reply(self) -> u16 {
        match self.direction {
            ZoneDirection::Both | ZoneDirection::Reply => self.id,
            ZoneDirection::Original => 0,
        }
    }

    /// Whether it is one direction's only.
    #[inline(always)]
    pub const fn is_one_way(self) -> bool {
        !matches!(self.direction, ZoneDirection::Both)
    }
}
