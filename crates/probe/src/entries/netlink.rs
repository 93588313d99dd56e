//! ctnetlink's dump as a stream of rows: one buffer, nothing allocated for an entry.
//!
//! The kernel builds a dump datagram by datagram while we receive, at most some 32 KiB at a time, so a larger
//! buffer gains nothing and closing the socket ends the dump. Between two datagrams it keeps the entry at
//! which to go on; is that one gone meanwhile, the bucket begins anew and its entries come twice.

use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;
use std::time::SystemTime;

use foldhash::fast::RandomState;
use plimsoll_ct::{Family, Row, Time};
use plimsoll_diagnosis::facts::Gap;
use plimsoll_wire::ctnetlink::{self, Filter};

use super::scope::{Part, Take};
use super::{Ask, Details, Sink};
use crate::files::Files;
use crate::table::{Budget, Dump, Meter, Part as Of, Step, netlink_safe};

pub(super) fn entries<S: Sink>(
    ask: &Ask,
    budget: Budget,
    take: &mut Take<'_, S>,
) -> Result<Part, Gap> {
    netlink_safe(&Files::live())?;
    let meter = Meter::start(budget);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok();
    let now = now.and_then(|now| i64::try_from(now.as_nanos()).ok()).map(Time);
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
        .map_err(|trouble| trouble.gap("ctnetlink dump"))?;
    let mut recent = Recent::default();
    let mut any = false;
    let mut details = take.wants_details().then(Details::default);
    loop {
        let step = dump.next(&mut |payload| {
            any = true;
            let row = match &mut details {
                Some(details) => ctnetlink::decode_row_with(payload, now, details),
                None => ctnetlink::decode_row(payload, now),
            };
            match row {
                Ok(row) if recent.is_known(&row) => {
                    take.outcome.duplicates += 1;
                    true
                }
                Ok(row) => take.row_with(row, details.as_ref()),
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
            Err(trouble) => return Err(trouble.gap("ctnetlink dump")),
        }
        if meter.is_spent() {
            return Ok(false);
        }
    }
}

/// Fingerprints of the entries before this datagram, as many as a bucket can hold that begins anew.
#[derive(Default)]
struct Recent {
    hasher: RandomState,
    known: HashSet<u64, RandomState>,
    order: VecDeque<u64>,
    this: Vec<u64>,
}

impl Recent {
    /// More than any chain that the kernel lets grow by itself (it gives up insertions at 80 or so; before
    /// 5.15 it did not), and more than one datagram holds.
    const LENGTH: usize = 512;

    fn is_known(&mut self, row: &Row) -> bool {
        // The id is a keyed hash itself; with ports and zone no two of a few hundred have one mark.
        let mark = self.hasher.hash_one((row.id, row.original.l4, row.zone.id));
        if self.known.contains(&mark) {
            return true;
        }
        self.this.push(mark);
        false
    }

    fn next_datagram(&mut self) {
        for mark in self.this.drain(..) {
            self.known.insert(mark);
            self.order.push_back(mark);
        }
        while self.order.len() > Self::LENGTH {
            if let Some(old) = self.order.pop_front() {
                self.known.remove(&old);
            }
        }
    }
}
