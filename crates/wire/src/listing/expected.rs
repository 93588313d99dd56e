//! Expectations as /proc/net/nf_conntrack_expect shows them.
//!
//! Kernel: `exp_seq_show()`, net/netfilter/nf_conntrack_expect.c. Not written: flags (`PERMANENT`, `INACTIVE`,
//! `USERSPACE`), classes beside the first.

use alloc::vec::Vec;

use plimsoll_ct::{Family, Seconds, Tuple};

use super::digits::formatted;
use super::write::direction;

/// One expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected<'a> {
    /// For how long.
    pub left: Seconds,
    /// What is expected; a source port that does not matter is 0.
    pub tuple: Tuple,
    /// Who expects it.
    pub helper: &'a str,
}

/// Writes one line, without the line feed, at the end of a buffer.
pub fn append_expected(out: &mut Vec<u8>, expected: &Expected<'_>) {
    let Expected { left, tuple, helper } = expected;
    let family = match tuple.family() {
        Family::V4 => 2,
        Family::V6 => 10,
    };
    let protocol = tuple.protocol.number();
    formatted(out, format_args!("{left} l3proto = {family} proto={protocol}"));
    direction(out, tuple, true);
    formatted(out, format_args!(" {helper}"));
}

#[cfg(test)]
mod tests {
    use plimsoll_ct::{L4, Protocol};

    use super::*;

    #[test]
    fn a_line_is_the_one_that_6_18_shows() {
        let tuple = Tuple {
            source: [10, 1, 0, 1].into(),
            destination: [10, 2, 0, 1].into(),
            protocol: Protocol::Tcp,
            l4: L4::Ports { source: 0, destination: 1025 },
        };
        let mut line = Vec::new();
        append_expected(&mut line, &Expected { left: Seconds(299), tuple, helper: "ftp" });
        let shown = b"299 l3proto = 2 proto=6 src=10.1.0.1 dst=10.2.0.1 sport=0 dport=1025 ftp";
        assert_eq!(line, shown);
    }
}
