//! Why something was not done.

use std::fmt;
use std::io;

/// Why something was not done. What it says of the state of the system is in its words.
#[derive(Debug)]
pub enum ApplyError {
    /// The plan itself says that it must not be done here.
    Refused(Vec<String>),
    /// Another transaction is at work.
    Busy {
        /// Process that holds the lock, if it wrote its id.
        pid: Option<u32>,
    },
    /// A transaction waits for its confirmation.
    Pending {
        /// Its number.
        id: u64,
        /// Seconds until it is taken back.
        left: u64,
    },
    /// Something can't be done on this system, and nothing was changed.
    Unfit {
        /// What would have been touched.
        what: String,
        /// Why not.
        why: String,
    },
    /// The world is not as the plan, or the transaction, left it. Nothing was changed.
    Changed(Vec<String>),
    /// A step failed, and what was done before it was taken back.
    Failed {
        /// Number of the transaction.
        id: u64,
        /// The step.
        what: String,
        /// Why.
        why: String,
        /// What could not be taken back, a sentence each; empty: the old state is back.
        left: Vec<String>,
    },
    /// There is no such transaction, or it is not in a state for that.
    NoSuch(String),
    /// The journal can't be read or written.
    Journal {
        /// Which file.
        path: String,
        /// Why.
        why: String,
    },
}

impl ApplyError {
    pub(crate) fn unfit(what: impl Into<String>, why: impl fmt::Display) -> Self {
        Self::Unfit { what: what.into(), why: why.to_string() }
    }

    /// The same of an error that came before the first change.
    pub(crate) fn before_any(self) -> Self {
        match self {
            Self::Journal { path, why } => Self::Unfit { what: path, why },
            other => other,
        }
    }

    pub(crate) fn journal(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |error| Self::Journal { path: path.display().to_string(), why: plain(&error) }
    }
}

/// The system's words without Rust's "(os error 28)", and who would be let do it.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    let mut plain: String = match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => text.to_owned(),
    };
    let refused = error.kind() == io::ErrorKind::PermissionDenied;
    if refused && !rustix::process::geteuid().is_root() {
        plain.push_str(" (run it as root)");
    }
    plain
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reasons) => write!(f, "refused: {}", reasons.join("; ")),
            Self::Busy { pid: Some(pid) } => {
                write!(
                    f,
                    "another plimsoll is changing this system (process {pid}); nothing was changed"
                )
            }
            Self::Busy { pid: None } => {
                f.write_str("another plimsoll is changing this system; nothing was changed")
            }
            Self::Pending { id, left } => write!(
                f,
                "transaction {id} waits for `plimsoll confirm` (or `plimsoll undo`), {left} s are left; \
                 nothing was changed"
            ),
            Self::Unfit { what, why } => write!(f, "{what}: {why}; nothing was changed"),
            Self::Changed(what) => {
                write!(f, "changed since: {}; nothing was changed", what.join("; "))
            }
            Self::Failed { id, what, why, left } if left.is_empty() => {
                write!(f, "{what}: {why}; transaction {id} was taken back, the old state stands")
            }
            Self::Failed { id, what, why, left } => write!(
                f,
                "{what}: {why}; transaction {id} was taken back, but for: {}",
                left.join("; ")
            ),
            Self::NoSuch(why) => f.write_str(why),
            Self::Journal { path, why } => write!(f, "{path}: {why}"),
        }
    }
}

impl std::error::Error for ApplyError {}
