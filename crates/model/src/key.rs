//! What identifies one direction of an entry within the table: a tuple and its zone, packed.
//!
//! Kernel: `nf_ct_get_tuple()`, `nf_ct_invert_tuple()`, `hash_conntrack_raw()`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use plimsoll_ct::{L4, Protocol, Tuple};
use plimsoll_wire::packet::{Packet, Transport};

/// Both addresses of IPv6, source first, each as four words.
pub(crate) type Wide = [[u32; 4]; 2];

/// A tuple and its zone, packed as the table keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    packed: Packed,
    wide: Option<Wide>,
}

/// What fits into the first octets of an entry. Of IPv6 addresses it holds a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Packed {
    /// Source in the lower half.
    pub(crate) addresses: u64,
    /// From below: source port (ICMP: identifier; GRE: source key), destination port (ICMP: type and code;
    /// GRE: destination key), zone, protocol. The highest octet is the table's.
    pub(crate) rest: u64,
}

impl Packed {
    pub(crate) const NOTHING: Self = Self { addresses: 0, rest: 0 };

    /// Of a packet, or `None` if its first octets behind the IP header are missing.
    #[inline(always)]
    pub(crate) fn of(
        packet: &Packet<'_>,
        transport: Option<&Transport<'_>>,
        zone: u16,
    ) -> Option<Self> {
        let payload = packet.payload;
        let ports = |octets: &[u8; 4]| {
            let [a, b, c, d] = *octets;
            (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
        };
        let ports = match (packet.protocol, transport) {
            (6 | 17 | 33 | 132 | 136, _) => ports(payload.first_chunk()?),
            (1 | 58, _) => {
                let [kind, code, _, _, a, b, _, _] = *payload.first_chunk()?;
                (u16::from_be_bytes([a, b]), u16::from_be_bytes([kind, code]))
            }
            // PPTP: the source's call id is in its helper's map only; without one it is 0. Version 1 carries PPP, or has no tuple.
            (47, Some(Transport::Gre { version: 1, protocol, call_id })) => {
                if *protocol != PPP {
                    return None;
                }
                (0, *call_id)
            }
            (_, _) => (0, 0),
        };
        Some(Self::new(packet.source(), packet.destination(), packet.protocol, ports, zone))
    }

    #[inline(always)]
    fn new(
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        (first, second): (u16, u16),
        zone: u16,
    ) -> Self {
        let rest = u64::from(first) | u64::from(second) << 16 | Self::rest_of(zone, protocol);
        let addresses = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => addresses(source, destination),
            (source, destination) => digests(source, destination),
        };
        Self { addresses, rest }
    }

    /// With another source port, or key.
    pub(crate) const fn with_first(self, first: u16) -> Self {
        Self { rest: self.rest & !0xffff | first as u64, ..self }
    }

    /// Without what only a tracker of its own tells apart.
    #[inline(always)]
    pub(crate) const fn generic(self) -> Self {
        Self { rest: self.rest & !0xffff_ffff, ..self }
    }

    #[inline(always)]
    const fn first(self) -> u16 {
        self.rest as u16
    }

    #[inline(always)]
    pub(crate) const fn second(self) -> u16 {
        (self.rest >> 16) as u16
    }

    #[inline(always)]
    pub(crate) const fn protocol(self) -> u8 {
        (self.rest >> 48) as u8
    }

    /// Whether it goes to the higher port; where ports tell nothing, to the address that is higher.
    pub(crate) const fn looks_like_an_answer(self) -> bool {
        if self.first() != self.second() {
            return self.first() < self.second();
        }
        (self.addresses as u32) < (self.addresses >> 32) as u32
    }

    /// That of the answers, of a protocol with ports.
    #[inline(always)]
    pub(crate) const fn mirrored(self) -> Self {
        let ports = (self.rest as u32).rotate_left(16) as u64;
        let rest = self.rest & !0xffff_ffff | ports;
        Self { addresses: self.addresses.rotate_left(32), rest }
    }

    /// That of the answers, or `None` for an ICMP type that has no answer.
    #[inline(always)]
    pub(crate) const fn inverse(self) -> Option<Self> {
        let (first, second) = match self.protocol() {
            protocol @ (1 | 58) => {
                let [kind, code] = self.second().to_be_bytes();
                let Some(kind) = answer(protocol, kind) else { return None };
                (self.first(), u16::from_be_bytes([kind, code]))
            }
            _ => return Some(self.mirrored()),
        };
        let rest = self.rest & !0xffff_ffff | first as u64 | (second as u64) << 16;
        Some(Self { addresses: self.addresses.rotate_left(32), rest })
    }
}

/// GRE's number of PPP.
pub(crate) const PPP: u16 = 0x880b;

impl Key {
    /// The addresses of a packet, if they are IPv6's.
    #[inline(always)]
    pub(crate) fn wide_of(packet: &Packet<'_>) -> Option<Wide> {
        packet.is_v6().then(|| [words(packet.source()), words(packet.destination())])
    }

    fn new(
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        first: u16,
        second: u16,
        zone: u16,
    ) -> Self {
        let packed = Packed::new(source, destination, protocol, (first, second), zone);
        let wide = match (source, destination) {
            (IpAddr::V4(_), IpAddr::V4(_)) => None,
            (source, destination) => Some([words(source), words(destination)]),
        };
        Self { packed, wide }
    }

    pub(crate) const fn from_parts(packed: Packed, wide: Option<Wide>) -> Self {
        Self { packed, wide }
    }

    #[inline(always)]
    pub(crate) const fn packed(&self) -> Packed {
        self.packed
    }

    #[inline(always)]
    pub(crate) const fn wide(&self) -> Option<&Wide> {
        self.wide.as_ref()
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
        let (first, second) = (self.packed.first(), self.packed.second());
        let ports = L4::Ports { source: first, destination: second };
        let protocol = Protocol::from_number(self.packed.protocol());
        let l4 = match protocol {
            Protocol::Tcp | Protocol::Udp | Protocol::Sctp | Protocol::UdpLite => ports,
            Protocol::Dccp if dccp => ports,
            Protocol::Icmp | Protocol::Icmpv6 => {
                let [kind, code] = second.to_be_bytes();
                L4::Icmp { kind, code, id: first }
            }
            Protocol::Gre => L4::Gre { source: first, destination: second },
            Protocol::Dccp | Protocol::Other(_) => L4::None,
        };
        let (source, destination) = (self.source(), self.destination());
        Tuple { source, destination, protocol, l4 }
    }

    /// The key of the answers, or `None` for an ICMP type that has no answer.
    pub const fn inverse(&self) -> Option<Self> {
        let Some(packed) = self.packed.inverse() else { return None };
        let wide = match self.wide {
            Some([source, destination]) => Some([destination, source]),
            None => None,
        };
        Some(Self { packed, wide })
    }

    /// In another zone.
    pub(crate) const fn in_zone(self, zone: u16) -> Self {
        let rest = self.packed.rest & !(0xffff << 32) | (zone as u64) << 32;
        Self { packed: Packed { rest, ..self.packed }, ..self }
    }

    /// What the protocol tells source and destination apart by: ports, GRE's keys.
    pub(crate) const fn ends(&self) -> (u16, u16) {
        (self.packed.first(), self.packed.second())
    }

    /// Zone.
    pub const fn zone(&self) -> u16 {
        (self.packed.rest >> 32) as u16
    }

    fn source(&self) -> IpAddr {
        match self.wide {
            Some([source, _]) => IpAddr::V6(address(source)),
            None => IpAddr::V4(Ipv4Addr::from_bits(self.packed.addresses as u32)),
        }
    }

    /// Destination address.
    pub fn destination(&self) -> IpAddr {
        match self.wide {
            Some([_, destination]) => IpAddr::V6(address(destination)),
            None => IpAddr::V4(Ipv4Addr::from_bits((self.packed.addresses >> 32) as u32)),
        }
    }

    /// A hash that both directions of an untranslated flow share: one node finds either.
    ///
    /// Not the kernel's function: that one is keyed with a boot-time secret, so its buckets can't be
    /// foretold anyway. The key makes other, equally good drawings of them.
    pub fn hash(&self, key: u64) -> u64 {
        self.packed.hash(self.wide, key)
    }
}

impl Packed {
    /// Of a packet over IPv4 that has ports in front, and nothing that its generation might not know.
    #[inline(always)]
    pub(crate) const fn of_ports(addresses: u64, ports: [u8; 4], rest: u64) -> Self {
        let both = u32::from_be_bytes(ports).rotate_left(16);
        Self { addresses, rest: rest | both as u64 }
    }

    /// Zone and protocol at their places in [`Packed::rest`].
    #[inline(always)]
    pub(crate) const fn rest_of(zone: u16, protocol: u8) -> u64 {
        (zone as u64) << 32 | (protocol as u64) << 48
    }

    /// See [`Key::hash`].
    #[inline(always)]
    pub(crate) fn hash(self, wide: Option<Wide>, key: u64) -> u64 {
        let asked = match self.protocol() {
            1 | 58 => self.question(),
            _ => self,
        };
        match wide {
            None => asked.hash_of_ports(key),
            Some([source, destination]) => {
                let one = wide_end(&source, asked.first());
                let other = wide_end(&destination, asked.second());
                let both = if one < other { [one, other] } else { [other, one] };
                scatter(both[0], both[1] ^ self.rest >> 32 & 0xff_ffff, key)
            }
        }
    }

    /// The same for a protocol with ports over IPv4: of the direction whose addresses, or ports, come first.
    #[inline(always)]
    pub(crate) const fn hash_of_ports(self, key: u64) -> u64 {
        let back = self.mirrored();
        let first = if self.wide_number() < back.wide_number() { self } else { back };
        scatter(first.addresses, first.rest, key)
    }

    #[inline(always)]
    const fn wide_number(self) -> u128 {
        (self.addresses as u128) << 64 | self.rest as u128
    }

    /// Question and answer of ICMP fold into one, which belongs to both ends as the identifier does.
    #[inline(never)]
    fn question(self) -> Self {
        let [kind, code] = self.second().to_be_bytes();
        let question = match answer(self.protocol(), kind) {
            Some(other) if other < kind => other,
            Some(_) | None => kind,
        };
        let both = self.first() ^ u16::from_be_bytes([question, code]).rotate_left(3);
        let ends = u64::from(both) | u64::from(both) << 16;
        Self { rest: self.rest & !0xffff_ffff | ends, ..self }
    }
}

/// Scatters two words over one.
#[inline(always)]
const fn scatter(one: u64, other: u64, key: u64) -> u64 {
    let one = one ^ key ^ 0x9e37_79b9_7f4a_7c15;
    mix(fold(one, other ^ key.rotate_left(32) ^ 0x2545_f491_4f6c_dd1d) ^ key)
}

#[inline(always)]
const fn end(address: u32, port: u16) -> u64 {
    (address as u64) << 16 | port as u64
}

#[inline(never)]
fn wide_end(&[a, b, c, d]: &[u32; 4], port: u16) -> u64 {
    let low = mix(end(a, port));
    mix(low ^ (u64::from(b) << 32 | u64::from(c)))
        .wrapping_add(mix(u64::from(d) ^ low.rotate_left(17)))
}

#[inline(always)]
fn addresses(source: Ipv4Addr, destination: Ipv4Addr) -> u64 {
    u64::from(source.to_bits()) | u64::from(destination.to_bits()) << 32
}

#[inline(never)]
fn digests(source: IpAddr, destination: IpAddr) -> u64 {
    digest(words(source)) | digest(words(destination)) << 32
}

const fn digest([a, b, c, d]: [u32; 4]) -> u64 {
    (a ^ b.rotate_left(8) ^ c.rotate_left(16) ^ d.rotate_left(24)) as u64
}

const fn words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(v4) => [v4.to_bits(), 0, 0, 0],
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            [(bits >> 96) as u32, (bits >> 64) as u32, (bits >> 32) as u32, bits as u32]
        }
    }
}

const fn address([a, b, c, d]: [u32; 4]) -> Ipv6Addr {
    let high = (a as u128) << 96 | (b as u128) << 64;
    Ipv6Addr::from_bits(high | (c as u128) << 32 | d as u128)
}

/// Scatters the bits of a number over all of it.
#[inline(always)]
pub(crate) const fn mix(number: u64) -> u64 {
    fold(number ^ 0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93)
}

#[inline(always)]
const fn fold(one: u64, other: u64) -> u64 {
    let product = one as u128 * other as u128;
    (product >> 64) as u64 ^ product as u64
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
