//! Packet-filter rules as far as tracking goes: which need it, which exempt from it, which drop.
//!
//! Four forms are read: `iptables-save` ([`read_save`]), the listing `iptables -vnxL` ([`read_listing`]:
//! sos saves only that), `nft list ruleset` ([`read_nft`]) and `nft -j list ruleset` ([`read_json`]).
//! What each construct needs and how that was found: docs/formats/ruleset.md; the table is in `needs.rs`.
//! Unknown words are passed over; a line that can't be understood never costs the rest.

pub(crate) mod json;
mod listing;
pub(crate) mod needs;
mod nft;
mod ports;
mod save;
#[cfg(test)]
mod tests;
pub(crate) mod words;

pub use json::read_json;
pub use listing::read_listing;
pub use nft::{Script, read_nft, read_script};
pub use save::read_save;

use alloc::string::String;
use alloc::vec::Vec;

/// Most rules kept in full. A node with a hundred thousand rules repeats itself: beyond this, only
/// a rule that brings something new is kept, and the others are counted in [`Ruleset::left_out`].
const RULES: usize = 20_000;

/// Most base chains kept, and most named sets remembered while reading.
const CHAINS: usize = 10_000;

/// Longest text kept of a rule, in bytes.
const TEXT: usize = 1000;

/// Who evaluates the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backend {
    /// x_tables in the kernel (iptables-legacy, or any iptables before nft).
    Legacy,
    /// nf_tables, written through iptables-nft.
    IptablesNft,
    /// nf_tables.
    Nft,
}

/// Family of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableFamily {
    /// IPv4
    Ip,
    /// IPv6
    Ip6,
    /// Both
    Inet,
    /// arp, bridge, netdev: never tracked here.
    Other,
}

/// Where a chain is hooked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// PREROUTING
    Prerouting,
    /// INPUT
    Input,
    /// FORWARD
    Forward,
    /// OUTPUT
    Output,
    /// POSTROUTING
    Postrouting,
    /// ingress, egress
    Other,
}

/// What makes a rule need connection tracking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// `-m state`, `-m conntrack`, nft `ct state` and other ct matches.
    State,
    /// MASQUERADE, SNAT, DNAT, REDIRECT, NETMAP and nft's own.
    Nat,
    /// connlimit, nft `ct count`.
    Count,
    /// Helpers: `CT --helper`, nft `ct helper`.
    Helper,
    /// connmark, connbytes, connlabel, CONNMARK, nft `ct mark` and the like.
    Mark,
    /// SYNPROXY, nft synproxy.
    SynProxy,
    /// Zones and timeout policies.
    Policy,
    /// Flow offload.
    Offload,
}

/// What a rule does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// ACCEPT
    Accept,
    /// DROP
    Drop,
    /// REJECT
    Reject,
    /// NOTRACK, `CT --notrack`, nft notrack
    Untrack,
    /// Jump, log, anything else.
    Other,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Who evaluates it.
    pub backend: Backend,
    /// Family.
    pub family: TableFamily,
    /// Table: `filter`.
    pub table: String,
    /// Chain: `INPUT`. Empty for an nft object or set that needs tracking by being there.
    pub chain: String,
    /// Hook of the chain, if it is a base chain.
    pub hook: Option<Hook>,
    /// The rule as its tool prints it, without what is counted and without the handle: the line that a
    /// person finds in the file, the same at each reading (from JSON: as near as JSON allows; from a listing: the row).
    pub text: String,
    /// What makes it need tracking; empty: nothing.
    pub needs: Vec<Need>,
    /// What it does.
    pub verdict: Verdict,
    /// Packets it has matched, if counted.
    pub packets: Option<u64>,
    /// Destination ports it names: the services it is about. A range of up to 16 ports stands here in
    /// full, a longer one by its ends; a negated port is not named.
    pub ports: Vec<u16>,
}

/// A base chain and its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseChain {
    /// Who evaluates it.
    pub backend: Backend,
    /// Family.
    pub family: TableFamily,
    /// Table.
    pub table: String,
    /// Chain.
    pub chain: String,
    /// Hook.
    pub hook: Hook,
    /// Priority, where known.
    pub priority: Option<i32>,
    /// Policy.
    pub policy: Verdict,
    /// Packets that met the policy, if counted.
    pub packets: Option<u64>,
}

/// All rules that were read of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    /// Base chains.
    pub chains: Vec<BaseChain>,
    /// Rules in order of evaluation within their chain.
    pub rules: Vec<Rule>,
    /// Back ends that were read to their end, empty ones included.
    pub read: Vec<(Backend, TableFamily)>,
    /// What could not be read, or not to its end, with the reason.
    pub unread: Vec<(Backend, String)>,
    /// Rules that were read and not kept: they need and do what others here already do.
    pub left_out: u64,
}

impl Rule {
    /// Whether it lets packets in that are not tracked: without such a rule an untracked port is cut
    /// off by any later "drop what is not established".
    pub fn accepts_untracked(&self) -> bool {
        self.verdict == Verdict::Accept
            && words::words(&self.text).any(|w| {
                !w.quoted && w.text.split(',').any(|part| part.eq_ignore_ascii_case("untracked"))
            })
    }
}

impl Ruleset {
    /// Rules that need tracking, with what for.
    pub fn needing(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|r| !r.needs.is_empty())
    }

    /// Whether any rule rewrites addresses.
    pub fn has_nat(&self) -> bool {
        self.rules.iter().any(|r| r.needs.contains(&Need::Nat))
    }

    /// Whether some rule lets untracked packets in.
    pub fn accepts_untracked(&self) -> bool {
        self.rules.iter().any(Rule::accepts_untracked)
    }

    /// Whether both kinds of packet filter were read to their end, so that a rule which is not here
    /// is nowhere.
    pub fn complete(&self) -> bool {
        let has = |backend, family| self.read.contains(&(backend, family));
        self.unread.is_empty()
            && has(Backend::Legacy, TableFamily::Ip)
            && has(Backend::Legacy, TableFamily::Ip6)
            && has(Backend::Nft, TableFamily::Inet)
    }

    /// Notes that a back end was read (empty or not).
    pub fn note_read(&mut self, backend: Backend, family: TableFamily) {
        if !self.read.contains(&(backend, family)) {
            self.read.push((backend, family));
        }
    }

    /// Keeps a base chain; a host has a dozen.
    fn push_chain(&mut self, chain: BaseChain) {
        if self.chains.len() < CHAINS {
            self.chains.push(chain);
        }
    }

    /// Keeps a rule, or counts it when there are too many and it brings nothing new.
    fn push(&mut self, mut rule: Rule, seen: &mut Seen) {
        if rule.text.len() > TEXT {
            let end = (0..=TEXT).rev().find(|&i| rule.text.is_char_boundary(i)).unwrap_or(0);
            rule.text.truncate(end);
            rule.text.push('…');
        }
        if seen.brings(&rule) || self.rules.len() < RULES {
            self.rules.push(rule);
        } else {
            self.left_out += 1;
        }
    }
}

/// What kinds of rule there are already; made once by each reader, since looking through all rules for each rule
/// would take a hostile file's square in time.
struct Seen(u16);

impl Seen {
    fn of(rules: &Ruleset) -> Self {
        let mut seen = Self(0);
        for rule in &rules.rules {
            seen.brings(rule);
        }
        seen
    }

    /// Whether a rule is the first of its kind.
    fn brings(&mut self, rule: &Rule) -> bool {
        let kinds = rule.needs.iter().fold(0, |bits, need| bits | 1 << (*need as u16))
            | u16::from(rule.verdict == Verdict::Untrack) << 15;
        let new = kinds & !self.0 != 0;
        self.0 |= kinds;
        new
    }
}

impl Need {
    /// The word used in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Nat => "NAT",
            Self::Count => "connection counts",
            Self::Helper => "helper",
            Self::Mark => "connection mark",
            Self::SynProxy => "SYN proxy",
            Self::Policy => "zone or timeout policy",
            Self::Offload => "flow offload",
        }
    }
}

impl Hook {
    /// By its name in any spelling: `PREROUTING`, `prerouting`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let is = |word| name.eq_ignore_ascii_case(word);
        match () {
            () if is("prerouting") => Some(Self::Prerouting),
            () if is("input") => Some(Self::Input),
            () if is("forward") => Some(Self::Forward),
            () if is("output") => Some(Self::Output),
            () if is("postrouting") => Some(Self::Postrouting),
            () if is("ingress") || is("egress") => Some(Self::Other),
            () => None,
        }
    }
}

/// Hook of a chain of x_tables: only its built-in chains have one, and they are in capitals.
pub(crate) fn builtin(chain: &str) -> Option<Hook> {
    Hook::named(chain).filter(|_| chain.bytes().all(|b| b.is_ascii_uppercase()))
}

impl Verdict {
    /// By its word: `ACCEPT`, `accept`.
    fn named(word: &str) -> Option<Self> {
        let is = |name| word.eq_ignore_ascii_case(name);
        match () {
            () if is("accept") => Some(Self::Accept),
            () if is("drop") => Some(Self::Drop),
            () if is("reject") => Some(Self::Reject),
            () if is("notrack") => Some(Self::Untrack),
            () => None,
        }
    }
}
