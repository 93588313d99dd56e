//! Generated flows through both sides: many at once, then, where a difference shows, each by itself and made
//! as small as the difference allows.

use std::io::{self, Error};
use std::time::Duration;

use plimsoll_ct::{Counter, Entry, Protocol, Status, ZoneDirection};
use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::compare::Difference;
use crate::frames::Planned;
use crate::run::{Pace, Pair};
use crate::scripts::{Flow, Sent, Way, flow};

/// Flows at once in the table.
const BATCH: usize = 500;
/// Flows that are made small and shown.
const SHOWN: usize = 5;
/// Attempts to make one smaller.
const STEPS: usize = 400;

/// Settings and pauses of a batch: each in turn.
#[derive(Clone, Copy)]
struct Weather {
    settings: &'static [(&'static str, u64)],
    /// Seconds (tenths) to wait after the packet of that number. No timeout, and not the two seconds after
    /// which UDP is a stream, may be near a sum of these.
    pauses: &'static [(usize, u64)],
    /// Settings that change behind the packet of that number.
    changes: &'static [(usize, &'static str, u64)],
    /// Entries expire while others come.
    expires: bool,
    /// Nothing is sent that no grid knows.
    together: bool,
}

const CALM: Weather = Weather {
    settings: &[("nf_conntrack_checksum", 1)],
    pauses: &[],
    changes: &[],
    expires: false,
    together: false,
};
/// As long as they may be, or no time at all.
const LONGEST: u64 = 8_589_934;

/// Every second batch is calm; the others take these in turn.
const WEATHERS: &[Weather] = &[
    Weather {
        settings: &[("nf_conntrack_checksum", 0), ("nf_conntrack_tcp_be_liberal", 1)],
        ..CALM
    },
    Weather {
        settings: &[
            ("nf_conntrack_checksum", 1),
            ("nf_conntrack_tcp_loose", 0),
            ("nf_conntrack_acct", 1),
            ("nf_conntrack_tcp_ignore_invalid_rst", 1),
        ],
        ..CALM
    },
    Weather {
        settings: &[
            ("nf_conntrack_checksum", 1),
            ("nf_conntrack_tcp_loose", 0),
            ("nf_conntrack_tcp_max_retrans", 0),
            ("nf_conntrack_tcp_timeout_max_retrans", 53),
            ("nf_conntrack_tcp_timeout_unacknowledged", 37),
        ],
        ..CALM
    },
    Weather {
        settings: &[("nf_conntrack_checksum", 1), ("nf_conntrack_tcp_max_retrans", 1)],
        pauses: &[(3, 26)],
        expires: true,
        ..CALM
    },
    Weather {
        settings: &[
            ("nf_conntrack_checksum", 1),
            ("nf_conntrack_acct", 1),
            ("nf_conntrack_udp_timeout", 1),
            ("nf_conntrack_udp_timeout_stream", 3),
            ("nf_conntrack_icmp_timeout", 1),
            ("nf_conntrack_icmpv6_timeout", 1),
            ("nf_conntrack_generic_timeout", 1),
            ("nf_conntrack_gre_timeout", 1),
            ("nf_conntrack_gre_timeout_stream", 3),
            ("nf_conntrack_udplite_timeout", 1),
            ("nf_conntrack_tcp_timeout_syn_sent", 1),
            ("nf_conntrack_tcp_timeout_syn_recv", 1),
            ("nf_conntrack_tcp_timeout_fin_wait", 1),
            ("nf_conntrack_tcp_timeout_time_wait", 1),
            ("nf_conntrack_tcp_timeout_close", 1),
            ("nf_conntrack_tcp_timeout_last_ack", 1),
            ("nf_conntrack_sctp_timeout_closed", 1),
            ("nf_conntrack_sctp_timeout_cookie_wait", 1),
            ("nf_conntrack_sctp_timeout_established", 1),
            ("nf_conntrack_dccp_timeout_request", 1),
            ("nf_conntrack_dccp_timeout_partopen", 1),
        ],
        pauses: &[(2, 13), (4, 13)],
        expires: true,
        ..CALM
    },
    Weather {
        settings: &[
            ("nf_conntrack_checksum", 1),
            ("nf_conntrack_udp_timeout_stream", LONGEST),
            ("nf_conntrack_icmp_timeout", LONGEST),
            ("nf_conntrack_tcp_timeout_established", LONGEST),
            ("nf_conntrack_tcp_timeout_close", LONGEST),
            ("nf_conntrack_sctp_timeout_established", LONGEST),
        ],
        changes: &[
            (0, "nf_conntrack_acct", 1),
            (1, "nf_conntrack_tcp_be_liberal", 1),
            (1, "nf_conntrack_udp_timeout", 7),
            (2, "nf_conntrack_tcp_timeout_established", 90),
            (2, "nf_conntrack_tcp_timeout_syn_recv", 17),
            (2, "nf_conntrack_tcp_loose", 0),
            (3, "nf_conntrack_acct", 0),
            (3, "nf_conntrack_gre_timeout_stream", 40),
            (3, "nf_conntrack_tcp_be_liberal", 0),
            (4, "nf_conntrack_tcp_max_retrans", 0),
            (4, "nf_conntrack_tcp_timeout_max_retrans", 33),
            (4, "nf_conntrack_generic_timeout", 55),
            (5, "nf_conntrack_checksum", 0),
            (5, "nf_conntrack_tcp_ignore_invalid_rst", 1),
            (5, "nf_conntrack_tcp_timeout_unacknowledged", 21),
            (5, "nf_conntrack_sctp_timeout_established", 66),
            (6, "nf_conntrack_acct", 1),
            (6, "nf_conntrack_tcp_loose", 1),
        ],
        ..CALM
    },
    Weather {
        settings: &[
            ("nf_conntrack_checksum", 1),
            ("nf_conntrack_udp_timeout", 0),
            ("nf_conntrack_icmp_timeout", 0),
            ("nf_conntrack_icmpv6_timeout", 0),
            ("nf_conntrack_generic_timeout", 0),
            ("nf_conntrack_gre_timeout_stream", 0),
            ("nf_conntrack_tcp_timeout_syn_sent", 0),
            ("nf_conntrack_tcp_timeout_fin_wait", 0),
            ("nf_conntrack_tcp_timeout_close", 0),
            ("nf_conntrack_sctp_timeout_closed", 0),
            ("nf_conntrack_sctp_timeout_cookie_echoed", 0),
        ],
        changes: &[
            (2, "nf_conntrack_tcp_timeout_syn_sent", 20),
            (3, "nf_conntrack_udp_timeout", 20),
        ],
        expires: true,
        ..CALM
    },
];

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Flows.
    pub flows: usize,
    /// Packets.
    pub packets: usize,
    /// Entries that both sides held at the end of their batches.
    pub entries: usize,
    /// Expectations that were met.
    pub met: u64,
    /// Entries of GRE that were expected.
    pub calls: usize,
    /// Packets that went through a grid too.
    pub in_grids: usize,
    /// Flows that differ.
    pub failed: usize,
    /// Batches that differ although none of their flows does by itself.
    pub unexplained: usize,
}

/// What makes flows of a seed.
pub(crate) fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    TestRunner::new_with_rng(Config::default(), rng)
}

/// One that a strategy makes.
pub(crate) fn tree<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> io::Result<S::Tree> {
    strategy.new_tree(runner).map_err(|e| Error::other(e.to_string()))
}

/// A flow as it is sent in a weather. Zones of one direction let entries that expired keep others out, until somebody walks
/// their chain, be it for another namespace: where flows expire they are chance. And where the number of buckets changes, the chains are turned
/// round, which tells which of two entries gets a packet.
fn now(tree: &impl ValueTree<Value = Flow>, both_ways: bool) -> Flow {
    let mut flow = tree.current();
    if both_ways {
        flow.each_zone(|zone| zone.direction = ZoneDirection::Both);
    }
    flow
}

/// A flow's packets as they are sent in a weather: where they go through a grid too, without helpers, and not from the router to itself;
/// and without policies, if those would have timeouts that the kernel's do not.
fn packets(pair: &mut Pair, mut flow: Flow, weather: &Weather) -> Vec<Sent> {
    if !weather.together {
        return flow.packets(pair.number());
    }
    flow.way = match flow.way {
        Way::Loopback => Way::V4,
        Way::LoopbackV6 => Way::V6,
        way => way,
    };
    let timeouts = weather.settings.iter().any(|(name, _)| name.contains("_timeout"));
    let mut packets = flow.packets(pair.number());
    for (_, treatment) in &mut packets {
        treatment.helper = None;
        treatment.policy = treatment.policy.filter(|_| !timeouts);
    }
    packets
}

/// `count` flows of a seed.
pub fn sample(count: usize, seed: u64) -> io::Result<Vec<Flow>> {
    let (strategy, mut runner) = (flow(), runner(seed));
    (0..count).map(|_| Ok(tree(&strategy, &mut runner)?.current())).collect()
}

/// Sends `count` flows of a seed; what differs is shown through `show`.
pub fn run(
    pair: &mut Pair,
    count: usize,
    seed: u64,
    show: &mut dyn FnMut(&str),
) -> io::Result<Outcome> {
    run_of(pair, &flow().boxed(), count, seed, show)
}

/// The same with flows of a kind.
pub fn run_of(
    pair: &mut Pair,
    strategy: &BoxedStrategy<Flow>,
    count: usize,
    seed: u64,
    show: &mut dyn FnMut(&str),
) -> io::Result<Outcome> {
    let mut runner = runner(seed);
    let mut outcome = Outcome::default();
    let mut batch = 0;
    while outcome.flows < count {
        let weather = if batch % 2 == 0 { &CALM } else { &WEATHERS[batch / 2 % WEATHERS.len()] };
        // A third of the batches, of each weather too.
        let together = batch % 3 == 0;
        let changes = if together { &[] } else { weather.changes };
        let weather = &Weather { together, changes, ..*weather };
        let mut trees = Vec::new();
        while trees.len() < BATCH.min(count - outcome.flows) {
            trees.push(tree(strategy, &mut runner)?);
        }
        // Who looks at checksums leads every packet the long way.
        let unchecked = batch / 2 % 2 == 0;
        let mut settings = weather.settings.to_vec();
        settings.retain(|(name, _)| !(together && *name == "nf_conntrack_acct"));
        for (_, value) in settings.iter_mut().filter(|(name, _)| *name == "nf_conntrack_checksum") {
            *value = if unchecked { 0 } else { *value };
        }
        pair.configure(&settings)?;
        batch += 1;
        let both_ways = weather.expires || weather.together || pair.buckets.is_some();
        let flows: Vec<_> =
            trees.iter().map(|tree| packets(pair, now(tree, both_ways), weather)).collect();
        play(pair, &flows, weather)?;
        outcome.flows += flows.len();
        outcome.packets += flows.iter().map(Vec::len).sum::<usize>();
        let before = pair.in_grids;
        let differences = pair.differences()?;
        outcome.in_grids += pair.in_grids - before;
        outcome.entries += pair.model.entries().count();
        let is_call = |entry: &Entry| {
            entry.original.protocol == Protocol::Gre && entry.status.contains(Status::EXPECTED)
        };
        outcome.calls += pair.model.entries().filter(is_call).count();
        outcome.met += pair.model.counters().get(Counter::ExpectNew).unwrap_or(0);
        if differences.is_empty() {
            continue;
        }
        let before = outcome.failed;
        let flows: Vec<Flow> = trees.iter().map(|tree| now(tree, both_ways)).collect();
        let culprits = differing(pair, &flows, 0, weather)?;
        for (_, mut tree) in (0..).zip(trees).filter(|(place, _)| culprits.contains(place)) {
            outcome.failed += 1;
            if outcome.failed > SHOWN {
                continue;
            }
            let steps = if weather.pauses.is_empty() { STEPS } else { 0 };
            for _ in 0..steps {
                if !tree.simplify() {
                    break;
                }
                let same = |pair: &mut Pair, flow| {
                    Ok::<_, Error>(differs(pair, &[flow], weather)?.is_empty())
                };
                while same(pair, now(&tree, both_ways))? && tree.complicate() {}
            }
            explain(pair, &now(&tree, both_ways), weather, show)?;
        }
        if outcome.failed == before {
            outcome.unexplained += 1;
            show("a batch differs, none of its flows by itself:");
            for difference in differences.iter().take(4) {
                show(&format!("   {difference}"));
            }
        }
    }
    Ok(outcome)
}

/// The flows' packets in turn: the first of each, then the second of each.
fn play(pair: &mut Pair, flows: &[Vec<Sent>], weather: &Weather) -> io::Result<()> {
    for step in 0..flows.iter().map(Vec::len).max().unwrap_or(0) {
        for (packet, treatment) in flows.iter().filter_map(|f| f.get(step)) {
            pair.feed(packet, treatment)?;
        }
        if let Some(buckets) = &mut pair.buckets {
            buckets.change()?;
        }
        for (_, tenths) in weather.pauses.iter().filter(|(after, _)| *after == step) {
            std::thread::sleep(Duration::from_millis(tenths * 100));
        }
        for (_, name, value) in weather.changes.iter().filter(|(after, ..)| *after == step) {
            pair.change(name, *value)?;
        }
    }
    Ok(())
}

/// The places of the flows that differ by themselves, found by halves; `from` is the place of the first.
fn differing(
    pair: &mut Pair,
    flows: &[Flow],
    from: usize,
    weather: &Weather,
) -> io::Result<Vec<usize>> {
    if differs(pair, flows, weather)?.is_empty() {
        return Ok(Vec::new());
    }
    if flows.len() == 1 {
        return Ok(vec![from]);
    }
    let half = flows.len() / 2;
    let mut found = differing(pair, &flows[..half], from, weather)?;
    found.extend(differing(pair, &flows[half..], from + half, weather)?);
    Ok(found)
}

fn differs(pair: &mut Pair, flows: &[Flow], weather: &Weather) -> io::Result<Vec<Difference>> {
    pair.reset()?;
    let packets: Vec<_> = flows.iter().map(|flow| packets(pair, flow.clone(), weather)).collect();
    play(pair, &packets, weather)?;
    pair.differences()
}

fn explain(
    pair: &mut Pair,
    flow: &Flow,
    weather: &Weather,
    show: &mut dyn FnMut(&str),
) -> io::Result<()> {
    show(&format!("--- {flow:?}"));
    for difference in differs(pair, std::slice::from_ref(flow), weather)?.iter().take(4) {
        show(&format!("   {difference}"));
    }
    let plan: Vec<_> = packets(pair, flow.clone(), weather)
        .into_iter()
        .map(|(packet, treatment)| Planned { packet, at: 0, treatment })
        .collect();
    step_by_step(pair, &plan, Pace::NONE, show)
}

/// Plays once more and shows the packet behind which the two sides differ.
pub fn step_by_step(
    pair: &mut Pair,
    plan: &[Planned],
    pace: Pace,
    show: &mut dyn FnMut(&str),
) -> io::Result<()> {
    let Some((at, differences)) = pair.first_difference(plan, pace)? else {
        show("   no difference when looked at step by step");
        return Ok(());
    };
    let packet = &plan[at].packet;
    show(&format!("packet {at} of {}: {:02x?}", plan.len(), &packet[..packet.len().min(96)]));
    if let Ok(packet) = plimsoll_wire::packet::parse_ip(packet) {
        show(&format!(
            "   {} > {} protocol {}",
            packet.source(),
            packet.destination(),
            packet.protocol
        ));
    }
    for difference in differences.iter().take(4) {
        show(&format!("   {difference}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_flows_expire_no_packet_chooses_a_zone_of_one_direction() {
        let (strategy, mut runner) = (flow(), runner(502));
        for _ in 0..2_000 {
            let tree = tree(&strategy, &mut runner).expect("a flow");
            let packets = now(&tree, true).packets(1);
            let one_way = packets.iter().find(|(_, treatment)| treatment.zone.is_one_way());
            assert!(one_way.is_none(), "{:?} {:?}", tree.current(), one_way);
        }
    }
}
