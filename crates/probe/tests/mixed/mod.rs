//! Namespaces whose tables hold an entry of every kind.
#![allow(dead_code)]

use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::Mutex;

use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A namespace with a mixed and quiet table.
pub struct Table {
    name: String,
    pub inode: u64,
}

impl Drop for Table {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// Tests of one process would see each other's namespaces come and go.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Makes namespaces with mixed tables, calls `body`, and removes them.
pub fn in_namespaces(word: &str, number: usize, body: impl FnOnce(&[Table])) {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: making a network namespace needs root");
        return;
    }
    let _lock = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let tables: Vec<Table> = (0..number).map(|n| Table::new(word, n)).collect();
    body(&tables);
}

/// Makes three namespaces of which the first forwards between the others, with an empty table: 10.1.0.2 and 10.2.0.2
/// at their ends.
pub fn in_a_router(word: &str, body: impl FnOnce([&Table; 3])) {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: making a network namespace needs root");
        return;
    }
    let _lock = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let [router, one, other] = [0, 1, 2].map(|n| Table::empty(word, n));
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

pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Sends an IPv4 packet of any protocol over the loopback.
fn send_raw(protocol: u32, bytes: &[u8]) {
    use rustix::net::{AddressFamily, Protocol, RawProtocol, SendFlags, SocketType};
    let protocol = Protocol::from_raw(RawProtocol::new(protocol).unwrap());
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(protocol)).unwrap();
    let to = std::net::SocketAddrV4::new([127, 0, 0, 3].into(), 0);
    rustix::net::sendto(&socket, bytes, SendFlags::empty(), &to).unwrap();
}

impl Table {
    /// Entries that [`Self::new`] makes at the least.
    pub const KINDS: usize = 70;

    fn new(word: &str, number: usize) -> Self {
        let table = Self::empty(word, number);
        table.enter(|| table.fill(number));
        table
    }

    fn empty(word: &str, number: usize) -> Self {
        let name = format!("readers-{word}-{}-{number}", std::process::id());
        run("ip", &["netns", "add", &name]);
        let inode = std::fs::metadata(format!("/run/netns/{name}")).unwrap().ino();
        Self { name, inode }
    }

    /// Calls `body` in a thread that is in the namespace.
    pub fn enter<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.name);
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                let door = rustix::fs::open(path, OFlags::RDONLY, Mode::empty()).unwrap();
                move_into_link_name_space(
                    std::os::fd::AsFd::as_fd(&door),
                    Some(LinkNameSpaceType::Network),
                )
                .unwrap();
                body()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// What `conntrack -L` prints there.
    pub fn list(&self, arguments: &[&str]) -> String {
        let all = [&["netns", "exec", &self.name, "conntrack", "-L"], arguments].concat();
        run("ip", &all)
    }

    /// TCP and SCTP in every state, UDP, ICMP, ICMPv6, GRE, generic, both families, NAT, zones, marks, a helper,
    /// a label. Most are inserted as conntrackd would; what can't be is made by traffic.
    fn fill(&self, number: usize) {
        run("ip", &["link", "set", "lo", "up"]);
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
        let file = std::env::temp_dir().join(format!("{}.nft", self.name));
        std::fs::write(&file, rules).unwrap();
        run("nft", &["-f", file.to_str().unwrap()]);
        std::fs::remove_file(&file).unwrap();
        self.insert(number);
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

    fn insert(&self, number: usize) {
        let net = 10 + number;
        let source = format!("10.{net}.0.1");
        let insert = |rest: &[&str]| {
            run("conntrack", &[&["-I", "-t", "3600"], rest].concat());
        };
        let tcp = [
            "NONE",
            "SYN_SENT",
            "SYN_RECV",
            "ESTABLISHED",
            "FIN_WAIT",
            "CLOSE_WAIT",
            "LAST_ACK",
            "TIME_WAIT",
            "CLOSE",
            // Its number is SYN_SENT2's.
            "LISTEN",
        ];
        for (status, word) in ["SEEN_REPLY", "SEEN_REPLY,ASSURED"].iter().enumerate() {
            for (n, state) in tcp.iter().enumerate() {
                let (port, from) = ((1000 + n).to_string(), (2000 + status).to_string());
                insert(&[
                    "-s",
                    &source,
                    "-d",
                    "10.0.0.2",
                    "-p",
                    "tcp",
                    "--sport",
                    &from,
                    "--dport",
                    &port,
                    "--state",
                    state,
                    "-u",
                    word,
                    "-m",
                    &(n % 3).to_string(),
                ]);
                insert(&[
                    "-s", "fd00::1", "-d", "fd00::2", "-p", "tcp", "--sport", &from, "--dport",
                    &port, "--state", state, "-u", word,
                ]);
            }
        }
        let sctp = [
            "CLOSED",
            "COOKIE_WAIT",
            "COOKIE_ECHOED",
            "ESTABLISHED",
            "SHUTDOWN_SENT",
            "SHUTDOWN_RECD",
            "SHUTDOWN_ACK_SENT",
        ];
        for (n, state) in sctp.iter().enumerate() {
            let port = (3000 + n).to_string();
            insert(&[
                "-s",
                &source,
                "-d",
                "10.0.0.2",
                "-p",
                "sctp",
                "--sport",
                "9",
                "--dport",
                &port,
                "--state",
                state,
                "--orig-vtag",
                "1",
                "--reply-vtag",
                "2",
            ]);
        }
        for zone in ["0", "7", "9"] {
            insert(&[
                "-s", &source, "-d", "10.0.0.2", "-p", "udp", "--sport", "53", "--dport", "53",
                "-w", zone,
            ]);
        }
        insert(&[
            "-s",
            &source,
            "-d",
            "10.0.0.2",
            "-p",
            "udp",
            "--sport",
            "5",
            "--dport",
            "6",
            "--orig-zone",
            "11",
        ]);
        // What nothing refreshes; another family, with zone and mark; a protocol that 6.18 has no tracker of any more.
        insert(&[
            "-s",
            &source,
            "-d",
            "10.0.0.2",
            "-p",
            "udp",
            "--sport",
            "5",
            "--dport",
            "7",
            "-u",
            "SEEN_REPLY,ASSURED,FIXED_TIMEOUT",
        ]);
        insert(&[
            "-s",
            "fd00::1",
            "-d",
            "fd00::2",
            "-p",
            "sctp",
            "--sport",
            "9",
            "--dport",
            "10",
            "--state",
            "ESTABLISHED",
            "--orig-vtag",
            "1",
            "--reply-vtag",
            "2",
            "-w",
            "13",
            "-m",
            "0xffffffff",
        ]);
        insert(&[
            "-s", &source, "-d", "10.0.0.2", "-p", "dccp", "--sport", "3", "--dport", "4",
            "--state", "OPEN", "--role", "client",
        ]);
        insert(&[
            "-s",
            "fd00::5",
            "-d",
            "fd00::6",
            "-p",
            "icmpv6",
            "--icmpv6-type",
            "128",
            "--icmpv6-code",
            "0",
            "--icmpv6-id",
            "77",
        ]);
        insert(&[
            "-s",
            &source,
            "-d",
            "10.0.0.7",
            "-p",
            "icmp",
            "--icmp-type",
            "8",
            "--icmp-code",
            "0",
            "--icmp-id",
            "78",
        ]);
        // Translated, both ways, both families.
        insert(&[
            "-s",
            &source,
            "-d",
            "10.0.0.2",
            "-r",
            "10.0.0.8",
            "-q",
            "10.0.0.9",
            "-p",
            "tcp",
            "--sport",
            "1",
            "--dport",
            "2",
            "--reply-port-src",
            "3",
            "--reply-port-dst",
            "4",
            "--state",
            "ESTABLISHED",
        ]);
        insert(&[
            "-s",
            "fd00::1",
            "-d",
            "fd00::2",
            "-r",
            "fd00::3",
            "-q",
            "fd00::4",
            "-p",
            "udp",
            "--sport",
            "1",
            "--dport",
            "2",
            "--reply-port-src",
            "3",
            "--reply-port-dst",
            "4",
        ]);
    }
}
