//! The rulesets of fixtures/rules/corpus, loaded as they are.

use std::fs;
use std::path::{Path, PathBuf};

use crate::made::Kind;
use crate::stage::Stage;
use crate::support::root;
use crate::{End, judge_loaded};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/rules/corpus");

/// Loads what the tools printed, each by its counterpart.
fn load(stage: &Stage, directory: &Path) {
    stage.clear();
    let text = |name: &str| fs::read_to_string(directory.join(name)).ok();
    for tool in ["iptables-legacy", "ip6tables-legacy", "iptables-nft", "ip6tables-nft"] {
        if let Some(text) = text(&format!("{tool}-save")) {
            stage.feed(&[&format!("{tool}-restore")], &text);
        }
    }
    // nft does not take its own JSON back where a map names a chain: what was written by hand is there as it was written.
    let name = directory.file_name().expect("a name").to_string_lossy().into_owned();
    let written =
        fs::read_to_string(directory.with_file_name("written").join(format!("{name}.rules")));
    if let (Some(_), Ok(rules)) = (text("nft.json"), written) {
        stage.feed(&["nft", "-f", "-"], &rules);
    } else if let Some(json) = text("nft.json") {
        stage.feed(&["nft", "-j", "-f", "-"], &json);
    }
}

#[test]
fn rulesets_as_firewalls_write_them_fare_the_same_without_tracking() {
    if !root() {
        return;
    }
    let mut stage = Stage::new("corpus");
    let all = fs::read_dir(CORPUS).expect("the corpus").map(|e| e.expect("an entry").path());
    let mut all: Vec<PathBuf> =
        all.filter(|p| p.is_dir() && p.file_name().is_some_and(|n| n != "written")).collect();
    all.sort();
    let mut open = 0;
    for directory in &all {
        for protocol in [6, 17] {
            load(&stage, directory);
            let what = format!("{}, protocol {protocol}", directory.display());
            let end = judge_loaded(&mut stage, protocol, &what);
            open += u32::from(end == End::Same(true));
            eprintln!("{what}: {end:?}");
        }
    }
    assert!(open >= 5, "most of them let 443 in");
    stage.load(Kind::Nft, "");
}
