//! The addresses of a packet, as they lie in its header.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Source and destination, both of one family: of IPv4 as one number, of IPv6 where they stand.
///
/// Two words: a packet is handed on some million times a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses<'a> {
    /// Of IPv4: the source in the lower half, the destination in the upper one.
    narrow: u64,
    /// Of IPv6: sixteen octets each, the source first.
    wide: Option<&'a [u8; 32]>,
}

impl<'a> Addresses<'a> {
    /// Of IPv4.
    #[inline(always)]
    pub const fn v4(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        let narrow = source.to_bits() as u64 | (destination.to_bits() as u64) << 32;
        Self { narrow, wide: None }
    }

    /// Of IPv4, from the octets of a header, the source first.
    #[inline(always)]
    pub(super) const fn of_v4(octets: [u8; 8]) -> Self {
        Self { narrow: u64::from_be_bytes(octets).rotate_left(32), wide: None }
    }

    /// Of IPv6, from the octets of a header: sixteen each, the source first.
    #[inline(always)]
    pub const fn v6(octets: &'a [u8; 32]) -> Self {
        Self { narrow: 0, wide: Some(octets) }
    }

    /// Whether they are of IPv6.
    #[inline(always)]
    pub const fn is_v6(&self) -> bool {
        self.wide.is_some()
    }

    /// Of IPv4: the source in the lower half of one number, the destination in the upper one.
    #[inline(always)]
    pub const fn narrow(&self) -> Option<u64> {
        match self.wide {
            None => Some(self.narrow),
            Some(_) => None,
        }
    }

    /// Source.
    #[inline(always)]
    pub const fn source(&self) -> IpAddr {
        match self.wide {
            None => IpAddr::V4(Ipv4Addr::from_bits(self.narrow as u32)),
            Some(octets) => IpAddr::V6(half(octets, 0)),
        }
    }

    /// Destination.
    #[inline(always)]
    pub const fn destination(&self) -> IpAddr {
        match self.wide {
            None => IpAddr::V4(Ipv4Addr::from_bits((self.narrow >> 32) as u32)),
            Some(octets) => IpAddr::V6(half(octets, 1)),
        }
    }
}

/// The first or the second of two addresses.
const fn half(octets: &[u8; 32], which: usize) -> Ipv6Addr {
    let (halves, _) = octets.as_chunks::<16>();
    Ipv6Addr::from_bits(u128::from_be_bytes(halves[which]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn source_and_destination_are_those_of_the_header_in_both_families() {
        let narrow = Addresses::of_v4([10, 0, 0, 1, 192, 168, 2, 3]);
        assert_eq!(narrow, Addresses::v4([10, 0, 0, 1].into(), [192, 168, 2, 3].into()));
        assert_eq!(narrow.source(), IpAddr::from([10, 0, 0, 1]));
        assert_eq!(narrow.destination(), IpAddr::from([192, 168, 2, 3]));
        let mut octets = [0; 32];
        (octets[0], octets[15], octets[16], octets[31]) = (0xfd, 1, 0xfe, 2);
        let wide = Addresses::v6(&octets);
        assert_eq!(wide.source(), "fd00::1".parse::<IpAddr>().unwrap());
        assert_eq!(wide.destination(), "fe00::2".parse::<IpAddr>().unwrap());
        assert_eq!((wide.narrow(), narrow.is_v6()), (None, false));
    }
}
