//! Readers that see one namespace at a time, taken through all that were chosen.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use plimsoll_ct::{Entry, Nanos};
use plimsoll_diagnosis::facts::{Fact, Gap, Owner, Reader, Reason};
use plimsoll_diagnosis::said;
use plimsoll_wire::Malformed;

use super::{Ask, Details, Outcome, Scope, Share, Sink};
use crate::live::{self, NamespaceSelector, Purse, Visit};
use crate::table::Budget;

/// A network namespace, as something to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceOf {
    /// Inode; `None` when the right to read it is missing.
    pub inode: Option<u64>,
    /// What it is called, the most telling first.
    pub owners: Vec<Owner>,
}

/// The namespaces that were chosen (all, when `only` is empty), and the choices that none answers to.
pub fn namespaces(only: &[NamespaceSelector]) -> (Vec<NamespaceOf>, Vec<NamespaceSelector>) {
    let (chosen, unmatched) = live::chosen(only);
    let named =
        chosen.into_iter().map(|(found, owners)| NamespaceOf { inode: found.inode, owners });
    (named.collect(), unmatched)
}

/// How one namespace's reading ended.
pub(super) struct Part {
    /// The table's end was reached.
    pub complete: bool,
    /// Kernel time spent.
    pub kernel: Option<Duration>,
}

/// Takes what one namespace's reader finds: counts it, marks it with the namespace, leaves out what does not
/// match, and shows the rest.
pub(super) struct Take<'a, S> {
    ask: &'a Ask,
    sink: &'a mut S,
    pub outcome: Outcome,
    netns: Option<u64>,
    /// The sink wants no more.
    full: bool,
}

impl<S: Sink> Take<'_, S> {
    pub fn entry(&mut self, mut entry: Entry) -> bool {
        self.entry_with(&mut entry, None)
    }

    pub fn wants_details(&self) -> bool {
        self.sink.wants_details()
    }

    pub fn entry_with(&mut self, entry: &mut Entry, details: Option<&Details>) -> bool {
        self.outcome.read += 1;
        entry.netns = self.netns;
        if self.ask.narrow.matches(entry) {
            self.outcome.rows += 1;
            self.full = !match details {
                Some(details) => self.sink.take_detailed(entry, details),
                None => self.sink.take(entry),
            };
        }
        !self.full
    }

    pub fn malformed(&mut self, malformed: &Malformed) {
        self.outcome.malformed += 1;
        self.sink.malformed(malformed);
    }
}

/// Without a budget: as long as it takes.
const ENDLESS: Budget = Budget { kernel: Duration::MAX, wall: Duration::MAX };

/// Reads one namespace after another.
pub(super) fn each<S: Sink>(
    ask: &Ask,
    reader: Reader,
    sink: &mut S,
    one: impl Fn(&Ask, Budget, &mut Take<'_, S>) -> Result<Part, Gap> + Sync,
) -> Result<Outcome, Gap> {
    let mut take = Take { ask, sink, outcome: Outcome::of(reader), netns: None, full: false };
    let before = buckets();
    match &ask.scope {
        Scope::Here => {
            take.netns = fs::metadata("/proc/thread-self/ns/net").ok().map(|file| file.ino());
            let expected = live::count_here();
            let part = one(ask, ask.budget.unwrap_or(ENDLESS), &mut take)?;
            take.outcome.kernel_time = part.kernel.map(nanos);
            if !part.complete {
                take.outcome.share = Share::Part(share(take.outcome.read, expected));
            }
        }
        Scope::All | Scope::Some(_) => several(ask, &mut take, one)?,
    }
    take.outcome.resized = before != buckets();
    Ok(take.outcome)
}

fn several<S: Sink>(
    ask: &Ask,
    take: &mut Take<'_, S>,
    one: impl Fn(&Ask, Budget, &mut Take<'_, S>) -> Result<Part, Gap> + Sync,
) -> Result<(), Gap> {
    let (mut found, complete) = live::all();
    if ask.scope == Scope::All
        && let Fact::Missing(gap) = complete
    {
        take.outcome.unseen = Some(gap);
    }
    if let Scope::Some(inodes) = &ask.scope {
        found.retain(|found| found.inode.is_some_and(|inode| inodes.contains(&inode)));
        for inode in inodes.iter().filter(|inode| !found.iter().any(|f| f.inode == Some(**inode))) {
            let detail = said!(
                "net:[{inode}]: no such network namespace",
                "net:[{inode}]：没有这个网络命名空间"
            );
            let gap = Gap { reason: Reason::Failed, detail, needs: None };
            take.outcome.unread.push((Some(*inode), gap));
        }
    }
    let doors: Vec<_> = found.iter().collect();
    let order = live::order(&live::counts(&doors));
    let counts: Vec<u64> = order.iter().map(|(_, count)| *count).collect();
    let mut purse = ask.budget.map(|budget| Purse::new(budget.kernel, &counts));
    let ordered: Vec<_> = order.iter().map(|(index, _)| doors[*index]).collect();
    let mut kernel = Some(Duration::ZERO);
    let (mut partial, mut tried) = (false, 0);
    let visits = live::each(&ordered, |here, place| {
        if take.full {
            partial = true;
            return Ok(());
        }
        if let Some(gap) = &here.outside {
            return Err(gap.clone());
        }
        let budget = match &mut purse {
            None => ENDLESS,
            Some(purse) => match purse.share(counts[place]) {
                Some(share) => share,
                None => {
                    partial = true;
                    return Ok(());
                }
            },
        };
        take.netns = ordered[place].inode;
        let start = Instant::now();
        let part = one(ask, budget, take)?;
        let wall = start.elapsed();
        if let Some(purse) = &mut purse {
            purse.spend(Budget { kernel: part.kernel.unwrap_or(wall), wall });
        }
        tried += 1;
        kernel = kernel.zip(part.kernel).map(|(sum, more)| sum + more);
        partial |= !part.complete;
        Ok(())
    });
    for (visit, door) in visits.into_iter().zip(&ordered) {
        match visit {
            Visit::Read(Ok(())) | Visit::Gone => {}
            Visit::Read(Err(gap)) | Visit::Refused(gap) => {
                take.outcome.unread.push((door.inode, gap));
            }
        }
    }
    // None of them, for one reason: another reader may do better.
    if tried == 0
        && !partial
        && let Some((_, gap)) = take.outcome.unread.first()
    {
        return Err(gap.clone());
    }
    take.outcome.kernel_time = kernel.map(nanos);
    if partial {
        let expected = counts.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
        take.outcome.share = Share::Part(share(take.outcome.read, Some(expected)));
    }
    Ok(())
}

fn share(read: u64, expected: Option<u64>) -> Option<f64> {
    expected.filter(|count| *count > 0).map(|count| (read as f64 / count as f64).min(1.0))
}

fn nanos(time: Duration) -> Nanos {
    Nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// Buckets of the hash table: a resize moves every entry.
fn buckets() -> Option<String> {
    fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_buckets").ok()
}
