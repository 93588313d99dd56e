//! The command line of `plimsoll fix`, and of what stands beside it: `confirm`, `undo`, the guard.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use plimsoll_ct::{Protocol, TcpState};
use plimsoll_diagnosis::{Said, said};

use crate::arguments::{Lang, Screen, seconds};
use crate::replay::setting;
use crate::terminal;

use super::tell::Voice;

/// `plimsoll fix`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Fix {
    /// The transactions so far, and where each stands
    #[arg(long)]
    pub list: bool,
    /// The list as JSON (schema plimsoll.transactions/1)
    #[arg(long, requires = "list")]
    pub json: bool,
    /// Where transactions are kept
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,
    /// Language [default: zh when the locale says so]; --json is English
    #[arg(long, value_name = "LANG")]
    pub lang: Option<Lang>,
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
    ///
    /// To what `plimsoll size` recommends for the load and the memory of this host, unless you name a limit. It is
    /// one value for all network namespaces. It lasts until the next boot: `plimsoll fix persist` makes it stay.
    #[command(after_help = "Examples:
  plimsoll fix raise --dry-run
  plimsoll fix raise --confirm 60s
  plimsoll fix raise --max 524288")]
    Raise(Raise),
    /// Shorten timeouts, of all entries or of one service
    ///
    /// Each KEY is a timeout by its sysctl name, long or short: tcp_timeout_time_wait=30, time_wait=30, udp=10. An
    /// entry takes the new value with its next packet. With --port each KEY is a state of the protocol; of tcp:
    /// syn_sent, syn_recv, established, fin_wait, close_wait, last_ack, time_wait, close; of udp: unreplied, replied.
    #[command(after_help = "Examples:
  plimsoll fix timeout time_wait=30 close_wait=20
  plimsoll fix timeout --port tcp/443 established=7500 time_wait=10
  plimsoll fix timeout --port udp/53 unreplied=5 replied=10 --dry-run")]
    Timeout(Timeout),
    /// Make the running values survive the next boot, proved by the boot simulation
    ///
    /// Writes what the boot of this system reads: a file in sysctl.d and the early loading of the module; on RHEL 5
    /// and 6 sysctl.conf and modprobe.d. What another program owns (kube-proxy, tuned) is printed for you to change.
    #[command(after_help = "Examples:
  plimsoll fix persist --dry-run
  plimsoll fix persist nf_conntrack_max nf_conntrack_buckets")]
    Persist(Persist),
    /// Delete entries that may go, in bounded batches, after showing which
    ///
    /// At least one condition has to be given, and all must hold. The plan counts the entries first. What is deleted
    /// can't be brought back.
    #[command(after_help = "Examples:
  plimsoll fix shed --unreplied --protocol udp --dry-run
  plimsoll fix shed --port 443 --state TIME_WAIT
  plimsoll fix shed --oldest 10000")]
    Shed(Shed),
    /// Stop tracking: take the modules out of the kernel, where nothing needs them
    ///
    /// Refused where something needs tracking (a rule by state, NAT, a container network, a service), with the
    /// reasons. What /etc/sysconfig/iptables-config would load again is taken out of it.
    #[command(after_help = "Examples:
  plimsoll fix unload --dry-run
  plimsoll fix unload --confirm 5m")]
    Unload(Unload),
    /// Stop tracking a hot port, in both directions, so that it needs no entries
    ///
    /// The firewall's rules are read first. What needs the port tracked (NAT, a helper, a connection limit, a mark)
    /// stops the remedy and is named. Where a rule would drop an untracked packet for want of a state, a rule of
    /// ours goes ahead of it, for those only who may connect today.
    #[command(after_help = "Examples:
  plimsoll fix bypass tcp/443 --dry-run
  plimsoll fix bypass tcp/443 udp/53 --confirm 60s
  plimsoll fix bypass udp/53 --role client")]
    Bypass(Bypass),
    /// Keep SSH reachable for those who mend the host, even when the table is full
    ///
    /// As `bypass`, for the ports that SSH listens on, and for named peers only. It opens nothing: a peer that the
    /// rules do not let in today is refused.
    #[command(after_help = "Examples:
  plimsoll fix lifeline
  plimsoll fix lifeline --peer 192.0.2.0/24 --port 2222")]
    Lifeline(Lifeline),
    /// Limit the connections of each source to a port, or answer its SYNs with cookies
    ///
    /// With --per-source one source has so many connections, and another one is answered with a reset (udp: dropped).
    /// With --synproxy, on a router, a flood of SYNs leaves no entries: only who answers a cookie gets one.
    #[command(after_help = "Examples:
  plimsoll fix limit tcp/443 --per-source 50 --except 192.0.2.7
  plimsoll fix limit tcp/443 --per-source 50 --forwarded
  plimsoll fix limit tcp/443 --synproxy --confirm 60s")]
    Limit(Limit),
}

/// `plimsoll fix limit`.
#[derive(Debug, Args)]
pub struct Limit {
    /// The service: tcp/443
    #[arg(value_name = "PROTO/PORT", value_parser = service)]
    pub service: (Protocol, u16),
    /// So many connections of one source: an IPv4 address, or an IPv6 network of 64 bits
    #[arg(long, value_name = "N", required_unless_present = "synproxy")]
    pub per_source: Option<u32>,
    /// The service is behind this host (a container, a router's network); the port is the one that clients ask for
    #[arg(long)]
    pub forwarded: bool,
    /// A source without a limit: a proxy, an office behind one address (repeatable)
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pub except: Vec<(IpAddr, u8)>,
    /// On a host that passes the port on: do the handshake here, with cookies
    #[arg(long, conflicts_with_all = ["per_source", "except"])]
    pub synproxy: bool,
    /// With --synproxy: allow large windows and SACK; what was opened so is cut off by `plimsoll undo`
    #[arg(long, requires = "synproxy")]
    pub timestamps: bool,
    /// With --timestamps: the window scale that the servers announce
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
    /// What this host is to the port (repeatable) [default: server, where something listens on it]
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<Role>,
    /// Go on where the rules leave it open whether the port needs tracking (an unknown interface or address), or who
    /// else is heard from it
    #[arg(long)]
    pub unsure: bool,
    /// How to carry it out
    #[command(flatten)]
    pub how: How,
}

/// `plimsoll fix lifeline`.
#[derive(Debug, Args)]
pub struct Lifeline {
    /// Address or prefix that SSH is kept open for (repeatable) [default: the far end of the present session]
    #[arg(long = "peer", value_name = "PREFIX", value_parser = prefix)]
    pub peers: Vec<(IpAddr, u8)>,
    /// TCP port (repeatable) [default: those that SSH listens on]
    #[arg(long = "port", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub ports: Vec<u16>,
    /// Go on where the rules leave it open whether SSH needs tracking (an unknown interface or address)
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
    /// This host connects to it elsewhere.
    Client,
    /// It passes through this host.
    Forward,
}

/// `plimsoll fix raise`.
#[derive(Debug, Args)]
pub struct Raise {
    /// The limit, in entries [default: what `plimsoll size` recommends]
    #[arg(long, value_name = "N")]
    pub max: Option<u64>,
    /// Buckets of the hash table [default: as many as go with the limit on this kernel]
    #[arg(long, value_name = "N")]
    pub buckets: Option<u64>,
    /// Also where that lowers the limit or the buckets
    #[arg(long)]
    pub allow_lower: bool,
    /// How to carry it out
    #[command(flatten)]
    pub how: How,
}

/// `plimsoll fix timeout`.
#[derive(Debug, Args)]
pub struct Timeout {
    /// Timeouts and their new values, in seconds
    #[arg(required = true, value_name = "KEY=SECONDS", value_parser = timeout)]
    pub values: Vec<(String, u64)>,
    /// Only for new connections to this port, by a rule of our own (tcp/443, udp/53)
    #[arg(long, value_name = "PROTO/PORT", value_parser = service)]
    pub port: Option<(Protocol, u16)>,
    /// Allow `established` below 2 h 4 min for all ports: connections that lie idle between keep-alives are forgotten
    #[arg(long)]
    pub allow_short: bool,
    /// How to carry it out
    #[command(flatten)]
    pub how: How,
}

/// `plimsoll fix persist`.
#[derive(Debug, Args)]
pub struct Persist {
    /// Settings by sysctl name, of any kernel generation [default: all whose running value the boot would lose]
    #[arg(value_name = "KEY")]
    pub keys: Vec<String>,
    /// Write another system's files: a directory that holds its etc/ and proc/
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// How to carry it out
    #[command(flatten)]
    pub how: How,
}

/// `plimsoll fix shed`: all conditions must hold.
#[derive(Debug, Args)]
pub struct Shed {
    /// Entries whose first packet was never answered
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
    /// ESTABLISHED connections that had no packet for so long (600s, 2h)
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub idle: Option<Duration>,
    /// The N ESTABLISHED connections that have been idle for longest (a minute at least)
    #[arg(long, value_name = "N", conflicts_with = "idle")]
    pub oldest: Option<u64>,
    /// Also connections whose addresses are rewritten (NAT): they break
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
#[command(next_help_heading = "How it is carried out")]
pub struct How {
    /// Only show what would be done: the exact commands, and the files' differences
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
    /// When it is done, watch so long whether packets are still dropped; 0: do not watch
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    pub watch: Duration,
    /// The network namespace to change: a name, an inode, a process id, a container id, "host" or "own"
    /// [default: the one plimsoll runs in]
    #[arg(long, value_name = "NETNS")]
    pub netns: Option<String>,
    /// Where transactions are kept
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,
    /// Language [default: zh when the locale says so]; --json is English
    #[arg(long, value_name = "LANG")]
    pub lang: Option<Lang>,
    /// How the screen looks
    #[command(flatten)]
    pub screen: Screen,
}

impl How {
    /// Who tells of it.
    pub fn voice(&self) -> Voice {
        Voice(terminal::spoken(self.lang, self.screen.ascii))
    }
}

/// `plimsoll confirm`.
#[derive(Debug, Args)]
pub struct Confirm {
    /// Number of the transaction [default: the one that waits]
    pub id: Option<u64>,
    /// Where transactions are kept
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,
    /// Language [default: zh when the locale says so]
    #[arg(long, value_name = "LANG")]
    pub lang: Option<Lang>,
}

/// `plimsoll undo`.
#[derive(Debug, Args)]
pub struct Undo {
    /// Number of the transaction (`plimsoll fix --list` has them) [default: the latest that stands]
    pub id: Option<u64>,
    /// Take back what is still as plimsoll left it; leave what others have changed since, and what can't be reached any more
    #[arg(long)]
    pub leave_changed: bool,
    /// Bring the old limit back though the table holds more than that by now
    #[arg(long)]
    pub allow_lower: bool,
    /// Where transactions are kept
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,
    /// Language [default: zh when the locale says so]
    #[arg(long, value_name = "LANG")]
    pub lang: Option<Lang>,
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
fn protocol(text: &str) -> Result<Protocol, Said> {
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
    named.or_else(|| text.parse().ok().map(Protocol::from_number)).ok_or_else(|| {
        Said::of(
            "expected tcp, udp, icmp, icmpv6, sctp, gre or a number",
            "应为 tcp、udp、icmp、icmpv6、sctp、gre 或协议号",
        )
    })
}

/// A state of TCP by its name.
fn state(text: &str) -> Result<String, Said> {
    let upper = text.to_ascii_uppercase();
    match TcpState::from_name(&upper) {
        Some(_) => Ok(upper),
        None => Err(Said::of(
            "expected a state of TCP, as SYN_SENT, ESTABLISHED, TIME_WAIT",
            "应为 TCP 的状态，如 SYN_SENT、ESTABLISHED、TIME_WAIT",
        )),
    }
}

/// An address, or a prefix.
fn prefix(text: &str) -> Result<(IpAddr, u8), Said> {
    let parse = || {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse::<IpAddr>().ok()?, Some(bits.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some((address, bits))
    };
    parse().ok_or_else(|| {
        Said::of(
            "expected an address or a prefix, as 192.0.2.0/24",
            "应为地址或前缀，如 192.0.2.0/24",
        )
    })
}

/// `tcp/443`
fn service(text: &str) -> Result<(Protocol, u16), Said> {
    let parse = || {
        let (name, port) = text.split_once('/')?;
        let protocol = match name {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return None,
        };
        port.parse().ok().filter(|port| *port > 0).map(|port| (protocol, port))
    };
    parse().ok_or_else(|| Said::of("expected tcp/PORT or udp/PORT", "应为 tcp/PORT 或 udp/PORT"))
}

/// A timeout and its value. What the kernel would pass over behind a blank may be what was meant.
fn timeout(text: &str) -> Result<(String, u64), Said> {
    let (key, value) = setting(text)?;
    let written = text.split_once('=').map_or("", |(_, written)| written);
    if written.split_whitespace().nth(1).is_some() {
        return Err(said!("expected one number, saw {written:?}", "应为一个数，却是 {written:?}"));
    }
    Ok((key, value))
}

/// A time to wait: seconds, or with a unit.
pub(crate) fn time(text: &str) -> Result<Duration, Said> {
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
        Some(_) | None => Err(Said::of(
            "expected a time between 1s and 24h, as 90s or 5m",
            "应为 1s 到 24h 之间的时间，如 90s 或 5m",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::timeout;

    #[test]
    fn a_timeout_is_one_number() {
        assert_eq!(timeout("time_wait= 30 "), Ok(("time_wait".into(), 30)));
        assert_eq!(
            timeout("time_wait=0x1e"),
            Ok(("time_wait".into(), 30)),
            "as the kernel reads it"
        );
        for two in ["time_wait=10 20", "time_wait=10\t20", "time_wait=10 s"] {
            let why = timeout(two).expect_err(two);
            assert!(why.starts_with("expected one number, saw \"10"), "{why}");
        }
    }
}
