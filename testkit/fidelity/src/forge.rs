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
    let mut pseudo = u64::from(protocol) + bytes.len() as u64;
    for address in [source, destination] {
        pseudo += match address {
            IpAddr::V4(v4) => words(&v4.octets()),
            IpAddr::V6(v6) => words(&v6.octets()),
        };
    }
    let sum = match !fold(pseudo + words(bytes)) {
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
