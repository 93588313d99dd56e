//! Real servers and clients: nginx and dnsmasq behind a router namespace, HTTP requests and DNS queries in a rate
//! that rises and falls; tcpdump listens in the router.

use std::fs;
use std::io::{self, Error, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_ct::Time;
use plimsoll_wire::capture::Records;
use plimsoll_wire::packet::{LinkType, network_layer};

use crate::kernel::{enter, ip, remove, sweep};
use crate::occupancy::{Count, Seen};
use crate::recording::wall_clock;
use crate::trace::{Run, Trace};

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1));
/// Seconds of one rise and fall.
const WAVE: f64 = 45.0;
/// Requests and queries a second, each: the mean, and how far the rate goes from it.
const RATE: (f64, f64) = (60.0, 50.0);
/// Nanoseconds: so nearly it is known when the kernel's count was read.
const NEAR: u64 = 5_000_000;
/// Settings of the router: short, so that entries come and go while somebody watches. What is established keeps its five days: whoever is
/// open in the very millisecond of a pass moves the next one by up to two seconds.
pub const SETTINGS: &[(&str, u64)] = &[
    ("nf_conntrack_checksum", 0),
    ("nf_conntrack_tcp_timeout_syn_sent", 12),
    ("nf_conntrack_tcp_timeout_syn_recv", 12),
    ("nf_conntrack_tcp_timeout_fin_wait", 12),
    ("nf_conntrack_tcp_timeout_time_wait", 12),
    ("nf_conntrack_tcp_timeout_close_wait", 12),
    ("nf_conntrack_tcp_timeout_last_ack", 12),
    ("nf_conntrack_udp_timeout", 5),
];

/// What was captured and what the kernel counted meanwhile.
#[derive(Debug)]
pub struct Watched {
    /// The capture.
    pub capture: Vec<u8>,
    /// When the table was empty; what was captured before is to be left out.
    pub from: Time,
    /// The kernel's count, twice a second.
    pub counts: Vec<Count>,
    /// Requests and queries that were answered, and those that were not.
    pub answered: [u64; 2],
    /// When the kernel's collector ran.
    pub runs: io::Result<Vec<Run>>,
}

impl Watched {
    /// The packets since the table was empty.
    pub fn packets(&self) -> Vec<Seen> {
        let mut packets = Vec::new();
        for record in Records::new(&self.capture).map_while(Result::ok) {
            let link = LinkType::from_number(record.link);
            let packet = link.and_then(|link| network_layer(link, record.bytes).ok());
            if let (Some(time), Some(packet)) = (record.time, packet)
                && time >= self.from
            {
                packets.push((time, packet.to_vec()));
            }
        }
        packets
    }
}

/// The three namespaces, and the programs in them.
struct Network {
    names: [String; 3],
    directory: PathBuf,
    programs: Vec<Child>,
}

impl Drop for Network {
    fn drop(&mut self) {
        for program in &mut self.programs {
            // nginx's worker ends with its master only when that is asked to end.
            let _ = Command::new("kill").arg(program.id().to_string()).status();
            let _ = program.wait();
        }
        remove(&self.names);
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Lets it all run for so many seconds. The calling thread ends up in the router's namespace.
pub fn watch(seconds: u64) -> io::Result<Watched> {
    sweep()?;
    let id = std::process::id();
    let names = ["c", "r", "s"].map(|name| format!("model-{id}-real-{name}"));
    let directory = std::env::temp_dir().join(format!("plimsoll-fidelity-{id}"));
    fs::create_dir_all(&directory)?;
    let mut network = Network { names, directory, programs: Vec::new() };
    network.connect()?;
    let capture = network.serve()?;
    let client = network.names[0].clone();
    // What went before is not to be seen by either side.
    let flushed = Command::new("conntrack").arg("-F").stderr(Stdio::null()).status()?;
    if !flushed.success() {
        return Err(Error::other("conntrack -F failed"));
    }
    let trace = Trace::begin();
    let from = Time(wall_clock()? as i64);
    let start = Instant::now();
    let span = Duration::from_secs(seconds);
    let clients: Vec<_> = [ask_http as fn() -> io::Result<()>, ask_dns]
        .into_iter()
        .map(|ask| {
            let client = client.clone();
            std::thread::spawn(move || enter(&client).map(|()| keep_asking(ask, start, span)))
        })
        .collect();
    let mut counts = Vec::new();
    while start.elapsed() < span {
        let before = wall_clock()?;
        let kernel = count()?;
        let after = wall_clock()?;
        // Who was put aside meanwhile does not know when it was: once more.
        if after.abs_diff(before) <= NEAR {
            counts.push(Count { at: Time(after as i64), kernel });
            std::thread::sleep(Duration::from_millis(500));
        }
    }
    let mut answered = [0; 2];
    for client in clients {
        let told = client.join().map_err(|_| Error::other("a client panicked"))??;
        answered[0] += told[0];
        answered[1] += told[1];
    }
    drop(network.programs.pop().map(|mut tcpdump| {
        let _ = Command::new("kill").args(["-INT", &tcpdump.id().to_string()]).status();
        tcpdump.wait()
    }));
    let runs = trace.and_then(Trace::finish);
    Ok(Watched { capture: fs::read(capture)?, from, counts, answered, runs })
}

fn count() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count")?;
    text.trim().parse().map_err(Error::other)
}

impl Network {
    fn connect(&self) -> io::Result<()> {
        let [client, router, server] = &self.names;
        for name in &self.names {
            ip(&format!("netns add {name}"))?;
        }
        ip(&format!("link add c netns {client} type veth peer name rc netns {router}"))?;
        ip(&format!("link add rs netns {router} type veth peer name s netns {server}"))?;
        for (name, link, address, gateway) in [
            (client, "c", "10.1.0.1/24", Some("10.1.0.254")),
            (server, "s", "10.2.0.1/24", Some("10.2.0.254")),
            (router, "rc", "10.1.0.254/24", None),
            (router, "rs", "10.2.0.254/24", None),
        ] {
            enter(name)?;
            // Neighbours of IPv6 would talk, and be tracked.
            fs::write(format!("/proc/sys/net/ipv6/conf/{link}/disable_ipv6"), "1")?;
            ip(&format!("address add {address} dev {link}"))?;
            ip(&format!("link set {link} up"))?;
            if let Some(gateway) = gateway {
                ip(&format!("route add default via {gateway}"))?;
            }
        }
        fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
        for (name, value) in SETTINGS {
            fs::write(format!("/proc/sys/net/netfilter/{name}"), value.to_string())?;
        }
        let rules = "add table inet t; add chain inet t c { type filter hook forward priority 0; }; \
                     add rule inet t c ct state invalid counter";
        let nft = Command::new("nft").arg(rules).status()?;
        if nft.success() { Ok(()) } else { Err(Error::other("nft refused the rules")) }
    }

    /// Starts servers and tcpdump, the last of the programs; where it writes.
    fn serve(&mut self) -> io::Result<PathBuf> {
        let [_, router, server] = self.names.clone();
        let at = |name: &str| self.directory.join(name).display().to_string();
        let configuration = format!(
            "user root; daemon off; worker_processes 1; pid {}; error_log {}; events {{ worker_connections 4000; }} \
             http {{ access_log off; server {{ listen {SERVER}:80; location / {{ return 200 hello; }} }} }}",
            at("nginx.pid"),
            at("nginx.log"),
        );
        fs::write(at("nginx.conf"), configuration)?;
        // A guest has no package that made them.
        for directory in ["/var/lib/nginx", "/var/log/nginx"] {
            fs::create_dir_all(directory)?;
        }
        let capture = at("capture.pcap");
        enter(&server)?;
        let nginx = start("nginx", &["-c", &at("nginx.conf")])?;
        self.programs.push(nginx);
        let listen = format!("--listen-address={SERVER}");
        let dnsmasq = start(
            "dnsmasq",
            &[
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--pid-file=",
                "--user=root",
                "--no-resolv",
                "--no-hosts",
                "--bind-interfaces",
                "--address=/#/192.0.2.7",
                &listen,
            ],
        )?;
        self.programs.push(dnsmasq);
        enter(&router)?;
        let tcpdump = start(
            "tcpdump",
            &["-i", "rc", "-s", "96", "-B", "32768", "-U", "-Z", "root", "-w", &capture],
        )?;
        self.programs.push(tcpdump);
        let client = self.names[0].clone();
        let (file, patience) = (capture.clone(), Instant::now() + Duration::from_secs(60));
        // A thread of its own enters the client's namespace.
        let ready = std::thread::spawn(move || {
            enter(&client)?;
            // A header alone has 24 octets.
            let captured = || fs::metadata(&file).is_ok_and(|m| m.len() > 24);
            while ask_http().and_then(|()| ask_dns()).is_err() || !captured() {
                if Instant::now() > patience {
                    return Err(Error::other("nginx, dnsmasq or tcpdump does not answer"));
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        });
        ready.join().map_err(|_| Error::other("a client panicked"))??;
        Ok(capture.into())
    }
}

fn start(program: &str, arguments: &[&str]) -> io::Result<Child> {
    let command = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    command.map_err(|e| Error::new(e.kind(), format!("{program}: {e}")))
}

/// Asks at a rate that rises and falls; how often it was answered, and how often not.
fn keep_asking(ask: fn() -> io::Result<()>, start: Instant, span: Duration) -> [u64; 2] {
    let mut told = [0; 2];
    let mut due = 0.0;
    loop {
        let now = start.elapsed();
        if now >= span {
            return told;
        }
        let (mean, swing) = RATE;
        let rate = mean + swing * (now.as_secs_f64() / WAVE * std::f64::consts::TAU).sin();
        due += 1.0 / rate;
        std::thread::sleep(Duration::from_secs_f64(due).saturating_sub(now));
        told[usize::from(ask().is_err())] += 1;
    }
}

const PATIENCE: Duration = Duration::from_secs(5);

fn ask_http() -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(SERVER, 80), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if answer.ends_with(b"hello") { Ok(()) } else { Err(Error::other("not what was asked for")) }
}

fn ask_dns() -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(SocketAddr::new(SERVER, 53))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    // One question: the address of a.example.
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 7];
    query.extend_from_slice(b"example");
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    socket.send(&query)?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    if length > query.len() { Ok(()) } else { Err(Error::other("no answer in it")) }
}
