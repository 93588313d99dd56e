//! The network namespaces that something was saved of.
//!
//! The initial one from the host's own files; those of `ip netns` from what sosreport's commands printed in
//! them; others from the processes of a tree that kept `/proc/PID/net` and the link `/proc/PID/ns/net`.

use std::collections::BTreeMap;

use plimsoll_diagnosis::facts::{Fact, Gap, Namespace, Owner, Reason, Source, Ways};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::cgroup;

use super::calls;
use super::commands::{self, Named};
use super::read::{Listing, Saved, not_collected, word};
use super::{stack, table};
use crate::doors;

/// Processes of a tree that are looked at.
const PROCESSES: usize = 65_536;

/// Namespaces of processes that are read.
const NAMESPACES: usize = 1024;

/// All of them, the initial one first.
pub(super) fn all(saved: &Saved<'_>) -> Vec<Namespace> {
    let found = of_processes(saved);
    let own = saved.files.link("/proc/1/ns/net").ok().and_then(|text| inode(&text));
    let mut namespaces = vec![initial(saved, own)];
    namespaces.extend(commands::named(saved).iter().map(|named| by_name(saved, named)));
    for (inode, pids) in found.into_iter().filter(|(inode, _)| Some(*inode) != own).take(NAMESPACES)
    {
        namespaces.push(of_process(saved, inode, &pids));
    }
    namespaces
}

/// Whether these are all.
pub(super) fn complete(saved: &Saved<'_>, count: usize) -> Fact<()> {
    let listed = saved.files.exists("/sos_commands/networking/ip_netns");
    let what = match (count, listed) {
        (1, false) => said!("only the initial namespace was saved", "只保存了初始命名空间"),
        (_, false) => said!("only some namespaces were saved", "只保存了部分命名空间"),
        (_, true) => said!(
            "only the namespaces that ip netns names were saved; containers have others",
            "只保存了 ip netns 列出的命名空间；容器另有自己的"
        ),
    };
    Fact::missing_needs(Reason::NotCollected, what, said!("the running host", "正在运行的主机"))
}

fn initial(saved: &Saved<'_>, inode: Option<u64>) -> Namespace {
    let net = "/proc/net";
    let statistics = table::statistics(
        saved,
        &["/proc/net/stat/nf_conntrack", "/proc/net/stat/ip_conntrack"],
        &["/sos_commands/conntrack/conntrack_-S"],
    );
    let told = saved.sysctl_fact(&[
        "net.netfilter.nf_conntrack_count",
        "net.ipv4.netfilter.ip_conntrack_count",
    ]);
    let max = saved.sysctl_fact(&[
        "net.netfilter.nf_conntrack_max",
        "net.nf_conntrack_max",
        "net.ipv4.netfilter.ip_conntrack_max",
        "net.ipv4.ip_conntrack_max",
    ]);
    let rules = calls::rules(saved, None);
    let mut namespace = Namespace {
        inode,
        owners: vec![Owner::Initial],
        max: max.map(plimsoll_ct::Entries),
        expectations: table::expectations(
            saved,
            &["/proc/net/nf_conntrack_expect", "/proc/net/ip_conntrack_expect"],
            &statistics,
        ),
        expect_max: saved
            .sysctl_fact(&["net.netfilter.nf_conntrack_expect_max"])
            .map(plimsoll_ct::Entries),
        settings: table::settings(saved),
        rules_whole: calls::rules_whole(&rules),
        rules,
        ways: Ways {
            program: calls::program(saved, None),
            doors: doors::saved(saved.files),
            ..nothing().ways
        },
        stack: stack::counters(
            saved,
            Some(net),
            &["/sos_commands/networking/nstat_-zas"],
            &["/sos_commands/networking/netstat_-s"],
        ),
        neighbours: stack::neighbours(saved),
        sockets: stack::sockets(saved),
        ..nothing()
    };
    let listings = initial_listings(saved);
    finish(saved, &mut namespace, told, statistics, &listings);
    namespace
}

/// Where the table of the initial namespace may stand, the best first.
pub(super) fn initial_listings(saved: &Saved<'_>) -> Vec<String> {
    let mut listings =
        vec!["/proc/net/nf_conntrack".to_owned(), "/proc/net/ip_conntrack".to_owned()];
    listings.extend(
        saved
            .names("/sos_commands/conntrack", "conntrack_-L")
            .into_iter()
            .filter(|name| !name.contains("expect"))
            .map(|name| format!("/sos_commands/conntrack/{name}")),
    );
    listings
}

/// Where the table of a namespace of `ip netns` may stand.
pub(super) fn named_listings(named: &Named) -> Vec<String> {
    let of = |command: &str| named.files(&["conntrack", "networking"], command);
    let mut listings = of("conntrack_-L_-o_extended");
    listings.extend(of("conntrack_-L"));
    listings
}

/// A namespace of `ip netns`.
fn by_name(saved: &Saved<'_>, named: &Named) -> Namespace {
    let of = |plugins: &[&str], command: &str| named.files(plugins, command);
    let listing = Listing::read(saved.files, &of(&["networking", "kernel"], "sysctl_-a"));
    let value = |keys: &[&str]| -> Fact<u64> {
        let found = keys.iter().find_map(|key| {
            let value = listing.values.get(*key)?.parse().ok()?;
            Some(Fact::known(value, Source::name(format!("{}, {key}", listing.path))))
        });
        found.unwrap_or_else(|| {
            Fact::missing(
                Reason::NotCollected,
                said!("{} of {} was not saved", "没有保存 {1} 的 {0}", keys[0], named.name),
            )
        })
    };
    let tool = of(&["conntrack", "networking"], "conntrack_-S");
    let statistics = table::statistics(saved, &[], &strs(&tool));
    let nstat = of(&["networking"], "nstat_-zas");
    let netstat = of(&["networking"], "netstat_-s");
    let rules = calls::rules(saved, Some(&named.name));
    let mut namespace = Namespace {
        owners: vec![Owner::Named(named.name.clone())],
        max: value(&["net.netfilter.nf_conntrack_max"]).map(plimsoll_ct::Entries),
        expectations: table::expectations(saved, &[], &statistics),
        expect_max: value(&["net.netfilter.nf_conntrack_expect_max"]).map(plimsoll_ct::Entries),
        settings: table::listed(&listing),
        rules_whole: calls::rules_whole(&rules),
        rules,
        ways: Ways { program: calls::program(saved, Some(&named.name)), ..nothing().ways },
        stack: stack::counters(saved, None, &strs(&nstat), &strs(&netstat)),
        ..nothing()
    };
    let listings = named_listings(named);
    let told = value(&["net.netfilter.nf_conntrack_count"]);
    finish(saved, &mut namespace, told, statistics, &listings);
    // Four places for each output are more than a reader wants to know.
    let outputs = [
        (uncollected(&mut namespace.census), "conntrack -L"),
        (uncollected(&mut namespace.counters), "conntrack -S"),
        (uncollected(&mut namespace.expectations), "conntrack -S"),
        (uncollected(&mut namespace.stack), "nstat -zas"),
    ];
    for (gap, command) in outputs {
        if let Some(gap) = gap {
            gap.detail = said!(
                "no output of {command} was saved of {}",
                "没有保存 {} 的 {command} 输出",
                named.name
            );
            gap.needs = Some(Said::name(format!("ip netns exec {} {command}", named.name)));
        }
    }
    namespace
}

/// The gap of a fact that no file holds.
fn uncollected<T>(fact: &mut Fact<T>) -> Option<&mut Gap> {
    match fact {
        Fact::Missing(gap) if gap.reason == Reason::NotCollected => Some(gap),
        Fact::Known { .. } | Fact::Missing(_) => None,
    }
}

/// A namespace that processes of the tree are in.
fn of_process(saved: &Saved<'_>, inode: u64, pids: &[u32]) -> Namespace {
    let net = pids
        .iter()
        .map(|pid| format!("/proc/{pid}/net"))
        .find(|net| saved.files.exists(&format!("{net}/stat/nf_conntrack")))
        .unwrap_or_else(|| format!("/proc/{}/net", pids.first().copied().unwrap_or_default()));
    let stat = format!("{net}/stat/nf_conntrack");
    let statistics = table::statistics(saved, &[&stat], &[]);
    let expect = format!("{net}/nf_conntrack_expect");
    let mut namespace = Namespace {
        inode: Some(inode),
        owners: owners(saved, pids),
        expectations: table::expectations(saved, &[&expect], &statistics),
        stack: stack::counters(saved, Some(&net), &[], &[]),
        ..nothing()
    };
    let path = format!("/proc/sys/net/netfilter/nf_conntrack_count of namespace {inode}");
    finish(
        saved,
        &mut namespace,
        not_collected(&[&path]),
        statistics,
        &[format!("{net}/nf_conntrack")],
    );
    namespace
}

/// Count, counters and census, which lean on each other.
fn finish(
    saved: &Saved<'_>,
    namespace: &mut Namespace,
    told: Fact<u64>,
    statistics: Fact<plimsoll_wire::statistics::Statistics>,
    listings: &[String],
) {
    let known = told.get().or_else(|| statistics.value()?.entries.map(|entries| entries.0));
    namespace.census = table::census(saved, &strs(listings), known, namespace);
    namespace.count = table::count(told, &statistics, &namespace.census);
    namespace.counters = statistics.map(|statistics| statistics.cpus);
}

/// Who a namespace belongs to: its container or unit, and one process.
pub(super) fn owners(saved: &Saved<'_>, pids: &[u32]) -> Vec<Owner> {
    let mut owners = Vec::new();
    for pid in pids {
        if let Ok(text) = saved.text(&format!("/proc/{pid}/cgroup")) {
            let member = cgroup::parse(&text);
            if let Some(container) = member.container {
                owners.push(Owner::Container {
                    runtime: container.runtime.into(),
                    id: container.id,
                    name: None,
                });
            }
            owners.extend(member.unit.map(Owner::Unit));
        }
        if let Some(command) =
            saved.text(&format!("/proc/{pid}/comm")).ok().and_then(|text| word(&text))
        {
            owners.push(Owner::Process { pid: *pid, command });
        }
        if owners.len() > 1 {
            break;
        }
    }
    owners.sort();
    owners.dedup();
    owners
}

/// Processes by the inode of their namespace, where the tree kept those links.
pub(super) fn of_processes(saved: &Saved<'_>) -> BTreeMap<u64, Vec<u32>> {
    let mut found: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    let names = saved.files.list("/proc").unwrap_or_default();
    for pid in names.iter().filter_map(|name| name.parse::<u32>().ok()).take(PROCESSES) {
        if let Some(inode) =
            saved.files.link(&format!("/proc/{pid}/ns/net")).ok().and_then(|text| inode(&text))
        {
            let pids = found.entry(inode).or_default();
            if pids.len() < 8 {
                pids.push(pid);
                pids.sort_unstable();
            }
        }
    }
    found
}

/// `net:[4026532246]`
pub(crate) fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

fn strs(paths: &[String]) -> Vec<&str> {
    paths.iter().map(String::as_str).collect()
}

/// A namespace of which nothing was saved.
fn nothing() -> Namespace {
    let gap = |what: Said| Gap {
        reason: Reason::NotCollected,
        detail: said!("{what} of this namespace were not saved", "没有保存这个命名空间的{what:#}"),
        needs: None,
    };
    Namespace {
        inode: None,
        owners: Vec::new(),
        count: Fact::Missing(gap(said!("the count", "条目数"))),
        max: Fact::Missing(gap(said!("the limit", "上限"))),
        expectations: Fact::Missing(gap(said!("the expectations", "期望数"))),
        expect_max: Fact::Missing(gap(said!("the limit of expectations", "期望的上限"))),
        settings: BTreeMap::new(),
        counters: Fact::Missing(gap(said!("the statistics", "统计"))),
        tracking: Fact::Missing(gap(said!("the rules", "规则"))),
        rules: Fact::Missing(gap(said!("the rules", "规则"))),
        rules_whole: Fact::Missing(gap(said!("the rules", "规则"))),
        ways: Ways::missing(&gap(said!("the rules, addresses and sockets", "规则、地址和套接字"))),
        census: Fact::Missing(gap(said!("the entries", "条目"))),
        stack: Fact::Missing(gap(said!("the counters of the stack", "网络协议栈的计数器"))),
        neighbours: Fact::known(
            Vec::new(),
            said!(
                "none of its own: the initial namespace's serve all",
                "没有自己的：共用初始命名空间的"
            ),
        ),
        sockets: Fact::Missing(gap(said!("the socket counters", "套接字计数器"))),
    }
}
