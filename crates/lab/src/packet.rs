//! IPv4 packets that no socket of ours would send: forged sources, requests nobody waits on.

use crate::flood::Kind;
use std::net::Ipv4Addr;

/// One packet, re-addressed for each send instead of built anew.
///
/// The kernel fills in the IP checksum and length of what a raw socket sends; the inner checksum is ours,
/// and conntrack would call a packet with a wrong one INVALID.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    kind: Kind,
    bytes: Vec<u8>,
}

const IP: usize = 20;

impl Packet {
    pub(crate) fn new(kind: Kind, destination: Ipv4Addr, port: u16) -> Self {
        let inner = match kind {
            Kind::Syn => 20,
            Kind::Udp => 8 + 4,
            Kind::Ping => 8 + 4,
        };
        let mut bytes = vec![0; IP + inner];
        bytes[0] = 0x45;
        bytes[8] = 64;
        bytes[9] = match kind {
            Kind::Ping => 1,
            Kind::Syn => 6,
            Kind::Udp => 17,
        };
        bytes[16..20].copy_from_slice(&destination.octets());
        let inner = &mut bytes[IP..];
        match kind {
            Kind::Syn => {
                inner[2..4].copy_from_slice(&port.to_be_bytes());
                inner[4..8].copy_from_slice(&0x0dead_u32.to_be_bytes());
                inner[12] = 5 << 4;
                inner[13] = 0x02;
                inner[14..16].copy_from_slice(&64_240_u16.to_be_bytes());
            }
            Kind::Udp => {
                inner[2..4].copy_from_slice(&port.to_be_bytes());
                inner[4..6].copy_from_slice(&12_u16.to_be_bytes());
                inner[8..].copy_from_slice(b"lab?");
            }
            Kind::Ping => {
                inner[0] = 8;
                inner[8..].copy_from_slice(b"lab?");
            }
        }
        Self { kind, bytes }
    }

    /// The packet as sent from `source`; `port` is the identifier of an echo request.
    pub(crate) fn from(&mut self, source: Ipv4Addr, port: u16) -> &[u8] {
        self.bytes[12..16].copy_from_slice(&source.octets());
        let at = match self.kind {
            Kind::Syn | Kind::Udp => IP,
            Kind::Ping => IP + 4,
        };
        self.bytes[at..at + 2].copy_from_slice(&port.to_be_bytes());
        let at = match self.kind {
            Kind::Syn => IP + 16,
            Kind::Udp => IP + 6,
            Kind::Ping => IP + 2,
        };
        self.bytes[at..at + 2].fill(0);
        let sum = match self.kind {
            Kind::Syn | Kind::Udp => {
                let length = (self.bytes.len() - IP) as u32;
                u32::from(self.bytes[9]) + length + sum(&self.bytes[12..])
            }
            Kind::Ping => sum(&self.bytes[IP..]),
        };
        self.bytes[at..at + 2].copy_from_slice(&finish(sum).to_be_bytes());
        &self.bytes
    }
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum()
}

fn finish(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !(sum as u16) {
        // UDP reads 0 as "no checksum"; for the others both forms of zero are the same.
        0 => 0xffff,
        checksum => checksum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_packet_sums_up_to_nothing() {
        for kind in [Kind::Syn, Kind::Udp, Kind::Ping] {
            let mut packet = Packet::new(kind, Ipv4Addr::new(198, 18, 0, 1), 80);
            for port in [1, 53, 10_000, 65_535] {
                let bytes = packet.from(Ipv4Addr::new(198, 19, 7, 9), port);
                let pseudo = u32::from(bytes[9]) + (bytes.len() - IP) as u32 + sum(&bytes[12..20]);
                let whole = sum(&bytes[IP..]) + if kind == Kind::Ping { 0 } else { pseudo };
                assert_eq!(finish(whole), 0xffff, "{kind:?} from port {port}");
            }
        }
    }
}
