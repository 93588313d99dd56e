//! What a capture cannot tell: signs that it shows the traffic otherwise than the router saw it.
//!
//! Looked for among the first packets only, so that a long capture costs no more.

use plimsoll_ct::Time;
use plimsoll_model::{Info, What};
use plimsoll_wire::packet::Packet;

use crate::distinct::mix;
use crate::shared::Went;

/// Packets that are looked at.
const LOOKED_AT: u64 = 200_000;

/// Packets that a second copy is looked for among.
const RECENT: usize = 64;

/// Words of 8 octets behind the IP header that tell packets apart.
const WORDS: usize = 6;

/// A second copy follows within so many nanoseconds.
const SOON: i64 = 2_000_000;

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubts {
    /// Packets looked at.
    pub looked_at: u64,
    /// TCP packets among them.
    pub tcp: u64,
    /// TCP packets that acknowledge something in a flow of which no answer was captured: one direction only,
    /// a sampled capture, or addresses that change on the way (NAT) behind the point of capture.
    pub one_sided: u64,
    /// Entries of UDP that they made,
    pub udp_entries: u64,
    /// and UDP packets that answered one.
    pub udp_answers: u64,
    /// Packets captured twice, the same but for TTL, MAC and checksum: the capture was taken on several
    /// interfaces (`-i any`) of a router.
    pub twice: u64,
    /// Of the last packets: what tells them apart,
    recent: [u64; RECENT],
    /// and when they came.
    times: [i64; RECENT],
}

impl Default for Doubts {
    fn default() -> Self {
        Self {
            looked_at: 0,
            tcp: 0,
            one_sided: 0,
            udp_entries: 0,
            udp_answers: 0,
            twice: 0,
            recent: [0; RECENT],
            times: [i64::MIN; RECENT],
        }
    }
}

pub(crate) const TCP: u8 = 6;
const UDP: u8 = 17;
const ACK: u8 = 0x10;
const RST: u8 = 0x04;

impl Doubts {
    /// Whether more packets are looked at.
    pub(crate) const fn are_open(&self) -> bool {
        self.looked_at < LOOKED_AT
    }

    /// Looks at a packet and what the first model made of it.
    pub(crate) fn look(&mut self, now: Time, packet: &Packet<'_>, went: &Went<'_>) {
        if !self.are_open() {
            return;
        }
        self.looked_at += 1;
        if packet.fragment.is_none() {
            self.repeated(now, packet);
        }
        if packet.protocol == UDP {
            let step = went.step();
            self.udp_entries += u64::from(step.what == What::Inserted);
            self.udp_answers += u64::from(step.info == Info::EstablishedReply);
            return;
        }
        let Some(&flags) = packet.payload.get(13).filter(|_| packet.protocol == TCP) else {
            return;
        };
        self.tcp += 1;
        if flags & ACK == 0 || flags & RST != 0 || packet.fragment.is_some() {
            return;
        }
        let answered = match went.step().info {
            Info::Established | Info::EstablishedReply | Info::Untracked => true,
            // An entry whose packets are new has seen no answer.
            Info::New => went.step().entry.is_none(),
            Info::Invalid => false,
            Info::Related | Info::RelatedReply => true,
        };
        self.one_sided += u64::from(!answered);
    }

    fn repeated(&mut self, now: Time, packet: &Packet<'_>) {
        let mut hash = crate::distinct::flow(packet) ^ u64::from(packet.length);
        // Sequence numbers and the like tell packets of one flow apart; checksums change with NAT only.
        let (words, rest) = packet.payload.as_chunks::<8>();
        for word in words.iter().take(WORDS) {
            hash = mix(hash ^ u64::from_le_bytes(*word));
        }
        if words.len() < WORDS && !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            hash = mix(hash ^ u64::from_le_bytes(word));
        }
        // Nearly none is there twice, so all are looked at without a branch for each.
        if self.recent.iter().fold(false, |any, &other| any | (other == hash)) {
            let since = now.0.saturating_sub(SOON);
            let mut both = self.recent.iter().zip(&mut self.times);
            if let Some((_, at)) = both.find(|(other, at)| **other == hash && **at >= since) {
                self.twice += 1;
                // Its third copy is a second copy of nothing.
                *at = i64::MIN;
                return;
            }
        }
        let place = (self.looked_at % RECENT as u64) as usize;
        (self.recent[place], self.times[place]) = (hash, now.0);
    }
}
