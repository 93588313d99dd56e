//! The running host as a source of entries.

use std::collections::BTreeMap;

use plimsoll_ct::Entry;
use plimsoll_diagnosis::facts::Gap;
use plimsoll_flows::{Lacks, Surroundings, Tells};
use plimsoll_probe::entries::{self, Ask, Details, Outcome, Reader, Scope, Share, Sink, Wants};
use plimsoll_probe::live::{NamespaceSelector, Pulse};
use plimsoll_report::clean;
use plimsoll_report::number::{count as grouped, counted};
use plimsoll_wire::Malformed;

use super::arguments::Flows;
use super::around;
use super::form::{Form, Output};
use super::narrow::narrow;
use super::pipe::{Beside, End, Pipe};

/// Namespaces, each with what judging its entries takes.
pub struct Places {
    /// What to read.
    pub scope: Scope,
    /// As a reader sees them that tells little, and one that tells all.
    by_inode: BTreeMap<Option<u64>, (Surroundings, Surroundings)>,
    /// Whether entries of some namespace carry counters.
    pub accounting: bool,
    /// What an entry of a namespace that came meanwhile is judged by.
    unknown: (Surroundings, Surroundings),
}

impl Places {
    /// The namespaces that were chosen.
    pub fn choose(all: bool, netns: &[String]) -> Result<Self, String> {
        let scope = if all {
            Scope::All
        } else if netns.is_empty() {
            Scope::Here
        } else {
            let only: Vec<NamespaceSelector> =
                netns.iter().map(|text| NamespaceSelector::parse(text)).collect();
            let (found, unmatched) = entries::namespaces(&only);
            if !unmatched.is_empty() {
                let asked: Vec<String> = netns
                    .iter()
                    .filter(|text| unmatched.contains(&NamespaceSelector::parse(text)))
                    .map(|text| format!("{text:?}"))
                    .collect();
                return Err(format!("no network namespace answers to {}", asked.join(", ")));
            }
            Scope::Some(found.into_iter().filter_map(|one| one.inode).collect())
        };
        Ok(Self::of(scope))
    }

    /// Those of a scope.
    pub fn of(scope: Scope) -> Self {
        let found = entries::around(&scope);
        let on = |around: &entries::Around| {
            around.settings.get("nf_conntrack_acct").is_some_and(|value| value.trim() == "1")
        };
        Self {
            accounting: found.iter().any(on),
            by_inode: found.into_iter().map(|one| (one.inode, both(around::live(one)))).collect(),
            scope,
            unknown: both(Surroundings::default()),
        }
    }

    /// Whether entries of more than one may come.
    pub fn are_several(&self) -> bool {
        self.by_inode.len() > 1
    }

    /// What is around an entry that this reader told of.
    pub fn around(&self, entry: &Entry, reader: Reader) -> &Surroundings {
        let (bare, full) = self.by_inode.get(&entry.netns).unwrap_or(&self.unknown);
        match reader {
            Reader::Bpf | Reader::Ctnetlink => full,
            Reader::Proc | Reader::Listing => bare,
        }
    }
}

fn both(bare: Surroundings) -> (Surroundings, Surroundings) {
    let tells = Tells { helper: true, labels: true, status: true };
    let full = Surroundings { tells, ..bare.clone() };
    (bare, full)
}

/// What must be told of each entry that is counted.
pub fn wants(needs: Lacks, accounting: bool) -> Wants {
    Wants {
        accounting: accounting || needs.contains(Lacks::ACCOUNTING),
        age: needs.contains(Lacks::AGE),
        helper: needs.contains(Lacks::HELPER),
        labels: needs.contains(Lacks::LABELS),
        ..Wants::default()
    }
}

/// What must be told of each entry that is shown: all but what few ask for.
pub fn shows(output: Output) -> Wants {
    let Output { form, id } = output;
    Wants { id, security: matches!(form, Form::Conntrack(_) | Form::Proc), ..Wants::ALL }
}

/// Reads the table through the pipes; with more than one, from as many threads as the reader can use.
pub fn read(
    arguments: &Flows,
    places: &Places,
    wants: Wants,
    details: bool,
    pipes: &mut [Pipe<'_>],
) -> Result<Outcome, Gap> {
    let ask = Ask {
        which: arguments.reader.into(),
        scope: places.scope.clone(),
        wants,
        narrow: pipes.first().map(|pipe| narrow(pipe.filter)).unwrap_or_default(),
        budget: arguments.budget.map(|kernel| entries::Budget { kernel, wall: kernel * 3 }),
        sample: None,
    };
    let mut sinks: Vec<Take<'_, '_>> =
        pipes.iter_mut().map(|pipe| Take { pipe, places, details, reader: Reader::Proc }).collect();
    entries::read(&ask, &mut sinks)
}

struct Take<'p, 'a> {
    pipe: &'p mut Pipe<'a>,
    places: &'p Places,
    details: bool,
    reader: Reader,
}

impl Sink for Take<'_, '_> {
    fn begin(&mut self, reader: Reader) {
        self.reader = reader;
    }
    fn take(&mut self, entry: &Entry) -> bool {
        self.pipe.take(entry, self.places.around(entry, self.reader), Beside::Nothing)
    }
    fn take_detailed(&mut self, entry: &Entry, details: &Details) -> bool {
        self.pipe.take(entry, self.places.around(entry, self.reader), Beside::Details(details))
    }
    fn wants_order(&self) -> bool {
        matches!(self.pipe.end, End::Print(_))
    }
    fn wants_details(&self) -> bool {
        self.details
    }
    fn malformed(&mut self, _: &Malformed) {
        self.pipe.counts.malformed += 1;
    }
}

/// What a person must know of how it was read. `full`: it ended because enough was shown.
pub fn remarks(outcome: &Outcome, full: bool) -> Vec<String> {
    let mut remarks = Vec::new();
    let gap = |gap: &Gap| match &gap.needs {
        Some(needs) => format!("{} (needs {needs})", gap.detail),
        None => gap.detail.to_string(),
    };
    if let (Share::Part(share), false) = (outcome.share, full) {
        let part = match share {
            Some(share) => format!("about {:.1} % of the table was read", share * 100.0),
            None => "a part of the table was read".into(),
        };
        remarks.push(format!("{part}: counts are of what was read"));
    }
    for (n, one, many, what) in [
        (outcome.overruns, "time", "times", "the kernel lost messages (ENOBUFS)"),
        (outcome.duplicates, "entry", "entries", "came twice and left out"),
        (outcome.cut, "group of buckets", "groups of buckets", "given up"),
        (
            outcome.untold,
            "entry",
            "entries",
            "with a security context that bpf can't tell (--reader netlink can)",
        ),
    ] {
        if n > 0 {
            remarks.push(format!("{} {what}", counted(n, one, many)));
        }
    }
    if outcome.resized {
        remarks.push("the table was resized meanwhile: entries may be missing or doubled".into());
    }
    if let Some(why) = &outcome.unseen {
        remarks.push(format!("there may be more network namespaces: {}", gap(why)));
    }
    for (inode, why) in outcome.unread.iter().take(3) {
        let which = inode.map_or_else(|| "a namespace".into(), |inode| format!("net:[{inode}]"));
        remarks.push(format!("{which} was not read: {}", gap(why)));
    }
    if outcome.unread.len() > 3 {
        remarks.push(format!("{} more namespaces were not read", outcome.unread.len() - 3));
    }
    remarks.into_iter().map(|remark| clean(&remark).into_owned()).collect()
}

/// Where there are entries, if this namespace has none.
pub fn elsewhere() -> Option<String> {
    if number("nf_conntrack_count")? > 0 {
        return None;
    }
    let counts = Pulse::of(&[]).0.take();
    let counts = counts.namespaces.iter().filter_map(|space| space.count.get());
    let (spaces, entries) = counts
        .filter(|count| count.0 > 0)
        .fold((0u64, 0u64), |(n, sum), count| (n + 1, sum.saturating_add(count.0)));
    (spaces > 0).then(|| {
        format!(
            "this network namespace has no entries; {} in {}: --all-netns",
            counted(entries, "is", "are"),
            counted(spaces, "other", "others")
        )
    })
}

fn number(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/sys/net/netfilter/{name}")).ok()?;
    text.trim().parse().ok()
}

/// Which way it was, and why not a faster one.
pub fn way(outcome: &Outcome) -> String {
    let mut way = format!("read by {}", entries::name(outcome.reader));
    for (reader, gap) in &outcome.passed_over {
        let detail = gap.detail.strip_prefix(&format!("{}: ", entries::name(*reader)));
        way.push_str(&format!(
            "; not by {}: {}",
            entries::name(*reader),
            detail.unwrap_or(&gap.detail)
        ));
    }
    clean(&way).into_owned()
}

/// Why the tables of a scope can't be read, and what can be seen all the same.
pub fn refusal(gap: &Gap, scope: &Scope) -> String {
    let mut text = format!("the table can't be read: {}", gap.detail);
    if let Some(needs) = &gap.needs {
        text.push_str(&format!("\nplimsoll: missing: {needs}"));
    }
    if *scope == Scope::Here
        && let (Some(count), Some(max)) = (number("nf_conntrack_count"), number("nf_conntrack_max"))
    {
        let (entries, max) = (counted(count, "entry", "entries"), grouped(max));
        text.push_str(&format!(
            "\nplimsoll: what can be seen: {entries} in this namespace, of {max} at most \
             (plimsoll check tells more)"
        ));
    }
    if !std::path::Path::new("/proc/self").exists() {
        text.push_str(
            "\nplimsoll: /proc is not mounted here: `mount -t proc proc /proc`; a listing saved elsewhere is \
             read with --from FILE",
        );
    }
    text
}
