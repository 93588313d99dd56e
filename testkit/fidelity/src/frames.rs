//! Captured packets made fit for a router: addresses that no router forwards are replaced, one to one, TTLs
//! raised, lengths made true, checksums of the IP header renewed. Both sides get the result.

use plimsoll_model::{Helper, Treatment};
use plimsoll_wire::capture::Records;
use plimsoll_wire::packet::{LinkType, network_layer, parse_ip};

/// A packet to send, and when, in nanoseconds since the first.
#[derive(Debug, Clone)]
pub struct Planned {
    /// IP packet.
    pub packet: Vec<u8>,
    /// Nanoseconds since the first.
    pub at: i64,
    /// What the router does with it.
    pub treatment: Treatment,
}

/// The packets of a capture that a router can see. Ends where the capture is broken.
pub fn plan(capture: &[u8]) -> Vec<Planned> {
    let mut planned = Vec::new();
    let mut last: Option<i64> = None;
    let mut at = 0;
    for record in Records::new(capture).map_while(Result::ok) {
        let Some(link) = LinkType::from_number(record.link) else { continue };
        let Ok(packet) = network_layer(link, record.bytes) else { continue };
        let Some(packet) = fit(packet) else { continue };
        if let (Some(time), Some(last)) = (record.time, last) {
            at = time.0.saturating_sub(last).max(0).saturating_add(at);
        }
        last = record.time.map(|t| t.0).or(last);
        let treatment = treatment(&packet);
        planned.push(Planned { packet, at, treatment });
    }
    planned
}

/// Control connections of FTP are read by its helper.
fn treatment(packet: &[u8]) -> Treatment {
    const PORT: [u8; 2] = Helper::Ftp.port().to_be_bytes();
    let is_control = parse_ip(packet).is_ok_and(|packet| {
        let ports = packet.payload.get(..4).map(|ports| ports.split_at(2));
        packet.protocol == Helper::Ftp.protocol()
            && packet.fragment.is_none()
            && ports.is_some_and(|(source, destination)| source == PORT || destination == PORT)
    });
    Treatment { helper: is_control.then_some(Helper::Ftp), ..Treatment::default() }
}

fn fit(packet: &[u8]) -> Option<Vec<u8>> {
    match packet.first()? >> 4 {
        4 => fit_v4(packet),
        6 => fit_v6(packet),
        _ => None,
    }
}

fn fit_v4(packet: &[u8]) -> Option<Vec<u8>> {
    let header = usize::from(packet[0] & 15) * 4;
    let promised = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    let promised = if promised == 0 { packet.len() } else { promised };
    if header < 20 || packet.len() < header || promised < header || promised > 65_535 {
        return None;
    }
    let mut packet = packet.to_vec();
    packet.resize(promised, 0);
    packet[2..4].copy_from_slice(&(promised as u16).to_be_bytes());
    packet[6] &= 0x7f;
    packet[8] = 64;
    packet[20..header].fill(1);
    forwardable_v4(&mut packet[12..16]);
    forwardable_v4(&mut packet[16..20]);
    let first = packet[6] & 0x1f == 0 && packet[7] == 0;
    if packet[9] == 1 && first && matches!(packet.get(header), Some(3 | 4 | 5 | 11 | 12)) {
        quoted(&mut packet[header..]);
    }
    packet[10..12].fill(0);
    let sum = sum(&packet[..header]);
    packet[10..12].copy_from_slice(&(!sum).to_be_bytes());
    Some(packet)
}

fn fit_v6(packet: &[u8]) -> Option<Vec<u8>> {
    if packet.len() < 40 {
        return None;
    }
    let mut promised = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
    if promised == 0 && packet[6] != 59 {
        promised = packet.len() - 40;
    }
    if promised > 65_495 {
        return None;
    }
    let mut packet = packet.to_vec();
    packet.resize(40 + promised, 0);
    packet[4..6].copy_from_slice(&(promised as u16).to_be_bytes());
    packet[7] = 64;
    forwardable_v6(&mut packet[8..24]);
    forwardable_v6(&mut packet[24..40]);
    if packet[6] == 58 && packet.get(40).is_some_and(|t| *t < 128) {
        quoted(&mut packet[40..]);
    }
    Some(packet)
}

/// The packet that an ICMP error quotes gets the same addresses.
fn quoted(icmp: &mut [u8]) {
    let Some(inner) = icmp.get_mut(8..) else { return };
    match inner.first().map(|b| b >> 4) {
        Some(4) if inner.len() >= 20 => {
            forwardable_v4(&mut inner[12..16]);
            forwardable_v4(&mut inner[16..20]);
        }
        Some(6) if inner.len() >= 40 => {
            forwardable_v6(&mut inner[8..24]);
            forwardable_v6(&mut inner[24..40]);
        }
        _ => {}
    }
}

fn forwardable_v4(address: &mut [u8]) {
    address[0] = match address[0] {
        0 => 100,
        127 => 101,
        multicast @ 224.. => multicast - 96,
        169 if address[1] == 254 => 102,
        other => other,
    };
}

fn forwardable_v6(address: &mut [u8]) {
    if address[0] & 0xe0 != 0x20 {
        address[0] = 0x20 | (address[0] & 0x1f);
        address[1] ^= 0x40;
    }
}

fn sum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks_exact(2).map(|p| u32::from(u16::from_be_bytes([p[0], p[1]]))).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}
