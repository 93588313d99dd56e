//! What the trackers say of packets that they do not like: the lines of `nf_conntrack_log_invalid`, one for each, without a
//! limit. Not every cause has one. What kernels word otherwise stands in [`Wording`](crate::Wording).
//!
//! Kernel: `nf_ct_l4proto_log_invalid()`, seen in the logs of 5.10 to 7.3.

use alloc::format;
use alloc::string::String;
use core::net::IpAddr;

use plimsoll_wire::packet::{Logged, Packet, Transport};

use crate::dccp;
use crate::entry::{Memory, Slot};
use crate::error::{Flaw, Icmp};
use crate::model::{Model, Prepared};
use crate::sctp;
use crate::tcp::{Direction, EntryView, Segment, Stumble};
use crate::trackers::{Judged, segment};

/// Stands for all protocols.
const EVERY: u8 = 255;

impl Model {
    /// Whether packets of a protocol are complained about.
    pub(crate) const fn complains(&self, protocol: u8) -> bool {
        let setting = self.settings.log_invalid;
        setting != 0 && (setting == EVERY || setting == protocol)
    }

    fn complain(&mut self, protocol: u8, cause: &str) {
        self.log.about_packet(self.ticks, format!("nf_ct_proto_{protocol}: {cause} "));
    }

    /// About an ICMP message that belongs to nobody whatever the table holds.
    pub(crate) fn complain_icmp(&mut self, packet: &Packet<'_>, icmp: &Icmp<'_>) {
        let Icmp::Invalid(flaw) = icmp else { return };
        let cause = match flaw {
            Flaw::Checksum if packet.is_v6() => "ICMPv6 checksum failed",
            Flaw::Checksum => "bad hw icmp checksum",
            Flaw::Kind => "invalid icmp type",
            Flaw::ShortRedirect => "short redirect",
            Flaw::FarRedirect => "invalid saddr or hoplimit for redirect",
            Flaw::RedirectOption => "redirect without options",
            Flaw::Short => "short packet",
        };
        self.complain(packet.protocol, cause);
    }

    /// About an error that does not go to its flow's source.
    #[cold]
    pub(crate) fn complain_address(&mut self, packet: &Packet<'_>, inner: IpAddr) {
        if self.complains(packet.protocol) {
            let outer = Logged(packet.destination());
            let cause = format!("outer daddr {outer} != inner {}", Logged(inner));
            self.complain(packet.protocol, &cause);
        }
    }

    /// About a packet that was judged; `before`: the entry as it found it, `None` if it would have made one. `lowered`: the
    /// entry ends sooner for it.
    #[cold]
    pub(crate) fn complain_about(
        &mut self,
        packet: &Packet<'_>,
        prepared: &Prepared<'_>,
        direction: Direction,
        before: Option<&Slot>,
        (after, judged): (&Slot, Judged),
        lowered: bool,
    ) {
        if let Some(cause) = self.cause(packet, prepared, direction, before, (after, judged)) {
            self.complain(packet.protocol, &cause);
        }
        if let (Judged::Invalid { lower_to: Some(ticks) }, true) = (judged, lowered)
            && let (Some(Memory::Tcp(memory)), Some(transport)) =
                (before.map(|slot| &slot.memory), &prepared.transport)
            && let Some(segment) = segment(transport)
        {
            let by = self.behaviour.wording.tcp_shortened_by;
            let shortened = || memory.shortened(direction, &segment, ticks);
            let cause = if by { shortened() } else { "lowered timeout to UNACK".into() };
            self.complain(packet.protocol, &cause);
        }
    }

    fn tcp_cause(
        &self,
        segment: &Segment,
        direction: Direction,
        before: Option<&Slot>,
        (after, judged): (&Slot, Judged),
    ) -> Option<String> {
        if !segment.flags.are_valid() {
            return Some("invalid tcp flag combination".into());
        }
        let Some(Slot { status, memory: Memory::Tcp(before), .. }) = before else {
            // Who wants no flows in the middle (`tcp_loose`) is told of none.
            let invalid = matches!(judged, Judged::Invalid { .. });
            let told = invalid && self.behaviour.wording.tcp_new;
            let never = told && segment.opens_nothing(&self.settings.tcp);
            return never.then(|| "invalid new".into());
        };
        let Memory::Tcp(after) = &after.memory else { return None };
        let stumble = match judged {
            Judged::Invalid { .. } => Stumble::Invalid,
            Judged::Ignore => Stumble::Ignored,
            Judged::Refresh(_) | Judged::Reopen | Judged::Delete => return None,
        };
        let view = EntryView {
            assured: status.contains(plimsoll_ct::Status::ASSURED),
            replied: status.contains(plimsoll_ct::Status::SEEN_REPLY),
        };
        let in_numbers = self.behaviour.wording.tcp_in_numbers;
        let segment = (segment, direction);
        before.complaint(after, segment, view, &self.settings.tcp, stumble, in_numbers)
    }

    fn cause(
        &self,
        packet: &Packet<'_>,
        prepared: &Prepared<'_>,
        direction: Direction,
        before: Option<&Slot>,
        (after, judged): (&Slot, Judged),
    ) -> Option<String> {
        let invalid = matches!(judged, Judged::Invalid { .. });
        let Prepared { transport, bad } = prepared;
        match (packet.protocol, transport) {
            (6, None) if packet.payload.len() < 20 => None,
            (6, None) => Some("truncated packet".into()),
            (6, Some(_)) if *bad => Some("bad checksum".into()),
            (6, Some(transport)) => {
                self.tcp_cause(&segment(transport)?, direction, before, (after, judged))
            }
            (17 | 136, _) if packet.payload.len() < 8 => Some("short packet".into()),
            (17, Some(Transport::Udp { length, .. })) if invalid => {
                let length = u32::from(*length);
                let odd = length < 8 || length > packet.payload_length;
                Some(if odd { "truncated/malformed packet" } else { "bad checksum" }.into())
            }
            (136, Some(Transport::Udp { length, .. })) if invalid && self.behaviour.udp_lite => {
                let covered = u32::from(*length);
                let odd = covered != 0 && (covered < 8 || covered > packet.payload_length);
                Some(if odd {
                    "invalid checksum coverage".into()
                } else if *bad {
                    "bad checksum".into()
                } else {
                    "checksum missing".into()
                })
            }
            (33, transport) if self.behaviour.dccp => {
                if let Some(flaw) = dccp::flaw(packet, *bad) {
                    return Some(flaw.into());
                }
                let whole = matches!(transport, Some(Transport::Dccp(header)) if header.whole);
                match judged {
                    Judged::Ignore => Some("invalid packet".into()),
                    Judged::Invalid { .. } if !whole => None,
                    Judged::Invalid { .. } if before.is_none() => {
                        Some("invalid state transition ".into())
                    }
                    Judged::Invalid { .. } => Some("invalid state transition".into()),
                    Judged::Refresh(_) | Judged::Reopen | Judged::Delete => None,
                }
            }
            (132, None) => Some("nf_ct_sctp: short packet ".into()),
            (132, Some(Transport::Sctp(header))) if invalid => {
                if *bad {
                    return Some("nf_ct_sctp: bad CRC ".into());
                }
                if !self.behaviour.wording.sctp_chunks {
                    return None;
                }
                let memory = |slot: &Slot| match slot.memory {
                    Memory::Sctp(memory) => Some(memory),
                    _ => None,
                };
                let both = before.and_then(memory).zip(memory(after));
                sctp::complaint(both, direction, header)
            }
            _ => None,
        }
    }
}
