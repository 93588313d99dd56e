//! The command line, as data.

use std::path::PathBuf;
use std::time::Duration;

use crate::fix::arguments::{Confirm, Fix, Guard, Undo};
use crate::flows::arguments::Flows;
use crate::manual::Manual;
use crate::top::arguments::Top;
use clap::{Args, Parser, Subcommand, ValueEnum};
use plimsoll_diagnosis::Said;
use plimsoll_flows::Span;

pub use crate::replay::Arguments as Replay;

/// Keeps a Linux host's connection-tracking table (nf_conntrack) from overflowing.
///
/// Without a command it checks this host.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:
  plimsoll
  plimsoll --verbose
  plimsoll explain CT001
  plimsoll fix --list")]
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
    #[command(after_help = "Examples:
  plimsoll check
  plimsoll check --commands
  plimsoll check --netns web --verbose
  plimsoll check --bundle sosreport-web1.tar.xz")]
    Check(Check),
    /// Print the page of a finding: what it means, why it happens, what to do, how to prove the cure
    #[command(after_help = "Examples:
  plimsoll explain
  plimsoll explain CT012
  plimsoll explain table-full --lang zh")]
    Explain(Explain),
    /// Cure it: show a remedy, carry it out, prove it; --confirm takes it back unless you confirm
    ///
    /// `plimsoll check` names the remedies that help. Each is shown first, and you are asked. Whatever ends it
    /// half-way (an error, kill -9, a lost terminal), the host comes out in the old or the new state.
    /// Exit status: 0 done (or shown), 1 not done, and the old state stands, 64 wrong usage.
    #[command(after_help = "Examples:
  plimsoll fix raise --dry-run        # shows it, and does nothing
  plimsoll fix raise --confirm 60s    # goes back after 60 s, unless `plimsoll confirm` comes first
  plimsoll fix --list                 # what was done so far
  plimsoll undo                       # takes the latest back")]
    Fix(Fix),
    /// Keep what `plimsoll fix --confirm` did
    ///
    /// Without it the remedy goes back by itself when its time is over, also when the terminal or the session is gone.
    #[command(after_help = "Examples:
  plimsoll fix bypass tcp/443 --confirm 60s
  plimsoll confirm")]
    Confirm(Confirm),
    /// Take back what `plimsoll fix` did, also long after, also after a reboot
    ///
    /// Looks at every change first. Where somebody else has changed something since, it says what, and touches nothing.
    /// Exit status: 0 taken back, 1 not, 64 wrong usage.
    #[command(after_help = "Examples:
  plimsoll undo
  plimsoll undo 3")]
    Undo(Undo),
    /// Stage the overflow in throw-away network namespaces, show it, cure it, leave no trace
    #[command(after_help = "Examples:
  plimsoll lab
  plimsoll lab --max 20000
  plimsoll lab --clean")]
    Lab(Lab),
    /// Say which value each setting will have after the next boot, and why
    ///
    /// Reads all that takes part, in its order: the kernel's command line, modules-load.d, modprobe.d, sysctl.d,
    /// the firewall, udev, tuned, cloud-init, rc.local, kube-proxy; and says what is wrong with it. Needs no
    /// root and changes nothing. Exit status: 0 nothing is wrong, 1 something is, 64 wrong usage.
    #[command(after_help = "Examples:
  plimsoll boot
  plimsoll boot nf_conntrack_max
  plimsoll boot --root /mnt/image
  plimsoll boot --watch nf_conntrack_max")]
    Boot(Boot),
    /// Say how big the table has to be, with the arithmetic: rates × lifetimes, peak, margin, memory, chains
    ///
    /// From what this host does now, from what was saved of another (--root, --bundle), from captured packets
    /// (--capture), or from rates and lifetimes that you give. It changes nothing. Exit status: 0 the limit in
    /// force is enough, 1 it is not, 3 nothing could be measured, 64 wrong usage.
    #[command(after_help = "Examples:
  plimsoll size
  plimsoll size --rate tcp=2000 --lifetime tcp=90s --peak 3
  plimsoll size --capture monday.pcap.gz")]
    Size(Size),
    /// Run captured packets through a model of conntrack: how full the table gets, and what it drops
    ///
    /// The model behaves as the kernel does. It takes every captured packet to be accepted by the rules. It changes nothing.
    /// Exit status: 0 answered, whatever the answer; 1 nothing could be read, or --strict refused it; 64 wrong usage.
    #[command(after_help = "Examples:
  plimsoll replay monday.pcap.gz
  plimsoll replay monday.pcap tuesday.pcap --set nf_conntrack_max=65536 --plot peak.svg
  plimsoll replay monday.pcap --what-if max=65536,131072 --what-if tcp_timeout_time_wait=30
  tcpdump -i any -s 128 -w - | plimsoll replay - --at +10m --dump
  plimsoll replay --synthetic 'rate=2000/s lifetime=exp:30s seed=1 for=10m' --profile running")]
    Replay(Replay),
    /// Say which entries fill the table: filtered, grouped, counted, watched
    ///
    /// FILTER is written as network people write it: tcp and dport 443 and not assured; src net 10.0.0.0/8;
    /// unreplied; idle > 10m; dnat to 10.0.0.5:80; pod kube-system/coredns-* (docs/flows.md). In a shell, put
    /// it in quotes.
    #[command(after_help = "Examples:
  plimsoll flows tcp and dport 443 and not assured
  plimsoll flows --by state,dport --top 10
  plimsoll flows 'idle > 10m' --by src/24 --all-netns
  plimsoll flows --watch unreplied
  plimsoll flows --from conntrack.txt --by proto,dport -o csv")]
    Flows(Flows),
    /// Watch the table: its load, how it grows, who fills it; filter, regroup, look into groups, go back in time
    ///
    /// Keys: ? shows them. It stays below 5 % of one processor, whatever the size of the table: a large one is
    /// read less often, or in part, and the screen says so. FILTER is that of `plimsoll flows`.
    #[command(after_help = "Examples:
  plimsoll top
  plimsoll top --by src/24,service --all-netns
  plimsoll top tcp and not assured")]
    Top(Top),
    /// Write the manual pages of all commands, and completions for bash, zsh and fish
    ///
    /// Below PREFIX, where man(1) and the shells look: share/man/man8 and (in Chinese) share/man/zh_CN/man8,
    /// share/bash-completion/completions, share/zsh/site-functions, share/fish/vendor_completions.d. Files of the
    /// same names are replaced.
    #[command(after_help = "Examples:
  plimsoll manual /usr/local    # as root, for everybody
  plimsoll manual ~/.local      # for you alone")]
    Manual(Manual),
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
    /// Instead of this host: a directory that holds the proc/, etc/, var/log/ of another
    #[arg(long, value_name = "DIR", conflicts_with = "bundle")]
    pub root: Option<PathBuf>,
    /// Instead of this host: a sosreport archive (.tar, .tar.gz, .tar.xz, .tar.bz2, .tar.zst)
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// How to print it
    #[command(flatten)]
    pub output: Output,
}

/// How a screen looks.
#[derive(Debug, Args)]
pub struct Screen {
    /// Colour: on a terminal unless NO_COLOR is set, always, or never
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub color: When,
    /// Columns of the screen [default: the terminal's, at most 100; 80 on a pipe]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(60..=240))]
    pub width: Option<u16>,
    /// Only ASCII characters: in English, so not with --lang zh
    #[arg(long)]
    pub ascii: bool,
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
    /// At most 80 characters, as a node-problem-detector plug-in prints it (exit status 0, 1, or 2: unknown)
    #[arg(long, group = "form")]
    pub npd: bool,
    /// The plain commands of each remedy (sysctl, nft, iptables …) instead of `plimsoll fix`
    #[arg(long, conflicts_with = "form")]
    pub commands: bool,
    /// More evidence, all namespaces, all commands
    #[arg(long, short)]
    pub verbose: bool,
    /// Language of the screen [default: zh when the locale says so]; the other forms are English
    #[arg(long, value_name = "LANG")]
    pub lang: Option<Lang>,
    /// How the screen looks
    #[command(flatten)]
    pub screen: Screen,
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
    /// Watch a setting live, and name the process that changes it (repeatable; as root)
    ///
    /// BPF sees every write on the host, fanotify those through this /proc. Without root or either of them the
    /// time of the change and the likely writers are told. Ends with Ctrl-C, or after --changes.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["root", "bundle", "keys"])]
    pub watch: Vec<String>,
    /// Stop watching after N changes
    #[arg(long, value_name = "N", requires = "watch")]
    pub changes: Option<usize>,
    /// Instead of this host: a directory that holds the etc/, usr/lib/, proc/ of another
    #[arg(long, value_name = "DIR", conflicts_with = "bundle")]
    pub root: Option<PathBuf>,
    /// Instead of this host: a sosreport archive (.tar, .tar.gz, .tar.xz, .tar.bz2, .tar.zst)
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// All of it as JSON (schema plimsoll.boot/1); with --watch one document a line (plimsoll.watch-setting/1)
    #[arg(long)]
    pub json: bool,
    /// All settings, every line that sets them, every mistake
    #[arg(long, short)]
    pub verbose: bool,
    /// Language of the screen [default: zh when the locale says so]; --json is English
    #[arg(long, value_name = "LANG")]
    pub lang: Option<Lang>,
    /// How the screen looks
    #[command(flatten)]
    pub screen: Screen,
}

/// `plimsoll size`.
#[derive(Debug, Args)]
pub struct Size {
    /// New flows per second: 2000, or by class: tcp=2000, udp=300, or by a name of yours: api=50 (repeatable)
    #[arg(long, value_name = "[CLASS=]RATE", value_parser = class_rate)]
    pub rate: Vec<(String, f64)>,
    /// How long a flow lasts, for all classes or for one: 90s, tcp=200ms, api=2h (repeatable)
    ///
    /// For tcp, udp and icmp it is the time from the first packet to the last; the timeout that follows is added. For
    /// a name of yours it is the life of the entry.
    #[arg(long, value_name = "[CLASS=]TIME", value_parser = class_time, requires = "rate")]
    pub lifetime: Vec<(String, f64)>,
    /// The peak as a multiple of the mean [default: what was seen, else 2]
    #[arg(long, value_name = "TIMES", value_parser = times)]
    pub peak: Option<f64>,
    /// Room above the peak, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = plimsoll_diagnosis::size::MARGIN, value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub margin: u32,
    /// Captures as `plimsoll replay` takes them, to run through the model without a limit; several are merged by time
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "rate")]
    pub capture: Vec<PathBuf>,
    /// What was recorded over time (nothing is yet)
    #[arg(long, hide = true, conflicts_with_all = ["rate", "capture"])]
    pub history: bool,
    /// Seconds between the two readings that give the rates
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    pub interval: Duration,
    /// Only what this network namespace holds: a name, an inode, a process id, a container id, "host" or "own"
    /// [default: the one whose table is fullest]
    #[arg(long, value_name = "NETNS", conflicts_with_all = ["root", "bundle", "rate", "capture"])]
    pub netns: Option<String>,
    /// Instead of this host: a directory that holds the proc/, etc/ of another
    #[arg(long, value_name = "DIR", conflicts_with = "bundle")]
    pub root: Option<PathBuf>,
    /// Instead of this host: a sosreport archive (.tar, .tar.gz, .tar.xz, .tar.bz2, .tar.zst)
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// All of it as JSON (schema plimsoll.size/1)
    #[arg(long)]
    pub json: bool,
    /// Language of the answer [default: zh when the locale says so]; --json is English
    #[arg(long, value_name = "LANG")]
    pub lang: Option<Lang>,
    /// How the screen looks
    #[command(flatten)]
    pub screen: Screen,
}

/// `plimsoll explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// Finding by id (CT001) or name (table-full); all of them are listed when left out
    pub finding: Option<String>,
    /// Language of the page [default: zh when the locale says so]
    #[arg(long, value_name = "LANG")]
    pub lang: Option<Lang>,
    /// How the page looks
    #[command(flatten)]
    pub screen: Screen,
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
    /// Language of the story [default: zh when the locale says so]
    #[arg(long, value_name = "LANG")]
    pub lang: Option<Lang>,
    /// Colour: on a terminal unless NO_COLOR is set, always, or never
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
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

/// Languages of the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// English
    En,
    /// Chinese
    Zh,
}

/// A value, and the class before it; none stands for all.
fn of_class(text: &str) -> Result<(String, &str), Said> {
    match text.split_once('=') {
        None => Ok((String::new(), text.trim())),
        Some((class, _)) if class.trim().is_empty() => {
            Err(Said::of("expected the name of a class before =", "= 之前应有类别的名字"))
        }
        Some((class, value)) => Ok((class.trim().to_owned(), value.trim())),
    }
}

/// `RATE` or `CLASS=RATE`.
fn class_rate(text: &str) -> Result<(String, f64), Said> {
    let (class, value) = of_class(text)?;
    let value = value.trim_end_matches("/s");
    match value.parse::<f64>() {
        Ok(rate) if (0.0..=1e9).contains(&rate) => Ok((class, rate)),
        Ok(_) | Err(_) => Err(Said::of(
            "expected flows per second, from 0 to 1000000000",
            "应为每秒的流数，0 到 1000000000",
        )),
    }
}

/// `TIME` or `CLASS=TIME`.
fn class_time(text: &str) -> Result<(String, f64), Said> {
    let (class, value) = of_class(text)?;
    let milliseconds = value.strip_suffix("ms").map(|n| n.parse::<f64>().map(|n| n / 1e3));
    let seconds = match milliseconds {
        Some(seconds) => seconds.ok(),
        None => value
            .strip_suffix('s')
            .unwrap_or(value)
            .parse::<f64>()
            .ok()
            .or_else(|| Span::parse(value).map(|span| span.0.get() as f64)),
    };
    seconds.filter(|s| (0.0..=1e9).contains(s)).map(|s| (class, s)).ok_or_else(|| {
        Said::of("expected a time: 90s, 200ms, 5m, 2h, 5d", "应为时间：90s、200ms、5m、2h、5d")
    })
}

/// A multiple.
fn times(text: &str) -> Result<f64, Said> {
    match text.parse::<f64>() {
        Ok(x) if (1.0..=1e6).contains(&x) => Ok(x),
        Ok(_) | Err(_) => Err(Said::of("expected a number from 1 on", "应为不小于 1 的数")),
    }
}

/// An interval that rates can be divided by.
pub(crate) fn interval(text: &str) -> Result<Duration, Said> {
    seconds(text).ok().filter(|span| *span >= Duration::from_millis(50)).ok_or_else(|| {
        Said::of("expected seconds between 0.05 and 3600", "应为 0.05 到 3600 之间的秒数")
    })
}

pub(crate) fn seconds(text: &str) -> Result<Duration, Said> {
    match text.parse::<f64>() {
        Ok(s) if (0.0..=3600.0).contains(&s) => Ok(Duration::from_secs_f64(s)),
        Ok(_) | Err(_) => {
            Err(Said::of("expected seconds between 0 and 3600", "应为 0 到 3600 之间的秒数"))
        }
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

    #[test]
    fn every_example_of_the_help_is_understood() {
        fn examples(command: &clap::Command, found: &mut Vec<String>) {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let own: Vec<_> = after.lines().skip(1).map(str::to_owned).collect();
            assert!(command.is_hide_set() || !own.is_empty(), "{} has none", command.get_name());
            found.extend(own);
            command.get_subcommands().for_each(|inner| examples(inner, found));
        }
        let mut found = Vec::new();
        examples(&<Arguments as clap::CommandFactory>::command(), &mut found);
        for line in &found {
            // What writes into our input is another program's.
            let mut programs = line.split('#').next().unwrap_or_default().split(" | ");
            let command = programs.find(|program| program.trim().starts_with("plimsoll"));
            // What stands in quotes is one word.
            let pieces = command.unwrap_or_default().split('\'').enumerate();
            let words = pieces.flat_map(|(at, piece)| match at % 2 {
                0 => piece.split_whitespace().collect::<Vec<_>>(),
                _ => Vec::from([piece]),
            });
            if let Err(error) = Arguments::try_parse_from(words) {
                panic!("{line}: {error}");
            }
        }
        assert!(found.len() > 25, "{}", found.len());
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
