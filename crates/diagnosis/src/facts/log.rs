//! What the kernel log says, over all the places it is kept in.

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::TimeRange;

use crate::Said;

/// Lines of one kind that were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The earliest line.
    pub first: Option<TimeRange>,
    /// The latest line.
    pub last: Option<TimeRange>,
    /// Lines, each counted once though several sources may hold it.
    pub lines: u64,
    /// Lower bound of the packets lost: one a line, plus what "last message repeated N times" proves.
    pub packets_at_least: u64,
    /// The same of each namespace that the lines name, the most lines first. Of lines that name very
    /// many, those beyond the first 256 inodes are in the numbers above only.
    pub namespaces: Vec<SeenIn>,
    /// One of them, as found, cleaned of control characters.
    pub example: String,
}

/// Lines of one kind that name the same namespace, or none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeenIn {
    /// Inode that the lines name; `None`: they name none.
    pub inode: Option<u64>,
    /// They were written before the kernel that was read was started. An inode then names a namespace
    /// of that time, though one of today may have the same.
    pub earlier_boot: bool,
    /// The earliest line.
    pub first: Option<TimeRange>,
    /// The latest line.
    pub last: Option<TimeRange>,
    /// The earliest line of the latest run of lines: before it none was written for five minutes.
    pub since: Option<TimeRange>,
    /// Lines.
    pub lines: u64,
    /// Lower bound of the packets lost.
    pub packets_at_least: u64,
    /// One of them.
    pub example: String,
}

impl SeenIn {
    /// All lines of a kind, whichever namespace they name.
    pub fn of_all(seen: &Seen) -> Self {
        Self {
            inode: None,
            earlier_boot: !seen.namespaces.is_empty()
                && seen.namespaces.iter().all(|n| n.earlier_boot),
            first: seen.first,
            last: seen.last,
            since: None,
            lines: seen.lines,
            packets_at_least: seen.packets_at_least,
            example: seen.example.clone(),
        }
    }
}

/// A place that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSource {
    /// `/dev/kmsg`, `journal`, `/var/log/messages.2.gz`.
    pub name: String,
    /// Lines read.
    pub lines: u64,
    /// Time of its first and last line, where they have one.
    pub from: Option<TimeRange>,
    /// See `from`.
    pub to: Option<TimeRange>,
    /// Why it was not read to its end, if so.
    pub cut: Option<String>,
}

/// What the kernel log says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogDigest {
    /// Places read.
    pub sources: Vec<LogSource>,
    /// Places that could not be read, with the reason; what would help stands at its end: `permission
    /// denied (needs root)`, `没有权限（需要：root）`.
    pub unreadable: Vec<(String, Said)>,
    /// `table full, dropping packet`.
    pub table_full: Option<Seen>,
    /// `expectation table full`: another problem.
    pub expectation_full: Option<Seen>,
    /// `neighbour: arp_cache: neighbor table overflow!` and its older forms.
    pub neighbour_overflow: Option<Seen>,
    /// `TCP: request_sock_TCP: Possible SYN flooding on port N`.
    pub listen_flood: Option<Seen>,
    /// `TCP: out of memory`, `too many orphaned sockets`.
    pub socket_memory: Option<Seen>,
    /// `page allocation failure` in the allocation of an entry: such a packet is dropped without a
    /// `table full` line.
    pub page_allocation: Option<Seen>,
    /// Messages that a rate limiter says it swallowed: all networking messages together, so it proves
    /// that something was suppressed, never how many packets were dropped.
    pub suppressed: u64,
    /// Suppression notices found.
    pub suppression_lines: u64,
    /// Lines with our words that did not come from the kernel (written into /dev/kmsg by a program);
    /// not counted above.
    pub injected: u64,
    /// Lines that the keepers of the logs say they lost and that may have been the kernel's: where
    /// this is not 0, a line that was not found may still have been written.
    pub lost: u64,
    /// `table full` lines of other hosts (a log server's files hold those), by host; not counted above.
    pub other_hosts: Vec<(String, u64)>,
    /// Buckets and limit of the kernel's boot line, `nf_conntrack version 0.5.0 (16384 buckets, 65536 max)`.
    pub boot_line: Option<(u64, u64)>,
}
