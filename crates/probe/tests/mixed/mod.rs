//! Namespaces whose tables hold an entry of every kind.
#![allow(dead_code)]

use std::sync::Mutex;

use crate::support::{Netns, root, run};

/// Entries that are made in each namespace at the least.
pub const KINDS: usize = 70;

/// Tests of one process would see each other's namespaces come and go.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Makes namespaces with mixed and quiet tables, calls `body`, and removes them.
pub fn in_namespaces(word: &str, number: usize, body: impl FnOnce(&[Netns])) {
    if !root() {
        return;
    }
    let _lock = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mixed = |n: usize| {
        let table = Netns::new(word);
        table.enter(|| fill(&table, n));
        table
    };
    body(&(0..number).map(mixed).collect::<Vec<_>>());
}

/// Makes three namespaces of which the first forwards between the others, with an empty table: 10.1.0.2 and 10.2.0.2
/// at their ends.
pub fn in_a_router(word: &str, body: impl FnOnce([&Netns; 3])) {
    if !root() {
        return;
    }
    let _lock = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let [router, one, other] = [0; 3].map(|_| Netns::new(word));
    router.enter(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
    for (net, end) in [(1, &one), (2, &other)] {
        let (near, far) = (format!("r{net}"), format!("e{net}"));
        let pair = ["link", "add", &near, "netns", &router.name, "type", "veth", "peer", "name"];
        run("ip", &[&pair[..], &[&far, "netns", &end.name]].concat());
        for (table, link, last) in [(&router, &near, 1), (end, &far, 2)] {
            let address = format!("10.{net}.0.{last}/24");
            run("ip", &["-n", &table.name, "address", "add", &address, "dev", link]);
            run("ip", &["-n", &table.name, "link", "set", link, "up"]);
        }
        let gateway = format!("10.{net}.0.1");
        run("ip", &["-n", &end.name, "route", "add", "default", "via", &gateway]);
    }
    body([&router, &one, &other]);
}

/// Sends an IPv4 packet of any protocol over the loopback.
fn send_raw(protocol: u32, bytes: &[u8]) {
    use rustix::net::{AddressFamily, Protocol, RawProtocol, SendFlags, SocketType};
    let protocol = Protocol::from_raw(RawProtocol::new(protocol).unwrap());
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(protocol)).unwrap();
    let to = std::net::SocketAddrV4::new([127, 0, 0, 3].into(), 0);
    rustix::net::sendto(&socket, bytes, SendFlags::empty(), &to).unwrap();
}

/// TCP and SCTP in every state, UDP, ICMP, ICMPv6, GRE, generic, both families, NAT, zones, marks, a helper,
/// a label. Most are inserted as conntrackd would; what can't be is made by traffic.
fn fill(table: &Netns, number: usize) {
    for key in ["nf_conntrack_acct", "nf_conntrack_timestamp"] {
        std::fs::write(format!("/proc/sys/net/netfilter/{key}"), "1").unwrap();
    }
    let rules = "add table inet t
        add ct helper inet t ftp { type \"ftp\" protocol tcp; l3proto ip; }
        add chain inet t o { type filter hook output priority 0; }
        add rule inet t o tcp dport 21 ct helper set \"ftp\"
        add rule inet t o udp dport 4001 ct label set 1
        add rule inet t o udp dport 4002 ct mark set 0x5
        add rule inet t o ct state new accept
        add table ip n
        add chain ip n o { type nat hook output priority -100; }
        add chain ip n p { type nat hook postrouting priority 100; }
        add rule ip n o udp dport 4003 dnat to 127.0.0.9:4004
        add rule ip n p udp dport 4005 snat to 127.0.0.10
        add chain inet t i { type filter hook input priority 0; }
        add rule inet t i udp dport 4000-4010 drop
        ";
    let file = std::env::temp_dir().join(format!("{}.nft", table.name));
    std::fs::write(&file, rules).unwrap();
    run("nft", &["-f", file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    insert(number);
    for port in 4000..=4010 {
        let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let _ = socket.send_to(b"x", ("127.0.0.2", port));
    }
    let listener = std::net::TcpListener::bind(("127.0.0.1", 21)).unwrap();
    let mut open = std::net::TcpStream::connect(("127.0.0.1", 21)).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    // The helper reads along, from the second line on, and expects a connection to port 200 × 256 + 10.
    for line in ["USER x\r\n", "PORT 127,0,0,1,200,10\r\n"] {
        std::io::Write::write_all(&mut open, line.as_bytes()).unwrap();
        std::io::Read::read_exact(&mut accepted, &mut vec![0; line.len()]).unwrap();
    }
    let data = std::net::TcpListener::bind(("127.0.0.1", 51_210)).unwrap();
    let expected = std::net::TcpStream::connect(("127.0.0.1", 51_210)).unwrap();
    std::mem::forget((listener, open, accepted, data, expected));
    // conntrack(8) has no words for GRE, ESP and a protocol that nobody tracks.
    send_raw(47, &[0x20, 0x01, 0x88, 0x0b, 0, 0, 0, 9]);
    send_raw(50, &[0, 0, 0, 1, 0, 0, 0, 1]);
    send_raw(136, &[0x12, 0x34, 0x00, 0x35, 0, 8, 0, 0]);
}

/// Entries as conntrackd would insert them.
fn insert(number: usize) {
    let insert = |entry: &str| {
        let entry: Vec<&str> = entry.split(' ').collect();
        run("conntrack", &[&["-I", "-t", "3600"], &entry[..]].concat());
    };
    let v4 = format!("-s 10.{}.0.1 -d 10.0.0.2", 10 + number);
    let v6 = "-s fd00::1 -d fd00::2";
    // LISTEN is the old name of SYN_SENT2.
    let tcp =
        "NONE SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT CLOSE LISTEN";
    for (from, status) in [(2000, "SEEN_REPLY"), (2001, "SEEN_REPLY,ASSURED")] {
        for (n, state) in tcp.split(' ').enumerate() {
            let flow =
                format!("-p tcp --sport {from} --dport {} --state {state} -u {status}", 1000 + n);
            insert(&format!("{v4} {flow} -m {}", n % 3));
            insert(&format!("{v6} {flow}"));
        }
    }
    let sctp = "CLOSED COOKIE_WAIT COOKIE_ECHOED ESTABLISHED SHUTDOWN_SENT SHUTDOWN_RECD SHUTDOWN_ACK_SENT";
    for (n, state) in sctp.split(' ').enumerate() {
        let flow = format!("-p sctp --sport 9 --dport {} --state {state}", 3000 + n);
        insert(&format!("{v4} {flow} --orig-vtag 1 --reply-vtag 2"));
    }
    for zone in [0, 7, 9] {
        insert(&format!("{v4} -p udp --sport 53 --dport 53 -w {zone}"));
    }
    for rest in [
        "-p udp --sport 5 --dport 6 --orig-zone 11",
        // What nothing refreshes.
        "-p udp --sport 5 --dport 7 -u SEEN_REPLY,ASSURED,FIXED_TIMEOUT",
        // A protocol that 6.18 has no tracker of any more.
        "-p dccp --sport 3 --dport 4 --state OPEN --role client",
    ] {
        insert(&format!("{v4} {rest}"));
    }
    // Another family, with zone and mark.
    let rest = "--state ESTABLISHED --orig-vtag 1 --reply-vtag 2 -w 13 -m 0xffffffff";
    insert(&format!("{v6} -p sctp --sport 9 --dport 10 {rest}"));
    insert("-s fd00::5 -d fd00::6 -p icmpv6 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 77");
    let source = 10 + number;
    insert(&format!(
        "-s 10.{source}.0.1 -d 10.0.0.7 -p icmp --icmp-type 8 --icmp-code 0 --icmp-id 78"
    ));
    // Translated, both ways, both families.
    let ports = "--sport 1 --dport 2 --reply-port-src 3 --reply-port-dst 4";
    insert(&format!("{v4} -r 10.0.0.8 -q 10.0.0.9 -p tcp {ports} --state ESTABLISHED"));
    insert(&format!("{v6} -r fd00::3 -q fd00::4 -p udp {ports}"));
}
