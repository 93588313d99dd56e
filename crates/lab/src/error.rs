//! What can stop the laboratory.

use plimsoll_ct::{Buckets, Bytes, Entries};
use plimsoll_wire::Malformed;
use std::fmt;
use std::io;

/// Why the laboratory could not do what was asked.
#[derive(Debug)]
pub enum LabError {
    /// Making namespaces needs root.
    NotRoot,
    /// A program is not installed.
    NoProgram {
        /// What was looked for, as one would type it.
        program: &'static str,
        /// The package that usually has it.
        package: &'static str,
    },
    /// A program said no.
    Refused {
        /// The command, as one would type it.
        command: String,
        /// What it wrote to its standard error.
        said: String,
    },
    /// The system said no.
    System {
        /// What was tried.
        doing: String,
        /// What the system answered.
        source: io::Error,
    },
    /// A file of the kernel did not look as expected.
    Unexpected {
        /// The file.
        file: String,
        /// What was seen in it.
        saw: String,
    },
    /// A text of the kernel that could not be read.
    Malformed {
        /// The file.
        file: String,
        /// Where in it, what was expected, what was seen.
        malformed: Malformed,
    },
    /// This kernel has no connection tracking at work, and the lab does not switch it on for good.
    NoConntrack,
    /// A full table would not fit into the memory that is free.
    Memory {
        /// What the incident would need.
        needed: Bytes,
        /// What the kernel says is available.
        available: Bytes,
    },
    /// Other laboratories are running: the limit cannot be changed, or is changed by one of them.
    LimitBusy,
    /// The limit that was asked for would do harm, so it was not set.
    LimitRefused {
        /// The limit asked for.
        limit: Entries,
        /// Why not.
        harm: Harm,
    },
}

/// What a limit would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Harm {
    /// 0: no limit at all.
    Unlimited,
    /// More than eight entries per bucket.
    LongChains {
        /// The buckets there are.
        buckets: Buckets,
    },
    /// A namespace holds more already.
    Loss {
        /// Its name.
        namespace: String,
        /// Its entries.
        count: Entries,
    },
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("0 means no limit at all"),
            Self::LongChains { buckets } => {
                write!(f, "more than 8 entries for each of {buckets} buckets")
            }
            Self::Loss { namespace, count } => {
                write!(f, "the namespace {namespace} holds {count} entries and would lose packets")
            }
        }
    }
}

impl LabError {
    pub(crate) fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::System { doing, source }
    }

    pub(crate) fn errno(doing: impl Into<String>) -> impl FnOnce(nix::errno::Errno) -> Self {
        let doing = doing.into();
        move |errno| Self::System { doing, source: errno.into() }
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRoot => f.write_str("the lab makes network namespaces, which needs root"),
            Self::NoProgram { program, package } => {
                write!(f, "{program} is missing: install the package {package}")
            }
            Self::Refused { command, said } => write!(f, "`{command}` failed: {}", said.trim()),
            Self::System { doing, source } => write!(f, "{doing}: {source}"),
            Self::Unexpected { file, saw } => write!(f, "{file}: cannot make sense of {saw:?}"),
            Self::Malformed { file, malformed } => write!(f, "{file}, {malformed}"),
            Self::NoConntrack => f.write_str(
                "nf_conntrack is not loaded, and a module that the lab loads would stay: modprobe nf_conntrack first",
            ),
            Self::Memory { needed, available } => write!(
                f,
                "a full table needs {} MiB, available are {} MiB: lower the limit for the time of the lab (--max)",
                needed.get() >> 20,
                available.get() >> 20,
            ),
            Self::LimitBusy => f.write_str(
                "another lab is running that relies on nf_conntrack_max, or has changed it: try again when it is over",
            ),
            Self::LimitRefused { limit, harm } => {
                write!(f, "nf_conntrack_max = {limit} is refused: {harm}")
            }
        }
    }
}

impl std::error::Error for LabError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { source, .. } => Some(source),
            Self::NotRoot
            | Self::NoProgram { .. }
            | Self::Refused { .. }
            | Self::Unexpected { .. }
            | Self::Malformed { .. }
            | Self::NoConntrack
            | Self::Memory { .. }
            | Self::LimitBusy
            | Self::LimitRefused { .. } => None,
        }
    }
}
