//! A host in the middle, between a client and a server, with strict rules; and services that are asked for across it.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use plimsoll_ct::{Counter, Entry, L4, Protocol, Seconds, State, Status, TcpState, Tuple};
use plimsoll_lab::{HostLimit, Namespace};
use plimsoll_wire::ctnetlink::{Details, Flow};

use crate::support::{Netns, plimsoll, text};

const PATIENCE: Duration = Duration::from_secs(10);
/// A SYN that is dropped comes again after a second; so long without an answer is none.
const LOST: Duration = Duration::from_millis(700);

/// What the rules are written by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Nft,
    IptablesNft,
    Legacy,
}

/// A client, the host in the middle that is cured, and a server behind it.
pub struct Middle {
    pub client: Netns,
    pub host: Netns,
    pub server: Netns,
    state: PathBuf,
    pub six: bool,
}

impl Middle {
    /// With rules that let only `accepts` (one rule for each hook, in the language of `by`) begin connections.
    pub fn new(name: &str, six: bool, by: By, accepts: &[(&str, String)]) -> Self {
        let names = ["c", "m", "s"].map(|part| Netns::new(&format!("{name}-{part}")));
        let [client, host, server] = names;
        for (number, end) in [(1, &client), (2, &server)] {
            let (near, far) = (format!("m{number}"), "e0");
            host.run("ip", &["link", "add", &near, "type", "veth", "peer", far, "netns", &end.0]);
            for (at, device, last) in [(&host, near.as_str(), 1), (end, far, 2)] {
                let v4 = format!("10.77.{number}.{last}/24");
                let v6 = format!("fd77:{number}::{last}/64");
                at.run("ip", &["address", "add", &v4, "dev", device]);
                at.run("ip", &["address", "add", &v6, "dev", device, "nodad"]);
                at.run("ip", &["link", "set", device, "up"]);
            }
            end.run("ip", &["route", "add", "default", "via", &format!("10.77.{number}.1")]);
            end.run("ip", &["-6", "route", "add", "default", "via", &format!("fd77:{number}::1")]);
        }
        host.run("sysctl", &["-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
        let state = std::env::temp_dir().join(format!("{}-state", host.0));
        let made = Self { client, host, server, state, six };
        made.rules(by, accepts);
        made
    }

    /// Strict in all three hooks: what is known passes, what has no state does not.
    fn rules(&self, by: By, accepts: &[(&str, String)]) {
        if by == By::Nft {
            let mut all = "table inet site {".to_owned();
            for hook in ["input", "forward", "output"] {
                all += &format!(
                    " chain {hook} {{ type filter hook {hook} priority 0; policy drop; meta l4proto ipv6-icmp accept; ct \
                     state invalid drop; ct state established,related accept;"
                );
                for (_, rule) in accepts.iter().filter(|(h, _)| *h == hook) {
                    all += &format!(" {rule} ct state new accept;");
                }
                all += " };";
            }
            self.host.run("nft", &[&format!("{all} }}")]);
            return;
        }
        let back = if by == By::Legacy { "legacy" } else { "nft" };
        for family in ["iptables", "ip6tables"] {
            let mut text = "*filter\n:INPUT DROP\n:FORWARD DROP\n:OUTPUT DROP\n".to_owned();
            for hook in ["INPUT", "FORWARD", "OUTPUT"] {
                if family == "ip6tables" {
                    text += &format!("-A {hook} -p ipv6-icmp -j ACCEPT\n");
                }
                text += &format!(
                    "-A {hook} -m conntrack --ctstate INVALID -j DROP\n-A {hook} -m conntrack --ctstate \
                     RELATED,ESTABLISHED -j ACCEPT\n"
                );
                let here = accepts.iter().filter(|(h, _)| h.eq_ignore_ascii_case(hook));
                // An address in a rule is of the family that the test is about.
                let of = |rule: &str| !rule.contains("-s ") || self.six == (family == "ip6tables");
                for (_, rule) in here.filter(|(_, rule)| of(rule)) {
                    text += &format!("-A {hook} {rule} -m conntrack --ctstate NEW -j ACCEPT\n");
                }
            }
            text += "COMMIT\n*raw\n:PREROUTING ACCEPT\nCOMMIT\n";
            let file = std::env::temp_dir().join(format!("{}-{family}", self.host.0));
            std::fs::write(&file, text).expect("written");
            let restore = format!("{family}-{back}-restore < {}", file.display());
            self.host.run("sh", &["-c", &restore]);
            let _ = std::fs::remove_file(file);
        }
    }

    pub fn address(&self, net: u16, last: u16) -> IpAddr {
        if self.six {
            IpAddr::V6(Ipv6Addr::new(0xfd77, net, 0, 0, 0, 0, 0, last))
        } else {
            IpAddr::V4(Ipv4Addr::new(10, 77, net as u8, last as u8))
        }
    }

    fn space(netns: &Netns) -> Namespace {
        Namespace::open(&netns.0).expect("it is there")
    }

    pub fn fix(&self, arguments: &[&str]) -> String {
        let state = self.state.to_str().expect("a path of text");
        let more = ["--netns", &self.host.0, "--yes", "--watch", "0", "--state-dir", state];
        let out = plimsoll(&[&["fix"], arguments, &more].concat());
        let said = text(&out.stdout);
        assert!(out.status.success(), "{arguments:?}: {said}{}", text(&out.stderr));
        said
    }

    pub fn undo(&self) {
        let out = plimsoll(&["undo", "--state-dir", self.state.to_str().expect("a path of text")]);
        let (said, talk) = (text(&out.stdout), text(&out.stderr));
        assert!(out.status.success(), "{said}{talk}");
        assert!(!said.contains("Left as it is"), "{said}");
    }

    /// Rules of all kinds, byte for byte, without what traffic counts and the lines that tell a time.
    pub fn everything(&self) -> String {
        let mut all = self.host.run("nft", &["-s", "list", "ruleset"]);
        for tool in ["iptables-legacy", "ip6tables-legacy", "iptables-nft", "ip6tables-nft"] {
            let text = self.host.run(&format!("{tool}-save"), &[]);
            let lines = text.lines().filter(|l| !l.starts_with("# "));
            // What a legacy chain counts.
            let plain = |l: &str| l.split_once(" [").map_or(l, |(head, _)| head).to_owned();
            all.extend(lines.map(|l| plain(l) + "\n"));
        }
        all
    }

    /// Fills the table with connections of others.
    pub fn fill(&self) {
        let space = Self::space(&self.host);
        let limit = HostLimit::current().expect("a limit").0;
        for round in 0..8 {
            let free = limit.saturating_sub(space.count().expect("a count"));
            if free == 0 {
                return;
            }
            space.insert((0..free).map(|n| entry(round << 24 | n))).expect("written");
        }
        assert!(space.count().expect("a count") >= limit, "the table is full");
    }

    pub fn drops(&self, during: impl FnOnce()) -> u64 {
        let space = Self::space(&self.host);
        let before = space.reading().expect("a reading");
        during();
        space.reading().expect("a reading").grown(Counter::Drop, &before)
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.state);
    }
}

/// One ASSURED connection between strangers.
fn entry(n: u64) -> Flow {
    let client = IpAddr::V4(Ipv4Addr::from_bits(0x0b00_0000 | (n >> 4) as u32));
    let server = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));
    let port = 10_000 + (n & 15) as u16;
    let tuple = |source, destination, from, to| Tuple {
        source,
        destination,
        protocol: Protocol::Tcp,
        l4: L4::Ports { source: from, destination: to },
    };
    let entry = Entry::new(
        tuple(client, server, port, 7777),
        tuple(server, client, 7777, port),
        State::Tcp(TcpState::Established),
        Status::SEEN_REPLY | Status::ASSURED | Status::CONFIRMED,
    );
    let entry = Entry { expires: Some(Seconds(7_200)), ..entry };
    Flow { entry, details: Details::default(), order: Vec::new() }
}

/// The service at one end, and who asks for it at the other.
pub struct Service<'a> {
    asks: &'a Netns,
    at: SocketAddr,
    door: Door,
}

pub enum Door {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl<'a> Service<'a> {
    pub fn new(asks: &'a Netns, serves: &Netns, at: SocketAddr, udp: bool) -> Self {
        let space = Middle::space(serves);
        let door = space.run(|| match udp {
            true => UdpSocket::bind(at).map(Door::Udp),
            false => TcpListener::bind(at).map(Door::Tcp),
        });
        Self { asks, at, door: door.expect("inside").expect("bound") }
    }

    /// A new connection, with its other end; `None` where it does not come about.
    pub fn connect(&self) -> Option<(TcpStream, TcpStream)> {
        let Door::Tcp(listener) = &self.door else { return None };
        let space = Middle::space(self.asks);
        let client = space.run(|| TcpStream::connect_timeout(&self.at, LOST)).expect("inside");
        let client = client.ok()?;
        let (server, _) = listener.accept().expect("accepted");
        for end in [&client, &server] {
            end.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        }
        Some((client, server))
    }

    /// Whether somebody new is served.
    pub fn serves(&self) -> bool {
        match &self.door {
            Door::Tcp(_) => self.connect().is_some_and(|mut talk| {
                goes_on(&mut talk);
                true
            }),
            Door::Udp(server) => self.answers(server),
        }
    }

    fn answers(&self, server: &UdpSocket) -> bool {
        let any: SocketAddr =
            if self.at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().expect("an address");
        let client = Middle::space(self.asks).run(|| UdpSocket::bind(any));
        let client = client.expect("inside").expect("bound");
        for end in [&client, server] {
            end.set_read_timeout(Some(LOST)).expect("a timeout");
        }
        let mut byte = [0];
        // What a full table refuses is no error of the sender's where it is another host's.
        if client.send_to(b"a", self.at).is_err() {
            return false;
        }
        // One that was given up may come late.
        let own = client.local_addr().expect("an address").port();
        let from = loop {
            match server.recv_from(&mut byte) {
                Ok((_, from)) if from.port() == own => break from,
                Ok(_) => {}
                Err(_) => return false,
            }
        };
        server.send_to(b"b", from).is_ok() && client.recv(&mut byte).is_ok() && byte == *b"b"
    }
}

/// A byte there and one back.
pub fn goes_on((client, server): &mut (TcpStream, TcpStream)) {
    let mut byte = [0];
    client.write_all(b"a").expect("the client speaks");
    server.read_exact(&mut byte).expect("the server hears");
    server.write_all(b"b").expect("the server answers");
    client.read_exact(&mut byte).expect("the client hears");
}
