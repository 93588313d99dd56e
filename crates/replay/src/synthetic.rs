//! Traffic that nobody captured: flows that begin at random, live for random times, and end.
//!
//! Flows begin as a Poisson process. A TCP flow opens with a handshake, exchanges data every `every`, and
//! closes with a FIN from each side; a UDP flow asks and is answered every `every`; an ICMP flow is an echo
//! and its answer. A share of them is never answered. Times, addresses and shares follow from the seed alone.
//! Packets are bare headers that promise their payload.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use plimsoll_ct::{Nanos, Time};
use plimsoll_wire::capture::Record;

use crate::distinct::mix;

/// How long flows live, from the first packet to the last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lifetime {
    /// All alike, in seconds.
    Fixed(f64),
    /// Exponential with this mean, in seconds.
    Exponential(f64),
    /// Evenly between two, in seconds.
    Uniform(f64, f64),
    /// Pareto: the least in seconds, and the shape; below 2 a few live very long.
    Pareto(f64, f64),
}

/// What traffic to make up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Workload {
    /// New flows per second.
    pub rate: f64,
    /// How long they live.
    pub lifetime: Lifetime,
    /// Relative shares of TCP, UDP and ICMP.
    pub mix: [f64; 3],
    /// Share of flows that nobody answers.
    pub unanswered: f64,
    /// Seconds between exchanges within a flow.
    pub every: f64,
    /// Hosts that flows come from.
    pub clients: u32,
    /// Draws everything.
    pub seed: u64,
    /// Seconds during which flows begin. Packets end then, too.
    pub span: f64,
    /// When it begins.
    pub start: Time,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            rate: 1000.0,
            lifetime: Lifetime::Exponential(30.0),
            mix: [0.7, 0.3, 0.0],
            unanswered: 0.0,
            every: 5.0,
            clients: 10_000,
            seed: 1,
            span: 600.0,
            start: Time(0),
        }
    }
}

/// One flow under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Flow {
    /// When its next packet is sent, in nanoseconds since the start.
    at: u64,
    number: u64,
    /// When it ends.
    end: u64,
    protocol: u8,
    step: Phase,
    answered: bool,
    /// Exchanges so far: sequence numbers grow with them.
    exchanges: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    Answer,
    Acknowledge,
    Request,
    Response,
    Fin,
    FinAnswer,
    Last,
}

/// Makes the packets, in the order of their times.
#[derive(Debug, Clone)]
pub struct Synthetic {
    workload: Workload,
    state: u64,
    arrival: u64,
    begun: u64,
    under_way: BinaryHeap<Reverse<Flow>>,
    packet: Vec<u8>,
}

/// Time between a packet and its answer.
const ROUND_TRIP: u64 = 1_000_000;
const REQUEST: u32 = 100;
const RESPONSE: u32 = 1000;

impl Synthetic {
    /// From a workload.
    pub fn new(workload: Workload) -> Self {
        let mut new = Self {
            workload,
            state: mix(workload.seed),
            arrival: 0,
            begun: 0,
            under_way: BinaryHeap::new(),
            packet: Vec::new(),
        };
        new.arrival = new.pause();
        new
    }

    /// The next packet; `None` at the end.
    pub fn next_record(&mut self) -> Option<Record<'_>> {
        let end = nanos(self.workload.span);
        while self.arrival <= self.under_way.peek().map_or(u64::MAX, |Reverse(flow)| flow.at)
            && self.arrival < end
        {
            let flow = self.begin();
            self.under_way.push(Reverse(flow));
            self.arrival = self.arrival.saturating_add(self.pause());
        }
        let Reverse(flow) = self.under_way.pop()?;
        if flow.at >= end {
            self.under_way.clear();
            return None;
        }
        self.write(&flow);
        if let Some(next) = self.follow(flow) {
            self.under_way.push(Reverse(next));
        }
        let time = self.workload.start.plus(Nanos(flow.at));
        let length = self.packet.get(2..4).map_or(0, |l| u32::from(l[0]) << 8 | u32::from(l[1]));
        Some(Record { time: Some(time), link: 101, bytes: &self.packet, length })
    }

    /// A number between 0 and 1, neither of them.
    fn draw(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        ((mix(self.state) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn pause(&mut self) -> u64 {
        let draw = self.draw();
        nanos(-libm::log(draw) / self.workload.rate)
    }

    fn begin(&mut self) -> Flow {
        let draw = self.draw();
        let seconds = match self.workload.lifetime {
            Lifetime::Fixed(seconds) => seconds,
            Lifetime::Exponential(mean) => -libm::log(draw) * mean,
            Lifetime::Uniform(least, most) => least + draw * (most - least),
            Lifetime::Pareto(least, shape) => least * libm::pow(draw, -1.0 / shape),
        };
        let [tcp, udp, icmp] = self.workload.mix;
        let share = self.draw() * (tcp + udp + icmp);
        let protocol = if share < tcp {
            6
        } else if share < tcp + udp {
            17
        } else {
            1
        };
        let answered = self.draw() >= self.workload.unanswered;
        self.begun += 1;
        Flow {
            at: self.arrival,
            number: self.begun - 1,
            end: self.arrival.saturating_add(nanos(seconds)),
            protocol,
            step: if protocol == 6 { Phase::Open } else { Phase::Request },
            answered,
            exchanges: 0,
        }
    }

    /// The flow after its packet.
    fn follow(&self, flow: Flow) -> Option<Flow> {
        let soon = flow.at + ROUND_TRIP;
        if !flow.answered {
            return None;
        }
        let later = |flow: Flow| {
            let next = flow.at + nanos(self.workload.every);
            if next < flow.end {
                Some(Flow { at: next, step: Phase::Request, ..flow })
            } else {
                (flow.protocol == 6).then(|| Flow {
                    at: flow.end.max(soon),
                    step: Phase::Fin,
                    ..flow
                })
            }
        };
        let next = |step| Some(Flow { at: soon, step, ..flow });
        match flow.step {
            Phase::Open => next(Phase::Answer),
            Phase::Answer => next(Phase::Acknowledge),
            Phase::Acknowledge => next(Phase::Request),
            Phase::Request => next(Phase::Response),
            Phase::Response => later(Flow { exchanges: flow.exchanges + 1, ..flow }),
            Phase::Fin => next(Phase::FinAnswer),
            Phase::FinAnswer => next(Phase::Last),
            Phase::Last => None,
        }
    }

    /// The flow's packet, into the buffer.
    fn write(&mut self, flow: &Flow) {
        let Workload { clients, .. } = self.workload;
        let clients = u64::from(clients.clamp(1, 1 << 24));
        // Each client goes through its ephemeral ports in turn.
        let client = flow.number % clients;
        let [_, b, c, d] = (client as u32).to_be_bytes();
        let port = 32_768 + (flow.number / clients % 28_232) as u16;
        let client = [10, b, c, d];
        let server = match flow.protocol {
            6 => [198, 18, 0, 80],
            17 => [198, 18, 0, 53],
            _ => [198, 18, 0, 1],
        };
        let back = matches!(flow.step, Phase::Answer | Phase::Response | Phase::FinAnswer);
        let (source, destination) = if back { (server, client) } else { (client, server) };
        let mut layer4 = Vec::new();
        let mut payload = 0;
        if flow.protocol == 1 {
            let kind = if back { 0 } else { 8 };
            let [i, j] = port.to_be_bytes();
            layer4.extend([kind, 0, 0, 0, i, j, 0, 1]);
        } else {
            let service: u16 = if flow.protocol == 6 { 443 } else { 53 };
            let ports = if back { [service, port] } else { [port, service] };
            layer4.extend(ports.into_iter().flat_map(u16::to_be_bytes));
            payload = match flow.step {
                Phase::Request => REQUEST,
                Phase::Response => RESPONSE,
                _ => 0,
            };
            if flow.protocol == 17 {
                layer4.extend(((payload + 8) as u16).to_be_bytes());
                layer4.extend([0, 0]);
            } else {
                segment(&mut layer4, flow);
            }
        }
        self.packet.clear();
        let length = 20 + layer4.len() as u32 + payload;
        self.packet.extend([0x45, 0]);
        self.packet.extend((length as u16).to_be_bytes());
        self.packet.extend([0, 0, 0x40, 0, 64, flow.protocol, 0, 0]);
        self.packet.extend(source);
        self.packet.extend(destination);
        self.packet.extend(layer4);
    }
}

/// Sequence numbers, flags and the rest of a TCP header, behind its ports.
fn segment(out: &mut Vec<u8>, flow: &Flow) {
    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const PSH: u8 = 8;
    const ACK: u8 = 16;
    let first = mix(flow.number);
    let (client, server) = (first as u32, (first >> 32) as u32);
    let sent = client.wrapping_add(1).wrapping_add(flow.exchanges.wrapping_mul(REQUEST));
    let got = server.wrapping_add(1).wrapping_add(flow.exchanges.wrapping_mul(RESPONSE));
    let (seq, ack, flags) = match flow.step {
        Phase::Open => (client, 0, SYN),
        Phase::Answer => (server, client.wrapping_add(1), SYN | ACK),
        Phase::Acknowledge => (sent, got, ACK),
        Phase::Request => (sent, got, PSH | ACK),
        Phase::Response => (got, sent.wrapping_add(REQUEST), PSH | ACK),
        Phase::Fin => (sent, got, FIN | ACK),
        Phase::FinAnswer => (got, sent.wrapping_add(1), FIN | ACK),
        Phase::Last => (sent.wrapping_add(1), got.wrapping_add(1), ACK),
    };
    out.extend(seq.to_be_bytes());
    out.extend(ack.to_be_bytes());
    out.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
}

fn nanos(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e9) as u64
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use plimsoll_ct::{Bytes, Profile};
    use plimsoll_model::{Config, Settings, Treatment};

    use super::*;
    use crate::Replay;

    fn replayed(workload: Workload) -> Replay {
        let profile = Profile::named("6.18").expect("a profile");
        let config = Config::new(profile, Settings::of(profile, Bytes(8 << 30)));
        let mut replay = Replay::new([(String::new(), config)], Treatment::default());
        let mut synthetic = Synthetic::new(workload);
        while let Some(record) = synthetic.next_record() {
            replay.feed(&[record]);
        }
        replay
    }

    #[test]
    fn as_many_flows_are_live_as_rate_times_lifetime() {
        // Established for 20 s each, 100 a second: 2000 on average once they have settled.
        let workload = Workload {
            rate: 100.0,
            lifetime: Lifetime::Exponential(20.0),
            mix: [1.0, 0.0, 0.0],
            span: 200.0,
            ..Workload::default()
        };
        let replay = replayed(workload);
        let o = replay.occupancies()[0];
        assert!(o.protected.abs_diff(2000) < 200, "{o:?}");
        // TIME_WAIT for 120 s: 12,000 more.
        assert!(o.closing.abs_diff(12_000) < 600, "{o:?}");
        let tally = replay.tally();
        assert_eq!((tally.backwards, tally.picked_up, tally.malformed), (0, 0, 0));
        let invalid = replay.runs()[0].counters().get(plimsoll_ct::Counter::Invalid);
        assert_eq!(invalid, None);
    }

    #[test]
    fn the_same_seed_gives_the_same_packets_and_another_gives_others() {
        let outcome = |seed| {
            let replay = replayed(Workload { seed, span: 3.0, ..Workload::default() });
            replay.runs()[0].snapshot()
        };
        assert_eq!(outcome(1), outcome(1));
        assert_ne!(outcome(1), outcome(2));
    }

    #[test]
    fn flows_that_nobody_answers_stay_evictable() {
        let replay = replayed(Workload { unanswered: 1.0, span: 2.0, ..Workload::default() });
        let o = replay.occupancies()[0];
        assert!(o.evictable > 1500 && o.protected == 0, "{o:?}");
    }
}
