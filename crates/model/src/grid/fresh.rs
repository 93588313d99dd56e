//! Packets that have no entry in some of the settings.

use plimsoll_ct::{Class, Counter, Status};
use plimsoll_wire::packet::Packet;

use super::Grid;
use crate::entry::{Memory, Slot};
use crate::model::Prepared;
use crate::plain::Way;
use crate::step::{Fate, Info, Step, Treatment, Verdict, What};
use crate::table::{Extras, Probe, SEATS, Seats, Ticks};
use crate::tcp::EntryView;

const UDP: u8 = 17;

/// Of a packet that finds no room.
const FULL: Step = Step { what: What::TableFull, ..Step::new(Info::Invalid, Verdict::Drop) };

impl Grid {
    /// A packet that has no entry in these settings.
    #[inline(never)]
    pub(super) fn fresh(
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
        let ready = self.make_room(probe, seats);
        self.steps.put(seats.without(ready).without(reopened), FULL);
        self.steps.put(seats.without(ready).and(reopened), Step { reopened: true, ..FULL });
        let Some(first) = { ready }.next() else { return };
        if reopened.is_empty()
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
            self.steps.put(seats.without(reopened), step);
            self.steps.put(seats.and(reopened), Step { reopened: true, ..step });
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
