//! IPv4 and IPv6 headers.
//!
//! Kernel: `ip_rcv_core()`, `ipv6_skip_exthdr()`, `get_l4proto()`.

use super::{Addresses, NoPacket, Packet, be16, be32};

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
    /// The two bits of its IP header that tell of congestion (RFC 3168).
    pub ecn: u8,
}

/// Reads the IP header at the beginning of `bytes`, of either version.
#[inline(always)]
pub fn parse_ip(bytes: &[u8]) -> Result<Packet<'_>, NoPacket> {
    match bytes.first().map(|b| b >> 4) {
        Some(4) => v4(bytes),
        Some(6) => v6(bytes, false),
        Some(_) => Err(NoPacket::Malformed),
        None => Err(NoPacket::Truncated),
    }
}

/// Reads the IP header that an ICMP error quotes: what follows it may be cut after 8 octets. It is read as one
/// of the error's own family, whatever version and lengths it claims: those don't bound what stands there.
pub fn parse_quoted(bytes: &[u8], v6_error: bool) -> Result<Packet<'_>, NoPacket> {
    if v6_error {
        return v6(bytes, true);
    }
    let header: &[u8; 20] = bytes.first_chunk().ok_or(NoPacket::Truncated)?;
    let at = usize::from(header[0] & 15) * 4;
    let payload = bytes.get(at..).ok_or(NoPacket::Truncated)?;
    let [_, _, t0, t1, _, _, _, _, hop_limit, protocol, _, _, addresses @ ..] = header;
    let length = u32::from(u16::from_be_bytes([*t0, *t1]));
    Ok(Packet {
        addresses: Addresses::of_v4(*addresses),
        protocol: *protocol,
        hop_limit: *hop_limit,
        fragment: fragment(header),
        payload,
        payload_length: length.saturating_sub(at as u32),
        length,
    })
}

/// The place that an IPv4 header names, if it is a fragment's.
#[inline(always)]
fn fragment(&[_, tos, _, _, i0, i1, f0, f1, _, protocol, ..]: &[u8; 20]) -> Option<Fragment> {
    let field = u16::from_be_bytes([f0, f1]) & 0x3fff;
    (field != 0).then(|| Fragment {
        id: u16::from_be_bytes([i0, i1]).into(),
        offset: u32::from(field & 0x1fff) * 8,
        more: field & 0x2000 != 0,
        protocol,
        ecn: tos & 3,
    })
}

#[inline(always)]
fn v4(bytes: &[u8]) -> Result<Packet<'_>, NoPacket> {
    let header: &[u8; 20] = bytes.first_chunk().ok_or(NoPacket::Truncated)?;
    let [first, _, t0, t1, _, _, _, _, hop_limit, protocol, _, _, addresses @ ..] = *header;
    let header_length = usize::from(first & 15) * 4;
    let total = usize::from(u16::from_be_bytes([t0, t1]));
    // A length of 0 is what segmentation offload leaves in a capture: the frame's own length then.
    let total = if total == 0 { bytes.len() } else { total };
    if header_length < 20 || total < header_length {
        return Err(NoPacket::Malformed);
    }
    let end = total.min(bytes.len());
    let Some(payload) = bytes.get(header_length..end) else { return Err(NoPacket::Truncated) };
    Ok(Packet {
        addresses: Addresses::of_v4(addresses),
        protocol,
        hop_limit,
        fragment: fragment(header),
        payload,
        payload_length: (total - header_length) as u32,
        length: total as u32,
    })
}

/// Reads the IPv4 header at the beginning of `bytes` where it has neither options nor a fragment behind it, as nearly all
/// have. `None`: [`parse_ip`] says what it is.
#[inline(always)]
pub(super) fn plain_v4(bytes: &[u8]) -> Option<Packet<'_>> {
    const USUAL: u8 = 0x45;
    let (header, rest) = bytes.split_first_chunk::<20>()?;
    let [first, _, t0, t1, _, _, f0, f1, hop_limit, protocol, _, _, addresses @ ..] = *header;
    let total = u32::from(u16::from_be_bytes([t0, t1]));
    let payload_length = total.checked_sub(20)?;
    if first != USUAL || u16::from_be_bytes([f0, f1]) & 0x3fff != 0 {
        return None;
    }
    Some(Packet {
        addresses: Addresses::of_v4(addresses),
        protocol,
        hop_limit,
        fragment: None,
        payload: rest.get(..payload_length as usize).unwrap_or(rest),
        payload_length,
        length: total,
    })
}

/// The same of IPv6: one of TCP, UDP or ICMPv6 without extension headers.
#[inline(always)]
pub(super) fn plain_v6(bytes: &[u8]) -> Option<Packet<'_>> {
    let (header, rest) = bytes.split_first_chunk::<40>()?;
    let [first, _, _, _, p0, p1, protocol, hop_limit, addresses @ ..] = header;
    let payload_length = u32::from(u16::from_be_bytes([*p0, *p1]));
    if first >> 4 != 6 || payload_length == 0 || !matches!(protocol, 6 | 17 | 58) {
        return None;
    }
    Some(Packet {
        addresses: Addresses::v6(addresses),
        protocol: *protocol,
        hop_limit: *hop_limit,
        fragment: None,
        payload: rest.get(..payload_length as usize).unwrap_or(rest),
        payload_length,
        length: 40 + payload_length,
    })
}

#[inline(always)]
fn v6(bytes: &[u8], quoted: bool) -> Result<Packet<'_>, NoPacket> {
    let header: &[u8; 40] = bytes.first_chunk().ok_or(NoPacket::Truncated)?;
    let [_, _, _, _, _, _, _, hop_limit, addresses @ ..] = header;
    // What is out of line gives numbers only, so that no packet need stand in memory.
    let Headers { protocol, at, end, total, fragment } = headers(header, bytes, quoted)?;
    Ok(Packet {
        addresses: Addresses::v6(addresses),
        protocol,
        hop_limit: *hop_limit,
        fragment,
        payload: bytes.get(at.min(end)..end).unwrap_or_default(),
        payload_length: total.saturating_sub(at) as u32,
        length: total as u32,
    })
}

/// Where the headers of an IPv6 packet end, and the packet.
struct Headers {
    protocol: u8,
    at: usize,
    /// Of what was captured.
    end: usize,
    /// Of what was promised.
    total: usize,
    fragment: Option<Fragment>,
}

#[inline(never)]
fn headers(header: &[u8; 40], bytes: &[u8], quoted: bool) -> Result<Headers, NoPacket> {
    let [_, _, _, _, p0, p1, next, ..] = *header;
    let promised = usize::from(u16::from_be_bytes([p0, p1]));
    let promises_nothing = promised == 0 && next != NO_NEXT_HEADER;
    let promised = if quoted || promises_nothing { bytes.len() - 40 } else { promised };
    let mut total = 40 + promised;
    let mut end = total.min(bytes.len());
    if next == HOP_BY_HOP && total < 42 {
        // The options have no header, and the kernel drops the packet before conntrack.
        return Err(NoPacket::Malformed);
    }
    if next == HOP_BY_HOP
        && !quoted
        && let Some(length) = jumbo_length(&bytes[40..end])?
    {
        if [p0, p1] != [0, 0] {
            return Err(NoPacket::Malformed);
        }
        total = 40 + length as usize;
        end = total.min(bytes.len());
    }
    let (protocol, at, fragment) = match skip_extensions(next, &bytes[..end], 40, false) {
        Err(NoPacket::Malformed) if promised > 0 => {
            let cut = end < total;
            return Err(if cut { NoPacket::Truncated } else { NoPacket::Malformed });
        }
        Err(NoPacket::Malformed) => (NO_NEXT_HEADER, end, None),
        // Not the capture's fault: the chain leads out of the packet, and conntrack gives up on it.
        Err(NoPacket::Truncated) if end == total => (NO_NEXT_HEADER, end, None),
        result => result?,
    };
    Ok(Headers { protocol, at, end, total, fragment })
}

/// The protocol behind the extension headers that the payload of an IPv6 packet begins with, and its place
/// there; `None` where the headers lead out of the packet or to the later part of another datagram.
pub fn upper_layer(packet: &Packet<'_>) -> Option<(u8, usize)> {
    if !packet.is_v6() {
        return Some((packet.protocol, 0));
    }
    let (protocol, at, _) = skip_extensions(packet.protocol, packet.payload, 0, true).ok()?;
    Some((protocol, at))
}

/// The same packet without the extension headers that its payload begins with: for a datagram made whole,
/// and for a first fragment, whose headers are not read before.
pub fn behind_extensions<'a>(packet: &Packet<'a>) -> Packet<'a> {
    let (protocol, at) = upper_layer(packet).unwrap_or((NO_NEXT_HEADER, 0));
    Packet {
        protocol,
        payload: packet.payload.get(at..).unwrap_or_default(),
        payload_length: packet.payload_length.saturating_sub(at as u32),
        ..*packet
    }
}

const HOP_BY_HOP: u8 = 0;
/// Nothing follows. Stands for a chain of headers that can't be read, too.
const NO_NEXT_HEADER: u8 = 59;

/// Octets behind the IPv6 header that a jumbogram's option promises: segments that the kernel merges or has its card cut (BIG
/// TCP) look so in a capture. An error where the kernel drops a packet for its hop-by-hop options, before conntrack.
///
/// Kernel: `ip6_parse_tlv()`, `ipv6_hop_jumbo()`.
fn jumbo_length(header: &[u8]) -> Result<Option<u32>, NoPacket> {
    const REFUSED: NoPacket = NoPacket::Malformed;
    const PAD_1: u8 = 0;
    const PAD_N: u8 = 1;
    const JUMBO: u8 = 0xc2;
    let Some(&units) = header.get(1) else { return Ok(None) };
    let length = (usize::from(units) + 1) * 8;
    let mut options = header.get(2..length).ok_or(REFUSED)?;
    let (mut padding, mut jumbo) = (0, None);
    while let Some(&kind) = options.first() {
        if kind == PAD_1 {
            padding += 1;
            options = &options[1..];
        } else {
            let value = options.get(1).and_then(|&l| options.get(2..2 + usize::from(l)));
            let value = value.ok_or(REFUSED)?;
            padding = if kind == PAD_N { padding + 2 + value.len() } else { 0 };
            let pads_badly = kind == PAD_N && value.iter().any(|&octet| octet != 0);
            // The two highest bits of an unknown option say what to do with the packet.
            let unknown = !matches!(kind, PAD_N | JUMBO | 5 | 7) && kind & 0xc0 != 0;
            if pads_badly || unknown {
                return Err(REFUSED);
            }
            if kind == JUMBO {
                let aligned = (length - options.len()) % 4 == 2;
                let octets = value.try_into().ok().filter(|_| aligned);
                let told = octets.map(u32::from_be_bytes).filter(|told| *told > 65_535);
                jumbo = Some(told.ok_or(REFUSED)?);
            }
            options = &options[2 + value.len()..];
        }
        if padding > 7 {
            return Err(REFUSED);
        }
    }
    Ok(jumbo)
}

/// Walks the extension headers that conntrack walks: (protocol, offset behind them, fragment).
///
/// A fragment's payload is all that stands behind its fragment header: other extension headers there belong to
/// the datagram. Only one such header is ever gathered; of another that comes behind it only a first part has
/// headers.
fn skip_extensions(
    first: u8,
    bytes: &[u8],
    start: usize,
    gathered: bool,
) -> Result<(u8, usize, Option<Fragment>), NoPacket> {
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    const DESTINATION: u8 = 60;
    let mut kind = first;
    let mut at = start;
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
                // Where a header in front of it leads out of the packet, it is not looked for.
                if at > bytes.len() {
                    return Err(NoPacket::Truncated);
                }
                // Unlike other headers, one that is not whole has the kernel drop the packet.
                let field = be16(bytes, at + 2).ok_or(NoPacket::Malformed)?;
                let offset = u32::from(field & 0xfff8);
                let more = field & 1 != 0;
                // Of a first fragment nobody asks for more: it lacks its datagram's headers anyway.
                let id = match be32(bytes, at + 4) {
                    Some(id) => id,
                    None if offset == 0 => 0,
                    None => return Err(NoPacket::Malformed),
                };
                kind = bytes[at];
                at += 8;
                if gathered && offset != 0 {
                    return Err(NoPacket::Truncated);
                }
                if !gathered {
                    let ecn = bytes.get(1).map_or(0, |octet| octet >> 4 & 3);
                    let fragment = Fragment { id, offset, more, protocol: kind, ecn };
                    return Ok((kind, at, Some(fragment)));
                }
            }
            other => return Ok((other, at, None)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    /// An IPv6 packet of an authentication header of so many octets, and what stands behind it.
    fn authenticated(length: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 12 + rest.len() as u8, 51, 64];
        packet.extend([0xfd; 32]);
        packet.extend([44, length / 4 - 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend(rest);
        packet
    }

    /// Linux 6.18, `cargo xtask fidelity scripts 20000 303`.
    #[test]
    fn a_fragment_header_that_begins_behind_the_packets_end_is_not_looked_for() {
        let whole = authenticated(12, &[17, 0, 0, 1, 0, 0, 0, 9]);
        assert_eq!(parse_ip(&whole).unwrap().fragment.map(|f| f.id), Some(9));
        let beyond = authenticated(28, &[17, 0]);
        assert_eq!(parse_ip(&beyond).unwrap().protocol, NO_NEXT_HEADER);
        let cut = authenticated(12, &[17, 0]);
        assert_eq!(parse_ip(&cut), Err(NoPacket::Malformed));
    }

    /// Linux 6.18, `cargo xtask fidelity rare 1500 4 errors`.
    #[test]
    fn a_quoted_header_is_where_it_says_however_short() {
        let mut quoted = vec![0x40, 0, 0, 5, 0, 0, 0, 0, 64, 50, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        assert_eq!(parse_quoted(&quoted, false).unwrap().payload, quoted);
        quoted[0] = 0x45;
        assert_eq!(parse_quoted(&quoted, false).unwrap().payload, [0; 0]);
        quoted[0] = 0x46;
        assert_eq!(parse_quoted(&quoted, false), Err(NoPacket::Truncated));
    }

    #[test]
    fn options_for_every_hop_that_do_not_fit_into_their_packet_have_it_refused() {
        let with = |options: &[u8]| {
            let mut packet = vec![0x60, 0, 0, 0, 0, options.len() as u8, HOP_BY_HOP, 64];
            packet.extend([0xfd; 32]);
            packet.extend(options);
            parse_ip(&packet).map(|p| p.protocol)
        };
        for octets in 0..8 {
            assert_eq!(with(&[6, 0, 1, 4, 0, 0, 0, 0][..octets]), Err(NoPacket::Malformed));
        }
        assert_eq!(with(&[6, 0, 1, 4, 0, 0, 0, 0]), Ok(6));
    }

    #[test]
    fn a_jumbogram_is_as_long_as_its_option_says_or_refused() {
        // Behind the next header's number and the length of the options in units of 8 octets.
        let jumbo = |field: u8, options: &[u8]| {
            let mut packet = vec![0x60, 0, 0, 0, 0, field, HOP_BY_HOP, 64];
            packet.extend([0xfd; 32]);
            packet.extend([&[6, options.len() as u8 / 8], options].concat());
            packet.extend([7; 100]);
            parse_ip(&packet).map(|p| (p.protocol, p.payload.len(), p.payload_length, p.length))
        };
        let fits = [0xc2, 4, 0, 1, 0x38, 0xa8];
        assert_eq!(jumbo(0, &fits), Ok((6, 100, 80_032, 80_080)));
        // With another option before it.
        assert!(jumbo(0, &[&[5, 2, 0, 0][..], &fits, &[0; 4]].concat()).is_ok());
        // Beside a length; one of less than 64 KiB; of another size; where it may not begin.
        for (field, options) in [
            (108, &fits[..]),
            (0, &[0xc2, 4, 0, 0, 0xff, 0xff]),
            (0, &[0xc2, 3, 0, 1, 0x38, 0]),
            (0, &[0, 0xc2, 4, 0, 1, 0x38, 0xa8, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            assert_eq!(jumbo(field, options), Err(NoPacket::Malformed), "{options:x?}");
        }
    }
}
