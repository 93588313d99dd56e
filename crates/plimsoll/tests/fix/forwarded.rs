//! A host that passes connections on, a SYN proxy or a limit for each source: client, router and server in three namespaces.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use plimsoll_lab::Namespace;

use crate::host::Host;
use crate::support::{Netns, root, run, text};
use crate::sweep::swept;

const PORT: u16 = 443;
const PROXY: &[&str] = &["fix", "limit", "tcp/443", "--synproxy", "--yes", "--watch", "0"];
const PATIENCE: Duration = Duration::from_secs(20);
/// SYNs of strangers.
const FLOOD: u64 = 2000;
/// More than any window, so that what is sent is acknowledged on the way.
const LONG: usize = 3 << 20;

/// A router with a strict firewall between a client and a server; IPv4 and IPv6.
struct Way {
    client: Netns,
    router: Host,
    server: Netns,
}

impl Way {
    fn new(name: &str) -> Self {
        let way = Self {
            client: Netns::new(&format!("{name}-c")),
            router: Host::new(name),
            server: Netns::new(&format!("{name}-s")),
        };
        let router = &way.router.netns;
        for (end, near, far, net) in [(&way.client, "c", "rc", 1), (&way.server, "s", "rs", 2)] {
            let (one, other) = (&end.0, &router.0);
            run(
                "ip",
                &[
                    "link", "add", near, "netns", one, "type", "veth", "peer", "name", far,
                    "netns", other,
                ],
            );
            for (space, link, host) in [(end, near, 2), (router, far, 1)] {
                let (v4, v6) = (format!("10.77.{net}.{host}/24"), format!("fd77:{net}::{host}/64"));
                space.run("ip", &["address", "add", &v4, "dev", link]);
                space.run("ip", &["address", "add", &v6, "dev", link, "nodad"]);
                space.run("ip", &["link", "set", link, "up"]);
            }
            let (v4, v6) = (format!("10.77.{net}.1"), format!("fd77:{net}::1"));
            end.run("ip", &["route", "add", "default", "via", &v4]);
            end.run("ip", &["route", "add", "default", "via", &v6]);
        }
        router.run("sysctl", &["-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
        way
    }

    /// What is strict everywhere: INVALID dropped first, nothing passes or leaves but what a rule names.
    fn with_nft(self) -> Self {
        let rules = "table inet site { chain forward { type filter hook forward priority 0; policy drop; ct state \
                     invalid drop; ct state established,related accept; ip daddr 10.77.2.2 tcp dport 443 ct state new \
                     accept; ip6 daddr fd77:2::2 tcp dport 443 ct state new accept; meta l4proto ipv6-icmp accept; }; \
                     chain output { type filter hook output priority 0; policy drop; ct state established,related \
                     accept; meta l4proto ipv6-icmp accept; }; }";
        self.router.netns.run("nft", &[rules]);
        self
    }

    fn with_legacy(self) -> Self {
        for (tool, server, icmp) in [
            ("iptables-legacy", "10.77.2.2", "icmp"),
            ("ip6tables-legacy", "fd77:2::2", "ipv6-icmp"),
        ] {
            let rules = format!(
                "-A FORWARD -m conntrack --ctstate INVALID -j DROP;-A FORWARD -m conntrack --ctstate \
                 ESTABLISHED,RELATED -j ACCEPT;-A FORWARD -d {server} -p tcp -m tcp --dport 443 -m conntrack --ctstate \
                 NEW -j ACCEPT;-A FORWARD -p {icmp} -j ACCEPT;-P FORWARD DROP;-A OUTPUT -m conntrack --ctstate \
                 ESTABLISHED,RELATED -j ACCEPT;-A OUTPUT -p {icmp} -j ACCEPT;-P OUTPUT DROP;-t raw -L -n;-t security -L -n"
            );
            for rule in rules.split(';') {
                let words: Vec<&str> = rule.split_whitespace().collect();
                self.router.netns.run(tool, &words);
            }
        }
        self
    }

    fn listen(&self, address: &str) -> TcpListener {
        let ip: IpAddr = address.parse().expect("an address");
        let server = Namespace::open(&self.server.0).expect("it is there");
        server.run(|| TcpListener::bind((ip, PORT))).expect("inside").expect("bound")
    }

    fn connect(&self, to: SocketAddr) -> Option<TcpStream> {
        let client = Namespace::open(&self.client.0).expect("it is there");
        let made = client.run(|| TcpStream::connect_timeout(&to, PATIENCE)).expect("inside");
        made.ok()
    }

    /// Half-open connections from all over the client's network, whose addresses answer nothing.
    fn flood(&self) {
        let script = format!(
            "import socket,struct,random\n\
             def ck(d):\n  s=sum(struct.unpack('!%dH'%(len(d)//2),d)); s=(s>>16)+(s&0xffff); s+=s>>16; return ~s&0xffff\n\
             s=socket.socket(socket.AF_INET,socket.SOCK_RAW,socket.IPPROTO_RAW)\n\
             dst=socket.inet_aton('10.77.2.2')\n\
             for i in range({FLOOD}):\n  \
             src=struct.pack('!I',0x0a4d0103+i%200); port=10000+i\n  \
             t=struct.pack('!HHIIBBHHH',port,{PORT},random.getrandbits(32),0,80,2,65535,0,0)\n  \
             c=ck(src+dst+struct.pack('!BBH',0,6,20)+t)\n  \
             t=t[:16]+struct.pack('!H',c)+t[18:]\n  \
             s.sendto(struct.pack('!BBHHHBBH4s4s',69,0,40,i,0,64,6,0,src,dst)+t,('10.77.2.2',0))\n"
        );
        self.client.run("python3", &["-c", &script]);
    }

    fn entries(&self) -> u64 {
        Namespace::open(&self.router.netns.0).expect("it is there").count().expect("a count")
    }
}

/// Both ends of a connection through the router.
struct Talk(TcpStream, TcpStream);

impl Talk {
    fn new(way: &Way, listener: &TcpListener) -> Self {
        let client = way.connect(listener.local_addr().expect("an address")).expect("connected");
        let mut talk = Self(client, listener.accept().expect("accepted").0);
        for end in [&talk.0, &talk.1] {
            end.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            end.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        }
        talk.goes_on();
        talk
    }

    /// A word there, and a long answer back.
    fn goes_on(&mut self) {
        let Self(client, server) = self;
        client.write_all(b"question").expect("the client speaks");
        let mut question = [0; 8];
        server.read_exact(&mut question).expect("the server hears");
        assert_eq!(&question, b"question");
        let answer: Vec<u8> = (0..LONG).map(|i| (i % 251) as u8).collect();
        let mut heard = vec![0; LONG];
        std::thread::scope(|scope| {
            let sent = scope.spawn(|| server.write_all(&answer));
            client.read_exact(&mut heard).expect("the client hears");
            sent.join().expect("no panic").expect("the server answers");
        });
        assert!(heard == answer, "every byte as it was sent");
    }
}

fn proxied(way: &Way) {
    let old = way.router.everything();
    let (four, six) = (way.listen("10.77.2.2"), way.listen("fd77:2::2"));
    let mut before = Talk::new(way, &four);
    way.flood();
    assert!(way.entries() >= FLOOD, "without it each SYN has an entry: {}", way.entries());
    let halves = "for s in SYN_SENT SYN_RECV; do conntrack -D -p tcp --state $s; done 2>&1; true";
    way.router.netns.run("sh", &["-c", halves]);
    let quiet = way.entries();

    let dry = way.router.ok(&["fix", "limit", "tcp/443", "--synproxy", "--dry-run"]);
    assert_eq!(way.router.everything(), old, "shown only: {dry}");
    let said = way.router.ok(PROXY);
    assert!(said.contains("segments of 1460 bytes (IPv6: 1440)"), "{said}");
    way.flood();
    assert!(way.entries() <= quiet + 8, "{} entries, {quiet} before", way.entries());
    before.goes_on();
    let (mut through, mut through6) = (Talk::new(way, &four), Talk::new(way, &six));
    let statistics = way.router.netns.run("cat", &["/proc/net/stat/synproxy"]);
    let column = |n: usize| -> u64 {
        let hex = |l: &str| u64::from_str_radix(l.split_whitespace().nth(n)?, 16).ok();
        statistics.lines().skip(1).filter_map(hex).sum()
    };
    assert!(column(1) >= FLOOD, "SYNs were answered by the proxy: {statistics}");
    assert_eq!(column(3), 2, "and two cookies came back: {statistics}");
    // What the rules do not let pass is not answered either.
    let closed = SocketAddr::new("10.77.2.1".parse().expect("an address"), PORT);
    assert!(way.connect(closed).is_none());

    way.router.ok(&["undo"]);
    assert_eq!(way.router.everything(), old, "byte for byte");
    before.goes_on();
    through.goes_on();
    through6.goes_on();
    Talk::new(way, &four).goes_on();
}

#[test]
fn a_syn_proxy_keeps_a_flood_out_of_the_table_and_lets_visitors_through() {
    if !root() {
        return;
    }
    proxied(&Way::new("proxy").with_nft());
}

#[test]
fn a_syn_proxy_of_iptables_does_the_same() {
    if !root() {
        return;
    }
    proxied(&Way::new("proxy-xt").with_legacy());
}

#[test]
fn a_syn_proxy_killed_at_any_step_is_there_whole_or_not_at_all() {
    if !root() {
        return;
    }
    swept(&Way::new("proxy-kill").with_nft().router, PROXY);
    swept(&Way::new("proxy-kill-xt").with_legacy().router, PROXY);
}

#[test]
fn a_port_that_is_sent_on_elsewhere_has_no_syn_proxy() {
    if !root() {
        return;
    }
    let way = Way::new("proxy-nat").with_nft();
    let nat = "table ip nat { chain prerouting { type nat hook prerouting priority -100; ip daddr 10.77.1.1 tcp \
               dport 443 dnat to 10.77.2.2; }; chain postrouting { type nat hook postrouting priority 100; oifname \
               rs masquerade; }; }";
    way.router.netns.run("nft", &[nat]);
    let old = way.router.everything();
    let out = way.router.run(PROXY);
    let said = text(&out.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(
        said.contains("are sent on to another address, which a proxy before them can't follow: nft ip nat prerouting"),
        "{said}"
    );
    assert!(!said.contains("masquerade"), "the address of who asks may be another: {said}");
    assert_eq!(way.router.everything(), old);
}

#[test]
fn a_second_proxy_and_one_where_nothing_is_tracked_are_refused() {
    if !root() {
        return;
    }
    let refused = |way: &Way, why: &str| {
        let old = way.router.everything();
        let out = way.router.run(PROXY);
        let said = text(&out.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains(why), "{said}");
        assert_eq!(way.router.everything(), old);
    };
    let way = Way::new("proxy-no");
    refused(&way, "nothing is tracked here");
    let way = way.with_nft();
    way.router.ok(PROXY);
    refused(&way, "a SYN proxy answers for it already: nft inet plimsoll_synproxy_tcp443");
}

/// Connections that come about when six are tried.
fn opened(way: &Way, listener: &TcpListener) -> usize {
    let to = listener.local_addr().expect("an address");
    let open: Vec<TcpStream> = (0..6).filter_map(|_| way.connect(to)).collect();
    open.len()
}

fn limited(way: &Way) {
    let old = way.router.everything();
    let (four, six) = (way.listen("10.77.2.2"), way.listen("fd77:2::2"));
    way.router.ok(&[
        "fix",
        "limit",
        "tcp/443",
        "--per-source",
        "3",
        "--forwarded",
        "--yes",
        "--watch",
        "0",
    ]);
    assert_eq!((opened(way, &four), opened(way, &six)), (3, 3), "of each source");
    way.router.ok(&["undo"]);
    assert_eq!(way.router.everything(), old);
    assert_eq!((opened(way, &four), opened(way, &six)), (6, 6), "without it all come through");
}

#[test]
fn a_limit_for_each_source_holds_for_what_passes_through_by_ipv4_and_ipv6() {
    if !root() {
        return;
    }
    limited(&Way::new("forwarded").with_nft());
    limited(&Way::new("forwarded-xt").with_legacy());
}
