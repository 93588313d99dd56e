//! Ports that a rule names.

use alloc::vec::Vec;

/// Most ports kept of one rule or set.
const PORTS: usize = 64;

/// Longest range that is written out.
const RANGE: u16 = 16;

/// Adds what `22`, `8000-8003` or `8000:8003` names; words that are no ports add nothing.
pub(super) fn add(ports: &mut Vec<u16>, word: &str) {
    let (first, last) = word.split_once([':', '-']).unwrap_or((word, word));
    let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else { return };
    if first > last {
        return;
    }
    if last - first < RANGE {
        (first..=last).for_each(|port| add_one(ports, port));
    } else {
        add_one(ports, first);
        add_one(ports, last);
    }
}

/// Adds one port once.
pub(super) fn add_one(ports: &mut Vec<u16>, port: u16) {
    if ports.len() < PORTS && !ports.contains(&port) {
        ports.push(port);
    }
}

/// Adds each of a list: `80,443,8000:8003`.
pub(super) fn add_list(ports: &mut Vec<u16>, list: &str) {
    list.split(',').for_each(|word| add(ports, word));
}
