//! What the readers of the table cost, beside what people type today.
//!
//!     cargo bench -p plimsoll-probe --bench entries -- [--entries N] [--runs N]
//!
//! Needs root and conntrack. In a lab namespace with N entries (1,000,000 unless told; the machine's limit is raised
//! for it and put back whatever happens): whole processes from start to exit, each grouping by state and
//! destination port, interleaved. Promises are held against the least time of each, since whatever else the machine
//! does only adds to it; medians stand beside. The two dumps by ctnetlink are compared by the clock and by the
//! processor's time, of which the promise is held against the latter: whoever else runs does not add to it.
//! Exit status 1: a promise is broken.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use plimsoll_ct::{Entries, Entry, L4, Protocol, Seconds, State, Status, TcpState, Tuple};
use plimsoll_lab::{Lab, LabError, Options};
use plimsoll_probe::entries::{self, Ask, Scope, Sink, Which};
use plimsoll_wire::ctnetlink::{self, Details, Flow};
use plimsoll_wire::netlink::{Message, Messages};
use rustix::thread::{CpuSet, sched_setaffinity};

const CHILD: &str = "--child";
const PIPELINE: &str = "conntrack -L 2>/dev/null | awk '{ s = $4 ~ /^src=/ ? \"-\" : $4; \
    for (i = 4; i <= NF; i++) if ($i ~ /^dport=/) { print s, $i; break } }' \
    | sort | uniq -c | sort -rn | head -20";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == CHILD) {
        child(&arguments[at + 1]);
        return ExitCode::SUCCESS;
    }
    if !nix::unistd::Uid::effective().is_root() {
        println!("skipped: making a network namespace needs root");
        return ExitCode::SUCCESS;
    }
    let number = |name: &str, default: u64| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let done = plimsoll_lab::install_signal_cleanup()
        .and_then(|()| all(number("--entries", 1_000_000), number("--runs", 5).max(1) as usize));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Fills, measures, judges.
fn all(entries: u64, runs: usize) -> Result<bool, LabError> {
    let limit = Some(Entries(entries + entries / 10));
    let patience = Duration::from_secs(300);
    let lab = Lab::build(&Options { limit, patience, ..Options::default() })?;
    let table = lab.server();
    let start = Instant::now();
    let made = table.insert((0..entries).map(flow))?;
    let buckets = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_buckets");
    println!(
        "{made} entries in {:.1} s, {} buckets, load {}",
        start.elapsed().as_secs_f64(),
        buckets.unwrap_or_default().trim(),
        std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim()
    );
    let own = std::env::current_exe().expect("this program has a path").display().to_string();
    let commands: Vec<(&str, String)> = vec![
        ("conntrack -L | awk | sort | uniq -c | sort | head", PIPELINE.into()),
        ("conntrack -L > /dev/null", "conntrack -L >/dev/null 2>&1".into()),
        ("bare dump", format!("{own} {CHILD} bare")),
        ("netlink", format!("{own} {CHILD} netlink")),
        ("bpf, one worker", format!("{own} {CHILD} bpf1")),
        ("bpf, two workers", format!("{own} {CHILD} bpf2")),
    ];
    let mut walls = vec![Vec::new(); commands.len()];
    let mut times = vec![Duration::MAX; commands.len()];
    let mut slices = Vec::new();
    let mut said = vec![String::new(); commands.len()];
    table.run(|| {
        for _ in 0..runs {
            for (place, (_, command)) in commands.iter().enumerate() {
                let (start, before) = (Instant::now(), time_of_children());
                said[place] = shell(command);
                walls[place].push(start.elapsed());
                times[place] = times[place].min(time_of_children().saturating_sub(before));
                slices.extend(slice_of(&said[place]));
            }
        }
    })?;
    let ms = |wall: Duration| wall.as_secs_f64() * 1e3;
    let medians: Vec<f64> = walls.iter().map(|w| ms(median(w.clone()))).collect();
    let walls: Vec<f64> =
        walls.iter().map(|w| ms(w.iter().min().copied().unwrap_or_default())).collect();
    for (place, (name, _)) in commands.iter().enumerate() {
        let (wall, middle) = (walls[place], medians[place]);
        let last = said[place].lines().last().filter(|l| l.contains("kB")).unwrap_or_default();
        let (faster, middle_faster) = (walls[0] / wall, medians[0] / middle);
        println!(
            "{name:<52}{wall:>6.0} ms {faster:>5.1} x   median {middle:>6.0} ms {middle_faster:>5.1} x   \
             {:>6.0} ms CPU   {last}",
            ms(times[place])
        );
    }
    let [pipeline, _, bare, netlink, one, two] = walls[..] else { return Ok(false) };
    let dumps = times[3].as_secs_f64() / times[2].as_secs_f64();
    let slice = median(slices);
    let mut kept = true;
    let mut hold = |what: String, held: bool| {
        println!("{} {what}", if held { "kept:  " } else { "BROKEN:" });
        kept &= held;
    };
    hold(
        format!("bpf, two workers: {:.1} times, promised 25", pipeline / two),
        pipeline / two >= 25.0,
    );
    hold(
        format!("bpf, one worker: {:.1} times, promised 18", pipeline / one),
        pipeline / one >= 18.0,
    );
    hold(format!("longest slice {slice} us in the median run, promised 1000"), slice <= 1000);
    hold(
        format!(
            "netlink: {dumps:.3} of the bare dump's processor time, promised 1.15 (by the clock {:.3}, medians {:.3})",
            netlink / bare,
            medians[3] / medians[2]
        ),
        dumps <= 1.15,
    );
    hold(
        format!("netlink: {:.2} times, promised 1.6", pipeline / netlink),
        pipeline / netlink >= 1.6,
    );
    let (idle, losses, of_loop) = table.run(flood)?;
    let at = |share: usize| losses[losses.len() * share / 100] * 1e2;
    hold(
        format!(
            "a flood of {idle:.0} packets/s loses {:.2} % while a census runs once a second, promised 2 \
             (median of {} pairs of seconds; half of them {:.2} to {:.2}; a loop that only counts, for as long: {:.2})",
            at(50),
            losses.len(),
            at(25),
            at(75),
            of_loop[of_loop.len() / 2] * 1e2
        ),
        at(50) <= 2.0,
    );
    Ok(kept)
}

/// Processor's time of all children so far.
fn time_of_children() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel counts it");
    let micros = |time: TimeVal| time.num_microseconds().unsigned_abs();
    Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
}

fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Microseconds of the longest slice, if the child told.
fn slice_of(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.strip_prefix("slice ")?.parse().ok())
}

/// Pairs of seconds, one with a census and one without.
const PAIRS: usize = 30;

/// What is done in a second beside the flood.
#[derive(Clone, Copy)]
enum Beside {
    Nothing,
    Census,
    /// A loop that only counts, for as long as a census takes: what the machine itself takes from the flood when its other
    /// processor has work, since two processors may be one core.
    Loop,
}

/// Packets a second through an established entry over the loopback with nothing beside it (the median), and the shares
/// that a census and the loop cost, of each second against the one with nothing, least first. What else the machine does
/// changes from minute to minute, and hardly within seconds; which comes first takes turns.
fn flood() -> (f64, Vec<f64>, Vec<f64>) {
    let to = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback address");
    let from = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback address");
    from.connect(to.local_addr().expect("bound")).expect("connects");
    to.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    let (stop, received) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut idle, mut losses, mut of_loop) = (Vec::new(), Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 64];
            // As packets of a real flood are handled before any program runs; and one that is not shared with what
            // else this machine does, so that the census alone makes the difference.
            let mut first = CpuSet::new();
            first.set(0);
            let _ = sched_setaffinity(None, &first);
            let _ = rustix::process::nice(-20);
            // One thread sends and receives: the packet's whole way is on one CPU, and nothing is dropped.
            while !stop.load(Relaxed) {
                for _ in 0..64 {
                    let _ = from.send(b"x");
                }
                for _ in 0..64 {
                    if to.recv(&mut buffer).is_err() {
                        break;
                    }
                    received.fetch_add(1, Relaxed);
                }
            }
        });
        let mut entries = entries::Entries::default();
        let mut long = Duration::ZERO;
        let mut window = |beside: Beside| {
            let (start, before) = (Instant::now(), received.load(Relaxed));
            match beside {
                Beside::Nothing => {}
                Beside::Census => {
                    let mut group = Groups::default();
                    let ask = Ask { which: Which::Bpf, scope: Scope::Here, ..Ask::default() };
                    entries.read(&ask, std::slice::from_mut(&mut group)).expect("a census");
                    long = start.elapsed();
                }
                Beside::Loop => {
                    let mut count = 0u64;
                    while start.elapsed() < long {
                        count = std::hint::black_box(count + 1);
                    }
                }
            }
            std::thread::sleep(Duration::from_secs(1).saturating_sub(start.elapsed()));
            (received.load(Relaxed) - before) as f64 / start.elapsed().as_secs_f64()
        };
        window(Beside::Census);
        for pair in 0..PAIRS {
            let mut order = [Beside::Nothing, Beside::Census, Beside::Loop];
            order.rotate_left(pair % 3);
            let mut rates = [0.0; 3];
            for beside in order {
                rates[beside as usize] = window(beside);
            }
            let [quiet, census, looping] = rates;
            idle.push(quiet as u64);
            losses.push(1.0 - census / quiet);
            of_loop.push(1.0 - looping / quiet);
        }
        stop.store(true, Relaxed);
    });
    losses.sort_by(f64::total_cmp);
    of_loop.sort_by(f64::total_cmp);
    (median(idle) as f64, losses, of_loop)
}

/// By state and destination port.
#[derive(Default)]
struct Groups(HashMap<(State, u16), u64, foldhash::fast::FixedState>);

impl Sink for Groups {
    fn take(&mut self, row: &Entry) -> bool {
        let port = row.original.destination_port().unwrap_or(0);
        *self.0.entry((row.state, port)).or_default() += 1;
        true
    }
}

/// One reading as a process of its own.
fn child(how: &str) {
    let (which, workers) = match how {
        "bare" => return bare(),
        "netlink" => (Which::Netlink, 1),
        "bpf1" => (Which::Bpf, 1),
        _ => (Which::Bpf, 2),
    };
    let mut sinks: Vec<Groups> = (0..workers).map(|_| Groups::default()).collect();
    let ask = Ask { which, scope: Scope::Here, ..Ask::default() };
    let outcome = entries::read(&ask, &mut sinks).expect("a reading");
    let mut all: HashMap<(State, u16), u64> = HashMap::new();
    for (key, count) in sinks.into_iter().flat_map(|groups| groups.0) {
        *all.entry(key).or_default() += count;
    }
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for ((state, port), count) in all.iter().take(20) {
        println!("{count:>7} {state} dport={port}");
    }
    if let Some(slice) = outcome.longest_slice {
        println!("slice {}", slice.0 / 1000);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or("?").trim();
    let kernel = outcome.kernel_time.map_or(0, |time| time.0 / 1_000_000);
    println!("{} rows, {kernel} ms in the kernel, {peak}", outcome.rows);
}

/// Receives a dump and throws it away: what no reader by ctnetlink can be faster than.
fn bare() {
    let fd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )
    .expect("a socket");
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).expect("binds");
    let request = ctnetlink::dump(1, &ctnetlink::Filter::default());
    send(fd.as_raw_fd(), &request, MsgFlags::empty()).expect("sends");
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty()).expect("receives");
        // Only the first message of a datagram: the end has one of its own, or stands last in a short one.
        let last = length < 16 << 10;
        let mut messages = Messages::new(&buffer[..length]);
        let ends = |m| matches!(m, Ok(Message::Done { .. }));
        let over = if last { messages.any(ends) } else { messages.next().is_some_and(ends) };
        if over {
            return;
        }
    }
}

/// The mixture: 40 % unanswered handshakes, 30 % connections, 5 % closing, 15 % UDP, 5 % ICMP, 5 % IPv6.
fn flow(n: u64) -> Flow {
    let scattered = (n as u32).wrapping_mul(2_654_435_761);
    let source = Ipv4Addr::from_bits(0x0b00_0000 | scattered >> 8);
    let server = Ipv4Addr::new(10, 0, 0, (n % 7) as u8);
    let port = [443, 80, 5432, 6379, 8080, 22, 53, 3306][(scattered >> 3) as usize % 8];
    let from = 1024 + (scattered % 60_000) as u16;
    let seen = Status::SEEN_REPLY | Status::ASSURED;
    let (protocol, state, status) = match n % 20 {
        0..8 => (Protocol::Tcp, State::Tcp(TcpState::SynSent), Status::empty()),
        8..14 => (Protocol::Tcp, State::Tcp(TcpState::Established), seen),
        14 => (Protocol::Tcp, State::Tcp(TcpState::FinWait), seen),
        15..18 => (Protocol::Udp, State::Stateless, Status::SEEN_REPLY),
        18 => (Protocol::Icmp, State::Stateless, Status::SEEN_REPLY),
        _ => (Protocol::Tcp, State::Tcp(TcpState::Established), seen),
    };
    let there = match protocol {
        Protocol::Icmp => L4::Icmp { kind: 8, code: 0, id: from },
        _ => L4::Ports { source: from, destination: port },
    };
    let back = match protocol {
        Protocol::Icmp => L4::Icmp { kind: 0, code: 0, id: from },
        _ => L4::Ports { source: port, destination: from },
    };
    let address = |v4: Ipv4Addr| match n % 20 {
        19 => IpAddr::V6(Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(v4.to_bits()))),
        _ => IpAddr::V4(v4),
    };
    let (client, server) = (address(source), address(server));
    let tuple = |source, destination, l4| Tuple { source, destination, protocol, l4 };
    let (there, back) = (tuple(client, server, there), tuple(server, client, back));
    let entry = Entry {
        expires: Some(Seconds(7_200)),
        mark: Some((n % 2) as u32),
        ..Entry::new(there, back, state, status | Status::CONFIRMED)
    };
    Flow { entry, details: Details::default(), order: Vec::new() }
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
