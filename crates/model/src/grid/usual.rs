//! The short and the middle ways of a grid: what packets do that are nothing special, as far as they find entries that aren't
//! either, or make them. What [`crate::plain`] and [`crate::segments`] are to a model.

use plimsoll_ct::{Class, Counter, State, Status, TcpState};
use plimsoll_wire::packet::{Acknowledgement, Packet, parse_transport};

use super::Grid;
use crate::life::info;
use crate::plain::{Way, plain_datagram, udp_length_fits};
use crate::segments::{SPECIAL, seen};
use crate::step::{Fate, Info, Step, Treatment, Verdict, What};
use crate::table::{EntryId, Lasts, Life, Probe, SEATS, Seats, Ticks, Version};
use crate::tcp::{Direction, EntryView, First, Outcome, Tcp, answer};
use crate::ticks::Jiffies;
use crate::trackers::{STREAM_AFTER, is_lasting, segment, udp_life};

const TCP: u8 = 6;

impl Grid {
    /// The short ways of a TCP segment that only acknowledges, or completes a handshake. `None`: it is not that simple, and
    /// nothing has changed.
    #[inline(always)]
    pub(super) fn acknowledge(
        &mut self,
        version: &Version,
        segment: &Acknowledgement,
        now: Jiffies,
    ) -> Option<Step> {
        let Version { ref found, seats, .. } = *version;
        let Self { table, lasting, .. } = self;
        let number = match table.acknowledge_shared(found, segment, &lasting.numbered) {
            Some(number) => number,
            None => {
                let number = table.complete_shared(found, segment, &lasting.numbered)?;
                self.numbers.change(seats, Class::Evictable, Class::Protected);
                self.steps.note(seats);
                number
            }
        };
        table.refresh_shared(version, &lasting.established[number as usize & 7], now);
        Some(self.went(found.id, seats, found.info()))
    }

    /// The short way of a UDP datagram over IPv4 to an entry without extras. `None`: it is not that simple, and nothing has changed.
    #[inline(always)]
    pub(super) fn refresh_udp(&mut self, version: &Version, now: Jiffies) -> Option<Step> {
        let Version { ref found, seats, .. } = *version;
        if self.table.has_extras(found) {
            return None;
        }
        let (status, stream) = self.table.udp(found)?;
        let lasting = is_lasting(stream, now)?;
        let (lasts, info) = plain_datagram(self.models[0].behaviour.udp, found, status, lasting)?;
        let assured = status.contains(Status::ASSURED);
        let lasts = &self.lasting.udp[usize::from(assured)][usize::from(lasts)];
        self.table.refresh_shared(version, lasts, now);
        Some(self.went(found.id, seats, info))
    }

    /// The middle way of a TCP segment over IPv4, to an entry that has nothing special. `None`: it is not accepted, and nothing has
    /// changed.
    #[inline(never)]
    pub(super) fn segment(
        &mut self,
        probe: &Probe,
        version: &Version,
        packet: &Packet<'_>,
        now: Jiffies,
    ) -> Option<Step> {
        let Version { ref found, seats, .. } = *version;
        if found.direction == Direction::Reply
            && let Some(answer) = answer(packet.payload, packet.payload_length)
            && self.table.answer_shared(found, &answer)
        {
            let life = Life::Anew(self.begins(TcpState::SynRecv));
            self.store(probe, version, (Class::Evictable, Class::Evictable), &life, now);
            return Some(self.went(found.id, seats, found.info()));
        }
        let (status, _, mut memory) = self.table.tcp(found)?;
        if status.0 & SPECIAL.0 != 0 || self.table.has_extras(found) {
            return None;
        }
        let transport = parse_transport(TCP, packet.payload, packet.payload_length)?;
        let segment = segment(&transport).filter(|segment| segment.flags.are_valid())?;
        let replied = status.contains(Status::SEEN_REPLY);
        let view = EntryView { assured: status.contains(Status::ASSURED), replied };
        let was = Class::of(status, State::Tcp(memory.state));
        let settings = &self.models[0].settings.tcp;
        let outcome = memory.judge_but_timeout(found.direction, &segment, view, settings);
        let Outcome::Refresh { assure, .. } = outcome else { return None };
        let status_now = seen(status, found.direction, assure);
        let is = Class::of(status_now, State::Tcp(memory.state));
        let life = Life::Anew(self.lasts(&memory, view, is));
        self.table.put_tcp_shared(version, status_now, &memory);
        self.store(probe, version, (was, is), &life, now);
        Some(self.went(found.id, seats, info(status, found.direction)))
    }

    /// The same of a UDP datagram.
    #[inline(never)]
    pub(super) fn datagram(
        &mut self,
        probe: &Probe,
        version: &Version,
        now: Jiffies,
    ) -> Option<Step> {
        let Version { ref found, seats, .. } = *version;
        let (status, stream) = self.table.udp(found)?;
        if status.0 & SPECIAL.0 != 0 || self.table.has_extras(found) {
            return None;
        }
        let replied = status.contains(Status::SEEN_REPLY);
        let lasting = is_lasting(stream, now)?;
        let (lasts, assures) = udp_life(self.models[0].behaviour.udp, replied, lasting);
        let status_now = seen(status, found.direction, assures);
        let class = |status| Class::of(status, State::Stateless);
        let assured = status_now.contains(Status::ASSURED);
        let life = Life::Anew(self.lasting.udp[usize::from(assured)][usize::from(lasts)]);
        self.table.set_status(found, status_now);
        self.store(probe, version, (class(status), class(status_now)), &life, now);
        Some(self.went(found.id, seats, info(status, found.direction)))
    }

    #[inline(always)]
    fn went(&mut self, id: EntryId, seats: Seats, info: Info) -> Step {
        if self.models[0].usual.counted {
            self.count(seats, Counter::Found);
        }
        let step = Step::new(info, Verdict::Accept);
        Step { entry: Some(id), what: What::Refreshed, ..step }
    }

    /// How long a TCP entry without a policy lasts whose tracker has let it live on, under each of the settings, being of a class now.
    #[inline(always)]
    fn lasts(&mut self, tcp: &Tcp, view: EntryView, class: Class) -> Lasts {
        let Self { lasting, models, table, .. } = self;
        match lasting.of_tcp(tcp, view, class, &models[0].settings.tcp, table) {
            Some(lasts) => *lasts,
            None => {
                let ticks = self.ticks(tcp, view, None);
                self.table.lasts(ticks, class)
            }
        }
    }

    /// The same of one that is not assured and has just begun, or been answered for the first time.
    #[inline(always)]
    fn begins(&mut self, state: TcpState) -> Lasts {
        let Self { lasting, models, table, .. } = self;
        *lasting.begins(state, models, table)
    }

    /// The same in ticks, and of one that may have a policy.
    #[inline(never)]
    pub(super) fn ticks(&self, tcp: &Tcp, view: EntryView, policy: Option<u8>) -> Ticks {
        let settings = &self.models[0].settings.tcp;
        let plainly = tcp.lasts_plainly(view, settings).filter(|_| policy.is_none());
        plainly.and_then(|plainly| self.lasting.plainly(&plainly)).unwrap_or_else(|| {
            let mut ticks = [0; SEATS];
            for seat in self.all {
                let model = &self.models[seat];
                let timeouts = &model.timeouts(policy).tcp_timeouts;
                ticks[seat] = model.settings.ticks(tcp.lasts(view, settings, timeouts));
            }
            ticks
        })
    }

    /// The middle way of a TCP segment or a UDP datagram over IPv4 that makes an entry which has nothing special, there being room for
    /// it. `None`: it does not, and nothing has changed.
    #[inline(always)]
    pub(super) fn first(
        &mut self,
        probe: &Probe,
        way: Way,
        packet: &Packet<'_>,
        treatment: &Treatment,
        seats: Seats,
    ) -> Option<Step> {
        if treatment.fate == Fate::Dropped || treatment.policy.is_some() {
            return None;
        }
        let least = self.models[0].profile.chain_limit.map(|limit| u64::from(limit.least));
        if least.is_some_and(|least| self.table.chain_length(probe, least) > least) {
            return None;
        }
        let id = match way {
            Way::Tcp => self.first_segment(probe, packet, seats)?,
            Way::Udp if udp_length_fits(packet) == Some(true) => self.first_datagram(probe, seats),
            _ => return None,
        };
        if self.is_counted() {
            self.count(seats, Counter::New);
        }
        self.enter(seats, Class::Evictable);
        self.steps.note(seats);
        Some(Step {
            what: What::Inserted,
            entry: Some(id),
            ..Step::new(Info::New, Verdict::Accept)
        })
    }

    #[inline(always)]
    fn first_datagram(&mut self, probe: &Probe, seats: Seats) -> EntryId {
        let (now, status) = (self.now(), Status::CONFIRMED);
        let stream = now.plus(self.models[0].settings.ticks(STREAM_AFTER));
        let lasts = (seats, &self.lasting.udp[0][0]);
        self.table.insert_udp_shared(probe, status, stream, now, lasts)
    }

    #[inline(always)]
    fn first_segment(
        &mut self,
        probe: &Probe,
        packet: &Packet<'_>,
        seats: Seats,
    ) -> Option<EntryId> {
        let settings = &self.models[0].settings.tcp;
        let first = First::of(packet.payload, packet.payload_length, settings)?;
        let lasts = self.begins(first.state());
        let (now, status) = (self.now(), Status::CONFIRMED);
        Some(self.table.insert_tcp_shared(probe, status, &first, now, (seats, &lasts)))
    }
}
