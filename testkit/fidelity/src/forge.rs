//! Packets made to measure, with right checksums unless asked otherwise.

use std::net::IpAddr;

/// An IP packet around a payload.
pub fn ip(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(s), IpAddr::V4(d)) => {
            let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
            packet.extend_from_slice(&s.octets());
            packet.extend_from_slice(&d.octets());
            let total = (20 + payload.len()) as u16;
            packet[2..4].copy_from_slice(&total.to_be_bytes());
            let sum = fold(words(&packet));
            packet[10..12].copy_from_slice(&(!sum).to_be_bytes());
            packet.extend_from_slice(payload);
            packet
        }
        (IpAddr::V6(s), IpAddr::V6(d)) => {
            let mut packet = vec![0x60, 0, 0, 0];
            packet.extend_from_slice(&(payload.len() as u16).to_be_bytes());
            packet.extend_from_slice(&[protocol, 64]);
            packet.extend_from_slice(&s.octets());
            packet.extend_from_slice(&d.octets());
            packet.extend_from_slice(payload);
            packet
        }
        _ => Vec::new(),
    }
}

/// A TCP segment.
#[derive(Debug, Clone, Default)]
pub struct TcpSegment {
    /// Ports: source, destination.
    pub ports: (u16, u16),
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags.
    pub flags: u8,
    /// Window.
    pub window: u16,
    /// Options, a multiple of four octets.
    pub options: Vec<u8>,
    /// Octets of payload.
    pub payload: usize,
    /// What stands behind them.
    pub data: Vec<u8>,
}

impl TcpSegment {
    /// As an IP packet.
    pub fn packet(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let mut tcp = Vec::new();
        tcp.extend_from_slice(&self.ports.0.to_be_bytes());
        tcp.extend_from_slice(&self.ports.1.to_be_bytes());
        tcp.extend_from_slice(&self.seq.to_be_bytes());
        tcp.extend_from_slice(&self.ack.to_be_bytes());
        tcp.push(((20 + self.options.len()) / 4 * 16) as u8);
        tcp.push(self.flags);
        tcp.extend_from_slice(&self.window.to_be_bytes());
        tcp.extend_from_slice(&[0; 4]);
        tcp.extend_from_slice(&self.options);
        tcp.resize(tcp.len() + self.payload, 0x55);
        tcp.extend_from_slice(&self.data);
        seal(source, destination, 6, &mut tcp, 16);
        ip(source, destination, 6, &tcp)
    }
}

/// A UDP datagram whose length field is wrong by `lie`.
pub fn udp(
    source: IpAddr,
    destination: IpAddr,
    ports: (u16, u16),
    payload: usize,
    lie: i32,
) -> Vec<u8> {
    let mut udp = Vec::new();
    udp.extend_from_slice(&ports.0.to_be_bytes());
    udp.extend_from_slice(&ports.1.to_be_bytes());
    let length = (payload as i32 + 8 + lie).clamp(0, 65_535) as u16;
    udp.extend_from_slice(&length.to_be_bytes());
    udp.extend_from_slice(&[0; 2]);
    udp.resize(8 + payload, 0x55);
    if lie == 0 {
        seal(source, destination, 17, &mut udp, 6);
    }
    ip(source, destination, 17, &udp)
}

/// An ICMP or ICMPv6 message.
pub fn icmp(
    source: IpAddr,
    destination: IpAddr,
    kind: u8,
    code: u8,
    id: u16,
    body: &[u8],
) -> Vec<u8> {
    let mut icmp = vec![kind, code, 0, 0];
    icmp.extend_from_slice(&id.to_be_bytes());
    icmp.extend_from_slice(&[0, 1]);
    icmp.extend_from_slice(body);
    if source.is_ipv6() {
        seal(source, destination, 58, &mut icmp, 2);
        ip(source, destination, 58, &icmp)
    } else {
        let sum = fold(words(&icmp));
        icmp[2..4].copy_from_slice(&(!sum).to_be_bytes());
        ip(source, destination, 1, &icmp)
    }
}

/// An SCTP packet.
pub fn sctp(
    source: IpAddr,
    destination: IpAddr,
    ports: (u16, u16),
    tag: u32,
    chunks: &[(u8, u8, Vec<u8>)],
) -> Vec<u8> {
    let mut sctp = Vec::new();
    sctp.extend_from_slice(&ports.0.to_be_bytes());
    sctp.extend_from_slice(&ports.1.to_be_bytes());
    sctp.extend_from_slice(&tag.to_be_bytes());
    sctp.extend_from_slice(&[0; 4]);
    for (kind, flags, value) in chunks {
        sctp.extend_from_slice(&[*kind, *flags]);
        sctp.extend_from_slice(&(value.len() as u16 + 4).to_be_bytes());
        sctp.extend_from_slice(value);
        sctp.resize(sctp.len().next_multiple_of(4), 0);
    }
    let crc = crc32c(&sctp);
    sctp[8..12].copy_from_slice(&crc.to_le_bytes());
    ip(source, destination, 132, &sctp)
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let odd = crc & 1 != 0;
            crc = (crc >> 1) ^ if odd { 0x82f6_3b78 } else { 0 };
        }
    }
    !crc
}

/// Fills in the checksum at `at`, over the pseudo header too.
fn seal(source: IpAddr, destination: IpAddr, protocol: u8, bytes: &mut [u8], at: usize) {
    let all = bytes.len();
    seal_part(source, destination, protocol, bytes, at, all);
}

/// The same with a checksum that covers only so many of the octets.
fn seal_part(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    bytes: &mut [u8],
    at: usize,
    covered: usize,
) {
    let mut pseudo = u64::from(protocol) + bytes.len() as u64;
    for address in [source, destination] {
        pseudo += match address {
            IpAddr::V4(v4) => words(&v4.octets()),
            IpAddr::V6(v6) => words(&v6.octets()),
        };
    }
    let part = bytes.get(..covered).unwrap_or(bytes);
    let sum = match !fold(pseudo + words(part)) {
        0 => 0xffff,
        sum => sum,
    };
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

fn words(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|p| u64::from(p[0]) << 8 | u64::from(p.get(1).copied().unwrap_or(0))).sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// A UDP-Lite datagram whose checksum covers `8 + cover` octets, or all if that is 0.
pub fn udp_lite(
    source: IpAddr,
    destination: IpAddr,
    ports: (u16, u16),
    payload: usize,
    cover: i32,
) -> Vec<u8> {
    let mut udp = Vec::new();
    udp.extend_from_slice(&ports.0.to_be_bytes());
    udp.extend_from_slice(&ports.1.to_be_bytes());
    let covered = if cover == 0 { 0 } else { (8 + cover).clamp(0, 65_535) as u16 };
    udp.extend_from_slice(&covered.to_be_bytes());
    udp.extend_from_slice(&[0; 2]);
    udp.resize(8 + payload, 0x55);
    seal(source, destination, 136, &mut udp, 6);
    ip(source, destination, 136, &udp)
}

/// One whose header says that its checksum covers so many octets, and which covers so many, summed up as a protocol.
pub fn udp_lite_over(
    source: IpAddr,
    destination: IpAddr,
    ports: (u16, u16),
    payload: usize,
    (field, covered, protocol): (u16, usize, u8),
) -> Vec<u8> {
    let fields = [ports.0, ports.1, field, 0];
    let mut udp: Vec<u8> = fields.into_iter().flat_map(u16::to_be_bytes).collect();
    udp.resize(8 + payload, 0x55);
    seal_part(source, destination, protocol, &mut udp, 6, covered);
    ip(source, destination, 136, &udp)
}

/// What is unusual about a DCCP packet.
#[derive(Debug, Clone, Copy, Default)]
pub struct DccpManner {
    /// 24 bits of sequence number only.
    pub short: bool,
    /// The field that tells how much the checksum covers.
    pub coverage: u8,
    /// It ends after so many words.
    pub words: Option<u8>,
}

/// A DCCP packet: type, sequence and acknowledgement numbers.
pub fn dccp(
    source: IpAddr,
    destination: IpAddr,
    ports: (u16, u16),
    kind: u8,
    (seq, ack): (u64, u64),
    DccpManner { short, coverage, words }: DccpManner,
) -> Vec<u8> {
    let mut dccp = Vec::new();
    dccp.extend_from_slice(&ports.0.to_be_bytes());
    dccp.extend_from_slice(&ports.1.to_be_bytes());
    dccp.extend_from_slice(&[0; 4]);
    dccp.push(kind << 1 | u8::from(!short));
    let seq = seq.to_be_bytes();
    if short {
        dccp.extend_from_slice(&seq[5..]);
    } else {
        dccp.push(0);
        dccp.extend_from_slice(&seq[2..]);
    }
    let acknowledges = !matches!(kind, 0 | 2);
    if acknowledges {
        let ack = ack.to_be_bytes();
        dccp.extend_from_slice(&[0; 2]);
        dccp.extend_from_slice(&ack[2..]);
    }
    // Service code, or that of a reset.
    if matches!(kind, 0 | 1 | 7) {
        dccp.extend_from_slice(&[0, 0, 0, 1]);
    }
    dccp[4] = (dccp.len() / 4) as u8;
    dccp[5] = coverage & 15;
    dccp.resize(dccp.len() + 8, 0x55);
    if let Some(words) = words {
        dccp.truncate(usize::from(words) * 4);
        dccp[4] = dccp[4].min(words);
    }
    // The kernel leaves the header out of what is covered.
    let covered = coverage.checked_sub(1).map_or(dccp.len(), |words| usize::from(words) * 4);
    seal_part(source, destination, 33, &mut dccp, 6, covered);
    ip(source, destination, 33, &dccp)
}

/// A part of `packet`, whose IP header takes `header` octets: identification, offset, whether more follow.
pub fn fragment(
    packet: &[u8],
    header: usize,
    part: &[u8],
    (id, offset, more): (u32, usize, bool),
) -> Vec<u8> {
    let mut out = packet[..header].to_vec();
    if header == 20 {
        out[4..6].copy_from_slice(&(id as u16).to_be_bytes());
        let field = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
        out[6..8].copy_from_slice(&field.to_be_bytes());
    } else {
        let next = core::mem::replace(&mut out[6], 44);
        out.extend_from_slice(&[next, 0]);
        out.extend_from_slice(&(offset as u16 | u16::from(more)).to_be_bytes());
        out.extend_from_slice(&id.to_be_bytes());
    }
    out.extend_from_slice(part);
    renew_length(&mut out);
    out
}

/// An IPv6 packet with extension headers of these kinds put before its payload.
pub fn with_extensions(packet: &[u8], kinds: &[u8]) -> Vec<u8> {
    let mut out = packet[..40].to_vec();
    let mut next = 6;
    for kind in kinds {
        let before = core::mem::replace(&mut out[next], *kind);
        next = out.len();
        match kind {
            // Routing, nothing left to visit; authentication; mobility; options: padding.
            43 => out.extend_from_slice(&[before, 0, 4, 0, 0, 0, 0, 0]),
            51 => out.extend_from_slice(&[
                before, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ]),
            135 => out.extend_from_slice(&[before, 0, 0, 0, 0, 0, 0, 0]),
            _ => out.extend_from_slice(&[before, 0, 1, 4, 0, 0, 0, 0]),
        }
    }
    out.extend_from_slice(&packet[40..]);
    renew_length(&mut out);
    out
}

/// An IPv6 packet of more than 65,535 octets (RFC 2675), with other options in front of that of its length and behind it.
pub fn jumbogram(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    payload: &[u8],
    [before, behind]: [&[u8]; 2],
) -> Vec<u8> {
    const JUMBO: u8 = 0xc2;
    let options = before.len() + 8 + behind.len();
    let length = (options + payload.len()) as u32;
    let mut header = vec![protocol, (options / 8 - 1) as u8];
    header.extend_from_slice(before);
    header.extend_from_slice(&[JUMBO, 4]);
    header.extend_from_slice(&length.to_be_bytes());
    header.extend_from_slice(behind);
    let mut packet = ip(source, destination, 0, &[&header, payload].concat());
    packet[4..6].fill(0);
    packet
}

/// Makes the IP header say how long the packet is: any length, where one of IPv4 claims to be another.
pub fn renew_length(packet: &mut [u8]) {
    let length = packet.len();
    if packet[0] >> 4 == 6 {
        packet[4..6].copy_from_slice(&(length.wrapping_sub(40) as u16).to_be_bytes());
    } else {
        packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        packet[10..12].fill(0);
        let sum = fold(words(&packet[..20]));
        packet[10..12].copy_from_slice(&(!sum).to_be_bytes());
    }
}
