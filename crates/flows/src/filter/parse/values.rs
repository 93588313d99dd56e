//! What single words mean: amounts, marks, ranges of ports, targets of NAT.

use crate::Net;
use crate::filter::{Mark, Target};

pub(super) fn range(word: &str) -> Option<(u16, u16)> {
    match word.split_once('-') {
        Some((first, last)) => Some((first.parse().ok()?, last.parse().ok()?)),
        None => word.parse().ok().map(|port| (port, port)),
    }
}

/// `1000`, `10k`, `5M`, `2Gi`.
pub(super) fn amount(word: &str) -> Option<u64> {
    let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let number: u64 = word[..digits].parse().ok()?;
    let unit: u64 = match &word[digits..] {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(unit)
}

fn bits(word: &str) -> Option<u32> {
    match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => word.parse().ok(),
    }
}

pub(super) fn mark(word: &str) -> Option<Mark> {
    match word.split_once('/') {
        Some((value, mask)) => Some(Mark { value: bits(value)?, mask: Some(bits(mask)?) }),
        None => Some(Mark { value: bits(word)?, mask: None }),
    }
}

/// `10.0.0.5`, `10.0.0.5:80`, `:80-90`, `[fd00::1]:80`, `[fd00::/8]:80`, `fd00::/8`.
pub(super) fn target(word: &str) -> Option<Target> {
    let ports = |text: &str| range(text).filter(|(first, last)| first <= last);
    if let Some(rest) = word.strip_prefix('[') {
        let (net, after) = rest.split_once(']')?;
        let net = Some(Net::parse(net)?);
        return match after.strip_prefix(':') {
            Some(text) => Some(Target { net, ports: Some(ports(text)?) }),
            None => after.is_empty().then_some(Target { net, ports: None }),
        };
    }
    if let Some(text) = word.strip_prefix(':')
        && !text.contains(':')
    {
        return Some(Target { net: None, ports: Some(ports(text)?) });
    }
    if let Some(net) = Net::parse(word) {
        return Some(Target { net: Some(net), ports: None });
    }
    let (net, text) = word.rsplit_once(':')?;
    let net = Net::parse(net).filter(|net| net.address().is_ipv4())?;
    Some(Target { net: Some(net), ports: Some(ports(text)?) })
}
