//! The command line of `plimsoll flows`, as data.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use plimsoll_flows::Order;
use plimsoll_probe::entries::Which;
use plimsoll_report::Language;

use super::form::Output;
use crate::arguments::{Lang, seconds};
use crate::terminal;

/// `plimsoll flows`.
#[derive(Debug, Args)]
pub struct Flows {
    /// Which entries; all when left out
    pub filter: Vec<String>,
    /// Add them up by these keys: proto, family, state, class, service, dport, sport, src, dst, reply-src,
    /// reply-dst (each may be cut: src/24), direction, netns, process, unit, container, pod, zone, mark,
    /// helper, age, idle, expires
    #[arg(long, value_name = "KEYS")]
    pub by: Option<String>,
    /// How many groups [default: 20 in a table, else all]
    #[arg(long, value_name = "N", requires = "by")]
    pub top: Option<usize>,
    /// Which groups come first
    #[arg(long, value_name = "WHAT", default_value = "entries", requires = "by", value_parser = order())]
    pub sort: Order,
    /// Stop after so many entries, or events (for groups: --top)
    #[arg(long, value_name = "N", conflicts_with = "by", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// table, json (lines), csv, parquet, proc, or conntrack, with its options behind commas: extended, id,
    /// ktimestamp, timestamp, labels, save, xml; json, csv and parquet with ids: json,id [default: table]
    #[arg(long, short, value_name = "FORM")]
    pub output: Option<Output>,
    /// The same as --output json
    #[arg(long, conflicts_with = "output")]
    pub json: bool,
    /// Of this network namespace: a name, an inode, a process id, a container id, "host" or "own"
    /// (repeatable) [default: own]
    #[arg(long, value_name = "NETNS", conflicts_with = "from")]
    pub netns: Vec<String>,
    /// Of all network namespaces
    #[arg(long, conflicts_with_all = ["netns", "from", "root", "bundle"])]
    pub all_netns: bool,
    /// A saved listing: /proc/net/nf_conntrack or ip_conntrack of any kernel, conntrack -L in any of its
    /// forms, plain or compressed; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["root", "bundle"])]
    pub from: Option<PathBuf>,
    /// A dead host: a directory that holds its proc/
    #[arg(long, value_name = "DIR", conflicts_with = "bundle")]
    pub root: Option<PathBuf>,
    /// A dead host: a sosreport archive
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// Show entries as they come, change and go, as conntrack -E does, until interrupted. What is lost on
    /// the way is found by reading the table again
    #[arg(long, short, conflicts_with_all = ["by", "from", "root", "bundle", "reader", "budget"])]
    pub watch: bool,
    /// With --watch: how many bytes of events the kernel keeps for us
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 20, requires = "watch")]
    pub buffer: usize,
    /// How to read the running host's table
    #[arg(long, value_name = "READER", default_value = "auto", conflicts_with_all = ["from", "root", "bundle"])]
    pub reader: ReaderChoice,
    /// Kernel time that reading may take; beyond it a part of the table is read, and that is said [default:
    /// as long as it takes]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with_all = ["from", "root", "bundle"])]
    pub budget: Option<Duration>,
    /// Say nothing on standard error but errors
    #[arg(long, short)]
    pub quiet: bool,
    /// Columns of the table [default: the terminal's; 80 on a pipe]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(60..=240))]
    pub width: Option<u16>,
    /// Language of the table, and of what is said on standard error [default: zh when the locale says so]; the other
    /// forms are English
    #[arg(long, value_name = "LANG")]
    pub lang: Option<Lang>,
    /// Only ASCII characters: in English, so not with --lang zh
    #[arg(long)]
    pub ascii: bool,
}

impl Flows {
    /// The language that is asked for.
    pub fn language(&self) -> Language {
        terminal::spoken(self.lang, self.ascii)
    }
}

/// What comes first, by its word.
pub fn order() -> impl TypedValueParser<Value = Order> {
    let named = |word: String| Order::ALL.into_iter().find(|order| order.name() == word);
    PossibleValuesParser::new(Order::ALL.map(Order::name))
        .map(move |word| named(word).unwrap_or_default())
}

/// Ways to read the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReaderChoice {
    /// The fastest that is there and tells what is asked for.
    Auto,
    /// BPF programs that walk the table in place.
    Bpf,
    /// ctnetlink.
    Netlink,
    /// /proc/net/nf_conntrack.
    Proc,
}

impl From<ReaderChoice> for Which {
    fn from(choice: ReaderChoice) -> Self {
        match choice {
            ReaderChoice::Auto => Self::Auto,
            ReaderChoice::Bpf => Self::Bpf,
            ReaderChoice::Netlink => Self::Netlink,
            ReaderChoice::Proc => Self::Proc,
        }
    }
}
