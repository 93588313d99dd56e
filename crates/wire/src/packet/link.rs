//! Link layers: from the frame to the IP packet in it.

use super::{NoPacket, Packet, be16, ip};

/// Link types by their number in capture files (tcpdump.org, LINKTYPE_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// 0: BSD loopback, address family in the writer's byte order.
    Null,
    /// 1
    Ethernet,
    /// 9, 50: PPP, with or without the framing of HDLC before it.
    Ppp,
    /// 51: what a PPPoE session carries, with its header.
    Pppoe,
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
            9 | 50 => Self::Ppp,
            51 => Self::Pppoe,
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            108 => Self::Loop,
            113 => Self::LinuxCooked,
            276 => Self::LinuxCooked2,
            _ => return None,
        })
    }
}

/// The packet in a frame of the commonest kinds: in Ethernet without tags, no fragment, over IPv4 whose header has no options,
/// or TCP, UDP or ICMPv6 over IPv6 without extension headers. `None`: [`network_layer`] and [`parse_ip`](super::parse_ip) say what it is.
#[inline(always)]
pub fn plain_packet(link: u32, frame: &[u8]) -> Option<Packet<'_>> {
    const ETHERNET: u32 = 1;
    match frame.split_first_chunk::<14>() {
        Some(([.., 8, 0], packet)) if link == ETHERNET => ip::plain_v4(packet),
        Some(([.., 0x86, 0xdd], packet)) if link == ETHERNET => ip::plain_v6(packet),
        Some(_) | None => None,
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
        LinkType::Ppp => behind_ppp(frame),
        LinkType::Pppoe => behind_ppp(frame.get(6..).unwrap_or_default()),
        LinkType::LinuxCooked => behind_ethertype(frame, 14).map(behind_left_tags),
        LinkType::LinuxCooked2 => {
            let kind = be16(frame, 0).ok_or(NoPacket::Truncated)?;
            let packet = frame.get(20..).ok_or(NoPacket::Truncated)?;
            match kind {
                0x0800 | 0x86dd => Ok(behind_left_tags(packet)),
                0x8100 | 0x88a8 | 0x9100 => behind_tags(kind, packet).map(behind_left_tags),
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
    // As many tags as there are, which is what Linux takes: VLANs upon VLANs, and tags that have a priority only.
    loop {
        match kind {
            0x0800 | 0x86dd => return Ok(rest),
            0x8100 | 0x88a8 | 0x9100 => {
                kind = be16(rest, 2).ok_or(NoPacket::Truncated)?;
                rest = rest.get(4..).ok_or(NoPacket::Truncated)?;
            }
            // A PPPoE session.
            0x8864 => return behind_ppp(rest.get(6..).unwrap_or_default()),
            _ => return Err(NoPacket::NotIp),
        }
    }
}

/// Of several tags the kernel takes the first off for a cooked capture, leaves the others where they are, and names the protocol behind
/// them all (seen on 6.18.44): what is said to be IP begins with the second tag's number then.
#[inline]
fn behind_left_tags(packet: &[u8]) -> &[u8] {
    match packet.first() {
        Some(0x45..=0x4f | 0x60..=0x6f) | None => packet,
        Some(_) => behind_tags(0x8100, packet).unwrap_or(packet),
    }
}

/// Behind address and control, which may be left out, and the protocol's number, whose first octet may be left out if it is 0
/// (RFC 1661, RFC 1662).
fn behind_ppp(frame: &[u8]) -> Result<&[u8], NoPacket> {
    const V4: u8 = 0x21;
    const V6: u8 = 0x57;
    match frame.strip_prefix(&[0xff, 3]).unwrap_or(frame) {
        [V4 | V6, packet @ ..] | [0, V4 | V6, packet @ ..] => Ok(packet),
        [] | [0] => Err(NoPacket::Truncated),
        [..] => Err(NoPacket::NotIp),
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::super::parse_ip;
    use super::*;

    /// Ethernet, IPv4, UDP, four octets of data, and two of padding.
    const FRAME: [u8; 48] = [
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, // Ethernet
        0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
        4, 0, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4, // UDP
        0, 0, // padding
    ];

    fn whole(link: u32, frame: &[u8]) -> Result<Packet<'_>, NoPacket> {
        let link = LinkType::from_number(link).ok_or(NoPacket::UnknownLink)?;
        parse_ip(network_layer(link, frame)?)
    }

    /// The same over IPv6.
    const WIDE: [u8; 68] = {
        let mut frame = [7; 68];
        let (mut at, header) = (0, [0x60, 0, 0, 0, 0, 12, 17, 64]);
        while at < 8 {
            (frame[at], frame[14 + at]) = (FRAME[at], header[at]);
            at += 1;
        }
        (frame[12], frame[13]) = (0x86, 0xdd);
        frame
    };

    #[test]
    fn ppp_leads_to_the_same_packet_however_short_its_header_is() {
        let [four, six] = [&FRAME[14..], &WIDE[14..]];
        for (packet, number) in [(four, 0x21), (six, 0x57)] {
            let plain = whole(101, packet);
            assert!(plain.is_ok());
            let headers = [&[0xff, 3, 0, number][..], &[0, number], &[0xff, 3, number], &[number]];
            for (header, link) in headers.into_iter().zip([9, 9, 50, 50]) {
                let frame = [header, packet].concat();
                assert_eq!(whole(link, &frame), plain, "{header:?}");
                let session = [&[0x11, 0, 0, 1, 0, 50][..], &frame].concat();
                assert_eq!(whole(51, &session), plain, "{header:?}");
                let ethernet = [&FRAME[..12], &[0x88, 0x64], &session].concat();
                assert_eq!(whole(1, &ethernet), plain, "{header:?}");
            }
        }
        // LCP; nothing; the half of a number.
        assert_eq!(whole(9, &[0xff, 3, 0xc0, 0x21, 1]), Err(NoPacket::NotIp));
        for cut in [&[][..], &[0xff, 3], &[0]] {
            assert_eq!(whole(9, cut), Err(NoPacket::Truncated), "{cut:?}");
        }
    }

    #[test]
    fn tags_lead_to_the_same_packet_however_many_they_are() {
        const TAGS: [[u8; 4]; 4] =
            [[0x81, 0, 0, 100], [0x88, 0xa8, 0x50, 7], [0x81, 0, 0, 0], [0x91, 0, 0, 1]];
        for (frame, kind) in [(&FRAME[..], [8, 0]), (&WIDE[..], [0x86, 0xdd])] {
            let (addresses, packet) = (&frame[..12], &frame[14..]);
            let plain = whole(101, packet);
            assert!(plain.is_ok());
            for number in 0..12 {
                let tags: Vec<u8> = TAGS.iter().cycle().take(number).flatten().copied().collect();
                let behind = [&tags[..], &kind, packet].concat();
                let ethernet = [addresses, &behind].concat();
                assert_eq!(whole(1, &ethernet), plain, "{number}");
                // As capture programs put back a tag that the network card took off: in front of the protocol.
                let cooked = [&[0; 14][..], &behind].concat();
                assert_eq!(whole(113, &cooked), plain, "{number}");
                let (first, rest) = behind.split_at(2);
                let second = [first, &[0; 18], rest].concat();
                assert_eq!(whole(276, &second), plain, "{number}");
                // The protocol behind all tags in the header, the first tag taken off.
                let left = [&kind[..], &[0; 18], behind.get(6..).unwrap_or_default()].concat();
                let left = if number > 1 { left } else { second };
                assert_eq!(whole(276, &left), plain, "{number}");
                if number > 1 {
                    let put_back = [&[0; 14][..], &tags[..4], &kind, &behind[6..]].concat();
                    assert_eq!(whole(113, &put_back), plain, "{number}");
                }
                // Nothing behind the tags.
                for length in 12..12 + tags.len() {
                    assert_eq!(whole(1, &ethernet[..length]), Err(NoPacket::Truncated));
                }
            }
        }
    }

    #[test]
    fn a_plain_packet_is_what_the_layers_one_by_one_say_it_is() {
        for frame in [&FRAME[..], &WIDE[..]] {
            assert_eq!(plain_packet(1, frame).map(|packet| packet.payload.len()), Some(12));
            let (mut plain, mut other) = (0, 0);
            let mut compare = |link: u32, frame: &[u8]| match plain_packet(link, frame) {
                Some(packet) => {
                    assert_eq!(Ok(packet), whole(link, frame), "{frame:?}");
                    plain += 1;
                }
                None => other += 1,
            };
            for link in [0, 1, 101, 113, 276, 9999] {
                for length in 0..=frame.len() {
                    compare(link, &frame[..length]);
                }
            }
            let mut changed = [0; 68];
            let changed = &mut changed[..frame.len()];
            for at in 0..frame.len() {
                for octet in 0..=u8::MAX {
                    changed.copy_from_slice(frame);
                    changed[at] = octet;
                    compare(1, changed);
                    compare(1, &changed[..frame.len() - 8]);
                }
            }
            assert!(plain > 1000 && other > 1000, "{plain} plain, {other} others");
        }
    }
}
