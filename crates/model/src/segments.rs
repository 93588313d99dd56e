//! The middle way: any other TCP segment and UDP datagram over IPv4, of a flow that has nothing special, and the first
//! of one.
//!
//! Handshakes and closes, options, what is out of order; questions and their answers. The tracker is the same one; what is left out is what such a
//! flow cannot have: a helper, a policy, a translation, somebody who expects it or listens. Whatever is not accepted
//! takes the long way from its beginning, since nothing has changed. What the long way makes of such a packet is
//! the same, which builds with assertions check each time.

use plimsoll_ct::{Class, Counter, State, Status};
use plimsoll_wire::packet::{Packet, parse_transport};

use crate::entry::{Memory, Slot};
use crate::model::Model;
use crate::plain::udp_length_fits;
use crate::step::{Fate, Info, Step, Treatment, Verdict, What};
use crate::table::{EntryId, Found, Glance, Spot};
use crate::tcp::{Direction, EntryView, First, Outcome, Segment, Tcp, answer};
use crate::trackers::{STREAM_AFTER, is_lasting, segment, udp_life};

const TCP: u8 = 6;
/// Of an entry that only the long way knows.
pub(crate) const SPECIAL: Status = Status(Status::EXPECTED.0 | Status::FIXED_TIMEOUT.0);

impl Model {
    /// The middle way of a segment, or the long one.
    ///
    /// Out of line, and nothing that it calls makes a step elsewhere: so a step is written once, where it is wanted.
    #[inline(never)]
    pub(crate) fn segment(
        &mut self,
        packet: &Packet<'_>,
        spot: &Spot,
        treatment: &Treatment,
    ) -> Step {
        match self.bare_segment(packet, spot, treatment) {
            Some(step) => step,
            None => self.any(packet, spot, treatment),
        }
    }

    /// The middle way. `None`: it is another packet, and nothing has changed.
    #[inline(always)]
    fn bare_segment(
        &mut self,
        packet: &Packet<'_>,
        spot: &Spot,
        treatment: &Treatment,
    ) -> Option<Step> {
        if self.events.is_some() {
            return None;
        }
        let now = self.now();
        let found = match self.table.sight(spot, now) {
            Glance::Found(found) => found,
            Glance::Absent => return self.first_segment(packet, spot, treatment),
            Glance::Unclear => match self.sought(spot)? {
                Some(found) => found,
                None => return self.first_segment(packet, spot, treatment),
            },
        };
        if found.direction == Direction::Reply
            && let Some(answer) = answer(packet.payload, packet.payload_length)
        {
            #[cfg(debug_assertions)]
            let expected = Some(self.expected(packet, &found));
            if self.table.answer(&found, &answer, &self.usual, now) {
                #[cfg(debug_assertions)]
                self.compare(&found, expected);
                return Some(self.went(packet, found.id, found.direction, found.info()));
            }
        }
        let transport = parse_transport(TCP, packet.payload, packet.payload_length)?;
        let segment = segment(&transport).filter(|segment| segment.flags.are_valid())?;
        let (status, expires, mut memory) = self.table.tcp(&found)?;
        if status.0 & SPECIAL.0 != 0 {
            return None;
        }
        #[cfg(debug_assertions)]
        let expected = Some(self.expected(packet, &found));
        let replied = status.contains(Status::SEEN_REPLY);
        let was = class(status, &memory);
        let view = EntryView { assured: status.contains(Status::ASSURED), replied };
        let (ticks, assure) = self.accepted(&mut memory, found.direction, &segment, view)?;
        let status = seen(status, found.direction, assure);
        self.classes.change(was, class(status, &memory));
        let expires = self.usual.refreshed(expires, now, ticks);
        self.table.put_tcp(&found, status, expires, &memory);
        #[cfg(debug_assertions)]
        self.compare(&found, expected);
        Some(self.went(packet, found.id, found.direction, info(&found, replied)))
    }

    /// What a walk finds where a glance does not tell, and perhaps nothing. `None`: something that only the long way knows.
    #[inline(never)]
    fn sought(&mut self, spot: &Spot) -> Option<Option<Found>> {
        if self.table.has_translated() {
            return None;
        }
        let found = self.search(&spot.probe(None), None);
        let is_special = found.is_some_and(|found| self.table.has_extras(&found));
        if is_special { None } else { Some(found) }
    }

    /// The same of one that makes an entry.
    #[inline(always)]
    fn first_segment(
        &mut self,
        packet: &Packet<'_>,
        spot: &Spot,
        treatment: &Treatment,
    ) -> Option<Step> {
        let first = First::of(packet.payload, packet.payload_length, &self.settings.tcp)?;
        if !self.takes_bare(spot, treatment) {
            return None;
        }
        let (now, status) = (self.now(), Status::CONFIRMED);
        let ticks = match first {
            First::Syn(_) => self.usual.opening,
            First::Met(_) => self.usual.met,
        };
        let id = self.table.insert_tcp(spot, status, now.plus(ticks), &first, now);
        if cfg!(debug_assertions) {
            self.compare_first(packet, self.table.entry(id));
        }
        Some(self.came(id))
    }

    /// The same of a datagram.
    #[inline(never)]
    pub(crate) fn datagram(
        &mut self,
        packet: &Packet<'_>,
        spot: &Spot,
        treatment: &Treatment,
    ) -> Step {
        match self.bare_datagram(packet, spot, treatment) {
            Some(step) => step,
            None => self.any(packet, spot, treatment),
        }
    }

    /// The middle way of UDP. `None`: as above.
    #[inline(always)]
    fn bare_datagram(
        &mut self,
        packet: &Packet<'_>,
        spot: &Spot,
        treatment: &Treatment,
    ) -> Option<Step> {
        if self.events.is_some() || !udp_length_fits(packet)? {
            return None;
        }
        let now = self.now();
        let found = match self.table.sight(spot, now) {
            Glance::Found(found) => found,
            Glance::Absent => return self.first_datagram(packet, spot, treatment),
            Glance::Unclear => match self.sought(spot)? {
                Some(found) => found,
                None => return self.first_datagram(packet, spot, treatment),
            },
        };
        let (status, stream) = self.table.udp(&found)?;
        if status.0 & SPECIAL.0 != 0 {
            return None;
        }
        let lasting = is_lasting(stream, now)?;
        #[cfg(debug_assertions)]
        let expected = Some(self.expected(packet, &found));
        let replied = status.contains(Status::SEEN_REPLY);
        let (lasts, assures) = udp_life(self.behaviour.udp, replied, lasting);
        let is = seen(status, found.direction, assures);
        let class = |status| Class::of(status, State::Stateless);
        self.classes.change(class(status), class(is));
        let ticks = self.settings.ticks(self.settings.udp[usize::from(lasts)]);
        self.table.set_status(&found, is);
        self.table.extend(&found, |expires| self.usual.refreshed(expires, now, ticks));
        #[cfg(debug_assertions)]
        self.compare(&found, expected);
        Some(self.went(packet, found.id, found.direction, info(&found, replied)))
    }

    /// The same of a datagram that makes an entry.
    #[inline(always)]
    fn first_datagram(
        &mut self,
        packet: &Packet<'_>,
        spot: &Spot,
        treatment: &Treatment,
    ) -> Option<Step> {
        if !self.takes_bare(spot, treatment) {
            return None;
        }
        let (now, status) = (self.now(), Status::CONFIRMED);
        let expires = now.plus(self.settings.ticks(self.settings.udp[0]));
        let stream = now.plus(self.settings.ticks(STREAM_AFTER));
        if cfg!(debug_assertions) {
            self.compare_first(packet, Slot { status, expires, memory: Memory::Udp(stream) });
        }
        let id = self.table.insert_udp(spot, status, expires, stream, now);
        Some(self.came(id))
    }

    /// Whether a packet without an entry may make one that has nothing special, with no more ado.
    #[inline(always)]
    fn takes_bare(&self, spot: &Spot, treatment: &Treatment) -> bool {
        let Treatment { fate, untracked: _, zone: _, policy, helper, local: _ } = *treatment;
        let least = self.profile.chain_limit.map(|limit| u64::from(limit.least));
        fate == Fate::Accepted
            && policy.is_none()
            && helper.is_none()
            && !self.settings.helpers
            && !self.settings.accounting
            && self.accounting.is_empty()
            && self.helpers.expected.is_empty()
            && self.has_room()
            && least.is_none_or(|least| self.table.is_short(spot, least))
    }

    /// What belongs to each entry that comes; it is not assured.
    #[inline(always)]
    fn came(&mut self, id: EntryId) -> Step {
        self.classes.enter(Class::Evictable);
        if self.usual.counted {
            self.counters.add(Counter::New, 1);
            self.counters.add(Counter::Insert, 1);
        }
        let step = Step::new(Info::New, Verdict::Accept);
        Step { what: What::Inserted, entry: Some(id), ..step }
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
    fn compare_first(&self, packet: &Packet<'_>, own: Slot) {
        use crate::model::Prepared;
        let transport = parse_transport(packet.protocol, packet.payload, packet.payload_length);
        let prepared = Prepared { transport, bad: false };
        let long = self.open(Status::CONFIRMED, None, packet, &prepared);
        assert_eq!(Some(own), long, "the middle way went elsewhere");
    }
}

/// What an entry's status becomes behind a packet.
#[inline(always)]
pub(crate) fn seen(mut status: Status, direction: Direction, assures: bool) -> Status {
    if assures {
        status |= Status::ASSURED;
    }
    if direction == Direction::Reply {
        status |= Status::SEEN_REPLY;
    }
    status
}

#[inline(always)]
const fn info(found: &Found, replied: bool) -> Info {
    match (found.direction, replied) {
        (Direction::Original, false) => Info::New,
        (Direction::Original, true) | (Direction::Reply, _) => found.info(),
    }
}

#[inline(always)]
const fn class(status: Status, memory: &Tcp) -> Class {
    if !status.contains(Status::ASSURED) {
        return Class::Evictable;
    }
    Class::of(status, State::Tcp(memory.state))
}
