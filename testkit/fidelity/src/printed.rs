//! What a table looks like when it is printed: /proc/net/nf_conntrack and `conntrack -L` beside the model's lines.

use std::fs;
use std::io::{self, Error};
use std::process::Command;

use plimsoll_ct::Entry;
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

/// Sends flows of DCCP; how many lines there are, and how many differ.
pub fn dccp(
    pair: &mut Pair,
    count: usize,
    seed: u64,
    show: &mut dyn FnMut(&str),
) -> io::Result<(usize, usize)> {
    pair.configure(&[("nf_conntrack_checksum", 1)])?;
    let is_dccp = |flow: &Flow| flow.steps.iter().all(|step| matches!(step, Step::Dccp(_)));
    for flow in generated::sample(count, seed)?.iter().filter(|flow| is_dccp(flow)) {
        for (packet, treatment) in flow.packets(pair.number()) {
            pair.feed(&packet, &treatment)?;
        }
    }
    let tool = Command::new("conntrack").arg("-L").output()?;
    let tool = String::from_utf8(tool.stdout).map_err(Error::other)?;
    let proc = fs::read_to_string("/proc/thread-self/net/nf_conntrack")?;
    pair.model.advance(pair.now());
    let (mut lines, mut differing) = (0, 0);
    for (text, dialect) in [(proc, Dialect::Proc), (tool, Dialect::Tool)] {
        let mut kernel: Vec<_> = text.lines().map(|line| timeless(line, dialect)).collect();
        let mut model: Vec<_> =
            pair.model.entries().map(|entry| timeless(&own(entry, dialect), dialect)).collect();
        kernel.sort();
        model.sort();
        lines += kernel.len();
        let only = |of: &[String], other: &[String]| {
            of.iter().filter(|line| other.binary_search(line).is_err()).cloned().collect::<Vec<_>>()
        };
        let (one, two) = (only(&kernel, &model), only(&model, &kernel));
        differing += one.len().max(two.len());
        one.iter().take(5).for_each(|line| show(&format!("   kernel {line}")));
        two.iter().take(5).for_each(|line| show(&format!("   model  {line}")));
    }
    Ok((lines, differing))
}
