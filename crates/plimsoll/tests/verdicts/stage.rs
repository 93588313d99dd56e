//! A host with two interfaces and clients behind both; what came in and what went out is seen by chains of nft behind all
//! others, packet by packet.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio};

use plimsoll_diagnosis::rules::Accept;
use plimsoll_fidelity::forge::{TcpSegment, udp};
use plimsoll_lab::Namespace;
use plimsoll_wire::filter::{Backend, Program, TableFamily};

use crate::made::Kind;
use crate::support::{Netns, until};

/// The port in question.
pub const PORT: u16 = 443;
/// Who sends, and to which address of the host: the first two by `h0`, the others by `h1`.
pub const SOURCES: [(Ipv4Addr, Ipv4Addr); 4] = [
    (Ipv4Addr::new(10, 77, 1, 2), Ipv4Addr::new(10, 77, 1, 1)),
    (Ipv4Addr::new(192, 0, 2, 66), Ipv4Addr::new(10, 77, 1, 1)),
    (Ipv4Addr::new(10, 77, 2, 2), Ipv4Addr::new(10, 77, 2, 1)),
    (Ipv4Addr::new(203, 0, 113, 9), Ipv4Addr::new(10, 77, 2, 1)),
];
/// Source ports: of the first packets of connections, of what follows them, and of one that tells that all before it have
/// come. The host remembers a handshake for a second, so each round has ports of its own.
const ROUND: u16 = 16;
const FIRST: u16 = 0;
const FOLLOWS: u16 = 5;
const LAST: u16 = 10;
const PORTS: std::ops::Range<u16> = 20_000..60_000;
/// Where the last one goes.
const DISCARD: u16 = 9;

const WATCH: &str = "table inet zz_watch {
  set arrived { type inet_service; size 65535; flags dynamic; }
  set came_in { type inet_service; size 65535; flags dynamic; }
  set answered { type inet_service; size 65535; flags dynamic; }
  chain arrived { type filter hook prerouting priority -1000; udp dport 9 add @arrived { udp sport }; }
  chain came_in { type filter hook input priority 2000000000; meta l4proto { tcp, udp } th dport 443 add @came_in { th sport }; }
  chain answered { type filter hook postrouting priority 2000000000; meta l4proto { tcp, udp } th sport 443 add @answered { th dport }; }
}
";

/// What became of one source's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// The first packet.
    pub came_in: bool,
    /// Its answer.
    pub answered: bool,
    /// One that follows, without a first; `None`: none was sent.
    pub follows: Option<bool>,
}

pub struct Stage {
    host: Netns,
    _client: Netns,
    raw: OwnedFd,
    inode: u64,
    _listener: TcpListener,
    names: UdpSocket,
    /// Where the ports of the next round begin.
    round: u16,
}

impl Stage {
    pub fn new(name: &str) -> Self {
        // Packets are taken in by the processor that sends them, so in order.
        pin();
        let (host, client) = (Netns::new(&format!("{name}-h")), Netns::new(&format!("{name}-c")));
        let script = "
            ip link add h0 type veth peer c0 netns CLIENT; ip link add h1 type veth peer c1 netns CLIENT
            ip addr add 10.77.1.1/24 dev h0; ip addr add 10.77.2.1/24 dev h1; ip link set h0 up; ip link set h1 up
            sysctl -qw net.ipv4.tcp_synack_retries=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.h0.rp_filter=0 net.ipv4.conf.h1.rp_filter=0
            ip -n CLIENT addr add 10.77.1.2/24 dev c0; ip -n CLIENT addr add 10.77.2.2/24 dev c1
            ip -n CLIENT link set c0 up; ip -n CLIENT link set c1 up
            ip route add 192.0.2.0/24 via 10.77.1.2; ip route add 203.0.113.0/24 via 10.77.2.2
            ip netns exec CLIENT ping -qc1 -W5 10.77.1.1; ip netns exec CLIENT ping -qc1 -W5 10.77.2.1
            ping -qc1 -W5 10.77.1.2; ping -qc1 -W5 10.77.2.2";
        host.run("sh", &["-ec", &script.replace("CLIENT", &client.0)]);
        let open = |netns: &Netns| Namespace::open(&netns.0).expect("it is there");
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
        let space = open(&host);
        let listener = space.run(|| TcpListener::bind(any)).expect("inside").expect("bound");
        let names = space.run(|| UdpSocket::bind(any)).expect("inside").expect("bound");
        names.set_nonblocking(true).expect("it does not wait");
        let raw = open(&client).run(raw_socket).expect("inside");
        Self {
            host,
            _client: client,
            raw,
            inode: space.inode(),
            _listener: listener,
            names,
            round: PORTS.start,
        }
    }

    /// Addresses of the host.
    pub fn own(&self) -> [IpAddr; 2] {
        [Ipv4Addr::new(10, 77, 1, 1).into(), Ipv4Addr::new(10, 77, 2, 1).into()]
    }

    /// These rules and no others.
    pub fn load(&self, kind: Kind, text: &str) {
        self.clear();
        match kind {
            Kind::Nft => self.feed(&["nft", "-f", "-"], text),
            Kind::IptablesNft => self.feed(&["iptables-nft-restore"], text),
            Kind::Legacy => self.feed(&["iptables-legacy-restore"], text),
        }
    }

    /// No rules but those that watch, and no entries.
    pub fn clear(&self) {
        let empty = ["filter", "nat", "mangle", "raw"].map(|t| format!("*{t}\nCOMMIT\n")).concat();
        self.feed(&["iptables-legacy-restore"], &empty);
        self.feed(&["nft", "-f", "-"], &format!("flush ruleset\n{WATCH}"));
        self.forget();
    }

    fn forget(&self) {
        self.host.run("sh", &["-c", "conntrack -F 2>/dev/null"]);
    }

    /// Runs a program on the host and feeds it.
    pub fn feed(&self, command: &[&str], text: &str) {
        let mut child = Command::new("ip")
            .args(["netns", "exec", &self.host.0])
            .args(command)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it hears");
        let out = child.wait_with_output().expect("it ends");
        let error = crate::support::text(&out.stderr);
        assert!(out.status.success(), "{command:?}: {error}\n{text}");
    }

    /// The rules as `fix` reads them.
    pub fn program(&self) -> Program {
        let ways = plimsoll_probe::ways(Some(self.inode), false);
        let program = ways.program.value().expect("the rules are read").clone();
        assert!(ways.unread.is_empty(), "{:?}", ways.unread);
        program
    }

    /// The rules for a reader.
    pub fn rules(&self) -> String {
        self.host.run("iptables-legacy-save", &[]) + &self.host.run("nft", &["list", "ruleset"])
    }

    /// Exempts the port from tracking, with the rules that this needs.
    pub fn untrack(&self, protocol: u8, accepts: &[Accept]) {
        let name = if protocol == 6 { "tcp" } else { "udp" };
        let mut nft = format!(
            "table inet zz_untrack {{\n chain p {{ type filter hook prerouting priority -300; fib daddr type local {name} dport \
             {PORT} notrack; }}\n chain o {{ type filter hook output priority -300; {name} sport {PORT} notrack; }}\n}}\n"
        );
        let mut tables: Vec<(Backend, TableFamily, &str)> = Vec::new();
        for a in accepts {
            let (table, chain, rule) = (&a.table, &a.chain, a.rule());
            let place = (a.backend, a.family, table.as_str());
            if a.backend == Backend::Nft {
                let family = match a.family {
                    TableFamily::Ip => "ip",
                    TableFamily::Ip6 => "ip6",
                    TableFamily::Inet | TableFamily::Other => "inet",
                };
                let handle = a.handle.expect("a rule with a handle");
                nft += &format!("insert rule {family} {table} {chain} handle {handle} {rule}\n");
            } else if !tables.contains(&place) {
                tables.push(place);
            }
        }
        for (backend, family, table) in tables {
            let mut ours: Vec<&Accept> = accepts
                .iter()
                .filter(|a| (a.backend, a.family, a.table.as_str()) == (backend, family, table))
                .collect();
            ours.reverse();
            ours.sort_by_key(|a| std::cmp::Reverse(a.before));
            let mut text = format!("*{table}\n");
            for a in ours {
                text += &format!("-I {} {} {}\n", a.chain, a.before + 1, a.rule());
            }
            let six = if family == TableFamily::Ip6 { "ip6tables" } else { "iptables" };
            let back = if backend == Backend::Legacy { "legacy" } else { "nft" };
            self.feed(&[&format!("{six}-{back}-restore"), "-n"], &format!("{text}COMMIT\n"));
        }
        self.feed(&["nft", "-f", "-"], &nft);
        self.forget();
        let flush = "flush set inet zz_watch arrived\nflush set inet zz_watch came_in\nflush set inet zz_watch answered\n";
        self.feed(&["nft", "-f", "-"], flush);
    }

    /// Sends each source's packets; with `follows` also one that belongs to a connection, and no first one.
    pub fn send(&mut self, protocol: u8, follows: bool) -> Vec<Passed> {
        let tcp = protocol == 6;
        let next = self.round + ROUND;
        self.round = if PORTS.contains(&(next + ROUND)) { next } else { PORTS.start };
        let (first, later, last) = (self.round + FIRST, self.round + FOLLOWS, self.round + LAST);
        for (number, (source, destination)) in (0..).zip(SOURCES) {
            self.packet(source, destination, tcp, first + number, 2);
            if tcp && follows {
                self.packet(source, destination, true, later + number, 16);
            }
        }
        self.packet_to(SOURCES[0].0, SOURCES[0].1, false, (last, DISCARD), 0);
        until("the last packet", || self.seen("arrived").contains(&last));
        self.answer();
        let (came_in, answered) = (self.seen("came_in"), self.seen("answered"));
        let each = (0..).zip(SOURCES).map(|(number, _)| Passed {
            came_in: came_in.contains(&(first + number)),
            answered: answered.contains(&(first + number)),
            follows: (tcp && follows).then(|| came_in.contains(&(later + number))),
        });
        each.collect()
    }

    /// The service over UDP answers all that it has heard; the one over TCP is the kernel's.
    fn answer(&self) {
        let mut byte = [0; 64];
        while let Ok((_, from)) = self.names.recv_from(&mut byte) {
            // A rule may refuse it.
            let _ = self.names.send_to(b"b", from);
        }
    }

    fn packet(&self, source: Ipv4Addr, destination: Ipv4Addr, tcp: bool, port: u16, flags: u8) {
        self.packet_to(source, destination, tcp, (port, PORT), flags);
    }

    fn packet_to(&self, from: Ipv4Addr, to: Ipv4Addr, tcp: bool, ports: (u16, u16), flags: u8) {
        let (source, destination) = (IpAddr::V4(from), IpAddr::V4(to));
        let packet = if tcp {
            let segment =
                TcpSegment { ports, seq: 1000, flags, window: 1000, ..TcpSegment::default() };
            segment.packet(source, destination)
        } else {
            udp(source, destination, ports, 1, 0)
        };
        send_raw(&self.raw, to, &packet);
    }

    /// Source ports in a set of those that watch.
    fn seen(&self, set: &str) -> BTreeSet<u16> {
        let json = self.host.run("nft", &["-j", "list", "set", "inet", "zz_watch", set]);
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let all = value["nftables"].as_array().expect("a list").iter();
        let set = all.filter_map(|o| o["set"]["elem"].as_array()).flatten();
        set.filter_map(|port| u16::try_from(port.as_u64()?).ok()).collect()
    }
}

fn pin() {
    // SAFETY: a zeroed set is an empty one; the kernel reads it within its size.
    let done = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(0, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    assert_eq!(done, 0, "the first processor is ours");
}

fn raw_socket() -> OwnedFd {
    // SAFETY: no pointer goes in, and the descriptor that comes out is ours.
    unsafe {
        let fd =
            libc::socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_RAW);
        assert!(fd >= 0, "a raw socket: {}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd)
    }
}

fn send_raw(socket: &OwnedFd, to: Ipv4Addr, packet: &[u8]) {
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(to.octets()) },
        sin_zero: [0; 8],
    };
    // SAFETY: both pointers are valid for the lengths beside them.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            packet.as_ptr().cast(),
            packet.len(),
            0,
            (&raw const address).cast(),
            size_of::<libc::sockaddr_in>() as libc::socklen_t,
        )
    };
    assert_eq!(sent, packet.len() as isize, "{}", std::io::Error::last_os_error());
}
