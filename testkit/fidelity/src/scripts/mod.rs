//! Generated flows: mostly what real stacks do, often enough what none would.

mod dccp;
mod fragments;
mod ftp;
mod gre;
mod message;
mod oddity;
mod pptp;
pub mod rare;
mod sctp;
mod tcp;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use plimsoll_ct::Zone;
use plimsoll_model::{Fate, Helper, Treatment};
use proptest::collection::vec;
use proptest::prelude::*;

pub use dccp::Dccp;
pub use fragments::Fragments;
pub use ftp::Ftp;
pub use gre::Gre;
pub use message::{About, Message, Nobody};
pub use oddity::Oddity;
pub use pptp::Pptp;
pub use rare::{Chunks, Icmp, Lite, Octets, Part, Piece, Quote, Redirect};
pub use sctp::Sctp;
pub use tcp::Segment;

/// One packet of a flow.
#[derive(Debug, Clone)]
pub enum Step {
    /// TCP.
    Tcp(Segment),
    /// SCTP.
    Sctp(Sctp),
    /// DCCP.
    Dccp(Dccp),
    /// FTP, read by a helper.
    Ftp(Ftp),
    /// PPTP, read by a helper.
    Pptp(Pptp),
    /// GRE.
    Gre(Gre),
    /// UDP, ICMP and others.
    Message(Message),
    /// An ICMP error about a packet that was sent before.
    Error(About),
    /// TCP whose numbers are fixed.
    Octets(Octets),
    /// A piece of an FTP control connection.
    Piece(Piece),
    /// SCTP of several addresses.
    Chunks(Chunks),
    /// An ICMP error that quotes what is odd.
    Quote(Quote),
    /// A redirect of IPv6.
    Redirect(Redirect),
    /// ICMP of any type, or any protocol.
    Icmp(Icmp),
    /// UDP-Lite.
    Lite(Lite),
    /// A part of a datagram.
    Part(Part),
}

/// Where a flow runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Through the router, IPv4.
    V4,
    /// Through the router, IPv6.
    V6,
    /// From the router to itself, over loopback, IPv4.
    Loopback,
    /// The same, IPv6.
    LoopbackV6,
}

impl Way {
    /// Whether the router sends to itself.
    pub const fn is_local(self) -> bool {
        matches!(self, Self::Loopback | Self::LoopbackV6)
    }
}

/// A flow: packets between two hosts that nobody else uses, in the order in which they are sent.
#[derive(Debug, Clone)]
pub struct Flow {
    /// Where.
    pub way: Way,
    /// Conntrack zones: of what the client sends, of what the server sends.
    pub zones: [Zone; 2],
    /// Timeout policy, by its place among the router's.
    pub policy: Option<u8>,
    /// Initial sequence numbers.
    pub initial: [u32; 2],
    /// Packets.
    pub steps: Vec<Step>,
    /// What is special about some of them, by place.
    pub odd: Vec<(u8, Oddity)>,
}

/// A packet, and how it is treated.
pub type Sent = (Vec<u8>, Treatment);

/// Any flow.
pub fn flow() -> impl Strategy<Value = Flow> {
    let way = prop_oneof![6 => Just(Way::V4), 3 => Just(Way::V6), 1 => Just(Way::Loopback), 1 => Just(Way::LoopbackV6)];
    let zones = prop_oneof![
        6 => Just([Zone::default(); 2]),
        2 => oddity::zone().prop_map(|zone| [zone; 2]),
        1 => oddity::zone().prop_map(|zone| [zone, Zone::default()]),
    ];
    let policy = prop_oneof![5 => Just(None), 2 => Just(Some(0u8)), 1 => Just(Some(1u8))];
    (way, zones, policy, any::<[u32; 2]>(), steps(), vec(oddity::oddity(), 0..3)).prop_map(
        |(way, zones, policy, initial, steps, odd)| {
            // What tells a packet's treatment is the sender's link address: loopback has none.
            let local = way.is_local();
            let zones = if local { [Zone::default(); 2] } else { zones };
            Flow { way, zones, policy: policy.filter(|_| !local), initial, steps, odd }
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let tcp = tcp::connection().prop_map(|all| all.into_iter().map(Step::Tcp).collect::<Vec<_>>());
    let sctp = sctp::association().prop_map(|all| all.into_iter().map(Step::Sctp).collect());
    let dccp = dccp::connection().prop_map(|all| all.into_iter().map(Step::Dccp).collect());
    let ftp = ftp::session().prop_map(|all| all.into_iter().map(Step::Ftp).collect());
    let pptp = pptp::session().prop_map(|all| all.into_iter().map(Step::Pptp).collect());
    let gre = gre::tunnel().prop_map(|all| all.into_iter().map(Step::Gre).collect());
    let messages = vec(message::message(), 1..8)
        .prop_map(|all| all.into_iter().map(Step::Message).collect::<Vec<_>>());
    let mixed = prop_oneof![3 => tcp.boxed(), 2 => messages.boxed()];
    let with_errors =
        (mixed, vec((any::<u8>(), message::about()), 0..4)).prop_map(|(mut steps, errors)| {
            for (place, error) in errors {
                let at = usize::from(place) % (steps.len() + 1);
                steps.insert(at, Step::Error(error));
            }
            steps
        });
    prop_oneof![
        7 => with_errors,
        2 => sctp,
        2 => dccp,
        2 => ftp,
        1 => pptp,
        1 => gre,
    ]
}

/// What a flow's next packet depends on.
#[derive(Debug, Default)]
struct Memory {
    /// Next sequence numbers, of the client and of the server.
    next: [u32; 2],
    /// The same of two FTP control connections.
    controls: [[u32; 2]; 2],
    /// Last packet of each.
    last: [Option<Vec<u8>>; 2],
    /// All packets.
    sent: Vec<Vec<u8>>,
    /// First sequence numbers.
    initial: [u32; 2],
}

/// Client and server.
#[derive(Debug, Clone, Copy)]
struct Hosts {
    client: IpAddr,
    server: IpAddr,
}

impl Hosts {
    /// Those of the `n`th flow: nobody else's.
    fn of(n: u32, way: Way) -> Self {
        let (client, server): (IpAddr, IpAddr) = match way {
            Way::V4 => (
                Ipv4Addr::from(0x0a00_0000 + (n & 0xff_ffff)).into(),
                Ipv4Addr::new(192, 0, 2, 1).into(),
            ),
            Way::V6 => (
                Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, (n >> 16) as u16, n as u16).into(),
                Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1).into(),
            ),
            Way::Loopback => (
                Ipv4Addr::from(0x7f01_0000 + (n & 0xff_ffff)).into(),
                Ipv4Addr::new(127, 0, 0, 1).into(),
            ),
            Way::LoopbackV6 => (
                Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, (n >> 16) as u16, n as u16).into(),
                Ipv6Addr::new(0x2001, 0xdb8, 3, 1, 0, 0, 0, 1).into(),
            ),
        };
        Self { client, server }
    }

    fn ends(self, reply: bool) -> (IpAddr, IpAddr) {
        if reply { (self.server, self.client) } else { (self.client, self.server) }
    }

    /// Whether the server sent this packet.
    fn is_servers(self, packet: &[u8]) -> bool {
        match self.server {
            IpAddr::V4(server) => packet.get(12..16) == Some(&server.octets()),
            IpAddr::V6(server) => packet.get(8..24) == Some(&server.octets()),
        }
    }

    fn v6(self) -> bool {
        self.client.is_ipv6()
    }
}

impl Flow {
    /// Whether one of its packets hides its protocol from nft's rules.
    pub fn is_authenticated(&self) -> bool {
        let hides = |oddity: &Oddity| match oddity {
            Oddity::Extensions(kinds) => kinds.contains(&oddity::AUTHENTICATION),
            _ => false,
        };
        self.odd.iter().any(|(_, oddity)| hides(oddity))
    }

    /// Changes each of its zones.
    pub fn each_zone(&mut self, change: impl FnMut(&mut Zone)) {
        let odd = self.odd.iter_mut().filter_map(|(_, oddity)| match oddity {
            Oddity::Zone(zone) => Some(zone),
            Oddity::Fragments(cuts) => cuts.elsewhere.as_mut().map(|(_, zone)| zone),
            _ => None,
        });
        self.zones.iter_mut().chain(odd).for_each(change);
    }

    /// The client of flow number `n`: nobody else's.
    pub fn client(&self, n: u32) -> IpAddr {
        Hosts::of(n, self.way).client
    }

    /// Its packets, as flow number `n`: a number serves once, since the kernel keeps the incomplete
    /// datagrams of earlier flows for a while.
    pub fn packets(&self, n: u32) -> Vec<Sent> {
        let hosts = Hosts::of(n, self.way);
        let mut memory = Memory {
            next: self.initial,
            controls: [self.initial; 2],
            initial: self.initial,
            ..Memory::default()
        };
        let plain =
            Treatment { policy: self.policy, local: self.way.is_local(), ..Treatment::default() };
        let mut sent = Vec::new();
        for (place, step) in self.steps.iter().enumerate() {
            let Some(packet) = step.packet(&mut memory, hosts) else { continue };
            // Who talks over loopback is not told apart by the router's rules.
            let helper = step.helper().filter(|_| !plain.local);
            let zone = self.zones[usize::from(hosts.is_servers(&packet))];
            // What comes from an address of a link is not forwarded.
            let fate = if from_link(&packet) { Fate::Dropped } else { plain.fate };
            let mut packets = vec![(packet, Treatment { fate, helper, zone, ..plain })];
            let mut whole = true;
            for (_, oddity) in self.odd.iter().filter(|(at, _)| usize::from(*at) == place) {
                if let Oddity::Fragments(_) = oddity {
                    // A part of a part that the router sends to itself may be gathered where it arrives: docs/model.md.
                    let once = self.way == Way::LoopbackV6 && !std::mem::take(&mut whole);
                    if once {
                        continue;
                    }
                }
                packets = oddity.apply(packets, place as u16 + 1);
            }
            sent.append(&mut packets);
        }
        sent
    }
}

/// Whether a packet of IPv6 comes from an address that only its link knows.
fn from_link(packet: &[u8]) -> bool {
    let source = packet.get(8..24).and_then(|octets| <[u8; 16]>::try_from(octets).ok());
    packet[0] >> 4 == 6 && source.is_some_and(|s| Ipv6Addr::from(s).is_unicast_link_local())
}

impl Step {
    /// Whether somebody reads it.
    pub const fn is_helped(&self) -> bool {
        self.helper().is_some()
    }

    /// Who reads it, if it is of a control connection.
    const fn helper(&self) -> Option<Helper> {
        match self {
            Self::Ftp(ftp) if ftp.is_control() => Some(Helper::Ftp),
            Self::Pptp(pptp) if pptp.is_control() => Some(Helper::Pptp),
            Self::Octets(octets) => octets.helper,
            Self::Piece(_) => Some(Helper::Ftp),
            _ => None,
        }
    }

    fn packet(&self, memory: &mut Memory, hosts: Hosts) -> Option<Vec<u8>> {
        let (packet, reply) = match self {
            Self::Tcp(s) => (s.packet(&mut memory.next, hosts), s.reply),
            Self::Sctp(s) => (s.packet(hosts), s.reply),
            Self::Dccp(s) => (s.packet(&mut memory.next, hosts), s.reply),
            Self::Ftp(s) => (s.packet(&mut memory.controls, hosts), s.reply()),
            Self::Pptp(s) => (s.packet(&mut memory.next, hosts), s.reply()),
            Self::Gre(s) => (s.packet(hosts), s.reply),
            Self::Message(m) => (m.packet(hosts), m.reply()),
            Self::Error(about) => return about.packet(&memory.last, hosts),
            Self::Octets(s) => (s.packet(memory.initial, hosts), s.reply),
            Self::Piece(s) => (s.packet(memory.initial, hosts), s.reply()),
            Self::Chunks(s) => (s.packet(hosts), s.reply),
            Self::Icmp(s) => (s.packet(hosts), s.reply),
            Self::Lite(s) => (s.packet(hosts), s.reply),
            Self::Part(s) => (s.packet(hosts), false),
            Self::Redirect(redirect) => return redirect.packet(&memory.sent, hosts),
            Self::Quote(quote) => return quote.packet(&memory.sent, hosts),
        };
        memory.sent.push(packet.clone());
        memory.last[usize::from(reply)] = Some(packet.clone());
        Some(packet)
    }
}
