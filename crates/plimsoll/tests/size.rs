//! `plimsoll size`, from outside: each source of the demand, and the arithmetic to the last entry.

mod support;

use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Netns, plimsoll, root, turn};

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The document and the exit status.
fn size(arguments: &[&str]) -> (Value, Option<i32>) {
    let mut all = vec!["size", "--json"];
    all.extend(arguments);
    let out = plimsoll(&all);
    let value = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
    (value, out.status.code())
}

fn healthy() -> String {
    home().join("fixtures/trees/debian-healthy").to_string_lossy().into_owned()
}

fn class<'a>(value: &'a Value, name: &str) -> &'a Value {
    let classes = value["demand"]["classes"].as_array().expect("classes");
    classes.iter().find(|c| c["class"] == name).unwrap_or_else(|| panic!("no {name}: {classes:#?}"))
}

#[test]
fn rates_and_lifetimes_by_hand_give_littles_law_with_the_timeout_that_follows() {
    let tree = healthy();
    let (value, status) = size(&[
        "--root",
        &tree,
        "--rate",
        "tcp=2000",
        "--lifetime",
        "tcp=200ms",
        "--rate",
        "udp=300",
        "--rate",
        "api=10/s",
        "--lifetime",
        "api=1h",
        "--peak",
        "3",
    ]);
    assert_eq!(class(&value, "tcp")["entries"], 240_400, "2,000 × (0.2 + 120)");
    assert_eq!(class(&value, "udp")["entries"], 9_000, "300 × 30");
    assert_eq!(class(&value, "api")["entries"], 36_000, "10 × 3,600: the life of the entry");
    assert_eq!(class(&value, "expired")["entries"], 2_310 * 60, "this kernel's collector");
    let mean = 240_400 + 9_000 + 36_000 + 138_600;
    assert_eq!(value["demand"]["mean"], mean);
    assert_eq!(value["demand"]["peak"], 3 * mean);
    assert_eq!(value["demand"]["wanted"], 3 * mean / 2 * 3);
    // Rounded up to 2^21 / 16.
    assert_eq!(value["max"], (3 * mean / 2 * 3_u64).next_multiple_of(131_072));
    assert_eq!(value["buckets"], value["max"]);
    assert_eq!((&value["enough_now"], status), (&Value::Bool(false), Some(1)));
    let (max, entry) = (value["max"].as_u64(), value["memory"]["entry_bytes"].as_u64());
    let worst = max.expect("max") * (entry.expect("entry") + 8);
    assert_eq!(value["memory"]["worst_bytes"], worst);
}

#[test]
fn memory_bounds_what_is_recommended_and_that_is_said() {
    let tree = healthy();
    let (value, _) = size(&["--root", &tree, "--rate", "1000000", "--lifetime", "1h"]);
    assert_eq!(value["capped_by_memory"], true);
    let worst = value["memory"]["worst_bytes"].as_u64().expect("worst");
    assert!(worst <= value["machine"]["memory_bytes"].as_u64().expect("memory") / 8);
    assert!(value["max"].as_u64() < value["demand"]["wanted"].as_u64());
    let out = plimsoll(&["size", "--root", &tree, "--rate", "1000000", "--lifetime", "1h"]);
    let screen = String::from_utf8_lossy(&out.stdout);
    let words = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("an eighth of the memory holds no more"), "{screen}");
}

#[test]
fn the_json_of_every_saved_host_is_what_its_schema_publishes() {
    let text =
        std::fs::read_to_string(home().join("docs/formats/size.schema.json")).expect("reads");
    let schema: Value = serde_json::from_str(&text).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let mut sized = 0;
    for entry in std::fs::read_dir(home().join("fixtures/trees")).expect("fixtures") {
        let tree = entry.expect("an entry").path();
        let out = plimsoll(&["size", "--json", "--root", &tree.to_string_lossy()]);
        if out.status.code() == Some(3) {
            assert!(String::from_utf8_lossy(&out.stderr).contains("could not be read"));
            continue;
        }
        let Ok(value) = serde_json::from_slice::<Value>(&out.stdout) else { continue };
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path)).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", tree.display());
        sized += 1;
    }
    assert!(sized >= 10, "only {sized}");
}

#[test]
fn the_size_is_what_check_and_fix_recommend() {
    let tree = home().join("fixtures/trees/centos6");
    let tree = tree.to_string_lossy();
    let (value, status) = size(&["--root", &tree]);
    assert_eq!(
        (value["max"].as_u64(), status),
        (Some(196_608), Some(1)),
        "3 × the limit of 65,536"
    );
    let out = plimsoll(&["check", "--json", "--root", &tree]);
    let check: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let remedies = check["remedies"].as_array().expect("remedies");
    let raise = remedies.iter().find(|r| r["id"] == "raise").expect("raise");
    assert_eq!(raise["title"], "raise the limit to 196,608 and the buckets to 49,152");
}

/// A capture of so many questions over forty seconds; every nth goes on for three, so that its entry is assured. 0: none.
fn questions(count: u16, answered: u16) -> Vec<u8> {
    let mut packets: Vec<(u64, u16, bool)> = Vec::new();
    for n in 0..count {
        let at = u64::from(n) * 40_000_000 / u64::from(count);
        packets.push((at, n, false));
        if answered > 0 && n % answered == 0 {
            packets.extend([(at + 1_000_000, n, true), (at + 3_000_000, n, false)]);
        }
    }
    packets.sort_unstable();
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for (at, n, back) in packets {
        let (second, rest) = ((at / 1_000_000) as u32, (at % 1_000_000) as u32);
        for word in [1_700_000_000 + second, rest, 28, 28] {
            file.extend(word.to_le_bytes());
        }
        let (here, there) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let (from, to) = if back { (there, here) } else { (here, there) };
        file.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]);
        file.extend(from.iter().chain(&to));
        let (port, dns) = ((1024 + n).to_be_bytes(), 53u16.to_be_bytes());
        let (from, to) = if back { (dns, port) } else { (port, dns) };
        file.extend(from.iter().chain(&to));
        file.extend([0, 8, 0, 0]);
    }
    file
}

#[test]
fn the_smallest_limit_that_drops_nothing_is_what_replay_finds_too() {
    let path = std::env::temp_dir().join(format!("plimsoll's least-{}.pcap", std::process::id()));
    std::fs::write(&path, questions(2000, 4)).expect("written");
    let tree = home().join("fixtures/trees/kernel-6.1");
    let (value, _) =
        size(&["--root", &tree.to_string_lossy(), "--capture", &path.to_string_lossy()]);
    let words = |value: &Value| -> Vec<String> {
        let remarks = value["demand"]["remarks"].as_array().expect("remarks");
        remarks.iter().map(|r| r.as_str().expect("text").to_owned()).collect()
    };
    // The limit that was searched drops nothing, says `replay` as well; a tenth lower it drops.
    let said = words(&value).join(" ");
    let found = said.split("The smallest that drops nothing is about ").nth(1);
    let smallest: u64 = found
        .and_then(|rest| rest.split(':').next()?.replace(',', "").parse().ok())
        .unwrap_or_else(|| panic!("a limit: {said}"));
    let lower = smallest * 9 / 10;
    let out = plimsoll(&[
        "replay",
        &path.to_string_lossy(),
        "--json",
        "--no-search",
        "--profile",
        "6.1",
        "--set",
        "nf_conntrack_buckets=1024",
        "--what-if",
        &format!("nf_conntrack_max={lower},{smallest}"),
    ]);
    let replay: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let lost = |max: u64| -> u64 {
        let runs = replay["runs"].as_array().expect("runs");
        let run = runs.iter().find(|run| run["max"] == max).expect("a run");
        run["packets_lost"].as_u64().expect("a number")
    };
    assert_eq!(lost(smallest), 0, "{smallest}: {replay:#}");
    assert!(lost(lower) > 0, "{lower}: {replay:#}");
    // Where a limit is set that is met, `replay` names the same.
    let out = plimsoll(&[
        "replay",
        &path.to_string_lossy(),
        "--profile=6.1",
        "--set=nf_conntrack_buckets=1024",
        "--set=nf_conntrack_max=600",
        "--width=240",
    ]);
    let screen = String::from_utf8(out.stdout).expect("UTF-8");
    let least = plimsoll_report::number::count(smallest);
    assert!(
        screen.contains(&format!("drops nothing: about nf_conntrack_max={least} ")),
        "{screen}"
    );
    assert!(screen.contains("chance") && said.contains("chance"), "{screen} {said}");
    // The command that stands there shows it, pasted as it is.
    let command = words(&value).into_iter().find(|remark| remark.starts_with("plimsoll replay "));
    let command = command.unwrap_or_else(|| panic!("a command: {said}"));
    let line = command.replacen("plimsoll", "\"$0\"", 1) + " --json";
    let out = std::process::Command::new("sh").args(["-c", &line, support::BINARY]).output();
    let replay: Value = serde_json::from_slice(&out.expect("a shell").stdout).expect("JSON");
    let run = &replay["runs"][0];
    assert_eq!((&replay["profile"], &run["max"]), (&"6.1".into(), &smallest.into()));
    assert_eq!((&run["buckets"], &run["packets_lost"]), (&1024.into(), &0.into()));
    let evicted = run["entries_evicted"].as_u64().expect("a number");
    assert!(
        said.contains(&format!("it evicts {} entries", plimsoll_report::number::count(evicted)))
    );
    std::fs::remove_file(&path).expect("removed");
}

#[test]
fn what_chains_would_lose_is_counted_with_more_buckets() {
    // 30,000 entries at once in 1,024 buckets: chains of 50 and more, which this kernel refuses now and then.
    let path = std::env::temp_dir().join(format!("plimsoll-chains-{}.pcap", std::process::id()));
    std::fs::write(&path, questions(40_000, 0)).expect("written");
    let tree = home().join("fixtures/trees/kernel-6.1");
    let (value, _) =
        size(&["--root", &tree.to_string_lossy(), "--capture", &path.to_string_lossy()]);
    std::fs::remove_file(&path).expect("removed");
    let demand = &value["demand"];
    assert!(demand["peak"].as_u64() >= Some(30_000), "{demand}");
    let remarks = demand["remarks"].to_string();
    assert!(
        remarks.contains(" buckets a limit of ") && remarks.contains("to hash chains"),
        "{remarks}"
    );
    let buckets = value["buckets"].as_u64();
    assert!(buckets >= demand["peak"].as_u64(), "{value:#}");
}

#[test]
fn one_packet_is_told_of_in_one_sentence_and_is_an_entry_on_average() {
    let path = std::env::temp_dir().join(format!("plimsoll-one-{}.pcap", std::process::id()));
    std::fs::write(&path, questions(1, 0)).expect("written");
    let tree = home().join("fixtures/trees/centos5");
    let (value, _) =
        size(&["--root", &tree.to_string_lossy(), "--capture", &path.to_string_lossy()]);
    std::fs::remove_file(&path).expect("removed");
    let demand = &value["demand"];
    assert_eq!((&demand["mean"], &demand["peak"]), (&1.into(), &1.into()));
    let remarks = demand["remarks"].to_string();
    assert!(remarks.contains("A limit of 1 neither evicts nor drops anything."), "{remarks}");
    assert!(!remarks.contains("The smallest"), "{remarks}");
}

#[test]
fn a_capture_needs_as_many_entries_as_are_open_at_once() {
    // 400 questions a tenth of a second apart, none of them answered: each stays for 30 s.
    let file = questions(400, 0);
    let path = std::env::temp_dir().join(format!("plimsoll-size-{}.pcap", std::process::id()));
    std::fs::write(&path, file).expect("written");
    let tree = home().join("fixtures/trees/centos5");
    let (value, status) =
        size(&["--root", &tree.to_string_lossy(), "--capture", &path.to_string_lossy()]);
    std::fs::remove_file(&path).expect("removed");
    // A kernel that takes entries the moment they expire: 300 live at once.
    let peak = value["demand"]["peak"].as_u64().expect("a peak");
    assert!((300..=301).contains(&peak), "{peak}");
    assert!(value["demand"]["mean"].as_u64() < Some(peak));
    assert_eq!(value["demand"]["wanted"], peak + peak / 2);
    assert_eq!((&value["enough_now"], status), (&Value::Bool(true), Some(0)), "4,096 are");
}

#[test]
fn a_history_that_was_never_recorded_is_no_size() {
    let out = plimsoll(&["size", "--history"]);
    assert_eq!(out.status.code(), Some(3));
    assert!(out.stdout.is_empty());
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("there is no recording of this host"), "{said}");
}

#[test]
fn a_namespace_is_measured_class_by_class() {
    if !root() {
        return;
    }
    let _turn = turn();
    let ns = Netns::new("size");
    ns.run(
        "nft",
        &["add table inet t; add chain inet t c { type filter hook input priority 0; }; \
                     add rule inet t c ct state new counter"],
    );
    ns.send_udp("127.0.0.1", 20_000, 500);
    let (value, _) = size(&["--netns", &ns.0]);
    let udp = class(&value, "udp");
    assert!(udp["entries"].as_u64() >= Some(500), "{udp}");
    assert_eq!(udp["stays_seconds"], 30.0);
    assert!(udp["rate"].as_f64() >= Some(500.0 / 30.0), "{udp}");
    assert!(value["demand"]["from"].as_str().expect("from").contains("size"), "{value:#}");
}

#[test]
fn what_cannot_be_computed_is_wrong_usage_and_says_what_is_missing() {
    for (arguments, told) in [
        (&["--rate", "500"][..], "needs --lifetime"),
        (&["--rate", "api=5"], "--lifetime api="),
        (&["--rate", "tcp=5", "--lifetime", "udp=3s"], "has no --rate udp"),
        (&["--rate=-5"], "expected flows per second"),
        (&["--netns", "no-such"], "no-such"),
    ] {
        let mut all = vec!["size"];
        all.extend(arguments);
        let out = plimsoll(&all);
        assert_eq!(out.status.code(), Some(64), "{arguments:?}");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}

#[test]
fn a_capture_that_is_cut_off_is_told_of_once_and_a_pipe_is_read_once() {
    let mut file = questions(400, 0);
    file.truncate(file.len() - 3);
    let path = std::env::temp_dir().join(format!("plimsoll-size-cut-{}.pcap", std::process::id()));
    std::fs::write(&path, file).expect("written");
    let tree = home().join("fixtures/trees/centos5").to_string_lossy().into_owned();
    let told = |capture: &str| {
        let out = std::process::Command::new(support::BINARY)
            .args(["size", "--json", "--root", &tree, "--capture", capture])
            .stdin(std::fs::File::open(&path).expect("it is there"))
            .output()
            .expect("the binary starts");
        let value: Value = serde_json::from_slice(&out.stdout).expect("JSON");
        (value["demand"].clone(), String::from_utf8(out.stderr).expect("UTF-8"))
    };
    let name = path.to_string_lossy().into_owned();
    let (file, fault) = told(&name);
    assert_eq!(fault, format!("plimsoll: {name}: packet 400, offset 17580: cut off\n"));
    let (pipe, fault) = told("-");
    assert_eq!(fault, "plimsoll: -: packet 400, offset 17580: cut off\n");
    std::fs::remove_file(&path).expect("removed");
    assert_eq!((&pipe["peak"], &pipe["mean"]), (&file["peak"], &file["mean"]));
    assert!(pipe["remarks"].to_string().contains("A pipe is read once"), "{pipe}");
}

#[test]
fn a_formula_that_says_the_same_is_not_among_those_that_say_something_else() {
    let tree = healthy();
    let (value, _) = size(&["--root", &tree]);
    let answer = value["max"].as_u64().expect("an answer");
    let formulas = value["others"].as_array().expect("formulas");
    assert!(formulas.iter().any(|formula| formula["max"] == answer), "{formulas:#?}");
    let screen = plimsoll(&["size", "--root", &tree]).stdout;
    let screen = String::from_utf8(screen).expect("UTF-8");
    let (_, others) = screen.split_once("OTHER FORMULAS").expect("there are some");
    let answer = plimsoll_report::number::count(answer);
    assert!(!others.lines().any(|line| line.trim_start().starts_with(&answer)), "{others}");
}
