//! IPv4 and IPv6 headers.
//!
//! Kernel: `ip_rcv_core()`, `ipv6_skip_exthdr()`, `get_l4proto()`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{NoPacket, Packet, be16, be32};

/// Place of a fragment in its datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// Identification.
    pub id: u32,
    /// Offset of its first octet.
    pub offset: u32,
    /// Whether others follow.
    pub more: bool,
    /// Protocol behind the fragment header: the first fragment's counts.
    pub protocol: u8,
}

/// Reads the IP header at the beginning of `bytes`, of either version.
#[inline]
pub fn parse_ip(bytes: &[u8]) -> Result<Packet<'_>, NoPacket> {
    match bytes.first().map(|b| b >> 4) {
        Some(4) => v4(bytes),
        Some(6) => v6(bytes),
        Some(_) => Err(NoPacket::Malformed),
        None => Err(NoPacket::Truncated),
    }
}

/// Reads the IP header that an ICMP error quotes: what follows it may be cut after 8 octets.
pub fn parse_quoted(bytes: &[u8]) -> Result<Packet<'_>, NoPacket> {
    // Nobody checks the quoted lengths, so they don't bound what stands there.
    match parse_ip(bytes)? {
        packet @ Packet { source: IpAddr::V4(_), .. } => {
            let header = usize::from(bytes[0] & 15) * 4;
            Ok(Packet { payload: bytes.get(header..).unwrap_or_default(), ..packet })
        }
        packet => Ok(packet),
    }
}

#[inline]
fn v4(bytes: &[u8]) -> Result<Packet<'_>, NoPacket> {
    let header = bytes.get(..20).ok_or(NoPacket::Truncated)?;
    let header_length = usize::from(header[0] & 15) * 4;
    let total = be16(bytes, 2).map_or(0, usize::from);
    // A length of 0 is what segmentation offload leaves in a capture: the frame's own length then.
    let total = if total == 0 { bytes.len() } else { total };
    if header_length < 20 || total < header_length {
        return Err(NoPacket::Malformed);
    }
    if bytes.len() < header_length {
        return Err(NoPacket::Truncated);
    }
    let field = be16(bytes, 6).unwrap_or(0);
    let offset = u32::from(field & 0x1fff) * 8;
    let more = field & 0x2000 != 0;
    let protocol = header[9];
    let fragment = (offset != 0 || more).then(|| Fragment {
        id: be16(bytes, 4).map_or(0, u32::from),
        offset,
        more,
        protocol,
    });
    let end = total.min(bytes.len());
    Ok(Packet {
        source: IpAddr::V4(Ipv4Addr::from_bits(be32(bytes, 12).unwrap_or(0))),
        destination: IpAddr::V4(Ipv4Addr::from_bits(be32(bytes, 16).unwrap_or(0))),
        protocol,
        fragment,
        payload: &bytes[header_length..end],
        payload_length: (total - header_length) as u32,
        length: total as u32,
    })
}

fn v6(bytes: &[u8]) -> Result<Packet<'_>, NoPacket> {
    let header: &[u8; 40] = bytes.first_chunk().ok_or(NoPacket::Truncated)?;
    let promised = be16(bytes, 4).map_or(0, usize::from);
    let promised = if promised == 0 && header[6] != 59 { bytes.len() - 40 } else { promised };
    let end = (40 + promised).min(bytes.len());
    let address = |at: usize| -> Ipv6Addr {
        let mut octets = [0; 16];
        octets.copy_from_slice(&header[at..at + 16]);
        Ipv6Addr::from(octets)
    };
    if header[6] == HOP_BY_HOP && hop_by_hop_is_refused(&bytes[40..end]) {
        return Err(NoPacket::Malformed);
    }
    let (protocol, at, fragment) = match skip_extensions(header[6], &bytes[..end]) {
        // Not the capture's fault: the chain leads out of the packet, and conntrack gives up on it.
        Err(NoPacket::Truncated) if end == 40 + promised => (NO_NEXT_HEADER, end, None),
        result => result?,
    };
    Ok(Packet {
        source: IpAddr::V6(address(8)),
        destination: IpAddr::V6(address(24)),
        protocol,
        fragment,
        payload: &bytes[at.min(end)..end],
        payload_length: (40 + promised).saturating_sub(at) as u32,
        length: (40 + promised) as u32,
    })
}

const HOP_BY_HOP: u8 = 0;
/// Nothing follows. Stands for a chain of headers that can't be read, too.
const NO_NEXT_HEADER: u8 = 59;

/// Whether the kernel drops a packet for its hop-by-hop options, before conntrack.
///
/// Kernel: `ip6_parse_tlv()`. Jumbograms are refused: none fits into a capture.
fn hop_by_hop_is_refused(header: &[u8]) -> bool {
    const PAD_1: u8 = 0;
    const PAD_N: u8 = 1;
    const JUMBO: u8 = 0xc2;
    let Some(&units) = header.get(1) else { return false };
    let length = (usize::from(units) + 1) * 8;
    let Some(mut options) = header.get(2..length) else { return header.len() < length };
    let mut padding = 0;
    while let Some(&kind) = options.first() {
        if kind == PAD_1 {
            padding += 1;
            options = &options[1..];
        } else {
            let Some(value) = options.get(1).and_then(|&l| options.get(2..2 + usize::from(l)))
            else {
                return true;
            };
            padding = if kind == PAD_N { padding + 2 + value.len() } else { 0 };
            let pads_badly = kind == PAD_N && value.iter().any(|&octet| octet != 0);
            // The two highest bits of an unknown option say what to do with the packet.
            let unknown = !matches!(kind, PAD_N | 5 | 7) && kind & 0xc0 != 0;
            if pads_badly || unknown || kind == JUMBO {
                return true;
            }
            options = &options[2 + value.len()..];
        }
        if padding > 7 {
            return true;
        }
    }
    false
}

/// Walks the extension headers that conntrack walks: (protocol, offset behind them, fragment).
fn skip_extensions(first: u8, bytes: &[u8]) -> Result<(u8, usize, Option<Fragment>), NoPacket> {
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    const DESTINATION: u8 = 60;
    let mut kind = first;
    let mut at = 40;
    let mut fragment = None;
    loop {
        match kind {
            HOP_BY_HOP | ROUTING | DESTINATION => {
                let length = *bytes.get(at + 1).ok_or(NoPacket::Truncated)?;
                kind = bytes[at];
                // It may lead out of the packet: what it names is believed.
                at += (usize::from(length) + 1) * 8;
            }
            AUTHENTICATION => {
                let length = *bytes.get(at + 1).ok_or(NoPacket::Truncated)?;
                kind = bytes[at];
                at += (usize::from(length) + 2) * 4;
            }
            FRAGMENT => {
                let field = be16(bytes, at + 2).ok_or(NoPacket::Truncated)?;
                let id = be32(bytes, at + 4).ok_or(NoPacket::Truncated)?;
                kind = bytes[at];
                at += 8;
                let offset = u32::from(field & 0xfff8);
                let more = field & 1 != 0;
                if offset != 0 || more {
                    fragment = Some(Fragment { id, offset, more, protocol: kind });
                }
                if offset != 0 {
                    return Ok((kind, at, fragment));
                }
            }
            other => return Ok((other, at, fragment)),
        }
    }
}
