//! Saved hosts of every generation: what an engineer would find is found, and nothing else.
//!
//! The forms of fixtures/trees/NAME/expected.txt are in fixtures/trees/README.md.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{check, repository};

fn trees() -> Vec<PathBuf> {
    let home = repository("fixtures/trees");
    let mut trees: Vec<PathBuf> = fs::read_dir(home)
        .expect("fixtures/trees is there")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("expected.txt").is_file())
        .collect();
    trees.sort();
    assert!(trees.len() >= 15, "only {} trees", trees.len());
    trees
}

/// What expected.txt says: findings that must be, may be, must not be.
#[derive(Debug, Default)]
struct Expected {
    must: BTreeSet<String>,
    may: BTreeSet<String>,
    not: BTreeSet<String>,
}

fn expected(tree: &Path) -> Expected {
    let text = fs::read_to_string(tree.join("expected.txt")).expect("expected.txt reads");
    let mut found = Expected::default();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let (words, _why) = line.split_once(':').unwrap_or_else(|| panic!("no reason: {line}"));
        match words.split_whitespace().collect::<Vec<_>>()[..] {
            [id] => found.must.insert(id.into()),
            ["maybe", id] => found.may.insert(id.into()),
            ["not", id] => found.not.insert(id.into()),
            _ => panic!("{}: {line}", tree.display()),
        };
    }
    found
}

#[test]
fn every_saved_host_gets_the_findings_an_engineer_would_give_and_no_others() {
    let mut wrong = Vec::new();
    for tree in trees() {
        let name = tree.file_name().and_then(|n| n.to_str()).expect("named").to_owned();
        let (value, _) = check(&["--root", tree.to_str().expect("UTF-8")]);
        let expected = expected(&tree);
        let found = value["findings"].as_array().expect("findings");
        let id = |f: &Value| f["id"].as_str().expect("id").to_owned();
        let all: BTreeSet<String> = found.iter().map(id).collect();
        let loud: BTreeSet<String> =
            found.iter().filter(|f| f["severity"] != "info").map(id).collect();
        for missing in expected.must.difference(&all) {
            wrong.push(format!("{name}: {missing} is missing; found {all:?}"));
        }
        for alarm in &loud {
            if !expected.must.contains(alarm) && !expected.may.contains(alarm) {
                wrong.push(format!("{name}: {alarm} is a false alarm"));
            }
        }
        for forbidden in expected.not.intersection(&loud) {
            wrong.push(format!("{name}: {forbidden} must not be found"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_dead_host_has_no_rates_and_says_so() {
    for tree in trees() {
        let (value, _) = check(&["--root", tree.to_str().expect("UTF-8")]);
        assert_eq!(value["host"]["source"], "tree");
        assert_eq!(value["drops"]["now"], Value::Null, "{}", tree.display());
        for namespace in value["namespaces"].as_array().expect("namespaces") {
            for rate in ["new", "expired", "drop", "early_drop", "insert_failed"] {
                assert_eq!(namespace["rates"][rate], Value::Null, "{}", tree.display());
            }
        }
    }
}

#[test]
fn what_is_made_permanent_stands_behind_what_has_to_be_done_first() {
    let mut both = 0;
    for tree in trees() {
        let (value, _) = check(&["--root", tree.to_str().expect("UTF-8")]);
        let remedies = value["remedies"].as_array().expect("remedies");
        let place = |id: &str| {
            let here =
                |r: &Value| r["id"] == id && r["refused"].as_array().is_some_and(Vec::is_empty);
            remedies.iter().position(here)
        };
        for id in ["raise", "timeout", "bypass"] {
            if let (Some(first), Some(then)) = (place(id), place("persist")) {
                assert!(first < then, "{}: {id} {first}, persist {then}", tree.display());
                both += 1;
            }
        }
    }
    assert!(both > 10, "{both}");
}
