//! Link layers: from the frame to the IP packet in it.

use super::{NoPacket, be16};

/// Link types by their number in capture files (tcpdump.org, LINKTYPE_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// 0: BSD loopback, address family in the writer's byte order.
    Null,
    /// 1
    Ethernet,
    /// 12, 14, 101, 228, 229: bare IP.
    RawIp,
    /// 108: OpenBSD loopback, address family in network order.
    Loop,
    /// 113: Linux cooked capture.
    LinuxCooked,
    /// 276: Linux cooked capture, version 2.
    LinuxCooked2,
}

impl LinkType {
    /// From the number in a capture file.
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            108 => Self::Loop,
            113 => Self::LinuxCooked,
            276 => Self::LinuxCooked2,
            _ => return None,
        })
    }
}

/// The IP packet within a frame, VLAN tags (802.1Q, QinQ) taken off.
#[inline(always)]
pub fn network_layer(link: LinkType, frame: &[u8]) -> Result<&[u8], NoPacket> {
    match link {
        LinkType::RawIp => Ok(frame),
        LinkType::Null | LinkType::Loop => {
            // The family's number differs between systems; the IP version behind it does not.
            let packet = frame.get(4..).ok_or(NoPacket::Truncated)?;
            match packet.first().map(|b| b >> 4) {
                Some(4 | 6) => Ok(packet),
                Some(_) => Err(NoPacket::NotIp),
                None => Err(NoPacket::Truncated),
            }
        }
        LinkType::Ethernet => match frame.split_first_chunk::<14>() {
            // Nearly all of them.
            Some(([.., 8, 0], packet)) => Ok(packet),
            Some(_) | None => behind_ethertype(frame, 12),
        },
        LinkType::LinuxCooked => behind_ethertype(frame, 14),
        LinkType::LinuxCooked2 => {
            let kind = be16(frame, 0).ok_or(NoPacket::Truncated)?;
            let packet = frame.get(20..).ok_or(NoPacket::Truncated)?;
            match kind {
                0x0800 | 0x86dd => Ok(packet),
                0x8100 | 0x88a8 | 0x9100 => behind_tags(kind, packet),
                _ => Err(NoPacket::NotIp),
            }
        }
    }
}

#[inline(never)]
fn behind_ethertype(frame: &[u8], at: usize) -> Result<&[u8], NoPacket> {
    let kind = be16(frame, at).ok_or(NoPacket::Truncated)?;
    behind_tags(kind, frame.get(at + 2..).unwrap_or_default())
}

#[inline]
fn behind_tags(mut kind: u16, mut rest: &[u8]) -> Result<&[u8], NoPacket> {
    // More tags than two are no network's; the bound keeps a hostile frame short.
    for _ in 0..4 {
        match kind {
            0x0800 | 0x86dd => return Ok(rest),
            0x8100 | 0x88a8 | 0x9100 => {
                kind = be16(rest, 2).ok_or(NoPacket::Truncated)?;
                rest = rest.get(4..).ok_or(NoPacket::Truncated)?;
            }
            0x8864 => {
                // PPPoE session: the PPP protocol number says which IP.
                let ppp = be16(rest, 6).ok_or(NoPacket::Truncated)?;
                rest = rest.get(8..).ok_or(NoPacket::Truncated)?;
                kind = match ppp {
                    0x0021 => 0x0800,
                    0x0057 => 0x86dd,
                    _ => return Err(NoPacket::NotIp),
                };
            }
            _ => return Err(NoPacket::NotIp),
        }
    }
    Err(NoPacket::NotIp)
}
