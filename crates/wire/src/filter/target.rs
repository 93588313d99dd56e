//! Where a rule sends connections: what DNAT and REDIRECT write over their destination.

use alloc::vec::Vec;

use super::numbers::{self, Numbers};

/// What a rule writes over a connection's destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Over the address.
    pub address: Written,
    /// Over the port.
    pub port: Written,
}

/// What is written over a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// Nothing.
    Nothing,
    /// An address of this host.
    Own,
    /// One of these.
    Among(Numbers),
    /// Something that was not understood.
    Unknown,
}

impl Written {
    /// One of these ranges, if all were understood.
    pub(super) fn among(ranges: Option<Vec<(u128, u128)>>) -> Self {
        ranges.map_or(Self::Unknown, |ranges| Self::Among(Numbers::new(ranges)))
    }

    fn one(range: Option<(u128, u128)>) -> Self {
        Self::among(range.map(|range| alloc::vec![range]))
    }
}

impl Target {
    /// Of which nothing is known.
    pub(super) const UNKNOWN: Self = Self { address: Written::Unknown, port: Written::Unknown };

    /// What a target of iptables writes before its options are read; `None`: it leaves the destination alone.
    pub(super) fn of(target: &str) -> Option<Self> {
        let address = match target {
            "REDIRECT" => Written::Own,
            "DNAT" | "NETMAP" => Written::Unknown,
            _ => return None,
        };
        Some(Self { address, port: Written::Nothing })
    }

    /// `--to-destination 10.0.0.1-10.0.0.9:80-89`, `--to-ports 8080`, `--to 10.0.0.0/24`
    pub(super) fn option(&mut self, option: &str, value: &str) {
        match option {
            "--to-ports" | "--to-port" => self.port = Written::one(numbers::ports(value)),
            "--to" | "--to-destination" => {
                let (address, port) = apart(value);
                if !address.is_empty() {
                    self.address = Written::one(numbers::prefix(address));
                }
                if let Some(port) = port {
                    // `80-89/8080`: from which port on they are counted.
                    let range = port.split('/').next().unwrap_or_default();
                    self.port = Written::one(numbers::ports(range));
                }
            }
            _ => {}
        }
    }
}

/// `10.0.0.1:80`, `[2001:db8::1]:80`, `2001:db8::1`: address and port.
fn apart(value: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = value.strip_prefix('[').and_then(|v| v.split_once(']')) {
        return (address, rest.strip_prefix(':'));
    }
    match value.split_once(':') {
        Some((address, port)) if !port.contains(':') => (address, Some(port)),
        _ => (value, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dnat(value: &str) -> Target {
        let mut target = Target::of("DNAT").expect("it writes a destination");
        target.option("--to-destination", value);
        target
    }

    fn among(first: u128, last: u128) -> Written {
        Written::Among(Numbers::new(alloc::vec![(first, last)]))
    }

    #[test]
    fn destinations_are_told_apart() {
        let ten = 10 << 24;
        let all = [
            ("10.0.0.1:80", among(ten + 1, ten + 1), among(80, 80)),
            ("10.0.0.1-10.0.0.9:80-89/8080", among(ten + 1, ten + 9), among(80, 89)),
            ("10.0.0.1", among(ten + 1, ten + 1), Written::Nothing),
            (":8080", Written::Unknown, among(8080, 8080)),
            ("[::1]:80", among(1, 1), among(80, 80)),
            ("::1", among(1, 1), Written::Nothing),
            ("nonsense:else", Written::Unknown, Written::Unknown),
        ];
        for (text, address, port) in all {
            assert_eq!(dnat(text), Target { address, port }, "{text}");
        }
    }
}
