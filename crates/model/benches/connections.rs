//! What a packet costs, and what an entry: `cargo bench -p plimsoll-model [-- CONNECTIONS…]`.
//!
//! Opens that many TCP connections over IPv4 (by default a thousand, a million and ten million), completes
//! their handshakes, then sends acknowledgements and octets in both directions over connections picked
//! uniformly at random: the worst case for caches. Packets are parsed from their bytes. Beside it, in turn,
//! the baseline: two keys of each connection in hashbrown's map (foldhash), the entries in a slab, and the same
//! tracker of TCP. And the floor: what the machine takes for no more than touching two lines of memory for each
//! packet, picked at random and asked for 32 packets ahead, so that a reader can tell the machine from the engine.
//! Memory comes as in `plimsoll` itself: big tables lie in huge pages where the kernel gives them to those who ask.
//! Times are those of this process's CPU clock, medians of rounds; memory is what the resident
//! set grew by. Every packet's class is checked against what it must be, and the final table entry by
//! entry against the one that packets fed one at a time make: a fast wrong answer fails.

#[path = "../../plimsoll/src/memory.rs"]
mod memory;

use std::hash::BuildHasher as _;
use std::hint::black_box;
use std::time::Duration;

use hashbrown::HashMap;
use plimsoll_ct::{Bytes, Profile, Status, Time};
use plimsoll_model::{
    Arrival, Config, Direction, EntryView, Flags, Info, Model, Outcome, Segment, Sequence,
    Settings, Tcp, Treatment,
};
use plimsoll_wire::packet::{Packet, Transport, parse_ip, parse_transport};

#[global_allocator]
static MEMORY: memory::Memory = memory::Memory::new();

const SYN: u8 = 2;
const ACK: u8 = 16;
const ROUNDS: usize = 5;
/// Packets of one round of random ones.
const ROUND: usize = 2_000_000;
/// Packets that go through the model together.
const AT_ONCE: usize = 128;
/// Octets of a packet in memory.
const STEP: usize = 40;

fn main() {
    let asked: Vec<u32> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    println!("CPU ns of one packet, median of {ROUNDS} rounds; MB are 10^6 octets");
    if asked.is_empty() {
        // While no memory is there yet that could be used again: each keeps what it took.
        let of = |what: &str, protocol, v6, most: f64| {
            let (octets, model) = footprint(1_000_000, protocol, v6);
            println!("{what:>14} {octets:6.1} octets an entry (at most {most})");
            assert!(octets <= most, "too much memory");
            model
        };
        let tcp = [of("TCP over IPv4", 6, false, 96.0), of("TCP over IPv6", 6, true, 128.0)];
        drop((tcp, of("UDP", 17, false, 64.0), of("ICMP", 1, false, 64.0)));
    }
    let sizes = if asked.is_empty() { vec![1_000, 1_000_000, 10_000_000] } else { asked };
    for connections in sizes {
        tcp(connections);
    }
}

/// Addresses, ports, protocol.
type Tuple = (u32, u32, u16, u16, u8);

/// The same tracker on the table that one would write first.
#[derive(Default)]
struct Baseline {
    index: HashMap<Tuple, (u32, Direction)>,
    slab: Vec<(Tcp, Status, u64)>,
}

impl Baseline {
    fn packet(&mut self, packet: &Packet<'_>, settings: &Settings, now: u64) -> Info {
        let transport = parse_transport(packet.protocol, packet.payload, packet.payload_length);
        let (std::net::IpAddr::V4(from), std::net::IpAddr::V4(to), Some(Transport::Tcp { .. })) =
            (packet.source(), packet.destination(), &transport)
        else {
            return Info::Invalid;
        };
        let Some(Transport::Tcp { source, destination, seq, ack, flags, window, payload, options }) =
            transport
        else {
            return Info::Invalid;
        };
        let segment = Segment {
            seq: Sequence(seq),
            ack: Sequence(ack),
            window,
            flags: Flags(flags),
            payload,
            has_options: options.present,
            window_scale: options.window_scale,
            sack_permitted: options.sack_permitted,
            sack_edge: options.sack_edge.map(Sequence),
        };
        let key = (from.to_bits(), to.to_bits(), source, destination, 6);
        let (at, direction) = match self.index.get(&key) {
            Some(&found) => found,
            None => {
                let Some(tcp) = Tcp::open(&segment, &settings.tcp) else { return Info::Invalid };
                let at = self.slab.len() as u32;
                self.slab.push((tcp, Status::CONFIRMED, 0));
                self.index.insert(key, (at, Direction::Original));
                let back = (to.to_bits(), from.to_bits(), destination, source, 6);
                self.index.insert(back, (at, Direction::Reply));
                (at, Direction::Original)
            }
        };
        let (tcp, status, expires) = &mut self.slab[at as usize];
        let replied = status.contains(Status::SEEN_REPLY);
        let view = EntryView { assured: status.contains(Status::ASSURED), replied };
        match tcp.judge(direction, &segment, view, &settings.tcp, &settings.tcp_timeouts) {
            Outcome::Refresh { timeout, assure, .. } => {
                *expires = now + u64::from(settings.ticks(timeout));
                if assure {
                    *status |= Status::ASSURED;
                }
            }
            Outcome::Ignore => {}
            Outcome::Invalid { .. } | Outcome::Reopen | Outcome::Delete => return Info::Invalid,
        }
        match (direction, replied) {
            (Direction::Reply, _) => {
                *status |= Status::SEEN_REPLY;
                Info::EstablishedReply
            }
            (Direction::Original, true) => Info::Established,
            (Direction::Original, false) => Info::New,
        }
    }
}

/// A packet's bytes, and what conntrack must make of it.
fn segment(n: u32, reply: bool, flags: u8, numbers: (u32, u32), window: u16) -> [u8; STEP] {
    let (address, port) = (0x0a00_0000 + n / 28_000, 1024 + (n % 28_000) as u16);
    let server = 0xc0a8_0000 + n % 64;
    let (source, destination) = if reply { (server, address) } else { (address, server) };
    let ports = if reply { (443, port) } else { (port, 443) };
    let mut p = [0; STEP];
    p[0] = 0x45;
    p[3] = 40;
    p[8] = 64;
    p[9] = 6;
    p[12..16].copy_from_slice(&source.to_be_bytes());
    p[16..20].copy_from_slice(&destination.to_be_bytes());
    p[20..22].copy_from_slice(&u16::to_be_bytes(ports.0));
    p[22..24].copy_from_slice(&u16::to_be_bytes(ports.1));
    p[24..28].copy_from_slice(&numbers.0.to_be_bytes());
    p[28..32].copy_from_slice(&numbers.1.to_be_bytes());
    p[32] = 0x50;
    p[33] = flags;
    p[34..36].copy_from_slice(&window.to_be_bytes());
    p
}

/// Packets of one round, made before the clock runs.
#[derive(Default)]
struct Round {
    bytes: Vec<[u8; STEP]>,
    expected: Vec<Info>,
}

impl Round {
    fn of(packets: impl Iterator<Item = ([u8; STEP], Info)>) -> Self {
        let (bytes, expected) = packets.unzip();
        Self { bytes, expected }
    }

    /// The first packets of some connections.
    fn opening(from: u32, to: u32) -> Self {
        Self::of((from..to).map(|n| (segment(n, false, SYN, (1, 0), 60_000), Info::New)))
    }

    /// The rest of their handshakes.
    fn handshakes(from: u32, to: u32) -> Self {
        Self::of((from..to).flat_map(|n| {
            [
                (segment(n, true, SYN | ACK, (1, 2), 60_000), Info::EstablishedReply),
                (segment(n, false, ACK, (2, 2), 60_000), Info::Established),
            ]
        }))
    }

    /// Acknowledgements on connections picked at random; no two of them are repetitions.
    fn random(connections: u32, chance: &mut u64) -> Self {
        Self::of((0..ROUND as u32).map(|i| {
            *chance =
                chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let n = (((*chance >> 32) * u64::from(connections)) >> 32) as u32;
            let reply = *chance & (1 << 20) != 0;
            let expected = if reply { Info::EstablishedReply } else { Info::Established };
            (segment(n, reply, ACK, (2, 2), 50_000 + (i % 1000) as u16), expected)
        }))
    }

    /// Through the model; how many steps were wrong.
    fn feed(&self, model: &mut Model) -> usize {
        let mut wrong = 0;
        let mut expected = self.expected.iter();
        let mut some = Vec::with_capacity(AT_ONCE);
        for bytes in self.bytes.chunks(AT_ONCE) {
            some.clear();
            some.extend(bytes.iter().map(|bytes| {
                let packet = parse_ip(bytes).expect("a whole header");
                Arrival { at: Time(1_000_000_000), packet, treatment: Treatment::default() }
            }));
            model.batch(&some, |_, _, step| {
                wrong += usize::from(expected.next() != Some(&step.info));
            });
        }
        wrong
    }

    fn feed_baseline(&self, baseline: &mut Baseline, settings: &Settings) -> usize {
        let mut wrong = 0;
        for (bytes, expected) in self.bytes.iter().zip(&self.expected) {
            let packet = parse_ip(bytes).expect("a whole header");
            wrong += usize::from(baseline.packet(&packet, settings, 250) != *expected);
        }
        wrong
    }
}

/// CPU time of this process.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Resident octets.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) * 1024.0
}

fn timed(work: impl FnOnce() -> usize) -> (f64, usize) {
    let began = cpu();
    let wrong = work();
    ((cpu() - began).as_nanos() as f64, wrong)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn empty(connections: u32) -> (Model, Settings) {
    let profile = Profile::named("6.18").expect("a known profile");
    let mut settings = Settings::of(profile, Bytes(8 << 30));
    settings.max = u64::from(connections) + 1;
    settings.buckets = u64::from(connections).next_multiple_of(512);
    (Model::new(Config::new(profile, settings.clone())), settings)
}

fn tcp(connections: u32) {
    let name = if connections >= 1_000_000 {
        format!("{} million TCP connections", connections / 1_000_000)
    } else {
        format!("{connections} TCP connections")
    };
    println!("{name}");
    let mut wrong = 0;
    let (mut model, settings) = empty(connections);
    // The collector comes no more.
    model.collect(Time(1_000_000_000));
    let per = |nanos: f64, packets: f64| nanos / packets;
    let all = f64::from(connections);
    // In portions, so that the packets take little memory beside.
    let portions: Vec<(u32, u32)> = (0..connections)
        .step_by(1 << 16)
        .map(|from| (from, (from + (1 << 16)).min(connections)))
        .collect();
    let mut fill = |model: &mut Model, make: fn(u32, u32) -> Round| {
        portions.iter().fold(0.0, |sum, &(from, to)| {
            let (nanos, bad) = {
                let round = make(from, to);
                timed(|| round.feed(model))
            };
            wrong += bad;
            sum + nanos
        })
    };
    let before = resident();
    let cold = fill(&mut model, Round::opening);
    let order = fill(&mut model, Round::handshakes);
    let held = resident() - before;
    let mut baseline = Baseline::default();
    let mut new = 0.0;
    for &(from, to) in &portions {
        let opening = Round::opening(from, to);
        let (nanos, bad) = timed(|| opening.feed_baseline(&mut baseline, &settings));
        let more = Round::handshakes(from, to).feed_baseline(&mut baseline, &settings);
        (new, wrong) = (new + nanos, wrong + bad + more);
    }
    let mut chance = u64::from(connections);
    let (mut ours, mut theirs, mut least) = (Vec::new(), Vec::new(), Vec::new());
    let mut floor = Floor::of(connections, &mut chance.clone());
    for _ in 0..ROUNDS {
        let round = Round::random(connections, &mut chance);
        let (nanos, bad) = timed(|| round.feed(&mut model));
        let (others, more) = timed(|| round.feed_baseline(&mut baseline, &settings));
        ours.push(per(nanos, ROUND as f64));
        theirs.push(per(others, ROUND as f64));
        least.push(per(timed(|| floor.touch(ROUND)).0, ROUND as f64));
        wrong += bad + more;
    }
    let (ours, theirs, least) = (median(ours), median(theirs), median(least));
    // Promised for the machine on which the baseline takes 131 and 184 ns, the floor about 26.
    let promised = match connections {
        0..1_000_000 => "",
        1_000_000..10_000_000 => "   promised 60.0, ratio 0.50",
        10_000_000.. => "   promised 70.0, ratio 0.40",
    };
    println!(
        "  random, established    {ours:7.1}   baseline {theirs:7.1}   ratio {:.2}   floor {least:5.1}{promised}",
        ours / theirs
    );
    println!("  rest of a handshake    {:7.1}", per(order, 2.0 * all));
    if connections == 10_000_000 {
        let held = held / f64::from(1 << 30);
        println!("  memory, all in         {held:7.2} GiB   promised 1.2");
    }
    println!(
        "  new, memory untouched  {:7.1}   baseline {:7.1}   ratio {:.2}",
        per(cold, all),
        per(new, all),
        cold / new
    );
    drop((baseline, floor));
    let mut census = |model: &Model| {
        let rounds = (0..ROUNDS).map(|_| {
            timed(|| {
                let seen = model.occupancy();
                usize::from(seen.protected != u64::from(connections))
            })
        });
        let times = rounds.map(|(nanos, bad)| {
            wrong += bad;
            nanos / all
        });
        median(times.collect())
    };
    let fresh = census(&model);
    let sum = digest(&model);
    // Behind the timeout of a SYN, by which an entry began: each may have expired, and is looked at.
    model.advance(Time(250_000_000_000));
    let looked_at = census(&model);
    println!("  census, an entry       {fresh:7.1}   looked at {looked_at:.1}   promised 10.0");
    drop(model);
    // The allocator has touched this memory before.
    let (mut again, _) = empty(connections);
    let mut warm = 0.0;
    for &(from, to) in &portions {
        let round = Round::opening(from, to);
        let (nanos, bad) = timed(|| round.feed(&mut again));
        (warm, wrong) = (warm + nanos, wrong + bad);
    }
    println!("  new, memory used before{:7.1}   promised 120.0", per(warm, all));
    drop(again);
    // The exact path: the same packets, one at a time.
    let (mut single, _) = empty(connections);
    let one = |round: Round, single: &mut Model| {
        for bytes in &round.bytes {
            let packet = parse_ip(bytes).expect("a whole header");
            black_box(single.packet(Time(1_000_000_000), &packet, &Treatment::default()));
        }
    };
    for make in [Round::opening as fn(u32, u32) -> Round, Round::handshakes] {
        for &(from, to) in &portions {
            one(make(from, to), &mut single);
        }
    }
    let mut chance = u64::from(connections);
    for _ in 0..ROUNDS {
        one(Round::random(connections, &mut chance), &mut single);
    }
    assert_eq!(wrong, 0, "steps of the wrong class");
    assert_eq!(digest(&single), sum, "the batches made another table than single packets do");
}

/// Memory laid out as the least that a table needs: lines that hold the numbers of entries, and the entries.
struct Floor {
    lines: Vec<[u32; 16]>,
    entries: Vec<[u64; 8]>,
    chance: u64,
}

impl Floor {
    fn of(connections: u32, chance: &mut u64) -> Self {
        let mut lines = vec![[0; 16]; connections.div_ceil(9) as usize];
        for id in lines.iter_mut().flatten() {
            *id = draw(chance, connections.into()) as u32;
        }
        Self { lines, entries: vec![[0; 8]; connections as usize], chance: *chance }
    }

    /// For so many packets a line, the entry that it names, and a change there.
    fn touch(&mut self, packets: usize) -> usize {
        let Self { lines, entries, chance } = self;
        let mut places = [0; 32];
        for _ in 0..packets / 32 {
            for place in &mut places {
                *place = draw(chance, lines.len() as u64) as usize;
                prefetch(&lines[*place]);
            }
            for place in &mut places {
                *place = lines[*place][*place % 16] as usize;
                prefetch(&entries[*place]);
            }
            for place in places {
                let entry = &mut entries[place];
                entry[7] = entry[7].wrapping_add(entry[0] ^ 1);
            }
        }
        black_box(entries.len()) - entries.len()
    }
}

fn draw(chance: &mut u64, below: u64) -> u64 {
    *chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
    ((*chance >> 32) * below) >> 32
}

#[inline(always)]
fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of every x86-64, and a prefetch of a reference's address can't fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(place).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Number and contents of all entries, and all counters, as one number.
fn digest(model: &Model) -> (usize, u64, String) {
    let hasher = foldhash::fast::FixedState::default();
    let mut sum = 0_u64;
    let mut count = 0;
    for entry in model.entries() {
        sum = sum.wrapping_add(hasher.hash_one(&entry));
        count += 1;
    }
    (count, sum, format!("{:?}", model.counters()))
}

/// Octets that an entry takes, all in; of TCP with its handshake behind it.
fn footprint(entries: u32, protocol: u8, v6: bool) -> (f64, Model) {
    let before = resident();
    let (mut model, _) = empty(entries);
    let ways: &[(bool, u8)] = match protocol {
        6 => &[(false, SYN), (true, SYN | ACK), (false, ACK)],
        _ => &[(false, 0)],
    };
    let mut held = 0;
    for &(reply, flags) in ways {
        held = 0;
        for n in 0..entries {
            let (bytes, length) = small(n, protocol, v6, reply, flags);
            let packet = parse_ip(&bytes[..length]).expect("a whole header");
            let step = model.packet(Time(0), &packet, &Treatment::default());
            held += u32::from(step.entry.is_some());
        }
    }
    assert_eq!((held, model.counted()), (entries, entries as usize));
    ((resident() - before) / f64::from(entries), model)
}

/// A packet of the `n`th flow, and its octets.
fn small(n: u32, protocol: u8, v6: bool, reply: bool, flags: u8) -> ([u8; 60], usize) {
    let mut p = [0_u8; 60];
    let (own, other) = (0x0a00_0000 + n, 0xc0a8_0001_u32);
    let (source, destination) = if reply { (other, own) } else { (own, other) };
    let at = if v6 { 40 } else { 20 };
    if v6 {
        (p[0], p[5], p[6]) = (0x60, 20, protocol);
        p[8..12].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        p[20..24].copy_from_slice(&source.to_be_bytes());
        p[24..28].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        p[36..40].copy_from_slice(&destination.to_be_bytes());
    } else {
        (p[0], p[3], p[9]) = (0x45, 40, protocol);
        p[12..16].copy_from_slice(&source.to_be_bytes());
        p[16..20].copy_from_slice(&destination.to_be_bytes());
    }
    let header = &mut p[at..];
    match protocol {
        1 => header[0] = 8,
        17 => header[..6].copy_from_slice(&[16, 0, 0, 53, 0, 20]),
        _ => {
            header[..4].copy_from_slice(if reply { &[1, 187, 16, 0] } else { &[16, 0, 1, 187] });
            let acked = u8::from(flags & ACK != 0);
            // Numbers as a handshake has them: 0, then one more for each SYN.
            (header[7], header[11]) = (u8::from(flags == ACK), acked);
            (header[12], header[13], header[14]) = (0x50, flags, 255);
        }
    }
    (p, at + 20)
}
