//! A packet as the kernel's log shows it: `IN=eth0 OUT= MAC=… SRC=… DST=… LEN=…`.
//!
//! Kernel: nf_log_syslog, v6.18, seen in its log; the flags are those of its own messages (TCP's numbers and options, IP
//! options).

use alloc::string::String;
use core::fmt::{self, Write};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{LinkType, be16, be32, network_layer};

/// How a kernel shows packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner<'a> {
    /// The interface by which the packet came in, which brings its link addresses with it; where none is told they are not
    /// either.
    pub interface: Option<&'a str>,
    /// It went out by that interface instead: the host sent it. A cooked capture's frames tell so themselves. Whose it was
    /// (UID, GID) is shown behind it if a socket sent it and its headers are whole, and not here.
    pub outgoing: bool,
    /// The bit of TCP's accurate ECN has a name (6.18); before, it was a reserved one.
    pub accurate_ecn: bool,
}

/// Shows a frame as behind a message: from `IN=` to the end. Nothing is shown of one that holds no IP packet.
///
/// ```
/// use plimsoll_wire::packet::{LinkType, Manner, append_logged};
///
/// let query = [
///     0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IP
///     0x10, 0, 0, 53, 0, 8, 0, 0, // UDP
/// ];
/// let mut text = String::new();
/// append_logged(
///     &mut text,
///     LinkType::RawIp,
///     &query,
///     &Manner { interface: Some("eth0"), outgoing: false, accurate_ecn: true },
/// );
/// assert_eq!(
///     text,
///     "IN=eth0 OUT= MAC= SRC=10.0.0.1 DST=10.0.0.2 LEN=28 TOS=0x00 PREC=0x00 TTL=64 ID=0 DF PROTO=UDP SPT=4096 DPT=53 LEN=8 "
/// );
/// ```
pub fn append_logged(text: &mut String, link: LinkType, frame: &[u8], manner: &Manner<'_>) {
    let Ok(packet) = network_layer(link, frame) else { return };
    // Writing to a String cannot fail.
    let _ = logged(text, link, frame, packet, manner);
}

fn logged(
    text: &mut String,
    link: LinkType,
    frame: &[u8],
    packet: &[u8],
    manner: &Manner<'_>,
) -> fmt::Result {
    let v6 = packet.first().is_some_and(|first| first >> 4 == 6);
    match manner.interface {
        Some(interface) if manner.outgoing || is_outgoing(link, frame) => {
            write!(text, "IN= OUT={interface} ")?;
        }
        Some(interface) => {
            write!(text, "IN={interface} OUT= MAC=")?;
            link_addresses(text, link, frame, v6)?;
            text.push(' ');
        }
        None => text.push_str("IN= OUT= "),
    }
    let at = Level { outer: true, accurate_ecn: manner.accurate_ecn };
    if v6 { ipv6(text, packet, at) } else { ipv4(text, packet, at) }
}

/// Where a packet stands in the line.
#[derive(Clone, Copy)]
struct Level {
    /// It is none that an error quotes.
    outer: bool,
    accurate_ecn: bool,
}

impl Level {
    const fn quoted(self) -> Self {
        Self { outer: false, ..self }
    }
}

/// Whether a cooked frame says that the host sent it.
fn is_outgoing(link: LinkType, frame: &[u8]) -> bool {
    const OUTGOING: u8 = 4;
    match link {
        LinkType::LinuxCooked => be16(frame, 0) == Some(OUTGOING.into()),
        LinkType::LinuxCooked2 => frame.get(10) == Some(&OUTGOING),
        LinkType::RawIp
        | LinkType::Null
        | LinkType::Loop
        | LinkType::Ethernet
        | LinkType::Ppp
        | LinkType::Pppoe => false,
    }
}

fn link_addresses(text: &mut String, link: LinkType, frame: &[u8], v6: bool) -> fmt::Result {
    if let (LinkType::Ethernet, Some(addresses)) = (link, frame.first_chunk::<12>()) {
        // Tags are taken off before.
        let kind: [u8; 2] = if v6 { [0x86, 0xdd] } else { [8, 0] };
        for (place, octet) in addresses.iter().chain(&kind).enumerate() {
            let colon = if place == 0 { "" } else { ":" };
            write!(text, "{colon}{octet:02x}")?;
        }
    }
    Ok(())
}

fn ipv4(text: &mut String, packet: &[u8], at: Level) -> fmt::Result {
    let Some(&header) = packet.first_chunk::<20>() else { return text.write_str("TRUNCATED") };
    let [first, tos, t0, t1, i0, i1, f0, f1, ttl, protocol, _, _, addresses @ ..] = header;
    let [a, b, c, d, e, f, g, h] = addresses;
    let total = u16::from_be_bytes([t0, t1]);
    write!(
        text,
        "SRC={} DST={} LEN={total} TOS=0x{:02X} PREC=0x{:02X} TTL={ttl} ID={} ",
        Ipv4Addr::new(a, b, c, d),
        Ipv4Addr::new(e, f, g, h),
        tos & 0x1e,
        tos & 0xe0,
        u16::from_be_bytes([i0, i1]),
    )?;
    let field = u16::from_be_bytes([f0, f1]);
    for (bit, name) in [(0x8000, "CE "), (0x4000, "DF "), (0x2000, "MF ")] {
        if field & bit != 0 {
            text.write_str(name)?;
        }
    }
    let offset = field & 0x1fff;
    if offset != 0 {
        write!(text, "FRAG:{offset} ")?;
    }
    let length = usize::from(first & 15) * 4;
    if length > 20 && !options(text, packet.get(20..length), "TRUNCATED")? {
        return Ok(());
    }
    let end = if at.outer { packet.len().min(total.into()) } else { packet.len() };
    let payload = packet.get(length..end).unwrap_or_default();
    upper(text, protocol, (payload, payload.len() as u32), offset != 0, at)
}

/// Options as octets; `false`: they are not all there.
fn options(text: &mut String, octets: Option<&[u8]>, cut: &str) -> Result<bool, fmt::Error> {
    let Some(octets) = octets else {
        text.write_str(cut)?;
        return Ok(false);
    };
    text.write_str("OPT (")?;
    for octet in octets {
        write!(text, "{octet:02X}")?;
    }
    text.write_str(") ")?;
    Ok(true)
}

fn ipv6(text: &mut String, packet: &[u8], at: Level) -> fmt::Result {
    let Some(header) = packet.first_chunk::<40>() else { return text.write_str("TRUNCATED") };
    let word = be32(header, 0).unwrap_or(0);
    let payload = usize::from(be16(header, 4).unwrap_or(0));
    let address = |at: usize| {
        let octets = header.get(at..at + 16).and_then(|octets| octets.try_into().ok());
        Ipv6Addr::from(octets.unwrap_or([0u8; 16]))
    };
    write!(
        text,
        "SRC={} DST={} LEN={} TC={} HOPLIMIT={} FLOWLBL={} ",
        Logged(address(8).into()),
        Logged(address(24).into()),
        payload + 40,
        word >> 20 & 0xff,
        header[7],
        word & 0xf_ffff,
    )?;
    let end = if at.outer { packet.len().min(payload + 40) } else { packet.len() };
    let (mut protocol, mut rest) = (header[6], packet.get(40..end).unwrap_or_default());
    let mut fragment = false;
    // Where a header leads out of the packet, the count of what is left wraps around.
    let mut left = rest.len() as u32;
    while matches!(protocol, 0 | 43 | 44 | 50 | 51 | 60) {
        let Some(&[next, length]) = rest.first_chunk() else { return text.write_str("TRUNCATED") };
        text.write_str("OPT ( ")?;
        if protocol == 50 {
            // Nobody can look behind it.
            return match be32(rest, 0).filter(|_| rest.len() >= 8) {
                Some(index) => write!(text, "ESP SPI=0x{index:x} )"),
                None => write!(text, "ESP INCOMPLETE [{left} bytes] )"),
            };
        }
        let mut octets = usize::from(length) * 8 + 8;
        match protocol {
            44 => {
                let (Some(field), Some(id)) = (be16(rest, 2), be32(rest, 4)) else {
                    return text.write_str("TRUNCATED ");
                };
                write!(text, "FRAG:{} ", field & 0xfff8)?;
                if field & 1 != 0 {
                    text.write_str("INCOMPLETE ")?;
                }
                write!(text, "ID:{id:08x} ")?;
                fragment = field & 0xfff8 != 0;
                octets = 8;
            }
            51 => {
                octets = usize::from(length) * 4 + 8;
                text.write_str("AH ")?;
                match be32(rest, 4) {
                    Some(index) => write!(text, "SPI=0x{index:x} ")?,
                    None => return write!(text, "INCOMPLETE [{left} bytes] )"),
                }
            }
            _ if fragment => return text.write_str(")"),
            _ => {}
        }
        text.write_str(") ")?;
        left = left.wrapping_sub(octets as u32);
        (protocol, rest) = (next, rest.get(octets..).unwrap_or_default());
    }
    upper(text, protocol, (rest, left), fragment, at)
}

/// An address as the kernel's messages show it: of IPv6 with all its digits.
#[derive(Debug, Clone, Copy)]
pub struct Logged(pub IpAddr);

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => {
                for (place, group) in address.segments().iter().enumerate() {
                    let colon = if place == 0 { "" } else { ":" };
                    write!(f, "{colon}{group:04x}")?;
                }
                Ok(())
            }
        }
    }
}

fn upper(
    text: &mut String,
    protocol: u8,
    (payload, left): (&[u8], u32),
    fragment: bool,
    at: Level,
) -> fmt::Result {
    let name = match protocol {
        6 => "TCP ",
        17 => "UDP ",
        136 => "UDPLITE ",
        1 => "ICMP ",
        58 => "ICMPv6 ",
        50 => "ESP ",
        51 => "AH ",
        other => return write!(text, "PROTO={other} "),
    };
    write!(text, "PROTO={name}")?;
    if fragment {
        return Ok(());
    }
    let least = match protocol {
        6 => 20,
        51 => 12,
        _ => 8,
    };
    if payload.len() < least {
        return write!(text, "INCOMPLETE [{left} bytes] ");
    }
    let word = |at| be32(payload, at).unwrap_or(0);
    let half = |at| be16(payload, at).unwrap_or(0);
    match protocol {
        6 => tcp(text, payload, at.accurate_ecn),
        17 | 136 => write!(text, "SPT={} DPT={} LEN={} ", half(0), half(2), half(4)),
        50 => write!(text, "SPI=0x{:x} ", word(0)),
        51 => write!(text, "SPI=0x{:x} ", word(4)),
        1 => icmp(text, payload, at),
        _ => {
            let kind = payload.first().copied().unwrap_or(0);
            write!(text, "TYPE={kind} CODE={} ", half(0) & 0xff)?;
            match kind {
                128 | 129 => write!(text, "ID={} SEQ={} ", half(4), half(6))?,
                4 => write!(text, "POINTER={:08x} ", word(4))?,
                _ => {}
            }
            if at.outer && matches!(kind, 1..=4) {
                text.push('[');
                ipv6(text, &payload[8..], at.quoted())?;
                text.push_str("] ");
            }
            if kind == 2 { write!(text, "MTU={} ", word(4)) } else { Ok(()) }
        }
    }
}

fn tcp(text: &mut String, payload: &[u8], accurate_ecn: bool) -> fmt::Result {
    let word = |at| be32(payload, at).unwrap_or(0);
    let half = |at| be16(payload, at).unwrap_or(0);
    let (offset, flags) = (payload[12], payload[13]);
    write!(
        text,
        "SPT={} DPT={} SEQ={} ACK={} WINDOW={} RES=0x{:02x} ",
        half(0),
        half(2),
        word(4),
        word(8),
        half(14),
        (offset & if accurate_ecn { 14 } else { 15 }) << 2,
    )?;
    if accurate_ecn && offset & 1 != 0 {
        text.write_str("AE ")?;
    }
    let names = ["CWR ", "ECE ", "URG ", "ACK ", "PSH ", "RST ", "SYN ", "FIN "];
    for (place, name) in (0..).zip(names) {
        if flags & 0x80 >> place != 0 {
            text.write_str(name)?;
        }
    }
    write!(text, "URGP={} ", half(18))?;
    let length = usize::from(offset >> 4) * 4;
    if length > 20 {
        options(text, payload.get(20..length), "OPT (TRUNCATED)")?;
    }
    Ok(())
}

fn icmp(text: &mut String, payload: &[u8], at: Level) -> fmt::Result {
    let (kind, code) = (payload[0], payload[1]);
    write!(text, "TYPE={kind} CODE={code} ")?;
    let least = match kind {
        3 | 4 | 5 | 11 | 12 => 28,
        13 | 14 => 20,
        17 | 18 => 12,
        0 | 8 => 4,
        _ => 0,
    };
    if payload.len() < least {
        return write!(text, "INCOMPLETE [{} bytes] ", payload.len());
    }
    let word = be32(payload, 4).unwrap_or(0);
    match kind {
        0 | 8 => write!(text, "ID={} SEQ={} ", word >> 16, word & 0xffff),
        12 => write!(text, "PARAMETER={} ", word >> 24),
        3 | 4 | 5 | 11 => {
            if kind == 5 {
                write!(text, "GATEWAY={} ", Ipv4Addr::from_bits(word))?;
            }
            if at.outer {
                text.push('[');
                ipv4(text, &payload[8..], at.quoted())?;
                text.push_str("] ");
            }
            if (kind, code) == (3, 4) { write!(text, "MTU={} ", word & 0xffff) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANNER: Manner<'_> = Manner { interface: Some("r"), outgoing: false, accurate_ecn: true };

    fn shown(packet: &[u8]) -> String {
        let mut text = String::new();
        append_logged(&mut text, LinkType::RawIp, packet, &MANNER);
        text
    }

    /// An IPv6 packet from 2001:db8::1 to ::2.
    fn v6(protocol: u8, payload: &[u8]) -> alloc::vec::Vec<u8> {
        let mut packet = alloc::vec![0x60, 0x12, 0x34, 0x56, 0, payload.len() as u8, protocol, 63];
        packet.extend_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        packet.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        packet.extend_from_slice(payload);
        packet
    }

    #[test]
    fn a_segment_with_options_and_one_that_ends_within_them() {
        let mut packet = alloc::vec![
            0x45, 0x48, 0, 48, 0, 7, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IP
            15, 160, 0, 80, 0, 0, 0, 9, 0, 0, 0, 0, 0x70, 0x83, 1, 246, 0, 0, 0, 5, // TCP
            1, 3, 3, 7, 1, 1, 4, 2,
        ];
        let head = "IN=r OUT= MAC= SRC=10.0.0.1 DST=10.0.0.2 LEN=48 TOS=0x08 PREC=0x40 TTL=64 ID=7 PROTO=TCP SPT=4000 \
                    DPT=80 SEQ=9 ACK=0 WINDOW=502 RES=0x00 CWR SYN FIN URGP=5 ";
        assert_eq!(shown(&packet), alloc::format!("{head}OPT (0103030701010402) "));
        packet.truncate(44);
        packet[3] = 44;
        let head = head.replace("LEN=48", "LEN=44");
        assert_eq!(shown(&packet), alloc::format!("{head}OPT (TRUNCATED)"));
        packet.truncate(30);
        packet[3] = 30;
        assert!(shown(&packet).ends_with(" PROTO=TCP INCOMPLETE [10 bytes] "));
        packet[6] = 0x20;
        packet[7] = 3;
        assert!(shown(&packet).ends_with(" ID=7 MF FRAG:3 PROTO=TCP "));
    }

    #[test]
    fn older_kernels_have_no_name_for_accurate_ecn_and_the_oldest_tell_no_interface() {
        let packet = [
            0x45, 0, 0, 40, 0, 7, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IP
            15, 160, 0, 80, 0, 0, 0, 9, 0, 0, 0, 0, 0x55, 2, 1, 246, 0, 0, 0, 0, // TCP
        ];
        for (manner, flags) in [
            (MANNER, "RES=0x10 AE SYN "),
            (Manner { accurate_ecn: false, ..MANNER }, "RES=0x14 SYN "),
        ] {
            let mut text = String::new();
            append_logged(&mut text, LinkType::RawIp, &packet, &manner);
            assert!(text.contains(flags), "{text}");
            let bare = text.replace("IN=r OUT= MAC= ", "IN= OUT= ");
            text.clear();
            append_logged(
                &mut text,
                LinkType::RawIp,
                &packet,
                &Manner { interface: None, ..manner },
            );
            assert_eq!(text, bare);
        }
    }

    #[test]
    fn what_the_host_sent_goes_out() {
        let packet = v6(47, &[]);
        let cooked =
            [&[0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x86, 0xdd][..], &packet].concat();
        let mut second =
            alloc::vec![0x86, 0xdd, 0, 0, 0, 0, 0, 1, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0];
        second.extend_from_slice(&packet);
        let out = Manner { outgoing: true, ..MANNER };
        for (link, frame, manner) in [
            (LinkType::LinuxCooked, &cooked, MANNER),
            (LinkType::LinuxCooked2, &second, MANNER),
            (LinkType::RawIp, &packet, out),
        ] {
            let mut text = String::new();
            append_logged(&mut text, link, frame, &manner);
            assert_eq!(text, shown(&packet).replace("IN=r OUT= MAC= ", "IN= OUT=r "), "{link:?}");
        }
    }

    #[test]
    fn an_error_shows_what_it_quotes() {
        let quoted = [
            0x45, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1, 0, 53, 16, 0, 0,
            20, 0, 0,
        ];
        let mut packet = alloc::vec![
            0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IP
            3, 4, 0, 0, 0, 0, 5, 0xdc,
        ];
        packet.extend_from_slice(&quoted);
        assert!(shown(&packet).ends_with(
            " PROTO=ICMP TYPE=3 CODE=4 [SRC=10.0.0.2 DST=10.0.0.1 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=0 PROTO=UDP SPT=53 \
             DPT=4096 LEN=20 ] MTU=1500 "
        ));
    }

    #[test]
    fn ipv6_shows_its_headers() {
        let head = "IN=r OUT= MAC= SRC=2001:0db8:0000:0000:0000:0000:0000:0001 DST=0000:0000:0000:0000:0000:0000:0000:0002";
        let echo = [17, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 53, 0, 8, 0, 0];
        assert_eq!(
            shown(&v6(60, &echo)),
            alloc::format!(
                "{head} LEN=56 TC=1 HOPLIMIT=63 FLOWLBL=144470 OPT ( ) PROTO=UDP SPT=4096 DPT=53 LEN=8 "
            )
        );
        let encrypted = [0, 0, 0, 9, 0, 0, 0, 1];
        assert!(shown(&v6(50, &encrypted)).ends_with(" OPT ( ESP SPI=0x9 )"));
        assert!(shown(&v6(50, &encrypted[..7])).ends_with(" OPT ( ESP INCOMPLETE [7 bytes] )"));
        assert!(shown(&v6(50, &encrypted[..1])).ends_with("FLOWLBL=144470 TRUNCATED"));
        assert!(shown(&v6(47, &[])).ends_with(" PROTO=47 "));
        // An authentication header that leads 80 octets out of the packet.
        let beyond = [58, 24, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
        let end = " OPT ( AH SPI=0x1010101 ) PROTO=ICMPv6 INCOMPLETE [4294967216 bytes] ";
        assert!(shown(&v6(51, &beyond)).ends_with(end));
    }

    #[test]
    fn any_octets_are_shown_as_far_as_they_go() {
        let error = [3, 1, 0, 0, 0, 0, 0, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0];
        let mut packets = alloc::vec![v6(0, &[0; 48]), v6(58, &v6(60, &[17; 32]))];
        packets.push([&[0x45, 0, 0, 255, 0, 0, 0, 0, 64, 1, 0, 0][..], &[9; 8], &error].concat());
        for packet in packets {
            for end in 0..=packet.len() {
                for at in 0..end {
                    for octet in [0, 44, 51, 255] {
                        let mut packet = packet[..end].to_vec();
                        packet[at] = octet;
                        assert!(shown(&packet).len() < 1000);
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_is_shown_of_what_is_no_packet() {
        let mut text = String::new();
        append_logged(&mut text, LinkType::Ethernet, &[0; 20], &MANNER);
        assert_eq!(text, "");
    }
}
