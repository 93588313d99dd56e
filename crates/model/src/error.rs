//! ICMP and ICMPv6 before the table: errors about other flows, and what is never tracked.
//!
//! Kernel: `nf_conntrack_icmpv4_error()`, `nf_conntrack_icmpv6_error()`, `nf_conntrack_inet_error()`,
//! v6.18.

use plimsoll_ct::Counter;
use plimsoll_wire::packet::{Packet, Transport, behind_extensions, parse_quoted};

use crate::model::{Model, Prepared};
use crate::step::{Info, Step};
use crate::tcp::Direction;

const REDIRECT_V6: u8 = 137;
/// Octets of a redirect without options (RFC 4861).
const REDIRECT_LENGTH: u32 = 40;

impl Model {
    /// The step of an ICMP packet that needs no entry of its own; `None`: it goes on as any other.
    pub(crate) fn icmp_error(
        &mut self,
        packet: &Packet<'_>,
        prepared: &Prepared<'_>,
        zone: u16,
    ) -> Option<Step> {
        let v6 = packet.source.is_ipv6();
        if (packet.protocol, v6) != (1, false) && (packet.protocol, v6) != (58, true) {
            return None;
        }
        let Some(Transport::Icmp(message)) = &prepared.transport else {
            return Some(self.invalid(Counter::IcmpError));
        };
        if prepared.bad {
            return Some(self.invalid(Counter::IcmpError));
        }
        if v6 {
            match message.kind {
                130..=136 | 143 => return Some(Self::passed(Info::Untracked)),
                151 | 152 if self.behaviour.router_discovery => {
                    return Some(Self::passed(Info::Untracked));
                }
                0..=127 => {}
                // A redirect speaks of a flow only on its own link, where nobody is who tracks it.
                REDIRECT_V6
                    if self.behaviour.redirects
                        && (message.code == 0 || packet.payload_length < REDIRECT_LENGTH) =>
                {
                    return Some(self.invalid(Counter::IcmpError));
                }
                _ => return None,
            }
        } else {
            match message.kind {
                3 | 4 | 5 | 11 | 12 => {}
                0..=18 => return None,
                _ => return Some(self.invalid(Counter::IcmpError)),
            }
        }
        let step = self.about(packet, message.body, zone);
        Some(match step {
            Some(step) => step,
            None => self.invalid(Counter::IcmpError),
        })
    }

    /// The entry that an error is about.
    fn about(&mut self, outer: &Packet<'_>, body: &[u8], zone: u16) -> Option<Step> {
        let inner = behind_extensions(&parse_quoted(body, outer.source.is_ipv6()).ok()?);
        // An error about a later fragment names no ports.
        if inner.fragment.is_some_and(|f| f.offset != 0) {
            return None;
        }
        let answer = self.key_of(&inner, None, zone)?.inverse()?;
        let found = self.find(&self.table.probe(answer))?;
        if self.behaviour.error_names_flow && answer.destination() != outer.destination {
            return None;
        }
        let info = match found.direction {
            Direction::Original => Info::Related,
            Direction::Reply => Info::RelatedReply,
        };
        Some(Step { entry: Some(found.id), ..Self::passed(info) })
    }
}
