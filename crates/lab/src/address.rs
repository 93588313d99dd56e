//! Who lives where in the lab. All addresses are of the range that RFC 2544 sets aside for tests.
//!
//! | Addresses | Who | In the client's namespace | In the server's namespace |
//! |---|---|---|---|
//! | 198.18.0.1 | the web server | on the link | its own |
//! | 198.18.0.3 | the application that forgets its connections | on the link | its own |
//! | 198.18.0.2 | the visitors | its own | on the link |
//! | 198.18.64.0/18 | the connections that fill the table | its own (any of them) | routed to the client |
//! | 198.18.128.0/17 | spoofed sources whose answers get lost on the way | nobody's | routed to the client |
//! | 198.19.0.0/16 | spoofed sources that cannot be answered | nobody's | no route |

use std::net::Ipv4Addr;

/// The web server that visitors come to.
pub const WEB: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// Where the visitors come from.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// The application whose connections fill the table.
pub const APPLICATION: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 3);
/// The port that both serve.
pub const SERVICE_PORT: u16 = 80;

/// A block of addresses that traffic of the lab comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sources {
    /// Real hosts: 198.18.64.0/18.
    Real,
    /// Spoofed, and the answers to them leave the server: 198.18.128.0/17.
    Answered,
    /// Spoofed, and the server has no way to answer: 198.19.0.0/16.
    Unanswered,
}

impl Sources {
    /// Ports used of each crowded address.
    const PORTS: u32 = 50_000;
    const FIRST_PORT: u32 = 10_000;

    /// The block in CIDR notation.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Real => "198.18.64.0/18",
            Self::Answered => "198.18.128.0/17",
            Self::Unanswered => "198.19.0.0/16",
        }
    }

    const fn first(self) -> Ipv4Addr {
        match self {
            Self::Real => Ipv4Addr::new(198, 18, 64, 1),
            Self::Answered => Ipv4Addr::new(198, 18, 128, 1),
            Self::Unanswered => Ipv4Addr::new(198, 19, 0, 1),
        }
    }

    /// How many addresses are used before the first comes again.
    pub const fn addresses(self) -> u32 {
        match self {
            Self::Real => 16_000,
            Self::Answered => 32_000,
            Self::Unanswered => 65_000,
        }
    }

    /// The `n`th source when few hosts open many connections each: all ports of one address, then the next.
    pub fn crowded(self, n: u64) -> (Ipv4Addr, u16) {
        let address = (n / u64::from(Self::PORTS)) % u64::from(self.addresses());
        let port = Self::FIRST_PORT + (n % u64::from(Self::PORTS)) as u32;
        (self.address(address as u32), port as u16)
    }

    /// The `n`th source when each packet comes from another host. Never one of [`Self::crowded`].
    pub fn scattered(self, n: u64) -> (Ipv4Addr, u16) {
        let round = (n / u64::from(self.addresses())) % u64::from(Self::FIRST_PORT - 1024);
        let address = (n % u64::from(self.addresses())) as u32;
        (self.address(address), (1024 + round as u32) as u16)
    }

    fn address(self, n: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.first()).wrapping_add(n))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::HashSet;

    fn contains(prefix: &str, address: Ipv4Addr) -> bool {
        let (net, bits) = prefix.split_once('/').unwrap();
        let shift = 32 - bits.parse::<u32>().unwrap();
        u32::from(net.parse::<Ipv4Addr>().unwrap()) >> shift == u32::from(address) >> shift
    }

    #[test]
    fn sources_stay_in_their_block_and_do_not_repeat_soon() {
        for sources in [Sources::Real, Sources::Answered, Sources::Unanswered] {
            for pick in [Sources::crowded, Sources::scattered] {
                let seen: HashSet<_> = (0..300_000).map(|n| pick(sources, n)).collect();
                assert_eq!(seen.len(), 300_000);
                assert!(seen.iter().all(|(a, _)| contains(sources.prefix(), *a)));
                let (last, port) = pick(sources, u64::MAX);
                assert!(contains(sources.prefix(), last) && port >= 1024);
            }
        }
    }
}
