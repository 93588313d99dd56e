//! Where the table is in the kernel's memory.
//!
//! The iterator behind an open /proc/net/nf_conntrack holds its address, once something was read from the file:
//! that needs no symbol and no right but to open it. It is opened in a namespace that has entries, since reading
//! the first line walks past everybody else's. Otherwise /proc/kallsyms tells, where it tells addresses of data.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use plimsoll_diagnosis::facts::{Gap, Reason};

use crate::live::{self, Visit};
use crate::table::net_file;
use plimsoll_diagnosis::{Said, said};

/// What leads to the table.
#[derive(Debug)]
pub(super) enum Way {
    /// An open /proc/net/nf_conntrack.
    Iterator(File),
    /// Addresses of `nf_conntrack_hash` and `nf_conntrack_htable_size`.
    Symbols(u64, u64),
}

/// With so many entries of its own, the first line of a namespace's file is near.
const ENOUGH: u64 = 200;

/// A way to the table. `None`: no namespace that can be read has an entry, so there is nothing to see.
pub(super) fn way(by_iterator: bool) -> Result<Option<Way>, Gap> {
    let own = live::count_here();
    if by_iterator
        && own.is_some_and(|count| count >= ENOUGH)
        && let Ok(file) = open()
    {
        return Ok(Some(Way::Iterator(file)));
    }
    let found = live::found();
    let doors: Vec<_> = found.iter().collect();
    let order = live::order(&live::counts(&doors));
    let Some((fullest, _)) = order.first() else { return Ok(None) };
    let mut gap = Gap {
        reason: Reason::TooOld,
        detail: Said::of(
            "BTF: nothing of /proc/net/nf_conntrack's iterator",
            "BTF：没有 /proc/net/nf_conntrack 的迭代器",
        ),
        needs: None,
    };
    if by_iterator {
        let opened = live::each(&[doors[*fullest]], |here, _| match &here.outside {
            Some(gap) => Err(gap.clone()),
            None => open(),
        });
        match opened.into_iter().next() {
            Some(Visit::Read(Ok(file))) => return Ok(Some(Way::Iterator(file))),
            Some(Visit::Read(Err(why)) | Visit::Refused(why)) => gap = why,
            Some(Visit::Gone) | None => {}
        }
    }
    match symbols() {
        Some((table, buckets)) => Ok(Some(Way::Symbols(table, buckets))),
        None => {
            gap.detail.push(&said!(
                "; /proc/kallsyms: no address of nf_conntrack_hash",
                "；/proc/kallsyms：没有 nf_conntrack_hash 的地址"
            ));
            Err(gap)
        }
    }
}

/// Opens the calling thread's file and reads a byte.
fn open() -> Result<File, Gap> {
    let path = net_file("nf_conntrack");
    let mut file = File::open(&path).map_err(|error| {
        let mut gap = crate::table::gap_of(Said::name("/proc/net/nf_conntrack"), &error);
        if gap.reason == Reason::NotPermitted {
            gap.needs = Some(Said::name("root"));
        }
        gap
    })?;
    begin(&mut file)
        .map_err(|error| crate::table::gap_of(Said::name("/proc/net/nf_conntrack"), &error))?;
    Ok(file)
}

/// Makes the iterator look where the table is now.
pub(super) fn begin(file: &mut File) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.read(&mut [0]).map(|_| ())
}

fn symbols() -> Option<(u64, u64)> {
    let reader = BufReader::with_capacity(64 << 10, File::open("/proc/kallsyms").ok()?);
    let (mut table, mut buckets) = (None, None);
    for line in reader.lines() {
        let line = line.ok()?;
        let mut words = line.split_ascii_whitespace();
        let (Some(address), Some(_), Some(name)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let place = match name {
            "nf_conntrack_hash" => &mut table,
            "nf_conntrack_htable_size" => &mut buckets,
            _ => continue,
        };
        // Zero: they are hidden from us.
        *place = u64::from_str_radix(address, 16).ok().filter(|address| *address != 0);
        if let (Some(table), Some(buckets)) = (table, buckets) {
            return Some((table, buckets));
        }
    }
    None
}

/// Buckets as the kernel's setting tells, to compare with.
pub(super) fn buckets() -> Option<u64> {
    let text = fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_buckets").ok()?;
    text.trim().parse().ok()
}
