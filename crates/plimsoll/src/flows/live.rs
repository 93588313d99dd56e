//! The running host as a source of entries.

use std::collections::BTreeMap;

use plimsoll_ct::Row;
use plimsoll_diagnosis::facts::Gap;
use plimsoll_flows::{Lacks, Surroundings, Tells};
use plimsoll_probe::entries::{self, Ask, Details, Outcome, Scope, Share, Sink, Wants, Which};
use plimsoll_probe::live::NamespaceSelector;
use plimsoll_report::clean;
use plimsoll_wire::Malformed;

use super::arguments::{Flows, ReaderChoice};
use super::around;
use super::narrow::narrow;
use super::pipe::{Beside, Pipe};

/// Namespaces, each with what judging its entries takes.
pub struct Places {
    /// What to read.
    pub scope: Scope,
    by_inode: BTreeMap<Option<u64>, Surroundings>,
    /// Whether entries of some namespace carry counters.
    pub accounting: bool,
    /// What an entry of a namespace that came meanwhile is judged by.
    unknown: Surroundings,
}

impl Places {
    /// The namespaces that were chosen.
    pub fn choose(arguments: &Flows) -> Result<Self, String> {
        let scope = if arguments.all_netns {
            Scope::All
        } else if arguments.netns.is_empty() {
            Scope::Here
        } else {
            let only: Vec<NamespaceSelector> =
                arguments.netns.iter().map(|text| NamespaceSelector::parse(text)).collect();
            let (found, unmatched) = entries::namespaces(&only);
            if !unmatched.is_empty() {
                let asked: Vec<String> = arguments
                    .netns
                    .iter()
                    .filter(|text| unmatched.contains(&NamespaceSelector::parse(text)))
                    .map(|text| format!("{text:?}"))
                    .collect();
                return Err(format!("no network namespace answers to {}", asked.join(", ")));
            }
            Scope::Some(found.into_iter().filter_map(|one| one.inode).collect())
        };
        let found = entries::around(&scope);
        let on = |around: &entries::Around| {
            around.settings.get("nf_conntrack_acct").is_some_and(|value| value.trim() == "1")
        };
        Ok(Self {
            accounting: found.iter().any(on),
            by_inode: found.into_iter().map(|one| (one.inode, around::live(one))).collect(),
            scope,
            unknown: Surroundings::default(),
        })
    }

    /// Whether entries of more than one may come.
    pub fn are_several(&self) -> bool {
        self.by_inode.len() > 1
    }

    fn set_tells(&mut self, tells: Tells) {
        self.by_inode.values_mut().for_each(|one| one.tells = tells);
        self.unknown.tells = tells;
    }

    /// What is around an entry.
    pub fn around(&self, row: &Row) -> &Surroundings {
        self.by_inode.get(&row.netns).unwrap_or(&self.unknown)
    }
}

/// What must be told of each entry.
pub fn wants(needs: Lacks, all: bool, accounting: bool) -> Wants {
    if all {
        return Wants::ALL;
    }
    Wants {
        accounting: accounting || needs.contains(Lacks::ACCOUNTING),
        age: needs.contains(Lacks::AGE),
        helper: needs.contains(Lacks::HELPER),
        labels: needs.contains(Lacks::LABELS),
        ..Wants::default()
    }
}

/// Reads the table through the pipe.
pub fn read(
    arguments: &Flows,
    places: &mut Places,
    wants: Wants,
    details: bool,
    pipe: &mut Pipe<'_>,
) -> Result<Outcome, Gap> {
    let ask = Ask {
        which: match arguments.reader {
            ReaderChoice::Auto => Which::Auto,
            ReaderChoice::Bpf => Which::Bpf,
            ReaderChoice::Netlink => Which::Netlink,
            ReaderChoice::Proc => Which::Proc,
        },
        scope: places.scope.clone(),
        wants,
        narrow: narrow(pipe.filter),
        budget: arguments.budget.map(|kernel| entries::Budget { kernel, wall: kernel * 3 }),
        sample: None,
    };
    let mut sink = Take { pipe, places, details, told: false };
    entries::read(&ask, std::slice::from_mut(&mut sink))
}

struct Take<'p, 'a> {
    pipe: &'p mut Pipe<'a>,
    places: &'p mut Places,
    details: bool,
    /// Whether it is known which reader it is.
    told: bool,
}

impl Take<'_, '_> {
    fn one(&mut self, row: &Row, beside: Beside<'_>) -> bool {
        if !self.told {
            self.told = true;
            // Only ctnetlink tells ids, and it tells all else as well.
            let all = row.id.is_some();
            self.places.set_tells(Tells { helper: all, labels: all, status: all });
        }
        self.pipe.take(row, self.places.around(row), beside)
    }
}

impl Sink for Take<'_, '_> {
    fn take(&mut self, row: &Row) -> bool {
        self.one(row, Beside::Nothing)
    }
    fn take_detailed(&mut self, row: &Row, details: &Details) -> bool {
        self.one(row, Beside::Details(details))
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
        None => gap.detail.clone(),
    };
    if let (Share::Part(share), false) = (outcome.share, full) {
        let part = match share {
            Some(share) => format!("about {:.1} % of the table was read", share * 100.0),
            None => "a part of the table was read".into(),
        };
        remarks.push(format!("{part}: counts are of what was read"));
    }
    for (count, what) in [
        (outcome.overruns, "times the kernel lost messages (ENOBUFS)"),
        (outcome.duplicates, "entries came twice and were left out"),
        (outcome.cut, "groups of buckets were given up"),
    ] {
        if count > 0 {
            remarks.push(format!("{count} {what}"));
        }
    }
    if outcome.resized {
        remarks.push("the table was resized meanwhile: entries may be missing or doubled".into());
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

/// Why the table can't be read, and what can be seen all the same.
pub fn refusal(gap: &Gap) -> String {
    let mut text = format!("the table can't be read: {}", gap.detail);
    if let Some(needs) = &gap.needs {
        text.push_str(&format!("\nplimsoll: missing: {needs}"));
    }
    let number = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/net/netfilter/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    if let (Some(count), Some(max)) = (number("nf_conntrack_count"), number("nf_conntrack_max")) {
        text.push_str(&format!(
            "\nplimsoll: what can be seen: {count} entries in this namespace, of {max} at most \
             (plimsoll check tells more)"
        ));
    }
    text
}
