//! Reading, in a thread of its own: the pulse every interval, the entries as the purse allows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use plimsoll_ct::Entry;
use plimsoll_diagnosis::facts::Snapshot;
use plimsoll_diagnosis::{Diagnosis, Said, diagnose};
use plimsoll_flows::{Filter, Groups, Lacks, Limits, Tally, Truth, View};
use plimsoll_probe::entries::{self, Ask, Budget, Entries, Outcome, Share, Sink, Which};
use plimsoll_probe::live::{NamespaceSelector, Pulse};
use plimsoll_top::{LONGEST, Moment, Pace, Place, Question, Scope, Space, Split, Table};

use super::{Clock, News};
use crate::flows::live::{self, Places};
use crate::flows::owners::Owners;

/// Groups that are kept of a reading: more than a screen has rows.
const TOP: usize = 200;
/// Namespaces of which the load is kept, the fullest.
const SPACES: usize = 4;
/// Rates are over so long a time, once so much has passed.
const RATES: Duration = Duration::from_secs(5);
/// What is around entries is looked at again after so long: namespaces, addresses, sockets.
const OLD: Duration = Duration::from_secs(10);
/// The pulse may take so much of a processor; where it takes more it is taken less often.
const PULSE: f64 = 0.01;

/// What reading takes.
pub struct Reader {
    which: Which,
    interval: Duration,
    clock: Clock,
    question: Question,
    entries: Entries,
    pulse: Pulse,
    places: Places,
    owners: Option<Owners>,
    looked: Instant,
    pace: Pace,
    snapshots: VecDeque<Snapshot>,
    splits: BTreeMap<Option<u64>, Split>,
    table: Result<Arc<Table>, Arc<Said>>,
    /// Somebody waits for an answer.
    asked: bool,
}

impl Reader {
    /// Ready to read.
    pub fn new(which: Which, interval: Duration, clock: Clock, question: Question) -> Self {
        let pulse = pulse_of(&question.scope);
        let first = pulse.take();
        let entries = first.namespaces.iter().filter_map(|n| n.count.get()).map(|c| c.0).sum();
        Self {
            which,
            interval,
            clock,
            entries: Entries::default(),
            places: Places::of(scope_of(&question.scope)),
            pulse,
            owners: None,
            looked: Instant::now(),
            pace: Pace::new(interval, entries),
            snapshots: VecDeque::from([first]),
            splits: BTreeMap::new(),
            table: Err(Arc::new(Said::of(
                "the table's entries are being read",
                "正在读取表里的条目",
            ))),
            asked: true,
            question,
        }
    }

    /// Reads until nobody listens any more.
    pub fn run(mut self, questions: &Receiver<Question>, news: &Sender<News>) {
        let mut beat = Instant::now();
        self.tell_places(news);
        loop {
            let pulse_cost = self.beat();
            self.read_if_due();
            if news.send(News::Moment(Box::new(self.moment()))).is_err() {
                return;
            }
            let least = Duration::from_secs_f64(pulse_cost.as_secs_f64() / PULSE);
            beat = (beat + self.interval.max(least)).max(Instant::now());
            loop {
                let mut wait = beat.saturating_duration_since(Instant::now());
                if self.asked {
                    wait = wait.min(Duration::from_millis(100));
                }
                match questions.recv_timeout(wait) {
                    Ok(question) => self.ask(question, news),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                if self.asked && self.read_if_due() {
                    if news.send(News::Moment(Box::new(self.moment()))).is_err() {
                        return;
                    }
                } else if Instant::now() >= beat {
                    break;
                }
            }
            if self.looked.elapsed() >= OLD {
                self.look_around(news);
            }
        }
    }

    /// Something else is asked.
    fn ask(&mut self, question: Question, news: &Sender<News>) {
        let elsewhere = question.scope != self.question.scope;
        self.question = question;
        self.asked = true;
        if elsewhere {
            self.snapshots.clear();
            self.splits.clear();
            self.look_around(news);
            self.beat();
        }
    }

    fn look_around(&mut self, news: &Sender<News>) {
        self.pulse = pulse_of(&self.question.scope);
        self.places = Places::of(scope_of(&self.question.scope));
        self.looked = Instant::now();
        self.tell_places(news);
    }

    /// The namespaces there are, the fullest first.
    fn tell_places(&self, news: &Sender<News>) {
        let (pulse, _) = Pulse::of(&[]);
        let diagnosis = diagnose(None, &pulse.take());
        let mut places: Vec<Place> = diagnosis
            .namespaces
            .iter()
            .filter_map(|space| {
                let entries = space.load.count.map(|count| count.0);
                Some(Place { name: space.name.clone(), inode: space.inode?, entries })
            })
            .collect();
        places.sort_by_key(|place| std::cmp::Reverse(place.entries));
        let _ = news.send(News::Places(places));
    }

    /// Takes the pulse. What it cost.
    fn beat(&mut self) -> Duration {
        let before = self.clock.used();
        self.snapshots.push_back(self.pulse.take());
        // The first of them is as old as rates need it, and no older.
        while self.snapshots.len() > 2 && self.age(1) >= RATES {
            self.snapshots.pop_front();
        }
        self.clock.used().saturating_sub(before)
    }

    /// How much older one of the snapshots is than the last.
    fn age(&self, index: usize) -> Duration {
        let at =
            |snapshot: Option<&Snapshot>| snapshot.and_then(|s| s.monotonic).map_or(0, |n| n.0);
        let last = at(self.snapshots.back());
        Duration::from_nanos(last.saturating_sub(at(self.snapshots.get(index))))
    }

    /// The host as the last two snapshots show it.
    fn diagnosis(&self) -> Option<(&Snapshot, Diagnosis)> {
        let now = self.snapshots.back()?;
        let before = self.snapshots.front().filter(|_| self.snapshots.len() > 1);
        Some((now, diagnose(before, now)))
    }

    fn moment(&self) -> Moment {
        let Some((now, diagnosis)) = self.diagnosis() else {
            return Moment {
                at: plimsoll_ct::Time(0),
                spaces: Vec::new(),
                namespaces: 0,
                entries: 0,
                table: self.table.clone(),
            };
        };
        let mut spaces: Vec<Space> = diagnosis
            .namespaces
            .iter()
            .map(|space| {
                let split = self.splits.get(&space.inode);
                Space::new(&space.name, space.inode, space.load, &space.rates, space.full_in, split)
            })
            .collect();
        let entries = spaces.iter().filter_map(|space| space.load.count).map(|c| c.0).sum();
        let namespaces = spaces.len();
        spaces.sort_by_key(|space| std::cmp::Reverse(space.load.count));
        spaces.truncate(SPACES);
        Moment { at: now.at, spaces, namespaces, entries, table: self.table.clone() }
    }

    /// Reads the entries, as many as can be afforded; whether it did.
    fn read_if_due(&mut self) -> bool {
        self.pace.pass(self.clock.at(), self.clock.used());
        let Some(share) = self.pace.due(self.asked) else { return false };
        let (began, used) = (self.clock.at(), self.clock.used());
        let (read, share) = self.read(share);
        self.table = read;
        self.pace.learn(began, share, self.clock.used().saturating_sub(used));
        self.asked = false;
        true
    }

    fn read(&mut self, share: f64) -> (Result<Arc<Table>, Arc<Said>>, f64) {
        let question = self.question.clone();
        let needs = question.keys.needs() | question.filter.needs();
        let counted =
            matches!(question.order, plimsoll_flows::Order::Bytes | plimsoll_flows::Order::Packets);
        let owners = needs.contains(Lacks::OWNER).then(|| match self.owners.take() {
            Some(mut owners) => {
                owners.refresh(OLD);
                owners
            }
            None => Owners::look(),
        });
        let ask = Ask {
            which: self.which,
            scope: scope_of(&question.scope),
            wants: live::wants(needs, counted),
            // Nothing is left to the kernel: the load line is of the whole table.
            narrow: entries::Filter::default(),
            budget: self.budget(),
            sample: (share < 1.0).then_some(share),
        };
        let mut count = Count {
            places: &self.places,
            reader: entries::Reader::Proc,
            filter: &question.filter,
            groups: Groups::new(question.keys.clone(), Limits::default(), plimsoll_probe::seed()),
            owners,
            parts: BTreeMap::new(),
            last: (None, Tally::default()),
            seen: 0,
            unknown: 0,
            lacks: Lacks::NONE,
        };
        let outcome = self.entries.read(&ask, std::slice::from_mut(&mut count));
        count.close();
        let Count { groups, owners, parts, seen, unknown, lacks, .. } = count;
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(gap) => {
                self.owners = owners;
                self.splits.clear();
                return (Err(Arc::new(live::refusal(&gap, &self.places.scope))), share);
            }
        };
        let now = self.snapshots.back();
        let counts: BTreeMap<Option<u64>, u64> = now
            .iter()
            .flat_map(|snapshot| &snapshot.namespaces)
            .filter_map(|n| Some((n.inode, n.count.get()?.0)))
            .collect();
        let counted: u64 = counts.values().sum();
        let share = match outcome.share {
            Share::Whole => None,
            Share::Part(Some(share)) => Some(share),
            Share::Part(None) => Some((seen as f64 / counted.max(1) as f64).min(1.0)),
        };
        self.splits = counts
            .iter()
            .map(|(inode, count)| {
                let tally = parts.get(inode).copied().unwrap_or_default();
                (*inode, Split { count: *count, tally, complete: share.is_none() })
            })
            .collect();
        let mut remarks = live::remarks(&outcome, true);
        if let Some(owners) = &owners {
            remarks.extend(owners.remarks());
        }
        remarks.extend(self.why_not_faster(&outcome, share));
        self.owners = owners;
        let table = Table {
            at: now.map_or(plimsoll_ct::Time(0), |snapshot| snapshot.at),
            groups: groups.rows(question.order, Some(TOP)).collect(),
            all_groups: groups.len(),
            error: groups.error(),
            total: groups.total(),
            seen,
            unknown,
            lacks,
            share,
            reader: entries::name(outcome.reader),
            remarks,
            every: self.pace.every(),
            accounting: self.places.accounting,
            question,
        };
        (Ok(Arc::new(table)), share.unwrap_or(1.0))
    }

    /// What a reading may cost. BPF reads the share that it is told, and needs no bound.
    fn budget(&self) -> Option<Budget> {
        let by_bpf = |table: &Arc<Table>| table.reader == entries::name(entries::Reader::Bpf);
        let kernel = self.pace.allowance();
        (!self.table.as_ref().is_ok_and(by_bpf)).then_some(Budget { kernel, wall: LONGEST })
    }

    /// Said only where it makes a difference.
    fn why_not_faster(&self, outcome: &Outcome, share: Option<f64>) -> Option<Said> {
        let matters = share.is_some() || self.pace.every() > self.interval;
        (matters && !outcome.passed_over.is_empty()).then(|| live::way(outcome))
    }
}

fn pulse_of(scope: &Scope) -> Pulse {
    let only: Vec<NamespaceSelector> = match scope {
        Scope::All => Vec::new(),
        Scope::Some(inodes, _) if is_own(inodes) => vec![NamespaceSelector::Own],
        Scope::Some(inodes, _) => {
            inodes.iter().map(|inode| NamespaceSelector::Inode(*inode)).collect()
        }
    };
    Pulse::of(&only).0
}

fn scope_of(scope: &Scope) -> entries::Scope {
    match scope {
        Scope::All => entries::Scope::All,
        Scope::Some(inodes, _) if is_own(inodes) => entries::Scope::Here,
        Scope::Some(inodes, _) => entries::Scope::Some(inodes.clone()),
    }
}

/// Whether it is the namespace that this process is in: or none that is known.
fn is_own(inodes: &[u64]) -> bool {
    use std::os::unix::fs::MetadataExt;
    let own = std::fs::metadata("/proc/self/ns/net").ok().map(|file| file.ino());
    inodes.is_empty() || own.is_some_and(|own| inodes == [own])
}

/// Takes entries: the parts of each namespace's table, and the groups of what the filter lets through.
struct Count<'a> {
    places: &'a Places,
    reader: entries::Reader,
    filter: &'a Filter,
    groups: Groups,
    owners: Option<Owners>,
    parts: BTreeMap<Option<u64>, Tally>,
    /// The namespace of the last entry, which mostly is that of the next, and its part.
    last: (Option<u64>, Tally),
    seen: u64,
    unknown: u64,
    lacks: Lacks,
}

impl Count<'_> {
    fn close(&mut self) {
        let (inode, tally) = std::mem::take(&mut self.last);
        if tally.entries > 0 {
            self.parts.entry(inode).or_default().add(&tally);
        }
    }
}

impl Sink for Count<'_> {
    fn begin(&mut self, reader: entries::Reader) {
        self.reader = reader;
    }
    fn take(&mut self, entry: &Entry) -> bool {
        self.seen += 1;
        if entry.netns != self.last.0 {
            self.close();
            self.last.0 = entry.netns;
        }
        self.last.1.count(entry);
        let owners = self.owners.as_mut().map(|owners| owners.of(entry));
        let view = View { owners, ..View::new(entry, self.places.around(entry, self.reader)) };
        match self.filter.judge_and_note(&view, &mut self.lacks) {
            Truth::Yes => self.groups.add(&view),
            Truth::No => {}
            Truth::Unknown => self.unknown += 1,
        }
        true
    }
}
