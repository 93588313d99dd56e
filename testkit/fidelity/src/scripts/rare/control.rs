//! Control connections: FTP's as a stream of octets, cut anywhere; PPTP's with messages in any order.

use std::iter;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use plimsoll_model::Helper;

use super::network::{carry, mishaps};
use super::streams::Octets;
use crate::scripts::{Hosts, Step, ftp, pptp};

const PORTS: (u16, u16) = (4000, 21);

/// A piece of what a side of an FTP control connection says.
#[derive(Debug, Clone)]
pub struct Piece {
    /// All that is said, by turns: whether by the server, and its lines, with places for addresses.
    pub turns: Arc<Vec<(bool, String)>>,
    /// Which of them this is of.
    pub turn: usize,
    /// From where to where in it, in 255th parts of its octets.
    pub span: (u8, u8),
}

impl Piece {
    pub(in crate::scripts) fn reply(&self) -> bool {
        self.turns[self.turn].0
    }

    pub(in crate::scripts) fn packet(&self, initial: [u32; 2], hosts: Hosts) -> Vec<u8> {
        let reply = self.reply();
        let said = |turn: &(bool, String)| ftp::said_by(&turn.1, hosts.ends(turn.0));
        let before = |of: bool| -> usize {
            let earlier = self.turns[..self.turn].iter().filter(|turn| turn.0 == of);
            earlier.map(|turn| said(turn).len()).sum()
        };
        let text = said(&self.turns[self.turn]);
        let place = |part: u8| text.len() * usize::from(part) / 255;
        let (from, to) = (place(self.span.0), place(self.span.1));
        let piece = text[from..to].to_vec();
        let next = [before(reply) + from + 1, before(!reply) + 1].map(|next| next as u32);
        segment(reply, 24, next, piece).packet(initial, hosts)
    }
}

fn segment(reply: bool, flags: u8, [seq, ack]: [u32; 2], data: Vec<u8>) -> Octets {
    let (window, helper) = (65_535, Some(Helper::Ftp));
    let (options, blocks) = (vec![], vec![]);
    Octets { reply, ports: PORTS, flags, seq, ack, window, options, blocks, data, helper }
}

/// A turn: whose, which lines, cut where.
type Turn = (bool, Vec<prop::sample::Index>, Vec<u8>);

fn spoken(turns: &[Turn], greeted: bool) -> Vec<Step> {
    let opening = [(false, 2, [0, 0]), (true, 18, [0, 1]), (false, 16, [1, 1])];
    let mut all: Vec<_> = opening
        .into_iter()
        .map(|(reply, flags, next)| Step::Octets(segment(reply, flags, next, vec![])))
        .collect();
    let lines = turns.iter().map(|(reply, lines, _)| {
        let known = if *reply { ftp::ANSWERED } else { ftp::ASKED };
        (*reply, lines.iter().map(|line| *line.get(known)).collect())
    });
    let greetings = [(true, "220 hello\r\n".into()), (false, "USER anonymous\r\n".into())];
    let greetings = greetings.into_iter().filter(|_| greeted);
    let lines: Arc<Vec<(bool, String)>> = Arc::new(greetings.chain(lines).collect());
    let uncut = lines.len() - turns.len();
    let cuts = iter::repeat_n(&[][..], uncut).chain(turns.iter().map(|(_, _, cuts)| &cuts[..]));
    for (turn, cuts) in cuts.enumerate() {
        let mut places = [cuts, &[0, 255]].concat();
        places.sort_unstable();
        places.dedup();
        for span in places.windows(2) {
            let span = (span[0], span[1]);
            all.push(Step::Piece(Piece { turns: lines.clone(), turn, span }));
        }
    }
    all
}

pub(super) fn ftp() -> impl Strategy<Value = Vec<Step>> {
    let lines = vec(any::<prop::sample::Index>(), 1..4);
    let cuts = prop_oneof![1 => Just(vec![]), 2 => vec(any::<u8>(), 1..4)];
    let turns = vec((any::<bool>(), lines, cuts), 1..6);
    let connected = prop_oneof![3 => Just(vec![]), 1 => vec(ftp::data(), 1..4)];
    // What each side says first is not read.
    let greeted = prop::bool::weighted(0.8);
    let all = (turns, greeted, mishaps(), connected, any::<u8>());
    all.prop_map(|(turns, greeted, mishaps, connected, place)| {
        let mut steps = carry(spoken(&turns, greeted), &mishaps);
        let at = steps.len() - usize::from(place) % steps.len().clamp(1, 4);
        steps.splice(at..at, connected.into_iter().map(Step::Ftp));
        steps
    })
}

pub(super) fn pptp() -> impl Strategy<Value = Vec<Step>> {
    let message = (any::<bool>(), 0u8..16, [7u8..11, 7u8..11], 0u8..4).prop_map(
        |(reply, kind, calls, result)| {
            let result = if result == 0 {
                0
            } else if result == 1 {
                2
            } else {
                1
            };
            pptp::Pptp::Message { reply, kind, calls, result, short: 0 }
        },
    );
    (
        Just(pptp::opening()),
        vec(prop_oneof![4 => message, 3 => pptp::message(), 2 => pptp::gre()], 1..14),
    )
        .prop_map(|(mut all, rest)| {
            all.extend(rest);
            all.into_iter().map(Step::Pptp).collect()
        })
}
