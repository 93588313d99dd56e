//! One change: what is written, what must stand there before, and what brings that back.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Said;

use super::{FileState, Filter, Placed};

/// How a written value reads back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Readback {
    /// As written.
    Exact,
    /// The kernel may round it up: buckets come in whole pages.
    RoundedUp,
}

/// A change that is carried out only if it is still wanted when its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Only while packets are still being dropped.
    pub while_dropping: bool,
    /// Only with so many bytes of memory available.
    pub available: u64,
}

/// One kernel value, by the path of its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// /proc/sys/net/netfilter/nf_conntrack_max, /sys/module/nf_conntrack/parameters/hashsize.
    pub path: String,
    /// What it reads before; something else there stops the transaction.
    pub before: String,
    /// What is written.
    pub after: String,
    /// How it reads back.
    pub readback: Readback,
    /// Under what condition; `None`: always.
    pub step: Option<Step>,
}

/// A file made, replaced or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// Absolute path on the host. A link stays a link: its target is written.
    pub path: String,
    /// What is there before; `None`: nothing.
    pub before: Option<FileState>,
    /// What is there after; `None`: nothing.
    pub after: Option<FileState>,
}

/// A table of our own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NftTable {
    /// `ip`, `ip6`, `inet`.
    pub family: String,
    /// Name: begins with `plimsoll`.
    pub name: String,
}

/// A rule of ours in somebody else's chain, found again by its comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnRule {
    /// Family of the table.
    pub family: String,
    /// Table.
    pub table: String,
    /// Chain.
    pub chain: String,
    /// The whole comment; begins with `plimsoll`, and no other rule of the chain has it.
    pub comment: String,
}

/// One transaction of nftables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NftChange {
    /// Text for `nft -f -`, all or nothing.
    pub apply: String,
    /// Tables of our own that `apply` makes. They must not exist before; they are read back whole, and
    /// `undo` wants them unchanged, and deletes them.
    pub tables: Vec<NftTable>,
    /// Rules of ours in other chains, which `undo` deletes by the handles that they turn out to have, in the same
    /// transaction.
    pub rules: Vec<OwnRule>,
    /// Those chains, if the places in them were chosen by the rules they had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placed: Vec<Placed>,
}

/// One transaction of iptables-restore for one table of one family and back end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IptablesChange {
    /// `iptables-restore`, `ip6tables-restore`, `iptables-legacy-restore`, `iptables-nft-restore` …
    pub restore: String,
    /// Its counterpart: `iptables-save` …
    pub save: String,
    /// The one table touched, `raw` or `filter`: what is atomic is the COMMIT of one table.
    pub table: String,
    /// Text for `-n` (`--noflush`): whole, with `*table` and `COMMIT`.
    pub apply: String,
    /// Text that takes it back.
    pub revert: String,
    /// Pieces of text that only lines of ours in `*-save` have, each of which is there after and not
    /// before: `--comment "plimsoll: …"`, `:PLIMSOLL-443 `.
    pub marks: Vec<String>,
    /// Chains of others in which the places of ours were chosen by the rules they had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placed: Vec<Placed>,
}

/// One module with the parameters it is to be loaded with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadModule {
    /// Name.
    pub name: String,
    /// `hashsize=65536` …
    pub parameters: Vec<String>,
}

/// Modules taken out of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModulesChange {
    /// In the order of removal. Loaded again in the opposite order.
    pub unload: Vec<LoadModule>,
    /// Modules put in, in order; taken out again in the opposite order.
    pub load: Vec<LoadModule>,
    /// Kernel values, by path, that are written once the modules that were taken out are loaded again: they go with
    /// them.
    #[serde(default)]
    pub settings: Vec<(String, String)>,
}

/// A named timeout policy (nfnetlink_cttimeout), for rules of xtables: nftables has its own objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// Name: of at most four characters; it must not exist before.
    pub name: String,
    /// `inet` or `inet6`.
    pub family: String,
    /// `tcp`, `udp` …
    pub protocol: String,
    /// State to seconds: `established` to 7440.
    pub timeouts: Vec<(String, u64)>,
}

/// Entries deleted in bounded batches. Can't be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteEntries {
    /// Which.
    pub filter: Filter,
    /// How many there were when the plan was made.
    pub expected: u64,
    /// Entries in one batch.
    pub batch: u32,
    /// Never more than so many; 0: no bound.
    pub at_most: u64,
    /// They are of traffic that is not tracked any more: without them nothing is lost, and there is nothing to bring
    /// back.
    #[serde(default)]
    pub left_over: bool,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A kernel value.
    Setting(Setting),
    /// A file.
    File(FileChange),
    /// Rules, by nftables.
    Nft(NftChange),
    /// Rules, by iptables-restore.
    Iptables(IptablesChange),
    /// A timeout policy.
    Policy(PolicyChange),
    /// Modules.
    Modules(ModulesChange),
    /// Entries.
    Delete(DeleteEntries),
}

impl NftTable {
    /// `table inet plimsoll`
    pub fn said(&self) -> Said {
        let Self { family, name } = self;
        said!("table {family} {name}", "表 {family} {name}")
    }
}

impl OwnRule {
    /// `a rule in inet filter input`
    pub fn said(&self) -> Said {
        let Self { family, table, chain, comment: _ } = self;
        said!("a rule in {family} {table} {chain}", "{family} {table} {chain} 里的一条规则")
    }
}

impl Change {
    /// Whether it can be taken back.
    pub const fn reversible(&self) -> bool {
        match self {
            Self::Setting(_)
            | Self::File(_)
            | Self::Nft(_)
            | Self::Iptables(_)
            | Self::Policy(_)
            | Self::Modules(_) => true,
            Self::Delete(d) => d.left_over,
        }
    }

    /// Whether a reboot takes it back by itself.
    pub const fn volatile(&self) -> bool {
        match self {
            Self::Setting(_)
            | Self::Nft(_)
            | Self::Iptables(_)
            | Self::Policy(_)
            | Self::Modules(_)
            | Self::Delete(_) => true,
            Self::File(_) => false,
        }
    }

    /// What it does, in a few words: `nf_conntrack_max = 65536`.
    pub fn does(&self) -> Said {
        match self {
            Self::Setting(s) => {
                let name = s.path.rsplit('/').next().unwrap_or(&s.path);
                said!("{name} = {}", "{name} = {}", s.after.trim())
            }
            Self::File(f) if f.after.is_none() => said!("remove {}", "删除 {}", f.path),
            Self::File(f) => said!("write {}", "写入 {}", f.path),
            Self::Delete(d) => {
                let filter = d.filter.said();
                said!("delete entries ({filter})", "删除条目（{filter:#}）")
            }
            // Its rules elsewhere go with its table.
            Self::Nft(n) if !n.tables.is_empty() => {
                let tables: Vec<Said> = n.tables.iter().map(NftTable::said).collect();
                Said::join(&tables, &Said::of(", ", "、"))
            }
            Self::Nft(_) | Self::Iptables(_) | Self::Policy(_) | Self::Modules(_) => self.subject(),
        }
    }

    /// What it touches, in a few words: "nf_conntrack_max", "/etc/sysctl.d/90-plimsoll.conf", "table inet
    /// plimsoll_bypass".
    pub fn subject(&self) -> Said {
        match self {
            Self::Setting(s) => Said::name(s.path.as_str()),
            Self::File(f) => Said::name(f.path.as_str()),
            Self::Nft(n) => {
                let tables = n.tables.iter().map(NftTable::said);
                let rules = n.rules.iter().map(OwnRule::said);
                let all: Vec<Said> = tables.chain(rules).collect();
                Said::join(&all, &Said::of(", ", "、"))
            }
            Self::Iptables(i) => {
                said!("{} table {}", "{} 的表 {}", i.restore, i.table)
            }
            Self::Policy(p) => said!("timeout policy {}", "超时策略 {}", p.name),
            Self::Modules(m) => {
                let unload = m.unload.iter().map(|m| format!("-{}", m.name));
                let load = m.load.iter().map(|m| format!("+{}", m.name));
                let names: Vec<String> = unload.chain(load).collect();
                said!("modules {}", "模块 {}", names.join(" "))
            }
            Self::Delete(d) => {
                let filter = d.filter.said();
                said!("entries: {filter}", "条目：{filter:#}")
            }
        }
    }
}
