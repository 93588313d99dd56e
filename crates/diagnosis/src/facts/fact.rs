//! A value with its source, or the reason why there is none.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

/// Where a value was read: a path, a command or a netlink request, as a person would name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(pub Cow<'static, str>);

impl Source {
    /// A source that is known when the program is written.
    pub const fn of(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }
}

impl From<String> for Source {
    fn from(name: String) -> Self {
        Self(Cow::Owned(name))
    }
}

impl From<&'static str> for Source {
    fn from(name: &'static str) -> Self {
        Self::of(name)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a fact could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A right is missing.
    NotPermitted,
    /// The kernel was built without it.
    NotBuilt,
    /// The part of the kernel that tells it is not loaded; asking would load it.
    NotLoaded,
    /// This kernel generation does not have it.
    TooOld,
    /// It was there and could not be understood.
    Malformed,
    /// A dead host's files do not hold it.
    NotCollected,
    /// A tool that tells it is not installed.
    NoTool,
    /// It was not asked for, or the budget ran out.
    NotAsked,
    /// Reading failed for another reason.
    Failed,
}

impl Reason {
    /// The word used in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotPermitted => "not permitted",
            Self::NotBuilt => "not built into this kernel",
            Self::NotLoaded => "not loaded",
            Self::TooOld => "not in this kernel generation",
            Self::Malformed => "malformed",
            Self::NotCollected => "not collected",
            Self::NoTool => "no tool installed",
            Self::NotAsked => "not asked",
            Self::Failed => "failed",
        }
    }
}

/// A fact that could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Why, as a class.
    pub reason: Reason,
    /// What was tried and what was seen: "/proc/net/nf_conntrack: permission denied".
    pub detail: String,
    /// The right, file or package that would make it known: "CAP_NET_ADMIN", "root".
    pub needs: Option<String>,
}

/// A value with its source, or the reason why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact<T> {
    /// Measured.
    Known {
        /// The value.
        value: T,
        /// Where it was read.
        source: Source,
    },
    /// Not measured.
    Missing(Gap),
}

impl<T> Fact<T> {
    /// A measured value.
    pub fn known(value: T, source: impl Into<Source>) -> Self {
        Self::Known { value, source: source.into() }
    }

    /// A missing one.
    pub fn missing(reason: Reason, detail: impl Into<String>) -> Self {
        Self::Missing(Gap { reason, detail: detail.into(), needs: None })
    }

    /// A missing one, with what would help.
    pub fn missing_needs(
        reason: Reason,
        detail: impl Into<String>,
        needs: impl Into<String>,
    ) -> Self {
        Self::Missing(Gap { reason, detail: detail.into(), needs: Some(needs.into()) })
    }

    /// The value, if measured.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Known { value, .. } => Some(value),
            Self::Missing(_) => None,
        }
    }

    /// The source, if measured.
    pub const fn source(&self) -> Option<&Source> {
        match self {
            Self::Known { source, .. } => Some(source),
            Self::Missing(_) => None,
        }
    }

    /// The gap, if missing.
    pub const fn gap(&self) -> Option<&Gap> {
        match self {
            Self::Known { .. } => None,
            Self::Missing(gap) => Some(gap),
        }
    }

    /// The same fact of a value derived from this one.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Known { value, source } => Fact::Known { value: f(value), source },
            Self::Missing(gap) => Fact::Missing(gap),
        }
    }
}

impl<T: Copy> Fact<T> {
    /// The value by copy, if measured.
    pub fn get(&self) -> Option<T> {
        self.value().copied()
    }
}
