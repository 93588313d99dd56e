//! Streams a log of any length through a fixed buffer, and takes apart only the lines that hold one of
//! our words.

use std::io::{self, Read};
use std::sync::LazyLock;
use std::time::Instant;

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem;
use plimsoll_ct::TimeRange;
use plimsoll_diagnosis::facts::{LogDigestBuilder, LogSource};
use plimsoll_wire::log::{Form, Line, NEEDLES};

/// Bytes held at a time.
const BUFFER: usize = 512 << 10;

/// A longer line is not looked at; the kernel writes less than 2 KiB, syslog and journald than 64.
const LONGEST_LINE: usize = 128 << 10;

static WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    // Which word is found does not matter, but only this kind of match searches with vectors.
    let leftmost = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(NEEDLES);
    leftmost.expect("seventeen short words make an automaton")
});

/// Reads a log to its end or its bounds, gives its lines to the builder, and says what was read.
///
/// `skip_first`: the reading begins somewhere inside a line. `budget` is lowered by what was read.
pub(super) fn scan(
    builder: &mut LogDigestBuilder,
    name: &str,
    form: Form,
    reader: &mut dyn Read,
    skip_first: bool,
    budget: &mut u64,
    deadline: Instant,
) -> LogSource {
    let mut scan = Scan {
        separator: if form == Form::Export { b"\n\n" } else { b"\n" },
        form,
        lines: 0,
        from: None,
        to: None,
        after_ours: false,
    };
    let mut buffer = vec![0; BUFFER];
    let (mut filled, mut skipping, mut cut) = (0, skip_first, None);
    loop {
        if *budget == 0 {
            cut = Some("only so many bytes are read of one file".to_owned());
        } else if Instant::now() >= deadline {
            cut = Some("the time for reading logs ran out".to_owned());
        }
        if cut.is_some() {
            break;
        }
        let room = usize::try_from(*budget).unwrap_or(usize::MAX).min(buffer.len() - filled);
        match reader.read(&mut buffer[filled..filled + room]) {
            Ok(0) => break,
            Ok(got) => (filled, *budget) = (filled + got, *budget - got as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                cut = Some(error.to_string());
                break;
            }
        }
        let Some(end) = memmem::rfind(&buffer[..filled], scan.separator) else {
            if filled >= LONGEST_LINE {
                // No log has such lines: pass over it.
                (filled, skipping) = (0, true);
            }
            continue;
        };
        let end = end + scan.separator.len();
        let start = if skipping {
            memmem::find(&buffer[..end], scan.separator).map_or(end, |at| at + scan.separator.len())
        } else {
            0
        };
        skipping = false;
        scan.block(builder, &buffer[start..end]);
        buffer.copy_within(end..filled, 0);
        filled -= end;
    }
    if !skipping && filled > 0 {
        scan.block(builder, &buffer[..filled]);
    }
    LogSource { name: name.to_owned(), lines: scan.lines, from: scan.from, to: scan.to, cut }
}

struct Scan {
    separator: &'static [u8],
    form: Form,
    lines: u64,
    from: Option<TimeRange>,
    to: Option<TimeRange>,
    /// The last line of the last block was given to the builder.
    after_ours: bool,
}

impl Scan {
    /// Whole lines.
    fn block(&mut self, builder: &mut LogDigestBuilder, block: &[u8]) {
        self.lines += match self.form {
            Form::Export => memmem::find_iter(block, self.separator).count() as u64,
            Form::Dmesg | Form::Syslog | Form::Json => {
                let open = block.last().is_some_and(|&b| b != b'\n');
                memchr::memchr_iter(b'\n', block).count() as u64 + u64::from(open)
            }
        };
        self.stamps(builder, block);
        let mut ended = if self.after_ours { 0 } else { usize::MAX };
        self.after_ours = false;
        let mut from = 0;
        while let Some(hit) = WORDS.find(&block[from..]) {
            let (start, end) = self.around(block, from + hit.start());
            if end - start <= LONGEST_LINE
                && let Some(line) = Line::parse(&block[start..end], self.form)
            {
                builder.line(&line, start == ended);
                ended = end;
            }
            from = end;
            if from >= block.len() {
                break;
            }
        }
        self.after_ours = ended == block.len();
    }

    /// The line (with its separator) that a byte is part of.
    fn around(&self, block: &[u8], at: usize) -> (usize, usize) {
        let width = self.separator.len();
        let start = memmem::rfind(&block[..at], self.separator).map_or(0, |before| before + width);
        let end = memmem::find(&block[at..], self.separator)
            .map_or(block.len(), |after| at + after + width);
        (start, end)
    }

    /// Times of the first and the last line of a block that have one.
    fn stamps(&mut self, builder: &LogDigestBuilder, block: &[u8]) {
        let time = |line: &[u8]| {
            builder.time(&Line::parse(&line[..line.len().min(LONGEST_LINE)], self.form)?)
        };
        if self.from.is_none() {
            let (start, end) = self.around(block, 0);
            self.from = time(&block[start..end]);
        }
        let last = block.len().saturating_sub(self.separator.len());
        let (start, end) = self.around(block, last.saturating_sub(1));
        if let Some(to) = time(&block[start..end]) {
            self.to = Some(to);
        }
    }
}
