//! The flags of `plimsoll replay`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use plimsoll_ct::Bytes;
use plimsoll_diagnosis::boot::written;
use plimsoll_diagnosis::{Said, said};
use plimsoll_replay::{HelperRule, MOST_COPIES, PolicyRule, Selector, Workload, ZoneRule};

use super::{moment, workload};
use crate::arguments::{Lang, When};

/// `plimsoll replay`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Captures: pcap or pcapng, plain, gzip or zstd; several are merged by time; - is standard input
    #[arg(required_unless_present = "synthetic", value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,

    /// A setting by its sysctl name, old or new: nf_conntrack_max=65536; nf_conntrack_ may be left out (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting, help_heading = "The host")]
    pub set: Vec<(String, u64)>,
    /// Kernel to be: a profile (2.6.18, el6, 3.10, 4.9, 4.14, el8, 5.4, 5.10, 5.15, 6.1, 6.12, 6.18, 6.19, 7.1),
    /// a release (7.3, 3.10.0-1160.el7.x86_64), or "running"
    #[arg(long, value_name = "KERNEL", default_value = "6.18", help_heading = "The host")]
    pub profile: String,
    /// Memory of the host in GiB (0.5 is 512 MiB), which decides the defaults of max and buckets
    #[arg(long, value_name = "GIB", default_value = "8", value_parser = memory, help_heading = "The host")]
    pub memory: Bytes,
    /// Inode of the network namespace, which --log names as kernels from 6.18 on do (ls -Li /proc/PID/ns/net); the initial
    /// one has no name
    #[arg(long, value_name = "INODE", value_parser = inode, help_heading = "The host")]
    pub netns: Option<u64>,
    /// Interface by which packets came in: what --log prints of single packets with --set nf_conntrack_log_invalid=255 has
    /// it (IN=), and a capture does not tell
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true,
        help_heading = "The host"
    )]
    pub interface: String,
    /// Zone of packets, as nft's "ct zone set" or CT --zone: '7' is that of all, 'udp port 53 7' of some; 'orig=7' and
    /// 'reply=7' are for one direction (repeatable, the first about a packet counts; terms as below)
    #[arg(long, value_name = "[EXPR] ZONE", value_parser = ZoneRule::parse, help_heading = "The host")]
    pub zone: Vec<ZoneRule>,
    /// Packets that a NOTRACK rule keeps from conntrack: 'tcp dport 443' is one direction, 'tcp port 443'
    /// both (repeatable; terms: tcp udp icmp …, ip ip6, port sport dport, host saddr daddr)
    #[arg(long, value_name = "EXPR", value_parser = Selector::parse, help_heading = "The host")]
    pub notrack: Vec<Selector>,
    /// Timeouts of some entries, as nft's "ct timeout" or CT --timeout: 'tcp dport 443 established=600
    /// close_wait=10' (repeatable, the first about an entry's first packet counts; terms as above)
    #[arg(long, value_name = "EXPR", value_parser = PolicyRule::parse, help_heading = "The host")]
    pub timeout_policy: Vec<PolicyRule>,
    /// Entries that a helper reads, as nft's "ct helper set" or CT --helper: 'tcp dport 21 ftp' (repeatable; helpers:
    /// ftp, pptp). Kernels before 4.7 assign them by port themselves: nf_conntrack_helper
    #[arg(long, value_name = "EXPR", value_parser = HelperRule::parse, help_heading = "The host")]
    pub helper: Vec<HelperRule>,

    /// Try these values of a setting too: nf_conntrack_max=1000,2000; several give all combinations, 64
    /// at most
    #[arg(long, value_name = "KEY=V1,V2,…", value_parser = grid, help_heading = "What if")]
    pub what_if: Vec<Grid>,
    /// N times the traffic: N copies with other addresses
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_COPIES)),
        help_heading = "What if"
    )]
    pub scale: u32,
    /// The same in less time: 2 halves every pause
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = speed, help_heading = "What if")]
    pub speed: f64,
    /// No capture but made-up traffic: 'rate=2000/s lifetime=exp:30s tcp=70% udp=30% seed=1 for=10m'
    #[arg(
        long,
        value_name = "WORKLOAD",
        value_parser = workload::parse,
        conflicts_with = "captures",
        help_heading = "What if"
    )]
    pub synthetic: Option<Workload>,
    /// Read the captures once: don't look for the limit that would have sufficed
    #[arg(long, help_heading = "What if")]
    pub no_search: bool,

    /// Print the table as /proc/net/nf_conntrack does, at the end or --at a moment
    #[arg(long, group = "replay_form", help_heading = "What to print")]
    pub dump: bool,
    /// Print what helpers expect, as /proc/net/nf_conntrack_expect does, at the end or --at a moment
    #[arg(long, group = "replay_form", help_heading = "What to print")]
    pub expectations: bool,
    /// Print what happens to entries, as conntrack -E does
    #[arg(long, group = "replay_form", help_heading = "What to print")]
    pub events: bool,
    /// Print the statistics, as /proc/net/stat/nf_conntrack does
    #[arg(long, group = "replay_form", help_heading = "What to print")]
    pub stats: bool,
    /// Print the lines that the kernel would have logged, as dmesg does
    #[arg(long, group = "replay_form", help_heading = "What to print")]
    pub log: bool,
    /// Print all of it as JSON (schema plimsoll.replay/1)
    #[arg(long, group = "replay_form", help_heading = "What to print")]
    pub json: bool,
    /// Whether occupancy over time is kept all the same.
    #[arg(skip)]
    pub sampled: bool,
    /// Draw the occupancy over time: an SVG file, or - for the terminal
    #[arg(long, value_name = "FILE", help_heading = "What to print")]
    pub plot: Option<PathBuf>,
    /// Form of --dump and --expectations (proc, conntrack) or of --events (timestamp)
    #[arg(long, short, value_name = "FORM", help_heading = "What to print")]
    pub output: Option<Form>,
    /// Stop at this moment: 2026-11-24T03:12:04Z, or +90 (seconds from the start; +2m, +1h too)
    #[arg(long, value_name = "TIME", value_parser = moment::parse, help_heading = "What to print")]
    pub at: Option<moment::Moment>,

    /// Refuse a capture that is broken, cut off or holds what can't be read
    #[arg(long, help_heading = "How")]
    pub strict: bool,
    /// Colour: on a terminal unless NO_COLOR is set, always, or never
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "How")]
    pub color: When,
    /// Columns of the screen [default: the terminal's, at most 100; 80 on a pipe]
    #[arg(
        long,
        value_name = "COLUMNS",
        value_parser = clap::value_parser!(u16).range(60..=240),
        help_heading = "How"
    )]
    pub width: Option<u16>,
    /// Language of the answer [default: zh when the locale says so]; --json is English
    #[arg(long, value_name = "LANG", help_heading = "How")]
    pub lang: Option<Lang>,
    /// Only ASCII characters: in English, so not with --lang zh
    #[arg(long, help_heading = "How")]
    pub ascii: bool,
    /// Times in UTC, not in this host's zone
    #[arg(long, help_heading = "How")]
    pub utc: bool,
}

impl Arguments {
    /// These captures on a host that has no limit: what would they need? Occupancy over time is kept.
    pub fn without_a_limit(
        captures: &[PathBuf],
        profile: String,
        set: Vec<(String, u64)>,
        (lang, json): (Option<Lang>, bool),
    ) -> Self {
        Self {
            captures: captures.to_vec(),
            set,
            profile,
            memory: Bytes(8 << 30),
            netns: None,
            zone: Vec::new(),
            notrack: Vec::new(),
            timeout_policy: Vec::new(),
            helper: Vec::new(),
            expectations: false,
            what_if: Vec::new(),
            scale: 1,
            speed: 1.0,
            synthetic: None,
            no_search: true,
            dump: false,
            events: false,
            stats: false,
            log: false,
            interface: String::new(),
            json,
            sampled: true,
            plot: None,
            output: None,
            at: None,
            strict: false,
            color: When::Never,
            width: None,
            lang,
            ascii: false,
            utc: false,
        }
    }
}

/// Forms of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// /proc/net/nf_conntrack (of --dump; the default)
    Proc,
    /// conntrack -L (of --dump)
    Conntrack,
    /// With the time before each line, as conntrack -E -o timestamp (of --events)
    Timestamp,
}

/// `KEY=VALUE`.
pub fn setting(text: &str) -> Result<(String, u64), Said> {
    let (key, value) = pair(text).ok_or(Said::of("expected KEY=VALUE", "应为 KEY=VALUE"))?;
    Ok((key.to_owned(), number(key, value)?))
}

/// A name, and what stands behind its `=`.
fn pair(text: &str) -> Option<(&str, &str)> {
    let (key, value) = text.split_once('=')?;
    Some((key.trim(), value)).filter(|(key, _)| !key.is_empty())
}

/// A value as the kernel reads it: 010 is 8, 0x10 is 16, and what stands behind a blank is passed over.
fn number(key: &str, text: &str) -> Result<u64, Said> {
    let (number, _) = written(text)
        .map_err(|why| said!("the kernel refuses it: {why}", "内核不接受：{why:#}"))?;
    u64::try_from(number).map_err(|_| {
        if !key.contains("timeout") {
            return said!(
                "{number} is negative: the model takes no such value",
                "{number} 是负数：模型不接受这样的值"
            );
        }
        said!(
            "{number} is negative: as a timeout the kernel takes it, and an entry has expired when it is made; the model does not",
            "{number} 是负数：作为超时内核会接受，条目一建立就已过期；模型不接受"
        )
    })
}

/// `4026532288`, or as readlink(1) shows it: `net:[4026532288]`.
fn inode(text: &str) -> Result<u64, Said> {
    let bare = text.strip_prefix("net:[").and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(text).parse().map_err(|_| {
        Said::of(
            "expected the namespace's inode, like 4026532288 (ls -Li /proc/PID/ns/net)",
            "应为命名空间的 inode，如 4026532288（ls -Li /proc/PID/ns/net）",
        )
    })
}

/// Values of one setting.
pub type Grid = (String, Vec<u64>);

/// `KEY=V1,V2`.
fn grid(text: &str) -> Result<Grid, Said> {
    let (key, values) = pair(text).ok_or(Said::of("expected KEY=V1,V2,…", "应为 KEY=V1,V2,…"))?;
    let values = values.split(',').map(|value| number(key, value)).collect::<Result<_, Said>>()?;
    Ok((key.to_owned(), values))
}

/// GiB, as bytes.
fn memory(text: &str) -> Result<Bytes, Said> {
    match text.parse::<f64>() {
        Ok(gib) if (0.001..=1e6).contains(&gib) => Ok(Bytes((gib * f64::from(1 << 30)) as u64)),
        Ok(_) | Err(_) => Err(Said::of(
            "expected GiB between 0.001 and 1000000, like 8 or 0.5",
            "应为 0.001 到 1000000 之间的 GiB 数，如 8 或 0.5",
        )),
    }
}

fn speed(text: &str) -> Result<f64, Said> {
    match text.parse::<f64>() {
        Ok(x) if (1e-6..=1e6).contains(&x) => Ok(x),
        Ok(_) | Err(_) => Err(Said::of(
            "expected a number between 0.000001 and 1000000",
            "应为 0.000001 到 1000000 之间的数",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_number_that_the_kernel_reads_in_it() {
        let value = |text: &str| setting(&format!("udp_timeout={text}")).map(|(_, value)| value);
        for (text, number) in [("010", 8), ("0x10", 16), (" 10 ", 10), ("10 20", 10), ("-0", 0)] {
            assert_eq!(value(text), Ok(number), "{text}");
        }
        for (text, why) in [
            ("+10", "the kernel refuses it: \"+10\" is no number"),
            ("1_000", "the kernel refuses it: \"1_000\" has a separator in it"),
            ("", "the kernel refuses it: no value"),
            (
                "-5",
                "-5 is negative: as a timeout the kernel takes it, and an entry has expired when it is made; the model does not",
            ),
        ] {
            assert_eq!(value(text), Err(Said::name(why)), "{text}");
        }
        let why = "-1 is negative: the model takes no such value";
        assert_eq!(grid("max=9,-1"), Err(Said::name(why)));
        for text in ["=5", " =5", "max"] {
            assert!(setting(text).is_err() && grid(text).is_err(), "{text}");
        }
        assert_eq!((memory("0.5"), memory("8")), (Ok(Bytes(512 << 20)), Ok(Bytes(8 << 30))));
        assert!(memory("0").is_err() && memory("8G").is_err());
        assert_eq!(grid("max=010,0x10,10"), Ok(("max".into(), vec![8, 16, 10])));
    }
}
