//! The network stack around the table: counters, neighbours, socket memory, the cloud's own limits.

use std::collections::BTreeMap;

use plimsoll_ct::Family;
use plimsoll_diagnosis::facts::{
    CloudAllowance, Fact, Neighbours, Reason, SocketMemory, Source, Stack,
};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::{neighbour_stat, netstat, sockstat};

use super::read::{Saved, not_collected, shown};

/// Interfaces whose statistics are read.
const INTERFACES: usize = 256;

/// Counters: from the proc files, else from what `nstat -zas` or `netstat -s` printed.
pub(super) fn counters(
    saved: &Saved<'_>,
    net: Option<&str>,
    nstat: &[&str],
    tool: &[&str],
) -> Fact<Stack> {
    let mut missing = None;
    if let Some(net) = net {
        let mut counters = BTreeMap::new();
        let mut sources = Vec::new();
        for name in ["netstat", "snmp"] {
            let path = format!("{net}/{name}");
            match saved.first(&[path.as_str()], netstat::parse) {
                Fact::Known { value, source } => {
                    counters.extend(value);
                    sources.push(source.to_string());
                }
                gap @ Fact::Missing(_) => missing = missing.or(Some(gap)),
            }
        }
        if !counters.is_empty() {
            return Fact::known(Stack { counters }, Source::names(sources));
        }
    }
    for fact in [saved.first(nstat, from_nstat), saved.first(tool, from_netstat)] {
        match fact {
            Fact::Known { value, source } => return Fact::known(Stack { counters: value }, source),
            gap @ Fact::Missing(_) => missing = missing.or(Some(gap)),
        }
    }
    match missing {
        Some(Fact::Missing(gap)) => Fact::Missing(gap),
        Some(Fact::Known { .. }) | None => not_collected(nstat),
    }
}

/// `TcpExtListenOverflows           7                  0.0`
fn from_nstat(text: &str) -> Result<BTreeMap<String, u64>, Said> {
    // The longer names first: `TcpExt…` begins with `Tcp`.
    const TABLES: [&str; 14] = [
        "TcpExt", "MPTcpExt", "IpExt", "IcmpMsg", "UdpLite6", "UdpLite", "Icmp6", "Icmp", "Udp6",
        "Udp", "Ip6", "Ip", "Tcp", "Sctp",
    ];
    let counters: BTreeMap<String, u64> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?;
            let value = words.next()?.parse().ok()?;
            let table = TABLES.iter().find(|table| name.starts_with(**table))?;
            Some((format!("{table}.{}", shown(&name[table.len()..])), value))
        })
        .take(1000)
        .collect();
    if counters.is_empty() {
        return Err(Said::of("expected counters of nstat", "应为 nstat 的计数器"));
    }
    Ok(counters)
}

/// The sentences of `netstat -s` about the listen queue. It leaves out what is zero.
fn from_netstat(text: &str) -> Result<BTreeMap<String, u64>, Said> {
    const SENTENCES: [(&str, &str); 4] = [
        ("times the listen queue of a socket overflowed", "TcpExt.ListenOverflows"),
        ("SYNs to LISTEN sockets dropped", "TcpExt.ListenDrops"),
        ("SYN cookies sent", "TcpExt.SyncookiesSent"),
        ("connections aborted due to memory pressure", "TcpExt.TCPAbortOnMemory"),
    ];
    if !text.lines().any(|line| line.trim_end() == "TcpExt:") {
        return Err(Said::of(
            "expected the section TcpExt of netstat -s",
            "应有 netstat -s 的 TcpExt 一节",
        ));
    }
    let value = |sentence: &str| {
        text.lines()
            .find(|line| line.trim_end().ends_with(sentence))
            .and_then(|line| line.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    };
    Ok(SENTENCES.map(|(sentence, name)| (name.to_owned(), value(sentence))).into())
}

/// Neighbour tables of the host.
pub(super) fn neighbours(saved: &Saved<'_>) -> Fact<Vec<Neighbours>> {
    let mut tables = Vec::new();
    let mut sources = Vec::new();
    for (family, file, version) in
        [(Family::V4, "arp_cache", "ipv4"), (Family::V6, "ndisc_cache", "ipv6")]
    {
        let path = format!("/proc/net/stat/{file}");
        let stat = saved.first(&[path.as_str()], neighbour_stat::parse);
        let limit = saved.number(&format!("net.{version}.neigh.default.gc_thresh3"));
        let listed = (family == Family::V4)
            .then(|| saved.text("/proc/net/arp").ok())
            .flatten()
            .map(|text| text.lines().count().saturating_sub(1) as u64);
        if let Some(source) = stat.source() {
            sources.push(source.to_string());
        }
        let stat = stat.value().copied().unwrap_or_default();
        let entries = stat.entries.or(listed);
        if entries.is_some() || stat.table_fulls.is_some() {
            tables.push(Neighbours { family, entries, table_fulls: stat.table_fulls, limit });
        }
    }
    if tables.is_empty() {
        return not_collected(&["/proc/net/stat/arp_cache", "/proc/net/arp"]);
    }
    if sources.is_empty() {
        sources.push("/proc/net/arp".to_owned());
    }
    Fact::known(tables, Source::names(sources))
}

/// TCP memory and orphans.
pub(super) fn sockets(saved: &Saved<'_>) -> Fact<SocketMemory> {
    saved.first(&["/proc/net/sockstat"], sockstat::parse).map(|stat| SocketMemory {
        tcp_pages: stat.mem,
        tcp_pages_limit: saved
            .sysctl("net.ipv4.tcp_mem")
            .and_then(|(value, _)| value.split_whitespace().nth(2)?.parse().ok()),
        orphans: stat.orphan,
        orphans_limit: saved.number("net.ipv4.tcp_max_orphans"),
    })
}

/// Allowances of the cloud's own tracker, from the saved `ethtool -S` of each interface.
pub(super) fn cloud(saved: &Saved<'_>) -> Fact<Vec<CloudAllowance>> {
    const START: &str = "ethtool_-S_";
    let files = saved.names("/sos_commands/networking", START);
    if files.is_empty() {
        return Fact::missing_needs(
            Reason::NotCollected,
            said!("no output of ethtool -S was saved", "没有保存 ethtool -S 的输出"),
            Said::name("/sos_commands/networking/ethtool_-S_INTERFACE"),
        );
    }
    let mut allowances = Vec::new();
    for file in files.iter().take(INTERFACES) {
        let Ok(text) = saved.text(&format!("/sos_commands/networking/{file}")) else { continue };
        for line in text.lines() {
            let Some((name, value)) = line.trim().split_once(": ") else { continue };
            if let (true, Ok(value)) = (name.ends_with("_allowance_exceeded"), value.trim().parse())
            {
                allowances.push(CloudAllowance {
                    interface: shown(&file[START.len()..]),
                    name: shown(name),
                    value,
                });
            }
        }
    }
    Fact::known(allowances, Source::name("/sos_commands/networking/ethtool_-S_*"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn counters_of_nstat_are_found_by_table_and_name() {
        let text = "#kernel\nIpInReceives  406  0.0\nTcpExtListenOverflows  7  0.0\nTcpActiveOpens  2 0.0\n";
        let counters = from_nstat(text).unwrap();
        assert_eq!(counters["TcpExt.ListenOverflows"], 7);
        assert_eq!(counters["Tcp.ActiveOpens"], 2);
        assert!(from_nstat("nstat: command not found").is_err());
    }

    #[test]
    fn netstat_leaves_out_zeros_and_means_them() {
        let text =
            "Tcp:\n    5 active\nTcpExt:\n    1234 times the listen queue of a socket overflowed\n";
        let counters = from_netstat(text).unwrap();
        assert_eq!(counters["TcpExt.ListenOverflows"], 1234);
        assert_eq!(counters["TcpExt.ListenDrops"], 0);
        assert!(from_netstat("netstat: not found").is_err());
    }
}
