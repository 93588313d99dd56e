//! Fragments: conntrack sees a datagram when the last of its parts has come.
//!
//! Kernel: `nf_ct_ipv4_gather_frags()` with net/ipv4/ip_fragment.c, `nf_ct_frag6_gather()`,
//! nf_conntrack_reasm.c, v6.18. A part that overlaps another ends its datagram; an exact repetition is
//! dropped alone. Kernels before about 4.20 cut overlaps instead; not modelled. Each family has its own queues and its
//! own limit on their memory. Offsets: octets; times: ticks.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_wire::packet::{Fragment, Packet, upper_layer};

use crate::step::Treatment;

/// No datagram is longer.
const LONGEST: usize = 65_535;
/// Parts from one source, over IPv4, between two of the same datagram: more, and what was gathered of that is thrown
/// away (net.ipv4.ipfrag_max_dist).
const FURTHEST: u32 = 64;

/// What the kernel counts for a queue without its parts, measured on 6.18.
const fn overhead(v6: bool) -> usize {
    if v6 { 184 } else { 200 }
}

/// What the kernel counts for a part of so many octets, IP header included: its truesize as a frame out of a veth pair,
/// measured on 6.18. Buffers of other drivers are of other sizes.
const fn truesize(length: usize) -> usize {
    /// What describes the buffer, and what stands at its end.
    const ABOUT: (usize, usize) = (256, 320);
    /// The smallest buffer; others have a power of two.
    const SMALL: usize = 576;
    const PAGE: usize = 4096;
    // With the link's header, and room for another.
    let frame = length + 14 + 16;
    if frame >= PAGE {
        return ABOUT.0 + SMALL + length.next_multiple_of(PAGE);
    }
    let buffer = frame.next_multiple_of(64) + ABOUT.1;
    ABOUT.0 + if buffer <= SMALL { SMALL } else { buffer.next_power_of_two() }
}

/// Whether an IP header can say this: 13 bits for the offset, in eights, two that tell of congestion, 16 for the length.
/// Packets that were not read but made may say more.
const fn is_sayable(packet: &Packet<'_>, fragment: &Fragment) -> bool {
    fragment.offset <= 0x1fff * 8
        && fragment.offset.is_multiple_of(8)
        && fragment.ecn <= 3
        && packet.payload_length as usize <= LONGEST
}

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
    /// Runs without holes, by the place of the first octet. Only what comes right behind the last run makes it longer;
    /// other neighbours stay apart.
    runs: BTreeMap<u32, Vec<u8>>,
    /// Octets of all runs.
    there: u32,
    /// What the kernel counts for its parts.
    bytes: usize,
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
    /// Bytes of all over one of these, as the kernel counts them; more, and no part is taken.
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
    v4: Family,
    v6: Family,
}

/// Those over one of IPv4 and IPv6.
#[derive(Debug, Clone, Default)]
struct Family {
    queues: BTreeMap<Which, Queue>,
    /// The queues in order of their deadlines.
    deadlines: BTreeSet<(u64, Which)>,
    /// What the kernel counts for all.
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
        limits: Limits,
    ) -> Gathered {
        let Some(fragment) = packet.fragment else { return Gathered::Alone };
        if !is_sayable(packet, &fragment) {
            return Gathered::Kept;
        }
        self.family(packet.is_v6()).add(packet, &fragment, treatment, now, limits)
    }

    /// Keeps what stands in front of the payload of a first part that was just taken, for who wants to show the datagram, as long as the
    /// others are waited for. A part that was refused, as one that is there already, is not remembered.
    pub(crate) fn remember(&mut self, part: &Packet<'_>, head: Vec<u8>) {
        let Some(fragment) = part.fragment else { return };
        let queue = self.family(part.is_v6()).queues.get_mut(&Which::of(part, &fragment));
        if let Some(queue) = queue.filter(|queue| queue.headless) {
            (queue.head, queue.headless) = (head, false);
        }
    }

    const fn family(&mut self, v6: bool) -> &mut Family {
        if v6 { &mut self.v6 } else { &mut self.v4 }
    }
}

impl Family {
    fn add(
        &mut self,
        packet: &Packet<'_>,
        fragment: &Fragment,
        treatment: &Treatment,
        now: u64,
        Limits { timeouts, room, mixed_ecn_ends }: Limits,
    ) -> Gathered {
        self.expire(now);
        if room == 0 || self.bytes > room {
            return Gathered::Kept;
        }
        let v6 = packet.is_v6();
        let timeout = if v6 { timeouts.1 } else { timeouts.0 };
        let which = Which::of(packet, fragment);
        let queue = self.queue(which, v6, now + u64::from(timeout));
        let before = queue.bytes;
        let mut placed = queue.place(fragment, packet, treatment, v6);
        let mixed = queue.ecn & ecn::NOT_CAPABLE != 0 && queue.ecn != ecn::NOT_CAPABLE;
        if mixed_ecn_ends && mixed && matches!(placed, Placed::Complete) {
            placed = Placed::Broken;
        }
        let more = queue.bytes - before;
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
            self.bytes += overhead(v6);
            self.deadlines.insert((deadline, which));
            new.clone()
        });
        if let Some((queues, count)) = source {
            *queues += usize::from(queue.count == 0);
            *count = count.wrapping_add(1).max(1);
            if !queue.runs.is_empty() && count.wrapping_sub(queue.count) > FURTHEST {
                self.bytes -= queue.bytes;
                self.deadlines.remove(&(queue.deadline, which));
                self.deadlines.insert((deadline, which));
                *queue = new;
            }
            queue.count = *count;
        }
        queue
    }

    fn drop_queue(&mut self, which: &Which) -> Option<Queue> {
        let queue = self.queues.remove(which)?;
        self.deadlines.remove(&(queue.deadline, *which));
        self.bytes -= overhead(which.source.is_ipv6()) + queue.bytes;
        if let Some((queues, _)) = self.sources.get_mut(&which.source) {
            *queues -= 1;
            if *queues == 0 {
                self.sources.remove(&which.source);
            }
        }
        Some(queue)
    }

    fn expire(&mut self, now: u64) {
        while let Some(&(deadline, which)) = self.deadlines.first()
            && deadline <= now
        {
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
        // Of the runs that begin before its end the last one reaches furthest.
        if let Some((&first, run)) = self.runs.range(..end).next_back()
            && let past = first + run.len() as u32
            && past > start
        {
            return if first <= start && end <= past { Placed::Refused } else { Placed::Broken };
        }
        self.ecn |= 1 << fragment.ecn;
        self.fill(start, length, packet.payload);
        self.bytes += truesize((packet.length as usize).clamp(length as usize, LONGEST + 40));
        if start == 0 {
            self.protocol = fragment.protocol;
            self.hop_limit = packet.hop_limit;
            self.treatment = *treatment;
            let headers = packet.length.saturating_sub(packet.payload_length);
            self.headers = if v6 { headers.saturating_sub(8) } else { headers };
            self.headless = true;
        }
        if !self.last_seen || self.there != self.length {
            return Placed::Kept;
        }
        // Together with its headers it may be too long for an IP packet: IPv6 counts what stands behind
        // its 40 octets.
        let headers = if v6 { self.headers.saturating_sub(40) } else { self.headers };
        let fits = headers.saturating_add(self.length) as usize <= LONGEST;
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

    /// So many octets from `start` on are there, which were not.
    fn fill(&mut self, start: u32, length: u32, octets: &[u8]) {
        let run = match self.runs.last_entry() {
            Some(last) if last.key() + last.get().len() as u32 == start => last.into_mut(),
            _ => self.runs.entry(start).or_default(),
        };
        let past = run.len() + length as usize;
        run.extend_from_slice(&octets[..octets.len().min(length as usize)]);
        run.resize(past, 0);
        self.there += length;
    }

    /// What all parts together are.
    fn datagram(self) -> Datagram {
        let Self { runs, there, protocol, hop_limit, headers, ecn, treatment, head, .. } = self;
        let mut runs = runs.into_values();
        let mut octets = runs.next().unwrap_or_default();
        octets.reserve_exact(there as usize - octets.len());
        runs.for_each(|run| octets.extend(run));
        let congested = ecn & ecn::CONGESTED != 0 && ecn & ecn::CAPABLE != 0;
        Datagram { octets, protocol, hop_limit, headers, congested, treatment, head }
    }
}

#[cfg(test)]
mod tests;
