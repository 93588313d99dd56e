//! The pages of docs/findings state our thresholds: here each stands beside its constant.
//!
//! The pages in Chinese are held to the numbers of the English ones by the tests of `plimsoll-report`.

use alloc::format;
use alloc::string::String;

use plimsoll_ct::PROFILES;

use super::tracking;
use super::{
    alike, boot, chains, crowd, expectations, forecast, idle, insertion, limit, listen, past, state,
};
use crate::words::count;

macro_rules! page {
    ($name:literal) => {
        include_str!(concat!("../../../../docs/findings/", $name, ".md"))
    };
}

/// Fails unless a page says it, wherever its lines break.
#[track_caller]
fn says(page: &str, what: &str) {
    let flowing: String = page.split_whitespace().collect::<alloc::vec::Vec<_>>().join(" ");
    assert!(flowing.contains(what), "no {what:?} in {}", page.lines().next().unwrap_or_default());
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn minutes(seconds: f64) -> String {
    format!("{:.0} minutes", seconds / 60.0)
}

const DAY: f64 = 86_400.0;

/// Seconds as the pages put them into words.
#[track_caller]
fn span(seconds: f64) -> &'static str {
    let known = [
        (10.0, "10 s"),
        (60.0, "a minute"),
        (300.0, "five minutes"),
        (600.0, "ten minutes"),
        (DAY, "a day"),
        (7.0 * DAY, "a week"),
    ];
    let found = known.iter().find(|(s, _)| (s - seconds).abs() < 0.5);
    found.expect("a span that the pages have words for").1
}

/// Shares as the pages put them into words.
#[track_caller]
fn part(share: f64) -> &'static str {
    let known = [(0.1, "a tenth"), (0.25, "a quarter"), (0.5, "half")];
    let found = known.iter().find(|(s, _)| (s - share).abs() < 1e-9);
    found.expect("a share that the pages have words for").1
}

#[test]
fn the_pages_of_the_tables_state_tell_when_they_are_found() {
    let full = page!("CT001-table-full");
    says(full, &format!("From {} of the limit on we speak of full", percent(state::FULL)));
    says(full, &format!("from {} on if it drops", percent(state::FULL_AFTER_COLLECTION)));
    says(full, &format!("{} of the limit are protected", percent(state::ALL_PROTECTED)));
    assert_eq!(state::SURVIVABLE, 50);
    says(full, "fifty evictions or more for each drop");
    says(full, &format!("within {} of a live reading", span(state::NOW_LIVE)));
    says(full, &format!("within {} of the saving of a dead host", span(state::NOW_SAVED)));

    let was = page!("CT002-table-was-full");
    says(was, &format!("at least {} packets in `drop` since boot", past::HINT));
    says(was, &format!("a warning for {} after the last line", span(past::HISTORY)));
    says(was, &format!("for {}, if the namespace is gone", span(past::GONE)));
    says(was, &format!("less than {} apart", span(past::QUIET)));

    let pressure = page!("CT003-early-drop-pressure");
    says(pressure, &format!("count at {}", percent(state::FULL_AFTER_COLLECTION)));
    says(pressure, &format!("at {} of the limit or more", percent(state::FULL)));

    let protected = page!("CT004-protected-high");
    says(protected, &format!("warning from {} of the limit on", percent(state::PROTECTED_WARNING)));
    says(protected, &format!("Critical from {} on", percent(state::PROTECTED_CRITICAL)));
    says(protected, &format!("at least {} entries", state::SAMPLE));

    let filling = page!("CT005-filling");
    says(filling, &format!("within {}", minutes(state::FILLING_WARNING)));
    says(filling, &format!("less than {} are left", minutes(state::FILLING_CRITICAL)));
    says(filling, &format!("Below {} of the limit", percent(state::FILLING_FROM)));
    says(filling, &format!("at least {} of them", forecast::GROWTH_LEAST));
    says(filling, &format!("at least {} more entries", forecast::GROWTH_LEAST / 2.0));
}

#[test]
fn the_pages_of_who_fills_it_tell_when_they_are_found() {
    let flood = page!("CT010-unreplied-flood");
    says(flood, &format!("at least {} of them", count(crowd::FLOOD_LEAST)));
    says(flood, &format!("at least {}.", count(crowd::FLOOD_UNLIMITED)));
    says(flood, &format!("More than {} of the table", part(crowd::FLOOD_OF_TABLE)));
    says(flood, &format!("at least {} of the limit", part(crowd::FLOOD_OF_LIMIT)));
    for (port, name) in crowd::ONE_WAY {
        says(flood, name);
        says(flood, &format!("{port}"));
    }

    let one = page!("CT011-one-source-dominates");
    says(one, &format!("more than {} of the table", part(crowd::DOMINATES)));
    says(one, &format!("From {} of the limit on", part(crowd::SOURCE_FROM)));
    says(one, &format!("from {} on a warning", part(crowd::SOURCE_WARNING)));
    says(one, &format!("at least {} entries", count(crowd::SOURCE_LEAST)));
    says(one, &format!("more than {} of all entries", percent(crowd::NAMESPACE_DOMINATES)));
    says(one, &format!("at least {} of its own limit", part(crowd::NAMESPACE_FROM)));

    let idle_page = page!("CT012-idle-established");
    says(idle_page, &format!("At least {} entries idle", idle::IDLE_LEAST));
    says(idle_page, &format!("more than {} of the limit", percent(idle::IDLE_OF_LIMIT)));
    says(idle_page, &format!("more than {} of what is", part(idle::IDLE_OF_PROTECTED)));
    says(idle_page, &format!("tcp_timeout_established={}", idle::FLOOR));
    says(idle_page, &format!("{} s; RFC 5382", count(idle::FLOOR)));
    says(idle_page, &format!("{} s on every kernel", count(idle::FIVE_DAYS)));

    let closing = page!("CT013-time-wait-pile-up");
    says(closing, &format!("More than {} of a table", part(idle::CLOSING_SHARE)));
    says(closing, &format!("at least {} full", part(idle::HALF_FULL)));
}

#[test]
fn the_pages_of_its_size_tell_when_they_are_found() {
    let low = page!("CT020-limit-low");
    says(low, &format!("less than {} of what this very kernel", part(limit::LOW)));
    says(low, &format!("at least {} full) although", percent(limit::SHORT_OF_ROOM)));
    says(low, &format!("less than {} of the memory", percent(limit::CHEAP)));
    says(low, &format!("at least {} full, otherwise", percent(limit::IN_USE)));
    assert_eq!(span(limit::REMEMBERED), "a week");
    says(low, "full within a week");

    let worst = page!("CT021-memory-worst-case");
    says(worst, &format!("more than {} of the memory", part(limit::TOO_MUCH)));

    let long = page!("CT022-chains-too-long");
    says(long, &format!("more than {} entries for each bucket", chains::PER_BUCKET));
    says(long, &format!("more than {} entries on average", chains::SLOW_CHAIN));
    for bound in PROFILES.iter().filter_map(|p| p.chain_limit) {
        says(long, &format!("{} to {} entries", bound.least, bound.most));
    }
}

#[test]
fn the_other_pages_tell_when_they_are_found() {
    let need = page!("CT030-tracking-without-need");
    says(need, &format!("at least {} full", percent(tracking::IN_USE)));
    for part in ["openvswitch", "act_ct", "ip_vs", "nf_conntrack_bridge"] {
        assert!(tracking::OWN_ACCORD.contains(&part));
        says(need, part);
    }

    let disagree = page!("CT032-count-and-list-disagree");
    says(disagree, &format!("at least {} entries", count(tracking::DISAGREE_LEAST)));
    says(disagree, &format!("{} of the count", percent(tracking::DISAGREE)));

    let lost = page!("CT040-lost-at-boot");
    says(lost, &format!("within {}", percent(boot::TOLERANCE)));

    let expectation = page!("CT050-expectation-table-full");
    says(expectation, &format!("a warning for {}", span(expectations::HISTORY)));

    let clashes = page!("CT051-insert-clashes");
    says(clashes, &format!("from {} packets in the interval on", insertion::HICCUP));
    says(clashes, &format!("{} since boot", count(insertion::MANY)));

    let ports = page!("CT052-nat-ports-exhausted");
    says(ports, &format!("at least {} packets in the interval", insertion::EXHAUSTED_LEAST));
    says(ports, &format!("at least {} times as much", insertion::PROBES));
    says(ports, &format!("at least {} of it", percent(insertion::DROPPED)));
    says(ports, &format!("at least {} of all attempts", part(insertion::EXHAUSTED_SHARE)));
    says(ports, &format!("at least {} packets/s", insertion::EXHAUSTED_RATE));

    let listen = page!("CT060-listen-overflow");
    says(listen, &format!("{} since boot", count(listen::MANY)));
    assert_eq!(span(alike::RECENT), "a day");
    says(listen, "The log of the last day");
    says(page!("CT061-neighbour-overflow"), "The log of the last day");
    says(page!("CT062-socket-memory"), "The log of the last day");

    let firewall = page!("CT064-firewall-drop");
    says(firewall, &format!("From {} packets/s in all", alike::BACKGROUND));
}
