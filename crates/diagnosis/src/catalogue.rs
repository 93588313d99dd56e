//! The findings by id. Ids are stable: new ones get new numbers, none is ever reused.

use crate::Severity;

/// What is always true of a finding, whatever host it is found on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// `CT001`
    pub id: &'static str,
    /// `table-full`
    pub name: &'static str,
    /// A few words for a heading.
    pub title: &'static str,
    /// The severity it usually has; a finding may carry another one.
    pub severity: Severity,
}

impl Definition {
    /// By id, in any case (`ct001`), or by name.
    pub fn find(text: &str) -> Option<&'static Self> {
        CATALOGUE.iter().find(|d| d.id.eq_ignore_ascii_case(text) || d.name == text)
    }
}

const fn def(
    id: &'static str,
    name: &'static str,
    severity: Severity,
    title: &'static str,
) -> Definition {
    Definition { id, name, title, severity }
}

/// All findings, by id.
pub const CATALOGUE: &[Definition] = &[
    def(
        "CT001",
        "table-full",
        Severity::Critical,
        "The table is full and packets are being dropped",
    ),
    def(
        "CT002",
        "table-was-full",
        Severity::Warning,
        "The table was full and packets were dropped",
    ),
    def(
        "CT003",
        "early-drop-pressure",
        Severity::Warning,
        "The table is at its limit and lives by evicting entries",
    ),
    def(
        "CT004",
        "protected-high",
        Severity::Warning,
        "Entries that nothing may evict come near the limit",
    ),
    def("CT005", "filling", Severity::Warning, "The table will be full soon"),
    def("CT010", "unreplied-flood", Severity::Warning, "A flood of entries that nobody answers"),
    def(
        "CT011",
        "one-source-dominates",
        Severity::Warning,
        "One source or one namespace holds most of the table",
    ),
    def(
        "CT012",
        "idle-established",
        Severity::Warning,
        "Long-idle connections held by the established timeout",
    ),
    def(
        "CT013",
        "time-wait-pile-up",
        Severity::Warning,
        "Closed connections waiting out their timeout",
    ),
    def("CT020", "limit-low", Severity::Warning, "The limit is far under what memory allows"),
    def(
        "CT021",
        "memory-worst-case",
        Severity::Warning,
        "The limit times the namespaces would not fit into memory",
    ),
    def("CT022", "chains-too-long", Severity::Warning, "Too few buckets for so many entries"),
    def("CT023", "no-limit", Severity::Warning, "The table has no limit"),
    def(
        "CT030",
        "tracking-without-need",
        Severity::Warning,
        "Packets are tracked though no rule needs it",
    ),
    def("CT031", "not-tracking", Severity::Info, "Nothing is tracked: it is not conntrack"),
    def(
        "CT032",
        "count-and-list-disagree",
        Severity::Warning,
        "The count and the list of entries disagree",
    ),
    def(
        "CT040",
        "lost-at-boot",
        Severity::Warning,
        "The running value will be lost at the next boot",
    ),
    def(
        "CT041",
        "dead-generation-key",
        Severity::Warning,
        "A setting of a kernel generation that is not this one",
    ),
    def("CT042", "read-only-key", Severity::Warning, "A file tries to set a value that only reads"),
    def("CT043", "overridden-at-boot", Severity::Info, "A line of a file loses to a later one"),
    def("CT044", "unknown-key", Severity::Warning, "A file sets a key that no kernel has"),
    def(
        "CT045",
        "value-refused",
        Severity::Warning,
        "A file sets a value that the kernel refuses or misreads",
    ),
    def(
        "CT046",
        "ratio-after-boot",
        Severity::Info,
        "After the next boot limit and buckets will not fit each other",
    ),
    def(
        "CT047",
        "module-line-without-effect",
        Severity::Warning,
        "A line about the module does nothing, or keeps it from loading",
    ),
    def(
        "CT048",
        "file-not-read",
        Severity::Info,
        "A setting stands in a file that the boot does not read",
    ),
    def(
        "CT050",
        "expectation-table-full",
        Severity::Warning,
        "The expectation table is or was full",
    ),
    def(
        "CT051",
        "insert-clashes",
        Severity::Warning,
        "Packets lost in races to insert the same entry",
    ),
    def("CT052", "nat-ports-exhausted", Severity::Critical, "NAT finds no free port"),
    def(
        "CT060",
        "listen-overflow",
        Severity::Warning,
        "Listen queues overflow: the application accepts too slowly",
    ),
    def("CT061", "neighbour-overflow", Severity::Warning, "The neighbour table overflows"),
    def("CT062", "socket-memory", Severity::Warning, "TCP runs out of socket memory"),
    def(
        "CT063",
        "cloud-allowance",
        Severity::Warning,
        "The cloud's own connection tracker drops packets",
    ),
    def("CT064", "firewall-drop", Severity::Info, "Firewall rules drop packets"),
];
