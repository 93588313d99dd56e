//! One reading of a namespace's count and statistics, enough to steer the lab by.

use crate::LabError;
use plimsoll_ct::{Counter, CpuCounters};
use plimsoll_wire::{Expected, Malformed, Place, statistics};
use std::time::Instant;

pub(crate) const FILE: &str = "/proc/thread-self/net/stat/nf_conntrack";

/// Count and statistics at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    /// When it was read.
    pub at: Instant,
    /// Entries in the table.
    pub entries: u64,
    /// The statistics of each CPU.
    pub counters: CpuCounters,
}

impl Reading {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, LabError> {
        let malformed = |malformed| LabError::Malformed { file: FILE.to_owned(), malformed };
        let statistics = statistics::parse_proc(text).map_err(malformed)?;
        let entries = statistics.entries.ok_or_else(|| {
            malformed(Malformed::new(
                Place::Line(2),
                Expected::Words(&["a count of entries", "条目数"]),
                b"",
            ))
        })?;
        Ok(Self { at: Instant::now(), entries: entries.get(), counters: statistics.cpus })
    }

    /// Growth of a counter since an earlier reading; 0 if this kernel lacks it.
    pub fn grown(&self, counter: Counter, before: &Self) -> u64 {
        self.counters.since(&before.counters).and_then(|g| g.get(counter)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TEXT: &str = "entries  clashres found new drop early_drop\n\
        0000000a  00000000 00000000 00000000 00000001 00000002 \n\
        0000000a  00000000 00000000 00000000 00000010 00000000 \n";

    #[test]
    fn the_count_is_taken_once_and_growth_is_summed_over_the_cpus() {
        let reading = Reading::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(reading.entries, 10);
        assert_eq!(reading.counters.sum().get(Counter::Drop), Some(17));
        let later = Reading::parse(TEXT.replace("00000010", "00000015").as_bytes()).unwrap();
        assert_eq!(later.grown(Counter::Drop, &reading), 5);
        assert_eq!(later.grown(Counter::EarlyDrop, &reading), 0);
    }

    #[test]
    fn a_file_without_a_count_is_an_error() {
        let error = Reading::parse(b"").unwrap_err().to_string();
        assert!(error.starts_with("/proc/thread-self/net/stat/nf_conntrack, line 1: "), "{error}");
        assert!(Reading::parse(b"entries drop\nzz 00000000\n").is_err());
    }
}
