//! A capture's octets as they come. Where they have to be unpacked, a thread of their own does it from the second block on, while
//! the packets of the block before go through the model.

use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

/// Octets read at once: they stay in a near cache until they are looked at.
const BLOCK: usize = 64 << 10;
/// Free octets before those of a block: what was left of the block before is put there.
const HEAD: usize = 16 << 10;
/// Blocks that were read and are not asked for yet, at most.
const READY: usize = 2;

/// Where octets come from.
pub type Source = Box<dyn Read + Send>;

/// See the module.
pub struct Octets {
    reader: Reader,
    /// [`HEAD`] free octets, and a block.
    buffer: Vec<u8>,
    unread: Range<usize>,
}

enum Reader {
    /// The next read may be done by a thread.
    Begun(Source),
    Here(Source),
    Thread(Thread),
    /// Nothing comes any more.
    Ended,
}

/// [`HEAD`] free octets and what was read, up to here.
type Block = (Vec<u8>, usize);

struct Thread {
    blocks: Receiver<io::Result<Block>>,
    /// Blocks that were looked at, to be used again.
    spare: Sender<Vec<u8>>,
}

impl Octets {
    /// Of a source. `ahead`: a thread is to read it.
    pub fn new(source: Source, ahead: bool) -> Self {
        let reader = if ahead { Reader::Begun(source) } else { Reader::Here(source) };
        Self { reader, buffer: Vec::new(), unread: HEAD..HEAD }
    }

    /// What was read and not used yet.
    pub fn unread(&self) -> &[u8] {
        self.buffer.get(self.unread.clone()).unwrap_or_default()
    }

    /// So many of them are not wanted any more.
    pub fn used(&mut self, octets: usize) {
        self.unread.start = self.unread.end.min(self.unread.start + octets);
    }

    /// What was read and not used yet; so many of it are used up with it.
    pub fn take(&mut self, octets: usize) -> &[u8] {
        let from = self.unread.clone();
        self.used(octets);
        self.buffer.get(from).unwrap_or_default()
    }

    /// Nothing is wanted any more.
    pub fn end(&mut self) {
        self.reader = Reader::Ended;
        self.unread = HEAD..HEAD;
    }

    /// Reads on until `needed` octets are there; `false`: it ends before.
    pub fn fill(&mut self, needed: usize) -> io::Result<bool> {
        while self.unread.len() < needed {
            let more = match &mut self.reader {
                Reader::Begun(source) | Reader::Here(source) => {
                    read(source, &mut self.buffer, &mut self.unread)?
                }
                Reader::Thread(thread) => thread.next(&mut self.buffer, &mut self.unread)?,
                Reader::Ended => return Ok(false),
            };
            self.reader = match std::mem::replace(&mut self.reader, Reader::Ended) {
                _ if !more => return Ok(false),
                Reader::Begun(source) => Thread::start(source),
                reader => reader,
            };
        }
        Ok(true)
    }
}

/// Reads once, behind what is unread; `false`: there is nothing more.
fn read(source: &mut Source, buffer: &mut Vec<u8>, unread: &mut Range<usize>) -> io::Result<bool> {
    let left = unread.len();
    let at = left.max(HEAD);
    if buffer.len() < at + BLOCK {
        buffer.resize(at + BLOCK, 0);
    }
    buffer.copy_within(unread.clone(), at - left);
    *unread = at - left..at;
    loop {
        match source.read(&mut buffer[at..at + BLOCK]) {
            Ok(got) => {
                unread.end += got;
                return Ok(got > 0);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Thread {
    /// The source stays where it is when no thread can be had.
    fn start(source: Source) -> Reader {
        if thread::available_parallelism().is_ok_and(|cores| cores.get() == 1) {
            return Reader::Here(source);
        }
        let (give, given) = channel();
        let (done, blocks) = sync_channel(READY);
        let (spare, again) = channel();
        let started = thread::Builder::new().name("unpacker".into()).spawn(move || {
            if let Ok(source) = given.recv() {
                work(source, &done, &again);
            }
        });
        if started.is_err() {
            return Reader::Here(source);
        }
        match give.send(source) {
            Ok(()) => Reader::Thread(Self { blocks, spare }),
            // It can't have ended: it waits for this.
            Err(back) => Reader::Here(back.0),
        }
    }

    /// The next block, behind what is unread.
    fn next(&mut self, buffer: &mut Vec<u8>, unread: &mut Range<usize>) -> io::Result<bool> {
        // The thread ends where the source does, or behind an error.
        let Ok(block) = self.blocks.recv() else { return Ok(false) };
        let (mut block, end) = block?;
        let left = unread.len();
        if left > HEAD {
            buffer.truncate(unread.end);
            buffer.extend_from_slice(&block[HEAD..end]);
            unread.end = buffer.len();
        } else {
            block[HEAD - left..HEAD].copy_from_slice(&buffer[unread.clone()]);
            *unread = HEAD - left..end;
            std::mem::swap(buffer, &mut block);
        }
        // Nobody takes it where the thread has ended.
        let _ = self.spare.send(block);
        Ok(true)
    }
}

/// Reads block after block, until nobody wants one.
fn work(mut source: Source, done: &SyncSender<io::Result<Block>>, spare: &Receiver<Vec<u8>>) {
    loop {
        let mut block = spare.try_recv().unwrap_or_default();
        let mut unread = HEAD..HEAD;
        let said = match read(&mut source, &mut block, &mut unread) {
            Ok(false) => return,
            Ok(true) => Ok((block, unread.end)),
            Err(error) => Err(error),
        };
        let ends = said.is_err();
        if done.send(said).is_err() || ends {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few octets at a time, in pieces of all lengths, and then what went wrong, if anything.
    struct Pieces {
        octets: Vec<u8>,
        given: usize,
        turn: usize,
        fails: bool,
    }

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.turn += 1;
            if self.turn.is_multiple_of(5) {
                return Err(ErrorKind::Interrupted.into());
            }
            let rest = &self.octets[self.given..];
            if rest.is_empty() && self.fails {
                return Err(io::Error::other("the disk is gone"));
            }
            let piece = rest.len().min(buffer.len()).min(1 + self.turn * 7919 % 300_000);
            buffer[..piece].copy_from_slice(&rest[..piece]);
            self.given += piece;
            Ok(piece)
        }
    }

    /// What comes of it when pieces of many lengths are wanted, longer ones than a block among them; and the error.
    fn read_all(octets: &[u8], ahead: bool, fails: bool) -> (Vec<u8>, Option<String>) {
        let source = Pieces { octets: octets.to_vec(), given: 0, turn: 0, fails };
        let mut stream = Octets::new(Box::new(source), ahead);
        let mut seen = Vec::new();
        for turn in 0_usize.. {
            let wanted = [1, 24, 40_000, HEAD, HEAD + 1, 700_000, 90][turn % 7];
            match stream.fill(wanted) {
                Ok(true) => {
                    // Some of it stays for the next turn.
                    let used = wanted - wanted / 3;
                    seen.extend_from_slice(&stream.unread()[..used]);
                    stream.used(used);
                }
                Ok(false) => {
                    seen.extend_from_slice(stream.unread());
                    return (seen, None);
                }
                Err(error) => {
                    seen.extend_from_slice(stream.unread());
                    return (seen, Some(error.to_string()));
                }
            }
        }
        unreachable!("a source of so many octets")
    }

    #[test]
    fn every_octet_comes_once_and_in_order_whoever_reads_it() {
        for length in [0, 1, BLOCK, 5_000_000] {
            let octets: Vec<u8> = (0..length).map(|n: usize| (n * 31 + n / 251) as u8).collect();
            for ahead in [false, true] {
                assert!(
                    read_all(&octets, ahead, false) == (octets.clone(), None),
                    "{length} {ahead}"
                );
                let (seen, error) = read_all(&octets, ahead, true);
                assert!(seen == octets, "{length} {ahead}");
                assert_eq!(error.as_deref(), Some("the disk is gone"));
            }
        }
    }

    #[test]
    fn a_thread_ends_when_nobody_wants_its_blocks() {
        struct Endless(std::sync::mpsc::Sender<()>);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                Ok(buffer.len())
            }
        }
        impl Drop for Endless {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let (ended, end) = channel();
        let mut stream = Octets::new(Box::new(Endless(ended)), true);
        assert!(stream.fill(3 * BLOCK).is_ok_and(|there| there));
        drop(stream);
        assert_eq!(end.recv_timeout(std::time::Duration::from_secs(60)), Ok(()));
    }
}
