//! Packet-filter rules, from `iptables-save` and `nft -j list ruleset`, as far as tracking goes.

use alloc::string::String;
use alloc::vec::Vec;

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
    /// Chain: `INPUT`.
    pub chain: String,
    /// Hook of the chain, if it is a base chain.
    pub hook: Option<Hook>,
    /// The rule as its tool prints it (nft: as `nft list` would, as near as JSON allows).
    pub text: String,
    /// What makes it need tracking; empty: nothing.
    pub needs: Vec<Need>,
    /// What it does.
    pub verdict: Verdict,
    /// Packets it has matched, if counted.
    pub packets: Option<u64>,
    /// Destination ports it names, with `tcp`/`udp` where said: the services it is about.
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
    /// Back ends that were read, empty ones included.
    pub read: Vec<(Backend, TableFamily)>,
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
}
