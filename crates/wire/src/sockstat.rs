//! /proc/net/sockstat: sockets and the memory they take.
//!
//! Kernel: `sockstat_seq_show()`, net/ipv4/proc.c. `orphan` and `mem` count the whole host, in every namespace.

use crate::{Expected, Malformed};

/// The `TCP:` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sockstat {
    /// Sockets in use in this namespace.
    pub in_use: Option<u64>,
    /// Sockets without an owner.
    pub orphan: Option<u64>,
    /// Sockets in TIME_WAIT in this namespace.
    pub time_wait: Option<u64>,
    /// Pages of memory.
    pub mem: Option<u64>,
}

/// Reads the `TCP:` line by its words.
pub fn parse(text: &str) -> Result<Sockstat, Malformed> {
    let Some(line) = text.lines().find_map(|line| line.strip_prefix("TCP:")) else {
        return Err(Malformed::new(
            "sockstat",
            Expected::Words(&["a line `TCP:`", "`TCP:` 一行"]),
            text.as_bytes(),
        ));
    };
    let mut stat = Sockstat::default();
    let mut words = line.split_ascii_whitespace();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        let value = value.parse().ok();
        match name {
            "inuse" => stat.in_use = value,
            "orphan" => stat.orphan = value,
            "tw" => stat.time_wait = value,
            "mem" => stat.mem = value,
            _ => {}
        }
    }
    Ok(stat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tcp_line_is_read_by_its_words() {
        let text =
            "sockets: used 17\nTCP: inuse 1 orphan 2 tw 3 alloc 4 mem 251\nUDP: inuse 0 mem 0\n";
        let stat = parse(text).expect("reads");
        assert_eq!((stat.orphan, stat.time_wait, stat.mem), (Some(2), Some(3), Some(251)));
    }

    #[test]
    fn a_word_that_is_not_there_is_not_zero() {
        assert_eq!(parse("TCP: inuse 4 highest 8\n").expect("reads").mem, None);
        assert!(parse("UDP: inuse 0 mem 0\n").is_err());
    }
}
