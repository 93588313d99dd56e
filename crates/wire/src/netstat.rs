//! /proc/net/netstat and /proc/net/snmp: tables of two lines, names above values.
//!
//! Kernel: `netstat_seq_show()` and `snmp_seq_show()`, net/ipv4/proc.c.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use crate::{Expected, Malformed, Place};

/// Reads all tables of such a file, as `TcpExt.ListenOverflows`. A value that is no number of 64 bits
/// without sign (`Tcp.MaxConn` is -1) is left out. A last table that was cut off is left out too.
pub fn parse(text: &str) -> Result<BTreeMap<String, u64>, Malformed> {
    let mut counters = BTreeMap::new();
    let mut lines = text.split_inclusive('\n').enumerate();
    while let Some((number, names)) = lines.next() {
        if names.trim().is_empty() {
            continue;
        }
        let place = || Place::Line(number + 1);
        let Some((table, names)) = names.split_once(':') else {
            return Err(Malformed::new(
                place(),
                Expected::Words(&["table name and colon", "表名和冒号"]),
                names.as_bytes(),
            ));
        };
        let Some((_, line)) = lines.next() else { break };
        let Some(values) = line.strip_prefix(table).and_then(|rest| rest.strip_prefix(':')) else {
            return Err(Malformed::new(
                place(),
                Expected::Words(&["a line of values below", "下面一行值"]),
                line.as_bytes(),
            ));
        };
        let columns = || names.split_ascii_whitespace();
        if columns().count() != values.split_ascii_whitespace().count() {
            if !line.ends_with('\n') {
                break;
            }
            return Err(Malformed::new(
                place(),
                Expected::Words(&["as many values as names", "与名字一样多的值"]),
                line.as_bytes(),
            ));
        }
        for (name, value) in columns().zip(values.split_ascii_whitespace()) {
            if let Ok(value) = value.parse() {
                counters.insert(format!("{table}.{name}"), value);
            }
        }
    }
    Ok(counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_table_and_name() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 7 9\n\
                    IpExt: InNoRoutes InOctets\nIpExt: 0 61022825\n";
        let counters = parse(text).expect("reads");
        assert_eq!(counters.get("TcpExt.ListenOverflows"), Some(&7));
        assert_eq!(counters.get("IpExt.InOctets"), Some(&61_022_825));
        assert_eq!(counters.len(), 5);
    }

    #[test]
    fn minus_one_is_no_counter() {
        let counters = parse("Tcp: RtoAlgorithm MaxConn\nTcp: 1 -1\n").expect("reads");
        assert_eq!(counters.get("Tcp.RtoAlgorithm"), Some(&1));
        assert_eq!(counters.get("Tcp.MaxConn"), None);
    }

    #[test]
    fn values_are_never_given_to_the_wrong_name() {
        assert!(parse("TcpExt: A B C\nTcpExt: 1 2\n").is_err());
        assert!(parse("TcpExt: A B\nIpExt: 1 2\n").is_err());
        assert!(parse("no table\n").is_err());
    }

    #[test]
    fn a_file_cut_off_keeps_its_whole_tables() {
        let counters = parse("A: X\nA: 1\nB: Y Z\nB: 2").expect("reads");
        assert_eq!(counters.len(), 1);
        assert_eq!(parse("A: X\nA: 1\nB: Y Z\n").expect("reads").len(), 1);
    }
}
