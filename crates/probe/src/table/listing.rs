//! A listing that somebody saved: a proc file, or what `conntrack -L` printed in any of its forms.

use std::io::{self, BufRead};

use plimsoll_ct::Entry;
use plimsoll_diagnosis::facts::{Census, CensusBuilder, Fact, Reader, Reason, Source, TcpTimeouts};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::listing::{self, Line, save, xml};
use plimsoll_wire::{Expected, Malformed};

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
/// The form is told by the first entry. The tool's own "N flow entries have been shown" is no entry, wherever it stands. Memory
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
    let ended = each_of_listing(&mut reader, &mut |line| {
        match line {
            Ok(line) => builder.add(&line.entry),
            Err(malformed) => {
                builder.malformed();
                if first_trouble.is_none() {
                    first_trouble = malformed.cloned();
                }
            }
        }
        true
    });
    if let (0, Some(trouble)) = (builder.seen(), &first_trouble) {
        return Fact::missing(
            Reason::Malformed,
            said!("{source}: {}", "{source}：{:#}", Said::from(trouble)),
        );
    }
    if let (0, Err(error)) = (builder.seen(), &ended) {
        return Fact::missing(
            Reason::Failed,
            said!("{source}: {}", "{source}：{:#}", crate::said_of(error)),
        );
    }
    Fact::known(builder.finish(ended.is_ok(), None, None, rows), source)
}

/// Takes each entry of a listing with all that its line says, or what could not be understood of it (nothing, where a
/// line was too long to be one); `false` ends the reading.
pub type VisitLine<'a> = &'a mut dyn FnMut(Result<&Line<'_>, Option<&Malformed>>) -> bool;

/// Shows every entry of a saved listing, whatever its form, in memory that is bounded whatever its size.
///
/// # Errors
///
/// The file could not be read to its end; what was shown before stands.
pub fn each_of_listing(reader: &mut impl BufRead, visit: VisitLine<'_>) -> io::Result<()> {
    let mut form = None;
    let mut line = Vec::new();
    let mut flows = Flows::default();
    loop {
        match next_of_listing(reader, &mut line)? {
            Some(Bounded::Whole) => {}
            Some(Bounded::Cut) if visit(Err(None)) => continue,
            Some(Bounded::Cut) | None => return Ok(()),
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let form = *form.get_or_insert_with(|| Form::of(text));
        let mut show = |entry: Result<Entry, Malformed>| match entry {
            Ok(entry) => visit(Ok(&entry.into())),
            Err(malformed) => visit(Err(Some(&malformed))),
        };
        let go_on = match form {
            Form::Text => match listing::parse(text) {
                Ok(line) => visit(Ok(&line)),
                Err(malformed) => visit(Err(Some(&malformed))),
            },
            Form::Save => show(save::parse(text)),
            Form::Xml => {
                flows.pending.extend_from_slice(text);
                std::iter::from_fn(|| flows.next()).all(show)
            }
        };
        if !go_on {
            return Ok(());
        }
    }
}

/// Reads a line of a listing without what the tool says of itself.
///
/// That goes to standard error, at once, while the listing waits in a buffer: where both end in one file it may stand
/// anywhere, also within a line, which goes on after it.
fn next_of_listing(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<Bounded>> {
    let mut read = next_line(reader, line)?;
    while read == Some(Bounded::Whole)
        && let Some(start) = said_by_the_tool(line)
    {
        line.truncate(start);
        read = match append_line(reader, line)? {
            None if !line.is_empty() => return Ok(Some(Bounded::Whole)),
            more => more,
        };
    }
    Ok(read)
}

/// Where in a line the tool begins to speak of itself: "conntrack v1.4.7 (conntrack-tools): 60 flow entries have been shown."
fn said_by_the_tool(line: &[u8]) -> Option<usize> {
    // An entry has none, so that most lines are not searched any further.
    if !line.contains(&b'(') {
        return None;
    }
    let find = |from: usize, what: &[u8]| line[from..].windows(what.len()).position(|w| w == what);
    let start = find(0, b"conntrack v")?;
    find(start, b" (conntrack-tools)").map(|_| start)
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

/// Gathers lines up to the end of a flow, whether or not somebody broke or joined them.
#[derive(Debug, Default)]
struct Flows {
    pending: Vec<u8>,
    /// Bytes at the front in which no flow ends.
    searched: usize,
}

impl Flows {
    fn next(&mut self) -> Option<Result<Entry, Malformed>> {
        match xml::flow_end(&self.pending[self.searched..]) {
            Some(end) => {
                let end = self.searched + end;
                let entry = xml::parse(&self.pending[..end]);
                self.pending.drain(..end);
                self.searched = 0;
                Some(entry)
            }
            None if self.pending.len() > LONGEST_LINE => {
                self.searched = 0;
                let seen = std::mem::take(&mut self.pending);
                Some(Err(Malformed::new("<flow>", Expected::Name("</flow>"), &seen)))
            }
            None => {
                self.searched = self.pending.len().saturating_sub("</flow>".len());
                None
            }
        }
    }
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
    append_line(reader, line)
}

/// As [`next_line`], behind what is there already, which counts as part of the line.
fn append_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<Bounded>> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const XML: &str = include_str!("../../../../fixtures/ctnetlink/dump-accounting.xml");

    fn census(bytes: &[u8]) -> Fact<Census> {
        census_of_listing(bytes, Source::name("a file"), TcpTimeouts::DEFAULT, 1, 10)
    }

    #[test]
    fn xml_is_read_whether_its_lines_are_broken_or_joined() {
        let whole = census(XML.as_bytes());
        assert_eq!(whole.value().map(|c| (c.seen, c.malformed)), Some((17, 0)));
        assert_eq!(census(XML.replace("><", ">\n  <").as_bytes()), whole);
        assert_eq!(census(XML.replace("</flow>\n<flow>", "</flow><flow>").as_bytes()), whole);
    }

    #[test]
    fn the_error_message_of_a_tool_is_no_empty_table() {
        let gap = census(b"bash: conntrack: command not found\n");
        assert_eq!(gap.gap().map(|g| g.reason), Some(Reason::Malformed));
        let empty =
            census(b"conntrack v1.4.7 (conntrack-tools): 0 flow entries have been shown.\n");
        assert_eq!(empty.value().map(|c| c.seen), Some(0));
    }

    #[test]
    fn what_the_tool_says_may_stand_anywhere_in_a_listing() {
        const SAID: &str = "conntrack v1.4.7 (conntrack-tools): 2 flow entries have been shown.\n";
        let lines: String = [1, 2]
            .map(|port| {
                format!(
                    "udp      17 28 src=10.0.0.1 dst=10.0.0.2 sport={port} dport=53 [UNREPLIED] \
                     src=10.0.0.2 dst=10.0.0.1 sport=53 dport={port} mark=0 use=1\n"
                )
            })
            .concat();
        for whole in [lines.as_str(), XML] {
            let alone = census(whole.as_bytes());
            // All of the short one; of the long one so many that they fall everywhere in a flow.
            for at in (0..=whole.len()).step_by(1 + whole.len() / 500) {
                let text = format!("{}{SAID}{}", &whole[..at], &whole[at..]);
                assert_eq!(census(text.as_bytes()), alone, "{at}: {text}");
            }
        }
    }

    #[test]
    fn a_tool_that_never_stops_speaking_is_a_line_without_end() {
        let said = "x (conntrack v1 (conntrack-tools)\n".repeat(LONGEST_LINE);
        assert_eq!(census(said.as_bytes()).gap().map(|g| g.reason), Some(Reason::Malformed));
        let half = b"conntrack v1 (conntrack-tools)\nudp 17conntrack v1 (conntrack-tools)";
        assert_eq!(census(half).gap().map(|g| g.reason), Some(Reason::Malformed));
    }

    #[test]
    fn a_line_without_end_is_skipped_and_counted() {
        let mut bytes = vec![b'x'; 10 * LONGEST_LINE];
        bytes.extend_from_slice(
            b"\nudp 17 29 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 \
            dst=10.0.0.1 sport=2 dport=1 use=1",
        );
        assert_eq!(census(&bytes).value().map(|c| (c.seen, c.malformed)), Some((1, 1)));
    }

    #[test]
    fn an_xml_flow_without_end_is_given_up() {
        let mut bytes = b"<flow>\n".to_vec();
        bytes.extend(std::iter::repeat_n(*b"x\n", 100_000).flatten());
        assert_eq!(census(&bytes).gap().map(|g| g.reason), Some(Reason::Malformed));
    }
}
