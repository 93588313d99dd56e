//! The entries of the table, one at a time, by the fastest way there is: for whoever filters and counts.
//!
//! Three ways, one result. Each shows the entries of the chosen namespaces as [`Entry`]s; what a way can't tell
//! stays `None`. [`read`] tries them in the order of their cost and says in its [`Outcome`] which it was, why
//! not a faster one, and how much of the table was seen.
//!
//! The invariant of this crate holds: looking must not disturb. Nothing is loaded that stays, no lock is
//! held for long, a reading ends when its budget is spent.

mod around;
mod bpf;
mod netlink;
mod proc;
mod scope;

use std::time::{Duration, Instant, SystemTime};

use plimsoll_ct::{Entry, Nanos, Time};
use plimsoll_diagnosis::facts::{Gap, Reason};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::Malformed;
pub use plimsoll_wire::ctnetlink::{Details, Filter};

pub(crate) use bpf::SLICE;
use bpf::{Census, Loaded};

pub(crate) use bpf::whole as bpf_error;

pub use crate::table::Budget;
pub use around::{Around, around};
pub use plimsoll_diagnosis::facts::Reader;
pub use scope::{NamespaceOf, namespaces};

/// Which way to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// The fastest that is there and tells what is wanted.
    #[default]
    Auto,
    /// BPF census only.
    Bpf,
    /// ctnetlink only.
    Netlink,
    /// /proc/net/nf_conntrack only.
    Proc,
}

/// Whose entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scope {
    /// Those of the calling thread's network namespace.
    #[default]
    Here,
    /// Those of every namespace.
    All,
    /// Those of namespaces, by inode.
    Some(Vec<u64>),
}

/// What must be told of each entry beside what every reader tells: tuples, state, status as far as
/// `[UNREPLIED]` and `[ASSURED]`, expires, zone, mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wants {
    /// [`Entry::original_accounting`] and [`Entry::reply_accounting`].
    pub accounting: bool,
    /// [`Entry::id`].
    pub id: bool,
    /// [`Entry::started`] and [`Entry::age`].
    pub age: bool,
    /// [`Entry::helper`].
    pub helper: bool,
    /// [`Entry::labels`].
    pub labels: bool,
    /// [`Entry::references`].
    pub references: bool,
    /// [`Details::security`], where [`Sink::wants_details`].
    pub security: bool,
}

impl Wants {
    /// Everything.
    pub const ALL: Self = Self {
        accounting: true,
        id: true,
        age: true,
        helper: true,
        labels: true,
        references: true,
        security: true,
    };

    /// Why a reader can't tell it on any host, if so.
    fn beyond(self, reader: Reader) -> Option<Said> {
        let text = matches!(reader, Reader::Proc | Reader::Listing);
        let lacking = [
            (self.id && reader != Reader::Ctnetlink, Said::of("ids", "id")),
            (self.helper && text, Said::of("helpers", "helper")),
            (self.labels && text, Said::of("labels", "标签")),
        ];
        lacking.into_iter().find(|(wanted, _)| *wanted).map(|(_, what)| what)
    }
}

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Which way.
    pub which: Which,
    /// Whose entries.
    pub scope: Scope,
    /// What must be told of each.
    pub wants: Wants,
    /// Which entries: the kernel leaves out others where it can, the reader leaves out the rest. Only a part
    /// of a filter language fits in here; what does not is the caller's.
    pub narrow: Filter,
    /// How much of the machine it may cost. Beyond it the reading ends, as a sample.
    pub budget: Option<Budget>,
    /// The share of the table to read, above 0 and below 1. Only the BPF census can read less than all at
    /// less than the cost of all; the others read what the budget allows.
    pub sample: Option<f64>,
}

/// Takes entries. With more than one, the reader may fill them from several threads at once.
pub trait Sink: Send {
    /// The entries that follow come from this reader.
    fn begin(&mut self, _: Reader) {}
    /// One entry; `false` ends the whole reading.
    fn take(&mut self, entry: &Entry) -> bool;
    /// The same with what a [`Entry`] has no place for, where [`Self::wants_details`]; not from the proc file. The BPF
    /// census tells of it the times, the labels and the tags of SCTP.
    fn take_detailed(&mut self, entry: &Entry, _: &Details) -> bool {
        self.take(entry)
    }
    /// Whether what a [`Entry`] has no place for is wanted as well.
    fn wants_details(&self) -> bool {
        false
    }
    /// Whether the order matters: that of the kernel's own dump, where one worker reads one namespace.
    fn wants_order(&self) -> bool {
        false
    }
    /// A message or line that could not be understood.
    fn malformed(&mut self, _: &Malformed) {}
    /// The entries that follow lie in buckets from this one on, and before the next multiple of 1,024. Only the
    /// BPF census tells.
    fn reach_bucket(&mut self, _: u64) {}
}

impl<F: FnMut(&Entry) -> bool + Send> Sink for F {
    fn take(&mut self, entry: &Entry) -> bool {
        self(entry)
    }
}

/// How much of the chosen tables was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    /// To the end.
    Whole,
    /// A part: a random sample of the flows, since buckets are a keyed hash. With the share, where it is
    /// known: of the buckets (BPF), or of the entries that the namespace counted (ctnetlink, proc).
    Part(Option<f64>),
}

/// How a reading went.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Which way it was.
    pub reader: Reader,
    /// How it went about it, where there is a choice: `direct` or `probe reads` (BPF).
    pub means: Option<&'static str>,
    /// The ways that would have been tried before, and why it was none of them.
    pub passed_over: Vec<(Reader, Gap)>,
    /// Entries shown to the sinks.
    pub rows: u64,
    /// Entries that the kernel told of, before [`Ask::narrow`] was applied again.
    pub read: u64,
    /// Entries that came twice and were left out.
    pub duplicates: u64,
    /// How often the kernel said that it lost messages (ENOBUFS).
    pub overruns: u64,
    /// Messages or lines that could not be understood.
    pub malformed: u64,
    /// Groups of buckets that changed while they were read, and were read again (BPF).
    pub redone: u64,
    /// Entries in chains that were given up as endless or too long (BPF): groups of buckets.
    pub cut: u64,
    /// Entries whose security context could not be told (BPF).
    pub untold: u64,
    /// Whether the table was resized meanwhile: then entries may be missing or doubled.
    pub resized: bool,
    /// How much was read.
    pub share: Share,
    /// Namespaces that could not be read, with the reason.
    pub unread: Vec<(Option<u64>, Gap)>,
    /// Why there may be namespaces beside those that were found, where all were asked for.
    pub unseen: Option<Gap>,
    /// Kernel time spent, where it was measured.
    pub kernel_time: Option<Nanos>,
    /// The longest time that the kernel held a CPU without a break (BPF): wall time around the call.
    pub longest_slice: Option<Nanos>,
    /// Time by the clock.
    pub wall: Duration,
}

impl Outcome {
    fn of(reader: Reader) -> Self {
        Self {
            reader,
            means: None,
            passed_over: Vec::new(),
            rows: 0,
            read: 0,
            duplicates: 0,
            overruns: 0,
            malformed: 0,
            redone: 0,
            cut: 0,
            untold: 0,
            resized: false,
            share: Share::Whole,
            unread: Vec::new(),
            unseen: None,
            kernel_time: None,
            longest_slice: None,
            wall: Duration::ZERO,
        }
    }

    /// Whether every chosen namespace was read to its end and nothing was lost.
    pub fn is_complete(&self) -> bool {
        self.share == Share::Whole
            && self.unread.is_empty()
            && self.overruns == 0
            && self.cut == 0
            && !self.resized
    }
}

/// Shows the entries to the sinks, once. Who reads again and again keeps [`Entries`].
///
/// # Errors
///
/// As [`Entries::read`].
pub fn read<S: Sink>(ask: &Ask, sinks: &mut [S]) -> Result<Outcome, Gap> {
    Entries::default().read(ask, sinks)
}

/// The readers, with what they keep between two readings: loaded programs.
#[derive(Debug, Default)]
pub struct Entries {
    /// Not tried yet, loaded, or why not.
    bpf: Option<Result<Loaded, Gap>>,
}

impl Entries {
    /// Shows the entries to the sinks.
    ///
    /// The order means nothing, unless [`Sink::wants_order`]. An entry that lives through
    /// the whole reading is shown once; one that comes or goes meanwhile, perhaps.
    ///
    /// # Errors
    ///
    /// No way led to the table: the gap tells each one's reason.
    pub fn read<S: Sink>(&mut self, ask: &Ask, sinks: &mut [S]) -> Result<Outcome, Gap> {
        let start = Instant::now();
        let order: &[Reader] = match ask.which {
            Which::Auto => &[Reader::Bpf, Reader::Ctnetlink, Reader::Proc],
            Which::Bpf => &[Reader::Bpf],
            Which::Netlink => &[Reader::Ctnetlink],
            Which::Proc => &[Reader::Proc],
        };
        let mut passed_over: Vec<(Reader, Gap)> = Vec::new();
        for &reader in order {
            // Who insists on the proc file gets what it has.
            if ask.which != Which::Proc
                && let Some(what) = ask.wants.beyond(reader)
            {
                let who = match ask.which {
                    Which::Auto => Said::default(),
                    _ => Said::of("; ctnetlink does", "；ctnetlink 可以"),
                };
                let name = name(reader);
                let detail =
                    said!("{name}: does not tell {what}{who}", "{name}：读不到 {what:#}{who:#}");
                passed_over.push((reader, Gap { reason: Reason::NotAsked, detail, needs: None }));
                continue;
            }
            match self.by(reader, ask, sinks) {
                Ok(mut outcome) => {
                    outcome.passed_over = passed_over;
                    outcome.wall = start.elapsed();
                    return Ok(outcome);
                }
                Err(gap) => passed_over.push((reader, gap)),
            }
        }
        let all = passed_over.into_iter().map(|(_, gap)| gap);
        let one = all.reduce(|first, second| crate::table::both(Some(first), second));
        Err(one.unwrap_or_else(|| Gap {
            reason: Reason::NotAsked,
            detail: Said::of("the table was not read", "没有读表"),
            needs: None,
        }))
    }

    fn by<S: Sink>(&mut self, reader: Reader, ask: &Ask, sinks: &mut [S]) -> Result<Outcome, Gap> {
        sinks.iter_mut().for_each(|sink| sink.begin(reader));
        let Some(sink) = sinks.first_mut() else {
            let detail = Said::of("nobody takes the entries", "没有人要条目");
            return Err(Gap { reason: Reason::Failed, detail, needs: None });
        };
        match reader {
            Reader::Bpf => match self.bpf()? {
                Loaded::Empty => Ok(Outcome::of(Reader::Bpf)),
                Loaded::Ready(census) => census.read(ask, sinks),
            },
            Reader::Ctnetlink => scope::each(ask, reader, sink, netlink::entries),
            Reader::Proc | Reader::Listing => scope::each(ask, reader, sink, proc::entries),
        }
    }

    /// The loaded programs. An empty table may have filled since, and is looked for again.
    fn bpf(&mut self) -> Result<&mut Loaded, Gap> {
        if matches!(self.bpf, Some(Ok(Loaded::Empty))) {
            self.bpf = None;
        }
        self.bpf.get_or_insert_with(Census::load).as_mut().map_err(|gap| gap.clone())
    }
}

/// The time by the wall clock.
fn now() -> Option<Time> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(now.as_nanos()).ok().map(Time)
}

/// The word for a reader, as `--reader` has it.
pub const fn name(reader: Reader) -> &'static str {
    match reader {
        Reader::Bpf => "bpf",
        Reader::Ctnetlink => "netlink",
        Reader::Proc => "proc",
        Reader::Listing => "listing",
    }
}
