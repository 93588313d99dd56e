//! The command line, as data.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::flows::arguments::Flows;
use crate::top::arguments::Top;
use clap::{Args, Parser, Subcommand, ValueEnum};
use plimsoll_ct::{Protocol, TcpState};

pub use crate::replay::Arguments as Replay;
use crate::replay::setting;

/// Keeps a Linux host's connection-tracking table (nf_conntrack) from overflowing.
///
/// Without a command it checks this host.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// What to do; `check` when left out.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of `check`.
    #[command(flatten)]
    pub check: Check,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say whether, why and since when the table drops packets, and what to do
    ///
    /// Looks at the running host, or at what was saved of a dead one (--root, --bundle). It changes
    /// nothing. Exit status: 0 healthy, 1 warning, 2 critical, 3 could not tell, 64 wrong usage.
    Check(Check),
    /// Print the page of a finding: what it means, why it happens, what to do, how to prove the cure
    Explain(Explain),
    /// Cure it: show a remedy, carry it out, prove it; --confirm takes it back unless you confirm
    ///
    /// A remedy is a transaction: it is shown, checked, written to a journal, carried out step by step, and
    /// read back. Whatever ends it half-way, the host comes out in the old or the new state.
    /// Exit status: 0 done (or shown), 1 not done, and the old state stands, 64 wrong usage.
    Fix(Fix),
    /// Keep what `plimsoll fix --confirm` did
    Confirm(Confirm),
    /// Take back what `plimsoll fix` did, also long after, also after a reboot
    Undo(Undo),
    /// Stage the overflow in throw-away network namespaces, show it, cure it, leave no trace
    Lab(Lab),
    /// Say which value each setting will have after the next boot, and why
    ///
    /// Reads all that takes part, in its order: the kernel's command line, modules-load.d, modprobe.d, sysctl.d,
    /// the firewall, udev, tuned, cloud-init, rc.local, kube-proxy; and says what is wrong with it. Needs no
    /// root and changes nothing. Exit status: 0 nothing is wrong, 1 something is, 64 wrong usage.
    Boot(Boot),
    /// Say how big the table has to be, with the arithmetic: rates × lifetimes, peak, margin, memory, chains
    ///
    /// From what this host does now, from what was saved of another (--root, --bundle), from captured packets
    /// (--capture), or from rates and lifetimes that you give. It changes nothing. Exit status: 0 the limit in
    /// force is enough, 1 it is not, 3 nothing could be measured, 64 wrong usage.
    Size(Size),
    /// Run captured packets through a model of conntrack: how full the table gets, and what it drops
    ///
    /// The model behaves as the kernel does. It takes every captured packet to be accepted by the rules.
    Replay(Replay),
    /// Say which entries fill the table: filtered, grouped, counted, watched
    ///
    /// FILTER is written as network people write it: tcp and dport 443 and not assured; src net 10.0.0.0/8;
    /// unreplied; idle > 10m; dnat to 10.0.0.5:80; pod kube-system/coredns-* (docs/flows.md). In a shell, put
    /// it in quotes.
    Flows(Flows),
    /// Watch the table: its load, how it grows, who fills it; filter, regroup, look into groups, go back in time
    ///
    /// Keys: ? shows them. It stays below 5 % of one processor, whatever the size of the table: a large one is
    /// read less often, or in part, and the screen says so. FILTER is that of `plimsoll flows`.
    Top(Top),
    /// Gives the terminal back when `top` is killed (started by `top`, not by people)
    #[command(hide = true)]
    TerminalGuard,
    /// Stands guard over a transaction (started by `fix`, not by people)
    #[command(hide = true)]
    Guard(Guard),
}

/// `plimsoll check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Seconds between the two readings that give the rates
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    pub interval: Duration,
    /// Kernel time that reading the entries may take, over all namespaces; 0 reads none
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub budget: Duration,
    /// Only this network namespace: a name, an inode, a process id, a
    /// container id, "host" or "own" (repeatable)
    #[arg(long, value_name = "NETNS", conflicts_with_all = ["root", "bundle"])]
    pub netns: Vec<String>,
    /// A dead host: a directory that holds its proc/, etc/, var/log/
    #[arg(long, value_name = "DIR", conflicts_with = "bundle")]
    pub root: Option<PathBuf>,
    /// A dead host: a sosreport archive (.tar, .tar.gz, .tar.xz, .tar.bz2, .tar.zst)
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// How to print it
    #[command(flatten)]
    pub output: Output,
}

/// Forms of output.
#[derive(Debug, Args)]
pub struct Output {
    /// All facts and findings as JSON (schema plimsoll.check/1)
    #[arg(long, group = "form")]
    pub json: bool,
    /// One line with performance data, as a Nagios plug-in prints it
    #[arg(long, group = "form")]
    pub nagios: bool,
    /// At most 80 characters, as a node-problem-detector plug-in prints it; exit 0, 1 or 2 (unknown)
    #[arg(long, group = "form")]
    pub npd: bool,
    /// The plain commands of each remedy (sysctl, nft, iptables …) instead of `plimsoll fix`
    #[arg(long, conflicts_with = "form")]
    pub commands: bool,
    /// More evidence, all namespaces, all commands
    #[arg(long, short)]
    pub verbose: bool,
    /// Colour: on a terminal unless NO_COLOR is set, always, or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: When,
    /// Columns of the screen [default: the terminal's, at most 100; 80 on a pipe]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(60..=240))]
    pub width: Option<u16>,
    /// Only ASCII characters
    #[arg(long)]
    pub ascii: bool,
    /// Times in UTC, not in this host's zone
    #[arg(long)]
    pub utc: bool,
}

/// `plimsoll boot`.
#[derive(Debug, Args)]
pub struct Boot {
    /// Only these settings, by any of their names: nf_conntrack_max, net/netfilter/nf_conntrack_acct
    #[arg(value_name = "KEY")]
    pub keys: Vec<String>,
    /// Watch this setting live, and name the process that changes it (repeatable; root sees more)
    ///
    /// By BPF every write on the host is seen with its process, by fanotify those through this /proc; without
    /// either the time and the candidates are told. Ends with Ctrl-C, or after --changes.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["root", "bundle", "keys"])]
    pub watch: Vec<String>,
    /// Stop watching after N changes
    #[arg(long, value_name = "N", requires = "watch")]
    pub changes: Option<usize>,
    /// A dead host: a directory that holds its etc/, usr/lib/, proc/
    #[arg(long, value_name = "DIR", conflicts_with = "bundle")]
    pub root: Option<PathBuf>,
    /// A dead host: a sosreport archive (.tar, .tar.gz, .tar.xz, .tar.bz2, .tar.zst)
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// All of it as JSON (schema plimsoll.boot/1); with --watch one document a line (plimsoll.watch-setting/1)
    #[arg(long)]
    pub json: bool,
    /// All settings, all lines, all mistakes
    #[arg(long, short)]
    pub verbose: bool,
    /// Colour: on a terminal unless NO_COLOR is set, always, or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: When,
    /// Columns of the screen [default: the terminal's, at most 100; 80 on a pipe]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(60..=240))]
    pub width: Option<u16>,
    /// Only ASCII characters
    #[arg(long)]
    pub ascii: bool,
}

/// `plimsoll size`.
#[derive(Debug, Args)]
pub struct Size {
    /// New flows per second: 2000, or tcp=2000, udp=300, api=50 (repeatable)
    #[arg(long, value_name = "[CLASS=]RATE", value_parser = class_rate)]
    pub rate: Vec<(String, f64)>,
    /// How long each lasts (90s, 200ms, 2h), for all or for a class. Of tcp, udp and icmp it is the time from the
    /// first packet to the last: the timeout that follows is added; of any other class the life of the entry
    #[arg(long, value_name = "[CLASS=]TIME", value_parser = class_time, requires = "rate")]
    pub lifetime: Vec<(String, f64)>,
    /// The peak as a multiple of the mean [default: what was seen, else 2]
    #[arg(long, value_name = "TIMES", value_parser = times)]
    pub peak: Option<f64>,
    /// Room above the peak, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = plimsoll_diagnosis::size::MARGIN, value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub margin: u32,
    /// Captures (pcap, pcapng) to run through the model, without a limit; several are merged by time
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "rate")]
    pub capture: Vec<PathBuf>,
    /// What was recorded over time (nothing is yet)
    #[arg(long, hide = true, conflicts_with_all = ["rate", "capture"])]
    pub history: bool,
    /// Seconds between the two readings that give the rates
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    pub interval: Duration,
    /// Only what this network namespace holds: a name, an inode, a process id, a container id, "host" or "own"
    /// [default: the one that its limit is tightest for]
    #[arg(long, value_name = "NETNS", conflicts_with_all = ["root", "bundle", "rate", "capture"])]
    pub netns: Option<String>,
    /// A dead host: a directory that holds its proc/, etc/
    #[arg(long, value_name = "DIR", conflicts_with = "bundle")]
    pub root: Option<PathBuf>,
    /// A dead host: a sosreport archive (.tar, .tar.gz, .tar.xz, .tar.bz2, .tar.zst)
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// All of it as JSON (schema plimsoll.size/1)
    #[arg(long)]
    pub json: bool,
    /// Colour: on a terminal unless NO_COLOR is set, always, or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: When,
    /// Columns of the screen [default: the terminal's, at most 100; 80 on a pipe]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(60..=240))]
    pub width: Option<u16>,
    /// Only ASCII characters
    #[arg(long)]
    pub ascii: bool,
}

/// `plimsoll fix`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Fix {
    /// The transactions so far, and where each stands
    #[arg(long)]
    pub list: bool,
    /// Where transactions are kept
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,
    /// What to do
    #[command(subcommand)]
    pub remedy: Option<RemedyCommand>,
}

/// Where transactions are kept.
pub const STATE_DIR: &str = "/var/lib/plimsoll";

/// The remedies that can be carried out.
#[derive(Debug, Subcommand)]
pub enum RemedyCommand {
    /// Raise the limit and the buckets of the running kernel
    Raise(Raise),
    /// Set timeouts: of all entries (time_wait=30), or of one service (--port tcp/443 established=600)
    Timeout(Timeout),
    /// Make the running values survive the next boot, proved by the boot simulation
    Persist(Persist),
    /// Delete entries that may go, in bounded batches, after showing which
    Shed(Shed),
    /// Stop tracking: take the modules out of the kernel, where nothing needs them
    Unload(Unload),
    /// Stop tracking a hot port, in both directions, so that it needs no entries
    ///
    /// The rules are walked first: what needs the port's tracking (NAT, helpers, counts, marks) stops it and is named; where
    /// an untracked packet would be dropped for want of a state, a rule of ours goes ahead, under the
    /// conditions of the rule that lets the port's new connections in today.
    Bypass(Bypass),
    /// Keep SSH open for those who mend the host, even when the table is full
    ///
    /// As `bypass`, for the ports that SSH listens on and for named peers only [default: the far end of the present session].
    Lifeline(Lifeline),
    /// Let one source have only so many connections to a port, or, on a host that passes it on, answer SYNs with cookies
    Limit(Limit),
}

/// `plimsoll fix limit`.
#[derive(Debug, Args)]
pub struct Limit {
    /// The service: tcp/443
    #[arg(value_name = "PROTO/PORT", value_parser = service)]
    pub service: (Protocol, u16),
    /// Connections of one source: an IPv4 address, or an IPv6 network of 64 bits
    #[arg(long, value_name = "N", required_unless_present = "synproxy")]
    pub per_source: Option<u32>,
    /// The service is behind this host (a container, a router's network); the port is the one that clients ask for
    #[arg(long)]
    pub forwarded: bool,
    /// A source without a limit: a proxy, an office behind one address (repeatable)
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pub except: Vec<(IpAddr, u8)>,
    /// On a host that passes the port on: do the handshake here, with cookies, so that a flood of SYNs leaves no entries
    #[arg(long, conflicts_with_all = ["per_source", "except"])]
    pub synproxy: bool,
    /// Through the SYN proxy: large windows and SACK; taking the proxy back then cuts off what is open
    #[arg(long, requires = "synproxy")]
    pub timestamps: bool,
    /// The window scale that the servers announce
    #[arg(long, value_name = "N", default_value_t = 7, requires = "timestamps", value_parser = clap::value_parser!(u8).range(..=14))]
    pub wscale: u8,
    /// How to carry it out
    #[command(flatten)]
    pub how: How,
}

/// `plimsoll fix bypass`.
#[derive(Debug, Args)]
pub struct Bypass {
    /// Services: tcp/443 udp/53
    #[arg(required = true, value_name = "PROTO/PORT", value_parser = service)]
    pub services: Vec<(Protocol, u16)>,
    /// Whose they are: this host serves them, asks others for them, or passes them on (repeatable) [default: server, where
    /// something listens on the port]
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<Role>,
    /// Go on where it can't be told from the rules whether the port comes to one that needs its tracking
    #[arg(long)]
    pub unsure: bool,
    /// How to carry it out
    #[command(flatten)]
    pub how: How,
}

/// `plimsoll fix lifeline`.
#[derive(Debug, Args)]
pub struct Lifeline {
    /// An address or prefix that may always come in (repeatable) [default: that of the present session]
    #[arg(long = "peer", value_name = "PREFIX", value_parser = prefix)]
    pub peers: Vec<(IpAddr, u8)>,
    /// TCP port (repeatable) [default: those that SSH listens on]
    #[arg(long = "port", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub ports: Vec<u16>,
    /// Go on where it can't be told from the rules whether it comes to one that needs its tracking
    #[arg(long)]
    pub unsure: bool,
    /// How to carry it out
    #[command(flatten)]
    pub how: How,
}

/// Whose a port is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// This host serves it.
    Server,
    /// This host asks others for it.
    Client,
    /// It passes through this host.
    Forward,
}

/// `plimsoll fix raise`.
#[derive(Debug, Args)]
pub struct Raise {
    /// The limit [default: as the load and the memory of this host ask for]
    #[arg(long, value_name = "N")]
    pub max: Option<u64>,
    /// Buckets [default: as many as go with the limit]
    #[arg(long, value_name = "N")]
    pub buckets: Option<u64>,
    /// How to carry it out
    #[command(flatten)]
    pub how: How,
}

/// `plimsoll fix timeout`.
#[derive(Debug, Args)]
pub struct Timeout {
    /// Timeouts in seconds, by sysctl name, short or long: tcp_timeout_time_wait=30, udp=10. With --port by
    /// state: syn_sent, syn_recv, established, fin_wait, close_wait, last_ack, time_wait, close; for UDP
    /// unreplied, replied
    #[arg(required = true, value_name = "KEY=SECONDS", value_parser = setting)]
    pub values: Vec<(String, u64)>,
    /// Only for new connections to this port, by a rule in a table of our own
    #[arg(long, value_name = "PROTO/PORT", value_parser = service)]
    pub port: Option<(Protocol, u16)>,
    /// Allow established below 2 h 4 min for all ports
    #[arg(long)]
    pub allow_short: bool,
    /// How to carry it out
    #[command(flatten)]
    pub how: How,
}

/// `plimsoll fix persist`.
#[derive(Debug, Args)]
pub struct Persist {
    /// Settings by sysctl name, old or new [default: all whose running value a boot would lose]
    #[arg(value_name = "KEY")]
    pub keys: Vec<String>,
    /// Another system's files: a directory that holds its etc/ and proc/
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// How to carry it out
    #[command(flatten)]
    pub how: How,
}

/// `plimsoll fix shed`: all conditions must hold.
#[derive(Debug, Args)]
pub struct Shed {
    /// Entries that saw no answer
    #[arg(long)]
    pub unreplied: bool,
    /// Protocol: tcp, udp, icmp, icmpv6, sctp, gre, or a number
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol)]
    pub protocol: Option<Protocol>,
    /// Destination port of the first packet
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// TCP's state, as conntrack names it: SYN_SENT, TIME_WAIT …
    #[arg(long, value_name = "STATE", value_parser = state)]
    pub state: Option<String>,
    /// Source of the first packet: an address or a prefix
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pub source: Option<(IpAddr, u8)>,
    /// ESTABLISHED connections without a packet for so long (600s, 2h)
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub idle: Option<Duration>,
    /// The N ESTABLISHED connections that have been idle for longest (a minute at least)
    #[arg(long, value_name = "N", conflicts_with = "idle")]
    pub oldest: Option<u64>,
    /// Also connections with rewritten addresses: they break
    #[arg(long)]
    pub with_nat: bool,
    /// How to carry it out
    #[command(flatten)]
    pub how: How,
}

/// `plimsoll fix unload`.
#[derive(Debug, Args)]
pub struct Unload {
    /// How to carry it out
    #[command(flatten)]
    pub how: How,
}

/// How to carry out a remedy.
#[derive(Debug, Args)]
pub struct How {
    /// Only show what would be done: the exact commands and the differences of files
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Only show it, as JSON (schema plimsoll.plan/1)
    #[arg(long)]
    pub json: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Take everything back by itself after that time (90s, 5m), unless `plimsoll confirm` comes first
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub confirm: Option<Duration>,
    /// The limit may be lowered
    #[arg(long)]
    pub allow_lower: bool,
    /// Watch so long whether packets are still dropped once it is done; 0: not at all
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    pub watch: Duration,
    /// The network namespace to change: a name, an inode, a process id, a container id, "host" or "own"
    /// [default: the one plimsoll runs in]
    #[arg(long, value_name = "NETNS")]
    pub netns: Option<String>,
    /// Where transactions are kept
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,
    /// Colour: on a terminal unless NO_COLOR is set, always, or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: When,
}

/// `plimsoll confirm`.
#[derive(Debug, Args)]
pub struct Confirm {
    /// Transaction by number [default: the one that waits]
    pub id: Option<u64>,
    /// Where transactions are kept
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,
}

/// `plimsoll undo`.
#[derive(Debug, Args)]
pub struct Undo {
    /// Transaction by number (`plimsoll fix --list`) [default: the latest that stands]
    pub id: Option<u64>,
    /// Take back what is still as plimsoll left it, and leave what others have changed since
    #[arg(long)]
    pub leave_changed: bool,
    /// The old limit may come back though the table has grown beyond it
    #[arg(long)]
    pub allow_lower: bool,
    /// Where transactions are kept
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,
}

/// `plimsoll guard`.
#[derive(Debug, Args)]
pub struct Guard {
    /// Where transactions are kept
    pub state_dir: PathBuf,
    /// Transaction by number
    pub id: u64,
}

/// `plimsoll explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// Finding by id (CT001) or name (table-full); all of them are listed when left out
    pub finding: Option<String>,
    /// Language of the page [default: zh when the locale says so]
    #[arg(long, value_name = "LANG")]
    pub lang: Option<Lang>,
    /// Colour: on a terminal unless NO_COLOR is set, always, or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: When,
    /// Columns
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(60..=240))]
    pub width: Option<u16>,
}

/// `plimsoll lab`.
#[derive(Debug, Args)]
pub struct Lab {
    /// Lower (or raise) the limit to N while the lab runs. It is one number for the whole host, on all
    /// kernels so far; it is put back whatever happens
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..=4_000_000))]
    pub max: Option<u64>,
    /// Remove what an interrupted lab left behind, and stop
    #[arg(long)]
    pub clean: bool,
    /// Colour: on a terminal unless NO_COLOR is set, always, or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: When,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Languages of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// English
    En,
    /// Chinese
    Zh,
}

/// `RATE` or `CLASS=RATE`.
fn class_rate(text: &str) -> Result<(String, f64), String> {
    let (class, value) = text.split_once('=').unwrap_or(("", text));
    let value = value.trim().trim_end_matches("/s");
    match value.parse::<f64>() {
        Ok(rate) if (0.0..=1e9).contains(&rate) => Ok((class.trim().to_owned(), rate)),
        Ok(_) | Err(_) => Err("expected flows per second, from 0 to 1000000000".into()),
    }
}

/// `TIME` or `CLASS=TIME`.
fn class_time(text: &str) -> Result<(String, f64), String> {
    let (class, value) = text.split_once('=').unwrap_or(("", text));
    let value = value.trim();
    let milliseconds = value.strip_suffix("ms").map(|n| n.parse::<f64>().map(|n| n / 1e3));
    let seconds = match milliseconds {
        Some(seconds) => seconds.ok(),
        None => value
            .strip_suffix('s')
            .unwrap_or(value)
            .parse::<f64>()
            .ok()
            .or_else(|| time(value).ok().map(|t| t.as_secs_f64())),
    };
    seconds
        .filter(|s| (0.0..=1e9).contains(s))
        .map(|s| (class.trim().to_owned(), s))
        .ok_or_else(|| "expected a time: 90s, 200ms, 5m, 2h".into())
}

/// A multiple.
fn times(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if (1.0..=1e6).contains(&x) => Ok(x),
        Ok(_) | Err(_) => Err("expected a number from 1 on".into()),
    }
}

/// An interval that rates can be divided by.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    seconds(text)
        .ok()
        .filter(|span| *span >= Duration::from_millis(50))
        .ok_or_else(|| "expected seconds between 0.05 and 3600".into())
}

/// A protocol by its name or number.
fn protocol(text: &str) -> Result<Protocol, String> {
    const NAMED: &[Protocol] = &[
        Protocol::Tcp,
        Protocol::Udp,
        Protocol::Icmp,
        Protocol::Icmpv6,
        Protocol::Sctp,
        Protocol::Gre,
        Protocol::UdpLite,
        Protocol::Dccp,
    ];
    let named = NAMED.iter().find(|p| p.name() == text).copied();
    named
        .or_else(|| text.parse().ok().map(Protocol::from_number))
        .ok_or_else(|| "expected tcp, udp, icmp, icmpv6, sctp, gre or a number".into())
}

/// A state of TCP by its name.
fn state(text: &str) -> Result<String, String> {
    let upper = text.to_ascii_uppercase();
    match TcpState::from_name(&upper) {
        Some(_) => Ok(upper),
        None => Err("expected a state of TCP, as SYN_SENT, ESTABLISHED, TIME_WAIT".into()),
    }
}

/// An address, or a prefix.
fn prefix(text: &str) -> Result<(IpAddr, u8), String> {
    let parse = || {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse::<IpAddr>().ok()?, Some(bits.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some((address, bits))
    };
    parse().ok_or_else(|| "expected an address or a prefix, as 192.0.2.0/24".into())
}

/// `tcp/443`
fn service(text: &str) -> Result<(Protocol, u16), String> {
    let parse = || {
        let (name, port) = text.split_once('/')?;
        let protocol = match name {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return None,
        };
        port.parse().ok().filter(|port| *port > 0).map(|port| (protocol, port))
    };
    parse().ok_or_else(|| "expected tcp/PORT or udp/PORT".into())
}

/// A time to wait: seconds, or with a unit.
fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let unit = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        _ => 0,
    };
    let seconds = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    match seconds {
        Some(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        Some(_) | None => Err("expected a time between 1s and 24h, as 90s or 5m".into()),
    }
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(s) if (0.0..=3600.0).contains(&s) => Ok(Duration::from_secs_f64(s)),
        Ok(_) | Err(_) => Err("expected seconds between 0 and 3600".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use clap::CommandFactory;
    use plimsoll_diagnosis::diagnose;
    use plimsoll_probe::dead;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    /// Command lines of this program in Markdown: in ticks, and in fenced or indented code.
    fn command_lines(markdown: &str) -> Vec<&str> {
        let (mut found, mut fenced) = (Vec::new(), false);
        for line in markdown.lines() {
            fenced ^= line.starts_with("```");
            if fenced || line.starts_with("    ") {
                found.push(line.trim());
            } else {
                found.extend(line.split('`').skip(1).step_by(2));
            }
        }
        let ours = found.into_iter().filter_map(|line| {
            let rest = line.split_once("plimsoll")?;
            let start =
                ["", "$ ", "# ", "sudo ", "cargo "].contains(&rest.0) || rest.0.ends_with('/');
            (start && (rest.1.is_empty() || rest.1.starts_with(' '))).then_some(rest.1)
        });
        ours.map(|line| line.split(['|', '#', ';']).next().unwrap_or(line)).collect()
    }

    #[test]
    fn every_command_line_in_the_documents_is_understood() {
        let documents = [
            include_str!("../../../README.md"),
            include_str!("../../../README.zh-CN.md"),
            include_str!("../../../docs/findings/README.md"),
            include_str!("../../../docs/findings/zh/README.md"),
            include_str!("../../../docs/formats/check-json.md"),
            include_str!("../../../docs/flows.md"),
            include_str!("../../../docs/top.md"),
        ];
        let pages = plimsoll_report::PAGES.iter().chain(plimsoll_report::PAGES_ZH);
        let mut understood = 0;
        for markdown in documents.into_iter().chain(pages.map(|p| p.markdown)) {
            for line in command_lines(markdown) {
                let words = std::iter::once("plimsoll").chain(line.split_whitespace());
                if let Err(error) = Arguments::try_parse_from(words) {
                    panic!("plimsoll{line}: {error}");
                }
                understood += 1;
            }
        }
        assert!(understood > 50, "{understood}");
    }

    #[test]
    fn every_fix_that_check_names_is_one_that_fix_knows() {
        let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/trees");
        let mut lines = 0;
        for tree in std::fs::read_dir(trees).expect("fixtures") {
            let Ok((files, origin)) = dead::open(&tree.expect("an entry").path()) else { continue };
            let diagnosis = diagnose(None, &dead::snapshot(&files, origin));
            let named = diagnosis.remedies.iter().flat_map(|r| &r.fix);
            for line in named.filter(|l| !l.starts_with('#')) {
                let words = line.split_whitespace();
                let parsed =
                    Arguments::try_parse_from(words).unwrap_or_else(|e| panic!("{line}: {e}"));
                let Some(Command::Fix(Fix { remedy: Some(_), .. })) = parsed.command else {
                    panic!("{line}: no remedy")
                };
                lines += 1;
            }
        }
        assert!(lines > 20, "only {lines}");
    }
}
