//! The traffic in question: whose port it is, and which packets of it come through which hooks.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_wire::filter::{Hook, Numbers, States, TableFamily, Target, Written};

use super::packet::{End, Header, Holds, Packet, is_among};
use crate::Said;

/// Where a client asks from, if nothing else is said: `ip_local_port_range` of kernels since 4.2.
const OWN_PORTS: (u16, u16) = (32_768, 60_999);
const ANY: (u16, u16) = (1, u16::MAX);
const TCP: u8 = 6;

const SYN: u8 = 2;
const ACK: u8 = 16;

/// Whose port it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// This host serves it.
    Server,
    /// This host asks others for it.
    Client,
    /// It passes through this host.
    Forward,
}

/// Traffic of one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// IP protocol number: TCP or UDP.
    pub protocol: u8,
    /// Port of the service.
    pub port: u16,
    /// Whose it is.
    pub role: Role,
    /// Only with this one, a prefix; `None`: with everybody.
    pub peer: Option<(IpAddr, u8)>,
    /// Addresses of this host as numbers; `None`: not known.
    own4: Option<Vec<u128>>,
    own6: Option<Vec<u128>>,
    /// Ports that a client on this host asks from.
    own_ports: (u16, u16),
}

/// One direction of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leg {
    /// The hooks it comes through.
    pub hooks: &'static [Hook],
    /// What it is.
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// From the client to the port.
    Question,
    /// From the port to the client.
    Answer,
    /// ICMP errors about it that path MTU discovery needs.
    TooBig,
}

/// The same packet as tracking sees it, and as it is without.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    pub tracked: Packet<'a>,
    pub untracked: Packet<'a>,
    /// As tracking sees one like it further on in the connection; `None`: there is none.
    pub later: Option<Packet<'a>>,
}

impl Traffic {
    /// Of a port.
    pub fn new(protocol: u8, port: u16, role: Role) -> Self {
        Self { protocol, port, role, peer: None, own4: None, own6: None, own_ports: OWN_PORTS }
    }

    /// Only with this one.
    #[must_use]
    pub fn with(mut self, peer: (IpAddr, u8)) -> Self {
        self.peer = Some(peer);
        self
    }

    /// On a host with these addresses. Its loopback addresses are no destination of what comes in.
    #[must_use]
    pub fn on(mut self, own: &[IpAddr]) -> Self {
        let numbers = |six: bool| {
            let all = own.iter().filter(|ip| ip.is_ipv6() == six && !ip.is_loopback());
            all.map(|ip| number(*ip)).collect()
        };
        self.own4 = Some(numbers(false));
        self.own6 = Some(numbers(true));
        self
    }

    /// On a host whose kernel gives ports of this range to its clients.
    #[must_use]
    pub fn from_ports(mut self, own_ports: (u16, u16)) -> Self {
        self.own_ports = own_ports;
        self
    }

    /// The ports to which whatever comes from the service's port is let in, where nothing but the port tells an answer.
    pub(super) fn heard_at(&self, leg: &Leg) -> Option<(u16, u16)> {
        let by_port = self.role == Role::Client && self.protocol != TCP && leg.kind == Kind::Answer;
        by_port.then_some(self.own_ports)
    }

    /// `tcp/443`, `tcp/22 with 192.0.2.7`
    pub fn name(&self) -> String {
        let with = self.peer_word().map_or_else(String::new, |p| alloc::format!(" with {p}"));
        alloc::format!("{}/{}{with}", self.protocol_name(), self.port)
    }

    /// The same as it stands in a sentence.
    pub(crate) fn said(&self) -> Said {
        match self.peer_word() {
            Some(peer) => {
                let service = alloc::format!("{}/{}", self.protocol_name(), self.port);
                said!("{service} with {peer}", "{service}（与 {peer}）")
            }
            None => Said::name(self.name()),
        }
    }

    /// The peer as every tool understands it.
    pub(crate) fn peer_word(&self) -> Option<String> {
        self.peer.map(|(ip, bits)| match (ip.is_ipv4(), bits) {
            (true, 32) | (false, 128) => ip.to_string(),
            _ => alloc::format!("{ip}/{bits}"),
        })
    }

    /// `tcp`
    pub fn protocol_name(&self) -> &'static str {
        if self.protocol == TCP { "tcp" } else { "udp" }
    }

    /// Whether it is of this family.
    pub fn has(&self, family: TableFamily) -> bool {
        let six = family == TableFamily::Ip6;
        self.peer.is_none_or(|(ip, _)| ip.is_ipv6() == six)
    }

    pub(super) fn legs(&self) -> Vec<Leg> {
        const IN: &[Hook] = &[Hook::Prerouting, Hook::Input];
        const OUT: &[Hook] = &[Hook::Output, Hook::Postrouting];
        const THROUGH: &[Hook] = &[Hook::Prerouting, Hook::Forward, Hook::Postrouting];
        let (question, answer) = match self.role {
            Role::Server => (IN, OUT),
            Role::Client => (OUT, IN),
            Role::Forward => (THROUGH, THROUGH),
        };
        let errors = if self.role == Role::Forward { THROUGH } else { IN };
        alloc::vec![
            Leg { hooks: question, kind: Kind::Question },
            Leg { hooks: answer, kind: Kind::Answer },
            Leg { hooks: errors, kind: Kind::TooBig },
        ]
    }

    /// Packets of a leg at a hook.
    pub(super) fn pairs(&self, leg: &Leg, family: TableFamily, hook: Hook) -> Vec<Pair<'_>> {
        let tcp = self.protocol == TCP;
        match leg.kind {
            Kind::Question => {
                // The first packet decides what is let in; whatever follows must be let in as well.
                let kinds = if tcp { &[Some(SYN), Some(ACK)][..] } else { &[None][..] };
                let first = kinds[0];
                let each = kinds.iter().map(|flags| Pair {
                    tracked: self.packet(leg, family, hook, first, States::NEW),
                    untracked: self.packet(leg, family, hook, *flags, States::UNTRACKED),
                    later: (*flags != Some(SYN))
                        .then(|| self.packet(leg, family, hook, *flags, States::ESTABLISHED)),
                });
                each.collect()
            }
            Kind::Answer => {
                let kinds = if tcp { &[Some(SYN | ACK), Some(ACK)][..] } else { &[None][..] };
                let each = kinds.iter().map(|flags| Pair {
                    tracked: self.packet(leg, family, hook, *flags, States::ESTABLISHED),
                    untracked: self.packet(leg, family, hook, *flags, States::UNTRACKED),
                    later: Some(self.packet(leg, family, hook, *flags, States::ESTABLISHED)),
                });
                each.collect()
            }
            Kind::TooBig => alloc::vec![Pair {
                tracked: self.packet(leg, family, hook, None, States::RELATED),
                untracked: self.packet(leg, family, hook, None, States::INVALID),
                later: Some(self.packet(leg, family, hook, None, States::RELATED)),
            }],
        }
    }

    fn packet(
        &self,
        leg: &Leg,
        family: TableFamily,
        hook: Hook,
        flags: Option<u8>,
        state: States,
    ) -> Packet<'_> {
        let (port, other) = ((self.port, self.port), self.client_ports());
        let header = match leg.kind {
            Kind::Question => {
                Header::Ports { protocol: self.protocol, source: other, destination: port, flags }
            }
            Kind::Answer => {
                Header::Ports { protocol: self.protocol, source: port, destination: other, flags }
            }
            Kind::TooBig if family == TableFamily::Ip6 => Header::Icmp(2, 0),
            Kind::TooBig => Header::Icmp(3, 4),
        };
        let peer = || match self.among(family) {
            // An error may come from any router on the way.
            Some(some) if leg.kind != Kind::TooBig => End::Among(some),
            Some(_) | None => End::Foreign,
        };
        let inward = leg.hooks.contains(&Hook::Input);
        let (source, destination) = match (self.role, inward) {
            (Role::Forward, _) => (End::Foreign, End::Foreign),
            (_, true) => (peer(), End::Own),
            (_, false) => (End::Own, peer()),
        };
        let own = if family == TableFamily::Ip6 { &self.own6 } else { &self.own4 };
        Packet {
            family,
            header,
            source,
            destination,
            own: own.as_deref(),
            state,
            came_in: matches!(hook, Hook::Prerouting | Hook::Input | Hook::Forward),
            goes_out: matches!(hook, Hook::Output | Hook::Forward | Hook::Postrouting),
        }
    }

    /// The first packet of connections that a rule may send to this port: to whatever address, from whoever may be the
    /// peer; to `port`, or to any.
    pub(super) fn sent(&self, family: TableFamily, hook: Hook, port: Option<u16>) -> Packet<'_> {
        let leg = Leg { hooks: &[], kind: Kind::Question };
        let first = (self.protocol == TCP).then_some(SYN);
        let mut packet = self.packet(&leg, family, hook, first, States::NEW);
        packet.header = Header::Ports {
            protocol: self.protocol,
            source: ANY,
            destination: port.map_or(ANY, |port| (port, port)),
            flags: first,
        };
        packet.source = self.among(family).map_or(End::Any, End::Among);
        packet.destination = End::Any;
        packet
    }

    /// Whether what a rule writes over a connection's destination makes it one of this port.
    pub(super) fn is_sent_by(&self, to: &Target, family: TableFamily) -> Holds {
        let here = |yes: bool| Holds::of(yes == (self.role == Role::Server));
        let own = if family == TableFamily::Ip6 { &self.own6 } else { &self.own4 };
        let address = match (&to.address, own) {
            (Written::Own, _) => here(true),
            (Written::Among(all), Some(own)) => match own.iter().any(|ip| all.has(*ip)) {
                false => here(false),
                true if is_among(all, own) => here(true),
                true => Holds::Maybe,
            },
            (Written::Among(_) | Written::Nothing | Written::Unknown, _) => Holds::Maybe,
        };
        let port = match &to.port {
            Written::Among(ports) => Holds::of(ports.has(u128::from(self.port))),
            Written::Nothing => Holds::Yes,
            Written::Own | Written::Unknown => Holds::Maybe,
        };
        address.min(port)
    }

    /// A client of ours asks from the ports of its range; a stranger from any.
    fn client_ports(&self) -> (u16, u16) {
        if self.role == Role::Client { self.own_ports } else { ANY }
    }

    fn among(&self, family: TableFamily) -> Option<Numbers> {
        let six = family == TableFamily::Ip6;
        let (ip, bits) = self.peer.filter(|(ip, _)| ip.is_ipv6() == six)?;
        Some(Numbers::new(alloc::vec![prefix(ip, bits)]))
    }

    /// The words that name this traffic and no other, in nft's language and in that of iptables.
    pub(super) fn words(&self, leg: &Leg, nft: bool, six: bool, old: bool) -> String {
        let (name, port) = (self.protocol_name(), self.port);
        let state = |of: &str| match (nft, old) {
            (true, _) => alloc::format!("ct state {}", of.to_lowercase()),
            (false, true) => alloc::format!("-m state --state {of}"),
            (false, false) => alloc::format!("-m conntrack --ctstate {of}"),
        };
        let untracked = state("UNTRACKED");
        let peer = self.peer_word();
        let plain = |side: &str| {
            // The peer stands at the other end.
            let (option, field) = if side == "dport" { ("-s", "saddr") } else { ("-d", "daddr") };
            let header = if six { "ip6" } else { "ip" };
            let with = match (&peer, nft) {
                (None, _) => String::new(),
                (Some(peer), true) => alloc::format!("{header} {field} {peer} "),
                (Some(peer), false) => alloc::format!("{option} {peer} "),
            };
            match nft {
                true => alloc::format!("{with}{name} {side} {port}"),
                false => alloc::format!("{with}-p {name} -m {name} --{side} {port}"),
            }
        };
        let (first, last) = self.own_ports;
        match leg.kind {
            Kind::Question => alloc::format!("{} {untracked}", plain("dport")),
            Kind::Answer if self.role == Role::Server => {
                alloc::format!("{} {untracked}", plain("sport"))
            }
            // To let in all that comes from a port would open every service to whoever sends from it.
            Kind::Answer => {
                let guard = match (self.protocol == TCP, nft) {
                    (true, true) => "tcp flags & (fin|syn|rst|ack) != syn".to_string(),
                    (true, false) => "-m tcp ! --syn".to_string(),
                    (false, true) => alloc::format!("{name} dport {first}-{last}"),
                    (false, false) => alloc::format!("-m {name} --dport {first}:{last}"),
                };
                alloc::format!("{} {guard} {untracked}", plain("sport"))
            }
            Kind::TooBig => {
                let invalid = state("INVALID");
                let kind = match (nft, six) {
                    (true, true) => "icmpv6 type packet-too-big",
                    (true, false) => "icmp type destination-unreachable icmp code 4",
                    (false, true) => "-p ipv6-icmp -m icmp6 --icmpv6-type 2",
                    (false, false) => "-p icmp -m icmp --icmp-type 3/4",
                };
                alloc::format!("{kind} {invalid}")
            }
        }
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn prefix(ip: IpAddr, bits: u8) -> (u128, u128) {
    let width: u32 = if ip.is_ipv4() { 32 } else { 128 };
    let host = width.saturating_sub(u32::from(bits));
    let mask = if host >= 128 { u128::MAX } else { (1 << host) - 1 };
    (number(ip) & !mask, number(ip) | mask)
}
