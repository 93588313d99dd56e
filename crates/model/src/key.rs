//! What identifies one direction of an entry within the table: a tuple and its zone, packed.
//!
//! Kernel: `nf_ct_get_tuple()`, `nf_ct_invert_tuple()`, `hash_conntrack_raw()`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use plimsoll_ct::{L4, Protocol, Tuple};
use plimsoll_wire::packet::{Packet, Transport};

/// A tuple and its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    source: [u32; 4],
    destination: [u32; 4],
    /// Source port; identifier of ICMP; source key of GRE.
    first: u16,
    /// Destination port; type and code of ICMP; destination key of GRE.
    second: u16,
    zone: u16,
    protocol: u8,
    v6: bool,
}

/// A key as the table keeps it. Of IPv6 addresses it holds a digest; the table keeps them beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) addresses: u64,
    /// All but the highest octet, which is the table's.
    pub(crate) rest: u64,
}

impl Packed {
    /// The key of an IPv4 entry, or of an IPv6 entry with these addresses.
    pub(crate) const fn unpack(self, wide: Option<[[u32; 4]; 2]>) -> Key {
        let (source, destination) = match wide {
            Some([source, destination]) => (source, destination),
            None => ([self.addresses as u32, 0, 0, 0], [(self.addresses >> 32) as u32, 0, 0, 0]),
        };
        Key {
            source,
            destination,
            first: self.rest as u16,
            second: (self.rest >> 16) as u16,
            zone: (self.rest >> 32) as u16,
            protocol: (self.rest >> 48) as u8,
            v6: wide.is_some(),
        }
    }
}

/// GRE's number of PPP.
pub(crate) const PPP: u16 = 0x880b;

impl Key {
    /// The key of a packet, or `None` if its first octets behind the IP header are missing.
    pub fn of(packet: &Packet<'_>, transport: Option<&Transport<'_>>, zone: u16) -> Option<Self> {
        let payload = packet.payload;
        let be16 = |at: usize| payload.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]));
        let (first, second) = match (packet.protocol, transport) {
            (1 | 58, _) => {
                let whole = payload.get(..8)?;
                (be16(4)?, u16::from_be_bytes([whole[0], whole[1]]))
            }
            // PPTP: the source's call id is in its helper's map only; without one it is 0.
            (47, Some(Transport::Gre { version: 1, protocol: PPP, call_id })) => (0, *call_id),
            (47, _) => {
                let _whole = payload.get(..4)?;
                (0, 0)
            }
            (6 | 17 | 33 | 132 | 136, _) => (be16(0)?, be16(2)?),
            (_, _) => (0, 0),
        };
        Some(Self::new(packet.source, packet.destination, packet.protocol, first, second, zone))
    }

    fn new(
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        first: u16,
        second: u16,
        zone: u16,
    ) -> Self {
        Self {
            source: pack(source),
            destination: pack(destination),
            first,
            second,
            zone,
            protocol,
            v6: source.is_ipv6(),
        }
    }

    /// From a tuple of the vocabulary.
    pub fn from_tuple(tuple: &Tuple, zone: u16) -> Self {
        let (first, second) = match tuple.l4 {
            L4::Ports { source, destination } | L4::Gre { source, destination } => {
                (source, destination)
            }
            L4::Icmp { kind, code, id } => (id, u16::from_be_bytes([kind, code])),
            L4::None => (0, 0),
        };
        Self::new(tuple.source, tuple.destination, tuple.protocol.number(), first, second, zone)
    }

    /// As a tuple of the vocabulary. `dccp`: whether DCCP has a tracker of its own.
    pub fn tuple(&self, dccp: bool) -> Tuple {
        let protocol = Protocol::from_number(self.protocol);
        let l4 = match protocol {
            Protocol::Tcp | Protocol::Udp | Protocol::Sctp | Protocol::UdpLite => {
                L4::Ports { source: self.first, destination: self.second }
            }
            Protocol::Dccp if dccp => L4::Ports { source: self.first, destination: self.second },
            Protocol::Icmp | Protocol::Icmpv6 => {
                let [kind, code] = self.second.to_be_bytes();
                L4::Icmp { kind, code, id: self.first }
            }
            Protocol::Gre => L4::Gre { source: self.first, destination: self.second },
            Protocol::Dccp | Protocol::Other(_) => L4::None,
        };
        let (source, destination) = (self.unpack(self.source), self.unpack(self.destination));
        Tuple { source, destination, protocol, l4 }
    }

    /// The key without what only a tracker of its own tells apart.
    pub const fn generic(mut self) -> Self {
        self.first = 0;
        self.second = 0;
        self
    }

    /// The key of the answers, or `None` for an ICMP type that has no answer.
    pub const fn inverse(&self) -> Option<Self> {
        let mut inverse = *self;
        inverse.source = self.destination;
        inverse.destination = self.source;
        match self.protocol {
            1 | 58 => {
                let [kind, code] = self.second.to_be_bytes();
                let Some(answer) = answer(self.protocol, kind) else { return None };
                inverse.second = u16::from_be_bytes([answer, code]);
            }
            _ => {
                inverse.first = self.second;
                inverse.second = self.first;
            }
        }
        Some(inverse)
    }

    /// See [`Packed`].
    #[inline]
    pub(crate) const fn packed(&self) -> Packed {
        const fn digest(address: &[u32; 4]) -> u64 {
            let [a, b, c, d] = *address;
            (a ^ b.rotate_left(8) ^ c.rotate_left(16) ^ d.rotate_left(24)) as u64
        }
        let addresses = if self.v6 {
            digest(&self.source) | digest(&self.destination) << 32
        } else {
            self.source[0] as u64 | (self.destination[0] as u64) << 32
        };
        let ports = self.first as u64 | (self.second as u64) << 16;
        let rest = ports | (self.zone as u64) << 32 | (self.protocol as u64) << 48;
        Packed { addresses, rest }
    }

    /// Both addresses of IPv6.
    pub(crate) const fn wide(&self) -> Option<[[u32; 4]; 2]> {
        if self.v6 { Some([self.source, self.destination]) } else { None }
    }

    pub(crate) const fn is_v6(&self) -> bool {
        self.v6
    }

    pub(crate) const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Zone.
    pub const fn zone(&self) -> u16 {
        self.zone
    }

    /// Destination address.
    pub const fn destination(&self) -> IpAddr {
        self.unpack(self.destination)
    }

    const fn unpack(&self, address: [u32; 4]) -> IpAddr {
        let [a, b, c, d] = address;
        if self.v6 {
            let high = ((a as u128) << 96) | ((b as u128) << 64);
            IpAddr::V6(Ipv6Addr::from_bits(high | ((c as u128) << 32) | d as u128))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(a))
        }
    }

    /// A hash that both directions of an untranslated flow share: one node finds either.
    ///
    /// Not the kernel's function: that one is keyed with a boot-time secret, so its buckets can't be
    /// foretold anyway. The key makes other, equally good drawings of them.
    pub const fn hash(&self, key: u64) -> u64 {
        let (first, second) = match self.protocol {
            // Question and answer fold into one; the identifier belongs to both ends.
            1 | 58 => {
                let [kind, code] = self.second.to_be_bytes();
                let question = match answer(self.protocol, kind) {
                    Some(other) if other < kind => other,
                    Some(_) | None => kind,
                };
                let both = self.first ^ u16::from_be_bytes([question, code]).rotate_left(3);
                (both, both)
            }
            _ => (self.first, self.second),
        };
        let a = end(self.source, first, key);
        let b = end(self.destination, second, key);
        let rest = (self.protocol as u64) << 16 | self.zone as u64;
        mix(a.wrapping_add(b) ^ mix(rest ^ key.rotate_left(32)))
    }
}

const fn end(address: [u32; 4], port: u16, key: u64) -> u64 {
    let [a, b, c, d] = address;
    let low = mix((a as u64) << 16 ^ port as u64 ^ key);
    if b | c | d == 0 {
        low
    } else {
        mix(low ^ ((b as u64) << 32 | c as u64)).wrapping_add(mix(d as u64 ^ low.rotate_left(17)))
    }
}

/// Scatters the bits of a number over all of it.
const fn mix(number: u64) -> u64 {
    let product = (number ^ 0x9e37_79b9_7f4a_7c15) as u128 * 0xd6e8_feb8_6659_fd93;
    (product >> 64) as u64 ^ product as u64
}

fn pack(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(v4) => [v4.to_bits(), 0, 0, 0],
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            [(bits >> 96) as u32, (bits >> 64) as u32, (bits >> 32) as u32, bits as u32]
        }
    }
}

/// The ICMP type that answers another.
const fn answer(protocol: u8, kind: u8) -> Option<u8> {
    Some(match (protocol, kind) {
        (1, 8) => 0,
        (1, 0) => 8,
        (1, 13) => 14,
        (1, 14) => 13,
        (1, 15) => 16,
        (1, 16) => 15,
        (1, 17) => 18,
        (1, 18) => 17,
        (58, 128) => 129,
        (58, 129) => 128,
        (58, 139) => 140,
        (58, 140) => 139,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key(protocol: u8, first: u16, second: u16) -> Key {
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 9, 0, 2]));
        Key::new(a, b, protocol, first, second, 0)
    }

    #[test]
    fn both_directions_have_one_hash_and_the_inverse_is_its_own_inverse() {
        for k in [key(6, 1024, 80), key(17, 53, 53), key(1, 77, 0x0800), key(50, 0, 0)] {
            let inverse = k.inverse().unwrap();
            assert_eq!(inverse.inverse(), Some(k));
            assert_eq!(k.hash(1), inverse.hash(1));
            assert_ne!(k.hash(1), k.hash(2));
        }
    }

    #[test]
    fn a_router_advertisement_has_no_answer() {
        assert_eq!(key(1, 0, 0x0900).inverse(), None);
    }

    #[test]
    fn a_tuple_survives_the_packing() {
        let six = Tuple {
            source: "2001:db8::1".parse().unwrap(),
            destination: "fe80::2:3".parse().unwrap(),
            protocol: Protocol::Icmpv6,
            l4: L4::Icmp { kind: 128, code: 0, id: 9 },
        };
        assert_eq!(Key::from_tuple(&six, 7).tuple(false), six);
    }
}
