//! `plimsoll flows --watch`: entries as they come, change and go.
//!
//! What is in the table is known from a reading at the beginning and from the events since. Where events were lost the table
//! is read again, and what differs from what was known is shown, marked as found by that.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use plimsoll_ct::{Entry, Time};
use plimsoll_diagnosis::{Said, said};
use plimsoll_flows::{Before, Known, Lacks, Truth, View};
use plimsoll_probe::entries::{self, Ask, Reader, Scope, Wants, Which};
use plimsoll_probe::events::{Happening, Kind, Listener, Woken, program_of};
use plimsoll_report::flows::{COLUMNS, Cell, csv_header, csv_row, event_line, json_row};
use plimsoll_report::number::{count, counted};
use plimsoll_report::{Language, clean, spoken};
use plimsoll_wire::listing::xml;

use super::arguments::Flows;
use super::form::{Form, Tool};
use super::live::{self, Places};
use super::owners::Owners;
use super::pipe::{Beside, Out};
use super::{Prepared, print, seed, tell, unjudged, written};
use crate::exit;

/// Runs it until a signal, or until `--limit` events were shown.
pub fn run(arguments: &Flows, prepared: &Prepared, places: Places) -> ExitCode {
    let language = arguments.language();
    let mut listener = match Listener::open(&places.scope, arguments.buffer) {
        Ok(listener) => listener,
        Err(gap) => {
            tell(language, &live::refusal(&gap, &places.scope));
            return exit::failed();
        }
    };
    if !arguments.quiet {
        tell(
            language,
            &Said::of(
                "listening. Until nobody listens any more, every new entry of this host is 128 bytes larger",
                "正在监听。只要还有人监听，本机的每个新条目就多占 128 字节",
            ),
        );
        for (inode, gap) in &listener.refused {
            let (which, why) = (live::called(*inode), live::shown(&gap.detail));
            tell(language, &said!("{which} is not heard: {why}", "听不到 {which:#}：{why:#}"));
        }
    }
    let mut watch = Watch {
        arguments,
        prepared,
        places,
        known: BTreeMap::new(),
        swept: BTreeSet::new(),
        out: Out::new(),
        shown: 0,
        losses: 0,
        repaired: 0,
        unknown: 0,
        malformed: 0,
        lacks: Lacks::NONE,
        owners: prepared.filter.needs().contains(Lacks::OWNER).then(Owners::look),
        failed: None,
    };
    watch.begin();
    let scope = watch.places.scope.clone();
    if let Err(gap) = watch.read(&scope, None)
        && !arguments.quiet
    {
        let gap = live::shown(&gap);
        tell(
            language,
            &said!("what is in the table is not known: {gap}", "不知道表里有什么：{gap:#}"),
        );
    }
    let ended = watch.follow(&mut listener);
    watch.end(ended, listener.dropped())
}

struct Watch<'a> {
    arguments: &'a Flows,
    prepared: &'a Prepared,
    places: Places,
    known: BTreeMap<Option<u64>, Known>,
    /// Entries of which a re-reading found that they are gone; their events may still come.
    swept: BTreeSet<(Option<u64>, u32)>,
    out: Out,
    shown: u64,
    losses: u64,
    repaired: u64,
    unknown: u64,
    malformed: u64,
    lacks: Lacks,
    /// Where the filter asks for them.
    owners: Option<Owners>,
    failed: Option<io::Error>,
}

/// Takes what a reading found.
type Found<'a> = &'a mut (dyn FnMut(Kind, &Entry) + Send);

/// How an event was learnt of.
#[derive(Debug, Clone, Copy)]
enum By {
    Event(Option<u32>),
    Reading,
}

impl Watch<'_> {
    fn begin(&mut self) {
        match self.prepared.output.form {
            Form::Csv => {
                let columns = COLUMNS.iter().map(|column| column.name);
                csv_header(self.out.buffer(), EVENT_COLUMNS.into_iter().chain(columns));
            }
            Form::Conntrack(Tool { xml: true, .. }) => {
                self.out.buffer().extend_from_slice(xml::FRAME[0].as_bytes());
            }
            Form::Table | Form::Json | Form::Parquet | Form::Conntrack(_) | Form::Proc => {}
        }
    }

    fn follow(&mut self, listener: &mut Listener) -> io::Result<()> {
        loop {
            let mut lost = Vec::new();
            let mut woken = self.take(listener, 1_000, &mut lost)?;
            if !lost.is_empty() {
                // What is still queued comes first: it happened before what the reading will show.
                let start = Instant::now();
                while woken == Woken::Events && start.elapsed() < Duration::from_secs(1) {
                    woken = self.take(listener, 0, &mut lost)?;
                }
                lost.sort_unstable();
                lost.dedup();
                for netns in lost {
                    self.repair(netns);
                }
            }
            self.out.flush()?;
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            match woken {
                Woken::Stopped | Woken::Signal => return Ok(()),
                Woken::Events | Woken::Quiet => {}
            }
            if self.is_full() {
                return Ok(());
            }
        }
    }

    fn take(
        &mut self,
        listener: &mut Listener,
        milliseconds: u16,
        lost: &mut Vec<Option<u64>>,
    ) -> io::Result<Woken> {
        listener.wait(milliseconds, &mut |_, happening| {
            match happening {
                Happening::Event { kind, entry, details, by } => {
                    self.event(kind, entry, Beside::Details(details), by);
                }
                Happening::Lost { netns } => {
                    self.losses += 1;
                    lost.push(netns);
                }
                Happening::Malformed(_) => self.malformed += 1,
            }
            !self.is_full()
        })
    }

    fn is_full(&self) -> bool {
        self.failed.is_some() || self.arguments.limit.is_some_and(|limit| self.shown >= limit)
    }

    fn event(&mut self, kind: Kind, entry: &Entry, beside: Beside<'_>, by: Option<u32>) {
        let mut entry = *entry;
        let known = self.known.entry(entry.netns).or_insert_with(|| Known::new(seed()));
        let fresh = match kind {
            Kind::New => known.note(&mut entry, true) != Before::Told,
            Kind::Update => {
                known.note(&mut entry, true);
                true
            }
            Kind::Destroy => {
                known.forget(&entry);
                // Not again, if a reading found it gone already.
                entry.id.is_none_or(|id| !self.swept.remove(&(entry.netns, id)))
            }
        };
        if fresh {
            self.show(kind, &entry, beside, By::Event(by));
        }
    }

    /// Reads the table: what is not known yet is noted; `found` takes what is new or changed.
    fn read(&mut self, scope: &Scope, mut found: Option<Found<'_>>) -> Result<(), Said> {
        let ask = Ask {
            which: Which::Netlink,
            scope: scope.clone(),
            wants: Wants::ALL,
            ..Ask::default()
        };
        let tell = found.is_some();
        let known = &mut self.known;
        let mut sink = |entry: &Entry| {
            let known = known.entry(entry.netns).or_insert_with(|| Known::new(seed()));
            let before = known.note(&mut entry.clone(), tell);
            let kind = match before {
                Before::Unknown => Kind::New,
                Before::Other => Kind::Update,
                Before::Silent | Before::Told => return true,
            };
            if let Some(found) = &mut found {
                found(kind, entry);
            }
            true
        };
        let outcome = entries::read(&ask, std::slice::from_mut(&mut sink));
        match outcome {
            Ok(outcome) if outcome.is_complete() => Ok(()),
            Ok(_) => Err(Said::of("the table could not be read to its end", "表没能读完")),
            Err(gap) => Err(gap.detail),
        }
    }

    /// Reads a namespace again, and shows what was missed.
    fn repair(&mut self, netns: Option<u64>) {
        let scope = match (&self.places.scope, netns) {
            (Scope::Here, _) | (_, None) => self.places.scope.clone(),
            (Scope::All | Scope::Some(_), Some(inode)) => Scope::Some(vec![inode]),
        };
        let mut differences: Vec<(Kind, Entry)> = Vec::new();
        self.known.entry(netns).or_insert_with(|| Known::new(seed())).begin();
        let read = self.read(&scope, Some(&mut |kind, entry| differences.push((kind, *entry))));
        match read {
            Ok(()) => {
                if let Some(known) = self.known.get_mut(&netns) {
                    self.swept.clear();
                    known.sweep(|entry| {
                        let entry = Entry { netns, ..*entry };
                        self.swept.extend(entry.id.map(|id| (netns, id)));
                        differences.push((Kind::Destroy, entry));
                    });
                }
            }
            Err(why) => {
                if !self.arguments.quiet {
                    let why = live::shown(&why);
                    tell(
                        self.arguments.language(),
                        &said!(
                            "lost events could not be made good: {why}",
                            "丢失的事件没能补上：{why:#}"
                        ),
                    );
                }
            }
        }
        for (kind, entry) in differences {
            if self.is_full() {
                return;
            }
            self.repaired += 1;
            self.show(kind, &entry, Beside::Nothing, By::Reading);
        }
    }

    fn show(&mut self, kind: Kind, entry: &Entry, beside: Beside<'_>, by: By) {
        let prepared = self.prepared;
        let mut lacks = Lacks::NONE;
        let around = self.places.around(entry, Reader::Ctnetlink);
        let owners = self.owners.as_mut().map(|owners| {
            owners.refresh(Duration::from_secs(1));
            owners.of(entry)
        });
        let view = View { owners, ..View::new(entry, around) };
        match prepared.filter.judge_and_note(&view, &mut lacks) {
            Truth::Yes => {}
            Truth::No => return,
            Truth::Unknown => {
                self.unknown += 1;
                self.lacks |= lacks;
                return;
            }
        }
        self.shown += 1;
        let names = &prepared.names;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let reread = matches!(by, By::Reading);
        let out = self.out.buffer();
        match prepared.output.form {
            Form::Conntrack(tool) if tool.xml => {
                let when = tool.timestamp.then(|| when(now)).flatten();
                print::xml_flow(out, tool, entry, beside, names, Some(word(kind)), when);
                suffix(out, by);
            }
            Form::Conntrack(tool) => {
                if tool.timestamp {
                    let text = format!("[{}.{:06}]\t", now.as_secs(), now.subsec_micros());
                    out.extend_from_slice(text.as_bytes());
                }
                out.extend_from_slice(match kind {
                    Kind::New => b"    [NEW] ",
                    Kind::Update => b" [UPDATE] ",
                    Kind::Destroy => b"[DESTROY] ",
                });
                print::text_line(out, tool, entry, beside, names);
                suffix(out, by);
            }
            Form::Json | Form::Csv => {
                let event = [
                    Cell::Text(word(kind).into()),
                    Cell::Number(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)),
                    Cell::Flag(reread),
                ];
                let rest = COLUMNS.iter().map(|column| (column.cell)(&view, names));
                if prepared.output.form == Form::Csv {
                    csv_row(out, event.into_iter().chain(rest));
                } else {
                    let columns = COLUMNS.iter().map(|column| column.name);
                    let all = EVENT_COLUMNS.into_iter().chain(columns);
                    json_row(out, all.zip(event.into_iter().chain(rest)));
                }
            }
            Form::Table | Form::Parquet | Form::Proc => {
                let clock = print::zoned(Time(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)));
                let clock =
                    clock.map_or_else(String::new, |at| at.strftime("%H:%M:%S%.3f").to_string());
                let (several, language) = (self.places.are_several(), self.arguments.language());
                let event = match language {
                    Language::English => word(kind),
                    Language::Chinese => chinese(kind),
                };
                let line = event_line(&clock, event, &view, names, several, reread, language);
                out.extend_from_slice(line.as_bytes());
            }
        }
        if !matches!(prepared.output.form, Form::Json | Form::Csv | Form::Table) {
            self.out.buffer().push(b'\n');
        }
        if let Err(error) = self.out.step() {
            self.failed = Some(error);
        }
    }

    fn end(mut self, ended: io::Result<()>, dropped: Option<u64>) -> ExitCode {
        if let Form::Conntrack(Tool { xml: true, .. }) = self.prepared.output.form {
            self.out.buffer().extend_from_slice(xml::FRAME[1].as_bytes());
        }
        let ended = ended.and_then(|()| self.out.flush());
        let language = self.arguments.language();
        if !self.arguments.quiet {
            let (events, shown) = (counted(self.shown, "event", "events"), count(self.shown));
            say!("{}", spoken!(language, "{events} shown", "显示了 {shown} 个事件"));
        }
        if self.losses > 0 {
            let how_many = match dropped {
                Some(dropped) => Said::new(
                    counted(dropped, "message", "messages"),
                    format!(" {} 条", count(dropped)),
                ),
                None => Said::of("messages", "一些"),
            };
            let times = counted(self.losses, "time", "times");
            let differences = counted(self.repaired, "difference was", "differences were");
            let (losses, repaired) = (count(self.losses), count(self.repaired));
            say!(
                "{}",
                spoken!(
                    language,
                    "{times} too slow: the kernel dropped {how_many} (ENOBUFS); the table was read again, and {differences} found and shown (--buffer gives more room)",
                    "{losses} 次来不及：内核丢了{how_many:#}消息（ENOBUFS）；重新读了表，找到并显示了 {repaired} 处差别（--buffer 给出更多空间）"
                )
            );
        }
        if self.unknown > 0 && !self.arguments.quiet {
            tell(language, &unjudged(self.unknown, self.lacks));
        }
        if self.malformed > 0 {
            let messages = counted(self.malformed, "message", "messages");
            let malformed = count(self.malformed);
            say!(
                "{}",
                spoken!(language, "{messages} could not be understood", "{malformed} 条消息看不懂")
            );
        }
        written(ended, language)
    }
}

/// Columns of an event before those of its entry.
const EVENT_COLUMNS: [&str; 3] = ["event", "time", "reread"];

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::New => "new",
        Kind::Update => "update",
        Kind::Destroy => "destroy",
    }
}

const fn chinese(kind: Kind) -> &'static str {
    match kind {
        Kind::New => "新建",
        Kind::Update => "更新",
        Kind::Destroy => "删除",
    }
}

/// What conntrack(8) says of an event that a program caused; and our own word for what a reading found.
fn suffix(out: &mut Vec<u8>, by: By) {
    match by {
        By::Event(None) => {}
        By::Event(Some(port)) => {
            out.extend_from_slice(format!(" [USERSPACE] portid={port}").as_bytes());
            if let Some(name) = program_of(port) {
                out.extend_from_slice(format!(" progname={}", clean(&name)).as_bytes());
            }
        }
        By::Reading => out.extend_from_slice(b" [REREAD]"),
    }
}

/// Local time as the tool's XML has it.
fn when(now: Duration) -> Option<[u16; 7]> {
    let at = print::zoned(Time(i64::try_from(now.as_nanos()).ok()?))?;
    let number = |n: i8| u16::try_from(n).unwrap_or(0);
    Some([
        number(at.hour()),
        number(at.minute()),
        number(at.second()),
        number(at.weekday().to_sunday_one_offset()),
        number(at.day()),
        number(at.month()),
        u16::try_from(at.year()).unwrap_or(0),
    ])
}
