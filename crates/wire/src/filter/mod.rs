//! Packet-filter rules as a program: tables, chains, rules, what each rule looks at and what it then does.
//!
//! `ruleset` tells which rules need tracking; this tells where a packet goes. Two forms are read, those that say
//! every condition exactly: `iptables-save` of either back end ([`read_save`]) and `nft -j list ruleset`
//! ([`read_json`]). A condition that is not understood is kept as [`Test::Unknown`]: neither true nor false.
//! Formats: iptables-extensions(8), libnftables-json(5), and fixtures/rules.

mod json;
mod numbers;
mod save;
mod target;
#[cfg(test)]
mod tests;

pub use json::read_json;
pub use numbers::Numbers;
pub use save::read_save;
pub use target::{Target, Written};

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

pub use crate::ruleset::{Backend, Hook, Need, TableFamily};

/// Which end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where it comes from: source address and port, incoming interface.
    Source,
    /// Where it goes: destination address and port, outgoing interface.
    Destination,
}

/// State of a packet as rules see it: bits of [`States`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct States(pub u8);

impl States {
    /// INVALID
    pub const INVALID: Self = Self(1);
    /// ESTABLISHED
    pub const ESTABLISHED: Self = Self(2);
    /// RELATED
    pub const RELATED: Self = Self(4);
    /// NEW
    pub const NEW: Self = Self(8);
    /// UNTRACKED
    pub const UNTRACKED: Self = Self(16);
    /// SNAT of iptables, `ct status snat`
    pub const SNAT: Self = Self(32);
    /// DNAT of iptables, `ct status dnat`
    pub const DNAT: Self = Self(64);

    /// By its name in any spelling.
    pub fn named(word: &str) -> Option<Self> {
        const NAMES: &[(&str, States)] = &[
            ("invalid", States::INVALID),
            ("established", States::ESTABLISHED),
            ("related", States::RELATED),
            ("new", States::NEW),
            ("untracked", States::UNTRACKED),
            ("snat", States::SNAT),
            ("dnat", States::DNAT),
        ];
        NAMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, s)| *s)
    }

    /// Both.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether they share one.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// Always true.
    Always,
    /// IPv4 or IPv6 only.
    Family(TableFamily),
    /// Number of the transport protocol.
    Protocol(Arc<Numbers>),
    /// Port.
    Port(Side, Arc<Numbers>),
    /// Address, as a number: of IPv4 the low 32 bits. The family is another condition.
    Address(Side, Arc<Numbers>),
    /// The address is one of this host's own.
    Local(Side),
    /// Name of an interface; one that ends in `*` means all that begin so.
    Interface(Side, Arc<[String]>),
    /// State of tracking.
    State(States),
    /// TCP flags: of those in `mask` exactly those in `set`.
    Flags {
        /// Flags that are looked at.
        mask: u8,
        /// Those that must be set.
        set: u8,
    },
    /// Type of ICMP or ICMPv6, and code.
    Icmp(Arc<Numbers>, Option<Arc<Numbers>>),
    /// Not.
    Not(Arc<Test>),
    /// All of them.
    All(Arc<[Test]>),
    /// One of them.
    Any(Arc<[Test]>),
    /// Something that only a tracked packet has.
    Tracked(Need),
    /// A rate, a quota, a memory of sources: whether it is true depends on other packets.
    Rate,
    /// Not understood, or not to be decided from a packet's headers.
    Unknown,
}

/// A condition and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// What it asks.
    pub test: Test,
    /// The words that ask it, in the language of the table (`-s 10.0.0.0/8`, `ip saddr 10.0.0.0/8`), so that another rule
    /// can ask the same. `None`: they can't be repeated.
    pub words: Option<String>,
}

/// What a rule does in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Goes on with the next rule.
    Next,
    /// ACCEPT
    Accept,
    /// DROP, REJECT
    Drop,
    /// RETURN
    Return,
    /// To another chain, and back.
    Jump(String),
    /// To another chain, and back to where this one was called from.
    Goto(String),
    /// Rewrites addresses, and then accepts.
    Nat,
    /// To a program, which decides.
    Queue,
    /// By a verdict map: the first that is true.
    Map(Arc<[(Test, Action)]>),
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The rule as its tool prints it (from JSON: as near as JSON allows), at most a thousand bytes.
    pub text: String,
    /// All of these must hold.
    pub matches: Vec<Match>,
    /// What it does in the end.
    pub action: Action,
    /// What it does on the way and that needs tracking: `ct mark set`, `CT --helper`, `ct count`, synproxy.
    pub needs: Vec<Need>,
    /// What it writes over a connection's destination; `None`: it leaves it alone.
    pub sends: Option<Box<Target>>,
    /// It exempts from tracking.
    pub untracks: bool,
    /// It writes a mark on the packet, which later rules may ask for: the words that do so, empty where they can't be
    /// repeated.
    pub marks: Option<String>,
    /// Its comment.
    pub comment: String,
    /// nft's handle.
    pub handle: Option<u64>,
}

/// Where a chain is hooked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Hook.
    pub hook: Hook,
    /// Priority.
    pub priority: i32,
    /// It rewrites addresses: only the first packet of an entry comes here, and no untracked one.
    pub nat: bool,
    /// Policy drop.
    pub drops: bool,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Name.
    pub name: String,
    /// Where it is hooked; `None`: only jumped to.
    pub base: Option<Base>,
    /// In order.
    pub rules: Vec<Rule>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Who evaluates it.
    pub backend: Backend,
    /// Family.
    pub family: TableFamily,
    /// Name.
    pub name: String,
    /// In the order of their first mention.
    pub chains: Vec<Chain>,
    /// nft's `flags dormant`: its chains are not hooked.
    pub dormant: bool,
    /// nft's `flags owner`: only the process that made it changes it (firewalld's, since 2.2).
    pub owned: bool,
    by_name: BTreeMap<String, usize>,
}

impl Table {
    fn new(backend: Backend, family: TableFamily, name: &str) -> Self {
        Self {
            backend,
            family,
            name: name.into(),
            chains: Vec::new(),
            dormant: false,
            owned: false,
            by_name: BTreeMap::new(),
        }
    }

    /// Place of a chain.
    pub fn chain(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Place of a chain, which is made if it is not there.
    fn make_chain(&mut self, name: &str) -> usize {
        if let Some(at) = self.chain(name) {
            return at;
        }
        let at = self.chains.len();
        self.chains.push(Chain { name: name.into(), base: None, rules: Vec::new() });
        self.by_name.insert(name.into(), at);
        at
    }
}

/// All rules of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Program {
    /// Tables, in the order they were read.
    pub tables: Vec<Table>,
    /// Whether a table has flags that the JSON did not tell: nft 1.0.6 prints its own name in their place.
    pub flags_untold: bool,
    by_name: BTreeMap<(Backend, TableFamily, String), usize>,
}

impl Program {
    /// Tables that iptables-nft made: its names, and a base chain in capitals.
    pub fn of_iptables(&self) -> impl Iterator<Item = &Table> {
        const TABLES: &[&str] = &["filter", "nat", "mangle", "raw", "security"];
        self.tables.iter().filter(|t| {
            t.backend == Backend::Nft
                && t.family != TableFamily::Inet
                && TABLES.contains(&t.name.as_str())
                && t.chains
                    .iter()
                    .any(|c| c.base.is_some() && crate::ruleset::builtin(&c.name).is_some())
        })
    }

    /// Puts tables as `iptables-nft-save` tells them in the place of those that nft's JSON told in part. What the
    /// other form does not have, stays.
    pub fn take_iptables(&mut self, told: Self) {
        let better = |t: &Table| {
            t.backend == Backend::Nft
                && told.tables.iter().any(|b| b.family == t.family && b.name == t.name)
        };
        self.tables.retain(|t| !better(t));
        self.tables.extend(told.tables);
        let names = self.tables.iter().map(|t| (t.backend, t.family, t.name.clone()));
        self.by_name = names.zip(0..).collect();
    }

    /// Takes the flags of nft's tables from a listing as text.
    pub fn take_flags(&mut self, listing: &str) {
        let mut table = None;
        for line in listing.lines() {
            if let Some(head) = line.strip_prefix("table ") {
                let mut words = head.split_whitespace();
                let (family, name) = (words.next().and_then(json::family), words.next());
                table = self.tables.iter_mut().find(|t| {
                    let of = (Some(t.family), Some(t.name.as_str()));
                    t.backend == Backend::Nft && of == (family, name)
                });
            } else if let (Some(table), Some(flags)) =
                (table.as_mut(), line.strip_prefix("\tflags "))
            {
                let has = |flag: &str| flags.split([',', ' ']).any(|word| word == flag);
                (table.dormant, table.owned) = (has("dormant"), has("owner"));
            }
        }
        self.flags_untold = false;
    }

    /// Place of a table, which is made if it is not there.
    fn make_table(&mut self, backend: Backend, family: TableFamily, name: &str) -> usize {
        let next = self.tables.len();
        let at = *self.by_name.entry((backend, family, name.into())).or_insert(next);
        if at == next {
            self.tables.push(Table::new(backend, family, name));
        }
        at
    }
}

/// Longest text kept of a rule, in bytes.
const TEXT: usize = 1000;

fn cut(mut text: String) -> String {
    if text.len() > TEXT {
        let end = (0..=TEXT).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Number of a transport protocol, by its name in /etc/protocols or as a number.
fn protocol(word: &str) -> Option<u128> {
    Some(match word.to_ascii_lowercase().as_str() {
        "icmp" => 1,
        "igmp" => 2,
        "ipencap" | "ipip" => 4,
        "tcp" => 6,
        "udp" => 17,
        "dccp" => 33,
        "ipv6" => 41,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "icmpv6" | "ipv6-icmp" => 58,
        "vrrp" => 112,
        "sctp" => 132,
        "udplite" => 136,
        number => u128::from(number.parse::<u8>().ok()?),
    })
}

/// TCP flags by name.
fn flag(word: &str) -> Option<u8> {
    Some(match word.to_ascii_lowercase().as_str() {
        "fin" => 1,
        "syn" => 2,
        "rst" => 4,
        "psh" => 8,
        "ack" => 16,
        "urg" => 32,
        "ecn" => 64,
        "cwr" => 128,
        "all" => 63,
        "none" => 0,
        _ => return None,
    })
}

/// Types of ICMP by the names of both languages.
const ICMP: &[(&str, u128, Option<u128>)] = &[
    ("echo-reply", 0, None),
    ("pong", 0, None),
    ("destination-unreachable", 3, None),
    ("network-unreachable", 3, Some(0)),
    ("host-unreachable", 3, Some(1)),
    ("protocol-unreachable", 3, Some(2)),
    ("port-unreachable", 3, Some(3)),
    ("fragmentation-needed", 3, Some(4)),
    ("source-quench", 4, None),
    ("redirect", 5, None),
    ("echo-request", 8, None),
    ("ping", 8, None),
    ("router-advertisement", 9, None),
    ("router-solicitation", 10, None),
    ("time-exceeded", 11, None),
    ("ttl-exceeded", 11, None),
    ("parameter-problem", 12, None),
    ("timestamp-request", 13, None),
    ("timestamp-reply", 14, None),
];

const ICMPV6: &[(&str, u128)] = &[
    ("destination-unreachable", 1),
    ("packet-too-big", 2),
    ("time-exceeded", 3),
    ("ttl-exceeded", 3),
    ("parameter-problem", 4),
    ("echo-request", 128),
    ("echo-reply", 129),
    ("mld-listener-query", 130),
    ("mld-listener-report", 131),
    ("mld-listener-done", 132),
    ("mld-listener-reduction", 132),
    ("router-solicitation", 133),
    ("nd-router-solicit", 133),
    ("router-advertisement", 134),
    ("nd-router-advert", 134),
    ("neighbour-solicitation", 135),
    ("neighbor-solicitation", 135),
    ("nd-neighbor-solicit", 135),
    ("neighbour-advertisement", 136),
    ("neighbor-advertisement", 136),
    ("nd-neighbor-advert", 136),
    ("redirect", 137),
    ("nd-redirect", 137),
    ("mld2-listener-report", 143),
];

/// Type and code of an ICMP word: `echo-request`, `3/4`, `8`.
fn icmp(word: &str, six: bool) -> Option<(u128, Option<u128>)> {
    if let Some((kind, code)) = word.split_once('/') {
        let number = |w: &str| w.parse::<u8>().ok().map(u128::from);
        return Some((number(kind)?, Some(number(code)?)));
    }
    if let Ok(number) = word.parse::<u8>() {
        return Some((u128::from(number), None));
    }
    if six {
        return ICMPV6.iter().find(|(name, _)| *name == word).map(|(_, n)| (*n, None));
    }
    ICMP.iter().find(|(name, ..)| *name == word).map(|(_, n, code)| (*n, *code))
}
