//! Lines of several logs become one digest, each line counted once, in bounded memory.
//!
//! The same line is found in /dev/kmsg, in the journal and in /var/log/messages, with three stamps
//! that differ. Lines are counted per *series* (one keeper's log with all its rotated files, in which
//! a line stands once) in slots of time; what is told is, for each stretch of time, the largest count
//! of any series. Where a line's time is so uncertain that it may belong to several slots, these are
//! joined into one stretch. So the result is never more than what really was logged, whatever the
//! clocks do; it is less where one series holds one half of a stretch and another the other half.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::{Time, TimeRange};
use plimsoll_wire::log::{
    Clock, Limiter, Line, Message, Scope, Speaker, Stamp, Times, recognise, recognise_loss,
};
use plimsoll_wire::shown;

use super::log::{LogDigest, LogSource, Seen, SeenIn};
use super::log_tally::{Count, Tally, Whose};
use crate::Said;

/// Longest example kept, in bytes.
const EXAMPLE: usize = 300;

/// Other hosts kept by name; a log server may hold thousands.
const OTHER_HOSTS: usize = 16;

/// Turns lines into a [`LogDigest`].
#[derive(Debug)]
pub struct LogDigestBuilder {
    clock: Clock,
    host: Option<Vec<u8>>,
    series: Vec<String>,
    kinds: BTreeMap<Kind, Kept>,
    digest: LogDigest,
    source: Source,
}

/// What is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    TableFull,
    Expectation,
    Neighbour,
    ListenFlood,
    SocketMemory,
    PageAllocation,
    Suppressed,
    Lost,
    Injected,
}

#[derive(Debug, Default)]
struct Kept {
    tally: Tally,
    /// A line of each namespace, and which was found first.
    examples: BTreeMap<Whose, String>,
    example: Option<Whose>,
}

/// The state of the source being read.
#[derive(Debug, Default)]
struct Source {
    series: u16,
    earlier_boot: bool,
    gaps: bool,
    /// What the line before this one was, if it was one of ours: `last message repeated` speaks of it.
    last: Option<(Kind, Option<u64>, Option<TimeRange>)>,
    /// A page allocation failed, and no line has told yet that it was for conntrack.
    failing: Option<Option<TimeRange>>,
    /// The report in which conntrack's failure was counted is maybe not over.
    counted: bool,
}

impl LogDigestBuilder {
    /// `host`: the name under which this host's lines stand in files that hold other hosts' lines too.
    pub fn new(clock: Clock, host: Option<&str>) -> Self {
        Self {
            clock,
            host: host.map(|name| short_name(name.as_bytes()).to_ascii_lowercase()),
            series: Vec::new(),
            kinds: BTreeMap::new(),
            digest: LogDigest::default(),
            source: Source::default(),
        }
    }

    /// From here on lines come from another place. `series` names the log it is part of, the same for
    /// all its rotated files.
    pub fn begin(&mut self, series: &str) {
        let known = self.series.iter().position(|name| name == series);
        let at = known.unwrap_or_else(|| {
            self.series.push(series.to_owned());
            self.series.len() - 1
        });
        // Beyond 65,535 series the last is shared; nobody has so many logs.
        self.source = Source { series: u16::try_from(at).unwrap_or(u16::MAX), ..Source::default() };
    }

    /// What is read from here on was written before the last boot: nobody knows from when its stamps
    /// count.
    pub const fn of_an_earlier_boot(&mut self) {
        self.source.earlier_boot = true;
    }

    /// Lines of the place being read were left out before we saw it: what stands side by side there
    /// did not in the log.
    pub const fn with_gaps(&mut self) {
        self.source.gaps = true;
    }

    /// When a line of the place being read was written.
    pub fn time(&self, line: &Line<'_>) -> Option<TimeRange> {
        match line.stamp? {
            Stamp::SinceBoot(_) if self.source.earlier_boot => None,
            stamp => self.clock.resolve(&stamp),
        }
    }

    /// The place is read.
    pub fn end(&mut self, source: LogSource) {
        self.digest.sources.push(source);
    }

    /// A place that could not be read, with the reason.
    pub fn unreadable(&mut self, name: impl Into<String>, reason: impl Into<Said>) {
        self.digest.unreadable.push((name.into(), reason.into()));
    }

    /// Records that were overwritten in /dev/kmsg while it was read.
    pub fn overwritten(&mut self, records: u64) {
        let count = Count { lines: 1, weight: records };
        self.count(Kind::Lost, None, None, count, b"");
    }

    /// A line. `adjacent`: nothing stands between it and the line given before it.
    pub fn line(&mut self, line: &Line<'_>, adjacent: bool) {
        if !adjacent || self.source.gaps {
            self.source.last = None;
        }
        let at = self.time(line);
        if let Times::LastAgain(times) = line.times {
            self.repeated(times, at);
            return;
        }
        self.source.last = None;
        if self.is_of_another_host(line) {
            return;
        }
        match &line.speaker {
            Speaker::Kernel => {
                if let Some(message) = recognise(&line.text) {
                    self.message(message, at, line);
                }
            }
            Speaker::Injected => {
                if recognise(&line.text).is_some_and(|m| kind(m).is_some()) {
                    let count = Count { lines: 1, weight: 0 };
                    self.count(Kind::Injected, None, at, count, &line.text);
                }
            }
            Speaker::Program(tag) => {
                if let Some(loss) = recognise_loss(tag, &line.text).filter(|loss| loss.kernel) {
                    let count = Count { lines: 1, weight: loss.count.unwrap_or(1) };
                    self.count(Kind::Lost, None, at, count, &line.text);
                }
            }
        }
    }

    /// The digest of all lines given.
    pub fn finish(mut self) -> LogDigest {
        let mut digest = core::mem::take(&mut self.digest);
        let boot = self.clock.boot;
        let mut seen = |kind| self.kinds.remove(&kind).map(|kept: Kept| kept.into_seen(boot));
        digest.table_full = seen(Kind::TableFull);
        digest.expectation_full = seen(Kind::Expectation);
        digest.neighbour_overflow = seen(Kind::Neighbour);
        digest.listen_flood = seen(Kind::ListenFlood);
        digest.socket_memory = seen(Kind::SocketMemory);
        digest.page_allocation = seen(Kind::PageAllocation);
        let mut total = |kind| {
            self.kinds.remove(&kind).map_or(Count::default(), |kept: Kept| kept.tally.total())
        };
        let suppressed = total(Kind::Suppressed);
        (digest.suppressed, digest.suppression_lines) = (suppressed.weight, suppressed.lines);
        digest.injected = total(Kind::Injected).lines;
        digest.lost = total(Kind::Lost).weight;
        digest
    }

    fn message(&mut self, message: Message, at: Option<TimeRange>, line: &Line<'_>) {
        let more = match line.times {
            Times::More(times) => times,
            Times::Once | Times::LastAgain(_) => 1,
        };
        match message {
            Message::Loaded { buckets, max, .. } => self.digest.boot_line = Some((buckets, max)),
            Message::PageAllocation => {
                (self.source.failing, self.source.counted) = (Some(at), false);
            }
            Message::ConntrackFrame => {
                if let Some(failed) = self.source.failing.take() {
                    self.page_allocation(failed, line);
                }
            }
            Message::ConntrackCache => match self.source.failing.take() {
                Some(failed) => self.page_allocation(failed, line),
                // The slab allocator's report of a failure that its trace has already shown.
                None if self.source.counted => self.source.counted = false,
                None => self.page_allocation(at, line),
            },
            Message::Suppressed { by: Limiter::Networking | Limiter::Any, count } => {
                let weight = count.saturating_mul(more);
                self.count(Kind::Suppressed, None, at, Count { lines: 1, weight }, &line.text);
            }
            Message::Suppressed { by: Limiter::Other, .. } => {}
            Message::TableFull(_)
            | Message::ExpectationFull
            | Message::NeighbourOverflow(_)
            | Message::SynFlood { .. }
            | Message::SocketMemory(_) => {
                if let Some(kind) = kind(message) {
                    let namespace = match message {
                        Message::TableFull(Scope::Namespace(inode)) => Some(inode),
                        _ => None,
                    };
                    self.source.last = Some((kind, namespace, at));
                    self.count(kind, namespace, at, Count { lines: 1, weight: more }, &line.text);
                }
            }
        }
    }

    fn page_allocation(&mut self, at: Option<TimeRange>, line: &Line<'_>) {
        self.source.counted = true;
        self.count(Kind::PageAllocation, None, at, Count { lines: 1, weight: 1 }, &line.text);
    }

    /// `last message repeated N times`: somewhere between that line and this one.
    fn repeated(&mut self, times: u64, at: Option<TimeRange>) {
        let Some((kind, namespace, before)) = self.source.last else { return };
        let at = match (before, at) {
            (Some(a), Some(b)) => Some(TimeRange {
                earliest: a.earliest.min(b.earliest),
                latest: a.latest.max(b.latest),
            }),
            (a, b) => a.or(b),
        };
        self.count(kind, namespace, at, Count { lines: 1, weight: times }, b"");
    }

    fn count(
        &mut self,
        kind: Kind,
        namespace: Option<u64>,
        at: Option<TimeRange>,
        count: Count,
        text: &[u8],
    ) {
        let kept = self.kinds.entry(kind).or_default();
        let at_all = TimeRange { earliest: Time(i64::MIN), latest: self.clock.now };
        let boot = self.clock.boot;
        let whose = kept.tally.add(self.source.series, namespace, at, at_all, boot, count);
        if !text.is_empty() {
            kept.examples.entry(whose).or_insert_with(|| clean(text));
            kept.example.get_or_insert(whose);
        }
    }

    /// A log server's files hold the lines of many hosts: those of others are told, not counted.
    fn is_of_another_host(&mut self, line: &Line<'_>) -> bool {
        let (Some(ours), Some(theirs)) = (&self.host, &line.host) else { return false };
        let name = short_name(theirs).to_ascii_lowercase();
        if name == *ours || name == b"localhost" || name.is_empty() {
            return false;
        }
        if line.speaker == Speaker::Kernel
            && recognise(&line.text).is_some_and(|m| matches!(m, Message::TableFull(_)))
        {
            let name = clean(&name);
            let hosts = &mut self.digest.other_hosts;
            if let Some((_, lines)) = hosts.iter_mut().find(|(host, _)| *host == name) {
                *lines += 1;
            } else if hosts.len() < OTHER_HOSTS {
                hosts.push((name, 1));
            }
        }
        true
    }
}

impl Kept {
    fn into_seen(self, boot: Option<TimeRange>) -> Seen {
        let total = self.tally.total();
        let example = |whose: Whose| self.examples.get(&whose).cloned().unwrap_or_default();
        let namespaces = self.tally.namespaces(boot).into_iter();
        Seen {
            first: self.tally.first(|_, _| true),
            last: self.tally.last(|_, _| true),
            lines: total.lines,
            packets_at_least: total.weight,
            namespaces: namespaces
                .filter(|(whose, _)| *whose != Whose::Another)
                .map(|(whose, seen)| SeenIn { example: example(whose), ..seen })
                .collect(),
            example: self.example.map(example).unwrap_or_default(),
        }
    }
}

/// Where a message is counted, if it is evidence by itself.
const fn kind(message: Message) -> Option<Kind> {
    match message {
        Message::TableFull(_) => Some(Kind::TableFull),
        Message::ExpectationFull => Some(Kind::Expectation),
        Message::NeighbourOverflow(_) => Some(Kind::Neighbour),
        Message::SynFlood { .. } => Some(Kind::ListenFlood),
        Message::SocketMemory(_) => Some(Kind::SocketMemory),
        Message::PageAllocation
        | Message::ConntrackFrame
        | Message::ConntrackCache
        | Message::Loaded { .. }
        | Message::Suppressed { .. } => None,
    }
}

/// `web-7` of `web-7.example.net`; an address is kept whole.
fn short_name(name: &[u8]) -> &[u8] {
    if name.iter().all(|b| b.is_ascii_digit() || *b == b'.' || *b == b':') {
        return name;
    }
    let end = name.iter().position(|&b| b == b'.').unwrap_or(name.len());
    &name[..end]
}

/// A line fit for a terminal: valid UTF-8, no control character, not too long.
fn clean(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(EXAMPLE)]).chars().map(shown).collect()
}

#[cfg(test)]
mod tests;
