//! A value with its source, or the reason why there is none.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::Said;

/// Where a value was read: a path, a command or a netlink request, as a person would name it. No text becomes one by itself:
///
/// ```compile_fail
/// let alone: plimsoll_diagnosis::facts::Source = "nobody has put this into Chinese".into();
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(pub Said);

impl Source {
    /// One that has no language: a path, a command, a name of the kernel's. What is told in words has its Chinese beside it.
    pub fn name(name: impl Into<String>) -> Self {
        Self(Said::name(name))
    }

    /// Several names.
    pub fn names<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        let names: Vec<Said> = names.into_iter().map(Said::name).collect();
        Self(Said::join(&names, &Said::of(", ", "、")))
    }
}

impl From<Said> for Source {
    fn from(words: Said) -> Self {
        Self(words)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
    pub const fn name(self) -> Said {
        match self {
            Self::NotPermitted => Said::of("not permitted", "没有权限"),
            Self::NotBuilt => Said::of("not built into this kernel", "没有编译进本内核"),
            Self::NotLoaded => Said::of("not loaded", "没有加载"),
            Self::TooOld => Said::of("not in this kernel generation", "这一代内核没有"),
            Self::Malformed => Said::of("malformed", "格式不对"),
            Self::NotCollected => Said::of("not collected", "没有收集"),
            Self::NoTool => Said::of("no tool installed", "没有安装工具"),
            Self::NotAsked => Said::of("not asked", "没有读"),
            Self::Failed => Said::of("failed", "失败"),
        }
    }
}

/// A fact that could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Why, as a class.
    pub reason: Reason,
    /// What was tried and what was seen: "/proc/net/nf_conntrack: permission denied".
    pub detail: Said,
    /// The right, file or package that would make it known: "CAP_NET_ADMIN", "root".
    pub needs: Option<Said>,
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
    pub fn missing(reason: Reason, detail: impl Into<Said>) -> Self {
        Self::Missing(Gap { reason, detail: detail.into(), needs: None })
    }

    /// A missing one, with what would help.
    pub fn missing_needs(reason: Reason, detail: impl Into<Said>, needs: impl Into<Said>) -> Self {
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
