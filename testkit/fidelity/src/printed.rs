//! What a table looks like when it is printed, and what is told of it: /proc/net/nf_conntrack, `conntrack -L` and
//! `conntrack -E` beside the model's lines.

use std::fs;
use std::io::{self, Error, Read};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use plimsoll_ct::Entry;
use plimsoll_model::{Event, EventKind};
use plimsoll_wire::listing::{Dialect, Line, write};

use crate::generated;
use crate::run::Pair;
use crate::scripts::{Flow, Step};

/// A line without the seconds that are left.
fn timeless(line: &str, dialect: Dialect) -> String {
    let place = if dialect == Dialect::Proc { 4 } else { 2 };
    let words = line.split_whitespace().enumerate();
    words.filter(|(at, _)| *at != place).map(|(_, word)| word).collect::<Vec<_>>().join(" ")
}

fn own(entry: Entry, dialect: Dialect) -> String {
    let proc = dialect == Dialect::Proc;
    // The reader of the proc file holds a reference of its own.
    let references = Some(if proc { 2 } else { 1 });
    let entry = Entry { age: None, mark: Some(0), references, ..entry };
    let zone_shown = proc || entry.zone.id != 0;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, &Line { zone_shown, ..Line::from(entry) }, dialect);
    text
}

/// An event without the number of the seconds that are left, which an end has only if it came before its time.
fn timeless_event(line: &str) -> String {
    let words = line.split_whitespace().enumerate();
    let seconds = |at: usize, word: &str| at == 3 && word.parse::<u64>().is_ok();
    let words = words.map(|(at, word)| if seconds(at, word) { "some" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

fn own_event(event: Event) -> String {
    let kind = match event.kind {
        EventKind::New => "[NEW]",
        EventKind::Update => "[UPDATE]",
        EventKind::Destroy => "[DESTROY]",
    };
    let mut text = format!("{kind} ");
    let mut entry = Entry { age: None, mark: None, references: None, ..event.entry };
    (entry.original_accounting, entry.reply_accounting) = (None, None);
    // Writing to a String cannot fail.
    let _ = write(&mut text, &Line::from(entry), Dialect::Tool);
    text
}

/// `conntrack -E` of the calling thread's namespace.
struct Listener {
    child: Child,
    text: JoinHandle<io::Result<String>>,
}

impl Listener {
    fn start() -> io::Result<Self> {
        let mut tool = Command::new("conntrack");
        let mut child = tool.arg("-E").stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let Some(mut pipe) = child.stdout.take() else { return Err(Error::other("no pipe")) };
        let text = thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).map(|_| text)
        });
        let listener = Self { child, text };
        listener.keep_up()?;
        Ok(listener)
    }

    /// Waits until the tool listens and has read all: its buffer holds some hundred events.
    fn keep_up(&self) -> io::Result<()> {
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            // Who is in the three groups of events is the tool: the namespace is ours.
            let sockets = fs::read_to_string("/proc/thread-self/net/netlink")?;
            let idle = sockets.lines().any(|line| {
                let words: Vec<_> = line.split_whitespace().collect();
                matches!(words[..], [_, "12", _, "00000007", "0", ..])
            });
            if idle {
                return Ok(());
            }
            if Instant::now() > patience {
                return Err(Error::other("conntrack -E does not listen"));
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// What it told.
    fn stop(mut self) -> io::Result<String> {
        self.keep_up()?;
        let id = i32::try_from(self.child.id()).map_err(Error::other)?;
        // It writes out what it holds when it is interrupted.
        // SAFETY: takes no pointers; the child is ours and was not waited for.
        if unsafe { libc::kill(id, libc::SIGINT) } < 0 {
            return Err(Error::last_os_error());
        }
        self.child.wait()?;
        self.text.join().map_err(|_| Error::other("the reader panicked"))?
    }
}

/// Sends flows of DCCP; how many lines there are, and how many differ.
pub fn dccp(
    pair: &mut Pair,
    count: usize,
    seed: u64,
    show: &mut dyn FnMut(&str),
) -> io::Result<(usize, usize)> {
    pair.configure(&[("nf_conntrack_checksum", 1)])?;
    let is_dccp = |flow: &Flow| flow.steps.iter().all(|step| matches!(step, Step::Dccp(_)));
    let listener = Listener::start()?;
    pair.model.listen();
    for flow in generated::sample(count, seed)?.iter().filter(|flow| is_dccp(flow)) {
        for (packet, treatment) in flow.packets(pair.number()) {
            pair.feed(&packet, &treatment)?;
        }
        listener.keep_up()?;
    }
    let told = listener.stop()?;
    let events = pair.model.take_events().into_iter();
    let tool = Command::new("conntrack").arg("-L").output()?;
    let tool = String::from_utf8(tool.stdout).map_err(Error::other)?;
    let proc = fs::read_to_string("/proc/thread-self/net/nf_conntrack")?;
    pair.model.advance(pair.now());
    let mut pairs = vec![(
        told.lines().map(timeless_event).collect::<Vec<_>>(),
        events.map(|event| timeless_event(&own_event(event))).collect::<Vec<_>>(),
    )];
    for (text, dialect) in [(proc, Dialect::Proc), (tool, Dialect::Tool)] {
        let own = |entry| timeless(&own(entry, dialect), dialect);
        let kernel = text.lines().map(|line| timeless(line, dialect)).collect();
        pairs.push((kernel, pair.model.entries().map(own).collect()));
    }
    let (mut lines, mut differing) = (0, 0);
    for (mut kernel, mut model) in pairs {
        kernel.sort();
        model.sort();
        lines += kernel.len();
        let only = |of: &[String], other: &[String]| {
            of.iter().filter(|line| other.binary_search(line).is_err()).cloned().collect::<Vec<_>>()
        };
        let (one, two) = (only(&kernel, &model), only(&model, &kernel));
        differing += one.len().max(two.len()).max(kernel.len().abs_diff(model.len()));
        one.iter().take(5).for_each(|line| show(&format!("   kernel {line}")));
        two.iter().take(5).for_each(|line| show(&format!("   model  {line}")));
    }
    Ok((lines, differing))
}
