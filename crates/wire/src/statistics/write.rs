//! The statistics as the per-CPU proc file shows them.
//!
//! Kernel: `ct_cpu_seq_show()`, net/netfilter/nf_conntrack_standalone.c.

use core::fmt::{self, Write};

use plimsoll_ct::{Counter, Counters};

use crate::statistics::Statistics;

/// Which generation's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Header {
    /// 2.6.15 to 2.6.32: no `search_restart`.
    First,
    /// To 5.14.
    Middle,
    /// 5.15 and later: `clashres`, `chainlength`.
    Modern,
}

/// Writes header and one line per CPU, byte for byte as the kernel does. What is not known is 0 there.
pub fn write_proc(out: &mut impl Write, statistics: &Statistics, header: Header) -> fmt::Result {
    use Counter as C;
    let modern = header == Header::Modern;
    let second = if modern { C::ClashResolved } else { C::Searched };
    let eighth = if modern { C::ChainTooLong } else { C::DeleteList };
    out.write_str("entries  ")?;
    write!(out, "{} found new invalid ignore delete {} ", second.name(), eighth.name())?;
    out.write_str("insert insert_failed drop early_drop icmp_error  ")?;
    out.write_str("expect_new expect_create expect_delete")?;
    out.write_str(if header == Header::First { "\n" } else { " search_restart\n" })?;
    let entries = statistics.entries.map_or(0, |e| e.get());
    let none = [Counters::new()];
    let rows = if statistics.cpus.rows.is_empty() { &none[..] } else { &statistics.cpus.rows };
    for row in rows {
        let value = |counter| row.get(counter).unwrap_or(0) as u32;
        write!(out, "{:08x}  ", entries as u32)?;
        for counter in [
            second,
            C::Found,
            C::New,
            C::Invalid,
            C::Ignore,
            C::Delete,
            eighth,
            C::Insert,
            C::InsertFailed,
            C::Drop,
            C::EarlyDrop,
        ] {
            write!(out, "{:08x} ", value(counter))?;
        }
        write!(out, "{:08x}  ", value(C::IcmpError))?;
        write!(out, "{:08x} {:08x} ", value(C::ExpectNew), value(C::ExpectCreate))?;
        write!(out, "{:08x}", value(C::ExpectDelete))?;
        match header {
            Header::First => out.write_char('\n')?,
            Header::Middle | Header::Modern => writeln!(out, " {:08x}", value(C::SearchRestart))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloc::string::String;

    use super::*;
    use crate::statistics::parse_proc;

    #[test]
    fn a_kernels_file_is_written_back_byte_for_byte() {
        let file = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart\n\
                    00000002  00000000 00000001 00000000 00000007 00000000 00000000 00000000 00000000 00000003 00000009 00000000 0000000b  00000000 00000000 00000000 00000000\n";
        let mut out = String::new();
        write_proc(&mut out, &parse_proc(file.as_bytes()).unwrap(), Header::Modern).unwrap();
        assert_eq!(out, file);
    }

    #[test]
    fn every_header_is_read_again() {
        for header in [Header::First, Header::Middle, Header::Modern] {
            let mut out = String::new();
            write_proc(&mut out, &Statistics::default(), header).unwrap();
            let read = parse_proc(out.as_bytes()).unwrap();
            let restarts = read.cpus.rows[0].get(Counter::SearchRestart);
            assert_eq!(restarts.is_none(), header == Header::First);
        }
    }
}
