//! The files in which syslog and bundles keep the kernel's log.

use std::io::Read;
use std::time::Instant;

use plimsoll_diagnosis::facts::LogDigestBuilder;
use plimsoll_diagnosis::said;
use plimsoll_wire::log::Form;

use super::Limits;
use super::compressed::{is_compressed, plain};
use super::scan::scan;
use crate::files::Files;
use crate::said_of;

/// Logs of /var/log that hold lines of the kernel, each a series with its rotated files.
const SERIES: &[(&str, Form)] = &[
    ("messages", Form::Syslog),
    ("syslog", Form::Syslog),
    ("kern.log", Form::Syslog),
    ("dmesg", Form::Dmesg),
];

/// A file to read.
struct Place {
    path: String,
    series: String,
    form: Form,
    boot: Boot,
}

/// Whose boot the stamps of a file are counted from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Boot {
    This,
    Earlier,
}

/// Reads all of them, the newest first, within the limits.
pub(super) fn read(
    builder: &mut LogDigestBuilder,
    files: &Files,
    extra: &[String],
    limits: &Limits,
    deadline: Instant,
) {
    let names = files.list("/var/log").unwrap_or_default();
    let mut places: Vec<Place> = extra.iter().map(|path| named(path)).collect();
    places.extend(rotated(&names));
    let mut total = limits.total;
    for place in places {
        let mut budget = limits.file.min(total);
        if budget == 0 || Instant::now() >= deadline {
            builder.unreadable(
                place.path,
                said!(
                    "not read: the budget for reading logs was spent",
                    "没有读：读日志的时间用完了"
                ),
            );
            continue;
        }
        let before = budget;
        file(builder, files, &place, limits, &mut budget, deadline);
        total -= before - budget;
    }
}

/// The files of every series: the current one, then the younger before the older.
fn rotated(names: &[String]) -> Vec<Place> {
    let mut places = Vec::new();
    for &(base, form) in SERIES {
        let mut found: Vec<(Age, &String)> =
            names.iter().filter_map(|name| Some((age(name, base)?, name))).collect();
        found.sort();
        places.extend(found.into_iter().map(|(age, name)| {
            // A new dmesg file is begun at each boot.
            let old = form == Form::Dmesg && age != Age::Current;
            Place {
                path: format!("/var/log/{name}"),
                series: format!("/var/log/{base}"),
                form,
                boot: if old { Boot::Earlier } else { Boot::This },
            }
        }));
    }
    places
}

/// How old a rotated file is, the youngest least.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    Current,
    /// `.1`, `.2.gz`, and the `.old` of some dmesg services.
    Generation(u32),
    /// `-20261122`, the latest first.
    Date(std::cmp::Reverse<String>),
}

/// Whether `name` is `base` or a rotated form of it: `messages`, `messages.2.gz`,
/// `messages-20261122.xz`, `messages-20261122-1763780000`.
fn age(name: &str, base: &str) -> Option<Age> {
    let rest = name.strip_prefix(base)?;
    let rest = ["gz", "xz", "zst", "bz2"]
        .iter()
        .find_map(|end| rest.strip_suffix(end)?.strip_suffix('.'))
        .unwrap_or(rest);
    if rest.is_empty() {
        return Some(Age::Current);
    }
    if let Some(generation) = rest.strip_prefix('.') {
        return match generation {
            "old" => Some(Age::Generation(1)),
            digits => digits.parse().ok().map(Age::Generation),
        };
    }
    let date = rest.strip_prefix('-')?;
    let dated = date.len() >= 8 && date.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    dated.then(|| Age::Date(std::cmp::Reverse(date.to_owned())))
}

/// A file that was named: what dmesg or journalctl printed, or a copy of a syslog file.
fn named(path: &str) -> Place {
    let name = path.rsplit('/').next().unwrap_or(path);
    let form = if name.contains("json") {
        Form::Json
    } else if name.contains("export") {
        Form::Export
    } else if name.contains("dmesg") {
        Form::Dmesg
    } else {
        Form::Syslog
    };
    // Each is a series: what dmesg and dmesg -T print is the same ring, not the sum of two.
    Place { path: path.to_owned(), series: path.to_owned(), form, boot: Boot::This }
}

fn file(
    builder: &mut LogDigestBuilder,
    files: &Files,
    place: &Place,
    limits: &Limits,
    budget: &mut u64,
    deadline: Instant,
) {
    let compressed = is_compressed(&place.path);
    let opened = if compressed {
        files.open(&place.path).and_then(|file| Ok((plain(&place.path, file)?, 0)))
    } else {
        files.open_end(&place.path, *budget)
    };
    let (mut reader, skipped): (Box<dyn Read>, u64) = match opened {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => return builder.unreadable(&place.path, said_of(&error)),
    };
    builder.begin(&place.series);
    if place.boot == Boot::Earlier {
        builder.of_an_earlier_boot();
    }
    let left_out = files.cut(&place.path);
    if left_out.is_some() {
        builder.with_gaps();
    }
    let skip_first = skipped > 0;
    let mut source =
        scan(builder, &place.path, place.form, &mut reader, skip_first, budget, deadline);
    if skipped > 0 {
        source.cut = Some(format!("only the last {} MiB were read", limits.file >> 20));
    } else if *budget == 0 && compressed {
        source.cut =
            Some(format!("only the first {} MiB of its text were read", limits.file >> 20));
    }
    if left_out.is_some() {
        source.cut = left_out;
    }
    builder.end(source);
}
