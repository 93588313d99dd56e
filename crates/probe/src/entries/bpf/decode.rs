//! A row as the programs copied it, to a entry of the vocabulary.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use plimsoll_ct::{
    Accounting, DccpState, Entry, HelperName, L4, Protocol, SctpState, Seconds, State, Status,
    TcpState, Time, Tuple, Zone, ZoneDirection,
};
use plimsoll_wire::ctnetlink::Details;

use super::layout::Layout;
use super::shared::{RawMore, RawRow, has};
use crate::entries::Wants;

/// What must be known to read a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decoder {
    /// Ticks of a second.
    hz: u32,
    has_mark: bool,
    has_zone: bool,
    has_dccp: bool,
    has_secmark: bool,
}

impl Decoder {
    pub fn new(layout: &Layout, hz: u32) -> Self {
        let Layout { has_mark, has_zone, has_dccp, has_secmark, .. } = *layout;
        Self { hz: hz.max(1), has_mark, has_zone, has_dccp, has_secmark }
    }

    /// Fills in what the census tells; the rest of `entry` stays as it is. `false`: of no family that conntrack has.
    pub fn decode(&self, raw: &RawRow, entry: &mut Entry) -> bool {
        let is_v4 = match raw.family {
            2 => true,
            10 => false,
            _ => return false,
        };
        let protocol = Protocol::from_number(raw.protocol);
        entry.original = self.tuple(is_v4, protocol, &raw.original, raw.original_ports);
        entry.reply = self.tuple(is_v4, protocol, &raw.reply, raw.reply_ports);
        entry.status = Status(raw.status);
        // ctnetlink tells neither of an entry whose packets pass conntrack by.
        if entry.status.contains(Status::OFFLOAD) {
            (entry.state, entry.expires) = (State::Stateless, None);
        } else {
            entry.state = match protocol {
                Protocol::Tcp => State::Tcp(TcpState::from_number(raw.state)),
                Protocol::Sctp => State::Sctp(SctpState::from_number(raw.state)),
                Protocol::Dccp if self.has_dccp => State::Dccp(DccpState::from_number(raw.state)),
                _ => State::Stateless,
            };
            entry.expires = Some(Seconds((raw.expires / self.hz).into()));
        }
        entry.mark = self.has_mark.then_some(raw.mark);
        entry.zone = match (self.has_zone, raw.zone, raw.zone_direction) {
            (false, ..) | (_, 0, _) => Zone::default(),
            (_, id, 1) => Zone { id, direction: ZoneDirection::Original },
            (_, id, 2) => Zone { id, direction: ZoneDirection::Reply },
            (_, id, _) => Zone { id, direction: ZoneDirection::Both },
        };
        entry.netns = Some(raw.netns.into());
        true
    }

    /// Fills in what lies beside a row, of that what is wanted. `false`: the entry has a security context, and what it is
    /// called can't be told.
    pub fn beside(
        &self,
        raw: &RawMore,
        wants: Wants,
        now: Option<Time>,
        entry: &mut Entry,
        details: Option<&mut Details>,
    ) -> bool {
        (entry.original_accounting, entry.reply_accounting) = (None, None);
        (entry.started, entry.age, entry.helper, entry.labels, entry.references) =
            (None, None, None, None, None);
        let tells = |what| raw.has & what != 0;
        if !tells(has::TOLD) {
            // It died meanwhile.
            if let Some(details) = details {
                *details = Details::default();
            }
            return true;
        }
        if wants.references {
            entry.references = Some(raw.references);
        }
        if tells(has::ACCOUNTING) {
            let [packets, bytes, reply_packets, reply_bytes] = raw.counters;
            entry.original_accounting = Some(Accounting { packets, bytes });
            entry.reply_accounting =
                Some(Accounting { packets: reply_packets, bytes: reply_bytes });
        }
        if tells(has::TIMES) {
            entry.started = i64::try_from(raw.started).ok().map(Time);
            let end = match raw.stopped {
                0 => now.and_then(|now| u64::try_from(now.0).ok()),
                stopped => Some(stopped),
            };
            entry.age = end.map(|end| Seconds(end.saturating_sub(raw.started) / 1_000_000_000));
        }
        if tells(has::LABELS) && raw.labels != [0, 0] {
            let [low, high] = raw.labels.map(u64::to_ne_bytes);
            let mut labels = [0; 16];
            labels[..8].copy_from_slice(&low);
            labels[8..].copy_from_slice(&high);
            entry.labels = Some(labels);
        }
        if tells(has::HELPER) {
            let mut name = [0; 16];
            name[..8].copy_from_slice(&raw.helper[0].to_ne_bytes());
            name[8..].copy_from_slice(&raw.helper[1].to_ne_bytes());
            entry.helper = Some(HelperName::new(&name));
        }
        if let Some(details) = details {
            let sctp = matches!(entry.state, State::Sctp(_));
            *details = Details {
                started: tells(has::TIMES).then_some(raw.started),
                stopped: (tells(has::TIMES) && raw.stopped != 0).then_some(raw.stopped),
                // As they lie in the packet, most significant octet first.
                sctp_tags: sctp.then(|| raw.tags.map(|tag| Some(u32::from_be(tag)))),
                labels: entry.labels.map(|labels| labels.into()),
                ..Details::default()
            };
        }
        !(self.has_secmark && raw.secmark != 0)
    }

    fn tuple(
        &self,
        is_v4: bool,
        protocol: Protocol,
        addresses: &[[u64; 2]; 2],
        ports: [u16; 2],
    ) -> Tuple {
        let [source, destination] = addresses.map(|words| address(is_v4, words));
        let [first, second] = ports.map(u16::from_be);
        let l4 = match protocol {
            Protocol::Tcp | Protocol::Udp | Protocol::Sctp => {
                L4::Ports { source: first, destination: second }
            }
            Protocol::Dccp if self.has_dccp => L4::Ports { source: first, destination: second },
            // Kernels that have lost its tracker keep no ports of it.
            Protocol::UdpLite if first != 0 || second != 0 => {
                L4::Ports { source: first, destination: second }
            }
            Protocol::Gre => L4::Gre { source: first, destination: second },
            Protocol::Icmp | Protocol::Icmpv6 => {
                let [kind, code] = ports[1].to_ne_bytes();
                L4::Icmp { kind, code, id: first }
            }
            Protocol::Dccp | Protocol::UdpLite | Protocol::Other(_) => L4::None,
        };
        Tuple { source, destination, protocol, l4 }
    }
}

fn address(is_v4: bool, [first, second]: [u64; 2]) -> IpAddr {
    let [a, b, c, d, ..] = first.to_ne_bytes();
    if is_v4 {
        return IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    }
    let mut bytes = [0; 16];
    let (low, high) = bytes.split_at_mut(8);
    low.copy_from_slice(&first.to_ne_bytes());
    high.copy_from_slice(&second.to_ne_bytes());
    IpAddr::V6(Ipv6Addr::from(bytes))
}
