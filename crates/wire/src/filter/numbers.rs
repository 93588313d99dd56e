//! Sets of numbers: ports, protocols, addresses.

use alloc::vec::Vec;
use core::net::IpAddr;

/// Ranges of numbers, in order, ends included, apart from each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Numbers(Vec<(u128, u128)>);

impl Numbers {
    /// One number.
    pub fn one(n: u128) -> Self {
        Self(alloc::vec![(n, n)])
    }

    /// From ranges in any order; one whose ends are swapped is empty.
    pub fn new(mut ranges: Vec<(u128, u128)>) -> Self {
        ranges.retain(|(first, last)| first <= last);
        ranges.sort_unstable();
        let mut apart: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match apart.last_mut() {
                Some(end) if first <= end.1.saturating_add(1) => end.1 = end.1.max(last),
                _ => apart.push((first, last)),
            }
        }
        Self(apart)
    }

    /// The ranges.
    pub fn ranges(&self) -> &[(u128, u128)] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it has this one.
    pub fn has(&self, n: u128) -> bool {
        self.covers(n, n)
    }

    /// Whether it has all of a range.
    pub fn covers(&self, first: u128, last: u128) -> bool {
        let after = self.0.partition_point(|range| range.0 <= first);
        after > 0 && self.0[after - 1].1 >= last
    }

    /// Whether it has one of a range.
    pub fn meets(&self, first: u128, last: u128) -> bool {
        let after = self.0.partition_point(|range| range.0 <= last);
        after > 0 && self.0[after - 1].1 >= first
    }
}

/// An address as a number.
pub(super) fn address(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `::1`, `10.0.0.1-10.0.0.9`: its range.
pub(super) fn prefix(text: &str) -> Option<(u128, u128)> {
    if let Some((first, last)) = text.split_once('-') {
        return Some((address(first.parse().ok()?), address(last.parse().ok()?)));
    }
    let (ip, length) = text.split_once('/').unwrap_or((text, ""));
    let ip: IpAddr = ip.parse().ok()?;
    let width: u32 = if ip.is_ipv4() { 32 } else { 128 };
    let bits = match length {
        "" => width,
        length => match length.parse::<u32>() {
            Ok(bits) => bits,
            // A mask with a hole is no range.
            Err(_) => {
                let mask = address(length.parse().ok()?);
                let bits = mask.count_ones().min(width);
                // A mask with a hole is no range.
                (span(u128::MAX >> (128 - width), bits, width).0 == mask).then_some(bits)?
            }
        },
    };
    (bits <= width).then(|| span(address(ip), bits, width))
}

/// The range of a prefix.
pub(super) fn span(ip: u128, bits: u32, width: u32) -> (u128, u128) {
    let first = masked(ip, bits, width);
    let host = width.saturating_sub(bits);
    let rest = if host >= 128 { u128::MAX } else { (1 << host) - 1 };
    (first, first | rest)
}

fn masked(ip: u128, bits: u32, width: u32) -> u128 {
    let host = width.saturating_sub(bits);
    if host >= 128 { 0 } else { ip >> host << host }
}

/// `443`, `8000:8003`, `8000-8003`, `:1023`, `1024:`
pub(super) fn ports(word: &str) -> Option<(u128, u128)> {
    let number = |w: &str, empty: u16| match w {
        "" => Some(u128::from(empty)),
        w => w.parse::<u16>().ok().map(u128::from).or_else(|| service(w)),
    };
    match word.split_once([':', '-']) {
        Some((first, last)) => Some((number(first, 0)?, number(last, u16::MAX)?)),
        None if word.is_empty() => None,
        None => number(word, 0).map(|n| (n, n)),
    }
}

/// The names that hand-written files have for ports.
fn service(word: &str) -> Option<u128> {
    Some(match word {
        "ftp" => 21,
        "ssh" => 22,
        "telnet" => 23,
        "smtp" => 25,
        "domain" => 53,
        "bootps" => 67,
        "bootpc" => 68,
        "http" | "www" => 80,
        "ntp" => 123,
        "https" => 443,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_prefixes_and_ranges_are_ranges() {
        assert_eq!(prefix("10.0.0.0/8"), Some((10 << 24, (11 << 24) - 1)));
        assert_eq!(prefix("10.0.0.0/255.0.0.0"), prefix("10.0.0.0/8"));
        assert_eq!(prefix("0.0.0.0/0"), Some((0, u128::from(u32::MAX))));
        assert_eq!(prefix("::/0"), Some((0, u128::MAX)));
        assert_eq!(prefix("192.0.2.1-192.0.2.7").map(|(a, b)| b - a), Some(6));
        for no in ["10.0.0.0/33", "10.0.0.0/255.0.255.0", "x", "", "1.2.3.4/", "::/129"] {
            assert_eq!(prefix(no), if no == "1.2.3.4/" { prefix("1.2.3.4") } else { None }, "{no}");
        }
    }

    #[test]
    fn a_set_covers_or_meets_a_range() {
        let set = Numbers::new(alloc::vec![(8000, 8010), (80, 80), (8011, 8020), (9, 3)]);
        assert_eq!(set.ranges(), [(80, 80), (8000, 8020)]);
        assert!(set.covers(8005, 8015) && !set.covers(8005, 8021) && set.meets(8005, 8021));
        assert!(!set.meets(81, 7999) && set.meets(0, 80) && !set.has(79));
    }
}
