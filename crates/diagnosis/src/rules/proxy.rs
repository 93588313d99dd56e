//! A SYN proxy before connections that pass through: what the rules would do with the packets it lives on.
//!
//! Kernel: `nft_synproxy_eval_v4()`, `synproxy_send_tcp()`, net/netfilter/nf_synproxy_core.c. The client's SYN is untracked and
//! is answered where the proxy stands, in `forward`, behind all other chains: so only what they let pass is answered. The
//! answer and the SYN to the server are made by this host and leave through `output`, with addresses that are not its own.
//! The client's ACK belongs to no entry yet: it is INVALID, and whoever drops those must let it come to the proxy, which
//! swallows every one.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_wire::filter::{
    Action, Backend, Base, Hook, Need, Program, States, Table, TableFamily,
};

use super::packet::{End, Header, Packet};
use super::traffic::{Kind, Leg, Pair};
use super::walk::{self, Ground, Inserted};
use super::{Accept, Judgement, RAW, Role, Traffic, accept, named, stand_in};
use crate::Said;

const TCP: u8 = 6;
const SYN: u8 = 2;
const ACK: u8 = 16;
const ANY: (u16, u16) = (1, u16::MAX);
/// Where the table `security` of iptables is hooked.
const SECURITY: i32 = 50;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxied {
    /// Rules that must be put in.
    pub accepts: Vec<Accept>,
    /// Why there can be no proxy, a sentence each.
    pub refused: Vec<Said>,
    /// The priority of the last chain at `forward`; `None`: there is none.
    pub last: Option<i32>,
}

impl Proxied {
    /// Whether a chain comes after the table `security` of iptables.
    pub fn is_behind_security(&self) -> bool {
        self.last.is_some_and(|priority| priority > SECURITY)
    }
}

/// A packet that the proxy needs, and how it is let through.
struct Needed<'a> {
    packet: Packet<'a>,
    /// Flags that it has of FIN, SYN, RST, ACK.
    flags: u8,
    /// Its port that is the service's.
    side: &'static str,
    state: &'static str,
}

/// Judges the rules for a proxy before a TCP port. `own`: addresses of this host; `None`: not known.
pub fn proxied(program: &Program, port: u16, own: Option<&[IpAddr]>) -> Proxied {
    let mut traffic = Traffic::new(TCP, port, Role::Forward);
    if let Some(own) = own {
        traffic = traffic.on(own);
    }
    let leg =
        Leg { hooks: &[Hook::Prerouting, Hook::Forward, Hook::Postrouting], kind: Kind::Question };
    let mut found = Proxied::default();
    let mut put_in = BTreeMap::new();
    let mut closed = Vec::new();
    let mut judgement = Judgement::default();
    for family in [TableFamily::Ip, TableFamily::Ip6] {
        for (number, chain, base) in walk::base_chains(program) {
            let Some(table) = program.tables.get(number) else { continue };
            if base.hook == Hook::Forward {
                found.last = found.last.max(Some(base.priority));
            }
            if table.family != family && table.family != TableFamily::Inet {
                continue;
            }
            let own = numbers(own, family);
            let place = Place { table, chain, base, family, port, own: own.as_deref() };
            place.unfit(&mut found);
            if base.nat || base.priority <= RAW {
                continue;
            }
            if base.hook == Hook::Forward || base.hook == Hook::Prerouting {
                let pair = Pair {
                    tracked: place.packet(SYN, States::NEW, "dport"),
                    untracked: place.packet(SYN, States::UNTRACKED, "dport"),
                    later: None,
                };
                let inserted = put_in.entry(number).or_insert_with(Inserted::new);
                accept::open((table, chain), &[pair], &leg, &traffic, inserted, &mut judgement);
            }
            for needed in place.needed() {
                place.let_through(&needed, &mut found);
            }
        }
        closed.push(core::mem::take(&mut judgement.closed).into_iter().next());
    }
    for why in judgement.blocked {
        let why = said!(
            "its first packet, untracked, would not come through: {why}",
            "它的第一个包不跟踪就过不来：{why:#}"
        );
        if !found.refused.contains(&why) {
            found.refused.push(why);
        }
    }
    found.accepts.extend(judgement.accepts);
    // Closed to one family it serves the other.
    if let [Some(rule), Some(_)] = &closed[..] {
        found.refused.push(said!(
            "new connections to it are dropped today: {rule}",
            "到它的新连接今天就被丢弃：{rule}"
        ));
    }
    found
}

/// A base chain, and the packets that come there.
struct Place<'a> {
    table: &'a Table,
    chain: usize,
    base: &'a Base,
    family: TableFamily,
    port: u16,
    own: Option<&'a [u128]>,
}

impl<'a> Place<'a> {
    fn packet(&self, flags: u8, state: States, side: &str) -> Packet<'a> {
        let service = (self.port, self.port);
        let (source, destination) = if side == "dport" { (ANY, service) } else { (service, ANY) };
        let hook = self.base.hook;
        Packet {
            family: self.family,
            header: Header::Ports { protocol: TCP, source, destination, flags: Some(flags) },
            source: End::Foreign,
            destination: End::Foreign,
            own: self.own,
            state,
            came_in: matches!(hook, Hook::Prerouting | Hook::Input | Hook::Forward),
            goes_out: matches!(hook, Hook::Output | Hook::Forward | Hook::Postrouting),
        }
    }

    fn needed(&self) -> Vec<Needed<'a>> {
        let of = |flags, side, state, states| Needed {
            packet: self.packet(flags, states, side),
            flags,
            side,
            state,
        };
        match self.base.hook {
            Hook::Prerouting | Hook::Forward => {
                alloc::vec![of(ACK, "dport", "invalid", States::INVALID)]
            }
            Hook::Output | Hook::Postrouting => alloc::vec![
                of(SYN | ACK, "sport", "invalid", States::INVALID),
                of(SYN, "dport", "new", States::NEW),
            ],
            _ => Vec::new(),
        }
    }

    /// What makes a proxy impossible.
    fn unfit(&self, found: &mut Proxied) {
        // Another proxy takes what it has untracked, and the ACK that belongs to nothing.
        let mut packets = alloc::vec![
            self.packet(SYN, States::NEW, "dport"),
            self.packet(SYN, States::UNTRACKED, "dport"),
            self.packet(ACK, States::INVALID, "dport"),
        ];
        if self.base.hook == Hook::Prerouting {
            let own = Packet { destination: End::Own, ..packets[0].clone() };
            packets.push(own);
        }
        let rewrites = matches!(self.base.hook, Hook::Prerouting | Hook::Output) && self.base.nat;
        let nothing = Inserted::new();
        let ground = Ground { table: self.table, inserted: &nothing };
        for packet in &packets {
            for (at, _) in walk::both(ground, self.chain, packet, packet).met {
                let Some(chain) = self.table.chains.get(at.chain) else { continue };
                let Some(rule) = chain.rules.get(at.rule) else { continue };
                let what = if rewrites && rule.action == Action::Nat {
                    Said::of(
                        "its connections are sent on to another address, which a proxy before them can't follow",
                        "它的连接被转到另一个地址，在前面代答的 SYN 代理跟不过去",
                    )
                } else if rule.untracks {
                    Said::of(
                        "it is not tracked, and a proxy needs an entry for each connection",
                        "它不被跟踪，而代理要为每条连接建一个条目",
                    )
                } else if rule.needs.contains(&Need::SynProxy) {
                    Said::of("a SYN proxy answers for it already", "已经有 SYN 代理在替它应答")
                } else {
                    continue;
                };
                let rule = named(self.table, &chain.name, &rule.text);
                let text = said!("{what}: {rule}", "{what:#}：{rule}");
                if !found.refused.contains(&text) {
                    found.refused.push(text);
                }
            }
        }
    }

    /// Puts a rule at the head of the chain, if the packet may be dropped there.
    fn let_through(&self, needed: &Needed<'_>, found: &mut Proxied) {
        let nothing = Inserted::new();
        let ground = Ground { table: self.table, inserted: &nothing };
        let fate = walk::fate(ground, self.chain, &needed.packet);
        let (Some(chain), Some(at)) =
            (self.table.chains.get(self.chain), fate.dropped.iter().next())
        else {
            return;
        };
        let stands_for = match self.table.chains.get(at.chain) {
            Some(of) => {
                let text = of.rules.get(at.rule).map_or("policy drop", |rule| rule.text.as_str());
                named(self.table, &of.name, text)
            }
            None => String::new(),
        };
        if !stand_in::is_plain(&self.table.name) || !stand_in::is_plain(&chain.name) {
            let why = said!(
                "the name of its chain or table can't be written: {stands_for}",
                "它的链或表的名字写不出来：{stands_for}"
            );
            if !found.refused.contains(&why) {
                found.refused.push(why);
            }
            return;
        }
        let accept = Accept {
            backend: self.table.backend,
            family: self.table.family,
            table: self.table.name.clone(),
            chain: chain.name.clone(),
            before: 0,
            handle: chain.rules.first().and_then(|rule| rule.handle),
            conditions: self.conditions(needed),
            action: match self.table.backend {
                Backend::Nft => "accept".to_string(),
                Backend::Legacy | Backend::IptablesNft => "-j ACCEPT".to_string(),
            },
            comment: format!(
                "plimsoll: SYN proxy tcp/{}, {} {}",
                self.port, needed.state, needed.side
            ),
            stands_for,
            heard_at: None,
            for_errors: false,
        };
        let known = |a: &Accept| {
            (&a.table, &a.chain, &a.comment) == (&accept.table, &accept.chain, &accept.comment)
                && (a.backend, a.family) == (accept.backend, accept.family)
        };
        if !found.accepts.iter().any(known) {
            found.accepts.push(accept);
        }
    }

    /// Only what the proxy takes or makes: what comes in for others, and what leaves under an address that is not ours.
    fn conditions(&self, needed: &Needed<'_>) -> String {
        let (side, port, state) = (needed.side, self.port, needed.state);
        let nft = self.table.backend == Backend::Nft;
        let foreign = match (self.base.hook, nft) {
            (Hook::Prerouting, true) => "fib daddr type != local ",
            (Hook::Output | Hook::Postrouting, true) => "fib saddr type != local ",
            (Hook::Prerouting, false) => "-m addrtype ! --dst-type LOCAL ",
            (Hook::Output | Hook::Postrouting, false) => "-m addrtype ! --src-type LOCAL ",
            _ => "",
        };
        let flags = names(needed.flags, if nft { "|" } else { "," });
        let flags = if flags.contains('|') { format!("({flags})") } else { flags };
        if nft {
            format!(
                "{foreign}tcp {side} {port} tcp flags & (fin|syn|rst|ack) == {flags} ct state {state}"
            )
        } else {
            format!(
                "-p tcp -m tcp --{side} {port} --tcp-flags FIN,SYN,RST,ACK {} {foreign}-m conntrack --ctstate {}",
                flags.to_uppercase(),
                state.to_uppercase()
            )
        }
    }
}

fn names(flags: u8, between: &str) -> String {
    let all = [(1, "fin"), (SYN, "syn"), (4, "rst"), (ACK, "ack")];
    let set: Vec<&str> = all.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, n)| *n).collect();
    set.join(between)
}

fn numbers(own: Option<&[IpAddr]>, family: TableFamily) -> Option<Vec<u128>> {
    let of_family =
        |ip: &&IpAddr| !ip.is_loopback() && ip.is_ipv6() == (family == TableFamily::Ip6);
    Some(
        own?.iter()
            .filter(of_family)
            .map(|ip| match ip {
                IpAddr::V4(v4) => u128::from(v4.to_bits()),
                IpAddr::V6(v6) => v6.to_bits(),
            })
            .collect(),
    )
}
