//! The life of an entry: found, refreshed, changed, made, gone.

use alloc::vec::Vec;

use plimsoll_ct::{Accounting, Counter, CounterSource, Status, Zone};
use plimsoll_wire::packet::Packet;

use crate::entry::{Memory, Slot};
use crate::helper::Origin;
use crate::key::Key;
use crate::model::{Model, Prepared};
use crate::policy::Timeouts;
use crate::settings::Settings;
use crate::step::{Fate, Info, Step, Treatment, Verdict, What};
use crate::table::{EntryId, Extras, Found, Glance, Probe, Vitals, Whole};
use crate::tcp::Direction;
use crate::ticks::Jiffies;
use crate::trackers::{Judged, Judgement};

impl Model {
    #[inline]
    pub(crate) fn find(&mut self, probe: &Probe) -> Option<Found> {
        let found = match self.table.glance(probe, self.now()) {
            Glance::Found(found) => Some(found),
            Glance::Absent => None,
            Glance::Unclear => self.search(probe, None),
        };
        if found.is_some() && self.profile.creation == CounterSource::Counted {
            self.counters.add(Counter::Found, 1);
        }
        found
    }

    /// The same for a packet in a zone that may be one direction's only: in its original direction an entry is met if it
    /// is in the zone that this one is for that direction, and likewise in the other. `probe`: in the zone of the
    /// original direction.
    pub(crate) fn find_in(&mut self, probe: &Probe, zone: Zone) -> Option<Found> {
        if zone.of_original() == zone.of_reply() {
            self.find(probe)
        } else {
            self.find_apart(probe, zone)
        }
    }

    #[cold]
    fn find_apart(&mut self, probe: &Probe, zone: Zone) -> Option<Found> {
        let back = self.table.probe(probe.key.in_zone(zone.of_reply()));
        let asking = self.search(probe, Some(Direction::Original));
        let found = match asking {
            Some(_) if self.behaviour.zones_scatter => asking,
            Some(asked) => match self.search(&back, Some(Direction::Reply)) {
                Some(other) if self.table.younger(asked.id, other.id) == other.id => Some(other),
                // That search may have moved it.
                _ => self.search(probe, Some(Direction::Original)),
            },
            None => self.search(&back, Some(Direction::Reply)),
        };
        if found.is_some() && self.profile.creation == CounterSource::Counted {
            self.counters.add(Counter::Found, 1);
        }
        found
    }

    /// Looks where something may have expired, or nothing was found at a glance; `only` in this direction.
    pub(crate) fn search(&mut self, probe: &Probe, only: Option<Direction>) -> Option<Found> {
        let now = self.now();
        let (classes, counters) = (&mut self.classes, &mut self.counters);
        let counted = self.profile.creation == CounterSource::Counted;
        let listening = self.events.is_some();
        let mut ended = Vec::new();
        let found = self.table.find(probe, only, now, |leaving| {
            classes.leave(leaving.class());
            if counted {
                counters.add(Counter::Delete, 1);
            }
            if listening || leaving.concerns_helpers() {
                ended.push(leaving.whole());
            }
        });
        let helpers = ended.iter().any(Whole::concerns_helpers);
        for whole in ended {
            self.ended(&whole);
        }
        if helpers && found.is_some() {
            // What a helper's entry takes with it may have been that one, or moved it.
            return self.table.find(probe, only, now, |_| {});
        }
        found
    }

    /// A packet of an entry that is in the table.
    #[inline]
    pub(crate) fn known(
        &mut self,
        found: &Found,
        packet: &Packet<'_>,
        prepared: &Prepared<'_>,
        rules: impl FnOnce(Info, Option<EntryId>) -> Fate,
    ) -> Step {
        let Found { id, direction, .. } = *found;
        let mut slot = self.table.slot(found);
        let before = slot.vitals();
        let info = info(before.status, direction);
        let policy = self.table.extras(id).and_then(|extras| extras.policy);
        let timeouts = self.timeouts(policy);
        let unjudged = self.complains(packet.protocol).then_some(slot);
        let judged = self.judge(timeouts, &mut slot, direction, packet, prepared, true);
        let mut step = Step { entry: Some(id), ..Step::new(info, Verdict::Accept) };
        let mut moved = false;
        if let Some(old) = &unjudged {
            let lower_to = if let Judged::Invalid { lower_to } = judged { lower_to } else { None };
            let lowered = self.lowered(old.expires, lower_to) != old.expires;
            let made = (&slot, judged);
            self.complain_about(packet, prepared, direction, unjudged.as_ref(), made, lowered);
        }
        match judged {
            Judged::Refresh(Judgement { ticks, assure, told }) => {
                moved = told;
                step.what = What::Refreshed;
                self.refresh(&mut slot, ticks);
                if assure {
                    slot.set(Status::ASSURED);
                }
                self.account(id, direction, packet.length);
            }
            Judged::Ignore => step.what = What::Ignored,
            Judged::Invalid { lower_to } => {
                slot.expires = self.lowered(slot.expires, lower_to);
                self.store(found, &before, &slot);
                self.owe_update(id, &before, &slot, false);
                return self.invalid(Counter::Invalid);
            }
            Judged::Reopen | Judged::Delete => {
                // What ends an entry is counted still, what begins another is not.
                if judged == Judged::Delete {
                    self.account(id, direction, packet.length);
                }
                self.store(found, &before, &slot);
                self.remove(id);
                step.what = What::Removed;
                step.entry = None;
                step.reopened = judged == Judged::Reopen;
                return step;
            }
        }
        if direction == Direction::Reply {
            slot.set(Status::SEEN_REPLY);
        }
        self.store(found, &before, &slot);
        // A listener is told at the last hook, behind the helper.
        let fate = rules(info, Some(id));
        if fate == Fate::Accepted && !self.help(&step, direction, packet) {
            step.verdict = Verdict::Drop;
        }
        if step.verdict == Verdict::Drop || fate == Fate::Dropped {
            self.owe_update(id, &before, &slot, moved);
        } else {
            self.tell_update(id, &before, &slot, moved);
        }
        step
    }

    /// The expiry that an invalid packet leaves.
    pub(crate) fn lowered(&self, expires: Jiffies, lower_to: Option<u32>) -> Jiffies {
        let now = self.now();
        let left = expires.left(now);
        // Below two minutes the kernel leaves the entry alone, whatever the timeout is.
        match lower_to.filter(|&ticks| left > ticks as i32) {
            Some(ticks) if left >= (120 * self.settings.hz) as i32 => now.plus(ticks),
            Some(_) | None => expires,
        }
    }

    #[inline]
    fn store(&mut self, found: &Found, before: &Vitals, slot: &Slot) {
        self.classes.change(before.class(), slot.class());
        self.table.put(found, slot);
    }

    #[inline]
    pub(crate) fn refresh(&self, slot: &mut Slot, ticks: u32) {
        if slot.status.contains(Status::FIXED_TIMEOUT) {
            return;
        }
        slot.expires = self.usual.refreshed(slot.expires, self.now(), ticks);
    }

    /// A packet without an entry.
    pub(crate) fn fresh(
        &mut self,
        probe: &Probe,
        packet: &Packet<'_>,
        prepared: &Prepared<'_>,
        treatment: &Treatment,
        rules: impl FnOnce(Info, Option<EntryId>) -> Fate,
    ) -> Step {
        if !probe.has_inverse() {
            return self.invalid(Counter::Invalid);
        }
        let evicted = match self.make_room(probe) {
            Some(evicted) => evicted,
            None => {
                self.counters.add(Counter::Drop, 1);
                let what = What::TableFull;
                return Step { what, ..Step::new(Info::Invalid, Verdict::Drop) };
            }
        };
        let now = self.now();
        let Origin { master, helper, status } = self.origin(probe.key, packet, treatment);
        let policy = self.policy(packet, treatment);
        let Some(slot) = self.open(Status::CONFIRMED | status, policy, packet, prepared) else {
            if self.complains(packet.protocol) {
                let nothing = Slot { status, expires: now, memory: Memory::Nothing };
                let made = (&nothing, Judged::Invalid { lower_to: None });
                self.complain_about(packet, prepared, Direction::Original, None, made, false);
            }
            return Step { evicted, ..self.invalid(Counter::Invalid) };
        };
        let info = if master.is_some() { Info::Related } else { Info::New };
        let mut step = Step { evicted, ..Step::new(info, Verdict::Accept) };
        if self.profile.creation == CounterSource::Counted {
            self.counters.add(Counter::New, 1);
        }
        if rules(info, None) == Fate::Dropped {
            self.end_call_of(&probe.key, master);
            step.what = What::NotConfirmed;
            return step;
        }
        if self.chain_is_too_long(probe) {
            self.end_call_of(&probe.key, master);
            self.counters.add(Counter::ChainTooLong, 1);
            self.counters.add(Counter::InsertFailed, 1);
            step.what = What::ChainTooLong;
            step.verdict = Verdict::Drop;
            return step;
        }
        let zone = Some(treatment.zone).filter(|zone| zone.is_one_way());
        let reply = probe.key.inverse().map(|key| key.in_zone(treatment.zone.of_reply()));
        if let Some(other) = reply.and_then(|reply| self.clash(&reply, treatment.zone)) {
            self.end_call_of(&probe.key, master);
            step.what = What::Clashed;
            if self.behaviour.clashes_join && !connects(packet.protocol) {
                self.counters.add(Counter::ClashResolved, 1);
                self.account(other, Direction::Original, packet.length);
                step.entry = Some(other);
                return step;
            }
            self.counters.add(Counter::Drop, 1);
            self.counters.add(Counter::InsertFailed, 1);
            step.verdict = Verdict::Drop;
            return step;
        }
        if self.profile.creation == CounterSource::Counted {
            self.counters.add(Counter::Insert, 1);
        }
        self.classes.enter(slot.class());
        let extras = Extras { reply, policy, helper, master, zone, outdone: false };
        let id = self.table.insert(probe, &slot, now, extras);
        self.begin_account(id, self.settings.accounting.then(Default::default));
        self.account(id, Direction::Original, packet.length);
        self.tell_new(id, &slot);
        step.what = What::Inserted;
        step.entry = Some(id);
        step
    }

    /// The entry in the way of a new one with answers of this key.
    pub(crate) fn clash(&self, reply: &Key, zone: Zone) -> Option<EntryId> {
        self.table.clashes(reply, zone, self.behaviour.zones_scatter)
    }

    /// The policy that governs the entry that a packet makes.
    pub(crate) fn policy(&self, packet: &Packet<'_>, treatment: &Treatment) -> Option<u8> {
        treatment.policy.filter(|&p| self.governs(p, packet.protocol))
    }

    /// The entry that a packet makes; `None`: it is invalid.
    pub(crate) fn open(
        &self,
        status: Status,
        policy: Option<u8>,
        packet: &Packet<'_>,
        prepared: &Prepared<'_>,
    ) -> Option<Slot> {
        let now = self.now();
        let mut slot = Slot { status, expires: now, memory: Memory::Nothing };
        // A rule comes behind the tracker: it finds the entry made, and gives it what new entries get.
        let by_rule = policy.filter(|_| self.behaviour.late_rules);
        let timeouts = self.timeouts(policy.filter(|_| by_rule.is_none()));
        match self.judge(timeouts, &mut slot, Direction::Original, packet, prepared, false) {
            Judged::Refresh(Judgement { ticks, assure, .. }) => {
                slot.expires = now.plus(ticks);
                if assure {
                    slot.set(Status::ASSURED);
                }
            }
            Judged::Ignore => {}
            Judged::Invalid { .. } | Judged::Reopen | Judged::Delete => return None,
        }
        if let Some(own) = by_rule.and_then(|p| self.in_force(p)) {
            slot.expires = now.plus(self.settings.ticks(own.first));
        }
        Some(slot)
    }

    /// Whether there is a policy of this number for this protocol.
    fn governs(&self, policy: u8, protocol: u8) -> bool {
        self.in_force(policy).is_some_and(|own| own.protocol == protocol)
    }

    fn in_force(&self, policy: u8) -> Option<&Timeouts> {
        self.policies.get(usize::from(policy))?.as_ref()
    }

    /// The settings whose timeouts count.
    pub(crate) fn timeouts(&self, policy: Option<u8>) -> &Settings {
        let own = policy.and_then(|policy| self.in_force(policy));
        own.map_or(&self.settings, |own| &own.settings)
    }

    /// What an entry that has come has moved so far; `None`: nobody counts.
    pub(crate) fn begin_account(&mut self, id: EntryId, moved: Option<[Accounting; 2]>) {
        if moved.is_some() && self.accounting.len() <= id.index() {
            self.accounting.resize(id.index() + 1, None);
        }
        // Else what is there is another's, who is gone.
        if let Some(account) = self.accounting.get_mut(id.index()) {
            *account = moved;
        }
    }

    #[inline]
    pub(crate) fn account(&mut self, id: EntryId, direction: Direction, octets: u32) {
        if let Some(Some(both)) = self.accounting.get_mut(id.index()) {
            let a = &mut both[direction as usize];
            a.packets += 1;
            a.bytes += u64::from(octets);
        }
    }

    /// An entry goes: what listens is told, what its helper expected goes with it.
    pub(crate) fn ended(&mut self, whole: &Whole) {
        self.tell_destroy(whole);
        if whole.concerns_helpers() {
            self.forget(whole);
        }
    }

    pub(crate) fn remove(&mut self, id: EntryId) {
        let concerns_helpers = self.table.extras(id).is_some_and(Extras::concerns_helpers);
        let told = self.events.is_some() || concerns_helpers;
        let whole = if told { self.table.whole(id) } else { None };
        let vitals = self.table.remove(id);
        self.classes.leave(vitals.class());
        if self.profile.creation == CounterSource::Counted {
            self.counters.add(Counter::Delete, 1);
        }
        // What ends with it is looked for, and that must not find it once more.
        if let Some(whole) = whole {
            self.ended(&whole);
        }
    }
}

/// Whether who asks first is part of what a protocol's tracker knows: packets of two entries are no matter of chance then.
const fn connects(protocol: u8) -> bool {
    matches!(protocol, 1 | 6 | 33 | 47 | 58 | 132)
}

/// The class of a packet of an entry with this status.
pub(crate) const fn info(status: Status, direction: Direction) -> Info {
    match direction {
        Direction::Reply => Info::EstablishedReply,
        Direction::Original if status.contains(Status::SEEN_REPLY) => Info::Established,
        Direction::Original if status.contains(Status::EXPECTED) => Info::Related,
        Direction::Original => Info::New,
    }
}
