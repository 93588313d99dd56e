//! The outputs that compare with the kernel's own, line by line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use plimsoll_ct::{CpuCounters, Entries, Entry, Protocol, Seconds, Time, Tuple};
use plimsoll_model::{Event, EventKind, Model};
use plimsoll_wire::listing::{Dialect, Line, append_expected, write};
use plimsoll_wire::statistics::{Header, Statistics, write_proc};

/// The table, in the form of /proc/net/nf_conntrack or of `conntrack -L`, straight to `out`.
pub fn dump(out: &mut impl Write, model: &Model, dialect: Dialect) -> io::Result<()> {
    let mut text = String::new();
    let children = children(model);
    for entry in model.snapshot() {
        text.clear();
        one(&mut text, model, &children, entry, dialect);
        text.push('\n');
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// The table as lines.
pub fn lines(model: &Model) -> Vec<String> {
    let children = children(model);
    let line = |entry| {
        let mut text = String::new();
        one(&mut text, model, &children, entry, Dialect::Proc);
        text
    };
    model.snapshot().into_iter().map(line).collect()
}

/// How many entries were expected by each that expected any: they hold a reference to it.
type Children = BTreeMap<Tuple, u32>;

fn children(model: &Model) -> Children {
    let mut children = Children::new();
    for (_, master) in model.masters() {
        *children.entry(master).or_default() += 1;
    }
    children
}

fn one(text: &mut String, model: &Model, children: &Children, entry: Entry, dialect: Dialect) {
    // Writing to a String cannot fail.
    let _ = write(text, &line(model, children, entry, dialect), dialect);
}

/// What is expected, in the form of /proc/net/nf_conntrack_expect or of `conntrack -L expect`.
pub fn expectations(model: &Model, dialect: Dialect) -> Vec<String> {
    let mut lines = Vec::new();
    for (expectation, left) in model.expectations() {
        let mut line = Vec::new();
        append_expected(&mut line, &expectation.shown(left), dialect);
        lines.push(String::from_utf8_lossy(&line).into_owned());
    }
    lines
}

/// What a kernel of default configuration shows beside the entry.
fn line(model: &Model, children: &Children, entry: Entry, dialect: Dialect) -> Line<'static> {
    let proc = dialect == Dialect::Proc;
    // The reader of the proc file holds a reference of its own.
    let children = children.get(&entry.original).copied().unwrap_or(0);
    let references = children + if proc { 2 } else { 1 };
    let [timeout, stream] = model.settings().gre.map(|s| Seconds(s.into()));
    let gre = (entry.original.protocol == Protocol::Gre).then_some((timeout, stream));
    let entry = Entry { age: None, mark: Some(0), references: Some(references), ..entry };
    let zone_shown = proc || entry.zone.id != 0;
    Line { gre, zone_shown, ..Line::from(entry) }
}

/// An event as `conntrack -E` prints it, with the time before it if it is wanted.
pub fn event(event: Event, at: Option<Time>) -> String {
    let kind = match event.kind {
        EventKind::New => "    [NEW] ",
        EventKind::Update => " [UPDATE] ",
        EventKind::Destroy => "[DESTROY] ",
    };
    let mut text = String::new();
    if let Some(at) = at {
        let sign = if at.0 < 0 { "-" } else { "" };
        let micros = at.0.div_euclid(1000).unsigned_abs();
        let _ = write!(text, "[{sign}{}.{:06}]\t", micros / 1_000_000, micros % 1_000_000);
    }
    text.push_str(kind);
    let mut entry = Entry { age: None, mark: None, references: None, ..event.entry };
    // Packets and octets are told at the end only.
    if event.kind != EventKind::Destroy {
        (entry.original_accounting, entry.reply_accounting) = (None, None);
    }
    // Writing to a String cannot fail.
    let _ = write(&mut text, &Line::from(entry), Dialect::Tool);
    text
}

/// The statistics, as this generation's proc file shows them.
pub fn statistics(model: &Model) -> String {
    let mut text = String::new();
    let statistics = Statistics {
        entries: Some(Entries(model.counted() as u64)),
        cpus: CpuCounters { rows: vec![*model.counters()] },
    };
    let header = match model.profile().from {
        (2, ..33) => Header::First,
        from if from < (5, 15) => Header::Middle,
        _ => Header::Modern,
    };
    // Writing to a String cannot fail.
    let _ = write_proc(&mut text, &statistics, header);
    text
}

/// The lines that the kernel would have logged since the last call, with their times.
pub fn log(model: &mut Model) -> Vec<(Time, String)> {
    let lines = model.take_log();
    let timed = lines.into_iter().map(|l| (model.time_of(l.tick).unwrap_or(Time(0)), l.text));
    timed.collect()
}

/// A line of the log as `dmesg --time-format iso` prints it, in UTC.
pub fn logged(at: Time, text: &str) -> String {
    let stamp = jiff::Timestamp::from_nanosecond(at.0.into()).unwrap_or_default();
    format!("{} {text}", stamp.strftime("%Y-%m-%dT%H:%M:%S,%6f+00:00"))
}
