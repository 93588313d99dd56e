//! Many packets at once: the memory that they need is asked for before it is needed.
//!
//! One packet is looked for in the index while, some packets in front of it, the entry of another is asked for, and one more goes
//! its way: so memory and processor work at the same time, and never is much asked for at once. Each packet goes in order and exactly as if
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

/// Packets from the one that is looked for in the index to the one whose entry is asked for, and from there to the one that goes.
const AHEAD: usize = 8;
/// Packets on their way.
const ON_THE_WAY: usize = 2 * AHEAD;

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
        let mut spots = [Spot::without(Way::Nowhere); ON_THE_WAY];
        // A bit for each whose line is not the first one.
        let mut beyond = 0_u32;
        // No packet makes more than one entry.
        let roomy = self.room() > arrivals.len() as u64;
        for seen in 0..arrivals.len() + ON_THE_WAY {
            let place = seen % ON_THE_WAY;
            // The one that leaves makes room for the one that comes.
            if let Some(arrival) = seen.checked_sub(ON_THE_WAY).map(|going| &arrivals[going]) {
                self.go(arrival, &spots[place], &mut each);
            }
            if let Some(arrival) = arrivals.get(seen) {
                self.approach(arrival, &mut spots[place]);
            }
            let reached = seen.wrapping_sub(AHEAD);
            if reached < arrivals.len() {
                let place = reached % ON_THE_WAY;
                if self.table.reach(&mut spots[place], self.now()) {
                    beyond |= 1 << place;
                }
                if !roomy && !self.has_room() {
                    self.reach_room(&spots[place]);
                }
            }
            if beyond != 0 {
                let place = seen.wrapping_sub(AHEAD + AHEAD / 2) % ON_THE_WAY;
                if beyond >> place & 1 != 0 {
                    self.table.reach_beyond(&spots[place]);
                    beyond &= !(1 << place);
                }
            }
        }
    }

    /// A packet goes its way.
    #[inline(always)]
    fn go<'a>(
        &mut self,
        arrival: &Arrival<'a>,
        spot: &Spot,
        each: &mut impl FnMut(&Self, &Arrival<'a>, &Step),
    ) {
        self.advance(arrival.at);
        // Told in two places, so that of the commonest step no more is made than somebody looks at.
        if spot.way == Way::Tcp {
            if let Some(direction) = self.acknowledge(&arrival.packet, spot) {
                let info = Info::established(direction);
                let step = self.went(&arrival.packet, spot.likely(), direction, info);
                each(self, arrival, &step);
            } else {
                let step = self.less_plain(&arrival.packet, spot, &arrival.treatment);
                each(self, arrival, &step);
            }
        } else {
            let step = self.settle_other(&arrival.packet, spot, &arrival.treatment);
            each(self, arrival, &step);
        }
    }

    /// Asks for the line of the index that a packet needs; where it is looked up.
    #[inline(always)]
    fn approach(&self, arrival: &Arrival<'_>, spot: &mut Spot) {
        match arrival.packet.fragment {
            None => self.see(&arrival.packet, &arrival.treatment, spot),
            Some(_) => *spot = Spot::without(Way::Fragment),
        }
        self.table.approach(spot);
    }
}
