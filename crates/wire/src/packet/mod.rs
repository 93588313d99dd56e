//! Packet headers, as far as conntrack looks at them.
//!
//! Enters: the bytes of one frame and its link type, perhaps cut short. Leaves: a [`Packet`], or why there
//! is none. Nothing is copied but numbers.

mod addresses;
mod checksum;
mod cut;
mod ip;
mod link;
mod logged;
mod transport;

pub use addresses::Addresses;
pub use checksum::checksum_is_wrong;
pub use ip::{Fragment, behind_extensions, parse_ip, parse_quoted, upper_layer};
pub use link::{LinkType, network_layer, plain_packet};
pub use logged::{Logged, Manner, append_logged};
pub use transport::{
    Acknowledgement, DccpHeader, IcmpMessage, Opening, SctpChunks, SctpHeader, TcpOptions,
    Transport, chunks, parse_acknowledgement, parse_opening, parse_transport,
};

use core::net::IpAddr;

/// One IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Where it comes from and goes to.
    pub addresses: Addresses<'a>,
    /// Layer-4 protocol, behind all IPv6 extension headers that conntrack skips.
    pub protocol: u8,
    /// What its IP header lets it live: TTL, hop limit.
    pub hop_limit: u8,
    /// Fragment, if it is one.
    pub fragment: Option<Fragment>,
    /// What stands behind the IP header, at most as long as the IP header says.
    pub payload: &'a [u8],
    /// Octets that the IP header promises behind itself; more than `payload` holds when the capture cut
    /// the packet.
    pub payload_length: u32,
    /// Octets of the whole IP packet.
    pub length: u32,
}

impl Packet<'_> {
    /// Source address.
    #[inline(always)]
    pub const fn source(&self) -> IpAddr {
        self.addresses.source()
    }

    /// Destination address.
    #[inline(always)]
    pub const fn destination(&self) -> IpAddr {
        self.addresses.destination()
    }

    /// Whether it is one of IPv6.
    #[inline(always)]
    pub const fn is_v6(&self) -> bool {
        self.addresses.is_v6()
    }
}

/// Why a frame holds no packet that conntrack would see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoPacket {
    /// Not IP: ARP, LLDP and the like.
    NotIp,
    /// The capture or the frame ends before the header does.
    Truncated,
    /// The IP header contradicts itself; the kernel drops it before conntrack.
    Malformed,
    /// A link type that is not read.
    UnknownLink,
}

impl core::fmt::Display for NoPacket {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotIp => "not IP",
            Self::Truncated => "the header is cut off",
            Self::Malformed => "the IP header contradicts itself",
            Self::UnknownLink => "a link type that is not read",
        })
    }
}

impl core::error::Error for NoPacket {}

/// Two octets, most significant first.
#[inline]
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Four octets, most significant first.
#[inline]
fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
