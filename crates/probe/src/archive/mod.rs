//! A bundle of a host's files, read once as a stream and kept in memory as far as it is of interest.
//!
//! Nothing is ever written to a disk. What a bundle may cost is bounded before it is read ([`Bounds`]):
//! a bomb, a million members or a truncated file end the reading early, with a note, and what was read
//! until then stays of use. Links are resolved among the members only. See docs/formats/bundle.md.

mod excerpt;
mod members;
mod stream;
#[cfg(test)]
mod tests;
mod wanted;

use crate::live::said_of;
use plimsoll_diagnosis::{Said, said};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use plimsoll_ct::Time;

use crate::files::not_a_file;
use excerpt::Excerpt;
use members::{Kind, Member, Members};
use stream::Metered;
pub(crate) use stream::decompress;
use wanted::{Interest, Placing};

/// What reading a bundle may cost at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Wall-clock time.
    pub time: Duration,
    /// Bytes after decompression, skipped members included.
    pub unpacked: u64,
    /// Members, skipped ones included.
    pub members: u64,
    /// Bytes kept in memory (large members are kept compressed).
    pub kept: usize,
    /// Bytes of one kept member before it is compressed for keeping.
    pub member: u64,
}

impl Default for Bounds {
    /// Roomy for the largest honest sosreport, a matter of seconds and of 64 MiB for a hostile one.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(30),
            unpacked: 16 << 30,
            members: 4_000_000,
            kept: 48 << 20,
            member: 512 << 20,
        }
    }
}

/// Members larger than this are kept compressed.
const PACKED: usize = 64 << 10;

/// Links followed on one path.
const LINKS: u32 = 40;

/// The kept members of a bundle.
#[derive(Debug, Default)]
pub struct Archive {
    /// By path without a leading `/`, as the host sees it.
    nodes: BTreeMap<String, Node>,
    /// Bytes that `nodes` hold.
    kept: usize,
    /// What was left out, one sentence each.
    notes: Vec<Said>,
    broken_off: Option<Said>,
    /// Latest time of change of any member.
    newest: Option<Time>,
}

#[derive(Debug)]
enum Node {
    File(Kept),
    /// Target; absolute ones begin with `/`.
    Link(String),
    Directory,
}

#[derive(Debug)]
struct Kept {
    bytes: Arc<[u8]>,
    packed: bool,
    /// Bytes of it, unpacked.
    length: u64,
    modified: Time,
    executable: bool,
    cut: Option<String>,
}

impl Archive {
    /// Reads a bundle file: a tar archive, plain or compressed with gzip, xz, bzip2 or zstd. The
    /// compression is told by its first bytes, not by its name.
    pub fn open(path: &Path, bounds: &Bounds) -> io::Result<Self> {
        if !std::fs::metadata(path)?.is_file() {
            return Err(not_a_file());
        }
        Self::read(File::open(path)?, bounds)
    }

    /// Reads a bundle from a stream. An error only where nothing at all could be understood.
    pub fn read(bundle: impl Read, bounds: &Bounds) -> io::Result<Self> {
        let mut archive = Self::default();
        let unpacked = decompress(bundle)?;
        let mut members = Members::new(Metered::new(unpacked, bounds.time, bounds.unpacked));
        let mut placing = Placing::default();
        let mut count = 0_u64;
        loop {
            let member = match members.next() {
                Ok(Some(member)) => member,
                Ok(None) => break,
                Err(error) if count == 0 => return Err(error),
                Err(error) => {
                    archive.broken_off = Some({
                        let error = said_of(&error);
                        said!(
                            "it was read up to member {count}: {error}",
                            "读到第 {count} 个成员：{error:#}"
                        )
                    });
                    break;
                }
            };
            count += 1;
            if count > bounds.members {
                archive.broken_off =
                    Some(said!("it has more than {} members", "成员多于 {} 个", bounds.members));
                break;
            }
            if let Err(error) = archive.take(&member, &mut members, &mut placing, bounds) {
                archive.broken_off = Some({
                    let error = said_of(&error);
                    said!(
                        "it was read up to member {count}: {error}",
                        "读到第 {count} 个成员：{error:#}"
                    )
                });
                break;
            }
        }
        archive.notes.extend(placing.notes());
        archive.notes.extend(members.notes());
        Ok(archive)
    }

    /// Why the bundle could not be read to its end, if so.
    pub fn broken_off(&self) -> Option<&Said> {
        self.broken_off.as_ref()
    }

    /// What was left out and why.
    pub fn notes(&self) -> &[Said] {
        &self.notes
    }

    /// Latest time of change of any member: the bundle was saved at that time or later.
    pub fn newest(&self) -> Option<Time> {
        self.newest
    }

    /// Keeps a member if it is of interest.
    fn take(
        &mut self,
        member: &Member,
        data: &mut Members<impl Read>,
        placing: &mut Placing,
        bounds: &Bounds,
    ) -> io::Result<()> {
        let Some(path) = placing.place(&member.path) else { return Ok(()) };
        self.newest = self.newest.max(Some(member.modified));
        match &member.kind {
            Kind::Directory => {
                if wanted::is_of_interest(&path) {
                    self.keep(path, Node::Directory, bounds);
                }
            }
            Kind::Link(target) => {
                if wanted::is_of_interest(&path) {
                    self.keep(path, Node::Link(target.clone()), bounds);
                }
            }
            Kind::HardLink(target) => {
                if let Some(target) = placing.place(target)
                    && wanted::is_of_interest(&path)
                {
                    self.keep(path, Node::Link(format!("/{target}")), bounds);
                }
            }
            Kind::File => {
                let interest = wanted::interest(&path);
                if interest != Interest::None {
                    let kept = keep_file(data, member, interest, bounds)?;
                    self.keep(path, Node::File(kept), bounds);
                }
            }
            // A device or a pipe is no file; there is nothing to read of it.
            Kind::Other => {}
        }
        Ok(())
    }

    /// Puts a node in its place; a later member of the same path replaces the earlier, as extraction does.
    fn keep(&mut self, path: String, node: Node, bounds: &Bounds) {
        let weight = weight_of(&path, &node);
        let before = self.nodes.get(&path).map_or(0, |old| weight_of(&path, old));
        if self.kept - before + weight > bounds.kept {
            if self.notes.len() < 20 {
                self.notes.push(said!(
                    "/{path}: left out, {} bytes are kept already",
                    "/{path}：没有保留，已经保留了 {} 字节",
                    self.kept
                ));
            }
            return;
        }
        // A file does not stand where a directory is named: the files below it would be lost.
        if matches!(node, Node::Directory) && self.nodes.contains_key(&path) {
            return;
        }
        self.kept = self.kept - before + weight;
        self.nodes.insert(path, node);
    }

    /// Opens a kept file.
    pub(crate) fn open_kept(&self, path: &str) -> io::Result<Box<dyn Read>> {
        let kept = self.file(path)?;
        let bytes = Cursor::new(Arc::clone(&kept.bytes));
        Ok(if kept.packed { Box::new(DeflateDecoder::new(bytes)) } else { Box::new(bytes) })
    }

    /// Names in a directory.
    pub(crate) fn list(&self, path: &str, most: usize) -> io::Result<Vec<String>> {
        let path = self.resolve(path, true)?;
        if matches!(self.nodes.get(&path), Some(Node::File(_))) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let below = if path.is_empty() { String::new() } else { format!("{path}/") };
        let mut names: Vec<String> = Vec::new();
        for (name, _) in self.nodes.range(below.clone()..) {
            let Some(rest) = name.strip_prefix(&below) else { break };
            let name = rest.split('/').next().unwrap_or(rest);
            if names.last().is_none_or(|last| last != name) && !name.is_empty() {
                names.push(name.to_owned());
            }
            if names.len() >= most {
                break;
            }
        }
        // `a`, `a.conf`, `a/b` sort apart by bytes, so that `a` may come twice.
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Whether a file or directory is there.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.resolve(path, true).is_ok()
    }

    /// Text of a link.
    pub(crate) fn link(&self, path: &str) -> io::Result<String> {
        match self.nodes.get(&self.resolve(path, false)?) {
            Some(Node::Link(target)) => Ok(target.clone()),
            Some(Node::File(_) | Node::Directory) | None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Bytes of a kept file.
    pub(crate) fn length(&self, path: &str) -> io::Result<u64> {
        Ok(self.file(path)?.length)
    }

    /// Time of change of a kept file.
    pub(crate) fn modified(&self, path: &str) -> io::Result<Time> {
        Ok(self.file(path)?.modified)
    }

    /// Whether a kept file's mode lets anybody run it.
    pub(crate) fn executable(&self, path: &str) -> Option<bool> {
        Some(self.file(path).ok()?.executable)
    }

    /// Why a file is held in part.
    pub(crate) fn cut(&self, path: &str) -> Option<String> {
        self.file(path).ok()?.cut.clone()
    }

    fn file(&self, path: &str) -> io::Result<&Kept> {
        match self.nodes.get(&self.resolve(path, true)?) {
            Some(Node::File(kept)) => Ok(kept),
            Some(Node::Link(_) | Node::Directory) | None => Err(not_a_file()),
        }
    }

    /// The path with its links followed; `last` says whether also that of the last name.
    fn resolve(&self, path: &str, last: bool) -> io::Result<String> {
        let mut done: Vec<String> = Vec::new();
        let mut names: Vec<String> = path.split('/').rev().map(String::from).collect();
        let mut links = 0;
        while let Some(name) = names.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    done.pop();
                    continue;
                }
                _ => done.push(name),
            }
            let here = done.join("/");
            let Some(Node::Link(target)) = self.nodes.get(&here) else { continue };
            if !last && names.iter().all(|name| name.is_empty()) {
                break;
            }
            links += 1;
            if links > LINKS || names.len() > 4096 {
                return Err(io::Error::from_raw_os_error(rustix::io::Errno::LOOP.raw_os_error()));
            }
            done.pop();
            if target.starts_with('/') {
                done.clear();
            }
            names.extend(target.split('/').rev().map(String::from));
        }
        let path = done.join("/");
        if path.is_empty() || self.nodes.contains_key(&path) {
            return Ok(path);
        }
        // A directory that has no member of its own is there if anything lies below it.
        let below = format!("{path}/");
        match self.nodes.range(below.clone()..).next() {
            Some((name, _)) if name.starts_with(&below) => Ok(path),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Reads what is to be kept of a member.
fn keep_file(
    data: &mut Members<impl Read>,
    member: &Member,
    interest: Interest,
    bounds: &Bounds,
) -> io::Result<Kept> {
    let mut keeper = Keeper::default();
    let mut cut = None;
    match interest {
        Interest::None => {}
        Interest::Small(most) => {
            let most = most.min(bounds.member);
            io::copy(&mut data.data().take(most), &mut keeper)?;
            if member.size > most {
                cut = Some(format!("the first {most} of {} bytes", member.size));
            }
        }
        Interest::Log => {
            let mut excerpt = Excerpt::new(keeper);
            io::copy(&mut data.data(), &mut excerpt)?;
            (keeper, cut) = excerpt.finish()?;
        }
    }
    let length = keeper.length;
    let (bytes, packed) = keeper.finish()?;
    let (modified, executable) = (member.modified, member.executable);
    Ok(Kept { bytes: bytes.into(), packed, length, modified, executable, cut })
}

/// Takes bytes in: as they are while they are few, compressed from then on.
#[derive(Default)]
struct Keeper {
    plain: Vec<u8>,
    packed: Option<DeflateEncoder<Vec<u8>>>,
    length: u64,
}

impl Keeper {
    fn finish(self) -> io::Result<(Box<[u8]>, bool)> {
        Ok(match self.packed {
            None => (self.plain.into_boxed_slice(), false),
            Some(encoder) => (encoder.finish()?.into_boxed_slice(), true),
        })
    }
}

impl Write for Keeper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.length += bytes.len() as u64;
        if let Some(encoder) = &mut self.packed {
            encoder.write_all(bytes)?;
        } else {
            self.plain.extend_from_slice(bytes);
            if self.plain.len() > PACKED {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(&std::mem::take(&mut self.plain))?;
                self.packed = Some(encoder);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a node weighs in memory, its place in the map included.
fn weight_of(path: &str, node: &Node) -> usize {
    let own = match node {
        Node::File(kept) => kept.bytes.len() + kept.cut.as_ref().map_or(0, String::len),
        Node::Link(target) => target.len(),
        Node::Directory => 0,
    };
    own + path.len() + 128
}
