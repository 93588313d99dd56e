//! Many packets at once: the memory that they need is asked for before it is needed.
//!
//! Of up to 32 packets first the lines of the index are asked for, then the entries, and only then does each
//! go its way, in order and exactly as if it had come alone: what one changes the next one sees.

use alloc::vec::Vec;

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

/// Packets whose memory is asked for at once: enough to hide a miss, few enough for the nearest cache.
pub(crate) const AT_ONCE: usize = 32;

/// Where the packets that come at once are looked up: kept from batch to batch, since what is written anew each time need
/// not be emptied before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spots(Vec<Spot>);

impl Spots {
    /// Some of them.
    pub(crate) fn first(&mut self, number: usize) -> &mut [Spot] {
        if self.0.len() < number {
            self.0.resize(AT_ONCE.max(number), Spot::without(Way::Nowhere));
        }
        &mut self.0[..number]
    }
}

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
        mut each: impl FnMut(&Self, &Arrival<'a>, Step),
    ) {
        let mut spots = core::mem::take(&mut self.spots);
        for some in arrivals.chunks(AT_ONCE) {
            let spots = spots.first(some.len());
            self.look_ahead(some, spots);
            for (arrival, spot) in some.iter().zip(&*spots) {
                self.advance(arrival.at);
                // Told in two places, so that of the commonest step no more is made than somebody looks at.
                if spot.way == Way::Tcp
                    && let Some(direction) = self.acknowledge(&arrival.packet, spot)
                {
                    let info = Info::established(direction);
                    let step = self.went(&arrival.packet, spot.likely(), direction, info);
                    each(self, arrival, step);
                } else {
                    let step = self.settle_other(&arrival.packet, spot, &arrival.treatment);
                    each(self, arrival, step);
                }
            }
        }
        self.spots = spots;
    }

    /// Asks for the memory that packets need; where each is looked up.
    #[inline(always)]
    pub(crate) fn look_ahead(&self, arrivals: &[Arrival<'_>], spots: &mut [Spot]) {
        for (arrival, spot) in arrivals.iter().zip(&mut *spots) {
            match arrival.packet.fragment {
                None => self.see(&arrival.packet, &arrival.treatment, spot),
                Some(_) => *spot = Spot::without(Way::Fragment),
            }
            self.table.approach(spot);
        }
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
}
