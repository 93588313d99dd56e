//! A range of addresses by its prefix.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address and how many of its leading bits count; the others are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Net {
    address: IpAddr,
    length: u8,
}

impl Net {
    /// The range that an address is in. A length beyond the address's own is cut to it.
    pub fn of(address: IpAddr, length: u8) -> Self {
        match address {
            IpAddr::V4(a) => {
                let length = length.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                Self { address: IpAddr::V4(Ipv4Addr::from(u32::from(a) & mask)), length }
            }
            IpAddr::V6(a) => {
                let length = length.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                Self { address: IpAddr::V6(Ipv6Addr::from(u128::from(a) & mask)), length }
            }
        }
    }

    /// One address.
    pub fn host(address: IpAddr) -> Self {
        Self::of(address, u8::MAX)
    }

    /// From `10.0.0.0/8`, `fd00::/8`, or a bare address. Bits behind the prefix are dropped.
    pub fn parse(text: &str) -> Option<Self> {
        let Some((address, length)) = text.split_once('/') else {
            return text.parse().ok().map(Self::host);
        };
        let address: IpAddr = address.parse().ok()?;
        let length: u8 = length.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        (length <= most).then(|| Self::of(address, length))
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && Self::of(address, self.length) == *self
    }

    /// The first address of it.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits count.
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Whether it is one address.
    pub const fn is_host(&self) -> bool {
        self.length == if self.address.is_ipv4() { 32 } else { 128 }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_host() {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_range_contains_what_shares_its_prefix_and_nothing_of_the_other_family() {
        let net = Net::parse("10.1.2.3/8").expect("a net");
        assert_eq!(net.to_string(), "10.0.0.0/8");
        assert!(net.contains(IpAddr::V4(Ipv4Addr::new(10, 255, 0, 1))));
        assert!(!net.contains(IpAddr::V4(Ipv4Addr::new(11, 0, 0, 1))));
        assert!(!net.contains(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        assert!(Net::parse("0.0.0.0/0").is_some_and(|n| n.contains(Ipv4Addr::BROADCAST.into())));
        assert!(Net::parse("::/0").is_some_and(|n| n.contains(Ipv6Addr::LOCALHOST.into())));
        for wrong in ["10.0.0.0/33", "::/129", "10.0.0/8", "x", "10.0.0.1/", "/8"] {
            assert_eq!(Net::parse(wrong), None, "{wrong}");
        }
    }
}
