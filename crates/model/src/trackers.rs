//! The protocols' trackers: what a packet does to its entry.
//!
//! Kernel: `nf_conntrack_handle_packet()` and nf_conntrack_proto_*.c, v6.18.

use plimsoll_ct::Status;
use plimsoll_wire::packet::{DccpHeader, Packet, SctpHeader, Transport};

use crate::behaviour::UdpRule;
use crate::dccp::{self, Dccp};
use crate::entry::{Memory, Slot};
use crate::model::{Model, Prepared};
use crate::sctp::{self, Sctp};
use crate::settings::Settings;
use crate::tcp::{Direction, EntryView, Flags, Outcome, Segment, Tcp};
use crate::ticks::{Jiffies, Sequence};

/// A new expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// From now.
    pub(crate) ticks: u32,
    /// The entry becomes assured.
    pub(crate) assure: bool,
    /// A listener is told of the state though it stayed what it was.
    pub(crate) told: bool,
}

/// What a tracker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Accepted, refreshed, accounted.
    Refresh(Judgement),
    /// Accepted only.
    Ignore,
    /// Invalid; the expiry may sink to so many ticks.
    Invalid { lower_to: Option<u32> },
    /// The entry goes, and the packet starts anew.
    Reopen,
    /// The entry goes.
    Delete,
}

const INVALID: Judged = Judged::Invalid { lower_to: None };

/// Seconds after which two-way UDP is a stream.
pub(crate) const STREAM_AFTER: u32 = 2;

impl Model {
    /// What a packet does to an entry that lives by these timeouts.
    #[inline]
    pub(crate) fn judge(
        &self,
        timeouts: &Settings,
        slot: &mut Slot,
        direction: Direction,
        packet: &Packet<'_>,
        prepared: &Prepared<'_>,
        confirmed: bool,
    ) -> Judged {
        let Prepared { ref transport, bad: bad_checksum } = *prepared;
        let replied = slot.status.contains(Status::SEEN_REPLY);
        let v6 = packet.is_v6();
        let after = |seconds: u32, assure: bool| {
            let ticks = self.settings.ticks(seconds);
            Judged::Refresh(Judgement { ticks, assure, told: false })
        };
        match (packet.protocol, transport.as_ref()) {
            (6, Some(transport)) => {
                self.tcp(timeouts, slot, direction, transport, bad_checksum, confirmed)
            }
            (17, Some(Transport::Udp { length, .. })) => {
                let length = u32::from(*length);
                if length < 8 || length > packet.payload_length || bad_checksum {
                    return INVALID;
                }
                self.udp(timeouts, slot, replied, confirmed)
            }
            (136, Some(Transport::Udp { length, .. })) if self.behaviour.udp_lite => {
                let covered = u32::from(*length);
                let field = packet.payload.get(6..8).unwrap_or(&[0, 0]);
                let wrong = covered != 0 && (covered < 8 || covered > packet.payload_length);
                if wrong || field == [0, 0] || bad_checksum {
                    return INVALID;
                }
                let own = self.behaviour.udp_lite_timeouts;
                let both = if own { timeouts.udp_lite } else { timeouts.udp };
                after(both[usize::from(replied)], replied)
            }
            (136, _) if !self.behaviour.udp_lite => after(timeouts.generic, false),
            (1, Some(Transport::Icmp(m))) if !v6 => {
                if !confirmed && !matches!(m.kind, 8 | 13 | 15 | 17) {
                    return INVALID;
                }
                self.echo(slot, direction).unwrap_or_else(|| after(timeouts.icmp, false))
            }
            (58, Some(Transport::Icmp(m))) if v6 => {
                if !confirmed && !matches!(m.kind, 128 | 139) {
                    return INVALID;
                }
                after(timeouts.icmpv6, false)
            }
            (47, _) => {
                if !confirmed {
                    slot.memory = Memory::Gre(timeouts.gre);
                }
                let Memory::Gre(both) = slot.memory else { return INVALID };
                after(both[usize::from(replied)], replied)
            }
            (132, Some(Transport::Sctp(header))) if !bad_checksum => {
                self.sctp(timeouts, slot, direction, header, confirmed)
            }
            (33, Some(Transport::Dccp(header)))
                if self.behaviour.dccp && header.whole && !bad_checksum =>
            {
                self.dccp(timeouts, slot, direction, header, confirmed)
            }
            (33, _) if self.behaviour.dccp => INVALID,
            (1 | 6 | 17 | 58 | 132 | 136, _) => INVALID,
            (_, _) => after(timeouts.generic, false),
        }
    }

    fn sctp(
        &self,
        timeouts: &Settings,
        slot: &mut Slot,
        direction: Direction,
        header: &SctpHeader<'_>,
        confirmed: bool,
    ) -> Judged {
        if !confirmed {
            match Sctp::open(header) {
                Some(memory) => slot.memory = Memory::Sctp(memory),
                None => return INVALID,
            }
        }
        let Memory::Sctp(memory) = &mut slot.memory else { return INVALID };
        match memory.judge(direction, header, confirmed, self.behaviour.sctp.collisions) {
            sctp::Outcome::Refresh { state, assure, moved } => {
                let hundredths = timeouts.sctp[usize::from(state).min(9)];
                let ticks = u64::from(hundredths) * u64::from(self.settings.hz) / 100;
                Judged::Refresh(Judgement { ticks: ticks as u32, assure, told: moved })
            }
            sctp::Outcome::Ignore { assure } => {
                if assure {
                    slot.set(Status::ASSURED);
                }
                Judged::Ignore
            }
            sctp::Outcome::Invalid { assure } => {
                if assure {
                    slot.set(Status::ASSURED);
                }
                INVALID
            }
        }
    }

    fn dccp(
        &self,
        timeouts: &Settings,
        slot: &mut Slot,
        direction: Direction,
        header: &DccpHeader,
        confirmed: bool,
    ) -> Judged {
        let replied = slot.status.contains(Status::SEEN_REPLY);
        if !confirmed {
            match Dccp::open(header) {
                Some(memory) => slot.memory = Memory::Dccp(memory),
                None => return INVALID,
            }
        }
        let Memory::Dccp(memory) = &mut slot.memory else { return INVALID };
        match memory.judge(direction, header, replied) {
            dccp::Outcome::Refresh { state, assure, moved } => {
                let ticks = self.settings.ticks(timeouts.dccp[usize::from(state).min(7)]);
                Judged::Refresh(Judgement { ticks, assure, told: moved })
            }
            dccp::Outcome::Ignore => Judged::Ignore,
            dccp::Outcome::Invalid => INVALID,
            dccp::Outcome::Delete => Judged::Delete,
        }
    }

    #[inline]
    fn tcp(
        &self,
        timeouts: &Settings,
        slot: &mut Slot,
        direction: Direction,
        transport: &Transport<'_>,
        bad_checksum: bool,
        confirmed: bool,
    ) -> Judged {
        let Some(segment) = segment(transport) else { return INVALID };
        if bad_checksum || !segment.flags.are_valid() {
            return INVALID;
        }
        let settings = &self.settings.tcp;
        if !confirmed {
            match Tcp::open(&segment, settings) {
                Some(memory) => slot.memory = Memory::Tcp(memory),
                None => return INVALID,
            }
        }
        let view = EntryView {
            assured: slot.status.contains(Status::ASSURED),
            replied: slot.status.contains(Status::SEEN_REPLY),
        };
        let timeouts = &timeouts.tcp_timeouts;
        let Memory::Tcp(memory) = &mut slot.memory else { return INVALID };
        match memory.judge(direction, &segment, view, settings, timeouts) {
            Outcome::Refresh { timeout, assure, moved } => {
                let ticks = self.settings.ticks(timeout);
                Judged::Refresh(Judgement { ticks, assure, told: moved })
            }
            Outcome::Ignore => Judged::Ignore,
            Outcome::Invalid { lower } => Judged::Invalid {
                lower_to: lower.then(|| self.settings.ticks(timeouts.unacknowledged)),
            },
            Outcome::Reopen => Judged::Reopen,
            Outcome::Delete => Judged::Delete,
        }
    }

    fn udp(&self, timeouts: &Settings, slot: &mut Slot, replied: bool, confirmed: bool) -> Judged {
        let now = self.now();
        if !confirmed {
            slot.memory = Memory::Udp(now.plus(self.settings.ticks(STREAM_AFTER)));
        }
        let lasting = match slot.memory {
            Memory::Udp(stream) => match is_lasting(stream, now) {
                Some(lasting) if !(lasting && self.usual.long) => lasting,
                Some(_) | None => {
                    slot.memory = Memory::Udp(now.plus(u32::MAX));
                    true
                }
            },
            _ => false,
        };
        let (stream, assure) = udp_life(self.behaviour.udp, replied, lasting);
        let ticks = self.settings.ticks(timeouts.udp[usize::from(stream)]);
        Judged::Refresh(Judgement { ticks, assure, told: false })
    }

    /// 2.6.18: an echo's entry goes when all that was asked is answered.
    fn echo(&self, slot: &mut Slot, direction: Direction) -> Option<Judged> {
        if !self.behaviour.balanced_echo_ends {
            return None;
        }
        let waiting = match slot.memory {
            Memory::Echo(waiting) => waiting,
            _ => 0,
        };
        match direction {
            Direction::Original => {
                slot.memory = Memory::Echo(waiting.saturating_add(1));
                None
            }
            Direction::Reply if waiting <= 1 => Some(Judged::Delete),
            Direction::Reply => {
                slot.memory = Memory::Echo(waiting - 1);
                Some(Judged::Ignore)
            }
        }
    }
}

/// Whether a UDP entry is older than two seconds, which it was at that moment. `None`: it is so old that another moment that is
/// past must stand in its place: the clock may go nearly half of its round until the next packet.
#[inline(always)]
pub(crate) const fn is_lasting(stream: Jiffies, now: Jiffies) -> Option<bool> {
    let left = stream.left(now);
    if left < -(1 << 18) { None } else { Some(left < 0) }
}

/// Whether a UDP entry is a stream now, and becomes assured; `lasting`: it is older than two seconds.
#[inline]
pub(crate) const fn udp_life(rule: UdpRule, replied: bool, lasting: bool) -> (bool, bool) {
    match (replied, rule) {
        (false, _) => (false, false),
        (true, UdpRule::AtOnce) => (true, true),
        (true, UdpRule::AssuredAtOnce) => (lasting, true),
        (true, UdpRule::AfterTwoSeconds) => (lasting, lasting),
    }
}

/// The tracker's view of a TCP header.
#[inline(always)]
pub(crate) fn segment(transport: &Transport<'_>) -> Option<Segment> {
    let Transport::Tcp { seq, ack, flags, window, payload, options, .. } = transport else {
        return None;
    };
    Some(Segment {
        seq: Sequence(*seq),
        ack: Sequence(*ack),
        window: *window,
        flags: Flags(*flags),
        payload: *payload,
        has_options: options.present,
        window_scale: options.window_scale,
        sack_permitted: options.sack_permitted,
        sack_edge: options.sack_edge.map(Sequence),
    })
}
