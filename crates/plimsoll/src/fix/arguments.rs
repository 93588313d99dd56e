//! The command line of `plimsoll fix`, and of what stands beside it: `confirm`, `undo`, the guard.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use plimsoll_ct::{Protocol, TcpState};

use crate::arguments::{When, seconds};
use crate::replay::setting;

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
pub(crate) fn time(text: &str) -> Result<Duration, String> {
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
