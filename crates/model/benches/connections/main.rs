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

mod baseline;
mod floor;
mod footprint;
#[path = "../../../plimsoll/src/memory.rs"]
mod memory;
mod round;

use std::hash::BuildHasher as _;
use std::hint::black_box;
use std::time::Duration;

use plimsoll_ct::Time;
use plimsoll_model::{Model, Treatment};
use plimsoll_wire::packet::parse_ip;

use baseline::Baseline;
use floor::Floor;
use footprint::{footprint, resident};
use round::{ROUND, Round, empty};

#[global_allocator]
static MEMORY: memory::Memory = memory::Memory::new();

const ROUNDS: usize = 5;

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

/// CPU time of this process.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
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
    let portions = round::portions(connections);
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
    // The allocator has touched this memory before. So few packets are over before the processor knows their way: several times then.
    let rounds = if connections < 1_000_000 { ROUNDS } else { 1 };
    let mut warm = |_| {
        let (mut again, _) = empty(connections);
        let each = portions.iter().map(|&(from, to)| {
            let round = Round::opening(from, to);
            let (nanos, bad) = timed(|| round.feed(&mut again));
            wrong += bad;
            nanos
        });
        per(each.sum(), all)
    };
    let warm = median((0..rounds).map(&mut warm).collect());
    println!("  new, memory used before{warm:7.1}   promised 120.0");
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

/// Number and contents of all entries, and all counters, as one number.
fn digest(model: &Model) -> (usize, u64, String) {
    let hasher = foldhash::fast::FixedState::default();
    let mut sum = 0_u64;
    let mut count = 0;
    for entry in model.entries() {
        sum = sum.wrapping_add(hasher.hash_one(entry));
        count += 1;
    }
    (count, sum, format!("{:?}", model.counters()))
}
