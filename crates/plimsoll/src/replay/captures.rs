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
use plimsoll_diagnosis::{Said, said};
use plimsoll_probe::{gzip, said_of, zstd};
use plimsoll_wire::capture::{CaptureError, Decoder, Fault, Record, Step};

use super::ahead::{Octets, Source};

/// So many packed captures may have a thread each that unpacks them.
const THREADS: usize = 4;

/// Records shown at once at most.
const AT_ONCE: usize = 256;

/// One capture, read from its beginning to its end.
pub struct Capture {
    name: String,
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
    fn open(path: &Path, read: &Arc<AtomicU64>, ahead: bool) -> Result<Self, Said> {
        let name = path.display().to_string();
        let failed = |error: io::Error| super::of_file(path, &error);
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
        Ok(Self { name, packed, octets, decoder: Decoder::new() })
    }

    /// The next record; an error once, where the capture is broken or cut off.
    fn next(&mut self) -> Result<Option<Record<'_>>, Said> {
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
    ) -> Result<(), Said> {
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

    /// Where the first record stands that is such a one; `None`: there is none, or it is broken before.
    fn find(&mut self, is: impl Fn(&Record<'_>) -> bool) -> Option<Said> {
        loop {
            let (frames, offset) = (self.decoder.frames(), self.decoder.offset());
            let used = match self.decoder.step(self.octets.unread()).ok()? {
                Step::Record(record, _) if is(&record) => {
                    return Some(self.named(&self.place(frames, offset)));
                }
                Step::Record(_, used) | Step::Skip(used) => used,
                Step::Need(needed) => {
                    if !self.fill(needed).ok()? {
                        return None;
                    }
                    continue;
                }
            };
            self.octets.used(used);
        }
    }

    /// Nothing of it is read any more.
    fn broken(&mut self, error: &CaptureError) -> Said {
        let hint = if error.offset == 0 { hint(self.octets.unread()) } else { None };
        self.octets.end();
        let (place, hint) = (self.place(error.frames, error.offset), hint.unwrap_or_default());
        let (what, chinese) = (error.what, chinese(error.what));
        self.named(&said!("{place}: {what}{hint}", "{place:#}：{chinese}{hint:#}"))
    }

    /// Behind so many frames.
    fn place(&self, frames: u64, offset: u64) -> Said {
        let packet = frames + 1;
        if self.packed {
            said!(
                "packet {packet}, offset {offset} of what was unpacked",
                "解压后的第 {packet} 个包，偏移 {offset}"
            )
        } else {
            said!("packet {packet}, offset {offset}", "第 {packet} 个包，偏移 {offset}")
        }
    }

    fn named(&self, what: &Said) -> Said {
        let name = &self.name;
        said!("{name}: {what}", "{name}：{what:#}")
    }

    /// Reads on until `needed` octets are there; `false`: it ends here.
    fn fill(&mut self, needed: usize) -> Result<bool, Said> {
        match self.octets.fill(needed) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => {
                let place = self.place(self.decoder.frames(), self.decoder.offset());
                let why = said_of(&error);
                return Err(self.named(&said!("{place}: {why}", "{place:#}：{why:#}")));
            }
        }
        let (offset, frames) = (self.decoder.offset(), self.decoder.frames());
        let what = match (self.octets.unread().is_empty(), offset) {
            (true, 0) => Fault::Empty,
            (true, _) => return Ok(false),
            (false, _) => Fault::CutOff,
        };
        Err(self.broken(&CaptureError { offset, frames, what }))
    }
}

/// What is wrong with a capture.
const fn chinese(fault: Fault) -> &'static str {
    match fault {
        Fault::Empty => "空文件",
        Fault::CutOff => "文件在此处中断",
        Fault::NoCapture => "既不是 pcap 也不是 pcapng",
        Fault::PcapVersion => "不是第 2 版的 pcap",
        Fault::RecordTooLong => "记录超过 16 MiB",
        Fault::NoByteOrder => "节头没有字节序标记",
        Fault::BlockLength => "块长度不对：小于 12，或不是 4 的倍数",
        Fault::BlockTooLong => "块超过 16 MiB",
        Fault::LengthsDiffer => "块的两个长度不一致",
        Fault::SectionTooShort => "节头不足 28 字节",
        Fault::SectionVersion => "不是第 1 版的节",
        Fault::TooManyInterfaces => "接口太多",
        Fault::InterfaceTooShort => "接口描述不足 20 字节",
        Fault::NoInterface => "包出现在任何接口之前",
        Fault::UnknownInterface => "包所属的接口不存在",
        Fault::LongerThanBlock => "包比所在的块长",
        Fault::OptionTooLong => "选项比所在的块长",
        Fault::ResolutionTooFine => "时间分辨率太细，64 位容不下",
        Fault::ResolutionLength => "时间分辨率不是一个字节",
    }
}

/// How what is no capture is made one.
fn hint(begin: &[u8]) -> Option<Said> {
    let known = [
        (&b"\xfd7zXZ\0"[..], "xz", "xz -dc"),
        (b"BZh", "bzip2", "bzip2 -dc"),
        (b"\x04\x22\x4d\x18", "lz4", "lz4 -dc"),
        (b"PK\x03\x04", "zip", "unzip -p"),
        (b"\x1f\x8b", "gzip", "gzip -dc"),
        (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"),
    ];
    if let Some((_, name, unpack)) = known.iter().find(|(magic, ..)| begin.starts_with(magic)) {
        return Some(said!(
            ", but packed with {name}: unpack it first ({unpack} FILE | plimsoll replay -)",
            "，而是 {name} 压缩的：请先解压（{unpack} FILE | plimsoll replay -）"
        ));
    }
    let some = begin.get(..16)?;
    let text = some.iter().all(|octet| octet.is_ascii_graphic() || octet.is_ascii_whitespace());
    text.then(|| {
        said!(
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
    pub broken: Vec<Said>,
    /// Packets that the capturing hosts say they lost.
    pub lost: u64,
}

/// Shows the records of all captures, some at once, in the order of their times, until the visitor has had enough. `read`
/// is the number of octets read so far, for those who wait.
pub fn each(
    paths: &[PathBuf],
    read: &Arc<AtomicU64>,
    mut visit: impl FnMut(&[Record<'_>]) -> ControlFlow<()>,
) -> Result<Faults, Said> {
    let mut captures = Vec::new();
    for path in paths {
        captures.push(Capture::open(path, read, paths.len() <= THREADS)?);
    }
    let mut broken = Vec::new();
    if let [only] = captures.as_mut_slice() {
        broken.extend(only.all(&mut visit).err());
    } else {
        merged(&mut captures, &mut broken, visit);
    }
    Ok(Faults { broken, lost: captures.iter().map(|c| c.decoder.lost()).sum() })
}

/// File, packet and offset of the first record that is such a one, in the order of the files; what comes through a pipe is not
/// there any more.
pub fn first(paths: &[PathBuf], is: fn(&Record<'_>) -> bool) -> Option<Said> {
    let mut files = paths.iter().filter(|path| path.is_file());
    files.find_map(|path| Capture::open(path, &Arc::default(), false).ok()?.find(is))
}

fn merged(
    captures: &mut [Capture],
    broken: &mut Vec<Said>,
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
