//! The words of the language, each in one place.

use plimsoll_ct::{Class, DccpState, Family, Protocol, SctpState, TcpState};

use super::{Amount, Flag, Named, Nat, SpanOf};

/// Words that combine tests; a name that is one of them must be quoted.
pub(super) const CONNECTIVES: [&str; 3] = ["and", "or", "not"];

/// Every word that may begin a test, and `not`. What is misspelled is looked for here.
pub(super) const BEGINNINGS: &[&str] = &[
    "not",
    "ipv4",
    "ip",
    "ipv6",
    "ip6",
    "tcp",
    "udp",
    "icmp",
    "icmpv6",
    "icmp6",
    "sctp",
    "dccp",
    "gre",
    "udplite",
    "proto",
    "src",
    "dst",
    "host",
    "net",
    "port",
    "sport",
    "dport",
    "reply",
    "orig",
    "type",
    "state",
    "class",
    "evictable",
    "closing",
    "protected",
    "assured",
    "unreplied",
    "replied",
    "offloaded",
    "expected",
    "dying",
    "fixed",
    "snat",
    "dnat",
    "nat",
    "direction",
    "in",
    "out",
    "forward",
    "local",
    "age",
    "idle",
    "expires",
    "packets",
    "bytes",
    "mark",
    "zone",
    "label",
    "helper",
    "netns",
    "process",
    "unit",
    "container",
    "pod",
];

pub(super) fn family(word: &str) -> Option<Family> {
    match word {
        "ipv4" | "ip" => Some(Family::V4),
        "ipv6" | "ip6" => Some(Family::V6),
        _ => None,
    }
}

pub(super) fn protocol(word: &str) -> Option<Protocol> {
    Some(match word {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "icmp" => Protocol::Icmp,
        "icmpv6" | "icmp6" => Protocol::Icmpv6,
        "sctp" => Protocol::Sctp,
        "dccp" => Protocol::Dccp,
        "gre" => Protocol::Gre,
        "udplite" => Protocol::UdpLite,
        _ => return None,
    })
}

pub(super) fn class(word: &str) -> Option<Class> {
    [Class::Evictable, Class::Closing, Class::Protected].into_iter().find(|c| c.name() == word)
}

pub(super) const FLAGS: [(&str, Flag); 7] = [
    ("assured", Flag::Assured),
    ("unreplied", Flag::Unreplied),
    ("replied", Flag::Replied),
    ("offloaded", Flag::Offloaded),
    ("expected", Flag::Expected),
    ("dying", Flag::Dying),
    ("fixed", Flag::Fixed),
];

pub(super) const NATS: [(&str, Nat); 3] =
    [("snat", Nat::Source), ("dnat", Nat::Destination), ("nat", Nat::Any)];

pub(super) const SPANS: [(&str, SpanOf); 3] =
    [("age", SpanOf::Age), ("idle", SpanOf::Idle), ("expires", SpanOf::Expires)];

pub(super) const AMOUNTS: [(&str, Amount); 2] =
    [("packets", Amount::Packets), ("bytes", Amount::Bytes)];

pub(super) const NAMED: [(&str, Named); 6] = [
    ("helper", Named::Helper),
    ("netns", Named::Netns),
    ("process", Named::Process),
    ("unit", Named::Unit),
    ("container", Named::Container),
    ("pod", Named::Pod),
];

/// The value of a word in one of the lists above.
pub(super) fn value<T: Copy>(list: &[(&str, T)], word: &str) -> Option<T> {
    list.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
}

/// The word of a value in one of the lists above.
pub(super) fn word<T: PartialEq>(list: &[(&'static str, T)], value: &T) -> &'static str {
    list.iter().find(|(_, known)| known == value).map_or("", |(name, _)| name)
}

/// The names of all states of all protocols, in the kernel's words.
pub(super) fn states() -> impl Iterator<Item = &'static str> {
    let numbers = || 0..=u8::MAX;
    let tcp = numbers().filter_map(|n| TcpState::from_number(n).name());
    let sctp = numbers().filter_map(|n| SctpState::from_number(n).name());
    let dccp = numbers().filter_map(|n| DccpState::from_number(n).name());
    tcp.chain(sctp).chain(dccp)
}

/// A state's name in the kernel's words, from what was typed: case, `-` and `_` do not matter.
pub(super) fn state(word: &str) -> Option<&'static str> {
    states().find(|name| letters(name).eq(letters(word)))
}

/// Whether two names are the same state: DCCP writes TIMEWAIT, TCP writes TIME_WAIT.
pub(super) fn same_state(a: &str, b: &str) -> bool {
    a == b || letters(a).eq(letters(b))
}

fn letters(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars().filter(|c| *c != '_' && *c != '-').map(|c| c.to_ascii_uppercase())
}
