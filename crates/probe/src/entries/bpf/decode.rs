//! A row as the programs copied it, to a row of the vocabulary.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use plimsoll_ct::{
    DccpState, L4, Protocol, Row, SctpState, Seconds, State, Status, TcpState, Tuple, Zone,
    ZoneDirection,
};

use super::layout::Layout;
use super::shared::RawRow;

/// What must be known to read a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decoder {
    /// Ticks of a second.
    hz: u32,
    has_mark: bool,
    has_zone: bool,
    has_dccp: bool,
}

impl Decoder {
    pub fn new(layout: &Layout, hz: u32) -> Self {
        let Layout { has_mark, has_zone, has_dccp, .. } = *layout;
        Self { hz: hz.max(1), has_mark, has_zone, has_dccp }
    }

    /// Fills in what the census tells; the rest of `row` stays as it is. `false`: of no family that conntrack has.
    pub fn decode(&self, raw: &RawRow, row: &mut Row) -> bool {
        let is_v4 = match raw.family {
            2 => true,
            10 => false,
            _ => return false,
        };
        let protocol = Protocol::from_number(raw.protocol);
        row.original = self.tuple(is_v4, protocol, &raw.original, raw.original_ports);
        row.reply = self.tuple(is_v4, protocol, &raw.reply, raw.reply_ports);
        row.status = Status(raw.status);
        // ctnetlink tells neither of an entry whose packets pass conntrack by.
        if row.status.contains(Status::OFFLOAD) {
            (row.state, row.expires) = (State::Stateless, None);
        } else {
            row.state = match protocol {
                Protocol::Tcp => State::Tcp(TcpState::from_number(raw.state)),
                Protocol::Sctp => State::Sctp(SctpState::from_number(raw.state)),
                Protocol::Dccp if self.has_dccp => State::Dccp(DccpState::from_number(raw.state)),
                _ => State::Stateless,
            };
            row.expires = Some(Seconds((raw.expires / self.hz).into()));
        }
        row.mark = self.has_mark.then_some(raw.mark);
        row.zone = match (self.has_zone, raw.zone, raw.zone_direction) {
            (false, ..) | (_, 0, _) => Zone::default(),
            (_, id, 1) => Zone { id, direction: ZoneDirection::Original },
            (_, id, 2) => Zone { id, direction: ZoneDirection::Reply },
            (_, id, _) => Zone { id, direction: ZoneDirection::Both },
        };
        row.netns = Some(raw.netns.into());
        true
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
