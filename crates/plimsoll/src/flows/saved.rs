//! What was saved of a host as a source of entries: a listing, a tree, a bundle.

use std::fs::File;
use std::io::{self, BufRead};
use std::path::Path;

use plimsoll_ct::Entry;
use plimsoll_diagnosis::{Said, said};
use plimsoll_flows::{Surroundings, Tells};
use plimsoll_probe::dead;
use plimsoll_probe::files::Files;
use plimsoll_probe::table::each_of_listing;
use plimsoll_report::Language;

use super::around;
use super::pipe::{Beside, Pipe};
use super::tell;

/// Reads one listing; `-` is standard input.
pub fn listing(path: &Path, pipe: &mut Pipe<'_>, language: Language) -> Result<String, Said> {
    let name = path.display().to_string();
    let failed = |error: io::Error| said!("{name}: {error}", "{name}：{error}");
    let mut reader = if path == Path::new("-") {
        dead::open_listing(io::stdin())
    } else {
        let file = File::open(path).map_err(failed)?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(said!(
                "{name}: a directory; --root reads one",
                "{name}：是目录；目录用 --root 读取"
            ));
        }
        dead::open_listing(file)
    }
    .map_err(failed)?;
    through(&mut reader, &name, Surroundings::default(), None, pipe, language)?;
    Ok(name)
}

/// Reads all tables that were saved with a host. Where they stood.
pub fn host(
    files: &Files,
    chosen: &[String],
    pipe: &mut Pipe<'_>,
    language: Language,
) -> Result<String, Said> {
    let mut read = Vec::new();
    let mut known = Vec::new();
    for table in dead::tables(files) {
        let around = around::saved(&table);
        let called = |wanted: &String| {
            around.netns.as_ref().is_some_and(|netns| {
                netns.names.iter().any(|name| **name == **wanted)
                    || netns.inode.is_some_and(|inode| wanted.parse() == Ok(inode))
            })
        };
        known.extend(around.netns.iter().filter_map(|netns| netns.name()).map(str::to_owned));
        if !chosen.is_empty() && !chosen.iter().any(called) {
            continue;
        }
        if let Some((path, mut reader)) = table.open(files) {
            through(&mut reader, &path, around, table.inode, pipe, language)?;
            read.push(path);
        }
    }
    if read.is_empty() {
        return Err(match chosen {
            [] => Said::of(
                "no listing of the table was saved (looked for proc/net/nf_conntrack and what conntrack -L printed)",
                "没有保存表的列表（找过 proc/net/nf_conntrack 和 conntrack -L 的输出）",
            ),
            _ => said!(
                "no table of {} was saved; there are {}",
                "没有保存 {} 的表；保存了的有：{}",
                chosen.join(", "),
                known.join(", ")
            ),
        });
    }
    Ok(read.join(", "))
}

fn through(
    reader: &mut impl BufRead,
    name: &str,
    mut around: Surroundings,
    netns: Option<u64>,
    pipe: &mut Pipe<'_>,
    language: Language,
) -> Result<(), Said> {
    let before = pipe.counts;
    let mut first = None;
    let ended = each_of_listing(reader, &mut |line| match line {
        Ok(line) => {
            let entry = Entry { netns, ..line.entry };
            // A listing with ids, or with a helper, is the tool's, which shows every helper.
            around.tells =
                Tells { helper: entry.id.is_some() || entry.helper.is_some(), ..around.tells };
            pipe.take(&entry, &around, Beside::Line(line))
        }
        Err(malformed) => {
            pipe.counts.malformed += 1;
            first = first.take().or_else(|| malformed.cloned());
            true
        }
    });
    let none = pipe.counts.seen == before.seen;
    if let (true, Some(malformed)) = (none, first) {
        let malformed = Said::from(malformed);
        return Err(said!(
            "{name}: no entry in it: {malformed}",
            "{name}：里面没有条目：{malformed:#}"
        ));
    }
    match ended {
        Ok(()) => Ok(()),
        Err(error) if none => Err(said!("{name}: {error}", "{name}：{error}")),
        Err(error) => {
            tell(language, &said!("{name}: broken off: {error}", "{name}：中途断了：{error}"));
            Ok(())
        }
    }
}
