//! The members of a tar stream.
//!
//! The fields of a header are read by the `tar` crate; the walk from header to header is ours, since a
//! bundle may be hostile: long names and extended headers are bounded, nothing is allocated by a size that
//! a header claims. Forms: POSIX ustar and pax, GNU long names; GNU sparse members are skipped.

use std::io::{self, Read};

use plimsoll_ct::Time;
use plimsoll_diagnosis::{Said, said};
use tar::{EntryType, GnuExtSparseHeader, Header, PaxExtensions};

const BLOCK: usize = 512;

/// Longest name or link target that is believed.
const NAME: u64 = 4096;

/// Longest extended header that is read; longer ones are skipped with their member.
const EXTENDED: u64 = 1 << 20;

/// One member.
#[derive(Debug)]
pub(super) struct Member {
    /// Path as it stands in the archive.
    pub(super) path: Vec<u8>,
    /// What it is.
    pub(super) kind: Kind,
    /// Bytes of data that follow.
    pub(super) size: u64,
    /// Time of change.
    pub(super) modified: Time,
    /// Whether its mode lets anybody run it.
    pub(super) executable: bool,
}

/// What a member is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    /// A symbolic link with its target.
    Link(String),
    /// Another name of an earlier member.
    HardLink(Vec<u8>),
    /// A device, a pipe, or a form that is not read.
    Other,
}

/// A tar stream, member by member.
pub(super) struct Members<R> {
    reader: R,
    /// Data of the present member that has not been read.
    data: u64,
    /// Filling after it.
    padding: u64,
    /// Members left out since their headers were beyond bounds.
    skipped: u64,
    /// A header was read: it is an archive.
    begun: bool,
}

/// What extended headers say of the member after them.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    modified: Option<i64>,
    /// It was too long to be read: the member's true name is not known.
    unknown: bool,
}

impl<R: Read> Members<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, data: 0, padding: 0, skipped: 0, begun: false }
    }

    /// The data of the present member.
    pub(super) fn data(&mut self) -> Data<'_, R> {
        Data(self)
    }

    /// What was left out.
    pub(super) fn notes(&self) -> Option<Said> {
        (self.skipped > 0).then(|| {
            said!(
                "{} members of the bundle have headers that are not read",
                "归档里有 {} 个成员的头部没有读",
                self.skipped
            )
        })
    }

    /// The next member; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Member>> {
        let mut extended = Extended::default();
        loop {
            self.skip_rest()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let size = extended.size.map_or_else(|| header.entry_size(), Ok)?;
            self.data = size;
            self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
            match header.entry_type() {
                EntryType::GNULongName => match self.whole(NAME)? {
                    Some(name) => extended.path = Some(until_nul(name)),
                    None => extended.unknown = true,
                },
                EntryType::GNULongLink => match self.whole(NAME)? {
                    Some(name) => extended.link = Some(until_nul(name)),
                    None => extended.unknown = true,
                },
                EntryType::XHeader => match self.whole(EXTENDED)? {
                    Some(records) => extended.read(&records),
                    None => extended.unknown = true,
                },
                EntryType::XGlobalHeader => {}
                kind => {
                    if kind == EntryType::GNUSparse {
                        self.skip_sparse_headers(&header)?;
                    }
                    if extended.unknown || kind == EntryType::GNUSparse {
                        self.skipped += 1;
                        extended = Extended::default();
                        continue;
                    }
                    return Ok(Some(extended.member(&header, kind, size)));
                }
            }
        }
    }

    /// The next header; `None` at the end of the archive.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        let mut empty = 0;
        loop {
            let filled = self.fill(header.as_mut_bytes());
            if !filled.map_err(|e| if self.begun { e } else { no_archive(e) })? {
                return Ok(None);
            }
            if header.as_bytes().iter().any(|&byte| byte != 0) {
                break;
            }
            empty += 1;
            if empty == 2 {
                return Ok(None);
            }
        }
        let claimed = header.cksum().ok();
        // The sum of all bytes, the sum's own field taken as blanks.
        let mut sum = 8 * u32::from(b' ');
        for (at, &byte) in header.as_bytes().iter().enumerate() {
            sum += if (148..156).contains(&at) { 0 } else { u32::from(byte) };
        }
        if claimed != Some(sum) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                said!(
                    "expected a tar header, saw bytes whose checksum does not fit",
                    "应为 tar 头部，实为校验和不符的字节"
                ),
            ));
        }
        self.begun = true;
        Ok(Some(header))
    }

    /// Fills a buffer. `false` at a clean end before its first byte.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(ends_early()),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// The present member's data, unless it is longer than `most`.
    fn whole(&mut self, most: u64) -> io::Result<Option<Vec<u8>>> {
        if self.data > most {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        self.data().read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Reads over what is left of the present member.
    fn skip_rest(&mut self) -> io::Result<()> {
        let mut scratch = [0; 16 << 10];
        while self.data > 0 {
            let most = scratch.len().min(usize::try_from(self.data).unwrap_or(usize::MAX));
            self.data().read_exact(&mut scratch[..most])?;
        }
        let padding = std::mem::take(&mut self.padding) as usize;
        // The last member's filling may be missing: archives cut there are whole all the same.
        if !self.fill(&mut scratch[..padding])? {
            self.padding = 0;
        }
        Ok(())
    }

    /// The map of a sparse member may go on in blocks that its size does not count.
    fn skip_sparse_headers(&mut self, header: &Header) -> io::Result<()> {
        let mut more = header.as_gnu().is_some_and(|gnu| gnu.is_extended());
        while more {
            let mut block = GnuExtSparseHeader::new();
            if !self.fill(block.as_mut_bytes())? {
                return Err(ends_early());
            }
            more = block.is_extended();
        }
        Ok(())
    }
}

/// The data of a member.
pub(super) struct Data<'a, R>(&'a mut Members<R>);

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.0.data).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let read = self.0.reader.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(ends_early());
        }
        self.0.data -= read as u64;
        Ok(read)
    }
}

impl Extended {
    fn read(&mut self, records: &[u8]) {
        for record in PaxExtensions::new(records) {
            let Ok(record) = record else {
                self.unknown = true;
                return;
            };
            let value = record.value_bytes();
            match record.key_bytes() {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = number(value).and_then(|n| u64::try_from(n).ok()),
                b"mtime" => self.modified = number(value),
                // The sparse forms of pax: the member's data is a map, not the file.
                key if key.starts_with(b"GNU.sparse.") => self.unknown = true,
                _ => {}
            }
        }
    }

    fn member(self, header: &Header, kind: EntryType, size: u64) -> Member {
        let path = self.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = || {
            self.link
                .or_else(|| header.link_name_bytes().map(|name| name.into_owned()))
                .unwrap_or_default()
        };
        let kind = match kind {
            // An old archive marks a directory by its name alone.
            EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => String::from_utf8(link()).map_or(Kind::Other, Kind::Link),
            EntryType::Link => Kind::HardLink(link()),
            _ => Kind::Other,
        };
        let modified =
            self.modified.or_else(|| i64::try_from(header.mtime().ok()?).ok()).unwrap_or(0);
        let executable = header.mode().is_ok_and(|mode| mode & 0o111 != 0);
        Member { path, kind, size, modified: Time::from_secs(modified), executable }
    }
}

/// The whole part of a decimal number.
fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.split('.').next()?.parse().ok()
}

fn until_nul(mut name: Vec<u8>) -> Vec<u8> {
    if let Some(end) = name.iter().position(|&byte| byte == 0) {
        name.truncate(end);
    }
    name
}

/// What ends before its first header is too short for an archive; other errors are what they are.
fn no_archive(error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::UnexpectedEof {
        return error;
    }
    io::Error::new(
        io::ErrorKind::InvalidData,
        said!(
            "expected a tar archive (plain, gz, xz, bz2 or zst), saw a file too short for one",
            "应为 tar 归档（不压缩，或 gz、xz、bz2、zst），实为一个太短的文件"
        ),
    )
}

fn ends_early() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        said!("it ends in the middle of a member", "它在一个成员的中间结束"),
    )
}
