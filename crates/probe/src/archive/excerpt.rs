//! What is kept of a log: all of it while it is short; of a huge one its start, its end, and between
//! them the lines that may matter: those that hold a word of the messages we know ([`NEEDLES`]), or the kernel's release.

use std::collections::VecDeque;
use std::io::{self, Write};

use aho_corasick::AhoCorasick;
use memchr::memchr;
use plimsoll_wire::log::NEEDLES;

/// Bytes of a log that are kept whole from its start.
const HEAD: u64 = 8 << 20;

/// Bytes that are kept whole from its end, when it is longer than that.
const TAIL: usize = 1 << 20;

/// Bytes of lines that matter, kept from between.
const MIDDLE: u64 = 16 << 20;

/// The line with which a kernel begins its log: it tells the release where nothing else does.
const BOOT: [&str; 1] = ["Linux version"];

/// Longest line that is looked at as one; the rest of a longer one is dropped.
const LINE: usize = 4 << 10;

/// Takes a log in and passes on what is to be kept.
pub(super) struct Excerpt<W> {
    out: W,
    words: AhoCorasick,
    taken: u64,
    /// The head has not ended yet.
    in_head: bool,
    line: Vec<u8>,
    /// The rest of the present line is dropped.
    overlong: bool,
    middle: u64,
    tail: VecDeque<Vec<u8>>,
    tail_cost: usize,
    /// Lines between head and tail, and those of them that were kept.
    lines: u64,
    kept: u64,
    /// Lines that matter and found no room.
    lost: u64,
}

impl<W: Write> Excerpt<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            words: AhoCorasick::new(NEEDLES.iter().chain(&BOOT))
                .expect("a few short words make a small automaton"),
            taken: 0,
            in_head: true,
            line: Vec::new(),
            overlong: false,
            middle: 0,
            tail: VecDeque::new(),
            tail_cost: 0,
            lines: 0,
            kept: 0,
            lost: 0,
        }
    }

    /// Ends the log; says what was left out, if anything.
    pub(super) fn finish(mut self) -> io::Result<(W, Option<String>)> {
        if !self.line.is_empty() {
            self.end_of_line()?;
        }
        for line in &self.tail {
            self.out.write_all(line)?;
        }
        let cut = (self.lines > self.kept).then(|| {
            let lost = match self.lost {
                0 => String::new(),
                lost => format!("; {lost} more lines that may matter found no room"),
            };
            format!(
                "{} bytes: kept the start, the end, and {} of the {} lines between them{lost}",
                self.taken, self.kept, self.lines
            )
        });
        Ok((self.out, cut))
    }

    /// Passes the head on as it comes, up to the end of the line in which it ends. Returns the rest.
    fn pass_head<'a>(&mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        let whole = bytes.len().min(usize::try_from(HEAD.saturating_sub(self.taken)).unwrap_or(0));
        let (head, rest) = bytes.split_at(whole);
        self.out.write_all(head)?;
        self.taken += head.len() as u64;
        if self.taken < HEAD {
            return Ok(rest);
        }
        let room = usize::try_from(HEAD + LINE as u64 - self.taken).unwrap_or(0).min(rest.len());
        let end = match memchr(b'\n', &rest[..room]) {
            Some(at) => at + 1,
            None => room,
        };
        let (last, rest) = rest.split_at(end);
        self.out.write_all(last)?;
        self.taken += last.len() as u64;
        if last.ends_with(b"\n") {
            self.in_head = false;
        } else if self.taken >= HEAD + LINE as u64 {
            self.out.write_all(b"\n")?;
            self.in_head = false;
            self.overlong = true;
        }
        Ok(rest)
    }

    fn end_of_line(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        self.tail_cost += cost(&line);
        self.tail.push_back(line);
        // What the tail can hold may still be the end; what it can't is in the middle.
        while self.tail_cost > TAIL {
            let Some(line) = self.tail.pop_front() else { break };
            self.tail_cost -= cost(&line);
            self.pass_middle(&line)?;
        }
        Ok(())
    }

    fn pass_middle(&mut self, line: &[u8]) -> io::Result<()> {
        self.lines += 1;
        if !self.words.is_match(line) {
            return Ok(());
        }
        if self.middle + line.len() as u64 > MIDDLE {
            self.lost += 1;
            return Ok(());
        }
        self.middle += line.len() as u64;
        self.kept += 1;
        self.out.write_all(line)
    }
}

impl<W: Write> Write for Excerpt<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = if self.in_head { self.pass_head(bytes)? } else { bytes };
        self.taken += rest.len() as u64;
        while !rest.is_empty() {
            let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (part, after) = rest.split_at(end);
            let ends = part.ends_with(b"\n");
            if !self.overlong {
                let room = LINE.saturating_sub(self.line.len());
                self.line.extend_from_slice(&part[..part.len().min(room)]);
                if part.len() > room {
                    self.overlong = true;
                    self.line.push(b'\n');
                }
            }
            if ends {
                if !self.line.is_empty() {
                    self.end_of_line()?;
                }
                self.overlong = false;
            }
            rest = after;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a line costs in memory, its own place included.
fn cost(line: &[u8]) -> usize {
    line.len() + 64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn excerpt(log: &[u8]) -> (String, Option<String>) {
        let mut excerpt = Excerpt::new(Vec::new());
        for part in log.chunks(10_007) {
            excerpt.write_all(part).unwrap();
        }
        let (kept, cut) = excerpt.finish().unwrap();
        (String::from_utf8(kept).unwrap(), cut)
    }

    #[test]
    fn a_short_log_is_kept_as_it_is() {
        let log = "Nov 22 03:12:07 web1 kernel: a\n\nno end of line".repeat(9);
        assert_eq!(excerpt(log.as_bytes()), (log, None));
    }

    #[test]
    fn of_a_huge_log_the_ends_and_the_lines_that_matter_are_kept() {
        let full = "Nov 23 03:12:07 web1 kernel: ip_conntrack: table full, dropping packet.\n";
        let mut log = String::from("Nov 22 00:00:00 web1 first\n");
        while log.len() < 20 << 20 {
            log.push_str("Nov 22 10:00:00 web1 noise that nobody needs\n");
        }
        log.push_str(full);
        while log.len() < 30 << 20 {
            log.push_str("Nov 23 10:00:00 web1 noise that nobody needs\n");
        }
        log.push_str("Nov 24 23:59:59 web1 last\n");
        let (kept, cut) = excerpt(log.as_bytes());
        assert!(kept.starts_with("Nov 22 00:00:00 web1 first\n"));
        assert!(kept.ends_with("Nov 24 23:59:59 web1 last\n"));
        assert_eq!(kept.matches(full).count(), 1);
        assert!(kept.len() < 10 << 20, "{}", kept.len());
        assert!(cut.unwrap().contains("lines between them"));
        assert!(kept.lines().all(|line| line.starts_with("Nov ")), "lines stay whole");
    }

    #[test]
    fn a_log_without_any_end_of_line_stays_bounded() {
        let (kept, _) = excerpt(&vec![0; 40 << 20]);
        assert!(kept.len() as u64 <= HEAD + LINE as u64 + 1, "{}", kept.len());
    }

    #[test]
    fn lines_that_matter_beyond_all_room_are_counted() {
        let line =
            format!("Nov 22 03:12:07 web1 kernel: nf_conntrack: table full{}\n", " x".repeat(2000));
        let (kept, cut) =
            excerpt(line.repeat((HEAD + MIDDLE) as usize / line.len() + 1000).as_bytes());
        assert!(kept.len() as u64 <= HEAD + MIDDLE + TAIL as u64 + 2 * LINE as u64);
        assert!(cut.unwrap().contains("found no room"));
    }
}
