//! Reading one network namespace from inside.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use plimsoll_ct::{Counter, CpuCounters, Entries, Family};
use plimsoll_diagnosis::facts::{
    Fact, Gap, Namespace, Neighbours, Owner, Reason, SocketMemory, Source, Stack, Ways,
};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::statistics::parse_proc;
use plimsoll_wire::{neighbour_stat, netstat, sockstat};

use super::discover::Found;
use super::enter::Here;
use super::{calls, text};

const NETFILTER: &str = "/proc/sys/net/netfilter";
const OLD_NETFILTER: &str = "/proc/sys/net/ipv4/netfilter";
/// Keys read at most: the largest generation has 50, twice that with the old names.
const KEYS: usize = 300;

/// What is read twice, an interval apart: counters and gauges, nothing that walks the table.
pub(super) struct Light {
    pub count: Fact<Entries>,
    pub counters: Fact<CpuCounters>,
    pub stack: Fact<Stack>,
    pub neighbours: Fact<Vec<Neighbours>>,
    pub sockets: Fact<SocketMemory>,
}

impl Light {
    /// Reads the namespace that the calling thread is in.
    pub fn read(here: &Here, found: &Found) -> Self {
        let (count, counters) = counted(here, is_one_of_many(found));
        Self {
            count,
            counters,
            stack: stack(here),
            neighbours: neighbours(here, found),
            sockets: sockets(here, found),
        }
    }

    /// Only the count and the counters, for whoever asks every second.
    pub fn counted(here: &Here, found: &Found) -> Self {
        let (count, counters) = counted(here, is_one_of_many(found));
        Self {
            count,
            counters,
            stack: Fact::Missing(not_asked()),
            neighbours: Fact::Missing(not_asked()),
            sockets: Fact::Missing(not_asked()),
        }
    }

    /// A namespace with these facts and all others not asked for.
    pub fn namespace(self, inode: Option<u64>, owners: Vec<Owner>) -> Namespace {
        Namespace {
            count: self.count,
            counters: self.counters,
            stack: self.stack,
            neighbours: self.neighbours,
            sockets: self.sockets,
            ..unread(inode, owners, &not_asked())
        }
    }
}

/// What is read once and costs little.
pub(super) struct Static {
    pub max: Fact<Entries>,
    pub expect_max: Fact<Entries>,
    pub expectations: Fact<Entries>,
    pub settings: BTreeMap<String, String>,
}

impl Static {
    /// Reads the namespace that the calling thread is in. `settings`: all of them, not only the limits.
    pub fn read(here: &Here, settings: bool) -> Self {
        Self {
            // One limit serves all namespaces, so that the one read outside is right too.
            max: limit(),
            expect_max: setting_fact("expect_max").map(Entries),
            expectations: expectations(here),
            settings: if settings && here.outside.is_none() {
                all_settings()
            } else {
                BTreeMap::new()
            },
        }
    }
}

/// Entries of the table, `None` where that can't be read.
pub(super) fn count(here: &Here, found: &Found) -> Option<u64> {
    counted(here, is_one_of_many(found)).0.get().map(|count| count.0)
}

/// Neither the host's own namespace nor the reader's.
pub(super) const fn is_one_of_many(found: &Found) -> bool {
    !found.initial && !found.own
}

/// The limit: one for all namespaces.
pub(super) fn limit() -> Fact<Entries> {
    setting_fact("max").map(Entries)
}

/// The count as the settings have it: where it is missing, why.
pub(super) fn count_setting() -> Fact<Entries> {
    setting_fact("count").map(Entries)
}

/// The count and the per-CPU statistics. Each row of these repeats the count: it stands in where the setting
/// is masked, or the namespace is seen from outside. And wherever there may be many: the settings of all
/// namespaces share their names and their directory, so that each takes the longer to find the more there are.
fn counted(here: &Here, one_of_many: bool) -> (Fact<Entries>, Fact<CpuCounters>) {
    let missing = (Fact::Missing(not_asked()), Fact::Missing(not_asked()));
    if one_of_many && let (count @ Fact::Known { .. }, counters) = of_statistics(here, missing) {
        return (count, counters);
    }
    let (count, statistics) = match &here.outside {
        None => (count_setting(), calls::statistics()),
        Some(gap) => (Fact::Missing(gap.clone()), Fact::Missing(gap.clone())),
    };
    if count.value().is_some() && statistics.value().is_some() {
        return (count, statistics);
    }
    of_statistics(here, (count, statistics))
}

/// Both from the file of the statistics, the count only if it is missing so far; what was known before where
/// there is no such file.
fn of_statistics(
    here: &Here,
    (count, statistics): (Fact<Entries>, Fact<CpuCounters>),
) -> (Fact<Entries>, Fact<CpuCounters>) {
    for name in ["stat/nf_conntrack", "stat/ip_conntrack"] {
        let path = format!("{}/{name}", here.net);
        let Some(found) = text::read(&path).ok().and_then(|t| parse_proc(t.as_bytes()).ok()) else {
            continue;
        };
        let source = if here.outside.is_none() { shown(&path) } else { path };
        let count = match (count, found.entries) {
            (Fact::Missing(_), Some(entries)) => {
                Fact::known(entries, said!("{source}, column `entries`", "{source}，`entries` 列"))
            }
            (count, _) => count,
        };
        return (count, Fact::known(found.cpus, Source::name(source)));
    }
    // What is not loaded has no statistics: that is no fault of the kernel's build.
    if let Fact::Missing(gap) = &count
        && gap.reason == Reason::NotLoaded
    {
        let statistics = Fact::missing(
            Reason::NotLoaded,
            said!(
                "/proc/net/stat/nf_conntrack: no such file",
                "/proc/net/stat/nf_conntrack：没有这个文件"
            ),
        );
        return (count, statistics);
    }
    (count, statistics)
}

/// A namespace of which nothing is known, for one reason.
pub(super) fn unread(inode: Option<u64>, owners: Vec<Owner>, gap: &Gap) -> Namespace {
    Namespace {
        inode,
        owners,
        count: Fact::Missing(gap.clone()),
        max: Fact::Missing(gap.clone()),
        expectations: Fact::Missing(gap.clone()),
        expect_max: Fact::Missing(gap.clone()),
        settings: BTreeMap::new(),
        counters: Fact::Missing(gap.clone()),
        tracking: Fact::Missing(gap.clone()),
        rules: Fact::Missing(gap.clone()),
        rules_whole: Fact::Missing(gap.clone()),
        ways: Ways::missing(gap),
        census: Fact::Missing(gap.clone()),
        stack: Fact::Missing(gap.clone()),
        neighbours: Fact::Missing(gap.clone()),
        sockets: Fact::Missing(gap.clone()),
    }
}

fn not_asked() -> Gap {
    Gap {
        reason: Reason::NotAsked, detail: said!("read once, later", "稍后读一次"), needs: None
    }
}

/// `nf_conntrack_NAME`, or `ip_conntrack_NAME` where only that is there.
fn setting_fact(name: &str) -> Fact<u64> {
    let modern = format!("{NETFILTER}/nf_conntrack_{name}");
    let old = format!("{OLD_NETFILTER}/ip_conntrack_{name}");
    for path in [&modern, &old] {
        let fact = text::fact(path, Reason::NotLoaded, text::number);
        if fact.gap().is_none_or(|gap| gap.reason != Reason::NotLoaded) {
            return fact;
        }
    }
    Fact::Missing(absent(&modern))
}

/// What it means that a setting is not there.
fn absent(path: &str) -> Gap {
    let gap = |reason, why: Said, needs: Option<Said>| Gap {
        reason,
        detail: said!("{path}: {why}", "{path}：{why:#}"),
        needs,
    };
    if !Path::new("/proc/sys/net").exists() {
        return gap(
            Reason::Failed,
            said!("/proc/sys is not there", "/proc/sys 不存在"),
            Some(Said::name("/proc")),
        );
    }
    let has_statistics = ["nf_conntrack", "ip_conntrack"]
        .iter()
        .any(|name| Path::new(&format!("/proc/thread-self/net/stat/{name}")).exists());
    if has_statistics || Path::new("/sys/module/nf_conntrack").exists() {
        // Masked by a container engine, or kept from this user namespace (before 5.15).
        return gap(
            Reason::Failed,
            said!("hidden, though conntrack is there", "conntrack 在，却被遮住了"),
            Some(said!("an unmasked /proc/sys", "没有遮住的 /proc/sys")),
        );
    }
    if super::host::is_modular() == Some(false) {
        return gap(
            Reason::NotBuilt,
            said!(
                "no such file, and this kernel loads no modules",
                "没有这个文件，而且本内核不加载模块"
            ),
            None,
        );
    }
    gap(Reason::NotLoaded, said!("no such file", "没有这个文件"), None)
}

/// Every key of connection tracking that can be read here, by its bare name.
pub(super) fn all_settings() -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for directory in [NETFILTER, OLD_NETFILTER] {
        let Ok(entries) = fs::read_dir(directory) else { continue };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let ours = ["nf_conntrack_", "nf_flowtable_", "ip_conntrack_"];
            if settings.len() < KEYS && ours.iter().any(|prefix| name.starts_with(prefix)) {
                keep(&mut settings, name, &entry.path().to_string_lossy());
            }
        }
    }
    // Aliases: told only where the key itself is not there.
    for (name, path) in [
        ("nf_conntrack_max", "/proc/sys/net/nf_conntrack_max"),
        ("ip_conntrack_max", "/proc/sys/net/ipv4/ip_conntrack_max"),
    ] {
        if !settings.contains_key(name) {
            keep(&mut settings, name.to_owned(), path);
        }
    }
    settings
}

fn keep(settings: &mut BTreeMap<String, String>, name: String, path: &str) {
    if let Ok(value) = text::read(path) {
        settings.insert(name, text::cut(value.trim()));
    }
}

/// Entries of the expectation table: its listing (root), else what the statistics add up to.
fn expectations(here: &Here) -> Fact<Entries> {
    let mut gap = None;
    for name in ["nf_conntrack_expect", "ip_conntrack_expect"] {
        let path = format!("{}/{name}", here.net);
        match text::read(&path) {
            Ok(text) => {
                return Fact::known(
                    Entries(text.lines().count() as u64),
                    Source::name(shown(&path)),
                );
            }
            Err(error) => {
                let this = text::gap(&shown(&path), &error, Reason::NotBuilt);
                if gap.as_ref().is_none_or(|g: &Gap| g.reason != Reason::NotPermitted) {
                    gap = Some(this);
                }
            }
        }
    }
    counted(here, true)
        .1
        .value()
        .and_then(alive_expectations)
        .map(|n| {
            Fact::known(
                n,
                Source::name("/proc/net/stat/nf_conntrack, expect_create - expect_delete"),
            )
        })
        .or(gap.map(Fact::Missing))
        .unwrap_or_else(|| {
            Fact::missing(Reason::NotBuilt, said!("no listing of expectations", "没有期望的列表"))
        })
}

/// Created less deleted ones: each CPU's pair wraps, and one CPU may delete what another created, but
/// over all of them the difference is the number alive.
fn alive_expectations(counters: &CpuCounters) -> Option<Entries> {
    let mut alive: u32 = 0;
    for row in &counters.rows {
        let created = row.get(Counter::ExpectCreate)? as u32;
        let deleted = row.get(Counter::ExpectDelete)? as u32;
        alive = alive.wrapping_add(created).wrapping_sub(deleted);
    }
    (!counters.rows.is_empty()).then_some(Entries(u64::from(alive)))
}

/// Paths are shown as a person would type them in that namespace.
fn shown(path: &str) -> String {
    match path.split_once("/net/") {
        Some((_, rest)) => format!("/proc/net/{rest}"),
        None => path.to_owned(),
    }
}

fn stack(here: &Here) -> Fact<Stack> {
    let mut counters = BTreeMap::new();
    for name in ["netstat", "snmp"] {
        let path = format!("{}/{name}", here.net);
        let fact =
            text::fact(&path, Reason::NotBuilt, |text| netstat::parse(text).map_err(Said::from));
        match fact {
            Fact::Known { value, .. } => counters.extend(value),
            Fact::Missing(gap) => return Fact::Missing(gap),
        }
    }
    Fact::known(Stack { counters }, Source::names(["/proc/net/netstat", "/proc/net/snmp"]))
}

/// The neighbour tables are the host's: their statistics and limits stand in the initial namespace only.
fn neighbours(here: &Here, found: &Found) -> Fact<Vec<Neighbours>> {
    const OF_ANOTHER: Said = Said::of(
        "none of its own: the initial namespace's serve all",
        "没有自己的：共用初始命名空间的",
    );
    if is_one_of_many(found) {
        return Fact::known(Vec::new(), OF_ANOTHER);
    }
    let mut tables = Vec::new();
    let mut gap = None;
    for (family, file, limit) in
        [(Family::V4, "arp_cache", "ipv4"), (Family::V6, "ndisc_cache", "ipv6")]
    {
        let path = format!("{}/stat/{file}", here.net);
        let stat = text::fact(&path, Reason::NotBuilt, |text| {
            neighbour_stat::parse(text).map_err(Said::from)
        });
        match stat {
            Fact::Known { value, .. } => tables.push(Neighbours {
                family,
                entries: value.entries,
                table_fulls: value.table_fulls,
                limit: text::number_in(&format!("/proc/sys/net/{limit}/neigh/default/gc_thresh3")),
            }),
            Fact::Missing(missing) => gap = Some(missing),
        }
    }
    match gap {
        // Without IPv6 there is one table.
        _ if !tables.is_empty() => Fact::known(
            tables,
            Source::names(["/proc/net/stat/arp_cache", "/proc/net/stat/ndisc_cache"]),
        ),
        Some(gap) if found.initial || gap.reason != Reason::NotBuilt => Fact::Missing(gap),
        _ => Fact::known(tables, OF_ANOTHER),
    }
}

/// The limits are the host's, and stand in the initial namespace only.
fn sockets(here: &Here, found: &Found) -> Fact<SocketMemory> {
    let limits = !is_one_of_many(found);
    let fact = text::fact(&format!("{}/sockstat", here.net), Reason::NotBuilt, |text| {
        sockstat::parse(text).map_err(Said::from)
    });
    fact.map(|stat| SocketMemory {
        tcp_pages: stat.mem,
        tcp_pages_limit: limits
            .then(|| text::read("/proc/sys/net/ipv4/tcp_mem").ok())
            .flatten()
            .and_then(|text| text.split_ascii_whitespace().nth(2)?.parse().ok()),
        orphans: stat.orphan,
        orphans_limit: limits
            .then(|| text::number_in("/proc/sys/net/ipv4/tcp_max_orphans"))
            .flatten(),
    })
}
