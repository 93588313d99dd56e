//! Requests: a dump with filters, statistics.

use alloc::vec::Vec;

use plimsoll_ct::{Entry, Family, Status, ZoneDirection};

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
        self.family.is_none_or(|f| f == entry.original.family())
            && self.mark.is_none_or(|(v, m)| entry.mark.unwrap_or(0) & m == v & m)
            && self.status.is_none_or(|(v, m)| entry.status.0 & m.0 == v.0 & m.0)
            && self.zone.is_none_or(|z| {
                entry.zone.id == z && (z == 0 || entry.zone.direction == ZoneDirection::Both)
            })
    }
}

/// A request for the entries that match.
pub fn dump(sequence: u32, filter: &Filter) -> Vec<u8> {
    let mut w = message(command::GET, flag::REQUEST | flag::DUMP, sequence, filter.family);
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
