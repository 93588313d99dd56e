//! A listing that somebody saved: a proc file, or what `conntrack -L` printed in any of its forms.

use std::io::{self, BufRead};

use plimsoll_ct::Entry;
use plimsoll_diagnosis::facts::{Census, CensusBuilder, Fact, Reader, Reason, Source, TcpTimeouts};
use plimsoll_wire::Malformed;
use plimsoll_wire::listing::{self, save, xml};

/// No line that a kernel or the tool prints comes near this.
const LONGEST_LINE: usize = 16 << 10;

/// Which form a listing has, by its first line that says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Save,
    Xml,
}

/// Who filled the table of a host that is gone.
///
/// The form is told by the first entry. The tool's own "N flow entries have been shown" is no entry. Memory
/// is bounded whatever the listing's size. Without any entry, and with lines that are none, the listing is
/// malformed: most likely it holds the error message of a tool.
pub fn census_of_listing(
    mut reader: impl BufRead,
    source: impl Into<Source>,
    timeouts: TcpTimeouts,
    seed: u64,
    rows: usize,
) -> Fact<Census> {
    let source = source.into();
    let mut builder = CensusBuilder::new(Reader::Listing, timeouts, seed);
    let mut first_trouble = None;
    let mut form = None;
    let mut line = Vec::new();
    let mut flow = Vec::new();
    let ended = loop {
        match next_line(&mut reader, &mut line) {
            Ok(Some(Bounded::Whole)) => {}
            Ok(Some(Bounded::Cut)) => {
                builder.malformed();
                continue;
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        let text = line.trim_ascii();
        if text.is_empty() || text.starts_with(b"conntrack v") {
            continue;
        }
        let form = *form.get_or_insert_with(|| Form::of(text));
        let entry = match form {
            Form::Text => listing::parse(text).map(|line| line.entry),
            Form::Save => save::parse(text),
            Form::Xml => match whole_flow(text, &mut flow) {
                Some(entry) => entry,
                None => continue,
            },
        };
        match entry {
            Ok(entry) => builder.add(&entry),
            Err(malformed) => {
                builder.malformed();
                first_trouble.get_or_insert(malformed);
            }
        }
    };
    if let (0, Some(trouble)) = (builder.seen(), &first_trouble) {
        return Fact::missing(Reason::Malformed, format!("{source}: {trouble}"));
    }
    if let (0, Err(error)) = (builder.seen(), &ended) {
        return Fact::missing(Reason::Failed, format!("{source}: {error}"));
    }
    Fact::known(builder.finish(ended.is_ok(), None, None, rows), source)
}

impl Form {
    fn of(line: &[u8]) -> Self {
        if line.starts_with(b"<") {
            Self::Xml
        } else if line.starts_with(b"-A ") {
            Self::Save
        } else {
            Self::Text
        }
    }
}

/// Gathers lines up to the end of a flow, whether or not somebody broke them.
fn whole_flow(text: &[u8], flow: &mut Vec<u8>) -> Option<Result<Entry, Malformed>> {
    if flow.len() > LONGEST_LINE {
        let seen = std::mem::take(flow);
        return Some(Err(Malformed::new("<flow>", "</flow>", &seen)));
    }
    flow.extend_from_slice(text);
    let end = xml::flow_end(flow)?;
    let entry = xml::parse(&flow[..end]);
    flow.drain(..end);
    Some(entry)
}

/// Whether a line fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bounded {
    Whole,
    /// It was longer than any line can be; the rest of it was skipped.
    Cut,
}

/// Reads a line without its line feed. `None` at the end.
pub(super) fn next_line(
    reader: &mut impl BufRead,
    line: &mut Vec<u8>,
) -> io::Result<Option<Bounded>> {
    line.clear();
    let mut fit = Bounded::Whole;
    let mut any = false;
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok(any.then_some(fit));
        }
        any = true;
        let feed = available.iter().position(|&b| b == b'\n');
        let part = &available[..feed.unwrap_or(available.len())];
        if line.len() + part.len() > LONGEST_LINE {
            fit = Bounded::Cut;
        } else if fit == Bounded::Whole {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(feed.is_some());
        reader.consume(used);
        if feed.is_some() {
            return Ok(Some(fit));
        }
    }
}
