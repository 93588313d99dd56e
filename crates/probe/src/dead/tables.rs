//! The tables that were saved of a host: each with the namespace it is of, to be read entry by entry.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

use plimsoll_diagnosis::facts::Owner;

use super::read::{Listing, Saved};
use super::{commands, host, namespaces, table};
use crate::files::Files;

/// A table that was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedTable {
    /// Inode of its namespace, where it was saved.
    pub inode: Option<u64>,
    /// What its namespace is called.
    pub owners: Vec<Owner>,
    /// The settings of its namespace, by bare name.
    pub settings: BTreeMap<String, String>,
    /// Whether entries may come out of a flow table.
    pub offload: bool,
    /// Where it may stand, the best first.
    pub paths: Vec<String>,
}

/// The tables that may have been saved, that of the initial namespace first.
pub fn tables(files: &Files) -> Vec<SavedTable> {
    let saved = Saved::new(files);
    let own = files.link("/proc/1/ns/net").ok().and_then(|text| namespaces::inode(&text));
    let offload = host::offload(&saved);
    let mut tables = vec![SavedTable {
        inode: own,
        owners: vec![Owner::Initial],
        settings: table::settings(&saved),
        offload,
        paths: namespaces::initial_listings(&saved),
    }];
    for named in commands::named(&saved) {
        let sysctl = named.files(&["networking", "kernel"], "sysctl_-a");
        tables.push(SavedTable {
            inode: None,
            owners: vec![Owner::Named(named.name.clone())],
            settings: table::listed(&Listing::read(files, &sysctl)),
            offload,
            paths: namespaces::named_listings(&named),
        });
    }
    for (inode, pids) in namespaces::of_processes(&saved) {
        if Some(inode) == own {
            continue;
        }
        let paths = pids.iter().map(|pid| format!("/proc/{pid}/net/nf_conntrack"));
        tables.push(SavedTable {
            inode: Some(inode),
            owners: namespaces::owners(&saved, &pids),
            settings: BTreeMap::new(),
            offload,
            paths: paths.collect(),
        });
    }
    tables
}

impl SavedTable {
    /// Opens the first of its places that holds anything, and says which. `None`: it was not saved.
    pub fn open(&self, files: &Files) -> Option<(String, BufReader<Box<dyn Read>>)> {
        self.paths.iter().find_map(|path| {
            let mut reader = BufReader::with_capacity(64 << 10, files.open(path).ok()?);
            // A copy straight from /proc leaves an empty file.
            let filled = reader.fill_buf().is_ok_and(|start| !start.is_empty());
            filled.then(|| (path.clone(), reader))
        })
    }
}

/// Opens a listing that somebody saved, unpacking gzip, xz, bzip2 and zstd, which its first bytes tell. An empty one is
/// a table without entries.
pub fn open_listing(source: impl Read + 'static) -> io::Result<Box<dyn BufRead>> {
    let mut source = BufReader::with_capacity(64 << 10, source);
    if source.fill_buf()?.is_empty() {
        return Ok(Box::new(io::empty()));
    }
    let unpacked = crate::archive::decompress(source)?;
    Ok(Box::new(BufReader::with_capacity(64 << 10, unpacked)))
}
