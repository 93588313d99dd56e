//! The middle way: any other TCP segment over IPv4, of a flow that has nothing special, and the first of one.
//!
//! Handshakes and closes, options, what is out of order. The tracker is the same one; what is left out is what such a
//! flow cannot have: a helper, a policy, a translation, somebody who expects it or listens. Whatever is not accepted
//! takes the long way from its beginning, since nothing has changed. What the long way makes of such a segment is
//! the same, which builds with assertions check each time.

use plimsoll_ct::{Class, Counter, State, Status};
use plimsoll_wire::packet::{Packet, parse_transport};

use crate::model::Model;
use crate::step::{Fate, Info, Step, Treatment, Verdict, What};
use crate::table::{Glance, Spot};
use crate::tcp::{Direction, EntryView, Outcome, Segment, Tcp};
use crate::ticks::Jiffies;
use crate::trackers::segment;

const TCP: u8 = 6;

impl Model {
    /// Tries the middle way. `None`: it is another packet, and nothing has changed.
    #[inline(never)]
    pub(crate) fn segment(
        &mut self,
        packet: &Packet<'_>,
        spot: &Spot,
        treatment: &Treatment,
    ) -> Option<Step> {
        const SPECIAL: Status = Status(Status::EXPECTED.0 | Status::FIXED_TIMEOUT.0);
        if self.events.is_some() {
            return None;
        }
        let transport = parse_transport(TCP, packet.payload, packet.payload_length)?;
        let segment = segment(&transport).filter(|segment| segment.flags.are_valid())?;
        let now = self.now();
        let found = match self.table.sight(spot, now) {
            Glance::Found(found) => found,
            Glance::Absent => return self.first_segment(packet, &segment, spot, treatment),
            Glance::Unclear => return None,
        };
        let (mut status, expires, mut memory) = self.table.tcp(&found)?;
        if status.0 & SPECIAL.0 != 0 {
            return None;
        }
        #[cfg(debug_assertions)]
        let expected = Some(self.expected(packet, &found));
        let replied = status.contains(Status::SEEN_REPLY);
        let was = class(status, &memory);
        let view = EntryView { assured: status.contains(Status::ASSURED), replied };
        let (ticks, assure) = self.accepted(&mut memory, found.direction, &segment, view)?;
        if assure {
            status |= Status::ASSURED;
        }
        let info = match (found.direction, replied) {
            (Direction::Original, false) => Info::New,
            (Direction::Original, true) | (Direction::Reply, _) => found.info(),
        };
        if found.direction == Direction::Reply {
            status |= Status::SEEN_REPLY;
        }
        let is = class(status, &memory);
        if was != is {
            self.classes.leave(was);
            self.classes.enter(is);
        }
        let expires = self.usual.refreshed(expires, now, ticks);
        self.table.put_tcp(&found, status, expires, &memory);
        #[cfg(debug_assertions)]
        self.compare(&found, expected);
        Some(self.went(packet, &found, info))
    }

    /// The same of a SYN that makes an entry.
    #[inline(always)]
    fn first_segment(
        &mut self,
        packet: &Packet<'_>,
        segment: &Segment,
        spot: &Spot,
        treatment: &Treatment,
    ) -> Option<Step> {
        let now = self.now();
        let Treatment { fate, untracked: _, zone: _, policy, helper, local: _ } = *treatment;
        let is_bare = fate == Fate::Accepted
            && policy.is_none()
            && helper.is_none()
            && !self.settings.helpers
            && !self.settings.accounting
            && self.helpers.expected.is_empty();
        if !is_bare || !self.has_room() {
            return None;
        }
        let least = self.profile.chain_limit.map(|limit| u64::from(limit.least));
        if least.is_some_and(|least| !self.table.is_short(spot, least)) {
            return None;
        }
        let (status, ticks) = (Status::CONFIRMED, self.usual.opening);
        let memory = Tcp::opened(segment)?;
        if cfg!(debug_assertions) {
            self.compare_first(packet, status, now.plus(ticks), memory);
        }
        self.classes.enter(class(status, &memory));
        if self.usual.counted {
            self.counters.add(Counter::New, 1);
            self.counters.add(Counter::Insert, 1);
        }
        let id = self.table.insert_tcp(spot, status, now.plus(ticks), &memory, now);
        let step = Step::new(Info::New, Verdict::Accept);
        Some(Step { what: What::Inserted, entry: Some(id), ..step })
    }

    /// What the tracker says of a segment that it accepts: ticks to live, and whether the entry becomes assured.
    #[inline(always)]
    fn accepted(
        &self,
        memory: &mut Tcp,
        direction: Direction,
        segment: &Segment,
        view: EntryView,
    ) -> Option<(u32, bool)> {
        let (settings, timeouts) = (&self.settings.tcp, &self.settings.tcp_timeouts);
        match memory.judge(direction, segment, view, settings, timeouts) {
            Outcome::Refresh { timeout, assure, moved: _ } => {
                Some((self.settings.ticks(timeout), assure))
            }
            Outcome::Ignore | Outcome::Invalid { .. } | Outcome::Reopen | Outcome::Delete => None,
        }
    }

    /// What the long way would make of a first segment.
    fn compare_first(&self, packet: &Packet<'_>, status: Status, expires: Jiffies, memory: Tcp) {
        use crate::entry::{Memory, Slot};
        use crate::model::Prepared;
        use crate::trackers::{Judged, Judgement};
        let transport = parse_transport(packet.protocol, packet.payload, packet.payload_length);
        let prepared = Prepared { transport, bad: false };
        let mut slot =
            Slot { status: Status::CONFIRMED, expires: self.now(), memory: Memory::Nothing };
        let direction = Direction::Original;
        let judged = self.judge(&self.settings, &mut slot, direction, packet, &prepared, false);
        let Judged::Refresh(Judgement { ticks, assure, .. }) = judged else { panic!("{judged:?}") };
        slot.expires = self.now().plus(ticks);
        if assure {
            slot.set(Status::ASSURED);
        }
        let own = Slot { status, expires, memory: Memory::Tcp(memory) };
        assert_eq!(own, slot, "the middle way went elsewhere");
    }
}

#[inline(always)]
const fn class(status: Status, memory: &Tcp) -> Class {
    Class::of(status, State::Tcp(memory.state))
}
