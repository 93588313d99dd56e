//! What a census costs, beside what people use now.
//!
//!     cargo bench -p plimsoll-probe --bench table -- [--entries N] [--runs N]
//!
//! First in memory: decoding and counting of a million dump messages, which needs no right. Then, as
//! root, in a network namespace of its own that is filled with N entries (200,000 unless told, never
//! above the host's limit, which is not touched): whole processes from start to exit, interleaved, medians.
//! A dump walks the table of all namespaces, so other namespaces' entries cost as well.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use plimsoll_ct::{Entry, L4, Protocol, Seconds, State, Status, TcpState, Tuple};
use plimsoll_diagnosis::facts::{CensusBuilder, Fact, Reader, TcpTimeouts};
use plimsoll_probe::table::{Budget, CensusOptions, census};
use plimsoll_wire::ctnetlink::{self, Details, Flow};

const CHILD: &str = "--census-child";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|a| a == CHILD) {
        return child();
    }
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    in_memory(1_000_000);
    if !nix::unistd::Uid::effective().is_root() {
        println!("live part skipped: making a network namespace needs root");
        return;
    }
    let limit = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max")
        .ok()
        .and_then(|text| text.trim().parse::<usize>().ok())
        .unwrap_or(65_536);
    let entries = number("--entries", 200_000).min(limit.saturating_sub(limit / 50));
    let runs = number("--runs", 5).max(1);
    let live = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
        live(entries, runs);
    });
    if live.join().is_err() {
        std::process::exit(1);
    }
}

/// Decoding and counting, without a kernel.
fn in_memory(entries: u32) {
    for (name, spread) in [("every source once", u32::MAX), ("1,000 sources", 999)] {
        let mut message = message();
        let source = [192, 0, 2, 77];
        let places: Vec<usize> =
            (0..message.len() - 4).filter(|&at| message[at..at + 4] == source).collect();
        let mut run = |count: bool| {
            let mut builder = CensusBuilder::new(Reader::Ctnetlink, TcpTimeouts::DEFAULT, 42);
            let start = Instant::now();
            for n in 0..entries {
                let address = (n.wrapping_mul(2_654_435_761) & spread).to_be_bytes();
                for &at in &places {
                    message[at..at + 4].copy_from_slice(&address);
                }
                let entry = ctnetlink::decode(&message, None).expect("our own message");
                if count {
                    builder.add(&entry);
                } else {
                    black_box(&entry);
                }
            }
            black_box(&builder);
            start.elapsed().as_nanos() as f64 / f64::from(entries)
        };
        let decode = (0..3).map(|_| run(false)).fold(f64::MAX, f64::min);
        let both = (0..3).map(|_| run(true)).fold(f64::MAX, f64::min);
        println!(
            "in memory, {entries} entries, {name}: decode {decode:.0} ns, count {:.0} ns each",
            both - decode
        );
    }
}

/// A dump reply of a typical entry.
fn message() -> Vec<u8> {
    let tuple = |source, destination, from, to| Tuple {
        source: IpAddr::V4(source),
        destination: IpAddr::V4(destination),
        protocol: Protocol::Tcp,
        l4: L4::Ports { source: from, destination: to },
    };
    let (client, server) = (Ipv4Addr::new(192, 0, 2, 77), Ipv4Addr::new(198, 51, 100, 1));
    let entry = Entry {
        expires: Some(Seconds(400_000)),
        mark: Some(0),
        id: Some(7),
        references: Some(1),
        ..Entry::new(
            tuple(client, server, 40_000, 443),
            tuple(server, client, 443, 40_000),
            State::Tcp(TcpState::Established),
            Status::SEEN_REPLY | Status::ASSURED | Status::CONFIRMED,
        )
    };
    Flow { entry, details: Details::default(), order: Vec::new() }.encode()
}

/// The census as a process of its own.
fn child() {
    let far = Duration::from_secs(600);
    let fact = census(CensusOptions {
        budget: Budget { kernel: far, wall: far },
        previous: None,
        timeouts: TcpTimeouts::DEFAULT,
        seed: 1,
        rows: 10,
        first: Reader::Ctnetlink,
    });
    let Fact::Known { value, .. } = fact else { panic!("{:?}", fact.gap()) };
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or("?").trim();
    let kernel = value.kernel_time.map_or(0.0, |t| t.0 as f64 / 1e6);
    println!("{} entries, kernel {kernel:.0} ms, peak memory {peak}", value.seen);
}

fn live(entries: usize, runs: usize) {
    shell("ip link set lo up; sysctl -qw net.netfilter.nf_conntrack_udp_timeout=3600");
    // Dropped after the entry is confirmed, so that no ICMP error comes back for each datagram.
    shell(
        "nft -f - <<'X'\n\
         table inet bench {\n\
         chain out { type filter hook output priority 0; ct state new accept; }\n\
         chain in { type filter hook input priority 0; meta l4proto udp drop; }\n}\nX",
    );
    fill(entries);
    let count = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count");
    println!("live: {} entries in the namespace", count.unwrap_or_default().trim());

    let own = std::env::current_exe().expect("this program has a path");
    let census = format!("{} {CHILD}", own.display());
    let awk = "conntrack -L 2>/dev/null | awk '{print $1, $5}' | sort | uniq -c | sort -rn | head";
    let commands = [
        ("plimsoll census, all groupings", census.as_str()),
        ("conntrack -L | wc -l", "conntrack -L 2>/dev/null | wc -l"),
        ("conntrack -L | awk | sort | uniq -c", awk),
        ("wc -l /proc/net/nf_conntrack", "wc -l < /proc/thread-self/net/nf_conntrack"),
    ];
    let mut times = vec![Vec::new(); commands.len()];
    let mut said = String::new();
    for _ in 0..runs {
        for ((_, command), times) in commands.iter().zip(&mut times) {
            let start = Instant::now();
            let output = shell(command);
            times.push(start.elapsed());
            if command.ends_with(CHILD) {
                said = output;
            }
        }
    }
    let medians: Vec<f64> = times
        .iter_mut()
        .map(|times| {
            times.sort();
            times[times.len() / 2].as_secs_f64() * 1e3
        })
        .collect();
    for ((name, _), median) in commands.iter().zip(&medians) {
        println!("{name:<40} {median:>8.0} ms   {:>5.2} x ours", median / medians[0]);
    }
    print!("ours: {said}");
}

fn fill(entries: usize) {
    let mut made = 0;
    for host in 1..=u32::MAX {
        let from = Ipv4Addr::from_bits(0x7f01_0000 + host);
        let socket = UdpSocket::bind(SocketAddrV4::new(from, 0)).expect("a loopback address");
        for port in 1..=200 {
            if made == entries {
                return;
            }
            let to = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 2), port);
            // ENOBUFS and the like: the count printed tells what there is.
            let _ = socket.send_to(b"x", to);
            made += 1;
        }
    }
}

fn shell(command: &str) -> String {
    let output = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("sh runs");
    assert!(output.status.success(), "{command}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
