//! Incidents staged on the running kernel, each with the findings an engineer would give and no others.
//!
//! `check` is asked about the stage's namespace, so what else happens on the machine does not matter.

mod support;

use std::time::{Duration, Instant};

use plimsoll_ct::{Entries, Seconds};
use plimsoll_lab::stage::{self, Stage};
use plimsoll_lab::{Kind, LabError, Pace, Sources};
use serde_json::Value;
use support::{check, ids, root, run, turn};

/// A smaller limit than the host's makes a full table quick to stage.
const SMALL: Entries = Entries(20_000);

/// Sets a stage, checks its namespace, strikes it.
fn on(make: impl FnOnce() -> Result<Stage, LabError>) -> (Value, i32) {
    let _turn = turn();
    let stage = make().expect("the stage is set");
    check(&["--netns", stage.server().name()])
}

fn summary(check: &Value, id: &str) -> String {
    said(check, id, "summary")
}

fn severity(check: &Value, id: &str) -> String {
    said(check, id, "severity")
}

/// What a finding says of itself.
fn said(check: &Value, id: &str, what: &str) -> String {
    check["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .find(|f| f["id"] == id)
        .and_then(|f| f[what].as_str())
        .unwrap_or_else(|| panic!("no {id} in {:?}", ids(check)))
        .to_owned()
}

fn remedies(check: &Value) -> Vec<String> {
    check["remedies"]
        .as_array()
        .expect("remedies")
        .iter()
        .map(|r| r["id"].as_str().expect("id").to_owned())
        .collect()
}

fn space(check: &Value) -> &Value {
    &check["namespaces"][0]
}

#[test]
fn a_table_full_of_assured_entries_is_critical_and_dropping_now() {
    if !root() {
        return;
    }
    let (value, status) = on(|| stage::assured_full(Some(SMALL)));
    assert_eq!(status, 2);
    assert_eq!(ids(&value)[0], "CT001", "{:?}", ids(&value));
    assert_only(&value, &["CT001"], &["CT004", "CT011", "CT020"]);
    assert!(value["drops"]["now"].as_f64().expect("drops now") > 100.0);
    assert!(space(&value)["rates"]["drop"].as_f64().expect("rate") > 100.0);
    let protected = space(&value)["protected"].as_u64().expect("protected");
    assert!(protected >= 19_000, "{protected}");
    assert_eq!(remedies(&value)[0], "raise");
}

#[test]
fn a_full_table_of_unreplied_entries_lives_by_eviction() {
    if !root() {
        return;
    }
    let (value, status) = on(|| stage::early_drop_pressure(None));
    assert!(status >= 1);
    // Now and then the kernel finds no victim, or another processor takes it first: that packet is lost.
    // A few of thousands are a warning, and CT001 then says it in place of CT003.
    let few_lost = space(&value)["rates"]["drop"].as_f64().expect("rate") > 0.0;
    let full = if few_lost { "CT001" } else { "CT003" };
    assert_only(&value, &[full, "CT010"], &["CT011"]);
    assert_eq!(severity(&value, full), "warning", "{}", summary(&value, full));
    assert!(space(&value)["rates"]["early_drop"].as_f64().expect("rate") > 1000.0);
}

#[test]
fn floods_are_told_apart_by_protocol() {
    if !root() {
        return;
    }
    for (make, word) in [
        (stage::syn_flood as fn() -> Result<Stage, LabError>, "TCP"),
        (stage::udp_flood, "UDP"),
        (stage::icmp_flood, "ICMP"),
    ] {
        let _turn = turn();
        let stage = make().expect("the stage is set");
        let flood = stage.flood().expect("it floods");
        let end = Instant::now() + Duration::from_secs(120);
        loop {
            let (before, start) = (flood.sent(), Instant::now());
            let (value, _) = check(&["--netns", stage.server().name()]);
            let sent = (flood.sent() - before) as f64;
            let pace = sent / start.elapsed().as_secs_f64();
            // The listener's own queue of half-open connections overflows in a SYN flood, too.
            assert_only(&value, &["CT010"], &["CT005", "CT060"]);
            let summary = summary(&value, "CT010");
            assert!(summary.contains(word), "{word}: {summary}");
            let new = space(&value)["rates"]["new"].as_f64().expect("a rate of new entries");
            // A busy machine holds the sender up, and then it makes up for that: such a look tells nothing of rates.
            if (900.0..1100.0).contains(&pace) && (500.0..2000.0).contains(&new) {
                break;
            }
            assert!(Instant::now() < end, "{word}: {new} new entries a second, {pace} were sent");
        }
    }
}

#[test]
fn idle_connections_held_for_five_days_are_named_with_their_port() {
    if !root() {
        return;
    }
    // Over half of the limit, or idleness is nobody's trouble.
    let (value, _) = on(|| stage::established_idle(150_000, Seconds(90_000)));
    assert_only(&value, &["CT012"], &["CT011"]);
    assert!(summary(&value, "CT012").contains("port 80"), "{}", summary(&value, "CT012"));
    assert!(remedies(&value).contains(&"timeout".to_owned()));
}

#[test]
fn closed_connections_that_wait_are_a_pile() {
    if !root() {
        return;
    }
    let (value, _) = on(|| stage::time_wait(150_000));
    assert_only(&value, &["CT013"], &["CT011"]);
}

#[test]
fn exhausted_nat_ports_are_no_full_table() {
    if !root() {
        return;
    }
    let (value, _) = on(|| stage::nat_exhausted(None));
    assert_only(&value, &["CT052"], &[]);
}

#[test]
fn an_application_that_accepts_too_slowly_is_a_look_alike() {
    if !root() {
        return;
    }
    let (value, _) = on(stage::listen_overflow);
    assert_only(&value, &["CT060"], &[]);
}

#[test]
fn a_full_expectation_table_is_another_problem() {
    if !root() {
        return;
    }
    let (value, _) = on(stage::expectations_full);
    assert_only(&value, &["CT050"], &[]);
}

#[test]
fn healthy_traffic_raises_no_alarm() {
    if !root() {
        return;
    }
    for make in [stage::idle as fn() -> Result<Stage, LabError>, stage::quiet, || {
        stage::udp_conversations(50_000)
    }] {
        let (value, status) = on(make);
        assert_eq!((status, ids(&value)), (0, Vec::<String>::new()), "{}", value["headline"]);
        assert_eq!(space(&value)["tracking"], true);
    }
}

#[test]
fn traffic_that_is_not_tracked_is_not_conntracks() {
    if !root() {
        return;
    }
    let (value, status) = on(stage::untracked);
    assert_eq!(status, 0);
    assert_only(&value, &[], &["CT031"]);
    assert_eq!(space(&value)["tracking"], false);
}

#[test]
fn a_rule_that_drops_is_a_look_alike() {
    if !root() {
        return;
    }
    let _turn = turn();
    let stage = stage::untracked().expect("the stage is set");
    let name = stage.server().name();
    for rule in [
        "add table inet guard",
        "add chain inet guard in { type filter hook input priority 0; }",
        "add rule inet guard in tcp dport 80 counter drop",
    ] {
        run("ip", &["netns", "exec", name, "nft", rule]);
    }
    let _flood = stage
        .lab()
        .flood(Kind::Syn, Sources::Unanswered, Pace::steady(500))
        .expect("the flood begins");
    let (value, _) = check(&["--netns", name]);
    assert_only(&value, &["CT064"], &["CT031"]);
    assert!(summary(&value, "CT064").contains("dport 80"), "{}", summary(&value, "CT064"));
}

#[test]
fn a_namespace_that_only_a_process_holds_is_found_and_named_after_it() {
    if !root() {
        return;
    }
    let mut holder = std::process::Command::new("unshare")
        .args(["-n", "sleep", "30"])
        .spawn()
        .expect("unshare starts");
    let own = std::fs::read_link("/proc/self/ns/net").expect("our namespace");
    let link = format!("/proc/{}/ns/net", holder.id());
    while std::fs::read_link(&link).is_ok_and(|theirs| theirs == own) {
        std::thread::yield_now();
    }
    let (value, _) = check(&["--interval", "0.2"]);
    holder.kill().expect("it ends");
    holder.wait().expect("it ended");
    let names: Vec<&str> = value["namespaces"]
        .as_array()
        .expect("namespaces")
        .iter()
        .filter_map(|n| n["name"].as_str())
        .collect();
    assert!(names.iter().any(|n| n.contains("(sleep)")), "{names:?}");
}

/// All of `must`, and besides them at most those of `may`.
fn assert_only(check: &Value, must: &[&str], may: &[&str]) {
    let found = ids(check);
    for id in must {
        assert!(
            found.iter().any(|f| f == id),
            "{id} is missing in {found:?}: {}",
            check["headline"]
        );
    }
    for id in &found {
        let known = must.contains(&id.as_str()) || may.contains(&id.as_str());
        assert!(known, "{id} is a false alarm in {found:?}: {}", summary(check, id));
    }
}
