//! A value of the running kernel.

use std::fs;
use std::io;

use plimsoll_diagnosis::plan::{Readback, Setting};

use super::Seen;
use crate::journal::Memo;
use crate::reason;

pub(super) fn look(c: &Setting, memo: Option<&Memo>) -> io::Result<Seen> {
    let now = read(c)?;
    // What it read back as is known from the journal; after a crash in between, from the rule.
    let ours = match memo.and_then(|m| m.first()) {
        Some(readback) => now == *readback,
        None => is_after(c, &now),
    };
    Ok(match () {
        // Of two rounded values that are the same, the old one is the cheaper answer.
        () if now == c.before.trim() => Seen::Before,
        () if ours => Seen::After,
        () => Seen::Other(reason::VALUE.of(&[&c.path, &now])),
    })
}

/// It is there and may be written: opened for writing, and nothing written.
pub(super) fn prepare(c: &Setting) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(&c.path).map(|_| ())
}

pub(super) fn make(c: &Setting) -> io::Result<Memo> {
    write(c, &c.after)?;
    let now = read(c)?;
    if !is_after(c, &now) {
        return Err(reads(&c.after, &now));
    }
    Ok(vec![now])
}

pub(super) fn take_back(c: &Setting) -> io::Result<()> {
    write(c, &c.before)?;
    let now = read(c)?;
    if now != c.before.trim() {
        return Err(reads(&c.before, &now));
    }
    Ok(())
}

fn reads(wrote: &str, now: &str) -> io::Error {
    io::Error::other(reason::READS.of(&[&wrote.trim(), &now]).said())
}

fn is_after(c: &Setting, now: &str) -> bool {
    let wanted = c.after.trim();
    match c.readback {
        Readback::Exact => now == wanted,
        Readback::RoundedUp => match (now.parse::<u64>(), wanted.parse::<u64>()) {
            // Whole pages of list heads, and pages are 64 KiB at most.
            (Ok(now), Ok(wanted)) => (wanted..wanted.saturating_add(8192)).contains(&now),
            _ => false,
        },
    }
}

fn read(c: &Setting) -> io::Result<String> {
    // A table of numbers (`4096 131072 6291456`) reads with tabs and is written with blanks.
    let text = fs::read_to_string(&c.path)?;
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn write(c: &Setting, value: &str) -> io::Result<()> {
    fs::write(&c.path, value)
}
