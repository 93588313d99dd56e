//! Two tables and two sets of counters side by side.

use std::collections::BTreeMap;
use std::fmt;

use crate::again::Apart;
use plimsoll_ct::{Counter, Counters, Entry, Tuple, Zone};
use plimsoll_model::{Expectation, Model};
use plimsoll_wire::listing::{Dialect, Line, append_expected, write};

/// A difference.
#[derive(Debug, Clone, PartialEq)]
pub enum Difference {
    /// An entry differs, or stands on one side only.
    Entry {
        /// The kernel's.
        kernel: Option<Box<Entry>>,
        /// The model's.
        model: Option<Box<Entry>>,
    },
    /// What helpers expect: the kernel's lines and the model's, without the seconds.
    Expected {
        /// The kernel's.
        kernel: Vec<String>,
        /// The model's.
        model: Vec<String>,
    },
    /// Packets of a class, as rules see them.
    Class {
        /// Its name.
        class: &'static str,
        /// The kernel's.
        kernel: u64,
        /// The model's.
        model: u64,
    },
    /// A counter.
    Counter {
        /// Which.
        counter: Counter,
        /// The kernel's growth.
        kernel: u64,
        /// The model's.
        model: u64,
    },
    /// The same, where the packets were led together.
    Led {
        /// By whom.
        led_by: &'static str,
        /// What differs.
        difference: Box<Difference>,
    },
    /// A setting comes to something else beside others than alone.
    Apart(Apart),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry { kernel, model } => {
                write!(
                    f,
                    "kernel {}\n   model  {}",
                    shown(kernel.as_deref()),
                    shown(model.as_deref())
                )
            }
            Self::Expected { kernel, model } => {
                write!(f, "expected: kernel {kernel:?}\n          model  {model:?}")
            }
            Self::Class { class, kernel, model } => {
                write!(f, "packets that are {class}: kernel {kernel}, model {model}")
            }
            Self::Counter { counter, kernel, model } => {
                write!(f, "{}: kernel {kernel}, model {model}", counter.name())
            }
            Self::Led { led_by, difference } => write!(f, "{led_by}: {difference}"),
            Self::Apart(apart) => apart.fmt(f),
        }
    }
}

fn shown(entry: Option<&Entry>) -> String {
    let Some(entry) = entry else { return "has none".into() };
    let mut text = format!("{:#06x} ", entry.status.0);
    // Writing to a String cannot fail.
    let _ = write(&mut text, &Line::from(*entry), Dialect::ToolExtended);
    text
}

/// What differs between two tables. Timeouts may differ by a second, and an entry about to expire may be
/// gone.
pub fn entries(kernel: &[Entry], model: &[Entry]) -> Vec<Difference> {
    type Both<'a> = (Option<&'a Entry>, Option<&'a Entry>);
    let mut both: BTreeMap<(Zone, Tuple), Both<'_>> = BTreeMap::new();
    for entry in kernel {
        both.entry((entry.zone, entry.original)).or_default().0 = Some(entry);
    }
    for entry in model {
        both.entry((entry.zone, entry.original)).or_default().1 = Some(entry);
    }
    let mut differences = Vec::new();
    for (k, m) in both.into_values() {
        let same = match (k, m) {
            (Some(k), Some(m)) => {
                k.reply == m.reply
                    && k.state == m.state
                    && k.status == m.status
                    && k.helper == m.helper
                    && left(k).abs_diff(left(m)) <= 1
                    && k.original_accounting == m.original_accounting
                    && k.reply_accounting == m.reply_accounting
            }
            (Some(one), None) | (None, Some(one)) => left(one) == 0,
            (None, None) => true,
        };
        if !same {
            let own = |e: Option<&Entry>| e.cloned().map(Box::new);
            differences.push(Difference::Entry { kernel: own(k), model: own(m) });
        }
    }
    differences
}

/// What differs between the kernel's table and the model's, nothing being tolerated but that time went on while the kernel's was
/// listed: the model's before that, and behind it.
pub fn between(kernel: &[Entry], before: &[Entry], after: &[Entry]) -> Vec<Difference> {
    let by_key = |entries: &[Entry]| -> BTreeMap<(Zone, Tuple), Entry> {
        entries.iter().map(|e| ((e.zone, e.original), *e)).collect()
    };
    let (kernel, before, after) = (by_key(kernel), by_key(before), by_key(after));
    let keys: std::collections::BTreeSet<_> = kernel.keys().chain(before.keys()).copied().collect();
    let mut differences = Vec::new();
    for key in keys {
        let (k, b, a) = (kernel.get(&key), before.get(&key), after.get(&key));
        let same = match (k, b) {
            (Some(k), Some(b)) => {
                let span = a.map_or(0, left)..=left(b);
                let moved = Entry { expires: k.expires, ..*b };
                span.contains(&left(k)) && entries(std::slice::from_ref(k), &[moved]).is_empty()
            }
            (None, _) => a.is_none(),
            (Some(_), None) => false,
        };
        if !same {
            let own = |e: Option<&Entry>| e.cloned().map(Box::new);
            differences.push(Difference::Entry { kernel: own(k), model: own(b) });
        }
    }
    differences
}

fn left(entry: &Entry) -> u64 {
    entry.expires.map_or(0, plimsoll_ct::Seconds::get)
}

/// Expectations in the model of an entry that has expired: a listing of the kernel's table takes such an entry and what it
/// expected away, and one of the model's changes nothing.
pub fn orphans(model: &Model) -> usize {
    model.expectations().filter(|(expectation, _)| is_orphan(model, expectation)).count()
}

fn is_orphan(model: &Model, expectation: &Expectation) -> bool {
    model.lookup(&expectation.master, expectation.zone).is_none()
}

/// What the model's helpers expect, as the kernel's lines, once the tables were listed.
pub fn expectations(model: &Model) -> Vec<String> {
    model
        .expectations()
        .filter(|(expectation, _)| !is_orphan(model, expectation))
        .map(|(expectation, left)| {
            let mut line = Vec::new();
            append_expected(&mut line, &expectation.shown(left), Dialect::Proc);
            String::from_utf8_lossy(&line).into_owned()
        })
        .collect()
}

/// What differs between what the kernel's helpers and the model's expect, as lines. What is left may differ by a second.
pub fn expected(kernel: &[String], model: &[String]) -> Option<Difference> {
    let parts = |lines: &[String]| {
        let mut parts: Vec<(String, i64)> = lines
            .iter()
            .map(|line| {
                let (seconds, rest) = line.split_once(' ').unwrap_or((line, ""));
                (rest.to_owned(), seconds.parse().unwrap_or(-1))
            })
            .collect();
        parts.sort();
        parts
    };
    let (k, m) = (parts(kernel), parts(model));
    let near = |(a, b): (&(String, i64), &(String, i64))| a.0 == b.0 && (a.1 - b.1).abs() <= 1;
    let same = k.len() == m.len() && k.iter().zip(&m).all(near);
    (!same).then(|| Difference::Expected { kernel: kernel.to_vec(), model: model.to_vec() })
}

/// What differs between the growth of the kernel's counters and the model's.
pub fn counters(
    before: &Counters,
    after: &Counters,
    model: (&Counters, &Counters),
) -> Vec<Difference> {
    let mut differences = Vec::new();
    for counter in [
        Counter::Found,
        Counter::Invalid,
        Counter::Insert,
        Counter::InsertFailed,
        Counter::Drop,
        Counter::EarlyDrop,
        Counter::IcmpError,
        Counter::ClashResolved,
        Counter::ChainTooLong,
        Counter::ExpectNew,
        Counter::ExpectCreate,
        Counter::ExpectDelete,
    ] {
        let growth = |a: &Counters, b: &Counters| {
            b.get(counter).unwrap_or(0).wrapping_sub(a.get(counter).unwrap_or(0))
        };
        let (kernel, model) = (growth(before, after), growth(model.0, model.1));
        if kernel != model {
            differences.push(Difference::Counter { counter, kernel, model });
        }
    }
    differences
}
