//! Groupings at a key press, and where Enter leads.

use plimsoll_flows::{Key, Keys};

/// Groupings in the order of Tab; the first ten have the keys 1 to 9 and 0.
pub(crate) const PRESETS: &[&str] = &[
    "state,service",
    "state",
    "service",
    "src",
    "src/24",
    "dst",
    "class",
    "process",
    "idle",
    "proto,src,sport,dst,dport",
    "netns",
    "direction",
    "unit",
    "container",
    "pod",
    "dst/24",
    "expires",
    "zone",
    "mark",
];

/// What tells entries apart one by one.
pub(crate) const ENTRIES: &str = "proto,src,sport,dst,dport";

/// Where Enter leads, whatever is still open of it.
const INTO: &[&str] = &["state,service", "src", "dst", "process", ENTRIES];

/// By what to look into a group: the first grouping that has a key which was not looked into before.
pub(crate) fn into(known: &[Key]) -> Keys {
    let open = |keys: &Keys| keys.list().iter().any(|key| !known.iter().any(|k| same(k, key)));
    let found = INTO.iter().filter_map(|text| Keys::parse(text).ok()).find(open);
    found.unwrap_or_else(entries)
}

/// The grouping by single entries.
pub(crate) fn entries() -> Keys {
    Keys::parse(ENTRIES).unwrap_or_else(|_| unreachable!("a test reads every preset"))
}

/// Whether a group by the one leaves nothing to tell apart by the other. A prefix does not.
fn same(known: &Key, key: &Key) -> bool {
    known == key || matches!((known, key), (Key::Service, Key::Protocol | Key::DestinationPort))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_preset_is_a_grouping_and_enter_comes_to_an_end() {
        for text in PRESETS.iter().chain(INTO) {
            assert_eq!(Keys::parse(text).unwrap().to_string(), *text);
        }
        let mut known = Keys::parse("src/24").unwrap().list().to_vec();
        let mut way = Vec::new();
        for _ in 0..7 {
            let keys = into(&known);
            way.push(keys.to_string());
            known.extend(keys.list());
        }
        assert_eq!(way[..4], ["state,service", "src", "dst", "process"]);
        assert_eq!(way[4..], [ENTRIES; 3]);
    }
}
