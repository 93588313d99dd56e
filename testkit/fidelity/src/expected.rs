//! Flows that helpers expect, about the time at which they are waited for no longer.
//!
//! What is expected waits by a timer of the kernel's wheel, which rings late: as [`crate::edges`], this reads the counter of ticks
//! before and behind each packet, and leaves out a flow with a packet whose tick is not known, or is the one in which the timer rings. The last packet of a flow comes when its
//! span is over, when the timer rings, between the two, or a little before or behind.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::IpAddr;

use plimsoll_ct::{Entry, Status};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use crate::compare;
use crate::edges::{self, Ticks};
use crate::generated;
use crate::run::{Clock, Pair};
use crate::scripts::{Flow, Ftp, Pptp, Sent, Step, Way};

/// Seconds that FTP's and PPTP's expectations wait.
const PATIENCE: u64 = 300;
/// Ticks between two moments that the level of the wheel knows which such a timer is on.
const STEP: u64 = 4096;
/// Flows begin within so many ticks.
const SPREAD: u64 = 2000;
/// Flows that are shown.
const SHOWN: usize = 5;

/// When a flow's last packet comes: so many ticks behind a moment.
#[derive(Debug, Clone, Copy)]
enum When {
    /// That at which its expectation has waited long enough.
    Over(i16),
    /// That at which the timer rings.
    Rings(i8),
}

/// A flow whose last packet somebody may expect.
#[derive(Debug, Clone)]
struct Waiting {
    flow: Flow,
    begins: u64,
    /// What makes the expectation is said once more after so many ticks.
    again: Option<u16>,
    when: When,
}

/// Control connections that make an expectation with their last packet, and what is expected: way, packets.
fn dialogues() -> Vec<(Way, Vec<Step>)> {
    let mut all = Vec::new();
    let ftp = |reply, text, active| {
        let mut steps: Vec<_> =
            Ftp::greeted(0).into_iter().chain([Ftp::line(reply, text)]).collect();
        steps.push(Ftp::opens(active));
        steps.into_iter().map(Step::Ftp).collect::<Vec<_>>()
    };
    for (way, reply, text) in [
        (Way::V4, false, "PORT {c},4,1\r\n"),
        (Way::V4, true, "227 Entering Passive Mode ({c},4,1).\r\n"),
        (Way::V6, false, "EPRT |{f}|{a}|1025|\r\n"),
        (Way::V6, true, "229 Entering Extended Passive Mode (|||1025|)\r\n"),
    ] {
        all.push((way, ftp(reply, text, !reply)));
    }
    for session in Pptp::calls() {
        for reply in [false, true] {
            let call = if reply { 7 } else { 9 };
            let packet = Pptp::Gre { reply, call, version: true };
            let steps = session.iter().cloned().chain([packet]).map(Step::Pptp).collect();
            all.push((Way::V4, steps));
        }
    }
    all
}

fn waiting() -> impl Strategy<Value = Waiting> {
    let near = -3i8..4;
    let when = prop_oneof![
        2 => near.clone().prop_map(|ticks| When::Over(ticks.into())),
        2 => near.prop_map(When::Rings),
        1 => (-60i16..4200).prop_map(When::Over),
    ];
    let again = prop::option::weighted(0.3, 1u16..1500);
    (prop::sample::select(dialogues()), 0..SPREAD, again, when, any::<[u32; 2]>()).prop_map(
        |((way, mut steps), begins, again, when, initial)| {
            if again.is_some() {
                let asked = steps[steps.len() - 2].clone();
                steps.insert(steps.len() - 2, asked);
            }
            let flow =
                Flow { way, zones: Default::default(), policy: None, initial, steps, odd: vec![] };
            Waiting { flow, begins, again, when }
        },
    )
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Flows.
    pub flows: usize,
    /// Last packets that came at most three ticks from when the span was over, and from when the timer rang.
    pub near: [usize; 2],
    /// Last packets that somebody expected still.
    pub met: usize,
    /// Flows of which a packet's tick is not known.
    pub unknown: usize,
    /// Flows that differ.
    pub failed: usize,
}

/// A flow under way.
struct Under {
    client: IpAddr,
    packets: Vec<Sent>,
    /// The ticks of those that were sent.
    sent: Vec<u64>,
    /// Each of them is known.
    known: bool,
}

/// When an expectation that was made at a tick has waited long enough, and when its timer rings.
struct Ends {
    over: u64,
    rings: u64,
}

impl Ends {
    const fn of(tick: u64, patience: u64) -> Self {
        let over = tick + patience;
        Self { over, rings: (over / STEP + 1) * STEP }
    }
}

/// Sends `count` flows of a seed; what differs is shown through `show`.
pub fn run(
    pair: &mut Pair,
    count: usize,
    seed: u64,
    show: &mut dyn FnMut(&str),
) -> io::Result<Outcome> {
    let (strategy, mut runner) = (waiting(), generated::runner(seed));
    let one = |_| Ok(generated::tree(&strategy, &mut runner)?.current());
    let flows = (0..count).map(one).collect::<io::Result<Vec<_>>>()?;
    let patience = PATIENCE * u64::from(Clock::default().hz());
    let mut ticks = Ticks::new()?;
    // Who asks gets no answer: his connection would end with what he expects.
    pair.configure(&[("nf_conntrack_tcp_timeout_unacknowledged", 1000)])?;
    let begin = ticks.now()?;
    pair.begin_at(begin, ticks.time(begin))?;
    let mut outcome = Outcome { flows: flows.len(), ..Outcome::default() };
    let mut under: Vec<_> = flows
        .iter()
        .map(|waiting| {
            let n = pair.number();
            let (client, packets) = (waiting.flow.client(n), waiting.flow.packets(n));
            Under { client, packets, sent: vec![], known: true }
        })
        .collect();
    let mut due: BinaryHeap<_> = (0..)
        .zip(&flows)
        .map(|(place, waiting): (usize, _)| Reverse((begin + 5 + waiting.begins, place)))
        .collect();
    while let Some(Reverse((at, place))) = due.pop() {
        let (flow, waiting) = (&mut under[place], &flows[place]);
        let (packet, treatment) = &flow.packets[flow.sent.len()];
        let treatment = pair.kernel.able(treatment);
        let before = ticks.wait(at)?;
        pair.kernel.send(packet, &treatment)?;
        let after = ticks.now()?;
        flow.known &= before == after;
        pair.tell(ticks.time(after), packet, &treatment);
        flow.sent.push(after);
        let ends = Ends::of(after, patience);
        let next = match flow.packets.len() - flow.sent.len() {
            0 => continue,
            1 => match waiting.when {
                When::Over(late) => ends.over.saturating_add_signed(late.into()),
                When::Rings(late) => ends.rings.saturating_add_signed(late.into()),
            },
            2 => after + u64::from(waiting.again.unwrap_or(0)),
            _ => after,
        };
        due.push(Reverse((next, place)));
    }
    // What the last packets made lives long enough.
    let tables = ticks.listed(pair)?;
    for (flow, waiting) in under.iter().zip(&flows) {
        let [.., asked, last] = flow.sent[..] else { continue };
        let Ends { over, rings } = Ends::of(asked, patience);
        // In its very tick the timer may ring before a packet comes, or behind it.
        if !flow.known || last == rings {
            outcome.unknown += 1;
            continue;
        }
        for (near, moment) in outcome.near.iter_mut().zip([over, rings]) {
            *near += usize::from(last.abs_diff(moment) <= 3);
        }
        let [kernel, ..] = &tables;
        let client = flow.client;
        let own = |e: &&Entry| [e.original.source, e.original.destination].contains(&client);
        let expected = |e: &&Entry| e.status.contains(Status::EXPECTED);
        outcome.met += kernel.iter().filter(own).filter(expected).count();
        let differences = edges::differences(&tables, client);
        outcome.failed += usize::from(!differences.is_empty());
        if !differences.is_empty() && outcome.failed <= SHOWN {
            let late = last as i64 - over as i64;
            show(&format!(
                "--- {:?}, {late} ticks behind its span, which ended {} before the wheel's step",
                waiting.flow.steps.last(),
                rings - over
            ));
            differences.iter().for_each(|difference| show(&format!("   {difference}")));
        }
    }
    let rest = rest(pair, &mut ticks, show)?;
    if outcome.unknown == 0 {
        outcome.failed += rest;
    }
    Ok(outcome)
}

/// What of the counters, and of what is expected still, differs in the end.
fn rest(pair: &mut Pair, ticks: &mut Ticks, show: &mut dyn FnMut(&str)) -> io::Result<usize> {
    let kernel = pair.kernel.expectations()?;
    let now = ticks.now()?;
    pair.model.advance(ticks.time(now));
    let mut differences = pair.counted()?;
    differences.extend(compare::expected(&kernel, &pair.model));
    differences.iter().for_each(|difference| show(&format!("   {difference}")));
    Ok(differences.len())
}
