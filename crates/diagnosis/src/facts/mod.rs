//! Facts: what was read of a host, each with its source, or the reason why it could not be had.
//!
//! A [`Snapshot`] is one reading. Live, dead, recorded and replayed hosts all become this value; two of
//! them a known span apart give rates. Zero is a measurement; missing is not zero.

mod boot;
mod census;
mod census_builder;
mod change;
mod churn;
mod fact;
mod heavy;
mod host;
mod keepalives;
mod log;
mod log_builder;
mod log_tally;
mod namespace;
mod stack;
mod ways;

pub use boot::{BootFiles, Manager, ManagerKind, SysctlLoader};
pub use census::{AgeBand, Census, Churn, Prefix, Reader, Service, StateKey, Tally, Top};
pub use census_builder::{CensusBuilder, TcpTimeouts};
pub use change::{ChangedBy, SettingChange, Writer};
pub use churn::{Comparison, SampleBuilder, TableSample};
pub use fact::{Fact, Gap, Reason, Source};
pub use heavy::Heavy;
pub use host::{Host, Origin, SlabSize};
pub use keepalives::Keepalives;
pub use log::{LogDigest, LogSource, Seen, SeenIn};
pub use log_builder::LogDigestBuilder;
pub use namespace::{Namespace, Owner, Tracking};
pub use stack::{CloudAllowance, Neighbours, SocketMemory, Stack};
pub use ways::Ways;

use alloc::vec::Vec;
use plimsoll_ct::{Nanos, Time};

/// One reading of a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Wall-clock time of the reading; for a dead host the best guess at when it was saved.
    pub at: Time,
    /// Monotonic clock at the reading. Rates divide by differences of this. `None` on a dead host.
    pub monotonic: Option<Nanos>,
    /// The machine and its kernel.
    pub host: Host,
    /// Network namespaces, the initial one first. Joined with another snapshot's by inode.
    pub namespaces: Vec<Namespace>,
    /// Whether `namespaces` holds all there are; otherwise why not. [`Reason::NotAsked`] says that the
    /// caller chose some: then nothing is told of the others.
    pub namespaces_complete: Fact<()>,
    /// Whether what was saved of a dead host could be read to its end; otherwise where it broke off, and
    /// what is missing may be in the rest. Always known of a running host.
    pub whole: Fact<()>,
    /// What the kernel log says.
    pub log: Fact<LogDigest>,
    /// What the files that take part in booting say.
    pub boot: BootFiles,
    /// Allowances of the cloud's own tracker, per interface.
    pub cloud: Fact<Vec<CloudAllowance>>,
}
