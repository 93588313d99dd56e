//! The statistics of conntrack as text: the per-CPU proc file, `conntrack -S` and `-C`, 2.4's block.
//!
//! Columns changed meaning over the years, so each is found by the name in the header. A name that this
//! build does not know is skipped. Values of the proc file are 32 bits, hexadecimal, and wrap.
//!
//! Kernel: `ct_cpu_seq_show()`, net/netfilter/nf_conntrack_standalone.c; 2.4:
//! `list_conntracks_stats()`, net/ipv4/netfilter/ip_conntrack_standalone.c.

mod write;

pub use write::{Header, write_proc};

use alloc::vec::Vec;

use plimsoll_ct::{Counter, Counters, CpuCounters, Entries};

use crate::{Expected, Malformed, Place};

/// What a statistics text tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Entries of the namespace, where the text has them.
    pub entries: Option<Entries>,
    /// Counters by CPU; one row for a tool that summed them.
    pub cpus: CpuCounters,
}

/// /proc/net/stat/nf_conntrack or /proc/net/stat/ip_conntrack, of any generation.
pub fn parse_proc(text: &[u8]) -> Result<Statistics, Malformed> {
    let mut lines = (1..).zip(text.split(|&b| b == b'\n'));
    let (_, header) = lines.next().unwrap_or((1, &[]));
    let columns: Vec<Column> = words(header).map(Column::named).collect();
    if !columns.contains(&Column::Entries) {
        return Err(Malformed::new(
            Place::Line(1),
            Expected::Words(&["column names, `entries` among them", "列名，其中有 `entries`"]),
            header,
        ));
    }
    let mut found = Statistics::default();
    for (number, line) in lines {
        let mut row = Counters::new();
        let mut values = words(line).peekable();
        if values.peek().is_none() {
            continue;
        }
        for (at, &column) in columns.iter().enumerate() {
            let place = || Place::Column(number, name(header, at).into());
            let Some(word) = values.next() else {
                return Err(Malformed::new(place(), Expected::HEXADECIMAL, b""));
            };
            let value = core::str::from_utf8(word)
                .ok()
                .and_then(|w| u32::from_str_radix(w, 16).ok())
                .ok_or_else(|| Malformed::new(place(), Expected::HEXADECIMAL, word))?;
            match column {
                // The namespace's count, the same on every line.
                Column::Entries => found.entries = Some(Entries(value.into())),
                Column::Counter(counter) => row.set(counter, value.into()),
                Column::Unknown => {}
            }
        }
        if let Some(extra) = values.next() {
            let place = Place::Nth(number, columns.len() + 1);
            return Err(Malformed::new(place, Expected::Words(&["the line's end", "行尾"]), extra));
        }
        found.cpus.rows.push(row);
    }
    if found.cpus.rows.is_empty() {
        return Err(Malformed::new(
            Place::Line(2),
            Expected::Words(&["a row of values", "一行值"]),
            b"",
        ));
    }
    Ok(found)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Entries,
    Counter(Counter),
    Unknown,
}

impl Column {
    fn named(name: &[u8]) -> Self {
        match core::str::from_utf8(name) {
            Ok("entries") => Self::Entries,
            Ok(name) => Counter::from_name(name).map_or(Self::Unknown, Self::Counter),
            Err(_) => Self::Unknown,
        }
    }
}

fn name(header: &[u8], at: usize) -> &str {
    words(header).nth(at).and_then(|w| core::str::from_utf8(w).ok()).unwrap_or("?")
}

/// `conntrack -S`: a line for each CPU with decimal values, or, before conntrack-tools 1.2 or so, a line
/// for each counter with the sum over all CPUs.
pub fn parse_tool(text: &[u8]) -> Result<Statistics, Malformed> {
    let mut found = Statistics::default();
    let mut sum = Counters::new();
    for (number, line) in (1..).zip(text.split(|&b| b == b'\n')) {
        let mut fields = words(line).peekable();
        let Some(&first) = fields.peek() else { continue };
        if first == b"conntrack" {
            continue;
        }
        if first.starts_with(b"cpu=") {
            let mut row = Counters::new();
            for field in fields.skip(1) {
                let mut parts = field.splitn(2, |&b| b == b'=');
                let key = parts.next().unwrap_or(&[]);
                let value = parts.next().unwrap_or(&[]);
                match Column::named(key) {
                    Column::Entries => found.entries = Some(Entries(decimal(value, number, key)?)),
                    Column::Counter(counter) => row.set(counter, decimal(value, number, key)?),
                    Column::Unknown => {}
                }
            }
            found.cpus.rows.push(row);
            continue;
        }
        fields.next();
        let value = fields.next().unwrap_or(&[]);
        match Column::named(first) {
            Column::Entries => found.entries = Some(Entries(decimal(value, number, first)?)),
            Column::Counter(counter) => sum.set(counter, decimal(value, number, first)?),
            Column::Unknown => {}
        }
    }
    if !sum.is_empty() {
        found.cpus.rows.push(sum);
    }
    if found.cpus.rows.is_empty() {
        return Err(Malformed::new(
            Place::Line(1),
            Expected::Words(&["`cpu=` or a counter's name", "`cpu=` 或计数器名"]),
            text,
        ));
    }
    Ok(found)
}

fn decimal(value: &[u8], line: u32, key: &[u8]) -> Result<u64, Malformed> {
    core::str::from_utf8(value).ok().and_then(|v| v.parse().ok()).ok_or_else(|| {
        let key = core::str::from_utf8(key).unwrap_or("?");
        Malformed::new(Place::Key(line as usize, key.into()), Expected::NUMBER, value)
    })
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloc::string::ToString;

    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("../../../fixtures/", $name))
        };
    }

    #[test]
    fn a_2_6_32_file_has_sixteen_columns_and_no_restarts() {
        let s = parse_proc(fixture!("listings/2.6.32.69/stat/nf_conntrack")).unwrap();
        let row = &s.cpus.rows[0];
        assert_eq!(s.entries, Some(Entries(100)));
        assert_eq!(row.get(Counter::Searched), Some(0x33));
        assert_eq!(row.get(Counter::Drop), Some(0x10e));
        assert_eq!(row.get(Counter::EarlyDrop), Some(0x13b));
        assert_eq!(row.get(Counter::New), Some(0x19f));
        assert_eq!(row.get(Counter::SearchRestart), None);
        assert_eq!(s, parse_proc(fixture!("listings/2.6.32.69/stat/ip_conntrack")).unwrap());
    }

    #[test]
    fn the_second_column_of_5_10_counts_clashes_and_the_eighth_of_6_1_chains() {
        let old = parse_proc(fixture!("listings/4.9.229/stat/nf_conntrack")).unwrap();
        let middle = parse_proc(fixture!("listings/5.10.0-46/stat/nf_conntrack")).unwrap();
        let new = parse_proc(fixture!("listings/6.1.0-56/stat/nf_conntrack")).unwrap();
        let has = |s: &Statistics, c| s.cpus.rows[0].get(c).is_some();
        let told = |s: &Statistics| {
            [Counter::Searched, Counter::ClashResolved, Counter::DeleteList, Counter::ChainTooLong]
                .map(|c| has(s, c))
        };
        assert_eq!(told(&old), [true, false, true, false]);
        assert_eq!(told(&middle), [false, true, true, false]);
        assert_eq!(told(&new), [false, true, false, true]);
    }

    #[test]
    fn every_kernels_file_is_read_with_its_drops() {
        for (file, drop, early) in [
            (&fixture!("listings/3.10.105/stat/nf_conntrack")[..], 0x10a, 0x13d),
            (fixture!("listings/4.9.229/stat/nf_conntrack"), 0x295, 0x7a),
            (fixture!("listings/4.19.13/stat/nf_conntrack"), 0, 0),
            (fixture!("listings/5.10.0-46/stat/nf_conntrack"), 0x32, 0x96),
            (fixture!("listings/6.1.0-56/stat/nf_conntrack"), 0x1f, 0xa9),
            (fixture!("listings/6.12.117/stat/nf_conntrack"), 0x22, 0xa6),
            (fixture!("listings/6.16.3/stat/nf_conntrack"), 0x26, 0xa2),
            (fixture!("listings/6.18.15/stat/nf_conntrack"), 0x36, 0x92),
            (fixture!("listings/7.3.4/stat/nf_conntrack"), 0x31, 0x97),
        ] {
            let sum = parse_proc(file).unwrap().cpus.sum();
            assert_eq!(
                (sum.get(Counter::Drop), sum.get(Counter::EarlyDrop)),
                (Some(drop), Some(early))
            );
        }
    }

    #[test]
    fn the_tool_and_the_file_tell_the_same_of_each_cpu() {
        let file = parse_proc(fixture!("ctnetlink/stats-cpu.proc")).unwrap();
        let tool = parse_tool(fixture!("ctnetlink/stats-cpu.tool")).unwrap();
        assert_eq!(file.cpus.rows.len(), 2);
        for (file, tool) in file.cpus.rows.iter().zip(&tool.cpus.rows) {
            for (counter, value) in tool.iter() {
                assert_eq!(file.get(counter), Some(value), "{}", counter.name());
            }
            assert_eq!(tool.get(Counter::ChainTooLong), Some(0));
        }
    }

    #[test]
    fn an_old_tool_prints_one_sum_for_each_counter() {
        let text =
            b"entries             \t\t\t1234\nsearched            \t\t\t17\nnew  \t9\ndrop \t\t3\n";
        let s = parse_tool(text).unwrap();
        assert_eq!(s.entries, Some(Entries(1234)));
        assert_eq!(s.cpus.rows.len(), 1);
        assert_eq!(s.cpus.rows[0].get(Counter::Drop), Some(3));
        let older =
            b"cpu=0   \tsearched=5 found=6 new=7 invalid=0 ignore=0 delete=0 delete_list=0 \
                      insert=7 insert_failed=0 drop=1 early_drop=2 error=0 search_restart=0 \n";
        assert_eq!(parse_tool(older).unwrap().cpus.rows[0].get(Counter::New), Some(7));
    }

    #[test]
    fn an_error_names_line_column_expectation_and_sight() {
        let said = |text: &[u8]| parse_proc(text).unwrap_err().to_string();
        assert_eq!(
            said(b"entries drop early_drop\n01 02 03\n01 02 zz\n"),
            "line 3, column `early_drop`: expected hexadecimal, saw \"zz\""
        );
        assert_eq!(
            said(b"entries drop\n01\n"),
            "line 2, column `drop`: expected hexadecimal, saw \"\""
        );
        assert_eq!(
            said(b"entries drop\n01 02 03\n"),
            "line 2, column 3: expected the line's end, saw \"03\""
        );
        assert!(said(b"").starts_with("line 1: expected column names"));
        assert!(said(b"entries drop\n").starts_with("line 2: expected a row"));
        assert!(said(b"entries drop\n123456789 0\n").contains("`entries`"));
    }

    #[test]
    fn an_unknown_column_is_skipped_and_the_others_keep_their_names() {
        let s = parse_proc(b"novel entries drop\nff 10 3\n").unwrap();
        assert_eq!(s.entries, Some(Entries(16)));
        assert_eq!(s.cpus.rows[0].iter().collect::<Vec<_>>(), [(Counter::Drop, 3)]);
    }
}
