//! Capture files: opened, unpacked, merged in the order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use plimsoll_ct::Time;
use plimsoll_probe::{gzip, zstd};
use plimsoll_report::{Language, spoken};
use plimsoll_wire::capture::{CaptureError, Decoder, Record, Step};

use super::ahead::{Octets, Source};

/// So many packed captures may have a thread each that unpacks them.
const THREADS: usize = 4;

/// Records shown at once at most.
const AT_ONCE: usize = 256;

/// One capture, read from its beginning to its end.
pub struct Capture {
    name: String,
    language: Language,
    packed: bool,
    octets: Octets,
    decoder: Decoder,
}

/// A record that outlives the step to the next one.
#[derive(Debug, Clone, Default)]
struct Held {
    time: Option<Time>,
    link: u32,
    bytes: Vec<u8>,
    length: u32,
}

impl Capture {
    /// Opens a file, `-` being standard input. gzip and zstd are recognised by their first octets. `ahead`: a thread may unpack it.
    fn open(
        path: &Path,
        read: &Arc<AtomicU64>,
        ahead: bool,
        language: Language,
    ) -> Result<Self, String> {
        let name = path.display().to_string();
        let failed = |error: io::Error| format!("{name}: {error}");
        let raw: Source = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).map_err(failed)?)
        };
        let raw = Counted { inner: raw, read: Arc::clone(read) };
        let mut raw = BufReader::with_capacity(64 << 10, raw);
        let (packed, source): (_, Source) = match raw.fill_buf().map_err(failed)? {
            begin if gzip::begins(begin) => (true, Box::new(gzip::Members::new(raw))),
            begin if zstd::begins(begin) => (true, Box::new(zstd::Frames::new(raw, zstd::WIDEST))),
            _ => (false, Box::new(raw)),
        };
        // What is only read would cost more than it gains: its octets would lie in another core's cache.
        let octets = Octets::new(source, ahead && packed);
        Ok(Self { name, language, packed, octets, decoder: Decoder::new() })
    }

    /// The next record; an error once, where the capture is broken or cut off.
    fn next(&mut self) -> Result<Option<Record<'_>>, String> {
        loop {
            match self.decoder.step(self.octets.unread()) {
                Err(error) => return Err(self.broken(&error)),
                Ok(Step::Record(_, used)) => {
                    // Decoded once more, since the borrow may not outlive the loop otherwise.
                    let from = self.octets.take(used);
                    return Ok(self.decoder.again(from));
                }
                Ok(Step::Skip(used)) => self.octets.used(used),
                Ok(Step::Need(needed)) => {
                    if !self.fill(needed)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Shows all records that are left, many at once, until the visitor has had enough.
    fn all(
        &mut self,
        visit: &mut impl FnMut(&[Record<'_>]) -> ControlFlow<()>,
    ) -> Result<(), String> {
        loop {
            let mut records = Vec::with_capacity(AT_ONCE);
            let (behind, ends) = self.decoder.steps(self.octets.unread(), AT_ONCE, &mut records);
            let enough = visit(&records).is_break();
            self.octets.used(behind);
            if enough {
                return Ok(());
            }
            match ends {
                Ok(None) => {}
                Ok(Some(needed)) => {
                    if !self.fill(needed)? {
                        return Ok(());
                    }
                }
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    /// Nothing of it is read any more.
    fn broken(&mut self, error: &CaptureError) -> String {
        let hint = if error.offset == 0 { hint(self.octets.unread(), self.language) } else { None };
        self.octets.end();
        let place = self.place(error.frames, error.offset);
        let what = match self.language {
            Language::English => error.what,
            Language::Chinese => chinese(error.what),
        };
        let hint = hint.unwrap_or_default();
        self.named(&spoken!(self.language, "{place}: {what}{hint}", "{place}：{what}{hint}"))
    }

    /// Behind so many frames.
    fn place(&self, frames: u64, offset: u64) -> String {
        let packet = frames + 1;
        spoken!(
            self.language,
            "packet {packet}, offset {offset}",
            "第 {packet} 个包，偏移 {offset}"
        )
    }

    fn named(&self, what: &str) -> String {
        let name = &self.name;
        spoken!(self.language, "{name}: {what}", "{name}：{what}")
    }

    /// Reads on until `needed` octets are there; `false`: it ends here.
    fn fill(&mut self, needed: usize) -> Result<bool, String> {
        match self.octets.fill(needed) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => {
                let place = self.place(self.decoder.frames(), self.decoder.offset());
                return Err(self.named(&if self.packed {
                    spoken!(
                        self.language,
                        "{place} of what was unpacked: {error}",
                        "解压后的{place}：{error}"
                    )
                } else {
                    spoken!(self.language, "{place}: {error}", "{place}：{error}")
                }));
            }
        }
        let (offset, frames) = (self.decoder.offset(), self.decoder.frames());
        let what = match (self.octets.unread().is_empty(), offset) {
            (true, 0) => "an empty file",
            (true, _) => return Ok(false),
            (false, _) => "cut off",
        };
        Err(self.broken(&CaptureError { offset, frames, what }))
    }
}

/// What most often is wrong with a capture; what a broken one holds is told as it is.
fn chinese(what: &'static str) -> &'static str {
    match what {
        "an empty file" => "空文件",
        "cut off" => "文件在此处中断",
        "neither pcap nor pcapng" => "既不是 pcap 也不是 pcapng",
        "a pcap of another version than 2" => "不是第 2 版的 pcap",
        other => other,
    }
}

/// How what is no capture is made one.
fn hint(begin: &[u8], language: Language) -> Option<String> {
    let known = [
        (&b"\xfd7zXZ\0"[..], "xz", "xz -dc"),
        (b"BZh", "bzip2", "bzip2 -dc"),
        (b"\x04\x22\x4d\x18", "lz4", "lz4 -dc"),
        (b"PK\x03\x04", "zip", "unzip -p"),
        (b"\x1f\x8b", "gzip", "gzip -dc"),
        (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"),
    ];
    if let Some((_, name, unpack)) = known.iter().find(|(magic, ..)| begin.starts_with(magic)) {
        return Some(spoken!(
            language,
            ", but packed with {name}: unpack it first ({unpack} FILE | plimsoll replay -)",
            "，而是 {name} 压缩的：请先解压（{unpack} FILE | plimsoll replay -）"
        ));
    }
    let some = begin.get(..16)?;
    let text = some.iter().all(|octet| octet.is_ascii_graphic() || octet.is_ascii_whitespace());
    text.then(|| {
        spoken!(
            language,
            ", but text: tcpdump records packets with -w FILE",
            "，而是文本：要让 tcpdump 记录数据包，请用 -w FILE"
        )
    })
}

/// Octets that were read of a file so far.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.read.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}

/// What was wrong with captures.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// A capture ends where it is broken, the others go on.
    pub broken: Vec<String>,
    /// Packets that the capturing hosts say they lost.
    pub lost: u64,
}

/// Shows the records of all captures, some at once, in the order of their times, until the visitor has had enough. `read`
/// is the number of octets read so far, for those who wait.
pub fn each(
    paths: &[PathBuf],
    read: &Arc<AtomicU64>,
    language: Language,
    mut visit: impl FnMut(&[Record<'_>]) -> ControlFlow<()>,
) -> Result<Faults, String> {
    let mut captures = Vec::new();
    for path in paths {
        captures.push(Capture::open(path, read, paths.len() <= THREADS, language)?);
    }
    let mut broken = Vec::new();
    if let [only] = captures.as_mut_slice() {
        broken.extend(only.all(&mut visit).err());
    } else {
        merged(&mut captures, &mut broken, visit);
    }
    Ok(Faults { broken, lost: captures.iter().map(|c| c.decoder.lost()).sum() })
}

fn merged(
    captures: &mut [Capture],
    broken: &mut Vec<String>,
    mut visit: impl FnMut(&[Record<'_>]) -> ControlFlow<()>,
) {
    let mut held = vec![Held::default(); captures.len()];
    let mut order = BinaryHeap::new();
    let mut now = Time(i64::MIN);
    let mut pull = |at: usize, now: Time, held: &mut Held| match captures[at].next() {
        Ok(Some(record)) => {
            held.bytes.clear();
            held.bytes.extend_from_slice(record.bytes);
            (held.time, held.link, held.length) = (record.time, record.link, record.length);
            // Without a time it follows what its capture showed last.
            Some(Reverse((record.time.unwrap_or(now), at)))
        }
        Ok(None) => None,
        Err(why) => {
            broken.push(why);
            None
        }
    };
    for (at, held) in held.iter_mut().enumerate() {
        order.extend(pull(at, now, held));
    }
    while let Some(Reverse((time, at))) = order.pop() {
        now = time;
        let Held { time, link, ref bytes, length } = held[at];
        if visit(&[Record { time, link, bytes, length }]).is_break() {
            return;
        }
        order.extend(pull(at, now, &mut held[at]));
    }
}
