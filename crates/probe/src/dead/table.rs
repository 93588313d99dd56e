//! The table of one namespace: count, statistics, who fills it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};

use plimsoll_ct::{Counter, Entries};
use plimsoll_diagnosis::facts::{Census, Fact, Namespace, Reason, Source, TcpTimeouts};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::statistics::{self, Statistics};

use super::host;
use super::read::{Listing, Saved, not_collected, shown};
use crate::table::census_of_listing;

/// Rows of each "who fills it" table.
const ROWS: usize = 50;

/// Keys of one namespace.
const KEYS: usize = 300;

/// Every conntrack key of the initial namespace: from /proc/sys, else from `sysctl -a`.
pub(super) fn settings(saved: &Saved<'_>) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for directory in ["/proc/sys/net/netfilter", "/proc/sys/net/ipv4/netfilter"] {
        for name in saved.files.list(directory).unwrap_or_default() {
            if is_ours(&name)
                && settings.len() < KEYS
                && let Ok(text) = saved.text(&format!("{directory}/{name}"))
            {
                settings.insert(shown(&name), shown(text.trim()));
            }
        }
    }
    for (name, key) in [
        ("nf_conntrack_max", "net.nf_conntrack_max"),
        ("ip_conntrack_max", "net.ipv4.ip_conntrack_max"),
    ] {
        if settings.contains_key(name) {
            continue;
        }
        if let Ok(text) = saved.text(&plimsoll_wire::sysctl::path(key)) {
            settings.insert(name.to_owned(), shown(text.trim()));
        }
    }
    for (name, value) in listed(saved.listing()) {
        settings.entry(name).or_insert(value);
    }
    settings
}

/// The conntrack keys of a saved `sysctl -a`, by bare name.
pub(super) fn listed(listing: &Listing) -> BTreeMap<String, String> {
    let bare = |(key, value): (&String, &String)| {
        let name = key.rsplit('.').next().unwrap_or(key);
        is_ours(name).then(|| (shown(name), shown(value)))
    };
    listing.values.iter().filter_map(bare).take(KEYS).collect()
}

fn is_ours(name: &str) -> bool {
    ["nf_conntrack_", "nf_flowtable_", "ip_conntrack_"].iter().any(|start| name.starts_with(start))
}

/// The statistics: proc files first, then what `conntrack -S` printed.
pub(super) fn statistics(saved: &Saved<'_>, proc: &[&str], tool: &[&str]) -> Fact<Statistics> {
    let from_proc = saved.first(proc, |text| statistics::parse_proc(text.as_bytes()));
    if from_proc.value().is_some() {
        return from_proc;
    }
    let from_tool = saved.first(tool, |text| statistics::parse_tool(text.as_bytes()));
    if from_tool.value().is_some() || proc.is_empty() { from_tool } else { from_proc }
}

/// The count: told by itself, repeated in the statistics, or the length of a whole listing.
pub(super) fn count(
    told: Fact<u64>,
    statistics: &Fact<Statistics>,
    census: &Fact<Census>,
) -> Fact<Entries> {
    if let Fact::Known { value, source } = told {
        return Fact::known(Entries(value), source);
    }
    if let Fact::Known { value: Statistics { entries: Some(entries), .. }, source } = statistics {
        return Fact::known(*entries, said!("{source}, entries", "{source}，entries"));
    }
    if let Fact::Known { value, source } = census
        && value.complete
        && value.malformed == 0
    {
        return Fact::known(Entries(value.seen), said!("{source}, its lines", "{source}，按行数"));
    }
    told.map(Entries)
}

/// Who fills it, from the first listing that says anything.
///
/// An empty listing is the table's only where the count says so too: copying straight from /proc leaves
/// empty files, and a listing that was not allowed is empty as well.
pub(super) fn census(
    saved: &Saved<'_>,
    paths: &[&str],
    count: Option<u64>,
    namespace: &Namespace,
) -> Fact<Census> {
    let timeouts = TcpTimeouts::of(namespace, host::offload(saved));
    let mut trouble = None;
    for &path in paths {
        let Ok(file) = saved.files.open(path) else { continue };
        let mut listing = BufReader::new(file);
        let empty = listing.fill_buf().is_ok_and(<[u8]>::is_empty);
        if empty && count != Some(0) {
            let detail = said!(
                "{path} is empty, which a copy straight from /proc is as well",
                "{path} 是空的，直接从 /proc 复制也会这样"
            );
            trouble.get_or_insert(Fact::missing_needs(
                Reason::NotCollected,
                detail,
                Said::name("conntrack -L"),
            ));
            continue;
        }
        match census_of_listing(listing, Source::name(path), timeouts, SEED, ROWS) {
            Fact::Known { mut value, source } => {
                value.complete &= saved.files.cut(path).is_none();
                return Fact::Known { value, source };
            }
            missing @ Fact::Missing(_) => {
                trouble.get_or_insert(missing);
            }
        }
    }
    trouble.unwrap_or_else(|| not_collected(paths))
}

/// Nothing here is chosen by chance: the same bundle gives the same report.
const SEED: u64 = 0;

/// Entries of the expectation table: its listing, else what the statistics add up to.
pub(super) fn expectations(
    saved: &Saved<'_>,
    paths: &[&str],
    statistics: &Fact<Statistics>,
) -> Fact<Entries> {
    // A listing without a line is no proof of an empty table, and the statistics are as exact.
    if let Fact::Known { value, source } = statistics
        && !value.cpus.rows.is_empty()
    {
        let alive = value.cpus.rows.iter().try_fold(0_u32, |alive, row| {
            let created = row.get(Counter::ExpectCreate)? as u32;
            let deleted = row.get(Counter::ExpectDelete)? as u32;
            Some(alive.wrapping_add(created).wrapping_sub(deleted))
        });
        if let Some(alive) = alive {
            let source = format!("{source}, expect_create - expect_delete");
            return Fact::known(Entries(u64::from(alive)), Source::name(source));
        }
    }
    saved.first(paths, |text| Ok::<_, Said>(Entries(text.lines().count() as u64)))
}
