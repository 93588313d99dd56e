//! The ways of packets through a grid.

use plimsoll_ct::{Class, Counter, CounterSource, Status};
use plimsoll_wire::packet::{Packet, behind_extensions, parse_acknowledgement};

use super::{Grid, deleted};
use crate::defrag::Gathered;
use crate::entry::{Memory, Slot};
use crate::error::Icmp;
use crate::key::Key;
use crate::life::info;
use crate::model::{Prepared, alone};
use crate::plain::{Way, udp_length_fits};
use crate::step::{Fate, Info, Step, Treatment, Verdict, What};
use crate::table::{Expiries, Extras, Found, Life, Probe, SEATS, Seats, Spot, Ticks, Version};
use crate::tcp::{Direction, EntryView};
use crate::ticks::Jiffies;
use crate::trackers::{Judged, Judgement};

const UDP: u8 = 17;

/// Of a packet that finds no room.
const FULL: Step = Step { what: What::TableFull, ..Step::new(Info::Invalid, Verdict::Drop) };

impl Grid {
    #[inline(always)]
    pub(super) fn settle(&mut self, packet: &Packet<'_>, spot: &Spot, treatment: &Treatment) {
        self.steps.begin();
        match spot.way {
            Way::Tcp | Way::Udp => self.lead(packet, &spot.probe(None), spot.way, treatment),
            Way::WideTcp => {
                self.lead(packet, &spot.probe(Key::wide_of(packet)), spot.way, treatment);
            }
            Way::Long | Way::Nowhere => self.any(packet, spot, treatment),
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
            Way::Long | Way::Nowhere | Way::Fragment => self.any(&whole, &spot, treatment),
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
            Way::Udp | Way::Long | Way::Nowhere | Way::Fragment => None,
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

    fn invalid(&mut self, seats: Seats) {
        self.count(seats, Counter::Invalid);
        self.steps.put(seats, Step::new(Info::Invalid, Verdict::Accept));
    }

    /// What is known of a packet that is looked up.
    fn prepared<'a>(&self, packet: &Packet<'a>, treatment: &Treatment) -> Prepared<'a> {
        let prepared = self.models[0].prepare(packet, treatment);
        prepared.unwrap_or(Prepared { transport: None, bad: false })
    }

    /// A packet of an entry that stands in these settings. Those in which it begins a new one.
    #[inline(never)]
    fn known(
        &mut self,
        probe: &Probe,
        version: &Version,
        packet: &Packet<'_>,
        treatment: &Treatment,
    ) -> Seats {
        let Version { ref found, seats, .. } = *version;
        let Found { id, direction, .. } = *found;
        if self.is_counted() {
            self.count(seats, Counter::Found);
        }
        let prepared = self.prepared(packet, treatment);
        let before = self.table.slot(found);
        let policy = self.table.extras(id).and_then(|extras| extras.policy);
        let view = EntryView {
            assured: before.status.contains(Status::ASSURED),
            replied: before.status.contains(Status::SEEN_REPLY),
        };
        let (now, was) = (self.now(), self.table.expiries(version));
        let (mut ticks, mut expiries) = ([0; SEATS], was);
        let mut first: Option<(Judged, Slot)> = None;
        for seat in self.all {
            let model = &self.models[seat];
            let mut own = before;
            let timeouts = model.timeouts(policy);
            let judged = model.judge(timeouts, &mut own, direction, packet, &prepared, true);
            let (_, slot) = first.get_or_insert((judged, own));
            debug_assert_eq!(slot.memory, own.memory, "a setting's tracker went elsewhere");
            match (judged, &own.memory) {
                // One setting's tracker says all but how long it lasts.
                (Judged::Refresh(_), Memory::Tcp(tcp)) => {
                    ticks = self.ticks(tcp, view, policy);
                    break;
                }
                (Judged::Refresh(judgement), _) => ticks[seat] = judgement.ticks,
                (Judged::Invalid { lower_to }, _) => {
                    expiries.0[seat] = model.lowered(was.0[seat], lower_to);
                }
                (Judged::Ignore | Judged::Reopen | Judged::Delete, _) => {}
            }
            if self.uniform {
                (ticks, expiries) = ([ticks[seat]; SEATS], Expiries([expiries.0[seat]; SEATS]));
                break;
            }
        }
        let Some((judged, mut slot)) = first else { return Seats::NONE };
        let mut step =
            Step { entry: Some(id), ..Step::new(info(before.status, direction), Verdict::Accept) };
        let life = match judged {
            Judged::Refresh(Judgement { assure, .. }) => {
                step.what = What::Refreshed;
                if assure {
                    slot.set(Status::ASSURED);
                }
                let fixed = before.status.contains(Status::FIXED_TIMEOUT);
                if fixed {
                    Life::AsBefore
                } else {
                    Life::Anew(self.table.lasts(ticks, slot.class()))
                }
            }
            Judged::Ignore => {
                step.what = What::Ignored;
                Life::AsBefore
            }
            Judged::Invalid { .. } => {
                let life = if expiries == was { Life::AsBefore } else { Life::Until(expiries) };
                self.table.put_shared(version, &slot);
                self.store(probe, version, (before.class(), slot.class()), &life, now);
                self.invalid(seats);
                return Seats::NONE;
            }
            Judged::Reopen | Judged::Delete => {
                self.table.remove_shared(version);
                self.numbers.gone(seats, before.class());
                if self.is_counted() {
                    deleted(&mut self.models, seats);
                }
                let reopened = judged == Judged::Reopen;
                self.steps.put(seats, Step { entry: None, what: What::Removed, reopened, ..step });
                return if reopened { seats } else { Seats::NONE };
            }
        };
        if direction == Direction::Reply {
            slot.set(Status::SEEN_REPLY);
        }
        self.table.put_shared(version, &slot);
        self.store(probe, version, (before.class(), slot.class()), &life, now);
        self.steps.put(seats, step);
        Seats::NONE
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

    /// A packet that has no entry in these settings.
    #[inline(never)]
    fn fresh(
        &mut self,
        probe: &Probe,
        way: Way,
        packet: &Packet<'_>,
        treatment: &Treatment,
        (seats, reopened): (Seats, Seats),
    ) {
        if !probe.has_inverse() {
            return self.invalid(seats);
        }
        let (ready, served, evicted) = self.make_room(probe, seats);
        self.steps.put(seats.without(ready).without(reopened), FULL);
        self.steps.put(seats.without(ready).and(reopened), Step { reopened: true, ..FULL });
        let Some(first) = { ready }.next() else { return };
        if served.or(reopened).is_empty()
            && let Some(step) = self.first(probe, way, packet, treatment, ready)
        {
            return self.steps.put(ready, step);
        }
        let prepared = self.prepared(packet, treatment);
        let policy = self.models[first].policy(packet, treatment);
        let made = self.models[first].open(Status::CONFIRMED, policy, packet, &prepared);
        let mut step = Step::new(Info::New, Verdict::Accept);
        let (mut put_in, mut too_long, mut id) = (Seats::NONE, Seats::NONE, None);
        match made {
            None => {
                self.count(ready, Counter::Invalid);
                step.info = Info::Invalid;
            }
            Some(slot) => {
                if self.is_counted() {
                    self.count(ready, Counter::New);
                }
                if treatment.fate == Fate::Dropped {
                    step.what = What::NotConfirmed;
                } else {
                    too_long = self.where_too_long(probe, ready);
                    put_in = ready.without(too_long);
                    self.count(too_long, Counter::ChainTooLong);
                    self.count(too_long, Counter::InsertFailed);
                }
                if !put_in.is_empty() {
                    let ticks = self.ticks_first(&slot, policy, packet, &prepared);
                    let lasts = self.table.lasts(ticks, slot.class());
                    self.enter(put_in, slot.class());
                    let extras = Extras { policy, ..Extras::default() };
                    let (now, lasts) = (self.now(), (put_in, &lasts));
                    id = Some(self.table.insert_shared(probe, &slot, now, extras, lasts));
                }
            }
        }
        let long = Step { what: What::ChainTooLong, verdict: Verdict::Drop, ..step };
        let there = Step { what: What::Inserted, entry: id, ..step };
        let told = [(too_long, long), (put_in, there), (ready.without(too_long.or(put_in)), step)];
        for (seats, step) in told {
            let own = seats.and(served.or(reopened));
            self.steps.put(seats.without(own), step);
            for seat in own {
                let (reopened, evicted) = (reopened.contains(seat), evicted[seat]);
                self.steps.put(Seats::one(seat), Step { reopened, evicted, ..step });
            }
        }
        self.steps.note(put_in);
    }

    /// How long an entry lasts that a packet has made, under each of the settings.
    #[inline(always)]
    fn ticks_first(
        &self,
        slot: &Slot,
        policy: Option<u8>,
        packet: &Packet<'_>,
        prepared: &Prepared<'_>,
    ) -> Ticks {
        let view = EntryView { assured: false, replied: false };
        match (&slot.memory, policy) {
            (Memory::Tcp(tcp), None) => self.ticks(tcp, view, None),
            (_, None) if packet.protocol == UDP => self.lasting.udp[0][0].ticks,
            (_, _) => {
                let now = self.now();
                if self.uniform {
                    return [slot.expires.left(now).cast_unsigned(); SEATS];
                }
                let mut ticks = [0; SEATS];
                for seat in self.all {
                    let own = self.models[seat].open(Status::CONFIRMED, policy, packet, prepared);
                    ticks[seat] = own.map_or(0, |own| own.expires.left(now).cast_unsigned());
                }
                ticks
            }
        }
    }

    /// An entry of a class comes in some settings.
    pub(super) fn enter(&mut self, seats: Seats, class: Class) {
        if self.is_counted() {
            self.count(seats, Counter::Insert);
        }
        self.numbers.came(seats, class);
    }
}
