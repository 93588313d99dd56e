//! /proc/net/stat/arp_cache and ndisc_cache: the neighbour tables, by column name.
//!
//! Kernel: `neigh_stat_seq_show()`, net/core/neighbour.c: a header, then one row of hexadecimal numbers for each
//! possible CPU. The table is the host's, so the files stand in the initial namespace only.

use alloc::vec::Vec;

use crate::{Expected, Malformed, Place};

/// What the file says of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NeighbourStat {
    /// Entries of the whole table (each row repeats the number).
    pub entries: Option<u64>,
    /// Times that a new entry was refused since the table was full, over all CPUs; the column is absent
    /// before 3.19. Each CPU's value is as wide as the kernel's `unsigned long`.
    pub table_fulls: Option<u64>,
    /// Collections that were forced since the table was nearly full, over all CPUs.
    pub forced_gc: Option<u64>,
}

/// Reads header and rows.
pub fn parse(text: &str) -> Result<NeighbourStat, Malformed> {
    let mut lines = text.split_inclusive('\n').enumerate();
    let header = lines.next().map_or("", |(_, line)| line);
    let names: Vec<&str> = header.split_ascii_whitespace().collect();
    if names.first() != Some(&"entries") {
        return Err(Malformed::new(
            Place::Line(1),
            Expected::Words(&["column names", "列名"]),
            header.as_bytes(),
        ));
    }
    let mut stat = NeighbourStat::default();
    for (number, line) in lines {
        if line.split_ascii_whitespace().count() < names.len() {
            if line.trim().is_empty() || !line.ends_with('\n') {
                continue;
            }
            let place = Place::Line(number + 1);
            return Err(Malformed::new(
                place,
                Expected::Words(&["a value for each column", "每列一个值"]),
                line.as_bytes(),
            ));
        }
        for (name, word) in names.iter().zip(line.split_ascii_whitespace()) {
            let sum = match *name {
                "entries" => &mut stat.entries,
                "table_fulls" => &mut stat.table_fulls,
                "forced_gc_runs" => &mut stat.forced_gc,
                _ => continue,
            };
            let Ok(value) = u64::from_str_radix(word, 16) else {
                let place = Place::Column(number + 1, (*name).into());
                return Err(Malformed::new(place, Expected::HEXADECIMAL, word.as_bytes()));
            };
            *sum = match *name {
                "entries" => Some(value),
                _ => Some(sum.unwrap_or(0).saturating_add(value)),
            };
        }
    }
    Ok(stat)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: &str = "entries  allocs   destroys hash_grows lookups  hits     res_failed rcv_probes_mcast rcv_probes_ucast periodic_gc_runs forced_gc_runs unresolved_discards table_fulls
00000002 00000002 00000000 00000000   00000004 00000000 00000000   00000000         00000000         00000063         00000000       00000000            0000000a
00000002 00000000 00000000 00000000   00000006 00000006 00000000   00000000         00000000         00000000         00000001       00000000            00000001
";

    #[test]
    fn entries_are_taken_once_and_table_fulls_summed() {
        let stat = parse(LIVE).expect("reads");
        assert_eq!((stat.entries, stat.table_fulls), (Some(2), Some(11)));
        assert_eq!(stat.forced_gc, Some(1));
    }

    #[test]
    fn a_kernel_without_the_column_has_no_table_fulls() {
        let text = "entries  allocs   destroys\n00000001 00000001 00000000\n";
        let stat = parse(text).expect("reads");
        assert_eq!((stat.entries, stat.table_fulls), (Some(1), None));
    }

    #[test]
    fn what_is_not_hexadecimal_is_refused() {
        assert!(parse("entries table_fulls\nzz 00000001\n").is_err());
        assert!(parse("entries table_fulls\n00000001\n00000001 00000001\n").is_err());
        assert!(parse("").is_err());
    }
}
