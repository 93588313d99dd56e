//! Expectations as /proc/net/nf_conntrack_expect and `conntrack -L expect` show them.
//!
//! Kernel: `exp_seq_show()`, net/netfilter/nf_conntrack_expect.c; the tool as 1.4.7 prints them. Not written: flags (`PERMANENT`, `INACTIVE`,
//! `USERSPACE`), classes beside the first.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use plimsoll_ct::{Family, L4, Tuple};

use super::Dialect;
use super::digits::formatted;
use super::write::{direction, ends};

/// One expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected<'a> {
    /// For how many seconds more; less than none where its time is over, and its timer has not rung.
    pub left: i64,
    /// What is expected; a source port that does not matter is 0.
    pub tuple: Tuple,
    /// Whether its source port, or key, matters.
    pub source_port: bool,
    /// The original tuple of the entry in which that was read.
    pub master: Tuple,
    /// Who expects it.
    pub helper: &'a str,
}

/// Writes one line, without the line feed, at the end of a buffer: the proc file's, or in any other dialect that of
/// `conntrack -L expect`.
pub fn append_expected(out: &mut Vec<u8>, expected: &Expected<'_>, dialect: Dialect) {
    let Expected { left, tuple, helper, .. } = expected;
    let protocol = tuple.protocol.number();
    if dialect != Dialect::Proc {
        // ctnetlink tells no less than none.
        formatted(out, format_args!("{} proto={protocol}", (*left).max(0)));
        return tool(out, expected);
    }
    let family = match tuple.family() {
        Family::V4 => 2,
        Family::V6 => 10,
    };
    formatted(out, format_args!("{left} l3proto = {family} proto={protocol}"));
    direction(out, tuple, true);
    formatted(out, format_args!(" {helper}"));
}

fn tool(out: &mut Vec<u8>, Expected { tuple, source_port, master, helper, .. }: &Expected<'_>) {
    let all = match tuple.family() {
        Family::V4 => IpAddr::V4(Ipv4Addr::BROADCAST),
        Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)),
    };
    let (source, destination) = (if *source_port { u16::MAX } else { 0 }, u16::MAX);
    let l4 = match tuple.l4 {
        L4::Gre { .. } => L4::Gre { source, destination },
        L4::Ports { .. } | L4::Icmp { .. } | L4::None => L4::Ports { source, destination },
    };
    let mask = Tuple { source: all, destination: all, l4, ..*tuple };
    for (prefix, tuple) in [("", tuple), ("mask-", &mask), ("master-", master)] {
        let Tuple { source, destination, .. } = tuple;
        formatted(out, format_args!(" {prefix}src={source} {prefix}dst={destination}"));
        ends(out, tuple, false);
    }
    formatted(out, format_args!(" class=0 helper={helper}"));
}

#[cfg(test)]
mod tests {
    use plimsoll_ct::Protocol;

    use super::*;

    #[test]
    fn a_line_is_the_one_that_6_18_shows() {
        let tuple = Tuple {
            source: [10, 1, 0, 1].into(),
            destination: [10, 2, 0, 1].into(),
            protocol: Protocol::Tcp,
            l4: L4::Ports { source: 0, destination: 1025 },
        };
        let master = Tuple {
            source: [10, 2, 0, 1].into(),
            destination: [10, 1, 0, 1].into(),
            protocol: Protocol::Tcp,
            l4: L4::Ports { source: 4000, destination: 21 },
        };
        let left = 299;
        let expected = Expected { left, tuple, source_port: false, master, helper: "ftp" };
        let mut lines = Vec::new();
        append_expected(&mut lines, &expected, Dialect::Proc);
        lines.push(b'\n');
        append_expected(&mut lines, &expected, Dialect::Tool);
        let shown = "299 l3proto = 2 proto=6 src=10.1.0.1 dst=10.2.0.1 sport=0 dport=1025 ftp\n\
            299 proto=6 src=10.1.0.1 dst=10.2.0.1 sport=0 dport=1025 mask-src=255.255.255.255 \
            mask-dst=255.255.255.255 sport=0 dport=65535 master-src=10.2.0.1 master-dst=10.1.0.1 \
            sport=4000 dport=21 class=0 helper=ftp";
        assert_eq!(core::str::from_utf8(&lines), Ok(shown));
        // Its time was over ten seconds ago.
        let late = Expected { left: -10, ..expected };
        for (dialect, begin) in [(Dialect::Proc, "-10 l3proto"), (Dialect::Tool, "0 proto")] {
            lines.clear();
            append_expected(&mut lines, &late, dialect);
            assert!(lines.starts_with(begin.as_bytes()), "{dialect:?}");
        }
    }
}
