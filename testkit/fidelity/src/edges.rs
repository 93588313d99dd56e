//! Packets at the very tick at which their entry expires, at those before it and behind it; and at that at which a UDP flow
//! becomes a stream.
//!
//! The counter of ticks is read before and behind each packet. Where both are the same, the packet's tick is known, and all is compared:
//! whether its entry was still there, which its counts tell, and the seconds left to it, to the tick of the listing. A flow with a packet of which it is not known is left
//! out, and counted.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use plimsoll_ct::{Entry, Time, ZoneDirection};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use crate::compare::{self, Difference};
use crate::generated;
use crate::jiffies::Jiffies;
use crate::run::{Clock, Pair};
use crate::scripts::rare::RARE;
use crate::scripts::{Flow, Sent, flow};

/// Flows at once.
const BATCH: usize = 100;
/// Flows that are shown.
const SHOWN: usize = 5;
/// Flows begin within so many ticks.
const SPREAD: u64 = 1500;
/// Of a tick, what is left of it when nothing more is sent.
const MARGIN: Duration = Duration::from_micros(400);

/// A pause: behind the packet of this place, seconds since the one before it (or since the flow's first), ticks more or less.
#[derive(Debug, Clone, Copy)]
struct Gap {
    place: usize,
    seconds: u8,
    ticks: i8,
    since_first: bool,
}

/// A flow, and when its packets are sent.
#[derive(Debug, Clone)]
struct Timed {
    flow: Flow,
    begins: u64,
    gaps: Vec<Gap>,
}

fn timed() -> impl Strategy<Value = Timed> {
    let kinds = RARE.iter().filter(|(name, _)| !matches!(*name, "ftp" | "pptp"));
    let rare = proptest::strategy::Union::new(kinds.map(|(_, flows)| flows()));
    let flows = prop_oneof![2 => flow().boxed(), 1 => rare.boxed()];
    let gap = (0usize..6, 1u8..4, -3i8..4, proptest::bool::weighted(0.2)).prop_map(
        |(place, seconds, ticks, since_first)| Gap { place, seconds, ticks, since_first },
    );
    (flows, 0..SPREAD, vec(gap, 1..4)).prop_map(|(flow, begins, gaps)| Timed {
        flow: tame(flow),
        begins,
        gaps,
    })
}

/// Without what is chance where entries expire: what helpers expect goes when somebody comes by, and so does what keeps others out
/// in a zone of one direction.
fn tame(mut flow: Flow) -> Flow {
    flow.steps.retain(|step| !step.is_helped());
    flow.each_zone(|zone| zone.direction = ZoneDirection::Both);
    flow
}

/// Timeouts that a batch has, by their names; of each name that begins so, in seconds.
const TIMEOUTS: [[u64; 3]; 4] = [[1, 1, 1], [2, 2, 2], [1, 2, 3], [3, 1, 2]];

/// All timeouts of the running kernel, with the seconds of a row in turn.
fn settings(row: [u64; 3]) -> io::Result<Vec<(String, u64)>> {
    let mut names: Vec<String> = std::fs::read_dir("/proc/sys/net/netfilter")?
        .filter_map(|name| name.ok()?.file_name().into_string().ok())
        // Those of flow tables have another beginning.
        .filter(|name| name.starts_with("nf_conntrack_") && name.contains("_timeout"))
        .filter(|name| !name.contains("frag6"))
        .collect();
    names.sort();
    let seconds = row.iter().cycle();
    let mut settings: Vec<_> = names.into_iter().zip(seconds.copied()).collect();
    settings.push(("nf_conntrack_acct".into(), 1));
    settings.push(("nf_conntrack_checksum".into(), 1));
    Ok(settings)
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Flows.
    pub flows: usize,
    /// Packets.
    pub packets: usize,
    /// Packets that came whole seconds behind another, from three ticks less to three more, of known ticks.
    pub near: [usize; 7],
    /// Flows of which a packet's tick is not known.
    pub unknown: usize,
    /// Flows that differ.
    pub failed: usize,
}

/// A flow under way.
struct Under {
    client: IpAddr,
    packets: Vec<Sent>,
    gaps: Vec<Gap>,
    /// The ticks of those that were sent.
    sent: Vec<u64>,
    /// The end of the whole seconds behind which the next one comes.
    aim: Option<u64>,
    /// Each tick is known.
    known: bool,
    /// Nothing differed yet.
    same: bool,
}

/// Ticks, and when the present one began.
pub(crate) struct Ticks {
    counter: Jiffies,
    /// The present one, when it was seen first, and whether that was its beginning.
    seen: (u64, Instant),
    length: Duration,
}

impl Ticks {
    pub(crate) fn new() -> io::Result<Self> {
        let length = Duration::from_secs(1) / Clock::default().hz();
        let mut counter = Jiffies::new()?;
        let seen = (counter.now()?, Instant::now());
        Ok(Self { counter, seen, length })
    }

    /// The time that a tick is for the model.
    pub(crate) fn time(&self, tick: u64) -> Time {
        Time(tick as i64 * self.length.as_nanos() as i64)
    }

    pub(crate) fn now(&mut self) -> io::Result<u64> {
        let now = self.counter.now()?;
        if now != self.seen.0 {
            self.seen = (now, Instant::now());
        }
        Ok(now)
    }

    /// Waits for a tick, and not for its end.
    pub(crate) fn wait(&mut self, due: u64) -> io::Result<u64> {
        loop {
            let now = self.now()?;
            if due > now + 2 {
                std::thread::sleep(self.length * (due - now - 2) as u32);
                continue;
            }
            if now >= due && self.seen.1.elapsed() + MARGIN < self.length {
                return Ok(now);
            }
        }
    }

    /// Both tables now: the kernel's, the model's before it was listed, and behind that.
    pub(crate) fn listed(&mut self, pair: &mut Pair) -> io::Result<[Vec<Entry>; 3]> {
        let now = self.now()?;
        pair.model.advance(self.time(now));
        let before = pair.model.snapshot();
        let kernel = pair.kernel.entries()?;
        let now = self.now()?;
        pair.model.advance(self.time(now));
        Ok([kernel, before, pair.model.snapshot()])
    }
}

/// What differs of a client's entries.
pub(crate) fn differences(tables: &[Vec<Entry>; 3], client: IpAddr) -> Vec<Difference> {
    let own = |e: &&Entry| e.original.source == client || e.original.destination == client;
    let [kernel, before, after] =
        tables.each_ref().map(|table| table.iter().filter(own).cloned().collect::<Vec<_>>());
    compare::between(&kernel, &before, &after)
}

/// Sends `count` flows of a seed; what differs is shown through `show`.
pub fn run(
    pair: &mut Pair,
    count: usize,
    seed: u64,
    show: &mut dyn FnMut(&str),
) -> io::Result<Outcome> {
    let (strategy, mut runner) = (timed(), generated::runner(seed));
    let mut ticks = Ticks::new()?;
    let mut outcome = Outcome::default();
    for row in TIMEOUTS.iter().cycle() {
        if outcome.flows >= count {
            break;
        }
        let settings = settings(*row)?;
        let settings: Vec<_> =
            settings.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        pair.configure(&settings)?;
        let mut flows = Vec::new();
        while flows.len() < BATCH.min(count - outcome.flows) {
            flows.push(generated::tree(&strategy, &mut runner)?.current());
        }
        batch(pair, &mut ticks, &flows, &mut outcome, show)?;
    }
    Ok(outcome)
}

fn batch(
    pair: &mut Pair,
    ticks: &mut Ticks,
    flows: &[Timed],
    outcome: &mut Outcome,
    show: &mut dyn FnMut(&str),
) -> io::Result<()> {
    let second = u64::from(Clock::default().hz());
    let begin = ticks.now()? + 5;
    let mut under: Vec<Under> = flows
        .iter()
        .map(|Timed { flow, gaps, .. }| {
            let n = pair.number();
            let (packets, mut gaps) = (flow.packets(n), gaps.clone());
            // No gap is behind the last packet.
            gaps.iter_mut().for_each(|gap| gap.place %= packets.len().saturating_sub(1).max(1));
            let client = flow.client(n);
            Under { client, packets, gaps, sent: vec![], aim: None, known: true, same: true }
        })
        .collect();
    let mut due: BinaryHeap<_> =
        (0..).zip(flows).map(|(place, timed)| Reverse((begin + timed.begins, place))).collect();
    while let Some(Reverse((at, place))) = due.pop() {
        let flow: &mut Under = &mut under[place];
        let number = flow.sent.len();
        let Some((packet, treatment)) = flow.packets.get(number) else { continue };
        let treatment = pair.kernel.able(treatment);
        let before = ticks.wait(at)?;
        pair.kernel.send(packet, &treatment)?;
        let after = ticks.now()?;
        flow.known &= before == after;
        pair.tell(ticks.time(after), packet, &treatment);
        outcome.packets += 1;
        flow.sent.push(after);
        let aim = flow.aim.take();
        let next = flow.gaps.iter().find(|gap| gap.place == number).map_or(after, |gap| {
            let from = if gap.since_first { flow.sent[0] } else { after };
            let aim = from + u64::from(gap.seconds) * second;
            flow.aim = Some(aim);
            aim.saturating_add_signed(gap.ticks.into()).max(after)
        });
        due.push(Reverse((next, place)));
        let last = flow.sent.len() == flow.packets.len();
        if flow.known && flow.same && (aim.is_some() || last) {
            let late = aim.and_then(|aim| usize::try_from((after + 3).checked_sub(aim)?).ok());
            if let Some(near) = late.and_then(|late| outcome.near.get_mut(late)) {
                *near += 1;
            }
            let differences = differences(&ticks.listed(pair)?, flow.client);
            flow.same = differences.is_empty();
            if !flow.same && under.iter().filter(|flow| !flow.same).count() <= SHOWN {
                let Under { sent, .. } = &under[place];
                let passed: Vec<_> = sent.iter().map(|sent| sent - begin).collect();
                show(&format!("--- {:?}, at the ticks {passed:?}", flows[place].flow));
                differences.iter().for_each(|difference| show(&format!("   {difference}")));
            }
        }
    }
    outcome.flows += under.len();
    outcome.unknown += under.iter().filter(|flow| !flow.known && flow.same).count();
    outcome.failed += under.iter().filter(|flow| !flow.same).count();
    Ok(())
}
