//! The result: what [`crate::diagnose`] returns and `report` shows.

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::{Bytes, Entries, Nanos, Time, TimeRange};

use crate::Said;
use crate::facts::{Gap, Origin, Owner, Source};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; no action needed.
    Info,
    /// Needs a person, not now.
    Warning,
    /// Packets are being lost, or will be within minutes.
    Critical,
}

/// The whole in one word; its exit status is 0, 1, 2, 3 in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Healthy.
    Ok,
    /// The worst finding is a warning.
    Warning,
    /// The worst finding is critical.
    Critical,
    /// Too little could be seen to tell.
    Unknown,
}

/// A measured quantity in evidence.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number.
    Count(u64),
    /// A ratio, rate or share.
    Number(f64),
    /// A word or a line.
    Text(Said),
    /// A point in time.
    Time(TimeRange),
}

/// One fact that speaks for a finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// What was measured: "entries", "drops per second".
    pub what: Said,
    /// The value.
    pub value: Value,
    /// Unit: "entries", "packets/s", "B", "s"; empty where the value is a word.
    pub unit: &'static str,
    /// Where it was read.
    pub source: Source,
}

/// A finding on this host.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// `CT001`
    pub id: &'static str,
    /// `table-full`
    pub name: &'static str,
    /// How bad it is here.
    pub severity: Severity,
    /// Index into [`Diagnosis::namespaces`], or `None` when it is about the whole host.
    pub namespace: Option<usize>,
    /// One sentence with the numbers of this host.
    pub summary: Said,
    /// What speaks for it.
    pub evidence: Vec<Evidence>,
}

/// The remedies by id.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum RemedyId {
    /// Raise limit and buckets now.
    Raise,
    /// Make settings survive the boot.
    Persist,
    /// Shorten a timeout.
    Timeout,
    /// Untrack a hot port.
    Bypass,
    /// Keep a way in when the table is full.
    Lifeline,
    /// Delete what may go.
    Shed,
    /// Limit one source or tenant.
    Limit,
    /// Stop tracking altogether.
    Unload,
    /// Nothing to do about conntrack.
    NoneNeeded,
}

impl RemedyId {
    /// The word used in output: `raise`, `none-needed`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raise => "raise",
            Self::Persist => "persist",
            Self::Timeout => "timeout",
            Self::Bypass => "bypass",
            Self::Lifeline => "lifeline",
            Self::Shed => "shed",
            Self::Limit => "limit",
            Self::Unload => "unload",
            Self::NoneNeeded => "none-needed",
        }
    }
}

/// A remedy for this host, with the exact commands of its kernel generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Remedy {
    /// Which.
    pub id: RemedyId,
    /// A few words: "raise the limit to 524,288".
    pub title: Said,
    /// Ids of the findings it answers.
    pub findings: Vec<&'static str>,
    /// The commands of ours that carry it out: `plimsoll fix raise --max 524288`. Lines beginning with `#` are
    /// remarks. Empty where no such command does it.
    pub fix: Vec<Said>,
    /// The same without us: commands in order, ready to paste into a root shell of this host. Lines beginning
    /// with `#` are remarks.
    pub commands: Vec<Said>,
    /// Memory that it may take over all namespaces, worst case; negative for what it frees is not
    /// said here. `None` when it has nothing to do with memory or sizes are unknown.
    pub memory: Option<Bytes>,
    /// What may go wrong.
    pub risk: Said,
    /// What will be different.
    pub effect: Said,
    /// Reasons why it must not be done on this host (NAT, containers, firewalld …); empty: it may.
    pub refused: Vec<Said>,
}

/// A rate per second, or why there is none.
pub type Rate = Result<f64, Gap>;

/// Rates over the measured interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Rates {
    /// New entries.
    pub new: Rate,
    /// Where `new` comes from, in words for a person ("two samples of the table, 1.0 s apart").
    pub new_source: Said,
    /// Entries gone (expired, deleted, evicted).
    pub expired: Rate,
    /// Packets dropped by conntrack.
    pub drop: Rate,
    /// Entries evicted in the packet path.
    pub early_drop: Rate,
    /// Packets lost at insertion.
    pub insert_failed: Rate,
    /// Packets that could not be tracked.
    pub invalid: Rate,
    /// Change of the count (may be negative).
    pub growth: Rate,
}

/// The load line of one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Entries; `None`: could not be read.
    pub count: Option<Entries>,
    /// Limit; `None`: could not be read. 0 = no limit where the generation says so.
    pub max: Option<Entries>,
    /// Not ASSURED. Scaled up from the sample to `count` when the reading was partial.
    pub evictable: Option<Entries>,
    /// ASSURED, closing.
    pub closing: Option<Entries>,
    /// The rest.
    pub protected: Option<Entries>,
    /// Entries that were read to learn the split.
    pub sampled: Option<Entries>,
    /// Whether the reading reached the end of the table.
    pub complete: bool,
}

/// One row of a "who fills it" table.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// "tcp ESTABLISHED", "443/tcp", "192.0.2.0/24".
    pub label: Said,
    /// Entries, scaled up from the sample.
    pub entries: u64,
    /// Share of all entries, 0 to 1.
    pub share: f64,
    /// Share of the group that nothing may evict, 0 to 1.
    pub protected_share: f64,
    /// Share of the group without a reply, 0 to 1.
    pub unreplied_share: f64,
}

/// Who fills it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Groups {
    /// By protocol and state.
    pub states: Vec<Group>,
    /// By service port.
    pub services: Vec<Group>,
    /// By source address or prefix: the longest prefix that still says something.
    pub sources: Vec<Group>,
    /// By destination address or prefix.
    pub destinations: Vec<Group>,
    /// ESTABLISHED TCP by idle time ("idle over 1 day").
    pub idle: Vec<Group>,
}

/// One namespace in the result.
#[derive(Debug, Clone, PartialEq)]
pub struct NamespaceReport {
    /// Shown name: "host", "ip netns web", "docker 3f2a… (nginx)", "pid 812 (named)".
    pub name: Said,
    /// All owners.
    pub owners: Vec<Owner>,
    /// Inode.
    pub inode: Option<u64>,
    /// Whether packets are tracked: `None` when it could not be told; with the proof.
    pub tracking: Option<(bool, Said)>,
    /// Load line.
    pub load: Load,
    /// Rates.
    pub rates: Rates,
    /// Totals since boot by counter name: (name, value), as the statistics give them.
    pub totals: Vec<(&'static str, u64)>,
    /// Who fills it.
    pub groups: Groups,
    /// At this growth the limit (protected occupancy reaching it) comes in so many seconds.
    pub full_in: Option<f64>,
}

/// Drops, past and present, over the whole host.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Drops {
    /// Packets per second now, over all namespaces; `None`: not measured.
    pub now: Option<f64>,
    /// Packets dropped since boot by the statistics (all causes), over all namespaces.
    pub counted: Option<u64>,
    /// First line in the log.
    pub first: Option<TimeRange>,
    /// Last line in the log.
    pub last: Option<TimeRange>,
    /// Lines.
    pub log_lines: Option<u64>,
    /// Lower bound of the packets that the log proves.
    pub packets_at_least: Option<u64>,
    /// Suppressed messages (of all networking), if any notice was found.
    pub suppressed: Option<u64>,
}

/// A look-alike that was looked for and is not there.
#[derive(Debug, Clone, PartialEq)]
pub struct Excluded {
    /// Id of the finding that it would have been.
    pub id: &'static str,
    /// The counter that excludes it, with its value.
    pub because: Said,
}

/// Something that could not be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingFact {
    /// What: "entries of namespace web".
    pub fact: Said,
    /// Why.
    pub reason: Said,
    /// The right, file or package that would make it known.
    pub needs: Option<Said>,
}

/// What is said of the host itself.
#[derive(Debug, Clone, PartialEq)]
pub struct HostSummary {
    /// Name, if known.
    pub name: Option<String>,
    /// Kernel release, if known.
    pub kernel: Option<String>,
    /// Name of the kernel profile in use.
    pub profile: &'static str,
    /// What was read.
    pub origin: Origin,
    /// When.
    pub at: Time,
    /// Span over which the rates were measured.
    pub interval: Option<Nanos>,
    /// Memory of one entry (slab and extension), as used in the prices.
    pub entry_bytes: Bytes,
    /// Buckets.
    pub buckets: Option<u64>,
    /// Memory.
    pub memory_total: Option<Bytes>,
}

/// The result.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosis {
    /// The host.
    pub host: HostSummary,
    /// The whole in one word.
    pub verdict: Verdict,
    /// One sentence that a person can paste: what is going on and why.
    pub headline: Said,
    /// Namespaces: the initial one first, then by fullness.
    pub namespaces: Vec<NamespaceReport>,
    /// Drops.
    pub drops: Drops,
    /// Findings, the state of the table first, then by how much they explain.
    pub findings: Vec<Finding>,
    /// Remedies, best first.
    pub remedies: Vec<Remedy>,
    /// Look-alikes that were ruled out.
    pub excluded: Vec<Excluded>,
    /// What could not be seen.
    pub missing: Vec<MissingFact>,
    /// Notes on method that the reader should know ("reading the table removed the expired entries it
    /// met"), one sentence each.
    pub notes: Vec<Said>,
}
