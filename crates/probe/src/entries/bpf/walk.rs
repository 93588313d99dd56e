//! The walk over the table: workers that take slices of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use plimsoll_ct::{Entry, Nanos, Time};
use plimsoll_diagnosis::facts::{Gap, Reader, Reason};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::ctnetlink::Details;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::shared::{LANES, Place, RawRow, WORKERS, has};
use super::{Census, failed, run};
use crate::entries::{Ask, Outcome, Scope, Share, Sink, Wants, now};
use crate::seed::seed;

/// Buckets that a worker takes from the heap at once.
pub(crate) const SLICE: u64 = 1024;
/// After so long a run ends with the group it is at, whatever is left of its slice.
const HOLD: Duration = Duration::from_micros(250);
/// A group of chains that holds the CPU for longer is taken in smaller ones.
const TOO_LONG: u64 = 500_000;
/// So many runs in a row without progress mean that the table is not there any more.
const STALLED: u32 = 100;

/// A part of the table: buckets from `start`, perhaps around the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    start: u64,
    length: u64,
}

impl Span {
    const fn whole(buckets: u64) -> Self {
        Self { start: 0, length: buckets }
    }

    /// A share of the table that begins anywhere.
    fn share(buckets: u64, share: f64) -> Self {
        let length = ((buckets as f64 * share).ceil() as u64).clamp(1, buckets);
        let start = seed() % buckets;
        Self { start: if length == buckets { 0 } else { start }, length }
    }
}

/// What the workers have in common.
struct Common<'a> {
    census: &'a Census,
    ask: &'a Ask,
    place: Place,
    span: Span,
    /// The namespace that the programs look for; 0: any.
    netns: u64,
    /// What is to be told beside the rows; 0: nothing.
    beside: u64,
    /// The time by the wall clock, for ages.
    now: Option<Time>,
    next: AtomicU64,
    done: AtomicU64,
    spent: AtomicU64,
    stop: AtomicBool,
    start: Instant,
    gap: Mutex<Option<Gap>>,
}

/// What one worker counted.
#[derive(Debug, Default)]
struct Part {
    rows: u64,
    read: u64,
    malformed: u64,
    redone: u64,
    cut: u64,
    untold: u64,
    longest: u64,
    stalled: bool,
}

impl Census {
    /// Reads what is asked for.
    pub fn read<S: Sink>(&mut self, ask: &Ask, sinks: &mut [S]) -> Result<Outcome, Gap> {
        if let Some(what) = self.beyond(ask.wants) {
            let detail =
                said!("bpf: does not tell {what} on this host", "bpf：在这台主机上读不到 {what:#}");
            return Err(Gap { reason: Reason::NotAsked, detail, needs: None });
        }
        let place = self.place()?;
        let span = match ask.sample {
            Some(share) if share < 1.0 => Span::share(place.buckets, share.max(0.0)),
            _ => Span::whole(place.buckets),
        };
        let netns = match &ask.scope {
            Scope::All => 0,
            Scope::Here => here().ok_or_else(|| {
                failed(Said::of("bpf: /proc/thread-self/ns/net", "bpf：/proc/thread-self/ns/net"))
            })?,
            Scope::Some(inodes) => match inodes.as_slice() {
                [one] => *one,
                _ => 0,
            },
        };
        let common = Common {
            census: self,
            ask,
            place,
            span,
            netns,
            beside: beside(ask.wants, sinks.iter().any(Sink::wants_details)),
            now: now(),
            next: AtomicU64::new(0),
            done: AtomicU64::new(0),
            spent: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            start: Instant::now(),
            gap: Mutex::new(None),
        };
        let workers = sinks.len().min(WORKERS);
        let cpus = cpus();
        let parts: Vec<Part> = match sinks {
            [only] => vec![common.work(0, only)],
            _ => std::thread::scope(|scope| {
                let threads: Vec<_> = sinks
                    .iter_mut()
                    .take(workers)
                    .enumerate()
                    .map(|(worker, sink)| {
                        let (common, cpu) =
                            (&common, cpus.get(worker % cpus.len().max(1)).copied());
                        std::thread::Builder::new().spawn_scoped(scope, move || {
                            // Without it both may be put on one CPU.
                            if let Some(cpu) = cpu {
                                let mut only = CpuSet::new();
                                only.set(cpu);
                                let _ = sched_setaffinity(None, &only);
                            }
                            common.work(worker, sink)
                        })
                    })
                    .collect();
                threads.into_iter().flatten().filter_map(|thread| thread.join().ok()).collect()
            }),
        };
        if parts.len() < workers {
            return Err(failed(Said::of("bpf: a worker stopped", "bpf：一个工作线程停了")));
        }
        let (done, spent) = (common.done.load(Relaxed), common.spent.load(Relaxed));
        if let Some(gap) = common.gap.into_inner().unwrap_or_default()
            && done == 0
        {
            return Err(gap);
        }
        let mut outcome = Outcome::of(Reader::Bpf);
        outcome.means = Some(if self.programs.direct { "direct" } else { "probe reads" });
        for part in &parts {
            outcome.rows += part.rows;
            outcome.read += part.read;
            outcome.malformed += part.malformed;
            outcome.redone += part.redone;
            outcome.cut += part.cut;
            outcome.untold += part.untold;
            outcome.resized |= part.stalled;
        }
        outcome.longest_slice = parts.iter().map(|part| part.longest).max().map(Nanos);
        outcome.kernel_time = Some(Nanos(spent));
        if done < place.buckets {
            outcome.share = Share::Part(Some(done as f64 / place.buckets as f64));
        }
        let after = self.place();
        outcome.resized |=
            !after.is_ok_and(|after| (after.table, after.buckets) == (place.table, place.buckets));
        Ok(outcome)
    }
}

impl Common<'_> {
    fn work<S: Sink>(&self, worker: usize, sink: &mut S) -> Part {
        let mut part = Part::default();
        let mut entry = Entry::UNKNOWN;
        let mut details = sink.wants_details().then(Details::default);
        let mut order = Order::default();
        let mut at_once = LANES;
        // Where the span goes around the table's end.
        let around = self.place.buckets - self.span.start;
        loop {
            let from = self.next.fetch_add(SLICE, Relaxed);
            let mut at = from;
            let end = (from + SLICE).min(self.span.length);
            while at < end {
                if self.is_over() {
                    return part;
                }
                let (begin, until) = match at < around {
                    true => (self.span.start + at, self.span.start + end.min(around)),
                    false => (at - around, end - around),
                };
                let into = (&mut entry, &mut details, &mut order);
                match self.slice(worker, begin, until, &mut at_once, &mut part, into, sink) {
                    Some(cursor) => {
                        self.done.fetch_add(cursor - begin, Relaxed);
                        at += cursor - begin;
                    }
                    None => return part,
                }
            }
            if end == self.span.length || from >= self.span.length {
                return part;
            }
        }
    }

    fn is_over(&self) -> bool {
        let spent = self.ask.budget.is_some_and(|budget| {
            u128::from(self.spent.load(Relaxed)) >= budget.kernel.as_nanos()
                || self.start.elapsed() >= budget.wall
        });
        spent || self.stop.load(Relaxed)
    }

    /// One run or as many as it takes to get on. The first bucket that was not read; `None`: no more.
    #[expect(
        clippy::too_many_arguments,
        reason = "the state of one worker, of which each is used by itself"
    )]
    fn slice<S: Sink>(
        &self,
        worker: usize,
        begin: u64,
        end: u64,
        at_once: &mut u64,
        part: &mut Part,
        (entry, details, order): (&mut Entry, &mut Option<Details>, &mut Order),
        sink: &mut S,
    ) -> Option<u64> {
        for _ in 0..STALLED {
            let hold = u64::try_from(HOLD.as_nanos()).unwrap_or(u64::MAX);
            let args = [
                self.place.table,
                begin,
                end,
                worker as u64,
                *at_once,
                self.netns,
                hold,
                self.beside,
                0,
                0,
                0,
                0,
            ];
            let before = own_time();
            let ran = self.census.programs.walk().and_then(|walk| run(walk, args));
            if let Err(gap) = ran {
                self.fail(gap);
                return None;
            }
            self.spent.fetch_add(own_time().saturating_sub(before), Relaxed);
            let ran = self.census.workers.run(worker);
            part.redone += ran.redone;
            part.longest = part.longest.max(ran.nanos);
            if ran.unreadable {
                break;
            }
            // SAFETY: only this thread runs the program as this worker, and not before the rows are done with.
            let rows = unsafe { self.census.workers.rows(worker, ran.rows) };
            // SAFETY: the same.
            let more = unsafe { self.census.workers.more(worker, ran.rows) };
            sink.reach_bucket(begin);
            let in_order = sink.wants_order();
            if in_order {
                order.sort(rows);
            }
            for place in 0..rows.len() {
                let place = if in_order { order.of(place) } else { place };
                let (raw, more) = (&rows[place], &more[place]);
                if !self.census.decoder.decode(raw, entry) {
                    part.malformed += 1;
                    continue;
                }
                if let Scope::Some(inodes) = &self.ask.scope
                    && !entry.netns.is_some_and(|inode| inodes.contains(&inode))
                {
                    continue;
                }
                part.read += 1;
                if !self.ask.narrow.matches(entry) {
                    continue;
                }
                part.rows += 1;
                if self.beside != 0 {
                    let details = details.as_mut();
                    let decoder = &self.census.decoder;
                    let told = decoder.beside(more, self.ask.wants, self.now, entry, details);
                    part.untold += u64::from(!told);
                }
                let more = match details {
                    Some(details) => sink.take_detailed(entry, details),
                    None => sink.take(entry),
                };
                if !more {
                    self.stop.store(true, Relaxed);
                    return None;
                }
            }
            *at_once = match (ran.crowded, ran.nanos) {
                (0, nanos) if nanos > TOO_LONG => (*at_once / 2).max(8),
                (0, _) => (*at_once * 2).min(LANES),
                (buckets, _) => (buckets / 2).max(1),
            };
            if ran.crowded == 1 {
                part.cut += 1;
                return Some(ran.cursor + 1);
            }
            if ran.cursor > begin {
                return Some(ran.cursor.min(end));
            }
        }
        part.stalled = true;
        self.stop.store(true, Relaxed);
        None
    }

    fn fail(&self, gap: Gap) {
        self.stop.store(true, Relaxed);
        if let Ok(mut first) = self.gap.lock() {
            first.get_or_insert(gap);
        }
    }
}

/// The rows of a run in the order of the kernel's dump: bucket after bucket. The programs take the chains of a group
/// together, step by step, so within a bucket they are in order already.
#[derive(Debug, Default)]
struct Order {
    ends: Vec<u16>,
    places: Vec<u16>,
}

impl Order {
    fn sort(&mut self, rows: &[RawRow]) {
        self.ends.clear();
        self.places.clear();
        self.places.resize(rows.len(), 0);
        for row in rows {
            let bucket = usize::from(row.bucket);
            if self.ends.len() <= bucket {
                self.ends.resize(bucket + 1, 0);
            }
            self.ends[bucket] += 1;
        }
        let mut sum = 0;
        for end in &mut self.ends {
            sum += *end;
            *end = sum;
        }
        for (place, row) in rows.iter().enumerate().rev() {
            let end = &mut self.ends[usize::from(row.bucket)];
            *end -= 1;
            // A run has no more rows than fit (4,096).
            self.places[usize::from(*end)] = place as u16;
        }
    }

    fn of(&self, place: usize) -> usize {
        self.places.get(place).map_or(place, |place| usize::from(*place))
    }
}

/// What the programs are asked for beside the rows.
fn beside(wants: Wants, details: bool) -> u64 {
    let asked = [
        (wants.accounting, has::ACCOUNTING),
        (wants.age, has::TIMES),
        (wants.labels, has::LABELS),
        (wants.helper, has::HELPER),
        (wants.references || details, has::TOLD),
    ];
    asked.iter().filter(|(wanted, _)| *wanted).map(|(_, bit)| u64::from(*bit)).sum()
}

/// Nanoseconds of a processor that the calling thread has used: the whole call counts, the way into the kernel and what it
/// prepares too, and the time does not in which somebody else ran.
fn own_time() -> u64 {
    let used = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    used.ok().and_then(|used| u64::try_from(used.as_nanos()).ok()).unwrap_or(0)
}

/// Inode of the calling thread's namespace.
fn here() -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/thread-self/ns/net").ok().map(|file| file.ino())
}

/// CPUs that this process may use.
fn cpus() -> Vec<usize> {
    let Ok(allowed) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect()
}
