//! Many packets at once: the memory that they need is asked for before it is needed.
//!
//! Packets go in blocks of a few. While one block goes its way, the entries of the next one are on theirs, and the lines of the
//! index of the one behind that: so memory and processor work at the same time. Each packet goes in order and exactly as if
//! it had come alone: what one changes the next one sees.

use plimsoll_ct::Time;
use plimsoll_wire::packet::Packet;

use crate::model::Model;
use crate::plain::Way;
use crate::step::{Info, Step, Treatment};
use crate::table::Spot;

/// A packet that comes.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// When.
    pub at: Time,
    /// Packet.
    pub packet: Packet<'a>,
    /// What the ruleset does to it.
    pub treatment: Treatment,
}

/// Packets whose memory is asked for at once: few enough for what a processor keeps track of.
const BLOCK: usize = 8;
/// Blocks on their way: one is looked for in the index, of one the entries are coming, one goes its way.
const BLOCKS: usize = 3;

/// Packets that a grid looks ahead for.
pub(crate) const AT_ONCE: usize = 32;

/// Where the packets of one block are looked up.
type Spots = [Spot; BLOCK];

impl Model {
    /// Feeds packets in their order, any number of them; the same as [`Model::packet`] for each, and several
    /// times as fast where the table does not fit into the caches. `each` sees every step, with the model as
    /// that step left it.
    ///
    /// ```
    /// use plimsoll_ct::{Bytes, Profile, Time};
    /// use plimsoll_model::{Arrival, Config, Info, Model, Settings, Treatment};
    /// use plimsoll_wire::packet::parse_ip;
    ///
    /// let profile = Profile::named("6.18").expect("a known profile");
    /// let mut model = Model::new(Config::new(profile, Settings::of(profile, Bytes(8 << 30))));
    /// let echo = [
    ///     0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IP
    ///     8, 0, 0, 0, 0, 1, 0, 1, // an echo request
    /// ];
    /// let packet = parse_ip(&echo).expect("a whole header");
    /// let arrival = Arrival { at: Time::from_secs(0), packet, treatment: Treatment::default() };
    /// let mut infos = Vec::new();
    /// model.batch(&[arrival, arrival], |_, _, step| infos.push(step.info));
    /// assert_eq!(infos, [Info::New, Info::New]);
    /// assert_eq!(model.counted(), 1);
    /// ```
    pub fn batch<'a>(
        &mut self,
        arrivals: &[Arrival<'a>],
        mut each: impl FnMut(&Self, &Arrival<'a>, &Step),
    ) {
        let mut seen = arrivals.chunks(BLOCK);
        let (mut reached, mut going) = (seen.clone(), seen.clone());
        let mut spots: [Spots; BLOCKS] = [[Spot::without(Way::Nowhere); BLOCK]; BLOCKS];
        for round in 0.. {
            // Each block's own, from round to round.
            let [ahead, next, now] = [0, 1, 2].map(|behind| (round + BLOCKS - behind) % BLOCKS);
            if let Some(block) = seen.next() {
                self.approach(block, &mut spots[ahead]);
            }
            if round >= 1
                && let Some(block) = reached.next()
            {
                self.reach(&mut spots[next][..block.len()]);
            }
            if round >= 2 {
                let Some(block) = going.next() else { break };
                self.go(block, &spots[now], &mut each);
            }
        }
    }

    /// Packets go their way.
    #[inline(always)]
    fn go<'a>(
        &mut self,
        arrivals: &[Arrival<'a>],
        spots: &Spots,
        each: &mut impl FnMut(&Self, &Arrival<'a>, &Step),
    ) {
        for (arrival, spot) in arrivals.iter().zip(spots) {
            self.advance(arrival.at);
            // Told in two places, so that of the commonest step no more is made than somebody looks at.
            if spot.way == Way::Tcp
                && let Some(direction) = self.acknowledge(&arrival.packet, spot)
            {
                let info = Info::established(direction);
                let step = self.went(&arrival.packet, spot.likely(), direction, info);
                each(self, arrival, &step);
            } else {
                let step = self.settle_other(&arrival.packet, spot, &arrival.treatment);
                each(self, arrival, &step);
            }
        }
    }

    /// Asks for the lines of the index that packets need; where they are looked up.
    #[inline(always)]
    fn approach(&self, arrivals: &[Arrival<'_>], spots: &mut [Spot]) {
        for (arrival, spot) in arrivals.iter().zip(spots) {
            match arrival.packet.fragment {
                None => self.see(&arrival.packet, &arrival.treatment, spot),
                Some(_) => *spot = Spot::without(Way::Fragment),
            }
            self.table.approach(spot);
        }
    }

    /// Asks for the entries that packets need, their lines being there.
    #[inline(always)]
    fn reach(&self, spots: &mut [Spot]) {
        let now = self.now();
        // A bit for each whose line is not the first one.
        let mut beyond = 0_u32;
        for (at, spot) in spots.iter_mut().enumerate() {
            beyond |= u32::from(self.table.reach(spot, now)) << at;
        }
        while beyond != 0 {
            self.table.reach_beyond(&spots[beyond.trailing_zeros() as usize]);
            beyond &= beyond - 1;
        }
    }

    /// Both, for at most 32.
    #[inline(always)]
    pub(crate) fn look_ahead(&self, arrivals: &[Arrival<'_>], spots: &mut [Spot]) {
        self.approach(arrivals, spots);
        self.reach(spots);
    }
}
