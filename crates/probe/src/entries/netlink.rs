//! ctnetlink's dump as a stream of entries: one buffer, nothing allocated for an entry.
//!
//! The kernel builds a dump datagram by datagram while we receive, at most some 32 KiB at a time, so a larger
//! buffer gains nothing and closing the socket ends the dump. Between two datagrams it keeps the entry at
//! which to go on; is that one gone meanwhile, the bucket begins anew and its entries come twice.

use plimsoll_ct::{Entry, Family, L4, Time};
use plimsoll_diagnosis::facts::Gap;
use plimsoll_wire::ctnetlink::{self, Filter};

use super::scope::{Part, Take};
use super::{Ask, Details, Sink, now};
use crate::files::Files;
use crate::table::{Budget, DUMP, Dump, Meter, Part as Of, Step, netlink_safe};

pub(super) fn entries<S: Sink>(
    ask: &Ask,
    budget: Budget,
    take: &mut Take<'_, S>,
) -> Result<Part, Gap> {
    netlink_safe(&Files::live())?;
    let meter = Meter::start(budget);
    let now = now();
    let mut complete = true;
    for filter in filters(&ask.narrow) {
        complete = complete && one(&filter, now, &meter, take)?;
    }
    Ok(Part { complete, kernel: meter.kernel() })
}

/// The dumps that together give what is asked for. The kernel filters by protocol only within a family, and
/// one dump each that leaves out most is cheaper than one of everything.
fn filters(narrow: &Filter) -> Vec<Filter> {
    match (narrow.family, narrow.protocol) {
        (None, Some(_)) => [Family::V4, Family::V6]
            .map(|family| Filter { family: Some(family), ..*narrow })
            .to_vec(),
        _ => vec![*narrow],
    }
}

/// One dump. Whether its end was reached.
fn one<S: Sink>(
    filter: &Filter,
    now: Option<Time>,
    meter: &Meter,
    take: &mut Take<'_, S>,
) -> Result<bool, Gap> {
    let mut dump = Dump::start(Of::Netfilter, &ctnetlink::dump(1, filter))
        .map_err(|trouble| trouble.gap(DUMP))?;
    let mut recent = Recent::default();
    let mut any = false;
    let mut details = take.wants_details().then(Details::default);
    let mut entry = Entry::UNKNOWN;
    loop {
        let step = dump.next(&mut |payload| {
            any = true;
            let read = match &mut details {
                Some(details) => ctnetlink::decode_with(payload, now, &mut entry, details),
                None => ctnetlink::decode_into(payload, now, &mut entry),
            };
            match read {
                Ok(()) if recent.is_known(&entry) => {
                    take.outcome.duplicates += 1;
                    true
                }
                Ok(()) => take.entry_with(&mut entry, details.as_ref()),
                Err(malformed) => {
                    take.malformed(&malformed);
                    true
                }
            }
        });
        match step {
            Ok(Step::More) => recent.next_datagram(),
            Ok(Step::Overrun) => take.outcome.overruns += 1,
            Ok(Step::End) => return Ok(true),
            Ok(Step::Stopped) => return Ok(false),
            // What was seen before a failure counts as an incomplete reading.
            Err(_) if any => return Ok(false),
            Err(trouble) => return Err(trouble.gap(DUMP)),
        }
        if meter.is_spent() {
            return Ok(false);
        }
    }
}

/// Fingerprints of the entries before this datagram, as many as a bucket can hold that begins anew.
struct Recent {
    /// The last ones, oldest first but for where the ring begins.
    known: Vec<u64>,
    oldest: usize,
    /// Those of this datagram.
    this: Vec<u64>,
    /// Some bit is set for each that is known, so that nearly all others need no search.
    filter: Box<[u64; Recent::WORDS]>,
}

impl Default for Recent {
    fn default() -> Self {
        let (known, this) = (Vec::with_capacity(Self::LENGTH), Vec::with_capacity(Self::LENGTH));
        Self { known, oldest: 0, this, filter: Box::new([0; Self::WORDS]) }
    }
}

impl Recent {
    /// More than any chain that the kernel lets grow by itself (it gives up insertions at 80 or so; before
    /// 5.15 it did not), and more than one datagram holds.
    const LENGTH: usize = 512;
    /// Thirty-two bits for each.
    const WORDS: usize = Self::LENGTH * 32 / 64;

    fn is_known(&mut self, entry: &Entry) -> bool {
        let Some(mark) = mark(entry) else { return false };
        let (word, bit) = Self::place(mark);
        if self.filter[word] & bit != 0 && self.known.contains(&mark) {
            return true;
        }
        self.this.push(mark);
        false
    }

    fn next_datagram(&mut self) {
        for mark in self.this.drain(..) {
            if self.known.len() < Self::LENGTH {
                self.known.push(mark);
            } else {
                self.known[self.oldest] = mark;
                self.oldest = (self.oldest + 1) % Self::LENGTH;
            }
        }
        self.filter.fill(0);
        for mark in &self.known {
            let (word, bit) = Self::place(*mark);
            self.filter[word] |= bit;
        }
    }

    const fn place(mark: u64) -> (usize, u64) {
        let spread = mark.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        ((spread as usize >> 6) % Self::WORDS, 1 << (spread % 64))
    }
}

/// What no two of a few hundred entries have in common: the id, a keyed hash itself, with ports and zone. `None`: the
/// kernel told no id.
fn mark(entry: &Entry) -> Option<u64> {
    let ports = match entry.original.l4 {
        L4::Ports { source, destination } | L4::Gre { source, destination } => {
            u32::from(source) << 16 | u32::from(destination)
        }
        L4::Icmp { kind, code, id } => u32::from(id) << 16 | u32::from(kind) << 8 | u32::from(code),
        L4::None => 0,
    };
    Some(u64::from(entry.id?) << 32 | u64::from(ports ^ u32::from(entry.zone.id).rotate_left(8)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn numbered(id: u32) -> Entry {
        Entry { id: Some(id), ..Entry::UNKNOWN }
    }

    #[test]
    fn an_entry_of_the_last_datagrams_is_known_and_none_of_this_one() {
        let mut recent = Recent::default();
        let mut next = 0..;
        for _ in 0..20 {
            let these: Vec<Entry> = next.by_ref().take(140).map(numbered).collect();
            assert!(these.iter().all(|entry| !recent.is_known(entry)));
            assert!(these.iter().all(|entry| !recent.is_known(entry)), "the same datagram");
            recent.this.truncate(140);
            recent.next_datagram();
            assert!(these.iter().all(|entry| recent.is_known(entry)));
        }
        let last = next.next().unwrap();
        let remembered = (0..last).filter(|id| recent.is_known(&numbered(*id))).count();
        assert_eq!(remembered, Recent::LENGTH);
    }

    #[test]
    fn what_has_no_id_is_never_known() {
        let mut recent = Recent::default();
        assert!(!recent.is_known(&Entry::UNKNOWN));
        recent.next_datagram();
        assert!(!recent.is_known(&Entry::UNKNOWN));
    }
}
