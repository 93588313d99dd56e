//! What each entry goes through: the filter, then the grouping or the printer.

use std::io::{self, IsTerminal, Write};

use plimsoll_ct::Entry;
use plimsoll_flows::{Filter, Groups, Lacks, Surroundings, Truth, View};
use plimsoll_report::Style;
use plimsoll_wire::ctnetlink::Details;
use plimsoll_wire::listing::Line;

use super::owners::Owners;
use super::print::Printer;
use crate::terminal::cleaned;

/// What a reader told of an entry beside the entry.
#[derive(Debug, Clone, Copy)]
pub enum Beside<'a> {
    /// Nothing.
    Nothing,
    /// The line of a saved listing.
    Line(&'a Line<'a>),
    /// A message of ctnetlink.
    Details(&'a Details),
}

/// Counts of entries.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Looked at.
    pub seen: u64,
    /// The filter let through.
    pub matched: u64,
    /// The filter could not judge.
    pub unknown: u64,
    /// Could not be understood.
    pub malformed: u64,
}

impl Counts {
    /// Adds those of another part.
    pub fn add(&mut self, other: Self) {
        self.seen += other.seen;
        self.matched += other.matched;
        self.unknown += other.unknown;
        self.malformed += other.malformed;
    }
}

/// Filter, and what comes behind it.
pub struct Pipe<'a> {
    pub filter: &'a Filter,
    pub end: End<'a>,
    /// Whose entries are, where that is asked for and can be told.
    pub owners: Option<Owners>,
    pub limit: Option<u64>,
    pub counts: Counts,
    pub lacks: Lacks,
    /// Why writing failed.
    pub failed: Option<io::Error>,
}

/// What comes behind the filter.
pub enum End<'a> {
    /// They are added up.
    Group(Box<Groups>),
    /// They are printed.
    Print(Box<Printer<'a>>),
}

impl Pipe<'_> {
    /// Takes an entry; `false`: no more, please.
    pub fn take(&mut self, entry: &Entry, around: &Surroundings, beside: Beside<'_>) -> bool {
        self.counts.seen += 1;
        let owners = self.owners.as_mut().map(|owners| owners.of(entry));
        let view = View { owners, ..View::new(entry, around) };
        match self.filter.judge_and_note(&view, &mut self.lacks) {
            Truth::Yes => {}
            Truth::No => return true,
            Truth::Unknown => {
                self.counts.unknown += 1;
                return true;
            }
        }
        self.counts.matched += 1;
        match &mut self.end {
            End::Group(groups) => groups.add(&view),
            End::Print(printer) => {
                if let Err(error) = printer.entry(&view, beside) {
                    self.failed = Some(error);
                    return false;
                }
                return self.limit.is_none_or(|limit| self.counts.matched < limit);
            }
        }
        true
    }

    /// Writes what is still to be written.
    pub fn finish(&mut self) -> io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        match &mut self.end {
            End::Group(_) => Ok(()),
            End::Print(printer) => printer.finish(),
        }
    }
}

/// Standard output as a sink of blocks.
pub struct Out {
    buffer: Vec<u8>,
    file: io::Stdout,
    /// What is the same to the byte for a program is not sent so to a terminal.
    terminal: bool,
}

/// Bytes written at once.
const BLOCK: usize = 256 << 10;

impl Out {
    pub fn new() -> Self {
        let file = io::stdout();
        let terminal = file.is_terminal();
        Self { buffer: Vec::with_capacity(BLOCK + 4_096), file, terminal }
    }

    /// Where the next entry goes.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Behind each entry.
    pub fn step(&mut self) -> io::Result<()> {
        if self.buffer.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    pub fn flush(&mut self) -> io::Result<()> {
        match self.terminal {
            true => {
                self.file.write_all(cleaned(&String::from_utf8_lossy(&self.buffer)).as_bytes())?
            }
            false => self.file.write_all(&self.buffer)?,
        }
        self.buffer.clear();
        self.file.flush()
    }
}

/// How the table for people looks.
pub fn style(arguments: &super::arguments::Flows) -> Style {
    Style {
        width: crate::terminal::wide(arguments.width),
        colour: false,
        unicode: crate::terminal::shows(arguments.lang, arguments.ascii),
        language: arguments.language(),
        ..Style::default()
    }
}
