//! Capture files: pcap and pcapng, of every byte order and resolution.
//!
//! Enters: the bytes of a file, all at once or as they come. Leaves: records, or where the file contradicts
//! itself. Lenient as the common tools are: snapshot lengths that are exceeded, sub-seconds beyond a second
//! and unknown blocks are no errors; and strict as they are: lengths that differ are one. Nothing is copied.
//!
//! Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.

mod fault;
mod pcap;
mod pcapng;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::fmt;

pub use fault::Fault;
use plimsoll_ct::Time;

/// A record longer than this is taken for garbage.
const LONGEST: usize = 16 << 20;

/// One captured frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// When; `None` in pcapng's simple packet blocks.
    pub time: Option<Time>,
    /// Link type, as numbered by tcpdump.org.
    pub link: u32,
    /// What was captured of it.
    pub bytes: &'a [u8],
    /// Its length on the wire.
    pub length: u32,
}

/// What a step found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// A frame. The next step begins so many octets further.
    Record(Record<'a>, usize),
    /// Something else, so long.
    Skip(usize),
    /// At least so many octets are needed to go on.
    Need(usize),
}

/// Where a capture contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureError {
    /// Octets from the beginning.
    pub offset: u64,
    /// Frames before it.
    pub frames: u64,
    /// What is wrong.
    pub what: Fault,
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "packet {}, offset {}: {}", self.frames + 1, self.offset, self.what)
    }
}

impl core::error::Error for CaptureError {}

#[derive(Debug, Clone)]
enum Format {
    Unknown,
    Pcap(pcap::Header),
    Pcapng(pcapng::Section),
}

/// Reads a capture step by step.
#[derive(Debug, Clone)]
pub struct Decoder {
    format: Format,
    offset: u64,
    frames: u64,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { format: Format::Unknown, offset: 0, frames: 0 }
    }
}

impl Decoder {
    /// At a file's beginning.
    pub fn new() -> Self {
        Self::default()
    }

    /// Octets behind us.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Frames behind us.
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Packets that the capturing host says it lost (pcapng's interface statistics), up to here.
    pub fn lost(&self) -> u64 {
        match &self.format {
            Format::Pcapng(section) => section.lost(),
            Format::Unknown | Format::Pcap(_) => 0,
        }
    }

    /// One step; `bytes` begin where the last step ended.
    #[inline]
    pub fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, CaptureError> {
        let result = match &mut self.format {
            Format::Unknown => self.begin(bytes),
            Format::Pcap(header) => header.record(bytes),
            Format::Pcapng(section) => section.block(bytes),
        };
        match result {
            Ok(step) => {
                match step {
                    Step::Record(_, used) => {
                        self.offset += used as u64;
                        self.frames += 1;
                    }
                    Step::Skip(used) => self.offset += used as u64,
                    Step::Need(_) => {}
                }
                Ok(step)
            }
            Err(what) => Err(CaptureError { offset: self.offset, frames: self.frames, what }),
        }
    }

    /// Many steps: adds records to those that are there until there are `most`. Tells how many octets are behind it, and,
    /// if there are fewer records, how many octets the next step needs at least, or what is wrong there.
    pub fn steps<'a>(
        &mut self,
        bytes: &'a [u8],
        most: usize,
        records: &mut Vec<Record<'a>>,
    ) -> (usize, Result<Option<usize>, CaptureError>) {
        let mut behind = 0;
        loop {
            let before = records.len();
            let rest = bytes.get(behind..).unwrap_or_default();
            let wanted = most.saturating_sub(before);
            let used = match &self.format {
                Format::Unknown => 0,
                Format::Pcap(header) => header.records(rest, wanted, records),
                Format::Pcapng(section) => section.records(rest, wanted, records),
            };
            behind += used;
            self.offset += used as u64;
            self.frames += (records.len() - before) as u64;
            if records.len() >= most {
                return (behind, Ok(None));
            }
            match self.step(bytes.get(behind..).unwrap_or_default()) {
                Ok(Step::Record(record, used)) => {
                    records.push(record);
                    behind += used;
                }
                Ok(Step::Skip(used)) => behind += used,
                Ok(Step::Need(needed)) => return (behind, Ok(Some(needed))),
                Err(error) => return (behind, Err(error)),
            }
        }
    }

    /// The record with which `bytes` begin, without going on: for readers that must move their buffer
    /// before they can lend it.
    pub fn again<'a>(&self, bytes: &'a [u8]) -> Option<Record<'a>> {
        match &self.format {
            Format::Unknown => None,
            Format::Pcap(header) => match header.record(bytes) {
                Ok(Step::Record(record, _)) => Some(record),
                Ok(Step::Skip(_) | Step::Need(_)) | Err(_) => None,
            },
            Format::Pcapng(section) => section.again(bytes),
        }
    }

    fn begin<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, Fault> {
        let Some(magic) = bytes.first_chunk::<4>() else { return Ok(Step::Need(4)) };
        if *magic == pcapng::SECTION {
            let mut section = pcapng::Section::default();
            let step = section.block(bytes)?;
            if matches!(step, Step::Skip(_)) {
                self.format = Format::Pcapng(section);
            }
            return Ok(step);
        }
        let Some(header) = bytes.first_chunk::<24>() else { return Ok(Step::Need(24)) };
        self.format = Format::Pcap(pcap::Header::read(header)?);
        Ok(Step::Skip(24))
    }
}

/// The records of a capture that is wholly in memory. Ends after the first error; a record that the file's
/// end cuts off is one.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    decoder: Decoder,
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// Of a file's bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { decoder: Decoder::new(), rest: bytes }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            match self.decoder.step(self.rest) {
                Ok(Step::Record(record, used)) => {
                    self.rest = &self.rest[used..];
                    return Some(Ok(record));
                }
                Ok(Step::Skip(used)) => self.rest = &self.rest[used..],
                Ok(Step::Need(_)) => {
                    self.rest = &[];
                    let (offset, frames) = (self.decoder.offset, self.decoder.frames);
                    return Some(Err(CaptureError { offset, frames, what: Fault::CutOff }));
                }
                Err(error) => {
                    self.rest = &[];
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// Reads integers of either byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Order {
    big: bool,
}

impl Order {
    #[inline]
    fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let b = bytes.get(at..at + 2).map_or([0; 2], |b| [b[0], b[1]]);
        if self.big { u16::from_be_bytes(b) } else { u16::from_le_bytes(b) }
    }

    /// Four numbers of four octets.
    #[inline(always)]
    fn words(self, bytes: &[u8; 16]) -> [u32; 4] {
        let (chunks, _) = bytes.as_chunks::<4>();
        let words = [chunks[0], chunks[1], chunks[2], chunks[3]].map(u32::from_le_bytes);
        if self.big { words.map(u32::swap_bytes) } else { words }
    }

    #[inline]
    fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let b = bytes.get(at..at + 4).map_or([0; 4], |b| [b[0], b[1], b[2], b[3]]);
        if self.big { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) }
    }
}
