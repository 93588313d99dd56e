//! Checksums of layer 4.
//!
//! A capture that was taken where packets are made holds unfinished ones (offload), so verifying is a
//! choice of the caller.

use core::net::IpAddr;

use super::Packet;

/// Whether a checksum is there, whole, and wrong. What the capture cut is taken to be right, and so is
/// what has no checksum.
///
/// Kernel: `nf_ip_checksum()`, `nf_ip6_checksum()`. All that the IP header promises is summed up: where octets follow a UDP
/// datagram in its packet, what is right by the datagram's own length is wrong. UDP-Lite is summed up as UDP, as the kernel does: a
/// right checksum is wrong there.
pub fn checksum_is_wrong(packet: &Packet<'_>) -> bool {
    let payload = packet.payload;
    if payload.len() != packet.payload_length as usize {
        return false;
    }
    match packet.protocol {
        // A message of zeros alone is right.
        1 => !matches!(ones(payload, 0), 0 | 0xffff),
        6 => over_pseudo_header(packet, 6) != 0xffff,
        17 => {
            let field = payload.get(6..8);
            field.is_some_and(|f| f != [0, 0]) && over_pseudo_header(packet, 17) != 0xffff
        }
        33 => dccp_is_wrong(packet),
        58 => over_pseudo_header(packet, 58) != 0xffff,
        136 => udp_lite_is_wrong(packet),
        132 => sctp_is_wrong(payload),
        _ => false,
    }
}

fn over_pseudo_header(packet: &Packet<'_>, protocol: u8) -> u16 {
    ones(packet.payload, pseudo_header(packet, protocol))
}

/// Kernel: its own count of the octets that the coverage field names, which leaves the header out of it.
fn dccp_is_wrong(packet: &Packet<'_>) -> bool {
    const HEADER: usize = 12;
    if packet.payload.len() < HEADER {
        return false;
    }
    let covered = match packet.payload[5] & 15 {
        0 => packet.payload.len(),
        words => usize::from(words - 1) * 4,
    };
    let part = packet.payload.get(..covered).unwrap_or(packet.payload);
    ones(part, pseudo_header(packet, packet.protocol)) != 0xffff
}

fn udp_lite_is_wrong(packet: &Packet<'_>) -> bool {
    const UDP: u8 = 17;
    let field = packet.payload.get(4..6);
    let covered = field.map_or(0, |b| usize::from(u16::from_be_bytes([b[0], b[1]])));
    let covered = if covered == 0 { packet.payload.len() } else { covered };
    let covered = packet.payload.get(..covered).unwrap_or(packet.payload);
    ones(covered, pseudo_header(packet, UDP)) != 0xffff
}

fn pseudo_header(packet: &Packet<'_>, protocol: u8) -> u64 {
    let mut start = u64::from(protocol) + packet.payload.len() as u64;
    for address in [packet.source(), packet.destination()] {
        start += match address {
            IpAddr::V4(v4) => words(&v4.octets()),
            IpAddr::V6(v6) => words(&v6.octets()),
        };
    }
    start
}

fn words(bytes: &[u8]) -> u64 {
    let pairs = bytes.chunks_exact(2);
    let odd = pairs.remainder().first().map_or(0, |&b| u64::from(b) << 8);
    odd + pairs.map(|p| u64::from(u16::from_be_bytes([p[0], p[1]]))).sum::<u64>()
}

/// The ones' complement sum.
fn ones(bytes: &[u8], start: u64) -> u16 {
    let mut sum = start + words(bytes);
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// CRC32c over the packet with the field itself taken as zero.
fn sctp_is_wrong(payload: &[u8]) -> bool {
    let Some(field) = payload.get(8..12) else { return false };
    let mut crc = u32::MAX;
    for (at, &byte) in payload.iter().enumerate() {
        let byte = if (8..12).contains(&at) { 0 } else { byte };
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let odd = crc & 1 != 0;
            crc = (crc >> 1) ^ if odd { 0x82f6_3b78 } else { 0 };
        }
    }
    field != (!crc).to_le_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::parse_ip;
    use super::*;

    const ECHO: [u8; 28] = [
        0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 8, 0, 0xf7, 0xfe, 0, 1,
        0, 0,
    ];

    #[test]
    fn an_echo_with_a_flipped_bit_is_wrong() {
        let mut echo = ECHO;
        assert!(!checksum_is_wrong(&parse_ip(&echo).unwrap()));
        echo[25] ^= 1;
        assert!(checksum_is_wrong(&parse_ip(&echo).unwrap()));
    }

    /// Linux 6.18, `cargo xtask fidelity rare 5000 5 messages`.
    #[test]
    fn an_echo_of_zeros_is_right() {
        let mut zeros = ECHO;
        zeros[20..].fill(0);
        assert!(!checksum_is_wrong(&parse_ip(&zeros).unwrap()));
        zeros[27] = 1;
        assert!(checksum_is_wrong(&parse_ip(&zeros).unwrap()));
    }

    #[test]
    fn udp_without_a_checksum_and_what_was_cut_are_right() {
        let mut udp = ECHO;
        udp[9] = 17;
        udp[24] = 0;
        udp[25] = 8;
        udp[26] = 0;
        assert!(!checksum_is_wrong(&parse_ip(&udp).unwrap()));
        udp[26] = 1;
        assert!(checksum_is_wrong(&parse_ip(&udp).unwrap()));
        assert!(!checksum_is_wrong(&parse_ip(&udp[..27]).unwrap()));
    }

    /// Linux 6.18, `cargo xtask fidelity rare 1500 4 headers`: what follows a datagram in its packet counts.
    #[test]
    fn a_udp_datagram_shorter_than_its_packet_is_right_by_the_packets_length() {
        let mut udp = ECHO.to_vec();
        udp[9] = 17;
        udp[20..].copy_from_slice(&[16, 0, 0, 53, 0, 8, 0, 0]);
        udp.extend([0; 2]);
        udp[3] += 2;
        for (length, wrong) in [(8u64, true), (10, false)] {
            let pseudo = 17 + length + words(&udp[12..20]);
            let sum = !ones(&[16, 0, 0, 53, 0, 8], pseudo);
            udp[26..28].copy_from_slice(&sum.to_be_bytes());
            assert_eq!(checksum_is_wrong(&parse_ip(&udp).unwrap()), wrong, "{length}");
        }
    }
}
