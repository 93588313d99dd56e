//! What the load needs: entries at once, on average and at the peak, class by class.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::{Protocol, State, timeout_name};

use super::Machine;
use crate::case::{Case, Space};
use crate::facts::{Snapshot, StateKey, Tally};
use crate::findings::is_half_open;
use crate::groups::ratio;
use crate::remedies::Findings;
use crate::{findings, words};

/// Findings that say that the limit is in the load's way.
const SHORT: [&str; 5] = ["CT001", "CT002", "CT003", "CT004", "CT005"];
/// Classes that are shown one by one.
const CLASSES: usize = 8;

/// Entries of one class.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassDemand {
    /// "tcp TIME_WAIT", "udp", "udp stream", "all".
    pub name: String,
    /// New ones per second, where known.
    pub rate: Option<f64>,
    /// Seconds that each stays, where known.
    pub stays: Option<f64>,
    /// Entries at once.
    pub entries: u64,
    /// Where the numbers come from.
    pub how: How,
}

/// Where the numbers of a class come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum How {
    /// A flow lasts so many seconds, and the timeout of this name runs behind it for so many.
    Lasts(f64, &'static str, u64),
    /// The life of the entry was given.
    Given,
    /// So many are there now; the new ones will be more once they have come to it.
    Coming(u64),
    /// Each stays for its timeout.
    Timeout,
    /// Entries over rate: longer than the timeout of so many seconds.
    KeptUp(u64),
    /// Entries over rate.
    Divided,
    /// As counted; each stays for so many seconds at most.
    UpTo(u64),
    /// As counted.
    Counted,
    /// As counted; the entries were not read.
    NotRead,
    /// Expired, and counted until the collector comes.
    Expired,
    /// So many classes more.
    More(usize),
}

impl core::fmt::Display for How {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::Lasts(lasts, name, seconds) => {
                write!(f, "{} + {name} {seconds} s", super::given::seconds_of(lasts))
            }
            Self::Given => f.write_str("as given"),
            Self::Coming(now) => {
                let now = words::count(now);
                write!(f, "{now} now; so many once the new ones have come to it")
            }
            Self::Timeout => f.write_str("each for its timeout"),
            Self::KeptUp(timeout) => write!(
                f,
                "entries / rate; longer than its timeout of {timeout} s: kept up by traffic"
            ),
            Self::Divided => f.write_str("entries / rate"),
            Self::UpTo(timeout) => {
                write!(f, "as counted; up to {} each", words::span(timeout as f64))
            }
            Self::Counted => f.write_str("as counted"),
            Self::NotRead => f.write_str("as counted; the entries were not read"),
            Self::Expired => f.write_str("counted until the collector comes"),
            Self::More(classes) => write!(f, "{classes} more classes"),
        }
    }
}

/// The peak, and how far it is known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Peak {
    /// Seen: entries at once.
    Seen(u64),
    /// Given as a multiple of the mean.
    Given(f64),
    /// Not seen: twice the mean.
    #[default]
    Assumed,
    /// The load reaches this limit, so what it needs beyond is not seen: twice that.
    Beyond(u64),
}

impl Peak {
    /// A peak that was not seen is taken as so many times the mean, or so many times a limit that was reached.
    pub const UNSEEN: u64 = 2;

    /// Entries at once.
    pub fn entries(self, mean: u64) -> u64 {
        match self {
            Self::Seen(entries) => entries.max(mean),
            Self::Given(times) => words::rounded(mean as f64 * times),
            Self::Assumed => mean.saturating_mul(Self::UNSEEN),
            Self::Beyond(limit) => limit.max(mean).saturating_mul(Self::UNSEEN),
        }
    }

    /// In words, for a person.
    pub fn because(self) -> String {
        match self {
            Self::Seen(_) => "seen: the most entries at once".to_string(),
            Self::Given(times) => format!("given: {times} × the mean"),
            Self::Assumed => format!("not seen: assumed {} × the mean", Self::UNSEEN),
            Self::Beyond(_) => format!("not seen: assumed {} × the limit", Self::UNSEEN),
        }
    }
}

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Origin {
    /// The namespace of this name: in two readings, so many seconds apart, or in one.
    Read(String, Option<f64>),
    /// Rates that a person gave.
    #[default]
    Given,
    /// Captures, by their names.
    Captures(String),
}

impl core::fmt::Display for Origin {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Read(name, Some(seconds)) => {
                write!(f, "{name}, two readings {seconds:.1} s apart")
            }
            Self::Read(name, None) => write!(f, "{name}, one reading"),
            Self::Given => f.write_str("rates as given"),
            Self::Captures(names) => f.write_str(names),
        }
    }
}

/// What the reader of a demand should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// So many entries without an answer are left out.
    Flood(u64),
    /// A table that has ended was full.
    Ended,
    /// The load reaches the limit.
    Reaches,
    /// Tables that are gone or were not read were full.
    Unread,
    /// A sentence of whoever measured.
    Said(String),
    /// A command that shows what the sentence before it says.
    Command(String),
}

impl core::fmt::Display for Remark {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Flood(entries) => write!(
                f,
                "{} without an answer, or half-open, are left out: a flood fills any table, and early drop evicts it",
                words::counted(*entries, "entry", "entries")
            ),
            Self::Ended => f.write_str(
                "A table that has ended was full (`plimsoll check` tells when). What it held went with it, so it counts for \
                 nothing here: measure while such a one runs, or give --rate and --lifetime.",
            ),
            Self::Reaches => {
                f.write_str("The load reaches the limit; what it needs beyond is not seen.")
            }
            Self::Unread => f.write_str(
                "Tables that are gone or were not read were full (`plimsoll check` tells when); what they need beyond the \
                 limit is not seen.",
            ),
            Self::Said(text) | Self::Command(text) => f.write_str(text),
        }
    }
}

/// What the load needs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Demand {
    /// What was looked at.
    pub from: Origin,
    /// Class by class, most entries first.
    pub classes: Vec<ClassDemand>,
    /// Entries at once, on average.
    pub mean: u64,
    /// At the peak.
    pub peak: Peak,
    /// What the reader should know.
    pub remarks: Vec<Remark>,
}

/// Demand as it is seen in two readings (or one): of the namespace with the most entries, since each is held to
/// the limit by itself. `peak`: how many times the mean, if somebody knows.
pub fn seen(before: Option<&Snapshot>, after: &Snapshot, peak: Option<f64>) -> Option<Demand> {
    let case = Case::new(before, after);
    let (found, _) = findings::find(&case);
    in_case(&case, &|id| Findings(&found).place(id), peak)
}

/// The same, of a case whose findings are there: `has` tells of an id whether it was found, and where.
pub(crate) fn in_case(
    case: &Case<'_>,
    has: &dyn Fn(&str) -> Option<Option<usize>>,
    peak: Option<f64>,
) -> Option<Demand> {
    let asks = |id: &str| has(id).filter(|namespace| case.asks(id, *namespace));
    let full = SHORT.iter().find_map(|id| asks(id)).flatten();
    // Of several that hold as many, the first.
    let fullest = || case.spaces.iter().rev().max_by_key(|s| s.load.count.map_or(0, |c| c.0));
    let s = full.and_then(|at| case.spaces.get(at)).or_else(fullest)?;
    let count = s.load.count?.0;
    let flood = has("CT010").is_some();
    let mut remarks = Vec::new();
    let mut classes = classes(s, flood, &mut remarks);
    classes.extend(rest(s, count, case));
    classes.sort_by(|a, b| b.entries.cmp(&a.entries).then_with(|| a.name.cmp(&b.name)));
    let mean = crate::groups::sum(classes.iter().map(|c| c.entries));
    if classes.len() > CLASSES {
        let rest = classes.split_off(CLASSES - 1);
        classes.push(ClassDemand {
            name: "others".to_string(),
            rate: None,
            stays: None,
            entries: crate::groups::sum(rest.iter().map(|c| c.entries)),
            how: How::More(rest.len()),
        });
    }
    let short = SHORT.iter().any(|id| asks(id).is_some());
    if !short && SHORT.iter().any(|id| has(id).is_some()) {
        remarks.push(Remark::Ended);
    }
    let peak = match (peak, s.limit()) {
        (Some(times), _) => Peak::Given(times),
        (None, Some(limit)) if short => {
            remarks.push(if full.is_some() { Remark::Reaches } else { Remark::Unread });
            Peak::Beyond(limit)
        }
        (None, Some(_) | None) => Peak::Assumed,
    };
    let from = Origin::Read(s.name.to_string(), case.seconds());
    Some(Demand { from, classes, mean, peak, remarks })
}

/// A class in the making.
struct Row {
    protocol: Protocol,
    state: State,
    /// That of an answered flow: `udp_timeout_stream`, and the like.
    stream: bool,
    timeout: Option<u64>,
    /// Waits for its timeout and nothing else.
    ends: bool,
    entries: u64,
}

impl Row {
    /// `tcp TIME_WAIT`, `udp`, `udp stream`: protocols without states have two timeouts.
    fn label(&self) -> String {
        let state = crate::groups::state_label(self.protocol, self.state);
        if self.stream { format!("{state} stream") } else { state }
    }
}

fn classes(s: &Space<'_>, flood: bool, remarks: &mut Vec<Remark>) -> Vec<ClassDemand> {
    let Some((census, scale)) = s.census() else { return Vec::new() };
    // What is half-open is part of the flood.
    let half = |key: &StateKey, tally: &Tally| if is_half_open(key) { tally.total() } else { 0 };
    let mut rows: BTreeMap<(Protocol, State, Option<&'static str>), (u64, u64)> = BTreeMap::new();
    for (key, tally) in &census.states {
        let name = timeout_name(key.protocol, key.state, key.assured, key.replied);
        let row = rows.entry((key.protocol, key.state, name)).or_default();
        row.0 = row.0.saturating_add(tally.total());
        row.1 = row.1.saturating_add(tally.unreplied).saturating_add(half(key, tally));
    }
    let rates = new_rates(s);
    let mut left_out: u64 = 0;
    let rows: Vec<Row> = rows
        .into_iter()
        .map(|((protocol, state, name), (all, unreplied))| {
            let out = if flood { unreplied.min(all) } else { 0 };
            left_out = left_out.saturating_add(out);
            let timeout = name.and_then(|n| s.now.setting(&format!("nf_conntrack_{n}")));
            let ends = name.is_some_and(waits);
            let stream = name.is_some_and(|name| name.ends_with("_timeout_stream"));
            Row { protocol, state, stream, timeout, ends, entries: scale.up(all - out) }
        })
        .filter(|row| row.entries > 0)
        .collect();
    if left_out > 0 {
        remarks.push(Remark::Flood(scale.up(left_out)));
    }
    let rate_of = |protocol: Protocol| match protocol {
        _ if flood => None,
        Protocol::Tcp => rates.map(|r| r.0),
        Protocol::Udp => rates.map(|r| r.1),
        _ => None,
    };
    // How TCP's connections end: through each closing class in proportion to its entries over its timeout.
    let leaving = |protocol: Protocol| -> f64 {
        rows.iter().filter(|r| r.protocol == protocol && r.ends).filter_map(out_per_second).sum()
    };
    let holding = |protocol: Protocol| -> u64 {
        let rows = rows.iter().filter(|r| r.protocol == protocol && !r.ends);
        crate::groups::sum(rows.map(|r| r.entries))
    };
    rows.iter()
        .map(|row| {
            let name = row.label();
            let arrives = rate_of(row.protocol).filter(|r| *r > 0.0);
            if row.ends
                && let (Some(out), Some(timeout)) = (out_per_second(row), row.timeout)
            {
                let all = leaving(row.protocol);
                let share = if all > 0.0 { out / all } else { 1.0 };
                let coming = arrives.map_or(0.0, |rate| rate * share);
                let rate = coming.max(out);
                let entries = words::rounded(rate * timeout as f64).max(row.entries);
                let how =
                    if entries > row.entries { How::Coming(row.entries) } else { How::Timeout };
                return ClassDemand {
                    name,
                    rate: Some(rate),
                    stays: Some(timeout as f64),
                    entries,
                    how,
                };
            }
            // What lives on traffic stays as long as entries and arrivals say.
            let mine = arrives.map(|rate| rate * ratio(row.entries, holding(row.protocol)));
            let stays = mine.map(|rate| row.entries as f64 / rate);
            let how = match (stays, row.timeout) {
                (Some(stays), Some(timeout)) if stays > timeout as f64 => How::KeptUp(timeout),
                (Some(_), _) => How::Divided,
                (None, Some(timeout)) => How::UpTo(timeout),
                (None, None) => How::Counted,
            };
            ClassDemand { name, rate: mine, stays, entries: row.entries, how }
        })
        .collect()
}

fn out_per_second(row: &Row) -> Option<f64> {
    row.timeout.filter(|t| *t > 0).map(|t| row.entries as f64 / t as f64)
}

/// Timeouts that no packet of an orderly flow prolongs: the entry goes when they are over.
fn waits(name: &str) -> bool {
    matches!(
        name,
        "tcp_timeout_time_wait"
            | "tcp_timeout_close"
            | "tcp_timeout_last_ack"
            | "tcp_timeout_close_wait"
            | "tcp_timeout_fin_wait"
            | "udp_timeout"
            | "icmp_timeout"
            | "icmpv6_timeout"
    )
}

/// New entries per second of TCP and UDP, scaled from the part of the table that was read twice.
fn new_rates(s: &Space<'_>) -> Option<(f64, f64)> {
    let census = s.now.census.value()?;
    let churn = census.churn.filter(|c| c.appeared > 0)?;
    let all = s.rates.new.as_ref().ok()?;
    let part = |n: u64| all * ratio(n, churn.appeared);
    Some((part(churn.appeared_tcp), part(churn.appeared_udp)))
}

/// What the count holds and the reading did not show.
fn rest(s: &Space<'_>, count: u64, case: &Case<'_>) -> Option<ClassDemand> {
    let (name, entries, how) = match s.now.census.value() {
        None => ("all", count, How::NotRead),
        Some(census)
            if census.complete && count > census.seen && case.profile.collector_lag.0 > 0 =>
        {
            ("expired", count - census.seen, How::Expired)
        }
        Some(_) => return None,
    };
    Some(ClassDemand { name: name.to_string(), rate: None, stays: None, entries, how })
}

/// Expired entries that still count: since 4.9 a collector takes them, now and then.
pub(super) fn uncollected(rate: f64, machine: &Machine) -> Option<ClassDemand> {
    let lag = machine.profile.collector_lag.0;
    (lag > 0).then(|| ClassDemand {
        name: "expired".to_string(),
        rate: Some(rate),
        stays: Some(lag as f64),
        entries: words::rounded(rate * lag as f64),
        how: How::Expired,
    })
}
