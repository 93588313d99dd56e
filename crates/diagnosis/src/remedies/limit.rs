//! Limit one source, or a namespace that takes too much; or all of them, where memory cannot keep the limit.

use alloc::format;
use alloc::vec::Vec;

use plimsoll_ct::Protocol;

use super::bypass::roles;
use super::ours::fix;
use super::{Findings, Ranked, same_elsewhere, speaks_nft};
use crate::Said;
use crate::case::{Case, Space};
use crate::commands;
use crate::facts::{ManagerKind, Service};
use crate::findings::flood_of;
use crate::groups::{prefix_label, ratio};
use crate::rules::{Role, Traffic, judge};
use crate::words;
use crate::{Remedy, RemedyId};

/// What one source may hold of the limit: a twentieth.
const SHARE: u64 = 20;
/// … but never less than a busy client needs.
const LEAST: u64 = 200;
/// A table that holds fewer such shares is too small to be divided.
const TINY: u64 = 4;

/// A limit that fits into memory by this share: the half from which on it is too much (CT021).
const FITS: u64 = 2;
/// Entries that nothing may evict must stay below this share of a lower limit; from there on they would be
/// the next trouble (CT004).
const PROTECTED: (u64, u64) = (3, 4);

/// The lower limit that makes the worst case fit into memory. `Err`: why there is none.
pub(crate) fn lowered(case: &Case<'_>) -> Result<u64, Said> {
    let s = case.initial().map(|(_, s)| s).or(case.spaces.first());
    let now = s
        .and_then(Space::limit)
        .ok_or(said!("the limit in force could not be read", "读不到现行上限"))?;
    let memory = case
        .after
        .host
        .memory_total
        .get()
        .ok_or(said!("the memory is not known", "内存大小未知"))?;
    let buckets = case.buckets().unwrap_or(0);
    // The largest power of two below the present one that fits.
    let mut max = 1u64 << now.ilog2();
    if max == now {
        max /= 2;
    }
    while max > 1 && case.price.worst(max, buckets).0 > memory.0 / FITS {
        max /= 2;
    }
    let peak = case
        .spaces
        .iter()
        .filter_map(|s| Some((case.unmovable(s).or(s.load.count.map(|c| c.0))?, &s.name)))
        .max_by_key(|(n, _)| *n);
    if let Some((entries, name)) = peak
        && entries.saturating_mul(PROTECTED.1) >= max.saturating_mul(PROTECTED.0)
    {
        return Err(said!(
            "{} entries of {name} may not be evicted: a limit of {}, which would fit, leaves no room \
             for new ones",
            "{name:#} 有 {} 个条目不可淘汰：放得下的上限 {} 没有给新条目留出地方",
            words::count(entries),
            words::count(max)
        ));
    }
    Ok(max)
}

/// Against a limit that memory cannot keep: a lower one, and fewer namespaces that track.
pub(super) fn memory(case: &Case<'_>, findings: &Findings<'_>) -> Option<Ranked> {
    if !findings.has("CT021") {
        return None;
    }
    let mut commands = Vec::new();
    if case.price.multiplies() {
        commands.push(said!(
            "# the limit is one value, and each of the {} namespaces that track may fill it: none can be \
             given one of its own", "# 上限只有一个值，启用跟踪的 {} 个命名空间每个都可能占满它：不能单独给其中一个另设",
            case.price.namespaces
        ));
    }
    let mut ours = Vec::new();
    let (title, refused, price) = match lowered(case) {
        Ok(max) => {
            ours.push(Said::name(format!("plimsoll fix raise --max {max} --allow-lower")));
            commands.push(Said::name(commands::set(case.profile, "nf_conntrack_max", max)));
            let price = case.price.worst(max, case.buckets().unwrap_or(0));
            let to = words::count(max);
            (said!("lower the limit to {to}", "把上限降到 {to}"), Vec::new(), Some(price))
        }
        Err(reason) => (said!("lower the limit", "降低上限"), alloc::vec![reason], None),
    };
    if case.price.multiplies() {
        let one = case.price.worst(1, 0).0 / case.price.namespaces;
        let limit = case.initial().and_then(|(_, s)| s.limit()).unwrap_or(0);
        commands.push(said!(
            "# or let fewer namespaces track: each that has no rule by state and no NAT takes {} off the \
             worst case", "# 或者少让几个命名空间跟踪：每一个没有按状态匹配的规则、也没有 NAT 的，可使最坏情况少 {}",
            words::bytes(plimsoll_ct::Bytes(one.saturating_mul(limit)))
        ));
    }
    let kube = case.after.boot.managers.value().into_iter().flatten();
    if kube.into_iter().any(|m| m.kind == ManagerKind::Kubernetes) {
        commands.push(
            said!("# kube-proxy sets it at each start: conntrack.maxPerCore: 0 and conntrack.min: 0 leave it \
             alone", "# kube-proxy 每次启动都会设它：conntrack.maxPerCore: 0 和 conntrack.min: 0 可让它不动"),
        );
    }
    let remedy = Remedy {
        id: RemedyId::Limit,
        title,
        findings: alloc::vec!["CT021"],
        fix: ours,
        commands,
        memory: price,
        risk: said!(
            "A table that needs more than that drops new flows: compare with the busiest hour.",
            "需要更多条目的表会丢掉新流：请与最忙的时段比较。"
        ),
        effect: match case.may_track() {
            0 => said!(
                "The tables of all namespaces together fit into half of the memory.",
                "所有命名空间的表合起来不超过一半内存。"
            ),
            unknown => said!(
                "The tables of the namespaces that are known to track fit into half of the memory; {} more \
                 may track.",
                "已知启用跟踪的命名空间的表合起来不超过一半内存；另有 {} 个也许也启用跟踪。",
                words::count(unknown)
            ),
        },
        refused,
    };
    Some(Ranked { rank: 35, remedy })
}

/// The remedy against a source or a namespace that takes too much.
pub(super) fn remedy(case: &Case<'_>, findings: &Findings<'_>) -> Option<Ranked> {
    let flooded = findings.space(case, &["CT010"]);
    let flood_source = flooded.and_then(flood_of).and_then(|f| f.source);
    let mut answers = findings.among(&["CT011"]);
    if flood_source.is_some() {
        answers.push("CT010");
    }
    if answers.is_empty() {
        return None;
    }
    let s = findings.space(case, &["CT011", "CT010"])?;
    let max = s.limit().unwrap_or(0);
    // In a table this small a share for each source is no help: it must grow first.
    if max > 0 && max < LEAST * TINY {
        return None;
    }
    let each = (max / SHARE).max(LEAST);
    let census = s.now.census.value();
    let top = census.and_then(|c| {
        let (prefix, tally) = c.sources.rows.first()?;
        (ratio(tally.total(), c.total.total()) > 0.5).then_some(*prefix)
    });
    let source = flood_source.or(top);
    // One service can be limited by itself.
    let hot = census.and_then(|c| {
        let (service, tally) = c.services.rows.first()?;
        let tcp = service.protocol == Protocol::Tcp && service.port != 0;
        (tcp && ratio(tally.total(), c.total.total()) > 0.5).then_some(*service)
    });
    let role = hot.and_then(|service| roles(s, service, false)?.first().copied());
    let v6 = source.is_some_and(|p| p.address.is_ipv6());
    let old = case.after.host.kernel.value().is_some_and(|k| k.rank() < (2, 23));
    let (title, commands): (Said, Vec<Said>) = if speaks_nft(case, s) {
        // `limit` is a word of the language, so the chain has another name.
        let (set, kind, word) = if v6 {
            ("per_source6", "ipv6_addr", "ip6")
        } else {
            ("per_source", "ipv4_addr", "ip")
        };
        let commands = alloc::vec![
            Said::name("nft add table inet plimsoll"),
            Said::name(format!(
                "nft 'add set inet plimsoll {set} {{ type {kind}; size 65535; flags dynamic; }}'"
            )),
            Said::name(
                "nft 'add chain inet plimsoll crowd { type filter hook prerouting priority mangle; }'"
            ),
            Said::name(format!(
                "nft 'add rule inet plimsoll crowd ct state new add @{set} {{ {word} saddr ct \
                 count over {each} }} counter drop'"
            )),
        ];
        (
            said!(
                "let one source hold {} entries at most",
                "让一个来源最多占 {} 个条目",
                words::count(each)
            ),
            commands,
        )
    } else if old {
        // connlimit came with 2.6.23.
        let source = source.filter(|_| !v6)?;
        let address = prefix_label(source);
        (
            said!(
                "drop the packets of {address} before they are tracked",
                "在跟踪之前丢弃 {address} 的包"
            ),
            alloc::vec![Said::name(format!("iptables -t raw -I PREROUTING -s {address} -j DROP"))],
        )
    } else {
        let (tool, mask) = if v6 { ("ip6tables", 128) } else { ("iptables", 32) };
        let command = format!(
            "{tool} -t mangle -I PREROUTING -m conntrack --ctstate NEW -m connlimit --connlimit-above \
             {each} --connlimit-mask {mask} -j DROP"
        );
        (
            said!(
                "let one source hold {} entries at most",
                "让一个来源最多占 {} 个条目",
                words::count(each)
            ),
            alloc::vec![Said::name(command)],
        )
    };
    let mut commands = commands::run_inside(s, commands);
    commands.extend(same_elsewhere(case, findings, s, &answers, |_| true));
    let mut refused: Vec<Said> = none_is_over(s, each).into_iter().collect();
    if let (Some(service), Some(Role::Client)) = (hot, role) {
        refused.push(said!(
            "the connections to port {} are those that this host's own programs open: nothing that comes in is too much",
            "通往端口 {} 的连接是本机自己的程序打开的：进来的并不多",
            service.port
        ));
    }
    // Where nobody listens, or a rule sends it on, it ends behind this host.
    let on = hot.is_some_and(|service| sent_on(s, service));
    let through = on || matches!(role, Some(Role::Forward | Role::Server));
    let forwarded = if through { " --forwarded" } else { "" };
    let remedy = Remedy {
        id: RemedyId::Limit,
        title,
        findings: answers,
        fix: hot
            .and_then(|Service { port, .. }| {
                let ours = format!("limit tcp/{port} --per-source {each}{forwarded} --confirm 60s");
                fix(&ours, s)
            })
            .into_iter()
            .collect(),
        commands,
        memory: None,
        risk: said!(
            "A proxy, a NAT gateway or this host itself may rightly be the one source: look who it is \
               first. Counting needs 64 bytes for each connection.",
            "代理、NAT 网关或本机自己可能就应该是那一个来源：先看清楚是谁。计数要为每条连接占 64 字节。"
        ),
        effect: said!(
            "What is over the number is dropped before it becomes an entry; the others have the rest.",
            "超出的在成为条目之前就被丢弃；其余的地方归别人用。"
        ),
        refused,
    };
    Some(Ranked { rank: 4, remedy })
}

/// Whether a rule sends what asks for a port elsewhere.
fn sent_on(s: &Space<'_>, service: Service) -> bool {
    let Some(program) = s.now.ways.program.value() else { return false };
    let mut traffic = Traffic::new(service.protocol.number(), service.port, Role::Server);
    if let Some(own) = s.now.ways.own.value() {
        traffic = traffic.on(own);
    }
    judge(program, [&traffic]).sent_on().is_some()
}

/// The namespace that it is for.
pub(super) fn place<'a, 'c>(case: &'a Case<'c>, findings: &Findings<'_>) -> Option<&'a Space<'c>> {
    findings.space(case, &["CT011"])
}

/// Why a limit for each source would change nothing: a network may hold all of the table by many addresses, each of
/// which stays below it.
fn none_is_over(s: &Space<'_>, each: u64) -> Option<Said> {
    let (census, scale) = s.census()?;
    let (prefix, tally) = census.sources.rows.first()?;
    let most = scale.up(tally.total().saturating_add(census.sources.error));
    (most <= each).then(|| {
        said!(
            "no source holds more than {} entries (the most: {}, by {}), so none would be limited",
            "没有哪个来源超过 {} 个条目（最多的 {2} 有 {1} 个），所以谁也不会受限",
            words::count(each),
            words::count(most),
            prefix_label(*prefix)
        )
    })
}
