//! The command line of `plimsoll top`, as data.

use std::time::Duration;

use clap::Args;
use plimsoll_flows::Order;

use crate::arguments::{Lang, When, interval};
use crate::flows::arguments::{ReaderChoice, order};

/// `plimsoll top`.
#[derive(Debug, Args)]
pub struct Top {
    /// Which entries; all when left out
    pub filter: Vec<String>,
    /// By what they are added up at first
    #[arg(long, value_name = "KEYS", default_value = "state,service")]
    pub by: String,
    /// Which groups come first
    #[arg(long, value_name = "WHAT", default_value = "entries", value_parser = order())]
    pub sort: Order,
    /// Of this network namespace: a name, an inode, a process id, a container id, "host" or "own"
    /// (repeatable) [default: own]
    #[arg(long, value_name = "NETNS")]
    pub netns: Vec<String>,
    /// Of all network namespaces
    #[arg(long, conflicts_with = "netns")]
    pub all_netns: bool,
    /// How to read the table
    #[arg(long, value_name = "READER", default_value = "auto")]
    pub reader: ReaderChoice,
    /// Seconds from one reading to the next, if that can be afforded
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    pub interval: Duration,
    /// Leave the mouse to the terminal (the key m does so later)
    #[arg(long)]
    pub no_mouse: bool,
    /// Colour: unless NO_COLOR is set, always, or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: When,
    /// Language of the screen [default: zh when the locale says so]
    #[arg(long, value_name = "LANG")]
    pub lang: Option<Lang>,
    /// Only ASCII characters: in English, so not with --lang zh
    #[arg(long)]
    pub ascii: bool,
    /// Times in UTC, not in this host's zone
    #[arg(long)]
    pub utc: bool,
}
