//! The table as text: what /proc and conntrack(8) print, of every generation, to entries, and back.
//!
//! A line is read as key=value pairs behind a positional prefix (family, protocol, seconds, state).
//! Unknown keys, any order behind the reply tuple and trailing blanks are accepted, since generations
//! and vendors differ there. A line borrows from the input; only a helper's name is copied.
//!
//! Kernel: `ct_seq_show()`, net/netfilter/nf_conntrack_standalone.c; 2.4 and 2.6.18:
//! net/ipv4/netfilter/ip_conntrack_standalone.c. Tool: conntrack-tools 1.4.7.

mod digits;
mod expected;
mod parse;
pub mod save;
#[cfg(test)]
mod tests;
mod write;
pub mod xml;

pub use digits::decimal;
pub use expected::{Expected, append_expected};
pub use parse::parse;
pub use write::{append, write};

use plimsoll_ct::{Entry, Seconds, ZoneDirection};

/// One line: the entry, and what else stood there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// What every reader of the table can know.
    pub entry: Entry,
    /// Timeouts without and with reply that /proc prints for GRE.
    pub gre: Option<(Seconds, Seconds)>,
    /// A `zone=` stood there. Kernels built with zones print it even when it is 0.
    pub zone_shown: bool,
    /// `secmark=` (before about 2.6.37).
    pub secmark: Option<u32>,
    /// `secctx=`
    pub security: Option<&'a str>,
    /// `labels=`, separated by commas.
    pub labels: Option<&'a str>,
    /// What follows `[start=`: local time of the host as words, or a number.
    pub started: Option<&'a str>,
    /// What follows `[stop=`.
    pub stopped: Option<&'a str>,
}

impl From<Entry> for Line<'_> {
    /// A line of an entry from elsewhere. A zone is shown only if it has one.
    fn from(entry: Entry) -> Self {
        let zone_shown = entry.zone.id != 0 && entry.zone.direction == ZoneDirection::Both;
        Self {
            entry,
            gre: None,
            zone_shown,
            secmark: None,
            security: None,
            labels: None,
            started: None,
            stopped: None,
        }
    }
}

/// Who writes: each prints the same fields a little differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// /proc/net/nf_conntrack, 2.6.15 and later.
    Proc,
    /// /proc/net/ip_conntrack of 2.6 and the compatibility file up to about 4.8: no family.
    OldProc,
    /// /proc/net/ip_conntrack of 2.4: no family, `use=` before `mark=`.
    Proc24,
    /// `conntrack -L`: no family, short IPv6, the protocol's own details left out.
    Tool,
    /// `conntrack -L -o extended`: the same with the family.
    ToolExtended,
}
