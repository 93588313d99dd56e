//! What `check --json` prints is what docs/formats/check.schema.json publishes, for every saved host and for
//! this one, and what is null there has its word in `missing`.

mod support;

use std::fs;

use serde_json::Value;
use support::{Netns, check, repository, root, schema, schema_errors, turn};

/// The arguments of every saved host in fixtures/.
fn saved_hosts() -> Vec<[String; 2]> {
    let mut found = Vec::new();
    for (directory, flag) in [("trees", "--root"), ("bundles", "--bundle")] {
        for entry in fs::read_dir(repository("fixtures").join(directory)).expect("is there") {
            let path = entry.expect("an entry").path();
            let name = path.to_string_lossy().into_owned();
            if path.join("proc").is_dir() || flag == "--bundle" && name.contains(".tar") {
                found.push([flag.to_owned(), name]);
            }
        }
    }
    assert!(found.len() >= 17, "only {} saved hosts", found.len());
    found
}

fn errors(value: &Value) -> Vec<String> {
    schema_errors(&schema("check"), value)
}

/// Facts of the contract that are null though no line of `missing` speaks of them: a pointer to the fact
/// and the words that one of the lines would have to hold.
fn unexplained(check: &Value) -> Vec<String> {
    let told: Vec<&str> = check["missing"]
        .as_array()
        .expect("missing")
        .iter()
        .map(|m| m["fact"].as_str().expect("a fact"))
        .collect();
    let tells = |words: &[&str]| told.iter().any(|fact| words.iter().any(|w| fact.starts_with(w)));
    let mut nulls = Vec::new();
    let mut look = |place: String, value: &Value, words: &[&str]| {
        if value.is_null() && !tells(words) {
            nulls.push(place);
        }
    };
    look("host.kernel".into(), &check["host"]["kernel"], &["kernel release"]);
    look("host.buckets".into(), &check["host"]["buckets"], &["buckets"]);
    look("host.memory_bytes".into(), &check["host"]["memory_bytes"], &["memory of the host"]);
    look("drops.log_lines".into(), &check["drops"]["log_lines"], &["kernel log"]);
    look("drops.now".into(), &check["drops"]["now"], &["rates", "statistics"]);
    look("drops.counted".into(), &check["drops"]["counted"], &["statistics"]);
    for ns in check["namespaces"].as_array().expect("namespaces") {
        let name = &ns["name"];
        let empty = ns["count"] == 0;
        for (key, words) in [
            ("inode", &["namespaces"][..]),
            ("count", &["number of entries"]),
            ("max", &["limit"]),
            ("tracking", &["packet-filter rules", "whether packets are tracked"]),
        ] {
            look(format!("{name}.{key}"), &ns[key], words);
        }
        for key in ["evictable", "closing", "protected", "sampled"] {
            if !empty {
                look(format!("{name}.{key}"), &ns[key], &["entries"]);
            }
        }
        for key in ["new", "expired", "drop", "early_drop", "insert_failed"] {
            let rates = &ns["rates"];
            if rates[key].is_null() {
                assert!(rates["missing"][key]["reason"].is_string(), "{name}.{key} has no reason");
                look(
                    format!("{name}.rates.{key}"),
                    &rates[key],
                    &["rates", "statistics", "entries"],
                );
            }
        }
    }
    nulls
}

#[test]
fn every_saved_host_is_printed_by_the_schema_and_its_nulls_are_explained() {
    for [flag, path] in saved_hosts() {
        let (value, _) = check(&[&flag, &path]);
        assert_eq!(errors(&value), Vec::<String>::new(), "{path}");
        assert_eq!(unexplained(&value), Vec::<String>::new(), "{path}: {:#}", value["missing"]);
    }
}

#[test]
fn an_empty_tree_is_unknown_and_every_null_is_explained() {
    let home = std::env::temp_dir().join(format!("plimsoll-empty-{}", std::process::id()));
    fs::create_dir_all(&home).expect("a directory");
    let (value, status) = check(&["--root", home.to_str().expect("UTF-8")]);
    fs::remove_dir(&home).expect("is empty");
    assert_eq!((status, &value["verdict"]), (3, &Value::from("unknown")));
    assert_eq!(errors(&value), Vec::<String>::new());
    assert_eq!(unexplained(&value), Vec::<String>::new(), "{:#}", value["missing"]);
}

#[test]
fn this_host_is_printed_by_the_schema_and_its_nulls_are_explained() {
    let (value, _) = check(&["--interval", "0.2"]);
    assert_eq!(errors(&value), Vec::<String>::new());
    assert_eq!(unexplained(&value), Vec::<String>::new(), "{:#}", value["missing"]);
}

#[test]
fn a_busy_namespace_is_printed_by_the_schema_and_no_entry_read_is_explained() {
    if !root() {
        return;
    }
    let _turn = turn();
    let ns = Netns::new("schema");
    ns.run("nft", &["add", "table", "ip", "t"]);
    ns.run("nft", &["add", "chain", "ip", "t", "c", "{ type filter hook input priority 0; }"]);
    ns.run("nft", &["add", "rule", "ip", "t", "c", "ct", "state", "new", "counter"]);
    ns.send_udp("127.0.0.1", 2000, 300);
    for budget in ["1", "0"] {
        let (value, _) = check(&["--netns", &ns.0, "--interval", "0.2", "--budget", budget]);
        assert_eq!(value["namespaces"][0]["count"], 300);
        assert_eq!(value["namespaces"][0]["evictable"].is_null(), budget == "0");
        assert_eq!(errors(&value), Vec::<String>::new());
        assert_eq!(unexplained(&value), Vec::<String>::new(), "{:#}", value["missing"]);
    }
}
