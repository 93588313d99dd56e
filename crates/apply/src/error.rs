//! Why something was not done.

use std::fmt;
use std::io;

use plimsoll_diagnosis::{Said, said, system};

/// Why something was not done. What it says of the state of the system is in its words.
#[derive(Debug)]
pub enum ApplyError {
    /// The plan itself says that it must not be done here.
    Refused(Vec<Said>),
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
        what: Said,
        /// Why not.
        why: Said,
    },
    /// The world is not as the plan, or the transaction, left it. Nothing was changed.
    Changed(Vec<Said>),
    /// All of it stands already, a sentence each.
    There(Vec<Said>),
    /// Rules of ours stand that no transaction has made which stands. Nothing was changed.
    Nobodys {
        /// What came of it, a sentence each.
        what: Vec<Said>,
        /// Commands that take them away.
        commands: Vec<String>,
    },
    /// A transaction can't be taken back now, and nothing was changed.
    Stuck {
        /// Its number.
        id: u64,
        /// Why not.
        why: Said,
    },
    /// A step failed, and what was done before it was taken back.
    Failed {
        /// Number of the transaction.
        id: u64,
        /// The step, and why.
        why: Said,
        /// What could not be taken back, a sentence each; empty: the old state is back.
        left: Vec<Said>,
    },
    /// There is no such transaction, or it is not in a state for that.
    NoSuch(Said),
    /// What stands in a journal is none of ours.
    Unread {
        /// Which file.
        path: Said,
        /// What is wrong with it.
        why: Said,
    },
    /// The journal can't be read or written.
    Journal {
        /// Which file, or which work.
        path: Said,
        /// Why.
        why: Said,
    },
}

impl ApplyError {
    pub(crate) fn unfit(what: impl Into<Said>, why: impl Into<Said>) -> Self {
        Self::Unfit { what: what.into(), why: why.into() }
    }

    /// The same of an error that came before the first change.
    pub(crate) fn before_any(self) -> Self {
        match self {
            Self::Journal { path, why } => Self::Unfit { what: path, why },
            other => other,
        }
    }

    pub(crate) fn journal(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |error| Self::Journal {
            path: Said::name(path.display().to_string()),
            why: plain(&error),
        }
    }
}

/// What we said ourselves; or the system's words without Rust's "(os error 28)", and who would be let do it.
pub(crate) fn plain(error: &io::Error) -> Said {
    let ours = error.get_ref().and_then(|inner| inner.downcast_ref::<Said>());
    let lower = |text: &str| {
        let text = text.split(" (os error").next().unwrap_or(text);
        let mut letters = text.chars();
        match letters.next() {
            Some(first) => first.to_lowercase().chain(letters).collect(),
            None => text.to_owned(),
        }
    };
    let mut plain = match ours {
        Some(said) => said.map(lower),
        None => system(lower(&error.to_string())),
    };
    let refused = error.kind() == io::ErrorKind::PermissionDenied;
    if refused && !rustix::process::geteuid().is_root() {
        plain.push(&Said::of(" (run it as root)", "（请用 root 运行）"));
    }
    plain
}

/// Several, one after the other.
pub(crate) fn several(all: &[Said]) -> Said {
    Said::join(all, &Said::of("; ", "；"))
}

impl ApplyError {
    /// The whole of it, as it is told to a person.
    pub fn said(&self) -> Said {
        match self {
            Self::Refused(reasons) => {
                let reasons = several(reasons);
                said!("refused: {reasons}", "不能这样做：{reasons:#}")
            }
            Self::Busy { pid: Some(pid) } => said!(
                "another plimsoll is changing this system (process {pid}); nothing was changed",
                "另一个 plimsoll 正在改动本系统（进程 {pid}）；什么也没有改"
            ),
            Self::Busy { pid: None } => Said::of(
                "another plimsoll is changing this system; nothing was changed",
                "另一个 plimsoll 正在改动本系统；什么也没有改",
            ),
            Self::Pending { id, left } => said!(
                "transaction {id} waits for `plimsoll confirm` (or `plimsoll undo`), {left} s are left; nothing was \
                 changed",
                "事务 {id} 在等 `plimsoll confirm`（或 `plimsoll undo`），还剩 {left} 秒；什么也没有改"
            ),
            Self::Unfit { what, why } => {
                said!("{what}: {why}; nothing was changed", "{what:#}：{why:#}；什么也没有改")
            }
            Self::Stuck { id, why } => said!(
                "{why}; nothing was changed (`plimsoll undo {id} --leave-changed` leaves there what it changed, and ends it)",
                "{why:#}；什么也没有改（`plimsoll undo {id} --leave-changed` 把它改过的留在那里，就此了结）"
            ),
            Self::There(what) => {
                let what = several(what);
                said!(
                    "{what} (`plimsoll fix --list` tells of which fix, `plimsoll undo` takes that back); \
                     nothing was changed",
                    "{what:#}（`plimsoll fix --list` 列出是哪一次 fix，`plimsoll undo` 撤销它）；什么也没有改"
                )
            }
            Self::Nobodys { what, commands } => {
                let what = several(what);
                let commands: Vec<String> = commands.iter().map(|c| format!("`{c}`")).collect();
                let commands = Said::new(commands.join(", "), commands.join("、"));
                said!(
                    "{what}; rules of plimsoll's are here that no fix has made which stands (were they saved while one \
                     stood, and loaded again?): take them out of the files that load them, and away with {commands}; \
                     nothing was changed",
                    "{what:#}；这里有 plimsoll 的规则，却不属于任何仍生效的 fix（是不是在某次 fix 生效时保存了规则，后来又被\
                     加载？）：请从加载它们的文件里删去，并用 {commands:#} 去掉；什么也没有改"
                )
            }
            Self::Changed(what) => {
                let what = several(what);
                said!(
                    "changed since: {what}; nothing was changed",
                    "此后有变化：{what:#}；什么也没有改"
                )
            }
            Self::Failed { id, why, left } if left.is_empty() => said!(
                "{why}; transaction {id} was taken back, the old state stands",
                "{why:#}；事务 {id} 已撤销，恢复了原来的状态"
            ),
            Self::Failed { id, why, left } => {
                let left = several(left);
                said!(
                    "{why}; transaction {id} was taken back, but for: {left}",
                    "{why:#}；事务 {id} 已撤销，但以下除外：{left:#}"
                )
            }
            Self::NoSuch(why) => why.clone(),
            Self::Journal { path, why } | Self::Unread { path, why } => {
                said!("{path}: {why}", "{path:#}：{why:#}")
            }
        }
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said())
    }
}

impl std::error::Error for ApplyError {}
