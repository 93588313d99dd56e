//! Fragments: conntrack sees a datagram when the last of its parts has come.
//!
//! Kernel: `nf_ct_ipv4_gather_frags()` with net/ipv4/ip_fragment.c, `nf_ct_frag6_gather()`,
//! nf_conntrack_reasm.c, v6.18. A part that overlaps another ends its datagram; an exact repetition is
//! dropped alone. Kernels before about 4.20 cut overlaps instead; not modelled. Offsets: octets; times:
//! ticks.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_wire::packet::{Fragment, Packet, upper_layer};

/// No datagram is longer.
const LONGEST: usize = 65_535;
/// What a queue costs beside its octets, roughly as the kernel counts it.
const OVERHEAD: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Which {
    source: IpAddr,
    destination: IpAddr,
    id: u32,
    /// IPv4 tells datagrams apart by protocol too.
    protocol: u8,
    zone: u16,
}

#[derive(Debug, Clone, Default)]
struct Queue {
    /// Octets so far, with holes.
    octets: Vec<u8>,
    /// Runs without holes, in order: first octet, one past the last.
    runs: Vec<(u32, u32)>,
    /// Length known from the last part, else the furthest end.
    length: u32,
    last_seen: bool,
    /// Protocol that the first part names.
    protocol: u8,
    /// Octets before the first part's payload, without the fragment header of IPv6.
    headers: u32,
    deadline: u64,
}

/// Whether a first fragment of IPv6 ends before the headers of its datagram do (RFC 8200, 4.5): such a one
/// is not kept, it goes its way alone.
pub(crate) fn lacks_headers(packet: &Packet<'_>) -> bool {
    if !packet.is_v6() || packet.fragment.is_none_or(|f| f.offset != 0) {
        return false;
    }
    upper_layer(packet).is_some_and(|(protocol, at)| {
        let header = match protocol {
            6 => 20,
            17 | 58 => 8,
            _ => 1,
        };
        (packet.payload_length as usize) < at + header
    })
}

/// A whole datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Datagram {
    octets: Vec<u8>,
    protocol: u8,
    headers: u32,
}

impl Datagram {
    /// It as a packet; `part` is one of its fragments.
    pub(crate) fn packet<'a>(&'a self, part: &Packet<'a>) -> Packet<'a> {
        let payload_length = self.octets.len() as u32;
        Packet {
            addresses: part.addresses,
            protocol: self.protocol,
            fragment: None,
            payload: &self.octets,
            payload_length,
            length: self.headers + payload_length,
        }
    }
}

/// What becomes of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gathered {
    /// It waits for others, or is thrown away.
    Kept,
    /// It goes its way as it is.
    Alone,
    /// The datagram that it completes.
    Whole(Datagram),
}

/// What the defragmenter does with a part.
enum Placed {
    Kept,
    Complete,
    /// The part is thrown away.
    Refused,
    /// The part goes its way alone (IPv6).
    Passed,
    /// So it does, and the whole queue is thrown away.
    PassedAndBroken,
    /// The whole queue is thrown away.
    Broken,
}

/// Incomplete datagrams.
#[derive(Debug, Clone, Default)]
pub(crate) struct Defragmenter {
    queues: BTreeMap<Which, Queue>,
    bytes: usize,
}

impl Defragmenter {
    /// Takes a part, and says what becomes of it: the datagram when it is the last one missing.
    pub(crate) fn add(
        &mut self,
        packet: &Packet<'_>,
        zone: u16,
        now: u64,
        timeouts: (u32, u32),
        room: usize,
    ) -> Gathered {
        let Some(fragment) = packet.fragment else { return Gathered::Alone };
        let v6 = packet.is_v6();
        let timeout = if v6 { timeouts.1 } else { timeouts.0 };
        let protocol = if v6 { 0 } else { fragment.protocol };
        let which = Which {
            source: packet.source(),
            destination: packet.destination(),
            id: fragment.id,
            protocol,
            zone,
        };
        if self.queues.get(&which).is_some_and(|q| q.deadline <= now) {
            self.drop_queue(&which);
        }
        if self.bytes > room {
            self.expire(now);
            if self.bytes > room && !self.queues.contains_key(&which) {
                return Gathered::Kept;
            }
        }
        let queue = self.queues.entry(which).or_insert_with(|| {
            self.bytes += OVERHEAD;
            Queue { deadline: now + u64::from(timeout), ..Queue::default() }
        });
        let before = queue.octets.len();
        let placed = queue.place(&fragment, packet, v6);
        self.bytes += queue.octets.len() - before;
        match placed {
            Placed::Kept | Placed::Refused => Gathered::Kept,
            Placed::Passed => Gathered::Alone,
            Placed::Broken => {
                self.drop_queue(&which);
                Gathered::Kept
            }
            Placed::PassedAndBroken => {
                self.drop_queue(&which);
                Gathered::Alone
            }
            Placed::Complete => match self.drop_queue(&which) {
                Some(Queue { octets, protocol, headers, .. }) => {
                    Gathered::Whole(Datagram { octets, protocol, headers })
                }
                None => Gathered::Kept,
            },
        }
    }

    fn drop_queue(&mut self, which: &Which) -> Option<Queue> {
        let queue = self.queues.remove(which)?;
        self.bytes = self.bytes.saturating_sub(OVERHEAD + queue.octets.len());
        Some(queue)
    }

    fn expire(&mut self, now: u64) {
        let old: Vec<Which> =
            self.queues.iter().filter(|(_, q)| q.deadline <= now).map(|(w, _)| *w).collect();
        for which in old {
            self.drop_queue(&which);
        }
    }
}

impl Queue {
    fn place(&mut self, fragment: &Fragment, packet: &Packet<'_>, v6: bool) -> Placed {
        let start = fragment.offset;
        // What the capture cut off counts as there: its octets are zero.
        let mut length = packet.payload_length;
        if fragment.more && !length.is_multiple_of(8) {
            if v6 {
                return Placed::PassedAndBroken;
            }
            length &= !7;
        }
        let end = start + length;
        if end as usize > LONGEST {
            return if v6 { Placed::Passed } else { Placed::Broken };
        }
        if fragment.more {
            if end > self.length {
                if self.last_seen {
                    return Placed::Broken;
                }
                self.length = end;
            }
        } else {
            if end < self.length || (self.last_seen && end != self.length) {
                return Placed::Broken;
            }
            self.last_seen = true;
            self.length = end;
        }
        if length == 0 {
            return Placed::Broken;
        }
        let at = self.runs.partition_point(|run| run.1 <= start);
        if let Some(&(first, past)) = self.runs.get(at)
            && first < end
        {
            return if first <= start && end <= past { Placed::Refused } else { Placed::Broken };
        }
        self.runs.insert(at, (start, end));
        if self.runs.get(at + 1).is_some_and(|next| next.0 == end) {
            self.runs[at].1 = self.runs.remove(at + 1).1;
        }
        if at > 0 && self.runs[at - 1].1 == start {
            self.runs[at - 1].1 = self.runs.remove(at).1;
        }
        if self.octets.len() < end as usize {
            self.octets.resize(end as usize, 0);
        }
        let held = packet.payload.len().min(length as usize);
        self.octets[start as usize..start as usize + held].copy_from_slice(&packet.payload[..held]);
        if start == 0 {
            self.protocol = fragment.protocol;
            let headers = packet.length.saturating_sub(packet.payload_length);
            self.headers = if v6 { headers.saturating_sub(8) } else { headers };
        }
        if !self.last_seen || self.runs != [(0, self.length)] {
            return Placed::Kept;
        }
        // Together with its headers it may be too long for an IP packet: IPv6 counts what stands behind
        // its 40 octets.
        let headers = if v6 { self.headers.saturating_sub(40) } else { self.headers };
        let fits = (headers + self.length) as usize <= LONGEST;
        if fits { Placed::Complete } else { Placed::Broken }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_wire::packet::Addresses;

    use super::*;

    const NOW: u64 = 1000;

    fn add(d: &mut Defragmenter, offset: u32, length: usize, more: bool) -> Option<Datagram> {
        let octets = alloc::vec![7; length];
        let packet = Packet {
            addresses: Addresses::v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()),
            protocol: 17,
            fragment: Some(Fragment { id: 1, offset, more, protocol: 17 }),
            payload: &octets,
            payload_length: length as u32,
            length: length as u32 + 20,
        };
        match d.add(&packet, 0, NOW, (30, 60), 1 << 20) {
            Gathered::Whole(datagram) => Some(datagram),
            Gathered::Kept => None,
            Gathered::Alone => unreachable!("IPv4 passes no part alone"),
        }
    }

    #[test]
    fn a_datagram_is_whole_with_its_last_part_in_any_order() {
        let mut d = Defragmenter::default();
        assert_eq!(add(&mut d, 16, 5, false), None);
        assert_eq!(add(&mut d, 8, 8, true), None);
        let whole = add(&mut d, 0, 8, true).unwrap();
        assert_eq!(whole.octets.len(), 21);
        assert_eq!(d.bytes, 0);
    }

    #[test]
    fn a_repeated_part_is_dropped_alone_and_an_overlap_ends_the_datagram() {
        let mut d = Defragmenter::default();
        add(&mut d, 0, 16, true);
        assert_eq!(add(&mut d, 8, 8, true), None);
        assert_eq!(d.queues.len(), 1);
        assert_eq!(add(&mut d, 8, 16, true), None);
        assert_eq!(d.queues.len(), 0);
        assert_eq!(add(&mut d, 16, 8, false), None);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut d = Defragmenter::default();
        for id in 0..100_000u32 {
            let packet = Packet {
                addresses: Addresses::v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()),
                protocol: 17,
                fragment: Some(Fragment { id, offset: 65_000, more: true, protocol: 17 }),
                payload: &[0; 8],
                payload_length: 8,
                length: 28,
            };
            d.add(&packet, 0, NOW, (30, 60), 1 << 20);
        }
        assert!(d.bytes < (1 << 20) + 66_000, "{}", d.bytes);
    }
}
