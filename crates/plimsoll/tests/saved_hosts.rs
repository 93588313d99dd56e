//! Saved hosts in fixtures/, each with what an engineer would find: `expected.txt`, see fixtures/trees/README.md.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use support::plimsoll;

/// What is expected of a host.
#[derive(Default)]
struct Expected {
    must: BTreeSet<String>,
    may: BTreeSet<String>,
    must_not: BTreeSet<String>,
}

impl Expected {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut expected = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (set, rest) = if let Some(rest) = line.strip_prefix("maybe ") {
                (&mut expected.may, rest)
            } else if let Some(rest) = line.strip_prefix("not ") {
                (&mut expected.must_not, rest)
            } else {
                (&mut expected.must, line)
            };
            let (id, why) = rest.split_once(": ").expect("CTnnn: why");
            assert!(id.starts_with("CT") && !why.is_empty(), "{}: {line}", path.display());
            set.insert(id.to_owned());
        }
        expected
    }
}

/// Findings of a saved host: id and severity.
fn findings(flag: &str, path: &Path) -> Vec<(String, String)> {
    let out = plimsoll(&["check", flag, path.to_str().expect("UTF-8"), "--json"]);
    assert!(out.status.code().is_some_and(|code| code <= 3), "{}: {out:?}", path.display());
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
    json["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .map(|finding| {
            let text = |key: &str| finding[key].as_str().expect(key).to_owned();
            (text("id"), text("severity"))
        })
        .collect()
}

/// What is wrong with the findings of a host, in words.
fn complaints(name: &str, found: &[(String, String)], expected: &Expected) -> Vec<String> {
    let ids: BTreeSet<&String> = found.iter().map(|(id, _)| id).collect();
    let missed = expected.must.iter().filter(|id| !ids.contains(id));
    let tempted = expected.must_not.iter().filter(|id| ids.contains(id));
    let known = |id: &String| expected.must.contains(id) || expected.may.contains(id);
    let alarms = found.iter().filter(|(id, severity)| severity != "info" && !known(id));
    missed
        .map(|id| format!("{name}: {id} was not found"))
        .chain(tempted.map(|id| format!("{name}: {id} was found and is not there")))
        .chain(alarms.map(|(id, severity)| format!("{name}: {id} ({severity}) is a false alarm")))
        .collect()
}

fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

#[test]
fn every_saved_tree_shows_what_an_engineer_would_find_and_no_more() {
    let mut wrong = Vec::new();
    let mut trees = 0;
    for entry in fs::read_dir(fixtures("trees")).expect("fixtures").flatten() {
        let path = entry.path();
        if path.is_dir() {
            trees += 1;
            let name = entry.file_name().to_string_lossy().into_owned();
            let expected = Expected::read(&path.join("expected.txt"));
            wrong.extend(complaints(&name, &findings("--root", &path), &expected));
        }
    }
    assert!(trees >= 17, "{trees} trees");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_saved_bundle_shows_what_an_engineer_would_find_and_no_more() {
    let mut wrong = Vec::new();
    for bundle in ["sos-4.0.tar.xz", "newer-layout.tar.gz"] {
        let path = fixtures("bundles").join(bundle);
        let name = bundle.split(".tar").next().expect("a name");
        let expected = Expected::read(&fixtures("bundles").join(format!("{name}.expected.txt")));
        wrong.extend(complaints(bundle, &findings("--bundle", &path), &expected));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_of_a_bundle_was_left_out_is_told() {
    let path = std::env::temp_dir().join(format!("plimsoll-cut-{}.tar", std::process::id()));
    let whole = fs::read(fixtures("bundles/newer-layout.tar.gz")).expect("fixture");
    fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    let out = plimsoll(&["check", "--bundle", path.to_str().expect("UTF-8")]);
    fs::remove_file(&path).expect("removed");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("the bundle was read up to member"), "{text}");
}
