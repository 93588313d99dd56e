//! FTP: control connections with lines that agree on data connections, rightly, wrongly or in pieces, and packets of
//! the connections that could have been meant.

use std::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;

use super::Hosts;
use crate::forge::TcpSegment;

/// A packet of an FTP session.
#[derive(Debug, Clone)]
pub enum Ftp {
    /// One of a control connection; `control` tells two of them apart.
    Control {
        /// Which: the client's port differs.
        control: u8,
        /// From the server.
        reply: bool,
        /// Flags.
        flags: u8,
        /// Off the next sequence number.
        seq: i64,
        /// What is said, with places for addresses.
        text: &'static str,
        /// So many octets of it, if not all.
        most: Option<usize>,
    },
    /// One of a data connection.
    Data {
        /// The server opens it.
        active: bool,
        /// It answers.
        answer: bool,
        /// Flags.
        flags: u8,
        /// Of whoever is connected to.
        port: u16,
        /// Of whoever connects.
        source: u16,
    },
}

/// `{c}`: the sender's address with commas (the first four octets), `{o}` the other's; `{a}` and `{x}` the same in full;
/// `{f}` the family's number.
pub(super) const ASKED: &[&str] = &[
    "PORT {c},4,1\r\n",
    "PORT {c},4,2\r\n",
    "port {c},4,1\r\n",
    "PORT {o},4,1\r\n",
    "PORT {c},300,1\r\n",
    "PORT {c},4,1 \r\n",
    "PORT  {c},4,1\r\n",
    "PORT {c},4,1",
    "PORT {c},4\r\n",
    "EPRT |{f}|{a}|1025|\r\n",
    "EPRT |{f}|{a}|1026|\r\n",
    "EPRT !{f}!{a}!1025!\r\n",
    "EPRT |{f}|{x}|1025|\r\n",
    "EPRT |{f}|00{a}|1025|\r\n",
    "EPRT |{f}|{a}\u{0}1025|\r\n",
    "EPRT |1|{a}|1025|\r\n",
    "EPRT |2|{a}|1025|\r\n",
    "EPRT |{f}|{a}|66561|\r\n",
    "EPRT |{f}|{a}|0|\r\n",
    "EPRT",
    "PO",
    "USER anonymous\r\n",
    "PASV\r\n",
    "EPSV\r\nPORT {c},4,1\r\n",
    "RETR file",
];

pub(super) const ANSWERED: &[&str] = &[
    "227 Entering Passive Mode ({c},4,1).\r\n",
    "227 Entering Passive Mode ({c},4,2).\r\n",
    "227 Entering Passive Mode ({o},4,1).\r\n",
    "227 {c},4,1\r\n",
    "227 ={c},4,1",
    "227 none\r\n",
    "227 7 {c},4,1\r\n",
    "229 Entering Extended Passive Mode (|||1025|)\r\n",
    "229 Entering Extended Passive Mode (|||1026|)\r\n",
    "229 (!!!1025!)\n",
    "229 (|||66561|)\r\n",
    "229 (||||)\r\n",
    "229 ok\r\n",
    "22",
    "227-{c},4,1\r\n",
    "220 hello\r\n",
    "200-one\r\n200 two\r\n",
    "150 here",
];

const PORTS: [u16; 4] = [1025, 1026, 1024, 20];

fn control() -> impl Strategy<Value = Ftp> {
    let place = any::<prop::sample::Index>();
    let seq = prop_oneof![12 => Just(0i64), 1 => -40i64..40];
    let flags = prop_oneof![20 => Just(0x18u8), 1 => Just(0x10), 1 => Just(0x11), 1 => Just(0x14)];
    let control = prop_oneof![4 => Just(0u8), 1 => Just(1)];
    (control, any::<bool>(), flags, seq, place, prop::option::weighted(0.1, 1usize..30)).prop_map(
        |(control, reply, flags, seq, place, most)| {
            let text = *place.get(if reply { ANSWERED } else { ASKED });
            Ftp::Control { control, reply, flags, seq, text, most }
        },
    )
}

pub(super) fn data() -> impl Strategy<Value = Ftp> {
    let flags = prop_oneof![5 => Just(0x02u8), 2 => Just(0x12), 2 => Just(0x10), 1 => Just(0x04), 1 => Just(0x03)];
    let port = prop_oneof![5 => Just(0usize), 2 => Just(1), 1 => Just(2)];
    let source = prop_oneof![3 => Just(3usize), 1 => Just(2)];
    (any::<bool>(), prop::bool::weighted(0.3), flags, port, source).prop_map(
        |(active, answer, flags, port, source)| Ftp::Data {
            active,
            answer,
            flags,
            port: PORTS[port],
            source: PORTS[source],
        },
    )
}

fn said(control: u8, reply: bool, flags: u8, text: &'static str) -> Ftp {
    Ftp::Control { control, reply, flags, seq: 0, text, most: None }
}

fn open(control: u8) -> Vec<Ftp> {
    vec![said(control, false, 2, ""), said(control, true, 0x12, ""), said(control, false, 0x10, "")]
}

pub(super) fn session() -> impl Strategy<Value = Vec<Ftp>> {
    let greeted = Ftp::greeted;
    let begin = prop_oneof![
        5 => Just(greeted(0)),
        2 => Just([greeted(0), greeted(1)].concat()),
        1 => Just(open(0)),
        1 => Just(vec![]),
    ];
    (begin, vec(prop_oneof![3 => control(), 2 => data()], 0..10)).prop_map(|(mut begin, rest)| {
        begin.extend(rest);
        begin
    })
}

/// The first four octets, with commas.
fn commas(address: IpAddr) -> String {
    let octets = match address {
        IpAddr::V4(v4) => v4.octets(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.octets();
            [a, b, c, d]
        }
    };
    octets.map(|octet| octet.to_string()).join(",")
}

/// A line as its sender says it, who is the first of the two.
pub(super) fn said_by(text: &str, (own, other): (IpAddr, IpAddr)) -> Vec<u8> {
    text.replace("{c}", &commas(own))
        .replace("{o}", &commas(other))
        .replace("{a}", &own.to_string())
        .replace("{x}", &other.to_string())
        .replace("{f}", if own.is_ipv6() { "2" } else { "1" })
        .into_bytes()
}

impl Ftp {
    /// A control connection of which each side has said a line.
    pub(crate) fn greeted(control: u8) -> Vec<Self> {
        let mut all = open(control);
        all.push(said(control, true, 0x18, "220 hello\r\n"));
        all.push(said(control, false, 0x18, "USER anonymous\r\n"));
        all
    }

    /// A line of it.
    pub(crate) fn line(reply: bool, text: &'static str) -> Self {
        said(0, reply, 0x18, text)
    }

    /// A data connection's first segment, to the port that most lines speak of.
    pub(crate) const fn opens(active: bool) -> Self {
        Self::Data { active, answer: false, flags: 2, port: PORTS[0], source: PORTS[3] }
    }

    /// Whether it belongs to a control connection.
    pub(super) const fn is_control(&self) -> bool {
        matches!(self, Self::Control { .. })
    }

    /// From the server.
    pub(super) const fn reply(&self) -> bool {
        match self {
            Self::Control { reply, .. } => *reply,
            Self::Data { active, answer, .. } => *active != *answer,
        }
    }

    /// `next` holds the sequence numbers of both controls.
    pub(super) fn packet(&self, next: &mut [[u32; 2]; 2], hosts: Hosts) -> Vec<u8> {
        let (source, destination) = hosts.ends(self.reply());
        match self {
            Self::Control { control, reply, flags, seq, text, most } => {
                let mut data = said_by(text, (source, destination));
                data.truncate(most.unwrap_or(data.len()));
                let next = &mut next[usize::from(*control & 1)];
                let me = usize::from(*reply);
                let number = (i64::from(next[me]) + seq) as u32;
                let ack = if flags & 0x10 == 0 { 0 } else { next[1 - me] };
                let extra = u32::from(flags & 2 != 0) + u32::from(flags & 1 != 0);
                if *seq == 0 && flags & 4 == 0 {
                    next[me] = number.wrapping_add(data.len() as u32 + extra);
                }
                let ports = (4000 + u16::from(*control), 21);
                let ports = if *reply { (ports.1, ports.0) } else { ports };
                let (flags, window) = (*flags, 65_535);
                TcpSegment { ports, seq: number, ack, flags, window, data, ..TcpSegment::default() }
                    .packet(source, destination)
            }
            Self::Data { answer, flags, port, source: from, .. } => {
                let ports = if *answer { (*port, *from) } else { (*from, *port) };
                let (own, other) = if *answer { (2000, 1000) } else { (1000, 2000) };
                let seq = if flags & 2 != 0 { own } else { own + 1 };
                let ack = if flags & 0x10 == 0 { 0 } else { other + 1 };
                let (flags, window) = (*flags, 65_535);
                TcpSegment { ports, seq, ack, flags, window, ..TcpSegment::default() }
                    .packet(source, destination)
            }
        }
    }
}
