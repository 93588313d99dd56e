//! Traffic that fills a table beyond its limit.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::forge::{self, TcpSegment};

/// A packet, or a pause.
#[derive(Debug, Clone)]
pub enum Step {
    /// Send it.
    Packet(Vec<u8>),
    /// Let time pass.
    Wait(Duration),
    /// Change the limit.
    Limit(u64),
}

/// How a table is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filling {
    /// In words.
    pub name: &'static str,
    /// What fills it to the limit, in tenths.
    pub first: Mix,
    /// What comes then, as much again.
    pub then: Mix,
    /// Whether the first entries expire before the rest comes.
    pub expired: bool,
    /// Whether the rest comes under half the limit, and once more under the whole.
    pub halved: bool,
}

/// Flows of each kind among ten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mix {
    /// One UDP datagram: evicted.
    pub queries: u32,
    /// A SYN: evicted.
    pub half_open: u32,
    /// A handshake: protected.
    pub open: u32,
    /// A connection that both sides ended, in TIME_WAIT.
    pub closed: u32,
}

const QUERIES: Mix = Mix { queries: 10, half_open: 0, open: 0, closed: 0 };

/// All of them.
pub const FILLINGS: &[Filling] = &[
    Filling {
        name: "queries, then queries",
        first: QUERIES,
        then: QUERIES,
        expired: false,
        halved: false,
    },
    Filling {
        name: "a half protected, then SYNs",
        first: Mix { queries: 2, half_open: 3, open: 5, closed: 0 },
        then: Mix { half_open: 10, ..EMPTY },
        expired: false,
        halved: false,
    },
    Filling {
        name: "nine tenths closed, then connections",
        first: Mix { queries: 1, closed: 9, ..EMPTY },
        then: Mix { open: 7, queries: 3, ..EMPTY },
        expired: false,
        halved: false,
    },
    Filling {
        name: "all protected, then anything",
        first: Mix { open: 10, ..EMPTY },
        then: Mix { queries: 4, half_open: 2, open: 2, closed: 2 },
        expired: false,
        halved: false,
    },
    Filling {
        name: "queries that expired, then queries",
        first: QUERIES,
        then: QUERIES,
        expired: true,
        halved: false,
    },
    Filling {
        name: "a third protected, then anything under half the limit, and once more under the whole",
        first: Mix { queries: 4, half_open: 3, open: 2, closed: 1 },
        then: Mix { queries: 6, half_open: 2, open: 1, closed: 1 },
        expired: false,
        halved: true,
    },
];

const EMPTY: Mix = Mix { queries: 0, half_open: 0, open: 0, closed: 0 };

const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 1;

impl Filling {
    /// Its packets against a limit; flows have the numbers from `number` on, so that nothing is met twice.
    pub fn steps(&self, limit: u64, number: &mut u32) -> Vec<Step> {
        let mut steps = Vec::new();
        self.first.flows(limit, number, &mut steps);
        if self.expired {
            steps.push(Step::Wait(Duration::from_millis(1500)));
        }
        if self.halved {
            steps.push(Step::Limit(limit / 2));
            self.then.flows(limit, number, &mut steps);
            steps.push(Step::Limit(limit));
        }
        self.then.flows(limit, number, &mut steps);
        steps
    }
}

impl Mix {
    fn flows(&self, count: u64, number: &mut u32, steps: &mut Vec<Step>) {
        let kinds = [(self.queries, 0), (self.half_open, 1), (self.open, 2), (self.closed, 3)];
        let kinds: Vec<u8> = kinds
            .iter()
            .flat_map(|&(share, kind)| std::iter::repeat_n(kind, share as usize))
            .collect();
        for n in 0..if kinds.is_empty() { 0 } else { count } {
            *number += 1;
            // Seven and ten have no factor in common: kinds alternate.
            flow(*number, kinds[(n * 7 % kinds.len() as u64) as usize], steps);
        }
    }
}

fn flow(number: u32, kind: u8, steps: &mut Vec<Step>) {
    let client: IpAddr = Ipv4Addr::from(0x0a00_0000 + (number & 0xff_ffff)).into();
    let server: IpAddr = Ipv4Addr::new(192, 0, 2, 1).into();
    if kind == 0 {
        steps.push(Step::Packet(forge::udp(client, server, (4000, 53), 0, 0)));
        return;
    }
    let mut segment = |reply: bool, seq, ack, flags| {
        let (ports, ends) =
            if reply { ((80, 4000), (server, client)) } else { ((4000, 80), (client, server)) };
        let segment = TcpSegment { ports, seq, ack, flags, window: 5000, ..TcpSegment::default() };
        steps.push(Step::Packet(segment.packet(ends.0, ends.1)));
    };
    segment(false, 100, 0, SYN);
    if kind >= 2 {
        segment(true, 500, 101, SYN | ACK);
        segment(false, 101, 501, ACK);
    }
    if kind == 3 {
        segment(false, 101, 501, FIN | ACK);
        segment(true, 501, 102, FIN | ACK);
        segment(false, 102, 502, ACK);
    }
}
