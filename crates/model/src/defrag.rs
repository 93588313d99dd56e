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

use crate::step::Treatment;

/// No datagram is longer.
const LONGEST: usize = 65_535;
/// Parts from one source, over IPv4, between two of the same datagram: more, and what was gathered of that is thrown
/// away (net.ipv4.ipfrag_max_dist).
const FURTHEST: u32 = 64;
/// What a queue costs beside its octets, roughly as the kernel counts it.
const OVERHEAD: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Which {
    source: IpAddr,
    destination: IpAddr,
    id: u32,
    /// IPv4 tells datagrams apart by protocol too.
    protocol: u8,
}

impl Which {
    fn of(packet: &Packet<'_>, fragment: &Fragment) -> Self {
        Self {
            source: packet.source(),
            destination: packet.destination(),
            id: fragment.id,
            protocol: if packet.is_v6() { 0 } else { fragment.protocol },
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Queue {
    /// Octets so far, with holes.
    octets: Vec<u8>,
    /// Runs without holes, in order: first octet, one past the last. Only what comes right behind the last run makes it
    /// longer; other neighbours stay apart.
    runs: Vec<(u32, u32)>,
    /// Length known from the last part, else the furthest end.
    length: u32,
    last_seen: bool,
    /// Protocol that the first part names.
    protocol: u8,
    /// That of the first part.
    hop_limit: u8,
    /// Octets before the first part's payload, without the fragment header of IPv6.
    headers: u32,
    /// That of the first part.
    treatment: Treatment,
    deadline: u64,
    /// Parts of its source that had come with its last one.
    count: u32,
    /// Values that its parts have of [`Fragment::ecn`], a bit each.
    ecn: u8,
    /// See [`Defragmenter::remember`].
    head: Vec<u8>,
    /// The first part has come, and is not remembered yet.
    headless: bool,
}

/// The values of [`Fragment::ecn`], each as its bit: not capable of it, capable of it (two of them), congested.
mod ecn {
    pub(super) const NOT_CAPABLE: u8 = 1;
    pub(super) const CAPABLE: u8 = 1 << 1 | 1 << 2;
    pub(super) const CONGESTED: u8 = 1 << 3;
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
            // Where nothing is to follow, nothing is lacking.
            59 => return false,
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
    hop_limit: u8,
    headers: u32,
    /// One of its parts met congestion, though not all did.
    pub(crate) congested: bool,
    /// What rules do to it: they come behind the defragmenter, and see it with the first part's link addresses and ports.
    pub(crate) treatment: Treatment,
    /// See [`Defragmenter::remember`].
    pub(crate) head: Vec<u8>,
}

impl Datagram {
    /// Its payload, and the protocol of that.
    pub(crate) fn payload(&self) -> (u8, &[u8]) {
        (self.protocol, &self.octets)
    }

    /// It as a packet; `part` is one of its fragments.
    pub(crate) fn packet<'a>(&'a self, part: &Packet<'a>) -> Packet<'a> {
        let payload_length = self.octets.len() as u32;
        Packet {
            addresses: part.addresses,
            protocol: self.protocol,
            hop_limit: self.hop_limit,
            fragment: None,
            payload: &self.octets,
            payload_length,
            length: self.headers + payload_length,
        }
    }
}

/// What datagrams may wait for, and take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Ticks that one waits: over IPv4, over IPv6.
    pub(crate) timeouts: (u32, u32),
    /// Octets of all.
    pub(crate) room: usize,
    /// See [`Behaviour::mixed_ecn_ends`](crate::Behaviour).
    pub(crate) mixed_ecn_ends: bool,
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
    /// The part goes its way alone, and the whole queue is thrown away (IPv6).
    PassedAndBroken,
    /// The whole queue is thrown away.
    Broken,
}

/// Incomplete datagrams.
#[derive(Debug, Clone, Default)]
pub(crate) struct Defragmenter {
    queues: BTreeMap<Which, Queue>,
    bytes: usize,
    /// Of IPv4: each source with its queues and its parts so far.
    sources: BTreeMap<IpAddr, (usize, u32)>,
}

impl Defragmenter {
    /// Takes a part, and says what becomes of it: the datagram when it is the last one missing.
    pub(crate) fn add(
        &mut self,
        packet: &Packet<'_>,
        treatment: &Treatment,
        now: u64,
        Limits { timeouts, room, mixed_ecn_ends }: Limits,
    ) -> Gathered {
        let Some(fragment) = packet.fragment else { return Gathered::Alone };
        let v6 = packet.is_v6();
        let timeout = if v6 { timeouts.1 } else { timeouts.0 };
        let which = Which::of(packet, &fragment);
        if self.queues.get(&which).is_some_and(|q| q.deadline <= now) {
            self.drop_queue(&which);
        }
        if self.bytes > room {
            self.expire(now);
            if self.bytes > room && !self.queues.contains_key(&which) {
                return Gathered::Kept;
            }
        }
        let queue = self.queue(which, v6, now + u64::from(timeout));
        let before = queue.octets.len();
        let mut placed = queue.place(&fragment, packet, treatment, v6);
        let mixed = queue.ecn & ecn::NOT_CAPABLE != 0 && queue.ecn != ecn::NOT_CAPABLE;
        if mixed_ecn_ends && mixed && matches!(placed, Placed::Complete) {
            placed = Placed::Broken;
        }
        let more = queue.octets.len() - before;
        self.bytes += more;
        match placed {
            Placed::Kept | Placed::Refused => Gathered::Kept,
            Placed::Broken => {
                self.drop_queue(&which);
                Gathered::Kept
            }
            Placed::PassedAndBroken => {
                self.drop_queue(&which);
                Gathered::Alone
            }
            Placed::Complete => match self.drop_queue(&which) {
                Some(queue) => Gathered::Whole(queue.datagram()),
                None => Gathered::Kept,
            },
        }
    }

    /// Where a datagram's parts are gathered until then, if they were not so far. More than 64 parts of its source behind the last one of
    /// it over IPv4 it begins anew.
    fn queue(&mut self, which: Which, v6: bool, deadline: u64) -> &mut Queue {
        let new = Queue { deadline, ..Queue::default() };
        let source = (!v6).then(|| self.sources.entry(which.source).or_default());
        let queue = self.queues.entry(which).or_insert_with(|| {
            self.bytes += OVERHEAD;
            new.clone()
        });
        if let Some((queues, count)) = source {
            *queues += usize::from(queue.count == 0);
            *count = count.wrapping_add(1).max(1);
            if !queue.runs.is_empty() && count.wrapping_sub(queue.count) > FURTHEST {
                self.bytes -= queue.octets.len();
                *queue = new;
            }
            queue.count = *count;
        }
        queue
    }

    /// Keeps what stands in front of the payload of a first part that was just taken, for who wants to show the datagram, as long as the
    /// others are waited for. A part that was refused, as one that is there already, is not remembered.
    pub(crate) fn remember(&mut self, part: &Packet<'_>, head: Vec<u8>) {
        let queue = part.fragment.and_then(|f| self.queues.get_mut(&Which::of(part, &f)));
        if let Some(queue) = queue.filter(|queue| queue.headless) {
            (queue.head, queue.headless) = (head, false);
        }
    }

    fn drop_queue(&mut self, which: &Which) -> Option<Queue> {
        let queue = self.queues.remove(which)?;
        self.bytes = self.bytes.saturating_sub(OVERHEAD + queue.octets.len());
        if let Some((queues, _)) = self.sources.get_mut(&which.source) {
            *queues -= 1;
            if *queues == 0 {
                self.sources.remove(&which.source);
            }
        }
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
    fn place(
        &mut self,
        fragment: &Fragment,
        packet: &Packet<'_>,
        treatment: &Treatment,
        v6: bool,
    ) -> Placed {
        let start = fragment.offset;
        // What the capture cut off counts as there: its octets are zero.
        let mut length = packet.payload_length;
        // Too long for any datagram: IPv4 finds out when it is whole.
        if v6 && (start + length) as usize > LONGEST {
            return Placed::Refused;
        }
        if fragment.more && !length.is_multiple_of(8) {
            if v6 {
                return Placed::PassedAndBroken;
            }
            length &= !7;
        }
        let end = start + length;
        // A part that contradicts what is known of the end, or is empty: IPv6 goes on without it.
        if !self.learn_end(end, fragment.more) || length == 0 {
            return if v6 { Placed::Refused } else { Placed::Broken };
        }
        let at = self.runs.partition_point(|run| run.1 <= start);
        if let Some(&(first, past)) = self.runs.get(at)
            && first < end
        {
            return if first <= start && end <= past { Placed::Refused } else { Placed::Broken };
        }
        self.ecn |= 1 << fragment.ecn;
        self.fill(at, start, end, packet.payload);
        if start == 0 {
            self.protocol = fragment.protocol;
            self.hop_limit = packet.hop_limit;
            self.treatment = *treatment;
            let headers = packet.length.saturating_sub(packet.payload_length);
            self.headers = if v6 { headers.saturating_sub(8) } else { headers };
            self.headless = true;
        }
        let there: u32 = self.runs.iter().map(|(first, past)| past - first).sum();
        if !self.last_seen || there != self.length {
            return Placed::Kept;
        }
        // Together with its headers it may be too long for an IP packet: IPv6 counts what stands behind
        // its 40 octets.
        let headers = if v6 { self.headers.saturating_sub(40) } else { self.headers };
        let fits = (headers + self.length) as usize <= LONGEST;
        if fits { Placed::Complete } else { Placed::Broken }
    }

    /// Whether a part that ends there, the last one if there are no more, agrees with what is known of the datagram's end.
    const fn learn_end(&mut self, end: u32, more: bool) -> bool {
        if more {
            if end > self.length {
                if self.last_seen {
                    return false;
                }
                self.length = end;
            }
        } else {
            if end < self.length || (self.last_seen && end != self.length) {
                return false;
            }
            self.last_seen = true;
            self.length = end;
        }
        true
    }

    /// The octets from `start` to `end` are there, in front of the run at this place.
    fn fill(&mut self, at: usize, start: u32, end: u32, octets: &[u8]) {
        match self.runs.last_mut() {
            Some((_, past)) if *past == start => *past = end,
            _ => self.runs.insert(at, (start, end)),
        }
        if self.octets.len() < end as usize {
            self.octets.resize(end as usize, 0);
        }
        let held = octets.len().min((end - start) as usize);
        self.octets[start as usize..start as usize + held].copy_from_slice(&octets[..held]);
    }

    /// What all parts together are.
    fn datagram(self) -> Datagram {
        let Self { octets, protocol, hop_limit, headers, ecn, treatment, head, .. } = self;
        let congested = ecn & ecn::CONGESTED != 0 && ecn & ecn::CAPABLE != 0;
        Datagram { octets, protocol, hop_limit, headers, congested, treatment, head }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_wire::packet::Addresses;

    use super::*;

    const NOW: u64 = 1000;
    const LIMITS: Limits = Limits { timeouts: (30, 60), room: 1 << 20, mixed_ecn_ends: true };

    fn add(d: &mut Defragmenter, offset: u32, length: usize, more: bool) -> Option<Datagram> {
        add_of(d, 1, offset, length, more)
    }

    fn part(id: u32, offset: u32, octets: &[u8], more: bool) -> Packet<'_> {
        Packet {
            addresses: Addresses::v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()),
            protocol: 17,
            hop_limit: 64,
            fragment: Some(Fragment { id, offset, more, protocol: 17, ecn: 0 }),
            payload: octets,
            payload_length: octets.len() as u32,
            length: octets.len() as u32 + 20,
        }
    }

    fn add_of(
        d: &mut Defragmenter,
        id: u32,
        offset: u32,
        length: usize,
        more: bool,
    ) -> Option<Datagram> {
        let octets = alloc::vec![7; length];
        let packet = part(id, offset, &octets, more);
        match d.add(&packet, &Treatment::default(), NOW, LIMITS) {
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

    /// As a running 6.18 does (each of these, both families).
    #[test]
    fn a_part_within_two_neighbours_is_dropped_alone_only_where_the_later_came_last() {
        for (before, whole) in [([0, 8], true), ([8, 0], false)] {
            let mut d = Defragmenter::default();
            for offset in before {
                assert_eq!(add(&mut d, offset, 8, true), None);
            }
            assert_eq!(add(&mut d, 0, 16, true), None);
            assert_eq!(add(&mut d, 16, 8, false).is_some(), whole, "{before:?}");
        }
    }

    /// As a running 6.18 does.
    #[test]
    fn a_part_beyond_the_longest_datagram_is_dropped_alone_over_ipv6_and_waits_over_ipv4() {
        let [v4, v6] =
            [Addresses::v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()), Addresses::v6(&[1; 32])];
        for (addresses, length, waits) in [(v4, 8, true), (v6, 8, false), (v6, 9, false)] {
            let mut d = Defragmenter::default();
            let mut add = |offset, length, more| {
                let octets = alloc::vec![7; length];
                let packet = Packet { addresses, ..part(1, offset, &octets, more) };
                matches!(d.add(&packet, &Treatment::default(), NOW, LIMITS), Gathered::Whole(_))
            };
            assert!(!add(65_528, length, true));
            assert!(!add(0, 8, true));
            // Over IPv4 it contradicts the end that the long one named.
            assert_eq!(add(8, 8, false), !waits);
        }
    }

    #[test]
    fn the_head_is_that_of_the_first_part_that_was_taken() {
        let mut d = Defragmenter::default();
        for head in [[1], [2]] {
            // The second of them is there already.
            assert_eq!(add(&mut d, 0, 8, true), None);
            d.remember(&part(1, 0, &[7; 8], true), head.to_vec());
        }
        assert_eq!(add(&mut d, 8, 8, false).unwrap().head, [1]);
    }

    #[test]
    fn a_part_that_comes_too_late_begins_its_datagram_anew() {
        for (others, whole) in [(63, true), (64, false)] {
            let mut d = Defragmenter::default();
            assert_eq!(add(&mut d, 0, 8, true), None);
            for id in 0..others {
                assert_eq!(add_of(&mut d, 100 + id, 8, 8, false), None);
            }
            assert_eq!(add(&mut d, 8, 8, false).is_some(), whole, "{others} others in between");
            // Of what begins anew the last part is there.
            assert_eq!(add(&mut d, 0, 8, true).is_some(), !whole);
            assert_eq!(d.sources.len(), 1);
        }
    }

    #[test]
    fn a_part_that_contradicts_the_end_ends_its_datagram_over_ipv4_and_not_over_ipv6() {
        let source = [(10, 4, false), (11, 6, true)];
        for (id, version, goes_on) in source {
            let mut d = Defragmenter::default();
            let mut add = |offset, length: usize, more| {
                let octets = alloc::vec![7; length];
                let addresses = match version {
                    4 => Addresses::v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()),
                    _ => Addresses::v6(&[1; 32]),
                };
                let packet = Packet {
                    addresses,
                    protocol: 17,
                    hop_limit: 64,
                    fragment: Some(Fragment { id, offset, more, protocol: 17, ecn: 0 }),
                    payload: &octets,
                    payload_length: length as u32,
                    length: length as u32 + 48,
                };
                d.add(&packet, &Treatment::default(), NOW, LIMITS)
            };
            assert_eq!(add(8, 8, false), Gathered::Kept);
            assert_eq!(add(8, 16, false), Gathered::Kept, "another end");
            let whole = matches!(add(0, 8, true), Gathered::Whole(_));
            assert_eq!(whole, goes_on, "IPv{version}");
        }
    }

    #[test]
    fn parts_that_know_congestion_and_parts_that_do_not_make_no_datagram() {
        // Values of the parts; whether they make one, and whether it is congested where its first part is not.
        let cases: [(&[u8], bool, bool); 7] = [
            (&[0, 0], true, false),
            (&[0, 2], false, false),
            (&[3, 0], false, false),
            (&[2, 1], true, false),
            (&[2, 3], true, true),
            (&[1, 2, 3], true, true),
            (&[3, 3], true, false),
        ];
        for (values, whole, congested) in cases {
            let mut last = Gathered::Kept;
            let mut d = Defragmenter::default();
            for (offset, &ecn) in (0..).step_by(8).zip(values) {
                let more = offset as usize / 8 + 1 < values.len();
                let packet = Packet {
                    addresses: Addresses::v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()),
                    protocol: 17,
                    hop_limit: 64,
                    fragment: Some(Fragment { id: 1, offset, more, protocol: 17, ecn }),
                    payload: &[7; 8],
                    payload_length: 8,
                    length: 28,
                };
                last = d.add(&packet, &Treatment::default(), NOW, LIMITS);
            }
            let seen = match last {
                Gathered::Whole(datagram) => (true, datagram.congested),
                Gathered::Kept | Gathered::Alone => (false, false),
            };
            assert_eq!(seen, (whole, congested), "{values:?}");
            assert_eq!(d.bytes, 0, "{values:?}: nothing waits");
        }
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut d = Defragmenter::default();
        for id in 0..100_000u32 {
            let packet = Packet {
                addresses: Addresses::v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()),
                protocol: 17,
                hop_limit: 64,
                fragment: Some(Fragment { id, offset: 65_000, more: true, protocol: 17, ecn: 0 }),
                payload: &[0; 8],
                payload_length: 8,
                length: 28,
            };
            d.add(&packet, &Treatment::default(), NOW, LIMITS);
        }
        assert!(d.bytes < (1 << 20) + 66_000, "{}", d.bytes);
    }
}
