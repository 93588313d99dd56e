//! Entries to bytes, in every form.

use std::io;
use std::time::SystemTime;

use plimsoll_ct::{Entry, Seconds, Time, ZoneDirection};
use plimsoll_flows::{Names, View};
use plimsoll_report::Style;
use plimsoll_report::flows::{COLUMNS, csv_header, csv_row, entries_header, entry_lines, json_row};
use plimsoll_wire::listing::{Dialect, Line, append, save, xml};

use super::form::{Form, Tool};
use super::parquet::Table;
use super::pipe::{Beside, Out};

/// Writes entries as they come.
pub struct Printer<'a> {
    form: Form,
    names: &'a Names,
    style: &'a Style,
    several: bool,
    out: Out,
    text: String,
    begun: bool,
    parquet: Option<Table>,
}

impl<'a> Printer<'a> {
    /// `several`: entries of more than one namespace will come.
    pub fn new(form: Form, names: &'a Names, style: &'a Style, several: bool) -> io::Result<Self> {
        let parquet = match form {
            Form::Parquet => Some(Table::of_entries()?),
            _ => None,
        };
        Ok(Self {
            form,
            names,
            style,
            several,
            out: Out::new(),
            text: String::new(),
            begun: false,
            parquet,
        })
    }

    /// What stands before the first entry.
    fn begin(&mut self) {
        self.begun = true;
        match self.form {
            Form::Table => {
                self.out.buffer().extend_from_slice(entries_header(self.style).as_bytes());
            }
            Form::Csv => csv_header(self.out.buffer(), COLUMNS.iter().map(|column| column.name)),
            Form::Conntrack(Tool { xml: true, .. }) => {
                self.out.buffer().extend_from_slice(xml::FRAME[0].as_bytes());
            }
            Form::Json | Form::Parquet | Form::Conntrack(_) | Form::Proc => {}
        }
    }

    /// One entry.
    pub fn entry(&mut self, view: &View<'_>, beside: Beside<'_>) -> io::Result<()> {
        if !self.begun {
            self.begin();
        }
        let names = self.names;
        match self.form {
            Form::Table => {
                self.text.clear();
                entry_lines(&mut self.text, view, names, self.several, self.style);
                self.out.buffer().extend_from_slice(self.text.as_bytes());
            }
            Form::Json => json_row(
                self.out.buffer(),
                COLUMNS.iter().map(|column| (column.name, (column.cell)(view, names))),
            ),
            Form::Csv => {
                csv_row(self.out.buffer(), COLUMNS.iter().map(|column| (column.cell)(view, names)))
            }
            Form::Parquet => {
                if let Some(table) = &mut self.parquet {
                    table.row(COLUMNS.iter().map(|column| (column.cell)(view, names)))?;
                }
            }
            Form::Conntrack(tool) => conntrack(self.out.buffer(), tool, view.entry, beside, names),
            Form::Proc => {
                proc(self.out.buffer(), view, beside);
            }
        }
        self.out.step()
    }

    /// What stands behind the last entry.
    pub fn finish(&mut self) -> io::Result<()> {
        if !self.begun {
            self.begin();
        }
        if let Form::Conntrack(Tool { xml: true, .. }) = self.form {
            self.out.buffer().extend_from_slice(xml::FRAME[1].as_bytes());
        }
        if let Some(table) = self.parquet.take() {
            table.finish()?;
        }
        self.out.flush()
    }
}

/// One entry as conntrack(8) prints it.
pub fn conntrack(out: &mut Vec<u8>, tool: Tool, entry: &Entry, beside: Beside<'_>, names: &Names) {
    if tool.save {
        let tags = match beside {
            Beside::Details(details) => details.sctp_tags,
            Beside::Line(_) | Beside::Nothing => None,
        };
        save::append(out, entry, tags);
        out.push(b'\n');
        return;
    }
    if tool.xml {
        xml_flow(out, tool, entry, beside, names, None, None);
        out.push(b'\n');
        return;
    }
    text_line(out, tool, entry, beside, names);
    out.push(b'\n');
}

/// Seconds that an entry lives, to be shown now. The tool takes whole seconds from whole seconds, the kernel counts to
/// the nanosecond.
fn age(entry: &Entry, beside: Beside<'_>, tool: bool) -> Option<Seconds> {
    const SECOND: i64 = 1_000_000_000;
    let (Beside::Details(details), Some(started)) = (beside, entry.started) else {
        return entry.age;
    };
    let now = || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
    };
    let stopped = details.stopped.and_then(|stopped| i64::try_from(stopped).ok());
    let end = stopped.unwrap_or_else(now);
    let lived = match tool {
        true => end / SECOND - started.0 / SECOND,
        false => end.saturating_sub(started.0) / SECOND,
    };
    Some(Seconds(u64::try_from(lived).unwrap_or(0)))
}

/// The line without its line feed.
pub fn text_line(out: &mut Vec<u8>, tool: Tool, entry: &Entry, beside: Beside<'_>, names: &Names) {
    let mut line = Line::from(*entry);
    line.entry.age = age(entry, beside, true);
    let (started, stopped);
    let labels;
    if !tool.id {
        line.entry.id = None;
    }
    match beside {
        Beside::Details(details) => {
            line.security = details.security.as_deref();
            if tool.ktimestamp {
                started = details.started.map(local_time);
                stopped = details.stopped.map(local_time);
                (line.started, line.stopped) = (started.as_deref(), stopped.as_deref());
            }
            if tool.labels {
                labels = label_names(entry, names);
                line.labels = (!labels.is_empty()).then_some(&*labels);
            }
        }
        Beside::Line(seen) => {
            (line.security, line.secmark) = (seen.security, seen.secmark);
            if tool.ktimestamp {
                (line.started, line.stopped) = (seen.started, seen.stopped);
            }
            if tool.labels {
                line.labels = seen.labels;
            }
        }
        // The proc file counts its reader's reference, the tool does not.
        Beside::Nothing => {
            line.entry.references = line.entry.references.map(|n| n.saturating_sub(1));
        }
    }
    append(out, &line, if tool.extended { Dialect::ToolExtended } else { Dialect::Tool });
}

/// `<flow>…</flow>`.
pub fn xml_flow(
    out: &mut Vec<u8>,
    tool: Tool,
    entry: &Entry,
    beside: Beside<'_>,
    names: &Names,
    event: Option<&str>,
    when: Option<[u16; 7]>,
) {
    let text;
    let mut labels: Vec<&str> = Vec::new();
    if tool.labels {
        text = label_names(entry, names);
        labels.extend(text.split(',').filter(|name| !name.is_empty()));
    }
    let (times, security) = match beside {
        Beside::Details(details) => {
            ((details.started, details.stopped), details.security.as_deref())
        }
        Beside::Line(line) => ((None, None), line.security),
        Beside::Nothing => ((None, None), None),
    };
    let times = if tool.ktimestamp { times } else { (None, None) };
    let extra = xml::Extra { event, times, security, labels: &labels, when };
    let entry = Entry { age: age(entry, beside, true), ..*entry };
    xml::append(out, &entry, &extra);
}

/// One entry as /proc/net/nf_conntrack shows it.
fn proc(out: &mut Vec<u8>, view: &View<'_>, beside: Beside<'_>) {
    let told = if let Beside::Line(line) = beside { Some(line.clone()) } else { None };
    let as_saved = told.is_some();
    let mut line = told.unwrap_or_else(|| Line::from(*view.entry));
    line.labels = None;
    (line.started, line.stopped) = (None, None);
    if let Beside::Details(details) = beside {
        line.security = details.security.as_deref();
        line.entry.age = age(view.entry, beside, false);
        // The reader of the file holds a reference of its own.
        line.entry.references = line.entry.references.map(|references| references + 1);
    }
    if !as_saved {
        // What the file shows beside the entry: a zone of 0, and the timeouts of GRE.
        line.zone_shown = line.entry.zone.direction == ZoneDirection::Both;
        if line.entry.original.protocol == plimsoll_ct::Protocol::Gre {
            let timeouts = &view.around.timeouts;
            line.gre = timeouts.get("gre_timeout").zip(timeouts.get("gre_timeout_stream"));
        }
    }
    append(out, &line, Dialect::Proc);
    out.push(b'\n');
}

/// The labels that have a name, as conntrack(8) prints them.
fn label_names(entry: &Entry, names: &Names) -> String {
    let Some(bits) = entry.labels else { return String::new() };
    let set = |bit: &u16| bits[usize::from(bit / 8)] >> (bit % 8) & 1 == 1;
    let found: Vec<&str> = (0..128).filter(set).filter_map(|bit| names.label_name(bit)).collect();
    found.join(",")
}

/// A time as ctime(3) writes it, by this host's clock.
fn local_time(nanos: u64) -> String {
    zoned(Time(i64::try_from(nanos).unwrap_or(i64::MAX)))
        .map_or_else(String::new, |at| at.strftime("%a %b %e %H:%M:%S %Y").to_string())
}

/// A time by this host's clock.
pub fn zoned(at: Time) -> Option<jiff::Zoned> {
    let at = jiff::Timestamp::from_nanosecond(at.0.into()).ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::system()))
}
