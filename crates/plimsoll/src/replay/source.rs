//! Where packets come from, as often as they are wanted: captures or a made-up workload, several times over,
//! faster, up to a moment.

use std::cell::Cell;
use std::fs::Metadata;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use plimsoll_ct::Time;
use plimsoll_diagnosis::{Said, said};
use plimsoll_replay::{Copies, Synthetic, Workload};
use plimsoll_report::Language;
use plimsoll_wire::capture::Record;

use super::arguments::Arguments;
use super::captures::{self, Faults};
use super::moment::{self, Moment};
use crate::terminal;

/// See the module.
pub struct Source<'a> {
    captures: &'a [PathBuf],
    /// What the captures were before the first pass, and whether that is over.
    were: Vec<Option<Stamp>>,
    passed: Cell<bool>,
    synthetic: Option<Workload>,
    scale: u32,
    speed: f64,
    until: Option<Moment>,
    unicode: bool,
    language: Language,
}

/// Packets between two looks at the clock.
const LOOK: usize = 4096;
/// Octets in front of a packet in a capture.
const RECORD: u64 = 16;
/// Copies of a packet that go through the models together.
const TOGETHER: usize = 128;
/// Packets in a row behind the moment that ends a replay: captures may be out of order, and one packet's time may be wrong.
/// Of a pipe fewer, since they may come slowly.
const BEHIND: usize = 65_536;
const BEHIND_OF_A_PIPE: usize = 256;
/// Work that nobody has to be told of.
const SHORT: Duration = Duration::from_millis(500);

/// What tells a file from the same one when more was written to it, and from another one of that name.
type Stamp = (u64, u64, u64, Option<SystemTime>);

impl<'a> Source<'a> {
    /// As the flags say.
    pub fn of(arguments: &'a Arguments) -> Result<Self, Said> {
        if arguments.captures.iter().filter(|path| *path == Path::new("-")).count() > 1 {
            return Err(Said::of(
                "-, the standard input, can be given once: it is read to its end",
                "标准输入 - 只能给一次：它会被一直读到末尾",
            ));
        }
        Ok(Self {
            captures: &arguments.captures,
            were: arguments.captures.iter().map(|path| stamp(path)).collect(),
            passed: Cell::new(false),
            synthetic: arguments.synthetic,
            scale: arguments.scale,
            speed: arguments.speed,
            until: arguments.at,
            unicode: terminal::shows(arguments.lang, arguments.ascii),
            language: super::language(arguments),
        })
    }

    /// Whether a second pass shows the same again: not so for pipes.
    pub fn again(&self) -> bool {
        self.captures.iter().all(|path| is_file(path))
    }

    /// An error where a capture is no longer what it was before the first pass.
    fn unchanged(&self) -> Result<(), Said> {
        for (path, was) in self.captures.iter().zip(&self.were) {
            if stamp(path) != *was {
                let path = path.display();
                return Err(said!(
                    "{path}: it changes while it is read several times: give a copy, or read it once with --no-search",
                    "{path}：需要读几遍，而文件在变化：请给一份副本，或用 --no-search 只读一遍"
                ));
            }
        }
        Ok(())
    }

    /// Shows all packets in the order of their times, some at once, as long as `feed` goes on; `doing` is what a person who
    /// waits is told.
    pub fn pass(
        &self,
        doing: &Said,
        mut feed: impl FnMut(&[Record<'_>]) -> ControlFlow<()>,
    ) -> Result<Faults, Said> {
        let further = self.passed.replace(true);
        if further {
            self.unchanged()?;
        }
        let most_behind = if self.again() { BEHIND } else { BEHIND_OF_A_PIPE };
        let read = Arc::new(AtomicU64::new(0));
        let bar = self.bar(doing);
        let mut copies = Copies::default();
        let mut first = None;
        let mut frames = 0;
        let (mut behind, mut copied, mut too_late) = (0, 0, 0);
        let mut shown = false;
        let as_it_is = self.speed == 1.0 && self.until.is_none() && self.scale == 1;
        let mut visit = |records: &[Record<'_>]| {
            let before = frames / LOOK;
            frames += records.len();
            first = first.or_else(|| records.iter().find_map(|record| record.time));
            // Of copies it is told below how far they are.
            let tells = self.scale == 1 || self.synthetic.is_some();
            if let Some(bar) = bar.as_ref().filter(|_| tells && frames / LOOK > before) {
                match self.synthetic {
                    Some(_) => bar.set_position(progress(first, records)),
                    None => bar.set_position(read.load(Ordering::Relaxed)),
                }
            }
            if as_it_is {
                return feed(records);
            }
            for record in records {
                let mut record = *record;
                if let (Some(time), Some(start)) = (record.time, first) {
                    let since = time.0.saturating_sub(start.0) as f64 / self.speed;
                    let now = Time(start.0.saturating_add(since as i64));
                    record.time = Some(if self.speed == 1.0 { time } else { now });
                    let late =
                        self.until.is_some_and(|until| record.time > Some(until.time(start)));
                    too_late = if late { too_late + 1 } else { 0 };
                }
                // One without a time comes with the one before.
                if too_late > most_behind {
                    return ControlFlow::Break(());
                }
                if too_late > 0 {
                    continue;
                }
                shown = true;
                if self.scale == 1 {
                    feed(&[record])?;
                    continue;
                }
                copies.of(&record);
                for first in (0..self.scale).step_by(TOGETHER) {
                    let last = self.scale.min(first + TOGETHER as u32);
                    feed(&copies.some(&record, first..last))?;
                }
                copied += self.scale as usize;
                behind += RECORD + record.bytes.len() as u64;
                if copied > LOOK && self.synthetic.is_none() {
                    copied = 0;
                    // A small capture is read at once; of a packed one that is as exact as it gets.
                    let position = read.load(Ordering::Relaxed).min(behind);
                    bar.iter().for_each(|bar| bar.set_position(position));
                }
            }
            ControlFlow::Continue(())
        };
        let faults = match self.synthetic {
            Some(workload) => {
                let mut synthetic = Synthetic::new(workload);
                while let Some(record) = synthetic.next_record() {
                    if visit(&[record]).is_break() {
                        break;
                    }
                }
                Ok(Faults::default())
            }
            None => captures::each(self.captures, &read, visit),
        };
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        if further {
            self.unchanged()?;
        }
        match (first, self.until) {
            (Some(start), Some(until)) if !as_it_is && !shown => {
                let (at, first) = (moment::shown(until.time(start)), moment::shown(start));
                Err(said!(
                    "--at {at}: before the first packet, {first}",
                    "--at {at}：早于第一个包 {first}"
                ))
            }
            _ => faults,
        }
    }

    /// Shown on a terminal only, and only after a moment: short work needs none.
    fn bar(&self, doing: &Said) -> Option<ProgressBar> {
        if !std::io::stderr().is_terminal() {
            return None;
        }
        let length = match self.synthetic {
            Some(workload) => Some((workload.span * 1e3) as u64),
            None => self.captures.iter().map(|path| size(path)).sum(),
        };
        let form = match length {
            None => Said::of(
                "{spinner} {msg}  {bytes} read, {elapsed}",
                "{spinner} {msg}  已读 {bytes}，{elapsed}",
            ),
            // As wide as the terminal, whatever that is: a line that wraps is not taken away again.
            Some(_) => Said::of(
                "{msg} {wide_bar} {percent:>3} %, {eta} left",
                "{msg} {wide_bar} {percent:>3} %，剩余 {eta}",
            ),
        };
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template(form.spoken(self.language))
            .unwrap_or(ProgressStyle::default_bar());
        let style =
            if self.unicode { style } else { style.progress_chars("#>.").tick_chars(r"|/-\ ") };
        bar.set_style(style);
        bar.set_message(doing.spoken(self.language).to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        let later = bar.downgrade();
        let show = move || {
            thread::sleep(SHORT);
            if let Some(bar) = later.upgrade().filter(|bar| !bar.is_finished()) {
                bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
            }
        };
        // Without a thread to be had it stays hidden.
        let _ = thread::Builder::new().name("bar".into()).spawn(show);
        Some(bar)
    }
}

/// Milliseconds since the start.
fn progress(first: Option<Time>, records: &[Record<'_>]) -> u64 {
    let now = records.last().and_then(|record| record.time);
    let (Some(first), Some(now)) = (first, now) else { return 0 };
    now.0.saturating_sub(first.0).unsigned_abs() / 1_000_000
}

/// Whether it can be read again: `-` is standard input, though a file may have that name.
pub fn is_file(path: &Path) -> bool {
    file(path).is_some()
}

fn file(path: &Path) -> Option<Metadata> {
    let about = std::fs::metadata(path).ok()?;
    (path != Path::new("-") && about.is_file()).then_some(about)
}

/// `None` for what has no size: a pipe.
fn size(path: &Path) -> Option<u64> {
    file(path).map(|about| about.len())
}

fn stamp(path: &Path) -> Option<Stamp> {
    file(path).map(|about| (about.dev(), about.ino(), about.len(), about.modified().ok()))
}
