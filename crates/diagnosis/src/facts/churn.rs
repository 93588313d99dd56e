//! How fast entries come and go: two readings of the same part of the table, compared.
//!
//! No modern kernel counts the entries it creates. A dump is ordered by hash bucket, and within a bucket
//! the order stays, so the beginning of one dump and the beginning of the next cover the same buckets. The
//! first reading keeps fingerprints of at most some thousand entries; the second counts, up to the last
//! entry that it recognises, what is new and what is gone. Buckets are a keyed hash: the part is a random
//! sample of the flows, so `appeared / compared` of the part holds for the table.
//!
//! What came and went between the readings is seen by neither, so the numbers are "at least". An entry that
//! a packet refreshed keeps its id and is not new; a tuple that was closed and opened again has another id
//! and is new. After a resize the buckets hold other entries: then there is no answer.

use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use plimsoll_ct::{Buckets, Entry, Nanos, Protocol};

use super::{Churn, Reader};

/// The first reading: fingerprints of the first entries of a dump.
#[derive(Debug, Clone)]
pub struct TableSample {
    /// Fingerprint to place in the dump.
    places: HashMap<u64, u32, FixedState>,
    complete: bool,
    buckets: Option<Buckets>,
    at: Nanos,
    seed: u64,
    reader: Option<Reader>,
}

impl TableSample {
    /// The same, read that way: only ctnetlink shows ids, so another way knows none of its entries again.
    pub const fn read_by(mut self, reader: Reader) -> Self {
        self.reader = Some(reader);
        self
    }

    /// Which way it was read, if it was told.
    pub const fn reader(&self) -> Option<Reader> {
        self.reader
    }

    /// Entries in it.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether it holds the whole table.
    pub const fn is_complete(&self) -> bool {
        self.complete
    }
}

/// Takes the first reading.
#[derive(Debug)]
pub struct SampleBuilder {
    sample: TableSample,
    limit: u32,
}

impl SampleBuilder {
    /// A reading of at most `limit` entries that begins at `at` of the monotonic clock, in a table of so
    /// many buckets.
    pub fn new(limit: u32, at: Nanos, buckets: Option<Buckets>, seed: u64) -> Self {
        let places = HashMap::with_hasher(FixedState::with_seed(seed));
        Self {
            sample: TableSample { places, complete: false, buckets, at, seed, reader: None },
            limit,
        }
    }

    /// Takes one entry, in the dump's order. `false` when the sample is full: then stop reading.
    pub fn add(&mut self, entry: &Entry) -> bool {
        let place = self.sample.places.len() as u32;
        if place >= self.limit {
            return false;
        }
        self.sample.places.entry(fingerprint(entry, self.sample.seed)).or_insert(place);
        true
    }

    /// The sample; `complete` when the dump's end was reached.
    pub fn finish(mut self, complete: bool) -> TableSample {
        self.sample.complete = complete;
        self.sample
    }
}

/// Entries that were not there before.
#[derive(Debug, Clone, Copy, Default)]
struct Strange {
    all: u64,
    tcp: u64,
    udp: u64,
}

/// The second reading, compared with the first.
#[derive(Debug)]
pub struct Comparison {
    sample: TableSample,
    interval: Nanos,
    /// Entries read.
    read: u64,
    /// Of those, not in the sample.
    strange: Strange,
    /// `read` and `strange` when the last entry was recognised.
    covered: (u64, Strange),
    /// Entries recognised, and the largest place in the first dump among them.
    recognised: u64,
    furthest: Option<u32>,
    /// Whether the sample had it already: a dump may show an entry twice.
    seen: HashMap<u32, (), FixedState>,
}

impl Comparison {
    /// A reading that begins at `at`. `None` when the buckets changed in between, or no time passed.
    pub fn new(sample: TableSample, at: Nanos, buckets: Option<Buckets>) -> Option<Self> {
        let interval = Nanos(at.0.checked_sub(sample.at.0).filter(|&span| span > 0)?);
        if sample.buckets != buckets {
            return None;
        }
        let seen = HashMap::with_hasher(FixedState::with_seed(sample.seed));
        Some(Self {
            sample,
            interval,
            read: 0,
            strange: Strange::default(),
            covered: (0, Strange::default()),
            recognised: 0,
            furthest: None,
            seen,
        })
    }

    /// Takes one entry, in the dump's order.
    pub fn add(&mut self, entry: &Entry) {
        if !self.sample.complete && self.recognised == self.sample.places.len() as u64 {
            return;
        }
        match self.sample.places.get(&fingerprint(entry, self.sample.seed)) {
            Some(&place) => {
                if self.seen.insert(place, ()).is_some() {
                    return;
                }
                self.read += 1;
                self.recognised += 1;
                self.furthest = self.furthest.max(Some(place));
                self.covered = (self.read, self.strange);
            }
            None => {
                self.read += 1;
                self.strange.all += 1;
                self.strange.tcp += u64::from(entry.original.protocol == Protocol::Tcp);
                self.strange.udp += u64::from(entry.original.protocol == Protocol::Udp);
            }
        }
    }

    /// What changed; `complete` when the second dump's end was reached. `None` when nothing of the sample
    /// was recognised, so that the two parts cannot be laid upon each other.
    pub fn finish(self, complete: bool) -> Option<Churn> {
        if complete && self.sample.complete {
            let vanished = self.sample.places.len() as u64 - self.recognised;
            return Some(self.churn(self.read, self.strange, vanished));
        }
        let furthest = self.furthest?;
        let expected = self.sample.places.values().filter(|&&place| place <= furthest).count();
        let (compared, appeared) = self.covered;
        let vanished = (expected as u64).saturating_sub(self.recognised);
        Some(self.churn(compared, appeared, vanished))
    }

    const fn churn(&self, compared: u64, appeared: Strange, vanished: u64) -> Churn {
        Churn {
            interval: self.interval,
            compared,
            appeared: appeared.all,
            appeared_tcp: appeared.tcp,
            appeared_udp: appeared.udp,
            vanished,
        }
    }
}

/// What tells one entry from all others, its successors with the same tuple included where the source
/// has ids.
fn fingerprint(entry: &Entry, seed: u64) -> u64 {
    let identity = (&entry.original, entry.zone, entry.id);
    FixedState::with_seed(seed.rotate_left(32)).hash_one(identity)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloc::vec::Vec;
    use core::net::{IpAddr, Ipv4Addr};
    use plimsoll_ct::{L4, Seconds, State, Status, Tuple};

    /// A UDP entry from port `port`, whose id is `id`.
    fn entry(port: u16, id: u32) -> Entry {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let tuple = |source, destination| Tuple {
            source: local,
            destination: local,
            protocol: Protocol::Udp,
            l4: L4::Ports { source, destination },
        };
        let entry = Entry::new(tuple(port, 53), tuple(53, port), State::Stateless, Status::empty());
        Entry { expires: Some(Seconds(29)), id: Some(id), ..entry }
    }

    fn entries(ports: impl IntoIterator<Item = u16>) -> Vec<Entry> {
        ports.into_iter().map(|p| entry(p, p.into())).collect()
    }

    fn sample(entries: &[Entry], limit: u32) -> TableSample {
        let mut builder = SampleBuilder::new(limit, Nanos(1_000), Some(Buckets(1024)), 5);
        let complete = entries.iter().all(|e| builder.add(e));
        builder.finish(complete)
    }

    fn compare(first: TableSample, second: &[Entry]) -> Option<Churn> {
        let mut c = Comparison::new(first, Nanos(3_000), Some(Buckets(1024)))?;
        second.iter().for_each(|e| c.add(e));
        c.finish(true)
    }

    #[test]
    fn a_small_table_is_compared_as_a_whole_and_exactly() {
        let first = sample(&entries(0..100), 1000);
        assert!(first.is_complete());
        // 10 are gone; 30 are new, ten of them behind the last old one.
        let second = entries((200..220).chain(0..90).chain(220..230));
        let churn = compare(first, &second).unwrap();
        assert_eq!((churn.compared, churn.appeared, churn.vanished), (120, 30, 10));
        assert_eq!((churn.appeared_tcp, churn.appeared_udp), (0, 30), "they are UDP's");
        assert_eq!(churn.interval, Nanos(2_000));
    }

    #[test]
    fn of_a_large_table_only_the_part_that_both_readings_cover_counts() {
        let first = sample(&entries(0..5000), 1000);
        assert_eq!((first.len(), first.is_complete()), (1000, false));
        // Every tenth is gone, and one new one stands after every hundred old ones.
        let second = (0..5000u16).filter(|n| n % 10 != 0).flat_map(|n| {
            let new = (n % 100 == 99).then_some(10_000 + n);
            core::iter::once(n).chain(new)
        });
        let churn = compare(first, &entries(second)).unwrap();
        // The new one behind the sample's last entry cannot be placed, so it is not counted.
        assert_eq!((churn.compared, churn.appeared, churn.vanished), (909, 9, 100));
    }

    #[test]
    fn a_refreshed_entry_is_no_new_one_and_a_reopened_tuple_is() {
        let first = sample(&entries(0..10), 100);
        let mut second = entries(0..10);
        second[3].expires = Some(Seconds(120));
        second[3].status = Status::SEEN_REPLY;
        second[4].id = Some(77);
        let churn = compare(first, &second).unwrap();
        assert_eq!((churn.compared, churn.appeared, churn.vanished), (10, 1, 1));
    }

    #[test]
    fn an_entry_that_a_dump_shows_twice_counts_once() {
        let first = sample(&entries(0..10), 100);
        let churn = compare(first, &entries((0..10).chain(0..3))).unwrap();
        assert_eq!((churn.compared, churn.appeared, churn.vanished), (10, 0, 0));
    }

    #[test]
    fn without_an_old_acquaintance_or_after_a_resize_there_is_no_answer() {
        assert_eq!(compare(sample(&entries(0..5000), 1000), &entries(10_000..10_500)), None);
        let first = sample(&entries(0..10), 100);
        assert!(Comparison::new(first.clone(), Nanos(3_000), Some(Buckets(2048))).is_none());
        assert!(Comparison::new(first.clone(), Nanos(1_000), Some(Buckets(1024))).is_none());
        assert!(Comparison::new(first, Nanos(0), Some(Buckets(1024))).is_none());
    }

    #[test]
    fn a_table_that_was_empty_and_filled_has_only_new_ones() {
        let churn = compare(sample(&[], 100), &entries(0..50)).unwrap();
        assert_eq!((churn.compared, churn.appeared, churn.vanished), (50, 50, 0));
    }
}
