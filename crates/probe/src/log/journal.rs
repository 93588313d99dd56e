//! The journal: that of the running host, or the files that a saved tree holds of one.

use std::cmp::Reverse;
use std::time::Instant;

use plimsoll_diagnosis::facts::{LogDigestBuilder, LogSource};
use plimsoll_diagnosis::said;

use super::Limits;
use super::journalctl::{self, Query};
use crate::files::Files;
use crate::said_of;

/// The running host's journal.
const NAME: &str = "journal";

/// Where a journal is kept: in directories named by the machine's id.
const PLACES: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// Bytes taken from journalctl at most.
const MOST: u64 = 256 << 20;

/// Files of a saved journal that are read, the newest ones.
const FILES: usize = 256;

/// Files that are named one by one if they can't be read.
const NAMED: usize = 4;

/// Gives the newest kernel entries of all boots of the running host to the builder. Nothing happens where
/// there is no journal.
pub(super) fn live(builder: &mut LogDigestBuilder, files: &Files, limits: &Limits, end: Instant) {
    if all(files).is_empty() {
        return;
    }
    builder.begin(NAME);
    let query = Query { name: NAME, file: None, entries: limits.journal_entries };
    match journalctl::read(builder, &query, &mut MOST.clone(), end) {
        Ok(source) => builder.end(source),
        Err(reason) => builder.unreadable(NAME, reason),
    }
}

/// Gives the kernel entries of a saved journal to the builder, file by file: journalctl refuses all of
/// them together where one is broken.
pub(super) fn saved(builder: &mut LogDigestBuilder, files: &Files, limits: &Limits, end: Instant) {
    for place in PLACES {
        let found = in_place(files, place);
        if found.is_empty() {
            continue;
        }
        match files {
            Files::Directory(_) => read_all(builder, files, place, found, limits, end),
            Files::Archive(_) => builder.unreadable(
                place,
                said!("a journal inside a bundle is not read (needs the bundle unpacked, and its directory \
                 given instead)", "归档里的日志（journal）没有读（需要：解开归档，改为给出目录）"),
            ),
        }
    }
}

/// Files of a host's own journal.
pub(crate) fn all(files: &Files) -> Vec<String> {
    PLACES.iter().flat_map(|place| in_place(files, place)).collect()
}

/// Those of one place that can hold the kernel's lines.
fn in_place(files: &Files, place: &str) -> Vec<String> {
    let mut machines = files.list(place).unwrap_or_default();
    // A host keeps the journals of its containers and of other machines beside its own.
    if let Ok(own) = files.text("/etc/machine-id")
        && machines.iter().any(|id| id == own.trim())
    {
        machines.retain(|id| id == own.trim());
    }
    machines.retain(|id| id != "remote");
    let mut found = Vec::new();
    for id in machines {
        let names = files.list(&format!("{place}/{id}")).unwrap_or_default();
        let journal = |name: &String| {
            (name.ends_with(".journal") || name.ends_with(".journal~"))
                && !name.starts_with("user-")
        };
        found.extend(names.into_iter().filter(journal).map(|name| format!("{place}/{id}/{name}")));
    }
    found
}

fn read_all(
    builder: &mut LogDigestBuilder,
    files: &Files,
    place: &str,
    mut found: Vec<String>,
    limits: &Limits,
    end: Instant,
) {
    found.sort_by_key(|path| Reverse(files.modified(path).ok()));
    let all = found.len();
    let mut whole = LogSource { name: place.to_owned(), lines: 0, from: None, to: None, cut: None };
    let (mut read, mut failed) = (0, 0);
    let mut budget = MOST.min(limits.total);
    for path in found.iter().take(FILES) {
        if budget == 0 || Instant::now() >= end {
            break;
        }
        // A series of its own: what two files hold of one moment, they hold twice (a copy was saved beside it).
        builder.begin(path);
        let result = files.file(path).map_err(|error| said_of(&error)).and_then(|file| {
            let query = Query { name: path, file: Some(file), entries: limits.journal_entries };
            journalctl::read(builder, &query, &mut budget, end)
        });
        match result {
            Ok(source) => {
                read += 1;
                add(&mut whole, source);
            }
            Err(reason) => {
                failed += 1;
                if failed <= NAMED {
                    builder.unreadable(path, reason);
                }
            }
        }
    }
    if failed > NAMED {
        builder.unreadable(
            place,
            said!("{} more of its files can't be read", "另有 {} 个文件没能读", failed - NAMED),
        );
    }
    if read + failed < all {
        whole.cut = Some(format!("{} of its {all} files were not read", all - read - failed));
    }
    if read > 0 {
        builder.end(whole);
    }
}

/// Puts what was read of a file to what was read of others.
fn add(whole: &mut LogSource, part: LogSource) {
    whole.lines += part.lines;
    whole.from = [whole.from, part.from].into_iter().flatten().min_by_key(|at| at.earliest);
    whole.to = [whole.to, part.to].into_iter().flatten().max_by_key(|at| at.latest);
    if let Some(cut) = part.cut {
        whole.cut.get_or_insert_with(|| format!("{}: {cut}", part.name));
    }
}

#[cfg(test)]
mod tests;
