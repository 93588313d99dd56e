//! Whether a full table fits into the memory that is free.

use crate::LabError;
use crate::attempt::Attempt;
use plimsoll_ct::{Bytes, Entries};

/// An entry on kernels where no slab row tells (the largest seen is 320).
const ENTRY: u64 = 320;
/// The extension block that each entry gets as soon as anybody listens to events or counts bytes.
const EXTENSIONS: u64 = 128;
/// Sockets, the lab itself, and air to breathe for everybody else.
const BESIDE: u64 = 128 << 20;

/// What a table of so many entries needs at worst.
pub fn memory_needed(entries: Entries) -> Bytes {
    let entry = std::fs::read_to_string("/proc/slabinfo")
        .ok()
        .and_then(|text| entry_size(&text))
        .unwrap_or(ENTRY);
    Bytes(entries.get().saturating_mul(entry + EXTENSIONS).saturating_add(BESIDE))
}

/// Memory as the kernel sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// What could be had without swapping.
    pub available: Bytes,
}

impl Memory {
    /// Reads /proc/meminfo.
    pub fn read() -> Result<Self, LabError> {
        let file = "/proc/meminfo";
        let text = std::fs::read_to_string(file).map_err(LabError::system(Attempt::read(file)))?;
        available(&text).map(|available| Self { available }).ok_or_else(|| LabError::Unexpected {
            file: file.to_owned(),
            saw: "no MemAvailable".to_owned(),
        })
    }

    /// An error when so many entries would not fit.
    pub fn allows(self, entries: Entries) -> Result<(), LabError> {
        let needed = memory_needed(entries);
        if needed <= self.available {
            return Ok(());
        }
        Err(LabError::Memory { needed, available: self.available })
    }
}

/// Object size in the row `nf_conntrack` (or `nf_conntrack_<number>`) of slabinfo: the fourth column.
fn entry_size(slabinfo: &str) -> Option<u64> {
    let row = slabinfo.lines().find(|line| {
        let name = line.split_whitespace().next().unwrap_or_default();
        let rest = name.strip_prefix("nf_conntrack");
        rest.is_some_and(|r| r.is_empty() || (r.starts_with('_') && r != "_expect"))
    })?;
    row.split_whitespace().nth(3)?.parse().ok()
}

fn available(meminfo: &str) -> Option<Bytes> {
    let row = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = row.split_whitespace().next()?.parse().ok()?;
    Some(Bytes(kib.saturating_mul(1024)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_size_comes_from_the_slab_of_the_entries_not_of_the_expectations() {
        let text = "nf_conntrack_expect 0 0 232 17 1 : tunables\nnf_conntrack 5 16 256 16 1 : x\n";
        assert_eq!(entry_size(text), Some(256));
        assert_eq!(entry_size("nf_conntrack_ffff88 0 0 288 14 1 :"), Some(288));
        assert_eq!(entry_size("kmalloc-256 1 1 256 16 1 :"), None);
    }

    #[test]
    fn a_table_that_does_not_fit_is_refused() {
        let memory = Memory { available: Bytes(1 << 30) };
        assert!(memory.allows(Entries(262_144)).is_ok());
        assert!(matches!(memory.allows(Entries(1 << 40)), Err(LabError::Memory { .. })));
        assert!(memory.allows(Entries(u64::MAX)).is_err());
        assert_eq!(
            available("MemFree: 1 kB\nMemAvailable:   24397000 kB\n"),
            Some(Bytes(24_982_528_000))
        );
    }
}
