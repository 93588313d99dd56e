//! The ways of packets through a grid.

use plimsoll_ct::{Class, Counter, CounterSource};
use plimsoll_wire::packet::{Packet, behind_extensions, parse_acknowledgement};

use super::{Grid, deleted};
use crate::defrag::Gathered;
use crate::error::Icmp;
use crate::key::Key;
use crate::model::{Prepared, alone};
use crate::plain::{Way, udp_length_fits};
use crate::step::{Info, Step, Treatment, Verdict};
use crate::table::{Life, Probe, Seats, Spot, Version};
use crate::ticks::Jiffies;

impl Grid {
    #[inline(always)]
    pub(super) fn settle(&mut self, packet: &Packet<'_>, spot: &Spot, treatment: &Treatment) {
        self.steps.begin();
        match spot.way {
            Way::Tcp | Way::Udp => self.lead(packet, &spot.probe(None), spot.way, treatment),
            Way::WideTcp => {
                self.lead(packet, &spot.probe(Key::wide_of(packet)), spot.way, treatment);
            }
            Way::Icmp | Way::Long | Way::Nowhere => self.any(packet, spot, treatment),
            Way::Fragment => self.fragment(packet, treatment),
        }
    }

    #[inline(never)]
    fn fragment(&mut self, packet: &Packet<'_>, treatment: &Treatment) {
        let datagram;
        let (whole, treatment) = match self.models[0].gather(packet, treatment) {
            Gathered::Whole(whole) => {
                datagram = whole;
                (behind_extensions(&datagram.packet(packet)), &datagram.treatment)
            }
            Gathered::Alone => (alone(packet), treatment),
            Gathered::Kept => {
                return self.steps.put(self.all, Step::new(Info::Untracked, Verdict::Stolen));
            }
        };
        let mut spot = Spot::without(Way::Nowhere);
        self.models[0].see_in(&self.table, &whole, treatment, &mut spot);
        match spot.way {
            Way::Tcp | Way::WideTcp | Way::Udp => {
                self.lead(&whole, &spot.probe(Key::wide_of(&whole)), spot.way, treatment);
            }
            Way::Icmp | Way::Long | Way::Nowhere | Way::Fragment => {
                self.any(&whole, &spot, treatment);
            }
        }
    }

    /// The way of a packet that need not be looked up.
    #[inline(never)]
    fn any(&mut self, packet: &Packet<'_>, spot: &Spot, treatment: &Treatment) {
        if treatment.untracked {
            if self.is_counted() {
                self.count(self.all, Counter::Ignore);
            }
            return self.steps.put(self.all, Step::new(Info::Untracked, Verdict::Accept));
        }
        let Some(prepared) = self.models[0].prepare(packet, treatment) else {
            return self.invalid(self.all);
        };
        if self.models[0].icmp(packet, &prepared) != Icmp::Tracked {
            for seat in self.all {
                let zone = treatment.zone;
                let step = self.lend(seat, |model| model.icmp_error(packet, &prepared, zone));
                step.into_iter().for_each(|step| self.steps.put(Seats::one(seat), step));
            }
            return;
        }
        if spot.way == Way::Nowhere {
            return self.invalid(self.all);
        }
        self.lead(packet, &spot.probe(Key::wide_of(packet)), spot.way, treatment);
    }

    /// Leads a packet to its entries, or to its place.
    #[inline(never)]
    fn lead(&mut self, packet: &Packet<'_>, probe: &Probe, way: Way, treatment: &Treatment) {
        let (now, counted) = (self.now(), self.is_counted());
        let Self { table, models, numbers, versioned, .. } = self;
        table.find_shared(probe, way, now, self.all, versioned, |seats, class| {
            numbers.gone(seats, class);
            if counted {
                deleted(models, seats);
            }
        });
        let segment = match way {
            Way::Tcp | Way::WideTcp => parse_acknowledgement(packet.payload, packet.payload_length),
            Way::Udp | Way::Icmp | Way::Long | Way::Nowhere | Way::Fragment => None,
        };
        let datagram = way == Way::Udp && udp_length_fits(packet) == Some(true);
        let mut reopened = Seats::NONE;
        let mut number = 0;
        while let Some(version) = self.versioned.get(number) {
            number += 1;
            let short = match segment {
                Some(segment) => self.acknowledge(&version, &segment, now),
                None if datagram => self.refresh_udp(&version, now),
                None => None,
            };
            match short {
                Some(step) => self.steps.put(version.seats, step),
                None => {
                    let middle = match way {
                        Way::Tcp => self.segment(probe, &version, packet, now),
                        Way::Udp if datagram => self.datagram(probe, &version, now),
                        _ => None,
                    };
                    match middle {
                        Some(step) => self.steps.put(version.seats, step),
                        None => {
                            reopened = reopened.or(self.known(probe, &version, packet, treatment));
                        }
                    }
                }
            }
        }
        let fresh = self.versioned.without.or(reopened);
        if !fresh.is_empty() {
            self.fresh(probe, way, packet, treatment, (fresh, reopened));
        }
    }

    pub(super) fn count(&mut self, seats: Seats, counter: Counter) {
        for seat in seats {
            self.models[seat].counters.add(counter, 1);
        }
    }

    pub(super) fn is_counted(&self) -> bool {
        self.models[0].profile.creation == CounterSource::Counted
    }

    pub(super) fn invalid(&mut self, seats: Seats) {
        self.count(seats, Counter::Invalid);
        self.steps.put(seats, Step::new(Info::Invalid, Verdict::Accept));
    }

    /// What is known of a packet that is looked up.
    pub(super) fn prepared<'a>(&self, packet: &Packet<'a>, treatment: &Treatment) -> Prepared<'a> {
        let prepared = self.models[0].prepare(packet, treatment);
        prepared.unwrap_or(Prepared { transport: None, bad: false })
    }

    #[inline(always)]
    pub(super) fn store(
        &mut self,
        probe: &Probe,
        version: &Version,
        (was, is): (Class, Class),
        life: &Life,
        now: Jiffies,
    ) {
        if was != is {
            self.numbers.change(version.seats, was, is);
            self.steps.note(version.seats);
        }
        self.table.store_shared(probe, version, life, is, now);
    }
}
