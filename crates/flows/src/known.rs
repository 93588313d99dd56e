//! The entries that are known to be in a table, as events and readings tell: in some 60 bytes each.
//!
//! For whoever follows events. Events get lost; then the table is read again, and what differs from what was known is
//! what was missed.

use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash};
use core::net::IpAddr;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;
use plimsoll_ct::{Entry, L4, Protocol, State, Status, Tuple, Zone};

/// Entries of one namespace.
#[derive(Debug)]
pub struct Known {
    v4: HashTable<Kept<[u8; 4]>>,
    v6: HashTable<Kept<[u8; 16]>>,
    hasher: FixedState,
    /// Which reading is under way; each entry bears that of its last one.
    reading: bool,
}

/// What an entry is known by, and what its end is told with.
#[derive(Debug, Clone, Copy)]
struct Kept<A> {
    addresses: [A; 4],
    l4: [L4; 2],
    protocol: Protocol,
    state: State,
    zone: Zone,
    status: Status,
    id: Option<u32>,
    mark: u32,
    /// Its beginning was shown.
    told: bool,
    reading: bool,
}

/// What an entry was to us before it was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Not known.
    Unknown,
    /// Known, from a reading at the beginning.
    Silent,
    /// Known, and its beginning was shown.
    Told,
    /// Known; its state or status was another.
    Other,
}

impl Known {
    /// Nothing yet. `seed` keys the hash tables.
    pub fn new(seed: u64) -> Self {
        Self {
            v4: HashTable::new(),
            v6: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            reading: false,
        }
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Notes an entry as it is now, and says what it was before. `told`: its beginning is being shown. What an update
    /// leaves out (the mark) is filled in from before.
    pub fn note(&mut self, entry: &mut Entry, told: bool) -> Before {
        let reading = self.reading;
        match addresses(entry) {
            Addresses::V4(addresses) => {
                note(&mut self.v4, &self.hasher, addresses, entry, told, reading)
            }
            Addresses::V6(addresses) => {
                note(&mut self.v6, &self.hasher, addresses, entry, told, reading)
            }
        }
    }

    /// Forgets an entry. Whether it was known.
    pub fn forget(&mut self, entry: &Entry) -> bool {
        match addresses(entry) {
            Addresses::V4(addresses) => forget(&mut self.v4, &self.hasher, addresses, entry),
            Addresses::V6(addresses) => forget(&mut self.v6, &self.hasher, addresses, entry),
        }
    }

    /// A reading of the whole table begins.
    pub fn begin(&mut self) {
        self.reading = !self.reading;
    }

    /// The reading came to its end: what it did not meet is gone, and is forgotten.
    pub fn sweep(&mut self, mut gone: impl FnMut(&Entry)) {
        let reading = self.reading;
        self.v4.retain(|kept| keep(kept, reading, &mut gone));
        self.v6.retain(|kept| keep(kept, reading, &mut gone));
    }
}

/// Bytes of an address.
trait Address: Copy + Eq + Hash + Into<IpAddr> {}
impl Address for [u8; 4] {}
impl Address for [u8; 16] {}

enum Addresses {
    V4([[u8; 4]; 4]),
    V6([[u8; 16]; 4]),
}

fn addresses(entry: &Entry) -> Addresses {
    let all = [
        entry.original.source,
        entry.original.destination,
        entry.reply.source,
        entry.reply.destination,
    ];
    let v4 = all.map(|address| match address {
        IpAddr::V4(a) => Some(a.octets()),
        IpAddr::V6(_) => None,
    });
    match v4 {
        [Some(a), Some(b), Some(c), Some(d)] => Addresses::V4([a, b, c, d]),
        _ => Addresses::V6(all.map(|address| match address {
            IpAddr::V4(a) => a.to_ipv6_mapped().octets(),
            IpAddr::V6(a) => a.octets(),
        })),
    }
}

/// The original tuple and the zone are the key of an entry.
fn key<A: Address>(
    hasher: &FixedState,
    addresses: &[A; 4],
    l4: L4,
    protocol: Protocol,
    zone: Zone,
) -> u64 {
    hasher.hash_one((addresses[0], addresses[1], l4, protocol, zone))
}

fn is<A: Address>(kept: &Kept<A>, addresses: &[A; 4], entry: &Entry) -> bool {
    kept.addresses[..2] == addresses[..2]
        && kept.l4[0] == entry.original.l4
        && kept.protocol == entry.original.protocol
        && kept.zone == entry.zone
}

fn note<A: Address>(
    table: &mut HashTable<Kept<A>>,
    hasher: &FixedState,
    addresses: [A; 4],
    entry: &mut Entry,
    told: bool,
    reading: bool,
) -> Before {
    let hash = key(hasher, &addresses, entry.original.l4, entry.original.protocol, entry.zone);
    let rehash =
        |kept: &Kept<A>| key(hasher, &kept.addresses, kept.l4[0], kept.protocol, kept.zone);
    let mut now = Kept {
        addresses,
        l4: [entry.original.l4, entry.reply.l4],
        protocol: entry.original.protocol,
        state: entry.state,
        zone: entry.zone,
        status: entry.status,
        id: entry.id,
        mark: entry.mark.unwrap_or(0),
        told,
        reading,
    };
    match table.entry(hash, |kept| is(kept, &addresses, entry), rehash) {
        Place::Vacant(place) => {
            place.insert(now);
            Before::Unknown
        }
        Place::Occupied(mut place) => {
            let kept = place.get_mut();
            // The same tuple, but another entry: the former is gone.
            if kept.id.is_some() && now.id.is_some() && kept.id != now.id {
                *kept = now;
                return Before::Unknown;
            }
            let before = match () {
                () if (kept.state, kept.status) != (now.state, now.status) => Before::Other,
                () if kept.told => Before::Told,
                () => Before::Silent,
            };
            now.told |= kept.told;
            if entry.mark.is_none() {
                now.mark = kept.mark;
                entry.mark = (kept.mark != 0).then_some(kept.mark);
            }
            *kept = now;
            before
        }
    }
}

fn forget<A: Address>(
    table: &mut HashTable<Kept<A>>,
    hasher: &FixedState,
    addresses: [A; 4],
    entry: &Entry,
) -> bool {
    let hash = key(hasher, &addresses, entry.original.l4, entry.original.protocol, entry.zone);
    match table.find_entry(hash, |kept| is(kept, &addresses, entry)) {
        // An entry that took the tuple since stays.
        Ok(place)
            if place.get().id.is_none() || entry.id.is_none() || place.get().id == entry.id =>
        {
            place.remove();
            true
        }
        Ok(_) | Err(_) => false,
    }
}

fn keep<A: Address>(kept: &Kept<A>, reading: bool, gone: &mut impl FnMut(&Entry)) -> bool {
    if kept.reading == reading {
        return true;
    }
    let tuple = |from: usize| Tuple {
        source: kept.addresses[from].into(),
        destination: kept.addresses[from + 1].into(),
        protocol: kept.protocol,
        l4: kept.l4[from / 2],
    };
    let mut entry = Entry::new(tuple(0), tuple(2), kept.state, kept.status);
    (entry.zone, entry.id) = (kept.zone, kept.id);
    entry.mark = (kept.mark != 0).then_some(kept.mark);
    gone(&entry);
    false
}

/// All entries of a sweep, for tests and small tables.
impl Known {
    /// What [`Self::sweep`] finds gone, in one list.
    pub fn swept(&mut self) -> Vec<Entry> {
        let mut gone = Vec::new();
        self.sweep(|entry| gone.push(*entry));
        gone
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use plimsoll_wire::listing;

    fn entry(source: &str, port: u16, id: u32) -> Entry {
        let line = alloc::format!(
            "tcp 6 100 SYN_SENT src={source} dst={source} sport={port} dport=443 [UNREPLIED] \
             src={source} dst={source} sport=443 dport={port} mark=0 use=1"
        );
        Entry { id: Some(id), mark: None, ..listing::parse(line.as_bytes()).unwrap().entry }
    }

    #[test]
    fn what_a_second_reading_does_not_meet_is_gone() {
        let mut known = Known::new(1);
        known.begin();
        for port in 0..1000 {
            assert_eq!(
                known.note(&mut entry("10.0.0.1", port, port.into()), false),
                Before::Unknown
            );
            known.note(&mut entry("fd00::1", port, port.into()), false);
        }
        assert!(known.swept().is_empty());
        assert_eq!(known.len(), 2000);
        known.begin();
        for port in 0..990 {
            assert_eq!(
                known.note(&mut entry("10.0.0.1", port, port.into()), false),
                Before::Silent
            );
            known.note(&mut entry("fd00::1", port, port.into()), false);
        }
        let mut gone = known.swept();
        gone.sort_by_key(|entry| (entry.original.source, entry.id));
        assert_eq!(gone.len(), 20);
        assert_eq!(gone[0].original, entry("10.0.0.1", 990, 990).original);
        assert_eq!(gone[19].reply, entry("fd00::1", 999, 999).reply);
        assert_eq!(known.len(), 1980);
    }

    #[test]
    fn an_update_keeps_the_mark_and_a_new_entry_of_the_same_tuple_is_another() {
        let mut known = Known::new(1);
        let first = Entry { mark: Some(7), ..entry("10.0.0.1", 1, 1) };
        known.note(&mut { first }, true);
        let mut update = Entry { status: Status::SEEN_REPLY, ..entry("10.0.0.1", 1, 1) };
        assert_eq!(known.note(&mut update, false), Before::Other);
        assert_eq!(update.mark, Some(7));
        assert_eq!(known.note(&mut update.clone(), false), Before::Told);
        assert_eq!(known.note(&mut entry("10.0.0.1", 1, 2), false), Before::Unknown);
        // The end of the former is not the end of this one.
        assert!(!known.forget(&first));
        assert!(known.forget(&entry("10.0.0.1", 1, 2)));
        assert!(known.is_empty());
    }

    #[test]
    fn an_entry_is_known_in_few_bytes() {
        assert!(size_of::<Kept<[u8; 4]>>() <= 64, "{}", size_of::<Kept<[u8; 4]>>());
    }
}
