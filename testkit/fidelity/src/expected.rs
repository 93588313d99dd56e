//! Flows that helpers expect, about the time at which they are waited for no longer.
//!
//! What is expected waits by a timer of the kernel's wheel, which rings late: as [`crate::edges`], this reads the counter of ticks
//! before and behind each packet, and leaves out a flow with a packet whose tick is not known, or is the one in which the timer rings. The last packet of a flow comes when its
//! span is over, when the timer rings, between the two, or a little before or behind.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::io;
use std::net::IpAddr;

use plimsoll_ct::{Counter, Entry, Status};
use plimsoll_model::Behaviour;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use crate::compare::{self, Difference};
use crate::edges::{self, Ticks};
use crate::generated;
use crate::run::{Clock, Pair, running};
use crate::scripts::{Flow, Ftp, Pptp, Sent, Step, Way};

/// Seconds that FTP's and PPTP's expectations wait.
const PATIENCE: u64 = 300;
/// Flows begin within so many ticks.
const SPREAD: u64 = 2000;
/// Flows that are shown.
const SHOWN: usize = 5;

/// Ticks between two moments that the level of the kernel's wheel knows which a timer of so many ticks is on.
const fn step(wait: u64) -> u64 {
    let (mut reach, mut step) = (63, 1);
    while wait >= reach {
        (reach, step) = (reach * 8, step * 8);
    }
    step
}

/// Ticks that an expectation waits.
fn patience() -> u64 {
    PATIENCE * u64::from(Clock::default().hz())
}

/// When a flow's last packet comes: so many ticks behind a moment.
#[derive(Debug, Clone, Copy)]
enum When {
    /// That at which its expectation has waited long enough.
    Over(i32),
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
        1 => (-60..step(patience()) as i32 + 100).prop_map(When::Over),
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
        let step = step(patience);
        Self { over, rings: (over / step + 1) * step }
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
    let patience = patience();
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
    let [kernel, _, model] = &tables;
    let met = |table: &[Entry], client: IpAddr| {
        let own = |e: &&Entry| [e.original.source, e.original.destination].contains(&client);
        table.iter().filter(own).filter(|e| e.status.contains(Status::EXPECTED)).count()
    };
    let mut apart = Apart::default();
    for (flow, waiting) in under.iter().zip(&flows) {
        let [.., asked, last] = flow.sent[..] else { continue };
        let client = flow.client;
        let Ends { over, rings } = Ends::of(asked, patience);
        // In its very tick the timer may ring before a packet comes, or behind it.
        if !flow.known || last == rings {
            outcome.unknown += 1;
            apart.clients.insert(client);
            apart.met += met(kernel, client) as i64 - met(model, client) as i64;
            continue;
        }
        for (near, moment) in outcome.near.iter_mut().zip([over, rings]) {
            *near += usize::from(last.abs_diff(moment) <= 3);
        }
        outcome.met += met(kernel, client);
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
    let rest = apart.rest(pair, &mut ticks)?;
    rest.iter().for_each(|line| show(&format!("   {line}")));
    outcome.failed += rest.len();
    Ok(outcome)
}

/// Flows of which a packet's tick is not known: what they add to the differences is known all the same, for both tables tell whom
/// each side expected.
#[derive(Debug, Default)]
struct Apart {
    clients: BTreeSet<IpAddr>,
    /// Packets that the kernel expected and the model did not.
    met: i64,
}

impl Apart {
    /// Whether a line speaks of one of them.
    fn has(&self, line: &str) -> bool {
        line.split(['=', ' '])
            .filter_map(|word| word.parse().ok())
            .any(|address: IpAddr| self.clients.contains(&address))
    }

    /// What differs of the counters, of the classes of packets and of what is still expected, and does not come of these.
    fn rest(&self, pair: &mut Pair, ticks: &mut Ticks) -> io::Result<Vec<String>> {
        // Away from the ticks in which timers ring.
        let (step, mut now) = (step(patience()), ticks.now()?);
        while !(3..step - 250).contains(&(now % step)) {
            now = ticks.wait(now + 3)?;
        }
        pair.model.advance(ticks.time(now));
        let sides = [pair.kernel.expectations()?, compare::expectations(&pair.model)];
        let counted = pair.counted()?;
        let [(kernel, k), (model, m)] = sides.map(|lines| {
            let (apart, others): (Vec<_>, Vec<_>) =
                lines.into_iter().partition(|line| self.has(line));
            (others, apart.len() as i64)
        });
        let mut owed = BTreeMap::from([
            ("new", -self.met),
            ("related", self.met),
            (Counter::ExpectNew.name(), self.met),
            (Counter::ExpectDelete.name(), m - k),
        ]);
        if Behaviour::of(running()?).expectations_linger {
            // When those are counted that nobody met is chance there.
            owed.remove(Counter::ExpectDelete.name());
        }
        let mut rest = Vec::new();
        for difference in &counted {
            let (name, more) = match difference {
                Difference::Class { class, kernel, model } => {
                    (*class, *kernel as i64 - *model as i64)
                }
                Difference::Counter { counter, kernel, model } => {
                    (counter.name(), *kernel as i64 - *model as i64)
                }
                Difference::Entry { .. }
                | Difference::Expected { .. }
                | Difference::Led { .. }
                | Difference::Apart(_) => continue,
            };
            let own = owed.remove(name).unwrap_or(0);
            if more != own {
                rest.push(format!("{difference}, of which {own} by flows that are left out"));
            }
        }
        for (name, own) in owed.into_iter().filter(|(_, own)| *own != 0) {
            rest.push(format!("{name}: no difference, but {own} by flows that are left out"));
        }
        rest.extend(compare::expected(&kernel, &model).map(|difference| difference.to_string()));
        Ok(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wheels_step_of_three_hundred_seconds_hangs_on_the_tick() {
        let steps = [100, 250, 300, 1000].map(|hz| step(PATIENCE * hz));
        assert_eq!(steps, [512, 4096, 4096, 32_768]);
    }
}
