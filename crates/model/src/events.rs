//! What a listener of ctnetlink's events is told: entries that are made, change, and go.
//!
//! Kernel: `nf_conntrack_event_cache()`, `ctnetlink_conntrack_event()`, nf_conntrack_netlink.c. One event
//! leaves for each packet at the most, besides those of entries that it removes. Observed on 6.18: an
//! update names the protocol's state only if that changed; the end of an entry that was killed before its
//! time names what was left of its timeout; what an invalid packet changed (SCTP, a bad chunk behind a good
//! one), or one that was dropped behind the tracker, is told with the entry's next packet that passes. Not modelled: events lost since the listener was slow.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use plimsoll_ct::{CollectorKind, Entry, State, Status};

use crate::entry::Slot;
use crate::model::Model;
use crate::table::{EntryId, Vitals, Whole};

/// What happened to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// It got into the table.
    New,
    /// Its first answer came, it became assured, or its state changed.
    Update,
    /// It left the table.
    Destroy,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Ticks since the first packet.
    pub tick: u64,
    /// What happened.
    pub kind: EventKind,
    /// The entry with what the event tells of it.
    pub entry: Entry,
}

/// What a listener is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Events {
    kept: Vec<Event>,
    /// Entries that a packet changed that was invalid or dropped, and whether their state: told with their next one.
    owed: BTreeMap<EntryId, bool>,
}

const TOLD: Status = Status(Status::SEEN_REPLY.0 | Status::ASSURED.0);

impl Model {
    /// Keeps events from now on, as the kernel does once somebody listens. There is no end to it: who replays listens as long as
    /// there is a model.
    ///
    /// Events are kept until they are [taken](Self::take_events), however many, since none may be lost: take them as packets go.
    /// A packet has one at the most, besides those of entries that it, or the time before it, removes.
    pub fn listen(&mut self) {
        self.events.get_or_insert_default();
        // The short ways do not ask what an entry owes.
        self.usual.long = true;
    }

    /// Takes the events that were kept since the last call, in their order; none if nobody [listens](Self::listen).
    pub fn take_events(&mut self) -> Vec<Event> {
        self.events.as_mut().map(|e| core::mem::take(&mut e.kept)).unwrap_or_default()
    }

    /// An entry was made.
    pub(crate) fn tell_new(&mut self, id: EntryId, slot: &Slot) {
        if self.events.is_some() {
            let entry = self.show(&self.table.whole_as(id, slot));
            self.tell(EventKind::New, entry);
        }
    }

    /// A packet left an entry as `new`; `moved`: the tracker says that its state is news.
    pub(crate) fn tell_update(&mut self, id: EntryId, old: &Vitals, new: &Slot, moved: bool) {
        let Some(events) = &mut self.events else { return };
        let (mut changed, mut moved) = news(old, new, moved);
        if let Some(owed) = events.owed.remove(&id) {
            changed = true;
            moved |= owed;
        }
        if changed {
            let mut entry = self.show(&self.table.whole_as(id, new));
            if !moved {
                entry.state = State::Stateless;
            }
            self.tell(EventKind::Update, entry);
        }
    }

    /// A packet that did not reach the last hook, or is invalid, left an entry as `new`.
    pub(crate) fn owe_update(&mut self, id: EntryId, old: &Vitals, new: &Slot, moved: bool) {
        let Some(events) = &mut self.events else { return };
        if let (true, moved) = news(old, new, moved) {
            *events.owed.entry(id).or_default() |= moved;
        }
    }

    /// An entry goes.
    pub(crate) fn tell_destroy(&mut self, whole: &Whole) {
        if let Some(events) = &mut self.events {
            events.owed.remove(&whole.id);
            let mut entry = self.show(whole);
            entry.helper = None;
            entry.expires = entry.expires.filter(|left| left.get() > 0);
            if !self.behaviour.end_tells_state {
                (entry.state, entry.expires) = (State::Stateless, None);
            }
            // A timer rang when it was time.
            let timers = self.profile.collector == CollectorKind::Timers;
            let since = if timers { whole.slot.expires.left(self.now()).min(0) } else { 0 };
            self.tell_at(self.ticks.saturating_add_signed(since.into()), EventKind::Destroy, entry);
        }
    }

    fn tell(&mut self, kind: EventKind, entry: Entry) {
        self.tell_at(self.ticks, kind, entry);
    }

    fn tell_at(&mut self, tick: u64, kind: EventKind, entry: Entry) {
        if let Some(events) = &mut self.events {
            events.kept.push(Event { tick, kind, entry });
        }
    }
}

/// Whether a change is worth an event, and whether that tells of the state.
fn news(old: &Vitals, new: &Slot, moved: bool) -> (bool, bool) {
    let moved = moved || old.state != new.memory.state();
    (moved || (old.status.0 ^ new.status.0) & TOLD.0 != 0, moved)
}
