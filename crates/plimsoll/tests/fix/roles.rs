//! A port that is not tracked any more, by what the host is to it: server, client or router; TCP and UDP, both families,
//! rules of nft, of iptables on nf_tables, of iptables of old. The table is full of others' entries, so whoever needs one
//! is dropped.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use plimsoll_ct::{Counter, Entries, Entry, L4, Protocol, Seconds, State, Status, TcpState, Tuple};
use plimsoll_lab::{HostLimit, Namespace};
use plimsoll_wire::ctnetlink::{Details, Flow};

use crate::host::Host;
use crate::remedies::SMALL;
use crate::support::{BINARY, Netns, plimsoll, root, text, turn, until};

const PATIENCE: Duration = Duration::from_secs(10);
/// A SYN that is dropped comes again after a second; so long without an answer is none.
const LOST: Duration = Duration::from_millis(700);
/// New connections that must come about.
const VISITORS: usize = 20;

/// What the rules are written by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Nft,
    IptablesNft,
    Legacy,
}

/// A client, the host in the middle that is cured, and a server behind it.
struct Middle {
    client: Netns,
    host: Netns,
    server: Netns,
    state: PathBuf,
    six: bool,
}

impl Middle {
    /// With rules that let only `accepts` (one rule for each hook, in the language of `by`) begin connections.
    fn new(name: &str, six: bool, by: By, accepts: &[(&str, String)]) -> Self {
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

    fn address(&self, net: u16, last: u16) -> IpAddr {
        if self.six {
            IpAddr::V6(Ipv6Addr::new(0xfd77, net, 0, 0, 0, 0, 0, last))
        } else {
            IpAddr::V4(Ipv4Addr::new(10, 77, net as u8, last as u8))
        }
    }

    fn space(netns: &Netns) -> Namespace {
        Namespace::open(&netns.0).expect("it is there")
    }

    fn fix(&self, arguments: &[&str]) -> String {
        let state = self.state.to_str().expect("a path of text");
        let more = ["--netns", &self.host.0, "--yes", "--watch", "0", "--state-dir", state];
        let out = plimsoll(&[&["fix"], arguments, &more].concat());
        let said = text(&out.stdout);
        assert!(out.status.success(), "{arguments:?}: {said}{}", text(&out.stderr));
        said
    }

    fn undo(&self) {
        let out = plimsoll(&["undo", "--state-dir", self.state.to_str().expect("a path of text")]);
        let (said, talk) = (text(&out.stdout), text(&out.stderr));
        assert!(out.status.success(), "{said}{talk}");
        assert!(!said.contains("Left as it is"), "{said}");
    }

    /// Rules of all kinds, byte for byte, without what traffic counts and the lines that tell a time.
    fn everything(&self) -> String {
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
    fn fill(&self) {
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

    fn drops(&self, during: impl FnOnce()) -> u64 {
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
struct Service<'a> {
    asks: &'a Netns,
    at: SocketAddr,
    door: Door,
}

enum Door {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl<'a> Service<'a> {
    fn new(asks: &'a Netns, serves: &Netns, at: SocketAddr, udp: bool) -> Self {
        let space = Middle::space(serves);
        let door = space.run(|| match udp {
            true => UdpSocket::bind(at).map(Door::Udp),
            false => TcpListener::bind(at).map(Door::Tcp),
        });
        Self { asks, at, door: door.expect("inside").expect("bound") }
    }

    /// A new connection, with its other end; `None` where it does not come about.
    fn connect(&self) -> Option<(TcpStream, TcpStream)> {
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
    fn serves(&self) -> bool {
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

fn goes_on((client, server): &mut (TcpStream, TcpStream)) {
    let mut byte = [0];
    client.write_all(b"a").expect("the client speaks");
    server.read_exact(&mut byte).expect("the server hears");
    server.write_all(b"b").expect("the server answers");
    client.read_exact(&mut byte).expect("the client hears");
}

/// The whole course: full, dropped; cured, served; taken back.
fn cured(middle: &Middle, service: &Service<'_>, arguments: &[&str]) {
    // Neighbours find each other first.
    until("somebody is served", || service.serves());
    let mut talk = service.connect();
    let old = middle.everything();
    middle.fill();
    let dropped = middle.drops(|| assert!(!service.serves(), "nobody new is served"));
    assert!(dropped > 0, "it is the table");
    let said = middle.fix(arguments);
    assert!(said.contains("get no entry, in both directions"), "{said}");
    let dropped = middle.drops(|| {
        let served = (0..VISITORS).filter(|_| service.serves()).count();
        assert_eq!(served, VISITORS, "{said}\n{}", middle.everything());
        if let Some(talk) = &mut talk {
            goes_on(talk);
        }
    });
    assert_eq!(dropped, 0, "none after");
    // There is room again, so what is open can be tracked again.
    middle.host.run("conntrack", &["-F"]);
    middle.undo();
    assert_eq!(middle.everything(), old);
    if let Some(talk) = &mut talk {
        goes_on(talk);
    }
    assert!(service.serves(), "and after");
}

/// A small table is quick to fill; where somebody on the machine holds more, it is the machine's own.
fn limited() -> HostLimit {
    let patience = Duration::from_secs(300);
    let small = HostLimit::claim(Some(Entries(SMALL)), patience);
    small.or_else(|_| HostLimit::claim(None, patience)).expect("the limit is had")
}

#[test]
fn a_router_passes_a_port_on_without_entries() {
    if !root("a_router_passes_a_port_on_without_entries") {
        return;
    }
    let _turn = turn();
    let _limit = limited();
    for (by, six) in [(By::Nft, false), (By::Legacy, true)] {
        let rule = match by {
            By::Nft => "iifname m1 tcp dport 8080".to_owned(),
            By::IptablesNft | By::Legacy => "-i m1 -p tcp -m tcp --dport 8080".to_owned(),
        };
        let middle = Middle::new("through", six, by, &[("forward", rule)]);
        let at = SocketAddr::new(middle.address(2, 2), 8080);
        let service = Service::new(&middle.client, &middle.server, at, false);
        cured(&middle, &service, &["bypass", "tcp/8080", "--role", "forward"]);
    }
}

#[test]
fn a_proxy_asks_its_backend_without_entries() {
    if !root("a_proxy_asks_its_backend_without_entries") {
        return;
    }
    let _turn = turn();
    let _limit = limited();
    for (by, six) in [(By::Nft, true), (By::IptablesNft, false)] {
        let rule = match by {
            By::Nft => "tcp dport 9000".to_owned(),
            By::IptablesNft | By::Legacy => "-p tcp -m tcp --dport 9000".to_owned(),
        };
        let middle = Middle::new("asks", six, by, &[("output", rule)]);
        let at = SocketAddr::new(middle.address(2, 2), 9000);
        let service = Service::new(&middle.host, &middle.server, at, false);
        cured(&middle, &service, &["bypass", "tcp/9000", "--role", "client"]);
    }
}

#[test]
fn a_name_server_answers_without_entries() {
    if !root("a_name_server_answers_without_entries") {
        return;
    }
    let _turn = turn();
    let _limit = limited();
    for (by, six) in [(By::Nft, false), (By::Legacy, false)] {
        let rule = match by {
            By::Nft => "ip saddr 10.77.0.0/16 udp dport 53".to_owned(),
            By::IptablesNft | By::Legacy => "-s 10.77.0.0/16 -p udp -m udp --dport 53".to_owned(),
        };
        let middle = Middle::new("names", six, by, &[("input", rule)]);
        let at = SocketAddr::new(middle.address(1, 1), 53);
        let service = Service::new(&middle.client, &middle.host, at, true);
        cured(&middle, &service, &["bypass", "udp/53"]);
    }
}

#[test]
fn a_server_of_the_younger_family_serves_without_entries() {
    if !root("a_server_of_the_younger_family_serves_without_entries") {
        return;
    }
    let _turn = turn();
    let _limit = limited();
    for by in [By::Nft, By::IptablesNft, By::Legacy] {
        let rule = match by {
            By::Nft => "ip6 saddr fd77::/16 tcp dport 443".to_owned(),
            By::IptablesNft => "-s fd77::/16 -p tcp -m tcp --dport 443".to_owned(),
            By::Legacy => "-p tcp -m multiport --dports 80,443".to_owned(),
        };
        let middle = Middle::new("six", true, by, &[("input", rule)]);
        let at = SocketAddr::new(middle.address(1, 1), 443);
        let service = Service::new(&middle.client, &middle.host, at, false);
        cured(&middle, &service, &["bypass", "tcp/443"]);
    }
}

/// Datagrams: asked of others, and passed on.
#[test]
fn name_servers_are_asked_and_reached_without_entries() {
    if !root("name_servers_are_asked_and_reached_without_entries") {
        return;
    }
    let _turn = turn();
    let _limit = limited();
    for (by, six, role) in [
        (By::Legacy, true, "client"),
        (By::IptablesNft, false, "forward"),
        (By::Nft, true, "forward"),
    ] {
        let (hook, asks) = if role == "client" { ("output", 0) } else { ("forward", 1) };
        let rule = match by {
            By::Nft => "udp dport 53".to_owned(),
            By::IptablesNft | By::Legacy => "-p udp -m udp --dport 53".to_owned(),
        };
        let middle = Middle::new("asked", six, by, &[(hook, rule)]);
        let at = SocketAddr::new(middle.address(2, 2), 53);
        let service = Service::new([&middle.host, &middle.client][asks], &middle.server, at, true);
        cured(&middle, &service, &["bypass", "udp/53", "--role", role]);
    }
}

#[test]
fn a_peer_of_either_family_comes_in_by_its_lifeline_whatever_the_rules_are_written_by() {
    if !root("a_peer_of_either_family_comes_in_by_its_lifeline_whatever_the_rules_are_written_by") {
        return;
    }
    let _turn = turn();
    let _limit = limited();
    for (by, six) in [(By::Legacy, false), (By::IptablesNft, true), (By::Nft, true)] {
        let rule = match by {
            By::Nft => "tcp dport 22".to_owned(),
            By::IptablesNft | By::Legacy => "-p tcp -m tcp --dport 22".to_owned(),
        };
        let middle = Middle::new("line", six, by, &[("input", rule)]);
        let at = SocketAddr::new(middle.address(1, 1), 22);
        let service = Service::new(&middle.client, &middle.host, at, false);
        let peer = middle.address(1, 2).to_string();
        cured(&middle, &service, &["lifeline", "--peer", &peer, "--port", "22"]);
    }
}

/// Seconds that the entries of a port have left, the least first.
fn left(middle: &Middle, protocol: &str, port: &str) -> Vec<u64> {
    let family = if middle.six { "ipv6" } else { "ipv4" };
    let listed = ["-L", "-f", family, "-p", protocol, "--dport", port];
    let listed = middle.host.run("conntrack", &listed);
    let mut left: Vec<u64> =
        listed.lines().filter_map(|l| l.split_whitespace().nth(2)?.parse().ok()).collect();
    left.sort_unstable();
    left
}

/// A policy reaches new connections of its port and no others, in both families and by both ways of writing it.
#[test]
fn a_policy_is_given_to_what_begins_after_it_by_nft_and_by_xtables() {
    if !root("a_policy_is_given_to_what_begins_after_it_by_nft_and_by_xtables") {
        return;
    }
    let _turn = turn();
    for (by, six) in [(By::Nft, true), (By::Legacy, false), (By::Legacy, true)] {
        let rules = match by {
            By::Nft => ["tcp dport 443", "udp dport 53"],
            By::IptablesNft | By::Legacy => {
                ["-p tcp -m tcp --dport 443", "-p udp -m udp --dport 53"]
            }
        };
        let middle = Middle::new("policy", six, by, &rules.map(|rule| ("input", rule.to_owned())));
        let at = |port| SocketAddr::new(middle.address(1, 1), port);
        let web = Service::new(&middle.client, &middle.host, at(443), false);
        let names = Service::new(&middle.client, &middle.host, at(53), true);
        until("a name is served", || names.serves());
        let mut before = web.connect().expect("it is served");
        middle.host.run("conntrack", &["-D", "-p", "udp"]);
        let old = middle.everything();
        middle.fix(&["timeout", "--port", "tcp/443", "established=8888"]);
        middle.fix(&["timeout", "--port", "udp/53", "unreplied=777"]);
        let mut after = web.connect().expect("it is served");
        goes_on(&mut before);
        goes_on(&mut after);
        assert!(names.serves());
        let (tcp, udp) = (left(&middle, "tcp", "443"), left(&middle, "udp", "53"));
        assert!(matches!(tcp[..], [8000..=8888, 400_000..=432_000]), "{by:?} {six}: {tcp:?}");
        assert!(matches!(udp[..], [600..=777]), "{by:?} {six}: {udp:?}");
        middle.undo();
        middle.undo();
        assert_eq!(middle.everything(), old);
        goes_on(&mut before);
        goes_on(&mut after);
    }
}

/// New datagram flows of one source beyond its number are dropped; those it has go on.
#[test]
fn one_source_asks_a_name_server_so_often_at_once_and_no_more() {
    if !root("one_source_asks_a_name_server_so_often_at_once_and_no_more") {
        return;
    }
    let _turn = turn();
    for (by, six) in [(By::Nft, false), (By::Legacy, true)] {
        let rule = match by {
            By::Nft => "udp dport 53".to_owned(),
            By::IptablesNft | By::Legacy => "-p udp -m udp --dport 53".to_owned(),
        };
        let middle = Middle::new("many", six, by, &[("input", rule)]);
        let at = SocketAddr::new(middle.address(1, 1), 53);
        let service = Service::new(&middle.client, &middle.host, at, true);
        until("somebody is served", || service.serves());
        middle.host.run("conntrack", &["-D", "-p", "udp"]);
        let old = middle.everything();
        middle.fix(&["limit", "udp/53", "--per-source", "3"]);
        let served = (0..6).filter(|_| service.serves()).count();
        assert_eq!(served, 3, "{by:?} {six}");
        middle.undo();
        assert_eq!(middle.everything(), old);
        assert_eq!((0..6).filter(|_| service.serves()).count(), 6, "without it all are answered");
    }
}

/// Rules that need the tracking of tcp/443, who writes such ones, and what is said of them.
const NEED: &[(&str, &str, &str)] = &[
    (
        "docker",
        "*nat\n:PREROUTING ACCEPT\n:DOCKER -\n-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n-A DOCKER ! -i docker0 \
         -p tcp -m tcp --dport 443 -j DNAT --to-destination 172.17.0.2:443\nCOMMIT\n",
        "rewrites its addresses, which only happens to tracked packets: iptables nat: -A DOCKER ! -i docker0 -p tcp -m \
         tcp --dport 443 -j DNAT --to-destination 172.17.0.2:443",
    ),
    (
        "kube-proxy",
        "*nat\n:PREROUTING ACCEPT\n:KUBE-SERVICES -\n:KUBE-NODEPORTS -\n:KUBE-SVC-X -\n-A PREROUTING -j KUBE-SERVICES\n-A \
         KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n-A KUBE-NODEPORTS -p tcp -m tcp --dport 443 -j \
         KUBE-SVC-X\n-A KUBE-SVC-X -p tcp -m tcp -j DNAT --to-destination 10.244.1.5:8443\nCOMMIT\n",
        "a rule rewrites its addresses, which only happens to tracked packets: iptables nat: -A KUBE-SVC-X",
    ),
    (
        "redirect",
        "*nat\n:PREROUTING ACCEPT\n-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 443\nCOMMIT\n",
        "a rule sends other connections to it, and only tracked answers find their way back: iptables nat: -A PREROUTING",
    ),
    (
        "helper",
        "*raw\n:PREROUTING ACCEPT\n-A PREROUTING -p tcp -m tcp --dport 443 -j CT --helper ftp\nCOMMIT\n",
        "gives it a helper, which reads along to let its other connections in: iptables raw: -A PREROUTING -p tcp",
    ),
    (
        "connlimit",
        "*filter\n:INPUT ACCEPT\n-A INPUT -p tcp -m tcp --dport 443 -m connlimit --connlimit-above 50 -j REJECT\nCOMMIT\n",
        "counts its connections: iptables filter: -A INPUT -p tcp -m tcp --dport 443 -m connlimit",
    ),
    (
        "synproxy",
        "*filter\n:INPUT ACCEPT\n-A INPUT -p tcp -m tcp --dport 443 -m conntrack --ctstate INVALID -j SYNPROXY \
         --sack-perm\n-A INPUT -p tcp -m tcp --dport 443 -j CONNMARK --set-xmark 0x1\nCOMMIT\n",
        "uses the mark or the counts of its connections: iptables filter: -A INPUT -p tcp -m tcp --dport 443 -j CONNMARK",
    ),
];

#[test]
fn who_needs_the_tracking_of_a_port_is_named_by_the_rule() {
    if !root("who_needs_the_tracking_of_a_port_is_named_by_the_rule") {
        return;
    }
    for (name, rules, said) in NEED {
        for tool in ["iptables-nft", "iptables-legacy"] {
            let host = Host::new(&format!("need-{name}"));
            let file = std::env::temp_dir().join(format!("{}.rules", host.netns.0));
            std::fs::write(&file, rules).expect("written");
            host.netns.run("sh", &["-c", &format!("{tool}-restore < {}", file.display())]);
            let _ = std::fs::remove_file(file);
            let old = host.everything();
            let out = host.run(&["fix", "bypass", "tcp/443", "--role", "server", "--yes"]);
            let all = text(&out.stdout);
            // Joined again where the screen has broken the lines.
            let all = all.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(out.status.code(), Some(1), "{name}, {tool}: {all}");
            assert!(all.contains(said), "{name}, {tool}: {all}");
            assert_eq!(host.everything(), old);
        }
    }
}

/// Starts `fix bypass` in a terminal, and answers its question once `meanwhile` has happened; what it said, and its status.
fn asked(host: &Host, meanwhile: &[&str]) -> (String, bool) {
    let state = host.state.to_str().expect("a path of text");
    let fix = format!(
        "ip netns exec {} {BINARY} fix bypass tcp/443 --role server --watch 0 --state-dir {state}",
        host.netns.0
    );
    let mut script = Command::new("script")
        .args(["-qec", &fix, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script starts");
    let mut said = Vec::new();
    let mut out = script.stdout.take().expect("a pipe");
    let mut byte = [0];
    while !said.ends_with(b"[y/N] ") {
        assert_eq!(out.read(&mut byte).expect("it speaks"), 1, "{}", text(&said));
        said.push(byte[0]);
    }
    host.netns.run(meanwhile[0], &meanwhile[1..]);
    script.stdin.take().expect("a pipe").write_all(b"y\n").expect("it hears");
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("it ends");
    (rest, script.wait().expect("it is gone").success())
}

#[test]
fn who_changes_the_chain_while_the_plan_is_looked_at_is_noticed() {
    if !root("who_changes_the_chain_while_the_plan_is_looked_at_is_noticed") {
        return;
    }
    let ban = ["iptables-legacy", "-I", "FW", "1", "-s", "203.0.113.9", "-j", "DROP"];
    let other =
        ["iptables-legacy", "-t", "mangle", "-I", "PREROUTING", "-j", "MARK", "--set-mark", "1"];
    let nft = ["nft", "insert rule inet site input ip saddr 203.0.113.9 drop"];
    let legacy: fn() -> Host = || Host::new("meanwhile").with_strict_legacy();
    let strict: fn() -> Host = || Host::new("meanwhile").with_strict_nft();
    for (host, meanwhile) in [(legacy, &ban[..]), (strict, &nft[..])] {
        let host = host();
        let (said, done) = asked(&host, meanwhile);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!done, "{said}");
        assert!(said.contains("has changed since the plan was made: plan again"), "{said}");
        assert!(!host.everything().contains("plimsoll"), "{}", host.everything());
        // Planned anew it goes where it belongs: behind the ban.
        host.ok(&["fix", "bypass", "tcp/443", "--role", "server", "--yes", "--watch", "0"]);
        let all = host.everything();
        let place = |words: &str| all.find(words).unwrap_or_else(|| panic!("{words}: {all}"));
        assert!(place("203.0.113.9") < place("10.0.0.0/8"), "{all}");
        host.ok(&["undo"]);
        assert!(!host.everything().contains("plimsoll: "), "{}", host.everything());
    }
    let (said, done) = asked(&legacy(), &other);
    assert!(done, "what others change elsewhere is no matter: {said}");
}
