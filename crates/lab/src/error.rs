//! What can stop the laboratory.

use plimsoll_ct::{Buckets, Bytes, Entries};
use plimsoll_wire::Malformed;
use std::fmt;
use std::io::{self, Write};

use crate::Attempt;

/// Why the laboratory could not do what was asked.
#[derive(Debug)]
pub enum LabError {
    /// Making namespaces needs root.
    NotRoot,
    /// `ip` is not installed.
    NoIp,
    /// Neither `nft` nor `iptables` is.
    NoFirewall,
    /// A program said no.
    Refused {
        /// The command, as one would type it.
        command: String,
        /// What it wrote to its standard error.
        said: String,
    },
    /// What was made could not be undone.
    NotCleanedUp {
        /// What was to be.
        what: String,
        /// What went wrong.
        said: String,
    },
    /// The system said no.
    System {
        /// What was tried.
        doing: Attempt,
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

/// `{}` is the English, `{:#}` the Chinese.
impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chinese = f.alternate();
        match self {
            Self::Unlimited if chinese => f.write_str("0 表示完全没有上限"),
            Self::Unlimited => f.write_str("0 means no limit at all"),
            Self::LongChains { buckets } if chinese => {
                write!(f, "只有 {buckets} 个桶，平均每个桶会超过 8 个条目")
            }
            Self::LongChains { buckets } => {
                write!(f, "more than 8 entries for each of {buckets} buckets")
            }
            Self::Loss { namespace, count } if chinese => {
                write!(f, "命名空间 {namespace} 里已有 {count} 个条目，会丢包")
            }
            Self::Loss { namespace, count } => {
                write!(f, "the namespace {namespace} holds {count} entries and would lose packets")
            }
        }
    }
}

impl LabError {
    pub(crate) fn system(doing: Attempt) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing, source }
    }

    /// Says it on standard error, where no caller is left to say it. That nobody can be told stops nothing.
    pub(crate) fn tell(&self) {
        let _ = writeln!(io::stderr(), "plimsoll lab: {self}");
    }

    pub(crate) fn errno(doing: Attempt) -> impl FnOnce(nix::errno::Errno) -> Self {
        move |errno| Self::System { doing, source: errno.into() }
    }
}

/// `{}` is the English, `{:#}` the Chinese; what the system and other programs say, and where a text is malformed, is English
/// in both.
impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() { self.chinese(f) } else { self.english(f) }
    }
}

impl LabError {
    fn english(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRoot => f.write_str("the lab makes network namespaces, which needs root"),
            Self::NoIp => f.write_str("ip is missing: install the package iproute2"),
            Self::NoFirewall => f.write_str(
                "nft or iptables is missing: install the package nftables or iptables",
            ),
            Self::Refused { command, said } => write!(f, "`{command}` failed: {}", said.trim()),
            Self::NotCleanedUp { what, said } => {
                write!(f, "cleaning up {what} failed: {}", said.trim())
            }
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

    fn chinese(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRoot => f.write_str("演示要新建网络命名空间，这需要 root"),
            Self::NoIp => f.write_str("缺少 ip：请安装软件包 iproute2"),
            Self::NoFirewall => {
                f.write_str("缺少 nft 或 iptables：请安装软件包 nftables 或 iptables")
            }
            Self::Refused { command, said } => write!(f, "`{command}` 失败：{}", said.trim()),
            Self::NotCleanedUp { what, said } => write!(f, "清理 {what} 失败：{}", said.trim()),
            Self::System { doing, source } => write!(f, "{doing:#}：{source}"),
            Self::Unexpected { file, saw } => write!(f, "{file}：看不懂 {saw:?}"),
            Self::Malformed { file, malformed } => write!(f, "{file} {malformed:#}"),
            Self::NoConntrack => f.write_str(
                "没有加载 nf_conntrack，而演示加载的模块会留下来：请先运行 modprobe nf_conntrack",
            ),
            Self::Memory { needed, available } => write!(
                f,
                "表满需要 {} MiB，可用 {} MiB：演示期间请降低上限（--max）",
                needed.get() >> 20,
                available.get() >> 20,
            ),
            Self::LimitBusy => {
                f.write_str("另一个演示正在运行，它依赖 nf_conntrack_max 或已改动它：等它结束再试")
            }
            Self::LimitRefused { limit, harm } => {
                write!(f, "不接受 nf_conntrack_max = {limit}：{harm:#}")
            }
        }
    }
}

impl std::error::Error for LabError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { source, .. } => Some(source),
            Self::NotRoot
            | Self::NoIp
            | Self::NoFirewall
            | Self::Refused { .. }
            | Self::NotCleanedUp { .. }
            | Self::Unexpected { .. }
            | Self::Malformed { .. }
            | Self::NoConntrack
            | Self::Memory { .. }
            | Self::LimitBusy
            | Self::LimitRefused { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::attempt;

    #[test]
    fn what_stops_the_lab_is_there_in_both_languages() {
        let refused = |harm| LabError::LimitRefused { limit: Entries(9), harm };
        let file = "/proc/sys/net/netfilter/nf_conntrack_max";
        let system = |doing| LabError::System { doing, source: io::Error::from_raw_os_error(13) };
        for (error, english, chinese) in [
            (
                refused(Harm::Unlimited),
                "nf_conntrack_max = 9 is refused: 0 means no limit at all",
                "不接受 nf_conntrack_max = 9：0 表示完全没有上限",
            ),
            (
                refused(Harm::LongChains { buckets: Buckets(2) }),
                "nf_conntrack_max = 9 is refused: more than 8 entries for each of 2 buckets",
                "不接受 nf_conntrack_max = 9：只有 2 个桶，平均每个桶会超过 8 个条目",
            ),
            (
                LabError::NoFirewall,
                "nft or iptables is missing: install the package nftables or iptables",
                "缺少 nft 或 iptables：请安装软件包 nftables 或 iptables",
            ),
            (
                system(Attempt::set_limit(5)),
                "setting nf_conntrack_max to 5: Permission denied (os error 13)",
                "把 nf_conntrack_max 设为 5：Permission denied (os error 13)",
            ),
            (
                system(Attempt::read(file)),
                "reading /proc/sys/net/netfilter/nf_conntrack_max: Permission denied (os error 13)",
                "读取 /proc/sys/net/netfilter/nf_conntrack_max：Permission denied (os error 13)",
            ),
            (
                system(attempt!("sending a packet to {}", "发包给 {}", 7)),
                "sending a packet to 7: Permission denied (os error 13)",
                "发包给 7：Permission denied (os error 13)",
            ),
        ] {
            assert_eq!((error.to_string(), format!("{error:#}")), (english.into(), chinese.into()));
        }
    }
}
