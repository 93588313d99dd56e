//! One reading of a namespace's count and statistics, enough to steer the lab by.

use crate::LabError;
use plimsoll_ct::{Counter, Counters, CpuCounters};
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
    /// Columns are found by their name in the header; the count is repeated in every row and taken once.
    pub(crate) fn parse(text: &str) -> Result<Self, LabError> {
        let mut lines = text.lines();
        let names: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
        let mut entries = None;
        let mut counters = CpuCounters::default();
        for line in lines {
            let mut row = Counters::new();
            for (name, value) in names.iter().zip(line.split_whitespace()) {
                let value = u64::from_str_radix(value, 16).map_err(|_| LabError::Unexpected {
                    file: FILE.to_owned(),
                    saw: line.to_owned(),
                })?;
                match Counter::from_name(name) {
                    Some(counter) => row.set(counter, value),
                    None if *name == "entries" => entries = Some(value),
                    None => {}
                }
            }
            counters.rows.push(row);
        }
        let entries = entries.ok_or_else(|| LabError::Unexpected {
            file: FILE.to_owned(),
            saw: text.lines().next().unwrap_or_default().to_owned(),
        })?;
        Ok(Self { at: Instant::now(), entries, counters })
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
    fn the_count_is_taken_once_and_the_counters_are_summed() {
        let reading = Reading::parse(TEXT).unwrap();
        assert_eq!(reading.entries, 10);
        assert_eq!(reading.counters.sum().get(Counter::Drop), Some(17));
        let later = Reading::parse(&TEXT.replace("00000010", "00000015")).unwrap();
        assert_eq!(later.grown(Counter::Drop, &reading), 5);
        assert_eq!(later.grown(Counter::EarlyDrop, &reading), 0);
    }

    #[test]
    fn a_file_without_a_count_is_an_error() {
        assert!(Reading::parse("").is_err());
        assert!(Reading::parse("entries drop\nzz 00000000\n").is_err());
    }
}
