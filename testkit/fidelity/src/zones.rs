//! Every short run of packets between two hosts whose zones are those of one direction, of the other, of both or none:
//! which of the entries that they make get in each other's way, and which gets what two claim.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use plimsoll_ct::{Zone, ZoneDirection};
use plimsoll_model::Treatment;

use crate::forge::{self, TcpSegment};
use crate::frames::Planned;
use crate::generated::step_by_step;
use crate::run::{Pace, Pair};
use crate::scripts::Sent;

/// Protocols that are sent, by their numbers.
pub const PROTOCOLS: [u8; 8] = [6, 17, 136, 132, 33, 47, 50, 1];
/// The zones that a packet may be in.
const ZONES: [Zone; 6] = [
    Zone { id: 0, direction: ZoneDirection::Both },
    Zone { id: 1, direction: ZoneDirection::Both },
    Zone { id: 1, direction: ZoneDirection::Original },
    Zone { id: 2, direction: ZoneDirection::Original },
    Zone { id: 1, direction: ZoneDirection::Reply },
    Zone { id: 2, direction: ZoneDirection::Reply },
];
/// Packets that there may be: of either side, in each zone.
const KINDS: usize = 2 * ZONES.len();
/// Runs that are compared at once.
const BATCH: usize = 1024;

/// A packet of a run: whether the server sends it, and its zone.
pub type Kind = (bool, Zone);

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Runs.
    pub runs: usize,
    /// Runs after which both sides differ.
    pub differing: Vec<(u8, Vec<Kind>)>,
}

/// The run of this number, of so many packets.
fn kinds(number: usize, length: u32) -> Vec<Kind> {
    let digit = |place| number / KINDS.pow(place) % KINDS;
    let kind = |place| (digit(place) % 2 == 1, ZONES[digit(place) / 2]);
    (0..length).map(kind).collect()
}

fn packet(protocol: u8, back: bool, n: u32) -> Vec<u8> {
    let client = IpAddr::from(Ipv4Addr::from(0x0a00_0000 | n & 0xff_ffff));
    let server = IpAddr::from(Ipv4Addr::new(192, 0, 2, 1));
    let (from, to, ports) =
        if back { (server, client, (80, 4000)) } else { (client, server, (4000, 80)) };
    match protocol {
        6 => TcpSegment { ports, flags: 2, window: 512, ..Default::default() }.packet(from, to),
        17 => forge::udp(from, to, ports, 8, 0),
        136 => forge::udp_lite(from, to, ports, 8, 8),
        132 => {
            let init = vec![0, 0, 0, 9, 0, 0, 16, 0, 0, 1, 0, 1, 0, 0, 0, 1];
            forge::sctp(from, to, ports, 0, &[(1, 0, init)])
        }
        33 => forge::dccp(from, to, ports, 0, (1, 0), Default::default()),
        1 => forge::icmp(from, to, if back { 0 } else { 8 }, 0, 7, &[]),
        other => forge::ip(from, to, other, &[0; 16]),
    }
}

fn packets(pair: &mut Pair, protocol: u8, kinds: &[Kind]) -> Vec<Sent> {
    let n = pair.number();
    let treated = |zone| Treatment { zone, ..Treatment::default() };
    kinds.iter().map(|&(back, zone)| (packet(protocol, back, n), treated(zone))).collect()
}

/// All runs of so many packets of these protocols.
pub fn run(
    pair: &mut Pair,
    protocols: &[u8],
    length: u32,
    show: &mut dyn FnMut(&str),
) -> io::Result<Outcome> {
    pair.configure(&[("nf_conntrack_acct", 1), ("nf_conntrack_checksum", 0)])?;
    let mut outcome = Outcome::default();
    for &protocol in protocols {
        let all: Vec<_> = (0..KINDS.pow(length)).map(|number| kinds(number, length)).collect();
        outcome.runs += all.len();
        for some in all.chunks(BATCH) {
            for kinds in differing(pair, protocol, some)? {
                if outcome.differing.iter().filter(|(p, _)| *p == protocol).count() < 3 {
                    show(&format!("--- protocol {protocol}, {kinds:?}"));
                    let plan: Vec<_> = packets(pair, protocol, &kinds)
                        .into_iter()
                        .map(|(packet, treatment)| Planned { packet, at: 0, treatment })
                        .collect();
                    step_by_step(pair, &plan, Pace::NONE, show)?;
                }
                outcome.differing.push((protocol, kinds));
            }
        }
    }
    Ok(outcome)
}

/// Those runs that differ, found by halves.
fn differing(pair: &mut Pair, protocol: u8, runs: &[Vec<Kind>]) -> io::Result<Vec<Vec<Kind>>> {
    pair.reset()?;
    for kinds in runs {
        for (packet, treatment) in packets(pair, protocol, kinds) {
            pair.feed(&packet, &treatment)?;
        }
    }
    if pair.differences()?.is_empty() {
        return Ok(Vec::new());
    }
    let [_, _, ..] = runs else { return Ok(runs.to_vec()) };
    let (one, other) = runs.split_at(runs.len() / 2);
    let mut found = differing(pair, protocol, one)?;
    found.extend(differing(pair, protocol, other)?);
    Ok(found)
}
