//! The running host as a source of entries.

use std::collections::BTreeMap;

use plimsoll_ct::Entry;
use plimsoll_diagnosis::facts::Gap;
use plimsoll_diagnosis::{Said, said};
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
    pub fn choose(all: bool, netns: &[String]) -> Result<Self, Said> {
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
                return Err(said!(
                    "no network namespace answers to {}",
                    "没有这样的网络命名空间：{}",
                    asked.join(", ")
                ));
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
pub fn remarks(outcome: &Outcome, full: bool) -> Vec<Said> {
    let mut remarks = Vec::new();
    let gap = |gap: &Gap| match &gap.needs {
        Some(needs) => {
            said!("{} (needs {needs})", "{:#}（需要 {needs:#}）", gap.detail)
        }
        None => gap.detail.clone(),
    };
    if let (Share::Part(share), false) = (outcome.share, full) {
        remarks.push(match share {
            Some(share) => said!(
                "about {:.1} % of the table was read: counts are of what was read",
                "大约读了表的 {:.1} %：计数只是读到的这部分",
                share * 100.0
            ),
            None => Said::of(
                "a part of the table was read: counts are of what was read",
                "只读了表的一部分：计数只是读到的这部分",
            ),
        });
    }
    for (n, one, many, what, chinese) in [
        (
            outcome.overruns,
            "time",
            "times",
            "the kernel lost messages (ENOBUFS)",
            "次内核丢失消息（ENOBUFS）",
        ),
        (
            outcome.duplicates,
            "entry",
            "entries",
            "came twice and left out",
            "个条目来了两次，没有重复计",
        ),
        (outcome.cut, "group of buckets", "groups of buckets", "given up", "组桶没有读完"),
        (
            outcome.untold,
            "entry",
            "entries",
            "with a security context that bpf can't tell (--reader netlink can)",
            "个条目带有安全上下文，bpf 读不到（--reader netlink 可以）",
        ),
    ] {
        if n > 0 {
            let english = format!("{} {what}", counted(n, one, many));
            remarks.push(Said::new(english, format!("{} {chinese}", grouped(n))));
        }
    }
    if outcome.resized {
        remarks.push(Said::of(
            "the table was resized meanwhile: entries may be missing or doubled",
            "其间表改变了大小：条目可能有缺失或重复",
        ));
    }
    if let Some(why) = &outcome.unseen {
        let why = gap(why);
        remarks.push(said!(
            "there may be more network namespaces: {why}",
            "可能还有别的网络命名空间：{why:#}"
        ));
    }
    for (inode, why) in outcome.unread.iter().take(3) {
        let (which, why) = (called(*inode), gap(why));
        remarks.push(said!("{which} was not read: {why}", "没有读 {which:#}：{why:#}"));
    }
    if outcome.unread.len() > 3 {
        let more = outcome.unread.len() - 3;
        remarks.push(said!("{more} more namespaces were not read", "还有 {more} 个命名空间没有读"));
    }
    remarks.into_iter().map(|remark| shown(&remark)).collect()
}

/// A namespace by its inode.
pub fn called(inode: Option<u64>) -> Said {
    match inode {
        Some(inode) => Said::name(format!("net:[{inode}]")),
        None => Said::of("a namespace", "一个命名空间"),
    }
}

/// Without what a terminal would obey.
pub fn shown(said: &Said) -> Said {
    said.map(|words| clean(words).into_owned())
}

/// Where there are entries, if this namespace has none.
pub fn elsewhere() -> Option<Said> {
    if number("nf_conntrack_count")? > 0 {
        return None;
    }
    let counts = Pulse::of(&[]).0.take();
    let counts = counts.namespaces.iter().filter_map(|space| space.count.get());
    let (spaces, entries) = counts
        .filter(|count| count.0 > 0)
        .fold((0u64, 0u64), |(n, sum), count| (n + 1, sum.saturating_add(count.0)));
    (spaces > 0).then(|| {
        Said::new(
            format!(
                "this network namespace has no entries; {} in {}: --all-netns",
                counted(entries, "is", "are"),
                counted(spaces, "other", "others")
            ),
            format!(
                "这个网络命名空间里没有条目；另外 {} 个里有 {} 个：--all-netns",
                grouped(spaces),
                grouped(entries)
            ),
        )
    })
}

fn number(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/sys/net/netfilter/{name}")).ok()?;
    text.trim().parse().ok()
}

/// Which way it was, and why not a faster one.
pub fn way(outcome: &Outcome) -> Said {
    let reader = entries::name(outcome.reader);
    let mut way = said!("read by {reader}", "用 {reader} 读取");
    for (reader, gap) in &outcome.passed_over {
        let reader = entries::name(*reader);
        // Said once.
        let detail = gap.detail.map(|words| {
            let rest = words.strip_prefix(reader).unwrap_or_default();
            let rest = rest.strip_prefix(": ").or_else(|| rest.strip_prefix('：'));
            rest.unwrap_or(words).to_owned()
        });
        way.push(&said!("; not by {reader}: {detail}", "；没有用 {reader}：{detail:#}"));
    }
    shown(&way)
}

/// Why the tables of a scope can't be read, and what can be seen all the same.
pub fn refusal(gap: &Gap, scope: &Scope) -> Said {
    let mut text = said!("the table can't be read: {}", "无法读取连接跟踪表：{:#}", gap.detail);
    if let Some(needs) = &gap.needs {
        text.push(&said!("\nplimsoll: missing: {needs}", "\nplimsoll: 缺少：{needs:#}"));
    }
    if *scope == Scope::Here
        && let (Some(count), Some(max)) = (number("nf_conntrack_count"), number("nf_conntrack_max"))
    {
        let (entries, count) = (counted(count, "entry", "entries"), grouped(count));
        let max = grouped(max);
        text.push(&Said::new(
            format!(
                "\nplimsoll: what can be seen: {entries} in this namespace, of {max} at most \
                 (plimsoll check tells more)"
            ),
            format!(
                "\nplimsoll: 能看到的：这个命名空间里有 {count} 个条目，上限 {max}（详见 plimsoll check）"
            ),
        ));
    }
    if !std::path::Path::new("/proc/self").exists() {
        text.push(&Said::of(
            "\nplimsoll: /proc is not mounted here: `mount -t proc proc /proc`; a listing saved elsewhere is \
             read with --from FILE",
            "\nplimsoll: 这里没有挂载 /proc：`mount -t proc proc /proc`；别处保存的列表用 --from FILE 读取",
        ));
    }
    text
}
