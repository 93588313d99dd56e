//! ICMP and ICMPv6 before the table: errors about other flows, and what is never tracked.
//!
//! Kernel: `nf_conntrack_icmpv4_error()`, `nf_conntrack_icmpv6_error()`, `nf_conntrack_inet_error()`,
//! v6.18.

use core::net::IpAddr;

use plimsoll_ct::{Counter, Zone};
use plimsoll_wire::packet::{Packet, Transport, behind_extensions, parse_quoted};

use crate::model::{GRE, Model, Prepared, transport};
use crate::step::{Info, Step, Verdict};
use crate::tcp::Direction;

/// An IPv6 redirect.
const REDIRECT_V6: u8 = 137;
/// Octets of a redirect without options (RFC 4861).
const REDIRECT_LENGTH: usize = 40;
/// The option that quotes the packet which was redirected, and the octets in front of that.
const REDIRECTED_HEADER: u8 = 4;
const OPTION_HEADER: usize = 8;

/// What is wrong with a message that the tracker looks into before the table is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Its checksum.
    Checksum,
    /// Its type.
    Kind,
    /// A redirect that ends too early.
    ShortRedirect,
    /// A redirect that comes from elsewhere than its own link.
    FarRedirect,
    /// A redirect whose first option ends before it begins.
    RedirectOption,
    /// It ends too early.
    Short,
}

/// What an ICMP packet is to conntrack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Icmp<'a> {
    /// Tracked as any other packet; or none of ICMP.
    Tracked,
    /// Not tracked.
    Untracked,
    /// Invalid.
    Invalid(Flaw),
    /// An error about the packet that it quotes.
    Error(&'a [u8]),
    /// No ICMP: a DCCP packet that ends before its header does. The tracker lets nothing pass without.
    Cut,
}

impl Model {
    /// The step of an ICMP packet that needs no entry of its own; `None`: it goes on as any other.
    pub(crate) fn icmp_error(
        &mut self,
        packet: &Packet<'_>,
        prepared: &Prepared<'_>,
        zone: Zone,
    ) -> Option<Step> {
        let icmp = self.icmp(packet, prepared);
        if self.complains(packet.protocol) {
            self.complain_icmp(packet, &icmp);
        }
        let about = match icmp {
            Icmp::Tracked => return None,
            Icmp::Untracked => return Some(Self::passed(Info::Untracked)),
            Icmp::Invalid(_) => None,
            Icmp::Cut => {
                self.counters.add(Counter::Drop, 1);
                return Some(Step { verdict: Verdict::Drop, ..self.invalid(Counter::Invalid) });
            }
            Icmp::Error(body) => self.about(packet, body, zone),
        };
        Some(about.unwrap_or_else(|| self.invalid(Counter::IcmpError)))
    }

    pub(crate) fn icmp<'a>(&self, packet: &Packet<'a>, prepared: &Prepared<'a>) -> Icmp<'a> {
        let v6 = packet.is_v6();
        if (packet.protocol, v6) != (1, false) && (packet.protocol, v6) != (58, true) {
            let cut = match prepared.transport {
                Some(Transport::Dccp(header)) if self.behaviour.dccp && !prepared.bad => {
                    !header.whole && self.behaviour.dccp_drops_cut
                }
                Some(_) | None => false,
            };
            return if cut { Icmp::Cut } else { Icmp::Tracked };
        }
        let Some(Transport::Icmp(message)) = &prepared.transport else {
            return Icmp::Invalid(Flaw::Short);
        };
        if prepared.bad {
            return Icmp::Invalid(Flaw::Checksum);
        }
        if v6 {
            match message.kind {
                130..=136 | 143 => Icmp::Untracked,
                151 | 152 if self.behaviour.router_discovery => Icmp::Untracked,
                0..=127 => Icmp::Error(message.body),
                REDIRECT_V6 if self.behaviour.redirects => redirect(packet, message.code),
                _ => Icmp::Tracked,
            }
        } else {
            match message.kind {
                3 | 4 | 5 | 11 | 12 => Icmp::Error(message.body),
                0..=18 => Icmp::Tracked,
                _ => Icmp::Invalid(Flaw::Kind),
            }
        }
    }

    /// The entry that an error is about.
    fn about(&mut self, outer: &Packet<'_>, body: &[u8], zone: Zone) -> Option<Step> {
        let inner = behind_extensions(&parse_quoted(body, outer.is_v6()).ok()?);
        // An error about a later fragment names no ports.
        if inner.fragment.is_some_and(|f| f.offset != 0) {
            return None;
        }
        let transport = if inner.protocol == GRE { transport(&inner) } else { None };
        let answer = self.key_of(&inner, transport.as_ref(), zone.of_original())?.inverse()?;
        let found = self.find_in(&self.table.probe(answer), zone)?;
        if self.behaviour.error_names_flow && answer.destination() != outer.destination() {
            self.complain_address(outer, answer.destination());
            return None;
        }
        let info = match found.direction {
            Direction::Original => Info::Related,
            Direction::Reply => Info::RelatedReply,
        };
        Some(Step { entry: Some(found.id), ..Self::passed(info) })
    }
}

/// What a redirect of IPv6 is: an error about the packet that its first option quotes, if it is from its own link; where that
/// option is another, a message that nobody answers.
fn redirect<'a>(packet: &Packet<'a>, code: u8) -> Icmp<'a> {
    if (packet.payload_length as usize) < REDIRECT_LENGTH {
        return Icmp::Invalid(Flaw::ShortRedirect);
    }
    if code != 0 {
        return Icmp::Tracked;
    }
    let on_link = match packet.source() {
        IpAddr::V6(source) => source.is_unicast_link_local(),
        IpAddr::V4(_) => false,
    };
    if !on_link || packet.hop_limit != u8::MAX {
        return Icmp::Invalid(Flaw::FarRedirect);
    }
    match packet.payload.get(REDIRECT_LENGTH..) {
        None | Some([] | [_] | [_, 0, ..]) => Icmp::Invalid(Flaw::RedirectOption),
        Some([REDIRECTED_HEADER, _, option @ ..]) => {
            Icmp::Error(option.get(OPTION_HEADER - 2..).unwrap_or_default())
        }
        Some(_) => Icmp::Tracked,
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_ct::{Bytes, Profile, Time};
    use plimsoll_wire::packet::parse_ip;

    use super::*;
    use crate::{Config, Settings, Treatment};

    /// An IPv4 packet from 10.0.0.1 to .2, or back.
    fn packet(back: bool, protocol: u8, payload: &[u8]) -> alloc::vec::Vec<u8> {
        let length = 20 + payload.len() as u8;
        let mut bytes = alloc::vec![0x45, 0, 0, length, 0, 1, 0, 0, 64, protocol, 0, 0];
        let [source, destination] = if back { [2, 1] } else { [1, 2] };
        bytes.extend([10, 0, 0, source, 10, 0, 0, destination]);
        bytes.extend(payload);
        bytes
    }

    /// As a running 6.18 does (a packet of a call, an error that quotes it).
    #[test]
    fn an_error_about_a_call_is_related_and_one_about_what_version_1_of_gre_does_not_carry_is_invalid()
     {
        let profile = Profile::named("6.18").expect("a known profile");
        for (protocol, related) in [([0x88, 0x0b], true), ([0x3f, 0xbb], false)] {
            let settings = Settings { checksum: false, ..Settings::of(profile, Bytes(1 << 30)) };
            let mut model = Model::new(Config::new(profile, settings));
            let [high, low] = protocol;
            let call = packet(false, 47, &[0x30, 1, high, low, 0, 4, 0, 5, 0, 0, 0, 1]);
            let error = packet(true, 1, &[&[3, 1, 0, 0, 0, 0, 0, 0], &call[..28]].concat());
            let mut see = |bytes: &[u8]| {
                let packet = parse_ip(bytes).expect("a whole header");
                model.packet(Time(0), &packet, &Treatment::default()).info
            };
            let (first, about) = (see(&call), see(&error));
            let wanted = if related {
                (Info::New, Info::RelatedReply)
            } else {
                (Info::Invalid, Info::Invalid)
            };
            assert_eq!((first, about), wanted, "{protocol:02x?}");
        }
    }
}
