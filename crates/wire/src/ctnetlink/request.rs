//! Requests: a dump with filters, statistics.

use alloc::vec::Vec;

use plimsoll_ct::{Entry, Family, Protocol, Status, ZoneDirection};

use super::encode::tuple;
use super::{command, number};
use crate::netlink::{Writer, flag};

/// Which entries a dump is asked for. Empty = all.
///
/// Kernels ignore what they do not know, in silence: `mark` works everywhere, `status` from about 5.15,
/// `zone` from about 6.12. An answer without [`flag::DUMP_FILTERED`] was not filtered at all; in any case
/// let [`Filter::matches`] decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filter {
    /// Layer-3 family.
    pub family: Option<Family>,
    /// Layer-4 protocol (5.8 and later, and only together with a family: a filter by tuple needs one).
    pub protocol: Option<Protocol>,
    /// Destination port of the original direction (as the protocol, and only together with one that has ports).
    pub destination_port: Option<u16>,
    /// Value and mask of the mark.
    pub mark: Option<(u32, u32)>,
    /// Value and mask of the status bits.
    pub status: Option<(Status, Status)>,
    /// Zone that applies to both directions.
    pub zone: Option<u16>,
}

impl Filter {
    /// Whether an entry is one of those asked for.
    pub fn matches(&self, entry: &Entry) -> bool {
        let Entry { original, mark, status, zone, .. } = *entry;
        self.family.is_none_or(|f| f == original.family())
            && self.protocol.is_none_or(|p| p == original.protocol)
            && self.destination_port.is_none_or(|p| original.destination_port() == Some(p))
            && self.mark.is_none_or(|(v, m)| mark.unwrap_or(0) & m == v & m)
            && self.status.is_none_or(|(v, m)| status.0 & m.0 == v.0 & m.0)
            && self
                .zone
                .is_none_or(|z| zone.id == z && (z == 0 || zone.direction == ZoneDirection::Both))
    }
}

/// A request for the entries that match.
pub fn dump(sequence: u32, filter: &Filter) -> Vec<u8> {
    let mut w = message(command::GET, flag::REQUEST | flag::DUMP, sequence, filter.family);
    by_tuple(&mut w, filter);
    if let Some((value, mask)) = filter.mark {
        w.attribute(number::MARK, &value.to_be_bytes());
        w.attribute(number::MARK_MASK, &mask.to_be_bytes());
    }
    if let Some((value, mask)) = filter.status {
        w.attribute(number::STATUS, &value.0.to_be_bytes());
        w.attribute(number::STATUS_MASK, &mask.0.to_be_bytes());
    }
    if let Some(zone) = filter.zone {
        w.attribute(number::ZONE, &zone.to_be_bytes());
    }
    w.finish()
}

/// A request to delete one entry: this very one (by id, where the source told it), not what may have taken
/// its place with the same tuple since. Without `acknowledge` only a refusal is answered.
pub fn delete(sequence: u32, entry: &Entry, acknowledge: bool) -> Vec<u8> {
    let flags = flag::REQUEST | if acknowledge { flag::ACK } else { 0 };
    let mut w = message(command::DELETE, flags, sequence, Some(entry.original.family()));
    let zone = entry.zone;
    let in_tuple = (zone.id != 0 && zone.direction == ZoneDirection::Original).then_some(zone.id);
    w.nest(number::TUPLE_ORIG, |w| tuple(&entry.original, in_tuple, w));
    if zone.id != 0 && zone.direction == ZoneDirection::Both {
        w.attribute(number::ZONE, &zone.id.to_be_bytes());
    }
    if let Some(id) = entry.id {
        w.attribute(number::ID, &id.to_be_bytes());
    }
    w.finish()
}

/// The part of a filter that the kernel compares with the original tuple. Never addresses: those of IPv6 are
/// matched inverted by every kernel that matches them.
fn by_tuple(w: &mut Writer, filter: &Filter) {
    const PROTOCOL: u32 = 1 << 3;
    const DESTINATION_PORT: u32 = 1 << 5;
    let (Some(_), Some(protocol)) = (filter.family, filter.protocol) else { return };
    let has_ports =
        matches!(protocol, Protocol::Tcp | Protocol::Udp | Protocol::Sctp | Protocol::UdpLite);
    let port = filter.destination_port.filter(|_| has_ports);
    w.nest(number::TUPLE_ORIG, |tuple| {
        tuple.nest(2, |proto| {
            proto.attribute(1, &[protocol.number()]);
            if let Some(port) = port {
                proto.attribute(3, &port.to_be_bytes());
            }
        });
    });
    let flags = PROTOCOL | if port.is_some() { DESTINATION_PORT } else { 0 };
    w.nest(number::FILTER, |f| {
        f.attribute(1, &flags.to_ne_bytes());
    });
}

/// A request for the per-CPU statistics: a dump, one message per CPU.
pub fn statistics_per_cpu(sequence: u32) -> Vec<u8> {
    message(command::GET_STATS_CPU, flag::REQUEST | flag::DUMP, sequence, None).finish()
}

/// A request for the number of entries and the limit: one message answers, though it says MULTI.
pub fn statistics(sequence: u32) -> Vec<u8> {
    message(command::GET_STATS, flag::REQUEST, sequence, None).finish()
}

fn message(kind: u16, flags: u16, sequence: u32, family: Option<Family>) -> Writer {
    let mut w = Writer::message(kind, flags, sequence);
    let family = match family {
        None => 0,
        Some(Family::V4) => 2,
        Some(Family::V6) => 10,
    };
    w.raw(&[family, 0, 0, 0]);
    w
}
