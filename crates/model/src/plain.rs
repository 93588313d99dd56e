//! The short ways: what the commonest packets do to entries that are there, in place.
//!
//! A plain TCP segment in good order, and a UDP datagram that changes nothing but its entry's expiry. What the long
//! way makes of such a packet is the same, which builds with assertions check each time.

use plimsoll_ct::{Class as EntryClass, Counter, CounterSource, Profile, Status, TcpState};
use plimsoll_wire::packet::{Acknowledgement, Packet, parse_acknowledgement};

use crate::behaviour::UdpRule;
use crate::key::Key;
use crate::life::info;
use crate::model::{Model, refreshed};
use crate::segments::{SPECIAL, seen};
use crate::settings::Settings;
use crate::step::{Info, Step, Treatment, Verdict, What};
use crate::table::{EntryId, Found, Glance, Spot};
use crate::tcp::{Class, Direction, Open, side};
use crate::ticks::Jiffies;
use crate::trackers::{is_lasting, udp_life};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Which way a packet takes, as far as it is known before the table is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It lacks the octets that make a tuple.
    Nowhere,
    /// To the defragmenter.
    Fragment,
    /// The long one.
    Long,
    /// Short, if it can be: TCP over IPv4.
    Tcp,
    /// UDP over IPv4.
    Udp,
    /// ICMP over IPv4.
    Icmp,
    /// TCP over IPv6.
    WideTcp,
}

/// The ways of protocols, over IPv4 and over IPv6: looked up, since nobody can foretell which one comes next.
static WAYS: [[Way; 256]; 2] = {
    let mut ways = [[Way::Long; 256]; 2];
    ways[0][TCP as usize] = Way::Tcp;
    ways[0][UDP as usize] = Way::Udp;
    ways[0][ICMP as usize] = Way::Icmp;
    ways[1][TCP as usize] = Way::WideTcp;
    ways
};

/// What the short ways need to know of settings and generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usual {
    /// Timeouts of an assured TCP flow in ESTABLISHED behind an acknowledgement, in ticks: by the bits of
    /// [`Usual::established`].
    established: [u32; 8],
    /// The timeout behind a SYN that opens a flow, in ticks.
    pub(crate) opening: u32,
    /// The one behind its answer.
    pub(crate) answered: u32,
    /// The one behind an acknowledgement that is met in the middle of a flow.
    pub(crate) met: u32,
    max_retrans: u8,
    /// See [`refreshed`].
    pub(crate) least: u32,
    /// No short way: checksums matter, packets are complained about, somebody listens, or the index tells nothing of when entries expire.
    pub(crate) long: bool,
    /// Lookups are counted.
    pub(crate) counted: bool,
    /// They are, or entries are accounted.
    pub(crate) noted: bool,
}

impl Usual {
    pub(crate) fn of(profile: &Profile, settings: &Settings, least: u32) -> Self {
        let tcp = &settings.tcp;
        let mut established = [0; 8];
        for (bits, ticks) in established.iter_mut().enumerate() {
            let open = Open {
                flags: if bits & 1 != 0 { side::DATA_UNACKNOWLEDGED } else { 0 },
                window: u16::from(bits & 2 == 0),
                retransmissions: if bits & 4 != 0 { tcp.max_retrans } else { 0 },
            };
            // A bound of 0 is reached at once.
            let timeout =
                open.timeout(Class::Ack, TcpState::Established, tcp, &settings.tcp_timeouts);
            *ticks = settings.ticks(timeout);
        }
        let begins = |class, state| {
            let open = Open { flags: 0, window: 0, retransmissions: 0 };
            open.timeout(class, state, tcp, &settings.tcp_timeouts)
        };
        let met = begins(Class::Ack, TcpState::Established);
        Self {
            established,
            opening: settings.ticks(begins(Class::Syn, TcpState::SynSent)),
            answered: settings.ticks(begins(Class::SynAck, TcpState::SynRecv)),
            // Nobody has answered it.
            met: settings.ticks(met.min(settings.tcp_timeouts.unacknowledged)),
            max_retrans: tcp.max_retrans,
            least,
            long: settings.checksum || settings.log_invalid != 0,
            counted: profile.creation == CounterSource::Counted,
            noted: profile.creation == CounterSource::Counted || settings.accounting,
        }
    }

    /// The timeout of a flow, in ticks.
    #[inline(always)]
    pub(crate) const fn established(&self, unacknowledged: bool, closed: bool) -> u32 {
        self.established[unacknowledged as usize | (closed as usize) << 1]
    }

    /// The same behind a segment that came so many times again.
    #[inline(always)]
    pub(crate) const fn repeated(&self, unacknowledged: bool, closed: bool, times: u8) -> u32 {
        let enough = times >= self.max_retrans;
        self.established[unacknowledged as usize | (closed as usize) << 1 | (enough as usize) << 2]
    }

    /// With numbers in place of timeouts: those by which [`Usual::timeouts`] gives them.
    pub(crate) const fn numbered(&self) -> Self {
        Self { established: [0, 1, 2, 3, 4, 5, 6, 7], ..*self }
    }

    /// See [`Usual::numbered`].
    pub(crate) const fn timeouts(&self) -> &[u32; 8] {
        &self.established
    }

    /// The expiry that a refresh makes.
    #[inline(always)]
    pub(crate) fn refreshed(&self, expires: Jiffies, now: Jiffies, ticks: u32) -> Jiffies {
        refreshed(expires, now, ticks, self.least)
    }
}

/// Whether a UDP header's length is one that the packet can have; `None`: the header is cut before it.
#[inline(always)]
pub(crate) fn udp_length_fits(packet: &Packet<'_>) -> Option<bool> {
    let [.., high, low] = *packet.payload.first_chunk::<6>()?;
    let length = u32::from(u16::from_be_bytes([high, low]));
    Some(length >= 8 && length <= packet.payload_length)
}

/// Which timeout a datagram gives its entry, the stream's being the second, and what it is; `lasting`: the entry is older
/// than two seconds. `None`: it changes more than that.
#[inline(always)]
pub(crate) const fn plain_datagram(
    rule: UdpRule,
    found: &Found,
    status: Status,
    lasting: bool,
) -> Option<(bool, Info)> {
    let replied = status.contains(Status::SEEN_REPLY);
    let info = match (found.direction, replied) {
        (_, true) => found.info(),
        (Direction::Original, false) => Info::New,
        (Direction::Reply, false) => return None,
    };
    let (lasts, assures) = udp_life(rule, replied, lasting);
    let changes = assures && !status.contains(Status::ASSURED);
    if changes || status.contains(Status::FIXED_TIMEOUT) { None } else { Some((lasts, info)) }
}

impl Model {
    /// The way of a packet that is looked up in the table; `special`: it is treated so that only the long one will do.
    #[inline(always)]
    pub(crate) const fn way(&self, packet: &Packet<'_>, special: bool) -> Way {
        if special || self.usual.long {
            return Way::Long;
        }
        WAYS[packet.is_v6() as usize][packet.protocol as usize]
    }

    /// The short way of TCP over IPv4, to the entry that was foreseen. `None`: it is another packet or entry, and
    /// nothing has changed.
    ///
    /// Out of line, and calling nothing: so what it needs stays in registers.
    #[inline(never)]
    pub(crate) fn acknowledge(&mut self, packet: &Packet<'_>, spot: &Spot) -> Option<Direction> {
        let segment = parse_acknowledgement(packet.payload, packet.payload_length)?;
        let now = self.now();
        #[cfg(debug_assertions)]
        let expected =
            self.table.own(spot, now).map(|found| (self.expected(packet, &found), found));
        let direction = self.table.acknowledge(spot, &segment, &self.usual, now)?;
        #[cfg(debug_assertions)]
        if let Some((expected, found)) = expected {
            assert_eq!(found.direction, direction, "another direction");
            self.compare(&found, Some(expected));
        }
        Some(direction)
    }

    /// The same to one that stands elsewhere, or where something may have expired, and of the one that completes a handshake;
    /// any other segment goes the middle way, or the long one.
    #[inline(never)]
    pub(crate) fn less_plain(
        &mut self,
        packet: &Packet<'_>,
        spot: &Spot,
        treatment: &Treatment,
    ) -> Step {
        let now = self.now();
        if let Some(segment) = parse_acknowledgement(packet.payload, packet.payload_length)
            && let Some(found) = self.table.own(spot, now)
        {
            #[cfg(debug_assertions)]
            let expected = Some(self.expected(packet, &found));
            if self.refreshes(&found, &segment) {
                #[cfg(debug_assertions)]
                self.compare(&found, expected);
                return self.went(packet, found.id, found.direction, found.info());
            }
        }
        self.segment(packet, spot, treatment)
    }

    /// Does to an entry that was found what a segment does that only acknowledges, or completes a handshake. `false`: it is
    /// not that simple, and nothing has changed.
    #[inline(always)]
    fn refreshes(&mut self, found: &Found, segment: &Acknowledgement) -> bool {
        let now = self.now();
        // A handshake's end is told.
        if self.events.is_none() && self.table.completed(found, segment, &self.usual, now) {
            self.classes.change(EntryClass::Evictable, EntryClass::Protected);
            return true;
        }
        self.table.acknowledged(found, segment, &self.usual, now)
    }

    /// The same over IPv6; any other segment goes the long way.
    #[inline(never)]
    pub(crate) fn plain_wide(
        &mut self,
        packet: &Packet<'_>,
        spot: &Spot,
        treatment: &Treatment,
    ) -> Step {
        match self.refreshed_wide(packet, spot) {
            Some(step) => step,
            None => self.any(packet, spot, treatment),
        }
    }

    #[inline(always)]
    fn refreshed_wide(&mut self, packet: &Packet<'_>, spot: &Spot) -> Option<Step> {
        let segment = parse_acknowledgement(packet.payload, packet.payload_length)?;
        let now = self.now();
        let Glance::Found(found) = self.table.glance(&spot.probe(Key::wide_of(packet)), now) else {
            return None;
        };
        #[cfg(debug_assertions)]
        let expected = Some(self.expected(packet, &found));
        if !self.refreshes(&found, &segment) {
            return None;
        }
        #[cfg(debug_assertions)]
        self.compare(&found, expected);
        Some(self.went(packet, found.id, found.direction, found.info()))
    }

    /// The same of UDP over IPv4; any other datagram goes the middle way, or the long one.
    #[inline(never)]
    pub(crate) fn plain_udp(
        &mut self,
        packet: &Packet<'_>,
        spot: &Spot,
        treatment: &Treatment,
    ) -> Step {
        match self.refreshed_udp(packet, spot) {
            Some(step) => step,
            None => self.datagram(packet, spot, treatment),
        }
    }

    #[inline(always)]
    fn refreshed_udp(&mut self, packet: &Packet<'_>, spot: &Spot) -> Option<Step> {
        if !udp_length_fits(packet)? {
            return None;
        }
        let now = self.now();
        let found = self.table.own(spot, now)?;
        let (status, stream) = self.table.udp(&found)?;
        let lasting = is_lasting(stream, now)?;
        let (lasts, info) = plain_datagram(self.behaviour.udp, &found, status, lasting)?;
        #[cfg(debug_assertions)]
        let expected = Some(self.expected(packet, &found));
        let ticks = self.settings.ticks(self.settings.udp[usize::from(lasts)]);
        self.table.extend(&found, |expires| self.usual.refreshed(expires, now, ticks));
        #[cfg(debug_assertions)]
        self.compare(&found, expected);
        Some(self.went(packet, found.id, found.direction, info))
    }

    /// The same of ICMP's questions and answers; whatever else it has goes the long way.
    #[inline(never)]
    pub(crate) fn plain_icmp(
        &mut self,
        packet: &Packet<'_>,
        spot: &Spot,
        treatment: &Treatment,
    ) -> Step {
        match self.refreshed_icmp(packet, spot) {
            Some(step) => step,
            None => self.any(packet, spot, treatment),
        }
    }

    /// Of an error no entry has the tuple.
    #[inline(always)]
    fn refreshed_icmp(&mut self, packet: &Packet<'_>, spot: &Spot) -> Option<Step> {
        let now = self.now();
        let Glance::Found(found) = self.table.glance(&spot.probe(None), now) else { return None };
        if self.behaviour.balanced_echo_ends || self.table.has_extras(&found) {
            return None;
        }
        let status = self.table.status(&found);
        let is = seen(status, found.direction, false);
        // A first answer is told.
        if status.0 & SPECIAL.0 != 0 || is != status && self.events.is_some() {
            return None;
        }
        #[cfg(debug_assertions)]
        let expected = Some(self.expected(packet, &found));
        let ticks = self.settings.ticks(self.settings.icmp);
        self.table.set_status(&found, is);
        self.table.extend(&found, |expires| self.usual.refreshed(expires, now, ticks));
        #[cfg(debug_assertions)]
        self.compare(&found, expected);
        Some(self.went(packet, found.id, found.direction, info(status, found.direction)))
    }

    /// What belongs to each packet that refreshed its entry.
    #[inline(always)]
    pub(crate) fn went(
        &mut self,
        packet: &Packet<'_>,
        id: EntryId,
        direction: Direction,
        info: Info,
    ) -> Step {
        if self.usual.noted {
            self.note(packet, id, direction);
        }
        let step = Step::new(info, Verdict::Accept);
        Step { entry: Some(id), what: What::Refreshed, ..step }
    }

    #[inline(never)]
    fn note(&mut self, packet: &Packet<'_>, id: EntryId, direction: Direction) {
        if self.usual.counted {
            self.counters.add(Counter::Found, 1);
        }
        self.account(id, direction, packet.length);
    }

    /// What the long way would leave.
    #[cfg(debug_assertions)]
    pub(crate) fn expected(
        &self,
        packet: &Packet<'_>,
        found: &Found,
    ) -> (crate::entry::Slot, crate::trackers::Judged) {
        use crate::model::Prepared;
        use crate::trackers::Judged;
        use plimsoll_wire::packet::parse_transport;
        let mut slot = self.table.slot(found);
        let transport = parse_transport(packet.protocol, packet.payload, packet.payload_length);
        let prepared = Prepared { transport, bad: false };
        let judged =
            self.judge(&self.settings, &mut slot, found.direction, packet, &prepared, true);
        if let Judged::Refresh(judgement) = judged {
            self.refresh(&mut slot, judgement.ticks);
            if judgement.assure {
                slot.set(Status::ASSURED);
            }
        }
        if found.direction == Direction::Reply {
            slot.set(Status::SEEN_REPLY);
        }
        (slot, judged)
    }

    #[cfg(debug_assertions)]
    pub(crate) fn compare(
        &self,
        found: &Found,
        expected: Option<(crate::entry::Slot, crate::trackers::Judged)>,
    ) {
        use crate::trackers::{Judged, Judgement};
        let (slot, judged) = expected.expect("the same entry is found twice");
        let Judged::Refresh(Judgement { told, .. }) = judged else { panic!("{judged:?}") };
        assert!(!told || self.events.is_none(), "a listener is to be told");
        assert_eq!(self.table.slot(found), slot, "the short way went elsewhere");
    }
}
