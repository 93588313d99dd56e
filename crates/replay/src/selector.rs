//! Which packets a rule is about: a small expression, in the words of nft and tcpdump.
//!
//! `tcp dport 443`, `udp port 53 and host 10.0.0.0/8`, `ip6 and icmpv6`, `sport 1024-65535`. Terms are joined
//! by `and`, or just stand one after the other; all must hold. `port` and `host` hold in both directions,
//! `dport`, `sport`, `daddr`, `saddr` in one.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::ops::RangeInclusive;

use plimsoll_ct::{Family, Protocol};
use plimsoll_wire::packet::Packet;

/// Which end of a packet a term looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// Source.
    Source,
    /// Destination.
    Destination,
    /// Either.
    Either,
}

/// An address prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Prefix {
    address: IpAddr,
    bits: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Family(Family),
    Protocol(u8),
    Port(End, Vec<RangeInclusive<u16>>),
    Address(End, Vec<Prefix>),
}

/// Which packets a rule is about: a small expression in the words of nft and tcpdump. Terms are joined by `and`, or just stand one
/// after the other; all must hold. `port` and `host` hold in both directions, `dport`, `sport`, `daddr`, `saddr` in one. Without
/// terms it is about every packet.
///
/// ```
/// use plimsoll_replay::Selector;
///
/// let selector = Selector::parse("udp port 53 and host 10.0.0.0/8").expect("an expression");
/// let query = [
///     0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1, // IP
///     0x10, 0, 0, 53, 0, 8, 0, 0, // UDP
/// ];
/// let packet = plimsoll_model::wire::packet::parse_ip(&query).expect("a whole header");
/// assert!(selector.holds(&packet));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    terms: Vec<Term>,
}

/// Why a text is no selector. `{}` is the English, `{:#}` the Chinese.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorError {
    /// Word, counted from 1; one past the last where something is missing.
    pub word: usize,
    /// What is wrong, in words.
    pub what: String,
    /// The same in Chinese.
    pub chinese: String,
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { word, what, chinese } = self;
        match f.alternate() {
            false => write!(f, "word {word}: {what}"),
            true => write!(f, "第 {word} 个词：{chinese}"),
        }
    }
}

/// What is wrong with a word, in English and in Chinese.
macro_rules! fault {
    ($word:expr, $english:literal, $chinese:literal $(,)?) => {
        $crate::selector::SelectorError {
            word: $word,
            what: alloc::format!($english),
            chinese: alloc::format!($chinese),
        }
    };
}
pub(crate) use fault;

impl core::error::Error for SelectorError {}

impl Selector {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        Self::of_words(words(text))
    }

    /// Reads numbered words.
    pub(crate) fn of_words<'a>(
        mut words: impl Iterator<Item = (usize, &'a str)>,
    ) -> Result<Self, SelectorError> {
        let mut terms = Vec::new();
        let mut last = 0;
        while let Some((at, word)) = words.next() {
            last = at;
            let mut value = |what: &str, chinese: &str| {
                words.next().map(|(_, value)| value).ok_or_else(|| {
                    fault!(at + 1, "expected {what} after {word:?}", "{word:?} 后面缺少{chinese}")
                })
            };
            let term = match word {
                "and" | "&&" => continue,
                "ip" | "ip4" | "ipv4" => Term::Family(Family::V4),
                "ip6" | "ipv6" => Term::Family(Family::V6),
                "proto" | "protocol" => {
                    let name = value("a protocol", "协议")?;
                    let number = protocol(name).ok_or_else(|| {
                        fault!(
                            at + 1,
                            "expected a protocol, saw {name:?}",
                            "应为协议，实为 {name:?}"
                        )
                    })?;
                    Term::Protocol(number)
                }
                "port" => Term::Port(End::Either, ports(at + 1, value("a port", "端口")?)?),
                "sport" => Term::Port(End::Source, ports(at + 1, value("a port", "端口")?)?),
                "dport" => Term::Port(End::Destination, ports(at + 1, value("a port", "端口")?)?),
                "host" | "addr" | "net" => {
                    Term::Address(End::Either, prefixes(at + 1, value("an address", "地址")?)?)
                }
                "saddr" | "src" => {
                    Term::Address(End::Source, prefixes(at + 1, value("an address", "地址")?)?)
                }
                "daddr" | "dst" => {
                    Term::Address(End::Destination, prefixes(at + 1, value("an address", "地址")?)?)
                }
                name => match protocol(name) {
                    Some(number) => Term::Protocol(number),
                    None => {
                        return Err(fault!(
                            at,
                            "expected a protocol, ip, ip6, port, sport, dport, host, saddr or daddr, saw {word:?}",
                            "应为协议、ip、ip6、port、sport、dport、host、saddr 或 daddr，实为 {word:?}"
                        ));
                    }
                },
            };
            terms.push(term);
        }
        if terms.is_empty() {
            return Err(fault!(
                last + 1,
                "expected an expression like 'tcp dport 443'",
                "应为表达式，如 'tcp dport 443'"
            ));
        }
        Ok(Self { terms })
    }

    /// Whether it is about this packet. Ports of later fragments are unknown: none holds.
    pub fn holds(&self, packet: &Packet<'_>) -> bool {
        self.terms.iter().all(|term| match term {
            Term::Family(family) => (*family == Family::V6) == packet.is_v6(),
            Term::Protocol(number) => *number == packet.protocol,
            Term::Port(end, ranges) => port_holds(packet, *end, ranges),
            Term::Address(end, prefixes) => {
                let one = |address| prefixes.iter().any(|prefix| prefix.holds(address));
                match end {
                    End::Source => one(packet.source()),
                    End::Destination => one(packet.destination()),
                    End::Either => one(packet.source()) || one(packet.destination()),
                }
            }
        })
    }

    /// The same seen from the other side: source and destination change places.
    #[must_use]
    pub fn mirrored(&self) -> Self {
        let turn = |end: &End| match end {
            End::Source => End::Destination,
            End::Destination => End::Source,
            End::Either => End::Either,
        };
        let terms = self.terms.iter().map(|term| match term {
            Term::Port(end, ranges) => Term::Port(turn(end), ranges.clone()),
            Term::Address(end, prefixes) => Term::Address(turn(end), prefixes.clone()),
            Term::Family(_) | Term::Protocol(_) => term.clone(),
        });
        Self { terms: terms.collect() }
    }

    /// Whether it is about both directions of the same flows.
    pub fn is_symmetric(&self) -> bool {
        self.mirrored() == *self
    }

    /// The protocol that it names, if it does.
    pub fn protocol(&self) -> Option<u8> {
        self.terms.iter().find_map(|term| match term {
            Term::Protocol(number) => Some(*number),
            Term::Family(_) | Term::Port(..) | Term::Address(..) => None,
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |end: &End, names: [&'static str; 3]| match end {
            End::Source => names[0],
            End::Destination => names[1],
            End::Either => names[2],
        };
        for (i, term) in self.terms.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { " " })?;
            match term {
                Term::Family(Family::V4) => f.write_str("ip")?,
                Term::Family(Family::V6) => f.write_str("ip6")?,
                Term::Protocol(number) => match Protocol::from_number(*number).name() {
                    name if protocol(name) == Some(*number) => f.write_str(name)?,
                    _ => write!(f, "{number}")?,
                },
                Term::Port(which, ranges) => {
                    f.write_str(end(which, ["sport", "dport", "port"]))?;
                    for (i, range) in ranges.iter().enumerate() {
                        write!(f, "{}{}", if i == 0 { ' ' } else { ',' }, range.start())?;
                        if range.start() != range.end() {
                            write!(f, "-{}", range.end())?;
                        }
                    }
                }
                Term::Address(which, prefixes) => {
                    f.write_str(end(which, ["saddr", "daddr", "host"]))?;
                    for (i, prefix) in prefixes.iter().enumerate() {
                        write!(f, "{}{}", if i == 0 { ' ' } else { ',' }, prefix.address)?;
                        let whole = if prefix.address.is_ipv6() { 128 } else { 32 };
                        if prefix.bits != whole {
                            write!(f, "/{}", prefix.bits)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// The words of an expression, counted from 1.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_whitespace().enumerate().map(|(at, word)| (at + 1, word))
}

fn protocol(name: &str) -> Option<u8> {
    Some(match name {
        "tcp" => 6,
        "udp" => 17,
        "udplite" => 136,
        "icmp" => 1,
        "icmpv6" | "icmp6" | "ipv6-icmp" => 58,
        "sctp" => 132,
        "dccp" => 33,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        number => return number.parse().ok(),
    })
}

fn ports(word: usize, text: &str) -> Result<Vec<RangeInclusive<u16>>, SelectorError> {
    let bad = |part: &str| {
        fault!(
            word,
            "expected a port or a range like 1-9, saw {part:?}",
            "应为端口或 1-9 这样的范围，实为 {part:?}"
        )
    };
    text.split(',')
        .map(|part| {
            let (from, to) = part.split_once(['-', ':']).unwrap_or((part, part));
            let range = from.parse().ok().zip(to.parse().ok()).filter(|(from, to)| from <= to);
            range.map(|(from, to)| from..=to).ok_or_else(|| bad(part))
        })
        .collect()
}

fn prefixes(word: usize, text: &str) -> Result<Vec<Prefix>, SelectorError> {
    let bad = |part: &str| {
        fault!(
            word,
            "expected an address or a prefix, saw {part:?}",
            "应为地址或前缀，实为 {part:?}"
        )
    };
    text.split(',')
        .map(|part| {
            let (address, bits) = part.split_once('/').map_or((part, None), |(a, b)| (a, Some(b)));
            let address: IpAddr = address.parse().map_err(|_| bad(part))?;
            let most = if address.is_ipv6() { 128 } else { 32 };
            let bits = bits.map_or(Some(most), |b| b.parse().ok()).filter(|b| *b <= most);
            Ok(Prefix { address, bits: bits.ok_or_else(|| bad(part))? })
        })
        .collect()
}

impl Prefix {
    fn holds(&self, address: IpAddr) -> bool {
        let differ = match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()) << 96,
            (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
            _ => return false,
        };
        differ.leading_zeros() >= u32::from(self.bits)
    }
}

fn port_holds(packet: &Packet<'_>, end: End, ranges: &[RangeInclusive<u16>]) -> bool {
    let has_ports = matches!(packet.protocol, 6 | 17 | 33 | 132 | 136);
    if !has_ports || packet.fragment.is_some_and(|f| f.offset != 0) {
        return false;
    }
    let Some(&[a, b, c, d]) = packet.payload.first_chunk::<4>() else { return false };
    let one = |port: u16| ranges.iter().any(|range| range.contains(&port));
    let (source, destination) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    match end {
        End::Source => one(source),
        End::Destination => one(destination),
        End::Either => one(source) || one(destination),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloc::string::ToString;

    use plimsoll_wire::packet::parse_ip;

    use super::*;

    /// TCP, 10.0.0.1:1024 to 192.0.2.9:443.
    const PACKET: [u8; 24] =
        [0x45, 0, 0, 24, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 192, 0, 2, 9, 4, 0, 1, 0xbb];

    #[test]
    fn a_protocol_without_a_name_prints_as_its_number() {
        for text in ["0", "255", "tcp", "icmpv6 port 1-9"] {
            assert_eq!(Selector::parse(text).unwrap().to_string(), text);
        }
    }

    fn holds(text: &str) -> bool {
        Selector::parse(text).unwrap().holds(&parse_ip(&PACKET).unwrap())
    }

    #[test]
    fn all_terms_must_hold() {
        for text in [
            "tcp",
            "tcp dport 443",
            "ip and tcp and port 80,443",
            "sport 1000-2000 daddr 192.0.2.0/24",
            "host 10.0.0.1",
            "proto 6",
        ] {
            assert!(holds(text), "{text}");
        }
        for text in ["udp", "tcp dport 80", "tcp sport 443", "ip6 tcp", "daddr 10.0.0.0/8"] {
            assert!(!holds(text), "{text}");
        }
    }

    #[test]
    fn a_prefix_of_nothing_holds_for_its_family_only() {
        assert!(holds("daddr 0.0.0.0/0"));
        assert!(!holds("daddr ::/0"));
    }

    #[test]
    fn it_is_written_as_it_was_read() {
        for text in ["tcp dport 443", "ip udp port 53,5353", "ip6 saddr 2001:db8::/32", "dport 1-9"]
        {
            assert_eq!(Selector::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_mirror_of_a_destination_is_a_source_and_a_port_is_its_own() {
        let one_way = Selector::parse("tcp dport 443").unwrap();
        assert_eq!(one_way.mirrored().to_string(), "tcp sport 443");
        assert!(!one_way.is_symmetric() && Selector::parse("tcp port 443").unwrap().is_symmetric());
    }

    #[test]
    fn an_error_names_the_word_and_what_was_expected() {
        let error = |text: &str| Selector::parse(text).unwrap_err().to_string();
        assert_eq!(error("tcp dport"), "word 3: expected a port after \"dport\"");
        assert_eq!(
            error("tcp dport 70000"),
            "word 3: expected a port or a range like 1-9, saw \"70000\""
        );
        assert!(error("tpc dport 1").starts_with("word 1: expected a protocol"));
        assert!(error("host 1.2.3.4/33").contains("saw \"1.2.3.4/33\""));
        assert!(error("").starts_with("word 1: expected an expression"));
    }
}
